//! A job by files: a compile server of ours runs the user's own command on what the user's file system holds
//! (`ICECC_FILES`).
//!
//! What the compiler will look at is predicted: from its last run (`record`), or from the text of the source (`hints`). It is
//! looked at here (`disk`), told to the server, and what the server needs beyond that is answered (`answers`). When the result is
//! here, all that was told is looked at once more: only if nothing has changed the outputs are put in place.

mod answers;
mod command;
mod compiler;
mod disk;
mod hints;
pub(super) mod keep;
mod outputs;
mod record;
pub(super) mod shadow;
mod stamp;
mod stream;

use super::output::Target;
use super::task::Task;
use super::variables::Variables;
use answers::Told;
use disk::{Disk, Unfit};
use ice_core::cmdline::{RemoteJob, paths};
use ice_core::files::{self, Digest, Fact, Roots};
use ice_core::ids::JobId;
use ice_core::message::{Chunk, FilesJob, FilesNeed};
use ice_core::reason::Why;
use ice_core::text::Text;
use ice_net::conn::Conn;
use keep::{Kept, Keys};
use outputs::{Arriving, Declared};
use record::Record;

use std::collections::HashSet;
use std::env;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use stream::Stream;

/// Facts of a record that several units share.
const SHARED_MAX: usize = 3000;

/// One job that is tried by files.
pub(super) struct ByFiles<'a> {
    task: &'a Task,
    job: &'a RemoteJob,
    variables: &'a Variables,
    environment: Vec<Vec<u8>>,
    umask: u32,
    keys: Keys,
    kept: Kept,
    disk: Disk,
    roots: Roots,
    told: Told,
    /// Paths of the facts whose digest is told as that of the set.
    set: Vec<Vec<u8>>,
    declared: Vec<Declared>,
    /// Object and split debug information.
    objects: [Option<Declared>; 2],
    /// What is on its way to the server.
    stream: Option<Stream>,
    arriving: Arriving,
    /// The first stream of a result has ended.
    is_result_read: bool,
    /// Why it is not done so, for who asks.
    pub(super) why_not: Option<String>,
}

/// What becomes of a piece of a result.
pub(super) enum Arrival {
    /// So many bytes of what comes before the outputs.
    Piece(u64),
    /// The next stream is a file; whether it must have the format of an object.
    File(Target, bool),
    /// All is here.
    Complete,
}

impl<'a> ByFiles<'a> {
    /// Asks the daemon for what it keeps. `None`: it keeps nothing, and nothing can be done by files.
    pub(super) fn open(
        task: &'a Task,
        job: &'a RemoteJob,
        variables: &'a Variables,
        daemon: &mut Conn,
    ) -> Option<Self> {
        let environment = command::environment(&variables.files.more);
        let umask = umask();
        let keys = Keys::of(task, job, &environment, umask)?;
        let kept = match keep::get(daemon, &keys) {
            Ok(kept) => kept?,
            Err(err) => {
                log::info!("not by files: {}", crate::exit::chain(&err));
                return None;
            }
        };
        Some(Self {
            task,
            job,
            variables,
            environment,
            umask,
            keys,
            kept,
            disk: Disk::new(),
            roots: Roots::default(),
            told: Told::default(),
            set: Vec::new(),
            declared: Vec::new(),
            objects: [None, None],
            stream: None,
            arriving: Arriving::default(),
            is_result_read: false,
            why_not: None,
        })
    }

    /// Whether what comes is only compared with what is made here.
    pub(super) fn is_shadow(&self) -> bool {
        self.variables.files.is_shadow()
    }

