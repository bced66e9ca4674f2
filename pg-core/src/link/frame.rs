//! Frames: an envelope around a message, a check sum behind it, COBS around both, so that a zero byte only ever ends a frame.
//!
//! The envelope is the same in every version of the protocol; a message is read only by an end of the same version. Nothing here
//! knows what a message means.

use cobs::{DecodeResult, DecoderState, EncoderState, PushResult};
use crc::{Digest, NoTable};
use postcard::ser_flavors::Flavor;
use serde::Serialize;

use super::{CRC, VERSION};

/// Bytes of a frame beside its message, before COBS: version, kind, session, sequence number; CRC-32.
pub const ENVELOPE_BYTES: usize = HEADER_BYTES + CRC_BYTES;
const HEADER_BYTES: usize = 10;
const CRC_BYTES: usize = 4;

/// Bytes of memory that a [`Receiver`] needs for messages of up to `message` bytes.
pub const fn content_bytes(message: usize) -> usize {
    message + ENVELOPE_BYTES
}

/// Bytes on the line, at most, for a message of `message` bytes: with COBS and a zero on either side.
pub const fn frame_bytes(message: usize) -> usize {
    let content = content_bytes(message);
    content + content / 254 + 3
}

/// Which way a frame goes, so that a line which echoes deceives nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From the host.
    Request = b'Q' as isize,
    /// From the device.
    Reply = b'R' as isize,
}

/// A frame whose check sum was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The version of the protocol that the sender speaks.
    pub version: u8,
    /// Which way it goes.
    pub kind: Kind,
    /// The number that the host gave to its session.
    pub session: u32,
    /// The number of the request in its session.
    pub sequence: u32,
    /// The message in postcard's encoding.
    pub message: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads what stands between two zeros, without COBS.
    fn parse(content: &'a [u8]) -> Option<Self> {
        let (checked, &crc) = content.split_last_chunk::<CRC_BYTES>()?;
        if CRC.checksum(checked) != u32::from_le_bytes(crc) {
            return None;
        }
        let (&[version, kind, s0, s1, s2, s3, n0, n1, n2, n3], message) = checked.split_first_chunk::<HEADER_BYTES>()?;
        let kind = match kind {
            b'Q' => Kind::Request,
            b'R' => Kind::Reply,
            _ => return None,
        };
        let (session, sequence) = (u32::from_le_bytes([s0, s1, s2, s3]), u32::from_le_bytes([n0, n1, n2, n3]));
        Some(Self { version, kind, session, sequence, message })
    }
}

/// Writes a frame of this version, zeros on both sides, to the front of `out` and returns its length; `None` when it does not fit.
pub fn encode<T: Serialize>(kind: Kind, session: u32, sequence: u32, message: Option<&T>, out: &mut [u8]) -> Option<usize> {
    let mut writer = Writer { out, length: 0, cobs: EncoderState::default(), crc: CRC.digest() };
    writer.put(0)?; // ends whatever noise the line has carried
    writer.put(0)?; // the place of COBS's first code
    let header = [VERSION, kind as u8].into_iter().chain(session.to_le_bytes()).chain(sequence.to_le_bytes());
    for byte in header {
        writer.push(byte)?;
    }
    match message {
        Some(message) => postcard::serialize_with_flavor(message, writer).ok(),
        None => writer.finish(),
    }
}

/// Takes a frame's bytes as they are made, straight to the line's form.
struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
    cobs: EncoderState,
    crc: Digest<'static, u32, NoTable>,
}

impl Writer<'_> {
    /// A byte of the frame. Not inlined: a message's encoder calls it at a hundred places, and flash is short.
    #[inline(never)]
    fn push(&mut self, byte: u8) -> Option<()> {
        self.crc.update(&[byte]);
        self.stuff(byte)
    }

    fn stuff(&mut self, byte: u8) -> Option<()> {
        match self.cobs.push(byte) {
            PushResult::AddSingle(byte) => self.put(byte),
            PushResult::ModifyFromStartAndSkip((place, code)) => {
                self.code(place, code)?;
                self.put(0)
            }
            PushResult::ModifyFromStartAndPushAndSkip((place, code, byte)) => {
                self.code(place, code)?;
                self.put(byte)?;
                self.put(0)
            }
        }
    }

    /// A byte on the line.
    fn put(&mut self, byte: u8) -> Option<()> {
        *self.out.get_mut(self.length)? = byte;
        self.length += 1;
        Some(())
    }

    /// COBS counts its places from behind the zero in front.
    fn code(&mut self, place: usize, code: u8) -> Option<()> {
        *self.out.get_mut(place.checked_add(1)?)? = code;
        Some(())
    }

    fn finish(mut self) -> Option<usize> {
        for byte in self.crc.clone().finalize().to_le_bytes() {
            self.stuff(byte)?;
        }
        let (place, code) = self.cobs.clone().finalize();
        self.code(place, code)?;
        self.put(0)?;
        Some(self.length)
    }
}

