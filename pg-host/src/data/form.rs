//! Which form a directory has: told by the names of what is in it, never by the contents.

use std::path::Path;

use super::{DataError, Dataset, arrays, cifar, directory, pictures, svhn};

/// Loads a directory in any form.
pub(super) fn load(path: &Path) -> Result<Dataset, DataError> {
    if directory::is_here(path) {
        directory::load(path)
    } else if let Some(which) = cifar::in_directory(path) {
        cifar::load(path, which)
    } else if svhn::is_here(path) {
        svhn::load(path)
    } else if arrays::is_here(path) {
        arrays::load(path)
    } else if pictures::is_here(path) {
        pictures::load(path)
    } else {
        Err(DataError::NoForm { directory: path.into() })
    }
}
