//! What is said: requests of the host, replies of the device. Long parts are borrowed from the frame; nothing is copied.
//!
//! The order of variants and fields is the protocol: a change of it, or of a type, is another [`VERSION`](super::VERSION). New requests go to
//! the end.

use serde::{Deserialize, Serialize};

use super::Refusal;
use super::refusal::Form;
use crate::floats::Floats;

/// What the host asks for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Open a session: [`Reply::Hello`]. The first request of a host.
    Hello,
    /// A row of the memory plan, from 0: [`Reply::Plan`].
    Plan {
        /// Which.
        row: u16,
    },
    /// The class of a sample: [`Reply::Inferred`].
    Infer {
        /// As raw as the data set has it.
        #[serde(borrow)]
        sample: Sample<'a>,
    },
    /// Keep a sample to learn from: [`Reply::Done`], when it is where a power cut does not reach it.
    Label {
        /// Its class, from 0.
        label: u16,
        /// As raw as the data set has it.
        #[serde(borrow)]
        sample: Sample<'a>,
    },
    /// Tune: [`Reply::Done`] at once, with the step at which it begins; then [`Request::Status`] tells how far it is.
    Tune {
        /// Steps of the optimiser.
        steps: u32,
        /// From now on; without them those of the last time.
        options: Option<Options>,
    },
    /// End tuning after the step at hand: [`Reply::Done`].
    Stop,
    /// Score the samples on the device: [`Reply::Evaluated`].
    Evaluate {
        /// Which.
        part: Part,
    },
    /// What the device does: [`Reply::Status`].
    Status,
    /// Begin to pull the parameters: [`Reply::Parameters`].
    Parameters,
    /// A piece of the parameters: [`Reply::Piece`].
    Pull {
        /// From [`Reply::Parameters`]; when it is another by now, the pull must begin anew.
        generation: u32,
        /// The first byte.
        offset: u32,
        /// How many.
        bytes: u32,
    },
    /// Begin to push parameters, or go on after a break: [`Reply::Pushed`] says from where.
    BeginPush {
        /// Of the network that they are for.
        fingerprint: u64,
        /// All of them.
        bytes: u32,
        /// CRC-32 of them all.
        crc: u32,
    },
    /// The next piece: [`Reply::Pushed`].
    Push {
        /// Its first byte: as many as the device has.
        offset: u32,
        /// Little-endian `f32`s, or a part of them.
        bytes: &'a [u8],
    },
    /// All was pushed: the parameters take effect, all of them or none: [`Reply::Done`].
    EndPush,
    /// Keep everything beyond a power cut: [`Reply::Saved`].
    Save,
    /// Go back to the best parameters: [`Reply::Done`].
    RollBack,
    /// Forget everything since the factory: [`Reply::Done`].
    Reset,
    /// Run the known samples: [`Reply::Tested`].
    SelfTest,
    /// Forget the oldest samples, to make room: [`Reply::Done`].
    Forget {
        /// How many.
        samples: u32,
    },
}

/// A raw sample, one value for each input of the network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Sample<'a> {
    /// Whole numbers from 0 to 255.
    U8(&'a [u8]),
    /// Whole numbers from -128 to 127, each the byte of its two's complement.
    I8(&'a [u8]),
    /// Floating-point numbers.
    F32(#[serde(borrow)] Floats<'a>),
}

impl<'a> Sample<'a> {
    /// How many values there are.
    pub const fn len(&self) -> usize {
        match self {
            Sample::U8(bytes) | Sample::I8(bytes) => bytes.len(),
            Sample::F32(floats) => floats.len(),
        }
    }

    /// True when there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the values are.
    pub const fn form(&self) -> Form {
        match self {
            Sample::U8(_) => Form::U8,
            Sample::I8(_) => Form::I8,
            Sample::F32(_) => Form::F32,
        }
    }

    /// Value `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<f32> {
        match self {
            Sample::U8(bytes) => bytes.get(index).map(|&byte| f32::from(byte)),
            Sample::I8(bytes) => bytes.get(index).map(|&byte| f32::from(byte as i8)),
            Sample::F32(floats) => floats.get(index),
        }
    }

    /// The values in order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        let sample = *self;
        // `get` is within bounds for every index below `len`.
        (0..sample.len()).map(move |i| sample.get(i).unwrap_or_default())
    }

    /// Whether this is a sample for a network of so many inputs.
    ///
    /// # Errors
    /// [`Refusal::SampleLength`], [`Refusal::NotFinite`].
    pub fn check(&self, inputs: usize) -> Result<(), Refusal> {
        if self.len() != inputs {
            return Err(Refusal::SampleLength { found: self.len() as u32, expected: inputs as u32 });
        }
        if self.values().all(f32::is_finite) { Ok(()) } else { Err(Refusal::NotFinite) }
    }
}

