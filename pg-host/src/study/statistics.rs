//! Statistics of paired differences: mean, bootstrap interval, exact sign-flip test, Holm's correction. Nothing here knows what is compared.
//!
//! Written here because no kept crate has them; each is a few lines, and tested against SciPy and statsmodels.

use pg_core::noise::{Purpose, Stream};
use serde::Serialize;

/// What a mean of paired differences is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Paired {
    /// How many pairs.
    pub pairs: usize,
    /// The mean of the differences.
    pub mean: f64,
    /// The lower end of the interval of [`bootstrap`].
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// [`sign_flip_p`].
    pub p: f64,
}

impl Paired {
    /// Of these differences.
    pub fn of(differences: &[f64]) -> Self {
        let [low, high] = bootstrap(differences);
        Self { pairs: differences.len(), mean: mean(differences), low, high, p: sign_flip_p(differences) }
    }
}

/// The mean; 0 of nothing.
pub fn mean(numbers: &[f64]) -> f64 {
    if numbers.is_empty() { 0.0 } else { numbers.iter().sum::<f64>() / numbers.len() as f64 }
}

/// The standard deviation of a sample (n - 1); 0 of fewer than two.
pub fn deviation(numbers: &[f64]) -> f64 {
    let mean = mean(numbers);
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    if numbers.len() < 2 { 0.0 } else { (squares / (numbers.len() - 1) as f64).sqrt() }
}

/// Resamplings of [`bootstrap`].
const RESAMPLINGS: u32 = 10_000;
/// Their seed: a constant, so that a report can be made again to the digit.
const SEED: u64 = 0x706b;
/// What an interval leaves out on each side.
const TAIL: f64 = 0.025;

/// The 95 % percentile interval of the mean: the middle of the means of 10,000 resamplings with replacement (Efron, 1979). With few pairs it
/// is somewhat narrow: with ten it holds the true mean about nine times in ten.
pub fn bootstrap(numbers: &[f64]) -> [f64; 2] {
    let count = numbers.len() as u32;
    if count == 0 {
        return [0.0; 2];
    }
    let resampled = |i| {
        let stream = Stream::new(SEED, Purpose::Shuffle, i, 0);
        (0..count).map(|draw| numbers[stream.below(draw, count) as usize]).sum::<f64>() / f64::from(count)
    };
    let mut means: Vec<f64> = (0..RESAMPLINGS).map(resampled).collect();
    means.sort_by(f64::total_cmp);
    [quantile(&means, TAIL), quantile(&means, 1.0 - TAIL)]
}

/// Between the two nearest of sorted numbers, linearly.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

/// The most pairs whose signs are all enumerated.
const MOST_EXACT: usize = 20;
/// Flips that are drawn beyond.
const FLIPS: u32 = 100_000;

/// The two-sided p of Fisher's sign-flip test (1935): the share of all 2ⁿ choices of signs whose sum is at least as far from zero as the one
/// that was seen. Exact up to 20 pairs; beyond, of 100,000 drawn choices and the one that was seen. 1 of nothing.
pub fn sign_flip_p(differences: &[f64]) -> f64 {
    let seen = differences.iter().sum::<f64>().abs();
    // Sums that are equal in exact arithmetic must count as equal.
    let limit = seen - 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
    let count = differences.len();
    let sum =
        |flipped: &dyn Fn(usize) -> bool| differences.iter().enumerate().map(|(i, d)| if flipped(i) { -d } else { *d }).sum::<f64>().abs();
    if count <= MOST_EXACT {
        let choices = 1u32 << count;
        let extreme = (0..choices).filter(|choice| sum(&|i| choice >> i & 1 == 1) >= limit).count();
        return extreme as f64 / f64::from(choices);
    }
    let drawn = |i: &u32| {
        let stream = Stream::new(SEED, Purpose::Shuffle, *i, 1);
        sum(&|i| stream.below(i as u32, 2) == 1) >= limit
    };
    ((0..FLIPS).filter(drawn).count() + 1) as f64 / f64::from(FLIPS + 1)
}

/// Holm's correction (1979) of p-values of one family: each in its place.
pub fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|&a, &b| ps[a].total_cmp(&ps[b]));
    let mut corrected = vec![0.0; ps.len()];
    let mut highest: f64 = 0.0;
    for (i, &place) in order.iter().enumerate() {
        highest = highest.max((ps.len() - i) as f64 * ps[place]).min(1.0);
        corrected[place] = highest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Differences with a tie, a zero and both signs.
    const D: [f64; 10] = [0.8, -0.3, 1.1, 0.0, 0.6, 0.6, -0.2, 1.4, 0.9, 0.35];

    #[test]
    fn the_sign_flip_test_agrees_with_scipy() {
        // scipy 1.17: permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided").pvalue
        // benches/study_statistics.py prints these.
        assert!((sign_flip_p(&D) - SCIPY_SIGN_FLIP[0]).abs() < 1e-12, "{}", sign_flip_p(&D));
        assert!((sign_flip_p(&D[..6]) - SCIPY_SIGN_FLIP[1]).abs() < 1e-12, "{}", sign_flip_p(&D[..6]));
        assert_eq!((sign_flip_p(&[1.0; 6]), sign_flip_p(&[]), sign_flip_p(&[0.0; 4])), (2.0 / 64.0, 1.0, 1.0));
    }

    #[test]
    fn beyond_twenty_pairs_signs_are_drawn_and_agree_with_the_exact_test() {
        let many: Vec<f64> = D.iter().chain(&D).map(|d| d - 0.3).collect();
        let exact = sign_flip_p(&many);
        let with_zero = [&many[..], &[0.0]].concat();
        assert!((sign_flip_p(&with_zero) - exact).abs() < 0.005, "{} {exact}", sign_flip_p(&with_zero));
    }

    #[test]
    fn the_interval_agrees_with_scipy_and_is_the_same_every_time() {
        // scipy.stats.bootstrap((d,), np.mean, method="percentile", n_resamples=1_000_000, rng=1): benches/study_statistics.py.
        let [low, high] = bootstrap(&D);
        assert!((low - SCIPY_BOOTSTRAP[0]).abs() < 0.015 && (high - SCIPY_BOOTSTRAP[1]).abs() < 0.015, "{low} {high}");
        assert_eq!(bootstrap(&D), [low, high]);
        assert_eq!(bootstrap(&[0.5; 3]), [0.5, 0.5]);
    }

    #[test]
    fn holm_agrees_with_statsmodels() {
        // statsmodels 0.14: multipletests([0.01, 0.04, 0.03, 0.005, 0.6], method="holm")[1]
        let theirs = [0.04, 0.09, 0.09, 0.025, 0.6];
        for (ours, theirs) in holm(&[0.01, 0.04, 0.03, 0.005, 0.6]).into_iter().zip(theirs) {
            assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
        }
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        // statistics.stdev([1, 2, 4])
        assert!((deviation(&[1.0, 2.0, 4.0]) - 1.5275252316519468).abs() < 1e-12);
        assert_eq!((deviation(&[1.0]), mean(&[])), (0.0, 0.0));
    }

    const SCIPY_SIGN_FLIP: [f64; 2] = [0.01953125, 0.125];
    const SCIPY_BOOTSTRAP: [f64; 2] = [0.195, 0.85];
}
