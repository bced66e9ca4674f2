//! The one product behind every dense kernel: `C[r][j] = start + Σₖ A[r][k]·B[k][j]`, summed in the order of k.
//!
//! The naive loop reads two numbers for each multiply-add. Here
//! 1. a tile of `R` × `J` sums stays in registers, so that a vector of B serves R rows and an element of A serves J vectors;
//! 2. each sum is one chain of fused multiply-adds in index order: many chains hide the latency, and the order (so the bits)
//!    is that of the naive loop, whatever the tile, the lanes or the batch;
//! 3. rows are dealt evenly over the tiles (10 rows as 5 + 5, not 8 + 2), so that no tile is too low to hide it.
//!
//! Tried and dropped: prefetching what sums are added to (no gain); tiles of 11 or 12 rows (their row pointers do not fit the 16 integer
//! registers: much slower).
//! Callers say how A and B lie in memory ([`Left`], [`Right`]) and where the sums go ([`Sums`]); nothing is allocated.

use crate::form::Form;
use crate::lane::Lane;

/// How the left factor lies in memory.
pub(crate) trait Left<L: Lane> {
    /// A band of `ROWS` rows.
    type Band<const ROWS: usize>: Copy;
    /// A column of a band.
    type Column<const ROWS: usize>: Copy;
    /// The rows from `row` on, as far as column `depth`.
    fn band<const ROWS: usize>(&self, row: usize, depth: usize) -> Self::Band<ROWS>;
    /// The four columns of a band from `k` on.
    fn part<const ROWS: usize>(band: Self::Band<ROWS>, k: usize) -> Self::Band<ROWS>;
    /// Column `k` of a band.
    fn column<const ROWS: usize>(band: Self::Band<ROWS>, k: usize) -> Self::Column<ROWS>;
    /// Element `r` of a column.
    fn element<const ROWS: usize>(column: Self::Column<ROWS>, r: usize) -> L;
}

/// Weights or activations whose rows are contiguous: `A[r][k]` is element `r·stride + k`, read as the weights of form `F`.
pub(crate) struct Rows<'a, F> {
    pub data: &'a [f32],
    /// `f32`s from row to row.
    pub stride: usize,
    pub form: core::marker::PhantomData<F>,
}

impl<'a, F: Form> Left<F::Value> for Rows<'a, F> {
    type Band<const ROWS: usize> = [&'a [f32]; ROWS];
    type Column<const ROWS: usize> = ([&'a [f32]; ROWS], usize);

    #[inline(always)]
    fn band<const ROWS: usize>(&self, row: usize, depth: usize) -> Self::Band<ROWS> {
        let mut band = [&self.data[..0]; ROWS];
        for (r, band) in band.iter_mut().enumerate() {
            *band = &self.data[(row + r) * self.stride..][..depth * F::WEIGHT];
        }
        band
    }

    #[inline(always)]
    fn part<const ROWS: usize>(mut band: Self::Band<ROWS>, k: usize) -> Self::Band<ROWS> {
        for row in &mut band {
            *row = &row[k * F::WEIGHT..][..4 * F::WEIGHT];
        }
        band
    }

    #[inline(always)]
    fn column<const ROWS: usize>(band: Self::Band<ROWS>, k: usize) -> Self::Column<ROWS> {
        (band, k)
    }

    #[inline(always)]
    fn element<const ROWS: usize>((band, k): Self::Column<ROWS>, r: usize) -> F::Value {
        F::weight(band[r], k)
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
    type Column<const ROWS: usize> = &'a [f32];

    #[inline(always)]
    fn band<const ROWS: usize>(&self, row: usize, _: usize) -> Self::Band<ROWS> {
        (&self.data[row * F::WEIGHT..], self.width)
    }

    #[inline(always)]
    fn part<const ROWS: usize>((data, width): Self::Band<ROWS>, k: usize) -> Self::Band<ROWS> {
        (&data[k * width * F::WEIGHT..], width)
    }

    #[inline(always)]
    fn column<const ROWS: usize>((data, width): Self::Band<ROWS>, k: usize) -> Self::Column<ROWS> {
        &data[k * width * F::WEIGHT..][..ROWS * F::WEIGHT]
    }

    #[inline(always)]
    fn element<const ROWS: usize>(column: Self::Column<ROWS>, r: usize) -> F::Value {
        F::weight(column, r)
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
        let mut vectors = [L::default(); COLUMNS];
        for (j, vector) in vectors.iter_mut().enumerate() {
            *vector = L::load(&row[j * L::LANES..]);
        }
        vectors
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
        let mut vectors = [L::default(); COLUMNS];
        for (j, vector) in vectors.iter_mut().enumerate() {
            *vector = L::load_partial(&self.data[k * self.stride + (column + j) * L::LANES..][..self.lanes]);
        }
        vectors
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
        let mut vectors = [L::default(); COLUMNS];
        for (j, vector) in vectors.iter_mut().enumerate() {
            *vector = L::load(&self.data[k * L::LANES + (column + j) * self.stride..][..L::LANES]);
        }
        vectors
    }
}

/// Where sums start and where they go.
pub(crate) trait Sums<L: Lane> {
    /// Sets the first terms of neighbouring sums of a row, which are zeros so far.
    #[inline(always)]
    fn start(&self, _row: usize, _column: usize, _sums: &mut [L]) {}
    /// Takes them finished.
    fn finish(&mut self, row: usize, column: usize, sums: &[L]);
}

/// From zero, written side by side.
pub(crate) struct Written<'a> {
    pub to: &'a mut [f32],
    pub stride: usize,
}

/// From a bias for each row, written side by side.
pub(crate) struct Biased<'a, F> {
    pub biases: &'a [f32],
    pub to: &'a mut [f32],
    pub stride: usize,
    pub form: core::marker::PhantomData<F>,
}

/// From the sums that are there already, and back.
pub(crate) struct Continued<'a> {
    pub to: &'a mut [f32],
    pub stride: usize,
}

/// From zero; then added to what is there (or, without `adds`, written).
pub(crate) struct Added<'a> {
    pub to: &'a mut [f32],
    pub stride: usize,
    pub adds: bool,
}

