//! The option table of a program, which is beside the program's parser. Parser, `--help`, the list in the manual page
//! and the shells' completions are made from it; `bins/tests/manual` writes the last two.

use std::fmt::Write as _;

/// Version text of our programs: scripts compare the first number, the release of icecream that is replaced
/// (decision: version-texts).
pub const VERSION: &str = concat!("1.4.0 (icecream-rs ", env!("CARGO_PKG_VERSION"), ")");

/// Description of a program.
#[derive(Debug)]
pub struct Program {
    /// File name.
    pub name: &'static str,
    /// Title before [`VERSION`].
    pub title: &'static str,
    /// Its purpose, in a line or two.
    pub about: &'static str,
    /// Forms of its command line.
    pub usage: &'static [&'static str],
    /// Text above the options in the help; may be empty.
    pub above: &'static str,
    /// All its options.
    pub options: &'static [Opt],
    /// Text below the options in the help; may be empty.
    pub below: &'static str,
    /// What its operands are.
    pub operands: Completes,
}

/// One row of a program's option table.
#[derive(Debug, PartialEq, Eq)]
pub struct Opt {
    /// The letter after one dash.
    pub short: Option<char>,
    /// The name after two dashes; empty if there is none.
    pub long: &'static str,
    /// Name of its argument in the help, if it takes one; `[=NAME]` if it may be left out.
    pub value: Option<&'static str>,
    /// Kind of its argument, for shells.
    pub completes: Completes,
    /// Text in the help; lines after the first are indented.
    pub help: &'static str,
    /// Text for the manual page, in sentences, with `*emphasis*` and literal text in backticks. Empty if the page has
    /// the text of the help.
    pub manual: &'static str,
}

/// What a shell offers as completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completes {
    /// Nothing.
    Nothing,
    /// Files.
    File,
    /// Directories.
    Directory,
    /// The name of a command.
    Command,
    /// A command with its own arguments.
    CommandLine,
    /// One of these.
    Word(&'static [&'static str]),
    /// Some of these, separated by commas.
    List(&'static [&'static str]),
}

/// A row without letter and argument.
pub const fn option(long: &'static str, help: &'static str) -> Opt {
    Opt { short: None, long, value: None, completes: Completes::Nothing, help, manual: "" }
}

/// The row of `--help`.
pub const HELP: Opt = option("help", "show this text").manual("Show a summary.");

/// The row of `--version`.
pub const SHOW_VERSION: Opt = option("version", "show the version");

impl Opt {
    /// Adds a letter.
    pub const fn short(self, letter: char) -> Opt {
        Opt { short: Some(letter), ..self }
    }

    /// Adds an argument.
    pub const fn takes(self, name: &'static str, completes: Completes) -> Opt {
        Opt { value: Some(name), completes, ..self }
    }

    /// Adds a longer text for the manual page.
    pub const fn manual(self, text: &'static str) -> Opt {
        Opt { manual: text, ..self }
    }

    /// Whether its argument may be left out: then it is written with `=` alone.
    pub fn may_lack_value(&self) -> bool {
        self.value.is_some_and(|value| value.starts_with("[="))
    }

    /// Its argument as the help shows it behind the name.
    pub fn shown_value(&self) -> String {
        match self.value {
            Some(value) if self.may_lack_value() => value.to_owned(),
            Some(value) => format!(" {value}"),
            None => String::new(),
        }
    }

    /// The name on which a program matches: the long one, or the letter if there is no long one.
    pub fn name(&self) -> String {
        match self.short {
            Some(letter) if self.long.is_empty() => letter.to_string(),
            _ => self.long.to_string(),
        }
    }

    /// Its spellings: the letter, then the long name.
    pub fn written(&self) -> Vec<String> {
        let letter = self.short.map(|letter| format!("-{letter}"));
        let word = (!self.long.is_empty()).then(|| format!("--{}", self.long));
        letter.into_iter().chain(word).collect()
    }
}

impl Program {
    /// What `--help` prints.
    pub fn help(&self) -> String {
        let mut text = format!("{}\n\n", self.about);
        for (at, line) in self.usage.iter().enumerate() {
            let _ = writeln!(text, "{} {line}", if at == 0 { "Usage:" } else { "      " });
        }
        for part in [self.above, "Options:"].iter().filter(|part| !part.is_empty()) {
            let _ = writeln!(text, "\n{}", part.trim_end());
        }
        text += &rows(self.options);
        if !self.below.is_empty() {
            let _ = writeln!(text, "\n{}", self.below.trim_end());
        }
        text
    }

    /// What `--version` prints.
    pub fn version(&self) -> String {
        format!("{} {VERSION}\n", self.title)
    }
}

/// The rows of a table as text: one option a line, help texts aligned.
fn rows(table: &[Opt]) -> String {
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

fn synopsis(option: &Opt) -> String {
    let indent = if option.short.is_none() { "    " } else { "" };
    format!("{indent}{}{}", option.written().join(", "), option.shown_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_aligned() {
        const OPTIONS: &[Opt] = &[
            option("netname", "the network").short('n').takes("NAME", Completes::Nothing),
            option("nice", "niceness\nof jobs").takes("N", Completes::Nothing),
            option("", "say more").short('v'),
            option("web", "a page").takes("[=ADDR]", Completes::Nothing),
        ];
        let program = Program {
            name: "p",
            title: "P",
            about: "Does it.",
            usage: &["p A", "p B"],
            above: "",
            options: OPTIONS,
            below: "Exit code: 0.",
            operands: Completes::Nothing,
        };
        let wanted = "Does it.\n\nUsage: p A\n       p B\n\nOptions:\n  -n, --netname NAME  the network\n      --nice N        niceness\n                      of \
                      jobs\n  -v                  say more\n      --web[=ADDR]    a page\n\nExit code: 0.\n";
        assert_eq!(program.help(), wanted);
        assert!(program.version().starts_with("P 1.4.0 (icecream-rs "));
    }

    #[test]
    fn tables_have_help_and_version_and_no_name_twice() {
        for program in crate::PROGRAMS {
            let written: Vec<String> = program.options.iter().flat_map(Opt::written).collect();
            for wanted in ["--help", "--version"] {
                assert!(written.iter().any(|name| name == wanted), "{}: no {wanted}", program.name);
            }
            for (at, name) in written.iter().enumerate() {
                assert!(!written[..at].contains(name), "{}: {name} twice", program.name);
            }
        }
    }
}
