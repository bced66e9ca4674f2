//! The members of one step: made one after another, judged, their gradients added up.

use core::marker::PhantomData;
use core::ops::Range;

use crate::form::Form;
use crate::loss::{Loss, MAX_LANES};
use crate::network::Network;
use crate::perturbation::mirror_shared;
use crate::perturbation::rank_one::{Factors, spread};
use crate::sharing::{LINE, MOVE};

use super::batch::{Batch, Source};
use super::combine::{Combine, Softmax, Weights};
use super::pass::{Cohort, Input, accumulate, losses};
use super::workspace::{Workspace, shard};
use super::{Estimate, Population, StepError};

/// A step in the making.
pub(super) struct Members<'a, 'w, N, F> {
    population: Population,
    loss: &'a Loss,
    seed: u64,
    step: u32,
    parameters: &'a [f32],
    source: &'a mut dyn Source,
    samples: usize,
    scales: &'a [f32],
    weights: &'a mut [f32],
    workspace: &'a mut Workspace<'w>,
    /// Whether the workspace holds the input that all members share.
    filled: bool,
    types: PhantomData<fn() -> (N, F)>,
}

/// Sums over the members that count.
#[derive(Default)]
struct Sums {
    loss: f32,
    skipped: u32,
    /// Samples that only skipped members saw.
    unseen: usize,
}

impl<'a, 'w, N: Network, F: Form> Members<'a, 'w, N, F> {
    #[allow(clippy::too_many_arguments, reason = "the memory is the caller's, part by part")]
    pub(super) fn new(
        population: &Population,
        loss: &'a Loss,
        (seed, step): (u64, u32),
        parameters: &'a [f32],
        source: &'a mut dyn Source,
        scales: &'a [f32],
        weights: &'a mut [f32],
        workspace: &'a mut Workspace<'w>,
    ) -> Self {
        let samples = source.samples();
        let population = *population;
        Self { population, loss, seed, step, parameters, source, samples, scales, weights, workspace, filled: false, types: PhantomData }
    }

    /// Writes the gradient of the step.
    pub(super) fn gradient(&mut self, gradient: &mut [f32]) -> Result<Estimate, StepError> {
        let sharing = self.workspace.sharing;
        if self.population.members == 0 {
            let loss = self.central(&Weights::ONE, false, gradient)?;
            return Estimate { loss, skipped: 0 }.finish(sharing, gradient, |_| {});
        }
        let (weights, all_are_finite) = match self.population.combine {
            Combine::Softmax { tau } => self.survey(tau)?,
            Combine::Mean | Combine::Clean { .. } => (Weights::ONE, true),
        };
        let mut sums = match all_are_finite {
            true if self.population.is_side_by_side::<N>() => self.sum_side_by_side(gradient),
            true => self.sum(false, &weights, gradient),
            false => Err(StepError::NonFiniteLoss),
        };
        if sums.is_err() {
            sums = self.sum(true, &weights, gradient);
        }
        let Sums { loss, skipped, unseen } = sums?;
        let mean = self.population.mean(self.samples, skipped, unseen);
        let population = self.population;
        let scale = |piece: &mut [f32]| population.scale_sum::<F::Value>(mean, piece);
        let estimate = Estimate { loss: loss * mean, skipped };
        if population.lambda() == 0.0 {
            return estimate.finish(sharing, gradient, scale);
        }
        sharing.pieces(gradient, LINE, MOVE, |_, piece| scale(piece));
        self.central(&Weights::fixed(population.lambda()), true, gradient)?;
        estimate.finish(sharing, gradient, |_| {})
    }

    /// Adds the gradients of all members, in order; with `care` those of the pairs whose losses are all finite, else it ends at a loss that is
    /// not.
    fn sum(&mut self, care: bool, weights: &Weights, gradient: &mut [f32]) -> Result<Sums, StepError> {
        let count = self.population.running(self.samples);
        let mut sums = Sums::default();
        let mut adds = false;
        // Pairs do not lie across the blocks: a block is a number of them, but for a lone last member.
        let block = if care { self.population.unit() } else { self.at_once().max(self.population.unit()) };
        for first in (0..count).step_by(block as usize) {
            let end = count.min(first + block);
            if care && !self.judge(first..end, |_, _| {}) {
                sums.skipped += end - first;
                sums.unseen += (first..end).map(|member| self.population.part(member, self.samples).len()).sum::<usize>();
                continue;
            }
            for first in (first..end).step_by(self.at_once() as usize) {
                let losses = self.add(first..end.min(first + self.at_once()), adds, weights, gradient)?;
                adds = true;
                for loss in losses.into_iter().take((end - first).min(self.at_once()) as usize) {
                    sums.loss += loss / self.samples as f32;
                }
            }
        }
        if adds { Ok(sums) } else { Err(StepError::NonFiniteLoss) }
    }

