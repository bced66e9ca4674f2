//! Optimisers and schedules against PyTorch's, whose numbers are those of `tests/data/torch_optimisers.py`. (`onnx_optimisers.rs` has ONNX's.)

use pg_core::f32x8;
use pg_core::optimiser::{Adagrad, Adam, Optimiser, Rmsprop, Sgd};
use pg_core::schedule::{Course, Schedule};

const ADAM: Adam = Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, decoupled: false, bias_correction: true };

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len());
    for (&found, &expected) in found.iter().zip(expected) {
        assert!((f64::from(found) - expected).abs() <= tolerance, "{what}: {found} is not {expected}");
    }
}

#[test]
fn twelve_steps_end_where_those_of_pytorch_end() {
    const COUNT: usize = 5;
    let cases: [(Optimiser, f32, [f64; COUNT]); 8] = [
        (
            Optimiser::Sgd(Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.01 }),
            0.1,
            [-0.431669021008, -0.221742953916, -0.012637362089, 0.197152849787, 0.543622857973],
        ),
        (
            Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.01 }),
            0.1,
            [-0.373595729947, -0.347039078968, 0.095858322881, 0.132118497040, 0.718050960660],
        ),
        (
            Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.01 }),
            0.1,
            [-0.319341074976, -0.307193781907, 0.073137113386, 0.092199404150, 0.737042549891],
        ),
        (
            Optimiser::Rmsprop(Rmsprop { smoothing: 0.99, momentum: 0.0, epsilon: 1e-8, weight_decay: 0.01 }),
            0.01,
            [-0.418801802791, -0.190189808685, -0.050516456816, 0.180128509502, 0.586046056257],
        ),
        (
            Optimiser::Rmsprop(Rmsprop { smoothing: 0.99, momentum: 0.9, epsilon: 1e-8, weight_decay: 0.01 }),
            0.01,
            [-0.166127239251, -0.053498244565, -0.253869050997, -0.086090779146, 1.044559897386],
        ),
        (
            Optimiser::Adagrad(Adagrad { epsilon: 1e-10, weight_decay: 0.01 }),
            0.1,
            [-0.419841455464, -0.191392641152, -0.050265507362, 0.180568681201, 0.585733825646],
        ),
        (Optimiser::Adam(ADAM), 0.01, [-0.483534244514, -0.252936120204, -0.003257603577, 0.232588317660, 0.522394928489]),
        (
            Optimiser::Adam(Adam { decoupled: true, ..ADAM }),
            0.01,
            [-0.484157716543, -0.253286552976, -0.003268730026, 0.232925256088, 0.523089480404],
        ),
    ];
    for (optimiser, rate, expected) in cases {
        let mut theta: Vec<f32> = (0..COUNT).map(|i| (i as f32 - 2.0) / 4.0).collect();
        let mut state = vec![0.0; optimiser.slots() * COUNT];
        for step in 0..12 {
            let gradient: Vec<f32> = (0..COUNT as u32).map(|i| ((7 * step + 3 * i) % 11) as f32 / 8.0 - 0.625).collect();
            optimiser.step::<f32x8>(rate, step, 0..COUNT, &gradient, &mut state, &mut theta);
        }
        assert_close(&theta, &expected, 2e-6, &format!("{optimiser:?}"));
    }
}

#[test]
#[allow(clippy::approx_constant, reason = "numbers of a table")]
fn rates_are_those_of_pytorch() {
    let cases: [(Course, f32, u32, &[f64]); 5] = [
        (
            Course::Step { factor: 0.5, every: 0.3 },
            0.0,
            20,
            &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125],
        ),
        (
            Course::Exponential { end: 0.099212566 },
            0.0,
            20,
            &[
                1.0,
                0.890898718,
                0.793700526,
                0.707106781,
                0.629960525,
                0.561231024,
                0.5,
                0.445449359,
                0.396850263,
                0.353553391,
                0.314980262,
                0.280615512,
                0.25,
                0.22272468,
                0.198425131,
                0.176776695,
                0.157490131,
                0.140307756,
                0.125,
                0.11136234,
            ],
        ),
        (
            Course::Cosine,
            0.0,
            20,
            &[
                1.0,
                0.99384417,
                0.975528258,
                0.945503262,
                0.904508497,
                0.853553391,
                0.793892626,
                0.72699525,
                0.654508497,
                0.578217233,
                0.5,
                0.421782767,
                0.345491503,
                0.27300475,
                0.206107374,
                0.146446609,
                0.095491503,
                0.054496738,
                0.024471742,
                0.00615583,
            ],
        ),
        (
            Course::OneCycle,
            0.0,
            21,
            &[
                0.04,
                0.121885271,
                0.339602761,
                0.618869737,
                0.864403483,
                0.992430677,
                0.994415435,
                0.967362356,
                0.919044376,
                0.851659966,
                0.768275115,
                0.672683836,
                0.569235533,
                0.462637103,
                0.357738776,
                0.259313427,
                0.171839409,
                0.099296792,
                0.044986264,
                0.011378956,
            ],
        ),
        (
            Course::Cosine,
            0.15,
            20,
            &[
                0.25,
                0.5,
                0.75,
                1.0,
                0.99148655,
                0.966236115,
                0.925108568,
                0.869504459,
                0.801317318,
                0.722869178,
                0.636831495,
                0.54613418,
                0.45386582,
                0.363168505,
                0.277130822,
                0.198682682,
                0.130495541,
                0.074891432,
                0.033763885,
                0.00851345,
            ],
        ),
    ];
    for (course, warmup, steps, expected) in cases {
        let schedule = Schedule { course, warmup };
        let found: Vec<f32> = (0..expected.len() as u32).map(|step| schedule.factor(step, steps)).collect();
        assert_close(&found, expected, 1e-6, &format!("{schedule:?}"));
    }
}
