//! From arguments to a job: may this compile go elsewhere, and what becomes of each argument.
//!
//! A local compile is always run with the user's own words, so only jobs that can go get lists of words. Scanning stops at the
//! first reason to stay.

mod conclude;
mod files;
mod frontend;

use super::assembler::Assembler;
use super::effect::{Does, Fact, Facts};
use super::job::{self, RemoteJob, Word};
use super::layers::Layers;
use super::options::Value;
use super::preprocessor::Preprocessor;
use super::question::{Answers, Stop};
use super::spelling::Argument;
use super::warnings::Warnings;
use super::{Family, FileKind, Files, Invocation, Side, language};
use crate::job::Language;
use crate::reason::Reason;
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

struct Scan<'a> {
    family: Family,
    driver_language: Language,
    folder: &'a [u8],
    files: &'a dyn Files,
    answers: &'a Answers,
    rest: &'a [Vec<u8>],
    words: Vec<Word>,
    facts: Facts,
    inputs: Vec<&'a [u8]>,
    output: Option<&'a [u8]>,
    /// The last `-x`, which decides over the suffix.
    language: Option<Language>,
    /// Decides over the suffix if there is no `-x`.
    objective: Option<Language>,
    /// The dependency files that the driver is told.
    dependency_files: Vec<Vec<u8>>,
    /// Those that only the compiler behind clang's driver is told.
    inner_dependency_files: Vec<Vec<u8>>,
    preprocessor: Preprocessor,
    extra_files: Vec<Vec<u8>>,
    assembler: Assembler,
    warnings: Warnings,
    /// The last `-B`.
    prefix: Option<Vec<u8>>,
    own_assembler: Option<bool>,
    /// Precompiled headers that the preprocessor is not told of, and headers that it includes by an option.
    precompiled: Vec<&'a [u8]>,
    included: Vec<&'a [u8]>,
    objc_runtime: Option<&'a [u8]>,
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
            facts: Facts::default(),
            inputs: Vec::new(),
            output: None,
            language: None,
            objective: None,
            dependency_files: Vec::new(),
            inner_dependency_files: Vec::new(),
            preprocessor: Preprocessor::default(),
            extra_files: Vec::new(),
            assembler: Assembler::default(),
            warnings: Warnings::default(),
            prefix: None,
            own_assembler: None,
            precompiled: Vec::new(),
            included: Vec::new(),
            objc_runtime: None,
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
        if self.facts.has(Fact::SplitDwarf) || self.words.iter().any(|word| word.native) {
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
        if opt.value == Value::Must && argument.value.is_none() {
            return Err(because(Reason::ValueMissing, argument));
        }
        self.effect(opt.does, argument)?;
        match (opt.side, argument.words) {
            (Some(side), [name, value]) if opt.value == Value::NextRest => {
                self.keep(side, name);
                self.keep(Side::Rest, value);
            }
            (Some(side), _) => self.keep_all(side, argument),
            (None, _) => {}
        }
        Ok(())
    }

    /// What an option does beside going to its side.
    fn effect(&mut self, does: Does, argument: &Argument<'a>) -> Result<(), Stop> {
        let stay = |reason| Err(because(reason, argument));
        let value = argument.value.unwrap_or_default();
        match does {
            Does::Nothing => {}
            Does::Says(fact, is_so) => self.facts.set(fact, is_so),
            Does::Stays(reason) => return stay(reason),
            // The compiler fails; without the name it would succeed.
            Does::Output if value.is_empty() => return stay(Reason::ValueMissing),
            Does::Output if value == b"-" => return stay(Reason::Output),
            Does::Output => self.output = Some(value),
            // The compiler takes it for the sources behind it only.
            Does::Language if !self.inputs.is_empty() => return stay(Reason::LanguageBehindInput),
            Does::Language => {
                self.language = Some(language::named(value).ok_or_else(|| because(Reason::Language, argument))?);
            }
            Does::ObjC(language) => self.objective_option(language, argument),
            Does::Native => self.keep_as(argument, |word| word.native = true),
            Does::Pragmas => {
                let is_gcc = self.family == Family::Gcc;
                self.keep_as(argument, |word| word.pragmas = is_gcc);
            }
            Does::HideFromPreprocessor => self.keep_as(argument, |word| word.hidden = true),
            Does::DepFile => self.dependency_files.push(value.to_vec()),
            Does::Path if value.starts_with(b"-O") => return stay(Reason::ValueMissing),
            Does::Path => {}
            Does::Include | Does::IncludePch | Does::Macros => return self.include_option(does, argument),
            Does::Preprocessor => return self.preprocessor_option(argument),
            Does::Assembler => return self.assembler_option(argument),
            Does::OwnAssembler(own) => self.own_assembler = Some(own),
            // Where clang assembles by itself, a compile runs no other program, and no library is looked for.
            Does::Prefix if self.family == Family::Clang => self.prefix = Some(argument.words.join(&b' ')),
            Does::Prefix => return stay(Reason::ProgramPath),
            Does::ExecCharset if !is_utf_8(value) => return stay(Reason::Charset),
            Does::ExecCharset => {}
            Does::CompilationDir => self.compilation_dir(argument),
            Does::Plugin | Does::ExtraFile | Does::ExtraList | Does::Profile | Does::Specs => {
                return self.file_option(does, argument);
            }
            Does::CommandLine if self.family == Family::Clang => return stay(Reason::CommandLine),
            Does::CommandLine => self.facts.set(Fact::Options, true),
            // Macros are named with their files, of which text that was preprocessed tells other ones.
            Does::Debug if self.family == Family::Gcc && matches!(value, b"3" | b"gdb3" | b"stabs3" | b"stabs+3") => {
                return stay(Reason::SourceName);
            }
            Does::Debug => {}
            Does::ObjcRuntime => self.objc_runtime = Some(value),
            Does::Xclang => return self.xclang(argument),
            Does::Warning => self.warnings.option(self.family, &argument.short),
        }
        Ok(())
    }

    fn keep(&mut self, side: Side, word: &[u8]) {
        self.words.push(Word::new(side, word));
    }

    fn keep_all(&mut self, side: Side, argument: &Argument<'_>) {
        self.words.extend(argument.words.iter().map(|word| Word::new(side, word)));
    }

    /// As it is, to both sides, with a mark on each word.
    fn keep_as(&mut self, argument: &Argument<'_>, mark: impl Fn(&mut Word)) {
        for text in argument.words {
            let mut word = Word::new(Side::Rest, text);
            mark(&mut word);
            self.words.push(word);
        }
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

    fn objective_option(&mut self, language: Language, argument: &Argument<'_>) {
        if self.family == Family::Clang {
            self.objective = Some(language);
            self.keep_all(Side::Local, argument);
        } else {
            self.keep_all(Side::Rest, argument);
        }
    }

    fn preprocessor_option(&mut self, argument: &Argument<'a>) -> Result<(), Stop> {
        let value = argument.value.unwrap_or_default();
        let is_list = argument.short.starts_with(b"-Wp,");
        let elements: Vec<&[u8]> = if is_list { value.split(|&b| b == b',').collect() } else { vec![value] };
        let Some(sides) = self.preprocessor.sides(self.family, &elements, self.files) else {
            return Err(because(Reason::Preprocessor, argument));
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
            return Err(because(Reason::Assembler, argument));
        };
        let side = if is_list { Side::Remote } else { Side::Rest };
        for word in argument.with_value(&elements.join(&b',')) {
            self.keep(side, &word);
        }
        Ok(())
    }

    /// Servers name the current folder by `-Xclang`, which wins over the driver's own options: so must the user's.
    fn compilation_dir(&mut self, argument: &Argument<'a>) {
        self.keep_all(Side::Rest, argument);
        if self.family == Family::Clang {
            self.facts.set(Fact::CompilationDir, true);
            self.words.extend(job::compilation_dir(argument.value.unwrap_or_default()));
        }
    }
}

/// The job stays for this argument.
fn because(reason: Reason, argument: &Argument<'_>) -> Stop {
    Stay(reason, argument.words.join(&b' '))
}

/// As any conversion knows it.
fn is_utf_8(charset: &[u8]) -> bool {
    charset.eq_ignore_ascii_case(b"utf-8") || charset.eq_ignore_ascii_case(b"utf8")
}
