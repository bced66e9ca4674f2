//! `device`, against a device in this process that is reached over TCP.

#[path = "../program/mod.rs"]
mod program;
mod simulated;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pg_core::link::{LinkError, Request, Retry};
use pg_core::model_file::Model;
use pg_host::device::{Buffers, Connection, DeviceError, open};
use program::Program;
use serde_json::Value;
use simulated::{Simulated, flashed, listen, samples};

/// The program with a trained model, and a device with that model in its flash.
fn with_device(hang_up_after: usize) -> (Program, String, Arc<Mutex<Simulated>>) {
    let program = Program::new();
    program.trained();
    let (port, device) = listen(flashed(program.bytes("model.pg")), hang_up_after);
    (program, format!("device --port {port}"), device)
}

fn parameters(file: &[u8]) -> Vec<u32> {
    Model::decode(file).unwrap().parameters.iter().map(f32::to_bits).collect()
}

#[test]
fn info_says_who_the_device_is() {
    let (program, device, _) = with_device(usize::MAX);
    let info = program.json(&format!("{device} info"));
    let inspected = program.json("inspect model.pg");
    assert_eq!(info["fingerprint"], inspected["fingerprint"]);
    let expected: [(&str, Value); 6] = [
        ("firmware", "simulated 1".into()),
        ("parameters", 2410.into()),
        ("classes", 10.into()),
        ("samples", 50.into()),
        ("largest_request_bytes", 300.into()),
        ("protocol", 1.into()),
    ];
    expected.into_iter().for_each(|(name, value)| assert_eq!(info[name], value, "{name}"));
    assert_eq!((&info["memory_bytes"]["parameters"], &info["status"]["activity"]), (&9640.into(), &"idle".into()));
    let text = program.text(&format!("{device} info"));
    assert!(text.contains("1x8x8 inputs, 10 classes, 2410 parameters") && text.contains("\nidle; step 0, loss -,"), "{text}");
    assert!(program.text(&format!("{device} monitor")).starts_with("idle; step 0"));
    assert_eq!(program.text(&format!("{device} self-test")), "2 of 2 known samples passed\n");
}

