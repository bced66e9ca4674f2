//! The layers against the test vectors of ONNX, which others wrote: forward passes, running statistics, the loss and its gradient.
//!
//! Every vector of an operator that pg knows is either tested here or has a reason why not; docs/vectors.md is the list. After a change:
//! `PG_WRITE=1 cargo test --test onnx`, then read the difference.

#[path = "support/offered.rs"]
mod offered;
#[path = "support/onnx.rs"]
mod vectors;

use std::fmt::Write;
use std::path::Path;

use offered::{KNOWN, UNKNOWN, reason};
use pg::{bits, gradient};
use pg_core::form::{Form, Samples, Scalar};
use pg_core::layers::window::Window;
use pg_core::layers::*;
use pg_core::loss::{Loss, Targets};
use pg_core::population::{Batch, Population, SHARD, Workspace, estimate, infer};
use pg_core::{Image, Network, Sequential, Vector as Features, f32x8};
use vectors::{Node, Vector};

/// What was found and what was expected.
type Pairs = Vec<(Vec<f32>, Vec<f32>)>;

/// A vector that pg can compute.
struct Case {
    name: &'static str,
    network: fn() -> String,
    run: fn(&Node, &Vector) -> Pairs,
}

/// `how: "part/test", input, layers;` for each.
macro_rules! cases {
    ($($how:ident: $name:literal, $input:ty, $layers:ty;)*) => {
        &[$(Case { name: $name, network: text::<Sequential<$input, $layers>>, run: $how::<Sequential<$input, $layers>> }),*]
    };
}

