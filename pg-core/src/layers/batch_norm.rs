//! Batch normalisation (Ioffe and Szegedy, 2015): each channel to mean 0 and variance 1 over a batch, then a gain and a bias of its own.
//!
//! In training every member of a population normalises with the statistics of its own batch, also where members on factors divide a batch and
//! run side by side: sums are then over the places of each sample, then over the samples of each member in order. The running statistics, which
//! inference uses, are never touched by a member: [`Layer::estimate`] measures them with the central parameters. They are the mean and the
//! variance (divided by n) of all samples that were measured, merged batch by batch (Chan, Golub and LeVeque, 1979).
//!
//! With fixed statistics a batch norm is linear. Behind a layer with weights that nobody else reads it goes into these in a network that only
//! infers, a [`Folded`](crate::network::Folded) one, and is the identity from then on, without parameters, activations or arithmetic.

use core::fmt;

use crate::floats::Floats;
use crate::form::Form;
use crate::kernels::sum::{add_members, lane_sum, sum};
use crate::lane::Lane;
use crate::layers::{Buffers, Layer, Mode, Part, Pass, Segment, SegmentKind};
use crate::population::part;
use crate::shape::{Shape, Shaped};
use crate::sharing::MOVE;

/// Added to a variance, as in PyTorch and ONNX.
const EPSILON: f32 = 1e-5;

/// `y = gain·(x - mean) / √(variance + 1e-5) + bias`, channel by channel.
///
/// Parameters: `gain[C]`, `bias[C]`, then the running `mean[C]` and `variance[C]`. A batch of one value per channel has the variance 0: its
/// output is the bias, and nothing but the bias learns from it.
pub struct BatchNorm;

/// The sizes of a pass.
struct Sizes<'a> {
    pass: &'a Pass<'a>,
    channels: usize,
    places: usize,
}

/// What a channel is normalised by.
#[derive(Clone, Copy)]
struct Statistics<L> {
    mean: L,
    variance: L,
}

impl<L: Lane> Statistics<L> {
    fn inverse_deviation(&self) -> L {
        L::splat(1.0) / (self.variance + L::splat(EPSILON)).sqrt()
    }
}

impl<In: Shaped> Layer<In> for BatchNorm {
    const OUT: Shape = In::SHAPE;
    const PARAMS: usize = if is_folded::<In>() { 0 } else { 4 * In::SHAPE.channels };
    const STORED: usize = 4 * In::SHAPE.channels;
    const STATISTICS: usize = if is_folded::<In>() { 0 } else { 2 * In::SHAPE.channels };
    const TAPE: usize = if is_folded::<In>() { 0 } else { 2 * In::SHAPE.channels + In::SHAPE.len() };
    // Of a channel, two numbers for each sample.
    const SCRATCH: usize = if is_folded::<In>() { 0 } else { 2 };
    const MACS: usize = if is_folded::<In>() { 0 } else { In::SHAPE.len() };
    const SWAPS: Option<bool> = Some(false);
    const WHOLE_BATCH: bool = !is_folded::<In>();
    const SIDE_BY_SIDE: bool = true;

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        to.write_str("BatchNorm")
    }

    fn segments(offset: usize, _: crate::layers::Activation, visit: &mut dyn FnMut(Segment)) {
        if is_folded::<In>() {
            return;
        }
        let channels = In::SHAPE.channels;
        let kinds = [SegmentKind::Gain, SegmentKind::Bias, SegmentKind::Mean, SegmentKind::Variance];
        for (i, kind) in kinds.into_iter().enumerate() {
            visit(Segment::vector(kind, offset + i * channels, channels));
        }
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], _: &mut [f32]) {
        if is_folded::<In>() {
            return;
        }
        let sizes = Sizes { pass, channels: In::SHAPE.channels, places: In::SHAPE.height * In::SHAPE.width };
        match pass.noise::<F>().and_then(|factors| factors.parts()) {
            Some(members) => forward_parts::<F>(&sizes, members, parameters, x, tape),
            None => forward::<F>(&sizes, parameters, x, tape),
        }
    }

    #[inline]
    fn backward<F: Form>(
        pass: &Pass,
        parameters: &[f32],
        x: &[f32],
        tape: &[f32],
        buffers: &mut Buffers,
        scratch: &mut [f32],
        gradient: &mut [f32],
    ) {
        if is_folded::<In>() {
            return;
        }
        let sizes = Sizes { pass, channels: In::SHAPE.channels, places: In::SHAPE.height * In::SHAPE.width };
        match pass.noise::<F>().and_then(|factors| factors.parts()) {
            Some(members) => backward_parts::<F>(&sizes, members, parameters, x, tape, buffers.dy, scratch, gradient),
            None => backward::<F>(&sizes, parameters, x, tape, buffers.dy, gradient),
        }
    }

    fn estimate<F: Form>(pass: &Pass, share: f32, parameters: &mut [f32], _: &[f32], tape: &[f32]) {
        if is_folded::<In>() {
            return;
        }
        let channels = In::SHAPE.channels;
        let (means, variances) = parameters[2 * channels..].split_at_mut(channels);
        for (c, (mean, variance)) in means.iter_mut().zip(variances).enumerate() {
            let batch = noted::<F>(pass, channels, tape, c);
            let (batch_mean, batch_variance) = (batch.mean.lane(0), batch.variance.lane(0));
            if share >= 1.0 {
                // Nothing of what was there before may show, not even by rounding.
                (*mean, *variance) = (batch_mean, batch_variance);
                continue;
            }
            let difference = batch_mean - *mean;
            *mean += share * difference;
            *variance += share * (batch_variance - *variance) + share * (1.0 - share) * difference * difference;
        }
    }

    fn load(stored: Floats, parameters: &mut [f32], offset: usize) {
        if is_folded::<In>() {
            fold(stored, In::SHAPE.channels, In::FAN_IN, &mut parameters[..offset]);
        } else {
            stored.copy_into(&mut parameters[offset..][..<Self as Layer<In>>::PARAMS]);
        }
    }
}

