//! What is left of an output that is not done yet when the user ends the process: nothing.

use std::path::Path;

/// As shells tell of a process that SIGINT ended.
#[cfg(unix)]
const INTERRUPTED: i32 = 130;

/// Removes what is written in `folder` for the time being when the process is told to end.
#[cfg(unix)]
pub fn sweeps(folder: &Path) {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let folder = folder.to_path_buf();
    // Without a handler the process ends all the same, and leaves a hidden folder.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            crate::files::sweep(&folder);
            // At once: what a runtime tears down at a usual exit, its threads still use.
            signal_hook::low_level::exit(INTERRUPTED);
        }
    });
}

/// There are no signals: the process leaves a hidden folder.
#[cfg(not(unix))]
pub fn sweeps(_: &Path) {}
