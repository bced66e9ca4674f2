//! Networks in `f64`, sample by sample, as slowly and plainly as they can be written: no code is shared with pg-core.

/// One layer.
#[derive(Clone, Copy, Debug)]
pub enum Layer {
    /// That many outputs; weights `[output][input]`, then biases.
    Dense(usize),
    /// `max(x, 0)`.
    Relu,
    /// `x` or `x` times this.
    LeakyRelu(f64),
    /// The hyperbolic tangent.
    Tanh,
    /// The logistic function.
    Sigmoid,
}

/// What is minimised, with the truth for each sample.
pub enum Loss<'a> {
    /// Softmax cross-entropy with this label smoothing.
    CrossEntropy(f64, &'a [u16]),
    /// Softmax cross-entropy with this label smoothing; the first class has that share of the truth, the second the rest.
    Mixed(f64, &'a [u16], &'a [u16], &'a [f32]),
    /// The mean squared error.
    MeanSquaredError(&'a [f32]),
}

/// The outputs for one sample.
pub fn forward(layers: &[Layer], parameters: &[f64], input: &[f64]) -> Vec<f64> {
    let mut x = input.to_vec();
    let mut rest = parameters;
    for layer in layers {
        x = match *layer {
            Layer::Dense(outputs) => {
                let (weights, tail) = rest.split_at(outputs * x.len());
                let (biases, tail) = tail.split_at(outputs);
                rest = tail;
                let rows = weights.chunks(x.len());
                rows.zip(biases).map(|(row, bias)| bias + row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>()).collect()
            }
            Layer::Relu => x.into_iter().map(|x| x.max(0.0)).collect(),
            Layer::LeakyRelu(slope) => x.into_iter().map(|x| if x > 0.0 { x } else { slope * x }).collect(),
            Layer::Tanh => x.into_iter().map(f64::tanh).collect(),
            Layer::Sigmoid => x.into_iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
        };
    }
    assert!(rest.is_empty(), "every parameter has a place");
    x
}

/// The mean loss over all samples.
pub fn loss(layers: &[Layer], parameters: &[f64], inputs: &[f32], samples: usize, loss: &Loss) -> f64 {
    let width = inputs.len() / samples;
    let one = |n: usize| {
        let input: Vec<f64> = inputs[n * width..][..width].iter().map(|&x| f64::from(x)).collect();
        let y = forward(layers, parameters, &input);
        match loss {
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
        }
    };
    (0..samples).map(one).sum::<f64>() / samples as f64
}

/// The gradient of [`loss`] by central differences, good to about nine digits.
pub fn finite_differences(layers: &[Layer], parameters: &[f32], inputs: &[f32], samples: usize, of: &Loss) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut moved: Vec<f64> = parameters.iter().map(|&p| f64::from(p)).collect();
    (0..moved.len())
        .map(|i| {
            let at = moved[i];
            let [above, below] = [at + STEP, at - STEP].map(|value| {
                moved[i] = value;
                loss(layers, &moved, inputs, samples, of)
            });
            moved[i] = at;
            (above - below) / (2.0 * STEP)
        })
        .collect()
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
