//! The peak of one thread: the most fused multiply-adds that it does when there is nothing to load or store.

use std::hint::black_box;
use std::time::Instant;

use pg_core::{Lane, f32x4, f32x8, f32x16};

/// The best rate of fused multiply-adds, in GFLOP/s.
pub(super) fn peak() -> f64 {
    let four = chains::<f32x4, 8>().max(chains::<f32x4, 12>()).max(chains::<f32x4, 16>());
    let eight = chains::<f32x8, 8>().max(chains::<f32x8, 12>()).max(chains::<f32x8, 16>());
    let sixteen = chains::<f32x16, 8>().max(chains::<f32x16, 12>()).max(chains::<f32x16, 16>());
    four.max(eight).max(sixteen)
}

/// The rate of `CHAINS` independent chains of fused multiply-adds.
fn chains<L: Lane, const CHAINS: usize>() -> f64 {
    const TERMS: usize = 1 << 16; // about 0.1 ms: a core takes a while to run its widest vectors at full speed
    let factor = L::splat(black_box(0.999));
    let term = L::splat(black_box(0.001));
    let mut best = f64::MAX;
    for _ in 0..4 {
        let mut sums = [L::splat(1.0); CHAINS];
        let start = Instant::now();
        for _ in 0..TERMS {
            for sum in &mut sums {
                *sum = sum.mul_add(factor, term);
            }
        }
        best = best.min(start.elapsed().as_secs_f64());
        black_box(sums);
    }
    (2 * L::LANES * CHAINS * TERMS) as f64 / best / 1e9
}
