//! Which layers of a network are trained: all, some, or only their biases and gains.
//!
//! A scope is a mask over the layers with parameters, in the order of the parameters. What it leaves out has no gradient and no state of
//! an optimiser: both are laid out without gaps, in the order of the parameters. A scope knows no parameter's value.
//!
//! ```
//! use pg_core::{layers::Scope, zoo::Mlp64x32x10, Network};
//! assert_eq!(Scope::EVERYTHING.len(&Mlp64x32x10::LEAVES), 2_410);
//! assert_eq!(Scope::last(1, &Mlp64x32x10::LEAVES).len(&Mlp64x32x10::LEAVES), 330);
//! assert_eq!(Scope::EVERYTHING.biases().len(&Mlp64x32x10::LEAVES), 42);
//! ```

use serde::{Deserialize, Serialize};

/// The most layers with parameters that a network may have.
const MOST: usize = 64;

/// A layer with parameters: some weights first, running statistics last.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    params: u32,
    weights: u32,
    statistics: u32,
}

/// The sizes of the layers with parameters, in order.
#[derive(Clone, Copy, Debug)]
pub struct Leaves {
    count: u32,
    sizes: [Leaf; MOST],
}

impl Leaves {
    /// One layer; none if it has no parameters.
    pub const fn one(params: usize, weights: usize, statistics: usize) -> Self {
        let mut sizes = [Leaf { params: 0, weights: 0, statistics: 0 }; MOST];
        sizes[0] = Leaf { params: params as u32, weights: weights as u32, statistics: statistics as u32 };
        Self { count: (params > 0) as u32, sizes }
    }

    /// These, then `others`.
    pub const fn then(mut self, others: &Self) -> Self {
        assert!((self.count + others.count) as usize <= MOST, "a network has at most 64 layers with parameters");
        let mut i = 0;
        while i < others.count {
            self.sizes[(self.count + i) as usize] = others.sizes[i as usize];
            i += 1;
        }
        self.count += others.count;
        self
    }

    /// How many there are.
    pub const fn count(&self) -> u32 {
        self.count
    }
}

/// What of a layer is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    Nothing,
    /// Biases and gains.
    Biases,
    /// All.
    Everything,
}

/// Which layers with parameters are trained: bit i stands for the i-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    mask: u64,
    biases: bool,
}

impl Scope {
    /// All layers.
    pub const EVERYTHING: Self = Self { mask: u64::MAX, biases: false };

    /// The layers whose bits are set, the first layer's the lowest.
    pub const fn of(mask: u64) -> Self {
        Self { mask, biases: false }
    }

    /// The last `count` layers of a network.
    pub const fn last(count: u32, leaves: &Leaves) -> Self {
        match leaves.count.checked_sub(count) {
            None | Some(0) => Self::EVERYTHING,
            Some(frozen) => Self::of(u64::MAX << frozen),
        }
    }

    /// Of the same layers only biases and gains.
    pub const fn biases(self) -> Self {
        Self { biases: true, ..self }
    }

    /// What is trained of the first layer.
    #[inline]
    pub const fn part(&self) -> Part {
        match (self.mask & 1, self.biases) {
            (0, _) => Part::Nothing,
            (_, true) => Part::Biases,
            (_, false) => Part::Everything,
        }
    }

    /// Whether anything in the first `count` layers is trained.
    #[inline]
    pub const fn trains(&self, count: u32) -> bool {
        count > 0 && self.mask << (MOST as u32 - count) != 0
    }

    /// The scope of the layers behind the first `count`.
    #[inline]
    pub const fn behind(self, count: u32) -> Self {
        // In two shifts: there may be 64.
        Self { mask: if count == 0 { self.mask } else { self.mask >> (count - 1) >> 1 }, ..self }
    }

    /// Parameters in scope, of the layers of `leaves`.
    #[inline]
    pub const fn len(&self, leaves: &Leaves) -> usize {
        let mut rest = *self;
        let mut length = 0;
        let mut i = 0;
        while i < leaves.count && (i as usize) < MOST {
            let Leaf { params, weights, .. } = leaves.sizes[i as usize];
            length += match rest.part() {
                Part::Nothing => 0,
                Part::Biases => params - weights,
                Part::Everything => params,
            };
            rest = rest.behind(1);
            i += 1;
        }
        length as usize
    }

    /// Visits the layers of which anything is trained: `visit(index of the first parameter, parameters)`.
    pub(crate) fn layers(&self, leaves: &Leaves, mut visit: impl FnMut(usize, usize)) {
        let mut first = 0;
        for (i, leaf) in (0..).zip(leaves.sizes.iter().take(leaves.count as usize)) {
            if self.behind(i).part() != Part::Nothing {
                visit(first, leaf.params as usize);
            }
            first += leaf.params as usize;
        }
    }

    /// Visits the ranges of trained parameters in scope, in order: `visit(where in a gradient, where in the parameters, length)`. Running
    /// statistics have their place in a gradient, but are not trained.
    #[inline(always)]
    pub fn ranges(&self, leaves: &Leaves, mut visit: impl FnMut(usize, usize, usize)) {
        let mut rest = *self;
        let (mut compact, mut first) = (0, 0);
        for &Leaf { params, weights, statistics } in leaves.sizes.iter().take(leaves.count as usize) {
            let [params, weights, statistics] = [params, weights, statistics].map(|size| size as usize);
            let skipped = match rest.part() {
                Part::Nothing => params,
                Part::Biases => weights,
                Part::Everything => 0,
            };
            if skipped < params {
                visit(compact, first + skipped, params - statistics - skipped);
            }
            compact += params - skipped;
            first += params;
            rest = rest.behind(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: Leaves = Leaves::one(10, 8, 0).then(&Leaves::one(8, 0, 2)).then(&Leaves::one(0, 0, 0)).then(&Leaves::one(33, 30, 0));

    #[test]
    fn a_scope_counts_what_it_trains() {
        assert_eq!(THREE.count(), 3);
        assert_eq!(Scope::EVERYTHING.len(&THREE), 51);
        assert_eq!(Scope::EVERYTHING.biases().len(&THREE), 2 + 8 + 3);
        assert_eq!(Scope::of(0b101).len(&THREE), 43);
        assert_eq!([1, 2, 3, 9].map(|count| Scope::last(count, &THREE).len(&THREE)), [33, 41, 51, 51]);
    }

    #[test]
    fn what_lies_behind_is_seen_from_there() {
        let scope = Scope::of(0b100);
        assert_eq!([scope.trains(0), scope.trains(2), scope.trains(3)], [false, false, true]);
        assert_eq!([scope.part(), scope.behind(2).part(), scope.behind(3).part()], [Part::Nothing, Part::Everything, Part::Nothing]);
        assert_eq!(Scope::EVERYTHING.behind(64).part(), Part::Nothing);
    }

    #[test]
    fn ranges_are_those_of_the_parameters() {
        extern crate std;
        let mut found = std::vec::Vec::new();
        Scope::EVERYTHING.ranges(&THREE, |compact, first, length| found.push((compact, first, length)));
        assert_eq!(found, [(0, 0, 10), (10, 10, 6), (18, 18, 33)]);
        found.clear();
        Scope::of(0b101).biases().ranges(&THREE, |compact, first, length| found.push((compact, first, length)));
        assert_eq!(found, [(0, 8, 2), (2, 48, 3)]);
    }
}
