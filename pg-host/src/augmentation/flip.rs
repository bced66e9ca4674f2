//! Flip: a random half of the images is seen in a mirror, left for right.

use pg_core::Shape;
use pg_core::noise::Stream;

use super::Kind;

/// Flips one sample in two.
pub(super) fn apply(stream: &Stream, shape: Shape, x: &mut [f32]) {
    if stream.below(Kind::Flip.block(), 2) == 1 {
        flip(shape, x);
    }
}

fn flip(shape: Shape, x: &mut [f32]) {
    x.chunks_exact_mut(shape.width).for_each(<[f32]>::reverse);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_image_flipped_again_is_the_image() {
        let shape = Shape::new(2, 2, 3);
        let image: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let mut x = image.clone();
        flip(shape, &mut x);
        assert_eq!(x[..6], [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
        flip(shape, &mut x);
        assert_eq!(x, image);
    }

    #[test]
    fn about_half_of_the_images_are_flipped() {
        let flipped = |sample: &u32| {
            let mut x = [1.0, 2.0, 3.0, 4.0];
            apply(&crate::augmentation::stream(3, 1, *sample), Shape::new(1, 2, 2), &mut x);
            x == [2.0, 1.0, 4.0, 3.0]
        };
        let count = (0..1000).filter(flipped).count();
        assert!((430..570).contains(&count), "{count}");
    }
}
