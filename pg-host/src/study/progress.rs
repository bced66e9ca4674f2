//! Shows on stderr how a study goes: a bar on a terminal, else a line now and then.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::records::Record;
use crate::progress::seconds;

/// Time between two lines when there is no terminal.
const PAUSE: Duration = Duration::from_secs(10);

/// How the runs of a study are shown. Time is counted in the weights of runs, which differ much.
pub struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    said: Instant,
    made: usize,
    runs: usize,
    done: u64,
    weight: u64,
}

impl Progress {
    /// For so many runs of so much weight.
    pub fn start(runs: usize, weight: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(weight), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix} {bar:24.cyan/dim} {wide_msg} {eta} left").expect("a constant template");
            bar.set_style(style.progress_chars("━╸─"));
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        let now = Instant::now();
        let mut progress = Self { bar, started: now, said: now, made: 0, runs, done: 0, weight };
        progress.show("");
        progress
    }

    /// A run is complete.
    pub fn done(&mut self, weight: u64, record: &Record) {
        self.made += 1;
        self.done += weight;
        self.weight = self.weight.max(self.done);
        self.runs = self.runs.max(self.made);
        self.show(&record.words);
        if self.bar.is_none() && (self.said.elapsed() >= PAUSE || self.made == self.runs) {
            self.said = Instant::now();
            let left = self.started.elapsed().as_secs_f64() * (self.weight - self.done) as f64 / self.done as f64;
            let _ = writeln!(std::io::stderr(), "run {}/{}  {} left", self.made, self.runs, seconds(left));
        }
    }

    fn show(&mut self, words: &str) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("run {}/{}", self.made, self.runs));
            bar.set_message(words.to_string());
            bar.set_length(self.weight);
            bar.set_position(self.done);
        }
    }

    /// Ends the bar.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
