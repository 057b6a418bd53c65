//! What a source or header holds that is lost or wrong in a text whose macros are still to be expanded.
//!
//! gcc's `-fdirectives-only` makes such a text. Some gcc drop pragmas from it: `#pragma message` with its line,
//! so that the lines behind it have wrong numbers, `#pragma push_macro` with what it does. Which ones depends on the compiler, so
//! each compiler is asked, once for each name.

use super::directives::{is_in_directive, word};
use super::remembered;
use memchr::memmem;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Pragmas whose effect the text tells by its line markers, so that it need not keep them.
const TOLD_OTHERWISE: [&[u8]; 2] = [b"once", b"GCC system_header"];

/// Pragmas that stand in many headers: one question to the compiler for all of them.
const COMMON: [&str; 40] = [
    "GCC diagnostic",
    "GCC visibility",
    "GCC push_options",
    "GCC pop_options",
    "GCC reset_options",
    "GCC optimize",
    "GCC target",
    "GCC unroll",
    "GCC ivdep",
    "GCC poison",
    "GCC warning",
    "GCC error",
    "GCC dependency",
    "GCC pch_preprocess",
    "STDC FP_CONTRACT",
    "STDC FENV_ACCESS",
    "STDC CX_LIMITED_RANGE",
    "STDC FLOAT_CONST_DECIMAL64",
    "acc",
    "clang",
    "comment",
    "deprecated",
    "error_messages",
    "extern_prefix",
    "ident",
    "intrinsic",
    "map",
    "message",
    "ms_struct",
    "omp",
    "pack",
    "pop_macro",
    "push_macro",
    "redefine_extname",
    "region",
    "endregion",
    "scalar_storage_order",
    "simd",
    "warning",
    "weak",
];

/// Pragmas that change what a macro means.
const MACRO_STACK: [&[u8]; 2] = [b"push_macro", b"pop_macro"];

/// What of a file is not in the text, or not right there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// This pragma.
    Pragma(Vec<u8>),
    /// A condition may need `__COUNTER__`, which counts only in conditions here, and only between them on the compile server.
    Counter,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pragma(name) => write!(f, "#pragma {} is lost where macros are left", String::from_utf8_lossy(name)),
            Self::Counter => f.write_str("a condition may need __COUNTER__"),
        }
    }
}

/// The pragmas that one compiler keeps.
#[derive(Debug)]
pub(super) struct Kept {
    program: PathBuf,
    /// The language's name for `-x`: a compiler has other pragmas for each.
    language: &'static str,
    known: HashMap<Vec<u8>, bool>,
}

impl Kept {
    pub(super) fn new(program: PathBuf, language: &'static str) -> Self {
        Self { program, language, known: HashMap::new() }
    }

    /// Whether the text keeps the pragma of this name.
    fn has(&mut self, name: &[u8]) -> bool {
        if TOLD_OTHERWISE.contains(&name) {
            return true;
        }
        if !self.known.contains_key(name) {
            if COMMON.iter().any(|common| common.as_bytes() == name) {
                self.ask(&COMMON.map(OsStr::new), OsStr::new("common ones"));
            } else {
                self.ask(&[OsStr::from_bytes(name)], OsStr::from_bytes(name));
            }
        }
        self.known.get(name).copied().unwrap_or(false)
    }

    fn ask(&mut self, names: &[&OsStr], question: &OsStr) {
        let question = [OsStr::new("pragmas kept by -fdirectives-only"), OsStr::new(self.language), question];
        let kept = remembered::answer(&self.program, &question, || self.probe(names)).unwrap_or_default();
        for name in names.iter().map(|name| name.as_bytes()) {
            self.known.insert(name.to_vec(), kept.iter().any(|word| word == name));
        }
    }

    /// Those of `names` that the compiler repeats in its text; without what belongs behind a name they do nothing.
    fn probe(&self, names: &[&OsStr]) -> Option<Vec<Vec<u8>>> {
        let mut run = Command::new(&self.program);
        run.args(["-E", "-fdirectives-only", "-x", self.language, "-"]);
        let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let line = |name: &&OsStr| [b"#pragma ", name.as_bytes(), b"\n"].concat();
        child.stdin.take()?.write_all(&names.iter().map(line).collect::<Vec<_>>().concat()).ok()?;
        let out = child.wait_with_output().ok()?;
        let lines: Vec<&[u8]> = out.stdout.split(|&b| b == b'\n').filter_map(|l| l.strip_prefix(b"#pragma ")).collect();
        let kept = names.iter().map(|name| name.as_bytes()).filter(|name| lines.contains(name));
        Some(kept.map(<[u8]>::to_vec).collect())
    }
}

