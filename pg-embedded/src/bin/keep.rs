//! The store on this board's own flash: samples and states are written, the log wraps, and all is read again by a store that is opened anew.
//!
//! It proves the flash's driver, which `cargo xtask device-session` runs on QEMU's nRF51: every line is that of the desktop, where a piece of memory
//! is the flash. What is in the flash is overwritten.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use embedded_storage::nor_flash::NorFlash;
use pg_core::link::CRC;
use pg_core::store::{Cursor, Layout, Store, StoreError};
use pg_embedded::console::{self, Line};

const LAYOUT: Layout = Layout { start: 0, slot_bytes: 8 << 10, sector_bytes: 1 << 10, sectors: 4 };
const FINGERPRINT: u64 = 0x5eed;
const ROUNDS: u32 = 4;

#[cfg_attr(target_os = "none", cortex_m_rt::entry)]
fn main() -> ! {
    Line::new("board").word(pg_embedded::BOARD.name).end();
    let outcome = flash(LAYOUT.bytes() as u32).and_then(|flash| match keep(flash) {
        Ok(()) => Ok(()),
        Err(error) => {
            console::report(&error);
            Err(&"the store does not keep" as _)
        }
    });
    if let Err(reason) = outcome {
        console::report(reason);
    }
    console::end(outcome.is_ok())
}

/// Four lives of a store: in each it takes samples and a state, and is then opened anew and read.
fn keep(mut flash: impl NorFlash) -> Result<(), StoreError> {
    let mut store = Store::open(flash, LAYOUT, FINGERPRINT)?;
    store.reset()?;
    for round in 0..ROUNDS {
        // Sectors take turns: those with forgotten samples only are erased.
        store.forget_before(store.samples().end.saturating_sub(20));
        // Every length, so that words are filled up in every way.
        for i in 0..40 {
            let byte = (7 * round + i) as u8;
            let sample = [byte; 40];
            let sample = &sample[..1 + i as usize];
            store.append(&[&[byte ^ 0xff], sample])?;
        }
        let bytes = 1000 + 1501 * round;
        let mut writer = store.begin(1, bytes)?;
        (0..bytes).try_for_each(|i| writer.write(&[(i * (round + 3) % 251) as u8]))?;
        writer.commit()?;
        flash = store.close();
        store = Store::open(flash, LAYOUT, FINGERPRINT)?;
        report(round, &mut store)?;
    }
    Ok(())
}

/// `store 0 state 2 bytes 1000 crc 1234abcd samples 0 40 crc 1234abcd`
fn report(round: u32, store: &mut Store<impl NorFlash>) -> Result<(), StoreError> {
    let state = store.state();
    let (sequence, bytes) = state.map_or((0, 0), |state| (state.sequence, state.bytes));
    let mut crc = CRC.digest();
    for i in 0..bytes {
        let mut byte = [0];
        store.read(i, &mut byte)?;
        crc.update(&byte);
    }
    let line = Line::new("store").number(round).word("state").number(sequence).word("bytes").number(bytes);
    let line = line.word("crc").bits(f32::from_bits(crc.finalize()));
    let (mut cursor, mut out, mut crc) = (Cursor::OLDEST, [0; 41], CRC.digest());
    while let Some(entry) = store.next_sample(&mut cursor, &mut out)? {
        crc.update(out.get(..entry.bytes).unwrap_or_default());
    }
    let samples = store.samples();
    let line = line.word("samples").number(samples.start).number(samples.end);
    line.word("crc").bits(f32::from_bits(crc.finalize())).end();
    Ok(())
}

#[cfg(target_os = "none")]
use pg_embedded::flash;

#[cfg(not(target_os = "none"))]
use memory::flash;

/// A flash in memory.
#[cfg(not(target_os = "none"))]
mod memory {
    use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write};

    pub struct Flash(Vec<u8>);

    pub fn flash(bytes: u32) -> Result<Flash, &'static dyn core::fmt::Display> {
        Ok(Flash(vec![0; bytes as usize]))
    }

    impl ErrorType for Flash {
        type Error = NorFlashErrorKind;
    }

    impl ReadNorFlash for Flash {
        const READ_SIZE: usize = 4;

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
            check_read(self, offset, bytes.len())?;
            bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
            Ok(())
        }

        fn capacity(&self) -> usize {
            self.0.len()
        }
    }

    impl NorFlash for Flash {
        const WRITE_SIZE: usize = 4;
        const ERASE_SIZE: usize = 1024;

        fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
            check_erase(self, from, to)?;
            self.0[from as usize..to as usize].fill(0xff);
            Ok(())
        }

        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
            check_write(self, offset, bytes.len())?;
            self.0[offset as usize..].iter_mut().zip(bytes).for_each(|(to, byte)| *to &= byte);
            Ok(())
        }
    }
}
