//! Every option of the population gradient against its definition in `f64`, with samples in lanes, members in lanes, and one by one.

use pg::oracle::population::{gradient as oracle, noise as oracle_noise};
use pg::oracle::{assert_close, exact};
use pg::{Pieces, SEED, Samples, bits, gradient, gradient_by, parameters};
use pg_core::form::{self, Form, Members, Scalar};
use pg_core::layers::*;
use pg_core::loss::{Loss, Targets};
use pg_core::perturbation::{Distribution, Noise, NoiseTargets, ScaleRule, mirror};
use pg_core::population::{Batch, BatchMode, Combine, Population, RhoCourse, RhoSchedule};
use pg_core::{Image, Lane, Network, Sequential, Vector, f32x4, f32x8, f32x16};

/// Weights of every rank, gains, biases, statistics of the batch, and no kink.
type Net = Sequential<Image<2, 3, 3>, (Conv2d<3, 2>, BatchNorm, Tanh, Dense<4>, Tanh, Dense<3>)>;
/// The same without layers that mix samples.
type Plain = Sequential<Vector<9>, (Dense<5>, Tanh, Dense<3>)>;
/// Rows that are longer than the noise that is made at once, and that cross its borders.
type Long = Sequential<Vector<700>, (Dense<3>, LayerNorm, Dense<2>)>;

const CROSS_ENTROPY: Loss = Loss::CrossEntropy { label_smoothing: 0.0 };
const DISTRIBUTIONS: [Distribution; 4] = [Distribution::Gaussian, Distribution::Uniform, Distribution::Rademacher, Distribution::RankOne];
const RULES: [ScaleRule; 4] = [ScaleRule::Filter, ScaleRule::FilterExact, ScaleRule::Weight, ScaleRule::Absolute];
const EVERYTHING: NoiseTargets = NoiseTargets { biases: true, gains: true, ..NoiseTargets::WEIGHTS };
const STEP: u32 = 7;

fn targets() -> [NoiseTargets; 7] {
    let all = NoiseTargets::WEIGHTS;
    [
        all,
        NoiseTargets { biases: true, ..all },
        NoiseTargets { gains: true, ..all },
        EVERYTHING,
        NoiseTargets { weights: false, biases: true, ..all },
        NoiseTargets { first_layer: 2, last_layer: 3, ..EVERYTHING },
        NoiseTargets { first_layer: 4, ..all },
    ]
}

/// A member as samples in lanes have it.
fn member<N: Network, L: Lane>(noise: &Noise, population: &Population, k: u32, theta: &[f32]) -> Vec<f32> {
    let (mut scales, mut member) = (vec![f32::NAN; N::FILTERS], vec![f32::NAN; N::PARAMS]);
    let (pair, second) = population.place(k);
    noise.scales::<N, L>(theta, &mut scales);
    noise.perturb::<N, L>(&population.stream(SEED, STEP, pair), theta, &scales, &mut member);
    if second {
        mirror::<L>(theta, &mut member);
    }
    member
}

/// A member as lane `lane` of members in lanes.
fn member_in_lane<N: Network, F: Form>(noise: &Noise, population: &Population, k: u32, theta: &[f32], lane: usize) -> Vec<f32> {
    let (mut scales, mut weights) = (vec![f32::NAN; N::FILTERS], vec![f32::NAN; N::PARAMS * F::WEIGHT]);
    let (pair, second) = population.place(k);
    noise.scales::<N, F::Value>(theta, &mut scales);
    noise.perturb_lane::<N, F>(&population.stream(SEED, STEP, pair), theta, &scales, second, lane, &mut weights);
    weights.into_iter().skip(lane).step_by(F::WEIGHT).collect()
}

