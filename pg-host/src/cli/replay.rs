//! The words behind `replay`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use pg_core::perturbation::Noise;
use pg_core::population::Population;
use pg_core::tuner::Settings;

use super::Command;
use super::data::Reading;
use super::model::part;
use super::train::distribution;
use crate::options::{ReplayOptions, SessionOptions};

#[derive(Args)]
pub(super) struct Replay {
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
    /// Distribution of the noise; `rademacher` (random signs) is cheaper to make on a device, `rank1` (a sign for each filter times one for each
    /// of its weights) cheapest, in memory too
    #[arg(long, default_value = "rademacher", value_parser = PossibleValuesParser::new(["gaussian", "rademacher", "rank1"]))]
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
    /// Compute the session in this file of `device --record`, and compare what the device said
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "data", "part", "samples", "draw", "sessions", "steps", "batch", "rate", "momentum", "weight_decay", "population", "rho", "noise",
        "no_antithetic", "last", "biases", "hold_out", "look_every", "patience", "seed",
    ])]
    session: Option<PathBuf>,
    /// Write the model that the device had at the end of that session
    #[arg(long, value_name = "FILE", requires = "session")]
    out: Option<PathBuf>,
    /// Print what the device prints instead: the bits of each loss, the check sum of the parameters
    #[arg(long)]
    log: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl From<Replay> for Command {
    fn from(replay: Replay) -> Self {
        if let Some(session) = replay.session {
            return Command::ReplaySession(SessionOptions {
                model: replay.model,
                session,
                out: replay.out,
                log: replay.log,
                json: replay.json,
            });
        }
        let noise = Noise { distribution: distribution(&replay.noise), ..Noise::new(replay.rho) };
        let population = Population { noise, antithetic: !replay.no_antithetic, ..Population::new(replay.population, replay.rho) };
        Command::Replay(Box::new(ReplayOptions {
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
        }))
    }
}
