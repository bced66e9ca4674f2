//! The command line: the only file that knows clap. It turns arguments into [`options`](crate::options) and runs nothing.

mod device;

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use pg_core::Shape;
use pg_core::initialise::Rule;
use pg_core::perturbation::{Distribution, Noise, NoiseTargets, ScaleRule};
use pg_core::population::{BatchMode, Combine, Population, RhoCourse, RhoSchedule};
use pg_core::schedule::Course;
use pg_core::tuner::Settings;

use crate::augmentation::Augmentation;
use crate::data::CsvOptions;
use crate::device::DeviceOptions;
use crate::method::MethodOptions;
use crate::options::{
    BenchOptions, CheckpointOptions, DataInspectOptions, DataOptions, EvalOptions, Every, GradientOptions, InspectOptions, OptimiserName,
    Part, PredictOptions, ReplayOptions, ResumeOptions, StudyCommand, StudyOptions, TrainOptions,
};
use crate::study::Shard;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Train a network.
    Train(Box<TrainOptions>),
    /// Go on with a training run.
    Resume(ResumeOptions),
    /// Score a model.
    Eval(EvalOptions),
    /// Predict classes.
    Predict(PredictOptions),
    /// Compute a device's fine-tuning session.
    Replay(Box<ReplayOptions>),
    /// Show what is in a data set.
    DataInspect(DataInspectOptions),
    /// List the data sets.
    DataList {
        /// Print one JSON array.
        json: bool,
    },
    /// Speak with a device.
    Device(Box<DeviceOptions>),
    /// Show a model file.
    Inspect(InspectOptions),
    /// List the networks.
    Nets {
        /// Print one JSON array.
        json: bool,
    },
    /// Measure speed.
    Bench(BenchOptions),
    /// Compare ways of training.
    Study(StudyCommand),
    /// Compare gradients with that of a large held-out set.
    Gradient(Box<GradientOptions>),
}

/// Why there is no command: what to print instead.
#[derive(Clone, Debug, PartialEq)]
pub enum NoCommand {
    /// The help or the version, as asked for.
    Text(String),
    /// One sentence: what is wrong with the arguments.
    Mistake(String),
}

/// Trains small neural networks with population gradients.
///
/// The gradient of each step is the mean over K noisy copies of one network, so the network learns to be good not at a point but in a
/// neighbourhood: it generalises better from little data. The noise is made again from a counter whenever it is needed, so the memory does
/// not grow with K. What is trained here runs with the same bits on a microcontroller.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, args_override_self = true, max_term_width = 110, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Sub,
}

const EXAMPLES: &str = "Examples:
  pg-host train                                digits; writes model.pg
  pg-host eval model.pg                        which it takes for which
  pg-host train --population 0                 plain SGD, to compare with
  pg-host train --data mine.csv --label kind   a table of your own
  pg-host train --checkpoint run               keeps the run in a directory,
  pg-host train --resume run                   goes on with it after a crash
  pg-host predict model.pg --limit 5 --bits    classes, and a device's bits";

#[derive(Subcommand)]
enum Sub {
    /// Train a network and write a model file
    ///
    /// Without any option: mlp-64-64-32-10 on the bundled digits with a population of 8, 60 epochs, a few seconds. The same options and seed
    /// give the same file, byte for byte, on every machine and for any number of threads. Ctrl-C stops after the step, writes the model and
    /// prints the results; a second Ctrl-C ends at once. With --checkpoint the run can go on later.
    Train(Box<Train>),
    /// Score a model on data and show what it confuses
    Eval(Eval),
    /// Print the class of each sample as CSV
    Predict(Predict),
    /// Speak with a device that learns, over a serial port or TCP
    Device(device::Device),
    /// Compute what a device computes when it is fine-tuned, to the same bits, and what that brings
    ///
    /// The device gets some labelled samples and takes steps on them; accuracy is that on samples it did not get: those of the data set's test
    /// part, else all others. So its options are chosen here, before a board is flashed.
    Replay(Box<Replay>),
    /// Show everything that is in a model file
    Inspect(Inspect),
    /// Show what is in a data set, or list the data sets
    #[command(subcommand)]
    Data(Data),
    /// List the networks: shapes, parameters, multiply-adds, and the RAM they need on a microcontroller
    ///
    /// Inference RAM counts the parameters and the activations of one sample, folded the same with batch norms in the weights before them. Training RAM counts parameters, gradient, velocity, one
    /// member, its noise scales, and a pass over a batch of 8 samples, whatever the population.
    Nets(Nets),
    /// Measure the speed of training steps and this machine's peak
    Bench(Bench),
    /// Compare ways of training fairly: equal tuning for all, paired seeds, intervals, a report
    #[command(subcommand)]
    Study(StudySub),
    /// Measure how close gradients are to that of a large held-out set, along a training run
    ///
    /// At some steps of the run that the options of `train` describe, the gradients of fresh batches are compared with the gradient on the
    /// held-out samples (--validation, here 0.5 of the training samples): that of the population, that of one plain pass over the same batch,
    /// and that of a plain pass over K times as many samples, which costs the same. Prints the cosine and the ratio of the norms, and
    /// how much higher the loss of the noisy copies is than that of the network itself.
    Gradient(Box<GradientArguments>),
}

