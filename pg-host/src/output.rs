//! Writing result files: the whole new file, or the old one untouched.
//!
//! A file is written under another name beside its target, brought to the disk, then renamed. Nothing here knows what is written.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Why a file was not written. Each text is a whole sentence: the causes are in it, not behind `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The path has no file name, or is that of a directory.
    #[error("{} cannot be written: it is a directory; give the name of a file", .0.display())]
    IsDirectory(PathBuf),
    /// The directory is not there.
    #[error("{} cannot be written: there is no directory {}; create it first", path.display(), directory.display())]
    NoDirectory {
        /// The file.
        path: PathBuf,
        /// Its directory.
        directory: PathBuf,
    },
    /// The file is there and protected.
    #[error("{} cannot be written: it is read-only; give another name or make it writable", .0.display())]
    ReadOnly(PathBuf),
    /// The system does not allow it.
    #[error("{} cannot be written: permission denied; give a path in a directory that you may write to", .0.display())]
    Denied(PathBuf),
    /// No room, or a quota that is used up.
    #[error("{} cannot be written: no space left for it; what was there before is untouched", .0.display())]
    NoSpace(PathBuf),
    /// Anything else.
    #[error("{} cannot be written: {reason}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
}

/// Writes a file so that at every moment, also after a crash or an error, there is the old file or the whole new one.
///
/// A symbolic link stays and its target is replaced; an existing file keeps its permissions, a new one has those of any new file. A device
/// or a pipe
/// (`/dev/null`, `/dev/stdout`) holds nothing to protect and is written straight.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    write_with(path, |file| file.write_all(bytes))
}

/// Finds out whether [`write_atomically`] can write there, before work is done for it. The path itself is not touched.
pub fn check_writable(path: &Path) -> Result<(), OutputError> {
    match Target::at(path)? {
        // Opening a pipe would wait for its reader, or end it.
        Target::Stream => Ok(()),
        Target::File { directory, permissions, .. } => temporary(path, &directory, permissions).map(drop),
    }
}

/// What is to be written to.
enum Target {
    /// A file in a directory, with the permissions it is to have.
    File { real_path: PathBuf, directory: PathBuf, permissions: Option<Permissions> },
    /// A device or a pipe.
    Stream,
}

impl Target {
    fn at(path: &Path) -> Result<Self, OutputError> {
        let ends_in_slash = path.as_os_str().as_encoded_bytes().last().is_some_and(|&last| std::path::is_separator(last.into()));
        if path.file_name().is_none() || ends_in_slash {
            return Err(OutputError::IsDirectory(path.into()));
        }
        let permissions = match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => return Err(OutputError::IsDirectory(path.into())),
            Ok(meta) if !meta.is_file() => return Ok(Target::Stream),
            Ok(meta) if meta.permissions().readonly() => return Err(OutputError::ReadOnly(path.into())),
            Ok(meta) => Some(meta.permissions()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(refusal(path, error)),
        };
        // Of an existing file the real path: behind a symbolic link lies what is to be replaced.
        let real_path = if permissions.is_some() { path.canonicalize().map_err(|reason| refusal(path, reason))? } else { path.into() };
        let directory = directory_of(&real_path).into();
        Ok(Target::File { real_path, directory, permissions })
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_with(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), OutputError> {
    let io = |reason| refusal(path, reason);
    match Target::at(path)? {
        Target::Stream => File::options().write(true).open(path).and_then(|mut file| write(&mut file)).map_err(io),
        Target::File { real_path, directory, permissions } => {
            // Whatever fails before the rename, dropping `file` removes it.
            let mut file = temporary(path, &directory, permissions)?;
            write(file.as_file_mut()).map_err(io)?;
            file.as_file().sync_all().map_err(io)?;
            file.persist(real_path).map_err(|error| io(error.error))?;
            // The rename reaches the disk with the directory. Where a directory cannot be synchronised the file is in place all the same.
            let _ = File::open(directory).and_then(|directory| directory.sync_all());
            Ok(())
        }
    }
}

/// A file beside the target that removes itself, with the permissions of the old file or those of any new one.
fn temporary(path: &Path, directory: &Path, permissions: Option<Permissions>) -> Result<tempfile::NamedTempFile, OutputError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pg-").suffix(".part");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
    let file = builder.tempfile_in(directory).map_err(|error| refusal(path, error))?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions).map_err(|error| refusal(path, error))?;
    }
    Ok(file)
}

