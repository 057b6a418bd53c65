//! Scenarios of the daemon (D…), by their numbers.

mod answers;
mod bounds;
mod by_files;
mod compile_server;
mod environments;
mod eviction;
mod extension;
mod given;
mod hostile;
mod invariants;
mod names;
mod natives;
mod scheduler;
mod shares;
mod shown;
mod submitter;

use super::*;
use crate::env::{EnvId, EnvName};
use crate::ids::{ClientId, JobId};
use crate::message::{
    CompileFile, CsConf, EnvTarget, GetCs, GetNativeEnv, JobDone, JobLocalBegin, LOCALHOST, Message, UseCs, done_flags,
};
use crate::text::Text;
use crate::time::Duration;
use crate::version::Version;
use std::collections::BTreeMap;

/// A daemon, a clock, everything that the daemon sent, and a host that is always idle.
struct Scenario {
    daemon: Daemon,
    now: Instant,
    peers: u64,
    to_clients: BTreeMap<PeerId, Vec<Message>>,
    to_scheduler: Vec<Message>,
    closed: BTreeMap<PeerId, CloseReason>,
    others: Vec<Output>,
    notes: Vec<String>,
    measurement: Measurement,
}

fn config(slots: u32) -> Config {
    Config {
        port: 10245,
        slots,
        no_remote: false,
        refuse_plain_names: false,
        takes_files: true,
        chroot_possible: true,
        node_name: "h1".into(),
        platform: "x86_64".into(),
        features: 3,
        cache_limit: 1000,
        cache_kept: crate::limits::CACHE_KEPT,
        cpus: 2,
        memory_is_shared: true,
        unix_start: 1_000_000,
        test_reconnect: false,
        seed: 7,
        environments: Vec::new(),
        natives: Vec::new(),
    }
}

const OWN_ADDRESS: &str = "10.0.0.1";
const PEER_ADDRESS: &str = "local unix domain socket";
const OTHER_ADDRESS: &str = "10.0.0.2";

impl Scenario {
    /// Without a scheduler.
    fn alone(config: Config) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut s = Self {
            daemon: Daemon::new(now, config),
            now,
            peers: 0,
            to_clients: BTreeMap::new(),
            to_scheduler: Vec::new(),
            closed: BTreeMap::new(),
            others: Vec::new(),
            notes: Vec::new(),
            measurement: Measurement {
                disk_free: 1 << 40,
                memory: Memory { total_kb: 8 << 20, available_kb: 8 << 20, headroom_kb: 8 << 20 },
                ..Measurement::default()
            },
        };
        s.pass(Duration::ZERO);
        s
    }

    /// Logged in to a scheduler of protocol 43, its first report sent.
    fn new(config: Config) -> Self {
        let mut s = Self::alone(config);
        s.log_in();
        s.pass(Duration::ZERO);
        s.to_scheduler.clear();
        s
    }

    fn log_in(&mut self) {
        self.log_in_as(43);
    }

    fn log_in_as(&mut self, version: u32) {
        let connected = Input::SchedulerConnected {
            version: Version::new(version),
            address: "10.0.0.9".into(),
            known_as: OWN_ADDRESS.into(),
        };
        self.handle(connected);
        self.conf();
    }

    /// The scheduler's answer to LOGIN.
    fn conf(&mut self) {
        self.scheduler(Message::CsConf(CsConf { max_pong: 3, max_ping: 36, extra: Text::new() }));
    }

    fn handle(&mut self, input: Input) {
        self.daemon.handle(self.now, input);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(output) = self.daemon.poll_output() {
            match output {
                Output::Send(peer, message) => self.to_clients.entry(peer).or_default().push(message),
                Output::ToScheduler(message) => self.to_scheduler.push(message),
                Output::Close(peer, reason) => {
                    self.closed.insert(peer, reason);
                    self.daemon.handle(self.now, Input::Closed { peer });
                }
                Output::Measure => self.daemon.handle(self.now, Input::Measured(self.measurement)),
                Output::Note(note) => self.notes.push(note.to_string()),
                other => self.others.push(other),
            }
        }
        self.daemon.check().unwrap();
    }

    /// Advances the clock and runs every timeout on the way.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            match self.daemon.poll_timeout() {
                Some(at) if at <= end => {
                    self.now = self.now.max(at);
                    self.daemon.handle_timeout(self.now);
                    self.collect();
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn client(&mut self) -> PeerId {
        self.client_as(43)
    }

    fn client_as(&mut self, version: u32) -> PeerId {
        self.open(version, PEER_ADDRESS, true)
    }

    /// A client of another host.
    fn stranger(&mut self, address: &str) -> PeerId {
        self.open(43, address, false)
    }

    fn open(&mut self, version: u32, address: &str, of_this_host: bool) -> PeerId {
        let origin = if of_this_host { Origin::ThisHost } else { Origin::OtherHost };
        self.open_as(version, address, origin)
    }

    fn open_as(&mut self, version: u32, address: &str, origin: Origin) -> PeerId {
        self.peers += 1;
        let peer = PeerId(self.peers);
        let version = Version::new(version);
        self.handle(Input::Opened { peer, version, address: address.into(), origin });
        self.pass(Duration::ZERO);
        peer
    }

    fn say(&mut self, peer: PeerId, message: Message) {
        self.handle(Input::Message { peer, message });
    }

    fn hang_up(&mut self, peer: PeerId) {
        self.handle(Input::Closed { peer });
    }

    fn scheduler(&mut self, message: Message) {
        self.handle(Input::SchedulerMessage(message));
    }

    /// Takes the messages sent to a client since the last call.
    fn sent_to(&mut self, peer: PeerId) -> Vec<Message> {
        self.to_clients.remove(&peer).unwrap_or_default()
    }

    /// Takes the messages sent to the scheduler since the last call.
    fn sent_to_scheduler(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.to_scheduler)
    }

    /// The daemon's answer to GET_INTERNALS.
    fn internals(&mut self) -> String {
        self.sent_to_scheduler();
        self.scheduler(Message::GetInternals);
        let told = self.sent_to_scheduler();
        let [Message::StatusText { text }] = told.as_slice() else { panic!("{told:?}") };
        text.lossy().into_owned()
    }

    fn grants(&mut self) -> Vec<Grant> {
        let (grants, others) =
            std::mem::take(&mut self.others).into_iter().partition(|o| matches!(o, Output::Grant(_)));
        self.others = others;
        Vec::from_iter(grants)
            .into_iter()
            .filter_map(|o| if let Output::Grant(g) = o { Some(g) } else { None })
            .collect()
    }

    fn local_job(&mut self) -> PeerId {
        let peer = self.client();
        let begin = JobLocalBegin { output_file: "/b/o".into(), ..JobLocalBegin::default() };
        self.say(peer, Message::JobLocalBegin(begin));
        peer
    }

    /// A client in waitforcs.
    fn asking(&mut self) -> PeerId {
        let peer = self.client();
        self.say(peer, get_cs());
        peer
    }

    /// A client whose job was assigned to another host.
    fn remote_job(&mut self, job: u32) -> PeerId {
        let peer = self.asking();
        self.use_other(peer, job);
        peer
    }

    fn use_other(&mut self, peer: PeerId, job: u32) {
        let client = ClientId(u32::try_from(peer.0).unwrap());
        self.scheduler(use_cs(job, "10.0.0.2", client));
    }

    /// A client whose job was assigned to its own host.
    fn own_job(&mut self, job: u32) -> PeerId {
        let peer = self.asking();
        let client = ClientId(u32::try_from(peer.0).unwrap());
        self.scheduler(use_cs(job, OWN_ADDRESS, client));
        peer
    }

    /// An archive that a client sends is unpacked, and installed if it is to be.
    fn unpacked(&mut self, peer: PeerId, name: &str, size: u64) {
        self.unpacked_as(peer, arrived(name, size));
    }

    fn unpacked_as(&mut self, peer: PeerId, arrived: Arrived) {
        self.handle(Input::Unpacked { peer, arrived });
        if self.others.iter().any(|o| matches!(o, Output::Install(installs, _) if *installs == peer)) {
            self.handle(Input::Received { peer, outcome: Ok(()) });
        }
    }

    /// An address brings an archive with this content.
    fn bring(&mut self, address: &str, name: &str, arrived: Arrived) -> PeerId {
        let peer = self.stranger(address);
        self.say(peer, Message::TransferEnv(target(name)));
        self.unpacked_as(peer, arrived);
        peer
    }

    /// The environment in which a job of an address begins; `None`: it is refused.
    fn runs_in(&mut self, address: &str, name: &str) -> Option<EnvId> {
        self.conf();
        let peer = self.stranger(address);
        self.say(peer, compile_file(1, name));
        let granted = self.grants().pop().map(|grant| grant.work.env().unwrap().clone());
        assert_eq!(granted.is_none(), self.closed.get(&peer) == Some(&CloseReason::NoEnvironment));
        self.hang_up(peer);
        granted
    }

    fn install(&mut self, name: &str, size: u64) {
        let peer = self.client();
        self.say(peer, Message::TransferEnv(target(name)));
        self.unpacked(peer, name, size);
        self.say(peer, Message::End);
        self.conf();
        self.pass(Duration::ZERO);
    }

    /// A remote job.
    fn foreign_job(&mut self, job: u32, env: &str) -> PeerId {
        let peer = self.stranger(OTHER_ADDRESS);
        self.say(peer, compile_file(job, env));
        peer
    }
}

