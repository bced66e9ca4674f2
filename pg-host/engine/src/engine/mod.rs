//! The gradient of one step, for a network that is known at run time only, by any number of threads with the same bits: pass after pass, the rows of
//! each shared by all threads (`serial`), or passes at the same time (`parallel`).
//!
//! An engine owns the scratch memory and nothing else; parameters, data and the optimiser belong to the caller.

mod balance;
mod crew;
mod parallel;
mod serial;

use pg_core::Network;
use pg_core::loss::Loss;
use pg_core::population::{BatchMode, Estimate, Population, Source, StepError, shard};

pub use self::crew::{Crew, LINE};
use self::parallel::Parallel;
use self::parallel::jobs::Load;
use self::serial::Serial;

/// Computes the gradient of a step.
pub trait Engine: Send {
    /// Writes the population gradient of `step` at `parameters` over the samples of `source` to `gradient`.
    ///
    /// # Errors
    /// When no loss or not all of the gradient is finite; `gradient` is then spoilt.
    ///
    /// # Panics
    /// When a member sees more samples than the engine was made for.
    fn gradient(&mut self, step: u32, parameters: &[f32], source: &mut dyn Source, gradient: &mut [f32]) -> Result<Estimate, StepError>;

    /// The most samples that it asks a source for at once, when its members see different samples.
    fn at_once(&self) -> usize;

    /// The threads that it uses, for what else there is to do in a step.
    fn crew(&self) -> &Crew;

    /// How many threads it uses.
    fn threads(&self) -> usize {
        self.crew().threads()
    }

    /// The memory that it owns.
    fn memory_bytes(&self) -> usize;
}

/// What an engine is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task {
    /// The members and their noise.
    pub population: Population,
    /// Steps of the run, for the schedule of the noise.
    pub steps: u32,
    /// What is minimised.
    pub loss: Loss,
    /// The seed of the noise.
    pub seed: u64,
    /// The most samples in a batch: those of a step, or with [`BatchMode::Fresh`] those of a member.
    pub batch: usize,
    /// Threads to use; 0 chooses: one for small steps, else one for each core.
    pub threads: usize,
}

/// Below this many floating-point operations in a step the hand-over to other threads costs more than it brings; in a pass, that of its layers' rows.
const WORTH_THREADS: f64 = 10e6;

/// Threads take whole passes only if they work for this part of the time at least; those that share rows do so for about as much.
const BUSY: f64 = 0.9;

/// A number of noise takes about as long as this many floating-point operations of a product.
const NOISE: f64 = 80.0;

impl Task {
    /// Floating-point operations of a step, two for each multiply-add, and its noise.
    fn flops<N: Network>(&self) -> f64 {
        let draws = self.population.members.div_ceil(self.population.unit());
        self.pass_flops::<N>(self.batch) * f64::from(self.population.passes()) + NOISE * N::PARAMS as f64 * f64::from(draws)
    }

    /// Those of a pass over so many samples.
    fn pass_flops<N: Network>(&self, samples: usize) -> f64 {
        2.0 * N::TRAINING_MACS as f64 * samples as f64
    }

