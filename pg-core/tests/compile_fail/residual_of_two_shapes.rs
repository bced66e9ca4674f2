use pg_core::{Image, Network, Sequential, layers::*};

type Classifier = Sequential<Image<8, 4, 4>, (Residual<(Conv2d<16, 3, 2, 1>, BatchNorm)>, GlobalAvgPool, Dense<10>)>;
const _: () = assert!(<Classifier as Network>::PARAMS == 1402);

fn main() {}