const CASES: &[Case] = cases! {
    plain: "node/test_basic_conv_with_padding", Image<1, 5, 5>, Conv2d<1, 3, 1, 1>;
    plain: "node/test_basic_conv_without_padding", Image<1, 5, 5>, Conv2d<1, 3>;
    plain: "node/test_conv_with_autopad_same", Image<1, 5, 5>, Conv2d<1, 3, 2, 1>;
    plain: "node/test_conv_with_strides_and_asymmetric_padding", Image<1, 7, 5>, Conv<1, Window<3, 3, 2, 2, 1, 0>>;
    plain: "node/test_conv_with_strides_no_padding", Image<1, 7, 5>, Conv2d<1, 3, 2>;
    plain: "node/test_conv_with_strides_padding", Image<1, 7, 5>, Conv2d<1, 3, 2, 1>;
    plain: "pytorch-converted/test_Conv1d", Image<4, 1, 10>, Conv1d<5, 3>;
    plain: "pytorch-converted/test_Conv1d_groups", Image<4, 1, 6>, Conv<6, Window<1, 3>, 2>;
    plain: "pytorch-converted/test_Conv1d_pad1", Image<4, 1, 10>, Conv1d<5, 3, 1, 1>;
    plain: "pytorch-converted/test_Conv1d_pad1size1", Image<4, 1, 1>, Conv1d<4, 3, 1, 1>;
    plain: "pytorch-converted/test_Conv1d_pad2", Image<4, 1, 10>, Conv1d<5, 5, 1, 2>;
    plain: "pytorch-converted/test_Conv1d_pad2size1", Image<4, 1, 1>, Conv1d<4, 5, 1, 2>;
    plain: "pytorch-converted/test_Conv1d_stride", Image<4, 1, 10>, Conv1d<5, 3, 2>;
    plain: "pytorch-converted/test_Conv2d", Image<3, 7, 5>, Conv<4, Window<3, 2>>;
    plain: "pytorch-converted/test_Conv2d_depthwise", Image<4, 6, 6>, Depthwise2d<3>;
    plain: "pytorch-converted/test_Conv2d_depthwise_padded", Image<4, 6, 6>, Depthwise2d<3, 1, 1>;
    plain: "pytorch-converted/test_Conv2d_depthwise_strided", Image<4, 6, 6>, Depthwise2d<3, 2>;
    plain: "pytorch-converted/test_Conv2d_depthwise_with_multiplier", Image<4, 6, 6>, Conv<8, Window<3>, 4>;
    plain: "pytorch-converted/test_Conv2d_groups", Image<4, 6, 5>, Conv<6, Window<3, 2>, 2>;
    plain: "pytorch-converted/test_Conv2d_groups_thnn", Image<4, 6, 5>, Conv<6, Window<3, 2>, 2>;
    plain: "pytorch-converted/test_Conv2d_no_bias", Image<3, 6, 5>, Conv<4, Window<3, 2>>;
    plain: "pytorch-converted/test_Conv2d_padding", Image<3, 6, 6>, Conv2d<4, 3, 2, 1>;
    plain: "pytorch-converted/test_Conv2d_strided", Image<3, 6, 6>, Conv2d<4, 3, 2>;
    plain: "pytorch-operator/test_operator_conv", Image<16, 50, 40>, Conv2d<13, 3>;

    plain: "node/test_averagepool_1d_default", Image<3, 1, 32>, AvgPool1d<2, 1>;
    plain: "node/test_averagepool_2d_default", Image<3, 32, 32>, AvgPool2d<2, 1>;
    plain: "node/test_averagepool_2d_pads", Image<3, 28, 28>, AvgPool2d<3, 1, 2>;
    plain: "node/test_averagepool_2d_precomputed_pads", Image<1, 5, 5>, AvgPool2d<5, 1, 2>;
    plain: "node/test_averagepool_2d_precomputed_same_upper", Image<1, 5, 5>, AvgPool2d<3, 2, 1>;
    plain: "node/test_averagepool_2d_precomputed_strides", Image<1, 5, 5>, AvgPool2d<2>;
    plain: "node/test_averagepool_2d_strides", Image<3, 32, 32>, AvgPool2d<5, 3>;
    plain: "pytorch-converted/test_AvgPool1d", Image<3, 1, 6>, AvgPool1d<2>;
    plain: "pytorch-converted/test_AvgPool1d_stride", Image<3, 1, 6>, AvgPool1d<2>;
    plain: "pytorch-converted/test_AvgPool2d", Image<3, 6, 6>, AvgPool2d<2>;
    plain: "pytorch-converted/test_AvgPool2d_stride", Image<3, 6, 6>, AvgPool2d<2>;
    plain: "node/test_globalaveragepool", Image<3, 5, 5>, GlobalAvgPool;
    plain: "node/test_globalaveragepool_precomputed", Image<1, 3, 3>, GlobalAvgPool;

    plain: "node/test_maxpool_1d_default", Image<3, 1, 32>, MaxPool1d<2, 1>;
    plain: "node/test_maxpool_2d_default", Image<3, 32, 32>, MaxPool2d<2, 1>;
    plain: "node/test_maxpool_2d_pads", Image<3, 28, 28>, MaxPool2d<3, 1, 2>;
    plain: "node/test_maxpool_2d_precomputed_pads", Image<1, 5, 5>, MaxPool2d<5, 1, 2>;
    plain: "node/test_maxpool_2d_precomputed_same_upper", Image<1, 5, 5>, MaxPool2d<3, 2, 1>;
    plain: "node/test_maxpool_2d_precomputed_strides", Image<1, 5, 5>, MaxPool2d<2>;
    plain: "node/test_maxpool_2d_strides", Image<3, 32, 32>, MaxPool2d<5, 3>;
    plain: "node/test_maxpool_with_argmax_2d_precomputed_pads", Image<1, 5, 5>, MaxPool2d<5, 1, 2>;
    plain: "node/test_globalmaxpool", Image<3, 5, 5>, MaxPool2d<5>;
    plain: "node/test_globalmaxpool_precomputed", Image<1, 3, 3>, MaxPool2d<3>;
    plain: "node/test_maxpool_with_argmax_2d_precomputed_strides", Image<1, 5, 5>, MaxPool2d<2>;
    plain: "pytorch-converted/test_MaxPool1d", Image<10, 1, 4>, MaxPool1d<4>;
    plain: "pytorch-converted/test_MaxPool1d_stride", Image<10, 1, 4>, MaxPool1d<4>;
    plain: "pytorch-converted/test_MaxPool2d", Image<3, 7, 7>, MaxPool2d<3, 2, 1>;
    plain: "pytorch-operator/test_operator_maxpool", Image<16, 1, 50>, MaxPool1d<3, 2>;

    product: "node/test_gemm_default_no_bias", Features<10>, Dense<3>;
    product: "node/test_gemm_default_scalar_bias", Features<3>, Dense<4>;
    product: "node/test_gemm_default_single_elem_vector_bias", Features<7>, Dense<3>;
    product: "node/test_gemm_default_vector_bias", Features<7>, Dense<4>;
    product: "node/test_gemm_default_zero_bias", Features<5>, Dense<4>;
    product: "node/test_gemm_transposeA", Features<6>, Dense<4>;
    product: "node/test_gemm_transposeB", Features<6>, Dense<4>;
    product: "pytorch-converted/test_Linear", Features<10>, Dense<8>;

    plain: "node/test_batchnorm_example", Image<3, 4, 5>, BatchNorm;
    training: "node/test_batchnorm_example_training_mode", Image<3, 4, 5>, BatchNorm;
    plain: "pytorch-converted/test_BatchNorm1d_3d_input_eval", Image<5, 1, 3>, BatchNorm;
    plain: "pytorch-converted/test_BatchNorm2d_eval", Image<3, 6, 6>, BatchNorm;
    plain: "pytorch-converted/test_BatchNorm3d_eval", Image<3, 4, 16>, BatchNorm;
    plain: "node/test_layer_normalization_2d_axis0", Features<12>, LayerNorm;
    plain: "node/test_layer_normalization_2d_axis1", Features<4>, LayerNorm;
    plain: "node/test_layer_normalization_2d_axis_negative_1", Features<4>, LayerNorm;
    plain: "node/test_layer_normalization_2d_axis_negative_2", Features<12>, LayerNorm;
    plain: "node/test_layer_normalization_4d_axis0", Features<120>, LayerNorm;
    plain: "node/test_layer_normalization_4d_axis1", Image<3, 4, 5>, LayerNorm;
    plain: "node/test_layer_normalization_4d_axis2", Image<1, 4, 5>, LayerNorm;
    plain: "node/test_layer_normalization_4d_axis3", Features<5>, LayerNorm;
    plain: "node/test_layer_normalization_4d_axis_negative_1", Features<5>, LayerNorm;
    plain: "node/test_layer_normalization_4d_axis_negative_2", Image<1, 4, 5>, LayerNorm;
    plain: "node/test_layer_normalization_4d_axis_negative_3", Image<3, 4, 5>, LayerNorm;
    plain: "node/test_layer_normalization_4d_axis_negative_4", Features<120>, LayerNorm;
    plain: "node/test_layer_normalization_default_axis", Features<5>, LayerNorm;

    plain: "node/test_relu", Image<3, 4, 5>, Relu;
    plain: "pytorch-converted/test_ReLU", Image<3, 4, 5>, Relu;
    plain: "node/test_leakyrelu", Image<3, 4, 5>, LeakyRelu<10>;
    plain: "node/test_leakyrelu_default", Image<3, 4, 5>, LeakyRelu<1>;
    plain: "node/test_leakyrelu_example", Features<3>, LeakyRelu<10>;
    plain: "pytorch-converted/test_LeakyReLU", Image<2, 1, 5>, LeakyRelu<1>;
    plain: "pytorch-converted/test_LeakyReLU_with_negval", Image<2, 1, 5>, LeakyRelu<50>;
    plain: "node/test_hardswish", Image<3, 4, 5>, HardSwish;
    plain: "node/test_sigmoid", Image<3, 4, 5>, Sigmoid;
    plain: "node/test_sigmoid_example", Features<3>, Sigmoid;
    plain: "pytorch-converted/test_Sigmoid", Image<3, 4, 5>, Sigmoid;
    plain: "node/test_tanh", Image<3, 4, 5>, Tanh;
    plain: "node/test_tanh_example", Features<3>, Tanh;
    plain: "pytorch-converted/test_Tanh", Image<3, 4, 5>, Tanh;
    identity: "node/test_dropout_default", Image<3, 4, 5>, Dropout<50>;
    identity: "node/test_dropout_default_mask", Image<3, 4, 5>, Dropout<50>;
    identity: "node/test_dropout_default_mask_ratio", Image<3, 4, 5>, Dropout<10>;
    identity: "node/test_dropout_default_old", Features<3>, Dropout<50>;
    identity: "node/test_dropout_default_ratio", Image<3, 4, 5>, Dropout<10>;
    identity: "node/test_dropout_random_old", Image<3, 4, 5>, Dropout<20>;

    cross_entropy: "node/test_sce_mean", Features<5>, Dense<5>;
    cross_entropy: "node/test_sce_mean_log_prob", Features<5>, Dense<5>;
    cross_entropy: "node/test_sce_none", Features<5>, Dense<5>;
    cross_entropy: "node/test_sce_none_log_prob", Features<5>, Dense<5>;
    cross_entropy: "node/test_sce_sum", Features<5>, Dense<5>;
    cross_entropy: "node/test_sce_sum_log_prob", Features<5>, Dense<5>;
};

