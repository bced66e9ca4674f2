//! Noise of rank 1: members on factors against explicit members in `f64`, in every form; its pairs, its memory.

use std::fmt;

use pg::oracle::population::{gradient as oracle, noise as oracle_noise};
use pg::oracle::{assert_close, exact};
use pg::{SEED, Samples, bits, gradient, parameters};
use pg_core::form::{self, Form, Members, Scalar};
use pg_core::layers::window::Window;
use pg_core::layers::*;
use pg_core::loss::{Loss, Targets};
use pg_core::perturbation::{Distribution, Noise, NoiseTargets, ScaleRule};
use pg_core::population::{Batch, BatchMode, Combine, Population, Workspace};
use pg_core::shape::{Shape, Shaped};
use pg_core::zoo::{Lenet28, Mlp784x128x10};
use pg_core::{Image, Network, Sequential, Vector, f32x4, f32x8, f32x16};

/// Three matrices, the first with more columns than rows, the last with one place in a vector.
type Plain = Sequential<Vector<19>, (Dense<7>, Tanh, Dense<5>, Tanh, Dense<3>)>;
/// A layer that mixes samples, and a normalisation, between dense ones.
type Normed = Sequential<Vector<9>, (Dense<6>, BatchNorm, Tanh, Dense<4>, LayerNorm, Dense<3>)>;
/// Convolutions: more outputs than rows in a tile, with padding, with a stride and in groups, of one place.
type Convolved =
    Sequential<Image<2, 4, 5>, (Conv2d<8, 3, 1, 1>, Tanh, Conv<4, Window<3, 2, 2, 1, 1, 0>, 2>, Tanh, Pointwise<3>, Tanh, Dense<3>)>;
/// Windows along the time, longer than a tile is wide.
type Windowed = Sequential<Image<2, 1, 37>, (Conv1d<3, 4, 1, 2>, Tanh, MaxPool1d<2>, Conv1d<4, 3, 2, 1>, Tanh, GlobalAvgPool, Dense<3>)>;
/// Branches of every kind, with depthwise convolutions, none of which mixes samples.
type Branched = Sequential<
    Image<2, 4, 4>,
    (
        (Depthwise2d<3, 1, 1>, Pointwise<4>, Tanh),
        Residual<(Depthwise2d<3, 2, 1>, Tanh, Pointwise<4>), Conv2d<4, 1, 2>>,
        Concat<(LayerNorm, Tanh, Pointwise<2>)>,
        (Split<3, (), (Pointwise<3>, Tanh)>, ChannelShuffle<2>),
        Parallel<Pointwise<2>, AvgPool2d<1>>,
        (AvgPool2d<2>, Dense<3>),
    ),
>;
/// Convolutions whose outputs are normalised over the batch.
type NormedBody = (Depthwise2d<3, 1, 1>, BatchNorm, Tanh, Pointwise<4>, BatchNorm);
type NormedConvolutions =
    Sequential<Image<2, 4, 4>, (Conv2d<4, 3, 1, 1>, BatchNorm, Tanh, Residual<NormedBody>, Tanh, GlobalAvgPool, Dense<3>)>;

/// A dense layer as a user may write it, without a word of factors.
struct Own;

impl<In: Shaped> Layer<In> for Own {
    const OUT: Shape = <Dense<4> as Layer<In>>::OUT;
    const PARAMS: usize = <Dense<4> as Layer<In>>::PARAMS;
    const TAPE: usize = <Dense<4> as Layer<In>>::TAPE;
    const WIDTH: usize = <Dense<4> as Layer<In>>::WIDTH;
    const TRANSPOSED: usize = <Dense<4> as Layer<In>>::TRANSPOSED;
    const FILTERS: usize = <Dense<4> as Layer<In>>::FILTERS;

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        <Dense<4> as Layer<In>>::describe(to)
    }
    fn segments(offset: usize, next: Activation, visit: &mut dyn FnMut(Segment)) {
        <Dense<4> as Layer<In>>::segments(offset, next, visit);
    }
    fn forward<F: Form>(pass: &Pass, parameters: &[f32], x: &mut [f32], tape: &mut [f32], scratch: &mut [f32]) {
        <Dense<4> as Layer<In>>::forward::<F>(pass, parameters, x, tape, scratch);
    }
    fn backward<F: Form>(
        pass: &Pass,
        parameters: &[f32],
        x: &[f32],
        tape: &[f32],
        buffers: &mut Buffers,
        scratch: &mut [f32],
        gradient: &mut [f32],
    ) {
        <Dense<4> as Layer<In>>::backward::<F>(pass, parameters, x, tape, buffers, scratch, gradient);
    }
}

