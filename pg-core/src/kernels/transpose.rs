//! Transposes a matrix of `f32`s, eight by eight. It moves numbers and computes nothing.

use wide::f32x8;

use crate::lane::Lane;

/// Rows and columns of a block that is transposed in registers.
const BLOCK: usize = 8;

/// `to[c·to_stride + r] = from[r·from_stride + c]` for `rows` × `columns` elements.
pub(crate) fn transpose(rows: usize, columns: usize, from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    let mut row = 0;
    while row < rows {
        let (from, to) = (&from[row * from_stride..], &mut to[row..]);
        row += match rows - row {
            // Two blocks below each other fill a cache line of `to`.
            16.. => strip::<2>(columns, from, from_stride, to, to_stride),
            8.. => strip::<1>(columns, from, from_stride, to, to_stride),
            rest => {
                one_by_one(rest, 0, columns, from, from_stride, to, to_stride);
                rest
            }
        };
    }
}

/// Transposes a strip of `BLOCKS` blocks of rows and returns its height.
fn strip<const BLOCKS: usize>(columns: usize, from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) -> usize {
    let height = BLOCKS * BLOCK;
    let mut lines = [[from; BLOCK]; BLOCKS];
    for (b, lines) in lines.iter_mut().enumerate() {
        for (i, line) in lines.iter_mut().enumerate() {
            *line = &from[(b * BLOCK + i) * from_stride..][..columns];
        }
    }
    let whole = columns / BLOCK * BLOCK;
    for c in (0..whole).step_by(BLOCK) {
        let mut blocks = [[f32x8::ZERO; BLOCK]; BLOCKS];
        for (lines, block) in lines.iter().zip(&mut blocks) {
            for (line, vector) in lines.iter().zip(&mut *block) {
                *vector = Lane::load(&line[c..c + BLOCK]);
            }
            *block = f32x8::transpose(*block);
        }
        for i in 0..BLOCK {
            let line = &mut to[(c + i) * to_stride..][..height];
            for (block, line) in blocks.iter().zip(line.chunks_exact_mut(BLOCK)) {
                block[i].store(line);
            }
        }
    }
    one_by_one(height, whole, columns, from, from_stride, to, to_stride);
    height
}

/// The rest: columns `first..columns` of `rows` rows.
fn one_by_one(rows: usize, first: usize, columns: usize, from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    for c in first..columns {
        for r in 0..rows {
            to[c * to_stride + r] = from[r * from_stride + c];
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
