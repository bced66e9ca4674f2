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

/// A table of nine features: class `k` has one sample, the ten others eleven; the fourth feature never changes.
fn table() -> String {
    let classes = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let row = |i: u32, class: &str| {
        let features = (0..9).map(|f| if f == 3 { 0.1 } else { f64::from((i * 7 + f * 5) % 11) });
        features.map(|value| format!("{value},")).collect::<String>() + class + "\n"
    };
    (0..110).map(|i| row(i, classes[i as usize % 10])).collect::<String>() + &row(5, "k")
}

#[test]
fn a_feature_that_never_changes_is_told_and_does_no_harm() {
    let program = Program::new();
    program.write("table.csv", table());
    let text = program.text("data inspect --data table.csv");
    assert!(text.ends_with("constant, so that nothing is learnt from it: channel 3\n"), "{text}");
    let trained = program.json("train --data table.csv --test table.csv --epochs 2 --population 0");
    assert!(trained["train"]["loss_nats"].as_f64().unwrap() > 0.0 && trained["test"]["nll"].as_f64().unwrap() > 0.0, "{trained}");
}

#[test]
fn a_class_that_the_validation_samples_lack_counts_zero() {
    let program = Program::new();
    program.write("table.csv", table());
    let trained = program.json("train --data table.csv --test table.csv --validation 0.2 --epochs 1 --population 0");
    let lacking = &trained["validation"]["per_class"][10];
    assert_eq!((&lacking["name"], &lacking["support"], &lacking["f1"]), (&"k".into(), &0.into(), &0.0.into()));
    let f1 = |class: &serde_json::Value| class["f1"].as_f64().unwrap();
    let mean = trained["validation"]["per_class"].as_array().unwrap().iter().map(f1).sum::<f64>() / 11.0;
    assert!((trained["validation"]["macro_f1"].as_f64().unwrap() - mean).abs() < 1e-12, "{trained}");
}

#[test]
fn inspect_counts_the_digits_and_draws_them() {
    let program = Program::new();
    let found = program.json("data inspect --sheet digits.svg");
    assert_eq!((&found["train"], &found["test"], &found["shape"]), (&1200.into(), &597.into(), &serde_json::json!([1, 8, 8])));
    assert_eq!(
        (&found["classes"][1]["train"], &found["channels"][0]["max"], &found["test_in_train"]),
        (&121.into(), &16.0.into(), &0.into())
    );
    let sheet = String::from_utf8(program.bytes("digits.svg")).unwrap();
    assert_eq!((sheet.matches("<image ").count(), sheet.matches("<text ").count()), (120, 11));
    let text = program.text("data inspect");
    assert!(
        text.starts_with("digits: 1x8x8, 10 classes\n1,200 samples to train on, 597 to test\n\nclass  train  test\n0        119    59  █"),
        "{text}"
    );
}

#[test]
fn the_list_tells_what_is_there_and_who_made_it() {
    let program = Program::new();
    let sets = program.json("data list");
    let names: Vec<&str> = sets.as_array().unwrap().iter().map(|set| set["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["digits", "vowel", "fashion-tiny", "fashion-mnist"]);
    assert_eq!((&sets[1]["shape"], &sets[1]["train"], &sets[1]["found"]), (&serde_json::json!([9, 1, 1]), &528.into(), &true.into()));
    assert!(program.text("data list").starts_with("digits         handwritten digits, 1x8x8,"));
}

#[test]
fn pictures_in_folders_are_trained_on_by_name() {
    let program = Program::new();
    for class in 0..10u8 {
        for file in 0..3u8 {
            let mut png = std::io::Cursor::new(Vec::new());
            let picture = image::GrayImage::from_fn(8, 8, |x, y| image::Luma([class * 20 + file * 3 + (x + y) as u8]));
            picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
            program.write(&format!("shapes/{}/class{class}/{file}.png", ["train", "train", "test"][usize::from(file)]), png.into_inner());
        }
    }
    let trained = program.json("train --data shapes --epochs 1 --population 0");
    assert_eq!((&trained["samples"]["train"], &trained["samples"]["test"]), (&20.into(), &10.into()));
    assert_eq!(trained["test"]["per_class"][7]["name"], "class7");
}
