//! `gradient`: how close gradients come to that of a held-out set, along a training run.

use anyhow::anyhow;
use serde_json::json;

use super::{columns, json_text, say};
use crate::entry::Entry;
use crate::experiment::{self, Experiment};
use crate::failure::Failure;
use crate::gradient_quality::{Keeper, Measurement, Quality, measure};
use crate::options::{GradientOptions, TrainOptions};
use crate::output::{check_writable, write_atomically};
use crate::page::{Figure, Grid, Section, escaped, page};
use crate::plots::{Point, Scale, Series, Style, series};
use crate::training::{End, train};
use crate::{interrupt, target};

/// Parts of the run at which is measured when nothing is asked for.
const USUAL: [f64; 7] = [0.0, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0];

pub(super) fn run(networks: &[Entry], options: &GradientOptions) -> Result<String, Failure> {
    options.check()?;
    let GradientOptions { train: training, at, repeats } = options;
    check_writable(&training.out).map_err(anyhow::Error::from)?;
    let material = experiment::material(networks, training)?;
    if let Some(note) = &material.note {
        say(note);
    }
    let Experiment { entry, name, prepared, recipe, .. } = experiment::set_up(networks, training, material)?;
    let steps = recipe.steps_per_epoch(prepared.train.len()) as u32 * recipe.epochs;
    let mut asked: Vec<u32> = at.clone();
    if asked.is_empty() {
        asked = USUAL.map(|part| (part * f64::from(steps)).round() as u32).to_vec();
    }
    asked.sort_unstable();
    asked.dedup();
    if let Some(beyond) = asked.iter().find(|&&step| step > steps) {
        return Err(Failure::Usage(format!("--at must be at most {steps}, the steps of this run, and is {beyond}")));
    }
    interrupt::listen();
    say(&target::sentence());
    let first = (asked[0] == 0).then(|| (0, entry.network().initialise(recipe.initialise, recipe.seed)));
    let mut keeper = Keeper { steps: &asked, kept: first.into_iter().collect(), stop: &interrupt::asked };
    let trained = train(entry.network(), &recipe, &prepared.train, &mut keeper);
    let mut measurements = Vec::new();
    for (step, parameters) in keeper.kept.iter().take_while(|_| !interrupt::asked()) {
        say(&format!("measuring at step {step}"));
        let measured = measure(entry.network(), &recipe, &prepared.train, &prepared.validation, (*step, parameters), *repeats);
        measurements.push(measured.map_err(|reason| anyhow!("at step {step} {reason}: try a smaller --rho"))?);
    }
    if measurements.is_empty() {
        return Err(anyhow!("the run ended before anything was measured").into());
    }
    let head = format!(
        "{}, {name}: {} samples learnt from, {} held out, a population of {}, batches of {}, {repeats} draws",
        entry.name(),
        prepared.train.len(),
        prepared.validation.len(),
        recipe.population.members,
        recipe.batch.min(prepared.train.len())
    );
    write_atomically(&training.out, html(&head, training, &measurements).as_bytes()).map_err(anyhow::Error::from)?;
    if training.json {
        return Ok(json_text(&json!({
            "net": entry.name(), "data": name, "options": training, "train_samples": prepared.train.len(),
            "held_out_samples": prepared.validation.len(), "repeats": repeats, "measurements": measurements,
        })));
    }
    let diverged =
        if matches!(trained.end, End::Diverged { .. } | End::Unstable { .. }) { "the run diverged; this is what was before\n" } else { "" };
    let table = table(&measurements);
    Ok(format!("{head}\n\n{}\n{diverged}wrote {}\n", columns(&[vec![table.head], table.rows].concat()), training.out.display()))
}

fn table(measurements: &[Measurement]) -> Grid {
    let head = [
        "step",
        "epoch",
        "cos batch",
        "cos K× batch",
        "cos population",
        "norm batch",
        "norm K× batch",
        "norm population",
        "sharpness, nats",
    ];
    let row = |m: &Measurement| {
        let all = [m.plain, m.plain_at_equal_compute, m.population];
        let mut row = vec![m.step.to_string(), format!("{:.2}", m.epoch)];
        row.extend(all.map(|quality| format!("{:.3} ± {:.3}", quality.cosine, quality.cosine_deviation)));
        row.extend(all.map(|quality| format!("{:.2} ± {:.2}", quality.norm_ratio, quality.norm_ratio_deviation)));
        row.push(format!("{:+.4} ± {:.4}", m.sharpness_nats, m.sharpness_nats_deviation));
        row
    };
    Grid {
        caption: "Means and standard deviations over the draws".into(),
        head: head.map(String::from).to_vec(),
        rows: measurements.iter().map(row).collect(),
    }
}

/// The same as a page with pictures.
fn html(head: &str, options: &TrainOptions, measurements: &[Measurement]) -> String {
    type Of = fn(&Measurement) -> Quality;
    let estimates: [(&str, Of); 3] = [
        ("one plain batch", |m| m.plain),
        ("a plain batch K times as large: equal compute", |m| m.plain_at_equal_compute),
        ("the population on one batch", |m| m.population),
    ];
    let x = Scale { label: "epoch".into(), ..Scale::default() };
    let figure = |caption: &str, label: &str, includes: Vec<f64>, all: Vec<Series>| {
        let y = Scale { label: label.into(), includes, ..Scale::default() };
        Figure { caption: caption.into(), svg: series(caption, &x, &y, Style::Band, &all) }
    };
    let lines = |of: fn(&Quality) -> (f64, f64)| -> Vec<Series> {
        let line = |(number, (_, estimate)): (usize, &(&str, Of))| Series {
            number,
            points: measurements
                .iter()
                .map(|m| {
                    let (y, deviation) = of(&estimate(m));
                    Point { x: m.epoch, y, low: y - deviation, high: y + deviation }
                })
                .collect(),
        };
        estimates.iter().enumerate().map(line).collect()
    };
    let sharpness = |m: &Measurement| {
        let (y, deviation) = (m.sharpness_nats, m.sharpness_nats_deviation);
        Point { x: m.epoch, y, low: y - deviation, high: y + deviation }
    };
    let sections = [
        Section {
            title: "Closeness to the held-out gradient".into(),
            text: "Lines are means over draws of fresh batches, bands their standard deviation. A cosine of 1 is the direction of the gradient \
                   on all held-out samples."
                .into(),
            legend: estimates.iter().enumerate().map(|(number, (name, _))| (number, name.to_string())).collect(),
            figures: vec![
                figure("Direction", "cosine with the held-out gradient", vec![0.0], lines(|q| (q.cosine, q.cosine_deviation))),
                figure("Length", "norm, relative to the held-out one", vec![1.0], lines(|q| (q.norm_ratio, q.norm_ratio_deviation))),
            ],
            tables: vec![table(measurements)],
        },
        Section {
            title: "Sharpness".into(),
            text: "How much higher the mean loss of the noisy copies is than that of the network itself, on the same batches.".into(),
            legend: vec![],
            figures: vec![figure(
                "E[L(θ+ε)] − L(θ)",
                "nats",
                vec![0.0],
                vec![Series { number: 2, points: measurements.iter().map(sharpness).collect() }],
            )],
            tables: vec![],
        },
    ];
    let lead = format!("<p>{}</p>\n<p class=\"soft\"><code>{}</code></p>\n", escaped(head), escaped(&options.provenance()));
    page("Gradients against a held-out set", &lead, &sections)
}
