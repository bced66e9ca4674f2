//! Data sets that a package of the operating system brings: known by name, found where the package puts them.
//!
//! Nothing is downloaded. `PG_DATA` names a directory that is looked into first; what else lies there is known by name too.

use std::path::{Path, PathBuf};

use super::{DataError, Dataset, directory};

/// A data set of a package.
pub struct Installed {
    /// What to ask for, and the name of its directory.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Who made it, and under which licence.
    pub credit: &'static str,
    /// Debian's package.
    pub package: &'static str,
    classes: &'static [&'static str],
}

/// The classes of Fashion-MNIST, by label.
pub(super) const FASHION: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

static INSTALLED: [Installed; 1] = [Installed {
    name: "fashion-mnist",
    summary: "clothes, 1x28x28, 10 classes, 60000 to train on and 10000 to test",
    credit: "Zalando SE, MIT",
    package: "dataset-fashion-mnist",
    classes: &FASHION,
}];

/// The variable of a directory that holds `fashion-mnist/`.
const VARIABLE: &str = "PG_DATA";

/// Where Debian's packages put data sets.
const DEBIAN: &str = "/usr/share/datasets";

/// The data sets that a package brings, whether they are there or not.
pub fn installed() -> &'static [Installed] {
    &INSTALLED
}

impl Installed {
    /// Its directory, if it is on this machine.
    pub fn find(&self) -> Option<PathBuf> {
        let own = std::env::var_os(VARIABLE).map(PathBuf::from);
        self.find_in(own.as_deref().into_iter().chain([Path::new(DEBIAN)]))
    }

    fn find_in<'a>(&self, roots: impl IntoIterator<Item = &'a Path>) -> Option<PathBuf> {
        roots.into_iter().map(|root| root.join(self.name)).find(|directory| directory.is_dir())
    }

    fn load(&self, found: Option<PathBuf>) -> Result<Dataset, DataError> {
        let directory = found.ok_or(DataError::NotInstalled { name: self.name, package: self.package, variable: VARIABLE })?;
        let names = self.classes.iter().map(|name| name.to_string()).collect();
        let data = directory::load_named(&directory, Some(names))?;
        Ok(Dataset { name: self.name.into(), ..data })
    }
}

/// The directory of that name in the directory that `PG_DATA` names: data of your own, known by name.
pub(super) fn own(name: &str) -> Option<PathBuf> {
    let plain = Path::new(name).components().count() == 1 && !name.starts_with('.');
    let directory = PathBuf::from(std::env::var_os(VARIABLE)?).join(name);
    (plain && directory.is_dir()).then_some(directory)
}

/// Loads the data set of that name, if there is one.
pub(super) fn load(name: &str) -> Option<Result<Dataset, DataError>> {
    INSTALLED.iter().find(|set| set.name == name).map(|set| set.load(set.find()))
}

#[cfg(test)]
mod tests {
    use super::super::idx::tests::idx;
    use super::*;

    #[test]
    fn a_set_is_taken_from_the_first_directory_that_holds_it_and_has_its_classes() {
        let [without, with] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let set = &INSTALLED[0];
        let directory = with.path().join(set.name);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("train-images-idx3-ubyte"), idx(8, &[2, 2, 2], &[5; 8])).unwrap();
        std::fs::write(directory.join("train-labels-idx1-ubyte"), idx(8, &[2], &[9, 0])).unwrap();
        let found = set.find_in([without.path(), with.path()]);
        assert_eq!(found.as_deref(), Some(&*directory));
        let data = set.load(found).unwrap();
        assert_eq!((&data.name[..], &data.classes[9][..], data.numbered), ("fashion-mnist", "Ankle boot", false));
    }

    #[test]
    fn a_set_that_is_not_there_says_how_to_get_it() {
        let text = INSTALLED[0].load(None).unwrap_err().to_string();
        assert_eq!(
            text,
            "fashion-mnist is not on this machine: on Debian and Ubuntu `apt-get install -y dataset-fashion-mnist` brings it; elsewhere put \
             its IDX files into DIRECTORY/fashion-mnist and set PG_DATA=DIRECTORY"
        );
    }
}
