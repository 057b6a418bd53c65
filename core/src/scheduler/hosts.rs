//! A host from LOGIN to its removal: its announcements, bans, probes and periodic checks.
//!
//! It does not choose hosts; it passes on what [`super::probing::Probing`] and the clock say.

use super::election::Failed;
use super::host::{Host, Said};
use super::job::Job;
use super::ledger::{Late, Patience};
use super::monitor::{environment_list, feature_names, host_stats, offline};
use super::probing::{Due, PROBE_MAX, WATCH};
use super::{CloseReason, Note, Output, Peer, Scheduler, Timer};
use crate::env::EnvRef;
use crate::extension;
use crate::ids::{HostId, JobId, PeerId};
use crate::level::Level;
use crate::limits::{HOST_ENVIRONMENTS_MAX, NAME_MAX};
use crate::message::{BlacklistHostEnv, CsConf, Login, Message, Stats};
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;

/// An environment that has not arrived within this time no longer counts as on its way.
const INSTALL_MAX: Duration = Duration::from_secs(120);
/// Duration of a submitter's ban of a host for an environment.
const BAN: Duration = Duration::from_secs(600);
/// An assigned job that neither begins nor ends is forgotten after this time.
const JOB_LOST: Duration = Duration::from_secs(3600);
/// An assigned job that has not begun within this time, although a slot was free throughout, becomes dormant and
/// occupies no slot: its submitter has stopped, or never used the assignment. If it begins later, the host itself makes
/// it wait for a slot.
const DORMANT: Patience = Patience { usual: Duration::from_secs(60), others_wait: Duration::from_secs(2) };

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
        let said = Said::new(id, peer, address, (offer, version), &login);
        if self.blocked.iter().any(|entry| said.is_named(entry)) {
            self.tell_monitors(&Message::MonStats(offline(id)));
            self.close(peer, CloseReason::LoginRefused);
            return;
        }
        self.note(Level::Debug, || Note::Login {
            name: login.node_name,
            version,
            features: feature_names(login.features),
            environments: environment_list(&login.environments),
        });
        let same = |h: &&Host| h.said().name == said.name && h.said().address == said.address;
        let older: Vec<HostId> = self.ledger.cluster().named(&said.name).filter(same).map(Host::id).collect();
        let host = Host::new(said, login.slots, self.now);
        self.tell_monitors(&Message::MonStats(host_stats(&host, false)));
        for old in older {
            self.host_left(old, Some(CloseReason::Replaced));
        }
        self.peers.insert(peer, Peer::Host(id));
        let left_out = self.ledger.log_in(host, login.environments);
        self.welcome(id, left_out);
        if let Some(Failed { address, sent, back }) = self.elections.logged_in(self.now) {
            self.note(Level::Warning, || Note::ElectionFailed { address, sent, back });
        }
    }

    /// A further LOGIN of a logged-in host: only its environments are used.
    pub(super) fn relogged_in(&mut self, id: HostId, mut login: Login) {
        let Some(said) = self.ledger.known_host(id).map(|host| host.said().clone()) else { return };
        login.environments.retain(is_environment);
        login.environments.truncate(HOST_ENVIRONMENTS_MAX);
        self.note(Level::Debug, || Note::Relogin {
            name: said.name,
            platform: said.platform,
            environments: environment_list(&login.environments),
        });
        let left_out = self.ledger.set_environments(id, login.environments);
        self.welcome(id, left_out);
    }

    /// The answer to a LOGIN, of whose environments `left_out` exceed the quota.
    fn welcome(&mut self, id: HostId, left_out: usize) {
        let Some(said) = self.ledger.known_host(id).map(|host| host.said().clone()) else { return };
        if left_out > 0 {
            let (name, address) = (said.name, said.address);
            self.note(Level::Warning, || Note::EnvironmentsLeftOut { name, address, count: left_out });
        }
        if said.version.has_cs_conf() {
            let extra = extension::greeting(said.features);
            self.send(said.peer, Message::CsConf(CsConf { max_pong: 3, max_ping: 36, extra }));
        }
        self.probe(id);
        self.arm(id);
    }

    /// Records that a message arrived from a host, which is therefore alive.
    pub(super) fn record_life(&mut self, id: HostId, message: &Message) {
        let now = self.now;
        let Some(heard) = self.ledger.probing(id, |probing| probing.heard(now, message)) else { return };
        if heard.is_back {
            self.ledger.free(id);
        }
        if heard.woke {
            self.probe(id);
            self.arm(id);
        }
    }

    /// STATS: the load of a host.
    pub(super) fn loaded(&mut self, id: HostId, stats: Stats) {
        self.ledger.set_stats(id, stats);
        if self.monitors.is_empty() {
            return;
        }
        let Some(stats) = self.ledger.host(id).map(|host| host_stats(host, true)) else { return };
        self.tell_monitors(&Message::MonStats(stats));
    }

    /// BLACKLIST_HOST_ENV: bans a host, not all hosts of its address, and only for a limited time.
    pub(super) fn blacklisted(&mut self, submitter: HostId, black: &BlacklistHostEnv) {
        if [&black.target, &black.environment, &black.host].iter().any(|name| name.len() > NAME_MAX) {
            return; // no host or environment has such names
        }
        let environment = EnvRef { platform: black.target.clone(), name: black.environment.clone() };
        let until = self.now + BAN;
        let meant = self.meant(submitter, &black.host);
        self.note(Level::Debug, || Note::Blacklisting {
            address: black.host.clone(),
            environment: black.environment.clone(),
            target: black.target.clone(),
        });
        for id in meant {
            if let Some(bans) = self.ledger.bans(submitter) {
                bans.add(id, &environment, until);
            }
            self.ledger.end_installs_of(id, submitter);
            self.ledger.free(id);
            self.ledger.shrink();
        }
        self.arm(submitter);
    }

    /// The hosts that a submitter means by an address. If several daemons share it, only those that have a job of this
    /// submitter, if there are any.
    fn meant(&self, submitter: HostId, address: &Text) -> Vec<HostId> {
        let there = |h: &&Host| h.said().address == *address;
        let all: Vec<&Host> = self.ledger.cluster().named(address).filter(there).collect();
        let is_ours = |id: &JobId| self.ledger.job(*id).is_some_and(|job| job.submitter() == submitter);
        let busy: Vec<&Host> = all.iter().copied().filter(|h| h.work().jobs().iter().any(is_ours)).collect();
        let meant = if busy.is_empty() { all } else { busy };
        meant.into_iter().map(Host::id).collect()
    }

    /// Starts a probe unless one is under way.
    fn probe(&mut self, id: HostId) {
        let now = self.now;
        if !self.ledger.probing(id, |probing| probing.begin_probe(now)).unwrap_or_default() {
            return;
        }
        let Some(said) = self.ledger.known_host(id).map(Host::said) else { return };
        match u16::try_from(said.port) {
            Ok(port) if port > 0 => {
                let address = said.address.clone();
                self.output(Output::Probe { host: id, address, port, patience: PROBE_MAX });
            }
            _ => self.probed(id, false),
        }
    }

    /// The result of a probe.
    pub(super) fn probed(&mut self, id: HostId, reachable: bool) {
        let now = self.now;
        let Some(said) = self.ledger.host(id).map(Host::said) else { return }; // it has left
        let (name, address, port) = (said.name.clone(), said.address.clone(), said.port);
        let Some(end) = self.ledger.probing(id, |probing| probing.probed(now, reachable)) else { return };
        if let Some(again_s) = end.again_s {
            if end.changed {
                self.note(Level::Debug, || Note::NotAccepting { name: name.clone(), address: address.clone(), port });
            }
            self.note(Level::Debug, || Note::ProbeFailed { name, address, port, again_s });
            self.ledger.shrink();
        } else if end.changed {
            self.note(Level::Debug, || Note::AcceptingAgain { name, address, port });
        }
        self.ledger.free(id);
        self.arm(id);
    }

    /// Called when a job was assigned to a host. Probes it if it has been silent, so that a frozen host gets no more
    /// jobs.
    pub(super) fn probe_if_silent(&mut self, id: HostId, home: bool) {
        let now = self.now;
        let Some(probing) = self.ledger.known_host(id).map(Host::probing) else { return };
        if !home && probing.is_doubtful(now) {
            self.probe(id);
            self.arm(id);
        } else {
            let at = probing.timer().map_or(now + WATCH, |at| at.min(now + WATCH));
            self.arm_at(id, Some(at));
        }
    }

    /// The timer of a host expired: runs all checks that are due.
    pub(super) fn tick(&mut self, id: HostId) {
        let now = self.now;
        self.ledger.probing(id, |probing| probing.set_timer(None));
        if self.tick_ping(id, now) {
            return;
        }
        self.tick_installs(id);
        self.tick_bans(id);
        self.tick_jobs(id);
        self.tick_dormant(id);
        self.tick_trust(id);
        self.arm(id);
    }

    /// Sends PING to an old daemon that is silent, or removes it. Returns whether it was removed.
    fn tick_ping(&mut self, id: HostId, now: Instant) -> bool {
        let Some(due) = self.ledger.probing(id, |probing| probing.tick_ping(now)) else { return true };
        if due == Due::Nothing {
            return false;
        }
        let Some(said) = self.ledger.known_host(id).map(Host::said) else { return true };
        let (name, peer) = (said.name.clone(), said.peer);
        if due == Due::Remove {
            self.note(Level::Debug, || Note::Removing { name });
            self.host_left(id, Some(CloseReason::Silent));
            return true;
        }
        self.ledger.shrink();
        self.send(peer, Message::Ping);
        self.note(Level::Debug, || Note::SendPing { name });
        false
    }

    fn tick_installs(&mut self, id: HostId) {
        let now = self.now;
        let Some(host) = self.ledger.known_host(id) else { return };
        let is_late = |since: Instant| now >= since + INSTALL_MAX;
        let Some(requirement) = host.work().installs().find(|i| is_late(i.since)).map(|i| i.requirement) else {
            return;
        };
        let name = host.said().name.clone();
        let known = self.ledger.cluster().requirements().get(requirement);
        let environment = known.and_then(|known| known.requirement().environments.first());
        let environment = environment.map(|e| e.name.clone()).unwrap_or_default();
        self.note(Level::Debug, || Note::InstallTooLong { name, environment });
        self.ledger.end_installs(id, |_, install| is_late(install.since));
        self.ledger.free(id);
    }

    fn tick_bans(&mut self, id: HostId) {
        let now = self.now;
        for server in self.ledger.bans(id).map(|bans| bans.expire(now)).unwrap_or_default() {
            self.ledger.free(server);
        }
    }

    /// Ends jobs that were assigned too long ago, and probes the host or stops giving it jobs if it is silent.
    fn tick_jobs(&mut self, id: HostId) {
        let now = self.now;
        let Some(host) = self.ledger.host(id) else { return };
        let waits_since = |id: &JobId| self.ledger.job(*id).and_then(Job::waits_since);
        let is_lost = |id: &JobId| waits_since(id).is_some_and(|since| now >= since + JOB_LOST);
        let lost: Vec<JobId> = host.work().jobs().iter().copied().filter(is_lost).collect();
        let oldest_wait = host.work().jobs().iter().filter_map(waits_since).min();
        let name = host.said().name.clone();
        for job in lost {
            self.lose_job(job, Note::JobLost { job, server: name.clone() });
        }
        let watched = self.ledger.host(id).is_some_and(|host| !host.work().jobs().is_empty());
        match self.ledger.probing(id, |probing| probing.tick_probe(now, watched, oldest_wait)) {
            Some(Due::Probe) => self.probe(id),
            Some(Due::Reachable) => self.ledger.free(id),
            Some(Due::Suspect(silent)) => {
                self.note(Level::Warning, || Note::Silent { name, silent_s: silent.as_secs() });
            }
            _ => {}
        }
    }

    fn tick_dormant(&mut self, id: HostId) {
        let Late { count, held_until } = self.ledger.make_dormant(id, self.now, DORMANT);
        self.set_timer(held_until, Timer::Held);
        if let Some(host) = self.ledger.host(id).filter(|_| count > 0) {
            let name = host.said().name.clone();
            self.note(Level::Warning, || Note::Dormant { name, count });
        }
    }

    /// Sets a host's timer to its next deadline.
    pub(super) fn arm(&mut self, id: HostId) {
        let now = self.now;
        let Some(at) = self.ledger.known_host(id).map(|host| deadline(host, now)) else { return };
        self.arm_at(id, at);
    }

    fn arm_at(&mut self, id: HostId, at: Option<Instant>) {
        if self.ledger.known_host(id).is_none_or(|host| host.probing().timer() == at) {
            return;
        }
        let old = self.ledger.probing(id, |probing| probing.set_timer(at)).flatten();
        self.cancel_timer(old, Timer::Host(id));
        self.set_timer(at, Timer::Host(id));
    }
}

/// When a host is to be checked next.
fn deadline(host: &Host, now: Instant) -> Option<Instant> {
    let watched = !host.work().jobs().is_empty();
    let install = host.work().installs().map(|install| install.since + INSTALL_MAX).min();
    let probing = host.probing().deadline(now, watched);
    [probing, install, host.bans().deadline(), host.trust().rests_until()].into_iter().flatten().min()
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
pub(super) fn is_environment(env: &EnvRef) -> bool {
    env.name.len() <= NAME_MAX && env.platform.len() <= NAME_MAX
}
