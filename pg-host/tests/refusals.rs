//! Bad input: one sentence on stderr, exit code 2 for usage and 1 for the rest, no panic, and an existing model file untouched.

mod program;

use program::Program;

/// Asserts the exit code and parts of the sentence, and that model.pg is as it was.
fn refuses(program: &Program, line: &str, code: i32, parts: &[&str]) {
    program.write("model.pg", "what was there before");
    let (sentence, found) = program.refusal(line);
    assert_eq!(found, code, "{line}: {sentence}");
    for part in parts {
        assert!(sentence.contains(part), "{line}: `{part}` is not in: {sentence}");
    }
    assert_eq!(program.bytes("model.pg"), b"what was there before", "{line}");
}

#[test]
fn options_that_make_no_sense() {
    let program = Program::new();
    for (options, parts) in [
        ("--rate 0", "--rate must be a finite number above 0"),
        ("--rate NaN", "and is NaN"),
        ("--rate -0.1", "and is -0.1"),
        ("--rate inf", "and is inf"),
        ("--rate fast", "invalid value 'fast' for '--rate <RATE>'"),
        ("--population 1000000", "--population must be between 0 and 4096"),
        ("--population -1", "population"),
        ("--rho -0.1", "--rho must be a finite number of at least 0"),
        ("--rho inf", "--rho"),
        ("--momentum 1", "--momentum must be at least 0 and below 1"),
        ("--momentum 0 --nesterov", "--momentum must be above 0 with --nesterov"),
        ("--weight-decay -1", "--weight-decay"),
        ("--label-smoothing 1", "--label-smoothing"),
        ("--validation 1.5", "--validation must be a fraction between 0 and 0.9"),
        ("--batch 0", "--batch must be between 1 and"),
        ("--epochs 0", "--epochs must be between 1 and"),
        ("--threads 100000", "--threads"),
        ("--epochs 1000000 --batch 1 --data fashion-tiny --population 0 --seed x", "--seed"),
        ("--schedule sine", "[possible values: constant, step, exponential, cosine, one-cycle]"),
        ("--noise white", "[possible values: gaussian, uniform, rademacher, rank1]"),
        ("--scale-rule layer", "[possible values: filter, filter-exact, weight, absolute]"),
        ("--batch-mode none", "[possible values: shared, split, fresh]"),
        ("--targets weights,means", "`means` is none of weights, biases, gains"),
        ("--targets gains", "--targets gains must be parameters that mlp-64-64-32-10 has there: nothing would get noise"),
        ("--noise-layers 0", "layers are a number from 1 on or a range, for example 2, 2-4 or 2-"),
        ("--noise-layers 3-2", "layers are a number from 1 on or a range"),
        ("--noise-layers 2-4", "--noise-layers must be within 1-3, the layers of mlp-64-64-32-10"),
        ("--noise-layers 9-", "and is 9-"),
        ("--rho-schedule linear", "[possible values: constant, cosine-up, cosine-down]"),
        ("--rho-start 0.5 --rho-stop 0.5", "--rho-start and --rho-stop must be fractions of the run with 0 <= start < stop <= 1"),
        ("--rho-start -0.1", "and are -0.1 and 1"),
        ("--rho-stop NaN", "and are 0 and NaN"),
        ("--combine median", "it is mean, clean=LAMBDA or softmax=TAU"),
        ("--combine clean", "it is mean, clean=LAMBDA or softmax=TAU"),
        ("--combine clean=half", "`half` is no number"),
        ("--combine clean=1", "--combine clean=LAMBDA must be at least 0 and below 1 (0.5 is usual), and is 1"),
        ("--combine softmax=0", "--combine softmax=TAU must be a finite number other than 0"),
        ("--population 0 --batch-mode split", "--batch-mode needs a population, and --population is 0: leave one of them out"),
        ("--population 0 --combine clean=0.5", "--combine needs a population, and --population is 0"),
        ("--net lenet", "there is no network called `lenet`; there are mlp-64-64-32-10,"),
        ("--augment rotate=3", "there is no augmentation called `rotate`; there are shift=N, flip,"),
        ("--augment noise=-1", "`noise=-1` must be noise=S, S above 0"),
        ("--augment shift=8", "--augment: shift=8 needs images with more rows and columns than it has places"),
        ("--augment flip --data vowel", "--augment: flip needs images of more than one row and one column, and the samples are 9x1x1"),
        ("--label 3", "only be chosen for a CSV file"),
        ("--colour red", "unexpected argument '--colour'"),
    ] {
        refuses(&program, &format!("train {options}"), 2, &[parts]);
    }
    refuses(&program, "", 2, &["say what to do"]);
    refuses(&program, "trian", 2, &["unrecognized subcommand 'trian'"]);
    refuses(&program, "predict model.pg --limit 0", 2, &["--limit must be at least 1"]);
    refuses(&program, "bench --seconds 0", 2, &["--seconds must be above 0"]);
}

