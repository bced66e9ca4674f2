//! Work that is shared piece by piece gives the bits of one thread: odd sizes, groups, strides, branches, every population, and passes that leave
//! gradients out. Pieces are as small as can be, the last comes first; real threads are pg-engine's to test.

use pg::{Pieces, Samples, bits, gradient, gradient_by, normals, parameters};
use pg_core::form::{self, Form, Members, Scalar};
use pg_core::layers::window::Window;
use pg_core::layers::*;
use pg_core::loss::Loss;
use pg_core::perturbation::Distribution;
use pg_core::population::{BatchMode, Combine, Population, Workspace, estimate, infer};
use pg_core::sharing::Sharing;
use pg_core::{Image, Network, Sequential, f32x8, f32x16};

const LOSS: Loss = Loss::CrossEntropy { label_smoothing: 0.1 };

type Grouped = Sequential<
    Image<4, 7, 6>,
    (
        Conv<12, Window<3, 3, 2, 1, 1, 1>, 4>,
        BatchNorm,
        Relu6,
        MaxPool2d<3, 2, 1>,
        Conv<6, Window<2, 2, 1, 1, 1, 1>, 2>,
        Tanh,
        AvgPool2d<2, 1>,
        Depthwise2d<2>,
        BatchNorm,
        Pointwise<3>,
        GlobalAvgPool,
    ),
>;
/// The last layer has parameters and no bounds but the gradient's.
type EndsGrouped = Sequential<Image<3, 4, 4>, (Conv2d<6, 3, 1, 1>, Relu, Conv<3, Window<4, 4>, 3>)>;
type EndsDepthwise = Sequential<Image<5, 4, 4>, (Dropout<20>, Depthwise2d<4>)>;
type Perceptron = Sequential<Image<1, 3, 7>, (Dense<13>, Sigmoid, Residual<(Dense<13>, BatchNorm)>, Dense<5>)>;
/// What only moves numbers, or has a mask for them.
type Branched = Sequential<
    Image<4, 5, 3>,
    (
        Dropout<30>,
        Residual<(Pointwise<4>, BatchNorm)>,
        HardSwish,
        Residual<Pointwise<6>, Pointwise<6>>,
        Split<2, (), (Pointwise<4>, Relu)>,
        ChannelShuffle<2>,
        Concat<(Pointwise<3>, Dropout<10>)>,
        Dense<4>,
    ),
>;

fn populations() -> impl Iterator<Item = Population> {
    let of = |members, batch, combine| Population { batch, combine, ..Population::new(members, 0.4) };
    let mut rank_one = [of(3, BatchMode::Shared, Combine::Mean), of(3, BatchMode::Split, Combine::Mean)];
    rank_one.iter_mut().for_each(|population| population.noise.distribution = Distribution::RankOne);
    let full = [0, 3].map(|members| of(members, BatchMode::Shared, Combine::Mean));
    full.into_iter().chain([of(3, BatchMode::Fresh, Combine::Clean { lambda: 0.3 })]).chain(rank_one)
}

fn check_gradients<N: Network>() {
    let (theta, data) = (parameters::<N>(3), Samples::random::<N>(4, 100));
    for population in populations() {
        for samples in [7, 33, 99] {
            let batch = data.batch::<N>(&LOSS, 0, samples);
            let run = |result: Result<(Vec<f32>, f32), _>| {
                result.map(|(gradient, loss)| (bits(&gradient), loss.to_bits())).expect("finite losses")
            };
            let expected = run(gradient::<N, Scalar>(&population, &LOSS, 1, &theta, &batch));
            for units in [1, 2, 5] {
                let found = run(gradient_by::<N, form::Samples<f32x16>>(Some(&Pieces(units)), &population, &LOSS, 1, &theta, &batch));
                assert!(found == expected, "{population:?} {samples} {units}");
                if samples <= 64 {
                    let found = run(gradient_by::<N, Members<f32x8>>(Some(&Pieces(units)), &population, &LOSS, 1, &theta, &batch));
                    assert!(found == expected, "{population:?} {samples} {units}");
                }
            }
        }
    }
}

#[test]
fn gradients_in_pieces_have_the_bits_of_one_thread() {
    check_gradients::<Grouped>();
    check_gradients::<EndsGrouped>();
    check_gradients::<EndsDepthwise>();
    check_gradients::<Perceptron>();
    check_gradients::<Branched>();
}

/// The bits of the tape and of the gradient of one pass forward and back.
fn passed<N: Network, F: Form>(mode: Mode, scope: Scope, adds: bool, sharing: Sharing) -> [Vec<u32>; 2] {
    const SAMPLES: usize = 21;
    let columns = F::columns(SAMPLES);
    let element = columns * F::COLUMN;
    let theta: Vec<f32> = parameters::<N>(5).into_iter().flat_map(|p| std::iter::repeat_n(p.abs(), F::WEIGHT)).collect();
    let pass = Pass { mode, scope, adds, sharing, members: F::WEIGHT.min(3), ..Pass::infer(SAMPLES, columns) };
    // Lanes without a sample are zeros.
    let filled = |seed, elements| {
        let mut numbers = normals(seed, elements * element);
        if F::WEIGHT == 1 {
            numbers.chunks_exact_mut(element).for_each(|row| row[SAMPLES..].fill(0.0));
        }
        numbers
    };
    let mut tape = filled(6, N::INPUT.len());
    tape.resize(N::TAPE * element, -7.0);
    let mut scratch = vec![f32::NAN; (2 * N::SCRATCH + N::TRANSPOSED) * element];
    N::forward::<F>(&pass, &theta, &mut tape, &mut scratch);
    let (mut dy, mut dx) = (filled(7, N::OUTPUTS), vec![f32::NAN; N::WIDTHS[1] * element]);
    dy.resize(N::WIDTHS[0] * element, f32::NAN);
    let mut gradient = vec![0.5; scope.len(&N::LEAVES)];
    if mode != Mode::Infer {
        N::backward::<F>(&pass, &theta, &tape, &mut Buffers { dy: &mut dy, dx: &mut dx }, &mut scratch, &mut gradient);
    }
    [bits(&tape), bits(&gradient)]
}

