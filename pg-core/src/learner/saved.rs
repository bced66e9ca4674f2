//! The state that is kept in flash: a head of fixed length, then a byte for each sample of the ring, then numbers.
//!
//! docs/flash.md has it byte by byte. The store knows it as bytes. What is in it is all that the next step reads, but for the samples, which are in the log.

use embedded_storage::nor_flash::NorFlash;
use serde::{Deserialize, Serialize};

use super::{Kept, Learner, kept, options, start};
use crate::lane::Lane;
use crate::link::{Activity, Options, Refusal};
use crate::network::Network;
use crate::store::{Cursor, Store, StoreError};
use crate::tuner;

/// The version of this stream.
const VERSION: u16 = 1;
/// The longest head in postcard's encoding has 113 bytes; the rest is zeros.
pub(super) const HEAD_BYTES: usize = 128;

/// What is not in the arrays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    options: Options,
    state: tuner::State,
    activity: Activity,
    steps_left: u32,
    loss: f32,
    /// The number of the first sample in the ring, and how many there were: a byte for each says whether it is held out.
    first: u32,
    samples: u32,
}

impl Head {
    fn bytes(&self) -> Option<[u8; HEAD_BYTES]> {
        let mut bytes = [0; HEAD_BYTES];
        postcard::to_slice(self, &mut bytes).ok()?;
        Some(bytes)
    }

    /// The head of the newest state, if there is one of this version.
    fn read<F: NorFlash>(store: &mut Store<F>) -> Result<Option<Self>, StoreError> {
        if store.state().is_none_or(|state| state.version != VERSION) {
            return Ok(None);
        }
        let mut bytes = [0; HEAD_BYTES];
        store.read(0, &mut bytes)?;
        Ok(postcard::take_from_bytes(&bytes).ok().map(|(head, _)| head))
    }

    /// Whether a sample of the ring was held out; `None` for one that came later.
    fn held_out<F: NorFlash>(&self, store: &mut Store<F>, number: u32) -> Result<Option<bool>, StoreError> {
        let index = number.wrapping_sub(self.first);
        if index >= self.samples {
            return Ok(None);
        }
        let mut mark = [0];
        store.read(HEAD_BYTES as u32 + index, &mut mark)?;
        Ok(Some(mark != [0]))
    }

    /// Where the numbers begin.
    fn numbers(&self) -> u32 {
        HEAD_BYTES as u32 + self.samples
    }
}

/// Reads numbers from this place of the stream on, and moves it behind them.
fn read_floats<F: NorFlash>(store: &mut Store<F>, at: &mut u32, numbers: &mut [f32]) -> Result<(), StoreError> {
    for numbers in numbers.chunks_mut(16) {
        let mut bytes = [0; 64];
        let piece = bytes.get_mut(..4 * numbers.len()).ok_or(StoreError::Length)?;
        store.read(*at, piece)?;
        *at += piece.len() as u32;
        numbers.iter_mut().zip(bytes.as_chunks().0).for_each(|(number, &bytes)| *number = f32::from_le_bytes(bytes));
    }
    Ok(())
}

impl<N: Network, L: Lane, S: Kept, F: NorFlash, const BATCH: usize> Learner<'_, N, L, S, F, BATCH> {
    /// The newest state and the samples, out of flash.
    pub(super) fn restore(&mut self) -> Result<(), StoreError> {
        self.be_as_new();
        let head = Head::read(&mut self.store)?;
        let head = match head {
            Some(head) if self.take_up(&head)? => Some(head),
            // Written by firmware with another batch, or with more memory.
            _ => {
                self.be_as_new();
                None
            }
        };
        self.tuning.memory.entries.clear();
        let mut cursor = Cursor::OLDEST;
        while let Some(entry) = self.store.next_sample(&mut cursor, self.piece)? {
            let Self { tuning, sample, piece, store, .. } = self;
            let Some(label) = kept::read(piece.get(..entry.bytes).unwrap_or_default(), sample) else { continue };
            let held_out = head.map_or(Ok(None), |head| head.held_out(store, entry.number))?;
            if let Ok(mut tuner) = tuning.tuner() {
                // More than there is room for: samples were forgotten and others given, and nothing was saved since.
                if tuner.entries().count() >= tuner.capacity() {
                    tuner.forget_oldest();
                }
                let _ = tuner.label(sample, label);
            }
            if let (Some(held_out), Some(newest)) = (held_out, tuning.memory.entries.back_mut()) {
                newest.held_out = held_out;
            }
        }
        let next = self.store.samples().end;
        self.store.forget_before(next.saturating_sub(self.samples()));
        Ok(())
    }

    /// Takes up a saved state; `false` when this firmware cannot.
    fn take_up(&mut self, head: &Head) -> Result<bool, StoreError> {
        let Self { tuning, store, .. } = self;
        if usize::from(head.options.batch) != BATCH {
            return Ok(false);
        }
        let mut at = head.numbers();
        (tuning.settings, tuning.state) = (options::settings(&head.options), head.state);
        read_floats(store, &mut at, tuning.parameters_mut())?;
        let Ok(mut tuner) = tuning.tuner() else { return Ok(false) };
        read_floats(store, &mut at, tuner.velocity_mut())?;
        let kept = tuner.best().map_or(0, <[f32]>::len);
        read_floats(store, &mut at, tuning.memory.best.get_mut(..kept).unwrap_or_default())?;
        (self.options, self.activity, self.steps_left, self.loss) = (head.options, head.activity, head.steps_left, head.loss);
        Ok(true)
    }

    /// Writes everything that the next step reads; the number of the state.
    pub(super) fn save(&mut self) -> Result<u32, Refusal> {
        let head = Head {
            options: self.options,
            state: self.tuning.state,
            activity: self.activity,
            steps_left: self.steps_left,
            loss: self.loss,
            first: self.store.samples().start,
            samples: self.samples(),
        };
        let Self { tuning, store, .. } = self;
        let tuner = tuning.tuner().map_err(start::refusal)?;
        let count = tuner.entries().count();
        let head = head.bytes().ok_or(Refusal::StateTooLarge)?;
        let (parameters, velocity, best) = (tuner.parameters(), tuner.velocity(), tuner.best().unwrap_or_default());
        let bytes = head.len() + count + 4 * (parameters.len() + velocity.len() + best.len());
        let mut write = || {
            let mut writer = store.begin(VERSION, bytes as u32)?;
            writer.write(&head)?;
            tuner.entries().try_for_each(|entry| writer.write(&[u8::from(entry.held_out)]))?;
            [parameters, velocity, best].into_iter().try_for_each(|numbers| writer.write_floats(numbers))?;
            writer.commit()
        };
        write().map_err(start::refusal_of_store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_head_has_room() {
        let most = u32::MAX;
        let options = Options {
            population: most,
            batch: u16::MAX,
            layers: u64::MAX,
            hold_out: most,
            look_every: most,
            patience: most,
            seed: u64::MAX,
            ..Options::DEFAULT
        };
        let state = tuner::State { best_step: most, looks: most, ..tuner::State::first(u64::MAX, most) };
        let head = Head { options, state, activity: Activity::Diverged, steps_left: most, loss: f32::NAN, first: most, samples: most };
        let bytes = head.bytes().unwrap();
        assert!(bytes[HEAD_BYTES - 8..].iter().all(|&byte| byte == 0));
    }
}
