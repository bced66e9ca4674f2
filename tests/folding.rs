//! Batch norms folded into the weights before them: the same outputs to rounding, the same bits in every form, fewer parameters and
//! activations; and no fold where it would be wrong.

use pg::oracle::{Mode, Oracle, assert_close, exact};
use pg::{bits, normals, parameters};
use pg_core::floats::Floats;
use pg_core::form::{self, Form, Scalar};
use pg_core::layers::*;
use pg_core::model_file::{ClassNames, Model, Provenance};
use pg_core::network::{Foldable, Folded};
use pg_core::normalisation::Normalisation;
use pg_core::population::{Workspace, infer};
use pg_core::zoo::{Conv1d3x64, Densenet28, Lenet28, Mobilenet28, Resnet28, Shufflenet28};
use pg_core::{Image, Network, Sequential, f32x4, f32x8, f32x16};

/// Parameters with variances that are some.
fn stored<N: Network>(seed: u64) -> Vec<f32> {
    let mut theta = parameters::<N>(seed);
    N::segments(&mut |segment| {
        if segment.kind == SegmentKind::Variance {
            theta[segment.range()].iter_mut().for_each(|v| *v = 0.1 + v.abs());
        }
    });
    theta
}

fn folded<N: Foldable>(stored: &[f32]) -> Vec<f32> {
    let mut parameters = vec![f32::NAN; <Folded<N> as Network>::PARAMS];
    <Folded<N> as Network>::load(Floats::new(stored), &mut parameters);
    parameters
}

/// Outputs sample by sample.
fn outputs<N: Network, F: Form>(parameters: &[f32], inputs: &[f32], samples: usize) -> Vec<f32> {
    let mut memory = vec![f32::NAN; Workspace::len::<N, F>(samples)];
    let mut workspace = Workspace::new::<N, F>(samples, &mut memory);
    let outputs = infer::<N, F>(parameters, inputs, samples, &mut workspace);
    let stride = F::columns(samples) * F::COLUMN;
    (0..samples).flat_map(|n| (0..N::OUTPUTS).map(move |o| outputs[o * stride + n])).collect()
}

fn check<N: Foldable>() {
    const SAMPLES: usize = 5;
    let stored = stored::<N>(1);
    let inputs = normals(2, SAMPLES * N::INPUT.len());
    let parameters = folded::<N>(&stored);
    let found = outputs::<Folded<N>, Scalar>(&parameters, &inputs, SAMPLES);
    let expected = Oracle::of::<N>().forward(&exact(&stored), &inputs, Mode::Infer).outputs.concat();
    assert_close(&found, &expected);
    let scalar = bits(&found);
    assert!(scalar == bits(&outputs::<Folded<N>, form::Samples<f32x4>>(&parameters, &inputs, SAMPLES)));
    assert!(scalar == bits(&outputs::<Folded<N>, form::Samples<f32x8>>(&parameters, &inputs, SAMPLES)));
    assert!(scalar == bits(&outputs::<Folded<N>, form::Samples<f32x16>>(&parameters, &inputs, SAMPLES)));
    assert!(<Folded<N> as Network>::PARAMS <= N::PARAMS && <Folded<N> as Network>::STORED == N::PARAMS);
    assert_eq!(<Folded<N> as Network>::fingerprint(), N::fingerprint());
}

/// Behind every layer with weights, through tuples, at the ends of branches.
type Everywhere = Sequential<
    Image<4, 5, 4>,
    (
        (Conv<6, window::Window<3, 2, 1, 1, 1, 0>, 2>, BatchNorm, Relu),
        ((Depthwise2d<3, 1, 1>,), BatchNorm),
        Residual<(Pointwise<6>, BatchNorm, HardSwish, Conv2d<8, 3, 2, 1>, BatchNorm), (Conv2d<8, 1, 2>, BatchNorm)>,
        Split<3, (Pointwise<3>, BatchNorm, Tanh), ()>,
        Concat<(Conv2d<2, 3, 1, 1>, BatchNorm)>,
        Dense<7>,
        BatchNorm,
        Relu,
        Dense<3>,
    ),
