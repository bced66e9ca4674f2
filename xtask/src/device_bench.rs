//! `cargo xtask device-bench`: what learning takes on each core, in instructions, beside the bars and the committed baseline.
//!
//! The counts are exact, so a change of more than [`TOLERANCE`] is a change of the code or of the compiler. The baseline is kept for each version
//! of the compiler; one that is not in it is only reported. It measures no time.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::{
    board::{Board, named},
    emulator::Emulator,
    places::workspace,
    qemu,
    toolchain::Toolchain,
};

/// A Cortex-M0, M3, M4F and M7; the first two have no FPU, and what they count depends on the samples, which are the same real ones everywhere.
const BOARDS: [&str; 4] = ["microbit", "lm3s6965evb", "mps2-an386", "mps2-an500"];

/// The board of the bars.
const JUDGE: &str = "mps2-an386";

/// What may be taken there at most: instructions for a sample (and member), for a weight in a member.
const BARS: [(&str, f64); 4] =
    [("kernel-64-32-10", 21_000.0), ("kernel-4-16-3", 2_300.0), ("momentum-64-32-10", 25_000.0), ("rademacher-member", 10.0)];

/// Steps of a population of four, and how many times a plain pass each may take, for each sample and member.
const POPULATION_BARS: [(&str, &str, f64); 2] = [("population-64-32-10", "random signs", 1.15), ("rank1-64-32-10", "rank-1 noise", 1.1)];

/// The part of a count by which it may change.
const TOLERANCE: f64 = 0.03;

/// What the numbers are.
const NOTE: &str = "for each sample (and member); -member and scales: for each weight, rank1-member for each factor; update: a step; what is left out needs more RAM than the board \
                    has; without an FPU counts depend on the data, 32 real digits on every board";

/// By the compiler's version, the board and the name.
type Baseline = BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>;

/// A board, the version of its compiler, and its counts by name.
type Row = (Board, String, Vec<(String, f64)>);

/// Counts on every board, prints the table or JSON, and holds it against the bars and the baseline; `accept` writes the baseline anew.
pub fn run(json: bool, accept: bool) -> Result<()> {
    let emulator = Emulator::find()?;
    let path = workspace().join("xtask/device-bench.json");
    let mut baseline: Baseline = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?,
        Err(_) => Baseline::new(),
    };
    let mut table: Vec<Row> = Vec::new();
    for name in BOARDS {
        let board = named(name);
        let toolchain = Toolchain::find(board.target, false)?;
        let counts = qemu::counts(&emulator, &board, &toolchain)?;
        ensure!(!counts.is_empty(), "{name} counted nothing");
        table.push((board, toolchain.version()?, counts));
    }
    if json {
        let boards: Map<String, Value> =
            table.iter().map(|(board, _, counts)| (board.name.into(), json!(counts.iter().cloned().collect::<BTreeMap<_, _>>()))).collect();
        println!("{:#}", json!({ "compiler": table[0].1, "unit": "instructions", "note": NOTE, "boards": boards }));
    } else {
        print_table(&table);
    }
    if accept {
        for (board, version, counts) in &table {
            let rounded = counts.iter().map(|(name, count)| (name.clone(), (count * 100.0).round() / 100.0)).collect();
            baseline.entry(version.clone()).or_default().insert(board.name.into(), rounded);
        }
        fs::write(&path, serde_json::to_string_pretty(&baseline)? + "\n")?;
    }
    let mut wrong = bars(&table);
    wrong.extend(changes(&table, &baseline));
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}

/// The bars that are not met.
fn bars(table: &[Row]) -> Vec<String> {
    let Some((_, _, counts)) = table.iter().find(|(board, ..)| board.name == JUDGE) else { return vec![format!("{JUDGE} is missing")] };
    let count = |name: &str| counts.iter().find(|(other, _)| other == name).map_or(f64::NAN, |&(_, count)| count);
    let mut wrong = Vec::new();
    for (name, most) in BARS {
        // NaN is a count that is missing.
        if count(name).is_nan() || count(name) > most {
            wrong.push(format!("{name} takes {:.1} instructions on {JUDGE}, and may take {most}", count(name)));
        }
    }
    for (name, noise, most) in POPULATION_BARS {
        let ratio = count(name) / count("pass-64-32-10");
        eprintln!(
            "a step of a population of 4 with {noise}, for each sample and member: {ratio:.3} of a plain forward and backward pass (at most {most})"
        );
        if ratio.is_nan() || ratio > most {
            wrong.push(format!("{name} takes {ratio:.3} of a plain pass for each sample and member, and may take {most}"));
        }
    }
    wrong
}

/// The counts that differ from the baseline.
fn changes(table: &[Row], baseline: &Baseline) -> Vec<String> {
    let mut wrong = Vec::new();
    for (board, version, counts) in table {
        let Some(known) = baseline.get(version).and_then(|boards| boards.get(board.name)) else {
            eprintln!("no baseline for {} and {version}: `cargo xtask device-bench --accept` writes it", board.name);
            continue;
        };
        for (name, count) in counts {
            match known.get(name) {
                Some(before) if (count / before - 1.0).abs() > TOLERANCE => {
                    wrong.push(format!("{name} on {}: {count:.1} instructions, {before:.1} in the baseline", board.name));
                }
                Some(_) => {}
                None => wrong.push(format!("{name} on {} is not in the baseline", board.name)),
            }
        }
    }
    if !wrong.is_empty() {
        wrong.push("when the change is meant: `cargo xtask device-bench --accept`".into());
    }
    wrong
}

fn print_table(table: &[Row]) {
    print!("{:<22}", "instructions");
    table.iter().for_each(|(board, ..)| print!(" {:>12}", board.name));
    println!();
    let names = &table[table.len() - 1].2;
    for (name, _) in names {
        print!("{name:<22}");
        for (_, _, counts) in table {
            match counts.iter().find(|(other, _)| other == name) {
                Some((_, count)) if *count < 100.0 => print!(" {count:>12.2}"),
                Some((_, count)) => print!(" {count:>12.0}"),
                None => print!(" {:>12}", "-"),
            }
        }
        println!();
    }
    println!("{NOTE}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_changed_by_more_than_three_percent_is_found() {
        let table = vec![(named(JUDGE), "rustc 1".to_string(), vec![("a".to_string(), 104.0), ("b".to_string(), 102.0)])];
        let known = BTreeMap::from([("a".to_string(), 100.0), ("b".to_string(), 100.0)]);
        let baseline = BTreeMap::from([("rustc 1".to_string(), BTreeMap::from([(JUDGE.to_string(), known)]))]);
        let wrong = changes(&table, &baseline);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with("a on mps2-an386: 104.0"));
        assert!(bars(&table).len() == BARS.len() + POPULATION_BARS.len(), "counts that are missing meet no bar");
    }
}
