//! One call of a job, and what is decided about it.

use super::caller::{Caller, Start, Text};
use super::special::{self, Special};
use super::{Decided, Here, Refusal, Supervisor, interpreter, join, split};
use crate::listener::Reply;
use crate::oracle::{Own, Stands, Walk};
use crate::path_calls::{Does, PathCall, Place};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// How many interpreters of interpreters the kernel looks for.
const SCRIPTS_MAX: usize = 6;
/// Most answers that are remembered.
const REMEMBERED_MAX: usize = 1 << 16;

/// A path of a call.
struct Named {
    /// The canonical directory from which it leads.
    start: Vec<u8>,
    text: Vec<u8>,
}

/// What a path means to a call.
enum Meaning {
    /// The submitter's files.
    Files(Named),
    /// Something of the sandbox's own. What is executed by such a path is not seen.
    Own(Vec<u8>),
    /// The answer is known without them.
    Known(Reply),
}

/// Where a path leads.
enum Lead {
    There(Vec<u8>),
    Not(Errno),
}

/// One call, and the supervisor that decides it.
pub(super) struct Watch<'a> {
    pub(super) caller: Caller<'a>,
    pub(super) owner: BorrowedFd<'a>,
    pub(super) state: &'a mut Supervisor,
}

impl Watch<'_> {
    pub(super) fn path_call(&mut self, call: PathCall) -> Decided<Reply> {
        let named = match self.meaning(call.place)? {
            Meaning::Files(named) => named,
            Meaning::Own(path) if call.does == Does::Execute => return Err(special_refusal(&path)),
            Meaning::Known(reply) if call.other.is_none() || reply != Reply::Continue => return Ok(reply),
            // The other path counts all the same, if there is one.
            Meaning::Known(_) | Meaning::Own(_) => return self.second(call),
        };
        match call.does {
            Does::Look(follows) => self.look(&named, self.caller.follows(follows)),
            Does::Open(flags) => self.open(&named, flags.map_or(CREAT, |flags| self.caller.number(flags))),
            Does::Execute => self.execute(&named),
            Does::Enter => self.enter(&named),
            Does::Change(follows) => self.change(&named, self.caller.follows(follows)),
            Does::Make => self.make(&named),
            Does::Remove => self.remove(&named),
            Does::Rename => match self.remove(&named)? {
                Reply::Continue => self.second(call),
                failed => Ok(failed),
            },
            Does::Link(follows) => match self.find(&named, self.caller.follows(follows))? {
                Lead::There(_) => self.second(call),
                Lead::Not(errno) => Ok(Reply::Fail(errno)),
            },
        }
    }

    /// What becomes of the second path of a call: something is put there.
    fn second(&mut self, call: PathCall) -> Decided<Reply> {
        let Some(place) = call.other else { return Ok(Reply::Continue) };
        match self.meaning(place)? {
            Meaning::Known(reply) => Ok(reply),
            Meaning::Own(_) => Ok(Reply::Continue),
            Meaning::Files(named) if call.does == Does::Rename => self.replace(&named),
            Meaning::Files(named) => self.make(&named),
        }
    }

    /// What a path of the call means.
    fn meaning(&mut self, place: Place) -> Decided<Meaning> {
        let text = match self.caller.text(place)? {
            Text::Path(text) => text,
            Text::None => return Ok(Meaning::Known(Reply::Continue)),
            Text::TooLong => return Ok(Meaning::Known(Reply::Fail(Errno::ENAMETOOLONG))),
        };
        let start = if text.starts_with(b"/") { Some(b"/".to_vec()) } else { self.start(place) };
        let Some(start) = start else { return Ok(Meaning::Known(Reply::Continue)) };
        match special::judge(&start, &text) {
            None => Ok(Meaning::Files(Named { start, text })),
            Some(Special::Own) => Ok(Meaning::Own(text)),
            Some(Special::Nothing) => Ok(Meaning::Known(Reply::Fail(Errno::ENOENT))),
            Some(Special::Elsewhere) => Err(special_refusal(&text)),
        }
    }

    /// The directory from which a relative path leads. `None`: there is none, and the call fails by itself.
    fn start(&self, place: Place) -> Option<Vec<u8>> {
        match (self.caller.start(place), &self.state.here) {
            (Start::Open(dir), _) => Some(dir),
            (Start::None, _) => None,
            (Start::Here, Here::Root) => Some(b"/".to_vec()),
            (Start::Here, Here::At(dir)) => Some(dir.clone()),
            (Start::Here, Here::Anywhere) => self.caller.working_directory(),
        }
    }

    /// Follows a path, and asks for what is not known of it.
    fn find(&mut self, Named { start, text }: &Named, follow: bool) -> Decided<Lead> {
        loop {
            let state = &mut *self.state;
            let walk = state.oracle.walk(&state.made, start, text, follow);
            if state.made.led_into_special() {
                return Err(special_refusal(text));
            }
            let errno = match walk {
                Walk::Found(path) => return Ok(Lead::There(path)),
                Walk::Unknown(path) => {
                    self.ask(&path)?;
                    continue;
                }
                Walk::Absent => Errno::ENOENT,
                Walk::NotADirectory => Errno::ENOTDIR,
                Walk::Denied => Errno::EACCES,
                Walk::Loop => Errno::ELOOP,
                Walk::TooLong => Errno::ENAMETOOLONG,
            };
            return Ok(Lead::Not(errno));
        }
    }

    /// Asks what is known of a key, and learns it.
    fn ask(&mut self, key: &[u8]) -> Decided<()> {
        // Else what was read may be another's, and is not worth a question.
        if !self.caller.waits() {
            return Err(Refusal("a program ended in the middle of a call".to_owned()));
        }
        let answer = self.state.questions.ask(key, self.owner)?;
        self.state.oracle.learn(&answer).map_err(Refusal)?;
        self.state.place_outputs();
        Ok(())
    }

    /// What stands at a canonical path, asked for if it is not known, and whether it is the submitter's.
    fn at(&mut self, path: &[u8]) -> Decided<(Stands, bool)> {
        loop {
            match self.state.at(path) {
                Some(known) => return Ok(known),
                None => self.ask(path)?,
            }
        }
    }

    /// The canonical path of what a call makes or removes: the directory is followed, its entry is not.
    fn entry(&mut self, Named { start, text }: &Named) -> Decided<Lead> {
        let trimmed = trim(text);
        let (dir, name) = split(trimmed).unwrap_or((b".", trimmed));
        if matches!(name, b"" | b"." | b"..") {
            return Ok(Lead::Not(Errno::EBUSY));
        }
        let lead = self.find(&Named { start: start.clone(), text: dir.to_vec() }, true)?;
        let Lead::There(dir) = lead else { return Ok(lead) };
        Ok(match self.at(&dir)? {
            (Stands::Directory { .. }, _) => Lead::There(join(&dir, name)),
            _ => Lead::Not(Errno::ENOTDIR),
        })
    }

    fn look(&mut self, named: &Named, follow: bool) -> Decided<Reply> {
        let key = key(named, if follow { b'f' } else { b'n' });
        if let Some(reply) = self.state.remembered.get(&key) {
            return Ok(*reply);
        }
        let reply = match self.find(named, follow)? {
            Lead::There(_) => Reply::Continue,
            Lead::Not(errno) => Reply::Fail(errno),
        };
        self.remember(key, reply);
        Ok(reply)
    }

    fn remember(&mut self, key: Vec<u8>, reply: Reply) {
        if self.state.remembered.len() >= REMEMBERED_MAX {
            self.state.remembered.clear();
        }
        self.state.remembered.insert(key, reply);
    }

    fn open(&mut self, named: &Named, flags: i32) -> Decided<Reply> {
        let is_unnamed = flags & libc::O_TMPFILE == libc::O_TMPFILE;
        if flags & libc::O_CREAT != 0 && !is_unnamed {
            return self.create(named, flags);
        }
        let follow = flags & libc::O_NOFOLLOW == 0;
        let only_reads = flags & libc::O_ACCMODE == libc::O_RDONLY && flags & libc::O_TRUNC == 0;
        let only_names = flags & libc::O_PATH != 0;
        let key = key(named, if follow { b'F' } else { b'N' });
        if let Some(reply) = self.state.remembered.get(&key).filter(|_| only_reads || only_names) {
            return Ok(*reply);
        }
        let path = match self.find(named, follow)? {
            Lead::There(path) => path,
            Lead::Not(errno) => return Ok(Reply::Fail(errno)),
        };
        match self.at(&path)? {
            _ if only_names || is_unnamed => return Ok(Reply::Continue),
            (Stands::Directory { readable: false }, _) => return Ok(Reply::Fail(Errno::EACCES)),
            (Stands::Directory { .. }, true) if only_reads => self.complete(&path)?,
            (Stands::File, true) if !only_reads => self.state.strays(&path),
            _ => {}
        }
        if only_reads {
            self.remember(key, Reply::Continue);
        }
        Ok(Reply::Continue)
    }

    /// Opens what may have to be made. If that is certain, it is no question what stands there now.
    fn create(&mut self, named: &Named, flags: i32) -> Decided<Reply> {
        let path = match self.entry(named)? {
            Lead::There(path) => path,
            Lead::Not(errno) => return Ok(Reply::Fail(errno)),
        };
        let is_certain = flags & (libc::O_EXCL | libc::O_TRUNC) != 0;
        let known = self.state.at(&path);
        let (stands, is_told) = match known {
            None if is_certain => (Stands::Nothing, false),
            None => self.at(&path)?,
            Some(known) => known,
        };
        match stands {
            Stands::Nothing => self.put(&path)?,
            Stands::File if is_told && flags & libc::O_EXCL == 0 && flags & libc::O_ACCMODE != libc::O_RDONLY => {
                self.state.strays(&path);
            }
            Stands::Link(_) if flags & libc::O_EXCL == 0 => match self.find(named, true)? {
                Lead::There(path) if self.at(&path)? == (Stands::File, true) => self.state.strays(&path),
                Lead::There(_) => {}
                Lead::Not(_) => self.state.strays(&path),
            },
            _ => {}
        }
        Ok(Reply::Continue)
    }

    /// The job is about to make something where it sees nothing.
    fn put(&mut self, path: &[u8]) -> Decided<()> {
        let state = &mut *self.state;
        // What the tree holds there for others must not be met. Nobody but this job sees that it is gone.
        if state.made.stat(path).is_none() {
            match fs::remove_file(Path::new(OsStr::from_bytes(path))) {
                Ok(()) => drop(state.made.hidden.insert(path.to_vec())),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => {
                    let path = String::from_utf8_lossy(path);
                    return Err(Refusal(format!("what the tree holds for others stays in the way: {path}: {e}")));
                }
            }
        }
        state.made.touch(path);
        state.remembered.clear();
        Ok(())
    }

    fn make(&mut self, named: &Named) -> Decided<Reply> {
        let path = match self.entry(named)? {
            Lead::There(path) => path,
            Lead::Not(errno) => return Ok(Reply::Fail(errno)),
        };
        if self.at(&path)?.0 == Stands::Nothing {
            self.put(&path)?;
            self.state.made.touch_dir(&path);
        }
        Ok(Reply::Continue)
    }

    /// Something takes the place of what stands there.
    fn replace(&mut self, named: &Named) -> Decided<Reply> {
        let path = match self.entry(named)? {
            Lead::There(path) => path,
            Lead::Not(errno) => return Ok(Reply::Fail(errno)),
        };
        match self.state.at(&path) {
            Some((Stands::File | Stands::Link(_), true)) => self.state.strays(&path),
            Some((Stands::Nothing, _)) | None => self.put(&path)?,
            // Nothing takes the place of the submitter's directory but an empty one.
            Some((Stands::Directory { .. }, true)) => {
                self.state.strays(&path);
                return Ok(Reply::Continue);
            }
            Some(_) => {}
        }
        self.state.made.touch_dir(&path);
        self.state.remembered.clear();
        Ok(Reply::Continue)
    }

    fn remove(&mut self, named: &Named) -> Decided<Reply> {
        let path = match self.entry(named)? {
            Lead::There(path) => path,
            Lead::Not(errno) => return Ok(Reply::Fail(errno)),
        };
        if self.state.made.outputs.contains_key(&path) {
            self.state.removed.insert(path.clone());
        }
        match self.at(&path)? {
            (Stands::Nothing, _) => return Ok(Reply::Fail(Errno::ENOENT)),
            (_, true) => self.state.strays(&path),
            (_, false) => {}
        }
        self.state.made.touch(&path);
        self.state.remembered.clear();
        Ok(Reply::Continue)
    }

    fn change(&mut self, named: &Named, follow: bool) -> Decided<Reply> {
        let path = match self.find(named, follow)? {
            Lead::There(path) => path,
            Lead::Not(errno) => return Ok(Reply::Fail(errno)),
        };
        if self.at(&path)?.1 {
            self.state.strays(&path);
        }
        Ok(Reply::Continue)
    }

    fn enter(&mut self, named: &Named) -> Decided<Reply> {
        let path = match self.find(named, true)? {
            Lead::There(path) => path,
            Lead::Not(errno) => return Ok(Reply::Fail(errno)),
        };
        self.state.here = match self.state.here {
            Here::Root => Here::At(path),
            _ => Here::Anywhere,
        };
        Ok(Reply::Continue)
    }

    pub(super) fn moves(&mut self) -> Reply {
        self.state.here = Here::Anywhere;
        Reply::Continue
    }

    /// Looks at what the kernel opens by itself, too.
    fn execute(&mut self, named: &Named) -> Decided<Reply> {
        let mut next = Named { start: named.start.clone(), text: named.text.clone() };
        let here = self.start(Place { dir: None, path: 0 }).unwrap_or_default();
        for _ in 0..SCRIPTS_MAX {
            let path = match self.find(&next, true)? {
                Lead::There(path) => path,
                Lead::Not(errno) => return Ok(Reply::Fail(errno)),
            };
            let Some(text) = interpreter::interpreter(Path::new(OsStr::from_bytes(&path))) else { break };
            let start = if text.starts_with(b"/") { b"/".to_vec() } else { here.clone() };
            next = Named { start, text };
        }
        Ok(Reply::Continue)
    }

    /// A directory is opened, and its names can be read: they must be those that the submitter sees.
    fn complete(&mut self, dir: &[u8]) -> Decided<()> {
        let mut told = loop {
            match self.state.oracle.names(dir) {
                Some(names) => break names.iter().cloned().collect::<BTreeSet<_>>(),
                None => self.ask(&[dir, b"/"].concat())?,
            }
        };
        let listed = fs::read_dir(Path::new(OsStr::from_bytes(dir)));
        let listed = listed.map_err(|e| Refusal(format!("cannot list {}: {e}", String::from_utf8_lossy(dir))))?;
        let mut there: BTreeSet<Vec<u8>> = listed.flatten().map(|entry| entry.file_name().into_vec()).collect();
        // What the job made, or may make, is its own affair.
        let own = |name: &Vec<u8>| self.state.made.at(&join(dir, name)).is_none();
        told.retain(own);
        there.retain(own);
        let _ = self.state.made.led_into_special();
        if told == there {
            return Ok(());
        }
        let other = told.symmetric_difference(&there).next().map(|name| join(dir, name)).unwrap_or_default();
        Err(Refusal(format!("the tree lists other names than its submitter: {}", String::from_utf8_lossy(&other))))
    }
}

/// What `creat` opens for.
const CREAT: i32 = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;

fn special_refusal(path: &[u8]) -> Refusal {
    Refusal(format!("it looks where a compile server has no files of its submitter: {}", String::from_utf8_lossy(path)))
}

/// What a reply is remembered by.
fn key(Named { start, text }: &Named, how: u8) -> Vec<u8> {
    let start: &[u8] = if text.starts_with(b"/") { &[] } else { start };
    [&[how][..], start, &[0], text].concat()
}

/// A path without slashes at its end.
fn trim(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|c| *c != b'/').map_or(0, |last| last + 1);
    path.get(..end).unwrap_or(path)
}
