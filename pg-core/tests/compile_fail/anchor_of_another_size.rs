use pg_core::{Network, Sequential, Vector, layers::*};

type Classifier = Sequential<Vector<9>, (Dense<24>, Relu, Dense<11>)>;
const _: () = assert!(<Classifier as Network>::PARAMS == 514, "mlp-9-24-11 has 514 parameters");

fn main() {}
