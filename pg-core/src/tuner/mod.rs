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

mod descend;
mod error;
mod learn;
mod look;
mod pass;
mod samples;
mod settings;
mod state;

use core::marker::PhantomData;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use heapless::deque::DequeView;

pub use self::descend::plain_step;
pub use self::error::TuneError;
pub use self::samples::{Entry, MOST_CLASSES, Raw};
pub use self::settings::{Member, Needs, Settings, Sizes};
pub use self::state::{Look, State, Step};

use self::samples::Ring;
use crate::form::Samples;
use crate::lane::Lane;
use crate::network::Network;
use crate::normalisation::Normalisation;
use crate::population::Workspace;

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

/// Fine-tunes network `N`, computed in lanes `L`, on samples kept as `S`, in batches of `BATCH`. Without `RANK_ONE` it refuses noise of rank 1, and
/// the code for it is not in the program.
pub struct FineTuner<'a, N, L, S, const BATCH: usize, const RANK_ONE: bool = true> {
    parameters: &'a mut [f32],
    velocity: &'a mut [f32],
    workspace: Workspace<'a>,
    /// What nothing reads between two steps.
    spare: &'a mut [f32],
    best: &'a mut [f32],
    ring: Ring<'a, S>,
    normalisation: Normalisation<'a>,
    settings: Settings,
    state: State,
    network: PhantomData<fn() -> (N, L)>,
}

/// Without a table: 1 KB less flash.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

impl<'a, N: Network, L: Lane, S: Raw, const BATCH: usize, const RANK_ONE: bool> FineTuner<'a, N, L, S, BATCH, RANK_ONE> {
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
        settings.check::<N>(RANK_ONE)?;
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
        // The velocity is where it is whatever the settings, and the rest goes on to the end of what is lent, more than is needed or not.
        if working_lent < sizes.sum() {
            return short(sizes.sum(), working_lent);
        }
        let Some((velocity, rest)) = working.split_at_mut_checked(sizes.velocity) else { return short(sizes.sum(), working_lent) };
        let Some((activations, spare)) = rest.split_at_mut_checked(sizes.activations) else { return short(sizes.sum(), working_lent) };
        let Some(workspace) = Workspace::try_new::<N, Samples<L>>(BATCH, activations) else { return short(sizes.sum(), working_lent) };
        let kept = if best.is_empty() { 0 } else { trained };
        let best = best.get_mut(..kept).unwrap_or_default();
        Ok(Self {
            parameters,
            velocity,
            workspace,
            spare,
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
        if !self.state.kept && self.state.best_loss == f32::INFINITY && (!census.holds_out || self.look().is_none()) {
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
}
