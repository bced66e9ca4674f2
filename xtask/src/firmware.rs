//! Builds the firmware for a board and measures what it takes of its memories; `[profile.firmware]` says how it is optimised.
//!
//! Two forms are built: the one that prints through semihosting, for the emulator, and the silent one, whose size counts.
//! It runs nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, SectionFlags, elf};

use crate::{
    board::{ALL, Board},
    places::{target, workspace},
    steps::run,
    toolchain::Toolchain,
};

/// The firmware.
pub const FIRMWARE: &str = "pg-embedded";

/// The programs of pg-embedded for a board: the first is the firmware, those of the feature [`LARGE`] are last. Where there is no FPU a session
/// of fine-tuning takes minutes to emulate.
pub fn programs(board: &Board) -> &'static [&'static str] {
    let all = &[FIRMWARE, "self-check", STEPS, TUNE, "lenet", "folded"];
    match (board.target.ends_with("eabihf"), is_large(board)) {
        (true, true) => all,
        (true, false) => &all[..4],
        _ => &all[..2],
    }
}

/// The program that counts steps of learning.
pub const STEPS: &str = "steps";
/// The session of fine-tuning.
pub const TUNE: &str = "tune";

/// The program that proves the driver of a board's flash.
pub const KEEP: &str = "keep";

/// The programs that serve the link, the last without learning.
pub const SERVING: [&str; 3] = ["serve", "serve-vowels", "classifier"];

/// The feature that builds the programs which need much RAM.
pub const LARGE: &str = "large";

/// Whether a board has it.
fn is_large(board: &Board) -> bool {
    board.ram.bytes >= 512 << 10
}

/// What the silent firmware may have of code and constants on a core with FPU, the files it carries not counted.
const TEXT_LIMIT: u64 = 24 << 10;
/// What it carries: a model and samples, in pg-embedded.
const CARRIED: [&str; 2] = ["models/mlp-64-32-10.pg", "samples/digits.bin"];

/// Bytes that a program's plan leaves to the runtime and to alignment.
pub const PLAN_TOLERANCE: u64 = 512;

/// Where everything goes: below the workspace's target directory, away from the desktop's builds.
pub fn directory() -> PathBuf {
    target().join("firmware")
}

/// Builds both forms for a board.
pub fn build(board: &Board, toolchain: &Toolchain) -> Result<()> {
    println!("{} for {} ({})", board.name, board.target, toolchain.name());
    for semihosting in [false, true] {
        let mut command = toolchain.cargo("build", &directory());
        command.args(["--quiet", "--package", "pg-embedded", "--profile", "firmware"]);
        let features = [(semihosting, "semihosting"), (is_large(board), LARGE), (programs(board).contains(&TUNE), "tuning")];
        let features: Vec<&str> = features.into_iter().filter(|(wanted, _)| *wanted).map(|(_, feature)| feature).collect();
        command.args(["--features", &features.join(",")]);
        command.env("PG_BOARD", board.name).current_dir(workspace());
        run(&mut command)?;
        for &program in programs(board) {
            let built = directory().join(board.target).join("firmware").join(program);
            let kept = elf(board, program, semihosting);
            fs::create_dir_all(kept.parent().unwrap_or(Path::new(".")))?;
            fs::copy(&built, &kept).with_context(|| format!("{} cannot be copied to {}", built.display(), kept.display()))?;
        }
    }
    Ok(())
}

/// Builds one program for a board, in the form that prints, and returns its ELF file.
pub fn build_one(board: &Board, toolchain: &Toolchain, program: &str) -> Result<PathBuf> {
    let features = if program == KEEP || SERVING.contains(&program) { "semihosting,serving" } else { "semihosting,tuning" };
    build_with(board, toolchain, program, features)
}

/// Builds the device that learns for a real board whose UART and flash are driven: with a log for a probe, then in the form that stands alone.
pub fn build_real(board: &Board, toolchain: &Toolchain) -> Result<PathBuf> {
    build_with(board, toolchain, SERVING[0], "serving,defmt")?;
    build_with(board, toolchain, SERVING[0], "serving")
}

fn build_with(board: &Board, toolchain: &Toolchain, program: &str, features: &str) -> Result<PathBuf> {
    let mut command = toolchain.cargo("build", &directory());
    command.args(["--quiet", "--package", "pg-embedded", "--profile", "firmware", "--features", features, "--bin", program]);
    run(command.env("PG_BOARD", board.name).current_dir(workspace()))?;
    Ok(directory().join(board.target).join("firmware").join(program))
}

/// Builds the programs that link only if no panic can be reached: in the tuner and the decoder of models, in the link and the store.
pub fn build_no_panic(board: &Board, toolchain: &Toolchain) -> Result<()> {
    let mut command = toolchain.cargo("build", &directory());
    command.args(["--quiet", "--package", "pg-embedded", "--profile", "firmware", "--features", "no-panic"]);
    command.args(["--bin", "no-panic", "--bin", "no-panic-link"]);
    run(command.env("PG_BOARD", board.name).current_dir(workspace()))
}

