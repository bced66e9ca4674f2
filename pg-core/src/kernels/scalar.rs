//! Dense kernels for one number at a time, as a microcontroller has it: the bits of [`super::product`], without its tiles.
//!
//! Eight samples lie side by side, so two rows times eight columns are sixteen chains in registers, each in the order of the product: over
//! inputs, outputs or samples. How a processor computes such a piece is [`Lane`]'s business; here is only what is where. One sample
//! alone takes rows as a whole. Columns beyond the last eight, and odd rows, are computed one by one.

use crate::kernels::product::Size;
use crate::lane::{EIGHT, Lane, PARTIAL, fold};
use crate::layers::Part;

/// `y[o][j] = b[o] + Σᵢ w[o][i]·x[i][j]`: `size` is outputs × inputs × columns.
#[inline(always)]
pub(crate) fn forward<L: Lane>(size: Size, weights: &[f32], biases: &[f32], x: &[f32], y: &mut [f32]) {
    let Size { rows, depth, columns } = size;
    if columns == 1 {
        return forward_one::<L>(size, weights, biases, x, y);
    }
    let row = |o: usize| &weights[o * depth..][..depth];
    let whole = columns / EIGHT * EIGHT;
    for o in (0..rows).step_by(2) {
        let other = if o + 1 < rows { o + 1 } else { o };
        for j in (0..whole).step_by(EIGHT) {
            let mut sums = [[L::splat(biases[o]); EIGHT], [L::splat(biases[other]); EIGHT]];
            L::multiply_add_tile([row(o), row(other)], 1, &x[j..], columns, depth, &mut sums);
            store(&sums[0], &mut y[o * columns + j..]);
            store(&sums[1], &mut y[other * columns + j..]);
        }
    }
    for o in 0..rows {
        for j in whole..columns {
            let terms = row(o).iter().zip(x[j..].iter().step_by(columns));
            y[o * columns + j] = chain::<L>(biases[o], terms);
        }
    }
}

/// [`forward`] for one sample: four outputs at a time, each in the same order of inputs.
#[inline(always)]
fn forward_one<L: Lane>(size: Size, weights: &[f32], biases: &[f32], x: &[f32], y: &mut [f32]) {
    let row = |o: usize| &weights[o * size.depth..][..size.depth];
    let x = &x[..size.depth];
    let mut o = 0;
    while size.rows - o >= 4 {
        let mut sums = [L::splat(biases[o]), L::splat(biases[o + 1]), L::splat(biases[o + 2]), L::splat(biases[o + 3])];
        L::multiply_add_rows([row(o), row(o + 1), row(o + 2), row(o + 3)], x, &mut sums);
        for (sum, y) in sums.iter().zip(&mut y[o..o + 4]) {
            *y = sum.lane(0);
        }
        o += 4;
    }
    for (o, y) in y[..size.rows].iter_mut().enumerate().skip(o) {
        *y = chain::<L>(biases[o], row(o).iter().zip(x));
    }
}

/// `dx[i][j] = Σₒ w[o][i]·dy[o][j]`: `size` is inputs × outputs × columns.
#[inline(always)]
pub(crate) fn input_gradient<L: Lane>(size: Size, weights: &[f32], dy: &[f32], dx: &mut [f32]) {
    let Size { rows: inputs, depth: outputs, columns } = size;
    if columns == 1 {
        let dx = &mut dx[..inputs];
        dx.fill(0.0);
        for (o, &dy) in dy[..outputs].iter().enumerate() {
            L::multiply_add_to(dy, &weights[o * inputs..][..inputs], dx);
        }
        return;
    }
    let whole = columns / EIGHT * EIGHT;
    for i in (0..inputs).step_by(2) {
        let other = if i + 1 < inputs { i + 1 } else { i };
        for j in (0..whole).step_by(EIGHT) {
            let mut sums = [[L::default(); EIGHT]; 2];
            L::multiply_add_tile([&weights[i..], &weights[other..]], inputs, &dy[j..], columns, outputs, &mut sums);
            store(&sums[0], &mut dx[i * columns + j..]);
            store(&sums[1], &mut dx[other * columns + j..]);
        }
    }
    for i in 0..inputs {
        for j in whole..columns {
            let terms = weights[i..].iter().step_by(inputs).zip(dy[j..].iter().step_by(columns)).take(outputs);
            dx[i * columns + j] = chain::<L>(0.0, terms);
        }
    }
}

