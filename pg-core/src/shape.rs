//! Shapes of activations: known at compile time, carried by types.
//!
//! A [`Shape`] is channels × height × width of one sample; a vector of features has one place and as many channels.
//! Nothing here knows of batches or lanes.

use core::marker::PhantomData;

/// Channels, height and width of one sample. Elements lie channel by channel, row by row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Number of channels, or of features when there is one place only.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// A shape from its three sizes.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// Number of elements.
    pub const fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// True when there is no element.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl core::fmt::Display for Shape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// A type that stands for a shape: the input of a network or the output of a layer.
pub trait Shaped: 'static {
    /// The shape it stands for.
    const SHAPE: Shape;
    /// Whether the network is [`Folded`](crate::network::Folded): it only infers, and its batch norms go into the weights before them.
    const FOLDED: bool = false;
    /// In a folded network: the incoming weights of each channel, when nobody but the layer behind reads it; a batch norm there goes into them.
    /// Else 0.
    const FAN_IN: usize = 0;
}

/// The shape of an image: `CHANNELS` × `HEIGHT` × `WIDTH`.
pub struct Image<const CHANNELS: usize, const HEIGHT: usize, const WIDTH: usize>;

impl<const CHANNELS: usize, const HEIGHT: usize, const WIDTH: usize> Shaped for Image<CHANNELS, HEIGHT, WIDTH> {
    const SHAPE: Shape = Shape::new(CHANNELS, HEIGHT, WIDTH);
}

/// The shape of a vector of `FEATURES` numbers.
pub struct Vector<const FEATURES: usize>;

impl<const FEATURES: usize> Shaped for Vector<FEATURES> {
    const SHAPE: Shape = Shape::new(FEATURES, 1, 1);
}

/// The shape that layer `L` makes of the shape `In`: the input of the layer behind it.
pub struct After<In, L>(PhantomData<(In, L)>);

impl<In: Shaped, L: crate::layers::Layer<In>> Shaped for After<In, L> {
    const SHAPE: Shape = L::OUT;
    const FOLDED: bool = In::FOLDED;
    const FAN_IN: usize = if In::FOLDED { L::FAN_IN } else { 0 };
}

/// The shape `In`, read by several branches.
pub struct Shared<In>(PhantomData<In>);

impl<In: Shaped> Shaped for Shared<In> {
    const SHAPE: Shape = In::SHAPE;
    const FOLDED: bool = In::FOLDED;
}

/// The shape `In` as the input of a folded network.
pub struct Folding<In>(PhantomData<In>);

impl<In: Shaped> Shaped for Folding<In> {
    const SHAPE: Shape = In::SHAPE;
    const FOLDED: bool = true;
}
