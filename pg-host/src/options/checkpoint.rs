//! How a run is kept, and how it goes on.

use std::path::PathBuf;
use std::str::FromStr;

/// How often a run is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so many epochs.
    Epochs(u32),
    /// After so many steps.
    Steps(u32),
}

impl Default for Every {
    fn default() -> Self {
        Every::Epochs(1)
    }
}

impl Every {
    /// The same in steps.
    pub fn in_steps(self, steps_per_epoch: u32) -> u32 {
        match self {
            Every::Epochs(epochs) => epochs.saturating_mul(steps_per_epoch),
            Every::Steps(steps) => steps,
        }
    }
}

/// `10` for epochs, `500steps` for steps.
impl FromStr for Every {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, every): (_, fn(u32) -> Every) = match text.strip_suffix("steps") {
            Some(number) => (number, Every::Steps),
            None => (text, Every::Epochs),
        };
        let number = number.trim_end().parse().ok().filter(|&number| number > 0);
        number.map(every).ok_or("it is a number of epochs, as in 1, or of steps, as in 500steps")
    }
}

/// How a run is kept, so that it can go on after its end.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointOptions {
    /// The directory of the checkpoints.
    pub directory: PathBuf,
    /// How often one is written.
    pub every: Every,
    /// The arguments of `train` that mean all these options: what is kept of them.
    pub arguments: Vec<String>,
}

/// `train --resume`.
#[derive(Clone, Debug, PartialEq)]
pub struct ResumeOptions {
    /// The directory of the checkpoints.
    pub directory: PathBuf,
    /// The directory of the new ones; without it the same.
    pub checkpoint: Option<PathBuf>,
    /// Arguments of `train` that replace those that are kept.
    pub arguments: Vec<String>,
    /// Print one JSON object.
    pub json: bool,
}
