//! Convolution over images whose places are columns of lanes: forward, input gradient, weight gradient.
//!
//! `y[o][p] = b[o] + Σ_c Σ_t w[o][c][t]·x[c][p·stride + t - padding]`, p and t over rows and columns of image and window.
//! With samples (or members) innermost a row of outputs is a row of vectors, so there is nothing to gather. The optimisations:
//! 1. as in [`product`](super::product) a tile of rows (output channels) × vectors stays in registers, each sum one chain in the order
//!    channel, row, column of the window;
//! 2. padding is never stored: an output near the border has fewer taps. Rows have a range of taps; in a row the
//!    inner places share all taps and run as one, those at both ends are taken one by one;
//! 3. the input gradient of a stride is split by phase: inputs of one phase see every stride-th tap, and nothing multiplies a zero;
//! 4. the weight gradient's sums are vectors, too: lanes (samples) are partial sums in the order of [`sum`](super::sum), folded once.
//!    Tiles are output channels × input channels of one tap, and a row of dy serves many taps while it is near;
//! 5. one sample alone, as a microcontroller has it, leaves no vectors to run along. Where the window moves by one, eight neighbouring places are
//!    the columns of a small product, a row of taps times a row of the input ([`Lane::multiply_add_tile`]). What any other place sees is copied
//!    to a row, with zeros beyond the border, which is a dense layer's input for all output channels ([`Lane::multiply_add_rows`]). The order of
//!    the terms is the same.
//!
//! Tried and dropped: nothing yet that deserves a line.

use super::sum::{add_members, bias_gradient, fold_lanes};
use super::window::{Axis, Plane};
use crate::form::Form;
use crate::lane::{EIGHT, Lane, PARTIAL};
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

