//! Activations: element by element, in place, with the gradient formed from the output; [`HardSwish`], whose output does not tell its
//! input, beside it.

use core::fmt;

use crate::form::Form;
use crate::lane::Lane;
use crate::layers::{Activation, Buffers, Layer, Pass};
use crate::math;
use crate::shape::{Shape, Shaped};
use crate::sharing::{LINE, MOVE};

/// `max(x, 0)`; NaN stays NaN.
pub struct Relu;

/// `x` where positive, else `x · PERCENT / 100`, at least one percent: the slope must show in the output.
pub struct LeakyRelu<const PERCENT: usize = 1>;

/// `min(max(x, 0), 6)` (Krizhevsky, 2010).
pub struct Relu6;

/// `x · min(max(x + 3, 0), 6) / 6` (Howard et al., *MobileNetV3*, 2019).
pub struct HardSwish;

/// The hyperbolic tangent.
pub struct Tanh;

/// The logistic function `1 / (1 + e⁻ˣ)`.
pub struct Sigmoid;

/// `impl Layer` for an activation from its output `|x|` and its slope `|y|`, a function of the output.
macro_rules! activation {
    ([$($generics:tt)*] $name:ty, $text:expr, $kind:ident, |$x:ident| $output:expr, |$y:ident| $slope:expr) => {
        impl<In: Shaped, $($generics)*> Layer<In> for $name {
            const OUT: Shape = In::SHAPE;
            const ACTIVATION: Option<Activation> = Some(Activation::$kind);
            const SWAPS: Option<bool> = Some(false);
            const OVERWRITES_INPUT: bool = true;
            const NEEDS_OUTPUT: bool = true;

            fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
                to.write_fmt($text)
            }

            #[inline]
            fn forward<F: Form>(pass: &Pass, _: &[f32], x: &mut [f32], _: &mut [f32], _: &mut [f32]) {
                let elements = In::SHAPE.len() * pass.columns * F::COLUMN;
                pass.sharing.pieces(&mut x[..elements], LINE, MOVE, |_, x| {
                    for place in x.chunks_exact_mut(F::COLUMN) {
                        let $x = F::Value::load(place);
                        ($output).store(place);
                    }
                });
            }

            #[inline]
            fn backward<F: Form>(
                pass: &Pass,
                _: &[f32],
                y: &[f32],
                _: &[f32],
                buffers: &mut Buffers,
                _: &mut [f32],
                _: &mut [f32],
            ) {
                let elements = In::SHAPE.len() * pass.columns * F::COLUMN;
                pass.sharing.pieces(&mut buffers.dy[..elements], LINE, MOVE, |first, dy| {
                    for (y, dy) in y[first * LINE..].chunks_exact(F::COLUMN).zip(dy.chunks_exact_mut(F::COLUMN)) {
                        let $y = F::Value::load(y);
                        (F::Value::load(dy) * $slope).store(dy);
                    }
                });
            }
        }
    };
}

/// `value` in every lane.
fn all<L: Lane>(value: f32) -> L {
    L::splat(value)
}

activation!([] Relu, format_args!("Relu"), Rectifier,
    |x| all::<F::Value>(0.0).if_greater(x, all(0.0), x),
    |y| y.if_greater(all(0.0), all(1.0), all(0.0)));

activation!([const PERCENT: usize] LeakyRelu<PERCENT>, format_args!("LeakyRelu<{PERCENT}>"), Rectifier,
|x| {
    const { assert!(PERCENT > 0, "LeakyRelu: a slope of 0 is Relu") };
    all::<F::Value>(0.0).if_greater(x, x * all(PERCENT as f32 / 100.0), x)
},
|y| {
    all::<F::Value>(0.0).if_greater(y, all(PERCENT as f32 / 100.0), all(1.0))
});

activation!([] Tanh, format_args!("Tanh"), Saturating,
    |x| math::tanh(x),
    |y| (-y).mul_add(y, all(1.0)));

activation!([] Sigmoid, format_args!("Sigmoid"), Saturating,
    |x| math::sigmoid(x),
    |y| y * (all::<F::Value>(1.0) - y));

/// `value` between 0 and 6.
fn clamp6<L: Lane>(value: L) -> L {
    let positive = all::<L>(0.0).if_greater(value, all(0.0), value);
    positive.if_greater(all(6.0), all(6.0), positive)
}

activation!([] Relu6, format_args!("Relu6"), Rectifier,
    |x| clamp6(x),
    |y| y.if_greater(all(0.0), all::<F::Value>(6.0).if_greater(y, all(1.0), all(0.0)), all(0.0)));

impl<In: Shaped> Layer<In> for HardSwish {
    const OUT: Shape = In::SHAPE;
    const TAPE: usize = In::SHAPE.len();
    const ACTIVATION: Option<Activation> = Some(Activation::Rectifier);
    const SWAPS: Option<bool> = Some(false);

    fn describe(to: &mut dyn fmt::Write) -> fmt::Result {
        to.write_str("HardSwish")
    }

    #[inline]
    fn forward<F: Form>(pass: &Pass, _: &[f32], x: &mut [f32], tape: &mut [f32], _: &mut [f32]) {
        let elements = In::SHAPE.len() * pass.columns * F::COLUMN;
        pass.sharing.pieces(&mut tape[..elements], LINE, 2 * MOVE, |first, y| {
            for (x, y) in x[first * LINE..].chunks_exact(F::COLUMN).zip(y.chunks_exact_mut(F::COLUMN)) {
                let x = F::Value::load(x);
                (x * clamp6(x + all(3.0)) * all(1.0 / 6.0)).store(y);
            }
        });
    }

    /// The slope is 0 up to -3, `x / 3 + 1 / 2` between, 1 from 3 on.
    #[inline]
    fn backward<F: Form>(pass: &Pass, _: &[f32], x: &[f32], _: &[f32], buffers: &mut Buffers, _: &mut [f32], _: &mut [f32]) {
        let elements = In::SHAPE.len() * pass.columns * F::COLUMN;
        pass.sharing.pieces(&mut buffers.dy[..elements], LINE, 2 * MOVE, |first, dy| {
            for (x, dy) in x[first * LINE..].chunks_exact(F::COLUMN).zip(dy.chunks_exact_mut(F::COLUMN)) {
                let x = F::Value::load(x);
                let between = x.mul_add(all(1.0 / 3.0), all(0.5));
                let slope = all::<F::Value>(3.0).if_greater(x, between, all(1.0));
                let slope = x.if_greater(all(-3.0), slope, all(0.0));
                (F::Value::load(dy) * slope).store(dy);
            }
        });
    }
}
