//! `icecc --update-links`: a directory has a link to icecc for each compiler that is installed: the package alone
//! cannot know them.
//!
//! It changes nothing but links to icecc: another file of a compiler's name is somebody's own.

use crate::exit::Failure;
use ice_core::cmdline::compiler_names;
use ice_toolchain::{find, installed};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The compilers that 1.4 links. A link of theirs follows whatever has that name in PATH, scripts too.
const USUAL: [&str; 6] = ["cc", "c++", "gcc", "g++", "clang", "clang++"];

/// Where links are in the prefix of an installation: Debian's directory and upstream's.
const DIRECTORIES: [&str; 2] = ["lib/icecc/bin", "libexec/icecc/bin"];

/// Other names of the program in the prefix, for links to lead to. ccache takes no program for `CCACHE_PREFIX=icecc` that is the
/// same file as what it found for a compiler: so a link named `gcc` must not lead to the file that is found as `icecc`.
const SECOND_NAMES: [&str; 2] = ["lib/icecc/icecc", "libexec/icecc/icecc"];

/// Our own name. A link of that name beside those of compilers is found where `CCACHE_PATH` names the directory of links alone.
const ICECC: &str = "icecc";

/// What is done about one name.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// The compiler came, or the link leads elsewhere than it should.
    Make(PathBuf),
    /// The compiler is gone.
    Remove,
}

/// `--update-links`: without a directory, in those of the installation that `own_exe` belongs to.
pub(super) fn run(mut directories: Vec<PathBuf>, dry_run: bool, path: &OsStr, own_exe: &Path) -> Result<(), Failure> {
    if let Some(wrong) = directories.iter().find(|directory| !directory.is_dir()) {
        return Err(Failure::new(format!("{} is no directory", wrong.display())).hint("nothing was changed"));
    }
    if directories.is_empty() {
        directories = installed_directories(own_exe);
    }
    if directories.is_empty() {
        return Err(Failure::new(format!("{} has no directory of links beside it", own_exe.display())).hint("name one"));
    }
    let links = Links::new(path, own_exe);
    directories.iter().try_for_each(|directory| links.update(directory, dry_run))
}

/// The directories of links of an installation. Its `bin` is one if it has any.
fn installed_directories(own_exe: &Path) -> Vec<PathBuf> {
    let Some(bin) = own_exe.parent() else { return Vec::new() };
    let prefix = bin.parent().unwrap_or(bin);
    let mut all: Vec<PathBuf> = DIRECTORIES.iter().map(|d| prefix.join(d)).filter(|d| d.is_dir()).collect();
    if USUAL.iter().any(|name| is_own_link(&bin.join(name), own_exe)) {
        all.push(bin.to_path_buf());
    }
    all
}

fn is_own_link(link: &Path, own_exe: &Path) -> bool {
    link.is_symlink() && find::is_ourselves(link, own_exe)
}

/// The links that there should be.
struct Links<'a> {
    own_exe: &'a Path,
    /// What links of compilers lead to.
    program: PathBuf,
    compilers: BTreeSet<OsString>,
}

impl<'a> Links<'a> {
    fn new(path: &OsStr, own_exe: &'a Path) -> Self {
        let prefix = own_exe.parent().and_then(Path::parent).unwrap_or(own_exe);
        let is_second = |file: &PathBuf| file.is_file() && find::is_ourselves(file, own_exe);
        let second = SECOND_NAMES.iter().map(|name| prefix.join(name)).find(is_second);
        let mut compilers = installed::compilers(path, own_exe);
        let is_there = |name: &&str| find::compiler(OsStr::new(name), path, own_exe).is_ok();
        compilers.extend(USUAL.into_iter().filter(is_there).map(OsString::from));
        Self { own_exe, program: second.unwrap_or_else(|| own_exe.to_path_buf()), compilers }
    }

    fn update(&self, directory: &Path, dry_run: bool) -> Result<(), Failure> {
        let cannot = |what: &str, file: &Path, err: &dyn Display| {
            Failure::new(format!("cannot {what} {}: {err}", file.display()))
        };
        let entries = fs::read_dir(directory).map_err(|err| cannot("read", directory, &err))?;
        let mut names: BTreeSet<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.extend(self.compilers.iter().cloned().chain([ICECC.into()]));
        let would = if dry_run { "would be " } else { "" };
        for name in names {
            let link = directory.join(&name);
            let Some(change) = self.change(&link, &name) else { continue };
            if !dry_run && link.is_symlink() {
                fs::remove_file(&link).map_err(|err| cannot("remove", &link, &err))?;
            }
            match change {
                Change::Remove => {
                    println!("{would}removed {}: no {} in PATH", link.display(), Path::new(&name).display())
                }
                Change::Make(target) => {
                    if !dry_run {
                        symlink(&target, &link).map_err(|err| cannot("make", &link, &err))?;
                    }
                    println!("{would}made {} -> {}", link.display(), target.display());
                }
            }
        }
        Ok(())
    }

