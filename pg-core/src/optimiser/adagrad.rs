//! Adagrad (Duchi, Hazan and Singer, 2011).

use super::for_all;
use crate::lane::Lane;

/// `g = ∇ + decay·θ;  s += g²;  θ -= rate·g / (√s + ε)`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adagrad {
    /// Keeps the division finite; 1e-10 is usual.
    pub epsilon: f32,
    /// The factor of ‖θ‖²/2 in the loss.
    pub weight_decay: f32,
}

impl Adagrad {
    /// Updates `parameters` in place; `squares` start as zeros.
    ///
    /// # Panics
    /// When a slice is shorter than `parameters`.
    pub fn step<L: Lane>(&self, rate: f32, gradient: &[f32], squares: &mut [f32], parameters: &mut [f32]) {
        let (decay, epsilon, rate) = (L::splat(self.weight_decay), L::splat(self.epsilon), L::splat(-rate));
        for_all(gradient, [squares], parameters, |g, [s], p: L| {
            let g = decay.mul_add(p, g);
            *s = g.mul_add(g, *s);
            rate.mul_add(g / (s.sqrt() + epsilon), p)
        });
    }
}
