//! Layers: the trait, and tuples of layers as a layer. Each kind of layer is one file.
//!
//! A layer is a type without data: its shapes and sizes are constants, its parameters and activations are slices that the
//! caller lends. To add one, copy a file, and add it to the lists below; a layer of your own needs no list.
//!
//! # How activations and gradients lie
//! An activation is a grid `[element][column]` of vectors ([`crate::form`]); elements lie channel by channel, row by row.
//! A layer reads its input `x` and writes what it has to keep to its part of the *tape*, its output last. A layer that keeps
//! the number of elements may work in place: it appends nothing and leaves its output in `x`; then it must be able to form its
//! gradient from its output alone. On the way back the gradient of the output lies in [`Buffers::dy`]; a layer leaves
//! the gradient of its input there, and swaps the two buffers when it has written it to [`Buffers::dx`].

mod activations;
mod batch_norm;
mod branches;
mod chain;
mod convolution;
mod dense;
mod depthwise;
mod dropout;
mod layer_norm;
mod pool;
mod reshape;
mod residual;
mod scope;
mod shuffle;
pub mod window;

use core::fmt;

pub use activations::{HardSwish, LeakyRelu, Relu, Relu6, Sigmoid, Tanh};
pub use batch_norm::BatchNorm;
pub use branches::{Concat, Parallel, Split};
pub use convolution::{Conv, Conv1d, Conv2d, Pointwise};
pub use dense::Dense;
pub use depthwise::{Depthwise, Depthwise1d, Depthwise2d};
pub use dropout::Dropout;
pub use layer_norm::LayerNorm;
pub use pool::{AvgPool, AvgPool1d, AvgPool2d, GlobalAvgPool, MaxPool, MaxPool1d, MaxPool2d};
pub use reshape::{Expect, Flatten};
pub use residual::Residual;
pub use scope::{Leaves, Part, Scope};
pub use shuffle::ChannelShuffle;

use crate::floats::Floats;
use crate::form::Form;
use crate::perturbation::rank_one::Factors;
use crate::shape::{Shape, Shaped};
use crate::sharing::Sharing;

/// What a range of parameters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// A matrix of weights, filter by filter.
    Weight,
    /// One summand for each filter or channel.
    Bias,
    /// One factor for each channel, of a normalisation.
    Gain,
    /// Running means of a normalisation: measured ([`Layer::estimate`]), neither trained nor noised.
    Mean,
    /// Running variances of a normalisation: measured, neither trained nor noised.
    Variance,
}

impl SegmentKind {
    /// Whether an optimiser may change the range; the others have no gradient.
    pub const fn is_trained(self) -> bool {
        !matches!(self, SegmentKind::Mean | SegmentKind::Variance)
    }

    /// Whether the range is the first of a layer; layers are numbered by these, from 1.
    pub const fn begins_layer(self) -> bool {
        matches!(self, SegmentKind::Weight | SegmentKind::Gain)
    }
}

/// What the outputs of a filter go through next; initial weights follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing, or a layer with weights of its own.
    Linear,
    /// ReLU and its relatives: half of the outputs are lost.
    Rectifier,
    /// tanh or the logistic function.
    Saturating,
}

/// A range of the parameters: `filters` rows of `fan_in` elements from `offset` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What it is.
    pub kind: SegmentKind,
    /// Index of the first parameter.
    pub offset: usize,
    /// Output units or channels.
    pub filters: usize,
    /// Incoming weights of each filter; 1 for all but weights.
    pub fan_in: usize,
    /// Outgoing weights of each input; 1 for all but weights.
    pub fan_out: usize,
    /// What its outputs go through next.
    pub activation: Activation,
    /// Whether it is the last range of weights or gains in the body of a [`Residual`].
    pub ends_residual: bool,
}

impl Segment {
    /// A range of weights.
    pub const fn weights(offset: usize, filters: usize, fan_in: usize, fan_out: usize, activation: Activation) -> Self {
        Self { kind: SegmentKind::Weight, offset, filters, fan_in, fan_out, activation, ends_residual: false }
    }

