//! A device that learns digits: it serves the link on its UART, and keeps what it has learnt in flash.
//!
//! `pg-host device` is the other end; docs/tuning.md shows a session. Another network, or more samples, is a line here. In QEMU the flash is mostly
//! the file `device.flash` where the emulator was started.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

/// A board with less RAM keeps fewer samples, and trains the last layer only.
const ROOMY: bool = pg_embedded::BOARD.ram.bytes >= 128 << 10;
/// The second of two layers with parameters.
const LAST: u64 = 1 << 1;

pg_embedded::serve! {
    network: pg_core::zoo::Mlp64x32x10,
    kept: u8,
    samples: if ROOMY { 256 } else { 64 },
    batch: 8,
    layers: if ROOMY { u64::MAX } else { LAST },
    model: include_bytes!(env!("PG_MODEL")),
    known: [0x72e0_c705, 0x5d57_4332],
}
