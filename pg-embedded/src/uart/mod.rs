//! The board's UART: bytes that come are kept by an interrupt until they are read, bytes that go are waited for.
//!
//! It has room for one byte or a few, and a step of tuning takes longer than many: hence the interrupt and its ring. What comes when the ring is
//! full is lost; the link's check sums find that, and the host sends again. Each kind has a file with its registers and four functions: `start` switches
//! it on, `receive` takes a byte if one has come, `send` waits for room and sends one, `flush` waits until all are sent. The `unsafe` of all of
//! them is here: registers at fixed addresses, an interrupt, and nothing else.
#![allow(unsafe_code)]

mod cmsdk;
mod nrf;
mod pl011;

use core::convert::Infallible;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use cortex_m::{
    interrupt::{self, InterruptNumber},
    peripheral::NVIC,
};
use embedded_io::{ErrorType, Read, ReadReady, Write};

use crate::{BOARD, board, board::UartKind};

const HARDWARE: board::Uart = match BOARD.uart {
    Some(uart) => uart,
    None => panic!("no UART of this board is driven by pg-embedded"),
};
/// Bits a second, where a line has any.
const BAUD: u32 = 115_200;
/// Bytes that wait to be read: more than the longest request.
const ROOM: usize = 1024;

/// Calls a function of the board's kind.
macro_rules! driver {
    ($call:ident) => {
        match HARDWARE.kind {
            UartKind::Cmsdk => cmsdk::$call,
            UartKind::Pl011 => pl011::$call,
            UartKind::Nrf { .. } => nrf::$call,
        }
    };
}

fn read(register: u32) -> u32 {
    // SAFETY: a register of the board's UART or of its pins, a word that is aligned; reading it changes these only. Nobody else in this program has it.
    unsafe { core::ptr::with_exposed_provenance::<u32>((HARDWARE.origin + register) as usize).read_volatile() }
}

fn write(register: u32, value: u32) {
    // SAFETY: as above; the UART writes no memory.
    unsafe { core::ptr::with_exposed_provenance_mut::<u32>((HARDWARE.origin + register) as usize).write_volatile(value) }
}

#[derive(Clone, Copy)]
struct Receive;

// SAFETY: the number is the board's, always the same.
unsafe impl InterruptNumber for Receive {
    fn number(self) -> u16 {
        HARDWARE.receive_irq
    }
}

/// Bytes between the interrupt, which alone writes `written`, and the program, which alone writes `taken`. Both only grow.
struct Ring {
    bytes: [AtomicU8; ROOM],
    written: AtomicUsize,
    taken: AtomicUsize,
}

static RING: Ring = Ring { bytes: [const { AtomicU8::new(0) }; ROOM], written: AtomicUsize::new(0), taken: AtomicUsize::new(0) };

impl Ring {
    fn push(&self, byte: u8) {
        let written = self.written.load(Relaxed);
        if written.wrapping_sub(self.taken.load(Relaxed)) < ROOM {
            // One core, and an interrupt is not interrupted by the program: no order among the atomics is needed.
            self.bytes[written % ROOM].store(byte, Relaxed);
            self.written.store(written.wrapping_add(1), Relaxed);
        }
    }

    fn pop(&self) -> Option<u8> {
        let taken = self.taken.load(Relaxed);
        (!self.is_empty()).then(|| {
            let byte = self.bytes[taken % ROOM].load(Relaxed);
            self.taken.store(taken.wrapping_add(1), Relaxed);
            byte
        })
    }

    fn is_empty(&self) -> bool {
        self.written.load(Relaxed) == self.taken.load(Relaxed)
    }
}

/// Every interrupt of the program: there is one.
#[cortex_m_rt::exception]
unsafe fn DefaultHandler(irq: i16) {
    assert!(irq == HARDWARE.receive_irq as i16, "an interrupt that nobody has asked for");
    while let Some(byte) = driver!(receive)() {
        RING.push(byte);
    }
}

/// The board's UART.
pub struct Uart(());

impl Uart {
    /// Bytes of its static memory.
    pub const STATIC_BYTES: usize = size_of::<Ring>();

    /// Switches it on. There is one: a program calls this once.
    pub fn start() -> Self {
        driver!(start)();
        // SAFETY: the handler touches the UART and atomics only, and no critical section relies on its mask.
        unsafe { NVIC::unmask(Receive) };
        Self(())
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!RING.is_empty())
    }
}

impl Read for Uart {
    /// Sleeps until there is a byte.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        // A byte that comes between question and sleep wakes the core, whose interrupts are masked, and is kept when they no longer are.
        while !bytes.is_empty() && RING.is_empty() {
            interrupt::free(|_| {
                if RING.is_empty() {
                    cortex_m::asm::wfi();
                }
            });
        }
        let mut count = 0;
        for (to, byte) in bytes.iter_mut().zip(core::iter::from_fn(|| RING.pop())) {
            *to = byte;
            count += 1;
        }
        Ok(count)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        bytes.iter().for_each(|&byte| driver!(send)(byte));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        driver!(flush)();
        Ok(())
    }
}
