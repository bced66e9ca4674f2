//! What each subcommand is asked to do, typed and checked. How it was written on the command line is the matter of [`cli`](crate::cli).

use std::path::PathBuf;
use std::str::FromStr;

use pg_core::Shape;
use pg_core::initialise::{Initialise, Rule};
use pg_core::loss::Loss;
use pg_core::optimiser::{Adagrad, Adam, Optimiser, Rmsprop, Sgd};
use pg_core::perturbation::Distribution;
use pg_core::population::BatchMode;
use pg_core::schedule::{Course, Schedule};
use pg_core::tuner::Settings;
use serde::{Serialize, Serializer};

use crate::augmentation::Augmentation;
use crate::data::{CsvOptions, last_part};
use crate::failure::Failure;
use crate::method::MethodOptions;
use crate::model::one_line;
use crate::session::{BATCHES, MOST_SAMPLES as MOST_RING};
use crate::study::Shard;
use crate::training::Recipe;

/// The largest population.
pub const MOST_MEMBERS: u32 = 4096;
/// The largest number of threads.
pub const MOST_THREADS: usize = 256;
/// The largest batch: beyond it a batch is a data set.
pub const MOST_SAMPLES: usize = 1 << 20;

/// Which data.
#[derive(Clone, Debug, PartialEq)]
pub struct DataOptions {
    /// A bundled name or a path.
    pub name: String,
    /// For CSV files.
    pub csv: CsvOptions,
    /// Read each sample as this shape; without it as the files say, or as the network takes it.
    pub shape: Option<Shape>,
}

/// What `replay` is to compute.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayOptions {
    /// The model file that the device starts from.
    pub model: PathBuf,
    /// The data; without it those that the model was trained on.
    pub data: Option<DataOptions>,
    /// Which part the labelled samples are of.
    pub part: Part,
    /// How many labelled samples the device gets.
    pub samples: usize,
    /// The seed by which they are drawn, class by class; the first in the file without it.
    pub draw: Option<u64>,
    /// How many sessions, each with the next draw and seed.
    pub sessions: u32,
    /// The most steps of a session.
    pub steps: u32,
    /// Samples in a step.
    pub batch: usize,
    /// How it learns; the scope is that of `last` and `biases`.
    pub settings: Settings,
    /// Only the last so many layers with parameters learn.
    pub last: Option<u32>,
    /// Only biases and gains learn.
    pub biases: bool,
    /// The seed of noise and replay.
    pub seed: u64,
    /// Print what the device prints.
    pub log: bool,
    /// Print JSON.
    pub json: bool,
}

/// Which recorded session `replay` is to compute.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionOptions {
    /// The model file that the device was built with.
    pub model: PathBuf,
    /// The record.
    pub session: PathBuf,
    /// The file for the model at its end.
    pub out: Option<PathBuf>,
    /// Print what the device prints.
    pub log: bool,
    /// Print JSON.
    pub json: bool,
}

impl ReplayOptions {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// [`Failure::Usage`]: one sentence.
    pub fn check(&self) -> Result<(), Failure> {
        let usage = |sentence: String| Err(Failure::Usage(sentence));
        if !(1..=MOST_RING).contains(&self.samples) {
            return usage(format!("--samples must be from 1 to {MOST_RING}"));
        }
        if !BATCHES.contains(&self.batch) {
            return usage(format!("--batch must be one of {}", BATCHES.map(|batch| batch.to_string()).join(", ")));
        }
        if self.steps == 0 || self.sessions == 0 {
            return usage("--steps and --sessions must be at least 1".into());
        }
        if self.last == Some(0) {
            return usage("--last must be at least 1: with no layer there is nothing to learn".into());
        }
        if self.sessions > 1 && self.log {
            return usage("--log prints one session, so it goes with --sessions 1".into());
        }
        if self.settings.population.members > MOST_MEMBERS {
            return usage(format!("--population must be at most {MOST_MEMBERS}"));
        }
        Ok(())
    }
}

/// The kinds of optimisers, with their usual constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimiserName {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// RMSprop without momentum.
    Rmsprop,
    /// Adagrad.
    Adagrad,
    /// Adam, with the decay in the gradient.
    Adam,
    /// Adam, with the decay beside it.
    Adamw,
}

impl OptimiserName {
    /// A rate that suits it.
    pub fn usual_rate(self) -> f32 {
        match self {
            OptimiserName::Sgd => 0.1,
            OptimiserName::Adagrad => 0.01,
            OptimiserName::Rmsprop | OptimiserName::Adam | OptimiserName::Adamw => 0.001,
        }
    }
}

