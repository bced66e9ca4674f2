//! Gradients of every layer against two independent oracles: finite differences in `f64`, and the matrix form of an MLP by nalgebra.

use nalgebra::{DMatrix, DVector};
use pg::oracle::{self, Masks, Mode, Oracle, assert_close, exact};
use pg::{SEED, Samples, bits, gradient, parameters};
use pg_core::form::{self, Form, Members, Scalar};
use pg_core::layers::window::Window;
use pg_core::layers::*;
use pg_core::loss::{Loss, Targets};
use pg_core::noise::GROUP;
use pg_core::population::{Batch, Population, SHARD};
use pg_core::{Image, Network, Sequential, Vector, f32x8, f32x16};

const LOSSES: [Loss; 3] =
    [Loss::CrossEntropy { label_smoothing: 0.0 }, Loss::CrossEntropy { label_smoothing: 0.1 }, Loss::MeanSquaredError];

/// Two members without noise, a pair: the gradient is that of the central network, with its masks.
const PAIR: Population = Population::new(2, 0.0);

fn oracle_loss<'a>(loss: &Loss, batch: &Batch<'a>) -> oracle::Loss<'a> {
    match (*loss, batch.targets) {
        (Loss::CrossEntropy { label_smoothing }, Targets::Classes(labels)) => oracle::Loss::CrossEntropy(label_smoothing.into(), labels),
        (Loss::CrossEntropy { label_smoothing }, Targets::Mixed { first, second, share }) => {
            oracle::Loss::Mixed(label_smoothing.into(), first, second, share)
        }
        (_, Targets::Values(values)) => oracle::Loss::MeanSquaredError(values),
        _ => unreachable!("the batch has the targets of the loss"),
    }
}

/// Asserts that gradient and loss of a batch in form `F` are those of the oracle.
fn check<N: Network, F: Form>(population: &Population, loss: &Loss, theta: &[f32], batch: &Batch, expected: &(Vec<f64>, f64)) {
    let (found, found_loss) = gradient::<N, F>(population, loss, 0, theta, batch).expect("a finite loss");
    assert_close(&found, &expected.0);
    assert!((f64::from(found_loss) - expected.1).abs() < 1e-5 * expected.1, "{found_loss} {}", expected.1);
}

/// What the oracle expects of a batch: the gradient by finite differences, and the loss.
fn by_finite_differences<N: Network>(loss: &Loss, theta: &[f32], batch: &Batch) -> (Vec<f64>, f64) {
    let oracle = Oracle::of::<N>();
    let (mode, of) = (Mode::Train(Masks { seed: SEED, step: 0, pair: 0 }), oracle_loss(loss, batch));
    (oracle.finite_differences(theta, batch.inputs, mode, of), oracle.loss(&exact(theta), batch.inputs, mode, of).0)
}

fn check_by_finite_differences<N: Network>(seed: u64, loss: Loss, samples: usize) {
    let (theta, data) = (parameters::<N>(seed), Samples::random::<N>(seed, samples));
    let batch = data.batch::<N>(&loss, 0, samples);
    let expected = by_finite_differences::<N>(&loss, &theta, &batch);
    check::<N, Scalar>(&Population::NONE, &loss, &theta, &batch, &expected);
    check::<N, form::Samples<f32x8>>(&Population::NONE, &loss, &theta, &batch, &expected);
    check::<N, form::Samples<f32x16>>(&Population::NONE, &loss, &theta, &batch, &expected);
    if samples <= SHARD || N::WHOLE_BATCH {
        check::<N, Members<f32x8>>(&PAIR, &loss, &theta, &batch, &expected);
    }
}

/// Six samples in one form: where a layer stands is no matter of lanes.
fn check_six_samples<N: Network>(seed: u64, loss: Loss) {
    let (theta, data) = (parameters::<N>(seed), Samples::random::<N>(seed, 6));
    let batch = data.batch::<N>(&loss, 0, 6);
    let expected = by_finite_differences::<N>(&loss, &theta, &batch);
    check::<N, form::Samples<f32x8>>(&Population::NONE, &loss, &theta, &batch, &expected);
}

/// One sample, a few, more than a vector, more than a shard; the losses in turn.
fn check_batches<N: Network>() {
    for ((seed, samples), loss) in (1..).zip([1, 6, 17, 70]).zip(LOSSES.into_iter().cycle()) {
        check_by_finite_differences::<N>(seed, loss, samples);
    }
}

/// Every layer of a perceptron.
type Perceptron = Sequential<
    Image<2, 3, 4>,
    (Expect<2, 3, 4>, Flatten, Dense<9>, Relu, Dense<7>, LeakyRelu<10>, Expect<7, 1, 1>, Dense<6>, Tanh, Dense<5>, Sigmoid, Dense<4>),
