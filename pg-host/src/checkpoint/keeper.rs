//! Writes the checkpoints of a run when they are due, beside the training: a disk takes its time. When a run ends is not its matter.
//!
//! A checkpoint that is due while the one before is still on its way to the disk is left out, so short epochs wait for no disk. The last one
//! of a run is always written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{Checkpoint, Directory, Identity};
use crate::metrics::Scores;
use crate::output::OutputError;
use crate::training::State;

/// What became of the checkpoint of a step.
type Written = (u32, Result<(), OutputError>);

/// Keeps a run.
pub struct Keeper {
    identity: Identity,
    path: PathBuf,
    every: u32,
    saved: u32,
    busy: bool,
    files: SyncSender<(u32, Vec<u8>)>,
    written: Receiver<Written>,
}

impl Keeper {
    /// Keeps the run `identity` in a directory that holds its state after `saved` steps, after every so many steps.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(mut directory: Directory, identity: Identity, every: u32, saved: u32) -> io::Result<Self> {
        let path = directory.path().into();
        let (files, due) = sync_channel::<(u32, Vec<u8>)>(1);
        let (done, written) = sync_channel(1);
        // It ends with the keeper, which drops its end of the channels.
        std::thread::Builder::new().name("checkpoints".into()).spawn(move || {
            due.into_iter().map(|(step, bytes)| (step, directory.write(step, &bytes))).try_for_each(|written| done.send(written))
        })?;
        Ok(Self { identity, path, every: every.max(1), saved, busy: false, files, written })
    }

    /// Writes the state if it is due, or in any case if it is the `last`, which alone is waited for. Returns what became of the newest file
    /// that was written since it was asked last; one that could not be written leaves those before untouched.
    pub fn keep(&mut self, state: &State, validation: Option<&Scores>, last: bool) -> Option<Result<(), OutputError>> {
        let mut news = self.written.try_recv().ok().map(|written| self.note(written));
        if last && self.busy {
            news = self.written.recv().ok().map(|written| self.note(written));
        }
        if last || !self.busy && state.step.is_multiple_of(self.every) {
            let file = Checkpoint::encode(&self.identity, state, validation);
            // There is room for one, and it would only fail if the thread were gone.
            self.busy = self.files.send((state.step, file)).is_ok();
        }
        if last {
            news = self.written.recv().ok().map(|written| self.note(written));
        }
        news
    }

    fn note(&mut self, (step, result): Written) -> Result<(), OutputError> {
        self.busy = false;
        if result.is_ok() {
            self.saved = step;
        }
        result
    }

    /// The step of the newest checkpoint.
    pub fn saved(&self) -> u32 {
        self.saved
    }

    /// The directory of the checkpoints.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