const LOSS: Loss = Loss::CrossEntropy { label_smoothing: 0.0 };
const STEP: u32 = 7;

/// A population with noise of rank 1.
fn rank_one(members: u32) -> Population {
    let mut population = Population::new(members, 0.4);
    population.noise.distribution = Distribution::RankOne;
    population
}

/// The gradient and the loss are those of explicit members in `f64`, and in every form the same bits.
#[track_caller]
fn check<N: Network>(population: &Population, samples: usize) {
    let (theta, data) = (parameters::<N>(5), Samples::random::<N>(6, samples));
    let batch = data.batch::<N>(&LOSS, 0, samples);
    let Targets::Classes(labels) = batch.targets else { panic!("classes") };
    let (found, loss) = gradient::<N, Scalar>(population, &LOSS, STEP, &theta, &batch).expect("finite losses");
    let (expected, expected_loss) = oracle::<N>(population, SEED, STEP, &theta, batch.inputs, labels, &[]);
    assert_close(&found, &expected);
    assert!((f64::from(loss) - expected_loss).abs() < 1e-5 * expected_loss, "{loss} for {expected_loss}");
    macro_rules! same {
        ($($form:ty)*) => {$({
            let (other, other_loss) = gradient::<N, $form>(population, &LOSS, STEP, &theta, &batch).expect("finite losses");
            let same = (bits(&other), other_loss.to_bits()) == (bits(&found), loss.to_bits());
            assert!(same, "{} {population:?} {samples}", stringify!($form));
        })*};
    }
    same!(form::Samples<f32x4> form::Samples<f32x8> form::Samples<f32x16>);
    if samples <= 64 {
        same!(Members<f32x4> Members<f32x8> Members<f32x16>);
    }
}

#[test]
fn members_on_factors_follow_the_definition_in_every_mode_antithetic_and_not() {
    assert_eq!(Plain::FACTORS, 19 + 7 + 7 + 5 + 5 + 3);
    for batch in [BatchMode::Shared, BatchMode::Split, BatchMode::Fresh] {
        for antithetic in [true, false] {
            for members in [1, 2, 3, 5, 8, 9] {
                let population = Population { batch, antithetic, ..rank_one(members) };
                check::<Plain>(&population, 7);
                check::<Plain>(&population, 21);
            }
        }
        check::<Normed>(&Population { batch, ..rank_one(3) }, 11);
    }
}

#[test]
fn convolutions_on_factors_follow_the_definition_in_every_mode_antithetic_and_not() {
    assert_eq!(Convolved::FACTORS, (18 + 8) + (24 + 4) + (4 + 3) + (24 + 3));
    for batch in [BatchMode::Shared, BatchMode::Split, BatchMode::Fresh] {
        for antithetic in [true, false] {
            for members in [1, 3, 8] {
                check::<Convolved>(&Population { batch, antithetic, ..rank_one(members) }, 9);
            }
        }
        check::<Windowed>(&Population { batch, ..rank_one(3) }, 9);
        check::<Branched>(&Population { batch, ..rank_one(3) }, 9);
        check::<NormedConvolutions>(&Population { batch, ..rank_one(3) }, 9);
    }
}

