//! The fully connected layer. Its three kernels are free functions over slices and sizes, shared by all widths.

use core::fmt;
use core::marker::PhantomData;

use crate::form::{Form, Samples};
use crate::lane::Lane;
use crate::layers::{Layer, Pass, Segment, SegmentKind};
use crate::product::{Contiguous, Rows, Size, Strided, Tail, Transposed, product};
use crate::shape::{Shape, Shaped};
use crate::transpose::transpose;

/// `y[o] = b[o] + Σᵢ w[o][i]·x[i]` for `OUT` outputs over all elements of the input.
///
/// Parameters: `w[OUT][IN]`, row by row, then `b[OUT]`.
pub struct Dense<const OUT: usize>;

impl<const OUT: usize, In: Shaped> Layer<In> for Dense<OUT> {
    const OUT: Shape = Shape::new(OUT, 1, 1);
    const PARAMS: usize = (In::SHAPE.len() + 1) * OUT;
    const TAPE: usize = OUT;
    const WIDTH: usize = OUT;
    const SCRATCH: usize = In::SHAPE.len();
    const FILTERS: usize = OUT;
    const MACS: usize = In::SHAPE.len() * OUT;
    const SWAPS: bool = true;

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        write!(to, "Dense<{OUT}>")
    }

    fn segments(offset: usize, visit: &mut dyn FnMut(Segment)) {
        let inputs = In::SHAPE.len();
        visit(Segment { kind: SegmentKind::Weight, offset, filters: OUT, fan_in: inputs });
        visit(Segment { kind: SegmentKind::Bias, offset: offset + OUT * inputs, filters: OUT, fan_in: 1 });
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], tape: &mut [f32]) {
        let inputs = In::SHAPE.len();
        let (x, y) = tape.split_at_mut(inputs * pass.columns * F::COLUMN);
        forward::<F>(Size { rows: OUT, depth: inputs, columns: pass.columns }, parameters, x, y);
    }

    #[inline]
    fn backward<F: Form>(
        pass: &Pass,
        parameters: &[f32],
        tape: &[f32],
        scratch: &mut [f32],
        dy: &mut [f32],
        dx: &mut [f32],
        gradient: &mut [f32],
    ) {
        let inputs = In::SHAPE.len();
        let x = &tape[..inputs * pass.columns * F::COLUMN];
        weight_gradient::<F>(pass, inputs, OUT, x, dy, scratch, gradient);
        if pass.wants_input_gradient {
            input_gradient::<F>(Size { rows: inputs, depth: OUT, columns: pass.columns }, parameters, dy, dx);
        }
    }
}

/// `y[o][j] = b[o] + Σᵢ w[o][i]·x[i][j]`: `size` is outputs × inputs × columns.
#[cfg_attr(not(target_os = "none"), inline(never))]
fn forward<F: Form>(size: Size, parameters: &[f32], x: &[f32], y: &mut [f32]) {
    let (weights, biases) = parameters.split_at(size.rows * size.depth * F::WEIGHT);
    let left = Rows::<F> { data: weights, stride: size.depth * F::WEIGHT, depth: size.depth, form: PhantomData };
    let stride = size.columns * F::COLUMN;
    let right = Contiguous { data: x, stride };
    product(size, &left, &right, |o| F::weight(biases, o), |o, j, sum| sum.store(&mut y[o * stride + j * F::COLUMN..][..F::COLUMN]));
}

/// `dx[i][j] = Σₒ w[o][i]·dy[o][j]`: `size` is inputs × outputs × columns.
#[cfg_attr(not(target_os = "none"), inline(never))]
fn input_gradient<F: Form>(size: Size, parameters: &[f32], dy: &[f32], dx: &mut [f32]) {
    let left = Transposed::<F> { data: parameters, width: size.rows, form: PhantomData };
    let stride = size.columns * F::COLUMN;
    let right = Contiguous { data: dy, stride };
    product(size, &left, &right, |_| F::Value::default(), |i, j, sum| sum.store(&mut dx[i * stride + j * F::COLUMN..][..F::COLUMN]));
}

/// `g[o][i] += Σₙ dy[o][n]·x[i][n]` and `g[o] += Σₙ dy[o][n]`, each sum formed in registers in the order of the samples and
/// added once for each member, in the order of the members.
#[cfg_attr(not(target_os = "none"), inline(never))]
fn weight_gradient<F: Form>(pass: &Pass, inputs: usize, outputs: usize, x: &[f32], dy: &[f32], scratch: &mut [f32], gradient: &mut [f32]) {
    let (weights, biases) = gradient.split_at_mut(inputs * outputs);
    let stride = pass.columns * F::COLUMN;
    if F::WEIGHT > 1 {
        // Members in lanes: dy and x are vectors of members, and so is each sum.
        let left = Rows::<F> { data: dy, stride, depth: pass.samples, form: PhantomData };
        let right = Strided { data: x, stride };
        let size = Size { rows: outputs, depth: pass.samples, columns: inputs };
        product(
            size,
            &left,
            &right,
            |_| F::Value::default(),
            |o, i, sum| {
                let total = &mut weights[o * inputs + i];
                (0..pass.members).for_each(|m| *total += sum.lane(m));
            },
        );
        for (o, total) in biases.iter_mut().enumerate() {
            let row = &dy[o * stride..][..stride];
            for m in 0..pass.members {
                *total += (0..pass.samples).fold(0.0, |sum, n| sum + row[n * F::COLUMN + m]);
            }
        }
        return;
    }
    // Samples in lanes: a sum over samples would run across the lanes, so the lanes hold inputs here, and dy is read as
    // scalars. The inputs are needed sample by sample: as the caller has them, or transposed.
    type Scalars<L> = Samples<L>;
    let left = Rows::<Scalars<F::Value>> { data: dy, stride, depth: pass.samples, form: PhantomData };
    let lanes = F::Value::LANES;
    if lanes == 1 {
        let right = Strided { data: x, stride };
        let size = Size { rows: outputs, depth: pass.samples, columns: inputs };
        product(size, &left, &right, |_| F::Value::default(), |o, i, sum| weights[o * inputs + i] += sum.lane(0));
    } else {
        let rows = match pass.input_rows {
            Some(rows) => rows,
            None => {
                transpose(inputs, pass.samples, x, stride, scratch, inputs);
                &*scratch
            }
        };
        let size = Size { rows: outputs, depth: pass.samples, columns: inputs / lanes };
        let right = Contiguous { data: rows, stride: inputs };
        product(
            size,
            &left,
            &right,
            |_| F::Value::default(),
            |o, j, sum| {
                let total = &mut weights[o * inputs + j * lanes..][..lanes];
                (F::Value::load(total) + sum).store(total);
            },
        );
        let tail = inputs % lanes;
        if tail > 0 {
            let rest = &rows[inputs - tail..];
            let right = Tail { data: rest, stride: inputs, lanes: tail };
            product(
                Size { columns: 1, ..size },
                &left,
                &right,
                |_| F::Value::default(),
                |o, _, sum| {
                    let total = &mut weights[(o + 1) * inputs - tail..][..tail];
                    (F::Value::load_partial(total) + sum).store_partial(total);
                },
            );
        }
    }
    for (o, total) in biases.iter_mut().enumerate() {
        *total += dy[o * stride..][..pass.samples].iter().fold(0.0, |sum, d| sum + d);
    }
}
