//! Threads that do the parts of a step together. Between two of them lies less time than a sleeping thread takes to wake, some fifty microseconds;
//! so whoever waits looks for work for a while before it sleeps.
//!
//! What they do is nothing to it.

use std::hint::spin_loop;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use pg_core::sharing::{Share, Slices, cut};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// How long a thread looks before it sleeps.
const PATIENCE: Duration = Duration::from_micros(200);

/// How long it does so without making way for others.
const SOON: Duration = Duration::from_micros(5);

/// The least work that is shared, in multiply-adds: some two microseconds. The hand-over takes about one.
const WORTH: usize = 1 << 17;

/// The thread that calls, and others if there are any.
#[derive(Default)]
pub struct Crew(Option<Others>);

struct Others {
    pool: ThreadPool,
    /// How often they were called.
    calls: Arc<AtomicUsize>,
}

impl Crew {
    /// Of so many threads, the one that calls among them.
    ///
    /// # Errors
    /// When the system grants no more threads.
    pub fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        if threads <= 1 {
            return Ok(Self::default());
        }
        Ok(Self(Some(Others { pool: ThreadPoolBuilder::new().num_threads(threads - 1).build()?, calls: Arc::default() })))
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        1 + self.0.as_ref().map_or(0, |others| others.pool.current_num_threads())
    }

    /// The length of the pieces in which `len` numbers are shared out: whole cache lines, no more pieces than threads.
    pub fn piece(&self, len: usize) -> usize {
        len.div_ceil(self.threads()).next_multiple_of(16).max(1)
    }

    /// Does `work` on each part at the same time; there should be no more parts than threads, or some wait for others to stop looking. A panic in one
    /// of them comes out of here when all have ended.
    pub fn all<T: Send>(&self, parts: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
        let Some(Others { pool, calls }) = &self.0 else {
            return parts.into_iter().for_each(work);
        };
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return };
        let Some(second) = parts.next() else { return work(first) };
        let mut parts = iter::once(second).chain(parts);
        let call = calls.load(Ordering::Relaxed) + 1;
        let (work, ended) = (&work, &AtomicUsize::new(0));
        pool.in_place_scope(|scope| {
            let mut others = 0;
            loop {
                // Who has no part looks for the next call as the others do.
                let part = parts.next();
                if part.is_none() && others + 1 >= self.threads() {
                    break;
                }
                others += 1;
                scope.spawn(move |_| {
                    // Ends last, so that little is left to wait for when it has.
                    let _end = End(ended);
                    part.into_iter().for_each(work);
                    let calls = Arc::clone(calls);
                    rayon::spawn(move || look(|| calls.load(Ordering::Acquire) > call));
                });
            }
            // Who looks finds the work there.
            calls.store(call, Ordering::Release);
            work(first);
            look(|| ended.load(Ordering::Acquire) == others);
        });
    }

    /// Whether `work` is true of every part; it is done on all of them, as by [`Crew::all`].
    pub fn every<T: Send>(&self, parts: impl IntoIterator<Item = T>, work: impl Fn(T) -> bool + Sync) -> bool {
        let every = AtomicBool::new(true);
        self.all(parts, |part| {
            if !work(part) {
                every.store(false, Ordering::Relaxed);
            }
        });
        every.into_inner()
    }
}

impl Share for Crew {
    fn share(&self, to: Slices, units: [usize; 3], cost: usize, work: &(dyn Fn(usize, Slices) + Sync)) {
        if self.0.is_none() || cost < WORTH {
            return work(0, to);
        }
        let all = to[0].len().div_ceil(units[0]);
        let count = all.div_ceil(self.threads());
        let mut rest = to;
        let pieces = (0..all).step_by(count).map(|first| (first, cut(&mut rest, units, count)));
        self.all(pieces, |(first, pieces)| work(first, pieces));
    }
}

/// Counts a part as ended, in whatever way.
struct End<'a>(&'a AtomicUsize);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Waits until it is so, or patience is over. It soon makes way for others, among them, on a busy machine, the one that it waits for.
fn look(so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        match start.elapsed() {
            elapsed if elapsed < SOON => spin_loop(),
            elapsed if elapsed < PATIENCE => yield_now(),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once_whatever_the_threads() {
        for threads in [1, 2, 5] {
            let crew = Crew::new(threads).unwrap();
            assert_eq!(crew.threads(), threads);
            for parts in [0, 1, 2, 3, 5, 40] {
                let mut numbers = vec![0; parts];
                for _ in 0..20 {
                    crew.all(&mut numbers, |number| *number += 1);
                }
                assert_eq!(numbers, vec![20; parts]);
                assert!(crew.every(&numbers, |&number| number == 20));
                for bad in 0..parts {
                    numbers[bad] = 0;
                    assert!(!crew.every(&numbers, |&number| number == 20));
                    numbers[bad] = 20;
                }
            }
        }
    }

    #[test]
    fn pieces_are_no_more_than_threads_and_cover_all() {
        let crew = Crew::new(3).unwrap();
        for len in [0, 1, 16, 47, 48, 49, 1000] {
            let piece = crew.piece(len);
            assert!(len.div_ceil(piece) <= 3 && piece.is_multiple_of(16) || len == 0, "{len}");
        }
    }

    #[test]
    fn work_that_is_shared_is_done_on_every_unit_once() {
        for threads in [1, 2, 3, 8] {
            let crew = Crew::new(threads).unwrap();
            for (all, unit) in [(1, 1), (1, 7), (5, 3), (64, 16), (100, 1)] {
                for cost in [0, WORTH] {
                    // The last unit of the first slice is shorter.
                    let (mut first, mut second) = (vec![0.0; all * unit - unit / 2], vec![0.0; 2 * all]);
                    crew.share([&mut first, &mut second, &mut []], [unit, 2, 0], cost, &|number, [first, second, _]| {
                        first.iter_mut().enumerate().for_each(|(i, x)| *x += (number * unit + i) as f32);
                        second.iter_mut().enumerate().for_each(|(i, x)| *x += (2 * number + i) as f32);
                    });
                    assert!(first.iter().chain(&second[..2 * all]).zip((0..first.len()).chain(0..2 * all)).all(|(&x, i)| x == i as f32));
                }
            }
        }
    }

    #[test]
    fn a_panic_of_any_thread_comes_out_and_the_crew_goes_on() {
        let crew = Crew::new(3).unwrap();
        for bad in 0..3 {
            let all = || crew.all(0..3, |part| assert!(part != bad));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(all)).is_err());
            let done = AtomicUsize::new(0);
            crew.all(0..3, |_| _ = done.fetch_add(1, Ordering::Relaxed));
            assert_eq!(done.into_inner(), 3);
        }
    }
}
