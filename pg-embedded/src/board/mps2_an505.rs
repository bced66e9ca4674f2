//! Arm MPS2+ with the AN505 image: a Cortex-M33 with FPU, emulated.
//!
//! The firmware stays in the secure state in which the core starts, hence the secure aliases of the addresses.
//! Origin: Arm Application Note AN505 (memory map) and QEMU's `hw/arm/mps2-tz.c`.

use super::{Board, Memory, Store};

/// The numbers.
pub const BOARD: Board = Board {
    name: "mps2-an505",
    target: "thumbv8m.main-none-eabihf",
    flash: Memory { origin: 0x1000_0000, bytes: 4 << 20 }, // SSRAM 1
    ram: Memory { origin: 0x3800_0000, bytes: 4 << 20 },   // SSRAM 2 and 3
    tick_hz: 20_000_000,
    uart: None,
    store: Store::File,
    boot: &[],
    emulated: true,
};
