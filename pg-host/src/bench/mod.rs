//! Measures training steps and the peak of the machine beside them.
//!
//! A step is the whole of it: noise, members, forward, loss, backward, optimiser. Its GFLOP/s count only the needed work: two for each
//! multiply-add of the forward pass, the weight gradients, and the input gradients except the first layer's. The peak is the best of
//! several numbers of independent chains of fused multiply-adds over the vector widths. Both are measured in turn, round by round, each as
//! the fastest of many short runs, and the share is the median of the rounds' ratios: so other work on the machine disturbs both alike.
//! Of several threads the share is that of so many peaks. Nothing here judges what it measures.
//!
//! The noise's share is the time to make all members of a step (the scales of the noise, its random numbers, θ+ε, θ-ε) and no more, over
//! the time of the step. Beside it stands what one random number costs by itself, a standard normal or a sign.

mod page;
mod peak;
mod table;

use std::hint::black_box;
use std::time::Instant;

use pg_core::Widest;
use pg_core::initialise::Initialise;
use pg_core::loss::{Loss, Targets};
use pg_core::noise::{GROUP, Purpose, Stream};
use pg_core::optimiser::{Optimiser, Sgd};
use pg_core::perturbation::{Distribution, Noise};
use pg_core::population::{Batch, BatchMode, Population};
use serde::Serialize;

use self::peak::peak;
use crate::any_network::MakeMembers;
use crate::choose::by_name;
use crate::engine::{Engine, Task};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::memory::Memory;
use crate::options::BenchOptions;
use crate::profile::{Profile, Stage};
use crate::training::{Update, Values};

pub use self::page::html;

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The peak: fused multiply-adds, two floating-point operations each; the median of the rounds.
    pub peak_gflops: f64,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One kind of step.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// The network's name.
    pub net: String,
    /// Samples.
    pub batch: usize,
    /// Members; 0 is plain SGD.
    pub population: u32,
    /// The distribution of the noise.
    pub noise: &'static str,
    /// Which samples a member sees.
    pub batch_mode: &'static str,
    /// Parameters of the network.
    pub params: usize,
    /// Threads that work on the step: no more than there is work for.
    pub threads: usize,
    /// Memory of the step beside parameters, their copy, gradient and velocity.
    pub memory_bytes: usize,
    /// The median of the rounds.
    pub us_per_step: f64,
    /// Passes of a member over a sample, forward and back, in a second.
    pub passes_per_s: f64,
    /// From the median.
    pub gflops: f64,
    /// The median of the rounds' ratios.
    pub share_of_peak: f64,
    /// The part of the step in which members are made, the median of the rounds' ratios; of one thread, with members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_share: Option<f64>,
    /// Nanoseconds for one random number of the noise, the median of the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_per_normal: Option<f64>,
    /// The layers by kind, those that take most first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Part>,
    /// The layers one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Part>,
}

/// A layer, or all layers of a kind, timed alone: the medians of the fastest of each round.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// The layer as its type is written in Rust, or the kind.
    pub name: String,
    /// The shape of its input; of a kind, how many layers there are.
    pub of: String,
    /// Forward, one pass.
    pub forward_us: f64,
    /// Backward, one pass.
    pub backward_us: f64,
    /// From both.
    pub gflops: f64,
    /// The median of the rounds' ratios.
    pub share_of_peak: f64,
    /// The passes of all members, of the step in its fastest round.
    pub share_of_step: f64,
}

/// What one round measured of a step.
#[derive(Clone, Copy, Debug)]
struct Round {
    seconds: f64,
    share_of_peak: f64,
    noise_share: f64,
    seconds_per_number: f64,
}

/// Steps that are measured when nothing is asked for: networks, batches, members.
const USUAL: [(&str, usize, [u32; 2]); 2] = [("mlp-784-128-10", 64, [0, 8]), ("mlp-64-32-10", 32, [0, 8])];

/// Samples in a step of a network without a usual one.
const BATCH: usize = 64;

/// Rounds in which everything is measured once.
const ROUNDS: usize = 15;

