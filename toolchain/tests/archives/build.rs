//! Builds tars header by header, valid and invalid ones, and compresses them.

use ice_toolchain::archive::{UnpackError, UnpackLimits, Unpacked, unpack};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The bytes of a tar under construction.
#[derive(Clone, Default)]
pub struct Tar(pub Vec<u8>);

/// One header, before its checksum.
#[derive(Clone)]
pub struct Head {
    pub name: Vec<u8>,
    pub kind: u8,
    pub mode: u32,
    pub size: u64,
    pub link: Vec<u8>,
    /// Changes the finished header, before the checksum is computed.
    pub patch: fn(&mut [u8]),
}

impl Default for Head {
    fn default() -> Self {
        Self { name: b"x".to_vec(), kind: b'0', mode: 0o644, size: 0, link: Vec::new(), patch: |_| {} }
    }
}

impl Tar {
    /// The smallest environment: `bin/true`, `usr/bin/gcc` and `usr/bin/as`.
    pub fn environment() -> Self {
        Self::default().file("bin/true", 0o755, b"true").file("usr/bin/gcc", 0o755, b"gcc").file(
            "usr/bin/as",
            0o755,
            b"as",
        )
    }

    pub fn head(mut self, head: Head) -> Self {
        let mut block = [0; 512];
        block[..head.name.len().min(100)].copy_from_slice(&head.name[..head.name.len().min(100)]);
        block[100..108].copy_from_slice(format!("{:07o}\0", head.mode).as_bytes());
        block[108..116].copy_from_slice(b"0000000\0");
        block[116..124].copy_from_slice(b"0000000\0");
        block[124..136].copy_from_slice(format!("{:011o}\0", head.size).as_bytes());
        block[136..148].copy_from_slice(b"00000000000\0");
        block[156] = head.kind;
        block[157..157 + head.link.len()].copy_from_slice(&head.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        (head.patch)(&mut block);
        sum(&mut block);
        self.0.extend(block);
        self
    }

    pub fn data(mut self, data: &[u8]) -> Self {
        self.0.extend(data);
        let full = self.0.len().next_multiple_of(512);
        self.0.resize(full, 0);
        self
    }

    pub fn file(self, name: &str, mode: u32, data: &[u8]) -> Self {
        self.named(name, b'0', mode, data)
    }

    pub fn named(self, name: &str, kind: u8, mode: u32, data: &[u8]) -> Self {
        let head = Head { name: name.into(), kind, mode, size: data.len() as u64, ..Head::default() };
        self.head(head).data(data)
    }

    pub fn dir(self, name: &str, mode: u32) -> Self {
        self.named(name, b'5', mode, b"")
    }

    pub fn link(self, name: &str, target: &str) -> Self {
        self.head(Head { name: name.into(), kind: b'2', mode: 0o777, link: target.into(), ..Head::default() })
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.head(Head { name: name.into(), kind: b'1', link: target.into(), ..Head::default() })
    }

    /// A pax header for the next member.
    pub fn pax(self, kind: u8, records: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let len = (rest..).find(|len| rest + len.to_string().len() == *len).unwrap();
            body += &format!("{len} {key}={value}\n");
        }
        self.named("pax", kind, 0o644, body.as_bytes())
    }

    /// A GNU long name (`L`) or long link (`K`) for the next member.
    pub fn gnu_long(self, kind: u8, text: &str) -> Self {
        self.named("././@LongLink", kind, 0o644, &[text.as_bytes(), b"\0"].concat())
    }

    /// The bytes with the end blocks.
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// Writes a header's checksum.
pub fn sum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub fn bzip2(plain: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub fn xz(plain: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 1).unwrap()
}

pub fn lz4(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    lz_fear::framed::CompressionSettings::default().compress(plain, &mut out).unwrap();
    out
}

/// A directory to unpack into, and beside it one that must stay unchanged.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.inside()).unwrap();
        fs::create_dir(place.0.path().join("outside")).unwrap();
        fs::write(place.0.path().join("outside/file"), "untouched").unwrap();
        place
    }

    pub fn inside(&self) -> PathBuf {
        self.0.path().join("inside")
    }

    pub fn unpack(&self, archive: &[u8]) -> Result<Unpacked, UnpackError> {
        self.unpack_with(archive, &UnpackLimits::default())
    }

    pub fn unpack_with(&self, archive: &[u8], limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
        let result = unpack(archive, &self.inside(), limits);
        self.check_outside();
        result
    }

    fn check_outside(&self) {
        let list = |path: &Path| {
            let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(list(self.0.path()), ["inside", "outside"]);
        assert_eq!(list(&self.0.path().join("outside")), ["file"]);
        assert_eq!(fs::read(self.0.path().join("outside/file")).unwrap(), b"untouched");
    }
}
