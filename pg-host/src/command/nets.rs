//! `nets`: the networks of the list, with what they cost.

use serde_json::json;

use super::{columns, json_text};
use crate::any_network::DEVICE_BATCH;
use crate::entry::Entry;
use crate::method::layers;
use crate::progress::grouped;

pub(super) fn run(networks: &[Entry], json: bool) -> String {
    if json {
        return json_text(&networks.iter().map(object).collect());
    }
    // 80 columns; the families are in the names.
    let head = ["network", "input", "classes", "parameters", "MACs", "run", "folded", "train"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for entry in networks {
        let sizes = entry.network().sizes();
        let kilobytes = |bytes: usize| format!("{:.1}", bytes as f64 / 1024.0);
        rows.push(vec![
            entry.name().into(),
            sizes.input.to_string(),
            sizes.outputs.to_string(),
            grouped((sizes.params - sizes.statistics) as u64),
            grouped(sizes.macs as u64),
            kilobytes(sizes.inference_ram_bytes),
            kilobytes(sizes.folded_inference_ram_bytes),
            kilobytes(sizes.training_ram_bytes),
        ]);
    }
    format!(
        "{}\nMACs: multiply-adds for one sample. Run, folded, train: KiB of RAM on a\n\
         microcontroller. To run takes the parameters and one sample's activations,\n\
         folded the same with batch norms in the weights before them; to train takes\n\
         parameters, gradient, velocity, one member and a pass over {DEVICE_BATCH} samples, whatever\n\
         the population.\n",
        columns(&rows)
    )
}

fn object(entry: &Entry) -> serde_json::Value {
    let sizes = entry.network().sizes();
    json!({
        "name": entry.name(),
        "family": entry.family(),
        "input": [sizes.input.channels, sizes.input.height, sizes.input.width],
        "classes": sizes.outputs,
        "params": sizes.params - sizes.statistics,
        "statistics": sizes.statistics,
        "layers": layers(&entry.network().segments()),
        "macs": sizes.macs,
        "inference_ram_bytes": sizes.inference_ram_bytes,
        "folded_inference_ram_bytes": sizes.folded_inference_ram_bytes,
        "training_ram_bytes": sizes.training_ram_bytes,
    })
}
