//! What was measured as a page: how a step's time goes with members, batch, threads and size, and what memory it takes.

use super::{Report, Step};
use crate::page::{Figure, Grid, Section, page};
use crate::plots::{Point, Scale, Series, Style, series};

/// Something that steps differ in, and how a line of its pictures is told from the others.
struct Dimension {
    title: &'static str,
    label: &'static str,
    of: fn(&Step) -> f64,
    line: fn(&Step) -> String,
    /// What a picture is of.
    picture: fn(&Step) -> String,
}

const DIMENSIONS: [Dimension; 4] = [
    Dimension {
        title: "Members",
        label: "members K",
        of: |step| f64::from(step.population),
        line: |step| format!("{}, {}", batch(step), threads(step)),
        picture: |step| step.net.clone(),
    },
    Dimension {
        title: "Batch",
        label: "samples in a step",
        of: |step| step.batch as f64,
        line: |step| format!("{}, {}", members(step), threads(step)),
        picture: |step| step.net.clone(),
    },
    Dimension {
        title: "Threads",
        label: "threads",
        of: |step| step.threads as f64,
        line: |step| format!("{}, {}", members(step), batch(step)),
        picture: |step| step.net.clone(),
    },
    Dimension {
        title: "Parameters",
        label: "parameters of the network",
        of: |step| step.params as f64,
        line: members,
        picture: |step| format!("{}, {}", batch(step), threads(step)),
    },
];

fn batch(step: &Step) -> String {
    format!("batch {}", step.batch)
}

fn members(step: &Step) -> String {
    format!("K = {}", step.population)
}

fn threads(step: &Step) -> String {
    if step.threads == 1 { "1 thread".into() } else { format!("{} threads", step.threads) }
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

/// Passes in a second and memory along one dimension, a picture for each network; nothing where nothing differs. Plain steps have a line of
/// their own among those with members.
fn section(report: &Report, dimension: &Dimension) -> Option<Section> {
    let differs = |steps: &[&Step]| steps.iter().any(|step| (dimension.of)(step) != (dimension.of)(steps[0]));
    let groups = |steps: &[&'_ Step], name: fn(&Step) -> String| {
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            let name = name(step);
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, members)) => members.push(i),
                None => groups.push((name, vec![i])),
            }
        }
        groups
    };
    let with_members = |step: &&Step| dimension.title != "Members" || step.population > 0;
    let steps: Vec<&Step> = report.steps.iter().filter(with_members).collect();
    let mut legend: Vec<(usize, String)> = Vec::new();
    let mut figures = Vec::new();
    for (picture, members) in groups(&steps, dimension.picture) {
        let of_picture: Vec<&Step> = members.iter().map(|&i| steps[i]).collect();
        let mut lines: Vec<(usize, Vec<&Step>)> = Vec::new();
        for (line, members) in groups(&of_picture, dimension.line) {
            let of_line: Vec<&Step> = members.iter().map(|&i| of_picture[i]).collect();
            if !differs(&of_line) {
                continue;
            }
            let number = legend.iter().position(|(_, known)| *known == line).unwrap_or(legend.len());
            if number == legend.len() {
                legend.push((number, line));
            }
            lines.push((number, of_line));
        }
        if lines.is_empty() {
            continue;
        }
        let mut ticks: Vec<f64> = lines.iter().flat_map(|(_, steps)| steps.iter().map(|step| (dimension.of)(step))).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        let figure = |what: &str, of: fn(&Step) -> f64| {
            let all: Vec<Series> = lines.iter().map(|(number, steps)| line(*number, steps, dimension.of, of)).collect();
            let x = Scale { label: dimension.label.into(), logarithmic: true, ticks: ticks.clone(), ..Scale::default() };
            let y = Scale { label: what.into(), logarithmic: true, ..Scale::default() };
            let caption = format!("{picture}: {what}");
            Figure { svg: series(&caption, &x, &y, Style::Bars, &all), caption }
        };
        figures.push(figure("passes a second", |step| step.passes_per_s));
        figures.push(figure("KiB beside the parameters", |step| step.memory_bytes as f64 / 1024.0));
    }
    (!figures.is_empty()).then(|| Section {
        title: dimension.title.into(),
        text: "A pass takes one member over one sample, forward and back; K members over a batch of N are K·N passes, as many as are in a step. Both \
               axes are logarithmic."
            .into(),
        legend,
        figures,
        ..Section::default()
    })
}

fn line(number: usize, steps: &[&Step], x: fn(&Step) -> f64, y: fn(&Step) -> f64) -> Series {
    let point = |step: &&Step| {
        let y = y(step);
        Point { x: x(step), y, low: y, high: y }
    };
    let mut points: Vec<Point> = steps.iter().map(point).collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    Series { number, points }
}
