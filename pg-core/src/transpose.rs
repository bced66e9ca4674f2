//! Transposes a matrix of `f32`s, eight by eight. It moves numbers and computes nothing.

use wide::f32x8;

use crate::lane::Lane;

/// `to[c·to_stride + r] = from[r·from_stride + c]` for `rows` × `columns` elements.
pub(crate) fn transpose(rows: usize, columns: usize, from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    const BLOCK: usize = 8;
    // Down the rows first: they become the neighbours that share a cache line of `to`.
    for c in (0..columns).step_by(BLOCK) {
        for r in (0..rows).step_by(BLOCK) {
            if r + BLOCK <= rows && c + BLOCK <= columns {
                let block = core::array::from_fn(|i| Lane::load(&from[(r + i) * from_stride + c..][..BLOCK]));
                for (i, line) in f32x8::transpose(block).into_iter().enumerate() {
                    line.store(&mut to[(c + i) * to_stride + r..][..BLOCK]);
                }
            } else {
                for c in c..columns.min(c + BLOCK) {
                    for r in r..rows.min(r + BLOCK) {
                        to[c * to_stride + r] = from[r * from_stride + c];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_finds_its_place_for_all_sizes_around_a_block() {
        for rows in 1..20 {
            for columns in 1..20 {
                let from: [f32; 21 * 22] = core::array::from_fn(|i| i as f32);
                let mut to = [-1.0; 21 * 22];
                transpose(rows, columns, &from, 21, &mut to, 22);
                for r in 0..rows {
                    for c in 0..columns {
                        assert_eq!(to[c * 22 + r], from[r * 21 + c]);
                    }
                }
            }
        }
    }
}
