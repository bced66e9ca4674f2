//! Members whose loss is no finite number: they are left out with the other of their pair, everything else is as if they had never been.

use pg::{SEED, Samples, bits, parameters};
use pg_core::form::{self, Form, Members, Scalar};
use pg_core::layers::*;
use pg_core::loss::{Loss, Targets};
use pg_core::perturbation::{Noise, ScaleRule, mirror};
use pg_core::population::{Batch, BatchMode, Combine, Estimate, Population, StepError, Workspace};
use pg_core::{Network, Sequential, Vector, f32x4, f32x8, f32x16};

type Linear = Sequential<Vector<9>, (Dense<3>,)>;

const CROSS_ENTROPY: Loss = Loss::CrossEntropy { label_smoothing: 0.0 };

fn run<N: Network, F: Form>(population: &Population, step: u32, theta: &[f32], batch: &Batch) -> Result<(Vec<f32>, Estimate), StepError> {
    let mut memory = vec![f32::NAN; Workspace::len::<N, F>(batch.samples)];
    let mut workspace = Workspace::new::<N, F>(batch.samples, &mut memory);
    let [mut scales, mut weights, mut gradient] = [N::FILTERS, N::PARAMS * F::WEIGHT, N::PARAMS].map(|len| vec![f32::NAN; len]);
    let estimate =
        population.gradient::<N, F>(&CROSS_ENTROPY, SEED, step, theta, batch, &mut scales, &mut weights, &mut workspace, &mut gradient)?;
    Ok((gradient, estimate))
}

/// Noise in proportion to each weight: the norm of a row of such sizes would overflow.
fn population(members: u32, rho: f32) -> Population {
    Population { noise: Noise { scale: ScaleRule::Weight, ..Noise::new(rho) }, ..Population::new(members, rho) }
}

/// Parameters and inputs at which about every fourth member overflows, but not always both of a pair.
fn near_overflow(samples: usize) -> (Vec<f32>, Vec<f32>, Vec<u16>) {
    let mut theta = parameters::<Linear>(1);
    theta[0] = 2e38;
    let mut inputs = pg::normals(2, 9 * samples);
    inputs.chunks_mut(9).enumerate().for_each(|(n, x)| x[0] = if n == samples / 2 { 1.5 } else { 0.0 });
    (theta, inputs, pg::labels(3, samples, 3))
}

/// What each member gives alone: gradient and loss over the samples that it sees.
fn alone(population: &Population, step: u32, theta: &[f32], batch: &Batch) -> Vec<Option<(Vec<f32>, f32)>> {
    let mut scales = vec![0.0; Linear::FILTERS];
    population.noise.scales::<Linear, f32>(theta, &mut scales);
    (0..population.running(batch.samples))
        .map(|k| {
            let (pair, second) = population.place(k);
            let mut member = vec![0.0; Linear::PARAMS];
            population.noise.perturb::<Linear, f32>(&population.stream(SEED, step, pair), theta, &scales, &mut member);
            if second {
                mirror::<f32>(theta, &mut member);
            }
            let own = batch.part(population.part(k, batch.samples), 9, 3);
            run::<Linear, Scalar>(&Population::NONE, step, &member, &own).ok().map(|(gradient, estimate)| (gradient, estimate.loss))
        })
        .collect()
}

/// Members whose whole pair is finite.
fn kept(population: &Population, alone: &[Option<(Vec<f32>, f32)>]) -> Vec<usize> {
    let unit = population.unit() as usize;
    let pair = |k: usize| &alone[k / unit * unit..alone.len().min((k / unit + 1) * unit)];
    (0..alone.len()).filter(|&k| pair(k).iter().all(Option::is_some)).collect()
}

fn same_in_every_form(population: &Population, step: u32, theta: &[f32], batch: &Batch) -> Result<(Vec<f32>, Estimate), StepError> {
    let scalar = run::<Linear, Scalar>(population, step, theta, batch);
    let comparable = |result: &Result<(Vec<f32>, Estimate), StepError>| {
        result.as_ref().map(|(gradient, estimate)| (bits(gradient), estimate.loss.to_bits(), estimate.skipped)).map_err(|error| *error)
    };
    macro_rules! same {
        ($($form:ty)*) => {$(
            let found = run::<Linear, $form>(population, step, theta, batch);
            assert_eq!(comparable(&found), comparable(&scalar), "{} {population:?} step {step}", stringify!($form));
        )*};
    }
    same!(form::Samples<f32x4> form::Samples<f32x8> form::Samples<f32x16>);
    if batch.samples <= 64 {
        same!(Members<f32x4> Members<f32x8> Members<f32x16>);
    }
    scalar
}

