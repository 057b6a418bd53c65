//! Which program a compiler's name means: the search in PATH, ICECC_CC and ICECC_CXX, and what the name itself reveals.
//!
//! This module inspects files but starts no program.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// File names of our own client and of the 1.4 client.
const OURSELVES: [&str; 2] = ["icecc", "icerun"];
/// Wrappers that would call us again. They are skipped once the search in PATH has passed a link to us.
const WRAPPERS: [&str; 3] = ["distcc", "colorgcc", "tbcompiler"];
/// Maximum number of symbolic links followed, the same as the kernel's.
const LINKS_MAX: usize = 40;

/// Why no compiler was found.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FindError {
    /// No directory of PATH has an executable of this name. The text is 1.4's.
    #[error("couldn't find any {}", std::path::Path::new(.0).display())]
    NotFound(OsString),
    /// PATH has only links to our own client under this name; the path is the first of them.
    #[error(
        "{} is only found as a link to icecc ({}); put the compiler's own directory into PATH",
        std::path::Path::new(.0).display(),
        .1.display()
    )]
    OnlyOurselves(OsString, PathBuf),
}

/// Finds the program to run for the compiler `name`. It never returns our own client, whatever link leads to it.
///
/// `name` is the name we were called by, or the whole value of ICECC_CC or ICECC_CXX. A name without a `/` is searched
/// in `path` (the value of PATH). A name with a `/` is used unchanged, unless it is our own client: then its last
/// component is searched. `own_exe` is our own executable; it is recognised by device and inode, whatever its name.
pub fn compiler(name: &OsStr, path: &OsStr, own_exe: &Path) -> Result<PathBuf, FindError> {
    find(name, path, own_exe, Caller::User)
}

/// As [`compiler`], for a client that was called by a wrapper such as ccache. The wrapper looks for the real compiler,
/// so wrappers in PATH are skipped even before a link to our client is met.
pub fn compiler_for_wrapper(name: &OsStr, path: &OsStr, own_exe: &Path) -> Result<PathBuf, FindError> {
    find(name, path, own_exe, Caller::Wrapper)
}

/// Who asks for a compiler.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// The user or a build tool.
    User,
    /// A wrapper such as ccache.
    Wrapper,
}

/// Common part of [`compiler`] and [`compiler_for_wrapper`].
fn find(name: &OsStr, path: &OsStr, own_exe: &Path, caller: Caller) -> Result<PathBuf, FindError> {
    let own = OwnProgram::new(own_exe);
    if name.as_bytes().contains(&b'/') {
        let given = PathBuf::from(name);
        if !own.is(&given) {
            return Ok(given);
        }
        let base = given.file_name().unwrap_or(name).to_os_string();
        return search(&base, path, &own, caller);
    }
    search(name, path, &own, caller)
}

/// Searches an ordinary program in `path` (the value of PATH), without regard to links to our own client.
pub fn program(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    dirs(path).map(|dir| dir.join(name)).find(|p| is_executable_file(p))
}

/// Whether `path` is our own client (by device and inode) or a 1.4 client (by the name of any file that its links lead
/// to).
pub fn is_ourselves(path: &Path, own_exe: &Path) -> bool {
    OwnProgram::new(own_exe).is(path)
}

/// The link to ccache, or copy of it, that `name` means in `path` if our own link before it is ignored. `None` if there
/// is no link to our client, or the next executable is not ccache.
pub fn ccache_behind(name: &OsStr, path: &OsStr, own_exe: &Path) -> Option<PathBuf> {
    let own = OwnProgram::new(own_exe);
    let mut files = dirs(path).map(|dir| dir.join(name)).filter(|file| is_executable_file(file));
    files.find(|file| own.is(file))?;
    files.find(|file| !own.is(file)).filter(|file| is_ccache(file, path))
}

