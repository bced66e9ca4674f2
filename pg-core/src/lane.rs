//! A number is a population: [`Lane`] is one `f32` or several side by side.
//!
//! Every kernel is written once over `Lane`. The desktop runs it with `wide` vectors, the microcontroller with one
//! number; each lane computes exactly what the scalar computes. That holds because every operation here is one IEEE 754
//! operation, correctly rounded on every target: `+ - * /`, [`Lane::sqrt`], and the fused [`Lane::mul_add`].
//! Nothing here adds lanes up but `fold`, whose order is part of the promise; any other order of summation is the caller's to choose.
//!
//! ```
//! use pg_core::{f32x8, Lane};
//! let wide = f32x8::splat(0.1).mul_add(f32x8::splat(10.0), f32x8::splat(-1.0));
//! assert_eq!(wide.lane(3).to_bits(), 0.1f32.mul_add(10.0, -1.0).to_bits()); // fused: 1.49e-8, not 0
//! ```

use core::fmt::Debug;
use core::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Shl, Shr, Sub};

pub use wide::{f32x4, f32x8, f32x16};
use wide::{i32x4, i32x8, i32x16, u32x4, u32x8, u32x16, u64x8};

use crate::noise;

/// One `f32`, or several side by side, with the arithmetic of each lane that of a lone `f32`.
///
/// Implement it for a number of your own hardware; the operations must round once and correctly. The lanes must be a divisor of 16.
pub trait Lane:
    Copy
    + Default
    + Debug
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The same bits as unsigned integers.
    type Bits: Bits;

    /// How many numbers stand side by side.
    const LANES: usize;

    /// The same number in every lane.
    fn splat(value: f32) -> Self;

    /// Lane `index`.
    fn lane(self, index: usize) -> f32;

    /// The first [`Lane::LANES`] numbers of `from`.
    ///
    /// # Panics
    /// When `from` is shorter.
    fn load(from: &[f32]) -> Self;

    /// Writes the lanes to the front of `to`.
    ///
    /// # Panics
    /// When `to` is shorter than [`Lane::LANES`].
    fn store(self, to: &mut [f32]);

    /// `self · a + b`, rounded once.
    fn mul_add(self, a: Self, b: Self) -> Self;

    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;

    /// Where `self > than`: `then`, elsewhere (also for NaN) `otherwise`.
    fn if_greater(self, than: Self, then: Self, otherwise: Self) -> Self;

    /// The bits of every lane.
    fn to_bits(self) -> Self::Bits;

    /// The numbers with these bits.
    fn from_bits(bits: Self::Bits) -> Self;

    /// The bits read as two's complement integers, converted to numbers.
    fn from_int(bits: Self::Bits) -> Self;

    /// `sums[r] = rows[r][k]·x[k] + sums[r]` for every k in order, of numbers that are the same in every lane: four rows of a matrix
    /// times a vector. A processor that reads several numbers in one instruction may do it in its own way, to the same bits.
    ///
    /// # Panics
    /// When a row is shorter than `x`.
    #[inline(always)]
    fn multiply_add_rows(rows: [&[f32]; 4], x: &[f32], sums: &mut [Self; 4]) {
        let rows = rows.map(|row| &row[..x.len()]);
        for (k, &x) in x.iter().enumerate() {
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = Self::splat(row[k]).mul_add(Self::splat(x), *sum);
            }
        }
    }

    /// `sums[r][j] = a[r][k·a_step]·b[k·b_step + j] + sums[r][j]` for every k below `depth` in order: two rows times eight columns, of numbers
    /// that are the same in every lane. As [`Lane::multiply_add_rows`], and those below, a processor may do it in its own way.
    ///
    /// # Panics
    /// When a slice is too short.
    #[inline(always)]
    fn multiply_add_tile(a: [&[f32]; 2], a_step: usize, b: &[f32], b_step: usize, depth: usize, sums: &mut [[Self; EIGHT]; 2]) {
        for k in 0..depth {
            let b = &b[k * b_step..][..EIGHT];
            for (sums, a) in sums.iter_mut().zip(a) {
                let a = Self::splat(a[k * a_step]);
                sums.iter_mut().zip(b).for_each(|(sum, &b)| *sum = a.mul_add(Self::splat(b), *sum));
            }
        }
    }

    /// `sums[j] = a[k]·b[k·b_step + j] + sums[j]` for every k in order: one row times eight columns.
    ///
    /// # Panics
    /// When `b` is too short.
    #[inline(always)]
    fn multiply_add_row(a: &[f32], b: &[f32], b_step: usize, sums: &mut [Self; EIGHT]) {
        for (k, &a) in a.iter().enumerate() {
            let a = Self::splat(a);
            sums.iter_mut().zip(&b[k * b_step..][..EIGHT]).for_each(|(sum, &b)| *sum = a.mul_add(Self::splat(b), *sum));
        }
    }

    /// `to[r·step + j] = a[r]·u[j] + to[r·step + j]` for every r: multiples of eight columns to those of each row.
    ///
    /// # Panics
    /// When `to` is too short.
    #[inline(always)]
    fn add_multiples(a: &[f32], u: &[Self; EIGHT], step: usize, to: &mut [f32]) {
        for (r, &a) in a.iter().enumerate() {
            let a = Self::splat(a);
            to[r * step..][..EIGHT].iter_mut().zip(u).for_each(|(to, &u)| *to = a.mul_add(u, Self::splat(*to)).lane(0));
        }
    }

    /// `to[r][i] = Σₙ a[r][n]·x[8·i + n]`, or with `adds` that more: sums of eight products from zero, in order.
    ///
    /// # Panics
    /// When a row of `a` is shorter than eight, or the rows of `to` are not an eighth of `x`.
    #[inline(always)]
    fn multiply_eights(a: [&[f32]; 2], x: &[f32], adds: bool, to: [&mut [f32]; 2]) {
        for (a, to) in a.into_iter().zip(to) {
            assert!(x.len() == EIGHT * to.len());
            for (x, to) in x.chunks_exact(EIGHT).zip(to) {
                let start = Self::splat(0.0);
                let sum = a[..EIGHT].iter().zip(x).fold(start, |sum, (&a, &x)| Self::splat(a).mul_add(Self::splat(x), sum)).lane(0);
                *to = if adds { *to + sum } else { sum };
            }
        }
    }

    /// `to[i] = factor·a[i] + to[i]`.
    #[inline(always)]
    fn multiply_add_to(factor: f32, a: &[f32], to: &mut [f32]) {
        let factor = Self::splat(factor);
        for_pairs(a, to, |a: Self, to| factor.mul_add(a, to));
    }

    /// `to[i] = factor·a[i] + b[i]`.
    #[inline(always)]
    fn multiply_add_into(factor: f32, a: &[f32], b: &[f32], to: &mut [f32]) {
        let scale = Self::splat(factor);
        let length = to.len().min(a.len()).min(b.len());
        let (a, b, to) = (&a[..length], &b[..length], &mut to[..length]);
        let whole = length / Self::LANES * Self::LANES;
        for ((to, a), b) in to.chunks_exact_mut(Self::LANES).zip(a.chunks_exact(Self::LANES)).zip(b.chunks_exact(Self::LANES)) {
            scale.mul_add(Self::load(a), Self::load(b)).store(to);
        }
        for ((to, a), b) in to[whole..].iter_mut().zip(&a[whole..]).zip(&b[whole..]) {
            *to = scale.mul_add(Self::splat(*a), Self::splat(*b)).lane(0);
        }
    }

    /// `to[i] = scale·s + from[i]`, where s is -1 if bit i of `signs` is set, the lowest of each byte first, else 1: for whole bytes.
    #[inline(always)]
    fn add_signs(scale: f32, signs: &[u8], from: &[f32], to: &mut [f32]) {
        for ((signs, from), to) in signs.iter().zip(from.chunks_exact(EIGHT)).zip(to.chunks_exact_mut(EIGHT)) {
            for (bit, (from, to)) in from.iter().zip(to).enumerate() {
                let sign = noise::sign(u32::from(*signs) >> bit);
                *to = Self::splat(scale).mul_add(Self::splat(sign), Self::splat(*from)).lane(0);
            }
        }
    }

    /// `to[i] = centre[i] - (to[i] - centre[i])`.
    #[inline(always)]
    fn mirror(centre: &[f32], to: &mut [f32]) {
        for_pairs(centre, to, |centre: Self, to| centre - (to - centre));
    }

    /// `to[i] *= factor`.
    #[inline(always)]
    fn scale(factor: f32, to: &mut [f32]) {
        crate::population::scale::<Self>(factor, to);
    }

    /// `velocity = momentum·velocity + gradient; parameters += rate·velocity`, element by element.
    #[inline(always)]
    fn step(rate: f32, momentum: f32, gradient: &[f32], velocity: &mut [f32], parameters: &mut [f32]) {
        let (rate, momentum) = (Self::splat(rate), Self::splat(momentum));
        for_pairs(gradient, velocity, |gradient: Self, velocity| momentum.mul_add(velocity, gradient));
        for_pairs(velocity, parameters, |velocity: Self, parameter| rate.mul_add(velocity, parameter));
    }

    /// `sums[i] = x[16·j + i]² + sums[i]` for every j in order.
    #[inline(always)]
    fn add_squares(x: &[f32], sums: &mut [f32; 16]) {
        for x in x.chunks(16) {
            for_pairs(x, &mut sums[..x.len()], |x: Self, sum| x.mul_add(x, sum));
        }
    }

    /// `w[i] = rate·(dy·x[i]) + w[i]`, the product in brackets rounded: a step along the gradient `dy·x`.
    #[inline(always)]
    fn descend(rate: f32, dy: f32, x: &[f32], w: &mut [f32]) {
        let (rate, dy) = (Self::splat(rate), Self::splat(dy));
        w.iter_mut().zip(x).for_each(|(w, &x)| {
            let gradient = dy.mul_add(Self::splat(x), Self::splat(0.0));
            *w = rate.mul_add(gradient, Self::splat(*w)).lane(0);
        });
    }

    /// As many of the first lanes of `from` as it has; zero elsewhere.
    #[inline(always)]
    fn load_partial(from: &[f32]) -> Self {
        let mut lanes = [0.0; 16];
        lanes[..from.len()].copy_from_slice(from);
        Self::load(&lanes)
    }

    /// Writes as many of the first lanes as `to` has room for.
    #[inline(always)]
    fn store_partial(self, to: &mut [f32]) {
        let mut lanes = [0.0; 16];
        self.store(&mut lanes);
        to.copy_from_slice(&lanes[..to.len()]);
    }
}

