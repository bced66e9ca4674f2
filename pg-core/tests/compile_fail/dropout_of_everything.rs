use pg_core::{Network, Sequential, Vector, layers::*};

type Classifier = Sequential<Vector<4>, (Dense<8>, Dropout<100>)>;
const _: () = assert!(<Classifier as Network>::PARAMS == 40);

fn main() {}
