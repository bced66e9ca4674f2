//! The memory of a pass: one block that the caller lends, cut into its parts. Its size is a constant of the network and the batch.

use crate::form::Form;
use crate::kernels::transpose::transpose;
use crate::lane::Lane;
use crate::layers::{Buffers, Pass};
use crate::network::Network;
use crate::sharing::{LINE, MOVE, Share, Sharing};

/// The most samples in one forward and backward pass; a larger batch is summed shard by shard.
pub const SHARD: usize = 64;

/// The memory of a pass, lent by the caller: one block, cut into its parts.
pub struct Workspace<'a> {
    pub(crate) tape: &'a mut [f32],
    pub(crate) buffers: Buffers<'a>,
    pub(crate) scratch: &'a mut [f32],
    pub(super) shard: &'a mut [f32],
    pub(crate) sharing: Sharing<'a>,
}

/// Samples in one pass over a batch of `samples`: [`SHARD`] at most, unless the network needs all of them at once.
pub const fn shard<N: Network>(samples: usize) -> usize {
    if samples < SHARD || N::WHOLE_BATCH { samples } else { SHARD }
}

/// Parts of a workspace start at multiples of this many `f32`s: a cache line, a vector.
const ALIGNMENT: usize = 16;

impl<'a> Workspace<'a> {
    /// `f32`s for passes of network `N` in form `F` over batches of up to `samples`.
    pub const fn len<N: Network, F: Form>(samples: usize) -> usize {
        Self::len_shared::<N, F>(samples, 1)
    }

    /// The same where so many threads share passes: each has scratch of its own.
    pub const fn len_shared<N: Network, F: Form>(samples: usize, threads: usize) -> usize {
        Self::sizes::<N, F>(samples, threads)[4]
    }

    /// The ends of the parts.
    const fn sizes<N: Network, F: Form>(samples: usize, threads: usize) -> [usize; 5] {
        let shard = shard::<N>(samples);
        let element = shard.div_ceil(F::SAMPLES) * F::COLUMN;
        let transposes = F::WEIGHT == 1 && F::COLUMN > 1;
        let parts = [
            N::TAPE * element,
            N::WIDTHS[0] * element,
            N::WIDTHS[1] * element,
            (N::SCRATCH * threads + if transposes { N::TRANSPOSED } else { 0 }) * element,
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
        Self::cut(Self::sizes::<N, F>(samples, 1), memory)
    }

    fn cut([tape, dy, dx, scratch, shard]: [usize; 5], memory: &'a mut [f32]) -> Option<Self> {
        let (memory, shard) = memory.get_mut(..shard)?.split_at_mut_checked(scratch)?;
        let (memory, scratch) = memory.split_at_mut_checked(dx)?;
        let (memory, dx) = memory.split_at_mut_checked(dy)?;
        let (tape, dy) = memory.split_at_mut_checked(tape)?;
        Some(Self { tape, buffers: Buffers { dy, dx }, scratch, shard, sharing: Sharing::ALONE })
    }

    /// [`Workspace::new`] with so many `threads` for the larger parts of a pass.
    ///
    /// # Panics
    /// When `memory` is shorter than [`Workspace::len_shared`].
    pub fn shared<N: Network, F: Form>(samples: usize, threads: usize, others: &'a dyn Share, memory: &'a mut [f32]) -> Self {
        let workspace = Self::cut(Self::sizes::<N, F>(samples, threads), memory).expect("memory of Workspace::len_shared");
        Self { sharing: Sharing::with(others), ..workspace }
    }
}

/// Writes inputs `[sample][element]` to the front of a tape, `[element][column]`; lanes without a sample get zero.
pub(super) fn fill_input<F: Form>(elements: usize, pass: &Pass, inputs: &[f32], tape: &mut [f32]) {
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
            pass.sharing.pieces(&mut tape[..elements * stride], LINE * stride, MOVE, |first, piece| {
                transpose(pass.samples, piece.len() / stride, &inputs[first * LINE..], elements, piece, stride);
            });
        }
    }
}
