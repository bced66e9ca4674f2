//! The model file: a trained network as bytes, read in place from flash or from a desktop's memory.
//!
//! docs/model-file.md is the specification: `PGMF`, the version of the format, the content in postcard's encoding, a CRC-32.
//! A [`Model`] borrows everything. It holds no time and no machine: the same training run gives the same file, byte for byte.
//! Arbitrary bytes give a [`ModelError`], never a panic.
//!
//! ```
//! use pg_core::model_file::{ClassNames, Model, Provenance};
//! use pg_core::normalisation::Normalisation;
//! use pg_core::{layers::Dense, Network, Sequential, Vector};
//! type Tiny = Sequential<Vector<1>, (Dense<2>,)>;
//!
//! let model = Model {
//!     network: "Sequential<Vector<1>,(Dense<2>,)>",
//!     normalisation: Normalisation::NONE,
//!     classes: ClassNames::new("no\nyes")?,
//!     provenance: Provenance { tool: "example 1", data: "none", ..Provenance::default() },
//!     parameters: pg_core::floats::Floats::new(&[1.0, -1.0, 0.5, 0.25]),
//! };
//! let mut file = [0; 128];
//! let file = model.encode_into(&mut file)?;
//!
//! let read = Model::decode(file)?;
//! let mut parameters = [0.0; Tiny::PARAMS];
//! read.parameters_into::<Tiny>(&mut parameters)?;
//! assert_eq!(parameters, [1.0, -1.0, 0.5, 0.25]);
//! assert_eq!(read.classes.get(1), Some("yes"));
//! # Ok::<(), pg_core::model_file::ModelError>(())
//! ```

mod error;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};

pub use self::error::ModelError;
use crate::floats::Floats;
use crate::network::{Network, fingerprint};
use crate::normalisation::Normalisation;

/// The first bytes of every model file.
pub const MAGIC: [u8; 4] = *b"PGMF";
/// The version of the format that this program writes, and the newest that it reads.
pub const VERSION: u16 = 1;

const HEADER_BYTES: usize = MAGIC.len() + size_of::<u16>();
const CRC_BYTES: usize = size_of::<u32>();
/// Without a table: 1 KB less flash, and a file is read once.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The CRC-32 that a model file ends with, of all bytes before it: which model it is. (That of all bytes, itself included, is the same number for
/// every file.) 0 for what is shorter.
pub fn checksum(file: &[u8]) -> u32 {
    file.last_chunk().map_or(0, |&crc| u32::from_le_bytes(crc))
}

/// A trained network with what is needed to use it and to train it again. Everything is borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model<'a> {
    /// The network as its type is written in Rust: what [`Network::describe`] writes.
    pub network: &'a str,
    /// What is done to a raw sample.
    pub normalisation: Normalisation<'a>,
    /// The name of each output; none for a regression.
    pub classes: ClassNames<'a>,
    /// Where the parameters come from.
    pub provenance: Provenance<'a>,
    /// The parameters, in the order of [`Network::segments`].
    pub parameters: Floats<'a>,
}

/// Where a model comes from: enough to train it again, byte for byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance<'a> {
    /// The program and its version.
    pub tool: &'a str,
    /// The name of the data set.
    pub data: &'a str,
    /// The options of the training run: `name=value`, separated by spaces, in the program's order.
    pub options: &'a str,
    /// The seed of all random numbers.
    pub seed: u64,
    /// Passes over the training samples.
    pub epochs: u32,
    /// What came of it, on which samples: `name=value`, separated by spaces; may be empty.
    pub scores: &'a str,
}

/// The names of the classes, in the order of the outputs: a text with a name on each line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassNames<'a>(&'a str);

/// What stands between the version and the check sum.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    fingerprint: u64,
    network: &'a str,
    #[serde(borrow)]
    normalisation: Normalisation<'a>,
    #[serde(borrow)]
    classes: ClassNames<'a>,
    #[serde(borrow)]
    provenance: Provenance<'a>,
    #[serde(borrow)]
    parameters: Floats<'a>,
}

