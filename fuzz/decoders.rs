//! Every decoder of foreign bytes, fed with damaged files: none may panic, and what it accepts must hold together.
//!
//! Files of `corpus/` are changed at random, in the ways that files get damaged and in those that decoders fear. A failure is made small and
//! kept in `decoders.regressions`, which is tried first from then on. docs/fuzzing.md says how to run this for longer.

use std::path::Path;

use pg_core::link::{
    CRC, Client, Device, LinkError, Receiver, Refusal, Reply, Request, Retry, Server, VERSION, content_bytes, frame_bytes,
};
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

/// The longest message of the links below.
const MESSAGE: usize = 400;

/// Looks at every request that it gets, and does nothing.
struct Reader(u32);

impl Device for Reader {
    fn answer(&mut self, request: &Request<'_>) -> Result<Reply<'_>, Refusal> {
        self.0 += 1;
        let mut again = [0; MESSAGE];
        let again = postcard::to_slice(request, &mut again).expect("what was read can be written");
        let read: Request = postcard::from_bytes(again).expect("what was written can be read");
        let mut more = [0; MESSAGE];
        assert_eq!(again, postcard::to_slice(&read, &mut more).expect("room"));
        match request {
            Request::Hello => Ok(Reply::Done { step: 0 }),
            Request::Infer { sample } | Request::Label { sample, .. } => {
                assert!(sample.values().count() == sample.len() && sample.len() <= MESSAGE);
                sample.check(4).map(|()| Reply::Done { step: 1 })
            }
            Request::Push { bytes, .. } => Ok(Reply::Pushed { bytes: bytes.len() as u32 }),
            Request::Pull { .. } => Ok(Reply::Piece { offset: 0, bytes: &[0; 300] }),
            _ => Err(Refusal::Unsupported),
        }
    }
}

/// Frames with a right check sum from the damaged ones in these bytes, or nothing would get past it.
fn mended(bytes: &[u8], kind: u8) -> Vec<u8> {
    let mut line = vec![0];
    for frame in bytes.split(|&byte| byte == 0).filter(|frame| !frame.is_empty()) {
        let mut content = vec![0; frame.len() + 1];
        let Ok(length) = cobs::decode(frame, &mut content) else { continue };
        content.truncate(length.saturating_sub(4));
        if content.len() >= 6 {
            // Of the session, too.
            content[..6].copy_from_slice(&[VERSION, kind, 7, 0, 0, 0]);
        }
        content.extend(CRC.checksum(&content).to_le_bytes());
        let mut encoded = vec![0; frame_bytes(content.len())];
        let length = cobs::encode(&content, &mut encoded);
        line.extend(&encoded[..=length]);
    }
    line
}

/// Feeds a device: whatever it sends are whole frames, and it still answers afterwards.
fn check_device(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (mut request, mut reply) = ([0; content_bytes(MESSAGE)], [0; frame_bytes(MESSAGE)]);
    let mut server = Server::new(&mut request, &mut reply);
    let mut reader = Reader(0);
    let mut sent = Vec::new();
    let hello = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/link-device/hello")).expect("a corpus");
    for &byte in hello.iter().chain(bytes).chain(&[0]) {
        sent.extend(server.receive(byte, &mut reader));
    }
    let mut content = [0; content_bytes(MESSAGE)];
    let mut receiver = Receiver::new(&mut content);
    let frames = sent.iter().filter(|&&byte| receiver.push(byte).is_some()).count() as u32;
    let counts = server.counts();
    prop_assert!(receiver.dropped() == 0 && reader.0 <= counts.executed && counts.executed >= 1);
    prop_assert!((counts.executed + counts.repeated..=counts.executed + counts.repeated + counts.foreign).contains(&frames));
    Ok(())
}

/// Feeds a host that waits for the reply to its first request: it gets one at most.
fn check_host(bytes: &[u8]) -> Result<u32, TestCaseError> {
    let (mut request, mut reply) = ([0; frame_bytes(16)], [0; content_bytes(MESSAGE)]);
    let mut client = Client::new(7, Retry::DEFAULT, &mut request, &mut reply);
    client.ask(&Request::Status, 0).expect("room");
    let mut answers = 0;
    for &byte in bytes {
        match client.receive(byte) {
            Ok(None) => {}
            Ok(Some(reply)) => {
                let mut again = [0; MESSAGE + 16];
                let again = postcard::to_slice(&reply, &mut again).expect("what was read can be written");
                prop_assert!(postcard::from_bytes::<Reply>(again).is_ok());
                answers += 1;
            }
            Err(error) => {
                prop_assert!(!matches!(error, LinkError::Silent | LinkError::TooLong) && !error.to_string().is_empty());
                answers += 1;
            }
        }
    }
    prop_assert!(answers <= 1);
    Ok(answers)
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
    for entry in std::fs::read_dir(folder).expect("a corpus") {
        let path = entry.expect("an entry").path();
        let checkpoint = Checkpoint::decode(&std::fs::read(&path).expect("a file of the corpus"));
        assert!(checkpoint.is_ok(), "{}: {checkpoint:?}", path.display());
    }
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
    fn link_device(bytes in damaged("link-device")) {
        check_device(&bytes)?;
        check_device(&mended(&bytes, b'Q'))?;
    }

    #[test]
    fn link_host(bytes in damaged("link-host")) {
        check_host(&bytes)?;
        check_host(&mended(&bytes, b'R'))?;
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

#[test]
fn the_frames_of_the_corpus_are_sound() {
    let folder = |kind: &str| std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(kind)).expect("a corpus");
    for entry in folder("link-host") {
        let path = entry.expect("an entry").path();
        assert_eq!(check_host(&std::fs::read(&path).expect("a file")).expect("sound"), 1, "{}", path.display());
    }
    for entry in folder("link-device") {
        let (mut request, mut reply) = ([0; content_bytes(MESSAGE)], [0; frame_bytes(MESSAGE)]);
        let mut server = Server::new(&mut request, &mut reply);
        let path = entry.expect("an entry").path();
        std::fs::read(&path).expect("a file").into_iter().for_each(|byte| drop(server.receive(byte, &mut Reader(0)).to_vec()));
        assert!(server.dropped() == 0 && server.counts() != Default::default(), "{}", path.display());
    }
}
