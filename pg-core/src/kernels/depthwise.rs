//! Depthwise convolution: one window for each channel, forward, input gradient, weight gradient.
//!
//! A channel has few products for each number, so the tiles of [`convolution`](super::convolution) would be one row high. Every product reads
//! a number of its own from the first-level cache: that, not arithmetic, is the limit. Here
//! 1. a channel's input is copied to a plane with its padding (scratch of one channel, which stays near), so that all places are alike. With a
//!    stride s each row of it is dealt: first the places 0, s, 2s, …, then 1, s + 1, … So what a tap reads for a row of outputs lies side by
//!    side, whatever the stride;
//! 2. forward, a tile is eight vectors of one row: every weight is read once for them;
//! 3. the input gradient is the same pass over the output gradient, the window turned round. Inputs of one phase see every s-th tap, so
//!    nothing multiplies the zeros that a stride would leave between outputs;
//! 4. the weight gradient takes up to nine taps at once: a vector of dy serves them all.

use super::sum::{add_members, bias_rows, fold_lanes};
use super::window::{Axis, Plane};
use crate::form::Form;
use crate::lane::{Lane, PARTIAL};
use crate::layers::Pass;
use crate::perturbation::rank_one::Factors;
use crate::sharing::MOVE;

/// The sizes of a depthwise convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depthwise {
    pub channels: usize,
    pub plane: Plane,
}

/// Channels that threads may take at the same time, with scratch of their own.
struct Parts {
    /// Of a part.
    channels: usize,
    /// How many parts.
    count: usize,
    /// `f32`s of scratch of a part.
    scratch: usize,
}

/// The larger of two sizes.
const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// Places of each phase in a row of the input with its padding.
const fn dealt(axis: &Axis) -> usize {
    (axis.input + 2 * axis.padding).div_ceil(axis.stride)
}

/// The most taps of a phase.
const fn most_taps(axis: &Axis) -> usize {
    axis.kernel.div_ceil(axis.stride)
}

/// Places of the output gradient, with the zeros before and behind it that the window turned round sees.
const fn spread(axis: &Axis) -> usize {
    most_taps(axis) + axis.phase(axis.input - 1).1 - axis.phase(0).1
}

/// Where the output gradient begins in it.
const fn margin(axis: &Axis) -> usize {
    most_taps(axis) - 1 - axis.phase(0).1
}

/// Of an input: its first tap, how many taps see it, and the place in [`spread`] of the first output that does (through the last tap).
const fn seen_through(axis: &Axis, input: usize) -> (usize, usize, usize) {
    let (tap, output) = axis.phase(input);
    let taps = axis.taps_in(tap);
    (tap, taps, output - axis.phase(0).1 + most_taps(axis) - larger(taps, 1))
}

impl Depthwise {
    /// Places of scratch: for one channel of the input; for one of the output gradient and a row of inputs of one phase.
    pub const fn scratch(&self) -> usize {
        let Plane { y, x } = &self.plane;
        let row = if x.stride > 1 { x.input.div_ceil(x.stride) } else { 0 };
        larger((y.input + 2 * y.padding) * x.stride * dealt(x), spread(y) * spread(x) + row)
    }

    /// The channels in as many parts as there is scratch for.
    fn parts(&self, place: usize, scratch: &[f32]) -> Parts {
        let own = self.scratch() * place;
        let channels = self.channels.div_ceil((scratch.len() / own.max(1)).max(1));
        Parts { channels, count: self.channels.div_ceil(channels), scratch: own }
    }

