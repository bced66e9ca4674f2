//! `study`.

use std::path::PathBuf;

use super::need;
use crate::failure::Failure;
use crate::study::Shard;

/// `study run` and `study plan`.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyOptions {
    /// A file or the name of a preset.
    pub study: String,
    /// The file of the runs; without it after the study's name.
    pub out: Option<PathBuf>,
    /// Which part.
    pub shard: Shard,
    /// The most core-hours.
    pub budget: Option<f64>,
    /// The names of the cells; empty for all.
    pub cells: Vec<String>,
    /// Print one JSON object.
    pub json: bool,
}

impl StudyOptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Failure> {
        let hours = self.budget.unwrap_or(1.0);
        need(hours > 0.0 && hours.is_finite(), "budget", "a finite number of core-hours above 0", hours)
    }
}

/// `study`.
#[derive(Clone, Debug, PartialEq)]
pub enum StudyCommand {
    /// Make the runs.
    Run {
        /// Of which study.
        plan: StudyOptions,
        /// How many at a time.
        jobs: usize,
    },
    /// Say what would be made.
    Plan(StudyOptions),
    /// Say what came out.
    Report {
        /// The file of the runs.
        records: PathBuf,
        /// The report to write; without it beside the runs.
        html: Option<PathBuf>,
        /// The table of runs to write.
        csv: Option<PathBuf>,
        /// Print one JSON object.
        json: bool,
    },
    /// Join files.
    Merge {
        /// The files.
        files: Vec<PathBuf>,
        /// The file to write.
        out: PathBuf,
        /// Print one JSON object.
        json: bool,
    },
    /// List the ready studies, or print one.
    Presets {
        /// Which; without it a list.
        name: Option<String>,
    },
}
