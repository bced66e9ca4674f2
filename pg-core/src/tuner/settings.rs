//! What a tuner is told: how a step is made, when it looks at the held-out samples, and when it stops.

use serde::{Deserialize, Serialize};

use super::TuneError;
use crate::form::{Form, Samples};
use crate::lane::Lane;
use crate::layers::Scope;
use crate::network::Network;
use crate::perturbation::{Distribution, Noise};
use crate::population::{BatchMode, Combine, Population, RhoSchedule, SHARD, Workspace};

/// How a tuner learns. The defaults are those of `pg-host replay`; docs/tuning.md says how they were found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Which layers are trained, and perturbed.
    pub scope: Scope,
    /// The population; [`Population::NONE`] is plain gradient descent. Others than those of [`TuneError::Population`] are refused.
    pub population: Population,
    /// The learning rate.
    pub rate: f32,
    /// In [0, 1); 0 needs no velocity.
    pub momentum: f32,
    /// The factor of ‖θ‖²/2 in the loss, of the parameters in scope.
    pub weight_decay: f32,
    /// Every n-th sample of a class is held out; 0 holds out none.
    pub hold_out: u32,
    /// Steps between two looks at the held-out samples.
    pub look_every: u32,
    /// Looks in a row without a lower loss after which tuning stops and the best parameters come back; 0 never stops for this.
    pub patience: u32,
}

impl Settings {
    /// A population of four with random signs, all layers, nothing held out.
    pub const DEFAULT: Self = Self {
        scope: Scope::EVERYTHING,
        population: Population { noise: Noise { distribution: Distribution::Rademacher, ..Noise::new(0.3) }, ..Population::new(4, 0.3) },
        rate: 0.05,
        momentum: 0.9,
        weight_decay: 0.0,
        hold_out: 0,
        look_every: 10,
        patience: 5,
    };

    /// The memory that these settings need.
    pub const fn needs(&self) -> Needs {
        Needs {
            scope: self.scope,
            momentum: self.momentum != 0.0,
            member: match self.population {
                Population { members: 0, .. } => Member::None,
                Population { noise: Noise { distribution: Distribution::RankOne, .. }, .. } => Member::Factors,
                _ => Member::Weights,
            },
            decay: self.weight_decay != 0.0,
        }
    }

    /// Whether every number makes sense, for a tuner with rank-1 noise or without.
    pub(super) fn check<N: Network>(&self, rank_one: bool) -> Result<(), TuneError> {
        let finite_and_not_negative = |number: f32| number.is_finite() && number >= 0.0;
        let sound = finite_and_not_negative(self.rate)
            && (0.0..1.0).contains(&self.momentum)
            && finite_and_not_negative(self.weight_decay)
            && finite_and_not_negative(self.population.noise.rho)
            && self.look_every > 0;
        if !sound {
            return Err(TuneError::Settings);
        }
        let Population { noise, batch, schedule, combine, .. } = &self.population;
        let is_usual =
            noise.is_of_filters() && *batch == BatchMode::Shared && *schedule == RhoSchedule::CONSTANT && *combine == Combine::Mean;
        if !is_usual {
            return Err(TuneError::Population);
        }
        if self.needs().member == Member::Factors {
            if !rank_one {
                return Err(TuneError::NoRankOne);
            }
            if !noise.is_factored::<N>() {
                return Err(TuneError::Unfactored);
            }
        }
        if self.scope.len(&N::LEAVES) == 0 {
            return Err(TuneError::EmptyScope);
        }
        Ok(())
    }
}

/// What decides how much memory a tuner works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Which layers are trained.
    pub scope: Scope,
    /// Whether there is momentum.
    pub momentum: bool,
    /// What the members of the population are made of; how many there are does not matter.
    pub member: Member,
    /// Whether there is weight decay.
    pub decay: bool,
}

/// What a member of the population is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Member {
    /// There is none: plain gradient descent.
    None,
    /// Weights of its own.
    Weights,
    /// The factors of its rank-1 noise ([`crate::perturbation::rank_one`]): it runs on the central parameters.
    Factors,
}

/// Numbers in each part of a tuner's working memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The gradient of the parameters in scope; none where a step is taken at once.
    pub gradient: usize,
    /// Their velocity.
    pub velocity: usize,
    /// One noisy copy of the network, or the factors of its noise.
    pub member: usize,
    /// The noise scale of each filter.
    pub scales: usize,
    /// The activations of a batch.
    pub activations: usize,
}

impl Sizes {
    /// All together: the length of [`super::Memory::working`].
    pub const fn sum(&self) -> usize {
        self.gradient + self.velocity + self.member + self.scales + self.activations
    }
}

impl Needs {
    /// The working memory for network `N` in lanes `L`, with batches of `BATCH`.
    pub const fn sizes<N: Network, L: Lane, const BATCH: usize>(&self) -> Sizes {
        const { assert!(BATCH > 0 && BATCH <= SHARD, "a tuner's batch has 1 to 64 samples") };
        let trained = self.scope.len(&N::LEAVES);
        Sizes {
            gradient: if self.descends::<N, L, BATCH>() { 0 } else { trained },
            velocity: if self.momentum { trained } else { 0 },
            member: match self.member {
                Member::None => 0,
                Member::Weights => N::PARAMS,
                Member::Factors => N::FACTORS,
            },
            scales: if matches!(self.member, Member::None) { 0 } else { N::FILTERS },
            activations: Workspace::len::<N, Samples<L>>(BATCH),
        }
    }

    /// Whether a step needs no gradient in memory: one sample, one number at a time, nothing but the gradient in the step.
    pub(super) const fn descends<N: Network, L: Lane, const BATCH: usize>(&self) -> bool {
        BATCH == 1
            && <Samples<L> as Form>::COLUMN == 1
            && N::DESCENDS
            && !self.momentum
            && matches!(self.member, Member::None)
            && !self.decay
    }
}
