//! Convolution over images whose places are columns of lanes: forward, input gradient, weight gradient.
//!
//! `y[o][p] = b[o] + Σ_c Σ_t w[o][c][t]·x[c][p·stride + t - padding]`, p and t over rows and columns of image and window.
//! With samples (or members) innermost a row of outputs is a row of vectors, so there is nothing to gather. The optimisations:
//! 1. as in [`product`](super::product) a tile ([`tile`]) of rows (output channels) × vectors stays in registers, each sum one chain in the order
//!    channel, row, column of the window;
//! 2. padding is never stored: an output near the border has fewer taps. Rows have a range of taps; in a row the
//!    inner places share all taps and run as one, those at both ends are taken one by one;
//! 3. the input gradient of a stride is split by phase: inputs of one phase see every stride-th tap, and nothing multiplies a zero;
//! 4. the weight gradient's sums are vectors, too ([`weight_gradient`]): lanes (samples) are partial sums in the order of [`sum`](super::sum), folded once.
//!    Tiles are output channels × input channels of one tap, and a row of dy serves many taps while it is near;
//! 5. one sample alone ([`one`]), as a microcontroller has it, leaves no vectors to run along. Where the window moves by one, eight neighbouring places are
//!    the columns of a small product, a row of taps times a row of the input ([`Lane::multiply_add_tile`](crate::Lane::multiply_add_tile)). What any other place sees is copied
//!    to a row, with zeros beyond the border, which is a dense layer's input for all output channels ([`Lane::multiply_add_rows`](crate::Lane::multiply_add_rows)). The order of
//!    the terms is the same;
//! 6. noise of rank 1, `a[o]·t[c][t]` on every weight ([`rank_one`](crate::perturbation::rank_one)), is one more output channel with the window t.
//!    Forward, `u = t ⋆ x` waits where the first output will lie (of a group, or of the channels of it that a thread takes), and is the last term of every sum, `a[o]·u[p]`: the tile that writes
//!    over it comes last. Back, `v[p] = Σ_o a[o]·dy[o][p]` takes the place of the first channel of dy, which nobody needs any more, and its terms
//!    `t[c][t]·v[p]` go on where those of the weights have ended. Neither takes memory.

mod one;
mod tile;
mod weight_gradient;

use core::ops::Range;

use self::tile::{Run, Start, Terms, correlate, correlate_factors, sum_rows};
use super::window::{Axis, Plane};
use crate::form::Form;
use crate::layers::Pass;

/// The sizes of a convolution; channels are those of one group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    pub groups: usize,
    /// Input channels of a group.
    pub inputs: usize,
    /// Output channels of a group.
    pub outputs: usize,
    pub plane: Plane,
}

impl Convolution {
    /// Multiply-adds of the forward pass for a sample, padding not counted.
    pub const fn macs(&self) -> usize {
        let (mut y, mut x) = (0, 0);
        let mut tap = 0;
        while tap < self.plane.y.kernel {
            let seeing = self.plane.y.seeing(tap);
            y += seeing.end - seeing.start;
            tap += 1;
        }
        tap = 0;
        while tap < self.plane.x.kernel {
            let seeing = self.plane.x.seeing(tap);
            x += seeing.end - seeing.start;
            tap += 1;
        }
        y * x * self.groups * self.outputs * self.inputs
    }

    /// Weights of an output channel.
    pub const fn fan_in(&self) -> usize {
        self.inputs * self.plane.taps()
    }

    /// `parameters`: `w[group][output][input][row][column]`, then `b[group][output]`.
    #[cfg_attr(not(target_os = "none"), inline(never))]
    pub fn forward<F: Form>(&self, pass: &Pass, parameters: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let Self { groups, inputs, outputs, .. } = *self;
        let plane = self.plane.flattened();
        let place = pass.columns * F::COLUMN;
        let (weights, biases) = parameters.split_at(groups * outputs * self.fan_in() * F::WEIGHT);
        let taps = plane.x.kernel;
        let channel = plane.inputs() * place;
        for group in 0..groups {
            let weights = &weights[group * outputs * self.fan_in() * F::WEIGHT..];
            let biases = &biases[group * outputs * F::WEIGHT..];
            let x = &x[group * inputs * channel..][..inputs * channel];
            let y = &mut y[group * outputs * plane.outputs() * place..];
            if F::WEIGHT == 1 && place == 1 {
                let (weights, biases) = (&weights[..outputs * self.fan_in()], &biases[..outputs]);
                let y = &mut y[..outputs * plane.outputs()];
                self.forward_one::<F::Value>(&plane, weights, biases, x, y, scratch);
                if let Some(factors) = pass.noise::<F>() {
                    let of_outputs = factors.behind::<F>(self.fan_in() + group * outputs, 1);
                    self.add_noise_one::<F>(&plane, &factors, &of_outputs, x, y);
                }
                continue;
            }
            pass.sharing.pieces(&mut y[..outputs * plane.outputs() * place], plane.outputs() * place, self.fan_in(), |row, y| {
                let (weights, biases) = (&weights[row * self.fan_in() * F::WEIGHT..], &biases[row * F::WEIGHT..]);
                let rows = y.len() / (plane.outputs() * place);
                for oy in 0..plane.y.output {
                    for_runs(plane.x.output, plane.x.inside(), |first, places| {
                        let (xs, ys) = (plane.x.taps(first), plane.y.taps(oy));
                        let seen = plane.y.seen(oy, ys.start) * plane.x.input + plane.x.seen(first, xs.start);
                        let terms = Terms {
                            a: (weights, ys.start * taps + xs.start),
                            b: (x, seen * place),
                            count: [inputs, ys.len(), xs.len()],
                            a_row: self.fan_in(),
                            a_steps: [plane.taps(), taps, 1],
                            b_steps: [channel, plane.x.input * place, place],
                        };
                        let mut run = Run {
                            rows: 1,
                            places,
                            columns: pass.columns,
                            b_place: plane.x.stride * place,
                            place,
                            row: plane.outputs() * place,
                            start: Start::Zero,
                            last: None,
                            to: &mut y[(oy * plane.x.output + first) * place..],
                        };
                        if let Some(factors) = pass.noise::<F>() {
                            correlate_factors::<F>(&factors, &terms, &mut run);
                            run.last = Some(factors.behind::<F>(self.fan_in() + group * outputs + row, pass.columns));
                        }
                        correlate::<F>(&terms, &mut Run { rows, start: Start::Biases(biases), ..run });
                    });
                }
            });
        }
    }

