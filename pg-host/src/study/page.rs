//! A report of a study as a page: what to say, and which pictures show it. Pictures are made by [`plots`](crate::plots).

use super::report::{AxisReport, Difference, Group, Report};
use super::statistics::mean;
use super::table::tables;
use crate::page::{Figure, Grid, Section, escaped, page};
use crate::plots::{Point, Row, Scale, Series, Style, rows, series};
use crate::progress::seconds;

/// The whole file.
pub fn html(report: &Report) -> String {
    let mut sections = vec![differences(report), learning(report), compute(report)];
    sections.extend(report.axes.iter().map(|axis| if axis.values.is_some() { numeric(report, axis) } else { named(report, axis) }));
    sections.retain(|section| !section.figures.is_empty());
    let grid = |table: super::table::Table| Grid { caption: table.title, head: table.head, rows: table.rows };
    sections.push(Section {
        title: "Tables".into(),
        text: "p is that of an exact sign-flip test of the paired differences, two-sided; p, Holm is corrected over the cells.".into(),
        tables: tables(report).into_iter().map(grid).collect(),
        ..Section::default()
    });
    page(&report.title, &lead(report), &sections)
}

fn lead(report: &Report) -> String {
    let about = if report.about.is_empty() { String::new() } else { format!("<p>{}</p>\n", escaped(&report.about)) };
    let tuning = match report.tuning {
        None => "Nothing was tuned: every arm is as it is written.",
        Some(super::file::Method::Grid) => {
            "Every arm had equally many tuning trials; the setting with the best mean macro F1 on a validation split of the training part was \
             taken."
        }
        Some(super::file::Method::Halving) => {
            "Every arm had equally many tuning trials, shortened by successive halving; the best on a validation split of the training part \
             was taken."
        }
    };
    let list = |items: &[String]| items.iter().map(|item| format!("<li><code>{}</code></li>", escaped(item))).collect::<String>();
    let missing = match report.missing.len() {
        0 => String::new(),
        n => format!(
            "<details class=\"warning\"><summary>{n} places are not complete</summary><ul>{}</ul></details>\n",
            list(&report.missing)
        ),
    };
    let strays = match report.strays.len() {
        0 => String::new(),
        n => format!("<div class=\"warning\"><p>{n} runs in the file are not asked for by the study and not shown.</p></div>\n"),
    };
    format!(
        "{about}<p>{tuning} The final runs learnt from the whole training part, with {n} seeds that are the same for every arm (same first \
         weights, order and augmentation); the test part was used once, after the last epoch. Intervals are 95 % bootstrap intervals of the \
         mean of differences paired by seed.</p>\n<p class=\"soft\">{runs} runs, {time} of training · study <code>{name}</code></p>\n{missing}{strays}",
        n = report.seeds.len(),
        runs = report.runs,
        time = seconds(report.core_hours * 3600.0),
        name = escaped(&report.name),
    )
}

fn arm_number(report: &Report, arm: &str) -> usize {
    report.arms.iter().position(|name| name == arm).unwrap_or(0)
}

fn arm_legend(report: &Report, groups: &[&Group]) -> Vec<(usize, String)> {
    let shown = |arm: &&String| groups.iter().any(|group| group.arm == **arm);
    report.arms.iter().filter(shown).map(|arm| (arm_number(report, arm), arm.clone())).collect()
}

fn base_of<'a>(report: &'a Report, cell: &str) -> Vec<&'a Group> {
    report.groups.iter().filter(|group| group.at.cell == cell && group.at.level.is_none()).collect()
}

fn point(x: f64, d: &Difference) -> Point {
    let [y, low, high] = [d.paired.mean, d.paired.low, d.paired.high].map(|share| 100.0 * share);
    Point { x, y, low, high }
}

fn row(name: String, number: usize, d: &Difference) -> Row {
    let [x, low, high] = [d.paired.mean, d.paired.low, d.paired.high].map(|share| 100.0 * share);
    Row { name, number, x, low, high }
}

