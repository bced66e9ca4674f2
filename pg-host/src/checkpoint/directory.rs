//! The directory of a run's checkpoints: the newest two, `step-0000000570.pgc`, each written whole under another name and then renamed.
//!
//! A write that is interrupted destroys nothing. When the newest file is damaged the one before is used. Nothing here knows what a run is.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::{Checkpoint, CheckpointError};
use crate::output::{OutputError, write_atomically};

/// A directory that belongs to one run at a time.
pub struct Directory {
    path: PathBuf,
    /// The newest file that is known to be good, and the one before it.
    kept: [Option<PathBuf>; 2],
    /// The system frees it when the process ends, however it ends.
    _lock: Option<File>,
}

/// The newest checkpoint that can be used.
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// What is in it.
    pub checkpoint: Checkpoint,
    /// A sentence about each newer file that cannot be used.
    pub passed_over: Vec<String>,
}

impl Directory {
    /// For a new run: made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made, another run is using it, or it holds checkpoints.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        fs::create_dir_all(path).map_err(|reason| anyhow!("the directory {name} for checkpoints cannot be made: {reason}"))?;
        let directory = Self::lock(path)?;
        if !directory.files()?.is_empty() {
            return Err(anyhow!("{name} holds the checkpoints of a run: go on with it by --resume {name}, or give another directory"));
        }
        Ok(directory)
    }

    /// For a run that goes on, with its newest checkpoint.
    ///
    /// # Errors
    /// When it is not there, another run is using it, or it holds no checkpoint that can be used.
    pub fn open(path: &Path) -> anyhow::Result<(Self, Found)> {
        let name = path.display();
        if !path.is_dir() {
            return Err(anyhow!("there is no directory {name} with checkpoints: a run that was started with --checkpoint {name} makes it"));
        }
        let mut directory = Self::lock(path)?;
        let mut passed_over = Vec::new();
        let mut files = directory.files()?.into_iter();
        while let Some(path) = files.next() {
            let name = path.display();
            let read = fs::read(&path).map_err(|reason| format!("{name} cannot be read: {reason}"));
            match read.map(|bytes| Checkpoint::decode(&bytes)) {
                Ok(Ok(checkpoint)) => {
                    directory.kept = [Some(path.clone()), files.next()];
                    return Ok((directory, Found { path, checkpoint, passed_over }));
                }
                // Of an older file than one that another program can still use nothing is known.
                Ok(Err(error @ CheckpointError::OtherVersion { .. })) => return Err(anyhow!("{name} {error}")),
                Ok(Err(error)) => passed_over.push(format!("{name} {error}")),
                Err(sentence) => passed_over.push(sentence),
            }
        }
        match &passed_over[..] {
            [] => Err(anyhow!("{name} holds no checkpoint: the run ended before its first one, start it anew")),
            all => Err(anyhow!("{}, and {name} holds no other checkpoint: start the run anew, in another directory", all.join("; "))),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the checkpoint of a step and removes all but this one and the one before.
    ///
    /// # Errors
    /// When it cannot be written; those before are then untouched.
    pub fn write(&mut self, step: u32, bytes: &[u8]) -> Result<(), OutputError> {
        // Before too: a run that is killed again and again before it can remove a file would pile them up.
        self.prune();
        let path = self.path.join(format!("{PREFIX}{step:010}{SUFFIX}"));
        write_atomically(&path, bytes)?;
        self.kept = [Some(path), self.kept[0].take()];
        self.prune();
        Ok(())
    }

    /// Removes the checkpoints that are not to be kept. One too many does no harm.
    fn prune(&self) {
        let kept = |path: &PathBuf| self.kept.iter().flatten().any(|kept| kept == path);
        self.files().unwrap_or_default().iter().filter(|path| !kept(path)).for_each(|path| drop(fs::remove_file(path)));
    }

    /// Takes the directory for this process, and sweeps up what interrupted writes have left.
    fn lock(path: &Path) -> anyhow::Result<Self> {
        // Where a directory cannot be opened or locked, two runs in one are the user's matter.
        let lock = File::open(path).ok();
        if let Some(Err(TryLockError::WouldBlock)) = lock.as_ref().map(File::try_lock) {
            return Err(anyhow!("{} is in use by a run that has not ended: give each run a directory of its own", path.display()));
        }
        let directory = Self { path: path.into(), kept: [None, None], _lock: lock };
        for left in directory.names()?.iter().filter(|name| name.starts_with(".pg-") && name.ends_with(".part")) {
            let _ = fs::remove_file(path.join(left));
        }
        Ok(directory)
    }

    /// The checkpoints, the newest first.
    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let step = |name: &String| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse::<u32>().ok();
        let mut files: Vec<(u32, String)> = self.names()?.into_iter().filter_map(|name| Some((step(&name)?, name))).collect();
        files.sort_unstable();
        Ok(files.into_iter().rev().map(|(_, name)| self.path.join(name)).collect())
    }

    fn names(&self) -> anyhow::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
        let entries = entries.with_context(|| format!("the directory {} cannot be read", self.path.display()))?;
        Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }
}

const PREFIX: &str = "step-";
const SUFFIX: &str = ".pgc";
