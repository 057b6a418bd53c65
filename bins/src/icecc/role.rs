//! Who we were called as.

use super::help;
use crate::cli::table::Program;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the name that we were called by makes of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `icecc COMPILER …`
    Icecc,
    /// `icerun COMMAND …`
    Icerun,
    /// By a compiler's name.
    Masquerade,
    /// By any name, through a link to icerun.
    IcerunLink,
}

impl Role {
    /// By the first word of the command line.
    pub(super) fn of(called: &OsStr) -> Self {
        match Path::new(called).file_name().map(OsStr::as_bytes) {
            Some(b"icecc") => return Self::Icecc,
            Some(b"icerun") => return Self::Icerun,
            _ => {}
        }
        let link = std::fs::read_link(called).unwrap_or_default();
        if link.file_name().is_some_and(|name| name == "icerun") { Self::IcerunLink } else { Self::Masquerade }
    }

    /// Whose options and name these are.
    pub(super) fn program(self) -> &'static Program {
        match self {
            Self::Icecc | Self::Masquerade => &help::ICECC,
            Self::Icerun | Self::IcerunLink => &help::ICERUN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_by_name() {
        assert_eq!(Role::of(OsStr::new("/usr/bin/icecc")), Role::Icecc);
        assert_eq!(Role::of(OsStr::new("icerun")), Role::Icerun);
        assert_eq!(Role::of(OsStr::new("g++")), Role::Masquerade);
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("ld");
        std::os::unix::fs::symlink("/usr/bin/icerun", &link).unwrap();
        assert_eq!(Role::of(link.as_os_str()), Role::IcerunLink);
    }
}
