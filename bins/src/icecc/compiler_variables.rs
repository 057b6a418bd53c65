//! The variables that compilers read, and what each means for a compile that goes elsewhere: a server's compiler has none of them.

use ice_core::cmdline::Family;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// What a variable changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changes {
    /// Nothing that a server does: headers and dates are the preprocessor's, libraries the linker's, and temporary files nobody's.
    Nothing,
    /// Which programs are run, how they compile, or what they write beside the object.
    Compile,
    /// Which assembler is run, where it is a program of its own.
    Assembler,
    /// The form of messages.
    Messages,
    /// Their language and quotes.
    Language,
}

/// A variable, and whose it is if only one kind of compiler reads it.
struct Variable(&'static str, Option<Family>, Changes);

const GCC: Option<Family> = Some(Family::Gcc);
const CLANG: Option<Family> = Some(Family::Clang);

/// All that the manuals name and the programs ask for.
const VARIABLES: &[Variable] = &[
    Variable("CPATH", None, Changes::Nothing),
    Variable("C_INCLUDE_PATH", None, Changes::Nothing),
    Variable("CPLUS_INCLUDE_PATH", None, Changes::Nothing),
    Variable("OBJC_INCLUDE_PATH", None, Changes::Nothing),
    Variable("OBJCPLUS_INCLUDE_PATH", CLANG, Changes::Nothing),
    Variable("LIBRARY_PATH", None, Changes::Nothing),
    Variable("LPATH", GCC, Changes::Nothing),
    Variable("TMPDIR", None, Changes::Nothing),
    Variable("TEMP", None, Changes::Nothing),
    Variable("TMP", None, Changes::Nothing),
    Variable("MAKEFLAGS", GCC, Changes::Nothing),
    // Text that shows dates has its macros expanded here (`dates`).
    Variable("SOURCE_DATE_EPOCH", None, Changes::Nothing),
    // What is found by it is compared with what was packed (`tools`).
    Variable("PATH", None, Changes::Nothing),
    Variable("PWD", None, Changes::Nothing),
    Variable("COMPILER_PATH", GCC, Changes::Compile),
    Variable("COMPILER_PATH", CLANG, Changes::Assembler),
    Variable("GCC_EXEC_PREFIX", GCC, Changes::Compile),
    Variable("GCC_ROOT", GCC, Changes::Compile),
    Variable("BINUTILS_ROOT", GCC, Changes::Compile),
    Variable("GCC_COMPARE_DEBUG", GCC, Changes::Compile),
    Variable("DEPENDENCIES_OUTPUT", GCC, Changes::Compile),
    Variable("SUNPRO_DEPENDENCIES", GCC, Changes::Compile),
    Variable("CXX_MODULE_MAPPER", GCC, Changes::Compile),
    Variable("CCC_OVERRIDE_OPTIONS", CLANG, Changes::Compile),
    Variable("QA_OVERRIDE_GCC3_OPTIONS", CLANG, Changes::Compile),
    Variable("CC_PRINT_OPTIONS", CLANG, Changes::Compile),
    Variable("CC_PRINT_HEADERS", CLANG, Changes::Compile),
    Variable("CC_LOG_DIAGNOSTICS", CLANG, Changes::Compile),
    Variable("CC_PRINT_PROC_STAT", CLANG, Changes::Compile),
    Variable("AS_SECURE_LOG_FILE", CLANG, Changes::Compile),
    Variable("LLVM_OVERRIDE_PRODUCER", CLANG, Changes::Compile),
    Variable("RC_DEBUG_OPTIONS", CLANG, Changes::Compile),
    Variable("FORCE_CLANG_DIAGNOSTICS_CRASH", CLANG, Changes::Compile),
    Variable("MACOSX_DEPLOYMENT_TARGET", None, Changes::Compile),
    Variable("IPHONEOS_DEPLOYMENT_TARGET", CLANG, Changes::Compile),
    Variable("TVOS_DEPLOYMENT_TARGET", CLANG, Changes::Compile),
    Variable("WATCHOS_DEPLOYMENT_TARGET", CLANG, Changes::Compile),
    Variable("SDKROOT", CLANG, Changes::Compile),
    Variable("GCC_COLORS", GCC, Changes::Messages),
    Variable("GCC_URLS", GCC, Changes::Messages),
    Variable("TERM_URLS", GCC, Changes::Messages),
    Variable("GCC_EXTRA_DIAGNOSTIC_OUTPUT", GCC, Changes::Messages),
    Variable("LC_ALL", GCC, Changes::Language),
    Variable("LC_CTYPE", GCC, Changes::Language),
    Variable("LC_MESSAGES", GCC, Changes::Language),
    Variable("LANG", GCC, Changes::Language),
];

/// A variable that is set, and that only a compile here can heed. `runs_assembler`: the compiler runs one that is a program of its
/// own.
pub(super) fn only_heeded_here(family: Family, runs_assembler: bool) -> Option<&'static str> {
    let matters = |variable: &&Variable| match variable.2 {
        Changes::Compile => true,
        Changes::Assembler => runs_assembler,
        Changes::Nothing | Changes::Messages | Changes::Language => false,
    };
    let of_family = VARIABLES.iter().filter(|variable| variable.1.is_none_or(|of| of == family)).filter(matters);
    of_family.map(|variable| variable.0).find(|name| env::var_os(name).is_some())
}

/// Whether gcc words its messages otherwise than one with an empty environment.
pub(super) fn word_messages() -> bool {
    words_messages(|name| env::var_os(name))
}

fn words_messages(value: impl Fn(&str) -> Option<OsString>) -> bool {
    let with = |changes| VARIABLES.iter().filter(move |variable| variable.2 == changes).map(|variable| variable.0);
    with(Changes::Messages).any(|name| value(name).is_some())
        // The first that is not empty, for quotes and for language.
        || ["LC_CTYPE", "LC_MESSAGES"].into_iter().any(|category| {
            let heeded = with(Changes::Language).filter(|name| !name.starts_with("LC_") || [category, "LC_ALL"].contains(name));
            let locale = heeded.filter_map(&value).find(|value| !value.is_empty());
            locale.is_some_and(|locale| !matches!(locale.as_bytes(), b"C" | b"POSIX"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gcc_words_messages_by_locale() {
        let words = |line: &str| {
            let variables: Vec<(&str, &str)> = line.split(' ').filter_map(|word| word.split_once('=')).collect();
            words_messages(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into()))
        };
        for plain in ["", "LANG=C", "LC_ALL=POSIX LANG=de_DE", "LC_ALL= LANG=C", "LC_CTYPE=C LC_MESSAGES=C LANG=de_DE"]
        {
            assert!(!words(plain), "{plain}");
        }
        for other in ["LANG=C.UTF-8", "LC_ALL=de_DE LANG=C", "LC_CTYPE=C.UTF-8", "LC_CTYPE=C LANG=de_DE", "GCC_COLORS="]
        {
            assert!(words(other), "{other}");
        }
    }

    #[test]
    fn each_variable_has_one_meaning() {
        let rows = VARIABLES.iter().enumerate();
        for (at, Variable(name, family, _)) in rows {
            let others = VARIABLES.iter().skip(at + 1).filter(|other| other.0 == *name);
            assert!(
                others.into_iter().all(|other| family.is_some() && other.1.is_some() && other.1 != *family),
                "{name}"
            );
        }
    }
}
