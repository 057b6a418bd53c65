//! The files of an environment for an installed compiler, native or cross, gcc or clang.
//!
//! Links and wrapper scripts are followed to the compiler itself, so that an installation gives the same environment by
//! whatever name it was requested. Everything a job needs must be found here, on the submitter; the planned tree is
//! then checked as the loader would see it.

use crate::closure::{self, ClosureError, Planned, Root, View, closure, default_dirs};
use crate::cross;
use crate::driver::{Driver, DriverError, Kind};
use crate::find::{self, FindError, is_executable_file};
use crate::info::{CompilerInfo, EnvInfo};
use crate::plan::{AddError, INFO_NAME, Plan, as_path, textual_name};
use crate::program::{Program, ProgramError};
use ice_core::cmdline::compiler_names;
use ice_core::text::Text;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Maximum number of files below one `--addfile` directory; it stops a mistaken `/`.
const DIRECTORY_FILES_MAX: usize = 100_000;
/// Maximum number of links that the check adds before it gives up.
const REPAIRS_MAX: usize = 1000;

/// One compiler to be packed.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The C driver (or any driver), by name or path.
    pub compiler: OsString,
    /// The C++ driver, if it shall not be derived from `compiler`.
    pub cxx: Option<OsString>,
    /// The kind that it must be; `None`: any kind.
    pub kind: Option<Kind>,
}

/// What to pack.
#[derive(Clone, Debug)]
pub struct Request {
    /// One gcc, one clang, or both.
    pub compilers: Vec<Wanted>,
    /// 1.4's compilerwrapper, for compile servers below protocol 30.
    pub wrapper: Option<PathBuf>,
    /// Files and directories of `--addfile`.
    pub extra: Vec<PathBuf>,
    /// The value of PATH.
    pub path: OsString,
    /// The working directory, for relative names.
    pub cwd: PathBuf,
    /// Our own executable, which must not be taken for a compiler.
    pub own_exe: PathBuf,
}

/// Why no environment can be planned. The first texts are 1.4's.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A compiler does not answer a query.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A compiler is not found.
    #[error("{} is not a compiler.", Path::new(.name).display())]
    NotFound {
        /// The name or path requested.
        name: OsString,
        /// The reason.
        #[source]
        source: FindError,
    },
    /// gcc does not report its own location.
    #[error("Failed to find gcc location.")]
    NoGcc,
    /// A program does not exist or is not executable.
    #[error("'{}' is no executable.", .0.display())]
    NotExecutable(PathBuf),
    /// A compiler is a script where a program is needed.
    #[error("{} is not a binary file.", .0.display())]
    NotBinary(PathBuf),
    /// The compiler is of another kind than the option says.
    #[error("{} is {}, not {}", .path.display(), .is.name(), .wanted.name())]
    WrongKind {
        /// The program.
        path: PathBuf,
        /// Its kind.
        is: Kind,
        /// The kind that was requested.
        wanted: Kind,
    },
    /// A part that every job needs is missing.
    #[error("{} has no {piece}", .compiler.display())]
    MissingPiece {
        /// The compiler.
        compiler: PathBuf,
        /// The missing part.
        piece: String,
    },
    /// The host has no `true`, by which compile servers test an environment.
    #[error("neither /bin/true nor /usr/bin/true is there: servers test an environment by it")]
    NoTrue,
    /// A program is for another platform than the compiler.
    #[error("{} is for {is}, the compiler for {wanted}", .path.display())]
    WrongMachine {
        /// The program.
        path: PathBuf,
        /// Its platform.
        is: String,
        /// The compiler's platform.
        wanted: String,
    },
    /// The program's processor has no platform name.
    #[error("{} is for a machine that has no name here", .0.display())]
    UnknownMachine(PathBuf),
    /// A file cannot be added to the plan.
    #[error(transparent)]
    Add(#[from] AddError),
    /// A library or loader is missing.
    #[error(transparent)]
    Closure(#[from] ClosureError),
    /// An ELF file is damaged.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A file or directory of `--addfile` cannot be read, or the directory has too many files.
    #[error("cannot read {}", .path.display())]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A library that was found on this host would not be found in the environment, and adding a link does not help.
    #[error("{wanted_by} would not find {library} in the environment")]
    Unresolved {
        /// The library.
        library: Text,
        /// The file that needs it.
        wanted_by: Text,
    },
}

/// A finished plan with what is reported about it.
#[derive(Debug)]
pub struct NativePlan {
    /// Names and contents.
    pub plan: Plan,
    /// Names of the members in the order in which they were added, for the output lines `adding file`.
    pub added: Vec<Vec<u8>>,
    /// The environment's description, which the plan contains.
    pub info: EnvInfo,
}

/// Finds all files that belong into the environment of `request`. Runs each compiler several times.
pub fn plan(request: &Request) -> Result<NativePlan, PlanError> {
    let root = Root::new(Path::new("/"));
    let mut planner =
        Planner { request, root: &root, plan: Plan::default(), added: Vec::new(), platform: None, loader: None };
    let mut info = EnvInfo::default();
    let true_file = ["/bin/true", "/usr/bin/true"].iter().map(Path::new).find(|p| is_executable_file(p));
    for wanted in &request.compilers {
        let given = planner.find(&wanted.compiler)?;
        let driver = Driver::new(&given);
        let kind = driver.kind()?;
        if let Some(must) = wanted.kind.filter(|must| *must != kind) {
            return Err(PlanError::WrongKind { path: given, is: kind, wanted: must });
        }
        info.compilers.push(match kind {
            Kind::Gcc => planner.gcc(&driver, wanted)?,
            Kind::Clang => planner.clang(&driver)?,
        });
    }
    planner.program(b"bin/true", true_file.ok_or(PlanError::NoTrue)?, None)?;
    for extra in &request.extra {
        planner.extra(&request.cwd.join(extra), &mut 0)?;
    }
    info.platform = planner.platform.clone().unwrap_or_default();
    planner.plan.add_bytes(INFO_NAME, info.text().into_bytes());
    planner.check()?;
    Ok(NativePlan { plan: planner.plan, added: planner.added, info })
}

/// A plan under construction.
struct Planner<'a> {
    request: &'a Request,
    root: &'a Root,
    plan: Plan,
    added: Vec<Vec<u8>>,
    /// The platform of the first program added; all others must have it.
    platform: Option<String>,
    /// The loader of the first program added. It also loads the compiler's plugins, which name none.
    loader: Option<Vec<u8>>,
}

