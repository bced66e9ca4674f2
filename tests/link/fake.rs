//! A device in memory: fifty parameters, samples, and a log of what it was asked and answered. It computes nothing but check sums.

use pg_core::floats::Floats;
use pg_core::link::{Activity, CRC, Device, Form, Hello, Refusal, Reply, Request, Status};

pub const PARAMS: usize = 50;
pub const INPUTS: usize = 64;
pub const FINGERPRINT: u64 = 0x1234;
const CLASSES: u16 = 3;
const ROOM: usize = 40;

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub parameters: Vec<u8>,
    pub samples: Vec<(u16, Vec<f32>)>,
    /// For a pull that is outrun.
    pub changes_after_pulls: Option<u32>,
    saved: Vec<u8>,
    saves: u32,
    step: u32,
    generation: u32,
    pushed: Option<(u32, Vec<u8>)>,
    logits: [f32; CLASSES as usize],
}

pub struct Fake {
    pub state: State,
    /// Requests and replies as postcard writes them.
    pub log: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Fake {
    pub fn new() -> Self {
        let parameters: Vec<u8> = (0..PARAMS).flat_map(|i| (1.0 / (1.0 + i as f32)).to_le_bytes()).collect();
        let state = State {
            saved: parameters.clone(),
            parameters,
            samples: Vec::new(),
            changes_after_pulls: None,
            saves: 0,
            step: 0,
            generation: 1,
            pushed: None,
            logits: [0.0; 3],
        };
        Self { state, log: Vec::new() }
    }

    /// How many requests of a kind were executed.
    pub fn executed(&self, kind: impl Fn(&Request) -> bool) -> usize {
        self.log.iter().filter(|(request, _)| kind(&postcard::from_bytes(request).unwrap())).count()
    }

    /// What a power cut leaves, with parameters saved all the time.
    pub fn start_anew(&mut self) {
        self.state.pushed = None;
    }
}

impl Device for Fake {
    fn answer(&mut self, request: &Request<'_>) -> Result<Reply<'_>, Refusal> {
        let answer = self.state.answer(request);
        let reply = answer.unwrap_or_else(Reply::Refused);
        self.log.push((super::bytes(request), super::bytes(&reply)));
        answer
    }
}

impl State {
    fn check_not_pulled_twice(&mut self) {
        if let Some(left) = &mut self.changes_after_pulls {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.changes_after_pulls = None;
                self.parameters[0] ^= 1;
                self.generation += 1;
            }
        }
    }

    pub fn answer(&mut self, request: &Request<'_>) -> Result<Reply<'_>, Refusal> {
        let total = self.parameters.len() as u32;
        let done = Reply::Done { step: self.step };
        match *request {
            Request::Hello => Ok(Reply::Hello(Hello {
                firmware: "fake",
                fingerprint: FINGERPRINT,
                model_crc: 0,
                input: (1, 8, 8),
                classes: CLASSES,
                params: PARAMS as u32,
                form: Form::F32,
                samples: ROOM as u32,
                plan_rows: 0,
                largest_request: 0,
                largest_reply: 0,
            })),
            Request::Infer { sample } => {
                sample.check(INPUTS)?;
                self.logits = [0, 1, 2].map(|class| sample.values().skip(class).step_by(3).sum());
                Ok(Reply::Inferred { class: 0, logits: Floats::new(&self.logits) })
            }
            Request::Label { label, sample } => {
                sample.check(INPUTS)?;
                if label >= CLASSES {
                    return Err(Refusal::NoSuchClass { label, classes: CLASSES });
                }
                if self.samples.len() == ROOM {
                    return Err(Refusal::RingFull { samples: ROOM as u32 });
                }
                self.samples.push((label, sample.values().collect()));
                Ok(done)
            }
            Request::Tune { steps: 0, .. } => Err(Refusal::NoSteps),
            Request::Tune { .. } if self.samples.is_empty() => Err(Refusal::NoSamples),
            Request::Tune { steps, .. } => {
                for _ in 0..steps {
                    let crc = CRC.checksum(&self.parameters);
                    self.parameters[..2].copy_from_slice(&crc.to_le_bytes()[..2]);
                    self.step += 1;
                }
                self.generation += 1;
                Ok(done)
            }
            Request::Evaluate { .. } => Ok(Reply::Evaluated { samples: self.samples.len() as u32, right: 0, loss_nats: 0.5 }),
            Request::Status => Ok(Reply::Status(Status {
                activity: Activity::Idle,
                step: self.step,
                steps_left: 0,
                samples: self.samples.len() as u32,
                held_out: 0,
                loss_nats: f32::NAN,
                best_loss_nats: f32::INFINITY,
                best_step: 0,
                saved: self.saves,
                generation: self.generation,
                dropped: 0,
            })),
            Request::Save => {
                self.saved.clone_from(&self.parameters);
                self.saves += 1;
                Ok(Reply::Saved { sequence: self.saves })
            }
            Request::RollBack => {
                self.parameters.clone_from(&self.saved);
                self.generation += 1;
                Ok(done)
            }
            Request::Parameters => Ok(Reply::Parameters { generation: self.generation, bytes: total, crc: CRC.checksum(&self.parameters) }),
            Request::Pull { generation, offset, bytes } => {
                self.check_not_pulled_twice();
                if generation != self.generation {
                    return Err(Refusal::Changed);
                }
                let piece = self.parameters.get(offset as usize..).and_then(|rest| rest.get(..bytes as usize));
                Ok(Reply::Piece { offset, bytes: piece.ok_or(Refusal::OutOfRange)? })
            }
            Request::BeginPush { fingerprint, .. } if fingerprint != FINGERPRINT => Err(Refusal::OtherNetwork { device: FINGERPRINT }),
            Request::BeginPush { bytes, .. } if bytes != total => Err(Refusal::PushLength { found: bytes, expected: total }),
            Request::BeginPush { crc, .. } => {
                if self.pushed.as_ref().is_none_or(|(of, _)| *of != crc) {
                    self.pushed = Some((crc, Vec::new()));
                }
                Ok(Reply::Pushed { bytes: self.pushed.as_ref().map_or(0, |(_, bytes)| bytes.len() as u32) })
            }
            Request::Push { offset, bytes } => {
                let (_, pushed) = self.pushed.as_mut().ok_or(Refusal::NothingPushed)?;
                if offset as usize != pushed.len() || pushed.len() + bytes.len() > total as usize {
                    return Err(Refusal::Offset { expected: pushed.len() as u32 });
                }
                pushed.extend(bytes);
                Ok(Reply::Pushed { bytes: pushed.len() as u32 })
            }
            Request::EndPush => {
                let (crc, pushed) = self.pushed.take().ok_or(Refusal::NothingPushed)?;
                if CRC.checksum(&pushed) != crc {
                    return Err(Refusal::PushDamaged);
                }
                if !Floats::from_le_bytes(&pushed).is_some_and(|floats| floats.are_finite()) {
                    return Err(Refusal::NotFinite);
                }
                self.parameters = pushed;
                self.generation += 1;
                Ok(done)
            }
            _ => Err(Refusal::Unsupported),
        }
    }
}
