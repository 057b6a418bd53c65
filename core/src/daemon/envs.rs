//! The environments for remote jobs: which are here, whether they work, and when they were last used.

use crate::env::EnvId;
use crate::ids::PeerId;
use crate::text::Text;
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;

/// An environment that was on the disk at the start. A plain value from the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvOnDisk {
    /// Which.
    pub id: EnvId,
    /// Bytes that it takes on disk.
    pub size: u64,
    /// When it was last used, in seconds since 1970.
    pub last_use: u32,
}

/// Why a verification failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyFailure {
    /// A compiler in it does not run: the environment is removed.
    Environment(Text),
    /// This host could not run the check. The environment is kept, and the next request tries again.
    Host(Text),
    /// The check did not end in time. Once, this may be due to a busy host; the second time the environment is
    /// considered broken, or it would keep others from being verified forever.
    Late(Text),
    /// It ended early, as [`super::Output::StopVerify`] asked: it begins again later.
    Stopped,
}

/// All installed and arriving environments.
#[derive(Debug, Default)]
pub(super) struct Envs {
    known: BTreeMap<EnvId, Env>,
    /// Counter of uses, which gives the order of last use.
    uses: u64,
}

#[derive(Debug)]
struct Env {
    state: EnvState,
    /// Connections whose VERIFY_ENV waits for the installation or the check.
    verifiers: Vec<PeerId>,
    /// When a check did not end in time for the first time.
    late: Option<Instant>,
}

#[derive(Debug)]
enum EnvState {
    /// Until its sender's thread has reported, even if the sender is gone.
    Arriving,
    Installed {
        size: u64,
        /// Value of [`Envs::uses`] at the last use: several may be used within a second.
        last_use: u64,
        /// The same in Unix seconds.
        last_use_unix: u32,
        check: Check,
    },
}

/// Whether an environment's compilers work.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Check {
    NotYet,
    Running,
    Fine,
    /// A compiler does not work: it is removed when the last job in it has ended.
    Broken,
}

/// What becomes of an environment that a client wants to send. A plain value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It arrives from now on.
    Arrives,
    /// It is here or arriving already.
    Known,
    /// Too many arrive.
    TooMany,
}

/// The answer to VERIFY_ENV for an environment that is here or arriving. A plain value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Whether it works.
    Works(bool),
    /// It comes after the installation or the check.
    Later,
    /// The client waits for it already.
    Repeated,
}

/// Maximum number of environments that arrive at a time: each takes an unpacker, and disk up to the size of the largest
/// environment or all that is free.
const ARRIVING_MAX: usize = 16;

/// A check that does not end in time counts against the environment if the first late one was at least this long ago: a
/// host may be busy for a while.
const LATE_AGAIN: Duration = Duration::from_secs(60);

impl Env {
    const fn new(state: EnvState) -> Self {
        Self { state, verifiers: Vec::new(), late: None }
    }

    fn is_arriving(&self) -> bool {
        matches!(self.state, EnvState::Arriving)
    }

    /// Whether somebody waits for its check, which has not begun.
    fn waits_for_check(&self) -> bool {
        matches!(self.state, EnvState::Installed { check: Check::NotYet, .. }) && !self.verifiers.is_empty()
    }

    fn is_usable(&self) -> bool {
        matches!(self.state, EnvState::Installed { check: Check::NotYet | Check::Running | Check::Fine, .. })
    }
}

impl Envs {
    /// The environments that were on the disk at the start.
    pub fn new(on_disk: &[EnvOnDisk]) -> Self {
        let mut sorted: Vec<&EnvOnDisk> = on_disk.iter().collect();
        sorted.sort_by_key(|e| e.last_use);
        let mut envs = Self::default();
        for env in sorted {
            envs.uses += 1;
            let state = EnvState::Installed {
                size: env.size,
                last_use: envs.uses,
                last_use_unix: env.last_use,
                check: Check::NotYet,
            };
            envs.known.insert(env.id.clone(), Env::new(state));
        }
        envs
    }

    /// The environments that jobs can use.
    pub fn installed(&self) -> impl Iterator<Item = &EnvId> {
        self.known.iter().filter(|(_, e)| e.is_usable()).map(|(id, _)| id)
    }

    /// Whether jobs can use this environment.
    pub fn is_installed(&self, id: &EnvId) -> bool {
        self.known.get(id).is_some_and(Env::is_usable)
    }

    /// Whether it is arriving or being checked; its jobs wait then.
    pub fn is_undecided(&self, id: &EnvId) -> bool {
        self.known.get(id).is_some_and(|env| match env.state {
            EnvState::Arriving | EnvState::Installed { check: Check::Running, .. } => true,
            EnvState::Installed { .. } => env.waits_for_check(),
        })
    }

    /// Records a use; `unix` is the time in Unix seconds.
    pub fn touch(&mut self, id: &EnvId, unix: u32) {
        self.uses += 1;
        let uses = self.uses;
        if let Some(Env { state: EnvState::Installed { last_use, last_use_unix, .. }, .. }) = self.known.get_mut(id) {
            *last_use = uses;
            *last_use_unix = unix;
        }
    }

    /// Bytes on disk of all installed ones.
    pub fn size(&self) -> u64 {
        self.list().map(|(_, size, _)| size).fold(0, u64::saturating_add)
    }

    /// Id, bytes and last use in Unix seconds of all installed ones, for the dump.
    pub fn list(&self) -> impl Iterator<Item = (&EnvId, u64, u32)> {
        self.known.iter().filter_map(|(id, e)| match e.state {
            EnvState::Installed { size, last_use_unix, .. } => Some((id, size, last_use_unix)),
            EnvState::Arriving => None,
        })
    }

