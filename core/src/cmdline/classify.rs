//! From arguments to a job: may this compile go elsewhere, and what becomes of each argument.
//!
//! A local compile is always run with the user's own words, so only jobs that can go get lists of words. Scanning stops at the
//! first reason to stay.

mod conclude;
mod frontend;

use super::assembler::Assembler;
use super::inquiry::{Answers, Question};
use super::job::{self, RemoteJob, Word};
use super::layers::Layers;
use super::options::{Does, Value};
use super::preprocessor::Preprocessor;
use super::reason::Reason;
use super::spelling::Argument;
use super::warnings::Warnings;
use super::{Family, FileKind, Files, Invocation, Side, contents, language, paths};
use crate::job::Language;
use Stop::Stay;
use std::ops::Range;

/// What the user's environment says about classification.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// `ICECC_REMOTE_CPP`: macros are expanded remotely or not.
    pub remote_cpp: Option<bool>,
    /// `ICECC_CLANG_REMOTE_CPP`, the older name for clang alone.
    pub clang_remote_cpp: Option<bool>,
    /// Messages end up on a terminal that shows colours.
    pub color: bool,
    /// `ICECC_CARET_WORKAROUND` switched the second, local compile of gcc jobs with messages off, whatever the mode.
    pub caret_redo_off: bool,
    /// gcc's messages depend on variables of the user, which a server does not have: language, colours, links.
    pub own_messages: bool,
}

/// What all arguments of a job make of it. Of `invocation` its driver and directory count.
pub(super) fn classify(
    invocation: &Invocation<'_>,
    layers: &Layers<'_>,
    settings: &Settings,
    files: &dyn Files,
    answers: &Answers,
) -> Result<RemoteJob, Stop> {
    let mut scan = Scan::new(invocation, files, answers);
    scan.configuration(layers.configuration())?;
    scan.run(layers.line(), &layers.user())?;
    scan.conclude(settings)
}

/// Why a scan ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The job stays, with the argument that decided if there is one.
    Stay(Reason, Vec<u8>),
    /// The answer decides.
    Ask(Question),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Stay(reason, Vec::new())
    }
}

struct Scan<'a> {
    family: Family,
    driver_language: Language,
    folder: &'a [u8],
    files: &'a dyn Files,
    answers: &'a Answers,
    rest: &'a [Vec<u8>],
    words: Vec<Word>,
    inputs: Vec<&'a [u8]>,
    output: Option<&'a [u8]>,
    assemble: bool,
    compile: bool,
    /// The last `-x`, which decides over the suffix.
    language: Option<Language>,
    /// Decides over the suffix if there is no `-x`.
    objective: Option<Language>,
    dep_wanted: bool,
    dep_wanted_by_driver: bool,
    dep_named: bool,
    dep_target: bool,
    dependency_files: Vec<Vec<u8>>,
    preprocessor: Preprocessor,
    split_dwarf: bool,
    input_charset: bool,
    caret: Option<bool>,
    color_chosen: bool,
    extra_files: Vec<Vec<u8>>,
    assembler: Assembler,
    target_given: bool,
    warnings: Warnings,
    macros: bool,
    shows_ranges: bool,
    shows_options: bool,
    verbose_asm: bool,
    emit_llvm: bool,
    /// The last `-B`.
    prefix: Option<Vec<u8>>,
    own_assembler: Option<bool>,
    /// Precompiled headers that the preprocessor is not told of, and headers that it includes by an option.
    precompiled: Vec<&'a [u8]>,
    included: Vec<&'a [u8]>,
    plugin: bool,
    objc_runtime: Option<&'a [u8]>,
    compilation_dir_given: bool,
}

impl<'a> Scan<'a> {
    fn new(invocation: &Invocation<'a>, files: &'a dyn Files, answers: &'a Answers) -> Self {
        Self {
            family: invocation.driver.family,
            driver_language: invocation.driver.language,
            folder: invocation.folder,
            files,
            answers,
            rest: &[],
            words: Vec::with_capacity(invocation.words.len()),
            inputs: Vec::new(),
            output: None,
            assemble: false,
            compile: false,
            language: None,
            objective: None,
            dep_wanted: false,
            dep_wanted_by_driver: false,
            dep_named: false,
            dep_target: false,
            dependency_files: Vec::new(),
            preprocessor: Preprocessor::default(),
            split_dwarf: false,
            input_charset: false,
            caret: None,
            color_chosen: false,
            extra_files: Vec::new(),
            assembler: Assembler::default(),
            target_given: false,
            warnings: Warnings::default(),
            macros: false,
            shows_ranges: false,
            shows_options: false,
            verbose_asm: false,
            emit_llvm: false,
            prefix: None,
            own_assembler: None,
            precompiled: Vec::new(),
            included: Vec::new(),
            plugin: false,
            objc_runtime: None,
            compilation_dir_given: false,
        }
    }

