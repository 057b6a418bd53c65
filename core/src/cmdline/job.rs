//! A compile that can go elsewhere: its words for each side.

use super::{Family, Side, paths};
use crate::job::Language;
use crate::message::{ArgSide, arg_flags, short_file_name};
use crate::reason::Reason;
use crate::text::Text;

/// How much the preprocessor does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// gcc expands includes only: `-fdirectives-only`.
    Directives,
    /// clang expands includes only: `-frewrite-includes`.
    Includes,
    /// Everything: plain `-E`.
    Full,
    /// The input is preprocessed already and sent as it is.
    Verbatim,
}

impl Mode {
    /// Whether macros are left for the compile server.
    pub const fn leaves_macros(self) -> bool {
        matches!(self, Self::Directives | Self::Includes)
    }
}

/// Whether the user gets what a remote compiler says; if not, the job is compiled again here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// gcc: it has no source lines to show, and `ICECC_CARET_WORKAROUND` says that it need not.
    Taken,
    /// They are the plain compiler's where macros are expanded remotely. Of expanded text compilers warn about what they would
    /// forgive in a macro, and show lines that nobody wrote.
    TakenUnlessExpanded,
    /// gcc: source lines are missing.
    Redone,
}

/// How a compiler writes a file that it makes, seen by what was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Into the file that is there, through all its names and links.
    Into,
    /// The assembler's way: a file that is not empty is removed first, a link to one as well; otherwise as [`Writing::Into`].
    Anew,
    /// Beside it, and renamed.
    Renamed,
}

/// A word of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it goes.
    pub side: Side,
    /// The word.
    pub text: Vec<u8>,
    /// Not for the preprocessor, whatever the side.
    pub hidden: bool,
    /// `-march=native` and its like, until [`RemoteJob::resolve_native`].
    pub(super) native: bool,
    /// `-fopenmp` and its like, until [`RemoteJob::resolve_pragmas`]: by such an option gcc knows pragmas, and its text of directives
    /// loses those that it knows.
    pub(super) pragmas: bool,
}

impl Word {
    pub(super) fn new(side: Side, text: &[u8]) -> Self {
        Self { side, text: text.to_vec(), hidden: false, native: false, pragmas: false }
    }
}

/// A compile that can go elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteJob {
    /// Kind of compiler.
    pub family: Family,
    /// Language of the source.
    pub language: Language,
    /// How to preprocess it.
    pub mode: Mode,
    /// All words but input, output, `-c` and `-S`, in the user's order; words of ours behind them.
    pub words: Vec<Word>,
    /// The source as the user named it; empty if there is none.
    pub input: Vec<u8>,
    /// The output, derived from the input if not given.
    pub output: Vec<u8>,
    /// Whether the user named the output.
    pub output_given: bool,
    /// How the compiler would write the output.
    pub writing: Writing,
    /// A `.dwo` is wanted.
    pub split_dwarf: bool,
    /// Files that must travel in the environment, absolute.
    pub extra_files: Vec<Vec<u8>>,
    /// The dependency files that the preprocessor's run writes, as the user or the driver names them.
    pub dependency_files: Vec<Vec<u8>>,
    /// Whether what the remote compiler says is shown.
    pub messages: Messages,
    /// The command itself, run elsewhere, may mean something else: its options name this host's processor, or its compiler is a
    /// wrapper, which may look at this host.
    pub means_this_host: bool,
    /// `-D` arguments that stand for the options of [`Word::pragmas`] where the preprocessor is not told these.
    pub(super) pragma_macros: Vec<Vec<u8>>,
    /// The server must be told the target: [`RemoteJob::resolve_target`] with the compiler's answer.
    pub(super) target_wanted: bool,
    /// The server does not know the user's name for the current directory: [`RemoteJob::set_compilation_dir`] tells it.
    pub(super) compilation_dir_wanted: bool,
}

/// Words that tell clang's inner compiler the directory that debug information names. Servers name the current one in this way,
/// which wins over the driver's own options.
pub(super) fn compilation_dir(dir: &[u8]) -> [Word; 4] {
    [&b"-Xclang"[..], b"-fdebug-compilation-dir", b"-Xclang", dir].map(|text| Word::new(Side::Remote, text))
}

impl RemoteJob {
    /// Sets the target that the compiler named (`-dumpmachine`).
    pub(super) fn resolve_target(&mut self, target: Option<&[u8]>) -> Result<(), Reason> {
        if !self.target_wanted {
            return Ok(());
        }
        let target = target.filter(|t| !t.is_empty()).ok_or(Reason::TargetUnknown)?;
        self.target_wanted = false;
        self.words.push(Word::new(Side::Remote, b"-target"));
        self.words.push(Word::new(Side::Remote, target));
        Ok(())
    }

    /// The `-m…=native` words among the options, for the question to the compiler.
    pub(super) fn native_words(&self) -> Vec<Vec<u8>> {
        self.words.iter().filter(|word| word.native).map(|word| word.text.clone()).collect()
    }

