//! Scenarios of the scheduler (S…), by their number, with scripted hosts, monitors and text peers.

mod bounds;
mod broken;
mod choice;
mod hosts;
mod jobs;
mod learning;
mod limits;
mod monitors;
mod order;
mod output;
mod selection;
mod shown;
mod times;
mod trust;
mod turns;
mod watch;

use super::*;
use crate::env::EnvRef;
use crate::ids::ClientId;
use crate::job::JobStats;
use crate::message::{
    BlacklistHostEnv, GetCs, HostCan, JobBegin, JobDone, JobLocalBegin, LOCALHOST, Login, Stats, UseCs, abilities,
    features,
};

/// A scheduler, a clock, and everything that the scheduler put out.
struct Scenario {
    scheduler: Scheduler,
    now: Instant,
    next_peer: u64,
    sent: Vec<(PeerId, Message)>,
    texts: Vec<(PeerId, String)>,
    rows: Vec<Row>,
    closed: Vec<(PeerId, CloseReason)>,
    notes: Vec<String>,
    probes: Vec<HostId>,
    /// Immediate answer to probes; `None` leaves them unanswered.
    reachable: Option<bool>,
}

/// A scripted host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TestHost {
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

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn black(environment: &str, target: &str, host: &str) -> Message {
    let (environment, target, host) = (environment.into(), target.into(), host.into());
    Message::BlacklistHostEnv(BlacklistHostEnv { environment, target, host })
}

impl Scenario {
    fn new() -> Self {
        Self {
            scheduler: Scheduler::new(Config::default(), Instant::ZERO),
            now: Instant::ZERO,
            next_peer: 0,
            sent: Vec::new(),
            texts: Vec::new(),
            rows: Vec::new(),
            closed: Vec::new(),
            notes: Vec::new(),
            probes: Vec::new(),
            reachable: Some(true),
        }
    }

    /// A submitter without slots and, beside it, a host that is full: requests for its environment wait.
    fn in_which_jobs_wait() -> (Self, TestHost, TestHost) {
        let mut s = Self::new();
        let submitter = s.host("a", 0, &[]);
        let full = s.host("full", 1, &["e"]);
        s.load(full, 1000);
        (s, submitter, full)
    }

    fn input(&mut self, input: Input) {
        self.scheduler.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        self.collect();
        self.scheduler.check().unwrap();
    }

