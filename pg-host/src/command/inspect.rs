//! `inspect`: everything that a model file says.

use pg_core::layers::{Segment, SegmentKind};
use pg_core::model_file::Model;
use serde_json::{Value, json};

use super::{columns, json_text};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::model::ModelFile;
use crate::options::InspectOptions;
use crate::progress::grouped;

pub(super) fn run(networks: &[Entry], options: &InspectOptions) -> Result<String, Failure> {
    let file = ModelFile::read(&options.model)?;
    let model = file.decode()?;
    let entry = networks.iter().find(|entry| entry.network().fingerprint() == model.fingerprint());
    if let Some(entry) = entry {
        // A file can lie about its network; what follows relies on the counts.
        file.of(std::slice::from_ref(entry))?;
    }
    let ranges = entry.map(|entry| ranges(entry, &model)).unwrap_or_else(|| vec![Range::of("all", &model, 0, model.parameters.len())]);
    let path = options.model.display().to_string();
    if options.json {
        return Ok(json_text(&object(&path, file.len_bytes(), entry, &model, &ranges)));
    }
    let name = entry.map_or_else(|| "not one of this program's".into(), |entry| entry.name().to_string());
    let classes: Vec<&str> = model.classes.iter().collect();
    let provenance = model.provenance;
    let facts = [
        ("file", format!("{path}, {} bytes", grouped(file.len_bytes() as u64))),
        ("network", format!("{name}: {}", model.network)),
        ("fingerprint", format!("{:016x}", model.fingerprint())),
        ("parameters", grouped(model.parameters.len() as u64)),
        ("classes", format!("{}: {}", classes.len(), classes.join(", "))),
        ("normalisation", normalisation(&model)),
        ("data", provenance.data.into()),
        ("options", provenance.options.into()),
        ("seed, epochs", format!("{}, {}", provenance.seed, provenance.epochs)),
        ("scores", provenance.scores.into()),
        ("written by", provenance.tool.into()),
    ];
    let facts: String = facts.iter().map(|(name, fact)| format!("{name:<15}{fact}\n")).collect();
    let mut rows = vec![["parameters", "shape", "smallest", "largest", "norm"].map(String::from).to_vec()];
    for range in &ranges {
        let number = |number: f64| format!("{number:.4}");
        rows.push(vec![range.name.clone(), range.shape.clone(), number(range.smallest), number(range.largest), number(range.norm)]);
    }
    Ok(format!("{facts}\n{}", columns(&rows)))
}

/// A range of the parameters, and how large they are.
struct Range {
    name: String,
    shape: String,
    smallest: f64,
    largest: f64,
    norm: f64,
}

impl Range {
    fn of(name: &str, model: &Model, offset: usize, len: usize) -> Self {
        let values = || model.parameters.iter().skip(offset).take(len).map(f64::from);
        Self {
            name: name.into(),
            shape: len.to_string(),
            smallest: values().reduce(f64::min).unwrap_or(0.0),
            largest: values().reduce(f64::max).unwrap_or(0.0),
            norm: values().map(|value| value * value).sum::<f64>().sqrt(),
        }
    }
}

/// The segments of the network, numbered by their layers.
fn ranges(entry: &Entry, model: &Model) -> Vec<Range> {
    let mut layer = 0;
    let range = |Segment { kind, offset, filters, fan_in, .. }: Segment| {
        layer += u32::from(kind.begins_layer());
        let (name, shape) = match kind {
            SegmentKind::Weight => (format!("weights {layer}"), format!("{filters}x{fan_in}")),
            SegmentKind::Gain => (format!("gains {layer}"), filters.to_string()),
            SegmentKind::Bias => (format!("biases {layer}"), filters.to_string()),
            SegmentKind::Mean => (format!("means {layer}"), filters.to_string()),
            SegmentKind::Variance => (format!("variances {layer}"), filters.to_string()),
        };
        Range { shape, ..Range::of(&name, model, offset, filters * fan_in) }
    };
    entry.network().segments().into_iter().map(range).collect()
}

fn normalisation(model: &Model) -> String {
    const SHOWN: usize = 4;
    let (offset, factor) = (model.normalisation.offset(), model.normalisation.factor());
    if offset.is_empty() {
        return "none".into();
    }
    let pairs = offset.iter().zip(factor.iter()).take(SHOWN).map(|(offset, factor)| format!("(raw - {offset}) * {factor}"));
    let more = if offset.len() > SHOWN { format!(", … for {} channels", offset.len()) } else { String::new() };
    pairs.collect::<Vec<_>>().join(", ") + &more
}

fn object(path: &str, bytes: usize, entry: Option<&Entry>, model: &Model, ranges: &[Range]) -> Value {
    let provenance = model.provenance;
    let segments = ranges.iter().map(
        |Range { name, shape, smallest, largest, norm }| json!({"name": name, "shape": shape, "min": smallest, "max": largest, "norm": norm}),
    );
    json!({
        "path": path,
        "bytes": bytes,
        "net": entry.map(Entry::name),
        "network": model.network,
        "fingerprint": format!("{:016x}", model.fingerprint()),
        "params": model.parameters.len(),
        "classes": model.classes.iter().collect::<Vec<_>>(),
        "normalisation": {
            "offset": model.normalisation.offset().iter().collect::<Vec<_>>(),
            "factor": model.normalisation.factor().iter().collect::<Vec<_>>(),
        },
        "provenance": {
            "tool": provenance.tool,
            "data": provenance.data,
            "options": provenance.options,
            "seed": provenance.seed,
            "epochs": provenance.epochs,
            "scores": provenance.scores,
        },
        "segments": segments.collect::<Vec<_>>(),
    })
}
