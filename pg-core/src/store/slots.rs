//! The two slots of a state: header, stream, and last of all the record that makes it count.
//!
//! A new state goes to the slot that does not hold the newest one. A slot counts when its header and its stream have the check sums that
//! they name; of two that count, the one with the higher number is the newest.

use embedded_storage::nor_flash::NorFlash;

use super::bytes::{self, Part, in_words, integer};
use super::{HEADER_BYTES, Layout, StoreError};
use crate::link::CRC;

const MAGIC: [u8; 4] = *b"PGST";
const FORMAT: u16 = 1;
/// The check sum of header and stream, and its complement.
const COMMIT_BYTES: u32 = 8;
const HEADER: usize = HEADER_BYTES as usize;

/// A complete state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Its number: one more with each.
    pub sequence: u32,
    /// The version of the caller's format.
    pub version: u16,
    /// Bytes of its stream.
    pub bytes: u32,
    /// The number of the first sample that counted when it was written.
    pub log_from: u32,
}

impl State {
    fn header(&self, fingerprint: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let fields = MAGIC.into_iter().chain(FORMAT.to_le_bytes()).chain(self.version.to_le_bytes()).chain(self.sequence.to_le_bytes());
        let fields = fields.chain(fingerprint.to_le_bytes()).chain(self.bytes.to_le_bytes()).chain(self.log_from.to_le_bytes());
        header.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        seal(&mut header);
        header
    }

    fn parse(header: &[u8; HEADER], fingerprint: u64) -> Option<Self> {
        let ours = is_sealed(header) && integer(header, 0) == MAGIC && u16::from_le_bytes(integer(header, 4)) == FORMAT;
        let state = Self {
            version: u16::from_le_bytes(integer(header, 6)),
            sequence: u32::from_le_bytes(integer(header, 8)),
            bytes: u32::from_le_bytes(integer(header, 20)),
            log_from: u32::from_le_bytes(integer(header, 24)),
        };
        (ours && u64::from_le_bytes(integer(header, 12)) == fingerprint).then_some(state)
    }
}

/// Writes the check sum of a header to its end.
pub(super) fn seal(header: &mut [u8; HEADER]) {
    if let Some((fields, crc)) = header.split_last_chunk_mut::<4>() {
        *crc = CRC.checksum(fields).to_le_bytes();
    }
}

/// Whether the check sum at the end of a header is right.
pub(super) fn is_sealed(header: &[u8; HEADER]) -> bool {
    header.split_last_chunk::<4>().is_some_and(|(fields, &crc)| CRC.checksum(fields) == u32::from_le_bytes(crc))
}

/// Which slot holds the newest state.
pub(super) struct Slots {
    newest: Option<(u32, State)>,
}

impl Slots {
    pub fn scan<F: NorFlash>(flash: &mut F, layout: &Layout, fingerprint: u64) -> Result<Self, StoreError> {
        let mut newest: Option<(u32, State)> = None;
        for slot in 0..2 {
            if let Some(state) = complete(flash, layout, layout.slot(slot), fingerprint)?
                && newest.is_none_or(|(_, other)| state.sequence > other.sequence)
            {
                newest = Some((slot, state));
            }
        }
        Ok(Self { newest })
    }

    /// The newest state, unless it says that there is none.
    pub fn state(&self) -> Option<State> {
        self.newest.map(|(_, state)| state).filter(|state| state.bytes > 0)
    }

    /// Where the newest state lies.
    pub fn newest(&self, layout: &Layout) -> Option<(u32, State)> {
        self.newest.map(|(slot, state)| (layout.slot(slot), state))
    }

    pub fn log_from(&self) -> u32 {
        self.newest.map_or(0, |(_, state)| state.log_from)
    }
}

/// The state in a slot, if it is complete.
fn complete<F: NorFlash>(flash: &mut F, layout: &Layout, at: u32, fingerprint: u64) -> Result<Option<State>, StoreError> {
    let header = bytes::read_array::<HEADER, F>(flash, at)?;
    let Some(state) = State::parse(&header, fingerprint).filter(|state| state.bytes <= layout.state_bytes()) else { return Ok(None) };
    let mut crc = CRC.digest();
    bytes::check(flash, at, HEADER_BYTES + state.bytes, &mut crc)?;
    let commit = bytes::read_array::<{ COMMIT_BYTES as usize }, F>(flash, at + HEADER_BYTES + in_words::<F>(state.bytes))?;
    Ok((commit == commit_record(crc.finalize())).then_some(state))
}

fn commit_record(crc: u32) -> [u8; COMMIT_BYTES as usize] {
    ((u64::from(!crc) << 32) | u64::from(crc)).to_le_bytes()
}

/// Writes a state; dropped before [`Writer::commit`], it leaves the state before it.
pub struct Writer<'a, F> {
    part: Part<'a, F>,
    layout: &'a Layout,
    slots: &'a mut Slots,
    fingerprint: u64,
    slot: u32,
    state: State,
    left: u32,
}

impl<'a, F: NorFlash> Writer<'a, F> {
    pub(super) fn begin(
        flash: &'a mut F,
        layout: &'a Layout,
        slots: &'a mut Slots,
        fingerprint: u64,
        state: State,
    ) -> Result<Self, StoreError> {
        let (slot, sequence) = match slots.newest {
            Some((slot, newest)) => (1 - slot.min(1), newest.sequence.wrapping_add(1)),
            None => (0, 1),
        };
        let at = layout.slot(slot);
        flash.erase(at, at + layout.slot_bytes).map_err(StoreError::of)?;
        let state = State { sequence, ..state };
        let mut part = Part::new(flash, at);
        part.write(&state.header(fingerprint))?;
        Ok(Self { part, layout, slots, fingerprint, slot, state, left: state.bytes })
    }

    /// Adds bytes to the stream.
    ///
    /// # Errors
    /// [`StoreError::Length`] when they are more than were announced; [`StoreError::Flash`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let count = u32::try_from(bytes.len()).map_err(|_| StoreError::Length)?;
        self.left = self.left.checked_sub(count).ok_or(StoreError::Length)?;
        self.part.write(bytes)
    }

    /// Adds numbers to the stream, four little-endian bytes each.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn write_floats(&mut self, numbers: &[f32]) -> Result<(), StoreError> {
        numbers.iter().try_for_each(|number| self.write(&number.to_le_bytes()))
    }

    /// Makes the state count, once all of it is read back as it was written; returns its number.
    ///
    /// # Errors
    /// [`StoreError::Length`] when bytes are missing; [`StoreError::Worn`], [`StoreError::Flash`]. The state before it then stays the newest.
    pub fn commit(mut self) -> Result<u32, StoreError> {
        if self.left != 0 {
            return Err(StoreError::Length);
        }
        let crc = self.part.crc();
        let end = self.part.finish()?;
        let (layout, at) = (self.layout, self.layout.slot(self.slot));
        let mut read = CRC.digest();
        bytes::check(self.part.flash(), at, HEADER_BYTES + self.state.bytes, &mut read)?;
        if read.finalize() != crc {
            return Err(StoreError::Worn);
        }
        let mut commit = Part::new(self.part.flash(), end);
        commit.write(&commit_record(crc))?;
        commit.finish()?;
        match complete(self.part.flash(), layout, at, self.fingerprint)? {
            Some(state) if state == self.state => {
                self.slots.newest = Some((self.slot, state));
                Ok(state.sequence)
            }
            _ => Err(StoreError::Worn),
        }
    }
}