/// How the device tunes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The learning rate.
    pub rate: f32,
    /// In [0, 1).
    pub momentum: f32,
    /// The factor of ‖θ‖²/2 in the loss.
    pub weight_decay: f32,
    /// K: members of the population; 0 is plain gradient descent.
    pub population: u32,
    /// ρ: the norm of a filter's noise, relative to the norm of the filter.
    pub rho: f32,
    /// The distribution of the noise.
    pub noise: Noise,
    /// Whether members come in pairs θ+ε, θ-ε.
    pub antithetic: bool,
    /// Samples in a step.
    pub batch: u16,
    /// Which layers with parameters are trained: bit i stands for the i-th.
    pub layers: u64,
    /// Of these only biases and gains.
    pub biases: bool,
    /// Every n-th sample of a class is held out; 0 holds out none.
    pub hold_out: u32,
    /// Steps between two looks at the held-out samples.
    pub look_every: u32,
    /// Looks in a row without a lower loss after which tuning stops; 0 never stops for this.
    pub patience: u32,
    /// The seed of all random numbers.
    pub seed: u64,
}

impl Options {
    /// Those of `pg-host replay`; tuning never stops by itself.
    pub const DEFAULT: Self = Self {
        rate: 0.05,
        momentum: 0.9,
        weight_decay: 0.0,
        population: 4,
        rho: 0.3,
        noise: Noise::Rademacher,
        antithetic: true,
        batch: 8,
        layers: u64::MAX,
        biases: false,
        hold_out: 0,
        look_every: 10,
        patience: 0,
        seed: 1,
    };
}

/// The distribution of a member's noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Noise {
    /// Standard normals.
    Gaussian,
    /// Random signs.
    Rademacher,
    /// The product of two vectors of random signs for each layer.
    RankOne,
}

/// Which samples on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Those that it learns from.
    Learnt,
    /// Those that it only looks at.
    HeldOut,
    /// All.
    All,
}

/// What the device answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// The request was not carried out.
    Refused(Refusal),
    /// Who the device is.
    Hello(#[serde(borrow)] Hello<'a>),
    /// A row of the memory plan.
    Plan {
        /// What the memory is for.
        name: &'a str,
        /// How much.
        bytes: u32,
    },
    /// The outputs for a sample.
    Inferred {
        /// The greatest, the first of equal ones.
        class: u16,
        /// One for each class.
        #[serde(borrow)]
        logits: Floats<'a>,
    },
    /// It was done.
    Done {
        /// Steps that tuning had made when this took effect: what a replay needs to know.
        step: u32,
    },
    /// Scores.
    Evaluated {
        /// Samples.
        samples: u32,
        /// Samples of which the class was right.
        right: u32,
        /// The mean loss, in nats.
        loss_nats: f32,
    },
    /// What the device does.
    Status(Status),
    /// The parameters as a whole.
    Parameters {
        /// Another whenever they have changed.
        generation: u32,
        /// All of them.
        bytes: u32,
        /// CRC-32 of them all.
        crc: u32,
    },
    /// A piece of the parameters.
    Piece {
        /// Its first byte.
        offset: u32,
        /// Little-endian `f32`s, or a part of them.
        bytes: &'a [u8],
    },
    /// How far a push has come.
    Pushed {
        /// Bytes that the device has.
        bytes: u32,
    },
    /// The state is in flash.
    Saved {
        /// The number of the state, one more each time.
        sequence: u32,
    },
    /// The known samples were run.
    Tested {
        /// Samples whose logits had the right bits.
        passed: u32,
        /// Samples.
        of: u32,
    },
}

/// Who a device is, and what it can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// The board, and the firmware with its version.
    pub firmware: &'a str,
    /// [`Network::fingerprint`](crate::Network::fingerprint).
    pub fingerprint: u64,
    /// [`checksum`](crate::model_file::checksum) of the model file that it was built with: what a replay begins with.
    pub model_crc: u32,
    /// Values of a sample: channels, height, width.
    pub input: (u32, u32, u32),
    /// Outputs.
    pub classes: u16,
    /// Parameters.
    pub params: u32,
    /// What samples are kept as.
    pub form: Form,
    /// The most samples that it keeps.
    pub samples: u32,
    /// Rows of the memory plan.
    pub plan_rows: u16,
    /// The longest message that it takes, in bytes: filled in by the server.
    pub largest_request: u32,
    /// The longest message that it sends, in bytes: filled in by the server.
    pub largest_reply: u32,
}

/// What a device does and has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// What it does.
    pub activity: Activity,
    /// Steps that tuning has made.
    pub step: u32,
    /// Steps still to be made.
    pub steps_left: u32,
    /// Samples that it keeps.
    pub samples: u32,
    /// Of which it only looks at so many.
    pub held_out: u32,
    /// The mean loss of the last step's batch over the members, in nats; not a number before the first.
    pub loss_nats: f32,
    /// The lowest mean loss on the held-out samples, in nats; infinite before the first look.
    pub best_loss_nats: f32,
    /// The step after which it was found.
    pub best_step: u32,
    /// The state in flash with which it would start again; 0 is the factory's.
    pub saved: u32,
    /// Another whenever the parameters have changed.
    pub generation: u32,
    /// Frames that were dropped, damaged or too long: filled in by the server.
    pub dropped: u32,
}

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activity {
    /// It waits.
    Idle,
    /// It tunes.
    Tuning,
    /// It waits, because the loss on the held-out samples fell no more.
    Stopped,
    /// It waits, because the loss was no finite number any more.
    Diverged,
}
