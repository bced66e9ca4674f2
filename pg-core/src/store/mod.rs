//! What outlives a power cut: a state in two slots of flash, and a log of samples, over the traits of `embedded-storage`.
//!
//! docs/flash.md has the layout. A state is a stream of bytes that only the caller understands; it counts once its last record is written,
//! so that after a cut at any write or erase the newest complete state is found. A sample is in flash when [`Store::append`] returns.
//! Behind both stands the factory's model, in the firmware: where there is no state, [`Store::state`] is `None`. Nothing here allocates or
//! panics; what is read back differently from what was written is an error, and the state before it stays.
//!
//! The crate `sequential-storage` keeps items within a page each, waits for them with futures, and commits one item at a time; a state is larger than a
//! page of many chips, and counts as a whole.

mod bytes;
mod error;
mod log;
mod slots;

use embedded_storage::nor_flash::NorFlash;

use self::bytes::WORD;
pub use self::error::StoreError;
use self::log::Log;
pub use self::log::{Cursor, Entry};
use self::slots::Slots;
pub use self::slots::{State, Writer};

/// Bytes of the header of a slot or a sector.
pub const HEADER_BYTES: u32 = 32;

/// Where everything lies: two slots, then the sectors of the log, all of them multiples of the flash's erase size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The first byte.
    pub start: u32,
    /// Bytes of each of the two slots: [`Layout::state_bytes`] has room in it.
    pub slot_bytes: u32,
    /// Bytes of a sector of the log; a sample fits one.
    pub sector_bytes: u32,
    /// Sectors of the log, two or more if the oldest samples are to make room for new ones.
    pub sectors: u32,
}

impl Layout {
    /// Bytes of flash.
    pub const fn bytes(&self) -> u64 {
        2 * self.slot_bytes as u64 + self.sector_bytes as u64 * self.sectors as u64
    }

    /// The longest state that a slot takes, whatever the flash's word.
    pub const fn state_bytes(&self) -> u32 {
        self.slot_bytes.saturating_sub(HEADER_BYTES + 2 * WORD as u32)
    }

    const fn slot(&self, index: u32) -> u32 {
        self.start + index * self.slot_bytes
    }

    const fn sector(&self, index: u32) -> u32 {
        self.start + 2 * self.slot_bytes + index * self.sector_bytes
    }

    fn check<F: NorFlash>(&self, flash: &F) -> Result<(), StoreError> {
        let whole = |bytes: u32| (bytes as usize).is_multiple_of(F::ERASE_SIZE);
        let parts = whole(self.start) && whole(self.slot_bytes) && whole(self.sector_bytes) && self.state_bytes() > 0 && self.sectors > 0;
        let room = self.sector_bytes > HEADER_BYTES && u64::from(self.start) + self.bytes() <= flash.capacity() as u64;
        if parts && room && flash.capacity() <= u32::MAX as usize { Ok(()) } else { Err(StoreError::Layout) }
    }
}

/// States and samples of one network in a flash.
pub struct Store<F> {
    flash: F,
    layout: Layout,
    fingerprint: u64,
    slots: Slots,
    log: Log,
}

impl<F: NorFlash> Store<F> {
    /// Finds what there is of the network with this fingerprint; what is another network's is not seen, and overwritten in time.
    ///
    /// # Errors
    /// [`StoreError::Layout`], [`StoreError::Flash`].
    pub fn open(mut flash: F, layout: Layout, fingerprint: u64) -> Result<Self, StoreError> {
        layout.check(&flash)?;
        let slots = Slots::scan(&mut flash, &layout, fingerprint)?;
        let log = Log::scan(&mut flash, &layout, fingerprint, slots.log_from())?;
        Ok(Self { flash, layout, fingerprint, slots, log })
    }

    /// The newest complete state; `None` stands for the factory's.
    pub fn state(&self) -> Option<State> {
        self.slots.state()
    }

    /// Copies bytes of the newest state, from `offset` on.
    ///
    /// # Errors
    /// [`StoreError::Length`] when it has not as many; [`StoreError::Flash`].
    pub fn read(&mut self, offset: u32, out: &mut [u8]) -> Result<(), StoreError> {
        let (at, state) = self.slots.newest(&self.layout).ok_or(StoreError::Length)?;
        let end = u64::from(offset) + out.len() as u64;
        if end > u64::from(state.bytes) {
            return Err(StoreError::Length);
        }
        bytes::read(&mut self.flash, at + HEADER_BYTES + offset, out)
    }

    /// Begins to write a state of so many bytes, in the caller's format of this version. The state before it counts until
    /// [`Writer::commit`] has returned.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Flash`].
    pub fn begin(&mut self, version: u16, bytes: u32) -> Result<Writer<'_, F>, StoreError> {
        if bytes == 0 || bytes > self.layout.state_bytes() {
            return Err(StoreError::TooLarge { bytes, room: self.layout.state_bytes() });
        }
        self.write_slot(version, bytes, self.log.first())
    }

    /// Back to the factory, at once: no state, no samples.
    ///
    /// # Errors
    /// [`StoreError::Flash`], [`StoreError::Worn`]: then everything is as it was.
    pub fn reset(&mut self) -> Result<(), StoreError> {
        let next = self.log.next();
        self.write_slot(0, 0, next)?.commit()?;
        self.log.forget_before(next);
        Ok(())
    }

    fn write_slot(&mut self, version: u16, bytes: u32, log_from: u32) -> Result<Writer<'_, F>, StoreError> {
        let Self { flash, layout, fingerprint, slots, .. } = self;
        Writer::begin(flash, layout, slots, *fingerprint, State { sequence: 0, version, bytes, log_from })
    }

    /// Adds a sample, of bytes that only the caller understands, and returns its number: one more each time, also across power cuts.
    ///
    /// # Errors
    /// [`StoreError::Full`] until [`Store::forget_before`] frees the oldest sector; [`StoreError::RecordTooLarge`],
    /// [`StoreError::Flash`], [`StoreError::Worn`]. All samples before it stay.
    pub fn append(&mut self, parts: &[&[u8]]) -> Result<u32, StoreError> {
        self.log.append(&mut self.flash, &self.layout, self.fingerprint, parts)
    }

    /// The numbers of the samples that there are.
    pub fn samples(&self) -> core::ops::Range<u32> {
        self.log.first()..self.log.next()
    }

    /// Gives up the samples before this number, for good with the next state that is written.
    pub fn forget_before(&mut self, number: u32) {
        self.log.forget_before(number);
    }

    /// The sample behind `cursor`, copied to the front of `out`; `None` behind the last. [`Cursor::OLDEST`] is in front of the first.
    ///
    /// # Errors
    /// [`StoreError::RecordTooLarge`] when `out` is too short; [`StoreError::Flash`].
    pub fn next_sample(&mut self, cursor: &mut Cursor, out: &mut [u8]) -> Result<Option<Entry>, StoreError> {
        self.log.next_sample(&mut self.flash, &self.layout, cursor, out)
    }

    /// Gives the flash back.
    pub fn close(self) -> F {
        self.flash
    }
}
