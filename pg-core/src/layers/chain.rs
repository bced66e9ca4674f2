//! Layers behind each other: tuples of layers as a layer, and the empty tuple as the layer that does nothing.

use core::fmt;

use super::{Activation, Buffers, Layer, Leaves, Pass, Segment, Visitor, larger};
use crate::floats::Floats;
use crate::form::Form;
use crate::shape::{After, Shape, Shaped};

/// The identity, for branches.
impl<In: Shaped> Layer<In> for () {
    const OUT: Shape = In::SHAPE;
    const SWAPS: Option<bool> = Some(false);

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        to.write_str("()")
    }
    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(always))]
    fn forward<F: Form>(_: &Pass, _: &[f32], _: &mut [f32], _: &mut [f32], _: &mut [f32]) {}
    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(always))]
    fn backward<F: Form>(_: &Pass, _: &[f32], _: &[f32], _: &[f32], _: &mut Buffers, _: &mut [f32], _: &mut [f32]) {}
    fn visit<V: Visitor>(_: bool, _: &mut V) {}
}

/// Where layer `L` left its output: at the end of its tape, or in its input.
pub(super) fn output<'a, In: Shaped, L: Layer<In>>(element: usize, x: &'a [f32], tape: &'a [f32]) -> &'a [f32] {
    if L::TAPE == 0 { x } else { &tape[(L::TAPE - L::OUT.len()) * element..L::TAPE * element] }
}

/// A layer and what follows it: `(A, B, C)` works as `Chain<A, Chain<B, C>>`.
struct Chain<A, B>(core::marker::PhantomData<(A, B)>);

