//! Arm's CMSDK APB UART.
//!
//! Origin of the registers: Arm Cortex-M System Design Kit, Technical Reference Manual (DDI 0479), 4.3.

use super::{BAUD, HARDWARE, read, write};

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

pub fn start() {
    write(BAUD_DIVIDER, HARDWARE.clock_hz / BAUD);
    write(CONTROL, ENABLE);
}

pub fn receive() -> Option<u8> {
    // Cleared before the byte is read: one that comes meanwhile asks again.
    write(INTERRUPTS, RECEIVED);
    (read(STATE) & RECEIVE_FULL != 0).then(|| read(DATA) as u8)
}

pub fn send(byte: u8) {
    flush();
    write(DATA, byte.into());
}

pub fn flush() {
    while read(STATE) & SEND_FULL != 0 {}
}
