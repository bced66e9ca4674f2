//! Gradient clipping, before the optimiser's step, and the norm that it needs.

use crate::kernels::sum::sum_of_squares;
use crate::lane::Lane;

/// The norm of `gradient`, the same in any lane width.
pub fn norm<L: Lane>(gradient: &[f32]) -> f32 {
    L::splat(sum_of_squares::<L>(gradient)).sqrt().lane(0)
}

/// Scales `gradient` down to the norm `most`, if it is longer; returns its norm before.
pub fn by_norm<L: Lane>(most: f32, gradient: &mut [f32]) -> f32 {
    let norm = norm::<L>(gradient);
    if norm > most {
        crate::population::scale::<L>(most / norm, gradient);
    }
    norm
}

/// Brings every element between `-most` and `most`.
pub fn by_value(most: f32, gradient: &mut [f32]) {
    gradient.iter_mut().for_each(|g| *g = g.clamp(-most, most));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{f32x4, f32x8, f32x16};

    #[test]
    fn a_norm_has_the_same_bits_in_every_lane_width_and_is_right() {
        for length in 0..70 {
            let numbers: [f32; 70] = core::array::from_fn(|i| (i as f32 - 30.0) * 0.13);
            let numbers = &numbers[..length];
            let found = norm::<f32>(numbers);
            assert_eq!(found.to_bits(), norm::<f32x4>(numbers).to_bits());
            assert_eq!(found.to_bits(), norm::<f32x8>(numbers).to_bits());
            assert_eq!(found.to_bits(), norm::<f32x16>(numbers).to_bits());
            let exact = libm::sqrt(numbers.iter().map(|&x| f64::from(x) * f64::from(x)).sum());
            assert!((f64::from(found) - exact).abs() <= 1e-6 * exact);
        }
    }

    #[test]
    fn a_long_gradient_keeps_its_direction_and_a_short_one_its_length() {
        let mut long = [3.0, 4.0];
        assert_eq!(by_norm::<f32>(1.0, &mut long), 5.0);
        assert!((long[0] - 0.6).abs() < 1e-6 && (long[1] - 0.8).abs() < 1e-6);
        let mut short = [0.3, 0.4];
        by_norm::<f32>(1.0, &mut short);
        assert_eq!(short, [0.3, 0.4]);
        let mut values = [-7.0, 0.5, 2.0];
        by_value(1.0, &mut values);
        assert_eq!(values, [-1.0, 0.5, 1.0]);
    }
}
