//! The host's end of the link to a device: ports, requests with retries, transfers that go on after a break.
//!
//! The protocol is [`pg_core::link`]'s. A [`Line`] carries bytes and tells the time, a [`Connection`] asks one thing after another over it,
//! [`transfer`] moves parameters in pieces, and [`record`] keeps what was done. Nothing here knows a network.

mod connection;
mod line;
mod options;
pub mod record;
pub mod transfer;

pub use connection::{Buffers, Connection, DeviceError, Greeting, session};
pub use line::{Line, Serial, Tcp, open};
pub use options::{Action, DeviceOptions, Picked};
