//! Counts SysTick's ticks while a piece of code runs.
//!
//! It does not know what a tick is. On a board a tick is a clock cycle. In QEMU with `-icount shift=8` every instruction takes
//! 256 ns of virtual time, several ticks (6.4 at 25 MHz), so that the number of instructions follows exactly:
//! `round(ticks · 10⁹ / (tick_hz · 256))`, for the error of a reading is below one tick. `cargo xtask qemu` prints that number.
//! Twenty-four bits hold 2.6 million instructions at 25 MHz; a longer piece is refused, not counted wrongly.

use core::hint::black_box;

use cortex_m::peripheral::{SYST, syst::SystClkSource};

const FULL: u32 = 0x00ff_ffff;

/// The counter, running.
pub struct Stopwatch {
    counter: SYST,
    /// What an empty piece takes: reading the counter itself.
    own: u32,
}

impl Stopwatch {
    /// Starts the counter.
    pub fn new(mut counter: SYST) -> Self {
        counter.set_clock_source(SystClkSource::Core);
        counter.set_reload(FULL);
        counter.clear_current();
        counter.enable_counter();
        let mut stopwatch = Self { counter, own: 0 };
        stopwatch.own = stopwatch.ticks(|| ()).1.unwrap_or(0);
        stopwatch
    }

    /// Runs `piece` and returns, beside its result, the ticks it took: `None` when they exceed the counter's 24 bits.
    ///
    /// `piece` is a function of its own here (never inlined), so that an empty one costs as much around it as a full one.
    #[inline(never)]
    pub fn ticks<T>(&mut self, piece: impl FnOnce() -> T) -> (T, Option<u32>) {
        self.counter.clear_current();
        let before = SYST::get_current();
        let result = black_box(piece());
        let after = SYST::get_current();
        let taken = before.wrapping_sub(after) & FULL;
        (result, (!self.counter.has_wrapped()).then(|| taken.saturating_sub(self.own)))
    }
}