    /// A range with one number for each of `filters`.
    pub const fn vector(kind: SegmentKind, offset: usize, filters: usize) -> Self {
        Self { kind, offset, filters, fan_in: 1, fan_out: 1, activation: Activation::Linear, ends_residual: false }
    }

    /// The indices of its parameters.
    pub const fn range(&self) -> core::ops::Range<usize> {
        self.offset..self.offset + self.filters * self.fan_in
    }
}

/// What keys the random masks of a training pass: the same for both members of an antithetic pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The seed of the run.
    pub seed: u64,
    /// The step.
    pub step: u32,
    /// The member in the first lane, or the only one.
    pub member: u32,
    /// Whether members come in pairs.
    pub antithetic: bool,
    /// The index in the batch of the first sample of this pass.
    pub first_sample: u32,
}

impl Draw {
    /// The pair of the member in `lane`.
    pub const fn pair(&self, lane: usize) -> u32 {
        let member = self.member + lane as u32;
        if self.antithetic { member / 2 } else { member }
    }
}

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To predict: running statistics, no masks.
    Infer,
    /// To measure the statistics of batches before [`Layer::estimate`]: batch statistics, no masks.
    Estimate,
    /// To learn: batch statistics, random masks.
    Train(Draw),
    /// To learn a little more, from few samples: running statistics, which stay as they are, and random masks.
    Tune(Draw),
}

/// What the layers of one forward or backward pass need to know besides their memory.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// What it is for.
    pub mode: Mode,
    /// Samples in this pass. Lanes beyond them hold zeros in the input and in the loss's gradient.
    pub samples: usize,
    /// Columns of an activation: [`Form::columns`] of the samples.
    pub columns: usize,
    /// Members in the lanes ([`crate::form::Members`]); 1 otherwise.
    pub members: usize,
    /// Layers with random masks before this one.
    pub masks: u32,
    /// Whether gradients of the parameters are added to what is there; otherwise they are written over it.
    pub adds: bool,
    /// Whether the gradient of the layer's input is asked for.
    pub wants_input_gradient: bool,
    /// Which layers are trained, from this one on; the gradients of the others are left out of `gradient`.
    pub scope: Scope,
    /// The layer's input sample by sample, `[sample][element]`, when the caller has it so.
    pub input_rows: Option<&'a [f32]>,
    /// Whether forward has it only so: nobody has transposed it, for a layer that [takes rows](Layer::TAKES_ROWS).
    pub untransposed: bool,
    /// The rank-1 noise of members that run on the central parameters, from the layer's on.
    pub factors: Option<Factors<'a>>,
    /// Threads for the larger parts of the layer's work.
    pub sharing: Sharing<'a>,
}

impl<'a> Pass<'a> {
    /// A pass over `samples` samples by one network that only predicts.
    pub const fn infer(samples: usize, columns: usize) -> Self {
        let mode = Mode::Infer;
        Self {
            mode,
            samples,
            columns,
            members: 1,
            masks: 0,
            adds: false,
            wants_input_gradient: false,
            scope: Scope::EVERYTHING,
            input_rows: None,
            untransposed: false,
            factors: None,
            sharing: Sharing::ALONE,
        }
    }

    /// The same pass for a branch that starts at another input.
    pub(crate) const fn branch(&self, wants_input_gradient: bool) -> Self {
        Self { wants_input_gradient, input_rows: None, ..*self }
    }

    /// The same pass behind layer `L`: its masks, factors and parameters are used up.
    #[inline(always)]
    pub(crate) fn behind<F: Form, In: Shaped, L: Layer<In>>(&self) -> Self {
        Self {
            masks: self.masks + L::MASKS,
            scope: self.scope.behind(const { L::LEAVES.count() }),
            factors: self.noise::<F>().map(|factors| factors.behind::<F>(L::FACTORS, self.columns)),
            input_rows: if L::TAPE == 0 && !L::OVERWRITES_INPUT { self.input_rows } else { None },
            ..*self
        }
    }