/// [`Added`] for a last vector of which only some lanes exist.
pub(crate) struct AddedTail<'a> {
    pub to: &'a mut [f32],
    pub stride: usize,
    pub lanes: usize,
    pub adds: bool,
}

/// From zero; then the lanes of a sum are added one by one to one number each: the members of a population.
pub(crate) struct AddedMembers<'a> {
    pub to: &'a mut [f32],
    pub stride: usize,
    pub members: usize,
    pub adds: bool,
}

/// The place of neighbouring vectors.
#[inline(always)]
fn place<L: Lane>(to: &mut [f32], stride: usize, row: usize, column: usize, vectors: usize) -> impl Iterator<Item = &mut [f32]> {
    to[row * stride + column * L::LANES..][..vectors * L::LANES].chunks_exact_mut(L::LANES)
}

impl<L: Lane> Sums<L> for Written<'_> {
    #[inline(always)]
    fn finish(&mut self, row: usize, column: usize, sums: &[L]) {
        let to = place::<L>(self.to, self.stride, row, column, sums.len());
        to.zip(sums).for_each(|(to, sum)| sum.store(to));
    }
}

impl<F: Form> Sums<F::Value> for Biased<'_, F> {
    #[inline(always)]
    fn start(&self, row: usize, _: usize, sums: &mut [F::Value]) {
        sums.fill(F::weight(self.biases, row));
    }
    #[inline(always)]
    fn finish(&mut self, row: usize, column: usize, sums: &[F::Value]) {
        Written { to: self.to, stride: self.stride }.finish(row, column, sums);
    }
}

impl<L: Lane> Sums<L> for Continued<'_> {
    #[inline(always)]
    fn start(&self, row: usize, column: usize, sums: &mut [L]) {
        let from = &self.to[row * self.stride + column * L::LANES..][..sums.len() * L::LANES];
        from.chunks_exact(L::LANES).zip(sums).for_each(|(from, sum)| *sum = L::load(from));
    }
    #[inline(always)]
    fn finish(&mut self, row: usize, column: usize, sums: &[L]) {
        Written { to: self.to, stride: self.stride }.finish(row, column, sums);
    }
}

impl<L: Lane> Sums<L> for Added<'_> {
    #[inline(always)]
    fn finish(&mut self, row: usize, column: usize, sums: &[L]) {
        let to = place::<L>(self.to, self.stride, row, column, sums.len());
        if self.adds {
            to.zip(sums).for_each(|(to, &sum)| (L::load(to) + sum).store(to));
        } else {
            to.zip(sums).for_each(|(to, sum)| sum.store(to));
        }
    }
}

impl<L: Lane> Sums<L> for AddedTail<'_> {
    #[inline(always)]
    fn finish(&mut self, row: usize, _: usize, sums: &[L]) {
        let to = &mut self.to[row * self.stride..][..self.lanes];
        for &sum in sums {
            if self.adds { (L::load_partial(to) + sum).store_partial(to) } else { sum.store_partial(to) }
        }
    }
}

impl<L: Lane> Sums<L> for AddedMembers<'_> {
    #[inline(always)]
    fn finish(&mut self, row: usize, column: usize, sums: &[L]) {
        let to = &mut self.to[row * self.stride + column..][..sums.len()];
        for (to, sum) in to.iter_mut().zip(sums) {
            let mut total = if self.adds { *to + sum.lane(0) } else { sum.lane(0) };
            for member in 1..self.members {
                total += sum.lane(member);
            }
            *to = total;
        }
    }
}

/// The sizes of a product: C is `rows` × `columns` vectors, the sum runs over `depth`.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub rows: usize,
    pub depth: usize,
    pub columns: usize,
}

