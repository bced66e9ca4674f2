//! What stands in the lanes: samples or members. A [`Form`] tells a kernel how to read a weight.
//!
//! An activation is a grid `[feature][column]` of lane vectors, kept as plain `f32`s:
//! * [`Samples`]: each lane is one sample, a column holds `LANES` of them, a weight is one number for all lanes;
//! * [`Members`]: each lane is one noisy copy, a column is one sample, a weight has a value for each lane;
//! * [`Scalar`]: one sample after another, one member after another: the microcontroller. It is `Samples<f32>`.
//!
//! Nothing else distinguishes the three: they share every kernel.

use core::marker::PhantomData;

use crate::lane::Lane;

/// What stands in the lanes.
pub trait Form: 'static {
    /// A vector of activations.
    type Value: Lane;

    /// `f32`s per weight: 1, or one for each member.
    const WEIGHT: usize;

    /// `f32`s per column.
    const COLUMN: usize = Self::Value::LANES;

    /// Samples per column.
    const SAMPLES: usize;

    /// Whether passes may run on the factors of rank-1 noise ([`crate::perturbation::rank_one`]). Without, the layers' code for it is not in the
    /// program, and a pass that has factors computes what one without computes.
    const FACTORED: bool = true;

    /// Weight `index` of `weights`, for every lane.
    fn weight(weights: &[f32], index: usize) -> Self::Value;

    /// Columns that hold `samples` samples.
    fn columns(samples: usize) -> usize {
        samples.div_ceil(Self::SAMPLES)
    }
}

/// Each lane is one sample. `Samples<L, false>` is for programs that know no rank-1 noise, as most firmware: [`Form::FACTORED`].
pub struct Samples<L, const FACTORED: bool = true>(PhantomData<L>);

/// Each lane is one member of the population.
pub struct Members<L>(PhantomData<L>);

/// One sample and one member at a time.
pub type Scalar = Samples<f32>;

impl<L: Lane, const FACTORED: bool> Form for Samples<L, FACTORED> {
    type Value = L;
    const WEIGHT: usize = 1;
    const SAMPLES: usize = L::LANES;
    const FACTORED: bool = FACTORED;

    #[inline(always)]
    fn weight(weights: &[f32], index: usize) -> L {
        L::splat(weights[index])
    }
}

impl<L: Lane> Form for Members<L> {
    type Value = L;
    const WEIGHT: usize = L::LANES;
    const SAMPLES: usize = 1;

    #[inline(always)]
    fn weight(weights: &[f32], index: usize) -> L {
        L::load(&weights[index * L::LANES..][..L::LANES])
    }
}
