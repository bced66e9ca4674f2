//! One kernel, the same bits: whatever stands in the lanes, and however many there are.

use pg::{Samples, bits, gradient, parameters};
use pg_core::form::{self, Form, Members, Scalar};
use pg_core::layers::window::Window;
use pg_core::layers::*;
use pg_core::loss::{Loss, Targets};
use pg_core::optimiser::Sgd;
use pg_core::perturbation::Distribution::{Gaussian, Rademacher};
use pg_core::perturbation::Noise;
use pg_core::population::{Batch, Population, SHARD, Workspace, estimate as measure, infer};
use pg_core::schedule::{Course, Schedule};
use pg_core::{Image, Lane, Network, Sequential, Vector, f32x4, f32x8, f32x16};

/// Nothing is a multiple of a lane width.
type Small = Sequential<Vector<9>, (Dense<5>, Relu, Dense<3>)>;
/// Filters that cross the groups of the noise, and whole vectors with a rest.
type Large = Sequential<Image<2, 5, 5>, (Flatten, Dense<17>, LeakyRelu<10>, Dense<10>)>;
/// Enough to learn something.
type Middle = Sequential<Vector<20>, (Dense<9>, LeakyRelu<10>, Dense<5>)>;
/// The elementary functions, and an input that is overwritten on the tape.
type Smooth = Sequential<Vector<7>, (Sigmoid, Dense<6>, Tanh, Dense<4>, Sigmoid)>;

/// Convolutions of every kind, pools, masks, an activation whose input is kept.
type Windows = Sequential<
    Image<2, 6, 5>,
    (
        (Dropout<20>, Conv<6, Window<3, 2, 2, 1, 1, 0>, 2>, Relu6, MaxPool2d<2, 1, 1>),
        (Conv2d<7, 3, 1, 1>, HardSwish, Depthwise2d<3, 2, 1>, LeakyRelu<10>, Dropout<40>),
        (LayerNorm, Pointwise<5>, AvgPool<Window<2, 1, 1>>, GlobalAvgPool),
        Dense<3>,
    ),
>;
/// Statistics of the batch, masks in branches, branches of every kind.
type Normed = Sequential<
    Image<2, 4, 3>,
    (
        Residual<(Conv2d<4, 3, 1, 1>, BatchNorm, Relu, Dropout<30>, Pointwise<2>)>,
        Relu,
        Residual<(Conv2d<6, 3, 2, 1>, BatchNorm), (Conv2d<6, 1, 2>, Dropout<10>)>,
        Split<2, (), (Depthwise1d<3, 1, 1>, BatchNorm)>,
        ChannelShuffle<2>,
        Concat<(BatchNorm, Relu, Dropout<20>, Conv1d<3, 2, 1, 1>, AvgPool1d<2, 1>)>,
        Dense<3>,
    ),
>;

const CROSS_ENTROPY: Loss = Loss::CrossEntropy { label_smoothing: 0.0 };
const SMOOTHED: Loss = Loss::CrossEntropy { label_smoothing: 0.1 };

/// Gradient and loss as bits.
fn estimate<N: Network, F: Form>(population: &Population, loss: &Loss, theta: &[f32], batch: &Batch) -> (Vec<u32>, u32) {
    let (gradient, loss) = gradient::<N, F>(population, loss, 3, theta, batch).expect("finite losses");
    (bits(&gradient), loss.to_bits())
}

fn check<N: Network>(population: Population, loss: Loss, samples: usize) {
    check_batch::<N>(population, loss, &Samples::random::<N>(2, samples).batch::<N>(&loss, 0, samples));
}

/// Returns the bits that all forms have.
fn check_batch<N: Network>(population: Population, loss: Loss, batch: &Batch) -> (Vec<u32>, u32) {
    let (theta, samples) = (parameters::<N>(1), batch.samples);
    let scalar = estimate::<N, Scalar>(&population, &loss, &theta, batch);
    macro_rules! same {
        ($($form:ty)*) => {$(
            assert!(scalar == estimate::<N, $form>(&population, &loss, &theta, batch), "{} {population:?} {samples} samples", stringify!($form));
        )*};
    }
    same!(form::Samples<f32x4> form::Samples<f32x8> form::Samples<f32x16>);
    if population.members > 0 && (samples <= SHARD || N::WHOLE_BATCH) {
        same!(Members<f32x4> Members<f32x8> Members<f32x16>);
    }
    scalar
}

/// Gaussian pairs and lone random signs.
fn populations(members: &[u32]) -> impl Iterator<Item = Population> {
    let kinds = [(Gaussian, true), (Rademacher, false)].map(|(distribution, antithetic)| {
        let noise = Noise { distribution, ..Noise::new(0.4) };
        Population { noise, antithetic, ..Population::NONE }
    });
    members.iter().flat_map(move |&members| kinds.map(|kind| Population { members, ..kind }))
}

