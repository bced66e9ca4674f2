//! Scaling of windows (Um et al., 2017): each channel is multiplied by a factor near 1, as if a sensor sat differently.

use pg_core::Shape;
use pg_core::noise::{GROUP, Stream};

use super::Kind;

/// Multiplies each channel by 1 + `deviation` times a standard normal.
pub(super) fn apply(deviation: f32, stream: &Stream, shape: Shape, x: &mut [f32]) {
    let mut normals = [0.0; GROUP];
    for (group, channels) in (Kind::Scale.group()..).zip(x.chunks_mut(GROUP * shape.width)) {
        stream.normals::<pg_core::Widest>(group, &mut normals);
        for (channel, normal) in channels.chunks_exact_mut(shape.width).zip(&normals) {
            let factor = 1.0 + deviation * normal;
            channel.iter_mut().for_each(|x| *x *= factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_a_factor_of_its_own_with_the_deviation_that_was_asked_for() {
        let mut x = [2.0; 300 * 4];
        apply(0.1, &crate::augmentation::stream(1, 0, 0), Shape::new(300, 1, 4), &mut x);
        assert!(x.chunks(4).all(|channel| channel.iter().all(|&x| x == channel[0])));
        let factors: Vec<f32> = x.chunks(4).map(|channel| channel[0] / 2.0).collect();
        let mean = factors.iter().sum::<f32>() / 300.0;
        let deviation = (factors.iter().map(|f| (f - mean).powi(2)).sum::<f32>() / 300.0).sqrt();
        // The standard errors are 0.006 and 0.004.
        assert!((mean - 1.0).abs() < 0.024 && (deviation - 0.1).abs() < 0.017, "{mean} {deviation}");
    }
}
