//! Command lines of the programs: options by a table of each program (`table`), parsed as the C library does or by
//! `words`.
//!
//! The daemon and the scheduler are called by scripts written for 1.4, which reads its command line with the C
//! library's `getopt_long`: unambiguous prefixes of long options, `--opt=value` and `--opt value`, `-x value` and
//! `-xvalue`, bundles like `-vvv` and `-dNhost`, operands anywhere. `pico-args`, which all other programs use
//! (`words`), supports neither prefixes nor a letter with its value in a bundle, nor the order of options, so these
//! two are parsed here. This module does not know the meaning of options.

/// Option tables of programs.
pub mod table;
#[cfg(test)]
pub(crate) mod tests;
/// Command lines parsed by pico-args.
pub mod words;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use table::Opt;

/// An option as it was given. The order is kept, so that the later of two can win.
#[derive(Debug, PartialEq, Eq)]
pub struct Given {
    /// [`Opt::name`] of its row.
    pub name: String,
    /// How the user wrote it (`-n`, `--netname`), for messages.
    pub written: String,
    /// Its argument; empty if the row takes none.
    pub value: OsString,
}

/// Why a command line is invalid, with the C library's texts.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    /// No such long option.
    #[error("unrecognized option '--{0}'")]
    UnknownLong(String),
    /// No such letter.
    #[error("invalid option -- '{0}'")]
    UnknownShort(char),
    /// A prefix of more than one long option.
    #[error("option '--{given}' is ambiguous; possibilities:{}", quoted(.possible))]
    Ambiguous {
        /// The prefix.
        given: String,
        /// The options that begin with it.
        possible: Vec<&'static str>,
    },
    /// A long option without the argument it needs.
    #[error("option '--{0}' requires an argument")]
    MissingLong(&'static str),
    /// A letter without the argument it needs.
    #[error("option requires an argument -- '{0}'")]
    MissingShort(char),
    /// `--opt=value` where the option takes none.
    #[error("option '--{0}' doesn't allow an argument")]
    Unexpected(&'static str),
}

/// A parsed command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The options, in order.
    pub options: Vec<Given>,
    /// Everything else, in order (1.4's daemon and scheduler ignore it).
    pub operands: Vec<OsString>,
}

/// Parses a command line, without the program's name, by a table.
pub fn parse(table: &'static [Opt], args: impl IntoIterator<Item = OsString>) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            parsed.operands.extend(args);
            break;
        }
        if let Some(word) = bytes.strip_prefix(b"--") {
            parsed.options.push(long(table, word, &mut args)?);
        } else if bytes.len() > 1 && bytes[0] == b'-' {
            bundle(table, &bytes[1..], &mut args, &mut parsed.options)?;
        } else {
            parsed.operands.push(arg);
        }
    }
    Ok(parsed)
}

/// A number as C's `strtol` parses it: white space, a sign, digits; the rest is ignored, and no digits mean 0.
pub fn number(text: &OsStr) -> i64 {
    let bytes = text.as_bytes();
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(bytes.len());
    let (negative, digits) = match &bytes[start..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut value: i64 = 0;
    for digit in digits.iter().take_while(|b| b.is_ascii_digit()) {
        let digit = i64::from(digit - b'0');
        value = value.saturating_mul(10);
        value = if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) };
    }
    value
}

/// A number as C's `atoi` parses it: [`number`], truncated to 32 bits.
pub fn atoi(text: &OsStr) -> i32 {
    number(text) as i32
}

fn long(table: &'static [Opt], word: &[u8], rest: &mut impl Iterator<Item = OsString>) -> Result<Given, ParseError> {
    let (name, inline) = match word.iter().position(|b| *b == b'=') {
        Some(at) => (&word[..at], Some(OsString::from_vec(word[at + 1..].to_vec()))),
        None => (word, None),
    };
    let option = find_long(table, name)?;
    let value = match (option.value, inline) {
        (None, None) => OsString::new(),
        (None, Some(_)) => return Err(ParseError::Unexpected(option.long)),
        (Some(_), Some(value)) => value,
        (Some(_), None) => rest.next().ok_or(ParseError::MissingLong(option.long))?,
    };
    Ok(Given { name: option.name(), written: format!("--{}", option.long), value })
}

fn find_long(table: &'static [Opt], name: &[u8]) -> Result<&'static Opt, ParseError> {
    let fits = |o: &&'static Opt| !o.long.is_empty() && o.long.as_bytes().starts_with(name);
    if let Some(exact) = table.iter().filter(fits).find(|o| o.long.len() == name.len()) {
        return Ok(exact);
    }
    let candidates: Vec<&'static Opt> = table.iter().filter(fits).collect();
    let given = String::from_utf8_lossy(name).into_owned();
    match candidates[..] {
        [] => Err(ParseError::UnknownLong(given)),
        [one] => Ok(one),
        _ => Err(ParseError::Ambiguous { given, possible: candidates.iter().map(|o| o.long).collect() }),
    }
}

fn bundle(
    table: &'static [Opt],
    letters: &[u8],
    rest: &mut impl Iterator<Item = OsString>,
    options: &mut Vec<Given>,
) -> Result<(), ParseError> {
    for (at, byte) in letters.iter().enumerate() {
        let letter = char::from(*byte);
        let option = table.iter().find(|o| o.short == Some(letter)).ok_or(ParseError::UnknownShort(letter))?;
        let given = |value| Given { name: option.name(), written: format!("-{letter}"), value };
        if option.value.is_none() {
            options.push(given(OsString::new()));
            continue;
        }
        let value = match &letters[at + 1..] {
            [] => rest.next().ok_or(ParseError::MissingShort(letter))?,
            inline => OsString::from_vec(inline.to_vec()),
        };
        options.push(given(value));
        break;
    }
    Ok(())
}

fn quoted(names: &[&'static str]) -> String {
    names.iter().map(|name| format!(" '--{name}'")).collect()
}
