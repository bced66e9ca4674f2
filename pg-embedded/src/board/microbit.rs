//! BBC micro:bit, first version: a Cortex-M0 (nRF51822) without FPU, emulated; the smallest memory here.
//!
//! Origin: the nRF51822 product specification, variant QFAA (256 KB flash in pages of 1 KB, of which the last 32 are kept for what is learnt; 16 KB
//! RAM), the board's schematic (pins of the serial line), and QEMU's `hw/arm/microbit.c`.

use super::{Board, Memory, Store, Uart, UartKind};

/// The numbers.
pub const BOARD: Board = Board {
    name: "microbit",
    target: "thumbv6m-none-eabi",
    flash: Memory { origin: 0x0000_0000, bytes: 224 << 10 },
    ram: Memory { origin: 0x2000_0000, bytes: 16 << 10 },
    tick_hz: 16_000_000,
    uart: Some(Uart { kind: UartKind::Nrf { transmit: 24, receive: 25 }, origin: 0x4000_2000, receive_irq: 2, clock_hz: 16_000_000 }),
    store: Store::Nvmc { memory: Memory { origin: 0x0003_8000, bytes: 32 << 10 }, page: 1024 },
    boot: &[],
    emulated: true,
};
