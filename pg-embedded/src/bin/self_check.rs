//! Checks the ground that the firmware stands on: fused multiply-add, square root, the counter of instructions.
//!
//! It compares the FPU with libm bit for bit, on the corners of the format and on random numbers, and it counts pieces of
//! known length. It knows nothing of networks. `cargo xtask qemu` runs it on every emulated board.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use pg_embedded::{
    BOARD,
    console::{self, Line},
    fused_multiply_add, square_root,
};

/// Zero, subnormals, the smallest and largest normal numbers, one and its neighbours, half-way cases, infinity, NaN.
const CORNERS: [u32; 22] = [
    0x0000_0000,
    0x0000_0001,
    0x0000_0002,
    0x0040_0000,
    0x007f_ffff,
    0x0080_0000,
    0x0080_0001,
    0x00ff_ffff,
    0x3380_0000,
    0x3400_0000,
    0x3f00_0000,
    0x3f7f_ffff,
    0x3f80_0000,
    0x3f80_0001,
    0x3fc0_0000,
    0x4b00_0001,
    0x4b80_0000,
    0x5f80_0001,
    0x7f00_0000,
    0x7f7f_ffff,
    0x7f80_0000,
    0x7fc0_0000,
];
const RANDOM: u32 = 20_000;

#[cfg_attr(target_os = "none", cortex_m_rt::entry)]
fn main() -> ! {
    Line::new("board").word(BOARD.name).end();
    let mut wrong = 0;
    let mut cases = 0;
    let mut check = |[a, b, c]: [u32; 3]| {
        let [a, b, c] = core::hint::black_box([a, b, c].map(f32::from_bits));
        wrong += u32::from(!same(fused_multiply_add(a, b, c), libm::fmaf(a, b, c)));
        wrong += u32::from(!same(square_root(a), libm::sqrtf(a)));
        cases += 1;
    };
    for a in signed_corners() {
        for b in signed_corners() {
            signed_corners().for_each(|c| check([a, b, c]));
        }
    }
    let mut state = 1;
    for _ in 0..RANDOM {
        let [a, b] = [next(&mut state), next(&mut state)];
        check([a, b, next(&mut state)]);
        // Numbers near one another: the sum cancels, or rounds at the last bit of the product.
        let near = |bits: u32| 0x3f00_0000 | (bits & 0x81ff_ffff);
        check([near(a), near(b), near(next(&mut state))]);
    }
    Line::new("self-check").word("cases").number(cases).word("wrong").number(wrong).end();
    #[cfg(target_os = "none")]
    count_known_pieces();
    console::end(wrong == 0)
}

/// Counts one, ten and a hundred `nop`s in a row, and ten million, which is more than the counter holds.
#[cfg(target_os = "none")]
fn count_known_pieces() {
    use cortex_m::asm::nop;
    macro_rules! ten {
        ($piece:expr) => {{
            $piece;
            $piece;
            $piece;
            $piece;
            $piece;
            $piece;
            $piece;
            $piece;
            $piece;
            $piece
        }};
    }
    let mut stopwatch = pg_embedded::Stopwatch::start();
    report("1", stopwatch.ticks(nop).1);
    report("10", stopwatch.ticks(|| ten!(nop())).1);
    report("100", stopwatch.ticks(|| ten!(ten!(nop()))).1);
    report("10000000", stopwatch.ticks(|| (0..100_000).for_each(|_| ten!(ten!(nop())))).1);
}

#[cfg(target_os = "none")]
fn report(nops: &str, ticks: Option<u32>) {
    let line = Line::new("count").word("nops").word(nops).word("ticks");
    match ticks {
        Some(ticks) => line.number(ticks),
        None => line.word("overflow"),
    }
    .end();
}

fn signed_corners() -> impl Iterator<Item = u32> {
    CORNERS.into_iter().flat_map(|bits| [bits, bits | 0x8000_0000])
}

/// The same bits, or both NaN.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Marsaglia's xorshift32.
fn next(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}
