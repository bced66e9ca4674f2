//! Activations: element by element, in place, with the gradient formed from the output.

use core::fmt;

use crate::form::Form;
use crate::lane::Lane;
use crate::layers::{Layer, Pass};
use crate::math;
use crate::shape::{Shape, Shaped};

/// `max(x, 0)`; NaN stays NaN.
pub struct Relu;

/// `x` where positive, else `x · PERCENT / 100`, at least one percent: the slope must show in the output.
pub struct LeakyRelu<const PERCENT: usize = 1>;

/// The hyperbolic tangent.
pub struct Tanh;

/// The logistic function `1 / (1 + e⁻ˣ)`.
pub struct Sigmoid;

/// `impl Layer` for an activation from its output `|x|` and its slope `|y|`, a function of the output.
macro_rules! activation {
    ([$($generics:tt)*] $name:ty, $text:expr, |$x:ident| $output:expr, |$y:ident| $slope:expr) => {
        impl<In: Shaped, $($generics)*> Layer<In> for $name {
            const OUT: Shape = In::SHAPE;
            const OVERWRITES_INPUT: bool = true;

            fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
                to.write_fmt($text)
            }

            #[inline]
            fn forward<F: Form>(pass: &Pass, _: &[f32], tape: &mut [f32]) {
                let elements = In::SHAPE.len() * pass.columns * F::COLUMN;
                for place in tape[..elements].chunks_exact_mut(F::COLUMN) {
                    let $x = F::Value::load(place);
                    ($output).store(place);
                }
            }

            #[inline]
            fn backward<F: Form>(pass: &Pass, _: &[f32], tape: &[f32], _: &mut [f32], dy: &mut [f32], _: &mut [f32], _: &mut [f32]) {
                let elements = In::SHAPE.len() * pass.columns * F::COLUMN;
                for (y, dy) in tape[..elements].chunks_exact(F::COLUMN).zip(dy.chunks_exact_mut(F::COLUMN)) {
                    let $y = F::Value::load(y);
                    (F::Value::load(dy) * $slope).store(dy);
                }
            }
        }
    };
}

/// `value` in every lane.
fn all<L: Lane>(value: f32) -> L {
    L::splat(value)
}

activation!([] Relu, format_args!("Relu"),
    |x| all::<F::Value>(0.0).if_greater(x, all(0.0), x),
    |y| y.if_greater(all(0.0), all(1.0), all(0.0)));

activation!([const PERCENT: usize] LeakyRelu<PERCENT>, format_args!("LeakyRelu<{PERCENT}>"),
|x| {
    const { assert!(PERCENT > 0, "LeakyRelu: a slope of 0 is Relu") };
    all::<F::Value>(0.0).if_greater(x, x * all(PERCENT as f32 / 100.0), x)
},
|y| {
    all::<F::Value>(0.0).if_greater(y, all(PERCENT as f32 / 100.0), all(1.0))
});

activation!([] Tanh, format_args!("Tanh"),
    |x| math::tanh(x),
    |y| (-y).mul_add(y, all(1.0)));

activation!([] Sigmoid, format_args!("Sigmoid"),
    |x| math::sigmoid(x),
    |y| y * (all::<F::Value>(1.0) - y));
