//! Passes over the samples on the tape, and the lengths of the memory that they work in.

use super::Raw;
use super::samples::{Entry, Ring};
use crate::form::{Form, Samples};
use crate::lane::Lane;
use crate::layers::{Buffers, Pass};
use crate::network::Network;
use crate::normalisation::Normalisation;
use crate::population::Workspace;

/// The outputs for the sample on a tape of one, one behind the other.
pub(super) fn infer<N: Network, L: Lane, const FACTORED: bool>(
    parameters: &[f32],
    workspace: &mut Workspace,
    to: &mut [f32],
) -> Option<()> {
    let parameters = parameters.get(..N::PARAMS)?;
    let tape = cut(workspace.tape, tape_len::<N, L, 1>())?;
    forward::<N, Samples<L, FACTORED>>(
        &Pass::infer(1, columns::<L, 1>()),
        parameters,
        tape,
        cut(workspace.scratch, scratch_len::<N, L, 1>())?,
    );
    let y = outputs::<N, L, 1>(tape)?.iter().step_by(element::<L, 1>().max(1));
    to.iter_mut().zip(y).for_each(|(to, &y)| *to = y);
    Some(())
}

// The passes once for all sizes of a batch on a desktop; with everything known to the compiler on a device.

#[cfg_attr(not(target_os = "none"), inline(never))]
#[cfg_attr(target_os = "none", inline(always))]
pub(super) fn forward<N: Network, F: Form>(pass: &Pass, parameters: &[f32], tape: &mut [f32], scratch: &mut [f32]) {
    N::forward::<F>(pass, parameters, tape, scratch);
}

#[cfg_attr(not(target_os = "none"), inline(never))]
#[cfg_attr(target_os = "none", inline(always))]
pub(super) fn backward<N: Network, F: Form>(
    pass: &Pass,
    parameters: &[f32],
    tape: &[f32],
    buffers: &mut Buffers,
    scratch: &mut [f32],
    gradient: &mut [f32],
) {
    N::backward::<F>(pass, parameters, tape, buffers, scratch, gradient);
}

/// Columns of a batch.
pub(super) const fn columns<L: Lane, const BATCH: usize>() -> usize {
    BATCH.div_ceil(<Samples<L> as Form>::SAMPLES)
}

/// Numbers for each element of an activation.
pub(super) const fn element<L: Lane, const BATCH: usize>() -> usize {
    columns::<L, BATCH>() * <Samples<L> as Form>::COLUMN
}

pub(super) const fn tape_len<N: Network, L: Lane, const BATCH: usize>() -> usize {
    N::TAPE * element::<L, BATCH>()
}

pub(super) const fn scratch_len<N: Network, L: Lane, const BATCH: usize>() -> usize {
    (N::SCRATCH + if <Samples<L> as Form>::COLUMN > 1 { N::TRANSPOSED } else { 0 }) * element::<L, BATCH>()
}

// The lent slices have been measured when the tuner was made. They are cut to constant lengths again where they are used, so that the
// compiler knows the lengths and leaves no panic in the machine code.

#[inline(always)]
pub(super) fn cut(slice: &mut [f32], length: usize) -> Option<&mut [f32]> {
    slice.get_mut(..length)
}

#[inline(always)]
pub(super) fn piece(slice: &[f32], first: usize, length: usize) -> Option<&[f32]> {
    slice.get(first..)?.get(..length)
}

#[inline(always)]
pub(super) fn piece_mut(slice: &mut [f32], first: usize, length: usize) -> Option<&mut [f32]> {
    slice.get_mut(first..)?.get_mut(..length)
}

pub(super) fn copy(from: &[f32], from_first: usize, to: &mut [f32], to_first: usize, length: usize) {
    let from = from.iter().skip(from_first).take(length);
    to.iter_mut().skip(to_first).zip(from).for_each(|(to, from)| *to = *from);
}

/// The two buffers of a backward pass.
#[inline(always)]
pub(super) fn cut_buffers<'a, N: Network, L: Lane, const BATCH: usize>(buffers: &'a mut Buffers) -> Option<Buffers<'a>> {
    let [dy, dx] = N::WIDTHS.map(|width| width * element::<L, BATCH>());
    Some(Buffers { dy: cut(buffers.dy, dy)?, dx: cut(buffers.dx, dx)? })
}

/// The outputs at the end of a tape.
#[inline(always)]
pub(super) fn outputs<N: Network, L: Lane, const BATCH: usize>(tape: &[f32]) -> Option<&[f32]> {
    piece(tape, (N::TAPE - N::OUTPUTS) * element::<L, BATCH>(), N::OUTPUTS * element::<L, BATCH>())
}

/// The first of the largest outputs of sample `n`.
pub(super) fn most_probable(y: &[f32], n: usize, element: usize) -> u16 {
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
pub(super) fn write_sample<N: Network, L: Lane, S: Raw, const BATCH: usize>(
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
