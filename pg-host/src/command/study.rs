//! `study`: plan, run, report, merge, presets.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde_json::json;

use super::{columns, invocation, json_text, quoted, say};
use crate::entry::Entry;
use crate::experiment;
use crate::failure::Failure;
use crate::options::{StudyCommand, StudyOptions};
use crate::output::write_atomically;
use crate::progress::{grouped, seconds};
use crate::study::cost::{Measured, Row, weight};
use crate::study::file::{Method, Study};
use crate::study::plan::{Plan, Run};
use crate::study::progress::Progress;
use crate::study::records::{Contents, Header, Journal, Records, read, text};
use crate::study::report::Report;
use crate::study::run::{Shelf, all};
use crate::study::table::{csv, tables};
use crate::study::{merge, page, presets};
use crate::{interrupt, target};

pub(super) fn run(networks: &[Entry], command: &StudyCommand) -> Result<String, Failure> {
    match command {
        StudyCommand::Run { plan, jobs } => make(networks, plan, *jobs),
        StudyCommand::Plan(options) => plan(networks, options),
        StudyCommand::Report { records, html, csv, json } => report(records, html.as_deref(), csv.as_deref(), *json),
        StudyCommand::Merge { files, out, json } => join(files, out, *json),
        StudyCommand::Presets { name: None } => {
            let rows: Vec<Vec<String>> =
                presets::PRESETS.iter().map(|preset| vec![format!("{:<10}{}", preset.name, preset.summary)]).collect();
            Ok(columns(&rows))
        }
        StudyCommand::Presets { name: Some(name) } => Ok(presets::find(name)?.0),
    }
}

/// A study that can be run: its words, data and networks fit each other.
struct Ready {
    plan: Plan,
    shelf: Shelf,
    out: PathBuf,
}

/// Reads a study and tries every place of it, before anything starts.
fn ready(networks: &[Entry], options: &StudyOptions) -> Result<Ready, Failure> {
    options.check()?;
    let (text, from) = presets::find(&options.study)?;
    let mut study = Study::parse(&text, &from)?;
    study.numbers(&options.cells)?;
    let shelf = Shelf::default();
    leave_out(networks, &mut study, &shelf, &from)?;
    let mut plan = Plan::new(study, &from)?;
    if !options.cells.is_empty() {
        plan.only(&plan.study.numbers(&options.cells)?);
    }
    for point in &plan.points {
        let run = plan.finals(point, 0).swap_remove(0);
        let found =
            shelf.material(networks, &run.options).and_then(|material| experiment::set_up(networks, &run.options, material).map(drop));
        found.map_err(|failure| Failure::Usage(format!("{from}: {}: {failure}", plan.name(&point.place))))?;
    }
    let out = options.out.clone().unwrap_or_else(|| format!("{}.jsonl", plan.study.name).into());
    Ok(Ready { plan, shelf, out })
}

/// Leaves out the optional cells whose data are not on this machine.
fn leave_out(networks: &[Entry], study: &mut Study, shelf: &Shelf, from: &str) -> Result<(), Failure> {
    let mut gone = Vec::new();
    for (name, cell) in study.cells.iter().filter(|(_, cell)| cell.optional) {
        let words = format!("{} {} --net {}", study.options, cell.options, cell.nets[0]);
        let run =
            Run::new(words, crate::study::plan::Purpose::Final).map_err(|reason| Failure::Usage(format!("{from}: {name}: {reason}")))?;
        if let Err(reason) = shelf.material(networks, &run.options) {
            say(&format!("cell `{name}` is left out: {reason}"));
            gone.push(name.clone());
        }
    }
    gone.iter().for_each(|name| study.without(name));
    if study.cells.is_empty() {
        return Err(anyhow!("{from}: none of its data sets is on this machine").into());
    }
    Ok(())
}

