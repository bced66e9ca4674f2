//! The firmware: a trained network in flash, run on samples that lie beside it, every number reported.
//!
//! It infers and does not train. On a desktop the same program prints the same plan and the same logits, without ticks.
//! Another network is another `Network`, another `PG_MODEL` at build time, and samples of its input.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use pg_core::{Network, form::Samples, layers::Pass, model_file::Model, zoo};
use pg_embedded::{
    BOARD, Fpu, MemoryPlan, Stopwatch,
    console::{self, Line},
};
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
const _: () = assert!(PLAN.bytes() <= BOARD.ram.bytes as usize, "the network does not fit the board's RAM");

#[cfg_attr(target_os = "none", cortex_m_rt::entry)]
fn main() -> ! {
    Line::new("board").word(BOARD.name).end();
    PLAN.print(BOARD);
    let (parameters, tape, scratch) = (PARAMETERS.take(), TAPE.take(), SCRATCH.take());
    let mut stopwatch = Stopwatch::start();
    let model = match Model::decode(MODEL).and_then(|model| model.parameters_into::<Net>(parameters).map(|()| model)) {
        Ok(model) => model,
        Err(error) => {
            console::report(&error);
            console::end(false)
        }
    };
    for (index, sample) in SAMPLES.chunks_exact(Net::INPUT.len() + 1).enumerate() {
        let (raw, label) = sample.split_at(Net::INPUT.len());
        model.normalisation.apply(Net::INPUT, raw, &mut tape[..raw.len()]);
        let ((), ticks) = stopwatch.ticks(|| Net::forward::<Samples<Fpu>>(&Pass::infer(1, 1), parameters, tape, scratch));
        let logits = &tape[Net::TAPE - Net::OUTPUTS..];
        report(index, label[0], ticks, logits);
    }
    console::end(true)
}

/// `sample 0 label 3 class 3 ticks 20000 logits 3f800000 …`
fn report(index: usize, label: u8, ticks: Option<u32>, logits: &[f32]) {
    let class = (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best });
    let mut line = Line::new("sample").number(index as u32).word("label").number(label.into()).word("class").number(class as u32);
    if let Some(ticks) = ticks {
        line = line.word("ticks").number(ticks);
    }
    logits.iter().fold(line.word("logits"), |line, &logit| line.bits(logit)).end();
}
