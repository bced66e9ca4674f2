//! Mixup (Zhang et al., 2018): a sample and its class are mixed with another training sample and its class.
//!
//! `x = λ·x₁ + (1 - λ)·x₂` with λ from Beta(α, α); the targets likewise, [`Targets::Mixed`](pg_core::loss::Targets). The second
//! sample is any of the training samples, not one of the batch, so that what a sample becomes does not depend on the batches.

use pg_core::math;
use pg_core::noise::Stream;

use super::Kind;

/// What a sample is mixed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Partner {
    /// The index of the other sample.
    pub sample: u32,
    /// λ: the share that the sample itself keeps, in [0, 1].
    pub share: f32,
}

/// The partner of the sample that `stream` belongs to, among `samples`.
pub(super) fn partner(alpha: f32, stream: &Stream, samples: u32) -> Partner {
    Partner { sample: stream.below(Kind::Mixup.block(), samples), share: beta(alpha, stream) }
}

/// A number from Beta(α, α), α at most 1, by Jöhnk (1964): for uniform u, v take x = u^(1/α), y = v^(1/α); if x + y ≤ 1, x / (x + y) is it.
///
/// By logarithms, because for a small α both powers may be 0.
fn beta(alpha: f32, stream: &Stream) -> f32 {
    // At least half of all pairs are taken.
    let pairs = (1..).flat_map(|i| {
        let [a, b, c, d] = stream.block(Kind::Mixup.block() + i);
        [(a, b), (c, d)]
    });
    let log_power = |word: u32| {
        // The middles of 2²³ equal parts of (0, 1), each a float without rounding.
        let uniform = ((word >> 9) as f32 + 0.5) / (1 << 23) as f32;
        math::ln(uniform) / alpha
    };
    let mut logs = pairs.map(|(u, v)| (log_power(u), log_power(v)));
    let (x, y) = logs.find(|&(x, y)| math::exp(x) + math::exp(y) <= 1.0).expect("the pairs do not end");
    math::sigmoid(x - y)
}

/// Mixes `other` into `x`.
pub(super) fn mix(share: f32, other: &[f32], x: &mut [f32]) {
    for (x, other) in x.iter_mut().zip(other) {
        *x = share * *x + (1.0 - share) * other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_the_mean_and_variance_of_the_beta_distribution_and_partners_are_any_sample() {
        for alpha in [0.01, 0.2, 1.0] {
            let partners: Vec<Partner> = (0..4000).map(|i| partner(alpha, &crate::augmentation::stream(1, 0, i), 10)).collect();
            assert!(partners.iter().all(|partner| (0.0..=1.0).contains(&partner.share)));
            let mean = partners.iter().map(|partner| partner.share).sum::<f32>() / 4000.0;
            let variance = partners.iter().map(|partner| (partner.share - 0.5).powi(2)).sum::<f32>() / 4000.0;
            assert!((mean - 0.5).abs() < 0.032, "{alpha}: {mean}");
            assert!((variance - 0.25 / (2.0 * alpha + 1.0)).abs() < 0.006, "{alpha}: {variance}");
            let counts = (0..10).map(|i| partners.iter().filter(|partner| partner.sample == i).count());
            assert!(counts.clone().all(|count| (320..480).contains(&count)), "{:?}", counts.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_share_of_one_keeps_the_sample_and_one_of_zero_takes_the_other() {
        let mixed = |share| {
            let mut x = [0.1, -7.3];
            mix(share, &[3.7, 1.9], &mut x);
            x
        };
        assert_eq!((mixed(1.0), mixed(0.0), mixed(0.5)), ([0.1, -7.3], [3.7, 1.9], [0.5 * 0.1 + 0.5 * 3.7, 0.5 * -7.3 + 0.5 * 1.9]));
    }
}
