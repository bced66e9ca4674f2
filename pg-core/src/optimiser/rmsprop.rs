//! RMSprop (Tieleman and Hinton, 2012), as PyTorch defines it.

use super::for_all;
use crate::lane::Lane;

/// `g = ∇ + decay·θ;  s = α·s + (1 - α)·g²;  v = momentum·v + g / (√s + ε);  θ -= rate·v`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rmsprop {
    /// α in [0, 1); 0.99 is usual.
    pub smoothing: f32,
    /// Keeps the division finite; 1e-8 is usual.
    pub epsilon: f32,
    /// In [0, 1); 0 needs no velocity.
    pub momentum: f32,
    /// The factor of ‖θ‖²/2 in the loss.
    pub weight_decay: f32,
}

impl Rmsprop {
    /// Numbers of state for each parameter: the mean square and, with momentum, the velocity.
    pub const fn slots(&self) -> usize {
        1 + (self.momentum != 0.0) as usize
    }

    /// Updates `parameters` in place; the state starts as zeros, `velocity` may be empty when there is no momentum.
    ///
    /// # Panics
    /// When a slice is shorter than `parameters`.
    pub fn step<L: Lane>(&self, rate: f32, gradient: &[f32], squares: &mut [f32], velocity: &mut [f32], parameters: &mut [f32]) {
        let (decay, epsilon, rate) = (L::splat(self.weight_decay), L::splat(self.epsilon), L::splat(-rate));
        let (old, new) = (L::splat(self.smoothing), L::splat(1.0 - self.smoothing));
        let momentum = L::splat(self.momentum);
        let direction = |g: L, s: &mut L| {
            *s = old.mul_add(*s, new * (g * g));
            g / (s.sqrt() + epsilon)
        };
        if self.momentum == 0.0 {
            for_all(gradient, [squares], parameters, |g, [s], p: L| rate.mul_add(direction(decay.mul_add(p, g), s), p));
            return;
        }
        for_all(gradient, [squares, velocity], parameters, |g, [s, v], p: L| {
            *v = momentum.mul_add(*v, direction(decay.mul_add(p, g), s));
            rate.mul_add(*v, p)
        });
    }
}
