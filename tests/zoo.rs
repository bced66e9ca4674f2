//! Every ready network as it is: its gradient against finite differences in `f64`, and the same bits in every form.
//!
//! Of each range of parameters a few are moved: all layers of all networks are there, and their elements have tests of their own
//! (`gradients.rs`). A network that is offered and not tested here is an error.

use std::collections::BTreeSet;
use std::ops::Range;

use heapless::Deque;
use pg::oracle::{self, Masks, Mode, Oracle, Slopes};
use pg::{Pieces, SEED, Samples, bits, gradient, gradient_by, normals};
use pg_core::form::{self, Members, Scalar};
use pg_core::initialise::Initialise;
use pg_core::layers::SegmentKind;
use pg_core::loss::{Loss, Targets};
use pg_core::normalisation::Normalisation;
use pg_core::perturbation::{Distribution, mirror};
use pg_core::population::{Batch, BatchMode, Population};
use pg_core::tuner::{Entry, FineTuner, Memory, Settings};
use pg_core::{Lane, Network, f32x8, f32x16, zoo};

const LOSS: Loss = Loss::CrossEntropy { label_smoothing: 0.1 };
const SAMPLES: usize = 2;
/// Parameters of each range that are moved.
const MOVED: usize = 2;

/// First parameters as in training, but for biases and gains, which are not left at zero and one.
fn parameters<N: Network>() -> Vec<f32> {
    let mut theta = vec![0.0; N::PARAMS];
    Initialise::AUTO.write::<N>(1, &mut theta);
    let noise = normals(5, N::PARAMS);
    N::segments(&mut |segment| {
        if matches!(segment.kind, SegmentKind::Bias | SegmentKind::Gain) {
            segment.range().for_each(|i| theta[i] += 0.2 * noise[i]);
        }
    });
    theta
}

fn check<N: Network>() -> u64 {
    let (theta, data) = (parameters::<N>(), Samples::random::<N>(7, SAMPLES));
    let batch = data.batch::<N>(&LOSS, 0, SAMPLES);
    let (found, _) = gradient::<N, Scalar>(&Population::NONE, &LOSS, 0, &theta, &batch).expect("a finite loss");

    let largest = |range: Range<usize>| f64::from(found[range].iter().fold(0f32, |most, g| most.max(g.abs())));
    let oracle = Oracle::of::<N>();
    let Targets::Classes(labels) = batch.targets else { unreachable!() };
    let mode = Mode::Train(Masks { seed: SEED, step: 0, pair: 0 });
    let slopes = Slopes::new(&oracle, &theta, batch.inputs, mode, oracle::Loss::CrossEntropy(0.1, labels));
    N::segments(&mut |segment| {
        if !segment.kind.is_trained() {
            assert!(found[segment.range()].iter().all(|&g| g == 0.0));
            return;
        }
        let range = segment.range();
        let spread = range.len().div_ceil(MOVED);
        let mut moved = 0;
        for first in range.clone().step_by(spread) {
            // The next one where a kink is too near.
            let Some((i, expected)) = (first..range.end).take(spread).find_map(|i| Some((i, slopes.at(i)?))) else { continue };
            let error = (f64::from(found[i]) - expected).abs();
            // The bias before a batch norm has no slope; what rounding leaves of it is no gradient.
            let tolerance = 1e-3 * expected.abs().max(0.05 * largest(range.clone())).max(1e-3 * largest(0..N::PARAMS));
            assert!(error <= tolerance, "parameter {i}, {segment:?}: found {:e}, expected {expected:e}", found[i]);
            moved += 1;
        }
        assert!(moved > 0, "{segment:?}: every parameter is at a kink");
    });

    check_explicit_members::<N>(&theta, &batch);
    check_tuner::<N>(&theta);
    let split = Population { batch: BatchMode::Split, ..rank_one(3) };
    for population in [Population::NONE, Population::new(3, 0.4), rank_one(3), split] {
        let run =
            |found: Result<(Vec<f32>, f32), _>| found.map(|(gradient, loss)| (bits(&gradient), loss.to_bits())).expect("a finite loss");
        let scalar = run(gradient::<N, Scalar>(&population, &LOSS, 3, &theta, &batch));
        assert!(scalar == run(gradient::<N, form::Samples<f32x8>>(&population, &LOSS, 3, &theta, &batch)), "{population:?}");
        assert!(scalar == run(gradient::<N, form::Samples<f32x16>>(&population, &LOSS, 3, &theta, &batch)), "{population:?}");
        assert!(scalar == run(gradient::<N, Members<f32x8>>(&population, &LOSS, 3, &theta, &batch)), "{population:?}");
        for units in [1, 5] {
            let shared = gradient_by::<N, form::Samples<f32x16>>(Some(&Pieces(units)), &population, &LOSS, 3, &theta, &batch);
            assert!(scalar == run(shared), "{population:?} in pieces of {units}");
            let shared = gradient_by::<N, Members<f32x8>>(Some(&Pieces(units)), &population, &LOSS, 3, &theta, &batch);
            assert!(scalar == run(shared), "{population:?} in pieces of {units}");
        }
    }
    N::fingerprint()
}