fn text<N: Network>() -> String {
    let mut text = String::new();
    N::describe(&mut text).expect("a string is never full");
    text
}

/// The outputs for all samples in `inputs`, the same in both forms.
fn outputs<N: Network>(parameters: &[f32], inputs: &[f32]) -> Vec<f32> {
    fn run<N: Network, F: Form>(parameters: &[f32], inputs: &[f32]) -> Vec<f32> {
        let mut memory = vec![f32::NAN; Workspace::len::<N, F>(SHARD)];
        let mut workspace = Workspace::new::<N, F>(SHARD, &mut memory);
        let shard = |inputs: &[f32]| {
            let samples = inputs.len() / N::INPUT.len();
            let y = infer::<N, F>(parameters, inputs, samples, &mut workspace);
            let stride = F::columns(samples) * F::COLUMN;
            (0..samples).flat_map(|n| (0..N::OUTPUTS).map(move |o| y[o * stride + n])).collect::<Vec<_>>()
        };
        inputs.chunks(SHARD * N::INPUT.len()).flat_map(shard).collect()
    }
    assert_eq!(inputs.len() % N::INPUT.len(), 0, "whole samples");
    let found = run::<N, Scalar>(parameters, inputs);
    assert_eq!(bits(&found), bits(&run::<N, Samples<f32x8>>(parameters, inputs)));
    found
}