    /// The factors of the members' noise for channel `c`.
    fn noise<'a, F: Form>(&self, pass: &Pass<'a>, c: usize) -> Option<Noise<'a>> {
        let columns = pass.columns;
        pass.noise::<F>().map(|factors| Noise {
            of_taps: factors,
            of_channel: factors.behind::<F>(self.plane.taps() + c, columns),
            columns,
        })
    }

    /// Writes a channel of x, each row dealt by the stride, between the padding that is there already.
    fn pad(&self, place: usize, x: &[f32], to: &mut [f32]) {
        let Plane { y, x: axis } = &self.plane;
        let phase = dealt(axis) * place;
        let rows = to[y.padding * axis.stride * phase..].chunks_exact_mut(axis.stride * phase);
        for (from, to) in x.chunks_exact(axis.input * place).zip(rows) {
            if axis.stride == 1 {
                to[axis.padding * place..][..from.len()].copy_from_slice(from);
                continue;
            }
            for (i, from) in from.chunks_exact(place).enumerate() {
                let (tap, output) = axis.phase(i);
                to[tap * phase + output * place..][..place].copy_from_slice(from);
            }
        }
    }

    /// `y[c][p] = b[c] + Σ_t w[c][t]·x[c][p·stride + t - padding]`; parameters: `w[channel][row][column]`, then `b[channel]`.
    #[cfg_attr(not(target_os = "none"), inline(never))]
    pub fn forward<F: Form>(&self, pass: &Pass, parameters: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let plane = &self.plane;
        let (place, taps) = (pass.columns * F::COLUMN, plane.taps());
        let (weights, biases) = parameters.split_at(self.channels * taps * F::WEIGHT);
        let phase = dealt(&plane.x) * place;
        let Parts { channels, count, scratch: own } = self.parts(place, scratch);
        let channel = plane.outputs() * place;
        let to = [&mut y[..self.channels * channel], &mut scratch[..count * own], &mut []];
        pass.sharing.pieces_of_three(to, [channels * channel, own, 0], MOVE + taps, |part, [y, scratch, _]| {
            let scratch = &mut scratch[..own];
            scratch.fill(0.0);
            let first = part * channels;
            let rows = x.chunks_exact(plane.inputs() * place).skip(first).zip(y.chunks_exact_mut(channel));
            for (c, (x, y)) in (first..).zip(rows) {
                self.pad(place, x, scratch);
                let window = Window {
                    weights: &weights[c * taps * F::WEIGHT..][..taps * F::WEIGHT],
                    noise: self.noise::<F>(pass, c),
                    start: F::weight(biases, c),
                    taps: [plane.y.kernel, plane.x.kernel],
                    first: 0,
                    steps: [plane.x.kernel, 1],
                    row: plane.x.stride * phase,
                    phases: plane.x.stride,
                    phase,
                    place,
                };
                for (oy, y) in y.chunks_exact_mut(plane.x.output * place).enumerate() {
                    slide::<F>(&window, &scratch[oy * plane.y.stride * window.row..], y);
                }
            }
        });
    }

    /// `dx[c][i] = Σ_t w[c][t]·dy[c][p]` over the outputs that see i through t, from the last tap to the first.
    #[cfg_attr(not(target_os = "none"), inline(never))]
    pub fn input_gradient<F: Form>(&self, pass: &Pass, weights: &[f32], dy: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
        let Plane { y: axis_y, x: axis_x } = &self.plane;
        let (place, taps, stride) = (pass.columns * F::COLUMN, self.plane.taps(), axis_x.stride);
        let wide = spread(axis_x) * place;
        let Parts { channels, count, scratch: own } = self.parts(place, scratch);
        let channel = self.plane.inputs() * place;
        let to = [&mut dx[..self.channels * channel], &mut scratch[..count * own], &mut []];
        pass.sharing.pieces_of_three(to, [channels * channel, own, 0], MOVE + taps, |part, [dx, scratch, _]| {
            let (plane, row) = scratch[..own].split_at_mut(spread(axis_y) * wide);
            plane.fill(0.0);
            let first = part * channels;
            let rows = dy.chunks_exact(self.plane.outputs() * place).skip(first).zip(dx.chunks_exact_mut(channel));
            for (c, (dy, dx)) in (first..).zip(rows) {
                for (dy, row) in dy.chunks_exact(axis_x.output * place).zip(plane[margin(axis_y) * wide..].chunks_exact_mut(wide)) {
                    row[margin(axis_x) * place..][..dy.len()].copy_from_slice(dy);
                }
                for (iy, dx) in dx.chunks_exact_mut(axis_x.input * place).enumerate() {
                    let (tap_y, rows, down) = seen_through(axis_y, iy);
                    for start in 0..stride.min(axis_x.input) {
                        let (tap_x, columns, right) = seen_through(axis_x, start);
                        let last = [tap_y + rows.saturating_sub(1) * axis_y.stride, tap_x + columns.saturating_sub(1) * stride];
                        let window = Window {
                            weights: &weights[c * taps * F::WEIGHT..][..taps * F::WEIGHT],
                            noise: self.noise::<F>(pass, c),
                            start: F::Value::default(),
                            taps: [rows, columns],
                            first: last[0] * axis_x.kernel + last[1],
                            steps: [(axis_y.stride * axis_x.kernel).wrapping_neg(), stride.wrapping_neg()],
                            row: wide,
                            phases: 1,
                            phase: 0,
                            place,
                        };
                        let from = &plane[down * wide + right * place..];
                        if stride == 1 {
                            slide::<F>(&window, from, dx);
                            continue;
                        }
                        let row = &mut row[..(axis_x.input - start).div_ceil(stride) * place];
                        slide::<F>(&window, from, row);
                        for (i, row) in row.chunks_exact(place).enumerate() {
                            dx[(start + i * stride) * place..][..place].copy_from_slice(row);
                        }
                    }
                }
            }
        });
    }

    /// `g[c][t] += Σ_p Σ_n dy[c][p][n]·x[c][p·stride + t - padding][n]`, and the biases' gradient.
    #[cfg_attr(not(target_os = "none"), inline(never))]
    pub fn weight_gradient<F: Form>(&self, pass: &Pass, x: &[f32], dy: &[f32], gradient: &mut [f32], scratch: &mut [f32]) {
        let plane = &self.plane;
        let (place, taps) = (pass.columns * F::COLUMN, plane.taps());
        let (weights, biases) = gradient.split_at_mut(self.channels * taps);
        let Parts { channels, count, scratch: own } = self.parts(place, scratch);
        let channel = plane.outputs() * place;
        let to = [weights, &mut scratch[..count * own], &mut biases[..self.channels]];
        pass.sharing.pieces_of_three(to, [channels * taps, own, channels], channel, |part, [weights, scratch, biases]| {
            let first = part * channels;
            bias_rows::<F>(pass, plane.outputs(), &dy[first * channel..], biases);
            let scratch = &mut scratch[..own];
            scratch.fill(0.0);
            let rows = x.chunks_exact(plane.inputs() * place).zip(dy.chunks_exact(channel)).skip(first);
            for ((x, dy), weights) in rows.zip(weights.chunks_exact_mut(taps)) {
                self.pad(place, x, scratch);
                let mut first = 0;
                while first < taps {
                    let weights = &mut weights[first..];
                    first += match taps - first {
                        9.. => self.tap_gradients::<F, 9>(pass, first, scratch, dy, weights),
                        5.. => self.tap_gradients::<F, 5>(pass, first, scratch, dy, weights),
                        3.. => self.tap_gradients::<F, 3>(pass, first, scratch, dy, weights),
                        _ => self.tap_gradients::<F, 1>(pass, first, scratch, dy, weights),
                    };
                }
            }
        });
    }

    /// The gradients of `TAPS` taps of one channel from `first` on; returns how many.
    #[inline(never)]
    fn tap_gradients<F: Form, const TAPS: usize>(&self, pass: &Pass, first: usize, x: &[f32], dy: &[f32], weights: &mut [f32]) -> usize {
        let Plane { y: axis_y, x: axis_x } = &self.plane;
        let place = pass.columns * F::COLUMN;
        let phase = dealt(axis_x) * place;
        let wide = axis_x.stride * phase;
        let round = PARTIAL / F::SAMPLES;
        let offsets: [usize; TAPS] = core::array::from_fn(|i| {
            let (ky, kx) = ((first + i) / axis_x.kernel, (first + i) % axis_x.kernel);
            ky * wide + kx % axis_x.stride * phase + kx / axis_x.stride * place
        });
        let mut partial = [[F::Value::default(); TAPS]; PARTIAL];
        for (p, partial) in partial[..round.min(pass.columns)].iter_mut().enumerate() {
            let mut sums = [F::Value::default(); TAPS];
            for (oy, dy) in dy.chunks_exact(axis_x.output * place).enumerate() {
                let rows = offsets.map(|offset| &x[oy * axis_y.stride * wide + offset..][..dy.len()]);
                // Columns of the same partial sum: all of a row, or every round-th of a place.
                let block = if round == 1 { dy.len() } else { place };
                for start in (0..dy.len()).step_by(block) {
                    let mut at = start + p * F::COLUMN;
                    while at < start + block {
                        let factor = F::Value::load(&dy[at..]);
                        for i in 0..TAPS {
                            sums[i] = factor.mul_add(F::Value::load(&rows[i][at..]), sums[i]);
                        }
                        at += round * F::COLUMN;
                    }
                }
            }
            *partial = sums;
        }
        for i in 0..TAPS {
            let mut sums = [F::Value::default(); PARTIAL];
            for (sum, partial) in sums[..round].iter_mut().zip(&partial) {
                *sum = partial[i];
            }
            add_members::<F>(pass, fold_lanes::<F>(&sums[..round]), &mut weights[i]);
        }
        TAPS
    }
}

