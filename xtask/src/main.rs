//! `cargo xtask`: what contributors and CI run, as one program without a shell script behind it.
//!
//! It builds nothing of the library itself; it finds the tools, calls them in order and reads what they say.
//! [`steps`] runs and times, [`checks`] says which steps, [`toolchain`] finds the compilers, [`firmware`] builds and
//! measures, [`emulator`] finds QEMU, [`device_bench`] counts, [`device_session`] learns, [`qemu`] runs it, [`builds`] compares builds for several CPUs.
mod builds;
mod checks;
mod compile_times;
mod device_bench;
mod device_session;
mod emulator;
mod firmware;
mod places;
mod qemu;
mod steps;
mod toolchain;

// The numbers of each board, shared with the firmware and its build script, which use the rest.
#[allow(dead_code)]
#[path = "../../pg-embedded/src/board/mod.rs"]
mod board;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <command>

  test            everything a newcomer needs to see the tests pass: finds or installs the compiler for Cortex-M, QEMU and
                  the test vectors of ONNX, runs the firmware in the emulator, then every test and every example in the
                  documentation
  ci              what CI runs: format, clippy (desktop and Cortex-M), documentation, firmware for every target, QEMU on
                  every emulated board, the table of sizes, all of `test`, `builds` and the example's tests
  builds          builds the desktop's program for older CPUs too and compares the models that each build trains
  firmware        builds the firmware for every board and prints the table of sizes
  no-panic        links the programs in which no panic can be reached, and so proves it of the tuner, the decoders, the link, the store and
                  the device that learns
  does-not-fit    has the compiler refuse a network that exceeds a board's RAM, and holds it to its sentence
  size            the same table from what is already built
  compile-times   times a clean release build of the desktop's program, then each network alone: seconds, and seconds of computing
  qemu [BOARD]    builds the firmware for BOARD (mps2-an386, a Cortex-M4F, unless given), runs it in QEMU and prints its output
                  with ticks turned into instructions
  device-bench    counts the instructions of learning on a Cortex-M0, M3, M4F and M7 in QEMU, prints a table (--json: one object) and
                  holds it against the bars and xtask/device-bench.json (--accept: writes that anew)
  serve [PROGRAM] [BOARD]
                  runs a device that learns, `serve` (digits) or `serve-vowels`, or one that only infers, `classifier`, in QEMU until Ctrl-C; `pg-host device` reaches it at
                  the port that it prints, and the file device.flash in this directory stands for its flash
  device-session  has such devices learn over the link on a Cortex-M4F and M7, and cuts their power, the last layer on a Cortex-M3, and one infer on
                  a Cortex-M0: the bits are those of `pg-host replay`, of the sessions' own records, and of `pg-host predict`

A skipped step is printed with its reason; with CI=true in the environment it is an error.
Firmware goes to target/firmware/boards/<board>/; the compiler is rustup's where `rustup target add` has put the target,
else Debian's rustc-web with the library built from source.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => checks::test(),
        ["ci"] => checks::ci(),
        ["builds"] => checks::builds(),
        ["firmware"] => checks::firmware(),
        ["no-panic"] => checks::no_panic(),
        ["does-not-fit"] => checks::does_not_fit(),
        ["size"] => firmware::size_table(),
        ["compile-times"] => compile_times::table(),
        ["device-bench"] => device_bench::run(false, false),
        ["device-bench", "--json"] => device_bench::run(true, false),
        ["device-bench", "--accept"] => device_bench::run(false, true),
        ["device-session"] => device_session::run(),
        ["serve"] => device_session::serve("serve", "mps2-an386"),
        ["serve", program] => device_session::serve(program, "mps2-an386"),
        ["serve", program, board] => device_session::serve(program, board),
        ["qemu"] => checks::qemu("mps2-an386"),
        ["qemu", board] => checks::qemu(board),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        ref unknown => {
            eprintln!("cargo xtask {}: no such command\n\n{HELP}", unknown.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
