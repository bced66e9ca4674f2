//! Passes over the samples that one network, or the members in the lanes, see: forward, the loss, and back.

use crate::form::Form;
use crate::lane::Lane;
use crate::layers::{Draw, Mode, Pass};
use crate::loss::{Loss, MAX_LANES};
use crate::network::Network;
use crate::perturbation::rank_one::Factors;
use crate::sharing::Sharing;

use super::batch::Batch;
use super::combine::Weights;
use super::workspace::{Workspace, fill_input, shard};
use super::{SHARD, StepError};

/// Runs the network on up to [`SHARD`] samples and returns its outputs, `[output][column]`.
///
/// `parameters` have `F::WEIGHT` numbers for each parameter.
///
/// # Panics
/// When the workspace was made for fewer samples.
pub fn infer<'a, N: Network, F: Form>(parameters: &[f32], inputs: &[f32], samples: usize, workspace: &'a mut Workspace) -> &'a [f32] {
    let pass = Pass { sharing: workspace.sharing, ..Pass::infer(samples, F::columns(samples)) };
    run::<N, F>(&pass, parameters, inputs, workspace)
}

/// A forward pass; returns the outputs.
fn run<'a, N: Network, F: Form>(pass: &Pass, parameters: &[f32], inputs: &[f32], workspace: &'a mut Workspace) -> &'a [f32] {
    let element = pass.columns * F::COLUMN;
    let tape = &mut workspace.tape[..N::TAPE * element];
    fill_input::<F>(N::INPUT.len(), pass, inputs, tape);
    N::forward::<F>(pass, parameters, tape, workspace.scratch);
    &tape[(N::TAPE - N::OUTPUTS) * element..]
}

/// Takes a batch of `samples` inputs into the running statistics among `parameters`; `seen` is how many samples were taken before, 0 to start
/// afresh. The statistics are those of all samples so far, of the central network without masks.
///
/// A network without such statistics is left alone.
///
/// # Panics
/// When the workspace was made for fewer samples, or with members in lanes.
pub fn estimate<N: Network, F: Form>(parameters: &mut [f32], inputs: &[f32], samples: usize, seen: usize, workspace: &mut Workspace) {
    assert!(F::WEIGHT == 1, "statistics are those of one network");
    if N::STATISTICS == 0 {
        return;
    }
    let pass = Pass { mode: Mode::Estimate, sharing: workspace.sharing, ..Pass::infer(samples, F::columns(samples)) };
    run::<N, F>(&pass, parameters, inputs, workspace);
    let share = samples as f32 / (seen + samples) as f32;
    N::estimate::<F>(&pass, share, parameters, workspace.tape);
}

/// Which members a pass computes, and what their random masks are keyed by.
#[derive(Clone, Copy, Debug)]
pub struct Cohort<'a> {
    /// How many: one with samples in lanes or scalar, up to `LANES` with members in lanes.
    pub count: usize,
    /// The first of them, the seed and the step, and the first sample.
    pub draw: Draw,
    /// Their rank-1 noise, when they run on the central parameters.
    pub factors: Option<Factors<'a>>,
}

impl<'f> Cohort<'f> {
    /// The same members at samples further on.
    const fn at_sample(self, first: usize) -> Self {
        Self { draw: Draw { first_sample: self.draw.first_sample + first as u32, ..self.draw }, ..self }
    }

    fn pass<'a, N: Network, F: Form>(&self, samples: &'a Batch, adds: bool, sharing: Sharing<'a>) -> Pass<'a>
    where
        'f: 'a,
    {
        Pass {
            mode: Mode::Train(self.draw),
            members: self.count,
            adds,
            input_rows: Some(&samples.inputs[..samples.samples * N::INPUT.len()]),
            factors: self.factors,
            sharing,
            ..Pass::infer(samples.samples, F::columns(samples.samples))
        }
    }
}

/// How a pass comes by its input, which with samples in lanes is transposed: feature by feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The workspace holds it from an earlier pass.
    Held,
    /// It is written to the workspace, for this pass and others.
    New,
    /// Only this pass reads it: a first layer that [can](crate::Network::TAKES_ROWS) transposes it piece by piece on the way, and each thread for
    /// itself, which is cheaper than to read what another core has just written.
    Once,
}

