//! A data set from a directory in MNIST's form: images and labels as IDX files, to train on and perhaps to test on.
//!
//! How a file is read is the matter of [`idx`](super::idx); files of other names are not looked at.

use std::path::{Path, PathBuf};

use pg_core::shape::Shape;

use super::assemble::{Labelled, assemble};
use super::idx::{Element, Idx, parse_idx};
use super::{DataError, Dataset, Samples, class_names, last_part, read, unpack};

/// One file of a pair: its name, for errors, and its unpacked bytes.
struct File {
    name: String,
    bytes: Vec<u8>,
}

impl File {
    fn parse(&self) -> Result<Idx<'_>, DataError> {
        parse_idx(&self.bytes).map_err(|reason| DataError::Idx { file: self.name.clone(), reason })
    }
}

/// Images and their labels.
pub(super) struct Pair {
    images: File,
    labels: File,
}

impl Pair {
    /// From gzipped bytes in memory, each with a name for errors.
    pub(super) fn from_packed(images: (&str, &[u8]), labels: (&str, &[u8])) -> Result<Self, DataError> {
        let file = |(name, bytes): (&str, &[u8])| Ok::<_, DataError>(File { name: name.into(), bytes: unpack(name, bytes.to_vec())? });
        Ok(Self { images: file(images)?, labels: file(labels)? })
    }

    /// From a directory; `None` if it has neither images nor labels of this part.
    fn from_directory(directory: &Path, part: &Part) -> Result<Option<Self>, DataError> {
        let file = |path: PathBuf| Ok::<_, DataError>(File { name: path.display().to_string(), bytes: read(&path)? });
        let missing = |file| Err(DataError::MissingFile { directory: directory.into(), file, form: FORM });
        match (part.look_for("images", directory), part.look_for("labels", directory)) {
            (Some(images), Some(labels)) => Ok(Some(Self { images: file(images)?, labels: file(labels)? })),
            (Some(_), None) => missing(part.labels),
            (None, Some(_)) => missing(part.images),
            (None, None) => Ok(None),
        }
    }

    /// Reads both files and matches them.
    pub(super) fn samples(self) -> Result<Labelled, DataError> {
        let (images, labels) = (self.images.parse()?, self.labels.parse()?);
        let rank = |file: &File, idx: &Idx<'_>, purpose, needed| {
            Err(DataError::Rank { file: file.name.clone(), rank: idx.dims.len(), purpose, needed })
        };
        let Some(shape) = shape_of(&images) else { return rank(&self.images, &images, "images", "2, 3 or 4") };
        let [count] = labels.dims[..] else { return rank(&self.labels, &labels, "labels", "1") };
        if labels.element != Element::U8 {
            return Err(DataError::LabelType { file: self.labels.name.clone(), element: labels.element });
        }
        if images.dims[0] != count {
            let (images, labels, samples) = (self.images.name.clone(), self.labels.name.clone(), images.dims[0]);
            return Err(DataError::Counts { images, samples, labels, count });
        }
        let labels = labels.bytes.iter().map(|&label| label.into()).collect();
        let samples = Samples { inputs: images.values().collect(), labels };
        Ok(Labelled { inputs: self.images.name.clone(), labels: self.labels.name.clone(), shape, samples })
    }
}

/// For errors.
const FORM: &str = "the IDX form";

/// How MNIST calls the files of one part.
struct Part {
    prefix: &'static str,
    images: &'static str,
    labels: &'static str,
}

const TRAIN: Part = Part { prefix: "train", images: "train-images-idx3-ubyte", labels: "train-labels-idx1-ubyte" };
const TEST: Part = Part { prefix: "t10k", images: "t10k-images-idx3-ubyte", labels: "t10k-labels-idx1-ubyte" };

