//! Scenarios of `spec/scheduler.md` 11, by their number, on a small stage: hosts, monitors and text peers played by hand.
//!
//! Long because it is a list: one short scenario after the other, all on the same stage.

use super::*;
use crate::env::EnvRef;
use crate::ids::ClientId;
use crate::job::JobStats;
use crate::message::{BlacklistHostEnv, GetCs, JobBegin, JobDone, JobLocalBegin, Login, Stats, UseCs};

/// The stage: a scheduler, a clock, and what it said and to whom.
struct Scenario {
    scheduler: Scheduler,
    now: Instant,
    next_peer: u64,
    said: Vec<(PeerId, Message)>,
    texts: Vec<(PeerId, String)>,
    closed: Vec<(PeerId, CloseReason)>,
    notes: Vec<String>,
    probes: Vec<HostId>,
    /// Answer to probes, at once; `None` keeps them waiting.
    reachable: Option<bool>,
}

/// A host on the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Actor {
    peer: PeerId,
    host: HostId,
}

fn login(name: &str, slots: u32, environments: &[&str]) -> Login {
    let env = |name: &&str| EnvRef { platform: "x86_64".into(), name: (*name).into() };
    Login {
        port: 10245,
        slots,
        environments: environments.iter().map(env).collect(),
        node_name: name.into(),
        platform: "x86_64".into(),
        chroot_possible: 1,
        no_remote: 0,
        features: 3,
    }
}

fn request(environment: &str, file: &str, client: u32) -> GetCs {
    GetCs {
        environments: vec![EnvRef { platform: "x86_64".into(), name: environment.into() }],
        file: file.into(),
        count: 1,
        target: "x86_64".into(),
        client: ClientId(client),
        ..GetCs::default()
    }
}

impl Scenario {
    fn new() -> Self {
        Self {
            scheduler: Scheduler::new(Config::default(), Instant::ZERO),
            now: Instant::ZERO,
            next_peer: 0,
            said: Vec::new(),
            texts: Vec::new(),
            closed: Vec::new(),
            notes: Vec::new(),
            probes: Vec::new(),
            reachable: Some(true),
        }
    }

    fn input(&mut self, input: Input) {
        self.scheduler.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Send { peer, message } => self.said.push((peer, message)),
                Output::SendText { peer, text } => self.texts.push((peer, text)),
                Output::Close { peer, reason } => self.closed.push((peer, reason)),
                Output::Probe { host, .. } => match self.reachable {
                    Some(reachable) => self.scheduler.handle(self.now, Input::Probed { host, reachable }),
                    None => self.probes.push(host),
                },
                Output::Note(note) => self.notes.push(note.to_string()),
            }
        }
        self.scheduler.check().unwrap();
    }

    fn wait(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.scheduler.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.scheduler.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn peer(&mut self, address: &str, version: u32) -> PeerId {
        self.next_peer += 1;
        let peer = PeerId(self.next_peer);
        let offer = Version::new(version);
        let version = offer.min(Version::TO_SCHEDULER);
        self.input(Input::Opened { peer, address: address.into(), offer, version });
        peer
    }

    fn say(&mut self, peer: PeerId, message: Message) {
        self.input(Input::Said { peer, message });
    }

    fn log_in(&mut self, address: &str, version: u32, login: Login) -> Actor {
        let peer = self.peer(address, version);
        self.say(peer, Message::Login(login));
        Actor { peer, host: HostId(self.scheduler.next_host) }
    }

    /// A host with load 0 on an address of its own.
    fn host(&mut self, name: &str, slots: u32, environments: &[&str]) -> Actor {
        let address = format!("10.0.0.{}", self.next_peer + 1);
        let actor = self.log_in(&address, 43, login(name, slots, environments));
        self.load(actor, 0);
        actor
    }

    fn load(&mut self, actor: Actor, load: u32) {
        self.say(actor.peer, Message::Stats(Stats { load, ..Stats::default() }));
    }

    fn monitor(&mut self) -> PeerId {
        let peer = self.peer("10.9.9.9", 43);
        self.say(peer, Message::MonLogin);
        self.said.clear();
        peer
    }

    fn text(&mut self, lines: &[&str]) -> String {
        self.next_peer += 1;
        let peer = PeerId(self.next_peer);
        self.input(Input::TextOpened { peer });
        self.texts.clear();
        for line in lines {
            self.input(Input::Line { peer, text: (*line).into() });
        }
        self.texts.drain(..).map(|(_, text)| text).collect()
    }

    /// What was said to a peer since the last look.
    fn heard(&mut self, peer: PeerId) -> Vec<Message> {
        let (mine, others) = self.said.drain(..).partition(|(to, _)| *to == peer);
        self.said = others;
        let mine: Vec<(PeerId, Message)> = mine;
        mine.into_iter().map(|(_, message)| message).collect()
    }

    /// Jobs answered to a submitter since the last look: job, and the server's address or "" for NO_CS.
    fn answers(&mut self, submitter: Actor) -> Vec<(u32, String)> {
        let answer = |message: Message| match message {
            Message::UseCs(UseCs { job, host, .. }) => Some((job.0, host.lossy().into_owned())),
            Message::NoCs { job, .. } => Some((job.0, String::new())),
            _ => None,
        };
        self.heard(submitter.peer).into_iter().filter_map(answer).collect()
    }

    /// Asks for a job and returns the server it went to at once.
    fn ask(&mut self, submitter: Actor, request: GetCs) -> Option<(u32, String)> {
        self.heard(submitter.peer);
        self.say(submitter.peer, Message::GetCs(request));
        self.answers(submitter).pop()
    }

    fn begin(&mut self, server: Actor, job: u32) {
        self.say(server.peer, Message::JobBegin(JobBegin { job: JobId(job), start_time: 7, client_count: 1 }));
    }

    fn finish(&mut self, sender: Actor, job: u32, flags: u32, exit_code: i32, ms: u32) {
        let stats = JobStats { real_ms: ms, user_ms: ms, out_uncompressed: 10_000, ..JobStats::default() };
        self.say(sender.peer, Message::JobDone(JobDone { job, exit_code, stats, flags, client_count: 1 }));
    }

    fn address(&self, actor: Actor) -> String {
        self.scheduler.cluster.host(actor.host).unwrap().address.lossy().into_owned()
    }

    fn noted(&self, part: &str) -> bool {
        self.notes.iter().any(|note| note.contains(part))
    }
}

