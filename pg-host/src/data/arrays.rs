//! A data set from NumPy arrays: an `.npz` archive, or a directory of `.npy` files.
//!
//! The arrays go by the names that keras, scikit-learn and MedMNIST give them. A validation part is not looked at. How one array is read is
//! the matter of [`npy`](super::npy).

use std::io::{Cursor, Read};
use std::path::Path;

use pg_core::shape::Shape;
use zip::ZipArchive;

use super::assemble::{Labelled, assemble};
use super::csv::clip;
use super::npy::{Npy, NpyError, parse_npy};
use super::{DataError, Dataset, Samples, class_names, last_part, read};

/// Names of inputs and labels to train on, in any case of letters; the first pair that is there counts.
const TRAIN: [[&str; 2]; 7] = [
    ["x_train", "y_train"],
    ["train_images", "train_labels"],
    ["train_x", "train_y"],
    ["x", "y"],
    ["images", "labels"],
    ["data", "labels"],
    ["data", "target"],
];

/// The same to test on.
const TEST: [[&str; 2]; 3] = [["x_test", "y_test"], ["test_images", "test_labels"], ["test_x", "test_y"]];

/// Why arrays are no data set. Each text is a whole sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayError {
    /// A file that is no array.
    #[error("{array} {reason}")]
    Npy {
        /// The array.
        array: String,
        /// What is wrong with it.
        reason: NpyError,
    },
    /// A file that is no archive.
    #[error("{file} is damaged, its zip archive cannot be unpacked ({reason}); fetch the file again")]
    Zip {
        /// The file.
        file: String,
        /// The decoder's reason.
        reason: String,
    },
    /// No arrays of names that are known.
    #[error("{place} has no arrays x_train and y_train (or train_images and train_labels, or x and y); it has {names}")]
    Names {
        /// The archive or directory.
        place: String,
        /// What it has.
        names: String,
    },
    /// Inputs without labels, or the other way round.
    #[error("{place} has an array {there} and no array {missing}; save both")]
    Half {
        /// The archive or directory.
        place: String,
        /// What it has.
        there: &'static str,
        /// What it has not.
        missing: &'static str,
    },
    /// Dimensions that do not suit their purpose.
    #[error("{array} has the sizes {dims:?}, and {needed}")]
    Dims {
        /// The array.
        array: String,
        /// Its sizes.
        dims: Vec<usize>,
        /// What is needed.
        needed: &'static str,
    },
    /// A label that is none.
    #[error("{array} has as element {at} (from 0) no class: labels must be whole numbers from 0 to 65535")]
    Label {
        /// The array.
        array: String,
        /// Which element.
        at: usize,
    },
}

impl From<ArrayError> for DataError {
    fn from(error: ArrayError) -> Self {
        DataError::Arrays(error)
    }
}

/// Arrays by name.
struct Arrays {
    place: String,
    /// Each array's name as it is written, without `.npy`.
    names: Vec<String>,
    source: Source,
}

enum Source {
    Archive(ZipArchive<Cursor<Vec<u8>>>),
    Directory,
}

/// Whether a file is called `.npz`.
pub(super) fn has_npz_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
}

/// Whether a directory has an array by one of the names.
pub(super) fn is_here(directory: &Path) -> bool {
    let known = |name: &String| TRAIN.iter().chain(&TEST).flatten().any(|known| name.eq_ignore_ascii_case(known));
    files(directory).is_ok_and(|names| names.iter().any(known))
}

/// An `.npz` archive, or a directory of `.npy` files, in which a `classes.txt` may name the classes.
pub(super) fn load(path: &Path) -> Result<Dataset, DataError> {
    let place = path.display().to_string();
    let (mut arrays, classes) = if path.is_dir() {
        (Arrays { place, names: files(path)?, source: Source::Directory }, class_names::of_directory(path)?)
    } else {
        let damaged = |reason: zip::result::ZipError| ArrayError::Zip { file: place.clone(), reason: reason.to_string() };
        let archive = ZipArchive::new(Cursor::new(read(path)?)).map_err(damaged)?;
        let names = archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_string())).collect();
        (Arrays { place, names, source: Source::Archive(archive) }, None)
    };
    let missing = ArrayError::Names { place: arrays.place.clone(), names: arrays.list() };
    let train = arrays.part(&TRAIN)?.ok_or(missing)?;
    let test = arrays.part(&TEST)?;
    assemble(last_part(path), train, test, classes)
}

/// The names of the `.npy` files in a directory.
fn files(directory: &Path) -> Result<Vec<String>, DataError> {
    let cannot = |reason| DataError::Read { file: directory.display().to_string(), reason };
    let entries = std::fs::read_dir(directory).map_err(cannot)?.map(|entry| Ok(entry.map_err(cannot)?.file_name()));
    let mut names = entries.collect::<Result<Vec<_>, DataError>>()?;
    names.sort();
    Ok(names.iter().filter_map(|name| Some(name.to_str()?.strip_suffix(".npy")?.to_string())).collect())
}

