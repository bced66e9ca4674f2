//! How many members of a run were skipped, and when that is too many.

use serde::{Deserialize, Serialize};

/// Members of a run so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// All of them; of plain gradient descent one in each step.
    pub made: u64,
    /// Those left out: with a loss in their pair that was not finite, or in a step whose gradient was not.
    pub skipped: u64,
}

/// Members of which ten may be skipped before there are so many: the first steps of a run are few.
const FEW: u64 = 1000;

impl Tally {
    /// Counts the members of a step; whether more than 1 % are skipped.
    pub fn count(&mut self, made: u32, skipped: u32) -> bool {
        self.made += u64::from(made);
        self.skipped += u64::from(skipped);
        100 * self.skipped > self.made.max(FEW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_may_be_skipped_and_ten_at_first() {
        let mut tally = Tally::default();
        assert!((0..5).all(|_| !tally.count(8, 2)) && tally.count(8, 2));
        let mut tally = Tally { made: 100_000, skipped: 990 };
        assert!(!tally.count(8, 8) && !tally.count(8, 2) && tally.count(8, 8));
        assert_eq!(tally, Tally { made: 100_024, skipped: 1008 });
    }
}
