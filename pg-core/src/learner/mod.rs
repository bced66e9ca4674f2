//! A device that learns: what answers the link's requests, with a tuner and a store. Firmware only brings a line, a flash and memory.
//!
//! A [`Learner`] makes its tuner anew for each thing that it does, from the lent memory, the settings and the state: these are all that there
//! is, so what is saved and what is resumed cannot differ. Tuning goes on when [`Learner::advance`] is called, a step at a time; between two
//! steps every request is answered. Samples are in flash before they are acknowledged. The state is saved when tuning begins, every so many
//! steps, and when it ends; a device that starts finds it and goes on with the same bits.
//!
//! It knows no UART, no clock and no board, and nothing in it panics once it is open.

mod kept;
mod options;
mod saved;
mod start;
mod transfer;

use core::marker::PhantomData;

use embedded_storage::nor_flash::NorFlash;

pub use self::kept::{Kept, record_bytes};
pub use self::options::settings;
pub use self::start::StartError;

use self::transfer::Push;
use crate::floats::Floats;
use crate::lane::Lane;
use crate::layers::SegmentKind;
use crate::link::{Activity, CRC, Device, Hello, Options, Part, Refusal, Reply, Request, Sample, Status};
use crate::model_file::{self, Model};
use crate::network::Network;
use crate::noise::{Purpose, Stream};
use crate::normalisation::Normalisation;
use crate::store::{Layout, Store};
use crate::tuner::{FineTuner, Memory, Settings, State, TuneError};

/// What a device says of itself, and how it begins.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The board, and the firmware with its version.
    pub firmware: &'a str,
    /// The model file that it was built with.
    pub model: &'a [u8],
    /// How it tunes until a host gives other options.
    pub options: Options,
    /// Its memory plan.
    pub plan: &'a [(&'a str, usize)],
    /// CRC-32 of the outputs of the known networks ([`Learner::known`]), as a desktop computes them.
    pub known: &'a [u32],
    /// Steps of tuning between two saves; 0 saves only at the beginning and the end.
    pub save_every: u32,
}

/// Bytes of the longest state of a device with network `N` and room for so many samples: what a slot of the flash needs room for.
pub const fn state_bytes<N: Network>(samples: usize) -> u32 {
    // Parameters, velocity and the best parameters.
    (saved::HEAD_BYTES + samples + 3 * 4 * N::PARAMS) as u32
}

/// The memory of a learner, lent by the caller.
pub struct Lent<'a, S> {
    /// The tuner's.
    pub tuner: Memory<'a, S>,
    /// A sample, a value for each input.
    pub sample: &'a mut [S],
    /// A number for each class.
    pub outputs: &'a mut [f32],
    /// A sample of the log ([`record_bytes`]), or a piece of the parameters: as long as the longest that is to be pulled at once.
    pub piece: &'a mut [u8],
}

/// All that a tuner is made of.
struct Tuning<'a, N, L, S, const BATCH: usize> {
    memory: Memory<'a, S>,
    normalisation: Normalisation<'a>,
    settings: Settings,
    state: State,
    network: PhantomData<fn() -> (N, L)>,
}

impl<N: Network, L: Lane, S: Kept, const BATCH: usize> Tuning<'_, N, L, S, BATCH> {
    fn tuner(&mut self) -> Result<FineTuner<'_, N, L, S, BATCH>, TuneError> {
        let Memory { parameters, working, samples, entries, best } = &mut self.memory;
        FineTuner::resume(Memory { parameters, working, samples, entries, best }, self.normalisation, self.settings, self.state)
    }

    fn parameters_mut(&mut self) -> &mut [f32] {
        self.memory.parameters.get_mut(..N::PARAMS).unwrap_or_default()
    }
}

/// A device with network `N`, computed in lanes `L`, samples kept as `S`, a flash `F`, and batches of `BATCH`.
pub struct Learner<'a, N, L, S, F, const BATCH: usize> {
    about: About<'a>,
    factory: Model<'a>,
    tuning: Tuning<'a, N, L, S, BATCH>,
    sample: &'a mut [S],
    outputs: &'a mut [f32],
    piece: &'a mut [u8],
    store: Store<F>,
    options: Options,
    activity: Activity,
    steps_left: u32,
    loss: f32,
    generation: u32,
    pushed: Option<Push>,
}

impl<'a, N: Network, L: Lane, S: Kept, F: NorFlash, const BATCH: usize> Learner<'a, N, L, S, F, BATCH> {
    /// Of all parameters.
    const BYTES: u32 = 4 * N::PARAMS as u32;

