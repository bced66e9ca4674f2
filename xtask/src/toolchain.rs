//! Finds the compiler for a Cortex-M target and the test vectors of others, and installs them where that is possible.
//!
//! Two ways lead to a firmware. Where rustup has the target, plain cargo builds it. Elsewhere Debian's compiler does, which comes with
//! the source of `core` and builds it along (`-Zbuild-std`, hence `RUSTC_BOOTSTRAP`); rust-lld of the desktop's toolchain links.
//! It never asks rustup to download anything, and installs only from Debian's archive, never removing a package.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::steps::run;

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";
const ONNX_VECTORS: &str = "/usr/share/libonnx-testdata/data";
const DEBIAN_CORE: &str = "/usr/lib/rustlib/src/rust/library/core";

/// Under this heading .cargo/config.toml switches features on that draw two warnings, which no lint controls, from every crate. Cargo
/// joins what both say. The clippy step denies the warnings that matter.
const HARD_FLOAT: &str = "cfg(all(target_os = \"none\", target_abi = \"eabihf\"))";

/// A compiler for a Cortex-M target.
pub struct Toolchain {
    target: &'static str,
    /// Debian's compiler, linking with this; `None` is rustup's.
    debian: Option<PathBuf>,
}

impl Toolchain {
    /// The compiler for `target`. Installs Debian's, with clippy when wanted, if there is none and it may.
    pub fn find(target: &'static str, clippy: bool) -> Result<Self> {
        let sysroot = sysroot()?;
        if sysroot.join("lib/rustlib").join(target).join("lib").is_dir() {
            return Ok(Self { target, debian: None });
        }
        install(&missing_packages(clippy), &format!("`rustup target add {target}`"))?;
        Ok(Self { target, debian: Some(linker(&sysroot)?) })
    }

    /// A cargo command for the target, to which a caller adds packages and features.
    pub fn cargo(&self, subcommand: &str, target_dir: &Path) -> Command {
        let mut command = match (&self.debian, subcommand) {
            (None, _) => host_cargo(subcommand),
            // Called directly, because `cargo clippy` might find that of rustup, made for another compiler.
            (Some(_), "clippy") => with_word(DEBIAN_CLIPPY, "clippy"),
            (Some(_), _) => with_word(DEBIAN_CARGO, subcommand),
        };
        forget_outer_cargo(&mut command);
        command.args(["--target", self.target]).arg("--target-dir").arg(target_dir);
        if let Some(linker) = &self.debian {
            command.arg("-Zbuild-std=core");
            command.envs([("RUSTC", DEBIAN_RUSTC), ("CARGO", DEBIAN_CARGO), ("RUSTC_BOOTSTRAP", "1")]);
            let variable = format!("CARGO_TARGET_{}_LINKER", self.target.to_uppercase().replace(['-', '.'], "_"));
            command.env(variable, linker);
        }
        if subcommand == "build" && self.target.ends_with("eabihf") {
            command.arg("--config").arg(format!("target.'{HARD_FLOAT}'.rustflags=['-Awarnings']"));
        }
        command
    }

    /// Its version, as it says itself.
    pub fn version(&self) -> Result<String> {
        let program = if self.debian.is_some() { DEBIAN_RUSTC } else { "rustc" };
        let output = Command::new(program).arg("--version").output().with_context(|| format!("{program} cannot be started"))?;
        Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    /// Where it comes from, for people.
    pub fn name(&self) -> &'static str {
        if self.debian.is_some() { "Debian's compiler, core built from source" } else { "rustup's target" }
    }
}

/// Makes sure that the test vectors of ONNX are there, installing them if it may; where they lie is what `tests/support/onnx.rs` says.
pub fn need_vectors() -> Result<()> {
    let missing = if Path::new(ONNX_VECTORS).is_dir() { Vec::new() } else { vec!["libonnx-testdata"] };
    install(&missing, &format!("the test vectors of ONNX in {ONNX_VECTORS}"))
}

/// The desktop's cargo: the one that started this program.
pub fn host_cargo(subcommand: &str) -> Command {
    with_word(&env::var("CARGO").unwrap_or_else(|_| "cargo".into()), subcommand)
}

fn with_word(program: &str, word: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(word);
    command
}

/// `cargo xtask` sets variables for its own build; another cargo, or another compiler, must not see them.
fn forget_outer_cargo(command: &mut Command) {
    const OF_THE_USER: [&str; 7] =
        ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_", "CARGO_BUILD_JOBS"];
    for (name, _) in env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let of_cargo = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUST_RECURSION_COUNT"].iter().any(|start| name.starts_with(start));
        if of_cargo && !OF_THE_USER.iter().any(|start| name.starts_with(start)) {
            command.env_remove(name);
        }
    }
    // Set by cargo to the libraries of the compiler it started; rustup's toolchain choice still holds for the desktop's cargo.
    command.env_remove("LD_LIBRARY_PATH");
}

fn sysroot() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().context("rustc cannot be started")?;
    ensure!(output.status.success(), "rustc --print sysroot failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn linker(sysroot: &Path) -> Result<PathBuf> {
    let host = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let of_toolchain = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
    let candidates = [of_toolchain, "/usr/bin/rust-lld".into(), "/usr/bin/ld.lld".into()];
    candidates.into_iter().find(|path| path.exists()).context("no linker for Cortex-M: install Debian's package lld")
}

fn missing_packages(clippy: bool) -> Vec<&'static str> {
    let mut packages = Vec::new();
    packages.extend((!recent(DEBIAN_RUSTC)).then_some("rustc-web"));
    packages.extend((!recent(DEBIAN_CARGO)).then_some("cargo-web"));
    packages.extend((!Path::new(DEBIAN_CORE).exists()).then_some("rust-web-src"));
    packages.extend((clippy && !Path::new(DEBIAN_CLIPPY).exists()).then_some("rust-web-clippy"));
    packages
}

/// True when the program prints a version from 1.89, the oldest that the workspace supports: Debian has older ones, too.
fn recent(program: &str) -> bool {
    let version = Command::new(program).arg("--version").output().ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let minor =
        version.as_deref().and_then(|text| text.split_once(" 1.")).and_then(|(_, rest)| rest.split('.').next()?.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= 89)
}

/// Installs Debian packages, or says which, and which other way there is.
fn install(packages: &[&str], other_way: &str) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    let by_hand = format!("install {other_way}, or on Debian `apt-get install --no-install-recommends {list}`");
    println!("installing {list} from Debian's archive");
    let install: Vec<&str> = ["install", "--no-install-recommends", "--no-remove"].iter().chain(packages).copied().collect();
    update_lists().and_then(|()| apt(&install)).with_context(|| format!("{list} missing: {by_hand}"))
}

/// Fetches Debian's lists of packages anew.
///
/// # Errors
/// When this user may not.
pub fn update_lists() -> Result<()> {
    apt(&["update"])
}

/// Runs apt-get with the rights to change the machine.
fn apt(words: &[&str]) -> Result<()> {
    let prefix: &[&str] = match silent(Command::new("apt-get").arg("--version")) {
        true if is_root() => &["env"],
        true if silent(Command::new("sudo").args(["-n", "true"])) => &["sudo", "-n", "env"],
        _ => bail!("this user may not install Debian's packages"),
    };
    let mut command = Command::new(prefix[0]);
    command.args(&prefix[1..]).args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y"]).args(words);
    run(command.stdout(Stdio::null()))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// Whether the command can be started and succeeds; it prints nothing.
pub fn silent(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
