//! The index: which native archive belongs to which compiler, as lines of text.
//!
//! One archive a line, fields parted by tabs: compression, compiler, extra files, facts, archive, size, parts. Texts are in hex, as
//! paths may hold any byte; lists are parted by commas. A line that cannot be read is left out: its archive is made again.

use std::collections::BTreeMap;
use std::fmt::Write;

use ice_core::daemon::{Archive, FileFacts, NativeKey};
use ice_core::text::Text;

/// An archive, and the files it was packed from as they were then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Where it is.
    pub archive: Archive,
    /// What is in it.
    pub parts: Vec<FileFacts>,
}

/// Reads an index.
pub fn parse(bytes: &[u8]) -> BTreeMap<NativeKey, Packed> {
    String::from_utf8_lossy(bytes).lines().filter_map(entry).collect()
}

/// Writes one.
pub fn text(index: &BTreeMap<NativeKey, Packed>) -> String {
    let mut out = String::new();
    let facts = |files: &[FileFacts]| {
        let each = files.iter().map(|f| format!("{}:{}:{}:{}", hex(&f.path), f.size, f.mtime_ns, f.inode));
        each.collect::<Vec<String>>().join(",")
    };
    for (key, Packed { archive, parts }) in index {
        let extra: Vec<String> = key.extra_files.iter().map(hex).collect();
        let (compression, compiler, path) = (hex(&key.compression), hex(&key.compiler), hex(&archive.path));
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{compression}\t{compiler}\t{}\t{}\t{path}\t{}\t{}",
            extra.join(","),
            facts(&key.files),
            archive.size,
            facts(parts)
        );
    }
    out
}

fn entry(line: &str) -> Option<(NativeKey, Packed)> {
    let mut fields = line.split('\t');
    let compression = unhex(fields.next()?)?;
    let compiler = unhex(fields.next()?)?;
    let extra_files = list(fields.next()?, unhex)?;
    let files = list(fields.next()?, facts)?;
    let path = unhex(fields.next()?)?;
    let size = fields.next()?.parse().ok()?;
    let parts = list(fields.next()?, facts)?;
    Some((NativeKey { compression, compiler, extra_files, files }, Packed { archive: Archive { path, size }, parts }))
}

fn list<T>(field: &str, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    field.split(',').filter(|i| !i.is_empty()).map(item).collect()
}

fn facts(field: &str) -> Option<FileFacts> {
    let mut parts = field.split(':');
    Some(FileFacts {
        path: unhex(parts.next()?)?,
        size: parts.next()?.parse().ok()?,
        mtime_ns: parts.next()?.parse().ok()?,
        inode: parts.next()?.parse().ok()?,
    })
}

fn hex(text: &Text) -> String {
    crate::digest::hex(text.as_bytes())
}

fn unhex(text: &str) -> Option<Text> {
    let digits = text.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> =
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    bytes.map(Text::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_costs_only_its_line() {
        let file = |path: &str| FileFacts { path: path.into(), size: 5, mtime_ns: -7, inode: 9 };
        let key = NativeKey {
            compression: Text::new(),
            compiler: "/usr/bin/gcc".into(),
            extra_files: vec![vec![0xff, b'\t', b','].into()],
            files: vec![file("/usr/bin/gcc"), file("/usr/bin/g++")],
        };
        let other = NativeKey { compression: "zstd".into(), extra_files: Vec::new(), ..key.clone() };
        let archive = Archive { path: "/n/a.tar.gz".into(), size: 10 };
        let packed = Packed { archive, parts: vec![file("/usr/lib/cc1"), file("/usr/bin/as")] };
        let index = BTreeMap::from([(key, packed.clone()), (other, Packed { parts: Vec::new(), ..packed })]);
        let written = text(&index);
        assert_eq!(parse(written.as_bytes()), index);
        let damaged = written.replacen('\t', " ", 1);
        assert_eq!(parse(damaged.as_bytes()).len(), 1);
        assert!(parse(b"\xff\xfe\n\n").is_empty());
    }
}
