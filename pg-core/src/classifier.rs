//! A device that classifies and does not learn: it answers the link's requests where a board has no room for a [`learner`].
//!
//! It says who it is and what it does, infers, tests itself and lends its parameters out; whatever would change it is refused
//! ([`Refusal::Unsupported`]). So a host asks it as any other device, and gets the bits of any other. It knows no UART and no board, needs no
//! flash but that of the program, and nothing in it panics once it is open.

use core::marker::PhantomData;

use crate::floats::Floats;
use crate::form::{Form, Samples};
use crate::lane::Lane;
use crate::layers::Pass;
use crate::learner::{self, Kept, StartError};
use crate::link::{Activity, Device, Hello, Refusal, Reply, Request, Sample, Status};
use crate::model_file::{self, Model};
use crate::network::Network;
use crate::tuner::TuneError;

/// What a device says of itself.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The board, and the firmware with its version.
    pub firmware: &'a str,
    /// The model file that it was built with.
    pub model: &'a [u8],
    /// Its memory plan: names and bytes.
    pub plan: &'a [(&'a str, usize)],
    /// CRC-32 of the outputs of the known networks, as for [`learner::About::known`].
    pub known: &'a [u32],
}

/// The memory of a classifier, lent by the caller.
pub struct Lent<'a, S> {
    /// `N::PARAMS` numbers.
    pub parameters: &'a mut [f32],
    /// Input, activations, output: [`tape_len`] numbers.
    pub tape: &'a mut [f32],
    /// What layers compute with: [`scratch_len`] numbers.
    pub scratch: &'a mut [f32],
    /// A sample, a value for each input.
    pub sample: &'a mut [S],
    /// A number for each class.
    pub outputs: &'a mut [f32],
    /// A piece of the parameters, in bytes: as long as the longest that is to be pulled at once.
    pub piece: &'a mut [u8],
}

/// Numbers of a classifier's tape.
pub const fn tape_len<N: Network, L: Lane>() -> usize {
    N::TAPE * <Samples<L, false> as Form>::COLUMN
}

/// Numbers of a classifier's scratch.
pub const fn scratch_len<N: Network, L: Lane>() -> usize {
    (N::SCRATCH + if <Samples<L, false> as Form>::COLUMN > 1 { N::TRANSPOSED } else { 0 }) * <Samples<L, false> as Form>::COLUMN
}

/// A device with network `N`, computed in lanes `L`, that takes samples as `S`.
pub struct Classifier<'a, N, L, S> {
    about: About<'a>,
    model: Model<'a>,
    lent: Lent<'a, S>,
    network: PhantomData<fn() -> (N, L)>,
}

impl<'a, N: Network, L: Lane, S: Kept> Classifier<'a, N, L, S> {
    /// Of all parameters.
    const BYTES: u32 = 4 * N::PARAMS as u32;

    /// A device with this model.
    ///
    /// # Errors
    /// When the model is another network's or damaged, or the memory is too little.
    pub fn open(about: About<'a>, lent: Lent<'a, S>) -> Result<Self, StartError> {
        let model = Model::decode(about.model)?;
        model.check::<N>()?;
        let enough = |lent: usize, needed: usize| {
            if lent < needed { Err(TuneError::TooLittleMemory { needed, lent }) } else { Ok(()) }
        };
        enough(lent.parameters.len(), N::PARAMS)?;
        enough(lent.tape.len(), tape_len::<N, L>())?;
        enough(lent.scratch.len(), scratch_len::<N, L>())?;
        enough(lent.sample.len(), N::INPUT.len())?;
        enough(lent.outputs.len(), N::OUTPUTS)?;
        if !model.normalisation.fits(N::INPUT.channels) {
            return Err(TuneError::Normalisation.into());
        }
        let Lent { parameters, tape, scratch, sample, outputs, piece } = lent;
        let lent = Lent {
            parameters: parameters.get_mut(..N::PARAMS).unwrap_or_default(),
            tape: tape.get_mut(..tape_len::<N, L>()).unwrap_or_default(),
            scratch: scratch.get_mut(..scratch_len::<N, L>()).unwrap_or_default(),
            sample: sample.get_mut(..N::INPUT.len()).unwrap_or_default(),
            outputs: outputs.get_mut(..N::OUTPUTS).unwrap_or_default(),
            piece,
        };
        model.parameters_into::<N>(lent.parameters)?;
        Ok(Self { about, model, lent, network: PhantomData })
    }

    /// The parameters.
    pub fn parameters(&self) -> &[f32] {
        self.lent.parameters
    }

