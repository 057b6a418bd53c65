//! Reads the members of an untrusted tar one by one: headers of v7, ustar, GNU and pax, each field checked.
//!
//! It parses what headers say. Whether a member may be created is decided in `unpack`.

use super::decompress::Decompressed;
use super::error::UnpackError;
use ice_core::text::Text;

/// Size of a tar block in bytes.
const BLOCK: usize = 512;
/// Maximum size of a GNU long name, checked before memory is allocated; no accepted name is longer.
const LONG_NAME_MAX: u64 = 8192;
/// Maximum size of a pax header; it leaves room for extended attributes, which are ignored.
const PAX_MAX: u64 = 1 << 20;

/// The type of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// A hard link with the name of its target.
    Hardlink(Vec<u8>),
}

/// The header of a member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its name, unchecked.
    pub(super) name: Vec<u8>,
    /// Its type.
    pub(super) kind: Kind,
    /// Size in bytes of the content that follows; 0 for all but files.
    pub(super) size: u64,
    /// Whether any of its execute bits is set.
    pub(super) executable: bool,
    /// Modification time in seconds since 1970; 0 if it cannot be expressed.
    pub(super) mtime: u64,
}

/// Values from extension headers for the next member.
#[derive(Default)]
struct Extra {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

/// The members of a tar.
pub(super) struct Members<'a> {
    /// The bytes of the tar.
    pub(super) plain: Decompressed<'a>,
    /// Bytes of the current member's content that were not read yet.
    content: u64,
    /// Bytes of padding after that content.
    padding: usize,
}

impl<'a> Members<'a> {
    /// Starts at the first member.
    pub(super) fn new(plain: Decompressed<'a>) -> Self {
        Self { plain, content: 0, padding: 0 }
    }

