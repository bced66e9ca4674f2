//! What learning takes on this core, counted: steps of the tuner, and the pieces of a step. `cargo xtask device-bench` makes a table of it.
//!
//! With an FPU nothing in a step depends on the data, so a step of one kind takes the same instructions whatever the samples, but for the search in the
//! ring. Where every operation is emulated it does depend on them: all boards get the same 32 real digits, and the counts are means over these.
//! On a desktop it takes the same steps and counts nothing.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use heapless::Deque;
use pg_core::form::Samples;
use pg_core::layers::{Buffers, Dense, Pass, Relu};
use pg_core::loss::{Loss, Targets};
use pg_core::model_file::Model;
use pg_core::normalisation::Normalisation;
use pg_core::perturbation::{Distribution, Noise, mirror};
use pg_core::population::{Batch, Cohort, Input, Population, Workspace, backward, forward};
use pg_core::tuner::{Entry, FineTuner, Memory, Settings, plain_step};
use pg_core::{Lane, Network, Sequential, Vector, zoo};
use pg_embedded::{
    BOARD, Fpu, Stopwatch,
    console::{self, Line},
};
use static_cell::ConstStaticCell;

type Net = zoo::Mlp64x32x10;
/// Passes that know no noise.
type Plain = Samples<Fpu, false>;
type Small = Sequential<Vector<4>, (Dense<16>, Relu, Dense<3>)>;

static MODEL: &[u8] = include_bytes!(env!("PG_MODEL"));
static DIGITS: &[u8] = include_bytes!("../../samples/digits.bin");
const SAMPLES: usize = 32;
const BATCH: usize = 8;

const PLAIN: Settings = Settings { population: Population::NONE, momentum: 0.0, rate: 0.01, look_every: 1 << 30, ..Settings::DEFAULT };
const MOMENTUM: Settings = Settings { momentum: 0.9, ..PLAIN };
const POPULATION: Settings = Settings { population: Settings::DEFAULT.population, ..MOMENTUM };
const GAUSSIAN: Settings = with_noise(Distribution::Gaussian);
const RANK_ONE: Settings = with_noise(Distribution::RankOne);

const fn with_noise(distribution: Distribution) -> Settings {
    let Settings { population, .. } = POPULATION;
    Settings { population: Population { noise: Noise { distribution, ..population.noise }, ..population }, ..MOMENTUM }
}

/// A board with little RAM only takes plain steps.
const ROOMY: bool = BOARD.ram.bytes >= 60 << 10;
const WORKING: usize = if ROOMY { POPULATION.needs().sizes::<Net, Fpu, BATCH>().sum() } else { PLAIN.needs().sizes::<Net, Fpu, 1>().sum() };

static PARAMETERS: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
static WORK: ConstStaticCell<[f32; WORKING]> = ConstStaticCell::new([0.0; WORKING]);
static VALUES: ConstStaticCell<[u8; SAMPLES * 64]> = ConstStaticCell::new([0; SAMPLES * 64]);
static ENTRIES: ConstStaticCell<Deque<Entry, SAMPLES>> = ConstStaticCell::new(Deque::new());

/// The lent memory, for one tuner after another.
struct Lent {
    parameters: &'static mut [f32],
    working: &'static mut [f32],
    values: &'static mut [u8],
    entries: &'static mut Deque<Entry, SAMPLES>,
}

