//! From words to a verdict: may this compile go elsewhere, and what becomes of each word (`spec/client.md` C).
//!
//! A local compile is always run with the user's own words, so only jobs that can go get lists of words. Scanning stops at the
//! first reason to stay.

use super::assembler::{self, Assembler};
use super::job::{Messages, Mode, RemoteJob, Word};
use super::options::{self, Does, Value};
use super::reason::Reason;
use super::{Family, FileKind, Files, Invocation, Side, language, paths};
use crate::job::Language;

/// What the user's environment says about classification.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// `ICECC_REMOTE_CPP`: macros are expanded remotely or not.
    pub remote_cpp: Option<bool>,
    /// `ICECC_CLANG_REMOTE_CPP`, the older name for clang alone.
    pub clang_remote_cpp: Option<bool>,
    /// `SOURCE_DATE_EPOCH` is set: dates must be expanded here (decisions.md 35).
    pub fixed_date: bool,
    /// Messages end up on a terminal that shows colours.
    pub color: bool,
    /// `ICECC_CARET_WORKAROUND` switched the second, local compile of gcc jobs with messages off, whatever the mode.
    pub caret_redo_off: bool,
}

/// What becomes of a command line.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It stays, with the word that decided if there is one.
    Local(Reason, Vec<u8>),
    /// It can go.
    Remote(Box<RemoteJob>),
}

/// Judges a command line.
pub fn classify(invocation: &Invocation<'_>, settings: &Settings, files: &dyn Files) -> Verdict {
    let mut scan = Scan::new(invocation, files);
    match scan.run().and_then(|()| scan.conclude(settings)) {
        Ok(job) => Verdict::Remote(Box::new(job)),
        Err(Stay(reason, word)) => Verdict::Local(reason, word),
    }
}

/// The end of a scan that found a reason to stay.
struct Stay(Reason, Vec<u8>);

impl From<Reason> for Stay {
    fn from(reason: Reason) -> Self {
        Self(reason, Vec::new())
    }
}

struct Scan<'a> {
    family: Family,
    driver_language: Language,
    folder: &'a [u8],
    files: &'a dyn Files,
    rest: std::slice::Iter<'a, Vec<u8>>,
    words: Vec<Word>,
    inputs: Vec<&'a [u8]>,
    output: Option<&'a [u8]>,
    assemble: bool,
    compile: bool,
    /// The last `-x LANGUAGE`, and whether a joined `-xLANGUAGE` was seen.
    language: Option<Language>,
    joined_language: Option<Language>,
    dep_wanted: bool,
    dep_wanted_by_driver: bool,
    dep_named: bool,
    dep_target: bool,
    dep_target_to_cpp: bool,
    split_dwarf: bool,
    input_charset: bool,
    caret: Option<bool>,
    color_chosen: bool,
    extra_files: Vec<Vec<u8>>,
    assembler: Assembler,
    target_given: bool,
    unused_macros: bool,
    pedantic: bool,
    emit_llvm: bool,
}

impl<'a> Scan<'a> {
    fn new(invocation: &Invocation<'a>, files: &'a dyn Files) -> Self {
        Self {
            family: invocation.driver.family,
            driver_language: invocation.driver.language,
            folder: invocation.folder,
            files,
            rest: invocation.words.iter(),
            words: Vec::with_capacity(invocation.words.len()),
            inputs: Vec::new(),
            output: None,
            assemble: false,
            compile: false,
            language: None,
            joined_language: None,
            dep_wanted: false,
            dep_wanted_by_driver: false,
            dep_named: false,
            dep_target: false,
            dep_target_to_cpp: false,
            split_dwarf: false,
            input_charset: false,
            caret: None,
            color_chosen: false,
            extra_files: Vec::new(),
            assembler: Assembler::default(),
            target_given: false,
            unused_macros: false,
            pedantic: false,
            emit_llvm: false,
        }
    }

