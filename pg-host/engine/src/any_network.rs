//! A network behind a trait object, so that the program holds a list of them and is compiled once for all.
//!
//! It tells a network's sizes, makes its first parameters, its outputs and its [`Engine`]; it owns no memory and reads no file.

use std::marker::PhantomData;

use pg_core::floats::Floats;
use pg_core::form::{Form, Samples, Scalar};
use pg_core::initialise::Initialise;
use pg_core::layers::{Leaves, Segment};
use pg_core::model_file::{Model, ModelError};
use pg_core::network::{Foldable, Folded};
use pg_core::perturbation::mirror;
use pg_core::population::{Population, SHARD, Workspace, estimate, infer};
use pg_core::tuner::TuneError;
use pg_core::{Network, Shape, Widest};

use crate::engine::{Engine, Task};
use crate::memory::Memory;
use crate::profile::Profile;
use crate::session::{Session, Tuned};

/// Samples of a training step on a device, for [`Sizes::training_ram_bytes`].
pub const DEVICE_BATCH: usize = 8;

/// The sizes of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// The shape of an input sample.
    pub input: Shape,
    /// Outputs: classes.
    pub outputs: usize,
    /// Parameters, running statistics included.
    pub params: usize,
    /// Parameters that are running statistics: measured, not trained.
    pub statistics: usize,
    /// Multiply-adds of a forward pass for one sample.
    pub macs: usize,
    /// Multiply-adds of a training pass for one sample: [`Network::TRAINING_MACS`].
    pub training_macs: usize,
    /// On a device: the parameters, copied from flash, and the activations of one sample.
    pub inference_ram_bytes: usize,
    /// The same with batch norms folded into the weights before them: [`Folded`].
    pub folded_inference_ram_bytes: usize,
    /// On a device: parameters, gradient, velocity, one member, noise scales, and a pass over [`DEVICE_BATCH`] samples.
    pub training_ram_bytes: usize,
}

/// What the program needs of a network.
pub trait AnyNetwork: Send + Sync {
    /// Its sizes.
    fn sizes(&self) -> Sizes;

    /// Its type as it is written in Rust.
    fn text(&self) -> String;

    /// [`Network::fingerprint`].
    fn fingerprint(&self) -> u64;

    /// The ranges of its parameters.
    fn segments(&self) -> Vec<Segment>;

    /// Its first parameters.
    fn initialise(&self, how: Initialise, seed: u64) -> Memory;

    /// The parameters in a model file of this network.
    ///
    /// # Errors
    /// When the model is another network's.
    fn parameters(&self, model: &Model) -> Result<Memory, ModelError>;

    /// Measures the running statistics among the parameters on normalised inputs, batch by batch; does nothing without such.
    ///
    /// # Panics
    /// When there are not as many parameters, or no whole number of samples.
    fn estimate(&self, parameters: &mut [f32], inputs: &[f32], batch: usize);

    /// The outputs for normalised inputs, `[sample][output]`.
    ///
    /// # Panics
    /// When there are not as many parameters, or no whole number of samples.
    fn logits(&self, parameters: &[f32], inputs: &[f32]) -> Vec<f32>;

    /// The same with batch norms folded into the weights before them: what a device with a [`Folded`] network gives.
    ///
    /// # Panics
    /// When there are not as many parameters, or no whole number of samples.
    fn folded_logits(&self, parameters: &[f32], inputs: &[f32]) -> Vec<f32>;

    /// The layers, to be timed in a training step of `samples`.
    fn profile(&self, samples: usize) -> Profile;

    /// The engine of a training run.
    fn engine(&self, task: Task) -> Box<dyn Engine>;

    /// What makes the members of a step and drops them, as one thread makes them: to measure what noise costs.
    fn make_members(&self, population: Population, seed: u64) -> MakeMembers;

    /// Its layers with parameters.
    fn leaves(&self) -> Leaves;

    /// Runs a fine-tuning session as a device does.
    ///
    /// # Errors
    /// When the tuner refuses the settings or a sample.
    fn tune(&self, session: &Session) -> Result<Tuned, TuneError>;
}

/// Makes the members of a step around the parameters.
pub type MakeMembers = Box<dyn FnMut(u32, &[f32])>;

/// The one implementation: a type as a value.
pub(crate) struct Known<N>(pub(crate) PhantomData<fn() -> N>);

