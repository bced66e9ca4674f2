//! Members on the factors of rank-1 noise: against explicit members, in every scope, in other lanes; what they need of memory; what is refused.

use std::fmt;

use pg_core::form::Form;
use pg_core::layers::{Activation, Buffers, Dense, Layer, Pass, Relu, Segment};
use pg_core::perturbation::mirror;
use pg_core::shape::{Shape, Shaped};
use pg_core::tuner::Member;
use pg_core::zoo::{Lenet28, Mlp64x64x32x10Dropout, Mlp64x64x32x10Norm};
use pg_core::{Sequential, Vector};

use super::*;

const NOISE: Noise = Noise { distribution: Distribution::RankOne, ..Noise::new(0.3) };
const RANK_ONE: Population = Population { noise: NOISE, ..POPULATION };
const SETTINGS: Settings = Settings { population: RANK_ONE, ..Settings::DEFAULT };

/// What one step with these settings adds to the parameters, to the bit where the rate is 1 and the parameters are.
fn change<N: Network>(settings: Settings, from: &[f32]) -> Vec<f64> {
    let settings = Settings { rate: 1.0, momentum: 0.0, ..settings };
    let mut owned = Owned::<u8>::new::<N>(from.to_vec());
    let mut tuner = FineTuner::<N, f32x8, u8, 8>::new(owned.lend(), Normalisation::NONE, settings, 9).unwrap();
    for i in 0..60 {
        let (values, label) = sample(i, N::INPUT.len());
        tuner.label(&values.iter().map(|&value| value / 8).collect::<Vec<_>>(), label % N::OUTPUTS as u16).unwrap();
    }
    tuner.step().unwrap();
    tuner.parameters().iter().zip(from).map(|(&after, &before)| f64::from(after) - f64::from(before)).collect()
}

/// The explicit weights of a member, noisy in these layers.
fn member<N: Network>(population: &Population, scope: Scope, number: u32, theta: &[f32]) -> Vec<f32> {
    let (mut scales, mut member) = (vec![0.0; N::FILTERS], vec![0.0; N::PARAMS]);
    population.noise.scales::<N, f32>(theta, &mut scales);
    let (pair, second) = population.place(number);
    population.noise.perturb::<N, f32>(&population.stream(9, 0, pair), theta, &scales, &mut member);
    if second {
        mirror::<f32>(theta, &mut member);
    }
    let mut trained = vec![false; N::PARAMS];
    scope.ranges(&N::LEAVES, |_, first, length| trained[first..first + length].fill(true));
    member.iter().zip(theta).zip(trained).map(|((&member, &theta), trained)| if trained { member } else { theta }).collect()
}

/// A step is the mean of the plain steps of explicit members, to rounding.
#[track_caller]
fn check<N: Network>(population: Population, layers: Scope, biases: bool) {
    let scope = if biases { layers.biases() } else { layers };
    let theta = initial::<N>();
    let found = change::<N>(Settings { population, scope, ..SETTINGS }, &theta);
    let mut expected = vec![0.0; N::PARAMS];
    for number in 0..population.members {
        let member = member::<N>(&population, layers, number, &theta);
        // A pair without noise has the masks of its pair; of each pair both members are plain here.
        let alone = Population { members: 2 * (number / 2) + 2, noise: Noise { rho: 0.0, ..NOISE }, ..POPULATION };
        let plain = if N::TAPE == Mlp64x64x32x10Dropout::TAPE { alone } else { Population::NONE };
        let of_member = change::<N>(Settings { population: plain, scope, ..SETTINGS }, &member);
        expected.iter_mut().zip(of_member).for_each(|(sum, change)| *sum += change / f64::from(population.members));
    }
    let largest = expected.iter().fold(0.0, |most: f64, change| most.max(change.abs()));
    assert!(largest > 1e-3, "nothing is learnt: {largest}");
    let error = found.iter().zip(&expected).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
    assert!(error < 2e-5 * largest.max(0.1), "{error:e} of {largest:e}");
}

