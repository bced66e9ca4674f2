//! Tiles of rows × vectors: sums of products of weights and activations, each one chain, all in registers. What is a row and what a term is the
//! matter of who asks: forward, or back.

use crate::form::Form;
use crate::lane::Lane;
use crate::perturbation::rank_one::Factors;

/// Sums of products `Σ a[row][term]·b[term][vector]` for some rows and a run of vectors.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Weights, and where the first term of the first row lies.
    pub(super) a: (&'a [f32], usize),
    /// Activations, and where the first term of the first vector lies.
    pub(super) b: (&'a [f32], usize),
    /// How many terms: channels, rows and columns of the window.
    pub(super) count: [usize; 3],
    /// Weights from row to row of the sums, and from term to term in the three directions.
    pub(super) a_row: usize,
    pub(super) a_steps: [usize; 3],
    /// `f32`s from term to term; steps back wrap around.
    pub(super) b_steps: [usize; 3],
}

/// Where the vectors of a run lie, and where their sums go.
pub(super) struct Run<'a> {
    pub(super) rows: usize,
    pub(super) places: usize,
    /// Vectors of a place.
    pub(super) columns: usize,
    /// `f32`s from place to place in b, and in the sums.
    pub(super) b_place: usize,
    pub(super) place: usize,
    /// `f32`s from row to row of the sums.
    pub(super) row: usize,
    pub(super) start: Start<'a>,
    /// Factors of the rows: what lies where the first row's sums go, times these, is the last term of every sum.
    pub(super) last: Option<Factors<'a>>,
    pub(super) to: &'a mut [f32],
}

/// What sums start from.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    Zero,
    /// A number for each row.
    Biases(&'a [f32]),
    /// What lies where they go.
    There,
}

/// Forms the sums of a run, tile by tile.
#[inline(always)]
pub(super) fn correlate<F: Form>(terms: &Terms, run: &mut Run) {
    let vectors = run.places * run.columns;
    let mut vector = 0;
    while vector < vectors {
        let left = vectors - vector;
        vector += if F::COLUMN >= 16 {
            match left {
                4.. => bands::<F, 6, 4>(terms, run, vector),
                2.. => bands::<F, 6, 2>(terms, run, vector),
                _ => bands::<F, 6, 1>(terms, run, vector),
            }
        } else if F::COLUMN > 1 {
            match left {
                2.. => bands::<F, 6, 2>(terms, run, vector),
                _ => bands::<F, 6, 1>(terms, run, vector),
            }
        } else {
            match left {
                4.. => bands::<F, 4, 4>(terms, run, vector),
                _ => bands::<F, 4, 1>(terms, run, vector),
            }
        };
    }
}

/// Tiles of at most `HIGH` rows above each other, the rows dealt evenly, the first row last ([`Run::last`]); returns the width.
#[inline(always)]
fn bands<F: Form, const HIGH: usize, const WIDE: usize>(terms: &Terms, run: &mut Run, vector: usize) -> usize {
    let tiles = run.rows.div_ceil(HIGH);
    let mut row = run.rows;
    for tile in 0..tiles {
        let rows = row.div_ceil(tiles - tile);
        row -= rows;
        macro_rules! heights {
            ($($rows:literal)*) => {
                match rows {
                    $($rows if $rows <= HIGH => {
                        if run.b_place == run.columns * F::COLUMN {
                            tile_of::<F, $rows, WIDE, true>(terms, run, row, vector);
                        } else {
                            tile_of::<F, $rows, WIDE, false>(terms, run, row, vector);
                        }
                    })*
                    _ => {}
                }
            };
        }
        heights!(1 2 3 4 5 6);
    }
    WIDE
}

/// One tile; `CLOSE` says that the places of b lie side by side. A function of its own, so that the sums have all registers to themselves.
#[inline(never)]
fn tile_of<F: Form, const ROWS: usize, const WIDE: usize, const CLOSE: bool>(terms: &Terms, run: &mut Run, row: usize, vector: usize) {
    let mut sums = [[F::Value::default(); WIDE]; ROWS];
    let columns = run.columns;
    let offset = |vector: usize, place: usize| vector / columns * place + vector % columns * F::COLUMN;
    match run.start {
        Start::Zero => {}
        Start::Biases(biases) => {
            for (r, sums) in sums.iter_mut().enumerate() {
                sums.fill(F::weight(biases, row + r));
            }
        }
        Start::There => {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = F::Value::load(&run.to[(row + r) * run.row + offset(vector + j, run.place)..]);
                }
            }
        }
    }
    let mut offsets = [0; WIDE];
    for (j, place) in offsets.iter_mut().enumerate() {
        *place = offset(vector + j, run.b_place);
    }
    let (a, first) = terms.a;
    let first = first + row * terms.a_row;
    let (b, start) = terms.b;
    let [channels, ys, xs] = terms.count;
    for c in 0..channels {
        for y in 0..ys {
            let mut a_at = first + c * terms.a_steps[0] + y * terms.a_steps[1];
            let mut b_at = start.wrapping_add(c * terms.b_steps[0]).wrapping_add(y.wrapping_mul(terms.b_steps[1]));
            for _ in 0..xs {
                let mut vectors = [F::Value::default(); WIDE];
                if CLOSE {
                    let near = &b[b_at + offsets[0]..][..WIDE * F::COLUMN];
                    for j in 0..WIDE {
                        vectors[j] = F::Value::load(&near[j * F::COLUMN..]);
                    }
                } else {
                    for j in 0..WIDE {
                        vectors[j] = F::Value::load(&b[b_at + offsets[j]..]);
                    }
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let weight = F::weight(a, a_at + r * terms.a_row);
                    for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                        *sum = weight.mul_add(vector, *sum);
                    }
                }
                a_at += terms.a_steps[2];
                b_at = b_at.wrapping_add(terms.b_steps[2]);
            }
        }
    }
    let mut offsets = [0; WIDE];
    for (j, place) in offsets.iter_mut().enumerate() {
        *place = offset(vector + j, run.place);
    }
    if F::FACTORED
        && let Some(factors) = &run.last
    {
        let terms = offsets.map(|offset| F::Value::load(&run.to[offset..]));
        let weights = factors.as_weights();
        for (r, sums) in sums.iter_mut().enumerate() {
            if let Some(weights) = weights {
                let weight = F::weight(weights, row + r);
                sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum = weight.mul_add(term, *sum));
                continue;
            }
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = factors.get::<F>(row + r, (vector + j) % columns, columns).mul_add(terms[j], *sum);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (sum, offset) in sums.iter().zip(offsets) {
            sum.store(&mut run.to[(row + r) * run.row + offset..]);
        }
    }
}

