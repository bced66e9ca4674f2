//! Why a tuner refuses.

use super::MOST_CLASSES;

/// Why a tuner refuses. It keeps working with what it had.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TuneError {
    /// A setting is negative, infinite, no number, or a momentum of 1 or more.
    #[error(
        "a setting makes no sense: rate, rho and decay must be finite and not negative, the momentum below 1, a look after 1 step or more"
    )]
    Settings,
    /// A population of another kind than those that a tuner makes.
    #[error(
        "a tuner makes noise on all weights, in proportion to each filter or absolute and the same in every step, has one batch for all \
         members, and takes the mean of their gradients"
    )]
    Population,
    /// Noise of rank 1, and a layer that does not run on its factors ([`Network::FACTORS`](crate::Network::FACTORS)).
    #[error("a layer of this network does not run on the factors of rank-1 noise: take another noise")]
    Unfactored,
    /// Noise of rank 1, and a tuner whose type leaves it out.
    #[error("this tuner was built without rank-1 noise: take another noise, or build it with it")]
    NoRankOne,
    /// The scope has no layer of this network.
    #[error("the scope trains no layer of this network")]
    EmptyScope,
    /// The lent memory is too small for the settings.
    #[error("the settings need {needed} numbers of memory, and {lent} are lent")]
    TooLittleMemory {
        /// Numbers that are needed.
        needed: usize,
        /// Numbers that there are.
        lent: usize,
    },
    /// The network has more than [`MOST_CLASSES`].
    #[error("a tuner tells at most {MOST_CLASSES} classes apart, and the network has {classes}")]
    TooManyClasses {
        /// The network's classes.
        classes: usize,
    },
    /// The normalisation is for other channels.
    #[error("the normalisation is for another number of channels")]
    Normalisation,
    /// A sample of another length.
    #[error("a sample has {found} values, and the network takes {expected}")]
    SampleLength {
        /// Values of the sample.
        found: usize,
        /// Values of an input.
        expected: usize,
    },
    /// A class that the network does not have.
    #[error("there is no class {label}: the network has {classes}")]
    NoSuchClass {
        /// The label.
        label: u16,
        /// The network's classes.
        classes: usize,
    },
    /// A sample with a value that is infinite or not a number.
    #[error("a value of the sample is not a finite number")]
    NotFinite,
    /// The ring has no room.
    #[error("the ring is full with {samples} samples: forget the oldest first")]
    Full {
        /// How many it holds.
        samples: usize,
    },
    /// There is nothing to learn from.
    #[error("there is no sample to learn from: label some first")]
    NoSamples,
    /// Tuning has stopped.
    #[error("tuning has stopped: the loss on the held-out samples falls no more; restart it to go on")]
    Stopped,
    /// The loss of a step is no number; the best parameters are back if any were kept.
    #[error("the loss is no longer a finite number: the parameters are the best so far")]
    Diverged,
    /// No best parameters are kept.
    #[error("no parameters are kept to go back to")]
    NothingKept,
}
