//! A device in this process, reached over TCP: a network of the zoo with the model file that it was "flashed" with. It tunes between bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pg_core::Network;
use pg_core::floats::Floats;
use pg_core::form::Scalar;
use pg_core::link::{
    Activity, CRC, Device, Form, Hello, Noise, Options, Refusal, Reply, Request, Sample, Server, Status, content_bytes, frame_bytes,
};
use pg_core::loss::{Loss, Targets};
use pg_core::model_file::Model;
use pg_core::optimiser::Sgd;
use pg_core::perturbation::{self, Distribution};
use pg_core::population::{Batch, Population, Workspace, infer};
use pg_core::zoo::Mlp64x32x10 as Net;

const ROOM: usize = 50;
const MESSAGE: usize = 300;
const CROSS_ENTROPY: Loss = Loss::CrossEntropy { label_smoothing: 0.0 };

pub struct Fake {
    flash: Vec<u8>,
    pub parameters: Vec<f32>,
    velocity: Vec<f32>,
    bytes: Vec<u8>,
    pub samples: Vec<(u16, Vec<f32>)>,
    logits: Vec<f32>,
    saved: u32,
    step: u32,
    steps_left: u32,
    loss: f32,
    generation: u32,
    options: Options,
    pushed: Option<(u32, Vec<u8>)>,
}

impl Fake {
    /// With this model in its flash.
    pub fn flashed(flash: Vec<u8>) -> Self {
        let mut parameters = vec![0.0; Net::PARAMS];
        Model::decode(&flash).unwrap().parameters_into::<Net>(&mut parameters).unwrap();
        let options = Options {
            rate: 0.05,
            momentum: 0.9,
            weight_decay: 0.0,
            population: 2,
            rho: 0.3,
            noise: Noise::Rademacher,
            antithetic: true,
            batch: 8,
            layers: u64::MAX,
            biases: false,
            hold_out: 0,
            look_every: 10,
            patience: 0,
            seed: 1,
        };
        Self {
            flash,
            parameters,
            velocity: vec![0.0; Net::PARAMS],
            bytes: Vec::new(),
            samples: Vec::new(),
            logits: Vec::new(),
            saved: 0,
            step: 0,
            steps_left: 0,
            loss: f32::NAN,
            generation: 1,
            options,
            pushed: None,
        }
    }

    /// Listens on a port of this machine, and hangs up after so many bytes; returns what `--port` takes, and the device.
    pub fn listen(self, hang_up_after: usize) -> (String, Arc<Mutex<Self>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = format!("tcp:{}", listener.local_addr().unwrap());
        let device = Arc::new(Mutex::new(self));
        let shared = Arc::clone(&device);
        std::thread::spawn(move || {
            let (mut request, mut reply) = (vec![0; content_bytes(MESSAGE)], vec![0; frame_bytes(MESSAGE)]);
            let mut server = Server::new(&mut request, &mut reply);
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
                let mut received = 0;
                let mut bytes = [0; 64];
                while received < hang_up_after {
                    let count = match stream.read(&mut bytes) {
                        Ok(0) => break,
                        Ok(count) => count,
                        Err(reason) if matches!(reason.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
                        Err(_) => break,
                    };
                    received += count;
                    let mut device = shared.lock().unwrap();
                    for &byte in &bytes[..count] {
                        let _ = stream.write_all(server.receive(byte, &mut *device));
                    }
                    if device.steps_left > 0 {
                        device.tune();
                    }
                }
            }
        });
        (port, device)
    }

