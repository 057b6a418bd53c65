//! What our own peers tell each other beyond 1.4's protocol (`net/PROTOCOL.md`, Extension).
//!
//! 1.4 sees nothing of it: it ignores bits of LOGIN's features that it does not know, and the text of CS_CONF. Each side
//! says so what it understands. Messages of the extension have numbers from 1000 on and go only to who understands them.

use crate::message::{abilities, features};
use crate::text::Text;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// How the text of CS_CONF begins: the name of the extension and its version.
const GREETING: &str = "icers 1";
/// The scheduler tells compile servers their jobs, by JOB_GIVEN.
const GIVES: &str = "job-given";

/// Whether a daemon with these features of LOGIN takes JOB_GIVEN.
pub const fn takes_job_given(login_features: u32) -> bool {
    has(login_features, features::TAKES_JOB_GIVEN)
}

/// The [`abilities`] to tell of a host with the features `server`, to a daemon with the features `submitter`; none if
/// there are none, or that daemon does not take HOST_CAN.
pub fn abilities_to_tell(submitter: u32, server: u32) -> Option<u32> {
    let takes_files = has(submitter, features::TAKES_HOST_CAN) && has(server, features::TAKES_FILES);
    takes_files.then_some(abilities::FILES)
}

/// Whether a daemon knows the extension and has this part of it.
const fn has(login_features: u32, part: u32) -> bool {
    let wanted = features::EXTENSION | part;
    login_features & wanted == wanted
}

/// Where a daemon listens for clients that know the extension, if its own socket is this one.
pub fn socket_beside(socket: &Path) -> PathBuf {
    let mut name = socket.file_stem().map(OsStr::to_os_string).unwrap_or_default();
    name.push("-ext");
    if let Some(ending) = socket.extension() {
        name.push(OsString::from("."));
        name.push(ending);
    }
    socket.with_file_name(name)
}

/// The text of CS_CONF for a daemon with these features of LOGIN: what our scheduler does for it.
pub fn greeting(login_features: u32) -> Text {
    if takes_job_given(login_features) { format!("{GREETING} {GIVES}").as_str().into() } else { Text::new() }
}

/// What a scheduler does for a daemon, by the text of its CS_CONF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// It tells this host its jobs.
    pub gives_jobs: bool,
}

impl Offers {
    /// Reads the text; words that are not known mean nothing.
    pub fn of(text: &Text) -> Self {
        let text = text.lossy();
        let words = text.strip_prefix(GREETING).filter(|rest| rest.starts_with(' ')).unwrap_or_default();
        Self { gives_jobs: words.split(' ').any(|word| word == GIVES) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abilities_are_told_to_who_takes_them() {
        let (known, takes, runs) = (features::EXTENSION, features::TAKES_HOST_CAN, features::TAKES_FILES);
        for (submitter, server, told) in [
            (0, 0, None),
            (known | takes, known | runs, Some(1)),
            (known | takes | runs, known | takes | runs, Some(1)),
            (takes, known | runs, None),
            (known | takes, runs, None),
            (known | runs, known | takes, None),
            (known | takes, known | takes, None),
            (known | runs, known | runs, None),
        ] {
            assert_eq!(abilities_to_tell(submitter, server), told, "{submitter:#x} {server:#x}");
        }
    }

    #[test]
    fn the_second_socket_lies_beside_the_first() {
        for (first, second) in [
            ("/var/run/icecc/iceccd.socket", "/var/run/icecc/iceccd-ext.socket"),
            ("/home/a.b/.iceccd.socket", "/home/a.b/.iceccd-ext.socket"),
            ("/tmp/s", "/tmp/s-ext"),
            ("s.a.b", "s.a-ext.b"),
        ] {
            assert_eq!(socket_beside(Path::new(first)), Path::new(second));
        }
    }

    #[test]
    fn each_side_says_what_it_understands() {
        for (bits, takes) in [(0, false), (3, false), (1 << 31, false), (1 << 16, false), (1 << 31 | 1 << 16 | 3, true)]
        {
            assert_eq!(takes_job_given(bits), takes, "{bits:#x}");
            assert_eq!(Offers::of(&greeting(bits)).gives_jobs, takes, "{bits:#x}");
        }
        for (text, gives_jobs) in [
            ("", false),
            ("icers 1", false),
            ("icers 1 other", false),
            ("icers 1 other job-given", true),
            ("icers 1job-given", false),
            ("icers 10 job-given", false),
            ("icers 2 job-given", false),
            ("job-given", false),
        ] {
            assert_eq!(Offers::of(&text.into()), Offers { gives_jobs }, "{text}");
        }
    }
}
