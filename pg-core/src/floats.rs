//! A row of `f32`s that lies in a slice or in the bytes of a file: one type to write from memory and to read in place.
//!
//! In bytes a number is little endian, at any alignment. Nothing here copies or owns.

use serde::de::Error as _;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Borrowed `f32`s.
#[derive(Clone, Copy, Debug)]
pub struct Floats<'a>(Place<'a>);

#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    Memory(&'a [f32]),
    File(&'a [[u8; 4]]),
}

impl<'a> Floats<'a> {
    /// No numbers.
    pub const NONE: Self = Self(Place::Memory(&[]));

    /// The numbers of a slice.
    pub const fn new(numbers: &'a [f32]) -> Self {
        Self(Place::Memory(numbers))
    }

    /// The numbers that little-endian `bytes` hold, unless there are one to three bytes too many.
    pub const fn from_le_bytes(bytes: &'a [u8]) -> Option<Self> {
        match bytes.as_chunks() {
            (numbers, []) => Some(Self(Place::File(numbers))),
            _ => None,
        }
    }

    /// How many numbers there are.
    pub const fn len(&self) -> usize {
        match self.0 {
            Place::Memory(numbers) => numbers.len(),
            Place::File(numbers) => numbers.len(),
        }
    }

    /// True when there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<f32> {
        match self.0 {
            Place::Memory(numbers) => numbers.get(index).copied(),
            Place::File(numbers) => numbers.get(index).copied().map(f32::from_le_bytes),
        }
    }

    /// The first `count` numbers, and the others.
    ///
    /// # Panics
    /// When there are fewer.
    pub const fn split_at(self, count: usize) -> (Self, Self) {
        match self.0 {
            Place::Memory(numbers) => {
                let (first, others) = numbers.split_at(count);
                (Self(Place::Memory(first)), Self(Place::Memory(others)))
            }
            Place::File(numbers) => {
                let (first, others) = numbers.split_at(count);
                (Self(Place::File(first)), Self(Place::File(others)))
            }
        }
    }

    /// The numbers in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        let floats = *self;
        // `get` is within bounds for every index below `len`.
        (0..floats.len()).map(move |i| floats.get(i).unwrap_or_default())
    }

    /// True when none is infinite or NaN.
    pub fn are_finite(&self) -> bool {
        self.iter().all(f32::is_finite)
    }

    /// Copies the numbers.
    ///
    /// # Panics
    /// When `out` is shorter or longer.
    pub fn copy_into(&self, out: &mut [f32]) {
        assert_eq!(out.len(), self.len(), "room for every number, and no more");
        out.iter_mut().zip(self.iter()).for_each(|(out, number)| *out = number);
    }
}

/// Equal when every number has the same bits.
impl PartialEq for Floats<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().map(f32::to_bits).eq(other.iter().map(f32::to_bits))
    }
}

/// As bytes: a sequence of `u8`, which postcard writes as it writes a byte slice.
impl Serialize for Floats<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = serializer.serialize_seq(Some(4 * self.len()))?;
        for number in self.iter() {
            for byte in number.to_le_bytes() {
                bytes.serialize_element(&byte)?;
            }
        }
        bytes.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Floats<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&'a [u8]>::deserialize(deserializer)?;
        Self::from_le_bytes(bytes).ok_or_else(|| D::Error::custom("four bytes for each number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_file_are_those_in_memory() {
        let numbers = [1.5, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX];
        let mut bytes = [0; 17];
        let written = postcard::to_slice(&Floats::new(&numbers), &mut bytes).unwrap();
        assert_eq!(written[0], 16);
        let read: Floats = postcard::from_bytes(written).unwrap();
        assert_eq!(read, Floats::new(&numbers));
        assert_eq!((read.len(), read.get(3), read.get(4)), (4, Some(f32::MAX), None));
        let mut copy = [0.0; 4];
        read.copy_into(&mut copy);
        assert_eq!(copy.map(f32::to_bits), numbers.map(f32::to_bits));
    }

    #[test]
    fn half_a_number_is_refused() {
        assert!(Floats::from_le_bytes(&[0; 6]).is_none());
        assert!(postcard::from_bytes::<Floats>(&[6, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
