//! `__COUNTER__` in conditions.
//!
//! A preprocessor that leaves macros in the text counts only where it evaluates a condition, and the compile server only in what is
//! left. So both count right unless a condition needs the counter. A definition that names it is no reason by itself: some projects
//! have one in a header that every unit includes.

use super::directives::{directives, is_in_directive, word};
use memchr::memmem;
use std::collections::{BTreeMap, BTreeSet};

const COUNTER: &[u8] = b"__COUNTER__";

/// Whether `text` names the counter.
pub(super) fn is_named(text: &[u8]) -> bool {
    memmem::find(text, COUNTER).is_some()
}

/// Whether the counter stands in a directive of `text`, which has no splices.
pub(super) fn is_in_a_directive(text: &[u8]) -> bool {
    memmem::find_iter(text, COUNTER).any(|at| is_in_directive(text.get(..at).unwrap_or_default()))
}

/// Whether a condition, or the name of a file, may need the counter. All definitions count, in force or not.
pub(super) fn decides(texts: &[&[u8]]) -> bool {
    let mut definitions: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    let mut pending = Vec::new();
    for (keyword, rest) in texts.iter().flat_map(|text| directives(text)) {
        match keyword {
            b"define" => {
                let (name, body) = word(rest);
                definitions.entry(name).or_default().push(body);
            }
            b"if" | b"elif" => pending.push(rest),
            b"include" | b"include_next" | b"import" if !is_file_name(rest) => pending.push(rest),
            _ => {}
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(text) = pending.pop() {
        for name in names(text) {
            if name == COUNTER {
                return true;
            }
            if seen.insert(name) {
                pending.extend(definitions.get(name).into_iter().flatten());
            }
        }
    }
    false
}

/// Whether a file is included by its name, in which no macro is expanded.
fn is_file_name(included: &[u8]) -> bool {
    matches!(included.trim_ascii_start().first(), Some(b'<' | b'"'))
}

/// The identifiers that are expanded, and numbers with them: what `defined` asks for is not.
fn names(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let tokens = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').filter(|name| !name.is_empty());
    let mut is_asked_for = false;
    tokens.filter(move |name| !std::mem::replace(&mut is_asked_for, *name == b"defined"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_needs_the_counter_is_found_through_definitions() {
        for text in [
            "#if __COUNTER__ == 0\n",
            "#define N __COUNTER__\n#if N\n#endif\n",
            "#define A(x) B(x, 1)\n#define B(x, y) x ## __COUNTER__\n # elif defined(X) && A(2)\n",
            "/* a */ #define N __COUNTER__\n/* b\n c */ %:if N\n",
            "#define FILE NAME(__COUNTER__)\n#include FILE\n",
            "#define N __COUNTER__\n#if defined(N) && N\n",
        ] {
            assert!(is_in_a_directive(text.as_bytes()), "{text}");
            assert!(decides(&[text.as_bytes()]), "{text}");
        }
        // In whichever file each of them stands.
        assert!(decides(&[b"#if N\n#endif", b"#define N M\n", b"#define M __COUNTER__"]));
    }

    #[test]
    fn a_counter_that_decides_nothing_does_no_harm() {
        for text in [
            "#define UNIQUE(x) x ## __COUNTER__\n#if OTHER > 1\n#endif\nint UNIQUE(a);\n",
            "int a = __COUNTER__; // #if\n#ifdef __COUNTER__\n#endif\n#if 1\n",
            "#define A B\n#define B A\n#if A\n",
            "#define linux __COUNTER__\n#include <linux/a.h>\n#  include \"linux.h\"\n#if defined(linux) || defined linux\n",
        ] {
            assert!(!decides(&[text.as_bytes()]), "{text}");
        }
    }
}
