//! Time mask (Park et al., *SpecAugment*, 2019, with a fixed length): a stretch of a window becomes the mean, which is 0 after
//! normalisation.

use pg_core::Shape;
use pg_core::noise::Stream;

use super::Kind;

/// Blanks `length` instants in all channels.
pub(super) fn apply(length: u32, stream: &Stream, shape: Shape, x: &mut [f32]) {
    let first = stream.below(Kind::Mask.block(), shape.width as u32 - length + 1) as usize;
    x.chunks_exact_mut(shape.width).for_each(|channel| channel[first..first + length as usize].fill(0.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_one_stretch_of_that_length_anywhere_in_all_channels() {
        let mut starts = std::collections::BTreeSet::new();
        for sample in 0..200 {
            let mut x = [1.0; 2 * 10];
            apply(3, &crate::augmentation::stream(1, 0, sample), Shape::new(2, 1, 10), &mut x);
            assert_eq!(x[..10], x[10..]);
            let start = x.iter().position(|&x| x == 0.0).expect("a blank");
            assert!(x[..10].iter().enumerate().all(|(t, &x)| (x == 0.0) == (start..start + 3).contains(&t)));
            starts.insert(start);
        }
        assert_eq!(starts.len(), 8);
    }
}