    fn run(&mut self) -> Result<(), Stay> {
        while let Some(word) = self.rest.next() {
            match word.as_slice() {
                b"" => return Err(Reason::EmptyArgument.into()),
                b"-" => return Err(Stay(Reason::StandardInput, word.clone())),
                [b'-', ..] => self.option(word)?,
                // What a regular file holds stands among the words already.
                [b'@', file @ ..] if self.is_special(file) => {
                    return Err(Stay(Reason::ReadOnce, word.clone()));
                }
                [b'@', ..] => self.keep(Side::Local, word),
                _ => self.inputs.push(word),
            }
        }
        Ok(())
    }

    fn option(&mut self, word: &'a [u8]) -> Result<(), Stay> {
        let Some(opt) = options::find(word) else {
            self.keep(Side::Rest, word);
            return Ok(());
        };
        let joined = word.len() > opt.name.len();
        let value = match opt.value {
            Value::No => None,
            Value::Next | Value::NextRest => self.rest.next().map(Vec::as_slice),
            Value::Must => match self.rest.next() {
                Some(value) => Some(value.as_slice()),
                None => return Err(Stay(Reason::ValueMissing, word.to_vec())),
            },
        };
        match opt.does {
            Does::Keep(side) if opt.value == Value::NextRest => {
                self.keep(side, word);
                value.into_iter().for_each(|value| self.keep(Side::Rest, value));
            }
            Does::Keep(side) => self.keep_with(side, word, value),
            Does::Local(reason) => return Err(Stay(reason, word.to_vec())),
            Does::Modules(family) if family == self.family => return Err(Stay(Reason::Modules, word.to_vec())),
            Does::Modules(_) => self.keep_hidden(Side::Local, word),
            Does::HideFromPreprocessor => self.keep_hidden(Side::Rest, word),
            Does::Assemble => self.assemble = true,
            Does::Compile => self.compile = true,
            Does::Output => {
                match if joined { word.get(2..) } else { value } {
                    // The compiler fails; without the name it would succeed.
                    None | Some(b"") => return Err(Stay(Reason::ValueMissing, word.to_vec())),
                    Some(b"-") => return Err(Stay(Reason::Output, word.to_vec())),
                    name => self.output = name,
                }
            }
            Does::Language => self.language_option(word, value, joined)?,
            Does::Native => self.words.push(Word { native: true, ..Word::new(Side::Rest, word) }),
            Does::DepWanted(by_driver) => {
                self.dep_wanted = true;
                self.dep_wanted_by_driver |= by_driver;
                self.keep(Side::Local, word);
            }
            Does::DepFile => {
                self.dep_named = true;
                self.keep_with(Side::Local, word, value);
            }
            Does::DepTarget => {
                self.dep_target = true;
                self.keep_with(Side::Local, word, value);
            }
            Does::DepTargetToCpp => {
                self.dep_target_to_cpp = true;
                self.keep(Side::Local, word);
            }
            Does::Path => self.path_option(word, value)?,
            Does::Include | Does::IncludePch | Does::Macros => self.include_option(opt.does, word, value)?,
            Does::Assembler => match self.assembler.judge(word, self.folder, self.files, &mut self.extra_files) {
                Some(rewritten) => self.words.push(Word::new(Side::Remote, &rewritten)),
                None => return Err(Stay(Reason::Assembler, word.to_vec())),
            },
            Does::SplitDwarf(on) => {
                self.split_dwarf = on;
                self.keep(Side::Rest, word);
            }
            Does::Caret(shown) => {
                self.caret = Some(shown);
                self.keep(Side::Rest, word);
            }
            Does::Color => {
                self.color_chosen = true;
                self.keep(Side::Rest, word);
            }
            Does::ColorAuto => self.color_chosen = false,
            Does::InputCharset => {
                self.input_charset = true;
                self.keep(Side::Local, word);
            }
            Does::CompilationDir => self.compilation_dir(word, opt.name.len()),
            Does::ExtraList if self.files.names_sources(word.get(opt.name.len()..).unwrap_or_default()) => {
                return Err(Stay(Reason::SourceName, word.to_vec()));
            }
            Does::ExtraFile | Does::ExtraList => self.extra_file_option(word, opt.name.len())?,
            Does::Xclang => self.xclang(word)?,
            Does::Target => {
                self.target_given = true;
                self.keep_with(Side::Rest, word, value);
            }
            Does::UnusedMacros(on) => {
                self.unused_macros = on;
                self.keep(Side::Rest, word);
            }
            Does::Pedantic => {
                self.pedantic = true;
                self.keep(Side::Rest, word);
            }
            Does::EmitLlvm => {
                self.emit_llvm = true;
                self.keep(Side::Rest, word);
            }
            Does::HandOn(side) => self.hand_on(side, word)?,
            Does::HandOnToAssembler => {
                if self.rest.as_slice().first().is_some_and(|value| assembler::writes_file(value)) {
                    return Err(Stay(Reason::Assembler, word.to_vec()));
                }
                self.hand_on(Side::Rest, word)?;
            }
        }
        Ok(())
    }