/// Runs `members` forward over up to a [`shard`] of samples and returns the sum of the losses of each; the gradient of their losses over
/// `divisor` is left in the workspace.
///
/// # Panics
/// When a slice is too short or a label has no output.
pub fn forward<N: Network, F: Form>(
    loss: &Loss,
    members: Cohort,
    parameters: &[f32],
    samples: &Batch,
    divisor: usize,
    input: Input,
    workspace: &mut Workspace,
) -> [f32; MAX_LANES] {
    let Workspace { tape, buffers, scratch, sharing, .. } = workspace;
    let suits = N::TAKES_ROWS && F::WEIGHT == 1 && F::COLUMN > 1;
    // Noise on factors is a product with all of the input once more.
    let untransposed = suits && input == Input::Once && members.factors.is_none() && samples.samples <= SHARD;
    let pass = Pass { untransposed, ..members.pass::<N, F>(samples, false, *sharing) };
    let element = pass.columns * F::COLUMN;
    let tape = &mut tape[..N::TAPE * element];
    if (input != Input::Held && !untransposed) || N::OVERWRITES_INPUT {
        fill_input::<F>(N::INPUT.len(), &pass, samples.inputs, tape);
    }
    N::forward::<F>(&pass, parameters, tape, scratch);
    let y = &tape[(N::TAPE - N::OUTPUTS) * element..];
    loss.gradient::<F>(&pass, N::OUTPUTS, divisor, samples.targets, y, buffers.dy)
}

/// Runs `members` back over the samples that [`forward`] has just seen, and adds their gradients to `gradient` in their order (without
/// `adds`: writes it).
pub fn backward<N: Network, F: Form>(
    members: Cohort,
    parameters: &[f32],
    samples: &Batch,
    adds: bool,
    workspace: &mut Workspace,
    gradient: &mut [f32],
) {
    let Workspace { tape, buffers, scratch, sharing, .. } = workspace;
    let pass = members.pass::<N, F>(samples, adds, *sharing);
    N::backward::<F>(&pass, parameters, &tape[..N::TAPE * pass.columns * F::COLUMN], &mut buffers.lend(), scratch, gradient);
}

/// Multiplies the gradient that [`forward`] has left by the weight of each member, given the sums that it returned.
pub fn weigh<N: Network, F: Form>(weights: &Weights, members: Cohort, sums: &[f32; MAX_LANES], samples: usize, workspace: &mut Workspace) {
    if weights.are_one() {
        return;
    }
    let mut of_lanes = [0.0; MAX_LANES];
    for (weight, sum) in of_lanes.iter_mut().zip(&sums[..members.count]) {
        *weight = weights.of(sum / samples as f32);
    }
    let factor = if F::WEIGHT > 1 { F::Value::load(&of_lanes) } else { F::Value::splat(of_lanes[0]) };
    let filled = N::OUTPUTS * F::columns(samples) * F::COLUMN;
    for dy in workspace.buffers.dy[..filled].chunks_exact_mut(F::COLUMN) {
        (F::Value::load(dy) * factor).store(dy);
    }
}

