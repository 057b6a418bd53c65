//! Names of environments and platforms, and the only check of such names.

use crate::limits::NAME_MAX;
use crate::text::Text;
use std::fmt;
use thiserror::Error;

/// Name of an environment or platform; safe to use as a directory name (decision: plain-names).
///
/// 1 to 255 bytes of printable ASCII without space and `/`, and not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvName(String);

/// Why a text is not a valid environment or platform name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// The text is empty.
    #[error("empty name")]
    Empty,
    /// Longer than 255 bytes; its length.
    #[error("name of {0} bytes, at most {NAME_MAX} are allowed")]
    TooLong(usize),
    /// A byte that is not printable ASCII, a space or a `/`; the byte and the text.
    #[error("byte {0:#04x} in name {1:?}")]
    BadByte(u8, Text),
    /// The text is `.` or `..`.
    #[error("{0:?} is no name")]
    Dots(Text),
}

impl EnvName {
    /// Checks `text`. This is the only constructor; it fails if the text is not a valid name.
    pub fn new(text: &[u8]) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_MAX {
            return Err(NameError::TooLong(text.len()));
        }
        if let Some(&bad) = text.iter().find(|b| !b.is_ascii_graphic() || **b == b'/') {
            return Err(NameError::BadByte(bad, text.into()));
        }
        if text == b"." || text == b".." {
            return Err(NameError::Dots(text.into()));
        }
        Ok(Self(text.iter().map(|&b| char::from(b)).collect()))
    }

    /// The content name of this digest.
    pub fn of_content(digest: &[u8; 32]) -> Self {
        let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Self(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a content name of ours: 64 lower-case hex digits (decision: content-names).
    pub fn is_content_name(&self) -> bool {
        self.0.len() == 64 && self.0.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Identity of an environment on a host; its directory is `target=PLATFORM/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvId {
    /// The *target* platform of messages: the submitter's platform.
    pub platform: EnvName,
    /// The environment's name.
    pub name: EnvName,
}

impl EnvId {
    /// Checks both parts; fails if one is not a valid name.
    pub fn new(platform: &[u8], name: &[u8]) -> Result<Self, NameError> {
        Ok(Self { platform: EnvName::new(platform)?, name: EnvName::new(name)? })
    }
}

impl fmt::Display for EnvId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.platform)
    }
}

/// A pair of platform and environment name as in messages: raw, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvRef {
    /// Host platform on which the environment runs (GET_CS), or target platform under which it is installed (LOGIN).
    pub platform: Text,
    /// The environment's name.
    pub name: Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_name_is_64_lower_case_hex_digits() {
        let name = |text: &str| EnvName::new(text.as_bytes()).unwrap().is_content_name();
        let digits = "0123456789abcdef".repeat(4);
        assert!(name(&digits));
        assert!(!name(&digits[1..]) && !name(&format!("0{digits}")));
        let digest: [u8; 32] = std::array::from_fn(|n| u8::try_from(n * 8 + 7).unwrap());
        assert!(EnvName::of_content(&digest).is_content_name());
        assert!(
            EnvName::of_content(&digest).as_str().starts_with("070f171f")
                && name(EnvName::of_content(&digest).as_str())
        );
        for other in ["g", "A", "-", "`", ":"] {
            assert!(!name(&format!("{other}{}", &digits[1..])), "{other}");
        }
    }

    #[test]
    fn names_are_checked() {
        for good in ["a", ".hidden", "x86_64", "8b59cf5c35b2033fe114a01a619d2eea", "a=b+c"] {
            assert!(EnvName::new(good.as_bytes()).is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["", ".", "..", "a/b", "a b", "a\n", "\u{e4}", &long] {
            assert!(EnvName::new(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
