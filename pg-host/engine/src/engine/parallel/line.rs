//! Gradients that threads finish in any order are added in one: the [`Sum`] is a baton that goes from job to job. Who has it runs back straight
//! into it, as one thread alone would; who does not keeps gradients in buffers, and they are added by whoever has the sum when their turn comes.
//! So nobody waits for anybody, unless all buffers are in use.
//!
//! Nothing here computes a gradient.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use pg_core::Widest;
use pg_core::population::{Weights, join};

use super::jobs::Part;
use crate::engine::Crew;
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
        let share = crew.share(self.gradient.len());
        crew.all(self.gradient.chunks_mut(share).enumerate(), |(index, piece)| {
            for &(weight, from, adds) in &terms {
                join::<Widest>(weight, &from[index * share..][..piece.len()], adds, piece);
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
    /// Jobs, and the next that nobody has begun.
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
        self.left = true;
        let mut state = self.line.lock();
        state.waiting.insert(self.job, std::mem::take(&mut self.done));
        let Some(mut sum) = self.sum.take().or_else(|| state.sum_of(self.job)) else { return };
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
