//! The words behind `train` and `gradient`, which takes those of `train`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory};
use pg_core::initialise::Rule;
use pg_core::perturbation::{Distribution, NoiseTargets, ScaleRule};
use pg_core::population::{BatchMode, Combine, RhoCourse, RhoSchedule};
use pg_core::schedule::Course;

use super::data::Reading;
use super::{Cli, Command, NoCommand};
use crate::augmentation::Augmentation;
use crate::method::MethodOptions;
use crate::options::{CheckpointOptions, Every, GradientOptions, OptimiserName, ResumeOptions, TrainOptions};

/// The names of the distributions.
pub(super) const DISTRIBUTIONS: [&str; 4] = ["gaussian", "uniform", "rademacher", "rank1"];

#[derive(Args)]
pub(super) struct Gradient {
    #[command(flatten)]
    train: Train,
    /// The steps to measure at, with commas between; 0 is before the first. Without it seven of the run, from its start to its end
    #[arg(long, help_heading = "Measurement", value_name = "STEPS", value_delimiter = ',')]
    at: Vec<u32>,
    /// Batches for each measurement
    #[arg(long, help_heading = "Measurement", value_name = "N", default_value_t = 20)]
    repeats: u32,
}

#[derive(Args)]
pub(super) struct Train {
    #[command(flatten)]
    samples: Samples,
    #[command(flatten)]
    network: NetworkWords,
    #[command(flatten)]
    steps: Steps,
    #[command(flatten)]
    copies: Copies,
    /// Seed of everything random: first weights, order of the samples, noise
    #[arg(long, help_heading = "Run", default_value_t = 1, allow_negative_numbers = true)]
    seed: u64,
    /// Threads, with the same result for any number; 0 takes one for small steps, else one for each core
    #[arg(long, help_heading = "Run", value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    threads: usize,
    /// The model file to write; an existing one is replaced only when the new one is whole
    #[arg(long, help_heading = "Run", value_name = "FILE", default_value = "model.pg")]
    out: PathBuf,
    /// Keep the run in this new directory: it can go on after a crash, a kill or Ctrl-C, and ends with the same bytes as without
    #[arg(long, help_heading = "Run", value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// How often it is kept: every N epochs, or as in `500steps` every N steps. Without it every epoch
    #[arg(long, help_heading = "Run", value_name = "N")]
    every: Option<Every>,
    /// Go on with the run in this directory, which holds all its options. Beside it only --threads, --out, --json, --every and --checkpoint
    /// (to keep it elsewhere from now on) can be given
    #[arg(long, help_heading = "Run", value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long, help_heading = "Run")]
    json: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Data")]
struct Samples {
    /// A bundled data set (digits, vowel, fashion-tiny) or one that a package brings (fashion-mnist), see `data list`; a CSV file; an .npz
    /// archive or directory of NumPy arrays (x_train, y_train, x_test, y_test); a directory in MNIST's IDX form, in CIFAR's or SVHN's form, or
    /// with PNG or JPEG pictures in a folder for each class. Where there is no test part, 20 % of the samples are put aside to test on
    #[arg(long, value_name = "NAME|PATH", default_value = "digits")]
    data: String,
    #[command(flatten)]
    reading: Reading,
    /// Learn from so many of the training samples only, of each class its share: the same ones for every seed
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    train_samples: Option<usize>,
    /// Changes the training samples a little in every epoch; kinds with commas between, as in `shift=2,flip,mixup=0.2`
    ///
    /// For images: `shift=N` moves by up to N rows and columns and repeats the edge; `flip` mirrors a random half of them left for right;
    /// `cutout=N` blanks a square of N rows and columns. For windows of sensors (height 1): `shift=N` moves by up to N instants; `scale=S`
    /// multiplies each channel by a factor around 1 with a standard deviation of S; `mask=N` blanks N instants. For all data: `noise=S`
    /// adds noise of S standard deviations of a channel; `mixup=A` mixes each sample and its class with another's in shares from Beta(A,
    /// A). Blank is a channel's mean. Samples to watch or test on stay as they are. The same seed gives the same samples, whatever the
    /// other options but --data and --validation
    #[arg(long = "augment", value_name = "KINDS")]
    augmentation: Option<Augmentation>,
    /// Share of the training samples to watch instead of learning from them, 0 to 0.9; shows their F1 after each epoch. 0 by default: with
    /// little data every sample is worth more in training
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, allow_negative_numbers = true)]
    validation: f64,
}

