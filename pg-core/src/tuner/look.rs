//! Looking at samples without learning from them: outputs, scores, and what follows from a look at those that are held out.

use super::pass::{columns, copy, cut, element, forward, infer, most_probable, outputs, scratch_len, tape_len, write_sample};
use super::{Entry, FineTuner, Look, Raw, State, TuneError};
use crate::form::Samples;
use crate::lane::Lane;
use crate::layers::Pass;
use crate::loss::{Targets, cross_entropy};
use crate::network::Network;
use crate::population::Workspace;

impl<N: Network, L: Lane, S: Raw, const BATCH: usize, const RANK_ONE: bool> FineTuner<'_, N, L, S, BATCH, RANK_ONE> {
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
    pub(super) fn look(&mut self) -> Option<Look> {
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
    pub(super) fn keep(&mut self) {
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
        infer::<N, L, RANK_ONE>(self.parameters, &mut self.workspace, outputs)
    }

    /// Memory that nothing reads between two steps, that of the gradient and of the members: room for all parameters of the network, or nothing where
    /// these are fewer numbers. A tuner that was lent what [`Scope::EVERYTHING`](crate::layers::Scope::EVERYTHING) needs, whatever it trains,
    /// has the room, but for plain steps of one sample, which need no gradient.
    pub fn spare(&mut self) -> &mut [f32] {
        self.spare.get_mut(..N::PARAMS).unwrap_or_default()
    }

    /// The outputs for an input, which is not normalised, of the network with the parameters in [`FineTuner::spare`]; `None` without that
    /// memory.
    pub fn infer_spare(&mut self, input: impl Iterator<Item = f32>, outputs: &mut [f32]) -> Option<()> {
        let column = element::<L, 1>();
        let to = self.workspace.tape.iter_mut().step_by(column.max(1)).take(N::INPUT.len());
        to.zip(input).for_each(|(to, value)| *to = value);
        infer::<N, L, RANK_ONE>(self.spare, &mut self.workspace, outputs)
    }

    /// Takes the parameters in [`FineTuner::spare`] for its own and begins anew; `None` without that memory.
    pub fn adopt_spare(&mut self) -> Option<()> {
        self.parameters.iter_mut().zip(self.spare.get(..N::PARAMS)?).for_each(|(to, &from)| *to = from);
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
            forward::<N, Samples<L, RANK_ONE>>(&pass, self.parameters.get(..N::PARAMS)?, tape, scratch);
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
}
