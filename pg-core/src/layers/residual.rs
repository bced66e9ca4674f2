//! Residual connections (He et al., 2016): what a body of layers makes of its input, added to the input.

use core::fmt;
use core::marker::PhantomData;

use super::chain::output;
use super::{Activation, Buffers, Layer, Leaves, Pass, Segment, SegmentKind, Visitor, larger};
use crate::floats::Floats;
use crate::form::Form;
use crate::lane::Lane;
use crate::shape::{Shape, Shaped, Shared};
use crate::sharing::{LINE, MOVE, Sharing};

/// `y = shortcut(x) + body(x)`; the shortcut is the identity unless another layer (a projection) is named.
///
/// Neither branch may begin with an activation, which would change the input of the other, and the body must not end with one: put it
/// behind the `Residual`.
pub struct Residual<Body, Shortcut = ()>(PhantomData<(Body, Shortcut)>);

impl<In: Shaped, Body: Layer<Shared<In>>, Shortcut: Layer<Shared<In>>> Layer<In> for Residual<Body, Shortcut> {
    const OUT: Shape = {
        let (body, shortcut) = (Body::OUT, Shortcut::OUT);
        assert!(
            body.channels == shortcut.channels && body.height == shortcut.height && body.width == shortcut.width,
            "Residual: the body and the shortcut end in different shapes; a projection as the shortcut can match them"
        );
        assert!(!Body::OVERWRITES_INPUT && !Shortcut::OVERWRITES_INPUT, "Residual: a branch must not begin with an activation");
        assert!(Body::TAPE > 0 && !Body::NEEDS_OUTPUT, "Residual: the body must not end with an activation: put it behind the Residual");
        body
    };
    const PARAMS: usize = Body::PARAMS + Shortcut::PARAMS;
    const STORED: usize = Body::STORED + Shortcut::STORED;
    const STATISTICS: usize = Body::STATISTICS + Shortcut::STATISTICS;
    const TAPE: usize = Shortcut::TAPE + Body::TAPE;
    const WIDTH: usize = larger(Body::WIDTH, larger(Shortcut::WIDTH, Body::OUT.len()));
    // What the backward pass keeps: the gradient of the output and, with a projection, the body's gradient of the input.
    const SCRATCH: usize =
        Body::OUT.len() + if Shortcut::TAPE > 0 { In::SHAPE.len() } else { 0 } + larger(Body::SCRATCH, Shortcut::SCRATCH);
    const TRANSPOSED: usize = larger(Body::TRANSPOSED, Shortcut::TRANSPOSED);
    const FILTERS: usize = Body::FILTERS + Shortcut::FILTERS;
    const FACTORS: usize = Body::FACTORS + Shortcut::FACTORS;
    const FACTORED: bool = Body::FACTORED && Shortcut::FACTORED;
    const MACS: usize = Body::MACS + Shortcut::MACS;
    const FIRST_MACS: usize = Body::FIRST_MACS + Shortcut::FIRST_MACS;
    const MASKS: u32 = Body::MASKS + Shortcut::MASKS;
    const LEAVES: Leaves = Body::LEAVES.then(&Shortcut::LEAVES);
    const ACTIVATION: Option<Activation> = Some(Activation::Linear);
    const WHOLE_BATCH: bool = Body::WHOLE_BATCH || Shortcut::WHOLE_BATCH;
    const SIDE_BY_SIDE: bool = Body::SIDE_BY_SIDE && Shortcut::SIDE_BY_SIDE;

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        to.write_str("Residual<")?;
        Body::describe(to)?;
        if Shortcut::TAPE > 0 {
            to.write_str(",")?;
            Shortcut::describe(to)?;
        }
        to.write_str(">")
    }

    fn segments(offset: usize, _: Activation, visit: &mut dyn FnMut(Segment)) {
        let ends = |segment: &Segment| matches!(segment.kind, SegmentKind::Weight | SegmentKind::Gain);
        let mut last = None;
        Body::segments(offset, Activation::Linear, &mut |segment| {
            if ends(&segment) {
                last = Some(segment.offset);
            }
        });
        Body::segments(offset, Activation::Linear, &mut |segment| {
            let ends_residual = segment.ends_residual || ends(&segment) && last == Some(segment.offset);
            visit(Segment { ends_residual, ..segment });
        });
        Shortcut::segments(offset + Body::PARAMS, Activation::Linear, visit);
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], scratch: &mut [f32]) {
        let element = pass.columns * F::COLUMN;
        let (body, shortcut) = parameters.split_at(Body::PARAMS * F::WEIGHT);
        let (shortcut_tape, body_tape) = tape.split_at_mut(Shortcut::TAPE * element);
        let pass = pass.branch(false);
        Shortcut::forward::<F>(&pass.behind::<F, Shared<In>, Body>(), shortcut, x, shortcut_tape, scratch);
        Body::forward::<F>(&pass, body, x, body_tape, scratch);
        let y = &mut body_tape[(Body::TAPE - Body::OUT.len()) * element..Body::TAPE * element];
        add::<F::Value>(pass.sharing, output::<Shared<In>, Shortcut>(element, x, shortcut_tape), y);
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
        let (input, out) = (In::SHAPE.len() * element, Body::OUT.len() * element);
        let (body, shortcut) = parameters.split_at(Body::PARAMS * F::WEIGHT);
        let (shortcut_tape, body_tape) = tape.split_at(Shortcut::TAPE * element);
        let (body_gradient, shortcut_gradient) = gradient.split_at_mut(pass.scope.len(const { &Body::LEAVES }));
        let plain = Shortcut::TAPE == 0;
        let (kept, scratch) = scratch.split_at_mut(out + if plain { 0 } else { input });
        let (dy, body_dx) = kept.split_at_mut(out);
        pass.sharing.copy(&buffers.dy[..out], dy);
        let wants = pass.wants_input_gradient;
        let pass = pass.branch(wants);
        Body::backward::<F>(&pass, body, x, body_tape, buffers, scratch, body_gradient);
        if plain {
            if wants {
                add::<F::Value>(pass.sharing, dy, &mut buffers.dy[..out]);
            }
        } else {
            if wants {
                pass.sharing.copy(&buffers.dy[..input], body_dx);
            }
            pass.sharing.copy(dy, &mut buffers.dy[..out]);
            let of_shortcut = pass.behind::<F, Shared<In>, Body>();
            Shortcut::backward::<F>(&of_shortcut, shortcut, x, shortcut_tape, buffers, scratch, shortcut_gradient);
            if wants {
                add::<F::Value>(pass.sharing, body_dx, &mut buffers.dy[..input]);
            }
        }
    }

    fn estimate<F: Form>(pass: &Pass, share: f32, parameters: &mut [f32], x: &[f32], tape: &[f32]) {
        let (body, shortcut) = parameters.split_at_mut(Body::PARAMS);
        let (shortcut_tape, body_tape) = tape.split_at(Shortcut::TAPE * pass.columns * F::COLUMN);
        Body::estimate::<F>(pass, share, body, x, body_tape);
        Shortcut::estimate::<F>(pass, share, shortcut, x, shortcut_tape);
    }

    fn load(stored: Floats, parameters: &mut [f32], offset: usize) {
        let (body, shortcut) = stored.split_at(Body::STORED);
        Body::load(body, parameters, offset);
        Shortcut::load(shortcut, parameters, offset + Body::PARAMS);
    }

    fn visit<V: Visitor>(wants: bool, visitor: &mut V) {
        Body::visit(wants, visitor);
        Shortcut::visit(wants, visitor);
    }
}

/// `to += from`, over whole vectors.
#[cfg_attr(not(target_os = "none"), inline(never))]
pub(super) fn add<L: Lane>(sharing: Sharing, from: &[f32], to: &mut [f32]) {
    sharing.pieces(to, LINE, MOVE, |first, to| {
        for (from, to) in from[first * LINE..].chunks_exact(L::LANES).zip(to.chunks_exact_mut(L::LANES)) {
            (L::load(to) + L::load(from)).store(to);
        }
    });
}
