//! The store under power cuts at every write and erase, whole and torn, and with flash that is full, worn or broken.

mod flash;

use std::collections::BTreeMap;

use flash::{CUTS, Flash, Random};
use pg_core::store::{Cursor, Layout, Store, StoreError};

const FINGERPRINT: u64 = 0x00c0_ffee;

#[derive(Clone, Debug)]
enum Action {
    Save(Vec<u8>),
    Append(Vec<u8>),
    Forget(u32),
    Reset,
}

/// What must be found: kept by the test, beside the store.
#[derive(Clone, Default)]
struct Model {
    state: Option<Vec<u8>>,
    /// Samples that were acknowledged, forgotten ones too.
    samples: BTreeMap<u32, Vec<u8>>,
    /// Those from here on count.
    first: u32,
    /// Those before are gone for good.
    gone: u32,
}

fn layout<const PAGE: usize>() -> Layout {
    let page = PAGE as u32;
    let slot = page * 1024_u32.div_ceil(page);
    Layout { start: page, slot_bytes: slot, sector_bytes: page * 256_u32.div_ceil(page), sectors: 4 }
}

fn new_flash<const WORD: usize, const PAGE: usize>(seed: u64) -> Flash<WORD, PAGE> {
    let layout = layout::<PAGE>();
    Flash::new((layout.bytes() as usize + layout.start as usize) / PAGE + 1, seed)
}

fn open<const WORD: usize, const PAGE: usize>(flash: Flash<WORD, PAGE>) -> Store<Flash<WORD, PAGE>> {
    Store::open(flash, layout::<PAGE>(), FINGERPRINT).expect("a flash with power")
}

fn state_of<const WORD: usize, const PAGE: usize>(store: &mut Store<Flash<WORD, PAGE>>) -> Option<Vec<u8>> {
    let state = store.state()?;
    let mut bytes = vec![0; state.bytes as usize];
    // In pieces of odd lengths, as a reader may.
    for (i, piece) in bytes.chunks_mut(37).enumerate() {
        store.read(37 * i as u32, piece).unwrap();
    }
    Some(bytes)
}

fn samples_of<const WORD: usize, const PAGE: usize>(store: &mut Store<Flash<WORD, PAGE>>) -> Vec<(u32, Vec<u8>)> {
    let (mut cursor, mut samples) = (Cursor::OLDEST, Vec::new());
    let mut out = [0; 300];
    while let Some(entry) = store.next_sample(&mut cursor, &mut out).unwrap() {
        samples.push((entry.number, out[..entry.bytes].to_vec()));
    }
    assert!(samples.iter().map(|(number, _)| *number).eq(store.samples()), "every number, in order");
    samples
}

/// Carries out an action in the store, then in the model.
fn act<const WORD: usize, const PAGE: usize>(
    store: &mut Store<Flash<WORD, PAGE>>,
    model: &mut Model,
    action: &Action,
) -> Result<(), StoreError> {
    match action {
        Action::Save(bytes) => {
            let mut writer = store.begin(3, bytes.len() as u32)?;
            bytes.chunks(50).try_for_each(|piece| writer.write(piece))?;
            writer.commit()?;
            model.state = Some(bytes.clone());
            model.gone = model.first;
        }
        Action::Append(bytes) => {
            let (front, back) = bytes.split_at(bytes.len() / 3);
            let number = match store.append(&[front, back]) {
                Err(StoreError::Full) => {
                    let samples = store.samples();
                    model.first = samples.start + samples.len() as u32 / 2;
                    store.forget_before(model.first);
                    store.append(&[front, back])?
                }
                other => other?,
            };
            model.samples.insert(number, bytes.clone());
        }
        Action::Forget(number) => {
            store.forget_before(*number);
            model.first = model.first.max((*number).min(store.samples().end));
        }
        Action::Reset => {
            store.reset()?;
            model.state = None;
            model.first = store.samples().end;
            model.gone = model.first;
        }
    }
    Ok(())
}