#[test]
fn the_device_classifies_with_the_bits_of_predict() {
    let (program, device, _) = with_device(usize::MAX);
    let there = program.json(&format!("{device} infer --limit 30"));
    let here = program.json("predict model.pg --limit 30 --bits");
    for i in 0..30 {
        assert_eq!((&there["predictions"][i]["bits"], &there["predictions"][i]["label"]), (&here[i]["bits"], &here[i]["label"]), "{i}");
    }
    let text = program.text(&format!("{device} infer --skip 5 --limit 2"));
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn it_learns_from_labelled_samples_is_pulled_and_goes_back_to_the_factory() {
    let (program, device, there) = with_device(usize::MAX);
    let labelled = program.json(&format!("{device} label --part train --limit 40"));
    assert_eq!((&labelled["samples"], samples(&there)), (&40.into(), 40));
    let tuned = program.json(&format!("{device} tune --steps 60 --rate 0.02 --population 2"));
    assert_eq!((&tuned["activity"], &tuned["step"], &tuned["steps_left"]), (&"idle".into(), &60.into(), &0.into()));
    assert_eq!(program.json(&format!("{device} tune --steps 2"))["step"], 62, "with the options of the last time");
    let scored = program.json(&format!("{device} eval"));
    assert!(scored["right"].as_u64().unwrap() >= 38 && scored["samples"] == 40, "{scored}");
    assert!(program.text(&format!("{device} save")).starts_with("saved as state "));

    program.text(&format!("{device} pull model.pg"));
    let pulled = program.bytes("pulled.pg");
    let on_device: Vec<u32> = there.lock().unwrap().parameters().iter().map(|number| number.to_bits()).collect();
    assert_eq!(parameters(&pulled), on_device);
    assert_ne!(parameters(&pulled), parameters(&program.bytes("model.pg")));
    assert!(program.text("inspect pulled.pg").contains("device_step=62"));
    assert!(program.json("eval pulled.pg")["macro_f1"].as_f64().unwrap() > 0.8);

    assert_eq!(program.json(&format!("{device} forget 10"))["step"], 62);
    assert_eq!(samples(&there), 30);
    program.text(&format!("{device} reset"));
    program.text(&format!("{device} pull model.pg --out factory.pg"));
    assert_eq!(parameters(&program.bytes("factory.pg")), parameters(&program.bytes("model.pg")));
    program.text(&format!("{device} push pulled.pg"));
    let on_device: Vec<u32> = there.lock().unwrap().parameters().iter().map(|number| number.to_bits()).collect();
    assert_eq!(parameters(&pulled), on_device);
}

#[test]
fn what_it_learns_has_the_bits_of_replay() {
    let (program, device, _) = with_device(usize::MAX);
    for noise in ["", " --noise rank1 --population 5"] {
        program.text(&format!("{device} reset"));
        program.text(&format!("{device} label --part train --limit 40"));
        program.text(&format!("{device} tune --steps 120 --hold-out 4{noise}"));
        let pulled = program.json(&format!("{device} pull model.pg"));
        let replayed = program.json(&format!("replay model.pg --samples 40 --steps 120 --hold-out 4 --patience 0{noise}"));
        assert_eq!(pulled["parameters_crc"], replayed["sessions"][0]["parameters_crc"], "{noise}");
    }
}

/// A session with two ways of tuning, more samples in between, a stop, a push and a roll-back: `device` is the beginning of each line.
fn recorded(program: &Program, device: &str) {
    program.text("train --net mlp-64-32-10 --population 0 --epochs 2 --seed 9 --out other.pg");
    for line in [
        "label --part train --limit 30",
        "tune --steps 40 --hold-out 4 --population 2 --rate 0.1",
        "label --part train --skip 30 --limit 10",
        "tune --steps 10",
        "roll-back",
        "forget 5",
        "save",
        "tune --steps 25 --layers 1 --momentum 0.5 --noise gaussian --seed 7",
        "push other.pg",
        "tune --steps 30 --population 0 --weight-decay 0.001",
        "stop",
        "eval",
    ] {
        program.text(&format!("{device} {line} --record session.jsonl"));
    }
}

#[test]
fn a_recorded_session_is_replayed_to_the_same_bits() {
    let (program, device, there) = with_device(usize::MAX);
    recorded(&program, &device);
    let pulled = program.json(&format!("{device} pull model.pg"));
    let replayed = program.json("replay model.pg --session session.jsonl --out replayed.pg");
    assert_eq!(replayed["parameters_crc"], pulled["parameters_crc"]);
    assert_eq!(parameters(&program.bytes("replayed.pg")), parameters(&program.bytes("pulled.pg")));
    let expected: [(&str, u64); 3] = [("labelled", 40), ("steps", 105), ("commands", 49)];
    expected.into_iter().for_each(|(name, value)| assert_eq!(replayed[name], value, "{name} in {replayed}"));
    assert!(replayed["compared"].as_u64().unwrap() >= 24, "before and after each command: {replayed}");
    let text = program.text("replay model.pg --session session.jsonl");
    assert!(text.contains("the same bits at all "), "{text}");
    let log = program.text("replay model.pg --session session.jsonl --log");
    assert!(log.lines().count() > 105 && log.contains("parameters crc "), "{log}");

    // A reset begins anew, in the same record.
    program.text(&format!("{device} reset --record session.jsonl"));
    program.text(&format!("{device} label --part train --limit 12 --record session.jsonl"));
    program.text(&format!("{device} tune --steps 20 --seed 3 --record session.jsonl"));
    let pulled = program.json(&format!("{device} pull model.pg"));
    assert_eq!(program.json("replay model.pg --session session.jsonl")["parameters_crc"], pulled["parameters_crc"]);
    assert_eq!(samples(&there), 12);
}

#[test]
fn tuning_that_is_stopped_half_way_is_replayed_to_the_step_at_which_it_stopped() {
    let (program, device, _) = with_device(usize::MAX);
    program.text(&format!("{device} label --part train --limit 30 --record session.jsonl"));
    // The device takes a step between two bytes or after a millisecond: this would take it minutes.
    let mut tuning = program.command(&format!("{device} tune --steps 1000000 --seed 2 --record session.jsonl")).spawn().unwrap();
    while !String::from_utf8_lossy(&program.bytes("session.jsonl")).contains("\"tuning\":true") {
        std::thread::sleep(Duration::from_millis(20));
    }
    tuning.kill().unwrap();
    tuning.wait().unwrap();
    let stopped = program.json(&format!("{device} stop --record session.jsonl"));
    let replayed = program.json("replay model.pg --session session.jsonl");
    assert_eq!(replayed["steps"], stopped["step"]);
    assert_eq!(replayed["parameters_crc"], program.json(&format!("{device} pull model.pg"))["parameters_crc"]);
}

#[test]
fn a_record_that_is_cut_out_of_order_or_of_something_else_is_one_sentence() {
    let (program, device, _) = with_device(usize::MAX);
    recorded(&program, &device);
    let whole = String::from_utf8(program.bytes("session.jsonl")).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let refusal = |text: &str| {
        program.write("other.jsonl", text);
        let (sentence, code) = program.refusal("replay model.pg --session other.jsonl");
        assert_eq!(code, 1, "{sentence}");
        sentence
    };
    let numbered = |lines: &[&str]| -> String {
        let line = |(n, line): (usize, &&str)| format!("{{\"n\":{n},{}", line.split_once(',').unwrap().1);
        lines.iter().enumerate().map(line).collect()
    };
    assert_eq!(numbered(&lines), whole);

    let cut = "other.jsonl ends in the middle of line 5: without that line, what is before it can be replayed";
    assert_eq!(refusal(&(lines[..4].concat() + &lines[4][..lines[4].len() / 2])), cut);
    let mut swapped = lines.clone();
    swapped.swap(5, 6);
    assert_eq!(refusal(&swapped.concat()), "line 6 of other.jsonl has the number 6 where 5 belongs: lines are missing or out of order");
    // With numbers that look right, too: a sample is missing, and a command comes too early.
    let mut missing = lines.clone();
    missing.remove(7);
    let sentence = refusal(&numbered(&missing));
    assert!(sentence.contains(" with samples 30, and the replay has 29; a command is missing in the record"), "{sentence}");
    let tune = lines.iter().position(|line| line.contains("\"do\":\"tune\"")).unwrap();
    let mut early = lines.clone();
    let line = early.remove(tune);
    early.insert(3, line);
    let sentence = refusal(&numbered(&early));
    assert!(sentence.starts_with("line 5 of other.jsonl: the device was at step 0, and the replay is at step "), "{sentence}");
    let mut other = lines.clone();
    let changed = other[tune].replace("\"seed\":1", "\"seed\":2");
    other[tune] = &changed;
    let sentence = refusal(&other.concat());
    assert!(sentence.contains("the device was at step ") && sentence.ends_with("or the device computes other bits"), "{sentence}");

    program.text("train --data vowel --epochs 1 --out vowel.pg");
    let (sentence, _) = program.refusal("replay vowel.pg --session session.jsonl");
    assert!(sentence.starts_with("session.jsonl is of a device with another network ("), "{sentence}");
    let (sentence, _) = program.refusal("replay other.pg --session session.jsonl");
    assert!(sentence.starts_with("the device of session.jsonl was built with another model (check sum "), "{sentence}");
    assert_eq!(refusal("7\n"), "other.jsonl is no record of a session with a device: `pg-host device --record` writes one");
    let (sentence, _) = program.refusal("replay model.pg --session nothing.jsonl");
    assert!(sentence.starts_with("nothing.jsonl cannot be read: "), "{sentence}");
    assert_eq!(program.refusal("replay model.pg --session session.jsonl --steps 3").1, 2);
}

#[test]
fn a_record_begins_with_a_new_device_and_goes_on_only_with_what_it_knows() {
    let (program, device, _) = with_device(usize::MAX);
    let (sentence, code) = program.refusal(&format!("{device} tune --steps 3 --record a.jsonl"));
    assert!(code == 2 && sentence.starts_with("a record does not know with which options the firmware tunes by itself"), "{sentence}");
    program.text(&format!("{device} label --limit 3 --record a.jsonl"));
    program.text(&format!("{device} label --skip 3 --limit 4"));
    let (sentence, _) = program.refusal(&format!("{device} label --limit 3 --record a.jsonl"));
    assert!(sentence.starts_with("the device has 7 samples and a.jsonl says 3: it was changed without a record"), "{sentence}");
    let (sentence, _) = program.refusal(&format!("{device} label --limit 3 --record b.jsonl"));
    assert!(sentence.starts_with("the device has learnt already (step 0, 7 samples)"), "{sentence}");
    program.text(&format!("{device} reset --record a.jsonl"));
    program.text(&format!("{device} label --limit 5 --record a.jsonl"));
    assert_eq!(program.json("replay model.pg --session a.jsonl")["labelled"], 8);
    program.write("a.jsonl", &program.bytes("a.jsonl")[..200]);
    let (sentence, _) = program.refusal(&format!("{device} label --limit 5 --record a.jsonl"));
    assert!(sentence.starts_with("a.jsonl ends in the middle of line "), "{sentence}");
    let (sentence, _) = program.refusal(&format!("{device} reset --record nowhere/a.jsonl"));
    assert!(sentence.starts_with("nowhere/a.jsonl cannot be written: "), "{sentence}");
}

#[test]
fn classes_are_found_by_the_names_of_the_model() {
    let program = Program::new();
    let row = |i: usize, class: char| {
        let values = (0..64).map(|j| format!("{},", (i * 7 + j * (3 + class as usize)) % 256)).collect::<String>();
        format!("{values}{class}\n")
    };
    program.write("ten.csv", (0..60).map(|i| row(i, (b'a' + (i % 10) as u8) as char)).collect::<String>());
    program.write("two.csv", (60..90).map(|i| row(i, if i % 2 == 0 { 'j' } else { 'c' })).collect::<String>());
    program.text("train --data ten.csv --as 1x8x8 --net mlp-64-32-10 --population 0 --epochs 2 --out named.pg");
    let (port, _) = listen(flashed(program.bytes("named.pg")), usize::MAX);
    let data = "--data two.csv --as 1x8x8 --part all";
    let labelled = program.json(&format!("device --port {port} label {data} --limit 24 --model named.pg"));
    assert_eq!(labelled["classes"], 10, "without the model there are two");
    program.text(&format!("device --port {port} tune --steps 20 --hold-out 4"));
    let pulled = program.json(&format!("device --port {port} pull named.pg"));
    let replayed = program.json(&format!("replay named.pg {data} --samples 24 --steps 20 --hold-out 4 --patience 0"));
    assert_eq!(pulled["parameters_crc"], replayed["sessions"][0]["parameters_crc"]);
}

#[test]
fn a_line_that_breaks_again_and_again_is_opened_again() {
    let (program, device, there) = with_device(2_000);
    program.text("train --net mlp-64-32-10 --population 0 --epochs 2 --seed 9 --out other.pg");
    program.text(&format!("{device} push other.pg"));
    program.text(&format!("{device} label --limit 45"));
    program.text(&format!("{device} pull model.pg"));
    assert_eq!(parameters(&program.bytes("pulled.pg")), parameters(&program.bytes("other.pg")));
    assert_eq!(samples(&there), 45, "each sample once");
}

#[test]
fn what_the_device_refuses_is_one_sentence() {
    let (program, device, there) = with_device(usize::MAX);
    let refusal = |line: &str| program.refusal(&format!("{device} {line}"));
    assert_eq!(refusal("tune --steps 5"), ("the device has no sample for this: label some first".into(), 1));
    assert_eq!(refusal("tune --steps 0"), ("--steps must be 1 or more".into(), 2));
    let kept = "the device has kept no parameters to go back to: hold samples out, and tune, before";
    assert_eq!(refusal("roll-back"), (kept.into(), 1));
    let (sentence, code) = refusal("label --limit 60");
    assert_eq!(
        (sentence.as_str(), code),
        ("after 50 of 60 samples: the device is full with 50 samples: tune with these, or forget some", 1)
    );
    let (sentence, _) = refusal("infer --data vowel");
    assert!(sentence.ends_with("inputs, and the device's network takes 1x8x8"), "{sentence}");
    program.text("train --data vowel --epochs 1 --out vowel.pg");
    let before = there.lock().unwrap().parameters().to_vec();
    let (sentence, _) = refusal("push vowel.pg");
    assert!(sentence.starts_with("the device runs another network (fingerprint "), "{sentence}");
    assert!(refusal("pull vowel.pg").0.starts_with("vowel.pg is of another network than the device's ("));
    assert_eq!(there.lock().unwrap().parameters(), before);
    program.write("half.csv", (0..4).map(|i| format!("{}{i}\n", "0.5,".repeat(64))).collect::<String>());
    let (sentence, _) = refusal("label --data half.csv --as 1x8x8 --part all");
    let expected = "after 0 of 4 samples: sample 0 has the value 0.5, and the device keeps whole numbers from 0 to 255: use firmware that \
                    keeps floating-point numbers";
    assert_eq!(sentence, expected);
}

#[test]
fn a_port_that_is_not_there_is_one_sentence() {
    let program = Program::new();
    // Port 1 of this machine is nobody's.
    let (sentence, code) = program.refusal("device --port tcp:127.0.0.1:1 info");
    assert!(sentence.starts_with("tcp:127.0.0.1:1 cannot be reached: ") && code == 1, "{sentence}");
    let (sentence, _) = program.refusal("device --port tcp:nonsense info");
    assert!(sentence.starts_with("tcp:nonsense cannot be reached: "), "{sentence}");
    let (sentence, _) = program.refusal("device --port /dev/nothing-here info");
    assert!(sentence.starts_with("/dev/nothing-here cannot be opened: "), "{sentence}");
    assert_eq!(program.refusal("device info").1, 2);
}

#[test]
fn a_device_that_does_not_answer_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut line = open(&format!("tcp:{}", listener.local_addr().unwrap()), 1).unwrap();
    let mut buffers = Buffers::new();
    let retry = Retry { first_ms: 10, longest_ms: 20, attempts: 3 };
    let mut connection = Connection::new(&mut *line, 1, retry, &mut buffers);
    let started = std::time::Instant::now();
    let error = connection.ask(&Request::Hello, |_| Some(())).unwrap_err();
    assert!(matches!(error, DeviceError::Link(LinkError::Silent)), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}
