//! The fully connected layer. Its kernels are free functions over slices and sizes, shared by all widths.

use core::fmt;
use core::marker::PhantomData;

use crate::form::Form;
use crate::kernels::product::{
    Added, AddedMembers, AddedTail, Biased, Contiguous, Continued, Rows, Size, Strided, Tail, Transposed, Written, product,
};
use crate::kernels::scalar;
use crate::kernels::sum::{bias_gradient, bias_rows};
use crate::kernels::transpose::transpose;
use crate::lane::Lane;
use crate::layers::{Activation, Buffers, Layer, Part, Pass, Segment, SegmentKind};
use crate::population::SHARD;
use crate::shape::{Shape, Shaped};

/// `y[o] = b[o] + Σᵢ w[o][i]·x[i]` for `OUT` outputs over all elements of the input.
///
/// Parameters: `w[OUT][IN]`, row by row, then `b[OUT]`.
pub struct Dense<const OUT: usize>;

impl<const OUT: usize, In: Shaped> Layer<In> for Dense<OUT> {
    const OUT: Shape = Shape::new(OUT, 1, 1);
    const PARAMS: usize = (In::SHAPE.len() + 1) * OUT;
    const TAPE: usize = OUT;
    const WIDTH: usize = OUT;
    const SWAPS: Option<bool> = Some(true);
    const TRANSPOSED: usize = In::SHAPE.len();
    const WEIGHTS: usize = In::SHAPE.len() * OUT;
    const TAKES_ROWS: bool = true;
    const DESCENDS: bool = true;
    const FILTERS: usize = OUT;
    const FAN_IN: usize = In::SHAPE.len();
    const FACTORS: usize = In::SHAPE.len() + OUT;
    const FACTORED: bool = true;
    const MACS: usize = In::SHAPE.len() * OUT;
    const ACTIVATION: Option<Activation> = Some(Activation::Linear);

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        write!(to, "Dense<{OUT}>")
    }

    fn segments(offset: usize, next: Activation, visit: &mut dyn FnMut(Segment)) {
        let inputs = In::SHAPE.len();
        visit(Segment::weights(offset, OUT, inputs, OUT, next));
        visit(Segment::vector(SegmentKind::Bias, offset + OUT * inputs, OUT));
    }

    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(always))]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], _: &mut [f32]) {
        let inputs = In::SHAPE.len();
        let x = &x[..inputs * pass.columns * F::COLUMN];
        forward::<F>(pass, Size { rows: OUT, depth: inputs, columns: pass.columns }, parameters, x, tape);
        if let Some(factors) = pass.noise::<F>() {
            factors.add_product::<F>((inputs, OUT), (0, inputs), pass.columns, x, tape);
        }
    }

    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(always))]
    fn backward<F: Form>(
        pass: &Pass,
        parameters: &[f32],
        x: &[f32],
        _: &[f32],
        buffers: &mut Buffers,
        scratch: &mut [f32],
        gradient: &mut [f32],
    ) {
        let inputs = In::SHAPE.len();
        let x = &x[..inputs * pass.columns * F::COLUMN];
        match pass.scope.part() {
            Part::Everything => weight_gradient::<F>(pass, inputs, OUT, x, buffers.dy, scratch, gradient),
            Part::Biases if F::WEIGHT == 1 && F::COLUMN == 1 => scalar::bias_gradient(pass.adds, OUT, pass.columns, buffers.dy, gradient),
            Part::Biases => bias_gradient::<F>(pass, 1, &buffers.dy[..OUT * pass.columns * F::COLUMN], gradient),
            Part::Nothing => {}
        }
        if pass.wants_input_gradient {
            input_gradient::<F>(pass, Size { rows: inputs, depth: OUT, columns: pass.columns }, parameters, buffers.dy, buffers.dx);
            if let Some(factors) = pass.noise::<F>() {
                factors.add_product::<F>((0, inputs), (inputs, OUT), pass.columns, buffers.dy, buffers.dx);
            }
            buffers.swap();
        }
    }

    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(always))]
    fn descend<F: Form>(pass: &Pass, rate: f32, parameters: &mut [f32], x: &[f32], _: &[f32], buffers: &mut Buffers, _: &mut [f32]) {
        let inputs = In::SHAPE.len();
        let size = Size { rows: inputs, depth: OUT, columns: 1 };
        if pass.wants_input_gradient {
            scalar::input_gradient::<F::Value>(size, parameters, buffers.dy, buffers.dx);
        }
        scalar::descend::<F::Value>(pass.scope.part(), rate, inputs, OUT, x, buffers.dy, parameters);
        if pass.wants_input_gradient {
            buffers.swap();
        }
    }
}

