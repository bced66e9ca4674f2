//! Stochastic gradient descent.

use super::for_all;
use crate::lane::Lane;

/// Stochastic gradient descent with momentum and weight decay, as PyTorch's `SGD` defines them.
///
/// `g = ∇ + decay·θ;  v = momentum·v + g;  θ -= rate·(nesterov ? g + momentum·v : v)`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// In [0, 1); 0 needs no velocity.
    pub momentum: f32,
    /// Nesterov's form of the momentum.
    pub nesterov: bool,
    /// The factor of ‖θ‖²/2 in the loss.
    pub weight_decay: f32,
}

impl Sgd {
    /// Numbers of state for each parameter: the velocity, if there is momentum.
    pub const fn slots(&self) -> usize {
        (self.momentum != 0.0) as usize
    }

    /// Updates `parameters` in place; `velocity` starts as zeros and may be empty when there is no momentum.
    ///
    /// # Panics
    /// When `gradient`, or with momentum `velocity`, is shorter than `parameters`.
    pub fn step<L: Lane>(&self, rate: f32, gradient: &[f32], velocity: &mut [f32], parameters: &mut [f32]) {
        let decay = L::splat(self.weight_decay);
        let momentum = L::splat(self.momentum);
        let rate = L::splat(-rate);
        if self.momentum == 0.0 {
            for_all(gradient, [], parameters, |g, [], p| rate.mul_add(decay.mul_add(p, g), p));
            return;
        }
        for_all(gradient, [velocity], parameters, |g, [v], p: L| {
            let g = decay.mul_add(p, g);
            *v = momentum.mul_add(*v, g);
            let direction = if self.nesterov { momentum.mul_add(*v, g) } else { *v };
            rate.mul_add(direction, p)
        });
    }
}
