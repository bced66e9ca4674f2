//! `replay`: what a device computes when it is fine-tuned, here.

mod program;

use program::Program;

#[test]
fn a_session_is_the_same_each_time_and_learns() {
    let program = Program::new();
    program.text("train --net mlp-64-32-10 --epochs 1");
    let line = "replay model.pg --samples 100 --draw 3 --steps 200";
    let first = program.json(line);
    assert_eq!(first, program.json(line));
    let accuracy = |name: &str| first[name].as_f64().unwrap();
    assert!(accuracy("accuracy_after") > accuracy("accuracy_before"), "{first}");
    assert_eq!(first["sessions"][0]["steps"], 200);
    assert_eq!(first["sessions"][0]["tested"], 597);
    assert_ne!(first["sessions"][0]["parameters_crc"], program.json(&format!("{line} --seed 2"))["sessions"][0]["parameters_crc"]);
}

#[test]
fn sessions_take_the_next_draw_and_seed_and_the_mean_is_theirs() {
    let program = Program::new();
    program.trained();
    let both = program.json("replay model.pg --samples 40 --draw 5 --seed 2 --steps 20 --sessions 2");
    let second = program.json("replay model.pg --samples 40 --draw 6 --seed 3 --steps 20");
    assert_eq!(both["sessions"][1], second["sessions"][0]);
    let mean = (0..2).map(|i| both["sessions"][i]["accuracy_after"].as_f64().unwrap()).sum::<f64>() / 2.0;
    assert!((both["accuracy_after"].as_f64().unwrap() - mean).abs() < 1e-12);
}

#[test]
fn a_session_with_held_out_samples_stops_early() {
    let program = Program::new();
    program.trained();
    let text = program.text("replay model.pg --samples 60 --hold-out 3 --look-every 5 --patience 2 --steps 2000 --rate 0.5");
    assert!(text.contains("tuning has stopped"), "{text}");
}

#[test]
fn options_that_make_no_sense_get_one_sentence() {
    let program = Program::new();
    program.trained();
    for (line, code, part) in [
        ("--samples 0", 2, "--samples must be from 1"),
        ("--batch 3", 2, "--batch must be one of 1, 4, 8, 16"),
        ("--steps 0", 2, "at least 1"),
        ("--last 0", 2, "--last must be at least 1"),
        ("--sessions 2 --log", 2, "--log prints one session"),
        ("--samples 4000", 1, "there are 1200 samples"),
        ("--part test --samples 597", 1, "is left to test on"),
        ("--momentum 1", 1, "a setting makes no sense"),
        ("--rate NaN", 1, "a setting makes no sense"),
    ] {
        let (sentence, found) = program.refusal(&format!("replay model.pg {line}"));
        assert_eq!(found, code, "{line}: {sentence}");
        assert!(sentence.contains(part), "{line}: {sentence}");
    }
}