/// Searches `name` in `path`. After a link to our own client the next executable that is no wrapper wins; otherwise the
/// first one.
fn search(name: &OsStr, path: &OsStr, own: &OwnProgram, caller: Caller) -> Result<PathBuf, FindError> {
    let mut first = None;
    let mut passed = None;
    for dir in dirs(path) {
        let file = dir.join(name);
        if !is_executable_file(&file) {
            continue;
        }
        if own.is(&file) {
            passed.get_or_insert(file);
        } else if (passed.is_some() || caller == Caller::Wrapper) && is_wrapper(&file, path) {
            continue;
        } else if passed.is_some() {
            return Ok(file);
        } else {
            first.get_or_insert(file);
        }
    }
    match (first, passed) {
        (Some(file), _) => Ok(file),
        (None, Some(link)) => Err(FindError::OnlyOurselves(name.to_os_string(), link)),
        (None, None) => Err(FindError::NotFound(name.to_os_string())),
    }
}

/// The directories of PATH. Empty elements are skipped: 1.4 takes them for `/` and shells for the current directory,
/// and neither should provide a compiler.
pub(crate) fn dirs(path: &OsStr) -> impl Iterator<Item = &Path> {
    path.as_bytes().split(|b| *b == b':').filter(|f| !f.is_empty()).map(|f| Path::new(OsStr::from_bytes(f)))
}

/// Whether `path`, links followed, is a regular file with an execute bit.
pub fn is_executable_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// The identity of our own executable, to recognise links to it.
pub(crate) struct OwnProgram {
    /// Device and inode; `None` if the executable cannot be inspected.
    file: Option<(u64, u64)>,
}

impl OwnProgram {
    /// Reads device and inode of `own_exe`.
    pub(crate) fn new(own_exe: &Path) -> Self {
        Self { file: fs::metadata(own_exe).ok().map(|m| (m.dev(), m.ino())) }
    }

    /// Whether `path` is this executable, or leads to a file named like a client.
    pub(crate) fn is(&self, path: &Path) -> bool {
        let same_file = match (self.file, fs::metadata(path)) {
            (Some(own), Ok(m)) => own == (m.dev(), m.ino()),
            _ => false,
        };
        same_file || chain(path).iter().any(|name| OURSELVES.iter().any(|own| name == own))
    }
}

/// Whether `path` is a link to a program that would run a compiler of the same name in turn, or is ccache.
pub(crate) fn is_wrapper(path: &Path, search_path: &OsStr) -> bool {
    leads_to(path, &WRAPPERS) || is_ccache(path, search_path)
}

/// Whether a link leads to a file with one of `names`.
fn leads_to(link: &Path, names: &[&str]) -> bool {
    chain(link).iter().skip(1).any(|name| names.iter().any(|wanted| name == wanted))
}

/// Whether `path` is ccache under a compiler's name: a link to it or, as in some installations, a copy or hard link.
/// `search_path` is the value of PATH.
pub fn is_ccache(path: &Path, search_path: &OsStr) -> bool {
    if leads_to(path, &["ccache"]) {
        return true;
    }
    let Some(ccache) = program(OsStr::new("ccache"), search_path) else { return false };
    let (Ok(a), Ok(b)) = (fs::metadata(path), fs::metadata(&ccache)) else { return false };
    if (a.dev(), a.ino()) == (b.dev(), b.ino()) {
        return true;
    }
    // Contents are rarely read: two different programs hardly ever have the same size.
    a.len() == b.len() && matches!((fs::read(path), fs::read(ccache)), (Ok(x), Ok(y)) if x == y)
}

