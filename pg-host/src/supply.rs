//! The samples of a step, as an engine asks for them: a batch that all members share or divide, or a whole batch for each member.
//!
//! An epoch has as many steps in every mode. Where each member has batches of its own, it goes through all samples in an epoch, as the others
//! do, in the same order from another place on: member k of K begins at the k-th K-th. They are gathered when they are asked for, so their
//! memory is that of the members that run at once; what all members share is gathered at once, by all threads.

use std::ops::Range;

use pg_core::population::{Batch, BatchMode, Population, Source};

use crate::augmentation::Gatherer;
use crate::engine::Crew;

/// The samples of one step.
pub struct Supply<'a> {
    gatherer: &'a mut Gatherer,
    /// The seed of the run, and the epoch.
    key: (u64, u32),
    place: Place<'a>,
    /// What the gatherer holds, of the samples of the step.
    held: Range<usize>,
}

/// Which samples they are.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The order of all samples in the epoch.
    order: &'a [u32],
    /// The first of them that the step, or its first member, takes.
    first: usize,
    /// How many it takes.
    count: usize,
    /// Members with batches of their own; 1 without.
    members: usize,
}

impl Place<'_> {
    /// Sample `number` of the step.
    fn index(&self, number: usize) -> u32 {
        let Self { order, first, count, members } = self;
        order[(order.len() * (number / count) / members + first + number % count) % order.len()]
    }
}

impl<'a> Supply<'a> {
    /// For a step of `population` that takes the samples `taken` of the epoch's `order`; each member with a batch of its own takes as many. `key`
    /// is the seed of the run and the epoch, from 0.
    pub fn new(gatherer: &'a mut Gatherer, population: &Population, key: (u64, u32), order: &'a [u32], taken: Range<usize>) -> Self {
        let members = if population.batch == BatchMode::Fresh { population.members.max(1) as usize } else { 1 };
        let place = Place { order, first: taken.start, count: taken.len(), members };
        Self { gatherer, key, place, held: 0..0 }
    }

    /// Gathers what the members share or divide, by all threads.
    pub fn gather(&mut self, crew: &Crew) {
        if self.place.members == 1 {
            self.hold(crew, 0..self.place.count);
        }
    }

    /// Says which samples of the epoch's order the next step takes. Samples of members with batches of their own are gathered when they are asked for.
    pub fn announce(&self, taken: Range<usize>) {
        if self.place.members == 1 {
            self.gatherer.announce(self.key, self.place.order[taken].iter().copied());
        }
    }

    fn hold(&mut self, crew: &Crew, wanted: Range<usize>) {
        let Self { gatherer, key, place, held } = self;
        gatherer.gather(crew, *key, wanted.clone().map(|number| place.index(number)));
        *held = wanted;
    }
}

impl Source for Supply<'_> {
    fn samples(&self) -> usize {
        self.place.count * self.place.members
    }

    fn part(&mut self, wanted: Range<usize>, elements: usize, outputs: usize) -> Batch<'_> {
        if wanted.start < self.held.start || wanted.end > self.held.end {
            let all = if self.place.members == 1 { 0..self.place.count } else { wanted.clone() };
            self.hold(&Crew::default(), all);
        }
        let first = self.held.start;
        self.gatherer.batch().part(wanted.start - first..wanted.end - first, elements, outputs)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::Samples;
    use pg_core::Shape;
    use pg_core::loss::Targets;

    /// The labels of the parts that are asked for in every step of an epoch over 23 samples in batches of 5.
    fn seen(mode: BatchMode, members: u32) -> Vec<Vec<u16>> {
        let samples = Arc::new(Samples { inputs: (0..23).map(|i| i as f32).collect(), labels: (0..23).collect() });
        let order: Vec<u32> = (0..23).map(|i| (i * 7 + 3) % 23).collect();
        let population = Population { batch: mode, ..Population::new(members, 0.3) };
        let mut gatherer = Gatherer::new("".parse().unwrap_or_default(), Shape::new(1, 1, 1), 10, samples);
        let mut seen = Vec::new();
        for first in (0..23).step_by(5) {
            let mut supply = Supply::new(&mut gatherer, &population, (1, 0), &order, first..23.min(first + 5));
            let all = supply.samples();
            for member in 0..population.running(all) {
                let batch = supply.part(population.part(member, all), 1, 1);
                let Targets::Classes(labels) = batch.targets else { panic!("classes") };
                assert!(labels.len() == batch.samples && labels.iter().zip(batch.inputs).all(|(&label, &x)| f32::from(label) == x));
                seen.push(labels.to_vec());
            }
        }
        seen
    }

    #[test]
    fn every_mode_takes_as_many_steps_and_a_member_with_batches_of_its_own_sees_every_sample_once_in_an_epoch() {
        let mut all: Vec<u16> = seen(BatchMode::Shared, 1).concat();
        assert_eq!(seen(BatchMode::Split, 3).concat(), all);
        assert_eq!(seen(BatchMode::Fresh, 1).concat(), all);
        all.sort_unstable();
        assert_eq!(all, (0..23).collect::<Vec<_>>());
        let fresh = seen(BatchMode::Fresh, 3);
        assert_eq!(fresh.iter().map(Vec::len).collect::<Vec<_>>(), [[5; 3], [5; 3], [5; 3], [5; 3], [3; 3]].concat());
        for member in 0..3 {
            let mut own: Vec<u16> = fresh.iter().skip(member).step_by(3).flatten().copied().collect();
            own.sort_unstable();
            assert_eq!(own, all);
        }
        for step in fresh.chunks(3) {
            let mut together = step.concat();
            together.sort_unstable();
            together.dedup();
            assert_eq!(together.len(), step.concat().len(), "in a step no two see the same sample");
        }
    }
}
