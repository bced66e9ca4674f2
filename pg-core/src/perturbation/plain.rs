//! The noise that most runs have, and on a device that learns the only one of full rank: on all weights, each filter with one scale for all of its numbers
//! ([`Noise::is_plain`]). It gives the bits of [`Noise::perturb`], and nothing in it can panic.

use super::{CHUNK, Distribution, Noise, NoiseTargets, ScaleRule, shift};
use crate::lane::Lane;
use crate::layers::{Segment, SegmentKind};
use crate::network::Network;
use crate::noise::{self, GROUP, Stream};

impl Noise {
    /// Whether it falls on all weights, and on nothing else, in proportion to one number for each filter.
    pub(crate) fn is_of_filters(&self) -> bool {
        matches!(self.scale, ScaleRule::Filter | ScaleRule::Absolute) && self.targets == NoiseTargets::WEIGHTS
    }

    /// Whether it is so, and of full rank.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_of_filters() && self.distribution != Distribution::RankOne
    }
}

/// [`Noise::perturb`] of plain noise. A filter with a scale of 0 gets none.
pub(crate) fn perturb<N: Network, L: Lane>(
    distribution: Distribution,
    stream: &Stream,
    parameters: &[f32],
    scales: &[f32],
    member: &mut [f32],
) {
    if L::LANES == 1 && distribution == Distribution::Rademacher {
        return perturb_by_bits::<N, L>(stream, parameters, scales, member);
    }
    let mut noise = [0.0; CHUNK];
    let mut made = None;
    let mut scales = scales.iter();
    N::segments(&mut |segment| {
        let Segment { kind, offset, filters, fan_in, .. } = segment;
        if kind != SegmentKind::Weight {
            copy(parameters, segment.range(), member);
            return;
        }
        for (f, &scale) in (0..filters).zip(&mut scales) {
            let mut first = offset + f * fan_in;
            let end = first + fan_in;
            while first < end {
                let chunk = first / CHUNK;
                if made != Some(chunk) {
                    let needed = (N::PARAMS - chunk * CHUNK).next_multiple_of(GROUP).min(CHUNK);
                    distribution.fill::<L>(stream, (chunk * (CHUNK / GROUP)) as u32, noise.get_mut(..needed).unwrap_or_default());
                    made = Some(chunk);
                }
                let length = (end - first).min(CHUNK - first % CHUNK);
                let noise = noise.get(first % CHUNK..first % CHUNK + length).unwrap_or(&[]);
                if let (Some(from), Some(to)) = (parameters.get(first..first + length), member.get_mut(first..first + length)) {
                    shift::<L>(from, scale, noise, to);
                }
                first += length;
            }
        }
    });
}

/// [`perturb`] with random signs, straight from their bits: signs as numbers in memory would cost as much again where numbers are made one
/// at a time.
fn perturb_by_bits<N: Network, L: Lane>(stream: &Stream, parameters: &[f32], scales: &[f32], member: &mut [f32]) {
    let mut group = (usize::MAX, [0; GROUP / 8]);
    let mut scales = scales.iter();
    N::segments(&mut |segment| {
        let Segment { kind, offset, fan_in, .. } = segment;
        if kind != SegmentKind::Weight {
            copy(parameters, segment.range(), member);
            return;
        }
        let (Some(from), Some(to)) = (parameters.get(segment.range()), member.get_mut(segment.range())) else { return };
        let rows = from.chunks_exact(fan_in.max(1)).zip(to.chunks_exact_mut(fan_in.max(1)));
        for ((f, (mut from, mut to)), &scale) in rows.enumerate().zip(&mut scales) {
            let mut first = offset + f * fan_in;
            while !from.is_empty() {
                if group.0 != first / GROUP {
                    group = (first / GROUP, stream.sign_bits((first / GROUP) as u32));
                }
                // Whole bytes of signs where they begin with one, else one sign.
                let bytes = group.1.get(first % GROUP / 8..).unwrap_or(&[]);
                let whole = if first.is_multiple_of(8) { bytes.len().min(from.len() / 8) } else { 0 };
                let length = if whole > 0 { 8 * whole } else { 1 };
                let ((from_now, from_then), (to_now, to_then)) =
                    (from.split_at(length.min(from.len())), to.split_at_mut(length.min(to.len())));
                if whole > 0 {
                    L::add_signs(scale, bytes.get(..whole).unwrap_or(&[]), from_now, to_now);
                } else {
                    let sign = L::splat(noise::sign(u32::from(bytes.first().copied().unwrap_or_default()) >> (first % 8)));
                    from_now.iter().zip(to_now).for_each(|(&from, to)| *to = L::splat(scale).mul_add(sign, L::splat(from)).lane(0));
                }
                (from, to) = (from_then, to_then);
                first += length;
            }
        }
    });
}

fn copy(parameters: &[f32], range: core::ops::Range<usize>, member: &mut [f32]) {
    if let (Some(from), Some(to)) = (parameters.get(range.clone()), member.get_mut(range)) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
}
