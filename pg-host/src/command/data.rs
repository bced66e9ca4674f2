//! `data`: what is in a data set, as numbers and as a picture, and which data sets there are.

use serde_json::json;

use super::{columns, json_text, load, say};
use crate::data::{DataError, Dataset, bundled, installed};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::options::DataInspectOptions;
use crate::output::{check_writable, write_atomically};
use crate::progress::grouped;
use crate::summary::Summary;
use crate::{choose, data, sheet};

/// The longest bar.
const BAR: usize = 30;
/// Channels in the table; `--json` has all.
const MOST_CHANNELS: usize = 16;

pub(super) fn inspect(networks: &[Entry], options: &DataInspectOptions) -> Result<String, Failure> {
    options.check()?;
    if let Some(path) = &options.sheet {
        check_writable(path).map_err(anyhow::Error::from)?;
    }
    let mut data = load(&options.data)?;
    // As `train` reads it, so that what is seen is what is learnt.
    let other = choose::other_reading(networks, None, data.shape, data.classes.len())?.filter(|_| options.data.shape.is_none());
    if let Some(shape) = other {
        data = data.read_as(shape)?;
    }
    let summary = Summary::of(&data);
    if let Some(path) = &options.sheet {
        write_atomically(path, sheet::svg(&data).as_bytes()).map_err(anyhow::Error::from)?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(if options.json { json_text(&object(&data, &summary)) } else { text(&data, &summary) })
}

fn object(data: &Dataset, summary: &Summary) -> serde_json::Value {
    json!({
        "data": data.name,
        "shape": [data.shape.channels, data.shape.height, data.shape.width],
        "train": data.train.len(),
        "test": data.test.as_ref().map(|test| test.len()),
        "classes": summary.classes,
        "channels": summary.channels,
        "repeated_in_train": summary.repeated_in_train,
        "test_in_train": summary.test_in_train,
    })
}

fn text(data: &Dataset, summary: &Summary) -> String {
    let mut text = format!("{}: {}, {} classes\n", data.name, data.shape, data.classes.len());
    let test = data.test.as_ref().map_or_else(|| "none".into(), |test| grouped(test.len() as u64));
    text += &format!("{} samples to train on, {test} to test\n", grouped(data.train.len() as u64));
    if summary.repeated_in_train > 0 {
        text += &format!("{} samples to train on repeat an earlier one\n", grouped(summary.repeated_in_train as u64));
    }
    if let Some(known) = summary.test_in_train.filter(|&known| known > 0) {
        text += &format!("{} samples to test on are also among those to train on: scores flatter\n", grouped(known as u64));
    }
    let most = summary.classes.iter().map(|class| class.train).max().unwrap_or(0).max(1);
    let mut rows = vec![["class", "train", "test"].map(String::from).to_vec()];
    rows.extend(summary.classes.iter().map(|class| vec![class.name.clone(), class.train.to_string(), class.test.to_string()]));
    let bars = std::iter::once(0).chain(summary.classes.iter().map(|class| (class.train * BAR).div_ceil(most)));
    let table = columns(&rows);
    let lines = table.lines().zip(bars).map(|(line, bar)| format!("{line}  {}", "█".repeat(bar)).trim_end().to_string() + "\n");
    text += &format!("\n{}", lines.collect::<String>());
    let mut rows = vec![["channel", "mean", "deviation", "smallest", "largest"].map(String::from).to_vec()];
    for (i, channel) in summary.channels.iter().take(MOST_CHANNELS).enumerate() {
        let number = |number: f64| format!("{number:.4}");
        let cells = [number(channel.mean), number(channel.deviation), number(channel.min.into()), number(channel.max.into())];
        rows.push([&[i.to_string()], &cells[..]].concat());
    }
    text += &format!("\n{}", columns(&rows));
    if summary.channels.len() > MOST_CHANNELS {
        text += &format!("and {} more; --json shows all\n", summary.channels.len() - MOST_CHANNELS);
    }
    let constant = summary.channels.iter().enumerate().filter(|(_, channel)| channel.is_constant());
    let constant: Vec<String> = constant.map(|(i, _)| i.to_string()).collect();
    if !constant.is_empty() {
        text += &format!("constant, so that nothing is learnt from it: channel {}\n", constant.join(", "));
    }
    text
}

pub(super) fn list(as_json: bool) -> Result<String, Failure> {
    let bundled = bundled().iter().map(|set| (set.name, set.summary, set.credit, "bundled".to_string(), true));
    let installed = installed().iter().map(|set| {
        let found = set.find().is_some();
        let place = if found { "installed".into() } else { format!("apt-get install -y {}", set.package) };
        (set.name, set.summary, set.credit, place, found)
    });
    let sets: Vec<_> = bundled.chain(installed).collect();
    if !as_json {
        let lines = |(name, summary, credit, place, _): &(&str, &str, &str, String, bool)| {
            let (what, counts) = summary.split_once(" classes, ").map_or((*summary, ""), |(what, counts)| (what, counts));
            format!("{name:13}  {what} classes\n{:15}{counts}\n{:15}{place}; {credit}\n", "", "")
        };
        return Ok(sets.iter().map(lines).collect());
    }
    let object = |(name, summary, credit, _, found): (&str, &str, &str, String, bool)| {
        let data = if found { Some(data::find(name, &data::CsvOptions::default())?) } else { None };
        Ok(json!({
            "name": name,
            "summary": summary,
            "credit": credit,
            "found": found,
            "shape": data.as_ref().map(|data| [data.shape.channels, data.shape.height, data.shape.width]),
            "classes": data.as_ref().map(|data| &data.classes),
            "train": data.as_ref().map(|data| data.train.len()),
            "test": data.as_ref().and_then(|data| data.test.as_ref()).map(|test| test.len()),
        }))
    };
    Ok(json_text(&sets.into_iter().map(object).collect::<Result<_, DataError>>()?))
}
