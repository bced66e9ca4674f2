//! `train`: from data to a model file and a report.

use std::path::Path;
use std::time::Instant;

use anyhow::anyhow;
use serde_json::json;

use super::start::{self, Start};
use super::{invocation, json_text, quoted, say};
use crate::any_network::AnyNetwork;
use crate::checkpoint::directory::Found;
use crate::checkpoint::{Directory, Keeper};
use crate::data::Samples;
use crate::engine::Crew;
use crate::entry::Entry;
use crate::evaluation;
use crate::experiment::{self, Experiment};
use crate::failure::Failure;
use crate::memory::Memory;
use crate::metrics::Scores;
use crate::model::Outcome;
use crate::options::TrainOptions;
use crate::output::check_writable;
use crate::parts::TEST_SHARE;
use crate::progress::{Progress, grouped, seconds};
use crate::tally::Tally;
use crate::training::{End, Observer, State, Trained};
use crate::{choose, interrupt, target, training};

/// Trains, from the beginning or from a checkpoint that was found.
pub(super) fn go(networks: &[Entry], options: &TrainOptions, found: Option<(Directory, Found)>) -> Result<String, Failure> {
    options.check()?;
    if let Some(name) = &options.net {
        choose::by_name(networks, name)?;
    }
    spare_the_data(options)?;
    check_writable(&options.out).map_err(anyhow::Error::from)?;
    let material = experiment::material(networks, options)?;
    if let Some(note) = &material.note {
        say(note);
    }
    let Experiment { entry, name, carved, prepared, recipe } = experiment::set_up(networks, options, material)?;
    let steps = recipe.steps_per_epoch(prepared.train.len()) as u64 * u64::from(recipe.epochs);
    let resumed = found.is_some();
    let start = Start::of(entry.network(), options, &recipe, &prepared, found)?;
    // Before the first line, so that who has read it may press Ctrl-C.
    interrupt::listen();
    say(&target::sentence());
    if carved {
        let percent = TEST_SHARE * 100.0;
        say(&format!("{name} has no test part: {percent:.0} % of its samples are put aside, the same for every seed"));
    }
    let steps_per_epoch = recipe.steps_per_epoch(prepared.train.len()) as u32;
    let (first, first_passes) = (start.state.step, start.state.passes);
    if resumed {
        say(&format!(
            "going on behind step {first} of {steps}, in epoch {} of {}",
            (first / steps_per_epoch + 1).min(recipe.epochs),
            recipe.epochs
        ));
    }
    let epochs_done = u64::from(first / steps_per_epoch) * prepared.train.len() as u64;
    let done = epochs_done + u64::from(first % steps_per_epoch) * recipe.batch as u64;
    let mut watcher = Watcher {
        progress: Progress::start(recipe.epochs, prepared.train.len(), done, options.json),
        network: entry.network(),
        validation: &prepared.validation,
        classes: &prepared.classes,
        scores: start.validation,
        keeper: start.keeper,
        failing: false,
    };
    let started = Instant::now();
    let trained = training::resume(entry.network(), &recipe, &prepared.train, start.state, &mut watcher);
    let elapsed = started.elapsed().as_secs_f64();
    watcher.progress.finish();
    let Watcher { scores: validation, keeper, .. } = watcher;
    let path = options.out.display().to_string();
    let rho = if options.population > 0 { " or a smaller --rho" } else { "" };
    let diverged = |kept: String| {
        let (what, epoch, step) = match trained.end {
            End::Complete | End::Stopped => return Ok(()),
            End::Diverged { epoch, step } => ("the loss was no longer a finite number".into(), epoch, step),
            End::Unstable { epoch, step } => {
                let Tally { made, skipped } = trained.members;
                (format!("the loss was no finite number for {skipped} of {made} members, more than 1 %,"), epoch, step)
            }
        };
        Err(anyhow!("{what} in step {step} of epoch {epoch}: try a smaller --rate{rho}; {kept}"))
    };
    if trained.steps == 0 {
        let old = if options.out.exists() { format!("{path} is untouched") } else { format!("{path} was not written") };
        diverged(format!("no step had a finite loss after it, and {old}"))?;
    }
    let test = evaluation::scores(
        &Crew::new(trained.threads).unwrap_or_default(),
        entry.network(),
        &trained.parameters,
        &prepared.test,
        &prepared.classes,
    );
    let outcome = Outcome {
        network: entry.network(),
        parameters: &trained.parameters,
        statistics: &prepared.statistics,
        classes: &prepared.classes,
        data: &name,
        options,
        epochs: trained.epochs,
        stopped_after: (trained.end != End::Complete).then_some(trained.steps),
        scores: &format!("test_macro_f1={:.4} test_accuracy={:.4} test_samples={}", test.macro_f1, test.accuracy, prepared.test.len()),
    };
    let bytes = outcome.save(&options.out).map_err(|failure| match &keeper {
        Some(keeper) if keeper.saved() == trained.steps => {
            anyhow!("{failure}; the whole run is kept: `{} --out FILE` writes the model elsewhere", start::command(keeper)).into()
        }
        _ => failure,
    })?;
    diverged(format!(
        "{path} holds the last parameters with a finite loss, after {} steps ({} of {} epochs done)",
        trained.steps, trained.epochs, options.epochs
    ))?;
    let passes_per_s = (trained.passes - first_passes) as f64 / elapsed.max(1e-9);
    let resumed = resumed.then_some(first);
    let report =
        Report { options, entry, name, carved, trained, resumed, keeper, steps, test, validation, elapsed, passes_per_s, bytes, path };
    let samples = [prepared.train.len(), prepared.validation.len(), prepared.test.len()];
    Ok(if options.json { report.json(samples) } else { report.text(samples) })
}

