//! `nets`: the networks of the list, with what they cost.

use serde_json::json;

use super::{columns, json_text};
use crate::any_network::DEVICE_BATCH;
use crate::entry::Entry;
use crate::progress::grouped;

pub(super) fn run(networks: &[Entry], json: bool) -> String {
    if json {
        return json_text(&networks.iter().map(object).collect());
    }
    let head = ["network", "family", "input", "classes", "parameters", "multiply-adds", "inference RAM", "folded", "training RAM"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for entry in networks {
        let sizes = entry.network().sizes();
        let kilobytes = |bytes: usize| format!("{:.1} KiB", bytes as f64 / 1024.0);
        rows.push(vec![
            entry.name().into(),
            entry.family().into(),
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
        "{}\nRAM is that of a microcontroller: inference keeps the parameters and one sample's activations, folded the same with batch norms in\n\
         the weights before them; training keeps parameters, gradient, velocity, one member and a pass over {DEVICE_BATCH} samples, whatever the\n\
         population.\n",
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
        "macs": sizes.macs,
        "inference_ram_bytes": sizes.inference_ram_bytes,
        "folded_inference_ram_bytes": sizes.folded_inference_ram_bytes,
        "training_ram_bytes": sizes.training_ram_bytes,
    })
}
