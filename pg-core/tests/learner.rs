//! A device that learns, asked without a line: against the tuner, under power cuts, and with requests that make no sense.

#[allow(dead_code)] // the tests of the store use the rest
#[path = "store/flash.rs"]
mod flash;

use std::cell::RefCell;
use std::rc::Rc;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use flash::{CUTS, Random};
use heapless::Deque;
use pg_core::classifier::{self, Classifier};
use pg_core::floats::Floats;
use pg_core::initialise::Initialise;
use pg_core::learner::{About, Learner, Lent, StartError, record_bytes};
use pg_core::link::{Activity, CRC, Device, Form, Noise, Options, Part, Refusal, Reply, Request, Sample, Status};
use pg_core::model_file::{ClassNames, Model, ModelError, Provenance};
use pg_core::normalisation::Normalisation;
use pg_core::population::Population;
use pg_core::store::{Layout, StoreError};
use pg_core::tuner::{Entry, FineTuner, Memory, Settings};
use pg_core::zoo::{Mlp9x24x11 as Net, Mlp64x32x10};
use pg_core::{Network, Widest};

type Flash = flash::Flash<4, 1024>;
type Kept = Learner<'static, Net, f32, i8, Shared, 4>;

/// A flash that outlives its device.
#[derive(Clone)]
struct Shared(Rc<RefCell<Flash>>);

impl ErrorType for Shared {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Shared {
    const READ_SIZE: usize = Flash::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        self.0.borrow_mut().read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.borrow().capacity()
    }
}

impl NorFlash for Shared {
    const WRITE_SIZE: usize = Flash::WRITE_SIZE;
    const ERASE_SIZE: usize = Flash::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.0.borrow_mut().erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.0.borrow_mut().write(offset, bytes)
    }
}

const OPTIONS: Options = Options { batch: 4, population: 2, hold_out: 3, look_every: 5, ..Options::DEFAULT };
const LAYOUT: Layout = Layout { start: 0, slot_bytes: 8 << 10, sector_bytes: 1024, sectors: 3 };
const ROOM: usize = 40;
const KNOWN: [u32; 2] = [0xce02_6caa, 0x9b39_a681];
const NORMALISATION: Normalisation<'static> = Normalisation::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], &[0.1; 9]);

fn initial() -> Vec<f32> {
    let mut parameters = vec![0.0; Net::PARAMS];
    Initialise::AUTO.write::<Net>(5, &mut parameters);
    parameters
}

fn model_file<N: Network>(parameters: &[f32], normalisation: Normalisation) -> &'static [u8] {
    let mut network = String::new();
    N::describe(&mut network).unwrap();
    let model = Model {
        network: &network,
        normalisation,
        classes: ClassNames::default(),
        provenance: Provenance::default(),
        parameters: Floats::new(parameters),
    };
    let mut file = vec![0; model.encoded_len()];
    model.encode_into(&mut file).unwrap();
    file.leak()
}

fn opened<const BATCH: usize>(
    model: &'static [u8],
    flash: Shared,
    working: usize,
) -> Result<Learner<'static, Net, f32, i8, Shared, BATCH>, StartError> {
    fn leak<T: Clone + Default>(count: usize) -> &'static mut [T] {
        vec![T::default(); count].leak()
    }
    let about = About { firmware: "test 1", model, options: OPTIONS, plan: &[("parameters", 1)], known: &KNOWN, save_every: 7 };
    let tuner = Memory {
        parameters: leak(Net::PARAMS),
        working: leak(working),
        samples: leak(ROOM * 9),
        entries: Box::leak(Box::new(Deque::<Entry, ROOM>::new())).as_mut_view(),
        best: leak(Net::PARAMS),
    };
    Learner::open(about, Lent { tuner, sample: leak(9), outputs: leak(11), piece: leak(64.max(record_bytes::<i8>(9))) }, flash, LAYOUT)
}

fn try_open(flash: Shared) -> Result<Kept, StartError> {
    opened(model_file::<Net>(&initial(), NORMALISATION), flash, 10_000)
}

