//! The weight gradient: tiles of output channels × input channels of one tap, sums in lanes, folded once.

use super::Convolution;
use crate::form::Form;
use crate::kernels::sum::{add_members, bias_gradient, fold_lanes};
use crate::kernels::window::Plane;
use crate::lane::{Lane, PARTIAL};
use crate::layers::Pass;

impl Convolution {
    /// `g[o][c][t] += Σ_p Σ_n dy[o][p][n]·x[c][p·stride + t - padding][n]` in the order of [`sum`](super::sum::sum) with one partial sum
    /// for the places; and the biases' gradient.
    #[cfg_attr(not(target_os = "none"), inline(never))]
    pub fn weight_gradient<F: Form>(&self, pass: &Pass, x: &[f32], dy: &[f32], gradient: &mut [f32]) {
        let Self { groups, inputs, outputs, .. } = *self;
        let (weights, biases) = gradient.split_at_mut(groups * outputs * self.fan_in());
        bias_gradient::<F>(pass, self.plane.outputs(), dy, biases);
        let flat = Self { plane: self.plane.flattened(), ..*self };
        let place = pass.columns * F::COLUMN;
        for group in 0..groups {
            let x = &x[group * inputs * flat.plane.inputs() * place..][..inputs * flat.plane.inputs() * place];
            let dy = &dy[group * outputs * flat.plane.outputs() * place..][..outputs * flat.plane.outputs() * place];
            let weights = &mut weights[group * outputs * self.fan_in()..][..outputs * self.fan_in()];
            let channel = flat.plane.outputs() * place;
            pass.sharing.pieces(weights, self.fan_in(), channel, |row, weights| {
                let some = Self { outputs: weights.len() / self.fan_in(), ..flat };
                some.weight_tiles::<F>(pass, x, &dy[row * channel..], weights);
            });
        }
    }

    /// The weight gradient of one group, tile by tile.
    fn weight_tiles<F: Form>(&self, pass: &Pass, x: &[f32], dy: &[f32], weights: &mut [f32]) {
        let mut input = 0;
        while input < self.inputs {
            // As many input channels as the registers take.
            let (wide, high) = widest_tile::<F::Value>(self.inputs - input, self.outputs);
            let mut output = 0;
            for tile in 0..self.outputs.div_ceil(high) {
                let rows = (self.outputs - output).div_ceil(self.outputs.div_ceil(high) - tile);
                let at = [output, input];
                macro_rules! shapes {
                    ($($rows:literal)*) => {
                        match (rows, wide) {
                            $(($rows, 4) if F::COLUMN != 8 && F::COLUMN != 4 => self.weight_tile::<F, $rows, 4>(pass, at, x, dy, weights),)*
                            $(($rows, 2) => self.weight_tile::<F, $rows, 2>(pass, at, x, dy, weights),)*
                            $(($rows, _) => self.weight_tile::<F, $rows, 1>(pass, at, x, dy, weights),)*
                            _ => {}
                        }
                    };
                }
                shapes!(1 2 3 4 5 6);
                output += rows;
            }
            input += wide;
        }
    }