#[test]
fn a_step_is_the_mean_of_the_steps_of_explicit_members_in_pairs_and_not_one_or_an_odd_number_of_them() {
    for members in [1, 2, 3, 4, 7] {
        for antithetic in [true, false] {
            check::<Mlp64x32x10>(Population { members, antithetic, ..RANK_ONE }, Scope::EVERYTHING, false);
        }
    }
    let absolute = Noise { scale: ScaleRule::Absolute, rho: 0.02, ..NOISE };
    check::<Mlp64x32x10>(Population { noise: absolute, ..RANK_ONE }, Scope::EVERYTHING, false);
    check::<Mlp9x24x11>(RANK_ONE, Scope::EVERYTHING, false);
}

#[test]
fn only_what_is_in_scope_is_noisy_and_learns() {
    let last = Scope::last(1, &Mlp64x32x10::LEAVES);
    for (layers, biases) in [(last, false), (Scope::of(1), false), (Scope::EVERYTHING, true), (last, true)] {
        check::<Mlp64x32x10>(RANK_ONE, layers, biases);
    }
    check::<Lenet28>(RANK_ONE, Scope::last(2, &Lenet28::LEAVES), false);
}

#[test]
fn batch_norms_keep_their_statistics_and_convolutions_run_on_factors() {
    check::<Mlp64x64x32x10Norm>(RANK_ONE, Scope::EVERYTHING, false);
    check::<Conv1d3x64>(RANK_ONE, Scope::EVERYTHING, false);
    check::<Lenet28>(RANK_ONE, Scope::EVERYTHING, false);
    let before = initial::<Conv1d3x64>();
    let (after, _) = session::<Conv1d3x64, f32x8, 8>(Settings { weight_decay: 0.1, rate: 1e-3, ..SETTINGS }, 5);
    Conv1d3x64::segments(&mut |segment| {
        let same = segment.range().all(|i| before[i].to_bits() == after[i]);
        assert_eq!(same, !segment.kind.is_trained(), "{segment:?}");
    });
}

#[test]
fn a_session_has_the_same_bits_in_every_lane_width_and_for_batches_that_fill_no_vector() {
    for settings in [SETTINGS, Settings { population: Population { members: 5, antithetic: false, ..RANK_ONE }, hold_out: 4, ..SETTINGS }] {
        let scalar = session::<Mlp64x32x10, f32, 8>(settings, 30);
        assert_eq!(scalar, session::<Mlp64x32x10, f32x4, 8>(settings, 30));
        assert_eq!(scalar, session::<Mlp64x32x10, f32x16, 8>(settings, 30));
        assert_eq!(session::<Mlp64x32x10, f32, 1>(settings, 9), session::<Mlp64x32x10, f32x8, 1>(settings, 9));
        assert_eq!(session::<Mlp64x32x10, f32, 11>(settings, 9), session::<Mlp64x32x10, f32x8, 11>(settings, 9));
        assert_eq!(session::<Mlp64x64x32x10Dropout, f32, 8>(settings, 9), session::<Mlp64x64x32x10Dropout, f32x8, 8>(settings, 9));
        let slow = Settings { rate: 1e-3, ..settings };
        assert_eq!(session::<Conv1d3x64, f32, 5>(slow, 3), session::<Conv1d3x64, f32x8, 5>(slow, 3));
    }
}

#[test]
fn the_memory_of_a_small_perceptron_is_three_times_its_parameters_and_six_kilobytes_at_any_population() {
    type Net = Mlp64x32x10;
    for members in [1, 4, 1000] {
        let settings = Settings { population: Population { members, ..RANK_ONE }, ..SETTINGS };
        let sizes = settings.needs().sizes::<Net, f32, 8>();
        assert_eq!((sizes.gradient, sizes.velocity, sizes.member), (Net::PARAMS, Net::PARAMS, 64 + 32 + 32 + 10));
        let bytes = 4 * (Net::PARAMS + sizes.sum()) + size_of::<FineTuner<Net, f32, u8, 8>>();
        assert!(bytes <= 3 * 4 * Net::PARAMS + 6 * 1024, "{bytes} bytes");
    }
}