/// The parameters lie as the inputs behind the first; a bias that is missing is zero.
fn plain<N: Network>(node: &Node, vector: &Vector) -> Pairs {
    let mut parameters: Vec<f32> = node.inputs[1..].iter().flat_map(|tensor| tensor.floats()).copied().collect();
    if node.inputs.len() == 2 {
        parameters.resize(N::PARAMS, 0.0);
    }
    assert_eq!(parameters.len(), N::PARAMS);
    vec![(outputs::<N>(&parameters, node.inputs[0].floats()), vector.outputs[0].floats().to_vec())]
}

/// A layer that does nothing outside of training, whatever the inputs behind the first.
fn identity<N: Network>(node: &Node, vector: &Vector) -> Pairs {
    vec![(outputs::<N>(&[], node.inputs[0].floats()), vector.outputs[0].floats().to_vec())]
}

/// A matrix of `rows` × `columns`, turned.
fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| matrix[r * columns + c])).collect()
}

/// `A·B + C`: B is `[input][output]` unless `transB`, C one number or one for each output.
fn product<N: Network>(node: &Node, vector: &Vector) -> Pairs {
    let (inputs, width) = (N::INPUT.len(), N::OUTPUTS);
    let (a, b) = (node.inputs[0].floats(), node.inputs[1].floats());
    let a = if node.number("transA", 0.0) == 0.0 { a.to_vec() } else { transposed(a, inputs, a.len() / inputs) };
    let mut parameters = if node.number("transB", 0.0) == 0.0 { transposed(b, inputs, width) } else { b.to_vec() };
    let bias = node.inputs.get(2).map_or(&[0.0][..], |bias| bias.floats());
    parameters.extend(bias.iter().cycle().take(width));
    vec![(outputs::<N>(&parameters, &a), vector.outputs[0].floats().to_vec())]
}

