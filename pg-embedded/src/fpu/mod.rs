//! The two instructions of a Cortex-M FPU that stable Rust has no name for: fused multiply-add, square root.
//!
//! All `unsafe` of the firmware is here, but for that of the UART's and the flash's registers. Nothing here approximates: both round once, to the nearest, as the same
//! operations on the desktop do; without an FPU libm computes the same bits in software. NaNs are NaNs everywhere, but
//! their payload is not promised.
//!
//! [`Fpu`] makes a number of it that every kernel of `pg_core` accepts:
//!
//! ```
//! use pg_core::Lane;
//! use pg_embedded::Fpu;
//! let fused = Fpu(0.1).mul_add(Fpu(10.0), Fpu(-1.0));
//! assert_eq!(fused, Fpu(1.4901161e-8)); // rounded once; rounded twice it were 0
//! ```
#![allow(unsafe_code)]

#[cfg(all(target_os = "none", target_abi = "eabihf"))]
mod rows;

use core::ops::{Add, Div, Mul, Neg, Sub};

#[cfg(all(target_os = "none", target_abi = "eabihf"))]
use pg_core::noise::SIGNS;
use pg_core::{Lane, lane::Word};

/// `a·b + c`, rounded once.
#[cfg(all(target_os = "none", target_abi = "eabihf"))]
#[inline(always)]
pub fn fused_multiply_add(a: f32, b: f32, c: f32) -> f32 {
    let mut sum = c;
    // SAFETY: the instruction reads and writes the named registers only (no memory, no stack), and both targets with this ABI have it.
    // FPSCR's exception flags may change, hence no `preserves_flags`; its rounding mode is never touched, hence `pure`.
    unsafe {
        core::arch::asm!(
            "vfma.f32 {sum}, {a}, {b}",
            sum = inout(sreg) sum, a = in(sreg) a, b = in(sreg) b,
            options(pure, nomem, nostack)
        );
    }
    sum
}

/// `a·b + c`, rounded once. Hundreds of instructions without an FPU: a kernel that had them in line wherever it multiplies would fill the flash.
#[cfg(not(all(target_os = "none", target_abi = "eabihf")))]
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline(always))]
pub fn fused_multiply_add(a: f32, b: f32, c: f32) -> f32 {
    libm::fmaf(a, b, c)
}

/// The square root, correctly rounded.
#[cfg(all(target_os = "none", target_abi = "eabihf"))]
#[inline(always)]
pub fn square_root(a: f32) -> f32 {
    let root;
    // SAFETY: as above.
    unsafe { core::arch::asm!("vsqrt.f32 {root}, {a}", root = lateout(sreg) root, a = in(sreg) a, options(pure, nomem, nostack)) };
    root
}

/// The square root, correctly rounded.
#[cfg(not(all(target_os = "none", target_abi = "eabihf")))]
#[inline(always)]
pub fn square_root(a: f32) -> f32 {
    libm::sqrtf(a)
}

/// Numbers that [`multiply_add_blocks`] reads in one instruction.
#[cfg(all(target_os = "none", target_abi = "eabihf"))]
const BLOCK: usize = 8;

/// `sums[r] += Σₖ rows[r][k]·x[k]` over the whole blocks of `x`, in the order of k.
///
/// The compiler reads a number with an instruction of its own, 2.4 instructions for each multiply-add. Here `vldmia` reads
/// eight, x once for four rows: 37 instructions for 32 multiply-adds, and on a Cortex-M4 half the cycles of reading.
#[cfg(all(target_os = "none", target_abi = "eabihf"))]
#[inline(always)]
fn multiply_add_blocks(rows: [&[f32]; 4], x: &[f32], sums: &mut [Fpu; 4]) {
    // Eight terms of one row: sum += w[k]·x[k], x in s16 to s23.
    macro_rules! row {
        ($row:literal, $sum:literal) => {
            concat!(
                "vldmia {",
                $row,
                "}!, {{s24-s31}}\n",
                "vfma.f32 {",
                $sum,
                "}, s24, s16\n",
                "vfma.f32 {",
                $sum,
                "}, s25, s17\n",
                "vfma.f32 {",
                $sum,
                "}, s26, s18\n",
                "vfma.f32 {",
                $sum,
                "}, s27, s19\n",
                "vfma.f32 {",
                $sum,
                "}, s28, s20\n",
                "vfma.f32 {",
                $sum,
                "}, s29, s21\n",
                "vfma.f32 {",
                $sum,
                "}, s30, s22\n",
                "vfma.f32 {",
                $sum,
                "}, s31, s23",
            )
        };
    }
    let [mut p0, mut p1, mut p2, mut p3] = rows.map(|row| row[..x.len()].as_ptr());
    let [Fpu(s0), Fpu(s1), Fpu(s2), Fpu(s3)] = sums;
    let mut px = x.as_ptr();
    for _ in 0..x.len() / BLOCK {
        // SAFETY: five slices of `x.len()` numbers or more are read from their beginnings, BLOCK numbers each in each of
        // `x.len() / BLOCK` rounds. Nothing is written to memory, the stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
                "vldmia {px}!, {{s16-s23}}",
                row!("p0", "s0"), row!("p1", "s1"), row!("p2", "s2"), row!("p3", "s3"),
                px = inout(reg) px, p0 = inout(reg) p0, p1 = inout(reg) p1, p2 = inout(reg) p2, p3 = inout(reg) p3,
                s0 = inout(sreg) *s0, s1 = inout(sreg) *s1, s2 = inout(sreg) *s2, s3 = inout(sreg) *s3,
                out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _,
                out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
                options(readonly, nostack)
            );
        }
    }
}

