//! The command line: the only module that knows clap, a file for each family of subcommands. It turns arguments into [`options`](crate::options) and runs nothing.

mod data;
mod device;
mod model;
mod replay;
mod study;
mod train;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::train::{DISTRIBUTIONS, batch_mode, distribution};
use crate::device::DeviceOptions;
use crate::options::{
    BenchOptions, DataInspectOptions, EvalOptions, GradientOptions, InspectOptions, PredictOptions, ReplayOptions, ResumeOptions,
    SessionOptions, StudyCommand, TrainOptions,
};

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
    /// Compute a recorded session with a device.
    ReplaySession(SessionOptions),
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
    Train(Box<train::Train>),
    /// Score a model on data and show what it confuses
    Eval(model::Eval),
    /// Print the class of each sample as CSV
    Predict(model::Predict),
    /// Speak with a device that learns, over a serial port or TCP
    Device(device::Device),
    /// Compute what a device computes when it is fine-tuned, to the same bits, and what that brings
    ///
    /// The device gets some labelled samples and takes steps on them; accuracy is that on samples it did not get: those of the data set's test
    /// part, else all others. So its options are chosen here, before a board is flashed.
    ///
    /// With --session it computes a session that `device --record` has recorded, from the model that the device was built with, and says whether the
    /// device had the same bits.
    Replay(Box<replay::Replay>),
    /// Show everything that is in a model file
    Inspect(model::Inspect),
    /// Show what is in a data set, or list the data sets
    #[command(subcommand)]
    Data(data::Data),
    /// List the networks: shapes, parameters, multiply-adds, and the RAM they need on a microcontroller
    ///
    /// Inference RAM counts the parameters and the activations of one sample, folded the same with batch norms in the weights before them.
    /// Training RAM counts parameters, gradient, velocity, one member, its noise scales, and a pass over a batch of 8 samples, whatever the
    /// population.
    Nets(Nets),
    /// Measure the speed of training steps and this machine's peak
    Bench(Bench),
    /// Compare ways of training fairly: equal tuning for all, paired seeds, intervals, a report
    #[command(subcommand)]
    Study(study::Study),
    /// Measure how close gradients are to that of a large held-out set, along a training run
    ///
    /// At some steps of the run that the options of `train` describe, the gradients of fresh batches are compared with the gradient on the
    /// held-out samples (--validation, here 0.5 of the training samples): that of the population, that of one plain pass over the same batch,
    /// and that of a plain pass over K times as many samples, which costs the same. Prints the cosine and the ratio of the norms, and
    /// how much higher the loss of the noisy copies is than that of the network itself.
    Gradient(Box<train::Gradient>),
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
    /// Samples in a step, one or several numbers. Without it 32 for mlp-64-32-10, 64 for the others
    #[arg(long, value_name = "N", num_args = 1..)]
    batch: Vec<usize>,
    /// Members of the population, one or several numbers; 0 is plain SGD. Without it both 0 and 8
    #[arg(long, value_name = "K", num_args = 1..)]
    population: Vec<u32>,
    /// Threads, one or several numbers; a step takes no more than there is work for
    #[arg(long, value_name = "N", num_args = 1.., default_value = "1")]
    threads: Vec<usize>,
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
    /// Write a page with plots as well: time and memory against members, batch, threads and parameters, where several were measured
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
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
    match sub {
        // Behind the program's path and the name of the subcommand.
        Sub::Train(train) => train.command(given, &arguments[2..]),
        sub => Ok(sub.into()),
    }
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

impl From<Sub> for Command {
    fn from(sub: Sub) -> Self {
        match sub {
            Sub::Train(train) => Command::Train(Box::new((*train).into())),
            Sub::Eval(eval) => eval.into(),
            Sub::Predict(predict) => predict.into(),
            Sub::Device(device) => device.into(),
            Sub::Replay(replay) => (*replay).into(),
            Sub::Inspect(inspect) => inspect.into(),
            Sub::Data(data) => data.into(),
            Sub::Nets(Nets { json }) => Command::Nets { json },
            Sub::Bench(bench) => Command::Bench(BenchOptions {
                nets: bench.net,
                batches: bench.batch,
                populations: bench.population,
                threads: bench.threads,
                noise: distribution(&bench.noise),
                batch_mode: batch_mode(&bench.batch_mode),
                seconds: bench.seconds,
                layers: bench.layers,
                html: bench.html,
                json: bench.json,
            }),
            Sub::Study(study) => study.into(),
            Sub::Gradient(gradient) => (*gradient).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use pg_core::perturbation::{Distribution, NoiseTargets, ScaleRule};
    use pg_core::population::{BatchMode, Combine, RhoCourse, RhoSchedule};

    use super::*;
    use crate::options::Every;

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
            "epochs=60 batch=32 optimiser=sgd rate=0.1 momentum=0.9 nesterov=false weight_decay=0.00001 schedule=cosine population=4 rho=0.3 \
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
