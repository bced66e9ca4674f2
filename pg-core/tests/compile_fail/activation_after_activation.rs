use pg_core::{Network, Sequential, Vector, layers::*};

type Classifier = Sequential<Vector<4>, (Dense<8>, Relu, Tanh, Dense<3>)>;
const _: () = assert!(<Classifier as Network>::PARAMS == 67);

fn main() {}
