//! The loader and libraries that ELF programs need, read from the files themselves.
//!
//! Works for any architecture and below any root, as nothing is run. The same walk looks at this machine and at a planned
//! environment: [`View`] is what differs.

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

/// Longest chain of links that is followed, as the kernel does.
const LINKS_MAX: usize = 40;
/// How deep `include` lines of ld.so.conf may nest.
const INCLUDES_MAX: u32 = 8;
/// Programs and libraries of one environment: clang has 25.
const FILES_MAX: usize = 4096;

/// Why a closure cannot be made.
#[derive(Debug, Error)]
pub enum ClosureError {
    /// A library is nowhere.
    #[error("{wanted_by} needs {library}, which is not found")]
    Missing {
        /// Its name.
        library: Text,
        /// The file that wants it.
        wanted_by: Text,
    },
    /// A file is no ELF file we understand.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A program to start from isn't there.
    #[error("no program {0}")]
    NoProgram(Text),
    /// Thousands of libraries: something goes in circles.
    #[error("over {FILES_MAX} libraries")]
    TooMany,
}

/// A place with files: this machine, a foreign root, or an environment that is planned.
pub trait View {
    /// What stands at the absolute `path` when links are followed; `None`: nothing, or no ELF file.
    fn look(&self, path: &[u8]) -> Result<Option<Seen>, ProgramError>;
    /// Folders of `etc/ld.so.conf` and, for musl, of its path file.
    fn configured(&self, is_musl: bool, machine: Machine) -> Vec<Vec<u8>>;
    /// Whether a folder is there.
    fn has_folder(&self, path: &[u8]) -> bool;
}

/// An ELF file somewhere.
#[derive(Clone)]
pub struct Seen {
    /// The folder of the file itself, links followed: `$ORIGIN`.
    pub folder: Vec<u8>,
    /// What it says.
    pub program: Rc<Program>,
}

/// One file of a closure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it was found: the absolute path that the loader would try.
    pub path: Vec<u8>,
    /// The name by which it was wanted.
    pub library: Vec<u8>,
}

/// The folders that the loader of `machine` looks through by itself. The first is where a link helps it.
pub fn default_folders(view: &dyn View, machine: Machine, is_musl: bool) -> Vec<Vec<u8>> {
    let mut folders: Vec<String> = Vec::new();
    if is_musl {
        folders.extend(["/lib", "/usr/local/lib", "/usr/lib"].map(String::from));
    } else {
        for triple in machine.triples() {
            folders.extend([format!("/lib/{triple}"), format!("/usr/lib/{triple}")]);
        }
        // Loaders of Debian look into its own folders, those of others into lib64; which it is, the machine shows.
        let is_debian = folders.iter().any(|f| view.has_folder(f.as_bytes()));
        if !is_debian {
            folders.clear();
            if machine.is_64 {
                folders.extend(["/lib64", "/usr/lib64"].map(String::from));
            }
        } else if machine.is_64 {
            folders.extend(["/lib64", "/usr/lib64"].map(String::from));
        }
        folders.extend(["/lib", "/usr/lib"].map(String::from));
    }
    folders.into_iter().map(String::into_bytes).collect()
}

/// Everything that the program at `path` needs, itself not included: the loader first, then libraries as they are met.
///
/// `loader` is the one that will load it if it names none itself, as a plugin doesn't.
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
        folders: [view.configured(is_musl, top.program.machine), default_folders(view, top.program.machine, is_musl)]
            .concat(),
        done: BTreeMap::new(),
        found: Vec::new(),
    };
    if let Some(loader) = interpreter {
        // Its own loader is there by its path, and is what libraries mean by its base name.
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

/// The RPATHs of a file and of those that loaded it.
struct Chain {
    rpath: Vec<Vec<u8>>,
    above: Option<Rc<Chain>>,
}

struct Walk<'a> {
    view: &'a dyn View,
    machine: Machine,
    /// Configured and default folders.
    folders: Vec<Vec<u8>>,
    /// Library name to path: a loader loads each name once.
    done: BTreeMap<Vec<u8>, Vec<u8>>,
    found: Vec<Found>,
}