    /// The next member. `None` at the archive's end; then only zeros followed, and all input was read.
    pub(super) fn next(&mut self) -> Result<Option<Member>, UnpackError> {
        let mut extra = Extra::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let old = header.as_old();
            let kind = old.linkflag[0];
            let size = number(&header.as_old().size).ok_or_else(|| self.bad("size", old))?;
            match kind {
                b'L' => extra.name = Some(self.long_name(size)?),
                b'K' => extra.link = Some(self.long_name(size)?),
                b'x' | b'X' => self.pax(size, Some(&mut extra))?,
                b'g' => self.pax(size, None)?,
                _ => return self.member(&header, kind, size, extra).map(Some),
            }
        }
    }

    /// Reads content of the current member into `buf`; returns 0 at its end.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<usize, UnpackError> {
        let want = buf.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
        let done = self.plain.fill(&mut buf[..want])?;
        if done < want {
            return Err(UnpackError::Truncated);
        }
        self.content -= done as u64;
        Ok(done)
    }

    /// Combines a header with the extension headers before it.
    fn member(&mut self, header: &tar::Header, kind: u8, size: u64, extra: Extra) -> Result<Member, UnpackError> {
        let old = header.as_old();
        let name = extra.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extra.link.or_else(|| header.link_name_bytes().map(|l| l.into_owned())).unwrap_or_default();
        let size = extra.size.unwrap_or(size);
        let kind = match kind {
            // In v7 a directory is a file whose name ends with a slash.
            0 | b'0' if name.last() == Some(&b'/') => Kind::Directory,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::Hardlink(link),
            b'2' => Kind::Symlink(link),
            b'5' => Kind::Directory,
            b'3' | b'4' | b'6' => return Err(UnpackError::Device { name: name.into() }),
            b'S' => return Err(UnpackError::Sparse { name: name.into() }),
            kind => return Err(UnpackError::UnknownKind { kind, name: name.into() }),
        };
        if kind != Kind::File && size != 0 {
            return Err(UnpackError::Header { field: "size", name: name.into() });
        }
        let mode = number(&old.mode).ok_or_else(|| UnpackError::Header { field: "mode", name: name.clone().into() })?;
        // A date before 1970 or out of range is ignored.
        let mtime = number(&old.mtime).unwrap_or(0);
        self.set_content(size);
        Ok(Member { name, kind, size, executable: mode & 0o111 != 0, mtime })
    }

    /// Reads a header block; `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<tar::Header>, UnpackError> {
        let mut block = [0; BLOCK];
        match self.plain.fill(&mut block)? {
            0 => return Ok(None), // some tools omit the end blocks
            BLOCK => {}
            _ => return Err(UnpackError::Truncated),
        }
        if block == [0; BLOCK] {
            return self.only_zeros().map(|()| None);
        }
        let header = tar::Header::from_byte_slice(&block).clone();
        let sum: u64 =
            block.iter().enumerate().map(|(at, b)| u64::from(if (148..156).contains(&at) { b' ' } else { *b })).sum();
        if number(&header.as_old().cksum) != Some(sum) {
            // A bad checksum in the first block means that this is no tar at all.
            let is_first = self.plain.expanded == BLOCK as u64;
            return Err(if is_first { UnpackError::NotATar } else { self.bad("checksum", header.as_old()) });
        }
        Ok(Some(header))
    }

    /// Reads to the end of the input, which must be zeros only.
    fn only_zeros(&mut self) -> Result<(), UnpackError> {
        let mut buf = vec![0; 1 << 16];
        loop {
            let n = self.plain.fill(&mut buf)?;
            if n == 0 {
                return Ok(());
            }
            if buf[..n].iter().any(|b| *b != 0) {
                return Err(UnpackError::DataAfterEnd);
            }
        }
    }

    /// Reads the content of a GNU long name or link.
    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        let mut name = self.body(size, LONG_NAME_MAX)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    /// Reads a pax header. `extra` gets the values for the next member; `None`: a global header, which may set none.
    fn pax(&mut self, size: u64, extra: Option<&mut Extra>) -> Result<(), UnpackError> {
        let body = self.body(size, PAX_MAX)?;
        let mut target = extra;
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (record, after) = pax_record(rest).ok_or(UnpackError::Pax { what: "malformed record" })?;
            rest = after;
            let (key, value) = record;
            if key.starts_with(b"GNU.sparse") {
                return Err(UnpackError::Sparse { name: Text::from(key) });
            }
            let Some(extra) = target.as_deref_mut() else {
                if [&b"path"[..], b"linkpath", b"size"].contains(&key) {
                    return Err(UnpackError::Pax { what: "a global header that names or sizes members" });
                }
                continue;
            };
            match key {
                b"path" => extra.name = Some(value.to_vec()),
                b"linkpath" => extra.link = Some(value.to_vec()),
                b"size" => extra.size = Some(decimal(value).ok_or(UnpackError::Pax { what: "bad size" })?),
                // Owners, dates, attributes and capabilities are ignored: all files belong to the daemon's user.
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads the content of an extension header of at most `max` bytes.
    fn body(&mut self, size: u64, max: u64) -> Result<Vec<u8>, UnpackError> {
        if size > max {
            return Err(UnpackError::LongHeader { size, max });
        }
        let len = usize::try_from(size).map_err(|_| UnpackError::LongHeader { size, max })?;
        self.set_content(size);
        let mut body = vec![0; len];
        self.read(&mut body)?;
        Ok(body)
    }

    /// Notes how much content and padding follows.
    fn set_content(&mut self, size: u64) {
        self.content = size;
        self.padding = ((BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64) as usize;
    }

    /// Skips the rest of the current member.
    fn skip_content(&mut self) -> Result<(), UnpackError> {
        let mut buf = vec![0; 1 << 14];
        while self.content > 0 {
            self.read(&mut buf)?;
        }
        let mut block = [0; BLOCK];
        let padding = std::mem::take(&mut self.padding);
        if self.plain.fill(&mut block[..padding])? < padding {
            return Err(UnpackError::Truncated);
        }
        Ok(())
    }

    /// An error in a header field.
    fn bad(&self, field: &'static str, old: &tar::OldHeader) -> UnpackError {
        let name = old.name.split(|b| *b == 0).next().unwrap_or_default();
        UnpackError::Header { field, name: name.into() }
    }
}

/// Parses a number field: octal text, or base 256. `None`: negative, over 64 bits, or malformed.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        if first & 0x40 != 0 {
            return None; // negative
        }
        return rest.iter().try_fold(u64::from(first & 0x3f), |n, b| (n < 1 << 56).then(|| n << 8 | u64::from(*b)));
    }
    let text = field.split(|b| *b == 0).next()?.trim_ascii();
    text.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

/// Parses the first record `LEN KEY=VALUE\n` of `text`; returns it and the rest.
#[allow(clippy::type_complexity)] // a pair of pairs of slices
fn pax_record(text: &[u8]) -> Option<((&[u8], &[u8]), &[u8])> {
    let blank = text.iter().take(12).position(|b| *b == b' ')?;
    let len = usize::try_from(decimal(&text[..blank])?).ok()?;
    let record = text.get(blank + 1..len)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    Some(((&record[..equals], &record[equals + 1..]), &text[len..]))
}

/// Parses decimal digits. `None`: empty, over 64 bits, or malformed.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256_and_never_negative() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   17 \0\0"), Some(0o17));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"-1\0"), None);
        assert_eq!(number(b"77777777777777777777777"), None);
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(2 << 32));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(number(b"\x80\x01\0\0\0\0\0\0\0\0\0\0"), None);
    }

    #[test]
    fn pax_records_are_checked() {
        assert_eq!(pax_record(b"12 path=a/b\nrest"), Some(((&b"path"[..], &b"a/b"[..]), &b"rest"[..])));
        for bad in [&b"99 path=a\n"[..], b"path=a\n", b"3 \n", b"10 path=abc", b"8 path\n\n", b""] {
            assert_eq!(pax_record(bad), None, "{bad:?}");
        }
    }
}
