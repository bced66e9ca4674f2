//! Names of classes from a text file, one on a line: `classes.txt` beside arrays that only number their classes.

use std::collections::BTreeSet;
use std::path::Path;

use super::csv::clip;
use super::{DataError, read};

/// The file that names the classes of a directory of arrays.
const FILE: &str = "classes.txt";

/// The names in the directory's `classes.txt`, if it has one.
pub(super) fn of_directory(directory: &Path) -> Result<Option<Vec<String>>, DataError> {
    let path = directory.join(FILE);
    if path.is_file() { from_file(&path).map(Some) } else { Ok(None) }
}

/// The lines of a file; empty ones at its end do not count.
pub(super) fn from_file(path: &Path) -> Result<Vec<String>, DataError> {
    let refuse = |reason: String| DataError::ClassNames { file: path.display().to_string(), reason };
    let bytes = read(path)?;
    let text = str::from_utf8(&bytes).map_err(|_| refuse("is not UTF-8 text; save it as UTF-8".into()))?;
    let names: Vec<String> = text.trim_end().trim_start_matches('\u{feff}').lines().map(|line| line.trim().to_string()).collect();
    if let Some(line) = names.iter().position(String::is_empty) {
        return Err(refuse(format!("has nothing on line {}; each line is the name of a class", line + 1)));
    }
    let mut seen = BTreeSet::new();
    match names.iter().find(|&name| !seen.insert(name)) {
        Some(twin) => Err(refuse(format!("names the class `{}` twice; give each class a name of its own", clip(twin)))),
        None if names.is_empty() => Err(refuse("is empty; each line is the name of a class".into())),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: impl AsRef<[u8]>) -> Result<Vec<String>, String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), text).unwrap();
        of_directory(directory.path()).map(Option::unwrap).map_err(|error| error.to_string())
    }

    #[test]
    fn each_line_is_a_name_and_empty_lines_at_the_end_do_not_count() {
        assert_eq!(names("walking\r\nwalking upstairs\r\n\r\n").unwrap(), ["walking", "walking upstairs"]);
        assert_eq!(of_directory(tempfile::tempdir().unwrap().path()).unwrap(), None);
    }

    #[test]
    fn refuses_gaps_twins_nothing_and_what_is_no_text() {
        for (text, part) in [
            (&b"a\n\nb\n"[..], "has nothing on line 2"),
            (b"a\nb\na\n", "names the class `a` twice"),
            (b"\n", "is empty"),
            (b"a\n\xff\n", "not UTF-8"),
        ] {
            assert!(names(text).unwrap_err().contains(part), "{part}");
        }
    }
}
