//! Shows on stderr how a training run goes: a bar on a terminal, else a line now and then.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The most lines when there is no terminal.
const LINES: u32 = 20;
/// Time between two changes of the bar's text.
const REFRESH: Duration = Duration::from_millis(100);

/// How a run is shown.
pub struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    epochs: u32,
    samples_per_epoch: usize,
    started: Instant,
    drawn: Instant,
    /// Samples before the start, and since.
    done: u64,
    samples: u64,
    epoch: u32,
    f1: Option<f64>,
    average: f64,
}

impl Progress {
    /// For a run of `epochs` with so many samples in each, of which `done` are done already; `quiet` shows a bar on a terminal and nothing
    /// elsewhere.
    pub fn start(epochs: u32, samples_per_epoch: usize, done: u64, quiet: bool) -> Self {
        let epoch = (done / samples_per_epoch.max(1) as u64) as u32;
        let terminal = std::io::stderr().is_terminal();
        let bar = terminal.then(|| {
            let length = u64::from(epochs) * samples_per_epoch as u64;
            let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
            bar.set_style(style("{prefix} {wide_bar:.cyan/dim} {msg}  {eta} left"));
            bar.set_prefix(format!("epoch {}/{epochs}", (epoch + 1).min(epochs)));
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        let now = Instant::now();
        Self {
            bar,
            lines: !terminal && !quiet,
            epochs,
            samples_per_epoch,
            started: now,
            drawn: now,
            done,
            samples: 0,
            epoch,
            f1: None,
            average: f64::NAN,
        }
    }

    /// A step is done.
    pub fn step(&mut self, samples: usize, loss_nats: f32) {
        self.samples += samples as u64;
        let loss = f64::from(loss_nats);
        // A running mean over about twenty steps: single steps jump.
        self.average = if self.average.is_nan() { loss } else { self.average + (loss - self.average) * 0.05 };
        if self.bar.is_some() && self.drawn.elapsed() >= REFRESH {
            self.draw(self.average);
        }
    }

    /// An epoch is done, with its mean loss and the F1 on the validation samples, if there are any.
    pub fn epoch(&mut self, number: u32, loss_nats: f64, f1: Option<f64>) {
        (self.epoch, self.f1) = (number, f1);
        let every = self.epochs.div_ceil(LINES);
        if self.lines && (number.is_multiple_of(every) || number == self.epochs) {
            let remaining = (u64::from(self.epochs - number) * self.samples_per_epoch as u64) as f64;
            let left = self.started.elapsed().as_secs_f64() * remaining / self.samples.max(1) as f64;
            let _ = writeln!(std::io::stderr(), "epoch {number}/{}  {}  {} left", self.epochs, self.text(loss_nats), seconds(left));
        }
        if self.bar.is_some() && (number == self.epochs || self.drawn.elapsed() >= REFRESH) {
            self.draw(loss_nats);
        }
    }

    /// Says a line on stderr, above the bar.
    pub fn say(&self, line: &str) {
        let write = || drop(writeln!(std::io::stderr(), "{line}"));
        self.bar.as_ref().map_or_else(write, |bar| bar.suspend(write));
    }

    /// Ends the bar; what it showed last stays.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            // Nothing is left to wait for, also where the run was stopped.
            bar.set_style(style("{prefix} {wide_bar:.cyan/dim} {msg}"));
            bar.abandon();
        }
    }

    fn draw(&mut self, loss: f64) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("epoch {}/{}", (self.epoch + 1).min(self.epochs), self.epochs));
            bar.set_message(self.text(loss));
            bar.set_position((self.done + self.samples).min(u64::from(self.epochs) * self.samples_per_epoch as u64));
            self.drawn = Instant::now();
        }
    }

    /// "loss 0.1234  F1 0.9321  51,200 samples/s": with a bar and the time left on 80 columns.
    fn text(&self, loss: f64) -> String {
        let name = if self.bar.is_some() { "F1" } else { "validation F1" };
        let f1 = self.f1.map(|f1| format!("  {name} {f1:.4}")).unwrap_or_default();
        let speed = self.samples as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        format!("loss {loss:.4}{f1}  {} samples/s", grouped(speed as u64))
    }
}

/// A bar as wide as the terminal leaves it.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a constant template").progress_chars("━╸─")
}

/// "1,234,567".
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "0.4 s", "12 s", "3 min 20 s", "2 h 5 min".
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3600.0 => format!("{} min {} s", s as u64 / 60, s as u64 % 60),
        s => format!("{} h {} min", s as u64 / 3600, s as u64 % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.04, 12.3, 200.0, 7500.0].map(seconds), ["0.0 s", "12 s", "3 min 20 s", "2 h 5 min"]);
    }
}
