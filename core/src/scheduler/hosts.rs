//! A host from LOGIN to its removal: its announcements, whether it is alive and whether it can be reached.
//!
//! It does not choose hosts; it maintains the data that choosing uses.

use super::host::{Accepting, Ban, Host, NewHost};
use super::jobs::State;
use super::monitor::{environment_list, feature_names, host_stats, offline};
use super::requirement::EnvKey;
use super::{CloseReason, Note, Output, Peer, Scheduler, Timer};
use crate::env::EnvRef;
use crate::ids::{HostId, JobId, PeerId};
use crate::level::Level;
use crate::limits::{HOST_ENVIRONMENTS_MAX, NAME_MAX};
use crate::message::{BlacklistHostEnv, CsConf, Login, Message, Stats};
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;
use std::collections::BTreeSet;

/// Silence after which a host below protocol 27 is sent PING.
const PING_AFTER: Duration = Duration::from_secs(36);
/// How long it may take to answer PING.
const PING_WAIT: Duration = Duration::from_secs(6);
/// Interval between regular probes of a reachable host.
const PROBE_AGAIN: Duration = Duration::from_secs(60);
/// Longest pause between probes of an unreachable host, in seconds.
const PROBE_PAUSE_MAX: u64 = 60;
/// A probe that takes longer than this is slow: a new host is then assumed to be reachable, a silent host with jobs
/// becomes suspect.
const PROBE_SLOW: Duration = Duration::from_secs(1);
/// An environment that has not arrived within this time no longer counts as on its way.
const INSTALL_MAX: Duration = Duration::from_secs(120);
/// Duration of a submitter's ban of a host for an environment.
const BAN: Duration = Duration::from_secs(600);
/// Maximum number of bans of one submitter for one host.
const BANS_MAX: usize = 64;
/// Maximum number of bans of one submitter in total.
const BANS_ALL_MAX: usize = 1024;
/// An assigned job that neither begins nor ends is forgotten after this time.
const JOB_LOST: Duration = Duration::from_secs(3600);
/// An assigned job that has not begun within this time, although a slot was free throughout, becomes dormant and
/// occupies no slot: its submitter has stopped, or never used the assignment. If it begins later, the host itself makes
/// it wait for a slot.
const DORMANT: Duration = Duration::from_secs(60);
/// Interval between checks of a host with jobs.
const WATCH: Duration = Duration::from_secs(2);
/// Silence after which a host whose jobs are all running is probed.
const SILENCE: Duration = Duration::from_secs(5);
/// A host that sent something or was probed within this time needs no probe when it gets a job.
const FRESH: Duration = Duration::from_secs(3);

impl Scheduler {
    /// The first LOGIN of a peer.
    pub(super) fn logged_in(
        &mut self,
        peer: PeerId,
        address: Text,
        offer: Version,
        version: Version,
        mut login: Login,
    ) {
        login.environments.truncate(HOST_ENVIRONMENTS_MAX);
        self.next_host += 1;
        let id = HostId(self.next_host);
        if let Some(why) = refusal(&login) {
            self.note(Level::Warning, || Note::LoginRefused { address, why });
            self.close(peer, CloseReason::LoginRefused);
            return;
        }
        let said_name = login.node_name.clone();
        let host = Host::new(NewHost { id, peer, address, offer, version, login }, self.now);
        if self.blocked.iter().any(|entry| *entry == host.name || *entry == host.address) {
            self.tell_monitors(&Message::MonStats(offline(id)));
            self.close(peer, CloseReason::LoginRefused);
            return;
        }
        self.note(Level::Debug, || Note::Login {
            name: said_name,
            version,
            features: feature_names(host.features),
            environments: environment_list(&host.environments),
        });
        let older: Vec<HostId> = self
            .cluster
            .named(&host.name)
            .filter(|h| h.name == host.name && h.address == host.address)
            .map(|h| h.id)
            .collect();
        self.tell_monitors(&Message::MonStats(host_stats(&host, false)));
        for old in older {
            self.host_left(old, Some(CloseReason::Replaced));
        }
        self.peers.insert(peer, Peer::Host(id));
        let left_out = self.cluster.insert(host);
        self.note_left_out(id, left_out);
        self.send_conf(peer, version);
        self.probe(id);
        self.freed(id);
        self.arm(id);
    }

