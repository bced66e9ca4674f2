//! The desktop tool of pg as a library: [`run`] gives the whole command line to a list of networks.
//!
//! ```no_run
//! use pg_core::{Sequential, Vector, layers::{Dense, Relu}};
//! type Mine = Sequential<Vector<4>, (Dense<8>, Relu, Dense<3>)>;
//!
//! fn main() -> std::process::ExitCode {
//!     pg_host::run(&[pg_host::Entry::new::<Mine>("mine", "mlp")])
//! }
//! ```
//!
//! The modules, in the order in which to read them: [`cli`], [`options`] and [`method`] say what is asked for, [`data`] and [`parts`] bring the samples,
//! [`augmentation`], [`supply`], [`training`] and [`tally`] train, [`checkpoint`] keeps a run, [`evaluation`] and [`metrics`] judge, [`model`] and
//! [`output`] write; [`experiment`] puts them together, [`study`] compares ways to train. Networks and their gradients come from [`pg_engine`].
#![forbid(unsafe_code)]

pub mod augmentation;
pub mod bench;
pub mod checkpoint;
pub mod choose;
pub mod cli;
pub mod data;
pub mod device;
pub mod evaluation;
pub mod experiment;
pub mod failure;
pub mod gradient_quality;
pub mod interrupt;
pub mod method;
pub mod metrics;
pub mod model;
pub mod options;
pub mod output;
pub mod page;
pub mod parts;
pub mod plots;
pub mod progress;
pub mod sheet;
pub mod statistics;
pub mod study;
pub mod summary;
pub mod supply;
pub mod tally;
pub mod target;
pub mod training;

mod command;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../docs/own-layer.md")]
struct OwnLayer;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

#[cfg(feature = "zoo")]
pub use pg_engine::zoo;
pub use pg_engine::{Entry, any_network, engine, entry, memory, profile, session};

use cli::NoCommand;
use failure::Failure;

/// Runs the program with these networks: reads its arguments, does what they say, prints the results.
///
/// The exit code is 0, 2 when the arguments make no sense, and 1 for everything else that goes wrong.
pub fn run(networks: &[Entry]) -> ExitCode {
    let text = match execute(networks, std::env::args_os()) {
        Ok(text) => text,
        Err(failure) => return fail(&failure.to_string(), failure.code()),
    };
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever read the results has read enough: `pg-host predict … | head`.
        Err(reason) if reason.kind() != ErrorKind::BrokenPipe => fail(&format!("the results cannot be printed: {reason}"), 1),
        _ => ExitCode::SUCCESS,
    }
}

/// Does what `arguments` say, the first of which is the program's path, and returns what belongs on stdout.
///
/// # Errors
/// When the arguments make no sense, or something goes wrong.
pub fn execute<A: Into<OsString>>(networks: &[Entry], arguments: impl IntoIterator<Item = A>) -> Result<String, Failure> {
    match cli::parse(arguments.into_iter().map(Into::into)) {
        Ok(command) => command::run(networks, command),
        Err(NoCommand::Text(text)) => Ok(text),
        Err(NoCommand::Mistake(sentence)) => Err(Failure::Usage(sentence)),
    }
}

fn fail(sentence: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {sentence}");
    ExitCode::from(code)
}
