//! What can go wrong with flash, each with what to do about it.

use embedded_storage::nor_flash::{NorFlashError, NorFlashErrorKind};

/// Why something was not stored or read. What was stored before is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The layout is not this flash's.
    #[error("the layout does not fit the flash: slots and sectors must be whole pages inside it")]
    Layout,
    /// The state does not fit a slot.
    #[error("the state has {bytes} bytes, a slot has room for 1 to {room}: give the layout larger slots")]
    TooLarge {
        /// Bytes of the state.
        bytes: u32,
        /// The most there may be.
        room: u32,
    },
    /// More or fewer bytes than the state has.
    #[error("the bytes are not as many as those of the state: write and read what was announced")]
    Length,
    /// The sample does not fit a sector, or the memory it is read to.
    #[error("the sample does not fit a sector of the log, or the memory it is read to: make either larger")]
    RecordTooLarge,
    /// Every sector has samples that count.
    #[error("the flash is full of samples: forget the oldest, or reset")]
    Full,
    /// What was written is not what is read.
    #[error("the flash is worn: it does not keep what is written")]
    Worn,
    /// The flash refuses.
    #[error("the flash refuses: {0}")]
    Flash(NorFlashErrorKind),
}

impl StoreError {
    pub(super) fn of(error: impl NorFlashError) -> Self {
        Self::Flash(error.kind())
    }
}
