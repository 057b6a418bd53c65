//! What one turn of the loop makes for a text peer or a monitor: everybody else waits for it.

use super::*;
use crate::scheduler::job::Job;
use std::collections::BTreeSet;

/// Records of a piece.
const ROWS: usize = 256;
/// Bytes of a piece, if no record of it is larger.
const BYTES: usize = 128 << 10;

impl Scenario {
    /// So many hosts, the first of which compiles so many jobs.
    fn crowd(hosts: u32, jobs: u32) -> Self {
        let mut s = Self::new();
        let submitter = s.host("submitter", 0, &[]);
        let server = s.host("server", jobs, &["e"]);
        for client in 1..=jobs {
            let job = s.ask(submitter, request("e", "f", client)).map(|(job, _)| job);
            s.begin(server, job.unwrap());
        }
        for n in 2..hosts {
            let peer = PeerId(u64::from(n) + 1000);
            let (address, offer, version) =
                (format!("10.1.{}.{}", n / 250, n % 250).as_str().into(), Version::new(43), Version::new(43));
            s.quietly(Input::Opened { peer, address, offer, version });
            let login = Message::Login(login(&format!("h{n}"), 1, &[]));
            s.quietly(Input::Message { peer, kind: '?', message: login });
        }
        s.drain();
        s.sent.clear();
        s
    }

    /// Without the check of all invariants, which takes long with many hosts.
    fn quietly(&mut self, input: Input) {
        self.scheduler.handle(self.now, input);
        self.collect();
    }

    /// Runs the timers of the next turn.
    fn turn(&mut self) {
        let at = self.scheduler.poll_timeout().unwrap();
        self.now = self.now.max(at);
        self.scheduler.handle_timeout(self.now);
        self.collect();
    }

    /// Runs the timers of so long.
    fn turns(&mut self, time: Duration) {
        let end = self.now + time;
        while self.scheduler.poll_timeout().is_some_and(|at| at <= end) {
            self.turn();
        }
        self.now = end;
    }

    fn answers_internals(&mut self, host: PeerId, text: &str) {
        let message = Message::StatusText { text: text.into() };
        self.quietly(Input::Message { peer: host, kind: '?', message });
    }

    /// A monitor of this address, after its login's turn.
    fn new_monitor(&mut self, address: &str) -> PeerId {
        let peer = self.peer(address, 43);
        self.sent.clear();
        self.quietly(Input::Message { peer, kind: '?', message: Message::MonLogin });
        peer
    }
}

/// What a monitor knows: hosts and running jobs.
#[derive(Debug, Default, PartialEq)]
struct Known {
    hosts: BTreeSet<HostId>,
    jobs: BTreeSet<JobId>,
}

impl Known {
    fn hears(&mut self, messages: Vec<Message>) {
        for message in messages {
            match message {
                Message::MonStats(stats) if stats.text.lossy().starts_with("State:Offline") => {
                    assert!(self.hosts.remove(&stats.host), "{} was never there", stats.host);
                }
                Message::MonStats(stats) => {
                    self.hosts.insert(stats.host);
                }
                Message::MonJobBegin(begin) => {
                    assert!(self.hosts.contains(&begin.host), "nobody knows {}", begin.host);
                    assert!(self.jobs.insert(begin.job), "{} begins twice", begin.job);
                }
                Message::MonJobDone(done) => {
                    self.jobs.remove(&JobId(done.job));
                }
                _ => {}
            }
        }
    }
}

fn bytes(messages: &[Message]) -> usize {
    let of = |message: &Message| if let Message::MonStats(stats) = message { stats.text.len() + 24 } else { 24 };
    messages.iter().map(of).sum()
}

#[test]
fn a_monitor_is_shown_what_is_there_in_pieces() {
    let mut s = Scenario::crowd(600, 300);
    let monitor = s.new_monitor("10.9.9.9");
    let (mut known, mut turns) = (Known::default(), 0);
    while known.hosts.len() < 600 || known.jobs.len() < 300 {
        let sent = s.sent_to(monitor);
        assert!(sent.len() <= ROWS && bytes(&sent) <= BYTES + 400, "{} messages of {}", sent.len(), bytes(&sent));
        known.hears(sent);
        s.turn();
        turns += 1;
    }
    assert_eq!(turns, 900_usize.div_ceil(ROWS));
    s.turns(millis(1000));
    assert_eq!(s.sent_to(monitor), [], "each once");
}