#[test]
fn data_that_do_not_fit() {
    let program = Program::new();
    refuses(
        &program,
        "train --net mlp-784-128-10",
        1,
        &["digits has 1x8x8 inputs and 10 classes, `mlp-784-128-10` takes 1x28x28 inputs", "try --net mlp-64-64-32-10"],
    );
    refuses(&program, "train --data digit", 2, &["did you mean `digits`?"]);
    refuses(&program, "train --data nowhere.csv", 1, &["nowhere.csv cannot be read"]);
    program.write("two.csv", "1,2,a\n3,4,b\n5,6,a\n7,8,b\n1,2,a\n3,4,b\n5,6,a\n7,8,b\n1,2,a\n3,4,b\n");
    refuses(
        &program,
        "train --data two.csv",
        1,
        &["two.csv has 2x1x1 inputs and 2 classes, and no network takes them", "examples/own-network"],
    );
}

#[test]
fn tables_with_mistakes() {
    let program = Program::new();
    for (name, text, parts) in [
        ("number", "a,b,label\n1,2,x\n1,two,y\n", &["number.csv, line 3", "two"][..]),
        ("ragged", "1,2,x\n1,y\n", &["ragged.csv, line 2"]),
        ("nan", "1,2,x\n1,NaN,y\n", &["nan.csv, line 2", "NaN"]),
        ("one", "1,2,x\n3,4,x\n", &["of one class"]),
        ("empty", "", &["empty.csv"]),
    ] {
        program.write(&format!("{name}.csv"), text);
        refuses(&program, &format!("train --data {name}.csv"), 1, parts);
    }
    program.write("good.csv", "1,2,x\n3,4,y\n");
    refuses(
        &program,
        "train --data good.csv",
        1,
        &["good.csv has 2 samples, too few samples to put a test part aside: give --test FILE or more rows"],
    );
    refuses(&program, "train --data good.csv --out ./good.csv", 2, &["--out must not be the file of --data", "and is ./good.csv"]);
    program.write("test.csv", "1,2,x\n");
    refuses(&program, "train --data good.csv --test test.csv --out test.csv", 2, &["--out must not be the file of --test"]);
    assert_eq!(program.bytes("good.csv"), b"1,2,x\n3,4,y\n");
    refuses(&program, "train --data good.csv --label 7", 1, &["7"]);
}