impl Walk<'_> {
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
            tries.extend(expand(library, &seen.folder, self.machine));
        } else {
            let mut folders = Vec::new();
            if let Some(runpath) = &seen.program.runpath {
                folders.extend(runpath.iter().flat_map(|f| expand(f, &seen.folder, self.machine)));
            } else {
                let mut at = Some(chain);
                while let Some(link) = at {
                    folders.extend(link.rpath.iter().cloned());
                    at = link.above.as_ref();
                }
            }
            folders.extend(self.folders.iter().cloned());
            tries.extend(folders.into_iter().map(|f| [&f, &b"/"[..], library].concat()));
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

/// A file's RPATH counts, for itself and for what it loads, only if it has no RUNPATH.
fn own_rpath(seen: &Seen, machine: Machine) -> Vec<Vec<u8>> {
    if seen.program.runpath.is_some() {
        return Vec::new();
    }
    seen.program.rpath.iter().flat_map(|f| expand(f, &seen.folder, machine)).collect()
}

/// `$ORIGIN`, `$LIB` and `$PLATFORM` replaced; `$LIB` may be several folders.
fn expand(text: &[u8], origin: &[u8], machine: Machine) -> Vec<Vec<u8>> {
    let mut libs: Vec<String> = machine.triples().iter().map(|t| format!("lib/{t}")).collect();
    libs.extend([if machine.is_64 { "lib64" } else { "lib" }.to_string(), "lib".to_string()]);
    let text = replace(text, b"ORIGIN", origin);
    let text = replace(&text, b"PLATFORM", machine.platform().unwrap_or("").as_bytes());
    let mut all: Vec<Vec<u8>> = libs.iter().map(|lib| replace(&text, b"LIB", lib.as_bytes())).collect();
    all.dedup();
    all
}

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

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// Files below a root folder of this machine, `/` or another.
pub struct Root {
    root: PathBuf,
    cache: std::cell::RefCell<BTreeMap<PathBuf, Option<Rc<Program>>>>,
}

impl Root {
    /// A view of what lies below `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), cache: std::cell::RefCell::default() }
    }

    /// Follows all links of the absolute `path`, those with absolute texts from the root on; the result is below `/` again.
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

    /// The path on this machine of an absolute path below the root.
    pub fn host(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn program(&self, host: PathBuf) -> Result<Option<Rc<Program>>, ProgramError> {
        if let Some(known) = self.cache.borrow().get(&host) {
            return Ok(known.clone());
        }
        let is_file = fs::metadata(&host).is_ok_and(|m| m.is_file());
        let program = if is_file { Program::read(&host)?.map(Rc::new) } else { None };
        self.cache.borrow_mut().insert(host, program.clone());
        Ok(program)
    }

    fn conf(&self, file: &Path, depth: u32, folders: &mut Vec<Vec<u8>>) {
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
                        self.conf(&file, depth + 1, folders);
                    }
                }
            } else if line.first() == Some(&b'/') {
                // Old files name a library type behind an `=`.
                folders.push(line.split(|b| *b == b'=').next().unwrap_or_default().to_vec());
            }
        }
    }

    /// Files that a pattern with one `*` in its last component means.
    fn glob(&self, pattern: &Path) -> Vec<PathBuf> {
        let Some((folder, name)) = pattern.parent().zip(pattern.file_name()) else { return Vec::new() };
        let Some(star) = name.as_bytes().iter().position(|b| *b == b'*') else { return vec![pattern.to_path_buf()] };
        let (start, end) = (&name.as_bytes()[..star], &name.as_bytes()[star + 1..]);
        let Some(real) = self.resolve(folder) else { return Vec::new() };
        let Ok(entries) = fs::read_dir(self.host(&real)) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .map(|e| e.file_name())
            .filter(|n| n.len() >= name.len() - 1 && n.as_bytes().starts_with(start) && n.as_bytes().ends_with(end))
            .map(|n| folder.join(n))
            .collect();
        files.sort();
        files
    }
}

impl View for Root {
    fn look(&self, path: &[u8]) -> Result<Option<Seen>, ProgramError> {
        let Some(real) = self.resolve(Path::new(OsStr::from_bytes(path))) else { return Ok(None) };
        let Some(program) = self.program(self.host(&real))? else { return Ok(None) };
        let folder = real.parent().unwrap_or(Path::new("/")).as_os_str().as_bytes().to_vec();
        Ok(Some(Seen { folder, program }))
    }

    fn configured(&self, is_musl: bool, machine: Machine) -> Vec<Vec<u8>> {
        let mut folders = Vec::new();
        if is_musl {
            let arch = machine.platform().unwrap_or("");
            let file = self.host(Path::new(&format!("/etc/ld-musl-{arch}.path")));
            if let Ok(text) = fs::read(file) {
                let words = text.split(|b| *b == b':' || *b == b'\n').map(<[u8]>::trim_ascii);
                folders.extend(words.filter(|w| !w.is_empty()).map(<[u8]>::to_vec));
            }
        } else {
            self.conf(Path::new("/etc/ld.so.conf"), 0, &mut folders);
        }
        folders
    }

    fn has_folder(&self, path: &[u8]) -> bool {
        self.resolve(Path::new(OsStr::from_bytes(path))).is_some_and(|p| self.host(&p).is_dir())
    }
}

fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

/// An environment as it will be: names of a plan, contents of this machine's files.
pub struct Planned<'a> {
    plan: &'a Plan,
    tree: Tree,
    sources: &'a Root,
}

impl<'a> Planned<'a> {
    /// The view of `plan`; `sources` reads the files.
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
        let folder = name.iter().rposition(|b| *b == b'/').map_or(&b""[..], |at| &name[..at]);
        Ok(Some(Seen { folder: [&b"/"[..], folder].concat(), program }))
    }

    /// Environments have neither file: no cache, no configuration.
    fn configured(&self, _is_musl: bool, _machine: Machine) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn has_folder(&self, path: &[u8]) -> bool {
        matches!(self.tree.resolve(path), Ok((_, Node::Folder)))
    }
}

/// All names in `plan` that are ELF files with a loader of their own: programs.
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
