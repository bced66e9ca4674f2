//! Several threads: the work of a step is handed out in pieces, each a pass of one member over one shard of its samples; their gradients are
//! added in the order of [`pg_core::population`].
//!
//! Each shard of a member, then each member, is added as a whole, so the bits are those of one thread. Memory grows with the threads, not with
//! the population or the batch. A step with a member to skip is rare, and is left to one thread.

use std::iter::from_fn;
use std::marker::PhantomData;
use std::ops::Range;

use pg_core::form::Samples;
use pg_core::perturbation::mirror;
use pg_core::perturbation::rank_one::Factors;
use pg_core::population::{
    Batch, Cohort, Combine, Estimate, Population, Softmax, Source, StepError, Weights, Workspace, backward, forward, join, shard, weigh,
};
use pg_core::{Network, Widest};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::serial::Serial;
use super::{Engine, Task};
use crate::memory::Memory;

type Form = Samples<Widest>;

/// `f32`s of the gradient that one thread sums at a time.
const PIECE: usize = 8192;

/// Passes that a thread makes one after another before all threads add up: a pair, so that its noise is made once.
const PASSES: usize = 2;

pub(super) struct Parallel<N> {
    task: Task,
    pool: ThreadPool,
    scales: Memory,
    /// The sum over the shards of the member at hand.
    partial: Memory,
    round: Vec<Pass>,
    workers: Vec<Worker>,
    serial: Option<Serial<N>>,
    network: PhantomData<fn() -> N>,
}

/// What a pass computes.
#[derive(Clone, Debug, PartialEq)]
struct Pass {
    member: u32,
    /// Its samples among those of the step.
    samples: Range<usize>,
    /// Where they are in the member's part: from its beginning, to its end.
    begins: bool,
    ends: bool,
    /// What the sum over the member's samples is multiplied by, when it is made of several passes.
    weight: f32,
}

/// Who runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// The members, in order.
    Members,
    /// The central network.
    Central,
}

/// What all threads read in a round.
struct Shared<'a> {
    population: &'a Population,
    who: Who,
    step: u32,
    parameters: &'a [f32],
    scales: &'a [f32],
    /// The samples of the round, and which of the step's they are.
    batch: &'a Batch<'a>,
    span: Range<usize>,
    /// What losses are divided by.
    divisor: usize,
    /// Without weights nobody runs back.
    weights: Option<&'a Weights>,
}

/// The memory of one thread.
struct Worker {
    weights: Memory,
    workspace: Memory,
    /// The member whose weights are held.
    member: Option<u32>,
    /// The samples whose input the workspace holds.
    filled: Option<Range<usize>>,
    results: [Outcome; PASSES],
}

/// What a pass gives.
struct Outcome {
    gradient: Memory,
    loss: f32,
}

impl<N: Network> Parallel<N> {
    pub(super) fn new(task: Task, threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let result = || Outcome { gradient: Memory::zeros(N::PARAMS), loss: 0.0 };
        let worker = || Worker {
            weights: Memory::zeros(task.population.members_len::<N, Form>(task.batch)),
            workspace: Memory::zeros(Workspace::len::<N, Form>(shard::<N>(task.batch))),
            member: None,
            filled: None,
            results: [result(), result()],
        };
        Ok(Self {
            task,
            pool: ThreadPoolBuilder::new().num_threads(threads).build()?,
            scales: Memory::zeros(N::FILTERS),
            partial: Memory::zeros(N::PARAMS),
            round: Vec::with_capacity(PASSES * threads),
            workers: (0..threads).map(|_| worker()).collect(),
            serial: None,
            network: PhantomData,
        })
    }

