//! Proves that training gives the same bits in every build: the desktop's program is built for older CPUs too, and the model
//! files that each build writes are compared byte for byte.
//!
//! The lanes differ from build to build (16, 8 and 4 on a CPU with AVX-512), and the oldest has no fused multiply-add.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{
    places::{target, workspace},
    steps::{Outcome, run},
    toolchain::host_cargo,
};

/// Older CPUs: those with AVX2 (since 2013), then every x86-64 (since 2003).
const OLDER: [&str; 2] = ["x86-64-v3", "x86-64"];
/// What every build trains, by a program with these networks alone: a hundred steps with the whole method, then a wide network with batches of
/// 64, then convolutions.
const RUNS: [&str; 3] = [
    "train --net mlp-64-32-10 --population 8 --epochs 3",
    "train --data fashion-tiny --net mlp-784-128-10 --batch 64 --population 2 --epochs 1",
    "train --data fashion-tiny --net lenet-28 --train-samples 64 --population 2 --epochs 1",
];

/// Builds for this CPU and for the older ones, and compares.
pub fn compare() -> Result<Outcome> {
    if cfg!(not(target_arch = "x86_64")) {
        println!("only x86-64 has older CPUs that the desktop's program is built for: nothing to compare");
        return Ok(Outcome::Done);
    }
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("avx2") || !std::arch::is_x86_feature_detected!("fma") {
        return Ok(Outcome::Skipped("this CPU has no AVX2 and FMA, so two of the builds would be the same".into()));
    }
    let native = models(&built(None)?, "native")?;
    for cpu in OLDER {
        let older = models(&built(Some(cpu))?, cpu)?;
        for ((line, native), older) in RUNS.iter().zip(&native).zip(&older) {
            ensure!(native == older, "`pg-host {line}` writes another model when built for {cpu}");
        }
        println!("built for {cpu}: the same models");
    }
    Ok(Outcome::Done)
}

/// The program, built for this CPU or an older one.
fn built(cpu: Option<&str>) -> Result<PathBuf> {
    let directory = cpu.map_or_else(target, |cpu| target().join("cpu").join(cpu));
    let mut command = host_cargo("build");
    command.args(["--quiet", "--release", "--package", "pg-host", "--no-default-features", "--features", "few", "--example", "few"]);
    command.arg("--target-dir").arg(&directory).current_dir(workspace());
    if let Some(cpu) = cpu {
        command.env("RUSTFLAGS", format!("-C target-cpu={cpu}")); // takes the place of .cargo/config.toml's
    }
    run(&mut command)?;
    Ok(directory.join("release/examples/few"))
}

/// The bytes of the models that a build trains.
fn models(program: &Path, name: &str) -> Result<Vec<Vec<u8>>> {
    let directory = target().join("cpu").join("models");
    fs::create_dir_all(&directory)?;
    let train = |(i, line): (usize, &&str)| {
        let file = directory.join(format!("{name}-{i}.pg"));
        let mut command = Command::new(program);
        run(command.args(line.split(' ')).arg("--out").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()))?;
        fs::read(&file).with_context(|| format!("reading {}", file.display()))
    };
    RUNS.iter().enumerate().map(train).collect()
}
