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
//! The modules, in the order in which to read them: [`cli`] and [`options`] say what is asked for, [`data`] and [`parts`] bring the samples,
//! [`entry`] and [`any_network`] the networks, [`augmentation`], [`training`] and [`engine`] train, [`evaluation`] and [`metrics`] judge, [`model`] and
//! [`output`] write.
#![forbid(unsafe_code)]

pub mod any_network;
pub mod augmentation;
pub mod bench;
pub mod choose;
pub mod cli;
pub mod data;
pub mod engine;
pub mod entry;
pub mod evaluation;
pub mod failure;
pub mod interrupt;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod options;
pub mod output;
pub mod parts;
pub mod profile;
pub mod progress;
pub mod replay;
pub mod sheet;
pub mod statistics;
pub mod summary;
pub mod target;
pub mod training;

mod command;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

pub use entry::{Entry, zoo};

use cli::NoCommand;

/// Runs the program with these networks: reads its arguments, does what they say, prints the results.
///
/// The exit code is 0, 2 when the arguments make no sense, and 1 for everything else that goes wrong.
pub fn run(networks: &[Entry]) -> ExitCode {
    let text = match cli::parse(std::env::args_os()) {
        Ok(command) => match command::run(networks, command) {
            Ok(text) => text,
            Err(failure) => return fail(&failure.to_string(), failure.code()),
        },
        Err(NoCommand::Text(text)) => text,
        Err(NoCommand::Mistake(sentence)) => return fail(&sentence, 2),
    };
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever read the results has read enough: `pg-host predict … | head`.
        Err(reason) if reason.kind() != ErrorKind::BrokenPipe => fail(&format!("the results cannot be printed: {reason}"), 1),
        _ => ExitCode::SUCCESS,
    }
}

fn fail(sentence: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {sentence}");
    ExitCode::from(code)
}
