//! Names of environments derived from their content: ours, and 1.4's to verify them.

use ice_core::env::EnvName;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{self, Read};

/// Our name of an environment: the BLAKE3 digest of its uncompressed tar, as 64 hex digits (decision: content-names).
pub fn content_name(digest: &[u8; 32]) -> String {
    hex(digest)
}

/// The BLAKE3 digest of these bytes.
pub fn of_bytes(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// The BLAKE3 digest of all that can be read, as 64 hex digits.
pub fn of_content(content: impl Read) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(content)?;
    Ok(hex(hasher.finalize().as_bytes()))
}

/// The result of comparing an environment's name with its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameCheck {
    /// The name matches the content.
    Same,
    /// One of our names with other content: the archive must be refused.
    Forged,
    /// The name says nothing of the content: a user chose it, also where it has the form of 1.4's.
    Other,
}

/// Compares an environment's name with the content that was unpacked. `md5_name` is needed only for 1.4's names.
pub fn check_name(name: &EnvName, digest: &[u8; 32], md5_name: Option<&[u8; 16]>) -> NameCheck {
    if name.is_content_name() {
        return if name.as_str() == content_name(digest) { NameCheck::Same } else { NameCheck::Forged };
    }
    let is_md5 = md5_name.is_some_and(|md5| name.as_str() == hex(md5));
    if is_md5 { NameCheck::Same } else { NameCheck::Other }
}

/// Whether a name has the form of 1.4's: 32 lower-case hex digits.
pub fn is_md5_name(name: &EnvName) -> bool {
    name.as_str().len() == 32 && name.as_str().bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Computes 1.4's name of an environment, file by file in the archive's order.
#[derive(Clone, Default)]
pub struct Md5Name {
    lines: Vec<u8>,
    sums: BTreeMap<Vec<u8>, [u8; 16]>,
}

impl Md5Name {
    /// Starts without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file by its name without the leading `/` and the MD5 of its content.
    pub fn file(&mut self, name: &[u8], sum: [u8; 16]) {
        self.lines.extend_from_slice(hex(&sum).as_bytes());
        self.lines.extend_from_slice(b" /");
        self.lines.extend_from_slice(name);
        self.lines.push(b'\n');
        self.sums.insert(name.to_vec(), sum);
    }

    /// Adds a hard link: a name with the content of the earlier file `earlier`.
    pub fn same_as(&mut self, name: &[u8], earlier: &[u8]) {
        if let Some(sum) = self.sums.get(earlier).copied() {
            self.file(name, sum);
        }
    }

    /// The name as 16 bytes.
    pub fn finish(self) -> [u8; 16] {
        md5::compute(&self.lines).0
    }
}

/// `bytes` as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{b:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e17_the_formula_gives_the_names_of_1_4() {
        let mut name = Md5Name::new();
        name.file(b"bin/true", md5::compute("x\n").0);
        name.file(b"usr/bin/as", md5::compute("y\n").0);
        assert_eq!(hex(&name.finish()), "6564522c71d68e3f5406f14969c11fa0");
    }

    #[test]
    fn e36_names_are_compared_with_content() {
        let digest = *blake3::hash(b"tar").as_bytes();
        let md5 = [7; 16];
        let check = |name: &str| check_name(&EnvName::new(name.as_bytes()).unwrap(), &digest, Some(&md5));
        assert_eq!(check(&content_name(&digest)), NameCheck::Same);
        assert_eq!(check(&"0".repeat(64)), NameCheck::Forged);
        assert_eq!(check(&hex(&md5)), NameCheck::Same);
        assert_eq!(check(&"0".repeat(32)), NameCheck::Other);
        assert_eq!(check("my-gcc"), NameCheck::Other);
    }
}