    /// The gradients of members that divide the batch and run on factors, all in one pass over a shard of the batch, whoever sees its samples:
    /// summed as if one network saw them all. It ends at a loss that is not finite.
    fn sum_side_by_side(&mut self, gradient: &mut [f32]) -> Result<Sums, StepError> {
        let Self { population, seed, step, samples: all, .. } = *self;
        let (size, members) = (shard::<N>(all), population.running(all));
        let mut sums = Sums::default();
        for first in (0..all).step_by(size) {
            let samples = first..all.min(first + size);
            self.place_factors(samples.clone());
            let draw = population.draw(seed, step, 0, first as u32);
            let (parameters, factors) = split::<N, F>(self.parameters, self.weights);
            let own = factors.split_at(N::FACTORS).1;
            let cohort = Cohort { count: 1, draw, factors: Some(Factors::of_samples(own, members)) };
            let batch = self.source.part(samples, N::INPUT.len(), N::OUTPUTS);
            let one = &Weights::ONE;
            let losses =
                accumulate::<N, F>(self.loss, cohort, parameters, &batch, all, Input::Once, first > 0, one, self.workspace, gradient)?;
            sums.loss += losses[0] / all as f32;
        }
        Ok(sums)
    }

    /// Writes the factors of the member of each of some samples, `[factor][column]`, behind those of one member.
    fn place_factors(&mut self, samples: Range<usize>) {
        let Self { population, seed, step, scales, .. } = *self;
        let weights = if F::WEIGHT == 1 {
            &mut *self.weights
        } else {
            let (theta, factors) = self.weights.split_at_mut(N::PARAMS * F::WEIGHT);
            splat(F::WEIGHT, self.parameters, theta);
            factors
        };
        let (own, of_samples) = weights.split_at_mut(N::FACTORS);
        let element = F::columns(samples.len()) * F::COLUMN;
        let each = F::COLUMN / F::SAMPLES;
        for member in 0..population.running(self.samples) {
            let part = population.part(member, self.samples);
            let (start, end) = (part.start.max(samples.start), part.end.min(samples.end));
            if start >= end {
                continue;
            }
            let (pair, second) = population.place(member);
            population.noise.factors::<N, F::Value>(&population.stream(seed, step, pair), scales, second, 1, own);
            // Lanes beyond the last sample go with it; nobody reads them.
            let end = if end == samples.end { element } else { (end - samples.start) * each };
            spread(own, (start - samples.start) * each..end, element, of_samples);
        }
    }

    /// The weights that follow from the losses of all members, and whether those are all finite.
    fn survey(&mut self, tau: f32) -> Result<(Weights, bool), StepError> {
        let count = self.population.running(self.samples);
        let mut softmax = Softmax::new(tau);
        let (mut all, mut any) = (true, false);
        for first in (0..count).step_by(self.population.unit() as usize) {
            let before = softmax;
            let finite = self.judge(first..count.min(first + self.population.unit()), |loss, part| softmax.take(loss, part));
            if !finite {
                softmax = before;
            }
            (all, any) = (all & finite, any | finite);
        }
        if any { Ok((softmax.into(), all)) } else { Err(StepError::NonFiniteLoss) }
    }

    /// Runs members forward, and visits the mean loss of each and its part of the batch; whether all losses are finite.
    fn judge(&mut self, members: Range<u32>, mut visit: impl FnMut(f32, f32)) -> bool {
        let mut finite = true;
        for first in members.clone().step_by(self.at_once() as usize) {
            let members = first..members.end.min(first + self.at_once());
            self.make(members.clone());
            let input = self.input();
            let (cohort, parameters) =
                cohort::<N, F>(&self.population, self.seed, self.step, members.clone(), self.samples, self.parameters, self.weights);
            let part = self.population.part(first, self.samples);
            let samples = part.len();
            let batch = self.source.part(part, N::INPUT.len(), N::OUTPUTS);
            let sums = losses::<N, F>(self.loss, cohort, parameters, &batch, input, self.workspace);
            for sum in &sums[..members.len()] {
                finite &= sum.is_finite();
                visit(sum / samples as f32, samples as f32 / self.samples as f32);
            }
        }
        finite
    }

    /// Adds the gradients of some members and returns the sum of the losses of each.
    fn add(&mut self, members: Range<u32>, adds: bool, weights: &Weights, gradient: &mut [f32]) -> Result<[f32; MAX_LANES], StepError> {
        self.make(members.clone());
        let input = self.input();
        let (cohort, parameters) =
            cohort::<N, F>(&self.population, self.seed, self.step, members.clone(), self.samples, self.parameters, self.weights);
        let part = self.population.part(members.start, self.samples);
        let batch = self.source.part(part, N::INPUT.len(), N::OUTPUTS);
        accumulate::<N, F>(self.loss, cohort, parameters, &batch, self.samples, input, adds, weights, self.workspace, gradient)
    }

