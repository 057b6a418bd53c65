//! A job's header for a server that knows less than we do.

use crate::cmdline::Family;
use crate::job::Language;
use crate::message::{ArgSide, CompileFile};
use crate::text::Text;
use crate::version::Version;

/// The header as a server of `version` understands it.
pub(super) fn for_version(mut job: CompileFile, family: Family, version: Version) -> CompileFile {
    if family == Family::Clang && !version.has_compiler_name() {
        // The environment's wrapper sorts it out.
        job.arguments.insert(0, (ArgSide::Remote, Text::from("clang")));
    }
    if !version.has_objc_language() {
        let language = Language::from_number(job.language).map(|language| language.option());
        if let Some(language @ ("objective-c" | "objective-c++")) = language {
            job.arguments.extend(["-x", language].map(|word| (ArgSide::Remote, Text::from(word))));
        }
    }
    job
}
