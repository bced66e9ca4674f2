//! How the members' gradients become one.

use crate::math;

/// How the members' gradients become one. `L_k` is the loss of member k.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Combine {
    /// Their mean.
    Mean,
    /// `(1-λ)` times their mean, plus `λ` times the gradient of the central network over the batch, at the cost of one more pass. With
    /// [`BatchMode::Fresh`](super::BatchMode::Fresh) its batch is that of the first member. λ = 0 is [`Combine::Mean`], bit for bit.
    Clean {
        /// In [0, 1).
        lambda: f32,
    },
    /// Their mean with weights in proportion to `exp(-L_k/τ)`: the better a member, the more it counts; with τ below 0 the worse. All members
    /// run forward once more, before: a third of a pass each.
    Softmax {
        /// Any number but 0.
        tau: f32,
    },
}

/// What a member's gradient is multiplied by before it is added up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights(Kind);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Fixed(f32),
    Softmax(Softmax),
}

impl Weights {
    /// All count alike.
    pub const ONE: Self = Self::fixed(1.0);

    /// The same factor for all.
    pub const fn fixed(factor: f32) -> Self {
        Self(Kind::Fixed(factor))
    }

    /// Whether all count alike.
    pub fn are_one(&self) -> bool {
        *self == Self::ONE
    }

    /// The factor for a member with this mean loss over its samples.
    pub fn of(&self, loss: f32) -> f32 {
        match self.0 {
            Kind::Fixed(factor) => factor,
            Kind::Softmax(softmax) => softmax.weight(loss),
        }
    }
}

/// The sum of `exp(-L_k/τ)` over the members, member by member, without their losses being kept: relative to the largest so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softmax {
    tau: f32,
    largest: f32,
    total: f32,
}

impl Softmax {
    /// Of no member yet.
    pub const fn new(tau: f32) -> Self {
        Self { tau, largest: f32::NEG_INFINITY, total: 0.0 }
    }

    /// Takes the next member: its mean loss, and its part of a batch (1 when it sees all of it).
    pub fn take(&mut self, loss: f32, part: f32) {
        let exponent = -loss / self.tau;
        if exponent > self.largest {
            self.total = self.total * math::exp(self.largest - exponent) + part;
            self.largest = exponent;
        } else {
            self.total += part * math::exp(exponent - self.largest);
        }
    }

    fn weight(&self, loss: f32) -> f32 {
        math::exp(-loss / self.tau - self.largest) / self.total
    }
}

impl From<Softmax> for Weights {
    fn from(softmax: Softmax) -> Self {
        Self(Kind::Softmax(softmax))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_the_softmax_of_the_losses_and_sum_to_one_for_any_temperature() {
        let losses = [2.5f32, 0.1, 0.7, 40.0, 0.1];
        for tau in [0.01f32, 0.5, 3.0, 1e6, -0.5, -10.0] {
            let mut softmax = Softmax::new(tau);
            losses.iter().for_each(|&loss| softmax.take(loss, 1.0));
            let weights = Weights::from(softmax);
            let largest = losses.iter().map(|&l| f64::from(-l / tau)).fold(f64::NEG_INFINITY, f64::max);
            let exact = losses.map(|l| libm::exp(f64::from(-l / tau) - largest));
            let total: f64 = exact.iter().sum();
            for (loss, exact) in losses.into_iter().zip(exact) {
                let found = f64::from(weights.of(loss));
                assert!((found - exact / total).abs() < 1e-5, "τ {tau}, loss {loss}: {found} for {}", exact / total);
            }
        }
    }

    #[test]
    fn a_member_with_a_part_of_the_batch_counts_by_its_part() {
        // Two halves of the batch whose losses are equal: each sample counts as in the mean, so each half has the weight 1.
        let mut softmax = Softmax::new(1.0);
        for part in [0.5, 0.5] {
            softmax.take(0.3, part);
        }
        assert_eq!(Weights::from(softmax).of(0.3), 1.0);
    }
}
