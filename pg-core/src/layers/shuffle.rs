//! Channel shuffle (Zhang et al., *ShuffleNet*, 2018): deals the channels of groups round, so that the next groups see all of them.

use core::fmt;

use crate::form::Form;
use crate::layers::{Buffers, Layer, Pass};
use crate::shape::{Shape, Shaped};
use crate::sharing::{MOVE, Sharing};

/// Channel j of group g becomes channel `j·GROUPS + g`.
pub struct ChannelShuffle<const GROUPS: usize>;

impl<const GROUPS: usize, In: Shaped> Layer<In> for ChannelShuffle<GROUPS> {
    const OUT: Shape = {
        assert!(GROUPS > 0 && In::SHAPE.channels.is_multiple_of(GROUPS), "ChannelShuffle: the groups must divide the channels");
        In::SHAPE
    };
    const TAPE: usize = In::SHAPE.len();
    const WIDTH: usize = In::SHAPE.len();

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        write!(to, "ChannelShuffle<{GROUPS}>")
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, _: &[f32], x: &mut [f32], tape: &mut [f32], _: &mut [f32]) {
        deal(pass.sharing, GROUPS, In::SHAPE, pass.columns * F::COLUMN, x, tape);
    }

    #[inline]
    fn backward<F: Form>(pass: &Pass, _: &[f32], _: &[f32], _: &[f32], buffers: &mut Buffers, _: &mut [f32], _: &mut [f32]) {
        if !pass.wants_input_gradient {
            return;
        }
        // Dealing round the other number of groups is the way back.
        deal(pass.sharing, In::SHAPE.channels / GROUPS, In::SHAPE, pass.columns * F::COLUMN, buffers.dy, buffers.dx);
        buffers.swap();
    }
}

/// Copies channels: as many rounds as there are channels in a group.
fn deal(sharing: Sharing, groups: usize, shape: Shape, element: usize, from: &[f32], to: &mut [f32]) {
    let (size, channel) = (shape.channels / groups, shape.height * shape.width * element);
    sharing.pieces(&mut to[..shape.channels * channel], channel, MOVE, |first, to| {
        for (place, to) in (first..).zip(to.chunks_exact_mut(channel)) {
            let (j, group) = (place / groups, place % groups);
            to.copy_from_slice(&from[(group * size + j) * channel..][..channel]);
        }
    });
}
