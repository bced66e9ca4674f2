//! Elementary functions, each written once for all lane types: the same bits in a vector, a scalar and on a device.
//!
//! Polynomials in the manner of Cephes (S. Moshier, *Methods and Programs for Mathematical Functions*, 1989), a few units
//! in the last place from the true value. No lookup tables, no branches, no special cases beyond those documented.

use crate::lane::{Bits, Lane};

/// Evaluates `c[0]·xⁿ⁻¹ + … + c[n-1]` by Horner's rule.
#[inline(always)]
fn polynomial<L: Lane, const TERMS: usize>(x: L, coefficients: [f32; TERMS]) -> L {
    let mut sum = L::splat(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = sum.mul_add(x, L::splat(c));
    }
    sum
}

/// `eˣ`; 0 below -87.3, infinity above 88.3, NaN for NaN.
#[inline(always)]
pub fn exp<L: Lane>(x: L) -> L {
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.3;
    // x = n·ln 2 + r with |r| ≤ ln 2 / 2. Adding 1.5·2²³ leaves n in the low bits of the sum.
    const SHIFT: f32 = 12_582_912.0;
    let low = L::splat(LOWEST);
    let high = L::splat(HIGHEST);
    let inside = low.if_greater(x, low, x.if_greater(high, high, x));
    let shifted = inside.mul_add(L::splat(core::f32::consts::LOG2_E), L::splat(SHIFT));
    let n = shifted - L::splat(SHIFT);
    let r = n.mul_add(L::splat(-0.693_359_4), inside);
    let r = n.mul_add(L::splat(2.121_944_4e-4), r);
    let p = polynomial(r, [1.987_569_2e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5]);
    let p = p.mul_add(r * r, r) + L::splat(1.0);
    let scaled = L::from_bits(p.to_bits() + (shifted.to_bits() << 23));
    let scaled = x.if_greater(high, L::splat(f32::INFINITY), scaled);
    low.if_greater(x, L::splat(0.0), scaled)
}

/// The natural logarithm of a positive normal number; anything else gives an unspecified number.
#[inline(always)]
pub fn ln<L: Lane>(x: L) -> L {
    // x = m·2ᵉ with m in [√½, √2). The bias keeps the exponent positive while it is an integer.
    const ROOT_HALF: u32 = 0x3f35_04f3;
    const BIAS: u32 = 128;
    let bits = x.to_bits();
    let biased = (bits + L::Bits::splat((BIAS << 23).wrapping_sub(ROOT_HALF))) >> 23;
    let e = L::from_int(biased) - L::splat(BIAS as f32);
    let m = L::from_bits(bits - (biased << 23) + L::Bits::splat(BIAS << 23));
    let f = m - L::splat(1.0);
    let z = f * f;
    let p = polynomial(
        f,
        [
            7.037_683_6e-2,
            -1.151_461e-1,
            1.167_699_9e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_8e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            3.333_333e-1,
        ],
    );
    let y = (p * f) * z;
    let y = e.mul_add(L::splat(-2.121_944_4e-4), y);
    let y = z.mul_add(L::splat(-0.5), y);
    e.mul_add(L::splat(0.693_359_4), f + y)
}

/// Sine and cosine of an angle in [-π/4, π/4].
#[inline(always)]
pub fn sin_cos_octant<L: Lane>(angle: L) -> (L, L) {
    let z = angle * angle;
    let s = polynomial(z, [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1]);
    let c = polynomial(z, [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2]);
    let sin = (s * z).mul_add(angle, angle);
    let cos = (c * z).mul_add(z, z.mul_add(L::splat(-0.5), L::splat(1.0)));
    (sin, cos)
}

/// The logistic function `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub fn sigmoid<L: Lane>(x: L) -> L {
    let one = L::splat(1.0);
    one / (one + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh<L: Lane>(x: L) -> L {
    let one = L::splat(1.0);
    let negative = L::splat(0.0).if_greater(x, -one, one);
    let magnitude = x * negative;
    let far = one - L::splat(2.0) / (exp(magnitude + magnitude) + one);
    let z = x * x;
    let p = polynomial(z, [-5.704_988_7e-3, 2.063_909e-2, -5.373_972e-2, 1.333_144_2e-1, -3.333_328e-1]);
    let near = (p * z).mul_add(x, x);
    magnitude.if_greater(L::splat(0.625), far * negative, near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{f32x8, f32x16};

    fn worst(from: f32, to: f32, ours: impl Fn(f32) -> f32, truth: impl Fn(f64) -> f64) -> f64 {
        (0..=200_000)
            .map(|i| from + (to - from) * i as f32 / 200_000.0)
            .map(|x| {
                let t = truth(f64::from(x));
                (f64::from(ours(x)) - t).abs() / t.abs().max(1e-30)
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn elementary_functions_agree_with_libm_to_a_few_units_in_the_last_place() {
        assert!(worst(-87.0, 88.0, exp, libm::exp) < 2e-7);
        assert!(worst(1e-7, 0.9, ln, libm::log) < 3e-7);
        assert!(worst(1.1, 1e6, ln, libm::log) < 3e-7);
        assert!(worst(-10.0, 10.0, tanh, libm::tanh) < 4e-7);
        assert!(worst(-20.0, 20.0, sigmoid, |x| 1.0 / (1.0 + libm::exp(-x))) < 4e-7);
        let quarter = core::f32::consts::FRAC_PI_4;
        assert!(worst(-quarter, quarter, |x| sin_cos_octant(x).0, libm::sin) < 2e-7);
        assert!(worst(-quarter, quarter, |x| sin_cos_octant(x).1, libm::cos) < 2e-7);
    }

    #[test]
    fn the_ends_of_exp_are_zero_infinity_and_nan() {
        assert_eq!(exp(-100.0f32), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(100.0f32), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(0.0f32), 1.0);
    }

    #[test]
    fn every_lane_has_the_bits_of_the_scalar() {
        for start in (-3000..3000).step_by(16) {
            let numbers: [f32; 16] = core::array::from_fn(|i| (start + i as i32) as f32 * 0.029);
            let positive = numbers.map(|x| x * x + 1e-6);
            let octant = numbers.map(|x| x * 0.009);
            let check = |ours: fn(f32) -> f32, eight: fn(f32x8) -> f32x8, sixteen: fn(f32x16) -> f32x16, x: &[f32; 16]| {
                for i in 0..16 {
                    assert_eq!(sixteen(f32x16::load(x)).lane(i).to_bits(), ours(x[i]).to_bits());
                }
                for i in 0..8 {
                    assert_eq!(eight(f32x8::load(x)).lane(i).to_bits(), ours(x[i]).to_bits());
                }
            };
            check(exp, exp, exp, &numbers);
            check(ln, ln, ln, &positive);
            check(tanh, tanh, tanh, &numbers);
            check(sigmoid, sigmoid, sigmoid, &numbers);
            check(|x| sin_cos_octant(x).0, |x| sin_cos_octant(x).0, |x| sin_cos_octant(x).0, &octant);
            check(|x| sin_cos_octant(x).1, |x| sin_cos_octant(x).1, |x| sin_cos_octant(x).1, &octant);
        }
    }
}
