//! Where a training run starts: at its beginning or from a checkpoint; and who keeps it.

use std::path::Path;

use anyhow::anyhow;

use super::{invocation, quoted, say, train};
use crate::any_network::AnyNetwork;
use crate::checkpoint::directory::Found;
use crate::checkpoint::{Checkpoint, CheckpointError, Directory, Identity, Keeper};
use crate::cli;
use crate::data::is_name;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::metrics::Scores;
use crate::options::{CheckpointOptions, ResumeOptions, TrainOptions};
use crate::parts::Prepared;
use crate::training::{Recipe, State};

/// `train --resume`: the options of the checkpoint, and on from there.
pub(super) fn resume(networks: &[Entry], wanted: &ResumeOptions) -> Result<String, Failure> {
    let (directory, found) = Directory::open(&wanted.directory)?;
    let identity = &found.checkpoint.identity;
    identity.check_tool().map_err(|error| anyhow!("{} {error}", found.path.display()))?;
    let arguments = [&identity.arguments[..], &wanted.arguments].concat();
    let read = cli::train_options(&arguments);
    let mut options = read.map_err(|sentence| anyhow!("the arguments in {} are refused: {sentence}", found.path.display()))?;
    options.json = wanted.json;
    let every = options.checkpoint.take().map(|checkpoint| checkpoint.every).unwrap_or_default();
    let place = wanted.checkpoint.clone().unwrap_or_else(|| wanted.directory.clone());
    options.checkpoint = Some(CheckpointOptions { directory: place, every, arguments });
    if !found.passed_over.is_empty() {
        say(&format!("{}; {} is used instead", found.passed_over.join("; "), found.path.display()));
    }
    // A relative path is one of the directory where the run was started.
    let files = [(!is_name(&options.data.name)).then_some(Path::new(&options.data.name)), options.data.csv.test.as_deref()];
    if let Some(missing) = files.into_iter().flatten().find(|file| !file.exists()) {
        let (run, missing) = (wanted.directory.display(), missing.display());
        return Err(anyhow!("the run in {run} learns from {missing}, which is not here: go on with it where it was started").into());
    }
    train::go(networks, &options, Some((directory, found)))
}

/// The start of a run.
pub(super) struct Start {
    /// Before its first step here.
    pub(super) state: State,
    /// The scores of the validation samples so far.
    pub(super) validation: Option<Scores>,
    /// Who keeps it.
    pub(super) keeper: Option<Keeper>,
}

impl Start {
    /// Of the run that the options ask for: from its checkpoint, if there is one.
    pub(super) fn of(
        network: &dyn AnyNetwork,
        options: &TrainOptions,
        recipe: &Recipe,
        prepared: &Prepared,
        found: Option<(Directory, Found)>,
    ) -> Result<Self, Failure> {
        let Some(wanted) = &options.checkpoint else {
            return Ok(Self { state: State::first(network, recipe), validation: None, keeper: None });
        };
        let identity = Identity::of(network, options, prepared, wanted.arguments.clone());
        let samples = prepared.train.len();
        let every = wanted.every.in_steps(recipe.steps_per_epoch(samples) as u32);
        let (directory, state, validation) = match found {
            None => (None, State::first(network, recipe), None),
            Some((directory, Found { path, checkpoint, .. })) => {
                let suits = checkpoint.state.suits(network, recipe, samples).then_some(()).ok_or(CheckpointError::Malformed);
                identity.check(&checkpoint.identity).and(suits).map_err(|error| anyhow!("{} {error}", path.display()))?;
                let stays = same(directory.path(), &wanted.directory);
                (stays.then_some(directory), checkpoint.state, checkpoint.validation)
            }
        };
        let directory = match directory {
            Some(directory) => directory,
            // The first checkpoint is written before the first step: the run can go on from any moment, and a place that cannot be written
            // is known at once.
            None => {
                let mut directory = Directory::create(&wanted.directory)?;
                let file = Checkpoint::encode(&identity, &state, validation.as_ref());
                directory.write(state.step, &file).map_err(anyhow::Error::from)?;
                directory
            }
        };
        let keeper = Keeper::new(directory, identity, every, state.step);
        let keeper = keeper.map_err(|reason| anyhow!("the system gives no thread that writes the checkpoints: {reason}"))?;
        Ok(Self { state, validation, keeper: Some(keeper) })
    }
}

fn same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The command that goes on with the run in a directory.
pub(super) fn command(keeper: &Keeper) -> String {
    format!("{} train --resume {}", invocation(), quoted(&keeper.path().display().to_string()))
}