    /// Without the check of all invariants.
    fn collect(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Send { peer, message } => self.sent.push((peer, message)),
                Output::SendText { peer, text } => self.texts.push((peer, text)),
                Output::SendRows { rows, .. } => self.rows.extend(rows),
                Output::Close { peer, reason } => self.closed.push((peer, reason)),
                Output::Probe { host, .. } => match self.reachable {
                    Some(reachable) => self.scheduler.handle(self.now, Input::Probed { host, reachable }),
                    None => self.probes.push(host),
                },
                Output::Note(note) => self.notes.push(note.to_string()),
            }
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
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
        self.input(Input::Message { peer, kind: '?', message });
    }

    fn log_in(&mut self, address: &str, version: u32, login: Login) -> TestHost {
        let peer = self.peer(address, version);
        self.say(peer, Message::Login(login));
        TestHost { peer, host: HostId(self.scheduler.next_host) }
    }

    /// A host with load 0 on an address of its own.
    fn host(&mut self, name: &str, slots: u32, environments: &[&str]) -> TestHost {
        let address = format!("10.0.0.{}", self.next_peer + 1);
        let actor = self.log_in(&address, 43, login(name, slots, environments));
        self.load(actor, 0);
        actor
    }

    fn load(&mut self, actor: TestHost, load: u32) {
        self.say(actor.peer, Message::Stats(Stats { load, ..Stats::default() }));
    }

    fn monitor(&mut self) -> PeerId {
        let peer = self.peer("10.9.9.9", 43);
        self.say(peer, Message::MonLogin);
        // Then it has been shown all.
        let last = Message::JobLocalDone { id: u32::MAX };
        while !self.scheduler.monitors[&peer].hears(&last) {
            self.pass(millis(1));
        }
        self.sent.clear();
        peer
    }

    /// The answer to these lines of a new text peer.
    fn text(&mut self, lines: &[&str]) -> String {
        self.console(lines);
        self.texts.drain(..).map(|(_, text)| text).collect()
    }

    /// What `listcs --json environments` says of a host.
    fn host_row(&mut self, name: &str) -> HostRow {
        assert_eq!(self.text(&["listcs --json environments"]), "200 done\n");
        let rows = self.rows.drain(..);
        let found = rows.filter_map(|row| if let Row::Host(host) = row { Some(host) } else { None });
        found.into_iter().find(|host| host.name == name).unwrap()
    }

    /// What `listjobs --json` says.
    fn job_rows(&mut self) -> Vec<JobRow> {
        assert_eq!(self.text(&["listjobs --json"]), "200 done\n");
        let rows = self.rows.drain(..);
        rows.filter_map(|row| if let Row::Job(job) = row { Some(job) } else { None }).collect()
    }

    /// A new text peer that has sent these lines.
    fn console(&mut self, lines: &[&str]) -> PeerId {
        self.next_peer += 1;
        let peer = PeerId(self.next_peer);
        self.input(Input::TextOpened { peer, address: "127.0.0.1".into(), may_change: true });
        self.texts.clear();
        for line in lines {
            self.input(Input::Line { peer, text: (*line).into() });
        }
        peer
    }

    /// Takes the text sent to one text peer; text sent to others is discarded.
    fn answered(&mut self, peer: PeerId) -> String {
        let texts = std::mem::take(&mut self.texts);
        texts.into_iter().filter(|(to, _)| *to == peer).map(|(_, text)| text).collect()
    }

    /// Takes the messages sent to a peer since the last call.
    fn sent_to(&mut self, peer: PeerId) -> Vec<Message> {
        let (mine, others) = self.sent.drain(..).partition(|(to, _)| *to == peer);
        self.sent = others;
        let mine: Vec<(PeerId, Message)> = mine;
        mine.into_iter().map(|(_, message)| message).collect()
    }

    /// Takes the answers to a submitter since the last call: job, and the server's address or "" for NO_CS.
    fn answers(&mut self, submitter: TestHost) -> Vec<(u32, String)> {
        let answer = |message: Message| match message {
            Message::UseCs(UseCs { job, host, .. }) => Some((job.0, host.lossy().into_owned())),
            Message::NoCs { job, .. } => Some((job.0, String::new())),
            _ => None,
        };
        self.sent_to(submitter.peer).into_iter().filter_map(answer).collect()
    }

    /// Requests a job; returns it and its server's address if it was assigned at once.
    fn ask(&mut self, submitter: TestHost, request: GetCs) -> Option<(u32, String)> {
        self.sent_to(submitter.peer);
        self.say(submitter.peer, Message::GetCs(request));
        self.answers(submitter).pop()
    }

    fn begin(&mut self, server: TestHost, job: u32) {
        self.say(server.peer, Message::JobBegin(JobBegin { job: JobId(job), start_time: 7, client_count: 1 }));
    }

    fn finish(&mut self, sender: TestHost, job: u32, flags: u32, exit_code: i32, ms: u32) {
        let stats = JobStats { real_ms: ms, user_ms: ms, out_uncompressed: 10_000, ..JobStats::default() };
        self.say(sender.peer, Message::JobDone(JobDone { job, exit_code, stats, flags, client_count: 1 }));
    }

    fn address(&self, actor: TestHost) -> String {
        self.scheduler.ledger.host(actor.host).unwrap().said().address.lossy().into_owned()
    }

    fn noted(&self, part: &str) -> bool {
        self.notes.iter().any(|note| note.contains(part))
    }
}
