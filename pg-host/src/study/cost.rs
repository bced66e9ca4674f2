//! What a study costs: steps measured for a moment, each kind once, times the steps of its runs. Training itself is measured, by its own
//! code, so whatever an option does to a step is in the figure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use serde::Serialize;

use super::file::Method;
use super::plan::{Plan, Purpose, Run, Shard};
use super::records::Records;
use super::run::Shelf;
use crate::entry::Entry;
use crate::experiment::{self, Experiment};
use crate::failure::Failure;
use crate::training::{Observer, train};

/// How long a kind of step is measured: at least one step.
const MEASURED: Duration = Duration::from_millis(30);

/// A line of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The first place whose runs these are.
    pub place: String,
    /// Runs that choose a setting.
    pub tuning_runs: usize,
    /// Runs that are tested.
    pub final_runs: usize,
    /// Steps of all of them.
    pub steps: u64,
    /// Time of a step of the last kind that was measured here.
    pub us_per_step: f64,
    /// Time of all of them on one core.
    pub core_hours: f64,
}

/// Times its steps, and ends when it knows enough.
struct Stopwatch {
    started: Instant,
    last: Instant,
    /// Seconds of each.
    steps: Vec<f64>,
}

impl Observer for Stopwatch {
    fn step(&mut self, _: usize, _: f32) -> bool {
        let now = Instant::now();
        self.steps.push((now - self.last).as_secs_f64());
        self.last = now;
        now - self.started < MEASURED
    }
}

impl Stopwatch {
    /// The median: other work on the machine makes some steps longer, the first warms the memory, the last of an epoch may be short.
    fn median(mut self) -> f64 {
        self.steps.sort_by(f64::total_cmp);
        self.steps.get(self.steps.len() / 2).copied().unwrap_or(0.0)
    }
}

/// Steps that were measured.
#[derive(Default)]
pub struct Measured(HashMap<String, f64>);

impl Measured {
    /// Seconds of a step of a run, and its steps.
    fn step(&mut self, networks: &[Entry], shelf: &Shelf, run: &Run) -> Result<(f64, u64), Failure> {
        let material = shelf.material(networks, &run.options)?;
        let train_samples = material.train_samples() as f64 * (1.0 - run.options.validation);
        let steps = (train_samples / run.options.batch as f64).ceil() as u64 * u64::from(run.options.epochs);
        let mut kind = super::plan::identity(&run.options);
        if let serde_json::Value::Object(map) = &mut kind {
            map.retain(|name, _| !["seed", "epochs", "rate", "weight_decay", "rho", "validation", "momentum"].contains(&name.as_str()));
        }
        let key = kind.to_string();
        if let Some(&seconds) = self.0.get(&key) {
            return Ok((seconds, steps));
        }
        let Experiment { entry, prepared, recipe, .. } = experiment::set_up(networks, &run.options, material)?;
        let now = Instant::now();
        let mut watch = Stopwatch { started: now, last: now, steps: Vec::new() };
        train(entry.network(), &recipe, &prepared.train, &mut watch);
        let seconds = watch.median();
        self.0.insert(key, seconds);
        Ok((seconds, steps))
    }

    /// What is missing of a plan, a row for each unit.
    pub fn rows(
        &mut self,
        networks: &[Entry],
        shelf: &Shelf,
        plan: &Plan,
        records: &Records,
        method: Method,
        shard: Shard,
    ) -> Result<Vec<Row>, Failure> {
        let mut rows: IndexMap<usize, Row> = IndexMap::new();
        for (unit, run) in plan.outline(records, method, shard) {
            let (seconds, steps) = self.step(networks, shelf, &run)?;
            let row = rows.entry(unit).or_insert_with(|| Row {
                place: plan.units[unit].name.clone(),
                tuning_runs: 0,
                final_runs: 0,
                steps: 0,
                us_per_step: 0.0,
                core_hours: 0.0,
            });
            *(if run.purpose == Purpose::Tuning { &mut row.tuning_runs } else { &mut row.final_runs }) += 1;
            row.steps += steps;
            row.us_per_step = seconds * 1e6;
            row.core_hours += seconds * steps as f64 / 3600.0;
        }
        Ok(rows.into_values().collect())
    }
}

/// A number that grows with the time of a run, without measuring it: for a progress bar.
pub fn weight(networks: &[Entry], shelf: &Shelf, run: &Run) -> Result<u64, Failure> {
    let material = shelf.material(networks, &run.options)?;
    let macs = run.options.net.as_deref().map(|net| crate::choose::by_name(networks, net)).transpose()?;
    let macs = macs.map_or(1, |entry| entry.network().sizes().training_macs as u64);
    let recipe = run.options.recipe();
    // The noise may come and go: a step in the middle stands for all.
    Ok((macs * recipe.passes(1, 2) * material.train_samples() as u64 * u64::from(recipe.epochs) / 1000).max(1))
}
