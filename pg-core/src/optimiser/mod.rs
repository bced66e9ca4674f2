//! Optimisers: from a gradient to new parameters. One update for each step, whatever the size of the population; each kind is one file.
//!
//! All work element by element, so an update of some ranges of the parameters is the same to the bit as one of all of them: a caller
//! leaves out what is not trained, or decays some ranges only. The state is the caller's: [`Optimiser::slots`] numbers for each parameter,
//! slot after slot, zeros to begin with.

mod adagrad;
mod adam;
mod rmsprop;
mod sgd;

use core::ops::Range;

pub use adagrad::Adagrad;
pub use adam::Adam;
pub use rmsprop::Rmsprop;
pub use sgd::Sgd;

use crate::lane::Lane;

/// One of the optimisers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimiser {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// RMSprop.
    Rmsprop(Rmsprop),
    /// Adagrad.
    Adagrad(Adagrad),
    /// Adam and AdamW.
    Adam(Adam),
}

impl Optimiser {
    /// Numbers of state for each parameter.
    pub const fn slots(&self) -> usize {
        match self {
            Optimiser::Sgd(sgd) => sgd.slots(),
            Optimiser::Rmsprop(rmsprop) => rmsprop.slots(),
            Optimiser::Adagrad(_) => 1,
            Optimiser::Adam(_) => 2,
        }
    }

    /// The same without weight decay, for ranges that should keep their size.
    pub const fn without_decay(self) -> Self {
        match self {
            Optimiser::Sgd(sgd) => Optimiser::Sgd(Sgd { weight_decay: 0.0, ..sgd }),
            Optimiser::Rmsprop(rmsprop) => Optimiser::Rmsprop(Rmsprop { weight_decay: 0.0, ..rmsprop }),
            Optimiser::Adagrad(adagrad) => Optimiser::Adagrad(Adagrad { weight_decay: 0.0, ..adagrad }),
            Optimiser::Adam(adam) => Optimiser::Adam(Adam { weight_decay: 0.0, ..adam }),
        }
    }

    /// Updates `parameters[range]` in place, in the step `number`, from 0.
    ///
    /// # Panics
    /// When `gradient` is not as long as `parameters`, `state` not [`Optimiser::slots`] times as long, or the range not in it.
    pub fn step<L: Lane>(&self, rate: f32, number: u32, range: Range<usize>, gradient: &[f32], state: &mut [f32], parameters: &mut [f32]) {
        assert!(gradient.len() == parameters.len() && state.len() == self.slots() * parameters.len());
        let slots = self.cut(state).map(|slot| if slot.is_empty() { slot } else { &mut slot[range.clone()] });
        self.update::<L>(rate, number, &gradient[range.clone()], slots, &mut parameters[range]);
    }

    /// The slots of a state; those that it does not have are empty.
    pub fn cut<'a>(&self, state: &'a mut [f32]) -> [&'a mut [f32]; 2] {
        let length = state.len() / self.slots().max(1);
        state.split_at_mut(length).into()
    }

    /// Updates `parameters` in place, in the step `number`, from 0; with the slots of their state, each as long as they are, or empty where
    /// there is none.
    ///
    /// # Panics
    /// When the lengths are others.
    pub fn update<L: Lane>(&self, rate: f32, number: u32, gradient: &[f32], [first, second]: [&mut [f32]; 2], parameters: &mut [f32]) {
        let length = |slot: usize| if slot < self.slots() { parameters.len() } else { 0 };
        assert!(gradient.len() == parameters.len() && first.len() == length(0) && second.len() == length(1));
        match self {
            Optimiser::Sgd(sgd) => sgd.step::<L>(rate, gradient, first, parameters),
            Optimiser::Rmsprop(rmsprop) => rmsprop.step::<L>(rate, gradient, first, second, parameters),
            Optimiser::Adagrad(adagrad) => adagrad.step::<L>(rate, gradient, first, parameters),
            Optimiser::Adam(adam) => adam.step::<L>(rate, number, gradient, first, second, parameters),
        }
    }
}

