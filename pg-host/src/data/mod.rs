//! Data sets: labelled samples of one shape, found by name or path.
//!
//! Values come as they stand in the file. Nothing here scales, shuffles, batches or downloads.
//!
//! ```no_run
//! use pg_host::data::{self, CsvOptions};
//!
//! let digits = data::find("digits", &CsvOptions::default())?;
//! let (train, validation) = digits.train.carve(0.1, 1)?;
//! # Ok::<(), data::DataError>(())
//! ```

mod arrays;
mod assemble;
mod bundled;
mod carve;
mod cifar;
mod class_names;
mod csv;
mod directory;
mod error;
mod form;
mod idx;
mod installed;
mod npy;
mod pictures;
mod svhn;
mod table;

use std::io::Read;
use std::path::{Path, PathBuf};

use pg_core::shape::Shape;

pub use self::arrays::ArrayError;
pub use self::bundled::{Bundled, bundled};
pub use self::cifar::{Cifar, CifarError, parse_cifar};
pub use self::csv::{Csv, CsvError, Place, parse_csv};
pub use self::error::DataError;
pub use self::idx::{Element, Idx, IdxError, parse_idx};
pub use self::installed::{Installed, installed};
pub use self::npy::{Npy, NpyError, parse_npy};
pub use self::pictures::PictureError;
pub use self::svhn::{SvhnError, parse_svhn};
pub use self::table::CsvOptions;

/// Labelled samples of one shape, with the names of their classes.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The known name, or the last part of the path.
    pub name: String,
    /// The shape of one sample.
    pub shape: Shape,
    /// The name of each class; a label is an index into them.
    pub classes: Vec<String>,
    /// Whether the classes have no names but their numbers, as in an IDX file.
    pub numbered: bool,
    /// Samples to learn from; a class may be absent before [`Dataset::checked`].
    pub train: Samples,
    /// Samples never learnt from, when the data set brings its own; some classes may be absent.
    pub test: Option<Samples>,
}

/// Inputs and labels, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Sample after sample, `shape.len()` values each, as they stand in the file.
    pub inputs: Vec<f32>,
    /// The class of each sample.
    pub labels: Vec<u16>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The values of sample `i`.
    ///
    /// # Panics
    /// If there is no sample `i` of `shape_len` values.
    pub fn input(&self, i: usize, shape_len: usize) -> &[f32] {
        &self.inputs[i * shape_len..][..shape_len]
    }

    /// A copy of the samples at `indices`, in that order.
    ///
    /// # Panics
    /// If an index is not below `len()`.
    pub fn subset(&self, indices: &[usize]) -> Samples {
        let shape_len = self.inputs.len().checked_div(self.len()).unwrap_or(0);
        Samples {
            inputs: indices.iter().flat_map(|&i| self.input(i, shape_len)).copied().collect(),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
        }
    }

    /// How many samples each of `classes` classes has.
    ///
    /// # Panics
    /// If a label is not below `classes`.
    pub fn counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }
}

/// Finds a data set: the name of one that is bundled or that a package brings, a directory in MNIST's IDX form, that of CIFAR
/// or SVHN, with NumPy arrays or with pictures in a folder for each class, an `.npz` archive, or a CSV file.
///
/// Directories in the one that `PG_DATA` names are known by name too, where no path is called so.
///
/// A name wins over a path; write `./digits` for a directory of that name. Every file may be gzipped.
pub fn find(name_or_path: &str, options: &CsvOptions) -> Result<Dataset, DataError> {
    let csv_only = |found: Result<Dataset, DataError>| match options {
        CsvOptions { label: None, test: None } => found,
        _ => Err(DataError::CsvOnly { name: name_or_path.into() }),
    };
    if let Some(found) = bundled::load(name_or_path).or_else(|| installed::load(name_or_path)) {
        return csv_only(found);
    }
    let own = installed::own(name_or_path).filter(|_| !Path::new(name_or_path).exists());
    let path = own.as_deref().unwrap_or(Path::new(name_or_path));
    if path.is_dir() {
        csv_only(form::load(path))
    } else if arrays::has_npz_name(path) {
        csv_only(arrays::load(path))
    } else if table::has_csv_name(path) {
        table::load(path, options)
    } else if path.exists() {
        Err(DataError::NotData { path: path.into() })
    } else {
        Err(DataError::Unknown { name: name_or_path.into(), suggestion: bundled::suggest(name_or_path) })
    }
}

/// Whether a name alone says which data are meant, on every machine that has them.
pub fn is_name(name: &str) -> bool {
    bundled().iter().any(|set| set.name == name) || installed().iter().any(|set| set.name == name)
}

impl Dataset {
    /// The same values in the same order, read as samples of another shape: a row of a table as an image, or the rows of a window of sensor
    /// data as its channels.
    pub fn read_as(self, shape: Shape) -> Result<Self, DataError> {
        if shape.len() != self.shape.len() {
            return Err(DataError::Reinterpreted { data: self.name, shape: self.shape, wanted: shape });
        }
        Ok(Self { shape, ..self })
    }

