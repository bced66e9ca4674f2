//! The log of samples: records in sectors that take turns, each record with a number and a check sum.
//!
//! A record is a header, written on its own, then the sample with its check sum. What a power cut leaves of either is stepped over: behind a
//! header that is none only the header's place is lost, behind a header whose sample is none the sample's, too. A number is given only to
//! a record that is complete, so the samples that count are the longest run without a gap up to the newest: what is left of a sector whose
//! erase was cut does not pass for samples.

use embedded_storage::nor_flash::NorFlash;

use super::bytes::{self, Part, in_words, integer};
use super::slots::{is_sealed, seal};
use super::{HEADER_BYTES, Layout, StoreError};
use crate::link::CRC;

const MAGIC: [u8; 4] = *b"PGLG";
const FORMAT: u16 = 1;
const HEADER: usize = HEADER_BYTES as usize;
/// Length (16 bits), a check of header (16 bits), number (32 bits).
const RECORD_HEADER_BYTES: u32 = 8;
const CRC_BYTES: u32 = 4;

/// A sample that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub number: u32,
    /// Its length.
    pub bytes: usize,
}

/// A place in the log, between two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Sectors from the oldest on.
    sectors: u32,
    at: u32,
}

impl Cursor {
    /// In front of the oldest sample.
    pub const OLDEST: Self = Self { sectors: 0, at: HEADER_BYTES };
}

/// What is at a place of a sector.
enum Place {
    /// Nothing, from here to the end.
    Blank,
    /// What a power cut left; the next place.
    Torn(u32),
    /// A record; the next place.
    Record { number: u32, length: u32, next: u32 },
}

/// The header of a sector.
struct Sector {
    sequence: u32,
    /// The number of its first record.
    first: u32,
}

/// Where the log begins and ends.
pub(super) struct Log {
    /// The oldest sample that counts.
    first: u32,
    /// The number of the next sample.
    next: u32,
    /// The sector that samples are added to, its number, and the free place in it.
    current: Option<(u32, u32)>,
    at: u32,
    fingerprint: u64,
}

impl Log {
    pub fn first(&self) -> u32 {
        self.first
    }

    pub fn next(&self) -> u32 {
        self.next
    }

    pub fn forget_before(&mut self, number: u32) {
        self.first = self.first.max(number.min(self.next));
    }

    pub fn scan<F: NorFlash>(flash: &mut F, layout: &Layout, fingerprint: u64, from: u32) -> Result<Self, StoreError> {
        let mut log = Self { first: 0, next: 0, current: None, at: HEADER_BYTES, fingerprint };
        for index in 0..layout.sectors {
            if let Some(sector) = log.sector(flash, layout, index)?
                && log.current.is_none_or(|(_, newest)| sector.sequence > newest)
            {
                log.current = Some((index, sector.sequence));
            }
        }
        for steps in 0..layout.sectors {
            let index = log.turn(layout, steps);
            let Some(sector) = log.sector(flash, layout, index)? else { continue };
            log.expect(sector.first);
            let mut at = HEADER_BYTES;
            loop {
                match log.place(flash, layout, index, at)? {
                    Place::Blank => break,
                    Place::Torn(next) => at = next,
                    Place::Record { number, next, .. } => {
                        log.expect(number);
                        log.next = number.wrapping_add(1);
                        at = next;
                    }
                }
            }
            log.at = if log.is_blank(flash, layout, index, at)? { at } else { layout.sector_bytes };
        }
        log.first = log.first.max(from);
        log.next = log.next.max(log.first);
        Ok(log)
    }

    /// A number that does not follow on the last one begins the run that counts.
    fn expect(&mut self, number: u32) {
        if number != self.next {
            (self.first, self.next) = (number, number);
        }
    }

    /// The sector so many steps behind the oldest; sectors take turns, so the newest comes last.
    fn turn(&self, layout: &Layout, steps: u32) -> u32 {
        let oldest = self.current.map_or(0, |(newest, _)| after(layout, newest));
        let index = u64::from(oldest) + u64::from(steps);
        let sectors = u64::from(layout.sectors);
        if index >= sectors { (index - sectors) as u32 } else { index as u32 }
    }

