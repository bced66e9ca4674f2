//! The heap of a training run does not grow with the population. Without the test harness, whose threads would be counted too.

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use pg_core::initialise::Initialise;
use pg_core::loss::Loss;
use pg_core::optimiser::{Optimiser, Sgd};
use pg_core::population::{BatchMode, Combine, Population};
use pg_core::schedule::{Course, Schedule};
use pg_host::data::Samples;
use pg_host::training::{End, Observer, Recipe, train};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes in use, and bytes ever asked for.
fn heap() -> (usize, usize) {
    let stats = HEAP.stats();
    let grown = stats.bytes_reallocated;
    ((stats.bytes_allocated - stats.bytes_deallocated).wrapping_add_signed(grown), stats.bytes_allocated)
}

/// Notes the most bytes in use at the end of a step, and what the steps asked for.
struct Watch {
    peak: usize,
    first: Option<usize>,
    asked: usize,
}

impl Observer for Watch {
    fn step(&mut self, _: usize, _: f32) -> bool {
        let (used, asked) = heap();
        self.peak = self.peak.max(used);
        self.asked = asked - *self.first.get_or_insert(asked);
        true
    }
}

/// The peak above what was in use before, and the bytes that the steps after the first asked for.
fn run(population: Population, threads: usize) -> (usize, usize) {
    let zoo = pg_host::zoo();
    let entry = zoo.iter().find(|entry| entry.name() == "mlp-64-32-10").unwrap();
    let inputs = (0..40 * 64).map(|i| (i % 17) as f32 / 17.0).collect();
    let samples = Arc::new(Samples { inputs, labels: (0..40).map(|i| i % 10).collect() });
    let recipe = Recipe {
        epochs: 2,
        batch: 16,
        rate: 0.01,
        schedule: Schedule::new(Course::Constant),
        optimiser: Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 }),
        decays_weights_only: false,
        clip_norm: None,
        clip_value: None,
        average: None,
        sam: None,
        population,
        loss: Loss::CrossEntropy { label_smoothing: 0.0 },
        initialise: Initialise::AUTO,
        augmentation: "shift=1,flip,noise=0.1,cutout=3,mixup=0.2".parse().unwrap(),
        seed: 1,
        threads,
    };
    // The threads of the run before give their memory back when they end.
    std::thread::sleep(Duration::from_millis(20));
    let (before, _) = heap();
    let mut watch = Watch { peak: 0, first: None, asked: 0 };
    let trained = train(entry.network(), &recipe, &samples, &mut watch);
    assert_eq!((trained.end, trained.steps, trained.threads), (End::Complete, 6, threads));
    (watch.peak - before, watch.asked)
}

fn main() {
    let modes = [BatchMode::Shared, BatchMode::Split, BatchMode::Fresh];
    let rules = [Combine::Mean, Combine::Clean { lambda: 0.5 }, Combine::Softmax { tau: 1.0 }];
    let kinds = || modes.into_iter().flat_map(|batch| rules.map(|combine| Population { batch, combine, ..Population::new(0, 0.5) }));
    // First all with one thread: the threads of a run may still be ending in the next.
    for kind in kinds() {
        let (few, asked_by_few) = run(Population { members: 2, ..kind }, 1);
        let (many, asked_by_many) = run(Population { members: 64, ..kind }, 1);
        assert!(few > 50_000, "the counter counts: {few}");
        assert_eq!((few, asked_by_few), (many, asked_by_many), "one thread, {kind:?}");
        assert_eq!(asked_by_many, 0, "a step takes nothing from the heap: {kind:?}");
    }
    for kind in kinds() {
        let (few, _) = run(Population { members: 2, ..kind }, 2);
        let (many, _) = run(Population { members: 64, ..kind }, 2);
        // The bookkeeping of the threads varies; 62 members would be 600,000 bytes.
        assert!(many < few + 50_000, "two threads, {kind:?}: {few} and {many}");
    }
    println!("the heap of 2 members is that of 64 in every mode: ok");
}
