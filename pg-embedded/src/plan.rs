//! Where every byte of RAM goes, as a constant: a plan that exceeds the board does not compile.
//!
//! It counts what the program states and does not measure: the linker has the last word on alignment.
//!
//! ```
//! use pg_embedded::{BOARD, MemoryPlan};
//! const PLAN: MemoryPlan<2> = MemoryPlan([("activations", 400), ("stack", 4096)]);
//! const _: () = PLAN.check(BOARD);
//! PLAN.print("ram", BOARD);
//! ```
//!
//! Training 101,770 parameters in 16 KB of RAM does not compile: "the network does not fit the board's RAM".
//!
//! ```compile_fail,E0080
//! use pg_core::{Network, tuner::Settings, zoo::Mlp784x128x10 as Net};
//! use pg_embedded::{Fpu, MemoryPlan, board};
//! const TUNER: usize = 4 * Settings::DEFAULT.needs().sizes::<Net, Fpu, 8>().sum();
//! const PLAN: MemoryPlan<2> = MemoryPlan([("parameters", 4 * Net::PARAMS), ("tuner", TUNER)]);
//! const _: () = PLAN.check(board::named("microbit"));
//! ```

use crate::{board::Board, console::Line};

/// Names and bytes.
#[derive(Clone, Copy, Debug)]
pub struct MemoryPlan<const ROWS: usize>(pub [(&'static str, usize); ROWS]);

impl<const ROWS: usize> MemoryPlan<ROWS> {
    /// The sum of all rows.
    pub const fn bytes(&self) -> usize {
        let mut sum = 0;
        let mut row = 0;
        while row < ROWS {
            sum += self.0[row].1;
            row += 1;
        }
        sum
    }

    /// The sum of all rows but the stack: what the linker counts as `.data` and `.bss`, for which `cargo xtask` checks it.
    pub const fn statics(&self) -> usize {
        let mut sum = 0;
        let mut row = 0;
        while row < ROWS {
            sum += if is_stack(self.0[row].0) { 0 } else { self.0[row].1 };
            row += 1;
        }
        sum
    }

    /// Ends the build, in a constant, when the plan exceeds the board's RAM.
    ///
    /// # Panics
    /// Then.
    pub const fn check(&self, board: Board) {
        assert!(self.bytes() <= board.ram.bytes as usize, "the network does not fit the board's RAM");
    }

    /// Prints the rows and their sums and the board's RAM, in bytes, each line after `title`: `ram parameters 9640`.
    pub fn print(&self, title: &str, board: Board) {
        for (name, bytes) in self.0 {
            Line::new(title).word(name).number(bytes as u32).end();
        }
        Line::new(title).word("statics").number(self.statics() as u32).end();
        Line::new(title).word("together").number(self.bytes() as u32).word("of").number(board.ram.bytes).end();
    }
}

/// `==` is not for constants.
const fn is_stack(name: &str) -> bool {
    matches!(name.as_bytes(), b"stack")
}
