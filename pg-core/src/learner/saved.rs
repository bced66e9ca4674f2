//! The state that is kept in flash: a head of fixed length, then a byte for each sample of the ring, then numbers.
//!
//! The store knows it as bytes. What is in it is all that the next step reads, but for the samples, which are in the log.

use embedded_storage::nor_flash::NorFlash;
use serde::{Deserialize, Serialize};

use crate::link::{Activity, Options};
use crate::store::{Store, StoreError};
use crate::tuner;

/// The version of this stream.
pub(super) const VERSION: u16 = 1;
/// The longest head in postcard's encoding has 113 bytes; the rest is zeros.
pub(super) const HEAD_BYTES: usize = 128;

/// What is not in the arrays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub options: Options,
    pub state: tuner::State,
    pub activity: Activity,
    pub steps_left: u32,
    pub loss: f32,
    /// The number of the first sample in the ring, and how many there were: a byte for each says whether it is held out.
    pub first: u32,
    pub samples: u32,
}

impl Head {
    pub fn bytes(&self) -> Option<[u8; HEAD_BYTES]> {
        let mut bytes = [0; HEAD_BYTES];
        postcard::to_slice(self, &mut bytes).ok()?;
        Some(bytes)
    }

    /// The head of the newest state, if there is one of this version.
    pub fn read<F: NorFlash>(store: &mut Store<F>) -> Result<Option<Self>, StoreError> {
        if store.state().is_none_or(|state| state.version != VERSION) {
            return Ok(None);
        }
        let mut bytes = [0; HEAD_BYTES];
        store.read(0, &mut bytes)?;
        Ok(postcard::take_from_bytes(&bytes).ok().map(|(head, _)| head))
    }

    /// Whether a sample of the ring was held out; `None` for one that came later.
    pub fn held_out<F: NorFlash>(&self, store: &mut Store<F>, number: u32) -> Result<Option<bool>, StoreError> {
        let index = number.wrapping_sub(self.first);
        if index >= self.samples {
            return Ok(None);
        }
        let mut mark = [0];
        store.read(HEAD_BYTES as u32 + index, &mut mark)?;
        Ok(Some(mark != [0]))
    }

    /// Where the numbers begin.
    pub fn numbers(&self) -> u32 {
        HEAD_BYTES as u32 + self.samples
    }
}

/// Reads numbers from this place of the stream on, and moves it behind them.
pub(super) fn read_floats<F: NorFlash>(store: &mut Store<F>, at: &mut u32, numbers: &mut [f32]) -> Result<(), StoreError> {
    for numbers in numbers.chunks_mut(16) {
        let mut bytes = [0; 64];
        let piece = bytes.get_mut(..4 * numbers.len()).ok_or(StoreError::Length)?;
        store.read(*at, piece)?;
        *at += piece.len() as u32;
        numbers.iter_mut().zip(bytes.as_chunks().0).for_each(|(number, &bytes)| *number = f32::from_le_bytes(bytes));
    }
    Ok(())
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
