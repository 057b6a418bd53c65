//! Line markers, by which a preprocessor's text tells what stood where.

/// Names of the files that are entered by the line markers among `lines`: `# 1 "NAME" 1`, then other flags.
pub(super) fn entered(lines: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let starts = memchr::memmem::find_iter(lines, b"\n# ").map(|at| at + 1);
    std::iter::once(0).chain(starts).filter_map(|at| {
        let marker = lines.get(at..)?.strip_prefix(b"# ")?;
        let quote = marker.iter().position(|b| !b.is_ascii_digit() && *b != b' ')?;
        let (name, flags) = quoted(marker.get(quote..)?)?;
        let is_file = !(name.starts_with(b"<") && name.ends_with(b">"));
        (flags.starts_with(b" 1") && is_file).then_some(name)
    })
}

/// A string in quotes as gcc writes it, and what follows it.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut name = Vec::new();
    loop {
        match rest {
            [b'"', rest @ ..] => return Some((name, rest)),
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                name.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            [b'\\', byte, after @ ..] => {
                name.push(*byte);
                rest = after;
            }
            [b'\n', ..] | [] => return None,
            [byte, after @ ..] => {
                name.push(*byte);
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_markers_name_the_files() {
        let text = b"# 0 \"a.c\"\n# 1 \"/usr/include/x.h\" 1 3 4\nint a;\n# 2 \"a.c\" 2\n# 5 \"gen.y\"\n# 1 \"a\\\"b\\\\\\012.h\" 1\n# 0 \"<built-in>\" 1\n # 1 \"no.h\" 1\n# 1 \"cut.h";
        assert_eq!(entered(text).collect::<Vec<_>>(), [b"/usr/include/x.h".to_vec(), b"a\"b\\\n.h".to_vec()]);
    }
}
