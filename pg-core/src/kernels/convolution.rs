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
//!    the terms is the same;
//! 6. noise of rank 1, `a[o]·t[c][t]` on every weight ([`rank_one`](crate::perturbation::rank_one)), is one more output channel with the window t.
//!    Forward, `u = t ⋆ x` waits where the group's first output will lie, and is the last term of every sum, `a[o]·u[p]`: the tile that writes
//!    over it comes last. Back, `v[p] = Σ_o a[o]·dy[o][p]` takes the place of the first channel of dy, which nobody needs any more, and its terms
//!    `t[c][t]·v[p]` go on where those of the weights have ended. Neither takes memory.
//!
//! Tried and dropped: nothing yet that deserves a line.

use super::sum::{add_members, bias_gradient, fold_lanes};
use super::window::{Axis, Plane};
use crate::form::Form;
use crate::lane::{EIGHT, Lane, PARTIAL};
use crate::layers::Pass;
use crate::perturbation::rank_one::Factors;

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
#[derive(Clone, Copy)]
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
    start: Start<'a>,
    /// Factors of the rows: what lies where the first row's sums go, times these, is the last term of every sum.
    last: Option<Factors<'a>>,
    to: &'a mut [f32],
}

/// What sums start from.
#[derive(Clone, Copy)]
enum Start<'a> {
    Zero,
    /// A number for each row.
    Biases(&'a [f32]),
    /// What lies where they go.
    There,
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
                        run.last = Some(factors.behind::<F>(self.fan_in() + group * outputs, pass.columns));
                    }
                    correlate::<F>(&terms, &mut Run { rows: outputs, start: Start::Biases(biases), ..run });
                });
            }
        }
    }

    /// Adds to the outputs of one group for one sample alone what noise of rank 1 gives.
    fn add_noise_one<F: Form>(&self, plane: &Plane, of_weights: &Factors, of_outputs: &Factors, x: &[f32], y: &mut [f32]) {
        for oy in 0..plane.y.output {
            for ox in 0..plane.x.output {
                let seen = self.seen(plane, x, oy, ox);
                let mut u = F::Value::default();
                seen.for_runs(|tap, run| {
                    u = run.iter().zip(tap..).fold(u, |u, (&x, tap)| of_weights.get::<F>(tap, 0, 1).mul_add(F::Value::splat(x), u));
                });
                for (o, y) in y[oy * plane.x.output + ox..].iter_mut().step_by(plane.outputs()).enumerate() {
                    *y = of_outputs.get::<F>(o, 0, 1).mul_add(u, F::Value::splat(*y)).lane(0);
                }
            }
        }
    }

    /// What the place (oy, ox) of the output sees of one sample alone.
    #[inline(always)]
    fn seen<'a>(&self, plane: &Plane, x: &'a [f32], oy: usize, ox: usize) -> Seen<'a> {
        let (ys, xs) = (plane.y.taps(oy), plane.x.taps(ox));
        Seen {
            x,
            first: plane.y.seen(oy, ys.start) * plane.x.input + plane.x.seen(ox, xs.start),
            tap: ys.start * plane.x.kernel + xs.start,
            count: [self.inputs, ys.len(), xs.len()],
            x_steps: [plane.inputs(), plane.x.input],
            tap_steps: [plane.taps(), plane.x.kernel],
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
            let mut ox = 0;
            while ox < plane.x.output {
                let mut seen = self.seen(plane, x, oy, ox);
                let y = &mut y[oy * plane.x.output + ox..];
                if inside.start <= ox && ox + EIGHT <= inside.end {
                    seen.count[2] += EIGHT - 1;
                    eight_places::<L>(weights, biases, &seen, y, plane.outputs());
                    ox += EIGHT;
                    continue;
                }
                ox += 1;
                let border = seen.count[1..] != kernel;
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
            let dx = &mut dx[group * inputs * input..];
            self.correlate_back::<F>(pass.columns, Start::Zero, outputs, dy, dx, |terms, run| {
                correlate::<F>(&Terms { a: (weights, terms.a.1), ..*terms }, run)
            });
            let Some(factors) = pass.noise::<F>() else { continue };
            let of_outputs = factors.behind::<F>(self.fan_in() + group * outputs, pass.columns);
            sum_rows::<F>(&of_outputs, pass.columns, channel, dy);
            self.correlate_back::<F>(pass.columns, Start::There, 1, dy, dx, |terms, run| correlate_factors::<F>(&factors, terms, run));
        }
    }

    /// Visits the runs of an input gradient of one group from `outputs` channels of dy on, whose weights are `visit`'s matter.
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
                        rows: self.inputs,
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

/// `rows[0][p] = Σ_r a[r]·rows[r][p]` for rows of `length` `f32`s.
fn sum_rows<F: Form>(a: &Factors, columns: usize, length: usize, rows: &mut [f32]) {
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

/// Forms the sums of a run with `factors` for weights.
#[inline(always)]
fn correlate_factors<F: Form>(factors: &Factors, terms: &Terms, run: &mut Run) {
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

/// Forms the sums of a run, tile by tile.
#[inline(always)]
fn correlate<F: Form>(terms: &Terms, run: &mut Run) {
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
