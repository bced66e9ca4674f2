//! The memory of a fine-tuning session on a board, all of it static, and its plan.
//!
//! It says for which network and with which settings; what is learnt from, and when, is the program's business.

use heapless::Deque;
use pg_core::normalisation::Normalisation;
use pg_core::perturbation::{Distribution, Noise};
use pg_core::population::Population;
use pg_core::tuner::{Entry, FineTuner, Memory, Settings, Sizes, TuneError};
use pg_core::{Network, zoo};
use static_cell::{ConstStaticCell, StaticCell};

use crate::{Fpu, MemoryPlan};

/// The network that is tuned.
pub type Net = zoo::Mlp64x32x10;
/// Samples in a step.
pub const BATCH: usize = 8;
/// Samples that the ring holds, a byte for each value.
pub const SAMPLES: usize = 64;
/// How it learns.
pub const SETTINGS: Settings = Settings { hold_out: 4, patience: 0, ..Settings::DEFAULT };
/// The tuner of this firmware, which knows no noise of rank 1.
pub type Tuner = FineTuner<'static, Net, Fpu, u8, BATCH, false>;

const SIZES: Sizes = SETTINGS.needs().sizes::<Net, Fpu, BATCH>();
const BEST: usize = SETTINGS.scope.len(&Net::LEAVES);
const F32: usize = size_of::<f32>();

/// Where every byte goes. The first rows are the tuner's own, for any population; the sample ring and the best parameters come beside.
pub const PLAN: MemoryPlan<10> = plan(SIZES);

/// The same with noise of rank 1, whose members are a few factors.
pub const PLAN_RANK_ONE: MemoryPlan<10> = {
    let Population { noise, .. } = SETTINGS.population;
    let noise = Noise { distribution: Distribution::RankOne, ..noise };
    let settings = Settings { population: Population { noise, ..SETTINGS.population }, ..SETTINGS };
    plan(settings.needs().sizes::<Net, Fpu, BATCH>())
};

const fn plan(sizes: Sizes) -> MemoryPlan<10> {
    MemoryPlan([
        ("parameters", F32 * Net::PARAMS),
        ("gradient", F32 * sizes.gradient),
        ("velocity", F32 * sizes.velocity),
        ("member", F32 * sizes.member),
        ("noise-scales", F32 * sizes.scales),
        ("activations", F32 * sizes.activations),
        ("state", size_of::<Tuner>()),
        ("sample-ring", SAMPLES * Net::INPUT.len() + size_of::<Deque<Entry, SAMPLES>>()),
        ("best-parameters", F32 * BEST),
        ("stack", 4 << 10),
    ])
}

/// What the tuner takes itself, at any population: the first seven rows.
const fn own(plan: &MemoryPlan<10>) -> usize {
    let [parameters, gradient, velocity, member, scales, activations, state, ..] = plan.0;
    parameters.1 + gradient.1 + velocity.1 + member.1 + scales.1 + activations.1 + state.1
}
const _: () = assert!(own(&PLAN) <= 4 * F32 * Net::PARAMS + (6 << 10), "the tuner takes more than four times its parameters and 6 KB");
const _: () = assert!(
    own(&PLAN_RANK_ONE) <= 3 * F32 * Net::PARAMS + (6 << 10),
    "with rank-1 noise it takes more than three times its parameters and 6 KB"
);

/// A tuner in static memory, with its parameters still zeros; `write` fills them in. There is one: a second call panics.
///
/// # Errors
/// Those of [`FineTuner::new`].
///
/// # Panics
/// When it is called twice.
pub fn tuner(normalisation: Normalisation<'static>, seed: u64, write: impl FnOnce(&mut [f32])) -> Result<&'static mut Tuner, TuneError> {
    static PARAMETERS: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
    static WORKING: ConstStaticCell<[f32; SIZES.sum()]> = ConstStaticCell::new([0.0; SIZES.sum()]);
    static VALUES: ConstStaticCell<[u8; SAMPLES * Net::INPUT.len()]> = ConstStaticCell::new([0; SAMPLES * Net::INPUT.len()]);
    static ENTRIES: ConstStaticCell<Deque<Entry, SAMPLES>> = ConstStaticCell::new(Deque::new());
    static KEPT: ConstStaticCell<[f32; BEST]> = ConstStaticCell::new([0.0; BEST]);
    static TUNER: StaticCell<Tuner> = StaticCell::new();
    let parameters = PARAMETERS.take();
    write(parameters);
    let (working, samples, entries, best) = (WORKING.take(), VALUES.take(), ENTRIES.take(), KEPT.take());
    let memory = Memory { parameters, working, samples, entries: entries.as_mut_view(), best };
    FineTuner::new(memory, normalisation, SETTINGS, seed).map(|tuner| TUNER.init(tuner))
}