#[test]
fn s13_conf_is_sent_from_24_on() {
    for (version, sent) in [(21, 0), (23, 0), (24, 1), (43, 1), (1000, 1)] {
        let mut s = Scenario::new();
        let host = s.log_in("10.0.0.1", version, login("h", 1, &[]));
        let confs = s.heard(host.peer).into_iter().filter(|m| matches!(m, Message::CsConf(_))).count();
        assert_eq!(confs, sent, "{version}");
    }
}

#[test]
fn s14_without_stats_a_host_gets_no_job() {
    let mut s = Scenario::new();
    let submitter = s.host("s", 0, &[]);
    let h = s.log_in("10.0.0.9", 43, login("h", 1, &["e"]));
    assert_eq!(s.ask(submitter, request("e", "f", 1)), None);
    s.load(h, 999);
    assert_eq!(s.answers(submitter).len(), 1);
}

#[test]
fn s15_a_second_login_changes_environments_only() {
    let mut s = Scenario::new();
    let h = s.host("h", 2, &[]);
    s.said.clear();
    let mut other = login("x", 9, &["e"]);
    other.port = 0;
    s.say(h.peer, Message::Login(other));
    assert!(matches!(s.heard(h.peer).as_slice(), [Message::CsConf(_)]));
    let host = s.scheduler.cluster.host(h.host).unwrap();
    assert_eq!((host.slots, host.port, host.environments.len()), (2, 10245, 1));
    assert_eq!(host.name, "h");
}

#[test]
fn s16_a_host_that_comes_again_replaces_its_older_self() {
    let mut s = Scenario::new();
    let old = s.log_in("10.0.0.1", 43, login("h", 1, &[]));
    s.log_in("10.0.0.2", 43, login("h", 1, &[]));
    s.log_in("10.0.0.1", 43, login("other", 1, &[]));
    assert!(s.closed.is_empty());
    s.log_in("10.0.0.1", 43, login("h", 1, &[]));
    assert_eq!(s.closed, [(old.peer, CloseReason::Replaced)]);
    assert_eq!(s.scheduler.cluster.len(), 3);
}

#[test]
fn s17_strange_messages_end_a_host_but_a_late_status_does_not() {
    let mut s = Scenario::new();
    let h = s.host("h", 1, &[]);
    s.say(h.peer, Message::StatusText { text: "late".into() });
    assert!(s.closed.is_empty());
    s.say(h.peer, Message::MonLogin);
    assert_eq!(s.closed, [(h.peer, CloseReason::InvalidMessage)]);
    assert!(s.noted("Invalid message type arrived R"));
}

