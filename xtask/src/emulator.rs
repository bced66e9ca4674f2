//! Finds QEMU for Arm, or unpacks Debian's beside what this workspace builds.
//!
//! It installs nothing on the machine and removes nothing from it: Debian's emulator conflicts with newer QEMU tools that may be there, and
//! unpacked below `target/` it needs neither peace with them nor root. `cargo clean` removes it.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    places::target,
    steps::run,
    toolchain::{silent, update_lists},
};

const PROGRAM: &str = "qemu-system-arm";
const BY_HAND: &str = "install QEMU 7.2 or newer with `qemu-system-arm`";

/// QEMU for Arm, ready to be started.
pub struct Emulator {
    /// Where Debian's packages are unpacked; `None` is the machine's own QEMU.
    unpacked: Option<PathBuf>,
}

impl Emulator {
    /// The machine's own, the one unpacked earlier, or else a fresh one from Debian's archive.
    pub fn find() -> Result<Self> {
        let directory = target().join("qemu");
        let unpacked = || Self { unpacked: Some(directory.clone()) };
        let candidates = [Self { unpacked: None }, unpacked()];
        if let Some(works) = candidates.into_iter().find(Self::works) {
            return Ok(works);
        }
        unpack(&directory).with_context(|| format!("{PROGRAM} missing: {BY_HAND}"))?;
        ensure!(unpacked().works(), "Debian's {PROGRAM}, unpacked to {}, does not start: {BY_HAND}", directory.display());
        Ok(unpacked())
    }

    /// A command that starts it.
    pub fn command(&self) -> Command {
        let Some(directory) = &self.unpacked else { return Command::new(PROGRAM) };
        let mut command = Command::new(directory.join("usr/bin").join(PROGRAM));
        let libraries = ["usr/lib", "lib"].map(|lib| format!("{}/{lib}/{}-linux-gnu", directory.display(), env::consts::ARCH));
        command.env("LD_LIBRARY_PATH", libraries.join(":")).arg("-L").arg(directory.join("usr/share/qemu"));
        command
    }

    fn works(&self) -> bool {
        silent(self.command().arg("--version"))
    }
}

/// Downloads the package, with those that it needs and the machine lacks, and unpacks them to `directory`.
fn unpack(directory: &std::path::Path) -> Result<()> {
    if !silent(Command::new("apt-get").arg("--version")) {
        bail!("no apt-get to fetch it with");
    }
    println!("unpacking {PROGRAM} from Debian's archive to {}", directory.display());
    let archives = directory.join("archives");
    fs::create_dir_all(archives.join("partial"))?;
    let download = || {
        let mut apt = Command::new("apt-get");
        // Nothing of the machine is changed, so its lock is not needed; nor would every user get it.
        apt.args(["-qq", "-y", "--download-only", "--no-install-recommends", "-o", "Debug::NoLocking=1", "-o"]);
        apt.arg(format!("Dir::Cache::archives={}", archives.display())).args(["install", PROGRAM]).stdout(Stdio::null());
        run(&mut apt)
    };
    // Lists of packages may be missing or old; to bring new ones takes more rights than to download.
    update_lists().and_then(|()| download()).or_else(|_| download())?;
    for entry in fs::read_dir(&archives)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("--extract").arg(&path).arg(directory))?;
        }
    }
    Ok(fs::remove_dir_all(&archives)?)
}
