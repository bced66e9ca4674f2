//! The model file on a disk: read whole and decoded, or encoded and written whole. The format is pg-core's.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow};
use pg_core::model_file::{ClassNames, Model, Provenance};

use crate::any_network::AnyNetwork;
use crate::choose;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::memory::Memory;
use crate::options::TrainOptions;
use crate::output::write_atomically;
use crate::statistics::Statistics;

/// More than this is no model file.
const MOST_BYTES: u64 = 1 << 30;

/// The bytes of a model file.
pub struct ModelFile {
    bytes: Vec<u8>,
    name: String,
}

/// A decoded model and its network in the list.
pub struct Known<'a> {
    /// The model.
    pub model: Model<'a>,
    /// Its network.
    pub entry: &'a Entry,
    /// Its parameters.
    pub parameters: Memory,
}

impl ModelFile {
    /// Reads a file, whatever is in it.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Self { bytes, name }),
            Err(reason) => Err(anyhow!("{name} cannot be read: {reason}").into()),
        }
    }

    /// Its size.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Which model it is: [`pg_core::link::Hello::model_crc`] of a device that was built with it.
    pub fn crc(&self) -> u32 {
        pg_core::model_file::checksum(&self.bytes)
    }

    /// The model in it.
    pub fn decode(&self) -> Result<Model<'_>, Failure> {
        Ok(Model::decode(&self.bytes).with_context(|| format!("reading {}", self.name))?)
    }

    /// The model in it, which must be one of these networks'.
    pub fn of<'a>(&'a self, networks: &'a [Entry]) -> Result<Known<'a>, Failure> {
        let model = self.decode()?;
        let entry = choose::by_fingerprint(networks, &self.name, model.fingerprint(), model.network)?;
        let parameters = entry.network().parameters(&model).with_context(|| format!("reading {}", self.name))?;
        Ok(Known { model, entry, parameters })
    }
}

/// What a training run leaves to be saved.
pub struct Outcome<'a> {
    /// The network.
    pub network: &'a dyn AnyNetwork,
    /// Its parameters.
    pub parameters: &'a [f32],
    /// What was done to the samples.
    pub statistics: &'a Statistics,
    /// The names of the classes.
    pub classes: &'a [String],
    /// The name of the data set.
    pub data: &'a str,
    /// What was asked for.
    pub options: &'a TrainOptions,
    /// Whole epochs that were done.
    pub epochs: u32,
    /// The steps that were done, of a run that ended early.
    pub stopped_after: Option<u32>,
    /// `name=value`, separated by spaces.
    pub scores: &'a str,
}

impl Outcome<'_> {
    /// Writes the model file and returns its size in bytes.
    pub fn save(&self, path: &Path) -> Result<usize, Failure> {
        let (network, classes) = (self.network.text(), self.classes.join("\n"));
        let mut options = self.options.provenance();
        if let Some(steps) = self.stopped_after {
            options += &format!(" steps={steps}");
        }
        let model = Model {
            network: &network,
            normalisation: self.statistics.normalisation(),
            classes: ClassNames::new(&classes).context("naming the classes")?,
            provenance: Provenance {
                tool: concat!("pg-host ", env!("CARGO_PKG_VERSION")),
                data: self.data,
                options: &options,
                seed: self.options.seed,
                epochs: self.epochs,
                scores: self.scores,
            },
            parameters: pg_core::floats::Floats::new(self.parameters),
        };
        write(path, &model)
    }
}

/// Writes a model file and returns its size in bytes.
pub fn write(path: &Path, model: &Model) -> Result<usize, Failure> {
    let mut bytes = vec![0; model.encoded_len()];
    model.encode_into(&mut bytes).context("encoding the model")?;
    write_atomically(path, &bytes).map_err(anyhow::Error::from)?;
    Ok(bytes.len())
}

/// A text on one line, as the model file wants it: control characters become spaces, nothing becomes `-`.
pub fn one_line(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    if line.is_empty() { "-".into() } else { line }
}
