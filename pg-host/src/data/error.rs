//! Why there is no data set: every refusal of this module and what to do about it.
//!
//! The refusals of the two file formats stand with their formats; here they get the name of the file.

use std::path::PathBuf;

use pg_core::shape::Shape;

use super::{ArrayError, CifarError, CsvError, Element, IdxError, PictureError, SvhnError, bundled, installed};

/// Names, for a sentence.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// Why there is no data set. Each text is a whole sentence: the causes are in it, not behind `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Neither a bundled name nor an existing path.
    #[error(
        "there is no data set called `{name}`{}; bundled are {}, a package brings {}; or give a directory or a CSV file that exists",
        suggestion.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default(),
        names(bundled().iter().map(|set| set.name)),
        names(installed().iter().map(|set| set.name))
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The known name that is nearest to it.
        suggestion: Option<&'static str>,
    },
    /// A data set of a package that is not there.
    #[error(
        "{name} is not on this machine: on Debian and Ubuntu `apt-get install -y {package}` brings it; elsewhere put its IDX files into \
         DIRECTORY/{name} and set {variable}=DIRECTORY"
    )]
    NotInstalled {
        /// The data set.
        name: &'static str,
        /// Debian's package.
        package: &'static str,
        /// The variable that names another directory.
        variable: &'static str,
    },
    /// Samples that cannot be read as the shape that was asked for.
    #[error("--as {wanted} has {} values, and a sample of {data} has {}: {shape}", wanted.len(), shape.len())]
    Reinterpreted {
        /// The data set.
        data: String,
        /// The shape of its samples.
        shape: Shape,
        /// What was asked for.
        wanted: Shape,
    },
    /// A file that does not name classes.
    #[error("{file} {reason}")]
    ClassNames {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that is called neither `.csv` nor `.npz`.
    #[error("{} is neither a directory nor called .csv, .csv.gz or .npz; for IDX files give the directory that holds them", path.display())]
    NotData {
        /// The path.
        path: PathBuf,
    },
    /// Options for CSV files with something else.
    #[error("a label column or a test file can only be chosen for a CSV file, and `{name}` is none; leave them out")]
    CsvOnly {
        /// What was asked for.
        name: String,
    },
    /// A file that could not be read.
    #[error("{file} cannot be read: {reason}")]
    Read {
        /// The file.
        file: String,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A file that begins like gzip and does not go on like it.
    #[error("{file} is damaged, its gzip data cannot be unpacked ({reason}); fetch the file again")]
    Gzip {
        /// The file.
        file: String,
        /// The decoder's reason.
        reason: std::io::Error,
    },
    /// A directory without a file that its form needs.
    #[error("{} has no file {file} (or {file}.gz), which {form} needs", directory.display())]
    MissingFile {
        /// The directory.
        directory: PathBuf,
        /// The usual name of what is missing.
        file: &'static str,
        /// The form that needs it.
        form: &'static str,
    },
    /// A directory in no form that is known.
    #[error("{} holds no data in a form that is known: the IDX files of MNIST, the batches of CIFAR, the 32x32 digits of SVHN, x_train.npy and y_train.npy, or pictures in a folder for each class", directory.display())]
    NoForm {
        /// The directory.
        directory: PathBuf,
    },
    /// A file that is not CIFAR's.
    #[error("{file} {reason}")]
    Cifar {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: CifarError,
    },
    /// A file that is not SVHN's.
    #[error("{file} {reason}")]
    Svhn {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: SvhnError,
    },
    /// NumPy arrays that are no data set.
    #[error(transparent)]
    Arrays(ArrayError),
    /// A folder of pictures that is no data set.
    #[error(transparent)]
    Pictures(PictureError),
    /// A file that is not IDX.
    #[error("{file} {reason}")]
    Idx {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: IdxError,
    },
    /// A CSV file that does not hold what it should.
    #[error("{file}, {reason}")]
    Csv {
        /// The file.
        file: String,
        /// Where and what.
        reason: CsvError,
    },
    /// An IDX file with dimensions that do not suit its purpose.
    #[error("{file} has {rank} dimensions, and {purpose} need {needed}")]
    Rank {
        /// The file.
        file: String,
        /// Its dimensions.
        rank: usize,
        /// "images" or "labels".
        purpose: &'static str,
        /// What they need.
        needed: &'static str,
    },
    /// An IDX label file of another type than u8.
    #[error("{file} holds {element}, and labels must be u8")]
    LabelType {
        /// The file.
        file: String,
        /// Its element type.
        element: Element,
    },
    /// Images and labels that do not belong together.
    #[error("{images} holds {samples} samples and {labels} {count} labels; each sample needs one label")]
    Counts {
        /// The file of the images.
        images: String,
        /// How many it holds.
        samples: usize,
        /// The file of the labels.
        labels: String,
        /// How many it holds.
        count: usize,
    },
    /// Test samples of another shape.
    #[error("{file} holds samples of {test}, and those to train on are {train}")]
    ShapesDiffer {
        /// The file of the test samples.
        file: String,
        /// Their shape.
        test: Shape,
        /// The shape of the others.
        train: Shape,
    },
    /// A label beyond the classes.
    #[error("{file} gives sample {sample} (from 0) the label {label}, and there are {classes} classes (labels 0 to {})", classes - 1)]
    LabelOutOfRange {
        /// The file of the labels.
        file: String,
        /// The sample, counted from 0.
        sample: usize,
        /// Its label.
        label: u16,
        /// How many classes there are.
        classes: usize,
    },
    /// A class that only the test file has.
    #[error("{file}, line {line}: the class `{label}` is not in the samples to train on")]
    UnknownClass {
        /// The test file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The class.
        label: String,
    },
    /// A test file with other columns than the training file.
    #[error("{test} does not have the columns of {train}: both need the same header line (or none) and the label in the same column")]
    ColumnsDiffer {
        /// The test file.
        test: PathBuf,
        /// The training file.
        train: PathBuf,
    },
    /// More classes than a label can say.
    #[error("{file} has {count} different labels, more than 65536; is `{column}` the column of the classes?")]
    TooManyClasses {
        /// The file.
        file: String,
        /// How many classes.
        count: usize,
        /// The label column.
        column: String,
    },
    /// A class without a sample to learn from.
    #[error("class {class} of {data} has no sample to train on; add some, or number the classes without gaps from 0")]
    EmptyClass {
        /// The class.
        class: String,
        /// The data set.
        data: String,
    },
    /// Nothing to tell apart.
    #[error("all samples of {data} are of one class, {class}; a classifier needs at least two")]
    OneClass {
        /// The class.
        class: String,
        /// The data set.
        data: String,
    },
    /// No test part, and none can be put aside.
    #[error("{data} has {samples} samples, too few samples to put a test part aside: give --test FILE or more rows")]
    NoTestPart {
        /// The data set.
        data: String,
        /// How many samples there are.
        samples: usize,
    },
    /// A share of samples to hold out that makes no sense.
    #[error("the fraction of samples to hold out is {0}; it must be between 0 and 0.9")]
    Fraction(f64),
    /// A share that holds out no sample.
    #[error("a fraction of {fraction} holds out none of {samples} samples (each class keeps one); use a larger one, more data, or 0")]
    NothingHeldOut {
        /// The share that was asked for.
        fraction: f64,
        /// How many samples there are.
        samples: usize,
    },
}
