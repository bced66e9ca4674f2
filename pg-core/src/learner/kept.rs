//! What a sample is kept as, in the ring, in flash and on the link: one byte for each value, or four.

use crate::link::Form;
use crate::tuner::Raw;

/// A value of a kept sample, which has a form on the link and bytes in flash.
pub trait Kept: Raw {
    /// What the link calls it.
    const FORM: Form;
    /// Bytes of a value.
    const BYTES: usize;
    /// The value that came over the link, which has been found to be of this form.
    fn of(value: f32) -> Self;
    /// Its bytes, little endian; those behind [`Kept::BYTES`] are zero.
    fn to_bytes(self) -> [u8; 4];
    /// The value of these bytes.
    fn from_bytes(bytes: [u8; 4]) -> Self;
}

impl Kept for u8 {
    const FORM: Form = Form::U8;
    const BYTES: usize = 1;
    fn of(value: f32) -> Self {
        value as u8
    }
    fn to_bytes(self) -> [u8; 4] {
        [self, 0, 0, 0]
    }
    fn from_bytes([byte, ..]: [u8; 4]) -> Self {
        byte
    }
}

impl Kept for i8 {
    const FORM: Form = Form::I8;
    const BYTES: usize = 1;
    fn of(value: f32) -> Self {
        value as i8
    }
    fn to_bytes(self) -> [u8; 4] {
        [self as u8, 0, 0, 0]
    }
    fn from_bytes([byte, ..]: [u8; 4]) -> Self {
        byte as i8
    }
}

impl Kept for f32 {
    const FORM: Form = Form::F32;
    const BYTES: usize = 4;
    fn of(value: f32) -> Self {
        value
    }
    fn to_bytes(self) -> [u8; 4] {
        self.to_le_bytes()
    }
    fn from_bytes(bytes: [u8; 4]) -> Self {
        f32::from_le_bytes(bytes)
    }
}

/// Bytes of a sample in the log: its class, then `inputs` values.
pub const fn record_bytes<S: Kept>(inputs: usize) -> usize {
    2 + S::BYTES * inputs
}

/// Writes a sample to the front of `out`.
pub(super) fn write<S: Kept>(label: u16, values: &[S], out: &mut [u8]) {
    let values = values.iter().flat_map(|&value| value.to_bytes().into_iter().take(S::BYTES));
    out.iter_mut().zip(label.to_le_bytes().into_iter().chain(values)).for_each(|(out, byte)| *out = byte);
}

/// Reads a sample and returns its class; `None` when it is of another length.
pub(super) fn read<S: Kept>(record: &[u8], values: &mut [S]) -> Option<u16> {
    let (&label, bytes) = record.split_first_chunk::<2>()?;
    if bytes.len() != S::BYTES * values.len() {
        return None;
    }
    for (value, from) in values.iter_mut().zip(bytes.chunks(S::BYTES)) {
        let mut bytes = [0; 4];
        bytes.iter_mut().zip(from).for_each(|(to, &byte)| *to = byte);
        *value = S::from_bytes(bytes);
    }
    Some(u16::from_le_bytes(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same<S: Kept + PartialEq + Default + core::fmt::Debug>(values: [S; 3]) {
        let mut record = [0; 14];
        let record = &mut record[..record_bytes::<S>(3)];
        write(0x1234, &values, record);
        let mut read_back = [S::default(); 3];
        assert_eq!((read(record, &mut read_back), read_back), (Some(0x1234), values));
        assert_eq!(read(&record[1..], &mut read_back), None);
    }

    #[test]
    fn a_sample_is_read_as_it_was_written() {
        same([0_u8, 200, 255]);
        same([-128_i8, -1, 127]);
        same([0.1_f32, -3e38, 1e-40]);
    }
}
