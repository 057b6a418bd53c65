//! The check of invariants finds each violation: the simulation and all tests here rely on it.

use super::super::class::Class;
use super::super::cluster::Cluster;
use super::super::environments::{Environments, Owners};
use super::super::job::Job;
use super::super::queue::Bucket;
use super::super::rank::Rank;
use super::super::requirement::{EnvKey, RequirementId, Requirements};
use super::super::speed::Pace;
use super::super::standing::Standing;
use super::super::work::Work;
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

fn cluster(s: &mut Scheduler) -> &mut Cluster {
    s.ledger.parts().2
}

fn host(s: &mut Scheduler, id: HostId) -> &mut Host {
    cluster(s).host_mut(id).unwrap()
}

fn work(s: &mut Scheduler, id: HostId) -> &mut Work {
    host(s, id).work_mut()
}

fn job(s: &mut Scheduler, id: u32) -> &mut Job {
    s.ledger.parts().0.get_mut(&JobId(id)).unwrap()
}

/// Job 2 is on `h` still, but nobody's.
fn bereave(s: &mut Scheduler) {
    work(s, A).ask_no_more(JobId(2));
    let mut orphan = Job::new(HostId(99), job(s, 2).requirement(), &request("e", "f", 1), 0);
    orphan.assign(H, Instant::ZERO, None);
    *job(s, 2) = orphan;
}

/// Job `id` is on a host that need not know it.
fn give(s: &mut Scheduler, to: HostId, id: u32) {
    let any = job(s, 4).clone();
    work(s, to).assign(JobId(id), &any, Instant::ZERO, None);
}

/// `h` does not know one of its jobs.
fn lose(s: &mut Scheduler, id: u32) {
    let lost = job(s, id).clone();
    work(s, H).end(JobId(id), &lost, Instant::ZERO);
}

fn env(name: &str) -> EnvRef {
    EnvRef { platform: "x86_64".into(), name: name.into() }
}

fn environments(s: &mut Scheduler) -> &mut Environments {
    cluster(s).parts().1
}

fn key_of(s: &mut Scheduler, name: &str) -> EnvKey {
    environments(s).parts().0[&env(name)]
}

fn class(s: &mut Scheduler) -> &mut Class {
    let classes = cluster(s).parts().0;
    let id = *classes.all().keys().next().unwrap();
    classes.get_mut(id).unwrap()
}

/// The requirement of job 1, and all of them.
fn known(s: &mut Scheduler) -> (RequirementId, &mut Requirements) {
    let id = job(s, 1).requirement();
    (id, cluster(s).requirements_mut())
}

fn rank(s: &mut Scheduler) -> Rank {
    host(s, H).standing().rank().unwrap()
}

fn pace(wall_ms: f64) -> Pace {
    let mut pace = Pace::default();
    pace.learn(100.0, wall_ms);
    pace
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
        ("job 4: Waiting", |s| job(s, 4).assign(H, Instant::ZERO, None)),
        ("job 2: Pending", |s| {
            lose(s, 2);
            *job(s, 2) = job(s, 4).clone();
        }),
        ("job 2: left behind", bereave),
        ("job 2: left behind", |s| {
            bereave(s);
            s.ledger.parts().3.push_back(JobId(2));
        }),
        ("job 2: left behind", |s| {
            bereave(s);
            s.timers.insert((Instant::ZERO, Timer::Orphans));
        }),
        ("job 1: its submitter", |s| work(s, A).ask_no_more(JobId(1))),
        ("job 2: its server", |s| lose(s, 2)),
        ("1 pending jobs, 2 in the queue", |s| {
            let bucket = Bucket { submitter: A, level: 9, requirement: job(s, 1).requirement() };
            s.ledger.parts().1.push(bucket, JobId(77));
        }),
        ("requirement", |s| {
            let (id, requirements) = known(s);
            requirements.add_job(id);
        }),
        ("requirement", |s| {
            let (id, requirements) = known(s);
            requirements.begin_install(id);
        }),
        ("work was left over", |s| s.ledger.shrink()),
        ("work was left over", |s| s.ledger.free(H)),
    ]);
}

