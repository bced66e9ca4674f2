//! How good predictions are: confusion, precision, recall, F1.
//!
//! Counts and ratios only; the loss is measured elsewhere and handed in.
//!
//! ```
//! use pg_host::metrics::Confusion;
//!
//! let confusion = Confusion::new(&[0, 0, 1], &[0, 1, 1], 2);
//! assert_eq!(confusion.accuracy(), 2.0 / 3.0);
//! assert_eq!(confusion.count(0, 1), 1); // a 0 taken for a 1
//! ```

use core::fmt;

use serde::{Deserialize, Serialize};

/// How often each class was taken for each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// A row for each true class, in it a count for each predicted one.
    counts: Vec<u64>,
}

/// What is reported of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean F1 of all classes; a class that was never right counts 0, also one without a sample, as a small validation part may have it.
    pub macro_f1: f64,
    /// Share of right predictions.
    pub accuracy: f64,
    /// Mean negative log-likelihood of the true class, in nats.
    pub nll: f64,
    /// How far confidence is from accuracy: [`calibration_error`].
    pub ece: f64,
    /// Each class, in the order of the labels.
    pub per_class: Vec<ClassScore>,
}

/// What is reported of one class. A ratio of nothing to nothing is 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// The class.
    pub name: String,
    /// Of the predictions of this class, the share that was right.
    pub precision: f64,
    /// Of the samples of this class, the share that was found.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// Number of samples of this class.
    pub support: u64,
}

impl Confusion {
    /// Counts `predicted` against `truth`, sample by sample.
    ///
    /// # Panics
    /// If the two differ in length, or a class is not below `classes`.
    pub fn new(truth: &[u16], predicted: &[u16], classes: usize) -> Self {
        assert_eq!(truth.len(), predicted.len(), "one prediction for each sample");
        let mut counts = vec![0; classes * classes];
        for (&truth, &predicted) in truth.iter().zip(predicted) {
            let (row, column) = (usize::from(truth), usize::from(predicted));
            assert!(row < classes && column < classes, "class {} is not below {classes}", row.max(column));
            counts[row * classes + column] += 1;
        }
        Self { classes, counts }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many samples of class `truth` were taken for class `predicted`.
    ///
    /// # Panics
    /// If a class is not below [`classes`](Self::classes).
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        assert!(truth < self.classes && predicted < self.classes);
        self.counts[truth * self.classes + predicted]
    }

    /// Share of right predictions; 0 if there are none.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|class| self.count(class, class)).sum();
        ratio(right, self.counts.iter().sum())
    }

    /// Mean F1 of all classes; a class that was never right counts 0, also if it has no samples.
    pub fn macro_f1(&self) -> f64 {
        let sum: f64 = (0..self.classes).map(|class| self.class_score(class, "").f1).sum();
        if self.classes == 0 { 0.0 } else { sum / self.classes as f64 }
    }

    /// Everything, with the classes' names, and the mean NLL in nats and the calibration error that were measured on the same samples.
    ///
    /// # Panics
    /// If there is not one name for each class.
    pub fn scores(&self, names: &[String], nll: f64, ece: f64) -> Scores {
        assert_eq!(names.len(), self.classes, "one name for each class");
        let per_class = names.iter().enumerate().map(|(class, name)| self.class_score(class, name)).collect();
        Scores { macro_f1: self.macro_f1(), accuracy: self.accuracy(), nll, ece, per_class }
    }

    /// precision = right / predicted, recall = right / support, F1 = 2·right / (support + predicted).
    fn class_score(&self, class: usize, name: &str) -> ClassScore {
        let right = self.count(class, class);
        let support = (0..self.classes).map(|predicted| self.count(class, predicted)).sum();
        let predicted = (0..self.classes).map(|truth| self.count(truth, class)).sum();
        let (precision, recall) = (ratio(right, predicted), ratio(right, support));
        ClassScore { name: name.into(), precision, recall, f1: ratio(2 * right, support + predicted), support }
    }

    /// The matrix for people: a row for each true class, a column for each predicted one.
    ///
    /// # Panics
    /// If there is not one name for each class.
    pub fn table<'a>(&'a self, names: &'a [String]) -> Table<'a> {
        assert_eq!(names.len(), self.classes, "one name for each class");
        Table { confusion: self, names }
    }
}