#[test]
fn s18_s20_when_a_host_leaves_its_jobs_end_queued_ones_first() {
    let mut s = Scenario::new();
    let h = s.host("h", 1, &["e"]);
    let other = s.host("o", 0, &[]);
    let monitor = s.monitor();
    for client in 1..=4 {
        s.ask(h, request("e", "f", client));
    }
    s.ask(other, request("e", "f", 9));
    assert_eq!(s.ask(other, request("e", "f", 10)), None);
    s.heard(monitor);
    s.input(Input::Closed { peer: h.peer });
    let told: Vec<u32> = s
        .heard(monitor)
        .into_iter()
        .map(|m| match m {
            Message::MonStats(stats) => {
                assert_eq!(stats.text, "State:Offline\n");
                0
            }
            Message::MonJobDone(done) => {
                assert_eq!(done.exit_code, 255);
                done.job
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [0, 2, 3, 4, 1, 5]);
    assert_eq!(s.answers(other), [(6, String::new())], "what only waited goes home");
}

#[test]
fn s21_old_silent_hosts_are_asked_then_removed() {
    let mut s = Scenario::new();
    let h = s.log_in("10.0.0.1", 26, login("h", 4, &[]));
    s.load(h, 0);
    s.wait(35);
    s.heard(h.peer);
    s.wait(2);
    assert_eq!(s.heard(h.peer), [Message::Ping]);
    assert!(s.text(&["listcs"]).contains("jobs=0/-4"));
    s.say(h.peer, Message::Ping);
    assert!(s.text(&["listcs"]).contains("jobs=0/4"));
    s.wait(43);
    assert_eq!(s.closed.pop(), Some((h.peer, CloseReason::Silent)));
}

#[test]
fn s22_who_does_not_log_in_is_closed() {
    let mut s = Scenario::new();
    let peer = s.peer("10.0.0.1", 43);
    s.wait(14);
    assert!(s.closed.is_empty());
    s.wait(2);
    assert_eq!(s.closed, [(peer, CloseReason::NoLogin)]);
}

#[test]
fn s24_an_unreachable_host_gets_nothing_and_is_tried_again() {
    let mut s = Scenario::new();
    let submitter = s.host("s", 0, &[]);
    s.reachable = None;
    let h = s.host("h", 4, &["e"]);
    s.wait(5);
    s.probes.clear();
    s.input(Input::Probed { host: h.host, reachable: false });
    assert_eq!(s.ask(submitter, request("e", "f", 1)).unwrap().1, "", "nobody can: home");
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let before = s.now;
        while s.probes.is_empty() {
            s.wait(1);
        }
        pauses.push(s.now.since(before).as_secs());
        s.probes.clear();
        s.input(Input::Probed { host: h.host, reachable: false });
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
    s.reachable = Some(true);
    s.wait(61);
    assert!(s.noted("Client (h 10.0.0.2:10245) is accepting incoming connections."));
    assert_eq!(s.ask(submitter, request("e", "f", 2)).unwrap().1, "10.0.0.2");
}

#[test]
fn s26_long_names_are_refused() {
    let mut s = Scenario::new();
    let monitor = s.monitor();
    let peer = s.peer("10.0.0.1", 43);
    s.say(peer, Message::Login(login(&"x".repeat(3000), 1, &[])));
    assert_eq!(s.closed, [(peer, CloseReason::LoginRefused)]);
    assert!(s.heard(monitor).is_empty());
}

#[test]
fn s28_a_job_from_request_to_end() {
    let mut s = Scenario::new();
    let submitter = s.host("s", 0, &[]);
    let h = s.host("h", 2, &["e"]);
    let monitor = s.monitor();
    assert_eq!(s.ask(submitter, request("e", "/x/a/b/c.c", 5)), Some((1, "10.0.0.2".into())));
    s.begin(h, 1);
    s.finish(h, 1, 0, 0, 100);
    assert!(s.noted("NEW 1 client=s versions=[e(x86_64)] /x/a/b/c.c C 0"));
    assert!(s.noted("BEGIN: 1 client=s(x86_64) server=h(x86_64)"));
    assert!(s.noted("END 1 status=0 in=0(0%) out=10000(0%) real=100 user=100 sys=0 pfaults=0 server=h"));
    let told = s.heard(monitor);
    assert!(
        matches!(told.as_slice(), [Message::MonGetCs(_), Message::MonJobBegin(_), Message::MonJobDone(_)]),
        "{told:?}"
    );
    assert!(matches!(&told[0], Message::MonGetCs(m) if m.file == "a/b/c.c"));
}

#[test]
fn s29_three_at_once_and_too_many() {
    let mut s = Scenario::new();
    let submitter = s.host("s", 0, &[]);
    s.host("h", 4, &["e"]);
    s.heard(submitter.peer);
    s.say(submitter.peer, Message::GetCs(GetCs { count: 3, ..request("e", "f", 5) }));
    assert_eq!(s.answers(submitter).iter().map(|a| a.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(s.ask(submitter, GetCs { count: 0, ..request("e", "f", 6) }), None);
    assert_eq!(s.ask(submitter, GetCs { count: 65, ..request("e", "f", 7) }), None);
    assert_eq!(s.scheduler.last_number, 3);
}

#[test]
fn s30_s31_reports_of_strangers_and_twice() {
    let mut s = Scenario::new();
    let submitter = s.host("s", 0, &[]);
    let h = s.host("h", 2, &["e"]);
    let other = s.host("o", 0, &[]);
    s.begin(h, 77);
    assert!(s.noted("handle_job_begin: no valid job id 77"));
    let (job, _) = s.ask(submitter, request("e", "f", 5)).unwrap();
    s.begin(other, job);
    assert!(s.noted("that job isn't handled by 10.0.0.3"));
    s.finish(other, job, 0, 0, 1);
    assert!(s.noted("the server isn't the same for job 1"));
    s.finish(other, job, 1, 0, 1);
    assert!(s.noted("the submitter isn't the same for job 1"));
    assert!(s.scheduler.jobs.contains_key(&JobId(job)) && s.scheduler.cluster.host(other.host).is_some());
    s.finish(h, job, 0, 0, 1);
    s.finish(h, job, 0, 0, 1);
    assert!(s.noted("job ID not present 1"));
    assert_eq!(s.closed, []);
}

#[test]
fn s32_s33_cancels_of_queued_jobs() {
    for code in [0, 118] {
        let mut s = Scenario::new();
        let submitter = s.host("s", 0, &[]);
        let h = s.host("h", 1, &["e"]);
        let monitor = s.monitor();
        for client in [1, 2] {
            s.ask(submitter, request("e", "f", client));
        }
        s.say(submitter.peer, Message::GetCs(GetCs { count: 3, ..request("e", "f", 3) }));
        assert_eq!(s.scheduler.queue.len(), 3);
        for flags in [0, 1, 2] {
            s.finish(submitter, 4, flags, code, 0);
        }
        assert_eq!(s.scheduler.queue.len(), 3);
        s.heard(monitor);
        s.finish(submitter, 3, 3, code, 0);
        assert_eq!(s.scheduler.queue.len(), 0);
        let ended: Vec<(u32, u32)> = s
            .heard(monitor)
            .into_iter()
            .filter_map(|m| if let Message::MonJobDone(d) = m { Some((d.job, d.flags)) } else { None })
            .collect();
        assert_eq!(ended, [(3, 1), (4, 1), (5, 1)]);
        s.finish(h, 1, 0, 0, 10);
        assert!(s.closed.is_empty());
    }
}

#[test]
fn s34_submitters_take_turns_by_niceness() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let b = s.host("b", 0, &[]);
    let h = s.host("h", 1, &["e"]);
    // Both places, slot and preload, are taken first.
    s.ask(a, request("e", "f", 90));
    s.ask(a, request("e", "f", 91));
    for client in 1..=4 {
        s.ask(a, request("e", "f", client));
    }
    let nice = |client, niceness| GetCs { niceness, ..request("e", "f", client) };
    s.ask(a, nice(5, 5));
    s.ask(b, nice(6, 3));
    s.ask(b, nice(7, 99));
    s.ask(a, nice(8, u32::MAX - 15));
    for client in 11..=14 {
        s.ask(b, request("e", "f", client));
    }
    assert_eq!(s.scheduler.jobs.get(&JobId(9)).unwrap().level, 20);
    s.said.clear();
    let mut order = Vec::new();
    for _ in 0..16 {
        let Some(job) = s.scheduler.cluster.host(h.host).unwrap().jobs.front().copied() else { break };
        s.finish(h, job.0, 0, 1, 0);
        for (_, message) in s.said.drain(..) {
            if let Message::UseCs(use_cs) = message {
                order.push(use_cs.client.0);
            }
        }
    }
    assert_eq!(order, [1, 11, 2, 12, 3, 13, 4, 14, 8, 6, 5, 7]);
}

#[test]
fn nice_jobs_age() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 1, &["e"]);
    for client in 1..=2 {
        s.ask(a, request("e", "f", client));
    }
    s.begin(h, 1);
    s.ask(a, GetCs { niceness: 2, ..request("e", "f", 3) });
    s.wait(61);
    assert_eq!(s.scheduler.jobs.get(&JobId(3)).unwrap().level, 1);
    s.wait(100);
    assert_eq!(s.scheduler.jobs.get(&JobId(3)).unwrap().level, 0);
    s.ask(a, request("e", "f", 4));
    s.finish(h, 1, 0, 1, 0);
    assert_eq!(s.answers(a).pop().unwrap().0, 3, "it waited longer");
}

#[test]
fn s35_a_job_that_must_wait_keeps_nobody_else_waiting() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let b = s.host("b", 0, &[]);
    let one = s.host("one", 1, &["e"]);
    s.host("two", 4, &["e"]);
    let prefer = |client| GetCs { preferred_host: "one".into(), ..request("e", "f", client) };
    s.ask(a, prefer(1));
    s.ask(a, prefer(2));
    assert_eq!(s.ask(a, prefer(3)), None);
    assert_eq!(s.ask(b, request("e", "f", 1)).unwrap().1, "10.0.0.4");
    s.finish(one, 1, 0, 0, 1);
    assert_eq!(s.answers(a), [(3, "10.0.0.3".into())]);
}

