//! The firmware once more with LeNet on 28x28 images of clothes, and what its two convolutions take.
//!
//! It is a program of its own because it is larger than most boards; the feature `large` builds it.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use pg_core::layers::{Conv2d, MaxPool2d, Relu};
use pg_core::{Image, Network, Sequential, zoo};
use pg_embedded::{BOARD, Memory, MemoryPlan, Stopwatch, classify, console, console::Line, ticks_of};
use static_cell::ConstStaticCell;

type Net = zoo::Lenet28;

/// The network up to its first convolution, up to the second, and with it: their parameters are the first of the network's.
type First = Sequential<Image<1, 28, 28>, (Conv2d<6, 5, 1, 2>,)>;
type Between = Sequential<Image<1, 28, 28>, (Conv2d<6, 5, 1, 2>, Relu, MaxPool2d<2>)>;
type Second = Sequential<Image<1, 28, 28>, (Conv2d<6, 5, 1, 2>, Relu, MaxPool2d<2>, Conv2d<16, 5>)>;

/// See `models/README.md`.
static MODEL: &[u8] = include_bytes!("../../models/lenet-28.pg");
/// The first 32 test samples of the bundled clothes: 784 grey levels, then the label.
static SAMPLES: &[u8] = include_bytes!("../../samples/clothes.bin");

static PARAMETERS: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
static TAPE: ConstStaticCell<[f32; Net::TAPE]> = ConstStaticCell::new([0.0; Net::TAPE]);
static SCRATCH: ConstStaticCell<[f32; Net::SCRATCH]> = ConstStaticCell::new([0.0; Net::SCRATCH]);

const PLAN: MemoryPlan<4> = MemoryPlan([
    ("parameters", size_of::<[f32; Net::PARAMS]>()),
    ("activations", size_of::<[f32; Net::TAPE]>()),
    ("scratch", size_of::<[f32; Net::SCRATCH]>()),
    ("stack", 4 << 10),
]);
const _: () = PLAN.check(BOARD);

#[cfg_attr(target_os = "none", cortex_m_rt::entry)]
fn main() -> ! {
    Line::new("board").word(BOARD.name).end();
    PLAN.print("ram", BOARD);
    let mut memory = Memory { parameters: PARAMETERS.take(), tape: TAPE.take(), scratch: SCRATCH.take() };
    let mut stopwatch = Stopwatch::start();
    classify::<Net>(MODEL, SAMPLES, &mut memory, &mut stopwatch);
    let first = ticks_of::<First>(&mut memory, &mut stopwatch);
    let between = ticks_of::<Between>(&mut memory, &mut stopwatch);
    let second = ticks_of::<Second>(&mut memory, &mut stopwatch);
    report("first", First::MACS, first);
    report("second", Second::MACS - Between::MACS, second.zip(between).map(|(second, between)| second - between));
    console::end(true)
}

/// `convolution first macs 86400 ticks 2000000`
fn report(name: &str, macs: usize, ticks: Option<u32>) {
    let line = Line::new("convolution").word(name).word("macs").number(macs as u32);
    match ticks {
        Some(ticks) => line.word("ticks").number(ticks),
        None => line,
    }
    .end();
}
