//! Data in every form, through the real program: what is loaded, and how it is read.

mod program;

use program::Program;

/// An IDX file of bytes.
fn idx(dims: &[u32], elements: &[u8]) -> Vec<u8> {
    let sizes = dims.iter().flat_map(|size| size.to_be_bytes());
    [0, 0, 8, dims.len() as u8].into_iter().chain(sizes).chain(elements.iter().copied()).collect()
}

/// Pixels that differ from sample to sample.
fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * i % 251) as u8).collect()
}

/// `samples` windows of 3x64 and six classes in a directory in IDX form.
fn windows(program: &Program, directory: &str, samples: u32) {
    program.write(&format!("{directory}/train-images-idx3-ubyte"), idx(&[samples, 3, 64], &pixels(samples as usize * 192)));
    let labels: Vec<u8> = (0..samples).map(|i| (i % 6) as u8).collect();
    program.write(&format!("{directory}/train-labels-idx1-ubyte"), idx(&[samples], &labels));
}

#[test]
fn windows_of_sensor_data_are_read_as_channels_where_the_network_takes_them_so() {
    let program = Program::new();
    windows(&program, "hapt", 30);
    program.write("hapt/classes.txt", "walk\nup\ndown\nsit\nstand\nlie\n");
    for options in ["", "--net conv1d-3x64", "--as 3x1x64"] {
        let trained = program.json(&format!("train --data hapt --epochs 1 --population 0 {options}"));
        assert_eq!((&trained["net"], &trained["samples"]["train"]), (&"conv1d-3x64".into(), &24.into()), "{options}");
    }
    assert_eq!(program.json("eval model.pg --data hapt")["per_class"][5]["name"], "lie");
    let (sentence, code) = program.refusal("train --data hapt --as 1x3x64");
    assert!(code == 1 && sentence.starts_with("hapt has 1x3x64 inputs and 6 classes, and no network takes them"), "{sentence}");
    let (sentence, code) = program.refusal("train --data digits --as 3x1x64");
    assert_eq!((&sentence[..], code), ("--as 3x1x64 has 192 values, and a sample of digits has 64: 1x8x8", 2));
}

#[test]
fn a_data_set_of_a_package_is_found_by_name_and_brings_its_classes() {
    let program = Program::new();
    program.write("sets/fashion-mnist/train-images-idx3-ubyte", idx(&[20, 28, 28], &pixels(20 * 784)));
    program.write("sets/fashion-mnist/train-labels-idx1-ubyte", idx(&[20], &(0..20).map(|i| i % 10).collect::<Vec<u8>>()));
    let run = |line: &str| program.command(line).env("PG_DATA", program.path("sets")).output().unwrap();
    let trained = run("train --data fashion-mnist --net mlp-784-128-10 --epochs 1 --population 0 --json");
    let trained: serde_json::Value = serde_json::from_slice(&trained.stdout).unwrap();
    assert_eq!((&trained["samples"]["train"], &trained["test"]["per_class"][9]["name"]), (&16.into(), &"Ankle boot".into()));
    assert!(run("eval model.pg").status.success(), "the model's data are found without being named");
}