    /// `dx[c][i] = Σ_o Σ_t w[o][c][t]·dy[o][p]` over the outputs p that see i through t, in the order output, row, column of the window. With
    /// noise dy is changed.
    #[cfg_attr(not(target_os = "none"), inline(never))]
    pub fn input_gradient<F: Form>(&self, pass: &Pass, weights: &[f32], dy: &mut [f32], dx: &mut [f32]) {
        let Self { groups, inputs, outputs, .. } = *self;
        let place = pass.columns * F::COLUMN;
        let (channel, input) = (self.plane.outputs() * place, self.plane.inputs() * place);
        for group in 0..groups {
            let weights = &weights[group * outputs * self.fan_in() * F::WEIGHT..];
            let dy = &mut dy[group * outputs * channel..][..outputs * channel];
            let dx = &mut dx[group * inputs * input..][..inputs * input];
            pass.sharing.pieces(dx, input, outputs * self.plane.taps(), |row, dx| {
                self.correlate_back::<F>(pass.columns, Start::Zero, outputs, dy, dx, |terms, run| {
                    correlate::<F>(&Terms { a: (weights, terms.a.1 + row * self.plane.taps()), ..*terms }, run)
                });
            });
            let Some(factors) = pass.noise::<F>() else { continue };
            let of_outputs = factors.behind::<F>(self.fan_in() + group * outputs, pass.columns);
            sum_rows::<F>(&of_outputs, pass.columns, channel, dy);
            pass.sharing.pieces(dx, input, self.plane.taps(), |row, dx| {
                self.correlate_back::<F>(pass.columns, Start::There, 1, dy, dx, |terms, run| {
                    let a = (terms.a.0, terms.a.1 + row * self.plane.taps());
                    correlate_factors::<F>(&factors, &Terms { a, ..*terms }, run)
                });
            });
        }
    }

    /// Visits the runs of an input gradient of some channels of one group from `outputs` channels of dy on, whose weights are `visit`'s matter.
    #[inline(always)]
    fn correlate_back<F: Form>(
        &self,
        columns: usize,
        start: Start,
        outputs: usize,
        dy: &[f32],
        dx: &mut [f32],
        mut visit: impl FnMut(&Terms, &mut Run),
    ) {
        let plane = self.plane.flattened();
        let place = columns * F::COLUMN;
        let (row, channel) = (plane.x.output * place, plane.outputs() * place);
        let stride = plane.x.stride;
        for iy in 0..plane.y.input {
            let (phase_y, first_y) = plane.y.phase(iy);
            let ys = plane.y.taps_back(first_y, plane.y.taps_in(phase_y));
            for offset in 0..stride.min(plane.x.input) {
                // The inputs offset, offset + stride, …: all of one phase, seen by neighbouring outputs.
                let (phase_x, first_x) = plane.x.phase(offset);
                let taps = plane.x.taps_in(phase_x);
                let count = (plane.x.input - offset).div_ceil(stride);
                let inside = inside_back(&plane.x, first_x, taps, count);
                for_runs(count, inside, |first, places| {
                    let xs = plane.x.taps_back(first_x + first, taps);
                    let tap = (phase_y + ys.start * plane.y.stride) * plane.x.kernel + phase_x + xs.start * stride;
                    let seen =
                        if ys.is_empty() || xs.is_empty() { 0 } else { (first_y - ys.start) * row + (first_x + first - xs.start) * place };
                    let terms = Terms {
                        a: (&[], tap),
                        b: (dy, seen),
                        count: [outputs, ys.len(), xs.len()],
                        a_row: plane.taps(),
                        a_steps: [self.fan_in(), plane.y.stride * plane.x.kernel, stride],
                        b_steps: [channel, row.wrapping_neg(), place.wrapping_neg()],
                    };
                    let mut run = Run {
                        rows: dx.len() / (plane.inputs() * place),
                        places,
                        columns,
                        b_place: place,
                        place: stride * place,
                        row: plane.inputs() * place,
                        start,
                        last: None,
                        to: &mut dx[(iy * plane.x.input + offset + first * stride) * place..],
                    };
                    visit(&terms, &mut run);
                });
            }
        }
    }
}

/// `visit(first, places)` for the places of a row: those at its ends one by one, those `inside` together.
#[inline(always)]
fn for_runs(places: usize, inside: Range<usize>, mut visit: impl FnMut(usize, usize)) {
    (0..inside.start).for_each(|place| visit(place, 1));
    if !inside.is_empty() {
        visit(inside.start, inside.len());
    }
    (inside.end..places).for_each(|place| visit(place, 1));
}

/// Of `count` inputs of one phase, the first of which `first` is the output behind: those that are seen through all `taps`.
const fn inside_back(axis: &Axis, first: usize, taps: usize, count: usize) -> Range<usize> {
    let start = taps.saturating_sub(1).saturating_sub(first);
    let end = axis.output.saturating_sub(first);
    let end = if end < count { end } else { count };
    let start = if start < end { start } else { end };
    start..end
}
