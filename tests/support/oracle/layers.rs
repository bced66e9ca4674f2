//! The layers of the oracle: each over a whole batch, by its definition.

use super::text::{Layer, Window};
use super::{Masks, Mode, Oracle, Outcome};

/// Activations of a batch: channels, height, width, and the elements of each sample.
#[derive(Clone)]
struct Grid {
    shape: [usize; 3],
    samples: Vec<Vec<f64>>,
}

/// A walk along the layers.
struct Walk<'a> {
    parameters: &'a [f64],
    mode: Mode,
    /// Layers with masks so far.
    masked: u32,
    moments: Vec<[f64; 2]>,
    sides: u64,
}

pub fn forward(network: &Oracle, parameters: &[f64], samples: Vec<Vec<f64>>, mode: Mode) -> Outcome {
    let mut walk = Walk { parameters, mode, masked: 0, moments: Vec::new(), sides: 0 };
    let y = walk.sequence(&network.layers, Grid { shape: network.input, samples });
    assert!(walk.parameters.is_empty(), "every parameter has a place");
    Outcome { outputs: y.samples, moments: walk.moments, sides: walk.sides }
}

/// For each output of a plane: the taps of the window that lie on the input, and where.
fn seen(window: Window, [height, width]: [usize; 2]) -> (Vec<Vec<(usize, usize)>>, [usize; 2]) {
    let Window { kernel, stride, padding } = window;
    let count = |input: usize, axis: usize| (input + 2 * padding[axis] - kernel[axis]) / stride[axis] + 1;
    let out = [count(height, 0), count(width, 1)];
    let outputs = (0..out[0]).flat_map(|oy| (0..out[1]).map(move |ox| [oy, ox]));
    let taps = |[oy, ox]: [usize; 2]| {
        let taps = (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| [ky, kx]));
        let on_input = taps.filter_map(|[ky, kx]| {
            let y = (oy * stride[0] + ky).checked_sub(padding[0]).filter(|&y| y < height)?;
            let x = (ox * stride[1] + kx).checked_sub(padding[1]).filter(|&x| x < width)?;
            Some((ky * kernel[1] + kx, y * width + x))
        });
        on_input.collect()
    };
    (outputs.map(taps).collect(), out)
}

/// Mean and variance, divided by n.
fn moments(values: &[f64]) -> [f64; 2] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    [mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n]
}

/// By what an element is multiplied: 0, or 1 / (1 - p). Sixteen bits for each element, high halves first, eight elements to a block.
fn mask(masks: Masks, layer: u32, percent: usize, sample: usize, element: usize) -> f64 {
    const MASKS: u32 = 4;
    let block = (element / 8) as u32;
    let counter = [sample as u32, masks.pair, masks.step, MASKS | layer << 4 | block << 12];
    let words = pg_core::noise::philox(counter, [masks.seed as u32, (masks.seed >> 32) as u32]);
    let word = words[element % 8 / 2];
    let half = if element.is_multiple_of(2) { word >> 16 } else { word & 0xffff };
    // Half a unit off, so that rounding decides nothing.
    if f64::from(half) < percent as f64 * 655.36 - 0.5 { 0.0 } else { 100.0 / (100.0 - percent as f64) }
}