/// How often a run is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so many epochs.
    Epochs(u32),
    /// After so many steps.
    Steps(u32),
}

impl Default for Every {
    fn default() -> Self {
        Every::Epochs(1)
    }
}

impl Every {
    /// The same in steps.
    pub fn in_steps(self, steps_per_epoch: u32) -> u32 {
        match self {
            Every::Epochs(epochs) => epochs.saturating_mul(steps_per_epoch),
            Every::Steps(steps) => steps,
        }
    }
}

/// `10` for epochs, `500steps` for steps.
impl FromStr for Every {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, every): (_, fn(u32) -> Every) = match text.strip_suffix("steps") {
            Some(number) => (number, Every::Steps),
            None => (text, Every::Epochs),
        };
        let number = number.trim_end().parse().ok().filter(|&number| number > 0);
        number.map(every).ok_or("it is a number of epochs, as in 1, or of steps, as in 500steps")
    }
}

/// How a run is kept, so that it can go on after its end.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointOptions {
    /// The directory of the checkpoints.
    pub directory: PathBuf,
    /// How often one is written.
    pub every: Every,
    /// The arguments of `train` that mean all these options: what is kept of them.
    pub arguments: Vec<String>,
}

/// `train --resume`.
#[derive(Clone, Debug, PartialEq)]
pub struct ResumeOptions {
    /// The directory of the checkpoints.
    pub directory: PathBuf,
    /// The directory of the new ones; without it the same.
    pub checkpoint: Option<PathBuf>,
    /// Arguments of `train` that replace those that are kept.
    pub arguments: Vec<String>,
    /// Print one JSON object.
    pub json: bool,
}

/// `train`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainOptions {
    /// Which data.
    #[serde(serialize_with = "data_name")]
    pub data: DataOptions,
    /// The network's name; without it the first that fits.
    pub net: Option<String>,
    /// How many of the training samples are used; without it all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_samples: Option<usize>,
    /// Passes over the training samples.
    pub epochs: u32,
    /// Samples in a step.
    pub batch: usize,
    /// The kind of optimiser.
    pub optimiser: OptimiserName,
    /// Learning rate at its highest.
    #[serde(serialize_with = "as_written")]
    pub rate: f32,
    /// In [0, 1).
    #[serde(serialize_with = "as_written")]
    pub momentum: f32,
    /// Nesterov's form of it.
    pub nesterov: bool,
    /// The factor of ‖θ‖²/2 in the loss.
    #[serde(serialize_with = "as_written")]
    pub weight_decay: f32,
    /// Whether it acts on weights only, not on biases and gains.
    #[serde(skip_serializing_if = "is_off")]
    pub decay_weights_only: bool,
    /// How the rate changes.
    #[serde(serialize_with = "course_name")]
    pub schedule: Course,
    /// The part of the steps in which it rises first.
    #[serde(serialize_with = "as_written", skip_serializing_if = "is_zero")]
    pub warmup: f32,
    /// The most that the norm of a gradient may be.
    #[serde(serialize_with = "as_written_if", skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f32>,
    /// The most that an element of a gradient may be.
    #[serde(serialize_with = "as_written_if", skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f32>,
    /// The decay of the moving average of the weights.
    #[serde(serialize_with = "as_written_if", skip_serializing_if = "Option::is_none")]
    pub ema: Option<f32>,
    /// How far uphill sharpness-aware minimisation goes.
    #[serde(serialize_with = "as_written_if", skip_serializing_if = "Option::is_none")]
    pub sam: Option<f32>,
    /// K; 0 is plain stochastic gradient descent.
    pub population: u32,
    /// ρ, the noise of a filter relative to its norm.
    #[serde(serialize_with = "as_written")]
    pub rho: f32,
    /// The distribution of the noise.
    #[serde(serialize_with = "noise_name")]
    pub noise: Distribution,
    /// Members in pairs θ+ε, θ-ε.
    pub antithetic: bool,
    /// What else there is to the population gradient.
    #[serde(flatten)]
    pub method: MethodOptions,
    /// In [0, 1).
    #[serde(serialize_with = "as_written")]
    pub label_smoothing: f32,
    /// How the weights start.
    #[serde(serialize_with = "rule_name")]
    pub init: Rule,
    /// Whether the ends of residuals start at zero.
    #[serde(skip_serializing_if = "is_off")]
    pub zero_residuals: bool,
    /// What happens to the training samples.
    #[serde(rename = "augment", serialize_with = "augmentation_text", skip_serializing_if = "Augmentation::is_none")]
    pub augmentation: Augmentation,
    /// Share of the training samples to watch.
    pub validation: f64,
    /// The seed of everything random.
    pub seed: u64,
    /// Threads; 0 chooses.
    pub threads: usize,
    /// The model file.
    pub out: PathBuf,
    /// Whether and how the run is kept.
    #[serde(skip)]
    pub checkpoint: Option<CheckpointOptions>,
    /// Print one JSON object.
    #[serde(skip)]
    pub json: bool,
}

