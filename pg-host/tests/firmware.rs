//! What pg-embedded carries is what this program writes, and what it computes in the emulator is what this program computes.

mod program;

use std::io::Write;
use std::path::{Path, PathBuf};

use pg_host::data::CsvOptions;
use program::Program;

/// What wrote each model of pg-embedded, but for the path.
const COMMANDS: [(&str, &str); 3] = [
    ("models/mlp-64-32-10.pg", "train --net mlp-64-32-10 --population 8 --rho 0.6 --seed 1 --threads 1 --out"),
    ("models/mlp-9-24-11.pg", "train --data vowel --net mlp-9-24-11 --population 8 --rho 0.6 --seed 1 --threads 1 --out"),
    (
        "models/lenet-28.pg",
        "train --data fashion-tiny --net lenet-28 --epochs 20 --population 2 --rho 0.6 --rate 0.03 --seed 1 --threads 1 --out",
    ),
];

fn embedded(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pg-embedded").join(path)
}

#[test]
fn the_models_in_the_firmware_are_what_their_commands_write() {
    for (model, command) in COMMANDS {
        let program = Program::new();
        program.text(&format!("{command} model.pg"));
        let committed = std::fs::read(embedded(model)).unwrap();
        assert!(
            program.bytes("model.pg") == committed,
            "pg-embedded/{model} is not what its command writes. When the arithmetic has been changed on purpose, \
             write it again:\n  cargo run --release -- {command} pg-embedded/{model}"
        );
    }
}

#[test]
fn the_samples_in_the_firmware_are_the_first_of_the_test_parts() {
    for (name, file, size) in [("digits", "samples/digits.bin", 64), ("fashion-tiny", "samples/clothes.bin", 784)] {
        let samples = std::fs::read(embedded(file)).unwrap();
        let test = pg_host::data::find(name, &CsvOptions::default()).unwrap().test.unwrap();
        assert_eq!(samples.len(), 32 * (size + 1));
        for (i, sample) in samples.chunks(size + 1).enumerate() {
            let (grey, label) = sample.split_at(size);
            assert_eq!(u16::from(label[0]), test.labels[i]);
            assert!(grey.iter().zip(&test.inputs[size * i..]).all(|(&grey, &input)| f32::from(grey) == input), "{name}, sample {i}");
        }
    }
}

/// `cargo xtask test` runs the firmware in QEMU, then the tests.
#[test]
fn the_firmware_in_the_emulator_and_predict_on_the_desktop_have_the_same_logits_bit_for_bit() {
    let Some(path) = std::env::var_os("PG_FIRMWARE_OUTPUT") else {
        let reason = "skipped: the logits of the firmware in QEMU: PG_FIRMWARE_OUTPUT names no output; `cargo xtask test` makes one";
        writeln!(std::io::stderr(), "{reason}").unwrap(); // past the test harness, which would swallow it
        assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "CI=true allows no skipped test; {reason}");
        return;
    };
    let path = Path::new(&path);
    same_logits(path, "models/mlp-64-32-10.pg", "digits");
    // The larger network's output lies beside it.
    let name = path.file_name().unwrap().to_str().unwrap();
    same_logits(&path.with_file_name(name.replace("pg-embedded", "lenet")), "models/lenet-28.pg", "fashion-tiny");
    same_session(&path.with_file_name(name.replace("pg-embedded", "tune")));
}

/// What a program printed in the emulator against what `predict` prints.
fn same_logits(path: &Path, model: &str, data: &str) {
    let printed = std::fs::read_to_string(path).unwrap();
    let emulated: Vec<Vec<&str>> =
        printed.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|words| words[0] == "sample").collect();

    let predicted = Program::new().text(&format!("predict {} --data {data} --part test --limit 32 --bits", embedded(model).display()));
    let predicted: Vec<Vec<&str>> = predicted.lines().skip(1).map(|line| line.split(',').collect()).collect();

    assert_eq!((emulated.len(), predicted.len()), (32, 32), "{printed}");
    for (emulated, predicted) in emulated.iter().zip(&predicted) {
        // sample 0 label 3 class 3 ticks 20000 logits 3f800000 … against 0,3,0.98,3,3f800000,…
        let [_, sample, _, label, _, class, _, _, _, logits @ ..] = &emulated[..] else { panic!("{emulated:?}") };
        assert_eq!(sample, &predicted[0]);
        assert_eq!(logits, &predicted[4..], "sample {sample}");
        // The names of the digits are their numbers.
        assert!(data != "digits" || [class, label] == [&predicted[1], &predicted[3]], "sample {sample}");
    }
}

/// The session of fine-tuning that ran in the emulator against `replay`: each loss, each look, the parameters' check sum.
fn same_session(path: &Path) {
    let printed = std::fs::read_to_string(path).unwrap();
    let emulated: Vec<&str> = printed.lines().skip_while(|line| !line.starts_with("step ")).collect();
    let model = embedded("models/mlp-64-32-10.pg");
    let line =
        format!("replay {} --data digits --part test --samples 32 --hold-out 4 --patience 0 --steps 200 --seed 1 --log", model.display());
    let replayed = Program::new().text(&line);
    assert_eq!(emulated, replayed.lines().collect::<Vec<_>>());
    assert_eq!(emulated.len(), 200 + 20 + 1);
}
