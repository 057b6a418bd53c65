//! One scripted workload seen by a recording monitor, against our scheduler and against 1.4's: the event feed is the
//! same.
//!
//! Compared are, per job, the sequence of event types and all fields that do not name a host, and per host its log-in
//! and its leaving. Numbers and times are left aside. Which host a job goes to is each scheduler's own choice, so
//! nothing the script does depends on it.

use std::collections::{BTreeMap, HashMap};

use ice_core::ids::JobId;
use ice_core::message::{GetCs, JobDone, Message, done_flags};

use crate::fake::{Answer, Daemon, Kind, Monitor, Scheduler, Setup, ask, fields};

/// What a monitor saw, without what may differ.
#[derive(Debug, PartialEq, Eq)]
struct Feed {
    /// By name of the file; jobs of one name follow each other.
    jobs: BTreeMap<String, Vec<String>>,
    /// By name of the host.
    hosts: BTreeMap<String, Vec<String>>,
}

/// Four hosts and a submitter, a recording monitor beside them.
struct World {
    monitor: Monitor,
    submitter: Daemon,
    hosts: Vec<Daemon>,
    jobs: usize,
    _first: Daemon,
}

impl World {
    fn new(scheduler: &Scheduler) -> Self {
        // Told of one that is there already, the monitor is known to be logged in before the others come.
        let first = scheduler.host(Setup::new("first").slots(0).load(None));
        let mut monitor = scheduler.monitor();
        monitor.until_line("Name:first");
        let submitter = scheduler.host(Setup::new("submitter").slots(0));
        let hosts = (1..=4).map(|n| scheduler.host(Setup::new(&format!("h{n}")).slots(2).env("E"))).collect();
        monitor.until_line("Name:h4");
        Self { monitor, submitter, hosts, jobs: 0, _first: first }
    }

    /// The next file name.
    fn file(&mut self) -> String {
        self.jobs += 1;
        format!("dir/job{:02}.cpp", self.jobs)
    }

    fn request(&mut self, preferred: &str) -> GetCs {
        let file = self.file();
        GetCs { preferred_host: preferred.into(), language: 1, arg_flags: 8, ..ask(&file, "E") }
    }

    /// Asks for a job; says which host got it.
    fn place(&mut self, preferred: &str) -> (JobId, usize) {
        let request = self.request(preferred);
        let answer = self.submitter.place(request);
        (answer.job(), self.server_of(&answer))
    }

    fn server_of(&self, answer: &Answer) -> usize {
        self.hosts.iter().position(|h| answer.is_on(h)).unwrap_or_else(|| panic!("{answer:?} names no host"))
    }

    fn host(&mut self, n: usize) -> &mut Daemon {
        self.hosts.get_mut(n).unwrap()
    }

    /// Begins and ends a job well; its numbers depend on the job's place in the script alone.
    fn run(&mut self, job: JobId, host: usize) {
        let (user_ms, out) = (100 + self.jobs as u32, 10_000 + 100 * self.jobs as u32);
        let host = self.host(host);
        host.begin(job);
        host.done(job, user_ms, out);
        host.fence();
    }
}

/// Forty jobs, local ones beside; a host leaves with work, another joins.
fn workload(scheduler: &Scheduler) -> Feed {
    let mut world = World::new(scheduler);
    // 1 to 10: one after the other, anywhere.
    for _ in 0..10 {
        let (job, host) = world.place("");
        world.run(job, host);
    }
    // 11 to 16: six at once, ended in the order they came.
    let six: Vec<_> = (0..6).map(|_| world.place("")).collect();
    for (job, host) in six {
        world.run(job, host);
    }
    // Local jobs on two hosts, one within the other.
    world.host(0).local_begin(5, "/src/local/a/one.o");
    world.host(1).local_begin(5, "two.o");
    for host in [1, 0] {
        world.host(host).fence();
        world.host(host).send(&Message::JobLocalDone { id: 5 });
        world.host(host).fence();
    }
    // 17 to 19: a compiler that fails, one that is killed, and one that never began.
    for (begins, code) in [(true, 1), (true, 137), (false, 118)] {
        let (job, host) = world.place("");
        if begins {
            world.host(host).begin(job);
        }
        world.host(host).failed(job, code);
        world.host(host).fence();
    }
    // 20: nobody knows its preferred host, so its submitter does it.
    let request = world.request("nobody");
    let answer = world.submitter.place(request);
    assert!(answer.is_home(), "{answer:?}");
    world.submitter.done_at_home(answer.job(), 0);
    world.submitter.fence();
    leaving(&mut world);
    // A host joins. 31 to 34 go to it, 35 to 37 to anybody.
    let joined = scheduler.host(Setup::new("h5").slots(4).env("E"));
    world.hosts.push(joined);
    for _ in 0..4 {
        let (job, host) = world.place("h5");
        world.run(job, host);
    }
    for _ in 0..3 {
        let (job, host) = world.place("");
        world.run(job, host);
    }
    // 38 to 40: one request for three.
    let request = GetCs { count: 3, ..world.request("") };
    let client = world.submitter.request(request);
    world.jobs += 2;
    let three: Vec<Answer> = (0..3).map(|_| world.submitter.answer()).collect();
    for answer in three {
        assert_eq!(answer.client(), client);
        let host = world.server_of(&answer);
        world.run(answer.job(), host);
    }
    assert_eq!(world.jobs, 40);
    world.submitter.send(&Message::End);
    world.monitor.until("the submitter's leaving", |m| {
        matches!(m, Message::MonStats(s) if s.host.0 == 2 && s.text == "State:Offline\n").then_some(())
    });
    feed(&world.monitor.told)
}

