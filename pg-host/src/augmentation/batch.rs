//! The batch of a step: samples gathered by their indices, augmented on the way, and their targets.

use std::ops::Range;

use pg_core::Shape;
use pg_core::loss::Targets;
use pg_core::population::Batch;

use super::{Augmentation, mixup};
use crate::data::Samples;
use crate::engine::Crew;
use crate::memory::Memory;

/// Gathers batches; the memory is taken once.
pub struct Gatherer {
    augmentation: Augmentation,
    shape: Shape,
    members: Vec<u32>,
    inputs: Memory,
    labels: Vec<u16>,
    seconds: Vec<u16>,
    shares: Vec<f32>,
    /// The second samples of mixes, one for each thread.
    others: Vec<Memory>,
}

/// What one thread gathers.
struct Part<'a> {
    members: &'a [u32],
    inputs: &'a mut [f32],
    labels: &'a mut [u16],
    seconds: &'a mut [u16],
    shares: &'a mut [f32],
    other: &'a mut [f32],
}

impl Gatherer {
    /// For batches of up to `size` samples of `shape`.
    pub fn new(augmentation: Augmentation, shape: Shape, size: usize) -> Self {
        Self {
            augmentation,
            shape,
            members: Vec::with_capacity(size),
            inputs: Memory::zeros(size * shape.len()),
            labels: Vec::with_capacity(size),
            seconds: Vec::with_capacity(size),
            shares: Vec::with_capacity(size),
            others: Vec::new(),
        }
    }

    /// The training samples with the indices `members` as they are in this epoch.
    ///
    /// # Panics
    /// When they are more than the gatherer was made for, an index is not below the number of samples, or the shape is not theirs or does not
    /// pass [`Augmentation::check`].
    pub fn gather(&mut self, crew: &Crew, seed: u64, epoch: u32, samples: &Samples, members: impl Iterator<Item = u32>) -> Batch<'_> {
        self.members.clear();
        self.members.extend(members);
        let (count, len) = (self.members.len(), self.shape.len());
        assert!(count * len <= self.inputs.len(), "a batch fits");
        self.labels.resize(count, 0);
        self.seconds.resize(count, 0);
        self.shares.resize(count, 0.0);
        let second = if self.augmentation.mixup.is_some() { len } else { 0 };
        self.others.resize_with(crew.threads(), || Memory::zeros(second));
        let Self { augmentation, shape, members, inputs, labels, seconds, shares, others } = self;
        let (mut inputs, mut labels, mut seconds, mut shares) = (&mut inputs[..], &mut labels[..], &mut seconds[..], &mut shares[..]);
        let mut others = others.iter_mut();
        let cut = |range: Range<usize>| Part {
            inputs: front(&mut inputs, range.len() * len),
            labels: front(&mut labels, range.len()),
            seconds: front(&mut seconds, range.len()),
            shares: front(&mut shares, range.len()),
            other: others.next().expect("no more parts than threads"),
            members: &members[range],
        };
        crew.divide(count, 1, cut, |part| part.gather(augmentation, *shape, seed, epoch, samples));
        self.batch()
    }

    /// What was gathered last.
    pub fn batch(&self) -> Batch<'_> {
        let targets = if self.augmentation.mixup.is_some() {
            Targets::Mixed { first: &self.labels, second: &self.seconds, share: &self.shares }
        } else {
            Targets::Classes(&self.labels)
        };
        Batch { inputs: &self.inputs, targets, samples: self.labels.len() }
    }
}

/// Takes `count` off the front.
fn front<'a, T>(slice: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    slice.split_off_mut(..count).expect("as many as samples")
}

impl Part<'_> {
    fn gather(self, augmentation: &Augmentation, shape: Shape, seed: u64, epoch: u32, samples: &Samples) {
        let augmented = |sample: u32, x: &mut [f32]| {
            x.copy_from_slice(samples.input(sample as usize, shape.len()));
            augmentation.apply(seed, epoch, sample, shape, x);
            samples.labels[sample as usize]
        };
        for (place, (&member, x)) in self.members.iter().zip(self.inputs.chunks_exact_mut(shape.len())).enumerate() {
            self.labels[place] = augmented(member, x);
            if let Some(partner) = augmentation.partner(seed, epoch, member, samples.len() as u32) {
                self.seconds[place] = augmented(partner.sample, self.other);
                self.shares[place] = partner.share;
                mixup::mix(partner.share, self.other, x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::new(1, 3, 4);

    fn samples() -> Samples {
        Samples { inputs: (0..20 * 12).map(|i| (i % 37) as f32 / 10.0).collect(), labels: (0..20).collect() }
    }

    /// The input, both classes and the first's share of `sample` when it stands at `place` of a batch of `members`.
    fn gathered(text: &str, epoch: u32, members: &[u32], place: usize) -> (Vec<u32>, u16, u16, f32) {
        let mut gatherer = Gatherer::new(text.parse().unwrap(), SHAPE, 8);
        let samples = samples();
        let crew = Crew::new(if members.len() > 2 { 3 } else { 1 }).unwrap();
        let batch = gatherer.gather(&crew, 5, epoch, &samples, members.iter().copied());
        assert_eq!(batch.samples, members.len());
        let Targets::Mixed { first, second, share } = batch.targets else { panic!("mixup has mixed targets") };
        (batch.inputs[place * 12..][..12].iter().map(|x| x.to_bits()).collect(), first[place], second[place], share[place])
    }

    #[test]
    fn a_sample_is_the_same_in_every_batch_and_another_in_another_epoch() {
        const ALL: &str = "shift=1,flip,noise=0.1,cutout=2,mixup=1";
        let alone = gathered(ALL, 3, &[7], 0);
        assert_eq!(alone, gathered(ALL, 3, &[0, 1, 7, 19], 2));
        assert_eq!(alone, gathered(ALL, 3, &[7, 3, 2, 1, 4, 5, 6, 9], 0));
        assert_ne!(alone, gathered(ALL, 4, &[7], 0));
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
        let (samples, mut gatherer) = (samples(), Gatherer::new(Augmentation::default(), SHAPE, 2));
        let batch = gatherer.gather(&Crew::default(), 1, 0, &samples, [4, 2].into_iter());
        assert_eq!((&batch.inputs[..12], &batch.inputs[12..]), (samples.input(4, 12), samples.input(2, 12)));
        assert!(matches!(batch.targets, Targets::Classes([4, 2])));
    }
}