impl<In: Shaped, A: Layer<In>, B: Layer<After<In, A>>> Layer<In> for Chain<A, B> {
    const OUT: Shape = {
        assert!(
            !A::NEEDS_OUTPUT || !B::OVERWRITES_INPUT,
            "an activation works in place: put a layer with weights before it, not another activation"
        );
        B::OUT
    };
    const PARAMS: usize = A::PARAMS + B::PARAMS;
    const STORED: usize = A::STORED + B::STORED;
    const STATISTICS: usize = A::STATISTICS + B::STATISTICS;
    const TAPE: usize = A::TAPE + B::TAPE;
    const WIDTH: usize = larger(larger(A::WIDTH, B::WIDTH), Self::handed_on::<In>());
    const WIDTHS: [usize; 2] = {
        let [own, other] = [larger(A::WIDTHS[0], Self::handed_on::<In>()), A::WIDTHS[1]];
        let [own, other] = match B::SWAPS {
            Some(false) => [own, other],
            Some(true) => [other, own],
            None => [larger(own, other); 2],
        };
        [larger(B::WIDTHS[0], own), larger(B::WIDTHS[1], other)]
    };
    const SWAPS: Option<bool> = match (A::SWAPS, B::SWAPS) {
        (Some(a), Some(b)) => Some(a != b),
        _ => None,
    };
    const SCRATCH: usize = larger(A::SCRATCH, B::SCRATCH);
    const TRANSPOSED: usize = larger(A::TRANSPOSED, B::TRANSPOSED);
    const FILTERS: usize = A::FILTERS + B::FILTERS;
    const FAN_IN: usize = B::FAN_IN;
    const FACTORS: usize = A::FACTORS + B::FACTORS;
    const FACTORED: bool = A::FACTORED && B::FACTORED;
    const MACS: usize = A::MACS + B::MACS;
    const FIRST_MACS: usize = if A::PARAMS > 0 { A::FIRST_MACS } else { B::FIRST_MACS };
    const MASKS: u32 = A::MASKS + B::MASKS;
    const LEAVES: Leaves = A::LEAVES.then(&B::LEAVES);
    const DESCENDS: bool = A::DESCENDS && B::DESCENDS;
    const ACTIVATION: Option<Activation> = if A::ACTIVATION.is_some() { A::ACTIVATION } else { B::ACTIVATION };
    const OVERWRITES_INPUT: bool = A::OVERWRITES_INPUT || (A::TAPE == 0 && B::OVERWRITES_INPUT);
    const TAKES_ROWS: bool = A::TAKES_ROWS || A::TAPE == 0 && !A::OVERWRITES_INPUT && B::TAKES_ROWS;
    const NEEDS_OUTPUT: bool = B::NEEDS_OUTPUT || (B::TAPE == 0 && A::NEEDS_OUTPUT);
    const WHOLE_BATCH: bool = A::WHOLE_BATCH || B::WHOLE_BATCH;
    const SIDE_BY_SIDE: bool = A::SIDE_BY_SIDE && B::SIDE_BY_SIDE;

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        A::describe(to)?;
        to.write_str(",")?;
        B::describe(to)
    }

    fn segments(offset: usize, next: Activation, visit: &mut dyn FnMut(Segment)) {
        A::segments(offset, B::ACTIVATION.unwrap_or(next), visit);
        B::segments(offset + A::PARAMS, next, visit);
    }

    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(always))]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], scratch: &mut [f32]) {
        let element = pass.columns * F::COLUMN;
        let (first, second) = parameters.split_at(A::PARAMS * F::WEIGHT);
        let (first_tape, second_tape) = tape.split_at_mut(A::TAPE * element);
        A::forward::<F>(pass, first, x, first_tape, scratch);
        let x = if A::TAPE == 0 { x } else { &mut first_tape[(A::TAPE - A::OUT.len()) * element..] };
        B::forward::<F>(&pass.behind::<F, In, A>(), second, x, second_tape, scratch);
    }

    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(always))]
    fn backward<F: Form>(
        pass: &Pass,
        parameters: &[f32],
        x: &[f32],
        tape: &[f32],
        buffers: &mut Buffers,
        scratch: &mut [f32],
        gradient: &mut [f32],
    ) {
        let element = pass.columns * F::COLUMN;
        let (first, second) = parameters.split_at(A::PARAMS * F::WEIGHT);
        let (first_tape, second_tape) = tape.split_at(A::TAPE * element);
        let (first_gradient, second_gradient) = gradient.split_at_mut(pass.scope.len(const { &A::LEAVES }).min(gradient.len()));
        let inner = Self::inner::<F, In>(pass);
        B::backward::<F>(&inner, second, output::<In, A>(element, x, first_tape), second_tape, buffers, scratch, second_gradient);
        if inner.wants_input_gradient {
            A::backward::<F>(pass, first, x, first_tape, buffers, scratch, first_gradient);
        }
    }

    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(always))]
    fn descend<F: Form>(
        pass: &Pass,
        rate: f32,
        parameters: &mut [f32],
        x: &[f32],
        tape: &[f32],
        buffers: &mut Buffers,
        scratch: &mut [f32],
    ) {
        let element = pass.columns * F::COLUMN;
        let (first, second) = parameters.split_at_mut(A::PARAMS);
        let (first_tape, second_tape) = tape.split_at(A::TAPE * element);
        let inner = Self::inner::<F, In>(pass);
        B::descend::<F>(&inner, rate, second, output::<In, A>(element, x, first_tape), second_tape, buffers, scratch);
        if inner.wants_input_gradient {
            A::descend::<F>(pass, rate, first, x, first_tape, buffers, scratch);
        }
    }

    fn estimate<F: Form>(pass: &Pass, share: f32, parameters: &mut [f32], x: &[f32], tape: &[f32]) {
        let element = pass.columns * F::COLUMN;
        let (first, second) = parameters.split_at_mut(A::PARAMS);
        let (first_tape, second_tape) = tape.split_at(A::TAPE * element);
        A::estimate::<F>(pass, share, first, x, first_tape);
        B::estimate::<F>(pass, share, second, output::<In, A>(element, x, first_tape), second_tape);
    }

    fn load(stored: Floats, parameters: &mut [f32], offset: usize) {
        let (first, second) = stored.split_at(A::STORED);
        A::load(first, parameters, offset);
        B::load(second, parameters, offset + A::PARAMS);
    }

    fn visit<V: Visitor>(wants: bool, visitor: &mut V) {
        A::visit(wants, visitor);
        B::visit(wants || A::PARAMS > 0, visitor);
    }
}

impl<A, B> Chain<A, B> {
    /// Elements of the gradient of A's output. That of what A hands on as it is, or smaller, is asked for only where that of the input is, and
    /// counted there.
    const fn handed_on<In: Shaped>() -> usize
    where
        A: Layer<In>,
    {
        if A::PARAMS > 0 || A::OUT.len() > In::SHAPE.len() { A::OUT.len() } else { 0 }
    }

