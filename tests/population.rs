//! What the method promises: antithetic pairs, noise to the measure of each filter, no noise at ρ = 0, no step without a number.

use pg::{Samples, bits, gradient, normals, parameters};
use pg_core::form::{self, Members, Scalar};
use pg_core::initialise::{Initialise, Rule};
use pg_core::layers::*;
use pg_core::loss::Loss;
use pg_core::noise::{GROUP, Purpose, Stream};
use pg_core::perturbation::{Distribution, Noise, mirror};
use pg_core::population::{Population, StepError};
use pg_core::{Image, Network, Sequential, Vector, f32x8, f32x16};

type Linear = Sequential<Vector<11>, (Dense<4>,)>;
type Mlp = Sequential<Vector<50>, (Dense<17>, Relu, Dense<10>)>;

const CROSS_ENTROPY: Loss = Loss::CrossEntropy { label_smoothing: 0.0 };
const DISTRIBUTIONS: [Distribution; 3] = [Distribution::Gaussian, Distribution::Uniform, Distribution::Rademacher];

fn population(members: u32, rho: f32) -> Population {
    Population::new(members, rho)
}

fn noisy(distribution: Distribution, members: u32, rho: f32) -> Population {
    Population { noise: Noise { distribution, ..Noise::new(rho) }, ..Population::new(members, rho) }
}

/// θ + ε and θ - ε of the pair at `step`.
fn pair<N: Network>(distribution: Distribution, rho: f32, step: u32, theta: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut scales = vec![0.0; N::FILTERS];
    let noise = Noise { distribution, ..Noise::new(rho) };
    noise.scales::<N, f32x8>(theta, &mut scales);
    let (mut plus, mut minus) = (vec![0.0; N::PARAMS], vec![0.0; N::PARAMS]);
    let stream = Stream::new(1, Purpose::Members, step, 0);
    noise.perturb::<N, f32x8>(&stream, theta, &scales, &mut plus);
    minus.copy_from_slice(&plus);
    mirror::<f32x8>(theta, &mut minus);
    (plus, minus)
}

#[test]
fn an_antithetic_mean_of_a_quadratic_loss_is_the_exact_gradient() {
    // The mean squared error of a linear network is quadratic in θ, so its gradient is linear: the noise of a pair cancels.
    let (theta, data) = (parameters::<Linear>(1), Samples::random::<Linear>(1, 24));
    let batch = data.batch::<Linear>(&Loss::MeanSquaredError, 0, 24);
    let run = |population| gradient::<Linear, Scalar>(&population, &Loss::MeanSquaredError, 0, &theta, &batch).unwrap().0;
    let exact = run(Population::NONE);
    let distance = |found: Vec<f32>| found.iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    let norm = distance(vec![0.0; Linear::PARAMS]);
    for distribution in DISTRIBUTIONS {
        assert!(distance(run(noisy(distribution, 2, 0.6))) < 1e-6 * norm);
        assert!(distance(run(noisy(distribution, 8, 0.6))) < 1e-6 * norm);
        assert!(distance(run(Population { antithetic: false, ..noisy(distribution, 8, 0.6) })) > 0.01 * norm, "there is noise");
    }
}

#[test]
fn without_noise_the_population_is_plain_gradient_descent_bit_for_bit() {
    let (theta, data) = (parameters::<Mlp>(2), Samples::random::<Mlp>(2, 37));
    let batch = data.batch::<Mlp>(&CROSS_ENTROPY, 0, 37);
    let (plain, plain_loss) = gradient::<Mlp, form::Samples<f32x8>>(&Population::NONE, &CROSS_ENTROPY, 0, &theta, &batch).unwrap();
    for members in [1, 2, 4] {
        let (scalar, loss) = gradient::<Mlp, Scalar>(&population(members, 0.0), &CROSS_ENTROPY, 0, &theta, &batch).unwrap();
        assert_eq!((bits(&scalar), loss.to_bits()), (bits(&plain), plain_loss.to_bits()));
        let (lanes, loss) = gradient::<Mlp, Members<f32x8>>(&population(members, 0.0), &CROSS_ENTROPY, 0, &theta, &batch).unwrap();
        assert_eq!((bits(&lanes), loss.to_bits()), (bits(&plain), plain_loss.to_bits()));
    }
}

#[test]
fn noise_is_the_same_in_any_order() {
    let stream = Stream::new(8, Purpose::Members, 4, 2);
    let make = |group| {
        let [mut normals, mut uniforms, mut signs] = [[0.0; GROUP]; 3];
        stream.normals::<f32x16>(group, &mut normals);
        stream.uniforms::<f32x16>(group, &mut uniforms);
        stream.signs(group, &mut signs);
        (normals, uniforms, signs)
    };
    let forwards: Vec<_> = (0..20).map(make).collect();
    let mut backwards: Vec<_> = (0..20).rev().map(make).collect();
    backwards.reverse();
    assert_eq!(forwards, backwards);
}

