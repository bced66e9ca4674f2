//! A network behind a trait object, so that the program holds a list of them and is compiled once for all.
//!
//! It tells a network's sizes, makes its first parameters, its outputs and its [`Engine`]; it owns no memory and reads no file.

use std::marker::PhantomData;
use std::ops::Range;

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

use crate::engine::{Crew, Engine, Task};
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

    /// Measures the running statistics among the parameters on normalised inputs, batch by batch; does nothing without such. The threads of the crew
    /// share each pass.
    ///
    /// # Panics
    /// When there are not as many parameters, or no whole number of samples.
    fn estimate(&self, crew: &Crew, parameters: &mut [f32], inputs: &[f32], batch: usize);

    /// The outputs for normalised inputs, `[sample][output]`; each thread of the crew computes those of some samples.
    ///
    /// # Panics
    /// When there are not as many parameters, or no whole number of samples.
    fn logits(&self, crew: &Crew, parameters: &[f32], inputs: &[f32]) -> Vec<f32>;

    /// The same with batch norms folded into the weights before them: what a device with a [`Folded`] network gives.
    ///
    /// # Panics
    /// When there are not as many parameters, or no whole number of samples.
    fn folded_logits(&self, crew: &Crew, parameters: &[f32], inputs: &[f32]) -> Vec<f32>;

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

    fn estimate(&self, crew: &Crew, parameters: &mut [f32], inputs: &[f32], batch: usize) {
        type F = Samples<Widest>;
        if N::STATISTICS == 0 {
            return;
        }
        assert_eq!((parameters.len(), inputs.len() % N::INPUT.len()), (N::PARAMS, 0));
        let mut memory = Memory::zeros(Workspace::len_shared::<N, F>(batch, crew.threads()));
        let mut workspace = crew.workspace::<N, F>(batch, &mut memory);
        let mut seen = 0;
        for inputs in inputs.chunks(batch * N::INPUT.len()) {
            let samples = inputs.len() / N::INPUT.len();
            estimate::<N, F>(parameters, inputs, samples, seen, &mut workspace);
            seen += samples;
        }
    }

    fn logits(&self, crew: &Crew, parameters: &[f32], inputs: &[f32]) -> Vec<f32> {
        logits::<N>(crew, parameters, inputs)
    }

    fn folded_logits(&self, crew: &Crew, parameters: &[f32], inputs: &[f32]) -> Vec<f32> {
        let mut folded = Memory::zeros(<Folded<N> as Network>::PARAMS);
        <Folded<N> as Network>::load(Floats::new(parameters), &mut folded);
        logits::<Folded<N>>(crew, &folded, inputs)
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
fn logits<N: Network>(crew: &Crew, parameters: &[f32], inputs: &[f32]) -> Vec<f32> {
    assert_eq!((parameters.len(), inputs.len() % N::INPUT.len()), (N::PARAMS, 0));
    let samples = inputs.len() / N::INPUT.len();
    let mut logits = vec![0.0; samples * N::OUTPUTS];
    let mut rest = &mut logits[..];
    let cut = |range: Range<usize>| {
        let logits = rest.split_off_mut(..range.len() * N::OUTPUTS).expect("outputs of all samples");
        (&inputs[range.start * N::INPUT.len()..range.end * N::INPUT.len()], logits)
    };
    crew.divide(samples, SHARD, cut, |(inputs, logits)| write_logits::<N>(parameters, inputs, logits));
    logits
}

/// One thread's part of them.
fn write_logits<N: Network>(parameters: &[f32], inputs: &[f32], logits: &mut [f32]) {
    type F = Samples<Widest>;
    let most = SHARD.min(inputs.len() / N::INPUT.len());
    let mut memory = Memory::zeros(Workspace::len::<N, F>(most));
    let mut workspace = Workspace::new::<N, F>(most, &mut memory);
    for (inputs, logits) in inputs.chunks(SHARD * N::INPUT.len()).zip(logits.chunks_mut(SHARD * N::OUTPUTS)) {
        let count = inputs.len() / N::INPUT.len();
        let stride = <F as Form>::columns(count) * <F as Form>::COLUMN;
        let outputs = infer::<N, F>(parameters, inputs, count, &mut workspace);
        for (n, logits) in logits.chunks_exact_mut(N::OUTPUTS).enumerate() {
            logits.iter_mut().enumerate().for_each(|(o, logit)| *logit = outputs[o * stride + n]);
        }
    }
}

#[cfg(test)]
mod tests {
    use pg_core::layers::{BatchNorm, Conv2d, Dense, Relu};
    use pg_core::{Image, Sequential};

    use super::*;

    #[test]
    fn outputs_and_running_statistics_do_not_depend_on_the_threads() {
        type N = Sequential<Image<1, 20, 20>, (Conv2d<8, 3>, BatchNorm, Relu, Dense<40>, BatchNorm, Relu, Dense<5>)>;
        let network = Known::<N>(PhantomData);
        for samples in [1, 3, 64, 200] {
            let inputs: Vec<f32> = (0..samples * 400).map(|i| (i % 97) as f32 / 50.0 - 0.9).collect();
            let of = |threads| {
                let crew = Crew::new(threads).unwrap();
                let mut parameters = network.initialise(Initialise::AUTO, 3);
                network.estimate(&crew, &mut parameters, &inputs, 50);
                let all =
                    [network.logits(&crew, &parameters, &inputs), network.folded_logits(&crew, &parameters, &inputs), parameters.to_vec()];
                all.map(|numbers| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
            };
            let one = of(1);
            assert_eq!((one[0].len(), one[1].len()), (5 * samples, 5 * samples));
            for threads in [2, 3, 8] {
                assert!(of(threads) == one, "{samples} samples, {threads} threads");
            }
        }
    }
}
