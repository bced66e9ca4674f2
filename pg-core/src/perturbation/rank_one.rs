//! Rank-1 noise: `ε = diag(c)·s·tᵀ` for each matrix of weights, with c the scales of its filters and s, t random signs.
//!
//! A member needs no weights of its own: `(W + ε)·x = W·x + (c∘s)·(t·x)`, so its noise is one number for each filter and one for each
//! incoming weight, its [factors](Factors), and several members can run side by side in one pass with the products of W in common. Each weight
//! has the variance that full noise would give it. The gradient is taken with respect to W; c follows from W but is a constant inside a step,
//! as with every other noise, and its part of the derivative is neglected.
//!
//! `tᵢ` is the sign at the address of weight i of the first filter, `s` of filter f the sign `FILTERS` groups and f elements on.
//!
//! | layer | what its noise adds | at the cost of |
//! |---|---|---|
//! | dense | `(c∘s)·(t·x)` | one more output |
//! | convolution, in groups too | `(c∘s)·(t ⋆ x)`, with t as the window of one output channel | one more output channel of each group |
//! | depthwise convolution | `c·s·t` to the few weights of a channel when they are read | one multiply-add for each |
//!
//! Back through a layer the same factors serve the other way round: to `Wᵀ·dy` comes `t·(Σ (c∘s)·dy)`. Every layer here with weights runs on
//! factors ([`Network::FACTORS`]). A network with one that does not, and noise that is not of rank 1 on the whole (the scale rule `weight`, biases,
//! gains), get members with weights.
//!
//! The factors give the same bits in every form and with any number of threads. Explicit members have the same gradient to rounding, not to the
//! bit: W + ε is rounded there, weight by weight. So it is with members side by side and one by one, whose sums run in different orders.

use super::scale::root;
use super::{Distribution, Noise, ScaleRule};
use crate::form::Form;
use crate::kernels::scalar;
use crate::lane::Lane;
use crate::layers::SegmentKind;
use crate::network::Network;
use crate::noise::{self, GROUP, Stream};

/// The group of the first filter's sign; elements do not come so far.
const FILTERS: u32 = 1 << 31;

/// The sign of filter number `filter` of the network.
pub(super) fn filter_sign(stream: &Stream, filter: usize) -> f32 {
    let mut signs = [0.0; GROUP];
    stream.signs(FILTERS + (filter / GROUP) as u32, &mut signs);
    signs[filter % GROUP]
}

/// Visits the signs from element `first` on, `count` of them, in order.
#[inline(always)]
fn visit_signs<L: Lane>(stream: &Stream, first_group: u32, first: usize, count: usize, mut visit: impl FnMut(f32)) {
    let (mut element, end) = (first, first + count);
    while element < end {
        let (group, within) = (first_group + (element / GROUP) as u32, element % GROUP);
        let length = (GROUP - within).min(end - element);
        if L::LANES == 1 {
            // Straight from the bits: where numbers are made one at a time, signs in memory that nobody asked for would cost the most.
            let mut bits = u128::from_le_bytes(stream.sign_bits(group)) >> within;
            for _ in 0..length {
                visit(noise::sign(bits as u32));
                bits >>= 1;
            }
        } else {
            let mut signs = [0.0; GROUP];
            stream.signs(group, &mut signs);
            signs.iter().skip(within).take(length).for_each(|&sign| visit(sign));
        }
        element += length;
    }
}

impl Noise {
    /// Whether members of network `N` run on factors, without weights of their own.
    pub const fn is_factored<N: Network>(&self) -> bool {
        let whole = !self.targets.biases && !self.targets.gains && !matches!(self.scale, ScaleRule::Weight);
        N::FACTORS > 0 && matches!(self.distribution, Distribution::RankOne) && whole
    }

    /// Writes the factors of a member, the first or the `second` of the pair that `stream` stands for: for each matrix of weights `t`, then
    /// `c∘s`; `N::FACTORS` in all, factor e to `out[e · stride]`.
    pub fn factors<N: Network, L: Lane>(&self, stream: &Stream, scales: &[f32], second: bool, stride: usize, out: &mut [f32]) {
        let mut out = out.iter_mut().step_by(stride.max(1));
        let (mut filter, mut layer) = (0, 0);
        N::segments(&mut |segment| {
            layer += u16::from(segment.kind.begins_layer());
            if segment.kind != SegmentKind::Weight {
                return;
            }
            let (filters, fan_in) = (segment.filters, segment.fan_in);
            if self.rho == 0.0 || !self.targets.take(segment.kind, layer) {
                out.by_ref().take(fan_in + filters).for_each(|out| *out = 0.0);
            } else {
                let mut write = |factor| {
                    if let Some(out) = out.next() {
                        *out = factor;
                    }
                };
                visit_signs::<L>(stream, 0, segment.offset, fan_in, &mut write);
                // A draw of d signs has the norm √d.
                let norm = if self.scale == ScaleRule::FilterExact { root::<L>(fan_in as f32) } else { 1.0 };
                let side = if second { -1.0 } else { 1.0 } / norm;
                let mut scales = scales.iter().skip(filter);
                visit_signs::<L>(stream, FILTERS, filter, filters, |sign| write(sign * side * scales.next().copied().unwrap_or_default()));
            }
            filter += filters;
        });
    }
}

/// Makes the factors of the second member of a pair, one number each, from those of the first, in place: the filters' change their signs.
pub(crate) fn mirror<N: Network>(factors: &mut [f32]) {
    let mut factors = factors.iter_mut();
    N::segments(&mut |segment| {
        if segment.kind == SegmentKind::Weight {
            factors.by_ref().skip(segment.fan_in).take(segment.filters).for_each(|factor| *factor = -*factor);
        }
    });
}