/// After a cut: all that was acknowledged is there; of the action in flight all or nothing.
fn check_after_cut<const WORD: usize, const PAGE: usize>(store: &mut Store<Flash<WORD, PAGE>>, model: &mut Model, inflight: &Action) {
    let state = state_of(store);
    let samples = samples_of(store);
    let done = match inflight {
        Action::Save(bytes) => state.as_ref() == Some(bytes) && state != model.state,
        Action::Reset => model.state.is_some() && state.is_none(),
        _ => false,
    };
    if done {
        model.state.clone_from(&state);
        if matches!(inflight, Action::Reset) {
            model.first = store.samples().start;
        }
        model.gone = model.first;
    }
    assert_eq!(state, model.state, "the newest complete state");
    if matches!(inflight, Action::Reset) && model.state.is_none() && samples.is_empty() {
        (model.first, model.gone) = (store.samples().start, store.samples().start);
    }
    for (number, bytes) in &samples {
        assert!(*number >= model.gone, "sample {number} was given up for good");
        match (model.samples.get(number), inflight) {
            (Some(known), _) => assert_eq!(known, bytes, "sample {number}"),
            (None, Action::Append(appended)) => assert_eq!(appended, bytes, "the sample in flight"),
            _ => panic!("sample {number} from nowhere"),
        }
    }
    let kept: Vec<u32> = model.samples.range(model.first..).map(|(number, _)| *number).collect();
    assert!(kept.iter().all(|number| samples.iter().any(|(found, _)| found == number)), "{kept:?} in {samples:?}");
    // From here on they are what there is: those in flight or forgotten but not for good, too.
    model.samples.extend(samples.iter().cloned());
    model.first = store.samples().start;
}

fn bytes(random: &mut Random, least: u32, most: u32) -> Vec<u8> {
    (0..least + random.below(most - least + 1)).map(|_| random.next() as u8).collect()
}

/// Two saves, a log that wraps, forgetting, a reset, and life after it.
fn script(random: &mut Random) -> Vec<Action> {
    let mut actions = vec![Action::Append(bytes(random, 20, 60)), Action::Save(bytes(random, 300, 400))];
    actions.extend((0..12).map(|_| Action::Append(bytes(random, 1, 90))));
    actions.extend([Action::Save(bytes(random, 1, 300)), Action::Forget(6), Action::Save(bytes(random, 100, 300))]);
    actions.extend((0..12).map(|_| Action::Append(bytes(random, 1, 90))));
    actions.extend([Action::Reset, Action::Append(bytes(random, 10, 90)), Action::Save(bytes(random, 100, 300))]);
    actions
}

/// Cuts the script at each of its writes and erases, in every manner, and goes on after each.
fn cut_everywhere<const WORD: usize, const PAGE: usize>() -> u64 {
    let mut random = Random(77);
    let actions = script(&mut random);
    let mut whole = open(new_flash::<WORD, PAGE>(1));
    let mut model = Model::default();
    actions.iter().for_each(|action| act(&mut whole, &mut model, action).unwrap());
    let operations = whole.close().operations;
    let mut cuts = 0;
    for at in 0..operations {
        for (cut, seed) in CUTS.into_iter().flat_map(|cut| [1, 2].map(|seed| (cut, seed))) {
            let mut flash = new_flash::<WORD, PAGE>(seed);
            flash.cut = Some((at, cut));
            let mut store = open(flash);
            let mut model = Model::default();
            let failed = actions.iter().position(|action| act(&mut store, &mut model, action).is_err()).expect("the cut");
            let mut flash = store.close();
            flash.power_on();
            let mut store = open(flash);
            check_after_cut(&mut store, &mut model, &actions[failed]);
            for action in &actions[failed..] {
                act(&mut store, &mut model, action).expect("life goes on");
            }
            assert_eq!(state_of(&mut store), model.state);
            cuts += 1;
        }
    }
    cuts
}

#[test]
fn no_state_or_sample_is_lost_when_power_is_cut_at_any_write_or_erase() {
    let cuts = [
        cut_everywhere::<1, 64>(),
        cut_everywhere::<4, 128>(),
        cut_everywhere::<4, 1024>(),
        cut_everywhere::<8, 256>(),
        cut_everywhere::<32, 256>(),
    ];
    println!("{cuts:?} cuts with words of 1, 4, 4, 8 and 32 bytes");
    assert!(cuts.iter().all(|&cuts| cuts > 500), "{cuts:?}");
}