#[test]
fn s36_s37_nobody_ever_means_home_at_once() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    for client in 1..=6 {
        assert_eq!(s.ask(a, request("e", "f", client)).unwrap().1, "");
    }
    assert!(s.noted("No suitable host found, assigning submitter"));
    let b = s.host("b", 2, &[]);
    s.load(b, 1000);
    assert_eq!(s.ask(b, request("e", "f", 1)).unwrap().1, "");
}

#[test]
fn s38_below_37_home_is_named_by_its_address() {
    let mut s = Scenario::new();
    let a = s.log_in("10.0.0.1", 36, login("a", 1, &[]));
    s.heard(a.peer);
    s.say(a.peer, Message::GetCs(request("e", "f", 3)));
    let told = s.heard(a.peer);
    assert!(matches!(told.as_slice(), [Message::UseCs(u)] if u.host == "10.0.0.1" && u.env_present == 1), "{told:?}");
}

#[test]
fn s39_s40_s41_installing_blocks_one_environment_only() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 8, &["other"]);
    s.heard(a.peer);
    s.say(a.peer, Message::GetCs(request("e", "f", 1)));
    let told = s.heard(a.peer);
    assert!(matches!(told.as_slice(), [Message::UseCs(u)] if u.env_present == 0), "{told:?}");
    assert!(s.noted("put 1 in joblist of h (will install now)"));
    assert!(s.text(&["listcs"]).contains(" busy installing since 0 s"));
    assert_eq!(s.ask(a, request("e", "f", 2)), None, "on its way already");
    assert!(s.ask(a, request("other", "f", 3)).is_some(), "another environment is not concerned");
    s.say(h.peer, Message::Login(login("", 0, &["other", "e"])));
    assert_eq!(s.answers(a), [(2, "10.0.0.2".into())]);
    // Given up by its client.
    s.ask(a, request("third", "f", 4)).unwrap();
    assert_eq!(s.ask(a, request("third", "f", 5)), None);
    s.finish(a, 4, 1, 118, 0);
    assert_eq!(s.answers(a), [(5, "10.0.0.2".into())]);
    assert!(s.closed.is_empty());
}

#[test]
fn s40_an_environment_that_never_arrives_costs_no_connection() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("h", 8, &[]);
    s.ask(a, request("e", "f", 1)).unwrap();
    assert_eq!(s.ask(a, request("e", "f", 2)), None);
    s.wait(121);
    assert_eq!(s.answers(a).len(), 1);
    assert!(s.closed.is_empty());
}

#[test]
fn s42_jobs_of_one_request_run_one_compiler() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let mut arm = login("arm", 1, &[]);
    arm.platform = "aarch64".into();
    let arm = s.log_in("10.0.1.1", 43, arm);
    s.load(arm, 0);
    let two = |client| {
        let mut r = request("e", "f", client);
        r.count = 6;
        r.environments.insert(0, EnvRef { platform: "aarch64".into(), name: "f".into() });
        r
    };
    let pc = s.host("pc", 1, &["e"]);
    s.say(a.peer, Message::GetCs(two(1)));
    let answers = s.answers(a);
    let first = answers[0].1.clone();
    assert_eq!(first, s.address(pc), "it has the environment");
    assert!(answers.iter().all(|(_, host)| *host == first), "{answers:?}");
    assert!(s.scheduler.queue.len() >= 4);
}

#[test]
fn s43_who_is_not_eligible_gets_nothing() {
    type Change = fn(&mut Login);
    let changes: [(&str, Change); 6] = [
        ("chroot", |l| l.chroot_possible = 0),
        ("no remote", |l| l.no_remote = 1),
        ("slots", |l| l.slots = 0),
        ("features", |l| l.features = 1),
        ("platform", |l| l.platform = "aarch64".into()),
        ("fine", |_| {}),
    ];
    for (what, change) in changes {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let mut l = login("h", 4, &["e"]);
        change(&mut l);
        let h = s.log_in("10.0.0.2", 43, l);
        s.load(h, 0);
        let r = GetCs { required_features: 2, minimal_version: 42, ..request("e", "f", 1) };
        let used = s.ask(a, r).unwrap().1 == "10.0.0.2";
        assert_eq!(used, what == "fine", "{what}");
        let r = GetCs { minimal_version: 44, ..request("e", "f", 1) };
        assert_eq!(s.ask(a, r).unwrap().1, "", "{what}");
        let mut r = request("e", "f", 1);
        r.environments.clear();
        assert_eq!(s.ask(a, r).unwrap().1, "", "{what}");
    }
}

