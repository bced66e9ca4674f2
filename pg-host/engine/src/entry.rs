//! The list of networks that the program offers: a name, a family, a type.
//!
//! ```
//! use pg_core::{Network, Sequential, Vector, layers::{Dense, Relu}};
//! type Mine = Sequential<Vector<4>, (Dense<8>, Relu, Dense<3>)>;
//! let networks = [pg_engine::Entry::new::<Mine>("mine", "mlp")];
//! assert_eq!(networks[0].network().sizes().params, Mine::PARAMS);
//! ```

use std::marker::PhantomData;

use pg_core::network::Foldable;
#[cfg(feature = "zoo")]
use pg_core::zoo;

use crate::any_network::{AnyNetwork, Known};

/// One network of the list.
pub struct Entry {
    name: &'static str,
    family: &'static str,
    network: Box<dyn AnyNetwork>,
}

impl Entry {
    /// Network `N` under the name that `--net` takes; the family groups alike networks in tables.
    pub fn new<N: Foldable>(name: &'static str, family: &'static str) -> Self {
        Self { name, family, network: Box::new(Known::<N>(PhantomData)) }
    }

    /// What `--net` takes.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The kind of network.
    pub fn family(&self) -> &'static str {
        self.family
    }

    /// The network.
    pub fn network(&self) -> &dyn AnyNetwork {
        &*self.network
    }
}

/// The ready networks of pg-core, the default first.
#[cfg(feature = "zoo")]
pub fn zoo() -> Vec<Entry> {
    vec![
        Entry::new::<zoo::Mlp64x64x32x10>("mlp-64-64-32-10", "mlp"),
        Entry::new::<zoo::Mlp64x32x10>("mlp-64-32-10", "mlp"),
        Entry::new::<zoo::Mlp64x128x64x10>("mlp-64-128-64-10", "mlp"),
        Entry::new::<zoo::Mlp64x64x32x10Norm>("mlp-64-64-32-10-norm", "mlp"),
        Entry::new::<zoo::Mlp64x64x32x10Dropout>("mlp-64-64-32-10-dropout", "mlp"),
        Entry::new::<zoo::Mlp784x128x10>("mlp-784-128-10", "mlp"),
        Entry::new::<zoo::Mlp784x128x10Norm>("mlp-784-128-10-norm", "mlp"),
        Entry::new::<zoo::Mlp784x128x10Dropout>("mlp-784-128-10-dropout", "mlp"),
        Entry::new::<zoo::Mlp9x24x11>("mlp-9-24-11", "mlp"),
        Entry::new::<zoo::Lenet28>("lenet-28", "lenet"),
        Entry::new::<zoo::Lenet32>("lenet-32", "lenet"),
        Entry::new::<zoo::Resnet28>("resnet-28", "resnet"),
        Entry::new::<zoo::Resnet32>("resnet-32", "resnet"),
        Entry::new::<zoo::Mobilenet28>("mobilenet-28", "mobilenet"),
        Entry::new::<zoo::Mobilenet32>("mobilenet-32", "mobilenet"),
        Entry::new::<zoo::Densenet28>("densenet-28", "densenet"),
        Entry::new::<zoo::Densenet32>("densenet-32", "densenet"),
        Entry::new::<zoo::Shufflenet28>("shufflenet-28", "shufflenet"),
        Entry::new::<zoo::Shufflenet32>("shufflenet-32", "shufflenet"),
        Entry::new::<zoo::Conv1d3x64>("conv1d-3x64", "conv1d"),
        Entry::new::<zoo::Conv1d6x128>("conv1d-6x128", "conv1d"),
        Entry::new::<zoo::Mlp192x32x6>("mlp-192-32-6", "mlp"),
    ]
}
