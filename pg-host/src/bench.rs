//! Measures training steps and the peak of the machine beside them, on one thread.
//!
//! A step is the whole of it: noise, members, forward, loss, backward, optimiser. Its GFLOP/s count only the needed work: two for each
//! multiply-add of the forward pass, the weight gradients, and the input gradients except the first layer's. The peak is the best of
//! several numbers of independent chains of fused multiply-adds over the vector widths. Both are measured in turn, round by round, each as
//! the fastest of many short runs, and the share is the median of the rounds' ratios: so other work on the machine disturbs both alike.
//! Nothing here judges what it measures.
//!
//! The noise's share is the time to make all members of a step (the scales of the noise, its random numbers, θ+ε, θ-ε) and no more, over
//! the time of the step. Beside it stands what one random number costs by itself, a standard normal or a sign.

use std::fmt;
use std::hint::black_box;
use std::time::Instant;

use pg_core::initialise::Initialise;
use pg_core::loss::{Loss, Targets};
use pg_core::noise::{GROUP, Purpose, Stream};
use pg_core::optimiser::Sgd;
use pg_core::perturbation::{Distribution, Noise};
use pg_core::population::{Batch, BatchMode, Population};
use pg_core::{Lane, Widest, f32x4, f32x8, f32x16};
use serde::Serialize;

use crate::any_network::MakeMembers;
use crate::choose::by_name;
use crate::engine::{Engine, Task};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::memory::Memory;
use crate::options::BenchOptions;
use crate::profile::{Profile, Stage};

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
    /// Always 1 here.
    pub threads: usize,
    /// The median of the rounds.
    pub us_per_step: f64,
    /// From the median.
    pub gflops: f64,
    /// The median of the rounds' ratios.
    pub share_of_peak: f64,
    /// The part of the step in which members are made, the median of the rounds' ratios; 0 without members.
    pub noise_share: f64,
    /// Nanoseconds for one random number of the noise, the median of the rounds; 0 without members.
    pub ns_per_normal: f64,
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
    for (net, batch, members) in choose(networks, options)? {
        for members in members {
            subjects.push(Subject::new(net, batch, members, options));
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

/// A network, the samples in a step, the populations to measure.
type Choice<'a> = (&'a Entry, usize, Vec<u32>);

/// What to measure.
fn choose<'a>(networks: &'a [Entry], options: &BenchOptions) -> Result<Vec<Choice<'a>>, Failure> {
    let members = |usual: &[u32]| options.population.map_or(usual.to_vec(), |members| vec![members]);
    if options.nets.is_empty() {
        let known = USUAL.iter().filter_map(|(name, batch, usual)| Some((by_name(networks, name).ok()?, *batch, usual)));
        let chosen: Vec<_> = known.map(|(entry, batch, usual)| (entry, options.batch.unwrap_or(batch), members(usual))).collect();
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        return Ok(networks.iter().take(1).map(|entry| (entry, options.batch.unwrap_or(BATCH), members(&[0, 8]))).collect());
    }
    let batch = |name: &str| USUAL.iter().find(|usual| usual.0 == name).map_or(BATCH, |usual| usual.1);
    options.nets.iter().map(|name| Ok((by_name(networks, name)?, options.batch.unwrap_or(batch(name)), members(&[0, 8])))).collect()
}

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
    inputs: Memory,
    labels: Vec<u16>,
    step: u32,
    rounds: Vec<Round>,
    /// Its layers, and the peak in each round.
    profile: Option<(Profile, Vec<f64>)>,
}

