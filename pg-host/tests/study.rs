//! `study` and `gradient`, end to end: small studies, resumed, cut, divided and joined.

mod program;

use program::Program;
use serde_json::Value;

const STUDY: &str = r#"
name = "tiny"
options = "--epochs 2 --batch 100"
seeds = 3

[tuning]
grid = { rate = [0.05, 0.1] }
seeds = 1

[cells.digits]
options = "--data digits --train-samples 300"
nets = ["mlp-64-32-10"]

[cells.vowel]
options = "--data vowel"
nets = ["mlp-9-24-11"]

[arms]
sgd = "--population 0"
population = "--population 2 --rho 0.3"

[axes.rho]
label = "noise ρ"
options = "--rho {}"
values = [0.1, 0.3, 0.9]
arms = ["population"]

[axes.method]
base = "plain"
levels = { cosine = "--schedule constant" }
cells = ["digits"]
"#;

fn with_study(text: &str) -> Program {
    let program = Program::new();
    program.write("tiny.toml", text);
    program
}

fn lines(program: &Program, name: &str) -> Vec<String> {
    String::from_utf8(program.bytes(name)).unwrap().lines().map(String::from).collect()
}

/// The lines of runs in a fixed order and without what differs from time to time.
fn results(program: &Program, name: &str) -> Vec<String> {
    let mut results: Vec<String> = lines(program, name)[1..]
        .iter()
        .map(|line| {
            let mut run: Value = serde_json::from_str(line).unwrap();
            run["seconds"] = 0.into();
            run.to_string()
        })
        .collect();
    results.sort();
    results
}

fn said(program: &Program, line: &str) -> (String, String) {
    let output = program.output(line);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{line}: {stderr}");
    (stdout, stderr)
}

