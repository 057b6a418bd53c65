//! The fixed form of a request, written by one half and distrusted by the other.
//!
//! One small packet (numbers little-endian), the descriptors beside it, and for `run` a sealed memfd with the lists.

use ice_core::env::EnvId;
use ice_core::files::Token;
use ice_core::server::{Layout, Program};
use std::time::Duration;

mod files_lists;

pub(super) use files_lists::{FILES_LISTS_MAX, FilesLists};

/// Number of this form. Both halves are one program, so another number means a broken peer.
const FORM: u16 = 1;
/// Longest packet: header and two names.
pub(super) const PACKET_MAX: usize = 1024;
/// Most arguments of a job.
const ARGS_MAX: usize = 4096;
/// Most bytes of all lists of a job.
pub(super) const LISTS_MAX: usize = 1 << 20;
/// Most directories a job's layout may ask for.
const DIRS_MAX: usize = 256;
/// The slot of verifications and unpacking, beside the jobs'.
pub(super) const EXTRA_SLOT: u16 = u16::MAX;
/// Programs by their number in a packet.
const PROGRAMS: [Program; 5] = [Program::Gcc, Program::Gxx, Program::Clang, Program::ClangXx, Program::True];

/// What a job may use. In the configuration: the most that any may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobLimits {
    /// Bytes of memory, its `/tmp` included where a control group counts.
    pub memory: u64,
    /// Time on the wall; then everything in the sandbox is killed.
    pub wall: Duration,
    /// Size of one file it writes.
    pub file: u64,
    /// Size of its `/tmp`.
    pub tmp: u64,
}

impl Default for JobLimits {
    /// 4 GiB of memory, an hour (decision: silent-server), 1 GiB of output.
    fn default() -> Self {
        Self { memory: 4 << 30, wall: Duration::from_secs(3600), file: 1 << 30, tmp: 2 << 30 }
    }
}

impl JobLimits {
    pub(super) fn clamped(self, to: &Self) -> Self {
        Self {
            memory: self.memory.min(to.memory),
            wall: self.wall.min(to.wall),
            file: self.file.min(to.file),
            tmp: self.tmp.min(to.tmp),
        }
    }
}

/// A request without its descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Descriptors: answer, stdin, stdout, stderr, lists.
    Run { slot: u16, env: EnvId, program: Program, limits: JobLimits },
    /// Descriptors: answer, archive.
    Unpack { env: EnvId, ticket: u64, bytes_max: u64, wall: Duration },
    /// Gives an unpacked archive its name. Descriptors: answer.
    Install { env: EnvId, ticket: u64 },
    /// Removes an unpacked archive that has no name yet. Descriptors: answer.
    Discard { env: EnvId, ticket: u64 },
    /// Removes an installed environment. Descriptors: answer.
    Remove { env: EnvId },
    /// A job of files mode. Descriptors: answer, stdin, stdout, stderr, questions, lists.
    Files { slot: u16, token: Token, limits: JobLimits },
}

impl Request {
    /// How many descriptors belong to it.
    pub(super) const fn fds(&self) -> usize {
        match self {
            Self::Run { .. } => 5,
            Self::Files { .. } => 6,
            Self::Unpack { .. } => 2,
            Self::Install { .. } | Self::Discard { .. } | Self::Remove { .. } => 1,
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let none = JobLimits { memory: 0, wall: Duration::ZERO, file: 0, tmp: 0 };
        let names = |env: &EnvId| vec![env.platform.to_string(), env.name.to_string()];
        let (kind, names, slot, program, number, limits) = match self {
            Self::Run { slot, env, program, limits } => (0u8, names(env), *slot, *program as u8, 0, *limits),
            Self::Unpack { env, ticket, bytes_max, wall } => {
                (1, names(env), 0, 0, *ticket, JobLimits { file: *bytes_max, wall: *wall, ..none })
            }
            Self::Install { env, ticket } => (2, names(env), 0, 0, *ticket, none),
            Self::Discard { env, ticket } => (3, names(env), 0, 0, *ticket, none),
            Self::Remove { env } => (4, names(env), 0, 0, 0, none),
            Self::Files { slot, token, limits } => (5, vec![token.to_string()], *slot, 0, 0, *limits),
        };
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&FORM.to_le_bytes());
        out.extend_from_slice(&[kind, program]);
        out.extend_from_slice(&slot.to_le_bytes());
        for n in
            [number, limits.memory, u64::try_from(limits.wall.as_millis()).unwrap_or(u64::MAX), limits.file, limits.tmp]
        {
            out.extend_from_slice(&n.to_le_bytes());
        }
        for name in names {
            // A name has at most 255 bytes.
            out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(name.as_bytes());
        }
        out
    }

