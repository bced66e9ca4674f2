//! Batch normalisation under noise: whose statistics a member uses, who writes the running ones, and what nobody may see.

use pg::oracle::{Mode, Oracle, assert_close, exact};
use pg::{Samples, bits, gradient, normals, parameters};
use pg_core::form::{self, Form, Members, Scalar};
use pg_core::layers::*;
use pg_core::loss::{Loss, Targets};
use pg_core::population::{Batch, Population, Workspace, estimate, infer};
use pg_core::{Image, Network, Sequential, f32x8, f32x16};

/// Two batch norms, the second in a branch behind the first.
type Net = Sequential<
    Image<2, 4, 3>,
    (Conv2d<3, 3, 1, 1>, BatchNorm, Relu, Residual<(Conv2d<3, 3, 1, 1>, BatchNorm)>, Dropout<20>, GlobalAvgPool, Dense<3>),
>;
const CROSS_ENTROPY: Loss = Loss::CrossEntropy { label_smoothing: 0.0 };

/// The ranges of a network's running statistics.
fn statistics<N: Network>() -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    N::segments(&mut |segment| ranges.extend((!segment.kind.is_trained()).then(|| segment.range())));
    assert_eq!(ranges.iter().map(|range| range.len()).sum::<usize>(), N::STATISTICS);
    ranges
}

/// The parameters after the running statistics have been measured over `batches` of samples.
fn measured<N: Network, F: Form>(theta: &[f32], inputs: &[f32], batches: &[usize]) -> Vec<f32> {
    let mut theta = theta.to_vec();
    let largest = *batches.iter().max().expect("a batch");
    let mut memory = vec![f32::NAN; Workspace::len::<N, F>(largest)];
    let mut workspace = Workspace::new::<N, F>(largest, &mut memory);
    let mut seen = 0;
    for &samples in batches {
        let inputs = &inputs[seen * N::INPUT.len()..][..samples * N::INPUT.len()];
        estimate::<N, F>(&mut theta, inputs, samples, seen, &mut workspace);
        seen += samples;
    }
    theta
}

#[test]
fn members_never_touch_the_running_statistics() {
    let (theta, data) = (parameters::<Net>(1), Samples::random::<Net>(1, 70));
    let before = bits(&theta);
    for samples in [1, 5, 70] {
        let batch = data.batch::<Net>(&CROSS_ENTROPY, 0, samples);
        for members in [0, 1, 5, 9] {
            let population = Population::new(members, 0.4);
            let check = |(found, _): (Vec<f32>, f32)| {
                for range in statistics::<Net>() {
                    assert!(found[range].iter().all(|g| g.to_bits() == 0), "{members} members, {samples} samples");
                }
            };
            check(gradient::<Net, Scalar>(&population, &CROSS_ENTROPY, 0, &theta, &batch).unwrap());
            check(gradient::<Net, form::Samples<f32x8>>(&population, &CROSS_ENTROPY, 0, &theta, &batch).unwrap());
            check(gradient::<Net, Members<f32x8>>(&population, &CROSS_ENTROPY, 0, &theta, &batch).unwrap());
        }
    }
    assert_eq!(bits(&theta), before);
}

#[test]
fn the_running_statistics_do_not_enter_a_training_pass() {
    let (mut theta, data) = (parameters::<Net>(2), Samples::random::<Net>(2, 9));
    let batch = data.batch::<Net>(&CROSS_ENTROPY, 0, 9);
    let population = Population::new(4, 0.4);
    let run = |theta: &[f32]| {
        let (gradient, loss) = gradient::<Net, Members<f32x8>>(&population, &CROSS_ENTROPY, 0, theta, &batch).unwrap();
        (bits(&gradient), loss.to_bits())
    };
    let expected = run(&theta);
    statistics::<Net>().into_iter().for_each(|range| theta[range].fill(f32::NAN));
    assert!(run(&theta) == expected);
}

#[test]
fn running_statistics_of_one_batch_are_its_moments_at_every_layer() {
    let (theta, inputs) = (parameters::<Net>(3), normals(3, 50 * Net::INPUT.len()));
    let found = measured::<Net, form::Samples<f32x16>>(&theta, &inputs, &[50]);
    let moments = Oracle::of::<Net>().forward(&exact(&theta), &inputs, Mode::Estimate).moments;
    let found: Vec<f32> = statistics::<Net>().into_iter().flat_map(|range| found[range].to_vec()).collect();
    // Means and variances of three channels, twice.
    let order = [(0, 0), (0, 1), (3, 0), (3, 1)];
    let expected: Vec<f64> =
        order.into_iter().flat_map(|(first, kind)| (0..3).map(move |c| (first + c, kind))).map(|(c, kind)| moments[c][kind]).collect();
    assert_close(&found, &expected);
}

