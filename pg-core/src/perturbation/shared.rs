//! The noise of large networks, made by several threads: each takes whole rows. The bits are those of [`Noise::scales`], [`Noise::perturb`] and
//! [`mirror`], which are what is called where there are no threads.

use super::{Noise, mirror, rows};
use crate::lane::Lane;
use crate::layers::SegmentKind;
use crate::network::Network;
use crate::noise::Stream;
use crate::sharing::{LINE, MOVE, Sharing};

/// Multiply-adds in the time that a number of noise takes to be made.
const DRAW: usize = 30;

impl Noise {
    /// [`Noise::scales`].
    pub fn scales_shared<N: Network, L: Lane>(&self, sharing: Sharing, parameters: &[f32], scales: &mut [f32]) {
        if sharing.is_alone() {
            return self.scales::<N, L>(parameters, scales);
        }
        let mut rest = scales;
        N::segments(&mut |segment| {
            if segment.kind == SegmentKind::Weight {
                let scales = rest.split_off_mut(..segment.filters).expect("a scale for each filter");
                let rows = &parameters[segment.range()];
                sharing.pieces(scales, 1, MOVE * segment.fan_in, |first, scales| {
                    let rows = rows.chunks_exact(segment.fan_in).skip(first);
                    scales.iter_mut().zip(rows).for_each(|(scale, row)| *scale = self.scale.factor::<L>(self.rho, row));
                });
            }
        });
    }

    /// [`Noise::perturb`].
    pub fn perturb_shared<N: Network, L: Lane>(
        &self,
        sharing: Sharing,
        stream: &Stream,
        parameters: &[f32],
        scales: &[f32],
        member: &mut [f32],
    ) {
        if sharing.is_alone() {
            return self.perturb::<N, L>(stream, parameters, scales, member);
        }
        N::segments(&mut |segment| {
            let (_, length) = rows(&segment);
            sharing.pieces(&mut member[segment.range()], length, DRAW, |row, member| {
                let first = segment.offset + row * length;
                self.perturb_rows::<N, L>(stream, parameters, scales, first..first + member.len(), member);
            });
        });
    }
}

/// [`mirror`].
pub fn mirror_shared<L: Lane>(sharing: Sharing, parameters: &[f32], member: &mut [f32]) {
    sharing.pieces(member, LINE, MOVE, |first, member| mirror::<L>(&parameters[first * LINE..][..member.len()], member));
}