    /// The header of a sector of this network.
    fn sector<F: NorFlash>(&self, flash: &mut F, layout: &Layout, index: u32) -> Result<Option<Sector>, StoreError> {
        let header = bytes::read_array::<HEADER, F>(flash, layout.sector(index))?;
        let ours = is_sealed(&header) && integer(&header, 0) == MAGIC && u16::from_le_bytes(integer(&header, 4)) == FORMAT;
        let sequence = u32::from_le_bytes(integer(&header, 8));
        let first = u32::from_le_bytes(integer(&header, 20));
        Ok((ours && u64::from_le_bytes(integer(&header, 12)) == self.fingerprint).then_some(Sector { sequence, first }))
    }

    fn place<F: NorFlash>(&self, flash: &mut F, layout: &Layout, index: u32, at: u32) -> Result<Place, StoreError> {
        let header_bytes = in_words::<F>(RECORD_HEADER_BYTES);
        let start = layout.sector(index);
        if at + header_bytes > layout.sector_bytes {
            return Ok(Place::Blank);
        }
        // The whole of its words: a cut may have left a bit of what fills them up.
        let mut words = [0xff; super::WORD];
        let words = words.get_mut(..header_bytes as usize).ok_or(StoreError::Layout)?;
        bytes::read(flash, start + at, words)?;
        if words.iter().all(|&byte| byte == 0xff) {
            return Ok(Place::Blank);
        }
        let torn = Place::Torn(at + header_bytes);
        let header = integer::<8>(words, 0);
        let length = u32::from(u16::from_le_bytes(integer(&header, 0)));
        let number = u32::from_le_bytes(integer(&header, 4));
        let next = at + header_bytes + in_words::<F>(length + CRC_BYTES);
        if header != record_header(length as u16, number) || next > layout.sector_bytes {
            return Ok(torn);
        }
        let mut crc = CRC.digest();
        crc.update(&header);
        bytes::check(flash, start + at + header_bytes, length, &mut crc)?;
        let found = bytes::read_array::<{ CRC_BYTES as usize }, F>(flash, start + at + header_bytes + length)?;
        let whole = crc.finalize() == u32::from_le_bytes(found);
        Ok(if whole { Place::Record { number, length, next } } else { Place::Torn(next) })
    }

