//! A serial line in simulated time, with a device at its other end: bytes take their time, and some are flipped, lost, doubled or late.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use pg_core::link::{Counts, Server, content_bytes, frame_bytes};
use pg_host::device::Line;

use super::fake::Fake;

/// Ten bits at 115,200 a second.
const BYTE_US: u64 = 87;
const MESSAGE: usize = 400;

/// Random numbers (xorshift, Marsaglia 2003), for faults that are the same in every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }

    fn happens(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) < probability * (1u64 << 53) as f64
    }
}

/// Bytes on their way in one direction, each with the time at which it arrives.
#[derive(Default)]
struct Way {
    bytes: VecDeque<(u64, u8)>,
    free_us: u64,
}

impl Way {
    fn carry(&mut self, now: u64, byte: u8, faults: f64, random: &mut Random) {
        self.free_us = self.free_us.max(now) + BYTE_US;
        let mut byte = byte;
        if random.happens(faults) {
            byte ^= 1 << random.below(8);
        }
        if random.happens(faults) {
            return; // lost
        }
        if random.happens(faults) {
            self.bytes.push_back((self.free_us, byte));
        }
        if random.happens(faults / 2.0) {
            // The whole line stands still, long enough that a request is repeated.
            self.free_us += u64::from(random.below(500_000));
        }
        let late = if random.happens(faults / 2.0) { u64::from(random.below(20)) * BYTE_US } else { 0 };
        let at = self.free_us + late;
        let place = self.bytes.iter().rposition(|&(time, _)| time <= at).map_or(0, |i| i + 1);
        self.bytes.insert(place, (at, byte));
    }
}

/// When the line breaks, when it can be opened again, and whether the device starts anew with it.
struct Break {
    from_us: u64,
    until_us: u64,
    restart: bool,
    done: bool,
}

pub struct Wire {
    pub device: Fake,
    server: Server<'static>,
    random: Random,
    faults: f64,
    up: Way,
    down: Way,
    now_us: u64,
    broken: Option<Break>,
}

fn server() -> Server<'static> {
    // Some hundred bytes for each line of a test.
    Server::new(vec![0; content_bytes(MESSAGE)].leak(), vec![0; frame_bytes(MESSAGE)].leak())
}

impl Wire {
    /// Each byte meets each of the four faults with this probability.
    pub fn new(seed: u64, faults: f64) -> Self {
        let (device, random) = (Fake::new(), Random::new(seed));
        Self { device, server: server(), random, faults, up: Way::default(), down: Way::default(), now_us: 0, broken: None }
    }

    pub fn break_at(&mut self, from_us: u64, for_us: u64, restart: bool) {
        self.broken = Some(Break { from_us, until_us: from_us.saturating_add(for_us), restart, done: false });
    }

    pub fn broke(&self) -> bool {
        self.broken.as_ref().is_some_and(|broken| broken.done)
    }

    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    pub fn counts(&self) -> Counts {
        self.server.counts()
    }

    pub fn dropped(&self) -> u32 {
        self.server.dropped()
    }

    fn is_broken(&mut self) -> bool {
        let now = self.now_us;
        let Some(broken) = self.broken.as_mut().filter(|broken| !broken.done && broken.from_us <= now) else { return false };
        (self.up, self.down) = (Way::default(), Way::default());
        if broken.restart {
            self.server = server();
            self.device.start_anew();
            broken.restart = false;
        }
        true
    }
}

fn unplugged() -> Error {
    Error::new(ErrorKind::BrokenPipe, "unplugged")
}

impl Line for Wire {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        if self.is_broken() {
            return Err(unplugged());
        }
        bytes.iter().for_each(|&byte| self.up.carry(self.now_us, byte, self.faults, &mut self.random));
        Ok(())
    }

    fn receive(&mut self, bytes: &mut [u8], wait: Duration) -> Result<usize> {
        let until = self.now_us + wait.as_micros() as u64;
        loop {
            if self.is_broken() {
                return Err(unplugged());
            }
            let (up, down) = (self.up.bytes.front().copied(), self.down.bytes.front().copied());
            match (up, down) {
                (Some((at, byte)), other) if at <= until && other.is_none_or(|(then, _)| at <= then) => {
                    self.now_us = self.now_us.max(at);
                    self.up.bytes.pop_front();
                    for &byte in self.server.receive(byte, &mut self.device) {
                        self.down.carry(self.now_us, byte, self.faults, &mut self.random);
                    }
                }
                (_, Some((at, byte))) if at <= until => {
                    self.now_us = self.now_us.max(at);
                    self.down.bytes.pop_front();
                    bytes[0] = byte;
                    return Ok(1);
                }
                _ => {
                    self.now_us = until;
                    return Ok(0);
                }
            }
        }
    }

    fn open_again(&mut self) -> Result<()> {
        match &mut self.broken {
            Some(broken) if self.now_us < broken.until_us => Err(unplugged()),
            Some(broken) => {
                broken.done = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn now_ms(&mut self) -> u64 {
        self.now_us / 1000
    }

    fn pause(&mut self, time: Duration) {
        self.now_us += time.as_micros() as u64;
    }
}
