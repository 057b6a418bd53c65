//! Pragmas that are lost or wrong in a text whose macros are still to be expanded.
//!
//! gcc's `-fdirectives-only` makes such a text. Some gcc drop pragmas from it: `#pragma message` with its line,
//! so that the lines behind it have wrong numbers, `#pragma push_macro` with what it does. Which ones depends on the compiler.

use super::directives::{is_in_directive, word};
use memchr::memmem;
use std::fmt;

/// Pragmas whose effect the text tells by its line markers, so that it need not keep them.
const TOLD_OTHERWISE: [&[u8]; 2] = [b"once", b"GCC system_header"];

/// Pragmas that change what a macro means.
const MACRO_STACK: [&[u8]; 2] = [b"push_macro", b"pop_macro"];

/// What of a file is not in the text, or not right there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
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

/// The first thing in the text of a file, without splices, that is not kept.
/// `is_kept` tells whether the compiler keeps the pragma of a name.
pub(super) fn loss(text: &[u8], mut is_kept: impl FnMut(&[u8]) -> bool) -> Option<Loss> {
    let mut is_kept = |name: &[u8]| TOLD_OTHERWISE.contains(&name) || is_kept(name);
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
        let is_kept = |name: &[u8]| [&b"pack"[..], b"GCC diagnostic", b"omp"].contains(&name);
        loss(&unspliced(text.as_bytes()), is_kept).map(|loss| match loss {
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
