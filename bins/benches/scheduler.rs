//! How many decisions a second of processor time the scheduler makes while 20,000 jobs wait, by number of hosts. Prints a table, asserts
//! no time.
//!
//! Each turn ends a job (JOB_DONE), which makes the scheduler hand out the next one, and asks for another (GET_CS), so that the queue keeps
//! its length. Submitters have environments of their own in the second column: the needs differ, hosts have them all.

use std::collections::VecDeque;

use ice_core::env::EnvRef;
use ice_core::ids::{ClientId, HostId, JobId, PeerId};
use ice_core::job::JobStats;
use ice_core::level::Level;
use ice_core::message::{GetCs, JobBegin, JobDone, Login, Message, Stats};
use ice_core::scheduler::{Config, Input, Output, Scheduler};
use ice_core::text::Text;
use ice_core::time::Instant;
use ice_core::version::Version;
use nix::sys::resource::{UsageWho, getrusage};

const WAITING: u32 = 20_000;
const SUBMITTERS: u64 = 50;
const TURNS: u32 = 100_000;

fn main() {
    println!("hosts  1 environment: decisions/s  10 environments: decisions/s");
    for hosts in [10, 100, 1_000, 5_000] {
        println!("{hosts:5}  {:26.0}  {:28.0}", measure(hosts, 1), measure(hosts, 10));
    }
}

/// The farm: a scheduler, its clock, and what it handed out.
struct Farm {
    scheduler: Scheduler,
    micros: u64,
    /// Jobs handed out and not ended, with the peer that has them.
    given: VecDeque<(JobId, PeerId)>,
    environments: u64,
    asked: u32,
}

impl Farm {
    fn input(&mut self, input: Input) {
        self.micros += 1;
        self.scheduler.handle(Instant::from_micros(self.micros), input);
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Probe { host: HostId(host), .. } => {
                    let now = Instant::from_micros(self.micros);
                    self.scheduler.handle(now, Input::Probed { host: HostId(host), reachable: true });
                }
                // Hosts are called by their peer number in port and address.
                Output::Send { message: Message::UseCs(answer), .. } => {
                    self.given.push_back((answer.job, PeerId(u64::from(answer.port))));
                }
                _ => {}
            }
        }
    }

    fn log_in(&mut self, peer: PeerId, slots: u32) {
        let version = Version::TO_SCHEDULER;
        self.input(Input::Opened { peer, address: format!("10.0.{peer}").into(), offer: version, version });
        let environments = (0..self.environments).map(environment).collect();
        let login = Login {
            port: u32::try_from(peer.0).unwrap_or(0),
            slots,
            environments,
            node_name: format!("host{peer}").into(),
            platform: "x86_64".into(),
            chroot_possible: 1,
            ..Login::default()
        };
        self.say(peer, Message::Login(login));
        self.say(peer, Message::Stats(Stats { load: 10, ..Stats::default() }));
    }

    fn say(&mut self, peer: PeerId, message: Message) {
        self.input(Input::Message { peer, kind: '?', message });
    }

    fn ask(&mut self) {
        self.asked += 1;
        let submitter = u64::from(self.asked) % SUBMITTERS;
        let request = GetCs {
            environments: vec![environment(submitter % self.environments)],
            file: Text::from(format!("src/file{}.cpp", self.asked % 3_000)),
            count: 1,
            target: "x86_64".into(),
            client: ClientId(self.asked),
            ..GetCs::default()
        };
        self.say(PeerId(100_000 + submitter), Message::GetCs(request));
    }

    fn finish(&mut self) {
        let Some((job, peer)) = self.given.pop_front() else { return };
        self.say(peer, Message::JobBegin(JobBegin { job, start_time: 0, client_count: 1 }));
        let ms = 500 + job.0 % 1_000;
        let stats = JobStats { real_ms: ms, user_ms: ms, out_uncompressed: 50_000, ..JobStats::default() };
        self.say(peer, Message::JobDone(JobDone { job: job.0, stats, ..JobDone::default() }));
    }
}

fn environment(n: u64) -> EnvRef {
    EnvRef { platform: "x86_64".into(), name: format!("{n:032x}").into() }
}

fn measure(hosts: u32, environments: u64) -> f64 {
    let config = Config { notes: Level::Error, ..Config::default() };
    let scheduler = Scheduler::new(config, Instant::ZERO);
    let mut farm = Farm { scheduler, micros: 0, given: VecDeque::new(), environments, asked: 0 };
    for submitter in 0..SUBMITTERS {
        farm.log_in(PeerId(100_000 + submitter), 0);
    }
    for host in 1..=hosts {
        farm.log_in(PeerId(u64::from(host)), 4);
    }
    // Four slots and two of preload are full, the rest waits.
    for _ in 0..hosts * 6 + WAITING {
        farm.ask();
    }
    let start = processor_s();
    for _ in 0..TURNS {
        farm.finish();
        farm.ask();
    }
    f64::from(TURNS) / (processor_s() - start)
}

/// Processor time used so far: a busy machine does not spoil it.
fn processor_s() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return 0.0 };
    let time = usage.user_time() + usage.system_time();
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