/// Runs `members` forward over `batch` and returns the sum of the losses of each, which may be no number.
///
/// # Panics
/// As [`accumulate`].
pub fn losses<N: Network, F: Form>(
    loss: &Loss,
    members: Cohort,
    parameters: &[f32],
    batch: &Batch,
    input: Input,
    workspace: &mut Workspace,
) -> [f32; MAX_LANES] {
    let size = shard::<N>(batch.samples);
    let mut totals = [0.0; MAX_LANES];
    for first in (0..batch.samples).step_by(size) {
        let samples = batch.part(first..batch.samples.min(first + size), N::INPUT.len(), N::OUTPUTS);
        let input = if batch.samples > size { Input::Once } else { input };
        let sums = forward::<N, F>(loss, members.at_sample(first), parameters, &samples, batch.samples, input, workspace);
        totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    totals
}

/// Adds (without `adds`: writes) the weighted gradients of the losses over `batch`, divided by `divisor`, at the parameters of `members` to
/// `gradient`, in the order of the members, and returns the sum of the losses of each.
///
/// With members in lanes the batch has at most [`SHARD`] samples, unless the network needs all of them at once. The `input` of a batch of more than a shard
/// is that of one pass.
///
/// # Errors
/// [`StepError::NonFiniteLoss`], before the loss's gradient has gone anywhere; with `adds` the `gradient` is then as it was.
///
/// # Panics
/// When a slice is too short, a label has no output, or members in lanes are given more samples.
#[allow(clippy::too_many_arguments, reason = "the memory is the caller's, part by part")]
pub fn accumulate<N: Network, F: Form>(
    loss: &Loss,
    members: Cohort,
    parameters: &[f32],
    batch: &Batch,
    divisor: usize,
    input: Input,
    adds: bool,
    weights: &Weights,
    workspace: &mut Workspace,
    gradient: &mut [f32],
) -> Result<[f32; MAX_LANES], StepError> {
    let size = shard::<N>(batch.samples);
    let sharded = batch.samples > size;
    assert!(F::WEIGHT == 1 || !sharded, "members in lanes serve batches of up to {SHARD} samples");
    let input = if sharded { Input::Once } else { input };
    let partial = core::mem::take(&mut workspace.shard);
    // The sum over the shards of the first member is the gradient, unless it is to be weighed.
    let apart = sharded && (adds || !weights.are_one());
    let mut totals = [0.0; MAX_LANES];
    let mut finite = true;
    for first in (0..batch.samples).step_by(size) {
        let samples = batch.part(first..batch.samples.min(first + size), N::INPUT.len(), N::OUTPUTS);
        let cohort = members.at_sample(first);
        let sums = forward::<N, F>(loss, cohort, parameters, &samples, divisor, input, workspace);
        finite = sums[..members.count].iter().all(|sum| sum.is_finite());
        if !finite {
            break;
        }
        totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        if !sharded {
            weigh::<N, F>(weights, cohort, &totals, samples.samples, workspace);
        }
        let target = if apart { &mut partial[..N::PARAMS] } else { &mut *gradient };
        backward::<N, F>(cohort, parameters, &samples, if sharded { first > 0 } else { adds }, workspace, target);
    }
    if apart && finite {
        let weight = weights.of(totals[0] / batch.samples as f32);
        join::<F::Value>(weight, &partial[..N::PARAMS], adds, gradient);
    }
    workspace.shard = partial;
    if finite { Ok(totals) } else { Err(StepError::NonFiniteLoss) }
}

/// Adds `weight` times a gradient to another (without `adds`: writes it), as it is done with a member whose batch is summed shard by shard.
pub fn join<L: Lane>(weight: f32, from: &[f32], adds: bool, to: &mut [f32]) {
    match (adds, weight == 1.0) {
        (true, true) => add::<L>(from, to),
        (true, false) => add_scaled::<L>(weight, from, to),
        (false, _) => {
            to.copy_from_slice(from);
            if weight != 1.0 {
                scale::<L>(weight, to);
            }
        }
    }
}

/// `to += factor·from`.
fn add_scaled<L: Lane>(factor: f32, from: &[f32], to: &mut [f32]) {
    let whole = to.len() / L::LANES * L::LANES;
    for (to, from) in to[..whole].chunks_exact_mut(L::LANES).zip(from.chunks_exact(L::LANES)) {
        L::splat(factor).mul_add(L::load(from), L::load(to)).store(to);
    }
    for (to, from) in to[whole..].iter_mut().zip(&from[whole..]) {
        *to = Lane::mul_add(factor, *from, *to);
    }
}

/// `to += from`.
pub fn add<L: Lane>(from: &[f32], to: &mut [f32]) {
    let whole = to.len() / L::LANES * L::LANES;
    for (to, from) in to[..whole].chunks_exact_mut(L::LANES).zip(from.chunks_exact(L::LANES)) {
        (L::load(to) + L::load(from)).store(to);
    }
    for (to, from) in to[whole..].iter_mut().zip(&from[whole..]) {
        *to += from;
    }
}

/// `to *= factor`.
pub fn scale<L: Lane>(factor: f32, to: &mut [f32]) {
    let whole = to.len() / L::LANES * L::LANES;
    for to in to[..whole].chunks_exact_mut(L::LANES) {
        (L::load(to) * L::splat(factor)).store(to);
    }
    to[whole..].iter_mut().for_each(|to| *to *= factor);
}
