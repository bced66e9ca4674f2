use pg_core::{Image, Network, Sequential, layers::*};

type Classifier = Sequential<Image<1, 4, 4>, (Conv2d<8, 5>, Flatten, Dense<10>)>;
const _: () = assert!(<Classifier as Network>::PARAMS == 298);

fn main() {}