    /// The gradient of `ROWS` output channels × `WIDE` input channels from `at` on, for all taps.
    #[inline(never)]
    fn weight_tile<F: Form, const ROWS: usize, const WIDE: usize>(
        &self,
        pass: &Pass,
        at: [usize; 2],
        x: &[f32],
        dy: &[f32],
        weights: &mut [f32],
    ) {
        let Plane { y: axis_y, x: axis_x } = self.plane;
        let place = pass.columns * F::COLUMN;
        let round = PARTIAL / F::SAMPLES;
        let taps_at_once = PARTIAL / round;
        let taps = self.plane.taps();
        for first in (0..taps).step_by(taps_at_once) {
            let chunk = taps_at_once.min(taps - first);
            let mut sums = [[[F::Value::default(); WIDE]; ROWS]; PARTIAL];
            for oy in 0..axis_y.output {
                for tap in first..first + chunk {
                    let (ky, kx) = (tap / axis_x.kernel, tap % axis_x.kernel);
                    let seeing = axis_x.seeing(kx);
                    if !axis_y.taps(oy).contains(&ky) || seeing.is_empty() {
                        continue;
                    }
                    let (iy, ix) = (axis_y.seen(oy, ky), axis_x.seen(seeing.start, kx));
                    let mut left = [dy; ROWS];
                    for (r, left) in left.iter_mut().enumerate() {
                        let start = (at[0] + r) * self.plane.outputs() + oy * axis_x.output + seeing.start;
                        *left = &dy[start * place..][..seeing.len() * place];
                    }
                    let mut right = [x; WIDE];
                    for (j, right) in right.iter_mut().enumerate() {
                        let start = (at[1] + j) * self.plane.inputs() + iy * axis_x.input + ix;
                        *right = &x[start * place..][..((seeing.len() - 1) * axis_x.stride + 1) * place];
                    }
                    let slot = (tap - first) * round;
                    if round == 1 && axis_x.stride == 1 {
                        along::<F::Value, ROWS, WIDE>(left, right, &mut sums[slot]);
                        continue;
                    }
                    for p in 0..round.min(pass.columns) {
                        let columns = (p, pass.columns, round);
                        across::<F::Value, ROWS, WIDE>(seeing.len(), columns, axis_x.stride, left, right, &mut sums[slot + p]);
                    }
                }
            }
            for tap in first..first + chunk {
                let slots = &sums[(tap - first) * round..][..round];
                for (r, j) in (0..ROWS).flat_map(|r| (0..WIDE).map(move |j| (r, j))) {
                    let mut partial = [F::Value::default(); PARTIAL];
                    for (partial, sums) in partial.iter_mut().zip(slots) {
                        *partial = sums[r][j];
                    }
                    let index = ((at[0] + r) * self.inputs + at[1] + j) * taps + tap;
                    add_members::<F>(pass, fold_lanes::<F>(&partial[..round]), &mut weights[index]);
                }
            }
        }
    }
}

/// How many input channels, and how many output channels at most, make a tile of the weight gradient.
const fn widest_tile<L: Lane>(inputs: usize, _outputs: usize) -> (usize, usize) {
    if L::LANES >= 16 {
        match inputs {
            4.. => (4, 6),
            2.. => (2, 6),
            _ => (1, 6),
        }
    } else if L::LANES > 1 {
        match inputs {
            2.. => (2, 6),
            _ => (1, 6),
        }
    } else {
        match inputs {
            4.. => (4, 4),
            2.. => (2, 4),
            _ => (1, 4),
        }
    }
}

/// `sums[r][j] += Σ left[r][k]·right[j][k]` over the vectors of equally long rows.
#[inline(always)]
fn along<L: Lane, const ROWS: usize, const WIDE: usize>(left: [&[f32]; ROWS], right: [&[f32]; WIDE], out: &mut [[L; WIDE]; ROWS]) {
    let mut sums = *out;
    let length = left[0].len();
    let mut k = 0;
    while k + L::LANES <= length {
        multiply_add_vectors(left, k, right, k, &mut sums);
        k += L::LANES;
    }
    *out = sums;
}

/// The same over `places` places and the columns `(first, columns, step)` of each, the right row's places `stride` apart.
#[inline(always)]
fn across<L: Lane, const ROWS: usize, const WIDE: usize>(
    places: usize,
    (first, columns, step): (usize, usize, usize),
    stride: usize,
    left: [&[f32]; ROWS],
    right: [&[f32]; WIDE],
    out: &mut [[L; WIDE]; ROWS],
) {
    let mut sums = *out;
    for place in 0..places {
        let mut column = first;
        while column < columns {
            let (a, b) = ((place * columns + column) * L::LANES, (place * stride * columns + column) * L::LANES);
            multiply_add_vectors(left, a, right, b, &mut sums);
            column += step;
        }
    }
    *out = sums;
}

/// Adds the products of the vectors at `a` of the left rows and at `b` of the right rows.
#[inline(always)]
fn multiply_add_vectors<L: Lane, const ROWS: usize, const WIDE: usize>(
    left: [&[f32]; ROWS],
    a: usize,
    right: [&[f32]; WIDE],
    b: usize,
    sums: &mut [[L; WIDE]; ROWS],
) {
    let mut vectors = [L::default(); WIDE];
    for (vector, right) in vectors.iter_mut().zip(right) {
        *vector = L::load(&right[b..]);
    }
    for (sums, left) in sums.iter_mut().zip(left) {
        let factor = L::load(&left[a..]);
        for (sum, &vector) in sums.iter_mut().zip(&vectors) {
            *sum = factor.mul_add(vector, *sum);
        }
    }
}
