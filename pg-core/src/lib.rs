//! Networks of fixed size as types, and the population gradient, without a heap.
//!
//! pg-core is the part of pg that the desktop and the microcontroller share. It knows no file, clock, thread, board or
//! allocator: callers lend the memory, whose sizes are constants of the network. ARCHITECTURE.md in the repository draws
//! the whole.
//!
//! The modules, in the order in which to read them: [`shape`], [`lane`], [`form`], [`sharing`], [`layers`], [`network`], [`loss`],
//! [`noise`], [`population`], [`optimiser`], [`schedule`], [`initialise`], [`normalisation`], [`floats`], [`model_file`], [`zoo`];
//! [`tuner`], [`link`] and [`store`] serve a device that learns after deployment, [`learner`] is that device, and [`classifier`] one
//! with too little memory to learn.
#![no_std]
#![forbid(unsafe_code)]

pub mod average;
pub mod classifier;
pub mod clip;
pub mod floats;
pub mod form;
pub mod initialise;
pub mod lane;
pub mod layers;
pub mod learner;
pub mod link;
pub mod loss;
pub mod math;
pub mod model_file;
pub mod network;
pub mod noise;
pub mod normalisation;
pub mod optimiser;
pub mod perturbation;
pub mod population;
pub mod sam;
pub mod schedule;
pub mod shape;
pub mod sharing;
pub mod store;
pub mod tuner;
pub mod zoo;

mod kernels;

pub use lane::{Lane, Widest, f32x4, f32x8, f32x16};
pub use network::{Folded, Network, Sequential};
pub use shape::{Image, Shape, Shaped, Vector};