/// Whether the weights before have taken the batch norm over.
const fn is_folded<In: Shaped>() -> bool {
    In::FAN_IN > 0
}

/// With `s = gain / √(variance + 1e-5)`: `w[c] ← s·w[c]` and `b[c] ← (b[c] - mean)·s + bias` in `w[C][fan_in]`, `b[C]` at the end of
/// `parameters`; `stored` are gains, biases, means, variances.
fn fold(stored: Floats, channels: usize, fan_in: usize, parameters: &mut [f32]) {
    let (_, before) = parameters.split_at_mut(parameters.len() - channels * (fan_in + 1));
    let (weights, biases) = before.split_at_mut(channels * fan_in);
    for (c, (weights, b)) in weights.chunks_exact_mut(fan_in).zip(biases).enumerate() {
        let [gain, bias, mean, variance] = [0, 1, 2, 3].map(|kind| stored.get(kind * channels + c).unwrap_or_default());
        let scale = gain * Statistics { mean, variance }.inverse_deviation();
        weights.iter_mut().for_each(|w| *w *= scale);
        *b = (*b - mean) * scale + bias;
    }
}

/// The statistics that forward left on the tape for channel `c`.
fn noted<F: Form>(pass: &Pass, channels: usize, tape: &[f32], c: usize) -> Statistics<F::Value> {
    let element = pass.columns * F::COLUMN;
    let at = |index: usize| F::Value::load(&tape[index * element..]);
    Statistics { mean: at(c), variance: at(channels + c) }
}

/// One in the lanes of the last column that hold a sample; `None` when all do, or when lanes hold members.
fn occupied<F: Form>(pass: &Pass) -> Option<F::Value> {
    let last = pass.samples % F::SAMPLES;
    if last == 0 {
        return None;
    }
    let mut lanes = [0.0; 16];
    lanes[..last].fill(1.0);
    Some(F::Value::load(&lanes))
}

/// `value` where `occupied`, else zero; columns before the last are full.
#[inline(always)]
fn kept<F: Form>(pass: &Pass, occupied: Option<F::Value>, offset: usize, value: F::Value) -> F::Value {
    let stride = pass.columns * F::COLUMN;
    match occupied {
        Some(lanes) if offset % stride == stride - F::COLUMN => lanes.if_greater(F::Value::default(), value, F::Value::default()),
        _ => value,
    }
}

