//! Fine-tuning: a trained network learns a little more, from few labelled samples, in memory that the caller lends.
//!
//! A [`FineTuner`] keeps a ring of raw samples, replays them class by class, and takes steps along the population gradient, member after
//! member, the noise made again each time. Some samples are held out: when the loss on them does not fall any more, or is no number,
//! tuning stops and the best parameters come back. Batch norms keep their running statistics. What is tuned can be saved and
//! resumed at any step ([`FineTuner::state`]): the next step depends on nothing else. Nothing panics once a tuner is made, which CI proves of its machine code.
//!
//! It knows no flash, no link and no clock.
//!
//! ```
//! use pg_core::{Network, normalisation::Normalisation, tuner::*, zoo::Mlp9x24x11 as Net};
//! const SETTINGS: Settings = Settings { hold_out: 3, ..Settings::DEFAULT };
//! let mut parameters = [0.01; Net::PARAMS]; // what was trained
//! let mut working = [0.0; SETTINGS.needs().sizes::<Net, f32, 8>().sum()];
//! let (mut samples, mut entries, mut best) = ([0.0; 9 * 40], heapless::Deque::<Entry, 40>::new(), [0.0; Net::PARAMS]);
//! let memory = Memory { parameters: &mut parameters, working: &mut working, samples: &mut samples, entries: entries.as_mut_view(), best: &mut best };
//! let mut tuner = FineTuner::<Net, f32, f32, 8>::new(memory, Normalisation::NONE, SETTINGS, 1)?;
//! for i in 0..33 {
//!     tuner.label(&[i as f32; 9], i % 11)?;
//! }
//! for _ in 0..20 {
//!     tuner.step()?;
//! }
//! # Ok::<(), TuneError>(())
//! ```

mod samples;
mod settings;

use core::marker::PhantomData;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use heapless::deque::DequeView;
use serde::{Deserialize, Serialize};

pub use self::samples::{Entry, MOST_CLASSES, Raw};
pub use self::settings::{Needs, Settings, Sizes};

use self::samples::{Census, Ring};
use crate::form::{Form, Samples};
use crate::lane::Lane;
use crate::layers::{Buffers, Draw, Mode, Pass, Scope, SegmentKind};
use crate::loss::{Targets, cross_entropy};
use crate::network::Network;
use crate::normalisation::Normalisation;
use crate::optimiser::Sgd;
use crate::perturbation::{mirror, plain::perturb};
use crate::population::{Population, Workspace};

/// The memory of a tuner, lent by the caller.
pub struct Memory<'a, S> {
    /// The parameters, `N::PARAMS` of them, which start as those of the trained model.
    pub parameters: &'a mut [f32],
    /// What the tuner works in: [`Sizes::sum`] numbers.
    pub working: &'a mut [f32],
    /// The samples, `N::INPUT` numbers each.
    pub samples: &'a mut [S],
    /// What is in them.
    pub entries: &'a mut DequeView<Entry>,
    /// Room for the best parameters so far, as many as are in scope; or empty, and none are kept.
    pub best: &'a mut [f32],
}