impl Arrays {
    /// What there is, for a sentence.
    fn list(&self) -> String {
        match &self.names[..] {
            [] => "none".into(),
            names => clip(&names.join(", ")),
        }
    }

    /// The name as it is written of an array that is known by `name`.
    fn written(&self, name: &str) -> Option<String> {
        self.names.iter().find(|written| written.eq_ignore_ascii_case(name)).cloned()
    }

    /// The samples of the first pair of names that is there.
    fn part(&mut self, pairs: &[[&'static str; 2]]) -> Result<Option<Labelled>, DataError> {
        for pair in pairs {
            if let [Some(inputs), Some(labels)] = [self.written(pair[0]), self.written(pair[1])] {
                return self.samples(&inputs, &labels).map(Some);
            }
        }
        for &[inputs, labels] in pairs {
            let (there, missing) = match (self.written(inputs), self.written(labels)) {
                (Some(_), None) => (inputs, labels),
                (None, Some(_)) => (labels, inputs),
                _ => continue,
            };
            return Err(ArrayError::Half { place: self.place.clone(), there, missing }.into());
        }
        Ok(None)
    }

    fn samples(&mut self, inputs: &str, labels: &str) -> Result<Labelled, DataError> {
        let [(inputs_name, inputs), (labels_name, labels)] = [self.bytes(inputs)?, self.bytes(labels)?];
        let (inputs, labels) = (parse(&inputs_name, &inputs)?, parse(&labels_name, &labels)?);
        let needed = "labels need one for each sample: (samples) or (samples, 1)";
        let ([count] | [count, 1]) = labels.dims[..] else {
            return Err(ArrayError::Dims { array: labels_name, dims: labels.dims, needed }.into());
        };
        if inputs.dims[0] != count {
            return Err(DataError::Counts { images: inputs_name, samples: inputs.dims[0], labels: labels_name, count });
        }
        let needed = "inputs need (samples, features), (samples, height, width) or (samples, channels, height, width)";
        let Some((shape, channels_last)) = shape_of(&inputs) else {
            return Err(ArrayError::Dims { array: inputs_name, dims: inputs.dims, needed }.into());
        };
        let labels = labels.labels().map_err(|at| ArrayError::Label { array: labels_name.clone(), at })?;
        let mut values: Vec<f32> = inputs.values().collect();
        if channels_last {
            values = channels_first(&values, shape);
        }
        Ok(Labelled { inputs: inputs_name, labels: labels_name, shape, samples: Samples { inputs: values, labels } })
    }

    /// The bytes of an array, and what to call it in an error.
    fn bytes(&mut self, name: &str) -> Result<(String, Vec<u8>), DataError> {
        let file = format!("{name}.npy");
        match &mut self.source {
            Source::Directory => {
                let path = Path::new(&self.place).join(file);
                Ok((path.display().to_string(), read(&path)?))
            }
            Source::Archive(archive) => {
                let damaged = |reason: String| ArrayError::Zip { file: self.place.clone(), reason };
                let mut bytes = Vec::new();
                let mut entry = archive.by_name(&file).map_err(|reason| damaged(reason.to_string()))?;
                entry.read_to_end(&mut bytes).map_err(|reason| damaged(reason.to_string()))?;
                Ok((format!("{}, array {name},", self.place), bytes))
            }
        }
    }
}

fn parse<'a>(name: &str, bytes: &'a [u8]) -> Result<Npy<'a>, DataError> {
    parse_npy(bytes).map_err(|reason| ArrayError::Npy { array: name.into(), reason }.into())
}

/// The shape of one sample, and whether its channels come last: only where the last size is one that channels have and the second is none.
fn shape_of(npy: &Npy<'_>) -> Option<(Shape, bool)> {
    const CHANNELS: [usize; 3] = [1, 3, 4];
    match npy.dims[..] {
        [_, features] => Some((Shape::new(features, 1, 1), false)),
        [_, height, width] => Some((Shape::new(1, height, width), false)),
        [_, height, width, channels] if CHANNELS.contains(&channels) && !CHANNELS.contains(&height) => {
            Some((Shape::new(channels, height, width), true))
        }
        [_, channels, height, width] => Some((Shape::new(channels, height, width), false)),
        _ => None,
    }
}