    fn hand_on(&mut self, side: Side, word: &[u8]) -> Result<(), Stay> {
        match self.rest.next() {
            Some(value) if value.starts_with(b"-") => self.keep_with(side, word, Some(value)),
            Some(_) => return Err(Stay(Reason::LinkOption, word.to_vec())),
            None => return Err(Stay(Reason::ValueMissing, word.to_vec())),
        }
        Ok(())
    }

    fn keep(&mut self, side: Side, word: &[u8]) {
        self.words.push(Word::new(side, word));
    }

    fn keep_hidden(&mut self, side: Side, word: &[u8]) {
        self.words.push(Word { hidden: true, ..Word::new(side, word) });
    }

    fn keep_with(&mut self, side: Side, word: &[u8], value: Option<&[u8]>) {
        self.keep(side, word);
        if let Some(value) = value {
            self.keep(side, value);
        }
    }

    /// `-x` decides over the suffix (Improve 14). Of the joined form 1.4 takes no notice; it is only used where no suffix tells.
    fn language_option(&mut self, word: &[u8], value: Option<&[u8]>, joined: bool) -> Result<(), Stay> {
        let name = if joined { word.get(2..).unwrap_or_default() } else { value.unwrap_or_default() };
        let Some(language) = language::named(name) else {
            return Err(Stay(Reason::Language, name.to_vec()));
        };
        if joined {
            self.joined_language = Some(language);
        } else {
            self.language = Some(language);
        }
        self.keep_with(Side::Rest, word, value);
        Ok(())
    }

    fn path_option(&mut self, word: &[u8], value: Option<&[u8]>) -> Result<(), Stay> {
        if value.is_some_and(|value| value.starts_with(b"-O")) {
            return Err(Stay(Reason::ValueMissing, word.to_vec()));
        }
        self.keep_with(Side::Local, word, value);
        Ok(())
    }

    /// Whether something is there, but no regular file.
    fn is_special(&self, path: &[u8]) -> bool {
        !matches!(self.files.kind(path), FileKind::Absent | FileKind::Regular)
    }

    /// The server has no precompiled header, so the preprocessor must not use one either: headers are included as text (C.6).
    fn include_option(&mut self, does: Does, word: &[u8], value: Option<&[u8]>) -> Result<(), Stay> {
        let before = self.words.len();
        self.path_option(word, value)?;
        let Some(file) = value else { return Ok(()) };
        if self.files.kind(file) == FileKind::Other {
            return Err(Stay(Reason::ReadOnce, file.to_vec()));
        }
        let hidden = match does {
            Does::Macros => false,
            Does::IncludePch => self.files.readable(file),
            _ => !self.files.readable(file) && self.files.readable(&[file, b".gch"].concat()),
        };
        self.words.iter_mut().skip(before).for_each(|word| word.hidden = hidden);
        Ok(())
    }

    fn extra_file_option(&mut self, word: &[u8], name_len: usize) -> Result<(), Stay> {
        let (name, file) = word.split_at(name_len.min(word.len()));
        let whole = self.extra_file(file).ok_or_else(|| Stay(Reason::FileMissing, word.to_vec()))?;
        self.keep(Side::Rest, &[name, &whole].concat());
        Ok(())
    }

