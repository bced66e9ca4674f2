//! A network is a type: an input shape and a tuple of layers. It owns no memory and knows no loss.
//!
//! ```
//! use pg_core::{layers::*, Image, Network, Sequential};
//! type Mlp = Sequential<Image<1, 8, 8>, (Flatten, Dense<32>, Relu, Dense<10>)>;
//! const _: () = assert!(<Mlp as Network>::PARAMS == 2_410); // anchored: `cargo check` reports a mistake in a shape here
//! ```

use core::fmt;
use core::marker::PhantomData;

use crate::floats::Floats;
use crate::form::Form;
use crate::layers::{Activation, Buffers, Layer, Leaves, Pass, Segment, Visitor, larger};
use crate::shape::{Folding, Shape, Shaped};

/// A network of fixed size. All sizes count `f32`s, for one sample where they hold activations.
pub trait Network: 'static {
    /// Shape of an input sample.
    const INPUT: Shape;
    /// Outputs: classes, or targets of a regression.
    const OUTPUTS: usize;
    /// Parameters, running statistics included.
    const PARAMS: usize;
    /// Parameters in a model file; fewer are left of them in a [`Folded`] network.
    const STORED: usize;
    /// Parameters that are running statistics: measured, not trained.
    const STATISTICS: usize;
    /// The tape of a training pass, input included.
    const TAPE: usize;
    /// The two gradient buffers of a backward pass: the one in which it begins, and the other.
    const WIDTHS: [usize; 2];
    /// Scratch of a pass.
    const SCRATCH: usize;
    /// Scratch of a backward pass besides, with samples in lanes; none is needed with members in lanes or scalar.
    const TRANSPOSED: usize;
    /// Filters: rows of weights with a noise scale of their own.
    const FILTERS: usize;
    /// Factors of a member's rank-1 noise; 0 when its layers need members with weights ([`crate::perturbation::rank_one`]).
    const FACTORS: usize;
    /// Multiply-adds of a forward pass.
    const MACS: usize;
    /// Multiply-adds of a training pass: forward, weight gradients, input gradients except the first layer's.
    const TRAINING_MACS: usize;
    /// Whether a forward pass changes the input on the tape.
    const OVERWRITES_INPUT: bool;
    /// Whether forward can do with the input sample by sample: [`Pass::untransposed`].
    const TAKES_ROWS: bool;
    /// Whether a layer mixes samples, so that a batch is one pass whatever its size.
    const WHOLE_BATCH: bool;
    /// Whether members that divide a batch may run side by side ([`crate::population::Population::is_side_by_side`]).
    const SIDE_BY_SIDE: bool;
    /// The layers with parameters: what a [`crate::layers::Scope`] chooses from.
    const LEAVES: Leaves;
    /// Whether [`Network::descend`] is written for all its layers.
    const DESCENDS: bool;

    /// Writes the network as its type is written in Rust, without spaces.
    ///
    /// # Errors
    /// When `to` is full.
    fn describe(to: &mut dyn fmt::Write) -> fmt::Result;

    /// Visits the ranges of the parameters in order.
    fn segments(visit: &mut dyn FnMut(Segment));

    /// Runs the network on the input at the front of `tape`; the output is left at its end.
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], tape: &mut [f32], scratch: &mut [f32]);

    /// Adds the gradient of the parameters to `gradient` (see [`Pass::adds`]), from the tape and the output's gradient in `dy`.
    fn backward<F: Form>(pass: &Pass, parameters: &[f32], tape: &[f32], buffers: &mut Buffers, scratch: &mut [f32], gradient: &mut [f32]);

    /// The backward pass of one sample that takes its step at once, without a gradient in memory: [`Layer::descend`].
    fn descend<F: Form>(pass: &Pass, rate: f32, parameters: &mut [f32], tape: &[f32], buffers: &mut Buffers, scratch: &mut [f32]);

    /// Takes the batch statistics of a forward pass into the running statistics: [`Layer::estimate`].
    fn estimate<F: Form>(pass: &Pass, share: f32, parameters: &mut [f32], tape: &[f32]);

    /// Writes the parameters that a model file has `stored`: the same, but for a [`Folded`] network.
    ///
    /// # Panics
    /// When they are not `STORED`, or there is no room for `PARAMS`.
    fn load(stored: Floats, parameters: &mut [f32]);

    /// Shows a visitor the layers in order, those of branches one by one.
    fn visit<V: Visitor>(visitor: &mut V);

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
    const PARAMS: usize = {
        // The shapes of all layers are worked out along with it, so that an anchor of this number reports every mistake.
        let _ = (Layers::OUT, Layers::WIDTHS);
        Layers::PARAMS
    };
    const STORED: usize = Layers::STORED;
    const STATISTICS: usize = Layers::STATISTICS;
    const TAPE: usize = In::SHAPE.len() + Layers::TAPE;
    const WIDTHS: [usize; 2] = [larger(Layers::WIDTHS[0], Layers::OUT.len()), Layers::WIDTHS[1]];
    const SCRATCH: usize = Layers::SCRATCH;
    const TRANSPOSED: usize = Layers::TRANSPOSED;
    const FILTERS: usize = Layers::FILTERS;
    const FACTORS: usize = if Layers::FACTORED { Layers::FACTORS } else { 0 };
    const MACS: usize = Layers::MACS;
    const TRAINING_MACS: usize = 3 * Layers::MACS - Layers::FIRST_MACS;
    const OVERWRITES_INPUT: bool = Layers::OVERWRITES_INPUT;
    const TAKES_ROWS: bool = Layers::TAKES_ROWS;
    const WHOLE_BATCH: bool = Layers::WHOLE_BATCH;
    const SIDE_BY_SIDE: bool = Layers::SIDE_BY_SIDE;
    const LEAVES: Leaves = Layers::LEAVES;
    const DESCENDS: bool = Layers::DESCENDS;

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
        Layers::segments(0, Activation::Linear, visit);
    }

    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(always))]
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], tape: &mut [f32], scratch: &mut [f32]) {
        let (x, tape) = tape.split_at_mut(In::SHAPE.len() * pass.columns * F::COLUMN);
        Layers::forward::<F>(pass, parameters, x, tape, scratch);
    }

    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(always))]
    fn backward<F: Form>(pass: &Pass, parameters: &[f32], tape: &[f32], buffers: &mut Buffers, scratch: &mut [f32], gradient: &mut [f32]) {
        let (x, tape) = tape.split_at(In::SHAPE.len() * pass.columns * F::COLUMN);
        Layers::backward::<F>(pass, parameters, x, tape, buffers, scratch, gradient);
    }

    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(always))]
    fn descend<F: Form>(pass: &Pass, rate: f32, parameters: &mut [f32], tape: &[f32], buffers: &mut Buffers, scratch: &mut [f32]) {
        let (x, tape) = tape.split_at(In::SHAPE.len() * pass.columns * F::COLUMN);
        Layers::descend::<F>(pass, rate, parameters, x, tape, buffers, scratch);
    }

    fn estimate<F: Form>(pass: &Pass, share: f32, parameters: &mut [f32], tape: &[f32]) {
        let (x, tape) = tape.split_at(In::SHAPE.len() * pass.columns * F::COLUMN);
        Layers::estimate::<F>(pass, share, parameters, x, tape);
    }

    fn load(stored: Floats, parameters: &mut [f32]) {
        debug_assert!(stored.len() == Self::STORED, "as many parameters as a model file of this network has");
        if Self::STORED == Self::PARAMS {
            parameters.iter_mut().zip(stored.iter()).for_each(|(parameter, stored)| *parameter = stored);
        } else {
            Layers::load(stored, parameters, 0);
        }
    }

    fn visit<V: Visitor>(visitor: &mut V) {
        Layers::visit(false, visitor);
    }
}

/// A network that can be folded.
pub trait Foldable: Network {
    /// The same network, to infer only.
    type Folded: Network;
}

impl<In: Shaped, Layers: Layer<In> + Layer<Folding<In>>> Foldable for Sequential<In, Layers> {
    type Folded = Sequential<Folding<In>, Layers>;
}

/// Network `N` to infer with: each batch norm behind a layer with weights, whose output nobody else reads, goes into these weights when they
/// are loaded, and takes no parameters, activations or time any more. Other batch norms stay.
///
/// Model files are those of `N`, with the same description and fingerprint; outputs differ in the last bits, alike everywhere.
///
/// ```
/// use pg_core::{Network, network::Folded, zoo::Mobilenet28};
/// assert!(<Folded<Mobilenet28> as Network>::TAPE * 10 < Mobilenet28::TAPE * 7);
/// assert_eq!(<Folded<Mobilenet28> as Network>::STATISTICS, 0); // every batch norm is gone
/// ```
pub type Folded<N> = <N as Foldable>::Folded;
