use pg_core::{Network, Sequential, Vector, layers::*};

type Classifier = Sequential<Vector<4>, (Dense<8>, Concat<(Relu, Dense<8>)>, Dense<3>)>;
const _: () = assert!(<Classifier as Network>::PARAMS == 163);

fn main() {}