/// `parameter = rule(gradient, state, parameter)` for all elements; one source for whole vectors and the rest, so the same bits.
#[inline(always)]
fn for_all<L: Lane, const SLOTS: usize>(
    gradient: &[f32],
    mut state: [&mut [f32]; SLOTS],
    parameters: &mut [f32],
    rule: impl Fn(L, &mut [L; SLOTS], L) -> L,
) {
    let whole = parameters.len() / L::LANES * L::LANES;
    for first in (0..whole).step_by(L::LANES) {
        let range = first..first + L::LANES;
        let mut vectors = [L::default(); SLOTS];
        for (vector, state) in vectors.iter_mut().zip(&state) {
            let Some(state) = state.get(range.clone()) else { return };
            *vector = L::load(state);
        }
        let (Some(gradient), Some(place)) = (gradient.get(range.clone()), parameters.get_mut(range.clone())) else { return };
        rule(L::load(gradient), &mut vectors, L::load(place)).store(place);
        for (vector, state) in vectors.iter().zip(&mut state) {
            let Some(state) = state.get_mut(range.clone()) else { return };
            vector.store(state);
        }
    }
    if L::LANES > 1 && whole < parameters.len() {
        let mut vectors = [L::default(); SLOTS];
        for (vector, state) in vectors.iter_mut().zip(&state) {
            *vector = L::load_partial(&state[whole..]);
        }
        let place = &mut parameters[whole..];
        rule(L::load_partial(&gradient[whole..]), &mut vectors, L::load_partial(place)).store_partial(place);
        for (vector, state) in vectors.iter().zip(&mut state) {
            vector.store_partial(&mut state[whole..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{f32x8, f32x16};

    const ALL: [Optimiser; 8] = [
        Optimiser::Sgd(Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.013 }),
        Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.013 }),
        Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 }),
        Optimiser::Rmsprop(Rmsprop { smoothing: 0.99, epsilon: 1e-8, momentum: 0.0, weight_decay: 0.01 }),
        Optimiser::Rmsprop(Rmsprop { smoothing: 0.9, epsilon: 1e-8, momentum: 0.9, weight_decay: 0.0 }),
        Optimiser::Adagrad(Adagrad { epsilon: 1e-10, weight_decay: 0.01 }),
        Optimiser::Adam(Adam { weight_decay: 0.01, ..Adam::ADAM }),
        Optimiser::Adam(Adam { weight_decay: 0.01, ..Adam::ADAMW }),
    ];

    const LENGTH: usize = 43;

    fn gradient(step: u32) -> [f32; LENGTH] {
        core::array::from_fn(|i| (i as f32 - 17.3) * 0.37 + step as f32 * 0.21)
    }

    /// Bits of parameters and state after three steps over the ranges that begin and end at `cuts`.
    fn run<L: Lane>(optimiser: &Optimiser, cuts: &[usize]) -> ([u32; LENGTH], [u32; 2 * LENGTH]) {
        let (mut parameters, mut state) = ([0.3f32; LENGTH], [0.0f32; 2 * LENGTH]);
        let used = optimiser.slots() * LENGTH;
        for number in 0..3 {
            for ends in cuts.chunks_exact(2) {
                optimiser.step::<L>(0.07, number, ends[0]..ends[1], &gradient(number), &mut state[..used], &mut parameters);
            }
        }
        (parameters.map(f32::to_bits), state.map(f32::to_bits))
    }

    #[test]
    fn every_lane_width_and_every_cut_into_ranges_gives_the_same_bits() {
        for optimiser in &ALL {
            let whole = run::<f32>(optimiser, &[0, LENGTH]);
            assert_eq!(whole, run::<f32x8>(optimiser, &[0, LENGTH]), "{optimiser:?}");
            assert_eq!(whole, run::<f32x16>(optimiser, &[0, LENGTH]), "{optimiser:?}");
            assert_eq!(whole, run::<f32x16>(optimiser, &[0, 5, 5, 22, 22, LENGTH]), "{optimiser:?}");
        }
    }

    #[test]
    fn what_is_left_out_of_the_ranges_is_not_touched() {
        for optimiser in &ALL {
            let (parameters, state) = run::<f32x8>(optimiser, &[0, 7, 19, LENGTH]);
            assert!(parameters[7..19].iter().all(|&bits| bits == 0.3f32.to_bits()));
            assert!(state[7..19].iter().chain(&state[LENGTH + 7..LENGTH + 19]).all(|&bits| bits == 0));
        }
    }

    /// The definitions once more, in `f64`, one number.
    fn exact(optimiser: &Optimiser, rate: f64, gradients: &[f32], mut p: f64) -> f64 {
        let (mut a, mut b) = (0.0f64, 0.0f64);
        for (t, &g) in (1..).zip(gradients) {
            let g = f64::from(g);
            match *optimiser {
                Optimiser::Sgd(Sgd { momentum, nesterov, weight_decay }) => {
                    let (m, g) = (f64::from(momentum), g + f64::from(weight_decay) * p);
                    a = m * a + g;
                    p -= rate * if nesterov { g + m * a } else { a };
                }
                Optimiser::Rmsprop(Rmsprop { smoothing, epsilon, momentum, weight_decay }) => {
                    let (s, g) = (f64::from(smoothing), g + f64::from(weight_decay) * p);
                    a = s * a + (1.0 - s) * g * g;
                    b = f64::from(momentum) * b + g / (a.sqrt() + f64::from(epsilon));
                    p -= rate * b;
                }
                Optimiser::Adagrad(Adagrad { epsilon, weight_decay }) => {
                    let g = g + f64::from(weight_decay) * p;
                    a += g * g;
                    p -= rate * g / (a.sqrt() + f64::from(epsilon));
                }
                Optimiser::Adam(Adam { beta1, beta2, epsilon, weight_decay, decoupled, .. }) => {
                    let (b1, b2, decay) = (f64::from(beta1), f64::from(beta2), f64::from(weight_decay));
                    let g = if decoupled { g } else { g + decay * p };
                    a = b1 * a + (1.0 - b1) * g;
                    b = b2 * b + (1.0 - b2) * g * g;
                    let step = a / (1.0 - b1.powi(t)) / ((b / (1.0 - b2.powi(t))).sqrt() + f64::from(epsilon));
                    p -= rate * step + if decoupled { rate * decay * p } else { 0.0 };
                }
            }
        }
        p
    }

    #[test]
    fn five_steps_are_those_of_the_definition() {
        let gradients = [0.5, -0.25, 1.5, 0.125, -2.0];
        for optimiser in &ALL {
            let (mut p, mut state) = ([1.0f32], [0.0f32; 2]);
            for (number, &gradient) in (0..).zip(&gradients) {
                optimiser.step::<f32>(0.1, number, 0..1, &[gradient], &mut state[..optimiser.slots()], &mut p);
            }
            let expected = exact(optimiser, 0.1, &gradients, 1.0);
            assert!((f64::from(p[0]) - expected).abs() < 2e-6, "{optimiser:?}: {} {expected}", p[0]);
        }
    }
}
