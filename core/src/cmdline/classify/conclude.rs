//! What all arguments together make of the job: its input, output, language, dependency file and mode.

use super::super::effect::Fact;
use super::super::job::{Messages, Mode, RemoteJob, Writing};
use super::super::question::Question;
use super::super::question::Stop::{self, Stay};
use super::super::{Family, Side, language, paths};
use super::{Scan, Settings};
use crate::job::Language;
use crate::reason::Reason;

impl<'a> Scan<'a> {
    pub(super) fn conclude(&mut self, settings: &Settings) -> Result<RemoteJob, Stop> {
        if !self.facts.has(Fact::Compile) && !self.facts.has(Fact::Assemble) {
            return Err(Reason::NoCompile.into());
        }
        let input = self.input()?;
        if let Some(lost) = self.lost_header() {
            return Err(Stay(Reason::Modules, lost.to_vec()));
        }
        let language = self.input_language(input)?;
        if self.names_objc_source(language) {
            return Err(Stay(Reason::SourceName, input.to_vec()));
        }
        if self.facts.has(Fact::Assemble) && self.facts.has(Fact::VerboseAsm) && self.family == Family::Gcc {
            return Err(Stay(Reason::SourceName, b"-fverbose-asm".to_vec()));
        }
        let output = self.output_name(input)?;
        let is_by_suffix = self.language.or(self.objective).is_none();
        let preprocessed = is_by_suffix && matches!(paths::suffix(input), Some(b"i" | b"ii"));
        if preprocessed && self.facts.has(Fact::InputCharset) {
            // No preprocessor runs that would convert it.
            return Err(Stay(Reason::Charset, input.to_vec()));
        }
        self.add_dependency_words(&output)?;
        if let Some(prefix) = self.prefix.take().filter(|_| self.runs_assembler()) {
            return Err(Stay(Reason::ProgramPath, prefix));
        }
        let split_dwarf =
            self.facts.has(Fact::SplitDwarf) && self.facts.has(Fact::Compile) && !self.facts.has(Fact::Assemble);
        if split_dwarf && paths::suffix(&output).is_none() {
            return Err(Stay(Reason::SplitDwarfName, output));
        }
        if settings.color && !self.facts.has(Fact::ColorChosen) && self.takes_color()? {
            let flag: &[u8] =
                if self.family == Family::Clang { b"-fcolor-diagnostics" } else { b"-fdiagnostics-color" };
            self.keep(Side::Rest, flag);
        }
        self.keep(Side::Remote, if self.facts.has(Fact::Assemble) { b"-S" } else { b"-c" });
        Ok(RemoteJob {
            family: self.family,
            language,
            mode: if preprocessed { Mode::Verbatim } else { self.mode(settings) },
            words: std::mem::take(&mut self.words),
            input: input.to_vec(),
            output,
            output_given: self.output.is_some(),
            writing: self.writing(),
            split_dwarf,
            extra_files: std::mem::take(&mut self.extra_files),
            dependency_files: [&mut self.dependency_files, &mut self.inner_dependency_files]
                .map(std::mem::take)
                .concat(),
            messages: match self.family {
                _ if self.facts.has(Fact::Ranges) => Messages::Redone,
                Family::Gcc if settings.caret_redo_off => Messages::Taken,
                Family::Gcc if !self.facts.has(Fact::NoCaret) || settings.own_messages => Messages::Redone,
                _ => Messages::TakenUnlessExpanded,
            },
            means_this_host: false,
            pragma_macros: Vec::new(),
            target_wanted: self.family == Family::Clang && !self.facts.has(Fact::Target),
            compilation_dir_wanted: self.family == Family::Clang && !self.facts.has(Fact::CompilationDir),
        })
    }