/// `y[o][j] = b[o] + Σᵢ w[o][i]·x[i][j]`: `size` is outputs × inputs × columns.
///
/// The inputs are taken in blocks of [`BLOCK`], whose x stays in the first-level cache for all outputs; the sums wait in y.
#[cfg_attr(not(target_os = "none"), inline(never))]
#[cfg_attr(target_os = "none", inline(always))] // one sample alone leaves little of it, with constants for sizes
fn forward<F: Form>(pass: &Pass, size: Size, parameters: &[f32], x: &[f32], y: &mut [f32]) {
    let (weights, biases) = parameters.split_at(size.rows * size.depth * F::WEIGHT);
    let stride = size.columns * F::COLUMN;
    if F::WEIGHT == 1 && F::COLUMN == 1 {
        return scalar::forward::<F::Value>(size, weights, biases, x, y);
    }
    pass.sharing.pieces(&mut y[..size.rows * stride], stride, size.depth, |row, y| {
        let block = Block::<F> {
            size: Size { rows: y.len() / stride, ..size },
            weights: &weights[row * size.depth * F::WEIGHT..],
            biases: &biases[row * F::WEIGHT..],
            form: PhantomData,
        };
        match pass.only_rows::<F>() {
            Some(rows) => block.transpose_and_multiply(pass.samples, rows, y),
            None => (0..size.depth).step_by(BLOCK).for_each(|first| block.multiply(first, &x[first * stride..], y)),
        }
    });
}

/// 160 inputs of 64 samples are 40 KiB, which a first-level cache of 48 KiB holds.
const BLOCK: usize = 160;

/// A forward product that is made block by block of its inputs.
struct Block<'a, F> {
    size: Size,
    weights: &'a [f32],
    biases: &'a [f32],
    form: PhantomData<F>,
}

impl<F: Form> Block<'_, F> {
    /// Adds the terms of the inputs from `first` on, which `x` begins with, to `y`.
    #[inline(always)]
    fn multiply(&self, first: usize, x: &[f32], y: &mut [f32]) {
        let Self { size, weights, biases, form } = *self;
        let stride = size.columns * F::COLUMN;
        let left = Rows::<F> { data: &weights[first * F::WEIGHT..], stride: size.depth * F::WEIGHT, form };
        let right = Contiguous { data: x, stride };
        let size = Size { depth: BLOCK.min(size.depth - first), ..size };
        if first == 0 {
            product(size, &left, &right, &mut Biased::<F> { biases, to: y, stride, form });
        } else {
            product(size, &left, &right, &mut Continued { to: y, stride });
        }
    }

    /// All of it, from up to [`SHARD`] `samples` as `rows`.
    #[inline(never)]
    fn transpose_and_multiply(&self, samples: usize, rows: &[f32], y: &mut [f32]) {
        #[repr(align(64))]
        struct Room([f32; BLOCK * SHARD]);
        let mut room = Room([0.0; BLOCK * SHARD]);
        let (inputs, stride) = (self.size.depth, self.size.columns * F::COLUMN);
        for first in (0..inputs).step_by(BLOCK) {
            // Lanes without a sample stay zero.
            transpose(samples, BLOCK.min(inputs - first), &rows[first..], inputs, &mut room.0, stride);
            self.multiply(first, &room.0, y);
        }
    }
}

