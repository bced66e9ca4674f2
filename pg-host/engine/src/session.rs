//! A fine-tuning session as a device runs it, computed here to the same bits: pg-core's tuner with memory from the heap.
//!
//! It knows neither files nor options; samples come raw, as the device gets them. As the device's learner does, it makes its tuner anew for each
//! thing that happens: memory, settings and state are all that there is.

use pg_core::normalisation::Normalisation;
use pg_core::tuner::{Entry, FineTuner, Look, Memory as Lent, Settings, State, TuneError};
use pg_core::{Network, Widest};

use crate::memory::Memory;

/// The batches that a session may have: a tuner's batch is a constant of its type.
pub const BATCHES: [usize; 4] = [1, 4, 8, 16];

/// The most samples in the ring.
pub const MOST_SAMPLES: usize = 4096;

/// What a session starts from, and what happens in it.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The parameters of the trained model.
    pub parameters: &'a [f32],
    /// What is done to a raw sample.
    pub normalisation: Normalisation<'a>,
    /// How it learns, until [`Event::Begin`].
    pub settings: Settings,
    /// The seed of noise and replay, until [`Event::Begin`].
    pub seed: u64,
    /// One of [`BATCHES`].
    pub batch: usize,
    /// Samples that the ring has room for, at most [`MOST_SAMPLES`].
    pub room: usize,
    /// What happens, in order.
    pub events: &'a [Event<'a>],
}

/// What happens to a device that learns.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// It gets a sample.
    Label {
        /// As raw as the device gets it.
        values: &'a [f32],
        /// Its class.
        label: u16,
    },
    /// It forgets so many of its oldest samples, or all.
    Forget(u32),
    /// It begins anew with these settings and this seed; steps go on counting.
    Begin {
        /// From now on.
        settings: Settings,
        /// From now on.
        seed: u64,
    },
    /// It takes so many steps, or fewer when it stops by itself.
    Steps(u32),
    /// It goes back to its best parameters.
    RollBack,
    /// It takes these parameters for its own, and begins anew.
    Adopt(&'a [f32]),
    /// How it is now goes into [`Tuned::marks`].
    Mark {
        /// With the check sum of the parameters.
        checksum: bool,
    },
}

/// How a device is at some moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Steps so far.
    pub step: u32,
    /// Samples in the ring.
    pub samples: u32,
    /// The mean loss of the last step, in nats; not a number before the first.
    pub loss: f32,
    /// The lowest loss on the held-out samples, in nats; infinite before the first look.
    pub best_loss: f32,
    /// [`FineTuner::checksum`], if it was asked for.
    pub checksum: Option<u32>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The parameters at the end, the best when it stopped early.
    pub parameters: Vec<f32>,
    /// The loss of each step.
    pub losses: Vec<f32>,
    /// The looks at the held-out samples, each with the number of steps before it.
    pub looks: Vec<(u32, Look)>,
    /// Whether it stopped before the last step that was asked for, and why.
    pub stopped: Option<TuneError>,
    /// [`FineTuner::checksum`].
    pub checksum: u32,
    /// One for each [`Event::Mark`].
    pub marks: Vec<Mark>,
}

impl Session<'_> {
    /// Runs the session on network `N`.
    ///
    /// # Errors
    /// When the tuner refuses the settings, a sample or parameters.
    ///
    /// # Panics
    /// When the batch is not one of [`BATCHES`].
    pub fn run<N: Network>(&self) -> Result<Tuned, TuneError> {
        match self.batch {
            1 => self.with::<N, 1>(),
            4 => self.with::<N, 4>(),
            8 => self.with::<N, 8>(),
            16 => self.with::<N, 16>(),
            _ => panic!("a batch of {BATCHES:?}"),
        }
    }

    fn with<N: Network, const BATCH: usize>(&self) -> Result<Tuned, TuneError> {
        let begun = self.events.iter().filter_map(|event| match event {
            Event::Begin { settings, .. } => Some(settings),
            _ => None,
        });
        // Parameters are taken in where a tuner of all layers works.
        let adopts = self.events.iter().any(|event| matches!(event, Event::Adopt(_))).then_some(&Settings::DEFAULT);
        let needed = begun.chain([&self.settings]).chain(adopts).map(|settings| settings.needs().sizes::<N, Widest, BATCH>().sum());
        let mut parameters = self.parameters.to_vec();
        let mut working = Memory::zeros(needed.max().unwrap_or(0));
        let mut values = vec![0.0; self.room.min(MOST_SAMPLES) * N::INPUT.len()];
        let mut entries = Box::new(heapless::Deque::<Entry, MOST_SAMPLES>::new());
        let mut best = vec![0.0; N::PARAMS];
        let (mut settings, mut state) = (self.settings, State::first(self.seed, 0));
        let (mut losses, mut looks, mut marks, mut stopped) = (Vec::new(), Vec::new(), Vec::new(), None);
        let mut checksum = 0;
        // The last mark is that of the end.
        for event in self.events.iter().chain([&Event::Mark { checksum: true }]) {
            if let Event::Begin { settings: new, .. } = event {
                settings = *new;
            }
            let memory = Lent {
                parameters: &mut parameters,
                working: &mut working,
                samples: &mut values,
                entries: entries.as_mut_view(),
                best: &mut best,
            };
            let mut tuner = FineTuner::<N, Widest, f32, BATCH>::resume(memory, self.normalisation, settings, state)?;
            match *event {
                Event::Label { values, label } => {
                    tuner.label(values, label)?;
                }
                Event::Forget(samples) => (0..samples).map_while(|_| tuner.forget_oldest()).for_each(drop),
                Event::Begin { seed, .. } => {
                    tuner.begin(seed);
                    stopped = None;
                }
                Event::Steps(steps) => {
                    for _ in 0..steps {
                        match tuner.step() {
                            Ok(step) => {
                                losses.push(step.loss);
                                looks.extend(step.look.map(|look| (step.step + 1, look)));
                                if step.stopped {
                                    stopped = Some(TuneError::Stopped);
                                    break;
                                }
                            }
                            Err(TuneError::Stopped) => break,
                            Err(reason @ (TuneError::Diverged | TuneError::NoSamples)) => {
                                stopped = Some(reason);
                                break;
                            }
                            Err(reason) => return Err(reason),
                        }
                    }
                }
                Event::RollBack => tuner.roll_back()?,
                Event::Adopt(parameters) => {
                    let (needed, lent) = (N::PARAMS, parameters.len());
                    let short = TuneError::TooLittleMemory { needed, lent };
                    let spare = tuner.spare().get_mut(..N::PARAMS).filter(|_| lent == needed).ok_or(short)?;
                    spare.copy_from_slice(parameters);
                    tuner.adopt_spare().ok_or(short)?;
                    stopped = None;
                }
                Event::Mark { checksum: wanted } => {
                    let sum = wanted.then(|| tuner.checksum());
                    checksum = sum.unwrap_or(checksum);
                    let (samples, loss) = (tuner.entries().count() as u32, losses.last().copied().unwrap_or(f32::NAN));
                    let State { step, best_loss, .. } = tuner.state();
                    marks.push(Mark { step, samples, loss, best_loss, checksum: sum });
                }
            }
            state = tuner.state();
        }
        marks.pop();
        Ok(Tuned { parameters, losses, looks, stopped, checksum, marks })
    }
}
