//! The device's end: finds requests among bytes, has each executed once, keeps the last reply for a host that did not get it.

use super::frame::{Kind, Receiver, encode, frame_bytes};
use super::{Refusal, Reply, Request, VERSION};

/// What answers requests.
pub trait Device {
    /// Carries out a request, at once or, for [`Request::Tune`], from now on.
    ///
    /// # Errors
    /// Why it was not carried out; then nothing has changed.
    fn answer(&mut self, request: &Request<'_>) -> Result<Reply<'_>, Refusal>;
}

/// What came over the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were executed.
    pub executed: u32,
    /// Requests that had been executed before, and got the same reply again.
    pub repeated: u32,
    /// Requests of another session or version, and late copies.
    pub foreign: u32,
}

/// The device's end of the line.
pub struct Server<'a> {
    receiver: Receiver<'a>,
    reply: &'a mut [u8],
    /// Bytes of the reply that is kept.
    kept: usize,
    /// The session that a `Hello` opened, and its last request.
    last: Option<(u32, u32)>,
    counts: Counts,
    /// An answer to a request that is not this session's must not overwrite the reply that is kept.
    brief: [u8; BRIEF_BYTES],
}

/// The longest message of a brief reply: two varints of one byte, the variants of [`Reply::Refused`] and of the refusal.
const BRIEF_BYTES: usize = frame_bytes(2);

impl<'a> Server<'a> {
    /// A server that takes messages which fit `request` ([`content_bytes`](super::content_bytes)) and sends those that fit `reply`
    /// ([`frame_bytes`]).
    pub const fn new(request: &'a mut [u8], reply: &'a mut [u8]) -> Self {
        let counts = Counts { executed: 0, repeated: 0, foreign: 0 };
        Self { receiver: Receiver::new(request), reply, kept: 0, last: None, counts, brief: [0; BRIEF_BYTES] }
    }

    /// What came over the line so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Frames that were dropped so far: damaged, too long, or noise.
    pub const fn dropped(&self) -> u32 {
        self.receiver.dropped()
    }

    /// Takes a byte of the line; when it ends a request, `device` answers. Returns what is to be sent, mostly nothing.
    pub fn receive(&mut self, byte: u8, device: &mut impl Device) -> &[u8] {
        let (largest_request, largest_reply) = (self.receiver.largest_message() as u32, largest_message(self.reply.len()) as u32);
        let dropped = self.receiver.dropped();
        let Some(frame) = self.receiver.push(byte) else { return &[] };
        if frame.kind != Kind::Request {
            return &[]; // the line echoes
        }
        let (session, sequence) = (frame.session, frame.sequence);
        if frame.version != VERSION {
            // An envelope says which version this end speaks; the message of another version is not ours to read.
            self.counts.foreign += 1;
            let length = encode(Kind::Reply, session, sequence, None::<&Reply>, &mut self.brief);
            return sent(&self.brief, length);
        }
        let request = match postcard::take_from_bytes::<Request>(frame.message) {
            Ok((request, [])) => Ok(request),
            _ => Err(Refusal::Malformed),
        };
        match self.last {
            Some((current, last)) if current == session => {
                if sequence == last {
                    self.counts.repeated += 1;
                    return sent(self.reply, Some(self.kept));
                }
                if sequence < last {
                    self.counts.foreign += 1;
                    return &[]; // a late copy of a request that was answered
                }
            }
            _ if matches!(request, Ok(Request::Hello)) => {}
            _ => {
                self.counts.foreign += 1;
                let refused = Reply::Refused(Refusal::NoSession);
                let length = encode(Kind::Reply, session, sequence, Some(&refused), &mut self.brief);
                return sent(&self.brief, length);
            }
        }
        self.last = Some((session, sequence));
        self.counts.executed += 1;
        let answer = request.as_ref().map_err(|&refusal| refusal).and_then(|request| device.answer(request));
        let reply = match answer {
            Ok(Reply::Hello(hello)) => Reply::Hello(super::Hello { largest_request, largest_reply, ..hello }),
            Ok(Reply::Status(status)) => Reply::Status(super::Status { dropped, ..status }),
            Ok(reply) => reply,
            Err(refusal) => Reply::Refused(refusal),
        };
        let too_long = Reply::Refused(Refusal::ReplyTooLong);
        let length = encode(Kind::Reply, session, sequence, Some(&reply), self.reply);
        let length = length.or_else(|| encode(Kind::Reply, session, sequence, Some(&too_long), self.reply));
        self.kept = length.unwrap_or(0);
        sent(self.reply, length)
    }
}

/// The longest message of which a frame fits so many bytes, whatever COBS adds.
const fn largest_message(frame: usize) -> usize {
    // The inverse of frame_bytes(m) = c + c/254 + 3 with c = m + 14.
    let stuffed = frame.saturating_sub(3);
    (stuffed - (stuffed + 1) / 255).saturating_sub(super::ENVELOPE_BYTES)
}