#[test]
fn a_study_runs_once_and_a_second_call_makes_nothing() {
    let program = with_study(STUDY);
    let (text, _) = said(&program, "study run tiny.toml");
    // Tuning: two cells, two arms, two trials. Finals with three seeds: two cells of two arms and two further ρ; two arms without cosine.
    assert_eq!(lines(&program, "tiny.jsonl").len(), 1 + 8 + 3 * (4 + 4 + 2), "{text}");
    for part in [
        "digits, mlp-64-32-10: on the test part",
        "population − sgd",
        "Mean rank of the arms on validation samples, 2 cells, 1 is best",
        "vowel, mlp-9-24-11: noise ρ",
        "plain",
        "--rate 0.",
        "wrote tiny.html",
    ] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    // A part of the study goes into the same file, and the whole makes what is missing.
    said(&program, "study run tiny.toml --cells vowel --out parts.jsonl");
    let part = lines(&program, "parts.jsonl");
    assert!(part.len() < 1 + 38 && part[1..].iter().all(|line| line.contains("--data vowel")));
    said(&program, "study run tiny.toml --out parts.jsonl");
    assert_eq!(results(&program, "parts.jsonl"), results(&program, "tiny.jsonl"));
    let before = program.bytes("tiny.jsonl");
    let (again, stderr) = said(&program, "study run tiny.toml");
    assert!(stderr.contains("0 runs were made, 38 were in tiny.jsonl before"), "{stderr}");
    assert_eq!((again, program.bytes("tiny.jsonl")), (text, before));
    let html = String::from_utf8(program.bytes("tiny.html")).unwrap();
    for part in [
        "Who is better",
        "Learning curves",
        "Score against compute",
        "Gain against noise ρ",
        "By method",
        "<svg role=\"img\"",
        "digits, mlp-64-32-10",
    ] {
        assert!(html.contains(part), "`{part}` is not in the page");
    }
    assert!(!html.contains("http") && !html.contains("<script") && !html.contains("NaN"));
    let report = program.json("study report tiny.jsonl --csv runs.csv --html other.html");
    assert_eq!((&report["runs"], &report["missing"], &report["strays"]), (&38.into(), &Value::Array(vec![]), &Value::Array(vec![])));
    assert_eq!(program.bytes("other.html"), program.bytes("tiny.html"));
    // Places, not runs: ρ = 0.3 is the population without an axis, and so on.
    let csv = String::from_utf8(program.bytes("runs.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 3 * (2 * (2 + 3 * 2) + 2 * 2));
    assert!(csv.starts_with("cell,axis,level,arm,seed,setting,macro_f1,accuracy,nll_nats,ece,"));
}

#[test]
fn train_with_the_words_of_a_run_repeats_it_to_the_bit() {
    let program = with_study(STUDY);
    program.text("study run tiny.toml");
    for line in &lines(&program, "tiny.jsonl")[1..] {
        let run: Value = serde_json::from_str(line).unwrap();
        if run["options"]["seed"] != 2 {
            continue;
        }
        let words = run["words"].as_str().unwrap();
        let trained = program.json(&format!("train {words} --threads 2"));
        for score in ["macro_f1", "accuracy", "nll", "ece"] {
            assert_eq!(trained["test"][score], run["test"][score], "{words}");
        }
        let bytes = program.bytes("model.pg");
        let model = pg_core::model_file::Model::decode(&bytes).unwrap();
        let parameters: Vec<f32> = model.parameters.iter().collect();
        assert_eq!(pg_host::study::run::parameters_crc(&parameters), run["parameters_crc"].as_str().unwrap(), "{words}");
        assert_eq!(trained["train"]["loss_nats"], run["train_loss_nats"]);
    }
}

#[test]
fn tuning_sees_no_test_sample_and_final_runs_hold_nothing_out() {
    let program = with_study(STUDY);
    program.text("study run tiny.toml");
    for line in &lines(&program, "tiny.jsonl")[1..] {
        let run: Value = serde_json::from_str(line).unwrap();
        let tuning = run["purpose"] == "tuning";
        assert_eq!((run["test"].is_object(), run["validation"].is_object()), (!tuning, tuning), "{line}");
        assert_eq!(run["options"]["validation"].as_f64().unwrap() > 0.0, tuning);
        assert_eq!(run["options"]["seed"].as_u64().unwrap() > 1000, tuning);
        assert!(run["curve"].as_array().unwrap().iter().all(|moment| moment.get("macro_f1").is_some() == tuning));
    }
}

#[test]
fn a_line_that_a_crash_cut_is_named_and_made_again_and_no_other_run_is() {
    let program = with_study(STUDY);
    program.text("study run tiny.toml");
    let (whole, all) = (program.bytes("tiny.jsonl"), results(&program, "tiny.jsonl"));
    program.write("tiny.jsonl", &whole[..whole.len() - 100]);
    let (text, stderr) = said(&program, "study report tiny.jsonl");
    assert!(stderr.contains("tiny.jsonl, line 39: cut in the middle, as by a crash; it is dropped"), "{stderr}");
    assert!(text.contains("missing: ") && text.contains("1 of 3 final runs"), "{text}");
    let (_, stderr) = said(&program, "study run tiny.toml --jobs 2");
    assert!(stderr.contains("line 39: cut in the middle") && stderr.contains("1 runs were made, 37 were in"), "{stderr}");
    assert_eq!(results(&program, "tiny.jsonl"), all);
    // A damaged line in the middle costs that run only.
    let mut damaged = lines(&program, "tiny.jsonl");
    damaged[5] = damaged[5][..50].into();
    program.write("tiny.jsonl", damaged.join("\n") + "\n");
    let (_, stderr) = said(&program, "study run tiny.toml");
    assert!(stderr.contains("tiny.jsonl, line 6: not a run") && stderr.contains("1 runs were made, 37 were in"), "{stderr}");
    assert_eq!(results(&program, "tiny.jsonl"), all);
}

#[test]
fn shards_make_everything_once_and_merge_into_what_one_run_makes() {
    let program = with_study(STUDY);
    program.text("study run tiny.toml --jobs 3");
    let mut files = String::new();
    for part in 1..=3 {
        let made = program.json(&format!("study run tiny.toml --shard {part}/3 --out s{part}.jsonl"));
        assert_eq!((&made["shard"], &made["of"]), (&part.into(), &3.into()));
        files += &format!(" s{part}.jsonl");
    }
    let merged = program.json(&format!("study merge{files} --out all.jsonl"));
    assert_eq!(
        (&merged["runs"], merged["gaps"].as_array().unwrap().len(), merged["duplicates"].as_array().unwrap().len()),
        (&38.into(), 0, 0)
    );
    assert_eq!(results(&program, "all.jsonl"), results(&program, "tiny.jsonl"));
    assert_eq!(program.text("study merge s1.jsonl s2.jsonl s3.jsonl --out all.jsonl"), "38 runs in all.jsonl: the study is complete\n");
    // Gaps and duplicates are named.
    let text = program.text("study merge s1.jsonl s3.jsonl s1.jsonl --out part.jsonl");
    assert!(text.contains("duplicate: s1.jsonl: `--epochs 2 --batch 100 --data digits"), "{text}");
    assert!(text.contains("gap: digits, mlp-64-32-10, population: 2 tuning runs, the first `--epochs 2"), "{text}");
    // The gaps are filled by the same command.
    let (_, stderr) = said(&program, "study run tiny.toml --out part.jsonl");
    assert!(stderr.contains("runs were made") && results(&program, "part.jsonl") == results(&program, "tiny.jsonl"), "{stderr}");
}

#[test]
fn shards_of_different_studies_or_results_are_not_joined() {
    let program = with_study(STUDY);
    program.text("study run tiny.toml --shard 1/4 --out a.jsonl");
    program.write("tiny.toml", STUDY.replace("--population 2 --rho 0.3", "--population 4 --rho 0.3"));
    program.text("study run tiny.toml --shard 2/4 --out b.jsonl");
    let refused = |line: &str, sentence: &str| assert_eq!(program.refusal(line), (sentence.to_string(), 1));
    refused(
        "study merge a.jsonl b.jsonl --out all.jsonl",
        "a.jsonl and b.jsonl are of studies that differ: study.arms.population is `--population 2 --rho 0.3` in one and `--population 4 --rho 0.3` in the other",
    );
    let (sentence, _) = program.refusal("study run tiny.toml --out a.jsonl");
    assert!(sentence.starts_with("a.jsonl is of a study that differs: arms.population is `--population 2"), "{sentence}");
    let text = String::from_utf8(program.bytes("a.jsonl")).unwrap();
    let crc = text.split("\"parameters_crc\":\"").nth(1).unwrap()[..16].to_string();
    program.write("c.jsonl", text.replacen(&crc, "0000000000000000", 1));
    let (sentence, code) = program.refusal("study merge a.jsonl c.jsonl --out all.jsonl");
    assert!(sentence.starts_with("c.jsonl: the run `--epochs 2") && sentence.contains("has another result") && code == 1, "{sentence}");
    assert!(!program.path("all.jsonl").exists());
}

#[test]
fn a_plan_counts_runs_and_hours_and_starts_nothing() {
    let program = with_study(STUDY);
    let plan = program.json("study plan tiny.toml");
    assert_eq!((&plan["runs"], &plan["tuning"], &plan["made"]), (&38.into(), &"grid".into(), &0.into()));
    let hours = plan["core_hours"].as_f64().unwrap();
    assert!(hours > 0.0 && hours < 1.0, "{plan}");
    assert!(plan["rows"].as_array().unwrap().iter().all(|row| row["us_per_step"].as_f64().unwrap() > 0.0));
    assert!(!program.path("tiny.jsonl").exists());
    let parts: u64 = (1..=3).map(|part| program.json(&format!("study plan tiny.toml --shard {part}/3"))["runs"].as_u64().unwrap()).sum();
    assert_eq!(parts, 38);
    assert!(program.text("study plan tiny.toml").contains("38 runs, 0.0"));
    // Vowel: two arms of two trials; three seeds of two arms and two further ρ. Nothing is left of the axis that is for digits.
    assert_eq!(program.json("study plan tiny.toml --cells vowel")["runs"], 4 + 3 * 4);
    program.text("study run tiny.toml --shard 1/4");
    let left = program.json("study plan tiny.toml");
    assert!(left["runs"].as_u64().unwrap() < 38 && left["runs"].as_u64().unwrap() + left["made"].as_u64().unwrap() == 38, "{left}");
}

#[test]
fn a_budget_shortens_the_tuning_and_refuses_what_it_cannot_pay() {
    let study = STUDY.replace("--epochs 2", "--epochs 18").replace("[0.05, 0.1]", "[0.02, 0.04, 0.06, 0.08, 0.1, 0.12]");
    let program = with_study(&study);
    let (sentence, code) = program.refusal("study run tiny.toml --budget 0.0000001");
    assert!(sentence.contains("core-hours are needed, --budget allows 0.0000001; the dearest is") && code == 1, "{sentence}");
    assert!(!program.path("tiny.jsonl").exists());
    let halving = with_study(&study.replace("seeds = 1\n", "seeds = 1\nmethod = \"halving\"\n"));
    let plan = halving.json("study plan tiny.toml");
    // Each of four units: six trials at 2 epochs, two at 6, two at 18.
    assert_eq!((&plan["tuning"], &plan["runs"]), (&"halving".into(), &(4 * 10 + 30).into()));
    halving.text("study run tiny.toml --jobs 2");
    let epochs = |epochs: u64| {
        let of = |line: &String| serde_json::from_str::<Value>(line).unwrap();
        lines(&halving, "tiny.jsonl")[1..].iter().map(of).filter(|run| run["purpose"] == "tuning" && run["epochs"] == epochs).count()
    };
    assert_eq!([2, 6, 18].map(epochs), [4 * 6, 4 * 2, 4 * 2]);
}

#[test]
fn every_mistake_in_a_study_is_named() {
    let program = with_study(STUDY);
    let refuses = |from: &str, to: &str, parts: &[&str]| {
        assert!(STUDY.contains(from), "{from}");
        program.write("bad.toml", STUDY.replacen(from, to, 1));
        for verb in ["plan", "run"] {
            let (sentence, code) = program.refusal(&format!("study {verb} bad.toml"));
            assert!(code == 2 && parts.iter().all(|part| sentence.contains(part)), "{code} {sentence}");
        }
        assert!(!program.path("tiny.jsonl").exists());
    };
    refuses("seeds = 3", "sedes = 3", &["bad.toml, line 4: unknown field `sedes`"]);
    refuses("name = \"tiny\"", "name = \"tiny", &["bad.toml, line 2: "]);
    refuses("\"--population 0\"", "\"\"", &["bad.toml: arm `sgd` is empty"]);
    refuses("--data vowel", "--data nowhere", &["bad.toml: vowel, mlp-9-24-11, sgd: there is no data set called `nowhere`"]);
    refuses("--data vowel", "--data ./none.csv", &["vowel, mlp-9-24-11, sgd: ./none.csv cannot be read"]);
    refuses("mlp-9-24-11", "mlp-64-32-10", &["vowel has 9x1x1 inputs", "try --net mlp-9-24-11"]);
    refuses("mlp-9-24-11", "mlp", &["there is no network called `mlp`"]);
    refuses("--population 2", "--populations 2", &["digits, mlp-64-32-10, population: unexpected argument '--populations'"]);
    refuses("--population 2", "--population 2 --seed 3", &["`--seed` is not for a study"]);
    refuses("--train-samples 300", "--train-samples 3000", &["--train-samples must be at most 1200"]);
    refuses("[0.1, 0.3, 0.9]", "[]", &["axis `rho` needs either `values` or `levels`"]);
    refuses("seeds = 1\n", "seeds = 1\ntrials = 3\n", &["its grid has 2 settings, and 3 trials are asked for of every arm"]);
    refuses("--population 0", "--population 0 {long}", &["`{long}` stands for nothing"]);
    for (line, part) in [
        ("study run tiny.toml --shard 4/3", "there are 3 shards, from 1 to 3, and 4 is beyond them"),
        ("study run tiny.toml --shard 0/3", "the first is 1"),
        ("study run tiny.toml --jobs 0", "--jobs must be between 1 and 1024"),
        ("study plan tiny.toml --budget -1", "--budget"),
        ("study plan tiny.toml --cells digits,digit", "--cells names `digit`, and there are digits, vowel"),
        ("study run nothing", "there is no study nothing: no preset (quick, ablation, axes, defaults, headline)"),
        ("study merge --out x.jsonl", "<FILES>"),
    ] {
        let (sentence, code) = program.refusal(line);
        assert!(sentence.contains(part) && code == 2, "{line}: {code} {sentence}");
    }
    let (sentence, code) = program.refusal("study report tiny.toml");
    assert!(sentence.starts_with("tiny.toml, line 1: this is no file of a study") && code == 1, "{sentence}");
}

#[test]
fn a_file_that_another_program_writes_is_left_alone() {
    let program = with_study(STUDY);
    program.text("study run tiny.toml --shard 1/4");
    let held = std::fs::File::options().append(true).open(program.path("tiny.jsonl")).unwrap();
    held.lock().unwrap();
    let (sentence, code) = program.refusal("study run tiny.toml");
    assert_eq!((&sentence[..], code), ("tiny.jsonl is being written by another run of this program", 1));
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_every_complete_run_and_the_same_command_goes_on() {
    use std::io::{BufRead, BufReader, Read};
    let program = with_study(&STUDY.replace("--epochs 2", "--epochs 3000"));
    let mut child = program.command("study run tiny.toml").stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(rest.contains("error: stopped: ") && rest.contains("the same command goes on from there"), "{rest}");
    let kept = lines(&program, "tiny.jsonl").len() - 1;
    assert!(rest.contains(&format!("stopped: {kept} runs are in tiny.jsonl")), "{rest}");
    let plan = program.json("study plan tiny.toml");
    assert_eq!(plan["made"], kept);
}

#[test]
fn every_preset_can_be_planned_and_the_quick_one_is_a_study_file() {
    let program = Program::new();
    let list = program.text("study presets");
    for name in ["quick", "ablation", "axes", "defaults", "headline"] {
        assert!(list.contains(name));
        let text = program.text(&format!("study presets {name}"));
        let study = pg_host::study::file::Study::parse(&text, name).unwrap();
        pg_host::study::plan::Plan::new(study, name).unwrap();
    }
    assert!(program.json("study plan quick")["core_hours"].as_f64().unwrap() < 0.1);
}

#[test]
fn gradient_measures_along_a_run_and_draws_it() {
    let program = Program::new();
    let line = "gradient --net mlp-64-32-10 --epochs 3 --population 4 --rho 0.3 --repeats 4";
    let report = program.json(&format!("{line} --at 0,10,57"));
    assert_eq!((&report["train_samples"], &report["held_out_samples"]), (&600.into(), &600.into()));
    let measurements = report["measurements"].as_array().unwrap();
    assert_eq!(measurements.iter().map(|m| m["step"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 10, 57]);
    for m in measurements {
        for estimate in ["plain", "plain_at_equal_compute", "population"] {
            assert!((-1.0..=1.0).contains(&m[estimate]["cosine"].as_f64().unwrap()) && m[estimate]["norm_ratio"].as_f64().unwrap() > 0.0);
        }
        assert_eq!(m["plain_at_equal_compute"]["samples"], 128);
    }
    let text = program.text(line);
    assert!(text.contains("cos population") && text.contains("wrote gradient.html"), "{text}");
    let html = String::from_utf8(program.bytes("gradient.html")).unwrap();
    assert!(html.contains("cosine with the held-out gradient") && !html.contains("http") && !html.contains("NaN"));
    let (sentence, code) = program.refusal("gradient --epochs 1 --at 0,1000");
    assert!(sentence.contains("--at must be at most 19") && code == 2, "{sentence}");
    let (sentence, code) = program.refusal("gradient --population 0");
    assert!(sentence.contains("--population must be at least 1") && code == 2, "{sentence}");
}
