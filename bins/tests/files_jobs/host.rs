//! A submitter's tree, made by hand of this host's files, and jobs in it whose questions this host answers.

use ice_core::files::{Digest, Fact, Facts, FileFact, Time, Token};
use ice_core::store_layout;
use ice_launcher::{Ended, FilesEnded, FilesRequest, JobLimits, LaunchError, Launcher, Questions, RunningJob};
use ice_sandbox::channel;
use std::error::Error;
use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub type Try<T = ()> = Result<T, Box<dyn Error>>;

pub const TOKEN: Token = Token([7; 32]);

/// Most rounds until no job of a test asks any more.
const ROUNDS: usize = 60;

/// The submitter: what his tree on the server holds, and what of it a job is told at its start.
pub struct Host {
    base: PathBuf,
    pub facts: Facts,
    /// Deltas above it, the newest first.
    pub layers: Vec<u32>,
}

/// A command.
#[derive(Clone)]
pub struct Command {
    pub program: &'static str,
    pub args: Vec<String>,
    pub cwd: PathBuf,
    pub outputs: Vec<PathBuf>,
    pub env: Vec<&'static str>,
}

impl Command {
    pub fn new(program: &'static str, args: &str, cwd: &Path) -> Self {
        let args = args.split_whitespace().map(str::to_owned).collect();
        Self { program, args, cwd: cwd.to_path_buf(), outputs: Vec::new(), env: vec!["PATH=/usr/bin:/bin", "LANG=C"] }
    }

    pub fn sh(text: &str, cwd: &Path) -> Self {
        Self { args: vec!["-c".to_owned(), text.to_owned()], ..Self::new("/bin/sh", "", cwd) }
    }

    pub fn writes(mut self, names: &[&str]) -> Self {
        self.outputs.extend(names.iter().map(|name| self.cwd.join(name)));
        self
    }
}

/// What came of a job.
pub struct Done {
    pub ended: Ended,
    pub files: Box<FilesEnded>,
    pub stdout: String,
    pub stderr: String,
    /// How often it asked.
    pub asked: usize,
}

/// A job that runs.
pub struct Job {
    pub running: RunningJob,
    pub questions: Questions,
    stdout: File,
    stderr: File,
}

impl Host {
    /// An empty tree.
    pub fn new(store: &Path) -> Try<Self> {
        let base = store_layout::tree_generation(store, &TOKEN, 1).join(store_layout::layer_name(0));
        if base.exists() {
            fs::remove_dir_all(&base)?;
        }
        fs::create_dir_all(&base)?;
        let mut host = Self { base, facts: Facts::new(), layers: Vec::new() };
        host.tell(b"/")?;
        Ok(host)
    }

    fn in_tree(&self, path: &[u8]) -> PathBuf {
        let relative = path.strip_prefix(b"/").unwrap_or(path);
        self.base.join(Path::new(std::ffi::OsStr::from_bytes(relative)))
    }

    /// Puts what stands at a key into tree and facts, with all directories above.
    pub fn tell(&mut self, key: &[u8]) -> Try {
        if self.facts.get(key).is_some() {
            return Ok(());
        }
        if let Some(above) = parent(key) {
            self.tell(&above)?;
        }
        let fact = if key.len() > 1 && key.ends_with(b"/") { self.names(key)? } else { self.put(key)? };
        self.facts.insert(key.to_vec(), fact);
        Ok(())
    }

