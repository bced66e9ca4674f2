//! BBC micro:bit, first version: a Cortex-M0 (nRF51822) without FPU, emulated; the smallest memory here.
//!
//! Origin: the nRF51822 product specification, variant QFAA (256 KB flash, 16 KB RAM), and QEMU's `hw/arm/microbit.c`.

use super::{Board, Memory};

/// The numbers.
pub const BOARD: Board = Board {
    name: "microbit",
    target: "thumbv6m-none-eabi",
    flash: Memory { origin: 0x0000_0000, bytes: 256 << 10 },
    ram: Memory { origin: 0x2000_0000, bytes: 16 << 10 },
    tick_hz: 16_000_000,
    uart: None,
    boot: &[],
    emulated: true,
};
