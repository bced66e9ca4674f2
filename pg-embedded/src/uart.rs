//! The CMSDK APB UART: bytes that come are kept by an interrupt until they are read, bytes that go are waited for.
//!
//! It has room for one byte, and a step of tuning takes longer than many: hence the interrupt and its ring. What comes when the ring is
//! full is lost; the link's check sums find that, and the host sends again. Here is the second place of `unsafe` in the firmware (the other is
//! `fpu`): registers at fixed addresses, an interrupt, and nothing else.
//!
//! Origin of the registers: Arm Cortex-M System Design Kit, Technical Reference Manual (DDI 0479), 4.3.
#![allow(unsafe_code)]

use core::convert::Infallible;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use cortex_m::{
    interrupt::{self, InterruptNumber},
    peripheral::NVIC,
};
use embedded_io::{ErrorType, Read, ReadReady, Write};

use crate::{BOARD, board};

const HARDWARE: board::Uart = match BOARD.uart {
    Some(uart) => uart,
    None => panic!("no UART of this board is driven by pg-embedded"),
};
/// Bits a second, where a line has any.
const BAUD: u32 = 115_200;
/// Bytes that wait to be read: more than the longest request.
const ROOM: usize = 1024;

/// Offsets of the registers.
const DATA: u32 = 0x00;
const STATE: u32 = 0x04;
const CONTROL: u32 = 0x08;
const INTERRUPTS: u32 = 0x0c;
const BAUD_DIVIDER: u32 = 0x10;

/// Bits of [`STATE`].
const SEND_FULL: u32 = 1 << 0;
const RECEIVE_FULL: u32 = 1 << 1;
/// Bits of [`CONTROL`]: both directions, and an interrupt when a byte has come.
const ENABLE: u32 = 1 << 0 | 1 << 1 | 1 << 3;
/// The bit of [`INTERRUPTS`] that is set when a byte has come; writing it clears it.
const RECEIVED: u32 = 1 << 1;

fn read(register: u32) -> u32 {
    // SAFETY: a register of the board's UART, a word that is aligned; reading it changes the UART only. Nobody else in this program has it.
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
    // Cleared before the byte is read: one that comes meanwhile asks again.
    write(INTERRUPTS, RECEIVED);
    while read(STATE) & RECEIVE_FULL != 0 {
        RING.push(read(DATA) as u8);
    }
}

/// The board's UART.
pub struct Uart(());

impl Uart {
    /// Bytes of its static memory.
    pub const STATIC_BYTES: usize = size_of::<Ring>();

    /// Switches it on. There is one: a program calls this once.
    pub fn start() -> Self {
        write(BAUD_DIVIDER, HARDWARE.clock_hz / BAUD);
        write(CONTROL, ENABLE);
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
        for &byte in bytes {
            while read(STATE) & SEND_FULL != 0 {}
            write(DATA, byte.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while read(STATE) & SEND_FULL != 0 {}
        Ok(())
    }
}