    /// Arguments of configuration files: the preprocessor here reads them by itself, and nobody is told which of them a compile does
    /// not need.
    fn configuration(&mut self, arguments: &'a [Vec<u8>]) -> Result<(), Stop> {
        if arguments.is_empty() {
            return Ok(());
        }
        self.keep(Side::Rest, b"--start-no-unused-arguments");
        self.run(arguments, &(0..0))?;
        self.keep(Side::Rest, b"--end-no-unused-arguments");
        self.hide_from(0);
        // What a native option means would be asked with the configuration around it.
        if self.split_dwarf || self.words.iter().any(|word| word.native) {
            return Err(Reason::Wrapper.into());
        }
        Ok(())
    }

    /// Takes notice of `arguments`, of which those at the places `own` are the user's. Others the preprocessor gets by itself.
    fn run(&mut self, arguments: &'a [Vec<u8>], own: &Range<usize>) -> Result<(), Stop> {
        self.rest = arguments;
        while let [word, rest @ ..] = self.rest {
            match word.as_slice() {
                b"" => return Err(Reason::EmptyArgument.into()),
                b"-" => return Err(Stay(Reason::StandardInput, word.clone())),
                [b'-', ..] => {
                    let (place, before) = (arguments.len() - self.rest.len(), self.words.len());
                    let Some(argument) = self.next_argument() else { break };
                    self.option(&argument)?;
                    if !own.contains(&place) {
                        self.hide_from(before);
                    }
                    continue;
                }
                // What a regular file holds stands among the words already.
                [b'@', file @ ..] if self.is_special(file) => {
                    return Err(Stay(Reason::ReadOnce, word.clone()));
                }
                [b'@', ..] => self.keep(Side::Local, word),
                _ => self.inputs.push(word),
            }
            self.rest = rest;
        }
        Ok(())
    }