    /// A device with this model, and with what is in its flash.
    ///
    /// # Errors
    /// When the model is another network's or damaged, the options make no sense, the memory is too little, or the flash refuses.
    pub fn open(about: About<'a>, lent: Lent<'a, S>, flash: F, layout: Layout) -> Result<Self, StartError> {
        let factory = Model::decode(about.model)?;
        factory.check::<N>()?;
        let Lent { tuner: memory, sample, outputs, piece } = lent;
        let enough = |found: usize, needed: usize| {
            if found < needed { Err(TuneError::TooLittleMemory { needed, lent: found }) } else { Ok(()) }
        };
        enough(sample.len(), N::INPUT.len())?;
        enough(outputs.len(), N::OUTPUTS)?;
        enough(piece.len(), record_bytes::<S>(N::INPUT.len()))?;
        let options = Options { batch: BATCH as u16, ..about.options };
        let settings = settings(&options);
        let state = State::first(options.seed, 0);
        let mut tuning = Tuning { memory, normalisation: factory.normalisation, settings, state, network: PhantomData };
        tuning.tuner()?;
        let mut learner = Self {
            about,
            factory,
            tuning,
            sample: sample.get_mut(..N::INPUT.len()).unwrap_or_default(),
            outputs: outputs.get_mut(..N::OUTPUTS).unwrap_or_default(),
            piece,
            store: Store::open(flash, layout, N::fingerprint())?,
            options,
            activity: Activity::Idle,
            steps_left: 0,
            loss: f32::NAN,
            generation: 0,
            pushed: None,
        };
        learner.restore()?;
        Ok(learner)
    }

    /// Gives the flash back.
    pub fn close(self) -> F {
        self.store.close()
    }

    /// The parameters.
    pub fn parameters(&self) -> &[f32] {
        self.tuning.memory.parameters.get(..N::PARAMS).unwrap_or_default()
    }

    /// Whether there is a step to be taken.
    pub fn is_tuning(&self) -> bool {
        self.steps_left > 0
    }

    /// Takes a step, if it tunes. What it cannot save it keeps in memory, and says so when it is asked to save.
    pub fn advance(&mut self) {
        let Some(left) = self.steps_left.checked_sub(1) else { return };
        (self.steps_left, self.activity) = (0, Activity::Idle);
        let Ok(mut tuner) = self.tuner() else { return };
        let outcome = tuner.step();
        self.tuning.state = tuner.state();
        self.generation = self.generation.wrapping_add(1);
        match outcome {
            Ok(step) => {
                self.loss = step.loss;
                if step.stopped {
                    self.activity = Activity::Stopped;
                } else if left > 0 {
                    (self.steps_left, self.activity) = (left, Activity::Tuning);
                }
            }
            Err(TuneError::Diverged) => self.activity = Activity::Diverged,
            Err(_) => {}
        }
        if !self.is_tuning() || self.tuning.state.step.checked_rem(self.about.save_every) == Some(0) {
            let _ = self.save();
        }
    }

    /// CRC-32 of the outputs of network `N` with parameters and an input that follow from `seed`: whoever computes the same bits gets the
    /// same. `None` without spare memory for the parameters.
    pub fn known(&mut self, seed: u64) -> Option<u32> {
        self.pushed = None;
        let Self { tuning, outputs, .. } = self;
        let mut tuner = tuning.tuner().ok()?;
        write_known::<N>(seed, tuner.spare());
        tuner.infer_spare(known_input(seed), outputs)?;
        Some(checksum(outputs))
    }