/// A picture for each pair of arms: a row for each cell.
fn differences(report: &Report) -> Section {
    let mut figures: Vec<(String, Vec<Row>)> = Vec::new();
    for d in report.differences.iter().filter(|d| d.between_arms && d.at.level.is_none()) {
        let caption = format!("{} − {}", d.what, d.against);
        let row = row(d.at.cell.clone(), arm_number(report, &d.what), d);
        match figures.iter_mut().find(|(known, _)| *known == caption) {
            Some((_, rows)) => rows.push(row),
            None => figures.push((caption, vec![row])),
        }
    }
    let figure = |(caption, all): (String, Vec<Row>)| Figure { svg: rows(&caption, "difference of macro F1, points", &all), caption };
    Section {
        title: "Who is better".into(),
        text: "Difference of test macro F1, paired by seed, with its 95 % interval. Right of zero the first is better.".into(),
        figures: figures.into_iter().map(figure).collect(),
        ..Section::default()
    }
}

/// Curves of the tuning runs of the chosen settings.
fn learning(report: &Report) -> Section {
    let x = Scale { label: "epoch".into(), ..Scale::default() };
    let y = Scale { label: "validation macro F1, %".into(), ..Scale::default() };
    let mut shown = Vec::new();
    let mut figures = Vec::new();
    for cell in report.cells() {
        let groups: Vec<&Group> =
            base_of(report, &cell).into_iter().filter(|group| group.curve.iter().any(|(_, f1)| !f1.is_empty())).collect();
        let of = |group: &&Group| Series {
            number: arm_number(report, &group.arm),
            points: group.curve.iter().filter(|(_, f1)| !f1.is_empty()).map(|(epoch, f1)| moment(*epoch, f1)).collect(),
        };
        let all: Vec<Series> = groups.iter().map(of).collect();
        if !all.is_empty() {
            figures.push(Figure { svg: series(&cell, &x, &y, Style::Band, &all), caption: cell });
            shown.extend(groups);
        }
    }
    Section {
        title: "Learning curves".into(),
        text: "Macro F1 on held-out training samples along the tuning runs of the chosen setting; the line is the mean, the band goes from the \
               lowest to the highest of the tuning seeds. The setting was chosen by the ends of these curves, which makes them a little too \
               good; the tables show the test part."
            .into(),
        legend: arm_legend(report, &shown),
        figures,
        ..Section::default()
    }
}

fn moment(epoch: u32, f1: &[f64]) -> Point {
    let (low, high) = f1.iter().fold((f64::MAX, f64::MIN), |(low, high), &f1| (low.min(f1), high.max(f1)));
    Point { x: f64::from(epoch), y: 100.0 * mean(f1), low: 100.0 * low, high: 100.0 * high }
}

/// Macro F1 of each arm against what its training cost.
fn compute(report: &Report) -> Section {
    let x = Scale { label: "passes of a sample, forward and back".into(), logarithmic: true, ..Scale::default() };
    let y = Scale { label: "test macro F1, %".into(), ..Scale::default() };
    let mut shown = Vec::new();
    let mut figures = Vec::new();
    for cell in report.cells() {
        // Every level that changes what a run costs is a point too.
        let base = base_of(report, &cell);
        let costs_else = |group: &&Group| base.iter().all(|base| base.arm != group.arm || base.passes != group.passes);
        let varied = report.groups.iter().filter(|group| group.at.cell == cell && group.at.level.is_some()).filter(costs_else);
        let groups: Vec<&Group> = base.iter().copied().chain(varied).collect();
        let of = |arm: &String| {
            let mut points: Vec<Point> = Vec::new();
            for group in groups.iter().filter(|group| group.arm == *arm) {
                let spread = 100.0 * group.macro_f1_deviation;
                let y = 100.0 * group.macro_f1_mean;
                let point = Point { x: group.passes, y, low: y - spread, high: y + spread };
                if !points.contains(&point) {
                    points.push(point);
                }
            }
            Series { number: arm_number(report, arm), points }
        };
        let all: Vec<Series> = report.arms.iter().map(of).filter(|series| !series.points.is_empty()).collect();
        if !all.is_empty() {
            figures.push(Figure { svg: series(&cell, &x, &y, Style::Scatter, &all), caption: cell });
            shown.extend(groups);
        }
    }
    Section {
        title: "Score against compute".into(),
        text:
            "Mean test macro F1 with its standard deviation over seeds, against the passes of the training run: a step costs one pass of \
               each of its samples for each member of the population. Points of one colour are one arm: as it is, and with what is varied below \
               where that changes the cost."
                .into(),
        legend: arm_legend(report, &shown),
        figures,
        ..Section::default()
    }
}