    /// Reads a packet of a possibly hostile half. The text says what is wrong with it.
    pub(super) fn from_bytes(packet: &[u8]) -> Result<Self, &'static str> {
        let mut rest = packet;
        if number::<2>(&mut rest)? != u64::from(FORM) {
            return Err("request of another form");
        }
        let (kind, program) = (number::<1>(&mut rest)?, number::<1>(&mut rest)?);
        let slot = number::<2>(&mut rest)?;
        let ticket = number::<8>(&mut rest)?;
        let memory = number::<8>(&mut rest)?;
        let wall = Duration::from_millis(number::<8>(&mut rest)?);
        let (file, tmp) = (number::<8>(&mut rest)?, number::<8>(&mut rest)?);
        let first = name(&mut rest)?;
        if kind == 5 {
            let token = Token::from_hex(first).filter(|_| rest.is_empty()).ok_or("bad token")?;
            let slot = u16::try_from(slot).map_err(|_| "bad slot")?;
            return Ok(Self::Files { slot, token, limits: JobLimits { memory, wall, file, tmp } });
        }
        let env = EnvId::new(first, name(&mut rest)?).map_err(|_| "bad environment name")?;
        if !rest.is_empty() {
            return Err("request too long");
        }
        Ok(match kind {
            0 => {
                let program = usize::try_from(program).ok().and_then(|p| PROGRAMS.get(p).copied());
                Self::Run {
                    slot: u16::try_from(slot).map_err(|_| "bad slot")?,
                    env,
                    program: program.ok_or("unknown program")?,
                    limits: JobLimits { memory, wall, file, tmp },
                }
            }
            1 => Self::Unpack { env, ticket, bytes_max: file, wall },
            2 => Self::Install { env, ticket },
            3 => Self::Discard { env, ticket },
            4 => Self::Remove { env },
            _ => return Err("unknown request"),
        })
    }
}

/// The lists of a `run` request: what is too long or too free for the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lists {
    pub(super) args: Vec<Vec<u8>>,
    pub(super) layout: Layout,
}

impl Lists {
    /// Two counts, then every text with a NUL behind it.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, &'static str> {
        let Layout { dirs, cwd, object, dwo } = &self.layout;
        let mut out = Vec::with_capacity(4096);
        for count in [self.args.len(), dirs.len()] {
            out.extend_from_slice(&u32::try_from(count).map_err(|_| "too many arguments")?.to_le_bytes());
        }
        for text in self.args.iter().chain(dirs).chain([cwd, object, dwo]) {
            if text.contains(&0) {
                return Err("NUL in an argument");
            }
            out.extend_from_slice(text);
            out.push(0);
        }
        if out.len() > LISTS_MAX {
            return Err("arguments too long");
        }
        Self::from_bytes(&out).map(|_| out)
    }

    /// Reads and checks the lists of a possibly hostile half.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut rest = bytes;
        let (args, dirs) = (number::<4>(&mut rest)? as usize, number::<4>(&mut rest)? as usize);
        if args > ARGS_MAX || dirs > DIRS_MAX {
            return Err("too many arguments");
        }
        let mut texts = rest.split(|&b| b == 0).map(<[u8]>::to_vec);
        let mut take = |n: usize| {
            let list: Vec<Vec<u8>> = texts.by_ref().take(n).collect();
            if list.len() == n { Ok(list) } else { Err("arguments cut short") }
        };
        let (args, dirs) = (take(args)?, take(dirs)?);
        let mut three = take(3)?.into_iter();
        let mut next = || three.next().unwrap_or_default();
        let layout = Layout { dirs, cwd: next(), object: next(), dwo: next() };
        if take(1)? != [b""] || take(1).is_ok() {
            return Err("arguments too long");
        }
        let fits = |p: &[u8]| p.is_empty() || inside(p);
        if !layout.dirs.iter().all(|d| inside(d)) || ![&layout.cwd, &layout.object, &layout.dwo].iter().all(|p| fits(p))
        {
            return Err("path outside of the job's directory");
        }
        Ok(Self { args, layout })
    }
}

