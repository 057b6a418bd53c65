//! Checks of the scheduler's invariants, for tests and simulations.

use super::cluster::Cluster;
use super::env_quota::EnvQuota;
use super::host::Host;
use super::jobs::{Job, State};
use super::{Peer, Scheduler, Timer};
use crate::env::EnvRef;
use crate::ids::{HostId, JobId};
use std::collections::BTreeSet;

impl Scheduler {
    /// Checks all invariants. The error describes the first violation. The cost grows with hosts and jobs.
    pub fn check(&self) -> Result<(), String> {
        self.cluster.check()?;
        self.queue.check()?;
        for host in self.cluster.hosts() {
            self.check_host(host.id)?;
        }
        for id in self.jobs.keys() {
            self.check_job(*id)?;
        }
        let pending = self.jobs.values().filter(|j| self.waits(j)).count();
        if pending != self.queue.len() {
            return Err(format!("{pending} pending jobs, {} in the queue", self.queue.len()));
        }
        for (id, known) in self.cluster.requirements.all() {
            let jobs = self.jobs.values().filter(|j| j.requirement == id).count();
            let waiting = self.jobs.values().filter(|j| j.requirement == id && self.waits(j)).count();
            let installs =
                self.cluster.hosts().flat_map(|h| h.installing.values()).filter(|i| i.requirement == id).count();
            if (jobs, waiting, installs) != (known.jobs, known.waiting, known.installing) {
                return Err(format!(
                    "requirement {id:?}: {known:?} but {jobs} jobs, {waiting} wait, {installs} install"
                ));
            }
        }
        let hosts = self.peers.values().filter(|p| matches!(p, Peer::Host(_))).count();
        if hosts != self.cluster.len() {
            return Err(format!("{hosts} peers are hosts, {} hosts", self.cluster.len()));
        }
        if !self.freed.is_empty() || self.shrunk {
            return Err("work was left over".into());
        }
        Ok(())
    }

    /// Checks one host; cheap enough to be called after each event. An unknown host is no error.
    pub fn check_host(&self, id: HostId) -> Result<(), String> {
        let Some(host) = self.cluster.host(id) else { return Ok(()) };
        self.cluster.check_host(host)?;
        if !matches!(self.peers.get(&host.peer), Some(Peer::Host(known)) if *known == id) {
            return Err(format!("host {id}: its peer is somebody else"));
        }
        let mut running = 0;
        let mut given = 0;
        let mut dormant = 0;
        for job in &host.jobs {
            let Some(job) = self.jobs.get(job).filter(|j| j.server() == Some(id)) else {
                return Err(format!("host {id}: job {job} is not its own"));
            };
            let begun = matches!(job.state, State::Compiling { .. });
            running += u32::from(begun);
            dormant += u32::from(job.dormant && !begun);
            given += u32::from(job.submitter != id && !job.dormant);
        }
        if (running, dormant) != (host.running, host.dormant) {
            let counted = (host.running, host.dormant);
            return Err(format!("host {id}: {running} jobs run, {dormant} are dormant, {counted:?} counted"));
        }
        // Dormant jobs that begin late exceed the capacity and wait on the host. Its own jobs may exceed it too: a job
        // that no other host can take goes to its submitter regardless of slots.
        if given > host.slots + 1 + host.slots / 4 {
            return Err(format!("host {id}: {given} jobs of others for {} slots", host.slots));
        }
        for job in &host.submitted {
            if self.jobs.get(job).is_none_or(|j| j.submitter != id) {
                return Err(format!("host {id}: did not ask for job {job}"));
            }
        }
        for install in host.installing.values() {
            if !host.jobs.contains(&install.job) {
                return Err(format!("host {id}: installs for job {} that it does not have", install.job));
            }
        }
        match host.tick {
            Some(at) if !self.timers.contains(&(at, Timer::Host(id))) => Err(format!("host {id}: its timer is lost")),
            _ => Ok(()),
        }
    }

    /// The environments that the scheduler believes a host has, in the order of its LOGIN; `None` if the host is
    /// unknown.
    pub fn environments_of(&self, id: HostId) -> Option<&[EnvRef]> {
        self.cluster.host(id).map(|host| host.environments.as_slice())
    }

    /// Checks one job. An unknown job is no error.
    pub fn check_job(&self, id: JobId) -> Result<(), String> {
        let Some(job) = self.jobs.get(&id) else { return Ok(()) };
        let queued = self.queue.contains(job.bucket(), id);
        if queued != self.waits(job) {
            return Err(format!("job {id}: {:?} but queued={queued}", job.state));
        }
        if self.is_orphan(job) {
            let known = self.orphans.contains(&id) && self.timers.iter().any(|(_, timer)| *timer == Timer::Orphans);
            return if known { Ok(()) } else { Err(format!("job {id}: left behind by {}", job.submitter)) };
        }
        if self.cluster.host(job.submitter).is_none_or(|h| !h.submitted.contains(&id)) {
            return Err(format!("job {id}: its submitter {} does not know it", job.submitter));
        }
        if let Some(server) = job.server() {
            if self.cluster.host(server).is_none_or(|h| !h.jobs.contains(&id)) {
                return Err(format!("job {id}: its server {server} does not know it"));
            }
        }
        Ok(())
    }
}