/// The sentence for what the system says.
fn refusal(path: &Path, reason: io::Error) -> OutputError {
    let (path, directory) = (path.to_path_buf(), directory_of(path).to_path_buf());
    match reason.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory if !directory.is_dir() => OutputError::NoDirectory { path, directory },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => OutputError::Denied(path),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => OutputError::NoSpace(path),
        _ => OutputError::Other { path, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in a directory, sorted.
    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn writes_a_new_file_and_replaces_an_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.pg");
        for bytes in [&b"first"[..], b"second and longer", b""] {
            check_writable(&path).unwrap();
            write_atomically(&path, bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        assert_eq!(names(directory.path()), ["model.pg"]);
    }

    #[test]
    fn a_failing_write_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.pg");
        fs::write(&path, b"old").unwrap();
        for (kind, words) in [
            (ErrorKind::StorageFull, "no space left"),
            (ErrorKind::PermissionDenied, "permission denied"),
            (ErrorKind::TimedOut, "timed out"),
        ] {
            let error = write_with(&path, |file| file.write_all(b"half of the ne").and(Err(kind.into()))).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{} cannot be written: {words}", path.display())), "{error}");
            assert_eq!((fs::read(&path).unwrap(), names(directory.path())), (b"old".to_vec(), vec!["model.pg".to_string()]));
        }
        let new = directory.path().join("new.pg");
        write_with(&new, |_| Err(ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(names(directory.path()), ["model.pg"]);
    }

    #[test]
    fn checking_a_path_leaves_no_trace() {
        let directory = tempfile::tempdir().unwrap();
        check_writable(&directory.path().join("model.pg")).unwrap();
        assert!(names(directory.path()).is_empty());
        check_writable(Path::new("model-in-the-current-directory.pg")).unwrap();
        assert!(!Path::new("model-in-the-current-directory.pg").exists());
    }

    #[test]
    fn refuses_a_directory_and_a_path_without_one() {
        let directory = tempfile::tempdir().unwrap();
        let slash = directory.path().join("new/");
        for path in [directory.path(), Path::new(""), Path::new("/"), Path::new(".."), &slash] {
            assert!(matches!(check_writable(path), Err(OutputError::IsDirectory(_))), "{}", path.display());
            assert!(matches!(write_atomically(path, b"x"), Err(OutputError::IsDirectory(_))), "{}", path.display());
        }
        fs::write(directory.path().join("file"), b"old").unwrap();
        for missing in ["none/model.pg", "file/model.pg"] {
            let error = check_writable(&directory.path().join(missing)).unwrap_err();
            assert!(matches!(error, OutputError::NoDirectory { .. }), "{error}");
            assert!(error.to_string().ends_with("; create it first"), "{error}");
            assert!(write_atomically(&directory.path().join(missing), b"x").is_err());
        }
        assert_eq!(names(directory.path()), ["file"]);
    }

    #[test]
    fn refuses_to_replace_a_read_only_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.pg");
        fs::write(&path, b"old").unwrap();
        let writable = fs::metadata(&path).unwrap().permissions();
        let mut protected = writable.clone();
        protected.set_readonly(true);
        fs::set_permissions(&path, protected).unwrap();
        assert!(matches!(check_writable(&path), Err(OutputError::ReadOnly(_))));
        assert!(matches!(write_atomically(&path, b"new"), Err(OutputError::ReadOnly(_))));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        fs::set_permissions(&path, writable).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_has_usual_permissions_and_an_old_one_keeps_its_own() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        File::create(directory.path().join("usual")).unwrap();
        let path = directory.path().join("model.pg");
        write_atomically(&path, b"x").unwrap();
        assert_eq!(mode("model.pg"), mode("usual"));
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        write_atomically(&path, b"y").unwrap();
        assert_eq!(mode("model.pg") & 0o777, 0o640);
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_stays_and_its_target_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        fs::write(&target, b"old").unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_written_straight_and_stays() {
        use std::os::unix::fs::FileTypeExt;
        check_writable(Path::new("/dev/null")).unwrap();
        write_atomically(Path::new("/dev/null"), b"x").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        assert!(
            matches!(write_atomically(Path::new("/dev/full"), b"x"), Err(OutputError::NoSpace(_))),
            "a full disk, by Linux's own device"
        );
    }
}
