//! The checkpoint: the state of a training run between two steps as bytes, so that the run can go on after its end, whatever ended it.
//!
//! docs/checkpoint.md is the specification: `PGCK`, the version of the format, the content in postcard's encoding, a CRC-32. It holds no time
//! and no machine: the same step of the same run gives the same bytes. Arbitrary bytes give a [`CheckpointError`], never a panic. [`directory`]
//! keeps the files.

pub mod directory;
mod error;
mod keeper;

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use pg_core::floats::Floats;
use serde::{Deserialize, Serialize};

pub use self::directory::Directory;
pub use self::error::CheckpointError;
pub use self::keeper::Keeper;
use crate::any_network::AnyNetwork;
use crate::memory::Memory;
use crate::metrics::Scores;
use crate::options::TrainOptions;
use crate::parts::Prepared;
use crate::tally::Tally;
use crate::training::State;

/// The first bytes of every checkpoint.
pub const MAGIC: [u8; 4] = *b"PGCK";
/// The version of the format, the only one that is read.
pub const VERSION: u16 = 1;

/// The program that writes a checkpoint and alone goes on from it: another version may compute other bits.
pub const TOOL: &str = concat!("pg-host ", env!("CARGO_PKG_VERSION"));

const CRC_BYTES: usize = size_of::<u32>();
const CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// Which run a checkpoint belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// [`TOOL`].
    pub tool: String,
    /// The network's type as it is written in Rust.
    pub network: String,
    /// What the arguments meant: all that the result follows from but network and data.
    pub options: String,
    /// [`Prepared::digest`] of the samples.
    pub data: u64,
    /// The arguments of `train` that asked for the run, to be read again.
    pub arguments: Vec<String>,
}

/// A run between two steps.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Which run.
    pub identity: Identity,
    /// Where it is.
    pub state: State,
    /// The scores of the validation samples after its last whole epoch.
    pub validation: Option<Scores>,
}

/// What stands between the version and the check sum.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    identity: Identity,
    step: u32,
    passes: u64,
    members: Tally,
    loss_sum: f64,
    loss_steps: u32,
    validation: Option<Scores>,
    #[serde(borrow)]
    parameters: Floats<'a>,
    #[serde(borrow)]
    snapshot: Floats<'a>,
    #[serde(borrow)]
    slots: Floats<'a>,
    #[serde(borrow)]
    mean: Option<Floats<'a>>,
}

impl Identity {
    /// Of a run that is about to start.
    pub fn of(network: &dyn AnyNetwork, options: &TrainOptions, prepared: &Prepared, arguments: Vec<String>) -> Self {
        Self {
            tool: TOOL.into(),
            network: network.text(),
            options: format!("{} seed={}", options.provenance(), options.seed),
            data: prepared.digest(),
            arguments,
        }
    }

    /// Refuses what another version of the program has written.
    pub fn check_tool(&self) -> Result<(), CheckpointError> {
        if self.tool == TOOL { Ok(()) } else { Err(CheckpointError::OtherTool { found: self.tool.clone() }) }
    }

    /// Refuses the checkpoint of another run than this one.
    pub fn check(&self, found: &Self) -> Result<(), CheckpointError> {
        found.check_tool()?;
        if found.network != self.network {
            return Err(CheckpointError::OtherNetwork { found: found.network.clone(), expected: self.network.clone() });
        }
        if found.options != self.options {
            return Err(CheckpointError::OtherOptions);
        }
        if found.data == self.data { Ok(()) } else { Err(CheckpointError::OtherData) }
    }
}

impl Checkpoint {
    /// The file.
    pub fn encode(identity: &Identity, state: &State, validation: Option<&Scores>) -> Vec<u8> {
        let State { step, passes, members, loss_sum, loss_steps, .. } = *state;
        let [parameters, snapshot, slots] = [&state.parameters, &state.snapshot, &state.slots].map(|memory| Floats::new(memory));
        let mean = state.mean.as_ref().map(|mean| Floats::new(mean));
        let (identity, validation) = (identity.clone(), validation.cloned());
        let content = Content { identity, step, passes, members, loss_sum, loss_steps, validation, parameters, snapshot, slots, mean };
        let mut bytes = Vec::with_capacity(4 * (parameters.len() + snapshot.len() + slots.len()) + 4096);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        let mut bytes = postcard::to_extend(&content, bytes).expect("memory takes any content");
        bytes.extend(CRC.checksum(&bytes).to_le_bytes());
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The first that is found: magic, check sum, version, content.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(CheckpointError::NotACheckpoint);
        }
        let Some((checked, &crc)) = bytes.split_last_chunk::<CRC_BYTES>() else { return Err(CheckpointError::Damaged) };
        if CRC.checksum(checked) != u32::from_le_bytes(crc) {
            return Err(CheckpointError::Damaged);
        }
        // The check sum comes first: a flipped bit in the version is damage, not the future.
        let Some((&[low, high], content)) = checked[MAGIC.len()..].split_first_chunk() else { return Err(CheckpointError::Damaged) };
        let found = u16::from_le_bytes([low, high]);
        if found != VERSION {
            return Err(CheckpointError::OtherVersion { found });
        }
        match postcard::take_from_bytes::<Content>(content) {
            Ok((content, [])) => Ok(content.into()),
            _ => Err(CheckpointError::Malformed),
        }
    }
}