/// Statistics of the batch: as the running ones of this batch alone, merged into others by ONNX's momentum, and in a training pass.
fn training<N: Network>(node: &Node, vector: &Vector) -> Pairs {
    let inputs = node.inputs[0].floats();
    let samples = inputs.len() / N::INPUT.len();
    let parameters: Vec<f32> = node.inputs[1..].iter().flat_map(|tensor| tensor.floats()).copied().collect();
    let mut measured = parameters.clone();
    let mut memory = vec![f32::NAN; Workspace::len::<N, Scalar>(samples)];
    estimate::<N, Scalar>(&mut measured, inputs, samples, 0, &mut Workspace::new::<N, Scalar>(samples, &mut memory));
    let expected = vector.outputs[0].floats();
    // The mean squared error of a training pass whose targets are what is expected.
    let batch = Batch { inputs, targets: Targets::Values(expected), samples };
    let (_, error) = gradient::<N, Samples<f32x8>>(&Population::NONE, &Loss::MeanSquaredError, 0, &parameters, &batch).expect("a loss");
    assert!(error < 1e-12, "{error}");
    let momentum = node.number("momentum", 0.9) as f32;
    let statistics = parameters.len() - N::STATISTICS;
    let merged: Vec<f32> =
        parameters.iter().zip(&measured).skip(statistics).map(|(old, new)| momentum * old + (1.0 - momentum) * new).collect();
    let (means, variances) = merged.split_at(N::STATISTICS / 2);
    vec![
        (outputs::<N>(&measured, inputs), expected.to_vec()),
        (means.to_vec(), vector.outputs[1].floats().to_vec()),
        (variances.to_vec(), vector.outputs[2].floats().to_vec()),
    ]
}

/// Mean, sum or all of the losses; and the logarithms of the probabilities by the gradient of the biases, sample by sample, which is
/// that of the logits: probabilities less the truth.
fn cross_entropy<N: Network>(node: &Node, vector: &Vector) -> Pairs {
    let (scores, labels) = (node.inputs[0].floats(), node.inputs[1].integers());
    let classes = N::OUTPUTS;
    let mut parameters = vec![0.0; N::PARAMS];
    (0..classes).for_each(|class| parameters[class * classes + class] = 1.0);
    let labels: Vec<u16> = labels.iter().map(|&label| label.try_into().expect("a class")).collect();
    let run = |inputs: &[f32], labels: &[u16]| {
        let batch = Batch { inputs, targets: Targets::Classes(labels), samples: labels.len() };
        let loss = Loss::CrossEntropy { label_smoothing: 0.0 };
        gradient::<N, Samples<f32x8>>(&Population::NONE, &loss, 0, &parameters, &batch).expect("a finite loss")
    };
    let (_, mean) = run(scores, &labels);
    let each: Vec<_> = scores.chunks(classes).zip(&labels).map(|(scores, &label)| run(scores, &[label])).collect();
    let losses = match node.word("reduction") {
        "none" => each.iter().map(|(_, loss)| *loss).collect(),
        "sum" => vec![each.iter().map(|(_, loss)| loss).sum()],
        _ => vec![mean],
    };
    let mut pairs = vec![(losses, vector.outputs[0].floats().to_vec())];
    if let Some(expected) = vector.outputs.get(1) {
        let logarithms = each.iter().zip(&labels).flat_map(|((gradient, _), &label)| {
            let biases = gradient[classes * classes..].iter().enumerate();
            biases.map(move |(class, g)| (g + f32::from(u8::from(class == usize::from(label)))).ln())
        });
        pairs.push((logarithms.collect(), expected.floats().to_vec()));
    }
    pairs
}

