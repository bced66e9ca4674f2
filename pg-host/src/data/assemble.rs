//! Puts a data set together from its parts and matches them: one shape, labels within the classes.
//!
//! Every form ends here. How files are read is the matter of the forms.

use pg_core::shape::Shape;

use super::{DataError, Dataset, Samples};

/// Samples as a form reads them, with the names of their files for errors.
#[derive(Debug)]
pub(super) struct Labelled {
    /// The file, or the folder, of the inputs.
    pub(super) inputs: String,
    /// The file of the labels.
    pub(super) labels: String,
    /// The shape of one sample.
    pub(super) shape: Shape,
    /// The samples.
    pub(super) samples: Samples,
}

impl Labelled {
    /// Refuses a label that is not below `classes`.
    fn check(&self, classes: usize) -> Result<(), DataError> {
        match self.samples.labels.iter().position(|&label| usize::from(label) >= classes) {
            Some(sample) => {
                let (file, label) = (self.labels.clone(), self.samples.labels[sample]);
                Err(DataError::LabelOutOfRange { file, sample, label, classes })
            }
            None => Ok(()),
        }
    }
}

/// A data set from its parts. Without names of classes these are the numbers up to the largest label to train on.
pub(super) fn assemble(name: String, train: Labelled, test: Option<Labelled>, classes: Option<Vec<String>>) -> Result<Dataset, DataError> {
    let numbered = classes.is_none();
    let numbers = || (0..=train.samples.labels.iter().copied().max().unwrap_or(0)).map(|label| label.to_string()).collect();
    let classes: Vec<String> = classes.unwrap_or_else(numbers);
    train.check(classes.len())?;
    if let Some(test) = &test {
        if test.shape != train.shape {
            return Err(DataError::ShapesDiffer { file: test.inputs.clone(), test: test.shape, train: train.shape });
        }
        test.check(classes.len())?;
    }
    Ok(Dataset { name, shape: train.shape, classes, numbered, train: train.samples, test: test.map(|test| test.samples) })
}
