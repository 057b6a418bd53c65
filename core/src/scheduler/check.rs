//! Checks of the scheduler's invariants, for tests and simulations: what the books count is counted again.

use super::cluster::Cluster;
use super::env_quota::EnvQuota;
use super::host::Host;
use super::job::{Job, State};
use super::ledger::Ledger;
use super::policy;
use super::{Peer, Scheduler, Timer};
use crate::env::EnvRef;
use crate::ids::{HostId, JobId};
use std::collections::BTreeSet;

impl Scheduler {
    /// Checks all invariants. The error describes the first violation. The cost grows with hosts and jobs.
    pub fn check(&self) -> Result<(), String> {
        self.ledger.cluster().check()?;
        self.ledger.queue().check()?;
        for host in self.ledger.cluster().hosts() {
            self.check_host(host.id())?;
        }
        for id in self.ledger.jobs().keys() {
            self.check_job(*id)?;
        }
        let hosts = self.peers.values().filter(|p| matches!(p, Peer::Host(_))).count();
        if hosts != self.ledger.cluster().len() {
            return Err(format!("{hosts} peers are hosts, {} hosts", self.ledger.cluster().len()));
        }
        self.ledger.check_counts()
    }

    /// Checks one host; cheap enough to be called after each event. An unknown host is no error.
    pub fn check_host(&self, id: HostId) -> Result<(), String> {
        let Some(host) = self.ledger.host(id) else { return Ok(()) };
        self.ledger.cluster().check_host(host)?;
        self.ledger.check_work(host)?;
        if !matches!(self.peers.get(&host.said().peer), Some(Peer::Host(known)) if *known == id) {
            return Err(format!("host {id}: its peer is somebody else"));
        }
        match host.probing().timer() {
            Some(at) if !self.timers.contains(&(at, Timer::Host(id))) => Err(format!("host {id}: its timer is lost")),
            _ => Ok(()),
        }
    }

    /// The environments that the scheduler believes a host has, in the order of its LOGIN; `None` if the host is
    /// unknown.
    pub fn environments_of(&self, id: HostId) -> Option<&[EnvRef]> {
        self.ledger.host(id).map(|host| host.standing().environments())
    }

    /// Checks one job. An unknown job is no error.
    pub fn check_job(&self, id: JobId) -> Result<(), String> {
        let Some(job) = self.ledger.job(id) else { return Ok(()) };
        if self.ledger.is_orphan(job) && !self.timers.iter().any(|(_, timer)| *timer == Timer::Orphans) {
            return Err(format!("job {id}: left behind by {}", job.submitter()));
        }
        self.ledger.check_job(id, job)
    }
}

impl Ledger {
    fn check_counts(&self) -> Result<(), String> {
        self.check_held()?;
        let pending = self.jobs().values().filter(|j| self.waits(j)).count();
        if pending != self.queue().len() {
            return Err(format!("{pending} pending jobs, {} in the queue", self.queue().len()));
        }
        for (id, known) in self.cluster().requirements().all() {
            let jobs = self.jobs().values().filter(|j| j.requirement() == id).count();
            let installs = self.cluster().hosts().flat_map(|h| h.work().installs()).filter(|i| i.requirement == id);
            let installs = installs.count();
            if (jobs, installs) != (known.jobs(), known.installing()) {
                return Err(format!("requirement {id:?}: {known:?} but {jobs} jobs, {installs} install"));
            }
        }
        if !self.is_settled() {
            return Err("work was left over".into());
        }
        Ok(())
    }

    /// Whether a job must be in the queue.
    fn waits(&self, job: &Job) -> bool {
        job.state() == State::Pending && !self.is_orphan(job)
    }

    fn check_work(&self, host: &Host) -> Result<(), String> {
        let (id, work) = (host.id(), host.work());
        let mut running = 0;
        let mut given = 0;
        let mut dormant = 0;
        for job in work.jobs() {
            let Some(job) = self.job(*job).filter(|j| j.server() == Some(id)) else {
                return Err(format!("host {id}: job {job} is not its own"));
            };
            running += u32::from(job.has_begun());
            dormant += u32::from(job.was_dormant() && !job.has_begun());
            given += u32::from(job.submitter() != id && !job.was_dormant());
        }
        let counted = (work.running(), work.dormant());
        if (running, dormant) != counted {
            return Err(format!("host {id}: {running} jobs run, {dormant} are dormant, {counted:?} counted"));
        }
        // Dormant jobs that begin late exceed the capacity and wait on the host. Its own jobs may exceed it too: a job
        // that no other host can take goes to its submitter regardless of slots.
        if given > work.slots() + 1 + work.slots() / 4 {
            return Err(format!("host {id}: {given} jobs of others for {} slots", work.slots()));
        }
        for job in work.submitted() {
            if self.job(*job).is_none_or(|j| j.submitter() != id) {
                return Err(format!("host {id}: did not ask for job {job}"));
            }
        }
        for install in work.installs() {
            if !work.jobs().contains(&install.job) {
                return Err(format!("host {id}: installs for job {} that it does not have", install.job));
            }
        }
        Ok(())
    }

