//! Ctrl-C: the first asks the run to end after its step, the second ends the program.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// The exit code of a program that Ctrl-C ended: 128 + SIGINT.
const ENDED: i32 = 130;

/// From here on the first Ctrl-C is noted; does nothing where the system does not allow it.
pub fn listen() {
    // An error means that a handler is set already, ours from an earlier call or one of the program around us.
    let _ = ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(ENDED);
        }
    });
}

/// Whether Ctrl-C was pressed since [`listen`].
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