/// Which samples of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Those that are tested on.
    Test,
    /// Those that are learnt from.
    Train,
    /// Both.
    All,
}

/// `eval`.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalOptions {
    /// The model file.
    pub model: PathBuf,
    /// Which data; without it those that the model was trained on, if they are bundled.
    pub data: Option<DataOptions>,
    /// Which samples of it; without it the test part, or all of data that bring none and that the model was not trained on.
    pub part: Option<Part>,
    /// Batch norms are folded into the weights before them.
    pub folded: bool,
    /// Print one JSON object.
    pub json: bool,
}

/// `predict`.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictOptions {
    /// The model file.
    pub model: PathBuf,
    /// Which data.
    pub data: Option<DataOptions>,
    /// Which samples of it; without it the test part if the data set brings one, else all.
    pub part: Option<Part>,
    /// The most samples to predict.
    pub limit: Option<usize>,
    /// Print the logits.
    pub logits: bool,
    /// Print the logits' bits in hexadecimal digits.
    pub bits: bool,
    /// Batch norms are folded into the weights before them.
    pub folded: bool,
    /// Print one JSON array.
    pub json: bool,
}

/// `inspect`.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectOptions {
    /// The model file.
    pub model: PathBuf,
    /// Print one JSON object.
    pub json: bool,
}

/// `data inspect`.
#[derive(Clone, Debug, PartialEq)]
pub struct DataInspectOptions {
    /// Which data.
    pub data: DataOptions,
    /// The picture to write.
    pub sheet: Option<PathBuf>,
    /// Print one JSON object.
    pub json: bool,
}

/// `bench`.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchOptions {
    /// The networks' names; empty for the usual ones.
    pub nets: Vec<String>,
    /// Samples in a step; empty for those that are usual for the network.
    pub batches: Vec<usize>,
    /// Members; empty for none and eight.
    pub populations: Vec<u32>,
    /// Threads.
    pub threads: Vec<usize>,
    /// The distribution of the noise.
    pub noise: Distribution,
    /// Which samples a member sees.
    pub batch_mode: BatchMode,
    /// How long to measure each step.
    pub seconds: f64,
    /// Time each layer too.
    pub layers: bool,
    /// Where to write the page.
    pub html: Option<PathBuf>,
    /// Print one JSON object.
    pub json: bool,
}

/// `study run` and `study plan`.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyOptions {
    /// A file or the name of a preset.
    pub study: String,
    /// The file of the runs; without it after the study's name.
    pub out: Option<PathBuf>,
    /// Which part.
    pub shard: Shard,
    /// The most core-hours.
    pub budget: Option<f64>,
    /// The names of the cells; empty for all.
    pub cells: Vec<String>,
    /// Print one JSON object.
    pub json: bool,
}

/// `study`.
#[derive(Clone, Debug, PartialEq)]
pub enum StudyCommand {
    /// Make the runs.
    Run {
        /// Of which study.
        plan: StudyOptions,
        /// How many at a time.
        jobs: usize,
    },
    /// Say what would be made.
    Plan(StudyOptions),
    /// Say what came out.
    Report {
        /// The file of the runs.
        records: PathBuf,
        /// The report to write; without it beside the runs.
        html: Option<PathBuf>,
        /// The table of runs to write.
        csv: Option<PathBuf>,
        /// Print one JSON object.
        json: bool,
    },
    /// Join files.
    Merge {
        /// The files.
        files: Vec<PathBuf>,
        /// The file to write.
        out: PathBuf,
        /// Print one JSON object.
        json: bool,
    },
    /// List the ready studies, or print one.
    Presets {
        /// Which; without it a list.
        name: Option<String>,
    },
}

/// `gradient`.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientOptions {
    /// The training run.
    pub train: TrainOptions,
    /// Steps to measure at; empty for some of the run.
    pub at: Vec<u32>,
    /// Batches for each measurement.
    pub repeats: u32,
}

