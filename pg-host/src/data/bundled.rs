//! The data sets inside the program, so that it works from any directory.
//!
//! All are real recordings; `data/*/README.md` names their authors and licences. Nothing is written to disk.

use std::ops::Range;

use pg_core::shape::Shape;

use super::assemble::assemble;
use super::csv::parse_csv;
use super::directory::Pair;
use super::installed::{FASHION, installed};
use super::{DataError, Dataset, Samples};

/// A data set inside the program.
pub struct Bundled {
    /// What to ask for.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Who made it, and under which licence.
    pub credit: &'static str,
    load: fn(&'static str) -> Result<Dataset, DataError>,
}

static BUNDLED: [Bundled; 3] = [
    Bundled {
        name: "digits",
        summary: "handwritten digits, 1x8x8, 10 classes, 1200 to train on and 597 by other writers to test",
        credit: "E. Alpaydin and C. Kaynak (UCI), CC BY 4.0",
        load: digits,
    },
    Bundled {
        name: "vowel",
        summary: "spoken English vowels, 9 features, 11 classes, 528 to train on and 462 by other speakers to test",
        credit: "D. Deterding (UCI), CC BY 4.0",
        load: vowel,
    },
    Bundled {
        name: "fashion-tiny",
        summary: "clothes (of Fashion-MNIST), 1x28x28, 10 classes, 1000 to train on and 400 to test",
        credit: "Zalando SE, MIT",
        load: fashion_tiny,
    },
];

/// The data sets inside the program, the default first.
pub fn bundled() -> &'static [Bundled] {
    &BUNDLED
}

/// Loads the data set of that name, if there is one.
pub(super) fn load(name: &str) -> Option<Result<Dataset, DataError>> {
    BUNDLED.iter().find(|set| set.name == name).map(|set| (set.load)(set.name))
}

/// The name that was probably meant, of these and of those that a package brings: one that is at most two edits away, or begins alike.
pub(super) fn suggest(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let alike = |known: &str| name.len() >= 3 && (known.starts_with(&name) || name.starts_with(known));
    let distance = |known: &'static str| if alike(known) { 0 } else { edits(&name, known) };
    let known = BUNDLED.iter().map(|set| set.name).chain(installed().iter().map(|set| set.name));
    known.map(|known| (distance(known), known)).min_by_key(|&(distance, _)| distance).filter(|near| near.0 <= 2).map(|near| near.1)
}

/// Levenshtein's distance: insertions, deletions and substitutions of bytes. One row at a time.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, byte) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(byte != other);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// A gzipped IDX pair of `data/`.
macro_rules! pair {
    ($directory:literal, $part:literal) => {
        Pair::from_packed(
            (
                concat!($directory, "/", $part, "-images-idx3-ubyte"),
                include_bytes!(concat!("../../data/", $directory, "/", $part, "-images-idx3-ubyte.gz")),
            ),
            (
                concat!($directory, "/", $part, "-labels-idx1-ubyte"),
                include_bytes!(concat!("../../data/", $directory, "/", $part, "-labels-idx1-ubyte.gz")),
            ),
        )
    };
}

fn idx(name: &str, train: Pair, test: Pair, classes: &[&str]) -> Result<Dataset, DataError> {
    assemble(name.into(), train.samples()?, Some(test.samples()?), Some(classes.iter().map(|name| name.to_string()).collect()))
}

fn digits(name: &'static str) -> Result<Dataset, DataError> {
    const CLASSES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    idx(name, pair!("digits8x8", "train")?, pair!("digits8x8", "t10k")?, &CLASSES)
}

fn fashion_tiny(name: &'static str) -> Result<Dataset, DataError> {
    idx(name, pair!("fashion-tiny", "train")?, pair!("fashion-tiny", "t10k")?, &FASHION)
}

