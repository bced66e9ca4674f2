//! The loops behind the layers: functions over slices and sizes, one source for every form and lane. They own no memory, and they know
//! nothing of networks.

pub(crate) mod convolution;
pub(crate) mod depthwise;
pub(crate) mod product;
pub(crate) mod scalar;
pub(crate) mod sum;
pub(crate) mod transpose;
pub(crate) mod window;