/// The file name of `path` and of each file on the chain of links from it.
fn chain(path: &Path) -> Vec<OsString> {
    let mut names = Vec::new();
    let mut here = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        names.extend(here.file_name().map(OsStr::to_os_string));
        match fs::read_link(&here) {
            Ok(target) => here = here.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => break,
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A directory with subdirectories of programs and links, as in a PATH.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            place.program("own/icecc-1");
            place
        }
        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }
        fn program(&self, name: &str) -> PathBuf {
            self.program_with(name, name)
        }
        fn program_with(&self, name: &str, text: &str) -> PathBuf {
            let file = self.at(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            file
        }
        fn link(&self, name: &str, to: impl AsRef<Path>) -> PathBuf {
            let file = self.at(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            symlink(to, &file).unwrap();
            file
        }
        fn find(&self, name: &str, dirs: &[&str]) -> Result<PathBuf, FindError> {
            let path = dirs.iter().map(|f| self.at(f).into_os_string()).collect::<Vec<_>>().join(OsStr::new(":"));
            compiler(OsStr::new(name), &path, &self.at("own/icecc-1"))
        }
    }

    #[test]
    fn the_first_hit_after_our_own_link_wins() {
        let p = Place::new();
        p.link("links/gcc", "../own/icecc-1");
        let (early, late) = (p.program("early/gcc"), p.program("late/gcc"));
        assert_eq!(p.find("gcc", &["links", "late"]).unwrap(), late);
        assert_eq!(p.find("gcc", &["early", "links", "late"]).unwrap(), late);
        assert_eq!(p.find("gcc", &["early", "links"]).unwrap(), early);
        assert_eq!(p.find("gcc", &["early", "late"]).unwrap(), early);
    }

    #[test]
    fn we_are_recognised_by_inode_and_a_foreign_icecc_by_name() {
        let p = Place::new();
        fs::create_dir_all(p.at("hard")).unwrap();
        fs::hard_link(p.at("own/icecc-1"), p.at("hard/gcc")).unwrap();
        p.program("other/icecc");
        p.link("two/steps", "../other/icecc");
        p.link("far/gcc", "../two/steps");
        let real = p.program("bin/gcc");
        assert_eq!(p.find("gcc", &["hard", "far", "bin"]).unwrap(), real);
        assert!(matches!(p.find("gcc", &["hard", "far"]), Err(FindError::OnlyOurselves(..))));
        assert!(matches!(p.find("g++", &["hard", "far"]), Err(FindError::NotFound(_))));
    }

    #[test]
    fn every_order_of_ccache_and_our_links_works() {
        let p = Place::new();
        p.link("links/gcc", p.at("own/icecc-1"));
        p.program("bin/ccache");
        p.link("ccache/gcc", "../bin/ccache");
        p.program_with("copies/gcc", "bin/ccache");
        let real = p.program("bin/gcc");
        assert_eq!(p.find("gcc", &["links", "ccache", "bin"]).unwrap(), real);
        assert_eq!(p.find("gcc", &["links", "copies", "bin"]).unwrap(), real);
        assert_eq!(p.find("gcc", &["ccache", "links", "bin"]).unwrap(), real);
        let path = format!("{}:{}", p.at("ccache").display(), p.at("bin").display());
        let called = compiler_for_wrapper(p.at("links/gcc").as_os_str(), OsStr::new(&path), &p.at("own/icecc-1"));
        assert_eq!(called.unwrap(), real);
        let ccache = |dirs: &[&str]| {
            let path = dirs.iter().map(|f| p.at(f).into_os_string()).collect::<Vec<_>>().join(OsStr::new(":"));
            ccache_behind(OsStr::new("gcc"), &path, &p.at("own/icecc-1"))
        };
        assert_eq!(ccache(&["links", "ccache", "bin"]), Some(p.at("ccache/gcc")));
        assert_eq!(ccache(&["links", "copies", "bin"]), Some(p.at("copies/gcc")));
        assert_eq!(ccache(&["ccache", "links", "bin"]), None);
        assert_eq!(ccache(&["links", "bin", "ccache"]), None);
        assert_eq!(ccache(&["ccache", "bin"]), None);
    }

    #[test]
    fn e46_a_bare_or_looping_icecc_cc_is_searched_in_path() {
        let p = Place::new();
        let link = p.link("links/arm-gcc", "../own/icecc-1");
        let real = p.program("bin/arm-gcc");
        assert_eq!(p.find("arm-gcc", &["links", "bin"]).unwrap(), real);
        assert_eq!(p.find(link.to_str().unwrap(), &["links", "bin"]).unwrap(), real);
        assert_eq!(p.find("/no/such/gcc", &["bin"]).unwrap(), Path::new("/no/such/gcc"));
    }

    #[test]
    fn directories_files_without_x_and_empty_elements_are_passed_over() {
        let p = Place::new();
        fs::create_dir_all(p.at("a/gcc")).unwrap();
        fs::create_dir_all(p.at("b")).unwrap();
        fs::write(p.at("b/gcc"), "text").unwrap();
        let real = p.program("c/gcc");
        let path = format!(":{}::{}:{}:", p.at("a").display(), p.at("b").display(), p.at("c").display());
        assert_eq!(compiler(OsStr::new("gcc"), OsStr::new(&path), &p.at("own/icecc-1")).unwrap(), real);
    }
}
