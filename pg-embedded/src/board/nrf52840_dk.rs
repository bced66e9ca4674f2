//! Nordic nRF52840-DK: a Cortex-M4F one can buy and carry; not emulated.
//!
//! CI links the firmware for it and never runs it. On the board:
//! `probe-rs run --chip nRF52840_xxAA <the ELF file>`, built with the feature `semihosting`.
//! Origin: the nRF52840 product specification (1 MB flash in pages of 4 KB, of which the last 64 are kept for what is learnt; 256 KB RAM, 64 MHz)
//! and the kit's user guide (the pins of its serial line over USB).

use super::{Board, Memory, Store, Uart, UartKind};

/// The numbers.
pub const BOARD: Board = Board {
    name: "nrf52840-dk",
    target: "thumbv7em-none-eabihf",
    flash: Memory { origin: 0x0000_0000, bytes: 768 << 10 },
    ram: Memory { origin: 0x2000_0000, bytes: 256 << 10 },
    tick_hz: 64_000_000,
    uart: Some(Uart { kind: UartKind::Nrf { transmit: 6, receive: 8 }, origin: 0x4000_2000, receive_irq: 2, clock_hz: 64_000_000 }),
    store: Store::Nvmc { memory: Memory { origin: 0x000c_0000, bytes: 256 << 10 }, page: 4096 },
    boot: &[],
    emulated: false,
};
