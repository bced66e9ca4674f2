//! Where things lie. It creates nothing.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The workspace's root: that of the cargo which started this program.
pub fn workspace() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Where cargo puts what it builds for the desktop.
pub fn target() -> PathBuf {
    workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
