//! Times each layer of a network alone: its forward and its backward pass, samples in lanes, one thread.
//!
//! A pass goes through all layers in order and back, each with memory of its own, so that caches hold about what they hold in a step. What
//! belongs to no layer (noise, members, loss, optimiser, the sums of branches) is not timed. Nothing here judges what it measures.

use std::hint::black_box;
use std::time::Instant;

use pg_core::form::{Form, Samples};
use pg_core::layers::{Buffers, Draw, Layer, Mode, Pass, Visitor};
use pg_core::population::SHARD;
use pg_core::shape::Shaped;
use pg_core::{Network, Shape, Widest};

use crate::memory::Memory;

type Lanes = Samples<Widest>;

/// The layers of a network, ready to be timed.
pub struct Profile {
    stages: Vec<Stage>,
    /// Passes of the timed size in a batch.
    passes: f64,
}

/// One layer.
pub struct Stage {
    /// As its type is written in Rust.
    pub layer: String,
    /// The shape of its input.
    pub input: Shape,
    /// Multiply-adds of a batch, forward and backward.
    pub macs: [f64; 2],
    /// Seconds for a batch, forward and backward: the fastest of each round.
    pub rounds: Vec<[f64; 2]>,
    samples: usize,
    wants_input_gradient: bool,
    parameters: Memory,
    gradient: Memory,
    x: Memory,
    tape: Memory,
    dy: Memory,
    dx: Memory,
    scratch: Memory,
    forward: fn(&mut Stage),
    backward: fn(&mut Stage),
}

/// Makes a stage of each layer.
struct Stages {
    samples: usize,
    stages: Vec<Stage>,
}

impl Visitor for Stages {
    fn layer<In: Shaped, L: Layer<In>>(&mut self, wants_input_gradient: bool) {
        let element = Lanes::columns(self.samples) * Lanes::COLUMN;
        let memory = |elements: usize| {
            let mut memory = Memory::zeros(elements);
            memory.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 37 % 101) as f32 / 50.0 - 1.0);
            memory
        };
        let mut layer = String::new();
        L::describe(&mut layer).expect("a String takes any text");
        let widest = L::WIDTH.max(L::OUT.len()).max(In::SHAPE.len()) * element;
        let macs = (L::MACS * self.samples) as f64;
        let backward = if L::PARAMS > 0 { macs * if wants_input_gradient { 2.0 } else { 1.0 } } else { 0.0 };
        self.stages.push(Stage {
            layer,
            input: In::SHAPE,
            macs: [macs, backward],
            rounds: Vec::new(),
            samples: self.samples,
            wants_input_gradient,
            parameters: memory(L::PARAMS),
            gradient: Memory::zeros(L::PARAMS),
            x: memory(In::SHAPE.len() * element),
            tape: memory(L::TAPE * element),
            dy: memory(widest),
            dx: memory(widest),
            scratch: memory((L::SCRATCH + L::TRANSPOSED) * element),
            forward: forward::<In, L>,
            backward: backward_of::<In, L>,
        });
    }
}

/// The pass of a training step.
fn pass(samples: usize, wants_input_gradient: bool, input_rows: Option<&[f32]>) -> Pass<'_> {
    let draw = Draw { seed: 1, step: 0, member: 0, antithetic: true, first_sample: 0 };
    Pass { mode: Mode::Train(draw), adds: true, wants_input_gradient, input_rows, ..Pass::infer(samples, Lanes::columns(samples)) }
}

fn forward<In: Shaped, L: Layer<In>>(stage: &mut Stage) {
    let Stage { samples, parameters, x, tape, scratch, .. } = stage;
    L::forward::<Lanes>(&pass(*samples, true, None), parameters, x, tape, scratch);
}

fn backward_of<In: Shaped, L: Layer<In>>(stage: &mut Stage) {
    let Stage { samples, wants_input_gradient: wants, parameters, gradient, x, tape, dy, dx, scratch, .. } = stage;
    // Nobody asks a layer without parameters for what the input's gradient is not needed for.
    if *wants || L::PARAMS > 0 {
        // The first layer has its input sample by sample too.
        let rows = (!*wants).then_some(&x[..]);
        L::backward::<Lanes>(&pass(*samples, *wants, rows), parameters, x, tape, &mut Buffers { dy, dx }, scratch, gradient);
    }
}

impl Stage {
    /// What kind of layer it is: its name without its numbers.
    pub fn kind(&self) -> &str {
        self.layer.split('<').next().unwrap_or_default()
    }
}

impl Profile {
    /// The layers of `N` for a batch of `samples`.
    pub fn of<N: Network>(samples: usize) -> Self {
        let timed = if N::WHOLE_BATCH { samples } else { samples.min(SHARD) };
        let mut stages = Stages { samples: timed, stages: Vec::new() };
        N::visit(&mut stages);
        let passes = samples as f64 / timed as f64;
        stages.stages.iter_mut().for_each(|stage| stage.macs = stage.macs.map(|macs| macs * passes));
        Self { stages: stages.stages, passes }
    }

    /// The layers in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// A round: passes for about `seconds`.
    pub fn measure(&mut self, seconds: f64) {
        let mut fastest = vec![[f64::MAX; 2]; self.stages.len()];
        let (start, mut first) = (Instant::now(), true);
        while first || start.elapsed().as_secs_f64() < seconds {
            for (stage, [forward, _]) in self.stages.iter_mut().zip(&mut fastest) {
                // As in a step the layer before has just written it; in place it must not shrink to nothing.
                stage.x.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 101) as f32 / 50.0 - 1.0);
                *forward = timed(stage.forward, stage).min(*forward);
            }
            for (stage, [_, backward]) in self.stages.iter_mut().zip(&mut fastest).rev() {
                stage.dy.iter_mut().enumerate().for_each(|(i, dy)| *dy = (i % 103) as f32 / 5e4 - 1e-3);
                *backward = timed(stage.backward, stage).min(*backward);
            }
            first = false;
        }
        for (stage, fastest) in self.stages.iter_mut().zip(fastest) {
            stage.rounds.push(fastest.map(|seconds| seconds * self.passes));
        }
    }
}

/// Seconds that `run` takes.
fn timed(run: fn(&mut Stage), stage: &mut Stage) -> f64 {
    let start = Instant::now();
    run(black_box(stage));
    start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pg_core::zoo;

    #[test]
    fn the_layers_of_a_network_have_its_multiply_adds_together() {
        fn check<N: Network>() {
            let profile = Profile::of::<N>(3);
            let macs: f64 = profile.stages().iter().map(|stage| stage.macs[0] + stage.macs[1]).sum();
            assert_eq!(macs, 3.0 * N::TRAINING_MACS as f64);
        }
        check::<zoo::Lenet28>();
        check::<zoo::Mobilenet28>();
        check::<zoo::Resnet28>();
        check::<zoo::Shufflenet28>();
    }

    #[test]
    fn a_layer_of_every_branch_is_timed() {
        let mut profile = Profile::of::<zoo::Mobilenet28>(2);
        profile.measure(1e-6);
        let kinds = profile.stages().iter().filter(|stage| stage.kind() == "Depthwise2d").count();
        assert_eq!(kinds, 3);
        assert!(profile.stages().iter().all(|stage| stage.rounds.len() == 1 && stage.rounds[0][0] > 0.0));
    }
}
