//! The host's end: one request at a time, sent again until its reply is there or patience ends.
//!
//! It owns no clock: the caller says what time it is, in milliseconds since any moment.

use super::frame::{Kind, Receiver, encode};
use super::{Refusal, Reply, Request, VERSION};

/// When a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Milliseconds until it is sent again for the first time; each further wait is twice as long, up to [`Retry::longest_ms`].
    pub first_ms: u64,
    /// The longest wait in milliseconds.
    pub longest_ms: u64,
    /// How often it is sent, at most.
    pub attempts: u32,
}

impl Retry {
    /// Seven times within about eight seconds, half of that behind the last: an erase of a large flash takes two.
    pub const DEFAULT: Self = Self { first_ms: 250, longest_ms: 2_000, attempts: 7 };
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The device said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No reply came, however often the request was sent. It may have been executed.
    #[error("the device does not answer: check the cable, the port and the rate, and that its firmware runs")]
    Silent,
    /// The device speaks another version.
    #[error(
        "the device speaks version {device} of the protocol and this program version {VERSION}: use the pg-host that its firmware was built with, or flash it anew"
    )]
    OtherVersion {
        /// The version of the device.
        device: u8,
    },
    /// The check sum is right, the content is none that this version knows.
    #[error("the reply is not one that this program knows: use the pg-host that the device's firmware was built with")]
    Malformed,
    /// The request does not fit the frames.
    #[error("the request does not fit a frame of this link: send less at once")]
    TooLong,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll<'a> {
    /// Nothing, for so many milliseconds unless bytes come.
    Wait(u64),
    /// Send these bytes.
    Send(&'a [u8]),
    /// There is no request under way.
    Idle,
}

/// The host's end of the line.
pub struct Client<'a> {
    receiver: Receiver<'a>,
    request: &'a mut [u8],
    length: usize,
    session: u32,
    sequence: u32,
    retry: Retry,
    /// When to send next, how long to wait after that, how often still.
    due_ms: u64,
    wait_ms: u64,
    left: u32,
    open: bool,
}

impl<'a> Client<'a> {
    /// A client of a session that the host numbers as no other of its recent ones, with room for its requests
    /// ([`frame_bytes`](super::frame_bytes)) and for replies ([`content_bytes`](super::content_bytes)).
    pub const fn new(session: u32, retry: Retry, request: &'a mut [u8], reply: &'a mut [u8]) -> Self {
        let receiver = Receiver::new(reply);
        Self { receiver, request, length: 0, session, sequence: 0, retry, due_ms: 0, wait_ms: 0, left: 0, open: false }
    }

    /// From now on as patient as this.
    pub const fn set_retry(&mut self, retry: Retry) {
        self.retry = retry;
    }

    /// Frames that were dropped so far: damaged, too long, or noise.
    pub const fn dropped(&self) -> u32 {
        self.receiver.dropped()
    }

    /// Begins a request and gives up the one before it. Returns what is to be sent now.
    ///
    /// # Errors
    /// [`LinkError::TooLong`].
    pub fn ask(&mut self, request: &Request, now_ms: u64) -> Result<&[u8], LinkError> {
        self.open = false;
        self.sequence = self.sequence.wrapping_add(1);
        let length = encode(Kind::Request, self.session, self.sequence, Some(request), self.request);
        self.length = length.ok_or(LinkError::TooLong)?;
        self.open = true;
        (self.wait_ms, self.left) = (self.retry.first_ms, self.retry.attempts.saturating_sub(1));
        self.due_ms = now_ms.saturating_add(self.wait_ms);
        self.request.get(..self.length).ok_or(LinkError::TooLong)
    }

