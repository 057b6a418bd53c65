//! Environments' directories: filled, installed and emptied by children with no more rights than the owner's.

use super::{OPEN_DIR, Refused, Serve, Task};
use ice_core::env::EnvId;
use ice_core::store_layout;
use ice_sandbox::channel;
use ice_sandbox::child::{self, Files, Job, Work};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::fs::{Mode, RenameFlags};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// Most time to remove an environment. What is left then goes at the next start.
const REMOVE: Duration = Duration::from_secs(600);
/// Archives unpacked at a time: twice what the daemon lets arrive, as those that nobody wants any more end a little
/// later.
const UNPACKED_MAX: usize = 32;
/// Directories emptied at a time. What comes on top is out of sight already, and waits.
const EMPTIED_MAX: usize = 4;

/// A directory that is being filled.
pub(super) struct Filling {
    pub(super) target: String,
    pub(super) name: String,
    /// Nobody wants it any more.
    pub(super) unwanted: bool,
}

impl Serve<'_> {
    pub(super) fn unpack(
        &mut self,
        answer: OwnedFd,
        mut fds: Vec<OwnedFd>,
        env: &EnvId,
        ticket: u64,
        bytes_max: u64,
        wall: Duration,
    ) -> Result<(), Refused> {
        self.factory.guarantees().accepts_jobs().map_err(|e| format!("no foreign environments on this host: {e}"))?;
        if self.count(|task| matches!(task, Task::Fill(_))) >= UNPACKED_MAX {
            return Err("too many archives are being unpacked".to_owned());
        }
        let (target, name) = (store_layout::platform_name(env), store_layout::unpacking_name(ticket));
        self.make_dir(&self.base, &target)?;
        let inside = self.open(&target)?;
        self.make_dir(&inside, &name)?;
        let below = [target.as_str(), name.as_str()];
        let (unpack, root, env) = (self.config.unpack, self.factory.directory_root(&below), env.name.clone());
        let body = move |input: Option<OwnedFd>| {
            let input = input.ok_or("no archive")?;
            let contents = unpack(File::from(input), &env, &root, bytes_max)?;
            finish(&root).map_err(|e| format!("cannot finish the environment: {e}"))?;
            Ok(contents.to_bytes())
        };
        let job = Job {
            plan: self.factory.directory(&below),
            work: Work::Function { input: fds.pop(), body: Box::new(body) },
            files: Files::default(),
            tree: None,
            answer,
            wall,
            group: None,
            marker: self.factory.marker(),
        };
        self.track(child::start(self.single, job), Task::Fill(Filling { target, name, unwanted: false }))
    }

    pub(super) fn install(&mut self, env: &EnvId, ticket: u64) -> Result<(), Refused> {
        let target = store_layout::platform_name(env);
        let inside = self.open(&target)?;
        let from = store_layout::unpacking_name(ticket);
        let rename = || rustix::fs::renameat_with(&inside, &from, &inside, env.name.as_str(), RenameFlags::NOREPLACE);
        let renamed = match rename() {
            // The other half installs none that it has: this one it knows no more, its removal has failed.
            Err(rustix::io::Errno::EXIST) => {
                self.remove(&target, env.name.as_str())?;
                rename()
            }
            renamed => renamed,
        };
        renamed.map_err(|e| format!("cannot install {env}: {e}"))
    }

    pub(super) fn discard(&mut self, env: &EnvId, ticket: u64) -> Result<(), Refused> {
        let (target, name) = (store_layout::platform_name(env), store_layout::unpacking_name(ticket));
        let filling = self.sandboxes.iter_mut().find_map(|(pid, running)| match &mut running.task {
            Task::Fill(filling) if filling.target == target && filling.name == name => Some((*pid, filling)),
            _ => None,
        });
        match filling {
            Some((pid, filling)) => {
                filling.unwanted = true;
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                Ok(())
            }
            None => self.remove(&target, &name),
        }
    }

    /// Out of the way by a rename, then emptied by a child with no more rights than the owner's.
    pub(super) fn remove(&mut self, target: &str, name: &str) -> Result<(), Refused> {
        let inside = self.open(target)?;
        let to = loop {
            self.removals += 1;
            let to = store_layout::removing_name(self.removals);
            match rustix::fs::renameat_with(&inside, name, &inside, &to, RenameFlags::NOREPLACE) {
                Err(rustix::io::Errno::EXIST) => {}
                result => break result.map(|()| to),
            }
        };
        let to = to.map_err(|e| format!("cannot remove {target}/{name}: {e}"))?;
        self.gone.push_back((target.to_owned(), to));
        self.empty_next();
        Ok(())
    }

    /// What cannot be emptied now is tried again with the next one.
    pub(super) fn empty_next(&mut self) {
        while self.count(|task| matches!(task, Task::Empty)) < EMPTIED_MAX {
            let Some((target, name)) = self.gone.pop_front() else { return };
            if self.empty(&target, &name).is_err() {
                return self.gone.push_front((target, name));
            }
        }
    }

    fn empty(&mut self, target: &str, name: &str) -> Result<(), Refused> {
        // Nobody waits for this answer; the worker itself holds the other end, for a sandbox ends with that.
        let (hold, answer) = channel::pair().map_err(|e| e.to_string())?;
        let path = self.factory.directory_root(&[target]).join(name);
        let body = move |_hold| fs::remove_dir_all(&path).map(|()| Vec::new()).map_err(|e| e.to_string());
        let job = Job {
            plan: self.factory.directory(&[target]),
            work: Work::Function { input: Some(hold), body: Box::new(body) },
            files: Files::default(),
            tree: None,
            answer,
            wall: REMOVE,
            group: None,
            marker: self.factory.marker(),
        };
        self.track(child::start(self.single, job), Task::Empty)
    }

    /// Removes what an earlier life left half-made.
    pub(super) fn sweep(&mut self) {
        let Ok(targets) = fs::read_dir(self.factory.base()) else { return };
        for target in targets.flatten().filter(|e| store_layout::platform_of(&e.file_name()).is_some()) {
            let entries = fs::read_dir(target.path()).into_iter().flatten().flatten();
            let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
            let left: Vec<String> = names.filter(|name| store_layout::is_partial(name)).collect();
            for name in left {
                // What cannot be removed now is met again at the next start.
                // Renamed at once, for the tickets of this life begin at 0 again.
                let _ = self.remove(&target.file_name().to_string_lossy(), &name);
            }
        }
    }

    /// A directory of the owner's; one that exists is fine only for `target=P`, which many environments share.
    fn make_dir(&self, at: &OwnedFd, name: &str) -> Result<(), Refused> {
        match rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755)) {
            Err(rustix::io::Errno::EXIST) if !store_layout::is_unpacking(name) => return Ok(()),
            result => result.map_err(|e| format!("cannot make directory {name}: {e}"))?,
        }
        let Some((uid, gid)) = self.factory.give_to() else { return Ok(()) };
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        // By descriptor: the owner of `at` may have put something else under that name meanwhile, even a link to root's
        // file.
        rustix::fs::openat(at, name, OPEN_DIR, Mode::empty())
            .and_then(|dir| rustix::fs::fchown(&dir, Some(uid), Some(gid)))
            .map_err(|e| format!("cannot give directory {name} to its owner: {e}"))
    }

    fn open(&self, target: &str) -> Result<OwnedFd, Refused> {
        rustix::fs::openat(&self.base, target, OPEN_DIR, Mode::empty())
            .map_err(|e| format!("cannot open {target}: {e}"))
    }
}

/// What an environment needs beside its archive: `tmp`, which 1.4 demands with this mode, and a place for devices.
fn finish(root: &Path) -> io::Result<()> {
    for (name, mode) in [("tmp", 0o1775), ("dev", 0o755)] {
        let path = root.join(name);
        match fs::DirBuilder::new().mode(mode).create(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Err(io::Error::other(format!("{name} is no directory")));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
