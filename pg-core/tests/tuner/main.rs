//! The tuner against the pieces that it is made of, and against itself in other lanes.

mod rank_one;

use heapless::Deque;
use pg_core::form::Samples;
use pg_core::initialise::Initialise;
use pg_core::layers::Scope;
use pg_core::loss::{Loss, Targets};
use pg_core::normalisation::Normalisation;
use pg_core::optimiser::Sgd;
use pg_core::perturbation::{Distribution, Noise, NoiseTargets, ScaleRule};
use pg_core::population::{Batch, BatchMode, Combine, Population, RhoCourse, RhoSchedule, Workspace};
use pg_core::tuner::{Entry, FineTuner, Memory, Settings, State, TuneError};
use pg_core::zoo::{Conv1d3x64, Mlp9x24x11, Mlp64x32x10};
use pg_core::{Lane, Network, f32x4, f32x8, f32x16};

const POPULATION: Population =
    Population { noise: Noise { distribution: Distribution::Rademacher, ..Noise::new(0.3) }, ..Population::new(4, 0.3) };
const NORMALISATION: (&[f32], &[f32]) = (&[8.0], &[0.125]);

/// A tuner's memory, owned.
struct Owned<S> {
    parameters: Vec<f32>,
    working: Vec<f32>,
    samples: Vec<S>,
    entries: Deque<Entry, 256>,
    best: Vec<f32>,
}

impl<S: Copy + Default> Owned<S> {
    fn new<N: Network>(parameters: Vec<f32>) -> Self {
        let samples = vec![S::default(); 256 * N::INPUT.len()];
        let best = parameters.clone();
        Self { parameters, working: vec![f32::NAN; 200_000], samples, entries: Deque::new(), best }
    }

    fn lend(&mut self) -> Memory<'_, S> {
        let Self { parameters, working, samples, entries, best } = self;
        Memory { parameters, working, samples, entries: entries.as_mut_view(), best }
    }
}

/// Samples of ten classes that differ: bars of grey.
fn sample(i: usize, elements: usize) -> (Vec<u8>, u16) {
    let label = i % 10;
    ((0..elements).map(|e| ((e + label * 7) % 17 + i / 10 % 3) as u8).collect(), label as u16)
}

fn initial<N: Network>() -> Vec<f32> {
    let mut parameters = vec![0.0; N::PARAMS];
    Initialise::AUTO.write::<N>(5, &mut parameters);
    parameters
}

fn session<N: Network, L: Lane, const BATCH: usize>(settings: Settings, steps: usize) -> (Vec<u32>, Vec<u32>) {
    let mut owned = Owned::<u8>::new::<N>(initial::<N>());
    let normalisation = Normalisation::new(NORMALISATION.0, NORMALISATION.1);
    let normalisation = if N::INPUT.channels == 1 { normalisation } else { Normalisation::NONE };
    let mut tuner = FineTuner::<N, L, u8, BATCH>::new(owned.lend(), normalisation, settings, 9).unwrap();
    for i in 0..60 {
        let (values, label) = sample(i, N::INPUT.len());
        tuner.label(&values, label % N::OUTPUTS as u16).unwrap();
    }
    let losses = (0..steps).map(|_| tuner.step().unwrap().loss.to_bits()).collect();
    (tuner.parameters().iter().map(|p| p.to_bits()).collect(), losses)
}

#[test]
fn a_session_has_the_same_bits_in_every_lane_width() {
    let settings = Settings { population: POPULATION, hold_out: 4, patience: 0, weight_decay: 0.0, ..Settings::DEFAULT };
    for settings in [
        settings,
        Settings { population: Population::new(4, 0.3), ..settings },
        Settings { population: with_noise(Noise { distribution: Distribution::Uniform, ..POPULATION.noise }), ..settings },
        Settings { population: with_noise(Noise { rho: 0.01, scale: ScaleRule::Absolute, ..POPULATION.noise }), ..settings },
        Settings { population: with_noise(Noise { distribution: Distribution::RankOne, ..POPULATION.noise }), ..settings },
        Settings { population: Population::NONE, weight_decay: 0.01, ..settings },
        Settings { scope: Scope::last(1, &Mlp64x32x10::LEAVES), ..settings },
        Settings { scope: Scope::of(1), ..settings },
        Settings { scope: Scope::EVERYTHING.biases(), ..settings },
    ] {
        let scalar = session::<Mlp64x32x10, f32, 8>(settings, 30);
        assert_eq!(scalar, session::<Mlp64x32x10, f32x4, 8>(settings, 30));
        assert_eq!(scalar, session::<Mlp64x32x10, f32x8, 8>(settings, 30));
        assert_eq!(scalar, session::<Mlp64x32x10, f32x16, 8>(settings, 30));
        assert_eq!(session::<Mlp64x32x10, f32, 5>(settings, 9), session::<Mlp64x32x10, f32x8, 5>(settings, 9));
        let rate = Settings { rate: 1e-3, ..settings };
        let rate = Settings { scope: if settings.scope == Scope::of(1) { Scope::of(0b101) } else { settings.scope }, ..rate };
        let rate = if settings.scope == Scope::last(1, &Mlp64x32x10::LEAVES) {
            Settings { scope: Scope::last(1, &Conv1d3x64::LEAVES), ..rate }
        } else {
            rate
        };
        assert_eq!(session::<Conv1d3x64, f32, 8>(rate, 3), session::<Conv1d3x64, f32x8, 8>(rate, 3));
    }
}

