//! The files of shards as one: duplicates, gaps and files of other studies are found and named.

use std::path::PathBuf;

use anyhow::anyhow;
use serde::Serialize;
use serde_json::json;

use super::records::{Header, Record, Records, difference, read};
use super::report::Report;
use crate::failure::Failure;

/// What came of joining files.
#[derive(Clone, Debug, Serialize)]
pub struct Merged {
    /// Runs of all files together.
    pub runs: usize,
    /// Runs that more than one file has, with the same result.
    pub duplicates: Vec<String>,
    /// Lines that were not whole.
    pub dropped: Vec<String>,
    /// What is missing of the study.
    pub gaps: Vec<String>,
    /// Runs that the study does not ask for.
    pub strays: Vec<String>,
}

/// Reads the files and puts their runs together.
///
/// # Errors
/// When they are of different studies, or the same run has two results.
pub fn merge(files: &[PathBuf]) -> Result<(Header, Records, Merged), Failure> {
    let mut joined: Option<(Header, &PathBuf)> = None;
    let mut records = Records::default();
    let (mut duplicates, mut dropped) = (Vec::new(), Vec::new());
    for file in files {
        let contents = read(file)?;
        dropped.extend(contents.dropped);
        if let Some((header, first)) = &joined {
            if let Some(difference) = difference(&json!(header), &json!(contents.header)) {
                return Err(anyhow!("{} and {} are of studies that differ: {difference}", first.display(), file.display()).into());
            }
        } else {
            joined = Some((contents.header, file));
        }
        for (_, record) in contents.records.iter() {
            let Some(twice) = records.add(record.clone()) else { continue };
            let known = records.get(&twice.key()).expect("it is there already");
            if !same_result(known, &twice) {
                return Err(anyhow!(
                    "{}: the run `{}` has another result than in a file before it (macro F1 {} and {}, parameters {} and {}): the same options \
                     give the same bits, so the files are of different versions of the program or of the data",
                    file.display(),
                    twice.words,
                    score(&twice),
                    score(known),
                    twice.parameters_crc,
                    known.parameters_crc
                )
                .into());
            }
            duplicates.push(format!("{}: `{}`", file.display(), twice.words));
        }
    }
    let (header, _) = joined.ok_or_else(|| Failure::Usage("give at least one file to merge".into()))?;
    let Report { missing: gaps, strays, .. } = Report::of(&header, &records)?;
    let merged = Merged { runs: records.len(), duplicates, dropped, gaps, strays };
    Ok((header, records, merged))
}

fn same_result(a: &Record, b: &Record) -> bool {
    (&a.parameters_crc, a.test, a.validation) == (&b.parameters_crc, b.test, b.validation)
}

fn score(record: &Record) -> f64 {
    record.test.or(record.validation).map_or(0.0, |judgement| judgement.macro_f1)
}