#[test]
fn s44_older_programs_run_on_newer_platforms() {
    for (job, host, used) in
        [("i386", "x86_64", true), ("i686", "x86_64", true), ("ppc", "ppc64", true), ("x86_64", "i686", false)]
    {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let mut l = login("h", 4, &[]);
        l.platform = host.into();
        let h = s.log_in("10.0.0.2", 43, l);
        s.load(h, 0);
        let mut r = request("e", "f", 1);
        r.environments[0].platform = job.into();
        s.heard(a.peer);
        s.say(a.peer, Message::GetCs(r));
        match s.heard(a.peer).as_slice() {
            [Message::UseCs(u)] => assert!(used && u.host_platform == job, "{job} {host}"),
            [Message::NoCs { .. }] => assert!(!used, "{job} {host}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn s45_an_environment_counts_under_its_target_only() {
    for (target, present) in [("x86_64", 1), ("aarch64", 0)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let mut l = login("h", 4, &["e2"]);
        l.platform = "aarch64".into();
        l.environments[0].platform = target.into();
        let h = s.log_in("10.0.0.2", 43, l);
        s.load(h, 0);
        let mut r = request("e1", "f", 1);
        r.environments.push(EnvRef { platform: "aarch64".into(), name: "e2".into() });
        s.heard(a.peer);
        s.say(a.peer, Message::GetCs(r));
        let told = s.heard(a.peer);
        assert!(
            matches!(told.as_slice(), [Message::UseCs(u)] if u.env_present == present && u.host_platform == "aarch64"),
            "{told:?}"
        );
    }
}

#[test]
fn s46_preload_is_that_of_1_4() {
    for (slots, most) in [(1, 2), (4, 6), (8, 11)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        s.host("h", slots, &["e"]);
        for client in 1..=20 {
            s.ask(a, request("e", "f", client));
        }
        assert_eq!(20 - s.scheduler.queue.len(), most, "{slots}");
    }
}

/// Behind long jobs a job waits worse than in the queue, from where it goes to whoever is free first.
#[test]
fn s46_a_host_that_is_known_to_take_long_gets_nothing_beside_its_slots() {
    for (job_ms, most) in [(2_000, 6), (20_000, 4)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let h = s.host("h", 4, &["e"]);
        for client in 1..=10 {
            let (job, _) = s.ask(a, request("e", "f", client)).unwrap();
            s.finish(h, job, 0, 0, job_ms);
        }
        for client in 11..=30 {
            s.ask(a, request("e", "f", client));
        }
        assert_eq!(20 - s.scheduler.queue.len(), most, "{job_ms} ms");
    }
}

#[test]
fn s47_a_preferred_host_or_home() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("h", 1, &["e"]);
    s.host("fast", 8, &["e"]);
    let mut ask = |name: &str| s.ask(a, GetCs { preferred_host: name.into(), ..request("e", "f", 1) });
    assert_eq!(ask("h").unwrap().1, "10.0.0.2");
    assert_eq!(ask("10.0.0.2").unwrap().1, "10.0.0.2");
    assert_eq!(ask("h"), None);
    assert_eq!(ask("H").unwrap().1, "");
    assert_eq!(ask("nobody").unwrap().1, "");
}

/// A preferred host that has only fallen silent may come back: its jobs wait. One that was found not to be there cannot "ever"
/// take them (5.1), and a job that waited for it goes home too.
#[test]
fn s47_a_preferred_host_that_is_silent_is_waited_for_and_one_out_of_reach_is_not() {
    let mut s = Scenario::new();
    let (a, h) = (s.host("a", 0, &[]), s.host("h", 4, &["e"]));
    let prefer = |client| GetCs { preferred_host: "h".into(), ..request("e", "f", client) };
    s.wait(10);
    s.reachable = None;
    let (first, _) = s.ask(a, prefer(1)).unwrap();
    s.wait(2);
    assert!(s.scheduler.cluster.host(h.host).unwrap().suspect);
    assert_eq!(s.ask(a, prefer(2)), None, "waits");
    s.begin(h, first);
    assert_eq!(s.answers(a).len(), 1, "served when it shows life");
    let probed = s.probes.pop().unwrap();
    s.input(Input::Probed { host: probed, reachable: true });
    s.wait(10);
    assert_eq!(s.ask(a, prefer(3)), None, "waits");
    let probed = s.probes.pop().unwrap();
    s.input(Input::Probed { host: probed, reachable: false });
    assert_eq!(s.answers(a).pop().unwrap().1, "");
    assert_eq!(s.ask(a, prefer(4)).unwrap().1, "");
}

#[test]
fn s48_a_blacklist_is_of_one_submitter_host_and_environment() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let b = s.host("b", 0, &[]);
    let h = s.host("h", 8, &["e", "other"]);
    let black = BlacklistHostEnv { environment: "e".into(), target: "x86_64".into(), host: "10.0.0.3".into() };
    s.say(a.peer, Message::BlacklistHostEnv(black));
    assert_eq!(s.ask(a, request("e", "f", 1)).unwrap().1, "");
    assert_eq!(s.ask(a, request("other", "f", 1)).unwrap().1, "10.0.0.3");
    assert_eq!(s.ask(b, request("e", "f", 1)).unwrap().1, "10.0.0.3");
    s.wait(601);
    assert_eq!(s.ask(a, request("e", "f", 2)).unwrap().1, "10.0.0.3", "forgiven");
    s.input(Input::Closed { peer: h.peer });
    assert_eq!(s.ask(a, request("e", "f", 3)).unwrap().1, "");
}

#[test]
fn s49_without_history_jobs_are_spread() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    for name in ["h1", "h2", "h3", "h4"] {
        s.host(name, 4, &["e"]);
    }
    let mut used: Vec<String> = (1..=4).map(|client| s.ask(a, request("e", "f", client)).unwrap().1).collect();
    used.sort();
    used.dedup();
    assert_eq!(used.len(), 4);
}

#[test]
fn s52_the_fast_host_is_chosen_whatever_the_order_of_ids() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let slow = s.host("slow", 4, &["e"]);
    let fast = s.host("fast", 4, &["e"]);
    for client in 1..=10 {
        for (name, actor, ms) in [("slow", slow, 400), ("fast", fast, 100)] {
            let r = GetCs { preferred_host: name.into(), ..request("e", "f", client) };
            let (job, _) = s.ask(a, r).unwrap();
            s.finish(actor, job, 0, 0, ms);
        }
    }
    for client in 1..=4 {
        let (job, host) = s.ask(a, request("e", "f", client)).unwrap();
        assert_eq!(host, "10.0.0.3");
        s.finish(fast, job, 0, 0, 100);
    }
}

#[test]
fn s53_the_submitter_keeps_its_first_job_if_nearly_as_fast() {
    for (home_ms, stays) in [(130, true), (160, false)] {
        let mut s = Scenario::new();
        let a = s.host("a", 4, &["e"]);
        let h = s.host("h", 4, &["e"]);
        for client in 1..=10 {
            for (name, actor, flags, ms) in [("a", a, 1, home_ms), ("h", h, 0, 100)] {
                let r = GetCs { preferred_host: name.into(), ..request("e", "f", client) };
                let (job, _) = s.ask(a, r).unwrap();
                s.finish(actor, job, flags, 0, ms);
            }
        }
        let first = s.ask(a, GetCs { client_count: 1, ..request("e", "f", 50) }).unwrap().1;
        assert_eq!(first.is_empty(), stays, "{home_ms}");
        let second = s.ask(a, GetCs { client_count: 2, ..request("e", "f", 51) }).unwrap().1;
        assert_eq!(second, "10.0.0.2", "the next one is distributed");
    }
}