fn check_members<N: Network>(theta: &[f32]) {
    for distribution in DISTRIBUTIONS {
        for scale in RULES {
            for targets in targets() {
                let noise = Noise { rho: 0.4, distribution, scale, targets };
                let population = Population { noise, ..Population::new(4, 0.4) };
                for k in [0, 3] {
                    let found = member::<N, f32>(&noise, &population, k, theta);
                    let expected = oracle_noise::<N>(&population, SEED, STEP, k, theta);
                    for (i, (&found, &t)) in found.iter().zip(theta).enumerate() {
                        let error = (f64::from(found) - f64::from(t) - expected[i]).abs();
                        let what = format!("{noise:?}, member {k}, parameter {i}");
                        assert!(error <= 4e-6 * expected[i].abs() + 1e-6 * f64::from(t.abs()), "{what}: {found} for {t} + {}", expected[i]);
                        assert!(expected[i] != 0.0 || found.to_bits() == t.to_bits(), "{what} has no noise");
                    }
                    assert!(bits(&found) == bits(&member::<N, f32x4>(&noise, &population, k, theta)));
                    assert!(bits(&found) == bits(&member::<N, f32x16>(&noise, &population, k, theta)));
                    assert!(bits(&found) == bits(&member_in_lane::<N, Members<f32x4>>(&noise, &population, k, theta, 3)));
                    assert!(bits(&found) == bits(&member_in_lane::<N, Members<f32x16>>(&noise, &population, k, theta, 10)));
                }
            }
        }
    }
}

#[test]
fn members_of_every_distribution_rule_and_target_follow_the_definition_in_every_form() {
    check_members::<Net>(&parameters::<Net>(1));
    check_members::<Long>(&parameters::<Long>(2));
}

#[test]
fn the_noise_of_an_exact_filter_has_the_norm_of_the_filter_times_rho_whatever_the_draw() {
    let theta = parameters::<Long>(3);
    for distribution in DISTRIBUTIONS {
        let noise = Noise { distribution, scale: ScaleRule::FilterExact, ..Noise::new(0.3) };
        let found = member::<Long, f32x8>(&noise, &Population::new(1, 0.3), 0, &theta);
        for row in (0..3).map(|f| 700 * f..700 * (f + 1)) {
            let norm = |numbers: Vec<f64>| numbers.iter().map(|x| x * x).sum::<f64>().sqrt();
            let moved = norm(row.clone().map(|i| f64::from(found[i]) - f64::from(theta[i])).collect());
            let filter = norm(exact(&theta[row]));
            assert!((moved / filter - 0.3).abs() < 1e-5, "{distribution:?}: {moved} of {filter}");
        }
    }
}

#[test]
fn rows_of_zeros_are_safe_under_every_rule() {
    let mut theta = parameters::<Net>(4);
    theta[..16].fill(0.0);
    let data = Samples::random::<Net>(4, 6);
    let batch = data.batch::<Net>(&CROSS_ENTROPY, 0, 6);
    for scale in RULES {
        let noise = Noise { scale, targets: EVERYTHING, ..Noise::new(0.4) };
        let population = Population { noise, ..Population::new(4, 0.4) };
        let moved = member::<Net, f32x8>(&noise, &population, 0, &theta)[..16].iter().any(|&weight| weight != 0.0);
        assert_eq!(moved, scale == ScaleRule::Absolute);
        for theta in [&theta[..], &[0.0; Net::PARAMS]] {
            let (found, _) = gradient::<Net, Members<f32x8>>(&population, &CROSS_ENTROPY, STEP, theta, &batch).unwrap();
            assert!(found.iter().all(|g| g.is_finite()), "{scale:?}");
        }
    }
}

/// The gradient and the loss in every form are those of the definition, and the same bits.
#[track_caller]
fn check<N: Network>(population: &Population, samples: usize) {
    let (theta, data) = (parameters::<N>(5), Samples::random::<N>(6, samples));
    let batch = data.batch::<N>(&CROSS_ENTROPY, 0, samples);
    let Targets::Classes(labels) = batch.targets else { panic!("classes") };
    let (found, loss) = gradient::<N, Scalar>(population, &CROSS_ENTROPY, STEP, &theta, &batch).expect("finite losses");
    if population.members > 0 {
        let (expected, expected_loss) = oracle::<N>(population, SEED, STEP, &theta, batch.inputs, labels, &[]);
        assert_close(&found, &expected);
        assert!((f64::from(loss) - expected_loss).abs() < 1e-5 * expected_loss, "{loss} for {expected_loss}");
    }
    check_forms::<N>(population, &theta, &batch, &(bits(&found), loss.to_bits()));
}

