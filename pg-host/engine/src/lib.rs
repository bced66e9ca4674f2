//! Networks that are known at run time only: a type as a value, with its sizes, its outputs, its gradients, its sessions on a device.
//!
//! All that is compiled once for each network is here and in pg-core, so that whoever changes data, studies or the command line in pg-host waits for none of
//! it. It knows no file, option, data set or printer.
//!
//! In the order in which to read them: [`entry`] is the list of networks, [`any_network`] what a program needs of one, [`engine`] the gradient of a
//! step, [`session`] what a device computes, [`profile`] the time of each layer, [`memory`] what they work in.
#![forbid(unsafe_code)]

pub mod any_network;
pub mod engine;
pub mod entry;
pub mod memory;
pub mod profile;
pub mod session;

pub use any_network::AnyNetwork;
pub use entry::Entry;
#[cfg(feature = "zoo")]
pub use entry::zoo;
