//! What folding batch norms saves on the device: a network for windows of sensor data as it is trained, and the same one folded.
//!
//! Its parameters are not trained, but random; they are made on the board. A count of instructions does not depend on them, and the bits of
//! both forms are those of the desktop.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use pg_core::floats::Floats;
use pg_core::form::Samples;
use pg_core::initialise::Initialise;
use pg_core::layers::{Pass, SegmentKind};
use pg_core::network::Folded;
use pg_core::{Network, zoo};
use pg_embedded::{BOARD, Fpu, Stopwatch, console, console::Line};
use static_cell::ConstStaticCell;

type Net = zoo::Conv1d3x64;

static STORED: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
static PARAMETERS: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
static TAPE: ConstStaticCell<[f32; Net::TAPE]> = ConstStaticCell::new([0.0; Net::TAPE]);
static SCRATCH: ConstStaticCell<[f32; Net::SCRATCH]> = ConstStaticCell::new([0.0; Net::SCRATCH]);

#[cfg_attr(target_os = "none", cortex_m_rt::entry)]
fn main() -> ! {
    Line::new("board").word(BOARD.name).end();
    let stored = STORED.take();
    Initialise::AUTO.write::<Net>(1, stored);
    // Statistics that change something.
    Net::segments(&mut |segment| match segment.kind {
        SegmentKind::Mean => stored[segment.range()].iter_mut().zip(1u16..).for_each(|(mean, i)| *mean = f32::from(i) * 0.01),
        SegmentKind::Variance => stored[segment.range()].iter_mut().zip(1u16..).for_each(|(variance, i)| *variance = f32::from(i) * 0.25),
        _ => {}
    });
    let (parameters, tape, scratch) = (PARAMETERS.take(), TAPE.take(), SCRATCH.take());
    let mut stopwatch = Stopwatch::start();
    run::<Net>("trained", stored, parameters, tape, scratch, &mut stopwatch);
    run::<Folded<Net>>("folded", stored, parameters, tape, scratch, &mut stopwatch);
    console::end(true)
}

/// `inference folded macs 146000 ram 40000 ticks 700000 logits 3f800000 …`; RAM in bytes, the stack not counted.
fn run<N: Network>(name: &str, stored: &[f32], parameters: &mut [f32], tape: &mut [f32], scratch: &mut [f32], stopwatch: &mut Stopwatch) {
    let (parameters, tape) = (&mut parameters[..N::PARAMS], &mut tape[..N::TAPE]);
    N::load(Floats::new(stored), parameters);
    let window = tape[..N::INPUT.len()].iter_mut().zip((0u32..).map(|i| i * 37 % 101));
    window.for_each(|(x, i)| *x = i as f32 / 50.0 - 1.0);
    let ((), ticks) = stopwatch.ticks(|| N::forward::<Samples<Fpu, false>>(&Pass::infer(1, 1), parameters, tape, scratch));
    let ram = size_of::<f32>() * (N::PARAMS + N::TAPE + N::SCRATCH);
    let mut line = Line::new("inference").word(name).word("macs").number(N::MACS as u32).word("ram").number(ram as u32);
    if let Some(ticks) = ticks {
        line = line.word("ticks").number(ticks);
    }
    tape[N::TAPE - N::OUTPUTS..].iter().fold(line.word("logits"), |line, &logit| line.bits(logit)).end();
}
