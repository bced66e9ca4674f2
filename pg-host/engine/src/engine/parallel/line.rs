//! Gradients that threads finish in any order are added in one: the [`Sum`] is a baton that goes from job to job. Who has it runs back straight
//! into it, as one thread alone would; who does not keeps gradients in buffers, and they are added by whoever has the sum when their turn comes.
//! So nobody waits for anybody, unless all buffers are in use. Members that are to be added when all jobs are done are added by all threads.
//!
//! Nothing here computes a gradient.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use pg_core::Widest;
use pg_core::population::{Weights, join};

use super::jobs::Part;
use crate::engine::{Crew, LINE};
use crate::memory::Memory;

/// The sum of the gradients of all members so far.
pub(super) struct Sum<'a> {
    gradient: &'a mut [f32],
    /// Whether `gradient` has anything in it.
    adds: bool,
    /// The sum over the shards so far of the member at hand, of their losses, and the number of their samples.
    partial: &'a mut [f32],
    loss: f32,
    samples: usize,
    weights: Option<&'a Weights>,
    /// Is shown the sum of the losses of each member and the number of its samples.
    visit: &'a mut (dyn FnMut(f32, usize) + Send),
}

/// What became of a part of a job.
pub(super) struct Outcome {
    pub(super) part: Part,
    /// The sum of its losses.
    pub(super) loss: f32,
    /// Its gradient, when anybody runs back.
    pub(super) gradient: Option<Memory>,
    /// Whether the member's weight is on the gradient already.
    pub(super) weighed: bool,
}

impl<'a> Sum<'a> {
    /// Of nothing yet; with `adds` it goes on from what `gradient` holds. Without weights nobody runs back.
    pub(super) fn new(
        weights: Option<&'a Weights>,
        adds: bool,
        gradient: &'a mut [f32],
        partial: &'a mut [f32],
        visit: &'a mut (dyn FnMut(f32, usize) + Send),
    ) -> Self {
        Self { gradient, adds, partial, loss: 0.0, samples: 0, weights, visit }
    }

    /// Where the next part, of one pass, is to run back to, and whether it adds there.
    pub(super) fn target(&mut self, part: &Part) -> (&mut [f32], bool) {
        match self.is_apart(part) {
            true => (self.partial, !part.begins),
            false => (self.gradient, self.adds || !part.begins),
        }
    }

    /// Takes note of a part that has run back to [`Sum::target`].
    pub(super) fn passed(&mut self, part: &Part, loss: f32) {
        let apart = self.is_apart(part);
        let weight = self.count(part, loss);
        if apart && part.ends {
            join::<Widest>(weight, self.partial, self.adds, self.gradient);
        }
        self.adds |= part.ends;
    }

    /// Adds the next part. The first to come is written, as one thread does it: added to zero it would lose the sign of a zero.
    fn add(&mut self, Outcome { part, loss, gradient, weighed }: &Outcome) {
        let Some(from) = gradient else {
            self.count(part, *loss);
            return;
        };
        if !part.is_whole() {
            let (to, adds) = self.target(part);
            join::<Widest>(1.0, from, adds, to);
            return self.passed(part, *loss);
        }
        let weight = self.count(part, *loss);
        join::<Widest>(if *weighed { 1.0 } else { weight }, from, self.adds, self.gradient);
        self.adds = true;
    }

    /// Adds the gradients of the last members, piece by piece, by all threads.
    pub(super) fn add_last(&mut self, crew: &Crew, last: &[Outcome]) {
        let mut terms = Vec::with_capacity(last.len());
        for Outcome { part, loss, gradient, weighed } in last {
            let weight = self.count(part, *loss);
            if let Some(from) = gradient {
                terms.push((if *weighed { 1.0 } else { weight }, from, self.adds));
                self.adds = true;
            }
        }
        if terms.is_empty() {
            return;
        }
        let length = self.gradient.len();
        let mut rest = &mut *self.gradient;
        let cut = |range: Range<usize>| (range.start, rest.split_off_mut(..range.len()).expect("no more than the gradient"));
        crew.divide(length, LINE, cut, |(first, piece)| {
            for &(weight, from, adds) in &terms {
                join::<Widest>(weight, &from[first..][..piece.len()], adds, piece);
            }
        });
    }

    /// Whether a part's member is summed up by itself first. The sum over the shards of the first member is the gradient, unless it is to be
    /// weighed.
    fn is_apart(&self, part: &Part) -> bool {
        !part.is_whole() && (self.adds || !self.weights.is_some_and(Weights::are_one))
    }

