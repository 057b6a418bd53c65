//! The check of invariants finds each violation: the simulation and all tests here rely on it.

use super::super::cluster::Owners;
use super::super::host::Installing;
use super::super::queue::Bucket;
use super::super::requirement::{EnvKey, RequirementEntry};
use super::*;

const A: HostId = HostId(1);
const H: HostId = HostId(2);

/// Job 1 compiles, 2 and 3 wait on `h`, 4 is queued; `h` itself submitted 5.
fn healthy() -> Scheduler {
    let mut s = Scenario::new();
    let (a, h) = (s.host("a", 0, &[]), s.host("h", 4, &["e", "q"]));
    for environment in ["e", "e", "new"] {
        s.ask(a, request(environment, "f", 1)).unwrap();
    }
    s.begin(h, 1);
    s.ask(a, request("new", "f", 2));
    s.ask(h, GetCs { preferred_host: "h".into(), ..request("e", "f", 1) }).unwrap();
    s.scheduler.check().unwrap();
    s.scheduler
}

fn host(s: &mut Scheduler, id: HostId) -> &mut host::Host {
    s.cluster.host_mut(id).unwrap()
}

fn job(s: &mut Scheduler, id: u32) -> &mut Job {
    s.jobs.get_mut(&JobId(id)).unwrap()
}

fn key_of(s: &Scheduler, name: &str) -> EnvKey {
    s.cluster.env_keys[&EnvRef { platform: "x86_64".into(), name: name.into() }]
}

fn owners<'a>(s: &'a mut Scheduler, name: &str) -> &'a mut Owners {
    let key = key_of(s, name);
    s.cluster.owners.get_mut(&key).unwrap()
}

fn class(s: &mut Scheduler) -> &mut cluster::Class {
    s.cluster.classes.values_mut().next().unwrap()
}

fn known(s: &mut Scheduler) -> &mut RequirementEntry {
    let requirement = job(s, 1).requirement;
    s.cluster.requirements.get_mut(requirement).unwrap()
}

type Break = fn(&mut Scheduler);

fn is_found(breaks: &[(&str, Break)]) {
    for (says, breaks) in breaks {
        let mut scheduler = healthy();
        breaks(&mut scheduler);
        match scheduler.check() {
            Err(found) => assert!(found.contains(says), "{says}: {found}"),
            Ok(()) => panic!("{says}: not found"),
        }
    }
}

#[test]
fn what_is_wrong_with_a_job_is_found() {
    is_found(&[
        ("job 4: Waiting", |s| job(s, 4).state = State::Waiting { server: H, since: Instant::ZERO }),
        ("job 2: Pending", |s| {
            host(s, H).jobs.retain(|id| *id != JobId(2));
            job(s, 2).state = State::Pending;
        }),
        ("job 2: left behind", |s| {
            host(s, A).submitted.remove(&JobId(2));
            job(s, 2).submitter = HostId(99);
        }),
        ("job 2: left behind", |s| {
            host(s, A).submitted.remove(&JobId(2));
            job(s, 2).submitter = HostId(99);
            s.orphans.push_back(JobId(2));
        }),
        ("job 2: left behind", |s| {
            host(s, A).submitted.remove(&JobId(2));
            job(s, 2).submitter = HostId(99);
            s.timers.insert((Instant::ZERO, Timer::Orphans));
        }),
        ("job 1: its submitter", |s| _ = host(s, A).submitted.remove(&JobId(1))),
        ("job 2: its server", |s| host(s, H).jobs.retain(|id| *id != JobId(2))),
        ("1 pending jobs, 2 in the queue", |s| {
            let bucket = Bucket { submitter: A, level: 9, requirement: job(s, 1).requirement };
            s.queue.push(bucket, JobId(77));
        }),
        ("requirement", |s| known(s).jobs += 1),
        ("requirement", |s| known(s).waiting += 1),
        ("requirement", |s| known(s).installing += 1),
        ("work was left over", |s| s.shrunk = true),
        ("work was left over", |s| _ = s.freed.insert(H)),
    ]);
}

