//! Arm MPS2+ with the AN386 image: a Cortex-M4F, the default board, emulated.
//!
//! Origin: Arm Application Note AN386 (memory map) and QEMU's `hw/arm/mps2.c`, of which the tests use 7.2.

use super::{Board, Memory, Store, Uart, UartKind};

/// The numbers.
pub const BOARD: Board = Board {
    name: "mps2-an386",
    target: "thumbv7em-none-eabihf",
    flash: Memory { origin: 0x0000_0000, bytes: 4 << 20 }, // ZBT SSRAM 1: RAM on the real board, loaded before start
    ram: Memory { origin: 0x2000_0000, bytes: 4 << 20 },   // ZBT SSRAM 2 and 3
    tick_hz: 25_000_000,
    uart: Some(Uart { kind: UartKind::Cmsdk, origin: 0x4000_4000, receive_irq: 0, clock_hz: 25_000_000 }), // CMSDK APB UART 0
    store: Store::File,
    boot: &[],
    emulated: true,
};
