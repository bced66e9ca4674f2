//! The population gradient: the mean of the gradients of noisy copies of one network.
//!
//! `G = (1/K)·Σₖ ∇L(θ + εₖ; B)`, a non-local estimate of the gradient (Sakai et al., *Population gradients*, arXiv 2010.12260).
//! What the paper leaves open is a choice of this project: filter-wise noise scale, antithetic pairs, one shared batch.
//!
//! # The order of summation
//! Part of the promise of the same bits everywhere; a chain runs in index order:
//! * a sum of products inside a layer (over inputs, outputs or samples): fused multiply-adds from the bias or from zero;
//! * a bias's gradient, a filter's sum of squares: sixteen strided partial sums, folded in halves (partial i takes partial i + 8, then
//!   i + 4, i + 2, i + 1);
//! * softmax's total: a chain over the classes; a loss: chains over samples, then shards, then members;
//! * a member's gradient over a batch: over shards of [`SHARD`] samples;
//! * the gradient of the population: over the members, θ+ε before θ-ε, pair after pair; then times 1/K.
//!
//! Results do not depend on how many members are made at once, in which lanes, or by how many threads; memory does not grow with the
//! population.

use crate::form::Form;
use crate::kernels::transpose::transpose;
use crate::lane::Lane;
use crate::layers::{Buffers, Draw, Mode, Pass};
use crate::loss::{Loss, MAX_LANES, Targets};
use crate::network::Network;
use crate::noise::{Purpose, Stream};
use crate::perturbation::{Distribution, mirror, noise_scales, perturb, perturb_lane};

/// The most samples in one forward and backward pass; a larger batch is summed shard by shard.
pub const SHARD: usize = 64;

/// The population and its noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Population {
    /// K: how many members; 0 is plain stochastic gradient descent.
    pub members: u32,
    /// ρ: the norm of a filter's noise, relative to the norm of the filter.
    pub rho: f32,
    /// The distribution of the noise.
    pub distribution: Distribution,
    /// Whether members come in pairs θ+ε, θ-ε.
    pub antithetic: bool,
}

/// Samples and their targets.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Normalised inputs, `[sample][element]`.
    pub inputs: &'a [f32],
    /// The truth for each.
    pub targets: Targets<'a>,
    /// How many.
    pub samples: usize,
}

/// Why a step has no gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// A loss became infinite or not a number; the gradient must not be used.
    #[error("the loss is no longer a finite number")]
    NonFiniteLoss,
}

/// The memory of a pass, lent by the caller: one block, cut into its parts.
pub struct Workspace<'a> {
    pub(crate) tape: &'a mut [f32],
    pub(crate) buffers: Buffers<'a>,
    pub(crate) scratch: &'a mut [f32],
    shard: &'a mut [f32],
}

/// Samples in one pass over a batch of `samples`: [`SHARD`] at most, unless the network needs all of them at once.
const fn shard<N: Network>(samples: usize) -> usize {
    if samples < SHARD || N::WHOLE_BATCH { samples } else { SHARD }
}

/// Parts of a workspace start at multiples of this many `f32`s: a cache line, a vector.
const ALIGNMENT: usize = 16;

impl<'a> Workspace<'a> {
    /// `f32`s for passes of network `N` in form `F` over batches of up to `samples`.
    pub const fn len<N: Network, F: Form>(samples: usize) -> usize {
        Self::sizes::<N, F>(samples)[4]
    }

    /// The ends of the parts.
    const fn sizes<N: Network, F: Form>(samples: usize) -> [usize; 5] {
        let shard = shard::<N>(samples);
        let element = shard.div_ceil(F::SAMPLES) * F::COLUMN;
        let transposes = F::WEIGHT == 1 && F::COLUMN > 1;
        let parts = [
            N::TAPE * element,
            N::WIDTH * element,
            N::WIDTH * element,
            (N::SCRATCH + if transposes { N::TRANSPOSED } else { 0 }) * element,
            if samples > shard { N::PARAMS } else { 0 },
        ];
        let mut ends = [0; 5];
        let mut end = 0;
        let mut i = 0;
        while i < 5 {
            end += if F::COLUMN == 1 { parts[i] } else { parts[i].next_multiple_of(ALIGNMENT) };
            ends[i] = end;
            i += 1;
        }
        ends
    }

    /// Cuts `memory` into the parts; vectors are fastest when it is aligned to 64 bytes.
    ///
    /// # Panics
    /// When `memory` is shorter than [`Workspace::len`].
    pub fn new<N: Network, F: Form>(samples: usize, memory: &'a mut [f32]) -> Self {
        Self::try_new::<N, F>(samples, memory).expect("memory of Workspace::len")
    }

