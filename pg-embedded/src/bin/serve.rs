//! A device that learns digits: it serves the link on its UART, and keeps what it has learnt in flash.
//!
//! `pg-host device` is the other end; docs/tuning.md shows a session. Another network, or more samples, is a line here. In QEMU the flash is the file
//! `device.flash` where the emulator was started.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

pg_embedded::serve! {
    network: pg_core::zoo::Mlp64x32x10,
    kept: u8,
    samples: 256,
    batch: 8,
    model: include_bytes!(env!("PG_MODEL")),
    known: [0x72e0_c705, 0x5d57_4332],
}