impl Subject {
    fn new(entry: &Entry, samples: usize, members: u32, options: &BenchOptions) -> Self {
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
                threads: 1,
            }),
            make_members: network.make_members(population, 1),
            parameters: network.initialise(Initialise::AUTO, 1),
            gradient: Memory::zeros(sizes.params),
            velocity: Memory::zeros(sizes.params),
            inputs,
            labels: (0..samples).map(|i| (i * 7 % sizes.outputs) as u16).collect(),
            step: 0,
            rounds: Vec::new(),
            profile: options.layers.then(|| (network.profile(samples), Vec::new())),
        }
    }

    fn step(&mut self) {
        // A rate so small that the parameters stay where they are: every step does the same work.
        const SGD: Sgd = Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-5 };
        let mut batch = Batch { inputs: &self.inputs, targets: Targets::Classes(&self.labels), samples: self.samples };
        let loss = self.engine.gradient(self.step, &self.parameters, &mut batch, &mut self.gradient);
        black_box(loss.expect("a step at a tiny rate stays finite"));
        SGD.step::<Widest>(1e-8, &self.gradient, &mut self.velocity, &mut self.parameters);
        self.step += 1;
    }

    fn measure(&mut self, seconds: f64, peak: f64) {
        let took = time(seconds, || self.step());
        let (mut making, mut number) = (0.0, 0.0);
        if self.population.members > 0 {
            let mut step = self.step;
            making = time(seconds / 8.0, || {
                (self.make_members)(step, &self.parameters);
                step += 1;
            });
            number = time(seconds / 8.0, || numbers(self.population.noise.distribution, step)) / (CHUNKS * NUMBERS) as f64;
        }
        self.rounds.push(Round {
            seconds: took,
            share_of_peak: self.flops / took / 1e9 / peak,
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
            threads: 1,
            us_per_step: time * 1e6,
            gflops: self.flops / time / 1e9,
            share_of_peak: over_rounds(|round| round.share_of_peak),
            noise_share: over_rounds(|round| round.noise_share),
            ns_per_normal: over_rounds(|round| round.seconds_per_number) * 1e9,
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

/// The best rate of fused multiply-adds, in GFLOP/s.
fn peak() -> f64 {
    let four = chains::<f32x4, 8>().max(chains::<f32x4, 12>()).max(chains::<f32x4, 16>());
    let eight = chains::<f32x8, 8>().max(chains::<f32x8, 12>()).max(chains::<f32x8, 16>());
    let sixteen = chains::<f32x16, 8>().max(chains::<f32x16, 12>()).max(chains::<f32x16, 16>());
    four.max(eight).max(sixteen)
}

/// The rate of `CHAINS` independent chains of fused multiply-adds.
fn chains<L: Lane, const CHAINS: usize>() -> f64 {
    const TERMS: usize = 1 << 16; // about 0.1 ms: a core takes a while to run its widest vectors at full speed
    let factor = L::splat(black_box(0.999));
    let term = L::splat(black_box(0.001));
    let mut best = f64::MAX;
    for _ in 0..4 {
        let mut sums = [L::splat(1.0); CHAINS];
        let start = Instant::now();
        for _ in 0..TERMS {
            for sum in &mut sums {
                *sum = sum.mul_add(factor, term);
            }
        }
        best = best.min(start.elapsed().as_secs_f64());
        black_box(sums);
    }
    (2 * L::LANES * CHAINS * TERMS) as f64 / best / 1e9
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "peak of one thread: {:.0} GFLOP/s of fused multiply-adds", self.peak_gflops)?;
        writeln!(
            f,
            "{:<18} {:>5} {:>3} {:<17} {:>10} {:>9} {:>14} {:>12} {:>10}",
            "net", "batch", "K", "noise", "µs/step", "GFLOP/s", "share of peak", "noise's part", "ns/number"
        )?;
        for step in &self.steps {
            let noise = match (step.population, step.batch_mode) {
                (0, _) => String::new(),
                (_, "shared") => step.noise.into(),
                (_, mode) => format!("{} {mode}", step.noise),
            };
            write!(f, "{:<18} {:>5} {:>3} {:<17} ", step.net, step.batch, step.population, noise)?;
            write!(f, "{:>10.2} {:>9.1} {:>14.2}", step.us_per_step, step.gflops, step.share_of_peak)?;
            match step.population {
                0 => writeln!(f)?,
                _ => writeln!(f, " {:>12.2} {:>10.2}", step.noise_share, step.ns_per_normal)?,
            }
        }
        for step in self.steps.iter().filter(|step| !step.layers.is_empty()) {
            for (head, of, parts) in [("layer alone", "input", &step.layers), ("kind", "layers", &step.kinds)] {
                writeln!(f, "\n{}, batch {}, K = {}", step.net, step.batch, step.population)?;
                let [forward, backward, peak, whole] = ["forward µs", "backward µs", "share of peak", "share of step"];
                writeln!(f, "{head:<20} {of:>9} {forward:>10} {backward:>11} {:>8} {peak:>13} {whole:>13}", "GFLOP/s")?;
                for Part { name, of, forward_us, backward_us, gflops, share_of_peak, share_of_step } in parts {
                    write!(f, "{name:<20} {of:>9} {forward_us:>10.2} {backward_us:>11.2} ")?;
                    writeln!(f, "{gflops:>8.1} {share_of_peak:>13.2} {:>12.1}%", 100.0 * share_of_step)?;
                }
            }
            let rest = 1.0 - step.kinds.iter().map(|kind| kind.share_of_step).sum::<f64>();
            writeln!(f, "{:<20} {:>71.1}%", "all else", 100.0 * rest)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_is_asked_for_has_its_usual_batch() {
        let zoo = crate::zoo();
        let nets = ["mlp-64-32-10", "mlp-9-24-11", "mlp-784-128-10"].map(String::from).to_vec();
        let options = BenchOptions {
            nets,
            batch: None,
            population: None,
            noise: Distribution::Gaussian,
            batch_mode: BatchMode::Shared,
            seconds: 0.001,
            layers: true,
            json: false,
        };
        let batches: Vec<usize> = choose(&zoo, &options).unwrap().iter().map(|choice| choice.1).collect();
        assert_eq!(batches, [32, 64, 64]);
    }

    #[test]
    fn every_usual_step_is_measured_and_its_share_is_that_of_the_peak() {
        let options = BenchOptions {
            nets: vec![],
            batch: None,
            population: None,
            noise: Distribution::Gaussian,
            batch_mode: BatchMode::Shared,
            seconds: 0.001,
            layers: true,
            json: false,
        };
        let report = run(&crate::zoo(), &options).unwrap();
        assert_eq!(report.steps.len(), 4);
        assert!(report.peak_gflops > 0.0 && report.steps.iter().all(|step| step.share_of_peak > 0.0 && step.us_per_step > 0.0));
        for step in &report.steps {
            assert_eq!((step.noise_share > 0.0, step.ns_per_normal > 0.0), (step.population > 0, step.population > 0));
        }
    }
}
