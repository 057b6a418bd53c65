//! Paths as byte strings, without asking any file system.

/// What follows the last `/`.
pub fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

/// The suffix of the base name, behind its last dot; a leading dot counts, as in `.c`.
pub fn suffix(path: &[u8]) -> Option<&[u8]> {
    let base = base_name(path);
    base.iter().rposition(|&b| b == b'.').and_then(|dot| base.get(dot + 1..))
}

/// The path without the suffix of its base name and the dot.
pub fn without_suffix(path: &[u8]) -> &[u8] {
    match suffix(path) {
        Some(suffix) => path.get(..path.len() - suffix.len() - 1).unwrap_or(path),
        None => path,
    }
}

/// `path` made absolute from `folder`, with `//`, `/./` and `/../` removed by their text alone.
pub fn absolute(folder: &[u8], path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let start: &[u8] = if path.starts_with(b"/") { b"" } else { folder };
    for part in start.split(|&b| b == b'/').chain(path.split(|&b| b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let mut whole = Vec::new();
    for part in parts {
        whole.push(b'/');
        whole.extend_from_slice(part);
    }
    if whole.is_empty() { b"/".to_vec() } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths() {
        assert_eq!(suffix(b"dir.d/src"), None);
        assert_eq!(suffix(b"a.b.c"), Some(&b"c"[..]));
        assert_eq!(suffix(b".c"), Some(&b"c"[..]));
        assert_eq!(without_suffix(b"out.x/noext"), b"out.x/noext");
        assert_eq!(without_suffix(b"o/a.b.o"), b"o/a.b");
        assert_eq!(base_name(b"/usr/bin/gcc"), b"gcc");
    }

    #[test]
    fn absolute_by_text() {
        assert_eq!(absolute(b"/w/d", b"./o/../plug.so"), b"/w/d/plug.so");
        assert_eq!(absolute(b"/w", b"/a//b/../c"), b"/a/c");
        assert_eq!(absolute(b"/", b"../.."), b"/");
    }
}