/// `to[i] = rule(from[i], to[i])` for as many as both have.
#[inline(always)]
fn for_pairs<L: Lane>(from: &[f32], to: &mut [f32], rule: impl Fn(L, L) -> L) {
    let length = from.len().min(to.len());
    let (from, from_rest) = from[..length].split_at(length / L::LANES * L::LANES);
    let (to, to_rest) = to[..length].split_at_mut(from.len());
    for (from, to) in from.chunks_exact(L::LANES).zip(to.chunks_exact_mut(L::LANES)) {
        rule(L::load(from), L::load(to)).store(to);
    }
    if L::LANES > 1 && !to_rest.is_empty() {
        rule(L::load_partial(from_rest), L::load_partial(to_rest)).store_partial(to_rest);
    }
}

/// The bits of a [`Lane`]: unsigned 32-bit integers with wrapping arithmetic.
pub trait Bits:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Shl<u32, Output = Self>
    + Shr<u32, Output = Self>
{
    /// The same integer in every lane.
    fn splat(value: u32) -> Self;

    /// As many consecutive Philox blocks as there are lanes, word by word: see [`crate::noise::philox`].
    fn philox(counter: [u32; 4], key: [u32; 2]) -> [Self; 4];
}

/// Columns that [`Lane::multiply_add_tile`] computes side by side.
pub const EIGHT: usize = 8;