fn check_passes<N: Network, F: Form>() {
    let draw = Draw { seed: 1, step: 2, member: 0, antithetic: true, first_sample: 0 };
    let scopes = [Scope::EVERYTHING, Scope::EVERYTHING.biases(), Scope::of(0b101), Scope::of(0b110).biases(), Scope::of(0)];
    for mode in [Mode::Infer, Mode::Estimate, Mode::Train(draw), Mode::Tune(draw)] {
        for (scope, adds) in scopes.into_iter().flat_map(|scope| [(scope, false), (scope, true)]) {
            let expected = passed::<N, F>(mode, scope, adds, Sharing::ALONE);
            for units in [1, 3] {
                assert!(passed::<N, F>(mode, scope, adds, Sharing::with(&Pieces(units))) == expected, "{mode:?} {scope:?} {adds} {units}");
            }
        }
    }
}

#[test]
fn passes_for_whatever_purpose_have_the_same_bits_in_pieces_and_leave_out_the_same_gradients() {
    check_passes::<Grouped, form::Samples<f32x16>>();
    check_passes::<Grouped, Members<f32x8>>();
    check_passes::<EndsDepthwise, form::Samples<f32x8>>();
    check_passes::<Perceptron, form::Samples<f32x16>>();
    check_passes::<Branched, form::Samples<f32x16>>();
    check_passes::<Branched, Members<f32x8>>();
}

#[test]
fn outputs_and_running_statistics_in_a_shared_workspace_are_those_of_one_thread() {
    fn check<N: Network, F: Form>() {
        let inputs = normals(8, 21 * N::INPUT.len());
        let found = [None, Some(1), Some(3)].map(|units| {
            let pieces = Pieces(units.unwrap_or(1));
            let mut memory = vec![f32::NAN; Workspace::len_shared::<N, F>(21, 2)];
            let mut workspace = match units {
                None => Workspace::new::<N, F>(21, &mut memory),
                Some(_) => Workspace::shared::<N, F>(21, 2, &pieces, &mut memory),
            };
            let mut theta = parameters::<N>(5);
            estimate::<N, F>(&mut theta, &inputs, 21, 0, &mut workspace);
            [bits(&theta), bits(infer::<N, F>(&theta, &inputs, 21, &mut workspace))]
        });
        assert_eq!((&found[1], &found[2]), (&found[0], &found[0]));
    }
    check::<Grouped, form::Samples<f32x16>>();
    check::<EndsDepthwise, form::Samples<f32x8>>();
    check::<Perceptron, form::Samples<f32x16>>();
    check::<Branched, form::Samples<f32x16>>();
}

#[test]
fn of_no_sample_there_is_nothing_to_do() {
    fn check<N: Network, F: Form>() {
        let (theta, mut memory) = (parameters::<N>(1), vec![0.0; Workspace::len_shared::<N, F>(8, 2)]);
        let mut workspace = Workspace::shared::<N, F>(8, 2, &Pieces(1), &mut memory);
        assert!(infer::<N, F>(&theta, &[], 0, &mut workspace).is_empty());
    }
    check::<EndsGrouped, form::Samples<f32x8>>();
    check::<EndsDepthwise, Scalar>();
    check::<Perceptron, form::Samples<f32x16>>();
}

#[test]
fn buffers_may_be_longer_than_needed() {
    fn check<N: Network, F: Form>(share: bool) {
        let (theta, data, population) = (parameters::<N>(3), Samples::random::<N>(4, 9), Population::new(2, 0.3));
        let batch = data.batch::<N>(&LOSS, 0, 9);
        let mut memory = vec![0.0; Workspace::len_shared::<N, F>(9, 3) + 5];
        let mut workspace = match share {
            false => Workspace::new::<N, F>(9, &mut memory),
            true => Workspace::shared::<N, F>(9, 3, &Pieces(1), &mut memory),
        };
        let (mut scales, mut weights, mut found) = (vec![0.0; N::FILTERS + 3], vec![0.0; N::PARAMS + 17], vec![0.0; N::PARAMS + 40]);
        let done = population.gradient::<N, F>(&LOSS, pg::SEED, 1, &theta, &batch, &mut scales, &mut weights, &mut workspace, &mut found);
        done.expect("finite losses");
        let expected = gradient::<N, Scalar>(&population, &LOSS, 1, &theta, &batch).expect("finite losses").0;
        assert_eq!(bits(&found[..N::PARAMS]), bits(&expected));
    }
    for share in [false, true] {
        check::<EndsGrouped, form::Samples<f32x8>>(share);
        check::<EndsDepthwise, form::Samples<f32x16>>(share);
        check::<Perceptron, form::Samples<f32x16>>(share);
    }
}
