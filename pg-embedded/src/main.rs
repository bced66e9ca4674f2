//! The firmware: a trained network in flash, run on samples that lie beside it, every number reported.
//!
//! It infers and does not train: the program `tune` does, whose plan this one prints as well. On a desktop the same program prints the same plan and the same logits, without ticks.
//! Another network is another `Network`, another `PG_MODEL` at build time, and samples of its input.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use pg_core::{Network, zoo};
use pg_embedded::{BOARD, Memory, MemoryPlan, Stopwatch, classify, console, console::Line, tuning};
use static_cell::ConstStaticCell;

type Net = zoo::Mlp64x32x10;

/// What `train` wrote; `PG_MODEL=path` names another file.
static MODEL: &[u8] = include_bytes!(env!("PG_MODEL"));
/// The first 32 test samples of the bundled digits: 64 grey levels, then the label.
static SAMPLES: &[u8] = include_bytes!("../samples/digits.bin");

static PARAMETERS: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
static TAPE: ConstStaticCell<[f32; Net::TAPE]> = ConstStaticCell::new([0.0; Net::TAPE]);
static SCRATCH: ConstStaticCell<[f32; Net::SCRATCH]> = ConstStaticCell::new([0.0; Net::SCRATCH]);

const PLAN: MemoryPlan<4> = MemoryPlan([
    ("parameters", size_of::<[f32; Net::PARAMS]>()),
    ("activations", size_of::<[f32; Net::TAPE]>()),
    ("scratch", size_of::<[f32; Net::SCRATCH]>()),
    ("stack", 4 << 10), // of which reading the model file takes the most
]);
const _: () = PLAN.check(BOARD);

#[cfg_attr(target_os = "none", cortex_m_rt::entry)]
fn main() -> ! {
    Line::new("board").word(BOARD.name).end();
    PLAN.print("ram", BOARD);
    if tuning::PLAN.bytes() <= BOARD.ram.bytes as usize {
        tuning::PLAN.print("tuning", BOARD);
    }
    let mut memory = Memory { parameters: PARAMETERS.take(), tape: TAPE.take(), scratch: SCRATCH.take() };
    classify::<Net>(MODEL, SAMPLES, &mut memory, &mut Stopwatch::start());
    console::end(true)
}