    /// The same, or `None` when `memory` is too short.
    pub(crate) fn try_new<N: Network, F: Form>(samples: usize, memory: &'a mut [f32]) -> Option<Self> {
        let [tape, dy, dx, scratch, shard] = Self::sizes::<N, F>(samples);
        let (memory, shard) = memory.get_mut(..shard)?.split_at_mut_checked(scratch)?;
        let (memory, scratch) = memory.split_at_mut_checked(dx)?;
        let (memory, dx) = memory.split_at_mut_checked(dy)?;
        let (tape, dy) = memory.split_at_mut_checked(tape)?;
        Some(Self { tape, buffers: Buffers { dy, dx }, scratch, shard })
    }
}

/// Writes inputs `[sample][element]` to the front of a tape, `[element][column]`; lanes without a sample get zero.
fn fill_input<F: Form>(elements: usize, pass: &Pass, inputs: &[f32], tape: &mut [f32]) {
    let stride = pass.columns * F::COLUMN;
    if F::WEIGHT > 1 {
        for n in 0..pass.samples {
            for i in 0..elements {
                F::Value::splat(inputs[n * elements + i]).store(&mut tape[i * stride + n * F::COLUMN..][..F::COLUMN]);
            }
        }
    } else if stride == 1 {
        tape[..elements].copy_from_slice(&inputs[..elements]);
    } else {
        if pass.samples < stride {
            tape[..elements * stride].chunks_exact_mut(stride).for_each(|row| row[pass.samples..].fill(0.0));
        }
        if F::COLUMN == 1 {
            for n in 0..pass.samples {
                (0..elements).for_each(|i| tape[i * stride + n] = inputs[n * elements + i]);
            }
        } else {
            transpose(pass.samples, elements, inputs, elements, tape, stride);
        }
    }
}

/// Runs the network on up to [`SHARD`] samples and returns its outputs, `[output][column]`.
///
/// `parameters` have `F::WEIGHT` numbers for each parameter.
///
/// # Panics
/// When the workspace was made for fewer samples.
pub fn infer<'a, N: Network, F: Form>(parameters: &[f32], inputs: &[f32], samples: usize, workspace: &'a mut Workspace) -> &'a [f32] {
    run::<N, F>(&Pass::infer(samples, F::columns(samples)), parameters, inputs, workspace)
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
    let pass = Pass { mode: Mode::Estimate, ..Pass::infer(samples, F::columns(samples)) };
    run::<N, F>(&pass, parameters, inputs, workspace);
    let share = samples as f32 / (seen + samples) as f32;
    N::estimate::<F>(&pass, share, parameters, workspace.tape);
}

/// Which members a pass computes, and what their random masks are keyed by.
#[derive(Clone, Copy, Debug)]
pub struct Cohort {
    /// How many: one with samples in lanes or scalar, up to `LANES` with members in lanes.
    pub count: usize,
    /// The first of them, the seed and the step.
    pub draw: Draw,
}