/// Bins of [`calibration_error`].
const BINS: usize = 15;

/// The expected calibration error: predictions in fifteen bins of confidence, `Σ n_b/n · |accuracy_b - confidence_b|` (Guo et al., *On
/// calibration of modern neural networks*, 2017). A bin takes confidences above its lower end, up to its upper end. 0 without predictions.
///
/// `predictions` are each one's confidence, the probability of the predicted class, and whether it was right.
pub fn calibration_error(predictions: impl IntoIterator<Item = (f64, bool)>) -> f64 {
    let mut bins = [0.0; BINS];
    let mut count = 0u64;
    for (confidence, right) in predictions {
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        bins[bin] += f64::from(u8::from(right)) - confidence;
        count += 1;
    }
    if count == 0 { 0.0 } else { bins.iter().map(|bin| bin.abs()).sum::<f64>() / count as f64 }
}

/// 0 of nothing is 0.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A confusion matrix that prints itself.
///
/// ```text
/// true \ predicted  cat  dog
/// cat                 9    1
/// dog                 ·   10
/// ```
///
/// Long names are shortened. Where two of them become the same the columns carry the classes' numbers, and the rows number and name.
pub struct Table<'a> {
    confusion: &'a Confusion,
    names: &'a [String],
}

const CORNER: &str = "true \\ predicted";
/// Longest name at the head of a row.
const ROW_HEAD: usize = 24;
/// Room for the heads of all columns: ten classes make a table of about 100 characters, twenty one of about 150.
const ALL_COLUMNS: usize = 80;

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { confusion, names } = self;
        let room = (ALL_COLUMNS / names.len().max(1)).saturating_sub(2).clamp(4, 10);
        let mut heads: Vec<String> = names.iter().map(|name| shorten(name, room)).collect();
        let mut rows: Vec<String> = names.iter().map(|name| shorten(name, ROW_HEAD)).collect();
        if has_twins(&heads) {
            rows = rows.iter().enumerate().map(|(class, name)| format!("{class} {name}")).collect();
            heads = (0..names.len()).map(|class| class.to_string()).collect();
        }
        let digits = confusion.counts.iter().max().map_or(1, |most| most.to_string().len());
        let column = heads.iter().map(|head| head.chars().count()).fold(digits, usize::max);
        let first = rows.iter().map(|head| head.chars().count()).fold(CORNER.len(), usize::max);
        write!(f, "{CORNER:first$}")?;
        heads.iter().try_for_each(|head| write!(f, "  {head:>column$}"))?;
        for (truth, row) in rows.iter().enumerate() {
            write!(f, "\n{row:first$}")?;
            for predicted in 0..names.len() {
                match confusion.count(truth, predicted) {
                    0 => write!(f, "  {:>column$}", "·")?,
                    count => write!(f, "  {count:>column$}")?,
                }
            }
        }
        Ok(())
    }
}

/// At most `room` characters, the last of them `…` if some are left out.
fn shorten(name: &str, room: usize) -> String {
    if name.chars().count() <= room {
        return name.into();
    }
    let kept: String = name.chars().take(room - 1).collect();
    format!("{}…", kept.trim_end())
}