    /// Replaces the first native word by what the compiler makes of all of them, and removes the others.
    pub(super) fn resolve_native(&mut self, meaning: Option<&[Vec<u8>]>) -> Result<(), Reason> {
        let Some(first) = self.words.iter().position(|word| word.native) else { return Ok(()) };
        let meaning = match (meaning, self.family) {
            (Some(meaning), _) => meaning,
            // As 1.4: clang without an answer is taken for a clang that finds nothing to add.
            (None, Family::Clang) => &[],
            (None, Family::Gcc) => return Err(Reason::NativeUnknown),
        };
        let mut words = Vec::new();
        for (place, word) in std::mem::take(&mut self.words).into_iter().enumerate() {
            if place == first {
                for text in meaning {
                    if self.family == Family::Clang {
                        words.push(Word::new(Side::Rest, b"-Xclang"));
                    }
                    words.push(Word::new(Side::Rest, text));
                }
            }
            if !word.native {
                words.push(word);
            }
        }
        self.words = words;
        Ok(())
    }

    /// Sets the name by which the user knows the current directory, if that is not its real path: compilers write it into debug
    /// information. gcc's preprocessor tells it in the text.
    pub(super) fn set_compilation_dir(&mut self, dir: &[u8]) {
        if self.compilation_dir_wanted {
            self.words.extend(compilation_dir(dir));
        }
    }

    /// The options by which gcc knows other pragmas, for the question what it defines for them.
    pub(super) fn pragma_words(&self) -> Vec<Vec<u8>> {
        self.words.iter().filter(|word| word.pragmas).map(|word| word.text.clone()).collect()
    }

    /// Sets what the compiler defines for [`RemoteJob::pragma_words`]. Without an answer macros are expanded here: then the
    /// preprocessor keeps pragmas that it knows.
    pub(super) fn resolve_pragmas(&mut self, macros: Option<&[Vec<u8>]>) {
        match macros {
            Some(macros) => self.pragma_macros = macros.to_vec(),
            None if self.mode == Mode::Directives => self.mode = Mode::Full,
            None => {}
        }
    }

    /// The words for the preprocessor's run, behind the compiler's name; in the user's order.
    pub fn preprocessor_words(&self, mode: Mode) -> Vec<Vec<u8>> {
        let is_directives = mode == Mode::Directives;
        // First, as if the compiler had defined them, so that the user's own definitions win.
        let mut list = if is_directives { self.pragma_macros.clone() } else { Vec::new() };
        let shown = |word: &&Word| word.side != Side::Remote && !word.hidden && !(word.pragmas && is_directives);
        list.extend(self.words.iter().filter(shown).map(|word| word.text.clone()));
        list.push(b"-E".to_vec());
        if !self.input.is_empty() {
            list.push(self.input.clone());
        }
        match mode {
            Mode::Directives => list.push(b"-fdirectives-only".to_vec()),
            Mode::Includes => list.push(b"-frewrite-includes".to_vec()),
            Mode::Full | Mode::Verbatim => {}
        }
        list
    }

    /// The words to send.
    pub fn remote_words(&self, mode: Mode) -> Vec<(ArgSide, Text)> {
        let mut list: Vec<(ArgSide, Text)> = Vec::new();
        for word in &self.words {
            let side = match word.side {
                Side::Remote => ArgSide::Remote,
                Side::Rest => ArgSide::Rest,
                Side::Cpp if mode.leaves_macros() => ArgSide::Rest,
                Side::Cpp | Side::Local | Side::Malformed => continue,
            };
            list.push((side, Text::from(word.text.as_slice())));
        }
        if mode == Mode::Directives {
            list.push((ArgSide::Remote, Text::from("-fdirectives-only")));
        }
        list
    }

    /// The compiler's name inside an environment.
    pub const fn wire_compiler(&self) -> &'static str {
        match (self.family, self.language) {
            (Family::Clang, _) => "clang",
            (Family::Gcc, Language::Cxx) => "g++",
            (Family::Gcc, _) => "gcc",
        }
    }

    /// How the compiler would write the `.dwo`: gcc's is the work of objcopy, which writes as the assembler does.
    pub const fn dwo_writing(&self) -> Writing {
        match self.family {
            Family::Gcc => Writing::Anew,
            Family::Clang => Writing::Into,
        }
    }

    /// Where the `.dwo` belongs.
    pub fn dwo(&self) -> Vec<u8> {
        [paths::without_suffix(&self.output), b".dwo"].concat()
    }

    /// What monitors are shown: the last three components of all sent words and the absolute input.
    pub fn display_name(&self, folder: &[u8]) -> Text {
        let mut path = Vec::new();
        for word in self.words.iter().filter(|word| matches!(word.side, Side::Remote | Side::Rest)) {
            path.push(b'/');
            path.extend_from_slice(&word.text);
        }
        path.extend(paths::absolute(folder, &self.input));
        Text::from(short_file_name(&path))
    }

    /// Summary of the options for the scheduler's statistics.
    pub fn arg_flags(&self) -> u32 {
        let mut debug = 0;
        let mut optimization = 0;
        for word in &self.words {
            match word.text.as_slice() {
                [b'-', b'g', b'3', ..] => debug = arg_flags::DEBUG3,
                [b'-', b'g', ..] => debug = arg_flags::DEBUG,
                b"-O" | b"-O1" => optimization = arg_flags::OPT1,
                b"-O2" => optimization = arg_flags::OPT2,
                b"-O0" => optimization = 0,
                [b'-', b'O', ..] => optimization = arg_flags::OPT_OTHER,
                _ => {}
            }
        }
        debug | optimization
    }
}