/// What the compiler says of a network that exceeds the board's RAM: pg-embedded's `plan`.
const DOES_NOT_FIT: &str = "the network does not fit the board's RAM";

/// Holds the compiler to it: the program `lenet`, built for `roomy` a moment ago, must not build for a board with less RAM than its parameters take,
/// and the reason must be this sentence and no other.
pub fn refuse_too_large(roomy: &Board, small: &Board, toolchain: &Toolchain) -> Result<()> {
    let build = |board: &Board| {
        let mut command = toolchain.cargo("build", &directory());
        command.args(["--quiet", "--package", "pg-embedded", "--profile", "firmware", "--features", LARGE, "--bin", "lenet"]);
        command.env("PG_BOARD", board.name).current_dir(workspace()).stderr(Stdio::piped()).output().context("cargo cannot be started")
    };
    let fits = build(roomy)?;
    let complaint = String::from_utf8_lossy(&fits.stderr).into_owned();
    ensure!(fits.status.success(), "lenet does not build for {}, whose RAM it fits: {complaint}", roomy.name);
    let too_large = build(small)?;
    ensure!(!too_large.status.success(), "lenet builds for {}, whose RAM it does not fit", small.name);
    let text = String::from_utf8_lossy(&too_large.stderr);
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error[")).collect();
    let sentence = text.lines().find(|line| line.contains(DOES_NOT_FIT)).map(str::trim);
    ensure!(errors.len() == 1 && sentence.is_some(), "lenet must not build for {} because `{DOES_NOT_FIT}`:\n{text}", small.name);
    println!("lenet for {} ({} bytes of RAM): {}: {}", small.name, small.ram.bytes, errors[0], sentence.unwrap_or_default());
    Ok(())
}

/// Bytes of `.data` and `.bss` of a silent program.
pub fn static_bytes(board: &Board, program: &str) -> Result<u64> {
    static_bytes_of(&elf(board, program, false))
}

/// Bytes of `.data` and `.bss` of an ELF file.
pub fn static_bytes_of(elf: &Path) -> Result<u64> {
    let Size { data, bss, .. } = Size::of(elf)?;
    Ok(data + bss)
}

/// The ELF file of a program, once built.
pub fn elf(board: &Board, program: &str, semihosting: bool) -> PathBuf {
    let form = if semihosting { "semihosting" } else { "silent" };
    directory().join("boards").join(board.name).join(format!("{program}-{form}.elf"))
}

/// Prints what the silent firmware takes on every board that it is built for, and holds it against the limit.
pub fn size_table() -> Result<()> {
    let carried = CARRIED.iter().map(|file| Ok(fs::metadata(workspace().join("pg-embedded").join(file))?.len())).sum::<Result<u64>>()?;
    println!("{:<15} {:<27} {:>7} {:>9} {:>7} {:>7} {:>7} {:>7}", "board", "target", "code", "constants", "files", "data", "bss", "ram");
    let mut too_large = Vec::new();
    for board in &ALL {
        let path = elf(board, FIRMWARE, false);
        if !path.exists() {
            println!("{:<15} {:<27} not built: cargo xtask firmware", board.name, board.target);
            continue;
        }
        let Size { code, constants, data, bss } = Size::of(&path)?;
        let constants = constants.saturating_sub(carried);
        let ram = 100.0 * (data + bss) as f64 / f64::from(board.ram.bytes);
        println!("{:<15} {:<27} {code:>7} {constants:>9} {carried:>7} {data:>7} {bss:>7} {ram:>6.1}%", board.name, board.target);
        if board.target.ends_with("eabihf") && code + constants > TEXT_LIMIT {
            too_large.push(board.name);
        }
    }
    println!("bytes; files: model and samples in flash; ram: data and bss of the board's, the stack has the rest");
    ensure!(too_large.is_empty(), "code and constants exceed {TEXT_LIMIT} bytes on {}", too_large.join(", "));
    Ok(())
}

/// Bytes of an ELF file that reach the board.
struct Size {
    code: u64,
    constants: u64,
    data: u64,
    bss: u64,
}

impl Size {
    fn of(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let file = object::File::parse(&*bytes).with_context(|| format!("{} is no ELF file", path.display()))?;
        let mut size = Self { code: 0, constants: 0, data: 0, bss: 0 };
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
            let is = |flag: u32| sh_flags & u64::from(flag) != 0;
            let sort = match section.kind() {
                _ if !is(elf::SHF_ALLOC) => continue,
                object::SectionKind::UninitializedData => &mut size.bss,
                _ if is(elf::SHF_EXECINSTR) => &mut size.code,
                _ if is(elf::SHF_WRITE) => &mut size.data,
                _ => &mut size.constants,
            };
            *sort += section.size();
        }
        Ok(size)
    }
}
