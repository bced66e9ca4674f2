//! What a tuner says of itself: what is to be saved, what it saw, what a step came to.

use serde::{Deserialize, Serialize};

/// Everything that the next step reads beside the parameters, the velocity, the best parameters and the ring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The seed of noise, masks and replay.
    pub seed: u64,
    /// Steps so far: also the cursor of the replay.
    pub step: u32,
    /// The lowest loss on the held-out samples, in nats; infinite before the first look.
    pub best_loss: f32,
    /// The step after which it was found.
    pub best_step: u32,
    /// Looks in a row since then.
    pub looks: u32,
    /// Whether the parameters of the best look are kept in the lent memory.
    pub kept: bool,
    /// Whether tuning has stopped.
    pub stopped: bool,
}

impl State {
    /// Before a first look, at this step.
    pub const fn first(seed: u64, step: u32) -> Self {
        Self { seed, step, best_loss: f32::INFINITY, best_step: step, looks: 0, kept: false, stopped: false }
    }
}

/// What the tuner saw in the held-out samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// The mean loss, in nats.
    pub loss: f32,
    /// Samples of which the class was right.
    pub right: u32,
    /// Samples.
    pub samples: u32,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The number of the step, from 0.
    pub step: u32,
    /// The mean loss of its batch over the members, in nats.
    pub loss: f32,
    /// The look after it, when one was due.
    pub look: Option<Look>,
    /// Whether tuning stopped, and the best parameters are back.
    pub stopped: bool,
}