impl From<Content<'_>> for Checkpoint {
    fn from(content: Content) -> Self {
        let memory = |floats: Floats| {
            let mut memory = Memory::zeros(floats.len());
            floats.copy_into(&mut memory);
            memory
        };
        let Content { identity, step, passes, members, loss_sum, loss_steps, validation, .. } = content;
        let [parameters, snapshot, slots] = [content.parameters, content.snapshot, content.slots].map(memory);
        let mean = content.mean.map(memory);
        Self { identity, state: State { parameters, snapshot, slots, mean, step, passes, members, loss_sum, loss_steps }, validation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let memory = |numbers: &[f32]| {
            let mut memory = Memory::zeros(numbers.len());
            memory.copy_from_slice(numbers);
            memory
        };
        let identity = Identity {
            tool: TOOL.into(),
            network: "Sequential<Vector<2>,(Dense<1>,)>".into(),
            options: "epochs=2 seed=1".into(),
            data: u64::MAX,
            arguments: ["--epochs", "2"].map(String::from).to_vec(),
        };
        let state = State {
            parameters: memory(&[1.0, -0.0, f32::MIN_POSITIVE / 2.0]),
            snapshot: memory(&[1.5, 2.5, 3.5]),
            // A state may be anything; its bits come back.
            slots: memory(&[f32::INFINITY, f32::from_bits(0x7fc0_1234), 0.25]),
            mean: Some(memory(&[0.125, 0.5, 0.75])),
            step: 300,
            passes: 1 << 40,
            members: Tally { made: 800, skipped: 3 },
            loss_sum: 0.1 + 0.2,
            loss_steps: 7,
        };
        Checkpoint { identity, state, validation: None }
    }

    fn bytes() -> Vec<u8> {
        let Checkpoint { identity, state, validation } = checkpoint();
        Checkpoint::encode(&identity, &state, validation.as_ref())
    }

    /// With a right check sum.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - CRC_BYTES);
        bytes.extend(CRC.checksum(&bytes).to_le_bytes());
        bytes
    }

    #[test]
    fn what_is_written_comes_back_bit_by_bit() {
        let read = Checkpoint::decode(&bytes()).unwrap();
        assert_eq!(Checkpoint::encode(&read.identity, &read.state, read.validation.as_ref()), bytes());
        assert_eq!((read.identity, read.state.slots[1].to_bits()), (checkpoint().identity, 0x7fc0_1234));
        assert_eq!((read.state.step, read.state.loss_sum), (300, 0.1 + 0.2));
    }

    #[test]
    fn a_file_that_ends_at_any_byte_is_refused() {
        let whole = bytes();
        for length in 0..whole.len() {
            let expected = if length < 4 { CheckpointError::NotACheckpoint } else { CheckpointError::Damaged };
            assert_eq!(Checkpoint::decode(&whole[..length]).unwrap_err(), expected, "{length} bytes");
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        for bit in 0..8 * bytes().len() {
            let mut bytes = bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let expected = if bit < 32 { CheckpointError::NotACheckpoint } else { CheckpointError::Damaged };
            assert_eq!(Checkpoint::decode(&bytes).unwrap_err(), expected, "bit {bit}");
        }
    }

    #[test]
    fn another_version_and_bytes_behind_the_content_are_refused() {
        let mut other = bytes();
        other[4] = 2;
        assert_eq!(Checkpoint::decode(&sealed(other)).unwrap_err(), CheckpointError::OtherVersion { found: 2 });
        let mut longer = bytes();
        longer.insert(longer.len() - CRC_BYTES, 0);
        assert_eq!(Checkpoint::decode(&sealed(longer)).unwrap_err(), CheckpointError::Malformed);
    }

    #[test]
    fn the_checkpoint_of_another_run_is_refused_with_what_differs() {
        let identity = checkpoint().identity;
        identity.check(&Identity { arguments: vec![], ..identity.clone() }).unwrap();
        for (found, part) in [
            (Identity { tool: "pg-host 9.9.9".into(), ..identity.clone() }, "written by pg-host 9.9.9"),
            (Identity { network: "Sequential<Vector<3>,()>".into(), ..identity.clone() }, "the network Sequential<Vector<3>,()>"),
            (Identity { options: "epochs=3 seed=1".into(), ..identity.clone() }, "options"),
            (Identity { data: 0, ..identity.clone() }, "data"),
        ] {
            let sentence = identity.check(&found).unwrap_err().to_string();
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}
