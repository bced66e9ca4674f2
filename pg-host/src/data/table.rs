//! A data set from CSV files: one to train on and, if named, one to test on.
//!
//! The labels as they are written are the names of the classes. How rows are read is the matter of [`csv`](super::csv).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pg_core::shape::Shape;

use super::csv::{Csv, clip, parse_csv};
use super::{DataError, Dataset, Samples, last_part, read};

/// How a CSV file is to be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CsvOptions {
    /// The label column: its name, or its number from 0. Without it the column called label, class, target or y, else the last.
    pub label: Option<String>,
    /// A second file with the samples to test on.
    pub test: Option<PathBuf>,
}

/// Whether a file is called `.csv` or `.csv.gz`.
pub(super) fn has_csv_name(path: &Path) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    name.ends_with(".csv") || name.ends_with(".csv.gz")
}

/// A data set from a CSV file and, if the options name one, a second file to test on.
pub(super) fn load(path: &Path, options: &CsvOptions) -> Result<Dataset, DataError> {
    let table = |path: &Path| {
        let bytes = read(path)?;
        parse_csv(&bytes, options.label.as_deref()).map_err(|reason| DataError::Csv { file: path.display().to_string(), reason })
    };
    let train = table(path)?;
    let shape = Shape::new(train.features, 1, 1);
    let classes = classes(&train.labels);
    if classes.len() > usize::from(u16::MAX) + 1 {
        let column = train.header.as_ref().map_or_else(|| train.label_column.to_string(), |names| clip(&names[train.label_column]));
        return Err(DataError::TooManyClasses { file: path.display().to_string(), count: classes.len(), column });
    }
    let test = match &options.test {
        Some(test_path) => {
            let test = table(test_path)?;
            if (&test.header, test.label_column, test.features) != (&train.header, train.label_column, train.features) {
                return Err(DataError::ColumnsDiffer { test: test_path.clone(), train: path.into() });
            }
            Some(samples(test, &classes, test_path)?)
        }
        None => None,
    };
    let train = samples(train, &classes, path)?;
    Ok(Dataset { name: last_part(path), shape, classes, numbered: false, train, test })
}

/// The different labels: by number if all are numbers, else by letter.
fn classes(labels: &[String]) -> Vec<String> {
    let mut classes: Vec<&String> = labels.iter().collect::<BTreeSet<_>>().into_iter().collect();
    let number = |label: &str| label.parse::<f64>().ok().filter(|number| number.is_finite());
    if let Some(numbers) = classes.iter().map(|label| number(label)).collect::<Option<Vec<f64>>>() {
        let mut pairs: Vec<_> = numbers.into_iter().zip(classes).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        classes = pairs.into_iter().map(|(_, label)| label).collect();
    }
    classes.into_iter().cloned().collect()
}

/// The rows as samples of these classes.
fn samples(csv: Csv, classes: &[String], path: &Path) -> Result<Samples, DataError> {
    let mut order: Vec<u16> = (0..classes.len()).map(|class| class as u16).collect();
    order.sort_by_key(|&class| &classes[usize::from(class)]);
    let find = |label: &String| order.binary_search_by_key(&label, |&class| &classes[usize::from(class)]).ok();
    let labels = csv.labels.iter().zip(&csv.lines).map(|(label, &line)| {
        let unknown = || DataError::UnknownClass { file: path.display().to_string(), line, label: clip(label) };
        Ok(order[find(label).ok_or_else(unknown)?])
    });
    Ok(Samples { labels: labels.collect::<Result<_, DataError>>()?, inputs: csv.inputs })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loads `train` (and `test`) from files called train.csv and test.csv.
    fn load_text(train: &str, test: Option<&str>, label: Option<&str>) -> Result<Dataset, DataError> {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let options = CsvOptions { label: label.map(String::from), test: test.map(|text| file("test.csv", text)) };
        load(&file("train.csv", train), &options)
    }

    #[test]
    fn classes_are_sorted_by_number_or_else_by_letter() {
        let classes_of = |text| load_text(text, None, None).unwrap().classes;
        assert_eq!(classes_of("1,10\n2,9\n3,-1\n"), ["-1", "9", "10"]);
        assert_eq!(classes_of("1,10.0\n2,9.0\n"), ["9.0", "10.0"]);
        assert_eq!(classes_of("1,10\n2,9\n3,x\n"), ["10", "9", "x"]);
    }

    #[test]
    fn a_file_gives_shape_labels_and_a_test_set_if_one_is_named() {
        let train = "a,kind,b\n1,red,2\n3,blue,4\n5,red,6\n";
        let data = load_text(train, Some("a,kind,b\n7,red,8\n"), Some("kind")).unwrap();
        assert_eq!(
            (&data.name[..], data.shape, &data.classes[..]),
            ("train.csv", Shape::new(2, 1, 1), &["blue", "red"].map(String::from)[..])
        );
        assert_eq!(data.train, Samples { inputs: vec![1., 2., 3., 4., 5., 6.], labels: vec![1, 0, 1] });
        assert_eq!(data.test, Some(Samples { inputs: vec![7., 8.], labels: vec![1] }));
        assert_eq!(load_text(train, None, Some("1")).unwrap().test, None);
    }

    #[test]
    fn refuses_a_test_file_with_other_columns_or_unknown_classes() {
        let train = "a,b,label\n1,2,x\n3,4,z\n";
        for test in ["b,a,label\n1,2,x\n", "1,2,x\n", "a,label\n1,x\n"] {
            assert!(load_text(train, Some(test), None).unwrap_err().to_string().contains("does not have the columns of"), "{test}");
        }
        let text = load_text(train, Some("a,b,label\n1,2,x\n1,2,w\n"), None).unwrap_err().to_string();
        assert!(text.contains("test.csv, line 3: the class `w` is not in the samples to train on"), "{text}");
    }

    #[test]
    fn a_file_of_one_class_is_read_and_not_trained_on() {
        assert!(load_text("1,x\n2,x\n", None, None).unwrap().checked().unwrap_err().to_string().contains("train.csv are of one class, x;"));
    }
}
