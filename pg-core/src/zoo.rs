//! Ready networks: fixed-size miniatures of the families of which the paper speaks, and perceptrons. A network of your own is one such
//! line in your own crate.
//!
//! Each miniature keeps what its family is known for, not its size: a stem of stride 2, two stages of 14x14 and 7x7 (16x16 and 8x8) places,
//! the mean over all places, one dense layer.

use crate::layers::*;
use crate::network::{Network, Sequential};
use crate::shape::{Image, Vector};

/// `mlp-64-64-32-10`: 8x8 images, two hidden layers.
pub type Mlp64x64x32x10 = Sequential<Image<1, 8, 8>, (Flatten, Dense<64>, Relu, Dense<32>, Relu, Dense<10>)>;
const _: () = assert!(Mlp64x64x32x10::PARAMS == 6_570);

/// `mlp-64-64-32-10-norm`: the same with batch normalisation.
pub type Mlp64x64x32x10Norm = Sequential<Image<1, 8, 8>, (Flatten, Dense<64>, BatchNorm, Relu, Dense<32>, BatchNorm, Relu, Dense<10>)>;
const _: () = assert!(Mlp64x64x32x10Norm::PARAMS == 6_954);

/// `mlp-64-64-32-10-dropout`: the same with dropout.
pub type Mlp64x64x32x10Dropout =
    Sequential<Image<1, 8, 8>, (Flatten, Dense<64>, Relu, Dropout<20>, Dense<32>, Relu, Dropout<20>, Dense<10>)>;
const _: () = assert!(Mlp64x64x32x10Dropout::PARAMS == 6_570);

/// `mlp-64-128-64-10`: 8x8 images, two wide hidden layers.
pub type Mlp64x128x64x10 = Sequential<Image<1, 8, 8>, (Flatten, Dense<128>, Relu, Dense<64>, Relu, Dense<10>)>;
const _: () = assert!(Mlp64x128x64x10::PARAMS == 17_226);

/// `mlp-64-32-10`: 8x8 images, one small hidden layer: the microcontroller's default.
pub type Mlp64x32x10 = Sequential<Image<1, 8, 8>, (Flatten, Dense<32>, Relu, Dense<10>)>;
const _: () = assert!(Mlp64x32x10::PARAMS == 2_410);

/// `mlp-784-128-10`: 28x28 images.
pub type Mlp784x128x10 = Sequential<Image<1, 28, 28>, (Flatten, Dense<128>, Relu, Dense<10>)>;
const _: () = assert!(Mlp784x128x10::PARAMS == 101_770);

/// `mlp-784-128-10-norm`: the same with batch normalisation.
pub type Mlp784x128x10Norm = Sequential<Image<1, 28, 28>, (Flatten, Dense<128>, BatchNorm, Relu, Dense<10>)>;
const _: () = assert!(Mlp784x128x10Norm::PARAMS == 102_282);

/// `mlp-784-128-10-dropout`: the same with dropout.
pub type Mlp784x128x10Dropout = Sequential<Image<1, 28, 28>, (Flatten, Dense<128>, Relu, Dropout<20>, Dense<10>)>;
const _: () = assert!(Mlp784x128x10Dropout::PARAMS == 101_770);

/// `mlp-9-24-11`: nine features, eleven classes: spoken vowels.
pub type Mlp9x24x11 = Sequential<Vector<9>, (Dense<24>, Relu, Dense<11>)>;
const _: () = assert!(Mlp9x24x11::PARAMS == 515);

/// `mlp-192-32-6`: windows of three channels, one hidden layer: six activities.
pub type Mlp192x32x6 = Sequential<Image<3, 1, 64>, (Flatten, Dense<32>, Relu, Dense<6>)>;
const _: () = assert!(Mlp192x32x6::PARAMS == 6_374);

/// A convolution without change of size behind a batch norm and before a ReLU, as most stems and bodies have it.
type Normed<const OUT: usize, const KERNEL: usize, const STRIDE: usize, const PADDING: usize> =
    (Conv2d<OUT, KERNEL, STRIDE, PADDING>, BatchNorm, Relu);

/// LeNet-5 (LeCun et al., 1998) with ReLU and maxima, as it is used today.
type LenetLayers<const PADDING: usize> = (
    Conv2d<6, 5, 1, PADDING>,
    Relu,
    MaxPool2d<2>,
    Conv2d<16, 5>,
    Relu,
    MaxPool2d<2>,
    Expect<16, 5, 5>,
    Dense<120>,
    Relu,
    Dense<84>,
    Relu,
    Dense<10>,
);
/// `lenet-28`.
pub type Lenet28 = Sequential<Image<1, 28, 28>, LenetLayers<2>>;
const _: () = assert!(Lenet28::PARAMS == 61_706);
/// `lenet-32`.
pub type Lenet32 = Sequential<Image<3, 32, 32>, LenetLayers<0>>;
const _: () = assert!(Lenet32::PARAMS == 62_006);

