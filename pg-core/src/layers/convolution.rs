//! Convolutions over images and over windows of sensor data, in groups if wanted. The kernels are free of types
//! ([`crate::kernels`]), shared by all windows.

use core::fmt;
use core::marker::PhantomData;

use super::window::{Slides, Window, plane, write_window};
use crate::form::Form;
use crate::kernels::convolution::Convolution;
use crate::kernels::sum::bias_gradient;
use crate::layers::{Activation, Buffers, Layer, Part, Pass, Segment, SegmentKind};
use crate::shape::{Shape, Shaped};

/// `y[o][p] = b[o] + Σ w[o][c][t]·x[c][p·stride + t - padding]` over the channels c of o's group and the places t of the window.
///
/// Input and output channels are divided evenly among `GROUPS`. Parameters: `w[OUT][C / GROUPS][KH][KW]`, then `b[OUT]`, as in PyTorch and ONNX.
pub struct Conv<const OUT: usize, W, const GROUPS: usize = 1>(PhantomData<W>);

/// A square window: kernel, stride, padding.
pub type Conv2d<const OUT: usize, const KERNEL: usize, const STRIDE: usize = 1, const PADDING: usize = 0> =
    Conv<OUT, Window<KERNEL, KERNEL, STRIDE, STRIDE, PADDING, PADDING>>;

/// A window along the last axis, for sensor data `channels x 1 x time`.
pub type Conv1d<const OUT: usize, const KERNEL: usize, const STRIDE: usize = 1, const PADDING: usize = 0> =
    Conv<OUT, Window<1, KERNEL, 1, STRIDE, 0, PADDING>>;

/// A window of one place: a dense layer at every place.
pub type Pointwise<const OUT: usize> = Conv<OUT, Window<1>>;

impl<const OUT: usize, W: Slides, const GROUPS: usize> Conv<OUT, W, GROUPS> {
    const fn sizes(input: Shape) -> Convolution {
        assert!(
            OUT > 0 && GROUPS > 0 && input.channels.is_multiple_of(GROUPS) && OUT.is_multiple_of(GROUPS),
            "Conv: the groups must divide the channels of input and output"
        );
        Convolution { groups: GROUPS, inputs: input.channels / GROUPS, outputs: OUT / GROUPS, plane: plane(W::TEXT, input) }
    }
}

impl<const OUT: usize, W: Slides, const GROUPS: usize, In: Shaped> Layer<In> for Conv<OUT, W, GROUPS> {
    const OUT: Shape = Self::sizes(In::SHAPE).plane.shape(OUT);
    const PARAMS: usize = (Self::sizes(In::SHAPE).fan_in() + 1) * OUT;
    const TAPE: usize = <Self as Layer<In>>::OUT.len();
    const WIDTH: usize = <Self as Layer<In>>::OUT.len();
    const SWAPS: Option<bool> = Some(true);
    // What one place sees, for one sample alone.
    const SCRATCH: usize = Self::sizes(In::SHAPE).fan_in();
    const FILTERS: usize = OUT;
    const WEIGHTS: usize = Self::sizes(In::SHAPE).fan_in() * OUT;
    const FAN_IN: usize = Self::sizes(In::SHAPE).fan_in();
    const FACTORS: usize = Self::sizes(In::SHAPE).fan_in() + OUT;
    const FACTORED: bool = true;
    const MACS: usize = Self::sizes(In::SHAPE).macs();
    const ACTIVATION: Option<Activation> = Some(Activation::Linear);

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        if GROUPS > 1 { write!(to, "Conv<{OUT},{},{GROUPS}>", W::TEXT) } else { write_window(to, "Conv", &[OUT], &W::TEXT, [1, 0]) }
    }

    fn segments(offset: usize, next: Activation, visit: &mut dyn FnMut(Segment)) {
        let sizes = Self::sizes(In::SHAPE);
        visit(Segment::weights(offset, OUT, sizes.fan_in(), sizes.outputs * sizes.plane.taps(), next));
        visit(Segment::vector(SegmentKind::Bias, offset + OUT * sizes.fan_in(), OUT));
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], scratch: &mut [f32]) {
        const { Self::sizes(In::SHAPE) }.forward::<F>(pass, parameters, x, tape, scratch);
    }

    #[inline]
    fn backward<F: Form>(
        pass: &Pass,
        parameters: &[f32],
        x: &[f32],
        _: &[f32],
        buffers: &mut Buffers,
        _: &mut [f32],
        gradient: &mut [f32],
    ) {
        let sizes = const { Self::sizes(In::SHAPE) };
        let element = pass.columns * F::COLUMN;
        let dy = &mut buffers.dy[..<Self as Layer<In>>::OUT.len() * element];
        let x = &x[..In::SHAPE.len() * element];
        match pass.scope.part() {
            Part::Everything => sizes.weight_gradient::<F>(pass, x, dy, gradient),
            Part::Biases => bias_gradient::<F>(pass, sizes.plane.outputs(), dy, gradient),
            Part::Nothing => {}
        }
        if pass.wants_input_gradient {
            sizes.input_gradient::<F>(pass, parameters, dy, buffers.dx);
            buffers.swap();
        }
    }
}
