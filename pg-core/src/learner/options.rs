//! The link's options and the tuner's settings: the same choices, once as a message and once as types.

use crate::layers::Scope;
use crate::link::{Noise, Options};
use crate::perturbation::{self, Distribution};
use crate::population::Population;
use crate::tuner::Settings;

/// How to learn with these options.
pub fn settings(options: &Options) -> Settings {
    let distribution = match options.noise {
        Noise::Gaussian => Distribution::Gaussian,
        Noise::Rademacher => Distribution::Rademacher,
        Noise::RankOne => Distribution::RankOne,
    };
    let noise = perturbation::Noise { distribution, ..perturbation::Noise::new(options.rho) };
    let scope = Scope::of(options.layers);
    Settings {
        scope: if options.biases { scope.biases() } else { scope },
        population: Population { noise, antithetic: options.antithetic, ..Population::new(options.population, options.rho) },
        rate: options.rate,
        momentum: options.momentum,
        weight_decay: options.weight_decay,
        hold_out: options.hold_out,
        look_every: options.look_every,
        patience: options.patience,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_link_and_tuner_are_the_same_but_for_the_patience() {
        let settings = settings(&Options::DEFAULT);
        assert_eq!(Settings { patience: Settings::DEFAULT.patience, ..settings }, Settings::DEFAULT);
    }
}
