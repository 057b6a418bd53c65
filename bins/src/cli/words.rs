//! The command line of a program whose syntax is not 1.4's, read by pico-args: options stand anywhere before `--`.
//!
//! pico-args finds each option by its name. It takes `--name=value` for UTF-8 alone, so that form becomes `--name value` before.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use pico_args::{Arguments, Keys};

/// Why a command line is wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WordsError {
    /// No option of the program.
    #[error("unknown option {}", std::path::Path::new(.0).display())]
    Unknown(OsString),
    /// An option that wants a value is the last argument.
    #[error("option {0} wants a value")]
    NoValue(&'static str),
}

/// What is left of a command line.
pub struct Words {
    options: Arguments,
    behind: Vec<OsString>,
}

impl Words {
    /// The arguments behind the program's name. `with_value`: the options that have a value.
    pub fn new(arguments: impl IntoIterator<Item = OsString>, with_value: &[&'static str]) -> Words {
        let mut arguments = arguments.into_iter();
        let before: Vec<OsString> = arguments.by_ref().take_while(|argument| argument != "--").collect();
        let split = before.into_iter().flat_map(|argument| match joined(&argument, with_value) {
            Some((name, value)) => vec![name.into(), value.to_os_string()],
            None => vec![argument],
        });
        Words { options: Arguments::from_vec(split.collect()), behind: arguments.collect() }
    }

    /// Whether an option without value is given, as often as it is. Options with a value must be taken before.
    pub fn flag(&mut self, keys: impl Into<Keys>) -> bool {
        let keys = keys.into();
        let mut is_given = false;
        while self.options.contains(keys) {
            is_given = true;
        }
        is_given
    }

    /// The values of an option, in order.
    pub fn values(&mut self, key: &'static str) -> Result<Vec<OsString>, WordsError> {
        let values = self.options.values_from_os_str(key, |value| Ok::<_, Infallible>(value.to_os_string()));
        values.map_err(|_| WordsError::NoValue(key))
    }

    /// The value of an option; its last one counts.
    pub fn value(&mut self, key: &'static str) -> Result<Option<OsString>, WordsError> {
        Ok(self.values(key)?.pop())
    }

    /// Everything else. An option among it is one that the program does not have.
    pub fn operands(self) -> Result<Vec<OsString>, WordsError> {
        let mut operands = self.options.finish();
        let is_option = |word: &&OsString| word.len() > 1 && word.as_bytes().starts_with(b"-");
        match operands.iter().find(is_option) {
            Some(option) => Err(WordsError::Unknown(option.clone())),
            None => {
                operands.extend(self.behind);
                Ok(operands)
            }
        }
    }
}

/// `--name=value` in two, if the option has a value.
fn joined<'a>(argument: &'a OsStr, with_value: &[&'static str]) -> Option<(&'static str, &'a OsStr)> {
    with_value.iter().find_map(|name| {
        let value = argument.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some((*name, OsStr::from_bytes(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Words {
        Words::new(line.split(' ').map(OsString::from), &["--dir", "--file"])
    }

    #[test]
    fn options_stand_anywhere_and_may_be_joined() {
        let mut line = words("a --quiet --dir=x=y b --dir --quiet --file ''");
        assert_eq!(line.values("--dir").unwrap(), ["x=y", "--quiet"]);
        assert_eq!(line.value("--file").unwrap().unwrap(), "''");
        assert!(line.flag(["-q", "--quiet"]) && !line.flag("--all"));
        assert_eq!(line.operands().unwrap(), ["a", "b"]);
        let name = OsStr::from_bytes(b"--dir=\xff").to_os_string();
        assert_eq!(Words::new([name], &["--dir"]).value("--dir").unwrap().unwrap().as_bytes(), b"\xff");
    }

    #[test]
    fn what_stands_behind_two_dashes_is_no_option() {
        let mut line = words("- -- --quiet --dir=x");
        assert!(!line.flag("--quiet") && line.value("--dir").unwrap().is_none());
        assert_eq!(line.operands().unwrap(), ["-", "--quiet", "--dir=x"]);
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(words("a --dir").value("--dir"), Err(WordsError::NoValue("--dir")));
        assert_eq!(words("--quiet=1 a").operands(), Err(WordsError::Unknown("--quiet=1".into())));
        assert_eq!(words("a -qv").operands().unwrap_err().to_string(), "unknown option -qv");
    }
}