#[test]
fn running_statistics_of_several_batches_are_the_moments_of_all_samples() {
    let (theta, inputs) = (parameters::<Net>(4), normals(4, 130 * Net::INPUT.len()));
    let oracle = Oracle::of::<Net>();
    // What the first batch norm sees does not depend on the batches.
    let moments = oracle.forward(&exact(&theta), &inputs, Mode::Estimate).moments;
    let expected: Vec<f64> = (0..2).flat_map(|kind| moments[..3].iter().map(move |moment| moment[kind])).collect();
    // The second sees what the first has made of each batch: the moments of several batches merge by their definition.
    let batches = [64, 1, 48, 17];
    let mut merged = [[0.0; 2]; 3];
    let mut first = 0;
    for samples in batches {
        let width = Net::INPUT.len();
        let moments = oracle.forward(&exact(&theta), &inputs[first * width..(first + samples) * width], Mode::Estimate).moments;
        for (sums, [mean, variance]) in merged.iter_mut().zip(&moments[3..]) {
            let share = samples as f64 / 130.0;
            sums[0] += share * mean;
            sums[1] += share * (variance + mean * mean);
        }
        first += samples;
    }
    let second: Vec<f64> = merged.iter().map(|[mean, _]| *mean).chain(merged.iter().map(|[mean, square]| square - mean * mean)).collect();
    for found in [
        measured::<Net, Scalar>(&theta, &inputs, &batches),
        measured::<Net, form::Samples<f32x8>>(&theta, &inputs, &batches),
        measured::<Net, form::Samples<f32x16>>(&theta, &inputs, &batches),
    ] {
        let found: Vec<f32> = statistics::<Net>().into_iter().flat_map(|range| found[range].to_vec()).collect();
        assert_close(&found[..6], &expected);
        assert_close(&found[6..], &second);
    }
}

#[test]
fn an_estimate_that_starts_afresh_forgets_what_was_there() {
    let (theta, inputs) = (parameters::<Net>(5), normals(5, 40 * Net::INPUT.len()));
    let expected = bits(&measured::<Net, form::Samples<f32x8>>(&theta, &inputs, &[30, 10]));
    for spoilt in [1e30, f32::INFINITY, f32::NAN] {
        let mut theta = theta.clone();
        statistics::<Net>().into_iter().for_each(|range| theta[range].fill(spoilt));
        assert!(bits(&measured::<Net, form::Samples<f32x8>>(&theta, &inputs, &[30, 10])) == expected, "{spoilt}");
    }
}

#[test]
fn inference_with_the_statistics_of_a_batch_is_the_forward_pass_in_training() {
    let (theta, inputs) = (parameters::<Net>(6), normals(6, 20 * Net::INPUT.len()));
    let theta = measured::<Net, form::Samples<f32x8>>(&theta, &inputs, &[20]);
    let mut memory = vec![f32::NAN; Workspace::len::<Net, form::Samples<f32x8>>(20)];
    let mut workspace = Workspace::new::<Net, form::Samples<f32x8>>(20, &mut memory);
    let outputs = infer::<Net, form::Samples<f32x8>>(&theta, &inputs, 20, &mut workspace);
    let oracle = Oracle::of::<Net>();
    for mode in [Mode::Estimate, Mode::Infer] {
        let expected = oracle.forward(&exact(&theta), &inputs, mode).outputs;
        let found: Vec<f32> = (0..20).flat_map(|n| (0..3).map(move |o| outputs[o * 24 + n])).collect();
        assert_close(&found, &expected.concat());
    }
}

#[test]
fn a_channel_that_is_constant_and_a_batch_of_one_value_stay_finite() {
    type Values = Sequential<Image<2, 1, 1>, (BatchNorm, Dense<3>)>;
    let theta = parameters::<Values>(7);
    // The first channel is the same in all samples; of one sample both are.
    let inputs: Vec<f32> = normals(7, 12).chunks(2).flat_map(|pair| [3.7e3, pair[1]]).collect();
    for samples in [1, 5, 6] {
        let batch = Batch { inputs: &inputs[..2 * samples], targets: Targets::Classes(&[0, 1, 2, 1, 0, 2][..samples]), samples };
        let population = Population::new(3, 0.4);
        let (found, loss) = gradient::<Values, Members<f32x8>>(&population, &CROSS_ENTROPY, 0, &theta, &batch).unwrap();
        assert!(loss.is_finite() && found.iter().all(|g| g.is_finite()));
        let (found, loss) = gradient::<Values, form::Samples<f32x16>>(&Population::NONE, &CROSS_ENTROPY, 0, &theta, &batch).unwrap();
        assert!(loss.is_finite() && found.iter().all(|g| g.is_finite()));
        // A constant has no deviation for a gain to scale.
        assert!(found[0].abs() < 1e-6 && found[2].abs() > 1e-3, "{found:?}");
        let measured = measured::<Values, form::Samples<f32x16>>(&theta, &inputs, &[samples]);
        assert!((measured[4] - 3.7e3).abs() < 1e-2 && measured[6].abs() < 1e-4, "{measured:?}");
    }
}

#[test]
fn lanes_without_a_sample_do_not_leak_into_the_statistics() {
    // Far from zero, which is what stands in those lanes.
    type Values = Sequential<Image<2, 2, 2>, (BatchNorm, Conv2d<3, 2>, BatchNorm)>;
    let theta = parameters::<Values>(8);
    let inputs: Vec<f32> = normals(8, 5 * 8).into_iter().map(|x| 50.0 + x).collect();
    let values = normals(9, 5 * 3);
    let batch = Batch { inputs: &inputs, targets: Targets::Values(&values), samples: 5 };
    let run = |found: Result<(Vec<f32>, f32), _>| found.map(|(gradient, loss)| (bits(&gradient), loss.to_bits())).unwrap();
    let scalar = run(gradient::<Values, Scalar>(&Population::NONE, &Loss::MeanSquaredError, 0, &theta, &batch));
    assert!(run(gradient::<Values, form::Samples<f32x16>>(&Population::NONE, &Loss::MeanSquaredError, 0, &theta, &batch)) == scalar);
    let mean = exact(&inputs).chunks(8).flat_map(|sample| sample[..4].to_vec()).sum::<f64>() / 20.0;
    let found = measured::<Values, form::Samples<f32x16>>(&theta, &inputs, &[5]);
    assert_eq!(bits(&found), bits(&measured::<Values, Scalar>(&theta, &inputs, &[5])));
    assert_close(&found[4..5], &[mean]);
}
