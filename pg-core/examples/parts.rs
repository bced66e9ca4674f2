use pg_core::form::*;
use pg_core::layers::*;
use pg_core::loss::*;
use pg_core::optimiser::*;
use pg_core::perturbation::*;
use pg_core::population::*;
use pg_core::zoo::*;
use pg_core::*;
use std::hint::black_box;
use std::time::Instant;
fn aligned(n: usize) -> &'static mut [f32] {
    let v = vec![f32x16::splat(0.0); n.div_ceil(16)].leak();
    bytemuck::cast_slice_mut(v)
}
fn time(mut f: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    let t = Instant::now();
    f();
    f();
    let one = t.elapsed().as_secs_f64() / 2.0;
    let reps = (0.01 / one) as usize + 1;
    for _ in 0..15 {
        let t = Instant::now();
        for _ in 0..reps {
            f()
        }
        best = best.min(t.elapsed().as_secs_f64() / reps as f64)
    }
    best
}
fn peak() -> f64 {
    let b = black_box(f32x16::splat(0.999));
    let c = black_box(f32x16::splat(0.001));
    let mut a = [f32x16::splat(1.0); 12];
    let t = time(|| {
        for _ in 0..10000 {
            for i in 0..12 {
                a[i] = Lane::mul_add(a[i], b, c);
            }
        }
    });
    black_box(a);
    10000.0 * 12.0 * 32.0 / t / 1e9
}
fn parts<N: Network, F: Form>(samples: usize) {
    let theta = aligned(N::PARAMS);
    initialise::Initialise::He.write::<N>(1, theta);
    let (g, v) = (aligned(N::PARAMS), aligned(N::PARAMS));
    let rows = aligned(samples * N::INPUT.len());
    rows.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 17) as f32 / 17.0);
    let labels: Vec<u16> = (0..samples).map(|i| (i % N::OUTPUTS) as u16).collect();
    let pass = Pass { samples, columns: F::columns(samples), members: 1, adds: true, wants_input_gradient: false, input_rows: Some(rows) };
    let e = pass.columns * F::COLUMN;
    let (tape, dy, dx, scratch) = (aligned(N::TAPE * e), aligned(N::WIDTH * e), aligned(N::WIDTH * e), aligned(N::SCRATCH * e));
    let pk = peak();
    println!("peak {pk:.0}");
    let gf = |m: usize, t: f64| {
        format!("{:.2} us {:.0} GF {:.2}", t * 1e6, 2.0 * (m * samples) as f64 / t / 1e9, 2.0 * (m * samples) as f64 / t / 1e9 / pk)
    };
    println!("forward  {}", gf(N::MACS, time(|| N::forward::<F>(&pass, theta, tape))));
    println!("backward {}", gf(N::TRAINING_MACS - N::MACS, time(|| N::backward::<F>(&pass, theta, tape, scratch, dy, dx, g))));
    let y = tape[(N::TAPE - N::OUTPUTS) * e..].to_vec();
    println!(
        "loss {:.2} us",
        1e6 * time(|| {
            black_box(Loss::CrossEntropy { label_smoothing: 0.0 }.gradient::<F>(
                &pass,
                N::OUTPUTS,
                samples,
                Targets::Classes(&labels),
                &y,
                dy,
            ));
        })
    );
    let sgd = Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-5 };
    println!("sgd {:.2} us", 1e6 * time(|| sgd.step::<F::Value>(1e-9, g, v, theta)));
    println!(
        "fill g {:.2} us",
        1e6 * time(|| {
            g.fill(0.0);
            black_box(&g);
        })
    );
    let mut ws = Workspace::new::<N, F>(samples, aligned(Workspace::len::<N, F>(samples)));
    println!(
        "infer (fill+forward) {:.2} us",
        1e6 * time(|| {
            black_box(infer::<N, F>(theta, rows, samples, &mut ws));
        })
    );
    let scales = aligned(N::FILTERS);
    println!("scales {:.2} us", 1e6 * time(|| noise_scales::<N, F::Value>(0.3, theta, scales)));
    let (a, b) = (aligned(N::PARAMS), aligned(N::PARAMS));
    for d in [Distribution::Gaussian, Distribution::Rademacher] {
        let t = time(|| perturb::<N, F::Value>(d, &noise::Stream::new(1, noise::Purpose::Members, 1, 1), theta, scales, Pair::Both(a, b)));
        println!("pair {d:?} {:.2} us {:.2} ns per param", t * 1e6, t * 1e9 / N::PARAMS as f64);
    }
    let mut z = [0.0; 1024];
    let t = time(|| {
        for i in 0..1000 {
            noise::Stream::new(1, noise::Purpose::Members, 1, 1).normals::<F::Value>(i, &mut z);
            black_box(&z);
        }
    });
    println!("normals {:.2} ns each", t * 1e9 / 64000.0);
}
type One = Sequential<Image<1, 28, 28>, (Flatten, Dense<128>)>;
type Two = Sequential<Vector<64>, (Dense<24>,)>;
type Three = Sequential<Vector<64>, (Dense<32>,)>;
type Four = Sequential<Vector<32>, (Dense<10>,)>;
fn main() {
    parts::<Two, Samples<Widest>>(64);
    parts::<Two, Samples<Widest>>(32);
    parts::<Two, Samples<Widest>>(16);
    parts::<Two, Samples<Widest>>(64);
    parts::<Three, Samples<Widest>>(32);
    parts::<Four, Samples<Widest>>(32);

    parts::<Mlp784x128x10, Samples<Widest>>(64);
    println!();
    parts::<Mlp64x32x10, Samples<Widest>>(32);
}
