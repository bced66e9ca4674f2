//! How large the noise is. The scale follows from the central parameters and is the same for all members of a step.
//!
//! A *row* is what has a norm of its own: the incoming weights of a filter; the biases of a layer together; its gains together. With `d`
//! numbers in a row w, unit noise z and the scale ρ:
//!
//! | rule | noise of wᵢ |
//! |---|---|
//! | [`ScaleRule::Filter`] | `ρ·‖w‖/√d · zᵢ`, so that its norm is about `ρ·‖w‖` |
//! | [`ScaleRule::FilterExact`] | `ρ·‖w‖/‖z‖ · zᵢ`, so that its norm is `ρ·‖w‖` |
//! | [`ScaleRule::Weight`] | `ρ·abs(wᵢ) · zᵢ` |
//! | [`ScaleRule::Absolute`] | `ρ · zᵢ` |

use crate::kernels::sum::sum_of_squares;
use crate::lane::{Lane, PARTIAL, fold};

/// What the noise of a number is proportional to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleRule {
    /// The root mean square of its row.
    Filter,
    /// The norm of its row, with the draw brought to norm 1.
    FilterExact,
    /// Its own size.
    Weight,
    /// Nothing: ρ is the standard deviation.
    Absolute,
}

impl ScaleRule {
    /// What the noise of a row is multiplied by: as it is, or over the norm of its draw with [`ScaleRule::FilterExact`], or times the size of
    /// each number with [`ScaleRule::Weight`].
    pub(super) fn factor<L: Lane>(self, rho: f32, row: &[f32]) -> f32 {
        match self {
            ScaleRule::Filter => rho * root::<L>(sum_of_squares::<L>(row) / row.len() as f32),
            ScaleRule::FilterExact => rho * root::<L>(sum_of_squares::<L>(row)),
            ScaleRule::Weight | ScaleRule::Absolute => rho,
        }
    }
}

/// The square root, by the lanes' own: pg-core has no other.
pub(super) fn root<L: Lane>(x: f32) -> f32 {
    L::splat(x).sqrt().lane(0)
}

/// A sum of squares of numbers that come piece by piece, in the same order.
#[derive(Default)]
pub(super) struct Squares {
    partial: [f32; PARTIAL],
    next: usize,
}

impl Squares {
    pub(super) fn add(&mut self, numbers: &[f32]) {
        for &z in numbers {
            let sum = &mut self.partial[self.next % PARTIAL];
            *sum = Lane::mul_add(z, z, *sum);
            self.next += 1;
        }
    }

    pub(super) fn sum(self) -> f32 {
        fold(self.partial)
    }
}
