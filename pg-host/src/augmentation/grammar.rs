//! How augmentation is written: `shift=2,flip,noise=0.05`, and which shapes each kind suits.
//!
//! An [`Augmentation`] comes from text only, so its amounts are always in their bounds.

use std::fmt;
use std::str::FromStr;

use pg_core::Shape;

use super::{Augmentation, Kind};

/// Why there is no such augmentation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AugmentationError {
    /// An unknown kind.
    #[error(
        "there is no augmentation called `{0}`; there are shift=N, flip, scale=S, noise=S, cutout=N, mask=N and mixup=A, with commas between"
    )]
    Unknown(String),
    /// A kind with an amount out of its bounds, without one that it needs, or with one that it does not take.
    #[error("`{item}` must be {rule}")]
    Amount {
        /// What was written.
        item: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A kind that is there twice.
    #[error("`{0}` is given twice; give it once")]
    Twice(&'static str),
    /// Samples that the kind cannot change so.
    #[error("{item} needs {rule}, and the samples are {shape} (channels x height x width); leave it out or change it")]
    Shape {
        /// The kind with its amount.
        item: String,
        /// The samples that it needs.
        rule: &'static str,
        /// What they are.
        shape: Shape,
    },
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::Shift => "shift",
            Kind::Flip => "flip",
            Kind::Scale => "scale",
            Kind::Noise => "noise",
            Kind::Cutout => "cutout",
            Kind::Mask => "mask",
            Kind::Mixup => "mixup",
        }
    }

    /// What must be written.
    const fn rule(self) -> &'static str {
        match self {
            Kind::Shift => "shift=N, N places of 1 or more (2 is usual)",
            Kind::Flip => "flip, without a number",
            Kind::Scale => "scale=S, S above 0 and at most 10 (0.1 is usual)",
            Kind::Noise => "noise=S, S above 0 and at most 10 (0.05 is usual)",
            Kind::Cutout => "cutout=N, N rows and columns of 1 or more (8 is usual for 32x32)",
            Kind::Mask => "mask=N, N instants of 1 or more",
            Kind::Mixup => "mixup=A, A between 0.01 and 1 (0.2 is usual)",
        }
    }

    /// The samples that it needs.
    const fn needs(self) -> &'static str {
        match self {
            Kind::Shift => "images with more rows and columns than it has places, or windows that are longer",
            Kind::Flip => "images of more than one row and one column",
            Kind::Scale => "windows (height 1, width above 1)",
            Kind::Cutout => "images with more rows and columns",
            Kind::Mask => "windows (height 1) that are longer",
            Kind::Noise | Kind::Mixup => "samples",
        }
    }

    fn refuse(self, value: Option<&str>) -> AugmentationError {
        let item = value.map_or_else(|| self.name().into(), |value| format!("{}={value}", self.name()));
        AugmentationError::Amount { item, rule: self.rule() }
    }

    /// A number of places.
    fn places(self, value: Option<&str>) -> Result<u32, AugmentationError> {
        let places = value.and_then(|value| value.parse().ok());
        places.filter(|places| (1..=1 << 20).contains(places)).ok_or_else(|| self.refuse(value))
    }

    /// A number between `least` and `most`.
    fn number(self, value: Option<&str>, least: f32, most: f32) -> Result<f32, AugmentationError> {
        let number = value.and_then(|value| value.parse().ok());
        number.filter(|number| (least..=most).contains(number)).ok_or_else(|| self.refuse(value))
    }
}

impl FromStr for Augmentation {
    type Err = AugmentationError;

    fn from_str(text: &str) -> Result<Self, AugmentationError> {
        let mut all = Self::default();
        for item in text.split(',').map(str::trim) {
            let (name, value) = item.split_once('=').map_or((item, None), |(name, value)| (name, Some(value)));
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
            let kind = kind.ok_or_else(|| AugmentationError::Unknown(name.into()))?;
            let twice = match kind {
                Kind::Shift => all.shift.replace(kind.places(value)?).is_some(),
                Kind::Flip if value.is_some() => return Err(kind.refuse(value)),
                Kind::Flip => std::mem::replace(&mut all.flip, true),
                Kind::Scale => all.scale.replace(kind.number(value, f32::MIN_POSITIVE, 10.0)?).is_some(),
                Kind::Noise => all.noise.replace(kind.number(value, f32::MIN_POSITIVE, 10.0)?).is_some(),
                Kind::Cutout => all.cutout.replace(kind.places(value)?).is_some(),
                Kind::Mask => all.mask.replace(kind.places(value)?).is_some(),
                Kind::Mixup => all.mixup.replace(kind.number(value, 0.01, 1.0)?).is_some(),
            };
            if twice {
                return Err(AugmentationError::Twice(kind.name()));
            }
        }
        Ok(all)
    }
}

