//! What this program was compiled for: how wide its lanes are and how it multiplies and adds. Results do not depend on it, speed does.

use pg_core::{Lane, Widest, lane};

/// Numbers computed side by side.
pub const LANES: usize = Widest::LANES;

/// Whether the fused multiply-add is an instruction.
pub const HARDWARE_FMA: bool = lane::HARDWARE_FMA;

/// One line for people.
pub fn sentence() -> String {
    if HARDWARE_FMA {
        format!("built for {LANES} lanes of f32 with fused multiply-add")
    } else {
        "this build has no fused multiply-add instruction: the same results, tens of times slower; \
         build with RUSTFLAGS=\"-C target-cpu=native\""
            .into()
    }
}
