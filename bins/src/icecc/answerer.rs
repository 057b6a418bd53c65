//! Answers the questions of an [`Inquiry`](ice_core::cmdline::Inquiry) about the compiler. Most cost a run of it, so they are asked
//! once per compiler and remembered.

use super::{files, remembered};
use ice_core::cmdline::{self, Answer, Around, Family, Question, outputs};
use ice_core::job::Language;
use ice_toolchain::driver::{Driver, DriverError, Kind};
use ice_toolchain::info::CompilerInfo;
use ice_toolchain::wrapper::{self, WrapperOptions};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A compiler that can be asked.
pub(super) struct Answerer<'a> {
    program: &'a Path,
    family: Family,
    /// The value of PATH.
    path: &'a OsStr,
    /// The working directory.
    folder: &'a Path,
}

impl<'a> Answerer<'a> {
    /// `named` is what the compiler's name says. clang under another name is known by the file that its links lead to, or by asking
    /// it.
    pub(super) fn new(program: &'a Path, named: Family, path: &'a OsStr, folder: &'a Path) -> Self {
        let real = fs::canonicalize(program).unwrap_or_default();
        let name = |path: &Path| path.file_name().and_then(|name| cmdline::Driver::from_name(name.as_bytes()));
        let is_named_clang = |path| name(path).is_some_and(|driver| driver.family == Family::Clang);
        let family = if is_named_clang(&real) || is_named_clang(program) {
            Family::Clang
        } else {
            family(program).unwrap_or(named)
        };
        Self { program, family, path, folder }
    }

