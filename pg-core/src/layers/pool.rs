//! Pools: the largest or the mean of the inputs that a window sees, channel by channel. Padding is not seen: a mean is over
//! real places only.

use core::fmt;
use core::marker::PhantomData;

use super::window::{Plane, Slides, Window, plane, write_window};
use crate::form::Form;
use crate::lane::Lane;
use crate::layers::{Buffers, Layer, Pass};
use crate::shape::{Shape, Shaped};
use crate::sharing::MOVE;

/// The largest input under the window; the gradient goes to the first of equals.
pub struct MaxPool<W>(PhantomData<W>);

/// The mean of the inputs under the window.
pub struct AvgPool<W>(PhantomData<W>);

/// The mean over all places of each channel.
pub struct GlobalAvgPool;

/// A square window, which moves by its size unless told otherwise: kernel, stride, padding.
pub type MaxPool2d<const KERNEL: usize, const STRIDE: usize = KERNEL, const PADDING: usize = 0> =
    MaxPool<Window<KERNEL, KERNEL, STRIDE, STRIDE, PADDING, PADDING>>;

/// A window along the last axis.
pub type MaxPool1d<const KERNEL: usize, const STRIDE: usize = KERNEL, const PADDING: usize = 0> =
    MaxPool<Window<1, KERNEL, 1, STRIDE, 0, PADDING>>;

/// A square window, which moves by its size unless told otherwise: kernel, stride, padding.
pub type AvgPool2d<const KERNEL: usize, const STRIDE: usize = KERNEL, const PADDING: usize = 0> =
    AvgPool<Window<KERNEL, KERNEL, STRIDE, STRIDE, PADDING, PADDING>>;

/// A window along the last axis.
pub type AvgPool1d<const KERNEL: usize, const STRIDE: usize = KERNEL, const PADDING: usize = 0> =
    AvgPool<Window<1, KERNEL, 1, STRIDE, 0, PADDING>>;

/// Visits the outputs of all channels in order: `visit(output's offset, places it sees, their offsets in order)`, offsets in `f32`s of `place`
/// each.
#[inline(always)]
fn for_outputs(plane: &Plane, channels: usize, place: usize, mut visit: impl FnMut(usize, Seen)) {
    let mut output = 0;
    for channel in 0..channels {
        for oy in 0..plane.y.output {
            let ys = plane.y.taps(oy);
            let top = plane.y.seen(oy, ys.start);
            for ox in 0..plane.x.output {
                let xs = plane.x.taps(ox);
                let left = plane.x.seen(ox, xs.start);
                let first = (channel * plane.y.input + top) * plane.x.input + left;
                let row = plane.x.input * place;
                visit(output, Seen { first: first * place, rows: ys.len(), row, places: xs.len(), place });
                output += place;
            }
        }
    }
}

/// The inputs that an output sees.
#[derive(Clone, Copy)]
struct Seen {
    first: usize,
    rows: usize,
    row: usize,
    places: usize,
    place: usize,
}

impl Seen {
    fn len(&self) -> usize {
        self.rows * self.places
    }

    /// Their offsets, in order.
    #[inline(always)]
    fn offsets(self) -> impl Iterator<Item = usize> {
        (0..self.rows).flat_map(move |y| (0..self.places).map(move |x| self.first + y * self.row + x * self.place))
    }
}

/// The parts of `impl Layer` that the two pools share.
macro_rules! pool {
    ($name:literal) => {
        const OUT: Shape = plane(W::TEXT, In::SHAPE).shape(In::SHAPE.channels);
        const TAPE: usize = <Self as Layer<In>>::OUT.len();
        const WIDTH: usize = <Self as Layer<In>>::OUT.len();
        const SWAPS: Option<bool> = Some(true);

        fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
            write_window(to, $name, &[], &W::TEXT, [0, 0])
        }
    };
}

impl<W: Slides, In: Shaped> Layer<In> for MaxPool<W> {
    pool!("MaxPool");

    #[inline]
    fn forward<F: Form>(pass: &Pass, _: &[f32], x: &mut [f32], tape: &mut [f32], _: &mut [f32]) {
        max::<F>(&const { plane(W::TEXT, In::SHAPE) }, In::SHAPE.channels, pass, x, tape);
    }

    #[inline]
    fn backward<F: Form>(pass: &Pass, _: &[f32], x: &[f32], _: &[f32], buffers: &mut Buffers, _: &mut [f32], _: &mut [f32]) {
        if !pass.wants_input_gradient {
            return;
        }
        let dx = &mut buffers.dx[..In::SHAPE.len() * pass.columns * F::COLUMN];
        max_gradient::<F>(&const { plane(W::TEXT, In::SHAPE) }, In::SHAPE.channels, pass, x, buffers.dy, dx);
        buffers.swap();
    }
}

/// The largest of the inputs that an output sees.
#[inline(always)]
fn largest<F: Form>(x: &[f32], seen: Seen, column: usize) -> F::Value {
    let mut most = F::Value::load(&x[seen.first + column..]);
    for input in seen.offsets() {
        let x = F::Value::load(&x[input + column..]);
        most = x.if_greater(most, x, most);
    }
    most
}

/// `y[o] = max x[i]` over the inputs that o sees.
#[cfg_attr(not(target_os = "none"), inline(never))]
fn max<F: Form>(plane: &Plane, channels: usize, pass: &Pass, x: &[f32], y: &mut [f32]) {
    let place = pass.columns * F::COLUMN;
    let [from_channel, channel] = [plane.inputs() * place, plane.outputs() * place];
    pass.sharing.pieces(&mut y[..channels * channel], channel, MOVE * plane.taps(), |first, y| {
        let channels = y.len() / channel;
        let x = &x[first * from_channel..];
        for_outputs(plane, channels, place, |output, seen| {
            for column in (0..place).step_by(F::COLUMN) {
                largest::<F>(x, seen, column).store(&mut y[output + column..]);
            }
        });
    });
}