/// The differences of arms along numbers: a line for each pair, a picture for each cell.
fn numeric(report: &Report, axis: &AxisReport) -> Section {
    let values = axis.values.clone().unwrap_or_default();
    let logarithmic = values.iter().all(|&value| value > 0.0) && values.len() > 2 && values[values.len() - 1] / values[0] >= 4.0;
    let x = Scale { label: axis.label.clone(), logarithmic, ticks: values.clone(), ..Scale::default() };
    let y = Scale { label: "gain of macro F1, points".into(), includes: vec![0.0], ..Scale::default() };
    let mut figures = Vec::new();
    let mut legend: Vec<(usize, String)> = Vec::new();
    for cell in report.cells() {
        let mut all: Vec<Series> = Vec::new();
        for (level, &value) in axis.levels.iter().zip(&values) {
            let here = |d: &&Difference| {
                d.between_arms && d.at.cell == cell && d.at.level.as_ref().is_some_and(|(name, l)| *name == axis.name && l == level)
            };
            for d in report.differences.iter().filter(here) {
                let name = format!("{} − {}", d.what, d.against);
                let number = legend.iter().position(|(_, known)| *known == name).unwrap_or(legend.len());
                if number == legend.len() {
                    legend.push((number, name));
                }
                match all.iter_mut().find(|series| series.number == number) {
                    Some(series) => series.points.push(point(value, d)),
                    None => all.push(Series { number, points: vec![point(value, d)] }),
                }
            }
        }
        if !all.is_empty() {
            figures.push(Figure { svg: series(&cell, &x, &y, Style::Bars, &all), caption: cell });
        }
    }
    Section {
        title: format!("Gain against {}", axis.label),
        text: "Difference of test macro F1, paired by seed, with its 95 % interval.".into(),
        legend,
        figures,
        ..Section::default()
    }
}

/// What each named level brings alone, and what an arm brings at it: rows of a picture for each cell.
fn named(report: &Report, axis: &AxisReport) -> Section {
    let mut figures = Vec::new();
    let mut legend: Vec<(usize, String)> = Vec::new();
    for cell in report.cells() {
        let mut all = Vec::new();
        for level in &axis.levels {
            let mut rows = Vec::new();
            let here = |d: &&Difference| d.at.cell == cell && d.at.level.as_ref().is_some_and(|(name, l)| *name == axis.name && l == level);
            for d in report.differences.iter().filter(here) {
                let arm = d.what.strip_prefix(&format!("{level}, ")).unwrap_or(&d.what);
                let name = if d.between_arms {
                    format!("{} − {}, both with the level", d.what, d.against)
                } else {
                    format!("the level alone − {}, {arm}", d.against)
                };
                let number = legend.iter().position(|(_, known)| *known == name).unwrap_or(legend.len());
                if number == legend.len() {
                    legend.push((number, name));
                }
                rows.push(row(String::new(), number, d));
            }
            // In the order of the legend; the first says of which level they are.
            rows.sort_by_key(|row| row.number);
            rows.first_mut().into_iter().for_each(|first| first.name = level.clone());
            all.extend(rows);
        }
        if !all.is_empty() {
            figures.push(Figure { svg: rows(&cell, "difference of macro F1, points", &all), caption: cell });
        }
    }
    Section {
        title: format!("By {}", axis.label),
        text: "What each level brings, and what one arm brings over another at it: difference of test macro F1, paired by seed, with its 95 % \
               interval."
            .into(),
        legend,
        figures,
        ..Section::default()
    }
}