    /// Runs everybody over their samples, and adds their weighted gradients (without `adds`: the first is written) to `gradient`; without
    /// weights nobody runs back. Visits the sum of the losses of each and the number of its samples, in order.
    #[allow(clippy::too_many_arguments, reason = "what a step consists of")]
    fn run(
        &mut self,
        who: Who,
        population: &Population,
        step: u32,
        parameters: &[f32],
        source: &mut dyn Source,
        weights: Option<&Weights>,
        adds: bool,
        gradient: &mut [f32],
        mut visit: impl FnMut(f32, usize),
    ) -> Result<(), StepError> {
        let Self { task, pool, scales, partial, round, workers, .. } = self;
        let all = source.samples();
        let divisor = if who == Who::Members { all } else { population.clean_part(all).len() };
        let mut passes = passes::<N>(who, population, all);
        let (mut adds, mut loss, mut samples) = (adds, 0.0, 0);
        workers.iter_mut().for_each(Worker::forget);
        loop {
            round.clear();
            round.extend(passes.by_ref().take(PASSES * workers.len()));
            let Some(first) = round.first() else { return Ok(()) };
            let span =
                round.iter().fold(first.samples.clone(), |all, pass| all.start.min(pass.samples.start)..all.end.max(pass.samples.end));
            let batch = source.part(span.clone(), N::INPUT.len(), N::OUTPUTS);
            let shared = Shared { population, who, step, parameters, scales, batch: &batch, span, divisor, weights };
            let each = round.len().div_ceil(workers.len());
            pool.install(|| {
                workers.par_iter_mut().zip(round.par_chunks(each)).for_each(|(worker, passes)| worker.run::<N>(task, &shared, passes));
            });
            let results = || workers.iter().flat_map(|worker| &worker.results[..each]);
            for (pass, result) in round.iter_mut().zip(results()) {
                if pass.begins {
                    (loss, samples) = (0.0, 0);
                }
                if !result.loss.is_finite() {
                    return Err(StepError::NonFiniteLoss);
                }
                loss += result.loss;
                samples += pass.samples.len();
                if pass.ends {
                    visit(loss, samples);
                    pass.weight = weights.map_or(1.0, |weights| weights.of(loss / samples as f32));
                }
            }
            if weights.is_none() {
                continue;
            }
            let sum = |(piece, (gradient, partial)): (usize, (&mut [f32], &mut [f32]))| {
                let place = piece * PIECE..piece * PIECE + gradient.len();
                let mut adds = adds;
                for (pass, result) in round.iter().zip(results()) {
                    let part = &result.gradient[place.clone()];
                    if pass.begins && pass.ends {
                        // As one thread does it: the first is written, not added to zero, which would lose the sign of a zero.
                        join::<Widest>(1.0, part, adds, gradient);
                    } else {
                        join::<Widest>(1.0, part, !pass.begins, partial);
                        if pass.ends {
                            join::<Widest>(pass.weight, partial, adds, gradient);
                        }
                    }
                    adds |= pass.ends;
                }
            };
            pool.install(|| gradient.par_chunks_mut(PIECE).zip(partial.par_chunks_mut(PIECE)).enumerate().for_each(sum));
            adds |= round.iter().any(|pass| pass.ends);
        }
    }
}

/// How many passes a step is made of.
pub(super) fn count<N: Network>(population: &Population, samples: usize) -> usize {
    passes::<N>(if population.members == 0 { Who::Central } else { Who::Members }, population, samples).count()
}

/// The passes of a step, in order.
fn passes<N: Network>(who: Who, population: &Population, samples: usize) -> impl Iterator<Item = Pass> {
    let population = *population;
    let (mut member, end) = match who {
        Who::Members => (0, population.running(samples)),
        Who::Central => (population.clean_member(), population.clean_member() + 1),
    };
    let part = move |member| if who == Who::Members { population.part(member, samples) } else { population.clean_part(samples) };
    let mut next = 0;
    from_fn(move || {
        if member == end {
            return None;
        }
        let part = part(member);
        let first = part.start + next;
        let last = part.end.min(first + shard::<N>(part.len()));
        let pass = Pass { member, samples: first..last, begins: next == 0, ends: last == part.end, weight: 1.0 };
        (member, next) = if pass.ends { (member + 1, 0) } else { (member, last - part.start) };
        Some(pass)
    })
}

impl<N: Network> Parallel<N> {
    /// The gradient of a step without a member to skip.
    fn all(
        &mut self,
        population: &Population,
        step: u32,
        parameters: &[f32],
        source: &mut dyn Source,
        gradient: &mut [f32],
    ) -> Result<Estimate, StepError> {
        let samples = source.samples();
        if population.members == 0 {
            let mut loss = 0.0;
            let one = Some(&Weights::ONE);
            self.run(Who::Central, population, step, parameters, source, one, false, gradient, |sum, samples| loss = sum / samples as f32)?;
            return Ok(Estimate { loss, skipped: 0 });
        }
        if population.noise.rho != 0.0 {
            population.noise.scales::<N, Widest>(parameters, &mut self.scales);
        }
        let mut weights = Weights::ONE;
        if let Combine::Softmax { tau } = population.combine {
            let mut softmax = Softmax::new(tau);
            let take = |sum: f32, seen: usize| softmax.take(sum / seen as f32, seen as f32 / samples as f32);
            self.run(Who::Members, population, step, parameters, source, None, false, gradient, take)?;
            weights = softmax.into();
        }
        let mut total = 0.0;
        let add_up = |sum: f32, _| total += sum / samples as f32;
        self.run(Who::Members, population, step, parameters, source, Some(&weights), false, gradient, add_up)?;
        let mean = population.mean(samples, 0, 0);
        population.scale_sum::<Widest>(mean, gradient);
        if population.lambda() > 0.0 {
            let weight = Weights::fixed(population.lambda());
            self.run(Who::Central, population, step, parameters, source, Some(&weight), true, gradient, |_, _| {})?;
        }
        Ok(Estimate { loss: total * mean, skipped: 0 })
    }
}

