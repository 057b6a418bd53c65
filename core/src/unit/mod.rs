//! Whether the text of a unit may leave its macros to the compile server.
//!
//! A text with all macros expanded is always right, but it costs twice the time and shows other columns. So the preprocessor leaves
//! them in, and `Watch` looks at the text as it comes, and at the files that it is made of: what would become something else on
//! the server ends that, and the unit is preprocessed again with all macros expanded here.

mod counter;
mod dates;
mod directives;
mod markers;
mod pragmas;

pub use pragmas::Loss;

use directives::unspliced;
use markers::entered;
use std::fmt;
use std::path::PathBuf;

/// Longest text that is kept to be looked at as a whole; of a longer one the worst is assumed.
const TEXT_MAX: usize = 32 << 20;

/// Why macros are expanded here.
#[derive(Debug, PartialEq, Eq)]
pub enum ExpandHere {
    /// Dates, or the name of the source: another host has others.
    Dates,
    /// The text does not say, or says wrongly, what stands in the source.
    Loss(Loss),
    /// The same, seen in this file of the unit.
    LossIn(Loss, PathBuf),
    /// A file of the unit cannot be looked at.
    Unreadable(PathBuf),
    /// A file of the unit was changed meanwhile: what was looked at may not be what was preprocessed.
    Changed(PathBuf),
}

impl fmt::Display for ExpandHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dates => f.write_str("source shows dates"),
            Self::Loss(loss) => write!(f, "{loss}"),
            Self::LossIn(loss, file) => write!(f, "{loss} ({})", file.display()),
            Self::Unreadable(file) => write!(f, "{} cannot be looked at", file.display()),
            Self::Changed(file) => write!(f, "{} has just been changed", file.display()),
        }
    }
}

/// What may be lost of one file of a unit.
#[derive(Debug, PartialEq, Eq)]
pub struct Look {
    /// The first thing that the text does not keep.
    pub loss: Option<Loss>,
    /// Whether the counter stands in a directive.
    pub counts: bool,
}

/// Looks through a file's text; `is_kept` tells whether the compiler keeps the pragma of a name in its text.
pub fn look_through(text: &[u8], is_kept: impl FnMut(&[u8]) -> bool) -> Look {
    let text = unspliced(text);
    Look { loss: pragmas::loss(&text, is_kept), counts: counter::is_in_a_directive(&text) }
}

/// The files that a unit of gcc is made of.
pub trait Files {
    /// The text enters the file of this name: why macros must be expanded here, if they must.
    fn enter(&mut self, name: &[u8]) -> Option<ExpandHere>;

    /// Whether the counter stands in a directive of one of them.
    fn count(&self) -> bool;

    /// The texts of all files; `None` if one cannot be looked at any more.
    fn texts(&self) -> Option<Vec<Vec<u8>>>;
}

/// Looks at a text in which macros were left, while it comes.
#[derive(Debug)]
pub struct Watch<F> {
    /// The text so far, unless it is longer than [`TEXT_MAX`]: then what was not looked at yet.
    text: Vec<u8>,
    /// How much of it was looked at, in whole lines.
    looked: usize,
    /// Whether all of the text is there.
    is_whole: bool,
    /// Whether the counter stands in a directive.
    counts: bool,
    /// The files of a unit of gcc; clang's text has all directives in it.
    files: Option<F>,
    verdict: Option<ExpandHere>,
}

impl<F: Files> Watch<F> {
    /// Over gcc's text of the source `input`, before the preprocessor starts.
    pub fn of_gcc(mut files: F, input: &[u8]) -> Self {
        let verdict = files.enter(input);
        Self { verdict, ..Self::over(Some(files)) }
    }

