//! A network of your own with the whole command line of pg:
//! `cargo run --release -- train --data wine.csv --out wine.pg`, then `eval wine.pg --data wine.csv`.

use pg_core::layers::{Dense, Relu};
use pg_core::{Network, Sequential, Vector};
use pg_host::Entry;

/// Thirteen chemical properties in, three growers out.
type Wine = Sequential<Vector<13>, (Dense<16>, Relu, Dense<3>)>;
const _: () = assert!(Wine::PARAMS == 275);

fn main() -> std::process::ExitCode {
    pg_host::run(&[Entry::new::<Wine>("wine-13-16-3", "mlp")])
}