fn vowel(name: &'static str) -> Result<Dataset, DataError> {
    // The word that was said, in the spelling of UCI, by label.
    const CLASSES: [&str; 11] = ["hid", "hId", "hEd", "hAd", "hYd", "had", "hOd", "hod", "hUd", "hud", "hed"];
    const TRAIN_SPEAKERS: Range<f32> = 0.0..8.0;
    let file = || "vowel/vowel.csv".to_string();
    let csv =
        parse_csv(include_bytes!("../../data/vowel/vowel.csv"), Some("label")).map_err(|reason| DataError::Csv { file: file(), reason })?;
    let (mut train, mut test) = (Samples::default(), Samples::default());
    for (sample, (row, label)) in csv.inputs.chunks_exact(csv.features).zip(&csv.labels).enumerate() {
        let label = label.parse().unwrap_or(u16::MAX);
        if usize::from(label) >= CLASSES.len() {
            return Err(DataError::LabelOutOfRange { file: file(), sample, label, classes: CLASSES.len() });
        }
        let part = if TRAIN_SPEAKERS.contains(&row[0]) { &mut train } else { &mut test };
        part.inputs.extend_from_slice(&row[1..]);
        part.labels.push(label);
    }
    let shape = Shape::new(csv.features - 1, 1, 1);
    let classes = CLASSES.map(String::from).to_vec();
    Ok(Dataset { name: name.into(), shape, classes, numbered: false, train, test: Some(test) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of all values: a fingerprint of what is bundled.
    fn sum(samples: &Samples) -> f64 {
        samples.inputs.iter().map(|&value| f64::from(value)).sum()
    }

    #[test]
    fn every_bundled_set_is_complete() {
        let facts = [
            ("digits", Shape::new(1, 8, 8), 10, 1200, 597),
            ("vowel", Shape::new(9, 1, 1), 11, 528, 462),
            ("fashion-tiny", Shape::new(1, 28, 28), 10, 1000, 400),
        ];
        assert_eq!(bundled().iter().map(|set| set.name).collect::<Vec<_>>(), facts.map(|fact| fact.0));
        for (name, shape, classes, train, test) in facts {
            let set = load(name).unwrap().unwrap();
            let tested = set.test.unwrap();
            assert_eq!((set.shape, set.classes.len(), set.train.len(), tested.len()), (shape, classes, train, test), "{name}");
            assert_eq!(set.train.inputs.len(), train * shape.len());
            assert_eq!(tested.inputs.len(), test * shape.len());
            assert!(tested.counts(classes).iter().all(|&count| count > 0), "{name}");
        }
    }

    #[test]
    fn the_digits_are_those_of_scikit_learn() {
        // d = sklearn.datasets.load_digits(); d.data[:1200].sum(), d.data[1200:].sum(), d.target[:3], d.target[1200:1203]
        let set = load("digits").unwrap().unwrap();
        let test = set.test.unwrap();
        assert_eq!((sum(&set.train), sum(&test)), (376_421.0, 185_297.0));
        assert_eq!((&set.train.labels[..3], &test.labels[..3]), (&[0, 1, 2][..], &[7, 7, 3][..]));
        assert_eq!(&set.train.input(0, 64)[..8], [0., 0., 5., 13., 9., 1., 0., 0.]);
    }

    #[test]
    fn the_speakers_of_the_vowels_do_not_become_a_feature() {
        let set = load("vowel").unwrap().unwrap();
        assert_eq!(set.train.input(0, 9), [-3.639, -0.67, 1.779, -0.168, 1.627, -0.388, 0.529, -0.874, -0.814]);
        assert_eq!(set.train.counts(11), [48; 11]);
    }

    #[test]
    fn suggests_the_nearest_name() {
        let suggestions = [
            ("digit", "digits"),
            ("Digits", "digits"),
            ("vowels", "vowel"),
            ("fashion", "fashion-tiny"),
            ("dgitis", "digits"),
            ("fashion_mnist", "fashion-mnist"),
        ];
        for (given, meant) in suggestions {
            assert_eq!(suggest(given), Some(meant), "{given}");
        }
        assert_eq!((suggest("mnist"), suggest(""), suggest("a/b/c.csv")), (None, None, None));
        assert_eq!((edits("kitten", "sitting"), edits("", "abc"), edits("same", "same")), (3, 3, 0));
    }
}
