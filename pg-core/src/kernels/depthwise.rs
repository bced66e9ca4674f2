//! Depthwise convolution: one window for each channel, forward, input gradient, weight gradient.
//!
//! A channel has few products for each number, so the tiles of [`convolution`](super::convolution) would be one row high. Here
//! 1. a channel's input is copied to a plane with its padding (scratch of one channel, which stays near), so that all places are alike;
//! 2. forward, a tile is eight vectors of one row: every weight is read once for them;
//! 3. the input gradient is the same pass over the output gradient with zeros between its places, the window turned round;
//! 4. the weight gradient takes up to nine taps at once: a vector of dy serves them all.

use super::sum::{add_members, bias_gradient, fold_lanes};
use super::window::Plane;
use crate::form::Form;
use crate::lane::{Lane, PARTIAL};
use crate::layers::Pass;

/// The sizes of a depthwise convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depthwise {
    pub channels: usize,
    pub plane: Plane,
}

/// The larger of two sizes.
const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

impl Depthwise {
    /// Places of scratch for one channel with its padding.
    pub const fn scratch(&self) -> usize {
        let Plane { y, x } = self.plane;
        let padded = (y.input + 2 * y.padding) * (x.input + 2 * x.padding);
        larger(padded, (y.input + y.kernel - 1) * (x.input + x.kernel - 1))
    }

    /// Writes a channel of x with its padding.
    fn pad(&self, place: usize, x: &[f32], to: &mut [f32]) {
        let Plane { y, x: axis } = self.plane;
        let (row, wide) = (axis.input * place, (axis.input + 2 * axis.padding) * place);
        to[..(y.input + 2 * y.padding) * wide].fill(0.0);
        for (from, to) in x.chunks_exact(row).zip(to[y.padding * wide..].chunks_exact_mut(wide)) {
            to[axis.padding * place..][..row].copy_from_slice(from);
        }
    }

    /// `y[c][p] = b[c] + Σ_t w[c][t]·x[c][p·stride + t - padding]`; parameters: `w[channel][row][column]`, then `b[channel]`.
    #[cfg_attr(not(target_os = "none"), inline(never))]
    pub fn forward<F: Form>(&self, pass: &Pass, parameters: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let plane = &self.plane;
        let (place, taps) = (pass.columns * F::COLUMN, plane.taps());
        let (weights, biases) = parameters.split_at(self.channels * taps * F::WEIGHT);
        let channels = x.chunks_exact(plane.inputs() * place).zip(y.chunks_exact_mut(plane.outputs() * place));
        for (c, (x, y)) in channels.enumerate() {
            self.pad(place, x, scratch);
            let window = Window {
                weights: &weights[c * taps * F::WEIGHT..],
                start: F::weight(biases, c),
                kernel: [plane.y.kernel, plane.x.kernel],
                turned: false,
            };
            let wide = (plane.x.input + 2 * plane.x.padding) * place;
            for (oy, y) in y.chunks_exact_mut(plane.x.output * place).enumerate() {
                slide::<F>(&window, pass.columns, plane.x.stride, &scratch[oy * plane.y.stride * wide..], wide, y);
            }
        }
    }

    /// `dx[c][i] = Σ_t w[c][t]·dy[c][p]` over the outputs that see i through t, from the last tap to the first.
    #[cfg_attr(not(target_os = "none"), inline(never))]
    pub fn input_gradient<F: Form>(&self, pass: &Pass, weights: &[f32], dy: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
        let Plane { y: axis_y, x: axis_x } = self.plane;
        let (place, taps) = (pass.columns * F::COLUMN, self.plane.taps());
        let wide = (axis_x.input + axis_x.kernel - 1) * place;
        let spread = &mut scratch[..(axis_y.input + axis_y.kernel - 1) * wide];
        let channels = dy.chunks_exact(self.plane.outputs() * place).zip(dx.chunks_exact_mut(self.plane.inputs() * place));
        for (c, (dy, dx)) in channels.enumerate() {
            spread.fill(0.0);
            for (oy, dy) in dy.chunks_exact(axis_x.output * place).enumerate() {
                let row = &mut spread[(oy * axis_y.stride + axis_y.kernel - 1 - axis_y.padding) * wide..][..wide];
                for (ox, dy) in dy.chunks_exact(place).enumerate() {
                    row[(ox * axis_x.stride + axis_x.kernel - 1 - axis_x.padding) * place..][..place].copy_from_slice(dy);
                }
            }
            let window = Window {
                weights: &weights[c * taps * F::WEIGHT..][..taps * F::WEIGHT],
                start: F::Value::default(),
                kernel: [axis_y.kernel, axis_x.kernel],
                turned: true,
            };
            for (iy, dx) in dx.chunks_exact_mut(axis_x.input * place).enumerate() {
                slide::<F>(&window, pass.columns, 1, &spread[iy * wide..], wide, dx);
            }
        }
    }