impl Flavor for Writer<'_> {
    type Output = usize;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.push(byte).ok_or(postcard::Error::SerializeBufferFull)
    }

    fn finalize(self) -> postcard::Result<usize> {
        self.finish().ok_or(postcard::Error::SerializeBufferFull)
    }
}

/// Takes bytes from a line and finds the frames among them. It needs no synchronisation: a zero ends whatever was there before.
pub struct Receiver<'a> {
    content: &'a mut [u8],
    length: usize,
    overflow: bool,
    cobs: DecoderState,
    /// Frames that were dropped: damaged, too long, or noise.
    dropped: u32,
}

impl<'a> Receiver<'a> {
    /// Frames of up to `content.len()` bytes ([`content_bytes`]); longer ones are dropped.
    pub const fn new(content: &'a mut [u8]) -> Self {
        Self { content, length: 0, overflow: false, cobs: DecoderState::Idle, dropped: 0 }
    }

    /// The longest message that this can take.
    pub const fn largest_message(&self) -> usize {
        self.content.len().saturating_sub(ENVELOPE_BYTES)
    }

    /// Frames that were dropped so far: damaged, too long, or noise.
    pub const fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Takes a byte; the frame, when it was the last of one.
    pub fn push(&mut self, byte: u8) -> Option<Frame<'_>> {
        if matches!(self.cobs, DecoderState::Idle) {
            (self.length, self.overflow) = (0, false);
        }
        match self.cobs.feed(byte) {
            Ok(DecodeResult::DataComplete) => {
                let length = self.length;
                let frame = if self.overflow { None } else { self.content.get(..length).and_then(Frame::parse) };
                self.dropped = self.dropped.wrapping_add(u32::from(frame.is_none()));
                return frame;
            }
            Ok(DecodeResult::DataContinue(byte)) => match self.content.get_mut(self.length) {
                Some(place) => {
                    *place = byte;
                    self.length += 1;
                }
                None => self.overflow = true,
            },
            Ok(DecodeResult::NoData) => {}
            // A zero came too early; the next frame begins behind it.
            Err(_) => self.dropped = self.dropped.wrapping_add(1),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn frame(message: &[u8]) -> Vec<u8> {
        let mut out = std::vec![0xaa; frame_bytes(message.len() + 3)];
        let length = encode(Kind::Request, 0x0102_0304, 5, Some(&message), &mut out).expect("room for a frame");
        out.truncate(length);
        out
    }

    fn read(bytes: &[u8], room: usize) -> Vec<(u32, u32, Vec<u8>)> {
        let mut content = std::vec![0; room];
        let mut receiver = Receiver::new(&mut content);
        let mut frames = Vec::new();
        for &byte in bytes {
            frames.extend(receiver.push(byte).map(|frame| (frame.session, frame.sequence, frame.message.to_vec())));
        }
        frames
    }

    #[test]
    fn messages_of_every_length_and_kind_of_byte_come_back() {
        for length in 0..800 {
            for fill in [0, 1, 0xff] {
                let message: Vec<u8> = (0..length).map(|i| if i % 300 == 299 { 0 } else { fill }).collect();
                let bytes = frame(&message);
                assert_eq!((bytes[0], *bytes.last().unwrap()), (0, 0));
                assert!(bytes[1..bytes.len() - 1].iter().all(|&byte| byte != 0), "a zero only ends a frame");
                let prefix = if length < 128 { 1 } else { 2 };
                assert!(bytes.len() <= frame_bytes(length + prefix), "{length}");
                let [(session, sequence, read)] = &read(&bytes, content_bytes(length + prefix))[..] else { panic!("{length}") };
                assert_eq!((*session, *sequence, &read[prefix..]), (0x0102_0304, 5, &message[..]));
            }
        }
    }

    #[test]
    fn every_single_bit_flip_is_noticed() {
        let bytes = frame(b"some \0 message");
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let frames = read(&flipped, 100);
            // A zero in front that is no zero becomes part of the frame.
            assert!(frames.is_empty(), "bit {bit}: {frames:?}");
        }
    }

    #[test]
    fn a_frame_behind_noise_or_behind_one_that_was_cut_short_is_read() {
        let good = frame(b"good");
        for cut in 0..good.len() {
            let mut line = good[..cut].to_vec();
            line.extend(&good);
            assert!(!read(&line, 100).is_empty(), "cut at {cut}");
            assert_eq!(read(&line, 100).last().unwrap().2, b"\x04good");
        }
        let noise: Vec<u8> = (0..1000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).chain(good).collect();
        assert_eq!(read(&noise, 100).len(), 1);
    }

    #[test]
    fn a_frame_that_is_too_long_is_dropped_and_the_next_one_read() {
        let mut line = frame(&[7; 300]);
        line.extend(frame(b"short"));
        assert_eq!(read(&line, 40).len(), 1);
        assert!(encode(Kind::Reply, 1, 1, Some(&[7u8; 30]), &mut [0; 40]).is_none());
    }
}
