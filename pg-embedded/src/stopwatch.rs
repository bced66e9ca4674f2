//! Counts SysTick's ticks while a piece of code runs; on a desktop it runs the code and counts nothing.
//!
//! It does not know what a tick is. On a board a tick is a clock cycle. In QEMU with `-icount shift=8` every instruction takes
//! 256 ns of virtual time, several ticks (6.4 at 25 MHz), so that the number of instructions follows exactly:
//! `round(ticks · 10⁹ / (tick_hz · 256))`, for the error of a reading is below one tick. `cargo xtask qemu` prints that number.
//! Twenty-four bits hold 2.6 million instructions at 25 MHz; a longer piece is refused, not counted wrongly.

use core::hint::black_box;

#[cfg(target_os = "none")]
mod counter {
    use cortex_m::peripheral::{Peripherals, SYST, syst::SystClkSource};

    const FULL: u32 = 0x00ff_ffff;

    pub struct Counter(SYST);

    impl Counter {
        pub fn start() -> Option<Self> {
            let mut counter = Peripherals::take()?.SYST;
            counter.set_clock_source(SystClkSource::Core);
            counter.set_reload(FULL);
            counter.clear_current();
            counter.enable_counter();
            Some(Self(counter))
        }

        /// Also forgets that the counter passed zero.
        #[inline(always)]
        pub fn restart(&mut self) -> u32 {
            self.0.clear_current();
            SYST::get_current()
        }

        #[inline(always)]
        pub fn since(&mut self, start: u32) -> Option<u32> {
            let now = SYST::get_current();
            (!self.0.has_wrapped()).then_some(start.wrapping_sub(now) & FULL)
        }
    }
}

#[cfg(not(target_os = "none"))]
mod counter {
    pub struct Counter;

    impl Counter {
        pub fn start() -> Option<Self> {
            None
        }

        pub fn restart(&mut self) -> u32 {
            0
        }

        pub fn since(&mut self, _: u32) -> Option<u32> {
            None
        }
    }
}

/// The counter, running.
pub struct Stopwatch {
    counter: Option<counter::Counter>,
    /// What an empty piece takes: reading the counter itself.
    own: u32,
}

impl Stopwatch {
    /// Starts the counter. There is one; a second stopwatch counts nothing.
    pub fn start() -> Self {
        let mut stopwatch = Self { counter: counter::Counter::start(), own: 0 };
        stopwatch.own = stopwatch.ticks(|| ()).1.unwrap_or(0);
        stopwatch
    }

    /// Runs `piece` and returns, beside its result, the ticks it took: `None` when they exceed the counter's 24 bits, or where
    /// there is no counter.
    #[inline(never)]
    pub fn ticks<T>(&mut self, piece: impl FnOnce() -> T) -> (T, Option<u32>) {
        let Some(counter) = &mut self.counter else { return (piece(), None) };
        let before = counter.restart();
        let result = black_box(piece());
        let taken = counter.since(before);
        (result, taken.map(|ticks| ticks.saturating_sub(self.own)))
    }
}