/// The largest error, relative to the largest number that is expected.
fn error(name: &str, pairs: &Pairs) -> f32 {
    let mut worst = 0.0f32;
    for (found, expected) in pairs {
        assert_eq!(found.len(), expected.len(), "{name}: as many outputs");
        let largest = expected.iter().fold(f32::MIN_POSITIVE, |most, e| most.max(e.abs()));
        for (&found, &expected) in found.iter().zip(expected) {
            let difference = (found - expected).abs();
            // What ONNX's own runner allows, and less.
            assert!(difference <= 1e-7 + 1e-3 * expected.abs(), "{name}: found {found}, expected {expected}");
            assert!(difference <= 2e-6 * largest, "{name}: found {found}, expected {expected}");
            worst = worst.max(difference / largest);
        }
    }
    worst
}

/// The line of a vector in the table, if it is of an operator of concern; an error when there is no such line.
fn line(directory: &Path, name: &str) -> Option<Result<String, String>> {
    // The same vectors, the operator written as several others.
    if name.ends_with("_expanded") {
        return None;
    }
    let vector = Vector::read(&directory.join(name))?;
    let of_concern = |node: &&Node| KNOWN.contains(&&*node.operator) || UNKNOWN.contains(&&*node.operator);
    let nodes: Vec<&Node> = vector.nodes.iter().filter(of_concern).collect();
    let moves = |node: &Node| ["Constant", "Squeeze", "Unsqueeze"].contains(&&*node.operator);
    let reason = match nodes[..] {
        [] => return None,
        [node] if vector.nodes.iter().filter(|node| !moves(node)).count() == 1 => reason(node),
        _ => Some("several operators in a row"),
    };
    let case = CASES.iter().find(|case| case.name == name);
    Some(match (case, reason) {
        (Some(case), None) => {
            let worst = error(name, &(case.run)(nodes[0], &vector));
            Ok(format!("| {name} | `{}` | {worst:.0e} |", (case.network)()))
        }
        (None, Some(reason)) => Ok(format!("| {name} | not offered: {reason} | |")),
        (Some(_), Some(reason)) => Err(format!("{name} is tested, but said not to be offered: {reason}")),
        (None, None) => Err(format!("{name}: {} is neither tested nor is there a reason why not", nodes[0].operator)),
    })
}

const HEADING: &str = "# Test vectors of ONNX

What `tests/onnx.rs` makes of the vectors in Debian's package `libonnx-testdata`, those of operators of pg's kind: the network that
computes them, or why none does. The error is the largest difference, relative to the largest expected number; 2e-6 is allowed.
Vectors whose name ends in `_expanded` are the same again and left out. Written by `PG_WRITE=1 cargo test --test onnx`.

| vector | network | error |
|---|---|---|
";

#[test]
fn layers_compute_the_vectors_of_onnx_or_there_is_a_reason_why_not() {
    let Some(directory) = vectors::directory() else {
        let reason = "skipped: the test vectors of ONNX: install Debian's package libonnx-testdata, or run `cargo xtask test`, which does";
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nothing is skipped in CI; {reason}");
        eprintln!("{reason}");
        return;
    };
    let names = vectors::names(directory, &["node", "pytorch-converted", "pytorch-operator"]);
    for case in CASES {
        assert!(names.iter().any(|name| name == case.name), "{} is not among the vectors", case.name);
    }
    let mut table = String::from(HEADING);
    let (lines, missing): (Vec<_>, Vec<_>) = names.iter().filter_map(|name| line(directory, name)).partition(Result::is_ok);
    assert!(missing.is_empty(), "{:#?}", missing.into_iter().filter_map(Result::err).collect::<Vec<_>>());
    for line in lines.into_iter().flatten() {
        writeln!(table, "{line}").expect("a string is never full");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/vectors.md");
    if std::env::var("PG_WRITE").as_deref() == Ok("1") {
        std::fs::write(&file, &table).expect("docs can be written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == table,
        "docs/vectors.md is not what this test finds: `PG_WRITE=1 cargo test --test onnx` writes it, then read the difference"
    );
}
