//! Command lines of the programs: options by a table of each program (`table`), parsed as the C library does or by
//! `words`.
//!
//! The daemon and the scheduler are called by scripts written for 1.4, which reads its command line with the C
//! library's `getopt_long`: unambiguous prefixes of long options, `--opt=value` and `--opt value`, `-x value` and
//! `-xvalue`, bundles like `-vvv` and `-dNhost`. `pico-args`, which all other programs use
//! (`words`), supports neither prefixes nor a letter with its value in a bundle, nor the order of options, so these
//! two are parsed here. This module does not know the meaning of options.

mod nearest;
/// Option tables of programs.
pub mod table;
#[cfg(test)]
pub(crate) mod tests;
/// Command lines parsed by pico-args.
pub mod words;

use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;

use ice_net::allow::Allow;
use nearest::nearest;
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

/// A value that an option does not take.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{option} wants {wanted}, not {value:?}")]
pub struct BadValue {
    /// The option as the user wrote it, or a variable.
    pub option: String,
    /// What it takes.
    pub wanted: String,
    /// What was given.
    pub value: OsString,
}

/// Why a command line is invalid.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    /// No such option, and the one that looks most like it.
    #[error("unknown option {given}{}", meant(.nearest))]
    Unknown {
        /// How it was written.
        given: String,
        /// One of the table.
        nearest: Option<String>,
    },
    /// A prefix of more than one long option.
    #[error("--{given} may mean {}", .possible.join(", "))]
    Ambiguous {
        /// The prefix.
        given: String,
        /// The options that begin with it.
        possible: Vec<String>,
    },
    /// An option without the value it needs.
    #[error("{option} wants a value, {name}")]
    Missing {
        /// How the user wrote it.
        option: String,
        /// What the help calls its value.
        name: &'static str,
    },
    /// `--opt=value` where the option takes none.
    #[error("--{option} takes no value, not even {value:?}")]
    Unexpected {
        /// The option.
        option: &'static str,
        /// What was given.
        value: OsString,
    },
    /// A word that is no option, and none that the program takes.
    #[error("unknown word {0:?}")]
    Operand(OsString),
    /// A word that is needed is not there.
    #[error("{0} has to be named")]
    Nothing(&'static str),
    /// A value that the option does not take.
    #[error(transparent)]
    Value(#[from] BadValue),
}

fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

impl Given {
    /// The error of a value that is not what the option wants.
    pub fn bad(&self, wanted: impl Display) -> BadValue {
        BadValue { option: self.written.clone(), wanted: wanted.to_string(), value: self.value.clone() }
    }

    /// The value as text that is not empty.
    pub fn text(&self) -> Result<String, BadValue> {
        let text = self.value.to_str().filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| self.bad("text that is not empty"))
    }

    /// The value as the absolute form of a path: the working directory changes later.
    pub fn path(&self) -> Result<PathBuf, BadValue> {
        let path = PathBuf::from(&self.value);
        std::path::absolute(path).map_err(|_| self.bad("the name of a file or directory"))
    }

    /// The value as a number of a range.
    pub fn number<N: FromStr + PartialOrd + Display>(&self, range: RangeInclusive<N>) -> Result<N, BadValue> {
        let number = self.value.to_str().and_then(|text| number(text, &range));
        number.ok_or_else(|| self.bad(format!("a whole number from {} to {}", range.start(), range.end())))
    }
}

/// The value as networks.
pub fn networks(given: &Given) -> Result<Allow, BadValue> {
    let networks = given.value.to_str().and_then(|list| list.parse().ok());
    networks.ok_or_else(|| given.bad("networks (10.0.0.0/8,fd00::/8)"))
}

/// A number of a range: digits and nothing else.
pub fn number<N: FromStr + PartialOrd>(text: &str, range: &RangeInclusive<N>) -> Option<N> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_plain && range.contains(number))
}

/// A parsed command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The options, in order.
    pub options: Vec<Given>,
    /// Everything else, in order.
    pub operands: Vec<OsString>,
}

/// Parses the command line of a program that takes options alone, without its name.
pub fn options(table: &'static [Opt], args: impl IntoIterator<Item = OsString>) -> Result<Vec<Given>, ParseError> {
    let parsed = parse(table, args)?;
    // Who asks for help gets it.
    let asks = parsed.options.iter().any(|option| matches!(option.name.as_str(), "help" | "version"));
    match parsed.operands.into_iter().next() {
        Some(word) if !asks => Err(ParseError::Operand(word)),
        _ => Ok(parsed.options),
    }
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

fn long(table: &'static [Opt], word: &[u8], rest: &mut impl Iterator<Item = OsString>) -> Result<Given, ParseError> {
    let (name, inline) = match word.iter().position(|b| *b == b'=') {
        Some(at) => (&word[..at], Some(OsString::from_vec(word[at + 1..].to_vec()))),
        None => (word, None),
    };
    let option = find_long(table, name)?;
    let value = match (option.value, inline) {
        (None, None) => OsString::new(),
        (None, Some(value)) => return Err(ParseError::Unexpected { option: option.long, value }),
        (Some(_), Some(value)) => value,
        (Some(_), None) if option.may_lack_value() => OsString::new(),
        (Some(name), None) => {
            let missing = || ParseError::Missing { option: format!("--{}", option.long), name };
            rest.next().ok_or_else(missing)?
        }
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
        [] => Err(unknown(table, format!("--{given}"))),
        [one] => Ok(one),
        _ => {
            let possible = candidates.iter().map(|option| format!("--{}", option.long)).collect();
            Err(ParseError::Ambiguous { given, possible })
        }
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
        let option = table.iter().find(|o| o.short == Some(letter));
        let option = option.ok_or_else(|| unknown(table, format!("-{letter}")))?;
        let given = |value| Given { name: option.name(), written: format!("-{letter}"), value };
        let Some(name) = option.value else {
            options.push(given(OsString::new()));
            continue;
        };
        let value = match &letters[at + 1..] {
            [] => rest.next().ok_or_else(|| ParseError::Missing { option: format!("-{letter}"), name })?,
            inline => OsString::from_vec(inline.to_vec()),
        };
        options.push(given(value));
        break;
    }
    Ok(())
}

/// The error of an option that the table lacks.
pub(crate) fn unknown(table: &[Opt], given: String) -> ParseError {
    let long = given.starts_with("--").then(|| given.split('=').next().unwrap_or_default());
    let known: Vec<String> = table.iter().flat_map(Opt::written).collect();
    let nearest = long.and_then(|long| nearest(long, known.iter().map(String::as_str))).map(str::to_owned);
    ParseError::Unknown { given, nearest }
}
