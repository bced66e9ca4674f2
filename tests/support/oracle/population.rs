//! The population gradient by its definition, in `f64`: members made number by number, each member's gradient by central differences, and
//! the ways to combine them as they are written in a paper. Only the unit noise is pg-core's.

use pg_core::Network;
use pg_core::layers::SegmentKind;
use pg_core::noise::{GROUP, Purpose, Stream};
use pg_core::perturbation::{Distribution, ScaleRule};
use pg_core::population::{BatchMode, Combine, Population};

use super::{Loss, Mode, Oracle};

/// The unit noise of a pair, for every parameter.
fn unit_noise(distribution: Distribution, stream: &Stream, count: usize) -> Vec<f64> {
    let groups = (0..count.div_ceil(GROUP) as u32).flat_map(|group| {
        let mut numbers = [0.0; GROUP];
        match distribution {
            Distribution::Gaussian => stream.normals::<f32>(group, &mut numbers),
            Distribution::Uniform => stream.uniforms::<f32>(group, &mut numbers),
            Distribution::Rademacher | Distribution::RankOne => stream.signs(group, &mut numbers),
        }
        numbers
    });
    groups.take(count).map(f64::from).collect()
}

/// The sign of a filter in noise of rank 1.
fn unit_sign(stream: &Stream, filter: usize) -> f64 {
    let mut signs = [0.0; GROUP];
    stream.signs((1 << 31) + (filter / GROUP) as u32, &mut signs);
    signs[filter % GROUP].into()
}

fn norm(numbers: &[f64]) -> f64 {
    numbers.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The noise of member `k`, for every parameter.
pub fn noise<N: Network>(population: &Population, seed: u64, step: u32, k: u32, theta: &[f32]) -> Vec<f64> {
    let (pair, sign) = if population.antithetic { (k / 2, [1.0, -1.0][k as usize % 2]) } else { (k, 1.0) };
    let stream = Stream::new(seed, Purpose::Members, step, pair);
    let z = unit_noise(population.noise.distribution, &stream, N::PARAMS);
    let mut filters = 0;
    let theta: Vec<f64> = theta.iter().map(|&t| t.into()).collect();
    let rho = f64::from(population.noise.rho);
    let mut noise = vec![0.0; N::PARAMS];
    let mut layer = 0;
    N::segments(&mut |segment| {
        let targets = population.noise.targets;
        if [SegmentKind::Weight, SegmentKind::Gain].contains(&segment.kind) {
            layer += 1;
        }
        let first_filter = filters;
        if segment.kind == SegmentKind::Weight {
            filters += segment.filters;
        }
        let (kind, rows) = match segment.kind {
            SegmentKind::Weight => (targets.weights, segment.filters),
            SegmentKind::Bias => (targets.biases, 1),
            SegmentKind::Gain => (targets.gains, 1),
            _ => (false, 1),
        };
        if !kind || layer < targets.first_layer || layer > targets.last_layer {
            return;
        }
        let length = segment.range().len() / rows;
        for (r, row) in segment.range().step_by(length).map(|first| first..first + length).enumerate() {
            let w = &theta[row.clone()];
            let z = match population.noise.distribution {
                // One row of signs for all filters, and one sign for each filter.
                Distribution::RankOne if segment.kind == SegmentKind::Weight => {
                    let s = unit_sign(&stream, first_filter + r);
                    z[segment.offset..][..length].iter().map(|t| s * t).collect()
                }
                _ => z[row.clone()].to_vec(),
            };
            for (i, noise) in noise[row].iter_mut().enumerate() {
                *noise = sign
                    * match population.noise.scale {
                        ScaleRule::Filter => rho * norm(w) / (length as f64).sqrt() * z[i],
                        ScaleRule::FilterExact => rho * norm(w) / norm(&z) * z[i],
                        ScaleRule::Weight => rho * w[i].abs() * z[i],
                        ScaleRule::Absolute => rho * z[i],
                    };
            }
        }
    });
    noise
}

/// The gradient and the mean loss of the members over samples of these classes, without masks; `skipped` members do not count.
pub fn gradient<N: Network>(
    population: &Population,
    seed: u64,
    step: u32,
    theta: &[f32],
    inputs: &[f32],
    labels: &[u16],
    skipped: &[u32],
) -> (Vec<f64>, f64) {
    let oracle = Oracle::of::<N>();
    let (width, samples) = (N::INPUT.len(), labels.len());
    let of = |theta: &[f32], from: usize, to: usize| {
        let (inputs, loss) = (&inputs[from * width..to * width], Loss::CrossEntropy(0.0, &labels[from..to]));
        let exact: Vec<f64> = theta.iter().map(|&t| t.into()).collect();
        (oracle.finite_differences(theta, inputs, Mode::Estimate, loss), oracle.loss(&exact, inputs, Mode::Estimate, loss).0)
    };
    let divided = population.batch != BatchMode::Shared;
    let running = if divided { population.members.min(samples as u32) } else { population.members };
    let part = |k: u32| if divided { samples * k as usize / running as usize } else { 0 };
    let end = |k: u32| if divided { samples * (k as usize + 1) / running as usize } else { samples };
    let members: Vec<(f64, Vec<f64>, f64)> = (0..running)
        .filter(|k| !skipped.contains(k))
        .map(|k| {
            let noise = noise::<N>(population, seed, step, k, theta);
            let moved: Vec<f32> = theta.iter().zip(noise).map(|(&t, e)| (f64::from(t) + e) as f32).collect();
            let (gradient, loss) = of(&moved, part(k), end(k));
            ((end(k) - part(k)) as f64, gradient, loss)
        })
        .collect();
    // Every sample counts alike, unless weights say otherwise.
    let lowest = members.iter().map(|(_, _, loss)| *loss).fold(f64::INFINITY, f64::min);
    let weight = |(size, _, loss): &(f64, Vec<f64>, f64)| match population.combine {
        Combine::Softmax { tau } => size * (-(loss - lowest) / f64::from(tau)).exp(),
        _ => *size,
    };
    let total: f64 = members.iter().map(weight).sum();
    let seen: f64 = members.iter().map(|(size, _, _)| size).sum();
    let mut mean = vec![0.0; N::PARAMS];
    for member in &members {
        mean.iter_mut().zip(&member.1).for_each(|(mean, g)| *mean += weight(member) / total * g);
    }
    if let Combine::Clean { lambda } = population.combine {
        let lambda = f64::from(lambda);
        let (clean, _) = of(theta, 0, if population.batch == BatchMode::Fresh { end(0) } else { samples });
        mean.iter_mut().zip(clean).for_each(|(mean, g)| *mean = (1.0 - lambda) * *mean + lambda * g);
    }
    (mean, members.iter().map(|(size, _, loss)| size * loss).sum::<f64>() / seen)
}