    fn tuner(&mut self) -> Result<FineTuner<'_, N, L, S, BATCH>, Refusal> {
        self.tuning.tuner().map_err(start::refusal)
    }

    /// Everything as the factory has it, but for the samples.
    fn be_as_new(&mut self) {
        if let Some(parameters) = self.tuning.memory.parameters.get_mut(..N::PARAMS) {
            let _ = self.factory.parameters_into::<N>(parameters);
        }
        self.tuning.memory.working.fill(0.0);
        self.options = Options { batch: BATCH as u16, ..self.about.options };
        self.tuning.settings = settings(&self.options);
        self.tuning.state = State::first(self.options.seed, 0);
        (self.activity, self.steps_left, self.loss, self.pushed) = (Activity::Idle, 0, f32::NAN, None);
        self.generation = self.generation.wrapping_add(1);
    }

    /// Samples in the ring.
    fn samples(&self) -> u32 {
        self.tuning.memory.entries.iter().count() as u32
    }

    /// Whether a sample is one for this network, and its values, in the lent memory.
    fn read(&mut self, sample: &Sample<'_>) -> Result<(), Refusal> {
        if sample.form() != S::FORM {
            return Err(Refusal::SampleForm { kept: S::FORM });
        }
        sample.check(N::INPUT.len())?;
        self.sample.iter_mut().zip(sample.values()).for_each(|(to, value)| *to = S::of(value));
        Ok(())
    }

    fn label(&mut self, label: u16, sample: &Sample<'_>) -> Result<(), Refusal> {
        self.read(sample)?;
        if usize::from(label) >= N::OUTPUTS {
            return Err(Refusal::NoSuchClass { label, classes: N::OUTPUTS as u16 });
        }
        let tuner = self.tuner()?;
        let (samples, room) = (tuner.entries().count(), tuner.capacity());
        if samples >= room {
            return Err(Refusal::RingFull { samples: samples as u32 });
        }
        let Self { tuning, sample, piece, store, .. } = self;
        let record = piece.get_mut(..record_bytes::<S>(N::INPUT.len())).unwrap_or_default();
        kept::write(label, sample, record);
        store.append(&[record]).map_err(start::refusal_of_store)?;
        tuning.tuner().and_then(|mut tuner| tuner.label(sample, label)).map(|_| ()).map_err(start::refusal)
    }

    fn infer(&mut self, sample: &Sample<'_>) -> Result<Reply<'_>, Refusal> {
        self.read(sample)?;
        let Self { tuning, sample, outputs, .. } = self;
        tuning.tuner().map_err(start::refusal)?.infer(sample, outputs).ok_or(Refusal::Unsupported)?;
        Ok(Reply::Inferred { class: greatest(outputs), logits: Floats::new(outputs) })
    }

    fn tune(&mut self, steps: u32, options: Option<Options>) -> Result<(), Refusal> {
        if steps == 0 {
            return Err(Refusal::NoSteps);
        }
        if options.is_none() && self.tuning.state.stopped {
            return Err(if self.activity == Activity::Diverged { Refusal::Diverged } else { Refusal::Stopped });
        }
        // The first sample of each class is learnt from, unless every one is held out.
        let hold_out = options.map_or(self.options.hold_out, |options| options.hold_out);
        if self.samples() == 0 || hold_out == 1 {
            return Err(Refusal::NoSamples);
        }
        if let Some(options) = options {
            if usize::from(options.batch) != BATCH {
                return Err(Refusal::Batch { batch: BATCH as u16 });
            }
            let settings = settings(&options);
            let before = core::mem::replace(&mut self.tuning.settings, settings);
            match self.tuning.tuner() {
                Ok(mut tuner) => {
                    tuner.begin(options.seed);
                    self.tuning.state = tuner.state();
                }
                Err(reason) => {
                    self.tuning.settings = before;
                    return Err(start::refusal(reason));
                }
            }
            self.options = options;
        }
        (self.steps_left, self.activity, self.pushed) = (steps, Activity::Tuning, None);
        let _ = self.save();
        Ok(())
    }

    fn forget(&mut self, samples: u32) {
        let mut forgotten = 0;
        while forgotten < samples && self.tuning.memory.entries.pop_front().is_some() {
            forgotten += 1;
        }
        let first = self.store.samples().start;
        self.store.forget_before(first.wrapping_add(forgotten));
    }

    fn status(&mut self) -> Status {
        let entries = &self.tuning.memory.entries;
        Status {
            activity: self.activity,
            step: self.tuning.state.step,
            steps_left: self.steps_left,
            samples: self.samples(),
            held_out: entries.iter().filter(|entry| entry.held_out).count() as u32,
            loss_nats: self.loss,
            best_loss_nats: self.tuning.state.best_loss,
            best_step: self.tuning.state.best_step,
            saved: self.store.state().map_or(0, |state| state.sequence),
            generation: self.generation,
            dropped: 0,
        }
    }

    fn hello(&self) -> Hello<'_> {
        Hello {
            firmware: self.about.firmware,
            fingerprint: N::fingerprint(),
            model_crc: model_file::checksum(self.about.model),
            input: (N::INPUT.channels as u32, N::INPUT.height as u32, N::INPUT.width as u32),
            classes: N::OUTPUTS as u16,
            params: N::PARAMS as u32,
            form: S::FORM,
            samples: (self.tuning.memory.samples.len() / N::INPUT.len()).min(self.tuning.memory.entries.storage_capacity()) as u32,
            plan_rows: self.about.plan.len() as u16,
            largest_request: 0,
            largest_reply: 0,
        }
    }
}

