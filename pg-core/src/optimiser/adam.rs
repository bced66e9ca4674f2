//! Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), as PyTorch defines them.

use super::for_all;
use crate::lane::Lane;

/// `m = β₁·m + (1 - β₁)·g;  v = β₂·v + (1 - β₂)·g²;  θ -= rate·m̂ / (√v̂ + ε)`, where `m̂ = m / (1 - β₁ᵗ)`, `v̂ = v / (1 - β₂ᵗ)` in the t-th step.
///
/// Weight decay is part of g (`g = ∇ + decay·θ`), or `decoupled` from it: `θ -= rate·decay·θ`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// In [0, 1).
    pub beta1: f32,
    /// In [0, 1).
    pub beta2: f32,
    /// Keeps the division finite.
    pub epsilon: f32,
    /// The factor of ‖θ‖²/2 in the loss, or of θ in the step.
    pub weight_decay: f32,
    /// Whether the decay by-passes the two means: AdamW.
    pub decoupled: bool,
    /// Whether m and v are divided by `1 - βᵗ`, as they should.
    pub bias_correction: bool,
}

impl Adam {
    /// Adam with the usual constants and no weight decay.
    pub const ADAM: Self = Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decoupled: false, bias_correction: true };
    /// AdamW with the usual constants.
    pub const ADAMW: Self = Self { weight_decay: 0.01, decoupled: true, ..Self::ADAM };

    /// Updates `parameters` in place in the step `number`, from 0; `means` and `squares` start as zeros.
    ///
    /// # Panics
    /// When a slice is shorter than `parameters`.
    pub fn step<L: Lane>(&self, rate: f32, number: u32, gradient: &[f32], means: &mut [f32], squares: &mut [f32], parameters: &mut [f32]) {
        // In f64, so that 1 - βᵗ keeps its digits in the first steps.
        let correction = |beta: f32| if self.bias_correction { 1.0 - libm::pow(beta.into(), f64::from(number) + 1.0) } else { 1.0 };
        let step = L::splat(-(f64::from(rate) / correction(self.beta1)) as f32);
        let size = L::splat((1.0 / libm::sqrt(correction(self.beta2))) as f32);
        let [in_gradient, in_step] = if self.decoupled { [0.0, self.weight_decay * -rate] } else { [self.weight_decay, 0.0] };
        let (decay, shrink, epsilon) = (L::splat(in_gradient), L::splat(in_step), L::splat(self.epsilon));
        let (old1, new1) = (L::splat(self.beta1), L::splat(1.0 - self.beta1));
        let (old2, new2) = (L::splat(self.beta2), L::splat(1.0 - self.beta2));
        for_all(gradient, [means, squares], parameters, |g, [m, v], p: L| {
            let g = decay.mul_add(p, g);
            *m = old1.mul_add(*m, new1 * g);
            *v = old2.mul_add(*v, new2 * (g * g));
            let direction = *m / (v.sqrt().mul_add(size, epsilon));
            step.mul_add(direction, shrink.mul_add(p, p))
        });
    }
}