impl Part {
    /// The file of this kind: any rank in its name, a dash or a dot before it, unpacked or gzipped; the usual name first.
    fn look_for(&self, kind: &str, directory: &Path) -> Option<PathBuf> {
        let ranks: &[u8] = if kind == "labels" { &[1] } else { &[3, 2, 4] };
        let named = |rank, dash, end| directory.join(format!("{}-{kind}{dash}idx{rank}-ubyte{end}", self.prefix));
        let dashes = |rank| ["-", "."].into_iter().flat_map(move |dash| ["", ".gz"].map(|end| named(rank, dash, end)));
        ranks.iter().flat_map(|&rank| dashes(rank)).find(|path| path.is_file())
    }
}

/// Whether a directory has any of these files.
pub(super) fn is_here(directory: &Path) -> bool {
    [TRAIN, TEST].iter().any(|part| ["images", "labels"].iter().any(|kind| part.look_for(kind, directory).is_some()))
}

/// A directory in MNIST's form: `train-…`, for a test set `t10k-…`, and for the names of the classes `classes.txt`.
pub(super) fn load(directory: &Path) -> Result<Dataset, DataError> {
    load_named(directory, class_names::of_directory(directory)?)
}

/// The same with these names of classes.
pub(super) fn load_named(directory: &Path, classes: Option<Vec<String>>) -> Result<Dataset, DataError> {
    let missing = DataError::MissingFile { directory: directory.into(), file: TRAIN.images, form: FORM };
    let train = Pair::from_directory(directory, &TRAIN)?.ok_or(missing)?.samples()?;
    let test = Pair::from_directory(directory, &TEST)?.map(Pair::samples).transpose()?;
    assemble(last_part(directory), train, test, classes)
}

