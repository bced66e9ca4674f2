//! Which operators of ONNX pg computes, and in which variants: a reason for each that it does not. It computes nothing.

use crate::vectors::{Node, Numbers};

/// Operators that pg computes, in some of their variants at least.
pub const KNOWN: &[&str] = &[
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "Dropout",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSwish",
    "LayerNormalization",
    "LeakyRelu",
    "MaxPool",
    "Relu",
    "Sigmoid",
    "SoftmaxCrossEntropyLoss",
    "Tanh",
];
/// Operators of the same kinds that it does not.
pub const UNKNOWN: &[&str] = &[
    "Celu",
    "ConvInteger",
    "ConvTranspose",
    "Elu",
    "GRU",
    "HardSigmoid",
    "InstanceNormalization",
    "LRN",
    "LSTM",
    "MaxUnpool",
    "MeanVarianceNormalization",
    "NegativeLogLikelihoodLoss",
    "PRelu",
    "RNN",
    "Selu",
    "Softplus",
    "Softsign",
    "ThresholdedRelu",
];

/// Why pg does not compute a node, if so.
pub fn reason(node: &Node) -> Option<&'static str> {
    let operator = &*node.operator;
    let [first, rest @ ..] = &node.inputs[..] else { return Some("it has no input") };
    let odd_padding = |pads: &[i64]| pads[..pads.len() / 2] != pads[pads.len() / 2..];
    // What SAME adds in all, along an axis; half of an odd number is not the same on both sides.
    let same_padding = |axis: usize| {
        let size = first.shape[axis + 2] as i64;
        let (kernel, stride) = (node.row("kernel_shape")[axis], node.row("strides").get(axis).copied().unwrap_or(1));
        ((size + stride - 1) / stride - 1) * stride + kernel - size
    };
    let windowed = matches!(operator, "Conv" | "AveragePool" | "MaxPool");
    let same = node.word("auto_pad").starts_with("SAME");
    let normalises = matches!(operator, "BatchNormalization" | "LayerNormalization");
    let scaled = |name: &str| (node.number(name, 1.0) - 1.0).abs() > 1e-6;
    match () {
        () if UNKNOWN.contains(&operator) => Some("no such layer or loss"),
        () if !matches!(first.numbers, Numbers::Floats(_)) => Some("numbers of another type"),
        () if windowed && first.shape.len() > 4 => Some("three dimensions"),
        () if windowed && node.row("dilations").iter().any(|&by| by != 1) => Some("dilation"),
        () if windowed && odd_padding(node.row("pads")) => Some("other padding at the end than at the start"),
        () if windowed && same && (0..first.shape.len() - 2).any(|axis| same_padding(axis) % 2 != 0) => {
            Some("other padding at the end than at the start")
        }
        () if windowed && node.number("ceil_mode", 0.0) != 0.0 => Some("the last window hangs over (`ceil_mode`)"),
        () if node.number("count_include_pad", 0.0) != 0.0 => Some("padding counts in the mean (`count_include_pad`)"),
        () if normalises && (node.number("epsilon", 1e-5) - 1e-5).abs() > 1e-9 => Some("another ε than 1e-5"),
        () if operator == "Gemm" && (scaled("alpha") || scaled("beta")) => Some("factors before product or bias"),
        () if operator == "Gemm" && rest.len() > 1 && rest[1].shape.len() == 2 && rest[1].shape[0] > 1 => Some("a bias for each sample"),
        () if operator == "Dropout" && rest.len() > 1 => Some("masks of another generator"),
        () if operator == "SoftmaxCrossEntropyLoss" && first.shape.len() > 2 => Some("a class for each place, not for each sample"),
        () if operator == "SoftmaxCrossEntropyLoss" && rest.len() > 1 => Some("weights of classes"),
        () if node.attributes.contains_key("ignore_index") => Some("an ignored class"),
        () => None,
    }
}
