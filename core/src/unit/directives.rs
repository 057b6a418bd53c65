//! The lines of a source that speak to the preprocessor, read as it reads them: comments may stand before the hash, which has three
//! spellings, and a backslash takes a line's end away.

use memchr::memmem;
use std::borrow::Cow;

/// The spellings of the sign that begins a directive.
const HASHES: [&[u8]; 3] = [b"#", b"%:", b"??="];

/// The keyword of each directive of `text`, which has no splices, and what follows it on its line.
pub(super) fn directives(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|&byte| byte == b'\n').filter_map(behind_hash).map(word)
}

/// Whether what follows `text`, which has no splices, stands on the line of a directive.
pub(super) fn is_in_directive(text: &[u8]) -> bool {
    behind_hash(last_line(text)).is_some()
}

/// What stands on the line that `text` breaks off in.
pub(super) fn last_line(text: &[u8]) -> &[u8] {
    text.get(memchr::memrchr(b'\n', text).map_or(0, |at| at + 1)..).unwrap_or_default()
}

/// What follows the hash, if the line is a directive.
pub(super) fn behind_hash(line: &[u8]) -> Option<&[u8]> {
    let behind_comments = || memmem::find_iter(line, b"*/").find_map(|at| without_hash(line.get(at + 2..)?));
    without_hash(line).or_else(behind_comments)
}

fn without_hash(line: &[u8]) -> Option<&[u8]> {
    HASHES.iter().find_map(|hash| line.trim_ascii_start().strip_prefix(*hash))
}

/// The next word on the line, behind blanks and comments, and what follows it.
pub(super) fn word(mut text: &[u8]) -> (&[u8], &[u8]) {
    loop {
        let blanks = text.iter().take_while(|b| matches!(b, b' ' | b'\t' | 0x0b | 0x0c)).count();
        text = text.get(blanks..).unwrap_or_default();
        let Some(comment) = text.strip_prefix(b"/*") else { break };
        let Some(end) = memmem::find(comment, b"*/") else { break };
        text = comment.get(end + 2..).unwrap_or_default();
    }
    text.split_at(text.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count())
}

/// `text` without the line ends that a backslash takes away. The text itself where there are none, as in most files.
pub(super) fn unspliced(text: &[u8]) -> Cow<'_, [u8]> {
    let mut whole = Vec::new();
    let mut from = 0;
    let trigraphs = memmem::find_iter(text, b"??/").map(|at| at + 2);
    let mut places: Vec<usize> = memchr::memchr_iter(b'\\', text).chain(trigraphs).collect();
    places.sort_unstable();
    for at in places {
        let rest = text.get(at + 1..).unwrap_or_default();
        let blanks = rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)).count();
        if rest.get(blanks) == Some(&b'\n') {
            let end = if text.get(at) == Some(&b'/') { at - 2 } else { at };
            whole.extend_from_slice(text.get(from..end).unwrap_or_default());
            from = at + 1 + blanks + 1;
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    whole.extend_from_slice(text.get(from..).unwrap_or_default());
    Cow::Owned(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_found_behind_comments() {
        let text = b"#define A 1\nint a; # b\n /* c */ %: /* d */ if A\n/* two\n lines */ ??=endif\n";
        let expected = [(&b"define"[..], &b" A 1"[..]), (b"if", b" A"), (b"endif", b"")];
        assert_eq!(directives(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn splices_go_and_nothing_else() {
        assert_eq!(&*unspliced(b"a\\\nb \\n c??/\r\nd\\"), b"ab \\n cd\\");
        assert!(matches!(unspliced(b"no \\ splice"), Cow::Borrowed(_)));
    }
}