/// Why a tuner refuses. It keeps working with what it had.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TuneError {
    /// A setting is negative, infinite, no number, or a momentum of 1 or more.
    #[error(
        "a setting makes no sense: rate, rho and decay must be finite and not negative, the momentum below 1, a look after 1 step or more"
    )]
    Settings,
    /// A population of another kind than those that a tuner makes.
    #[error(
        "a tuner makes full noise on all weights, in proportion to each filter or absolute and the same in every step, one batch for all \
         members, and takes the mean of their gradients"
    )]
    Population,
    /// The scope has no layer of this network.
    #[error("the scope trains no layer of this network")]
    EmptyScope,
    /// The lent memory is too small for the settings.
    #[error("the settings need {needed} numbers of memory, and {lent} are lent")]
    TooLittleMemory {
        /// Numbers that are needed.
        needed: usize,
        /// Numbers that there are.
        lent: usize,
    },
    /// The network has more than [`MOST_CLASSES`].
    #[error("a tuner tells at most {MOST_CLASSES} classes apart, and the network has {classes}")]
    TooManyClasses {
        /// The network's classes.
        classes: usize,
    },
    /// The normalisation is for other channels.
    #[error("the normalisation is for another number of channels")]
    Normalisation,
    /// A sample of another length.
    #[error("a sample has {found} values, and the network takes {expected}")]
    SampleLength {
        /// Values of the sample.
        found: usize,
        /// Values of an input.
        expected: usize,
    },
    /// A class that the network does not have.
    #[error("there is no class {label}: the network has {classes}")]
    NoSuchClass {
        /// The label.
        label: u16,
        /// The network's classes.
        classes: usize,
    },
    /// A sample with a value that is infinite or not a number.
    #[error("a value of the sample is not a finite number")]
    NotFinite,
    /// The ring has no room.
    #[error("the ring is full with {samples} samples: forget the oldest first")]
    Full {
        /// How many it holds.
        samples: usize,
    },
    /// There is nothing to learn from.
    #[error("there is no sample to learn from: label some first")]
    NoSamples,
    /// Tuning has stopped.
    #[error("tuning has stopped: the loss on the held-out samples falls no more; restart it to go on")]
    Stopped,
    /// The loss of a step is no number; the best parameters are back if any were kept.
    #[error("the loss is no longer a finite number: the parameters are the best so far")]
    Diverged,
    /// No best parameters are kept.
    #[error("no parameters are kept to go back to")]
    NothingKept,
}

/// Everything that the next step reads beside the parameters, the velocity, the best parameters and the ring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The seed of noise, masks and replay.
    pub seed: u64,
    /// Steps so far: also the cursor of the replay.
    pub step: u32,
    /// The lowest loss on the held-out samples, in nats; infinite before the first look.
    pub best_loss: f32,
    /// The step after which it was found.
    pub best_step: u32,
    /// Looks in a row since then.
    pub looks: u32,
    /// Whether the parameters of the best look are kept in the lent memory.
    pub kept: bool,
    /// Whether tuning has stopped.
    pub stopped: bool,
}

impl State {
    /// Before a first look, at this step.
    pub const fn first(seed: u64, step: u32) -> Self {
        Self { seed, step, best_loss: f32::INFINITY, best_step: step, looks: 0, kept: false, stopped: false }
    }
}

/// What the tuner saw in the held-out samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// The mean loss, in nats.
    pub loss: f32,
    /// Samples of which the class was right.
    pub right: u32,
    /// Samples.
    pub samples: u32,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The number of the step, from 0.
    pub step: u32,
    /// The mean loss of its batch over the members, in nats.
    pub loss: f32,
    /// The look after it, when one was due.
    pub look: Option<Look>,
    /// Whether tuning stopped, and the best parameters are back.
    pub stopped: bool,
}

/// Fine-tunes network `N`, computed in lanes `L`, on samples kept as `S`, in batches of `BATCH`.
pub struct FineTuner<'a, N, L, S, const BATCH: usize> {
    parameters: &'a mut [f32],
    gradient: &'a mut [f32],
    velocity: &'a mut [f32],
    member: &'a mut [f32],
    scales: &'a mut [f32],
    workspace: Workspace<'a>,
    best: &'a mut [f32],
    ring: Ring<'a, S>,
    normalisation: Normalisation<'a>,
    settings: Settings,
    state: State,
    network: PhantomData<fn() -> (N, L)>,
}

/// Without a table: 1 KB less flash.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

impl<'a, N: Network, L: Lane, S: Raw, const BATCH: usize> FineTuner<'a, N, L, S, BATCH> {
    /// A tuner at its first step.
    ///
    /// # Errors
    /// When the settings make no sense, or need more memory than is lent.
    pub fn new(memory: Memory<'a, S>, normalisation: Normalisation<'a>, settings: Settings, seed: u64) -> Result<Self, TuneError> {
        memory.working.fill(0.0);
        Self::resume(memory, normalisation, settings, State::first(seed, 0))
    }