impl<'a> Walk<'a> {
    fn take(&mut self, count: usize) -> &'a [f64] {
        let (taken, rest) = self.parameters.split_at(count);
        self.parameters = rest;
        taken
    }

    /// Notes on which side of a kink the pass went.
    fn note(&mut self, side: usize) {
        self.sides = (self.sides ^ side as u64).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(7);
    }

    fn sequence(&mut self, layers: &[Layer], x: Grid) -> Grid {
        layers.iter().fold(x, |x, layer| self.layer(layer, x))
    }

    /// Element by element; `kinks` in ascending order.
    fn map(&mut self, x: Grid, kinks: &[f64], f: impl Fn(f64) -> f64) -> Grid {
        if !kinks.is_empty() {
            x.samples.iter().flatten().for_each(|x| self.note(kinks.iter().filter(|kink| x > kink).count()));
        }
        Grid { samples: x.samples.into_iter().map(|sample| sample.into_iter().map(&f).collect()).collect(), ..x }
    }

    /// The `channels` from `first` on.
    fn channels(x: &Grid, first: usize, channels: usize) -> Grid {
        let places = x.shape[1] * x.shape[2];
        let samples = x.samples.iter().map(|sample| sample[first * places..(first + channels) * places].to_vec()).collect();
        Grid { shape: [channels, x.shape[1], x.shape[2]], samples }
    }

    /// The channels of both.
    fn joined(a: Grid, b: Grid) -> Grid {
        let samples = a.samples.into_iter().zip(b.samples).map(|(a, b)| [a, b].concat()).collect();
        Grid { shape: [a.shape[0] + b.shape[0], a.shape[1], a.shape[2]], samples }
    }

    fn layer(&mut self, layer: &Layer, x: Grid) -> Grid {
        let [channels, height, width] = x.shape;
        let elements = channels * height * width;
        match layer {
            Layer::Sequence(layers) => self.sequence(layers, x),
            Layer::Dense(outputs) => {
                let flat = Grid { shape: [elements, 1, 1], ..x };
                self.convolution(flat, *outputs, Window { kernel: [1; 2], stride: [1; 2], padding: [0; 2] }, 1)
            }
            Layer::Conv { outputs, window, groups } => self.convolution(x, *outputs, *window, *groups),
            Layer::Depthwise(window) => self.convolution(x, channels, *window, channels),
            Layer::MaxPool(window) => self.pool(x, *window, true),
            Layer::AvgPool(window) => self.pool(x, *window, false),
            Layer::GlobalAvgPool => self.pool(x, Window { kernel: [height, width], stride: [1; 2], padding: [0; 2] }, false),
            Layer::BatchNorm => self.batch_norm(x),
            Layer::LayerNorm => self.layer_norm(x),
            Layer::Relu => self.map(x, &[0.0], |x| x.max(0.0)),
            Layer::Relu6 => self.map(x, &[0.0, 6.0], |x| x.clamp(0.0, 6.0)),
            Layer::HardSwish => self.map(x, &[-3.0, 3.0], |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0),
            Layer::LeakyRelu(percent) => self.map(x, &[0.0], |x| if x > 0.0 { x } else { x * *percent as f64 / 100.0 }),
            Layer::Tanh => self.map(x, &[], f64::tanh),
            Layer::Sigmoid => self.map(x, &[], |x| 1.0 / (1.0 + (-x).exp())),
            Layer::Flatten => Grid { shape: [elements, 1, 1], ..x },
            Layer::Dropout(percent) => {
                let layer = self.masked;
                self.masked += 1;
                let Mode::Train(masks) = self.mode else { return x };
                let mut y = x;
                for (n, sample) in y.samples.iter_mut().enumerate() {
                    sample.iter_mut().enumerate().for_each(|(i, x)| *x *= mask(masks, layer, *percent, n, i));
                }
                y
            }
            Layer::ChannelShuffle(groups) => {
                let size = channels / groups;
                // Channel j·groups + g comes from channel j of group g.
                let dealt = (0..channels).map(|to| Self::channels(&x, to % groups * size + to / groups, 1));
                dealt.reduce(Self::joined).expect("a channel")
            }
            Layer::Residual(branches) => {
                let body = self.layer(&branches[0], x.clone());
                let shortcut = self.sequence(&branches[1..], x);
                assert_eq!(body.shape, shortcut.shape);
                let add = |(a, b): (Vec<f64>, Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
                Grid { shape: body.shape, samples: body.samples.into_iter().zip(shortcut.samples).map(add).collect() }
            }
            Layer::Parallel(branches) => {
                let first = self.layer(&branches[0], x.clone());
                Self::joined(first, self.layer(&branches[1], x))
            }
            Layer::Split(count, branches) => {
                let first = self.layer(&branches[0], Self::channels(&x, 0, *count));
                Self::joined(first, self.layer(&branches[1], Self::channels(&x, *count, channels - count)))
            }
        }
    }

    fn convolution(&mut self, x: Grid, outputs: usize, window: Window, groups: usize) -> Grid {
        let [channels, height, width] = x.shape;
        let (inputs, taps) = (channels / groups, window.kernel[0] * window.kernel[1]);
        let (seen, out) = seen(window, [height, width]);
        let (weights, biases) = (self.take(outputs * inputs * taps), self.take(outputs));
        let one = |sample: Vec<f64>| {
            let mut y = Vec::with_capacity(outputs * seen.len());
            for o in 0..outputs {
                let first = o / (outputs / groups) * inputs;
                for seen in &seen {
                    let mut sum = biases[o];
                    for c in 0..inputs {
                        for (tap, place) in seen {
                            sum += weights[(o * inputs + c) * taps + tap] * sample[(first + c) * height * width + place];
                        }
                    }
                    y.push(sum);
                }
            }
            y
        };
        Grid { shape: [outputs, out[0], out[1]], samples: x.samples.into_iter().map(one).collect() }
    }

    fn pool(&mut self, x: Grid, window: Window, largest: bool) -> Grid {
        let [channels, height, width] = x.shape;
        let (seen, out) = seen(window, [height, width]);
        let mut samples = Vec::new();
        for sample in &x.samples {
            let mut y = Vec::new();
            for plane in sample.chunks(height * width).take(channels) {
                for seen in &seen {
                    let mut values = seen.iter().map(|&(_, place)| plane[place]);
                    if largest {
                        let most = values.fold(f64::NEG_INFINITY, f64::max);
                        self.note(seen.iter().position(|&(_, place)| plane[place] == most).expect("a largest"));
                        y.push(most);
                    } else {
                        y.push(values.by_ref().sum::<f64>() / seen.len() as f64);
                    }
                }
            }
            samples.push(y);
        }
        Grid { shape: [channels, out[0], out[1]], samples }
    }

    fn batch_norm(&mut self, mut x: Grid) -> Grid {
        let [channels, height, width] = x.shape;
        let places = height * width;
        let [gains, biases, means, variances] = [(); 4].map(|()| self.take(channels));
        for c in 0..channels {
            let [mean, variance] = match self.mode {
                Mode::Infer => [means[c], variances[c]],
                _ => {
                    let all: Vec<f64> = x.samples.iter().flat_map(|sample| &sample[c * places..][..places]).copied().collect();
                    moments(&all)
                }
            };
            self.moments.push([mean, variance]);
            for value in x.samples.iter_mut().flat_map(|sample| &mut sample[c * places..][..places]) {
                *value = gains[c] * (*value - mean) / (variance + 1e-5).sqrt() + biases[c];
            }
        }
        x
    }

    fn layer_norm(&mut self, mut x: Grid) -> Grid {
        let elements = x.shape.iter().product();
        let (gains, biases) = (self.take(elements), self.take(elements));
        for sample in &mut x.samples {
            let [mean, variance] = moments(sample);
            for (i, value) in sample.iter_mut().enumerate() {
                *value = gains[i] * (*value - mean) / (variance + 1e-5).sqrt() + biases[i];
            }
        }
        x
    }
}
