//! The loader and the shared libraries that an ELF program needs, read from the files themselves.
//!
//! Nothing is run, so this works for any architecture and below any root directory. The same search serves this host
//! and a planned environment; `View` abstracts the difference.

use crate::plan::{Content, Plan, textual_name};
use crate::program::{Machine, Program, ProgramError};
use crate::tree::{Node, Tree};
use ice_core::text::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use thiserror::Error;

/// Maximum number of symbolic links followed, the same as the kernel's.
const LINKS_MAX: usize = 40;
/// Maximum depth of `include` lines in ld.so.conf.
const INCLUDES_MAX: u32 = 8;
/// Maximum number of programs and libraries in one closure; clang has 25.
const FILES_MAX: usize = 4096;

/// Why the closure of a program cannot be computed.
#[derive(Debug, Error)]
pub enum ClosureError {
    /// A library or loader is not found.
    #[error("{wanted_by} needs {library}, which is not found")]
    Missing {
        /// Its name.
        library: Text,
        /// The file that needs it.
        wanted_by: Text,
    },
    /// A file is a damaged or unreadable ELF file.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The program itself is missing or not an ELF file.
    #[error("no program {0}")]
    NoProgram(Text),
    /// There are thousands of libraries, which no real program has.
    #[error("over {FILES_MAX} libraries")]
    TooMany,
}

/// A file system to search: this host, a foreign root, or a planned environment.
pub trait View {
    /// The ELF file at the absolute `path`, links followed. `None`: no file, or not an ELF file.
    fn look(&self, path: &[u8]) -> Result<Option<Seen>, ProgramError>;
    /// The library directories configured in `/etc/ld.so.conf` or, for musl, in its path file.
    fn configured(&self, is_musl: bool, machine: Machine) -> Vec<Vec<u8>>;
    /// Whether `path` is a directory, links followed.
    fn has_dir(&self, path: &[u8]) -> bool;
}

/// An ELF file in a [`View`].
#[derive(Clone)]
pub struct Seen {
    /// The directory of the file itself, links followed: the value of `$ORIGIN`.
    pub dir: Vec<u8>,
    /// The content of its headers.
    pub program: Rc<Program>,
}

/// One file of a closure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The absolute path by which the loader would open it.
    pub path: Vec<u8>,
    /// The name by which it was requested.
    pub library: Vec<u8>,
}

/// The directories that the loader of `machine` searches by default. A library linked into the first one is found.
pub fn default_dirs(view: &dyn View, machine: Machine, is_musl: bool) -> Vec<Vec<u8>> {
    let mut dirs: Vec<String> = Vec::new();
    if is_musl {
        dirs.extend(["/lib", "/usr/local/lib", "/usr/lib"].map(String::from));
    } else {
        for triple in machine.triples() {
            dirs.extend([format!("/lib/{triple}"), format!("/usr/lib/{triple}")]);
        }
        // Debian's loaders search directories named after the triple, others search lib64. Which kind this system has
        // shows in the directories that exist.
        let is_debian = dirs.iter().any(|f| view.has_dir(f.as_bytes()));
        if !is_debian {
            dirs.clear();
            if machine.is_64 {
                dirs.extend(["/lib64", "/usr/lib64"].map(String::from));
            }
        } else if machine.is_64 {
            dirs.extend(["/lib64", "/usr/lib64"].map(String::from));
        }
        dirs.extend(["/lib", "/usr/lib"].map(String::from));
    }
    dirs.into_iter().map(String::into_bytes).collect()
}

