//! The command line with three of the ready networks: `cargo xtask builds` makes it for older CPUs, in a fraction of the time that all would take.

use pg_core::zoo::{Lenet28, Mlp64x32x10, Mlp784x128x10};
use pg_host::Entry;

fn main() -> std::process::ExitCode {
    pg_host::run(&[
        Entry::new::<Mlp64x32x10>("mlp-64-32-10", "mlp"),
        Entry::new::<Mlp784x128x10>("mlp-784-128-10", "mlp"),
        Entry::new::<Lenet28>("lenet-28", "lenet"),
    ])
}
