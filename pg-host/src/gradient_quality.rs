//! How close gradients come to that of a large held-out set: the claim of population gradients, measured directly.
//!
//! At parameters θ of a training run three estimates are held against g*, the gradient of the plain loss on samples that were never learnt from:
//! the plain gradient of a fresh batch, the plain gradient of as many such batches as one as cost what the population costs, and
//! the population's gradient of the same batch. Each is drawn many times; cos(g, g*) and ‖g‖/‖g*‖ are reported. The population's mean loss less
//! the plain loss on the same batch is a measure of sharpness, E[L(θ+ε)] - L(θ), and costs nothing more.
//!
//! With batch normalisation g* is the mean over batches of the size that was trained with, as the network learns in them.

use std::sync::Arc;

use pg_core::layers::SegmentKind;
use pg_core::loss::Targets;
use pg_core::noise::{Purpose, Stream};
use pg_core::population::{Batch, Population, StepError};
use serde::Serialize;

use crate::any_network::AnyNetwork;
use crate::augmentation::Gatherer;
use crate::data::Samples;
use crate::engine::{Engine, Task};
use crate::memory::Memory;
use crate::study::statistics::{deviation, mean};
use crate::supply::Supply;
use crate::training::{Observer, Recipe, State};

/// An estimate of the gradient against that of the held-out samples: means over the draws, and standard deviations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Samples of an estimate.
    pub samples: usize,
    /// Mean cosine.
    pub cosine: f64,
    /// Its standard deviation over the draws.
    pub cosine_deviation: f64,
    /// Mean ratio of the norms, the estimate's to that of the held-out samples.
    pub norm_ratio: f64,
    /// Its standard deviation over the draws.
    pub norm_ratio_deviation: f64,
}

/// What was measured at one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// Steps before it.
    pub step: u32,
    /// The same in epochs.
    pub epoch: f64,
    /// ‖g*‖.
    pub held_out_norm: f64,
    /// The mean loss on the held-out samples, in nats.
    pub held_out_loss_nats: f64,
    /// A plain gradient at the batch that is trained with.
    pub plain: Quality,
    /// A plain gradient at K times the batch: the same compute.
    pub plain_at_equal_compute: Quality,
    /// The population's at the batch.
    pub population: Quality,
    /// E[L(θ+ε)] - L(θ) on the batches, in nats.
    pub sharpness_nats: f64,
    /// Its standard deviation over the draws.
    pub sharpness_nats_deviation: f64,
}

/// Keeps the parameters after some numbers of steps of a run; those after none are the first.
pub struct Keeper<'a> {
    /// The numbers of steps.
    pub steps: &'a [u32],
    /// What was kept.
    pub kept: Vec<(u32, Memory)>,
    /// Ends the run early.
    pub stop: &'a dyn Fn() -> bool,
}

impl Observer for Keeper<'_> {
    fn step(&mut self, _: usize, _: f32) -> bool {
        !(self.stop)()
    }

    fn state(&mut self, state: &State, _: bool) {
        if self.steps.contains(&state.step) {
            self.kept.push((state.step, state.parameters.clone()));
        }
    }
}

/// Draws of one estimate.
#[derive(Default)]
struct Draws {
    cosines: Vec<f64>,
    ratios: Vec<f64>,
}

impl Draws {
    fn add(&mut self, gradient: &[f32], held_out: &[f32]) {
        let (dot, norm, other) = (dot(gradient, held_out), dot(gradient, gradient).sqrt(), dot(held_out, held_out).sqrt());
        // Of a gradient that vanishes no direction is known.
        let product = norm * other;
        self.cosines.push(if product > 0.0 { dot / product } else { 0.0 });
        self.ratios.push(if other > 0.0 { norm / other } else { 0.0 });
    }

