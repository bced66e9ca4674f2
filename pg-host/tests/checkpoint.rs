//! `train --checkpoint` and `--resume`: what they say, refuse and survive. The kills are in kill.rs.

mod program;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use pg_host::checkpoint::Checkpoint;
use program::Program;

const RUN: &str = "train --net mlp-64-32-10 --population 0 --epochs 3";

/// A program in whose directory `run` a run of [`RUN`] was kept to its end.
fn kept() -> Program {
    let program = Program::new();
    program.text(&format!("{RUN} --checkpoint run"));
    program
}

/// The checkpoints of a run, the oldest first.
fn files(program: &Program) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(program.path("run")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn name(path: &std::path::Path) -> String {
    format!("run/{}", path.file_name().unwrap().to_str().unwrap())
}

#[test]
fn the_two_newest_checkpoints_are_kept_and_a_complete_run_gives_its_model_again() {
    let program = kept();
    let [_, newest] = &files(&program)[..] else { panic!("two files") };
    assert_eq!(name(newest), "run/step-0000000114.pgc");
    let model = program.bytes("model.pg");
    std::fs::remove_file(program.path("model.pg")).unwrap();
    let report = program.json("train --resume run");
    assert_eq!((&report["resumed_at_step"], &report["epochs"], &report["stopped"]), (&114.into(), &3.into(), &false.into()));
    assert_eq!(report["checkpoint"], serde_json::json!({"directory": "run", "step": 114}));
    assert!(program.bytes("model.pg") == model);
}

#[test]
fn a_run_without_a_directory_is_the_same_run() {
    let program = kept();
    let report = program.json(&format!("{RUN} --out plain.pg"));
    assert!(program.bytes("plain.pg") == program.bytes("model.pg"));
    assert!(report["checkpoint"].is_null() && report["resumed_at_step"].is_null());
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_the_run_ends_with_the_same_bytes() {
    let program = kept();
    let [model, whole] = ["model.pg", "run/step-0000000114.pgc"].map(|name| program.bytes(name));
    for damaged in [&whole[..whole.len() / 2], &whole[..1], b"", &[&whole[..99], &[!whole[99]], &whole[100..]].concat()] {
        program.write("run/step-0000000114.pgc", damaged);
        let older = name(&files(&program)[0]);
        let output = program.output("train --resume run");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && stderr.contains("run/step-0000000114.pgc is "), "{stderr}");
        assert!(stderr.contains(&format!("; {older} is used instead\n")), "{stderr}");
        assert!(program.bytes("model.pg") == model && program.bytes("run/step-0000000114.pgc") == whole);
    }
}

#[test]
fn where_no_checkpoint_is_whole_all_are_named() {
    let program = kept();
    let names: Vec<String> = files(&program).iter().map(|path| name(path)).collect();
    program.write(&names[1], "PGCK and no more");
    program.write(&names[0], "something else");
    let (sentence, code) = program.refusal("train --resume run");
    assert_eq!(code, 1);
    assert!(sentence.contains(&format!("{} is damaged or half-written", names[1])), "{sentence}");
    assert!(sentence.contains(&format!("{} is not a checkpoint of pg", names[0])), "{sentence}");
    names.iter().for_each(|name| std::fs::remove_file(program.path(name)).unwrap());
    let (sentence, _) = program.refusal("train --resume run");
    assert!(sentence.contains("run holds no checkpoint"), "{sentence}");
}

/// Writes the checkpoints of `run` anew, each with a change and a right check sum.
fn change(program: &Program, change: impl Fn(&mut Checkpoint)) {
    for file in files(program) {
        let mut checkpoint = Checkpoint::decode(&std::fs::read(&file).unwrap()).unwrap();
        change(&mut checkpoint);
        let Checkpoint { identity, state, validation } = checkpoint;
        std::fs::write(file, Checkpoint::encode(&identity, &state, validation.as_ref())).unwrap();
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused_in_a_sentence_that_says_what_differs() {
    type Change = fn(&mut Checkpoint);
    let cases: [(Change, &str); 6] = [
        (|c| c.identity.network = "Sequential<Vector<2>,(Dense<2>,)>".into(), "was made for the network Sequential<Vector<2>,(Dense<2>,)>"),
        (|c| c.identity.tool = "pg-host 0.0.1".into(), "was written by pg-host 0.0.1, and this is pg-host "),
        (|c| c.identity.options += " colour=red", "was written by a build with other default options"),
        (|c| c.identity.data ^= 1, "was made with other data"),
        (|c| c.state.step = 1_000_000, "is whole and holds no run"),
        (|c| c.identity.arguments = vec!["--colour".into()], "are refused: unexpected argument '--colour'"),
    ];
    for (what, part) in cases {
        let program = kept();
        let model = program.bytes("model.pg");
        change(&program, what);
        let (sentence, code) = program.refusal("train --resume run");
        assert!(code == 1 && sentence.contains("run/step-0000000114.pgc ") && sentence.contains(part), "{sentence}");
        assert!(program.bytes("model.pg") == model);
    }
}

#[test]
fn a_whole_checkpoint_of_another_format_is_refused_and_not_passed_over() {
    let program = kept();
    let mut bytes = program.bytes("run/step-0000000114.pgc");
    bytes[4] = 9;
    bytes.truncate(bytes.len() - 4);
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes);
    bytes.extend(crc.to_le_bytes());
    program.write("run/step-0000000114.pgc", bytes);
    let (sentence, code) = program.refusal("train --resume run");
    assert!(code == 1 && sentence.contains("run/step-0000000114.pgc has format version 9"), "{sentence}");
}

#[test]
fn data_that_have_changed_or_are_gone_are_refused() {
    let program = Program::new();
    let row = |i: u32| (0..9).map(|f| format!("{}.5,", (i * 31 + f * 17) % 13)).collect::<String>() + &format!("c{}\n", i % 11);
    let rows = |count: u32| (0..count).map(row).collect::<String>();
    program.write("mine.csv", rows(110));
    program.text("train --data mine.csv --population 0 --epochs 2 --checkpoint run");
    program.write("mine.csv", rows(121));
    let (sentence, _) = program.refusal("train --resume run");
    assert!(sentence.ends_with("was made with other data, which have changed since: bring them back as they were, or start the run anew"));
    // The same samples, scaled: what is learnt from is the same, what is kept in the model is not.
    program.write("mine.csv", rows(110).replace(".5", "5"));
    assert!(program.refusal("train --resume run").0.contains("other data"));
    std::fs::remove_file(program.path("mine.csv")).unwrap();
    let (sentence, code) = program.refusal("train --resume run");
    assert!(code == 1 && sentence.contains("learns from mine.csv, which is not here: go on with it where it was started"), "{sentence}");
    program.write("mine.csv", rows(110));
    program.text("train --resume run");
}

#[test]
fn options_that_change_the_result_are_refused_beside_resume_and_others_taken() {
    let program = kept();
    for option in ["--epochs 3", "--rate 0.2", "--data digits", "--net mlp-64-32-10", "--no-antithetic", "--augment flip", "--seed 1"] {
        let (sentence, code) = program.refusal(&format!("train --resume run {option}"));
        let name = option.split(' ').next().unwrap();
        assert!(code == 2 && sentence.starts_with(&format!("{name} cannot be given with --resume")), "{sentence}");
    }
    let report = program.json("train --resume run --threads 2 --out other.pg --every 5 --checkpoint elsewhere");
    assert_eq!((&report["options"]["threads"], &report["model"]["path"]), (&2.into(), &"other.pg".into()));
    assert_eq!(report["checkpoint"]["directory"], "elsewhere");
    assert!(program.bytes("other.pg") == program.bytes("model.pg"));
    // What was given then holds from then on.
    assert_eq!(program.json("train --resume elsewhere")["model"]["path"], "other.pg");
    // The same directory by another name.
    program.text("train --resume run --checkpoint ./run");
}

#[test]
fn directories_that_cannot_be_used_are_refused_before_training() {
    let program = kept();
    program.write("file", "no directory");
    program.write("taken/step-0000000001.pgc", "of another run");
    for (line, code, part) in [
        (
            format!("{RUN} --checkpoint run"),
            1,
            "run holds the checkpoints of a run: go on with it by --resume run, or give another directory",
        ),
        (format!("{RUN} --checkpoint taken"), 1, "taken holds the checkpoints of a run"),
        (format!("{RUN} --checkpoint file"), 1, "the directory file for checkpoints cannot be made: "),
        (format!("{RUN} --checkpoint file/run"), 1, "the directory file/run for checkpoints cannot be made: "),
        ("train --resume run --checkpoint taken".into(), 1, "taken holds the checkpoints of a run"),
        ("train --resume nowhere".into(), 1, "there is no directory nowhere with checkpoints"),
        ("train --resume file".into(), 1, "there is no directory file with checkpoints"),
        ("train --every 3".into(), 2, "--every says how often a run is kept, and needs --checkpoint DIR"),
        ("train --checkpoint x --every 0".into(), 2, "a number of epochs, as in 1, or of steps, as in 500steps"),
        ("train --checkpoint x --every 5minutes".into(), 2, "a number of epochs, as in 1, or of steps, as in 500steps"),
    ] {
        let (sentence, found) = program.refusal(&line);
        assert!(found == code && sentence.contains(part), "{line}: {sentence}");
    }
}

/// Waits until `holds`.
fn wait(holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited for a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(unix)]
#[test]
fn a_directory_has_one_run_at_a_time() {
    let program = Program::new();
    let mut child = program.command("train --epochs 100000 --checkpoint run").stderr(Stdio::null()).spawn().unwrap();
    wait(|| program.path("run/step-0000000000.pgc").exists());
    for line in ["train --resume run", "train --checkpoint run"] {
        let (sentence, code) = program.refusal(line);
        assert!(code == 1 && sentence.starts_with("run is in use by a run that has not ended"), "{sentence}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn checkpoints_that_cannot_be_written_end_no_training() {
    let program = Program::new();
    program.text("train --epochs 40 --out whole.pg");
    let command =
        program.command("train --epochs 40 --checkpoint run --every 1steps").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = command.unwrap();
    wait(|| program.path("run/step-0000000000.pgc").exists());
    // As a disk that goes away; permissions would not stop the superuser.
    wait(|| std::fs::remove_dir_all(program.path("run")).is_ok());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && program.bytes("model.pg") == program.bytes("whole.pg"), "{stderr}");
    assert_eq!(stderr.matches("there is no directory run; create it first; the newest checkpoint is that of step ").count(), 2, "{stderr}");
    assert_eq!(stderr.matches("; the training goes on and tries again\n").count(), 1, "{stderr}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_that_cannot_be_written_leaves_the_run_whose_model_can_be_written_elsewhere() {
    let program = Program::new();
    let (sentence, code) = program.refusal(&format!("{RUN} --checkpoint run --out /dev/full"));
    assert!(code == 1 && sentence.starts_with("/dev/full cannot be written: no space left for it"), "{sentence}");
    assert!(
        sentence.ends_with("; the whole run is kept: `pg-host train --resume run --out FILE` writes the model elsewhere"),
        "{sentence}"
    );
    program.text("train --resume run --out model.pg");
    program.text(&format!("{RUN} --out whole.pg"));
    assert!(program.bytes("model.pg") == program.bytes("whole.pg"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_writes_a_checkpoint_and_says_how_to_go_on() {
    let program = Program::new();
    let line = "train --net mlp-64-32-10 --epochs 60 --population 8";
    program.text(&format!("{line} --out whole.pg"));
    let command = program.command(&format!("{line} --checkpoint run --every 100")).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let child = command.unwrap();
    wait(|| program.path("run/step-0000000000.pgc").exists());
    std::thread::sleep(Duration::from_millis(30));
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("of 60 epochs, in "), "{text}");
    let newest = files(&program).pop().unwrap();
    let step: u32 = name(&newest)["run/step-".len()..][..10].parse().unwrap();
    assert!(text.contains("  pg-host train --resume run "), "{text}");
    assert!(text.contains(&format!("   # goes on behind step {step} of 2280\n")), "{text}");
    assert_eq!(program.json("train --resume run")["resumed_at_step"], step);
    assert!(program.bytes("model.pg") == program.bytes("whole.pg"));
}

#[test]
fn what_an_interrupted_write_leaves_is_swept_up() {
    let program = kept();
    program.write("run/.pg-AbCdEf.part", "half a checkpoint");
    program.write("run/notes.txt", "the user's");
    program.text("train --resume run");
    assert!(!program.path("run/.pg-AbCdEf.part").exists() && program.path("run/notes.txt").exists());
}

#[test]
fn the_first_checkpoint_is_there_before_the_first_step() {
    let program = Program::new();
    let (sentence, _) = program.refusal("train --net mlp-64-32-10 --rate 1e38 --checkpoint run");
    assert!(sentence.contains("no longer a finite number"), "{sentence}");
    let again = program.refusal("train --resume run").0;
    assert_eq!(again, sentence, "a run that diverges does so again");
}