/// How settings are chosen, for what the budget allows, and what that costs.
fn afford(networks: &[Entry], ready: &Ready, options: &StudyOptions, known: Option<&Contents>) -> Result<(Method, Vec<Row>), Failure> {
    let none = Records::default();
    let records = known.map_or(&none, |contents| &contents.records);
    let mut measured = Measured::default();
    let mut rows = |method| measured.rows(networks, &ready.shelf, &ready.plan, records, method, options.shard);
    let wanted = ready.plan.study.tuning.as_ref().map_or(Method::Grid, |tuning| tuning.method);
    let method = known.map_or(wanted, |contents| contents.header.tuning);
    let full = rows(method)?;
    let Some(budget) = options.budget else { return Ok((method, full)) };
    if hours(&full) <= budget {
        return Ok((method, full));
    }
    let can_shorten = known.is_none() && method == Method::Grid && ready.plan.study.tuning.is_some();
    let short = if can_shorten { rows(Method::Halving)? } else { full.clone() };
    if hours(&short) <= budget {
        say(&format!("tuning in full needs {:.4} core-hours of {budget}: successive halving needs {:.4}", hours(&full), hours(&short)));
        return Ok((Method::Halving, short));
    }
    let dearest = short.iter().max_by(|a, b| a.core_hours.total_cmp(&b.core_hours));
    let dearest = dearest.map(|row| format!("; the dearest is {} with {:.4}", row.place, row.core_hours)).unwrap_or_default();
    Err(anyhow!(
        "{:.4} core-hours are needed, --budget allows {budget}{dearest}: leave out cells, or run parts with --shard",
        hours(&short)
    )
    .into())
}

fn hours(rows: &[Row]) -> f64 {
    rows.iter().map(|row| row.core_hours).sum()
}

fn plan(networks: &[Entry], options: &StudyOptions) -> Result<String, Failure> {
    let ready = ready(networks, options)?;
    let known = if ready.out.exists() { Some(read(&ready.out)?) } else { None };
    let made = known.as_ref().map_or(0, |contents| contents.records.len());
    let (method, rows) = afford(networks, &ready, options, known.as_ref())?;
    let total = hours(&rows);
    let runs: usize = rows.iter().map(|row| row.tuning_runs + row.final_runs).sum();
    if options.json {
        let study = &ready.plan.study.name;
        return Ok(json_text(&json!({"study": study, "tuning": method, "rows": rows, "runs": runs, "core_hours": total, "made": made})));
    }
    let mut table = vec![["place", "tuning runs", "final runs", "steps", "µs/step", "core-hours"].map(String::from).to_vec()];
    for row in &rows {
        table.push(vec![
            row.place.clone(),
            row.tuning_runs.to_string(),
            row.final_runs.to_string(),
            grouped(row.steps),
            format!("{:.1}", row.us_per_step),
            format!("{:.4}", row.core_hours),
        ]);
    }
    let already = if made > 0 { format!(" ({made} are in {} already)", ready.out.display()) } else { String::new() };
    Ok(format!(
        "{}\n{runs} runs{already}, {total:.3} core-hours ({}), evaluation apart; settings are chosen by {}\nstart them with\n  {} study run {}\n",
        columns(&table),
        seconds(total * 3600.0),
        match method {
            Method::Grid => "a grid",
            Method::Halving => "successive halving",
        },
        invocation(),
        quoted(&options.study)
    ))
}

