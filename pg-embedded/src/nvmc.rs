//! The flash behind the program, through the non-volatile memory controller of Nordic's nRF51 and nRF52.
//!
//! The core stands still while a page is erased (85 ms on the nRF52840, 22 ms on the nRF51) or a word is written (some 45 µs). A word is written
//! at most once between two erases, which the store keeps to; both chips allow two. Here is the third place of `unsafe` in the firmware: the
//! controller's registers, and the flash itself.
//!
//! Origin of the registers: nRF51 Series Reference Manual, 6; nRF52840 Product Specification, 4.3.
#![allow(unsafe_code)]

use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write};

use crate::{
    BOARD,
    board::{Memory, Store},
};

const CONTROLLER: usize = 0x4001_e000;
const READY: usize = CONTROLLER + 0x400;
const CONFIG: usize = CONTROLLER + 0x504;
const ERASE_PAGE: usize = CONTROLLER + 0x508;

/// Values of [`CONFIG`].
const READ_ONLY: u32 = 0;
const WRITE: u32 = 1;
const ERASE: u32 = 2;

const WORD: usize = size_of::<u32>();

const STORE: (Memory, u32) = match BOARD.store {
    Store::Nvmc { memory, page } => (memory, page),
    Store::File => panic!("this board has no NVMC"),
};
const MEMORY: Memory = STORE.0;
const PAGE: u32 = STORE.1;
const _: () = assert!(MEMORY.origin.is_multiple_of(PAGE) && MEMORY.bytes.is_multiple_of(PAGE), "the store is made of whole pages");
const _: () = assert!(MEMORY.origin >= BOARD.flash.origin + BOARD.flash.bytes, "the store lies behind the program");

fn read(address: usize) -> u32 {
    // SAFETY: a register of the controller or a word of the board's store, aligned; reading changes neither.
    unsafe { with_exposed_provenance::<u32>(address).read_volatile() }
}

fn write(address: usize, value: u32) {
    // SAFETY: a register of the controller, or a word of the store while the controller lets it be written. The linker puts nothing into the store
    // (it lies behind the program's flash), so no reference of the program's sees it change.
    unsafe { with_exposed_provenance_mut::<u32>(address).write_volatile(value) }
    while read(READY) & 1 == 0 {}
}

/// The board's store.
pub struct Nvmc(());

impl Nvmc {
    /// The store, of which there is one: a program calls this once.
    pub const fn open() -> Self {
        Self(())
    }
}

impl ErrorType for Nvmc {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Nvmc {
    const READ_SIZE: usize = WORD;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        for (word, address) in bytes.chunks_mut(WORD).zip(((MEMORY.origin + offset) as usize..).step_by(WORD)) {
            let from = read(address).to_le_bytes();
            word.iter_mut().zip(from).for_each(|(to, byte)| *to = byte);
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        MEMORY.bytes as usize
    }
}

impl NorFlash for Nvmc {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        write(CONFIG, ERASE);
        (from..to).step_by(PAGE as usize).for_each(|page| write(ERASE_PAGE, MEMORY.origin + page));
        write(CONFIG, READ_ONLY);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        write(CONFIG, WRITE);
        for (&word, address) in bytes.as_chunks().0.iter().zip(((MEMORY.origin + offset) as usize..).step_by(WORD)) {
            write(address, u32::from_le_bytes(word));
        }
        write(CONFIG, READ_ONLY);
        Ok(())
    }
}

/// The flash of this board, of which so many bytes are wanted.
///
/// # Errors
/// A sentence.
pub fn flash(bytes: u32) -> Result<Nvmc, &'static dyn core::fmt::Display> {
    if bytes > MEMORY.bytes { Err(&"the board's flash is too small for what is learnt") } else { Ok(Nvmc::open()) }
}