/// A number computed by the FPU, for the kernels of `pg_core`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Fpu(pub f32);

macro_rules! operator {
    ($($trait:ident::$method:ident $sign:tt)*) => { $(
        impl $trait for Fpu {
            type Output = Self;
            #[inline(always)]
            fn $method(self, rhs: Self) -> Self {
                Self(self.0 $sign rhs.0)
            }
        }
    )* };
}
operator! { Add::add + Sub::sub - Mul::mul * Div::div / }

impl Neg for Fpu {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Lane for Fpu {
    type Bits = Word;
    const LANES: usize = 1;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(value)
    }
    #[inline(always)]
    fn lane(self, _: usize) -> f32 {
        self.0
    }
    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        Self(from[0])
    }
    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        to[0] = self.0;
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        Self(fused_multiply_add(self.0, a.0, b.0))
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn multiply_add_rows(rows: [&[f32]; 4], x: &[f32], sums: &mut [Self; 4]) {
        multiply_add_blocks(rows, x, sums);
        let rows = rows.map(|row| &row[..x.len()]);
        let done = x.len() / BLOCK * BLOCK;
        for (k, &x) in x.iter().enumerate().skip(done) {
            for (sum, row) in sums.iter_mut().zip(rows) {
                sum.0 = fused_multiply_add(row[k], x, sum.0);
            }
        }
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn multiply_add_tile(a: [&[f32]; 2], a_step: usize, b: &[f32], b_step: usize, depth: usize, sums: &mut [[Self; 8]; 2]) {
        rows::multiply_add_tile(a, a_step, b, b_step, depth, sums);
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn multiply_add_row(a: &[f32], b: &[f32], b_step: usize, sums: &mut [Self; 8]) {
        rows::multiply_add_row(a, b, b_step, sums);
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn add_multiples(a: &[f32], u: &[Self; 8], step: usize, to: &mut [f32]) {
        rows::add_multiples(a, u, step, to);
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn multiply_eights(a: [&[f32]; 2], x: &[f32], adds: bool, to: [&mut [f32]; 2]) {
        let [first, second] = to;
        let done = rows::multiply_eights(a, x, adds, [&mut *first, &mut *second]);
        for (a, to) in a.into_iter().zip([first, second]) {
            for (to, x) in to.iter_mut().zip(x.chunks_exact(8)).skip(done) {
                let sum = a.iter().zip(x).fold(0.0, |sum, (&a, &x)| fused_multiply_add(a, x, sum));
                *to = if adds { *to + sum } else { sum };
            }
        }
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn add_signs(scale: f32, signs: &[u8], from: &[f32], to: &mut [f32]) {
        rows::add_signs(scale, signs, &SIGNS, from, to);
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn multiply_add_to(factor: f32, a: &[f32], to: &mut [f32]) {
        let done = rows::multiply_add_to(factor, a, to);
        to.iter_mut().zip(a).skip(done).for_each(|(to, &a)| *to = fused_multiply_add(factor, a, *to));
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn multiply_add_into(factor: f32, a: &[f32], b: &[f32], to: &mut [f32]) {
        let done = rows::multiply_add_into(factor, a, b, to);
        to.iter_mut().zip(a).zip(b).skip(done).for_each(|((to, &a), &b)| *to = fused_multiply_add(factor, a, b));
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn descend(rate: f32, dy: f32, x: &[f32], w: &mut [f32]) {
        let done = rows::descend(rate, dy, x, w);
        w.iter_mut().zip(x).skip(done).for_each(|(w, &x)| *w = fused_multiply_add(rate, fused_multiply_add(dy, x, 0.0), *w));
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn mirror(centre: &[f32], to: &mut [f32]) {
        let done = rows::mirror(centre, to);
        to.iter_mut().zip(centre).skip(done).for_each(|(to, &centre)| *to = centre - (*to - centre));
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn scale(factor: f32, to: &mut [f32]) {
        let done = rows::scale(factor, to);
        to.iter_mut().skip(done).for_each(|to| *to *= factor);
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn step(rate: f32, momentum: f32, gradient: &[f32], velocity: &mut [f32], parameters: &mut [f32]) {
        let done = rows::step(rate, momentum, gradient, velocity, parameters);
        for ((p, v), &g) in parameters.iter_mut().zip(velocity).zip(gradient).skip(done) {
            *v = fused_multiply_add(momentum, *v, g);
            *p = fused_multiply_add(rate, *v, *p);
        }
    }
    #[cfg(all(target_os = "none", target_abi = "eabihf"))]
    #[inline(always)]
    fn add_squares(x: &[f32], sums: &mut [f32; 16]) {
        let done = rows::add_squares(x, sums);
        sums.iter_mut().zip(x.iter().skip(done)).for_each(|(sum, &x)| *sum = fused_multiply_add(x, x, *sum));
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(square_root(self.0))
    }
    #[inline(always)]
    fn if_greater(self, than: Self, then: Self, otherwise: Self) -> Self {
        if self.0 > than.0 { then } else { otherwise }
    }
    #[inline(always)]
    fn to_bits(self) -> Word {
        Word(self.0.to_bits())
    }
    #[inline(always)]
    fn from_bits(bits: Word) -> Self {
        Self(f32::from_bits(bits.0))
    }
    #[inline(always)]
    fn from_int(bits: Word) -> Self {
        Self(bits.0 as i32 as f32)
    }
    #[inline(always)]
    fn load_partial(from: &[f32]) -> Self {
        Self(from.first().copied().unwrap_or_default())
    }
    #[inline(always)]
    fn store_partial(self, to: &mut [f32]) {
        if let Some(to) = to.first_mut() {
            *to = self.0;
        }
    }
}