    /// The tuner that had this state, settings, parameters, ring and best parameters; the velocity is then the caller's to write with
    /// [`FineTuner::velocity_mut`].
    ///
    /// # Errors
    /// When the settings make no sense, or need more memory than is lent.
    pub fn resume(memory: Memory<'a, S>, normalisation: Normalisation<'a>, settings: Settings, state: State) -> Result<Self, TuneError> {
        settings.check::<N>()?;
        if N::OUTPUTS > MOST_CLASSES {
            return Err(TuneError::TooManyClasses { classes: N::OUTPUTS });
        }
        if !normalisation.fits(N::INPUT.channels) {
            return Err(TuneError::Normalisation);
        }
        let sizes = settings.needs().sizes::<N, L, BATCH>();
        let Memory { parameters, working, samples, entries, best } = memory;
        let trained = settings.scope.len(&N::LEAVES);
        let short = |needed: usize, lent: usize| Err(TuneError::TooLittleMemory { needed, lent });
        let working_lent = working.len();
        if !best.is_empty() && best.len() < trained {
            return short(trained, best.len());
        }
        let lent = parameters.len();
        let Some(parameters) = parameters.get_mut(..N::PARAMS) else { return short(N::PARAMS, lent) };
        let mut working = working;
        let mut cut = |length: usize| {
            let (first, rest) = core::mem::take(&mut working).split_at_mut_checked(length)?;
            working = rest;
            Some(first)
        };
        let parts = [cut(sizes.gradient), cut(sizes.velocity), cut(sizes.member), cut(sizes.scales), cut(sizes.activations)];
        let [Some(gradient), Some(velocity), Some(member), Some(scales), Some(activations)] = parts else {
            return short(sizes.sum(), working_lent);
        };
        let Some(workspace) = Workspace::try_new::<N, Samples<L>>(BATCH, activations) else { return short(sizes.sum(), working_lent) };
        let kept = if best.is_empty() { 0 } else { trained };
        let best = best.get_mut(..kept).unwrap_or_default();
        Ok(Self {
            parameters,
            gradient,
            velocity,
            member,
            scales,
            workspace,
            best,
            ring: Ring { values: samples, entries, elements: N::INPUT.len() },
            normalisation,
            settings,
            state,
            network: PhantomData,
        })
    }

    /// The parameters.
    pub fn parameters(&self) -> &[f32] {
        self.parameters
    }

    /// The CRC-32 of the parameters' bytes, little endian: equal on a device and on the desktop that replays it.
    pub fn checksum(&self) -> u32 {
        let mut digest = CRC.digest();
        self.parameters.iter().for_each(|parameter| digest.update(&parameter.to_le_bytes()));
        digest.finalize()
    }

    /// The velocity of the parameters in scope, in their order: the optimiser's state.
    pub fn velocity(&self) -> &[f32] {
        self.velocity
    }

    /// The same, to write back what was saved.
    pub fn velocity_mut(&mut self) -> &mut [f32] {
        self.velocity
    }

    /// The best parameters in scope, in their order, if any are kept.
    pub fn best(&self) -> Option<&[f32]> {
        self.state.kept.then_some(&*self.best)
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is to be saved beside the memory.
    pub fn state(&self) -> State {
        self.state
    }

    /// The samples in the ring, from the oldest to the newest.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.ring.entries.iter().copied()
    }

    /// The raw values of a sample in the ring.
    pub fn sample(&self, entry: Entry) -> &[S] {
        self.ring.values(entry)
    }

