use pg_core::{Image, Network, Sequential, layers::{window::Window, *}};

type Classifier = Sequential<Image<3, 4, 4>, (Conv<8, Window<3>, 2>, Flatten, Dense<10>)>;
const _: () = assert!(<Classifier as Network>::PARAMS == 438);

fn main() {}
