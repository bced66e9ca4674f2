//! The gradient of one step, for a network that is known at run time only: serial, or by several threads with the same bits.
//!
//! An engine owns the scratch memory and nothing else; parameters, data and the optimiser belong to the caller.

mod parallel;
mod serial;

use pg_core::Network;
use pg_core::loss::Loss;
use pg_core::population::{Batch, Population, StepError};

/// Computes the gradient of a step.
pub trait Engine: Send {
    /// Writes the population gradient of `step` at `parameters` over `batch` to `gradient` and returns the mean loss of the members.
    ///
    /// # Errors
    /// When a loss is not finite; `gradient` is then spoilt.
    ///
    /// # Panics
    /// When the batch is larger than the engine was made for.
    fn gradient(&mut self, step: u32, parameters: &[f32], batch: &Batch, gradient: &mut [f32]) -> Result<f32, StepError>;

    /// How many threads it uses.
    fn threads(&self) -> usize;
}

/// What an engine is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task {
    /// The members and their noise.
    pub population: Population,
    /// What is minimised.
    pub loss: Loss,
    /// The seed of the noise.
    pub seed: u64,
    /// The most samples in a batch.
    pub batch: usize,
    /// Threads to use; 0 chooses: one for small steps, else one for each core.
    pub threads: usize,
}

/// Below this many floating-point operations in a step the hand-over to other threads costs more than it brings.
const WORTH_THREADS: f64 = 50e6;

impl Task {
    /// Floating-point operations of a step, two for each multiply-add.
    fn flops<N: Network>(&self) -> f64 {
        2.0 * N::TRAINING_MACS as f64 * self.batch as f64 * f64::from(self.population.members.max(1))
    }

    /// The number of threads that can be of use: no more than there are units of members to hand out.
    fn threads<N: Network>(&self) -> usize {
        let wanted = match self.threads {
            0 if self.flops::<N>() < WORTH_THREADS => 1,
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        wanted.min(self.population.members.div_ceil(parallel::unit(&self.population)) as usize).max(1)
    }

    /// The engine for network `N`.
    pub fn engine<N: Network>(self) -> Box<dyn Engine> {
        match self.threads::<N>() {
            1 => Box::new(serial::Serial::<N>::new(self)),
            // Where the system grants no threads the work is done by this one.
            threads => match parallel::Parallel::<N>::new(self, threads) {
                Ok(parallel) => Box::new(parallel),
                Err(_) => Box::new(serial::Serial::<N>::new(self)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use pg_core::initialise::Initialise;
    use pg_core::loss::Targets;
    use pg_core::perturbation::Distribution;
    use pg_core::zoo::{Mlp9x24x11, Mlp64x32x10};

    use super::*;

    /// The bits of the gradient and of the loss at the second step.
    fn bits<N: Network>(members: u32, antithetic: bool, samples: usize, threads: usize) -> (Vec<u32>, u32, usize) {
        let population = Population { members, rho: 0.5, distribution: Distribution::Gaussian, antithetic };
        let task = Task { population, loss: Loss::CrossEntropy { label_smoothing: 0.1 }, seed: 7, batch: samples, threads };
        let mut engine = task.engine::<N>();
        let mut parameters = vec![0.0; N::PARAMS];
        Initialise::AUTO.write::<N>(3, &mut parameters);
        let inputs: Vec<f32> = (0..samples * N::INPUT.len()).map(|i| (i % 29) as f32 / 29.0 - 0.3).collect();
        let labels: Vec<u16> = (0..samples).map(|i| (i * 7 % N::OUTPUTS) as u16).collect();
        let batch = Batch { inputs: &inputs, targets: Targets::Classes(&labels), samples };
        let mut gradient = vec![f32::NAN; N::PARAMS];
        engine.gradient(0, &parameters, &batch, &mut gradient).unwrap();
        let loss = engine.gradient(1, &parameters, &batch, &mut gradient).unwrap();
        (gradient.iter().map(|g| g.to_bits()).collect(), loss.to_bits(), engine.threads())
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        for (members, antithetic) in [(0, true), (1, true), (2, true), (5, true), (8, true), (5, false), (9, true)] {
            for samples in [1, 7, 32, 100] {
                let (gradient, loss, used) = bits::<Mlp64x32x10>(members, antithetic, samples, 1);
                assert_eq!(used, 1);
                for threads in [2, 3, 8] {
                    let other = bits::<Mlp64x32x10>(members, antithetic, samples, threads);
                    assert!(gradient == other.0 && loss == other.1, "K={members} {antithetic} N={samples} T={threads}");
                    let pairs = members.div_ceil(if antithetic { 2 } else { 1 }) as usize;
                    assert_eq!(other.2, threads.min(pairs).max(1));
                }
            }
        }
        assert_eq!(bits::<Mlp9x24x11>(6, true, 11, 1).0, bits::<Mlp9x24x11>(6, true, 11, 2).0);
    }

    #[test]
    fn a_loss_that_is_not_finite_is_an_error_in_every_engine() {
        for threads in [1, 2] {
            let population = Population { members: 4, rho: 0.5, distribution: Distribution::Gaussian, antithetic: true };
            let task = Task { population, loss: Loss::CrossEntropy { label_smoothing: 0.0 }, seed: 1, batch: 1, threads };
            let mut engine = task.engine::<Mlp9x24x11>();
            let batch = Batch { inputs: &[f32::NAN; 9], targets: Targets::Classes(&[0]), samples: 1 };
            let result = engine.gradient(0, &[0.1; Mlp9x24x11::PARAMS], &batch, &mut [0.0; Mlp9x24x11::PARAMS]);
            assert_eq!(result, Err(StepError::NonFiniteLoss));
        }
    }
}