    /// Which kind of compiler it is.
    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// Finds out what is asked.
    pub(super) fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::IsWrapper => Answer::Is(wrapper::is_script(self.program) || self.is_wrapper()),
            Question::WrapperOptions(arguments) => Answer::Around(self.wrapper_options(arguments)),
            Question::ConfigFiles(choice) => Answer::Words(self.configuration_files(choice)),
            Question::Target => Answer::Name(self.target()),
            Question::Native(options) => Answer::Words(self.native_meaning(options)),
            Question::PragmaMacros(language, options) => Answer::Words(self.added_macros(*language, options)),
            Question::TakesColor => Answer::Is(self.takes("-fdiagnostics-color")),
            Question::OwnFile(name) => Answer::Name(self.own_file(name)),
            Question::DirectoryName => Answer::Name(files::name_in_pwd(self.folder).map(OsString::into_vec)),
        }
    }

    /// The answer to a question about these arguments, from the last time or by asking.
    fn remembered(
        &self,
        question: &[&OsStr],
        arguments: &[Vec<u8>],
        ask: impl FnOnce() -> Option<Vec<Vec<u8>>>,
    ) -> Option<Vec<Vec<u8>>> {
        let arguments = arguments.iter().map(|argument| OsStr::from_bytes(argument));
        let question: Vec<&OsStr> = question.iter().copied().chain(arguments).collect();
        remembered::answer(self.program, &question, ask)
    }

    /// Runs the compiler.
    fn run(&self, arguments: &[Vec<u8>], more: &[&str]) -> Option<Output> {
        let mut run = Command::new(self.program);
        run.args(arguments.iter().map(|argument| OsStr::from_bytes(argument))).args(more).env("LC_ALL", "C");
        run.stdin(Stdio::null()).output().ok()
    }

    /// Whether it is none of the compilers but runs one.
    fn is_wrapper(&self) -> bool {
        let question = [OsStr::new("is a wrapper"), self.path];
        remembered::is_so(self.program, &question, || wrapper::is_wrapper(self.program, self.path))
    }

    /// What it puts around the arguments of its user, if it stands for a compiler.
    fn wrapper_options(&self, arguments: &[Vec<u8>]) -> Option<Around> {
        let kind = if self.family == Family::Clang { Kind::Clang } else { Kind::Gcc };
        let ask = |arguments| {
            let told = wrapper::wrapper_options(self.program, self.path, kind, arguments);
            told.inspect_err(|err| log::debug!("{}", crate::exit::chain(err))).ok()
        };
        // Also that it cannot be told is remembered.
        let question = [OsStr::new("options of the wrapper"), self.path];
        let known = self.remembered(&question, &[], || Some(told(ask(None))));
        let known = known.as_deref().and_then(options);
        let options = if wrapper::is_constant_script(self.program, self.path) {
            known
        } else {
            // They may depend on the arguments, on variables or on other files.
            let fits = |options: &WrapperOptions| wrapper::is_proven(self.program, self.path, options, arguments);
            known.filter(fits).or_else(|| ask(Some(arguments)))
        };
        let Some(WrapperOptions { before, after }) = options else {
            let name = self.program.display();
            let text = format!("{name} is a wrapper whose options cannot be told: its jobs are built here");
            remembered::warn_once(self.program, &text);
            return None;
        };
        let bytes = |arguments: Vec<OsString>| arguments.into_iter().map(OsString::into_vec).collect();
        Some(Around { before: bytes(before), after: bytes(after) })
    }

    /// The configuration files of clang. Those that come or go are seen by their directories' times; what stands in them is read
    /// each time.
    fn configuration_files(&self, choice: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let real = fs::canonicalize(self.program).unwrap_or_default();
        let directories = [Some(Path::new("/etc/clang")), real.parent()];
        let times = directories.map(|directory| fs::metadata(directory?).and_then(|meta| meta.modified()).ok());
        let times = OsString::from(format!("{times:?}"));
        let variable = std::env::var_os("CLANG_NO_DEFAULT_CONFIG").unwrap_or_default();
        let question = [OsStr::new("configuration files"), &times, &variable];
        self.remembered(&question, choice, || {
            let arguments = [&[b"-v".to_vec()], choice].concat();
            let out = self.run(&arguments, &[]).filter(|out| out.status.success())?;
            Some(outputs::configuration_files(&out.stderr))
        })
    }

    fn target(&self) -> Option<Vec<u8>> {
        let answer = self.remembered(&[OsStr::new("-dumpmachine")], &[], || {
            let out = self.run(&[], &["-dumpmachine"]).filter(|out| out.status.success())?;
            let triple = out.stdout.trim_ascii();
            (!triple.is_empty()).then(|| vec![triple.to_vec()])
        });
        answer?.into_iter().next()
    }

    /// What the compiler behind the driver is told with these options and not without.
    fn native_meaning(&self, options: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let commands = |options| Some(self.run(options, &["-###", "-E", "-"])?.stderr);
        self.remembered(&[OsStr::new("meaning of")], options, || {
            outputs::native_meaning(self.family, &commands(&[])?, &commands(options)?)
        })
    }

    /// `-D` arguments for the macros that it defines only with these options.
    fn added_macros(&self, language: Language, options: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let language = language.option();
        let macros = |options| {
            let out = self.run(options, &["-E", "-dM", "-x", language, "/dev/null"])?;
            out.status.success().then_some(out.stdout)
        };
        self.remembered(&[OsStr::new("macros of"), OsStr::new(language)], options, || {
            outputs::added_macros(&macros(&[])?, &macros(options)?)
        })
    }

    fn takes(&self, option: &str) -> bool {
        remembered::is_so(self.program, &[OsStr::new("takes"), OsStr::new(option)], || {
            let out = self.run(&[], &[option, "-E", "-x", "c", "/dev/null"])?;
            out.status.code().map(|code| code == 0)
        })
    }

    /// Not remembered: what is installed later is found later.
    fn own_file(&self, name: &[u8]) -> Option<Vec<u8>> {
        let out = self.run(&[[b"-print-file-name=", name].concat()], &[]).filter(|out| out.status.success())?;
        // A name that it does not find it repeats.
        Some(out.stdout.trim_ascii().to_vec()).filter(|path| path != name && path.starts_with(b"/"))
    }
}