impl Planner<'_> {
    /// The file of a requested compiler.
    fn find(&self, name: &OsStr) -> Result<PathBuf, PlanError> {
        let found = find::compiler(name, &self.request.path, &self.request.own_exe);
        let path = found.map_err(|source| PlanError::NotFound { name: name.to_os_string(), source })?;
        Ok(self.request.cwd.join(path))
    }

    /// Adds gcc with all its programs.
    fn gcc(&mut self, given: &Driver, wanted: &Wanted) -> Result<CompilerInfo, PlanError> {
        let real = self.real_gcc(given)?;
        // The names of C and C++ driver are derived from the real file first, then from the path that was requested.
        let by_name = |path: &Path, name: OsString| Some(path.parent()?.join(name)).filter(|p| is_executable_file(p));
        let c_of = |path: &Path| by_name(path, compiler_names::c_partner(path.file_name()?));
        let gcc = c_of(&real).or_else(|| c_of(given.path())).and_then(|p| fs::canonicalize(p).ok()).unwrap_or(real);
        let cxx_of = |path: &Path| by_name(path, compiler_names::cxx_partner(path.file_name()?)?);
        let cxx = match &wanted.cxx {
            Some(cxx) => Some(fs::canonicalize(self.find(cxx)?).map_err(|_| PlanError::NotExecutable(cxx.into()))?),
            None => {
                let beside_given =
                    || cxx_of(&given.path().with_file_name(compiler_names::c_partner(given.path().file_name()?)));
                cxx_of(&gcc).or_else(beside_given).and_then(|p| fs::canonicalize(p).ok())
            }
        };
        // A link of another name can lead to the same program, for example from `c++` to a C driver.
        let cxx = cxx.filter(|p| *p != gcc);
        let driver = Driver::new(&gcc);
        let info = CompilerInfo::of_kind(&driver, Kind::Gcc)?;
        let prefix = prefix_dir(&gcc);
        let bin: [&[u8]; 2] = match &self.request.wrapper {
            Some(wrapper) if self.request.compilers.len() > 1 => {
                self.program(b"usr/bin/gcc", wrapper, None)?;
                self.program(b"usr/bin/g++", wrapper, None)?;
                [b"usr/bin/gcc.bin", b"usr/bin/g++.bin"]
            }
            _ => [b"usr/bin/gcc", b"usr/bin/g++"],
        };
        self.program(bin[0], &gcc, prefix.as_deref())?;
        match &cxx {
            Some(cxx) => self.program(bin[1], cxx, prefix.as_deref())?,
            None => self.plan.add_link(bin[1], bin[0]),
        }
        let missing = |piece: &str| PlanError::MissingPiece { compiler: gcc.clone(), piece: piece.to_string() };
        let own_program = |driver: &Driver, name: &str| {
            let answer = driver.program(OsStr::new(name)).filter(|p| p.is_absolute() && is_executable_file(p));
            // Some toolchains keep it elsewhere and report it by `-print-file-name` only.
            answer.or_else(|| driver.file(name))
        };
        let cc1 = own_program(&driver, "cc1").ok_or_else(|| missing("cc1"))?;
        self.program(b"usr/bin/cc1", &cc1, prefix.as_deref())?;
        match (own_program(&cxx.as_deref().map_or(driver.clone(), Driver::new), "cc1plus"), &cxx) {
            (Some(cc1plus), _) => self.program(b"usr/bin/cc1plus", &cc1plus, prefix.as_deref())?,
            (None, None) => {}
            (None, Some(cxx)) => {
                return Err(PlanError::MissingPiece { compiler: cxx.clone(), piece: "cc1plus".into() });
            }
        }
        self.tools(&driver, &info.target, prefix.as_deref())?;
        for name in ["liblto_plugin.so", "specs"] {
            // A dangling link stands for a file that should be there. Where nothing is, the compiler looks elsewhere or
            // does without.
            let beside = cc1.with_file_name(name);
            if beside.is_symlink() && !beside.exists() {
                return Err(AddError::Read { path: beside, source: io::ErrorKind::NotFound.into() }.into());
            }
            if let Some(file) = driver.file(name) {
                let place = in_prefix(&textual_name(&file), prefix.as_deref());
                self.program(&place, &file, prefix.as_deref())?;
            }
        }
        Ok(info)
    }

    /// The real gcc behind links and scripts.
    fn real_gcc(&self, given: &Driver) -> Result<PathBuf, PlanError> {
        let named = given.collect_gcc().ok_or(PlanError::NoGcc)?;
        let path = self.find(&named).map_err(|_| PlanError::NoGcc)?;
        let path = fs::canonicalize(&path).map_err(|_| PlanError::NotExecutable(path))?;
        self.require_binary(&path)?;
        Ok(path)
    }

    /// Adds clang with all its programs.
    fn clang(&mut self, given: &Driver) -> Result<CompilerInfo, PlanError> {
        let base = given.path().file_name().unwrap_or(OsStr::new("clang")).to_os_string();
        // clang called by a wrapper of another name finds only `clang` under its own name.
        let names = [base, "clang".into()];
        let answer =
            names.iter().filter_map(|name| given.program(name)).find(|p| p.is_absolute() && is_executable_file(p));
        let answer = answer.unwrap_or_else(|| given.path().to_path_buf());
        let clang = fs::canonicalize(&answer).map_err(|_| PlanError::NotExecutable(answer))?;
        self.require_binary(&clang)?;
        let info = CompilerInfo::of_kind(given, Kind::Clang)?;
        let prefix = prefix_dir(&clang);
        self.program(b"usr/bin/clang", &clang, prefix.as_deref())?;
        if let (Some(wrapper), 1) = (&self.request.wrapper, self.request.compilers.len()) {
            self.program(b"usr/bin/gcc", wrapper, None)?;
            self.program(b"usr/bin/g++", wrapper, None)?;
        }
        // llvm-symbolizer is left out: it only improves the text of a crash, for 29 more libraries and 17 MB.
        self.tools(given, &info.target, prefix.as_deref())?;
        self.clang_lists(given)?;
        Ok(info)
    }

    /// Adds the lists that sanitizers need, where clang looks for them in the environment.
    fn clang_lists(&mut self, driver: &Driver) -> Result<(), PlanError> {
        let Some(dir) = driver.resource_dir() else { return Ok(()) };
        let (share, version) = (dir.join("share"), dir.file_name().unwrap_or_default().to_os_string());
        let Ok(entries) = fs::read_dir(&share) else { return Ok(()) };
        let mut files: Vec<PathBuf> =
            entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.is_file()).collect();
        files.sort();
        for file in files {
            let base = file.file_name().unwrap_or_default().as_bytes();
            let name = [b"usr/lib/clang/", version.as_bytes(), b"/share/", base].concat();
            self.add(&name, &file)?;
        }
        Ok(())
    }

    /// Adds the target's assembler, and its objcopy if there is one.
    fn tools(&mut self, driver: &Driver, target: &str, prefix: Option<&Path>) -> Result<(), PlanError> {
        let host = self.platform.clone().unwrap_or_default();
        let is_native = cross::is_native(target, &host);
        for (name, must) in [("as", true), ("objcopy", false)] {
            let place = [b"usr/bin/", name.as_bytes()].concat();
            if self.plan.entries.contains_key(&place) {
                continue; // the first compiler's, in an archive with two
            }
            let answer = driver.program(OsStr::new(name)).unwrap_or_else(|| name.into());
            match cross::tool(name, &answer, target, is_native, driver.path(), &self.request.path) {
                Some(tool) => self.program(&place, &tool, prefix)?,
                None if must => {
                    let piece = format!("assembler for {target} (as)");
                    return Err(PlanError::MissingPiece { compiler: driver.path().to_path_buf(), piece });
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Adds a program as member `name`, and its loader and libraries under their own paths; a library in the
    /// toolchain's directory `prefix` moves by the rule of `in_prefix`. A file that is not an ELF file is added
    /// alone.
    fn program(&mut self, name: &[u8], file: &Path, prefix: Option<&Path>) -> Result<(), PlanError> {
        if !file.exists() {
            return Err(PlanError::NotExecutable(file.to_path_buf()));
        }
        let real = fs::canonicalize(file).map_err(|source| AddError::Read { path: file.to_path_buf(), source })?;
        self.add(name, &real)?;
        let Some(program) = Program::read(&real)? else { return Ok(()) };
        let platform = program.machine.platform().ok_or_else(|| PlanError::UnknownMachine(real.clone()))?;
        match &self.platform {
            None => self.platform = Some(platform.to_string()),
            Some(wanted) if wanted != platform => {
                return Err(PlanError::WrongMachine { path: real, is: platform.into(), wanted: wanted.clone() });
            }
            Some(_) => {}
        }
        if self.loader.is_none() {
            self.loader.clone_from(&program.interpreter);
        }
        self.libraries(real.as_os_str().as_bytes(), prefix)
    }

    /// Adds the loader and the libraries of the ELF file at `path`.
    fn libraries(&mut self, path: &[u8], prefix: Option<&Path>) -> Result<(), PlanError> {
        for found in closure(self.root, path, self.loader.as_deref())? {
            let source = as_path(&textual_name(Path::new(OsStr::from_bytes(&found.path))));
            let name = in_prefix(&textual_name(&source), prefix);
            self.add(&name, &source)?;
        }
        Ok(())
    }

    /// Adds a file and remembers its name for the report.
    fn add(&mut self, name: &[u8], source: &Path) -> Result<(), PlanError> {
        if self.plan.add_file(name, source)? {
            self.added.push(name.to_vec());
        }
        Ok(())
    }

    /// Adds a file, or all files below a directory, under their own absolute names, and the libraries of ELF files
    /// whatever their mode. `count` is the number of directory entries so far.
    fn extra(&mut self, path: &Path, count: &mut usize) -> Result<(), PlanError> {
        let failed = |source| PlanError::Directory { path: path.to_path_buf(), source };
        if fs::metadata(path).is_ok_and(|m| m.is_dir()) {
            let mut entries: Vec<PathBuf> = fs::read_dir(path)
                .map_err(failed)?
                .map(|e| e.map(|e| e.path()))
                .collect::<Result<_, _>>()
                .map_err(failed)?;
            entries.sort();
            for entry in entries {
                *count += 1;
                if *count > DIRECTORY_FILES_MAX {
                    return Err(failed(io::Error::other("over 100,000 files below it")));
                }
                // A link to a directory could lead in a circle; a link to a file is packed like the file.
                let is_linked_dir = entry.is_symlink() && entry.is_dir();
                if !is_linked_dir {
                    self.extra(&entry, count)?;
                }
            }
            return Ok(());
        }
        let name = textual_name(path);
        self.add(&name, path)?;
        let real = fs::canonicalize(path).map_err(failed)?;
        if Program::read(&real)?.is_some() {
            self.libraries(real.as_os_str().as_bytes(), None)?;
        }
        Ok(())
    }

    /// Fails unless `path` is an executable ELF file.
    fn require_binary(&self, path: &Path) -> Result<(), PlanError> {
        if !is_executable_file(path) {
            return Err(PlanError::NotExecutable(path.to_path_buf()));
        }
        match Program::read(path)? {
            Some(_) => Ok(()),
            None => Err(PlanError::NotBinary(path.to_path_buf())),
        }
    }

    /// Checks the planned tree as its loader will see it. A library that was found on this host but would not be found
    /// there gets a link in the first of the loader's default directories.
    fn check(&mut self) -> Result<(), PlanError> {
        for _ in 0..REPAIRS_MAX {
            let Some((library, wanted_by)) = self.unresolved()? else { return Ok(()) };
            let planned = Planned::new(&self.plan, self.root);
            let machine = planned.look(&wanted_by)?.map(|seen| seen.program.machine);
            let is_musl = self.loader.as_deref().is_some_and(|l| l.windows(8).any(|w| w == b"/ld-musl"));
            let base = library.rsplit(|b| *b == b'/').next().unwrap_or(&library).to_vec();
            let target = self.plan.entries.keys().find(|n| n.rsplit(|b| *b == b'/').next() == Some(&base)).cloned();
            let place = machine.and_then(|m| default_dirs(self.root, m, is_musl).into_iter().next());
            let link = place.map(|dir| [&dir[1..], &b"/"[..], &base].concat());
            match (link, target) {
                (Some(link), Some(target)) if !self.plan.entries.contains_key(&link) => {
                    self.plan.add_link(&link, &target);
                }
                _ => {
                    return Err(PlanError::Unresolved {
                        library: library.as_slice().into(),
                        wanted_by: wanted_by.as_slice().into(),
                    });
                }
            }
        }
        Ok(())
    }

    /// The first library that is not found in the planned tree, and the file that needs it.
    #[allow(clippy::type_complexity)] // two names
    fn unresolved(&self) -> Result<Option<(Vec<u8>, Vec<u8>)>, PlanError> {
        let planned = Planned::new(&self.plan, self.root);
        for name in closure::programs(&self.plan, self.root)? {
            let path = [&b"/"[..], &name].concat();
            match closure(&planned, &path, None) {
                Ok(_) => {}
                Err(ClosureError::Missing { library, wanted_by }) => {
                    return Ok(Some((library.into_bytes(), wanted_by.into_bytes())));
                }
                Err(other) => return Err(other.into()),
            }
        }
        Ok(None)
    }
}

/// The directory above the compiler's `bin`, whose content moves to `usr`. `None` if that is `/` or `/usr`.
fn prefix_dir(compiler: &Path) -> Option<PathBuf> {
    let above = compiler.parent()?.parent()?;
    (above != Path::new("/") && above != Path::new("/usr")).then(|| above.to_path_buf())
}

/// The member name of a file of a toolchain in `prefix`: `opt/tc/lib/x` becomes `usr/lib/x` for `/opt/tc`. Other names
/// stay.
fn in_prefix(name: &[u8], prefix: Option<&Path>) -> Vec<u8> {
    let own = prefix.map(textual_name);
    match own.and_then(|p| name.strip_prefix(p.as_slice()).filter(|rest| rest.starts_with(b"/")).map(<[u8]>::to_vec)) {
        Some(rest) => [b"usr", &rest[..]].concat(),
        None => name.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_rule_is_anchored() {
        let rule = |name: &str| String::from_utf8(in_prefix(name.as_bytes(), Some(Path::new("/opt/tc")))).unwrap();
        assert_eq!(rule("opt/tc/lib/gcc/T/12/x.so"), "usr/lib/gcc/T/12/x.so");
        assert_eq!(rule("opt/tcx/lib/x"), "opt/tcx/lib/x");
        assert_eq!(rule("a/opt/tc/lib/x"), "a/opt/tc/lib/x");
        assert_eq!(prefix_dir(Path::new("/usr/bin/gcc")), None);
        assert_eq!(prefix_dir(Path::new("/usr/lib/llvm-14/bin/clang")).as_deref(), Some(Path::new("/usr/lib/llvm-14")));
    }
}
