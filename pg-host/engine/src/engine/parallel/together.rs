//! Members that run at the same time are made together, each thread some rows of all of them: so the noise of a pair that two threads run is made
//! once, as it is where one thread runs both.
//!
//! Nothing here runs a member.

use std::ops::Range;

use pg_core::perturbation::{mirror, row_from};
use pg_core::{Network, Widest};

use super::jobs::{Job, Who};
use super::worker::{Shared, Worker};
use crate::engine::Crew;

/// Makes the members of the first jobs, one for each worker, when each of them is one member's and that saves any noise. How many it has made: those
/// jobs are the workers' own then, the first the first's.
pub(super) fn make<N: Network>(crew: &Crew, shared: &Shared, jobs: &[Job], workers: &mut [Worker]) -> usize {
    let population = shared.population;
    if shared.who != Who::Members || population.noise.is_factored::<N>() {
        return 0;
    }
    let Some(members) = jobs.iter().take(workers.len()).map(Job::member).collect::<Option<Vec<u32>>>() else { return 0 };
    let pairs = members.iter().map(|&member| population.place(member).0);
    if !pairs.clone().zip(pairs.skip(1)).any(|(pair, next)| pair == next) {
        return 0;
    }
    // Each thread's rows of each member.
    let mut rows: Vec<(Range<usize>, Vec<&mut [f32]>)> = ranges::<N>(crew.threads()).map(|range| (range, Vec::new())).collect();
    for (worker, &member) in workers.iter_mut().zip(&members) {
        let mut rest = worker.hold(member);
        for (range, slices) in &mut rows {
            slices.extend(rest.split_off_mut(..range.len()));
        }
    }
    crew.all(rows, |(range, slices)| make_rows::<N>(shared, &members, range, slices));
    members.len()
}

/// Makes some rows of members; what two that follow each other have in common, once.
fn make_rows<N: Network>(shared: &Shared, members: &[u32], range: Range<usize>, slices: Vec<&mut [f32]>) {
    let Shared { task, population, step, parameters, scales, .. } = shared;
    let mut last: Option<(u32, &[f32])> = None;
    for (&member, slice) in members.iter().zip(slices) {
        let (pair, second) = population.place(member);
        let mirrored = match last {
            Some((before, rows)) if population.place(before).0 == pair => {
                slice.copy_from_slice(rows);
                second && before != member
            }
            _ => {
                let stream = population.stream(task.seed, *step, pair);
                population.noise.perturb_rows::<N, Widest>(&stream, parameters, scales, range.clone(), slice);
                second
            }
        };
        if mirrored {
            mirror::<Widest>(&parameters[range.clone()], slice);
        }
        last = Some((member, slice));
    }
}

/// All parameters in so many ranges, which begin with a row.
fn ranges<N: Network>(count: usize) -> impl Iterator<Item = Range<usize>> {
    let cut = move |number| row_from::<N>(N::PARAMS * number / count);
    (0..count).map(move |number| cut(number)..cut(number + 1))
}

#[cfg(test)]
mod tests {
    use pg_core::zoo::Lenet28 as N;

    use super::*;

    #[test]
    fn ranges_hold_every_parameter_once() {
        for count in [1, 2, 3, 8, 50] {
            let all: Vec<_> = ranges::<N>(count).flatten().collect();
            assert_eq!(all, (0..N::PARAMS).collect::<Vec<_>>());
        }
    }
}
