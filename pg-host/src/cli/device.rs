//! The arguments of `device`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use pg_core::link::{self, Noise, Options};

use super::Command;
use super::data::Reading;
use super::model::part;
use crate::device::{Action, DeviceOptions, Picked};

#[derive(Args)]
pub(super) struct Device {
    /// Where the device is: a serial port such as /dev/ttyACM0 or COM3, or tcp:HOST:PORT for an emulator's
    #[arg(long, value_name = "PORT")]
    port: String,
    /// Bits a second of a serial port
    #[arg(long, value_name = "RATE", default_value_t = 115_200)]
    baud: u32,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Add every command that changes the device to this file, one JSON line for each: `replay --session` computes from it what the device
    /// computes. It begins with a device as from the factory, or with `reset`
    #[arg(long, global = true, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(subcommand)]
    action: Sub,
}

#[derive(Subcommand)]
enum Sub {
    /// Say who the device is: its network, its memory, what it does
    Info,
    /// Have it classify samples of a data set
    Infer(Samples),
    /// Give it samples with their classes to learn from
    Label(Samples),
    /// Have it tune on its samples, and wait until it has
    ///
    /// Without any other option it goes on as the last time. With one or more, the others take the values below. Ctrl-C stops it after the step.
    Tune(Tune),
    /// End tuning after the step at hand
    Stop,
    /// Score the samples on the device
    Eval {
        /// Which: those that it learns from, those that it only looks at (held-out), or all
        #[arg(long, default_value = "all", value_parser = PossibleValuesParser::new(["learnt", "held-out", "all"]))]
        part: String,
    },
    /// Write the device's parameters to a model file
    Pull {
        /// A model file of the same network, from which names and normalisation are taken
        model: PathBuf,
        /// The file to write
        #[arg(long, value_name = "FILE", default_value = "pulled.pg")]
        out: PathBuf,
    },
    /// Give the device the parameters of a model file
    Push {
        /// The model file
        model: PathBuf,
    },
    /// Keep the device's state beyond a power cut
    Save,
    /// Go back to the device's best parameters
    RollBack,
    /// Let the device forget its oldest samples
    Forget {
        /// How many
        samples: u32,
    },
    /// Forget everything since the factory
    Reset,
    /// Run the device's known samples
    SelfTest,
    /// Show what the device does, a line a second, until it is idle or Ctrl-C is pressed
    Monitor,
}

#[derive(Args)]
struct Samples {
    /// The data, as for `train`
    #[arg(long, value_name = "NAME|PATH", default_value = "digits")]
    data: String,
    #[command(flatten)]
    reading: Reading,
    /// The model file that the device runs: classes are then found by their names. Without it they are numbered as in the data, which is right for the
    /// data that the model was trained on
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Which samples: `test`, `train` or `all`
    #[arg(long, default_value = "test", value_parser = PossibleValuesParser::new(["test", "train", "all"]))]
    part: String,
    /// Leave out so many at the front
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: usize,
    /// The most samples
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Args)]
struct Tune {
    /// Steps of the optimiser
    #[arg(long, value_name = "N")]
    steps: u32,
    /// Learning rate [without it 0.05]
    #[arg(long)]
    rate: Option<f32>,
    /// Momentum, 0 to below 1 [without it 0.9]
    #[arg(long)]
    momentum: Option<f32>,
    /// Weight decay [without it 0]
    #[arg(long)]
    weight_decay: Option<f32>,
    /// Noisy copies whose gradients are averaged [without it 4]
    #[arg(long, value_name = "K")]
    population: Option<u32>,
    /// Noise of the copies, relative to the norm of the weights [without it 0.3]
    #[arg(long)]
    rho: Option<f32>,
    /// Distribution of the noise, as for `replay` [without it rademacher]
    #[arg(long, value_parser = PossibleValuesParser::new(["gaussian", "rademacher", "rank1"]))]
    noise: Option<String>,
    /// Draw every copy on its own, not in pairs
    #[arg(long)]
    no_antithetic: bool,
    /// Samples in a step [without it 8]
    #[arg(long, value_name = "N")]
    batch: Option<u16>,
    /// Train only these layers with parameters, counted from 0, with commas between
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(0..64))]
    layers: Vec<u32>,
    /// Train only biases and gains
    #[arg(long)]
    biases: bool,
    /// Hold out every n-th sample of a class to look at [without it none]
    #[arg(long, value_name = "N")]
    hold_out: Option<u32>,
    /// Steps between two looks [without it 10]
    #[arg(long, value_name = "N")]
    look_every: Option<u32>,
    /// Stop after so many looks without a lower loss [without it never]
    #[arg(long, value_name = "N")]
    patience: Option<u32>,
    /// Seed of all random numbers [without it 1]
    #[arg(long)]
    seed: Option<u64>,
}

impl Tune {
    /// The options, when any was given.
    fn options(&self) -> Option<Options> {
        let numbers = [self.rate, self.momentum, self.weight_decay, self.rho].iter().any(Option::is_some);
        let counts = [self.population, self.hold_out, self.look_every, self.patience].iter().any(Option::is_some);
        let others = self.noise.is_some() || self.no_antithetic || self.batch.is_some() || self.biases || self.seed.is_some();
        let given = numbers || counts || others || !self.layers.is_empty();
        let usual = Options::DEFAULT;
        given.then(|| Options {
            rate: self.rate.unwrap_or(usual.rate),
            momentum: self.momentum.unwrap_or(usual.momentum),
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
            population: self.population.unwrap_or(usual.population),
            rho: self.rho.unwrap_or(usual.rho),
            noise: match self.noise.as_deref() {
                Some("gaussian") => Noise::Gaussian,
                Some("rank1") => Noise::RankOne,
                Some(_) => Noise::Rademacher,
                None => usual.noise,
            },
            antithetic: !self.no_antithetic,
            batch: self.batch.unwrap_or(usual.batch),
            layers: if self.layers.is_empty() { usual.layers } else { self.layers.iter().fold(0, |mask, layer| mask | 1 << layer) },
            biases: self.biases,
            hold_out: self.hold_out.unwrap_or(usual.hold_out),
            look_every: self.look_every.unwrap_or(usual.look_every),
            patience: self.patience.unwrap_or(usual.patience),
            seed: self.seed.unwrap_or(usual.seed),
        })
    }
}

impl Samples {
    fn picked(self) -> Picked {
        Picked { data: self.reading.of(self.data), model: self.model, part: part(&self.part), skip: self.skip, limit: self.limit }
    }
}

impl From<Device> for Command {
    fn from(Device { port, baud, json, record, action }: Device) -> Self {
        let action = match action {
            Sub::Info => Action::Info,
            Sub::Infer(samples) => Action::Infer(samples.picked()),
            Sub::Label(samples) => Action::Label(samples.picked()),
            Sub::Tune(tune) => Action::Tune { steps: tune.steps, options: tune.options() },
            Sub::Stop => Action::Stop,
            Sub::Eval { part } => Action::Eval(match &*part {
                "learnt" => link::Part::Learnt,
                "held-out" => link::Part::HeldOut,
                _ => link::Part::All,
            }),
            Sub::Pull { model, out } => Action::Pull { model, out },
            Sub::Push { model } => Action::Push(model),
            Sub::Save => Action::Save,
            Sub::RollBack => Action::RollBack,
            Sub::Forget { samples } => Action::Forget(samples),
            Sub::Reset => Action::Reset,
            Sub::SelfTest => Action::SelfTest,
            Sub::Monitor => Action::Monitor,
        };
        Command::Device(Box::new(DeviceOptions { port, baud, json, record, action }))
    }
}
