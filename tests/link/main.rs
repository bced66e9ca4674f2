//! The link over a line that flips bits, drops, doubles and delays bytes, and breaks: every command ends right or with an error.

mod fake;
mod golden;
mod messages;
mod wire;

use fake::{Fake, PARAMS};
use pg_core::floats::Floats;
use pg_core::link::{LinkError, Part, Refusal, Reply, Request, Retry, Sample, Status};
use pg_host::device::{Buffers, Connection, DeviceError, transfer};
use wire::{Random, Wire};

/// For a line of 115,200 bits a second.
const RETRY: Retry = Retry { first_ms: 100, longest_ms: 400, attempts: 6 };
const PIECE: u32 = 24;

fn hello(connection: &mut Connection) -> Result<u64, DeviceError> {
    connection.ask(&Request::Hello, |reply| match reply {
        Reply::Hello(hello) => Some(hello.fingerprint),
        _ => None,
    })
}

/// As postcard writes it.
fn bytes(message: &impl serde::Serialize) -> Vec<u8> {
    let mut out = vec![0; 1 << 12];
    postcard::to_slice(message, &mut out).unwrap().to_vec()
}

/// Without what the server adds.
fn as_the_device_said(reply: Reply) -> Reply {
    match reply {
        Reply::Status(status) => Reply::Status(Status { dropped: 0, ..status }),
        other => other,
    }
}

/// One of all kinds of commands; some make no sense.
fn command<'a>(random: &mut Random, floats: &'a [f32], raw: &'a [u8]) -> Request<'a> {
    let inputs = if random.below(10) == 0 { 7 } else { fake::INPUTS };
    let from = random.below((raw.len() - fake::INPUTS) as u32) as usize;
    let sample = match random.below(3) {
        0 => Sample::U8(&raw[from..][..inputs]),
        1 => Sample::I8(&raw[from..][..inputs]),
        _ => Sample::F32(Floats::new(&floats[from..][..inputs])),
    };
    match random.below(12) {
        0 => Request::Infer { sample },
        1..=3 => Request::Label { label: random.below(4) as u16, sample },
        4 => Request::Tune { steps: random.below(3), options: None },
        5 => Request::Evaluate { part: Part::All },
        6 => Request::Status,
        7 => Request::Save,
        8 => Request::RollBack,
        9 => Request::BeginPush { fingerprint: fake::FINGERPRINT, bytes: 4 * PARAMS as u32, crc: random.below(3) },
        10 => Request::Push { offset: random.below(3) * PIECE, bytes: &raw[from..][..PIECE as usize] },
        _ => Request::Parameters,
    }
}

#[test]
fn every_command_over_a_bad_line_ends_right_or_with_an_error_and_is_executed_at_most_once() {
    let mut silent = 0;
    let mut right = 0;
    let (mut repeated, mut dropped) = (0, 0);
    for seed in 0..5 {
        let mut wire = Wire::new(seed, 1e-3);
        let mut random = Random::new(100 + seed);
        let floats: Vec<f32> = (0..500).map(|_| random.below(1 << 20) as f32 / 1e5).collect();
        let raw: Vec<u8> = (0..500).map(|_| random.below(256) as u8).collect();
        let mut buffers = Buffers::new();
        let mut executed = 0;
        // Does, without a line, what the device is known to have done.
        let mut reference = Fake::new();
        for session in 1..=800 {
            let request = command(&mut random, &floats, &raw);
            let mut connection = Connection::new(&mut wire, session, RETRY, &mut buffers);
            while hello(&mut connection).is_err() {}
            let got = connection.ask(&request, |reply| Some(bytes(&as_the_device_said(reply))));
            let log = &wire.device.log[executed..];
            let expected = bytes(&request);
            let ours: Vec<_> = log.iter().filter(|(request, _)| *request != bytes(&Request::Hello)).collect();
            executed = wire.device.log.len();
            match got {
                Ok(reply) => {
                    assert_eq!(ours, [&(expected, reply.clone())], "executed once, as it was sent");
                    right += 1;
                }
                Err(error) if error.refusal().is_some() => {
                    let refused = bytes(&Reply::Refused(error.refusal().unwrap()));
                    assert_eq!(ours, [&(expected, refused)], "refused once, as it was sent");
                    right += 1;
                }
                Err(DeviceError::Link(LinkError::Silent)) => {
                    assert!(ours.len() <= 1 && ours.iter().all(|(request, _)| *request == expected), "never something else");
                    silent += 1;
                }
                Err(other) => panic!("{other:?}"),
            }
            if !ours.is_empty() {
                let _ = reference.state.answer(&request);
            }
        }
        assert_eq!(wire.device.state, reference.state);
        repeated += wire.counts().repeated;
        dropped += wire.dropped();
    }
    println!("{right} right, {silent} without an answer; {dropped} frames dropped by the device, {repeated} requests repeated");
    assert!(right > 3_900 && silent > 0 && repeated > 400 && dropped > 400, "{right} {silent} {repeated} {dropped}");
}