/// What [`options`] reads: how many arguments stand before the user's, and all of them. Empty: it cannot be told.
fn told(options: Option<WrapperOptions>) -> Vec<Vec<u8>> {
    let Some(WrapperOptions { before, after }) = options else { return Vec::new() };
    let count = before.len().to_string().into_bytes();
    std::iter::once(count).chain(before.into_iter().chain(after).map(OsString::into_vec)).collect()
}

fn options(told: &[Vec<u8>]) -> Option<WrapperOptions> {
    let (count, around) = told.split_first()?;
    let count = std::str::from_utf8(count).ok()?.parse().ok()?;
    let (before, after) = around.split_at_checked(count)?;
    let words = |words: &[Vec<u8>]| words.iter().map(|word| OsString::from_vec(word.clone())).collect();
    Some(WrapperOptions { before: words(before), after: words(after) })
}

/// Which kind of compiler it is, whatever its name; `None` if it does not tell.
fn family(program: &Path) -> Option<Family> {
    let answer = remembered::answer(program, &[OsStr::new("family")], || match Driver::new(program).kind() {
        Ok(kind) => Some(vec![kind.name().into()]),
        // That it is another one shall be remembered too.
        Err(DriverError::Unknown(_)) => Some(Vec::new()),
        Err(_) => None,
    })?;
    match answer.first()?.as_slice() {
        b"clang" => Some(Family::Clang),
        _ => Some(Family::Gcc),
    }
}

/// What a compiler says of itself.
pub(super) fn about(program: &Path) -> Option<CompilerInfo> {
    let answer = remembered::answer(program, &[OsStr::new("about")], || {
        let info = CompilerInfo::ask(&Driver::new(program)).ok()?;
        Some([info.compiler, info.version, info.target].map(String::into_bytes).to_vec())
    })?;
    let [compiler, version, target] = answer.try_into().ok()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Some(CompilerInfo { compiler: text(compiler), version: text(version), target: text(target) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn script(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn answerer(program: &Path) -> Answerer<'_> {
        Answerer { program, family: Family::Clang, path: OsStr::new("/usr/bin:/bin"), folder: Path::new("/") }
    }

    #[test]
    fn an_old_gcc_takes_no_colours() {
        let folder = tempfile::tempdir().unwrap();
        let old = script(&folder, "old", "case $* in *-fdiagnostics-color*) exit 1 ;; esac");
        assert!(!answerer(&old).takes("-fdiagnostics-color"));
        assert!(answerer(&old).takes("-O2"));
        assert!(!answerer(Path::new("/nonexistent")).takes("-O2"));
    }

    #[test]
    fn configuration_files_that_come_later_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"f=${0%/*}/"${2-plain} $3".cfg; if [ -e "$f" ]; then echo "Configuration file: $f" >&2; fi"#;
        let clang = script(&folder, "clang", text);
        let file = |name: &str| fs::write(folder.path().join(name), "-DX").unwrap();
        let found = |choice: &[&str]| {
            let choice: Vec<Vec<u8>> = choice.iter().map(|word| word.as_bytes().to_vec()).collect();
            let files = answerer(&clang).configuration_files(&choice).unwrap();
            let name = |path: Vec<u8>| PathBuf::from(OsString::from_vec(path)).file_name().map(OsStr::to_os_string);
            files.into_iter().filter_map(name).collect::<Vec<_>>()
        };
        file("plain .cfg");
        // The clock of files may stand still for as long as this test takes.
        fs::File::open(folder.path()).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(found(&[]), ["plain .cfg"]);
        assert!(found(&["-m32"]).is_empty());
        file("-m32 .cfg");
        assert_eq!(found(&["-m32"]), ["-m32 .cfg"]);
        file("-target arm.cfg");
        assert_eq!(found(&["-target", "arm"]), ["-target arm.cfg"]);
        assert_eq!(found(&[]), ["plain .cfg"]);
    }
}
