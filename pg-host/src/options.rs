//! What each subcommand is asked to do, typed and checked. How it was written on the command line is the matter of [`cli`](crate::cli).

mod bench;
mod checkpoint;
mod replay;
mod study;
mod train;
mod written;

use std::path::PathBuf;

use pg_core::Shape;
use serde::Serialize;

pub use self::bench::BenchOptions;
pub use self::checkpoint::{CheckpointOptions, Every, ResumeOptions};
pub use self::replay::{ReplayOptions, SessionOptions};
pub use self::study::{StudyCommand, StudyOptions};
pub use self::train::{GradientOptions, OptimiserName, TrainOptions};
use crate::data::CsvOptions;
use crate::failure::Failure;

/// The largest population.
pub const MOST_MEMBERS: u32 = 4096;
/// The largest number of threads.
pub const MOST_THREADS: usize = 256;
/// The largest batch: beyond it a batch is a data set.
pub const MOST_SAMPLES: usize = 1 << 20;

/// Which data.
#[derive(Clone, Debug, PartialEq)]
pub struct DataOptions {
    /// A bundled name or a path.
    pub name: String,
    /// For CSV files.
    pub csv: CsvOptions,
    /// Read each sample as this shape; without it as the files say, or as the network takes it.
    pub shape: Option<Shape>,
}

/// Which samples of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Those that are tested on.
    Test,
    /// Those that are learnt from.
    Train,
    /// Both.
    All,
}

/// `eval`.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalOptions {
    /// The model file.
    pub model: PathBuf,
    /// Which data; without it those that the model was trained on, if they are bundled.
    pub data: Option<DataOptions>,
    /// Which samples of it; without it the test part, or all of data that bring none and that the model was not trained on.
    pub part: Option<Part>,
    /// Batch norms are folded into the weights before them.
    pub folded: bool,
    /// Print one JSON object.
    pub json: bool,
}

/// `predict`.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictOptions {
    /// The model file.
    pub model: PathBuf,
    /// Which data.
    pub data: Option<DataOptions>,
    /// Which samples of it; without it the test part if the data set brings one, else all.
    pub part: Option<Part>,
    /// The most samples to predict.
    pub limit: Option<usize>,
    /// Print the logits.
    pub logits: bool,
    /// Print the logits' bits in hexadecimal digits.
    pub bits: bool,
    /// Batch norms are folded into the weights before them.
    pub folded: bool,
    /// Print one JSON array.
    pub json: bool,
}

impl PredictOptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Failure> {
        need(self.limit != Some(0), "limit", "at least 1", 0)
    }
}

/// `inspect`.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectOptions {
    /// The model file.
    pub model: PathBuf,
    /// Print one JSON object.
    pub json: bool,
}

/// `data inspect`.
#[derive(Clone, Debug, PartialEq)]
pub struct DataInspectOptions {
    /// Which data.
    pub data: DataOptions,
    /// The picture to write.
    pub sheet: Option<PathBuf>,
    /// Print one JSON object.
    pub json: bool,
}

impl DataInspectOptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Failure> {
        let Some(sheet) = &self.sheet else { return Ok(()) };
        let is_svg = sheet.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
        need(is_svg, "sheet", "a file called .svg", sheet.display())
    }
}

/// Refuses a value with a sentence: which option, what it must be, what it was.
fn need(holds: bool, option: &str, rule: &str, given: impl std::fmt::Display) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Usage(format!("--{option} must be {rule}, and is {given}"))) }
}
