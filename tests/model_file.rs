//! The model file: a golden file, every refusal, and that no byte can be changed unnoticed.

use pg_core::floats::Floats;
use pg_core::layers::{Dense, Flatten, Relu};
use pg_core::model_file::{ClassNames, Model, ModelError, Provenance};
use pg_core::normalisation::Normalisation;
use pg_core::{Image, Network, Sequential, Vector};
use proptest::prelude::*;

type Tiny = Sequential<Vector<2>, (Dense<2>,)>;
/// Never edited: files of format version 1 stay readable.
const GOLDEN: &[u8] = include_bytes!("data/tiny-version-1.pg");

fn tiny() -> Model<'static> {
    Model {
        network: "Sequential<Vector<2>,(Dense<2>,)>",
        normalisation: Normalisation::new(&[8.0, 0.0], &[0.25, 1.0]),
        classes: ClassNames::new("no\nyes").unwrap(),
        provenance: Provenance {
            tool: "pg-host 0.1.0",
            data: "toy",
            options: "rate=0.1 population=8",
            seed: 300,
            epochs: 60,
            scores: "test.macro_f1=1",
        },
        parameters: Floats::new(&[1.0, -1.0, 0.5, 0.25, 0.0, -0.0]),
    }
}

fn encode(model: &Model) -> Result<Vec<u8>, ModelError> {
    let mut file = vec![0; model.encoded_len()];
    model.encode_into(&mut file)?;
    Ok(file)
}

/// The file with `change` done to everything before the check sum, and the check sum made right again.
fn edited(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut file = GOLDEN[..GOLDEN.len() - 4].to_vec();
    change(&mut file);
    file.extend(pg::crc32(&file).to_le_bytes());
    file
}

#[test]
fn the_golden_file_decodes_to_known_values_and_is_written_again_byte_for_byte() {
    let model = Model::decode(GOLDEN).unwrap();
    assert_eq!(model, tiny());
    assert_eq!(encode(&model).unwrap(), GOLDEN, "from the file");
    assert_eq!(encode(&tiny()).unwrap(), GOLDEN, "from memory");
    assert_eq!(edited(|_| ()), GOLDEN, "the check sum is the usual CRC-32");
}

#[test]
fn the_dump_in_the_specification_is_the_golden_file() {
    let specification = include_str!("../docs/model-file.md");
    let rows = specification.lines().filter_map(|line| line.split_once("  |  ")).filter(|(bytes, _)| !bytes.contains('`'));
    let bytes: Vec<u8> =
        rows.flat_map(|(bytes, _)| bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("two digits"))).collect();
    assert_eq!(bytes, GOLDEN);
}

#[test]
fn parameters_and_their_bits_come_back_for_the_network_they_were_made_for() {
    let model = Model::decode(GOLDEN).unwrap();
    let mut parameters = [7.0; Tiny::PARAMS];
    model.parameters_into::<Tiny>(&mut parameters).unwrap();
    assert_eq!(parameters.map(f32::to_bits), [1.0, -1.0, 0.5, 0.25, 0.0, -0.0f32].map(f32::to_bits));
    assert_eq!(model.fingerprint(), Tiny::fingerprint());
    let mut text = String::new();
    Tiny::describe(&mut text).unwrap();
    assert_eq!(model.network, text);
    assert_eq!((model.classes.iter().collect::<Vec<_>>(), model.classes.get(2)), (vec!["no", "yes"], None));
}

#[test]
fn refuses_a_file_made_for_another_network_and_wrong_counts_for_the_right_one() {
    type Other = Sequential<Vector<2>, (Dense<2>, Relu)>;
    let model = tiny();
    assert_eq!(model.check::<Tiny>(), Ok(()));
    assert_eq!(model.check::<Other>(), Err(ModelError::OtherNetwork));
    let mut untouched = [7.0; 6];
    assert_eq!(model.parameters_into::<Other>(&mut untouched), Err(ModelError::OtherNetwork));
    assert_eq!(untouched, [7.0; 6]);
    let short = Model { parameters: Floats::new(&[1.0; 5]), ..model };
    assert_eq!(short.check::<Tiny>(), Err(ModelError::ParameterCount { found: 5, expected: 6 }));
    let classes = Model { classes: ClassNames::new("a\nb\nc").unwrap(), ..model };
    assert_eq!(classes.check::<Tiny>(), Err(ModelError::ClassCount { found: 3, expected: 2 }));
    let channels = Model { normalisation: Normalisation::new(&[0.0], &[1.0]), ..model };
    assert_eq!(channels.check::<Tiny>(), Err(ModelError::ChannelCount { found: 1, expected: 2 }));
    let regression = Model { classes: ClassNames::default(), normalisation: Normalisation::NONE, ..model };
    assert_eq!(regression.check::<Tiny>(), Ok(()));
}

