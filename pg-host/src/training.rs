//! The training run: epochs, batches, steps. It prints nothing, reads no file and knows no clock; an [`Observer`] watches and may stop it.
//!
//! Everything that touches the parameters is pg-core's arithmetic in a fixed order, so the same [`Recipe`], data and network give the
//! same bits on every machine and for any number of threads.

mod update;

use std::ops::Range;
use std::sync::Arc;

use pg_core::initialise::Initialise;
use pg_core::layers::SegmentKind;
use pg_core::loss::Loss;
use pg_core::noise::{Purpose, Stream};
use pg_core::optimiser::Optimiser;
use pg_core::population::{BatchMode, Population, Source, StepError};
use pg_core::schedule::Schedule;
use pg_core::{Widest, average, clip, sam};

use crate::any_network::AnyNetwork;
use crate::augmentation::{Augmentation, Gatherer};
use crate::data::Samples;
use crate::engine::{Crew, Engine, Task};
use crate::memory::Memory;
use crate::supply::Supply;
use crate::tally::Tally;

pub use self::update::{Update, Values};

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

    /// What it does with a gradient. Neighbours that are treated alike are one part.
    fn update(&self, network: &dyn AnyNetwork) -> Update {
        let mut parts: Vec<(Range<usize>, Optimiser)> = Vec::new();
        for segment in network.segments().into_iter().filter(|segment| segment.kind.is_trained()) {
            let decays = segment.kind == SegmentKind::Weight || !self.decays_weights_only;
            let optimiser = if decays { self.optimiser } else { self.optimiser.without_decay() };
            match parts.last_mut() {
                Some((range, last)) if range.end == segment.offset && *last == optimiser => range.end = segment.range().end,
                _ => parts.push((segment.range(), optimiser)),
            }
        }
        Update { parts }
    }
}

/// Watches a training run.
pub trait Observer {
    /// A step over `samples` samples is done; false stops the run here, unless it was the last one.
    fn step(&mut self, samples: usize, loss_nats: f32) -> bool;

    /// An epoch is done: its number from 1, its mean loss, the parameters after it. `measured` makes them fit to predict: it measures the
    /// running statistics of a network that has some. The crew is free for as long.
    fn epoch(&mut self, _number: u32, _loss_nats: f64, _crew: &Crew, _measured: &mut dyn FnMut() -> Memory) {}

    /// The run is between two steps, behind everything else that is said of the one before; it can go on from here at any time. `last` tells
    /// that it ends here, complete or stopped; a run that diverged ends without.
    fn state(&mut self, _state: &State, _last: bool) {}
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

/// What a run has come to between two steps: with the recipe, the network and the samples, all that the rest of it follows from.
#[derive(Clone, Debug)]
pub struct State {
    /// The parameters after the last step.
    pub parameters: Memory,
    /// The parameters before it: what is kept when the loss after it is no finite number.
    pub snapshot: Memory,
    /// The optimiser's state, slot after slot.
    pub slots: Memory,
    /// The moving average of the parameters, of a recipe that has one.
    pub mean: Option<Memory>,
    /// Steps that are done, and so the number of the next one.
    pub step: u32,
    /// Passes of a member over a sample, forward and back.
    pub passes: u64,
    /// Members that were made, and skipped.
    pub members: Tally,
    /// The sum of the losses of the steps of the last epoch that had any, in nats.
    pub loss_sum: f64,
    /// How many losses that are.
    pub loss_steps: u32,
}

impl State {
    /// Before the first step.
    pub fn first(network: &dyn AnyNetwork, recipe: &Recipe) -> Self {
        let parameters = network.initialise(recipe.initialise, recipe.seed);
        Self {
            snapshot: parameters.clone(),
            slots: Memory::zeros(recipe.optimiser.slots() * parameters.len()),
            mean: recipe.average.map(|_| parameters.clone()),
            parameters,
            step: 0,
            passes: 0,
            members: Tally::default(),
            loss_sum: 0.0,
            loss_steps: 0,
        }
    }

    /// Whether it may be a state of a run with these: its memories have their lengths, its step is one of theirs.
    pub fn suits(&self, network: &dyn AnyNetwork, recipe: &Recipe, samples: usize) -> bool {
        let (params, steps_per_epoch) = (network.sizes().params, recipe.steps_per_epoch(samples) as u32);
        [&self.parameters, &self.snapshot].into_iter().chain(&self.mean).all(|memory| memory.len() == params)
            && self.mean.is_some() == recipe.average.is_some()
            && self.slots.len() == recipe.optimiser.slots() * params
            && self.step <= recipe.epochs * steps_per_epoch
            && self.loss_steps <= steps_per_epoch
    }

    /// The mean loss of the steps of the last epoch that had any, in nats; 0 before the first.
    pub fn loss_nats(&self) -> f64 {
        self.loss_sum / f64::from(self.loss_steps.max(1))
    }

