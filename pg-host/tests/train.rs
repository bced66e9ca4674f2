//! `train`, from the command line to the model file.

mod program;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::Arc;

use program::Program;

const QUICK: &str = "train --net mlp-64-32-10 --epochs 2 --population 2";

#[test]
fn reports_results_on_stdout_and_progress_on_stderr() {
    let program = Program::new();
    let output = program.output(QUICK);
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stderr}");
    for part in [
        "mlp-64-32-10 (2,410 parameters) with a population of 2 noisy copies, ρ = 0.3\nlearnt from 1200 samples of digits: 2 epochs",
        "macro F1  ",
        "worst class",
        "wrote model.pg",
        "next\n",
    ] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    assert!(stderr.lines().count() == 3 && stderr.contains("epoch 2/2  loss "), "{stderr}");
    assert!(program.path("model.pg").exists());
}

#[test]
fn json_is_one_object_with_everything() {
    let program = Program::new();
    let report = program.json(&format!("{QUICK} --validation 0.1 --threads 1 --label-smoothing 0.1 --nesterov --noise rademacher"));
    assert_eq!((&report["data"], &report["net"], &report["epochs"]), (&"digits".into(), &"mlp-64-32-10".into(), &2.into()));
    assert_eq!((&report["options"]["rate"], &report["options"]["noise"]), (&0.1.into(), &"rademacher".into()));
    assert!(report["test"]["macro_f1"].as_f64().unwrap() > 0.5, "{report}");
    assert!(report["validation"]["accuracy"].as_f64().unwrap() > 0.5, "{report}");
    assert_eq!(report["test"]["per_class"].as_array().unwrap().len(), 10);
    assert_eq!((&report["samples"]["train"], &report["samples"]["validation"]), (&1080.into(), &120.into()));
    assert!(["accuracy", "nll"].iter().all(|name| report["test"][name].is_f64()));
    assert!(report["train"]["loss_nats"].is_f64() && report["seconds"].is_f64() && report["passes_per_s"].is_f64());
    assert_eq!((&report["stopped"], &report["threads"]), (&false.into(), &1.into()));
    let bytes = program.bytes("model.pg").len();
    assert_eq!((&report["model"]["path"], &report["model"]["bytes"]), (&"model.pg".into(), &bytes.into()));
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads_and_another_seed_others() {
    let program = Program::new();
    for (name, options) in [("a", "--threads 1"), ("b", "--threads 2"), ("c", "--threads 3"), ("d", ""), ("e", "--seed 2")] {
        program.text(&format!("{QUICK} --population 6 --epochs 1 --out {name}.pg {options}"));
    }
    let model = |name| program.bytes(&format!("{name}.pg"));
    assert!(model("a") == model("b") && model("a") == model("c") && model("a") == model("d"));
    assert!(model("a") != model("e"));
}

#[test]
fn chooses_the_network_that_fits_the_data() {
    let program = Program::new();
    let net = |options: &str| program.json(&format!("train --epochs 1 --population 0 {options}"))["net"].clone();
    assert_eq!(net(""), "mlp-64-64-32-10");
    assert_eq!(net("--data vowel"), "mlp-9-24-11");
    assert_eq!(net("--data fashion-tiny --batch 100"), "mlp-784-128-10");
}

#[test]
fn a_table_without_a_test_part_is_divided_alike_for_every_seed() {
    let program = Program::new();
    let row = |i: u32| (0..9).map(|f| format!("{}.5,", (i * 31 + f * 17) % 13)).collect::<String>() + &format!("c{}\n", i % 11);
    program.write("table.csv", (0..220).map(row).collect::<String>());
    let output = program.output("train --data table.csv --epochs 1 --seed 5");
    assert!(String::from_utf8(output.stderr).unwrap().contains("table.csv has no test part: 20 % of its samples are put aside"));
    let report = program.json("train --data table.csv --epochs 1");
    assert_eq!((&report["samples"]["test_carved"], &report["samples"]["test"]), (&true.into(), &44.into()));
    let evaluated = program.json("eval model.pg --data table.csv");
    assert_eq!((&evaluated["macro_f1"], &evaluated["nll"]), (&report["test"]["macro_f1"], &report["test"]["nll"]));
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_finite_parameters() {
    let program = Program::new();
    let (sentence, code) = program.refusal(&format!("{QUICK} --rate 1e6"));
    assert_eq!(code, 1);
    assert!(sentence.contains("no longer a finite number") && sentence.contains("try a smaller --rate or a smaller --rho"), "{sentence}");
    assert!(sentence.contains("model.pg holds the last parameters with a finite loss, after "), "{sentence}");
    let steps = sentence.split("after ").last().unwrap().split(' ').next().unwrap();
    let shown = program.json("inspect model.pg");
    assert!(shown["provenance"]["options"].as_str().unwrap().ends_with(&format!(" steps={steps}")), "{sentence}, {shown}");
    assert!(steps.parse::<u32>().unwrap() > 0 && shown["segments"][0]["norm"].is_f64());
}

#[test]
fn a_run_that_diverges_at_once_leaves_the_model_that_was_there() {
    let program = Program::new();
    let line = format!("{QUICK} --rate 1e38");
    let (sentence, code) = program.refusal(&line);
    assert!(code == 1 && sentence.ends_with("and model.pg was not written") && !program.path("model.pg").exists(), "{sentence}");
    program.write("model.pg", "a good model");
    let (sentence, _) = program.refusal(&line);
    assert!(sentence.contains("try a smaller --rate") && sentence.ends_with("and model.pg is untouched"), "{sentence}");
    // One step whose parameters are finite and overflow in the next pass.
    program.refusal("train --net mlp-64-32-10 --epochs 1 --population 0 --batch 5000 --rate 1e25");
    assert_eq!(program.bytes("model.pg"), b"a good model");
}

#[test]
fn every_option_of_the_method_gives_the_same_file_for_any_number_of_threads() {
    let program = Program::new();
    let mut files = Vec::new();
    for options in [
        "",
        "--noise uniform",
        "--scale-rule filter-exact",
        "--scale-rule weight",
        "--scale-rule absolute --rho 0.05",
        "--batch-mode split",
        "--batch-mode fresh",
        "--targets weights,biases --noise-layers 2",
        "--rho-schedule cosine-down",
        "--rho-stop 0.5",
        "--combine clean=0.5",
        "--combine softmax=0.1",
        "--batch-mode fresh --combine softmax=-1",
        "--batch-mode fresh --combine clean=0.25",
    ] {
        let line = format!("train --net mlp-64-32-10 --epochs 2 --population 5 --batch 150 --augment noise=0.1 {options}");
        for threads in [1, 2, 3] {
            let report = program.json(&format!("{line} --threads {threads} --out {threads}.pg"));
            assert_eq!((&report["threads"], &report["steps"]), (&threads.into(), &16.into()), "{options}");
            assert_eq!(report.get("skipped_members"), None);
        }
        assert!(program.bytes("1.pg") == program.bytes("2.pg") && program.bytes("1.pg") == program.bytes("3.pg"), "{options}");
        files.push(program.bytes("1.pg"));
    }
    files.sort_unstable();
    files.dedup();
    assert_eq!(files.len(), 14, "every option makes a difference");
}

#[test]
fn a_run_that_skips_more_than_one_in_a_hundred_members_is_ended_with_the_parameters_so_far() {
    let program = Program::new();
    // At this scale some members overflow and most do not.
    let (sentence, code) = program.refusal(&format!("{QUICK} --population 8 --rate 1e-38 --scale-rule absolute --rho 6e17"));
    assert_eq!(code, 1);
    assert!(sentence.contains("the loss was no finite number for "), "{sentence}");
    assert!(sentence.contains("members, more than 1 %, in step") && sentence.contains("a smaller --rho; model.pg holds"), "{sentence}");
}

/// Ends the run at its first step, whatever that step did to the parameters.
struct Impatient;

impl pg_host::training::Observer for Impatient {
    fn step(&mut self, _: usize, _: f32) -> bool {
        false
    }
}

#[test]
fn a_run_that_is_stopped_after_a_step_that_overflowed_has_finite_parameters() {
    use pg_host::training::{End, train};
    let arguments = ["pg-host", "train", "--rate", "3e38", "--batch", "1"].map(std::ffi::OsString::from);
    let Ok(pg_host::cli::Command::Train(options)) = pg_host::cli::parse(arguments) else { panic!("no train") };
    let zoo = pg_host::zoo();
    let network = zoo.iter().find(|entry| entry.name() == "mlp-64-32-10").unwrap().network();
    let samples = Arc::new(pg_host::data::Samples { inputs: vec![1e3; 64], labels: vec![1] });
    let trained = train(network, &options.recipe(), &samples, &mut Impatient);
    assert_eq!((trained.end, trained.steps), (End::Diverged { epoch: 1, step: 1 }, 0));
    assert!(trained.parameters.iter().all(|p| p.is_finite()));
}

/// Keeps the state after each step.
#[derive(Default)]
struct Keeper(Vec<pg_host::training::State>);

impl pg_host::training::Observer for Keeper {
    fn step(&mut self, _: usize, _: f32) -> bool {
        true
    }

    fn state(&mut self, state: &pg_host::training::State, _: bool) {
        self.0.push(state.clone());
    }
}

#[test]
fn a_run_that_goes_on_from_any_of_its_states_ends_with_the_same_bits() {
    use pg_host::training::{resume, train};
    let zoo = pg_host::zoo();
    let network = zoo.iter().find(|entry| entry.name() == "mlp-64-32-10").unwrap().network();
    let inputs = (0..50 * 64).map(|i| (i * 7 % 31) as f32 / 31.0).collect();
    let samples = Arc::new(pg_host::data::Samples { inputs, labels: (0..50).map(|i| i * 3 % 10).collect() });
    for line in ["", "--optimiser adam --ema 0.9 --augment shift=1,mixup=0.2", "--population 0 --sam 0.05", "--rate 1e5"] {
        let line = format!("pg-host train --epochs 3 --batch 16 --population 2 {line}");
        let Ok(pg_host::cli::Command::Train(options)) = pg_host::cli::parse(line.split_whitespace().map(Into::into)) else {
            panic!("{line}")
        };
        let (recipe, mut keeper) = (options.recipe(), Keeper::default());
        let whole = train(network, &recipe, &samples, &mut keeper);
        let bits = |parameters: &[f32]| parameters.iter().map(|p| p.to_bits()).collect::<Vec<_>>();
        assert!(!keeper.0.is_empty(), "{line}");
        assert_eq!(matches!(whole.end, pg_host::training::End::Diverged { .. }), line.contains("--rate"), "{line}");
        for state in keeper.0 {
            let step = state.step;
            let rest = resume(network, &recipe, &samples, state, &mut Keeper::default());
            assert!(bits(&rest.parameters) == bits(&whole.parameters), "{line}, from step {step}");
            let counts = |trained: &pg_host::training::Trained| (trained.end, trained.epochs, trained.steps, trained.passes);
            assert_eq!(counts(&rest), counts(&whole), "{line}, from step {step}");
            assert_eq!(rest.loss_nats.to_bits(), whole.loss_nats.to_bits(), "{line}, from step {step}");
        }
    }
}

#[test]
fn the_provenance_names_label_and_test_file_and_the_advice_can_be_copied() {
    let program = Program::new();
    let row = |i: u32| (0..9).map(|f| format!("{}.5,", (i * 31 + f * 17) % 13)).collect::<String>() + &format!("c{}\n", i % 11);
    let rows = || (0..44).map(row).collect::<String>();
    program.write("my data.csv", rows());
    program.write("parts/test.csv", rows());
    let output = program.command("train --epochs 1 --label 9 --test parts/test.csv --data").arg("my data.csv").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("eval model.pg --data 'my data.csv' --label 9 --test parts/test.csv "), "{text}");
    let options = program.json("inspect model.pg")["provenance"]["options"].clone();
    assert!(options.as_str().unwrap().ends_with(" label=9 test=test.csv"), "{options}");
}

#[test]
fn a_batch_that_does_not_divide_the_samples_and_one_that_is_larger_than_all_are_right() {
    let program = Program::new();
    for (batch, steps) in [(7, 172), (1199, 2), (5000, 1)] {
        let report = program.json(&format!("train --net mlp-64-32-10 --epochs 1 --population 0 --batch {batch}"));
        assert_eq!(report["steps"], steps);
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_after_the_step_writes_the_model_and_prints_the_results() {
    let program = Program::new();
    let mut command = program.command("train --net mlp-64-32-10 --epochs 1000000 --json");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert!(child.wait().unwrap().success());
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["stopped"], true);
    assert!(program.json("eval model.pg")["accuracy"].is_f64());
}
