//! The population gradient: the mean of the gradients of noisy copies of one network.
//!
//! `G = (1/K)·Σₖ ∇L(θ + εₖ; B)`, a non-local estimate of the gradient (Sakai et al., *Population gradients*, arXiv 2010.12260).
//! What the paper leaves open is a choice of this project, and every choice is an option: the law of the noise ([`Noise`]), antithetic
//! pairs, which samples a member sees ([`BatchMode`]), how ρ changes ([`RhoSchedule`]), how gradients become one ([`Combine`]).
//!
//! # The order of summation
//! Part of the promise of the same bits everywhere; a chain runs in index order:
//! * a sum of products inside a layer (over inputs, outputs or samples): fused multiply-adds from the bias or from zero;
//! * a bias's gradient, a row's sum of squares: sixteen strided partial sums, folded in halves (partial i takes partial i + 8, then
//!   i + 4, i + 2, i + 1);
//! * softmax's total: a chain over the classes; a loss: chains over samples, then shards, then members;
//! * a member's gradient over a batch: over shards of [`SHARD`] samples;
//! * the gradient of the population: over the members, θ+ε before θ-ε, pair after pair; then times 1/K; then the clean gradient. Members
//!   on factors that divide a batch ([`Population::is_side_by_side`]): as one network's gradient over the batch; the statistics of a batch
//!   norm over the places of each sample, then over the samples of each member.
//!
//! A member's weight is put on the gradient of its outputs, or, where its batch is summed shard by shard, on its sum.
//! Results do not depend on how many members are made at once, in which lanes, or by how many threads; memory does not grow with the
//! population.
//!
//! # Members that are no good
//! A member whose loss is not finite is skipped with the other of its pair: the mean is that of the others. It is judged before its backward
//! pass, and nothing that it spoils is kept. A step that meets one is begun again, with each pair judged by a forward pass before it counts.

mod batch;
mod combine;
mod members;
mod pass;
mod schedule;
mod workspace;

pub(crate) use batch::part;
pub use batch::{Batch, BatchMode, Source};
pub use combine::{Combine, Softmax, Weights};
pub use pass::{Cohort, Input, accumulate, add, backward, estimate, forward, infer, join, losses, scale, weigh};
pub use schedule::{RhoCourse, RhoSchedule};
pub use workspace::{SHARD, Workspace, shard};

use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::form::Form;
use crate::lane::Lane;
use crate::layers::{Draw, larger};
use crate::loss::Loss;
use crate::network::Network;
use crate::noise::{Purpose, Stream};
use crate::perturbation::Noise;
use crate::sharing::{LINE, MOVE, Sharing};
use members::Members;

/// The population and its noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Population {
    /// K: how many members; 0 is plain stochastic gradient descent.
    pub members: u32,
    /// The law of the noise, with ρ at its highest.
    pub noise: Noise,
    /// Whether members come in pairs θ+ε, θ-ε.
    pub antithetic: bool,
    /// Which samples a member sees.
    pub batch: BatchMode,
    /// How ρ changes over the run.
    pub schedule: RhoSchedule,
    /// How the members' gradients become one.
    pub combine: Combine,
}

/// What a step gives besides the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean loss of the members, without weights.
    pub loss: f32,
    /// Members that were left out because a loss of their pair was not finite.
    pub skipped: u32,
}

/// Numbers that are finished while the first cache holds them.
const PIECE: usize = 1024;

impl Estimate {
    /// Does what is left to do to each number of the gradient, and gives the estimate if they are all finite then.
    ///
    /// # Errors
    /// [`StepError::NonFiniteGradient`].
    pub fn finish(self, sharing: Sharing, gradient: &mut [f32], work: impl Fn(&mut [f32]) + Sync) -> Result<Self, StepError> {
        let finite = AtomicBool::new(true);
        sharing.pieces(gradient, LINE, MOVE, |_, gradient| {
            for piece in gradient.chunks_mut(PIECE) {
                work(piece);
                // Without a short circuit, for the sake of the lanes.
                if !piece.iter().fold(true, |finite, g| finite & g.is_finite()) {
                    finite.store(false, Ordering::Relaxed);
                }
            }
        });
        if finite.into_inner() { Ok(self) } else { Err(StepError::NonFiniteGradient) }
    }
}

/// Why a step has no gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// Of every member, or of the central network, the loss is infinite or not a number; the gradient must not be used.
    #[error("the loss is no longer a finite number")]
    NonFiniteLoss,
    /// The losses are finite, the gradient is not: the step is void.
    #[error("the gradient is no longer finite")]
    NonFiniteGradient,
}

impl Population {
    /// Plain stochastic gradient descent.
    pub const NONE: Self = Self::new(0, 0.0);