/// Refuses to write the model over the data.
fn spare_the_data(options: &TrainOptions) -> Result<(), Failure> {
    let Ok(out) = options.out.canonicalize() else { return Ok(()) };
    let files = [("data", Some(Path::new(&options.data.name))), ("test", options.data.csv.test.as_deref())];
    let same = |file: &Path| file.is_file() && file.canonicalize().is_ok_and(|file| file == out);
    match files.into_iter().find(|(_, file)| file.is_some_and(same)) {
        Some((option, _)) => Err(Failure::Usage(format!(
            "--out must not be the file of --{option}, which the model would replace, and is {}",
            options.out.display()
        ))),
        None => Ok(()),
    }
}

/// Shows the progress, scores the validation samples after each epoch, and ends the run on Ctrl-C.
struct Watcher<'a> {
    progress: Progress,
    network: &'a dyn AnyNetwork,
    validation: &'a Samples,
    classes: &'a [String],
    scores: Option<Scores>,
    keeper: Option<Keeper>,
    /// Whether the last checkpoint could not be written.
    failing: bool,
}

impl Observer for Watcher<'_> {
    fn step(&mut self, samples: usize, loss_nats: f32) -> bool {
        self.progress.step(samples, loss_nats);
        !interrupt::asked()
    }

    fn epoch(&mut self, number: u32, loss_nats: f64, crew: &Crew, measured: &mut dyn FnMut() -> Memory) {
        if !self.validation.is_empty() {
            self.scores = Some(evaluation::scores(crew, self.network, &measured(), self.validation, self.classes));
        }
        self.progress.epoch(number, loss_nats, self.scores.as_ref().map(|scores| scores.macro_f1));
    }

    fn state(&mut self, state: &State, last: bool) {
        let Some(keeper) = &mut self.keeper else { return };
        let Some(kept) = keeper.keep(state, self.scores.as_ref(), last) else { return };
        // A checkpoint is for the worst case only: that it cannot be written ends no run, and is said once.
        if let Err(error) = &kept
            && (last || !self.failing)
        {
            let goes_on = if last { "" } else { "; the training goes on and tries again" };
            self.progress.say(&format!("{error}; the newest checkpoint is that of step {}{goes_on}", keeper.saved()));
        }
        self.failing = kept.is_err();
    }
}

/// Everything that is reported of a run.
struct Report<'a> {
    options: &'a TrainOptions,
    entry: &'a Entry,
    name: String,
    carved: bool,
    trained: Trained,
    /// The step that a run started from that was resumed.
    resumed: Option<u32>,
    keeper: Option<Keeper>,
    /// The steps of the whole run.
    steps: u64,
    test: Scores,
    validation: Option<Scores>,
    elapsed: f64,
    passes_per_s: f64,
    bytes: usize,
    path: String,
}

