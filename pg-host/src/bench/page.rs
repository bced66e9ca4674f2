//! What was measured as a page: how a step's time goes with members, batch, threads and size, and what memory it takes.

use std::fmt::Display;

use super::{Report, Step};
use crate::page::{Figure, Grid, Section, page};
use crate::plots::{Point, Scale, Series, Style, series};

/// Something that steps differ in.
struct Dimension {
    title: &'static str,
    label: &'static str,
    of: fn(&Step) -> f64,
    /// What the steps of one line have in common.
    rest: fn(&Step) -> String,
}

const DIMENSIONS: [Dimension; 4] = [
    Dimension {
        title: "Members",
        label: "members K; plain steps stand at 1",
        of: |step| f64::from(step.population.max(1)),
        rest: |step| join(&[&step.net, &batch(step), &threads(step)]),
    },
    Dimension {
        title: "Batch",
        label: "samples in a step",
        of: |step| step.batch as f64,
        rest: |step| join(&[&step.net, &members(step), &threads(step)]),
    },
    Dimension {
        title: "Threads",
        label: "threads",
        of: |step| step.threads as f64,
        rest: |step| join(&[&step.net, &members(step), &batch(step)]),
    },
    Dimension {
        title: "Parameters",
        label: "parameters of the network",
        of: |step| step.params as f64,
        rest: |step| join(&[&members(step), &batch(step), &threads(step)]),
    },
];

fn batch(step: &Step) -> String {
    format!("batch {}", step.batch)
}

fn members(step: &Step) -> String {
    format!("K = {}", step.population)
}

fn threads(step: &Step) -> String {
    format!("{} threads", step.threads)
}

fn join(parts: &[&dyn Display]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The whole file.
pub fn html(report: &Report) -> String {
    let mut sections: Vec<Section> = DIMENSIONS.iter().filter_map(|dimension| section(report, dimension)).collect();
    let head = ["network", "batch", "K", "threads", "noise", "µs/step", "passes/s", "GFLOP/s", "share of peak", "KiB beside parameters"];
    let row = |step: &Step| {
        vec![
            step.net.clone(),
            step.batch.to_string(),
            step.population.to_string(),
            step.threads.to_string(),
            if step.population == 0 { String::new() } else { format!("{} {}", step.noise, step.batch_mode) },
            format!("{:.1}", step.us_per_step),
            format!("{:.0}", step.passes_per_s),
            format!("{:.1}", step.gflops),
            format!("{:.2}", step.share_of_peak),
            format!("{:.0}", step.memory_bytes as f64 / 1024.0),
        ]
    };
    let table = Grid {
        caption: "Every step that was measured".into(),
        head: head.map(String::from).to_vec(),
        rows: report.steps.iter().map(row).collect(),
    };
    sections.push(Section { title: "Table".into(), tables: vec![table], ..Section::default() });
    let lead = format!(
        "<p>A step is noise, members, forward, loss, backward and optimiser; times are medians. The peak of one thread is {:.0} GFLOP/s of \
         fused multiply-adds.</p>\n",
        report.peak_gflops
    );
    page("The speed of training steps", &lead, &sections)
}

/// Passes in a second and memory along one dimension, a line for everything else; nothing where no line has two points.
fn section(report: &Report, dimension: &Dimension) -> Option<Section> {
    let mut lines: Vec<(String, Vec<&Step>)> = Vec::new();
    for step in &report.steps {
        let name = (dimension.rest)(step);
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, steps)) => steps.push(step),
            None => lines.push((name, vec![step])),
        }
    }
    lines.retain(|(_, steps)| steps.iter().any(|step| (dimension.of)(step) != (dimension.of)(steps[0])));
    if lines.is_empty() {
        return None;
    }
    let picture = |what: &str, of: fn(&Step) -> f64| {
        let line = |(number, (_, steps)): (usize, &(String, Vec<&Step>))| {
            let mut points: Vec<Point> = steps
                .iter()
                .map(|step| {
                    let y = of(step);
                    Point { x: (dimension.of)(step), y, low: y, high: y }
                })
                .collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            Series { number, points }
        };
        let all: Vec<Series> = lines.iter().enumerate().map(line).collect();
        let mut ticks: Vec<f64> = report.steps.iter().map(dimension.of).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        let logarithmic = ticks.len() > 2;
        let x = Scale { label: dimension.label.into(), logarithmic, ticks, ..Scale::default() };
        let y = Scale { label: what.into(), includes: vec![0.0], ..Scale::default() };
        Figure { svg: series(what, &x, &y, Style::Bars, &all), caption: what.into() }
    };
    Some(Section {
        title: dimension.title.into(),
        text: "One line for all that else is the same.".into(),
        legend: lines.iter().enumerate().map(|(number, (name, _))| (number, name.clone())).collect(),
        figures: vec![
            picture("ms a step", |step| step.us_per_step / 1e3),
            picture("thousand passes a second", |step| step.passes_per_s / 1e3),
            picture("KiB beside the parameters", |step| step.memory_bytes as f64 / 1024.0),
        ],
        ..Section::default()
    })
}
