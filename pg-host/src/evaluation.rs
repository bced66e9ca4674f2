//! What a network says of samples, and how good that is. It reads parameters and changes nothing.

use crate::any_network::AnyNetwork;
use crate::data::Samples;
use crate::engine::Crew;
use crate::metrics::{Confusion, Scores, calibration_error};

/// The outputs for samples, and what follows from them.
pub struct Evaluation {
    /// `[sample][class]`.
    pub logits: Vec<f32>,
    /// The most probable class of each sample.
    pub predicted: Vec<u16>,
    classes: usize,
}

impl Evaluation {
    /// Runs the network on normalised samples.
    pub fn of(crew: &Crew, network: &dyn AnyNetwork, parameters: &[f32], inputs: &[f32]) -> Self {
        Self::of_logits(network.sizes().outputs, network.logits(crew, parameters, inputs))
    }

    /// The same with batch norms folded into the weights before them.
    pub fn of_folded(crew: &Crew, network: &dyn AnyNetwork, parameters: &[f32], inputs: &[f32]) -> Self {
        Self::of_logits(network.sizes().outputs, network.folded_logits(crew, parameters, inputs))
    }

    fn of_logits(classes: usize, logits: Vec<f32>) -> Self {
        let predicted = logits.chunks_exact(classes).map(most_probable).collect();
        Self { logits, predicted, classes }
    }

    /// The logits of sample `i`.
    pub fn logits_of(&self, i: usize) -> &[f32] {
        &self.logits[i * self.classes..][..self.classes]
    }

    /// The logarithm of the probability of `class` for sample `i`, in nats: `y_c - ln Σ eʸ`, in `f64`.
    pub fn log_probability(&self, i: usize, class: u16) -> f64 {
        let logits = self.logits_of(i);
        let largest = f64::from(logits[usize::from(self.predicted[i])]);
        let sum: f64 = logits.iter().map(|&y| (f64::from(y) - largest).exp()).sum();
        f64::from(logits[usize::from(class)]) - largest - sum.ln()
    }

    /// How often each class was taken for each.
    pub fn confusion(&self, labels: &[u16]) -> Confusion {
        Confusion::new(labels, &self.predicted, self.classes)
    }

    /// The mean negative log-likelihood of the true classes, in nats.
    pub fn nll(&self, labels: &[u16]) -> f64 {
        let sum: f64 = labels.iter().enumerate().map(|(i, &label)| -self.log_probability(i, label)).sum();
        sum / labels.len().max(1) as f64
    }

    /// How far the confidence of the predictions is from their accuracy: [`calibration_error`].
    pub fn ece(&self, labels: &[u16]) -> f64 {
        let confidence = |i| self.log_probability(i, self.predicted[i]).exp();
        calibration_error(labels.iter().enumerate().map(|(i, &label)| (confidence(i), self.predicted[i] == label)))
    }

    /// Everything that is reported of the predictions.
    pub fn scores(&self, labels: &[u16], classes: &[String]) -> Scores {
        self.confusion(labels).scores(classes, self.nll(labels), self.ece(labels))
    }
}

/// The scores of a network on normalised samples.
pub fn scores(crew: &Crew, network: &dyn AnyNetwork, parameters: &[f32], samples: &Samples, classes: &[String]) -> Scores {
    Evaluation::of(crew, network, parameters, &samples.inputs).scores(&samples.labels, classes)
}

/// The first of the largest logits; NaN is never larger.
fn most_probable(logits: &[f32]) -> u16 {
    (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best }) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_huge_logits_do_not_overflow() {
        let evaluation = Evaluation { logits: vec![1000.0, 1000.0, -1000.0], predicted: vec![0], classes: 3 };
        assert_eq!(evaluation.nll(&[1]), 2f64.ln());
        assert_eq!(evaluation.log_probability(0, 2), -2000.0 - 2f64.ln());
    }

    #[test]
    fn the_first_of_equal_logits_wins() {
        assert_eq!((most_probable(&[1.0, 2.0, 2.0]), most_probable(&[f32::NAN, 0.0]), most_probable(&[-1.0])), (1, 0, 0));
    }
}