#[test]
fn idx_files_with_mistakes() {
    let program = Program::new();
    let images = |magic: u8, samples: u8, pixels: usize| {
        [&[0, 0, magic, 3, 0, 0, 0, samples, 0, 0, 0, 8, 0, 0, 0, 8][..], &vec![1; pixels]].concat()
    };
    let labels = |labels: &[u8]| [&[0, 0, 8, 1, 0, 0, 0, labels.len() as u8][..], labels].concat();
    for (name, images, labels, part) in [
        ("magic", images(7, 2, 128), labels(&[0, 1]), "magic/train-images-idx3-ubyte"),
        ("short", images(8, 2, 100), labels(&[0, 1]), "short/train-images-idx3-ubyte"),
        ("count", images(8, 2, 128), labels(&[0, 1, 1]), "2 samples"),
        ("gap", images(8, 2, 128), labels(&[0, 2]), "class 1 of gap has no sample"),
    ] {
        program.write(&format!("{name}/train-images-idx3-ubyte"), images);
        program.write(&format!("{name}/train-labels-idx1-ubyte"), labels);
        refuses(&program, &format!("train --data {name}"), 1, &[part]);
    }
    program.write("range/train-images-idx3-ubyte", images(8, 2, 128));
    program.write("range/train-labels-idx1-ubyte", labels(&[0, 1]));
    program.write("range/t10k-images-idx3-ubyte", images(8, 1, 64));
    program.write("range/t10k-labels-idx1-ubyte", labels(&[9]));
    refuses(&program, "train --data range", 1, &["the label 9, and there are 2 classes"]);
}

#[test]
fn damaged_files_of_every_form() {
    let program = Program::new();
    let picture = |width: u32| {
        let mut png = std::io::Cursor::new(Vec::new());
        image::GrayImage::from_pixel(width, 8, image::Luma([9])).write_to(&mut png, image::ImageFormat::Png).unwrap();
        png.into_inner()
    };
    let array = |descr: &str, shape: &str, bytes: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), bytes].concat()
    };
    program.write("sizes/a/1.png", picture(8));
    program.write("sizes/b/1.png", picture(9));
    program.write("cut/a/1.png", picture(8));
    program.write("cut/b/1.png", &picture(8)[..40]);
    (1..=5).for_each(|batch| program.write(&format!("cifar/data_batch_{batch}.bin"), vec![0; 3073 - usize::from(batch == 4)]));
    program.write("cut.npz", b"PK\x03\x04 and no more");
    program.write("short/x_train.npy", array("<f4", "(2, 2)", &[0; 15]));
    program.write("short/y_train.npy", array("|u1", "(2,)", &[0, 1]));
    program.write("type/x_train.npy", array("<U4", "(2, 2)", &[0; 64]));
    program.write("type/y_train.npy", array("|u1", "(2,)", &[0, 1]));
    program.write("idx/train-images-idx3-ubyte", [0, 0, 0x0b, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]);
    program.write("idx/train-labels-idx1-ubyte", [0, 0, 8, 1, 0, 0, 0, 1, 0]);
    program.write("names/train-images-idx3-ubyte", [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]);
    program.write("names/train-labels-idx1-ubyte", [0, 0, 8, 1, 0, 0, 0, 2, 0, 1]);
    program.write("names/classes.txt", "a\na\n");
    program.write("empty/notes.txt", "nothing");
    for (name, parts) in [
        ("sizes", &["sizes/a/1.png has 8x8 pixels and sizes/b/1.png has 9x8", "mogrify -resize 8x8!"][..]),
        ("cut", &["cut/b/1.png cannot be read as a PNG or JPEG picture"]),
        ("cifar", &["cifar/data_batch_4.bin has 3072 bytes, which is no whole number of records of 3073 bytes"]),
        ("cut.npz", &["cut.npz is damaged, its zip archive cannot be unpacked"]),
        ("short", &["short/x_train.npy should have 16 bytes of elements by its header, and has 15"]),
        ("type", &["type/x_train.npy holds elements of type `<U4`", ".astype('float32')"]),
        ("idx", &["idx/train-images-idx3-ubyte holds elements of type 0x0b (i16)"]),
        ("names", &["names/classes.txt names the class `a` twice"]),
        ("empty", &["empty holds no data in a form that is known"]),
    ] {
        refuses(&program, &format!("train --data {name}"), 1, parts);
        refuses(&program, &format!("data inspect --data {name}"), 1, parts);
    }
    refuses(&program, "data inspect --sheet sheet.jpg", 2, &["--sheet must be a file called .svg, and is sheet.jpg"]);
    refuses(&program, "data inspect --sheet none/sheet.svg", 1, &["there is no directory none"]);
}

