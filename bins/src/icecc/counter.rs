//! `__COUNTER__` in conditions.
//!
//! A preprocessor that leaves macros in the text counts only where it evaluates a condition, and the compile server only in what is
//! left. So both count right unless a condition needs the counter. A definition that names it is no reason by itself: some projects
//! have one in a header that every unit includes.

use super::pragmas::{is_in_directive, word};
use memchr::memmem;
use std::collections::{HashMap, HashSet};

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
    let mut definitions: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
    let mut pending = Vec::new();
    for (keyword, rest) in texts.iter().flat_map(|text| directives(text)) {
        match keyword {
            b"define" => {
                let (name, body) = word(rest);
                definitions.entry(name).or_default().push(body);
            }
            b"if" | b"elif" | b"include" | b"include_next" | b"import" => pending.push(rest),
            _ => {}
        }
    }
    let mut seen = HashSet::new();
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

/// The keyword of each directive and what follows it on its line. A comment may stand before it.
fn directives(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let hashes = |part| [&b"#"[..], b"%:", b"??="].iter().find_map(|hash| trim(part).strip_prefix(*hash));
        let mut behind_comments = memmem::find_iter(line, b"*/").map(|at| line.get(at + 2..).unwrap_or_default());
        let directive = hashes(line).or_else(|| behind_comments.find_map(hashes))?;
        Some(word(directive))
    })
}

fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii_start()
}

/// All identifiers, numbers with them.
fn names(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').filter(|name| !name.is_empty())
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
        ] {
            assert!(!decides(&[text.as_bytes()]), "{text}");
        }
    }
}
