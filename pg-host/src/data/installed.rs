//! Data sets that are too large to bundle, found by name where a package manager has put them. Nothing is downloaded.

use std::path::{Path, PathBuf};

use super::{DataError, Dataset, directory};

/// A data set that can be installed.
pub struct Installed {
    /// What to ask for.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// The names of its classes.
    classes: &'static [&'static str],
    /// Where Debian's package puts it.
    debian: &'static str,
    /// How to get it.
    how: &'static str,
}

/// The names of the classes of Fashion-MNIST.
pub(super) const CLOTHES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

static INSTALLED: [Installed; 1] = [Installed {
    name: "fashion-mnist",
    summary: "clothes, 1x28x28, 10 classes, 60000 to train on and 10000 to test (MIT, Zalando)",
    classes: &CLOTHES,
    debian: "/usr/share/datasets/fashion-mnist",
    how: "on Debian run `apt-get install dataset-fashion-mnist`",
}];

/// The environment variable that names a directory of data sets, each in a directory of its name.
pub const VARIABLE: &str = "PG_DATA";

/// The data sets that can be installed.
pub fn installed() -> &'static [Installed] {
    &INSTALLED
}

impl Installed {
    /// Where it is: under [`VARIABLE`], or where its package puts it.
    pub fn path(&self) -> Option<PathBuf> {
        let own = std::env::var_os(VARIABLE).map(|directory| Path::new(&directory).join(self.name));
        own.into_iter().chain([PathBuf::from(self.debian)]).find(|path| path.is_dir())
    }

    fn load(&self) -> Result<Dataset, DataError> {
        let missing = || DataError::NotInstalled { name: self.name, how: self.how, variable: VARIABLE };
        let mut data = directory::load(&self.path().ok_or_else(missing)?)?;
        data.name = self.name.into();
        if data.classes.len() == self.classes.len() {
            data.classes = self.classes.iter().map(|name| name.to_string()).collect();
            data.numbered = false;
        }
        Ok(data)
    }
}

/// Loads the data set of that name, if it is one of the list.
pub(super) fn load(name: &str) -> Option<Result<Dataset, DataError>> {
    INSTALLED.iter().find(|set| set.name == name).map(Installed::load)
}