/// Measures what the options ask for.
///
/// # Errors
/// When a network has no such name.
pub fn run(networks: &[Entry], options: &BenchOptions) -> Result<Report, Failure> {
    let mut subjects = Vec::new();
    for (net, batches, populations) in choose(networks, options)? {
        for &batch in &batches {
            for &members in &populations {
                // Where there is no work for more threads, fewer are measured, once.
                let mut counts = Vec::new();
                for &threads in &options.threads {
                    let subject = Subject::new(net, batch, members, threads, options);
                    if !counts.contains(&subject.engine.threads()) {
                        counts.push(subject.engine.threads());
                        subjects.push(subject);
                    }
                }
            }
        }
    }
    let seconds = options.seconds / ROUNDS as f64;
    let mut peaks = Vec::new();
    for _ in 0..ROUNDS {
        let before = peak();
        for subject in &mut subjects {
            let best = before.max(peak());
            subject.measure(seconds, best);
            if let Some((profile, peaks)) = &mut subject.profile {
                profile.measure(seconds);
                peaks.push(best);
            }
        }
        peaks.push(before);
    }
    Ok(Report { peak_gflops: median(&peaks), steps: subjects.iter().map(Subject::result).collect() })
}

/// A network, the batches and the populations to measure.
type Choice<'a> = (&'a Entry, Vec<usize>, Vec<u32>);

/// What to measure.
fn choose<'a>(networks: &'a [Entry], options: &BenchOptions) -> Result<Vec<Choice<'a>>, Failure> {
    let asked = |entry, usual: usize, members: &[u32]| -> Choice<'a> {
        let batches = if options.batches.is_empty() { vec![usual] } else { options.batches.clone() };
        (entry, batches, if options.populations.is_empty() { members.to_vec() } else { options.populations.clone() })
    };
    if options.nets.is_empty() {
        let known = USUAL.iter().filter_map(|(name, batch, members)| Some(asked(by_name(networks, name).ok()?, *batch, members)));
        let chosen: Vec<_> = known.collect();
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        return Ok(networks.iter().take(1).map(|entry| asked(entry, BATCH, &[0, 8])).collect());
    }
    let batch = |name: &str| USUAL.iter().find(|usual| usual.0 == name).map_or(BATCH, |usual| usual.1);
    options.nets.iter().map(|name| Ok(asked(by_name(networks, name)?, batch(name), &[0, 8]))).collect()
}

/// How it learns.
const SGD: Optimiser = Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-5 });

/// A step that can be repeated.
struct Subject {
    net: &'static str,
    samples: usize,
    population: Population,
    flops: f64,
    engine: Box<dyn Engine>,
    make_members: MakeMembers,
    parameters: Memory,
    gradient: Memory,
    velocity: Memory,
    snapshot: Memory,
    update: Update,
    inputs: Memory,
    labels: Vec<u16>,
    step: u32,
    rounds: Vec<Round>,
    /// Its layers, and the peak in each round.
    profile: Option<(Profile, Vec<f64>)>,
}

