//! Several threads: the work of a step is handed out in [`jobs`], and their gradients are added in the order of [`pg_core::population`], whoever
//! is done first ([`line`]). Noise that several of them need at the beginning is made by all ([`together`]).
//!
//! Each shard of a member, then each member, is added as a whole, so the bits are those of one thread. Memory grows with the threads, not with
//! the batch nor, but for a few bytes of a list for each member, with the population. A step with a member to skip is rare, and is left to one thread.

pub(super) mod jobs;
mod line;
mod together;
mod worker;

use std::marker::PhantomData;
use std::ops::Range;

use pg_core::population::{Combine, Estimate, Population, Softmax, Source, StepError, Weights};
use pg_core::sharing::Sharing;
use pg_core::{Network, Widest};

use self::jobs::{Job, Who, jobs};
use self::line::{Line, Sum};
use self::worker::{Shared, Worker};
use super::serial::Serial;
use super::{Crew, Engine, Task};
use crate::memory::Memory;

/// Gradients that a thread has room for beside the sum: those of a pair.
const BUFFERS: usize = 2;

/// Members that a job has at most.
const MEMBERS: usize = 2;

pub(super) struct Parallel<N> {
    task: Task,
    crew: Crew,
    scales: Memory,
    /// The sum over the shards of the member at hand.
    partial: Memory,
    buffers: Vec<Memory>,
    workers: Vec<Worker>,
    serial: Option<Serial<N>>,
    network: PhantomData<fn() -> N>,
}

impl<N: Network> Parallel<N> {
    pub(super) fn new(task: Task, crew: Crew) -> Self {
        let threads = crew.threads();
        Self {
            task,
            crew,
            scales: Memory::zeros(N::FILTERS),
            partial: Memory::zeros(N::PARAMS),
            buffers: (0..BUFFERS * threads).map(|_| Memory::zeros(N::PARAMS)).collect(),
            workers: (0..threads).map(|_| Worker::new::<N>(&task)).collect(),
            serial: None,
            network: PhantomData,
        }
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
        visit: &mut (dyn FnMut(f32, usize) + Send),
    ) -> Result<(), StepError> {
        let limit = self.at_once();
        let Self { task, crew, scales, partial, buffers, workers, .. } = self;
        let all = source.samples();
        let divisor = if who == Who::Members { all } else { population.clean_part(all).len() };
        workers.iter_mut().for_each(Worker::forget);
        // A step that failed may have lost some.
        buffers.resize_with(BUFFERS * workers.len(), || Memory::zeros(N::PARAMS));
        let mut sum = Sum::new(weights, adds, gradient, partial, visit);
        let jobs = jobs::<N>(who, population, all, workers.len());
        for round in rounds(&jobs, limit) {
            let span = span(round);
            let batch = source.part(span.clone(), N::INPUT.len(), N::OUTPUTS);
            let shared = Shared { task, population, who, step, parameters, scales, batch: &batch, span, divisor, weights };
            let given = together::make::<N>(crew, &shared, round, workers);
            let line = Line::new(round.len(), given, sum, std::mem::take(buffers));
            crew.all(workers.iter_mut().enumerate(), |(index, worker)| {
                worker.work::<N>(&shared, round, &line, (index < given).then_some(index));
            });
            let (end, free) = line.end(crew);
            *buffers = free;
            sum = end.ok_or(StepError::NonFiniteLoss)?;
        }
        Ok(())
    }

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
            self.run(Who::Central, population, step, parameters, source, one, false, gradient, &mut |sum, samples| {
                loss = sum / samples as f32
            })?;
            return Estimate { loss, skipped: 0 }.finish(Sharing::with(&self.crew), gradient, |_| {});
        }
        if population.noise.rho != 0.0 {
            population.noise.scales_shared::<N, Widest>(Sharing::with(&self.crew), parameters, &mut self.scales);
        }
        let mut weights = Weights::ONE;
        if let Combine::Softmax { tau } = population.combine {
            let mut softmax = Softmax::new(tau);
            let mut take = |sum: f32, seen: usize| softmax.take(sum / seen as f32, seen as f32 / samples as f32);
            self.run(Who::Members, population, step, parameters, source, None, false, gradient, &mut take)?;
            weights = softmax.into();
        }
        let mut total = 0.0;
        let mut add_up = |sum: f32, _| total += sum / samples as f32;
        self.run(Who::Members, population, step, parameters, source, Some(&weights), false, gradient, &mut add_up)?;
        let mean = population.mean(samples, 0, 0);
        let scale = |piece: &mut [f32]| population.scale_sum::<Widest>(mean, piece);
        let estimate = Estimate { loss: total * mean, skipped: 0 };
        if population.lambda() == 0.0 {
            return estimate.finish(Sharing::with(&self.crew), gradient, scale);
        }
        scale(gradient);
        let weight = Weights::fixed(population.lambda());
        self.run(Who::Central, population, step, parameters, source, Some(&weight), true, gradient, &mut |_, _| {})?;
        estimate.finish(Sharing::with(&self.crew), gradient, |_| {})
    }
}

/// Jobs that run at once: as many as need no more than so many samples, one at least.
fn rounds(jobs: &[Job], limit: usize) -> impl Iterator<Item = &[Job]> {
    let mut rest = jobs;
    std::iter::from_fn(move || {
        let count = (1..=rest.len()).take_while(|&count| count == 1 || span(&rest[..count]).len() <= limit).last()?;
        let (round, others) = rest.split_at(count);
        rest = others;
        Some(round)
    })
}

/// The least range of samples with those of all jobs.
fn span(jobs: &[Job]) -> Range<usize> {
    let parts = || jobs.iter().flat_map(|job| &job.0);
    let start = parts().map(|part| part.samples.start).min();
    let end = parts().map(|part| part.samples.end).max();
    start.unwrap_or(0)..end.unwrap_or(0)
}

impl<N: Network> Engine for Parallel<N> {
    fn gradient(&mut self, step: u32, parameters: &[f32], source: &mut dyn Source, gradient: &mut [f32]) -> Result<Estimate, StepError> {
        assert_eq!(gradient.len(), N::PARAMS, "a number for each parameter");
        let population = self.task.population.at(step, self.task.steps);
        match self.all(&population, step, parameters, source, gradient) {
            Err(StepError::NonFiniteLoss) if population.members > 1 => {
                let task = self.task;
                self.serial.get_or_insert_with(|| Serial::new(task, Crew::default())).gradient(step, parameters, source, gradient)
            }
            result => result,
        }
    }

    fn crew(&self) -> &Crew {
        &self.crew
    }

    fn memory_bytes(&self) -> usize {
        let serial = self.serial.as_ref().map_or(0, Engine::memory_bytes);
        let buffers: usize = self.buffers.iter().map(|buffer| buffer.len()).sum();
        let workers: usize = self.workers.iter().map(Worker::len).sum();
        serial + 4 * (self.scales.len() + self.partial.len() + buffers + workers)
    }

    fn at_once(&self) -> usize {
        // One thread, which takes over at a member to skip, asks for all samples of a member; so does a job, and for those of all its members.
        MEMBERS * self.workers.len() * self.task.batch
    }
}
