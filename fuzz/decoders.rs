//! Every decoder of foreign bytes, fed with damaged files: none may panic, and what it accepts must hold together.
//!
//! Files of `corpus/` are changed at random, in the ways that files get damaged and in those that decoders fear. A failure is made small and
//! kept in `decoders.regressions`, which is tried first from then on. docs/fuzzing.md says how to run this for longer.

use std::path::Path;

use pg_core::model_file::Model;
use pg_core::zoo::Mlp9x24x11;
use pg_core::{Sequential, Vector, layers::Dense};
use pg_host::checkpoint::Checkpoint;
use pg_host::data::{Cifar, Element, parse_cifar, parse_csv, parse_idx, parse_npy, parse_svhn};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;

/// One way to damage a file.
#[derive(Clone, Debug)]
enum Damage {
    Flip(u8),
    Replace(Vec<u8>),
    Insert(Vec<u8>),
    Remove(u8),
    Repeat(u8),
    Truncate,
}

fn damage() -> impl Strategy<Value = Damage> {
    // Numbers at the edges, big and little endian, and as varints; separators, quotes, words that are numbers.
    const FEARED: [&[u8]; 22] = [
        b"\0",
        b"\x01",
        b"\x7f",
        b"\x80",
        b"\xff",
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\x80\0\0\0",
        b"\0\0\0\x80",
        b"\0\0\xc0\x7f",
        b"\0\0\x80\x7f",
        b"\xff\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b",",
        b"\"",
        b"\r\n",
        b";",
        b"nan",
        b"-inf",
        b"1e39",
        b"\xef\xbb\xbf",
    ];
    let bytes = prop_oneof![prop::sample::select(&FEARED[..]).prop_map(<[u8]>::to_vec), prop::collection::vec(any::<u8>(), 1..6)];
    let bytes = bytes.boxed();
    prop_oneof![
        (0..8u8).prop_map(Damage::Flip),
        bytes.clone().prop_map(Damage::Replace),
        bytes.prop_map(Damage::Insert),
        any::<u8>().prop_map(Damage::Remove),
        any::<u8>().prop_map(Damage::Repeat),
        Just(Damage::Truncate),
    ]
}

impl Damage {
    fn apply(&self, place: Index, bytes: &mut Vec<u8>) {
        let place = place.index(bytes.len() + 1);
        let until = |length: usize| (place + length).min(bytes.len());
        match self {
            Damage::Flip(bit) => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << bit),
            Damage::Replace(with) => drop(bytes.splice(place..until(with.len()), with.iter().copied())),
            Damage::Insert(what) => drop(bytes.splice(place..place, what.iter().copied())),
            Damage::Remove(length) => drop(bytes.drain(place..until((*length).into()))),
            Damage::Repeat(length) => {
                let again = bytes[place..until((*length).into())].to_vec();
                bytes.splice(place..place, again);
            }
            Damage::Truncate => bytes.truncate(place),
        }
    }
}

/// A damaged file of `corpus/<kind>`, or sometimes bytes from nowhere.
fn damaged(kind: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(kind);
    let mut names: Vec<_> = std::fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    names.sort();
    let corpus: Vec<_> = names.into_iter().map(|name| std::fs::read(name).expect("a file of the corpus")).collect();
    let damages = prop::collection::vec((damage(), any::<Index>()), 0..6);
    let file = (prop::sample::select(corpus), damages).prop_map(|(mut bytes, damages)| {
        damages.iter().for_each(|(damage, place)| damage.apply(*place, &mut bytes));
        bytes
    });
    prop_oneof![9 => file, 1 => prop::collection::vec(any::<u8>(), 0..64)]
}

/// What every accepted model keeps to.
fn check_model(bytes: &[u8]) -> Result<(), TestCaseError> {
    type Tiny = Sequential<Vector<2>, (Dense<2>,)>;
    let Ok(model) = Model::decode(bytes) else { return Ok(()) };
    prop_assert!(model.parameters.are_finite() && 4 * model.parameters.len() <= bytes.len());
    prop_assert_eq!(model.classes.iter().count(), model.classes.len());
    prop_assert!(model.check::<Mlp9x24x11>().is_err());
    let mut parameters = [f32::NAN; 6];
    prop_assert_eq!(model.parameters_into::<Tiny>(&mut parameters).is_ok(), parameters.iter().all(|p| p.is_finite()));
    let mut again = vec![0; model.encoded_len()];
    let again = model.encode_into(&mut again).expect("what was read can be written");
    prop_assert_eq!(Model::decode(again).expect("what was written can be read"), model);
    Ok(())
}