    /// The central network's gradient, and its mean loss.
    fn central(&mut self, weights: &Weights, adds: bool, gradient: &mut [f32]) -> Result<f32, StepError> {
        let Self { population, seed, step, .. } = *self;
        let samples = population.clean_part(self.samples);
        let cohort = Cohort { count: 1, draw: population.draw(seed, step, population.clean_member(), 0), factors: None };
        let divisor = samples.len();
        let batch: Batch = self.source.part(samples, N::INPUT.len(), N::OUTPUTS);
        let parameters = if F::WEIGHT == 1 {
            self.parameters
        } else {
            splat(F::WEIGHT, self.parameters, self.weights);
            &*self.weights
        };
        let sums =
            accumulate::<N, F>(self.loss, cohort, parameters, &batch, divisor, Input::Once, adds, weights, self.workspace, gradient)?;
        Ok(sums[0] / divisor as f32)
    }

    /// Members that are computed at once: as many as there are lanes for, when they see the same samples.
    fn at_once(&self) -> u32 {
        if F::WEIGHT > 1 && !self.population.batch.divides() { F::WEIGHT as u32 } else { 1 }
    }

    /// How the next pass comes by its input.
    fn input(&mut self) -> Input {
        if self.population.batch.divides() || self.population.running(self.samples) <= self.at_once() {
            return Input::Once;
        }
        if core::mem::replace(&mut self.filled, true) { Input::Held } else { Input::New }
    }

    /// Makes members: their weights, or their factors. The second of a pair is made from the first, which was the last to be made.
    fn make(&mut self, members: Range<u32>) {
        let Self { population, seed, step, parameters, scales, .. } = *self;
        let noise = &population.noise;
        if F::WEIGHT > 1 {
            let (weights, factors) = self.weights.split_at_mut(N::PARAMS * F::WEIGHT);
            if noise.is_factored::<N>() {
                splat(F::WEIGHT, parameters, weights);
            }
            for lane in 0..F::WEIGHT {
                // Lanes beyond the last member repeat it; nobody reads them.
                let (pair, second) = population.place((members.start + lane as u32).min(members.end - 1));
                let stream = population.stream(seed, step, pair);
                if noise.is_factored::<N>() {
                    noise.factors::<N, F::Value>(&stream, scales, second, F::WEIGHT, &mut factors[lane..]);
                } else {
                    noise.perturb_lane::<N, F>(&stream, parameters, scales, second, lane, weights);
                }
            }
            return;
        }
        let sharing = self.workspace.sharing;
        let (pair, second) = population.place(members.start);
        let stream = population.stream(seed, step, pair);
        if noise.is_factored::<N>() {
            noise.factors::<N, F::Value>(&stream, scales, second, 1, self.weights);
        } else if second {
            mirror_shared::<F::Value>(sharing, parameters, &mut self.weights[..N::PARAMS]);
        } else {
            noise.perturb_shared::<N, F::Value>(sharing, &stream, parameters, scales, self.weights);
        }
    }
}

/// Writes each parameter into all lanes of a weight.
fn splat(lanes: usize, parameters: &[f32], weights: &mut [f32]) {
    weights.chunks_exact_mut(lanes).zip(parameters).for_each(|(weights, &p)| weights.fill(p));
}

/// The central parameters as weights of the form, and the factors in `made`, the memory of the members.
fn split<'a, N: Network, F: Form>(parameters: &'a [f32], made: &'a [f32]) -> (&'a [f32], &'a [f32]) {
    if F::WEIGHT == 1 { (parameters, made) } else { made.split_at(N::PARAMS * F::WEIGHT) }
}

/// The members that were made last, in `made`, and the parameters that they run on.
fn cohort<'a, N: Network, F: Form>(
    population: &Population,
    seed: u64,
    step: u32,
    members: Range<u32>,
    samples: usize,
    parameters: &'a [f32],
    made: &'a [f32],
) -> (Cohort<'a>, &'a [f32]) {
    let first_sample = population.part(members.start, samples).start;
    let draw = population.draw(seed, step, members.start, first_sample as u32);
    let cohort = Cohort { count: members.len(), draw, factors: None };
    if !population.noise.is_factored::<N>() {
        return (cohort, made);
    }
    let (parameters, factors) = split::<N, F>(parameters, made);
    (Cohort { factors: Some(Factors::of_members(factors)), ..cohort }, parameters)
}