    fn extra_file(&mut self, file: &[u8]) -> Option<Vec<u8>> {
        if self.files.kind(file) != FileKind::Regular || !self.files.readable(file) {
            return None;
        }
        let whole = paths::absolute(self.folder, file);
        if !self.extra_files.contains(&whole) {
            self.extra_files.push(whole.clone());
        }
        Some(whole)
    }

    /// Servers name the current folder by `-Xclang`, which wins over the driver's own options: so must the user's.
    fn compilation_dir(&mut self, word: &[u8], name_len: usize) {
        self.keep(Side::Rest, word);
        if self.family == Family::Clang {
            let dir = word.get(name_len..).unwrap_or_default();
            for text in [b"-Xclang", &b"-fdebug-compilation-dir"[..], b"-Xclang", dir] {
                self.keep(Side::Remote, text);
            }
        }
    }

    fn xclang(&mut self, word: &'a [u8]) -> Result<(), Stay> {
        let Some(value) = self.rest.next().map(Vec::as_slice) else {
            self.keep(Side::Malformed, word);
            return Ok(());
        };
        match value {
            b"-building-pch-with-obj" | b"-emit-pch" => Err(Stay(Reason::Modules, value.to_vec())),
            b"-load" => {
                let Some(file) = self.xclang_value() else {
                    self.keep_with(Side::Malformed, word, Some(value));
                    return Ok(());
                };
                let whole = self.extra_file(file).ok_or_else(|| Stay(Reason::FileMissing, file.to_vec()))?;
                self.keep_with(Side::Rest, word, Some(value));
                self.keep_with(Side::Rest, word, Some(&whole));
                Ok(())
            }
            // CMake's way to use a precompiled header: the header behind it is included as text, as for `-include-pch`.
            b"-include" | b"-include-pch" => {
                let hidden = value == b"-include-pch";
                let before = self.words.len();
                self.keep_with(Side::Local, word, Some(value));
                if let Some(file) = self.xclang_value() {
                    self.keep_with(Side::Local, word, Some(file));
                }
                self.words.iter_mut().skip(before).for_each(|word| word.hidden = hidden);
                Ok(())
            }
            _ => match options::find(value).filter(|_| value.starts_with(b"-f")).map(|opt| opt.does) {
                // What the driver must not be told elsewhere, the compiler behind it must not either; other words may mean
                // something else to it.
                Some(Does::Local(reason)) => Err(Stay(reason, value.to_vec())),
                Some(Does::Modules(Family::Clang)) => Err(Stay(Reason::Modules, value.to_vec())),
                _ => {
                    self.keep_with(Side::Rest, word, Some(value));
                    Ok(())
                }
            },
        }
    }

