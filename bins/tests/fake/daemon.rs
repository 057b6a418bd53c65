//! A scripted daemon, as its scheduler sees it.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ice_core::env::EnvRef;
use ice_core::ids::{ClientId, JobId};
use ice_core::job::JobStats;
use ice_core::message::{GetCs, JobBegin, JobDone, JobLocalBegin, Login, Message, Stats, UseCs, done_flags, features};
use ice_net::conn::{Conn, Sender};
use ice_net::error::ConnError;

use super::door::Door;
use super::scheduler::Scheduler;
use super::{LIMIT, connect_with, shake_hands, until, within};

/// What a daemon is and says of itself.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The address it connects from.
    pub from: Ipv4Addr,
    /// The version it announces.
    pub offer: u32,
    /// Its LOGIN; a port of 0 stands for that of its door.
    pub login: Login,
    /// The load it reports at once, if any.
    pub load: Option<u32>,
    /// A door it shares with others; else it has its own.
    pub door: Option<Arc<Door>>,
    /// How much the system may take in that it does not read.
    pub unread_max: Option<usize>,
}

impl Setup {
    /// A host of this name with two slots on x86_64, version 43, reachable, idle, without environments.
    pub fn new(name: &str) -> Self {
        let login = Login {
            port: 0,
            slots: 2,
            environments: Vec::new(),
            node_name: name.into(),
            platform: "x86_64".into(),
            chroot_possible: 1,
            no_remote: 0,
            features: features::ENV_XZ | features::ENV_ZSTD,
        };
        Self { from: Ipv4Addr::LOCALHOST, offer: 43, login, load: Some(0), door: None, unread_max: None }
    }

    /// With so many slots.
    pub fn slots(mut self, slots: u32) -> Self {
        self.login.slots = slots;
        self
    }

    /// With an environment installed, under target x86_64.
    pub fn env(mut self, name: &str) -> Self {
        self.login.environments.push(env("x86_64", name));
        self
    }

    /// Announcing this version.
    pub fn offer(mut self, offer: u32) -> Self {
        self.offer = offer;
        self
    }

    /// From 127.0.0.`last`.
    pub fn from(mut self, last: u8) -> Self {
        self.from = Ipv4Addr::new(127, 0, 0, last);
        self
    }

    /// Reporting this load at once; `None` = reporting nothing.
    pub fn load(mut self, load: Option<u32>) -> Self {
        self.load = load;
        self
    }

    /// On this port, where nobody may be.
    pub fn port(mut self, port: u16) -> Self {
        self.login.port = u32::from(port);
        self
    }

    /// With its LOGIN changed.
    pub fn with(mut self, change: impl FnOnce(&mut Login)) -> Self {
        change(&mut self.login);
        self
    }
}

/// A platform and an environment of it.
pub fn env(platform: &str, name: &str) -> EnvRef {
    EnvRef { platform: platform.into(), name: name.into() }
}

/// A request for one job in environment `name` for x86_64, made for this file.
pub fn ask(file: &str, name: &str) -> GetCs {
    GetCs {
        environments: vec![env("x86_64", name)],
        file: file.into(),
        count: 1,
        target: "x86_64".into(),
        ..GetCs::default()
    }
}

/// What a scheduler says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// That host compiles it.
    Use(UseCs),
    /// The submitter does.
    No {
        /// The job.
        job: JobId,
        /// The client.
        client: ClientId,
    },
}

impl Answer {
    /// The job.
    pub fn job(&self) -> JobId {
        match self {
            Self::Use(answer) => answer.job,
            Self::No { job, .. } => *job,
        }
    }

    /// The client it is for.
    pub fn client(&self) -> u32 {
        match self {
            Self::Use(answer) => answer.client.0,
            Self::No { client, .. } => client.0,
        }
    }

    /// Whether it goes to this host.
    pub fn is_on(&self, host: &Daemon) -> bool {
        matches!(self, Self::Use(answer) if answer.port == host.port())
    }

    /// Whether it stays with its submitter.
    pub fn is_home(&self) -> bool {
        matches!(self, Self::No { .. })
    }

