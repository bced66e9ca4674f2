//! Losses: from the outputs of a pass and the targets to the loss of each member and the gradient of the outputs.

use crate::form::Form;
use crate::lane::Lane;
use crate::layers::Pass;
use crate::math;

/// What is minimised: the mean over the samples of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Softmax cross-entropy in nats: `ln Σ eʸ - Σ q·y`, where q puts `1 - ε` on the label, or divides it between two
    /// mixed classes, and spreads ε over all classes (ε is the label smoothing of Szegedy et al., 2016; 0 for none).
    CrossEntropy {
        /// ε in [0, 1).
        label_smoothing: f32,
    },
    /// The mean over the outputs of the squared difference.
    MeanSquaredError,
}

/// The truth for each sample of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// A class for each sample.
    Classes(&'a [u16]),
    /// Two classes for each sample, as mixup (Zhang et al., 2018) makes them: `share` of the truth is `first`, the rest is `second`.
    /// With a share of 1 the bits are those of [`Targets::Classes`].
    Mixed {
        /// The class of each sample.
        first: &'a [u16],
        /// The class that is mixed in.
        second: &'a [u16],
        /// In [0, 1].
        share: &'a [f32],
    },
    /// `[sample][output]`.
    Values(&'a [f32]),
}

impl<'a> Targets<'a> {
    /// The targets of the samples from `first` up to `end`.
    pub fn range(&self, first: usize, end: usize, outputs: usize) -> Targets<'a> {
        match self {
            Targets::Classes(classes) => Targets::Classes(&classes[first..end]),
            Targets::Mixed { first: classes, second, share } => {
                Targets::Mixed { first: &classes[first..end], second: &second[first..end], share: &share[first..end] }
            }
            Targets::Values(values) => Targets::Values(&values[first * outputs..end * outputs]),
        }
    }

    /// The classes of a sample and their shares of the truth.
    #[inline(always)]
    fn truth(&self, sample: usize) -> [(u16, f32); 2] {
        match self {
            // What is not there has a share of NaN, and so has its loss: nothing here can panic.
            Targets::Classes(classes) => [classes.get(sample).map_or((0, f32::NAN), |&class| (class, 1.0)), (0, 0.0)],
            Targets::Mixed { first, second, share } => match (first.get(sample), second.get(sample), share.get(sample)) {
                (Some(&first), Some(&second), Some(&share)) => [(first, share), (second, 1.0 - share)],
                _ => [(0, f32::NAN), (0, 0.0)],
            },
            Targets::Values(_) => [(0, f32::NAN), (0, 0.0)],
        }
    }
}

/// The most members that can stand in the lanes.
pub const MAX_LANES: usize = 16;

impl Loss {
    /// Writes the gradient of the mean loss over `batch` samples to `dy` (both `[output][column]`, lanes without a sample or
    /// member get zero) and returns for each member in the lanes the sum of the losses of this pass's samples, in their order.
    ///
    /// # Panics
    /// When the targets are not of the kind that the loss takes, are too few, or name a class that has no output.
    pub fn gradient<F: Form>(
        &self,
        pass: &Pass,
        outputs: usize,
        batch: usize,
        targets: Targets,
        y: &[f32],
        dy: &mut [f32],
    ) -> [f32; MAX_LANES] {
        match (self, targets) {
            (&Loss::CrossEntropy { label_smoothing }, Targets::Classes(_) | Targets::Mixed { .. }) => {
                cross_entropy::<F>(pass, outputs, batch, label_smoothing, targets, y, dy)
            }
            (Loss::MeanSquaredError, Targets::Values(values)) => mean_squared_error::<F>(pass, outputs, batch, values, y, dy),
            _ => panic!("cross-entropy takes classes, the mean squared error takes values"),
        }
    }
}

/// The sample and the member of lane `lane` of column `column`, if there is one.
#[inline(always)]
fn occupant<F: Form>(pass: &Pass, column: usize, lane: usize) -> Option<(usize, usize)> {
    let (sample, member) = if F::WEIGHT > 1 { (column, lane) } else { (column * F::COLUMN + lane, 0) };
    (sample < pass.samples && member < pass.members).then_some((sample, member))
}

/// Zeros to read where a slice ends too early, so that nothing here can panic; the desktop's asserts find who lends too little.
const ZEROS: [f32; MAX_LANES] = [0.0; MAX_LANES];