/// `g[o][i] += Σₙ dy[o][n]·x[i][n]` (without `adds`: written): each sum is a chain from zero in the order of the samples, added once.
#[inline(always)]
pub(crate) fn weight_gradient<L: Lane>(adds: bool, size: Size, dy: &[f32], x: &[f32], g: &mut [f32]) {
    let Size { rows: outputs, depth: inputs, columns } = size;
    let g = &mut g[..outputs * inputs];
    let dy = &dy[..outputs * columns];
    let pairs = if columns == EIGHT { outputs / 2 } else { 0 };
    let (in_pairs, alone) = g.split_at_mut(pairs * 2 * inputs);
    let (dy_in_pairs, dy_alone) = dy.split_at(pairs * 2 * columns);
    for (g, dy) in in_pairs.chunks_exact_mut(2 * inputs).zip(dy_in_pairs.chunks_exact(2 * EIGHT)) {
        let ((first, second), (a, b)) = (g.split_at_mut(inputs), dy.split_at(EIGHT));
        L::multiply_eights([a, b], &x[..inputs * EIGHT], adds, [first, second]);
    }
    for (g, dy) in alone.chunks_exact_mut(inputs).zip(dy_alone.chunks_exact(columns)) {
        for (g, x) in g.iter_mut().zip(x.chunks_exact(columns)) {
            let sum = chain::<L>(0.0, dy.iter().zip(x));
            *g = if adds { *g + sum } else { sum };
        }
    }
}

/// `g[o] += Σₙ dy[o][n]` (without `adds`: written), in sixteen partial sums, folded.
#[inline(always)]
pub(crate) fn bias_gradient(adds: bool, outputs: usize, columns: usize, dy: &[f32], g: &mut [f32]) {
    for (o, g) in g[..outputs].iter_mut().enumerate() {
        let dy = &dy[o * columns..][..columns];
        let sum = match *dy {
            // What is left of the general case when the other partial sums are zeros; the last zero makes -0 positive, as they do.
            [a] => a + 0.0,
            [a, b, c, d, e, f, g, h] => (((a + e) + (c + g)) + ((b + f) + (d + h))) + 0.0,
            _ => {
                let mut partial = [0.0; PARTIAL];
                dy.iter().enumerate().for_each(|(n, dy)| partial[n % PARTIAL] += dy);
                fold(partial)
            }
        };
        *g = if adds { *g + sum } else { sum };
    }
}

/// `w[o][i] += rate·(dy[o]·x[i])`, `b[o] += rate·dy[o]` for one sample, each product rounded as a gradient in memory would be.
#[inline(always)]
pub(crate) fn descend<L: Lane>(part: Part, rate: f32, inputs: usize, outputs: usize, x: &[f32], dy: &[f32], parameters: &mut [f32]) {
    let (weights, biases) = parameters.split_at_mut(inputs * outputs);
    if part == Part::Everything {
        for (o, &dy) in dy[..outputs].iter().enumerate() {
            L::descend(rate, dy, &x[..inputs], &mut weights[o * inputs..][..inputs]);
        }
    }
    if part != Part::Nothing {
        for (b, &dy) in biases[..outputs].iter_mut().zip(&dy[..outputs]) {
            *b = L::splat(rate).mul_add(L::splat(dy + 0.0), L::splat(*b)).lane(0);
        }
    }
}

/// `start + Σ a·b`, in the order of the terms.
#[inline(always)]
fn chain<'a, L: Lane>(start: f32, terms: impl Iterator<Item = (&'a f32, &'a f32)>) -> f32 {
    terms.fold(L::splat(start), |sum, (&a, &b)| L::splat(a).mul_add(L::splat(b), sum)).lane(0)
}

#[inline(always)]
fn store<L: Lane>(sums: &[L; EIGHT], to: &mut [f32]) {
    for (sum, to) in sums.iter().zip(&mut to[..EIGHT]) {
        *to = sum.lane(0);
    }
}
