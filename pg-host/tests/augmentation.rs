//! `train --augment`, from the command line to the model.

mod program;

use program::Program;

const QUICK: &str = "train --net mlp-64-32-10 --epochs 2 --rho 0 --augment shift=1,flip,cutout=2,noise=0.1,mixup=0.3";

#[test]
fn a_population_learns_from_the_same_augmented_samples_as_plain_sgd() {
    let program = Program::new();
    // Without noise the members are the network itself, so runs differ only if their samples do.
    let run = |options: &str| {
        let report = program.json(&format!("{QUICK} {options}"));
        (report["train"]["loss_nats"].clone(), program.text("predict model.pg --bits"))
    };
    let plain = run("--population 0");
    assert_eq!(plain, run("--population 1 --noise rademacher"));
    assert_eq!(plain, run("--population 4 --threads 1"));
    assert_eq!(plain, run("--population 4 --threads 2"));
    assert_ne!(plain, run("--population 0 --seed 2"));
}

#[test]
fn samples_to_watch_and_to_test_on_are_never_augmented() {
    let program = Program::new();
    // A rate so small that the network stays where it began: only other samples could change a score.
    let run = |options: &str| {
        let report = program.json(&format!("train --net mlp-64-32-10 --epochs 1 --population 0 --rate 1e-30 --validation 0.1 {options}"));
        (report["test"].clone(), report["validation"].clone(), report["train"]["loss_nats"].clone())
    };
    let (plain, augmented) = (run(""), run("--augment shift=2,noise=1,mixup=1"));
    assert_eq!((plain.0, plain.1), (augmented.0, augmented.1));
    assert_ne!(plain.2, augmented.2);
}

#[test]
fn the_report_and_the_model_file_say_how_the_samples_were_augmented() {
    let program = Program::new();
    let report = program.json(QUICK);
    assert_eq!(report["options"]["augment"], "shift=1,flip,noise=0.1,cutout=2,mixup=0.3");
    assert!(program.text("inspect model.pg").contains("augment=shift=1,flip,noise=0.1,cutout=2,mixup=0.3"));
}

#[test]
fn the_help_teaches_every_kind() {
    let help = Program::new().text("train --help");
    for kind in ["shift=N", "flip", "scale=S", "noise=S", "cutout=N", "mask=N", "mixup=A"] {
        assert!(help.contains(&format!("`{kind}`")), "{kind}: {help}");
    }
}