    /// Antithetic pairs with Gaussian noise to the measure of each filter, one batch for all, their mean.
    pub const fn new(members: u32, rho: f32) -> Self {
        Self {
            members,
            noise: Noise::new(rho),
            antithetic: true,
            batch: BatchMode::Shared,
            schedule: RhoSchedule::CONSTANT,
            combine: Combine::Mean,
        }
    }

    /// The population of `step` of `steps`: that with the scheduled noise. Where the schedule has none, members that share a batch would all
    /// be alike, so there is only the central network.
    #[must_use]
    pub fn at(&self, step: u32, steps: u32) -> Self {
        let factor = self.schedule.factor(step, steps);
        let noise = Noise { rho: self.noise.rho * factor, ..self.noise };
        let members = if factor == 0.0 && !self.batch.divides() { 0 } else { self.members };
        Self { members, noise, schedule: RhoSchedule::CONSTANT, ..*self }
    }

    /// Passes over a batch in a step, forward and back: what it costs, in steps of plain gradient descent.
    pub const fn passes(&self) -> u32 {
        let members = match self.batch {
            _ if self.members == 0 => return 1,
            BatchMode::Split => 1,
            BatchMode::Shared | BatchMode::Fresh => self.members,
        };
        members + if self.lambda() > 0.0 { 1 } else { 0 }
    }

    /// The share of the clean gradient.
    pub const fn lambda(&self) -> f32 {
        match self.combine {
            Combine::Clean { lambda } => lambda,
            Combine::Mean | Combine::Softmax { .. } => 0.0,
        }
    }

    /// Members that run on `samples` samples.
    pub fn running(&self, samples: usize) -> u32 {
        if self.batch.divides() { self.members.min(u32::try_from(samples).unwrap_or(u32::MAX)) } else { self.members }
    }

    /// Members that are made together: the second of a pair is made from the first.
    pub const fn unit(&self) -> u32 {
        if self.antithetic { 2 } else { 1 }
    }

    /// Those of `samples` samples that `member` sees.
    pub fn part(&self, member: u32, samples: usize) -> Range<usize> {
        if !self.batch.divides() {
            return 0..samples;
        }
        part(member, self.running(samples), samples)
    }

    /// Those of `samples` samples that the clean gradient is over.
    pub fn clean_part(&self, samples: usize) -> Range<usize> {
        if self.batch == BatchMode::Fresh { self.part(0, samples) } else { 0..samples }
    }

    /// What the sum over the members is multiplied by, when `skipped` members, which saw `unseen` of `samples` samples, are not in it.
    pub fn mean(&self, samples: usize, skipped: u32, unseen: usize) -> f32 {
        if self.batch.divides() { samples as f32 / (samples - unseen) as f32 } else { 1.0 / (self.members - skipped) as f32 }
    }

    /// Makes the sum over the members the gradient of the population, but for the clean gradient: times the mean's factor, and `1-λ`. A sum with
    /// the weights of [`Combine::Softmax`] is it already.
    pub fn scale_sum<L: Lane>(&self, mean: f32, gradient: &mut [f32]) {
        let factor = mean * (1.0 - self.lambda());
        if factor != 1.0 && !matches!(self.combine, Combine::Softmax { .. }) {
            scale::<L>(factor, gradient);
        }
    }

    /// The pair that `member` belongs to and whether it is its second half, θ-ε.
    pub const fn place(&self, member: u32) -> (u32, bool) {
        if self.antithetic { (member / 2, member % 2 == 1) } else { (member, false) }
    }

    /// The noise of `pair` at `step`.
    pub fn stream(&self, seed: u64, step: u32, pair: u32) -> Stream {
        Stream::new(seed, Purpose::Members, step, pair)
    }

    /// What keys the random masks of `member` at `step`, for samples from `first_sample` on.
    pub const fn draw(&self, seed: u64, step: u32, member: u32, first_sample: u32) -> Draw {
        Draw { seed, step, member, antithetic: self.antithetic, first_sample }
    }

    /// Whose masks the clean gradient has: those of the pair behind the last.
    pub const fn clean_member(&self) -> u32 {
        self.members.next_multiple_of(self.unit())
    }

    /// `f32`s that hold the members made at once: one, or with members in lanes as many as there are lanes. With rank-1 noise other numbers
    /// are enough, or needed: [`Population::members_len`].
    pub const fn weights_len<N: Network, F: Form>() -> usize {
        N::PARAMS * F::WEIGHT
    }

    /// `f32`s that hold what members of this population are made of, for batches of up to `samples`: their weights, or the factors of their
    /// noise ([`Noise::is_factored`]), one of each, and one for each sample of a pass where they divide a batch.
    pub const fn members_len<N: Network, F: Form>(&self, samples: usize) -> usize {
        if !self.noise.is_factored::<N>() {
            return Self::weights_len::<N, F>();
        }
        let weights = if F::WEIGHT > 1 { N::PARAMS * F::WEIGHT } else { 0 };
        let of_samples = shard::<N>(samples).div_ceil(F::SAMPLES) * F::COLUMN;
        weights + N::FACTORS * if self.is_side_by_side::<N>() { 1 + larger(of_samples, F::WEIGHT) } else { F::WEIGHT }
    }

