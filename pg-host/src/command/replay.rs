//! `replay`: a fine-tuning session as a device runs it, and what it brings: accuracy on samples it never saw, before and after.

use std::fmt::Write as _;

use anyhow::anyhow;
use pg_core::Shape;
use pg_core::layers::Scope;
use pg_core::tuner::TuneError;
use serde_json::{Value, json};

use super::{json_text, load_for};
use crate::any_network::AnyNetwork;
use crate::data::{Dataset, Samples};
use crate::engine::Crew;
use crate::entry::Entry;
use crate::evaluation::Evaluation;
use crate::failure::Failure;
use crate::model::{Known, ModelFile};
use crate::options::{Part, ReplayOptions};
use crate::parts::{normalise, select};
use crate::session::{Event, Session, Tuned};

/// A session that was run, with the accuracies on the test samples.
struct Run {
    draw: Option<u64>,
    seed: u64,
    before: f64,
    after: f64,
    tested: usize,
    tuned: Tuned,
}

pub(super) fn run(networks: &[Entry], options: &ReplayOptions) -> Result<String, Failure> {
    options.check()?;
    let file = ModelFile::read(&options.model)?;
    let known = file.of(networks)?;
    let (data, _) = load_for(&known, options.data.as_ref())?;
    let (shape, name) = (data.shape, data.name.clone());
    let (pool, test) = pool_and_test(data, options.part)?;
    let runs = (0..options.sessions)
        .map(|session| {
            let (labelled, rest) = labelled(&pool, options, session)?;
            let mut tested = test.clone().unwrap_or(rest);
            if tested.is_empty() {
                return Err(anyhow!("no sample of {name} is left to test on: give fewer --samples than {}", pool.len()).into());
            }
            normalise(&known.model.normalisation, shape, &mut tested);
            one(&known, options, session, &labelled, &tested)
        })
        .collect::<Result<Vec<Run>, Failure>>()?;
    if options.json {
        return Ok(json_text(&json(&known, options, &name, &runs)));
    }
    if options.log {
        return Ok(log(&runs[0].tuned));
    }
    Ok(text(options, &name, shape, &runs))
}

/// The samples that labelled ones are taken of, and those to test on where the data set has such.
fn pool_and_test(data: Dataset, part: Part) -> Result<(Samples, Option<Samples>), Failure> {
    if part == Part::Train && data.test.is_some() {
        return Ok((data.train, data.test));
    }
    let part = if data.test.is_some() { part } else { Part::All };
    Ok((select(data, part)?.0, None))
}

/// The samples of a session, and all others of the pool.
fn labelled(pool: &Samples, options: &ReplayOptions, session: u32) -> Result<(Samples, Samples), Failure> {
    if options.samples > pool.len() {
        return Err(anyhow!("there are {} samples, so --samples must not be more", pool.len()).into());
    }
    let Some(draw) = options.draw else {
        let all: Vec<usize> = (0..pool.len()).collect();
        let (first, rest) = all.split_at(options.samples);
        return Ok((pool.subset(first), pool.subset(rest)));
    };
    // As many of each class as its share; 90 % at most can be drawn so.
    let share = options.samples as f64 / pool.len() as f64;
    let (rest, drawn) = pool.carve(share, draw + u64::from(session))?;
    Ok((pool.subset(&drawn), pool.subset(&rest)))
}

