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
    let (columns, depth) = (columns.max(1), depth.max(1));
    let rows = weights.chunks_exact(depth).zip(biases).zip(y.chunks_exact_mut(columns)).take(rows);
    let mut rows = rows.map(|((weights, &bias), y)| (weights, bias, y));
    while let Some((weights, bias, y)) = rows.next() {
        // A last row without another is computed twice.
        let mut alone = [];
        let (other_weights, other_bias, other_y) = rows.next().unwrap_or((weights, bias, &mut alone));
        let (eights, rest) = y.as_chunks_mut::<EIGHT>();
        let mut other_eights = other_y.as_chunks_mut::<EIGHT>().0.iter_mut();
        for (j, y) in (0..).step_by(EIGHT).zip(eights) {
            let mut sums = [[L::splat(bias); EIGHT], [L::splat(other_bias); EIGHT]];
            L::multiply_add_tile([weights, other_weights], 1, x.get(j..).unwrap_or(&[]), columns, depth, &mut sums);
            store(&sums[0], y);
            if let Some(y) = other_eights.next() {
                store(&sums[1], y);
            }
        }
        let whole = columns - rest.len();
        for (weights, bias, rest) in [(weights, bias, rest), (other_weights, other_bias, other_y.get_mut(whole..).unwrap_or_default())] {
            for (j, y) in (whole..).zip(rest) {
                *y = chain::<L>(bias, weights.iter().zip(x.iter().skip(j).step_by(columns)));
            }
        }
    }
}

/// [`forward`] for one sample: four outputs at a time, each in the same order of inputs.
#[inline(always)]
fn forward_one<L: Lane>(size: Size, weights: &[f32], biases: &[f32], x: &[f32], y: &mut [f32]) {
    let Size { rows, depth, .. } = size;
    let (Some(x), Some(y), Some(biases)) = (x.get(..depth), y.get_mut(..rows), biases.get(..rows)) else { return };
    let (fours, rest) = y.as_chunks_mut::<4>();
    let (four_biases, other_biases) = biases.as_chunks::<4>();
    let (depth, done) = (depth.max(1), 4 * depth * fours.len());
    for ((y, biases), weights) in fours.iter_mut().zip(four_biases).zip(weights.chunks_exact(4 * depth)) {
        // Of a length that the compiler knows.
        let (first, second) = weights.split_at(2 * depth);
        let ([a, b], [c, d]) = (<[&[f32]; 2]>::from(first.split_at(depth)), <[&[f32]; 2]>::from(second.split_at(depth)));
        let mut sums = biases.map(L::splat);
        L::multiply_add_rows([a, b, c, d], x, &mut sums);
        *y = sums.map(|sum| sum.lane(0));
    }
    let others = weights.get(done..).unwrap_or_default().chunks_exact(depth);
    for ((y, &bias), weights) in rest.iter_mut().zip(other_biases).zip(others) {
        *y = chain::<L>(bias, weights.iter().zip(x));
    }
}

/// `dx[i][j] = Σₒ w[o][i]·dy[o][j]`: `size` is inputs × outputs × columns.
#[inline(always)]
pub(crate) fn input_gradient<L: Lane>(size: Size, weights: &[f32], dy: &[f32], dx: &mut [f32]) {
    let Size { rows: inputs, depth: outputs, columns } = size;
    if columns == 1 {
        let (Some(dx), Some(dy)) = (dx.get_mut(..inputs), dy.get(..outputs)) else { return };
        dx.fill(0.0);
        for (&dy, weights) in dy.iter().zip(weights.chunks_exact(inputs.max(1))) {
            L::multiply_add_to(dy, weights, dx);
        }
        return;
    }
    let (columns, inputs) = (columns.max(1), inputs.max(1));
    let mut rows = dx.chunks_exact_mut(columns).take(inputs).enumerate();
    while let Some((i, dx)) = rows.next() {
        let mut alone = [];
        let (other, other_dx) = rows.next().unwrap_or((i, &mut alone));
        let weights_of = |i: usize| weights.get(i..).unwrap_or(&[]);
        let (eights, rest) = dx.as_chunks_mut::<EIGHT>();
        let mut other_eights = other_dx.as_chunks_mut::<EIGHT>().0.iter_mut();
        for (j, dx) in (0..).step_by(EIGHT).zip(eights) {
            let mut sums = [[L::default(); EIGHT]; 2];
            let dy = dy.get(j..).unwrap_or(&[]);
            L::multiply_add_tile([weights_of(i), weights_of(other)], inputs, dy, columns, outputs, &mut sums);
            store(&sums[0], dx);
            if let Some(dx) = other_eights.next() {
                store(&sums[1], dx);
            }
        }
        let whole = columns - rest.len();
        for (i, rest) in [(i, rest), (other, other_dx.get_mut(whole..).unwrap_or_default())] {
            for (j, dx) in (whole..).zip(rest) {
                let terms = weights.iter().skip(i).step_by(inputs).zip(dy.iter().skip(j).step_by(columns)).take(outputs);
                *dx = chain::<L>(0.0, terms);
            }
        }
    }
}