    pub fn append<F: NorFlash>(&mut self, flash: &mut F, layout: &Layout, fingerprint: u64, parts: &[&[u8]]) -> Result<u32, StoreError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u16::try_from(length).map_err(|_| StoreError::RecordTooLarge)?;
        let needed = in_words::<F>(RECORD_HEADER_BYTES) + in_words::<F>(u32::from(length) + CRC_BYTES);
        if needed > layout.sector_bytes - HEADER_BYTES {
            return Err(StoreError::RecordTooLarge);
        }
        let index = match self.current {
            Some((index, _)) if self.at + needed <= layout.sector_bytes => index,
            _ => self.open_sector(flash, layout, fingerprint)?,
        };
        let place = self.at;
        // Whatever happens to it now, this place is not written again.
        let written = self.write_record(flash, layout.sector(index) + place, length, parts);
        let found = written.and_then(|()| self.place(flash, layout, index, place));
        match found {
            Ok(Place::Record { number, next, .. }) if number == self.next => {
                self.next = self.next.wrapping_add(1);
                self.at = next;
                Ok(number)
            }
            Ok(_) => {
                self.at = self.end(flash, layout, index)?.max(place + in_words::<F>(RECORD_HEADER_BYTES));
                Err(StoreError::Worn)
            }
            Err(error) => {
                self.at = self.end(flash, layout, index).unwrap_or(layout.sector_bytes);
                Err(error)
            }
        }
    }

    /// The place behind everything in a sector.
    fn end<F: NorFlash>(&self, flash: &mut F, layout: &Layout, index: u32) -> Result<u32, StoreError> {
        let mut at = HEADER_BYTES;
        loop {
            match self.place(flash, layout, index, at)? {
                Place::Blank if self.is_blank(flash, layout, index, at)? => return Ok(at),
                Place::Blank => return Ok(layout.sector_bytes),
                Place::Torn(next) | Place::Record { next, .. } => at = next,
            }
        }
    }

    /// Whether nothing was ever written to the rest of a sector; if something was, nothing may be added to it.
    fn is_blank<F: NorFlash>(&self, flash: &mut F, layout: &Layout, index: u32, at: u32) -> Result<bool, StoreError> {
        bytes::is_blank(flash, layout.sector(index) + at, layout.sector_bytes.saturating_sub(at))
    }

    fn write_record<F: NorFlash>(&self, flash: &mut F, at: u32, length: u16, parts: &[&[u8]]) -> Result<(), StoreError> {
        let header = record_header(length, self.next);
        let mut first = Part::new(flash, at);
        first.write(&header)?;
        let at = first.finish()?;
        let mut sample = Part::new(flash, at);
        sample.check(&header);
        parts.iter().try_for_each(|part| sample.write(part))?;
        let crc = sample.crc();
        sample.write(&crc.to_le_bytes())?;
        sample.finish()?;
        Ok(())
    }

    /// Erases the sector whose turn it is and begins it.
    fn open_sector<F: NorFlash>(&mut self, flash: &mut F, layout: &Layout, fingerprint: u64) -> Result<u32, StoreError> {
        let (index, sequence) = match self.current {
            Some((newest, sequence)) => (after(layout, newest), sequence.wrapping_add(1)),
            None => (0, 1),
        };
        if self.counts(flash, layout, index)? {
            return Err(StoreError::Full);
        }
        let at = layout.sector(index);
        flash.erase(at, at + layout.sector_bytes).map_err(StoreError::of)?;
        let mut header = [0; HEADER];
        let fields = MAGIC.into_iter().chain(FORMAT.to_le_bytes()).chain([0; 2]).chain(sequence.to_le_bytes());
        let fields = fields.chain(fingerprint.to_le_bytes()).chain(self.next.to_le_bytes());
        header.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        seal(&mut header);
        let mut part = Part::new(flash, at);
        part.write(&header)?;
        part.finish()?;
        if self.sector(flash, layout, index)?.is_none_or(|sector| sector.sequence != sequence) {
            return Err(StoreError::Worn);
        }
        (self.current, self.at) = (Some((index, sequence)), HEADER_BYTES);
        Ok(index)
    }

    /// Whether a sector has samples that count.
    fn counts<F: NorFlash>(&self, flash: &mut F, layout: &Layout, index: u32) -> Result<bool, StoreError> {
        if self.first == self.next || self.sector(flash, layout, index)?.is_none() {
            return Ok(false);
        }
        // Its samples are those before the first of the sector behind it; the newest goes on to the end.
        let mut behind = index;
        for _ in 1..layout.sectors {
            behind = after(layout, behind);
            if let Some(sector) = self.sector(flash, layout, behind)? {
                return Ok(sector.first > self.first);
            }
        }
        Ok(true)
    }

    pub fn next_sample<F: NorFlash>(
        &self,
        flash: &mut F,
        layout: &Layout,
        cursor: &mut Cursor,
        out: &mut [u8],
    ) -> Result<Option<Entry>, StoreError> {
        while cursor.sectors < layout.sectors {
            let index = self.turn(layout, cursor.sectors);
            let place = match self.sector(flash, layout, index)? {
                Some(_) => self.place(flash, layout, index, cursor.at)?,
                None => Place::Blank,
            };
            match place {
                Place::Blank => *cursor = Cursor { sectors: cursor.sectors + 1, at: HEADER_BYTES },
                Place::Torn(next) => cursor.at = next,
                Place::Record { number, length, next } => {
                    if (self.first..self.next).contains(&number) {
                        let bytes = length as usize;
                        let out = out.get_mut(..bytes).ok_or(StoreError::RecordTooLarge)?;
                        bytes::read(flash, layout.sector(index) + cursor.at + in_words::<F>(RECORD_HEADER_BYTES), out)?;
                        cursor.at = next;
                        return Ok(Some(Entry { number, bytes }));
                    }
                    cursor.at = next;
                }
            }
        }
        Ok(None)
    }
}

fn after(layout: &Layout, index: u32) -> u32 {
    if index + 1 >= layout.sectors { 0 } else { index + 1 }
}

fn record_header(length: u16, number: u32) -> [u8; RECORD_HEADER_BYTES as usize] {
    let ([l0, l1], [n0, n1, n2, n3]) = (length.to_le_bytes(), number.to_le_bytes());
    let [c0, c1, ..] = CRC.checksum(&[l0, l1, n0, n1, n2, n3]).to_le_bytes();
    [l0, l1, c0, c1, n0, n1, n2, n3]
}
