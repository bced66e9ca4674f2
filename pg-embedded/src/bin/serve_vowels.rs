//! The same as `serve` for vowels: nine numbers a sample, kept as they are. It learns new speakers; docs/tuning.md has the figures.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

pg_embedded::serve! {
    network: pg_core::zoo::Mlp9x24x11,
    kept: f32,
    samples: 128,
    batch: 8,
    layers: u64::MAX,
    model: include_bytes!("../../models/mlp-9-24-11.pg"),
    known: [0xce02_6caa, 0x9b39_a681],
}
