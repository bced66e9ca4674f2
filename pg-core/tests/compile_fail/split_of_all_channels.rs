use pg_core::{Image, Network, Sequential, layers::*};

type Classifier = Sequential<Image<8, 4, 4>, (Split<8, (), Pointwise<8>>, GlobalAvgPool, Dense<10>)>;
const _: () = assert!(<Classifier as Network>::PARAMS == 98);

fn main() {}