#[track_caller]
fn check_forms<N: Network>(population: &Population, theta: &[f32], batch: &Batch, expected: &(Vec<u32>, u32)) {
    macro_rules! same {
        ($($form:ty)*) => {$({
            let (found, loss) = gradient::<N, $form>(population, &CROSS_ENTROPY, STEP, theta, batch).expect("finite losses");
            assert!((bits(&found), loss.to_bits()) == *expected, "{} {population:?} {}", stringify!($form), batch.samples);
        })*};
    }
    same!(form::Samples<f32x4> form::Samples<f32x8> form::Samples<f32x16>);
    let (found, loss) =
        gradient_by::<N, form::Samples<f32x8>>(Some(&Pieces(3)), population, &CROSS_ENTROPY, STEP, theta, batch).expect("finite losses");
    assert!((bits(&found), loss.to_bits()) == *expected, "in pieces: {population:?} {}", batch.samples);
    if batch.samples <= 64 {
        same!(Members<f32x4> Members<f32x8> Members<f32x16>);
    }
}

const MODES: [BatchMode; 3] = [BatchMode::Shared, BatchMode::Split, BatchMode::Fresh];

#[test]
fn every_batch_mode_follows_the_definition_for_members_that_divide_the_batch_and_that_do_not() {
    for batch in MODES {
        for members in [1, 2, 3, 4, 5, 9] {
            for antithetic in [true, false] {
                let population = Population { batch, antithetic, ..Population::new(members, 0.4) };
                check::<Plain>(&population, 12);
                check::<Plain>(&population, 7);
            }
        }
        // Layers that mix samples: each member normalises with its own part.
        check::<Net>(&Population { batch, ..Population::new(3, 0.4) }, 11);
    }
}

#[test]
fn a_batch_with_fewer_samples_than_members_is_split_among_as_many_members() {
    for samples in 1..=5 {
        check::<Plain>(&Population { batch: BatchMode::Split, ..Population::new(6, 0.4) }, samples);
    }
}

#[test]
fn a_split_batch_without_noise_has_the_gradient_of_the_batch_and_its_masks() {
    // The masks of a sample are those of its place in the batch, and of pair 0, as in plain gradient descent.
    type Masked = Sequential<Vector<9>, (Dense<12>, Dropout<30>, Tanh, Dense<3>)>;
    let (theta, data) = (parameters::<Masked>(8), Samples::random::<Masked>(8, 13));
    let batch = data.batch::<Masked>(&CROSS_ENTROPY, 0, 13);
    let run = |population: &Population| gradient::<Masked, Scalar>(population, &CROSS_ENTROPY, STEP, &theta, &batch).unwrap();
    let (whole, loss) = run(&Population::NONE);
    let (split, split_loss) = run(&Population { batch: BatchMode::Split, ..Population::new(2, 0.0) });
    assert_close(&split, &exact(&whole));
    assert!((loss - split_loss).abs() < 1e-6);
}

#[test]
fn large_parts_are_summed_shard_by_shard_in_every_mode_and_rule() {
    for batch in MODES {
        for combine in [Combine::Mean, Combine::Clean { lambda: 0.3 }, Combine::Softmax { tau: 0.2 }] {
            check::<Plain>(&Population { batch, combine, ..Population::new(2, 0.4) }, 150);
        }
    }
}

#[test]
fn every_rule_to_combine_follows_the_definition_in_every_mode() {
    for batch in MODES {
        for combine in [Combine::Clean { lambda: 0.25 }, Combine::Clean { lambda: 0.9 }]
            .into_iter()
            .chain([0.05, 1.0, 100.0, -0.3].map(|tau| Combine::Softmax { tau }))
        {
            for members in [1, 2, 5] {
                check::<Plain>(&Population { batch, combine, ..Population::new(members, 0.5) }, 11);
            }
            check::<Net>(&Population { batch, combine, ..Population::new(4, 0.5) }, 9);
        }
    }
}