#[derive(Args)]
#[command(next_help_heading = "Network")]
struct NetworkWords {
    /// The network, one of `nets`. Without it the first that fits the data
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// How the weights start: `he` suits ReLU, `xavier` and `xavier-uniform` tanh and sigmoid; `orthogonal` is for small networks. `auto`
    /// takes what suits the activation behind each layer. `uniform` is up to 1/√fan-in, what was usual before these
    #[arg(long, default_value = "auto", value_parser = PossibleValuesParser::new(["auto", "he", "xavier", "xavier-uniform", "orthogonal", "uniform"]))]
    init: String,
    /// Let every residual start as the identity: the last weights or gains of its body are zero at first
    #[arg(long)]
    zero_residuals: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Learning")]
struct Steps {
    /// Passes over the training samples
    #[arg(long, value_name = "N", default_value_t = 60, allow_negative_numbers = true)]
    epochs: u32,
    /// Samples in a step
    #[arg(long, value_name = "N", default_value_t = 32, allow_negative_numbers = true)]
    batch: usize,
    /// How a gradient becomes a step: `sgd` has momentum, the others adapt the rate of each parameter
    #[arg(long, alias = "optimizer", value_name = "NAME", default_value = "sgd", value_parser = PossibleValuesParser::new(["sgd", "rmsprop", "adagrad", "adam", "adamw"]))]
    optimiser: String,
    /// Learning rate, at its highest. Without it 0.1 for sgd, 0.01 for adagrad, 0.001 for the others
    #[arg(long, allow_negative_numbers = true)]
    rate: Option<f32>,
    /// Momentum of sgd, 0 to below 1
    #[arg(long, default_value_t = 0.9, allow_negative_numbers = true)]
    momentum: f32,
    /// Nesterov's form of the momentum
    #[arg(long)]
    nesterov: bool,
    /// Weight decay: the factor of half the squared norm of the parameters in the loss; with adamw of the parameters in the step
    #[arg(long, value_name = "DECAY", default_value_t = 1e-5, allow_negative_numbers = true)]
    weight_decay: f32,
    /// Decay weights only, not biases and gains
    #[arg(long)]
    decay_weights_only: bool,
    /// How the rate changes: `cosine` from the full rate down to almost none, `step` by --drop after every part --drop-every of the run,
    /// `exponential` down to --drop of it at the end, `one-cycle` up and down, or `constant`
    #[arg(long, default_value = "cosine", value_parser = PossibleValuesParser::new(["constant", "step", "exponential", "cosine", "one-cycle"]))]
    schedule: String,
    /// What is left of the rate: after each drop of `step` (without it 0.1), at the end of `exponential` (without it 0.01)
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    drop: Option<f32>,
    /// The part of the run between two drops of `step`. Without it a third
    #[arg(long, value_name = "FRACTION", default_value_t = 1.0 / 3.0, allow_negative_numbers = true, hide_default_value = true)]
    drop_every: f32,
    /// The part of the run in which the rate rises first, from almost nothing
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, allow_negative_numbers = true)]
    warmup: f32,
    /// Scale a gradient down to this norm when it is longer
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    clip_norm: Option<f32>,
    /// Bring every element of a gradient between plus and minus this
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    clip_value: Option<f32>,
    /// Keep the moving average of the weights instead of the last ones, with this decay in each step (0.999 is usual)
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    ema: Option<f32>,
    /// Sharpness-aware minimisation, to compare with: take the gradient this far uphill (0.05 is usual), at the cost of two passes.
    /// Needs --population 0
    #[arg(long, value_name = "RHO", allow_negative_numbers = true)]
    sam: Option<f32>,
    /// Share of the target that is spread over all classes, 0 to below 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, allow_negative_numbers = true)]
    label_smoothing: f32,
}