    /// What is to be done at this time.
    ///
    /// # Errors
    /// [`LinkError::Silent`] when patience has ended; the request is then given up.
    pub fn poll(&mut self, now_ms: u64) -> Result<Poll<'_>, LinkError> {
        if !self.open {
            return Ok(Poll::Idle);
        }
        if now_ms < self.due_ms {
            return Ok(Poll::Wait(self.due_ms - now_ms));
        }
        if self.left == 0 {
            self.open = false;
            return Err(LinkError::Silent);
        }
        self.left -= 1;
        self.wait_ms = self.wait_ms.saturating_mul(2).min(self.retry.longest_ms);
        self.due_ms = now_ms.saturating_add(self.wait_ms);
        Ok(Poll::Send(self.request.get(..self.length).unwrap_or(&[])))
    }

    /// Takes a byte of the line; the reply, when it ends the one that is waited for.
    ///
    /// # Errors
    /// [`LinkError::Refused`], [`LinkError::OtherVersion`], [`LinkError::Malformed`]: each ends the request.
    pub fn receive(&mut self, byte: u8) -> Result<Option<Reply<'_>>, LinkError> {
        let Some(frame) = self.receiver.push(byte) else { return Ok(None) };
        let ours = frame.kind == Kind::Reply && (frame.session, frame.sequence) == (self.session, self.sequence);
        if !(self.open && ours) {
            return Ok(None); // an echo, or the reply to a request that was given up or answered
        }
        self.open = false;
        if frame.version != VERSION {
            return Err(LinkError::OtherVersion { device: frame.version });
        }
        match postcard::take_from_bytes(frame.message) {
            Ok((Reply::Refused(refusal), [])) => Err(refusal.into()),
            Ok((reply, [])) => Ok(Some(reply)),
            _ => Err(LinkError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    const RETRY: Retry = Retry { first_ms: 10, longest_ms: 30, attempts: 4 };

    fn client() -> Client<'static> {
        let leak = || std::vec![0; 64].leak();
        Client::new(9, RETRY, leak(), leak())
    }

    fn reply(session: u32, sequence: u32, reply: &Reply) -> Vec<u8> {
        let mut out = [0; 64];
        let length = encode(Kind::Reply, session, sequence, Some(reply), &mut out).unwrap();
        out[..length].to_vec()
    }

    fn feed(client: &mut Client, bytes: &[u8]) -> Result<bool, LinkError> {
        for &byte in bytes {
            if client.receive(byte)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[test]
    fn a_request_is_sent_again_ever_later_and_given_up_in_the_end() {
        let mut client = client();
        let first = client.ask(&Request::Status, 100).unwrap().to_vec();
        let mut sent = Vec::new();
        let end = (100..1000).find_map(|now| match client.poll(now) {
            Ok(Poll::Send(bytes)) => {
                assert_eq!(bytes, first);
                sent.push(now);
                None
            }
            Ok(_) => None,
            Err(error) => Some((now, error)),
        });
        assert_eq!((&sent[..], end), (&[110, 130, 160][..], Some((190, LinkError::Silent))));
        assert_eq!(client.poll(1000), Ok(Poll::Idle));
    }

    #[test]
    fn only_the_reply_to_the_request_under_way_counts_and_only_once() {
        let mut client = client();
        let done = Reply::Done { step: 3 };
        assert_eq!(feed(&mut client, &reply(9, 0, &done)), Ok(false), "nothing was asked");
        client.ask(&Request::Save, 0).unwrap();
        client.ask(&Request::Save, 0).unwrap();
        assert_eq!(feed(&mut client, &reply(9, 1, &done)), Ok(false), "to the request before");
        assert_eq!(feed(&mut client, &reply(8, 2, &done)), Ok(false), "to another host");
        assert_eq!(feed(&mut client, &reply(9, 2, &done)), Ok(true));
        assert_eq!(feed(&mut client, &reply(9, 2, &done)), Ok(false), "again");
        assert_eq!(client.poll(1_000_000), Ok(Poll::Idle));
    }

    #[test]
    fn a_refusal_and_another_version_are_sentences() {
        let mut client = client();
        client.ask(&Request::Save, 0).unwrap();
        assert_eq!(feed(&mut client, &reply(9, 1, &Reply::Refused(Refusal::FlashFull))), Err(LinkError::Refused(Refusal::FlashFull)));
        client.ask(&Request::Save, 0).unwrap();
        let mut content = std::vec![2, b'R', 9, 0, 0, 0, 2, 0, 0, 0];
        content.extend(super::super::CRC.checksum(&content).to_le_bytes());
        let mut frame = [0; 64];
        let length = cobs::encode(&content, &mut frame);
        let error = feed(&mut client, &frame[..=length]).unwrap_err();
        let sentence = "the device speaks version 2 of the protocol and this program version 1: use the pg-host that its firmware was built \
                        with, or flash it anew";
        assert_eq!((error, error.to_string().as_str()), (LinkError::OtherVersion { device: 2 }, sentence));
    }

    #[test]
    fn a_request_that_does_not_fit_is_refused_at_once() {
        let mut client = client();
        assert_eq!(client.ask(&Request::Push { offset: 0, bytes: &[0; 64] }, 0), Err(LinkError::TooLong));
        assert_eq!(client.poll(0), Ok(Poll::Idle));
    }
}
