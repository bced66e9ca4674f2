//! A workspace is memory and nothing else: what it was made for, and what it held before, leaves no trace in a gradient.

use pg::{SEED, Samples, bits, parameters};
use pg_core::form::{self, Form, Members, Scalar};
use pg_core::layers::*;
use pg_core::loss::Loss;
use pg_core::population::{Population, Workspace};
use pg_core::{Image, Network, Sequential, f32x8, f32x16};

/// Layers that keep something on the tape or in scratch, in branches and without.
type Mixed = Sequential<
    Image<2, 5, 4>,
    (
        Conv2d<4, 3, 1, 1>,
        LayerNorm,
        HardSwish,
        Residual<(Depthwise2d<3, 1, 1>, Dropout<20>), Pointwise<4>>,
        MaxPool2d<2, 1, 1>,
        Split<2, AvgPool2d<3, 1, 1>, (Pointwise<3>, Relu)>,
        Concat<(Pointwise<2>, Tanh)>,
        Dense<3>,
    ),
>;
/// The same with layers that mix samples.
type Normed = Sequential<Image<2, 5, 4>, (BatchNorm, Conv2d<4, 3, 2, 1>, BatchNorm, Relu6, ChannelShuffle<2>, GlobalAvgPool, Dense<3>)>;
/// A first layer that transposes its input itself, in two blocks, where only one pass reads it.
type Wide = Sequential<Image<1, 15, 12>, (Flatten, Dense<11>, Relu, Dense<3>)>;

/// Gradients of batches of these sizes one after another in one workspace for `room` samples, which holds `garbage` at first.
fn gradients<N: Network, F: Form>(population: &Population, batches: &[usize], room: usize, garbage: f32) -> Vec<Vec<u32>> {
    const LOSS: Loss = Loss::CrossEntropy { label_smoothing: 0.1 };
    let (theta, data) = (parameters::<N>(1), Samples::random::<N>(2, 64));
    let (mut scales, mut weights) = (vec![garbage; N::FILTERS], vec![garbage; population.members_len::<N, F>(room)]);
    let mut memory = vec![garbage; Workspace::len::<N, F>(room)];
    let mut workspace = Workspace::new::<N, F>(room, &mut memory);
    let mut gradient = vec![garbage; N::PARAMS];
    let mut one = |&samples: &usize| {
        let batch = data.batch::<N>(&LOSS, 0, samples);
        let estimate = population
            .gradient::<N, F>(&LOSS, SEED, 1, &theta, &batch, &mut scales, &mut weights, &mut workspace, &mut gradient)
            .expect("a finite loss");
        gradient.iter().copied().chain([estimate.loss]).collect::<Vec<f32>>()
    };
    batches.iter().map(|samples| bits(&one(samples))).collect()
}

fn check<N: Network, F: Form>() {
    for members in [0, 1, 3] {
        let population = Population::new(members, 0.3);
        let batches = [5, 64, 1, 17, 5];
        let alone: Vec<Vec<u32>> = batches.iter().flat_map(|&n| gradients::<N, F>(&population, &[n], n, 0.0)).collect();
        for garbage in [0.0, f32::NAN, f32::INFINITY] {
            assert!(gradients::<N, F>(&population, &batches, 64, garbage) == alone, "{members} members, {garbage}");
        }
    }
}

fn check_forms<N: Network>() {
    check::<N, Scalar>();
    check::<N, form::Samples<f32x8>>();
    check::<N, form::Samples<f32x16>>();
    check::<N, Members<f32x8>>();
}

#[test]
fn short_and_long_batches_in_one_workspace_have_the_gradients_they_have_alone() {
    check_forms::<Mixed>();
}

#[test]
fn so_they_have_where_the_first_layer_reads_samples_as_they_are() {
    check_forms::<Wide>();
}

#[test]
fn so_they_have_where_layers_mix_samples() {
    check_forms::<Normed>();
}