impl Report<'_> {
    fn json(&self, [train, validation, test]: [usize; 3]) -> String {
        let mut report = json!({
            "data": self.name,
            "net": self.entry.name(),
            "options": self.options,
            "samples": {"train": train, "validation": validation, "test": test, "test_carved": self.carved},
            "epochs": self.trained.epochs,
            "steps": self.trained.steps,
            "stopped": self.trained.end == End::Stopped,
            "test": self.test,
            "validation": self.validation,
            "train": {"loss_nats": self.trained.loss_nats},
            "seconds": self.elapsed,
            "passes_per_s": self.passes_per_s,
            "threads": self.trained.threads,
            "lanes": target::LANES,
            "hardware_fma": target::HARDWARE_FMA,
            "model": {"path": self.path, "bytes": self.bytes},
            "resumed_at_step": self.resumed,
            "checkpoint": self.keeper.as_ref().map(|keeper| json!({"directory": keeper.path(), "step": keeper.saved()})),
        });
        if self.trained.members.skipped > 0 {
            report["skipped_members"] = json!(self.trained.members.skipped);
        }
        json_text(&report)
    }

    fn text(&self, [train, _, test]: [usize; 3]) -> String {
        let Self { options, trained, path, .. } = self;
        let sizes = self.entry.network().sizes();
        let parameters = grouped((sizes.params - sizes.statistics) as u64);
        let how = match options.population {
            0 => "plain SGD, no population".into(),
            1 => format!("a population of one noisy copy, ρ = {}", options.rho),
            k => format!("a population of {k} noisy copies, ρ = {}", options.rho),
        };
        let skipped = match trained.members {
            Tally { skipped: 0, .. } => String::new(),
            Tally { made, skipped } => format!(", {skipped} of {} members skipped", grouped(made)),
        };
        let epochs = match trained.end {
            End::Stopped => format!("stopped after {} of {} epochs,", trained.epochs, options.epochs),
            _ => format!("{} epochs", trained.epochs),
        };
        let since = self.resumed.map(|step| format!(" since step {step}")).unwrap_or_default();
        let worst = self.test.per_class.iter().min_by(|a, b| a.f1.total_cmp(&b.f1)).filter(|worst| worst.f1 < 1.0);
        let worst = worst.map(|worst| format!("worst class    `{}`, F1 {:.3} on {} samples\n", worst.name, worst.f1, worst.support));
        let validation = self.validation.as_ref().map(|scores| format!("validation F1  {:.4}\n", scores.macro_f1)).unwrap_or_default();
        format!(
            "{net} ({parameters} parameters) with {how}\n\
             learnt from {train} samples of {name}: {epochs} in {time}{since}\n\
             loss {loss:.4} nats, {passes} passes a second{skipped}\n\n\
             on {test} samples that it never saw\n\
             macro F1       {f1:.4}\naccuracy       {accuracy:.4}\nNLL            {nll:.4} nats\nECE            {ece:.4}\n{worst}{validation}\n\
             wrote {path} ({bytes} bytes)\n\n{next}",
            net = self.entry.name(),
            name = self.name,
            time = seconds(self.elapsed),
            passes = grouped(self.passes_per_s as u64),
            loss = trained.loss_nats,
            f1 = self.test.macro_f1,
            accuracy = self.test.accuracy,
            nll = self.test.nll,
            ece = self.test.ece,
            worst = worst.unwrap_or_default(),
            bytes = grouped(self.bytes as u64),
            next = self.next(),
        )
    }

    /// What to try now: lines that can be copied.
    fn next(&self) -> String {
        let (me, path, data) = (invocation(), quoted(&self.path), &self.options.data);
        let test = data.csv.test.as_ref().map(|test| test.display().to_string());
        let shape = data.shape.map(|shape| shape.to_string());
        let given = [
            ("data", (data.name != "digits" || shape.is_some()).then_some(&data.name)),
            ("label", data.csv.label.as_ref()),
            ("test", test.as_ref()),
            ("as", shape.as_ref()),
        ];
        let given: String = given.into_iter().filter_map(|(option, value)| Some(format!(" --{option} {}", quoted(value?)))).collect();
        let (population, what) = match self.options.population {
            0 => (4, "the same with a population of noisy copies"),
            _ => (0, "the same without the population: plain SGD"),
        };
        let on = self.keeper.as_ref().filter(|_| self.trained.end == End::Stopped);
        let on = on.map(|keeper| (start::command(keeper), format!("goes on behind step {} of {}", keeper.saved(), self.steps)));
        let lines = [
            (format!("{me} eval {path}{given}"), "which classes it takes for which"),
            (format!("{me} train{given} --population {population}"), what),
        ];
        let lines: Vec<_> = on.into_iter().chain(lines.map(|(line, what)| (line, what.into()))).collect();
        let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
        let lines: String = lines.iter().map(|(line, what)| format!("  {line:width$}   # {what}\n")).collect();
        format!("next\n{lines}")
    }
}
