//! The exponential moving average of the weights, to be evaluated and kept instead of the last ones (Polyak and Juditsky, 1992).

use crate::lane::Lane;

/// Takes the parameters after step `number`, from 0, into their average: `a += (1 - d)·(θ - a)`, where d is `decay`, or less in the
/// first steps: at most `(1 + number) / (10 + number)`, so that the start is soon forgotten.
///
/// # Panics
/// When the average is shorter than the parameters.
pub fn update<L: Lane>(decay: f32, number: u32, parameters: &[f32], average: &mut [f32]) {
    let young = (1.0 + number as f32) / (10.0 + number as f32);
    let share = 1.0 - decay.min(young);
    let whole = parameters.len() / L::LANES * L::LANES;
    let (vectors, rest) = average.split_at_mut(whole);
    for (a, p) in vectors.chunks_exact_mut(L::LANES).zip(parameters.chunks_exact(L::LANES)) {
        let old = L::load(a);
        L::splat(share).mul_add(L::load(p) - old, old).store(a);
    }
    for (a, &p) in rest.iter_mut().zip(&parameters[whole..]) {
        *a = Lane::mul_add(share, p - *a, *a);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::f32x16;

    #[test]
    fn an_average_of_a_constant_is_the_constant_and_follows_slowly() {
        let mut average = [1.0f32; 19];
        (0..50).for_each(|number| update::<f32x16>(0.9, number, &[1.0; 19], &mut average));
        assert_eq!(average, [1.0; 19]);
        update::<f32x16>(0.9, 1000, &[2.0; 19], &mut average);
        assert!(average.iter().all(|a| (a - 1.1).abs() < 1e-6 && a.to_bits() == average[0].to_bits()));
    }
}
