//! The labelled samples that a tuner learns from, as raw as they came: a ring over lent memory, and which of them come in a step.
//!
//! Every n-th sample of a class is held out: never learnt from, only looked at. The order of the others is addressed, as noise is: the
//! samples of a step follow from (seed, step) and from what the ring holds. Classes take turns, in an order that changes from round to
//! round, and so do the samples of a class; so a class with few samples comes as often as one with many. Nothing is shuffled or stored.

use heapless::deque::DequeView;
use serde::{Deserialize, Serialize};

use super::TuneError;
use crate::noise::{Purpose, Stream};

/// What a sample is kept as: `f32`, or a byte with the model's normalisation, a quarter of the memory.
pub trait Raw: Copy + Into<f32> + 'static {}
impl Raw for f32 {}
impl Raw for u8 {}
impl Raw for i8 {}

/// A sample in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the memory of the samples.
    pub slot: u16,
    /// Its class.
    pub label: u16,
    /// Whether it is held out.
    pub held_out: bool,
}

/// The most classes that a tuner tells apart.
pub const MOST_CLASSES: usize = 128;

/// How many samples of each class there are to learn from, how many classes have some, and whether any sample is held out.
pub(super) struct Census {
    counts: [u16; MOST_CLASSES],
    pub classes: u32,
    pub holds_out: bool,
}

/// The ring: `values` holds the samples, slot by slot, `entries` tells them from the oldest to the newest.
pub(super) struct Ring<'a, S> {
    pub values: &'a mut [S],
    pub entries: &'a mut DequeView<Entry>,
    pub elements: usize,
}

impl<S: Raw> Ring<'_, S> {
    /// How many samples there is room for.
    pub fn capacity(&self) -> usize {
        let slots = self.values.len().checked_div(self.elements).unwrap_or(0);
        slots.min(self.entries.storage_capacity()).min(usize::from(u16::MAX))
    }

    /// The values of a sample.
    #[inline]
    pub fn values(&self, entry: Entry) -> &[S] {
        self.values.get(usize::from(entry.slot) * self.elements..).and_then(|rest| rest.get(..self.elements)).unwrap_or(&[])
    }

    /// Takes a sample in; `hold_out` holds out every n-th of its class.
    pub fn push(&mut self, values: &[S], label: u16, hold_out: u32) -> Result<Entry, TuneError> {
        if self.entries.storage_len() >= self.capacity() {
            return Err(TuneError::Full { samples: self.entries.storage_len() });
        }
        let of_class = self.entries.iter().filter(|entry| entry.label == label).count() as u32 + 1;
        let slot = self.entries.back().map_or(0, |newest| (usize::from(newest.slot) + 1) % self.capacity().max(1));
        let entry = Entry { slot: slot as u16, label, held_out: of_class.checked_rem(hold_out) == Some(0) };
        let to = self.values.get_mut(slot * self.elements..).and_then(|rest| rest.get_mut(..self.elements));
        let full = TuneError::Full { samples: self.entries.storage_len() };
        to.ok_or(full)?.iter_mut().zip(values).for_each(|(to, &value)| *to = value);
        self.entries.push_back(entry).map_err(|_| full)?;
        Ok(entry)
    }

    /// The samples to learn from.
    #[inline]
    pub fn learnt(&self) -> impl Iterator<Item = Entry> {
        let (first, second) = self.entries.as_slices();
        first.iter().chain(second).copied().filter(|entry| !entry.held_out)
    }

    /// The samples of which this is true, from the oldest to the newest.
    #[inline]
    pub fn those(&self, of: impl Fn(&Entry) -> bool) -> impl Iterator<Item = Entry> {
        let (first, second) = self.entries.as_slices();
        first.iter().chain(second).copied().filter(of)
    }

    /// Holds out every n-th sample of a class, as if all had come in now.
    pub fn hold_out(&mut self, hold_out: u32) {
        let mut counts = [0_u16; MOST_CLASSES];
        let (first, second) = self.entries.as_mut_slices();
        for entry in first.iter_mut().chain(second) {
            let Some(count) = counts.get_mut(usize::from(entry.label)) else { continue };
            *count = count.wrapping_add(1);
            entry.held_out = u32::from(*count).checked_rem(hold_out) == Some(0);
        }
    }

    /// How many samples of each class there are to learn from.
    pub fn census(&self) -> Census {
        let mut census = Census { counts: [0; MOST_CLASSES], classes: 0, holds_out: false };
        for entry in self.those(|_| true) {
            if entry.held_out {
                census.holds_out = true;
            } else if let Some(count) = census.counts.get_mut(usize::from(entry.label)) {
                census.classes += u32::from(*count == 0);
                *count += 1;
            }
        }
        census
    }

    /// The sample that comes at `place` of the replay, which counts samples over all steps.
    pub fn replayed(&self, seed: u64, place: u32, census: &Census) -> Option<Entry> {
        let classes = census.classes;
        let (round, turn) = (place.checked_div(classes)?, place.checked_rem(classes)?);
        let class = permuted(seed, round, 0, turn, classes);
        let present = (0..).zip(&census.counts).filter(|&(_, &count)| count > 0);
        let (label, count): (u16, _) = present.map(|(label, &count)| (label, u32::from(count))).nth(class as usize)?;
        let (round, turn) = (round.checked_div(count)?, round.checked_rem(count)?);
        let index = permuted(seed, round, 1 + u32::from(label), turn, count);
        self.learnt().filter(|entry| entry.label == label).nth(index as usize)
    }
}

