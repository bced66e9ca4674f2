//! The batch of a step: samples gathered by their indices, augmented on the way, and their targets. The next one is gathered by threads that have to wait
//! for others anyway, as far as they come.
//!
//! What a sample becomes does not depend on who gathers it, or when.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use pg_core::Shape;
use pg_core::loss::Targets;
use pg_core::population::Batch;

use super::room::{Part, Room};
use super::{Augmentation, mixup};
use crate::data::Samples;
use crate::engine::Crew;
use crate::memory::Memory;

/// Gathers batches; the memory is taken once.
pub struct Gatherer {
    /// What was gathered last.
    gathered: Room,
    is_mixed: bool,
    next: Arc<Mutex<Next>>,
}

/// The batch that is gathered next.
struct Next {
    from: Source,
    /// The seed of the run, and the epoch.
    key: (u64, u32),
    members: Vec<u32>,
    /// How many of them are gathered.
    done: usize,
    room: Room,
    /// The second samples of mixes, one for each thread.
    others: Vec<Memory>,
}

/// All samples, and how they are augmented.
struct Source {
    samples: Arc<Samples>,
    augmentation: Augmentation,
    shape: Shape,
}

impl Gatherer {
    /// For batches of up to `size` of these samples, whose shape is `shape`.
    pub fn new(augmentation: Augmentation, shape: Shape, size: usize, samples: Arc<Samples>) -> Self {
        let room = || Room::new(size, shape.len());
        let from = Source { samples, augmentation, shape };
        let next = Next { from, key: (0, 0), members: Vec::with_capacity(size), done: 0, room: room(), others: Vec::new() };
        Self { gathered: room(), is_mixed: augmentation.mixup.is_some(), next: Arc::new(Mutex::new(next)) }
    }

    /// Lets threads of this crew gather what is announced whenever they wait for others.
    pub fn gather_meanwhile(&self, crew: &Crew) {
        let next = Arc::clone(&self.next);
        crew.meanwhile(move || next.try_lock().is_ok_and(|mut next| next.gather_one()));
    }

    /// Says which batch will be asked for next; that of now stays.
    ///
    /// # Panics
    /// When it is larger than the gatherer was made for.
    pub fn announce(&self, key: (u64, u32), members: impl Iterator<Item = u32>) {
        lock(&self.next).begin(key, members);
    }

    /// The training samples with the indices `members` as they are in an epoch; `key` is the seed of the run and the epoch, from 0.
    ///
    /// # Panics
    /// When they are more than the gatherer was made for, an index is not below the number of samples, or the shape is not theirs or does not
    /// pass [`Augmentation::check`].
    pub fn gather(&mut self, crew: &Crew, key: (u64, u32), members: impl Iterator<Item = u32> + Clone) -> Batch<'_> {
        let Self { gathered, next, .. } = self;
        let mut next = lock(next);
        if next.key != key || !next.members.iter().copied().eq(members.clone()) {
            next.begin(key, members);
        }
        next.gather_all(crew);
        std::mem::swap(&mut next.room, gathered);
        next.members.clear();
        drop(next);
        self.batch()
    }

    /// What was gathered last.
    pub fn batch(&self) -> Batch<'_> {
        let Room { inputs, labels, seconds, shares, .. } = &self.gathered;
        let targets =
            if self.is_mixed { Targets::Mixed { first: labels, second: seconds, share: shares } } else { Targets::Classes(labels) };
        Batch { inputs, targets, samples: labels.len() }
    }
}

/// What is to be gathered, which nobody holds for longer than a sample takes.
fn lock(next: &Mutex<Next>) -> MutexGuard<'_, Next> {
    next.lock().expect("no sample made a thread panic")
}

impl Next {
    fn begin(&mut self, key: (u64, u32), members: impl Iterator<Item = u32>) {
        (self.key, self.done) = (key, 0);
        self.members.clear();
        self.members.extend(members);
        self.room.resize(self.members.len());
    }

    /// Gathers one more, if there is any.
    fn gather_one(&mut self) -> bool {
        let is_left = self.done < self.members.len();
        if is_left {
            self.gather(1, &Crew::default());
        }
        is_left
    }

    fn gather_all(&mut self, crew: &Crew) {
        self.gather(self.members.len() - self.done, crew);
    }

    /// Gathers the next `count` samples.
    fn gather(&mut self, count: usize, crew: &Crew) {
        let Self { from, key, members, done, room, others } = self;
        let second = if from.augmentation.mixup.is_some() { from.shape.len() } else { 0 };
        others.resize_with(others.len().max(crew.threads()), || Memory::zeros(second));
        let mut others = others.iter_mut();
        let (mut members, mut rest) = (&members[*done..], room.part(*done));
        *done += count;
        let cut = |range: Range<usize>| {
            let members = members.split_off(..range.len()).expect("as many as are left");
            (members, rest.cut(range.len()), others.next().expect("no more parts than threads"))
        };
        crew.divide(count, 1, cut, |(members, part, other)| from.gather(*key, members, part, other));
    }
}