/// Sums of products `Σ a[row][term]·b[term][vector]` for some rows and a run of vectors.
struct Terms<'a> {
    /// Weights, and where the first term of the first row lies.
    a: (&'a [f32], usize),
    /// Activations, and where the first term of the first vector lies.
    b: (&'a [f32], usize),
    /// How many terms: channels, rows and columns of the window.
    count: [usize; 3],
    /// Weights from row to row of the sums, and from term to term in the three directions.
    a_row: usize,
    a_steps: [usize; 3],
    /// `f32`s from term to term; steps back wrap around.
    b_steps: [usize; 3],
}

/// Where the vectors of a run lie, and where their sums go.
struct Run<'a> {
    rows: usize,
    places: usize,
    /// Vectors of a place.
    columns: usize,
    /// `f32`s from place to place in b, and in the sums.
    b_place: usize,
    place: usize,
    /// `f32`s from row to row of the sums.
    row: usize,
    /// What the sums start from; zero without it.
    biases: Option<&'a [f32]>,
    to: &'a mut [f32],
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
                self.forward_one::<F::Value>(&plane, weights, biases, x, &mut y[..outputs * plane.outputs()], scratch);
                continue;
            }
            for oy in 0..plane.y.output {
                let ys = plane.y.taps(oy);
                for_runs(plane.x.output, plane.x.inside(), |first, places| {
                    let xs = plane.x.taps(first);
                    let seen = plane.y.seen(oy, ys.start) * plane.x.input + plane.x.seen(first, xs.start);
                    let terms = Terms {
                        a: (weights, ys.start * taps + xs.start),
                        b: (x, seen * place),
                        count: [inputs, ys.len(), xs.len()],
                        a_row: self.fan_in(),
                        a_steps: [plane.taps(), taps, 1],
                        b_steps: [channel, plane.x.input * place, place],
                    };
                    let run = Run {
                        rows: outputs,
                        places,
                        columns: pass.columns,
                        b_place: plane.x.stride * place,
                        place,
                        row: plane.outputs() * place,
                        biases: Some(biases),
                        to: &mut y[(oy * plane.x.output + first) * place..],
                    };
                    correlate::<F>(&terms, run);
                });
            }
        }
    }

    /// [`Convolution::forward`] of one group for one sample alone; `patch` is scratch of [`Convolution::fan_in`].
    #[inline(always)]
    fn forward_one<L: Lane>(&self, plane: &Plane, weights: &[f32], biases: &[f32], x: &[f32], y: &mut [f32], patch: &mut [f32]) {
        let (fan_in, kernel) = (self.fan_in(), [plane.y.kernel, plane.x.kernel]);
        let patch = &mut patch[..fan_in];
        // The places that see all taps of a row, when neighbours see neighbours.
        let inside = if plane.x.stride == 1 { plane.x.inside() } else { 0..0 };
        for oy in 0..plane.y.output {
            let ys = plane.y.taps(oy);
            let mut ox = 0;
            while ox < plane.x.output {
                let xs = plane.x.taps(ox);
                let together = inside.start <= ox && ox + EIGHT <= inside.end;
                let seen = Seen {
                    x,
                    first: plane.y.seen(oy, ys.start) * plane.x.input + plane.x.seen(ox, xs.start),
                    tap: ys.start * kernel[1] + xs.start,
                    count: [self.inputs, ys.len(), xs.len() + if together { EIGHT - 1 } else { 0 }],
                    x_steps: [plane.inputs(), plane.x.input],
                    tap_steps: [plane.taps(), kernel[1]],
                };
                let y = &mut y[oy * plane.x.output + ox..];
                if together {
                    eight_places::<L>(weights, biases, &seen, y, plane.outputs());
                    ox += EIGHT;
                    continue;
                }
                ox += 1;
                let border = [ys.len(), xs.len()] != kernel;
                if border {
                    patch.fill(0.0);
                }
                seen.for_runs(|tap, run| patch[tap..].iter_mut().zip(run).for_each(|(to, x)| *to = *x));
                products::<L>(weights, biases, patch, y, plane.outputs());
                if border {
                    // A zero that is not there can change nothing but the sign of a zero, or make NaN of infinity: such sums are taken again.
                    for ((y, row), &bias) in y.iter_mut().step_by(plane.outputs()).zip(weights.chunks_exact(fan_in)).zip(biases) {
                        if *y == 0.0 || y.is_nan() {
                            *y = seen.chain::<L>(row, bias);
                        }
                    }
                }
            }
        }
    }

    /// `dx[c][i] = Σ_o Σ_t w[o][c][t]·dy[o][p]` over the outputs p that see i through t, in the order output, row, column of the window.
    #[cfg_attr(not(target_os = "none"), inline(never))]
    pub fn input_gradient<F: Form>(&self, pass: &Pass, weights: &[f32], dy: &[f32], dx: &mut [f32]) {
        let Self { groups, inputs, outputs, .. } = *self;
        let plane = self.plane.flattened();
        let place = pass.columns * F::COLUMN;
        let (row, channel) = (plane.x.output * place, plane.outputs() * place);
        let stride = plane.x.stride;
        for group in 0..groups {
            let weights = &weights[group * outputs * self.fan_in() * F::WEIGHT..];
            let dy = &dy[group * outputs * channel..][..outputs * channel];
            let dx = &mut dx[group * inputs * plane.inputs() * place..];
            for iy in 0..plane.y.input {
                let (phase_y, first_y) = plane.y.phase(iy);
                let ys = plane.y.taps_back(first_y, plane.y.taps_in(phase_y));
                for start in 0..stride.min(plane.x.input) {
                    // The inputs start, start + stride, …: all of one phase, seen by neighbouring outputs.
                    let (phase_x, first_x) = plane.x.phase(start);
                    let taps = plane.x.taps_in(phase_x);
                    let count = (plane.x.input - start).div_ceil(stride);
                    let inside = inside_back(&plane.x, first_x, taps, count);
                    for_runs(count, inside, |first, places| {
                        let xs = plane.x.taps_back(first_x + first, taps);
                        let tap = (phase_y + ys.start * plane.y.stride) * plane.x.kernel + phase_x + xs.start * stride;
                        let seen = if ys.is_empty() || xs.is_empty() {
                            0
                        } else {
                            (first_y - ys.start) * row + (first_x + first - xs.start) * place
                        };
                        let terms = Terms {
                            a: (weights, tap),
                            b: (dy, seen),
                            count: [outputs, ys.len(), xs.len()],
                            a_row: plane.taps(),
                            a_steps: [self.fan_in(), plane.y.stride * plane.x.kernel, stride],
                            b_steps: [channel, row.wrapping_neg(), place.wrapping_neg()],
                        };
                        let run = Run {
                            rows: inputs,
                            places,
                            columns: pass.columns,
                            b_place: place,
                            place: stride * place,
                            row: plane.inputs() * place,
                            biases: None,
                            to: &mut dx[(iy * plane.x.input + start + first * stride) * place..],
                        };
                        correlate::<F>(&terms, run);
                    });
                }
            }
        }
    }

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
            flat.weight_tiles::<F>(pass, x, dy, weights);
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

