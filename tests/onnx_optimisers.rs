//! The optimisers against the node tests of ONNX's training operators (`ai.onnx.preview.training`), one step each.
//!
//! ONNX corrects Adam's bias in another place, so its vectors, all of step 0, hold the optimiser without that correction.

#[path = "support/onnx.rs"]
#[allow(dead_code, reason = "onnx.rs uses the rest")]
mod vectors;

use pg_core::f32x8;
use pg_core::optimiser::{Adagrad, Adam, Optimiser, Sgd};
use vectors::{Node, Vector};

/// The vectors, each with the numbers that an optimiser keeps for a parameter.
const VECTORS: [(&str, usize); 7] = [
    ("test_adagrad", 1),
    ("test_adagrad_multiple", 1),
    ("test_adam", 2),
    ("test_adam_multiple", 2),
    ("test_momentum", 1),
    ("test_momentum_multiple", 1),
    ("test_nesterov_momentum", 1),
];

/// The optimiser that a node describes.
fn optimiser(node: &Node) -> Optimiser {
    let number = |name, usual| node.number(name, usual) as f32;
    let weight_decay = number("norm_coefficient", 0.0);
    match &*node.operator {
        "Adagrad" => Optimiser::Adagrad(Adagrad { epsilon: number("epsilon", 0.0), weight_decay }),
        // `test_adam_multiple` names no ε; its numbers are those of 0.01.
        "Adam" => Optimiser::Adam(Adam {
            beta1: number("alpha", 0.9),
            beta2: number("beta", 0.999),
            epsilon: number("epsilon", 0.01),
            weight_decay,
            decoupled: false,
            bias_correction: false,
        }),
        "Momentum" => Optimiser::Sgd(Sgd { momentum: number("alpha", 0.0), nesterov: node.word("mode") == "nesterov", weight_decay }),
        other => panic!("{other} is no optimiser"),
    }
}

#[test]
fn a_step_of_every_optimiser_is_that_of_onnx() {
    let Some(directory) = vectors::directory() else {
        let reason = "skipped: the test vectors of ONNX: install Debian's package libonnx-testdata, or run `cargo xtask test`, which does";
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nothing is skipped in CI; {reason}");
        eprintln!("{reason}");
        return;
    };
    for (name, kept) in VECTORS {
        let Vector { nodes, outputs } = Vector::read(&directory.join("node").join(name)).expect("tensors");
        let [node] = &nodes[..] else { panic!("{name}: one node") };
        // The rate, the step, then the parameters of all tensors, their gradients, what is kept of each.
        let [rate, step, tensors @ ..] = &node.inputs[..] else { panic!("{name}: a rate and a step") };
        assert_eq!(step.integers(), [0], "{name}");
        let count = tensors.len() / (2 + kept);
        let optimiser = optimiser(node);
        assert_eq!((tensors.len(), outputs.len(), optimiser.slots()), (count * (2 + kept), count * (1 + kept), kept), "{name}");
        for i in 0..count {
            let numbers = |kind: usize| tensors[kind * count + i].floats();
            let mut theta = numbers(0).to_vec();
            let mut state: Vec<f32> = (2..2 + kept).flat_map(|kind| numbers(kind).to_vec()).collect();
            optimiser.step::<f32x8>(rate.floats()[0], 0, 0..theta.len(), numbers(1), &mut state, &mut theta);
            let expected = (0..1 + kept).flat_map(|kind| outputs[kind * count + i].floats().to_vec());
            for (found, expected) in theta.into_iter().chain(state).zip(expected) {
                assert!((found - expected).abs() <= 2e-6 * expected.abs().max(1.0), "{name}: {found} is not {expected}");
            }
        }
    }
}
