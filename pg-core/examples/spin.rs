use pg_core::form::*;
use pg_core::loss::*;
use pg_core::optimiser::*;
use pg_core::perturbation::*;
use pg_core::population::*;
use pg_core::zoo::*;
use pg_core::*;
fn aligned(n: usize) -> &'static mut [f32] {
    let v = vec![f32x16::splat(0.0); n.div_ceil(16)].leak();
    bytemuck::cast_slice_mut(v)
}
fn spin<N: Network, F: Form>(samples: usize, k: u32, secs: f64) {
    let theta = aligned(N::PARAMS);
    initialise::Initialise::He.write::<N>(1, theta);
    let (g, v) = (aligned(N::PARAMS), aligned(N::PARAMS));
    let inputs = aligned(samples * N::INPUT.len());
    inputs.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 17) as f32 / 17.0);
    let labels: Vec<u16> = (0..samples).map(|i| (i % N::OUTPUTS) as u16).collect();
    let (scales, weights) = (aligned(N::FILTERS), aligned(Population::weights_len::<N, F>()));
    let mut ws = Workspace::new::<N, F>(samples, aligned(Workspace::len::<N, F>(samples)));
    let batch = Batch { inputs, targets: Targets::Classes(&labels), samples };
    let p = Population { members: k, rho: 0.3, distribution: Distribution::Gaussian, antithetic: true };
    let sgd = Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-5 };
    let t = std::time::Instant::now();
    let mut step = 0;
    while t.elapsed().as_secs_f64() < secs {
        for _ in 0..10 {
            p.gradient::<N, F>(&Loss::CrossEntropy { label_smoothing: 0.0 }, 1, step, theta, &batch, scales, weights, &mut ws, g).unwrap();
            sgd.step::<F::Value>(1e-8, g, v, theta);
            step += 1;
        }
    }
    println!("{} us", secs * 1e6 / step as f64);
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let k = a[2].parse().unwrap();
    if a[1] == "small" { spin::<Mlp64x32x10, Samples<Widest>>(32, k, 3.0) } else { spin::<Mlp784x128x10, Samples<Widest>>(64, k, 3.0) }
}
