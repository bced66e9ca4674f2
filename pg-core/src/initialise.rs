//! Initial parameters, from a seed.

use crate::layers::{Activation, Segment, SegmentKind};
use crate::network::Network;
use crate::noise::{GROUP, Purpose, Stream};

/// How parameters start. Biases and running means start at zero, gains and running variances at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initialise {
    /// How weights start.
    pub rule: Rule,
    /// Whether the last weights or gains in the body of a residual start at zero, so that the residual is the identity at first
    /// (Goyal et al., *Accurate, large minibatch SGD*, 2017).
    pub zero_residuals: bool,
}

/// How weights start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// As the activation behind wants it: [`Rule::Xavier`] before tanh and the logistic function, [`Rule::He`] before all others.
    Auto,
    /// Normals of variance 2 / fan-in, for ReLU and its relatives (He et al., 2015).
    He,
    /// Normals of variance 2 / (fan-in + fan-out), for tanh and the logistic function (Glorot and Bengio, 2010).
    Xavier,
    /// The same variance, evenly distributed.
    XavierUniform,
    /// Evenly distributed up to 1 / √fan-in, of variance 1 / (3·fan-in): the usual heuristic before the others, to compare with; it is what
    /// Glorot and Bengio (2010) compare theirs with.
    Uniform,
    /// Rows at right angles to each other (Saxe, McClelland and Ganguli, 2014), √2 long before ReLU and its relatives, else 1; of more rows
    /// than a row has elements, so many after each other. Its cost grows with the square of the rows: for small networks.
    Orthogonal,
}

impl Initialise {
    /// As the activations want it.
    pub const AUTO: Self = Self { rule: Rule::Auto, zero_residuals: false };

    /// Writes all `N::PARAMS` parameters.
    pub fn write<N: Network>(self, seed: u64, parameters: &mut [f32]) {
        let numbers = Numbers::new(seed);
        N::segments(&mut |segment| {
            let range = &mut parameters[segment.range()];
            let zero = self.zero_residuals && segment.ends_residual;
            match segment.kind {
                _ if zero => range.fill(0.0),
                SegmentKind::Weight => self.rule.weights(&segment, &numbers, range),
                SegmentKind::Bias | SegmentKind::Mean => range.fill(0.0),
                SegmentKind::Gain | SegmentKind::Variance => range.fill(1.0),
            }
        });
    }
}

impl Rule {
    fn weights(self, segment: &Segment, numbers: &Numbers, range: &mut [f32]) {
        let he = 2.0 / segment.fan_in as f32;
        let xavier = 2.0 / (segment.fan_in + segment.fan_out) as f32;
        match self {
            Rule::Auto if segment.activation == Activation::Saturating => numbers.normals(xavier, segment.offset, range),
            Rule::Auto | Rule::He => numbers.normals(he, segment.offset, range),
            Rule::Xavier => numbers.normals(xavier, segment.offset, range),
            Rule::XavierUniform => numbers.uniform(xavier, segment.offset, range),
            Rule::Uniform => numbers.uniform(1.0 / (3 * segment.fan_in) as f32, segment.offset, range),
            Rule::Orthogonal => {
                numbers.normals(1.0, segment.offset, range);
                let gain = if segment.activation == Activation::Rectifier { core::f32::consts::SQRT_2 } else { 1.0 };
                range.chunks_mut(segment.fan_in * segment.fan_in).for_each(|block| orthogonalise(segment.fan_in, gain, block));
            }
        }
    }
}

/// Random numbers by the index of the parameter.
struct Numbers {
    normals: Stream,
    uniform: Stream,
}

impl Numbers {
    fn new(seed: u64) -> Self {
        let stream = |kind| Stream::new(seed, Purpose::Initialise, 0, kind);
        Self { normals: stream(0), uniform: stream(1) }
    }

    /// Normals of this variance for the parameters from `first` on.
    fn normals(&self, variance: f32, first: usize, range: &mut [f32]) {
        let deviation = libm::sqrtf(variance);
        let mut normals = [0.0; GROUP];
        let mut group = None;
        for (i, weight) in (first..).zip(range) {
            if group != Some(i / GROUP) {
                self.normals.normals::<f32>((i / GROUP) as u32, &mut normals);
                group = Some(i / GROUP);
            }
            *weight = deviation * normals[i % GROUP];
        }
    }

    /// Evenly distributed numbers of this variance.
    fn uniform(&self, variance: f32, first: usize, range: &mut [f32]) {
        const UNIT: f32 = 1.0 / (1 << 24) as f32;
        let half = libm::sqrtf(3.0 * variance);
        for (i, weight) in (first..).zip(range) {
            let word = self.uniform.block((i / 4) as u32)[i % 4] >> 8;
            *weight = half * (2.0 * UNIT * (word as f32 + 0.5) - 1.0);
        }
    }
}

/// Makes rows of `width` elements orthogonal and `gain` long, in place: Gram–Schmidt, as modified for exactness.
fn orthogonalise(width: usize, gain: f32, rows: &mut [f32]) {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b);
    for r in 0..rows.len() / width {
        let (done, rest) = rows.split_at_mut(r * width);
        let row = &mut rest[..width];
        for other in done.chunks_exact(width) {
            let share = dot(row, other) / (gain * gain);
            row.iter_mut().zip(other).for_each(|(w, o)| *w -= share * o);
        }
        let length = libm::sqrtf(dot(row, row));
        let factor = if length > 0.0 { gain / length } else { 0.0 };
        row.iter_mut().for_each(|w| *w *= factor);
    }
}
