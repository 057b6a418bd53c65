//! What jobs of others and makers of environments are promised on this host, in words for the log and for `--check`.

use ice_sandbox::guarantees::{Guarantee, Guarantees};
use log::warn;

/// Whether jobs of others can be taken, by what must hold anyway and by what the owner requires.
pub(super) fn accepts_jobs(guarantees: &Guarantees, required: &[Guarantee]) -> Result<(), String> {
    guarantees.accepts_jobs().map_err(str::to_owned)?;
    for what in required {
        if let Some(reason) = guarantees.reason(*what) {
            return Err(format!("{what} is required: {reason}"));
        }
    }
    Ok(())
}

/// Prints the guarantees and whether jobs of others are taken; returns the latter.
pub(super) fn print(guarantees: &Guarantees, required: &[Guarantee]) -> bool {
    print!("{guarantees}");
    let accepts = accepts_jobs(guarantees, required);
    match &accepts {
        Ok(()) => println!("jobs of other hosts: yes"),
        Err(reason) => println!("jobs of other hosts: no ({reason})"),
    }
    accepts.is_ok()
}

/// Prints whether jobs run on files of submitters.
pub(super) fn print_files(files: &Result<(), String>) {
    match files {
        Ok(()) => println!("jobs on files of submitters: yes"),
        Err(reason) => println!("jobs on files of submitters: no ({reason})"),
    }
}

/// Prints whether a program that a user names as compiler is set apart.
pub(super) fn print_natives(apart: &Result<(), String>) {
    match apart {
        Ok(()) => println!("compilers of users apart: yes"),
        Err(reason) => println!("compilers of users apart: no {reason}"),
    }
}

/// What the log says of what jobs of others lack here: all, or ids of their own, which root could give them.
pub(super) fn warn_of_missing(guarantees: &Guarantees, accepts: &Result<(), String>, ids_expected: bool) {
    if let Err(reason) = accepts {
        warn!("Cannot use chroot, no remote jobs accepted.");
        warn!("reason: {reason}");
    }
    if let Some(reason) = guarantees.reason(Guarantee::OwnId).filter(|_| ids_expected) {
        warn!("jobs have no user ids of their own ({reason}): {}", Guarantee::OwnId.without());
    }
}

/// What the log says where such a program is not set apart.
pub(super) fn warn_of_natives(apart: &Result<(), String>) {
    if let Err(reason) = apart {
        warn!("a program that a user names as compiler is not set apart {reason}");
    }
}