    /// The USE_CS.
    #[track_caller]
    pub fn server(&self) -> &UseCs {
        match self {
            Self::Use(answer) => answer,
            Self::No { .. } => panic!("a server was expected, but it is {self:?}"),
        }
    }
}

/// A daemon that is logged in.
#[derive(Debug)]
pub struct Daemon {
    conn: Conn,
    setup: Setup,
    door: Option<Arc<Door>>,
    next_client: u32,
    /// Messages that came while another was waited for.
    pub aside: VecDeque<Message>,
}

impl Daemon {
    /// Connects, logs in, waits for CS_CONF where there is one, reports its load, and waits for the first probe to be
    /// over.
    #[track_caller]
    pub fn login(scheduler: &Scheduler, mut setup: Setup) -> Self {
        let stream = connect_with(setup.from, scheduler.port, setup.unread_max);
        let mut conn = shake_hands(stream, scheduler.port, setup.offer);
        let own_door = setup.login.port == 0 && setup.door.is_none();
        let door = if own_door { Some(Arc::new(Door::open())) } else { setup.door.clone() };
        let visits = door.as_ref().map_or(0, |door| door.visits());
        if let Some(door) = door.as_ref().filter(|_| setup.login.port == 0) {
            setup.login.port = u32::from(door.port());
        }
        conn.send(&Message::Login(setup.login.clone()), within(LIMIT)).unwrap();
        let mut daemon = Self { conn, setup, door, next_client: 100, aside: VecDeque::new() };
        if daemon.setup.offer >= 24 {
            daemon.expect("CS_CONF", |m| matches!(m, Message::CsConf(_)).then_some(()));
        }
        if let Some(load) = daemon.setup.load {
            daemon.stats(load);
        }
        if let Some(door) = daemon.door.as_ref().filter(|_| own_door && daemon.setup.login.no_remote == 0) {
            until("the first probe of a new host", || door.visits() > visits);
            // The probe is over when it has left; its thread tells the scheduler right after.
            std::thread::sleep(Duration::from_millis(30));
        }
        daemon
    }

    /// The port it takes jobs on.
    pub fn port(&self) -> u32 {
        self.setup.login.port
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.setup.login.node_name.lossy().into_owned()
    }

    /// What it is.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The connection.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Sends a message.
    #[track_caller]
    pub fn send(&mut self, message: &Message) {
        self.conn.send(message, within(LIMIT)).unwrap_or_else(|e| panic!("{} cannot send: {e}", self.name()));
    }

    /// Reports a load.
    #[track_caller]
    pub fn stats(&mut self, load: u32) {
        self.send(&Message::Stats(Stats { load, load_avg_1: 11, load_avg_5: 22, load_avg_10: 33, free_mem: 444 }));
    }

    /// Logs in again with its environments as they are now, and waits for CS_CONF.
    #[track_caller]
    pub fn relogin(&mut self, environments: &[EnvRef]) {
        self.setup.login.environments = environments.to_vec();
        let again = Login { port: 0, slots: 0, platform: "".into(), ..self.setup.login.clone() };
        self.send(&Message::Login(again));
        self.expect("CS_CONF", |m| matches!(m, Message::CsConf(_)).then_some(()));
    }

    /// Asks for jobs; a request without client gets the next number, which is returned.
    #[track_caller]
    pub fn request(&mut self, mut request: GetCs) -> u32 {
        if request.client.0 == 0 {
            self.next_client += 1;
            request.client = ClientId(self.next_client);
        }
        let client = request.client.0;
        self.send(&Message::GetCs(request));
        client
    }

    /// Asks for one job and waits for the answer.
    #[track_caller]
    pub fn place(&mut self, request: GetCs) -> Answer {
        let client = self.request(request);
        let answer = self.answer();
        assert_eq!(answer.client(), client, "{answer:?}");
        answer
    }

