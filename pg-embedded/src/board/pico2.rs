//! Raspberry Pi Pico 2, an RP2350: a Cortex-M33 with FPU one can buy and carry; not emulated.
//!
//! CI links the firmware for it and never runs it. On the board:
//! `probe-rs run --chip RP235x <the ELF file>`, built with the feature `semihosting`.
//! Origin: the RP2350 data sheet (520 KB SRAM; flash at 0x1000_0000, of which a Pico 2 has 4 MB; its 5.9.5 has the block that the boot ROM wants to
//! see in the first 4 KB: a secure Arm image). After reset it runs on a ring oscillator of about 11 MHz.

use super::{Board, Memory, Store};

/// The numbers.
pub const BOARD: Board = Board {
    name: "pico2",
    target: "thumbv8m.main-none-eabihf",
    flash: Memory { origin: 0x1000_0000, bytes: 4 << 20 },
    ram: Memory { origin: 0x2000_0000, bytes: 520 << 10 },
    tick_hz: 11_000_000,
    uart: None,
    store: Store::File,
    boot: &[0xffff_ded3, 0x1021_0142, 0x0000_01ff, 0x0000_0000, 0xab12_3579],
    emulated: false,
};