fn cut_at_random<const WORD: usize, const PAGE: usize>(seed: u64, count: u32) -> Flash<WORD, PAGE> {
    let mut random = Random(seed);
    let mut model = Model::default();
    let mut flash = new_flash::<WORD, PAGE>(seed);
    for _ in 0..count {
        flash.cut = Some((flash.operations + u64::from(random.below(60)), CUTS[random.below(4) as usize]));
        let mut store = open(flash);
        let inflight = loop {
            let action = match random.below(12) {
                0..=2 => Action::Save(bytes(&mut random, 1, 400)),
                3 if random.below(20) == 0 => Action::Reset,
                4 => Action::Forget(store.samples().start + random.below(3)),
                _ => Action::Append(bytes(&mut random, 0, 90)),
            };
            if act(&mut store, &mut model, &action).is_err() {
                break action;
            }
        };
        flash = store.close();
        flash.power_on();
        let mut store = open(flash);
        check_after_cut(&mut store, &mut model, &inflight);
        flash = store.close();
    }
    flash
}

#[test]
fn nothing_is_lost_in_a_thousand_random_cuts_one_after_the_other() {
    let flash = cut_at_random::<4, 256>(5, 1000);
    let (most, operations) = (flash.wear.iter().max().unwrap(), flash.operations);
    println!("{operations} writes and erases, a page was erased {most} times at most");
    cut_at_random::<1, 64>(6, 1000);
    cut_at_random::<8, 128>(7, 1000);
    cut_at_random::<4, 2048>(8, 1000);
}

type Small = Flash<4, 256>;

fn filled() -> (Store<Small>, Model) {
    let (mut store, mut model) = (open(new_flash(3)), Model::default());
    act(&mut store, &mut model, &Action::Save(vec![1; 200])).unwrap();
    act(&mut store, &mut model, &Action::Append(vec![2; 50])).unwrap();
    (store, model)
}

#[test]
fn a_full_log_is_an_error_until_the_oldest_are_forgotten_and_pages_wear_alike() {
    let (mut store, _) = filled();
    while store.append(&[&[3; 50]]) != Err(StoreError::Full) {}
    let full = samples_of(&mut store);
    assert_eq!((full.len(), store.append(&[&[4; 50]])), (12, Err(StoreError::Full)));
    assert_eq!((samples_of(&mut store), state_of(&mut store)), (full.clone(), Some(vec![1; 200])));
    // All but the newest of the oldest sector is not enough.
    store.forget_before(2);
    assert_eq!(store.append(&[&[4; 50]]), Err(StoreError::Full));
    store.forget_before(3);
    assert_eq!(store.append(&[&[4; 50]]), Ok(12));
    for _ in 0..1000 {
        if store.append(&[&[4; 50]]) == Err(StoreError::Full) {
            store.forget_before(store.samples().start + 3);
        }
    }
    let wear = store.close().wear;
    let log = &wear[wear.len() - 1 - 4..wear.len() - 1];
    assert!(log.iter().max().unwrap() - log.iter().min().unwrap() <= 1, "{wear:?}");
}

#[test]
fn worn_flash_is_an_error_and_the_old_state_and_samples_stay() {
    let layout = layout::<256>();
    for worn in (0..layout.bytes() as usize).step_by(13) {
        let (store, mut model) = filled();
        let mut flash = store.close();
        let at = layout.start as usize + worn;
        flash.worn = at..at + 4;
        let mut store = open(flash);
        let (before, samples) = (state_of(&mut store), samples_of(&mut store));
        let mut errors = 0;
        for byte in 0..40 {
            // Zeros: bits that must be cleared.
            let action = if byte % 4 == 0 { Action::Save(vec![0; 600]) } else { Action::Append(vec![0; 40]) };
            match act(&mut store, &mut model, &action) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error, StoreError::Worn, "at {worn}");
                    errors += 1;
                }
            }
            let flash = store.close();
            store = open(flash);
            assert_eq!(state_of(&mut store), model.state, "at {worn}");
            let found = samples_of(&mut store);
            assert!(found.iter().all(|(number, bytes)| model.samples.get(number) == Some(bytes)), "at {worn}");
            assert!(model.samples.range(model.first..).all(|(number, _)| found.iter().any(|(other, _)| other == number)), "at {worn}");
        }
        assert!(before.is_some() && samples.len() == 1 && (errors > 0 || model.state == Some(vec![0; 600])));
    }
}

