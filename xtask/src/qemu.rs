//! Runs a program in QEMU and reads what it prints, turning ticks into instructions.
//!
//! `-icount shift=8` lets every instruction take 256 ns of virtual time. SysTick counts that time at the board's rate, several ticks
//! an instruction, so that `ticks <n>` in a line gives the number of instructions exactly (the self-check proves it with
//! pieces of known length). They are instructions of the emulated core: nothing here is a time or a cycle.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Stdio,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    board::Board,
    emulator::Emulator,
    firmware::{FIRMWARE, LARGE, PLAN_TOLERANCE, STEPS, build_one, elf, programs, static_bytes},
    places::workspace,
    toolchain::{Toolchain, host_cargo},
};

/// Virtual nanoseconds an instruction, as a power of two.
const ICOUNT_SHIFT: u32 = 8;
const TIMEOUT: Duration = Duration::from_secs(120);

/// What one inference of the default network may take on the default board, in instructions, as the mean over the samples.
const INFERENCE_LIMIT: f64 = 7_000.0;

/// What a multiply-add of a convolution may take on the default board, in instructions.
const CONVOLUTION_LIMIT: f64 = 5.0;

/// Runs every program built for the board; keeps what each printed beside its ELF file. The many lines of samples are shown
/// only in `full`.
pub fn run_board(emulator: &Emulator, board: &Board, full: bool) -> Result<()> {
    for &program in programs(board) {
        println!("{program} on {}:", board.name);
        let path = elf(board, program, true);
        let lines = run(emulator, board, &path)?;
        fs::write(path.with_extension("txt"), lines.join("\n") + "\n")?;
        same_on_the_desktop(program, board, &lines)?;
        let printed: Vec<String> = lines.iter().map(|line| in_instructions(line, board)).collect();
        printed.iter().filter(|line| full || !line.starts_with("sample ")).for_each(|line| println!("  {line}"));
        verify_counts(&printed)?;
        verify_plan(board, program, &lines)?;
        report_inference(program, &printed, board)?;
        report_convolutions(&printed, board)?;
    }
    Ok(())
}

/// The counts that [`STEPS`] prints on a board, in instructions for each sample and member, weight or step: a name and a number. Virtual time
/// is so fine that cores without an FPU do not outrun the counter; a count is then exact to a few instructions.
pub fn counts(emulator: &Emulator, board: &Board, toolchain: &Toolchain) -> Result<Vec<(String, f64)>> {
    let elf = build_one(board, toolchain, STEPS)?;
    let shift = if board.target.ends_with("eabihf") { ICOUNT_SHIFT } else { 4 };
    let lines = run_with(emulator, board, &elf, shift)?;
    let count = |line: &String| match line.split(' ').collect::<Vec<_>>()[..] {
        ["count", name, "per", per, "ticks", ticks] => {
            Some((name.to_string(), ticks.parse::<f64>().ok()? / ticks_per_instruction(board, shift) / per.parse::<f64>().ok()?))
        }
        _ => None,
    };
    Ok(lines.iter().filter_map(count).collect())
}

/// Runs a program that is built for it alone, and holds its lines against the desktop's.
pub fn run_one(emulator: &Emulator, board: &Board, toolchain: &Toolchain, program: &str) -> Result<()> {
    println!("{program} on {}:", board.name);
    let lines = run(emulator, board, &build_one(board, toolchain, program)?)?;
    lines.iter().for_each(|line| println!("  {line}"));
    same_on_the_desktop(program, board, &lines)
}

/// The plan that a program prints says what the linker says, to [`PLAN_TOLERANCE`].
fn verify_plan(board: &Board, program: &str, lines: &[String]) -> Result<()> {
    if let Some(planned) = lines.iter().find_map(|line| line.strip_prefix("ram statics ")) {
        let (planned, linked) = (planned.parse::<u64>()?, static_bytes(board, program)?);
        println!("  plan: {planned} bytes of statics; the linker: {linked}");
        ensure!(
            planned.abs_diff(linked) <= PLAN_TOLERANCE,
            "the plan of {program} and the linker differ by more than {PLAN_TOLERANCE} bytes"
        );
    }
    Ok(())
}

