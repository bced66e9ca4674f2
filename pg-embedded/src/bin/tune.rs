//! A fine-tuning session of 200 steps, each reported: `pg-host replay` computes the same bits on the desktop.
//!
//! The samples are built in; it neither saves nor talks. On a desktop the same program prints the same lines.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use pg_core::model_file::Model;
use pg_core::tuner::Look;
use pg_embedded::{
    BOARD,
    console::{self, Line},
    tuning::{Net, PLAN, PLAN_RANK_ONE, tuner},
};

static MODEL: &[u8] = include_bytes!(env!("PG_MODEL"));
/// The first 32 test samples of the bundled digits: 64 grey levels, then the label.
static SAMPLES: &[u8] = include_bytes!("../../samples/digits.bin");

const STEPS: u32 = 200;
const SEED: u64 = 1;

const _: () = PLAN.check(BOARD);

#[cfg_attr(target_os = "none", cortex_m_rt::entry)]
fn main() -> ! {
    Line::new("board").word(BOARD.name).end();
    PLAN.print("ram", BOARD);
    PLAN_RANK_ONE.print("ram-rank1", BOARD);
    session().unwrap_or_else(|reason| {
        console::report(reason);
        console::end(false)
    });
    console::end(true)
}

/// The story: read the model, take the samples in, learn, report.
fn session() -> Result<(), &'static dyn core::fmt::Display> {
    let model = Model::decode(MODEL).map_err(|_| &"the model file is damaged" as _)?;
    let mut read = Ok(());
    let tuner = tuner(model.normalisation, SEED, |parameters| read = model.parameters_into::<Net>(parameters));
    read.map_err(|_| &"the model is another network's" as _)?;
    let tuner = tuner.map_err(|_| &"the tuner refuses its settings" as _)?;
    for sample in SAMPLES.chunks_exact(65) {
        tuner.label(&sample[..64], sample[64].into()).map_err(|_| &"the tuner refuses a sample" as _)?;
    }
    for _ in 0..STEPS {
        let step = tuner.step().map_err(|_| &"the tuner refuses a step" as _)?;
        Line::new("step").number(step.step).word("loss").bits(step.loss).end();
        if let Some(Look { loss, right, samples }) = step.look {
            Line::new("look").number(step.step + 1).word("loss").bits(loss).word("right").number(right).word("of").number(samples).end();
        }
    }
    Line::new("parameters").word("crc").bits(f32::from_bits(tuner.checksum())).end();
    Ok(())
}