fn open(flash: &Shared) -> Kept {
    try_open(flash.clone()).unwrap()
}

fn new_flash() -> Shared {
    Shared(Rc::new(RefCell::new(Flash::new(LAYOUT.bytes() as usize / 1024, 3))))
}

fn sample(i: u8) -> (u16, [u8; 9]) {
    let label = u16::from(i % 3);
    (label, std::array::from_fn(|e| (i * 5 + 11 * (label as u8) * (e as u8 % 3)) % 40))
}

fn label(device: &mut Kept, i: u8) -> Result<u32, Refusal> {
    let (label, sample) = sample(i);
    done(device.answer(&Request::Label { label, sample: Sample::I8(&sample) }))
}

fn done(reply: Result<Reply<'_>, Refusal>) -> Result<u32, Refusal> {
    match reply? {
        Reply::Done { step } => Ok(step),
        other => panic!("{other:?}"),
    }
}

fn status(device: &mut Kept) -> Status {
    let Ok(Reply::Status(status)) = device.answer(&Request::Status) else { panic!() };
    status
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

fn finish(device: &mut Kept) -> Vec<u32> {
    while device.is_tuning() {
        device.advance();
    }
    bits(device.parameters())
}

/// Twenty samples and thirty steps: the parameters after them.
fn session(device: &mut Kept) -> Vec<u32> {
    (0..20).for_each(|i| assert!(label(device, i).is_ok()));
    done(device.answer(&Request::Tune { steps: 30, options: Some(OPTIONS) })).unwrap();
    finish(device)
}

#[test]
fn a_session_is_that_of_a_tuner_bit_for_bit() {
    let mut device = open(&new_flash());
    let found = session(&mut device);

    let population = Population { members: 2, ..Settings::DEFAULT.population };
    let settings = Settings { hold_out: 3, look_every: 5, patience: 0, population, ..Settings::DEFAULT };
    let (mut parameters, mut working, mut samples, mut best) = (initial(), vec![0.0; 10_000], vec![0_i8; 9 * ROOM], vec![0.0; Net::PARAMS]);
    let mut entries = Deque::<Entry, ROOM>::new();
    let memory = Memory {
        parameters: &mut parameters,
        working: &mut working,
        samples: &mut samples,
        entries: entries.as_mut_view(),
        best: &mut best,
    };
    let mut tuner = FineTuner::<Net, Widest, i8, 4>::new(memory, NORMALISATION, settings, 1).unwrap();
    for i in 0..20 {
        let (label, sample) = sample(i);
        tuner.label(&sample.map(|byte| byte as i8), label).unwrap();
    }
    let steps: Vec<_> = (0..30).map(|_| tuner.step().unwrap()).collect();
    assert_eq!(bits(tuner.parameters()), found);
    let now = status(&mut device);
    let best = steps.iter().filter_map(|step| step.look).map(|look| look.loss).fold(tuner.state().best_loss, f32::min);
    let losses = (now.loss_nats.to_bits(), now.best_loss_nats.to_bits());
    assert_eq!(losses, (steps[29].loss.to_bits(), best.to_bits()));
    assert_eq!((now.activity, now.step, now.samples, now.held_out), (Activity::Idle, 30, 20, 6));
}

#[test]
fn with_rank_1_noise_and_with_none_a_device_tunes_is_cut_off_goes_on_and_takes_pushed_parameters() {
    let pushed: Vec<f32> = (0..Net::PARAMS).map(|i| i as f32 / 7.0 - 9.0).collect();
    let bytes: Vec<u8> = pushed.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut ends = Vec::new();
    for options in [Options { noise: Noise::RankOne, ..OPTIONS }, Options { population: 0, ..OPTIONS }, OPTIONS] {
        let start = |flash: &Shared, steps: u32| {
            // No more memory than the options of the firmware need.
            let needed = Settings::DEFAULT.needs().sizes::<Net, f32, 4>().sum();
            let mut device = opened::<4>(model_file::<Net>(&initial(), NORMALISATION), flash.clone(), needed).unwrap();
            (0..20).for_each(|i| assert!(label(&mut device, i).is_ok()));
            done(device.answer(&Request::Tune { steps, options: Some(options) })).unwrap();
            device
        };
        let whole = finish(&mut start(&new_flash(), 30));
        let flash = new_flash();
        let mut device = start(&flash, 30);
        (0..17).for_each(|_| device.advance());
        drop(device);
        let mut device = open(&flash);
        assert!(device.is_tuning());
        assert_eq!(finish(&mut device), whole);

        let begin = Request::BeginPush { fingerprint: Net::fingerprint(), bytes: bytes.len() as u32, crc: CRC.checksum(&bytes) };
        assert_eq!(device.answer(&begin), Ok(Reply::Pushed { bytes: 0 }));
        assert!(device.answer(&Request::Push { offset: 0, bytes: &bytes }).is_ok());
        assert!(matches!(device.answer(&Request::Evaluate { part: Part::All }), Ok(Reply::Evaluated { samples: 20, .. })));
        done(device.answer(&Request::EndPush)).unwrap();
        assert_eq!(bits(device.parameters()), bits(&pushed));
        assert_eq!(device.answer(&Request::SelfTest), Ok(Reply::Tested { passed: 2, of: 2 }));
        ends.push(whole);
    }
    assert!(ends[0] != ends[1] && ends[0] != ends[2]);
}

#[test]
fn after_a_power_cut_at_any_write_or_erase_tuning_goes_on_with_the_same_bits() {
    let flash = new_flash();
    let expected = session(&mut open(&flash));
    let all = flash.0.borrow().operations;
    // Each of them in order, in one of the ways that power goes: the tests of the store cut each in all ways.
    let mut cuts = CUTS.into_iter().cycle();
    for at in 0..all {
        let cut = cuts.next().unwrap();
        let flash = new_flash();
        flash.0.borrow_mut().cut = Some((at, cut));
        let lost = |flash: &Shared| flash.0.borrow().operations > at && flash.0.borrow().cut.is_some();
        let mut device = try_open(flash.clone());
        let found = loop {
            // What a host does, which sees only the line; `None` when power goes.
            let outcome = device.as_mut().ok().and_then(|device| {
                for i in status(device).samples..20 {
                    label(device, i as u8).ok()?;
                }
                if status(device).step == 0 && !device.is_tuning() {
                    done(device.answer(&Request::Tune { steps: 30, options: Some(OPTIONS) })).ok()?;
                }
                while device.is_tuning() && !lost(&flash) {
                    device.advance();
                }
                (!lost(&flash)).then(|| bits(device.parameters()))
            });
            match outcome {
                Some(found) => break found,
                None => {
                    assert!(lost(&flash), "{at} {cut:?}");
                    flash.0.borrow_mut().power_on();
                    device = try_open(flash.clone());
                }
            }
        };
        assert_eq!(found, expected, "{at} {cut:?}");
    }
}

/// Rounds of a long session: in each the device gets two more samples and takes so many more steps.
const ROUNDS: u32 = 10;
const STEPS: u32 = 600;

/// A long session, as a host holds it that knows only what the device says: begun where the device is, as far as power lasts. `true` at its end.
/// `look` sees the device after each answer and step.
fn go_on(device: &mut Kept, mut look: impl FnMut(&mut Kept)) -> bool {
    for round in 0..ROUNDS {
        for i in status(device).samples..20 + 2 * round {
            if label(device, i as u8).is_err() {
                return false;
            }
            look(device);
        }
        let now = status(device).step;
        let (until, options) = ((round + 1) * STEPS, (now == 0).then_some(OPTIONS));
        if now < until && !device.is_tuning() && device.answer(&Request::Tune { steps: until - now, options }).is_err() {
            return false;
        }
        while device.is_tuning() {
            look(device);
            device.advance();
        }
        look(device);
    }
    true
}

#[test]
fn a_session_with_a_thousand_power_cuts_at_random_ends_with_the_same_bits_and_loses_no_state_but_the_one_in_flight() {
    let whole = new_flash();
    let mut device = open(&whole);
    assert!(go_on(&mut device, |_| ()));
    let (expected, all) = (bits(device.parameters()), whole.0.borrow().operations);

    let mut random = Random(0x5eed);
    let flash = new_flash();
    let (mut cuts, mut in_saves, mut in_samples, mut torn) = (0, 0, 0, 0);
    // What the device has said last: the number of its saved state, its steps then, and how many samples it has.
    let (mut saved, mut step_saved, mut samples) = (0, 0, 0);
    let found = loop {
        if cuts < 1000 {
            let (at, cut) = (u64::from(random.below(250)), CUTS[random.below(4) as usize]);
            let operations = flash.0.borrow().operations;
            flash.0.borrow_mut().cut = Some((operations + at, cut));
        }
        let lost = |flash: &Shared| cuts < 1000 && flash.0.borrow().lost_power();
        let (before, before_samples) = (saved, samples);
        let mut ended = false;
        if let Ok(mut device) = try_open(flash.clone()) {
            let now = status(&mut device);
            assert!(now.saved == saved || now.saved == saved + 1, "cut {cuts}: state {} was found, and {saved} was saved", now.saved);
            assert!(now.step >= step_saved, "cut {cuts}: step {} was found, and {step_saved} was saved", now.step);
            assert!(now.samples == samples || now.samples == samples + 1, "cut {cuts}: {} of {samples} samples", now.samples);
            (saved, step_saved, samples) = (now.saved, now.step, now.samples);
            ended = go_on(&mut device, |device| {
                // What is said with power off is heard by nobody.
                if !lost(&flash) {
                    let now = status(device);
                    if now.saved != saved {
                        (saved, step_saved) = (now.saved, now.step);
                    }
                    samples = now.samples;
                }
            }) && !lost(&flash);
            if ended {
                break bits(device.parameters());
            }
        }
        assert!(!ended && lost(&flash), "cut {cuts}: the session ended early");
        let cut = flash.0.borrow().cut;
        torn += u32::from(cut.is_some_and(|(_, cut)| matches!(cut, flash::Cut::Half | flash::Cut::Anything)));
        (in_saves, in_samples) = (in_saves + u32::from(saved != before), in_samples + u32::from(samples != before_samples));
        cuts += 1;
        flash.0.borrow_mut().power_on();
    };
    let operations = flash.0.borrow().operations;
    println!(
        "{cuts} cuts, {torn} of them half way; {operations} writes and erases, {all} without cuts; {in_saves} lives saved, {in_samples} took samples"
    );
    assert_eq!(found, expected);
    assert_eq!(cuts, 1000, "the session is too short for a thousand cuts");
}

#[test]
fn a_device_that_starts_has_what_was_saved_and_every_sample_since() {
    let flash = new_flash();
    let mut device = open(&flash);
    session(&mut device);
    done(device.answer(&Request::Forget { samples: 3 })).unwrap();
    (20..24).for_each(|i| assert!(label(&mut device, i).is_ok()));
    let Ok(Reply::Saved { sequence }) = device.answer(&Request::Save) else { panic!() };
    assert_eq!(status(&mut device).saved, sequence);
    (24..30).for_each(|i| assert!(label(&mut device, i).is_ok()));
    let before = status(&mut device);
    drop(device);

    let mut again = open(&flash);
    let now = status(&mut again);
    assert_eq!(Status { generation: 0, ..now }, Status { generation: 0, ..before });
    let tune = |device: &mut Kept| {
        done(device.answer(&Request::Tune { steps: 5, options: None })).unwrap();
        finish(device)
    };
    let tuned = tune(&mut again);
    assert_eq!(status(&mut again).step, 35);
    // What is forgotten comes back when nothing was saved since; what there is no room for then, does not.
    done(again.answer(&Request::Forget { samples: 27 })).unwrap();
    drop(again);
    assert_eq!(status(&mut open(&flash)).samples, 27);
    done(open(&flash).answer(&Request::Reset)).unwrap();
    let mut reset = open(&flash);
    assert_eq!((status(&mut reset).samples, status(&mut reset).step, bits(reset.parameters())), (0, 0, bits(&initial())));
    assert_ne!(tuned, bits(&initial()));
}

#[test]
fn a_state_of_firmware_with_another_batch_is_left_and_the_samples_are_kept() {
    let flash = new_flash();
    session(&mut open(&flash));
    let mut other = opened::<8>(model_file::<Net>(&initial(), NORMALISATION), flash, 20_000).unwrap();
    let Ok(Reply::Status(now)) = other.answer(&Request::Status) else { panic!() };
    assert_eq!((now.step, now.samples, bits(other.parameters())), (0, 20, bits(&initial())));
}

#[test]
fn while_it_tunes_it_answers_what_does_not_disturb_and_refuses_the_rest() {
    let mut device = open(&new_flash());
    (0..20).for_each(|i| assert!(label(&mut device, i).is_ok()));
    let undisturbed = session(&mut open(&new_flash()));
    done(device.answer(&Request::Tune { steps: 30, options: Some(OPTIONS) })).unwrap();
    let (_, values) = sample(1);
    while device.is_tuning() {
        device.advance();
        assert!(matches!(device.answer(&Request::Infer { sample: Sample::I8(&values) }), Ok(Reply::Inferred { .. })));
        assert!(matches!(device.answer(&Request::Evaluate { part: Part::All }), Ok(Reply::Evaluated { samples: 20, .. })));
        assert!(matches!(device.answer(&Request::Hello), Ok(Reply::Hello(_))));
        if device.is_tuning() {
            assert_eq!(label(&mut device, 3), Err(Refusal::Busy));
            let busy = [Request::Reset, Request::SelfTest, Request::RollBack, Request::EndPush, Request::Forget { samples: 1 }];
            busy.iter().for_each(|request| assert_eq!(device.answer(request), Err(Refusal::Busy)));
        }
    }
    assert_eq!(bits(device.parameters()), undisturbed);
    done(device.answer(&Request::RollBack)).unwrap();
    done(device.answer(&Request::Tune { steps: 30, options: None })).unwrap();
    device.advance();
    assert_eq!(done(device.answer(&Request::Stop)), Ok(31));
    assert!(!device.is_tuning());
}

#[test]
fn parameters_are_pulled_and_pushed_in_any_pieces_all_or_nothing() {
    let flash = new_flash();
    let mut device = open(&flash);
    let pushed: Vec<f32> = (0..Net::PARAMS).map(|i| i as f32 / 7.0 - 9.0).collect();
    let bytes: Vec<u8> = pushed.iter().flat_map(|number| number.to_le_bytes()).collect();
    let begin = Request::BeginPush { fingerprint: Net::fingerprint(), bytes: bytes.len() as u32, crc: CRC.checksum(&bytes) };
    assert_eq!(device.answer(&begin), Ok(Reply::Pushed { bytes: 0 }));
    let first = Request::Push { offset: 0, bytes: &bytes[..501] };
    assert_eq!(device.answer(&first), Ok(Reply::Pushed { bytes: 501 }));
    assert_eq!(device.answer(&first), Err(Refusal::Offset { expected: 501 }));
    assert_eq!(device.answer(&begin), Ok(Reply::Pushed { bytes: 501 }), "goes on where it was");
    assert_eq!(device.answer(&Request::EndPush), Err(Refusal::Offset { expected: 501 }));
    assert_eq!(device.answer(&Request::Push { offset: 501, bytes: &bytes[501..] }), Ok(Reply::Pushed { bytes: bytes.len() as u32 }));
    assert_eq!(bits(device.parameters()), bits(&initial()), "not before the end");
    let generation = status(&mut device).generation;
    done(device.answer(&Request::EndPush)).unwrap();
    assert_eq!(bits(device.parameters()), bits(&pushed));
    assert_eq!(device.answer(&Request::EndPush), Err(Refusal::NothingPushed));
    assert_eq!(device.answer(&Request::Pull { generation, offset: 0, bytes: 4 }), Err(Refusal::Changed));

    let Ok(Reply::Parameters { generation, bytes: total, crc }) = device.answer(&Request::Parameters) else { panic!() };
    assert_eq!((total as usize, crc), (bytes.len(), CRC.checksum(&bytes)));
    let mut pulled = Vec::new();
    while pulled.len() < bytes.len() {
        let wanted = 61.min(bytes.len() - pulled.len()) as u32;
        let pull = Request::Pull { generation, offset: pulled.len() as u32, bytes: wanted };
        let Ok(Reply::Piece { bytes, .. }) = device.answer(&pull) else { panic!() };
        pulled.extend_from_slice(bytes);
    }
    assert_eq!(pulled, bytes);
    assert_eq!(device.answer(&Request::Pull { generation, offset: total - 1, bytes: 2 }), Err(Refusal::OutOfRange));
    assert_eq!(device.answer(&Request::Pull { generation, offset: 0, bytes: 65 }), Err(Refusal::ReplyTooLong));

    let wrong = Request::BeginPush { fingerprint: Net::fingerprint(), bytes: total, crc: crc ^ 1 };
    device.answer(&wrong).unwrap();
    device.answer(&Request::Push { offset: 0, bytes: &bytes }).unwrap();
    assert_eq!(device.answer(&Request::EndPush), Err(Refusal::PushDamaged));
    let infinite = vec![0x7f; bytes.len()];
    let crc = CRC.checksum(&infinite);
    device.answer(&Request::BeginPush { fingerprint: Net::fingerprint(), bytes: total, crc }).unwrap();
    device.answer(&Request::Push { offset: 0, bytes: &infinite }).unwrap();
    assert_eq!(device.answer(&Request::EndPush), Ok(Reply::Done { step: 0 }), "0x7f7f7f7f is a large number");
    let nan = vec![0xff; bytes.len()];
    let crc = CRC.checksum(&nan);
    device.answer(&Request::BeginPush { fingerprint: Net::fingerprint(), bytes: total, crc }).unwrap();
    device.answer(&Request::Push { offset: 0, bytes: &nan }).unwrap();
    assert_eq!(device.answer(&Request::EndPush), Err(Refusal::NotFinite));
}

#[test]
fn bad_requests_get_their_own_answers_and_change_nothing() {
    let mut device = open(&new_flash());
    let ask = |device: &mut Kept, request: Request| device.answer(&request).err();
    let values = [0; 9];
    let sample = Sample::I8(&values);
    let infinite = [f32::INFINITY; 9];
    let tune = |options| Request::Tune { steps: 1, options: Some(options) };
    assert_eq!(ask(&mut device, Request::Tune { steps: 0, options: None }), Some(Refusal::NoSteps));
    assert_eq!(ask(&mut device, tune(OPTIONS)), Some(Refusal::NoSamples));
    assert_eq!(ask(&mut device, Request::Evaluate { part: Part::All }), Some(Refusal::NoSamples));
    assert_eq!(ask(&mut device, Request::RollBack), Some(Refusal::NothingKept));
    assert_eq!(ask(&mut device, Request::Label { label: 11, sample }), Some(Refusal::NoSuchClass { label: 11, classes: 11 }));
    let short = Sample::I8(&values[1..]);
    assert_eq!(ask(&mut device, Request::Infer { sample: short }), Some(Refusal::SampleLength { found: 8, expected: 9 }));
    let floats = Sample::F32(Floats::new(&infinite));
    assert_eq!(ask(&mut device, Request::Infer { sample: floats }), Some(Refusal::SampleForm { kept: Form::I8 }));
    (0..ROOM as u8).for_each(|i| assert!(label(&mut device, i).is_ok()));
    assert_eq!(label(&mut device, 0), Err(Refusal::RingFull { samples: 40 }));
    assert_eq!(ask(&mut device, tune(Options { batch: 8, ..OPTIONS })), Some(Refusal::Batch { batch: 4 }));
    assert_eq!(ask(&mut device, tune(Options { rate: f32::NAN, ..OPTIONS })), Some(Refusal::Options));
    assert_eq!(ask(&mut device, tune(Options { layers: 0, ..OPTIONS })), Some(Refusal::EmptyScope));
    assert_eq!(ask(&mut device, tune(Options { hold_out: 1, ..OPTIONS })), Some(Refusal::NoSamples));
    let other = Request::BeginPush { fingerprint: 1, bytes: 4, crc: 0 };
    assert_eq!(ask(&mut device, other), Some(Refusal::OtherNetwork { device: Net::fingerprint() }));
    let short = Request::BeginPush { fingerprint: Net::fingerprint(), bytes: 4, crc: 0 };
    assert_eq!(ask(&mut device, short), Some(Refusal::PushLength { found: 4, expected: 4 * Net::PARAMS as u32 }));
    assert_eq!(ask(&mut device, Request::Plan { row: 1 }), Some(Refusal::OutOfRange));
    let now = status(&mut device);
    assert_eq!((now.samples, now.step, bits(device.parameters())), (40, 0, bits(&initial())));

    // At this rate the loss is soon no number; the device goes back and says so, until it is told how to go on.
    done(device.answer(&tune(Options { rate: 1e30, ..OPTIONS }))).unwrap();
    done(device.answer(&Request::Stop)).unwrap();
    done(device.answer(&Request::Tune { steps: 50, options: None })).unwrap();
    finish(&mut device);
    let now = status(&mut device).activity;
    assert!(now == Activity::Diverged || now == Activity::Stopped, "{now:?}");
    assert!(matches!(ask(&mut device, Request::Tune { steps: 1, options: None }), Some(Refusal::Diverged | Refusal::Stopped)));
    assert_eq!(bits(device.parameters()), bits(&initial()));
    assert_eq!(ask(&mut device, tune(OPTIONS)), None);
}

#[test]
fn a_device_says_which_model_it_was_built_with() {
    let crc = |parameters: &[f32]| {
        let mut device = opened::<4>(model_file::<Net>(parameters, NORMALISATION), new_flash(), 10_000).unwrap();
        let Ok(Reply::Hello(hello)) = device.answer(&Request::Hello) else { panic!() };
        hello.model_crc
    };
    assert_eq!(crc(&initial()), crc(&initial()));
    assert_ne!(crc(&initial()), crc(&[0.5; Net::PARAMS]));
}

#[test]
fn what_cannot_start_says_why() {
    let damaged = &model_file::<Net>(&initial(), NORMALISATION)[1..];
    let start = |model, flash, working| opened::<4>(model, flash, working).err();
    assert_eq!(start(damaged, new_flash(), 10_000), Some(StartError::Model(ModelError::NotAModel)));
    let other = model_file::<Mlp64x32x10>(&[0.0; Mlp64x32x10::PARAMS], Normalisation::NONE);
    assert_eq!(start(other, new_flash(), 10_000), Some(StartError::Model(ModelError::OtherNetwork)));
    let good = model_file::<Net>(&initial(), NORMALISATION);
    assert!(matches!(start(good, new_flash(), 100), Some(StartError::Tuner(_))));
    let small = Shared(Rc::new(RefCell::new(Flash::new(2, 1))));
    assert_eq!(start(good, small, 10_000), Some(StartError::Store(StoreError::Layout)));
}

#[test]
fn known_networks_give_the_outputs_that_they_have_always_given() {
    let mut device = open(&new_flash());
    assert_eq!(KNOWN.map(Some), [0, 1].map(|seed| device.known(seed)));
    assert_eq!(device.answer(&Request::SelfTest), Ok(Reply::Tested { passed: 2, of: 2 }));
}

#[test]
fn a_device_that_only_classifies_has_the_bits_of_one_that_learns_and_refuses_to_change() {
    let model = model_file::<Net>(&initial(), NORMALISATION);
    let (mut parameters, mut tape, mut scratch, mut sample, mut outputs, mut piece) = (
        [0.0; Net::PARAMS],
        vec![0.0; classifier::tape_len::<Net, Widest>()],
        vec![0.0; classifier::scratch_len::<Net, Widest>()],
        [0; 9],
        [0.0; 11],
        [0; 100],
    );
    let about = classifier::About { firmware: "test 1", model, plan: &[("parameters", 1)], known: &KNOWN };
    let lent = classifier::Lent {
        parameters: &mut parameters,
        tape: &mut tape,
        scratch: &mut scratch,
        sample: &mut sample,
        outputs: &mut outputs,
        piece: &mut piece,
    };
    let mut device = Classifier::<Net, Widest, i8>::open(about, lent).unwrap();
    let mut learner = open(&new_flash());
    assert_eq!(device.answer(&Request::SelfTest), Ok(Reply::Tested { passed: 2, of: 2 }));
    for i in 0..20 {
        let (_, values) = self::sample(i);
        let infer = Request::Infer { sample: Sample::I8(&values) };
        let Ok(Reply::Inferred { class, logits }) = learner.answer(&infer) else { panic!() };
        let expected: Vec<f32> = logits.iter().collect();
        let Ok(Reply::Inferred { class: found, logits }) = device.answer(&infer) else { panic!() };
        assert_eq!((found, bits(&logits.iter().collect::<Vec<_>>())), (class, bits(&expected)));
    }
    assert_eq!(bits(device.parameters()), bits(&initial()), "after the self-test, too");
    let Ok(Reply::Hello(hello)) = device.answer(&Request::Hello) else { panic!() };
    assert_eq!((hello.fingerprint, hello.samples, hello.params), (Net::fingerprint(), 0, Net::PARAMS as u32));
    let Ok(Reply::Status(status)) = device.answer(&Request::Status) else { panic!() };
    assert_eq!((status.activity, status.step, status.samples), (Activity::Idle, 0, 0));

    let Ok(Reply::Parameters { generation, bytes: total, crc }) = device.answer(&Request::Parameters) else { panic!() };
    let mut pulled = Vec::new();
    while pulled.len() < total as usize {
        let wanted = 100.min(total - pulled.len() as u32);
        let Ok(Reply::Piece { bytes, .. }) = device.answer(&Request::Pull { generation, offset: pulled.len() as u32, bytes: wanted })
        else {
            panic!()
        };
        pulled.extend_from_slice(bytes);
    }
    assert_eq!(CRC.checksum(&pulled), crc);
    assert_eq!(device.answer(&Request::Pull { generation, offset: 0, bytes: 101 }), Err(Refusal::ReplyTooLong));
    assert_eq!(device.answer(&Request::Pull { generation, offset: total, bytes: 1 }), Err(Refusal::OutOfRange));
    assert_eq!(device.answer(&Request::Infer { sample: Sample::U8(&[0; 9]) }), Err(Refusal::SampleForm { kept: Form::I8 }));

    let values = [0; 9];
    let changes = [
        Request::Label { label: 0, sample: Sample::I8(&values) },
        Request::Tune { steps: 1, options: Some(OPTIONS) },
        Request::Stop,
        Request::Evaluate { part: Part::All },
        Request::BeginPush { fingerprint: Net::fingerprint(), bytes: total, crc },
        Request::Push { offset: 0, bytes: &values },
        Request::EndPush,
        Request::Save,
        Request::RollBack,
        Request::Reset,
        Request::Forget { samples: 1 },
    ];
    changes.iter().for_each(|request| assert_eq!(device.answer(request), Err(Refusal::Unsupported), "{request:?}"));
    assert_eq!(bits(device.parameters()), bits(&initial()));
}