/// The shape of one sample: (n, features), (n, H, W) or (n, C, H, W).
fn shape_of(idx: &Idx<'_>) -> Option<Shape> {
    match idx.dims[..] {
        [_, features] => Some(Shape::new(features, 1, 1)),
        [_, height, width] => Some(Shape::new(1, height, width)),
        [_, channels, height, width] => Some(Shape::new(channels, height, width)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::idx::tests::idx;
    use super::*;

    /// A directory with the given files.
    fn directory(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(directory.path().join(name), bytes).unwrap();
        }
        directory
    }

    fn refusal(files: &[(&str, Vec<u8>)]) -> String {
        load(directory(files).path()).and_then(Dataset::checked).unwrap_err().to_string()
    }

    const IMAGES: &str = "train-images-idx3-ubyte";
    const LABELS: &str = "train-labels-idx1-ubyte";

    #[test]
    fn a_directory_gives_shape_classes_and_a_test_set_if_there_is_one() {
        let two = [(IMAGES, idx(8, &[3, 2, 2], &[5; 12])), (LABELS, idx(8, &[3], &[0, 1, 2]))];
        let data = load(directory(&two).path()).unwrap();
        assert_eq!((data.shape, data.train.len(), data.test), (Shape::new(1, 2, 2), 3, None));
        assert_eq!(data.classes, ["0", "1", "2"]);
        assert_eq!(data.train.input(2, 4), [5.0; 4]);

        let [images, labels] = two;
        let test = [("t10k-images-idx3-ubyte", idx(8, &[1, 2, 2], &[6; 4])), ("t10k-labels-idx1-ubyte", idx(8, &[1], &[2]))];
        let [test_images, test_labels] = test;
        let data = load(directory(&[images, labels, test_images, test_labels]).path()).unwrap();
        assert_eq!(data.test.unwrap(), Samples { inputs: vec![6.0; 4], labels: vec![2] });
    }

    #[test]
    fn a_file_names_the_classes_and_must_name_all_of_them() {
        let files = [(IMAGES, idx(8, &[3, 1, 1], &[5; 3])), (LABELS, idx(8, &[3], &[0, 1, 2]))];
        let named = |names: &str| [&files[..], &[("classes.txt", names.into())]].concat();
        let data = load(directory(&named("sit\nstand\nlie\n")).path()).unwrap();
        assert_eq!((&data.classes[..], data.numbered), (&["sit", "stand", "lie"].map(String::from)[..], false));
        assert!(refusal(&named("sit\nstand\n")).contains("the label 2, and there are 2 classes"));
    }

    #[test]
    fn two_three_and_four_dimensions_are_features_images_and_channels() {
        let dims: [(&str, &[u32], Shape); 4] = [
            ("train-images-idx2-ubyte", &[2, 6], Shape::new(6, 1, 1)),
            (IMAGES, &[2, 2, 3], Shape::new(1, 2, 3)),
            ("train-images.idx3-ubyte", &[2, 6], Shape::new(6, 1, 1)),
            ("train-images-idx4-ubyte", &[2, 3, 2, 1], Shape::new(3, 2, 1)),
        ];
        for (file, dims, shape) in dims {
            let files = [(file, idx(8, dims, &[0; 12])), (LABELS, idx(8, &[2], &[0, 1]))];
            assert_eq!(load(directory(&files).path()).unwrap().shape, shape);
        }
    }

    #[test]
    fn refuses_a_directory_that_lacks_a_file_and_names_it() {
        assert!(refusal(&[]).ends_with("has no file train-images-idx3-ubyte (or train-images-idx3-ubyte.gz), which the IDX form needs"));
        assert!(refusal(&[(IMAGES, idx(8, &[1, 1, 1], &[0]))]).contains("has no file train-labels-idx1-ubyte"));
        let train = [(IMAGES, idx(8, &[2, 1, 1], &[0; 2])), (LABELS, idx(8, &[2], &[0, 1]))];
        let text = refusal(&[&train[..], &[("t10k-labels-idx1-ubyte", idx(8, &[1], &[0]))]].concat());
        assert!(text.contains("has no file t10k-images-idx3-ubyte"), "{text}");
    }

    #[test]
    fn refuses_images_and_labels_that_do_not_belong_together() {
        let images = (IMAGES, idx(8, &[3, 1, 1], &[0; 3]));
        let text = refusal(&[images.clone(), (LABELS, idx(8, &[2], &[0, 1]))]);
        assert!(text.contains("holds 3 samples and") && text.contains("2 labels"), "{text}");
        assert!(refusal(&[images.clone(), (LABELS, idx(8, &[3, 1], &[0; 3]))]).contains("has 2 dimensions, and labels need 1"));
        assert!(refusal(&[images, (LABELS, idx(0x0d, &[3], &[0; 12]))]).contains("holds f32, and labels must be u8"));
        assert!(refusal(&[(IMAGES, idx(8, &[3], &[0; 3])), (LABELS, idx(8, &[3], &[0; 3]))]).contains("images need 2, 3 or 4"));
    }

    #[test]
    fn refuses_an_empty_class_and_names_it() {
        let text = refusal(&[(IMAGES, idx(8, &[3, 1, 1], &[0; 3])), (LABELS, idx(8, &[3], &[0, 1, 3]))]);
        assert!(text.starts_with("class 2 of ") && text.contains("has no sample to train on"), "{text}");
        assert!(refusal(&[(IMAGES, idx(8, &[2, 1, 1], &[0; 2])), (LABELS, idx(8, &[2], &[0, 0]))]).contains("are of one class, 0"));
    }

    #[test]
    fn refuses_a_test_set_of_another_shape_or_with_unknown_labels() {
        let train = [(IMAGES, idx(8, &[2, 1, 2], &[0; 4])), (LABELS, idx(8, &[2], &[0, 1]))];
        let with = |dims: &[u32], label| {
            let test = [("t10k-images-idx3-ubyte", idx(8, dims, &[0; 2])), ("t10k-labels-idx1-ubyte", idx(8, &[1], &[label]))];
            refusal(&[train.to_vec(), test.to_vec()].concat())
        };
        assert!(with(&[1, 2, 1], 0).ends_with("holds samples of 1x2x1, and those to train on are 1x1x2"));
        assert!(with(&[1, 1, 2], 9).ends_with("gives sample 0 (from 0) the label 9, and there are 2 classes (labels 0 to 1)"));
    }
}