fn get_cs() -> Message {
    Message::GetCs(GetCs { count: 1, target: "x86_64".into(), ..GetCs::default() })
}

fn use_cs(job: u32, host: &str, client: ClientId) -> Message {
    Message::UseCs(UseCs {
        job: JobId(job),
        port: 10245,
        host: host.into(),
        host_platform: "x86_64".into(),
        env_present: 0,
        client,
        matched_job: JobId(0),
    })
}

fn compile_file(job: u32, environment: &str) -> Message {
    Message::CompileFile(CompileFile {
        job: JobId(job),
        environment: environment.into(),
        target: "x86_64".into(),
        compiler: "gcc".into(),
        ..CompileFile::default()
    })
}

fn target(name: &str) -> EnvTarget {
    EnvTarget { name: name.into(), target: "x86_64".into() }
}

fn env(name: &str) -> EnvId {
    EnvId::new(b"x86_64", name.as_bytes()).unwrap()
}

/// An archive whose content depends on this text alone.
fn arrived(content: &str, size: u64) -> Arrived {
    let mut digest = [0_u8; 32];
    content.bytes().enumerate().for_each(|(n, byte)| digest[n % 32] = digest[n % 32].wrapping_mul(31) ^ byte);
    Arrived { size, digest: EnvName::of_content(&digest), proven: false }
}

fn job_done(job: u32, exit_code: i32, flags: u32, client_count: u32) -> Message {
    Message::JobDone(JobDone { job, exit_code, flags, client_count, ..JobDone::default() })
}

/// Environments of the last LOGIN, or `None` if there was none.
fn announced(told: &[Message]) -> Option<Vec<String>> {
    told.iter().rev().find_map(|m| match m {
        Message::Login(login) => Some(login.environments.iter().map(|e| e.name.to_string()).collect()),
        _ => None,
    })
}

/// What the first archive of an address may take.
const ROOM: u64 = 768 << 20;

const FROM_SUBMITTER: u32 = done_flags::FROM_SUBMITTER;