/// All files that the program at `path` needs, without itself: the loader first, then libraries as they are found.
///
/// `loader` is used if the program names no loader, as plugins do not.
pub fn closure(view: &dyn View, path: &[u8], loader: Option<&[u8]>) -> Result<Vec<Found>, ClosureError> {
    let Some(top) = view.look(path)? else { return Err(ClosureError::NoProgram(path.into())) };
    let is_static = top.program.interpreter.is_none() && top.program.needed.is_empty();
    if is_static {
        return Ok(Vec::new());
    }
    let interpreter = top.program.interpreter.clone().or_else(|| loader.map(<[u8]>::to_vec));
    let is_musl = interpreter.as_deref().is_some_and(|i| i.windows(8).any(|w| w == b"/ld-musl"));
    let mut walk = Walk {
        view,
        machine: top.program.machine,
        dirs: [view.configured(is_musl, top.program.machine), default_dirs(view, top.program.machine, is_musl)]
            .concat(),
        done: BTreeMap::new(),
        found: Vec::new(),
    };
    if let Some(loader) = interpreter {
        // The loader is opened by its path. Libraries that need it do so by its base name.
        let is_there = view.look(&loader)?.is_some_and(|l| l.program.machine == walk.machine);
        if !is_there {
            return Err(ClosureError::Missing { library: loader.into(), wanted_by: path.into() });
        }
        walk.done.insert(base(&loader).to_vec(), loader.clone());
        walk.found.push(Found { path: loader.clone(), library: loader });
    }
    let mut todo = vec![(path.to_vec(), top, Rc::new(Chain { rpath: Vec::new(), above: None }))];
    while let Some((path, seen, chain)) = todo.pop() {
        let chain = Rc::new(Chain { rpath: own_rpath(&seen, walk.machine), above: Some(chain) });
        for library in &seen.program.needed {
            if let Some(next) = walk.resolve(library, &path, &seen, &chain)? {
                todo.push((next.0, next.1, chain.clone()));
            }
        }
        if walk.found.len() > FILES_MAX {
            return Err(ClosureError::TooMany);
        }
    }
    Ok(walk.found)
}

/// The RPATH of a file, and those of the files that loaded it.
struct Chain {
    rpath: Vec<Vec<u8>>,
    above: Option<Rc<Chain>>,
}

/// The state of a search for libraries.
struct Walk<'a> {
    view: &'a dyn View,
    machine: Machine,
    /// Configured and default directories.
    dirs: Vec<Vec<u8>>,
    /// Paths by library name: a loader loads each name once.
    done: BTreeMap<Vec<u8>, Vec<u8>>,
    found: Vec<Found>,
}

impl Walk<'_> {
    /// Finds `library`, which `wanted_by` needs. `None` if it is already found.
    fn resolve(
        &mut self,
        library: &[u8],
        wanted_by: &[u8],
        seen: &Seen,
        chain: &Rc<Chain>,
    ) -> Result<Option<(Vec<u8>, Seen)>, ClosureError> {
        if self.done.contains_key(library) {
            return Ok(None);
        }
        let mut tries = Vec::new();
        if library.contains(&b'/') {
            tries.extend(expand(library, &seen.dir, self.machine));
        } else {
            let mut dirs = Vec::new();
            if let Some(runpath) = &seen.program.runpath {
                dirs.extend(runpath.iter().flat_map(|f| expand(f, &seen.dir, self.machine)));
            } else {
                let mut at = Some(chain);
                while let Some(link) = at {
                    dirs.extend(link.rpath.iter().cloned());
                    at = link.above.as_ref();
                }
            }
            dirs.extend(self.dirs.iter().cloned());
            tries.extend(dirs.into_iter().map(|f| [&f, &b"/"[..], library].concat()));
        }
        for path in tries {
            let path = [&b"/"[..], &textual_name(Path::new(OsStr::from_bytes(&path)))].concat();
            match self.view.look(&path)? {
                Some(next) if next.program.machine == self.machine => {
                    self.done.insert(library.to_vec(), path.clone());
                    self.found.push(Found { path: path.clone(), library: library.to_vec() });
                    return Ok(Some((path, next)));
                }
                _ => {}
            }
        }
        Err(ClosureError::Missing { library: library.into(), wanted_by: wanted_by.into() })
    }
}

/// The directories of a file's RPATH, which applies to the file and to what it loads. It is ignored if the file has a
/// RUNPATH.
fn own_rpath(seen: &Seen, machine: Machine) -> Vec<Vec<u8>> {
    if seen.program.runpath.is_some() {
        return Vec::new();
    }
    seen.program.rpath.iter().flat_map(|f| expand(f, &seen.dir, machine)).collect()
}