#[test]
fn refuses_a_file_that_is_none_is_of_the_future_or_is_cut_short() {
    assert_eq!(Model::decode(b""), Err(ModelError::NotAModel));
    assert_eq!(Model::decode(b"PGM"), Err(ModelError::NotAModel));
    assert_eq!(Model::decode(b"P5 28 28 255 and so on"), Err(ModelError::NotAModel));
    for length in 4..GOLDEN.len() {
        assert_eq!(Model::decode(&GOLDEN[..length]), Err(ModelError::Damaged), "{length} bytes");
    }
    assert_eq!(Model::decode(&edited(|file| file[5] = 1)), Err(ModelError::NewerVersion { found: 257 }));
    assert_eq!(Model::decode(&edited(|file| file[4] = 0)), Err(ModelError::Malformed));
}

#[test]
fn finds_every_flipped_bit() {
    let mut file = GOLDEN.to_vec();
    for bit in 0..8 * file.len() {
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(Model::decode(&file).is_err(), "bit {bit}");
        file[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn refuses_wrong_content_under_a_right_check_sum() {
    let at = |text: &[u8]| GOLDEN.windows(text.len()).position(|window| window == text).unwrap();
    assert_eq!(Model::decode(&edited(|file| file.extend([0; 3]))), Err(ModelError::TrailingBytes { bytes: 3 }));
    assert_eq!(Model::decode(&edited(|file| file[at(b"Dense<2>") + 6] = b'3')), Err(ModelError::Fingerprint));
    assert_eq!(Model::decode(&edited(|file| file[at(b"toy")] = 0x1b)), Err(ModelError::Text));
    assert_eq!(Model::decode(&edited(|file| file[at(b"toy")] = 0xff)), Err(ModelError::Malformed));
    assert_eq!(Model::decode(&edited(|file| file[at(b"no\nyes")] = b'\n')), Err(ModelError::Text));
    assert_eq!(Model::decode(&edited(|file| file.truncate(file.len() - 1))), Err(ModelError::Malformed));
    let nan = f32::NAN.to_le_bytes();
    let last = GOLDEN.len() - 8;
    assert_eq!(Model::decode(&edited(|file| file[last..].copy_from_slice(&nan))), Err(ModelError::Numbers));
    // A length of 2⁶³ bytes, and one that never ends.
    for length in [[255, 255, 255, 255, 255, 255, 255, 255, 127, 1], [255; 10]] {
        assert_eq!(
            Model::decode(&edited(|file| file.splice(at(b"toy") - 1..at(b"toy"), length).for_each(drop))),
            Err(ModelError::Malformed)
        );
    }
    // Seven bytes are no whole number of floats; offsets without factors normalise nothing.
    let parameters = GOLDEN.len() - 4 - 24 - 1;
    assert_eq!(
        Model::decode(&edited(|file| {
            file[parameters] = 7;
            file.truncate(parameters + 8);
        })),
        Err(ModelError::Malformed)
    );
}

#[test]
fn writes_nothing_that_it_would_not_read() {
    let model = tiny();
    let mut file = [0; 1024];
    assert_eq!(model.encode_into(&mut file[..model.encoded_len() - 1]), Err(ModelError::NoRoom));
    assert_eq!(encode(&Model { parameters: Floats::new(&[f32::INFINITY; 6]), ..model }), Err(ModelError::Numbers));
    assert_eq!(encode(&Model { normalisation: Normalisation::new(&[f32::NAN], &[1.0]), ..model }), Err(ModelError::Numbers));
    assert_eq!(encode(&Model { network: "two\nlines", ..model }), Err(ModelError::Text));
    for text in ["a\n", "\n", "a\n\nb", "a\tb", "\u{9b}31m"] {
        assert_eq!(ClassNames::new(text), Err(ModelError::Text), "{text:?}");
    }
    assert_eq!(ClassNames::new("").unwrap().iter().count(), 0);
}

#[test]
fn every_refusal_is_a_sentence_that_says_what_to_do() {
    use ModelError::*;
    let counts = [ParameterCount { found: 1, expected: 2 }, ClassCount { found: 1, expected: 2 }, ChannelCount { found: 1, expected: 2 }];
    let plain = [
        NotAModel,
        NewerVersion { found: 2 },
        Damaged,
        Malformed,
        TrailingBytes { bytes: 1 },
        Fingerprint,
        Text,
        Numbers,
        OtherNetwork,
        NoRoom,
    ];
    for error in counts.into_iter().chain(plain) {
        let sentence = error.to_string();
        assert!(sentence.split_once(": ").is_some_and(|(what, todo)| what.len() > 20 && todo.len() > 10), "{sentence}");
    }
}

#[test]
fn a_description_names_every_layer_so_that_the_type_can_be_written_again() {
    use pg_core::layers::*;
    /// The source text of a type, and what the type says of itself.
    macro_rules! described {
        ($network:ty) => {{
            let mut text = String::new();
            <$network>::describe(&mut text).unwrap();
            (stringify!($network).replace(char::is_whitespace, ""), text)
        }};
    }
    let (source, text) =
        described!(Sequential<Image<2, 3, 4>, (Expect<2, 3, 4>, Flatten, Dense<5>, Relu, LeakyRelu<10>, (Tanh, Sigmoid,), Dense<2>,)>);
    assert_eq!(source, text);
    let (source, text) = described!(Sequential<Vector<7>, (Dense<3>,)>);
    assert_eq!(source, text);
    let (_, explicit) = described!(Sequential<Vector<7>, (LeakyRelu, Dense<3>,)>);
    assert_eq!(explicit, "Sequential<Vector<7>,(LeakyRelu<1>,Dense<3>,)>");
}

#[test]
fn a_network_and_its_model_agree_on_a_real_size() {
    type Mlp = Sequential<Image<1, 8, 8>, (Flatten, Dense<32>, Relu, Dense<10>)>;
    let parameters: Vec<f32> = (0..Mlp::PARAMS).map(|i| (i as f32).sin()).collect();
    let mut network = String::new();
    Mlp::describe(&mut network).unwrap();
    let model = Model {
        network: &network,
        parameters: Floats::new(&parameters),
        classes: ClassNames::default(),
        normalisation: Normalisation::NONE,
        ..tiny()
    };
    let file = encode(&model).unwrap();
    let mut read = vec![0.0; Mlp::PARAMS];
    Model::decode(&file).unwrap().parameters_into::<Mlp>(&mut read).unwrap();
    assert_eq!(read, parameters);
}

proptest! {
    #[test]
    fn any_sound_model_survives_the_file(
        parameters in prop::collection::vec(-1e30f32..1e30, 0..200),
        channels in prop::collection::vec((-1e3f32..1e3, 0.0f32..1e3), 0..5),
        names in prop::collection::vec("[a-z ]{1,200}", 0..5),
        texts in prop::array::uniform5("[a-zA-Zäß<>,=. ]{0,40}"),
        seed: u64,
        epochs: u32,
    ) {
        let (offset, factor): (Vec<f32>, Vec<f32>) = channels.into_iter().unzip();
        let names = names.join("\n");
        let model = Model {
            network: &texts[0],
            normalisation: Normalisation::new(&offset, &factor),
            classes: ClassNames::new(&names).unwrap(),
            provenance: Provenance { tool: &texts[1], data: &texts[2], options: &texts[3], seed, epochs, scores: &texts[4] },
            parameters: Floats::new(&parameters),
        };
        let file = encode(&model).unwrap();
        prop_assert_eq!(Model::decode(&file).unwrap(), model);
    }

    #[test]
    fn arbitrary_content_never_panics(content: Vec<u8>) {
        let file = edited(|file| { file.truncate(6); file.extend(content); });
        let _ = Model::decode(&file);
    }
}