#[test]
fn a_step_without_a_gradient_in_memory_has_the_bits_of_one_with_it() {
    let settings = Settings { population: Population::NONE, momentum: 0.0, rate: 0.02, hold_out: 0, ..Settings::DEFAULT };
    for scope in [Scope::EVERYTHING, Scope::last(1, &Mlp64x32x10::LEAVES), Scope::of(1), Scope::EVERYTHING.biases()] {
        let settings = Settings { scope, ..settings };
        let sizes = settings.needs().sizes::<Mlp64x32x10, f32, 1>();
        assert_eq!((sizes.gradient, sizes.velocity, sizes.member), (0, 0, 0));
        assert_eq!(session::<Mlp64x32x10, f32, 1>(settings, 50), session::<Mlp64x32x10, f32x8, 1>(settings, 50));
    }
}

const fn with_noise(noise: Noise) -> Population {
    Population { noise, ..POPULATION }
}

#[test]
fn populations_that_a_device_does_not_make_are_refused() {
    type Net = Mlp64x32x10;
    let noise = POPULATION.noise;
    for population in [
        with_noise(Noise { scale: ScaleRule::Weight, ..noise }),
        with_noise(Noise { scale: ScaleRule::FilterExact, ..noise }),
        with_noise(Noise { targets: NoiseTargets { biases: true, ..NoiseTargets::WEIGHTS }, ..noise }),
        Population { batch: BatchMode::Split, ..POPULATION },
        Population { batch: BatchMode::Fresh, ..POPULATION },
        Population { schedule: RhoSchedule { course: RhoCourse::CosineUp, ..RhoSchedule::CONSTANT }, ..POPULATION },
        Population { combine: Combine::Clean { lambda: 0.5 }, ..POPULATION },
        Population { combine: Combine::Softmax { tau: 1.0 }, ..POPULATION },
    ] {
        let mut owned = Owned::<u8>::new::<Net>(initial::<Net>());
        let settings = Settings { population, ..Settings::DEFAULT };
        let refused = FineTuner::<Net, f32, u8, 8>::new(owned.lend(), Normalisation::NONE, settings, 9).err();
        assert_eq!(refused, Some(TuneError::Population), "{population:?}");
    }
}