/// Fine-tuning with noise of rank 1 has the same bits in every form, and leaves running statistics alone.
fn check_tuner<N: Network>(theta: &[f32]) {
    let scalar = tuned::<N, f32>(theta);
    assert!(scalar == tuned::<N, f32x8>(theta) && scalar == tuned::<N, f32x16>(theta));
    N::segments(&mut |segment| {
        let same = segment.range().all(|i| theta[i].to_bits() == scalar[i]);
        assert!(same != segment.kind.is_trained(), "{segment:?}");
    });
}

/// The parameters after a step of a tuner with three members on factors, computed in lanes `L`.
fn tuned<N: Network, L: Lane>(theta: &[f32]) -> Vec<u32> {
    let settings = Settings { population: rank_one(3), rate: 0.5, ..Settings::DEFAULT };
    let mut parameters = theta.to_vec();
    let mut working = vec![0.0; settings.needs().sizes::<N, L, SAMPLES>().sum()];
    let (mut samples, mut entries) = (vec![0.0; SAMPLES * N::INPUT.len()], Deque::<Entry, SAMPLES>::new());
    let memory =
        Memory { parameters: &mut parameters, working: &mut working, samples: &mut samples, entries: entries.as_mut_view(), best: &mut [] };
    let mut tuner = FineTuner::<N, L, f32, SAMPLES>::new(memory, Normalisation::NONE, settings, 1).expect("every network runs on factors");
    for label in 0..SAMPLES {
        tuner.label(&normals(label as u64, N::INPUT.len()), label as u16).expect("room");
    }
    tuner.step().expect("a finite loss");
    bits(&parameters)
}

/// A population with noise of rank 1.
fn rank_one(members: u32) -> Population {
    let mut population = Population::new(members, 0.4);
    population.noise.distribution = Distribution::RankOne;
    population
}

/// Pairs with noise of rank 1 need no weights of their own, and have the gradient of two explicit members, to rounding. Where a rectifier is so near
/// its kink that rounding decides on which side it is, another pair must tell.
fn check_explicit_members<N: Network>(theta: &[f32], batch: &Batch) {
    let population = rank_one(2);
    assert!(population.noise.is_factored::<N>());
    let error = |step| {
        let at = |population: &Population, theta: &[f32]| {
            gradient::<N, form::Samples<f32x16>>(population, &LOSS, step, theta, batch).expect("a finite loss").0
        };
        let (mut scales, mut member) = (vec![0.0; N::FILTERS], vec![0.0; N::PARAMS]);
        population.noise.scales::<N, f32>(theta, &mut scales);
        population.noise.perturb::<N, f32>(&population.stream(SEED, step, 0), theta, &scales, &mut member);
        // A pair without noise has the masks of the pair.
        let alone = Population::new(2, 0.0);
        let first = at(&alone, &member);
        mirror::<f32>(theta, &mut member);
        let second = at(&alone, &member);
        let expected = first.iter().zip(&second).map(|(a, b)| 0.5 * (a + b));
        let largest = expected.clone().fold(0f32, |most, g| most.max(g.abs()));
        at(&population, theta).iter().zip(expected).fold(0f32, |most, (a, b)| most.max((a - b).abs())) / largest
    };
    let errors = [3, 4, 5].map(error);
    assert!(errors.iter().any(|&error| error <= 1e-4), "{errors:?}");
}

#[test]
fn every_network_has_the_gradient_of_finite_differences_and_of_explicit_members_and_the_same_bits_in_every_form() {
    let mut tested = BTreeSet::new();
    macro_rules! networks {
        ($($network:ident)*) => {$(
            println!("{}", stringify!($network));
            tested.insert(check::<zoo::$network>());
        )*};
    }
    networks!(Mlp64x64x32x10 Mlp64x64x32x10Norm Mlp64x64x32x10Dropout Mlp64x128x64x10 Mlp64x32x10 Mlp9x24x11 Mlp192x32x6);
    networks!(Mlp784x128x10 Mlp784x128x10Norm Mlp784x128x10Dropout);
    networks!(Lenet28 Lenet32 Resnet28 Resnet32 Mobilenet28 Mobilenet32 Densenet28 Densenet32 Shufflenet28 Shufflenet32);
    networks!(Conv1d3x64 Conv1d6x128);
    for entry in pg_host::zoo() {
        assert!(tested.contains(&entry.network().fingerprint()), "{} is not tested", entry.name());
    }
}