impl Scheduler {
    /// Whether a job must be in the queue.
    fn waits(&self, job: &Job) -> bool {
        job.state == State::Pending && !self.is_orphan(job)
    }
}

impl Cluster {
    /// Checks that the indexes agree with one host.
    pub fn check_host(&self, host: &Host) -> Result<(), String> {
        let id = host.id;
        let class = self.classes.get(&host.class).ok_or_else(|| format!("host {id}: no class"))?;
        for tier in 0..=1u8 {
            if class.open[usize::from(tier)].contains(&id) != (host.open() == Some(tier)) {
                return Err(format!("host {id}: wrongly listed as open in tier {tier}"));
            }
        }
        let ready = host.open().is_some() && host.has_room();
        if host.rank.is_some() != ready {
            return Err(format!("host {id}: ready={ready} rank={:?}", host.rank));
        }
        if let Some(rank) = host.rank {
            if !class.ready.contains(&rank) {
                return Err(format!("host {id}: not among the ready ones of its class"));
            }
        }
        for key in &host.keys {
            let owners = self.owners.get(key).ok_or_else(|| format!("host {id}: environment without owners"))?;
            if !owners.hosts.contains(&id) || host.active.contains(key) != (owners.demand > 0) {
                return Err(format!("host {id}: owners of {:?} are wrong", owners.environment));
            }
            if owners.demand > 0 && host.rank.is_some_and(|rank| !owners.ready.contains(&rank)) {
                return Err(format!("host {id}: not among the ready owners of {:?}", owners.environment));
            }
        }
        Ok(())
    }

    /// Checks that the indexes hold exactly what follows from the hosts.
    pub fn check(&self) -> Result<(), String> {
        for host in self.hosts() {
            self.check_host(host)?;
        }
        let mut env_quota = EnvQuota::default();
        for host in self.hosts() {
            env_quota.take(&host.address, &mut host.environments.clone());
        }
        if env_quota != *self.env_quota() {
            return Err(format!("cluster: {env_quota:?} are taken, {:?} counted", self.env_quota()));
        }
        let ready = self.hosts().filter(|h| h.rank.is_some()).count();
        let listed: usize = self.classes.values().map(|c| c.ready.len()).sum();
        if ready != listed {
            return Err(format!("cluster: {ready} ready hosts, {listed} listed"));
        }
        let members: usize = self.classes.values().map(|c| c.members).sum();
        if members != self.len() {
            return Err(format!("cluster: {} hosts, {members} in classes", self.len()));
        }
        let paces: Vec<f64> = self.hosts().filter_map(|h| h.pace.value()).collect();
        let sum: f64 = paces.iter().sum();
        if paces.len() != self.pace_known as usize || (sum - self.pace_sum).abs() > 1e-6 {
            return Err(format!("cluster: {} paces of {sum}, {} of {}", paces.len(), self.pace_known, self.pace_sum));
        }
        let names: BTreeSet<_> = self.hosts().flat_map(|h| [(&h.name, h.id), (&h.address, h.id)]).collect();
        let named = self.named.iter().flat_map(|(name, ids)| ids.iter().map(move |id| (name, *id)));
        if !named.eq(names) || self.named.values().any(BTreeSet::is_empty) {
            return Err("cluster: hosts are found by other names than theirs".into());
        }
        for (id, known) in self.requirements.all() {
            let fits = self.classes.iter().map(|(id, class)| (*id, class.fits(&known.requirement)));
            if !known.fits.iter().map(|(id, fits)| (*id, *fits)).eq(fits) {
                return Err(format!("requirement {id:?}: fits other classes than it says"));
            }
        }
        if self.env_keys.len() != self.owners.len() {
            return Err(format!("cluster: {} environments, {} owners", self.env_keys.len(), self.owners.len()));
        }
        for (key, owners) in &self.owners {
            if owners.demand == 0 && owners.hosts.is_empty() {
                return Err(format!("cluster: nobody has or asks for {:?}", owners.environment));
            }
            let asked = self.requirements.all().flat_map(|(_, k)| &k.keys).filter(|k| *k == key).count();
            if asked != owners.demand || owners.ready.len() > owners.hosts.len() {
                return Err(format!("cluster: {:?} asked {} times, {asked} known", owners.environment, owners.demand));
            }
        }
        Ok(())
    }
}
