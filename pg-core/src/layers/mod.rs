//! Layers: the trait, and tuples of layers as a layer. Each kind of layer is one file.
//!
//! A layer is a type without data: its shapes and sizes are constants, its parameters and activations are slices that the
//! caller lends. To add one, copy a file, and add it to the lists below.
//!
//! # How activations and gradients lie
//! The *tape* of a network holds the input followed by what each layer appends; a layer finds its input at the front of its
//! part of the tape and leaves its output at the end. A layer that keeps the number of elements may work in place
//! and append nothing; then it must be able to form its gradient from its output alone.
//! On the way back the gradient lies in `dy`; a layer leaves the gradient of its input in `dx` when it [`Layer::SWAPS`],
//! else in `dy`.

mod activations;
mod dense;
mod reshape;

use core::fmt;

pub use activations::{LeakyRelu, Relu, Sigmoid, Tanh};
pub use dense::Dense;
pub use reshape::{Expect, Flatten};

use crate::form::Form;
use crate::shape::{After, Shape, Shaped};

/// What a range of parameters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// A matrix of weights, filter by filter: noised.
    Weight,
    /// One bias for each filter: not noised.
    Bias,
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
    /// Incoming weights of each filter; 1 for biases.
    pub fan_in: usize,
}

/// What the layers of one forward or backward pass need to know besides their memory.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// Samples in this pass. Lanes beyond them hold zeros in the input and in the loss's gradient.
    pub samples: usize,
    /// Columns of an activation: [`Form::columns`] of the samples.
    pub columns: usize,
    /// Members in the lanes ([`crate::form::Members`]); 1 otherwise.
    pub members: usize,
    /// Whether gradients of the parameters are added to what is there; otherwise they are written over it.
    pub adds: bool,
    /// Whether the gradient of the layer's input is asked for.
    pub wants_input_gradient: bool,
    /// The layer's input sample by sample, `[sample][element]`, when the caller has it so.
    pub input_rows: Option<&'a [f32]>,
}

/// A layer for inputs of the shape `In`.
///
/// All sizes count elements of one sample. Slices hold `columns · F::COLUMN` `f32`s for each element, parameters `F::WEIGHT`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer for an input of the shape `{In}`",
    label = "not a layer here",
    note = "layers are types such as `Dense<10>`, `Relu`, or a tuple of up to twelve of them"
)]
pub trait Layer<In: Shaped>: 'static {
    /// The shape of the output.
    const OUT: Shape;
    /// Parameters.
    const PARAMS: usize = 0;
    /// Elements that the layer appends to the tape.
    const TAPE: usize = 0;
    /// Elements of the widest gradient that it handles, its input's not counted.
    const WIDTH: usize = 0;
    /// Elements of scratch that its backward pass uses.
    const SCRATCH: usize = 0;
    /// Rows of weights, each of which has a noise scale of its own.
    const FILTERS: usize = 0;
    /// Multiply-adds of the forward pass.
    const MACS: usize = 0;
    /// Multiply-adds of the forward pass of the first layer with parameters, whose input gradient a network does not need.
    const FIRST_MACS: usize = Self::MACS;
    /// Whether backward leaves its result in `dx` (else in `dy`).
    const SWAPS: bool = false;
    /// Whether forward changes the input on the tape.
    const OVERWRITES_INPUT: bool = false;

    /// Writes the layer as its type is written in Rust.
    fn describe(to: &mut dyn fmt::Write) -> fmt::Result;

    /// Visits the parameters' ranges in order; the layer's first parameter has the index `offset`.
    fn segments(_offset: usize, _visit: &mut dyn FnMut(Segment)) {}

    /// `tape`: input, then [`Layer::TAPE`] elements to write.
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], tape: &mut [f32]);

    /// From the tape of the forward pass and the output's gradient: adds to `gradient` (one `f32` per parameter; see
    /// [`Pass::adds`]) and, when asked for, forms the input's gradient.
    fn backward<F: Form>(
        pass: &Pass,
        parameters: &[f32],
        tape: &[f32],
        scratch: &mut [f32],
        dy: &mut [f32],
        dx: &mut [f32],
        gradient: &mut [f32],
    );
}

/// The larger of two sizes, in a constant.
pub(crate) const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// A layer and what follows it: `(A, B, C)` works as `Chain<A, Chain<B, C>>`.
struct Chain<A, B>(core::marker::PhantomData<(A, B)>);

