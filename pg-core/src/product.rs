//! The one product behind every dense kernel: `C[r][j] = start + Σₖ A[r][k]·B[k][j]`, summed in the order of k.
//!
//! The naive loop reads two numbers for each multiply-add. Here
//! 1. a tile of `R` × `J` sums stays in registers, so that a vector of B serves R rows and an element of A serves J vectors;
//! 2. each sum is one chain of fused multiply-adds in index order: many chains hide the latency, and the order (so the bits)
//!    is that of the naive loop, whatever the tile, the lanes or the batch;
//! 3. rows are dealt evenly over the tiles (32 rows as 11 + 11 + 10, not 12 + 12 + 8), so that no tile is too low to hide it.
//!
//! Tried and dropped: packing A (no gain for up to 800 columns), eight rows by two vectors (5 % slower than six by four).
//! Callers say how A and B lie in memory ([`Left`], [`Right`]) and what happens to a finished sum; nothing is allocated.

use crate::form::Form;
use crate::lane::Lane;

/// How the left factor lies in memory.
pub(crate) trait Left<L: Lane> {
    /// A band of `ROWS` rows.
    type Band<const ROWS: usize>;
    /// The rows from `row` on.
    fn band<const ROWS: usize>(&self, row: usize) -> Self::Band<ROWS>;
    /// Column `k` of a band.
    fn column<const ROWS: usize>(band: &Self::Band<ROWS>, k: usize) -> [L; ROWS];
}

/// Weights or activations whose rows are contiguous: `A[r][k]` is element `r·depth + k`, read as the weights of form `F`.
pub(crate) struct Rows<'a, F> {
    pub data: &'a [f32],
    /// `f32`s from row to row.
    pub stride: usize,
    /// Elements in a row.
    pub depth: usize,
    pub form: core::marker::PhantomData<F>,
}

impl<'a, F: Form> Left<F::Value> for Rows<'a, F> {
    type Band<const ROWS: usize> = [&'a [f32]; ROWS];

    #[inline(always)]
    fn band<const ROWS: usize>(&self, row: usize) -> Self::Band<ROWS> {
        core::array::from_fn(|r| &self.data[(row + r) * self.stride..][..self.depth * F::WEIGHT])
    }

    #[inline(always)]
    fn column<const ROWS: usize>(band: &Self::Band<ROWS>, k: usize) -> [F::Value; ROWS] {
        core::array::from_fn(|r| F::weight(band[r], k))
    }
}

/// The transpose of [`Rows`]: `A[r][k]` is element `k·width + r`.
pub(crate) struct Transposed<'a, F> {
    pub data: &'a [f32],
    /// Elements in a row of the matrix as it lies.
    pub width: usize,
    pub form: core::marker::PhantomData<F>,
}

impl<'a, F: Form> Left<F::Value> for Transposed<'a, F> {
    type Band<const ROWS: usize> = (&'a [f32], usize);

    #[inline(always)]
    fn band<const ROWS: usize>(&self, row: usize) -> Self::Band<ROWS> {
        (&self.data[row * F::WEIGHT..], self.width)
    }

    #[inline(always)]
    fn column<const ROWS: usize>(band: &Self::Band<ROWS>, k: usize) -> [F::Value; ROWS] {
        let column = &band.0[k * band.1 * F::WEIGHT..][..ROWS * F::WEIGHT];
        core::array::from_fn(|r| F::weight(column, r))
    }
}

/// How the right factor lies in memory.
pub(crate) trait Right<L: Lane> {
    /// Vectors `column ..` of row `k`.
    fn row<const COLUMNS: usize>(&self, k: usize, column: usize) -> [L; COLUMNS];
}

/// Vectors side by side: vector j of row k starts at `k·stride + j·LANES`.
pub(crate) struct Contiguous<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

impl<L: Lane> Right<L> for Contiguous<'_> {
    #[inline(always)]
    fn row<const COLUMNS: usize>(&self, k: usize, column: usize) -> [L; COLUMNS] {
        let row = &self.data[k * self.stride + column * L::LANES..][..COLUMNS * L::LANES];
        core::array::from_fn(|j| L::load(&row[j * L::LANES..]))
    }
}

/// The last vector of a row, of which only some lanes exist: the others read as zero.
pub(crate) struct Tail<'a> {
    pub data: &'a [f32],
    pub stride: usize,
    pub lanes: usize,
}

