//! Gradients against two independent oracles: finite differences in `f64`, and the matrix form of an MLP by nalgebra.

use nalgebra::{DMatrix, DVector};
use pg::oracle::{self, Layer, assert_close, finite_differences};
use pg::{Samples, bits, gradient, parameters};
use pg_core::form::{self, Members, Scalar};
use pg_core::layers::*;
use pg_core::loss::{Loss, Targets};
use pg_core::noise::GROUP;
use pg_core::perturbation::Distribution;
use pg_core::population::{Batch, Population, SHARD};
use pg_core::{Image, Network, Sequential, Vector, f32x8};

/// Every layer there is.
type Everything = Sequential<
    Image<2, 3, 4>,
    (Expect<2, 3, 4>, Flatten, Dense<9>, Relu, Dense<7>, LeakyRelu<10>, Expect<7, 1, 1>, Dense<6>, Tanh, Dense<5>, Sigmoid, Dense<4>),
>;
const EVERYTHING: &[Layer] = &[
    Layer::Dense(9),
    Layer::Relu,
    Layer::Dense(7),
    Layer::LeakyRelu(0.1),
    Layer::Dense(6),
    Layer::Tanh,
    Layer::Dense(5),
    Layer::Sigmoid,
    Layer::Dense(4),
];

/// Layers that change the input on the tape, tuples in tuples, an activation at the end.
type Odd = Sequential<Vector<5>, (Tanh, (Dense<6>, Relu), (), (Dense<4>, LeakyRelu<25>), (Dense<3>, (Sigmoid,)))>;
const ODD: &[Layer] =
    &[Layer::Tanh, Layer::Dense(6), Layer::Relu, Layer::Dense(4), Layer::LeakyRelu(0.25), Layer::Dense(3), Layer::Sigmoid];

const LOSSES: [Loss; 3] =
    [Loss::CrossEntropy { label_smoothing: 0.0 }, Loss::CrossEntropy { label_smoothing: 0.1 }, Loss::MeanSquaredError];

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

fn check_by_finite_differences<N: Network>(layers: &[Layer]) {
    for (seed, loss) in (1..).zip(LOSSES) {
        for samples in [1, 6, 70] {
            let (theta, data) = (parameters::<N>(seed), Samples::random::<N>(seed, samples));
            let batch = data.batch::<N>(&loss, 0, samples);
            let expected = finite_differences(layers, &theta, batch.inputs, samples, &oracle_loss(&loss, &batch));
            let exact: Vec<f64> = theta.iter().map(|&p| p.into()).collect();
            let expected_loss = oracle::loss(layers, &exact, batch.inputs, samples, &oracle_loss(&loss, &batch));
            let (found, found_loss) = gradient::<N, Scalar>(&Population::NONE, &loss, 0, &theta, &batch).unwrap();
            assert_close(&found, &expected);
            assert!((f64::from(found_loss) - expected_loss).abs() < 1e-5 * expected_loss, "{found_loss} {expected_loss}");
            let (found, _) = gradient::<N, form::Samples<f32x8>>(&Population::NONE, &loss, 0, &theta, &batch).unwrap();
            assert_close(&found, &expected);
        }
    }
}

#[test]
fn gradient_of_every_layer_and_loss_is_that_of_finite_differences() {
    check_by_finite_differences::<Everything>(EVERYTHING);
}

#[test]
fn gradient_is_right_where_an_activation_comes_first_or_last_and_tuples_nest() {
    check_by_finite_differences::<Odd>(ODD);
}

#[test]
fn gradient_of_mixed_classes_is_that_of_finite_differences_in_every_form() {
    for loss in &LOSSES[..2] {
        for samples in [1, 6, 70] {
            let (theta, mut data) = (parameters::<Odd>(4), Samples::random::<Odd>(4, samples));
            let batch = data.mixed_batch::<Odd>(samples, None);
            let of = oracle_loss(loss, &batch);
            let expected = finite_differences(ODD, &theta, batch.inputs, samples, &of);
            let exact: Vec<f64> = theta.iter().map(|&p| p.into()).collect();
            let expected_loss = oracle::loss(ODD, &exact, batch.inputs, samples, &of);
            let check = |(found, found_loss): (Vec<f32>, f32)| {
                assert_close(&found, &expected);
                assert!((f64::from(found_loss) - expected_loss).abs() < 1e-5 * expected_loss, "{found_loss} {expected_loss}");
            };
            check(gradient::<Odd, Scalar>(&Population::NONE, loss, 0, &theta, &batch).unwrap());
            check(gradient::<Odd, form::Samples<f32x8>>(&Population::NONE, loss, 0, &theta, &batch).unwrap());
            if samples <= SHARD {
                check(gradient::<Odd, Members<f32x8>>(&Population::NONE, loss, 0, &theta, &batch).unwrap());
            }
        }
    }
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
    let exact: Vec<f64> = theta.iter().map(|&p| p.into()).collect();
    let (found, _) = gradient::<Mlp, Scalar>(&Population::NONE, &CROSS_ENTROPY, 0, &theta, &batch).unwrap();
    assert_close(&found, &matrix_form(&exact, batch.inputs, labels));
}

#[test]
fn population_gradient_is_the_mean_of_the_matrix_form_at_the_noisy_copies() {
    const SEED: u64 = 0x5eed_0000_0017;
    let (theta, data) = (parameters::<Mlp>(4), Samples::random::<Mlp>(4, 20));
    let batch = data.batch::<Mlp>(&CROSS_ENTROPY, 0, 20);
    let Targets::Classes(labels) = batch.targets else { unreachable!() };
    for (members, antithetic) in [(1, true), (5, true), (8, true), (3, false)] {
        let population = Population { members, rho: 0.3, distribution: Distribution::Gaussian, antithetic };
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
            let mut copy: Vec<f64> = theta.iter().map(|&p| p.into()).collect();
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
