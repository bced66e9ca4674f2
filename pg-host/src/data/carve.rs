//! Carving held-out samples off a set, class by class, the same for the same seed.
//!
//! Only indices leave here; nothing is copied or reordered.

use super::{DataError, Samples};

/// The largest share that may be held out.
const MOST: f64 = 0.9;

impl Samples {
    /// Divides the samples: `(train, held out)`, both as ascending indices, together every sample once.
    ///
    /// Every class gives its share of `fraction`, rounded so that the total is the nearest to it, and keeps at least one to train on.
    /// The same seed gives the same division on every machine. A fraction of 0 holds out nothing.
    pub fn carve(&self, fraction: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>), DataError> {
        if !(0.0..=MOST).contains(&fraction) {
            return Err(DataError::Fraction(fraction));
        }
        let classes = self.labels.iter().max().map_or(0, |&most| usize::from(most) + 1);
        let mut members = vec![Vec::new(); classes];
        for (i, &label) in self.labels.iter().enumerate() {
            members[usize::from(label)].push(i);
        }
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        let mut random = seed;
        let (mut seen, mut due) = (0, 0);
        for class in &mut members {
            shuffle(class, &mut random);
            // Rounding the running total, not each class: many small classes still give their share together.
            seen += class.len();
            let total = (fraction * seen as f64).round() as usize;
            let take = (total - due).min(class.len().saturating_sub(1));
            due = total;
            held_out.extend_from_slice(&class[..take]);
            train.extend_from_slice(&class[take..]);
        }
        if held_out.is_empty() && fraction > 0.0 {
            return Err(DataError::NothingHeldOut { fraction, samples: self.len() });
        }
        train.sort_unstable();
        held_out.sort_unstable();
        Ok((train, held_out))
    }
}

/// The seed of [`Samples::take`]: a constant, so that runs with different seeds learn from the same samples.
const TAKEN_SEED: u64 = 0;

impl Samples {
    /// `count` of the samples, in their order: every class gives its share, rounded as in [`Samples::carve`]. The same on every machine.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn take(&self, count: usize) -> Result<Samples, DataError> {
        let share = count as f64 / self.len().max(1) as f64;
        assert!(share <= 1.0, "{count} of {} samples", self.len());
        if count == self.len() {
            return Ok(self.clone());
        }
        // Every class keeps a sample on the first side: the larger one.
        let taken = if share <= 0.5 { self.carve(share, TAKEN_SEED)?.1 } else { self.carve(1.0 - share, TAKEN_SEED)?.0 };
        Ok(self.subset(&taken))
    }
}

/// Fisher–Yates.
fn shuffle(items: &mut [usize], random: &mut u64) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1, random));
    }
}

/// A number below `bound`: the high word of a product, whose bias is at most `bound`/2⁶⁴.
pub(super) fn below(bound: usize, random: &mut u64) -> usize {
    ((u128::from(splitmix64(random)) * bound as u128) >> 64) as usize
}

/// SplitMix64 (Steele, Lea, Flood 2014). A division is drawn once, on the host: the network's counter-based noise is not needed here.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(labels: Vec<u16>) -> Samples {
        Samples { inputs: vec![0.0; labels.len()], labels }
    }

    #[test]
    fn splitmix64_gives_the_known_answers() {
        // The reference implementation at seed 1234567 (prng.di.unimi.it/splitmix64.c).
        let mut state = 1_234_567;
        let answers = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(answers.map(|_| splitmix64(&mut state)), answers);
    }

    #[test]
    fn every_sample_is_on_one_side_and_every_class_gives_its_share() {
        let samples = labelled((0..1000).map(|i| if i < 600 { 0 } else { 1 + i % 4 }).collect());
        let (train, held_out) = samples.carve(0.2, 7).unwrap();
        let mut all = [train.clone(), held_out.clone()].concat();
        assert!(train.is_sorted() && held_out.is_sorted());
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        assert_eq!(samples.subset(&held_out).counts(5), [120, 20, 20, 20, 20]);
    }

    #[test]
    fn many_small_classes_give_their_share_together() {
        let (_, held_out) = labelled((0..400).map(|i| i / 4).collect()).carve(0.1, 1).unwrap();
        assert_eq!(held_out.len(), 40);
    }

    #[test]
    fn the_same_seed_divides_alike_and_another_seed_differently() {
        let samples = labelled((0..100).map(|i| i % 3).collect());
        let division = |seed| samples.carve(0.3, seed).unwrap();
        assert_eq!(division(1), division(1));
        assert_ne!(division(1), division(2));
        assert_eq!(labelled(vec![0, 1, 0, 1, 0, 1, 0, 1]).carve(0.5, 1).unwrap().1, [0, 1, 2, 5], "golden: never edit");
    }

    #[test]
    fn as_many_as_asked_for_are_taken_and_every_class_gives_its_share() {
        let samples = labelled((0..1000).map(|i| if i < 600 { 0 } else { 1 + i % 4 }).collect());
        for count in [1, 5, 33, 499, 500, 501, 950, 999, 1000] {
            let taken = samples.take(count).unwrap();
            assert_eq!(taken.len(), count);
            let share = taken.counts(5)[0] as f64 / count as f64;
            assert!((share - 0.6).abs() <= 1.0 / count as f64, "{share} of {count}");
        }
    }

    #[test]
    fn every_class_keeps_a_sample_to_train_on() {
        let samples = labelled(vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2]);
        let (train, _) = samples.carve(0.9, 3).unwrap();
        assert!(samples.subset(&train).counts(3).iter().all(|&count| count > 0));
    }

    #[test]
    fn refuses_a_fraction_that_makes_no_sense_or_holds_out_nothing() {
        let samples = labelled(vec![0, 1, 0, 1]);
        for fraction in [-0.1, 0.91, 1.0, f64::NAN, f64::INFINITY] {
            let text = samples.carve(fraction, 1).unwrap_err().to_string();
            assert!(text.contains("between 0 and 0.9"), "{text}");
        }
        assert!(samples.carve(0.01, 1).unwrap_err().to_string().contains("holds out none of 4 samples"));
        assert_eq!(samples.carve(0.0, 1).unwrap(), (vec![0, 1, 2, 3], vec![]));
        assert_eq!(Samples::default().carve(0.0, 1).unwrap(), (vec![], vec![]));
    }
}