#[cfg_attr(not(target_os = "none"), inline(never))]
fn forward<F: Form>(sizes: &Sizes, parameters: &[f32], x: &[f32], tape: &mut [f32]) {
    let Sizes { pass, channels, places } = *sizes;
    let element = pass.columns * F::COLUMN;
    let count = F::Value::splat((places * pass.samples) as f32);
    let occupied = occupied::<F>(pass);
    let (notes, y) = tape.split_at_mut(2 * channels * element);
    let (means, variances) = notes.split_at_mut(channels * element);
    let channel = places * element;
    let to = [&mut y[..channels * channel], means, variances];
    pass.sharing.pieces_of_three(to, [channel, element, element], 3 * MOVE, |first, [y, means, variances]| {
        let rows = x.chunks_exact(channel).skip(first).zip(y.chunks_exact_mut(channel));
        let notes = means.chunks_exact_mut(element).zip(variances.chunks_exact_mut(element));
        for (c, ((x, y), (mean_note, variance_note))) in (first..).zip(rows.zip(notes)) {
            let weight = |kind: usize| F::weight(parameters, kind * channels + c);
            let statistics = if matches!(pass.mode, Mode::Infer | Mode::Tune(_)) {
                Statistics { mean: weight(2), variance: weight(3) }
            } else {
                let total = sum::<F>(pass, places, |offset| kept::<F>(pass, occupied, offset, F::Value::load(&x[offset..])));
                let mean = total / count;
                let squares = sum::<F>(pass, places, |offset| {
                    let difference = F::Value::load(&x[offset..]) - mean;
                    kept::<F>(pass, occupied, offset, difference * difference)
                });
                Statistics { mean, variance: squares / count }
            };
            if pass.mode != Mode::Infer {
                statistics.mean.store(mean_note);
                statistics.variance.store(variance_note);
            }
            let (scale, bias) = (weight(0) * statistics.inverse_deviation(), weight(1));
            for (x, y) in x.chunks_exact(F::COLUMN).zip(y.chunks_exact_mut(F::COLUMN)) {
                (F::Value::load(x) - statistics.mean).mul_add(scale, bias).store(y);
            }
        }
    });
}

/// With x̂ = (x - mean) / √(variance + ε) over n values: `d gain = Σ dy·x̂`, `d bias = Σ dy`,
/// `dx = gain / √(variance + ε) · (dy - d bias / n - x̂ · d gain / n)`, in place of dy; with running statistics the last two terms are not
/// there. Lanes without a sample stay zero.
#[cfg_attr(not(target_os = "none"), inline(never))]
fn backward<F: Form>(sizes: &Sizes, parameters: &[f32], x: &[f32], tape: &[f32], dy: &mut [f32], gradient: &mut [f32]) {
    let Sizes { pass, channels, places } = *sizes;
    let element = pass.columns * F::COLUMN;
    let share = F::Value::splat(1.0 / (places * pass.samples) as f32);
    let occupied = occupied::<F>(pass);
    let trained = pass.scope.part() != Part::Nothing;
    let measured = !matches!(pass.mode, Mode::Tune(_));
    let (gains, rest) = gradient.split_at_mut(if trained { channels } else { 0 });
    let (biases, statistics) = rest.split_at_mut(gains.len());
    if !pass.adds {
        statistics.fill(0.0);
    }
    let channel = places * element;
    let to = [&mut dy[..channels * channel], gains, biases];
    pass.sharing.pieces_of_three(to, [channel, 1, 1], 4 * MOVE, |first, [dy, gains, biases]| {
        let rows = x.chunks_exact(channel).skip(first).zip(dy.chunks_exact_mut(channel));
        for (i, (x, dy)) in rows.enumerate() {
            let noted = noted::<F>(pass, channels, tape, first + i);
            let inverse = noted.inverse_deviation();
            let normal = |x: &[f32]| (F::Value::load(x) - noted.mean) * inverse;
            let d_bias = sum::<F>(pass, places, |offset| F::Value::load(&dy[offset..]));
            let d_gain = sum::<F>(pass, places, |offset| F::Value::load(&dy[offset..]) * normal(&x[offset..]));
            if trained {
                add_members::<F>(pass, d_gain, &mut gains[i]);
                add_members::<F>(pass, d_bias, &mut biases[i]);
            }
            if !pass.wants_input_gradient {
                continue;
            }
            let scale = F::weight(parameters, first + i) * inverse;
            let (mean_dy, mean_product) = (d_bias * share, d_gain * share);
            let columns = x.chunks_exact(F::COLUMN).zip(dy.chunks_exact_mut(F::COLUMN));
            for (j, (x, dy)) in columns.enumerate() {
                let dy_here = F::Value::load(dy);
                let dx = if measured { scale * (-normal(x)).mul_add(mean_product, dy_here - mean_dy) } else { scale * dy_here };
                kept::<F>(pass, occupied, j * F::COLUMN, dx).store(dy);
            }
        }
    });
}

/// Makes of a number for each sample, in its column or lane of `row`, the mean over the `places` of all samples of its member. Lanes beyond the
/// last sample go with it.
fn average<F: Form>(pass: &Pass, members: u32, places: usize, row: &mut [f32]) {
    let each = F::COLUMN / F::SAMPLES;
    for member in 0..members {
        let samples = part(member, members, pass.samples);
        let total = samples.clone().fold(0.0, |total, n| total + row[n * each]);
        let end = if samples.end == pass.samples { row.len() } else { samples.end * each };
        row[samples.start * each..end].fill(total / (places * samples.len()) as f32);
    }
}