fn one(known: &Known, options: &ReplayOptions, session: u32, labelled: &Samples, tested: &Samples) -> Result<Run, Failure> {
    let network: &dyn AnyNetwork = known.entry.network();
    let leaves = network.leaves();
    let scope = options.last.map_or(Scope::EVERYTHING, |count| Scope::last(count, &leaves));
    let settings = pg_core::tuner::Settings { scope: if options.biases { scope.biases() } else { scope }, ..options.settings };
    let seed = options.seed + u64::from(session);
    let crew = Crew::of_machine();
    let accuracy = |parameters: &[f32]| {
        let predicted = Evaluation::of(&crew, network, parameters, &tested.inputs).predicted;
        let right = predicted.iter().zip(&tested.labels).filter(|(predicted, label)| predicted == label).count();
        right as f64 / tested.len() as f64
    };
    let samples = labelled.inputs.chunks_exact(network.sizes().input.len()).zip(&labelled.labels);
    let mut events: Vec<Event> = samples.map(|(values, &label)| Event::Label { values, label }).collect();
    let room = events.len();
    events.push(Event::Steps(options.steps));
    let session_of = Session {
        parameters: &known.parameters,
        normalisation: known.model.normalisation,
        settings,
        seed,
        batch: options.batch,
        room,
        events: &events,
    };
    let tuned = network.tune(&session_of).map_err(anyhow::Error::from)?;
    if let Some(reason @ TuneError::NoSamples) = tuned.stopped {
        return Err(anyhow::Error::from(reason).into());
    }
    let (before, after) = (accuracy(&known.parameters), accuracy(&tuned.parameters));
    Ok(Run { draw: options.draw.map(|draw| draw + u64::from(session)), seed, before, after, tested: tested.len(), tuned })
}

fn mean(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    runs.iter().map(of).sum::<f64>() / runs.len() as f64
}

/// The lines that the firmware's program `tune` prints.
pub(super) fn log(tuned: &Tuned) -> String {
    let mut text = String::new();
    let mut looks = tuned.looks.iter().peekable();
    for (step, loss) in (0..).zip(&tuned.losses) {
        let _ = writeln!(text, "step {step} loss {:08x}", loss.to_bits());
        if let Some((after, look)) = looks.next_if(|(after, _)| *after == step + 1) {
            let _ = writeln!(text, "look {after} loss {:08x} right {} of {}", look.loss.to_bits(), look.right, look.samples);
        }
    }
    let _ = writeln!(text, "parameters crc {:08x}", tuned.checksum);
    text
}

fn json(known: &Known, options: &ReplayOptions, name: &str, runs: &[Run]) -> Value {
    let sessions: Vec<Value> = runs
        .iter()
        .map(|run| {
            json!({
                "draw": run.draw,
                "seed": run.seed,
                "tested": run.tested,
                "accuracy_before": run.before,
                "accuracy_after": run.after,
                "steps": run.tuned.losses.len(),
                "stopped": run.tuned.stopped.map(|reason| reason.to_string()),
                "loss_nats": run.tuned.losses.last(),
                "parameters_crc": format!("{:08x}", run.tuned.checksum),
            })
        })
        .collect();
    let population = &options.settings.population;
    json!({
        "model": options.model,
        "net": known.entry.name(),
        "data": name,
        "samples": options.samples,
        "steps": options.steps,
        "batch": options.batch,
        "rate": options.settings.rate,
        "momentum": options.settings.momentum,
        "population": population.members,
        "rho": population.noise.rho,
        "accuracy_before": mean(runs, |run| run.before),
        "accuracy_after": mean(runs, |run| run.after),
        "sessions": sessions,
    })
}

fn text(options: &ReplayOptions, name: &str, shape: Shape, runs: &[Run]) -> String {
    let mut text = format!(
        "{}: {} labelled samples of {name} ({shape}), up to {} steps of {}, a population of {}\n\n",
        options.model.display(),
        options.samples,
        options.steps,
        options.batch,
        options.settings.population.members
    );
    for run in runs {
        let stopped = run.tuned.stopped.map_or(String::new(), |reason| format!("; {reason}"));
        let of = format!("on {} samples, after {} steps{stopped}", run.tested, run.tuned.losses.len());
        let _ = writeln!(text, "accuracy  {:.1} % -> {:.1} %  {of}", 100.0 * run.before, 100.0 * run.after);
    }
    if runs.len() > 1 {
        let _ = writeln!(text, "mean      {:.1} % -> {:.1} %", 100.0 * mean(runs, |run| run.before), 100.0 * mean(runs, |run| run.after));
    }
    text
}