fn sent(bytes: &[u8], length: Option<usize>) -> &[u8] {
    length.and_then(|length| bytes.get(..length)).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;
    use crate::link::{Sample, content_bytes};

    /// Counts what it is asked.
    struct Counter(u32);

    impl Device for Counter {
        fn answer(&mut self, request: &Request<'_>) -> Result<Reply<'_>, Refusal> {
            match request {
                Request::Hello => Ok(Reply::Done { step: 0 }),
                Request::Label { sample, .. } => {
                    sample.check(2)?;
                    self.0 += 1;
                    Ok(Reply::Done { step: self.0 })
                }
                Request::Pull { .. } => Ok(Reply::Piece { offset: 0, bytes: &[1; 100] }),
                _ => Err(Refusal::Unsupported),
            }
        }
    }

    struct Line {
        device: Counter,
        server: Server<'static>,
    }

    impl Line {
        fn new() -> Self {
            let leak = |bytes| std::vec![0; bytes].leak();
            Self { device: Counter(0), server: Server::new(leak(content_bytes(64)), leak(frame_bytes(64))) }
        }

        fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
            bytes.iter().flat_map(|&byte| self.server.receive(byte, &mut self.device).to_vec()).collect()
        }

        fn ask(&mut self, session: u32, sequence: u32, request: &Request) -> Option<(u32, Reply<'static>)> {
            self.read(&request_frame(session, sequence, request))
        }

        fn read(&mut self, bytes: &[u8]) -> Option<(u32, Reply<'static>)> {
            let answer = self.send(bytes);
            let mut content = [0; 100];
            let mut receiver = Receiver::new(&mut content);
            let mut replies = Vec::new();
            for byte in answer {
                if let Some(frame) = receiver.push(byte) {
                    assert_eq!((frame.kind, frame.version), (Kind::Reply, VERSION));
                    let message = frame.message.to_vec().leak();
                    replies.push((frame.sequence, postcard::from_bytes(message).unwrap_or(Reply::Pushed { bytes: 999 })));
                }
            }
            assert!(replies.len() <= 1);
            replies.pop()
        }
    }

    fn request_frame(session: u32, sequence: u32, request: &Request) -> Vec<u8> {
        let mut out = std::vec![0; 128];
        let length = encode(Kind::Request, session, sequence, Some(request), &mut out).unwrap();
        out.truncate(length);
        out
    }

    const LABEL: Request = Request::Label { label: 0, sample: Sample::U8(&[1, 2]) };

    #[test]
    fn a_request_that_is_sent_again_is_not_executed_again_and_gets_the_same_reply() {
        let mut line = Line::new();
        line.ask(1, 1, &Request::Hello);
        for _ in 0..5 {
            assert_eq!(line.ask(1, 2, &LABEL), Some((2, Reply::Done { step: 1 })));
        }
        assert_eq!(line.ask(1, 9, &LABEL), Some((9, Reply::Done { step: 2 })));
        assert_eq!(line.ask(1, 2, &LABEL), None, "a late copy");
        assert_eq!(line.ask(1, 9, &LABEL), Some((9, Reply::Done { step: 2 })));
        assert_eq!((line.device.0, line.server.counts()), (2, Counts { executed: 3, repeated: 5, foreign: 1 }));
    }

    #[test]
    fn without_a_hello_nothing_is_executed_and_a_foreign_request_does_not_cost_the_reply_that_is_kept() {
        let mut line = Line::new();
        let no_session = Reply::Refused(Refusal::NoSession);
        assert_eq!(line.ask(1, 1, &LABEL), Some((1, no_session)));
        line.ask(2, 1, &Request::Hello);
        line.ask(2, 2, &LABEL);
        assert_eq!(line.ask(1, 3, &LABEL), Some((3, no_session)));
        assert_eq!(line.ask(2, 2, &LABEL), Some((2, Reply::Done { step: 1 })));
        assert_eq!(line.device.0, 1);
    }

    #[test]
    fn a_request_of_another_version_gets_an_envelope_and_is_not_executed() {
        let mut line = Line::new();
        line.ask(1, 1, &Request::Hello);
        // The same frame with another version in its first byte and the check sum made anew.
        let mut content = std::vec![VERSION + 1, b'Q', 1, 0, 0, 0, 2, 0, 0, 0, 3];
        content.extend(super::super::CRC.checksum(&content).to_le_bytes());
        let mut frame = std::vec![0; 64];
        let length = cobs::encode(&content, &mut frame);
        frame.truncate(length + 1);
        assert_eq!(line.read(&frame), Some((2, Reply::Pushed { bytes: 999 })), "an empty message");
        assert_eq!(line.device.0, 0);
    }

    #[test]
    fn a_reply_that_does_not_fit_and_a_request_that_is_none_are_refused() {
        let mut line = Line::new();
        line.ask(1, 1, &Request::Hello);
        let pull = Request::Pull { generation: 0, offset: 0, bytes: 100 };
        assert_eq!(line.ask(1, 2, &pull), Some((2, Reply::Refused(Refusal::ReplyTooLong))));
        let mut out = [0; 64];
        let length = encode(Kind::Request, 1, 3, Some(&[200u8, 201]), &mut out).unwrap();
        assert_eq!(line.read(&out[..length]), Some((3, Reply::Refused(Refusal::Malformed))));
        let long = Request::Label { label: 0, sample: Sample::U8(&[1, 2, 3]) };
        assert_eq!(line.ask(1, 4, &long), Some((4, Reply::Refused(Refusal::SampleLength { found: 3, expected: 2 }))));
    }

    #[test]
    fn an_echo_is_no_request() {
        let mut line = Line::new();
        let answer = line.send(&request_frame(1, 1, &Request::Hello));
        assert!(!answer.is_empty() && line.send(&answer).is_empty());
    }

    #[test]
    fn the_longest_message_that_is_announced_fits() {
        for frame in frame_bytes(0)..2000 {
            let message = largest_message(frame);
            assert!(frame_bytes(message) <= frame && frame_bytes(message + 1) > frame, "{frame}");
        }
    }
}
