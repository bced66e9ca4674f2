//! A fine-tuning session as a device runs it, computed here to the same bits: pg-core's tuner with memory from the heap.
//!
//! It knows neither files nor options; samples come raw, as the device gets them.

use pg_core::normalisation::Normalisation;
use pg_core::tuner::{Entry, FineTuner, Look, Memory as Lent, Settings, TuneError};
use pg_core::{Network, Widest};

use crate::memory::Memory;

/// The batches that a session may have: a tuner's batch is a constant of its type.
pub const BATCHES: [usize; 4] = [1, 4, 8, 16];

/// The most samples in the ring.
pub const MOST_SAMPLES: usize = 4096;

/// What a session starts from.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The parameters of the trained model.
    pub parameters: &'a [f32],
    /// What is done to a raw sample.
    pub normalisation: Normalisation<'a>,
    /// Raw samples, one after the other, in the order in which the device gets them.
    pub inputs: &'a [f32],
    /// The class of each.
    pub labels: &'a [u16],
    /// How it learns.
    pub settings: Settings,
    /// One of [`BATCHES`].
    pub batch: usize,
    /// The most steps.
    pub steps: u32,
    /// The seed of noise and replay.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The parameters at the end, the best when it stopped early.
    pub parameters: Vec<f32>,
    /// The loss of each step.
    pub losses: Vec<f32>,
    /// The looks at the held-out samples, each with the number of steps before it.
    pub looks: Vec<(u32, Look)>,
    /// Whether it stopped before the last step, and why.
    pub stopped: Option<TuneError>,
    /// [`FineTuner::checksum`].
    pub checksum: u32,
}

impl Session<'_> {
    /// Runs the session on network `N`.
    ///
    /// # Errors
    /// When the tuner refuses the settings or a sample.
    ///
    /// # Panics
    /// When the batch is not one of [`BATCHES`].
    pub fn run<N: Network>(&self) -> Result<Tuned, TuneError> {
        match self.batch {
            1 => self.with::<N, 1>(),
            4 => self.with::<N, 4>(),
            8 => self.with::<N, 8>(),
            16 => self.with::<N, 16>(),
            _ => panic!("a batch of {BATCHES:?}"),
        }
    }

    fn with<N: Network, const BATCH: usize>(&self) -> Result<Tuned, TuneError> {
        let mut parameters = self.parameters.to_vec();
        let mut working = Memory::zeros(self.settings.needs().sizes::<N, Widest, BATCH>().sum());
        let mut values = vec![0.0; self.inputs.len()];
        let mut entries = Box::new(heapless::Deque::<Entry, MOST_SAMPLES>::new());
        let mut best = vec![0.0; self.settings.scope.len(&N::LEAVES)];
        let memory = Lent {
            parameters: &mut parameters,
            working: &mut working,
            samples: &mut values,
            entries: entries.as_mut_view(),
            best: &mut best,
        };
        let mut tuner = FineTuner::<N, Widest, f32, BATCH>::new(memory, self.normalisation, self.settings, self.seed)?;
        for (sample, &label) in self.inputs.chunks_exact(N::INPUT.len()).zip(self.labels) {
            tuner.label(sample, label)?;
        }
        let (mut losses, mut looks, mut stopped) = (Vec::new(), Vec::new(), None);
        for _ in 0..self.steps {
            match tuner.step() {
                Ok(step) => {
                    losses.push(step.loss);
                    looks.extend(step.look.map(|look| (step.step + 1, look)));
                    if step.stopped {
                        stopped = Some(TuneError::Stopped);
                        break;
                    }
                }
                Err(reason @ TuneError::Diverged) => {
                    stopped = Some(reason);
                    break;
                }
                Err(reason) => return Err(reason),
            }
        }
        let checksum = tuner.checksum();
        Ok(Tuned { parameters, losses, looks, stopped, checksum })
    }
}
