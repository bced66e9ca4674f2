//! Why a device does not start, and what its parts' errors are on the link.

use crate::link::Refusal;
use crate::model_file::ModelError;
use crate::store::StoreError;
use crate::tuner::TuneError;

/// Why a device does not start.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The model file.
    #[error("the model in the firmware: {0}")]
    Model(#[from] ModelError),
    /// The options or the memory.
    #[error("the tuner in the firmware: {0}")]
    Tuner(#[from] TuneError),
    /// The flash.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) fn refusal(error: TuneError) -> Refusal {
    match error {
        TuneError::Settings => Refusal::Options,
        TuneError::EmptyScope => Refusal::EmptyScope,
        TuneError::TooLittleMemory { needed, lent } => Refusal::TooLittleMemory { needed: 4 * needed as u32, lent: 4 * lent as u32 },
        TuneError::SampleLength { found, expected } => Refusal::SampleLength { found: found as u32, expected: expected as u32 },
        TuneError::NoSuchClass { label, classes } => Refusal::NoSuchClass { label, classes: classes as u16 },
        TuneError::NotFinite => Refusal::NotFinite,
        TuneError::Full { samples } => Refusal::RingFull { samples: samples as u32 },
        TuneError::NoSamples => Refusal::NoSamples,
        TuneError::Stopped => Refusal::Stopped,
        TuneError::Diverged => Refusal::Diverged,
        TuneError::NothingKept => Refusal::NothingKept,
        TuneError::Population
        | TuneError::Unfactored
        | TuneError::NoRankOne
        | TuneError::TooManyClasses { .. }
        | TuneError::Normalisation => Refusal::Unsupported,
    }
}

pub(super) fn refusal_of_store(error: StoreError) -> Refusal {
    match error {
        StoreError::TooLarge { .. } | StoreError::RecordTooLarge | StoreError::Layout | StoreError::Length => Refusal::StateTooLarge,
        StoreError::Full => Refusal::FlashFull,
        StoreError::Worn => Refusal::FlashWorn,
        StoreError::Flash(_) => Refusal::Flash,
    }
}