>;
/// Layers that change the input on the tape, tuples in tuples, an activation at the end.
type Odd = Sequential<Vector<5>, (Tanh, (Dense<6>, Relu), (), (Dense<4>, LeakyRelu<25>), (Dense<3>, (Sigmoid,)))>;
/// Windows of unlike sides, strides and paddings, groups.
type Convolutions = Sequential<
    Image<2, 5, 4>,
    (Conv<4, Window<3, 2, 2, 1, 1, 0>, 2>, Relu, Conv2d<3, 3, 1, 1>, Tanh, Conv<2, Window<1, 2, 1, 2, 0, 1>>, Flatten, Dense<3>),
>;
/// More output channels than a tile is high and more input channels than it is wide; a stride beyond the window; one place left.
type Tiles = Sequential<Image<5, 4, 3>, (Pointwise<7>, Relu6, Conv2d<8, 2, 3, 1>, HardSwish, Conv<4, Window<2, 2>, 4>)>;
/// Windows of one channel.
type Depthwises = Sequential<
    Image<3, 5, 5>,
    (Depthwise2d<3, 2, 1>, LeakyRelu<10>, Pointwise<4>, Relu6, Depthwise<Window<2, 3, 1, 2, 0, 1>>, HardSwish, Depthwise2d<2>),
>;
/// Along the time.
type Times = Sequential<
    Image<2, 1, 16>,
    (
        Conv1d<4, 5, 2, 2>,
        HardSwish,
        MaxPool1d<3, 1, 1>,
        Depthwise1d<3, 1, 1>,
        AvgPool1d<2>,
        Conv1d<3, 4, 1, 2>,
        Relu,
        GlobalAvgPool,
        Dense<3>,
    ),
>;
/// Pools with padding, overlapping and with gaps.
type Pools = Sequential<
    Image<2, 6, 7>,
    (
        MaxPool2d<3, 2, 1>,
        Conv2d<3, 2, 1, 1>,
        Relu,
        AvgPool<Window<3, 2, 1, 2, 1, 0>>,
        Pointwise<3>,
        MaxPool<Window<1, 2, 2, 1>>,
        AvgPool2d<1, 2>,
    ),
>;
/// Pools that shrink, first in a branch, where nobody asks for the gradient of the widest activation there is.
type FirstPools = Sequential<
    Image<2, 6, 4>,
    (Residual<Conv2d<2, 2, 2>, MaxPool2d<2>>, Parallel<AvgPool<Window<2, 1, 1>>, (ChannelShuffle<2>, Conv<1, Window<2, 1, 1>>)>, Dense<2>),
>;
/// A batch norm first, in the middle and last.
type BatchNorms = Sequential<Image<2, 3, 3>, (BatchNorm, Conv2d<3, 2>, BatchNorm, Relu, Dense<4>, BatchNorm)>;
/// A layer norm first, in the middle and last.
type LayerNorms = Sequential<Image<2, 3, 3>, (LayerNorm, Conv2d<3, 2>, LayerNorm, Relu, Dense<4>, LayerNorm)>;
/// Masks first, in branches, of several blocks, more than one behind each other.
type Dropouts = Sequential<
    Image<2, 3, 3>,
    (Dropout<20>, Conv2d<4, 2>, Residual<(Dropout<50>, Pointwise<4>), Dropout<10>>, Dropout<30>, Concat<Dropout<50>>, Dropout<0>, Dense<3>),
>;
/// Residuals that keep the shape and that do not, one in the other.
type Residuals = Sequential<
    Image<2, 4, 4>,
    (
        Residual<(Pointwise<3>, BatchNorm, Relu, Conv2d<2, 3, 1, 1>)>,
        Relu,
        Residual<(Residual<Depthwise2d<3, 1, 1>>, Relu, Conv2d<3, 3, 2, 1>, BatchNorm), (Conv2d<3, 1, 2>, BatchNorm)>,
        HardSwish,
        Dense<3>,
    ),
>;
/// Branches in branches; activations at their ends, and where a split lets them at their starts.
type Branches = Sequential<
    Image<4, 3, 3>,
    (
        Split<1, Relu, (Pointwise<2>, Tanh)>,
        ChannelShuffle<3>,
        Parallel<(Depthwise2d<3, 1, 1>, Relu), Split<2, (), (LayerNorm, Pointwise<2>)>>,
        BatchNorm,
        Concat<(Pointwise<2>, Relu, Concat<Pointwise<1>>)>,
        AvgPool2d<3>,
    ),