/// Samples of `shape` whose channels lie side by side, with each channel as a whole.
fn channels_first(values: &[f32], shape: Shape) -> Vec<f32> {
    let channel = |sample: &'_ [f32], channel: usize| sample.iter().skip(channel).step_by(shape.channels).copied().collect::<Vec<_>>();
    values.chunks_exact(shape.len()).flat_map(|sample| (0..shape.channels).flat_map(move |c| channel(sample, c))).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::npy::tests::npy;
    use super::*;

    /// An archive as `numpy.savez_compressed` writes it.
    fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            archive.start_file(format!("{name}.npy"), options).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn load_npz(bytes: &[u8]) -> Result<Dataset, DataError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mine.npz");
        std::fs::write(&path, bytes).unwrap();
        load(&path)
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|i| i as u8).collect()
    }

    #[test]
    fn an_archive_goes_by_the_names_of_keras_and_of_medmnist() {
        let keras = [
            ("x_train", npy("|u1", "(2, 2, 2)", &bytes(8))),
            ("y_train", npy("|u1", "(2,)", &[0, 1])),
            ("x_test", npy("|u1", "(1, 2, 2)", &[9; 4])),
            ("y_test", npy("|u1", "(1,)", &[1])),
        ];
        let data = load_npz(&npz(&keras)).unwrap();
        assert_eq!((&data.name[..], data.shape, data.train.input(1, 4)), ("mine.npz", Shape::new(1, 2, 2), &[4., 5., 6., 7.][..]));
        assert_eq!((data.classes.len(), data.test.unwrap()), (2, Samples { inputs: vec![9.; 4], labels: vec![1] }));
        let medmnist = [
            ("train_images", npy("|u1", "(2, 5, 2, 3)", &bytes(60))),
            ("train_labels", npy("<i8", "(2, 1)", &[0i64, 1].map(i64::to_le_bytes).concat())),
            ("val_images", npy("|u1", "(1,)", &[0])),
        ];
        let data = load_npz(&npz(&medmnist)).unwrap();
        assert_eq!(
            (data.shape, data.train.input(0, 30)[..11].to_vec()),
            (Shape::new(3, 5, 2), vec![0., 3., 6., 9., 12., 15., 18., 21., 24., 27., 1.])
        );
    }

    #[test]
    fn channels_come_last_only_where_that_is_clear() {
        let shape = |shape: &str, count| shape_of(&parse_npy(&npy("|u1", shape, &bytes(count))).unwrap());
        assert_eq!(shape("(1, 6)", 6), Some((Shape::new(6, 1, 1), false)));
        assert_eq!(shape("(1, 5, 6, 3)", 90), Some((Shape::new(3, 5, 6), true)));
        assert_eq!(shape("(1, 3, 6, 3)", 54), Some((Shape::new(3, 6, 3), false)));
        assert_eq!(shape("(1, 6, 1, 8)", 48), Some((Shape::new(6, 1, 8), false)));
        assert_eq!(shape("(6,)", 6), None);
    }

    #[test]
    fn a_directory_of_arrays_may_name_its_classes() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: Vec<u8>| std::fs::write(directory.path().join(name), bytes).unwrap();
        write("X_train.npy", npy("<f4", "(2, 1)", &[0.5f32, -1.0].map(f32::to_le_bytes).concat()));
        write("y_train.npy", npy("|u1", "(2,)", &[1, 0]));
        write("classes.txt", b"no\nyes\n".to_vec());
        assert!(is_here(directory.path()));
        let data = load(directory.path()).unwrap();
        assert_eq!((&data.classes[1][..], data.train.inputs, data.train.labels), ("yes", vec![0.5, -1.0], vec![1, 0]));
    }

    #[test]
    fn refusals_name_the_array_and_what_it_must_be() {
        let x = || ("x", npy("|u1", "(2, 3)", &bytes(6)));
        let y = |descr, shape, bytes: &[u8]| ("y", npy(descr, shape, bytes));
        for (arrays, part) in [
            (
                vec![("a", npy("|u1", "(1,)", &[0]))],
                "no arrays x_train and y_train (or train_images and train_labels, or x and y); it has a",
            ),
            (vec![x()], "has an array x and no array y; save both"),
            (vec![x(), y("|u1", "(3,)", &[0; 3])], "array x, holds 2 samples and"),
            (vec![x(), y("|u1", "(2, 2)", &[0; 4])], "array y, has the sizes [2, 2], and labels need one for each sample"),
            (vec![x(), y("|i1", "(2,)", &[0, 0xff])], "array y, has as element 1 (from 0) no class"),
            (vec![("x", npy("|u1", "(2,)", &[0; 2])), y("|u1", "(2,)", &[0; 2])], "has the sizes [2], and inputs need"),
            (vec![("x", npy("<U1", "(2, 1)", &[0; 8])), y("|u1", "(2,)", &[0; 2])], "array x, holds elements of type `<U1`"),
        ] {
            let text = load_npz(&npz(&arrays)).unwrap_err().to_string();
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(load_npz(b"PK no archive").unwrap_err().to_string().contains("mine.npz is damaged, its zip archive cannot be unpacked"));
    }

    #[test]
    fn an_archive_cut_or_damaged_anywhere_is_refused_or_read_and_never_a_panic() {
        let whole = npz(&[("x", npy("|u1", "(2, 3)", &bytes(6))), ("y", npy("|u1", "(2,)", &[0, 1]))]);
        let good = load_npz(&whole).unwrap();
        for place in 0..whole.len() {
            assert!(load_npz(&whole[..place]).is_err(), "cut at {place}");
            let mut flipped = whole.clone();
            flipped[place] ^= 0x10;
            if let Ok(data) = load_npz(&flipped) {
                assert_eq!(data.train, good.train, "the check sums of zip find a change of the data at {place}");
            }
        }
    }
}