    /// A step is done; with a loss, unless it was void.
    fn advance(&mut self, begins_epoch: bool, passes: u64, loss: Option<f32>) {
        self.step += 1;
        self.passes += passes;
        if begins_epoch {
            (self.loss_sum, self.loss_steps) = (0.0, 0);
        }
        if let Some(loss) = loss {
            self.loss_sum += f64::from(loss);
            self.loss_steps += 1;
        }
    }

    /// What is predicted with: the average, if there is one.
    fn kept(&self) -> &Memory {
        self.mean.as_ref().unwrap_or(&self.parameters)
    }
}

/// Trains `network` on normalised samples.
///
/// # Panics
/// When the samples are not of the network's shape, a label has no output, or the recipe makes no sense (an empty batch, an augmentation that
/// does not suit the shape).
pub fn train(network: &dyn AnyNetwork, recipe: &Recipe, samples: &Arc<Samples>, observer: &mut dyn Observer) -> Trained {
    resume(network, recipe, samples, State::first(network, recipe), observer)
}

/// Trains on from a state of a run with the same network, recipe and samples, and ends as that run does, bit for bit.
///
/// # Panics
/// As [`train`], and when the state does not [suit](State::suits) such a run.
pub fn resume(network: &dyn AnyNetwork, recipe: &Recipe, samples: &Arc<Samples>, state: State, observer: &mut dyn Observer) -> Trained {
    assert!(state.suits(network, recipe, samples.len()), "the state is one of such a run");
    let mut run = Run::new(network, recipe, samples, state);
    let end = run.finish(observer).err().unwrap_or(End::Complete);
    let Run { state, steps_per_epoch, batch_size, engine, .. } = run;
    // Of a run that diverged the parameters are those before; an average of finite parameters is finite.
    let parameters = measured(engine.crew(), network, state.kept(), samples, batch_size);
    let (epochs, loss_nats) = (state.step / steps_per_epoch.max(1), state.loss_nats());
    let State { step: steps, passes, members, .. } = state;
    Trained { parameters, epochs, steps, passes, members, loss_nats, threads: engine.threads(), end }
}

/// A run at work: its state, what that follows from, and memory that holds nothing from step to step.
struct Run<'a> {
    network: &'a dyn AnyNetwork,
    recipe: &'a Recipe,
    samples: &'a Samples,
    update: Update,
    batch_size: usize,
    steps_per_epoch: u32,
    steps: u32,
    state: State,
    engine: Box<dyn Engine>,
    gatherer: Gatherer,
    /// The epoch that `order` is of.
    epoch: Option<u32>,
    order: Vec<u32>,
    gradient: Memory,
    uphill: Memory,
}

impl<'a> Run<'a> {
    fn new(network: &'a dyn AnyNetwork, recipe: &'a Recipe, samples: &'a Arc<Samples>, state: State) -> Self {
        let Recipe { population, loss, seed, threads, .. } = *recipe;
        let batch_size = recipe.batch.min(samples.len());
        let steps_per_epoch = recipe.steps_per_epoch(samples.len()) as u32;
        let params = state.parameters.len();
        let steps = recipe.epochs * steps_per_epoch;
        let engine = network.engine(Task { population, steps, loss, seed, batch: batch_size, threads });
        let gathered = if population.batch == BatchMode::Fresh { engine.at_once() } else { batch_size };
        let gatherer = Gatherer::new(recipe.augmentation, network.sizes().input, gathered, Arc::clone(samples));
        gatherer.gather_meanwhile(engine.crew());
        Self {
            network,
            recipe,
            samples,
            update: recipe.update(network),
            batch_size,
            steps_per_epoch,
            steps,
            state,
            engine,
            gatherer,
            epoch: None,
            order: Vec::with_capacity(samples.len()),
            gradient: Memory::zeros(params),
            uphill: Memory::zeros(if recipe.sam.is_some() { params } else { 0 }),
        }
    }

    /// Takes the steps that are left; an error is a premature end.
    fn finish(&mut self, observer: &mut dyn Observer) -> Result<(), End> {
        while self.state.step < self.steps {
            let (samples, loss) = self.step()?;
            let stopped = !observer.step(samples, loss);
            let last = stopped || self.state.step == self.steps;
            if last {
                self.check()?;
            }
            if self.state.step.is_multiple_of(self.steps_per_epoch) {
                let Self { network, samples, batch_size, state, engine, .. } = self;
                let mut measured = || measured(engine.crew(), *network, state.kept(), samples, *batch_size);
                observer.epoch(state.step / self.steps_per_epoch, state.loss_nats(), engine.crew(), &mut measured);
            }
            observer.state(&self.state, last);
            if stopped && self.state.step < self.steps {
                return Err(End::Stopped);
            }
        }
        Ok(())
    }

