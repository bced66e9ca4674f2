//! Branches side by side, their outputs one behind the other: both over the whole input ([`Parallel`]), or each over its
//! share of the channels ([`Split`]).

use core::fmt;
use core::marker::PhantomData;

use super::chain::output;
use super::residual::add;
use super::{Activation, Buffers, Layer, Leaves, Pass, Segment, Visitor, larger};
use crate::floats::Floats;
use crate::form::Form;
use crate::shape::{Shape, Shaped, Shared};

/// `y = (a(x), b(x))`, along the channels. The empty tuple is the identity. Neither branch may begin with an activation.
pub struct Parallel<A, B>(PhantomData<(A, B)>);

/// `y = (x, body(x))`: dense connectivity (Huang et al., 2017).
pub type Concat<Body> = Parallel<(), Body>;

/// `y = (a(x₁), b(x₂))`, along the channels: x₁ are the first `FIRST` channels, x₂ the others.
pub struct Split<const FIRST: usize, A, B>(PhantomData<(A, B)>);

/// The first `COUNT` channels of a shape.
pub struct FirstChannels<In, const COUNT: usize>(PhantomData<In>);

/// The channels of a shape but the first `COUNT`.
pub struct OtherChannels<In, const COUNT: usize>(PhantomData<In>);

impl<In: Shaped, const COUNT: usize> Shaped for FirstChannels<In, COUNT> {
    const SHAPE: Shape = {
        assert!(COUNT > 0 && COUNT < In::SHAPE.channels, "Split: each part must have at least one channel");
        Shape::new(COUNT, In::SHAPE.height, In::SHAPE.width)
    };
    const FOLDED: bool = In::FOLDED;
}

impl<In: Shaped, const COUNT: usize> Shaped for OtherChannels<In, COUNT> {
    const SHAPE: Shape = Shape::new(In::SHAPE.channels - COUNT, In::SHAPE.height, In::SHAPE.width);
    const FOLDED: bool = In::FOLDED;
}

/// The channels of both.
const fn joined(a: Shape, b: Shape) -> Shape {
    assert!(a.height == b.height && a.width == b.width, "the branches end in images of different sizes");
    Shape::new(a.channels + b.channels, a.height, a.width)
}

/// What `impl Layer` has in common for branches of the inputs `$a` and `$b`, which may be `shared`.
macro_rules! branches {
    ($a:ty, $b:ty, shared: $shared:literal) => {
        const OUT: Shape = {
            assert!(!$shared || !A::OVERWRITES_INPUT && !B::OVERWRITES_INPUT, "Parallel: a branch must not begin with an activation");
            joined(<A as Layer<$a>>::OUT, <B as Layer<$b>>::OUT)
        };
        const PARAMS: usize = A::PARAMS + B::PARAMS;
        const STORED: usize = A::STORED + B::STORED;
        const STATISTICS: usize = A::STATISTICS + B::STATISTICS;
        const TAPE: usize = A::TAPE + B::TAPE + <Self as Layer<In>>::OUT.len();
        const WIDTH: usize = larger(larger(A::WIDTH, B::WIDTH), larger(<Self as Layer<In>>::OUT.len(), In::SHAPE.len()));
        // What the backward pass keeps: the gradients of B's output and of A's input.
        const SCRATCH: usize = B::OUT.len() + <$a as Shaped>::SHAPE.len() + larger(A::SCRATCH, B::SCRATCH);
        const TRANSPOSED: usize = larger(A::TRANSPOSED, B::TRANSPOSED);
        const FILTERS: usize = A::FILTERS + B::FILTERS;
        const FACTORS: usize = A::FACTORS + B::FACTORS;
        const FACTORED: bool = A::FACTORED && B::FACTORED;
        const MACS: usize = A::MACS + B::MACS;
        const FIRST_MACS: usize = A::FIRST_MACS + B::FIRST_MACS;
        const MASKS: u32 = A::MASKS + B::MASKS;
        const LEAVES: Leaves = A::LEAVES.then(&B::LEAVES);
        const ACTIVATION: Option<Activation> = Some(Activation::Linear);
        const WHOLE_BATCH: bool = A::WHOLE_BATCH || B::WHOLE_BATCH;
        const SIDE_BY_SIDE: bool = A::SIDE_BY_SIDE && B::SIDE_BY_SIDE;

        fn segments(offset: usize, next: Activation, visit: &mut dyn FnMut(Segment)) {
            A::segments(offset, next, visit);
            B::segments(offset + A::PARAMS, next, visit);
        }

        fn load(stored: Floats, parameters: &mut [f32], offset: usize) {
            let (first, second) = stored.split_at(A::STORED);
            A::load(first, parameters, offset);
            B::load(second, parameters, offset + A::PARAMS);
        }

        fn visit<V: Visitor>(wants: bool, visitor: &mut V) {
            A::visit(wants, visitor);
            B::visit(wants, visitor);
        }
    };
}