#[test]
fn mixed_classes_have_the_same_bits_in_every_form_and_those_of_the_class_when_its_share_is_one() {
    for population in populations(&[0, 1, 3, 9]) {
        for samples in [1, 6, 64, 70] {
            let mut data = Samples::random::<Small>(2, samples);
            for loss in [CROSS_ENTROPY, SMOOTHED] {
                let class = check_batch::<Small>(population, loss, &data.batch::<Small>(&loss, 0, samples));
                let whole = check_batch::<Small>(population, loss, &data.mixed_batch::<Small>(samples, Some(1.0)));
                let half = check_batch::<Small>(population, loss, &data.mixed_batch::<Small>(samples, Some(0.5)));
                assert!(class == whole, "{population:?} {samples} samples");
                assert!(class != half || samples == 1, "{population:?} {samples} samples");
            }
        }
    }
}

#[test]
fn a_mixed_class_without_a_share_may_have_an_infinite_output_and_a_share_that_is_no_number_is_an_error() {
    type Outputs = Sequential<Vector<2>, (Dense<2>,)>;
    // The outputs are the biases: the second class is impossible.
    let theta = [0.0, 0.0, 0.0, 0.0, 1.0, f32::NEG_INFINITY];
    let found = |share| {
        let targets = Targets::Mixed { first: &[0], second: &[1], share: &[share] };
        gradient::<Outputs, Scalar>(&Population::NONE, &CROSS_ENTROPY, 0, &theta, &Batch { inputs: &[0.0; 2], targets, samples: 1 })
    };
    assert_eq!(found(1.0).unwrap().1, 0.0);
    assert!(found(0.5).is_err() && found(f32::NAN).is_err());
}

#[test]
fn gradients_have_the_same_bits_in_every_form_for_every_population() {
    for population in populations(&[0, 1, 2, 3, 4, 7, 8, 16, 17]) {
        for antithetic in [true, false] {
            for samples in [1, 6, 33] {
                check::<Small>(Population { antithetic, ..population }, CROSS_ENTROPY, samples);
            }
        }
    }
}

#[test]
fn gradients_have_the_same_bits_in_every_form_for_every_batch() {
    for population in populations(&[0, 3, 8]) {
        for samples in (1..=17).chain([63, 64, 65, 128, 130]) {
            check::<Small>(population, CROSS_ENTROPY, samples);
        }
    }
}

#[test]
fn gradients_of_a_wider_network_have_the_same_bits_in_every_form() {
    for population in populations(&[0, 3, 9]) {
        for samples in [1, 13, 64, 65] {
            check::<Large>(population, SMOOTHED, samples);
        }
    }
}

#[test]
fn elementary_functions_and_the_mean_squared_error_have_the_same_bits_in_every_form() {
    for population in populations(&[0, 1, 4, 9]) {
        for samples in [1, 3, 16, 65] {
            check::<Smooth>(population, Loss::MeanSquaredError, samples);
        }
    }
}

#[test]
fn every_layer_has_the_same_bits_in_every_form_for_every_batch() {
    for samples in (1..=17).chain([64, 65]) {
        for population in populations(&[0, 3]) {
            check::<Windows>(population, CROSS_ENTROPY, samples);
            check::<Normed>(population, CROSS_ENTROPY, samples);
        }
    }
}

#[test]
fn every_layer_has_the_same_bits_in_every_form_for_every_population() {
    for members in 0..=9 {
        for population in populations(&[members]) {
            for antithetic in [true, false] {
                check::<Windows>(Population { antithetic, ..population }, SMOOTHED, 5);
                check::<Normed>(Population { antithetic, ..population }, SMOOTHED, 5);
            }
        }
    }
}

#[test]
fn every_option_has_the_same_bits_in_every_form_for_every_layer() {
    use pg_core::perturbation::{NoiseTargets, ScaleRule};
    use pg_core::population::{BatchMode, Combine};
    let targets = NoiseTargets { biases: true, gains: true, first_layer: 2, ..NoiseTargets::WEIGHTS };
    let noise = Noise { targets, scale: ScaleRule::FilterExact, ..Noise::new(0.3) };
    for batch in [BatchMode::Shared, BatchMode::Split, BatchMode::Fresh] {
        for combine in [Combine::Mean, Combine::Clean { lambda: 0.4 }, Combine::Softmax { tau: 0.5 }] {
            for (members, samples) in [(1, 5), (2, 6), (3, 17), (9, 20), (17, 30)] {
                let population = Population { batch, combine, noise, ..Population::new(members, 0.3) };
                check::<Windows>(population, SMOOTHED, samples);
                check::<Normed>(population, SMOOTHED, samples);
            }
        }
    }
}

