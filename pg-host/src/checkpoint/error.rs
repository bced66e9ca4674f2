//! What can be wrong with a checkpoint, each with what to do about it.

use super::{TOOL, VERSION};

/// Why bytes are no checkpoint, or not one of the run at hand. Each text follows the name of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The magic is not there.
    #[error("is not a checkpoint of pg (it does not begin with `PGCK`)")]
    NotACheckpoint,
    /// The check sum is not that of the bytes.
    #[error("is damaged or half-written (its check sum is wrong)")]
    Damaged,
    /// Whole, and of another format.
    #[error("has format version {found}, and this program goes on from version {VERSION} only: use the pg that wrote it")]
    OtherVersion {
        /// The version of the file.
        found: u16,
    },
    /// The check sum is right, the content is not.
    #[error("is whole and holds no run: it was written by a faulty program")]
    Malformed,
    /// Written by another version of the program.
    #[error("was written by {found}, and this is {TOOL}, which may compute other bits: use that one, or start the run anew")]
    OtherTool {
        /// Its name and version.
        found: String,
    },
    /// Made for another network.
    #[error("was made for the network {found}, which is now {expected}: use that one again, or start the run anew")]
    OtherNetwork {
        /// The type in the checkpoint.
        found: String,
        /// The type at hand.
        expected: String,
    },
    /// The same arguments mean other options.
    #[error("was written by a build with other default options: use the pg that wrote it, or start the run anew")]
    OtherOptions,
    /// The samples are others, or otherwise divided or normalised.
    #[error("was made with other data, which have changed since: bring them back as they were, or start the run anew")]
    OtherData,
}
