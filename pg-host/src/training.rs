//! The training run: epochs, batches, steps. It prints nothing, reads no file and knows no clock; an [`Observer`] watches and may stop it.
//!
//! Everything that touches the parameters is pg-core's arithmetic in a fixed order, so the same [`Recipe`], data and network give the
//! same bits on every machine and for any number of threads.

use std::ops::Range;

use pg_core::initialise::Initialise;
use pg_core::layers::SegmentKind;
use pg_core::loss::Loss;
use pg_core::noise::{Purpose, Stream};
use pg_core::optimiser::Optimiser;
use pg_core::population::{BatchMode, Estimate, Population, StepError};
use pg_core::schedule::Schedule;
use pg_core::{Widest, average, clip, sam};

use crate::any_network::AnyNetwork;
use crate::augmentation::{Augmentation, Gatherer};
use crate::data::Samples;
use crate::engine::Task;
use crate::memory::Memory;
use crate::supply::Supply;
use crate::tally::Tally;

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// Passes over the training samples.
    pub epochs: u32,
    /// Samples in a step; the last step of an epoch takes what is left.
    pub batch: usize,
    /// The learning rate at its highest.
    pub rate: f32,
    /// How it changes.
    pub schedule: Schedule,
    /// The optimiser.
    pub optimiser: Optimiser,
    /// Whether weight decay acts on weights only, not on biases and gains.
    pub decays_weights_only: bool,
    /// The most that the norm of a gradient may be.
    pub clip_norm: Option<f32>,
    /// The most that an element of a gradient may be.
    pub clip_value: Option<f32>,
    /// The decay of the moving average of the weights, which is kept instead of the last ones.
    pub average: Option<f32>,
    /// How far uphill sharpness-aware minimisation goes for its gradient.
    pub sam: Option<f32>,
    /// The members and their noise.
    pub population: Population,
    /// What is minimised.
    pub loss: Loss,
    /// How the parameters start.
    pub initialise: Initialise,
    /// What happens to the samples before they are learnt from.
    pub augmentation: Augmentation,
    /// The seed of parameters, order and noise.
    pub seed: u64,
    /// Threads; 0 chooses.
    pub threads: usize,
}

impl Recipe {
    /// Steps in an epoch over `samples` samples.
    pub fn steps_per_epoch(&self, samples: usize) -> usize {
        samples.div_ceil(self.batch)
    }

    /// Passes over each sample of the batch in `step` of `steps`: those of the population, twice with sharpness-aware minimisation.
    pub fn passes(&self, step: u32, steps: u32) -> u64 {
        u64::from(self.population.at(step, steps).passes()) * if self.sam.is_some() { 2 } else { 1 }
    }

    /// The ranges of the parameters that are trained, each with its optimiser: neighbours that are treated alike are one.
    fn updates(&self, network: &dyn AnyNetwork) -> Vec<(Range<usize>, Optimiser)> {
        let mut updates: Vec<(Range<usize>, Optimiser)> = Vec::new();
        for segment in network.segments().into_iter().filter(|segment| segment.kind.is_trained()) {
            let decays = segment.kind == SegmentKind::Weight || !self.decays_weights_only;
            let optimiser = if decays { self.optimiser } else { self.optimiser.without_decay() };
            match updates.last_mut() {
                Some((range, last)) if range.end == segment.offset && *last == optimiser => range.end = segment.range().end,
                _ => updates.push((segment.range(), optimiser)),
            }
        }
        updates
    }
}

/// Watches a training run.
pub trait Observer {
    /// A step over `samples` samples is done; false stops the run here.
    fn step(&mut self, samples: usize, loss_nats: f32) -> bool;

