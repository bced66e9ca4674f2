//! A NOR flash in memory that keeps to the rules of real ones, counts its wear, and loses power when it is told to.
//!
//! An erase sets all bits of whole pages, a write clears bits of whole words, and no word is written twice between two erases; a breach of
//! these is a mistake of the program under test and panics.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

/// Random numbers (xorshift, Marsaglia 2003).
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }
}

/// What a cut leaves of the write or erase that it meets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// Nothing of it was done.
    Before,
    /// The first words, then one that is half done.
    Half,
    /// Any of its words, each wholly, in part or not at all, whatever their order.
    Anything,
    /// All of it, but nobody was told.
    After,
}

pub const CUTS: [Cut; 4] = [Cut::Before, Cut::Half, Cut::Anything, Cut::After];

#[derive(Clone)]
pub struct Flash<const WORD: usize, const PAGE: usize> {
    bytes: Vec<u8>,
    written: Vec<bool>,
    /// Erases of each page.
    pub wear: Vec<u32>,
    /// Writes and erases so far.
    pub operations: u64,
    /// The operation at which power goes, and how.
    pub cut: Option<(u64, Cut)>,
    /// Bytes that no write changes any more.
    pub worn: std::ops::Range<usize>,
    /// Every operation fails, with power on.
    pub refuses: bool,
    dead: bool,
    random: Random,
}

impl<const WORD: usize, const PAGE: usize> Flash<WORD, PAGE> {
    /// As it comes from the factory of chips: full of what was there before.
    pub fn new(pages: usize, seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(2) + 1);
        let bytes = (0..pages * PAGE).map(|_| random.next() as u8).collect();
        let written = vec![true; pages * PAGE / WORD];
        Self { bytes, written, wear: vec![0; pages], operations: 0, cut: None, worn: 0..0, refuses: false, dead: false, random }
    }

    /// The flash with this in it.
    pub fn with(bytes: Vec<u8>) -> Self {
        let mut flash = Self::new(bytes.len() / PAGE, 1);
        flash.written = bytes.chunks(WORD).map(|word| word.iter().any(|&byte| byte != 0xff)).collect();
        flash.bytes = bytes;
        flash
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether power has gone, and not come back.
    #[allow(dead_code, reason = "the tests of the store see it by their errors")]
    pub fn lost_power(&self) -> bool {
        self.dead
    }

    /// Power comes back.
    pub fn power_on(&mut self) {
        (self.dead, self.cut) = (false, None);
    }

    /// Counts an operation: whether power stays, or how it goes.
    fn count(&mut self) -> Result<Option<Cut>, NorFlashErrorKind> {
        if self.dead || self.refuses {
            return Err(NorFlashErrorKind::Other);
        }
        let cut = self.cut.filter(|&(at, _)| at == self.operations).map(|(_, cut)| cut);
        self.dead = cut.is_some();
        self.operations += 1;
        Ok(cut)
    }

    /// Changes words to `target`, or as many as a cut lets through.
    fn change(
        &mut self,
        at: usize,
        target: &[u8],
        cut: Option<Cut>,
        combine: fn(u8, u8) -> u8,
        written: bool,
    ) -> Result<(), NorFlashErrorKind> {
        let words = target.len() / WORD;
        let half = self.random.below(words as u32) as usize;
        for word in 0..words {
            let part = match cut {
                None | Some(Cut::After) => 2,
                Some(Cut::Before) => 0,
                Some(Cut::Half) => [2, 1, 0][(word >= half) as usize + (word > half) as usize],
                Some(Cut::Anything) => self.random.below(3),
            };
            for (i, &target) in target.iter().enumerate().skip(word * WORD).take(WORD) {
                let old = self.bytes[at + i];
                let new = combine(old, target);
                let mask = match part {
                    0 => 0,
                    1 => self.random.next() as u8,
                    _ => 0xff,
                };
                if !self.worn.contains(&(at + i)) {
                    self.bytes[at + i] = old & !mask | new & mask;
                }
            }
            if part > 0 {
                // A word whose erase was cut is not to be trusted either.
                self.written[at / WORD + word] = written || part == 1;
            }
        }
        if cut.is_some() { Err(NorFlashErrorKind::Other) } else { Ok(()) }
    }
}

impl<const WORD: usize, const PAGE: usize> ErrorType for Flash<WORD, PAGE> {
    type Error = NorFlashErrorKind;
}

impl<const WORD: usize, const PAGE: usize> ReadNorFlash for Flash<WORD, PAGE> {
    const READ_SIZE: usize = WORD;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let offset = offset as usize;
        assert!(offset.is_multiple_of(WORD) && bytes.len().is_multiple_of(WORD), "a read of whole words");
        if self.dead {
            return Err(NorFlashErrorKind::Other);
        }
        bytes.copy_from_slice(&self.bytes[offset..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WORD: usize, const PAGE: usize> NorFlash for Flash<WORD, PAGE> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let (from, to) = (from as usize, to as usize);
        assert!(from < to && from.is_multiple_of(PAGE) && to.is_multiple_of(PAGE) && to <= self.bytes.len(), "an erase of whole pages");
        let cut = self.count()?;
        self.wear[from / PAGE..to / PAGE].iter_mut().for_each(|wear| *wear += 1);
        self.change(from, &vec![0xff; to - from], cut, |_, _| 0xff, false)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let offset = offset as usize;
        assert!(!bytes.is_empty() && offset.is_multiple_of(WORD) && bytes.len().is_multiple_of(WORD), "a write of whole words");
        let cut = self.count()?;
        let words = &self.written[offset / WORD..][..bytes.len() / WORD];
        assert!(words.iter().all(|written| !written), "a word at {offset} is written twice");
        self.change(offset, bytes, cut, |old, new| old & new, true)
    }
}
