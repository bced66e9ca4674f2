//! The protocol between a host and a device that learns: typed requests and replies in frames on a serial line.
//!
//! docs/link.md is the specification. A [`Server`] is the device's end and a [`Client`] the host's; both take bytes one by one and lend
//! bytes to be sent. Neither knows a UART, a clock or an allocator: the caller brings the first two, and lends buffers whose sizes are
//! constants ([`frame_bytes`], [`content_bytes`]). Arbitrary bytes never panic; a damaged frame is dropped.
//!
//! A request is executed at most once, however often it is sent: a host that got no reply in time sends it again and gets the reply
//! of the first time.
//!
//! ```
//! use pg_core::floats::Floats;
//! use pg_core::link::{Client, Device, Refusal, Reply, Request, Retry, Sample, Server};
//!
//! struct Sum([f32; 1]);
//! impl Device for Sum {
//!     fn answer(&mut self, request: &Request<'_>) -> Result<Reply<'_>, Refusal> {
//!         let Request::Infer { sample } = request else { return Err(Refusal::Unsupported) };
//!         self.0 = [sample.values().sum()];
//!         Ok(Reply::Inferred { class: 0, logits: Floats::new(&self.0) })
//!     }
//! }
//!
//! let (mut incoming, mut outgoing) = ([0; 64], [0; 64]);
//! let mut server = Server::new(&mut incoming, &mut outgoing);
//! let (mut request, mut reply) = ([0; 64], [0; 64]);
//! let mut client = Client::new(7, Retry::DEFAULT, &mut request, &mut reply);
//!
//! let mut sum = Sum([0.0]);
//! # let hello = client.ask(&Request::Hello, 0)?.to_vec();
//! # hello.iter().for_each(|&byte| drop(server.receive(byte, &mut sum).to_vec()));
//! let bytes = client.ask(&Request::Infer { sample: Sample::U8(&[1, 2, 3]) }, 0)?.to_vec();
//! let answer: Vec<u8> = bytes.iter().flat_map(|&byte| server.receive(byte, &mut sum).to_vec()).collect();
//! let (last, first) = answer.split_last().unwrap();
//! for &byte in first {
//!     assert_eq!(client.receive(byte)?, None);
//! }
//! let Some(Reply::Inferred { logits, .. }) = client.receive(*last)? else { panic!() };
//! assert_eq!(logits.get(0), Some(6.0));
//! # Ok::<(), pg_core::link::LinkError>(())
//! ```

mod client;
mod frame;
mod message;
mod refusal;
mod server;

pub use client::{Client, LinkError, Poll, Retry};
pub use frame::{ENVELOPE_BYTES, Frame, Kind, Receiver, content_bytes, encode, frame_bytes};
pub use message::{Activity, Hello, Noise, Options, Part, Reply, Request, Sample, Status};
pub use refusal::{Form, Refusal};
pub use server::{Counts, Device, Server};

/// The version of the protocol; both ends must speak the same.
pub const VERSION: u8 = 1;

/// CRC-32 of everything that a link carries in pieces: the one of zip, PNG and Ethernet.
pub const CRC: crc::Crc<u32, crc::NoTable> = crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC);