    fn next_argument(&mut self) -> Option<Argument<'a>> {
        let argument = Argument::read(self.family, self.rest)?;
        self.rest = self.rest.get(argument.words.len()..).unwrap_or_default();
        Some(argument)
    }

    fn option(&mut self, argument: &Argument<'a>) -> Result<(), Stop> {
        let Some(opt) = argument.opt else {
            self.keep_all(Side::Rest, argument);
            return Ok(());
        };
        let stay = |reason| Err(Stay(reason, argument.words.join(&b' ')));
        if opt.value == Value::Must && argument.value.is_none() {
            return stay(Reason::ValueMissing);
        }
        let value = argument.value.unwrap_or_default();
        let mut side = Side::Rest;
        match opt.does {
            Does::Keep(first) if opt.value == Value::NextRest => {
                for (word, side) in argument.words.iter().zip([first, Side::Rest]) {
                    self.keep(side, word);
                }
                return Ok(());
            }
            Does::Keep(kept) => side = kept,
            Does::Local(reason) => return stay(reason),
            Does::HideFromPreprocessor => {
                self.keep_all(Side::Rest, argument);
                self.hide_from(self.words.len() - argument.words.len());
                return Ok(());
            }
            Does::Assemble => {
                self.assemble = true;
                return Ok(());
            }
            Does::Compile => {
                self.compile = true;
                return Ok(());
            }
            Does::Output => {
                return match argument.value {
                    // The compiler fails; without the name it would succeed.
                    None | Some(b"") => stay(Reason::ValueMissing),
                    Some(b"-") => stay(Reason::Output),
                    name => {
                        self.output = name;
                        Ok(())
                    }
                };
            }
            // The compiler takes it for the sources behind it only.
            Does::Language if !self.inputs.is_empty() => return stay(Reason::LanguageBehindInput),
            Does::Language => match language::named(value) {
                Some(language) => self.language = Some(language),
                None => return stay(Reason::Language),
            },
            Does::ObjC(language) if self.family == Family::Clang => {
                self.objective = Some(language);
                side = Side::Local;
            }
            Does::Native => {
                self.words
                    .extend(argument.words.iter().map(|word| Word { native: true, ..Word::new(Side::Rest, word) }));
                return Ok(());
            }
            Does::DepWanted(by_driver) => {
                self.dep_wanted = true;
                self.dep_wanted_by_driver |= by_driver;
                side = Side::Local;
            }
            Does::DepFile => {
                self.dep_named = true;
                self.dependency_files.push(value.to_vec());
                side = Side::Local;
            }
            Does::DepTarget => {
                self.dep_target = true;
                side = Side::Local;
            }
            Does::Path if value.starts_with(b"-O") => return stay(Reason::ValueMissing),
            Does::Path => side = Side::Local,
            Does::Include | Does::IncludePch | Does::Macros => return self.include_option(opt.does, argument),
            Does::Preprocessor => return self.preprocessor_option(argument),
            Does::Assembler => return self.assembler_option(argument),
            Does::OwnAssembler(own) => self.own_assembler = Some(own),
            // Where clang assembles by itself, a compile runs no other program, and no library is looked for.
            Does::Prefix if self.family == Family::Clang => {
                self.prefix = Some(argument.words.join(&b' '));
                side = Side::Local;
            }
            Does::Prefix => return stay(Reason::ProgramPath),
            Does::SplitDwarf(on) => self.split_dwarf = on,
            Does::Caret(shown) => self.caret = Some(shown),
            Does::Color => self.color_chosen = true,
            Does::ColorAuto => {
                self.color_chosen = false;
                return Ok(());
            }
            Does::InputCharset => {
                self.input_charset = true;
                side = Side::Local;
            }
            Does::ExecCharset if !is_utf_8(value) => return stay(Reason::Charset),
            Does::CompilationDir => {
                self.compilation_dir(argument);
                return Ok(());
            }
            Does::ExtraList if self.names_sources(value) => return stay(Reason::SourceList),
            Does::Plugin => {
                self.plugin = true;
                return self.extra_file_option(argument, value, None);
            }
            Does::ExtraFile | Does::ExtraList => return self.extra_file_option(argument, value, None),
            Does::Profile if self.family == Family::Clang => {
                let default = [value, b"/default.profdata"].concat();
                let is_directory = self.files.kind(value) == FileKind::Folder;
                return self.extra_file_option(argument, value, is_directory.then_some(default.as_slice()));
            }
            Does::Profile => return stay(Reason::RemoteInput),
            Does::Specs if self.family == Family::Gcc => return self.specs_option(argument, value),
            Does::CommandLine if self.family == Family::Clang => return stay(Reason::CommandLine),
            Does::Pragmas if self.family == Family::Gcc => {
                self.words
                    .extend(argument.words.iter().map(|word| Word { pragmas: true, ..Word::new(Side::Rest, word) }));
                return Ok(());
            }
            Does::ObjcRuntime => self.objc_runtime = Some(value),
            Does::CommandLine => self.shows_options = true,
            // Macros are named with their files, of which text that was preprocessed tells other ones.
            Does::Debug if self.family == Family::Gcc && matches!(value, b"3" | b"gdb3" | b"stabs3" | b"stabs+3") => {
                return stay(Reason::SourceName);
            }
            Does::Debug | Does::Pragmas | Does::ObjC(_) | Does::ExecCharset | Does::Specs => {}
            Does::Xclang => return self.xclang(argument),
            Does::Target => self.target_given = true,
            Does::Warning => self.warnings.option(self.family, &argument.short),
            Does::Ranges => self.shows_ranges = true,
            Does::VerboseAsm(verbose) => self.verbose_asm = verbose,
            Does::EmitLlvm => self.emit_llvm = true,
        }
        self.keep_all(side, argument);
        Ok(())
    }

    fn keep(&mut self, side: Side, word: &[u8]) {
        self.words.push(Word::new(side, word));
    }

    fn keep_all(&mut self, side: Side, argument: &Argument<'_>) {
        self.words.extend(argument.words.iter().map(|word| Word::new(side, word)));
    }

    fn keep_with(&mut self, side: Side, word: &[u8], value: &[u8]) {
        self.keep(side, word);
        self.keep(side, value);
    }

    /// The words from there on are not for the preprocessor.
    fn hide_from(&mut self, start: usize) {
        self.words.iter_mut().skip(start).for_each(|word| word.hidden = true);
    }

    /// Whether something is there, but no regular file.
    fn is_special(&self, path: &[u8]) -> bool {
        !matches!(self.files.kind(path), FileKind::Absent | FileKind::Regular)
    }

    /// The server has no precompiled header, so the preprocessor must not use one either: headers are included as text.
    /// See [`Self::lost_header`].
    fn include_option(&mut self, does: Does, argument: &Argument<'a>) -> Result<(), Stop> {
        let file = argument.value.unwrap_or_default();
        let stay = |reason| Err(Stay(reason, argument.words.join(&b' ')));
        if file.starts_with(b"-O") {
            return stay(Reason::ValueMissing);
        }
        if self.files.kind(file) == FileKind::Other {
            return stay(Reason::ReadOnce);
        }
        let before = self.words.len();
        self.keep_all(Side::Local, argument);
        match does {
            Does::Macros => self.macros = true,
            Does::IncludePch if self.files.readable(file) => {
                self.precompiled.push(file);
                self.hide_from(before);
            }
            Does::IncludePch => {}
            // What is precompiled may be there without its header.
            _ if !self.files.readable(file) && self.files.readable(&[file, b".gch"].concat()) => {
                return stay(Reason::Modules);
            }
            _ => self.included.push(file),
        }
        Ok(())
    }

    fn preprocessor_option(&mut self, argument: &Argument<'a>) -> Result<(), Stop> {
        let value = argument.value.unwrap_or_default();
        let is_list = argument.short.starts_with(b"-Wp,");
        let elements: Vec<&[u8]> = if is_list { value.split(|&b| b == b',').collect() } else { vec![value] };
        let Some(sides) = self.preprocessor.sides(self.family, &elements, self.files) else {
            return Err(Stay(Reason::Preprocessor, argument.words.join(&b' ')));
        };
        if let Some(side) = sides.first().filter(|first| sides.iter().all(|side| side == *first)) {
            self.keep_all(*side, argument);
            return Ok(());
        }
        for side in [Side::Local, Side::Cpp, Side::Rest] {
            let own = elements.iter().zip(&sides).filter(|(_, of)| **of == side).map(|(element, _)| *element);
            let parts: Vec<&[u8]> = std::iter::once(&b"-Wp"[..]).chain(own).collect();
            if parts.len() > 1 {
                self.keep(side, &parts.join(&b','));
            }
        }
        Ok(())
    }

    fn assembler_option(&mut self, argument: &Argument<'a>) -> Result<(), Stop> {
        let value = argument.value.unwrap_or_default();
        let is_list = argument.short.starts_with(b"-Wa,");
        let elements: Vec<&[u8]> = if is_list { value.split(|&b| b == b',').collect() } else { vec![value] };
        let Some(elements) = self.assembler.judge(&elements, self.folder, self.files, &mut self.extra_files) else {
            return Err(Stay(Reason::Assembler, argument.words.join(&b' ')));
        };
        let side = if is_list { Side::Remote } else { Side::Rest };
        for word in argument.with_value(&elements.join(&b',')) {
            self.keep(side, &word);
        }
        Ok(())
    }

    fn names_sources(&self, list: &[u8]) -> bool {
        let is_there = self.files.kind(list) == FileKind::Regular && self.files.readable(list);
        is_there && self.files.text(list).is_none_or(|text| contents::names_sources(&text))
    }

    /// `file`, which is the option's value or stands for it, travels in the environment.
    fn extra_file_option(&mut self, argument: &Argument<'a>, value: &[u8], file: Option<&[u8]>) -> Result<(), Stop> {
        if self.extra_file(file.unwrap_or(value)).is_none() {
            return Err(Stay(Reason::FileMissing, argument.words.join(&b' ')));
        }
        for word in argument.with_value(&paths::absolute(self.folder, value)) {
            self.keep(Side::Rest, &word);
        }
        Ok(())
    }

    /// gcc looks for it among its own files first.
    fn specs_option(&mut self, argument: &Argument<'a>, value: &[u8]) -> Result<(), Stop> {
        let own = self.answers.name(Question::OwnFile(value.to_vec()))?;
        let file = own.unwrap_or(value).to_vec();
        let stay = |reason| Err(Stay(reason, argument.words.join(&b' ')));
        match self.files.text(&file) {
            None => stay(Reason::FileMissing),
            Some(text) if !contents::specs_can_be_sent(&text) => stay(Reason::Specs),
            Some(_) => {
                let Some(whole) = self.extra_file(&file) else { return stay(Reason::FileMissing) };
                for (word, sent) in argument.words.iter().zip(argument.with_value(&whole)) {
                    self.keep(Side::Local, word);
                    self.keep(Side::Remote, &sent);
                }
                Ok(())
            }
        }
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
    fn compilation_dir(&mut self, argument: &Argument<'a>) {
        self.keep_all(Side::Rest, argument);
        if self.family == Family::Clang {
            self.compilation_dir_given = true;
            self.words.extend(job::compilation_dir(argument.value.unwrap_or_default()));
        }
    }
}

/// As any conversion knows it.
fn is_utf_8(charset: &[u8]) -> bool {
    charset.eq_ignore_ascii_case(b"utf-8") || charset.eq_ignore_ascii_case(b"utf8")
}
