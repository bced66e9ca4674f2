//! Noise: a normal number is added to every value (of a window also called jitter).

use pg_core::noise::{GROUP, Stream};

use super::Kind;

/// Adds `deviation` times a standard normal to each value.
pub(super) fn apply(deviation: f32, stream: &Stream, x: &mut [f32]) {
    let mut normals = [0.0; GROUP];
    for (group, values) in (Kind::Noise.group()..).zip(x.chunks_mut(GROUP)) {
        stream.normals::<pg_core::Widest>(group, &mut normals);
        values.iter_mut().zip(&normals).for_each(|(x, normal)| *x += deviation * normal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_noise_of_its_own_with_the_deviation_that_was_asked_for() {
        let mut x = [1.0; 1000];
        apply(0.2, &crate::augmentation::stream(1, 0, 0), &mut x);
        let mean = x.iter().sum::<f32>() / 1000.0;
        let deviation = (x.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 1000.0).sqrt();
        // The standard errors are 0.006 and 0.0045.
        assert!((mean - 1.0).abs() < 0.026 && (deviation - 0.2).abs() < 0.018, "{mean} {deviation}");
        assert_ne!(x[..100], x[128..228]);
    }
}