impl<In: Shaped, A: Layer<Shared<In>>, B: Layer<Shared<In>>> Layer<In> for Parallel<A, B> {
    branches!(Shared<In>, Shared<In>, shared: true);

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        to.write_str("Parallel<")?;
        A::describe(to)?;
        to.write_str(",")?;
        B::describe(to)?;
        to.write_str(">")
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], scratch: &mut [f32]) {
        let element = pass.columns * F::COLUMN;
        let (first, second) = parameters.split_at(A::PARAMS * F::WEIGHT);
        let (a_tape, rest) = tape.split_at_mut(A::TAPE * element);
        let (b_tape, y) = rest.split_at_mut(B::TAPE * element);
        let pass = pass.branch(false);
        A::forward::<F>(&pass, first, x, a_tape, scratch);
        B::forward::<F>(&pass.behind::<F, Shared<In>, A>(), second, x, b_tape, scratch);
        let (ya, yb) = y.split_at_mut(A::OUT.len() * element);
        pass.sharing.copy(output::<Shared<In>, A>(element, x, a_tape), ya);
        pass.sharing.copy(output::<Shared<In>, B>(element, x, b_tape), &mut yb[..B::OUT.len() * element]);
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
        let kept = backward::<F, Shared<In>, Shared<In>, A, B>(pass, parameters, [x, x], tape, buffers, scratch, gradient);
        if pass.wants_input_gradient {
            let input = kept.len();
            add::<F::Value>(pass.sharing, kept, &mut buffers.dy[..input]);
        }
    }

    fn estimate<F: Form>(pass: &Pass, share: f32, parameters: &mut [f32], x: &[f32], tape: &[f32]) {
        estimate::<F, Shared<In>, Shared<In>, A, B>(pass, share, parameters, [x, x], tape);
    }
}

