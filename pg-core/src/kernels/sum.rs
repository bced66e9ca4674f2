//! Plain sums over the places and samples of one feature or channel, in one order for every form.
//!
//! A chain of additions would be all latency. Sample n of place p goes to partial sum (p mod 4, n mod 16); the four are folded in
//! halves, then the sixteen ([`fold`]).

use crate::form::Form;
use crate::lane::{Lane, PARTIAL, fold};
use crate::layers::Pass;

/// Partial sums over the places.
const PLACES: usize = 4;

/// The sum of `term(offset)` over the columns of `places` places, for each member: the same in all lanes, or with members in lanes in the
/// member's lane. `offset` is that of a column in its row of `f32`s. Lanes without a sample must be zero.
#[inline(always)]
pub(crate) fn sum<F: Form>(pass: &Pass, places: usize, term: impl FnMut(usize) -> F::Value) -> F::Value {
    // A column holds one sample or several: so many columns make a round of the partial sums. No more of them are kept than that: to clear
    // sixteen vectors for each place, whatever the lanes, took a third of a small network's step.
    match const { PARTIAL / F::SAMPLES } {
        1 => sum_in::<F, 1>(pass, places, term),
        2 => sum_in::<F, 2>(pass, places, term),
        4 => sum_in::<F, 4>(pass, places, term),
        8 => sum_in::<F, 8>(pass, places, term),
        _ => sum_in::<F, PARTIAL>(pass, places, term),
    }
}

/// [`sum`] with `ROUND` columns to a round.
#[inline(always)]
fn sum_in<F: Form, const ROUND: usize>(pass: &Pass, places: usize, mut term: impl FnMut(usize) -> F::Value) -> F::Value {
    let stride = pass.columns * F::COLUMN;
    let mut sums = [[F::Value::default(); ROUND]; PLACES];
    let whole = places / PLACES * PLACES;
    for first in (0..whole).step_by(PLACES) {
        for_rounds::<ROUND>(pass.columns, |column, i| {
            let offset = first * stride + column * F::COLUMN;
            for (p, sums) in sums.iter_mut().enumerate() {
                sums[i] = sums[i] + term(offset + p * stride);
            }
        });
    }
    for (p, sums) in (whole..places).zip(&mut sums) {
        for_rounds::<ROUND>(pass.columns, |column, i| sums[i] = sums[i] + term(p * stride + column * F::COLUMN));
    }
    let [a, b, c, d] = &sums;
    let mut partial = [F::Value::default(); ROUND];
    for (i, partial) in partial.iter_mut().enumerate() {
        *partial = (a[i] + c[i]) + (b[i] + d[i]);
    }
    fold_lanes::<F>(&partial)
}

/// `visit(column, partial sum)` for all columns in order. Rounds are loops of their own: of a remainder in the index LLVM 22.1 made code for
/// AVX-512 on Zen 4 that wrote beyond the partial sums.
#[inline(always)]
fn for_rounds<const ROUND: usize>(columns: usize, mut visit: impl FnMut(usize, usize)) {
    for first in (0..columns).step_by(ROUND) {
        for i in 0..ROUND.min(columns - first) {
            visit(first + i, i);
        }
    }
}

/// Folds the partial sums of one round of columns: over lanes that hold samples, lane by lane where they hold members.
#[inline(always)]
pub(crate) fn fold_lanes<F: Form>(partial: &[F::Value]) -> F::Value {
    if F::WEIGHT == 1 {
        let mut numbers = [0.0; PARTIAL];
        partial.iter().zip(numbers.chunks_exact_mut(F::COLUMN)).for_each(|(sum, out)| sum.store(out));
        return F::Value::splat(fold(numbers));
    }
    let mut eight = [F::Value::default(); 8];
    for i in 0..8 {
        eight[i] = partial[i] + partial[i + 8];
    }
    let mut four = [F::Value::default(); 4];
    for i in 0..4 {
        four[i] = eight[i] + eight[i + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

/// The sum of `term(i)` for i below `count`, lane by lane: four strided chains, folded in halves.
#[inline(always)]
pub(crate) fn lane_sum<L: Lane>(count: usize, mut term: impl FnMut(usize) -> L) -> L {
    let mut sums = [L::default(); 4];
    for i in 0..count {
        sums[i % 4] = sums[i % 4] + term(i);
    }
    (sums[0] + sums[2]) + (sums[1] + sums[3])
}

/// `Σ xᵢ²`: element i goes to partial sum i mod 16, the partial sums are folded in halves, so it is the same for any lane width.
pub(crate) fn sum_of_squares<L: Lane>(numbers: &[f32]) -> f32 {
    if L::LANES == 1 {
        let mut partial = [0.0; PARTIAL];
        L::add_squares(numbers, &mut partial);
        return fold(partial);
    }
    let mut sums = [L::default(); PARTIAL];
    let vectors = PARTIAL / L::LANES;
    let mut add = |some: &[f32]| {
        for (sum, x) in sums[..vectors].iter_mut().zip(some.chunks_exact(L::LANES)) {
            let x = L::load(x);
            *sum = x.mul_add(x, *sum);
        }
    };
    let whole = numbers.chunks_exact(PARTIAL);
    let mut rest = [0.0; PARTIAL];
    rest[..whole.remainder().len()].copy_from_slice(whole.remainder());
    whole.for_each(&mut add);
    add(&rest);
    let mut partial = [0.0; PARTIAL];
    for (sum, out) in sums[..vectors].iter().zip(partial.chunks_exact_mut(L::LANES)) {
        sum.store(out);
    }
    fold(partial)
}

/// Adds the sums of the members, in their order, to the gradient of one parameter (without `adds`: writes them).
#[inline(always)]
pub(crate) fn add_members<F: Form>(pass: &Pass, sum: F::Value, gradient: &mut f32) {
    let mut total = if pass.adds { *gradient + sum.lane(0) } else { sum.lane(0) };
    for member in 1..pass.members {
        total += sum.lane(member);
    }
    *gradient = total;
}

/// `g[o] += Σ dy[o]`, over places and samples.
pub(crate) fn bias_gradient<F: Form>(pass: &Pass, places: usize, dy: &[f32], biases: &mut [f32]) {
    let channel = places * pass.columns * F::COLUMN;
    let count = biases.len().min(dy.len() / channel);
    pass.sharing.pieces(&mut biases[..count], 1, channel, |first, biases| bias_rows::<F>(pass, places, &dy[first * channel..], biases));
}

/// The same by one thread.
pub(crate) fn bias_rows<F: Form>(pass: &Pass, places: usize, dy: &[f32], biases: &mut [f32]) {
    for (bias, row) in biases.iter_mut().zip(dy.chunks_exact(places * pass.columns * F::COLUMN)) {
        let total = sum::<F>(pass, places, |offset| F::Value::load(&row[offset..]));
        add_members::<F>(pass, total, bias);
    }
}
