//! The plain step of one sample, which is taken on the way back, without a gradient in memory.

use super::pass::{cut, cut_buffers, piece, scratch_len, tape_len};
use super::samples::Census;
use super::{FineTuner, Raw};
use crate::form::Samples;
use crate::lane::Lane;
use crate::layers::{Buffers, Pass};
use crate::loss::{Targets, cross_entropy};
use crate::network::Network;
use crate::population::Workspace;

/// It knows no noise.
type Plain<L> = Samples<L, false>;

impl<N: Network, L: Lane, S: Raw, const BATCH: usize, const RANK_ONE: bool> FineTuner<'_, N, L, S, BATCH, RANK_ONE> {
    /// A plain step for one sample, taken at once.
    #[inline(always)]
    pub(super) fn descend(&mut self, census: &Census, labels: &mut [u16; BATCH]) -> Option<f32> {
        self.gather(census, labels);
        let pass = self.training(0);
        let Workspace { tape, buffers, scratch, .. } = &mut self.workspace;
        let parameters = cut(self.parameters, N::PARAMS)?;
        let tape = cut(tape, tape_len::<N, L, BATCH>())?;
        let scratch = cut(scratch, scratch_len::<N, L, BATCH>())?;
        let mut buffers = cut_buffers::<N, L, BATCH>(buffers)?;
        plain_step::<N, L>(&pass, self.settings.rate, parameters, tape, &mut buffers, scratch, labels)
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
    N::forward::<Plain<L>>(pass, parameters, tape, scratch);
    let y = piece(tape, N::TAPE - N::OUTPUTS, N::OUTPUTS)?;
    let [loss, ..] = cross_entropy::<Plain<L>>(pass, N::OUTPUTS, 1, 0.0, Targets::Classes(label), y, buffers.dy);
    if !loss.is_finite() {
        return None;
    }
    N::descend::<Plain<L>>(pass, -rate, parameters, tape, buffers, scratch);
    Some(loss)
}
