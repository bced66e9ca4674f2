//! What the firmware's programs share: the board's numbers, the FPU as a number type, the way out, a counter.
//!
//! The networks and their kernels are `pg_core`'s; this crate only gives them a place to run. It allocates nothing and
//! drives no peripheral but SysTick, so that it runs on every Cortex-M, but for UART and flash of the programs that serve. It builds for the
//! desktop, too.
//!
//! | feature | what it adds |
//! |---|---|
//! | `large` | the programs `lenet` and `folded`, for boards with 512 KB of RAM |
//! | `tuning` | the programs `steps` and `tune`, which learn, for boards with an FPU |
//! | `serving` | the programs `serve` and `serve-vowels`, which learn what a host sends them, and `classifier`, for boards with a UART that is driven here |
//! | `no-panic` | a program in which a panic can be reached does not link: for `no-panic`, which proves it of the tuner, and `no-panic-link` alone |
//! | `defmt` | [`console`] prints to the log of a debugging probe (RTT); `semihosting` goes before |
//! | `semihosting` | [`console`] prints through the debugger or emulator, and ends the program there |
//!
//! | variable at build time | what it chooses |
//! |---|---|
//! | `PG_BOARD` | the board, one of [`board::ALL`]; the first with the build's target otherwise |
//! | `PG_MODEL` | the model file in the firmware's flash; `models/mlp-64-32-10.pg` otherwise |
#![cfg_attr(target_os = "none", no_std)]
#![deny(unsafe_code)]

pub mod board;
mod classify;
pub mod console;
#[cfg(all(target_os = "none", feature = "serving", pg_store = "file"))]
mod file_flash;
mod fpu;
#[cfg(all(target_os = "none", feature = "serving", pg_store = "nvmc"))]
mod nvmc;
mod plan;
#[cfg(feature = "serving")]
pub mod serving;
mod stopwatch;
pub mod tuning;
#[cfg(all(target_os = "none", feature = "serving"))]
mod uart;

#[cfg(all(target_os = "none", feature = "serving"))]
pub use uart::Uart;

#[cfg(all(target_os = "none", feature = "serving", pg_store = "file"))]
pub use file_flash::{FileFlash, flash};
#[cfg(all(target_os = "none", feature = "serving", pg_store = "nvmc"))]
pub use nvmc::{Nvmc, flash};

#[cfg(all(target_os = "none", feature = "serving", pg_store = "file", not(feature = "semihosting")))]
compile_error!("this board's flash is not driven: a file of the emulator stands for it, with the feature `semihosting`");

pub use classify::{Memory, classify, ticks_of};
pub use fpu::{Fpu, fused_multiply_add, square_root};
pub use plan::MemoryPlan;
pub use stopwatch::Stopwatch;

/// The board that this build is for. A desktop build is for the first one, unless `PG_BOARD` says another.
pub const BOARD: board::Board = board::named(env!("PG_BOARD"));

#[cfg(all(target_os = "none", feature = "no-panic"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // A name that nothing defines: the program does not link when a panic can be reached.
    #[allow(unsafe_code)]
    unsafe extern "C" {
        safe fn a_panic_is_reachable() -> !;
    }
    a_panic_is_reachable()
}

#[cfg(all(target_os = "none", not(feature = "no-panic")))]
#[panic_handler]
fn panic(panic: &core::panic::PanicInfo<'_>) -> ! {
    console::report(panic);
    console::end(false)
}