/// Asks until the line lets it through.
fn persistently<T>(mut what: impl FnMut() -> Result<T, DeviceError>) -> T {
    for _ in 0..50 {
        match what() {
            Ok(result) => return result,
            Err(DeviceError::Link(LinkError::Silent)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    panic!("fifty times without an answer")
}

#[test]
fn parameters_pushed_and_pulled_over_a_bad_line_are_the_same_to_the_bit() {
    for seed in 0..30 {
        let mut wire = Wire::new(seed, 1e-3);
        let parameters: Vec<f32> = (0..PARAMS).map(|i| f32::from_bits(0x3f00_0000 + (i as u32 * 77 + seed as u32) * 1001)).collect();
        let mut buffers = Buffers::new();
        let mut connection = Connection::new(&mut wire, 5, RETRY, &mut buffers);
        persistently(|| hello(&mut connection));
        persistently(|| transfer::push(&mut connection, fake::FINGERPRINT, &parameters, PIECE, |_, _| ()));
        let pulled = persistently(|| transfer::pull(&mut connection, PIECE, |_, _| ()));
        assert_eq!(pulled, parameters);
        assert_eq!(wire.device.state.parameters, bytes_of(&parameters));
    }
}

fn bytes_of(parameters: &[f32]) -> Vec<u8> {
    parameters.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn a_transfer_goes_on_where_it_was_when_the_line_is_unplugged_at_any_moment_and_plugged_in_again() {
    let parameters: Vec<f32> = (0..PARAMS).map(|i| i as f32).collect();
    let pieces = (4 * PARAMS).div_ceil(PIECE as usize);
    let mut length = None;
    let mut breaks = 0;
    // The first run is without a break and says how long the whole takes.
    for moment in (0..).map(|i| i * 751) {
        let mut wire = Wire::new(moment, 0.0);
        let start = if length.is_some() { moment } else { u64::MAX };
        wire.break_at(start, 300_000, false);
        let mut buffers = Buffers::new();
        let mut connection = Connection::new(&mut wire, 5, RETRY, &mut buffers);
        hello(&mut connection).unwrap();
        transfer::push(&mut connection, fake::FINGERPRINT, &parameters, PIECE, |_, _| ()).unwrap();
        assert_eq!(transfer::pull(&mut connection, PIECE, |_, _| ()).unwrap(), parameters);
        assert_eq!(wire.device.executed(|request| matches!(request, Request::Push { .. })), pieces, "no piece twice");
        assert_eq!(wire.device.executed(|request| matches!(request, Request::Pull { .. })), pieces, "no piece twice");
        breaks += u32::from(wire.broke());
        if moment > *length.get_or_insert(wire.now_us()) {
            break;
        }
    }
    assert!(breaks > 100, "{breaks}");
}

#[test]
fn a_transfer_begins_anew_when_the_device_has_started_anew() {
    let parameters: Vec<f32> = (0..PARAMS).map(|i| i as f32).collect();
    for moment in (2_000..100_000).step_by(1_919) {
        let mut wire = Wire::new(moment, 0.0);
        wire.break_at(moment, 50_000, true);
        let mut buffers = Buffers::new();
        let mut connection = Connection::new(&mut wire, 5, RETRY, &mut buffers);
        hello(&mut connection).unwrap();
        transfer::push(&mut connection, fake::FINGERPRINT, &parameters, PIECE, |_, _| ()).unwrap();
        assert_eq!(transfer::pull(&mut connection, PIECE, |_, _| ()).unwrap(), parameters);
        assert!(wire.broke());
    }
}

#[test]
fn a_push_that_its_host_leaves_half_way_changes_nothing_and_another_host_goes_on() {
    let mut wire = Wire::new(1, 0.0);
    let before = wire.device.state.parameters.clone();
    let parameters: Vec<f32> = (0..PARAMS).map(|i| i as f32).collect();
    let mut buffers = Buffers::new();
    let half = {
        let mut connection = Connection::new(&mut wire, 5, RETRY, &mut buffers);
        hello(&mut connection).unwrap();
        let whole = bytes_of(&parameters);
        let crc = pg_core::link::CRC.checksum(&whole);
        let begin = Request::BeginPush { fingerprint: fake::FINGERPRINT, bytes: whole.len() as u32, crc };
        connection.ask(&begin, |reply| Some(bytes(&reply))).unwrap();
        connection
            .ask(&Request::Push { offset: 0, bytes: &whole[..100] }, |reply| (reply == Reply::Pushed { bytes: 100 }).then_some(100))
            .unwrap()
    };
    assert_eq!(wire.device.state.parameters, before);
    let mut connection = Connection::new(&mut wire, 6, RETRY, &mut buffers);
    hello(&mut connection).unwrap();
    let mut seen = Vec::new();
    transfer::push(&mut connection, fake::FINGERPRINT, &parameters, PIECE, |so_far, _| seen.push(so_far)).unwrap();
    assert_eq!((seen[0], *seen.last().unwrap()), (half, 4 * PARAMS as u32));
    assert_eq!(wire.device.state.parameters, bytes_of(&parameters));
}

#[test]
fn parameters_of_another_network_or_length_or_with_a_nan_are_refused_in_a_sentence_and_change_nothing() {
    let mut wire = Wire::new(1, 0.0);
    let before = wire.device.state.clone();
    let mut buffers = Buffers::new();
    let mut connection = Connection::new(&mut wire, 5, RETRY, &mut buffers);
    hello(&mut connection).unwrap();
    let mut push = |fingerprint, parameters: &[f32]| {
        let error = transfer::push(&mut connection, fingerprint, parameters, PIECE, |_, _| ()).unwrap_err();
        error.to_string()
    };
    let other = "the device runs another network (fingerprint 0000000000001234): give a model of that one";
    assert_eq!(push(1, &[0.0; PARAMS]), other);
    let length = "40 bytes are pushed, and the parameters are 200: give a model of this network";
    assert_eq!(push(fake::FINGERPRINT, &[0.0; 10]), length);
    let mut parameters = [0.0; PARAMS];
    parameters[7] = f32::NAN;
    assert_eq!(push(fake::FINGERPRINT, &parameters), Refusal::NotFinite.to_string());
    assert_eq!(wire.device.state.parameters, before.parameters);
}

#[test]
fn parameters_that_change_while_they_are_pulled_are_pulled_anew() {
    let mut wire = Wire::new(1, 0.0);
    wire.device.state.changes_after_pulls = Some(3);
    let mut buffers = Buffers::new();
    let mut connection = Connection::new(&mut wire, 5, RETRY, &mut buffers);
    hello(&mut connection).unwrap();
    let pulled = transfer::pull(&mut connection, PIECE, |_, _| ()).unwrap();
    assert_eq!(bytes_of(&pulled), wire.device.state.parameters);
}
