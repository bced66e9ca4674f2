//! Which steps make up `test`, `ci`, `firmware` and `qemu`, in order: the cheap ones first.
//!
//! `ci` contains all of `test`. How a step is run, timed and repeated is [`crate::steps`]'s business.

use anyhow::{Context, Result};

use crate::{
    board::{ALL, Board},
    firmware::{self, directory, elf, workspace},
    qemu,
    steps::{
        Outcome::{Done, Skipped},
        Steps, run,
    },
    toolchain::{Toolchain, host_cargo, need_qemu},
};

/// The board of the quick tests.
const DEFAULT: Board = ALL[0];

/// The firmware on the default board, then every test of the workspace.
pub fn test() -> Result<()> {
    let mut steps = Steps::new();
    steps.step("firmware in QEMU", "cargo xtask qemu", || {
        let tools = need_qemu().and_then(|()| Toolchain::find(DEFAULT.target, false));
        match tools {
            Err(reason) => Ok(Skipped(format!("{reason:#}"))),
            Ok(toolchain) => {
                firmware::build(&DEFAULT, &toolchain)?;
                qemu::run_board(&DEFAULT, false)?;
                Ok(Done)
            }
        }
    })?;
    tests(&mut steps)?;
    steps.summary();
    Ok(())
}

/// All that must hold before a change is merged.
pub fn ci() -> Result<()> {
    let mut steps = Steps::new();
    let host = |words: &str| {
        let mut words = words.split(' ');
        let mut command = host_cargo(words.next().unwrap_or_default());
        command.args(words).current_dir(workspace());
        command
    };
    steps.command("format", host("fmt --all --check"))?;
    steps.command("clippy on the desktop", host("clippy --quiet --workspace --all-targets -- -D warnings"))?;
    steps.step("clippy on Cortex-M", "cargo xtask ci", || {
        need_qemu()?;
        let toolchain = Toolchain::find(DEFAULT.target, true)?;
        for features in ["", "--features=pg-embedded/semihosting"] {
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
        ALL.iter().filter(|board| board.emulated).try_for_each(|board| qemu::run_board(board, false))?;
        Ok(Done)
    })?;
    tests(&mut steps)?;
    steps.summary();
    Ok(())
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
    need_qemu()?;
    firmware::build(board, &Toolchain::find(board.target, false)?)?;
    qemu::run_board(board, true)
}

fn build_all(steps: &mut Steps) -> Result<()> {
    steps.step("firmware for every board", "cargo xtask firmware", || {
        for board in &ALL {
            firmware::build(board, &Toolchain::find(board.target, false)?)?;
        }
        Ok(Done)
    })?;
    steps.step("sizes of the silent firmware", "cargo xtask size", || firmware::size_table().map(|()| Done))
}

/// Optimised, because training in a debug build takes minutes. The tests compare the firmware's output with the desktop's
/// when `PG_FIRMWARE_OUTPUT` names it.
fn tests(steps: &mut Steps) -> Result<()> {
    let mut command = host_cargo("test");
    command.args(["--workspace", "--release"]).current_dir(workspace());
    let output = elf(&DEFAULT, firmware::PROGRAMS[0], true).with_extension("txt");
    if output.exists() {
        command.env("PG_FIRMWARE_OUTPUT", output);
    }
    steps.command("tests, and the examples of the documentation", command)
}