/// The paths that `text` stands for, with `$ORIGIN`, `$LIB` and `$PLATFORM` replaced. `$LIB` may mean several
/// directories.
fn expand(text: &[u8], origin: &[u8], machine: Machine) -> Vec<Vec<u8>> {
    let mut libs: Vec<String> = machine.triples().iter().map(|t| format!("lib/{t}")).collect();
    libs.extend([if machine.is_64 { "lib64" } else { "lib" }.to_string(), "lib".to_string()]);
    let text = replace(text, b"ORIGIN", origin);
    let text = replace(&text, b"PLATFORM", machine.platform().unwrap_or("").as_bytes());
    let mut all: Vec<Vec<u8>> = libs.iter().map(|lib| replace(&text, b"LIB", lib.as_bytes())).collect();
    all.dedup();
    all
}

/// Replaces `$WORD` and `${WORD}` in `text`.
fn replace(text: &[u8], word: &[u8], by: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| *b == b'$') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        out.extend_from_slice(before);
        let braced = after.strip_prefix(b"{").and_then(|a| a.strip_prefix(word)).and_then(|a| a.strip_prefix(b"}"));
        if let Some(after) = after.strip_prefix(word).or(braced) {
            out.extend_from_slice(by);
            rest = after;
        } else {
            out.push(b'$');
            rest = after;
        }
    }
    out.extend_from_slice(rest);
    out
}

/// The last component of a path.
fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// The files below a root directory of this host, `/` or another.
pub struct Root {
    root: PathBuf,
    cache: std::cell::RefCell<BTreeMap<PathBuf, Option<Rc<Program>>>>,
}

impl Root {
    /// A view of the files below `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), cache: std::cell::RefCell::default() }
    }

    /// Resolves all links in the absolute `path`, absolute ones relative to the root. The result is relative to the
    /// root again; `None` if nothing is there.
    pub fn resolve(&self, path: &Path) -> Option<PathBuf> {
        let mut todo: Vec<Vec<u8>> = parts(path.as_os_str().as_bytes());
        let mut here = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == b".." {
                here.pop();
                continue;
            }
            let next = here.join(OsStr::from_bytes(&part));
            match fs::read_link(self.host(&next)) {
                Ok(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return None;
                    }
                    let target = target.into_os_string().into_vec();
                    if target.first() == Some(&b'/') {
                        here = PathBuf::from("/");
                    }
                    todo.extend(parts(&target));
                }
                Err(_) => here = next,
            }
        }
        fs::symlink_metadata(self.host(&here)).ok().map(|_| here)
    }

    /// The path on this host of an absolute path below the root.
    pub fn host(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Reads an ELF file, or returns it from the cache.
    fn program(&self, host: PathBuf) -> Result<Option<Rc<Program>>, ProgramError> {
        if let Some(known) = self.cache.borrow().get(&host) {
            return Ok(known.clone());
        }
        let is_file = fs::metadata(&host).is_ok_and(|m| m.is_file());
        let program = if is_file { Program::read(&host)?.map(Rc::new) } else { None };
        self.cache.borrow_mut().insert(host, program.clone());
        Ok(program)
    }

    /// Adds the directories of a file of ld.so.conf's format.
    fn conf(&self, file: &Path, depth: u32, dirs: &mut Vec<Vec<u8>>) {
        let Some(file) = self.resolve(file) else { return };
        let Ok(text) = fs::read(self.host(&file)) else { return };
        for line in text.split(|b| *b == b'\n') {
            let line = line.split(|b| *b == b'#').next().unwrap_or_default().trim_ascii();
            if let Some(pattern) =
                line.strip_prefix(b"include").filter(|p| p.first().is_some_and(u8::is_ascii_whitespace))
            {
                if depth < INCLUDES_MAX {
                    let pattern = Path::new("/etc").join(OsStr::from_bytes(pattern.trim_ascii()));
                    for file in self.glob(&pattern) {
                        self.conf(&file, depth + 1, dirs);
                    }
                }
            } else if line.first() == Some(&b'/') {
                // Old files have a library type after an `=`.
                dirs.push(line.split(|b| *b == b'=').next().unwrap_or_default().to_vec());
            }
        }
    }

    /// The files that match a pattern with one `*` in its last component.
    fn glob(&self, pattern: &Path) -> Vec<PathBuf> {
        let Some((dir, name)) = pattern.parent().zip(pattern.file_name()) else { return Vec::new() };
        let Some(star) = name.as_bytes().iter().position(|b| *b == b'*') else { return vec![pattern.to_path_buf()] };
        let (start, end) = (&name.as_bytes()[..star], &name.as_bytes()[star + 1..]);
        let Some(real) = self.resolve(dir) else { return Vec::new() };
        let Ok(entries) = fs::read_dir(self.host(&real)) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .map(|e| e.file_name())
            .filter(|n| n.len() >= name.len() - 1 && n.as_bytes().starts_with(start) && n.as_bytes().ends_with(end))
            .map(|n| dir.join(n))
            .collect();
        files.sort();
        files
    }
}