#[test]
fn the_noise_of_a_pair_sums_to_zero_and_biases_have_none() {
    let theta = parameters::<Mlp>(3);
    for distribution in DISTRIBUTIONS {
        let (plus, minus) = pair::<Mlp>(distribution, 0.6, 0, &theta);
        for ((p, m), t) in plus.iter().zip(&minus).zip(&theta) {
            // The second is made from the first by two subtractions, each rounded once.
            let rounding = ((p - t).abs() + m.abs()) * f32::EPSILON / 2.0;
            assert!((f64::from(*p) + f64::from(*m) - 2.0 * f64::from(*t)).abs() <= f64::from(rounding));
        }
        Mlp::segments(&mut |Segment { kind, offset, filters, fan_in, .. }| {
            let moved = (offset..offset + filters * fan_in).filter(|&i| plus[i] != theta[i]).count();
            assert!(if kind == SegmentKind::Bias { moved == 0 } else { moved > filters * fan_in - 3 });
        });
    }
}

#[test]
fn noise_of_each_filter_has_the_standard_deviation_that_its_norm_asks_for() {
    const RHO: f32 = 0.3;
    const STEPS: u32 = 500;
    let mut theta = parameters::<Mlp>(4);
    theta[50..100].iter_mut().for_each(|weight| *weight *= 100.0);
    for distribution in DISTRIBUTIONS {
        let pairs: Vec<_> = (0..STEPS).map(|step| pair::<Mlp>(distribution, RHO, step, &theta).0).collect();
        for filter in (0..17).map(|f| 50 * f..50 * (f + 1)) {
            let norm = theta[filter.clone()].iter().map(|w| w * w).sum::<f32>().sqrt();
            let expected = f64::from(RHO * norm / 50f32.sqrt());
            let squares = pairs.iter().flat_map(|plus| filter.clone().map(|i| f64::from(plus[i] - theta[i]).powi(2)));
            let found = (squares.sum::<f64>() / f64::from(50 * STEPS)).sqrt();
            // 25,000 numbers: the standard error is 0.45 %.
            assert!((found / expected - 1.0).abs() < 0.02, "{distribution:?}: {found} for {expected}");
        }
    }
}

#[test]
fn a_filter_of_zeros_is_safe_and_stays_where_it_is() {
    let mut theta = parameters::<Mlp>(5);
    theta[..100].fill(0.0);
    let data = Samples::random::<Mlp>(5, 9);
    let batch = data.batch::<Mlp>(&CROSS_ENTROPY, 0, 9);
    for distribution in DISTRIBUTIONS {
        let (plus, minus) = pair::<Mlp>(distribution, 0.6, 0, &theta);
        assert!(plus[..100].iter().chain(&minus[..100]).all(|&weight| weight == 0.0));
        for theta in [&theta[..], &[0.0; Mlp::PARAMS]] {
            let (found, _) = gradient::<Mlp, Members<f32x8>>(&noisy(distribution, 4, 0.6), &CROSS_ENTROPY, 0, theta, &batch).unwrap();
            assert!(found.iter().all(|g| g.is_finite()));
        }
    }
}

#[test]
fn the_central_network_is_the_same_after_the_members_have_run() {
    let (theta, data) = (parameters::<Mlp>(6), Samples::random::<Mlp>(6, 16));
    let before = bits(&theta);
    let batch = data.batch::<Mlp>(&CROSS_ENTROPY, 0, 16);
    gradient::<Mlp, Members<f32x8>>(&population(8, 0.6), &CROSS_ENTROPY, 0, &theta, &batch).unwrap();
    gradient::<Mlp, Scalar>(&population(8, 0.6), &CROSS_ENTROPY, 0, &theta, &batch).unwrap();
    assert_eq!(before, bits(&theta));
}