>;

#[test]
fn gradients_of_mixed_classes_are_those_of_finite_differences() {
    for loss in &LOSSES[..2] {
        for samples in [1, 6, 70] {
            let (theta, mut data) = (parameters::<Odd>(4), Samples::random::<Odd>(4, samples));
            let batch = data.mixed_batch::<Odd>(samples, None);
            let expected = by_finite_differences::<Odd>(loss, &theta, &batch);
            check::<Odd, Scalar>(&Population::NONE, loss, &theta, &batch, &expected);
            check::<Odd, form::Samples<f32x8>>(&Population::NONE, loss, &theta, &batch, &expected);
            if samples <= SHARD {
                check::<Odd, Members<f32x8>>(&Population::NONE, loss, &theta, &batch, &expected);
            }
        }
    }
}

#[test]
fn gradients_of_perceptrons_are_those_of_finite_differences() {
    for (seed, loss) in (1..).zip(LOSSES) {
        for samples in [1, 6, 70] {
            check_by_finite_differences::<Perceptron>(seed, loss, samples);
            check_by_finite_differences::<Odd>(seed, loss, samples);
        }
    }
}

#[test]
fn gradients_of_convolutions_are_those_of_finite_differences() {
    check_batches::<Convolutions>();
    check_batches::<Tiles>();
    check_batches::<Depthwises>();
    check_batches::<Times>();
}

#[test]
fn gradients_of_pools_are_those_of_finite_differences() {
    check_batches::<Pools>();
    check_batches::<FirstPools>();
}

#[test]
fn gradients_of_normalisations_are_those_of_finite_differences() {
    check_batches::<BatchNorms>();
    check_batches::<LayerNorms>();
}

#[test]
fn gradients_under_masks_are_those_of_finite_differences_with_the_same_masks() {
    check_batches::<Dropouts>();
}

#[test]
fn gradients_of_branches_are_those_of_finite_differences() {
    check_batches::<Residuals>();
    check_batches::<Branches>();
}

/// A layer that keeps the shape: first, last, in the middle, in either branch, first in the network and not.
macro_rules! check_places {
    ($($layer:ty),* $(,)?) => {$(
        println!("{}", stringify!($layer));
        check_six_samples::<Sequential<Image<4, 3, 2>, ($layer, Dense<3>)>>(1, LOSSES[0]);
        check_six_samples::<Sequential<Image<4, 3, 2>, (Pointwise<4>, $layer)>>(2, LOSSES[1]);
        check_six_samples::<Sequential<Image<4, 3, 2>, (Pointwise<4>, $layer, Relu, Dense<3>)>>(3, LOSSES[2]);
        check_six_samples::<Sequential<Image<4, 3, 2>, (Parallel<$layer, Pointwise<2>>, Dense<2>)>>(4, LOSSES[0]);
        check_six_samples::<Sequential<Image<4, 3, 2>, (Residual<Pointwise<4>, $layer>, Dense<2>)>>(5, LOSSES[1]);
        check_six_samples::<Sequential<Image<4, 3, 2>, (Residual<$layer>, Pointwise<2>)>>(6, LOSSES[2]);
        check_six_samples::<Sequential<Image<2, 3, 2>, (Pointwise<4>, Residual<(Tanh2, $layer), $layer>, Dense<2>)>>(7, LOSSES[0]);
        check_six_samples::<Sequential<Image<2, 3, 2>, (Pointwise<5>, Split<1, (), ($layer, Relu2)>, Dense<2>)>>(8, LOSSES[1]);
    )*};
}

/// Activations that a branch may begin and end with.
type Tanh2 = (HardSwish, Pointwise<4>, Tanh);
type Relu2 = (Pointwise<4>, Relu);

#[test]
fn gradients_are_right_wherever_a_layer_with_weights_stands() {
    check_places!(Conv2d<4, 3, 1, 1>, Conv<4, Window<3, 3, 1, 1, 1, 1>, 2>, Depthwise2d<3, 1, 1>, BatchNorm, LayerNorm, Pointwise<4>);
}

#[test]
fn gradients_are_right_wherever_a_layer_without_weights_stands() {
    check_places!(MaxPool2d<3, 1, 1>, AvgPool2d<3, 1, 1>, HardSwish, Dropout<30>, ChannelShuffle<2>);
}

#[test]
fn gradients_are_right_wherever_branches_stand() {
    check_places!(Residual<Pointwise<4>>, Split<3, (), Pointwise<1>>, Parallel<Pointwise<1>, (MaxPool2d<3, 1, 1>, Pointwise<3>)>);
}