#[test]
fn model_files_that_are_none() {
    let program = Program::new();
    program.text("train --net mlp-64-32-10 --population 0 --epochs 1 --out whole.pg");
    let whole = program.bytes("whole.pg");
    let with = |place: usize, bit: u8| {
        let mut bytes = whole.clone();
        bytes[place] ^= bit;
        bytes
    };
    program.write("cut.pg", &whole[..whole.len() / 2]);
    program.write("flipped.pg", with(whole.len() / 2, 4));
    program.write("newer.pg", with(4, 64));
    program.write("foreign.pg", "PK\u{3}\u{4} a zip file");
    program.write("empty.pg", "");
    for command in ["eval", "predict", "inspect"] {
        for (name, parts) in [
            ("missing", &["missing.pg cannot be read: No such file"][..]),
            ("cut", &["reading cut.pg: ", "damaged or cut short"]),
            ("flipped", &["reading flipped.pg: ", "damaged"]),
            ("newer", &["reading newer.pg: ", "use a newer pg"]),
            ("foreign", &["reading foreign.pg: ", "not a pg model file"]),
            ("empty", &["reading empty.pg: ", "not a pg model file"]),
        ] {
            refuses(&program, &format!("{command} {name}.pg"), 1, parts);
        }
        refuses(&program, &format!("{command} ."), 1, &[". cannot be read"]);
    }
    refuses(&program, "eval whole.pg --data vowel", 1, &["vowel has 9x1x1 inputs, and the model's network takes 1x8x8 (`mlp-64-32-10`)"]);
    refuses(&program, "eval whole.pg --label x", 2, &["only be chosen for a CSV file"]);
}

#[test]
fn a_model_of_an_unknown_network_is_named_and_still_inspected() {
    use pg_core::model_file::{ClassNames, Model, Provenance};
    let program = Program::new();
    let network = "Sequential<Vector<2>,(Dense<2>,)>";
    let model = Model {
        network,
        normalisation: pg_core::normalisation::Normalisation::NONE,
        classes: ClassNames::new("no\nyes").unwrap(),
        provenance: Provenance::default(),
        parameters: pg_core::floats::Floats::new(&[1.0, -2.0, 3.0, 4.0, 5.0, 6.0]),
    };
    program.write("other.pg", model.encode_into(&mut [0; 256]).unwrap());
    refuses(
        &program,
        "eval other.pg",
        1,
        &["other.pg was made for the network Sequential<Vector<2>,(Dense<2>,)>, which is not one of", "examples/own-network"],
    );
    let shown = program.json("inspect other.pg");
    assert_eq!((&shown["net"], &shown["segments"][0]["min"]), (&serde_json::Value::Null, &(-2.0).into()));
    // A network of the list, but with too few parameters.
    let text = "Sequential<Image<1,8,8>,(Flatten,Dense<32>,Relu,Dense<10>,)>";
    program.write("few.pg", Model { network: text, ..model }.encode_into(&mut [0; 256]).unwrap());
    for command in ["eval", "inspect"] {
        refuses(&program, &format!("{command} few.pg"), 1, &["reading few.pg: ", "2410 parameters"]);
    }
}

#[cfg(unix)]
#[test]
fn places_that_cannot_be_written() {
    let program = Program::new();
    refuses(&program, "train --out none/model.pg", 1, &["there is no directory none"]);
    refuses(&program, "train --out .", 1, &["it is a directory"]);
    #[cfg(target_os = "linux")]
    refuses(&program, "train --epochs 1 --population 0 --out /dev/full", 1, &["/dev/full cannot be written: no space left"]);
    #[cfg(target_os = "linux")]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = program.command("nets").stdout(full).stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && stderr.starts_with("error: the results cannot be printed: "), "{stderr}");
    }
}
