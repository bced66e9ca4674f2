//! `replay`: a session to compute, or one that was recorded.

use std::path::PathBuf;

use pg_core::tuner::Settings;

use super::{DataOptions, MOST_MEMBERS, Part};
use crate::failure::Failure;
use crate::session::{BATCHES, MOST_SAMPLES};

/// What `replay` is to compute.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayOptions {
    /// The model file that the device starts from.
    pub model: PathBuf,
    /// The data; without it those that the model was trained on.
    pub data: Option<DataOptions>,
    /// Which part the labelled samples are of.
    pub part: Part,
    /// How many labelled samples the device gets.
    pub samples: usize,
    /// The seed by which they are drawn, class by class; the first in the file without it.
    pub draw: Option<u64>,
    /// How many sessions, each with the next draw and seed.
    pub sessions: u32,
    /// The most steps of a session.
    pub steps: u32,
    /// Samples in a step.
    pub batch: usize,
    /// How it learns; the scope is that of `last` and `biases`.
    pub settings: Settings,
    /// Only the last so many layers with parameters learn.
    pub last: Option<u32>,
    /// Only biases and gains learn.
    pub biases: bool,
    /// The seed of noise and replay.
    pub seed: u64,
    /// Print what the device prints.
    pub log: bool,
    /// Print JSON.
    pub json: bool,
}

impl ReplayOptions {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// [`Failure::Usage`]: one sentence.
    pub fn check(&self) -> Result<(), Failure> {
        let usage = |sentence: String| Err(Failure::Usage(sentence));
        if !(1..=MOST_SAMPLES).contains(&self.samples) {
            return usage(format!("--samples must be from 1 to {MOST_SAMPLES}"));
        }
        if !BATCHES.contains(&self.batch) {
            return usage(format!("--batch must be one of {}", BATCHES.map(|batch| batch.to_string()).join(", ")));
        }
        if self.steps == 0 || self.sessions == 0 {
            return usage("--steps and --sessions must be at least 1".into());
        }
        if self.last == Some(0) {
            return usage("--last must be at least 1: with no layer there is nothing to learn".into());
        }
        if self.sessions > 1 && self.log {
            return usage("--log prints one session, so it goes with --sessions 1".into());
        }
        if self.settings.population.members > MOST_MEMBERS {
            return usage(format!("--population must be at most {MOST_MEMBERS}"));
        }
        Ok(())
    }
}

/// Which recorded session `replay` is to compute.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionOptions {
    /// The model file that the device was built with.
    pub model: PathBuf,
    /// The record.
    pub session: PathBuf,
    /// The file for the model at its end.
    pub out: Option<PathBuf>,
    /// Print what the device prints.
    pub log: bool,
    /// Print JSON.
    pub json: bool,
}
