//! A report as tables of text, for a terminal, for the page, and as CSV. It computes nothing.

use indexmap::IndexSet;

use super::report::{At, AxisReport, Difference, Group, Rank, Report};
use super::statistics::Paired;
use crate::failure::Failure;
use crate::progress::grouped;

/// A table with a headline.
pub struct Table {
    /// The headline.
    pub title: String,
    /// The names of the columns.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// A share of 1 as per cent.
pub fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

/// "+0.73 [+0.45, +1.01]", in points of per cent.
pub fn interval(paired: &Paired) -> String {
    let Paired { mean, low, high, .. } = paired;
    format!("{:+.2} [{:+.2}, {:+.2}]", 100.0 * mean, 100.0 * low, 100.0 * high)
}

fn p(p: f64) -> String {
    if p < 0.001 { "<0.001".into() } else { format!("{p:.3}") }
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// All tables of a report, in the order in which to read them.
pub fn tables(report: &Report) -> Vec<Table> {
    let mut tables = vec![];
    for cell in report.cells() {
        let groups = report.groups.iter().filter(|group| group.at.cell == cell && group.at.level.is_none());
        tables.push(Table {
            title: format!("{cell}: on the test part"),
            head: head(&["arm", "seeds", "macro F1 %", "± sd", "accuracy %", "NLL", "ECE", "passes", "s", "setting"]),
            rows: groups.map(scores).collect(),
        });
    }
    let between = |difference: &&Difference| difference.between_arms && difference.at.level.is_none();
    let base: Vec<Vec<String>> = report.differences.iter().filter(between).map(|d| difference(d, d.at.cell.clone())).collect();
    if !base.is_empty() {
        tables.push(Table {
            title: "Differences of macro F1, points [95 %], paired by seed".into(),
            head: head(&["cell", "difference", "points [95 %]", "p", "p, Holm"]),
            rows: base,
        });
    }
    if !report.ranks.is_empty() {
        tables.push(Table {
            title: format!("Mean rank of the arms on validation samples, {} cells, 1 is best", report.ranks[0].cells),
            head: head(&["arm", "mean rank", "validation macro F1 %", "test macro F1 %"]),
            rows: report.ranks.iter().map(rank).collect(),
        });
    }
    for axis in &report.axes {
        tables.extend(report.cells().iter().filter_map(|cell| axis_table(report, axis, cell)));
    }
    tables
}

fn rank(rank: &Rank) -> Vec<String> {
    vec![rank.arm.clone(), format!("{:.2}", rank.mean_rank), percent(rank.validation), percent(rank.test)]
}

fn scores(group: &Group) -> Vec<String> {
    let diverged = if group.diverged > 0 { format!(" ({} diverged)", group.diverged) } else { String::new() };
    vec![
        group.arm.clone(),
        format!("{}{diverged}", group.seeds.len()),
        percent(group.macro_f1_mean),
        percent(group.macro_f1_deviation),
        percent(group.accuracy),
        format!("{:.4}", group.nll),
        format!("{:.4}", group.ece),
        grouped(group.passes as u64),
        format!("{:.2}", group.seconds),
        group.setting.clone(),
    ]
}

fn difference(d: &Difference, place: String) -> Vec<String> {
    vec![place, format!("{} − {}", d.what, d.against), interval(&d.paired), p(d.paired.p), p(d.holm_p)]
}

/// A level for each row: the arms' scores, and what differs.
fn axis_table(report: &Report, axis: &AxisReport, cell: &str) -> Option<Table> {
    let pairs: Vec<(String, String)> = {
        let here = report.differences.iter().filter(|d| d.between_arms && d.at.level.as_ref().is_some_and(|(name, _)| *name == axis.name));
        let pairs: IndexSet<(String, String)> = here.map(|d| (d.what.clone(), d.against.clone())).collect();
        pairs.into_iter().collect()
    };
    let alone = axis.values.is_none();
    let arms: Vec<&String> = report.arms.iter().collect();
    let mut names = vec![axis.label.clone()];
    names.extend(arms.iter().map(|arm| format!("{arm} %")));
    if alone {
        names.extend(arms.iter().map(|arm| format!("its own gain, {arm}")));
    }
    for (what, against) in &pairs {
        names.extend([format!("{what} − {against}"), "p, Holm".into()]);
    }
    let mut rows = Vec::new();
    for level in &axis.levels {
        let here = |at: &At| at.cell == cell && at.level.as_ref().is_some_and(|(name, l)| *name == axis.name && l == level);
        let group = |arm: &str| report.groups.iter().find(|group| group.arm == arm && here(&group.at));
        if arms.iter().all(|arm| group(arm).is_none()) {
            continue;
        }
        let mut row = vec![level.clone()];
        row.extend(arms.iter().map(|arm| group(arm).map_or("".into(), |group| percent(group.macro_f1_mean))));
        let found = |what: &str, between: bool, against: Option<&str>| {
            let fits = |d: &&Difference| {
                d.between_arms == between && d.what == what && against.is_none_or(|against| d.against == against) && here(&d.at)
            };
            report.differences.iter().find(fits)
        };
        if alone {
            row.extend(arms.iter().map(|arm| found(&format!("{level}, {arm}"), false, None).map_or("".into(), |d| interval(&d.paired))));
        }
        for (what, against) in &pairs {
            let d = found(what, true, Some(against));
            row.extend([d.map_or("".into(), |d| interval(&d.paired)), d.map_or("".into(), |d| p(d.holm_p))]);
        }
        rows.push(row);
    }
    (!rows.is_empty()).then(|| Table {
        title: format!("{cell}: {}, macro F1 and differences in points [95 %]", axis.label),
        head: names,
        rows,
    })
}

/// A row for each final run.
pub fn csv(report: &Report) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = [
        "cell",
        "axis",
        "level",
        "arm",
        "seed",
        "setting",
        "macro_f1",
        "accuracy",
        "nll_nats",
        "ece",
        "train_loss_nats",
        "epochs",
        "steps",
        "passes",
        "seconds",
        "diverged",
        "words",
    ];
    writer.write_record(names).map_err(anyhow::Error::from)?;
    for group in &report.groups {
        for run in &group.runs {
            let Some(test) = run.test else { continue };
            let (axis, level) = group.at.level.clone().unwrap_or_default();
            let numbers = [test.macro_f1, test.accuracy, test.nll, test.ece, run.train_loss_nats].map(|number| number.to_string());
            let mut row = vec![group.at.cell.clone(), axis, level, group.arm.clone(), run.seed().to_string(), group.setting.clone()];
            row.extend(numbers);
            row.extend([run.epochs.to_string(), run.steps.to_string(), run.passes.to_string(), run.seconds.to_string()]);
            row.extend([run.diverged.to_string(), run.words.clone()]);
            writer.write_record(&row).map_err(anyhow::Error::from)?;
        }
    }
    writer.into_inner().map_err(|error| anyhow::Error::msg(error.to_string()).into())
}
