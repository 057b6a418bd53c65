//! Options that name files: which of them a compile server can do without, and which travel to it.

use super::super::effect::{Does, Fact};
use super::super::question::{Question, Stop};
use super::super::spelling::Argument;
use super::super::{Family, FileKind, Side, contents, paths};
use super::{Scan, because};
use crate::reason::Reason;

impl<'a> Scan<'a> {
    /// The server has no precompiled header, so the preprocessor must not use one either: headers are included as text.
    /// See [`Self::lost_header`].
    pub(super) fn include_option(&mut self, does: Does, argument: &Argument<'a>) -> Result<(), Stop> {
        let file = argument.value.unwrap_or_default();
        let stay = |reason| Err(because(reason, argument));
        if file.starts_with(b"-O") {
            return stay(Reason::ValueMissing);
        }
        if self.files.kind(file) == FileKind::Other {
            return stay(Reason::ReadOnce);
        }
        match does {
            Does::Macros => self.facts.set(Fact::Macros, true),
            Does::IncludePch => {
                let before = self.words.len();
                self.keep_all(Side::Local, argument);
                if self.files.readable(file) {
                    self.precompiled.push(file);
                    self.hide_from(before);
                }
            }
            // What is precompiled may be there without its header.
            _ if !self.files.readable(file) && self.files.readable(&[file, b".gch"].concat()) => {
                return stay(Reason::Modules);
            }
            _ => self.included.push(file),
        }
        Ok(())
    }

    /// The file that an option names travels in the environment.
    pub(super) fn file_option(&mut self, does: Does, argument: &Argument<'a>) -> Result<(), Stop> {
        let value = argument.value.unwrap_or_default();
        match (does, self.family) {
            (Does::ExtraList, _) if self.names_sources(value) => Err(because(Reason::SourceList, argument)),
            (Does::Plugin, _) => {
                self.facts.set(Fact::Plugin, true);
                self.extra_file_option(argument, value, None)
            }
            (Does::Profile, Family::Clang) => {
                let default = [value, b"/default.profdata"].concat();
                let is_directory = self.files.kind(value) == FileKind::Folder;
                self.extra_file_option(argument, value, is_directory.then_some(default.as_slice()))
            }
            (Does::Profile, Family::Gcc) => Err(because(Reason::RemoteInput, argument)),
            (Does::Specs, Family::Gcc) => self.specs_option(argument, value),
            (Does::Specs, Family::Clang) => {
                self.keep_all(Side::Rest, argument);
                Ok(())
            }
            _ => self.extra_file_option(argument, value, None),
        }
    }

    fn names_sources(&self, list: &[u8]) -> bool {
        let is_there = self.files.kind(list) == FileKind::Regular && self.files.readable(list);
        is_there && self.files.text(list).is_none_or(|text| contents::names_sources(&text))
    }

    /// `file`, which is the option's value or stands for it, travels in the environment.
    fn extra_file_option(&mut self, argument: &Argument<'a>, value: &[u8], file: Option<&[u8]>) -> Result<(), Stop> {
        if self.extra_file(file.unwrap_or(value)).is_none() {
            return Err(because(Reason::FileMissing, argument));
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
        let stay = |reason| Err(because(reason, argument));
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

    pub(super) fn extra_file(&mut self, file: &[u8]) -> Option<Vec<u8>> {
        if self.files.kind(file) != FileKind::Regular || !self.files.readable(file) {
            return None;
        }
        let whole = paths::absolute(self.folder, file);
        if !self.extra_files.contains(&whole) {
            self.extra_files.push(whole.clone());
        }
        Some(whole)
    }
}