#[derive(Args)]
#[command(next_help_heading = "Population")]
struct Copies {
    /// Noisy copies whose gradients are averaged in each step: each costs a pass, none costs memory. 0 is plain SGD
    #[arg(long, value_name = "K", default_value_t = 4, allow_negative_numbers = true)]
    population: u32,
    /// Noise of the copies: the norm of a unit's noise, relative to the norm of its weights
    #[arg(long, default_value_t = 0.3, allow_negative_numbers = true)]
    rho: f32,
    /// Distribution of the noise, all with the same variance; `rademacher` (random signs) is cheaper to make, `rank1` (a sign for each filter
    /// times one for each of its weights) needs no weights for the members, and is cheapest where they divide a batch (`--batch-mode split`)
    #[arg(long, default_value = "gaussian", value_parser = PossibleValuesParser::new(DISTRIBUTIONS))]
    noise: String,
    /// Draw every copy on its own; otherwise they come in pairs, one with the noise added and one with it subtracted
    #[arg(long)]
    no_antithetic: bool,
    #[command(flatten)]
    method: Method,
}

#[derive(Args)]
struct Method {
    /// What noise is proportional to: `filter` to the norm of a unit's incoming weights, about; `filter-exact` to it exactly, whatever the draw;
    /// `weight` to the size of each weight; `absolute` to nothing: --rho is its standard deviation
    #[arg(long, value_name = "RULE", default_value = "filter", value_parser = PossibleValuesParser::new(["filter", "filter-exact", "weight", "absolute"]))]
    scale_rule: String,
    /// Which samples a copy sees: `shared` all of the batch (a step costs K passes); `split` its own K-th of it, as even as can be (one pass; no
    /// more copies run than there are samples); `fresh` a batch of its own (K passes; an epoch has as many steps, and each copy sees every
    /// sample once in it)
    #[arg(long, value_name = "MODE", default_value = "shared", value_parser = PossibleValuesParser::new(["shared", "split", "fresh"]))]
    batch_mode: String,
    /// What gets noise, with commas between: `weights`, `biases`, `gains` (of normalisations). The biases, or gains, of a layer have one norm
    #[arg(long, value_name = "KINDS", default_value = "weights", value_parser = targets)]
    targets: NoiseTargets,
    /// Only these layers get noise, as 2, 2-4 or 2-; numbered from 1 as `inspect` and `nets --json` do. Without it all
    #[arg(long, value_name = "LAYERS", value_parser = layers)]
    noise_layers: Option<(u16, u16)>,
    /// How --rho changes over the run: `constant`, `cosine-up` from nothing to --rho, `cosine-down` from --rho to nothing
    #[arg(long, value_name = "COURSE", default_value = "constant", value_parser = PossibleValuesParser::new(["constant", "cosine-up", "cosine-down"]))]
    rho_schedule: String,
    /// Where in the run the noise begins, 0 to 1; before it there is none, and with --batch-mode shared only plain steps
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, allow_negative_numbers = true)]
    rho_start: f32,
    /// Where in the run the noise ends, 0 to 1
    #[arg(long, value_name = "FRACTION", default_value_t = 1.0, allow_negative_numbers = true)]
    rho_stop: f32,
    /// How the copies' gradients become one: `mean`; `clean=LAMBDA` mixes that share of the gradient without noise in, for one more pass;
    /// `softmax=TAU` weighs each by exp(-loss/TAU), so that the better count more (with TAU below 0 the worse), for one more forward pass of each
    #[arg(long, value_name = "RULE", default_value = "mean", value_parser = combine)]
    combine: Combine,
}

