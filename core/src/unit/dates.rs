//! Macros whose value depends on where and when they are expanded: text that shows one is not for another host.

use super::directives::{behind_hash, last_line, word};
use memchr::memmem;

/// The macros.
const NAMES: [&[u8]; 4] = [b"__DATE__", b"__TIME__", b"__TIMESTAMP__", b"__BASE_FILE__"];

/// How every name ends, also one that is made of pieces.
const ENDS: [&[u8]; 2] = [b"E__", b"P__"];

/// What pastes two pieces together.
const PASTES: [&[u8]; 2] = [b"##", b"%:%:"];

/// Whether `text`, whole lines without splices, names one of the macros, or may make its name by pasting pieces together.
pub(super) fn shown(text: &[u8]) -> bool {
    let is_last_piece = |token: &[u8]| NAMES.iter().any(|name| name.ends_with(token));
    let has_last_piece = |end: &&[u8]| memmem::find_iter(text, end).any(|at| is_last_piece(token(text, at)));
    ENDS.iter().any(has_last_piece) || pastes_end(text)
}

/// The identifier or number around a place in `text`.
fn token(text: &[u8], at: usize) -> &[u8] {
    let before = text.get(..at).unwrap_or_default().iter().rev().take_while(|byte| is_in_token(byte)).count();
    let after = text.get(at..).unwrap_or_default().iter().take_while(|byte| is_in_token(byte)).count();
    text.get(at - before..at + after).unwrap_or_default()
}

fn is_in_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')
}

/// Whether two underscores alone may be what a pasting ends with: behind `##`, or as the last argument of a macro. As the first
/// or a middle piece they stand in many headers.
fn pastes_end(text: &[u8]) -> bool {
    let last_argument = memmem::find_iter(text, b"__)").any(|at| {
        let before = text.get(..at).unwrap_or_default().trim_ascii_end();
        before.ends_with(b",") && token(text, at) == b"__"
    });
    last_argument || PASTES.iter().any(|paste| memmem::find_iter(text, paste).any(|at| ends_a_name(text, at)))
}

/// Whether the pasting at a place in `text` adds two underscores, as its end, to what may be the rest of a name.
fn ends_a_name(text: &[u8], at: usize) -> bool {
    let (before, rest) = text.split_at(at);
    let rest = PASTES.iter().find_map(|paste| rest.strip_prefix(*paste)).unwrap_or(rest).trim_ascii_start();
    let goes_on = |rest: &[u8]| PASTES.iter().any(|paste| rest.trim_ascii_start().starts_with(paste));
    let is_end = token(rest, 0) == b"__" && !rest.get(2..).is_some_and(goes_on);
    is_end && {
        let mut pieces = pasted(last_line(before));
        pieces.push(Piece::Is(b"__"));
        NAMES.iter().any(|name| is_made_of(name, &pieces))
    }
}

/// One of the pieces that are pasted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Is(&'a [u8]),
    /// What a parameter stands for, or what is not understood.
    Any,
}

/// The pieces before a pasting that the definition on `line` breaks off at, in order.
fn pasted(line: &[u8]) -> Vec<Piece<'_>> {
    let parameters = parameters(line);
    let mut pieces = Vec::new();
    let mut rest = line.trim_ascii_end();
    loop {
        let piece = token(rest, rest.len());
        let is_known = parameters.as_ref().is_some_and(|all| !all.contains(&piece)) && piece != b"__VA_ARGS__";
        pieces.push(if is_known && !piece.is_empty() { Piece::Is(piece) } else { Piece::Any });
        let before = rest.get(..rest.len() - piece.len()).unwrap_or_default().trim_ascii_end();
        match PASTES.iter().find_map(|paste| before.strip_suffix(*paste)) {
            Some(before) => rest = before.trim_ascii_end(),
            None => break,
        }
    }
    pieces.reverse();
    pieces.dedup_by(|next, piece| (*next, *piece) == (Piece::Any, Piece::Any));
    pieces
}

/// The parameters of the macro that is defined on `line`. `None` if the line is not understood.
fn parameters(line: &[u8]) -> Option<Vec<&[u8]>> {
    let (keyword, rest) = word(behind_hash(line)?);
    let (_, rest) = if keyword == b"define" { word(rest) } else { return None };
    let Some(list) = rest.strip_prefix(b"(") else { return Some(Vec::new()) };
    let end = memchr::memchr(b')', list)?;
    Some(list.get(..end)?.split(|byte| !is_in_token(byte)).filter(|name| !name.is_empty()).collect())
}

/// Whether `name` may come of `pieces`.
fn is_made_of(name: &[u8], pieces: &[Piece<'_>]) -> bool {
    match pieces.split_first() {
        None => name.is_empty(),
        Some((Piece::Is(piece), others)) => name.strip_prefix(*piece).is_some_and(|rest| is_made_of(rest, others)),
        Some((Piece::Any, others)) => {
            (0..=name.len()).any(|at| name.get(at..).is_some_and(|rest| is_made_of(rest, others)))
        }
    }
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
            "#define D(x, ...) x ## __VA_ARGS__ ## __\n",
            "/* a\n b */ # define D(x...) x/**/##__\n",
            "#define D(x, y) __ ## x ## A ## y ## __ int a;\n",
            "#define D __DA ## T ## E ## __\n",
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
            "#define F(a, b) __BTF_ID__##a##__##b##__ a",
            "#define F(a) __F_##a ## __",
            "#define A B ## __",
            "int f(__x, a__)",
            "int f(__)",
        ] {
            assert!(!shown(text.as_bytes()), "{text}");
        }
    }
}