    /// Runs the network on the input that is on the tape; its outputs are then in `outputs`.
    fn run(&mut self) -> Option<()> {
        let Lent { parameters, tape, scratch, outputs, .. } = &mut self.lent;
        // Cut to constant lengths, so that the compiler leaves no panic in the machine code.
        let (parameters, tape) = (parameters.get(..N::PARAMS)?, tape.get_mut(..tape_len::<N, L>())?);
        N::forward::<Samples<L, false>>(&Pass::infer(1, 1), parameters, tape, scratch.get_mut(..scratch_len::<N, L>())?);
        let column = <Samples<L, false> as Form>::COLUMN.max(1);
        let y = tape.get((N::TAPE - N::OUTPUTS) * column..)?.iter().step_by(column);
        outputs.iter_mut().zip(y).for_each(|(to, &y)| *to = y);
        Some(())
    }

    fn infer(&mut self, sample: &Sample<'_>) -> Result<Reply<'_>, Refusal> {
        if sample.form() != S::FORM {
            return Err(Refusal::SampleForm { kept: S::FORM });
        }
        sample.check(N::INPUT.len())?;
        let Lent { sample: raw, tape, .. } = &mut self.lent;
        raw.iter_mut().zip(sample.values()).for_each(|(to, value)| *to = S::of(value));
        let to = tape.iter_mut().step_by(<Samples<L, false> as Form>::COLUMN.max(1));
        self.model.normalisation.write(N::INPUT.height * N::INPUT.width, raw, to);
        self.run().ok_or(Refusal::Unsupported)?;
        Ok(Reply::Inferred { class: learner::greatest(self.lent.outputs), logits: Floats::new(self.lent.outputs) })
    }

    /// As [`learner::Learner::known`]; the parameters are then those of the known network.
    fn known(&mut self, seed: u64) -> Option<u32> {
        let Lent { parameters, tape, .. } = &mut self.lent;
        learner::write_known::<N>(seed, parameters);
        let to = tape.iter_mut().step_by(<Samples<L, false> as Form>::COLUMN.max(1)).take(N::INPUT.len());
        to.zip(learner::known_input(seed)).for_each(|(to, value)| *to = value);
        self.run()?;
        Some(learner::checksum(self.lent.outputs))
    }

    /// How many of the known networks give the right bits, and how many there are.
    fn self_test(&mut self) -> Reply<'_> {
        let known = self.about.known;
        let passed = (0..).zip(known).filter(|&(seed, &crc)| self.known(seed) == Some(crc)).count();
        // It was read when this was opened.
        let _ = self.model.parameters_into::<N>(self.lent.parameters);
        Reply::Tested { passed: passed as u32, of: known.len() as u32 }
    }

    fn pull(&mut self, offset: u32, bytes: u32) -> Result<Reply<'_>, Refusal> {
        if u64::from(offset) + u64::from(bytes) > u64::from(Self::BYTES) {
            return Err(Refusal::OutOfRange);
        }
        let Lent { parameters, piece, .. } = &mut self.lent;
        let piece = piece.get_mut(..bytes as usize).ok_or(Refusal::ReplyTooLong)?;
        let all = parameters.iter().skip(offset as usize / 4).flat_map(|number| number.to_le_bytes());
        piece.iter_mut().zip(all.skip(offset as usize % 4)).for_each(|(to, byte)| *to = byte);
        Ok(Reply::Piece { offset, bytes: piece })
    }
}

/// It never changes.
const GENERATION: u32 = 1;

impl<N: Network, L: Lane, S: Kept> Device for Classifier<'_, N, L, S> {
    fn answer(&mut self, request: &Request<'_>) -> Result<Reply<'_>, Refusal> {
        match *request {
            Request::Hello => Ok(Reply::Hello(Hello {
                firmware: self.about.firmware,
                fingerprint: N::fingerprint(),
                model_crc: model_file::checksum(self.about.model),
                input: (N::INPUT.channels as u32, N::INPUT.height as u32, N::INPUT.width as u32),
                classes: N::OUTPUTS as u16,
                params: N::PARAMS as u32,
                form: S::FORM,
                samples: 0,
                plan_rows: self.about.plan.len() as u16,
                largest_request: 0,
                largest_reply: 0,
            })),
            Request::Plan { row } => {
                let &(name, bytes) = self.about.plan.get(usize::from(row)).ok_or(Refusal::OutOfRange)?;
                Ok(Reply::Plan { name, bytes: bytes as u32 })
            }
            Request::Infer { ref sample } => self.infer(sample),
            Request::Status => Ok(Reply::Status(Status {
                activity: Activity::Idle,
                step: 0,
                steps_left: 0,
                samples: 0,
                held_out: 0,
                loss_nats: f32::NAN,
                best_loss_nats: f32::INFINITY,
                best_step: 0,
                saved: 0,
                generation: GENERATION,
                dropped: 0,
            })),
            Request::Parameters => {
                Ok(Reply::Parameters { generation: GENERATION, bytes: Self::BYTES, crc: learner::checksum(self.lent.parameters) })
            }
            Request::Pull { generation, .. } if generation != GENERATION => Err(Refusal::Changed),
            Request::Pull { offset, bytes, .. } => self.pull(offset, bytes),
            Request::SelfTest => Ok(self.self_test()),
            _ => Err(Refusal::Unsupported),
        }
    }
}