#[test]
fn flash_that_refuses_is_an_error_and_works_again_when_it_does() {
    let (store, mut model) = filled();
    let mut flash = store.close();
    flash.refuses = true;
    let mut store = open(flash);
    let refused = StoreError::Flash(embedded_storage::nor_flash::NorFlashErrorKind::Other);
    for action in [Action::Save(vec![5; 10]), Action::Append(vec![6; 10]), Action::Reset] {
        assert_eq!(act(&mut store, &mut model, &action), Err(refused));
    }
    let mut flash = store.close();
    flash.refuses = false;
    let mut store = open(flash);
    assert_eq!(state_of(&mut store), Some(vec![1; 200]));
    act(&mut store, &mut model, &Action::Save(vec![5; 10])).unwrap();
    assert_eq!((state_of(&mut store), samples_of(&mut store).len()), (Some(vec![5; 10]), 1));
}

#[test]
fn what_is_announced_must_be_written_and_a_writer_that_is_dropped_changes_nothing() {
    let (mut store, _) = filled();
    let mut writer = store.begin(1, 8).unwrap();
    writer.write_floats(&[1.5]).unwrap();
    assert_eq!(writer.commit(), Err(StoreError::Length));
    let mut writer = store.begin(1, 8).unwrap();
    writer.write_floats(&[1.5, 2.5]).unwrap();
    assert_eq!(writer.write(&[0]), Err(StoreError::Length));
    let _ = writer;
    assert_eq!(state_of(&mut store), Some(vec![1; 200]));
    let room = layout::<256>().state_bytes();
    assert_eq!(store.begin(1, room + 1).err(), Some(StoreError::TooLarge { bytes: room + 1, room }));
    assert_eq!(store.begin(1, 0).err(), Some(StoreError::TooLarge { bytes: 0, room }));
    let most = vec![7; room as usize];
    let mut writer = store.begin(9, room).unwrap();
    writer.write(&most).unwrap();
    assert_eq!((writer.commit(), store.state().unwrap().version, state_of(&mut store)), (Ok(2), 9, Some(most)));
    assert_eq!(store.read(room - 1, &mut [0; 2]), Err(StoreError::Length));
    assert_eq!(store.append(&[&[0; 256]]), Err(StoreError::RecordTooLarge));
    assert_eq!(store.next_sample(&mut Cursor::OLDEST.clone(), &mut [0; 10]), Err(StoreError::RecordTooLarge));
}

#[test]
fn another_network_sees_nothing_and_a_layout_that_does_not_fit_is_refused() {
    let (store, _) = filled();
    let mut other = Store::open(store.close(), layout::<256>(), FINGERPRINT + 1).unwrap();
    assert_eq!((state_of(&mut other), samples_of(&mut other).len()), (None, 0));
    let mut writer = other.begin(1, 4).unwrap();
    writer.write(&[9; 4]).unwrap();
    writer.commit().unwrap();
    assert_eq!(other.append(&[&[8; 4]]), Ok(0));
    assert_eq!((state_of(&mut other), samples_of(&mut other)), (Some(vec![9; 4]), vec![(0, vec![8; 4])]));
    let flash = other.close();
    let good = layout::<256>();
    for bad in [
        Layout { start: 100, ..good },
        Layout { slot_bytes: 1000, ..good },
        Layout { slot_bytes: 0, ..good },
        Layout { sector_bytes: 128, ..good },
        Layout { sectors: 0, ..good },
        Layout { sectors: 1000, ..good },
        Layout { slot_bytes: u32::MAX - 255, ..good },
    ] {
        assert_eq!(Store::open(flash.clone(), bad, 1).err(), Some(StoreError::Layout), "{bad:?}");
    }
}

#[test]
fn whatever_is_in_the_flash_is_read_without_a_panic_and_written_over() {
    let (store, _) = filled();
    let good = store.close();
    let mut random = Random(11);
    for _ in 0..3000 {
        let mut bytes = good.bytes().to_vec();
        for _ in 0..random.below(6) {
            let at = random.below(bytes.len() as u32) as usize;
            let value = [0, 0xff, 1, random.next() as u8][random.below(4) as usize];
            let length = 1 + random.below(8) as usize;
            bytes.iter_mut().skip(at).take(length).for_each(|byte| *byte = value);
        }
        let mut store = open(Small::with(bytes));
        state_of(&mut store);
        let before = samples_of(&mut store);
        let mut model = Model { first: store.samples().start, samples: before.into_iter().collect(), ..Model::default() };
        for action in [Action::Save(vec![5; 300]), Action::Append(vec![6; 60]), Action::Append(vec![7; 60])] {
            act(&mut store, &mut model, &action).unwrap();
        }
        assert_eq!((state_of(&mut store), samples_of(&mut store).last().unwrap().1.clone()), (Some(vec![5; 300]), vec![7; 60]));
    }
}
