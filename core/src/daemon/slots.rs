//! Slots: how many are used follows from the states of the connections, so that none can get lost.

use super::peer::{Peer, State, Work};
use super::{CloseReason, Daemon, Grant, Note, Output, TERM_GRACE};
use crate::ids::PeerId;
use crate::text::Text;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of objects that wait for clients who do not read them; past that the client of the largest is cut. A slot is free as soon
/// as the compiler has ended, but its object still takes memory.
const UNREAD_MAX: u64 = 1 << 30;
/// The same for one address, which gets no further slot past that: a client behind a slow line only takes its time, and must not
/// cost others theirs.
const UNREAD_PER_ADDRESS_MAX: u64 = UNREAD_MAX / 2;

impl Daemon {
    /// Slots in all: with `-m 0` local jobs still run, one at a time.
    pub(super) fn slots(&self) -> u32 {
        self.config.slots.max(1)
    }

    /// Slots in use. A full local job counts for all of them.
    pub(super) fn slots_used(&self) -> u32 {
        self.peers.values().map(|p| units(p, self.slots())).fold(0, u32::saturating_add)
    }

    /// Jobs and unpackers that this daemon runs itself, for the dump.
    pub(super) fn kids(&self) -> usize {
        let kid = |p: &&Peer| matches!(p.state, State::ToInstall(_) | State::WaitForChild { .. });
        self.peers.values().filter(kid).count()
    }

    /// Gives free slots out: local jobs first, then clients' own compiles, then jobs of others.
    pub(super) fn grant(&mut self, now: Instant) {
        if self.terminate_at.is_some() {
            return;
        }
        self.refuse_without_environment();
        loop {
            let used = self.slots_used();
            if let Some(peer) = self.next_own().filter(|_| used.saturating_sub(self.uploads()) < self.slots()) {
                self.start_own(now, peer);
            } else if let Some(peer) = self.next_foreign().filter(|_| used < self.slots()) {
                self.start_foreign(now, peer);
            } else {
                break;
            }
        }
    }

    /// Environments that arrive. They take slots from jobs of others only: they mostly wait for their sender, and would hold up
    /// what is built here for as long as anybody likes.
    fn uploads(&self) -> u32 {
        self.peers.values().map(|p| u32::from(matches!(p.state, State::ToInstall(_)))).sum()
    }

    /// Jobs whose environment is not here, or is broken, are told so at once: no slot changes it, and their clients can ask the
    /// scheduler anew.
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

    /// The next job of others: not while the host is too busy, nor while its environment still arrives or is checked.
    fn next_foreign(&self) -> Option<PeerId> {
        if !self.stats.takes_jobs() {
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

    /// Objects that wait for their clients must not take all memory. One alone may be as large as jobs' files may be.
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

    fn start_foreign(&mut self, now: Instant, peer: PeerId) {
        let Some(slot) = self.free_slot() else { return };
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let State::ToCompile { job, env, file } = std::mem::replace(&mut entry.state, State::Unknown) else { return };
        entry.state = State::WaitForChild { job, env: env.clone(), slot, since: now };
        self.envs.touch(&env, self.unix(now));
        let memory_mib = self.stats.memory_limit(self.config.slots);
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

    /// TERM: nothing new is taken; what runs may end within a while (decision: orderly-stop).
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

    /// After TERM: leaves when nothing runs any more, or when the grace is over.
    pub(super) fn leave_if_done(&mut self, now: Instant) {
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

/// Work that TERM lets end: jobs of others, and the way of their objects.
fn is_running(state: &State) -> bool {
    matches!(state, State::WaitForChild { .. } | State::Sending)
}

fn slot_of(state: &State) -> Option<u16> {
    match state {
        State::WaitForChild { slot, .. } => Some(*slot),
        _ => None,
    }
}

/// Slots that a connection holds.
fn units(peer: &Peer, all: u32) -> u32 {
    match &peer.state {
        State::ClientWork(Work::Local { full: true, .. }) => all,
        State::ClientWork(_) | State::ToInstall(_) | State::WaitForChild { .. } => 1,
        _ => 0,
    }
}
