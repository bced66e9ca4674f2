//! Arm MPS2+ with the AN500 image: a Cortex-M7 with FPU, emulated.
//!
//! Origin: Arm Application Note AN500 (memory map) and QEMU's `hw/arm/mps2.c`.

use super::{Board, Memory, Store, Uart, UartKind};

/// The numbers.
pub const BOARD: Board = Board {
    name: "mps2-an500",
    target: "thumbv7em-none-eabihf",
    flash: Memory { origin: 0x0000_0000, bytes: 4 << 20 }, // ZBT SSRAM 1
    ram: Memory { origin: 0x2000_0000, bytes: 4 << 20 },   // ZBT SSRAM 2 and 3
    tick_hz: 25_000_000,
    uart: Some(Uart { kind: UartKind::Cmsdk, origin: 0x4000_4000, receive_irq: 0, clock_hz: 25_000_000 }), // CMSDK APB UART 0
    store: Store::File,
    boot: &[],
    emulated: true,
};
