//! Which steps make up `test`, `ci`, `firmware` and `qemu`, in order: the cheap ones first.
//!
//! `ci` contains all of `test`. How a step is run, timed and repeated is [`crate::steps`]'s business.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    board::{ALL, Board, named},
    builds, device_bench, device_session,
    emulator::Emulator,
    firmware::{self, directory, elf},
    places::{target, workspace},
    qemu,
    steps::{
        Outcome::{Done, Skipped},
        Steps, run,
    },
    toolchain::{Toolchain, host_cargo, need_vectors},
};

/// The board of the quick tests.
const DEFAULT: Board = ALL[0];
/// A board of the same target with less RAM than LeNet's parameters take.
const SMALL: Board = named("nucleo-f446re");
/// Not a member of the workspace, as a user's own crate.
const EXAMPLE: &str = "examples/own-network/Cargo.toml";

/// The firmware on the default board, then every test of the workspace.
pub fn test() -> Result<()> {
    let mut steps = Steps::new();
    let mut emulated = false;
    steps.step("firmware in QEMU", "cargo xtask qemu", || {
        let tools = Emulator::find().and_then(|emulator| Ok((emulator, Toolchain::find(DEFAULT.target, false)?)));
        match tools {
            Err(reason) => Ok(Skipped(format!("{reason:#}"))),
            Ok((emulator, toolchain)) => {
                firmware::build(&DEFAULT, &toolchain)?;
                qemu::run_board(&emulator, &DEFAULT, false)?;
                emulated = true;
                Ok(Done)
            }
        }
    })?;
    vectors(&mut steps)?;
    tests(&mut steps, emulated)?;
    steps.summary();
    Ok(())
}

/// All that must hold before a change is merged.
pub fn ci() -> Result<()> {
    let mut steps = Steps::new();
    steps.command("format", host("fmt --all --check"))?;
    steps.command("format of the example", host(&format!("fmt --check --manifest-path {EXAMPLE}")))?;
    steps.command("clippy on the desktop", host("clippy --quiet --workspace --all-targets -- -D warnings"))?;
    steps.step("clippy on Cortex-M", "cargo xtask ci", || {
        let toolchain = Toolchain::find(DEFAULT.target, true)?;
        for features in [
            "",
            "--features=pg-embedded/semihosting,pg-embedded/large,pg-embedded/tuning",
            "--features=pg-embedded/serving,pg-embedded/semihosting",
        ] {
            let mut command = toolchain.cargo("clippy", &directory());
            command.args(["--quiet", "--package", "pg-core", "--package", "pg-embedded"]).args((!features.is_empty()).then_some(features));
            run(command.args(["--", "-D", "warnings"]).current_dir(workspace()))?;
        }
        Ok(Done)
    })?;
    steps.command("documentation", {
        let mut command = host("doc --quiet --workspace --no-deps");
        command.env("RUSTDOCFLAGS", "-D warnings");
        command
    })?;
    build_all(&mut steps)?;
    steps.step("firmware in QEMU, every board", "cargo xtask ci", || {
        let emulator = Emulator::find()?;
        ALL.iter().filter(|board| board.emulated).try_for_each(|board| qemu::run_board(&emulator, board, false))?;
        Ok(Done)
    })?;
    steps
        .step("devices that learn over the link, and power cuts", "cargo xtask device-session", || device_session::run().map(|()| Done))?;
    steps.step("instructions of learning", "cargo xtask device-bench", || device_bench::run(false, false).map(|()| Done))?;
    vectors(&mut steps)?;
    tests(&mut steps, true)?;
    steps.command("tests of the example, a network of one's own", {
        let mut command = host(&format!("test --release --locked --manifest-path {EXAMPLE} --target-dir"));
        command.arg(target().join("own-network"));
        command
    })?;
    steps.step("the same bits from builds for older CPUs", "cargo xtask builds", builds::compare)?;
    steps.summary();
    Ok(())
}

/// Builds the desktop's program for older CPUs too, and compares what the builds train.
pub fn builds() -> Result<()> {
    Steps::new().step("the same bits from builds for older CPUs", "cargo xtask builds", builds::compare)
}

/// Builds for every board and prints the sizes.
pub fn firmware() -> Result<()> {
    build_all(&mut Steps::new())
}

/// Builds for one board and runs it.
pub fn qemu(name: &str) -> Result<()> {
    let emulated = || ALL.iter().filter(|board| board.emulated);
    let names = || emulated().map(|board| board.name).collect::<Vec<_>>().join(", ");
    let board = emulated().find(|board| board.name == name).with_context(|| format!("`{name}` is not emulated; these are: {}", names()))?;
    let emulator = Emulator::find()?;
    firmware::build(board, &Toolchain::find(board.target, false)?)?;
    qemu::run_board(&emulator, board, true)
}

/// Links the programs in which no panic can be reached.
pub fn no_panic() -> Result<()> {
    firmware::build_no_panic(&DEFAULT, &Toolchain::find(DEFAULT.target, false)?)
}

/// Has the compiler refuse a network that a board's RAM has no room for.
pub fn does_not_fit() -> Result<()> {
    firmware::refuse_too_large(&DEFAULT, &SMALL, &Toolchain::find(DEFAULT.target, false)?)
}

fn build_all(steps: &mut Steps) -> Result<()> {
    steps.step("firmware for every board", "cargo xtask firmware", || {
        for board in &ALL {
            firmware::build(board, &Toolchain::find(board.target, false)?)?;
        }
        for board in ALL.iter().filter(|board| !board.emulated && board.uart.is_some()) {
            firmware::build_real(board, &Toolchain::find(board.target, false)?)?;
            println!("serve for {}, with its own UART and flash, with and without a log by defmt", board.name);
        }
        Ok(Done)
    })?;
    steps.step("a network that does not fit does not compile", "cargo xtask does-not-fit", || does_not_fit().map(|()| Done))?;
    steps.step("no panic can be reached in what serves a device that learns", "cargo xtask no-panic", || no_panic().map(|()| Done))?;
    steps.step("sizes of the silent firmware", "cargo xtask size", || firmware::size_table().map(|()| Done))
}

/// Without them their test is skipped.
fn vectors(steps: &mut Steps) -> Result<()> {
    steps.step("test vectors of ONNX", "cargo xtask test", || {
        Ok(need_vectors().map_or_else(|reason| Skipped(format!("{reason:#}")), |()| Done))
    })
}

/// Optimised, as the program that the user has built already. The tests compare the logits of the firmware that has just run in QEMU
/// with the desktop's when `PG_FIRMWARE_OUTPUT` names its output.
fn tests(steps: &mut Steps, emulated: bool) -> Result<()> {
    let mut command = host("test --workspace --release --no-fail-fast");
    if emulated {
        command.env("PG_FIRMWARE_OUTPUT", elf(&DEFAULT, firmware::FIRMWARE, true).with_extension("txt"));
    }
    steps.command("tests, and the examples of the documentation", command)
}

/// The desktop's cargo with these words, in the workspace's root.
fn host(words: &str) -> Command {
    let mut words = words.split(' ');
    let mut command = host_cargo(words.next().unwrap_or_default());
    command.args(words).current_dir(workspace());
    command
}
