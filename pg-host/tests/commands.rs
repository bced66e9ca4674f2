//! `eval`, `predict`, `inspect`, `nets` and the help.

mod program;

use pg_core::Network;
use pg_core::form::Scalar;
use pg_core::population::Workspace;
use program::Program;
use serde_json::json;

#[test]
fn eval_scores_as_train_did_and_shows_the_confusion() {
    let program = Program::new();
    let trained = program.json("train --net mlp-64-32-10 --population 0 --epochs 3");
    let evaluated = program.json("eval model.pg");
    assert_eq!((&evaluated["macro_f1"], &evaluated["per_class"]), (&trained["test"]["macro_f1"], &trained["test"]["per_class"]));
    let total: u64 =
        evaluated["confusion"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap()).map(|n| n.as_u64().unwrap()).sum();
    assert_eq!((total, &evaluated["part"]), (597, &"test".into()));
    let text = program.text("eval model.pg --data digits --part train");
    assert!(text.starts_with("model.pg: mlp-64-32-10 on 1200 train samples of digits\n\nmacro F1  0."), "{text}");
    assert!(text.contains("true \\ predicted"), "{text}");
    assert_eq!(program.json("eval model.pg --part all")["samples"], 1797);
}

#[test]
fn predict_prints_a_line_for_each_sample_and_the_bits_of_its_logits() {
    let program = Program::new();
    program.trained();
    let text = program.text("predict model.pg --limit 3 --logits --bits");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((lines.len(), lines[0].len(), &lines[0][..5]), (4, 24, &["sample", "class", "probability", "label", "logits_0"][..]));
    for line in &lines[1..] {
        let logits: Vec<f32> = line[4..14].iter().map(|text| text.parse().unwrap()).collect();
        let bits: Vec<u32> = line[14..].iter().map(|text| u32::from_str_radix(text, 16).unwrap()).collect();
        assert_eq!(logits.iter().map(|y| y.to_bits()).collect::<Vec<_>>(), bits);
        let best = (0..10).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        assert_eq!(line[1], best.to_string());
        let share: f64 = logits.iter().map(|&y| f64::from(y - logits[best]).exp()).sum();
        assert!((line[2].parse::<f64>().unwrap() - 1.0 / share).abs() < 1e-5);
    }
    let json = program.json("predict model.pg --limit 2 --bits");
    assert_eq!((json.as_array().unwrap().len(), json[0]["bits"].as_array().unwrap().len()), (2, 10));
    assert_eq!(program.text("predict model.pg").lines().count(), 598);
    assert_eq!(program.text("predict model.pg --part all").lines().count(), 1798);
}

#[test]
fn labels_of_other_data_are_matched_by_the_names_of_the_classes() {
    let program = Program::new();
    let row = |i: u32, class: &str| (0..9).map(|f| format!("{},", (i * 7 + f * 5) % 11)).collect::<String>() + class + "\n";
    let classes = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
    program.write("all.csv", (0..110).map(|i| row(i, classes[i as usize % 11])).collect::<String>());
    program.write("some.csv", (0..20).map(|i| row(i, ["k", "b"][i as usize % 2])).collect::<String>());
    program.text("train --data all.csv --epochs 1");
    let evaluated = program.json("eval model.pg --data some.csv --part all");
    let support: Vec<u64> = evaluated["per_class"].as_array().unwrap().iter().map(|class| class["support"].as_u64().unwrap()).collect();
    assert_eq!(support, [0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 10]);
    program.write("other.csv", row(1, "x") + &row(2, "a"));
    let (sentence, code) = program.refusal("eval model.pg --data other.csv --part all");
    assert_eq!(
        (sentence, code),
        ("other.csv has the class `x`, which the model does not know; it knows a, b, c, d, e, f, g, h, i, j, k".into(), 1)
    );
    let (sentence, _) = program.refusal("eval model.pg");
    assert!(sentence.contains("trained on `all.csv`, which is not bundled: say which data with --data"), "{sentence}");
}

#[test]
fn data_to_score_may_have_one_row_one_class_or_gaps_and_are_scored_whole() {
    let program = Program::new();
    let row = |i: u32| (0..9).map(|f| format!("{}.5,", (i * 31 + f * 17) % 13)).collect::<String>() + &format!("c{}\n", i % 11);
    program.write("all.csv", (0..110).map(row).collect::<String>());
    program.write("one.csv", row(4));
    program.write("class.csv", row(4) + &row(15) + &row(26));
    program.text("train --data all.csv --epochs 1");
    for (name, rows) in [("one", 1), ("class", 3)] {
        let evaluated = program.json(&format!("eval model.pg --data {name}.csv"));
        assert_eq!((&evaluated["samples"], &evaluated["part"], &evaluated["carved"]), (&rows.into(), &"all".into(), &false.into()));
        assert_eq!(program.text(&format!("predict model.pg --data {name}.csv")).lines().count(), rows + 1);
    }
    let evaluated = program.json("eval model.pg --data all.csv");
    assert_eq!((&evaluated["samples"], &evaluated["part"], &evaluated["carved"]), (&22.into(), &"test".into(), &true.into()));
}

