//! Threads that do the parts of a step together. Between two of them lies less time than a sleeping thread takes to wake, some fifty microseconds;
//! so whoever waits looks for work for a while before it sleeps, and does what there is to be done meanwhile.
//!
//! What they do is nothing to it.

use std::hint::spin_loop;
use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{available_parallelism, yield_now};
use std::time::{Duration, Instant};

use pg_core::Network;
use pg_core::form::Form;
use pg_core::population::Workspace;
use pg_core::sharing::{Share, Slices, cut};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::balance::Balance;

/// How long a thread looks before it sleeps.
const PATIENCE: Duration = Duration::from_micros(200);

/// How long it does so without making way for others.
const SOON: Duration = Duration::from_micros(5);

/// Numbers of a cache line, which had better be one thread's.
pub const LINE: usize = 16;

/// The least work that is shared, in multiply-adds: some two microseconds. The hand-over takes about one.
const WORTH: usize = 1 << 17;

/// The thread that calls, and others if there are any.
#[derive(Default)]
pub struct Crew(Option<Others>);

struct Others {
    pool: ThreadPool,
    known: Arc<Known>,
    balance: Balance,
}

/// What all threads know.
#[derive(Default)]
struct Known {
    /// How often the others were called.
    calls: AtomicUsize,
    /// Does a little of what can be done while they wait, and tells whether there was anything.
    meanwhile: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
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
        let pool = ThreadPoolBuilder::new().num_threads(threads - 1).build()?;
        Ok(Self(Some(Others { pool, known: Arc::default(), balance: Balance::default() })))
    }

    /// As many as the machine has cores, or as the system grants.
    pub fn of_machine() -> Self {
        available_parallelism().ok().and_then(|cores| Self::new(cores.into()).ok()).unwrap_or_default()
    }

    /// A workspace for passes that they share, in memory of [`Workspace::len_shared`].
    pub(crate) fn workspace<'a, N: Network, F: Form>(&'a self, samples: usize, memory: &'a mut [f32]) -> Workspace<'a> {
        match self.threads() {
            1 => Workspace::new::<N, F>(samples, memory),
            threads => Workspace::shared::<N, F>(samples, threads, self, memory),
        }
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        1 + self.0.as_ref().map_or(0, |others| others.pool.current_num_threads())
    }

    /// Whenever a thread waits for others, it does `some` work again and again until that says that there was none. It should be little, since others
    /// may have to wait for it in turn, and must not panic. A crew has one such work, the first that it is given.
    pub fn meanwhile(&self, some: impl Fn() -> bool + Send + Sync + 'static) {
        if let Some(Others { known, .. }) = &self.0 {
            known.meanwhile.get_or_init(|| Box::new(some));
        }
    }

    /// Does `work` on each part at the same time; there should be no more parts than threads, or some wait for others to stop looking. A panic in one
    /// of them comes out of here when all have ended.
    pub fn all<T: Send>(&self, parts: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
        let Some(Others { pool, known, .. }) = &self.0 else {
            return parts.into_iter().for_each(work);
        };
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return };
        let Some(second) = parts.next() else { return work(first) };
        let mut parts = iter::once(second).chain(parts);
        let call = known.calls.load(Ordering::Relaxed) + 1;
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
                    let known = Arc::clone(known);
                    rayon::spawn(move || known.wait(|| known.calls.load(Ordering::Acquire) > call));
                });
            }
            // Who looks finds the work there.
            known.calls.store(call, Ordering::Release);
            work(first);
            known.wait(|| ended.load(Ordering::Acquire) == others);
        });
    }

    /// Shares out `len` things, so many together as `unit` says: does `work` at the same time on what `cut` makes of ranges that are together all of
    /// them, in order.
    pub fn divide<T: Send>(&self, len: usize, unit: usize, mut cut: impl FnMut(Range<usize>) -> T, work: impl Fn(T) + Sync) {
        let Some(Others { balance, .. }) = &self.0 else {
            if len > 0 {
                work(cut(0..len));
            }
            return;
        };
        let mut cut = |range: Range<usize>| cut(range.start * unit..len.min(range.end * unit));
        let (start, took) = (Instant::now(), [const { AtomicU64::new(0) }; 2]);
        let parts = balance.ranges(len.div_ceil(unit), self.threads()).map(|range| (&took[usize::from(range.start > 0)], cut(range)));
        self.all(parts, |(took, part)| {
            work(part);
            took.fetch_max(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        });
        let [first, others] = took.map(|nanoseconds| Duration::from_nanos(nanoseconds.into_inner()));
        if !others.is_zero() {
            balance.observe(first, others);
        }
    }

    /// As [`Crew::divide`]; whether `work` is true of every part. It is done on all of them.
    pub fn every<T: Send>(&self, len: usize, unit: usize, cut: impl FnMut(Range<usize>) -> T, work: impl Fn(T) -> bool + Sync) -> bool {
        let every = AtomicBool::new(true);
        self.divide(len, unit, cut, |part| {
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
        let mut rest = to;
        self.divide(all, 1, |range| (range.start, cut(&mut rest, units, range.len())), |(first, pieces)| work(first, pieces));
    }
}

/// Counts a part as ended, in whatever way.
struct End<'a>(&'a AtomicUsize);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl Known {
    /// Waits until it is so, or patience is over. It soon makes way for others, among them, on a busy machine, the one that it waits for.
    fn wait(&self, so: impl Fn() -> bool) {
        let mut start = Instant::now();
        while !so() {
            if self.meanwhile.get().is_some_and(|some| some()) {
                start = Instant::now();
            }
            match start.elapsed() {
                waited if waited < SOON => spin_loop(),
                waited if waited < PATIENCE => yield_now(),
                _ => return,
            }
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
                let all_are_20 = |numbers: &[i32]| crew.every(parts, 1, |range| range, |mut range| range.all(|i| numbers[i] == 20));
                assert!(all_are_20(&numbers));
                for bad in 0..parts {
                    numbers[bad] = 0;
                    assert!(!all_are_20(&numbers));
                    numbers[bad] = 20;
                }
            }
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
    fn threads_that_wait_do_some_other_work() {
        for threads in [2, 3] {
            let (crew, done) = (Crew::new(threads).unwrap(), Arc::new(AtomicUsize::new(0)));
            let also = Arc::clone(&done);
            // Some more four times of five.
            crew.meanwhile(move || also.fetch_add(1, Ordering::Relaxed) % 5 < 4);
            for slow in 0..threads {
                // Whoever is slow waits until somebody has had time for it, or long enough.
                let (before, start) = (done.load(Ordering::Relaxed), Instant::now());
                crew.all(0..threads, |part| {
                    while part == slow && done.load(Ordering::Relaxed) == before && start.elapsed() < Duration::from_secs(20) {
                        yield_now();
                    }
                });
                assert!(done.load(Ordering::Relaxed) > before);
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