fn has_twins(heads: &[String]) -> bool {
    heads.iter().enumerate().any(|(i, head)| heads[..i].contains(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_hand_worked_example_comes_out() {
        // truth 0: two right, one taken for 1; truth 1: one right, one taken for 2; truth 2: never right (taken for 0).
        let confusion = Confusion::new(&[0, 0, 0, 1, 1, 2], &[0, 0, 1, 1, 2, 0], 3);
        let scores = confusion.scores(&names(&["a", "b", "c"]), 0.5, 0.25);
        let class = |name: &str, precision, recall, f1, support| ClassScore { name: name.into(), precision, recall, f1, support };
        let per_class = vec![class("a", 2. / 3., 2. / 3., 2. / 3., 3), class("b", 0.5, 0.5, 0.5, 2), class("c", 0., 0., 0., 1)];
        assert_eq!(scores, Scores { macro_f1: (2. / 3. + 0.5) / 3.0, accuracy: 0.5, nll: 0.5, ece: 0.25, per_class });
    }

    #[test]
    fn absent_classes_count_zero_and_nothing_is_nan() {
        let confusion = Confusion::new(&[0, 0], &[0, 0], 4);
        assert_eq!((confusion.accuracy(), confusion.macro_f1()), (1.0, 0.25));
        let empty = Confusion::new(&[], &[], 2);
        assert_eq!((empty.accuracy(), empty.macro_f1()), (0.0, 0.0));
    }

    #[test]
    fn agrees_with_scikit_learn() {
        // t = [(7*i*i + 3*i) % 11 % 5 for i in range(60)]; p = [(t[i] + (i % 4 == 0) * (1 + i % 3)) % 6 for i in range(60)]
        // scikit-learn 1.9.1: f1_score(t, p, average=..., labels=range(6), zero_division=0), precision_score and recall_score alike,
        // accuracy_score(t, p)
        let truth: Vec<u16> = (0..60).map(|i| (7 * i * i + 3 * i) % 11 % 5).collect();
        let predicted: Vec<u16> = (0u16..60).map(|i| (truth[usize::from(i)] + u16::from(i % 4 == 0) * (1 + i % 3)) % 6).collect();
        let confusion = Confusion::new(&truth, &predicted, 6);
        let names = names(&["0", "1", "2", "3", "4", "5"]);
        let scores = confusion.scores(&names, 0.0, 0.0);
        let close = |ours: f64, theirs: f64| assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
        close(scores.macro_f1, 0.5146700188560653);
        close(scores.accuracy, 0.75);
        for (class, theirs) in [0.8108108108108109, 0.8372093023255814, 0.0, 0.64, 0.8, 0.0].into_iter().enumerate() {
            close(scores.per_class[class].f1, theirs);
        }
        for (class, theirs) in [1.0, 0.8571428571428571, 0.0, 0.5714285714285714, 0.8, 0.0].into_iter().enumerate() {
            close(scores.per_class[class].precision, theirs);
        }
        for (class, theirs) in [0.6818181818181818, 0.8181818181818182, 0.0, 0.7272727272727273, 0.8, 0.0].into_iter().enumerate() {
            close(scores.per_class[class].recall, theirs);
        }
    }

    #[test]
    fn the_calibration_error_is_that_of_its_definition() {
        // By hand: the bins (9/15, 10/15] and (13/15, 14/15] hold two predictions each.
        let predictions = [(0.61, true), (0.65, false), (0.9, true), (0.92, true)];
        let by_hand = ((1.0f64 - 0.61 - 0.65).abs() + (2.0f64 - 0.9 - 0.92).abs()) / 4.0;
        assert!((calibration_error(predictions) - by_hand).abs() < 1e-12);
        assert_eq!(calibration_error([]), 0.0);
        assert_eq!(calibration_error([(1.0, true), (1.0, true)]), 0.0);
        assert_eq!(calibration_error([(1.0, false), (1.0, true)]), 0.5);
        // An upper end belongs to the bin below it, a lower end does not.
        assert!((calibration_error([(0.2, false), (0.21, true)]) - (0.2 + 0.79) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_table_is_aligned_and_zeros_are_dots() {
        let confusion = Confusion::new(&[0, 0, 1, 2, 2], &[0, 1, 1, 2, 2], 3);
        let text = confusion.table(&names(&["T-shirt/top", "Bag", "Ankle boot"])).to_string();
        assert_eq!(
            text,
            "true \\ predicted  T-shirt/t…         Bag  Ankle boot\n\
             T-shirt/top                1           1           ·\n\
             Bag                        ·           1           ·\n\
             Ankle boot                 ·           ·           2"
        );
    }

    #[test]
    fn twenty_classes_with_long_names_fit_a_wide_terminal() {
        let long: Vec<String> = (0..20).map(|class| format!("sitting down on a very long chair {class}")).collect();
        let truth: Vec<u16> = (0..20).collect();
        let text = Confusion::new(&truth, &truth, 20).table(&long).to_string();
        let mut lines = text.lines().map(|line| line.chars().count());
        let width = lines.next().unwrap();
        assert!(width < 160 && lines.all(|line| line == width), "{text}");
        assert!(text.contains("\n7 sitting down on a very…"), "{text}");
    }

    #[test]
    #[should_panic(expected = "class 2 is not below 2")]
    fn a_class_beyond_the_count_is_a_mistake_of_the_caller() {
        Confusion::new(&[0], &[2], 2);
    }
}
