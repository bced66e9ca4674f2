//! The words behind `study`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Command;
use crate::options::{StudyCommand, StudyOptions};
use crate::study::Shard;

#[derive(Subcommand)]
pub(super) enum Study {
    /// Make the runs of a study, print its table, write its report
    ///
    /// Every run that is complete is a line of the file --out, at once. Called again, only what is missing is made; Ctrl-C costs the runs under
    /// way and nothing else.
    Run(Run),
    /// Print the runs of a study and their core-hours, and start nothing
    Plan(Plan),
    /// Print the table of a study that was run, and write its report
    Report(Report),
    /// Join the files of shards
    Merge(Merge),
    /// List the ready studies, or print one to start your own from
    Presets(Presets),
}

#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    plan: Plan,
    /// Runs at a time, each on one thread; the results are the same for any number
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
}

#[derive(Args)]
pub(super) struct Plan {
    /// A study file (TOML), or one of `study presets`
    #[arg(value_name = "FILE|PRESET")]
    study: String,
    /// The file of the runs: those that are in it are not made again. Without it NAME.jsonl, after the study
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only this part of so many, for example 3/16: each has its own --out, and `study merge` joins them
    #[arg(long, value_name = "i/n", value_parser = shard)]
    shard: Option<Shard>,
    /// At most so many core-hours: when tuning in full needs more, successive halving tunes instead; when that needs more, nothing starts
    #[arg(long, value_name = "HOURS", allow_negative_numbers = true)]
    budget: Option<f64>,
    /// Only these cells of the study, with commas between
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    cells: Vec<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Report {
    /// A file of runs
    records: PathBuf,
    /// The report: one HTML file that needs nothing else. Without it beside the runs
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a row for each final run as well
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Merge {
    /// Files of runs of one study
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Presets {
    /// Print this one
    name: Option<String>,
}

/// One part of so many: `3/16`.
fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((part, of)) if part > of => Err(format!("there are {of} shards, from 1 to {of}, and {part} is beyond them")),
        Some((part, of)) if part > 0 => Ok(Shard { part, of }),
        _ => Err("a shard is one part of so many, for example 3/16; the first is 1".into()),
    }
}

impl From<Plan> for StudyOptions {
    fn from(Plan { study, out, shard, budget, cells, json }: Plan) -> Self {
        StudyOptions { study, out, shard: shard.unwrap_or(Shard::ALL), budget, cells, json }
    }
}

impl From<Study> for Command {
    fn from(study: Study) -> Self {
        Command::Study(match study {
            Study::Run(Run { plan, jobs }) => StudyCommand::Run { plan: plan.into(), jobs },
            Study::Plan(plan) => StudyCommand::Plan(plan.into()),
            Study::Report(Report { records, html, csv, json }) => StudyCommand::Report { records, html, csv, json },
            Study::Merge(Merge { files, out, json }) => StudyCommand::Merge { files, out, json },
            Study::Presets(Presets { name }) => StudyCommand::Presets { name },
        })
    }
}
