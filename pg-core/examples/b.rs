use pg_core::form::*;
use pg_core::loss::*;
use pg_core::optimiser::*;
use pg_core::perturbation::*;
use pg_core::population::*;
use pg_core::zoo::*;
use pg_core::*;
use std::time::Instant;
fn aligned(n: usize) -> &'static mut [f32] {
    let v = vec![f32x16::splat(0.0); n.div_ceil(16)].leak();
    bytemuck::cast_slice_mut(v)
}
fn bench<N: Network, F: Form>(name: &str, samples: usize, k: u32, d: Distribution) {
    let theta = aligned(N::PARAMS);
    initialise::Initialise::He.write::<N>(1, theta);
    let (g, v) = (aligned(N::PARAMS), aligned(N::PARAMS));
    let inputs = aligned(samples * N::INPUT.len());
    inputs.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 17) as f32 / 17.0);
    let labels: Vec<u16> = (0..samples).map(|i| (i % N::OUTPUTS) as u16).collect();
    let (scales, weights) = (aligned(N::FILTERS), aligned(Population::weights_len::<N, F>()));
    let mut ws = Workspace::new::<N, F>(samples, aligned(Workspace::len::<N, F>(samples)));
    let batch = Batch { inputs, targets: Targets::Classes(&labels), samples };
    let p = Population { members: k, rho: 0.3, distribution: d, antithetic: true };
    let sgd = Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-5 };
    let flops = 2.0 * N::TRAINING_MACS as f64 * samples as f64 * k.max(1) as f64;
    let reps = ((0.1 * 100e9 / flops) as u32).max(3);
    let mut times = vec![];
    let mut step = 0;
    let mut l = 0.0;
    for _ in 0..9 {
        let t = Instant::now();
        for _ in 0..reps {
            l = p
                .gradient::<N, F>(&Loss::CrossEntropy { label_smoothing: 0.0 }, 1, step, theta, &batch, scales, weights, &mut ws, g)
                .unwrap();
            sgd.step::<F::Value>(1e-4, g, v, theta);
            step += 1;
        }
        times.push(t.elapsed().as_secs_f64() / reps as f64);
    }
    times.sort_by(f64::total_cmp);
    println!("{name} N={samples} K={k} {d:?}: {:.1} us {:.1} GF (loss {l})", times[4] * 1e6, flops / times[4] / 1e9);
}
fn main() {
    type S = Samples<Widest>;
    bench::<Mlp784x128x10, S>("784", 64, 0, Distribution::Gaussian);
    bench::<Mlp784x128x10, S>("784", 64, 8, Distribution::Gaussian);
    bench::<Mlp784x128x10, S>("784", 64, 8, Distribution::Rademacher);
    bench::<Mlp64x32x10, S>("64", 32, 0, Distribution::Gaussian);
    bench::<Mlp64x32x10, S>("64", 32, 8, Distribution::Gaussian);
    bench::<Mlp64x32x10, S>("64", 32, 8, Distribution::Rademacher);
    bench::<Mlp64x32x10, Members<Widest>>("64 members", 32, 8, Distribution::Gaussian);
    bench::<Mlp64x32x10, Members<f32x8>>("64 members x8", 32, 8, Distribution::Gaussian);
}
