//! One sample alone, as a microcontroller has it: no vectors to run along, but eight neighbouring places, or all outputs of one place.

use super::Convolution;
use crate::form::Form;
use crate::kernels::window::Plane;
use crate::lane::{EIGHT, Lane};
use crate::perturbation::rank_one::Factors;

impl Convolution {
    /// [`Convolution::forward`] of one group for one sample alone; `patch` is scratch of [`Convolution::fan_in`].
    #[inline(always)]
    pub(super) fn forward_one<L: Lane>(&self, plane: &Plane, weights: &[f32], biases: &[f32], x: &[f32], y: &mut [f32], patch: &mut [f32]) {
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

    /// Adds to the outputs of one group for one sample alone what noise of rank 1 gives.
    pub(super) fn add_noise_one<F: Form>(&self, plane: &Plane, of_weights: &Factors, of_outputs: &Factors, x: &[f32], y: &mut [f32]) {
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
