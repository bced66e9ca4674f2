//! Noise without memory: a counter-based generator, addressed by (seed, stream, step, pair, element).
//!
//! Nothing is stored and nothing is drawn in turn: any element of any stream can be made again anywhere, in any order, on
//! any thread or device. The generator is Philox4x32-10 (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*,
//! 2011). Numbers come in groups of [`GROUP`] (and are best made many groups at a time): sixteen Philox blocks side by side, so that vectors of up to sixteen lanes
//! make them without shuffles; the mapping does not depend on the lanes of the build.
//! Seeds are not secrets: nothing here is cryptographic.

use wide::u64x8;

pub use crate::lane::Word;
use crate::lane::{Bits, Lane};
use crate::{Widest, math};

/// Elements that are made at once.
pub const GROUP: usize = 128;

/// Blocks that are made at once.
const BLOCKS: usize = 16;

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// One block of Philox4x32-10: four random words from a counter and a key.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let p0 = u64::from(MULTIPLIERS[0]) * u64::from(c0);
        let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c2);
        (c0, c1, c2, c3) = ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

/// `8·EIGHTS` blocks with consecutive first counter words: word `w` of block `8e + b` stands in lane `b` of `[w][e]`.
///
/// The state is kept in 64-bit lanes whose upper half is ignored, so that a round is one multiply, one shift and one three-way
/// xor for each word, without a shuffle. Tried and dropped: arrays left to the compiler to vectorise (1.6 to 2.5 times slower).
#[inline(always)]
pub(crate) fn philox_eights<const EIGHTS: usize>(counter: [u32; 4], key: [u32; 2]) -> [[u64x8; EIGHTS]; 4] {
    let low = u64x8::splat(0xffff_ffff);
    let m0 = u64x8::splat(u64::from(MULTIPLIERS[0]));
    let m1 = u64x8::splat(u64::from(MULTIPLIERS[1]));
    let mut c0 = [u64x8::ZERO; EIGHTS];
    let mut c1 = [u64x8::splat(u64::from(counter[1])); EIGHTS];
    let mut c2 = [u64x8::splat(u64::from(counter[2])); EIGHTS];
    let mut c3 = [u64x8::splat(u64::from(counter[3])); EIGHTS];
    for (e, c0) in c0.iter_mut().enumerate() {
        *c0 = u64x8::new(core::array::from_fn(|b| u64::from(counter[0].wrapping_add((8 * e + b) as u32))));
    }
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        for e in 0..EIGHTS {
            let p0 = (c0[e] & low) * m0;
            let p1 = (c2[e] & low) * m1;
            c0[e] = (p1 >> 32) ^ c1[e] ^ u64x8::splat(u64::from(k0));
            c2[e] = (p0 >> 32) ^ c3[e] ^ u64x8::splat(u64::from(k1));
            c1[e] = p1;
            c3[e] = p0;
        }
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

/// The sign of the lowest bit.
#[inline(always)]
pub(crate) const fn sign(word: u32) -> f32 {
    f32::from_bits(1.0f32.to_bits() | word << 31)
}

/// The signs of four bits, for a processor that makes them from a table.
pub const SIGNS: [[f32; 4]; 16] = {
    let mut signs = [[1.0; 4]; 16];
    let mut i = 0;
    while i < 64 {
        if (i / 4) >> (i % 4) & 1 == 1 {
            signs[i / 4][i % 4] = -1.0;
        }
        i += 1;
    }
    signs
};

/// The bits of a word as signs. A function of its own, or the compiler runs the lanes over the words and scatters.
#[inline(never)]
fn write_signs(word: u32, signs: &mut [f32]) {
    for (bit, sign) in (0..32).zip(signs) {
        *sign = self::sign(word >> bit);
    }
}

/// Two standard normals from one random word.
///
/// Box and Muller (1958): the high half of the word is a uniform number u in (0, 1) and r = √(-2 ln u); the low half gives an angle φ in
/// (-π/4, π/4) by 14 bits and one of four quadrants by two more. No normal is beyond 4.86, which one of 800,000 should be;
/// a whole word for each of the two would double the cost of the noise and change nothing that a network could feel.
#[inline(always)]
fn box_muller<L: Lane>(word: L::Bits) -> [L; 2] {
    const UNIT: f32 = 1.0 / (1 << 16) as f32;
    const ANGLES: u32 = 1 << 14;
    const STEP: f32 = core::f32::consts::FRAC_PI_2 / ANGLES as f32;
    let u = L::from_int(word >> 16).mul_add(L::splat(UNIT), L::splat(0.5 * UNIT));
    let r = (math::ln(u) * L::splat(-2.0)).sqrt();
    let angle = L::from_int(word & L::Bits::splat(ANGLES - 1)) - L::splat(0.5 * (ANGLES - 1) as f32);
    let (sin, cos) = math::sin_cos_octant(angle * L::splat(STEP));
    // Bit 15 turns half round; bit 14 decides which of the two comes first: all ones or all zeros, by subtraction from zero.
    let sign = (word << 16) & L::Bits::splat(0x8000_0000);
    let short = (sin * r).to_bits();
    let long = (cos * r).to_bits() ^ sign;
    let swap = L::Bits::splat(0) - ((word >> 14) & L::Bits::splat(1));
    let difference = (short ^ long) & swap;
    [L::from_bits(long ^ difference), L::from_bits(short ^ difference)]
}

/// Two uniform numbers with mean 0 and variance 1 from one random word: its halves as the middles of 2¹⁶ steps over ±√3, so none is 0.
#[inline(always)]
fn uniform<L: Lane>(word: L::Bits) -> [L; 2] {
    const ROOT_3: f32 = 1.732_050_8;
    const STEP: f32 = 2.0 * ROOT_3 / (1 << 16) as f32;
    let place = |half| L::from_int(half).mul_add(L::splat(STEP), L::splat(0.5 * STEP - ROOT_3));
    [place(word >> 16), place(word & L::Bits::splat(0xffff))]
}

/// What a stream of random numbers is for; streams of one seed do not touch each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// The noise of the members.
    Members = 0,
    /// The initial parameters.
    Initialise = 1,
    /// The order of the samples in an epoch.
    Shuffle = 2,
    /// How a sample is changed in an epoch.
    Augment = 3,
    /// Which elements a layer loses in training.
    Masks = 4,
}