#[test]
fn convolutions_of_1_to_17_samples_and_of_several_shards_are_split_among_members_side_by_side() {
    let population = Population { batch: BatchMode::Split, ..rank_one(4) };
    assert!(population.is_side_by_side::<Convolved>() && population.is_side_by_side::<Branched>());
    assert!(population.is_side_by_side::<NormedConvolutions>());
    for samples in 1..=17 {
        check::<Convolved>(&population, samples);
    }
    check::<Branched>(&population, 17);
    check::<Branched>(&population, 70);
    check::<Windowed>(&population, 70);
}

#[test]
fn every_rule_to_scale_and_to_combine_and_every_target_follows_the_definition_for_convolutions() {
    for batch in [BatchMode::Shared, BatchMode::Split] {
        for combine in [Combine::Clean { lambda: 0.25 }, Combine::Softmax { tau: 0.3 }] {
            check::<Convolved>(&Population { batch, combine, ..rank_one(4) }, 7);
        }
        let noise = rank_one(4).noise;
        let later = NoiseTargets { first_layer: 2, last_layer: 3, ..NoiseTargets::WEIGHTS };
        for (scale, targets) in [
            (ScaleRule::FilterExact, NoiseTargets::WEIGHTS),
            (ScaleRule::Absolute, later),
            (ScaleRule::Weight, NoiseTargets::WEIGHTS),
            (ScaleRule::Filter, NoiseTargets { biases: true, gains: true, ..later }),
        ] {
            check::<Branched>(&Population { batch, noise: Noise { scale, targets, rho: 0.2, ..noise }, ..rank_one(4) }, 7);
        }
    }
}

#[test]
fn batches_of_1_to_17_samples_and_of_several_shards_are_split_among_members_side_by_side() {
    let population = Population { batch: BatchMode::Split, ..rank_one(4) };
    assert!(population.is_side_by_side::<Plain>() && population.is_side_by_side::<Normed>());
    for samples in 1..=17 {
        check::<Plain>(&population, samples);
    }
    check::<Plain>(&population, 64);
    check::<Plain>(&population, 150);
    check::<Plain>(&Population { members: 40, antithetic: false, ..population }, 130);
    for samples in [1, 3, 4, 16, 17, 70] {
        check::<Normed>(&population, samples);
        check::<NormedConvolutions>(&Population { members: 3, ..population }, samples);
    }
}

#[test]
fn every_rule_to_scale_and_to_combine_and_every_target_follows_the_definition() {
    for batch in [BatchMode::Shared, BatchMode::Split] {
        for combine in [Combine::Clean { lambda: 0.25 }, Combine::Softmax { tau: 0.3 }] {
            check::<Plain>(&Population { batch, combine, ..rank_one(4) }, 11);
        }
        let noise = rank_one(4).noise;
        for scale in [ScaleRule::Filter, ScaleRule::FilterExact, ScaleRule::Weight, ScaleRule::Absolute] {
            check::<Plain>(&Population { batch, noise: Noise { scale, rho: 0.2, ..noise }, ..rank_one(4) }, 11);
        }
        let all = NoiseTargets::WEIGHTS;
        for targets in [NoiseTargets { first_layer: 2, last_layer: 2, ..all }, NoiseTargets { biases: true, ..all }] {
            check::<Plain>(&Population { batch, noise: Noise { targets, ..noise }, ..rank_one(4) }, 11);
        }
    }
}

#[test]
fn a_network_with_a_layer_that_knows_no_factors_has_members_with_weights() {
    type Net = Sequential<Vector<5>, (Dense<6>, Tanh, Own, Tanh, Dense<3>)>;
    let population = rank_one(3);
    assert!(!population.noise.is_factored::<Net>() && population.members_len::<Net, Scalar>(8) == Net::PARAMS);
    for batch in [BatchMode::Shared, BatchMode::Split] {
        check::<Net>(&Population { batch, ..population }, 9);
    }
}