    /// Whether members that divide a batch run in one pass, each lane on the factors of its sample's member. Their random masks are then those
    /// of one pair, as in plain gradient descent.
    pub const fn is_side_by_side<N: Network>(&self) -> bool {
        let plain = !matches!(self.combine, Combine::Softmax { .. });
        self.noise.is_factored::<N>() && matches!(self.batch, BatchMode::Split) && plain && N::SIDE_BY_SIDE
    }

    /// Writes the population gradient at `parameters` over `batch` to `gradient`. The schedule is the caller's matter: [`Population::at`].
    ///
    /// * `scales`: scratch of `N::FILTERS`, unused without noise; `weights`: scratch of [`Population::members_len`], unused without members
    /// * `workspace`: [`Workspace::new`] for the same network, form and at least as many samples as are seen at once
    ///
    /// # Errors
    /// [`StepError`]; `gradient` must then not be used. `parameters` are never touched.
    ///
    /// # Panics
    /// When a slice is too short or a label has no output.
    #[allow(clippy::too_many_arguments, reason = "the memory is the caller's, part by part")]
    pub fn gradient<N: Network, F: Form>(
        &self,
        loss: &Loss,
        seed: u64,
        step: u32,
        parameters: &[f32],
        batch: &Batch,
        scales: &mut [f32],
        weights: &mut [f32],
        workspace: &mut Workspace,
        gradient: &mut [f32],
    ) -> Result<Estimate, StepError> {
        let source = &mut { *batch };
        self.gradient_of::<N, F>(loss, seed, step, parameters, source, scales, weights, workspace, gradient)
    }

    /// [`Population::gradient`] over samples that come part by part. With members in lanes those who see different samples run one by one.
    ///
    /// # Errors
    /// As [`Population::gradient`].
    ///
    /// # Panics
    /// As [`Population::gradient`].
    #[allow(clippy::too_many_arguments, reason = "the memory is the caller's, part by part")]
    pub fn gradient_of<N: Network, F: Form>(
        &self,
        loss: &Loss,
        seed: u64,
        step: u32,
        parameters: &[f32],
        source: &mut dyn Source,
        scales: &mut [f32],
        weights: &mut [f32],
        workspace: &mut Workspace,
        gradient: &mut [f32],
    ) -> Result<Estimate, StepError> {
        if self.members > 0 && self.noise.rho != 0.0 {
            self.noise.scales_shared::<N, F::Value>(workspace.sharing, parameters, scales);
        }
        Members::<N, F>::new(self, loss, (seed, step), parameters, source, scales, weights, workspace).gradient(gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_samples_once_and_differ_by_one_at_most() {
        for members in 1..=20 {
            let population = Population { batch: BatchMode::Split, ..Population::new(members, 0.3) };
            for samples in 1..=70 {
                let running = population.running(samples);
                assert_eq!(running, members.min(samples as u32));
                let parts: std::vec::Vec<_> = (0..running).map(|member| population.part(member, samples)).collect();
                assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, samples));
                assert!(parts.windows(2).all(|two| two[0].end == two[1].start));
                let least = samples / running as usize;
                assert!(parts.iter().all(|part| part.len() == least || part.len() == least + 1), "{members} {samples}");
            }
        }
    }

    #[test]
    fn the_schedule_takes_members_away_only_where_they_would_be_alike() {
        let schedule = RhoSchedule { start: 0.5, ..RhoSchedule::CONSTANT };
        let shared = Population { schedule, ..Population::new(8, 0.4) };
        assert_eq!((shared.at(4, 10), shared.at(5, 10)), (Population::new(0, 0.0), Population::new(8, 0.4)));
        let split = Population { batch: BatchMode::Split, ..shared };
        assert_eq!((split.at(4, 10).members, split.at(4, 10).noise.rho), (8, 0.0));
    }

    #[test]
    fn a_step_costs_the_passes_of_its_mode_and_one_for_the_clean_gradient() {
        let passes = |members, batch, combine| Population { batch, combine, ..Population::new(members, 0.3) }.passes();
        use BatchMode::{Fresh, Shared, Split};
        assert_eq!([Shared, Split, Fresh].map(|mode| passes(0, mode, Combine::Mean)), [1, 1, 1]);
        assert_eq!([Shared, Split, Fresh].map(|mode| passes(8, mode, Combine::Mean)), [8, 1, 8]);
        assert_eq!([Shared, Split, Fresh].map(|mode| passes(8, mode, Combine::Clean { lambda: 0.5 })), [9, 2, 9]);
        assert_eq!(passes(8, Shared, Combine::Clean { lambda: 0.0 }), 8);
    }
    extern crate std;
}