    /// Predicts what the compiler will look at, and says what the server is told first. The facts follow as a stream.
    pub(super) fn begin(&mut self, job: JobId) -> Result<FilesJob, Unfit> {
        if self.job.means_this_host {
            return Err(Unfit::Command);
        }
        let folder = self.task.folder.as_os_str().as_bytes().to_vec();
        self.predict(&folder)?;
        let facts = self.told.all(&self.disk);
        if let Some(dated) = self.dated() {
            return Err(Unfit::Dated(dated));
        }
        facts.check().map_err(|_| Unfit::Changed(folder.clone()))?;
        self.set = facts.iter().map(|(path, _)| path.to_vec()).collect();
        let base = self.kept.unit.as_ref().map(Record::told).filter(|base| !base.is_empty());
        let encoded = facts.encode();
        let set = name_of(&encoded)?;
        let (base_name, bytes) = match &base {
            Some(base) => (name_of(&base.encode())?, facts.difference(base).encode()),
            None => (Text::new(), encoded),
        };
        let input = paths::absolute(&folder, &self.job.input);
        let program = self.task.program.as_os_str().as_bytes();
        let arguments = self.task.words.iter().map(|word| word.as_bytes());
        let message = FilesJob {
            job,
            target: super::environment::own_platform().as_str().into(),
            token: self.kept.token.to_string().as_str().into(),
            set,
            base: base_name,
            compiler: paths::absolute(&folder, program).into(),
            arguments: [program].into_iter().chain(arguments).map(Text::from).collect(),
            environment: self.environment.iter().map(|variable| Text::from(variable.as_slice())).collect(),
            working_directory: Text::from(folder.as_slice()),
            umask: self.umask,
            input_file: input.into(),
            outputs: self.declared.iter().map(|declared| Text::from(declared.path.as_slice())).collect(),
        };
        log::debug!("by files: {} facts, {} bytes of them sent", facts.len(), bytes.len());
        self.stream = Some(Stream::of_bytes(bytes));
        Ok(message)
    }

    /// Looks at all that the compiler is expected to look at.
    fn predict(&mut self, folder: &[u8]) -> Result<(), Unfit> {
        if self.disk.find(b"/", folder)?.as_deref() != Some(folder) {
            return Err(Unfit::Path(folder.to_vec()));
        }
        self.declared = outputs::declare(&mut self.disk, folder, files::outputs(self.job, folder));
        let dwo = self.job.split_dwarf.then(|| self.job.dwo());
        let mut object =
            |name: Option<Vec<u8>>| outputs::declare(&mut self.disk, folder, name.into_iter().collect()).pop();
        self.objects = [object(Some(self.job.output.clone())), object(dwo)];
        let record = [&self.kept.unit, &self.kept.near, &self.kept.compiler].into_iter().flatten().next().cloned();
        let is_own = self.kept.unit.is_some();
        if let Some(name) = env::var_os("PWD").filter(|name| !name.is_empty()) {
            self.disk.find(folder, name.as_bytes())?;
        }
        let mut changed = Vec::new();
        let mut is_shape_same = true;
        let mut settled = HashSet::new();
        for (path, known) in record.iter().flat_map(Record::expected) {
            if self.declared.iter().any(|declared| declared.path == path) {
                continue;
            }
            match self.disk.take(path, known.clone(), record.as_ref().map_or(0, |record| record.since)) {
                Ok(true) => drop(settled.insert(path.to_vec())),
                Ok(false) => {
                    let is_file = matches!(self.disk.facts().get(path), Some(Fact::File(_)));
                    is_shape_same &= is_file && matches!(known.fact, Fact::File(_) | Fact::Absent);
                    changed.push(path.to_vec());
                }
                // Another unit's compiler may have looked at it.
                Err(err) if !is_own => log::trace!("no hint: {err}"),
                Err(err) => return Err(err),
            }
        }
        if !is_own {
            let is_first = self.kept.near.is_none();
            self.guess_compiler(folder, is_first);
            if is_first {
                // What the compiler's record tells of was found along another search: headers of the system are looked for in
                // this command's directories too.
                settled.clear();
            }
            hints::of_source(&mut self.disk, self.task, self.job, folder, &settled);
        } else if !is_shape_same {
            // What was found there is found elsewhere, or nowhere.
            hints::of_source(&mut self.disk, self.task, self.job, folder, &HashSet::new());
        } else if !changed.is_empty() {
            hints::of_changed(&mut self.disk, self.task, self.job, folder, &changed, &settled);
        }
        self.roots = self.name_roots(folder);
        let is_output = |path: &[u8]| self.declared.iter().any(|declared| declared.path == path);
        let is_secret = |path: &[u8], fact: &Fact| matches!(fact, Fact::File(_)) && files::is_secret(path);
        let told = self.disk.facts().iter().filter(|(path, fact)| !is_output(path) && !is_secret(path, fact));
        self.told.facts = told.map(|(path, _)| path.to_vec()).collect();
        Ok(())
    }