pub(super) fn distribution(name: &str) -> Distribution {
    match name {
        "rademacher" => Distribution::Rademacher,
        "rank1" => Distribution::RankOne,
        "uniform" => Distribution::Uniform,
        _ => Distribution::Gaussian,
    }
}

pub(super) fn batch_mode(name: &str) -> BatchMode {
    match name {
        "split" => BatchMode::Split,
        "fresh" => BatchMode::Fresh,
        _ => BatchMode::Shared,
    }
}

/// Kinds of parameters, separated by commas.
fn targets(text: &str) -> Result<NoiseTargets, String> {
    let mut targets = NoiseTargets { weights: false, ..NoiseTargets::WEIGHTS };
    for kind in text.split(',') {
        let taken = match kind {
            "weights" => &mut targets.weights,
            "biases" => &mut targets.biases,
            "gains" => &mut targets.gains,
            _ => return Err(format!("`{kind}` is none of weights, biases, gains")),
        };
        *taken = true;
    }
    Ok(targets)
}

/// The first and the last of a range of layers.
fn layers(text: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|&layer| layer > 0);
    let range = match text.split_once('-') {
        None => number(text).map(|layer| (layer, layer)),
        Some((first, "")) => number(first).map(|first| (first, u16::MAX)),
        Some((first, last)) => number(first).zip(number(last)).filter(|(first, last)| first <= last),
    };
    range.ok_or_else(|| "layers are a number from 1 on or a range, for example 2, 2-4 or 2-".into())
}

/// A way to combine, with its number.
fn combine(text: &str) -> Result<Combine, String> {
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
    match text.split_once('=') {
        None if text == "mean" => Ok(Combine::Mean),
        Some(("clean", lambda)) => Ok(Combine::Clean { lambda: number(lambda)? }),
        Some(("softmax", tau)) => Ok(Combine::Softmax { tau: number(tau)? }),
        _ => Err("it is mean, clean=LAMBDA or softmax=TAU, for example clean=0.5 or softmax=0.1".into()),
    }
}

impl From<Method> for MethodOptions {
    fn from(method: Method) -> Self {
        let (first_layer, last_layer) = method.noise_layers.unwrap_or((0, u16::MAX));
        MethodOptions {
            scale_rule: match &*method.scale_rule {
                "filter-exact" => ScaleRule::FilterExact,
                "weight" => ScaleRule::Weight,
                "absolute" => ScaleRule::Absolute,
                _ => ScaleRule::Filter,
            },
            batch_mode: batch_mode(&method.batch_mode),
            targets: NoiseTargets { first_layer, last_layer, ..method.targets },
            rho_schedule: RhoSchedule {
                course: match &*method.rho_schedule {
                    "cosine-up" => RhoCourse::CosineUp,
                    "cosine-down" => RhoCourse::CosineDown,
                    _ => RhoCourse::Constant,
                },
                start: method.rho_start,
                stop: method.rho_stop,
            },
            combine: method.combine,
        }
    }
}