    /// Counts a part's losses; the weight of the member when it ends.
    fn count(&mut self, part: &Part, loss: f32) -> f32 {
        if part.begins {
            (self.loss, self.samples) = (0.0, 0);
        }
        self.loss += loss;
        self.samples += part.samples.len();
        if !part.ends {
            return 1.0;
        }
        (self.visit)(self.loss, self.samples);
        self.weights.map_or(1.0, |weights| weights.of(self.loss / self.samples as f32))
    }
}

/// Where jobs get their turn.
pub(super) struct Line<'a> {
    state: Mutex<State<'a>>,
    moved: Condvar,
}

struct State<'a> {
    /// Jobs, and the next that is nobody's.
    jobs: usize,
    next: usize,
    /// The job whose gradients are to be added now.
    turn: usize,
    /// Nobody's while it is in the hands of whose turn it is.
    sum: Option<Sum<'a>>,
    /// Jobs that were done before their turn.
    waiting: BTreeMap<usize, Vec<Outcome>>,
    /// Buffers for a gradient that are free.
    buffers: Vec<Memory>,
    /// A loss is not finite, or a thread has panicked.
    failed: bool,
}

impl<'a> Line<'a> {
    /// Of so many jobs, of which the first are given already; there must be two buffers at least.
    pub(super) fn new(jobs: usize, given: usize, sum: Sum<'a>, buffers: Vec<Memory>) -> Self {
        let state = State { jobs, next: given, turn: 0, sum: Some(sum), waiting: BTreeMap::new(), buffers, failed: false };
        Self { state: Mutex::new(state), moved: Condvar::new() }
    }

    /// The next job, unless none is left or all is lost.
    pub(super) fn next(&self) -> Option<Place<'_, 'a>> {
        let mut state = self.lock();
        if state.failed || state.next == state.jobs {
            return None;
        }
        state.next += 1;
        Some(self.place(state.next - 1))
    }

    /// The place of a job that was given.
    pub(super) fn place(&self, job: usize) -> Place<'_, 'a> {
        Place { line: self, job, sum: None, done: Vec::new(), left: false }
    }

    /// The sum over all jobs, when all have left; and the buffers, or what is left of them.
    pub(super) fn end(self, crew: &Crew) -> (Option<Sum<'a>>, Vec<Memory>) {
        let mut state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let last: Vec<Outcome> = std::mem::take(&mut state.waiting).into_values().flatten().collect();
        if let (Some(sum), false, false) = (&mut state.sum, state.failed, last.is_empty()) {
            sum.add_last(crew, &last);
            state.turn = state.jobs;
        }
        state.free(last);
        (state.sum.filter(|_| !state.failed && state.turn == state.jobs), state.buffers)
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job's place in the line. Dropped before it has left, as by a panic or at a loss that is not finite, it ends all work.
pub(super) struct Place<'l, 'a> {
    line: &'l Line<'a>,
    /// Which job it is.
    pub(super) job: usize,
    sum: Option<Sum<'a>>,
    done: Vec<Outcome>,
    left: bool,
}

impl<'a> Place<'_, 'a> {
    /// The sum, when it is the job's turn; all that the job has put is in it.
    pub(super) fn sum(&mut self) -> Option<&mut Sum<'a>> {
        if self.sum.is_none() {
            self.sum = self.line.lock().sum_of(self.job);
        }
        let sum = self.sum.as_mut()?;
        if !self.done.is_empty() {
            self.done.iter().for_each(|outcome| sum.add(outcome));
            self.line.lock().free(self.done.drain(..));
            self.line.moved.notify_all();
        }
        Some(sum)
    }

    /// A buffer for a gradient; `None` when all is lost. The last one is for the job whose turn it is, which therefore never waits.
    pub(super) fn buffer(&mut self) -> Option<Memory> {
        loop {
            let keep = usize::from(self.sum().is_none());
            let mut state = self.line.lock();
            if state.failed {
                return None;
            }
            if state.buffers.len() > keep {
                return state.buffers.pop();
            }
            if state.turn != self.job {
                drop(self.line.moved.wait(state));
            }
        }
    }

    /// Takes a part that is in a buffer, or has no gradient.
    pub(super) fn put(&mut self, outcome: Outcome) {
        self.done.push(outcome);
    }

    /// Leaves the line, after all parts of the job.
    pub(super) fn leave(mut self) {
        let mut state = self.line.lock();
        state.waiting.insert(self.job, std::mem::take(&mut self.done));
        let Some(mut sum) = self.sum.take().or_else(|| state.sum_of(self.job)) else {
            self.left = true;
            return;
        };
        // Its turn comes to an end; so does that of those behind it who have left already. When they are the last, all threads are free to add them.
        while !state.is_at_last()
            && let Some(done) = state.take_turn()
        {
            drop(state);
            done.iter().for_each(|outcome| sum.add(outcome));
            state = self.line.lock();
            state.free(done);
            state.turn += 1;
        }
        state.sum = Some(sum);
        drop(state);
        self.left = true;
        self.line.moved.notify_all();
    }
}