    /// What the compiler looks at whatever it compiles.
    fn guess_compiler(&mut self, folder: &[u8], is_first: bool) {
        let parts = if is_first { compiler::parts(&self.task.program, self.job.family) } else { Vec::new() };
        let in_path = ["as", "ptxas"].map(|name| compiler::in_path(&self.variables.path, &self.task.folder, name));
        let libraries = env::var_os("LD_LIBRARY_PATH").filter(|path| is_first && !path.is_empty());
        let libraries = libraries.map(|path| compiler::in_library_path(&path, &self.task.folder, &parts));
        for path in parts.iter().chain(in_path.iter().flatten()).chain(libraries.iter().flatten()) {
            let found = match path.strip_suffix(b"/") {
                Some(directory) => self
                    .disk
                    .find(folder, directory)
                    .and_then(|found| found.map_or(Ok(()), |directory| self.disk.list(&directory))),
                None => self.disk.find(folder, path).map(drop),
            };
            if let Err(err) = found {
                log::trace!("no hint: {err}");
            }
        }
    }

    /// Where the compiler may read: where it searches, beside what the command names, and in the working directory.
    fn name_roots(&mut self, folder: &[u8]) -> Roots {
        let mut names = command::named_directories(self.job);
        let search = compiler::search(self.task, self.job);
        names.extend(search.quoted.into_iter().chain(search.all));
        let real = std::fs::canonicalize(&self.task.program).unwrap_or_default();
        let installed = real.parent().and_then(Path::parent).map(|path| path.as_os_str().as_bytes().to_vec());
        names.extend(installed);
        let found: Vec<Vec<u8>> = names.iter().filter_map(|name| self.disk.find(folder, name).ok().flatten()).collect();
        let home = env::var_os("HOME").and_then(|home| std::fs::canonicalize(home).ok()).unwrap_or_default();
        Roots::of(found.into_iter().chain([folder.to_vec()]), home.as_os_str().as_bytes())
    }

    /// The first source of the job that shows the date or time, which another host's clock would fill in.
    fn dated(&self) -> Option<Vec<u8>> {
        if env::var_os("SOURCE_DATE_EPOCH").is_some() {
            return None;
        }
        self.disk.dated(self.told.facts.iter().map(Vec::as_slice)).map(<[u8]>::to_vec)
    }

    /// The server needs to know more: the answer follows as a stream.
    pub(super) fn answer(&mut self, need: &FilesNeed) -> Result<(), Why> {
        log::debug!("by files: the server asks for {} things of kind {}", need.paths.len(), need.kind);
        self.stream = Some(self.told.answer(need, &mut self.disk, &self.roots)?);
        Ok(())
    }

    /// The next piece of what is on its way. `None`: nothing is; an empty one is the end of it.
    pub(super) fn next_piece(&mut self) -> Option<Result<Vec<u8>, Unfit>> {
        let piece = self.stream.as_mut()?.next();
        if !piece.as_ref().is_ok_and(|piece| !piece.is_empty()) {
            self.stream = None;
        }
        Some(piece)
    }

    /// Whether the first stream of a result has ended.
    pub(super) fn is_result_read(&self) -> bool {
        self.is_result_read
    }

    /// Whether a server asked for facts.
    pub(super) fn was_asked(&self) -> bool {
        !self.told.asked.is_empty()
    }

    /// What was on its way is not wanted.
    pub(super) fn stop(&mut self) {
        self.stream = None;
    }

    /// Takes a piece of what comes before the outputs.
    pub(super) fn take(&mut self, chunk: &Chunk) -> Result<Arrival, Why> {
        self.arriving.add(chunk).map(Arrival::Piece)
    }

    /// A stream of the result has ended: what follows.
    pub(super) fn stream_ended(&mut self) -> Result<Arrival, Why> {
        if !self.is_result_read {
            self.is_result_read = true;
            self.arriving.end(&self.declared)?;
        }
        Ok(match self.arriving.next() {
            Some(output) => {
                let [object, dwo] = &self.objects;
                let (target, is_object) = outputs::target(self.job, [object.as_ref(), dwo.as_ref()], &output.path);
                Arrival::File(target, is_object)
            }
            None => Arrival::Complete,
        })
    }