impl Subject {
    fn new(entry: &Entry, samples: usize, members: u32, threads: usize, options: &BenchOptions) -> Self {
        let network = entry.network();
        let sizes = network.sizes();
        let noise = Noise { distribution: options.noise, ..Noise::new(0.3) };
        let population = Population { noise, batch: options.batch_mode, ..Population::new(members, 0.3) };
        let mut inputs = Memory::zeros(samples * sizes.input.len());
        inputs.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 37 % 101) as f32 / 50.0 - 1.0);
        Self {
            net: entry.name(),
            samples,
            population,
            flops: 2.0 * sizes.training_macs as f64 * samples as f64 * f64::from(population.passes()),
            engine: network.engine(Task {
                population,
                steps: 1,
                loss: Loss::CrossEntropy { label_smoothing: 0.0 },
                seed: 1,
                batch: samples,
                threads,
            }),
            make_members: network.make_members(population, 1),
            parameters: network.initialise(Initialise::AUTO, 1),
            gradient: Memory::zeros(sizes.params),
            velocity: Memory::zeros(sizes.params),
            snapshot: Memory::zeros(sizes.params),
            update: Update { parts: vec![(0..sizes.params, SGD)] },
            inputs,
            labels: (0..samples).map(|i| (i * 7 % sizes.outputs) as u16).collect(),
            step: 0,
            rounds: Vec::new(),
            profile: options.layers.then(|| (network.profile(samples), Vec::new())),
        }
    }

    fn step(&mut self) {
        let mut batch = Batch { inputs: &self.inputs, targets: Targets::Classes(&self.labels), samples: self.samples };
        let loss = self.engine.gradient(self.step, &self.parameters, &mut batch, &mut self.gradient);
        black_box(loss.expect("a step at a tiny rate stays finite"));
        let Self { parameters, snapshot, velocity, .. } = self;
        let values = Values { parameters, snapshot, slots: SGD.cut(velocity) };
        // A rate so small that the parameters stay where they are: every step does the same work.
        black_box(self.update.apply(self.engine.crew(), 1e-8, self.step, &self.gradient, values));
        self.step += 1;
    }

    /// Members are made as one thread makes them.
    fn measures_noise(&self) -> bool {
        self.population.members > 0 && self.engine.threads() == 1
    }

    fn measure(&mut self, seconds: f64, peak: f64) {
        let took = time(seconds, || self.step());
        let (mut making, mut number) = (0.0, 0.0);
        if self.measures_noise() {
            let mut step = self.step;
            making = time(seconds / 8.0, || {
                (self.make_members)(step, &self.parameters);
                step += 1;
            });
            number = time(seconds / 8.0, || numbers(self.population.noise.distribution, step)) / (CHUNKS * NUMBERS) as f64;
        }
        self.rounds.push(Round {
            seconds: took,
            share_of_peak: self.flops / took / 1e9 / peak / self.engine.threads() as f64,
            noise_share: making / took,
            seconds_per_number: number,
        });
    }

    fn result(&self) -> Step {
        let over_rounds = |number: fn(&Round) -> f64| median(&self.rounds.iter().map(number).collect::<Vec<f64>>());
        let time = over_rounds(|round| round.seconds);
        let fastest = self.rounds.iter().map(|round| round.seconds).fold(f64::MAX, f64::min);
        let (kinds, layers) = self.parts(fastest);
        Step {
            net: self.net.into(),
            batch: self.samples,
            population: self.population.members,
            noise: match self.population.noise.distribution {
                Distribution::Gaussian => "gaussian",
                Distribution::Uniform => "uniform",
                Distribution::Rademacher => "rademacher",
                Distribution::RankOne => "rank1",
            },
            batch_mode: if self.population.batch == BatchMode::Split { "split" } else { "shared" },
            params: self.gradient.len(),
            threads: self.engine.threads(),
            memory_bytes: self.engine.memory_bytes(),
            us_per_step: time * 1e6,
            passes_per_s: self.samples as f64 * f64::from(self.population.passes()) / time,
            gflops: self.flops / time / 1e9,
            share_of_peak: over_rounds(|round| round.share_of_peak),
            noise_share: self.measures_noise().then(|| over_rounds(|round| round.noise_share)),
            ns_per_normal: self.measures_noise().then(|| over_rounds(|round| round.seconds_per_number) * 1e9),
            kinds,
            layers,
        }
    }

    /// The layers by kind and one by one, of a step that takes `step` seconds.
    fn parts(&self, step: f64) -> (Vec<Part>, Vec<Part>) {
        let Some((profile, peaks)) = &self.profile else { return (Vec::new(), Vec::new()) };
        let passes = f64::from(self.population.members.max(1));
        let part = |name: &str, of: String, stages: &[&Stage]| {
            let total = |get: &dyn Fn(&Stage) -> f64| stages.iter().map(|stage| get(stage)).sum::<f64>();
            let flops = 2.0 * total(&|stage| stage.macs[0] + stage.macs[1]);
            let times = |direction: usize| (0..peaks.len()).map(move |round| total(&|stage| stage.rounds[round][direction]));
            let both: Vec<f64> = times(0).zip(times(1)).map(|(forward, backward)| forward + backward).collect();
            let shares: Vec<f64> = both.iter().zip(peaks).map(|(time, peak)| flops / time / 1e9 / peak).collect();
            Part {
                name: name.into(),
                of,
                forward_us: median(&times(0).collect::<Vec<_>>()) * 1e6,
                backward_us: median(&times(1).collect::<Vec<_>>()) * 1e6,
                gflops: flops / median(&both) / 1e9,
                share_of_peak: median(&shares),
                share_of_step: passes * median(&both) / step,
            }
        };
        let stages = profile.stages();
        let mut names: Vec<&str> = stages.iter().map(Stage::kind).collect();
        names.sort_unstable();
        names.dedup();
        let kind = |name: &&str| {
            let of: Vec<&Stage> = stages.iter().filter(|stage| stage.kind() == *name).collect();
            part(name, of.len().to_string(), &of)
        };
        let mut kinds: Vec<Part> = names.iter().map(kind).collect();
        kinds.sort_by(|a, b| b.share_of_step.total_cmp(&a.share_of_step));
        (kinds, stages.iter().map(|stage| part(&stage.layer, stage.input.to_string(), &[stage])).collect())
    }
}

