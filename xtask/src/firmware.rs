//! Builds the firmware for a board and measures what it takes of its memories.
//!
//! Two forms are built: the one that prints through semihosting, for the emulator, and the silent one, whose size counts.
//! It runs nothing.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, SectionFlags, elf};

use crate::{
    board::{ALL, Board},
    steps::run,
    toolchain::Toolchain,
};

/// The programs of pg-embedded; the first is the firmware.
pub const PROGRAMS: [&str; 2] = ["pg-embedded", "self-check"];

/// The silent firmware's code and constants, as `size` counts its column "text", on a core with FPU.
const TEXT_LIMIT: u64 = 24 << 10;

/// Optimised as a whole: pg-embedded is generic code of pg-core, made here.
const PROFILE: [&str; 3] = ["profile.firmware.inherits='release'", "profile.firmware.lto='fat'", "profile.firmware.codegen-units=1"];

/// Where everything goes: below the workspace's target directory, away from the desktop's builds.
pub fn directory() -> PathBuf {
    let workspace = workspace();
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), |target| workspace.join(target));
    target.join("firmware")
}

/// The workspace's root.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Builds both forms for a board.
pub fn build(board: &Board, toolchain: &Toolchain) -> Result<()> {
    println!("{} for {} ({})", board.name, board.target, toolchain.name());
    for semihosting in [false, true] {
        let mut command = toolchain.cargo("build", &directory());
        command.args(["--quiet", "--package", "pg-embedded", "--profile", "firmware"]);
        command.args(PROFILE.iter().flat_map(|line| ["--config", line]));
        command.args(semihosting.then_some("--features=semihosting"));
        command.env("PG_BOARD", board.name).current_dir(workspace());
        run(&mut command)?;
        for program in PROGRAMS {
            let built = directory().join(board.target).join("firmware").join(program);
            let kept = elf(board, program, semihosting);
            fs::create_dir_all(kept.parent().unwrap_or(Path::new(".")))?;
            fs::copy(&built, &kept).with_context(|| format!("{} cannot be copied to {}", built.display(), kept.display()))?;
        }
    }
    Ok(())
}

/// The ELF file of a program, once built.
pub fn elf(board: &Board, program: &str, semihosting: bool) -> PathBuf {
    let form = if semihosting { "semihosting" } else { "silent" };
    directory().join("boards").join(board.name).join(format!("{program}-{form}.elf"))
}

/// Prints what the silent firmware takes on every board that it is built for, and holds it against the limit.
pub fn size_table() -> Result<()> {
    println!("{:<15} {:<27} {:>7} {:>9} {:>7} {:>7} {:>7} {:>9}", "board", "target", "code", "constants", "text", "data", "bss", "ram");
    let mut too_large = Vec::new();
    for board in &ALL {
        let path = elf(board, PROGRAMS[0], false);
        if !path.exists() {
            println!("{:<15} {:<27} not built: cargo xtask firmware", board.name, board.target);
            continue;
        }
        let size = Size::of(&path)?;
        let Size { code, constants, data, bss } = size;
        println!(
            "{:<15} {:<27} {code:>7} {constants:>9} {:>7} {data:>7} {bss:>7} {:>8.1}%",
            board.name,
            board.target,
            size.text(),
            100.0 * (data + bss) as f64 / f64::from(board.ram.bytes)
        );
        if board.target.ends_with("eabihf") && size.text() > TEXT_LIMIT {
            too_large.push(board.name);
        }
    }
    println!("bytes; text = code + constants; ram = (data + bss) of the board's, the stack takes the rest");
    ensure!(too_large.is_empty(), "text exceeds {TEXT_LIMIT} bytes on {}", too_large.join(", "));
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

    fn text(&self) -> u64 {
        self.code + self.constants
    }
}
