//! The words behind the commands that read a model file.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::Command;
use super::data::Reading;
use crate::options::{EvalOptions, InspectOptions, Part, PredictOptions};

#[derive(Args)]
pub(super) struct Eval {
    /// The model file
    model: PathBuf,
    /// The data, as for `train`. Without it the bundled data set that the model was trained on
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Which samples: `test`, `train` or `all`. Without it the test part; all of a data set that brings none and is not the one that the
    /// model was trained on
    #[arg(long, value_parser = PossibleValuesParser::new(["test", "train", "all"]))]
    part: Option<String>,
    /// Fold each batch norm into the weights before it, as a device may do
    #[arg(long)]
    folded: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Predict {
    /// The model file
    model: PathBuf,
    /// The data, as for `train`. Without it the bundled data set that the model was trained on
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Which samples: `test`, `train` or `all`. Without it the test part if the data set brings one, else all
    #[arg(long, value_parser = PossibleValuesParser::new(["test", "train", "all"]))]
    part: Option<String>,
    /// The most samples to predict, from the first on
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Add the network's outputs
    #[arg(long)]
    logits: bool,
    /// Add the outputs' bits, as eight hexadecimal digits each: what a device prints too
    #[arg(long)]
    bits: bool,
    /// Fold each batch norm into the weights before it, as a device may do: outputs differ in the last bits
    #[arg(long)]
    folded: bool,
    /// Print a JSON array instead of CSV
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Inspect {
    /// The model file
    model: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn part(name: &str) -> Part {
    match name {
        "train" => Part::Train,
        "all" => Part::All,
        _ => Part::Test,
    }
}

impl From<Eval> for Command {
    fn from(Eval { model, data, reading, part: name, folded, json }: Eval) -> Self {
        Command::Eval(EvalOptions { model, data: reading.with(data), part: name.as_deref().map(part), folded, json })
    }
}

impl From<Predict> for Command {
    fn from(Predict { model, data, reading, part: name, limit, logits, bits, folded, json }: Predict) -> Self {
        let part = name.as_deref().map(part);
        Command::Predict(PredictOptions { model, data: reading.with(data), part, limit, logits, bits, folded, json })
    }
}

impl From<Inspect> for Command {
    fn from(Inspect { model, json }: Inspect) -> Self {
        Command::Inspect(InspectOptions { model, json })
    }
}
