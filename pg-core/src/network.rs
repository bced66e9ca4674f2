//! A network is a type: an input shape and a tuple of layers. It owns no memory and knows no loss.
//!
//! ```
//! use pg_core::{layers::*, Image, Network, Sequential};
//! type Mlp = Sequential<Image<1, 8, 8>, (Flatten, Dense<32>, Relu, Dense<10>)>;
//! const _: () = assert!(<Mlp as Network>::PARAMS == 2_410); // anchored: `cargo check` reports a mistake in a shape here
//! ```

use core::fmt;
use core::marker::PhantomData;

use crate::form::Form;
use crate::layers::{Layer, Pass, Segment, larger};
use crate::shape::{Shape, Shaped};

/// A network of fixed size. All sizes count `f32`s, for one sample where they hold activations.
pub trait Network: 'static {
    /// Shape of an input sample.
    const INPUT: Shape;
    /// Outputs: classes, or targets of a regression.
    const OUTPUTS: usize;
    /// Parameters.
    const PARAMS: usize;
    /// The tape of a training pass, input included.
    const TAPE: usize;
    /// Each of the two gradient buffers of a backward pass.
    const WIDTH: usize;
    /// Scratch of a backward pass with samples in lanes; none is needed with members in lanes or scalar.
    const SCRATCH: usize;
    /// Filters: rows of weights with a noise scale of their own.
    const FILTERS: usize;
    /// Multiply-adds of a forward pass.
    const MACS: usize;
    /// Multiply-adds of a training pass: forward, weight gradients, input gradients except the first layer's.
    const TRAINING_MACS: usize;
    /// Whether a forward pass changes the input on the tape.
    const OVERWRITES_INPUT: bool;

    /// Writes the network as its type is written in Rust, without spaces.
    ///
    /// # Errors
    /// When `to` is full.
    fn describe(to: &mut dyn fmt::Write) -> fmt::Result;

    /// Visits the ranges of the parameters in order.
    fn segments(visit: &mut dyn FnMut(Segment));

    /// Runs the network on the input at the front of `tape`; the output is left at its end.
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], tape: &mut [f32]);

    /// Adds the gradient of the parameters to `gradient` (see [`Pass::adds`]), from the tape and the output's gradient in `dy`.
    fn backward<F: Form>(
        pass: &Pass,
        parameters: &[f32],
        tape: &[f32],
        scratch: &mut [f32],
        dy: &mut [f32],
        dx: &mut [f32],
        gradient: &mut [f32],
    );

    /// A number that stands for the network's text. Parameters fit a network only if this is equal.
    fn fingerprint() -> u64 {
        fingerprint(Self::describe)
    }
}

/// 64-bit FNV-1a of the text that `describe` writes.
pub(crate) fn fingerprint(describe: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result) -> u64 {
    struct Hash(u64);
    impl fmt::Write for Hash {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for byte in text.bytes() {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
            Ok(())
        }
    }
    let mut hash = Hash(0xcbf2_9ce4_8422_2325);
    // Writing to a hash cannot fail.
    let _ = describe(&mut hash);
    hash.0
}

/// Layers in a row, for inputs of the shape `In`.
pub struct Sequential<In, Layers>(PhantomData<(In, Layers)>);

impl<In: Shaped, Layers: Layer<In>> Network for Sequential<In, Layers> {
    const INPUT: Shape = In::SHAPE;
    const OUTPUTS: usize = Layers::OUT.len();
    const PARAMS: usize = Layers::PARAMS;
    const TAPE: usize = In::SHAPE.len() + Layers::TAPE;
    const WIDTH: usize = larger(Layers::WIDTH, Layers::OUT.len());
    const SCRATCH: usize = Layers::SCRATCH;
    const FILTERS: usize = Layers::FILTERS;
    const MACS: usize = Layers::MACS;
    const TRAINING_MACS: usize = 3 * Layers::MACS - Layers::FIRST_MACS;
    const OVERWRITES_INPUT: bool = Layers::OVERWRITES_INPUT;

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        let Shape { channels, height, width } = In::SHAPE;
        if height == 1 && width == 1 {
            write!(to, "Sequential<Vector<{channels}>,")?;
        } else {
            write!(to, "Sequential<Image<{channels},{height},{width}>,")?;
        }
        Layers::describe(to)?;
        to.write_str(">")
    }

    fn segments(visit: &mut dyn FnMut(Segment)) {
        Layers::segments(0, visit);
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], tape: &mut [f32]) {
        Layers::forward::<F>(pass, parameters, tape);
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
        Layers::backward::<F>(pass, parameters, tape, scratch, dy, dx, gradient);
    }
}
