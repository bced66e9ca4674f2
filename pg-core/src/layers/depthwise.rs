//! Depthwise convolutions: every channel has a window of its own.

use core::fmt;
use core::marker::PhantomData;

use super::window::{Slides, Window, plane, write_window};
use crate::form::Form;
use crate::kernels::convolution::Convolution;
use crate::kernels::depthwise;
use crate::kernels::sum::bias_gradient;
use crate::layers::{Activation, Buffers, Layer, Part, Pass, Segment, SegmentKind};
use crate::shape::{Shape, Shaped};

/// `y[c][p] = b[c] + Σ w[c][t]·x[c][p·stride + t - padding]` over the places t of the window.
///
/// Parameters: `w[C][KH][KW]`, then `b[C]`.
pub struct Depthwise<W>(PhantomData<W>);

/// A square window: kernel, stride, padding.
pub type Depthwise2d<const KERNEL: usize, const STRIDE: usize = 1, const PADDING: usize = 0> =
    Depthwise<Window<KERNEL, KERNEL, STRIDE, STRIDE, PADDING, PADDING>>;

/// A window along the last axis, for sensor data `channels x 1 x time`.
pub type Depthwise1d<const KERNEL: usize, const STRIDE: usize = 1, const PADDING: usize = 0> =
    Depthwise<Window<1, KERNEL, 1, STRIDE, 0, PADDING>>;

impl<W: Slides> Depthwise<W> {
    const fn sizes(input: Shape) -> depthwise::Depthwise {
        depthwise::Depthwise { channels: input.channels, plane: plane(W::TEXT, input) }
    }
}

impl<W: Slides, In: Shaped> Layer<In> for Depthwise<W> {
    const OUT: Shape = Self::sizes(In::SHAPE).plane.shape(In::SHAPE.channels);
    const PARAMS: usize = (Self::sizes(In::SHAPE).plane.taps() + 1) * In::SHAPE.channels;
    const TAPE: usize = <Self as Layer<In>>::OUT.len();
    const WIDTH: usize = <Self as Layer<In>>::OUT.len();
    const SWAPS: Option<bool> = Some(true);
    const SCRATCH: usize = Self::sizes(In::SHAPE).scratch();
    const WEIGHTS: usize = Self::sizes(In::SHAPE).plane.taps() * In::SHAPE.channels;
    const FILTERS: usize = In::SHAPE.channels;
    const FAN_IN: usize = Self::sizes(In::SHAPE).plane.taps();
    const FACTORS: usize = Self::sizes(In::SHAPE).plane.taps() + In::SHAPE.channels;
    const FACTORED: bool = true;
    const MACS: usize = {
        let depthwise::Depthwise { channels, plane } = Self::sizes(In::SHAPE);
        Convolution { groups: channels, inputs: 1, outputs: 1, plane }.macs()
    };
    const ACTIVATION: Option<Activation> = Some(Activation::Linear);

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        write_window(to, "Depthwise", &[], &W::TEXT, [1, 0])
    }

    fn segments(offset: usize, next: Activation, visit: &mut dyn FnMut(Segment)) {
        let (channels, taps) = (In::SHAPE.channels, Self::sizes(In::SHAPE).plane.taps());
        visit(Segment::weights(offset, channels, taps, taps, next));
        visit(Segment::vector(SegmentKind::Bias, offset + channels * taps, channels));
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], scratch: &mut [f32]) {
        let element = pass.columns * F::COLUMN;
        let (x, y) = (&x[..In::SHAPE.len() * element], &mut tape[..<Self as Layer<In>>::OUT.len() * element]);
        const { Self::sizes(In::SHAPE) }.forward::<F>(pass, parameters, x, y, scratch);
    }

    #[inline]
    fn backward<F: Form>(
        pass: &Pass,
        parameters: &[f32],
        x: &[f32],
        _: &[f32],
        buffers: &mut Buffers,
        scratch: &mut [f32],
        gradient: &mut [f32],
    ) {
        let sizes = const { Self::sizes(In::SHAPE) };
        let element = pass.columns * F::COLUMN;
        let dy = &buffers.dy[..<Self as Layer<In>>::OUT.len() * element];
        match pass.scope.part() {
            Part::Everything => sizes.weight_gradient::<F>(pass, &x[..In::SHAPE.len() * element], dy, gradient, scratch),
            Part::Biases => bias_gradient::<F>(pass, sizes.plane.outputs(), dy, gradient),
            Part::Nothing => {}
        }
        if pass.wants_input_gradient {
            sizes.input_gradient::<F>(pass, parameters, dy, &mut buffers.dx[..In::SHAPE.len() * element], scratch);
            buffers.swap();
        }
    }
}
