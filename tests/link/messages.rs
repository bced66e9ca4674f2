//! Every message comes back from a frame as it went in.

use pg_core::floats::Floats;
use pg_core::link::*;
use proptest::prelude::*;

/// Numbers from which a message is made: bytes, floats, a text.
#[derive(Clone, Debug)]
struct Parts {
    numbers: [u32; 8],
    wide: u64,
    bytes: Vec<u8>,
    floats: Vec<f32>,
    text: String,
}

fn parts() -> impl Strategy<Value = Parts> {
    let floats = prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 0..100);
    let numbers = any::<[u32; 8]>();
    (numbers, any::<u64>(), prop::collection::vec(any::<u8>(), 0..600), floats, "[ -~µ]{0,40}")
        .prop_map(|(numbers, wide, bytes, floats, text)| Parts { numbers, wide, bytes, floats, text })
}

fn options(p: &Parts) -> Options {
    let [a, b, c, d, ..] = p.numbers;
    let noise = [Noise::Gaussian, Noise::Rademacher, Noise::RankOne][a as usize % 3];
    Options {
        rate: f32::from_bits(a),
        momentum: f32::from_bits(b),
        weight_decay: f32::from_bits(c),
        population: d,
        rho: f32::from_bits(d),
        noise,
        antithetic: a % 2 == 0,
        batch: b as u16,
        layers: p.wide,
        biases: b % 2 == 0,
        hold_out: c,
        look_every: a,
        patience: b,
        seed: !p.wide,
    }
}

fn requests(p: &Parts) -> Vec<Request<'_>> {
    let [a, b, c, ..] = p.numbers;
    let floats = Sample::F32(Floats::new(&p.floats));
    let samples = [Sample::U8(&p.bytes), Sample::I8(&p.bytes), floats];
    let mut all = vec![
        Request::Hello,
        Request::Plan { row: a as u16 },
        Request::Tune { steps: a, options: None },
        Request::Tune { steps: b, options: Some(options(p)) },
        Request::Stop,
        Request::Status,
        Request::Parameters,
        Request::Pull { generation: a, offset: b, bytes: c },
        Request::BeginPush { fingerprint: p.wide, bytes: a, crc: b },
        Request::Push { offset: a, bytes: &p.bytes },
        Request::EndPush,
        Request::Save,
        Request::RollBack,
        Request::Reset,
        Request::SelfTest,
        Request::Forget { samples: a },
    ];
    all.extend(samples.map(|sample| Request::Infer { sample }));
    all.extend(samples.map(|sample| Request::Label { label: a as u16, sample }));
    all.extend([Part::Learnt, Part::HeldOut, Part::All].map(|part| Request::Evaluate { part }));
    all
}

fn refusals(p: &Parts) -> Vec<Refusal> {
    let [a, b, ..] = p.numbers;
    vec![
        Refusal::NoSession,
        Refusal::OtherNetwork { device: p.wide },
        Refusal::SampleLength { found: a, expected: b },
        Refusal::SampleForm { kept: [Form::U8, Form::I8, Form::F32][a as usize % 3] },
        Refusal::NoSuchClass { label: a as u16, classes: b as u16 },
        Refusal::RingFull { samples: a },
        Refusal::Batch { batch: a as u16 },
        Refusal::TooLittleMemory { needed: a, lent: b },
        Refusal::Offset { expected: a },
        Refusal::PushLength { found: a, expected: b },
        Refusal::StateTooLarge,
    ]
}

fn replies(p: &Parts) -> Vec<Reply<'_>> {
    let [a, b, c, d, e, f, g, h] = p.numbers;
    let activity = [Activity::Idle, Activity::Tuning, Activity::Stopped, Activity::Diverged][a as usize % 4];
    let mut all = vec![
        Reply::Hello(Hello {
            firmware: &p.text,
            fingerprint: p.wide,
            model_crc: a,
            input: (b, c, d),
            classes: e as u16,
            params: f,
            form: Form::I8,
            samples: g,
            plan_rows: h as u16,
            largest_request: a,
            largest_reply: b,
        }),
        Reply::Plan { name: &p.text, bytes: a },
        Reply::Inferred { class: a as u16, logits: Floats::new(&p.floats) },
        Reply::Done { step: a },
        Reply::Evaluated { samples: a, right: b, loss_nats: f32::from_bits(c) },
        Reply::Status(Status {
            activity,
            step: a,
            steps_left: b,
            samples: c,
            held_out: d,
            loss_nats: f32::from_bits(e),
            best_loss_nats: f32::from_bits(f),
            best_step: g,
            saved: h,
            generation: a,
            dropped: b,
        }),
        Reply::Parameters { generation: a, bytes: b, crc: c },
        Reply::Piece { offset: a, bytes: &p.bytes },
        Reply::Pushed { bytes: a },
        Reply::Saved { sequence: a },
        Reply::Tested { passed: a, of: b },
    ];
    all.extend(refusals(p).into_iter().map(Reply::Refused));
    all
}

/// Sends it through a frame, and writes what arrives once more: numbers that are none are equal to nothing.
fn through<'a, T: serde::Serialize + serde::Deserialize<'a>>(message: &T, content: &'a mut Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let mut line = vec![0; frame_bytes(4000)];
    let length = encode(Kind::Request, 1, 2, Some(message), &mut line).expect("room");
    let mut memory = vec![0; content_bytes(4000)];
    let mut receiver = Receiver::new(&mut memory);
    for &byte in &line[..length] {
        if let Some(frame) = receiver.push(byte) {
            *content = frame.message.to_vec();
        }
    }
    let (read, rest) = postcard::take_from_bytes::<T>(content).expect("a message");
    assert!(rest.is_empty());
    (super::bytes(message), super::bytes(&read))
}

proptest! {
    #[test]
    fn messages_come_back(parts in parts()) {
        for request in requests(&parts) {
            let (sent, read) = through(&request, &mut Vec::new());
            prop_assert_eq!(sent, read);
        }
        for reply in replies(&parts) {
            let (sent, read) = through(&reply, &mut Vec::new());
            prop_assert_eq!(sent, read);
        }
    }
}

#[test]
fn every_refusal_is_a_sentence_that_says_what_to_do() {
    let parts = Parts { numbers: [1; 8], wide: 7, bytes: Vec::new(), floats: Vec::new(), text: String::new() };
    for refusal in refusals(&parts) {
        let text = refusal.to_string();
        assert!(text.len() > 30 && !text.ends_with('.') && !text.contains("{"), "{text}");
    }
}
