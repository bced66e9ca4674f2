//! The work of a step in pieces, each for one thread: members in pairs as long as every thread has as many, then single members, then single
//! shards of those that are left. In the order in which their gradients are added.
//!
//! Here is no thread and no gradient.

use std::ops::Range;

use pg_core::Network;
use pg_core::population::{Population, shard};

/// Who runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The members, in order.
    Members,
    /// The central network.
    Central,
}

/// Samples of a member that a job sums up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) member: u32,
    /// Among those of the step.
    pub(super) samples: Range<usize>,
    /// Where they are among the member's: from the beginning, to the end.
    pub(super) begins: bool,
    pub(super) ends: bool,
}

/// Some members, or a shard of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job(pub(super) Vec<Part>);

impl Part {
    /// Whether the gradient of a member is made at once.
    pub(super) fn is_whole(&self) -> bool {
        self.begins && self.ends
    }
}

impl Job {
    /// The member that it is about, if it is only one.
    pub(super) fn member(&self) -> Option<u32> {
        let [part] = &self.0[..] else { return None };
        Some(part.member)
    }
}

/// The jobs of a step with so many samples, in order.
pub(super) fn jobs<N: Network>(who: Who, population: &Population, samples: usize, threads: usize) -> Vec<Job> {
    let (members, of) = runners(who, population, samples);
    let Range { start: first, end } = members;
    let whole = |member| Part { member, samples: of(member), begins: true, ends: true };
    let mut jobs = Vec::new();
    let mut next = first;
    // A pair is made of the same noise: a thread that takes both makes it once.
    for size in [population.unit(), 1] {
        let round = size * threads as u32;
        while end - next >= round {
            let firsts = (next..next + round).step_by(size as usize);
            jobs.extend(firsts.map(|first| Job((first..first + size).map(whole).collect())));
            next += round;
        }
    }
    for member in next..end {
        let all = of(member);
        let size = shard::<N>(all.len()).max(1);
        let parts = all.clone().step_by(size).map(|first| first..all.end.min(first + size));
        let part = |samples: Range<usize>| Part { member, begins: samples.start == all.start, ends: samples.end == all.end, samples };
        jobs.extend(parts.map(|samples| Job(vec![part(samples)])));
    }
    jobs
}

/// How a step keeps threads busy that take its jobs.
pub(in crate::engine) struct Load {
    /// Passes of one network over one shard that may run at the same time, at most.
    pub(in crate::engine) passes: usize,
    /// The part of the threads' time that they work, of 1.
    pub(in crate::engine) busy: f64,
}

impl Load {
    /// Of a step with so many samples.
    pub(in crate::engine) fn of<N: Network>(population: &Population, samples: usize, threads: usize) -> Self {
        let (mut passes, mut work, mut span) = (0, 0, 0);
        let members = (population.members > 0).then_some(Who::Members);
        let central = (population.members == 0 || population.lambda() > 0.0).then_some(Who::Central);
        for who in members.into_iter().chain(central) {
            let of = |part: &Part| part.samples.len();
            let all = jobs::<N>(who, population, samples, threads);
            passes = passes.max(all.iter().flat_map(|job| &job.0).map(|part| of(part).div_ceil(shard::<N>(of(part)).max(1))).sum());
            // Whoever is free takes the next.
            let mut ends = vec![0; threads];
            for job in &all {
                *ends.iter_mut().min().expect("one thread at least") += job.0.iter().map(of).sum::<usize>();
            }
            work += ends.iter().sum::<usize>();
            span += ends.iter().max().expect("one thread at least");
        }
        Self { passes, busy: work as f64 / (span * threads).max(1) as f64 }
    }
}

/// Who runs, and over which of the step's samples.
fn runners(who: Who, population: &Population, samples: usize) -> (Range<u32>, impl Fn(u32) -> Range<usize>) {
    let members = match who {
        Who::Members => 0..population.running(samples),
        Who::Central => population.clean_member()..population.clean_member() + 1,
    };
    let of = move |member| if who == Who::Members { population.part(member, samples) } else { population.clean_part(samples) };
    (members, of)
}

#[cfg(test)]
mod tests {
    use pg_core::zoo::Mlp9x24x11 as N;

    use super::*;

    /// How many members, or shards of one, each job has.
    fn sizes(members: u32, antithetic: bool, samples: usize, threads: usize) -> Vec<usize> {
        let population = Population { antithetic, ..Population::new(members, 0.3) };
        let who = if members == 0 { Who::Central } else { Who::Members };
        jobs::<N>(who, &population, samples, threads).iter().map(|job| job.0.len()).collect()
    }

    #[test]
    fn pairs_are_handed_out_as_long_as_every_thread_has_as_many() {
        assert_eq!(sizes(8, true, 64, 2), [2, 2, 2, 2]);
        assert_eq!(sizes(8, true, 640, 2), [2, 2, 2, 2]);
        assert_eq!(sizes(6, true, 64, 2), [2, 2, 1, 1]);
        assert_eq!(sizes(3, true, 64, 2), [1, 1, 1]);
        assert_eq!(sizes(3, false, 64, 3), [1, 1, 1]);
    }

    #[test]
    fn what_is_left_is_cut_into_shards() {
        assert_eq!(sizes(0, true, 200, 2), [1; 4]);
        assert_eq!(sizes(5, true, 130, 2), [2, 2, 1, 1, 1]);
    }

    #[test]
    fn jobs_are_every_sample_of_every_member_once_and_in_order() {
        for members in [1, 2, 5, 8] {
            for threads in [1, 2, 3, 7] {
                let all = jobs::<N>(Who::Members, &Population::new(members, 0.3), 200, threads);
                let mut next = (0, 0);
                for part in all.iter().flat_map(|job| &job.0) {
                    assert_eq!((part.member, part.samples.start), next);
                    assert_eq!((part.begins, part.ends), (next.1 == 0, part.samples.end == 200));
                    next = if part.ends { (part.member + 1, 0) } else { (part.member, part.samples.end) };
                }
                assert_eq!(next, (members, 0));
            }
        }
    }
}
