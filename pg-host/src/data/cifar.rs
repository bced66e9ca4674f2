//! CIFAR-10 and CIFAR-100 in their binary form (Krizhevsky, 2009): records of one or two labels and a 3x32x32 image of bytes.
//!
//! The batches may have any number of records, so that a part of CIFAR in the same form is read too. Of CIFAR-100 the fine labels are
//! taken. [`parse_cifar`] does not panic on any bytes.

use std::path::{Path, PathBuf};

use pg_core::shape::Shape;

use super::assemble::{Labelled, assemble};
use super::{DataError, Dataset, Samples, class_names, file_of, last_part, read};

/// One image, channel by channel.
const SHAPE: Shape = Shape::new(3, 32, 32);

/// Which of the two data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cifar {
    /// Ten classes, one label in a record.
    Ten,
    /// A hundred classes, a coarse and a fine label in a record.
    Hundred,
}

/// Why bytes are not records of CIFAR; the text goes on from the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CifarError {
    /// Not a whole number of records.
    #[error("has {has} bytes, which is no whole number of records of {record} bytes; fetch the file again")]
    Size {
        /// Bytes of the file.
        has: usize,
        /// Bytes of a record.
        record: usize,
    },
    /// A label beyond the classes.
    #[error("gives record {record} (from 0) the label {label}, and there are {classes} classes; fetch the file again")]
    Label {
        /// The record.
        record: usize,
        /// Its label.
        label: u8,
        /// How many classes there are.
        classes: usize,
    },
}

impl Cifar {
    /// Labels before each image; the last is the one to learn.
    const fn labels(self) -> usize {
        match self {
            Cifar::Ten => 1,
            Cifar::Hundred => 2,
        }
    }

    /// How many classes it has.
    pub const fn classes(self) -> usize {
        match self {
            Cifar::Ten => 10,
            Cifar::Hundred => 100,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Cifar::Ten => "CIFAR-10",
            Cifar::Hundred => "CIFAR-100",
        }
    }

    const fn train(self) -> &'static [&'static str] {
        match self {
            Cifar::Ten => &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
            Cifar::Hundred => &["train.bin"],
        }
    }

    const fn test(self) -> &'static str {
        match self {
            Cifar::Ten => "test_batch.bin",
            Cifar::Hundred => "test.bin",
        }
    }

    const fn class_names(self) -> &'static str {
        match self {
            Cifar::Ten => "batches.meta.txt",
            Cifar::Hundred => "fine_label_names.txt",
        }
    }
}

/// Reads records: the labels, then 1024 bytes of red, of green and of blue, row by row.
pub fn parse_cifar(bytes: &[u8], which: Cifar) -> Result<Samples, CifarError> {
    let record = which.labels() + SHAPE.len();
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        return Err(CifarError::Size { has: bytes.len(), record });
    }
    let mut samples = Samples::default();
    for (i, bytes) in bytes.chunks_exact(record).enumerate() {
        let (labels, image) = bytes.split_at(which.labels());
        let label = labels[which.labels() - 1];
        if usize::from(label) >= which.classes() {
            return Err(CifarError::Label { record: i, label, classes: which.classes() });
        }
        samples.labels.push(label.into());
        samples.inputs.extend(image.iter().map(|&byte| f32::from(byte)));
    }
    Ok(samples)
}

/// Which of the two a directory holds, by the names of its files.
pub(super) fn in_directory(directory: &Path) -> Option<Cifar> {
    [Cifar::Ten, Cifar::Hundred].into_iter().find(|which| which.train().iter().any(|name| file_of(directory, name).is_some()))
}

/// A directory with the files as they are distributed; the test batch and the names of the classes may be absent.
pub(super) fn load(directory: &Path, which: Cifar) -> Result<Dataset, DataError> {
    let mut batches = Vec::new();
    for file in which.train() {
        let missing = || DataError::MissingFile { directory: directory.into(), file, form: which.name() };
        batches.push(file_of(directory, file).ok_or_else(missing)?);
    }
    let train = labelled(&batches, which)?;
    let test = file_of(directory, which.test()).map(|batch| labelled(&[batch], which)).transpose()?;
    let names = directory.join(which.class_names());
    let names = if names.is_file() { Some(class_names::from_file(&names)?) } else { None };
    assemble(last_part(directory), train, test, names)
}

