//! The environments for remote jobs: which are here, whether they work, and when they were last used.

use super::arrivals::{Arrival, Arrivals};
use super::uses::Uses;
use crate::env::{EnvId, EnvName};
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
    /// What it holds, as [`Arrived::content`] would be; unknown if an older daemon installed it.
    pub content: Option<EnvName>,
}

/// What an archive turned out to hold when it was unpacked. A plain value from the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Bytes that it takes on disk.
    pub size: u64,
    /// The content name of its bytes.
    pub digest: EnvName,
    /// Whether the name that it came by was made of its content, by us or by 1.4.
    pub proven: bool,
}

impl Arrived {
    /// What tells it from others of the same name: a name that is proven says it all.
    pub fn content(&self, name: &EnvName) -> EnvName {
        if self.proven { name.clone() } else { self.digest.clone() }
    }
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
    arrivals: Arrivals,
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
    /// Other content was brought by its name.
    contested: bool,
}

#[derive(Debug)]
enum EnvState {
    /// Somebody brings it.
    Arriving,
    /// It is unpacked, and gets its place.
    Installing(Kept),
    Installed {
        kept: Kept,
        uses: Uses,
        check: Check,
    },
}

/// What is known of an unpacked environment.
#[derive(Debug)]
struct Kept {
    size: u64,
    content: Option<EnvName>,
    /// Who brought it; empty if that is not known.
    bringer: Text,
}

/// An installed environment that is not being checked: one that could go. A plain value.
#[derive(Debug)]
pub(super) struct Idle<'a> {
    /// Which.
    pub id: &'a EnvId,
    /// Its bytes on disk.
    pub size: u64,
    /// Who brought it; empty if that is not known.
    pub bringer: &'a Text,
    /// When it was used, and by whom.
    pub uses: &'a Uses,
}

/// Where an unpacked archive belongs. A plain value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The environment that it is, or is to be.
    pub id: EnvId,
    /// What that holds.
    pub content: EnvName,
    /// Whether the same is there already.
    pub is_taken: bool,
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
    /// It arrives from now on, and may take so many bytes.
    Arrives(u64),
    /// It is here or arriving already: what comes is the same.
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

/// A check that does not end in time counts against the environment if the first late one was at least this long ago: a
/// host may be busy for a while.
const LATE_AGAIN: Duration = Duration::from_secs(60);

impl Env {
    const fn new(state: EnvState) -> Self {
        Self { state, verifiers: Vec::new(), late: None, contested: false }
    }

    fn kept(&self) -> Option<&Kept> {
        match &self.state {
            EnvState::Arriving => None,
            EnvState::Installing(kept) | EnvState::Installed { kept, .. } => Some(kept),
        }
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
            let kept = Kept { size: env.size, content: env.content.clone(), bringer: Text::new() };
            let uses = Uses::new(envs.uses, Text::new(), env.last_use);
            let state = EnvState::Installed { kept, uses, check: Check::NotYet };
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
        self.known.get(id).is_some_and(|env| match &env.state {
            EnvState::Arriving | EnvState::Installing(_) => true,
            EnvState::Installed { check, .. } => *check == Check::Running || env.waits_for_check(),
        })
    }

    /// Records a use by an address; `unix` is the time in Unix seconds.
    pub fn touch(&mut self, id: &EnvId, address: &Text, unix: u32) {
        self.uses += 1;
        if let Some(Env { state: EnvState::Installed { uses, .. }, .. }) = self.known.get_mut(id) {
            uses.add(self.uses, address, unix);
        }
    }

    /// Bytes on disk of all that are installed, or will be in a moment.
    pub fn size(&self) -> u64 {
        self.kept().map(|kept| kept.size).fold(0, u64::saturating_add)
    }

    /// How many of them an address brought, and the bytes of these.
    pub fn brought_by(&self, address: &Text) -> (usize, u64) {
        let brought = self.kept().filter(|kept| kept.bringer == *address);
        brought.fold((0, 0), |(number, bytes), kept| (number + 1, bytes.saturating_add(kept.size)))
    }

    fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.known.values().filter_map(Env::kept)
    }

    /// Id, bytes and last use in Unix seconds of all installed ones, for the dump.
    pub fn list(&self) -> impl Iterator<Item = (&EnvId, u64, u32)> {
        self.known.iter().filter_map(|(id, e)| match &e.state {
            EnvState::Installed { kept, uses, .. } => Some((id, kept.size, uses.last())),
            EnvState::Arriving | EnvState::Installing(_) => None,
        })
    }

    /// How many are installed, or will be in a moment.
    pub fn number(&self) -> usize {
        self.kept().count()
    }

    /// Whether it is installed, even if broken.
    pub fn is_on_disk(&self, id: &EnvId) -> bool {
        matches!(self.known.get(id), Some(Env { state: EnvState::Installed { .. }, .. }))
    }

    /// What an environment holds that is installed or will be in a moment, as far as that is known.
    pub fn content(&self, id: &EnvId) -> Option<&EnvName> {
        self.known.get(id)?.kept()?.content.as_ref()
    }

    /// Whether somebody brings it, and nobody's archive was unpacked so far.
    pub fn is_awaited(&self, id: &EnvId) -> bool {
        self.known.get(id).is_some_and(|env| matches!(env.state, EnvState::Arriving))
    }

    /// A connection from an address wants to send an environment. What comes by the name of its content is the same as
    /// what is here, or is no good; and an address is asked for nothing twice at a time. What another one brings is not
    /// waited for: it may never end, or be no good.
    pub fn offer(&mut self, peer: PeerId, id: &EnvId, address: &Text, unix: u32, cache_limit: u64) -> Offer {
        let is_known = id.name.is_content_name() && self.known.get(id).and_then(Env::kept).is_some();
        if is_known || self.arrivals.are_from(address, id) {
            self.touch(id, address, unix);
            return Offer::Known;
        }
        let Some(room) = self.arrivals.begin(peer, id, address, cache_limit) else { return Offer::TooMany };
        self.known.entry(id.clone()).or_insert(Env::new(EnvState::Arriving));
        Offer::Arrives(room)
    }

    /// What a connection brings.
    pub fn arrival(&self, peer: PeerId) -> Option<&Arrival> {
        self.arrivals.of(peer)
    }

    /// Where an archive belongs that came by this name: what is not the same as that has a place of its own, by its
    /// content.
    pub fn place(&self, id: &EnvId, arrived: &Arrived) -> Place {
        let content = arrived.content(&id.name);
        match self.known.get(id).and_then(Env::kept) {
            None => Place { id: id.clone(), content, is_taken: false },
            Some(kept) if kept.content.as_ref() == Some(&content) => Place { id: id.clone(), content, is_taken: true },
            Some(_) => {
                let own = EnvId { platform: id.platform.clone(), name: arrived.digest.clone() };
                let is_taken = self.known.get(&own).and_then(Env::kept).is_some();
                Place { id: own, content: arrived.digest.clone(), is_taken }
            }
        }
    }

    /// What a connection brought is being installed.
    pub fn install(&mut self, peer: PeerId, place: &Place, size: u64) {
        let Some(bringer) = self.arrivals.of(peer).map(|arrival| arrival.address().clone()) else { return };
        self.arrivals.installs(peer, &place.id);
        let kept = Kept { size, content: Some(place.content.clone()), bringer };
        let env = self.known.entry(place.id.clone()).or_insert(Env::new(EnvState::Arriving));
        env.state = EnvState::Installing(kept);
    }

    /// Other content was brought by the name of this one.
    pub fn contest(&mut self, id: &EnvId) {
        if let Some(env) = self.known.get_mut(id) {
            env.contested = true;
        }
    }

    /// Whether other content was brought by its name.
    pub fn is_contested(&self, id: &EnvId) -> bool {
        self.known.get(id).is_some_and(|env| env.contested)
    }

    /// What a connection brought is over, whatever became of it.
    pub fn arrival_ends(&mut self, peer: PeerId) -> Option<Arrival> {
        self.arrivals.end(peer)
    }

    /// An environment is installed. Returns its size.
    pub fn installed_now(&mut self, id: &EnvId, unix: u32) -> u64 {
        let Some(env) = self.known.get_mut(id) else { return 0 };
        match std::mem::replace(&mut env.state, EnvState::Arriving) {
            EnvState::Installing(kept) => {
                self.uses += 1;
                let (size, uses) = (kept.size, Uses::new(self.uses, kept.bringer.clone(), unix));
                env.state = EnvState::Installed { kept, uses, check: Check::NotYet };
                size
            }
            other => {
                env.state = other;
                0
            }
        }
    }

    /// An environment that was unpacked could not be installed.
    pub fn not_installed(&mut self, id: &EnvId) {
        if let Some(env) = self.known.get_mut(id).filter(|env| matches!(env.state, EnvState::Installing(_))) {
            env.state = EnvState::Arriving;
        }
    }

    /// Whether nobody brings what others wait for.
    pub fn is_lost(&self, id: &EnvId) -> bool {
        self.is_awaited(id) && !self.arrivals.include(id)
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

    /// Those whose names are not made of their content, as far as is known.
    pub fn unproven(&self) -> impl Iterator<Item = &EnvId> {
        let is_proven = |id: &EnvId, e: &Env| e.kept().is_some_and(|kept| kept.content.as_ref() == Some(&id.name));
        self.known.iter().filter(move |(id, e)| !is_proven(id, e)).map(|(id, _)| id)
    }

    /// Those that could go: installed, and not being checked.
    pub fn idle(&self) -> impl Iterator<Item = Idle<'_>> {
        self.known.iter().filter_map(|(id, e)| match &e.state {
            EnvState::Installed { kept, uses, check } if *check != Check::Running => {
                Some(Idle { id, size: kept.size, bringer: &kept.bringer, uses })
            }
            _ => None,
        })
    }

    /// Removes a closed connection from those that wait for a check.
    pub fn waiter_gone(&mut self, peer: PeerId) {
        for env in self.known.values_mut() {
            env.verifiers.retain(|p| *p != peer);
        }
    }
}