    /// How many samples the ring has room for.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Takes a labelled sample in; every [`Settings::hold_out`]-th of a class is held out.
    ///
    /// # Errors
    /// [`TuneError::SampleLength`], [`TuneError::NoSuchClass`], [`TuneError::NotFinite`], [`TuneError::Full`]; nothing has changed then.
    pub fn label(&mut self, values: &[S], label: u16) -> Result<Entry, TuneError> {
        let (found, expected) = (values.len(), N::INPUT.len());
        if found != expected {
            return Err(TuneError::SampleLength { found, expected });
        }
        if usize::from(label) >= N::OUTPUTS {
            return Err(TuneError::NoSuchClass { label, classes: N::OUTPUTS });
        }
        if !values.iter().all(|&value| value.into().is_finite()) {
            return Err(TuneError::NotFinite);
        }
        self.ring.push(values, label, self.settings.hold_out)
    }

    /// The samples of a step, as long as the ring stays as it is.
    pub fn batch_of(&self, step: u32) -> impl Iterator<Item = Entry> {
        let census = self.ring.census();
        let first = step.wrapping_mul(BATCH as u32);
        (0..BATCH as u32).filter_map(move |n| self.ring.replayed(self.state.seed, first.wrapping_add(n), &census))
    }

    /// Makes room for a sample.
    pub fn forget_oldest(&mut self) -> Option<Entry> {
        self.ring.entries.pop_front()
    }

    /// One step, and a look at the held-out samples when one is due.
    ///
    /// # Errors
    /// [`TuneError::NoSamples`]; [`TuneError::Stopped`]; [`TuneError::Diverged`], after which it has stopped.
    pub fn step(&mut self) -> Result<Step, TuneError> {
        if self.state.stopped {
            return Err(TuneError::Stopped);
        }
        let census = self.ring.census();
        if census.classes == 0 {
            return Err(TuneError::NoSamples);
        }
        if !self.state.kept && self.state.best_loss == f32::INFINITY && self.look().is_none() {
            // Without held-out samples the first parameters are the best known.
            self.keep();
        }
        if self.state.stopped {
            return Err(TuneError::Diverged);
        }
        let mut labels = [0; BATCH];
        let Some(loss) = self.learn(&census, &mut labels) else {
            self.state.stopped = true;
            let _ = self.roll_back();
            return Err(TuneError::Diverged);
        };
        let step = self.state.step;
        self.state.step = step.wrapping_add(1);
        let due = self.state.step.checked_rem(self.settings.look_every) == Some(0);
        let look = if due { self.look() } else { None };
        Ok(Step { step, loss, look, stopped: self.state.stopped })
    }

    /// Lets tuning begin anew, with this seed and from the parameters as they are: samples are held out as the settings say, whatever they
    /// said before; velocity and best parameters are forgotten. Steps go on counting, so no noise comes twice.
    pub fn begin(&mut self, seed: u64) {
        self.ring.hold_out(self.settings.hold_out);
        self.velocity.fill(0.0);
        self.state = State::first(seed, self.state.step);
    }

    /// Lets tuning go on after it has stopped, from the parameters as they are.
    pub fn restart(&mut self) {
        self.state = State::first(self.state.seed, self.state.step);
        self.velocity.fill(0.0);
        self.look();
    }

    /// Brings the best parameters back, and forgets the velocity.
    ///
    /// # Errors
    /// [`TuneError::NothingKept`].
    pub fn roll_back(&mut self) -> Result<(), TuneError> {
        if !self.state.kept {
            return Err(TuneError::NothingKept);
        }
        let Self { parameters, best, settings, .. } = self;
        settings.scope.ranges(const { &N::LEAVES }, |compact, first, length| copy(best, compact, parameters, first, length));
        self.velocity.fill(0.0);
        Ok(())
    }

    /// Looks at the held-out samples, if there are any, and draws the conclusions: keeps the parameters, or stops and rolls back.
    fn look(&mut self) -> Option<Look> {
        let look = self.evaluate()?;
        if look.loss < self.state.best_loss {
            self.state = State { best_loss: look.loss, best_step: self.state.step, looks: 0, ..self.state };
            self.keep();
        } else {
            self.state.looks += 1;
            if !look.loss.is_finite() || self.state.looks == self.settings.patience {
                self.state.stopped = true;
                let _ = self.roll_back();
            }
        }
        Some(look)
    }