    /// Over clang's text. The macros that arguments define are not in it.
    pub fn of_clang<'a>(arguments: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self { verdict: arguments.into_iter().find_map(in_argument), ..Self::over(None) }
    }

    fn over(files: Option<F>) -> Self {
        Self { text: Vec::new(), looked: 0, is_whole: true, counts: false, files, verdict: None }
    }

    /// Looks at the next piece.
    pub fn look(&mut self, bytes: &[u8]) {
        if self.verdict.is_some() {
            return;
        }
        self.text.extend_from_slice(bytes);
        if let Some(lines) = end_of_lines(self.text.get(self.looked..).unwrap_or_default()) {
            self.look_up_to(self.looked + lines);
        }
        if self.text.len() > TEXT_MAX {
            self.text.drain(..self.looked);
            self.looked = 0;
            self.is_whole = false;
        }
    }

    /// All has come.
    pub fn end(&mut self) {
        self.look_up_to(self.text.len());
        let counts = self.counts || self.files.as_ref().is_some_and(Files::count);
        if self.verdict.is_none() && counts && self.counter_decides() {
            self.verdict = Some(ExpandHere::Loss(Loss::Counter));
        }
        self.text = Vec::new();
    }

    /// Why macros must be expanded here, if they must.
    pub fn verdict(&self) -> Option<&ExpandHere> {
        self.verdict.as_ref()
    }

    fn look_up_to(&mut self, end: usize) {
        if self.verdict.is_some() {
            return;
        }
        let lines = self.text.get(self.looked..end).unwrap_or_default();
        self.looked = end;
        let text = &*unspliced(lines);
        self.counts |= counter::is_in_a_directive(text);
        self.verdict = match &mut self.files {
            _ if dates::shown(text) => Some(ExpandHere::Dates),
            Some(files) => entered(lines).find_map(|name| files.enter(&name)),
            None => pragmas::loss_of_clang(text).map(ExpandHere::Loss),
        };
    }

    /// Whether a condition may need the counter. gcc's text has all definitions, and its conditions stand in the files alone.
    fn counter_decides(&self) -> bool {
        if !self.is_whole {
            return true;
        }
        let Some(files) = self.files.as_ref().map_or(Some(Vec::new()), Files::texts) else { return true };
        let texts: Vec<_> = files.iter().chain([&self.text]).map(|text| unspliced(text)).collect();
        counter::decides(&texts.iter().map(|text| &**text).collect::<Vec<_>>())
    }
}

/// What an argument may define that is another thing on the compile server.
fn in_argument(argument: &[u8]) -> Option<ExpandHere> {
    let counts = counter::is_named(argument).then_some(ExpandHere::Loss(Loss::Counter));
    if dates::shown(argument) { Some(ExpandHere::Dates) } else { counts }
}

/// Where the last line ends that does not go on behind its end.
fn end_of_lines(bytes: &[u8]) -> Option<usize> {
    let mut ends = memchr::memrchr_iter(b'\n', bytes);
    ends.find(|&at| !bytes.get(..at).unwrap_or_default().trim_ascii_end().ends_with(b"\\")).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoFiles;

    impl Files for NoFiles {
        fn enter(&mut self, _: &[u8]) -> Option<ExpandHere> {
            None
        }

        fn count(&self) -> bool {
            false
        }

        fn texts(&self) -> Option<Vec<Vec<u8>>> {
            None
        }
    }

    #[test]
    fn a_counter_in_a_directive_is_seen_even_when_cut() {
        for (text, expected) in [
            (&b"int a;\n#if __COUNTER__ == 0\nint b;\n"[..], true),
            (b"#define N \\\n  __COUNTER__\nint a;\n#if N\n", true),
            (b"#define N \\\n  __COUNTER__\nint a = N;\n#if M\n", false),
            (b"#define N 1\nint a = __COUNTER__;\n#if N\n", false),
            (b"#if __COUNTER__", true),
        ] {
            for cut in 0..text.len() {
                let mut watch = Watch::<NoFiles>::of_clang([]);
                watch.look(&text[..cut]);
                watch.look(&text[cut..]);
                watch.end();
                let seen = watch.verdict() == Some(&ExpandHere::Loss(Loss::Counter));
                assert_eq!(seen, expected, "{} cut at {cut}", String::from_utf8_lossy(text));
            }
        }
    }
}
