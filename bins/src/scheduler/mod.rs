//! The scheduler program: the shell that connects `Scheduler` with sockets, a clock and a log.
//!
//! One thread owns the state machine: it receives events of the hub, the discovery thread, probes and signals, and
//! carries out the outputs. It decides nothing about jobs or hosts.

mod election;
mod json;
mod options;
mod probe_threads;
mod web;

use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, after, bounded, never, unbounded};
use crossbeam::select;
use ice_core::level::Level;
use ice_core::message::Message;
use ice_core::scheduler::{Config, Input, Output, Scheduler};
use ice_core::time;
use ice_core::version::Version;
use ice_net::discover::{self, DiscoveryEvent, Identity, Responder};
use ice_net::hub::{self, Hub, HubConfig, HubEvent};
use ice_net::listen::{ListenError, Listener};
use ice_net::wire::number::letter;
use log::{LevelFilter, debug, error, info, warn};

use crate::background::{self, Account, PidFile, Start};
use crate::cli::table::VERSION;
use crate::exit::{Failure, chain, finish, print};
use crate::logging::{self, Log, Prefix, Target};
use crate::readiness::{PATIENCE, not_opened};
use crate::signals::{self, Signal};
use election::{Hooks, Winner};
use options::{Options, Stop, TextAdmin};
use probe_threads::{Probe, ProbeThreads, Probed};

pub use options::PROGRAM;

/// Interval between announcements.
const ANNOUNCE: Duration = Duration::from_secs(120);
/// How long peers may take to read their last messages when the scheduler exits.
const FAREWELL: Duration = Duration::from_millis(300);
/// Maximum number of announcements that are checked at a time.
const CHECKS_MAX: usize = 4;
/// Number of events processed before the clock and the other channels are checked again.
const BATCH: usize = 256;

/// Runs the program.
pub fn main() -> ExitCode {
    let ended = match options::parse(std::env::args_os().skip(1)) {
        Ok(options) => {
            let ended = run(&options);
            // Standard error may be nobody's; with no log file the log is standard error itself.
            if let Some(failure) = ended.as_ref().err().filter(|_| options.log_file.is_some() || options.detach) {
                error!("{failure}");
            }
            ended
        }
        Err(Stop::Help) => print(&PROGRAM.help()),
        Err(Stop::Version) => print(&PROGRAM.version()),
        Err(wrong) => Err(Failure::wrong(wrong)),
    };
    finish(PROGRAM.name, ended)
}

/// All sockets, bound while the process may still be root.
struct Doors {
    binary: Vec<Listener>,
    text: Vec<Listener>,
    udp: UdpSocket,
    web: Option<web::Door>,
}

impl Doors {
    fn open(options: &Options) -> Result<Self, ListenError> {
        let (device, port) = (options.device.as_deref(), options.port);
        let text = options.text_interface.as_deref().or(device);
        Ok(Self {
            binary: listen(device, port)?,
            text: listen(text, port.wrapping_add(1))?,
            udp: discover::bind(device, port)?,
            web: options.web.map(web::Door::open).transpose()?,
        })
    }
}

/// Binds to an address, an interface, or everywhere.
fn listen(on: Option<&str>, port: u16) -> Result<Vec<Listener>, ListenError> {
    let Some(on) = on else { return Ok(vec![Listener::tcp(port)?]) };
    match on.parse::<IpAddr>() {
        Ok(address) => Ok(vec![Listener::tcp_at((address, port).into())?]),
        Err(_) => Listener::tcp_on(on, port),
    }
}

fn run(options: &Options) -> Result<u8, Failure> {
    background::raise_descriptors();
    let start = Start::here(options.detach)?;
    let account = options.account.clone().unwrap_or_else(Account::default_for_service);
    let doors = Doors::open(options);
    let level = logging::level(options.verbose);
    let log = match log_target(options, &account) {
        Target::File(path) => logging::start_service(&account, &path, level),
        other => logging::start(other, level, Prefix::Service),
    };
    let log = log.map_err(|e| Failure::from_error(&e).hint("-l names another file"))?;
    let pid_file = doors.as_ref().ok().and_then(|_| PidFile::write().ok());
    let dropped = background::drop_root(&account).map_err(|e| Failure::from_error(&e));
    let result = dropped.and_then(|_| {
        info!("ICECREAM scheduler {VERSION} starting up, port {}", options.port);
        let doors = doors.map_err(|e| not_opened(&e))?;
        let mut shell = Shell::new(options, doors, log)?;
        info!("scheduler ready");
        if options.detach {
            // So that no file system is kept busy. It cannot fail: every system has a root directory.
            let _ = std::env::set_current_dir("/");
        }
        shell.log.tell(&shell.greeting(options));
        start.ready().map_err(|e| Failure::new(format!("cannot detach: {e}")))?;
        shell.run();
        Ok(0)
    });
    if let Some(file) = pid_file {
        file.remove();
    }
    result
}