fn make(networks: &[Entry], options: &StudyOptions, jobs: usize) -> Result<String, Failure> {
    if !(1..=1024).contains(&jobs) {
        return Err(Failure::Usage(format!("--jobs must be between 1 and 1024, and is {jobs}")));
    }
    let ready = ready(networks, options)?;
    let Ready { plan, shelf, out } = &ready;
    let exists = std::fs::metadata(out).is_ok_and(|meta| meta.len() > 0);
    let known = if exists { Some(read(out)?) } else { None };
    let method = match (options.budget, &known) {
        (Some(_), known) => afford(networks, &ready, options, known.as_ref())?.0,
        (None, Some(known)) => known.header.tuning,
        (None, None) => plan.study.tuning.as_ref().map_or(Method::Grid, |tuning| tuning.method),
    };
    let header = Header { pg_study: 1, tuning: method, study: plan.study.clone() };
    let (mut journal, contents) = Journal::open(out, &header)?;
    contents.dropped.iter().for_each(|line| say(line));
    let mut records = contents.records;
    let found = records.len();
    interrupt::listen();
    say(&target::sentence());
    let left = plan.outline(&records, method, options.shard);
    let weights: Result<Vec<u64>, Failure> = left.iter().map(|(_, run)| weight(networks, shelf, run)).collect();
    let mut progress = Progress::start(left.len(), weights?.iter().sum());
    loop {
        let wave = plan.next(&records, method, options.shard);
        if wave.is_empty() {
            break;
        }
        let weights = wave.iter().map(|run| weight(networks, shelf, run)).collect::<Result<Vec<u64>, Failure>>()?;
        let complete = all(networks, shelf, &wave, jobs, &interrupt::asked, |number, record| {
            journal.add(&record)?;
            progress.done(weights[number], &record);
            records.add(record);
            Ok(())
        })?;
        if !complete {
            progress.finish();
            return Err(anyhow!("stopped: {} runs are in {}; the same command goes on from there", records.len(), out.display()).into());
        }
    }
    progress.finish();
    say(&format!("{} runs were made, {found} were in {} before", records.len() - found, out.display()));
    if options.shard.of > 1 {
        let what = format!("shard {}/{} is complete: {} runs in {}\n", options.shard.part, options.shard.of, records.len(), out.display());
        let json =
            json!({"study": plan.study.name, "shard": options.shard.part, "of": options.shard.of, "runs": records.len(), "records": out});
        return Ok(if options.json { json_text(&json) } else { what });
    }
    drop(journal);
    report(out, None, None, options.json)
}

fn report(file: &Path, html: Option<&Path>, csv_file: Option<&Path>, json: bool) -> Result<String, Failure> {
    let contents = read(file)?;
    contents.dropped.iter().for_each(|line| say(line));
    let report = Report::of(&contents.header, &contents.records)?;
    if report.groups.is_empty() {
        let first = report.missing.first().cloned().unwrap_or_default();
        return Err(anyhow!("{} has no final run yet; missing: {first}", file.display()).into());
    }
    // Beside axes.jsonl.gz lies axes.html.
    let unpacked = if file.extension().is_some_and(|end| end == "gz") { file.with_extension("") } else { file.into() };
    let beside = unpacked.with_extension("html");
    let html = html.unwrap_or(&beside);
    write_atomically(html, page::html(&report).as_bytes()).map_err(anyhow::Error::from)?;
    if let Some(path) = csv_file {
        write_atomically(path, &csv(&report)?).map_err(anyhow::Error::from)?;
    }
    if json {
        return Ok(json_text(&json!(report)));
    }
    let mut text = String::new();
    for table in tables(&report) {
        text += &format!("{}\n", table.title);
        text += &columns(&[vec![table.head], table.rows].concat());
        text.push('\n');
    }
    for missing in &report.missing {
        text += &format!("missing: {missing}\n");
    }
    if !report.strays.is_empty() {
        text += &format!("{} runs in the file are not asked for by its study, the first `{}`\n", report.strays.len(), report.strays[0]);
    }
    let also = csv_file.map(|path| format!(" and {}", path.display())).unwrap_or_default();
    Ok(format!("{text}{} runs, {} of training; wrote {}{also}\n", report.runs, seconds(report.core_hours * 3600.0), html.display()))
}

fn join(files: &[PathBuf], out: &Path, json: bool) -> Result<String, Failure> {
    let (header, records, merged) = merge::merge(files)?;
    write_atomically(out, &text(&header, &records)).map_err(anyhow::Error::from)?;
    if json {
        return Ok(json_text(&json!(merged)));
    }
    let list = |title: &str, items: &[String]| items.iter().map(|item| format!("{title}: {item}\n")).collect::<String>();
    Ok(format!(
        "{}{}{}{}{} runs in {}{}\n",
        list("dropped", &merged.dropped),
        list("duplicate", &merged.duplicates),
        list("gap", &merged.gaps),
        list("not of this study", &merged.strays),
        merged.runs,
        out.display(),
        if merged.gaps.is_empty() { ": the study is complete" } else { ": the study has gaps; `study run` with this --out fills them" }
    ))
}