#[cfg_attr(target_os = "none", cortex_m_rt::entry)]
fn main() -> ! {
    Line::new("board").word(BOARD.name).end();
    let mut lent = Lent { parameters: PARAMETERS.take(), working: WORK.take(), values: VALUES.take(), entries: ENTRIES.take() };
    let model = match Model::decode(MODEL).and_then(|model| model.parameters_into::<Net>(lent.parameters).map(|()| model)) {
        Ok(model) => model,
        Err(error) => {
            console::report(&error);
            console::end(false)
        }
    };
    let normalisation = model.normalisation;
    let mut stopwatch = Stopwatch::start();
    let mut inference = Some(0);
    for sample in DIGITS.chunks_exact(65).take(SAMPLES) {
        let (tape, scratch) = lent.working[..Net::TAPE + Net::SCRATCH].split_at_mut(Net::TAPE);
        normalisation.apply(Net::INPUT, &sample[..64], &mut tape[..64]);
        let ((), taken) = stopwatch.ticks(|| Net::forward::<Plain>(&Pass::infer(1, 1), lent.parameters, tape, scratch));
        inference = inference.zip(taken).map(|(sum, taken)| sum + taken);
    }
    report("forward-64-32-10", SAMPLES as u32, inference);
    kernel::<Net>("kernel-64-32-10", &normalisation, &mut lent, &mut stopwatch);
    steps::<Net, 1, false>("plain-64-32-10", PLAIN, normalisation, &mut lent, &mut stopwatch);
    if ROOMY {
        steps::<Net, BATCH, false>("momentum-64-32-10", MOMENTUM, normalisation, &mut lent, &mut stopwatch);
        steps::<Net, BATCH, false>("population-64-32-10", POPULATION, normalisation, &mut lent, &mut stopwatch);
        steps::<Net, BATCH, false>("gaussian-64-32-10", GAUSSIAN, normalisation, &mut lent, &mut stopwatch);
        steps::<Net, BATCH, true>("rank1-64-32-10", RANK_ONE, normalisation, &mut lent, &mut stopwatch);
        pieces(&normalisation, &mut lent, &mut stopwatch);
    }
    lent.parameters[..Small::PARAMS].fill(0.1);
    kernel::<Small>("kernel-4-16-3", &Normalisation::NONE, &mut lent, &mut stopwatch);
    steps::<Small, 1, false>("plain-4-16-3", PLAIN, Normalisation::NONE, &mut lent, &mut stopwatch);
    console::end(true)
}

/// Plain steps as other libraries are measured: forward, backward and update of one normalised sample.
#[inline(never)]
fn kernel<N: Network>(name: &str, normalisation: &Normalisation, lent: &mut Lent, stopwatch: &mut Stopwatch) {
    let parameters = &mut lent.parameters[..N::PARAMS];
    let (tape, rest) = lent.working.split_at_mut(N::TAPE);
    let (dy, rest) = rest.split_at_mut(N::WIDTHS[0]);
    let (dx, scratch) = rest.split_at_mut(N::WIDTHS[1]);
    let (mut ticks, mut sum) = (Some(0), 0.0);
    for sample in DIGITS.chunks_exact(65).take(SAMPLES) {
        let first = (64 - N::INPUT.len()) / 2;
        normalisation.apply(N::INPUT, &sample[first..first + N::INPUT.len()], &mut tape[..N::INPUT.len()]);
        let label = [u16::from(sample[64]) % N::OUTPUTS as u16];
        let mut buffers = Buffers { dy: &mut *dy, dx: &mut *dx };
        let pass = Pass::infer(1, 1);
        let (loss, taken) = stopwatch.ticks(|| plain_step::<N, Fpu>(&pass, 0.01, parameters, tape, &mut buffers, scratch, &label));
        sum += loss.unwrap_or(f32::NAN);
        ticks = ticks.zip(taken).map(|(sum, taken)| sum + taken);
    }
    Line::new("loss").word(name).bits(sum).end();
    report(name, SAMPLES as u32, ticks);
}

/// `count NAME per N ticks T`: 32 samples' steps, and how many samples (times members) they are.
#[inline(never)]
fn steps<N: Network, const BATCH: usize, const RANK_ONE: bool>(
    name: &str,
    settings: Settings,
    normalisation: Normalisation,
    lent: &mut Lent,
    stopwatch: &mut Stopwatch,
) {
    let members = settings.population.members.max(1);
    lent.entries.clear();
    let Lent { parameters, working, values, entries } = lent;
    let memory = Memory { parameters, working, samples: values, entries: entries.as_mut_view(), best: &mut [] };
    let mut tuner = match FineTuner::<N, Fpu, u8, BATCH, RANK_ONE>::new(memory, normalisation, settings, 1) {
        Ok(tuner) => tuner,
        Err(error) => {
            console::report(&error);
            console::end(false)
        }
    };
    for sample in DIGITS.chunks_exact(65).take(SAMPLES) {
        // The smaller network is shown the middle of the image.
        let first = (64 - N::INPUT.len()) / 2;
        if let Err(error) = tuner.label(&sample[first..first + N::INPUT.len()], u16::from(sample[64]) % N::OUTPUTS as u16) {
            console::report(&error);
            console::end(false)
        }
    }
    let mut ticks = Some(0);
    let mut loss = 0.0;
    for _ in 0..SAMPLES / BATCH {
        let (step, taken) = stopwatch.ticks(|| tuner.step());
        loss = step.map_or(f32::NAN, |step| step.loss);
        ticks = ticks.zip(taken).map(|(sum, taken)| sum + taken);
    }
    // The desktop must print the same bits.
    Line::new("loss").word(name).bits(loss).word("parameters").bits(f32::from_bits(tuner.checksum())).end();
    report(name, SAMPLES as u32 * members, ticks);
}

