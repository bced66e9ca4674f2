//! The program `pg-host`: the command line of the library with the networks of the zoo.

fn main() -> std::process::ExitCode {
    pg_host::run(&pg_host::zoo())
}