/// The factors of the members in a pass, as its layers read them: those of one layer begin at the front.
#[derive(Clone, Copy, Debug)]
pub struct Factors<'a> {
    data: &'a [f32],
    /// When each sample has factors of its own: how many members divide the batch.
    members: Option<u32>,
}

impl<'a> Factors<'a> {
    /// Of one member, or with members in lanes of all: `[factor][F::WEIGHT]`.
    pub const fn of_members(data: &'a [f32]) -> Self {
        Self { data, members: None }
    }

    /// Of the member of each sample, where `members` divide a batch: `[factor][column]`, as activations lie.
    pub const fn of_samples(data: &'a [f32], members: u32) -> Self {
        Self { data, members: Some(members) }
    }

    /// How many members divide the batch, when they run side by side. A layer that mixes samples sees all of them, and keeps to those of a member.
    pub const fn parts(&self) -> Option<u32> {
        self.members
    }

    /// Those behind the first `count` factors, which are those of the layer before.
    pub(crate) fn behind<F: Form>(self, count: usize, columns: usize) -> Self {
        let each = if self.members.is_some() { columns * F::COLUMN } else { F::WEIGHT };
        Self { data: self.data.get(count * each..).unwrap_or_default(), ..self }
    }

    /// Factor `index` for the vector `column` of `columns`.
    #[inline(always)]
    pub(crate) fn get<F: Form>(&self, index: usize, column: usize, columns: usize) -> F::Value {
        if self.members.is_some() {
            F::Value::load(&self.data[(index * columns + column) * F::COLUMN..][..F::COLUMN])
        } else {
            F::weight(self.data, index)
        }
    }

    /// The factors as weights, `F::WEIGHT` numbers for each, when all samples have the same.
    pub(crate) const fn as_weights(&self) -> Option<&'a [f32]> {
        if self.members.is_some() { None } else { Some(self.data) }
    }

    /// `y[r][j] += a[r]·u[j]` with `u[j] = Σₖ b[k]·x[k][j]`, summed in the order of k, for `columns` columns of vectors: what noise of rank 1
    /// adds to a product. The factors `a` begin at number `rows.0`, `b` at `depth.0`; the second numbers are how many there are.
    #[cfg_attr(target_os = "none", inline(always))]
    pub(crate) fn add_product<F: Form>(&self, rows: (usize, usize), depth: (usize, usize), columns: usize, x: &[f32], y: &mut [f32]) {
        if F::WEIGHT == 1 && F::COLUMN == 1 {
            let each = if self.members.is_some() { columns } else { 1 };
            let piece = |(first, count): (usize, usize)| self.data.get(first * each..)?.get(..count * each);
            let (Some(a), Some(b)) = (piece(rows), piece(depth)) else { return };
            return match self.members {
                Some(_) => scalar::add_products_of_columns::<F::Value>(a, b, columns, x, y),
                None => scalar::add_product::<F::Value>(a, b, columns, x, y),
            };
        }
        let mut column = 0;
        while column < columns {
            // Four chains at a time: one alone would be all latency.
            column += match (columns - column, self.members.is_some()) {
                (4.., true) => self.columns::<F, 4, true>(rows, depth, column, columns, x, y),
                (4.., false) => self.columns::<F, 4, false>(rows, depth, column, columns, x, y),
                (_, true) => self.columns::<F, 1, true>(rows, depth, column, columns, x, y),
                (_, false) => self.columns::<F, 1, false>(rows, depth, column, columns, x, y),
            };
        }
    }

    #[inline(always)]
    fn columns<F: Form, const COLUMNS: usize, const SIDE_BY_SIDE: bool>(
        &self,
        rows: (usize, usize),
        depth: (usize, usize),
        column: usize,
        columns: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> usize {
        let stride = columns * F::COLUMN;
        let factor = |index: usize, j: usize| match SIDE_BY_SIDE {
            true => F::Value::load(&self.data[index * stride + (column + j) * F::COLUMN..][..F::COLUMN]),
            false => F::weight(self.data, index),
        };
        let mut sums = [F::Value::default(); COLUMNS];
        for k in 0..depth.1 {
            let x = &x[k * stride + column * F::COLUMN..][..COLUMNS * F::COLUMN];
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = factor(depth.0 + k, j).mul_add(F::Value::load(&x[j * F::COLUMN..]), *sum);
            }
        }
        for r in 0..rows.1 {
            let y = &mut y[r * stride + column * F::COLUMN..][..COLUMNS * F::COLUMN];
            for (j, (sum, y)) in sums.iter().zip(y.chunks_exact_mut(F::COLUMN)).enumerate() {
                factor(rows.0 + r, j).mul_add(*sum, F::Value::load(y)).store(y);
            }
        }
        COLUMNS
    }
}

/// Gives the factors of a member to the samples in the columns or lanes `places` of `[factor][column]` factors, `element` `f32`s each.
pub(crate) fn spread(factors: &[f32], places: core::ops::Range<usize>, element: usize, to: &mut [f32]) {
    // Whole vectors where a member's samples fill them: a fill of unknown length is a call.
    const EIGHT: usize = 8;
    let length = places.len();
    for (&factor, to) in factors.iter().zip(to.chunks_exact_mut(element)) {
        let to = &mut to[places.clone()];
        if length.is_multiple_of(EIGHT) {
            to.chunks_exact_mut(EIGHT).for_each(|to| to.copy_from_slice(&[factor; EIGHT]));
        } else {
            to.iter_mut().for_each(|to| *to = factor);
        }
    }
}