/// What one place sees of one sample: runs along the rows of the input.
struct Seen<'a> {
    x: &'a [f32],
    /// Where the first run begins, and the tap that its first number goes through.
    first: usize,
    tap: usize,
    /// Channels, rows, and how long a run is.
    count: [usize; 3],
    /// From channel to channel and from row to row.
    x_steps: [usize; 2],
    tap_steps: [usize; 2],
}

impl Seen<'_> {
    /// `visit(tap, run)` in the order channel, row.
    #[inline(always)]
    fn for_runs(&self, mut visit: impl FnMut(usize, &[f32])) {
        let [channels, rows, length] = self.count;
        for c in 0..channels {
            for row in 0..rows {
                let first = self.first + c * self.x_steps[0] + row * self.x_steps[1];
                visit(self.tap + c * self.tap_steps[0] + row * self.tap_steps[1], &self.x[first..][..length]);
            }
        }
    }

    /// `b + Σ w[tap]·x[tap]`.
    fn chain<L: Lane>(&self, row: &[f32], bias: f32) -> f32 {
        let mut sum = L::splat(bias);
        self.for_runs(|tap, run| {
            sum = row[tap..].iter().zip(run).fold(sum, |sum, (&w, &x)| L::splat(w).mul_add(L::splat(x), sum));
        });
        sum.lane(0)
    }
}

/// `y[o·step + place] = b[o] + Σ w[o][tap]·x[tap + place]` for eight neighbouring places and all outputs, two at a time. A row that is seen is seven
/// numbers longer than the taps.
#[inline(never)]
fn eight_places<L: Lane>(weights: &[f32], biases: &[f32], seen: &Seen, y: &mut [f32], step: usize) {
    let fan_in = weights.len() / biases.len();
    for o in (0..biases.len()).step_by(2) {
        // A last row without another is computed twice.
        let pair = [o, (o + 1).min(biases.len() - 1)];
        let rows = pair.map(|o| &weights[o * fan_in..][..fan_in]);
        let mut sums = pair.map(|o| [L::splat(biases[o]); EIGHT]);
        seen.for_runs(|tap, run| {
            L::multiply_add_tile(rows.map(|row| &row[tap..]), 1, run, 1, run.len() + 1 - EIGHT, &mut sums);
        });
        for (o, sums) in pair.into_iter().zip(sums) {
            y[o * step..][..EIGHT].iter_mut().zip(sums).for_each(|(y, sum)| *y = sum.lane(0));
        }
    }
}