    /// Copies the parameters in scope to the lent memory for the best.
    fn keep(&mut self) {
        let Self { parameters, best, settings, state, .. } = self;
        settings.scope.ranges(const { &N::LEAVES }, |compact, first, length| copy(parameters, first, best, compact, length));
        state.kept = !best.is_empty();
    }

    /// The outputs for a raw sample, with the bits of any other way to infer; `None` when a slice has another length.
    pub fn infer(&mut self, values: &[S], outputs: &mut [f32]) -> Option<()> {
        if values.len() != N::INPUT.len() || outputs.len() != N::OUTPUTS {
            return None;
        }
        let column = element::<L, 1>();
        let to = self.workspace.tape.iter_mut().step_by(column.max(1));
        self.normalisation.write(N::INPUT.height * N::INPUT.width, values, to);
        infer::<N, L>(self.parameters, &mut self.workspace, outputs)
    }

    /// Memory that nothing reads between two steps, the room of a member: all parameters of the network, or nothing without a population.
    pub fn spare(&mut self) -> &mut [f32] {
        self.member
    }

    /// The outputs for an input, which is not normalised, of the network with the parameters in [`FineTuner::spare`]; `None` without that
    /// memory.
    pub fn infer_spare(&mut self, input: impl Iterator<Item = f32>, outputs: &mut [f32]) -> Option<()> {
        let column = element::<L, 1>();
        let to = self.workspace.tape.iter_mut().step_by(column.max(1)).take(N::INPUT.len());
        to.zip(input).for_each(|(to, value)| *to = value);
        infer::<N, L>(self.member, &mut self.workspace, outputs)
    }

    /// Takes the parameters in [`FineTuner::spare`] for its own and begins anew; `None` without that memory.
    pub fn adopt_spare(&mut self) -> Option<()> {
        self.parameters.iter_mut().zip(self.member.get(..N::PARAMS)?).for_each(|(to, &from)| *to = from);
        self.begin(self.state.seed);
        Some(())
    }

    /// The mean loss on the held-out samples and how many are right; `None` when none is held out.
    pub fn evaluate(&mut self) -> Option<Look> {
        self.score(|entry| entry.held_out)
    }

    /// The mean loss on the samples of which this is true, and how many are right; `None` when there is none.
    pub fn score(&mut self, of: impl Fn(&Entry) -> bool) -> Option<Look> {
        let (mut sum, mut right, mut samples) = (0.0, 0, 0);
        loop {
            let mut labels = [0; BATCH];
            let mut count = 0;
            let entries = self.ring.those(&of).skip(samples as usize).take(BATCH);
            for ((n, entry), label) in entries.enumerate().zip(&mut labels) {
                write_sample::<N, L, S, BATCH>(&self.ring, &self.normalisation, entry, n, self.workspace.tape);
                *label = entry.label;
                count = n + 1;
            }
            if count == 0 {
                break;
            }
            let pass = Pass { samples: count, ..Pass::infer(BATCH, columns::<L, BATCH>()) };
            let Workspace { tape, buffers, scratch, .. } = &mut self.workspace;
            let tape = cut(tape, tape_len::<N, L, BATCH>())?;
            let scratch = cut(scratch, scratch_len::<N, L, BATCH>())?;
            forward::<N, L>(&pass, self.parameters.get(..N::PARAMS)?, tape, scratch);
            let y = outputs::<N, L, BATCH>(tape)?;
            let dy = cut(buffers.dy, N::OUTPUTS * element::<L, BATCH>())?;
            let sums = cross_entropy::<Samples<L>>(&pass, N::OUTPUTS, BATCH, 0.0, Targets::Classes(&labels), y, dy);
            sum += sums[0];
            for (n, &label) in labels.iter().enumerate().take(count) {
                right += u32::from(most_probable(y, n, element::<L, BATCH>()) == label);
            }
            samples += count as u32;
        }
        (samples > 0).then(|| Look { loss: sum / samples as f32, right, samples })
    }

