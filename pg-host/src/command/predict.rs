//! `predict`: the class of each sample, as CSV or JSON.

use pg_core::Shape;
use serde_json::{Map, Value, json};

use super::{json_text, load_for};
use crate::engine::Crew;
use crate::entry::Entry;
use crate::evaluation::Evaluation;
use crate::failure::Failure;
use crate::model::ModelFile;
use crate::options::{Part, PredictOptions};
use crate::parts::{normalise, select};

pub(super) fn run(networks: &[Entry], options: &PredictOptions) -> Result<String, Failure> {
    options.check()?;
    let file = ModelFile::read(&options.model)?;
    let known = file.of(networks)?;
    let (data, classes) = load_for(&known, options.data.as_ref())?;
    let shape: Shape = data.shape;
    let part = options.part.unwrap_or(if data.test.is_some() { Part::Test } else { Part::All });
    let (mut samples, _) = select(data, part)?;
    let count = options.limit.unwrap_or(usize::MAX).min(samples.len());
    samples.labels.truncate(count);
    samples.inputs.truncate(count * shape.len());
    normalise(&known.model.normalisation, shape, &mut samples);
    let evaluate = if options.folded { Evaluation::of_folded } else { Evaluation::of };
    let evaluation = evaluate(&Crew::of_machine(), known.entry.network(), &known.parameters, &samples.inputs);
    let rows = (0..count).map(|i| row(&evaluation, i, &classes, samples.labels[i], options));
    if options.json { Ok(json_text(&rows.map(Value::Object).collect())) } else { Ok(csv(rows)?) }
}

/// One sample's line, by the names of its columns.
fn row(evaluation: &Evaluation, i: usize, classes: &[String], label: u16, options: &PredictOptions) -> Map<String, Value> {
    let class = evaluation.predicted[i];
    let probability = evaluation.log_probability(i, class).exp();
    let mut row = Map::new();
    let mut put = |name: &str, value| row.insert(name.into(), value);
    put("sample", json!(i));
    put("class", json!(classes[usize::from(class)]));
    put("probability", json!((probability * 1e6).round() / 1e6));
    put("label", json!(classes[usize::from(label)]));
    let logits = evaluation.logits_of(i);
    if options.logits {
        put("logits", json!(logits));
    }
    if options.bits {
        put("bits", json!(logits.iter().map(|y| format!("{:08x}", y.to_bits())).collect::<Vec<_>>()));
    }
    row
}

/// The rows as CSV with a header; a list becomes a column for each of its elements.
fn csv(rows: impl Iterator<Item = Map<String, Value>>) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (i, row) in rows.enumerate() {
        let cells: Vec<(String, &Value)> = row.iter().flat_map(|(name, value)| cells(name, value)).collect();
        if i == 0 {
            writer.write_record(cells.iter().map(|(name, _)| name))?;
        }
        writer.write_record(cells.iter().map(|(_, value)| value.as_str().map_or_else(|| value.to_string(), String::from)))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn cells<'a>(name: &str, value: &'a Value) -> Vec<(String, &'a Value)> {
    match value {
        Value::Array(list) => list.iter().enumerate().map(|(i, element)| (format!("{name}_{i}"), element)).collect(),
        single => vec![(name.into(), single)],
    }
}