    /// The value of an option handed on by `-Xclang`, if it is handed on too.
    fn xclang_value(&mut self) -> Option<&'a [u8]> {
        let [first, second, ..] = self.rest.as_slice() else {
            if self.rest.as_slice().first().is_some_and(|word| word == b"-Xclang") {
                self.rest.next();
            }
            return None;
        };
        if first != b"-Xclang" {
            return None;
        }
        self.rest.next();
        self.rest.next();
        Some(second)
    }

    fn conclude(&mut self, settings: &Settings) -> Result<RemoteJob, Stay> {
        if !self.compile && !self.assemble {
            return Err(Reason::NoCompile.into());
        }
        let input = match *self.inputs.as_slice() {
            [input] => input,
            // 1.4 goes on if there is an output name; the preprocessor then says that there is no input.
            [] if self.output.is_some() => b"",
            [] => return Err(Reason::NoOutput.into()),
            [_, second, ..] => return Err(Stay(Reason::TwoInputs, second.to_vec())),
        };
        if is_probe(paths::base_name(input)) {
            return Err(Stay(Reason::Probe, input.to_vec()));
        }
        if !input.is_empty() && self.is_special(input) {
            return Err(Stay(Reason::ReadOnce, input.to_vec()));
        }
        let language = self.input_language(input)?;
        let output = self.output_name(input)?;
        let preprocessed = matches!(paths::suffix(input), Some(b"i" | b"ii"));
        if preprocessed && self.input_charset {
            // No preprocessor runs that would convert it.
            return Err(Stay(Reason::Charset, input.to_vec()));
        }
        if self.dep_target_to_cpp && !self.dep_wanted {
            return Err(Reason::DependencyTargetOnly.into());
        }
        if self.emit_llvm && self.output.is_none() {
            return Err(Reason::SideFile.into());
        }
        let split_dwarf = self.split_dwarf && self.compile && !self.assemble;
        if split_dwarf && paths::suffix(&output).is_none() {
            return Err(Reason::SplitDwarfName.into());
        }
        self.add_dependency_words(&output);
        if settings.color && !self.color_chosen {
            let flag: &[u8] =
                if self.family == Family::Clang { b"-fcolor-diagnostics" } else { b"-fdiagnostics-color" };
            self.keep(Side::Rest, flag);
        }
        self.keep(Side::Remote, if self.assemble { b"-S" } else { b"-c" });
        Ok(RemoteJob {
            family: self.family,
            language,
            mode: if preprocessed { Mode::Verbatim } else { self.mode(settings) },
            words: std::mem::take(&mut self.words),
            input: input.to_vec(),
            output,
            output_given: self.output.is_some(),
            split_dwarf,
            extra_files: std::mem::take(&mut self.extra_files),
            messages: match self.family {
                Family::Gcc if settings.caret_redo_off => Messages::Taken,
                Family::Gcc if self.caret != Some(false) => Messages::Redone,
                _ => Messages::TakenUnlessExpanded,
            },
            target_wanted: self.family == Family::Clang && !self.target_given,
        })
    }

    fn input_language(&self, input: &[u8]) -> Result<Language, Stay> {
        if let Some(language) = self.language {
            return Ok(language);
        }
        let no_input = input.is_empty().then_some(self.driver_language);
        let by_suffix = language::of_suffix(input, self.driver_language).or(no_input);
        by_suffix.or(self.joined_language).ok_or_else(|| Stay(Reason::Suffix, input.to_vec()))
    }

    fn output_name(&self, input: &[u8]) -> Result<Vec<u8>, Stay> {
        let output = match self.output {
            Some(output) => output.to_vec(),
            None => {
                let base = paths::without_suffix(paths::base_name(input));
                [base, if self.assemble { b".s" } else { b".o" }].concat()
            }
        };
        if output.ends_with(b"/") || self.is_special(&output) {
            return Err(Stay(Reason::Output, output));
        }
        Ok(output)
    }

    /// The preprocessor's run has no `-o`, so it must be told the names that the driver would have derived (Improve 15, 16).
    fn add_dependency_words(&mut self, output: &[u8]) {
        if !self.dep_wanted {
            return;
        }
        if !self.dep_named {
            let file = [paths::without_suffix(output), b".d"].concat();
            self.keep_with(Side::Local, b"-MF", Some(&file));
        }
        if self.dep_wanted_by_driver && !self.dep_target && self.output.is_some() {
            self.keep_with(Side::Local, b"-MQ", Some(output));
        }
    }

    fn mode(&self, settings: &Settings) -> Mode {
        let wanted = match self.family {
            Family::Gcc => settings.remote_cpp,
            Family::Clang => settings.remote_cpp.or(settings.clang_remote_cpp),
        };
        let in_the_way = self.unused_macros || settings.fixed_date || (self.pedantic && self.family == Family::Gcc);
        match self.family {
            _ if in_the_way || wanted == Some(false) => Mode::Full,
            Family::Gcc => Mode::Directives,
            Family::Clang => Mode::Includes,
        }
    }
}

/// Test programs of configure and CMake: small, many, and asked for one after the other.
fn is_probe(base: &[u8]) -> bool {
    const PROBES: [&str; 7] = [
        "conftest.",
        "tmp.conftest.",
        "CheckIncludeFile.",
        "CheckFunctionExists.",
        "CheckSymbolExists.",
        "CheckTypeSize.",
        "CheckPrototypeDefinition.",
    ];
    PROBES.iter().any(|probe| base.starts_with(probe.as_bytes()))
}
