//! What is done to a raw sample before a network sees it: `x = (raw - offset[c])·factor[c]` for each channel `c`.
//!
//! One subtraction, then one multiplication, each rounded to `f32`: the same bits on the desktop and on a device.
//! Where the numbers come from is the trainer's business; they travel in the model file.
//!
//! ```
//! use pg_core::normalisation::Normalisation;
//! use pg_core::Shape;
//! let grey = Normalisation::new(&[8.0], &[0.125]);
//! let mut x = [0.0; 4];
//! grey.apply(Shape::new(1, 2, 2), &[0u8, 8, 12, 16], &mut x);
//! assert_eq!(x, [-1.0, 0.0, 0.5, 1.0]);
//! ```

use serde::{Deserialize, Serialize};

use crate::floats::Floats;
use crate::shape::Shape;

/// An offset and a factor for each channel, or none of either: then samples stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation<'a> {
    #[serde(borrow)]
    offset: Floats<'a>,
    factor: Floats<'a>,
}

impl<'a> Normalisation<'a> {
    /// Samples stay as they are.
    pub const NONE: Self = Self { offset: Floats::NONE, factor: Floats::NONE };

    /// One `offset` and one `factor` for each channel. A factor of 0 makes a channel 0: one that never changed in training.
    ///
    /// # Panics
    /// When there are more of one than of the other.
    pub const fn new(offset: &'a [f32], factor: &'a [f32]) -> Self {
        assert!(offset.len() == factor.len(), "an offset and a factor for each channel");
        Self { offset: Floats::new(offset), factor: Floats::new(factor) }
    }

    /// What is subtracted from each channel.
    pub const fn offset(&self) -> Floats<'a> {
        self.offset
    }

    /// What the difference is multiplied by.
    pub const fn factor(&self) -> Floats<'a> {
        self.factor
    }

    /// True when samples stay as they are.
    pub const fn is_none(&self) -> bool {
        self.offset.is_empty()
    }

    /// True when this can be applied to samples of that many channels.
    pub const fn fits(&self, channels: usize) -> bool {
        self.is_none() || self.offset.len() == channels
    }

    /// True when offsets and factors are as many as each other, and finite: what comes from a file may be neither.
    pub(crate) fn is_sound(&self) -> bool {
        self.offset.len() == self.factor.len() && self.offset.are_finite() && self.factor.are_finite()
    }

    /// Normalises samples of `shape`, one after the other, `[channel][place]` each.
    ///
    /// # Panics
    /// When `raw` and `out` differ in length, are not whole samples, or the channels are not those of `shape`.
    pub fn apply<Raw: Copy + Into<f32>>(&self, shape: Shape, raw: &[Raw], out: &mut [f32]) {
        assert!(raw.len() == out.len() && raw.len().is_multiple_of(shape.len()), "whole samples, and room for them");
        assert!(self.fits(shape.channels), "an offset and a factor for each channel");
        for (raw, out) in raw.chunks_exact(shape.len()).zip(out.chunks_exact_mut(shape.len())) {
            self.write(shape.height * shape.width, raw, out.iter_mut());
        }
    }

    /// [`Normalisation::apply`] for one sample with `places` values in a channel, to wherever `out` leads; nothing is asserted.
    #[inline(always)]
    pub(crate) fn write<'o, Raw: Copy + Into<f32>>(&self, places: usize, raw: &[Raw], mut out: impl Iterator<Item = &'o mut f32>) {
        if self.is_none() {
            raw.iter().zip(out).for_each(|(&raw, out)| *out = raw.into());
            return;
        }
        for (raw, (offset, factor)) in raw.chunks_exact(places.max(1)).zip(self.offset.iter().zip(self.factor.iter())) {
            raw.iter().zip(&mut out).for_each(|(&raw, out)| *out = (raw.into() - offset) * factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_of_each_sample_gets_its_own_offset_and_factor() {
        let normalisation = Normalisation::new(&[1.0, 10.0], &[0.5, 2.0]);
        let raw = [1u8, 3, 10, 11, 5, 7, 12, 13];
        let mut out = [0.0; 8];
        normalisation.apply(Shape::new(2, 1, 2), &raw, &mut out);
        assert_eq!(out, [0.0, 1.0, 0.0, 2.0, 2.0, 3.0, 4.0, 6.0]);
        let floats = raw.map(f32::from);
        let mut again = [0.0; 8];
        normalisation.apply(Shape::new(2, 1, 2), &floats, &mut again);
        assert_eq!(out, again);
    }

    #[test]
    fn without_numbers_samples_stay_as_they_are() {
        let mut out = [0.0; 3];
        Normalisation::NONE.apply(Shape::new(3, 1, 1), &[-0.0f32, 1e-40, 7.0], &mut out);
        assert_eq!(out.map(f32::to_bits), [-0.0f32, 1e-40, 7.0].map(f32::to_bits));
    }

    #[test]
    fn the_difference_is_rounded_before_it_is_multiplied() {
        let (raw, offset, factor) = (0.1f32, 0.3f32, 7.7f32);
        let mut out = [0.0];
        Normalisation::new(&[offset], &[factor]).apply(Shape::new(1, 1, 1), &[raw], &mut out);
        assert_eq!(out[0].to_bits(), ((raw - offset) * factor).to_bits());
    }

    #[test]
    #[should_panic(expected = "an offset and a factor for each channel")]
    fn refuses_a_shape_of_other_channels() {
        Normalisation::new(&[1.0], &[1.0]).apply(Shape::new(2, 1, 1), &[0.0f32; 2], &mut [0.0; 2]);
    }
}
