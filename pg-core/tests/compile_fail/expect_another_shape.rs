use pg_core::{Image, Network, Sequential, layers::*};

type Classifier = Sequential<Image<1, 8, 8>, (Expect<3, 8, 8>, Flatten, Dense<10>)>;
const _: () = assert!(<Classifier as Network>::PARAMS == 1930);

fn main() {}