/// `dx[i][j] = Σₒ w[o][i]·dy[o][j]`: `size` is inputs × outputs × columns.
#[cfg_attr(not(target_os = "none"), inline(never))]
#[cfg_attr(target_os = "none", inline(always))]
fn input_gradient<F: Form>(pass: &Pass, size: Size, parameters: &[f32], dy: &[f32], dx: &mut [f32]) {
    if F::WEIGHT == 1 && F::COLUMN == 1 {
        return scalar::input_gradient::<F::Value>(size, parameters, dy, dx);
    }
    let stride = size.columns * F::COLUMN;
    pass.sharing.pieces(&mut dx[..size.rows * stride], stride, size.depth, |row, dx| {
        let left = Transposed::<F> { data: &parameters[row * F::WEIGHT..], width: size.rows, form: PhantomData };
        let size = Size { rows: dx.len() / stride, ..size };
        product(size, &left, &Contiguous { data: dy, stride }, &mut Written { to: dx, stride });
    });
}

/// `g[o][i] += Σₙ dy[o][n]·x[i][n]`, each sum formed in registers in the order of the samples and added once for each member, in the
/// order of the members; and the biases' gradient.
#[cfg_attr(not(target_os = "none"), inline(never))]
#[cfg_attr(target_os = "none", inline(always))]
fn weight_gradient<F: Form>(pass: &Pass, inputs: usize, outputs: usize, x: &[f32], dy: &[f32], scratch: &mut [f32], gradient: &mut [f32]) {
    if F::WEIGHT == 1 && F::COLUMN == 1 {
        let Some((weights, biases)) = gradient.split_at_mut_checked(inputs * outputs) else { return };
        scalar::weight_gradient::<F::Value>(pass.adds, Size { rows: outputs, depth: inputs, columns: pass.columns }, dy, x, weights);
        return scalar::bias_gradient(pass.adds, outputs, pass.columns, dy, biases);
    }
    let (weights, biases) = gradient.split_at_mut(inputs * outputs);
    let stride = pass.columns * F::COLUMN;
    let adds = pass.adds;
    let lanes = F::Value::LANES;
    // With members in lanes dy is read as vectors of members, else as scalars, sample by sample: both are what a weight of the
    // form is.
    let left = |row| Rows::<F> { data: &dy[row * stride..], stride, form: PhantomData };
    let to = [weights, &mut biases[..outputs], &mut []];
    if F::WEIGHT > 1 {
        pass.sharing.pieces_of_three(to, [inputs, 1, 0], pass.samples * lanes, |row, [weights, biases, _]| {
            bias_rows::<F>(pass, 1, &dy[row * stride..], biases);
            let size = Size { rows: weights.len() / inputs, depth: pass.samples, columns: inputs };
            let sums = &mut AddedMembers { to: weights, stride: inputs, members: pass.members, adds };
            product(size, &left(row), &Strided { data: x, stride }, sums);
        });
        return;
    }
    // With samples in lanes a sum over samples would run across the lanes, so the lanes hold inputs here. The inputs are needed
    // sample by sample: as the caller has them, or transposed.
    let rows = match pass.input_rows {
        Some(rows) => rows,
        None => {
            transpose(inputs, pass.samples, x, stride, scratch, inputs);
            &*scratch
        }
    };
    pass.sharing.pieces_of_three(to, [inputs, 1, 0], pass.samples, |row, [weights, biases, _]| {
        bias_rows::<F>(pass, 1, &dy[row * stride..], biases);
        let size = Size { rows: weights.len() / inputs, depth: pass.samples, columns: 1 };
        let whole = Size { columns: inputs / lanes, ..size };
        product(whole, &left(row), &Contiguous { data: rows, stride: inputs }, &mut Added { to: weights, stride: inputs, adds });
        let tail = inputs % lanes;
        if tail > 0 {
            let first = inputs - tail;
            let right = Tail { data: &rows[first..], stride: inputs, lanes: tail };
            product(size, &left(row), &right, &mut AddedTail { to: &mut weights[first..], stride: inputs, lanes: tail, adds });
        }
    });
}
