//! What our own peers tell each other beyond 1.4's protocol (`net/PROTOCOL.md`, Extension).
//!
//! 1.4 sees nothing of it: it ignores bits of LOGIN's features that it does not know, and the text of CS_CONF. Each side
//! says so what it understands. Messages of the extension have numbers from 1000 on and go only to who understands them.

use crate::message::features;
use crate::text::Text;

/// How the text of CS_CONF begins: the name of the extension and its version.
const GREETING: &str = "icers 1";
/// The scheduler tells compile servers their jobs, by JOB_GIVEN.
const GIVES: &str = "job-given";

/// Whether a daemon with these features of LOGIN takes JOB_GIVEN.
pub const fn takes_job_given(login_features: u32) -> bool {
    let wanted = features::EXTENSION | features::TAKES_JOB_GIVEN;
    login_features & wanted == wanted
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
