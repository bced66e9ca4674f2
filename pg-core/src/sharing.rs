//! Work that several threads can do piece by piece: the rows of a product, the channels of a pool, the rows of a member's noise. The core has no
//! threads of its own; who has some lends them to a [`Workspace`](crate::population::Workspace::shared).
//!
//! Pieces are written by one thread each and no sum runs across them, so the bits do not depend on who shares. On a device, which has one
//! core, nothing is left of it.

use core::fmt;

/// Several threads, for the core.
pub trait Share: Sync {
    /// Does `work(first, pieces)` for pieces of the slices `to` that together are all of them, at the same time if it can and if that is worth it: the whole
    /// takes as long as `cost` multiply-adds of one number each in the widest lanes. All slices have as many units, of so many numbers each as
    /// `units` says; the pieces begin with unit number `first`. The last unit may be shorter, and the slices behind the first be empty.
    fn share(&self, to: Slices, units: [usize; 3], cost: usize, work: &(dyn Fn(usize, Slices) + Sync));
}

/// What pieces are cut from: up to three slices, unit by unit.
pub type Slices<'a> = [&'a mut [f32]; 3];

/// Cuts the first `count` units off slices.
pub fn cut<'a>(from: &mut Slices<'a>, units: [usize; 3], count: usize) -> Slices<'a> {
    core::array::from_fn(|i| {
        let length = (units[i] * count).min(from[i].len());
        from[i].split_off_mut(..length).unwrap_or_default()
    })
}

/// Threads to share work with, if there are any.
#[derive(Clone, Copy)]
pub struct Sharing<'a>(Option<&'a dyn Share>);

/// Multiply-adds in the time that a number takes to be moved.
pub(crate) const MOVE: usize = 4;

/// Numbers of a cache line, the unit of what has no rows.
pub(crate) const LINE: usize = 16;

impl<'a> Sharing<'a> {
    /// Nobody to share with.
    pub const ALONE: Self = Self(None);

    /// With these threads.
    pub const fn with(others: &'a dyn Share) -> Self {
        Self(Some(others))
    }

    /// Whether there is nobody to share with.
    pub(crate) const fn is_alone(self) -> bool {
        cfg!(target_os = "none") || self.0.is_none()
    }

    /// As [`Share::share`] with one slice; each of its numbers takes as long as `cost` multiply-adds. Of nothing nothing is done.
    #[inline(always)]
    pub(crate) fn pieces(self, to: &mut [f32], unit: usize, cost: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
        if self.is_alone() && !to.is_empty() {
            return work(0, to);
        }
        self.pieces_of_three([to, &mut [], &mut []], [unit, 0, 0], cost, |first, [piece, ..]| work(first, piece));
    }

    /// Copies `from`, line by line.
    pub(crate) fn copy(self, from: &[f32], to: &mut [f32]) {
        self.pieces(to, LINE, MOVE, |first, to| to.copy_from_slice(&from[first * LINE..][..to.len()]));
    }

    /// The same with three slices; each number of the first takes as long as `cost` multiply-adds.
    #[inline(always)]
    pub(crate) fn pieces_of_three(self, to: Slices, units: [usize; 3], cost: usize, work: impl Fn(usize, Slices) + Sync) {
        let length = to[0].len();
        match self.0 {
            _ if length == 0 => {}
            Some(others) if !self.is_alone() => others.share(to, units, length.saturating_mul(cost), &work),
            _ => work(0, to),
        }
    }
}

impl fmt::Debug for Sharing<'_> {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(if self.is_alone() { "Sharing(alone)" } else { "Sharing(with others)" })
    }
}
