//! Noisy copies of the parameters: the law of the noise, and the making of a member. The central parameters are only read.
//!
//! The noise of parameter `i` is element `i` of its pair's stream, whatever else gets noise.

mod distribution;
pub(crate) mod plain;
pub mod rank_one;
mod scale;
mod shared;
mod targets;

pub use distribution::Distribution;
pub use scale::ScaleRule;
pub use shared::mirror_shared;
pub use targets::NoiseTargets;

use core::ops::Range;

use crate::form::Form;
use crate::lane::Lane;
use crate::layers::{Segment, SegmentKind};
use crate::network::Network;
use crate::noise::{GROUP, Stream};
use scale::{Squares, root};

/// Elements of noise that are made at once: many on a desktop, where that is faster, one group where memory is short.
const CHUNK: usize = if cfg!(target_os = "none") { GROUP } else { 16 * GROUP };

/// The law of the noise ε.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// ρ: how large it is, without dimension; what of, [`ScaleRule`] says. 0 is no noise, and none is made.
    pub rho: f32,
    /// Its distribution.
    pub distribution: Distribution,
    /// What it is proportional to.
    pub scale: ScaleRule,
    /// What gets it.
    pub targets: NoiseTargets,
}

/// What becomes of a run of parameters.
enum Piece<'a> {
    /// They stay as they are.
    Still,
    /// Each gets `scale·noise`.
    Noise { scale: f32, noise: &'a [f32] },
    /// Each gets `scale·abs(parameter)·noise`.
    Proportional { scale: f32, noise: &'a [f32] },
    /// The noise is to be kept in their place.
    Draw(&'a [f32]),
    /// Each gets `scale` times the noise that was kept in its place.
    Drawn(f32),
}

impl Noise {
    /// Gaussian noise to the measure of each filter, for weights.
    pub const fn new(rho: f32) -> Self {
        Self { rho, distribution: Distribution::Gaussian, scale: ScaleRule::Filter, targets: NoiseTargets::WEIGHTS }
    }

    /// Writes the noise scale of every filter, `N::FILTERS` of them.
    pub fn scales<N: Network, L: Lane>(&self, parameters: &[f32], scales: &mut [f32]) {
        let mut next = 0;
        N::segments(&mut |segment| {
            if segment.kind == SegmentKind::Weight {
                for filter in parameters.get(segment.range()).unwrap_or(&[]).chunks_exact(segment.fan_in.max(1)) {
                    let Some(scale) = scales.get_mut(next) else { return };
                    *scale = self.scale.factor::<L>(self.rho, filter);
                    next += 1;
                }
            }
        });
    }

    /// Visits the rows that begin in `range` in order, in pieces: `visit(first, length, piece)`.
    #[inline(always)]
    fn walk<N: Network, L: Lane>(
        &self,
        stream: &Stream,
        parameters: &[f32],
        scales: &[f32],
        range: Range<usize>,
        mut visit: impl FnMut(usize, usize, Piece),
    ) {
        let mut noise = [0.0; CHUNK];
        let mut made = 0..0;
        let (mut next, mut layer) = (0, 0);
        N::segments(&mut |segment| {
            let Segment { kind, offset, .. } = segment;
            layer += u16::from(kind.begins_layer());
            let is_weight = kind == SegmentKind::Weight;
            let (rows, length) = rows(&segment);
            let scale_of = next;
            next += if is_weight { rows } else { 0 };
            if range.start >= offset + rows * length || range.end <= offset {
                return;
            }
            let still = self.rho == 0.0 || !self.targets.take(kind, layer);
            for row in 0..rows {
                let start = offset + row * length;
                let end = start + length;
                if !range.contains(&start) {
                    continue;
                }
                if still {
                    visit(start, length, Piece::Still);
                    continue;
                }
                let mut scale = match is_weight {
                    true => scales[scale_of + row],
                    false => self.scale.factor::<L>(self.rho, &parameters[start..end]),
                };
                // Where the row's noise stands in the stream: all filters share one row of signs, and each has a sign of its own.
                let mut noise_start = start;
                if is_weight && self.distribution == Distribution::RankOne {
                    noise_start = offset;
                    scale *= rank_one::filter_sign(stream, scale_of + row);
                }
                let mut squares = Squares::default();
                let mut first = start;
                while first < end {
                    let element = noise_start + (first - start);
                    if !made.contains(&element) {
                        let group = element / GROUP;
                        made.start = group * GROUP;
                        made.end = range.end.next_multiple_of(GROUP).min(made.start + CHUNK);
                        self.distribution.fill::<L>(stream, group as u32, &mut noise[..made.len()]);
                    }
                    let length = (end - first).min(made.end - element);
                    let noise = &noise[element - made.start..][..length];
                    let piece = match self.scale {
                        ScaleRule::Filter | ScaleRule::Absolute => Piece::Noise { scale, noise },
                        ScaleRule::Weight => Piece::Proportional { scale, noise },
                        ScaleRule::FilterExact => {
                            squares.add(noise);
                            Piece::Draw(noise)
                        }
                    };
                    visit(first, length, piece);
                    first += length;
                }
                if self.scale == ScaleRule::FilterExact {
                    // No draw is all zeros.
                    visit(start, length, Piece::Drawn(scale / root::<L>(squares.sum())));
                }
            }
        });
    }

    /// Writes the first member of the pair that `stream` stands for, θ+ε; `member` has `N::PARAMS` elements.
    pub fn perturb<N: Network, L: Lane>(&self, stream: &Stream, parameters: &[f32], scales: &[f32], member: &mut [f32]) {
        if L::LANES == 1 && self.is_plain() && self.rho != 0.0 {
            return plain::perturb::<N, L>(self.distribution, stream, parameters, scales, member);
        }
        self.perturb_rows::<N, L>(stream, parameters, scales, 0..N::PARAMS, member);
    }

    /// Writes the rows of the first member that begin in `range`, so that many can share the making of one. `member` has the elements of `range`,
    /// which begins and ends where a row does: [`row_from`].
    pub fn perturb_rows<N: Network, L: Lane>(
        &self,
        stream: &Stream,
        parameters: &[f32],
        scales: &[f32],
        range: Range<usize>,
        member: &mut [f32],
    ) {
        let begin = range.start;
        self.walk::<N, L>(stream, parameters, scales, range, |first, length, piece| {
            let from = &parameters[first..][..length];
            let out = &mut member[first - begin..][..length];
            match piece {
                Piece::Still => out.copy_from_slice(from),
                Piece::Noise { scale, noise } => shift::<L>(from, scale, noise, out),
                Piece::Proportional { scale, noise } => {
                    out.iter_mut().zip(from).zip(noise).for_each(|((out, &p), &z)| *out = Lane::mul_add(scale * p.abs(), z, p));
                }
                Piece::Draw(noise) => out.copy_from_slice(noise),
                Piece::Drawn(scale) => out.iter_mut().zip(from).for_each(|(out, &p)| *out = Lane::mul_add(scale, *out, p)),
            }
        });
    }

    /// Writes one member, the first or the `second` of its pair, into lane `lane` of `weights`, which hold `F::WEIGHT` numbers for each
    /// parameter.
    pub fn perturb_lane<N: Network, F: Form>(
        &self,
        stream: &Stream,
        parameters: &[f32],
        scales: &[f32],
        second: bool,
        lane: usize,
        weights: &mut [f32],
    ) {
        self.walk::<N, F::Value>(stream, parameters, scales, 0..N::PARAMS, |first, length, piece| {
            let from = &parameters[first..][..length];
            let weights = weights[first * F::WEIGHT..].iter_mut().skip(lane).step_by(F::WEIGHT);
            for (i, (out, &p)) in weights.zip(from).enumerate() {
                let moved = match piece {
                    Piece::Still => p,
                    Piece::Noise { scale, noise } => Lane::mul_add(scale, noise[i], p),
                    Piece::Proportional { scale, noise } => Lane::mul_add(scale * p.abs(), noise[i], p),
                    Piece::Draw(noise) => {
                        *out = noise[i];
                        continue;
                    }
                    Piece::Drawn(scale) => Lane::mul_add(scale, *out, p),
                };
                *out = if second { p - (moved - p) } else { moved };
            }
        });
    }
}

/// The rows of a range of parameters, which are scaled together, and their length: a filter each; all biases, or gains, of a layer.
const fn rows(segment: &Segment) -> (usize, usize) {
    if matches!(segment.kind, SegmentKind::Weight) { (segment.filters, segment.fan_in) } else { (1, segment.filters * segment.fan_in) }
}

/// Where the first row begins that begins at parameter `index` or behind it; behind the last parameter if none does.
pub fn row_from<N: Network>(index: usize) -> usize {
    let mut found = N::PARAMS;
    N::segments(&mut |segment| {
        let (rows, length) = rows(&segment);
        let row = index.saturating_sub(segment.offset).div_ceil(length.max(1));
        if row < rows {
            found = found.min(segment.offset + row * length);
        }
    });
    found
}

/// Makes the second member of a pair, θ-ε, from the first, in place and without noise: `θ - (member - θ)`.
pub fn mirror<L: Lane>(parameters: &[f32], member: &mut [f32]) {
    L::mirror(parameters, member);
}

/// `out = from + scale·noise`.
#[inline(always)]
fn shift<L: Lane>(from: &[f32], scale: f32, noise: &[f32], out: &mut [f32]) {
    L::multiply_add_into(scale, noise, from, out);
}
