//! The UART without DMA of Nordic's nRF51 and nRF52, with its queue of six bytes.
//!
//! The nRF52840 has the same registers beside those of its UARTE. Without flow control what comes while the flash halts the core is lost beyond the
//! queue, and the host sends it again.
//!
//! Origin of the registers: nRF51 Series Reference Manual, 29; nRF52840 Product Specification, 6.33 (UART) and 6.9 (GPIO).

use super::{BAUD, HARDWARE, UartKind, read, write};

const START_RECEIVING: u32 = 0x000;
const START_SENDING: u32 = 0x008;
const RECEIVED: u32 = 0x108;
const SENT: u32 = 0x11c;
const INTERRUPTS_ON: u32 = 0x304;
const ENABLE: u32 = 0x500;
const SEND_PIN: u32 = 0x50c;
const RECEIVE_PIN: u32 = 0x514;
const RECEIVE_DATA: u32 = 0x518;
const SEND_DATA: u32 = 0x51c;
const RATE: u32 = 0x524;

/// The value of [`ENABLE`].
const ON: u32 = 4;
/// Of [`INTERRUPTS_ON`]: a byte has come.
const WHEN_RECEIVED: u32 = 1 << 2;
/// Of [`RATE`], for 115,200 bits a second: there is a list.
const RATE_115200: u32 = 0x01d7_e000;
const _: () = assert!(BAUD == 115_200);

/// The pins of port 0 from the UART on, whose registers are told by their distance.
const PORT: u32 = 0x5000_0000;
const PIN_HIGH: u32 = 0x508;
const PIN: u32 = 0x700;
/// Of [`PIN`]: an output; an input that is read.
const OUTPUT: u32 = 3;
const INPUT: u32 = 0;

pub fn start() {
    if let UartKind::Nrf { transmit, receive } = HARDWARE.kind {
        let port = PORT.wrapping_sub(HARDWARE.origin);
        // An idle line is high, before the UART has it, too.
        write(port + PIN_HIGH, 1 << transmit);
        write(port + PIN + 4 * u32::from(transmit), OUTPUT);
        write(port + PIN + 4 * u32::from(receive), INPUT);
        write(SEND_PIN, transmit.into());
        write(RECEIVE_PIN, receive.into());
    }
    write(RATE, RATE_115200);
    write(ENABLE, ON);
    write(RECEIVED, 0);
    write(INTERRUPTS_ON, WHEN_RECEIVED);
    write(START_SENDING, 1);
    write(START_RECEIVING, 1);
}

pub fn receive() -> Option<u8> {
    if read(RECEIVED) == 0 {
        return None;
    }
    // Cleared before the byte is read: the next in the queue sets it again.
    write(RECEIVED, 0);
    Some(read(RECEIVE_DATA) as u8)
}

/// Returns when the byte is on the line, so there is nothing to flush.
pub fn send(byte: u8) {
    write(SENT, 0);
    write(SEND_DATA, byte.into());
    while read(SENT) == 0 {}
}

pub fn flush() {}