/// 12 inputs, 8 hidden units, 5 classes.
type Mlp = Sequential<Vector<12>, (Dense<8>, Relu, Dense<5>)>;

/// Backpropagation through [`Mlp`] as matrices: samples are columns.
fn matrix_form(theta: &[f64], inputs: &[f32], labels: &[u16]) -> Vec<f64> {
    let samples = labels.len();
    let x = DMatrix::from_iterator(12, samples, inputs.iter().map(|&x| f64::from(x)));
    let w1 = DMatrix::from_row_slice(8, 12, &theta[..96]);
    let b1 = DVector::from_row_slice(&theta[96..104]);
    let w2 = DMatrix::from_row_slice(5, 8, &theta[104..144]);
    let b2 = DVector::from_row_slice(&theta[144..]);
    let ones = DMatrix::from_element(1, samples, 1.0);

    let hidden = (&w1 * &x + b1 * &ones).map(|z| z.max(0.0));
    let exponentials = (&w2 * &hidden + b2 * &ones).map(f64::exp);
    let truth = DMatrix::from_fn(5, samples, |class, n| f64::from(class == usize::from(labels[n])));
    let softmax = DMatrix::from_fn(5, samples, |class, n| exponentials[(class, n)] / exponentials.column(n).sum());

    let d2 = (softmax - truth) / samples as f64;
    let d1 = (w2.transpose() * &d2).zip_map(&hidden, |d, h| if h > 0.0 { d } else { 0.0 });
    let rows = |weights: DMatrix<f64>| weights.transpose().as_slice().to_vec();
    let sums = |errors: &DMatrix<f64>| errors.column_sum().as_slice().to_vec();
    [rows(&d1 * x.transpose()), sums(&d1), rows(&d2 * hidden.transpose()), sums(&d2)].concat()
}

const CROSS_ENTROPY: Loss = LOSSES[0];

#[test]
fn gradient_of_an_mlp_is_that_of_the_matrix_form() {
    let (theta, data) = (parameters::<Mlp>(3), Samples::random::<Mlp>(3, 33));
    let batch = data.batch::<Mlp>(&CROSS_ENTROPY, 0, 33);
    let Targets::Classes(labels) = batch.targets else { unreachable!() };
    let (found, _) = gradient::<Mlp, Scalar>(&Population::NONE, &CROSS_ENTROPY, 0, &theta, &batch).unwrap();
    assert_close(&found, &matrix_form(&exact(&theta), batch.inputs, labels));
}

#[test]
fn population_gradient_is_the_mean_of_the_matrix_form_at_the_noisy_copies() {
    let (theta, data) = (parameters::<Mlp>(4), Samples::random::<Mlp>(4, 20));
    let batch = data.batch::<Mlp>(&CROSS_ENTROPY, 0, 20);
    let Targets::Classes(labels) = batch.targets else { unreachable!() };
    for (members, antithetic) in [(1, true), (5, true), (8, true), (3, false)] {
        let population = Population { antithetic, ..Population::new(members, 0.3) };
        let mut mean = vec![0.0; Mlp::PARAMS];
        for member in 0..members {
            // The definition, by hand: parameter i of a filter f moves by ρ·‖w_f‖/√d times normal i of the pair.
            let (pair, sign) = if antithetic { (member / 2, [1.0, -1.0][member as usize % 2]) } else { (member, 1.0) };
            let stream = pg_core::noise::Stream::new(SEED, pg_core::noise::Purpose::Members, 9, pair);
            let normal = |i: usize| {
                let mut group = [0.0; GROUP];
                stream.normals::<f32>((i / GROUP) as u32, &mut group);
                f64::from(group[i % GROUP])
            };
            let mut copy = exact(&theta);
            for (first, filters, fan_in) in [(0, 8, 12), (104, 5, 8)] {
                for filter in (0..filters).map(|f| first + f * fan_in..first + (f + 1) * fan_in) {
                    let norm = DVector::from_row_slice(&copy[filter.clone()]).norm();
                    filter.for_each(|i| copy[i] += sign * 0.3 * norm / (fan_in as f64).sqrt() * normal(i));
                }
            }
            let one = matrix_form(&copy, batch.inputs, labels);
            mean.iter_mut().zip(one).for_each(|(mean, g)| *mean += g / f64::from(members));
        }
        let (found, _) = gradient::<Mlp, Scalar>(&population, &CROSS_ENTROPY, 9, &theta, &batch).unwrap();
        assert_close(&found, &mean);
        let (lanes, _) = gradient::<Mlp, Members<f32x8>>(&population, &CROSS_ENTROPY, 9, &theta, &batch).unwrap();
        assert_eq!(bits(&found), bits(&lanes));
    }
}