#[test]
fn the_factors_of_a_pair_are_signs_whose_products_sum_to_zero_and_have_the_norm_of_the_filter_times_rho() {
    let (theta, population) = (parameters::<Plain>(1), rank_one(4));
    let mut scales = vec![f32::NAN; Plain::FILTERS];
    population.noise.scales::<Plain, f32x8>(&theta, &mut scales);
    let of = |member: u32| {
        let mut factors = vec![f32::NAN; Plain::FACTORS];
        let (pair, second) = population.place(member);
        population.noise.factors::<Plain, f32x8>(&population.stream(SEED, STEP, pair), &scales, second, 1, &mut factors);
        factors
    };
    let (first, second, other) = (of(0), of(1), of(2));
    assert_eq!(first[..19], second[..19]);
    assert!(first[19..26].iter().zip(&second[19..26]).all(|(a, b)| a + b == 0.0 && *a != 0.0));
    assert!(first[..19].iter().all(|t| t.abs() == 1.0) && first[..19] != other[..19]);
    let expected = oracle_noise::<Plain>(&population, SEED, STEP, 0, &theta);
    for (f, &c) in first[19..26].iter().enumerate() {
        let norm = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>().sqrt();
        let filter = norm(&exact(&theta[19 * f..][..19]));
        assert!((norm(&expected[19 * f..][..19]) / filter - 0.4).abs() < 1e-6);
        for (i, &t) in first[..19].iter().enumerate() {
            assert!((f64::from(c * t) - expected[19 * f + i]).abs() < 1e-6 * filter);
        }
    }
}

#[test]
fn memory_is_that_of_the_factors_whatever_the_members() {
    const FACTORS: usize = 784 + 128 + 128 + 10;
    for members in [2, 8, 1000] {
        let shared = rank_one(members);
        assert_eq!(shared.members_len::<Mlp784x128x10, Scalar>(8), FACTORS);
        assert_eq!(shared.members_len::<Mlp784x128x10, form::Samples<f32x16>>(64), FACTORS);
        let split = Population { batch: BatchMode::Split, ..shared };
        assert_eq!(split.members_len::<Mlp784x128x10, Scalar>(8), 9 * FACTORS);
        assert_eq!(split.members_len::<Mlp784x128x10, form::Samples<f32x16>>(640), 65 * FACTORS);
    }
    assert_eq!(rank_one(8).members_len::<Lenet28, Scalar>(8), (25 + 6) + (150 + 16) + (400 + 120) + (120 + 84) + (84 + 10));
    let with_biases = NoiseTargets { biases: true, ..NoiseTargets::WEIGHTS };
    let explicit = Population { noise: Noise { targets: with_biases, ..rank_one(8).noise }, ..rank_one(8) };
    assert_eq!(explicit.members_len::<Lenet28, Scalar>(8), Lenet28::PARAMS);
}

#[test]
fn members_that_are_no_good_are_left_out_with_their_pair_when_they_run_side_by_side() {
    let (theta, data) = (parameters::<Plain>(5), Samples::random::<Plain>(6, 24));
    let good = data.batch::<Plain>(&LOSS, 0, 24);
    // A sample of the third of six members.
    let mut inputs = good.inputs.to_vec();
    inputs[19 * 9] = f32::NAN;
    let batch = Batch { inputs: &inputs, ..good };
    let population = Population { batch: BatchMode::Split, ..rank_one(6) };
    let (mut scales, mut weights) = (vec![0.0; Plain::FILTERS], vec![0.0; population.members_len::<Plain, Scalar>(24)]);
    let mut memory = vec![0.0; Workspace::len::<Plain, Scalar>(24)];
    let mut workspace = Workspace::new::<Plain, Scalar>(24, &mut memory);
    let mut found = vec![f32::NAN; Plain::PARAMS];
    let estimate = population
        .gradient::<Plain, Scalar>(&LOSS, SEED, STEP, &theta, &batch, &mut scales, &mut weights, &mut workspace, &mut found)
        .expect("four members are good");
    assert_eq!(estimate.skipped, 2);
    let Targets::Classes(labels) = batch.targets else { panic!("classes") };
    let (expected, _) = oracle::<Plain>(&population, SEED, STEP, &theta, good.inputs, labels, &[2, 3]);
    assert_close(&found, &expected);
}
