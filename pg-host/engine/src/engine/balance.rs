//! How much of a work each thread of a crew gets: as much as it does in the time of the others. The thread that hands out begins sooner than those that it
//! calls; and where a core is shared with others, as virtual ones are, it is slower for some milliseconds, often by a tenth.
//!
//! Who does what changes no number.

use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Work that takes less says little.
const TELLING: Duration = Duration::from_micros(20);

/// The part of the first thread over that of each other, which are alike.
pub(super) struct Balance(AtomicU32);

impl Default for Balance {
    fn default() -> Self {
        Self(AtomicU32::new(1f32.to_bits()))
    }
}

impl Balance {
    fn ratio(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Shares out `all` units among so many threads, that of the first first; there are fewer ranges where there are fewer units.
    pub fn ranges(&self, all: usize, threads: usize) -> impl Iterator<Item = Range<usize>> {
        let ratio = self.ratio();
        let first = (all as f32 * ratio / (ratio + (threads - 1) as f32)).round() as usize;
        let first = first.clamp(all.min(1), all);
        let each = (all - first).div_ceil((threads - 1).max(1)).max(1);
        let others = (first..all).step_by(each).map(move |start| start..all.min(start + each));
        iter::once(0..first).filter(|first| !first.is_empty()).chain(others)
    }

    /// The first thread took so long for its range, and the slowest of the others for theirs, from the call on.
    pub fn observe(&self, first: Duration, others: Duration) {
        if first.max(others) < TELLING {
            return;
        }
        // A thread that the system took away for a while is no slower for that.
        let slower = (others.as_secs_f32() / first.as_secs_f32().max(1e-9)).clamp(0.8, 1.25);
        let ratio = (self.ratio() * slower.powf(0.1)).clamp(0.5, 2.0);
        self.0.store(ratio.to_bits(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_no_more_than_threads_and_cover_all_in_order() {
        for ratio in [0.5f32, 0.9, 1.0, 1.3, 2.0] {
            let balance = Balance(AtomicU32::new(ratio.to_bits()));
            for threads in [1, 2, 3, 8] {
                for all in [0, 1, 2, 3, 7, 64, 1000] {
                    let ranges: Vec<_> = balance.ranges(all, threads).collect();
                    assert!(ranges.len() <= threads && ranges.iter().all(|range| !range.is_empty()), "{ratio} {threads} {all}");
                    assert!(ranges.into_iter().flatten().eq(0..all), "{ratio} {threads} {all}");
                }
            }
        }
    }

    /// The first of 100 units' range when the first thread takes `first` µs for a unit and the other `other`.
    fn settled(first: u64, other: u64) -> usize {
        let balance = Balance::default();
        for _ in 0..100 {
            let lengths: Vec<u64> = balance.ranges(100, 2).map(|range| range.len() as u64).collect();
            balance.observe(Duration::from_micros(first * lengths[0]), Duration::from_micros(other * lengths[1]));
        }
        balance.ranges(100, 2).next().unwrap().len()
    }

    #[test]
    fn threads_get_as_much_as_they_do_in_the_same_time_within_bounds() {
        // The first's time for a unit, the other's, and what the first should get of 100.
        for (first, other, expected) in [(1, 1, 50), (10, 12, 55), (12, 10, 45), (10, 15, 60), (100, 1, 33), (1, 100, 67)] {
            let got = settled(first, other);
            assert!(got.abs_diff(expected) <= 1, "{first} {other}: {got}");
        }
    }
}