/// The target of the log. As root and detached without `-l` it is `/var/log/icecc/scheduler.log`, in a directory of the
/// account.
fn log_target(options: &Options, account: &Account) -> Target {
    if let Some(path) = &options.log_file {
        return Target::File(path.clone());
    }
    if let Some(number) = std::env::var("UNCACHED_ERR_FD").ok().and_then(|n| n.parse().ok()) {
        return Target::Descriptor(number);
    }
    if !options.detach || !nix::unistd::Uid::effective().is_root() {
        return Target::Stderr;
    }
    let folder = PathBuf::from(background::LOG_DIR);
    let made = std::fs::create_dir(&folder).is_ok();
    if made || folder.is_dir() {
        let _ = std::os::unix::fs::lchown(&folder, Some(account.uid), Some(account.gid));
    }
    Target::File(folder.join("scheduler.log"))
}

/// Everything around the state machine.
struct Shell {
    machine: Scheduler,
    began: Instant,
    hub: Hub,
    events: Receiver<HubEvent>,
    signals: Receiver<Signal>,
    heard: Receiver<DiscoveryEvent>,
    winners: (crossbeam::channel::Sender<Winner>, Receiver<Winner>),
    probed: Receiver<Probed>,
    probes: ProbeThreads,
    log: Log,
    /// When it is told that no host has logged in, and whether it has been.
    patience: (Receiver<Instant>, bool),
    own: Identity,
    port: u16,
    hooks: Hooks,
    persistent: bool,
    text_admin: TextAdmin,
    announce_at: Instant,
    /// One token is held by each check of an announcement.
    checks: Arc<()>,
    /// Messages for one peer that are written together.
    batch: Vec<Message>,
    /// What the page hears, and what it wants.
    tap: Option<web::Tap>,
    wants: Receiver<web::Want>,
    _responder: Responder,
}

