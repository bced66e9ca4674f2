//! Sharpness-aware minimisation (Foret et al., 2021), a relative of the population gradient to compare it with: the gradient is
//! taken at the worst place near by, at the cost of two passes.

use crate::clip;
use crate::lane::Lane;

/// Writes the place uphill, `θ + ρ·g / ‖g‖`, to `place`; θ itself where the gradient is zero.
///
/// # Panics
/// When the slices are not of one length.
pub fn ascend<L: Lane>(rho: f32, parameters: &[f32], gradient: &[f32], place: &mut [f32]) {
    assert!(parameters.len() == gradient.len() && gradient.len() == place.len());
    let norm = clip::norm::<L>(gradient);
    let factor = if norm > 0.0 { rho / norm } else { 0.0 };
    for ((place, &p), &g) in place.iter_mut().zip(parameters).zip(gradient) {
        *place = Lane::mul_add(factor, g, p);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_rho_away_along_the_gradient() {
        let mut place = [0.0; 2];
        ascend::<f32>(0.5, &[1.0, 1.0], &[3.0, 4.0], &mut place);
        assert!((place[0] - 1.3).abs() < 1e-6 && (place[1] - 1.4).abs() < 1e-6);
        ascend::<f32>(0.5, &[1.0, 1.0], &[0.0, 0.0], &mut place);
        assert_eq!(place, [1.0, 1.0]);
    }
}
