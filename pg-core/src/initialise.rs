//! Initial parameters, from a seed.

use crate::layers::SegmentKind;
use crate::network::Network;
use crate::noise::{GROUP, Purpose, Stream};

/// How weights start; biases start at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initialise {
    /// Normals of variance 2 / fan-in, for ReLU and its relatives (He et al., 2015).
    He,
    /// Normals of variance 2 / (fan-in + fan-out), for tanh and the logistic function (Glorot and Bengio, 2010).
    Xavier,
}

impl Initialise {
    /// Writes all `N::PARAMS` parameters.
    pub fn write<N: Network>(self, seed: u64, parameters: &mut [f32]) {
        let stream = Stream::new(seed, Purpose::Initialise, 0, 0);
        let mut normals = [0.0; GROUP];
        let mut group = None;
        N::segments(&mut |segment| {
            let range = &mut parameters[segment.offset..][..segment.filters * segment.fan_in];
            match segment.kind {
                SegmentKind::Weight => {}
                SegmentKind::Bias | SegmentKind::Mean => return range.fill(0.0),
                SegmentKind::Gain | SegmentKind::Variance => return range.fill(1.0),
            }
            let variance = match self {
                Initialise::He => 2.0 / segment.fan_in as f32,
                Initialise::Xavier => 2.0 / (segment.fan_in + segment.fan_out) as f32,
            };
            let deviation = libm::sqrtf(variance);
            for (i, weight) in (segment.offset..).zip(range) {
                if group != Some(i / GROUP) {
                    stream.normals::<f32>((i / GROUP) as u32, &mut normals);
                    group = Some(i / GROUP);
                }
                *weight = deviation * normals[i % GROUP];
            }
        });
    }
}