impl<const FIRST: usize, In, A, B> Layer<In> for Split<FIRST, A, B>
where
    In: Shaped,
    A: Layer<FirstChannels<In, FIRST>>,
    B: Layer<OtherChannels<In, FIRST>>,
{
    branches!(FirstChannels<In, FIRST>, OtherChannels<In, FIRST>, shared: false);
    const OVERWRITES_INPUT: bool = A::OVERWRITES_INPUT || B::OVERWRITES_INPUT;

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        write!(to, "Split<{FIRST},")?;
        A::describe(to)?;
        to.write_str(",")?;
        B::describe(to)?;
        to.write_str(">")
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], scratch: &mut [f32]) {
        let element = pass.columns * F::COLUMN;
        let (first, second) = parameters.split_at(A::PARAMS * F::WEIGHT);
        let (a_tape, rest) = tape.split_at_mut(A::TAPE * element);
        let (b_tape, y) = rest.split_at_mut(B::TAPE * element);
        let (xa, xb) = x.split_at_mut(FirstChannels::<In, FIRST>::SHAPE.len() * element);
        let pass = pass.branch(false);
        A::forward::<F>(&pass, first, xa, a_tape, scratch);
        B::forward::<F>(&pass.behind::<F, FirstChannels<In, FIRST>, A>(), second, xb, b_tape, scratch);
        let (ya, yb) = y.split_at_mut(A::OUT.len() * element);
        pass.sharing.copy(output::<_, A>(element, xa, a_tape), ya);
        pass.sharing.copy(output::<_, B>(element, xb, b_tape), &mut yb[..B::OUT.len() * element]);
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
        let element = pass.columns * F::COLUMN;
        let (first, other) = (FirstChannels::<In, FIRST>::SHAPE.len() * element, OtherChannels::<In, FIRST>::SHAPE.len() * element);
        let (xa, xb) = x.split_at(first);
        let kept = backward::<F, FirstChannels<In, FIRST>, OtherChannels<In, FIRST>, A, B>(
            pass,
            parameters,
            [xa, xb],
            tape,
            buffers,
            scratch,
            gradient,
        );
        if pass.wants_input_gradient {
            buffers.dy.copy_within(..other, first);
            pass.sharing.copy(kept, &mut buffers.dy[..first]);
        }
    }

    fn estimate<F: Form>(pass: &Pass, share: f32, parameters: &mut [f32], x: &[f32], tape: &[f32]) {
        let (xa, xb) = x.split_at(FirstChannels::<In, FIRST>::SHAPE.len() * pass.columns * F::COLUMN);
        estimate::<F, _, _, A, B>(pass, share, parameters, [xa, xb], tape);
    }
}

/// Takes both branches back: leaves the gradient of B's input in `dy` and returns that of A's.
#[inline]
fn backward<'a, F: Form, InA: Shaped, InB: Shaped, A: Layer<InA>, B: Layer<InB>>(
    pass: &Pass,
    parameters: &[f32],
    [xa, xb]: [&[f32]; 2],
    tape: &[f32],
    buffers: &mut Buffers,
    scratch: &'a mut [f32],
    gradient: &mut [f32],
) -> &'a [f32] {
    let element = pass.columns * F::COLUMN;
    let wants = pass.wants_input_gradient;
    let pass = pass.branch(wants);
    let (a_out, b_out, input) = (A::OUT.len() * element, B::OUT.len() * element, InA::SHAPE.len() * element);
    let (first, second) = parameters.split_at(A::PARAMS * F::WEIGHT);
    let (a_tape, rest) = tape.split_at(A::TAPE * element);
    let (first_gradient, second_gradient) = gradient.split_at_mut(pass.scope.len(const { &A::LEAVES }));
    let (dyb, rest_of_scratch) = scratch.split_at_mut(b_out);
    let (dxa, scratch) = rest_of_scratch.split_at_mut(input);
    pass.sharing.copy(&buffers.dy[a_out..a_out + b_out], dyb);
    A::backward::<F>(&pass, first, xa, a_tape, buffers, scratch, first_gradient);
    if wants {
        pass.sharing.copy(&buffers.dy[..input], dxa);
    }
    pass.sharing.copy(dyb, &mut buffers.dy[..b_out]);
    B::backward::<F>(&pass.behind::<F, InA, A>(), second, xb, &rest[..B::TAPE * element], buffers, scratch, second_gradient);
    dxa
}

fn estimate<F: Form, InA: Shaped, InB: Shaped, A: Layer<InA>, B: Layer<InB>>(
    pass: &Pass,
    share: f32,
    parameters: &mut [f32],
    [xa, xb]: [&[f32]; 2],
    tape: &[f32],
) {
    let element = pass.columns * F::COLUMN;
    let (first, second) = parameters.split_at_mut(A::PARAMS);
    let (a_tape, rest) = tape.split_at(A::TAPE * element);
    A::estimate::<F>(pass, share, first, xa, a_tape);
    B::estimate::<F>(pass, share, second, xb, &rest[..B::TAPE * element]);
}