    /// The samples of an input that nobody has transposed, for forms that would have it so.
    #[inline(always)]
    pub(crate) fn only_rows<F: Form>(&self) -> Option<&'a [f32]> {
        if F::WEIGHT == 1 && F::COLUMN > 1 && self.untransposed { self.input_rows } else { None }
    }

    /// [`Pass::factors`], for forms that know them.
    #[inline(always)]
    pub(crate) fn noise<F: Form>(&self) -> Option<Factors<'a>> {
        if F::FACTORED { self.factors } else { None }
    }
}

/// The two buffers of a backward pass, of [`Network::WIDTHS`](crate::Network::WIDTHS) elements.
pub struct Buffers<'a> {
    /// The gradient of a layer's output, then of its input.
    pub dy: &'a mut [f32],
    /// Room for the other.
    pub dx: &'a mut [f32],
}

impl Buffers<'_> {
    /// The same for one pass: which of them is which is then as it was, whatever the pass swaps.
    pub fn lend(&mut self) -> Buffers<'_> {
        Buffers { dy: self.dy, dx: self.dx }
    }

    /// Makes `dx`, which was just written, the gradient that the next layer finds in `dy`.
    pub fn swap(&mut self) {
        core::mem::swap(&mut self.dy, &mut self.dx);
    }
}

/// Who is shown the layers of a network one by one.
pub trait Visitor {
    /// Layer `L`, whose input gradient a training pass wants or not.
    fn layer<In: Shaped, L: Layer<In>>(&mut self, wants_input_gradient: bool);
}