#[test]
fn a_step_is_the_population_gradient_and_one_update() {
    type Net = Mlp64x32x10;
    let rank_one = with_noise(Noise { distribution: Distribution::RankOne, ..POPULATION.noise });
    let alone = Population { antithetic: false, ..rank_one };
    let odd = Population { members: 5, ..rank_one };
    for population in [POPULATION, Population::NONE, rank_one, alone, odd, Population { members: 1, ..rank_one }] {
        let settings = Settings { population, hold_out: 0, ..Settings::DEFAULT };
        let (found, losses) = session::<Net, f32, 8>(settings, 1);
        let mut parameters = initial::<Net>();
        let mut owned = Owned::<u8>::new::<Net>(parameters.clone());
        let normalisation = Normalisation::new(NORMALISATION.0, NORMALISATION.1);
        let mut tuner = FineTuner::<Net, f32, u8, 8>::new(owned.lend(), normalisation, settings, 9).unwrap();
        for i in 0..60 {
            let (values, label) = sample(i, 64);
            tuner.label(&values, label).unwrap();
        }
        let batch: Vec<Entry> = tuner.batch_of(0).collect();
        let mut inputs = vec![0.0; 8 * 64];
        let mut labels = Vec::new();
        for (entry, to) in batch.iter().zip(inputs.chunks_exact_mut(64)) {
            normalisation.apply(Net::INPUT, tuner.sample(*entry), to);
            labels.push(entry.label);
        }
        let (mut scales, mut weights, mut gradient) = (vec![0.0; Net::FILTERS], vec![0.0; Net::PARAMS], vec![0.0; Net::PARAMS]);
        let mut memory = vec![0.0; Workspace::len::<Net, Samples<f32x8>>(8)];
        let mut workspace = Workspace::new::<Net, Samples<f32x8>>(8, &mut memory);
        let estimate = population
            .gradient::<Net, Samples<f32x8>>(
                &Loss::CrossEntropy { label_smoothing: 0.0 },
                9,
                0,
                &parameters,
                &Batch { inputs: &inputs, targets: Targets::Classes(&labels), samples: 8 },
                &mut scales,
                &mut weights,
                &mut workspace,
                &mut gradient,
            )
            .unwrap();
        let sgd = Sgd { momentum: settings.momentum, nesterov: false, weight_decay: 0.0 };
        sgd.step::<f32x8>(settings.rate, &gradient, &mut vec![0.0; Net::PARAMS], &mut parameters);
        assert_eq!(losses, [estimate.loss.to_bits()]);
        assert_eq!(found, parameters.iter().map(|p| p.to_bits()).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_not_in_scope_stays_as_it_is() {
    let before: Vec<u32> = initial::<Mlp64x32x10>().iter().map(|p| p.to_bits()).collect();
    let changed = |scope: Scope| {
        let (after, _) = session::<Mlp64x32x10, f32, 8>(Settings { scope, ..Settings::DEFAULT }, 5);
        (0..after.len()).filter(|&i| after[i] != before[i]).collect::<Vec<_>>()
    };
    let last = changed(Scope::last(1, &Mlp64x32x10::LEAVES));
    assert!(last.len() > 300 && last[0] >= 2080);
    let first = changed(Scope::of(1));
    assert!(first.len() > 1500 && first.iter().all(|&i| i < 2080));
    let biases = changed(Scope::EVERYTHING.biases());
    assert!(biases.iter().all(|&i| (2048..2080).contains(&i) || i >= 2400) && biases.len() > 30);
}

#[test]
fn running_statistics_stay_as_they_are() {
    let settings = Settings { weight_decay: 0.1, rate: 1e-3, ..Settings::DEFAULT };
    let before = initial::<Conv1d3x64>();
    let (after, _) = session::<Conv1d3x64, f32x8, 8>(settings, 5);
    Conv1d3x64::segments(&mut |segment| {
        let same = segment.range().all(|i| before[i].to_bits() == after[i]);
        assert_eq!(same, !segment.kind.is_trained(), "{segment:?}");
    });
}

#[test]
fn a_resumed_session_goes_on_with_the_same_bits() {
    type Net = Mlp64x32x10;
    let settings = Settings { population: POPULATION, hold_out: 3, look_every: 5, patience: 0, ..Settings::DEFAULT };
    let normalisation = Normalisation::new(NORMALISATION.0, NORMALISATION.1);
    let mut whole = Owned::<u8>::new::<Net>(initial::<Net>());
    let mut tuner = FineTuner::<Net, f32, u8, 8>::new(whole.lend(), normalisation, settings, 9).unwrap();
    for i in 0..60 {
        let (values, label) = sample(i, 64);
        tuner.label(&values, label).unwrap();
    }
    for _ in 0..13 {
        tuner.step().unwrap();
    }
    // Saved, as flash would hold it.
    let mut buffer = [0; 64];
    let state = postcard::to_slice(&tuner.state(), &mut buffer).unwrap();
    let state: State = postcard::from_bytes(state).unwrap();
    let (velocity, parameters) = (tuner.velocity().to_vec(), tuner.parameters().to_vec());
    let (entries, best) = (tuner.entries().collect::<Vec<_>>(), tuner.best().unwrap().to_vec());
    let values: Vec<Vec<u8>> = entries.iter().map(|&entry| tuner.sample(entry).to_vec()).collect();
    let rest: Vec<u32> = (0..20).map(|_| tuner.step().unwrap().loss.to_bits()).collect();

    let mut again = Owned::<u8>::new::<Net>(parameters);
    again.best = best;
    for (entry, values) in entries.iter().zip(&values) {
        again.samples[usize::from(entry.slot) * 64..][..64].copy_from_slice(values);
        again.entries.push_back(*entry).unwrap();
    }
    let mut resumed = FineTuner::<Net, f32, u8, 8>::resume(again.lend(), normalisation, settings, state).unwrap();
    resumed.velocity_mut().copy_from_slice(&velocity);
    assert_eq!(rest, (0..20).map(|_| resumed.step().unwrap().loss.to_bits()).collect::<Vec<_>>());
    assert_eq!(resumed.parameters(), tuner.parameters());
    assert_eq!((resumed.state(), resumed.best()), (tuner.state(), tuner.best()));
}

#[test]
fn tuning_stops_when_the_held_out_loss_rises_and_the_best_parameters_come_back() {
    type Net = Mlp64x32x10;
    // A rate that ruins the network.
    let settings = Settings { population: Population::NONE, rate: 3.0, hold_out: 3, look_every: 1, patience: 3, ..Settings::DEFAULT };
    let mut owned = Owned::<u8>::new::<Net>(initial::<Net>());
    let mut tuner = FineTuner::<Net, f32, u8, 8>::new(owned.lend(), Normalisation::NONE, settings, 9).unwrap();
    for i in 0..60 {
        let (values, label) = sample(i, 64);
        tuner.label(&values, label).unwrap();
    }
    let mut steps = 0;
    let last = loop {
        match tuner.step() {
            Ok(step) if !step.stopped => steps += 1,
            end => break end,
        }
        assert!(steps < 100);
    };
    assert!(matches!(last, Ok(pg_core::tuner::Step { stopped: true, .. }) | Err(TuneError::Diverged)), "{last:?}");
    assert_eq!(tuner.step(), Err(TuneError::Stopped));
    assert!(tuner.velocity().iter().all(|&v| v == 0.0));
    assert_eq!(tuner.parameters(), tuner.best().unwrap());
    let look = tuner.evaluate().unwrap();
    assert_eq!(look.loss, tuner.state().best_loss);
    tuner.restart();
    assert!(tuner.step().is_ok());
}

#[test]
fn each_mistake_has_its_own_answer_and_changes_nothing() {
    type Net = Mlp9x24x11;
    type Tuner<'a> = FineTuner<'a, Net, f32, f32, 8>;
    let mut owned = Owned::<f32>::new::<Net>(initial::<Net>());
    let refusal = |owned: &mut Owned<f32>, settings: Settings| Tuner::new(owned.lend(), Normalisation::NONE, settings, 1).err();
    for settings in [
        Settings { rate: f32::NAN, ..Settings::DEFAULT },
        Settings { momentum: 1.0, ..Settings::DEFAULT },
        Settings { look_every: 0, ..Settings::DEFAULT },
        Settings { weight_decay: -1.0, ..Settings::DEFAULT },
    ] {
        assert_eq!(refusal(&mut owned, settings), Some(TuneError::Settings));
    }
    assert_eq!(refusal(&mut owned, Settings { scope: Scope::of(0b100), ..Settings::DEFAULT }), Some(TuneError::EmptyScope));
    let two = Normalisation::new(&[0.0; 2], &[1.0; 2]);
    assert_eq!(Tuner::new(owned.lend(), two, Settings::DEFAULT, 1).err(), Some(TuneError::Normalisation));
    owned.working.truncate(100);
    let needed = Settings::DEFAULT.needs().sizes::<Net, f32, 8>().sum();
    assert_eq!(refusal(&mut owned, Settings::DEFAULT), Some(TuneError::TooLittleMemory { needed, lent: 100 }));

    let mut owned = Owned::<f32>::new::<Net>(initial::<Net>());
    owned.samples.truncate(2 * 9);
    let mut tuner = Tuner::new(owned.lend(), Normalisation::NONE, Settings::DEFAULT, 1).unwrap();
    assert_eq!(tuner.step(), Err(TuneError::NoSamples));
    assert_eq!(tuner.roll_back(), Err(TuneError::NothingKept));
    assert_eq!(tuner.label(&[0.0; 8], 0), Err(TuneError::SampleLength { found: 8, expected: 9 }));
    assert_eq!(tuner.label(&[0.0; 9], 11), Err(TuneError::NoSuchClass { label: 11, classes: 11 }));
    assert_eq!(tuner.label(&[f32::NAN; 9], 0), Err(TuneError::NotFinite));
    assert_eq!(tuner.entries().count(), 0);
    tuner.label(&[0.5; 9], 3).unwrap();
    tuner.label(&[0.5; 9], 3).unwrap();
    assert_eq!(tuner.label(&[0.5; 9], 3), Err(TuneError::Full { samples: 2 }));
    assert!(tuner.forget_oldest().is_some() && tuner.label(&[0.5; 9], 3).is_ok());
    assert!(tuner.step().is_ok());
}

#[test]
fn the_memory_of_a_small_perceptron_is_four_times_its_parameters_and_six_kilobytes() {
    type Net = Mlp64x32x10;
    let settings = Settings { population: POPULATION, momentum: 0.9, ..Settings::DEFAULT };
    let numbers = Net::PARAMS + settings.needs().sizes::<Net, f32, 8>().sum();
    let bytes = 4 * numbers + size_of::<FineTuner<Net, f32, u8, 8>>();
    assert!(bytes <= 4 * 4 * Net::PARAMS + 6 * 1024, "{bytes} bytes");
}
