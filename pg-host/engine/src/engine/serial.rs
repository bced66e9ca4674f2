//! One pass after another, samples in lanes: the core's gradient with memory of its own. Several threads share the larger parts of each pass.

use std::marker::PhantomData;

use pg_core::form::Samples;
use pg_core::population::{Estimate, Source, StepError, Workspace};
use pg_core::{Network, Widest};

use super::{Crew, Engine, Task};
use crate::memory::Memory;

type Form = Samples<Widest>;

pub(super) struct Serial<N> {
    task: Task,
    crew: Crew,
    scales: Memory,
    weights: Memory,
    workspace: Memory,
    network: PhantomData<fn() -> N>,
}

impl<N: Network> Serial<N> {
    pub(super) fn new(task: Task, crew: Crew) -> Self {
        Self {
            task,
            workspace: Memory::zeros(Workspace::len_shared::<N, Form>(task.batch, crew.threads())),
            crew,
            scales: Memory::zeros(N::FILTERS),
            weights: Memory::zeros(task.population.members_len::<N, Form>(task.batch)),
            network: PhantomData,
        }
    }
}

impl<N: Network> Engine for Serial<N> {
    fn gradient(&mut self, step: u32, parameters: &[f32], source: &mut dyn Source, gradient: &mut [f32]) -> Result<Estimate, StepError> {
        assert_eq!(gradient.len(), N::PARAMS, "a number for each parameter");
        let Self { task: Task { population, loss, seed, steps, .. }, scales, weights, .. } = self;
        let population = population.at(step, *steps);
        let mut workspace = self.crew.workspace::<N, Form>(self.task.batch, &mut self.workspace);
        population.gradient_of::<N, Form>(loss, *seed, step, parameters, source, scales, weights, &mut workspace, gradient)
    }

    fn crew(&self) -> &Crew {
        &self.crew
    }

    fn memory_bytes(&self) -> usize {
        4 * (self.scales.len() + self.weights.len() + self.workspace.len())
    }

    fn at_once(&self) -> usize {
        self.task.batch
    }
}