/// Whether a path is relative and plain: no `.`, `..`, empty component, or over 4000 bytes.
fn inside(path: &[u8]) -> bool {
    path.len() <= 4000 && path.split(|&b| b == b'/').all(|c| !c.is_empty() && c != b"." && c != b".." && c.len() <= 255)
}

/// Takes a little-endian number of `N` bytes.
fn number<const N: usize>(rest: &mut &[u8]) -> Result<u64, &'static str> {
    let (bytes, tail) = rest.split_at_checked(N).ok_or("request cut short")?;
    *rest = tail;
    Ok(bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
}

/// Takes a name with its length before it.
fn name<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    let len = number::<1>(rest)?;
    let (bytes, tail) = rest.split_at_checked(len as usize).ok_or("request cut short")?;
    *rest = tail;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> EnvId {
        EnvId::new(b"x86_64", b"8b59cf5c35b2033fe114a01a619d2eea").unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn requests_survive_the_packet_and_no_damage_does() {
        let wall = Duration::from_secs(5);
        let all = [
            Request::Run { slot: 3, env: env(), program: Program::Clang, limits: JobLimits::default() },
            Request::Unpack { env: env(), ticket: 7, bytes_max: 1 << 32, wall },
            Request::Install { env: env(), ticket: 7 },
            Request::Discard { env: env(), ticket: 8 },
            Request::Remove { env: env() },
            Request::Files { slot: 1, token: Token([7; 32]), limits: JobLimits::default() },
        ];
        for request in all {
            let is_files = matches!(request, Request::Files { .. });
            let bytes = request.to_bytes();
            assert_eq!(Request::from_bytes(&bytes), Ok(request));
            for cut in 0..bytes.len() {
                assert!(Request::from_bytes(&bytes[..cut]).is_err());
            }
            let long = [&bytes[..], b"x"].concat();
            let expected = if is_files { "bad token" } else { "request too long" };
            assert_eq!(Request::from_bytes(&long), Err(expected));
        }
        let mut bytes = Request::Remove { env: env() }.to_bytes();
        let end = bytes.len() - 1;
        bytes[end] = b'/';
        assert_eq!(Request::from_bytes(&bytes), Err("bad environment name"));
    }

    #[test]
    fn lists_survive_and_paths_stay_inside() {
        let layout = Layout {
            dirs: vec![b"r/home/u".to_vec()],
            cwd: b"r/home".to_vec(),
            object: b"r/a.o".to_vec(),
            dwo: vec![],
        };
        let lists = Lists { args: vec![b"-c".to_vec(), vec![], b"-".to_vec()], layout };
        let bytes = lists.to_bytes().unwrap_or_default();
        assert_eq!(Lists::from_bytes(&bytes), Ok(lists.clone()));
        for cut in 0..bytes.len() {
            assert!(Lists::from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
        for bad in ["/etc", "../x", "a/../b", "a//b", "./a", "a/"] {
            let layout = Layout { object: bad.as_bytes().to_vec(), ..Layout::default() };
            assert!(Lists { args: vec![], layout }.to_bytes().is_err(), "{bad}");
        }
        assert!(Lists { args: vec![b"a\0b".to_vec()], layout: Layout::default() }.to_bytes().is_err());
    }
}