    /// The backward pass of B: A's output is the caller's input only when A does nothing; its gradient is needed when A, or what lies
    /// before it, has something to learn.
    #[inline(always)]
    fn inner<'a, F: Form, In: Shaped>(pass: &Pass<'a>) -> Pass<'a>
    where
        A: Layer<In>,
    {
        Pass {
            wants_input_gradient: pass.wants_input_gradient || A::PARAMS > 0 && pass.scope.trains(A::LEAVES.count()),
            ..pass.behind::<F, In, A>()
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
            const STORED: usize = <chain!($($name)+) as Layer<In>>::STORED;
            const STATISTICS: usize = <chain!($($name)+) as Layer<In>>::STATISTICS;
            const TAPE: usize = <chain!($($name)+) as Layer<In>>::TAPE;
            const WIDTH: usize = <chain!($($name)+) as Layer<In>>::WIDTH;
            const WIDTHS: [usize; 2] = <chain!($($name)+) as Layer<In>>::WIDTHS;
            const SWAPS: Option<bool> = <chain!($($name)+) as Layer<In>>::SWAPS;
            const SCRATCH: usize = <chain!($($name)+) as Layer<In>>::SCRATCH;
            const TRANSPOSED: usize = <chain!($($name)+) as Layer<In>>::TRANSPOSED;
            const FILTERS: usize = <chain!($($name)+) as Layer<In>>::FILTERS;
            const FAN_IN: usize = <chain!($($name)+) as Layer<In>>::FAN_IN;
            const FACTORS: usize = <chain!($($name)+) as Layer<In>>::FACTORS;
            const FACTORED: bool = <chain!($($name)+) as Layer<In>>::FACTORED;
            const MACS: usize = <chain!($($name)+) as Layer<In>>::MACS;
            const FIRST_MACS: usize = <chain!($($name)+) as Layer<In>>::FIRST_MACS;
            const MASKS: u32 = <chain!($($name)+) as Layer<In>>::MASKS;
            const LEAVES: Leaves = <chain!($($name)+) as Layer<In>>::LEAVES;
            const DESCENDS: bool = <chain!($($name)+) as Layer<In>>::DESCENDS;
            const ACTIVATION: Option<Activation> = <chain!($($name)+) as Layer<In>>::ACTIVATION;
            const OVERWRITES_INPUT: bool = <chain!($($name)+) as Layer<In>>::OVERWRITES_INPUT;
            const TAKES_ROWS: bool = <chain!($($name)+) as Layer<In>>::TAKES_ROWS;
            const NEEDS_OUTPUT: bool = <chain!($($name)+) as Layer<In>>::NEEDS_OUTPUT;
            const WHOLE_BATCH: bool = <chain!($($name)+) as Layer<In>>::WHOLE_BATCH;
            const SIDE_BY_SIDE: bool = <chain!($($name)+) as Layer<In>>::SIDE_BY_SIDE;

            fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
                to.write_str("(")?;
                <chain!($($name)+) as Layer<In>>::describe(to)?;
                // A comma behind each, so that a tuple of one is a tuple.
                to.write_str(",)")
            }
            fn segments(offset: usize, next: Activation, visit: &mut dyn FnMut(Segment)) {
                <chain!($($name)+) as Layer<In>>::segments(offset, next, visit);
            }
            #[cfg_attr(not(target_os = "none"), inline)]
            #[cfg_attr(target_os = "none", inline(always))]
            fn forward<Lanes: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], scratch: &mut [f32]) {
                <chain!($($name)+) as Layer<In>>::forward::<Lanes>(pass, parameters, x, tape, scratch);
            }
            #[cfg_attr(not(target_os = "none"), inline)]
            #[cfg_attr(target_os = "none", inline(always))]
            fn backward<Lanes: Form>(pass: &Pass, parameters: &[f32], x: &[f32], tape: &[f32], buffers: &mut Buffers, scratch: &mut [f32], gradient: &mut [f32]) {
                <chain!($($name)+) as Layer<In>>::backward::<Lanes>(pass, parameters, x, tape, buffers, scratch, gradient);
            }
            #[cfg_attr(not(target_os = "none"), inline)]
            #[cfg_attr(target_os = "none", inline(always))]
            fn descend<Lanes: Form>(pass: &Pass, rate: f32, parameters: &mut [f32], x: &[f32], tape: &[f32], buffers: &mut Buffers, scratch: &mut [f32]) {
                <chain!($($name)+) as Layer<In>>::descend::<Lanes>(pass, rate, parameters, x, tape, buffers, scratch);
            }
            fn estimate<Lanes: Form>(pass: &Pass, share: f32, parameters: &mut [f32], x: &[f32], tape: &[f32]) {
                <chain!($($name)+) as Layer<In>>::estimate::<Lanes>(pass, share, parameters, x, tape);
            }
            fn load(stored: Floats, parameters: &mut [f32], offset: usize) {
                <chain!($($name)+) as Layer<In>>::load(stored, parameters, offset);
            }
            fn visit<V: Visitor>(wants: bool, visitor: &mut V) {
                <chain!($($name)+) as Layer<In>>::visit(wants, visitor);
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
