//! Slots. The number in use is computed from the states of the connections, so that none can get lost.

use super::peer::{Peer, State, Work};
use super::{CloseReason, Daemon, Grant, Note, Output};
use crate::ids::PeerId;
use crate::text::Text;
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum bytes of results that wait for clients to read them; beyond it the client of the largest one is closed. A
/// slot is free as soon as the compiler has ended, but the result still takes memory.
const UNREAD_MAX: u64 = 1 << 30;
/// The same for one address, which gets no further slot beyond it: clients on a slow line are not at fault, but must
/// not take the memory of others.
const UNREAD_PER_ADDRESS_MAX: u64 = UNREAD_MAX / 2;
/// How long running jobs may continue after SIGTERM (decision: orderly-stop).
const TERM_GRACE: Duration = Duration::from_secs(10);

impl Daemon {
    /// Number of slots; with `-m 0` local jobs still run, one at a time.
    pub(super) fn slots(&self) -> u32 {
        self.config.slots.max(1)
    }

    /// Number of slots in use. A full local job counts as all of them.
    pub(super) fn slots_used(&self) -> u32 {
        self.peers.values().map(|p| slots_held(p, self.slots())).fold(0, u32::saturating_add)
    }

    /// Number of jobs and unpackers that this daemon runs itself, for the dump.
    pub(super) fn children(&self) -> usize {
        let kid = |p: &&Peer| matches!(p.state, State::ToInstall(_) | State::WaitForChild { .. });
        self.peers.values().filter(kid).count()
    }

    /// Grants free slots: to local jobs first, then to clients' own compiles, then to remote jobs.
    pub(super) fn grant(&mut self, now: Instant) {
        if self.terminate_at.is_some() {
            return;
        }
        self.refuse_without_environment();
        loop {
            let used = self.slots_used();
            if let Some(peer) = self.next_own().filter(|_| used.saturating_sub(self.uploads()) < self.slots()) {
                self.start_own(now, peer);
            } else if let Some(peer) = self.next_remote().filter(|_| used < self.slots()) {
                self.start_remote(now, peer);
            } else {
                break;
            }
        }
    }

    /// Number of arriving environments. They take slots from remote jobs only: they mostly wait for their senders,
    /// which could block local work for as long as they like.
    fn uploads(&self) -> u32 {
        self.peers.values().map(|p| u32::from(matches!(p.state, State::ToInstall(_)))).sum()
    }

    /// Refuses jobs whose environment is missing or broken at once: waiting for a slot would not help, and their
    /// clients can request another server.
    fn refuse_without_environment(&mut self) {
        let hopeless = self.peers.iter().filter_map(|(id, p)| match &p.state {
            State::ToCompile { job, env, .. } if !self.envs.is_undecided(env) && !self.envs.is_installed(env) => {
                Some((*id, job.job, env.clone()))
            }
            _ => None,
        });
        for (peer, job, env) in hopeless.collect::<Vec<_>>() {
            let text = format!("environment {env} is not installed, removed?");
            self.note(Note::NoEnvironment(env, job.0));
            self.refuse(peer, &text, CloseReason::NoEnvironment);
        }
    }

    fn next_own(&self) -> Option<PeerId> {
        let link = self.peers.iter().filter(|(_, p)| matches!(p.state, State::LinkJob { .. }));
        if let Some((id, _)) = link.min_by_key(|(_, p)| p.client) {
            return Some(*id);
        }
        let pending = self.peers.iter().filter_map(|(id, p)| match p.state {
            State::PendingUseCs { niceness, .. } => Some((niceness, p.client, *id)),
            _ => None,
        });
        pending.min().map(|(_, _, id)| id)
    }

    /// The next remote job whose environment is ready; none while the host is too busy.
    fn next_remote(&self) -> Option<PeerId> {
        if !self.load.takes_jobs() {
            return None;
        }
        let mut unread: BTreeMap<&Text, u64> = BTreeMap::new();
        for peer in self.peers.values() {
            *unread.entry(&peer.address).or_default() += peer.sending;
        }
        let reads = |p: &Peer| unread.get(&p.address).is_none_or(|bytes| *bytes <= UNREAD_PER_ADDRESS_MAX);
        let ready = self.peers.iter().filter_map(|(id, p)| match &p.state {
            State::ToCompile { env, .. } if !self.envs.is_undecided(env) && reads(p) => Some((p.client, *id)),
            _ => None,
        });
        ready.min().map(|(_, id)| id)
    }