impl<L: Lane> Right<L> for Tail<'_> {
    #[inline(always)]
    fn row<const COLUMNS: usize>(&self, k: usize, column: usize) -> [L; COLUMNS] {
        core::array::from_fn(|j| L::load_partial(&self.data[k * self.stride + (column + j) * L::LANES..][..self.lanes]))
    }
}

/// Vectors far apart: vector j of row k starts at `k·LANES + j·stride`.
pub(crate) struct Strided<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

impl<L: Lane> Right<L> for Strided<'_> {
    #[inline(always)]
    fn row<const COLUMNS: usize>(&self, k: usize, column: usize) -> [L; COLUMNS] {
        core::array::from_fn(|j| L::load(&self.data[k * L::LANES + (column + j) * self.stride..][..L::LANES]))
    }
}

/// The sizes of a product: C is `rows` × `columns` vectors, the sum runs over `depth`.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub rows: usize,
    pub depth: usize,
    pub columns: usize,
}

/// Computes the product; `start` gives the first term of the sums of a row, `finish(row, column, sums)` takes them.
#[inline(always)]
pub(crate) fn product<L: Lane>(
    size: Size,
    left: &impl Left<L>,
    right: &impl Right<L>,
    start: impl Fn(usize) -> L,
    mut finish: impl FnMut(usize, usize, L),
) {
    // The tile follows the registers: 32 of 16 lanes, 16 of 8 or 4 lanes (or 32 scalars on a Cortex-M FPU).
    let mut column = 0;
    while column < size.columns {
        let left_over = size.columns - column;
        column += if L::LANES >= 16 {
            match left_over {
                4.. => band::<L, 6, 4>(size, left, right, column, &start, &mut finish),
                3 => band::<L, 8, 3>(size, left, right, column, &start, &mut finish),
                2 => band::<L, 12, 2>(size, left, right, column, &start, &mut finish),
                _ => band::<L, 12, 1>(size, left, right, column, &start, &mut finish),
            }
        } else if L::LANES > 1 {
            match left_over {
                2.. => band::<L, 6, 2>(size, left, right, column, &start, &mut finish),
                _ => band::<L, 8, 1>(size, left, right, column, &start, &mut finish),
            }
        } else {
            match left_over {
                4.. => band::<L, 4, 4>(size, left, right, column, &start, &mut finish),
                _ => band::<L, 4, 1>(size, left, right, column, &start, &mut finish),
            }
        };
    }
}

/// Tiles of at most `ROWS` rows below each other; returns the width of the band.
#[inline(always)]
fn band<L: Lane, const ROWS: usize, const COLUMNS: usize>(
    size: Size,
    left: &impl Left<L>,
    right: &impl Right<L>,
    column: usize,
    start: &impl Fn(usize) -> L,
    finish: &mut impl FnMut(usize, usize, L),
) -> usize {
    let mut row = 0;
    let mut tiles = size.rows.div_ceil(ROWS);
    while tiles > 0 {
        let rows = (size.rows - row).div_ceil(tiles);
        tiles -= 1;
        macro_rules! tiles {
            ($($height:literal)*) => {
                match rows {
                    $($height if $height <= ROWS => tile::<L, $height, COLUMNS>(size.depth, left, right, row, column, start, finish),)*
                    _ => unreachable!(),
                }
            };
        }
        tiles!(1 2 3 4 5 6 7 8 9 10 11 12);
        row += rows;
    }
    COLUMNS
}

#[inline(always)]
fn tile<L: Lane, const ROWS: usize, const COLUMNS: usize>(
    depth: usize,
    left: &impl Left<L>,
    right: &impl Right<L>,
    row: usize,
    column: usize,
    start: &impl Fn(usize) -> L,
    finish: &mut impl FnMut(usize, usize, L),
) {
    let band = left.band::<ROWS>(row);
    let mut sums: [[L; COLUMNS]; ROWS] = core::array::from_fn(|r| [start(row + r); COLUMNS]);
    for k in 0..depth {
        let a = column_of(left, &band, k);
        let b = right.row::<COLUMNS>(k, column);
        for r in 0..ROWS {
            for j in 0..COLUMNS {
                sums[r][j] = a[r].mul_add(b[j], sums[r][j]);
            }
        }
    }
    for (r, sums) in sums.into_iter().enumerate() {
        for (j, sum) in sums.into_iter().enumerate() {
            finish(row + r, column + j, sum);
        }
    }
}

/// [`Left::column`] with the type taken from a value.
#[inline(always)]
fn column_of<L: Lane, A: Left<L>, const ROWS: usize>(_: &A, band: &A::Band<ROWS>, k: usize) -> [L; ROWS] {
    A::column::<ROWS>(band, k)
}
