//! Runs of a study, made: one after the other or several at a time, each on one thread, with the same results for any number at a time.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use super::plan::{Purpose, Run, identity};
use super::records::{Judgement, Moment, Record};
use crate::any_network::AnyNetwork;
use crate::engine::Crew;
use crate::entry::Entry;
use crate::evaluation;
use crate::experiment::{self, Experiment, Material};
use crate::failure::Failure;
use crate::memory::Memory;
use crate::metrics::Scores;
use crate::options::TrainOptions;
use crate::training::{End, Observer, train};

/// The most points of a curve.
const MOMENTS: u32 = 20;

/// Data sets that were read, kept for the runs that learn from them.
#[derive(Default)]
pub struct Shelf(Mutex<HashMap<String, Material>>);

impl Shelf {
    /// The data for a run; read once for all that take them alike.
    pub fn material(&self, networks: &[Entry], options: &TrainOptions) -> Result<Material, Failure> {
        let mut shelf = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // How the data are read may depend on the network.
        let key = format!("{:?} {:?} {:?}", options.data, options.train_samples, options.net);
        if let Some(material) = shelf.get(&key) {
            return Ok(material.clone());
        }
        let material = experiment::material(networks, options)?;
        shelf.insert(key, material.clone());
        Ok(material)
    }
}

impl From<&Scores> for Judgement {
    fn from(&Scores { macro_f1, accuracy, nll, ece, .. }: &Scores) -> Self {
        Self { macro_f1, accuracy, nll, ece }
    }
}

/// Follows a run.
struct Follower<'a> {
    experiment: &'a Experiment<'a>,
    stop: &'a (dyn Fn() -> bool + Sync),
    every: u32,
    curve: Vec<Moment>,
}

impl Observer for Follower<'_> {
    fn step(&mut self, _: usize, _: f32) -> bool {
        !(self.stop)()
    }

    fn epoch(&mut self, epoch: u32, loss_nats: f64, crew: &Crew, measured: &mut dyn FnMut() -> Memory) {
        if !epoch.is_multiple_of(self.every) && epoch != self.experiment.recipe.epochs {
            return;
        }
        let Experiment { entry, prepared, .. } = self.experiment;
        let scored = || judge(crew, entry.network(), &measured(), prepared, true).macro_f1;
        let macro_f1 = (!prepared.validation.is_empty()).then(scored);
        self.curve.push(Moment { epoch, loss_nats, macro_f1 });
    }
}

/// On the validation samples, or on the test part.
fn judge(crew: &Crew, network: &dyn AnyNetwork, parameters: &[f32], prepared: &crate::parts::Prepared, validation: bool) -> Judgement {
    let samples = if validation { &prepared.validation } else { &prepared.test };
    Judgement::from(&evaluation::scores(crew, network, parameters, samples, &prepared.classes))
}

/// CRC-64/XZ of parameters.
pub fn parameters_crc(parameters: &[f32]) -> String {
    let crc = crc::Crc::<u64>::new(&crc::CRC_64_XZ);
    let mut digest = crc.digest();
    parameters.iter().for_each(|parameter| digest.update(&parameter.to_le_bytes()));
    format!("{:016x}", digest.finalize())
}

/// Makes a run; `None` when it was stopped.
pub fn perform(networks: &[Entry], shelf: &Shelf, run: &Run, stop: &(dyn Fn() -> bool + Sync)) -> Result<Option<Record>, Failure> {
    let material = shelf.material(networks, &run.options)?;
    let experiment = experiment::set_up(networks, &run.options, material)?;
    let Experiment { entry, prepared, recipe, .. } = &experiment;
    let mut follower = Follower { experiment: &experiment, stop, every: recipe.epochs.div_ceil(MOMENTS), curve: Vec::new() };
    let started = Instant::now();
    let trained = train(entry.network(), recipe, &prepared.train, &mut follower);
    let seconds = started.elapsed().as_secs_f64();
    if trained.end == End::Stopped {
        return Ok(None);
    }
    let judged = |validation| judge(&Crew::default(), entry.network(), &trained.parameters, prepared, validation);
    Ok(Some(Record {
        purpose: run.purpose,
        words: run.words.clone(),
        options: identity(&run.options),
        train_samples: prepared.train.len(),
        epochs: trained.epochs,
        steps: trained.steps,
        passes: trained.passes,
        seconds,
        train_loss_nats: trained.loss_nats,
        validation: (!prepared.validation.is_empty()).then(|| judged(true)),
        test: (run.purpose == Purpose::Final).then(|| judged(false)),
        diverged: matches!(trained.end, End::Diverged { .. } | End::Unstable { .. }),
        parameters_crc: parameters_crc(&trained.parameters),
        curve: follower.curve,
    }))
}

/// Makes runs, `jobs` at a time; `done` takes each as it is complete, with its number. False when `asked` ended it before all were made.
pub fn all(
    networks: &[Entry],
    shelf: &Shelf,
    runs: &[Run],
    jobs: usize,
    asked: &(dyn Fn() -> bool + Sync),
    mut done: impl FnMut(usize, Record) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let stop = || asked() || failed.load(Ordering::Relaxed);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, runs.len().max(1)) {
            let (sender, next, stop) = (sender.clone(), &next, &stop);
            scope.spawn(move || {
                while !stop() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(run) = runs.get(number) else { return };
                    // Nobody listens any more after a failure: then this thread ends too.
                    if sender.send((number, perform(networks, shelf, run, stop))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut made = 0;
        for (number, result) in receiver {
            let kept = result.and_then(|record| match record {
                Some(record) => done(number, record).map(|()| 1),
                None => Ok(0),
            });
            made += kept.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(made == runs.len())
    })
}