    /// The one source.
    fn input(&self) -> Result<&'a [u8], Stop> {
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
        Ok(input)
    }

    fn takes_color(&self) -> Result<bool, Stop> {
        Ok(self.family == Family::Clang || self.answers.is_so(Question::TakesColor)?)
    }

    /// How the compiler would write its output. clang assembles by itself unless it is told otherwise.
    fn writing(&self) -> Writing {
        match (self.family, self.facts.has(Fact::Assemble)) {
            (Family::Gcc, true) => Writing::Into,
            (Family::Gcc, false) => Writing::Anew,
            (Family::Clang, false) if self.own_assembler == Some(false) => Writing::Anew,
            (Family::Clang, _) => Writing::Renamed,
        }
    }

    fn input_language(&self, input: &[u8]) -> Result<Language, Stop> {
        if let Some(language) = self.language.or(self.objective) {
            return Ok(language);
        }
        let no_input = input.is_empty().then_some(self.driver_language);
        let by_suffix = language::of_suffix(input, self.driver_language).or(no_input);
        by_suffix.ok_or_else(|| Stay(Reason::Suffix, input.to_vec()))
    }

    /// A precompiled header of which the text would show nothing, as no option includes the header that it is made of.
    fn lost_header(&self) -> Option<&[u8]> {
        let is_of = |precompiled: &[u8], header: &[u8]| {
            let name = paths::without_suffix(precompiled);
            name == header || name == paths::without_suffix(header)
        };
        let is_lost = |precompiled: &&[u8]| !self.included.iter().any(|header| is_of(precompiled, header));
        self.precompiled.iter().copied().find(is_lost)
    }

    /// Whether an object of Objective-C holds its source's path: where clang's runtime is GCC's, or an early one of GNUstep.
    fn names_objc_source(&self, language: Language) -> bool {
        let with_path = |runtime: &[u8]| {
            [&b"gcc"[..], b"objfw"].iter().any(|name| runtime.starts_with(name))
                || (runtime.starts_with(b"gnustep") && !runtime.starts_with(b"gnustep-2"))
        };
        self.family == Family::Clang
            && matches!(language, Language::ObjC | Language::ObjCxx)
            && self.objc_runtime.is_none_or(with_path)
    }

    fn output_name(&self, input: &[u8]) -> Result<Vec<u8>, Stop> {
        let output = match self.output {
            Some(output) => output.to_vec(),
            None => {
                let base = paths::without_suffix(paths::base_name(input));
                let suffix: &[u8] = match (self.facts.has(Fact::Assemble), self.facts.has(Fact::EmitLlvm)) {
                    (true, false) => b".s",
                    (false, false) => b".o",
                    (true, true) => b".ll",
                    (false, true) => b".bc",
                };
                [base, suffix].concat()
            }
        };
        if output.ends_with(b"/") || self.is_special(&output) {
            return Err(Stay(Reason::Output, output));
        }
        Ok(output)
    }

    /// The preprocessor's run has no `-o`, so it must be told the names that the driver would have derived.
    fn add_dependency_words(&mut self, output: &[u8]) -> Result<(), Stop> {
        let handed = &mut self.preprocessor;
        let by_driver = self.facts.has(Fact::Dependencies) || handed.dependencies == Some(true);
        self.dependency_files.append(&mut handed.dependency_files);
        let target = handed.dependency_target.take();
        if !self.facts.has(Fact::Dependencies) && handed.dependencies.is_none() {
            return target.map_or(Ok(()), |target| Err(Stay(Reason::DependencyTargetOnly, target)));
        }
        if self.dependency_files.is_empty() {
            let file = [paths::without_suffix(output), b".d"].concat();
            self.keep_with(Side::Local, b"-MF", &file);
            self.dependency_files.push(file);
        }
        if by_driver && !self.facts.has(Fact::DependencyTarget) && self.output.is_some() {
            self.keep_with(Side::Local, b"-MQ", output);
        }
        Ok(())
    }

    /// Whether another program assembles what clang compiled. For another target it may be the default.
    fn runs_assembler(&self) -> bool {
        !self.facts.has(Fact::Assemble) && !self.own_assembler.unwrap_or(!self.facts.has(Fact::Target))
    }

    fn mode(&self, settings: &Settings) -> Mode {
        let wanted = match self.family {
            Family::Gcc => settings.remote_cpp,
            Family::Clang => settings.remote_cpp.or(settings.clang_remote_cpp),
        };
        match self.family {
            _ if self.needs_expanded_text() || wanted == Some(false) => Mode::Full,
            Family::Gcc => Mode::Directives,
            Family::Clang => Mode::Includes,
        }
    }

    /// Whether an argument asks for something that only expanded text gives. What clang reads by `-imacros` leaves no trace in text
    /// whose includes alone are expanded; of pragmas that a plugin of gcc knows the text of directives would lose some.
    fn needs_expanded_text(&self) -> bool {
        let warnings = [&self.warnings, &self.preprocessor.warnings];
        let in_the_way = match self.family {
            Family::Gcc => self.facts.has(Fact::Plugin) || self.facts.has(Fact::Options),
            Family::Clang => self.facts.has(Fact::Macros) || self.preprocessor.macros,
        };
        in_the_way || warnings.iter().any(|all| all.need_expanded_text(self.family))
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
