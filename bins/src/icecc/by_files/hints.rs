//! What a unit's compiler will look at, guessed from its text: include directives of all branches, along the search of the compiler.
//! Only a guess: what it misses is asked, what it finds too much costs a few bytes.

use super::super::task::Task;
use super::compiler::{self, Search};
use super::disk::{Disk, open};
use ice_core::cmdline::{Family, RemoteJob};
use ice_core::files::{By, Fact, Form, Last, Named, Walk, parent, scan};
use std::collections::HashSet;
use std::io::Read;

/// Most files that are read for one unit.
const FILES_MAX: usize = 5000;
/// Files that include each other, as deep as gcc allows.
const DEPTH_MAX: usize = 200;
/// Longest file that is scanned.
const TEXT_MAX: u64 = 8 << 20;

/// Finds what the source, and what it includes, may look at. Files of `settled` were looked at by this unit's compiler before, and
/// have not changed.
pub(super) fn of_source(disk: &mut Disk, task: &Task, job: &RemoteJob, folder: &[u8], settled: &HashSet<Vec<u8>>) {
    let search = compiler::search(task, job);
    let mut finder = Finder::new(disk, folder, &search, settled, job.family == Family::Gcc);
    for name in compiler::responses(task) {
        finder.look(folder, name);
    }
    for name in compiler::forced(job) {
        finder.include(&Named { form: Form::Quoted, by: By::Include, name }, folder, None, true);
    }
    // gcc includes it by itself.
    finder.include(&Named { form: Form::Angle, by: By::Include, name: b"stdc-predef.h".to_vec() }, folder, None, true);
    finder.source(folder, &job.input);
}

/// These files have changed: what they include now.
pub(super) fn of_changed(
    disk: &mut Disk,
    task: &Task,
    job: &RemoteJob,
    folder: &[u8],
    changed: &[Vec<u8>],
    settled: &HashSet<Vec<u8>>,
) {
    let search = compiler::search(task, job);
    let mut finder = Finder::new(disk, folder, &search, settled, job.family == Family::Gcc);
    for path in changed {
        let directory = parent(path).unwrap_or(b"/").to_vec();
        finder.file(path, &directory, None, false);
    }
}

struct Finder<'a> {
    disk: &'a mut Disk,
    /// The working directory.
    folder: Vec<u8>,
    /// Canonical directories: first those for `"` alone.
    directories: Vec<Vec<u8>>,
    quoted: usize,
    settled: &'a HashSet<Vec<u8>>,
    /// Files with the place in the search where they were found.
    seen: HashSet<(Vec<u8>, Option<usize>)>,
    depth: usize,
    has_gch: bool,
}

impl<'a> Finder<'a> {
    fn new(disk: &'a mut Disk, folder: &[u8], search: &Search, settled: &'a HashSet<Vec<u8>>, has_gch: bool) -> Self {
        let mut found = |paths: &[Vec<u8>]| -> Vec<Vec<u8>> {
            paths.iter().filter_map(|path| disk.find(folder, path).ok().flatten()).collect()
        };
        let mut directories = found(&search.quoted);
        let quoted = directories.len();
        directories.extend(found(&search.all));
        found(&search.missing);
        Self { disk, folder: folder.to_vec(), directories, quoted, settled, seen: HashSet::new(), depth: 0, has_gch }
    }

    /// The source, and what it includes.
    fn source(&mut self, folder: &[u8], name: &[u8]) {
        let Ok(Some(path)) = self.disk.find(folder, name) else { return };
        if self.has_gch {
            self.look(folder, &[name, b".gch"].concat());
        }
        let directory = self.directory_of(folder, name);
        self.file(&path, &directory, None, true);
    }

    /// The canonical directory that a name means, which need not be that of the file to which a link leads.
    fn directory_of(&mut self, start: &[u8], name: &[u8]) -> Vec<u8> {
        let Some(slash) = name.iter().rposition(|b| *b == b'/') else { return start.to_vec() };
        let directory = name.get(..=slash).unwrap_or_default();
        self.disk.find(start, directory).ok().flatten().unwrap_or_else(|| start.to_vec())
    }

    fn look(&mut self, start: &[u8], name: &[u8]) {
        if let Err(err) = self.disk.learn(start, name, Last::Follow) {
            log::trace!("no hint: {err}");
        }
    }

    /// A canonical file, which was found in this directory.
    fn file(&mut self, path: &[u8], directory: &[u8], at: Option<usize>, is_first: bool) {
        if self.seen.len() >= FILES_MAX || self.settled.contains(path) || !self.seen.insert((path.to_vec(), at)) {
            return;
        }
        let Some(Fact::File(file)) = self.disk.facts().get(path).filter(|_| path.len() > 1) else { return };
        if file.size > TEXT_MAX {
            return;
        }
        let mut text = Vec::new();
        if open(path).and_then(|mut file| file.read_to_end(&mut text)).is_err() {
            return;
        }
        self.depth += 1;
        for directive in scan(&text).iter().filter(|_| self.depth < DEPTH_MAX).collect::<Vec<_>>() {
            self.include(directive, directory, at, is_first);
        }
        self.depth -= 1;
    }

    /// All places where the compiler may look for it, until it is found.
    fn include(&mut self, directive: &Named, directory: &[u8], at: Option<usize>, is_first: bool) {
        let name = directive.name.as_slice();
        if name.starts_with(b"/") {
            self.candidate(directive, b"/", None, is_first);
            return;
        }
        let first = match (directive.form, directive.by) {
            (Form::Macro, _) => return,
            (_, By::IncludeNext | By::QuestionNext) => at.map_or(0, |at| at + 1),
            (Form::Angle, _) => self.quoted,
            // An assembler begins in the working directory.
            (Form::Quoted, By::Bytes) if self.candidate(directive, &self.folder.clone(), None, false) => return,
            (Form::Quoted, _) => {
                if self.candidate(directive, directory, None, is_first) {
                    return;
                }
                0
            }
        };
        for place in first..self.directories.len() {
            let Some(directory) = self.directories.get(place).cloned() else { return };
            if self.candidate(directive, &directory, Some(place), is_first) {
                return;
            }
        }
    }

    /// Whether it is found below this directory; then what it includes is looked at too.
    fn candidate(&mut self, directive: &Named, directory: &[u8], at: Option<usize>, is_first: bool) -> bool {
        let name = directive.name.as_slice();
        if is_first && self.has_gch {
            self.look(directory, &[name, b".gch"].concat());
        }
        match self.disk.learn(directory, name, Last::Follow) {
            Ok(Walk::Found(path)) if matches!(self.disk.facts().get(&path), Some(Fact::File(_))) => {
                if matches!(directive.by, By::Include | By::IncludeNext) {
                    let directory = self.directory_of(directory, name);
                    self.file(&path, &directory, at, false);
                }
                true
            }
            // Nothing, or something that the compiler passes over.
            Ok(_) | Err(_) => false,
        }
    }
}
