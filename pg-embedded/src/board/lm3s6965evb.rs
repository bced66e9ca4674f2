//! Stellaris LM3S6965 evaluation board: a Cortex-M3 without FPU, emulated.
//!
//! Origin: the LM3S6965 data sheet (256 KB flash, 64 KB SRAM) and QEMU's `hw/arm/stellaris.c` (12.5 MHz after reset).

use super::{Board, Memory, Store, Uart, UartKind};

/// The numbers.
pub const BOARD: Board = Board {
    name: "lm3s6965evb",
    target: "thumbv7m-none-eabi",
    flash: Memory { origin: 0x0000_0000, bytes: 256 << 10 },
    ram: Memory { origin: 0x2000_0000, bytes: 64 << 10 },
    tick_hz: 12_500_000,
    // UART0, a PL011. The real board wants its clock and pins switched on first (RCGC1, RCGC2, GPIOAFSEL); QEMU does not.
    uart: Some(Uart { kind: UartKind::Pl011, origin: 0x4000_c000, receive_irq: 5, clock_hz: 12_500_000 }),
    store: Store::File,
    boot: &[],
    emulated: true,
};