impl<N: Foldable> AnyNetwork for Known<N> {
    fn sizes(&self) -> Sizes {
        let training = 4 * N::PARAMS + N::FILTERS + Workspace::len::<N, Scalar>(DEVICE_BATCH);
        Sizes {
            input: N::INPUT,
            outputs: N::OUTPUTS,
            params: N::PARAMS,
            statistics: N::STATISTICS,
            macs: N::MACS,
            training_macs: N::TRAINING_MACS,
            inference_ram_bytes: inference_ram_bytes::<N>(),
            folded_inference_ram_bytes: inference_ram_bytes::<Folded<N>>(),
            training_ram_bytes: training * size_of::<f32>(),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        N::describe(&mut text).expect("a String takes any text");
        text
    }

    fn fingerprint(&self) -> u64 {
        N::fingerprint()
    }

    fn segments(&self) -> Vec<Segment> {
        let mut segments = Vec::new();
        N::segments(&mut |segment| segments.push(segment));
        segments
    }

    fn initialise(&self, how: Initialise, seed: u64) -> Memory {
        let mut parameters = Memory::zeros(N::PARAMS);
        how.write::<N>(seed, &mut parameters);
        parameters
    }

    fn parameters(&self, model: &Model) -> Result<Memory, ModelError> {
        model.check::<N>()?;
        let mut parameters = Memory::zeros(N::PARAMS);
        model.parameters_into::<N>(&mut parameters)?;
        Ok(parameters)
    }

    fn estimate(&self, parameters: &mut [f32], inputs: &[f32], batch: usize) {
        type F = Samples<Widest>;
        if N::STATISTICS == 0 {
            return;
        }
        assert_eq!((parameters.len(), inputs.len() % N::INPUT.len()), (N::PARAMS, 0));
        let mut memory = Memory::zeros(Workspace::len::<N, F>(batch));
        let mut workspace = Workspace::new::<N, F>(batch, &mut memory);
        let mut seen = 0;
        for inputs in inputs.chunks(batch * N::INPUT.len()) {
            let samples = inputs.len() / N::INPUT.len();
            estimate::<N, F>(parameters, inputs, samples, seen, &mut workspace);
            seen += samples;
        }
    }

    fn logits(&self, parameters: &[f32], inputs: &[f32]) -> Vec<f32> {
        logits::<N>(parameters, inputs)
    }

    fn folded_logits(&self, parameters: &[f32], inputs: &[f32]) -> Vec<f32> {
        let mut folded = Memory::zeros(<Folded<N> as Network>::PARAMS);
        <Folded<N> as Network>::load(Floats::new(parameters), &mut folded);
        logits::<Folded<N>>(&folded, inputs)
    }

    fn profile(&self, samples: usize) -> Profile {
        Profile::of::<N>(samples)
    }

    fn engine(&self, task: Task) -> Box<dyn Engine> {
        task.engine::<N>()
    }

    fn make_members(&self, population: Population, seed: u64) -> MakeMembers {
        let (mut scales, mut member) = (Memory::zeros(N::FILTERS), Memory::zeros(N::PARAMS));
        Box::new(move |step, parameters| {
            population.noise.scales::<N, Widest>(parameters, &mut scales);
            let factored = population.noise.is_factored::<N>();
            for (pair, second) in (0..population.members).map(|member| population.place(member)) {
                if factored {
                    let stream = population.stream(seed, step, pair);
                    population.noise.factors::<N, Widest>(&stream, &scales, second, 1, &mut member);
                } else if second {
                    mirror::<Widest>(parameters, &mut member);
                } else {
                    let stream = population.stream(seed, step, pair);
                    population.noise.perturb::<N, Widest>(&stream, parameters, &scales, &mut member);
                }
            }
        })
    }

    fn leaves(&self) -> Leaves {
        N::LEAVES
    }

    fn tune(&self, session: &Session) -> Result<Tuned, TuneError> {
        session.run::<N>()
    }
}

/// Parameters and the activations of one sample.
const fn inference_ram_bytes<N: Network>() -> usize {
    (N::PARAMS + N::TAPE + N::SCRATCH) * size_of::<f32>()
}

/// The outputs for normalised inputs, `[sample][output]`.
fn logits<N: Network>(parameters: &[f32], inputs: &[f32]) -> Vec<f32> {
    type F = Samples<Widest>;
    assert_eq!((parameters.len(), inputs.len() % N::INPUT.len()), (N::PARAMS, 0));
    let samples = inputs.len() / N::INPUT.len();
    let mut memory = Memory::zeros(Workspace::len::<N, F>(samples.min(SHARD)));
    let mut workspace = Workspace::new::<N, F>(samples.min(SHARD), &mut memory);
    let mut logits = Vec::with_capacity(samples * N::OUTPUTS);
    for shard in inputs.chunks(SHARD * N::INPUT.len()) {
        let count = shard.len() / N::INPUT.len();
        let stride = <F as Form>::columns(count) * <F as Form>::COLUMN;
        let outputs = infer::<N, F>(parameters, shard, count, &mut workspace);
        logits.extend((0..count).flat_map(|n| (0..N::OUTPUTS).map(move |o| outputs[o * stride + n])));
    }
    logits
}
