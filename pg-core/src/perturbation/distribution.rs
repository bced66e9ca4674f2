//! The distributions of noise, each with mean 0 and variance 1. How large the noise is where it is added is the matter of [`super::scale`].

use crate::lane::Lane;
use crate::noise::Stream;

/// The distribution of the noise before it is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Standard normals.
    Gaussian,
    /// Uniform numbers between -√3 and √3.
    Uniform,
    /// Random signs, much cheaper to make.
    Rademacher,
    /// Signs that are products of one for each filter and one for each incoming weight: noise of rank 1 for each matrix of weights
    /// ([`super::rank_one`]). Where it falls on biases or gains it is [`Distribution::Rademacher`].
    RankOne,
}

impl Distribution {
    /// Writes groups of noise, from number `group` on.
    #[inline(always)]
    pub(super) fn fill<L: Lane>(self, stream: &Stream, group: u32, out: &mut [f32]) {
        match self {
            Distribution::Gaussian => stream.normals::<L>(group, out),
            Distribution::Uniform => stream.uniforms::<L>(group, out),
            Distribution::Rademacher | Distribution::RankOne => stream.signs(group, out),
        }
    }
}