/// One stream of random numbers, for example the noise of one pair of members at one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    /// Counter words one to three: pair, step, purpose.
    place: [u32; 3],
}

impl Stream {
    /// The stream of this `purpose` for `seed`, at `step` (a step or an epoch), for `pair` of members.
    pub fn new(seed: u64, purpose: Purpose, step: u32, pair: u32) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], place: [pair, step, purpose as u32] }
    }

    fn counter(&self, block: u32) -> [u32; 4] {
        [block, self.place[0], self.place[1], self.place[2]]
    }

    /// Block `index`: four random words.
    pub fn block(&self, index: u32) -> [u32; 4] {
        philox(self.counter(index), self.key)
    }

    /// Elements `128·group ..` as standard normals; `out` is a whole number of groups. Elements `32w + b` and `32w + 16 + b` of a group
    /// come from word `w` of block `16·group + b`, by `box_muller`.
    ///
    #[inline(never)]
    pub fn normals<L: Lane>(&self, group: u32, out: &mut [f32]) {
        self.pairs::<L>(group, out, box_muller);
    }

    /// Elements `128·group ..` as uniform numbers with mean 0 and variance 1, from the words that [`Stream::normals`] takes; `out` is a whole
    /// number of groups.
    #[inline(never)]
    pub fn uniforms<L: Lane>(&self, group: u32, out: &mut [f32]) {
        self.pairs::<L>(group, out, uniform);
    }

    /// Two numbers from each word. First all words, in place, then all numbers: the two loops each keep many independent chains in flight,
    /// a quarter faster than group by group.
    #[inline(always)]
    fn pairs<L: Lane>(&self, group: u32, out: &mut [f32], two: impl Fn(L::Bits) -> [L; 2]) {
        debug_assert!(out.len().is_multiple_of(GROUP), "noise comes in whole groups");
        let first = group.wrapping_mul(BLOCKS as u32);
        for (block, out) in (0..).step_by(BLOCKS).zip(out.chunks_exact_mut(GROUP)) {
            for b in (0..BLOCKS).step_by(L::LANES) {
                let words = L::Bits::philox(self.counter(first.wrapping_add(block + b as u32)), self.key);
                for (word, out) in words.into_iter().zip(out.chunks_exact_mut(2 * BLOCKS)) {
                    L::from_bits(word).store(&mut out[b..b + L::LANES]);
                }
            }
        }
        for out in out.chunks_exact_mut(2 * BLOCKS) {
            let (first, second) = out.split_at_mut(BLOCKS);
            for (first, second) in first.chunks_exact_mut(L::LANES).zip(second.chunks_exact_mut(L::LANES)) {
                let [x, y] = two(L::load(first).to_bits());
                x.store(first);
                y.store(second);
            }
        }
    }

    /// Elements `128·group ..` as random signs, 1 or -1: element `i` is bit `i mod 32` of word `i / 32` of block `group`. `out` is a whole
    /// number of groups.
    #[inline(never)]
    pub fn signs(&self, group: u32, out: &mut [f32]) {
        const { assert!(Widest::LANES <= BLOCKS) };
        debug_assert!(out.len().is_multiple_of(GROUP), "noise comes in whole groups");
        for (groups, out) in (group..).step_by(Widest::LANES).zip(out.chunks_mut(Widest::LANES * GROUP)) {
            // A block for each group, side by side.
            let blocks = <Widest as Lane>::Bits::philox(self.counter(groups), self.key);
            let mut words = [[0.0; BLOCKS]; 4];
            for (words, block) in words.iter_mut().zip(blocks) {
                Widest::from_bits(block).store(words);
            }
            for (b, out) in out.chunks_exact_mut(GROUP).enumerate() {
                // As many groups as lanes, at most: the remainder spares a panic.
                out.chunks_exact_mut(32).zip(&words).for_each(|(signs, words)| write_signs(words[b % BLOCKS].to_bits(), signs));
            }
        }
    }

    /// The signs of one group as bits, the first the lowest of the first byte: a set bit is -1.
    pub(crate) fn sign_bits(&self, group: u32) -> [u8; GROUP / 8] {
        bytemuck::cast(self.block(group).map(u32::to_le))
    }

    /// Random words for the masks of `layer`: one Philox block for each lane, that of `sample` and those behind it.
    pub(crate) fn masks<B: Bits>(&self, layer: u32, block: u32, sample: u32) -> [B; 4] {
        // Four bits of purpose, eight of layer, twenty of block: 2²³ elements.
        B::philox([sample, self.place[0], self.place[1], self.place[2] | layer << 4 | block << 12], self.key)
    }

    /// A uniform integer below `bound`, from word 0 of block `index`: multiply and shift (Lemire, 2019), biased by less than
    /// `bound / 2³²`.
    pub fn below(&self, index: u32, bound: u32) -> u32 {
        ((u64::from(self.block(index)[0]) * u64::from(bound)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{f32x4, f32x8, f32x16};
    extern crate std;
    use std::vec::Vec;

    #[test]
    fn philox_gives_the_known_answers_of_random123() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn blocks_side_by_side_are_the_blocks_one_by_one() {
        let (counter, key) = ([u32::MAX - 5, 7, 8, 9], [10, 11]);
        let eights = philox_eights::<2>(counter, key);
        for b in 0..16 {
            let block = philox([counter[0].wrapping_add(b as u32), counter[1], counter[2], counter[3]], key);
            assert_eq!(eights.map(|word| word[b / 8].to_array()[b % 8] as u32), block);
        }
    }

    #[test]
    fn normals_have_the_same_bits_in_every_lane_width() {
        let stream = Stream::new(3, Purpose::Members, 5, 1);
        for group in [0, 1, 77, u32::MAX - 1] {
            let [mut one, mut four, mut eight, mut sixteen] = [[0.0; 2 * GROUP]; 4];
            stream.normals::<f32>(group, &mut one);
            stream.normals::<f32x4>(group, &mut four);
            stream.normals::<f32x8>(group, &mut eight);
            stream.normals::<f32x16>(group, &mut sixteen);
            for i in 0..2 * GROUP {
                assert_eq!(one[i].to_bits(), sixteen[i].to_bits());
                assert_eq!(one[i].to_bits(), eight[i].to_bits());
                assert_eq!(one[i].to_bits(), four[i].to_bits());
            }
        }
    }

    #[test]
    fn normals_pass_a_kolmogorov_smirnov_test_and_pairs_are_uncorrelated() {
        let stream = Stream::new(42, Purpose::Members, 0, 0);
        let mut numbers = Vec::new();
        for group in 0..8192 {
            let mut out = [0.0; GROUP];
            stream.normals::<f32x8>(group, &mut out);
            numbers.extend(out.map(f64::from));
        }
        let n = numbers.len() as f64;
        let moment = |p: i32| numbers.iter().map(|x| x.powi(p)).sum::<f64>() / n;
        assert!(moment(1).abs() < 4.0 / n.sqrt());
        assert!((moment(2) - 1.0).abs() < 4.0 * (2.0 / n).sqrt());
        assert!(moment(3).abs() < 4.0 * (15.0 / n).sqrt());
        assert!((moment(4) - 3.0).abs() < 4.0 * (96.0 / n).sqrt());
        for distance in [1, 16, 32, 64] {
            let product = numbers.windows(distance + 1).map(|w| w[0] * w[distance]).sum::<f64>() / n;
            assert!(product.abs() < 4.0 / n.sqrt(), "lag {distance}: {product}");
            let squares = numbers.windows(distance + 1).map(|w| (w[0].powi(2) - 1.0) * (w[distance].powi(2) - 1.0)).sum::<f64>() / n;
            assert!(squares.abs() < 4.0 * 2.0 / n.sqrt(), "squares at lag {distance}: {squares}");
        }
        numbers.sort_by(f64::total_cmp);
        let cdf = |x: f64| 0.5 * libm::erfc(-x / core::f64::consts::SQRT_2);
        let d = numbers.iter().enumerate().map(|(i, &x)| (cdf(x) - (i as f64 + 0.5) / n).abs()).fold(0.0, f64::max);
        assert!(d * n.sqrt() < 1.63, "Kolmogorov-Smirnov statistic {}", d * n.sqrt()); // 1 % level
    }

    #[test]
    fn uniforms_have_the_same_bits_in_every_lane_width() {
        let stream = Stream::new(3, Purpose::Members, 5, 1);
        let [mut one, mut four, mut eight, mut sixteen] = [[0.0; 2 * GROUP]; 4];
        stream.uniforms::<f32>(77, &mut one);
        stream.uniforms::<f32x4>(77, &mut four);
        stream.uniforms::<f32x8>(77, &mut eight);
        stream.uniforms::<f32x16>(77, &mut sixteen);
        let bits = |numbers: [f32; 2 * GROUP]| numbers.map(f32::to_bits);
        assert!(bits(one) == bits(four) && bits(one) == bits(eight) && bits(one) == bits(sixteen));
    }

    #[test]
    fn uniforms_have_mean_0_variance_1_and_pass_a_kolmogorov_smirnov_test() {
        let stream = Stream::new(42, Purpose::Members, 0, 0);
        let mut numbers = Vec::new();
        for group in 0..8192 {
            let mut out = [0.0; GROUP];
            stream.uniforms::<f32x8>(group, &mut out);
            numbers.extend(out.map(f64::from));
        }
        let n = numbers.len() as f64;
        let moment = |p: i32| numbers.iter().map(|x| x.powi(p)).sum::<f64>() / n;
        // The fourth moment is 9/5.
        assert!(moment(1).abs() < 4.0 / n.sqrt() && (moment(2) - 1.0).abs() < 4.0 * (0.8 / n).sqrt());
        for distance in [1, 16, 32, 64] {
            let product = numbers.windows(distance + 1).map(|w| w[0] * w[distance]).sum::<f64>() / n;
            assert!(product.abs() < 4.0 / n.sqrt(), "lag {distance}: {product}");
        }
        numbers.sort_by(f64::total_cmp);
        let root_3 = 3f64.sqrt();
        assert!(numbers[0] > -root_3 && numbers[numbers.len() - 1] < root_3 && !numbers.contains(&0.0));
        let cdf = |x: f64| (x / root_3 + 1.0) / 2.0;
        let d = numbers.iter().enumerate().map(|(i, &x)| (cdf(x) - (i as f64 + 0.5) / n).abs()).fold(0.0, f64::max);
        assert!(d * n.sqrt() < 1.63, "Kolmogorov-Smirnov statistic {}", d * n.sqrt()); // 1 % level
    }

    #[test]
    fn signs_are_balanced_and_only_signs() {
        let stream = Stream::new(42, Purpose::Members, 0, 0);
        let mut sum = 0.0;
        for group in 0..4096 {
            let mut out = [0.0; GROUP];
            stream.signs(group, &mut out);
            assert!(out.iter().all(|s| s.abs() == 1.0));
            sum += out.iter().sum::<f32>();
        }
        assert!(sum.abs() < 4.0 * (4096.0f32 * GROUP as f32).sqrt());
    }

    #[test]
    fn streams_of_other_seeds_steps_pairs_and_purposes_differ() {
        let base = Stream::new(1, Purpose::Members, 1, 1);
        for other in [
            Stream::new(2, Purpose::Members, 1, 1),
            Stream::new(1 << 32 | 1, Purpose::Members, 1, 1),
            Stream::new(1, Purpose::Members, 2, 1),
            Stream::new(1, Purpose::Members, 1, 2),
            Stream::new(1, Purpose::Initialise, 1, 1),
            Stream::new(1, Purpose::Augment, 1, 1),
        ] {
            assert_ne!(base.block(0), other.block(0));
        }
    }
}