impl Drop for Place<'_, '_> {
    fn drop(&mut self) {
        if !self.left {
            self.line.lock().failed = true;
            self.line.moved.notify_all();
        }
    }
}

impl<'a> State<'a> {
    /// The sum, when it is this job's turn and nobody has it.
    fn sum_of(&mut self, job: usize) -> Option<Sum<'a>> {
        if self.turn == job { self.sum.take() } else { None }
    }

    /// Whether all jobs have left, and what is still to be added are members' gradients as wholes.
    fn is_at_last(&self) -> bool {
        let mut waiting = self.waiting.values().flatten();
        self.waiting.len() == self.jobs - self.turn && waiting.clone().next().is_some() && waiting.all(|outcome| outcome.part.is_whole())
    }

    /// What the job whose turn it is has left.
    fn take_turn(&mut self) -> Option<Vec<Outcome>> {
        self.waiting.remove(&self.turn)
    }

    /// Takes buffers back.
    fn free(&mut self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.buffers.extend(outcomes.into_iter().filter_map(|outcome| outcome.gradient));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: usize = 40;

    /// A part of a member with a gradient that has negative zeros in it.
    fn outcome(member: u32, samples: Range<usize>, of: usize) -> Outcome {
        let mut gradient = Memory::zeros(LENGTH);
        let number =
            |i: usize| if i.is_multiple_of(5) { -0.0 } else { (i as f32 - 17.3) * (0.37 + member as f32) / (1 + samples.start) as f32 };
        gradient.iter_mut().enumerate().for_each(|(i, g)| *g = number(i));
        let part = Part { member, begins: samples.start == 0, ends: samples.end == of, samples };
        Outcome { part, loss: 0.1 + member as f32, gradient: Some(gradient), weighed: false }
    }

    /// The bits of the sum, and what was visited, when each job has these outcomes and they leave in this order.
    fn summed(jobs: &[fn() -> Vec<Outcome>], order: &[usize], weights: &Weights, threads: usize) -> (Vec<u32>, Vec<(u32, usize)>) {
        let (mut gradient, mut partial, mut visits) = ([f32::NAN; LENGTH], [f32::NAN; LENGTH], Vec::new());
        let mut visit = |loss: f32, samples| visits.push((loss.to_bits(), samples));
        let line = Line::new(jobs.len(), jobs.len(), Sum::new(Some(weights), false, &mut gradient, &mut partial, &mut visit), Vec::new());
        let mut places: Vec<_> = (0..jobs.len()).map(|job| Some(line.place(job))).collect();
        for &job in order {
            let mut place = places[job].take().unwrap();
            jobs[job]().into_iter().for_each(|outcome| place.put(outcome));
            place.leave();
        }
        drop(places);
        let (sum, buffers) = line.end(&Crew::new(threads).unwrap());
        assert!(sum.is_some());
        assert_eq!(buffers.len(), jobs.iter().map(|outcomes| outcomes().len()).sum::<usize>(), "all buffers come back");
        (gradient.map(f32::to_bits).to_vec(), visits)
    }

    #[test]
    fn the_sum_and_the_visits_are_those_in_order_in_whatever_order_jobs_leave() {
        let pairs: [fn() -> Vec<Outcome>; 4] = [
            || vec![outcome(0, 0..9, 9), outcome(1, 0..9, 9)],
            || vec![outcome(2, 0..9, 9), outcome(3, 0..9, 9)],
            || vec![outcome(4, 0..9, 9)],
            || vec![outcome(5, 0..9, 9)],
        ];
        let shards: [fn() -> Vec<Outcome>; 4] = [
            || vec![outcome(0, 0..4, 9)],
            || vec![outcome(0, 4..9, 9)],
            || vec![outcome(1, 0..9, 9), outcome(2, 0..9, 9)],
            || vec![outcome(3, 0..9, 9)],
        ];
        for weights in [Weights::ONE, Weights::fixed(0.3)] {
            let mut expected = [0.0; LENGTH];
            for member in 0..6 {
                let Outcome { gradient, part, .. } = outcome(member, 0..9, 9);
                join::<f32>(weights.of(0.0), &gradient.unwrap(), part.member > 0, &mut expected);
            }
            assert_eq!(summed(&pairs, &[0, 1, 2, 3], &weights, 1).0, expected.map(f32::to_bits));
            for jobs in [pairs, shards] {
                let in_order = summed(&jobs, &[0, 1, 2, 3], &weights, 1);
                for order in [[3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 1, 0], [0, 3, 2, 1]] {
                    for threads in [1, 2, 5] {
                        assert!(summed(&jobs, &order, &weights, threads) == in_order, "{order:?} {threads}");
                    }
                }
            }
        }
    }
}