impl View for Root {
    fn look(&self, path: &[u8]) -> Result<Option<Seen>, ProgramError> {
        let Some(real) = self.resolve(Path::new(OsStr::from_bytes(path))) else { return Ok(None) };
        let Some(program) = self.program(self.host(&real))? else { return Ok(None) };
        let dir = real.parent().unwrap_or(Path::new("/")).as_os_str().as_bytes().to_vec();
        Ok(Some(Seen { dir, program }))
    }

    fn configured(&self, is_musl: bool, machine: Machine) -> Vec<Vec<u8>> {
        let mut dirs = Vec::new();
        if is_musl {
            let arch = machine.platform().unwrap_or("");
            let file = self.host(Path::new(&format!("/etc/ld-musl-{arch}.path")));
            if let Ok(text) = fs::read(file) {
                let entries = text.split(|b| *b == b':' || *b == b'\n').map(<[u8]>::trim_ascii);
                dirs.extend(entries.filter(|w| !w.is_empty()).map(<[u8]>::to_vec));
            }
        } else {
            self.conf(Path::new("/etc/ld.so.conf"), 0, &mut dirs);
        }
        dirs
    }

    fn has_dir(&self, path: &[u8]) -> bool {
        self.resolve(Path::new(OsStr::from_bytes(path))).is_some_and(|p| self.host(&p).is_dir())
    }
}

/// The components of a path, last one first, without `.`.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

/// A planned environment: the names of a plan with the contents of this host's files.
pub struct Planned<'a> {
    plan: &'a Plan,
    tree: Tree,
    sources: &'a Root,
}

impl<'a> Planned<'a> {
    /// A view of `plan`; `sources` reads the files.
    pub fn new(plan: &'a Plan, sources: &'a Root) -> Self {
        let mut tree = Tree::default();
        for (name, content) in &plan.entries {
            let node = match content {
                Content::Link(text) => Node::Link(text.clone()),
                _ => Node::File,
            };
            tree.insert(name, node);
        }
        Self { plan, tree, sources }
    }
}

impl View for Planned<'_> {
    fn look(&self, path: &[u8]) -> Result<Option<Seen>, ProgramError> {
        let Ok((name, Node::File)) = self.tree.resolve(path) else { return Ok(None) };
        let Some(source) = self.plan.source(&name) else { return Ok(None) };
        let Some(program) = self.sources.program(source.to_path_buf())? else { return Ok(None) };
        let dir = name.iter().rposition(|b| *b == b'/').map_or(&b""[..], |at| &name[..at]);
        Ok(Some(Seen { dir: [&b"/"[..], dir].concat(), program }))
    }

    /// An environment has no loader cache and no loader configuration.
    fn configured(&self, _is_musl: bool, _machine: Machine) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn has_dir(&self, path: &[u8]) -> bool {
        matches!(self.tree.resolve(path), Ok((_, Node::Directory)))
    }
}

/// The names of all members of `plan` that are ELF files with a loader: its programs.
pub fn programs(plan: &Plan, sources: &Root) -> Result<BTreeSet<Vec<u8>>, ProgramError> {
    let mut names = BTreeSet::new();
    for (name, content) in &plan.entries {
        if let Content::File { source, .. } = content {
            if sources.program(source.clone())?.is_some_and(|p| p.interpreter.is_some()) {
                names.insert(name.clone());
            }
        }
    }
    Ok(names)
}