    /// A further LOGIN of a logged-in host: only its environments are used.
    pub(super) fn relogged_in(&mut self, id: HostId, mut login: Login) {
        let Some(host) = self.cluster.host(id) else { return };
        login.environments.retain(is_environment);
        login.environments.truncate(HOST_ENVIRONMENTS_MAX);
        let (peer, version, name, platform) = (host.peer, host.version, host.name.clone(), host.platform.clone());
        self.note(Level::Debug, || Note::Relogin {
            name,
            platform,
            environments: environment_list(&login.environments),
        });
        let left_out = self.cluster.set_environments(id, login.environments);
        self.note_left_out(id, left_out);
        // 1.4 ends all installations at any LOGIN. But a LOGIN may only report that another environment was removed, so
        // only those end that it names.
        let has: BTreeSet<EnvKey> = self.cluster.host(id).map(|host| host.key_set.clone()).unwrap_or_default();
        self.end_installs(id, |key, _| has.contains(&key));
        self.send_conf(peer, version);
        self.probe(id);
        self.freed(id);
        self.arm(id);
    }

    fn note_left_out(&mut self, id: HostId, count: usize) {
        let Some(host) = self.cluster.host(id).filter(|_| count > 0) else { return };
        let (name, address) = (host.name.clone(), host.address.clone());
        self.note(Level::Warning, || Note::EnvironmentsLeftOut { name, address, count });
    }

    fn send_conf(&mut self, peer: PeerId, version: Version) {
        if version.has_cs_conf() {
            self.send(peer, Message::CsConf(CsConf { max_pong: 3, max_ping: 36, extra: Text::new() }));
        }
    }

    /// Records that a message arrived from a host, which is therefore alive.
    pub(super) fn record_life(&mut self, id: HostId, message: &Message) {
        let now = self.now;
        let Some(host) = self.cluster.host_mut(id) else { return };
        let silent = now.since(host.last_heard);
        host.last_heard = now;
        let life = match message {
            Message::Ping => true,
            // Protocols 25 and 26 must answer with PING.
            Message::Stats(_) => !host.version.has_pong(),
            _ => false,
        };
        if life {
            host.last_life = now;
        }
        let pinged = life && host.ping_out.take().is_some();
        let was_suspect = std::mem::take(&mut host.suspect);
        let woke = host.accepting == Accepting::No && silent >= SILENCE;
        if pinged || was_suspect {
            self.freed(id);
        }
        if woke {
            self.probe(id);
            self.arm(id);
        }
    }

    /// STATS: the load of a host.
    pub(super) fn loaded(&mut self, id: HostId, stats: Stats) {
        let Some(host) = self.cluster.host_mut(id) else { return };
        host.load = stats.load.min(1000);
        host.stats = Some(stats);
        self.freed(id);
        let Some(host) = self.cluster.host(id) else { return };
        let stats = host_stats(host, true);
        self.tell_monitors(&Message::MonStats(stats));
    }

