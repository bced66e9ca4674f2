//! The masks of dropout as random numbers: how many elements they lose, and that they share nothing but what they should. Which
//! elements exactly, and what gradients follow, is tests/gradients.rs's business.

use pg_core::form::Scalar;
use pg_core::layers::{Draw, Dropout, Mode, Pass};
use pg_core::{Network, Sequential, Vector};

const ELEMENTS: usize = 1000;
const SAMPLES: usize = 20;
const DRAW: Draw = Draw { seed: 7, step: 3, member: 4, antithetic: true, first_sample: 0 };

type One<const PERCENT: usize> = Sequential<Vector<ELEMENTS>, (Dropout<PERCENT>,)>;
type Two = Sequential<Vector<ELEMENTS>, (Dropout<50>, Dropout<50>)>;

/// What a pass over ones leaves on the tape behind its input, layer by layer: `[element][sample]`.
fn masks<N: Network>(mode: Mode) -> Vec<Vec<f32>> {
    let mut tape = vec![1.0; N::TAPE * SAMPLES];
    let pass = Pass { mode, ..Pass::infer(SAMPLES, SAMPLES) };
    N::forward::<Scalar>(&pass, &[], &mut tape, &mut []);
    tape.chunks(ELEMENTS * SAMPLES).skip(1).map(<[f32]>::to_vec).collect()
}

fn mask(draw: Draw) -> Vec<f32> {
    masks::<One<50>>(Mode::Train(draw)).remove(0)
}

/// In which share of the elements two masks agree.
fn agreement(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
}

/// Two fair coins agree in half of 20,000 throws, give or take 0.35 %.
#[track_caller]
fn assert_unrelated(a: &[f32], b: &[f32]) {
    let share = agreement(a, b);
    assert!((share - 0.5).abs() < 0.018, "they agree in {share}");
}

fn check_share<const PERCENT: usize>() {
    let mask = masks::<One<PERCENT>>(Mode::Train(DRAW)).remove(0);
    let kept = 100.0 / (100 - PERCENT) as f32;
    assert!(mask.iter().all(|&factor| factor == 0.0 || factor == kept));
    let (p, count) = (PERCENT as f64 / 100.0, mask.len() as f64);
    let lost = mask.iter().filter(|&&factor| factor == 0.0).count() as f64;
    assert!((lost - p * count).abs() <= 5.0 * (p * (1.0 - p) * count).sqrt(), "{PERCENT} percent: {lost} of {count}");
}

#[test]
fn as_many_elements_are_lost_as_the_type_says_and_the_others_are_scaled() {
    check_share::<0>();
    check_share::<1>();
    check_share::<30>();
    check_share::<50>();
    check_share::<99>();
}

#[test]
fn nothing_is_lost_outside_training() {
    for mode in [Mode::Infer, Mode::Estimate] {
        assert!(masks::<One<99>>(mode)[0].iter().all(|&factor| factor == 1.0));
    }
}

#[test]
fn seeds_steps_pairs_and_layers_have_masks_of_their_own() {
    let here = mask(DRAW);
    assert_eq!(here, mask(DRAW));
    for other in [Draw { seed: 8, ..DRAW }, Draw { seed: 7 | 1 << 32, ..DRAW }, Draw { step: 4, ..DRAW }, Draw { member: 6, ..DRAW }] {
        assert_unrelated(&here, &mask(other));
    }
    let [first, both] = &masks::<Two>(Mode::Train(DRAW))[..] else { panic!("two layers") };
    assert_eq!(first, &here);
    // Where the first keeps an element, the second throws a coin of its own.
    let left: Vec<f32> = first.iter().zip(both).filter(|(first, _)| **first > 0.0).map(|(_, both)| *both).collect();
    let share = left.iter().filter(|&&factor| factor == 0.0).count() as f64 / left.len() as f64;
    assert!((share - 0.5).abs() < 0.025, "{share}");
}

#[test]
fn samples_and_elements_have_coins_of_their_own() {
    let mask = mask(DRAW);
    let sample = |n: usize| -> Vec<f32> { mask.iter().skip(n).step_by(SAMPLES).copied().collect() };
    for n in 1..SAMPLES {
        // A thousand throws: 1.6 %.
        assert!((agreement(&sample(0), &sample(n)) - 0.5).abs() < 0.08, "samples 0 and {n}");
    }
    // Elements that share words, blocks, or neither.
    for apart in [1, 2, 7, 8, 16] {
        assert_unrelated(&mask[apart * SAMPLES..], &mask[..(ELEMENTS - apart) * SAMPLES]);
    }
}

#[test]
fn both_members_of_a_pair_lose_the_same_elements_and_lone_members_do_not() {
    assert_eq!(mask(DRAW), mask(Draw { member: 5, ..DRAW }));
    let alone = Draw { antithetic: false, ..DRAW };
    assert_unrelated(&mask(alone), &mask(Draw { member: 5, ..alone }));
}

#[test]
fn a_later_shard_has_the_masks_of_its_own_samples() {
    let (here, later) = (mask(DRAW), mask(Draw { first_sample: 5, ..DRAW }));
    for (here, later) in here.chunks(SAMPLES).zip(later.chunks(SAMPLES)) {
        assert_eq!(here[5..], later[..SAMPLES - 5]);
    }
}
