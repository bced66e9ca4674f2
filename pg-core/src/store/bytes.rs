//! Bytes in a flash that knows only words: reads of any place, writes that are filled up to whole words, with a check sum.

use crc::{Digest, NoTable};
use embedded_storage::nor_flash::NorFlash;

use super::StoreError;
use crate::link::CRC;

/// Words of the flash must divide this.
pub(super) const WORD: usize = 32;
/// What is written or read at once.
const PIECE: usize = 2 * WORD;

/// Writes bytes one behind the other, no word twice.
pub(super) struct Part<'a, F> {
    flash: &'a mut F,
    /// Where the bytes in `piece` go.
    at: u32,
    piece: [u8; PIECE],
    filled: usize,
    crc: Digest<'static, u32, NoTable>,
}

impl<'a, F: NorFlash> Part<'a, F> {
    /// From this place on, which a word begins at.
    pub fn new(flash: &'a mut F, at: u32) -> Self {
        const { assert!(WORD.is_multiple_of(F::WRITE_SIZE) && WORD.is_multiple_of(F::READ_SIZE), "words of 1, 2, 4, 8, 16 or 32 bytes") };
        Self { flash, at, piece: [0xff; PIECE], filled: 0, crc: CRC.digest() }
    }

    /// Adds bytes to the check sum that are not written.
    pub fn check(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
    }

    /// The check sum so far.
    pub fn crc(&self) -> u32 {
        self.crc.clone().finalize()
    }

    #[inline(never)]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.crc.update(bytes);
        for &byte in bytes {
            if let Some(place) = self.piece.get_mut(self.filled) {
                *place = byte;
                self.filled += 1;
            }
            if self.filled >= PIECE {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes what is left, filled up to a word, and returns the place behind it.
    pub fn finish(&mut self) -> Result<u32, StoreError> {
        self.flush()?;
        Ok(self.at)
    }

    /// The flash, once [`Part::finish`] has returned.
    pub fn flash(&mut self) -> &mut F {
        self.flash
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let length = self.filled.next_multiple_of(F::WRITE_SIZE);
        self.filled = 0;
        let Some(words) = self.piece.get(..length).filter(|words| !words.is_empty()) else { return Ok(()) };
        self.flash.write(self.at, words).map_err(StoreError::of)?;
        self.at += length as u32;
        self.piece = [0xff; PIECE];
        Ok(())
    }
}

/// Bytes that so many take with words of this flash.
pub(super) const fn in_words<F: NorFlash>(bytes: u32) -> u32 {
    bytes.next_multiple_of(F::WRITE_SIZE as u32)
}

/// Reads any place. Not inlined, as [`Part::write`]: flash is short.
#[inline(never)]
pub(super) fn read<F: NorFlash>(flash: &mut F, at: u32, out: &mut [u8]) -> Result<(), StoreError> {
    let mut out = out.iter_mut();
    pieces(flash, at, out.len() as u32, |bytes| bytes.iter().zip(&mut out).for_each(|(&byte, out)| *out = byte))
}

/// Reads a place of known length.
pub(super) fn read_array<const BYTES: usize, F: NorFlash>(flash: &mut F, at: u32) -> Result<[u8; BYTES], StoreError> {
    let mut array = [0; BYTES];
    read(flash, at, &mut array)?;
    Ok(array)
}

/// Adds bytes in flash to a check sum.
pub(super) fn check<F: NorFlash>(flash: &mut F, at: u32, bytes: u32, crc: &mut Digest<'static, u32, NoTable>) -> Result<(), StoreError> {
    pieces(flash, at, bytes, |bytes| crc.update(bytes))
}

/// Whether bytes in flash are as an erase leaves them.
pub(super) fn is_blank<F: NorFlash>(flash: &mut F, at: u32, bytes: u32) -> Result<bool, StoreError> {
    let mut blank = true;
    pieces(flash, at, bytes, |bytes| blank &= bytes.iter().all(|&byte| byte == 0xff))?;
    Ok(blank)
}

/// Visits bytes in flash piece by piece, read in whole words.
fn pieces<F: NorFlash>(flash: &mut F, mut at: u32, mut bytes: u32, mut visit: impl FnMut(&[u8])) -> Result<(), StoreError> {
    while bytes > 0 {
        let skip = at % WORD as u32;
        let count = bytes.min(PIECE as u32 - skip);
        let mut piece = [0; PIECE];
        let length = ((skip + count) as usize).next_multiple_of(F::READ_SIZE);
        flash.read(at - skip, piece.get_mut(..length).ok_or(StoreError::Layout)?).map_err(StoreError::of)?;
        visit(piece.get(skip as usize..(skip + count) as usize).unwrap_or(&[]));
        at += count;
        bytes -= count;
    }
    Ok(())
}

/// An integer at a place of a header; a header is longer than all of these.
pub(super) fn integer<const BYTES: usize>(header: &[u8], at: usize) -> [u8; BYTES] {
    header.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; BYTES])
}