/// [`forward`] of members side by side: the statistics of a sample are those over the samples of its member.
#[cfg_attr(not(target_os = "none"), inline(never))]
fn forward_parts<F: Form>(sizes: &Sizes, members: u32, parameters: &[f32], x: &[f32], tape: &mut [f32]) {
    let Sizes { pass, channels, places } = *sizes;
    let element = pass.columns * F::COLUMN;
    let (notes, y) = tape.split_at_mut(2 * channels * element);
    let (means, variances) = notes.split_at_mut(channels * element);
    let notes = means.chunks_exact_mut(element).zip(variances.chunks_exact_mut(element));
    let rows = x.chunks_exact(places * element).zip(y.chunks_exact_mut(places * element));
    for (c, ((x, y), (means, variances))) in rows.zip(notes).enumerate() {
        for column in (0..element).step_by(F::COLUMN) {
            lane_sum(places, |p| F::Value::load(&x[p * element + column..])).store(&mut means[column..]);
        }
        average::<F>(pass, members, places, means);
        for column in (0..element).step_by(F::COLUMN) {
            let mean = F::Value::load(&means[column..]);
            let squares = lane_sum(places, |p| {
                let difference = F::Value::load(&x[p * element + column..]) - mean;
                difference * difference
            });
            squares.store(&mut variances[column..]);
        }
        average::<F>(pass, members, places, variances);
        let (gain, bias) = (F::weight(parameters, c), F::weight(parameters, channels + c));
        for column in (0..element).step_by(F::COLUMN) {
            let statistics = Statistics { mean: F::Value::load(&means[column..]), variance: F::Value::load(&variances[column..]) };
            let scale = gain * statistics.inverse_deviation();
            for at in (column..places * element).step_by(element) {
                (F::Value::load(&x[at..]) - statistics.mean).mul_add(scale, bias).store(&mut y[at..]);
            }
        }
    }
}

/// [`backward`] of members side by side.
#[cfg_attr(not(target_os = "none"), inline(never))]
#[allow(clippy::too_many_arguments, reason = "the memory is the caller's, part by part")]
fn backward_parts<F: Form>(
    sizes: &Sizes,
    members: u32,
    parameters: &[f32],
    x: &[f32],
    tape: &[f32],
    dy: &mut [f32],
    scratch: &mut [f32],
    gradient: &mut [f32],
) {
    let Sizes { pass, channels, places } = *sizes;
    let element = pass.columns * F::COLUMN;
    let occupied = occupied::<F>(pass);
    let trained = pass.scope.part() != Part::Nothing;
    let (gains, rest) = gradient.split_at_mut(if trained { channels } else { 0 });
    let (biases, statistics) = rest.split_at_mut(gains.len());
    if !pass.adds {
        statistics.fill(0.0);
    }
    let (sums, products) = scratch[..2 * element].split_at_mut(element);
    let (means, variances) = tape[..2 * channels * element].split_at(channels * element);
    let rows = x.chunks_exact(places * element).zip(dy.chunks_exact_mut(places * element));
    for (c, (x, dy)) in rows.take(channels).enumerate() {
        let noted = |column: usize| {
            let at = |row: &[f32]| F::Value::load(&row[c * element + column..]);
            Statistics { mean: at(means), variance: at(variances) }
        };
        for column in (0..element).step_by(F::COLUMN) {
            let (mean, inverse) = (noted(column).mean, noted(column).inverse_deviation());
            lane_sum(places, |p| F::Value::load(&dy[p * element + column..])).store(&mut sums[column..]);
            let product = lane_sum(places, |p| {
                let at = p * element + column;
                F::Value::load(&dy[at..]) * ((F::Value::load(&x[at..]) - mean) * inverse)
            });
            product.store(&mut products[column..]);
        }
        if trained {
            let total = |row: &[f32]| {
                F::Value::splat(row.iter().step_by(F::COLUMN / F::SAMPLES).take(pass.samples).fold(0.0, |total, sum| total + sum))
            };
            add_members::<F>(pass, total(products), &mut gains[c]);
            add_members::<F>(pass, total(sums), &mut biases[c]);
        }
        if !pass.wants_input_gradient {
            continue;
        }
        average::<F>(pass, members, places, sums);
        average::<F>(pass, members, places, products);
        for column in (0..element).step_by(F::COLUMN) {
            let (mean, inverse) = (noted(column).mean, noted(column).inverse_deviation());
            let scale = F::weight(parameters, c) * inverse;
            let (mean_dy, mean_product) = (F::Value::load(&sums[column..]), F::Value::load(&products[column..]));
            for at in (column..places * element).step_by(element) {
                let normal = (F::Value::load(&x[at..]) - mean) * inverse;
                let dx = scale * (-normal).mul_add(mean_product, F::Value::load(&dy[at..]) - mean_dy);
                kept::<F>(pass, occupied, at, dx).store(&mut dy[at..]);
            }
        }
    }
}
