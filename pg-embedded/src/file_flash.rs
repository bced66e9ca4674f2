//! A flash that is a file of the computer which emulates or debugs the board: what it holds outlives the emulator, however that ends.
//!
//! Each word is in the file when a write has returned. It does not watch over the rules of a real flash; the tests of the store do.

use core::ffi::CStr;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write};
use semihosting::{
    fs::File,
    io::{Read, Result, Seek, SeekFrom, Write},
};

/// Bytes of a page.
const PAGE: usize = 4096;

/// A flash in a file.
pub struct FileFlash {
    file: File,
    bytes: u32,
}

impl FileFlash {
    /// The flash in the file of this name, seen from where the emulator was started; a new file is as an erase leaves it.
    ///
    /// # Errors
    /// When the file cannot be opened, made or filled.
    pub fn open(name: &CStr, bytes: u32) -> Result<Self> {
        let open = File::options().read(true).write(true).open(name);
        let file = open.or_else(|_| File::options().read(true).write(true).create(true).truncate(true).open(name))?;
        let length = file.metadata()?.len() as u32;
        let mut flash = Self { file, bytes };
        if length < bytes {
            flash.fill(length, bytes)?;
        }
        Ok(flash)
    }

    fn seek(&mut self, to: u32) -> Result<()> {
        self.file.seek(SeekFrom::Start(to.into())).map(|_| ())
    }

    fn fill(&mut self, from: u32, to: u32) -> Result<()> {
        self.seek(from)?;
        let erased = [0xff; 256];
        let mut left = to - from;
        while left > 0 {
            let piece = &erased[..left.min(erased.len() as u32) as usize];
            self.file.write_all(piece)?;
            left -= piece.len() as u32;
        }
        Ok(())
    }
}

impl ErrorType for FileFlash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> core::result::Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        self.seek(offset).and_then(|()| self.file.read_exact(bytes)).map_err(|_| NorFlashErrorKind::Other)
    }

    fn capacity(&self) -> usize {
        self.bytes as usize
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> core::result::Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.fill(from, to).map_err(|_| NorFlashErrorKind::Other)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> core::result::Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        self.seek(offset).and_then(|()| self.file.write_all(bytes)).map_err(|_| NorFlashErrorKind::Other)
    }
}

/// The flash of this board: the file `device.flash`, with so many bytes.
///
/// # Errors
/// A sentence.
pub fn flash(bytes: u32) -> core::result::Result<FileFlash, &'static dyn core::fmt::Display> {
    FileFlash::open(c"device.flash", bytes).map_err(|_| &"device.flash cannot be opened or made, which stands for the flash" as _)
}