    fn change(&self, link: &Path, name: &OsStr) -> Option<Change> {
        let is_there = link.symlink_metadata().is_ok();
        if is_there && !is_own_link(link, self.own_exe) {
            return None;
        }
        let program = if name == ICECC { self.own_exe } else { &self.program };
        let directory = link.parent()?;
        let target = |program| target(directory, program, self.own_exe);
        let there = fs::read_link(link).unwrap_or_default();
        if name == ICECC || self.compilers.contains(name) {
            let wanted = target(program);
            return (there != wanted).then_some(Change::Make(wanted));
        }
        // A user may have made a link for a compiler that is only in the user's own PATH, but would have written it otherwise.
        let is_made_here = || [&self.program, self.own_exe].into_iter().any(|program| there == target(program));
        let is_removed =
            USUAL.iter().any(|usual| name == *usual) || compiler_names::is_compiler_name(name) && is_made_here();
        is_removed.then_some(Change::Remove)
    }
}

/// What a link in `directory` says for `program`: relative within one installation, which may be moved or seen below another root.
fn target(directory: &Path, program: &Path, own_exe: &Path) -> PathBuf {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    let prefix = own_exe.parent().and_then(Path::parent).filter(|prefix| prefix.parent().is_some());
    let inside =
        prefix.and_then(|prefix| Some((directory.strip_prefix(prefix).ok()?, program.strip_prefix(prefix).ok()?)));
    match inside {
        Some((inside, program)) => inside.iter().map(|_| "..").collect::<PathBuf>().join(program),
        None => program.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn program(file: &Path) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What there is in a directory: `NAME TARGET`.
    fn seen(directory: &Path) -> Vec<String> {
        let shown = |entry: fs::DirEntry| {
            let target = fs::read_link(entry.path()).unwrap();
            format!("{} {}", entry.file_name().to_string_lossy(), target.display())
        };
        let mut seen: Vec<_> = fs::read_dir(directory).unwrap().flatten().map(shown).collect();
        seen.sort();
        seen
    }

    #[test]
    fn links_follow_the_compilers() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (icecc, links) = (root.join("usr/bin/icecc"), root.join("usr/lib/icecc/bin"));
        program(&icecc);
        program(&root.join("gcc/gcc"));
        fs::copy("/bin/true", root.join("gcc/g++-12")).unwrap();
        fs::create_dir_all(&links).unwrap();
        // Compilers that are gone, an icecc that is gone, a user's own links, one of them for a compiler elsewhere.
        symlink("../../../bin/icecc", links.join("clang")).unwrap();
        symlink("../../../bin/icecc", links.join("g++-11")).unwrap();
        symlink("/nonexistent/icecc", links.join("gcc")).unwrap();
        symlink("/usr/bin/true", links.join("cc")).unwrap();
        symlink("/usr/bin/../bin/icecc", links.join("avr-gcc")).unwrap();
        let path = OsString::from(format!("{}:{}", links.display(), root.join("gcc").display()));
        let before = seen(&links);
        run(Vec::new(), true, &path, &icecc).unwrap();
        assert_eq!(seen(&links), before);
        let after = |program: &str| {
            ["avr-gcc /usr/bin/../bin/icecc", "cc /usr/bin/true"]
                .map(String::from)
                .into_iter()
                .chain(["g++-12", "gcc"].map(|name| format!("{name} {program}")))
                .chain(["icecc ../../../bin/icecc".to_owned()])
                .collect::<Vec<_>>()
        };
        for _ in 0..2 {
            run(Vec::new(), false, &path, &icecc).unwrap();
            assert_eq!(seen(&links), after("../../../bin/icecc"));
        }
        // With its second name, for ccache's sake.
        symlink("../../../bin/icecc", links.join("g++-11")).unwrap();
        fs::hard_link(&icecc, root.join("usr/lib/icecc/icecc")).unwrap();
        for _ in 0..2 {
            run(Vec::new(), false, &path, &icecc).unwrap();
            assert_eq!(seen(&links), after("../../../lib/icecc/icecc"));
        }
    }

    #[test]
    fn a_link_outside_the_installation_is_absolute() {
        let target = |directory: &str, exe: &str| target(Path::new(directory), Path::new(exe), Path::new(exe));
        assert_eq!(target("/opt/x/bin", "/opt/x/bin/icecc"), Path::new("../bin/icecc"));
        assert_eq!(target("/home/u/links", "/usr/bin/icecc"), Path::new("/usr/bin/icecc"));
    }

    #[test]
    fn what_is_no_directory_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let (nowhere, links) = (Path::new("/nonexistent/bin/icecc"), root.path().join("links"));
        fs::create_dir(&links).unwrap();
        assert_eq!(run(Vec::new(), false, OsStr::new(""), nowhere).unwrap_err().hint.as_deref(), Some("name one"));
        for wrong in ["/bin/sh", "/nonexistent/links"] {
            let refused = run(vec![links.clone(), wrong.into()], false, OsStr::new(""), nowhere).unwrap_err();
            assert_eq!(refused.what, format!("{wrong} is no directory"));
        }
        assert!(seen(&links).is_empty());
    }
}