    /// Normalised, as the model says.
    fn inputs<'a>(&self, samples: impl Iterator<Item = &'a Vec<f32>>) -> Vec<f32> {
        let model = Model::decode(&self.flash).unwrap();
        let raw: Vec<f32> = samples.flatten().copied().collect();
        let mut inputs = vec![0.0; raw.len()];
        model.normalisation.apply(Net::INPUT, &raw, &mut inputs);
        inputs
    }

    fn infer(&self, sample: &Vec<f32>) -> Vec<f32> {
        let mut memory = vec![0.0; Workspace::len::<Net, Scalar>(1)];
        let mut workspace = Workspace::new::<Net, Scalar>(1, &mut memory);
        infer::<Net, Scalar>(&self.parameters, &self.inputs([sample].into_iter()), 1, &mut workspace).to_vec()
    }

    fn tune(&mut self) {
        let Options { population: members, rho, antithetic, noise, .. } = self.options;
        let distribution = if noise == Noise::Gaussian { Distribution::Gaussian } else { Distribution::Rademacher };
        let noise = perturbation::Noise { distribution, ..perturbation::Noise::new(rho) };
        let population = Population { noise, antithetic, ..Population::new(members, rho) };
        let count = usize::from(self.options.batch).min(self.samples.len());
        let first = self.step as usize * count;
        let batch: Vec<&(u16, Vec<f32>)> = (0..count).map(|i| &self.samples[(first + i) % self.samples.len()]).collect();
        let labels: Vec<u16> = batch.iter().map(|(label, _)| *label).collect();
        let inputs = self.inputs(batch.iter().map(|(_, sample)| sample));
        let batch = Batch { inputs: &inputs, targets: Targets::Classes(&labels), samples: count };
        let (mut scales, mut weights) = (vec![0.0; Net::FILTERS], vec![0.0; Population::weights_len::<Net, Scalar>()]);
        let mut memory = vec![0.0; Workspace::len::<Net, Scalar>(count)];
        let mut workspace = Workspace::new::<Net, Scalar>(count, &mut memory);
        let mut gradient = vec![0.0; Net::PARAMS];
        let (seed, step) = (self.options.seed, self.step);
        let parameters = &self.parameters;
        let loss = population.gradient::<Net, Scalar>(
            &CROSS_ENTROPY,
            seed,
            step,
            parameters,
            &batch,
            &mut scales,
            &mut weights,
            &mut workspace,
            &mut gradient,
        );
        self.loss = loss.unwrap().loss;
        let sgd = Sgd { momentum: self.options.momentum, nesterov: false, weight_decay: self.options.weight_decay };
        sgd.step::<f32>(self.options.rate, &gradient, &mut self.velocity, &mut self.parameters);
        self.step += 1;
        self.steps_left -= 1;
        self.generation += 1;
    }

    fn sample(&self, sample: &Sample) -> Result<Vec<f32>, Refusal> {
        sample.check(Net::INPUT.len())?;
        match sample.form() {
            Form::U8 => Ok(sample.values().collect()),
            _ => Err(Refusal::SampleForm { kept: Form::U8 }),
        }
    }
}