    /// The population gradient of the batch of this step, and the update; returns the mean loss, or `None` if it is no number: then
    /// the parameters are as they were.
    fn learn(&mut self, census: &Census, labels: &mut [u16; BATCH]) -> Option<f32> {
        let Population { members, noise, .. } = self.settings.population;
        let descends = const { BATCH == 1 && <Samples<L> as Form>::COLUMN == 1 && N::DESCENDS };
        if descends && self.settings.needs().descends::<N, L, BATCH>() {
            return self.descend(census, labels);
        }
        if members > 0 {
            let scales = cut(self.scales, N::FILTERS)?;
            noise.scales::<N, L>(self.parameters, scales);
            silence::<N>(self.settings.scope, scales);
        }
        let count = members.max(1);
        let mut total = 0.0;
        for number in 0..count {
            if members > 0 {
                let (pair, second) = self.settings.population.place(number);
                let (parameters, member) = (self.parameters.get(..N::PARAMS)?, cut(self.member, N::PARAMS)?);
                if second {
                    mirror::<L>(parameters, member);
                } else {
                    let stream = self.settings.population.stream(self.state.seed, self.state.step, pair);
                    perturb::<N, L>(noise.distribution, &stream, parameters, self.scales.get(..N::FILTERS)?, member);
                }
            }
            if number == 0 || N::OVERWRITES_INPUT {
                self.gather(census, labels);
            }
            total += self.pass(number, labels)?;
        }
        let mean = 1.0 / count as f32;
        if members > 0 {
            L::scale(mean, self.gradient);
        }
        self.update();
        Some(total * mean)
    }

    /// Writes the samples of this step to the tape.
    #[inline(always)]
    fn gather(&mut self, census: &Census, labels: &mut [u16; BATCH]) {
        let first = self.state.step.wrapping_mul(BATCH as u32);
        for (n, label) in labels.iter_mut().enumerate() {
            let place = first.wrapping_add(n as u32);
            let Some(entry) = self.ring.replayed(self.state.seed, place, census) else { continue };
            *label = entry.label;
            write_sample::<N, L, S, BATCH>(&self.ring, &self.normalisation, entry, n, self.workspace.tape);
        }
    }

    /// A pass for learning.
    #[inline(always)]
    fn training(&self, number: u32) -> Pass<'static> {
        let draw: Draw = self.settings.population.draw(self.state.seed, self.state.step, number, 0);
        let scope = self.settings.scope;
        Pass { mode: Mode::Tune(draw), adds: number > 0, scope, ..Pass::infer(BATCH, columns::<L, BATCH>()) }
    }

    /// Forward and backward of one member over the batch on the tape: its mean loss.
    #[inline(always)]
    fn pass(&mut self, number: u32, labels: &[u16; BATCH]) -> Option<f32> {
        let pass = self.training(number);
        let weights =
            if self.settings.population.members > 0 { self.member.get(..N::PARAMS)? } else { self.parameters.get(..N::PARAMS)? };
        let Workspace { tape, buffers, scratch, .. } = &mut self.workspace;
        let tape = cut(tape, tape_len::<N, L, BATCH>())?;
        let scratch = cut(scratch, scratch_len::<N, L, BATCH>())?;
        let mut buffers =
            Buffers { dy: cut(buffers.dy, N::WIDTH * element::<L, BATCH>())?, dx: cut(buffers.dx, N::WIDTH * element::<L, BATCH>())? };
        forward::<N, L>(&pass, weights, tape, scratch);
        let y = outputs::<N, L, BATCH>(tape)?;
        let sums = cross_entropy::<Samples<L>>(&pass, N::OUTPUTS, BATCH, 0.0, Targets::Classes(labels), y, buffers.dy);
        if !sums[0].is_finite() {
            return None;
        }
        backward::<N, L>(&pass, weights, tape, &mut buffers, scratch, self.gradient);
        Some(sums[0] / BATCH as f32)
    }

    /// A plain step for one sample, taken at once.
    #[inline(always)]
    fn descend(&mut self, census: &Census, labels: &mut [u16; BATCH]) -> Option<f32> {
        self.gather(census, labels);
        let pass = self.training(0);
        let Workspace { tape, buffers, scratch, .. } = &mut self.workspace;
        let parameters = cut(self.parameters, N::PARAMS)?;
        let tape = cut(tape, tape_len::<N, L, BATCH>())?;
        let scratch = cut(scratch, scratch_len::<N, L, BATCH>())?;
        let mut buffers =
            Buffers { dy: cut(buffers.dy, N::WIDTH * element::<L, BATCH>())?, dx: cut(buffers.dx, N::WIDTH * element::<L, BATCH>())? };
        plain_step::<N, L>(&pass, self.settings.rate, parameters, tape, &mut buffers, scratch, labels)
    }

    /// One step of the optimiser, over the parameters in scope; running statistics are none of its business.
    fn update(&mut self) {
        let Settings { rate, momentum, weight_decay, scope, .. } = self.settings;
        let sgd = Sgd { momentum, nesterov: false, weight_decay };
        let Self { gradient, velocity, parameters, .. } = self;
        scope.ranges(const { &N::LEAVES }, |compact, first, length| {
            let velocity = if momentum == 0.0 { Some(&mut [][..]) } else { piece_mut(velocity, compact, length) };
            let lent = (piece(gradient, compact, length), velocity, piece_mut(parameters, first, length));
            if let (Some(gradient), Some(velocity), Some(parameters)) = lent {
                if momentum != 0.0 && weight_decay == 0.0 {
                    L::step(-rate, momentum, gradient, velocity, parameters);
                } else {
                    sgd.step::<L>(rate, gradient, velocity, parameters);
                }
            }
        });
    }
}

