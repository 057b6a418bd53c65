//! Macros whose value depends on where and when they are expanded: text that shows one is not for another host.

use memchr::memmem;

/// The macros.
const NAMES: [&[u8]; 4] = [b"__DATE__", b"__TIME__", b"__TIMESTAMP__", b"__BASE_FILE__"];

/// How every name that is written in one piece begins.
const BEGINNINGS: [&[u8]; 3] = [b"__DATE_", b"__TIME", b"__BASE_"];

/// How every name ends.
const ENDS: [&[u8]; 2] = [b"E__", b"P__"];

/// Whether `text`, whole lines without splices, names one of the macros, or may make its name by pasting pieces together.
pub(super) fn shown(text: &[u8]) -> bool {
    let is_name = |token: &[u8]| NAMES.contains(&token);
    let is_last_piece = |token: &[u8]| NAMES.iter().any(|name| name.ends_with(token));
    any_token(text, &BEGINNINGS, is_name) || any_token(text, &ENDS, is_last_piece) || pastes_end(text)
}

/// Whether `is_it` holds for a token of `text` that contains one of `parts`.
fn any_token(text: &[u8], parts: &[&[u8]], is_it: impl Fn(&[u8]) -> bool) -> bool {
    parts.iter().any(|part| memmem::find_iter(text, part).any(|at| is_it(token(text, at))))
}

/// The identifier or number around a place in `text`.
fn token(text: &[u8], at: usize) -> &[u8] {
    let is_in = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'$';
    let before = text.get(..at).unwrap_or_default().iter().rev().take_while(|byte| is_in(byte)).count();
    let after = text.get(at..).unwrap_or_default().iter().take_while(|byte| is_in(byte)).count();
    text.get(at - before..at + after).unwrap_or_default()
}

/// Whether two underscores alone may be what a pasting ends with: behind `##`, or as the last argument of a macro. As the first
/// or a middle piece they stand in many headers.
fn pastes_end(text: &[u8]) -> bool {
    let ends = |hash: &&[u8]| {
        memmem::find_iter(text, hash).any(|at| {
            let piece = text.get(at + hash.len()..).unwrap_or_default().trim_ascii_start();
            piece.starts_with(b"__") && token(piece, 0) == b"__" && !goes_on(piece.get(2..).unwrap_or_default())
        })
    };
    let last_argument = memmem::find_iter(text, b"__)").any(|at| {
        let before = text.get(..at).unwrap_or_default().trim_ascii_end();
        before.ends_with(b",") && token(text, at) == b"__"
    });
    last_argument || [&b"##"[..], b"%:%:"].iter().any(ends)
}

/// Whether more is pasted to what stands before `rest`.
fn goes_on(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    rest.starts_with(b"##") || rest.starts_with(b"%:%:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_seen() {
        for text in ["int x; char *d = __DATE__;", "__TIME__", "(__TIMESTAMP__)", "F(__BASE_FILE__)"] {
            assert!(shown(text.as_bytes()), "{text}");
        }
        for text in ["", "__DATE_ __TIMER__ __BASE__", "____TIMESTAMP__", "x__DATE__", "DATE TIME __SIZE_TYPE__ FILE"] {
            assert!(!shown(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn pieces_that_make_a_name_are_seen() {
        for text in [
            "#define D __DA ## TE__",
            "#define D __ %:%: DATE__",
            "#define D(x) __##x##__\nchar *d = D(DATE);",
            "#define D(x) __##x %:%: __\n",
            "char *d = PASTE(__DA, TE__);",
            "char *d = PASTE(__TIMESTAMP, __);",
            "char *d = PASTE(__TIMESTAM, P__);",
        ] {
            assert!(shown(text.as_bytes()), "{text}");
        }
        for text in [
            "__MATHDECL_1(type, __CONCAT(__,function),suffix, args)",
            "#define F(a, b) PEM_##a##_##b a##__##b f ## __name",
            "#define __T(x) x",
            "int f(__x, a__)",
        ] {
            assert!(!shown(text.as_bytes()), "{text}");
        }
    }
}