    /// Puts a file of now into a delta of its own, above what the base holds at its path.
    pub fn change(&mut self, path: &Path) -> Try {
        let delta = u32::try_from(self.layers.len() + 1)?;
        let root = self.base.with_file_name(store_layout::layer_name(delta));
        let base = std::mem::replace(&mut self.base, root);
        for above in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            self.put(above.as_os_str().as_bytes())?;
        }
        let fact = self.put(path.as_os_str().as_bytes())?;
        self.base = base;
        self.layers.insert(0, delta);
        self.facts.insert(path.as_os_str().as_bytes().to_vec(), fact);
        Ok(())
    }

    fn names(&mut self, key: &[u8]) -> Try<Fact> {
        let dir = path_of(key);
        let mut names = Vec::new();
        for entry in fs::read_dir(&dir)? {
            names.push(entry?.file_name().into_vec());
        }
        names.sort();
        for name in &names {
            self.tell(dir.join(path_of(name)).as_os_str().as_bytes())?;
        }
        Ok(Fact::Names(names))
    }

    fn put(&self, path: &[u8]) -> Try<Fact> {
        let (from, to) = (path_of(path), self.in_tree(path));
        let Ok(stat) = fs::symlink_metadata(&from) else { return Ok(Fact::Absent) };
        if stat.is_dir() {
            fs::create_dir_all(&to)?;
            fs::set_permissions(&to, Permissions::from_mode(0o777))?;
            return Ok(Fact::Dir { perm: 5 });
        }
        if stat.is_symlink() {
            let target = fs::read_link(&from)?;
            if fs::symlink_metadata(&to).is_err() {
                symlink(&target, &to)?;
            }
            return Ok(Fact::Link { target: target.into_os_string().into_vec() });
        }
        let is_program = stat.mode() & 0o111 != 0;
        if !to.exists() {
            fs::copy(&from, &to)?;
            File::options().read(true).open(&to)?.set_times(fs::FileTimes::new().set_modified(stat.modified()?))?;
            fs::set_permissions(&to, Permissions::from_mode(if is_program { 0o555 } else { 0o444 }))?;
        }
        Ok(Fact::File(FileFact {
            size: stat.len(),
            mtime: Time { seconds: stat.mtime(), nanoseconds: u32::try_from(stat.mtime_nsec())? },
            perm: if is_program { 5 } else { 4 },
            group: 0,
            digest: Digest([0; 32]),
        }))
    }

    /// The facts that answer a question, a whole set.
    fn answer(&mut self, key: &[u8]) -> Try<Facts> {
        self.tell(key)?;
        let mut answer = Facts::new();
        let mut next = Some(key.to_vec());
        while let Some(key) = next {
            if let Some(fact) = self.facts.get(&key) {
                answer.insert(key.clone(), fact.clone());
            }
            next = parent(&key);
        }
        Ok(answer)
    }

    /// Starts a job that knows all facts of now.
    pub fn start(&self, launcher: &Launcher, command: &Command) -> Try<Job> {
        let (questions, asks) = Questions::pair()?;
        let (stdout, stderr) = (channel::memory()?, channel::memory()?);
        let bytes = |text: &str| text.as_bytes().to_vec();
        let own = [bytes(command.program)].into_iter().chain(command.args.iter().map(|arg| bytes(arg)));
        let running = launcher.run_files(FilesRequest {
            slot: 0,
            token: TOKEN,
            generation: 1,
            layers: self.layers.clone(),
            program: bytes(command.program),
            argv: own.collect(),
            env: command.env.iter().map(|var| bytes(var)).collect(),
            cwd: command.cwd.as_os_str().as_bytes().to_vec(),
            umask: 0o022,
            outputs: command.outputs.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect(),
            facts: self.facts.encode(),
            asks,
            stdin: channel::sealed(b"")?,
            stdout: stdout.try_clone()?.into(),
            stderr: stderr.try_clone()?.into(),
            limits: JobLimits { tmp: 256 << 20, memory: 2 << 30, ..JobLimits::default() },
        })?;
        Ok(Job { running, questions, stdout, stderr })
    }

    /// Runs a job to its end and answers what it asks.
    pub fn run(&mut self, launcher: &Launcher, command: &Command) -> Try<Done> {
        let Job { running, questions, stdout, stderr } = self.start(launcher, command)?;
        let mut asked = 0;
        let ended = loop {
            use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
            let mut fds =
                [PollFd::new(questions.as_fd(), PollFlags::POLLIN), PollFd::new(running.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(60_000_u16))?;
            let question = if fds[0].any() == Some(true) { questions.next()? } else { None };
            if let Some(key) = question {
                asked += 1;
                // A job that waited too long has ended, and knows more at its next start.
                let _ = questions.answer(Some(&self.answer(&key)?));
                continue;
            }
            match running.wait(Duration::from_secs(60)) {
                Ok(Some(ended)) => break ended,
                // What it must have first is only known when it asks; the test goes round.
                Err(LaunchError::NotStarted { text, .. }) => return Err(text.into()),
                other => return Err(format!("{other:?}").into()),
            }
        };
        let mut ended = ended;
        let files = ended.files.take().ok_or("nothing of files")?;
        Ok(Done { ended, files, stdout: text(&stdout)?, stderr: text(&stderr)?, asked })
    }

    /// Runs it until all that it looks at is known at its start, and then once more.
    pub fn settle(&mut self, launcher: &Launcher, command: &Command) -> Try<Done> {
        for _ in 0..ROUNDS {
            let done = self.run(launcher, command)?;
            if done.asked == 0 {
                return Ok(done);
            }
        }
        Err("it asks for ever".into())
    }
}

impl Done {
    /// The bytes of an output.
    pub fn output(&self, path: &Path) -> Try<Vec<u8>> {
        let named = |output: &&ice_launcher::Written| output.path == path.as_os_str().as_bytes();
        let missing = || format!("no {}: {:?} {}", path.display(), self.files, self.stderr);
        let output = self.files.outputs.iter().find(named).ok_or_else(missing)?;
        let file = File::from(output.file.try_clone()?);
        let mut bytes = vec![0; usize::try_from(file.metadata()?.len())?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    pub fn stray(&self) -> String {
        String::from_utf8_lossy(self.files.stray.as_deref().unwrap_or_default()).into_owned()
    }
}

fn text(file: &File) -> Try<String> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len())?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(String::from_utf8(bytes)?)
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// The directory above a path, or that of which a key is the names.
fn parent(key: &[u8]) -> Option<Vec<u8>> {
    match key.iter().rposition(|c| *c == b'/')? {
        0 if key.len() == 1 => None,
        0 => Some(b"/".to_vec()),
        slash => Some(key[..slash].to_vec()),
    }
}