/// Forward, backward and step for the sample on the tape, without a gradient in memory: its loss, or `None`, and no step, when that is no
/// number. [`FineTuner::step`] does this where it can; it is here for who has samples and order of their own.
///
/// # Panics
/// When a slice is too short, or there is not one number in `L` and one label.
#[inline(always)]
pub fn plain_step<N: Network, L: Lane>(
    pass: &Pass,
    rate: f32,
    parameters: &mut [f32],
    tape: &mut [f32],
    buffers: &mut Buffers,
    scratch: &mut [f32],
    label: &[u16],
) -> Option<f32> {
    N::forward::<Samples<L>>(pass, parameters, tape, scratch);
    let y = piece(tape, N::TAPE - N::OUTPUTS, N::OUTPUTS)?;
    let [loss, ..] = cross_entropy::<Samples<L>>(pass, N::OUTPUTS, 1, 0.0, Targets::Classes(label), y, buffers.dy);
    if !loss.is_finite() {
        return None;
    }
    N::descend::<Samples<L>>(pass, -rate, parameters, tape, buffers, scratch);
    Some(loss)
}

/// The outputs for the sample on a tape of one, one behind the other.
fn infer<N: Network, L: Lane>(parameters: &[f32], workspace: &mut Workspace, to: &mut [f32]) -> Option<()> {
    let parameters = parameters.get(..N::PARAMS)?;
    let tape = cut(workspace.tape, tape_len::<N, L, 1>())?;
    forward::<N, L>(&Pass::infer(1, columns::<L, 1>()), parameters, tape, cut(workspace.scratch, scratch_len::<N, L, 1>())?);
    let y = outputs::<N, L, 1>(tape)?.iter().step_by(element::<L, 1>().max(1));
    to.iter_mut().zip(y).for_each(|(to, &y)| *to = y);
    Some(())
}

// The passes once for all sizes of a batch on a desktop; with everything known to the compiler on a device.

#[cfg_attr(not(target_os = "none"), inline(never))]
#[cfg_attr(target_os = "none", inline(always))]
fn forward<N: Network, L: Lane>(pass: &Pass, parameters: &[f32], tape: &mut [f32], scratch: &mut [f32]) {
    N::forward::<Samples<L>>(pass, parameters, tape, scratch);
}

