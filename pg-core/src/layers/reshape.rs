//! Layers that compute nothing: they name or check a shape.

use core::fmt;

use crate::form::Form;
use crate::layers::{Buffers, Layer, Pass};
use crate::shape::{Shape, Shaped};

/// Makes a vector of an image: the same elements in the same order.
pub struct Flatten;

/// Asserts the shape at this place when the network is compiled: a reader sees it, and a mistake is found where it is made.
pub struct Expect<const CHANNELS: usize, const HEIGHT: usize, const WIDTH: usize>;

impl<In: Shaped> Layer<In> for Flatten {
    const OUT: Shape = Shape::new(In::SHAPE.len(), 1, 1);
    const SWAPS: Option<bool> = Some(false);

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        to.write_str("Flatten")
    }
    #[inline]
    fn forward<F: Form>(_: &Pass, _: &[f32], _: &mut [f32], _: &mut [f32], _: &mut [f32]) {}
    #[inline]
    fn backward<F: Form>(_: &Pass, _: &[f32], _: &[f32], _: &[f32], _: &mut Buffers, _: &mut [f32], _: &mut [f32]) {}
}

impl<In: Shaped, const CHANNELS: usize, const HEIGHT: usize, const WIDTH: usize> Layer<In> for Expect<CHANNELS, HEIGHT, WIDTH> {
    const OUT: Shape = {
        let expected = Shape::new(CHANNELS, HEIGHT, WIDTH);
        let found = In::SHAPE;
        assert!(
            expected.channels == found.channels && expected.height == found.height && expected.width == found.width,
            "Expect: the shape at this place of the network is another one"
        );
        expected
    };
    const SWAPS: Option<bool> = Some(false);

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        write!(to, "Expect<{CHANNELS},{HEIGHT},{WIDTH}>")
    }
    #[inline]
    fn forward<F: Form>(_: &Pass, _: &[f32], _: &mut [f32], _: &mut [f32], _: &mut [f32]) {}
    #[inline]
    fn backward<F: Form>(_: &Pass, _: &[f32], _: &[f32], _: &[f32], _: &mut Buffers, _: &mut [f32], _: &mut [f32]) {}
}