impl StudyOptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Failure> {
        let hours = self.budget.unwrap_or(1.0);
        need(hours > 0.0 && hours.is_finite(), "budget", "a finite number of core-hours above 0", hours)
    }
}

impl GradientOptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Failure> {
        self.train.check()?;
        need(self.train.population > 0, "population", "at least 1 (4 is usual)", self.train.population)?;
        need(self.train.validation > 0.0, "validation", "above 0: the held-out samples come from it", self.train.validation)?;
        need((2..=10_000).contains(&self.repeats), "repeats", "between 2 and 10000", self.repeats)
    }
}

/// Refuses a value with a sentence: which option, what it must be, what it was.
fn need(holds: bool, option: &str, rule: &str, given: impl std::fmt::Display) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Usage(format!("--{option} must be {rule}, and is {given}"))) }
}

impl TrainOptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Failure> {
        need(self.train_samples != Some(0), "train-samples", "at least 1", 0)?;
        need((1..=1_000_000).contains(&self.epochs), "epochs", "between 1 and 1000000", self.epochs)?;
        need((1..=MOST_SAMPLES).contains(&self.batch), "batch", "between 1 and 1048576 samples", self.batch)?;
        need(self.rate > 0.0 && self.rate.is_finite(), "rate", "a finite number above 0 (0.1 is usual)", self.rate)?;
        need((0.0..1.0).contains(&self.momentum), "momentum", "at least 0 and below 1 (0.9 is usual)", self.momentum)?;
        need(!self.nesterov || self.momentum > 0.0, "momentum", "above 0 with --nesterov", self.momentum)?;
        let decay = self.weight_decay;
        need(decay >= 0.0 && decay.is_finite(), "weight-decay", "a finite number of at least 0 (0.00001 is usual)", decay)?;
        need((0.0..1.0).contains(&self.warmup), "warmup", "at least 0 and below 1", self.warmup)?;
        match self.schedule {
            Course::Step { factor, every } => {
                need(factor > 0.0 && factor <= 1.0, "drop", "above 0 and at most 1 (0.1 is usual)", factor)?;
                need(every > 0.0 && every <= 1.0, "drop-every", "above 0 and at most 1 (a third is usual)", every)?;
            }
            Course::Exponential { end } => need(end > 0.0 && end <= 1.0, "drop", "above 0 and at most 1 (0.01 is usual)", end)?,
            Course::Constant | Course::Cosine | Course::OneCycle => {}
        }
        for (option, most) in [("clip-norm", self.clip_norm), ("clip-value", self.clip_value)] {
            let most = most.unwrap_or(1.0);
            need(most > 0.0 && most.is_finite(), option, "a finite number above 0", most)?;
        }
        let ema = self.ema.unwrap_or(0.0);
        need((0.0..1.0).contains(&ema), "ema", "at least 0 and below 1 (0.999 is usual)", ema)?;
        let sam = self.sam.unwrap_or(0.05);
        need(sam > 0.0 && sam.is_finite(), "sam", "a finite number above 0 (0.05 is usual)", sam)?;
        need(self.sam.is_none() || self.population == 0, "population", "0 with --sam, which replaces it", self.population)?;
        need(self.population <= MOST_MEMBERS, "population", "between 0 and 4096 (4 is usual: each member costs a pass)", self.population)?;
        need(self.rho >= 0.0 && self.rho.is_finite(), "rho", "a finite number of at least 0 (0.3 to 0.6 is usual)", self.rho)?;
        self.method.check(self.population)?;
        need((0.0..1.0).contains(&self.label_smoothing), "label-smoothing", "at least 0 and below 1", self.label_smoothing)?;
        need((0.0..=0.9).contains(&self.validation), "validation", "a fraction between 0 and 0.9", self.validation)?;
        need(self.threads <= MOST_THREADS, "threads", "between 0 and 256 (0 chooses)", self.threads)
    }

    /// What the model file says of them: all that the parameters follow from, so neither paths nor threads.
    pub fn provenance(&self) -> String {
        let serde_json::Value::Object(options) = serde_json::json!(self) else { return String::new() };
        let written = |(name, value): (&String, &serde_json::Value)| match value {
            serde_json::Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        };
        let kept = options.iter().filter(|(name, _)| !["data", "net", "seed", "threads", "out"].contains(&name.as_str()));
        let CsvOptions { label, test } = &self.data.csv;
        let test = test.as_deref().map(last_part);
        let csv = [("label", label.as_ref()), ("test", test.as_ref())];
        let csv = csv.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", one_line(value?))));
        kept.map(written).chain(csv).collect::<Vec<_>>().join(" ")
    }

    fn optimiser(&self) -> Optimiser {
        let Self { momentum, nesterov, weight_decay, .. } = *self;
        match self.optimiser {
            OptimiserName::Sgd => Optimiser::Sgd(Sgd { momentum, nesterov, weight_decay }),
            OptimiserName::Rmsprop => Optimiser::Rmsprop(Rmsprop { smoothing: 0.99, epsilon: 1e-8, momentum: 0.0, weight_decay }),
            OptimiserName::Adagrad => Optimiser::Adagrad(Adagrad { epsilon: 1e-10, weight_decay }),
            OptimiserName::Adam => Optimiser::Adam(Adam { weight_decay, ..Adam::ADAM }),
            OptimiserName::Adamw => Optimiser::Adam(Adam { weight_decay, ..Adam::ADAMW }),
        }
    }

    /// The training run that they ask for.
    pub fn recipe(&self) -> Recipe {
        Recipe {
            epochs: self.epochs,
            batch: self.batch,
            rate: self.rate,
            schedule: Schedule { course: self.schedule, warmup: self.warmup },
            optimiser: self.optimiser(),
            decays_weights_only: self.decay_weights_only,
            clip_norm: self.clip_norm,
            clip_value: self.clip_value,
            average: self.ema,
            sam: self.sam,
            population: self.method.population(self.population, self.rho, self.noise, self.antithetic),
            loss: Loss::CrossEntropy { label_smoothing: self.label_smoothing },
            initialise: Initialise { rule: self.init, zero_residuals: self.zero_residuals },
            augmentation: self.augmentation,
            seed: self.seed,
            threads: self.threads,
        }
    }
}