    fn quality(&self, samples: usize) -> Quality {
        Quality {
            samples,
            cosine: mean(&self.cosines),
            cosine_deviation: deviation(&self.cosines),
            norm_ratio: mean(&self.ratios),
            norm_ratio_deviation: deviation(&self.ratios),
        }
    }
}

/// A sum of products in `f64`.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Measures at one set of parameters.
///
/// # Errors
/// When a loss is not finite.
///
/// # Panics
/// When there is no held-out sample.
pub fn measure(
    network: &dyn AnyNetwork,
    recipe: &Recipe,
    samples: &Arc<Samples>,
    held_out: &Samples,
    (step, parameters): (u32, &Memory),
    repeats: u32,
) -> Result<Measurement, StepError> {
    // Not the noise that the run has seen.
    let seed = recipe.seed ^ 0x6772_6164;
    let plain = Population::NONE;
    let batch = recipe.batch.min(samples.len());
    let large = (batch * recipe.population.passes() as usize).min(samples.len());
    // The draws of a step are numbered in turn, and the run is as many times as long: what changes along it stays in its place.
    let steps = (recipe.steps_per_epoch(samples.len()) as u32 * recipe.epochs + 1).saturating_mul(repeats);
    let engine = |population, batch| network.engine(Task { population, steps, loss: recipe.loss, seed, batch, threads: recipe.threads });
    let (mut one, mut many, mut noisy) = (engine(plain, batch), engine(plain, large), engine(recipe.population, batch));
    let (target, loss) = whole(network, &mut *one, parameters, held_out, batch)?;
    let trained = trained(network, parameters.len());
    let mut gradient = Memory::zeros(parameters.len());
    let mut draws = [(); 3].map(|()| Draws::default());
    let mut sharpness = Vec::new();
    let mut gatherer = Gatherer::new(recipe.augmentation, network.sizes().input, large.max(noisy.at_once()), Arc::clone(samples));
    let mut order = Vec::new();
    for repeat in 0..repeats {
        drawn(seed, step, repeat, samples.len(), &mut order);
        // Each estimate has noise and masks of its own.
        let number = step.wrapping_mul(repeats).wrapping_add(repeat);
        let mut losses = [0.0; 3];
        let estimates = [(&mut one, plain, batch), (&mut many, plain, large), (&mut noisy, recipe.population, batch)];
        for (i, (engine, population, count)) in estimates.into_iter().enumerate() {
            let mut supply = Supply::new(&mut gatherer, &population, (seed, repeat), &order, 0..count);
            losses[i] = engine.gradient(number, parameters, &mut supply, &mut gradient)?.loss;
            gradient.iter_mut().zip(&trained).filter(|(_, trained)| !**trained).for_each(|(g, _)| *g = 0.0);
            draws[i].add(&gradient, &target);
        }
        sharpness.push(f64::from(losses[2]) - f64::from(losses[0]));
    }
    let [plain, compute, population] = &draws;
    Ok(Measurement {
        step,
        epoch: f64::from(step) / recipe.steps_per_epoch(samples.len()) as f64,
        held_out_norm: dot(&target, &target).sqrt(),
        held_out_loss_nats: loss,
        plain: plain.quality(batch),
        plain_at_equal_compute: compute.quality(large),
        population: population.quality(batch),
        sharpness_nats: mean(&sharpness),
        sharpness_nats_deviation: deviation(&sharpness),
    })
}

/// Which parameters are trained: running statistics are not.
fn trained(network: &dyn AnyNetwork, count: usize) -> Vec<bool> {
    let mut trained = vec![false; count];
    for segment in network.segments().into_iter().filter(|s| !matches!(s.kind, SegmentKind::Mean | SegmentKind::Variance)) {
        trained[segment.range()].fill(true);
    }
    trained
}