impl<In: Shaped, A: Layer<In>, B: Layer<After<In, A>>> Layer<In> for Chain<A, B> {
    const OUT: Shape = B::OUT;
    const PARAMS: usize = A::PARAMS + B::PARAMS;
    const TAPE: usize = A::TAPE + B::TAPE;
    const WIDTH: usize = larger(larger(A::WIDTH, B::WIDTH), A::OUT.len());
    const SCRATCH: usize = larger(A::SCRATCH, B::SCRATCH);
    const FILTERS: usize = A::FILTERS + B::FILTERS;
    const MACS: usize = A::MACS + B::MACS;
    const FIRST_MACS: usize = if A::PARAMS > 0 { A::FIRST_MACS } else { B::FIRST_MACS };
    const SWAPS: bool = A::SWAPS != B::SWAPS;
    const OVERWRITES_INPUT: bool = A::OVERWRITES_INPUT || (A::TAPE == 0 && B::OVERWRITES_INPUT);

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        A::describe(to)?;
        to.write_str(",")?;
        B::describe(to)
    }

    fn segments(offset: usize, visit: &mut dyn FnMut(Segment)) {
        A::segments(offset, visit);
        B::segments(offset + A::PARAMS, visit);
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], tape: &mut [f32]) {
        let element = pass.columns * F::COLUMN;
        let (first, second) = parameters.split_at(A::PARAMS * F::WEIGHT);
        let boundary = In::SHAPE.len() + A::TAPE;
        A::forward::<F>(pass, first, &mut tape[..boundary * element]);
        B::forward::<F>(pass, second, &mut tape[(boundary - A::OUT.len()) * element..]);
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
        let element = pass.columns * F::COLUMN;
        let (first, second) = parameters.split_at(A::PARAMS * F::WEIGHT);
        let (first_gradient, second_gradient) = gradient.split_at_mut(A::PARAMS);
        let boundary = In::SHAPE.len() + A::TAPE;
        // A's output is the caller's input only when A does nothing; its gradient is needed when A has something to learn.
        let inner = Pass {
            wants_input_gradient: pass.wants_input_gradient || A::PARAMS > 0,
            input_rows: if A::TAPE == 0 && !A::OVERWRITES_INPUT { pass.input_rows } else { None },
            ..*pass
        };
        B::backward::<F>(&inner, second, &tape[(boundary - A::OUT.len()) * element..], scratch, dy, dx, second_gradient);
        if A::PARAMS > 0 || pass.wants_input_gradient {
            let (dy, dx) = if B::SWAPS { (dx, dy) } else { (dy, dx) };
            A::backward::<F>(pass, first, &tape[..boundary * element], scratch, dy, dx, first_gradient);
        }
    }
}

/// `chain!(A B C)` is `Chain<A, Chain<B, C>>`.
macro_rules! chain {
    ($only:ident) => { $only };
    ($first:ident $($rest:ident)+) => { Chain<$first, chain!($($rest)+)> };
}

/// `impl Layer<In> for (A, B, …)`: every item is that of the chain.
macro_rules! tuple {
    ($($name:ident: $input:ty,)+) => {
        impl<In: Shaped, $($name: Layer<$input>),+> Layer<In> for ($($name,)+) {
            const OUT: Shape = <chain!($($name)+) as Layer<In>>::OUT;
            const PARAMS: usize = <chain!($($name)+) as Layer<In>>::PARAMS;
            const TAPE: usize = <chain!($($name)+) as Layer<In>>::TAPE;
            const WIDTH: usize = <chain!($($name)+) as Layer<In>>::WIDTH;
            const SCRATCH: usize = <chain!($($name)+) as Layer<In>>::SCRATCH;
            const FILTERS: usize = <chain!($($name)+) as Layer<In>>::FILTERS;
            const MACS: usize = <chain!($($name)+) as Layer<In>>::MACS;
            const FIRST_MACS: usize = <chain!($($name)+) as Layer<In>>::FIRST_MACS;
            const SWAPS: bool = <chain!($($name)+) as Layer<In>>::SWAPS;
            const OVERWRITES_INPUT: bool = <chain!($($name)+) as Layer<In>>::OVERWRITES_INPUT;

            fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
                to.write_str("(")?;
                <chain!($($name)+) as Layer<In>>::describe(to)?;
                // A comma behind each, so that a tuple of one is a tuple.
                to.write_str(",)")
            }
            fn segments(offset: usize, visit: &mut dyn FnMut(Segment)) {
                <chain!($($name)+) as Layer<In>>::segments(offset, visit);
            }
            #[inline]
            fn forward<Lanes: Form>(pass: &Pass, parameters: &[f32], tape: &mut [f32]) {
                <chain!($($name)+) as Layer<In>>::forward::<Lanes>(pass, parameters, tape);
            }
            #[inline]
            fn backward<Lanes: Form>(
                pass: &Pass,
                parameters: &[f32],
                tape: &[f32],
                scratch: &mut [f32],
                dy: &mut [f32],
                dx: &mut [f32],
                gradient: &mut [f32],
            ) {
                <chain!($($name)+) as Layer<In>>::backward::<Lanes>(pass, parameters, tape, scratch, dy, dx, gradient);
            }
        }
    };
}

/// One `tuple!` for each length: `tuples!([] In; A B C)` makes `(A,)`, `(A, B)` and `(A, B, C)`, where B's input is `After<In, A>`.
macro_rules! tuples {
    ([$($done:tt)*] $input:ty;) => {};
    ([$($done:tt)*] $input:ty; $next:ident $($rest:ident)*) => {
        tuple!($($done)* $next: $input,);
        tuples!([$($done)* $next: $input,] After<$input, $next>; $($rest)*);
    };
}
tuples!([] In; A B C D E F G H I J K L);
