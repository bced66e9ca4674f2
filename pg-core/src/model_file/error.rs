//! What can be wrong with a model file, each with what to do about it.

use super::VERSION;

/// Why bytes are no model, or not one for this network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The magic is not there.
    #[error("this is not a pg model file (it does not begin with `PGMF`): give a file that `train` wrote")]
    NotAModel,
    /// A format of the future.
    #[error("the file has format version {found}, this program reads up to version {VERSION}: use a newer pg")]
    NewerVersion {
        /// The version of the file.
        found: u16,
    },
    /// The check sum is not that of the bytes.
    #[error("the file is damaged or cut short (its check sum is wrong): copy it again, or train again")]
    Damaged,
    /// The check sum is right, the content is not.
    #[error("the content of the file is not that of a model: it was written by a faulty program, write it again with pg")]
    Malformed,
    /// Bytes behind the content.
    #[error("{bytes} bytes follow the content of the model: it was written by a faulty program, write it again with pg")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// The fingerprint is not that of the network's text.
    #[error("the fingerprint is not that of the network in the file: it was edited by hand, write it again with pg")]
    Fingerprint,
    /// A text has control characters, or a class has no name.
    #[error("a text of the model is empty or has control characters: name each class, on one line")]
    Text,
    /// A number is infinite or NaN, or offsets and factors are not as many as each other.
    #[error("the parameters or the normalisation are not finite numbers: train again, with a lower rate")]
    Numbers,
    /// Made for another network.
    #[error("the model was made for another network: `inspect` shows which, use that one or train again")]
    OtherNetwork,
    /// The network is right, the number of its parameters is not.
    #[error("the network has {expected} parameters, the model has {found}: it was written by a faulty program, train again")]
    ParameterCount {
        /// Those of the file.
        found: usize,
        /// Those of the network.
        expected: usize,
    },
    /// The network has another number of outputs.
    #[error("the network has {expected} outputs, the model names {found} classes: name each output, or none")]
    ClassCount {
        /// Those of the file.
        found: usize,
        /// Those of the network.
        expected: usize,
    },
    /// The network has another number of input channels.
    #[error("the network has {expected} input channels, the model normalises {found}: normalise each channel, or none")]
    ChannelCount {
        /// Those of the file.
        found: usize,
        /// Those of the network.
        expected: usize,
    },
    /// The encoder's memory is too short.
    #[error("the memory for the file is too short: lend as many bytes as `encoded_len` says")]
    NoRoom,
}