#[test]
fn numbers_of_an_idx_file_are_the_outputs_of_a_model_with_named_classes() {
    let program = Program::new();
    program.text("train --data fashion-tiny --epochs 1 --population 0 --batch 100");
    let head = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28];
    program.write("mine/train-images-idx3-ubyte", [&head[..], &[9; 2 * 784]].concat());
    program.write("mine/train-labels-idx1-ubyte", [0, 0, 8, 1, 0, 0, 0, 2, 1, 7]);
    let evaluated = program.json("eval model.pg --data mine");
    let support = |class: usize| (evaluated["per_class"][class]["name"].clone(), evaluated["per_class"][class]["support"].clone());
    assert_eq!((support(1), support(7)), (("Trouser".into(), 1.into()), ("Sneaker".into(), 1.into())));
    program.write("mine/train-labels-idx1-ubyte", [0, 0, 8, 1, 0, 0, 0, 2, 1, 10]);
    let (sentence, code) = program.refusal("eval model.pg --data mine");
    assert_eq!((&sentence[..], code), ("mine has 11 classes, and the model 10 outputs", 1));
}

#[test]
fn inspect_shows_everything() {
    let program = Program::new();
    program.trained();
    let shown = program.json("inspect model.pg");
    assert_eq!((&shown["net"], &shown["params"]), (&"mlp-64-32-10".into(), &2410.into()));
    assert_eq!(shown["network"], "Sequential<Image<1,8,8>,(Flatten,Dense<32>,Relu,Dense<10>,)>");
    assert_eq!((&shown["provenance"]["data"], &shown["provenance"]["epochs"]), (&"digits".into(), &3.into()));
    assert_eq!(shown["bytes"], program.bytes("model.pg").len());
    assert_eq!(shown["segments"].as_array().unwrap().len(), 4);
    assert_eq!(shown["normalisation"]["factor"].as_array().unwrap().len(), 1);
    let text = program.text("inspect model.pg");
    assert!(text.contains("weights 1   32x64") && text.contains("rate=0.1 momentum=0.9"), "{text}");
}

#[test]
fn nets_lists_the_zoo() {
    let program = Program::new();
    let nets = program.json("nets");
    let nets = nets.as_array().unwrap();
    assert_eq!(nets.iter().map(|net| net["name"].as_str().unwrap()).collect::<Vec<_>>()[..2], ["mlp-64-64-32-10", "mlp-64-32-10"]);
    type Net = pg_core::zoo::Mlp64x32x10;
    let training = 4 * Net::PARAMS + Net::FILTERS + Workspace::len::<Net, Scalar>(8);
    let expected = json!({
        "name": "mlp-64-32-10", "family": "mlp", "input": [1, 8, 8], "classes": 10, "params": 2410, "statistics": 0,
        "layers": ["weights 32x64, biases 32", "weights 10x32, biases 10"], "macs": 2368,
        "inference_ram_bytes": 4 * (Net::PARAMS + Net::TAPE), "folded_inference_ram_bytes": 4 * (Net::PARAMS + Net::TAPE),
        "training_ram_bytes": 4 * training,
    });
    assert_eq!(nets[1], expected);
    assert!(program.text("nets").contains("mlp-784-128-10"));
}

#[test]
fn bench_measures_the_steps_that_it_is_asked_for() {
    let program = Program::new();
    let report = program.json("bench --net mlp-64-32-10 mlp-9-24-11 --batch 8 --population 2 --seconds 0.01");
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| step["net"].as_str().unwrap()).collect::<Vec<_>>(), ["mlp-64-32-10", "mlp-9-24-11"]);
    assert!(report["peak_gflops"].is_f64() && steps.iter().all(|step| step["share_of_peak"].as_f64().unwrap() > 0.0), "{report}");
    let report = program.json("bench --net mlp-64-32-10 --batch 8 256 --population 0 2 3 --threads 1 2 --seconds 0.01 --html speed.html");
    let found: Vec<String> =
        report["steps"].as_array().unwrap().iter().map(|s| format!("{}/{}/{}", s["batch"], s["population"], s["threads"])).collect();
    // Of a single pass over few samples there is nothing to share.
    let of_few = ["8/0/1", "8/2/1", "8/2/2", "8/3/1", "8/3/2"];
    assert_eq!(found[..5], of_few);
    assert_eq!(found[5..], ["256/0/1", "256/0/2", "256/2/1", "256/2/2", "256/3/1", "256/3/2"]);
    let page = String::from_utf8(program.bytes("speed.html")).unwrap();
    assert!(
        ["<h2>Members", "<h2>Batch", "<h2>Threads", "<svg role=\"img\""].iter().all(|part| page.contains(part)) && !page.contains("NaN")
    );
    assert!(
        steps.iter().all(|step| step["noise_share"].as_f64().unwrap() > 0.0 && step["ns_per_normal"].as_f64().unwrap() > 0.0),
        "{report}"
    );
}

#[test]
fn the_help_of_every_subcommand_is_there_without_colours() {
    let program = Program::new();
    let lines = ["--help", "train --help", "eval --help", "predict -h", "inspect --help", "nets --help", "bench --help", "--version"];
    for line in lines.into_iter().chain(["study --help", "study run --help", "gradient --help"]) {
        let text = program.text(line);
        assert!(text.contains("pg-host") && !text.contains('\u{1b}'), "{line}: {text}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_closes_early_is_no_error() {
    let program = Program::new();
    program.trained();
    let mut child = program.command("predict model.pg --part all --bits").stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
