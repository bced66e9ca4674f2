//! `bench`.

use std::path::PathBuf;

use pg_core::perturbation::Distribution;
use pg_core::population::BatchMode;

use super::{MOST_MEMBERS, MOST_SAMPLES, MOST_THREADS, need};
use crate::failure::Failure;

/// `bench`.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchOptions {
    /// The networks' names; empty for the usual ones.
    pub nets: Vec<String>,
    /// Samples in a step; empty for those that are usual for the network.
    pub batches: Vec<usize>,
    /// Members; empty for none and eight.
    pub populations: Vec<u32>,
    /// Threads.
    pub threads: Vec<usize>,
    /// The distribution of the noise.
    pub noise: Distribution,
    /// Which samples a member sees.
    pub batch_mode: BatchMode,
    /// How long to measure each step.
    pub seconds: f64,
    /// Time each layer too.
    pub layers: bool,
    /// Where to write the page.
    pub html: Option<PathBuf>,
    /// Print one JSON object.
    pub json: bool,
}

impl BenchOptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Failure> {
        for &batch in &self.batches {
            need((1..=MOST_SAMPLES).contains(&batch), "batch", "between 1 and 1048576 samples", batch)?;
        }
        for &population in &self.populations {
            need(population <= MOST_MEMBERS, "population", "between 0 and 4096", population)?;
        }
        for &threads in &self.threads {
            need((1..=MOST_THREADS).contains(&threads), "threads", "between 1 and 256", threads)?;
        }
        need(self.seconds > 0.0 && self.seconds <= 3600.0, "seconds", "above 0 and at most 3600", self.seconds)
    }
}