#[test]
fn s55_a_monitor_learns_hosts_and_running_jobs_at_login() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 4, &["e"]);
    let (job, _) = s.ask(a, request("e", "f", 1)).unwrap();
    s.begin(h, job);
    s.said.clear();
    let peer = s.peer("10.9.9.9", 43);
    s.say(peer, Message::MonLogin);
    let told = s.heard(peer);
    assert!(
        matches!(told.as_slice(), [Message::MonStats(_), Message::MonStats(_), Message::MonJobBegin(_)]),
        "{told:?}"
    );
    let Message::MonStats(stats) = &told[1] else { panic!() };
    assert_eq!(
        stats.text.lossy(),
        "Name:h\nIP:10.0.0.2\nMaxJobs:4\nNoRemote:false\nPlatform:x86_64\nVersion:43\nFeatures:env_xz env_zstd\nSpeed:0.000000\nLoad:0\n"
    );
}

#[test]
fn s58_local_jobs_take_a_slot_and_always_end() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 1, &["e"]);
    let monitor = s.monitor();
    s.say(
        h.peer,
        Message::JobLocalBegin(JobLocalBegin { start_time: 5, output_file: "/a/b/c/d".into(), id: 11, full: 0 }),
    );
    assert!(
        matches!(s.heard(monitor).as_slice(), [Message::MonLocalJobBegin(m)] if m.file == "b/c/d" && m.job == JobId(1))
    );
    assert_eq!(s.ask(a, request("e", "f", 1)), None, "the only slot is taken");
    s.say(h.peer, Message::JobLocalDone { id: 11 });
    assert_eq!(s.answers(a).len(), 1);
    s.say(h.peer, Message::JobLocalDone { id: 12 });
    s.say(h.peer, Message::JobLocalBegin(JobLocalBegin { id: 13, ..JobLocalBegin::default() }));
    s.heard(monitor);
    s.input(Input::Closed { peer: h.peer });
    assert_eq!(s.heard(monitor).last(), Some(&Message::JobLocalDone { id: 3 }));
}

#[test]
fn s59_the_text_port_speaks_as_1_4() {
    let mut s = Scenario::new();
    let h = s.host("alpha", 2, &[]);
    s.load(h, 918);
    assert_eq!(s.text(&["LISTCS"]), " alpha (10.0.0.1:10245) [x86_64] speed=0.00 jobs=0/2 load=918\n200 done\n");
    assert_eq!(s.text(&["listjobs"]), "200 done\n");
    assert_eq!(s.text(&["  nonsense  x"]), "Invalid command '  nonsense  x'\n200 done\n");
    assert_eq!(s.text(&[""]), "Invalid command ''\n200 done\n");
    assert_eq!(s.text(&["removecs"]), "401 Sure. But which hosts?\n200 done\n");
    assert_eq!(s.text(&["unblockcs"]), "401 Sure. But which host?\n200 done\n");
    assert_eq!(s.text(&["quit"]), "200 Good Bye!\n");
    let help = "listcs\nlistblocks\nlistjobs\nremovecs\nblockcs\nunblockcs\ninternals\nhelp\nquit\n200 done\n";
    assert_eq!(s.text(&["help"]), help);
    let json = s.text(&["listcs --json"]);
    assert!(json.starts_with("[\n{\"id\":1,\"name\":\"alpha\""), "{json}");
}

#[test]
fn s59_job_lines_name_submitter_and_server() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 1, &["e"]);
    for client in 1..=3 {
        s.ask(a, request("e", "x/f.c", client));
    }
    s.begin(h, 1);
    assert_eq!(
        s.text(&["listjobs"]),
        " 1 COMP sub:a on:h x/f.c\n 2 WAIT sub:a on:h x/f.c\n 3 PEND sub:a on:<unknown> x/f.c\n200 done\n"
    );
    assert!(s.text(&["listcs"]).contains("jobs=2/1 load=0\n   1 COMP sub:a on:h x/f.c\n   2 WAIT sub:a on:h x/f.c\n"));
}

#[test]
fn s60_blocked_hosts_stay_out_until_unblocked_as_often() {
    let mut s = Scenario::new();
    let h = s.host("h", 1, &[]);
    assert_eq!(s.text(&["blockcs h h"]), "removing host h\n200 done\n");
    assert_eq!(s.closed, [(h.peer, CloseReason::Removed)]);
    assert_eq!(s.text(&["listblocks"]), "   h\n   h\n200 done\n");
    s.text(&["unblockcs h"]);
    s.host("h", 1, &[]);
    assert_eq!(s.scheduler.cluster.len(), 0);
    s.text(&["unblockcs h"]);
    s.host("h", 1, &[]);
    assert_eq!(s.scheduler.cluster.len(), 1);
}

#[test]
fn s62_a_silent_text_peer_is_said_good_bye() {
    let mut s = Scenario::new();
    s.text(&["help"]);
    s.wait(37);
    assert_eq!(s.texts.pop().unwrap().1, "200 Good Bye!\n");
    assert_eq!(s.closed.pop().unwrap().1, CloseReason::GoodBye);
    assert_eq!(s.scheduler.poll_timeout(), None);
}

#[test]
fn s63_internals_asks_all_and_answers_in_time() {
    let mut s = Scenario::new();
    let one = s.host("one", 1, &[]);
    let two = s.host("two", 1, &[]);
    assert_eq!(s.text(&["internals", "help"]), "");
    assert_eq!(s.heard(one.peer).last(), Some(&Message::GetInternals));
    s.say(one.peer, Message::StatusText { text: "Node Name: one\n".into() });
    s.load(two, 5);
    s.wait(2);
    let text: String = s.texts.drain(..).map(|(_, t)| t).collect();
    assert!(text.starts_with("Node Name: one\ntwo not reporting\n200 done\nlistcs\n"), "{text}");
    s.say(two.peer, Message::StatusText { text: "late".into() });
    assert!(s.closed.is_empty());
}

#[test]
fn a_host_not_probed_yet_is_used_only_where_nobody_else_could() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.reachable = None;
    s.host("new", 8, &["e"]);
    assert_eq!(s.ask(a, request("e", "f", 1)).unwrap().1, "10.0.0.2");
    s.reachable = Some(true);
    s.host("known", 1, &[]);
    assert_eq!(s.ask(a, request("e", "f", 2)).unwrap().1, "10.0.0.3");
    s.wait(1);
    assert_eq!(s.ask(a, request("e", "f", 3)).unwrap().1, "10.0.0.2", "after a second it counts as reachable");
}