    /// An epoch is done: its number from 1, its mean loss, the parameters after it. `measured` makes them fit to predict: it measures the
    /// running statistics of a network that has some.
    fn epoch(&mut self, _number: u32, _loss_nats: f64, _measured: &mut dyn FnMut() -> Memory) {}
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All epochs are done.
    Complete,
    /// The observer stopped it.
    Stopped,
    /// More than 1 % of the members were skipped.
    Unstable {
        /// The epoch, from 1.
        epoch: u32,
        /// The step in it, from 1.
        step: u32,
    },
    /// The loss or a parameter was no longer a finite number.
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
        /// The step in it, from 1.
        step: u32,
    },
}

/// What a run leaves behind.
pub struct Trained {
    /// The parameters after the last step; of a run that diverged, the last whose loss was finite.
    pub parameters: Memory,
    /// Whole epochs that went into them.
    pub epochs: u32,
    /// Steps that went into them; 0 when a run diverged before its parameters were better than the first.
    pub steps: u32,
    /// Passes of a member over a sample, forward and back.
    pub passes: u64,
    /// Members that were made, and skipped.
    pub members: Tally,
    /// The mean loss of the steps of the last epoch that had any, in nats.
    pub loss_nats: f64,
    /// Threads that were used.
    pub threads: usize,
    /// How it ended.
    pub end: End,
}

/// Samples that the running statistics of batch normalisation are measured on: the first so many of the training samples.
pub const MEASURED: usize = 10_000;

/// Trains `network` on normalised samples.
///
/// # Panics
/// When the samples are not of the network's shape, a label has no output, or the recipe makes no sense (an empty batch, an augmentation that
/// does not suit the shape).
pub fn train(network: &dyn AnyNetwork, recipe: &Recipe, samples: &Samples, observer: &mut dyn Observer) -> Trained {
    let Recipe { population, loss, seed, threads, .. } = *recipe;
    let batch_size = recipe.batch.min(samples.len());
    let steps_per_epoch = recipe.steps_per_epoch(samples.len()) as u32;
    let steps = recipe.epochs * steps_per_epoch;
    let mut engine = network.engine(Task { population, steps, loss, seed, batch: batch_size, threads });
    let mut parameters = network.initialise(recipe.initialise, seed);
    let [mut gradient, mut snapshot] = [(); 2].map(|()| Memory::zeros(parameters.len()));
    let mut state = Memory::zeros(recipe.optimiser.slots() * parameters.len());
    let mut uphill = Memory::zeros(if recipe.sam.is_some() { parameters.len() } else { 0 });
    let mut mean = recipe.average.map(|_| parameters.clone());
    let updates = recipe.updates(network);
    snapshot.copy_from_slice(&parameters);
    let gathered = if population.batch == BatchMode::Fresh { engine.at_once() } else { batch_size };
    let mut gatherer = Gatherer::new(recipe.augmentation, network.sizes().input, gathered);
    let mut order: Vec<u32> = Vec::with_capacity(samples.len());
    let (mut step, mut passes, mut tally, mut loss_nats) = (0, 0, Tally::default(), 0.0);
    let mut end = End::Complete;
    'run: for epoch in 0..recipe.epochs {
        shuffle(seed, epoch, samples.len(), &mut order);
        let mut sum = 0.0;
        for (i, first) in (0..order.len()).step_by(batch_size).enumerate() {
            let taken = first..order.len().min(first + batch_size);
            let count = taken.len();
            let mut batch = Supply::new(&mut gatherer, &population, (seed, epoch), samples, &order, taken);
            let diverged = End::Diverged { epoch: epoch + 1, step: i as u32 + 1 };
            let mut result = engine.gradient(step, &parameters, &mut batch, &mut gradient);
            if let (Some(rho), Ok(_)) = (recipe.sam, result) {
                sam::ascend::<Widest>(rho, &parameters, &gradient, &mut uphill);
                result = engine.gradient(step, &uphill, &mut batch, &mut gradient);
            }
            let made = population.at(step, steps).members.max(1);
            let (void, skipped) = match result {
                Ok(estimate) => (false, estimate.skipped),
                Err(error) => (error == StepError::NonFiniteGradient, made),
            };
            if (void || result.is_ok()) && tally.count(made, skipped) {
                end = End::Unstable { epoch: epoch + 1, step: i as u32 + 1 };
                break 'run;
            }
            if void {
                // It changes nothing, but for the parameters being good: their losses were finite.
                snapshot.copy_from_slice(&parameters);
                passes += recipe.passes(step, steps) * count as u64;
                step += 1;
                continue;
            }
            let Ok(Estimate { loss, .. }) = result else {
                // The parameters that led here are no good: those before them are the last with a finite loss.
                parameters.copy_from_slice(&snapshot);
                step = step.saturating_sub(1);
                end = diverged;
                break 'run;
            };
            snapshot.copy_from_slice(&parameters);
            let rate = recipe.rate * recipe.schedule.factor(step, steps);
            if let Some(most) = recipe.clip_value {
                clip::by_value(most, &mut gradient);
            }
            if let Some(most) = recipe.clip_norm {
                clip::by_norm::<Widest>(most, &mut gradient);
            }
            for (range, optimiser) in &updates {
                optimiser.step::<Widest>(rate, step, range.clone(), &gradient, &mut state, &mut parameters);
            }
            // A layer may hide an infinite weight from the loss. Without a short circuit, for the sake of the lanes.
            if !parameters.iter().fold(true, |finite, p| finite & p.is_finite()) {
                parameters.copy_from_slice(&snapshot);
                end = diverged;
                break 'run;
            }
            if let (Some(decay), Some(mean)) = (recipe.average, &mut mean) {
                average::update::<Widest>(decay, step, &parameters, mean);
            }
            passes += recipe.passes(step, steps) * count as u64;
            step += 1;
            sum += f64::from(loss);
            loss_nats = sum / (i + 1) as f64;
            let stopped = !observer.step(count, loss);
            // What is to be saved is held to the same rule: the last step has no other loss after it.
            if (stopped || step == steps) && engine.gradient(step, &parameters, &mut batch, &mut gradient).is_err() {
                parameters.copy_from_slice(&snapshot);
                step -= 1;
                end = diverged;
                break 'run;
            }
            if stopped {
                end = End::Stopped;
                break 'run;
            }
        }
        let kept = mean.as_ref().unwrap_or(&parameters);
        observer.epoch(epoch + 1, loss_nats, &mut || measured(network, kept, samples, batch_size));
    }
    let epochs = step / steps_per_epoch.max(1);
    // Of a run that diverged the parameters are those before; an average of finite parameters is finite.
    let parameters = measured(network, mean.as_ref().unwrap_or(&parameters), samples, batch_size);
    Trained { parameters, epochs, steps: step, passes, members: tally, loss_nats, threads: engine.threads(), end }
}