/// [`Loss::CrossEntropy`]. It is called where no panic may be reached.
#[cfg_attr(target_os = "none", inline(always))] // where sizes are constants, no check of a bound is left
pub(crate) fn cross_entropy<F: Form>(
    pass: &Pass,
    classes: usize,
    batch: usize,
    smoothing: f32,
    targets: Targets,
    y: &[f32],
    dy: &mut [f32],
) -> [f32; MAX_LANES] {
    let stride = pass.columns * F::COLUMN;
    let scale = 1.0 / batch as f32;
    let everywhere = smoothing / classes as f32;
    let at = |c: usize, column: usize| c * stride + column * F::COLUMN;
    let range = |c: usize, column: usize| at(c, column)..at(c, column) + F::COLUMN;
    let load =
        |from: &[f32], c: usize, column: usize| F::Value::load(from.get(range(c, column)).or(ZEROS.get(..F::COLUMN)).unwrap_or(&ZEROS));
    let store = |value: F::Value, to: &mut [f32], c: usize, column: usize| {
        if let Some(to) = to.get_mut(range(c, column)) {
            value.store(to);
        }
    };
    if cfg!(not(target_os = "none")) {
        assert!(y.len() >= classes * stride && dy.len() >= classes * stride, "room for every output");
    }
    let mut sums = [0.0; MAX_LANES];
    for column in 0..pass.columns {
        // Softmax, with the largest output subtracted so that nothing overflows.
        let largest = (1..classes).fold(load(y, 0, column), |most, c| {
            let value = load(y, c, column);
            value.if_greater(most, value, most)
        });
        let mut total = F::Value::default();
        for c in 0..classes {
            let e = math::exp(load(y, c, column) - largest);
            total = total + e;
            store(e, dy, c, column);
        }
        let mut log_sum = [0.0; MAX_LANES];
        // `ln` does not promise NaN for NaN: the product is 0, or NaN when an output was no number.
        (math::ln(total) + total * F::Value::splat(0.0) + largest).store(&mut log_sum);
        let share = F::Value::splat(scale) / total;
        let spread = F::Value::splat(-everywhere * scale);
        for c in 0..classes {
            let gradient = load(dy, c, column).mul_add(share, spread);
            store(gradient, dy, c, column);
        }
        for (lane, &log_sum) in log_sum.iter().enumerate().take(F::COLUMN) {
            let Some((sample, member)) = occupant::<F>(pass, column, lane) else {
                for c in 0..classes {
                    if let Some(dy) = dy.get_mut(at(c, column) + lane) {
                        *dy = 0.0;
                    }
                }
                continue;
            };
            let mut loss = log_sum;
            for (label, share) in targets.truth(sample) {
                // A class without a share is not looked at: 0 times an infinite output would be no number. A share of NaN is, so it is seen.
                if share != 0.0 {
                    let place = at(usize::from(label), column) + lane;
                    let weight = (1.0 - smoothing) * share;
                    if cfg!(not(target_os = "none")) {
                        assert!(usize::from(label) < classes, "a class that has an output");
                    }
                    let (Some(dy), Some(y)) = (dy.get_mut(place), y.get(place)) else {
                        loss = f32::NAN;
                        continue;
                    };
                    *dy -= weight * scale;
                    loss -= weight * y;
                }
            }
            if smoothing > 0.0 {
                loss -= everywhere * (0..classes).fold(0.0, |sum, c| sum + y.get(at(c, column) + lane).copied().unwrap_or(f32::NAN));
            }
            if let Some(sum) = sums.get_mut(member) {
                *sum += loss;
            }
        }
    }
    sums
}

fn mean_squared_error<F: Form>(pass: &Pass, outputs: usize, batch: usize, values: &[f32], y: &[f32], dy: &mut [f32]) -> [f32; MAX_LANES] {
    let stride = pass.columns * F::COLUMN;
    let share = 1.0 / outputs as f32;
    let scale = 2.0 * share / batch as f32;
    let mut sums = [0.0; MAX_LANES];
    for column in 0..pass.columns {
        for lane in 0..F::COLUMN {
            let place = column * F::COLUMN + lane;
            let Some((sample, member)) = occupant::<F>(pass, column, lane) else {
                (0..outputs).for_each(|o| dy[o * stride + place] = 0.0);
                continue;
            };
            let mut loss = 0.0;
            for o in 0..outputs {
                let difference = y[o * stride + place] - values[sample * outputs + o];
                dy[o * stride + place] = difference * scale;
                loss += difference * difference;
            }
            sums[member] += loss * share;
        }
    }
    sums
}