    /// BLACKLIST_HOST_ENV: bans a host, not all hosts of its address, and only for a limited time.
    pub(super) fn blacklisted(&mut self, submitter: HostId, black: &BlacklistHostEnv) {
        if [&black.target, &black.environment, &black.host].iter().any(|name| name.len() > NAME_MAX) {
            return; // no host or environment has such names
        }
        let environment = EnvRef { platform: black.target.clone(), name: black.environment.clone() };
        let until = self.now + BAN;
        let mut meant: Vec<HostId> =
            self.cluster.named(&black.host).filter(|h| h.address == black.host).map(|h| h.id).collect();
        // If several daemons share the address, only those that have a job of this submitter are meant, if there are
        // any.
        let busy = |id: &HostId| {
            let server = self.cluster.host(*id);
            server.is_some_and(|h| h.jobs.iter().any(|j| self.jobs.get(j).is_some_and(|j| j.submitter == submitter)))
        };
        let narrowed: Vec<HostId> = meant.iter().copied().filter(busy).collect();
        if !narrowed.is_empty() {
            meant = narrowed;
        }
        self.note(Level::Debug, || Note::Blacklisting {
            address: black.host.clone(),
            environment: black.environment.clone(),
            target: black.target.clone(),
        });
        for id in meant {
            if let Some(host) = self.cluster.host_mut(submitter) {
                let all: usize = host.bans.values().map(Vec::len).sum();
                let bans = host.bans.entry(id).or_default();
                bans.retain(|ban| ban.environment != environment);
                if bans.len() < BANS_MAX && all < BANS_ALL_MAX {
                    bans.push(Ban { environment: environment.clone(), until });
                }
            }
            let jobs = &self.jobs;
            let ours: Vec<JobId> = self.cluster.host(id).map_or_else(Vec::new, |h| {
                let asked_by_us = |j: &JobId| jobs.get(j).is_some_and(|j| j.submitter == submitter);
                h.installing.values().map(|i| i.job).filter(asked_by_us).collect()
            });
            self.end_installs(id, |_, install| ours.contains(&install.job));
            self.freed(id);
            self.shrunk = true;
        }
        self.arm(submitter);
    }

    /// Starts a probe unless one is under way.
    fn probe(&mut self, id: HostId) {
        let now = self.now;
        let Some(host) = self.cluster.host_mut(id) else { return };
        if host.no_remote || host.probing.out_since.is_some() {
            return;
        }
        host.probing.out_since = Some(now);
        host.probing.next = None;
        let (address, Ok(port)) = (host.address.clone(), u16::try_from(host.port)) else {
            self.probed(id, false);
            return;
        };
        if port == 0 {
            self.probed(id, false);
            return;
        }
        self.output(Output::Probe { host: id, address, port });
    }

    /// The result of a probe.
    pub(super) fn probed(&mut self, id: HostId, reachable: bool) {
        let now = self.now;
        let Some(host) = self.cluster.host_mut(id) else { return };
        let (name, address, port) = (host.name.clone(), host.address.clone(), host.port);
        let was = host.accepting;
        host.probing.out_since = None;
        host.probing.last = Some(now);
        if reachable {
            host.accepting = Accepting::Yes;
            host.suspect = false;
            host.probing.failures = 0;
            host.probing.next = Some(now + PROBE_AGAIN);
            if was == Accepting::No {
                self.note(Level::Debug, || Note::AcceptingAgain { name, address, port });
            }
        } else {
            host.accepting = Accepting::No;
            host.probing.failures = host.probing.failures.saturating_add(1);
            let again_s =
                1u64.checked_shl(host.probing.failures).map_or(PROBE_PAUSE_MAX, |s| s.clamp(1, PROBE_PAUSE_MAX));
            host.probing.next = Some(now + Duration::from_secs(again_s));
            if was != Accepting::No {
                self.note(Level::Debug, || Note::NotAccepting { name: name.clone(), address: address.clone(), port });
            }
            self.note(Level::Debug, || Note::ProbeFailed { name, address, port, again_s });
            self.shrunk = true;
        }
        self.freed(id);
        self.arm(id);
    }