/// The plain gradient of all samples, and their mean loss: the mean over batches, by their sizes, summed in `f64`.
fn whole(
    network: &dyn AnyNetwork,
    engine: &mut dyn Engine,
    parameters: &Memory,
    samples: &Samples,
    size: usize,
) -> Result<(Vec<f32>, f64), StepError> {
    assert!(!samples.is_empty(), "samples to hold gradients against");
    let elements = network.sizes().input.len();
    let (mut sum, mut total) = (vec![0.0f64; parameters.len()], 0.0);
    let mut gradient = Memory::zeros(parameters.len());
    let trained = trained(network, parameters.len());
    for (inputs, labels) in samples.inputs.chunks(size * elements).zip(samples.labels.chunks(size)) {
        let mut batch = Batch { inputs, targets: Targets::Classes(labels), samples: labels.len() };
        total += labels.len() as f64 * f64::from(engine.gradient(0, parameters, &mut batch, &mut gradient)?.loss);
        sum.iter_mut().zip(gradient.iter()).for_each(|(sum, &g)| *sum += labels.len() as f64 * f64::from(g));
    }
    let count = samples.len() as f64;
    let mean = sum.iter().zip(trained).map(|(sum, trained)| if trained { (sum / count) as f32 } else { 0.0 }).collect();
    Ok((mean, total / count))
}

/// All samples in an order that follows from the numbers: the first of them are a batch.
fn drawn(seed: u64, step: u32, repeat: u32, samples: usize, order: &mut Vec<u32>) {
    let stream = Stream::new(seed, Purpose::Shuffle, step, repeat);
    order.clear();
    order.extend(0..samples as u32);
    for last in (1..samples).rev() {
        order.swap(last, stream.below(last as u32, last as u32 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(count: usize) -> Arc<Samples> {
        Arc::new(Samples {
            inputs: (0..count * 9).map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5).collect(),
            labels: (0..count).map(|i| (i * 7 % 11) as u16).collect(),
        })
    }

    fn recipe(words: &str) -> Recipe {
        let words: Vec<String> = words.split_whitespace().map(String::from).collect();
        crate::cli::train_options(&words).unwrap().recipe()
    }

    #[test]
    fn the_gradient_of_all_held_out_samples_is_that_of_one_batch_of_them_all() {
        let zoo = crate::zoo();
        let network = zoo.iter().find(|entry| entry.name() == "mlp-9-24-11").unwrap().network();
        let recipe = recipe("--batch 50 --population 4 --rho 0");
        let (all, parameters) = (samples(50), network.initialise(recipe.initialise, 3));
        // A batch of everything, held against everything: cosine and ratio are 1, and without noise nothing is sharp.
        let measured = measure(network, &recipe, &all, &all, (0, &parameters), 3).unwrap();
        for quality in [measured.plain, measured.plain_at_equal_compute, measured.population] {
            assert!((quality.cosine - 1.0).abs() < 1e-6 && (quality.norm_ratio - 1.0).abs() < 1e-6, "{quality:?}");
            assert_eq!(quality.samples, 50);
        }
        assert!(measured.sharpness_nats.abs() < 1e-6 && measured.held_out_norm > 0.0);
    }

    #[test]
    fn larger_batches_come_closer_and_noise_costs_loss() {
        let zoo = crate::zoo();
        let network = zoo.iter().find(|entry| entry.name() == "mlp-9-24-11").unwrap().network();
        let recipe = recipe("--batch 8 --population 8 --rho 0.5");
        let (learnt, held_out) = (samples(200), samples(400));
        let parameters = network.initialise(recipe.initialise, 3);
        let measured = measure(network, &recipe, &learnt, &held_out, (5, &parameters), 20).unwrap();
        assert!(measured.plain_at_equal_compute.cosine > measured.plain.cosine, "{measured:?}");
        assert_eq!((measured.plain_at_equal_compute.samples, measured.step, measured.epoch), (64, 5, 0.2));
        assert!(measured.sharpness_nats > 0.0);
        assert_eq!(measure(network, &recipe, &learnt, &held_out, (5, &parameters), 20).unwrap(), measured);
    }
}
