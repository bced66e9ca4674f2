//! A perceptron of 101,770 parameters, to be trained in 16 KB of RAM.
use pg_core::{Network, tuner::Settings, zoo::Mlp784x128x10 as Net};
use pg_embedded::{Fpu, MemoryPlan, board};

const PLAN: MemoryPlan<2> = MemoryPlan([
    ("parameters", 4 * Net::PARAMS),
    ("tuner", 4 * Settings::DEFAULT.needs().sizes::<Net, Fpu, 8>().sum()),
]);
const _: () = PLAN.check(board::named("microbit"));

fn main() {}
