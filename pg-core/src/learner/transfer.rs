//! Parameters in pieces: out at any place, in one behind the other, and then all of them or none.

use embedded_storage::nor_flash::NorFlash;

use super::{Kept, Learner};
use crate::lane::Lane;
use crate::link::{Activity, CRC, Refusal, Reply};
use crate::network::Network;

/// A push that is under way: its bytes so far lie in the tuner's spare memory.
#[derive(Clone, Copy)]
pub(super) struct Push {
    crc: u32,
    bytes: u32,
}

impl<N: Network, L: Lane, S: Kept, F: NorFlash, const BATCH: usize> Learner<'_, N, L, S, F, BATCH> {
    pub(super) fn pull(&mut self, offset: u32, bytes: u32) -> Result<Reply<'_>, Refusal> {
        if u64::from(offset) + u64::from(bytes) > u64::from(Self::BYTES) {
            return Err(Refusal::OutOfRange);
        }
        let Self { tuning, piece, .. } = self;
        let piece = piece.get_mut(..bytes as usize).ok_or(Refusal::ReplyTooLong)?;
        let all = tuning.memory.parameters.iter().skip(offset as usize / 4).flat_map(|number| number.to_le_bytes());
        piece.iter_mut().zip(all.skip(offset as usize % 4)).for_each(|(to, byte)| *to = byte);
        Ok(Reply::Piece { offset, bytes: piece })
    }

    pub(super) fn begin_push(&mut self, fingerprint: u64, bytes: u32, crc: u32) -> Result<u32, Refusal> {
        if fingerprint != N::fingerprint() {
            return Err(Refusal::OtherNetwork { device: N::fingerprint() });
        }
        if bytes != Self::BYTES {
            return Err(Refusal::PushLength { found: bytes, expected: Self::BYTES });
        }
        if self.tuner()?.spare().len() < N::PARAMS {
            return Err(Refusal::Unsupported);
        }
        let push = self.pushed.filter(|push| push.crc == crc).unwrap_or(Push { crc, bytes: 0 });
        self.pushed = Some(push);
        Ok(push.bytes)
    }

    pub(super) fn push(&mut self, offset: u32, bytes: &[u8]) -> Result<u32, Refusal> {
        let push = self.pushed.ok_or(Refusal::NothingPushed)?;
        let end = u64::from(offset) + bytes.len() as u64;
        if offset != push.bytes || end > u64::from(Self::BYTES) {
            return Err(Refusal::Offset { expected: push.bytes });
        }
        let mut tuner = self.tuner()?;
        let spare = tuner.spare();
        for (at, &byte) in (offset as usize..).zip(bytes) {
            let Some(number) = spare.get_mut(at / 4) else { break };
            let mut bytes = number.to_le_bytes();
            if let Some(to) = bytes.get_mut(at % 4) {
                *to = byte;
            }
            *number = f32::from_le_bytes(bytes);
        }
        self.pushed = Some(Push { bytes: end as u32, ..push });
        Ok(end as u32)
    }

    pub(super) fn end_push(&mut self) -> Result<(), Refusal> {
        let push = self.pushed.ok_or(Refusal::NothingPushed)?;
        if push.bytes != Self::BYTES {
            return Err(Refusal::Offset { expected: push.bytes });
        }
        self.pushed = None;
        let mut tuner = self.tuner()?;
        let mut crc = CRC.digest();
        let mut finite = true;
        for number in tuner.spare().iter() {
            crc.update(&number.to_le_bytes());
            finite &= number.is_finite();
        }
        if crc.finalize() != push.crc {
            return Err(Refusal::PushDamaged);
        }
        if !finite {
            return Err(Refusal::NotFinite);
        }
        tuner.adopt_spare().ok_or(Refusal::Unsupported)?;
        self.tuning.state = tuner.state();
        self.activity = Activity::Idle;
        self.generation = self.generation.wrapping_add(1);
        Ok(())
    }
}
