//! Samples of a step, and which of them a member sees.

use core::ops::Range;

use crate::loss::Targets;

/// Samples and their targets.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Normalised inputs, `[sample][element]`.
    pub inputs: &'a [f32],
    /// The truth for each.
    pub targets: Targets<'a>,
    /// How many.
    pub samples: usize,
}

impl<'a> Batch<'a> {
    /// Some of the samples, of `elements` inputs and `outputs` targets each.
    ///
    /// # Panics
    /// When it has not so many.
    pub fn part(&self, samples: Range<usize>, elements: usize, outputs: usize) -> Batch<'a> {
        Batch {
            inputs: &self.inputs[samples.start * elements..samples.end * elements],
            targets: self.targets.range(samples.start, samples.end, outputs),
            samples: samples.len(),
        }
    }
}

/// Those of `samples` samples that `member` sees when `members` divide them.
pub(crate) const fn part(member: u32, members: u32, samples: usize) -> Range<usize> {
    // In 64 bits: a part of a large batch times the members.
    let (start, end, members) = (samples as u64 * member as u64, samples as u64 * (member as u64 + 1), members as u64);
    (start / members) as usize..(end / members) as usize
}

/// Where the samples of a step come from, part by part: a batch, or one who gathers them when they are asked for, so that a population whose
/// members all see other samples needs no memory for all of them.
pub trait Source {
    /// How many there are.
    fn samples(&self) -> usize;

    /// Some of them, of `elements` inputs and `outputs` targets each.
    ///
    /// # Panics
    /// When there are not so many.
    fn part(&mut self, samples: Range<usize>, elements: usize, outputs: usize) -> Batch<'_>;
}

impl Source for Batch<'_> {
    fn samples(&self) -> usize {
        self.samples
    }

    fn part(&mut self, samples: Range<usize>, elements: usize, outputs: usize) -> Batch<'_> {
        Batch::part(self, samples, elements, outputs)
    }
}

/// Which of a step's samples a member sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchMode {
    /// Every member sees all of them, at the cost of K passes.
    Shared,
    /// Each member sees its own K-th of them, at the cost of one pass. All samples weigh the same. Parts differ by one sample when K does not
    /// divide their number; of K members no more run than there are samples.
    Split,
    /// As [`BatchMode::Split`], of K times as many samples: each member has a whole batch of its own, at the cost of K passes.
    Fresh,
}

impl BatchMode {
    /// Whether members see different samples.
    pub const fn divides(self) -> bool {
        !matches!(self, BatchMode::Shared)
    }
}
