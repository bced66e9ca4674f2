//! The samples of a run, divided and normalised: to learn from, to watch, to test on.
//!
//! The division depends on the data and the options alone; what is learnt from the test part is nothing, not even its mean.

use std::sync::Arc;

use crc::{CRC_64_XZ, Crc, Table};
use pg_core::Shape;
use pg_core::normalisation::Normalisation;

use crate::data::{DataError, Dataset, Samples, find};
use crate::failure::Failure;
use crate::model::one_line;
use crate::options::{DataOptions, Part};
use crate::statistics::Statistics;

/// Share of a data set that is put aside for testing when it brings no test part.
pub const TEST_SHARE: f64 = 0.2;

/// The seed of that division: a constant, so that runs with different seeds are tested on the same samples.
const TEST_SEED: u64 = 0;

/// Loads a data set; the names of its classes become single lines, as in a model file.
pub fn load(options: &DataOptions) -> Result<Dataset, Failure> {
    let mut data = find(&options.name, &options.csv)?;
    if let Some(shape) = options.shape {
        data = data.read_as(shape)?;
    }
    data.name = one_line(&data.name);
    data.classes.iter_mut().for_each(|class| *class = one_line(class));
    Ok(data)
}

/// A data set that has a test part.
#[derive(Clone, Debug)]
pub struct Divided {
    /// Name, shape and classes; `train` without the samples put aside.
    pub data: Dataset,
    /// What is tested on.
    pub test: Samples,
    /// Whether the test part was put aside here.
    pub carved: bool,
}

/// Takes the test part, or puts one aside.
pub fn divide(mut data: Dataset) -> Result<Divided, DataError> {
    if let Some(test) = data.test.take() {
        return Ok(Divided { data, test, carved: false });
    }
    let (train, test) = data.train.carve(TEST_SHARE, TEST_SEED).map_err(|error| match error {
        DataError::NothingHeldOut { samples, .. } => DataError::NoTestPart { data: data.name.clone(), samples },
        other => other,
    })?;
    let test = data.train.subset(&test);
    data.train = data.train.subset(&train);
    Ok(Divided { data, test, carved: true })
}

/// The samples of one part, and whether the data set had to be divided for it.
pub fn select(data: Dataset, part: Part) -> Result<(Samples, bool), DataError> {
    if part == Part::All {
        let (mut all, test) = (data.train, data.test.unwrap_or_default());
        all.inputs.extend(test.inputs);
        all.labels.extend(test.labels);
        return Ok((all, false));
    }
    let Divided { data, test, carved } = divide(data)?;
    Ok((if part == Part::Train { data.train } else { test }, carved))
}

/// Everything a training run needs of its data, normalised.
pub struct Prepared {
    /// The shape of a sample.
    pub shape: Shape,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// To learn from.
    pub train: Arc<Samples>,
    /// To watch while learning; may be empty.
    pub validation: Samples,
    /// To test on at the end.
    pub test: Samples,
    /// What was applied to all of them.
    pub statistics: Statistics,
}

/// Numbers that are digested at a time.
const PIECE: usize = 4096;
const DIGEST: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

impl Prepared {
    /// The CRC-64 of all that a result takes from the data: the names of the classes, what was applied, every part's values and labels,
    /// little endian.
    pub fn digest(&self) -> u64 {
        let mut digest = DIGEST.digest();
        let mut bytes = [[0; 4]; PIECE];
        digest.update(self.classes.join("\n").as_bytes());
        let parts = [&*self.train, &self.validation, &self.test];
        let floats = [&self.statistics.offset, &self.statistics.factor].into_iter().chain(parts.map(|part| &part.inputs));
        for piece in floats.flat_map(|floats| floats.chunks(PIECE)) {
            bytes.iter_mut().zip(piece).for_each(|(bytes, value)| *bytes = value.to_le_bytes());
            digest.update(bytes[..piece.len()].as_flattened());
        }
        for part in parts {
            digest.update(&(part.labels.len() as u64).to_le_bytes());
            part.labels.iter().for_each(|label| digest.update(&label.to_le_bytes()));
        }
        digest.finalize()
    }
}

/// Puts `fraction` of the training samples aside to watch, and normalises all by what is left.
pub fn prepare(divided: Divided, fraction: f64, seed: u64) -> Result<Prepared, DataError> {
    let Divided { data: Dataset { shape, classes, train, .. }, mut test, .. } = divided;
    let (kept, watched) = train.carve(fraction, seed)?;
    let mut validation = train.subset(&watched);
    let mut train = if watched.is_empty() { train } else { train.subset(&kept) };
    let statistics = Statistics::of(shape, &train.inputs);
    for part in [&mut train, &mut validation, &mut test] {
        normalise(&statistics.normalisation(), shape, part);
    }
    Ok(Prepared { shape, classes, train: Arc::new(train), validation, test, statistics })
}

/// Normalises samples of `shape`.
///
/// # Panics
/// When the channels are not those of the shape.
pub fn normalise(normalisation: &Normalisation, shape: Shape, samples: &mut Samples) {
    // Sample by sample: a second copy of all would not fit where a large data set just does.
    let mut raw = vec![0.0; shape.len()];
    for sample in samples.inputs.chunks_exact_mut(shape.len()) {
        raw.copy_from_slice(sample);
        normalisation.apply(shape, &raw, sample);
    }
}