/// Running statistics measured over the samples in three batches, then the outputs of inference: their bits.
fn measured<N: Network, F: Form>(theta: &[f32], inputs: &[f32], samples: usize) -> (Vec<u32>, Vec<u32>) {
    let width = N::INPUT.len();
    let mut theta = theta.to_vec();
    let mut memory = vec![f32::NAN; Workspace::len::<N, F>(samples)];
    let mut workspace = Workspace::new::<N, F>(samples, &mut memory);
    for (first, end) in [(0, samples / 3), (samples / 3, samples / 2), (samples / 2, samples)] {
        if end > first {
            measure::<N, F>(&mut theta, &inputs[first * width..end * width], end - first, first, &mut workspace);
        }
    }
    let shown = samples.min(SHARD);
    let outputs = infer::<N, F>(&theta, inputs, shown, &mut workspace);
    let stride = F::columns(shown) * F::COLUMN;
    let found: Vec<f32> = (0..N::OUTPUTS).flat_map(|o| outputs[o * stride..][..shown].to_vec()).collect();
    (bits(&theta), bits(&found))
}

fn check_inference<N: Network>(samples: usize) {
    let (theta, data) = (parameters::<N>(4), pg::normals(9, samples * N::INPUT.len()));
    let scalar = measured::<N, Scalar>(&theta, &data, samples);
    assert!(scalar == measured::<N, form::Samples<f32x4>>(&theta, &data, samples), "{samples} samples, four lanes");
    assert!(scalar == measured::<N, form::Samples<f32x8>>(&theta, &data, samples), "{samples} samples, eight lanes");
    assert!(scalar == measured::<N, form::Samples<f32x16>>(&theta, &data, samples), "{samples} samples, sixteen lanes");
}

#[test]
fn running_statistics_and_inference_have_the_same_bits_in_every_form() {
    for samples in (1..=17).chain([64, 70]) {
        check_inference::<Windows>(samples);
        check_inference::<Normed>(samples);
    }
}

/// A training run of a hundred steps with everything on: the parameters' bits, and those of the mean losses.
fn train<N: Network, F: Form>(population: Population) -> (Vec<u32>, Vec<u32>) {
    const STEPS: u32 = 100;
    let sgd = Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-3 };
    let data = Samples::random::<N>(5, 70);
    let (mut theta, mut velocity) = (parameters::<N>(6), vec![0.0; N::PARAMS]);
    let mut losses = Vec::new();
    // Batches of 16, of which every fifth is short.
    for (step, first) in (0..STEPS).zip((0..70).step_by(16).cycle()) {
        let batch = data.batch::<N>(&SMOOTHED, first, (first + 16).min(70));
        let (gradient, loss) = gradient::<N, F>(&population, &SMOOTHED, step, &theta, &batch).expect("finite losses");
        sgd.step::<F::Value>(0.1 * Schedule::new(Course::Cosine).factor(step, STEPS), &gradient, &mut velocity, &mut theta);
        losses.push(loss);
    }
    assert!(losses[95..].iter().sum::<f32>() < losses[..5].iter().sum::<f32>(), "it learns");
    (bits(&theta), bits(&losses))
}

#[test]
fn a_training_run_of_a_hundred_steps_has_the_same_bits_in_every_form() {
    for population in [Population::NONE, Population::new(8, 0.4)] {
        let scalar = train::<Middle, Scalar>(population);
        assert!(scalar == train::<Middle, form::Samples<f32x4>>(population));
        assert!(scalar == train::<Middle, form::Samples<f32x8>>(population));
        assert!(scalar == train::<Middle, form::Samples<f32x16>>(population));
        assert!(scalar == train::<Middle, Members<f32x4>>(population));
        assert!(scalar == train::<Middle, Members<f32x8>>(population));
        assert!(scalar == train::<Middle, Members<f32x16>>(population));
    }
}

#[test]
fn a_training_run_has_the_same_bits_in_every_build() {
    // Seen with native and with baseline x86-64 code. It changes with the arithmetic, which is an event: then say so in the changelog.
    let (theta, losses) = train::<Middle, Scalar>(Population::new(8, 0.4));
    let bytes: Vec<u8> = theta.into_iter().chain(losses).flat_map(u32::to_le_bytes).collect();
    assert_eq!(pg::crc32(&bytes), 0x1a25_c398);
}

#[test]
fn every_operation_of_a_lane_is_that_of_a_number() {
    // Ordinary numbers, zeros, subnormals, the largest, infinities, NaN.
    let mut numbers = pg::normals(1, 64);
    numbers.extend([0.0, -0.0, 1e-40, -1e-40, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1.0, -1.0]);
    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
    }
    fn check<L: Lane>(a: f32, b: f32, c: f32) {
        let [x, y, z] = [a, b, c].map(L::splat);
        let last = L::LANES - 1;
        assert!(same(x.mul_add(y, z).lane(last), a.mul_add(b, c)), "{a:e}·{b:e} + {c:e}");
        assert!(same((x / y).lane(last), a / b) && same(x.sqrt().lane(last), a.sqrt()));
        assert!(same(x.if_greater(y, z, x).lane(last), if a > b { c } else { a }), "{a:e} > {b:e}");
    }
    for &a in &numbers {
        for &b in &numbers {
            for &c in numbers.iter().step_by(3) {
                check::<f32>(a, b, c);
                check::<f32x4>(a, b, c);
                check::<f32x8>(a, b, c);
                check::<f32x16>(a, b, c);
            }
        }
    }
}
