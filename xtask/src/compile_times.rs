//! What each network costs the compiler: a clean release build of the desktop's program, then a program of its own for each network of the
//! list, with everything but the network compiled already.
//!
//! Such a program contains the kernels too, which all networks share; what the smallest network takes is about that. Seconds of
//! computing are counted where the system tells them (Linux), since they hardly depend on what else a machine does.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    places::{target, workspace},
    steps::run,
    toolchain::host_cargo,
};

/// The list of networks, a line each: `Entry::new::<zoo::Lenet28>("lenet-28", "lenet"),`.
const LIST: &str = "pg-host/engine/src/entry.rs";

/// Prints the table.
pub fn table() -> Result<()> {
    let list = fs::read_to_string(workspace().join(LIST)).with_context(|| format!("reading {LIST}"))?;
    let networks: Vec<(&str, &str)> = list.lines().filter_map(entry).collect();
    ensure!(!networks.is_empty(), "there is no network in {LIST}");

    let place = target().join("compile-times");
    let target = place.join("target");
    if target.exists() {
        fs::remove_dir_all(&target).with_context(|| format!("emptying {}", target.display()))?;
    }
    write_crate(&place, &networks)?;

    let mut all = host_cargo("build");
    all.args(["--quiet", "--release", "--package", "pg-host", "--target-dir"]).arg(&target);
    let clean = timed(all.current_dir(workspace()))?;
    println!("{:<18} {:>9} {:>11}", "", "seconds", "of computing");
    println!("{:<18} {clean}", "clean build");
    for (name, _) in &networks {
        let mut build = host_cargo("build");
        build.args(["--quiet", "--release", "--offline", "--bin", name, "--target-dir"]).arg(&target);
        // The first also builds what is shared once more under this crate's name.
        if *name == networks[0].0 {
            let mut shared = host_cargo("build");
            shared.args(["--quiet", "--release", "--offline", "--lib", "--target-dir"]).arg(&target);
            run(shared.current_dir(&place))?;
        }
        println!("{name:<18} {}", timed(build.current_dir(&place))?);
    }
    Ok(())
}

/// Name and line of an entry of the list.
fn entry(line: &str) -> Option<(&str, &str)> {
    let line = line.trim().strip_prefix("Entry::new::<zoo::")?;
    let name = line.split('"').nth(1)?;
    Some((name, line.split('>').next()?))
}

/// A crate with a program for each network, and a library without any.
fn write_crate(place: &Path, networks: &[(&str, &str)]) -> Result<()> {
    let root = workspace();
    let path = |name: &str| root.join(name).display().to_string();
    let manifest = format!(
        "[package]\nname = \"compile-times\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         pg-core = {{ path = {:?} }}\npg-host = {{ path = {:?} }}\n\n[profile.release]\ndebug = \"line-tables-only\"\n\n[workspace]\n",
        path("pg-core"),
        path("pg-host")
    );
    fs::create_dir_all(place.join("src/bin"))?;
    fs::write(place.join("Cargo.toml"), manifest)?;
    fs::write(place.join("src/lib.rs"), "//! Nothing: it makes cargo build what all programs need.\n")?;
    fs::copy(root.join("Cargo.lock"), place.join("Cargo.lock"))?;
    for (name, network) in networks {
        let program = format!(
            "fn main() -> std::process::ExitCode {{\n    pg_host::run(&[pg_host::Entry::new::<pg_core::zoo::{network}>({name:?}, \"\")])\n}}\n"
        );
        fs::write(place.join(format!("src/bin/{name}.rs")), program)?;
    }
    Ok(())
}

/// How long a command took.
struct Took {
    wall: Duration,
    computing: Option<Duration>,
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>9.1}", self.wall.as_secs_f64())?;
        match self.computing {
            Some(computing) => write!(f, " {:>11.1}", computing.as_secs_f64()),
            None => write!(f, " {:>11}", "-"),
        }
    }
}

fn timed(command: &mut Command) -> Result<Took> {
    let (start, before) = (Instant::now(), computed());
    run(command)?;
    let computing = before.zip(computed()).map(|(before, after)| after.saturating_sub(before));
    Ok(Took { wall: start.elapsed(), computing })
}

/// What all ended programs that this one started have computed: `cutime` and `cstime` of `/proc/self/stat`, in hundredths of a second.
fn computed() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The fields behind the program's name, which may contain anything; user and system time of its children are the 16th and 17th of all.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (next()? + next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_names_a_network() {
        assert_eq!(entry("        Entry::new::<zoo::Lenet28>(\"lenet-28\", \"lenet\"),"), Some(("lenet-28", "Lenet28")));
        assert_eq!(entry("//! let networks = [pg_host::Entry::new::<Mine>(\"mine\", \"mlp\")];"), None);
    }

    #[test]
    fn the_list_has_every_network() {
        let list = fs::read_to_string(workspace().join(LIST)).unwrap();
        assert_eq!(list.lines().filter_map(entry).count(), list.matches("Entry::new::<zoo::").count());
    }
}
