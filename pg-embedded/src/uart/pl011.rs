//! Arm's PrimeCell UART, PL011, with its queues of sixteen bytes.
//!
//! Origin of the registers: PrimeCell UART (PL011), Technical Reference Manual (DDI 0183), 3.3.

use super::{BAUD, HARDWARE, read, write};

const DATA: u32 = 0x00;
const FLAGS: u32 = 0x18;
const BAUD_WHOLE: u32 = 0x24;
const BAUD_64THS: u32 = 0x28;
const LINE: u32 = 0x2c;
const CONTROL: u32 = 0x30;
const INTERRUPT_MASK: u32 = 0x38;

/// Bits of [`FLAGS`].
const BUSY: u32 = 1 << 3;
const RECEIVE_EMPTY: u32 = 1 << 4;
const SEND_FULL: u32 = 1 << 5;
/// Of [`LINE`]: queues on, eight bits.
const QUEUES_AND_EIGHT_BITS: u32 = 1 << 4 | 3 << 5;
/// Of [`CONTROL`]: on, both directions.
const ENABLE: u32 = 1 << 0 | 1 << 8 | 1 << 9;
/// Of [`INTERRUPT_MASK`]: the queue has bytes, or has had some for a while. Both end when it is empty.
const RECEIVED: u32 = 1 << 4 | 1 << 6;

pub fn start() {
    // In sixty-fourths of sixteen ticks a bit, to the nearest.
    let divider = (4 * HARDWARE.clock_hz + BAUD / 2) / BAUD;
    write(CONTROL, 0);
    write(BAUD_WHOLE, divider / 64);
    write(BAUD_64THS, divider % 64);
    // The rate takes effect with this one.
    write(LINE, QUEUES_AND_EIGHT_BITS);
    write(INTERRUPT_MASK, RECEIVED);
    write(CONTROL, ENABLE);
}

pub fn receive() -> Option<u8> {
    (read(FLAGS) & RECEIVE_EMPTY == 0).then(|| read(DATA) as u8)
}

pub fn send(byte: u8) {
    while read(FLAGS) & SEND_FULL != 0 {}
    write(DATA, byte.into());
}

pub fn flush() {
    while read(FLAGS) & BUSY != 0 {}
}
