//! Whether and with how much room jobs run on files of submitters here.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use ice_launcher::Launcher;
use ice_toolchain::file_tree::Trees;
use log::{info, warn};

/// Why this host runs no jobs on files of submitters, which may take so many bytes, if it does not.
pub fn possible(launcher: &Launcher, limit: u64) -> Result<(), String> {
    if limit == 0 { Err("--files-limit 0".to_owned()) } else { launcher.files() }
}

/// Makes room for files of submitters, which leaves so many bytes of the disk free; none where no jobs run on them.
pub fn open(launcher: &Launcher, base: &Path, limit: u64, kept: u64) -> Option<Arc<Trees>> {
    let opened = possible(launcher, limit)
        .and_then(|()| Trees::open(base, limit, kept).map_err(|e| format!("cannot keep them: {e}")));
    match opened {
        Ok(trees) => {
            info!("files of submitters may take {} MiB", limit >> 20);
            let trees = Arc::new(trees);
            let old = Arc::clone(&trees);
            // Those of the next start go, if these stay.
            let _ = thread::Builder::new().name("old files".into()).stack_size(128 << 10).spawn(move || {
                if let Err(error) = old.remove_old() {
                    warn!("cannot remove old files of submitters: {error}");
                }
            });
            Some(trees)
        }
        Err(reason) => {
            info!("no jobs on files of submitters: {reason}");
            None
        }
    }
}
