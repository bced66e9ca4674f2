//! `train`, and `gradient`, which looks at such a run.

use std::path::PathBuf;

use pg_core::initialise::{Initialise, Rule};
use pg_core::loss::Loss;
use pg_core::optimiser::{Adagrad, Adam, Optimiser, Rmsprop, Sgd};
use pg_core::perturbation::Distribution;
use pg_core::schedule::{Course, Schedule};
use serde::Serialize;

use super::{CheckpointOptions, DataOptions, MOST_MEMBERS, MOST_SAMPLES, MOST_THREADS, need, written};
use crate::augmentation::Augmentation;
use crate::data::{CsvOptions, last_part};
use crate::failure::Failure;
use crate::method::MethodOptions;
use crate::model::one_line;
use crate::training::Recipe;

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

/// `train`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainOptions {
    /// Which data.
    #[serde(serialize_with = "written::data_name")]
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
    #[serde(serialize_with = "written::as_written")]
    pub rate: f32,
    /// In [0, 1).
    #[serde(serialize_with = "written::as_written")]
    pub momentum: f32,
    /// Nesterov's form of it.
    pub nesterov: bool,
    /// The factor of ‖θ‖²/2 in the loss.
    #[serde(serialize_with = "written::as_written")]
    pub weight_decay: f32,
    /// Whether it acts on weights only, not on biases and gains.
    #[serde(skip_serializing_if = "written::is_off")]
    pub decay_weights_only: bool,
    /// How the rate changes.
    #[serde(serialize_with = "written::course_name")]
    pub schedule: Course,
    /// The part of the steps in which it rises first.
    #[serde(serialize_with = "written::as_written", skip_serializing_if = "written::is_zero")]
    pub warmup: f32,
    /// The most that the norm of a gradient may be.
    #[serde(serialize_with = "written::as_written_if", skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f32>,
    /// The most that an element of a gradient may be.
    #[serde(serialize_with = "written::as_written_if", skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f32>,
    /// The decay of the moving average of the weights.
    #[serde(serialize_with = "written::as_written_if", skip_serializing_if = "Option::is_none")]
    pub ema: Option<f32>,
    /// How far uphill sharpness-aware minimisation goes.
    #[serde(serialize_with = "written::as_written_if", skip_serializing_if = "Option::is_none")]
    pub sam: Option<f32>,
    /// K; 0 is plain stochastic gradient descent.
    pub population: u32,
    /// ρ, the noise of a filter relative to its norm.
    #[serde(serialize_with = "written::as_written")]
    pub rho: f32,
    /// The distribution of the noise.
    #[serde(serialize_with = "written::noise_name")]
    pub noise: Distribution,
    /// Members in pairs θ+ε, θ-ε.
    pub antithetic: bool,
    /// What else there is to the population gradient.
    #[serde(flatten)]
    pub method: MethodOptions,
    /// In [0, 1).
    #[serde(serialize_with = "written::as_written")]
    pub label_smoothing: f32,
    /// How the weights start.
    #[serde(serialize_with = "written::rule_name")]
    pub init: Rule,
    /// Whether the ends of residuals start at zero.
    #[serde(skip_serializing_if = "written::is_off")]
    pub zero_residuals: bool,
    /// What happens to the training samples.
    #[serde(rename = "augment", serialize_with = "written::augmentation_text", skip_serializing_if = "Augmentation::is_none")]
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

impl GradientOptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Failure> {
        self.train.check()?;
        need(self.train.population > 0, "population", "at least 1 (4 is usual)", self.train.population)?;
        need(self.train.validation > 0.0, "validation", "above 0: the held-out samples come from it", self.train.validation)?;
        need((2..=10_000).contains(&self.repeats), "repeats", "between 2 and 10000", self.repeats)
    }
}
