use pg_core::{Image, Network, Sequential, layers::*};

type Classifier = Sequential<Image<8, 4, 4>, (Parallel<Pointwise<8>, Conv2d<8, 3>>, GlobalAvgPool, Dense<10>)>;
const _: () = assert!(<Classifier as Network>::PARAMS == 818);

fn main() {}