/// The same program, run here, must print the same lines but for what only the emulator counts, and for a plan of memory: a pointer has another
/// size here, and [`verify_plan`] holds the plan against the linker.
fn same_on_the_desktop(program: &str, board: &Board, lines: &[String]) -> Result<()> {
    let mut command = host_cargo("run");
    command.args(["--quiet", "--release", "--package", "pg-embedded", "--bin", program]);
    command.arg(format!("--features={LARGE},tuning,serving"));
    let output = command.env("PG_BOARD", board.name).current_dir(workspace()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{program} ended with {} on the desktop", output.status);
    let desktop = String::from_utf8(output.stdout).context("the desktop's output is no text")?;
    let compared = |line: &&str| !["count ", "ram ", "ram-rank1 ", "tuning "].iter().any(|title| line.starts_with(title));
    let emulated: Vec<String> = lines.iter().map(String::as_str).filter(compared).map(without_ticks).collect();
    let desktop: Vec<&str> = desktop.lines().filter(compared).collect();
    for (emulated, desktop) in emulated.iter().zip(&desktop) {
        ensure!(emulated == desktop, "the board differs from the desktop\n  board:   {emulated}\n  desktop: {desktop}");
    }
    ensure!(emulated.len() == desktop.len(), "one of board and desktop prints more than the other");
    println!("  the desktop prints the same bits");
    Ok(())
}

/// The line without its `ticks <n>`.
fn without_ticks(line: &str) -> String {
    let mut words = line.split(' ');
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "ticks" {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// Runs one program to its end and returns its lines.
fn run(emulator: &Emulator, board: &Board, elf: &Path) -> Result<Vec<String>> {
    run_with(emulator, board, elf, ICOUNT_SHIFT)
}

/// The same with `2^shift` virtual nanoseconds an instruction.
fn run_with(emulator: &Emulator, board: &Board, elf: &Path, shift: u32) -> Result<Vec<String>> {
    let mut command = emulator.command();
    command.args(["-machine", board.name, "-nographic", "-monitor", "none", "-serial", "none"]);
    command.args(["-semihosting-config", "enable=on,target=native", "-icount", &format!("shift={shift}"), "-kernel"]).arg(elf);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("qemu-system-arm cannot be started")?;

    let (sender, receiver) = mpsc::channel();
    let (stdout, mut stderr) = (child.stdout.take().context("no output")?, child.stderr.take().context("no output")?);
    let complaints = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    thread::spawn(move || {
        let lines: Vec<String> = BufReader::new(stdout).lines().map_while(Result::ok).collect();
        sender.send(lines)
    });
    let Ok(lines) = receiver.recv_timeout(TIMEOUT) else {
        child.kill()?;
        child.wait()?;
        bail!("no end within {} s; a fault of the core ends in an endless loop: run by hand `{command:?} -d int`", TIMEOUT.as_secs());
    };
    let status = child.wait()?;
    let complaints = complaints.join().ok().and_then(Result::ok).unwrap_or_default();
    ensure!(status.success(), "{} ended with {status}:\n{}\n{complaints}", elf.display(), lines.join("\n"));
    Ok(lines)
}

/// Replaces `ticks <n>` by `instructions <m>`.
fn in_instructions(line: &str, board: &Board) -> String {
    let Some((before, after)) = line.split_once("ticks ") else { return line.into() };
    let (number, rest) = after.split_once(' ').map_or((after, String::new()), |(number, rest)| (number, format!(" {rest}")));
    let Ok(ticks) = number.parse::<f64>() else { return line.into() };
    format!("{before}instructions {:.0}{rest}", ticks / ticks_per_instruction(board, ICOUNT_SHIFT))
}

/// SysTick's ticks for an instruction of `2^shift` virtual nanoseconds.
fn ticks_per_instruction(board: &Board, shift: u32) -> f64 {
    f64::from(board.tick_hz) * f64::from(1 << shift) / 1e9
}

/// `count nops <n> instructions <n>`: a counter that is wrong here is wrong everywhere.
fn verify_counts(lines: &[String]) -> Result<()> {
    for line in lines {
        if let ["count", "nops", nops, "instructions", counted] = line.split(' ').collect::<Vec<_>>()[..] {
            ensure!(nops == counted, "the counter of instructions is wrong: {line}");
        }
    }
    Ok(())
}

/// The mean of the `instructions` in the lines that start with `sample`, held against the limit on the default board.
fn report_inference(program: &str, lines: &[String], board: &Board) -> Result<()> {
    let samples = lines.iter().filter(|line| line.starts_with("sample "));
    let counts: Vec<f64> = samples.filter_map(|line| line.split_once("instructions ")?.1.split(' ').next()?.parse().ok()).collect();
    if !counts.is_empty() {
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        println!("  mean over {} samples: {mean:.1} instructions an inference", counts.len());
        let limited = program == FIRMWARE && board.name == "mps2-an386";
        ensure!(!limited || mean <= INFERENCE_LIMIT, "an inference takes more than {INFERENCE_LIMIT} instructions");
    }
    Ok(())
}

/// The `instructions` for each of the `macs` in the lines that start with `convolution`, held against the limit on the default board.
fn report_convolutions(lines: &[String], board: &Board) -> Result<()> {
    for line in lines {
        if let ["convolution", name, "macs", macs, rest @ ..] = line.split(' ').collect::<Vec<_>>()[..].as_ref() {
            let &["instructions", count] = rest else { bail!("the {name} convolution has no count: {line}") };
            let ratio = count.parse::<f64>()? / macs.parse::<f64>()?;
            println!("  {name} convolution: {ratio:.2} instructions a multiply-add");
            let limited = board.name == "mps2-an386";
            ensure!(
                !limited || ratio <= CONVOLUTION_LIMIT,
                "the {name} convolution takes more than {CONVOLUTION_LIMIT} instructions a multiply-add"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::named;

    #[test]
    fn ticks_become_instructions() {
        let m4 = named("mps2-an386"); // 6.4 ticks an instruction
        assert_eq!(in_instructions("sample 0 ticks 640 class 3", &m4), "sample 0 instructions 100 class 3");
        assert_eq!(in_instructions("count nops 1 ticks 7", &m4), "count nops 1 instructions 1");
        assert_eq!(in_instructions("ticks overflow", &m4), "ticks overflow");
    }

    #[test]
    fn refuses_a_counter_that_is_wrong() {
        assert!(verify_counts(&["count nops 10 instructions 10".into()]).is_ok());
        assert!(verify_counts(&["count nops 10 instructions 11".into()]).is_err());
    }
}
