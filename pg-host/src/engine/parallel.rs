//! Several threads: each makes one pair of members at a time; the gradients of the members are added in the members' order.
//!
//! The order of summation is that of [`Population::gradient`]: each member's gradient as a whole, member after member, then times 1/K.
//! So the bits are those of one thread. Memory grows with the threads, not with the population.

use std::marker::PhantomData;

use pg_core::form::Samples;
use pg_core::perturbation::{mirror, noise_scales, perturb};
use pg_core::population::{Batch, Cohort, Population, StepError, Workspace, accumulate, add, scale};
use pg_core::{Network, Widest};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::{Engine, Task};
use crate::memory::Memory;

type Form = Samples<Widest>;

/// `f32`s of the gradient that one thread sums at a time.
const PIECE: usize = 8192;

/// Members that are made together: the second of a pair is made from the first.
pub(super) const fn unit(population: &Population) -> u32 {
    if population.antithetic { 2 } else { 1 }
}

pub(super) struct Parallel<N> {
    task: Task,
    pool: ThreadPool,
    scales: Memory,
    workers: Vec<Worker>,
    network: PhantomData<fn() -> N>,
}

/// What all threads read in a step.
struct Shared<'a> {
    step: u32,
    parameters: &'a [f32],
    scales: &'a [f32],
    batch: &'a Batch<'a>,
}

/// The memory of one thread.
struct Worker {
    weights: Memory,
    members: [Member; 2],
    workspace: Memory,
}

/// What a member gives.
struct Member {
    gradient: Memory,
    loss: Result<f32, StepError>,
}

impl<N: Network> Parallel<N> {
    pub(super) fn new(task: Task, threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let member = || Member { gradient: Memory::zeros(N::PARAMS), loss: Ok(0.0) };
        let worker = || Worker {
            weights: Memory::zeros(N::PARAMS),
            members: [member(), member()],
            workspace: Memory::zeros(Workspace::len::<N, Form>(task.batch)),
        };
        Ok(Self {
            task,
            pool: ThreadPoolBuilder::new().num_threads(threads).build()?,
            scales: Memory::zeros(N::FILTERS),
            workers: (0..threads).map(|_| worker()).collect(),
            network: PhantomData,
        })
    }
}

impl Worker {
    /// Makes the members from `first` on, up to a unit of them or `count`, and their gradients.
    fn run<N: Network>(&mut self, task: &Task, shared: &Shared, first: u32, refill: bool) {
        let Task { population, loss, seed, .. } = task;
        let &Shared { step, parameters, scales, batch } = shared;
        let (pair, _) = population.place(first);
        let stream = population.stream(*seed, step, pair);
        perturb::<N, Widest>(population.distribution, &stream, parameters, scales, &mut self.weights);
        let mut workspace = Workspace::new::<N, Form>(task.batch, &mut self.workspace);
        let members = unit(population).min(population.members - first) as usize;
        for (i, Member { gradient, loss: result }) in self.members[..members].iter_mut().enumerate() {
            if i == 1 {
                mirror::<Widest>(parameters, &mut self.weights);
            }
            let refill = refill && i == 0;
            let one = Cohort { count: 1, draw: population.draw(*seed, step, first + i as u32) };
            let losses = accumulate::<N, Form>(loss, one, &self.weights, batch, refill, false, &mut workspace, gradient);
            *result = losses.map(|losses| losses[0]);
        }
    }
}

impl<N: Network> Engine for Parallel<N> {
    fn gradient(&mut self, step: u32, parameters: &[f32], batch: &Batch, gradient: &mut [f32]) -> Result<f32, StepError> {
        let Self { task, pool, scales, workers, .. } = self;
        let count = task.population.members;
        let unit = unit(&task.population);
        noise_scales::<N, Widest>(task.population.rho, parameters, scales);
        let shared = Shared { step, parameters, scales, batch };
        let mut total = 0.0;
        pool.install(|| {
            let mut first = 0;
            while first < count {
                let busy = workers.len().min((count - first).div_ceil(unit) as usize);
                workers[..busy].par_iter_mut().enumerate().for_each(|(i, worker)| {
                    worker.run::<N>(task, &shared, first + unit * i as u32, first == 0);
                });
                let round = (count - first).min(unit * busy as u32) as usize;
                let members = || workers.iter().flat_map(|worker| &worker.members[..unit as usize]).take(round);
                for member in members() {
                    total += member.loss?;
                }
                gradient.par_chunks_mut(PIECE).enumerate().for_each(|(piece, gradient)| {
                    let place = piece * PIECE..piece * PIECE + gradient.len();
                    for (i, member) in members().enumerate() {
                        let part = &member.gradient[place.clone()];
                        // As one thread does it: the first is written, not added to zero, which would lose the sign of a zero.
                        if first == 0 && i == 0 { gradient.copy_from_slice(part) } else { add::<Widest>(part, gradient) }
                    }
                });
                first += round as u32;
            }
            Ok(())
        })?;
        let mean = 1.0 / count as f32;
        scale::<Widest>(mean, gradient);
        Ok(total * mean)
    }

    fn threads(&self) -> usize {
        self.workers.len()
    }
}
