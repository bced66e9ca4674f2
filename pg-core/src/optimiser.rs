//! Optimisers: from a gradient to new parameters. One update for each step, whatever the size of the population.

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
    /// The factor of ‖θ‖²/2 in the loss; acts on every parameter.
    pub weight_decay: f32,
}

impl Sgd {
    /// Updates `parameters` in place; `velocity` starts as zeros and may be empty when there is no momentum.
    ///
    /// # Panics
    /// When `gradient`, or with momentum `velocity`, is not as long as `parameters`.
    pub fn step<L: Lane>(&self, rate: f32, gradient: &[f32], velocity: &mut [f32], parameters: &mut [f32]) {
        assert!(gradient.len() == parameters.len() && (self.momentum == 0.0 || velocity.len() == parameters.len()));
        let whole = parameters.len() / L::LANES * L::LANES;
        let velocity_whole = whole.min(velocity.len());
        let (velocity, velocity_rest) = velocity.split_at_mut(velocity_whole);
        let (parameters, parameters_rest) = parameters.split_at_mut(whole);
        self.update::<L>(rate, &gradient[..whole], velocity, parameters);
        if !parameters_rest.is_empty() {
            // The last few, padded: one source for vectors and the rest, so the same bits.
            let mut padded = [[0.0; 16]; 3];
            let rest = parameters_rest.len();
            padded[0][..rest].copy_from_slice(&gradient[whole..]);
            padded[1][..velocity_rest.len()].copy_from_slice(velocity_rest);
            padded[2][..rest].copy_from_slice(parameters_rest);
            let [g, v, p] = &mut padded;
            self.update::<L>(rate, &g[..L::LANES], &mut v[..L::LANES], &mut p[..L::LANES]);
            velocity_rest.copy_from_slice(&v[..velocity_rest.len()]);
            parameters_rest.copy_from_slice(&p[..rest]);
        }
    }

    /// [`Sgd::step`] for a whole number of vectors.
    #[inline(always)]
    fn update<L: Lane>(&self, rate: f32, gradient: &[f32], velocity: &mut [f32], parameters: &mut [f32]) {
        let decay = L::splat(self.weight_decay);
        let momentum = L::splat(self.momentum);
        let rate = L::splat(-rate);
        if self.momentum == 0.0 {
            for (p, g) in parameters.chunks_exact_mut(L::LANES).zip(gradient.chunks_exact(L::LANES)) {
                let old = L::load(p);
                rate.mul_add(decay.mul_add(old, L::load(g)), old).store(p);
            }
            return;
        }
        let places = parameters.chunks_exact_mut(L::LANES).zip(velocity.chunks_exact_mut(L::LANES));
        for ((p, v), g) in places.zip(gradient.chunks_exact(L::LANES)) {
            let old = L::load(p);
            let g = decay.mul_add(old, L::load(g));
            let velocity = momentum.mul_add(L::load(v), g);
            velocity.store(v);
            let direction = if self.nesterov { momentum.mul_add(velocity, g) } else { velocity };
            rate.mul_add(direction, old).store(p);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{f32x8, f32x16};

    #[test]
    fn two_steps_are_those_of_the_definition() {
        for nesterov in [false, true] {
            let sgd = Sgd { momentum: 0.9, nesterov, weight_decay: 0.01 };
            let (mut p, mut v) = ([1.0f32, -2.0], [0.0f32; 2]);
            let mut exact = ([1.0f64, -2.0], [0.0f64; 2]);
            for gradient in [[0.5, 0.25], [-1.0, 0.125f32]] {
                sgd.step::<f32>(0.1, &gradient, &mut v, &mut p);
                for (i, &g) in gradient.iter().enumerate() {
                    let g = f64::from(g) + 0.01 * exact.0[i];
                    exact.1[i] = 0.9 * exact.1[i] + g;
                    exact.0[i] -= 0.1 * if nesterov { g + 0.9 * exact.1[i] } else { exact.1[i] };
                }
            }
            for i in 0..2 {
                assert!((f64::from(p[i]) - exact.0[i]).abs() < 1e-6, "{p:?} {exact:?}");
            }
        }
    }

    #[test]
    fn every_lane_width_gives_the_same_bits_for_every_length() {
        for length in 1..40 {
            for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
                let sgd = Sgd { momentum, nesterov, weight_decay: 0.013 };
                let gradient: [f32; 40] = core::array::from_fn(|i| (i as f32 - 17.0) * 0.37);
                let run = |step: fn(&Sgd, f32, &[f32], &mut [f32], &mut [f32])| {
                    let (mut p, mut v) = ([0.3f32; 40], [0.1f32; 40]);
                    for _ in 0..3 {
                        step(&sgd, 0.07, &gradient[..length], &mut v[..length], &mut p[..length]);
                    }
                    (p.map(f32::to_bits), v.map(f32::to_bits))
                };
                assert_eq!(run(Sgd::step::<f32>), run(Sgd::step::<f32x8>));
                assert_eq!(run(Sgd::step::<f32>), run(Sgd::step::<f32x16>));
            }
        }
    }
}
