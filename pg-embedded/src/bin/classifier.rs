//! A device that classifies vowels and learns nothing: it serves the link on its UART where there is too little memory to learn.
//!
//! `pg-host device` asks it as it asks `serve-vowels`; what would change it is refused.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

pg_embedded::classify! {
    network: pg_core::zoo::Mlp9x24x11,
    kept: f32,
    model: include_bytes!("../../models/mlp-9-24-11.pg"),
    known: [0xce02_6caa, 0x9b39_a681],
}
