//! Cutout (DeVries and Taylor, 2017): a square of an image becomes the mean, which is 0 after normalisation.
//!
//! The middle of the square may be any place, so that at the border a part of it lies outside, as in the paper.

use std::ops::Range;

use pg_core::Shape;
use pg_core::noise::Stream;

use super::Kind;

/// Blanks a square of `side` rows and columns in all channels.
pub(super) fn apply(side: u32, stream: &Stream, shape: Shape, x: &mut [f32]) {
    let rows = span(side, stream.below(Kind::Cutout.block(), shape.height as u32), shape.height);
    let columns = span(side, stream.below(Kind::Cutout.block() + 1, shape.width as u32), shape.width);
    for channel in x.chunks_exact_mut(shape.height * shape.width) {
        for row in channel.chunks_exact_mut(shape.width).take(rows.end).skip(rows.start) {
            row[columns.clone()].fill(0.0);
        }
    }
}

/// `side` places around `middle`, as far as there are any.
fn span(side: u32, middle: u32, places: usize) -> Range<usize> {
    let (side, middle) = (side as usize, middle as usize);
    middle.saturating_sub(side / 2)..(middle + side - side / 2).min(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_length_inside_and_less_at_the_ends() {
        assert_eq!([span(3, 4, 8), span(4, 4, 8), span(3, 0, 8), span(4, 7, 8), span(1, 7, 8)], [3..6, 2..6, 0..2, 5..8, 7..8]);
    }

    #[test]
    fn blanks_the_same_rectangle_of_every_channel_and_nothing_else() {
        for sample in 0..100 {
            let mut x = [1.0; 2 * 8 * 6];
            apply(4, &crate::augmentation::stream(1, 0, sample), Shape::new(2, 8, 6), &mut x);
            assert_eq!(x[..48], x[48..]);
            let blank = |row: &[f32]| row.iter().filter(|&&x| x == 0.0).count();
            let widths: Vec<usize> = x[..48].chunks(6).map(blank).filter(|&width| width > 0).collect();
            assert!((2..=4).contains(&widths.len()) && (2..=4).contains(&widths[0]), "{widths:?}");
            assert!(widths.iter().all(|&width| width == widths[0]) && x.iter().all(|&x| x == 0.0 || x == 1.0));
        }
    }
}
