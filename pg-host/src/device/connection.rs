//! One request after another over a line, sent again when the reply is late, over a line that is opened again when it breaks.

use std::io;
use std::time::Duration;

use pg_core::Shape;
use pg_core::link::{Client, Form, LinkError, Poll, Refusal, Reply, Request, Retry, Status, content_bytes, frame_bytes};

use super::Line;

/// The longest message of either side that this program is ready for.
const MESSAGE_BYTES: usize = 1 << 16;
/// How long a broken line is opened again and again.
const REOPEN_MS: u64 = 10_000;
/// The wait between two attempts.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The protocol's own reasons.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The line broke and stayed broken.
    #[error("the line to the device is broken: {0}; plug it in again, and what was under way goes on with the same command")]
    Line(String),
    /// A reply of another kind than the request asks for.
    #[error("the device answered something else than was asked: use the pg-host that its firmware was built with")]
    Unexpected,
    /// The pulled parameters are not those that were announced.
    #[error("the parameters arrived damaged: pull them again")]
    Damaged,
    /// They change faster than they can be pulled.
    #[error("the parameters change while they are pulled: stop tuning first")]
    Unsteady,
}

impl DeviceError {
    /// Why the device refused, if it did.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            DeviceError::Link(LinkError::Refused(refusal)) => Some(*refusal),
            _ => None,
        }
    }
}

/// Memory for a connection, which borrows it.
pub struct Buffers {
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Buffers {
    /// For messages of up to 64 KB.
    #[allow(clippy::new_without_default, reason = "large memory is not made by the way")]
    pub fn new() -> Self {
        Self { request: vec![0; frame_bytes(MESSAGE_BYTES)], reply: vec![0; content_bytes(MESSAGE_BYTES)] }
    }
}

/// Who a device says it is: [`pg_core::link::Hello`], owned.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names and meanings of the reply")]
pub struct Greeting {
    pub firmware: String,
    pub fingerprint: u64,
    pub model_crc: u32,
    pub input: Shape,
    pub classes: u16,
    pub params: u32,
    pub form: Form,
    pub samples: u32,
    pub plan_rows: u16,
    pub largest_request: u32,
    pub largest_reply: u32,
}

/// A number for a session that no other host has chosen lately: from the clock, which no result depends on.
pub fn session() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u32 ^ std::process::id().rotate_left(16)
}

/// A line with a client.
pub struct Connection<'a> {
    line: &'a mut dyn Line,
    client: Client<'a>,
}

impl<'a> Connection<'a> {
    /// A connection in a session of this number, which another host, or this one at another time, should not choose.
    pub fn new(line: &'a mut dyn Line, session: u32, retry: Retry, buffers: &'a mut Buffers) -> Self {
        Self { line, client: Client::new(session, retry, &mut buffers.request, &mut buffers.reply) }
    }

    /// From now on as patient as this.
    pub fn set_retry(&mut self, retry: Retry) {
        self.client.set_retry(retry);
    }

    /// Lets time pass.
    pub fn pause(&mut self, time: Duration) {
        self.line.pause(time);
    }

    /// Asks, and lets `read` take from the reply what is wanted; `None` when the reply is of another kind.
    ///
    /// # Errors
    /// [`DeviceError`]; after [`LinkError::Silent`] or a broken line the request may have been executed.
    pub fn ask<T>(&mut self, request: &Request, read: impl FnOnce(Reply<'_>) -> Option<T>) -> Result<T, DeviceError> {
        let Self { line, client } = self;
        let now = line.now_ms();
        let first = client.ask(request, now)?;
        let mut sent = line.send(first);
        let mut bytes = [0; 512];
        loop {
            let received = match std::mem::replace(&mut sent, Ok(())) {
                Ok(()) => match client.poll(line.now_ms())? {
                    Poll::Send(again) => {
                        sent = line.send(again);
                        continue;
                    }
                    Poll::Wait(ms) => line.receive(&mut bytes, Duration::from_millis(ms)),
                    Poll::Idle => return Err(LinkError::Silent.into()),
                },
                Err(reason) => Err(reason),
            };
            match received {
                Ok(count) => {
                    for &byte in &bytes[..count] {
                        if let Some(reply) = client.receive(byte)? {
                            return read(reply).ok_or(DeviceError::Unexpected);
                        }
                    }
                }
                Err(reason) => open_again(&mut **line, reason)?,
            }
        }
    }

    /// Opens the session.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub fn hello(&mut self) -> Result<Greeting, DeviceError> {
        self.ask(&Request::Hello, |reply| match reply {
            Reply::Hello(hello) => Some(Greeting {
                firmware: hello.firmware.into(),
                fingerprint: hello.fingerprint,
                model_crc: hello.model_crc,
                input: Shape::new(hello.input.0 as usize, hello.input.1 as usize, hello.input.2 as usize),
                classes: hello.classes,
                params: hello.params,
                form: hello.form,
                samples: hello.samples,
                plan_rows: hello.plan_rows,
                largest_request: hello.largest_request,
                largest_reply: hello.largest_reply,
            }),
            _ => None,
        })
    }

    /// What the device does.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub fn status(&mut self) -> Result<Status, DeviceError> {
        self.ask(&Request::Status, |reply| match reply {
            Reply::Status(status) => Some(status),
            _ => None,
        })
    }

    /// Asks for something that is done and no more; the step at which it took effect.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub fn act(&mut self, request: &Request) -> Result<u32, DeviceError> {
        self.ask(request, |reply| match reply {
            Reply::Done { step } => Some(step),
            _ => None,
        })
    }
}

/// Opens a broken line again, for a while.
fn open_again(line: &mut dyn Line, mut reason: io::Error) -> Result<(), DeviceError> {
    let until = line.now_ms() + REOPEN_MS;
    while line.now_ms() < until {
        match line.open_again() {
            Ok(()) => return Ok(()),
            Err(now) => reason = now,
        }
        line.pause(REOPEN_PAUSE);
    }
    Err(DeviceError::Line(reason.to_string()))
}