/// Residual connections (He et al., *ResNet*, 2016).
type ResnetLayers = (
    Normed<16, 3, 2, 1>,
    Residual<(Normed<16, 3, 1, 1>, Conv2d<16, 3, 1, 1>, BatchNorm)>,
    Relu,
    Residual<(Normed<32, 3, 2, 1>, Conv2d<32, 3, 1, 1>, BatchNorm), (Conv2d<32, 1, 2>, BatchNorm)>,
    Relu,
    GlobalAvgPool,
    Dense<10>,
);
/// `resnet-28`.
pub type Resnet28 = Sequential<Image<1, 28, 28>, ResnetLayers>;
const _: () = assert!(Resnet28::PARAMS == 20_138);
/// `resnet-32`.
pub type Resnet32 = Sequential<Image<3, 32, 32>, ResnetLayers>;
const _: () = assert!(Resnet32::PARAMS == 20_426);

/// The body of an inverted residual: wide inside, one window for each channel, linear at its narrow end.
type Inverted<const WIDE: usize, const STRIDE: usize, const OUT: usize> =
    (Pointwise<WIDE>, BatchNorm, Relu6, Depthwise2d<3, STRIDE, 1>, BatchNorm, Relu6, Pointwise<OUT>, BatchNorm);
/// Inverted residuals with depthwise convolutions (Sandler et al., *MobileNet v2*, 2018).
type MobilenetLayers = (
    (Conv2d<16, 3, 2, 1>, BatchNorm, Relu6),
    Residual<Inverted<64, 1, 16>>,
    Inverted<64, 2, 24>,
    Residual<Inverted<96, 1, 24>>,
    (Pointwise<96>, BatchNorm, Relu6),
    GlobalAvgPool,
    Dense<10>,
);
/// `mobilenet-28`.
pub type Mobilenet28 = Sequential<Image<1, 28, 28>, MobilenetLayers>;
const _: () = assert!(Mobilenet28::PARAMS == 17_770);
/// `mobilenet-32`.
pub type Mobilenet32 = Sequential<Image<3, 32, 32>, MobilenetLayers>;
const _: () = assert!(Mobilenet32::PARAMS == 18_058);

/// One layer of a dense block: eight channels more.
type Grown = Concat<(BatchNorm, Relu, Conv2d<8, 3, 1, 1>)>;
/// Dense connectivity (Huang et al., *DenseNet*, 2017).
type DensenetLayers = (
    Conv2d<16, 3, 2, 1>,
    (Grown, Grown, Grown),
    (BatchNorm, Relu, Pointwise<24>, AvgPool2d<2>),
    (Grown, Grown, Grown),
    (BatchNorm, Relu),
    GlobalAvgPool,
    Dense<10>,
);
/// `densenet-28`.
pub type Densenet28 = Sequential<Image<1, 28, 28>, DensenetLayers>;
const _: () = assert!(Densenet28::PARAMS == 14_802);
/// `densenet-32`.
pub type Densenet32 = Sequential<Image<3, 32, 32>, DensenetLayers>;
const _: () = assert!(Densenet32::PARAMS == 15_090);

/// The working half of a unit.
type Shuffled<const CHANNELS: usize, const STRIDE: usize> =
    ((Pointwise<CHANNELS>, BatchNorm, Relu), (Depthwise2d<3, STRIDE, 1>, BatchNorm), (Pointwise<CHANNELS>, BatchNorm, Relu));
/// A unit that keeps the size: half of the channels pass by.
type Kept<const HALF: usize> = (Split<HALF, (), Shuffled<HALF, 1>>, ChannelShuffle<2>);
/// A unit that halves the image and doubles the channels.
type Halved<const CHANNELS: usize> =
    (Parallel<((Depthwise2d<3, 2, 1>, BatchNorm), (Pointwise<CHANNELS>, BatchNorm, Relu)), Shuffled<CHANNELS, 2>>, ChannelShuffle<2>);
/// Channel shuffle (Ma et al., *ShuffleNet v2*, 2018).
type ShufflenetLayers =
    (Normed<32, 3, 2, 1>, Kept<16>, Kept<16>, Halved<32>, Kept<32>, Kept<32>, Normed<96, 1, 1, 0>, GlobalAvgPool, Dense<10>);
/// `shufflenet-28`.
pub type Shufflenet28 = Sequential<Image<1, 28, 28>, ShufflenetLayers>;
const _: () = assert!(Shufflenet28::PARAMS == 19_914);
/// `shufflenet-32`.
pub type Shufflenet32 = Sequential<Image<3, 32, 32>, ShufflenetLayers>;
const _: () = assert!(Shufflenet32::PARAMS == 20_490);

/// Three convolutions along the time, for windows of sensor data.
type WindowLayers = (
    (Conv1d<16, 5, 1, 2>, BatchNorm, Relu, MaxPool1d<2>),
    (Conv1d<32, 5, 1, 2>, BatchNorm, Relu, MaxPool1d<2>),
    (Conv1d<32, 3, 1, 1>, BatchNorm, Relu),
    GlobalAvgPool,
    Dense<6>,
);
/// `conv1d-3x64`: windows of three channels, six classes.
pub type Conv1d3x64 = Sequential<Image<3, 1, 64>, WindowLayers>;
const _: () = assert!(Conv1d3x64::PARAMS == 6_470);
/// `conv1d-6x128`: windows of six channels, six classes.
pub type Conv1d6x128 = Sequential<Image<6, 1, 128>, WindowLayers>;
const _: () = assert!(Conv1d6x128::PARAMS == 6_710);
