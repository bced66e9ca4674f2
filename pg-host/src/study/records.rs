//! The file of a study's runs: JSON lines, the first the study itself, each other one a run with its full options.
//!
//! A run is one line, written and brought to the disk when the run is complete, so that a crash costs at most the runs under way. A line that
//! was cut is found, named and dropped; every complete one counts.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::file::{Method, Study};
use super::plan::{Purpose, without_idle};
use crate::data::{GZIP, unpack};
use crate::failure::Failure;
use crate::output::{check_writable, write_atomically};

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of this format: 1.
    pub pg_study: u32,
    /// How settings are chosen; a budget may have changed what the study says.
    pub tuning: Method,
    /// The study.
    pub study: Study,
}

/// How good a network is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Mean F1 of all classes.
    pub macro_f1: f64,
    /// Share of right predictions.
    pub accuracy: f64,
    /// In nats.
    pub nll: f64,
    /// Expected calibration error.
    pub ece: f64,
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Epochs that are done.
    pub epoch: u32,
    /// The mean loss of the steps of this epoch.
    pub loss_nats: f64,
    /// On the validation samples, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<f64>,
}

/// A run that is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What it was for.
    pub purpose: Purpose,
    /// The words for `train` that repeat it.
    pub words: String,
    /// All that it follows from: [`identity`](super::plan::identity).
    pub options: serde_json::Value,
    /// Samples that were learnt from.
    pub train_samples: usize,
    /// Whole epochs.
    pub epochs: u32,
    /// Steps.
    pub steps: u32,
    /// Passes of a member over a sample.
    pub passes: u64,
    /// How long the training took, on one thread.
    pub seconds: f64,
    /// The mean loss of the last epoch, in nats.
    pub train_loss_nats: f64,
    /// On the samples put aside, at the end; of a tuning run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Judgement>,
    /// On the test part, at the end; of a final run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Judgement>,
    /// Whether it ended early, since a loss, a parameter or too many members were not finite: the scores are those of the last parameters that were.
    pub diverged: bool,
    /// CRC-64/XZ of the parameters' bytes, little-endian, in hexadecimal digits.
    pub parameters_crc: String,
    /// On the way.
    pub curve: Vec<Moment>,
}

impl Record {
    /// What it is known by.
    pub fn key(&self) -> String {
        let mut options = self.options.clone();
        without_idle(&mut options);
        options.to_string()
    }

    /// What is compared in tuning: a run that diverged has nothing.
    pub fn selection_score(&self) -> f64 {
        if self.diverged { 0.0 } else { self.validation.map_or(0.0, |validation| validation.macro_f1) }
    }

    /// Its seed.
    pub fn seed(&self) -> u64 {
        self.options["seed"].as_u64().unwrap_or(0)
    }
}

/// The runs of a file, each once.
#[derive(Clone, Debug, Default)]
pub struct Records {
    by_key: IndexMap<String, Record>,
}

impl Records {
    /// The run that is known by `key`.
    pub fn get(&self, key: &str) -> Option<&Record> {
        self.by_key.get(key)
    }

    /// Adds a run; returns it when it is there already.
    pub fn add(&mut self, record: Record) -> Option<Record> {
        match self.by_key.entry(record.key()) {
            indexmap::map::Entry::Occupied(_) => Some(record),
            indexmap::map::Entry::Vacant(place) => {
                place.insert(record);
                None
            }
        }
    }