    /// The next answer to a request.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.expect("an answer to GET_CS", answer_of)
    }

    /// The next answer to a request if it comes in time.
    pub fn answer_within(&mut self, limit: Duration) -> Option<Answer> {
        self.find_within(limit, answer_of).ok()
    }

    /// Waits for a message; others are put aside.
    #[track_caller]
    pub fn expect<T>(&mut self, what: &str, wanted: impl Fn(&Message) -> Option<T>) -> T {
        self.find_within(LIMIT, wanted).unwrap_or_else(|e| panic!("{}: {what} did not come: {e}", self.name()))
    }

    /// Waits for a message; others are put aside.
    pub fn find_within<T>(&mut self, limit: Duration, wanted: impl Fn(&Message) -> Option<T>) -> Result<T, ConnError> {
        let deadline = within(limit);
        loop {
            let message = self.conn.recv(deadline)?;
            if let Some(found) = wanted(&message) {
                return Ok(found);
            }
            self.aside.push_back(message);
        }
    }

    /// Makes sure that all it said was heard: returns the answers to requests that came until then. (Logs in again,
    /// which changes nothing but that environments count as arrived.)
    #[track_caller]
    pub fn fence(&mut self) -> Vec<Answer> {
        let environments = self.setup.login.environments.clone();
        let known = self.aside.len();
        self.relogin(&environments);
        let came: Vec<Message> = self.aside.drain(known..).collect();
        let answers = came.iter().filter_map(answer_of).collect();
        self.aside.extend(came.into_iter().filter(|m| answer_of(m).is_none()));
        answers
    }

    /// JOB_BEGIN.
    #[track_caller]
    pub fn begin(&mut self, job: JobId) {
        self.send(&Message::JobBegin(JobBegin { job, start_time: 1_700_000_000, client_count: 0 }));
    }

    /// JOB_DONE of a server: exit code 0, so much user time, so large an object.
    #[track_caller]
    pub fn done(&mut self, job: JobId, user_ms: u32, out: u32) {
        let stats = JobStats {
            real_ms: user_ms,
            user_ms,
            sys_ms: 1,
            page_faults: 7,
            in_compressed: 1000,
            in_uncompressed: 4000,
            out_compressed: out / 2,
            out_uncompressed: out,
        };
        self.send(&Message::JobDone(JobDone { job: job.0, stats, ..JobDone::default() }));
    }

    /// JOB_DONE of a server whose compiler failed.
    #[track_caller]
    pub fn failed(&mut self, job: JobId, exit_code: i32) {
        self.send(&Message::JobDone(JobDone { job: job.0, exit_code, ..JobDone::default() }));
    }

    /// JOB_DONE of a submitter.
    #[track_caller]
    pub fn done_at_home(&mut self, job: JobId, exit_code: i32) {
        let flags = done_flags::FROM_SUBMITTER;
        self.send(&Message::JobDone(JobDone { job: job.0, exit_code, flags, ..JobDone::default() }));
    }

    /// Takes back what a client asked for, as daemons do.
    #[track_caller]
    pub fn cancel(&mut self, client: u32) {
        let flags = done_flags::FROM_SUBMITTER | done_flags::UNKNOWN_JOB;
        self.send(&Message::JobDone(JobDone { job: client, exit_code: 107, flags, ..JobDone::default() }));
    }

    /// JOB_LOCAL_BEGIN.
    #[track_caller]
    pub fn local_begin(&mut self, id: u32, file: &str) {
        let begin = JobLocalBegin { start_time: 1_700_000_000, output_file: file.into(), id, full: 0 };
        self.send(&Message::JobLocalBegin(begin));
    }

    /// Whether the scheduler closes the connection in time; what it says before is dropped.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        loop {
            match self.conn.recv(within(end.saturating_duration_since(Instant::now()))) {
                Ok(_) => {}
                Err(ConnError::TimedOut { .. }) => return false,
                Err(_) => return true,
            }
        }
    }

    /// The sending half and the rest, for two threads.
    pub fn split(self) -> (Sender, ice_net::conn::Receiver) {
        self.conn.split()
    }
}

fn answer_of(message: &Message) -> Option<Answer> {
    match message {
        Message::UseCs(answer) => Some(Answer::Use(answer.clone())),
        Message::NoCs { job, client } => Some(Answer::No { job: *job, client: *client }),
        _ => None,
    }
}