#[test]
fn every_rule_and_target_follows_the_definition_through_to_the_gradient() {
    for scale in RULES {
        for distribution in DISTRIBUTIONS {
            let noise = Noise { rho: 0.3, scale, distribution, targets: EVERYTHING };
            check::<Net>(&Population { noise, ..Population::new(3, 0.3) }, 6);
        }
    }
    for targets in targets() {
        let noise = Noise { targets, ..Noise::new(0.4) };
        check::<Net>(&Population { noise, antithetic: false, ..Population::new(2, 0.4) }, 5);
    }
}

#[test]
fn batches_of_1_to_17_samples_follow_the_definition_with_and_without_layers_that_mix_samples() {
    for samples in 1..=17 {
        for batch in [BatchMode::Shared, BatchMode::Split] {
            check::<Plain>(&Population { batch, ..Population::new(3, 0.4) }, samples);
            // A part of one or two samples at these sizes has a variance of almost nothing, which no difference can resolve.
            if samples > 2 && batch == BatchMode::Shared || samples > 8 {
                check::<Net>(&Population { batch, ..Population::new(3, 0.4) }, samples);
            }
        }
    }
}

#[test]
fn a_share_of_the_clean_gradient_of_zero_is_the_mean_bit_for_bit() {
    let (theta, data) = (parameters::<Plain>(9), Samples::random::<Plain>(9, 70));
    for samples in [10, 70] {
        let batch = data.batch::<Plain>(&CROSS_ENTROPY, 0, samples);
        let run = |combine| {
            let population = Population { combine, ..Population::new(5, 0.4) };
            let (gradient, loss) = gradient::<Plain, form::Samples<f32x8>>(&population, &CROSS_ENTROPY, STEP, &theta, &batch).unwrap();
            (bits(&gradient), loss.to_bits())
        };
        assert_eq!(run(Combine::Mean), run(Combine::Clean { lambda: 0.0 }));
        assert_ne!(run(Combine::Mean), run(Combine::Clean { lambda: 1e-3 }));
    }
}

#[test]
fn without_noise_every_option_is_plain_gradient_descent_bit_for_bit() {
    let (theta, data) = (parameters::<Net>(10), Samples::random::<Net>(10, 37));
    let batch = data.batch::<Net>(&CROSS_ENTROPY, 0, 37);
    let (plain, loss) = gradient::<Net, Scalar>(&Population::NONE, &CROSS_ENTROPY, STEP, &theta, &batch).unwrap();
    for scale in RULES {
        for distribution in DISTRIBUTIONS {
            for combine in [Combine::Mean, Combine::Clean { lambda: 0.0 }] {
                for members in [1, 2, 4] {
                    let noise = Noise { rho: 0.0, scale, distribution, targets: EVERYTHING };
                    let population = Population { noise, combine, ..Population::new(members, 0.0) };
                    check_forms::<Net>(&population, &theta, &batch, &(bits(&plain), loss.to_bits()));
                }
            }
        }
    }
}

#[test]
fn a_schedule_scales_rho_step_by_step_and_where_it_is_nothing_the_step_is_plain() {
    let schedule = RhoSchedule { course: RhoCourse::CosineUp, start: 0.2, stop: 0.8 };
    let population = Population { schedule, ..Population::new(4, 0.5) };
    let (theta, data) = (parameters::<Plain>(11), Samples::random::<Plain>(11, 9));
    let batch = data.batch::<Plain>(&CROSS_ENTROPY, 0, 9);
    let run = |population: &Population, step| bits(&gradient::<Plain, Scalar>(population, &CROSS_ENTROPY, step, &theta, &batch).unwrap().0);
    for step in 0..20 {
        let inside = (f64::from(step) / 20.0 - 0.2) / 0.6;
        let rho = 0.5 * (0.5 - 0.5 * (std::f64::consts::PI * inside).cos());
        let found = population.at(step, 20);
        if inside <= 1e-7 || step >= 16 {
            assert_eq!(run(&found, step), run(&Population::NONE, step), "step {step}");
        } else {
            assert!((f64::from(found.noise.rho) - rho).abs() < 1e-6 && found.members == 4, "step {step}: {found:?}");
            assert_ne!(run(&found, step), run(&Population::new(4, 0.5), step));
        }
    }
}
