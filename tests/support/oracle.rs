//! Networks in `f64`, layer by layer over a whole batch, as slowly and plainly as they can be written: no code is shared with pg-core but
//! the generator of the masks. A network is read from the text of its type (`text`), so that each stands in a test once.

mod layers;
pub mod population;
mod text;

use pg_core::Network;
pub use text::Layer;

/// What a pass is for, as in pg-core.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// Running statistics, no masks.
    Infer,
    /// Statistics of the batch, no masks.
    Estimate,
    /// Statistics of the batch, masks with this address.
    Train(Masks),
}

/// The address of the masks of one pair of members.
#[derive(Clone, Copy, Debug)]
pub struct Masks {
    /// The seed of the run.
    pub seed: u64,
    /// The step.
    pub step: u32,
    /// The pair.
    pub pair: u32,
}

/// What is minimised, with the truth for each sample.
#[derive(Clone, Copy, Debug)]
pub enum Loss<'a> {
    /// Softmax cross-entropy with this label smoothing.
    CrossEntropy(f64, &'a [u16]),
    /// Softmax cross-entropy with this label smoothing; the first class has that share of the truth, the second the rest.
    Mixed(f64, &'a [u16], &'a [u16], &'a [f32]),
    /// The mean squared error.
    MeanSquaredError(&'a [f32]),
}

/// A network read from its type.
#[derive(Clone, Debug)]
pub struct Oracle {
    /// Channels, height and width of an input.
    pub input: [usize; 3],
    /// The layers in order.
    pub layers: Vec<Layer>,
}

/// What a forward pass over a batch found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The outputs, sample by sample.
    pub outputs: Vec<Vec<f64>>,
    /// Mean and variance of each channel of each batch norm, in order.
    pub moments: Vec<[f64; 2]>,
    /// A number that stands for the side of every kink on which the pass went.
    pub sides: u64,
}

impl Oracle {
    /// The network of this type.
    pub fn of<N: Network>() -> Self {
        let mut described = String::new();
        N::describe(&mut described).expect("a string is never full");
        text::read(&described)
    }

    /// Runs a batch, `[sample][element]`.
    pub fn forward(&self, parameters: &[f64], inputs: &[f32], mode: Mode) -> Outcome {
        let width: usize = self.input.iter().product();
        let samples = inputs.chunks(width).map(|sample| sample.iter().map(|&x| f64::from(x)).collect()).collect();
        layers::forward(self, parameters, samples, mode)
    }

    /// The mean loss over all samples of a batch, and [`Outcome::sides`].
    pub fn loss(&self, parameters: &[f64], inputs: &[f32], mode: Mode, loss: Loss) -> (f64, u64) {
        let Outcome { outputs, sides, .. } = self.forward(parameters, inputs, mode);
        let one = |(n, y): (usize, &Vec<f64>)| match loss {
            Loss::CrossEntropy(smoothing, labels) => {
                let log_sum = y.iter().map(|y| y.exp()).sum::<f64>().ln();
                let truth = |class: usize| {
                    let label = if class == usize::from(labels[n]) { 1.0 - smoothing } else { 0.0 };
                    label + smoothing / y.len() as f64
                };
                y.iter().enumerate().map(|(class, y)| truth(class) * (log_sum - y)).sum()
            }
            Loss::Mixed(smoothing, first, second, share) => {
                let log_sum = y.iter().map(|y| y.exp()).sum::<f64>().ln();
                let mut truth = vec![smoothing / y.len() as f64; y.len()];
                truth[usize::from(first[n])] += (1.0 - smoothing) * f64::from(share[n]);
                truth[usize::from(second[n])] += (1.0 - smoothing) * (1.0 - f64::from(share[n]));
                y.iter().zip(truth).map(|(y, truth)| truth * (log_sum - y)).sum()
            }
            Loss::MeanSquaredError(values) => {
                let truth = &values[n * y.len()..][..y.len()];
                y.iter().zip(truth).map(|(y, &t)| (y - f64::from(t)).powi(2)).sum::<f64>() / y.len() as f64
            }
        };
        (outputs.iter().enumerate().map(one).sum::<f64>() / outputs.len() as f64, sides)
    }

    /// The gradient of [`Oracle::loss`] by central differences, good to about seven digits.
    ///
    /// # Panics
    /// When a kink (of a ReLU, of a maximum) lies so near that no step avoids it: take another seed.
    pub fn finite_differences(&self, parameters: &[f32], inputs: &[f32], mode: Mode, of: Loss) -> Vec<f64> {
        let slopes = Slopes::new(self, parameters, inputs, mode, of);
        (0..parameters.len()).map(|i| slopes.at(i).unwrap_or_else(|| panic!("parameter {i} is at a kink"))).collect()
    }
}

/// The slopes of [`Oracle::loss`] along the parameters, one by one.
pub struct Slopes<'a> {
    oracle: &'a Oracle,
    parameters: Vec<f64>,
    inputs: &'a [f32],
    mode: Mode,
    of: Loss<'a>,
    sides: u64,
}

impl<'a> Slopes<'a> {
    /// At these parameters, over this batch.
    pub fn new(oracle: &'a Oracle, parameters: &[f32], inputs: &'a [f32], mode: Mode, of: Loss<'a>) -> Self {
        let parameters = exact(parameters);
        let (_, sides) = oracle.loss(&parameters, inputs, mode, of);
        Self { oracle, parameters, inputs, mode, of, sides }
    }

    /// The slope along parameter `i` by central differences; `None` when a kink lies so near that no step avoids it.
    pub fn at(&self, i: usize) -> Option<f64> {
        let mut moved = self.parameters.clone();
        [1e-5, 1e-6, 1e-7].into_iter().find_map(|step| {
            let [above, below] = [step, -step].map(|step| {
                moved[i] = self.parameters[i] + step;
                self.oracle.loss(&moved, self.inputs, self.mode, self.of)
            });
            ([above.1, below.1] == [self.sides; 2]).then_some((above.0 - below.0) / (2.0 * step))
        })
    }
}

/// The same numbers.
pub fn exact(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&number| number.into()).collect()
}

/// Asserts that every element is right to 1e-4 of itself, or of a hundredth of the largest when terms cancel.
#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0, |most: f64, e| most.max(e.abs()));
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= 1e-4 * expected.abs().max(0.01 * largest), "element {i}: found {found:e}, expected {expected:e}");
    }
}