impl Augmentation {
    /// A kind as it is written, if it is wanted.
    fn item(&self, kind: Kind) -> Option<String> {
        let places = |places: Option<u32>| places.map(|places| format!("{}={places}", kind.name()));
        let number = |number: Option<f32>| number.map(|number| format!("{}={number}", kind.name()));
        match kind {
            Kind::Shift => places(self.shift),
            Kind::Flip => self.flip.then(|| kind.name().into()),
            Kind::Scale => number(self.scale),
            Kind::Noise => number(self.noise),
            Kind::Cutout => places(self.cutout),
            Kind::Mask => places(self.mask),
            Kind::Mixup => number(self.mixup),
        }
    }

    /// Refuses samples of a shape that a kind does not suit.
    pub fn check(&self, shape: Shape) -> Result<(), AugmentationError> {
        let Shape { height, width, .. } = shape;
        let (image, window) = (height > 1 && width > 1, height == 1 && width > 1);
        let below = |places: Option<u32>, size: usize| places.is_none_or(|places| (places as usize) < size);
        for kind in Kind::ALL {
            let suits = match kind {
                Kind::Shift => below(self.shift, width) && (window || below(self.shift, height)),
                Kind::Flip => image,
                Kind::Scale => window,
                Kind::Cutout => image && below(self.cutout, height.min(width)),
                Kind::Mask => window && below(self.mask, width),
                Kind::Noise | Kind::Mixup => true,
            };
            if let Some(item) = self.item(kind).filter(|_| !suits) {
                return Err(AugmentationError::Shape { item, rule: kind.needs(), shape });
            }
        }
        Ok(())
    }
}

/// As it can be written again, in the order in which the kinds are applied.
impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Kind::ALL.into_iter().filter_map(|kind| self.item(kind)).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Augmentation, String> {
        text.parse().map_err(|error: AugmentationError| error.to_string())
    }

    #[test]
    fn what_is_written_comes_back_in_order() {
        let all = parsed("mixup=0.2, noise=0.05,flip,cutout=8,mask=3,scale=0.1,shift=2").unwrap();
        assert_eq!(all.to_string(), "shift=2,flip,scale=0.1,noise=0.05,cutout=8,mask=3,mixup=0.2");
        assert_eq!(parsed(&all.to_string()).unwrap(), all);
        assert_eq!(Augmentation::default().to_string(), "");
    }

    #[test]
    fn mistakes_are_sentences_that_say_what_to_write() {
        for (text, part) in [
            ("", "there is no augmentation called ``; there are shift=N, flip,"),
            ("rotate=3", "no augmentation called `rotate`"),
            ("flip,", "no augmentation called ``"),
            ("shift", "`shift` must be shift=N"),
            ("shift=0", "`shift=0` must be shift=N, N places of 1 or more"),
            ("shift=-1", "`shift=-1` must be"),
            ("shift=4294967295", "must be shift=N"),
            ("flip=2", "`flip=2` must be flip, without a number"),
            ("noise=NaN", "`noise=NaN` must be noise=S, S above 0 and at most 10"),
            ("noise=inf", "must be noise=S"),
            ("scale=0", "must be scale=S"),
            ("mixup=0", "must be mixup=A, A between 0.01 and 1"),
            ("mixup=2", "must be mixup=A"),
            ("flip,flip", "`flip` is given twice"),
            ("shift=1,shift=2", "`shift` is given twice"),
        ] {
            let sentence = parsed(text).unwrap_err();
            assert!(sentence.contains(part), "{text}: {sentence}");
        }
    }

    #[test]
    fn kinds_that_do_not_suit_the_shape_are_refused() {
        let (image, window, features) = (Shape::new(1, 8, 6), Shape::new(3, 1, 64), Shape::new(9, 1, 1));
        for (text, suits) in [
            ("shift=5", [true, true, false]),
            ("shift=6", [false, true, false]),
            ("shift=63", [false, true, false]),
            ("shift=64", [false, false, false]),
            ("flip", [true, false, false]),
            ("scale=0.1", [false, true, false]),
            ("noise=0.1", [true, true, true]),
            ("cutout=5", [true, false, false]),
            ("cutout=6", [false, false, false]),
            ("mask=63", [false, true, false]),
            ("mask=64", [false, false, false]),
            ("mixup=0.5", [true, true, true]),
        ] {
            assert_eq!([image, window, features].map(|shape| parsed(text).unwrap().check(shape).is_ok()), suits, "{text}");
        }
        assert_eq!(
            parsed("noise=0.1,flip").unwrap().check(features).unwrap_err().to_string(),
            "flip needs images of more than one row and one column, and the samples are 9x1x1 (channels x height x width); \
             leave it out or change it"
        );
        assert!(Augmentation::default().check(features).is_ok());
    }
}