    /// Whether the command wrote the object.
    pub(super) fn has_object(&self) -> bool {
        let [object, _] = &self.objects;
        object.as_ref().is_some_and(|object| self.arriving.written.contains(&object.path))
    }

    /// What the command may write.
    pub(super) fn declared(&self) -> Vec<PathBuf> {
        self.declared.iter().map(|declared| disk::as_path(&declared.path).to_path_buf()).collect()
    }

    /// What it wrote, in the order in which it came.
    pub(super) fn written(&self) -> Vec<PathBuf> {
        self.arriving.written.iter().map(|path| disk::as_path(path).to_path_buf()).collect()
    }

    /// Whether the result is of the files as they are now.
    pub(super) fn prove(&self) -> Result<(), Unfit> {
        if let Some(dated) = self.dated() {
            return Err(Unfit::Dated(dated));
        }
        self.disk.prove()
    }

    /// Has the daemon keep what the compiler looked at, for the next time. Where the server did not tell, all counts that it
    /// asked for.
    pub(super) fn keep(&self, daemon: &mut Conn) {
        let mut unit = Record::new(&self.disk);
        let is_known = self.is_result_read;
        let used = self.arriving.used.iter().chain(&self.told.asked).filter(|path| self.told.facts.contains(*path));
        let all = self.told.facts.iter().filter(|_| !is_known);
        for path in used.chain(all) {
            unit.add(&self.disk, path, true, false);
        }
        for path in &self.set {
            unit.add(&self.disk, path, false, true);
        }
        self.put(daemon, &self.keys.unit, &unit, self.kept.unit.as_ref());
        if self.kept.unit.is_none() {
            let near = self.shared(&unit, self.kept.near.as_ref(), |_| true);
            self.put(daemon, &self.keys.near, &near, self.kept.near.as_ref());
            let folder = [self.task.folder.as_os_str().as_bytes(), b"/"].concat();
            let is_compilers = |path: &[u8]| {
                let system: [&[u8]; 6] = [b"/usr/", b"/lib", b"/etc/", b"/opt", b"/bin/", b"/sbin/"];
                !path.starts_with(&folder) && system.iter().any(|start| path.starts_with(start))
            };
            if self.kept.near.is_none() {
                let compiler = self.shared(&unit, self.kept.compiler.as_ref(), is_compilers);
                self.put(daemon, &self.keys.compiler, &compiler, self.kept.compiler.as_ref());
            }
        }
    }

    fn put(&self, daemon: &mut Conn, key: &str, record: &Record, before: Option<&Record>) {
        let is_known = |before: &Record| {
            before.len() == record.len() && record.is_part_of(before) && !record.has_young(before.since)
        };
        if !before.is_some_and(is_known) {
            keep::put(daemon, key, record);
        }
    }

    /// What units share of this one's record, with what was known of the others.
    fn shared(&self, unit: &Record, before: Option<&Record>, fits: impl Fn(&[u8]) -> bool) -> Record {
        let input = paths::absolute(self.task.folder.as_os_str().as_bytes(), &self.job.input);
        let mut shared = Record::new(&self.disk);
        let own = unit.expected().map(|(path, _)| path);
        let others = before.into_iter().flat_map(Record::expected).map(|(path, _)| path);
        for path in own.chain(others).filter(|path| fits(path) && !path.starts_with(&input)) {
            if shared.len() < SHARED_MAX {
                shared.add(&self.disk, path, true, false);
            }
        }
        shared
    }
}

/// The name of an encoded set of facts.
fn name_of(encoded: &[u8]) -> Result<Text, Unfit> {
    let digest: Digest = disk::digest(encoded).map_err(|err| Unfit::Unreadable(Vec::new(), err))?;
    Ok(digest.to_string().as_str().into())
}

/// Our umask, which can only be read by setting it. No thread makes a file meanwhile: we have one.
fn umask() -> u32 {
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(umask);
    umask.bits()
}
