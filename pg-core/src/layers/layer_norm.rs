//! Layer normalisation (Ba, Kiros and Hinton, 2016): each sample to mean 0 and variance 1 over all its elements, then a gain and a bias
//! for each element. It has no running statistics and mixes no samples.

use core::fmt;

use crate::form::Form;
use crate::kernels::sum::{add_members, bias_gradient, lane_sum, sum};
use crate::lane::Lane;
use crate::layers::{Activation, Buffers, Layer, Part, Pass, Segment, SegmentKind};
use crate::shape::{Shape, Shaped};

/// Added to a variance, as in PyTorch and ONNX.
const EPSILON: f32 = 1e-5;

/// `y[i] = gain[i]·(x[i] - mean) / √(variance + 1e-5) + bias[i]`, mean and variance over the elements of a sample.
///
/// Parameters: `gain[C·H·W]`, then `bias[C·H·W]`.
pub struct LayerNorm;

impl<In: Shaped> Layer<In> for LayerNorm {
    const OUT: Shape = In::SHAPE;
    const PARAMS: usize = 2 * In::SHAPE.len();
    const TAPE: usize = 2 + In::SHAPE.len();
    const SWAPS: Option<bool> = Some(false);
    const MACS: usize = In::SHAPE.len();

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        to.write_str("LayerNorm")
    }

    fn segments(offset: usize, _: Activation, visit: &mut dyn FnMut(Segment)) {
        visit(Segment::vector(SegmentKind::Gain, offset, In::SHAPE.len()));
        visit(Segment::vector(SegmentKind::Bias, offset + In::SHAPE.len(), In::SHAPE.len()));
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], _: &mut [f32]) {
        forward::<F>(pass, In::SHAPE.len(), parameters, x, tape);
    }

    #[inline]
    fn backward<F: Form>(
        pass: &Pass,
        parameters: &[f32],
        x: &[f32],
        tape: &[f32],
        buffers: &mut Buffers,
        _: &mut [f32],
        gradient: &mut [f32],
    ) {
        backward::<F>(pass, In::SHAPE.len(), parameters, x, tape, buffers.dy, gradient);
    }
}

/// `1 / √(variance + ε)`.
fn inverse_deviation<L: Lane>(variance: L) -> L {
    L::splat(1.0) / (variance + L::splat(EPSILON)).sqrt()
}

#[cfg_attr(not(target_os = "none"), inline(never))]
fn forward<F: Form>(pass: &Pass, elements: usize, parameters: &[f32], x: &[f32], tape: &mut [f32]) {
    let element = pass.columns * F::COLUMN;
    let (means, rest) = tape.split_at_mut(element);
    let (variances, y) = rest.split_at_mut(element);
    let count = F::Value::splat(elements as f32);
    for column in (0..element).step_by(F::COLUMN) {
        let at = |i: usize| i * element + column;
        let mean = lane_sum::<F::Value>(elements, |i| F::Value::load(&x[at(i)..])) / count;
        let variance = lane_sum::<F::Value>(elements, |i| {
            let difference = F::Value::load(&x[at(i)..]) - mean;
            difference * difference
        }) / count;
        mean.store(&mut means[column..]);
        variance.store(&mut variances[column..]);
        let inverse = inverse_deviation(variance);
        for i in 0..elements {
            let normal = (F::Value::load(&x[at(i)..]) - mean) * inverse;
            normal.mul_add(F::weight(parameters, i), F::weight(parameters, elements + i)).store(&mut y[at(i)..]);
        }
    }
}

/// With x̂ = (x - mean) / √(variance + ε) and d = gain·dy: `dx = (d - mean d - x̂ · mean (d·x̂)) / √(variance + ε)`, in place of dy.
#[cfg_attr(not(target_os = "none"), inline(never))]
fn backward<F: Form>(pass: &Pass, elements: usize, parameters: &[f32], x: &[f32], tape: &[f32], dy: &mut [f32], gradient: &mut [f32]) {
    let element = pass.columns * F::COLUMN;
    let normal = |i: usize, column: usize| {
        let (mean, variance) = (F::Value::load(&tape[column..]), F::Value::load(&tape[element + column..]));
        (F::Value::load(&x[i * element + column..]) - mean) * inverse_deviation(variance)
    };
    if pass.scope.part() != Part::Nothing {
        let (gains, biases) = gradient.split_at_mut(elements);
        for (i, gain) in gains.iter_mut().enumerate() {
            let total = sum::<F>(pass, 1, |column| F::Value::load(&dy[i * element + column..]) * normal(i, column));
            add_members::<F>(pass, total, gain);
        }
        bias_gradient::<F>(pass, 1, &dy[..elements * element], &mut biases[..elements]);
    }
    if !pass.wants_input_gradient {
        return;
    }
    let share = F::Value::splat(1.0 / elements as f32);
    for column in (0..element).step_by(F::COLUMN) {
        let at = |i: usize| i * element + column;
        let scaled = |dy: &[f32], i: usize| F::Value::load(&dy[at(i)..]) * F::weight(parameters, i);
        let mean = lane_sum::<F::Value>(elements, |i| scaled(dy, i)) * share;
        let product = lane_sum::<F::Value>(elements, |i| scaled(dy, i) * normal(i, column)) * share;
        let inverse = inverse_deviation(F::Value::load(&tape[element + column..]));
        for i in 0..elements {
            let centred = scaled(dy, i) - mean;
            ((-normal(i, column)).mul_add(product, centred) * inverse).store(&mut dy[at(i)..]);
        }
    }
}
