//! A command as it was called, and what is to be run for it.

use super::program;
use super::response;
use super::role::Role;
use super::task::Task;
use super::variables::Variables;
use ice_core::cmdline::{self, Driver, Family, Invocation};
use ice_core::job::Language;
use ice_toolchain::find::FindError;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A command before its program is looked for.
pub(super) struct Call {
    role: Role,
    /// As the user called it.
    pub(super) name: OsString,
    /// The user's arguments, untouched.
    pub(super) words: Vec<OsString>,
    /// The compiler that its name means, if it means one.
    pub(super) driver: Option<Driver>,
    /// The arguments with response files read.
    pub(super) expanded: Vec<Vec<u8>>,
    /// The working directory; empty if it has no name.
    folder: PathBuf,
}

impl Call {
    /// Reads a command.
    pub(super) fn read(
        role: Role,
        name: OsString,
        words: Vec<OsString>,
        variables: &Variables,
        own_exe: &Path,
    ) -> Result<Self, response::ResponseError> {
        // One that was removed, or that cannot be reached from our root, has no name; the compiler may do without.
        let folder = env::current_dir().unwrap_or_default();
        let driver = match role {
            Role::Icecc | Role::Masquerade => program::driver(&name, &variables.path, own_exe),
            Role::Icerun | Role::IcerunLink => None,
        };
        let plain: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        // What `@types` means to another command is its own affair.
        let expanded = if driver.is_some() { response::expand(&plain, &folder)? } else { plain };
        Ok(Self { role, name, words, driver, expanded, folder })
    }

    /// The program that is to be run.
    pub(super) fn program(&self, variables: &Variables, own_exe: &Path) -> Result<PathBuf, FindError> {
        program::find_program(&self.name, self.driver, &self.expanded, &self.folder, variables, own_exe)
    }

    /// What is to be run, by this program.
    pub(super) fn task(&self, program: PathBuf, level: u32) -> Task {
        // Of another command only its output is told, to monitors, if it names one as a compiler does.
        let driver = self.driver.unwrap_or(Driver { family: Family::Gcc, language: Language::C });
        let invocation = Invocation { driver, words: &self.expanded, folder: self.folder.as_os_str().as_bytes() };
        Task {
            wants_whole_machine: self.driver.is_some() && cmdline::is_parallel_link(&invocation),
            output: cmdline::output(&invocation),
            name: self.name.clone(),
            program,
            words: self.words.clone(),
            folder: self.folder.clone(),
            level,
            is_compiler: self.driver.is_some(),
            is_by_icerun: matches!(self.role, Role::Icerun | Role::IcerunLink),
        }
    }
}