#[derive(Subcommand)]
enum StudySub {
    /// Make the runs of a study, print its table, write its report
    ///
    /// Every run that is complete is a line of the file --out, at once. Called again, only what is missing is made; Ctrl-C costs the runs under
    /// way and nothing else.
    Run(StudyRun),
    /// Print the runs of a study and their core-hours, and start nothing
    Plan(StudyPlan),
    /// Print the table of a study that was run, and write its report
    Report(StudyReport),
    /// Join the files of shards
    Merge(StudyMerge),
    /// List the ready studies, or print one to start your own from
    Presets(StudyPresets),
}

#[derive(Args)]
struct StudyRun {
    /// A study file (TOML), or one of `study presets`
    #[arg(value_name = "FILE|PRESET")]
    study: String,
    /// The file of the runs. Without it NAME.jsonl, after the study
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Runs at a time, each on one thread; the results are the same for any number
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Make only this part of so many, for example 3/16: each has its own --out, and `study merge` joins them
    #[arg(long, value_name = "i/n", value_parser = shard)]
    shard: Option<Shard>,
    /// Refuse to start when more core-hours are needed. When tuning in full needs more, successive halving tunes instead
    #[arg(long, value_name = "HOURS", allow_negative_numbers = true)]
    budget: Option<f64>,
    /// Only these cells of the study, with commas between
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    cells: Vec<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct StudyPlan {
    /// A study file (TOML), or one of `study presets`
    #[arg(value_name = "FILE|PRESET")]
    study: String,
    /// Runs that are in this file are not planned again. Without it NAME.jsonl, after the study
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Plan only this part of so many
    #[arg(long, value_name = "i/n", value_parser = shard)]
    shard: Option<Shard>,
    /// Plan for so many core-hours at most
    #[arg(long, value_name = "HOURS", allow_negative_numbers = true)]
    budget: Option<f64>,
    /// Only these cells of the study, with commas between
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    cells: Vec<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct StudyReport {
    /// A file of runs
    records: PathBuf,
    /// The report: one HTML file that needs nothing else. Without it beside the runs
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a row for each final run as well
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct StudyMerge {
    /// Files of runs of one study
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct StudyPresets {
    /// Print this one
    name: Option<String>,
}

#[derive(Args)]
struct GradientArguments {
    #[command(flatten)]
    train: Train,
    /// The steps to measure at, with commas between; 0 is before the first. Without it seven of the run, from its start to its end
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    at: Vec<u32>,
    /// Batches for each measurement
    #[arg(long, value_name = "N", default_value_t = 20)]
    repeats: u32,
}

#[derive(Args)]
struct Reading {
    /// For a CSV file: the column of the labels, by its name or its number from 0. Without it the column called label, class, target or
    /// y, else the last
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// For a CSV file: a second file with the samples to test on
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Read each sample as this shape, its values in the same order: channels, height, width. Windows of sensor data are CHANNELSx1xTIME. If
    /// left out, images of 1xCxT become windows of Cx1xT, or the other way round, where the network takes only that
    #[arg(long = "as", value_name = "CxHxW", value_parser = shape, requires = "data")]
    shape: Option<Shape>,
}

#[derive(Args)]
struct Train {
    /// A bundled data set (digits, vowel, fashion-tiny) or one that a package brings (fashion-mnist), see `data list`; a CSV file; an .npz
    /// archive or directory of NumPy arrays (x_train, y_train, x_test, y_test); a directory in MNIST's IDX form, in CIFAR's or SVHN's form, or
    /// with PNG or JPEG pictures in a folder for each class. Where there is no test part, 20 % of the samples are put aside to test on
    #[arg(long, value_name = "NAME|PATH", default_value = "digits")]
    data: String,
    #[command(flatten)]
    reading: Reading,
    /// The network, one of `nets`. Without it the first that fits the data
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// Learn from so many of the training samples only, of each class its share: the same ones for every seed
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    train_samples: Option<usize>,
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
    /// Noisy copies whose gradients are averaged in each step: each costs a pass, none costs memory. 0 is plain SGD
    #[arg(long, value_name = "K", default_value_t = 8, allow_negative_numbers = true)]
    population: u32,
    /// Noise of the copies: the norm of a unit's noise, relative to the norm of its weights
    #[arg(long, default_value_t = 0.6, allow_negative_numbers = true)]
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
    /// Share of the target that is spread over all classes, 0 to below 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, allow_negative_numbers = true)]
    label_smoothing: f32,
    /// How the weights start: `he` suits ReLU, `xavier` and `xavier-uniform` tanh and sigmoid; `orthogonal` is for small networks. `auto`
    /// takes what suits the activation behind each layer. `uniform` is up to 1/√fan-in, what was usual before these
    #[arg(long, default_value = "auto", value_parser = PossibleValuesParser::new(["auto", "he", "xavier", "xavier-uniform", "orthogonal", "uniform"]))]
    init: String,
    /// Let every residual start as the identity: the last weights or gains of its body are zero at first
    #[arg(long)]
    zero_residuals: bool,
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
    /// Seed of everything random: first weights, order of the samples, noise
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    seed: u64,
    /// Threads, with the same result for any number; 0 takes one for small steps, else one for each core
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    threads: usize,
    /// The model file to write; an existing one is replaced only when the new one is whole
    #[arg(long, value_name = "FILE", default_value = "model.pg")]
    out: PathBuf,
    /// Keep the run in this new directory: it can go on after a crash, a kill or Ctrl-C, and ends with the same bytes as without
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// How often it is kept: every N epochs, or as in `500steps` every N steps. Without it every epoch
    #[arg(long, value_name = "N")]
    every: Option<Every>,
    /// Go on with the run in this directory, which holds all its options. Beside it only --threads, --out, --json, --every and --checkpoint
    /// (to keep it elsewhere from now on) can be given
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// The names of the distributions.
const DISTRIBUTIONS: [&str; 4] = ["gaussian", "uniform", "rademacher", "rank1"];

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

#[derive(Args)]
struct Eval {
    /// The model file
    model: PathBuf,
    /// The data, as for `train`. Without it the bundled data set that the model was trained on
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Which samples: `test`, `train` or `all`. Without it the test part; all of a data set that brings none and is not the one that the
    /// model was trained on
    #[arg(long, value_parser = PossibleValuesParser::new(["test", "train", "all"]))]
    part: Option<String>,
    /// Fold each batch norm into the weights before it, as a device may do
    #[arg(long)]
    folded: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Predict {
    /// The model file
    model: PathBuf,
    /// The data, as for `train`. Without it the bundled data set that the model was trained on
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Which samples: `test`, `train` or `all`. Without it the test part if the data set brings one, else all
    #[arg(long, value_parser = PossibleValuesParser::new(["test", "train", "all"]))]
    part: Option<String>,
    /// The most samples to predict, from the first on
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Add the network's outputs
    #[arg(long)]
    logits: bool,
    /// Add the outputs' bits, as eight hexadecimal digits each: what a device prints too
    #[arg(long)]
    bits: bool,
    /// Fold each batch norm into the weights before it, as a device may do: outputs differ in the last bits
    #[arg(long)]
    folded: bool,
    /// Print a JSON array instead of CSV
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Replay {
    /// The model file that the device starts from
    model: PathBuf,
    /// The data, as for `train`. Without it the bundled data set that the model was trained on
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Which part the labelled samples are of: `train`, tested on the test part; or `test` or `all`, tested on the rest of it
    #[arg(long, default_value = "train", value_parser = PossibleValuesParser::new(["test", "train", "all"]))]
    part: String,
    /// Labelled samples that the device gets, the first of the part unless they are drawn
    #[arg(long, value_name = "N", default_value_t = 32, allow_negative_numbers = true)]
    samples: usize,
    /// Draw the samples with this seed, of each class its share
    #[arg(long, value_name = "SEED")]
    draw: Option<u64>,
    /// Sessions to run, each with the next draw and the next seed; the mean is printed besides
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    sessions: u32,
    /// Steps of a session, unless it stops early
    #[arg(long, value_name = "N", default_value_t = 200, allow_negative_numbers = true)]
    steps: u32,
    /// Samples in a step: 1, 4, 8 or 16
    #[arg(long, value_name = "N", default_value_t = 8, allow_negative_numbers = true)]
    batch: usize,
    /// Learning rate
    #[arg(long, default_value_t = Settings::DEFAULT.rate, allow_negative_numbers = true)]
    rate: f32,
    /// Momentum, 0 to below 1
    #[arg(long, default_value_t = Settings::DEFAULT.momentum, allow_negative_numbers = true)]
    momentum: f32,
    /// Weight decay
    #[arg(long, value_name = "DECAY", default_value_t = Settings::DEFAULT.weight_decay, allow_negative_numbers = true)]
    weight_decay: f32,
    /// Noisy copies whose gradients are averaged in each step; 0 is plain gradient descent
    #[arg(long, value_name = "K", default_value_t = Settings::DEFAULT.population.members, allow_negative_numbers = true)]
    population: u32,
    /// Noise of the copies: the norm of a unit's noise, relative to the norm of its weights
    #[arg(long, default_value_t = Settings::DEFAULT.population.noise.rho, allow_negative_numbers = true)]
    rho: f32,
    /// Distribution of the noise; random signs are cheaper to make on a device
    #[arg(long, default_value = "rademacher", value_parser = PossibleValuesParser::new(["gaussian", "rademacher"]))]
    noise: String,
    /// Draw every copy on its own instead of in pairs
    #[arg(long)]
    no_antithetic: bool,
    /// Learn only in the last so many layers with parameters
    #[arg(long, value_name = "LAYERS", allow_negative_numbers = true)]
    last: Option<u32>,
    /// Learn only biases and gains
    #[arg(long)]
    biases: bool,
    /// Hold out every N-th sample of a class, to stop by; 0 holds out none
    #[arg(long, value_name = "N", default_value_t = Settings::DEFAULT.hold_out, allow_negative_numbers = true)]
    hold_out: u32,
    /// Steps between two looks at the held-out samples
    #[arg(long, value_name = "N", default_value_t = Settings::DEFAULT.look_every, allow_negative_numbers = true)]
    look_every: u32,
    /// Looks in a row without a lower loss after which it stops and the best parameters come back; 0 never stops
    #[arg(long, value_name = "N", default_value_t = Settings::DEFAULT.patience, allow_negative_numbers = true)]
    patience: u32,
    /// Seed of noise and replay
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    seed: u64,
    /// Print what the device prints instead: the bits of each loss, the check sum of the parameters
    #[arg(long)]
    log: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Inspect {
    /// The model file
    model: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Data {
    /// Count samples, classes, values and repetitions, and draw samples of each class
    Inspect(DataInspect),
    /// List the data sets that are known by name: those in the program and those that a package brings
    List(DataList),
}

#[derive(Args)]
struct DataInspect {
    /// The data, as for `train`
    #[arg(long, value_name = "NAME|PATH", default_value = "digits")]
    data: String,
    #[command(flatten)]
    reading: Reading,
    /// Write a picture as well: a row for each class, in it some of its samples to train on
    #[arg(long, value_name = "FILE.svg")]
    sheet: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct DataList {
    /// Print a JSON array instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Nets {
    /// Print a JSON array instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Bench {
    /// Networks, one or several of `nets`. Without it mlp-784-128-10 and mlp-64-32-10
    #[arg(long, value_name = "NAME", num_args = 1..)]
    net: Vec<String>,
    /// Samples in a step. Without it 32 for mlp-64-32-10, 64 for the others
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Members of the population; 0 is plain SGD. Without it both 0 and 8
    #[arg(long, value_name = "K")]
    population: Option<u32>,
    /// Distribution of the noise
    #[arg(long, default_value = "gaussian", value_parser = PossibleValuesParser::new(DISTRIBUTIONS))]
    noise: String,
    /// Which samples a copy sees: `shared` all of the batch, `split` its own K-th of it
    #[arg(long, value_name = "MODE", default_value = "shared", value_parser = PossibleValuesParser::new(["shared", "split"]))]
    batch_mode: String,
    /// How long to measure each step, in seconds
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Time each layer alone as well, and sum up its kind: what share of a step it has. The rest is noise, loss, optimiser, the sums of branches
    #[arg(long)]
    layers: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// The name that this program was called by.
pub fn program_name() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let stem = path.as_deref().and_then(|path| path.file_stem());
    stem.map_or_else(|| "pg-host".into(), |name| name.to_string_lossy().into_owned())
}

/// Options of `train` that `gradient` has no use for: it keeps no run.
const KEEPING: [&str; 3] = ["checkpoint", "every", "resume"];

/// The definition of the command line; `gradient` takes the options of `train`, and two of them mean something else there.
fn definition() -> clap::Command {
    Cli::command().mut_subcommand("gradient", |gradient| {
        let gradient = KEEPING.into_iter().fold(gradient, |gradient, option| gradient.mut_arg(option, |option| option.hide(true)));
        let gradient =
            gradient.mut_arg("out", |out| out.help("The report to write: one HTML file with plots").default_value("gradient.html"));
        gradient.mut_arg("validation", |share| {
            share.help("Share of the training samples that is held out: to hold gradients against, not to learn from").default_value("0.5")
        })
    })
}

/// Reads arguments, the first of which is the program's path.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, NoCommand> {
    let name = program_name();
    let examples = EXAMPLES.replace("pg-host", &name);
    let command = definition().bin_name(name).after_help(examples);
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches = command.try_get_matches_from(&arguments).map_err(|error| no_command(&error))?;
    let sub = Cli::from_arg_matches(&matches).map_err(|error| no_command(&error))?.command;
    let Some((name, given)) = matches.subcommand() else { return Ok(sub.into()) };
    if let ("gradient", Some(option)) = (name, KEEPING.into_iter().find(|option| given.value_source(option).is_some())) {
        return Err(NoCommand::Mistake(format!("--{option} is for `train`: `gradient` keeps no run, leave it out")));
    }
    let Sub::Train(train) = &sub else { return Ok(sub.into()) };
    if let Some(directory) = train.resume.clone() {
        let (checkpoint, json) = (train.checkpoint.clone(), train.json);
        return Ok(Command::Resume(ResumeOptions { directory, checkpoint, arguments: beside_resume(given)?, json }));
    }
    if train.every.is_some() && train.checkpoint.is_none() {
        return Err(NoCommand::Mistake("--every says how often a run is kept, and needs --checkpoint DIR, which says where".into()));
    }
    let mut command = sub.into();
    if let Command::Train(options) = &mut command
        && let Some(checkpoint) = &mut options.checkpoint
    {
        // Behind the program's path and the name of the subcommand.
        checkpoint.arguments = arguments.iter().skip(2).map(text).collect::<Result<_, _>>()?;
    }
    Ok(command)
}

/// The options of `train` that these words mean: a checkpoint's, or an arm's of a study. A later word counts.
///
/// # Errors
/// What is wrong with them, in one sentence.
pub fn train_options(arguments: &[String]) -> Result<TrainOptions, String> {
    let start = [program_name(), "train".into()].into_iter();
    match parse(start.chain(arguments.iter().cloned()).map(OsString::from)) {
        Ok(Command::Train(options)) => Ok(*options),
        Err(NoCommand::Mistake(sentence)) => Err(sentence),
        _ => Err("they do not ask for a training run".into()),
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

fn no_command(error: &clap::Error) -> NoCommand {
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let colours = std::io::stdout().is_terminal();
            NoCommand::Text(if colours { text.ansi().to_string() } else { text.to_string() })
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            NoCommand::Mistake("say what to do, for example `train`; `--help` shows all".into())
        }
        // clap's paragraphs up to the usage become one sentence.
        _ => {
            let text = text.to_string();
            let end = ["\n\nUsage:", "\n\nFor more"].iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
            let paragraphs = text[..end].trim_start_matches("error: ").split("\n\n");
            let lines = paragraphs.map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
            NoCommand::Mistake(lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; "))
        }
    }
}

impl Reading {
    fn of(self, name: String) -> DataOptions {
        DataOptions { name, csv: CsvOptions { label: self.label, test: self.test }, shape: self.shape }
    }

    /// Options of a CSV file make no sense without one.
    fn with(self, data: Option<String>) -> Option<DataOptions> {
        let given = self.label.is_some() || self.test.is_some();
        data.or_else(|| given.then(|| "digits".into())).map(|name| self.of(name))
    }
}

fn distribution(name: &str) -> Distribution {
    match name {
        "rademacher" => Distribution::Rademacher,
        "rank1" => Distribution::RankOne,
        "uniform" => Distribution::Uniform,
        _ => Distribution::Gaussian,
    }
}

fn batch_mode(name: &str) -> BatchMode {
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

/// Three sizes of at least 1, separated by `x`.
fn shape(text: &str) -> Result<Shape, String> {
    let sizes: Option<Vec<usize>> = text.split('x').map(|size| size.parse().ok().filter(|&size| size > 0)).collect();
    match sizes.as_deref() {
        Some(&[channels, height, width]) if channels.checked_mul(height).is_some_and(|places| places.checked_mul(width).is_some()) => {
            Ok(Shape::new(channels, height, width))
        }
        _ => Err("a shape is three sizes, CHANNELSxHEIGHTxWIDTH, for example 3x1x64".into()),
    }
}

/// One part of so many: `3/16`.
fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((part, of)) if part > of => Err(format!("there are {of} shards, from 1 to {of}, and {part} is beyond them")),
        Some((part, of)) if part > 0 => Ok(Shard { part, of }),
        _ => Err("a shard is one part of so many, for example 3/16; the first is 1".into()),
    }
}

fn part(name: &str) -> Part {
    match name {
        "train" => Part::Train,
        "all" => Part::All,
        _ => Part::Test,
    }
}

impl From<Sub> for Command {
    fn from(sub: Sub) -> Self {
        match sub {
            Sub::Train(train) => Command::Train(Box::new((*train).into())),
            Sub::Eval(Eval { model, data, reading, part: name, folded, json }) => {
                Command::Eval(EvalOptions { model, data: reading.with(data), part: name.as_deref().map(part), folded, json })
            }
            Sub::Predict(Predict { model, data, reading, part: name, limit, logits, bits, folded, json }) => {
                let part = name.as_deref().map(part);
                Command::Predict(PredictOptions { model, data: reading.with(data), part, limit, logits, bits, folded, json })
            }
            Sub::Device(device) => device.into(),
            Sub::Replay(replay) => Command::Replay(Box::new((*replay).into())),
            Sub::Inspect(Inspect { model, json }) => Command::Inspect(InspectOptions { model, json }),
            Sub::Data(Data::Inspect(DataInspect { data, reading, sheet, json })) => {
                Command::DataInspect(DataInspectOptions { data: reading.of(data), sheet, json })
            }
            Sub::Data(Data::List(DataList { json })) => Command::DataList { json },
            Sub::Nets(Nets { json }) => Command::Nets { json },
            Sub::Bench(Bench { net: nets, batch, population, noise, batch_mode: mode, seconds, layers, json }) => {
                let (noise, batch_mode) = (distribution(&noise), batch_mode(&mode));
                Command::Bench(BenchOptions { nets, batch, population, noise, batch_mode, seconds, layers, json })
            }
            Sub::Study(study) => Command::Study(study.into()),
            Sub::Gradient(arguments) => {
                let GradientArguments { train, at, repeats } = *arguments;
                Command::Gradient(Box::new(GradientOptions { train: train.into(), at, repeats }))
            }
        }
    }
}

impl From<StudySub> for StudyCommand {
    fn from(sub: StudySub) -> Self {
        match sub {
            StudySub::Run(StudyRun { study, out, jobs, shard, budget, cells, json }) => {
                let plan = StudyOptions { study, out, shard: shard.unwrap_or(Shard::ALL), budget, cells, json };
                StudyCommand::Run { plan, jobs }
            }
            StudySub::Plan(StudyPlan { study, out, shard, budget, cells, json }) => {
                StudyCommand::Plan(StudyOptions { study, out, shard: shard.unwrap_or(Shard::ALL), budget, cells, json })
            }
            StudySub::Report(StudyReport { records, html, csv, json }) => StudyCommand::Report { records, html, csv, json },
            StudySub::Merge(StudyMerge { files, out, json }) => StudyCommand::Merge { files, out, json },
            StudySub::Presets(StudyPresets { name }) => StudyCommand::Presets { name },
        }
    }
}

impl From<Replay> for ReplayOptions {
    fn from(replay: Replay) -> Self {
        let noise = Noise { distribution: distribution(&replay.noise), ..Noise::new(replay.rho) };
        let population = Population { noise, antithetic: !replay.no_antithetic, ..Population::new(replay.population, replay.rho) };
        ReplayOptions {
            model: replay.model,
            data: replay.reading.with(replay.data),
            part: part(&replay.part),
            samples: replay.samples,
            draw: replay.draw,
            sessions: replay.sessions,
            steps: replay.steps,
            batch: replay.batch,
            settings: Settings {
                population,
                rate: replay.rate,
                momentum: replay.momentum,
                weight_decay: replay.weight_decay,
                hold_out: replay.hold_out,
                look_every: replay.look_every,
                patience: replay.patience,
                ..Settings::DEFAULT
            },
            last: replay.last,
            biases: replay.biases,
            seed: replay.seed,
            log: replay.log,
            json: replay.json,
        }
    }
}

impl From<Train> for TrainOptions {
    fn from(train: Train) -> Self {
        let optimiser = match &*train.optimiser {
            "rmsprop" => OptimiserName::Rmsprop,
            "adagrad" => OptimiserName::Adagrad,
            "adam" => OptimiserName::Adam,
            "adamw" => OptimiserName::Adamw,
            _ => OptimiserName::Sgd,
        };
        TrainOptions {
            data: train.reading.of(train.data),
            net: train.net,
            train_samples: train.train_samples,
            epochs: train.epochs,
            batch: train.batch,
            optimiser,
            rate: train.rate.unwrap_or(optimiser.usual_rate()),
            momentum: train.momentum,
            nesterov: train.nesterov,
            weight_decay: train.weight_decay,
            decay_weights_only: train.decay_weights_only,
            schedule: match &*train.schedule {
                "constant" => Course::Constant,
                "step" => Course::Step { factor: train.drop.unwrap_or(0.1), every: train.drop_every },
                "exponential" => Course::Exponential { end: train.drop.unwrap_or(0.01) },
                "one-cycle" => Course::OneCycle,
                _ => Course::Cosine,
            },
            warmup: train.warmup,
            clip_norm: train.clip_norm,
            clip_value: train.clip_value,
            ema: train.ema,
            sam: train.sam,
            population: train.population,
            rho: train.rho,
            noise: distribution(&train.noise),
            antithetic: !train.no_antithetic,
            method: train.method.into(),
            label_smoothing: train.label_smoothing,
            init: match &*train.init {
                "he" => Rule::He,
                "xavier" => Rule::Xavier,
                "xavier-uniform" => Rule::XavierUniform,
                "orthogonal" => Rule::Orthogonal,
                "uniform" => Rule::Uniform,
                _ => Rule::Auto,
            },
            zero_residuals: train.zero_residuals,
            augmentation: train.augmentation.unwrap_or_default(),
            validation: train.validation,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, NoCommand> {
        parse(std::iter::once("pg-host").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_manual() {
        let Ok(Command::Train(options)) = parsed("train") else { panic!("no train") };
        assert_eq!(
            options.provenance(),
            "epochs=60 batch=32 optimiser=sgd rate=0.1 momentum=0.9 nesterov=false weight_decay=0.00001 schedule=cosine population=8 rho=0.6 \
             noise=gaussian antithetic=true label_smoothing=0.0 init=auto validation=0.0"
        );
        assert!(options.check().is_ok());
        assert_eq!((options.out, options.data.name, options.seed), (PathBuf::from("model.pg"), "digits".into(), 1));
    }

    #[test]
    fn a_run_that_is_kept_holds_its_arguments_and_they_mean_the_same_again() {
        let Ok(Command::Train(options)) = parsed("train --epochs 3 --checkpoint run --every 500steps --rate=0.2") else {
            panic!("no train")
        };
        let kept = options.checkpoint.clone().unwrap();
        assert_eq!((kept.directory, kept.every), (PathBuf::from("run"), Every::Steps(500)));
        assert_eq!(kept.arguments, ["--epochs", "3", "--checkpoint", "run", "--every", "500steps", "--rate=0.2"]);
        assert_eq!(train_options(&kept.arguments).unwrap().provenance(), options.provenance());
        let later = [kept.arguments, ["--threads", "2"].map(String::from).to_vec()].concat();
        assert_eq!(train_options(&later).unwrap().threads, 2);
    }

    #[test]
    fn what_is_given_beside_resume_replaces_what_is_kept() {
        let Ok(Command::Resume(options)) = parsed("train --resume run --out b.pg --every 2 --json --threads 3") else {
            panic!("no resume")
        };
        assert_eq!((options.directory, options.checkpoint, options.json), (PathBuf::from("run"), None, true));
        assert_eq!(options.arguments, ["--threads", "3", "--out", "b.pg", "--every", "2"]);
    }

    #[test]
    fn an_augmentation_is_part_of_the_options_as_it_can_be_written_again() {
        let Ok(Command::Train(options)) = parsed("train --augment mixup=0.2,shift=1") else { panic!("no train") };
        assert!(options.provenance().contains(" init=auto augment=shift=1,mixup=0.2 validation=0.0"), "{}", options.provenance());
        assert_eq!(options.recipe().augmentation.to_string(), "shift=1,mixup=0.2");
    }

    #[test]
    fn words_are_options_of_train_and_a_later_one_counts() {
        let options = |line: &str| train_options(&line.split_whitespace().map(String::from).collect::<Vec<_>>());
        let found = options("--rate 0.3 --nesterov --population 0 --nesterov --rate 0.02 --seed 4").unwrap();
        assert_eq!((found.rate, found.population, found.seed, found.nesterov), (0.02, 0, 4, true));
        assert!(options("--help").is_err() && options("mine.csv").is_err());
        assert_eq!(options("--rates 1").unwrap_err(), "unexpected argument '--rates' found; tip: a similar argument exists: '--rate'");
    }

    #[test]
    fn gradient_takes_the_options_of_train_with_two_defaults_of_its_own() {
        assert!(
            matches!(parsed("gradient --resume run"), Err(NoCommand::Mistake(sentence)) if sentence.contains("--resume is for `train`"))
        );
        let Ok(Command::Gradient(options)) = parsed("gradient --rho 0.2 --at 0,5") else { panic!("no gradient") };
        assert_eq!((options.train.rho, options.train.validation, &options.at[..]), (0.2, 0.5, &[0, 5][..]));
        assert_eq!(options.train.out, PathBuf::from("gradient.html"));
    }

    #[test]
    fn every_option_of_the_method_is_read_written_down_and_part_of_the_recipe() {
        let line = "train --noise uniform --scale-rule weight --batch-mode split --targets gains,weights --noise-layers 2- --rho-schedule \
                    cosine-up --rho-start 0.25 --combine clean=0.5";
        let Ok(Command::Train(options)) = parsed(line) else { panic!("no train") };
        assert!(options.check().is_ok());
        let written = "noise=uniform antithetic=true scale_rule=weight batch_mode=split targets=weights,gains@2- \
                       rho_schedule=cosine-up(0.25-1) combine=clean=0.5 label_smoothing=0.0";
        assert!(options.provenance().contains(written), "{}", options.provenance());
        let population = options.recipe().population;
        assert_eq!((population.batch, population.combine), (BatchMode::Split, Combine::Clean { lambda: 0.5 }));
        assert_eq!((population.noise.distribution, population.noise.scale), (Distribution::Uniform, ScaleRule::Weight));
        assert_eq!(population.noise.targets, NoiseTargets { gains: true, first_layer: 2, ..NoiseTargets::WEIGHTS });
        assert_eq!(population.schedule, RhoSchedule { course: RhoCourse::CosineUp, start: 0.25, stop: 1.0 });
    }

    #[test]
    fn mistakes_are_one_sentence() {
        let mistake = |line| match parsed(line) {
            Err(NoCommand::Mistake(sentence)) => sentence,
            other => panic!("{other:?}"),
        };
        assert_eq!(mistake("train --epochs many"), "invalid value 'many' for '--epochs <N>': invalid digit found in string");
        assert_eq!(mistake("train --epoch 3"), "unexpected argument '--epoch' found; tip: a similar argument exists: '--epochs'");
        assert_eq!(mistake("eval"), "the following required arguments were not provided: <MODEL>");
        assert!(mistake("").starts_with("say what to do"));
        assert!(mistake("train --augment flip=2").contains("'flip=2' for '--augment <KINDS>': `flip=2` must be flip, without a number"));
        assert!(mistake("train --as 3x64").ends_with("a shape is three sizes, CHANNELSxHEIGHTxWIDTH, for example 3x1x64"));
        assert!(mistake("train --as 3x0x64").starts_with("invalid value '3x0x64' for '--as <CxHxW>'"));
        assert!(mistake("train --schedule sine").contains("[possible values: constant, step, exponential, cosine, one-cycle]"));
    }
}