/// Seconds that `work` takes, the fastest of as many runs as fit into `seconds`, one at least.
fn time(seconds: f64, mut work: impl FnMut()) -> f64 {
    let (start, mut fastest) = (Instant::now(), f64::INFINITY);
    while fastest.is_infinite() || start.elapsed().as_secs_f64() < seconds {
        let run = Instant::now();
        work();
        fastest = fastest.min(run.elapsed().as_secs_f64());
    }
    fastest
}

/// Random numbers that are made at once when they are measured: what members are made of.
const NUMBERS: usize = 4 * GROUP;

/// How often in one run, which must be long beside the reading of the clock.
const CHUNKS: usize = 64;

/// Makes random numbers of the noise.
fn numbers(distribution: Distribution, step: u32) {
    let (stream, mut numbers) = (Stream::new(1, Purpose::Members, black_box(step), 0), [0.0; NUMBERS]);
    for group in (0..CHUNKS as u32).map(|chunk| chunk * (NUMBERS / GROUP) as u32) {
        match distribution {
            Distribution::Gaussian => stream.normals::<Widest>(group, &mut numbers),
            Distribution::Uniform => stream.uniforms::<Widest>(group, &mut numbers),
            Distribution::Rademacher | Distribution::RankOne => stream.signs(group, &mut numbers),
        }
        black_box(&numbers);
    }
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is measured without further words, in short.
    fn usual(nets: &[&str]) -> BenchOptions {
        BenchOptions {
            nets: nets.iter().map(|net| net.to_string()).collect(),
            batches: vec![],
            populations: vec![],
            threads: vec![1],
            noise: Distribution::Gaussian,
            batch_mode: BatchMode::Shared,
            seconds: 0.001,
            layers: true,
            html: None,
            json: false,
        }
    }

    #[test]
    fn a_network_that_is_asked_for_has_its_usual_batch() {
        let zoo = crate::zoo();
        let options = usual(&["mlp-64-32-10", "mlp-9-24-11", "mlp-784-128-10"]);
        let batches: Vec<Vec<usize>> = choose(&zoo, &options).unwrap().into_iter().map(|choice| choice.1).collect();
        assert_eq!(batches, [[32], [64], [64]]);
    }

    #[test]
    fn every_usual_step_is_measured_and_its_share_is_that_of_the_peak() {
        let options = usual(&[]);
        let report = run(&crate::zoo(), &options).unwrap();
        assert_eq!(report.steps.len(), 4);
        assert!(report.peak_gflops > 0.0 && report.steps.iter().all(|step| step.share_of_peak > 0.0 && step.us_per_step > 0.0));
        for step in &report.steps {
            let measured = |number: Option<f64>| number.is_some_and(|number| number > 0.0);
            assert_eq!((measured(step.noise_share), measured(step.ns_per_normal)), (step.population > 0, step.population > 0));
        }
    }
}
