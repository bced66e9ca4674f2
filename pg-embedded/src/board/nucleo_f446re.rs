//! ST NUCLEO-F446RE: a Cortex-M4F one can buy and carry; not emulated.
//!
//! CI links the firmware for it and never runs it. On the board:
//! `probe-rs run --chip STM32F446RETx <the ELF file>`, built with the feature `semihosting`.
//! Origin: the STM32F446xC/E data sheet (512 KB flash, 128 KB SRAM, 16 MHz internal oscillator after reset).

use super::{Board, Memory, Store};

/// The numbers.
pub const BOARD: Board = Board {
    name: "nucleo-f446re",
    target: "thumbv7em-none-eabihf",
    flash: Memory { origin: 0x0800_0000, bytes: 512 << 10 },
    ram: Memory { origin: 0x2000_0000, bytes: 128 << 10 },
    tick_hz: 16_000_000,
    uart: None,
    store: Store::File,
    boot: &[],
    emulated: false,
};