/// Adds (without `adds`: writes) the gradients of the mean loss over `batch` at the parameters of `members` to `gradient`,
/// in the order of the members, and returns the mean loss of each.
///
/// With members in lanes the batch has at most [`SHARD`] samples, unless the network needs all of them at once. `refill` says whether the
/// workspace does not yet hold the input of this batch.
///
/// # Errors
/// [`StepError::NonFiniteLoss`]; `gradient` is then spoilt.
///
/// # Panics
/// When a slice is too short, a label has no output, or members in lanes are given more samples.
#[allow(clippy::too_many_arguments, reason = "the memory is the caller's, part by part")]
pub fn accumulate<N: Network, F: Form>(
    loss: &Loss,
    members: Cohort,
    parameters: &[f32],
    batch: &Batch,
    refill: bool,
    adds: bool,
    workspace: &mut Workspace,
    gradient: &mut [f32],
) -> Result<[f32; MAX_LANES], StepError> {
    let Workspace { tape, buffers, scratch, shard: partial } = workspace;
    let size = shard::<N>(batch.samples);
    let sharded = batch.samples > size;
    assert!(F::WEIGHT == 1 || !sharded, "members in lanes serve batches of up to {SHARD} samples");
    let mut totals = [0.0; MAX_LANES];
    let mut first = 0;
    while first < batch.samples {
        let samples = (batch.samples - first).min(size);
        let rows = &batch.inputs[first * N::INPUT.len()..][..samples * N::INPUT.len()];
        let targets = batch.targets.range(first, first + samples, N::OUTPUTS);
        let pass = Pass {
            mode: Mode::Train(Draw { first_sample: first as u32, ..members.draw }),
            members: members.count,
            adds: if sharded { first > 0 } else { adds },
            input_rows: Some(rows),
            ..Pass::infer(samples, F::columns(samples))
        };
        let element = pass.columns * F::COLUMN;
        let tape = &mut tape[..N::TAPE * element];
        if refill || sharded || N::OVERWRITES_INPUT {
            fill_input::<F>(N::INPUT.len(), &pass, rows, tape);
        }
        N::forward::<F>(&pass, parameters, tape, scratch);
        let y = &tape[(N::TAPE - N::OUTPUTS) * element..];
        let sums = loss.gradient::<F>(&pass, N::OUTPUTS, batch.samples, targets, y, buffers.dy);
        if !sums[..members.count].iter().all(|sum| sum.is_finite()) {
            return Err(StepError::NonFiniteLoss);
        }
        totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        let gradient = if sharded { &mut partial[..N::PARAMS] } else { &mut *gradient };
        N::backward::<F>(&pass, parameters, tape, buffers, scratch, gradient);
        first += samples;
    }
    if sharded && adds {
        add::<F::Value>(partial, gradient);
    } else if sharded {
        gradient.copy_from_slice(&partial[..N::PARAMS]);
    }
    Ok(totals.map(|total| total / batch.samples as f32))
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

impl Population {
    /// Plain stochastic gradient descent.
    pub const NONE: Self = Self { members: 0, rho: 0.0, distribution: Distribution::Gaussian, antithetic: true };

    /// The pair that `member` belongs to and whether it is its second half, θ-ε.
    pub const fn place(&self, member: u32) -> (u32, bool) {
        if self.antithetic { (member / 2, member % 2 == 1) } else { (member, false) }
    }

    /// The noise of `pair` at `step`.
    pub fn stream(&self, seed: u64, step: u32, pair: u32) -> Stream {
        Stream::new(seed, Purpose::Members, step, pair)
    }

    /// What keys the random masks of `member` at `step`.
    pub const fn draw(&self, seed: u64, step: u32, member: u32) -> Draw {
        Draw { seed, step, member, antithetic: self.antithetic, first_sample: 0 }
    }

    /// `f32`s that hold the members made at once: one, or with members in lanes as many as there are lanes.
    pub const fn weights_len<N: Network, F: Form>() -> usize {
        N::PARAMS * F::WEIGHT
    }

    /// Writes the population gradient at `parameters` over `batch` to `gradient` and returns the mean loss of the members.
    ///
    /// * `scales`: scratch of `N::FILTERS`; `weights`: scratch of [`Population::weights_len`], both unused without members
    /// * `workspace`: [`Workspace::new`] for the same network, form and at least as many samples
    ///
    /// # Errors
    /// [`StepError::NonFiniteLoss`]; `gradient` must then not be used. `parameters` are never touched.
    ///
    /// # Panics
    /// When a slice is too short or a label has no output.
    #[allow(clippy::too_many_arguments, reason = "the memory is the caller's, part by part")]
    pub fn gradient<N: Network, F: Form>(
        &self,
        loss: &Loss,
        seed: u64,
        step: u32,
        parameters: &[f32],
        batch: &Batch,
        scales: &mut [f32],
        weights: &mut [f32],
        workspace: &mut Workspace,
        gradient: &mut [f32],
    ) -> Result<f32, StepError> {
        let group = |member: u32, count: usize| Cohort { count, draw: self.draw(seed, step, member) };
        if self.members == 0 && F::WEIGHT == 1 {
            return accumulate::<N, F>(loss, group(0, 1), parameters, batch, true, false, workspace, gradient).map(|losses| losses[0]);
        }
        let rho = if self.members == 0 { 0.0 } else { self.rho };
        noise_scales::<N, F::Value>(rho, parameters, scales);
        let count = self.members.max(1);
        let mut total = 0.0;
        let mut member = 0;
        while member < count {
            let first = member == 0;
            let members = if F::WEIGHT > 1 { (count - member).min(F::WEIGHT as u32) } else { 1 };
            if F::WEIGHT > 1 {
                for lane in 0..F::WEIGHT as u32 {
                    // Lanes beyond the last member repeat it; nobody reads them.
                    let (pair, second) = self.place(member + lane.min(members - 1));
                    let stream = self.stream(seed, step, pair);
                    perturb_lane::<N, F>(self.distribution, &stream, parameters, scales, second, lane as usize, weights);
                }
            } else {
                match self.place(member) {
                    (pair, false) => {
                        let stream = self.stream(seed, step, pair);
                        perturb::<N, F::Value>(self.distribution, &stream, parameters, scales, weights);
                    }
                    // The first member of the pair was the last to be made.
                    (_, true) => mirror::<F::Value>(parameters, weights),
                }
            }
            let losses = accumulate::<N, F>(loss, group(member, members as usize), weights, batch, first, !first, workspace, gradient)?;
            for loss in &losses[..members as usize] {
                total += loss;
            }
            member += members;
        }
        let mean = 1.0 / count as f32;
        scale::<F::Value>(mean, gradient);
        Ok(total * mean)
    }
}