/// Noise of rank 1 on the window of one channel: its part of `w[t]` is a factor of the channel times one of the tap.
#[derive(Clone, Copy)]
struct Noise<'a> {
    of_taps: Factors<'a>,
    of_channel: Factors<'a>,
    columns: usize,
}

/// The window of one channel, and how what it sees lies.
struct Window<'a, L> {
    weights: &'a [f32],
    noise: Option<Noise<'a>>,
    /// What the sums start from.
    start: L,
    /// Rows and columns of taps.
    taps: [usize; 2],
    /// The first tap's weight, and weights from tap to tap, down and to the right; steps back wrap around.
    first: usize,
    steps: [usize; 2],
    /// `f32`s from row to row, and from place to place of one phase.
    row: usize,
    place: usize,
    /// Phases by which a row is dealt, and `f32`s from one to the next.
    phases: usize,
    phase: usize,
}

/// One row of outputs `to`, its places side by side, from rows that begin with `from`.
#[inline(always)]
fn slide<F: Form>(window: &Window<F::Value>, from: &[f32], to: &mut [f32]) {
    let weights = window.weights;
    // With noise a member's weights are made as they are read.
    let Some(Noise { of_taps, of_channel, columns }) = window.noise else {
        return slide_tiles::<F, false>(window, from, to, |tap| F::weight(weights, tap));
    };
    if let (Some(t), Some(c)) = (of_taps.as_weights(), of_channel.as_weights()) {
        let c = F::weight(c, 0);
        return slide_tiles::<F, false>(window, from, to, |tap| c.mul_add(F::weight(t, tap), F::weight(weights, tap)));
    }
    // Where samples have members of their own, the places of a column have their weights in common.
    for column in 0..columns {
        let (from, to) = (&from[column * F::COLUMN..], &mut to[column * F::COLUMN..]);
        let c = of_channel.get::<F>(0, column, columns);
        let weight = |tap| c.mul_add(of_taps.get::<F>(tap, column, columns), F::weight(weights, tap));
        slide_tiles::<F, true>(window, from, to, weight);
    }
}

