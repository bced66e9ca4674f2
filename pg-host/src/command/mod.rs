//! The subcommands: typed options in, the text for stdout out. Each is one file; none parses arguments.

mod data;
mod device;
mod eval;
mod gradient;
mod inspect;
mod nets;
mod predict;
mod replay;
mod replay_session;
mod start;
mod study;
mod train;

use std::fmt::Write as _;
use std::io::Write as _;

use pg_core::Shape;

use crate::cli::Command;
use crate::data::{CsvOptions, Dataset, is_name};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::model::Known;
use crate::options::DataOptions;
use crate::output::{check_writable, write_atomically};
use crate::parts::load;
use crate::{bench, choose, target};

/// Runs a command and returns what belongs on stdout.
pub fn run(networks: &[Entry], command: Command) -> Result<String, Failure> {
    match command {
        Command::Train(options) => train::go(networks, &options, None),
        Command::Resume(options) => start::resume(networks, &options),
        Command::Eval(options) => eval::run(networks, &options),
        Command::Predict(options) => predict::run(networks, &options),
        Command::Replay(options) => replay::run(networks, &options),
        Command::ReplaySession(options) => replay_session::run(networks, &options),
        Command::DataInspect(options) => data::inspect(networks, &options),
        Command::DataList { json } => data::list(json),
        Command::Device(options) => device::run(&options),
        Command::Inspect(options) => inspect::run(networks, &options),
        Command::Nets { json } => Ok(nets::run(networks, json)),
        Command::Study(command) => study::run(networks, &command),
        Command::Gradient(options) => gradient::run(networks, &options),
        Command::Bench(options) => {
            options.check()?;
            say(&target::sentence());
            if let Some(page) = &options.html {
                check_writable(page).map_err(anyhow::Error::from)?;
            }
            let report = bench::run(networks, &options)?;
            if let Some(page) = &options.html {
                write_atomically(page, bench::html(&report).as_bytes()).map_err(anyhow::Error::from)?;
                say(&format!("wrote {}", page.display()));
            }
            Ok(if options.json { json_text(&serde_json::json!(report)) } else { report.to_string() })
        }
    }
}

/// A line on stderr; a stderr that is closed is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The data set for a model: as asked for, or the bundled one that it was trained on; its labels become the model's classes.
fn load_for(known: &Known, options: Option<&DataOptions>) -> Result<(Dataset, Vec<String>), Failure> {
    let from_model = || {
        let name = known.model.provenance.data;
        let options = DataOptions { name: name.into(), csv: CsvOptions::default(), shape: None };
        let missing = || Failure::Usage(format!("the model was trained on `{name}`, which is not bundled: say which data with --data"));
        is_name(name).then_some(options).ok_or_else(missing)
    };
    let mut data = load(&options.cloned().map_or_else(from_model, Ok)?)?;
    let sizes = known.entry.network().sizes();
    if options.is_none_or(|options| options.shape.is_none()) && choose::turned(data.shape) == Some(sizes.input) {
        data = data.read_as(sizes.input)?;
    }
    if data.shape != sizes.input {
        let Dataset { name, shape, .. } = &data;
        return Err(anyhow::anyhow!("{name} has {shape} inputs, and the model's network takes {}", takes(known.entry, sizes.input)).into());
    }
    let classes = known.model.classes.iter().map(String::from).collect();
    with_classes(data, classes, sizes.outputs)
}

/// The data with the labels of a model of `classes`, found by their names, and the names of its outputs.
fn with_classes(mut data: Dataset, classes: Vec<String>, outputs: usize) -> Result<(Dataset, Vec<String>), Failure> {
    let found = data.classes.len();
    // A class that has no sample need not be known.
    let mut used = vec![false; found];
    let labels = data.train.labels.iter().chain(data.test.iter().flat_map(|test| &test.labels));
    labels.for_each(|&label| used[usize::from(label)] = true);
    let named = data.classes.iter().zip(&used).all(|(name, used)| !used || classes.contains(name));
    // Numbers are not names: where they are not the model's own, they are its outputs.
    if classes.is_empty() || data.numbered && !named {
        if found > outputs || found < outputs && !data.numbered {
            return Err(anyhow::anyhow!("{} has {found} classes, and the model {outputs} outputs", data.name).into());
        }
        let classes = match &classes[..] {
            [] if data.numbered => (0..outputs).map(|class| class.to_string()).collect(),
            [] => data.classes.clone(),
            _ => classes,
        };
        return Ok((data, classes));
    }
    let place = |(name, &used): (&String, &bool)| {
        let unknown =
            || anyhow::anyhow!("{} has the class `{name}`, which the model does not know; it knows {}", data.name, classes.join(", "));
        let place = classes.iter().position(|class| class == name).or((!used).then_some(0));
        place.map(|class| class as u16).ok_or_else(unknown)
    };
    let places = data.classes.iter().zip(&used).map(place).collect::<Result<Vec<u16>, _>>()?;
    for part in [Some(&mut data.train), data.test.as_mut()].into_iter().flatten() {
        part.labels.iter_mut().for_each(|label| *label = places[usize::from(*label)]);
    }
    Ok((data, classes))
}

fn takes(entry: &Entry, input: Shape) -> String {
    format!("{input} (`{}`)", entry.name())
}

/// A word for a shell's command line: quoted when it would not be one word otherwise.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:,=+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A pretty JSON object on its own lines.
fn json_text(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

/// Lines with aligned columns: the first to the left, the others to the right.
fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let _ = if column == 0 { write!(line, "{cell:width$}") } else { write!(line, "  {cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// How this program was called, for advice that can be copied: through cargo, or by its name.
fn invocation() -> String {
    if std::env::var_os("CARGO").is_some() {
        return "cargo run --release --".into();
    }
    crate::cli::program_name()
}
