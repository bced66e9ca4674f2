//! Runs steps one after the other: a heading, the time it took, the command that repeats it when it fails, a summary.
//!
//! It knows no step itself, and it never goes on after a failure.

use std::{
    env,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};

/// What a step came to.
pub enum Outcome {
    /// It did what it says.
    Done,
    /// It could not be run here, for this reason.
    Skipped(String),
}

/// The steps so far.
pub struct Steps {
    started: Instant,
    log: Vec<(&'static str, Duration, Option<String>)>,
}

impl Steps {
    /// None yet.
    pub fn new() -> Self {
        Self { started: Instant::now(), log: Vec::new() }
    }

    /// Runs one. `repeat` is the command a reader types to run it alone.
    pub fn step(&mut self, heading: &'static str, repeat: &str, run: impl FnOnce() -> Result<Outcome>) -> Result<()> {
        println!("\n== {heading}");
        let started = Instant::now();
        let outcome = run().map_err(|error| anyhow!("{heading}: {error:#}\nrepeat it with: {repeat}"))?;
        let skipped = match outcome {
            Outcome::Done => None,
            Outcome::Skipped(reason) => {
                println!("skipped: {heading}: {reason}");
                ensure!(!is_ci(), "{heading} was skipped, and CI=true allows no skipped step: {reason}");
                Some(reason)
            }
        };
        println!("-- {heading}: {}", seconds(started.elapsed()));
        self.log.push((heading, started.elapsed(), skipped));
        Ok(())
    }

    /// Runs one that is a command, and its own repetition.
    pub fn command(&mut self, heading: &'static str, mut command: Command) -> Result<()> {
        let words = std::iter::once("cargo".into()).chain(command.get_args().map(|word| word.to_string_lossy()));
        let set =
            command.get_envs().filter_map(|(name, value)| Some(format!("{}='{}' ", name.to_string_lossy(), value?.to_string_lossy())));
        let repeat = set.collect::<String>() + &words.collect::<Vec<_>>().join(" ");
        self.step(heading, &repeat, || run(&mut command).map(|()| Outcome::Done))
    }

    /// Prints every step with its time.
    pub fn summary(self) {
        println!("\n== Summary");
        for (heading, time, skipped) in &self.log {
            match skipped {
                None => println!("{:>8}  {heading}", seconds(*time)),
                Some(reason) => println!(" skipped  {heading}: {reason}"),
            }
        }
        println!("{:>8}  together", seconds(self.started.elapsed()));
    }
}

/// Runs a command to its end; an error names it.
pub fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("{name} cannot be started"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
