//! Command lines of programs whose syntax is not 1.4's, parsed by pico-args: options may be anywhere before `--`.
//!
//! pico-args supports `--name=value` for UTF-8 only, so that form is split into `--name value` first.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use pico_args::Arguments;

use super::table::Opt;
use super::{ParseError, unknown};

/// The rest of a command line that has not been taken yet.
pub struct Words {
    table: &'static [Opt],
    options: Arguments,
    behind: Vec<OsString>,
}

impl Words {
    /// The arguments after the program's name, with its option table. In tests, taking an option that is not in the
    /// table panics.
    pub fn new(arguments: impl IntoIterator<Item = OsString>, table: &'static [Opt]) -> Words {
        let mut arguments = arguments.into_iter();
        let before: Vec<OsString> = arguments.by_ref().take_while(|argument| argument != "--").collect();
        let split = before.into_iter().flat_map(|argument| match joined(&argument, table) {
            Some((name, value)) => vec![name.into(), value.to_os_string()],
            None => vec![argument],
        });
        Words { table, options: Arguments::from_vec(split.collect()), behind: arguments.collect() }
    }

    /// Takes an option without value; returns whether it was given, once or more. `spellings` must name all its
    /// spellings. Options with a value must be taken before.
    pub fn flag<const N: usize>(&mut self, spellings: [&'static str; N]) -> bool {
        debug_assert!(self.has(&spellings, false), "{spellings:?}: no row of the table");
        let mut is_given = false;
        while spellings.iter().any(|spelling| self.options.contains(*spelling)) {
            is_given = true;
        }
        is_given
    }

    /// Takes all values of an option, in order.
    pub fn values(&mut self, key: &'static str) -> Result<Vec<OsString>, ParseError> {
        debug_assert!(self.has(&[key], true), "{key}: no row of the table");
        let values = self.options.values_from_os_str(key, |value| Ok::<_, Infallible>(value.to_os_string()));
        values.map_err(|_| self.missing(key))
    }

    fn missing(&self, key: &str) -> ParseError {
        let row = self.table.iter().find(|row| row.written().contains(&key.to_owned()));
        ParseError::Missing { option: key.to_owned(), name: row.and_then(|row| row.value).unwrap_or_default() }
    }

    /// Takes the value of an option; the last one counts.
    pub fn value(&mut self, key: &'static str) -> Result<Option<OsString>, ParseError> {
        Ok(self.values(key)?.pop())
    }

    /// Takes the value of an option with a letter and a long name; the last one counts, of the long name's first.
    pub fn either(&mut self, letter: &'static str, long: &'static str) -> Result<Option<OsString>, ParseError> {
        debug_assert!(self.has(&[letter, long], true), "{letter}, {long}: no row of the table");
        let values = self.options.values_from_os_str([letter, long], |value| Ok::<_, Infallible>(value.to_os_string()));
        match values {
            Ok(mut values) => Ok(values.pop()),
            Err(pico_args::Error::OptionWithoutAValue(written)) => Err(self.missing(written)),
            Err(_) => Err(self.missing(long)),
        }
    }

    /// Whether the table has a row with these spellings, with or without value.
    fn has(&self, spellings: &[&str], value: bool) -> bool {
        self.table.iter().any(|row| row.value.is_some() == value && row.written() == spellings)
    }

    /// Takes everything else. An option among it is unknown to the program and an error.
    pub fn operands(self) -> Result<Vec<OsString>, ParseError> {
        let mut operands = self.options.finish();
        let is_option = |word: &&OsString| word.len() > 1 && word.as_bytes().starts_with(b"-");
        match operands.iter().find(is_option) {
            Some(option) => Err(unknown(self.table, option.to_string_lossy().into_owned())),
            None => {
                operands.extend(self.behind);
                Ok(operands)
            }
        }
    }
}

/// The only word, of what takes one: `wanted` says which.
pub fn only(words: Vec<OsString>, wanted: &'static str) -> Result<OsString, ParseError> {
    let mut words = words.into_iter();
    let first = words.next().ok_or(ParseError::Nothing(wanted))?;
    words.next().map_or(Ok(first), |more| Err(ParseError::Operand(more)))
}

/// Splits `--name=value`, if the option takes a value.
fn joined<'a>(argument: &'a OsStr, table: &[Opt]) -> Option<(String, &'a OsStr)> {
    table.iter().filter(|row| row.value.is_some() && !row.long.is_empty()).find_map(|row| {
        let name = format!("--{}", row.long);
        let value = argument.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some((name, OsStr::from_bytes(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::table::{Completes, option};
    use super::*;

    const TABLE: &[Opt] = &[
        option("dir", "").takes("DIR", Completes::Directory),
        option("file", "").takes("FILE", Completes::File),
        option("quiet", "").short('q'),
        option("all", ""),
        option("name", "").short('n').takes("NAME", Completes::Nothing),
    ];

    fn words(line: &str) -> Words {
        Words::new(line.split(' ').map(OsString::from), TABLE)
    }

    #[test]
    fn options_stand_anywhere_and_may_be_joined() {
        let mut line = words("a --quiet --dir=x=y b --dir --quiet --file ''");
        assert_eq!(line.values("--dir").unwrap(), ["x=y", "--quiet"]);
        assert_eq!(line.value("--file").unwrap().unwrap(), "''");
        assert!(line.flag(["-q", "--quiet"]) && !line.flag(["--all"]));
        assert_eq!(line.operands().unwrap(), ["a", "b"]);
        let name = OsStr::from_bytes(b"--dir=\xff").to_os_string();
        assert_eq!(Words::new([name], TABLE).value("--dir").unwrap().unwrap().as_bytes(), b"\xff");
    }

    #[test]
    fn an_option_has_a_letter_and_a_long_name() {
        for (line, wanted) in [("-n a -n c", "c"), ("--name=b", "b"), ("--name b -n c", "b")] {
            assert_eq!(words(line).either("-n", "--name").unwrap().unwrap(), wanted, "{line}");
        }
        assert_eq!(words("a -n").either("-n", "--name"), Err(words("").missing("-n")));
        assert_eq!(words("a").either("-n", "--name"), Ok(None));
    }

    #[test]
    fn what_stands_behind_two_dashes_is_no_option() {
        let mut line = words("- -- --quiet --dir=x");
        assert!(!line.flag(["-q", "--quiet"]) && line.value("--dir").unwrap().is_none());
        assert_eq!(line.operands().unwrap(), ["-", "--quiet", "--dir=x"]);
    }

    #[test]
    #[should_panic(expected = "no row of the table")]
    fn an_option_that_the_table_lacks_is_not_asked_for() {
        words("a").flag(["--other"]);
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(words("a --dir").value("--dir").unwrap_err().to_string(), "--dir wants a value, DIR");
        let unknown = |line: &str| words(line).operands().unwrap_err().to_string();
        assert_eq!(unknown("--quiet=1 a"), "unknown option --quiet=1 (did you mean --quiet?)");
        assert_eq!(unknown("a -qv"), "unknown option -qv");
        let one = |words: &[&str]| only(words.iter().map(OsString::from).collect(), "an archive");
        assert_eq!(one(&["a"]), Ok("a".into()));
        assert_eq!(one(&["a", "b", "c"]), Err(ParseError::Operand("b".into())));
        assert_eq!(one(&[]).unwrap_err().to_string(), "an archive has to be named");
    }
}