/// Forms the sums of a run with `factors` for weights.
#[inline(always)]
pub(super) fn correlate_factors<F: Form>(factors: &Factors, terms: &Terms, run: &mut Run) {
    if let Some(weights) = factors.as_weights() {
        return correlate::<F>(&Terms { a: (weights, terms.a.1), ..*terms }, run);
    }
    let (rows, columns) = (run.rows, run.columns);
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let mut place = 0;
        while place < run.places {
            let at = [row, column, place];
            place += match run.places - place {
                8.. => tile_of_column::<F, 8>(factors, terms, run, at),
                4.. => tile_of_column::<F, 4>(factors, terms, run, at),
                _ => tile_of_column::<F, 1>(factors, terms, run, at),
            };
        }
    }
}

/// `WIDE` places of one column, which have their factors in common; returns how many.
#[inline(never)]
fn tile_of_column<F: Form, const WIDE: usize>(factors: &Factors, terms: &Terms, run: &mut Run, [row, column, place]: [usize; 3]) -> usize {
    let lanes = column * F::COLUMN;
    let from: [usize; WIDE] = core::array::from_fn(|j| (place + j) * run.b_place + lanes);
    let to: [usize; WIDE] = core::array::from_fn(|j| row * run.row + (place + j) * run.place + lanes);
    let mut sums = match run.start {
        Start::There => to.map(|to| F::Value::load(&run.to[to..])),
        _ => [F::Value::default(); WIDE],
    };
    let [channels, ys, xs] = terms.count;
    for (c, y) in (0..channels).flat_map(|c| (0..ys).map(move |y| (c, y))) {
        let mut a_at = terms.a.1 + row * terms.a_row + c * terms.a_steps[0] + y * terms.a_steps[1];
        let mut b_at = terms.b.1.wrapping_add(c * terms.b_steps[0]).wrapping_add(y.wrapping_mul(terms.b_steps[1]));
        for _ in 0..xs {
            let factor = factors.get::<F>(a_at, column, run.columns);
            for (sum, from) in sums.iter_mut().zip(from) {
                *sum = factor.mul_add(F::Value::load(&terms.b.0[b_at + from..]), *sum);
            }
            a_at += terms.a_steps[2];
            b_at = b_at.wrapping_add(terms.b_steps[2]);
        }
    }
    for (sum, to) in sums.iter().zip(to) {
        sum.store(&mut run.to[to..]);
    }
    WIDE
}

/// `rows[0][p] = Σ_r a[r]·rows[r][p]` for rows of `length` `f32`s.
pub(super) fn sum_rows<F: Form>(a: &Factors, columns: usize, length: usize, rows: &mut [f32]) {
    let mut at = 0;
    while at < length {
        // Eight chains at a time: one alone would be all latency.
        at += match (length - at) / F::COLUMN {
            8.. => sum_columns::<F, 8>(a, columns, length, at, rows),
            _ => sum_columns::<F, 1>(a, columns, length, at, rows),
        };
    }
}

/// `WIDE` vectors of the sum of rows from `at` on; returns how many `f32`s.
#[inline(always)]
fn sum_columns<F: Form, const WIDE: usize>(a: &Factors, columns: usize, length: usize, at: usize, rows: &mut [f32]) -> usize {
    let mut sums = [F::Value::default(); WIDE];
    for (r, row) in rows.chunks_exact(length).enumerate() {
        let row = &row[at..][..WIDE * F::COLUMN];
        let shared = a.as_weights().map(|a| F::weight(a, r));
        for (j, sum) in sums.iter_mut().enumerate() {
            let a = shared.unwrap_or_else(|| a.get::<F>(r, (at / F::COLUMN + j) % columns, columns));
            *sum = a.mul_add(F::Value::load(&row[j * F::COLUMN..]), *sum);
        }
    }
    let to = &mut rows[at..][..WIDE * F::COLUMN];
    sums.iter().zip(to.chunks_exact_mut(F::COLUMN)).for_each(|(sum, to)| sum.store(to));
    WIDE * F::COLUMN
}
