//! Nordic nRF52840-DK: a Cortex-M4F one can buy and carry; not emulated.
//!
//! CI links the firmware for it and never runs it. On the board:
//! `probe-rs run --chip nRF52840_xxAA <the ELF file>`, built with the feature `semihosting`.
//! Origin: the nRF52840 product specification (1 MB flash, 256 KB RAM, 64 MHz).

use super::{Board, Memory};

/// The numbers.
pub const BOARD: Board = Board {
    name: "nrf52840-dk",
    target: "thumbv7em-none-eabihf",
    flash: Memory { origin: 0x0000_0000, bytes: 1 << 20 },
    ram: Memory { origin: 0x2000_0000, bytes: 256 << 10 },
    tick_hz: 64_000_000,
    uart: None,
    boot: &[],
    emulated: false,
};