/// `dx[i] = Σ dy[o]` over the outputs whose first largest input is i.
#[cfg_attr(not(target_os = "none"), inline(never))]
fn max_gradient<F: Form>(plane: &Plane, channels: usize, pass: &Pass, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let place = pass.columns * F::COLUMN;
    let zero = F::Value::default();
    let [from_channel, channel] = [plane.outputs() * place, plane.inputs() * place];
    pass.sharing.pieces(&mut dx[..channels * channel], channel, 2 * MOVE, |first, dx| {
        let channels = dx.len() / channel;
        let x = &x[first * channel..];
        let dy = &dy[first * from_channel..];
        dx.fill(0.0);
        for_outputs(plane, channels, place, |output, seen| {
            for column in (0..place).step_by(F::COLUMN) {
                let most = largest::<F>(x, seen, column);
                // What is left to give goes to the first input that nothing exceeds.
                let mut left = F::Value::load(&dy[output + column..]);
                for input in seen.offsets() {
                    let x = F::Value::load(&x[input + column..]);
                    let to = &mut dx[input + column..];
                    (F::Value::load(to) + most.if_greater(x, zero, left)).store(to);
                    left = most.if_greater(x, left, zero);
                }
            }
        });
    });
}

impl<W: Slides, In: Shaped> Layer<In> for AvgPool<W> {
    pool!("AvgPool");

    #[inline]
    fn forward<F: Form>(pass: &Pass, _: &[f32], x: &mut [f32], tape: &mut [f32], _: &mut [f32]) {
        mean::<F>(&const { plane(W::TEXT, In::SHAPE) }, In::SHAPE.channels, pass, x, tape);
    }

    #[inline]
    fn backward<F: Form>(pass: &Pass, _: &[f32], _: &[f32], _: &[f32], buffers: &mut Buffers, _: &mut [f32], _: &mut [f32]) {
        if !pass.wants_input_gradient {
            return;
        }
        let dx = &mut buffers.dx[..In::SHAPE.len() * pass.columns * F::COLUMN];
        mean_gradient::<F>(&const { plane(W::TEXT, In::SHAPE) }, In::SHAPE.channels, pass, buffers.dy, dx);
        buffers.swap();
    }
}

impl<In: Shaped> Layer<In> for GlobalAvgPool {
    const OUT: Shape = Shape::new(In::SHAPE.channels, 1, 1);
    const TAPE: usize = In::SHAPE.channels;
    const WIDTH: usize = In::SHAPE.channels;
    const SWAPS: Option<bool> = Some(true);

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        to.write_str("GlobalAvgPool")
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, _: &[f32], x: &mut [f32], tape: &mut [f32], _: &mut [f32]) {
        mean::<F>(&whole(In::SHAPE), In::SHAPE.channels, pass, x, tape);
    }

    #[inline]
    fn backward<F: Form>(pass: &Pass, _: &[f32], _: &[f32], _: &[f32], buffers: &mut Buffers, _: &mut [f32], _: &mut [f32]) {
        if !pass.wants_input_gradient {
            return;
        }
        let dx = &mut buffers.dx[..In::SHAPE.len() * pass.columns * F::COLUMN];
        mean_gradient::<F>(&whole(In::SHAPE), In::SHAPE.channels, pass, buffers.dy, dx);
        buffers.swap();
    }
}

/// The window that covers everything.
const fn whole(input: Shape) -> Plane {
    let kernel = [input.height, input.width];
    plane(super::window::WindowText { kernel, stride: kernel, padding: [0, 0] }, input)
}

/// `y[o] = Σ x[i] / n` over the n inputs that o sees: a chain in their order.
#[cfg_attr(not(target_os = "none"), inline(never))]
fn mean<F: Form>(plane: &Plane, channels: usize, pass: &Pass, x: &[f32], y: &mut [f32]) {
    let place = pass.columns * F::COLUMN;
    let [from_channel, channel] = [plane.inputs() * place, plane.outputs() * place];
    pass.sharing.pieces(&mut y[..channels * channel], channel, MOVE * plane.taps(), |first, y| {
        let channels = y.len() / channel;
        let x = &x[first * from_channel..];
        for_outputs(plane, channels, place, |output, seen| {
            let share = F::Value::splat(1.0 / seen.len() as f32);
            for column in (0..place).step_by(F::COLUMN) {
                let mut sum = F::Value::default();
                for input in seen.offsets() {
                    sum = sum + F::Value::load(&x[input + column..]);
                }
                (sum * share).store(&mut y[output + column..]);
            }
        });
    });
}

/// `dx[i] = Σ dy[o] / n` over the outputs that see i.
#[cfg_attr(not(target_os = "none"), inline(never))]
fn mean_gradient<F: Form>(plane: &Plane, channels: usize, pass: &Pass, dy: &[f32], dx: &mut [f32]) {
    let place = pass.columns * F::COLUMN;
    let [from_channel, channel] = [plane.outputs() * place, plane.inputs() * place];
    pass.sharing.pieces(&mut dx[..channels * channel], channel, 2 * MOVE, |first, dx| {
        let channels = dx.len() / channel;
        let dy = &dy[first * from_channel..];
        dx.fill(0.0);
        for_outputs(plane, channels, place, |output, seen| {
            let share = F::Value::splat(1.0 / seen.len() as f32);
            for column in (0..place).step_by(F::COLUMN) {
                let dy = F::Value::load(&dy[output + column..]) * share;
                for input in seen.offsets() {
                    let to = &mut dx[input + column..];
                    (F::Value::load(to) + dy).store(to);
                }
            }
        });
    });
}