    /// Closes clients while unread results exceed [`UNREAD_MAX`]. A single result may be as large as a job's files may
    /// be.
    pub(super) fn keep_unread_limit(&mut self) {
        loop {
            let sending = self.peers.iter().filter(|(_, p)| p.sending > 0).map(|(id, p)| (p.sending, *id));
            let (count, sum) =
                sending.clone().fold((0, 0_u64), |(n, sum), (bytes, _)| (n + 1, sum.saturating_add(bytes)));
            match sending.max() {
                Some((_, peer)) if count > 1 && sum > UNREAD_MAX => self.close(peer, CloseReason::Unread),
                _ => return,
            }
        }
    }

    fn start_remote(&mut self, now: Instant, peer: PeerId) {
        let Some(slot) = self.free_slot() else { return };
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let State::ToCompile { job, env, file } = std::mem::replace(&mut entry.state, State::Unknown) else { return };
        entry.state = State::WaitForChild { job, env: env.clone(), slot, since: now };
        self.envs.touch(&env, self.unix(now));
        let memory_mib = self.load.memory_limit(self.config.slots);
        self.note(Note::RemoteCompile(file.input_file.clone()));
        self.note(Note::MemoryLimit(memory_mib));
        self.job_begin(now, job);
        self.outputs.push_back(Output::Grant(Grant { peer, slot, env, job: *file, memory_mib }));
    }

    /// The lowest slot number that no running job has.
    fn free_slot(&self) -> Option<u16> {
        let taken: BTreeSet<u16> = self.peers.values().filter_map(|p| slot_of(&p.state)).collect();
        (0..u16::MAX).find(|n| !taken.contains(n))
    }

    /// SIGTERM: accepts nothing new; running jobs may end within [`TERM_GRACE`] (decision: orderly-stop).
    pub(super) fn terminate(&mut self, now: Instant) {
        if self.terminate_at.is_some() {
            self.terminate_at = Some(now);
            return;
        }
        self.terminate_at = Some(now + TERM_GRACE);
        self.outputs.push_back(Output::StopListening);
        let idle: Vec<PeerId> = self.peers.iter().filter(|(_, p)| !is_running(&p.state)).map(|(id, _)| *id).collect();
        for peer in idle {
            self.close(peer, CloseReason::Stopping);
        }
    }

    /// While stopping: exits when nothing runs any more, or kills what runs when the grace period is over.
    pub(super) fn exit_if_done(&mut self, now: Instant) {
        let Some(at) = self.terminate_at else { return };
        if self.exited {
            return;
        }
        if at <= now {
            let left: Vec<PeerId> = self.peers.keys().copied().collect();
            for peer in left {
                self.outputs.push_back(Output::Kill(peer));
                self.close(peer, CloseReason::Stopping);
            }
        }
        if self.peers.is_empty() {
            if self.session.current().is_some() {
                self.outputs.push_back(Output::CloseScheduler);
            }
            self.exited = true;
            self.outputs.push_back(Output::Exit);
        }
    }

    /// Checks that no slot was granted twice and none exceeds the number of slots.
    pub(super) fn check_slots(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for peer in self.peers.values() {
            if let Some(slot) = slot_of(&peer.state) {
                if !seen.insert(slot) {
                    return Err(format!("slot {slot} was granted twice"));
                }
                if u32::from(slot) >= self.slots() {
                    return Err(format!("slot {slot} of {}", self.slots()));
                }
            }
        }
        Ok(())
    }
}

/// Work that may end after SIGTERM: remote jobs and sending their results.
fn is_running(state: &State) -> bool {
    matches!(state, State::WaitForChild { .. } | State::Sending)
}

fn slot_of(state: &State) -> Option<u16> {
    match state {
        State::WaitForChild { slot, .. } => Some(*slot),
        _ => None,
    }
}

/// Number of slots that a connection holds; `all` is the number of slots.
fn slots_held(peer: &Peer, all: u32) -> u32 {
    match &peer.state {
        State::ClientWork(Work::Local { full: true, .. }) => all,
        State::ClientWork(_) | State::ToInstall(_) | State::WaitForChild { .. } => 1,
        _ => 0,
    }
}
