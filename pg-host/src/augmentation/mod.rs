//! Augmentation: training samples that are a little different in every epoch. One file for each kind.
//!
//! What becomes of a sample is a function of (seed, epoch, index of the sample) and of nothing else: not of the batch, the population, the
//! optimiser or the threads, so that runs that are compared learn from the same samples. A kind draws the same with and without the others.
//! Only normalised training inputs are augmented: 0 is the mean and 1 the standard deviation of a channel. Samples to watch or to test on never are.
//!
//! ```
//! use pg_core::Shape;
//! use pg_host::augmentation::Augmentation;
//!
//! let augmentation: Augmentation = "shift=2,flip,noise=0.05".parse()?;
//! let shape = Shape::new(1, 8, 8);
//! augmentation.check(shape)?;
//! let mut image = [0.5; 64];
//! augmentation.apply(1, 0, 17, shape, &mut image); // seed 1, the first epoch, sample 17
//! # Ok::<(), pg_host::augmentation::AugmentationError>(())
//! ```

mod batch;
mod cutout;
mod flip;
mod grammar;
mod mask;
mod mixup;
mod noise;
mod room;
mod scale;
mod shift;

use pg_core::Shape;
use pg_core::noise::{Purpose, Stream};

pub use self::batch::Gatherer;
pub use self::grammar::AugmentationError;
pub use self::mixup::Partner;

/// What happens to training samples, in the order of the fields; by default nothing. It is made from text: [`grammar`](std::str::FromStr).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// Places each way.
    shift: Option<u32>,
    flip: bool,
    /// The deviation of a channel's factor.
    scale: Option<f32>,
    /// The standard deviation.
    noise: Option<f32>,
    /// Rows and columns.
    cutout: Option<u32>,
    /// Instants.
    mask: Option<u32>,
    /// α of the Beta distribution.
    mixup: Option<f32>,
}

/// The kinds, in the order in which they are applied. The numbers are part of the bits: never change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Kind {
    Shift = 0,
    Flip = 1,
    Scale = 2,
    Noise = 3,
    Cutout = 4,
    Mask = 5,
    Mixup = 6,
}

impl Kind {
    const ALL: [Kind; 7] = [Kind::Shift, Kind::Flip, Kind::Scale, Kind::Noise, Kind::Cutout, Kind::Mask, Kind::Mixup];

    /// The first block of a sample's stream that is this kind's: each has 2²⁸.
    const fn block(self) -> u32 {
        (self as u32) << 28
    }

    /// The same as a group of normals, sixteen blocks each.
    const fn group(self) -> u32 {
        self.block() / 16
    }
}

/// The random numbers of a sample in an epoch.
fn stream(seed: u64, epoch: u32, sample: u32) -> Stream {
    Stream::new(seed, Purpose::Augment, epoch, sample)
}

impl Augmentation {
    /// True when every sample stays as it is.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Augments the normalised input `x` of the training sample with index `sample`; everything but mixup, which needs a second sample:
    /// [`Augmentation::partner`].
    ///
    /// # Panics
    /// When `x` is not of that shape, or the shape does not pass [`Augmentation::check`].
    pub fn apply(&self, seed: u64, epoch: u32, sample: u32, shape: Shape, x: &mut [f32]) {
        assert_eq!(x.len(), shape.len(), "a sample has the length of its shape");
        let stream = &stream(seed, epoch, sample);
        if let Some(most) = self.shift {
            shift::apply(most, stream, shape, x);
        }
        if self.flip {
            flip::apply(stream, shape, x);
        }
        if let Some(deviation) = self.scale {
            scale::apply(deviation, stream, shape, x);
        }
        if let Some(deviation) = self.noise {
            noise::apply(deviation, stream, x);
        }
        // Last, so that what is blank has no noise.
        if let Some(side) = self.cutout {
            cutout::apply(side, stream, shape, x);
        }
        if let Some(length) = self.mask {
            mask::apply(length, stream, shape, x);
        }
    }

    /// With mixup: what the training sample with index `sample` is mixed with, of all `samples`. Both are augmented on their own before.
    pub fn partner(&self, seed: u64, epoch: u32, sample: u32, samples: u32) -> Option<Partner> {
        self.mixup.map(|alpha| mixup::partner(alpha, &stream(seed, epoch, sample), samples))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::new(2, 6, 6);

    fn augmented(text: &str, seed: u64, epoch: u32, sample: u32) -> Vec<f32> {
        let mut x: Vec<f32> = (1..=72).map(|i| i as f32).collect();
        text.parse::<Augmentation>().unwrap().apply(seed, epoch, sample, SHAPE, &mut x);
        x
    }

    #[test]
    fn seed_epoch_and_sample_decide_and_nothing_else() {
        const ALL: &str = "shift=2,flip,noise=0.1,cutout=3";
        assert_eq!(augmented(ALL, 1, 2, 3), augmented(ALL, 1, 2, 3));
        for (seed, epoch, sample) in [(2, 2, 3), (1 << 32 | 1, 2, 3), (1, 3, 3), (1, 2, 4)] {
            assert_ne!(augmented(ALL, 1, 2, 3), augmented(ALL, seed, epoch, sample));
        }
    }

    #[test]
    fn a_kind_draws_the_same_with_and_without_the_others() {
        for sample in 0..20 {
            let (alone, both) = (augmented("cutout=3", 1, 0, sample), augmented("noise=0.1,cutout=3", 1, 0, sample));
            assert!(alone.iter().zip(&both).all(|(a, b)| (*a == 0.0) == (*b == 0.0)));
            let (shifted, noisy) = (augmented("shift=2", 1, 0, sample), augmented("noise=0.001,shift=2", 1, 0, sample));
            assert!(shifted != noisy && shifted.iter().zip(&noisy).all(|(a, b)| (a - b).abs() < 0.01));
        }
    }

    #[test]
    fn the_order_in_which_kinds_are_written_does_not_matter_and_none_changes_nothing() {
        assert_eq!(augmented("shift=1,flip,noise=0.1", 1, 0, 0), augmented("noise=0.1,flip,shift=1", 1, 0, 0));
        let mut x = [1.5, -0.0];
        Augmentation::default().apply(1, 0, 0, Shape::new(2, 1, 1), &mut x);
        assert_eq!(x.map(f32::to_bits), [1.5f32.to_bits(), (-0.0f32).to_bits()]);
    }

    #[test]
    fn augmented_samples_have_the_same_bits_in_every_build() {
        // They change with the arithmetic, which is an event: then say so in the changelog.
        let x = augmented("shift=2,flip,noise=0.1,cutout=3", 7, 1, 5);
        let sum = x.iter().fold(0u32, |sum, x| sum.rotate_left(5) ^ x.to_bits());
        let partner = "mixup=0.2".parse::<Augmentation>().unwrap().partner(7, 1, 5, 100).unwrap();
        assert_eq!((sum, partner.sample, partner.share.to_bits()), (3_034_202_391, 11, 1_063_818_088));
    }
}