    /// Takes a step over the next batch; returns its samples and its loss.
    fn step(&mut self) -> Result<(usize, f32), End> {
        let number = self.state.step;
        self.shuffle(number / self.steps_per_epoch);
        let (epoch, step) = self.place(number);
        let Self { recipe, state, update, engine, gatherer, gradient, uphill, .. } = self;
        let State { parameters, snapshot, slots, mean, .. } = state;
        let of_epoch = number % self.steps_per_epoch;
        let [taken, next] = [of_epoch, of_epoch + 1].map(|number| taken(&self.order, self.batch_size, number));
        let samples = taken.len();
        let key = (recipe.seed, number / self.steps_per_epoch);
        let mut batch = Supply::new(gatherer, &recipe.population, key, &self.order, taken);
        batch.gather(engine.crew());
        batch.announce(next);
        let mut result = engine.gradient(number, parameters, &mut batch, gradient);
        if let (Some(rho), Ok(_)) = (recipe.sam, result) {
            sam::ascend::<Widest>(rho, parameters, gradient, uphill);
            result = engine.gradient(number, uphill, &mut batch, gradient);
        }
        if result == Err(StepError::NonFiniteLoss) {
            // The parameters that led here are no good: those before them are the last with a finite loss.
            parameters.copy_from_slice(snapshot);
            state.step = number.saturating_sub(1);
            return Err(End::Diverged { epoch, step });
        }
        let begins = number.is_multiple_of(self.steps_per_epoch);
        let passes = recipe.passes(number, self.steps) * samples as u64;
        let made = recipe.population.at(number, self.steps).running(batch.samples()).max(1);
        if state.members.count(made, result.map_or(made, |estimate| estimate.skipped)) {
            return Err(End::Unstable { epoch, step });
        }
        let Ok(loss) = result.map(|estimate| estimate.loss) else {
            // A gradient that is not finite voids the step, and all of its members.
            snapshot.copy_from_slice(parameters);
            state.advance(begins, passes, None);
            return Ok((samples, state.loss_nats() as f32));
        };
        let rate = recipe.rate * recipe.schedule.factor(number, self.steps);
        if let Some(most) = recipe.clip_value {
            clip::by_value(most, gradient);
        }
        if let Some(most) = recipe.clip_norm {
            clip::by_norm::<Widest>(most, gradient);
        }
        let values = Values { parameters, snapshot, slots: recipe.optimiser.cut(slots) };
        if !update.apply(engine.crew(), rate, number, gradient, values) {
            // A layer may hide an infinite weight from the loss.
            parameters.copy_from_slice(snapshot);
            return Err(End::Diverged { epoch, step });
        }
        if let (Some(decay), Some(mean)) = (recipe.average, mean) {
            average::update::<Widest>(decay, number, parameters, mean);
        }
        state.advance(begins, passes, Some(loss));
        Ok((samples, loss))
    }

    /// Holds what is to be saved to the rule of every step: the last one has no other loss after it.
    fn check(&mut self) -> Result<(), End> {
        let done = self.state.step - 1;
        let (epoch, step) = self.place(done);
        let Self { recipe, state, engine, gatherer, gradient, .. } = self;
        let taken = taken(&self.order, self.batch_size, done % self.steps_per_epoch);
        let key = (recipe.seed, done / self.steps_per_epoch);
        let mut batch = Supply::new(gatherer, &recipe.population, key, &self.order, taken);
        if engine.gradient(state.step, &state.parameters, &mut batch, gradient) == Err(StepError::NonFiniteLoss) {
            state.parameters.copy_from_slice(&state.snapshot);
            state.step = done;
            return Err(End::Diverged { epoch, step });
        }
        Ok(())
    }

    /// The epoch of step `number` and the number of the step in it, both from 1: to tell where a run came to a bad end.
    fn place(&self, number: u32) -> (u32, u32) {
        (number / self.steps_per_epoch + 1, number % self.steps_per_epoch + 1)
    }

    /// Brings the order of an epoch, if it is not there.
    fn shuffle(&mut self, epoch: u32) {
        if self.epoch != Some(epoch) {
            shuffle(self.recipe.seed, epoch, self.samples.len(), &mut self.order);
            self.epoch = Some(epoch);
        }
    }
}

/// Those of an epoch's samples, in its order, that batch `number` takes; behind the last, none.
fn taken(order: &[u32], batch_size: usize, number: u32) -> Range<usize> {
    let first = order.len().min(number as usize * batch_size);
    first..order.len().min(first + batch_size)
}

/// The parameters with running statistics measured on the first [`MEASURED`] samples, in batches of the size that was trained with.
fn measured(crew: &Crew, network: &dyn AnyNetwork, parameters: &[f32], samples: &Samples, batch: usize) -> Memory {
    let mut measured = Memory::zeros(parameters.len());
    measured.copy_from_slice(parameters);
    let count = samples.len().min(MEASURED) * network.sizes().input.len();
    network.estimate(crew, &mut measured, &samples.inputs[..count], batch);
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