#[test]
fn there_is_spare_room_for_all_parameters_whatever_is_tuned_and_nothing_in_it_changes_a_step() {
    type Net = Mlp9x24x11;
    let everything = SETTINGS.needs().sizes::<Net, f32, 8>().sum();
    for settings in [SETTINGS, Settings { population: Population::NONE, ..SETTINGS }, Settings { scope: Scope::of(2), ..SETTINGS }] {
        let run = |filling: f32| {
            let mut owned = Owned::<u8>::new::<Net>(initial::<Net>());
            owned.working.truncate(everything);
            let mut tuner = FineTuner::<Net, f32, u8, 8>::new(owned.lend(), Normalisation::NONE, settings, 9).unwrap();
            for i in 0..30 {
                let (values, label) = sample(i, 9);
                tuner.label(&values, label).unwrap();
            }
            for _ in 0..3 {
                tuner.step().unwrap();
                assert_eq!(tuner.spare().len(), Net::PARAMS);
                tuner.spare().fill(filling);
            }
            let mut outputs = [0.0; 11];
            tuner.spare().copy_from_slice(&initial::<Net>());
            tuner.infer_spare((0..9).map(|i| i as f32), &mut outputs).unwrap();
            let learnt = (tuner.parameters().to_vec(), tuner.velocity().to_vec());
            tuner.adopt_spare().unwrap();
            assert_eq!(tuner.parameters(), initial::<Net>());
            assert!(tuner.velocity().iter().all(|&v| v == 0.0));
            (learnt, outputs)
        };
        assert_eq!(run(0.0), run(f32::NAN));
    }
}

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

#[test]
fn what_cannot_run_on_factors_is_refused_with_its_reason() {
    type OwnNet = Sequential<Vector<9>, (Dense<6>, Relu, Own, Relu, Dense<3>)>;
    assert_eq!(SETTINGS.needs().member, Member::Factors);
    let mut owned = Owned::<u8>::new::<OwnNet>(initial::<OwnNet>());
    let refused = FineTuner::<OwnNet, f32, u8, 8>::new(owned.lend(), Normalisation::NONE, SETTINGS, 9).err();
    assert_eq!(refused, Some(TuneError::Unfactored));
    let full = Settings { population: POPULATION, ..SETTINGS };
    assert!(FineTuner::<OwnNet, f32, u8, 8>::new(owned.lend(), Normalisation::NONE, full, 9).is_ok());

    let mut owned = Owned::<u8>::new::<Mlp9x24x11>(initial::<Mlp9x24x11>());
    let without = FineTuner::<Mlp9x24x11, f32, u8, 8, false>::new(owned.lend(), Normalisation::NONE, SETTINGS, 9).err();
    assert_eq!(without, Some(TuneError::NoRankOne));
    for noise in [
        Noise { scale: ScaleRule::FilterExact, ..NOISE },
        Noise { targets: NoiseTargets { gains: true, ..NoiseTargets::WEIGHTS }, ..NOISE },
    ] {
        let settings = Settings { population: Population { noise, ..RANK_ONE }, ..SETTINGS };
        let refused = FineTuner::<Mlp9x24x11, f32, u8, 8>::new(owned.lend(), Normalisation::NONE, settings, 9).err();
        assert_eq!(refused, Some(TuneError::Population));
    }
}

#[test]
fn a_tuner_without_the_code_for_it_has_the_bits_of_one_with_it() {
    type Net = Mlp64x32x10;
    let settings = Settings { population: POPULATION, ..SETTINGS };
    let (with, _) = session::<Net, f32, 8>(settings, 10);
    let mut owned = Owned::<u8>::new::<Net>(initial::<Net>());
    let normalisation = Normalisation::new(NORMALISATION.0, NORMALISATION.1);
    let mut tuner = FineTuner::<Net, f32, u8, 8, false>::new(owned.lend(), normalisation, settings, 9).unwrap();
    for i in 0..60 {
        let (values, label) = sample(i, 64);
        tuner.label(&values, label).unwrap();
    }
    (0..10).for_each(|_| assert!(tuner.step().is_ok()));
    assert_eq!(with, tuner.parameters().iter().map(|p| p.to_bits()).collect::<Vec<_>>());
}