/// 21 to 30: a host leaves in the midst of work.
fn leaving(world: &mut World) {
    // Two of its slots run, the third job (more than its slots, as 1.4 hands out one more) has not begun.
    let taken: Vec<_> = (0..3).map(|_| world.place("h4")).collect();
    for (job, host) in taken.iter().take(2) {
        world.host(*host).begin(*job);
    }
    world.host(3).fence();
    // It has asked for three jobs on another host itself: two run, and the third cannot.
    let own: Vec<Answer> = (0..2)
        .map(|_| {
            let request = world.request("h1");
            world.host(3).place(request)
        })
        .collect();
    world.host(0).begin(own[0].job());
    world.host(0).fence();
    let third = world.place("h1");
    // Two more wait for it, one of them is cancelled. (Last of all, since with 1.4 the first that waits holds up all
    // others.)
    let waiting = world.request("h4");
    let waits = world.submitter.request(waiting);
    let request = world.request("h4");
    let cancelled = world.submitter.request(request);
    world.submitter.cancel(cancelled);
    world.submitter.fence();
    let queued = world.request("h1");
    world.host(3).request(queued);
    world.host(3).fence();
    world.host(3).send(&Message::End);
    // What waited for it can be done nowhere now.
    let answer = world.submitter.answer();
    assert!(answer.is_home() && answer.client() == waits, "{answer:?}");
    world.submitter.done_at_home(answer.job(), 0);
    world.submitter.fence();
    world.run(third.0, third.1);
    // 30: a job that its submitter ends, as a client does that lost its server.
    let (job, host) = world.place("h2");
    world.host(host).begin(job);
    world.host(host).fence();
    let done = JobDone { job: job.0, exit_code: 109, flags: done_flags::FROM_SUBMITTER, ..JobDone::default() };
    world.submitter.send(&Message::JobDone(done));
    world.submitter.fence();
}

/// Sorts what a monitor was told by job and by host.
fn feed(told: &[Message]) -> Feed {
    let mut feed = Feed { jobs: BTreeMap::new(), hosts: BTreeMap::new() };
    let mut files: HashMap<u32, String> = HashMap::new();
    let mut names: HashMap<u32, String> = HashMap::new();
    let mut asked: HashMap<String, u32> = HashMap::new();
    for message in told {
        match message {
            Message::MonGetCs(asked_for) => {
                let file = asked_for.file.lossy().into_owned();
                let n = asked.entry(file.clone()).or_default();
                *n += 1;
                let key = format!("{file} #{n}");
                files.insert(asked_for.job.0, key.clone());
                feed.jobs.entry(key).or_default().push(format!("asked file={file} language={}", asked_for.language));
            }
            Message::MonJobBegin(begin) => event(&mut feed, &files, begin.job.0, "begin".into()),
            Message::MonJobDone(done) => {
                let told = format!(
                    "done code={} flags={} clients={} {:?}",
                    done.exit_code, done.flags, done.client_count, done.stats
                );
                event(&mut feed, &files, done.job, told);
            }
            Message::MonLocalJobBegin(begin) => {
                let file = begin.file.lossy().into_owned();
                files.insert(begin.job.0, file.clone());
                feed.jobs.entry(file.clone()).or_default().push(format!("local begin file={file}"));
            }
            Message::JobLocalDone { id } => event(&mut feed, &files, *id, "local done".into()),
            Message::MonStats(stats) => {
                let fields = fields(stats);
                let name =
                    fields.get("Name").cloned().or_else(|| names.get(&stats.host.0).cloned()).unwrap_or_default();
                names.insert(stats.host.0, name.clone());
                let seen = feed.hosts.entry(name).or_default();
                if fields.contains_key("State") {
                    seen.push("left".into());
                } else if seen.is_empty() {
                    let kept = fields.iter().filter(|(key, _)| *key != "Speed");
                    seen.push(kept.map(|(key, value)| format!("{key}:{value}")).collect::<Vec<_>>().join(" "));
                }
            }
            other => panic!("not for a monitor: {other:?}"),
        }
    }
    feed
}

fn event(feed: &mut Feed, files: &HashMap<u32, String>, job: u32, what: String) {
    let file = files.get(&job).unwrap_or_else(|| panic!("{what} of job {job}, which nobody asked for"));
    feed.jobs.entry(file.clone()).or_default().push(what);
}

/// Must-show dropin.2.
#[test]
fn dropin_2_the_event_feed_is_that_of_1_4() {
    if !Kind::Debian.is_here() {
        return;
    }
    let (ours, theirs) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| workload(&Scheduler::start(Kind::Debian)));
        (workload(&crate::ours()), theirs.join().unwrap())
    });
    let mut equal = 0;
    println!("{:<22} {:<10} {:<10} equal", "job", "events", "1.4");
    for (file, events) in &theirs.jobs {
        let same = ours.jobs.get(file) == Some(events);
        equal += usize::from(same);
        println!("{file:<22} {:<10} {:<10} {same}", ours.jobs.get(file).map_or(0, Vec::len), events.len());
    }
    println!("jobs equal: {equal} of {}", theirs.jobs.len());
    for (host, events) in &theirs.hosts {
        println!("{host:<22} {}  equal: {}", events.join(" | "), ours.hosts.get(host) == Some(events));
    }
    assert_eq!(ours.jobs, theirs.jobs);
    assert_eq!(ours.hosts, theirs.hosts);
}
