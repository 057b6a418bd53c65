//! Environments for remote jobs: installing, verifying, and removing them when a limit is reached.

use super::peer::State;
use super::{CloseReason, Daemon, Note, Output};
use crate::env::EnvId;
use crate::ids::PeerId;
use crate::limits::{ENVIRONMENTS_MAX, FRAME_MAX, NAME_MAX};
use crate::message::{EnvTarget, Message};
use crate::text::Text;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

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

/// Which limit is exceeded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Excess {
    /// Number of environments: every LOGIN lists them all, and a list that exceeds a frame would end the connection to
    /// the scheduler.
    Number,
    /// Bytes of environments and native archives.
    Bytes,
}

/// Maximum number of environments that arrive at a time: each takes an unpacker, and disk up to the size of the largest
/// environment or all that is free.
const ARRIVING_MAX: usize = 16;

// While environments are in use the limits may be exceeded by a factor of 2; even then LOGIN fits into a frame.
const _: () = assert!(2 * ENVIRONMENTS_MAX * 2 * (NAME_MAX + 8) < FRAME_MAX / 4 * 3);
/// A check that does not end in time counts against the environment if the first late one was at least this long ago: a
/// host may be busy for a while.
const LATE_AGAIN: Duration = Duration::from_secs(60);

impl Env {
    const fn new(state: EnvState) -> Self {
        Self { state, verifiers: Vec::new(), late: None }
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
        match self.known.get(id).map(|e| &e.state) {
            Some(EnvState::Arriving | EnvState::Installed { check: Check::Running, .. }) => true,
            Some(EnvState::Installed { .. }) | None => false,
        }
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

    /// Id and order of last use of the installed ones that have not been used since `unix`, in Unix seconds.
    fn unused_since(&self, unix: u32) -> impl Iterator<Item = (&EnvId, u64)> {
        self.known.iter().filter_map(move |(id, e)| match e.state {
            EnvState::Installed { last_use, last_use_unix, .. } if last_use_unix <= unix => Some((id, last_use)),
            EnvState::Installed { .. } | EnvState::Arriving => None,
        })
    }
}

impl Daemon {
    /// TRANSFER_ENV: a client sends an environment. It is discarded if it is already here or arriving.
    pub(super) fn transfer_env(&mut self, now: Instant, peer: PeerId, target: &EnvTarget) {
        let Some(env) = self.env_of(target) else {
            return self.close(peer, CloseReason::BadEnvironment);
        };
        if self.config.no_remote {
            return self.refuse(peer, "no environments accepted", CloseReason::BadEnvironment);
        }
        self.release(peer);
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.pinned = Some(env.clone());
        }
        if self.envs.known.contains_key(&env) {
            self.envs.touch(&env, self.unix(now));
            self.outputs.push_back(Output::Discard(peer));
            return;
        }
        let arriving = self.envs.known.values().filter(|e| matches!(e.state, EnvState::Arriving)).count();
        if arriving >= ARRIVING_MAX {
            return self.refuse(peer, "too many environments arrive", CloseReason::BadEnvironment);
        }
        self.envs.known.insert(env.clone(), Env::new(EnvState::Arriving));
        self.set_state(peer, State::ToInstall(env.clone()));
        self.outputs.push_back(Output::Receive(peer, env));
    }

    /// An environment was installed, or could not be.
    pub(super) fn env_received(&mut self, now: Instant, peer: PeerId, env: &EnvId, outcome: Result<u64, Text>) {
        if !matches!(self.envs.known.get(env), Some(Env { state: EnvState::Arriving, .. })) {
            return;
        }
        if let Some(entry) = self.peers.get_mut(&peer).filter(|p| matches!(p.state, State::ToInstall(_))) {
            entry.state = State::Unknown;
            entry.active = now;
        }
        match outcome {
            Ok(size) => self.env_installed(now, env, size),
            Err(reason) => {
                if let Some(entry) = self.peers.get_mut(&peer) {
                    entry.refusal = Some((env.clone(), reason.clone()));
                }
                self.env_gone(env, &format!(": {reason}"));
                self.note(Note::NotInstalled(env.clone(), reason));
            }
        }
        // After every attempt, as in 1.4, whose scheduler considers the host "busy installing" until then.
        self.session.announce_again();
        self.load.force();
        self.measure_if_due(now);
    }

    fn env_installed(&mut self, now: Instant, env: &EnvId, size: u64) {
        if let Some(entry) = self.envs.known.get_mut(env) {
            entry.state = EnvState::Installed { size, last_use: 0, last_use_unix: 0, check: Check::NotYet };
        }
        self.envs.touch(env, self.unix(now));
        let all = self.envs.size().saturating_add(self.natives.size());
        self.note(Note::Installed(env.clone(), size, all));
        self.keep_cache_limit(now, Some(env));
        self.verify_if_wanted(env);
    }

