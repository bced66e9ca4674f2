//! The home of the end-to-end tests in this folder, and what they share: an estimator that lends pg-core its memory, random
//! numbers, and oracles in `f64`.

pub mod oracle;

use pg_core::Network;
use pg_core::form::Form;
use pg_core::loss::{Loss, Targets};
use pg_core::noise::{GROUP, Purpose, Stream};
use pg_core::population::{Batch, Population, StepError, Workspace};
use pg_core::sharing::{Share, Slices, cut};

/// `count` standard normals; another `seed`, other numbers.
pub fn normals(seed: u64, count: usize) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Initialise, 0, 7);
    let groups = (0..count.div_ceil(GROUP) as u32).flat_map(|group| {
        let mut numbers = [0.0; GROUP];
        stream.normals::<f32>(group, &mut numbers);
        numbers
    });
    groups.take(count).collect()
}

/// `count` random classes.
pub fn labels(seed: u64, count: usize, classes: usize) -> Vec<u16> {
    let stream = Stream::new(seed, Purpose::Shuffle, 0, 7);
    (0..count as u32).map(|i| stream.below(i, classes as u32) as u16).collect()
}

/// Parameters of about the size that training gives them, biases too.
pub fn parameters<N: Network>(seed: u64) -> Vec<f32> {
    normals(seed, N::PARAMS).into_iter().map(|normal| 0.4 * normal).collect()
}

/// Random samples with a class and a row of values each, of which a batch takes the first few.
pub struct Samples {
    inputs: Vec<f32>,
    labels: Vec<u16>,
    seconds: Vec<u16>,
    shares: Vec<f32>,
    values: Vec<f32>,
}

impl Samples {
    /// `count` samples for the inputs and outputs of `N`.
    pub fn random<N: Network>(seed: u64, count: usize) -> Self {
        Self {
            inputs: normals(seed, count * N::INPUT.len()),
            labels: labels(seed, count, N::OUTPUTS),
            seconds: labels(seed + 2000, count, N::OUTPUTS),
            // Both ends are among them.
            shares: (0..count).map(|n| (n * 5 % 8) as f32 / 7.0).collect(),
            values: normals(seed + 1000, count * N::OUTPUTS),
        }
    }

    /// The samples from `first` up to `end`, with the targets that `loss` takes.
    pub fn batch<N: Network>(&self, loss: &Loss, first: usize, end: usize) -> Batch<'_> {
        let targets = match loss {
            Loss::CrossEntropy { .. } => Targets::Classes(&self.labels),
            Loss::MeanSquaredError => Targets::Values(&self.values),
        };
        let inputs = &self.inputs[first * N::INPUT.len()..end * N::INPUT.len()];
        Batch { inputs, targets: targets.range(first, end, N::OUTPUTS), samples: end - first }
    }

    /// The first `count` samples with two classes each; `share` of all of them is the first class, without it each has its own share.
    pub fn mixed_batch<N: Network>(&mut self, count: usize, share: Option<f32>) -> Batch<'_> {
        if let Some(share) = share {
            self.shares.fill(share);
        }
        let targets = Targets::Mixed { first: &self.labels, second: &self.seconds, share: &self.shares };
        Batch { inputs: &self.inputs[..count * N::INPUT.len()], targets: targets.range(0, count, N::OUTPUTS), samples: count }
    }
}

/// The seed of every run of [`gradient`].
pub const SEED: u64 = 0x5eed_0000_0017;

/// [`Population::gradient`] in memory of its own, filled with garbage beforehand: the gradient, the loss.
pub fn gradient<N: Network, F: Form>(
    population: &Population,
    loss: &Loss,
    step: u32,
    parameters: &[f32],
    batch: &Batch,
) -> Result<(Vec<f32>, f32), StepError> {
    gradient_by::<N, F>(None, population, loss, step, parameters, batch)
}

/// Does all work in pieces of so many units, the last piece first.
pub struct Pieces(pub usize);

impl Share for Pieces {
    fn share(&self, to: Slices, units: [usize; 3], _: usize, work: &(dyn Fn(usize, Slices) + Sync)) {
        let all = to[0].len().div_ceil(units[0]);
        let mut rest = to;
        let pieces: Vec<_> = (0..all).step_by(self.0).map(|first| (first, cut(&mut rest, units, self.0))).collect();
        assert!(rest.iter().all(|rest| rest.is_empty()), "all slices have as many units");
        pieces.into_iter().rev().for_each(|(first, pieces)| work(first, pieces));
    }
}

/// [`gradient`], with whoever shares the work.
pub fn gradient_by<N: Network, F: Form>(
    share: Option<&dyn Share>,
    population: &Population,
    loss: &Loss,
    step: u32,
    parameters: &[f32],
    batch: &Batch,
) -> Result<(Vec<f32>, f32), StepError> {
    const GARBAGE: f32 = -1.5e30;
    let mut scales = vec![GARBAGE; N::FILTERS];
    let mut weights = vec![GARBAGE; population.members_len::<N, F>(batch.samples)];
    let threads = if share.is_some() { 3 } else { 1 };
    let mut memory = vec![GARBAGE; Workspace::len_shared::<N, F>(batch.samples, threads)];
    let mut workspace = match share {
        None => Workspace::new::<N, F>(batch.samples, &mut memory),
        Some(share) => Workspace::shared::<N, F>(batch.samples, threads, share, &mut memory),
    };
    let mut gradient = vec![GARBAGE; N::PARAMS];
    let estimate =
        population.gradient::<N, F>(loss, SEED, step, parameters, batch, &mut scales, &mut weights, &mut workspace, &mut gradient)?;
    assert_eq!(estimate.skipped, 0, "every member counts");
    Ok((gradient, estimate.loss))
}

/// Their bits, for comparison.
pub fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// The CRC-32 of zip and Ethernet, bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0xedb8_8320)))
}