/// The parameters with running statistics measured on the first [`MEASURED`] samples, in batches of the size that was trained with.
fn measured(network: &dyn AnyNetwork, parameters: &[f32], samples: &Samples, batch: usize) -> Memory {
    let mut measured = Memory::zeros(parameters.len());
    measured.copy_from_slice(parameters);
    let count = samples.len().min(MEASURED) * network.sizes().input.len();
    network.estimate(&mut measured, &samples.inputs[..count], batch);
    measured
}

/// The order of the samples in an epoch: Fisher–Yates from the index order, a function of seed and epoch alone.
fn shuffle(seed: u64, epoch: u32, samples: usize, order: &mut Vec<u32>) {
    let stream = Stream::new(seed, Purpose::Shuffle, epoch, 0);
    order.clear();
    order.extend(0..samples as u32);
    for last in (1..samples).rev() {
        order.swap(last, stream.below(last as u32, last as u32 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_every_sample_once_and_follows_from_seed_and_epoch() {
        let order = |seed, epoch| {
            let mut order = Vec::new();
            shuffle(seed, epoch, 100, &mut order);
            order
        };
        let mut sorted = order(1, 2);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(order(1, 2), order(1, 2));
        assert!(order(1, 2) != order(1, 3) && order(1, 2) != order(2, 2));
    }
}