#[cfg_attr(not(target_os = "none"), inline(never))]
#[cfg_attr(target_os = "none", inline(always))]
fn backward<N: Network, L: Lane>(
    pass: &Pass,
    parameters: &[f32],
    tape: &[f32],
    buffers: &mut Buffers,
    scratch: &mut [f32],
    gradient: &mut [f32],
) {
    N::backward::<Samples<L>>(pass, parameters, tape, buffers, scratch, gradient);
}

/// Columns of a batch.
const fn columns<L: Lane, const BATCH: usize>() -> usize {
    BATCH.div_ceil(<Samples<L> as Form>::SAMPLES)
}

/// Numbers for each element of an activation.
const fn element<L: Lane, const BATCH: usize>() -> usize {
    columns::<L, BATCH>() * <Samples<L> as Form>::COLUMN
}

const fn tape_len<N: Network, L: Lane, const BATCH: usize>() -> usize {
    N::TAPE * element::<L, BATCH>()
}

const fn scratch_len<N: Network, L: Lane, const BATCH: usize>() -> usize {
    (N::SCRATCH + if <Samples<L> as Form>::COLUMN > 1 { N::TRANSPOSED } else { 0 }) * element::<L, BATCH>()
}

// The lent slices have been measured when the tuner was made. They are cut to constant lengths again where they are used, so that the
// compiler knows the lengths and leaves no panic in the machine code.

#[inline(always)]
fn cut(slice: &mut [f32], length: usize) -> Option<&mut [f32]> {
    slice.get_mut(..length)
}

#[inline(always)]
fn piece(slice: &[f32], first: usize, length: usize) -> Option<&[f32]> {
    slice.get(first..)?.get(..length)
}

#[inline(always)]
fn piece_mut(slice: &mut [f32], first: usize, length: usize) -> Option<&mut [f32]> {
    slice.get_mut(first..)?.get_mut(..length)
}

fn copy(from: &[f32], from_first: usize, to: &mut [f32], to_first: usize, length: usize) {
    let from = from.iter().skip(from_first).take(length);
    to.iter_mut().skip(to_first).zip(from).for_each(|(to, from)| *to = *from);
}

/// The outputs at the end of a tape.
#[inline(always)]
fn outputs<N: Network, L: Lane, const BATCH: usize>(tape: &[f32]) -> Option<&[f32]> {
    piece(tape, (N::TAPE - N::OUTPUTS) * element::<L, BATCH>(), N::OUTPUTS * element::<L, BATCH>())
}

/// The first of the largest outputs of sample `n`.
fn most_probable(y: &[f32], n: usize, element: usize) -> u16 {
    let mut best = (0, f32::NEG_INFINITY);
    for (class, &output) in y.iter().skip(n).step_by(element.max(1)).enumerate() {
        if output > best.1 {
            best = (class as u16, output);
        }
    }
    best.0
}

/// Writes a normalised sample into column `n` of the tape's input.
#[inline(always)]
fn write_sample<N: Network, L: Lane, S: Raw, const BATCH: usize>(
    ring: &Ring<S>,
    normalisation: &Normalisation,
    entry: Entry,
    n: usize,
    tape: &mut [f32],
) {
    let places = N::INPUT.height * N::INPUT.width;
    let element = element::<L, BATCH>();
    let to = tape.iter_mut().skip(n).step_by(element.max(1));
    normalisation.write(places, ring.values(entry), to);
}

/// Takes the noise from the filters that are not in scope.
fn silence<N: Network>(scope: Scope, scales: &mut [f32]) {
    if scope == Scope::EVERYTHING {
        return;
    }
    let mut next = 0;
    N::segments(&mut |segment| {
        if segment.kind == SegmentKind::Weight {
            let mut trained = false;
            scope.layers(const { &N::LEAVES }, |first, length| trained |= (first..first + length).contains(&segment.offset));
            let of_segment = scales.iter_mut().skip(next).take(segment.filters);
            if !trained {
                of_segment.for_each(|scale| *scale = 0.0);
            }
            next += segment.filters;
        }
    });
}