#[test]
fn a_member_without_a_finite_loss_is_left_out_with_its_pair_and_counted_in_every_form() {
    let (mut some, mut halves) = (0, 0);
    for samples in [5, 100] {
        let (theta, inputs, labels) = near_overflow(samples);
        let batch = Batch { inputs: &inputs, targets: Targets::Classes(&labels), samples };
        for (members, antithetic) in [(8, true), (9, true), (6, false), (20, true)] {
            for step in 0..8 {
                let population = Population { antithetic, ..population(members, 0.3) };
                let alone = alone(&population, step, &theta, &batch);
                let kept = kept(&population, &alone);
                let found = same_in_every_form(&population, step, &theta, &batch);
                if kept.is_empty() {
                    assert_eq!(found.unwrap_err(), StepError::NonFiniteLoss);
                    continue;
                }
                let (gradient, estimate) = found.unwrap();
                assert_eq!(estimate.skipped as usize, alone.len() - kept.len());
                // The sum in the members' order, times one over their number: the very bits.
                let (mut sum, mut loss) = (vec![-0.0; Linear::PARAMS], 0.0);
                for &k in &kept {
                    let (gradient, own) = alone[k].as_ref().unwrap();
                    sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
                    loss += own;
                }
                let mean = 1.0 / kept.len() as f32;
                assert_eq!(bits(&gradient), bits(&sum.iter().map(|g| g * mean).collect::<Vec<_>>()), "{population:?} step {step}");
                assert_eq!(estimate.loss.to_bits(), (loss * mean).to_bits());
                some += usize::from(estimate.skipped > 0);
                halves += alone.iter().enumerate().filter(|(k, one)| one.is_some() && !kept.contains(k)).count();
            }
        }
    }
    assert!(some > 10 && halves > 10, "members were skipped in {some} steps, {halves} of them for the other of their pair");
}

#[test]
fn every_mode_and_rule_leaves_out_the_same_members_in_every_form() {
    let (theta, inputs, labels) = near_overflow(12);
    let batch = Batch { inputs: &inputs, targets: Targets::Classes(&labels), samples: 12 };
    let mut some = 0;
    for mode in [BatchMode::Shared, BatchMode::Split, BatchMode::Fresh] {
        for combine in [Combine::Mean, Combine::Clean { lambda: 0.5 }, Combine::Softmax { tau: 1e38 }] {
            for members in [4, 5] {
                for step in 0..8 {
                    let population = Population { batch: mode, combine, ..population(members, 0.3) };
                    let alone = alone(&population, step, &theta, &batch);
                    let kept = kept(&population, &alone);
                    let Ok((gradient, estimate)) = same_in_every_form(&population, step, &theta, &batch) else {
                        assert!(kept.is_empty());
                        continue;
                    };
                    assert_eq!(estimate.skipped as usize, alone.len() - kept.len());
                    some += usize::from(estimate.skipped > 0);
                    if combine == Combine::Mean {
                        let size = |k: usize| population.part(k as u32, 12).len() as f32;
                        let seen: f32 = kept.iter().map(|&k| size(k)).sum();
                        for (i, &found) in gradient.iter().enumerate() {
                            let expected: f32 = kept.iter().map(|&k| size(k) / seen * alone[k].as_ref().unwrap().0[i]).sum();
                            assert!((found - expected).abs() < 1e-5, "{mode:?} {members} members, step {step}: {found} for {expected}");
                        }
                    }
                }
            }
        }
    }
    assert!(some > 10, "members were skipped in {some} steps");
}

#[test]
fn a_gradient_that_is_not_finite_though_the_losses_are_voids_the_step_in_every_form() {
    type Deep = Sequential<Vector<2>, (Dense<2>, Dense<3>)>;
    let mut theta = vec![0.0; Deep::PARAMS];
    theta[6..12].copy_from_slice(&[1e25, -1e25, 2e25, 1e25, 3e25, 1e25]);
    let batch = Batch { inputs: &[1e25, 1e25], targets: Targets::Classes(&[1]), samples: 1 };
    let void = Err(StepError::NonFiniteGradient);
    for members in [0, 1, 2, 5] {
        // The first layer is all zeros and has no noise, so the outputs of every member are its biases.
        let population = population(members, 0.1);
        assert_eq!(run::<Deep, Scalar>(&population, 0, &theta, &batch), void);
        assert_eq!(run::<Deep, form::Samples<f32x8>>(&population, 0, &theta, &batch), void);
        assert_eq!(run::<Deep, Members<f32x8>>(&population, 0, &theta, &batch), void);
    }
}

#[test]
fn a_central_network_that_is_no_good_is_an_error_where_its_gradient_is_wanted() {
    let data = Samples::random::<Linear>(5, 6);
    let batch = data.batch::<Linear>(&CROSS_ENTROPY, 0, 6);
    let mut theta = parameters::<Linear>(5);
    theta[0] = f32::NAN;
    for combine in [Combine::Mean, Combine::Clean { lambda: 0.5 }, Combine::Softmax { tau: 0.5 }] {
        let population = Population { combine, ..Population::new(4, 0.3) };
        assert_eq!(same_in_every_form(&population, 0, &theta, &batch).unwrap_err(), StepError::NonFiniteLoss);
    }
}
