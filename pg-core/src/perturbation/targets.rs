//! Which parameters get noise. Layers are numbered from 1 in the order of the parameters, as `inspect` prints them: each range of weights
//! and each range of gains begins a layer ([`SegmentKind::begins_layer`]).

use crate::layers::SegmentKind;

/// The parameters that get noise; running statistics never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoiseTargets {
    /// Whether weights do.
    pub weights: bool,
    /// Whether biases do.
    pub biases: bool,
    /// Whether the gains of normalisations do.
    pub gains: bool,
    /// The first layer that does.
    pub first_layer: u16,
    /// The last layer that does.
    pub last_layer: u16,
}

impl NoiseTargets {
    /// The weights of all layers.
    pub const WEIGHTS: Self = Self { weights: true, biases: false, gains: false, first_layer: 0, last_layer: u16::MAX };

    /// Whether parameters of this kind in this layer get noise.
    pub const fn take(&self, kind: SegmentKind, layer: u16) -> bool {
        let kind = match kind {
            SegmentKind::Weight => self.weights,
            SegmentKind::Bias => self.biases,
            SegmentKind::Gain => self.gains,
            SegmentKind::Mean | SegmentKind::Variance => false,
        };
        kind && self.first_layer <= layer && layer <= self.last_layer
    }
}