impl From<Train> for TrainOptions {
    fn from(train: Train) -> Self {
        let optimiser = match &*train.steps.optimiser {
            "rmsprop" => OptimiserName::Rmsprop,
            "adagrad" => OptimiserName::Adagrad,
            "adam" => OptimiserName::Adam,
            "adamw" => OptimiserName::Adamw,
            _ => OptimiserName::Sgd,
        };
        TrainOptions {
            data: train.samples.reading.of(train.samples.data),
            net: train.network.net,
            train_samples: train.samples.train_samples,
            epochs: train.steps.epochs,
            batch: train.steps.batch,
            optimiser,
            rate: train.steps.rate.unwrap_or(optimiser.usual_rate()),
            momentum: train.steps.momentum,
            nesterov: train.steps.nesterov,
            weight_decay: train.steps.weight_decay,
            decay_weights_only: train.steps.decay_weights_only,
            schedule: match &*train.steps.schedule {
                "constant" => Course::Constant,
                "step" => Course::Step { factor: train.steps.drop.unwrap_or(0.1), every: train.steps.drop_every },
                "exponential" => Course::Exponential { end: train.steps.drop.unwrap_or(0.01) },
                "one-cycle" => Course::OneCycle,
                _ => Course::Cosine,
            },
            warmup: train.steps.warmup,
            clip_norm: train.steps.clip_norm,
            clip_value: train.steps.clip_value,
            ema: train.steps.ema,
            sam: train.steps.sam,
            population: train.copies.population,
            rho: train.copies.rho,
            noise: distribution(&train.copies.noise),
            antithetic: !train.copies.no_antithetic,
            method: train.copies.method.into(),
            label_smoothing: train.steps.label_smoothing,
            init: match &*train.network.init {
                "he" => Rule::He,
                "xavier" => Rule::Xavier,
                "xavier-uniform" => Rule::XavierUniform,
                "orthogonal" => Rule::Orthogonal,
                "uniform" => Rule::Uniform,
                _ => Rule::Auto,
            },
            zero_residuals: train.network.zero_residuals,
            augmentation: train.samples.augmentation.unwrap_or_default(),
            validation: train.samples.validation,
            seed: train.seed,
            threads: train.threads,
            out: train.out,
            checkpoint: train.checkpoint.map(|directory| CheckpointOptions {
                directory,
                every: train.every.unwrap_or_default(),
                arguments: Vec::new(),
            }),
            json: train.json,
        }
    }
}

impl From<Gradient> for Command {
    fn from(Gradient { train, at, repeats }: Gradient) -> Self {
        Command::Gradient(Box::new(GradientOptions { train: train.into(), at, repeats }))
    }
}

impl Train {
    /// What is to be done; `given` are its words as clap found them, `words` as they were written.
    pub(super) fn command(self, given: &ArgMatches, words: &[OsString]) -> Result<Command, NoCommand> {
        if let Some(directory) = self.resume {
            let arguments = beside_resume(given)?;
            return Ok(Command::Resume(ResumeOptions { directory, checkpoint: self.checkpoint, arguments, json: self.json }));
        }
        if self.every.is_some() && self.checkpoint.is_none() {
            return Err(NoCommand::Mistake("--every says how often a run is kept, and needs --checkpoint DIR, which says where".into()));
        }
        let mut options = TrainOptions::from(self);
        if let Some(checkpoint) = &mut options.checkpoint {
            checkpoint.arguments = words.iter().map(text).collect::<Result<_, _>>()?;
        }
        Ok(Command::Train(Box::new(options)))
    }
}

/// What can be given beside `--resume`: nothing that changes the result.
const BESIDE_RESUME: [&str; 6] = ["resume", "threads", "out", "json", "checkpoint", "every"];

/// The arguments beside `--resume` that replace those of the checkpoint.
fn beside_resume(given: &ArgMatches) -> Result<Vec<String>, NoCommand> {
    let command = Cli::command();
    let options = command.find_subcommand("train").into_iter().flat_map(clap::Command::get_arguments);
    let mut arguments = Vec::new();
    for option in options.filter(|option| given.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine)) {
        let name = option.get_long().unwrap_or_default();
        if !BESIDE_RESUME.contains(&name) {
            return Err(NoCommand::Mistake(format!(
                "--{name} cannot be given with --resume, since the result would be another: the run goes on with its own options; start a \
                 new one, or leave it out"
            )));
        }
        if ["threads", "out", "every"].contains(&name) {
            let value = given.get_raw(option.get_id().as_str()).and_then(Iterator::last).unwrap_or_default();
            arguments.extend([format!("--{name}"), text(value)?]);
        }
    }
    Ok(arguments)
}

/// An argument that can be kept.
fn text(argument: impl AsRef<OsStr>) -> Result<String, NoCommand> {
    let argument = argument.as_ref();
    let refusal = || NoCommand::Mistake(format!("{} is not UTF-8, and a checkpoint keeps text: give another name", argument.display()));
    argument.to_str().map(String::from).ok_or_else(refusal)
}