/// `g[o][i] += Σₙ dy[o][n]·x[i][n]` (without `adds`: written): each sum is a chain from zero in the order of the samples, added once.
#[inline(always)]
pub(crate) fn weight_gradient<L: Lane>(adds: bool, size: Size, dy: &[f32], x: &[f32], g: &mut [f32]) {
    let Size { rows: outputs, depth: inputs, columns } = size;
    let (columns, inputs) = (columns.max(1), inputs.max(1));
    let mut rows = g.chunks_exact_mut(inputs).zip(dy.chunks_exact(columns)).take(outputs);
    while let Some((g, dy)) = rows.next() {
        let one = |g: &mut [f32], dy: &[f32]| {
            for (g, x) in g.iter_mut().zip(x.chunks_exact(columns)) {
                let sum = chain::<L>(0.0, dy.iter().zip(x));
                *g = if adds { *g + sum } else { sum };
            }
        };
        match rows.next() {
            Some((other_g, other_dy)) if columns == EIGHT => {
                let x = x.get(..inputs * EIGHT).unwrap_or(&[]);
                L::multiply_eights([dy, other_dy], x, adds, [g, other_g]);
            }
            other => {
                one(g, dy);
                other.into_iter().for_each(|(g, dy)| one(g, dy));
            }
        }
    }
}

/// `g[o] += Σₙ dy[o][n]` (without `adds`: written), in sixteen partial sums, folded.
#[inline(always)]
pub(crate) fn bias_gradient(adds: bool, outputs: usize, columns: usize, dy: &[f32], g: &mut [f32]) {
    for (g, dy) in g.iter_mut().zip(dy.chunks_exact(columns.max(1))).take(outputs) {
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
    let Some((weights, biases)) = parameters.split_at_mut_checked(inputs * outputs) else { return };
    let (Some(x), Some(dy), Some(biases)) = (x.get(..inputs), dy.get(..outputs), biases.get_mut(..outputs)) else { return };
    if part == Part::Everything {
        for (&dy, weights) in dy.iter().zip(weights.chunks_exact_mut(inputs.max(1))) {
            L::descend(rate, dy, x, weights);
        }
    }
    if part != Part::Nothing {
        for (b, &dy) in biases.iter_mut().zip(dy) {
            *b = L::splat(rate).mul_add(L::splat(dy + 0.0), L::splat(*b)).lane(0);
        }
    }
}

/// `y[r][j] += a[r]·u[j]` with `u[j] = Σₖ b[k]·x[k][j]`, summed in the order of k: what noise of rank 1 adds to a product.
#[inline(always)]
pub(crate) fn add_product<L: Lane>(a: &[f32], b: &[f32], columns: usize, x: &[f32], y: &mut [f32]) {
    if columns == 1 {
        return L::multiply_add_to(chain::<L>(0.0, b.iter().zip(x)), a, y);
    }
    let columns = columns.max(1);
    let whole = columns / EIGHT * EIGHT;
    for j in (0..whole).step_by(EIGHT) {
        let mut u = [L::default(); EIGHT];
        L::multiply_add_row(b, x.get(j..).unwrap_or_default(), columns, &mut u);
        L::add_multiples(a, &u, columns, y.get_mut(j..).unwrap_or_default());
    }
    for j in whole..columns {
        let u = L::splat(chain::<L>(0.0, b.iter().zip(x.iter().skip(j).step_by(columns))));
        for (&a, y) in a.iter().zip(y.iter_mut().skip(j).step_by(columns)) {
            *y = L::splat(a).mul_add(u, L::splat(*y)).lane(0);
        }
    }
}

/// [`add_product`] where each column has factors of its own: `a[r][j]`, `b[k][j]`.
#[inline(never)]
pub(crate) fn add_products_of_columns<L: Lane>(a: &[f32], b: &[f32], columns: usize, x: &[f32], y: &mut [f32]) {
    let step = columns.max(1);
    for j in 0..columns {
        let u = L::splat(chain::<L>(0.0, b.iter().skip(j).step_by(step).zip(x.iter().skip(j).step_by(step))));
        for (&a, y) in a.iter().skip(j).step_by(step).zip(y.iter_mut().skip(j).step_by(step)) {
            *y = L::splat(a).mul_add(u, L::splat(*y)).lane(0);
        }
    }
}

/// `start + Σ a·b`, in the order of the terms.
#[inline(always)]
fn chain<'a, L: Lane>(start: f32, terms: impl Iterator<Item = (&'a f32, &'a f32)>) -> f32 {
    terms.fold(L::splat(start), |sum, (&a, &b)| L::splat(a).mul_add(L::splat(b), sum)).lane(0)
}

#[inline(always)]
fn store<L: Lane>(sums: &[L; EIGHT], to: &mut [f32; EIGHT]) {
    for (sum, to) in sums.iter().zip(to) {
        *to = sum.lane(0);
    }
}