/// Computes the product.
#[inline(always)]
pub(crate) fn product<L: Lane>(size: Size, left: &impl Left<L>, right: &impl Right<L>, sums: &mut impl Sums<L>) {
    // The tile follows the registers: 32 of 16 lanes, 16 of 8 or 4 lanes, 32 scalars on a Cortex-M FPU.
    let mut column = 0;
    while column < size.columns {
        let left_over = size.columns - column;
        column += if L::LANES >= 16 {
            match left_over {
                4.. => band::<L, 6, 4>(size, left, right, column, sums),
                2.. => band::<L, 8, 2>(size, left, right, column, sums),
                _ => band::<L, 8, 1>(size, left, right, column, sums),
            }
        } else if L::LANES > 1 {
            match left_over {
                2.. => band::<L, 6, 2>(size, left, right, column, sums),
                _ => band::<L, 8, 1>(size, left, right, column, sums),
            }
        } else {
            match left_over {
                4.. => band::<L, 4, 4>(size, left, right, column, sums),
                _ => band::<L, 4, 1>(size, left, right, column, sums),
            }
        };
    }
}

/// Tiles of at most `ROWS` rows below each other: some of one height, then some one row lower. Returns the width of the band.
#[inline(always)]
fn band<L: Lane, const ROWS: usize, const COLUMNS: usize>(
    size: Size,
    left: &impl Left<L>,
    right: &impl Right<L>,
    column: usize,
    out: &mut impl Sums<L>,
) -> usize {
    let tiles = size.rows.div_ceil(ROWS);
    let height = size.rows.div_ceil(tiles.max(1));
    let high = size.rows - tiles * (height.max(1) - 1);
    let mut row = 0;
    for (height, count) in [(height, high), (height.max(1) - 1, tiles - high)] {
        macro_rules! tiles {
            ($($height:literal)*) => {
                match height {
                    $($height if $height <= ROWS => stack::<L, $height, COLUMNS>(size.depth, left, right, row, count, column, out),)*
                    _ => {}
                }
            };
        }
        tiles!(1 2 3 4 5 6 7 8);
        row += height * count;
    }
    COLUMNS
}

/// `count` tiles of `ROWS` rows below each other. A function of its own, so that the sums have all registers to themselves.
#[inline(never)]
fn stack<L: Lane, const ROWS: usize, const COLUMNS: usize>(
    depth: usize,
    left: &impl Left<L>,
    right: &impl Right<L>,
    first: usize,
    count: usize,
    column: usize,
    out: &mut impl Sums<L>,
) {
    for t in 0..count {
        tile::<L, ROWS, COLUMNS>(depth, left, right, first + t * ROWS, column, out);
    }
}

#[inline(always)]
fn tile<L: Lane, const ROWS: usize, const COLUMNS: usize>(
    depth: usize,
    left: &impl Left<L>,
    right: &impl Right<L>,
    row: usize,
    column: usize,
    out: &mut impl Sums<L>,
) {
    let band = left.band::<ROWS>(row, depth);
    let mut sums = [[L::default(); COLUMNS]; ROWS];
    for (r, sums) in sums.iter_mut().enumerate() {
        out.start(row + r, column, sums);
    }
    let mut k = 0;
    if ROWS * COLUMNS >= UNROLLED_FROM {
        // Written out: of a loop the compiler would keep the sums in memory.
        while depth - k >= 4 {
            let terms = part_of(left, band, k);
            multiply_add(left, terms, 0, right.row(k, column), &mut sums);
            multiply_add(left, terms, 1, right.row(k + 1, column), &mut sums);
            multiply_add(left, terms, 2, right.row(k + 2, column), &mut sums);
            multiply_add(left, terms, 3, right.row(k + 3, column), &mut sums);
            k += 4;
        }
    }
    while k < depth {
        multiply_add(left, band, k, right.row(k, column), &mut sums);
        k += 1;
    }
    for (r, sums) in sums.iter().enumerate() {
        out.finish(row + r, column, sums);
    }
}

/// Tiles of so many sums take four terms between two rounds of index arithmetic; smaller tiles gain nothing by it and take four times as
/// long to compile.
const UNROLLED_FROM: usize = 16;

/// Adds one term to every sum of a tile. An element of A is read when it is needed: read before the others it would want a register of its own,
/// and sums would have to leave theirs.
#[allow(clippy::needless_range_loop, reason = "rows of A and of the sums side by side, by number")]
#[inline(always)]
fn multiply_add<L: Lane, A: Left<L>, const ROWS: usize, const COLUMNS: usize>(
    _: &A,
    band: A::Band<ROWS>,
    k: usize,
    b: [L; COLUMNS],
    sums: &mut [[L; COLUMNS]; ROWS],
) {
    let column = A::column::<ROWS>(band, k);
    for r in 0..ROWS {
        let a = A::element::<ROWS>(column, r);
        for j in 0..COLUMNS {
            sums[r][j] = a.mul_add(b[j], sums[r][j]);
        }
    }
}

/// [`Left::part`] with the type taken from a value.
#[inline(always)]
fn part_of<L: Lane, A: Left<L>, const ROWS: usize>(_: &A, band: A::Band<ROWS>, k: usize) -> A::Band<ROWS> {
    A::part::<ROWS>(band, k)
}