#[test]
fn a_frozen_host_gets_no_more_jobs() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let frozen = s.host("frozen", 4, &["e"]);
    s.wait(30);
    s.reachable = None;
    assert!(s.ask(a, request("e", "f", 1)).is_some());
    assert_eq!(s.probes, [frozen.host], "it was silent for long: look at once");
    s.wait(1);
    assert!(s.noted("host with jobs gives no sign of life, avoiding it host=frozen"));
    assert_eq!(s.ask(a, request("e", "f", 2)), None);
    let other = s.host("other", 1, &["e"]);
    s.input(Input::Probed { host: other.host, reachable: true });
    assert_eq!(s.answers(a), [(2, "10.0.0.3".into())]);
    // It wakes up.
    assert_eq!(s.ask(a, request("e", "f", 3)).unwrap().1, "10.0.0.3");
    assert_eq!(s.ask(a, request("e", "f", 4)), None);
    s.load(frozen, 0);
    assert_eq!(s.answers(a), [(4, "10.0.0.2".into())]);
}

#[test]
fn a_host_that_freezes_with_jobs_is_found_out() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 4, &["e"]);
    s.reachable = None;
    for client in 1..=3 {
        s.ask(a, request("e", "f", client)).unwrap();
    }
    s.begin(h, 1);
    s.wait(3);
    assert_eq!(s.probes, [h.host]);
    s.wait(1);
    assert!(s.noted("host with jobs gives no sign of life"));
    assert_eq!(s.ask(a, request("e", "f", 9)), None);
    s.input(Input::Probed { host: h.host, reachable: false });
    assert_eq!(s.answers(a).len(), 1, "now it is known to be unreachable");
}

#[test]
fn jobs_that_never_begin_do_not_hold_their_slots() {
    let mut s = Scenario::new();
    let (rude, polite) = (s.host("rude", 0, &[]), s.host("polite", 0, &[]));
    let h = s.host("h", 2, &["e"]);
    while s.ask(rude, request("e", "f", 5)).is_some() {}
    let given: Vec<JobId> = s.scheduler.cluster.host(h.host).unwrap().jobs.iter().copied().collect();
    assert_eq!(s.ask(polite, request("e", "f", 6)), None);
    s.wait(90);
    assert!(s.noted("jobs given to a host do not begin, others get their slots") && !s.answers(polite).is_empty());
    // They are known as before: they may begin late, and end.
    for job in given {
        s.begin(h, job.0);
        s.finish(h, job.0, 0, 0, 1000);
        assert!(s.noted(&format!("END {job} status=0")), "{job}");
    }
    assert_eq!(s.scheduler.cluster.host(h.host).unwrap().dormant, 0);
}

#[test]
fn jobs_that_wait_for_busy_slots_keep_their_place() {
    let mut s = Scenario::new();
    let (first, second) = (s.host("first", 0, &[]), s.host("second", 0, &[]));
    let h = s.host("h", 2, &["e"]);
    while s.ask(first, request("e", "f", 5)).is_some() {}
    let given: Vec<JobId> = s.scheduler.cluster.host(h.host).unwrap().jobs.iter().copied().collect();
    assert!(given.len() > 2);
    given.iter().take(2).for_each(|job| s.begin(h, job.0));
    assert_eq!(s.ask(second, request("e", "f", 6)), None);
    s.wait(600);
    assert!(s.answers(second).is_empty() && s.scheduler.cluster.host(h.host).unwrap().dormant == 0);
}