impl<N: Network, L: Lane, S: Kept, F: NorFlash, const BATCH: usize> Device for Learner<'_, N, L, S, F, BATCH> {
    fn answer(&mut self, request: &Request<'_>) -> Result<Reply<'_>, Refusal> {
        use Request as R;
        let looks = matches!(request, R::Hello | R::Plan { .. } | R::Infer { .. } | R::Evaluate { .. } | R::Status | R::Stop | R::Save);
        let pulls = matches!(request, R::Parameters | R::Pull { .. });
        if self.is_tuning() && !looks && !pulls {
            return Err(Refusal::Busy);
        }
        match *request {
            R::Hello => return Ok(Reply::Hello(self.hello())),
            R::Plan { row } => {
                let &(name, bytes) = self.about.plan.get(usize::from(row)).ok_or(Refusal::OutOfRange)?;
                return Ok(Reply::Plan { name, bytes: bytes as u32 });
            }
            R::Infer { ref sample } => return self.infer(sample),
            R::Evaluate { part } => {
                let mut tuner = self.tuner()?;
                let look = match part {
                    Part::Learnt => tuner.score(|entry| !entry.held_out),
                    Part::HeldOut => tuner.score(|entry| entry.held_out),
                    Part::All => tuner.score(|_| true),
                };
                let look = look.ok_or(Refusal::NoSamples)?;
                return Ok(Reply::Evaluated { samples: look.samples, right: look.right, loss_nats: look.loss });
            }
            R::Status => return Ok(Reply::Status(self.status())),
            R::Parameters => {
                let crc = self.tuner()?.checksum();
                return Ok(Reply::Parameters { generation: self.generation, bytes: Self::BYTES, crc });
            }
            R::Pull { generation, .. } if generation != self.generation => return Err(Refusal::Changed),
            R::Pull { offset, bytes, .. } => return self.pull(offset, bytes),
            R::BeginPush { fingerprint, bytes, crc } => return Ok(Reply::Pushed { bytes: self.begin_push(fingerprint, bytes, crc)? }),
            R::Push { offset, bytes } => return Ok(Reply::Pushed { bytes: self.push(offset, bytes)? }),
            R::Save => return Ok(Reply::Saved { sequence: self.save()? }),
            R::SelfTest => {
                let known = self.about.known;
                let right = |(seed, &crc): (u64, &u32)| self.known(seed) == Some(crc);
                let passed = (0..).zip(known).map(right).filter(|&right| right).count();
                return Ok(Reply::Tested { passed: passed as u32, of: known.len() as u32 });
            }
            R::Label { label, ref sample } => self.label(label, sample)?,
            R::Tune { steps, options } => self.tune(steps, options)?,
            R::Stop => {
                if self.is_tuning() {
                    (self.steps_left, self.activity) = (0, Activity::Idle);
                    let _ = self.save();
                }
            }
            R::EndPush => self.end_push()?,
            R::RollBack => {
                let mut tuner = self.tuner()?;
                tuner.roll_back().map_err(start::refusal)?;
                self.generation = self.generation.wrapping_add(1);
            }
            R::Reset => {
                self.store.reset().map_err(start::refusal_of_store)?;
                self.tuning.memory.entries.clear();
                self.be_as_new();
            }
            R::Forget { samples } => self.forget(samples),
        }
        Ok(Reply::Done { step: self.tuning.state.step })
    }
}

/// The place of the greatest output, the first of equal ones.
pub(crate) fn greatest(outputs: &[f32]) -> u16 {
    let (mut class, mut greatest) = (0, f32::NEG_INFINITY);
    for (i, &output) in (0..).zip(outputs) {
        if output > greatest {
            (class, greatest) = (i, output);
        }
    }
    class
}

/// CRC-32 of numbers, little endian.
pub(crate) fn checksum(numbers: &[f32]) -> u32 {
    let mut crc = CRC.digest();
    numbers.iter().for_each(|number| crc.update(&number.to_le_bytes()));
    crc.finalize()
}

/// Writes the parameters of the known network of this seed.
pub(crate) fn write_known<N: Network>(seed: u64, parameters: &mut [f32]) {
    parameters.iter_mut().zip(numbers(seed, 0)).for_each(|(to, number)| *to = number);
    N::segments(&mut |segment| {
        if segment.kind == SegmentKind::Variance {
            parameters.get_mut(segment.range()).unwrap_or_default().iter_mut().for_each(|variance| *variance = variance.abs());
        }
    });
}

/// The input of the known network of this seed.
pub(crate) fn known_input(seed: u64) -> impl Iterator<Item = f32> {
    numbers(seed, 1)
}

/// Numbers between -1/4 and 1/4 that follow from `seed`, another row for each `row`.
fn numbers(seed: u64, row: u32) -> impl Iterator<Item = f32> {
    let stream = Stream::new(seed, Purpose::Initialise, 0, row);
    (0..).flat_map(move |block| stream.block(block)).map(|word| word as i32 as f32 * (0.25 / 2_147_483_648.0))
}