#[test]
fn what_is_wrong_with_a_host_is_found() {
    is_found(&[
        ("host 2: its peer", |s| _ = s.peers.remove(&PeerId(2))),
        ("host 2: its peer", |s| _ = s.peers.insert(PeerId(2), Peer::Host(A))),
        ("3 peers are hosts", |s| _ = s.peers.insert(PeerId(9), Peer::Host(H))),
        ("host 2: job 77 is not its own", |s| host(s, H).jobs.push_back(JobId(77))),
        ("host 2: job 4 is not its own", |s| host(s, H).jobs.push_back(JobId(4))),
        ("host 2: 1 jobs run", |s| host(s, H).running += 1),
        ("host 2: 0 jobs run", |s| job(s, 1).state = State::Waiting { server: H, since: Instant::ZERO }),
        ("host 2: 1 jobs run, 1 are dormant", |s| job(s, 2).dormant = true),
        ("host 2: did not ask for job 1", |s| _ = host(s, H).submitted.insert(JobId(1))),
        ("host 1: did not ask for job 77", |s| _ = host(s, A).submitted.insert(JobId(77))),
        ("host 2: installs for job 4", |s| {
            let (key, requirement) = (key_of(s, "q"), job(s, 4).requirement);
            host(s, H).installing.insert(key, Installing { since: Instant::ZERO, job: JobId(4), requirement });
        }),
        ("host 2: its timer is lost", |s| s.timers.retain(|(_, timer)| *timer != Timer::Host(H))),
    ]);
}

#[test]
fn a_host_with_more_jobs_than_it_may_have_is_found() {
    let cases = [(1, 2, true), (1, 3, false), (3, 4, true), (3, 5, false), (4, 6, true), (4, 7, false), (8, 12, false)];
    for (slots, jobs, allowed) in cases {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let h = s.host("h", 20, &["e"]);
        for client in 0..jobs {
            s.ask(a, request("e", "f", client)).unwrap();
        }
        // Fully loaded, so that it has no rank that could be wrong.
        s.load(h, 1000);
        host(&mut s.scheduler, h.host).slots = slots;
        assert_eq!(s.scheduler.check_host(h.host).is_ok(), allowed, "{jobs} jobs for {slots} slots");
    }
}

#[test]
fn what_is_wrong_with_an_index_is_found() {
    is_found(&[
        ("host 2: wrongly listed as open in tier 0", |s| _ = class(s).open[0].remove(&H)),
        ("host 2: wrongly listed as open in tier 1", |s| _ = class(s).open[1].insert(H)),
        ("host 2: ready=true rank=None", |s| host(s, H).rank = None),
        ("host 2: not among the ready ones of its class", |s| class(s).ready.clear()),
        ("host 2: owners of", |s| _ = owners(s, "q").hosts.remove(&H)),
        ("host 2: owners of", |s| {
            let key = key_of(s, "e");
            host(s, H).active.remove(&key);
        }),
        ("host 2: owners of", |s| {
            let key = key_of(s, "q");
            host(s, H).active.insert(key);
        }),
        ("host 2: not among the ready owners", |s| owners(s, "e").ready.clear()),
        ("cluster: EnvQuota", |s| host(s, H).address = "10.9.9.9".into()),
        ("cluster: 1 ready hosts, 2 listed", |s| {
            let mut rank = host(s, H).rank.unwrap();
            rank.host = A;
            class(s).ready.insert(rank);
        }),
        ("cluster: 2 hosts, 3 in classes", |s| class(s).members += 1),
        ("asked 2 times, 1 known", |s| owners(s, "new").demand += 1),
        ("asked 0 times", |s| {
            let mut rank = host(s, H).rank.unwrap();
            rank.host = A;
            owners(s, "q").ready.insert(rank);
            rank.host = HostId(9);
            owners(s, "q").ready.insert(rank);
        }),
        ("nobody has or asks", |s| {
            let environment = EnvRef { platform: "x86_64".into(), name: "gone".into() };
            s.cluster.env_keys.insert(environment.clone(), EnvKey(99));
            s.cluster.owners.insert(EnvKey(99), Owners { environment, ..Owners::default() });
        }),
        ("4 environments, 3 owners", |s| {
            s.cluster.env_keys.insert(EnvRef { platform: "x".into(), name: "y".into() }, EnvKey(99));
        }),
        ("cluster: 0 paces", |s| s.cluster.pace_known = 1),
        ("cluster: 0 paces", |s| s.cluster.pace_sum = 1.0),
        ("other names than theirs", |s| _ = s.cluster.named.remove(&Text::from("h"))),
        ("other names than theirs", |s| _ = s.cluster.named.insert("x".into(), BTreeSet::new())),
        ("fits other classes", |s| known(s).fits.clear()),
    ]);
}