impl Source {
    /// Gathers samples to `part`; `other` is room for the second of a mix.
    fn gather(&self, (seed, epoch): (u64, u32), members: &[u32], part: Part, other: &mut [f32]) {
        let Self { samples, augmentation, shape } = self;
        let augmented = |sample: u32, x: &mut [f32]| {
            x.copy_from_slice(samples.input(sample as usize, shape.len()));
            augmentation.apply(seed, epoch, sample, *shape, x);
            samples.labels[sample as usize]
        };
        for (place, (&member, x)) in members.iter().zip(part.inputs.chunks_exact_mut(shape.len())).enumerate() {
            part.labels[place] = augmented(member, x);
            if let Some(partner) = augmentation.partner(seed, epoch, member, samples.len() as u32) {
                part.seconds[place] = augmented(partner.sample, other);
                part.shares[place] = partner.share;
                mixup::mix(partner.share, other, x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::new(1, 3, 4);
    const ALL: &str = "shift=1,flip,noise=0.1,cutout=2,mixup=1";

    fn samples() -> Arc<Samples> {
        Arc::new(Samples { inputs: (0..20 * 12).map(|i| (i % 37) as f32 / 10.0).collect(), labels: (0..20).collect() })
    }

    /// The input, both classes and the first's share of `sample` when it stands at `place` of a batch of `members`, of which threads with nothing else
    /// to do have gathered so many.
    fn gathered_after(ahead: usize, text: &str, epoch: u32, members: &[u32], place: usize) -> (Vec<u32>, u16, u16, f32) {
        let mut gatherer = Gatherer::new(text.parse().unwrap(), SHAPE, 8, samples());
        let crew = Crew::new(if members.len() > 2 { 3 } else { 1 }).unwrap();
        // Another one before, whose samples are not these.
        gatherer.gather(&crew, (5, epoch), (0..8).rev());
        if ahead > 0 {
            gatherer.announce((5, epoch), members.iter().copied());
            let done = (0..ahead).filter(|_| lock(&gatherer.next).gather_one()).count();
            assert_eq!(done, ahead.min(members.len()), "no more than are announced");
        }
        let batch = gatherer.gather(&crew, (5, epoch), members.iter().copied());
        assert_eq!(batch.samples, members.len());
        let Targets::Mixed { first, second, share } = batch.targets else { panic!("mixup has mixed targets") };
        (batch.inputs[place * 12..][..12].iter().map(|x| x.to_bits()).collect(), first[place], second[place], share[place])
    }

    fn gathered(text: &str, epoch: u32, members: &[u32], place: usize) -> (Vec<u32>, u16, u16, f32) {
        gathered_after(0, text, epoch, members, place)
    }

    #[test]
    fn a_sample_is_the_same_in_every_batch_and_another_in_another_epoch() {
        let alone = gathered(ALL, 3, &[7], 0);
        assert_eq!(alone, gathered(ALL, 3, &[0, 1, 7, 19], 2));
        assert_eq!(alone, gathered(ALL, 3, &[7, 3, 2, 1, 4, 5, 6, 9], 0));
        assert_ne!(alone, gathered(ALL, 4, &[7], 0));
    }

    #[test]
    fn a_batch_is_the_same_whoever_gathers_how_much_of_it() {
        let members = [7, 3, 2, 1, 4];
        for place in 0..members.len() {
            let expected = gathered(ALL, 3, &members, place);
            for ahead in [1, 3, 5, 6] {
                assert_eq!(gathered_after(ahead, ALL, 3, &members, place), expected, "{ahead} ahead");
            }
        }
    }

    #[test]
    fn what_was_announced_is_not_taken_for_what_is_asked_for() {
        let mut gatherer = Gatherer::new(Augmentation::default(), SHAPE, 2, samples());
        let mut labels = |announced: (u64, u32), asked: &[u32]| {
            gatherer.announce(announced, [4, 2].into_iter());
            lock(&gatherer.next).gather_one();
            let batch = gatherer.gather(&Crew::default(), (1, 0), asked.iter().copied());
            let Targets::Classes(labels) = batch.targets else { panic!("classes") };
            assert!(labels.iter().enumerate().all(|(i, &label)| batch.inputs[12 * i..][..12] == *samples().input(label.into(), 12)));
            labels.to_vec()
        };
        assert_eq!(labels((1, 0), &[4, 2]), [4, 2]);
        assert_eq!(labels((1, 1), &[4, 2]), [4, 2]);
        assert_eq!(labels((1, 0), &[4, 3]), [4, 3]);
        assert_eq!(labels((1, 0), &[2, 4]), [2, 4]);
        assert_eq!(labels((1, 0), &[4]), [4]);
    }

    #[test]
    fn a_mixed_sample_is_its_share_of_two_samples_and_the_shares_of_its_classes_sum_to_one() {
        let samples = samples();
        for sample in 0..20 {
            let (x, first, second, share) = gathered("mixup=1", 0, &[sample], 0);
            let mut truth = [0.0; 20];
            truth[usize::from(first)] += share;
            truth[usize::from(second)] += 1.0 - share;
            assert_eq!((u32::from(first), truth.iter().sum::<f32>()), (sample, 1.0));
            let (one, two) = (samples.input(first.into(), 12), samples.input(second.into(), 12));
            assert!((0..12).all(|i| f32::from_bits(x[i]) == share * one[i] + (1.0 - share) * two[i]));
        }
    }

    #[test]
    fn without_augmentation_the_samples_are_as_they_are() {
        let (samples, mut gatherer) = (samples(), Gatherer::new(Augmentation::default(), SHAPE, 2, samples()));
        let batch = gatherer.gather(&Crew::default(), (1, 0), [4, 2].into_iter());
        assert_eq!((&batch.inputs[..12], &batch.inputs[12..]), (samples.input(4, 12), samples.input(2, 12)));
        assert!(matches!(batch.targets, Targets::Classes([4, 2])));
    }
}
