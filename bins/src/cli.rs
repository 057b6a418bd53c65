//! Options as one table: parsed, and printed as help.
//!
//! The daemon and the scheduler are called by scripts written for 1.4, which reads its command line with the C library's
//! `getopt_long`: unambiguous prefixes of long options, `--opt=value` and `--opt value`, `-x value` and `-xvalue`, bundles like
//! `-vvv` and `-dNhost`, operands anywhere. `pico-args`, which all other programs use ([`words`]), knows no prefixes, no letter
//! with its value in a bundle, and not in which order options were given, so these two read their command lines here. Nothing here
//! knows what an option means.

pub mod words;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// One row of a program's option table.
#[derive(Debug, PartialEq, Eq)]
pub struct Opt {
    /// The letter after one dash.
    pub short: Option<char>,
    /// The word after two dashes, empty if there is none.
    pub long: &'static str,
    /// What its argument is called in the help, if it takes one.
    pub value: Option<&'static str>,
    /// What it does; lines after the first are indented in the help.
    pub help: &'static str,
}

impl Opt {
    /// The name a program matches on: the long one, or the letter where there is no long one.
    pub fn name(&self) -> String {
        match self.short {
            Some(letter) if self.long.is_empty() => letter.to_string(),
            _ => self.long.to_string(),
        }
    }
}

/// An option as it was given. The order is kept, so that a program can let the later one win.
#[derive(Debug, PartialEq, Eq)]
pub struct Given {
    /// [`Opt::name`] of its row.
    pub name: String,
    /// How the user wrote it (`-n`, `--netname`), for messages.
    pub written: String,
    /// Its argument: present if and only if the row has a value.
    pub value: OsString,
}

/// Why a command line does not fit the table, in the C library's words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    /// No such long option.
    #[error("unrecognized option '--{0}'")]
    UnknownLong(String),
    /// No such letter.
    #[error("invalid option -- '{0}'")]
    UnknownShort(char),
    /// A prefix that fits more than one long option.
    #[error("option '--{given}' is ambiguous; possibilities:{}", quoted(.possible))]
    Ambiguous {
        /// The prefix.
        given: String,
        /// All it fits.
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

/// What a command line said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The options, in order.
    pub options: Vec<Given>,
    /// Everything else, in order (1.4's daemon and scheduler ignore it).
    pub operands: Vec<OsString>,
}

/// Reads a command line, without the program's name, by a table.
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

/// The rows of a table as text: one option a line, help texts aligned.
pub fn help(table: &[Opt]) -> String {
    let left: Vec<String> = table.iter().map(synopsis).collect();
    let width = left.iter().map(String::len).max().unwrap_or(0) + 2;
    let mut text = String::new();
    for (option, left) in table.iter().zip(&left) {
        let mut lines = option.help.lines();
        let _ = writeln!(text, "  {left:width$}{}", lines.next().unwrap_or(""));
        for line in lines {
            let _ = writeln!(text, "  {:width$}{line}", "");
        }
    }
    text
}

/// A number as C's `strtol` reads it: blanks, a sign, digits; anything after them is ignored, nothing is 0.
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

/// A number as C's `atoi` gives it: [`number`], cut to 32 bits as the C library cuts it.
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

fn synopsis(option: &Opt) -> String {
    let mut text = match option.short {
        Some(letter) if option.long.is_empty() => format!("-{letter}"),
        Some(letter) => format!("-{letter}, --{}", option.long),
        None => format!("    --{}", option.long),
    };
    if let Some(value) = option.value {
        let _ = write!(text, " {value}");
    }
    text
}

fn quoted(names: &[&'static str]) -> String {
    names.iter().map(|name| format!(" '--{name}'")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Opt] = &[
        Opt { short: Some('n'), long: "netname", value: Some("NAME"), help: "the network" },
        Opt { short: None, long: "nice", value: Some("N"), help: "niceness\nof jobs" },
        Opt { short: None, long: "no-remote", value: None, help: "no jobs of others" },
        Opt { short: Some('N'), long: "name", value: Some("NODE"), help: "this host" },
        Opt { short: Some('d'), long: "daemonize", value: None, help: "detach" },
        Opt { short: Some('v'), long: "", value: None, help: "say more" },
    ];

    fn read(args: &[&str]) -> Result<Vec<(String, String)>, String> {
        let parsed = parse(TABLE, args.iter().map(OsString::from)).map_err(|e| e.to_string())?;
        Ok(parsed.options.into_iter().map(|g| (g.name, g.value.to_string_lossy().into_owned())).collect())
    }

    fn pairs(list: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        Ok(list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect())
    }

    #[test]
    fn every_way_to_write_an_option() {
        assert_eq!(
            read(&["-n", "a", "-nb", "--netname", "c", "--netname=d", "--net=e", "--netname=", "-n", ""]),
            pairs(&[
                ("netname", "a"),
                ("netname", "b"),
                ("netname", "c"),
                ("netname", "d"),
                ("netname", "e"),
                ("netname", ""),
                ("netname", "")
            ])
        );
        assert_eq!(
            read(&["-vvdv", "-dNhost", "--no"]),
            pairs(&[
                ("v", ""),
                ("v", ""),
                ("daemonize", ""),
                ("v", ""),
                ("daemonize", ""),
                ("name", "host"),
                ("no-remote", "")
            ])
        );
    }

    #[test]
    fn an_argument_may_look_like_an_option() {
        assert_eq!(read(&["--name", "-v", "-n", "--"]), pairs(&[("name", "-v"), ("netname", "--")]));
    }

    #[test]
    fn operands_are_kept_apart_and_options_found_behind_them() {
        let parsed = parse(TABLE, ["junk", "-v", "-", "--", "-d"].iter().map(OsString::from)).unwrap();
        assert_eq!(parsed.options.len(), 1);
        assert_eq!(parsed.operands, ["junk", "-", "-d"]);
    }

    #[test]
    fn mistakes_are_told_in_the_c_librarys_words() {
        let err = |args: &[&str]| read(args).unwrap_err();
        assert_eq!(err(&["--foo"]), "unrecognized option '--foo'");
        assert_eq!(err(&["-vx"]), "invalid option -- 'x'");
        assert_eq!(err(&["-n"]), "option requires an argument -- 'n'");
        assert_eq!(err(&["--net"]), "option '--netname' requires an argument");
        assert_eq!(err(&["--daemonize=1"]), "option '--daemonize' doesn't allow an argument");
        assert_eq!(
            err(&["--n"]),
            "option '--n' is ambiguous; possibilities: '--netname' '--nice' '--no-remote' '--name'"
        );
    }

    #[test]
    fn numbers_as_atoi() {
        let all = ["12", " 7x", "-3", "+4", "x", "", "99999999999999999999", "4294967297"];
        let read: Vec<i32> = all.iter().map(|t| atoi(OsStr::new(t))).collect();
        assert_eq!(read, [12, 7, -3, 4, 0, 0, -1, 1]);
        assert_eq!(number(OsStr::new("4294967297")), 4_294_967_297);
    }

    #[test]
    fn help_is_aligned() {
        let text = help(TABLE);
        assert!(text.contains("  -n, --netname NAME  the network\n"), "{text}");
        assert!(text.contains("      --nice N        niceness\n                      of jobs\n"), "{text}");
        assert!(text.contains("  -v                  say more\n"), "{text}");
    }
}