/// The pieces of a step of a population.
#[inline(never)]
fn pieces(normalisation: &Normalisation, lent: &mut Lent, stopwatch: &mut Stopwatch) {
    let (scales, rest) = lent.working.split_at_mut(Net::FILTERS);
    let (member, rest) = rest.split_at_mut(Net::PARAMS);
    let (gradient, velocity) = rest.split_at_mut(Net::PARAMS);
    let parameters = &mut *lent.parameters;
    passes(normalisation, parameters, gradient, velocity, stopwatch);
    let population = POPULATION.population;
    let stream = population.stream(1, 0, 0);
    let weights = Net::MACS as u32;
    report("scales", weights, stopwatch.ticks(|| population.noise.scales::<Net, Fpu>(parameters, scales)).1);
    let mut perturb = |distribution| {
        let noise = Noise { distribution, ..population.noise };
        stopwatch.ticks(|| noise.perturb::<Net, Fpu>(&stream, parameters, scales, member)).1
    };
    report("rademacher-member", weights, perturb(Distribution::Rademacher));
    report("gaussian-member", weights, perturb(Distribution::Gaussian));
    let factors = Noise { distribution: Distribution::RankOne, ..population.noise };
    let factors = stopwatch.ticks(|| factors.factors::<Net, Fpu>(&stream, scales, false, 1, &mut member[..Net::FACTORS]));
    report("rank1-member", Net::FACTORS as u32, factors.1);
    report("mirrored-member", weights, stopwatch.ticks(|| mirror::<Fpu>(parameters, member)).1);
    report("update", 1, stopwatch.ticks(|| Fpu::step(-0.01, 0.9, gradient, &mut velocity[..Net::PARAMS], parameters)).1);
}

/// Forward and backward over a batch, what a step of a population is held against.
#[inline(never)]
fn passes(normalisation: &Normalisation, parameters: &[f32], gradient: &mut [f32], memory: &mut [f32], stopwatch: &mut Stopwatch) {
    let (inputs, memory) = memory.split_at_mut(BATCH * Net::INPUT.len());
    let mut labels = [0; BATCH];
    for ((input, label), sample) in inputs.chunks_exact_mut(64).zip(&mut labels).zip(DIGITS.chunks_exact(65)) {
        normalisation.apply(Net::INPUT, &sample[..64], input);
        *label = u16::from(sample[64]);
    }
    let inputs = &*inputs;
    let mut workspace = Workspace::new::<Net, Plain>(BATCH, memory);
    let loss = Loss::CrossEntropy { label_smoothing: 0.0 };
    let batch = Batch { inputs, targets: Targets::Classes(&labels), samples: BATCH };
    let cohort = Cohort { count: 1, draw: Population::NONE.draw(1, 0, 0, 0), factors: None };
    let (_, ticks) = stopwatch.ticks(|| {
        forward::<Net, Plain>(&loss, cohort, parameters, &batch, BATCH, Input::New, &mut workspace);
        backward::<Net, Plain>(cohort, parameters, &batch, false, &mut workspace, gradient);
    });
    report("pass-64-32-10", BATCH as u32, ticks);
}

fn report(name: &str, per: u32, ticks: Option<u32>) {
    let line = Line::new("count").word(name).word("per").number(per).word("ticks");
    match ticks {
        Some(ticks) => line.number(ticks),
        None => line.word("none"),
    }
    .end();
}
