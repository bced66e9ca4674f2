//! Noisy copies of the parameters: how large the noise is for each filter, and the making of a member.
//!
//! For each filter f (one unit's incoming weights, `d` of them) the noise has the standard deviation `ρ·‖w_f‖/√d` per weight, so
//! that its norm is about `ρ·‖w_f‖`; biases get none. The central parameters are only read.

use crate::form::Form;
use crate::lane::{Lane, PARTIAL, fold};
use crate::layers::{Segment, SegmentKind};
use crate::network::Network;
use crate::noise::{self, GROUP, Stream};

/// Elements of noise that are made at once: many on a desktop, where that is faster, one group where memory is short.
const CHUNK: usize = if cfg!(target_os = "none") { GROUP } else { 4 * GROUP };

/// The distribution of the noise; both have mean 0 and variance 1 before they are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Standard normals.
    Gaussian,
    /// Random signs, much cheaper to make.
    Rademacher,
}

impl Distribution {
    #[inline(always)]
    fn fill<L: Lane>(self, stream: &Stream, group: u32, out: &mut [f32]) {
        match self {
            Distribution::Gaussian => stream.normals::<L>(group, out),
            Distribution::Rademacher => stream.signs(group, out),
        }
    }
}

/// Writes the noise scale of every filter, `N::FILTERS` of them.
///
/// A sum of squares runs in sixteen strided partial sums, folded in halves: the same for any lane width.
pub fn noise_scales<N: Network, L: Lane>(rho: f32, parameters: &[f32], scales: &mut [f32]) {
    let mut next = 0;
    N::segments(&mut |segment| {
        if segment.kind != SegmentKind::Weight {
            return;
        }
        for filter in parameters.get(segment.range()).unwrap_or(&[]).chunks_exact(segment.fan_in.max(1)) {
            if L::LANES == 1 {
                let mut partial = [0.0; PARTIAL];
                L::add_squares(filter, &mut partial);
                let Some(scale) = scales.get_mut(next) else { return };
                *scale = rho * L::splat(fold(partial) / segment.fan_in as f32).sqrt().lane(0);
                next += 1;
                continue;
            }
            let mut sums = [L::default(); PARTIAL];
            let vectors = PARTIAL / L::LANES;
            let mut add = |weights: &[f32]| {
                for (sum, weights) in sums[..vectors].iter_mut().zip(weights.chunks_exact(L::LANES)) {
                    let w = L::load(weights);
                    *sum = w.mul_add(w, *sum);
                }
            };
            let whole = filter.chunks_exact(PARTIAL);
            let mut rest = [0.0; PARTIAL];
            rest[..whole.remainder().len()].copy_from_slice(whole.remainder());
            whole.for_each(&mut add);
            add(&rest);
            let mut partial = [0.0; PARTIAL];
            for (sum, out) in sums[..vectors].iter().zip(partial.chunks_exact_mut(L::LANES)) {
                sum.store(out);
            }
            let sum = fold(partial);
            scales[next] = rho * L::splat(sum / segment.fan_in as f32).sqrt().lane(0);
            next += 1;
        }
    });
}

/// Visits all parameters in order in pieces that share a scale and a chunk of noise: `visit(first, length, scale, noise)`.
/// Parameters without noise come with the scale 0 and an empty noise.
#[inline(always)]
fn walk<N: Network, L: Lane>(
    distribution: Distribution,
    stream: &Stream,
    scales: &[f32],
    mut visit: impl FnMut(usize, usize, f32, &[f32]),
) {
    let mut noise = [0.0; CHUNK];
    let mut made = None;
    let mut next = 0;
    N::segments(&mut |Segment { kind, offset, filters, fan_in, .. }| {
        if kind != SegmentKind::Weight {
            visit(offset, filters * fan_in, 0.0, &[]);
            return;
        }
        for f in 0..filters {
            let scale = scales.get(next + f).copied().unwrap_or_default();
            let mut first = offset + f * fan_in;
            let end = first + fan_in;
            while first < end {
                let chunk = first / CHUNK;
                if made != Some(chunk) {
                    let needed = (N::PARAMS - chunk * CHUNK).next_multiple_of(GROUP).min(CHUNK);
                    let noise = noise.get_mut(..needed).unwrap_or_default();
                    distribution.fill::<L>(stream, (chunk * (CHUNK / GROUP)) as u32, noise);
                    made = Some(chunk);
                }
                let length = (end - first).min(CHUNK - first % CHUNK);
                visit(first, length, scale, noise.get(first % CHUNK..first % CHUNK + length).unwrap_or(&[]));
                first += length;
            }
        }
        next += filters;
    });
}

/// Writes the first member of the pair that `stream` stands for, θ+ε; `member` has `N::PARAMS` elements.
pub fn perturb<N: Network, L: Lane>(distribution: Distribution, stream: &Stream, parameters: &[f32], scales: &[f32], member: &mut [f32]) {
    if L::LANES == 1 && distribution == Distribution::Rademacher {
        return perturb_by_bits::<N, L>(stream, parameters, scales, member);
    }
    walk::<N, L>(distribution, stream, scales, |first, length, scale, noise| {
        let range = first..first + length;
        if let (Some(from), Some(to)) = (parameters.get(range.clone()), member.get_mut(range)) {
            shift::<L>(from, scale, noise, to);
        }
    });
}

/// [`perturb`] with random signs, straight from their bits: signs as numbers in memory would cost as much again where numbers are made one
/// at a time.
fn perturb_by_bits<N: Network, L: Lane>(stream: &Stream, parameters: &[f32], scales: &[f32], member: &mut [f32]) {
    let mut group = (usize::MAX, [0; GROUP / 8]);
    let mut scales = scales.iter();
    N::segments(&mut |Segment { kind, offset, filters, fan_in, .. }| {
        let range = offset..offset + filters * fan_in;
        let (Some(from), Some(to)) = (parameters.get(range.clone()), member.get_mut(range)) else { return };
        if kind != SegmentKind::Weight {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            return;
        }
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

/// Makes the second member of a pair, θ-ε, from the first, in place and without noise: `θ - (member - θ)`.
pub fn mirror<L: Lane>(parameters: &[f32], member: &mut [f32]) {
    L::mirror(parameters, member);
}

/// Writes one member, the first or the `second` of its pair, into lane `lane` of `weights`, which hold `F::WEIGHT` numbers for each
/// parameter.
pub fn perturb_lane<N: Network, F: Form>(
    distribution: Distribution,
    stream: &Stream,
    parameters: &[f32],
    scales: &[f32],
    second: bool,
    lane: usize,
    weights: &mut [f32],
) {
    walk::<N, F::Value>(distribution, stream, scales, |first, length, scale, noise| {
        let weights = weights[first * F::WEIGHT..].iter_mut().skip(lane).step_by(F::WEIGHT);
        for (i, (out, &p)) in weights.zip(&parameters[first..][..length]).enumerate() {
            *out = noise.get(i).map_or(p, |&z| Lane::mul_add(scale, z, p));
            if second {
                *out = p - (*out - p);
            }
        }
    });
}

/// `out = from + scale·noise`; an empty noise copies.
#[inline(always)]
fn shift<L: Lane>(from: &[f32], scale: f32, noise: &[f32], out: &mut [f32]) {
    if noise.is_empty() {
        out.iter_mut().zip(from).for_each(|(out, from)| *out = *from);
        return;
    }
    L::multiply_add_into(scale, noise, from, out);
}