/// The samples of some files, one after the other.
fn labelled(files: &[PathBuf], which: Cifar) -> Result<Labelled, DataError> {
    let mut all = Samples::default();
    for file in files {
        let samples = parse_cifar(&read(file)?, which);
        let samples = samples.map_err(|reason| DataError::Cifar { file: file.display().to_string(), reason })?;
        all.inputs.extend(samples.inputs);
        all.labels.extend(samples.labels);
    }
    let name = files.first().map(|file| file.display().to_string()).unwrap_or_default();
    Ok(Labelled { inputs: name.clone(), labels: name, shape: SHAPE, samples: all })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record whose pixels are `first` and one more from channel to channel.
    fn record(labels: &[u8], first: u8) -> Vec<u8> {
        [labels.to_vec(), (0..3).flat_map(|channel| [first + channel; 1024]).collect()].concat()
    }

    /// A directory of CIFAR-10 with a record in each batch, the labels 0 to 4 in order.
    fn ten(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (label, name) in (0..).zip(Cifar::Ten.train()) {
            std::fs::write(directory.path().join(name), record(&[label], 10 * label)).unwrap();
        }
        files.iter().for_each(|(name, bytes)| std::fs::write(directory.path().join(name), bytes).unwrap());
        directory
    }

    #[test]
    fn the_batches_of_cifar_10_follow_each_other_and_the_classes_have_names() {
        let names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
        let directory = ten(&[("test_batch.bin", record(&[9], 200)), ("batches.meta.txt", names.into())]);
        let data = load(directory.path(), in_directory(directory.path()).unwrap()).unwrap();
        assert_eq!((data.shape, data.train.labels.clone(), &data.classes[9][..]), (SHAPE, vec![0, 1, 2, 3, 4], "truck"));
        assert_eq!((data.train.input(4, 3072)[0], data.train.input(4, 3072)[1024], data.train.input(4, 3072)[3071]), (40., 41., 42.));
        assert_eq!(data.test.unwrap().labels, [9]);
        let unnamed = load(ten(&[]).path(), Cifar::Ten).unwrap();
        assert_eq!((unnamed.classes.len(), unnamed.numbered, unnamed.test), (5, true, None));
    }

    #[test]
    fn of_cifar_100_the_fine_labels_are_taken() {
        let samples = parse_cifar(&[record(&[3, 99], 7), record(&[1, 0], 8)].concat(), Cifar::Hundred).unwrap();
        assert_eq!((samples.labels, samples.inputs[0], samples.inputs[3072 + 1024]), (vec![99, 0], 7.0, 9.0));
    }

    #[test]
    fn refuses_other_sizes_other_labels_and_a_missing_batch() {
        for bytes in [vec![], record(&[1], 0)[1..].to_vec(), [record(&[1], 0), vec![0]].concat()] {
            assert!(matches!(parse_cifar(&bytes, Cifar::Ten), Err(CifarError::Size { record: 3073, .. })), "{}", bytes.len());
        }
        let text = load(ten(&[("data_batch_3.bin", record(&[10], 0))]).path(), Cifar::Ten).unwrap_err().to_string();
        assert!(text.ends_with("data_batch_3.bin gives record 0 (from 0) the label 10, and there are 10 classes; fetch the file again"));
        let directory = ten(&[]);
        std::fs::remove_file(directory.path().join("data_batch_2.bin")).unwrap();
        let text = load(directory.path(), Cifar::Ten).unwrap_err().to_string();
        assert!(text.ends_with("has no file data_batch_2.bin (or data_batch_2.bin.gz), which CIFAR-10 needs"), "{text}");
    }
}