    /// How many are installed.
    pub fn number(&self) -> usize {
        self.list().count()
    }

    /// Whether it is installed, even if broken.
    pub fn is_on_disk(&self, id: &EnvId) -> bool {
        matches!(self.known.get(id), Some(Env { state: EnvState::Installed { .. }, .. }))
    }

    /// Whether it is arriving.
    pub fn is_arriving(&self, id: &EnvId) -> bool {
        self.known.get(id).is_some_and(Env::is_arriving)
    }

    /// A client wants to send an environment.
    pub fn offer(&mut self, id: &EnvId, unix: u32) -> Offer {
        if self.known.contains_key(id) {
            self.touch(id, unix);
            return Offer::Known;
        }
        if self.known.values().filter(|e| e.is_arriving()).count() >= ARRIVING_MAX {
            return Offer::TooMany;
        }
        self.known.insert(id.clone(), Env::new(EnvState::Arriving));
        Offer::Arrives
    }

    /// An arriving environment is installed and takes so many bytes.
    pub fn installed_now(&mut self, id: &EnvId, size: u64, unix: u32) {
        if let Some(env) = self.known.get_mut(id) {
            env.state = EnvState::Installed { size, last_use: 0, last_use_unix: 0, check: Check::NotYet };
        }
        self.touch(id, unix);
    }

    /// An environment is no longer here. Returns the connections that wait for its check.
    pub fn remove(&mut self, id: &EnvId) -> Vec<PeerId> {
        self.known.remove(id).map(|env| env.verifiers).unwrap_or_default()
    }

    /// VERIFY_ENV of this connection; `None` if the environment is neither here nor arriving.
    pub fn verify(&mut self, id: &EnvId, peer: PeerId) -> Option<Answer> {
        let env = self.known.get_mut(id)?;
        match env.state {
            EnvState::Installed { check: Check::Fine, .. } => return Some(Answer::Works(true)),
            EnvState::Installed { check: Check::Broken, .. } => return Some(Answer::Works(false)),
            _ => {}
        }
        if env.verifiers.contains(&peer) {
            return Some(Answer::Repeated);
        }
        env.verifiers.push(peer);
        Some(Answer::Later)
    }

    /// The environments whose check has not begun, with the connections that wait for it.
    pub fn unchecked(&self) -> impl Iterator<Item = (&EnvId, &[PeerId])> {
        self.known.iter().filter(|(_, env)| env.waits_for_check()).map(|(id, env)| (id, &env.verifiers[..]))
    }

    /// The check of an environment begins.
    pub fn begin_check(&mut self, id: &EnvId) {
        if let Some(Env { state: EnvState::Installed { check, .. }, .. }) = self.known.get_mut(id) {
            *check = Check::Running;
        }
    }

    /// The check has ended. Returns who waited for it, and the outcome: too many late ends make the environment a broken
    /// one. After a check that was stopped all wait on.
    pub fn verified(
        &mut self,
        now: Instant,
        id: &EnvId,
        outcome: Result<(), VerifyFailure>,
    ) -> Option<(Vec<PeerId>, Result<(), VerifyFailure>)> {
        let env = self.known.get_mut(id)?;
        let EnvState::Installed { check, .. } = &mut env.state else { return None };
        let outcome = match outcome {
            Err(VerifyFailure::Late(reason)) if now.since(*env.late.get_or_insert(now)) >= LATE_AGAIN => {
                Err(VerifyFailure::Environment(reason))
            }
            outcome => outcome,
        };
        *check = match outcome {
            Ok(()) => Check::Fine,
            Err(VerifyFailure::Environment(_)) => Check::Broken,
            Err(VerifyFailure::Host(_) | VerifyFailure::Late(_) | VerifyFailure::Stopped) => Check::NotYet,
        };
        if outcome == Err(VerifyFailure::Stopped) {
            return None;
        }
        Some((std::mem::take(&mut env.verifiers), outcome))
    }

    /// Marks an environment as broken; it is to be removed once no job runs in it.
    pub fn set_broken(&mut self, id: &EnvId) {
        if let Some(Env { state: EnvState::Installed { check, .. }, .. }) = self.known.get_mut(id) {
            *check = Check::Broken;
        }
    }

    /// The broken ones.
    pub fn broken(&self) -> impl Iterator<Item = &EnvId> {
        let broken = |e: &Env| matches!(e.state, EnvState::Installed { check: Check::Broken, .. });
        self.known.iter().filter(move |(_, e)| broken(e)).map(|(id, _)| id)
    }

    /// The least recently used one of those that are not being checked, were not used since `unix` in Unix seconds, and
    /// may go.
    pub fn oldest(&self, unix: u32, may_go: impl Fn(&EnvId) -> bool) -> Option<EnvId> {
        let unused = self.known.iter().filter_map(|(id, e)| match e.state {
            EnvState::Installed { last_use, last_use_unix, check, .. }
                if last_use_unix <= unix && check != Check::Running =>
            {
                Some((last_use, id))
            }
            EnvState::Installed { .. } | EnvState::Arriving => None,
        });
        unused.filter(|(_, id)| may_go(id)).min().map(|(_, id)| id.clone())
    }

    /// Removes a closed connection from those that wait for a check.
    pub fn waiter_gone(&mut self, peer: PeerId) {
        for env in self.known.values_mut() {
            env.verifiers.retain(|p| *p != peer);
        }
    }
}
