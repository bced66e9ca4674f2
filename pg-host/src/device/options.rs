//! What `device` is asked for.

use std::path::PathBuf;

use pg_core::link::{self, Options};

use crate::failure::Failure;
use crate::options::{DataOptions, Part};

/// `device`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceOptions {
    /// `tcp:HOST:PORT` or a serial port.
    pub port: String,
    /// Bits a second of a serial port.
    pub baud: u32,
    /// Print JSON.
    pub json: bool,
    /// The file to which commands that change the device are added.
    pub record: Option<PathBuf>,
    /// What to do.
    pub action: Action,
}

/// What to do with a device.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Say who it is.
    Info,
    /// Have it classify samples.
    Infer(Picked),
    /// Give it samples to learn from.
    Label(Picked),
    /// Have it tune.
    Tune {
        /// Steps.
        steps: u32,
        /// From now on.
        options: Option<Options>,
    },
    /// End tuning.
    Stop,
    /// Score the samples on it.
    Eval(link::Part),
    /// Write its parameters to a model file.
    Pull {
        /// A model file of the same network, for names and normalisation.
        model: PathBuf,
        /// The file to write.
        out: PathBuf,
    },
    /// Give it the parameters of a model file.
    Push(PathBuf),
    /// Keep its state beyond a power cut.
    Save,
    /// Back to its best parameters.
    RollBack,
    /// Forget the oldest samples.
    Forget(u32),
    /// Back to the factory's state.
    Reset,
    /// Run its known samples.
    SelfTest,
    /// Show what it does until it does nothing.
    Monitor,
}

/// Samples of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Picked {
    /// Which data.
    pub data: DataOptions,
    /// The model that the device runs: labels are its classes, found by name. Without it they are numbered as in the data.
    pub model: Option<PathBuf>,
    /// Which part.
    pub part: Part,
    /// How many to leave out first.
    pub skip: usize,
    /// The most of them.
    pub limit: Option<usize>,
}

impl DeviceOptions {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// [`Failure::Usage`].
    pub fn check(&self) -> Result<(), Failure> {
        let usage = |sentence: &str| Err(Failure::Usage(sentence.into()));
        match &self.action {
            Action::Tune { steps: 0, .. } => usage("--steps must be 1 or more"),
            Action::Forget(0) => usage("say how many samples to forget, 1 or more"),
            Action::Infer(Picked { limit: Some(0), .. }) | Action::Label(Picked { limit: Some(0), .. }) => {
                usage("--limit must be 1 or more")
            }
            _ if self.baud == 0 => usage("--baud must be 1 or more"),
            _ => Ok(()),
        }
    }
}