/// Every vector of a row, or with `APART` the first vector of every place; `weight(tap)` reads a weight.
#[inline(always)]
fn slide_tiles<F: Form, const APART: bool>(
    window: &Window<F::Value>,
    from: &[f32],
    to: &mut [f32],
    weight: impl Fn(usize) -> F::Value + Copy,
) {
    let mut at = 0;
    while at < to.len() {
        at += match (to.len() - at).div_ceil(if APART { window.place } else { F::COLUMN }) {
            8.. => slide_tile::<F, 8, APART>(window, at, from, to, weight),
            4.. => slide_tile::<F, 4, APART>(window, at, from, to, weight),
            _ => slide_tile::<F, 1, APART>(window, at, from, to, weight),
        };
    }
}

/// `WIDE` vectors of a row from `at` on; returns how many `f32`s. A function of its own, so that the sums have all registers to themselves.
#[inline(never)]
fn slide_tile<F: Form, const WIDE: usize, const APART: bool>(
    window: &Window<F::Value>,
    at: usize,
    from: &[f32],
    to: &mut [f32],
    weight: impl Fn(usize) -> F::Value,
) -> usize {
    let step = if APART { window.place } else { F::COLUMN };
    let mut sums = [window.start; WIDE];
    let [height, width] = window.taps;
    for y in 0..height {
        let (mut seen, mut phase) = (at + y * window.row, 0);
        let mut tap = window.first.wrapping_add(y.wrapping_mul(window.steps[0]));
        for _ in 0..width {
            let near = &from[seen..][..(WIDE - 1) * step + F::COLUMN];
            let factor = weight(tap);
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = factor.mul_add(F::Value::load(&near[j * step..]), *sum);
            }
            tap = tap.wrapping_add(window.steps[1]);
            (seen, phase) = (seen + window.phase, phase + 1);
            if phase == window.phases {
                (seen, phase) = (seen - phase * window.phase + window.place, 0);
            }
        }
    }
    let to = &mut to[at..][..(WIDE - 1) * step + F::COLUMN];
    for (j, sum) in sums.iter().enumerate() {
        sum.store(&mut to[j * step..]);
    }
    WIDE * step
}
