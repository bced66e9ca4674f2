//! pg-core allocates nothing: gradients in every form, the optimiser, noise, and the model file, counted by the allocator. Without the test harness,
//! whose threads would be counted too.

use std::alloc::System;

use pg_core::floats::Floats;
use pg_core::form::{self, Form, Members, Scalar};
use pg_core::initialise::Initialise;
use pg_core::layers::*;
use pg_core::loss::{Loss, Targets};
use pg_core::model_file::{ClassNames, Model, Provenance};
use pg_core::normalisation::Normalisation;
use pg_core::optimiser::Sgd;
use pg_core::perturbation::{Noise, ScaleRule};
use pg_core::population::{Batch, BatchMode, Combine, Population, Workspace};
use pg_core::{Network, Sequential, Vector, f32x8};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Mlp = Sequential<Vector<20>, (Dense<9>, Relu, Dense<6>, Tanh, Dense<4>)>;

/// Allocations while a step of training is made and its model written and read; the memory is lent from outside.
fn allocations_of_a_step<F: Form>(samples: usize, population: Population) -> usize {
    let mut theta = vec![0.0; Mlp::PARAMS];
    let mut velocity = vec![0.0; Mlp::PARAMS];
    let mut gradient = vec![0.0; Mlp::PARAMS];
    let mut scales = vec![0.0; Mlp::FILTERS];
    let mut weights = vec![0.0; Population::weights_len::<Mlp, F>()];
    let mut memory = vec![0.0; Workspace::len::<Mlp, F>(samples)];
    let inputs = vec![0.5; samples * Mlp::INPUT.len()];
    let classes = vec![1; samples];
    let mut network = String::new();
    Mlp::describe(&mut network).unwrap();
    let mut file = vec![0; 4096];

    let region = Region::new(ALLOCATOR);
    Initialise::AUTO.write::<Mlp>(1, &mut theta);
    let batch = Batch { inputs: &inputs, targets: Targets::Classes(&classes), samples };
    let mut workspace = Workspace::new::<Mlp, F>(samples, &mut memory);
    let loss = Loss::CrossEntropy { label_smoothing: 0.1 };
    population
        .gradient::<Mlp, F>(&loss, 1, 0, &theta, &batch, &mut scales, &mut weights, &mut workspace, &mut gradient)
        .expect("a finite loss");
    Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-4 }.step::<F::Value>(0.1, &gradient, &mut velocity, &mut theta);
    let model = Model {
        network: &network,
        normalisation: Normalisation::NONE,
        classes: ClassNames::new("a\nb\nc\nd").expect("names"),
        provenance: Provenance::default(),
        parameters: Floats::new(&theta),
    };
    let file = model.encode_into(&mut file).expect("room");
    Model::decode(file).and_then(|model| model.parameters_into::<Mlp>(&mut gradient)).expect("the model of this network");
    let change = region.change();
    change.allocations + change.reallocations + change.deallocations
}

fn main() {
    let usual = Population::new(0, 0.3);
    for kind in [
        usual,
        Population { batch: BatchMode::Split, combine: Combine::Clean { lambda: 0.5 }, ..usual },
        Population { noise: Noise { scale: ScaleRule::FilterExact, ..usual.noise }, combine: Combine::Softmax { tau: 1.0 }, ..usual },
    ] {
        for members in [1, 8, 17] {
            for samples in [1, 13, 64] {
                let population = Population { members, ..kind };
                assert_eq!(allocations_of_a_step::<Scalar>(samples, population), 0);
                assert_eq!(allocations_of_a_step::<form::Samples<f32x8>>(samples, population), 0);
                assert_eq!(allocations_of_a_step::<Members<f32x8>>(samples, population), 0);
            }
        }
    }
    let region = Region::new(ALLOCATOR);
    drop(std::hint::black_box(vec![1u8; 10]));
    assert_eq!(region.change().allocations, 1, "the counter counts");
}