impl Shell {
    fn new(options: &Options, doors: Doors, log: Log) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| Failure::new(format!("cannot start: {e}"));
        let began = Instant::now();
        let hooks = Hooks::from_environment(options.device.clone(), options.allow.clone());
        let own = election::identity(&options.netname, hooks.earlier);
        let signals = signals::start(&[Signal::Term, Signal::Hup, Signal::Usr1]).map_err(failed)?;
        let hub_config = HubConfig { allow: options.allow.clone(), ..HubConfig::default() };
        let (hub, events) = Hub::new(hub_config).map_err(failed)?;
        let port = doors.binary.first().map_or(options.port, Listener::port);
        for listener in doors.binary {
            hub.listen(listener, Version::TO_SCHEDULER, hub::no_handlers()).map_err(failed)?;
        }
        for listener in doors.text {
            hub.listen_text(listener).map_err(failed)?;
        }
        let (tell, heard) = bounded(64);
        let responder = Responder::start(doors.udp, own.clone(), options.allow.clone(), tell).map_err(failed)?;
        let (tap, wants) = match doors.web.map(|door| start_web(door, options, began)).transpose().map_err(failed)? {
            Some((tap, wants)) => (Some(tap), wants),
            None => (None, never()),
        };
        let (answers, probed) = unbounded();
        let config = Config {
            version: VERSION.into(),
            uptime_before: hooks.earlier,
            seed: own.start_time ^ u64::from(std::process::id()) << 32,
            notes: notes_wanted(),
        };
        Ok(Self {
            machine: Scheduler::new(config, time::Instant::ZERO),
            began,
            hub,
            events,
            signals,
            heard,
            winners: bounded(4),
            probed,
            probes: ProbeThreads::new(answers),
            log,
            patience: (if options.detach { never() } else { after(PATIENCE) }, false),
            own,
            port,
            hooks,
            persistent: options.persistent,
            text_admin: options.text_admin.clone(),
            announce_at: began,
            checks: Arc::default(),
            batch: Vec::new(),
            tap,
            wants,
            _responder: responder,
        })
    }

    /// Runs until a signal ends it.
    fn run(&mut self) {
        self.wanted(web::Want::Tick);
        loop {
            if Instant::now() >= self.announce_at {
                self.announce();
            }
            let due = self.machine.poll_timeout().map(|at| self.began + Duration::from_micros(at.as_micros()));
            let wake = due.map_or(self.announce_at, |at| at.min(self.announce_at));
            let timer = match wake.checked_duration_since(Instant::now()) {
                Some(left) => after(left),
                None => after(Duration::ZERO),
            };
            select! {
                recv(self.events) -> event => match event {
                    Ok(event) => self.event(event),
                    Err(_) => break,
                },
                recv(self.signals) -> signal => match signal {
                    Ok(Signal::Term) => break,
                    Ok(Signal::Hup) => self.log.hang_up(),
                    Ok(_) => {}
                    Err(_) => self.signals = never(),
                },
                recv(self.heard) -> heard => match heard {
                    Ok(heard) => self.heard(heard),
                    Err(_) => self.heard = never(),
                },
                recv(self.winners.1) -> winner => {
                    if let Ok(winner) = winner {
                        self.lost(&winner);
                    }
                }
                recv(self.probed) -> probed => {
                    if let Ok(probed) = probed {
                        self.probes.ended();
                        self.input(Input::Probed { host: probed.host, reachable: probed.reachable });
                    }
                }
                recv(self.patience.0) -> _ => {
                    self.patience = (never(), true);
                    self.log.tell(&format!("waiting for daemons of netname {}: none has logged in", self.own.netname));
                }
                recv(self.wants) -> want => match want {
                    Ok(want) => self.wanted(want),
                    Err(_) => self.wants = never(),
                },
                recv(timer) -> _ => {}
            }
            // Messages are processed in batches, so that a flood of them delays neither timers nor signals.
            for _ in 0..BATCH {
                let Ok(event) = self.events.try_recv() else { break };
                self.event(event);
            }
            let now = self.now();
            if self.machine.poll_timeout().is_some_and(|at| at <= now) {
                self.machine.handle_timeout(now);
                self.carry_out();
            }
        }
        self.end();
    }

    fn end(&mut self) {
        let signals = self.signals.clone();
        let force = move || {
            while let Ok(signal) = signals.recv() {
                if signal == Signal::Term {
                    eprintln!("forced exit.");
                    std::process::exit(1);
                }
            }
        };
        let _ = std::thread::Builder::new().name("forced exit".into()).spawn(force);
        self.input(Input::Shutdown);
        self.hub.shutdown(FAREWELL);
    }

    fn now(&self) -> time::Instant {
        let micros = self.began.elapsed().as_micros();
        time::Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn announce(&mut self) {
        self.announce_at = Instant::now() + ANNOUNCE;
        if let Err(e) = discover::announce(&self.own, self.port, &self.hooks.reach) {
            warn!("cannot announce this scheduler: {e}");
        }
    }

    fn event(&mut self, event: HubEvent) {
        match event {
            HubEvent::Opened { peer, info } => self.input(Input::Opened {
                peer,
                address: info.address.into(),
                offer: info.offer,
                version: info.version,
            }),
            HubEvent::TextOpened { peer, address } => {
                let may_change = self.text_admin.admits(&address);
                self.input(Input::TextOpened { peer, address: address.into(), may_change });
            }
            HubEvent::Message { peer, message, credit: _credit } => {
                if matches!(message, Message::Login(_)) {
                    self.host_came();
                }
                self.input(Input::Message { peer, kind: letter(&message), message });
            }
            HubEvent::Line { peer, text, credit: _credit } => self.input(Input::Line { peer, text: text.into() }),
            HubEvent::HalfClosed { peer } => self.input(Input::HalfClosed { peer }),
            HubEvent::Closed { peer, reason } => {
                debug!("closed peer={peer} reason={}", chain(&reason));
                self.input(Input::Closed { peer });
            }
            // No handlers are registered and no connections are made.
            HubEvent::Note { .. } | HubEvent::DialFailed { .. } => {}
        }
    }

    /// A daemon logs in: the first one is told if it was waited for.
    fn host_came(&mut self) {
        if std::mem::replace(&mut self.patience, (never(), false)).1 {
            self.log.tell("the first daemon logs in");
        }
    }

    /// The line with which a healthy scheduler starts.
    fn greeting(&self, options: &Options) -> String {
        let text_port = self.port.wrapping_add(1);
        let text = options.text_interface.as_deref().or(options.device.as_deref()).unwrap_or("all addresses");
        let page = options.web.map(|place| format!("; page at http://{}/", place.address())).unwrap_or_default();
        format!(
            "icecc-scheduler {VERSION} ready: netname {}, hears {} on TCP and UDP port {} of {}; text port {text_port} of \
             {text}{page}",
            self.own.netname,
            options.allow,
            self.port,
            options.device.as_deref().unwrap_or("all addresses"),
        )
    }

    fn heard(&mut self, heard: DiscoveryEvent) {
        match heard {
            DiscoveryEvent::Query { from, version } => {
                info!("broadcast from {}:{} (version {version})", from.ip(), from.port())
            }
            DiscoveryEvent::Announcement { from, identity, defeats_us } => {
                debug!(
                    "Received scheduler announcement from {}:{} (version {}, netname {})",
                    from.ip(),
                    from.port(),
                    identity.version,
                    identity.netname
                );
                // A flood of forged announcements must not cause a flood of threads and broadcasts.
                if defeats_us && !self.persistent && Arc::strong_count(&self.checks) <= CHECKS_MAX {
                    let (own, reach, winners) = (self.own.clone(), self.hooks.reach.clone(), self.winners.0.clone());
                    election::check_claim(own, from, self.port, reach, winners, Arc::clone(&self.checks));
                }
            }
        }
    }

    fn lost(&mut self, winner: &Winner) {
        self.input(Input::ElectionLost {
            address: winner.at.ip().to_string().into(),
            port: winner.at.port(),
            version: Version::new(winner.version),
        });
    }

    /// Tells the machine what the page wants.
    fn wanted(&mut self, want: web::Want) {
        let inputs = self.tap.as_mut().map(|tap| tap.inputs(want)).unwrap_or_default();
        inputs.into_iter().for_each(|input| self.input(input));
    }

    fn input(&mut self, input: Input) {
        self.machine.handle(self.now(), input);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        let mut to = None;
        while let Some(output) = self.machine.poll_output() {
            let output = match &mut self.tap {
                Some(tap) => tap.pass(output),
                None => Some(output),
            };
            let Some(output) = output else { continue };
            if let Output::Send { peer, message } = output {
                if to != Some(peer) {
                    self.flush(to);
                    to = Some(peer);
                }
                self.batch.push(message);
                continue;
            }
            if !matches!(output, Output::Note(_)) {
                self.flush(to.take());
            }
            match output {
                Output::Send { .. } => {}
                Output::SendText { peer, text } => self.hub.send_text(peer, &text),
                Output::SendRows { peer, rows, is_first, is_last } => match json::part(&rows, is_first, is_last) {
                    Ok(text) => self.hub.send_text(peer, &text),
                    Err(e) => error!("internal error: no JSON: {e}"),
                },
                Output::Close { peer, reason } => self.hub.close(peer, reason.to_string()),
                Output::Probe { host, address, port, patience } => {
                    self.probes.start(Probe { host, address: address.lossy().into_owned(), port, patience });
                }
                Output::Note(note) => logging::note(note.level(), &note),
            }
        }
        self.flush(to);
    }

    fn flush(&mut self, to: Option<ice_core::ids::PeerId>) {
        if let Some(peer) = to {
            self.hub.send_all(peer, &self.batch);
        }
        self.batch.clear();
    }
}

/// Starts the page.
fn start_web(door: web::Door, options: &Options, began: Instant) -> std::io::Result<(web::Tap, Receiver<web::Want>)> {
    let identity = web::Identity { version: VERSION, netname: options.netname.clone(), began };
    web::start(door, options.allow.clone(), identity)
}

fn notes_wanted() -> Level {
    match log::max_level() {
        LevelFilter::Off | LevelFilter::Error => Level::Error,
        LevelFilter::Warn => Level::Warning,
        LevelFilter::Info => Level::Info,
        LevelFilter::Debug | LevelFilter::Trace => Level::Debug,
    }
}
