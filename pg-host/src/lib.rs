//! The desktop tool of pg as a library: `pg_host::run` gives the whole command line to a list of networks.

pub mod data;
pub mod metrics;
pub mod output;
