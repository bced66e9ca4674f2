//! What training takes on this core, in instructions.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use pg_core::form::Samples;
use pg_core::loss::{Loss, Targets};
use pg_core::model_file::Model;
use pg_core::optimiser::Sgd;
use pg_core::perturbation::{Distribution, mirror, noise_scales, perturb};
use pg_core::population::{Batch, Population, Workspace};
use pg_core::{Network, zoo};
use pg_embedded::{Fpu, Stopwatch, console::{self, Line}};
use static_cell::ConstStaticCell;

type Net = zoo::Mlp64x32x10;
type F = Samples<Fpu>;
static MODEL: &[u8] = include_bytes!(env!("PG_MODEL"));
static SAMPLES: &[u8] = include_bytes!("../../samples/digits.bin");
const W: usize = Workspace::len::<Net, F>(8);
static P: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
static M: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
static G: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
static V: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
static S: ConstStaticCell<[f32; Net::FILTERS]> = ConstStaticCell::new([0.0; Net::FILTERS]);
static WS: ConstStaticCell<[f32; W]> = ConstStaticCell::new([0.0; W]);
static X: ConstStaticCell<[f32; 64 * 8]> = ConstStaticCell::new([0.0; 512]);

#[cfg_attr(target_os = "none", cortex_m_rt::entry)]
fn main() -> ! {
    let (p, m, g, v, s, ws, x) = (P.take(), M.take(), G.take(), V.take(), S.take(), WS.take(), X.take());
    let model = Model::decode(MODEL).unwrap();
    model.parameters_into::<Net>(p).unwrap();
    let mut labels = [0u16; 8];
    for (i, (s, out)) in SAMPLES.chunks_exact(65).zip(x.chunks_exact_mut(64)).enumerate() {
        model.normalisation.apply(Net::INPUT, &s[..64], out);
        labels[i] = s[64].into();
    }
    let mut sw = Stopwatch::start();
    let report = |name: &str, t: Option<u32>| Line::new("count").word(name).word("ticks").number(t.unwrap_or(0)).end();
    let loss = Loss::CrossEntropy { label_smoothing: 0.0 };
    let mut workspace = Workspace::new::<Net, F>(8, ws);
    for n in [1usize, 8] {
        for (name, members) in [("K0", 0), ("K4", 4)] {
            let pop = Population { members, rho: 0.3, distribution: Distribution::Rademacher, antithetic: true };
            let batch = Batch { inputs: x, targets: Targets::Classes(&labels), samples: n };
            let (r, t) = sw.ticks(|| pop.gradient::<Net, F>(&loss, 1, 0, p, &batch, s, m, &mut workspace, g));
            r.unwrap();
            report(name, t);
        }
    }
    let pop = Population { members: 4, rho: 0.3, distribution: Distribution::Rademacher, antithetic: true };
    let st = pop.stream(1, 0, 0);
    report("scales", sw.ticks(|| noise_scales::<Net, Fpu>(0.3, p, s)).1);
    report("perturb", sw.ticks(|| perturb::<Net, Fpu>(Distribution::Rademacher, &st, p, s, m)).1);
    report("gaussian", sw.ticks(|| perturb::<Net, Fpu>(Distribution::Gaussian, &st, p, s, m)).1);
    report("mirror", sw.ticks(|| mirror::<Fpu>(p, m)).1);
    let sgd = Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    report("sgd", sw.ticks(|| sgd.step::<Fpu>(0.01, g, v, p)).1);
    console::end(true)
}
