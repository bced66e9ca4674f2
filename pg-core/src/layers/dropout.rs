//! Dropout (Srivastava et al., 2014): in training each element is lost with some probability, and the others are scaled up.
//!
//! The masks are noise with an address, as everything random here: (seed, step, pair, layer, sample, element). Nothing is stored; the
//! backward pass makes them again, and both members of an antithetic pair lose the same elements.

use core::fmt;

use crate::form::Form;
use crate::lane::{Bits, Lane};
use crate::layers::{Buffers, Draw, Layer, Mode, Pass};
use crate::noise::{self, Purpose, Stream};
use crate::shape::{Shape, Shaped};
use crate::sharing::MOVE;

/// Loses `PERCENT` of a hundred elements in training, on average; does nothing in inference.
pub struct Dropout<const PERCENT: usize>;

/// Elements that share a block of random words: sixteen bits each.
const GROUP: usize = 8;

impl<const PERCENT: usize, In: Shaped> Layer<In> for Dropout<PERCENT> {
    const OUT: Shape = {
        assert!(PERCENT < 100, "Dropout: something must be left, so at most 99 percent are lost");
        In::SHAPE
    };
    const TAPE: usize = In::SHAPE.len();
    const MASKS: u32 = 1;
    const SWAPS: Option<bool> = Some(false);

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        write!(to, "Dropout<{PERCENT}>")
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, _: &[f32], x: &mut [f32], tape: &mut [f32], _: &mut [f32]) {
        let length = In::SHAPE.len() * pass.columns * F::COLUMN;
        pass.sharing.copy(&x[..length], &mut tape[..length]);
        mask::<F>(pass, PERCENT, In::SHAPE.len(), &mut tape[..length]);
    }

    #[inline]
    fn backward<F: Form>(pass: &Pass, _: &[f32], _: &[f32], _: &[f32], buffers: &mut Buffers, _: &mut [f32], _: &mut [f32]) {
        mask::<F>(pass, PERCENT, In::SHAPE.len(), buffers.dy);
    }
}

/// Multiplies the elements by 0 or by 1 / (1 - p).
#[cfg_attr(not(target_os = "none"), inline(never))]
fn mask<F: Form>(pass: &Pass, percent: usize, elements: usize, values: &mut [f32]) {
    let (Mode::Train(draw) | Mode::Tune(draw)) = pass.mode else { return };
    let element = pass.columns * F::COLUMN;
    // An element is lost when its sixteen bits, as a number, are below the limit.
    let limit = F::Value::splat(percent as f32 * (65_536.0 / 100.0) - 0.5);
    let scale = F::Value::splat(100.0 / (100 - percent) as f32);
    let values = &mut values[..elements * element];
    pass.sharing.pieces(values, GROUP * element, 4 * MOVE, |first, values| {
        for (block, values) in (first as u32..).zip(values.chunks_mut(GROUP * element)) {
            for column in 0..pass.columns {
                let words = words::<F>(&draw, pass.masks, block, column);
                for (i, values) in values.chunks_exact_mut(element).enumerate() {
                    let word = words[i / 2];
                    let half = if i % 2 == 0 { word >> 16 } else { word & <F::Value as Lane>::Bits::splat(0xffff) };
                    let factor = F::Value::from_int(half).if_greater(limit, scale, F::Value::default());
                    let value = &mut values[column * F::COLUMN..];
                    (F::Value::load(value) * factor).store(value);
                }
            }
        }
    });
}

/// The random words of `block` for the samples (or members) of a column.
#[inline(always)]
fn words<F: Form>(draw: &Draw, layer: u32, block: u32, column: usize) -> [<F::Value as Lane>::Bits; 4] {
    let sample = draw.first_sample + (column * F::SAMPLES) as u32;
    let stream = |lane: usize| Stream::new(draw.seed, Purpose::Masks, draw.step, draw.pair(lane));
    if F::WEIGHT == 1 {
        return stream(0).masks::<<F::Value as Lane>::Bits>(layer, block, sample);
    }
    let mut lanes = [[0.0; 16]; 4];
    for lane in 0..F::WEIGHT {
        let words = stream(lane).masks::<noise::Word>(layer, block, sample);
        for (word, lanes) in words.iter().zip(&mut lanes) {
            lanes[lane] = f32::from_bits(word.0);
        }
    }
    let [a, b, c, d] = &lanes;
    [F::Value::load(a).to_bits(), F::Value::load(b).to_bits(), F::Value::load(c).to_bits(), F::Value::load(d).to_bits()]
}