/// Where the turn `turn` of `count` lands in round `round` of the order `order`: from a random start in steps of a random size that has no
/// factor in common with the count, so that a round meets everything once.
fn permuted(seed: u64, round: u32, order: u32, turn: u32, count: u32) -> u32 {
    let [start, step, ..] = Stream::new(seed, Purpose::Shuffle, round, order).block(0);
    let below = |word: u32, bound: u32| ((u64::from(word) * u64::from(bound)) >> 32) as u32;
    let mut step = 1 + below(step, count.saturating_sub(1));
    while greatest_common_divisor(step, count) > 1 {
        step += 1;
    }
    let place = u64::from(below(start, count)) + u64::from(turn) * u64::from(step);
    // Turns and counts are of sixteen bits, so the product fits 32.
    (place as u32).checked_rem(count).unwrap_or(0)
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    fn with_ring<T>(labels: &[u16], hold_out: u32, run: impl FnOnce(&mut Ring<u8>) -> T) -> T {
        let mut entries = heapless::Deque::<Entry, 32>::new();
        let mut values = [0; 32];
        let mut ring = Ring { values: &mut values, entries: entries.as_mut_view(), elements: 1 };
        labels.iter().enumerate().for_each(|(i, &label)| assert!(ring.push(&[i as u8], label, hold_out).is_ok()));
        run(&mut ring)
    }

    #[test]
    fn classes_come_equally_often_and_each_sample_of_a_class_too() {
        let labels = [0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 5];
        with_ring(&labels, 0, |ring| {
            let mut times = BTreeMap::<(u16, u16), u32>::new();
            for place in 0..3 * 16 {
                let entry = ring.replayed(7, place, &ring.census()).unwrap();
                *times.entry((entry.label, entry.slot)).or_default() += 1;
            }
            assert_eq!(times.len(), labels.len());
            for ((label, _), times) in times {
                assert_eq!(times, [2, 0, 8, 0, 0, 16][usize::from(label)], "class {label}");
            }
        });
    }

    #[test]
    fn an_order_is_a_permutation_and_changes_from_round_to_round() {
        for count in 1..50 {
            let round = |round| (0..count).map(|turn| permuted(3, round, 0, turn, count)).collect::<Vec<_>>();
            let mut sorted = round(0);
            sorted.sort_unstable();
            assert_eq!(sorted, (0..count).collect::<Vec<_>>());
            assert!(count < 9 || (1..4).any(|other| round(other) != round(0)));
        }
    }

    #[test]
    fn every_third_sample_of_a_class_is_held_out_and_never_replayed() {
        with_ring(&[1, 1, 1, 0, 1, 1, 1, 0, 0], 3, |ring| {
            assert_eq!(ring.those(|entry| entry.held_out).map(|entry| entry.slot).collect::<Vec<_>>(), [2, 6, 8]);
            assert!((0..50).all(|place| !ring.replayed(1, place, &ring.census()).unwrap().held_out));
            let third: Vec<Entry> = ring.entries.iter().copied().collect();
            ring.hold_out(2);
            assert_eq!(ring.those(|entry| entry.held_out).map(|entry| entry.slot).collect::<Vec<_>>(), [1, 4, 6, 7]);
            ring.hold_out(3);
            assert_eq!(ring.entries.iter().copied().collect::<Vec<_>>(), third, "as they were when they came in");
        });
    }

    #[test]
    fn a_full_ring_refuses_and_takes_again_when_the_oldest_is_gone() {
        with_ring(&[0; 32], 0, |ring| {
            assert_eq!(ring.push(&[9], 1, 0), Err(TuneError::Full { samples: 32 }));
            ring.entries.pop_front();
            let entry = ring.push(&[9], 1, 0).unwrap();
            assert_eq!((entry.slot, ring.values(entry)), (0, &[9][..]));
        });
    }
}
