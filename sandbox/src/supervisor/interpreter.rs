//! What the kernel opens by itself when it runs a program: its loader, or the interpreter of a script.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// How much of a script's first line the kernel looks at.
const LINE_MAX: usize = 256;
/// Most segments of a program that are looked at.
const SEGMENTS_MAX: usize = 128;
/// The kind of the segment that names the loader.
const INTERPRETER: u64 = 3;

/// The path of what runs this program, if it does not run alone.
pub(super) fn interpreter(program: &Path) -> Option<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(program).ok()?;
    let head = read(&file, 0, LINE_MAX)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        return script(line);
    }
    head.starts_with(b"\x7fELF").then(|| loader(&file, &head))?
}

/// The first word of a script's first line.
fn script(line: &[u8]) -> Option<Vec<u8>> {
    let is_blank = |c: &u8| matches!(c, b' ' | b'\t');
    let line: Vec<u8> = line.iter().copied().skip_while(is_blank).collect();
    let word: Vec<u8> = line.into_iter().take_while(|c| !is_blank(c) && !matches!(c, b'\n' | 0)).collect();
    (!word.is_empty()).then_some(word)
}

/// The loader that a program names. Offsets are those of the two widths of the format.
fn loader(file: &File, head: &[u8]) -> Option<Vec<u8>> {
    let is_wide = head.get(4) == Some(&2);
    let number = |bytes: &[u8], wide: (usize, usize), narrow: (usize, usize)| {
        let (at, len) = if is_wide { wide } else { narrow };
        Some(bytes.get(at..at + len)?.iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte)))
    };
    let table = number(head, (32, 8), (28, 4))?;
    let (size, count) = (number(head, (54, 2), (42, 2))?, number(head, (56, 2), (44, 2))?);
    let size = usize::try_from(size).ok().filter(|size| *size >= 32)?;
    let count = usize::try_from(count).ok()?.min(SEGMENTS_MAX);
    let table = read(file, table, size * count)?;
    let is_loader = |segment: &&[u8]| number(segment, (0, 4), (0, 4)) == Some(INTERPRETER);
    let segment = table.chunks_exact(size).find(is_loader)?;
    let (offset, len) = (number(segment, (8, 8), (4, 4))?, number(segment, (32, 8), (16, 4))?);
    let name = read(file, offset, usize::try_from(len).ok()?.min(4096))?;
    Some(name.into_iter().take_while(|c| *c != 0).collect())
}

/// Reads up to `len` bytes.
fn read(file: &File, from: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut have = 0;
    while let Some(room) = bytes.get_mut(have..).filter(|room| !room.is_empty()) {
        match file.read_at(room, from.checked_add(u64::try_from(have).ok()?)?).ok()? {
            0 => break,
            got => have += got,
        }
    }
    bytes.truncate(have);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn scripts_and_programs_name_what_runs_them() -> std::io::Result<()> {
        for (text, expected) in [
            ("#!/bin/sh\necho", Some("/bin/sh")),
            ("#! \t/usr/bin/env python3 -I\n", Some("/usr/bin/env")),
            ("#!bin/x", Some("bin/x")),
            ("#!\n", None),
            ("\x7fELF", None),
            ("", None),
        ] {
            let mut file = tempfile::NamedTempFile::new()?;
            file.write_all(text.as_bytes())?;
            assert_eq!(interpreter(file.path()).as_deref(), expected.map(str::as_bytes), "{text:?}");
        }
        let own = interpreter(&std::env::current_exe()?).map(|path| String::from_utf8_lossy(&path).into_owned());
        assert!(own.as_ref().is_none_or(|path| path.contains("ld-linux") || path.contains("ld-musl")), "{own:?}");
        Ok(())
    }
}