impl<'a> Model<'a> {
    /// Reads a model in place.
    ///
    /// # Errors
    /// The first that is found, in the order of [`ModelError`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let (header, rest) = bytes.split_at(bytes.len().min(HEADER_BYTES));
        if !header.starts_with(&MAGIC) {
            return Err(ModelError::NotAModel);
        }
        let &[_, _, _, _, low, high] = header else { return Err(ModelError::Damaged) };
        let found = u16::from_le_bytes([low, high]);
        if found > VERSION {
            return Err(ModelError::NewerVersion { found });
        }
        let Some((content, &crc)) = rest.split_last_chunk::<CRC_BYTES>() else { return Err(ModelError::Damaged) };
        if CRC.checksum(&bytes[..bytes.len() - CRC_BYTES]) != u32::from_le_bytes(crc) {
            return Err(ModelError::Damaged);
        }
        if found != VERSION {
            return Err(ModelError::Malformed);
        }
        let (content, rest) = postcard::take_from_bytes::<Content>(content).map_err(|_| ModelError::Malformed)?;
        if !rest.is_empty() {
            return Err(ModelError::TrailingBytes { bytes: rest.len() });
        }
        let Content { network, normalisation, classes, provenance, parameters, .. } = content;
        let model = Self { network, normalisation, classes, provenance, parameters };
        if content.fingerprint != model.fingerprint() {
            return Err(ModelError::Fingerprint);
        }
        model.validate()?;
        Ok(model)
    }

    /// Writes the file to the front of `out` and returns it.
    ///
    /// # Errors
    /// [`ModelError::NoRoom`], or what [`Model::decode`] would refuse: nothing is written that cannot be read.
    pub fn encode_into<'b>(&self, out: &'b mut [u8]) -> Result<&'b [u8], ModelError> {
        self.validate()?;
        let length = self.encoded_len();
        let out = out.get_mut(..length).ok_or(ModelError::NoRoom)?;
        let (bytes, crc) = out.split_at_mut(length - CRC_BYTES);
        let (header, content) = bytes.split_at_mut(HEADER_BYTES);
        header[..MAGIC.len()].copy_from_slice(&MAGIC);
        header[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
        postcard::to_slice(&self.content(), content).map_err(|_| ModelError::NoRoom)?;
        crc.copy_from_slice(&CRC.checksum(bytes).to_le_bytes());
        Ok(out)
    }

    /// Bytes of the file.
    pub fn encoded_len(&self) -> usize {
        let content = postcard::serialize_with_flavor(&self.content(), Size::default());
        HEADER_BYTES + content.expect("counting bytes cannot fail") + CRC_BYTES
    }

    /// The fingerprint of the network: [`Network::fingerprint`] of its type.
    pub fn fingerprint(&self) -> u64 {
        fingerprint(|to| to.write_str(self.network))
    }

    /// Whether this model is one of network `N`.
    ///
    /// # Errors
    /// [`ModelError::OtherNetwork`]; when the network is right, the count that is wrong.
    pub fn check<N: Network>(&self) -> Result<(), ModelError> {
        if self.fingerprint() != N::fingerprint() {
            return Err(ModelError::OtherNetwork);
        }
        let (found, expected) = (self.parameters.len(), N::STORED);
        if found != expected {
            return Err(ModelError::ParameterCount { found, expected });
        }
        let (found, expected) = (self.classes.len(), N::OUTPUTS);
        if found != expected && !self.classes.is_empty() {
            return Err(ModelError::ClassCount { found, expected });
        }
        if !self.normalisation.fits(N::INPUT.channels) {
            return Err(ModelError::ChannelCount { found: self.normalisation.offset().len(), expected: N::INPUT.channels });
        }
        Ok(())
    }

    /// Writes the parameters of network `N`, after [`Model::check`].
    ///
    /// # Errors
    /// When the model is not one of this network; `out` is then untouched.
    ///
    /// # Panics
    /// When `out` has not `N::PARAMS` elements.
    #[cfg_attr(target_os = "none", inline(always))] // so that the compiler knows the length
    pub fn parameters_into<N: Network>(&self, out: &mut [f32]) -> Result<(), ModelError> {
        self.check::<N>()?;
        assert!(out.len() == N::PARAMS, "room for every parameter, and no more");
        N::load(self.parameters, out);
        Ok(())
    }

    fn content(&self) -> Content<'a> {
        let &Self { network, normalisation, classes, provenance, parameters } = self;
        Content { fingerprint: self.fingerprint(), network, normalisation, classes, provenance, parameters }
    }

    /// What the types of the fields do not say.
    fn validate(&self) -> Result<(), ModelError> {
        let Provenance { tool, data, options, scores, .. } = self.provenance;
        if [self.network, tool, data, options, scores].into_iter().any(|text| text.contains(char::is_control)) {
            return Err(ModelError::Text);
        }
        ClassNames::new(self.classes.0)?;
        if !(self.normalisation.is_sound() && self.parameters.are_finite()) {
            return Err(ModelError::Numbers);
        }
        Ok(())
    }
}

impl<'a> ClassNames<'a> {
    /// Takes a text with a name on each line, without a newline at the end; an empty text has no names.
    ///
    /// # Errors
    /// [`ModelError::Text`] when a line is empty or has control characters.
    pub fn new(text: &'a str) -> Result<Self, ModelError> {
        let names = Self(text);
        let sound = |name: &str| !name.is_empty() && !name.contains(char::is_control);
        if names.iter().all(sound) { Ok(names) } else { Err(ModelError::Text) }
    }

    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let lines = if self.is_empty() { 0 } else { usize::MAX };
        // By bytes: splitting a text by characters can panic, as far as the compiler knows.
        self.0.as_bytes().split(|&byte| byte == b'\n').map(|line| core::str::from_utf8(line).unwrap_or_default()).take(lines)
    }

    /// The name of class `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<&'a str> {
        self.iter().nth(index)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
