//! Shift: an image moves by some rows and columns, a window in time; what comes in repeats the edge.
//!
//! The edge, not zero: it has the values of the data whatever the normalisation, and makes no step in a signal.

use pg_core::Shape;
use pg_core::noise::Stream;

use super::Kind;

/// Moves by up to this many places each way, all equally likely.
pub(super) fn apply(most: u32, stream: &Stream, shape: Shape, x: &mut [f32]) {
    let draw = |i: u32| stream.below(Kind::Shift.block() + i, 2 * most + 1) as isize - most as isize;
    if shape.height > 1 {
        let rows = draw(0);
        x.chunks_exact_mut(shape.height * shape.width).for_each(|channel| slide(channel, shape.width, rows));
    }
    let columns = draw(1);
    x.chunks_exact_mut(shape.width).for_each(|row| slide(row, 1, columns));
}

/// Moves whole units of `unit` elements by `by` units towards the end (below zero: the beginning).
fn slide(x: &mut [f32], unit: usize, by: isize) {
    let (units, distance) = (x.len() / unit, by.unsigned_abs());
    let kept = (units - distance) * unit;
    if by > 0 {
        x.copy_within(..kept, distance * unit);
        (1..distance).for_each(|i| x.copy_within(..unit, i * unit));
    } else if by < 0 {
        x.copy_within(distance * unit.., 0);
        (units - distance..units - 1).for_each(|i| x.copy_within(x.len() - unit.., i * unit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slides_either_way_and_repeats_the_edge() {
        let slid = |unit, by| {
            let mut x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
            slide(&mut x, unit, by);
            x
        };
        assert_eq!(slid(1, 0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(slid(1, 2), [1.0, 1.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(slid(1, -3), [4.0, 5.0, 6.0, 6.0, 6.0, 6.0]);
        assert_eq!(slid(2, 1), [1.0, 2.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(slid(2, -2), [5.0, 6.0, 5.0, 6.0, 5.0, 6.0]);
    }

    #[test]
    fn moves_all_channels_alike_and_reaches_both_ends_in_rows_and_columns() {
        let shape = Shape::new(2, 5, 5);
        let mut seen = std::collections::BTreeSet::new();
        for sample in 0..200 {
            let mut x = [0.0; 50];
            [x[12], x[37]] = [1.0, 2.0];
            apply(2, &crate::augmentation::stream(1, 0, sample), shape, &mut x);
            let place = |value| x.iter().position(|&x| x == value).expect("the middle stays inside");
            assert_eq!(place(1.0) + 25, place(2.0));
            seen.insert(place(1.0));
        }
        assert_eq!(seen.len(), 25, "all of the five rows and columns: {seen:?}");
    }

    #[test]
    fn a_window_moves_in_time_only() {
        let mut x: Vec<f32> = (0..12).map(|i| i as f32).collect();
        apply(3, &crate::augmentation::stream(1, 0, 5), Shape::new(2, 1, 6), &mut x);
        assert!(x[..6].iter().all(|&x| x < 6.0) && x[6..].iter().all(|&x| x >= 6.0));
        assert!(x[..6].is_sorted() && (0..6).all(|t| x[t] + 6.0 == x[6 + t]));
    }
}