    fn check_job(&self, id: JobId, job: &Job) -> Result<(), String> {
        let queued = self.queue().contains(job.bucket(), id);
        if queued != self.waits(job) {
            return Err(format!("job {id}: {:?} but queued={queued}", job.state()));
        }
        if self.is_orphan(job) {
            let known = self.ends_soon(id);
            return if known { Ok(()) } else { Err(format!("job {id}: left behind by {}", job.submitter())) };
        }
        if self.host(job.submitter()).is_none_or(|h| !h.work().submitted().contains(&id)) {
            return Err(format!("job {id}: its submitter {} does not know it", job.submitter()));
        }
        if let Some(server) = job.server() {
            if self.host(server).is_none_or(|h| !h.work().jobs().contains(&id)) {
                return Err(format!("job {id}: its server {server} does not know it"));
            }
        }
        Ok(())
    }
}

impl Cluster {
    /// Checks that the indexes agree with one host.
    fn check_host(&self, host: &Host) -> Result<(), String> {
        let (id, standing) = (host.id(), host.standing());
        let class = self.classes().all().get(&standing.class()).ok_or_else(|| format!("host {id}: no class"))?;
        for tier in 0..=1u8 {
            if class.open(tier).contains(&id) != (policy::tier(host) == Some(tier)) {
                return Err(format!("host {id}: wrongly listed as open in tier {tier}"));
            }
        }
        let rank = standing.rank();
        let ready = policy::tier(host).is_some() && policy::has_room(host);
        if rank.is_some() != ready || rank.map_or(standing.tier(), |rank| Some(rank.tier)) != policy::tier(host) {
            return Err(format!("host {id}: ready={ready} rank={rank:?} tier={:?}", standing.tier()));
        }
        if rank.is_some_and(|rank| !class.ready().contains(&rank)) {
            return Err(format!("host {id}: not among the ready ones of its class"));
        }
        for key in standing.keys() {
            let owners = self.environments().owners().get(key);
            let owners = owners.ok_or_else(|| format!("host {id}: environment without owners"))?;
            let is_active = owners.demand() > 0;
            if !owners.hosts().contains(&id) || standing.active().contains(key) != is_active {
                return Err(format!("host {id}: owners of {:?} are wrong", owners.environment()));
            }
            if is_active && rank.is_some_and(|rank| !owners.ready().contains(&rank)) {
                return Err(format!("host {id}: not among the ready owners of {:?}", owners.environment()));
            }
        }
        Ok(())
    }

    /// Checks that the indexes hold exactly what follows from the hosts.
    fn check(&self) -> Result<(), String> {
        for host in self.hosts() {
            self.check_host(host)?;
        }
        let ready = self.hosts().filter(|h| h.standing().rank().is_some()).count();
        let listed: usize = self.classes().all().values().map(|c| c.ready().len()).sum();
        if ready != listed {
            return Err(format!("cluster: {ready} ready hosts, {listed} listed"));
        }
        let members: usize = self.classes().all().values().map(|c| c.members()).sum();
        if members != self.len() {
            return Err(format!("cluster: {} hosts, {members} in classes", self.len()));
        }
        let paces: Vec<f64> = self.hosts().filter_map(|h| h.pace().value()).collect();
        let sum: f64 = paces.iter().sum();
        let (counted, known) = self.paces();
        if paces.len() != known as usize || (sum - counted).abs() > 1e-6 {
            return Err(format!("cluster: {} paces of {sum}, {known} of {counted}", paces.len()));
        }
        let names: BTreeSet<_> =
            self.hosts().flat_map(|h| [(&h.said().name, h.id()), (&h.said().address, h.id())]).collect();
        let named = self.names().iter().flat_map(|(name, ids)| ids.iter().map(move |id| (name, *id)));
        if !named.eq(names) || self.names().values().any(BTreeSet::is_empty) {
            return Err("cluster: hosts are found by other names than theirs".into());
        }
        for (id, known) in self.requirements().all() {
            let fits = self.classes().all().iter().map(|(id, class)| (*id, class.fits(known.requirement())));
            if !known.fits().iter().map(|(id, fits)| (*id, *fits)).eq(fits) {
                return Err(format!("requirement {id:?}: fits other classes than it says"));
            }
        }
        self.check_environments()
    }

    fn check_environments(&self) -> Result<(), String> {
        let mut quota = EnvQuota::default();
        for host in self.hosts() {
            quota.take(&host.said().address, &mut host.standing().environments().to_vec());
        }
        let environments = self.environments();
        if quota != *environments.quota() {
            return Err(format!("cluster: {quota:?} are taken, {:?} counted", environments.quota()));
        }
        if environments.len() != environments.owners().len() {
            let (known, owned) = (environments.len(), environments.owners().len());
            return Err(format!("cluster: {known} environments, {owned} owners"));
        }
        for (key, owners) in environments.owners() {
            if owners.demand() == 0 && owners.hosts().is_empty() {
                return Err(format!("cluster: nobody has or asks for {:?}", owners.environment()));
            }
            let asked = self.requirements().all().flat_map(|(_, k)| k.keys()).filter(|k| *k == key).count();
            if asked != owners.demand() || owners.ready().len() > owners.hosts().len() {
                let counted = owners.demand();
                return Err(format!("cluster: {:?} asked {counted} times, {asked} known", owners.environment()));
            }
        }
        Ok(())
    }
}