impl PredictOptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Failure> {
        need(self.limit != Some(0), "limit", "at least 1", 0)
    }
}

impl DataInspectOptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Failure> {
        let Some(sheet) = &self.sheet else { return Ok(()) };
        let is_svg = sheet.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
        need(is_svg, "sheet", "a file called .svg", sheet.display())
    }
}

impl BenchOptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Failure> {
        for &batch in &self.batches {
            need((1..=MOST_SAMPLES).contains(&batch), "batch", "between 1 and 1048576 samples", batch)?;
        }
        for &population in &self.populations {
            need(population <= MOST_MEMBERS, "population", "between 0 and 4096", population)?;
        }
        for &threads in &self.threads {
            need((1..=MOST_THREADS).contains(&threads), "threads", "between 1 and 256", threads)?;
        }
        need(self.seconds > 0.0 && self.seconds <= 3600.0, "seconds", "above 0 and at most 3600", self.seconds)
    }
}

/// The shortest decimal that is this `f32`: 0.1, not the digits of its nearest `f64`.
fn as_written<S: Serializer>(number: &f32, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(number.to_string().parse().unwrap_or(f64::NAN))
}

fn data_name<S: Serializer>(data: &DataOptions, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&data.name)
}

fn as_written_if<S: Serializer>(number: &Option<f32>, to: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => as_written(number, to),
        None => to.serialize_none(),
    }
}

fn is_off(option: &bool) -> bool {
    !option
}

fn is_zero(number: &f32) -> bool {
    *number == 0.0
}

fn course_name<S: Serializer>(course: &Course, to: S) -> Result<S::Ok, S::Error> {
    match course {
        Course::Constant => to.serialize_str("constant"),
        Course::Step { factor, every } => to.collect_str(&format_args!("step({factor},{every})")),
        Course::Exponential { end } => to.collect_str(&format_args!("exponential({end})")),
        Course::Cosine => to.serialize_str("cosine"),
        Course::OneCycle => to.serialize_str("one-cycle"),
    }
}

fn noise_name<S: Serializer>(noise: &Distribution, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match noise {
        Distribution::Gaussian => "gaussian",
        Distribution::Uniform => "uniform",
        Distribution::Rademacher => "rademacher",
        Distribution::RankOne => "rank1",
    })
}

fn rule_name<S: Serializer>(rule: &Rule, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match rule {
        Rule::Auto => "auto",
        Rule::He => "he",
        Rule::Xavier => "xavier",
        Rule::XavierUniform => "xavier-uniform",
        Rule::Orthogonal => "orthogonal",
        Rule::Uniform => "uniform",
    })
}

fn augmentation_text<S: Serializer>(augmentation: &Augmentation, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(augmentation)
}