/// A layer for inputs of the shape `In`.
///
/// All sizes count elements of one sample. Slices hold `columns · F::COLUMN` `f32`s for each element, parameters `F::WEIGHT`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer for an input of the shape `{In}`",
    label = "not a layer here",
    note = "layers are types such as `Dense<10>`, `Relu`, or a tuple of up to twelve of them"
)]
pub trait Layer<In: Shaped>: Sized + 'static {
    /// The shape of the output.
    const OUT: Shape;
    /// Parameters, running statistics included.
    const PARAMS: usize = 0;
    /// Parameters in a model file; fewer are left of them in a folded network.
    const STORED: usize = Self::PARAMS;
    /// Parameters that are running statistics.
    const STATISTICS: usize = 0;
    /// Elements that the layer appends to the tape; 0 for one that works in place.
    const TAPE: usize = 0;
    /// Elements of the widest gradient that it handles, its input's not counted.
    const WIDTH: usize = 0;
    /// Those of the widest in the buffer where it finds the gradient of its output, and in the other.
    const WIDTHS: [usize; 2] = if Self::SWAPS.is_some() { [Self::WIDTH, 0] } else { [Self::WIDTH; 2] };
    /// Whether it leaves the gradient of its input in the other buffer; `None`: one or the other, and it needs both as wide.
    const SWAPS: Option<bool> = None;
    /// Elements of scratch that its passes use.
    const SCRATCH: usize = 0;
    /// Elements of scratch that its backward pass uses besides, with samples in lanes.
    const TRANSPOSED: usize = 0;
    /// Rows of weights, each of which has a noise scale of its own.
    const FILTERS: usize = 0;
    /// Weights of each output channel, when a batch norm behind can go into them: the parameters then end with `w[C][FAN_IN]` and `b[C]`.
    const FAN_IN: usize = 0;
    /// Factors of its rank-1 noise: filters and incoming weights of each of its matrices.
    const FACTORS: usize = 0;
    /// Whether it runs on the factors of rank-1 noise, without weights of a member's own: it has none, or adds what the factors give.
    const FACTORED: bool = Self::FILTERS == 0;
    /// Multiply-adds of the forward pass.
    const MACS: usize = 0;
    /// Multiply-adds of the forward pass of the first layer with parameters, whose input gradient a network does not need.
    const FIRST_MACS: usize = Self::MACS;
    /// Layers in it with random masks.
    const MASKS: u32 = 0;
    /// Its first parameters that are weights, which a scope of biases and gains leaves out.
    const WEIGHTS: usize = 0;
    /// The layers with parameters in it, each of which a [`Scope`] may leave out: itself, or what a layer of layers is made of.
    const LEAVES: Leaves = Leaves::one(Self::PARAMS, Self::WEIGHTS, Self::STATISTICS);
    /// Whether [`Layer::descend`] is written for it.
    const DESCENDS: bool = Self::PARAMS == 0;
    /// What it does first to the outputs of the layer before; `None` when it hands them on.
    const ACTIVATION: Option<Activation> = None;
    /// Whether forward changes its input.
    const OVERWRITES_INPUT: bool = false;
    /// Whether forward can do with its input sample by sample, so that nobody need transpose it: [`Pass::untransposed`].
    const TAKES_ROWS: bool = false;
    /// Whether backward reads its output, so that the layer behind must not change it.
    const NEEDS_OUTPUT: bool = false;
    /// Whether it mixes samples, so that a batch must not be cut into shards.
    const WHOLE_BATCH: bool = false;
    /// Whether members that divide a batch may run through it side by side, each sample with the factors of its member: it runs on factors, and
    /// mixes no samples, or those of one member only ([`Factors::parts`]).
    const SIDE_BY_SIDE: bool = Self::FACTORED && !Self::WHOLE_BATCH;

    /// Writes the layer as its type is written in Rust.
    ///
    /// # Errors
    /// When `to` is full.
    fn describe(to: &mut dyn fmt::Write) -> fmt::Result;

    /// Visits the parameters' ranges in order; the layer's first parameter has the index `offset`, its outputs go through `next`.
    fn segments(_offset: usize, _next: Activation, _visit: &mut dyn FnMut(Segment)) {}

    /// Writes the output, and what backward needs, to `tape`; in place: to `x`.
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], scratch: &mut [f32]);

    /// From input and tape of the forward pass and the output's gradient: adds to `gradient` (one `f32` per parameter in
    /// [`Pass::scope`]; see [`Pass::adds`]) and, when asked for, forms the input's gradient.
    fn backward<F: Form>(
        pass: &Pass,
        parameters: &[f32],
        x: &[f32],
        tape: &[f32],
        buffers: &mut Buffers,
        scratch: &mut [f32],
        gradient: &mut [f32],
    );

    /// [`Layer::backward`] for one sample that takes its step at once: each parameter in scope becomes `fma(rate, its gradient, it)`. It
    /// needs no gradient in memory, and gives the bits of a step that has one. Only where [`Layer::DESCENDS`].
    #[inline]
    fn descend<F: Form>(
        pass: &Pass,
        _rate: f32,
        parameters: &mut [f32],
        x: &[f32],
        tape: &[f32],
        buffers: &mut Buffers,
        scratch: &mut [f32],
    ) {
        debug_assert!(Self::DESCENDS, "this layer has no descent without a gradient in memory");
        Self::backward::<F>(pass, parameters, x, tape, buffers, scratch, &mut []);
    }

    /// Takes the batch statistics of a forward pass ([`Mode::Estimate`], one sample or member in a lane's weight) into the running
    /// statistics among the parameters; `share` is the part of all samples so far that this batch is.
    fn estimate<F: Form>(_pass: &Pass, _share: f32, _parameters: &mut [f32], _x: &[f32], _tape: &[f32]) {}

    /// Writes the parameters that a model file has `stored` to `parameters`, those of the whole network, from `offset` on.
    fn load(stored: Floats, parameters: &mut [f32], offset: usize) {
        stored.copy_into(&mut parameters[offset..][..Self::PARAMS]);
    }

    /// Shows a visitor this layer, or those that it is made of, in order; `wants` is whether a training pass wants the gradient of its input.
    fn visit<V: Visitor>(wants: bool, visitor: &mut V) {
        visitor.layer::<In, Self>(wants);
    }
}

/// The larger of two sizes, in a constant.
pub(crate) const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
