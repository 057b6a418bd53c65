//! All connections. Which slots are in use follows from their states, so that no slot can get lost.

use super::Origin;
use super::job::SessionJob;
use super::peer::Peer;
use super::served::Served;
use crate::env::EnvId;
use crate::ids::{ClientId, JobId, PeerId};
use crate::message::Message;
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum bytes of results that wait for clients to read them; beyond it the client of the largest one is closed. A
/// slot is free as soon as the compiler has ended, but the result still takes memory.
const UNREAD_MAX: u64 = 1 << 30;
/// The same for one address, which gets no further slot beyond it: clients on a slow line are not at fault, but must
/// not take the memory of others.
const UNREAD_PER_ADDRESS_MAX: u64 = UNREAD_MAX / 2;

/// All connections by their numbers.
#[derive(Debug, Default)]
pub(super) struct Connections {
    peers: BTreeMap<PeerId, Peer>,
    /// Number of the last client; they are numbered from 1.
    opened: u32,
}

impl Connections {
    /// A client connected. Returns its number.
    pub fn open(&mut self, now: Instant, peer: PeerId, version: Version, address: Text, origin: Origin) -> ClientId {
        self.opened = self.opened.wrapping_add(1).max(1);
        let client = ClientId(self.opened);
        self.peers.insert(peer, Peer::new(now, client, version, address, origin));
        client
    }

    /// One of them.
    pub fn get(&self, peer: PeerId) -> Option<&Peer> {
        self.peers.get(&peer)
    }

    /// One of them, to change it.
    pub fn get_mut(&mut self, peer: PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(&peer)
    }

    /// Takes one out.
    pub fn remove(&mut self, peer: PeerId) -> Option<Peer> {
        self.peers.remove(&peer)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.peers.len()).unwrap_or(u32::MAX)
    }

    /// The numbers of those of which something is true.
    pub fn which(&self, is: impl Fn(&Peer) -> bool) -> Vec<PeerId> {
        self.peers.iter().filter(|(_, p)| is(p)).map(|(id, _)| *id).collect()
    }

    /// The connection of a client that waits for an answer to GET_CS.
    pub fn requester(&mut self, client: ClientId) -> Option<(PeerId, &mut Peer)> {
        let mut all = self.peers.iter_mut().map(|(id, p)| (*id, p));
        all.find(|(_, p)| p.client() == client && p.awaits_answer())
    }

    /// Answers all requests without a scheduler. Returns their clients.
    pub fn answer_here(&mut self) -> Vec<ClientId> {
        self.peers.values_mut().filter_map(|p| p.answer_here(false).then(|| p.client())).collect()
    }

    /// What a new scheduler must hear of them.
    pub fn resume(&mut self, session: Option<u32>) -> Vec<Message> {
        let count = self.count();
        self.peers.values_mut().filter_map(|p| p.resume(session, count)).collect()
    }

    /// Whether another connection than `by` already serves or builds this job here.
    pub fn is_taken(&self, job: SessionJob, by: PeerId) -> bool {
        // A client of this host may have its own job served by this daemon.
        let own = self.get(by).is_some_and(Peer::is_of_this_host);
        self.iter().any(|p| p.served().is_some_and(|served| served.job() == job) || !own && p.has_own(job))
    }

    /// Whether a connection keeps this environment from being evicted.
    pub fn have_pinned(&self, env: &EnvId) -> bool {
        self.iter().any(|p| p.has_pinned(env))
    }

    /// Whether a job runs in this environment.
    pub fn run_in(&self, env: &EnvId) -> bool {
        self.iter().any(|p| p.runs().is_some_and(|(_, its)| its == Some(env)))
    }

    /// Number of slots in use, of `all`. A full local job counts as all of them.
    pub fn slots_used(&self, all: u32) -> u32 {
        self.iter().map(|p| p.slots_held(all)).fold(0, u32::saturating_add)
    }

    /// Number of arriving environments. They take slots from remote jobs only: they mostly wait for their senders,
    /// which could block local work for as long as they like.
    pub fn uploads(&self) -> u32 {
        self.iter().map(|p| u32::from(p.receives().is_some())).sum()
    }

    /// Number of jobs and unpackers that this daemon runs itself.
    pub fn children(&self) -> usize {
        self.iter().filter(|p| p.receives().is_some() || p.runs().is_some()).count()
    }

    fn slots(&self) -> impl Iterator<Item = u16> {
        self.iter().filter_map(|p| p.runs().map(|(slot, _)| slot))
    }

    /// The lowest slot number that no running job has.
    pub fn free_slot(&self) -> Option<u16> {
        let taken: BTreeSet<u16> = self.slots().collect();
        (0..u16::MAX).find(|n| !taken.contains(n))
    }

    /// The next client that gets a slot for its own work.
    pub fn next_own(&self) -> Option<PeerId> {
        self.peers.iter().filter_map(|(id, p)| Some((p.own_turn()?, *id))).min().map(|(_, id)| id)
    }

    /// The next remote job that gets a slot, of those that are ready. The last ones are those of which
    /// the scheduler does not know.
    pub fn next_remote(
        &self,
        is_ready: impl Fn(&Served) -> bool,
        is_unknown: impl Fn(&Served) -> bool,
    ) -> Option<PeerId> {
        let mut unread: BTreeMap<&Text, u64> = BTreeMap::new();
        for peer in self.iter() {
            *unread.entry(peer.address()).or_default() += peer.unread();
        }
        let reads = |p: &Peer| unread.get(p.address()).is_none_or(|bytes| *bytes <= UNREAD_PER_ADDRESS_MAX);
        let waiting = self.waiting().filter(|(_, p, served)| is_ready(served) && reads(p));
        waiting.min_by_key(|(_, p, served)| (is_unknown(served), p.client())).map(|(id, ..)| id)
    }

    /// The jobs that wait for a slot.
    pub fn waiting(&self) -> impl Iterator<Item = (PeerId, &Peer, &Served)> {
        self.served().filter(|(.., served)| served.waits())
    }

    /// All jobs that are compiled here for others.
    pub fn served(&self) -> impl Iterator<Item = (PeerId, &Peer, &Served)> {
        self.peers.iter().filter_map(|(id, p)| Some((*id, p, p.served()?)))
    }

    /// Jobs that wait for a slot and whose environments cannot be used.
    pub fn hopeless(&self, is_usable: impl Fn(&EnvId) -> bool) -> Vec<(PeerId, JobId, EnvId)> {
        let jobs = self.waiting().filter_map(|(id, _, served)| Some((id, served.job().job, served.env()?.clone())));
        jobs.filter(|(.., env)| !is_usable(env)).collect()
    }

    /// Who does not read the largest result, while unread results exceed [`UNREAD_MAX`]. A single result may be as
    /// large as a job's files may be.
    pub fn largest_unread(&self) -> Option<PeerId> {
        let unread = self.peers.iter().filter(|(_, p)| p.unread() > 0).map(|(id, p)| (p.unread(), *id));
        let (count, sum) = unread.clone().fold((0, 0_u64), |(n, sum), (bytes, _)| (n + 1, sum.saturating_add(bytes)));
        unread.max().filter(|_| count > 1 && sum > UNREAD_MAX).map(|(_, peer)| peer)
    }

    /// Checks that none of `all` slots was granted twice and none exceeds their number.
    pub fn check_slots(&self, all: u32) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for slot in self.slots() {
            if !seen.insert(slot) {
                return Err(format!("slot {slot} was granted twice"));
            }
            if u32::from(slot) >= all {
                return Err(format!("slot {slot} of {all}"));
            }
        }
        Ok(())
    }
}