/// Partial sums of a plain sum: term n goes to partial n mod 16. So many chains hide the latency of an addition in any lane width.
pub(crate) const PARTIAL: usize = 16;

/// The sum of the partial sums, folded in halves: partial i takes partial i + 8, then i + 4, i + 2, i + 1.
#[inline(always)]
pub(crate) fn fold(partial: [f32; PARTIAL]) -> f32 {
    let mut eight = [0.0; 8];
    for i in 0..8 {
        eight[i] = partial[i] + partial[i + 8];
    }
    let mut four = [0.0; 4];
    for i in 0..4 {
        four[i] = eight[i] + eight[i + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

/// Wrapping `u32`, so that one source serves the scalar and the vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word(pub u32);

macro_rules! word_operator {
    ($trait:ident, $method:ident, $rhs:ty, |$a:ident, $b:ident| $body:expr) => {
        impl $trait<$rhs> for Word {
            type Output = Self;
            #[inline(always)]
            fn $method(self, rhs: $rhs) -> Self {
                let ($a, $b): (u32, u32) = (self.0, rhs.into());
                Self($body)
            }
        }
    };
}
impl From<Word> for u32 {
    #[inline(always)]
    fn from(word: Word) -> u32 {
        word.0
    }
}
word_operator!(Add, add, Word, |a, b| a.wrapping_add(b));
word_operator!(Sub, sub, Word, |a, b| a.wrapping_sub(b));
word_operator!(BitAnd, bitand, Word, |a, b| a & b);
word_operator!(BitOr, bitor, Word, |a, b| a | b);
word_operator!(BitXor, bitxor, Word, |a, b| a ^ b);
word_operator!(Shl, shl, u32, |a, b| a << b);
word_operator!(Shr, shr, u32, |a, b| a >> b);

impl Bits for Word {
    #[inline(always)]
    fn splat(value: u32) -> Self {
        Self(value)
    }
    #[inline(always)]
    fn philox(counter: [u32; 4], key: [u32; 2]) -> [Self; 4] {
        noise::philox(counter, key).map(Self)
    }
}

impl Lane for f32 {
    type Bits = Word;
    const LANES: usize = 1;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn lane(self, _: usize) -> f32 {
        self
    }
    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        from[0]
    }
    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        to[0] = self;
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        if HARDWARE_FMA { f32x4::splat(self).mul_add(f32x4::splat(a), f32x4::splat(b)).lane(0) } else { libm::fmaf(self, a, b) }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        libm::sqrtf(self)
    }
    #[inline(always)]
    fn if_greater(self, than: Self, then: Self, otherwise: Self) -> Self {
        if self > than { then } else { otherwise }
    }
    #[inline(always)]
    fn to_bits(self) -> Word {
        Word(f32::to_bits(self))
    }
    #[inline(always)]
    fn from_bits(bits: Word) -> Self {
        f32::from_bits(bits.0)
    }
    #[inline(always)]
    fn from_int(bits: Word) -> Self {
        bits.0 as i32 as f32
    }
}

/// True when this build has a fused multiply-add instruction; elsewhere [`Lane::mul_add`] emulates it.
pub const HARDWARE_FMA: bool = cfg!(any(target_feature = "fma", all(target_arch = "aarch64", target_feature = "neon")));

/// `a·b + c` lane by lane with one rounding, for builds without a fused instruction.
///
/// The product of two `f32` is exact in `f64`. The sum then rounds twice, to `f64` and to `f32`, which differs from one
/// rounding only where the `f64` lies half-way between two `f32` or where the result is subnormal: those rare cases
/// go to libm. (Boldo and Melquiond, *Emulation of FMA and correctly rounded sums*, 2008, on why nothing else can.)
#[inline(always)]
fn fused_by_f64<const LANES: usize>(a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
    const SMALLEST_NORMAL: f64 = f32::MIN_POSITIVE as f64;
    let sum: [f64; LANES] = core::array::from_fn(|i| f64::from(a[i]) * f64::from(b[i]) + f64::from(c[i]));
    let doubtful = |s: f64| (s.to_bits() & 0x1fff_ffff == 0x1000_0000) | (s.abs() < SMALLEST_NORMAL);
    if sum.iter().fold(false, |any, &s| any | doubtful(s)) {
        core::array::from_fn(|i| libm::fmaf(a[i], b[i], c[i]))
    } else {
        sum.map(|s| s as f32)
    }
}

macro_rules! wide_lane {
    ($float:ident, $int:ident, $bits:ident, $lanes:literal) => {
        impl Bits for $bits {
            #[inline(always)]
            fn splat(value: u32) -> Self {
                $bits::splat(value)
            }
            #[inline(always)]
            fn philox(counter: [u32; 4], key: [u32; 2]) -> [Self; 4] {
                let words = noise::philox_eights::<{ ($lanes as usize).div_ceil(8) }>(counter, key);
                let [a, b, c, d] = words;
                let narrow = |word: [u64x8; ($lanes as usize).div_ceil(8)]| {
                    $bits::new(core::array::from_fn(|b| word[b / 8].as_array()[b % 8] as u32))
                };
                [narrow(a), narrow(b), narrow(c), narrow(d)]
            }
        }

        impl Lane for $float {
            type Bits = $bits;
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(value: f32) -> Self {
                $float::splat(value)
            }
            #[inline(always)]
            fn lane(self, index: usize) -> f32 {
                self.to_array()[index]
            }
            #[inline(always)]
            fn load(from: &[f32]) -> Self {
                let lanes: &[f32; $lanes] = from[..$lanes].try_into().expect("a slice of that length");
                $float::new(*lanes)
            }
            #[inline(always)]
            fn store(self, to: &mut [f32]) {
                to[..$lanes].copy_from_slice(&self.to_array());
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                if HARDWARE_FMA {
                    $float::mul_add(self, a, b)
                } else {
                    $float::new(fused_by_f64(self.to_array(), a.to_array(), b.to_array()))
                }
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $float::sqrt(self)
            }
            #[inline(always)]
            fn if_greater(self, than: Self, then: Self, otherwise: Self) -> Self {
                self.simd_gt(than).select(then, otherwise)
            }
            #[inline(always)]
            fn to_bits(self) -> $bits {
                bytemuck::cast(self)
            }
            #[inline(always)]
            fn from_bits(bits: $bits) -> Self {
                bytemuck::cast(bits)
            }
            #[inline(always)]
            fn from_int(bits: $bits) -> Self {
                let ints: $int = bytemuck::cast(bits);
                wide_lane!(@from_int $float, ints)
            }
        }
    };
    (@from_int f32x4, $ints:ident) => { f32x4::from_i32x4($ints) };
    (@from_int f32x8, $ints:ident) => { f32x8::from_i32x8($ints) };
    (@from_int f32x16, $ints:ident) => { f32x16::from_i32x16($ints) };
}
wide_lane!(f32x4, i32x4, u32x4, 4);
wide_lane!(f32x8, i32x8, u32x8, 8);
wide_lane!(f32x16, i32x16, u32x16, 16);

/// The widest lanes that the build's CPU computes in one instruction.
#[cfg(target_feature = "avx512f")]
pub type Widest = f32x16;
/// The widest lanes that the build's CPU computes in one instruction.
#[cfg(not(target_feature = "avx512f"))]
pub type Widest = f32x8;