    /// All, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Record)> {
        self.by_key.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

/// What a file holds.
pub struct Contents {
    /// The study.
    pub header: Header,
    /// Its runs.
    pub records: Records,
    /// One sentence for each line that was dropped.
    pub dropped: Vec<String>,
}

/// Reads a file, gzipped or not; lines that are not whole are dropped and named.
pub fn read(path: &Path) -> Result<Contents, Failure> {
    let name = path.display();
    let text = std::fs::read(path).map_err(|reason| anyhow!("{name} cannot be read: {reason}"))?;
    let text = unpack(&name.to_string(), text)?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    let header: Header = serde_json::from_str(first).map_err(|_| {
        anyhow!("{name}, line 1: this is no file of a study, whose first line is the study itself; `study run --out {name}` writes one")
    })?;
    if header.pg_study != 1 {
        return Err(anyhow!("{name} is of format {}, and this program reads format 1", header.pg_study).into());
    }
    let (mut records, mut dropped) = (Records::default(), Vec::new());
    for (number, line) in (2..).zip(lines) {
        let whole = line.ends_with('\n');
        match serde_json::from_str::<Record>(line) {
            Ok(record) if whole => {
                if let Some(twice) = records.add(record) {
                    dropped.push(format!("{name}, line {number}: the run `{}` is there already; the first counts", twice.words));
                }
            }
            _ if !whole => {
                dropped.push(format!("{name}, line {number}: cut in the middle, as by a crash; it is dropped, that run is made again"))
            }
            Ok(_) => unreachable!("whole lines come first"),
            Err(reason) => dropped.push(format!("{name}, line {number}: not a run ({reason}); it is dropped, that run is made again")),
        }
    }
    Ok(Contents { header, records, dropped })
}

/// Whether a file begins as gzip does.
fn is_packed(path: &Path) -> Result<bool, Failure> {
    let mut start = [0; 2];
    let length = File::open(path).and_then(|mut file| file.read(&mut start));
    let length = length.map_err(|reason| anyhow!("{} cannot be read: {reason}", path.display()))?;
    Ok(start[..length] == GZIP)
}

/// A file that grows by whole lines; no other program may write it meanwhile.
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens the file of a study, or begins one. Lines that are not whole are taken out of it.
    ///
    /// # Errors
    /// When it is another study's, or another program writes it.
    pub fn open(path: &Path, header: &Header) -> Result<(Self, Contents), Failure> {
        check_writable(path).map_err(anyhow::Error::from)?;
        let contents = if path.exists() && std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0) {
            if is_packed(path)? {
                return Err(anyhow!("{} is gzipped, and runs are added to plain files: unpack it first with gunzip", path.display()).into());
            }
            let contents = read(path)?;
            if let Some(difference) = difference(&serde_json::json!(contents.header.study), &serde_json::json!(header.study)) {
                return Err(anyhow!(
                    "{} is of a study that differs: {difference}; give another --out, or run the study as it was",
                    path.display()
                )
                .into());
            }
            contents
        } else {
            Contents { header: header.clone(), records: Records::default(), dropped: Vec::new() }
        };
        let lock = |file: &File| match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(anyhow!("{} is being written by another run of this program", path.display())),
            // Where a file system knows no locks there is none.
            _ => Ok(()),
        };
        let open = || OpenOptions::new().append(true).create(true).open(path);
        let failed = |reason| anyhow!("{} cannot be written: {reason}", path.display());
        let mut file = open().map_err(failed)?;
        lock(&file)?;
        if !contents.dropped.is_empty() || contents.records.is_empty() {
            write_atomically(path, &text(&contents.header, &contents.records)).map_err(anyhow::Error::from)?;
            file = open().map_err(failed)?;
            lock(&file)?;
        }
        Ok((Self { file, path: path.into() }, contents))
    }

    /// Adds a run and brings it to the disk.
    pub fn add(&mut self, record: &Record) -> Result<(), Failure> {
        let line = serde_json::to_string(record).map_err(anyhow::Error::from)? + "\n";
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        Ok(written.map_err(|reason| anyhow!("{} cannot be written: {reason}; what is in it stays", self.path.display()))?)
    }
}

/// A whole file.
pub fn text(header: &Header, records: &Records) -> Vec<u8> {
    let line = |value: serde_json::Value| value.to_string() + "\n";
    let lines = std::iter::once(line(serde_json::json!(header))).chain(records.iter().map(|(_, record)| line(serde_json::json!(record))));
    lines.collect::<String>().into_bytes()
}

/// The first place where two values differ: "arms.sgd is `--population 0` in one and `--population 1` in the other".
pub fn difference(a: &serde_json::Value, b: &serde_json::Value) -> Option<String> {
    use serde_json::Value::{Array, Object};
    let written = |value: Option<&serde_json::Value>| match value {
        None => "not there".to_string(),
        Some(serde_json::Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    };
    fn below(name: &str, found: String) -> String {
        let separator = if found.starts_with(" is ") { "" } else { "." };
        format!("{name}{separator}{found}")
    }
    match (a, b) {
        (Object(a), Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            for name in names {
                match (a.get(name), b.get(name)) {
                    (Some(x), Some(y)) => {
                        if let Some(found) = difference(x, y) {
                            return Some(below(name, found));
                        }
                    }
                    (x, y) => return Some(format!("{name} is {} in one and {} in the other", written(x), written(y))),
                }
            }
            // The order of arms is a part of a study: the first is the reference.
            let order = |map: &serde_json::Map<String, serde_json::Value>| map.keys().cloned().collect::<Vec<_>>().join(", ");
            (order(a) != order(b)).then(|| format!(" is in the order {} in one and {} in the other", order(a), order(b)))
        }
        (Array(x), Array(y)) if x.len() == y.len() => x.iter().zip(y).find_map(|(x, y)| difference(x, y)),
        _ if a == b => None,
        _ => Some(format!(" is {} in one and {} in the other", written(Some(a)), written(Some(b)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_named_with_its_place() {
        let a = json!({"arms": {"sgd": "--population 0", "pop": {"options": "x"}}, "seeds": 3});
        assert_eq!(difference(&a, &a), None);
        let b = json!({"arms": {"sgd": "--population 1", "pop": {"options": "x"}}, "seeds": 3});
        assert_eq!(difference(&a, &b).unwrap(), "arms.sgd is `--population 0` in one and `--population 1` in the other");
        let b = json!({"arms": {"sgd": "--population 0"}, "seeds": 3});
        assert_eq!(difference(&a, &b).unwrap(), "arms.pop is `{\"options\":\"x\"}` in one and not there in the other");
        let b = json!({"arms": {"pop": {"options": "x"}, "sgd": "--population 0"}, "seeds": 3});
        assert_eq!(difference(&a, &b).unwrap(), "arms is in the order sgd, pop in one and pop, sgd in the other");
    }
}