/// Every accepted checkpoint is written again as it was.
fn check_checkpoint(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(Checkpoint { identity, state, validation }) = Checkpoint::decode(bytes) else { return Ok(()) };
    prop_assert!(4 * (state.parameters.len() + state.snapshot.len() + state.slots.len()) <= bytes.len());
    let again = Checkpoint::encode(&identity, &state, validation.as_ref());
    // A varint may be longer than it needs to be: then the second time is as the first.
    let Checkpoint { identity, state, validation } = Checkpoint::decode(&again).expect("what was written can be read");
    prop_assert_eq!(Checkpoint::encode(&identity, &state, validation.as_ref()), again);
    Ok(())
}

/// The bytes with a right check sum, or nothing would get past it.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len().saturating_sub(4));
    bytes.extend(pg::crc32(&bytes).to_le_bytes());
    bytes
}

fn config() -> ProptestConfig {
    let default = ProptestConfig::default(); // reads PROPTEST_CASES
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as _);
    ProptestConfig { cases: default.cases.max(3000), failure_persistence, ..default }
}

/// Or the damaged ones would all be refused for the same reason.
#[test]
fn the_checkpoints_of_the_corpus_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/checkpoint");
    let checkpoints = std::fs::read_dir(folder).expect("a corpus").map(|entry| std::fs::read(entry.expect("an entry").path()));
    let decoded = checkpoints.map(|bytes| Checkpoint::decode(&bytes.expect("a file of the corpus")));
    assert_eq!(decoded.map(|checkpoint| checkpoint.expect("a whole checkpoint")).count(), 2);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn model_file(bytes in damaged("model")) {
        check_model(&bytes)?;
        check_model(&sealed(bytes))?;
    }

    #[test]
    fn checkpoint(bytes in damaged("checkpoint")) {
        check_checkpoint(&bytes)?;
        check_checkpoint(&sealed(bytes))?;
    }

    #[test]
    fn idx(bytes in damaged("idx")) {
        if let Ok(idx) = parse_idx(&bytes) {
            let size = match idx.element { Element::U8 => 1, Element::F32 => 4 };
            let elements: usize = idx.dims.iter().product();
            prop_assert!(elements > 0 && (1..=4).contains(&idx.dims.len()));
            prop_assert_eq!(idx.bytes.len(), elements * size);
            prop_assert_eq!(idx.values().count(), elements);
        }
    }

    #[test]
    fn cifar(bytes in damaged("cifar"), which in prop::sample::select(&[Cifar::Ten, Cifar::Hundred][..])) {
        if let Ok(samples) = parse_cifar(&bytes, which) {
            prop_assert!(!samples.is_empty() && samples.inputs.len() == 3072 * samples.len());
            prop_assert!(samples.labels.iter().all(|&label| usize::from(label) < which.classes()));
        }
    }

    #[test]
    fn svhn(bytes in damaged("svhn")) {
        if let Ok(samples) = parse_svhn(&bytes) {
            prop_assert!(!samples.is_empty() && samples.inputs.len() == 3072 * samples.len());
            prop_assert!(samples.labels.iter().all(|&label| label < 10));
        }
    }

    #[test]
    fn npy(bytes in damaged("npy")) {
        if let Ok(npy) = parse_npy(&bytes) {
            let elements: usize = npy.dims.iter().product();
            prop_assert!(elements > 0 && (1..=4).contains(&npy.dims.len()));
            prop_assert_eq!(npy.values().filter(|value| value.is_finite()).count(), elements);
            prop_assert!(npy.labels().map_or_else(|at| at < elements, |labels| labels.len() == elements));
        }
    }

    #[test]
    fn csv(bytes in damaged("csv"), label in prop::option::of("[a-z0-9]{0,5}")) {
        if let Ok(csv) = parse_csv(&bytes, label.as_deref()) {
            let rows = csv.labels.len();
            prop_assert!(rows > 0 && csv.features > 0 && csv.label_column <= csv.features);
            prop_assert_eq!(csv.inputs.len(), rows * csv.features);
            prop_assert!(csv.inputs.iter().all(|value| value.is_finite()));
            prop_assert!(csv.header.is_none_or(|header| header.len() == csv.features + 1));
            prop_assert!(csv.lines.len() == rows && csv.lines.is_sorted());
        }
    }
}