/// Whatever happens while it is shown the rest.
#[test]
fn a_monitor_knows_in_the_end_what_is_there() {
    let mut s = Scenario::crowd(600, 300);
    let monitor = s.new_monitor("10.9.9.9");
    let mut known = Known::default();
    let peers: Vec<PeerId> = s.scheduler.ledger.cluster().hosts().map(|host| host.said().peer).collect();
    let (submitter, server) =
        (TestHost { peer: peers[0], host: HostId(1) }, TestHost { peer: peers[1], host: HostId(2) });
    for turn in 0..6_u32 {
        known.hears(s.sent_to(monitor));
        for gone in [10 + turn as usize, 590 - turn as usize] {
            s.input(Input::Closed { peer: peers[gone] });
        }
        s.host(&format!("new{turn}"), 1, &[]);
        for job in [10 + turn, 290 - turn] {
            s.finish(server, job, 0, 0, 10);
        }
        let (job, _) = s.ask(submitter, request("e", "f", 1000 + turn)).unwrap();
        s.begin(server, job);
        known.hears(s.sent_to(monitor));
        s.turn();
    }
    s.turns(millis(1000));
    known.hears(s.sent_to(monitor));
    let ledger = &s.scheduler.ledger;
    let is_running = |job: &Job| matches!(job.state(), State::Compiling { .. });
    let there = Known {
        hosts: ledger.cluster().hosts().map(Host::id).collect(),
        jobs: ledger.jobs().iter().filter(|(_, job)| is_running(job)).map(|(id, _)| *id).collect(),
    };
    assert_eq!(known, there);
    assert_eq!((there.hosts.len(), there.jobs.len()), (594, 294));
}

#[test]
fn monitors_of_an_address_get_a_mebibyte_a_second() {
    let mut s = Scenario::crowd(600, 0);
    let monitors: Vec<PeerId> = (0..64).map(|_| s.new_monitor("10.9.9.9")).collect();
    let other = s.new_monitor("10.9.9.8");
    assert_eq!(s.sent_to(other).len(), ROWS, "of another address");
    s.turns(millis(1000));
    let sent: Vec<Message> = s.sent.drain(..).filter(|(to, _)| monitors.contains(to)).map(|(_, m)| m).collect();
    assert!(bytes(&sent) <= (2 << 20) + 64 * BYTES, "{}", bytes(&sent));
    s.turns(millis(30_000));
    let sent: usize = monitors.iter().map(|monitor| s.sent_to(*monitor).len()).sum();
    assert!(sent > 0, "they get the rest later");
    let due = s.scheduler.poll_timeout();
    for monitor in monitors {
        s.input(Input::Closed { peer: monitor });
    }
    assert!(s.scheduler.poll_timeout() >= due);
}

#[test]
fn a_monitor_that_leaves_leaves_no_timer() {
    let mut s = Scenario::crowd(600, 0);
    let before = s.scheduler.poll_timeout();
    let monitor = s.new_monitor("10.9.9.9");
    assert_ne!(s.scheduler.poll_timeout(), before);
    s.input(Input::Closed { peer: monitor });
    assert_eq!(s.scheduler.poll_timeout(), before);
}

#[test]
fn internals_ask_and_answer_in_pieces() {
    let mut s = Scenario::crowd(600, 0);
    let peer = s.console(&["internals"]);
    let mut asked = 0;
    while asked < 600 {
        let hosts: Vec<PeerId> =
            s.sent.drain(..).filter(|(_, m)| *m == Message::GetInternals).map(|(to, _)| to).collect();
        assert!(!hosts.is_empty() && hosts.len() <= ROWS, "{}", hosts.len());
        asked += hosts.len();
        for host in hosts {
            s.answers_internals(host, &"x".repeat(3000));
        }
        assert!(asked == 600 || s.answered(peer).is_empty(), "not all were asked");
        if asked < 600 {
            s.turn();
        }
    }
    let mut answer = String::new();
    while !answer.ends_with("200 done\n") {
        let piece = s.answered(peer);
        assert!(piece.len() <= BYTES + 3001 + 9, "{}", piece.len());
        answer += &piece;
        s.turn();
    }
    assert_eq!(answer.lines().filter(|line| line.len() == 3000).count(), 600);
}

#[test]
fn who_asks_for_internals_again_and_again_waits() {
    let mut s = Scenario::crowd(600, 0);
    let peers: Vec<PeerId> = (0..16).map(|_| s.console(&["internals"; 64])).collect();
    let mut asked = 0;
    for _ in 0..100 {
        s.turns(millis(100));
        let hosts: Vec<PeerId> =
            s.sent.drain(..).filter(|(_, m)| *m == Message::GetInternals).map(|(to, _)| to).collect();
        asked += hosts.len();
        for host in hosts {
            s.answers_internals(host, "x");
        }
    }
    assert!(asked <= 11 * (1 << 20) / 256 + 16 * ROWS, "{asked}");
    assert!(peers.iter().any(|peer| s.texts.iter().any(|(to, _)| to == peer)));
}