#[test]
fn what_is_wrong_with_a_host_is_found() {
    is_found(&[
        ("host 2: its peer", |s| _ = s.peers.remove(&PeerId(2))),
        ("host 2: its peer", |s| _ = s.peers.insert(PeerId(2), Peer::Host(A))),
        ("3 peers are hosts", |s| _ = s.peers.insert(PeerId(9), Peer::Host(H))),
        ("host 2: job 77 is not its own", |s| give(s, H, 77)),
        ("host 2: job 4 is not its own", |s| give(s, H, 4)),
        ("host 2: 1 jobs run", |s| {
            let second = job(s, 2).clone();
            work(s, H).begin(&second);
        }),
        ("host 2: 0 jobs run", |s| job(s, 1).assign(H, Instant::ZERO, None)),
        ("host 2: 1 jobs run, 1 are dormant", |s| job(s, 2).become_dormant()),
        ("host 2: did not ask for job 1", |s| work(s, H).ask(JobId(1))),
        ("host 1: did not ask for job 77", |s| work(s, A).ask(JobId(77))),
        ("host 2: installs for job 4", |s| {
            let (key, queued) = (key_of(s, "q"), job(s, 4).clone());
            work(s, H).assign(JobId(4), &queued, Instant::ZERO, Some(key));
            lose(s, 4);
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
        let mut smaller = Work::new(slots, s.now);
        for (id, job) in s.scheduler.ledger.jobs() {
            smaller.assign(*id, job, s.now, None);
        }
        *work(&mut s.scheduler, h.host) = smaller;
        assert_eq!(s.scheduler.check_host(h.host).is_ok(), allowed, "{jobs} jobs for {slots} slots");
    }
}

#[test]
fn what_is_wrong_with_an_index_is_found() {
    is_found(&[
        ("host 2: wrongly listed as open in tier 0", |s| class(s).place(H, [Some(0), None], [None; 2])),
        ("host 2: wrongly listed as open in tier 1", |s| class(s).place(H, [None, Some(1)], [None; 2])),
        ("host 2: ready=true rank=None", |s| _ = host(s, H).standing_mut().set_rank(Some(0), None)),
        ("host 1: ready=false rank=None tier=Some(1)", |s| _ = host(s, A).standing_mut().set_rank(Some(1), None)),
        ("host 2: not among the ready ones of its class", |s| {
            let rank = rank(s);
            class(s).place(H, [None; 2], [Some(rank), None]);
        }),
        ("host 2: owners of", |s| {
            let (key, mut standing) = (key_of(s, "e"), Standing::default());
            standing.set_environments(vec![env("e")], vec![key], BTreeSet::new());
            environments(s).replace(H, &"10.0.0.2".into(), &mut standing, Vec::new());
        }),
        ("host 2: owners of", |s| {
            let key = key_of(s, "e");
            host(s, H).standing_mut().set_active(key, false);
        }),
        ("host 2: owners of", |s| {
            let key = key_of(s, "q");
            host(s, H).standing_mut().set_active(key, true);
        }),
        ("host 2: not among the ready owners", |s| {
            let (key, rank) = (key_of(s, "e"), rank(s));
            environments(s).rank([&key], Some(rank), None);
        }),
        ("cluster: EnvQuota", |s| {
            let standing = &mut Standing::default();
            environments(s).replace(HostId(9), &"10.9.9.9".into(), standing, vec![env("e")]);
        }),
        ("cluster: 1 ready hosts, 2 listed", |s| {
            let other = Rank { host: A, ..rank(s) };
            class(s).place(A, [None; 2], [None, Some(other)]);
        }),
        ("cluster: 2 hosts, 3 in classes", |s| {
            let said = host(s, H).said().clone();
            cluster(s).parts().0.join(&said);
        }),
        ("asked 2 times, 1 known", |s| _ = environments(s).add_demand(&env("new"))),
        ("asked 0 times", |s| {
            let (keys, rank) = (BTreeSet::from([key_of(s, "q")]), rank(s));
            for host in [A, HostId(9)] {
                environments(s).rank(&keys, None, Some(Rank { host, ..rank }));
            }
        }),
        ("nobody has or asks", |s| {
            let (keys, owners) = environments(s).parts();
            keys.insert(EnvRef::default(), EnvKey::nth(&mut 99));
            owners.insert(EnvKey::nth(&mut 99), Owners::default());
        }),
        ("4 environments, 3 owners", |s| {
            environments(s).parts().0.insert(EnvRef::default(), EnvKey::nth(&mut 99));
        }),
        ("cluster: 1 paces of 1, 0 of 0", |s| _ = host(s, H).set_pace(pace(100.0))),
        ("cluster: 1 paces of 0.5, 1 of 1", |s| {
            cluster(s).set_pace(H, pace(100.0));
            host(s, H).set_pace(pace(200.0));
        }),
        ("other names than theirs", |s| _ = cluster(s).parts().2.remove(&Text::from("h"))),
        ("other names than theirs", |s| _ = cluster(s).parts().2.insert("x".into(), BTreeSet::new())),
        ("fits other classes", |s| {
            let class = host(s, H).standing().class();
            known(s).1.forget_class(class);
        }),
    ]);
}

/// A record that is missing is logged, and what does not need it goes on.
#[test]
fn a_missing_record_is_noted() {
    let mut s = Scenario::new();
    let h = s.host("h", 4, &["e"]);
    s.scheduler.peers.insert(PeerId(9), Peer::Host(HostId(99)));
    s.scheduler.handle(s.now, Input::Message { peer: PeerId(9), kind: '?', message: Message::Ping });
    s.scheduler.peers.remove(&PeerId(9));
    s.drain();
    assert!(s.noted("the scheduler's records disagree, carrying on: host 99 is missing"));
    assert!(s.ask(h, request("e", "f", 1)).is_some());
    s.scheduler.ledger.end(JobId(77), s.now);
    s.load(h, 0);
    assert!(s.noted("job 77 is missing"));
}