    /// Called when a job was assigned to a host. Probes it if it has been silent, so that a frozen host gets no more
    /// jobs.
    pub(super) fn probe_if_silent(&mut self, id: HostId, home: bool) {
        let now = self.now;
        let Some(host) = self.cluster.host(id) else { return };
        let probed = host.probing.last.is_some_and(|last| now.since(last) < FRESH);
        if !home && !probed && now.since(host.last_heard) >= FRESH {
            self.probe(id);
            self.arm(id);
        } else {
            let at = host.tick.map_or(now + WATCH, |at| at.min(now + WATCH));
            self.arm_at(id, Some(at));
        }
    }

    /// The timer of a host expired: runs all checks that are due.
    pub(super) fn tick(&mut self, id: HostId) {
        let now = self.now;
        let Some(host) = self.cluster.host_mut(id) else { return };
        host.tick = None;
        if !host.version.has_keepalive() {
            let (name, peer) = (host.name.clone(), host.peer);
            match host.ping_out {
                Some(at) if now >= at + PING_WAIT => {
                    self.note(Level::Debug, || Note::Removing { name });
                    self.host_left(id, Some(CloseReason::Silent));
                    return;
                }
                None if now >= host.last_life + PING_AFTER => {
                    host.ping_out = Some(now);
                    self.cluster.rerank(id);
                    self.shrunk = true;
                    self.send(peer, Message::Ping);
                    self.note(Level::Debug, || Note::SendPing { name });
                }
                _ => {}
            }
        }
        self.tick_installs(id);
        self.tick_bans(id);
        self.tick_probes(id);
        self.tick_dormant(id);
        self.tick_trust(id);
        self.arm(id);
    }

    fn tick_installs(&mut self, id: HostId) {
        let now = self.now;
        let Some(host) = self.cluster.host(id) else { return };
        let late = |since: Instant| now >= since + INSTALL_MAX;
        let Some(install) = host.installing.values().find(|i| late(i.since)) else { return };
        let name = host.name.clone();
        let environment =
            self.cluster.requirements.get(install.requirement).and_then(|k| k.requirement.environments.first());
        let environment = environment.map(|e| e.name.clone()).unwrap_or_default();
        self.note(Level::Debug, || Note::InstallTooLong { name, environment });
        self.end_installs(id, |_, i| late(i.since));
        self.freed(id);
    }

    fn tick_bans(&mut self, id: HostId) {
        let now = self.now;
        let Some(host) = self.cluster.host_mut(id) else { return };
        let mut forgiven = Vec::new();
        host.bans.retain(|server, bans| {
            forgiven.extend(bans.iter().filter(|ban| ban.until <= now).map(|_| *server));
            bans.retain(|ban| ban.until > now);
            !bans.is_empty()
        });
        for server in forgiven {
            self.freed(server);
        }
    }

    fn tick_probes(&mut self, id: HostId) {
        let now = self.now;
        let Some(host) = self.cluster.host(id) else { return };
        let waits_since = |job: &JobId| match self.jobs.get(job)?.state {
            State::Waiting { since, .. } => Some(since),
            _ => None,
        };
        let lost: Vec<JobId> =
            host.jobs.iter().copied().filter(|j| waits_since(j).is_some_and(|since| now >= since + JOB_LOST)).collect();
        let oldest_wait = host.jobs.iter().filter_map(waits_since).min();
        let server = host.name.clone();
        for job in lost {
            self.lose_job(job, Note::JobLost { job, server: server.clone() });
        }
        let Some(host) = self.cluster.host_mut(id) else { return };
        let silent = now.since(host.last_heard);
        let watched = !host.jobs.is_empty();
        match host.probing.out_since {
            Some(since) if now >= since + PROBE_SLOW => {
                if host.accepting == Accepting::Unknown {
                    host.accepting = Accepting::Yes;
                    self.freed(id);
                } else if watched && !host.suspect && silent >= PROBE_SLOW {
                    host.suspect = true;
                    let name = host.name.clone();
                    self.note(Level::Warning, || Note::Silent { name, silent_s: silent.as_secs() });
                    self.cluster.rerank(id);
                }
            }
            Some(_) => {}
            None => {
                let waits_long = oldest_wait.is_some_and(|since| now.since(since) >= WATCH) && silent >= WATCH;
                let rested = |pause| host.probing.last.is_none_or(|last| now.since(last) >= pause);
                let worried = watched && ((waits_long && rested(WATCH)) || (silent >= SILENCE && rested(SILENCE)));
                let retry = host.accepting == Accepting::No;
                if host.probing.next.is_some_and(|at| now >= at) || (worried && !retry) {
                    self.probe(id);
                }
            }
        }
    }