impl Worker {
    /// The parameters may have changed.
    fn forget(&mut self) {
        (self.member, self.filled) = (None, None);
    }

    /// Makes passes one after another.
    fn run<N: Network>(&mut self, task: &Task, shared: &Shared, passes: &[Pass]) {
        let Shared { population, step, parameters, span, divisor, .. } = shared;
        for (i, pass) in passes.iter().enumerate() {
            let mut factors = None;
            let weights = match shared.who {
                Who::Central => parameters,
                Who::Members => {
                    self.make::<N>(task, shared, pass.member);
                    let factored = population.noise.is_factored::<N>();
                    factors = factored.then(|| Factors::of_members(&self.weights));
                    if factored { *parameters } else { &*self.weights }
                }
            };
            let samples = shared.batch.part(pass.samples.start - span.start..pass.samples.end - span.start, N::INPUT.len(), N::OUTPUTS);
            let cohort = Cohort { count: 1, draw: population.draw(task.seed, *step, pass.member, pass.samples.start as u32), factors };
            let refill = self.filled.as_ref() != Some(&pass.samples);
            self.filled = Some(pass.samples.clone());
            let mut workspace = Workspace::new::<N, Form>(shard::<N>(task.batch), &mut self.workspace);
            let sums = forward::<N, Form>(&task.loss, cohort, weights, &samples, *divisor, refill, &mut workspace);
            let Outcome { gradient, loss } = &mut self.results[i];
            *loss = sums[0];
            let Some(factors) = shared.weights else { continue };
            if !loss.is_finite() {
                return;
            }
            if pass.begins && pass.ends {
                weigh::<N, Form>(factors, cohort, &sums, samples.samples, &mut workspace);
            }
            backward::<N, Form>(cohort, weights, &samples, false, &mut workspace, gradient);
        }
    }

    /// Makes the weights of a member, unless they are there.
    fn make<N: Network>(&mut self, task: &Task, shared: &Shared, member: u32) {
        let Shared { population, step, parameters, scales, .. } = shared;
        if self.member == Some(member) {
            return;
        }
        let (pair, second) = population.place(member);
        if population.noise.is_factored::<N>() {
            let stream = population.stream(task.seed, *step, pair);
            population.noise.factors::<N, Widest>(&stream, scales, second, 1, &mut self.weights);
            self.member = Some(member);
            return;
        }
        if !second || self.member.is_none_or(|held| held + 1 != member) {
            let stream = population.stream(task.seed, *step, pair);
            population.noise.perturb::<N, Widest>(&stream, parameters, scales, &mut self.weights);
        }
        if second {
            mirror::<Widest>(parameters, &mut self.weights);
        }
        self.member = Some(member);
    }
}

impl<N: Network> Engine for Parallel<N> {
    fn gradient(&mut self, step: u32, parameters: &[f32], source: &mut dyn Source, gradient: &mut [f32]) -> Result<Estimate, StepError> {
        let population = self.task.population.at(step, self.task.steps);
        match self.all(&population, step, parameters, source, gradient).and_then(|estimate| estimate.of(gradient)) {
            Err(StepError::NonFiniteLoss) if population.members > 1 => {
                let task = self.task;
                self.serial.get_or_insert_with(|| Serial::new(task)).gradient(step, parameters, source, gradient)
            }
            result => result,
        }
    }

    fn threads(&self) -> usize {
        self.workers.len()
    }

    fn memory_bytes(&self) -> usize {
        let outcomes = |worker: &Worker| worker.results.iter().map(|result| result.gradient.len()).sum::<usize>();
        let worker = |worker: &Worker| worker.weights.len() + worker.workspace.len() + outcomes(worker);
        let serial = self.serial.as_ref().map_or(0, Engine::memory_bytes);
        serial + 4 * (self.scales.len() + self.partial.len() + self.workers.iter().map(worker).sum::<usize>())
    }

    fn at_once(&self) -> usize {
        // One thread, which takes over at a member to skip, asks for all samples of a member.
        (PASSES * self.workers.len() * shard::<N>(self.task.batch)).max(self.task.batch)
    }
}
