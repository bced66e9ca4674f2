use pg_core::{Network, Sequential, Vector, layers::*};

/// The loss contains the softmax; a network has none.
struct Softmax;

type Classifier = Sequential<Vector<4>, (Dense<3>, Softmax)>;
const _: () = assert!(<Classifier as Network>::PARAMS == 15);

fn main() {}