    fn tick_dormant(&mut self, id: HostId) {
        let now = self.now;
        let Some(host) = self.cluster.host_mut(id) else { return };
        if !host.could_begin() {
            host.free_since = None;
            return;
        }
        let free_since = *host.free_since.get_or_insert(now);
        if now < free_since + DORMANT {
            return;
        }
        let mut count = 0;
        for id in &host.jobs {
            // A job that is still sending its environment is not late.
            let installs = host.installing.values().any(|install| install.job == *id);
            let Some(job) = self.jobs.get_mut(id).filter(|job| !job.dormant && !installs) else { continue };
            if matches!(job.state, State::Waiting { since, .. } if now >= since + DORMANT) {
                job.dormant = true;
                count += 1;
            }
        }
        if count > 0 {
            host.dormant += count;
            let name = host.name.clone();
            self.note(Level::Warning, || Note::Dormant { name, count });
            self.freed(id);
        }
    }

    /// Sets a host's timer to its next deadline.
    pub(super) fn arm(&mut self, id: HostId) {
        let Some(host) = self.cluster.host(id) else { return };
        let at = self.deadline(host);
        self.arm_at(id, at);
    }

    fn arm_at(&mut self, id: HostId, at: Option<Instant>) {
        let Some(host) = self.cluster.host_mut(id) else { return };
        if host.tick == at {
            return;
        }
        if let Some(old) = std::mem::replace(&mut host.tick, at) {
            self.timers.remove(&(old, Timer::Host(id)));
        }
        if let Some(at) = at {
            self.timers.insert((at, Timer::Host(id)));
        }
    }

    fn deadline(&self, host: &Host) -> Option<Instant> {
        let now = self.now;
        let ping = (!host.version.has_keepalive()).then(|| match host.ping_out {
            Some(at) => at + PING_WAIT,
            None => host.last_life + PING_AFTER,
        });
        let undecided = host.accepting == Accepting::Unknown || (!host.jobs.is_empty() && !host.suspect);
        let probe = match host.probing.out_since {
            Some(since) if undecided && now < since + PROBE_SLOW => Some(since + PROBE_SLOW),
            Some(_) => None,
            None => host.probing.next,
        };
        let watch = (!host.jobs.is_empty()).then(|| now + WATCH);
        let install = host.installing.values().map(|i| i.since + INSTALL_MAX).min();
        let ban = host.bans.values().flatten().map(|b| b.until).min();
        [ping, probe, watch, install, ban, host.trust.rests_until()].into_iter().flatten().min()
    }
}

/// Why a LOGIN is refused, if it is.
fn refusal(login: &Login) -> Option<String> {
    for (what, text) in [("node name", &login.node_name), ("platform", &login.platform)] {
        if text.len() > NAME_MAX {
            return Some(format!("{what} of {} bytes, at most {NAME_MAX} are allowed", text.len()));
        }
        if text.as_bytes().iter().any(|b| b.is_ascii_control()) {
            return Some(format!("control character in {what}"));
        }
    }
    let long = login.environments.iter().find(|e| !is_environment(e));
    long.map(|e| format!("environment name of {} bytes, at most {NAME_MAX} are allowed", e.name.len()))
}

/// Whether name and platform are within bounds.
fn is_environment(env: &EnvRef) -> bool {
    env.name.len() <= NAME_MAX && env.platform.len() <= NAME_MAX
}