impl Device for Fake {
    fn answer(&mut self, request: &Request<'_>) -> Result<Reply<'_>, Refusal> {
        let total = 4 * Net::PARAMS as u32;
        let busy = self.steps_left > 0 && !matches!(request, Request::Hello | Request::Status | Request::Stop | Request::Plan { .. });
        if busy {
            return Err(Refusal::Busy);
        }
        let done = Reply::Done { step: self.step };
        match *request {
            Request::Hello => Ok(Reply::Hello(Hello {
                firmware: "fake 1",
                fingerprint: Net::fingerprint(),
                model_crc: CRC.checksum(&self.flash),
                input: (1, 8, 8),
                classes: 10,
                params: Net::PARAMS as u32,
                form: Form::U8,
                samples: ROOM as u32,
                plan_rows: 2,
                largest_request: 0,
                largest_reply: 0,
            })),
            Request::Plan { row: 0 } => Ok(Reply::Plan { name: "parameters", bytes: total }),
            Request::Plan { row: 1 } => Ok(Reply::Plan { name: "samples", bytes: 64 * ROOM as u32 }),
            Request::Infer { sample } => {
                self.logits = self.infer(&self.sample(&sample)?);
                let class = (1..10).fold(0, |best, class| if self.logits[class] > self.logits[best] { class } else { best });
                Ok(Reply::Inferred { class: class as u16, logits: Floats::new(&self.logits) })
            }
            Request::Label { label, .. } if label >= 10 => Err(Refusal::NoSuchClass { label, classes: 10 }),
            Request::Label { .. } if self.samples.len() == ROOM => Err(Refusal::RingFull { samples: ROOM as u32 }),
            Request::Label { label, sample } => {
                self.samples.push((label, self.sample(&sample)?));
                Ok(done)
            }
            Request::Tune { .. } if self.samples.is_empty() => Err(Refusal::NoSamples),
            Request::Tune { steps, options } => {
                self.options = options.unwrap_or(self.options);
                self.steps_left = steps;
                Ok(done)
            }
            Request::Stop => {
                self.steps_left = 0;
                Ok(done)
            }
            Request::Evaluate { .. } if self.samples.is_empty() => Err(Refusal::NoSamples),
            Request::Evaluate { .. } => {
                let best = |logits: Vec<f32>| (0..10).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
                let right = self.samples.iter().filter(|(label, sample)| best(self.infer(sample)) == usize::from(*label)).count();
                Ok(Reply::Evaluated { samples: self.samples.len() as u32, right: right as u32, loss_nats: self.loss })
            }
            Request::Status => Ok(Reply::Status(Status {
                activity: if self.steps_left > 0 { Activity::Tuning } else { Activity::Idle },
                step: self.step,
                steps_left: self.steps_left,
                samples: self.samples.len() as u32,
                held_out: 0,
                loss_nats: self.loss,
                best_loss_nats: f32::INFINITY,
                best_step: 0,
                saved: self.saved,
                generation: self.generation,
                dropped: 0,
            })),
            Request::Save => {
                self.saved += 1;
                Ok(Reply::Saved { sequence: self.saved })
            }
            Request::RollBack => Err(Refusal::NothingKept),
            Request::Forget { samples } => {
                self.samples.drain(..(samples as usize).min(self.samples.len()));
                Ok(done)
            }
            Request::Reset => {
                *self = Self::flashed(std::mem::take(&mut self.flash));
                Ok(Reply::Done { step: 0 })
            }
            Request::SelfTest => Ok(Reply::Tested { passed: 3, of: 3 }),
            Request::Parameters => {
                self.bytes = self.parameters.iter().flat_map(|number| number.to_le_bytes()).collect();
                Ok(Reply::Parameters { generation: self.generation, bytes: total, crc: CRC.checksum(&self.bytes) })
            }
            Request::Pull { generation, .. } if generation != self.generation => Err(Refusal::Changed),
            Request::Pull { offset, bytes, .. } => {
                let piece = self.bytes.get(offset as usize..).and_then(|rest| rest.get(..bytes as usize));
                Ok(Reply::Piece { offset, bytes: piece.ok_or(Refusal::OutOfRange)? })
            }
            Request::BeginPush { fingerprint, .. } if fingerprint != Net::fingerprint() => {
                Err(Refusal::OtherNetwork { device: Net::fingerprint() })
            }
            Request::BeginPush { bytes, .. } if bytes != total => Err(Refusal::PushLength { found: bytes, expected: total }),
            Request::BeginPush { crc, .. } => {
                let pushed = self.pushed.take().filter(|(of, _)| *of == crc).map_or_else(Vec::new, |(_, bytes)| bytes);
                let bytes = pushed.len() as u32;
                self.pushed = Some((crc, pushed));
                Ok(Reply::Pushed { bytes })
            }
            Request::Push { offset, bytes } => {
                let (_, pushed) = self.pushed.as_mut().ok_or(Refusal::NothingPushed)?;
                if offset as usize != pushed.len() {
                    return Err(Refusal::Offset { expected: pushed.len() as u32 });
                }
                pushed.extend(bytes);
                Ok(Reply::Pushed { bytes: pushed.len() as u32 })
            }
            Request::EndPush => {
                let (crc, pushed) = self.pushed.take().ok_or(Refusal::NothingPushed)?;
                let numbers = Floats::from_le_bytes(&pushed).filter(|numbers| numbers.len() == Net::PARAMS && CRC.checksum(&pushed) == crc);
                numbers.ok_or(Refusal::PushDamaged)?.copy_into(&mut self.parameters);
                self.generation += 1;
                Ok(done)
            }
            _ => Err(Refusal::OutOfRange),
        }
    }
}
