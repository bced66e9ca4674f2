//! What one thread does: it makes members, and runs them over their samples and back.

use std::ops::Range;

use pg_core::form::Samples;
use pg_core::perturbation::mirror;
use pg_core::perturbation::rank_one::Factors;
use pg_core::population::{Batch, Cohort, Input, Population, Weights, Workspace, backward, forward, shard, weigh};
use pg_core::{Network, Widest};

use super::jobs::{Job, Part, Who};
use super::line::{Line, Outcome, Place};
use crate::engine::Task;
use crate::memory::Memory;

type Form = Samples<Widest>;

/// What all threads read.
pub(super) struct Shared<'a> {
    pub(super) task: &'a Task,
    pub(super) population: &'a Population,
    pub(super) who: Who,
    pub(super) step: u32,
    pub(super) parameters: &'a [f32],
    pub(super) scales: &'a [f32],
    /// Samples, and which of the step's they are.
    pub(super) batch: &'a Batch<'a>,
    pub(super) span: Range<usize>,
    /// What losses are divided by.
    pub(super) divisor: usize,
    /// Without weights nobody runs back.
    pub(super) weights: Option<&'a Weights>,
}

/// The memory of one thread.
pub(super) struct Worker {
    weights: Memory,
    workspace: Memory,
    /// The member whose weights are held.
    member: Option<u32>,
    /// The samples whose input the workspace holds.
    filled: Option<Range<usize>>,
}

impl Worker {
    pub(super) fn new<N: Network>(task: &Task) -> Self {
        Self {
            weights: Memory::zeros(task.population.members_len::<N, Form>(task.batch)),
            workspace: Memory::zeros(Workspace::len::<N, Form>(shard::<N>(task.batch))),
            member: None,
            filled: None,
        }
    }

    /// How many `f32`s it has.
    pub(super) fn len(&self) -> usize {
        self.weights.len() + self.workspace.len()
    }

    /// The parameters and the samples may have changed.
    pub(super) fn forget(&mut self) {
        (self.member, self.filled) = (None, None);
    }

    /// The room for the weights of a member, which is then held.
    pub(super) fn hold(&mut self, member: u32) -> &mut [f32] {
        self.member = Some(member);
        &mut self.weights
    }

    /// Does the job that it is given, and others as long as there are any. A loss that is not finite ends the work of all.
    pub(super) fn work<N: Network>(&mut self, shared: &Shared, jobs: &[Job], line: &Line, given: Option<usize>) {
        let mut next = given.map(|job| line.place(job)).or_else(|| line.next());
        while let Some(mut place) = next {
            for part in &jobs[place.job].0 {
                if self.pass::<N>(shared, part, &mut place).is_none() {
                    return;
                }
            }
            place.leave();
            next = line.next();
        }
    }

    /// Runs one member over some samples and back; `None` at a loss that is not finite, or when another thread met one.
    fn pass<N: Network>(&mut self, shared: &Shared, part: &Part, place: &mut Place) -> Option<()> {
        let Shared { task, population, parameters, span, divisor, .. } = shared;
        if shared.who == Who::Members {
            self.make::<N>(shared, part.member);
        }
        let factored = shared.who == Who::Members && population.noise.is_factored::<N>();
        let factors = factored.then(|| Factors::of_members(&self.weights));
        let weights = if shared.who == Who::Central || factored { *parameters } else { &*self.weights };
        let size = shard::<N>(part.samples.len()).max(1);
        let one_pass = part.samples.len() <= size;
        // The weight of a member is put on the gradient of its outputs, or, where it is summed shard by shard, on the sum.
        let weighed = one_pass && part.is_whole();
        let (mut loss, mut gradient) = (0.0, None);
        for first in part.samples.clone().step_by(size) {
            let range = first..part.samples.end.min(first + size);
            let samples = shared.batch.part(range.start - span.start..range.end - span.start, N::INPUT.len(), N::OUTPUTS);
            let cohort = Cohort { count: 1, draw: population.draw(task.seed, shared.step, part.member, first as u32), factors };
            let input = if self.filled.as_ref() == Some(&range) { Input::Held } else { Input::New };
            self.filled = Some(range);
            let mut workspace = Workspace::new::<N, Form>(shard::<N>(task.batch), &mut self.workspace);
            let sums = forward::<N, Form>(&task.loss, cohort, weights, &samples, *divisor, input, &mut workspace);
            if !sums[0].is_finite() {
                return None;
            }
            loss += sums[0];
            let Some(by_loss) = shared.weights else { continue };
            if weighed {
                weigh::<N, Form>(by_loss, cohort, &sums, samples.samples, &mut workspace);
            }
            if let (true, Some(sum)) = (one_pass, place.sum()) {
                let (target, adds) = sum.target(part);
                backward::<N, Form>(cohort, weights, &samples, adds, &mut workspace, target);
                sum.passed(part, loss);
                return Some(());
            }
            let adds = gradient.is_some();
            let target = match &mut gradient {
                Some(target) => target,
                none => none.insert(place.buffer()?),
            };
            backward::<N, Form>(cohort, weights, &samples, adds, &mut workspace, target);
        }
        place.put(Outcome { part: part.clone(), loss, gradient, weighed });
        Some(())
    }

    /// Makes the weights of a member, or its factors, unless they are there.
    fn make<N: Network>(&mut self, shared: &Shared, member: u32) {
        let Shared { task, population, step, parameters, scales, .. } = shared;
        if self.member == Some(member) {
            return;
        }
        let (pair, second) = population.place(member);
        let stream = population.stream(task.seed, *step, pair);
        let first_is_held = self.member.is_some_and(|held| held + 1 == member);
        self.member = Some(member);
        if population.noise.is_factored::<N>() {
            population.noise.factors::<N, Widest>(&stream, scales, second, 1, &mut self.weights);
            return;
        }
        if !(second && first_is_held) {
            population.noise.perturb::<N, Widest>(&stream, parameters, scales, &mut self.weights);
        }
        if second {
            mirror::<Widest>(parameters, &mut self.weights);
        }
    }
}
