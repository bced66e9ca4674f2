//! `eval`: how good a model is on data, with the confusion matrix.

use serde_json::json;

use super::{columns, json_text, load_for};
use crate::engine::Crew;
use crate::entry::Entry;
use crate::evaluation::Evaluation;
use crate::failure::Failure;
use crate::metrics::{Confusion, Scores};
use crate::model::ModelFile;
use crate::options::{EvalOptions, Part};
use crate::parts::{normalise, select};

pub(super) fn run(networks: &[Entry], options: &EvalOptions) -> Result<String, Failure> {
    let file = ModelFile::read(&options.model)?;
    let known = file.of(networks)?;
    let (data, classes) = load_for(&known, options.data.as_ref())?;
    let (name, shape) = (data.name.clone(), data.shape);
    // Of its own training data the model has seen all but the part put aside; of others nothing.
    let foreign = data.test.is_none() && name != known.model.provenance.data;
    let part = options.part.unwrap_or(if foreign { Part::All } else { Part::Test });
    let (mut samples, carved) = select(data, part)?;
    normalise(&known.model.normalisation, shape, &mut samples);
    let evaluate = if options.folded { Evaluation::of_folded } else { Evaluation::of };
    let evaluation = evaluate(&Crew::of_machine(), known.entry.network(), &known.parameters, &samples.inputs);
    let confusion = evaluation.confusion(&samples.labels);
    let scores = evaluation.scores(&samples.labels, &classes);
    if options.json {
        let count = |truth| (0..classes.len()).map(|predicted| confusion.count(truth, predicted)).collect::<Vec<_>>();
        return Ok(json_text(&json!({
            "model": options.model,
            "data": name,
            "net": known.entry.name(),
            "part": part,
            "carved": carved,
            "samples": samples.len(),
            "macro_f1": scores.macro_f1,
            "accuracy": scores.accuracy,
            "nll": scores.nll,
            "ece": scores.ece,
            "per_class": scores.per_class,
            "confusion": (0..classes.len()).map(count).collect::<Vec<_>>(),
        })));
    }
    let part = serde_json::to_value(part).map_err(anyhow::Error::from)?;
    let of = if carved { " (put aside from the file, as in training)" } else { "" };
    let head = format!(
        "{}: {} on {} {} samples of {name}{of}\n",
        options.model.display(),
        known.entry.name(),
        samples.len(),
        part.as_str().unwrap_or_default()
    );
    Ok(format!("{head}\n{}", report(&scores, &confusion, &classes)))
}

/// The scores and tables for people.
fn report(scores: &Scores, confusion: &Confusion, classes: &[String]) -> String {
    let mut rows = vec![["class", "precision", "recall", "F1", "samples"].map(String::from).to_vec()];
    for class in &scores.per_class {
        let ratio = |ratio: f64| format!("{ratio:.3}");
        rows.push(vec![class.name.clone(), ratio(class.precision), ratio(class.recall), ratio(class.f1), class.support.to_string()]);
    }
    format!(
        "macro F1  {:.4}\naccuracy  {:.4}\nNLL       {:.4} nats\nECE       {:.4}\n\n{}\n{}\n",
        scores.macro_f1,
        scores.accuracy,
        scores.nll,
        scores.ece,
        columns(&rows),
        confusion.table(classes)
    )
}
