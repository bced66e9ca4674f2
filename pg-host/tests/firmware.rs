//! What pg-embedded carries is what this program writes, and what it computes in the emulator is what this program computes.

mod program;

use std::io::Write;
use std::path::{Path, PathBuf};

use pg_host::data::CsvOptions;
use program::Program;

/// What wrote `pg-embedded/models/mlp-64-32-10.pg`, but for the path.
const COMMAND: &str = "train --net mlp-64-32-10 --seed 1 --threads 1 --out";

fn embedded(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pg-embedded").join(path)
}

#[test]
fn the_model_in_the_firmware_is_what_its_command_writes() {
    let program = Program::new();
    program.text(&format!("{COMMAND} model.pg"));
    let committed = std::fs::read(embedded("models/mlp-64-32-10.pg")).unwrap();
    assert!(
        program.bytes("model.pg") == committed,
        "pg-embedded/models/mlp-64-32-10.pg is not what its command writes. When the arithmetic has been changed on purpose, \
         write it again:\n  cargo run --release -- {COMMAND} pg-embedded/models/mlp-64-32-10.pg"
    );
}

#[test]
fn the_samples_in_the_firmware_are_the_first_of_the_test_part() {
    let samples = std::fs::read(embedded("samples/digits.bin")).unwrap();
    let digits = pg_host::data::find("digits", &CsvOptions::default()).unwrap();
    let test = digits.test.unwrap();
    assert_eq!(samples.len(), 32 * 65);
    for (i, sample) in samples.chunks(65).enumerate() {
        let (grey, label) = sample.split_at(64);
        assert_eq!(u16::from(label[0]), test.labels[i]);
        assert!(grey.iter().zip(&test.inputs[64 * i..]).all(|(&grey, &input)| f32::from(grey) == input), "sample {i}");
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
    let printed = std::fs::read_to_string(&path).unwrap();
    let emulated: Vec<Vec<&str>> =
        printed.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|words| words[0] == "sample").collect();

    let model = embedded("models/mlp-64-32-10.pg");
    let predicted = Program::new().text(&format!("predict {} --data digits --part test --limit 32 --bits", model.display()));
    let predicted: Vec<Vec<&str>> = predicted.lines().skip(1).map(|line| line.split(',').collect()).collect();

    assert_eq!((emulated.len(), predicted.len()), (32, 32), "{printed}");
    for (emulated, predicted) in emulated.iter().zip(&predicted) {
        // sample 0 label 3 class 3 ticks 20000 logits 3f800000 … against 0,3,0.98,3,3f800000,…
        let [_, sample, _, label, _, class, _, _, _, logits @ ..] = &emulated[..] else { panic!("{emulated:?}") };
        assert_eq!([sample, class, label], [&predicted[0], &predicted[1], &predicted[3]]);
        assert_eq!(logits, &predicted[4..], "sample {sample}");
    }
}