    /// `g[c][t] += Σ_p Σ_n dy[c][p][n]·x[c][p·stride + t - padding][n]`, and the biases' gradient.
    #[cfg_attr(not(target_os = "none"), inline(never))]
    pub fn weight_gradient<F: Form>(&self, pass: &Pass, x: &[f32], dy: &[f32], gradient: &mut [f32], scratch: &mut [f32]) {
        let plane = &self.plane;
        let (place, taps) = (pass.columns * F::COLUMN, plane.taps());
        let (weights, biases) = gradient.split_at_mut(self.channels * taps);
        bias_gradient::<F>(pass, plane.outputs(), dy, biases);
        let channels = x.chunks_exact(plane.inputs() * place).zip(dy.chunks_exact(plane.outputs() * place));
        for ((x, dy), weights) in channels.zip(weights.chunks_exact_mut(taps)) {
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
    }

    /// The gradients of `TAPS` taps of one channel from `first` on; returns how many.
    #[inline(never)]
    fn tap_gradients<F: Form, const TAPS: usize>(&self, pass: &Pass, first: usize, x: &[f32], dy: &[f32], weights: &mut [f32]) -> usize {
        let Plane { y: axis_y, x: axis_x } = self.plane;
        let place = pass.columns * F::COLUMN;
        let wide = (axis_x.input + 2 * axis_x.padding) * place;
        let round = PARTIAL / F::SAMPLES;
        let mut offsets = [0; TAPS];
        for (i, offset) in offsets.iter_mut().enumerate() {
            let tap = first + i;
            *offset = tap / axis_x.kernel * wide + tap % axis_x.kernel * place;
        }
        let mut partial = [[F::Value::default(); TAPS]; PARTIAL];
        for (p, partial) in partial[..round.min(pass.columns.max(1))].iter_mut().enumerate() {
            let mut sums = [F::Value::default(); TAPS];
            for (oy, dy) in dy.chunks_exact(axis_x.output * place).enumerate() {
                let x = &x[oy * axis_y.stride * wide..];
                for (ox, dy) in dy.chunks_exact(place).enumerate() {
                    let x = &x[ox * axis_x.stride * place..];
                    for column in (p..pass.columns).step_by(round) {
                        let at = column * F::COLUMN;
                        let factor = F::Value::load(&dy[at..]);
                        for i in 0..TAPS {
                            sums[i] = factor.mul_add(F::Value::load(&x[offsets[i] + at..]), sums[i]);
                        }
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

/// The window of one channel.
struct Window<'a, L> {
    weights: &'a [f32],
    /// What the sums start from.
    start: L,
    kernel: [usize; 2],
    /// Whether the taps are taken from the last to the first.
    turned: bool,
}

/// One row of outputs `to` from rows of `from`, which are `wide` `f32`s apart.
#[inline(always)]
fn slide<F: Form>(window: &Window<F::Value>, columns: usize, stride: usize, from: &[f32], wide: usize, to: &mut [f32]) {
    let vectors = to.len() / F::COLUMN;
    let mut vector = 0;
    while vector < vectors {
        let left = vectors - vector;
        let sizes = (columns, stride, wide, vector);
        vector += match left {
            8.. => slide_tile::<F, 8>(window, sizes, from, to),
            4.. => slide_tile::<F, 4>(window, sizes, from, to),
            _ => slide_tile::<F, 1>(window, sizes, from, to),
        };
    }
}

/// `WIDE` vectors of a row from `vector` on; returns how many.
#[inline(never)]
fn slide_tile<F: Form, const WIDE: usize>(
    window: &Window<F::Value>,
    (columns, stride, wide, vector): (usize, usize, usize, usize),
    from: &[f32],
    to: &mut [f32],
) -> usize {
    let mut offsets = [0; WIDE];
    for (j, offset) in offsets.iter_mut().enumerate() {
        let vector = vector + j;
        *offset = if stride == 1 { vector * F::COLUMN } else { (vector / columns * stride * columns + vector % columns) * F::COLUMN };
    }
    let [height, width] = window.kernel;
    let mut sums = [window.start; WIDE];
    for y in 0..height {
        for x in 0..width {
            let tap = y * width + x;
            let weight = F::weight(window.weights, if window.turned { height * width - 1 - tap } else { tap });
            let from = &from[y * wide + x * columns * F::COLUMN..];
            for j in 0..WIDE {
                sums[j] = weight.mul_add(F::Value::load(&from[offsets[j]..]), sums[j]);
            }
        }
    }
    for (sum, to) in sums.iter().zip(to[vector * F::COLUMN..].chunks_exact_mut(F::COLUMN)) {
        sum.store(to);
    }
    WIDE
}