/// The first thing in the text of a file, without splices, that is not kept.
pub(super) fn loss(text: &[u8], kept: &mut Kept) -> Option<Loss> {
    first_loss(text, &mut |name| kept.has(name))
}

fn first_loss(text: &[u8], is_kept: &mut dyn FnMut(&[u8]) -> bool) -> Option<Loss> {
    // Not only as a directive: a macro can make a `_Pragma` of it, which here would change the macros of no directive.
    for name in MACRO_STACK {
        if memmem::find(text, name).is_some() && !is_kept(name) {
            return Some(Loss::Pragma(name.to_vec()));
        }
    }
    for at in memmem::find_iter(text, b"ragma") {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + b"ragma".len()..).unwrap_or_default());
        let name = match before.split_last() {
            Some((b'p', before)) if is_in_directive(before) => name(after),
            Some((b'P', _)) => operand(after).map(name).unwrap_or_default(),
            _ => continue,
        };
        if !name.is_empty() && !is_kept(&name) {
            return Some(Loss::Pragma(name));
        }
    }
    None
}

/// What clang's `-frewrite-includes` gets wrong in `text`, which has no splices: it evaluates conditions without having expanded
/// what stands between directives.
pub(super) fn loss_of_clang(text: &[u8]) -> Option<Loss> {
    let changes_macros =
        |name: &&&[u8]| memmem::find_iter(text, name).any(|at| !is_in_pragma(text.get(..at).unwrap_or_default()));
    MACRO_STACK.iter().find(changes_macros).map(|name| Loss::Pragma(name.to_vec()))
}

/// Whether what follows `text` is the name in a `#pragma`.
fn is_in_pragma(text: &[u8]) -> bool {
    is_in_directive(text) && text.trim_ascii_end().ends_with(b"pragma")
}

/// The name of a pragma, at the beginning of what follows `#pragma`: one word, or two where the first is the name of a group.
fn name(text: &[u8]) -> Vec<u8> {
    let (first, rest) = word(text);
    if !matches!(first, b"GCC" | b"STDC") {
        return first.to_vec();
    }
    [first, word(rest).0].join(&b' ')
}

/// The text in `("…")`, which follows `_Pragma`. Nothing where a macro makes it of its argument.
fn operand(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start().strip_prefix(b"(")?.trim_ascii_start();
    text.strip_prefix(b"L").unwrap_or(text).strip_prefix(b"\"")
}

#[cfg(test)]
mod tests {
    use super::super::directives::unspliced;
    use super::*;

    fn lost(text: &str) -> Option<String> {
        let mut is_kept = |name: &[u8]| [&b"pack"[..], b"GCC diagnostic", b"omp"].contains(&name);
        first_loss(&unspliced(text.as_bytes()), &mut is_kept).map(|loss| match loss {
            Loss::Pragma(name) => String::from_utf8(name).unwrap(),
            Loss::Counter => unreachable!(),
        })
    }

    #[test]
    fn what_is_lost_is_found_however_it_is_written() {
        for text in [
            "int a;\n#pragma message \"x\"\n",
            " #  pragma\tmessage(\"x\")",
            "%:pragma message",
            "??=pragma message",
            "/* a */ # /* b */ pragma /* c */ message",
            "/* two\nlines */ #pragma message",
            "#pra\\\ngma mes\\\r\nsage \"x\"",
            "#??/\npragma message",
            "#pragma \\  \nmessage",
            "int a; _Pragma(\"message(\\\"x\\\")\") int b;",
            "#define M _Pragma ( L\"message(1)\" )\n",
        ] {
            assert_eq!(lost(text).as_deref(), Some("message"), "{text}");
        }
        assert_eq!(lost("#pragma GCC poison x").as_deref(), Some("GCC poison"));
        assert_eq!(lost("#define PUSH(x) DO(push_macro(#x))").as_deref(), Some("push_macro"));
    }

    #[test]
    fn what_is_kept_is_no_loss() {
        for text in [
            "#pragma pack(push, 1)\n#pragma omp parallel\n#pragma GCC diagnostic push\n",
            "// a pragma message\nchar pragma_message[] = \"#pragma\";",
            "#define DO(x) _Pragma(#x)\n",
            "#pragma\nmessage\n",
            "",
        ] {
            assert_eq!(lost(text), None, "{text}");
        }
    }
}