#[test]
fn another_step_has_other_noise_and_the_same_step_the_same() {
    let (theta, data) = (parameters::<Mlp>(7), Samples::random::<Mlp>(7, 8));
    let batch = data.batch::<Mlp>(&CROSS_ENTROPY, 0, 8);
    let run = |step| gradient::<Mlp, Scalar>(&population(2, 0.6), &CROSS_ENTROPY, step, &theta, &batch).unwrap();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_loss_that_is_no_number_is_an_error_whatever_spoilt_it() {
    let data = Samples::random::<Mlp>(8, 40);
    let last_bias = Mlp::PARAMS - 1;
    for loss in [CROSS_ENTROPY, Loss::CrossEntropy { label_smoothing: 0.1 }, Loss::MeanSquaredError] {
        let batch = data.batch::<Mlp>(&loss, 0, 40);
        // A weight of the first layer, a bias of the last class only; NaN and infinities.
        for (place, spoilt) in [(0, f32::NAN), (0, f32::INFINITY), (last_bias, f32::NAN), (last_bias, f32::INFINITY)] {
            let mut theta = parameters::<Mlp>(8);
            theta[place] = spoilt;
            let error = Err(StepError::NonFiniteLoss);
            let what = format!("{loss:?}, parameter {place} is {spoilt}");
            assert_eq!(gradient::<Mlp, Scalar>(&Population::NONE, &loss, 0, &theta, &batch), error, "scalar, {what}");
            assert_eq!(gradient::<Mlp, form::Samples<f32x8>>(&Population::NONE, &loss, 0, &theta, &batch), error, "samples, {what}");
            assert_eq!(gradient::<Mlp, Members<f32x8>>(&population(8, 0.6), &loss, 0, &theta, &batch), error, "members, {what}");
        }
    }
}

#[test]
fn a_class_that_is_no_number_is_found_though_no_sample_has_it() {
    use pg_core::loss::Targets;
    use pg_core::population::Batch;
    let inputs = normals(9, 50 * 3);
    let batch = Batch { inputs: &inputs, targets: Targets::Classes(&[0, 1, 2]), samples: 3 };
    let mut theta = parameters::<Mlp>(9);
    theta[Mlp::PARAMS - 1] = f32::NAN;
    assert_eq!(gradient::<Mlp, Scalar>(&Population::NONE, &CROSS_ENTROPY, 0, &theta, &batch), Err(StepError::NonFiniteLoss));
    assert_eq!(gradient::<Mlp, Members<f32x8>>(&population(2, 0.6), &CROSS_ENTROPY, 0, &theta, &batch), Err(StepError::NonFiniteLoss));
}

#[test]
fn initial_weights_have_the_variance_of_their_rule_and_biases_are_zero() {
    type Wide = Sequential<Vector<200>, (Dense<100>,)>;
    type BeforeTanh = Sequential<Vector<200>, (Dense<100>, (Flatten, Tanh))>;
    let (he, xavier, uniform) = (2.0 / 200.0, 2.0 / 300.0, 1.0 / 600.0);
    let rules = [
        (Rule::Auto, he),
        (Rule::He, he),
        (Rule::Xavier, xavier),
        (Rule::XavierUniform, xavier),
        (Rule::Uniform, uniform),
        (Rule::Orthogonal, 1.0 / 200.0),
    ];
    let write = |rule, write: fn(Initialise, u64, &mut [f32])| {
        let mut theta = vec![1.0; Wide::PARAMS];
        write(Initialise { rule, zero_residuals: false }, 1, &mut theta);
        theta
    };
    assert_eq!(write(Rule::Auto, Initialise::write::<BeforeTanh>), write(Rule::Xavier, Initialise::write::<Wide>));
    for (rule, variance) in rules {
        let theta = write(rule, Initialise::write::<Wide>);
        let (weights, biases) = theta.split_at(20_000);
        let found = weights.iter().map(|w| f64::from(w * w)).sum::<f64>() / 20_000.0;
        assert!((found / variance - 1.0).abs() < 0.05, "{rule:?}: {found}");
        let most = weights.iter().fold(0.0f32, |most, w| most.max(w.abs()));
        assert!(rule != Rule::Uniform || (0.99..=1.0).contains(&(most * 200f32.sqrt())), "up to 1 / √fan-in: {most}");
        assert!(biases.iter().all(|&bias| bias == 0.0));
    }
}

#[test]
fn orthogonal_rows_stand_at_right_angles_also_when_there_are_too_many() {
    type Tall = Sequential<Vector<6>, (Dense<15>, Relu, Dense<3>)>;
    let mut theta = vec![1.0; Tall::PARAMS];
    Initialise { rule: Rule::Orthogonal, zero_residuals: false }.write::<Tall>(5, &mut theta);
    let rows: Vec<&[f32]> = theta[..90].chunks(6).collect();
    for block in rows.chunks(6) {
        for (i, a) in block.iter().enumerate() {
            for (j, b) in block.iter().enumerate() {
                let dot: f32 = a.iter().zip(*b).map(|(a, b)| a * b).sum();
                assert!((dot - if i == j { 2.0 } else { 0.0 }).abs() < 1e-5, "{i} {j}: {dot}");
            }
        }
    }
}

#[test]
fn a_residual_that_starts_at_zero_is_the_identity() {
    type Body = (Conv2d<2, 3, 1, 1>, BatchNorm, Relu, Conv2d<2, 3, 1, 1>, BatchNorm);
    type Net = Sequential<Image<2, 4, 4>, (Residual<Body>, Residual<Conv2d<2, 1>>, Dense<2>)>;
    let mut theta = vec![1.0; Net::PARAMS];
    Initialise { rule: Rule::Auto, zero_residuals: true }.write::<Net>(5, &mut theta);
    let mut zeros = Vec::new();
    Net::segments(&mut |segment| {
        let all_zero = theta[segment.range()].iter().all(|&p| p == 0.0);
        if matches!(segment.kind, SegmentKind::Weight | SegmentKind::Gain) {
            zeros.push((segment.kind, all_zero));
        }
    });
    let (weight, gain) = (SegmentKind::Weight, SegmentKind::Gain);
    assert_eq!(zeros, [(weight, false), (gain, false), (weight, false), (gain, true), (weight, true), (weight, false)]);
}
