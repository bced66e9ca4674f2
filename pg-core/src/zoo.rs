//! Ready networks. A network of your own is one such line in your own crate.

use crate::layers::{Dense, Flatten, Relu};
use crate::network::{Network, Sequential};
use crate::shape::{Image, Vector};

/// `mlp-64-64-32-10`: 8x8 images, two hidden layers.
pub type Mlp64x64x32x10 = Sequential<Image<1, 8, 8>, (Flatten, Dense<64>, Relu, Dense<32>, Relu, Dense<10>)>;
const _: () = assert!(Mlp64x64x32x10::PARAMS == 6_570);

/// `mlp-64-32-10`: 8x8 images, one small hidden layer: the microcontroller's default.
pub type Mlp64x32x10 = Sequential<Image<1, 8, 8>, (Flatten, Dense<32>, Relu, Dense<10>)>;
const _: () = assert!(Mlp64x32x10::PARAMS == 2_410);

/// `mlp-784-128-10`: 28x28 images.
pub type Mlp784x128x10 = Sequential<Image<1, 28, 28>, (Flatten, Dense<128>, Relu, Dense<10>)>;
const _: () = assert!(Mlp784x128x10::PARAMS == 101_770);

/// `mlp-9-24-11`: nine features, eleven classes: spoken vowels.
pub type Mlp9x24x11 = Sequential<Vector<9>, (Dense<24>, Relu, Dense<11>)>;
const _: () = assert!(Mlp9x24x11::PARAMS == 515);
