//! Brings raw inputs to about zero mean and unit size: `x = (raw - offset)·factor`, one offset and one factor for each channel.
//!
//! The statistics come from the training samples alone and go into the model file, so that the device computes the same `x`. An image of
//! one channel gets one pair of numbers, each feature of a table its own.

use pg_core::Shape;

/// Offset and factor of each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation {
    /// What is subtracted.
    pub offset: Vec<f32>,
    /// What the difference is multiplied by.
    pub factor: Vec<f32>,
}

impl Normalisation {
    /// Mean and 1 / standard deviation of `inputs`, `[sample][channel][place]`, formed in `f64`.
    ///
    /// A channel that never changes gets the factor 0: there is nothing in it to learn from.
    pub fn standardise(shape: Shape, inputs: &[f32]) -> Self {
        let places = shape.height * shape.width;
        let values = |channel: usize| {
            let channels = inputs.chunks_exact(places).skip(channel).step_by(shape.channels);
            channels.flatten().map(|&value| f64::from(value))
        };
        let count = (inputs.len() / shape.channels).max(1) as f64;
        let mut normalisation = Self { offset: Vec::new(), factor: Vec::new() };
        for channel in 0..shape.channels {
            let mean = values(channel).sum::<f64>() / count;
            let variance = values(channel).map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            // A deviation of less than a rounding error of the values is none.
            let changes = variance.sqrt() > mean.abs() * 1e-7;
            normalisation.offset.push(mean as f32);
            normalisation.factor.push(if changes { 1.0 / variance.sqrt() } else { 0.0 } as f32);
        }
        normalisation
    }

    /// Normalises samples of `shape` in place; each step is one operation on `f32`s.
    ///
    /// # Panics
    /// When the channels are not those of the shape.
    pub fn apply(&self, shape: Shape, inputs: &mut [f32]) {
        assert_eq!((self.offset.len(), self.factor.len()), (shape.channels, shape.channels));
        for (i, channel) in inputs.chunks_exact_mut(shape.height * shape.width).enumerate() {
            let (offset, factor) = (self.offset[i % shape.channels], self.factor[i % shape.channels]);
            channel.iter_mut().for_each(|value| *value = (*value - offset) * factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_gets_zero_mean_and_unit_deviation() {
        let shape = Shape::new(2, 1, 2);
        let mut inputs = [1.0, 3.0, 100.0, 300.0, 5.0, 7.0, 500.0, 700.0];
        let normalisation = Normalisation::standardise(shape, &inputs);
        assert_eq!(normalisation.offset, [4.0, 400.0]);
        normalisation.apply(shape, &mut inputs);
        let expected = [-3.0f32, -1.0, -3.0, -1.0, 1.0, 3.0, 1.0, 3.0].map(|x| x / 5.0f32.sqrt());
        assert!(inputs.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{inputs:?}");
    }

    #[test]
    fn a_constant_channel_becomes_zero_and_nothing_is_nan() {
        let shape = Shape::new(2, 1, 1);
        let mut inputs = [0.1, 1e30, 0.1, -1e30, 0.1, 3e30];
        let normalisation = Normalisation::standardise(shape, &inputs);
        normalisation.apply(shape, &mut inputs);
        assert!(inputs.iter().all(|x| x.is_finite() && x.abs() < 2.0), "{inputs:?}");
        assert_eq!((inputs[0], inputs[2]), (0.0, 0.0));
    }
}