#[test]
fn what_is_kept_of_environments_is_bounded_by_address() {
    let mut s = Scenario::new();
    let many = |host: usize, count: usize| {
        let env = |i: usize| format!("{host}-{i}-{}", "x".repeat(230));
        let names: Vec<String> = (0..count).map(env).collect();
        login(&format!("h{host}"), 1, &names.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // At one go: it takes a while to check all that is right with so many.
    for host in 0..20 {
        let (peer, version) = (PeerId(host as u64 + 1), Version::new(43));
        s.scheduler.handle(s.now, Input::Opened { peer, address: "10.1.1.1".into(), offer: version, version });
        s.scheduler.handle(s.now, Input::Said { peer, message: Message::Login(many(host, 4096)) });
    }
    s.next_peer = 20;
    s.drain();
    assert!(s.noted("environments of h19") && !s.noted("environments of h10"));
    let last = Actor { peer: PeerId(20), host: HostId(20) };
    assert!(s.closed.is_empty() && s.scheduler.cluster.host(last.host).unwrap().environments.is_empty());
    let elsewhere = s.log_in("10.1.1.2", 43, many(99, 50));
    assert_eq!(s.scheduler.cluster.host(elsewhere.host).unwrap().environments.len(), 50);
    // What a host no longer names is free for others.
    s.input(Input::Closed { peer: PeerId(1) });
    s.say(last.peer, Message::Login(many(19, 50)));
    assert_eq!(s.scheduler.cluster.host(last.host).unwrap().environments.len(), 50);
}

#[test]
fn monitors_are_bounded_by_address_and_in_all() {
    let mut s = Scenario::new();
    for address in 0..6 {
        for _ in 0..MONITORS_PER_ADDRESS_MAX + 1 {
            let peer = s.peer(&format!("10.2.2.{address}"), 43);
            s.say(peer, Message::MonLogin);
        }
    }
    assert_eq!(s.scheduler.monitors.len(), MONITORS_MAX);
    assert_eq!(s.closed.len(), 6 * (MONITORS_PER_ADDRESS_MAX + 1) - MONITORS_MAX);
    assert!(s.noted("monitor from 10.2.2.0 refused") && s.noted("monitor from 10.2.2.5 refused"));
    let there = s.scheduler.monitors.keys().next().copied().unwrap();
    s.input(Input::Closed { peer: there });
    s.monitor();
    assert_eq!(s.scheduler.monitors.len(), MONITORS_MAX);
}

#[test]
fn a_better_scheduler_takes_hosts_and_monitors_over() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let monitor = s.monitor();
    s.input(Input::ElectionLost { address: "10.1.1.1".into(), port: 8765, version: Version::new(43) });
    assert_eq!(s.closed, [(a.peer, CloseReason::ElectionLost), (monitor, CloseReason::ElectionLost)]);
    assert!(s.noted("Scheduler from 10.1.1.1:8765 (version 43) has announced itself as a preferred scheduler, disconnecting all connections."));
    assert_eq!(s.heard(monitor).len(), 1);
}

#[test]
fn long_names_of_a_request_are_not_kept_for_each_of_its_jobs() {
    let mut s = Scenario::new();
    let (a, m) = (s.host("a", 4, &[]), s.monitor());
    let long = "/x".repeat(400_000);
    let environments = (0..5000).map(|n| EnvRef { platform: "x86_64".into(), name: format!("E{n}").into() }).collect();
    let ask = GetCs {
        count: 64,
        environments,
        preferred_host: long.as_str().into(),
        ..request("E", &(long.clone() + "/f.c"), 1)
    };
    s.say(a.peer, Message::GetCs(ask));
    s.say(
        a.peer,
        Message::JobLocalBegin(JobLocalBegin { output_file: long.into(), id: 1, ..JobLocalBegin::default() }),
    );
    let told: usize = s.heard(m).iter().map(|m| format!("{m:?}").len()).sum();
    assert!(told < 64 * 4000, "{told}");
    for job in s.scheduler.jobs.values() {
        assert!(job.file.len() <= 1024 && job.file.as_bytes().ends_with(b"/x/f.c"));
        let need = &s.scheduler.cluster.needs.known(job.need).unwrap().need;
        assert!(need.environments.len() <= 64 && need.preferred.len() <= 256);
    }
}

#[test]
fn a_flood_of_requests_is_answered_but_not_kept() {
    let mut s = Scenario::new();
    let a = s.host("a", 4, &[]);
    let asks = 2 * crate::limits::JOBS_PER_HOST_MAX as u32 / 64;
    for n in 0..asks {
        s.say(a.peer, Message::GetCs(GetCs { count: 64, ..request("E", "f.c", n) }));
    }
    assert!(s.scheduler.jobs.len() <= crate::limits::JOBS_PER_HOST_MAX);
    let home = s.heard(a.peer).iter().filter(|m| matches!(m, Message::NoCs { .. })).count();
    assert_eq!(home + s.scheduler.queue.len(), asks as usize * 64);
    // Nor is each of many wishes. (Not by `say`, which checks everything each time.)
    let mut s = Scenario::new();
    let b = s.host("b", 4, &[]);
    for n in 0..1500 {
        let message = Message::GetCs(request(&format!("E{n}"), "f.c", n));
        s.scheduler.handle(s.now, Input::Said { peer: b.peer, message });
    }
    assert!(s.scheduler.cluster.needs.all().count() <= 1024);
    s.scheduler.check().unwrap();
}

/// A submitter that leaves tens of thousands of jobs behind holds nobody up: they end in portions, and none of them is handed out.
#[test]
fn jobs_left_behind_end_in_portions() {
    const EACH: usize = 4000;
    let mut s = Scenario::new();
    let (leaver, stayer) = (s.host("leaver", 0, &[]), s.host("stayer", 0, &[]));
    let (large, small) = (s.host("large", 9000, &["E"]), s.host("small", 1, &["E"]));
    let on = |host: &str, n: usize| GetCs {
        preferred_host: host.into(),
        niceness: n as u32 % 3,
        ..request("E", "f.c", n as u32)
    };
    let held = s.ask(stayer, on("small", 0)).unwrap().0;
    // Some have a server, others wait in several lanes. (Not by `say`, which checks everything each time.)
    for n in 0..2 * EACH {
        let request = on(if n < EACH { "large" } else { "small" }, n);
        s.scheduler.handle(s.now, Input::Said { peer: leaver.peer, message: Message::GetCs(request) });
    }
    let monitor = s.monitor();
    assert_eq!(s.scheduler.cluster.host(large.host).unwrap().jobs.len(), EACH);
    assert!(s.scheduler.queue.len() > EACH - 10);

    let left = s.now;
    s.input(Input::Closed { peer: leaver.peer });
    let lost = |s: &mut Scenario| {
        let told = s.heard(monitor);
        told.iter().filter(|m| matches!(m, Message::MonJobDone(done) if done.exit_code == 255)).count()
    };
    let mut ended = lost(&mut s);
    assert!(ended < 1000, "{ended} in one go");
    assert_eq!(s.scheduler.queue.len(), 0);
    // Others go on as ever: what gets free is for who is there, and who speaks of a job of nobody's has done nothing wrong.
    s.begin(small, held);
    s.finish(small, held, 0, 0, 10);
    assert_eq!(s.ask(stayer, on("large", 1)).map(|(_, server)| server), Some(s.address(large)));
    let of_nobody = *s.scheduler.cluster.host(large.host).unwrap().jobs.iter().rev().nth(1).unwrap();
    s.finish(large, of_nobody.0, 0, 0, 10);
    assert!(s.closed.is_empty() && s.scheduler.jobs.contains_key(&of_nobody));
    while let Some(at) = s.scheduler.poll_timeout().filter(|at| *at < left + Duration::from_secs(1)) {
        s.now = at;
        s.scheduler.handle_timeout(at);
        s.drain();
        let now = lost(&mut s);
        assert!(now < 1000, "{now} in one go");
        ended += now;
    }
    assert_eq!(ended, 2 * EACH);
    assert!(s.now < left + Duration::from_millis(200));
    assert!(s.scheduler.jobs.values().all(|job| job.submitter == stayer.host));
    assert!(s.ask(stayer, on("small", 2)).is_some());
}

#[test]
fn numbers_of_living_jobs_are_not_given_again() {
    let mut s = Scenario::new();
    let a = s.host("a", 4, &[]);
    let first = s.ask(a, request("E", "f.c", 1)).unwrap().0;
    s.scheduler.last_number = u32::MAX;
    while s.scheduler.last_number != first + 1 {
        s.scheduler.next_number();
    }
    s.scheduler.last_number = first - 1;
    assert_eq!(s.ask(a, request("E", "f.c", 2)).map(|(job, _)| job), Some(first + 1));
    s.scheduler.check().unwrap();
}

#[test]
fn what_hosts_say_to_internals_is_cut() {
    let mut s = Scenario::new();
    let hosts: Vec<Actor> = (0..40).map(|n| s.host(&format!("h{n}"), 1, &[])).collect();
    let peer = PeerId(900);
    s.input(Input::TextOpened { peer });
    s.input(Input::Line { peer, text: "internals".into() });
    for host in hosts {
        s.say(host.peer, Message::StatusText { text: "x".repeat(1 << 20).into() });
    }
    let said: usize = s.texts.iter().filter(|(to, _)| *to == peer).map(|(_, text)| text.len()).sum();
    assert!(said < (2 << 20) + 4096, "{said}");
}