    /// The number of threads to use.
    fn threads<N: Network>(&self) -> usize {
        match self.threads {
            0 if self.flops::<N>() < WORTH_THREADS => 1,
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// Whether so many threads had better share the rows of every pass than take a pass each. Shared rows cost hand-overs in every layer, so a pass must be
    /// worth them. Passes side by side leave threads idle where they do not divide evenly; and one for each of two threads does not pay where every
    /// parameter is used about once for a sample: then most of a pass goes to parameters and gradients, which stay in the cache of one thread
    /// when it keeps to its rows. (With more threads hand-overs take more than that saves, or so it is where they are more than cores.)
    fn shares_rows<N: Network>(&self, threads: usize) -> bool {
        let Load { passes, busy } = self.load::<N>(threads);
        let in_one = self.population.is_side_by_side::<N>();
        let parts = if self.population.batch == BatchMode::Split && !in_one { self.population.members.max(1) as usize } else { 1 };
        let is_large = self.pass_flops::<N>(shard::<N>(self.batch.div_ceil(parts))) >= WORTH_THREADS;
        let lone = passes <= 2 && N::MACS <= 2 * N::PARAMS;
        is_large && (in_one || lone || busy < BUSY)
    }

    fn load<N: Network>(&self, threads: usize) -> Load {
        let Population { members, batch, .. } = self.population;
        let samples = self.batch * if batch == BatchMode::Fresh { members.max(1) as usize } else { 1 };
        Load::of::<N>(&self.population, samples, threads)
    }

    /// The engine for network `N`.
    pub fn engine<N: Network>(self) -> Box<dyn Engine> {
        let wanted = self.threads::<N>();
        if wanted == 1 {
            return Box::new(Serial::<N>::new(self, Crew::default()));
        }
        let rows = self.shares_rows::<N>(wanted);
        let most = match self.population.is_side_by_side::<N>() {
            _ if rows => usize::MAX,
            // All members are in one pass, shard after shard.
            true => 1,
            false => self.load::<N>(wanted).passes,
        };
        // Where the system grants no threads the work is done by this one.
        let crew = Crew::new(wanted.min(most)).unwrap_or_default();
        if rows || crew.threads() == 1 { Box::new(Serial::<N>::new(self, crew)) } else { Box::new(Parallel::<N>::new(self, crew)) }
    }
}

#[cfg(test)]
mod tests {
    use pg_core::initialise::Initialise;
    use pg_core::loss::Targets;
    use pg_core::perturbation::{Distribution, Noise, NoiseTargets, ScaleRule};
    use pg_core::population::{Batch, Combine};
    use pg_core::zoo::{Mlp9x24x11, Mlp64x32x10};
    use pg_core::{Image, Sequential};

    use super::*;

    /// All engines that a task may get.
    fn engines<N: Network>(task: Task) -> Vec<Box<dyn Engine>> {
        let crew = || Crew::new(task.threads).unwrap();
        let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(Serial::<N>::new(task, crew()))];
        if task.threads > 1 && !task.population.is_side_by_side::<N>() {
            engines.push(Box::new(Parallel::<N>::new(task, crew())));
        }
        engines
    }

    /// The bits of the gradient and of the loss at the second step.
    fn bits<N: Network>(members: u32, antithetic: bool, samples: usize, threads: usize) -> (Vec<u32>, u32) {
        bits_of::<N>(Population { antithetic, ..Population::new(members, 0.5) }, samples, threads)
    }

    fn bits_of<N: Network>(population: Population, samples: usize, threads: usize) -> (Vec<u32>, u32) {
        let task = Task { population, steps: 2, loss: Loss::CrossEntropy { label_smoothing: 0.1 }, seed: 7, batch: samples, threads };
        let mut parameters = vec![0.0; N::PARAMS];
        Initialise::AUTO.write::<N>(3, &mut parameters);
        let inputs: Vec<f32> = (0..samples * N::INPUT.len()).map(|i| (i % 29) as f32 / 29.0 - 0.3).collect();
        let labels: Vec<u16> = (0..samples).map(|i| (i * 7 % N::OUTPUTS) as u16).collect();
        let mut batch = Batch { inputs: &inputs, targets: Targets::Classes(&labels), samples };
        same(engines::<N>(task).into_iter().map(|mut engine| {
            assert_eq!(engine.threads(), threads);
            let mut gradient = vec![f32::NAN; N::PARAMS];
            engine.gradient(0, &parameters, &mut batch, &mut gradient).unwrap();
            let loss = engine.gradient(1, &parameters, &mut batch, &mut gradient).unwrap().loss;
            (gradient.iter().map(|g| g.to_bits()).collect(), loss.to_bits())
        }))
    }

    /// What all of them are.
    #[track_caller]
    fn same<T: PartialEq>(all: impl IntoIterator<Item = T>) -> T {
        let mut all = all.into_iter();
        let first = all.next().expect("one at least");
        assert!(all.all(|other| other == first), "all engines give the same bits");
        first
    }

    #[test]
    fn members_on_factors_have_the_same_bits_with_any_number_of_threads() {
        use pg_core::layers::{BatchNorm, Conv2d, Dense, Depthwise2d, Relu, Residual};
        type Convolved = Sequential<Image<1, 6, 6>, (Conv2d<7, 3, 1, 1>, Relu, Residual<(Depthwise2d<3, 1, 1>, BatchNorm)>, Dense<10>)>;
        check_threads_on_factors::<Mlp64x32x10>();
        check_threads_on_factors::<Convolved>();
    }

    fn check_threads_on_factors<N: Network>() {
        for batch in [BatchMode::Shared, BatchMode::Split, BatchMode::Fresh] {
            for combine in [Combine::Mean, Combine::Softmax { tau: 0.5 }] {
                let mut population = Population { batch, combine, ..Population::new(5, 0.5) };
                population.noise.distribution = Distribution::RankOne;
                for samples in [7, 100] {
                    let samples = if batch == BatchMode::Fresh { 5 * samples } else { samples };
                    let one = bits_of::<N>(population, samples, 1);
                    for threads in [2, 3] {
                        let other = bits_of::<N>(population, samples, threads);
                        assert!(one == other, "{population:?} N={samples} T={threads}");
                    }
                }
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        for (members, antithetic) in [(0, true), (1, true), (2, true), (5, true), (8, true), (5, false), (9, true)] {
            for samples in [1, 7, 32, 100] {
                let one = bits::<Mlp64x32x10>(members, antithetic, samples, 1);
                for threads in [2, 3, 8] {
                    let other = bits::<Mlp64x32x10>(members, antithetic, samples, threads);
                    assert!(one == other, "K={members} {antithetic} N={samples} T={threads}");
                }
            }
        }
        assert_eq!(bits::<Mlp9x24x11>(6, true, 11, 1).0, bits::<Mlp9x24x11>(6, true, 11, 2).0);
    }

    /// The bits of the gradient and of the loss, and members skipped, of a population with this network, these parameters and this batch.
    fn of<N: Network>(population: Population, theta: &[f32], batch: Batch, threads: usize) -> Result<(Vec<u32>, u32, u32), StepError> {
        let fresh = if population.batch == BatchMode::Fresh { population.members as usize } else { 1 };
        let loss = Loss::CrossEntropy { label_smoothing: 0.0 };
        let task = Task { population, steps: 4, loss, seed: 7, batch: batch.samples.div_ceil(fresh), threads };
        same(engines::<N>(task).into_iter().map(|mut engine| {
            let mut gradient = vec![f32::NAN; N::PARAMS];
            let estimate = engine.gradient(1, theta, &mut { batch }, &mut gradient)?;
            Ok((gradient.iter().map(|g| g.to_bits()).collect(), estimate.loss.to_bits(), estimate.skipped))
        }))
    }

    #[test]
    fn every_mode_and_rule_gives_the_same_bits_for_any_number_of_threads() {
        type N = Mlp9x24x11;
        let mut parameters = vec![0.0; N::PARAMS];
        Initialise::AUTO.write::<N>(3, &mut parameters);
        for mode in [BatchMode::Shared, BatchMode::Split, BatchMode::Fresh] {
            for combine in [Combine::Mean, Combine::Clean { lambda: 0.3 }, Combine::Softmax { tau: 0.1 }] {
                for (members, samples) in [(1, 200), (2, 130), (3, 60), (5, 410), (9, 900), (6, 4)] {
                    let samples = if mode == BatchMode::Fresh { samples * members } else { samples };
                    let inputs: Vec<f32> = (0..samples * 9).map(|i| (i % 29) as f32 / 29.0 - 0.3).collect();
                    let labels: Vec<u16> = (0..samples).map(|i| (i * 7 % 11) as u16).collect();
                    let batch = Batch { inputs: &inputs, targets: Targets::Classes(&labels), samples };
                    let population = Population { batch: mode, combine, ..Population::new(members as u32, 0.5) };
                    let expected = of::<N>(population, &parameters, batch, 1);
                    assert!(expected.is_ok());
                    for threads in [2, 3, 8] {
                        assert!(of::<N>(population, &parameters, batch, threads) == expected, "{population:?} {samples} {threads}");
                    }
                }
            }
        }
    }

    /// Large enough for threads to share products, convolutions, batch norms, pools and noise.
    #[test]
    fn threads_that_share_every_pass_give_the_bits_of_one() {
        use pg_core::layers::{BatchNorm, Conv2d, Dense, MaxPool2d, Relu};
        type Wide = Sequential<Image<1, 20, 20>, (Dense<600>, Relu, Dense<200>, BatchNorm, Relu, Dense<30>)>;
        type Convolved = Sequential<Image<2, 20, 20>, (Conv2d<7, 3>, BatchNorm, Relu, Conv2d<13, 3>, MaxPool2d<2>, Relu, Dense<10>)>;
        check_sharing::<Wide>();
        check_sharing::<Convolved>();
    }

    fn check_sharing<N: Network>() {
        for distribution in [Distribution::Gaussian, Distribution::RankOne] {
            for (members, batch) in [(0, BatchMode::Shared), (1, BatchMode::Shared), (3, BatchMode::Shared), (3, BatchMode::Split)] {
                let mut population = Population { batch, ..Population::new(members, 0.3) };
                population.noise.distribution = distribution;
                let one = bits_of::<N>(population, 60, 1);
                for threads in [2, 3] {
                    let other = bits_of::<N>(population, 60, threads);
                    assert!(one == other, "{population:?} T={threads}");
                }
            }
        }
    }

    #[test]
    fn rows_are_shared_where_passes_are_large_and_would_leave_threads_idle() {
        use pg_core::zoo::{Lenet28, Mlp784x128x10};
        fn shares<N: Network>(members: u32, batch: usize, threads: usize) -> bool {
            let (population, loss) = (Population::new(members, 0.3), Loss::MeanSquaredError);
            Task { population, steps: 1, loss, seed: 1, batch, threads }.shares_rows::<N>(threads)
        }
        assert_eq!([0, 1, 2, 3, 4, 5, 8].map(|k| shares::<Mlp784x128x10>(k, 64, 2)), [true, true, true, true, false, true, false]);
        assert_eq!([0, 1, 2, 3, 4, 5, 8].map(|k| shares::<Lenet28>(k, 64, 2)), [true, true, false, true, false, true, false]);
        assert_eq!([0, 1, 2, 3, 4, 5, 8].map(|k| shares::<Mlp64x32x10>(k, 64, 2)), [false; 7]);
        assert!(!shares::<Mlp784x128x10>(0, 256, 2) && !shares::<Mlp784x128x10>(101, 64, 2) && shares::<Mlp784x128x10>(4, 64, 8));
        // One shard of 64 samples and one of a single sample.
        assert!(shares::<Lenet28>(0, 65, 2) && !shares::<Lenet28>(0, 128, 2));
    }

    #[test]
    fn rows_are_shared_in_every_batch_mode_and_rule_where_passes_leave_threads_idle() {
        use pg_core::zoo::Lenet28 as N;
        let shares =
            |population| Task { population, steps: 1, loss: Loss::MeanSquaredError, seed: 1, batch: 64, threads: 2 }.shares_rows::<N>(2);
        let of = |members, batch, combine| Population { batch, combine, ..Population::new(members, 0.3) };
        let (mean, clean) = (Combine::Mean, Combine::Clean { lambda: 0.5 });
        assert!(!shares(of(4, BatchMode::Split, mean)) && !shares(of(4, BatchMode::Fresh, mean)));
        assert!(shares(of(3, BatchMode::Split, mean)) && shares(of(3, BatchMode::Fresh, mean)) && shares(of(0, BatchMode::Split, mean)));
        // Members first, then the central network alone.
        assert!(
            shares(of(3, BatchMode::Shared, clean)) && shares(of(2, BatchMode::Shared, clean)) && !shares(of(20, BatchMode::Shared, clean))
        );
        // All members in one pass of all samples.
        let mut factored = of(16, BatchMode::Split, mean);
        factored.noise.distribution = Distribution::RankOne;
        assert!(shares(factored) && !shares(of(16, BatchMode::Split, mean)));
    }

    #[test]
    fn noise_that_threads_make_together_is_that_of_one_thread_under_every_law() {
        use pg_core::layers::{BatchNorm, Conv2d, Dense, Relu};
        check_laws::<Mlp64x32x10>();
        check_laws::<Sequential<Image<1, 6, 6>, (Conv2d<7, 3, 1, 1>, BatchNorm, Relu, Dense<10>)>>();
    }

    fn check_laws<N: Network>() {
        let everything = NoiseTargets { biases: true, gains: true, ..NoiseTargets::WEIGHTS };
        let laws = [Distribution::Gaussian, Distribution::Uniform, Distribution::Rademacher, Distribution::RankOne];
        for distribution in laws {
            for scale in [ScaleRule::Filter, ScaleRule::FilterExact, ScaleRule::Weight, ScaleRule::Absolute] {
                for targets in [NoiseTargets::WEIGHTS, everything, NoiseTargets { weights: false, first_layer: 2, ..everything }] {
                    for (members, samples, threads) in [(1, 200, 3), (2, 20, 2), (4, 20, 3), (4, 20, 4), (8, 20, 8), (3, 100, 2)] {
                        let noise = Noise { rho: 0.2, distribution, scale, targets };
                        let population = Population { noise, ..Population::new(members, 0.2) };
                        let (one, many) = (bits_of::<N>(population, samples, 1), bits_of::<N>(population, samples, threads));
                        assert!(one == many, "{population:?} {threads}");
                    }
                }
            }
        }
    }

    #[test]
    fn members_are_skipped_alike_by_any_number_of_threads() {
        type N = Mlp9x24x11;
        let mut parameters = vec![0.0; N::PARAMS];
        Initialise::AUTO.write::<N>(3, &mut parameters);
        let inputs: Vec<f32> = (0..70 * 9).map(|i| (i % 29) as f32 / 29.0 - 0.3).collect();
        let labels: Vec<u16> = (0..70).map(|i| (i * 7 % 11) as u16).collect();
        let batch = Batch { inputs: &inputs, targets: Targets::Classes(&labels), samples: 70 };
        let mut skipped = 0;
        // At some of these scales a few members overflow.
        for rho in (0..40).map(|i| 3e17 * 1.1f32.powi(i)) {
            let noise = Noise { scale: ScaleRule::Absolute, ..Noise::new(rho) };
            let population = Population { noise, ..Population::new(9, rho) };
            let expected = of::<N>(population, &parameters, batch, 1);
            assert!(of::<N>(population, &parameters, batch, 2) == expected, "ρ = {rho}");
            skipped += u32::from(expected.is_ok_and(|(_, _, skipped)| skipped > 0));
        }
        assert!(skipped > 0, "a step had a member to skip");
    }

    #[test]
    fn a_mistake_of_the_caller_panics_with_several_threads_and_nobody_waits_for_ever() {
        for members in [0, 5, 8] {
            let population = Population::new(members, 0.5);
            let task = Task { population, steps: 1, loss: Loss::CrossEntropy { label_smoothing: 0.0 }, seed: 1, batch: 200, threads: 3 };
            // The last shard has a label without an output.
            let mut labels = [0; 200];
            labels[199] = 11;
            for mut engine in engines::<Mlp9x24x11>(task) {
                let mut batch = Batch { inputs: &[0.5; 200 * 9], targets: Targets::Classes(&labels), samples: 200 };
                let step = || engine.gradient(0, &[0.1; Mlp9x24x11::PARAMS], &mut batch, &mut [0.0; Mlp9x24x11::PARAMS]);
                assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)).is_err(), "{members} members");
                let short = || engine.gradient(0, &[0.1; Mlp9x24x11::PARAMS], &mut batch, &mut [0.0; 500]);
                assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(short)).is_err(), "{members} members");
            }
        }
    }

    #[test]
    fn a_step_after_one_that_failed_has_the_bits_of_the_first_step_of_a_new_engine() {
        type N = Mlp9x24x11;
        // Pairs, members that threads make together, and shards of one.
        for (members, threads) in [(8, 2), (4, 4), (2, 2), (1, 3)] {
            let population = Population::new(members, 0.5);
            let task = Task { population, steps: 9, loss: Loss::CrossEntropy { label_smoothing: 0.0 }, seed: 1, batch: 200, threads };
            let labels: Vec<u16> = (0..200).map(|i| i % 11).collect();
            let inputs: Vec<f32> = (0..200 * 9).map(|i| (i % 29) as f32 / 29.0 - 0.3).collect();
            let gradient = |engine: &mut dyn Engine, inputs: &[f32]| {
                let mut batch = Batch { inputs, targets: Targets::Classes(&labels), samples: 200 };
                let mut gradient = [f32::NAN; N::PARAMS];
                engine.gradient(3, &[0.1; N::PARAMS], &mut batch, &mut gradient).map(|_| gradient.map(f32::to_bits))
            };
            let expected = gradient(&mut *task.engine::<N>(), &inputs).unwrap();
            for bad in [0, 1000, 1799] {
                let mut spoilt = inputs.clone();
                spoilt[bad] = f32::NAN;
                for mut engine in engines::<N>(task) {
                    assert_eq!(gradient(&mut *engine, &spoilt), Err(StepError::NonFiniteLoss));
                    assert!(gradient(&mut *engine, &inputs) == Ok(expected), "{members} members, {threads} threads");
                }
            }
        }
    }

    #[test]
    fn a_loss_that_is_not_finite_is_an_error_in_every_engine() {
        for threads in [1, 2] {
            let population = Population::new(4, 0.5);
            let task = Task { population, steps: 1, loss: Loss::CrossEntropy { label_smoothing: 0.0 }, seed: 1, batch: 1, threads };
            for mut engine in engines::<Mlp9x24x11>(task) {
                let mut batch = Batch { inputs: &[f32::NAN; 9], targets: Targets::Classes(&[0]), samples: 1 };
                let result = engine.gradient(0, &[0.1; Mlp9x24x11::PARAMS], &mut batch, &mut [0.0; Mlp9x24x11::PARAMS]);
                assert_eq!(result, Err(StepError::NonFiniteLoss));
            }
        }
    }
}