>;

/// Batch norms that have no weights of their own before them: first, behind an activation, behind a pool, behind branches, in a branch whose
/// input others read as well, one behind another.
type Nowhere = Sequential<
    Image<4, 5, 4>,
    (
        BatchNorm,
        (Pointwise<4>, Relu, BatchNorm),
        (Pointwise<4>, MaxPool2d<2, 1>, BatchNorm),
        Pointwise<4>,
        Residual<(BatchNorm, Relu, Pointwise<4>)>,
        BatchNorm,
        Pointwise<4>,
        Concat<(BatchNorm, Relu, Pointwise<2>)>,
        Pointwise<4>,
        Split<2, (BatchNorm, Relu), ()>,
        BatchNorm,
        Dense<3>,
    ),
>;

#[test]
fn a_folded_network_gives_the_outputs_of_the_definition_and_the_same_bits_in_every_form() {
    check::<Everywhere>();
    check::<Nowhere>();
    check::<Resnet28>();
    check::<Mobilenet28>();
    check::<Densenet28>();
    check::<Shufflenet28>();
    check::<Conv1d3x64>();
    check::<Lenet28>();
}

#[test]
fn a_batch_norm_goes_exactly_where_its_input_is_read_by_nobody_else() {
    assert_eq!((Everywhere::STATISTICS, <Folded<Everywhere> as Network>::STATISTICS), (2 * (6 + 6 + 6 + 8 + 8 + 3 + 2 + 7), 0));
    assert_eq!(<Folded<Nowhere> as Network>::STATISTICS, Nowhere::STATISTICS);
    type Twice = Sequential<Image<4, 5, 4>, (Pointwise<4>, BatchNorm, BatchNorm, Dense<3>)>;
    assert_eq!((Twice::STATISTICS, <Folded<Twice> as Network>::STATISTICS), (16, 8));
    check::<Twice>();
    // DenseNet normalises what many layers read.
    assert_eq!(<Folded<Densenet28> as Network>::STATISTICS, Densenet28::STATISTICS);
    for statistics in [<Folded<Resnet28> as Network>::STATISTICS, <Folded<Mobilenet28> as Network>::STATISTICS] {
        assert_eq!(statistics, 0);
    }
}

#[test]
fn a_network_without_batch_norms_is_the_same_folded() {
    let stored = stored::<Lenet28>(3);
    assert_eq!(bits(&folded::<Lenet28>(&stored)), bits(&stored));
    assert_eq!(<Folded<Lenet28> as Network>::TAPE, Lenet28::TAPE);
}

#[test]
fn a_model_file_is_folded_as_it_is_read() {
    type Net = Sequential<Image<1, 3, 3>, (Conv2d<2, 2>, BatchNorm, Dense<2>)>;
    let stored = stored::<Net>(4);
    let mut text = String::new();
    Net::describe(&mut text).unwrap();
    let model = Model {
        network: &text,
        normalisation: Normalisation::NONE,
        classes: ClassNames::default(),
        provenance: Provenance::default(),
        parameters: Floats::new(&stored),
    };
    let mut bytes = vec![0; model.encoded_len()];
    let bytes = model.encode_into(&mut bytes).unwrap();
    let mut found = vec![0.0; <Folded<Net> as Network>::PARAMS];
    Model::decode(bytes).unwrap().parameters_into::<Folded<Net>>(&mut found).unwrap();
    assert_eq!(bits(&found), bits(&folded::<Net>(&stored)));
    // By hand, the first channel: four weights, and the bias behind all weights.
    let [gain, bias, mean, variance] = [10, 12, 14, 16].map(|i| f64::from(stored[i]));
    let scale = gain / (variance + 1e-5).sqrt();
    let expected = [f64::from(stored[0]) * scale, (f64::from(stored[8]) - mean) * scale + bias];
    assert_close(&[found[0], found[8]], &expected);
}