/// `y[o·step] = b[o] + Σ w[o][tap]·x[tap]` for all outputs, four at a time; the last four may be some of those before once more. A function of
/// its own, so that a microcontroller's few registers are its own.
#[inline(never)]
fn products<L: Lane>(weights: &[f32], biases: &[f32], x: &[f32], y: &mut [f32], step: usize) {
    let row = |o: usize| &weights[o * x.len()..][..x.len()];
    let mut o = 0;
    while o < biases.len() {
        if biases.len() < 4 {
            y[o * step] = row(o).iter().zip(x).fold(L::splat(biases[o]), |sum, (&w, &x)| L::splat(w).mul_add(L::splat(x), sum)).lane(0);
            o += 1;
            continue;
        }
        o = o.min(biases.len() - 4);
        let mut sums = [L::splat(biases[o]), L::splat(biases[o + 1]), L::splat(biases[o + 2]), L::splat(biases[o + 3])];
        L::multiply_add_rows([row(o), row(o + 1), row(o + 2), row(o + 3)], x, &mut sums);
        for sum in sums {
            y[o * step] = sum.lane(0);
            o += 1;
        }
    }
}

/// `visit(first, places)` for the places of a row: those at its ends one by one, those `inside` together.
#[inline(always)]
fn for_runs(places: usize, inside: core::ops::Range<usize>, mut visit: impl FnMut(usize, usize)) {
    (0..inside.start).for_each(|place| visit(place, 1));
    if !inside.is_empty() {
        visit(inside.start, inside.len());
    }
    (inside.end..places).for_each(|place| visit(place, 1));
}

/// Of `count` inputs of one phase, the first of which `first` is the output behind: those that are seen through all `taps`.
const fn inside_back(axis: &Axis, first: usize, taps: usize, count: usize) -> core::ops::Range<usize> {
    let start = taps.saturating_sub(1).saturating_sub(first);
    let end = axis.output.saturating_sub(first);
    let end = if end < count { end } else { count };
    let start = if start < end { start } else { end };
    start..end
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

/// Forms the sums of a run, tile by tile.
#[inline(always)]
fn correlate<F: Form>(terms: &Terms, mut run: Run) {
    let vectors = run.places * run.columns;
    let mut vector = 0;
    while vector < vectors {
        let left = vectors - vector;
        vector += if F::COLUMN >= 16 {
            match left {
                4.. => bands::<F, 6, 4>(terms, &mut run, vector),
                2.. => bands::<F, 6, 2>(terms, &mut run, vector),
                _ => bands::<F, 6, 1>(terms, &mut run, vector),
            }
        } else if F::COLUMN > 1 {
            match left {
                2.. => bands::<F, 6, 2>(terms, &mut run, vector),
                _ => bands::<F, 6, 1>(terms, &mut run, vector),
            }
        } else {
            match left {
                4.. => bands::<F, 4, 4>(terms, &mut run, vector),
                _ => bands::<F, 4, 1>(terms, &mut run, vector),
            }
        };
    }
}

/// Tiles of at most `HIGH` rows below each other, the rows dealt evenly; returns the width.
#[inline(always)]
fn bands<F: Form, const HIGH: usize, const WIDE: usize>(terms: &Terms, run: &mut Run, vector: usize) -> usize {
    let tiles = run.rows.div_ceil(HIGH);
    let mut row = 0;
    for tile in 0..tiles {
        let rows = (run.rows - row).div_ceil(tiles - tile);
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
        row += rows;
    }
    WIDE
}

/// One tile; `CLOSE` says that the places of b lie side by side. A function of its own, so that the sums have all registers to themselves.
#[inline(never)]
fn tile_of<F: Form, const ROWS: usize, const WIDE: usize, const CLOSE: bool>(terms: &Terms, run: &mut Run, row: usize, vector: usize) {
    let mut sums = [[F::Value::default(); WIDE]; ROWS];
    if let Some(biases) = run.biases {
        for (r, sums) in sums.iter_mut().enumerate() {
            sums.fill(F::weight(biases, row + r));
        }
    }
    let offset = |vector: usize, place: usize| vector / run.columns * place + vector % run.columns * F::COLUMN;
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
    for (r, sums) in sums.iter().enumerate() {
        for (sum, offset) in sums.iter().zip(offsets) {
            sum.store(&mut run.to[(row + r) * run.row + offset..]);
        }
    }
}