    /// The gate to training: at least two classes, and a sample of each to learn from. Scoring and predicting need neither.
    pub fn checked(self) -> Result<Self, DataError> {
        if let [only] = &self.classes[..] {
            return Err(DataError::OneClass { data: self.name, class: only.clone() });
        }
        match self.train.counts(self.classes.len()).iter().position(|&count| count == 0) {
            Some(empty) => Err(DataError::EmptyClass { class: self.classes[empty].clone(), data: self.name }),
            None => Ok(self),
        }
    }
}

/// The bytes of a file, unpacked if they are gzipped.
fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let bytes = std::fs::read(path).map_err(|reason| DataError::Read { file: path.display().to_string(), reason })?;
    unpack(&path.display().to_string(), bytes)
}

/// The file of that name in a directory, or the same gzipped.
fn file_of(directory: &Path, name: &str) -> Option<PathBuf> {
    [directory.join(name), directory.join(format!("{name}.gz"))].into_iter().find(|path| path.is_file())
}

/// How gzip begins.
pub(crate) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Unpacks `bytes` if they begin as gzip does; the name of the file is for the error.
pub(crate) fn unpack(file: &str, bytes: Vec<u8>) -> Result<Vec<u8>, DataError> {
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    match flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked) {
        Ok(_) => Ok(unpacked),
        Err(reason) => Err(DataError::Gzip { file: file.into(), reason }),
    }
}

/// The last part of a path, for a name that tells nothing of the machine.
pub(crate) fn last_part(path: &Path) -> String {
    let full = path.canonicalize();
    let name = path.file_name().or_else(|| full.as_ref().ok()?.file_name());
    name.map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn refusal(name: &str, options: &CsvOptions) -> String {
        find(name, options).expect_err(name).to_string()
    }

    #[test]
    fn a_misspelt_name_gets_a_suggestion_and_a_strange_one_gets_none() {
        let text = refusal("digit", &CsvOptions::default());
        assert_eq!(
            text,
            "there is no data set called `digit` (did you mean `digits`?); bundled are digits, vowel, fashion-tiny, \
             a package brings fashion-mnist; or give a directory or a CSV file that exists"
        );
        assert!(!refusal("no/such/directory", &CsvOptions::default()).contains("mean"));
    }

    #[test]
    fn refuses_options_for_csv_files_with_other_data() {
        let options = CsvOptions { label: Some("class".into()), test: None };
        assert!(refusal("digits", &options).contains("only be chosen for a CSV file"));
    }

    #[test]
    fn refuses_a_file_that_is_no_csv_and_a_csv_that_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("train-images-idx3-ubyte");
        std::fs::write(&file, [0, 0, 8, 1, 0, 0, 0, 0]).unwrap();
        assert!(refusal(file.to_str().unwrap(), &CsvOptions::default()).contains("give the directory"));
        let text = refusal(directory.path().join("none.csv").to_str().unwrap(), &CsvOptions::default());
        assert!(text.contains("none.csv cannot be read"), "{text}");
    }

    #[test]
    fn unpacks_gzip_and_refuses_damaged_gzip() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(&[7; 5000]).unwrap();
        let packed = packer.finish().unwrap();
        assert_eq!(unpack("f", packed.clone()).unwrap(), [7; 5000]);
        for end in 2..packed.len() {
            assert!(unpack("f", packed[..end].to_vec()).is_err(), "cut at {end}");
        }
        let mut flipped = packed.clone();
        flipped[packed.len() - 6] ^= 1;
        assert!(unpack("f.gz", flipped).unwrap_err().to_string().starts_with("f.gz is damaged"));
    }

    #[test]
    fn a_window_is_read_as_channels_without_moving_a_value() {
        let digits = find("digits", &CsvOptions::default()).unwrap();
        let read = digits.clone().read_as(Shape::new(8, 1, 8)).unwrap();
        assert_eq!((read.shape, read.train), (Shape::new(8, 1, 8), digits.train.clone()));
        assert_eq!(
            digits.read_as(Shape::new(3, 1, 64)).unwrap_err().to_string(),
            "--as 3x1x64 has 192 values, and a sample of digits has 64: 1x8x8"
        );
    }

    #[test]
    fn a_subset_takes_inputs_and_labels_in_the_order_of_the_indices() {
        let samples = Samples { inputs: vec![0., 1., 10., 11., 20., 21.], labels: vec![0, 1, 2] };
        assert_eq!(samples.subset(&[2, 0]), Samples { inputs: vec![20., 21., 0., 1.], labels: vec![2, 0] });
        assert_eq!(samples.subset(&[]), Samples::default());
        assert_eq!(Samples::default().subset(&[]), Samples::default());
    }
}