    /// Removes the entry of an environment that is not installed, and answers those that wait for its check. They are
    /// not told that it was refused: the archives that they sent themselves were never examined.
    fn env_gone(&mut self, env: &EnvId, why: &str) {
        if let Some(entry) = self.envs.known.remove(env) {
            for peer in entry.verifiers {
                self.refuse(peer, &format!("environment {env} is not installed{why}"), CloseReason::NoEnvironment);
            }
        }
    }

    /// VERIFY_ENV: answers at once if the result is known, or after the check.
    pub(super) fn verify_env(&mut self, peer: PeerId, target: &EnvTarget) {
        let env = self.env_of(target).filter(|env| self.envs.known.contains_key(env));
        let Some(env) = env else {
            let refusal = self.peers.get_mut(&peer).and_then(|entry| entry.refusal.take());
            let why = match refusal {
                Some((env, reason)) if target.name == env.name.as_str() => format!(": {reason}"),
                _ => String::new(),
            };
            let text = format!("environment {}({}) is not installed{why}", target.name, target.target);
            return self.answer(peer, false, Some(text));
        };
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.pinned = Some(env.clone());
        }
        if let Some(entry) = self.envs.known.get_mut(&env) {
            match entry.state {
                EnvState::Installed { check: Check::Fine, .. } => return self.answer(peer, true, None),
                EnvState::Installed { check: Check::Broken, .. } => return self.answer(peer, false, None),
                _ => {}
            }
            if entry.verifiers.contains(&peer) {
                // A repeated request before the answer. No client does that, and each would take memory.
                return self.unexpected(peer);
            }
            entry.verifiers.push(peer);
        }
        self.verify_if_wanted(&env);
    }

    fn verify_if_wanted(&mut self, env: &EnvId) {
        let Some(entry) = self.envs.known.get_mut(env) else { return };
        if let EnvState::Installed { check: check @ Check::NotYet, .. } = &mut entry.state {
            if !entry.verifiers.is_empty() {
                *check = Check::Running;
                self.outputs.push_back(Output::Verify(env.clone()));
            }
        }
    }

    /// The check of an environment has ended: answers all that wait for it.
    pub(super) fn env_verified(&mut self, now: Instant, env: &EnvId, outcome: Result<(), VerifyFailure>) {
        let Some(entry) = self.envs.known.get_mut(env) else { return };
        let EnvState::Installed { check, .. } = &mut entry.state else { return };
        let outcome = match outcome {
            Err(VerifyFailure::Late(reason)) if now.since(*entry.late.get_or_insert(now)) >= LATE_AGAIN => {
                Err(VerifyFailure::Environment(reason))
            }
            outcome => outcome,
        };
        *check = if outcome.is_ok() { Check::Fine } else { Check::NotYet };
        let verifiers = std::mem::take(&mut entry.verifiers);
        // VERIFY_ENV_RESULT is a verdict on host and environment, after which the client has the host blacklisted. A
        // text and the end of the connection are only a failure of this attempt.
        let no_verdict = match &outcome {
            Err(VerifyFailure::Host(reason) | VerifyFailure::Late(reason)) => {
                Some(format!("cannot verify environment {env} now: {reason}"))
            }
            Ok(()) | Err(VerifyFailure::Environment(_)) => None,
        };
        let (ok, broken) = (outcome.is_ok(), matches!(outcome, Err(VerifyFailure::Environment(_))));
        self.note(match outcome {
            Ok(()) => Note::Verified(env.clone(), Ok(())),
            Err(VerifyFailure::Environment(reason)) => Note::Verified(env.clone(), Err(reason)),
            Err(VerifyFailure::Host(reason) | VerifyFailure::Late(reason)) => Note::NotVerified(env.clone(), reason),
        });
        for peer in verifiers {
            match &no_verdict {
                Some(text) => self.refuse(peer, text, CloseReason::NoEnvironment),
                None => self.answer(peer, ok, None),
            }
        }
        if broken {
            self.env_broken(env);
        }
    }

    /// Marks an environment as broken; it is removed once no job runs in it.
    pub(super) fn env_broken(&mut self, env: &EnvId) {
        if let Some(Env { state: EnvState::Installed { check, .. }, .. }) = self.envs.known.get_mut(env) {
            *check = Check::Broken;
        }
        self.sweep_broken();
    }

    /// Removes broken environments in which no job runs any more.
    pub(super) fn sweep_broken(&mut self) {
        let broken = |e: &Env| matches!(e.state, EnvState::Installed { check: Check::Broken, .. });
        let runs_in = |id: &EnvId| self.peers.values().any(|p| job_env(&p.state) == Some(id));
        let gone = self.envs.known.iter().filter(|(id, e)| broken(e) && !runs_in(id));
        let gone: Vec<EnvId> = gone.map(|(id, _)| id.clone()).collect();
        for env in gone {
            self.remove_env(&env, "broken");
        }
    }

    fn remove_env(&mut self, env: &EnvId, why: &'static str) {
        self.outputs.push_back(Output::Remove(env.clone()));
        self.note(Note::Removed(env.clone(), why));
        self.env_gone(env, "");
    }

    /// Removes the least recently used environments and archives until the limits are met, except those in use and
    /// `just_came`. Recently used ones stay up to twice the limits.
    pub(super) fn keep_cache_limit(&mut self, now: Instant, just_came: Option<&EnvId>) {
        let unix = self.unix(now);
        while let Some(excess) = self.excess(1) {
            let spares = self.excess(2).is_none();
            let unused =
                self.envs.unused_since(if spares { unix.saturating_sub(self.config.cache_kept) } else { u32::MAX });
            let idle = unused.filter(|(id, _)| Some(*id) != just_came && !self.is_in_use(id));
            let oldest = idle.min_by_key(|(_, last_use)| *last_use).map(|(id, _)| id.clone());
            let native = if excess == Excess::Bytes { self.natives.evict(now) } else { None };
            if let Some((key, path)) = native {
                self.outputs.push_back(Output::RemoveNative(key, path));
            } else if let Some(env) = oldest {
                self.remove_env(&env, "cache limit");
            } else {
                break;
            }
        }
        // All others are in use, possibly by clients that send more and more of them.
        if let Some(env) = just_came.filter(|_| self.envs.list().count() > 1 && self.excess(2).is_some()) {
            self.remove_env(env, "cache limit, all others are in use");
        }
    }

    /// The limit that is exceeded more than `times`-fold, if any.
    fn excess(&self, times: u8) -> Option<Excess> {
        if self.envs.list().count() > ENVIRONMENTS_MAX * usize::from(times) {
            return Some(Excess::Number);
        }
        let bytes = self.envs.size().saturating_add(self.natives.size());
        (bytes > self.config.cache_limit.saturating_mul(times.into())).then_some(Excess::Bytes)
    }

    fn is_in_use(&self, env: &EnvId) -> bool {
        self.envs.is_undecided(env) || self.peers.values().any(|p| p.pinned.as_ref() == Some(env))
    }

    /// Removes a closed connection from those that wait for a check.
    pub(super) fn verifier_gone(&mut self, peer: PeerId) {
        for env in self.envs.known.values_mut() {
            env.verifiers.retain(|p| *p != peer);
        }
    }

    fn env_of(&mut self, target: &EnvTarget) -> Option<EnvId> {
        let platform = if target.target.is_empty() { &self.config.platform } else { &target.target };
        match EnvId::new(platform.as_bytes(), target.name.as_bytes()) {
            Ok(env) => Some(env),
            Err(error) => {
                self.note(Note::BadName(error.to_string().into()));
                None
            }
        }
    }

    fn answer(&mut self, peer: PeerId, ok: bool, text: Option<String>) {
        if let Some(text) = text {
            if self.peers.get(&peer).is_some_and(|p| p.version.has_status_text()) {
                self.send(peer, Message::StatusText { text: text.into() });
            }
        }
        self.send(peer, Message::VerifyEnvResult { ok: u32::from(ok) });
    }

    /// Checks that connections and environments agree.
    pub(super) fn check_envs(&self) -> Result<(), String> {
        for peer in self.peers.values() {
            if let State::WaitForChild { env, .. } = &peer.state {
                if !matches!(self.envs.known.get(env), Some(Env { state: EnvState::Installed { .. }, .. })) {
                    return Err(format!("a job runs in {env}, which is not installed"));
                }
            }
            if let State::ToInstall(env) = &peer.state {
                if !matches!(self.envs.known.get(env), Some(Env { state: EnvState::Arriving, .. })) {
                    return Err(format!("{env} is received, but not arriving"));
                }
            }
        }
        Ok(())
    }
}

/// The environment in which a job runs.
fn job_env(state: &State) -> Option<&EnvId> {
    match state {
        State::WaitForChild { env, .. } => Some(env),
        _ => None,
    }
}
