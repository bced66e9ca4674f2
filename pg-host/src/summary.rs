//! What can be counted in a data set before anything is learnt from it. It changes nothing and prints nothing.

use std::collections::HashSet;

use pg_core::Shape;
use serde::Serialize;

use crate::data::{Dataset, Samples};

/// The counts of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Each class, in the order of the labels.
    pub classes: Vec<ClassCount>,
    /// Each channel of the samples to train on.
    pub channels: Vec<Channel>,
    /// Samples to train on that are equal to an earlier one, value by value.
    pub repeated_in_train: usize,
    /// Samples to test on that are also among those to train on; `None` without a test part.
    pub test_in_train: Option<usize>,
}

/// The samples of a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassCount {
    /// The class.
    pub name: String,
    /// Samples to train on.
    pub train: usize,
    /// Samples to test on.
    pub test: usize,
}

/// The values of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Channel {
    /// The smallest.
    pub min: f32,
    /// The largest.
    pub max: f32,
    /// The mean.
    pub mean: f64,
    /// The standard deviation, that of the samples as a whole population.
    pub deviation: f64,
}

impl Channel {
    /// Whether all values are the same; normalised they are 0, and nothing is learnt from them.
    pub fn is_constant(&self) -> bool {
        self.min == self.max
    }
}

impl Summary {
    /// Of a data set; channels are measured on the samples to train on.
    pub fn of(data: &Dataset) -> Self {
        let (shape, classes) = (data.shape, data.classes.len());
        let none = Samples::default();
        let counts = data.train.counts(classes).into_iter().zip(data.test.as_ref().unwrap_or(&none).counts(classes));
        let class = |(name, (train, test)): (&String, _)| ClassCount { name: name.clone(), train, test };
        let mut seen: HashSet<&[u32]> = HashSet::new();
        let repeated_in_train = samples(&data.train, shape).filter(|&sample| !seen.insert(sample)).count();
        let test_in_train = data.test.as_ref().map(|test| samples(test, shape).filter(|sample| seen.contains(sample)).count());
        Self {
            classes: data.classes.iter().zip(counts).map(class).collect(),
            channels: (0..shape.channels).map(|channel| measure(shape, &data.train.inputs, channel)).collect(),
            repeated_in_train,
            test_in_train,
        }
    }
}

/// The bits of each sample: what is compared.
fn samples(samples: &Samples, shape: Shape) -> impl Iterator<Item = &[u32]> {
    bytemuck::cast_slice(&samples.inputs).chunks_exact(shape.len())
}

/// Two passes in `f64`: the mean first, then the squares of what differs from it.
fn measure(shape: Shape, inputs: &[f32], channel: usize) -> Channel {
    let places = shape.height * shape.width;
    let values = || inputs.chunks_exact(places).skip(channel).step_by(shape.channels).flatten().copied();
    let count = (inputs.len() / shape.channels).max(1) as f64;
    let mean = values().map(f64::from).sum::<f64>() / count;
    let variance = values().map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    Channel { min: values().fold(f32::MAX, f32::min), max: values().fold(f32::MIN, f32::max), mean, deviation: variance.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Dataset {
        let train = Samples { inputs: vec![1., 3., 7., 7., 5., 7., 7., 7., 1., 3., 7., 7.], labels: vec![0, 1, 0] };
        let test = Samples { inputs: vec![1., 3., 7., 7., 9., 9., 9., 9.], labels: vec![0, 2] };
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        Dataset { name: "d".into(), shape: Shape::new(2, 1, 2), classes, numbered: false, train, test: Some(test) }
    }

    #[test]
    fn classes_are_counted_in_both_parts() {
        let summary = Summary::of(&data());
        let counts: Vec<_> = summary.classes.iter().map(|class| (&class.name[..], class.train, class.test)).collect();
        assert_eq!(counts, [("a", 2, 1), ("b", 1, 0), ("c", 0, 1)]);
    }

    #[test]
    fn channels_are_measured_on_the_samples_to_train_on() {
        let [first, second] = Summary::of(&data()).channels[..] else { panic!("two channels") };
        // statistics.pstdev([1, 3, 5, 7, 1, 3])
        assert_eq!((first.min, first.max), (1.0, 7.0));
        assert!((first.mean - 10.0 / 3.0).abs() < 1e-12 && (first.deviation - 2.134374745810949).abs() < 1e-12, "{first:?}");
        assert_eq!((second, second.is_constant()), (Channel { min: 7.0, max: 7.0, mean: 7.0, deviation: 0.0 }, true));
    }

    #[test]
    fn equal_samples_are_counted_within_and_across_the_parts() {
        let summary = Summary::of(&data());
        assert_eq!((summary.repeated_in_train, summary.test_in_train), (1, Some(1)));
        assert_eq!(Summary::of(&Dataset { test: None, ..data() }).test_in_train, None);
    }
}
