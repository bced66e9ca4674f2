//! Chooses the offset and the factor of each channel: mean normalisation, `x = (raw - mean) / (largest - smallest)`.
//!
//! The statistics are those of the training samples alone; they go into the model file, so that the device computes the same `x`. An image
//! of one channel gets one pair of numbers, each feature of a table its own.

use pg_core::Shape;
use pg_core::normalisation::Normalisation;

/// Offset and factor of each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// The mean.
    pub offset: Vec<f32>,
    /// One over the range; 0 for a channel that never changes, in which there is nothing to learn from.
    pub factor: Vec<f32>,
}

impl Statistics {
    /// Of `inputs`, `[sample][channel][place]`; sums and ranges are formed in `f64`.
    pub fn of(shape: Shape, inputs: &[f32]) -> Self {
        let places = shape.height * shape.width;
        let count = (inputs.len() / shape.channels).max(1) as f64;
        let (mut offset, mut factor) = (Vec::new(), Vec::new());
        for channel in 0..shape.channels {
            let values = || inputs.chunks_exact(places).skip(channel).step_by(shape.channels).flatten();
            let mean = values().map(|&value| f64::from(value)).sum::<f64>() / count;
            let (smallest, largest) = values().fold((f32::MAX, f32::MIN), |(least, most), &value| (least.min(value), most.max(value)));
            let range = f64::from(largest) - f64::from(smallest);
            offset.push(mean as f32);
            factor.push(Some((1.0 / range) as f32).filter(|factor| factor.is_finite()).unwrap_or(0.0));
        }
        Self { offset, factor }
    }

    /// What pg-core applies.
    pub fn normalisation(&self) -> Normalisation<'_> {
        Normalisation::new(&self.offset, &self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(shape: Shape, inputs: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; inputs.len()];
        Statistics::of(shape, inputs).normalisation().apply(shape, inputs, &mut out);
        out
    }

    #[test]
    fn each_channel_gets_zero_mean_and_a_range_of_one() {
        let inputs = [1.0, 3.0, 100.0, 300.0, 5.0, 9.0, 500.0, 700.0];
        let out = normalised(Shape::new(2, 1, 2), &inputs);
        assert_eq!(out[..2], [-3.5 / 8.0, -1.5 / 8.0]);
        assert!((out[2] - -0.5).abs() < 1e-6 && (out[7] - 0.5).abs() < 1e-6, "{out:?}");
    }

    #[test]
    fn a_constant_channel_becomes_zero_and_nothing_is_nan() {
        let out = normalised(Shape::new(2, 1, 1), &[0.1, 1e38, 0.1, -1e38, 0.1, 3e38]);
        assert!(out.iter().all(|x| x.abs() <= 1.0), "{out:?}");
        assert_eq!((out[0], out[2], out[4]), (0.0, 0.0, 0.0));
        assert!(normalised(Shape::new(1, 1, 1), &[0.0, 1e-45]).iter().all(|x| x.is_finite()));
    }
}
