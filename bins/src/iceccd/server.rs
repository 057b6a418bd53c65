//! The loop: what happens goes into the machine, what it decides is carried out. Nothing here decides, and nothing waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender, bounded, select};
use ice_core::daemon::{Daemon, Input, NativeKey, Output, VerifyFailure};
use ice_core::env::EnvId;
use ice_core::ids::PeerId;
use ice_core::text::Text;
use ice_core::version::Version;
use ice_launcher::Launcher;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial::Target;
use ice_net::hub::{Credit, Hub, HubEvent, PeerInfo, no_handlers};
use log::{debug, error, warn};

use super::link::Finder;
use super::orders::Order;
use super::shared::{Shared, Told};
use crate::exit::{Failure, chain};
use crate::logging::{self, Log};
use crate::readiness::PATIENCE;
use crate::signals::Signal;

/// Connecting to a scheduler: 1.4's handshake may take that long (decision: login-again).
const CONNECT: Duration = Duration::from_secs(40);
/// What may wait for a scheduler to read it: many jobs start at once.
const SCHEDULER_OUTBOX: usize = 16 << 20;
/// How long the threads may take to end at the end.
const FAREWELL: Duration = Duration::from_secs(2);
/// Stack of a thread that makes an archive or checks an environment.
const STACK: usize = 128 << 10;
/// How often the watch over the launcher looks whether it is still wanted: it sleeps in between.
const WATCH: Duration = Duration::from_secs(24 * 3600);

/// The loop's state.
pub struct Server {
    daemon: Daemon,
    hub: Hub<Told>,
    events: Receiver<HubEvent<Told>>,
    shared: Arc<Shared>,
    finder: Finder,
    begun: Instant,
    /// The link to the scheduler, or the attempt at one.
    link: Option<PeerId>,
    /// What the disk's thread and short threads found out.
    done: (Sender<Input>, Receiver<Input>),
    found: (Sender<Option<Target>>, Receiver<Option<Target>>),
    launcher_gone: Receiver<()>,
    /// When it is told that no scheduler was found, and whether it has been.
    patience: (Receiver<Instant>, bool),
    /// Ends the check that runs.
    stop_check: Arc<AtomicBool>,
}

impl Server {
    /// Around a machine whose time began at `begun`, and whose inputs come by `done` too.
    pub fn new(
        daemon: Daemon,
        hub: Hub<Told>,
        events: Receiver<HubEvent<Told>>,
        shared: Arc<Shared>,
        finder: Finder,
        begun: Instant,
        done: (Sender<Input>, Receiver<Input>),
    ) -> Result<Self, Failure> {
        let launcher_gone =
            watch(shared.launcher.clone()).map_err(|e| Failure::new(format!("cannot start threads: {e}")))?;
        let found = bounded(4);
        Ok(Self {
            daemon,
            hub,
            events,
            shared,
            finder,
            begun,
            link: None,
            done,
            found,
            launcher_gone,
            patience: (channel::never(), false),
            stop_check: Arc::default(),
        })
    }

    /// Runs until TERM has been obeyed; returns the exit code. In the foreground it tells if it finds no scheduler.
    pub fn run(mut self, signals: &Receiver<Signal>, log: &Log, is_detached: bool) -> Result<u8, Failure> {
        if !is_detached {
            self.patience.0 = channel::after(PATIENCE);
        }
        // Of the last event. A client that waits for its connection to close shall know that what follows from its END
        // has been carried out (decision: end-of-job).
        let mut credit = None;
        loop {
            if self.carry_out() {
                self.hub.shutdown(FAREWELL);
                self.shared.noted.save(&self.shared.disk, true);
                if !self.shared.disk.finish(FAREWELL) {
                    warn!("not all is removed that should be: the disk is slow");
                }
                return Ok(0);
            }
            drop(credit.take());
            let due = self.daemon.poll_timeout().map(|at| self.begun + Duration::from_micros(at.as_micros()));
            let timer = due.map_or_else(channel::never, channel::at);
            select! {
                recv(self.events) -> event => match event {
                    Ok(event) => credit = self.heard(event, log),
                    Err(_) => return Err(Failure::new("the hub is gone")),
                },
                recv(self.done.1) -> input => if let Ok(input) = input { self.handle(input) },
                recv(self.found.1) -> target => match target {
                    Ok(Some(target)) => self.dial(target),
                    Ok(None) => self.handle(Input::SchedulerNotFound),
                    Err(_) => {}
                },
                recv(signals) -> signal => match signal {
                    Ok(Signal::Term) => self.handle(Input::Terminate),
                    Ok(Signal::Hup) => log.hang_up(),
                    Ok(Signal::Usr1 | Signal::Child) => {}
                    Err(_) => return Err(Failure::new("no signals can be taken any more")),
                },
                recv(self.patience.0) -> _ => {
                    self.patience = (channel::never(), true);
                    log.tell(&format!("waiting for {}: jobs run on this host until then", self.finder));
                },
                recv(self.launcher_gone) -> _ => {
                    error!("the launcher is gone");
                    self.hub.shutdown(FAREWELL);
                    return Err(Failure::new("the launcher is gone"));
                },
                recv(timer) -> _ => {
                    let now = self.now();
                    self.daemon.handle_timeout(now);
                }
            }
        }
    }

    fn now(&self) -> ice_core::time::Instant {
        let passed = self.begun.elapsed().as_micros();
        ice_core::time::Instant::from_micros(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.daemon.handle(now, input);
    }

    /// Returns the credit of a message.
    fn heard(&mut self, event: HubEvent<Told>, log: &Log) -> Option<Credit> {
        match event {
            HubEvent::Opened { peer, info } if self.link == Some(peer) => {
                self.hub.limit_outbox(peer, SCHEDULER_OUTBOX);
                if std::mem::replace(&mut self.patience, (channel::never(), false)).1 {
                    log.tell(&format!("found a scheduler at {}", info.address));
                }
                let (address, known_as) = (info.address.into(), info.own_address.into());
                self.handle(Input::SchedulerConnected { version: info.version, address, known_as });
            }
            HubEvent::Opened { peer, info } => {
                let address = label(&info).into();
                let origin = self.shared.origin(&info);
                self.handle(Input::Opened { peer, version: info.version, address, origin });
            }
            HubEvent::Message { peer, message, credit } => {
                let is_scheduler = self.link == Some(peer);
                self.handle(if is_scheduler {
                    Input::SchedulerMessage(message)
                } else {
                    Input::Message { peer, message }
                });
                return Some(credit);
            }
            HubEvent::Note { peer, note } => self.told(peer, note),
            HubEvent::Closed { peer, reason } if self.link == Some(peer) => {
                debug!("scheduler: {}", chain(&reason));
                self.link = None;
                self.handle(Input::SchedulerLost);
            }
            HubEvent::Closed { peer, reason } => {
                debug!("client {peer} gone: {}", chain(&reason));
                self.shared.orders.forget(peer);
                self.handle(Input::Closed { peer });
            }
            HubEvent::DialFailed { peer, error } => {
                if self.link == Some(peer) {
                    self.link = None;
                    warn!("scheduler: {}", chain(&error));
                    self.handle(Input::SchedulerNotFound);
                }
            }
            // No text peers here.
            HubEvent::TextOpened { .. } | HubEvent::Line { .. } | HubEvent::HalfClosed { .. } => {}
        }
        None
    }

    fn told(&mut self, peer: PeerId, told: Told) {
        self.handle(match told {
            Told::Complete => Input::Complete { peer },
            Told::JobEnded(report) => Input::JobEnded { peer, report },
            Told::UnknownCalls(calls) => Input::UnknownCalls(calls),
            Told::Unpacked(arrived) => Input::Unpacked { peer, arrived },
            Told::Received(outcome) => Input::Received { peer, outcome },
            Told::Examined(outcome) => Input::Examined { peer, outcome },
        });
    }

    /// Carries out all outputs. `true`: leave.
    fn carry_out(&mut self) -> bool {
        while let Some(output) = self.daemon.poll_output() {
            match output {
                Output::Send(peer, message) => self.hub.send(peer, &message),
                Output::ToScheduler(message) => {
                    if let Some(peer) = self.link {
                        self.hub.send(peer, &message);
                    }
                }
                Output::Close(peer, reason) => {
                    self.hub.close(peer, reason.to_string());
                    self.shared.orders.forget(peer);
                }
                Output::Grant(grant) => {
                    if let Some(env) = grant.work.env() {
                        self.shared.disk.uses(env.clone());
                    }
                    self.shared.orders.give(grant.peer, Order::Run(Box::new(grant)));
                }
                Output::Kill(peer) => self.shared.orders.give(peer, Order::Kill),
                Output::Receive(peer, env, room) => self.shared.orders.give(peer, Order::Receive(env, room)),
                Output::Install(peer, env) => self.shared.orders.give(peer, Order::Install(env)),
                Output::Forget(env) => self.shared.disk.forget(env),
                Output::Discard(peer) | Output::Drop(peer) => self.shared.orders.give(peer, Order::Discard),
                Output::Verify(env) => self.verify(env),
                Output::StopVerify => self.stop_check.store(true, Ordering::Relaxed),
                Output::Remove(env) => self.shared.disk.remove(env),
                Output::BuildNative(key) => self.build_native(key),
                Output::RemoveNative(key, path) => self.shared.disk.remove_native(key, path),
                Output::Connect => self.connect(),
                Output::CloseScheduler => {
                    if let Some(peer) = self.link {
                        self.hub.close(peer, "daemon leaves the scheduler");
                    }
                }
                Output::Measure => {
                    self.shared.disk.measure();
                    self.shared.noted.save(&self.shared.disk, false);
                }
                Output::StopListening => self.hub.stop_listening(),
                Output::Exit => return true,
                Output::Note(note) => logging::note(note.level(), &note),
            }
        }
        false
    }

    fn verify(&mut self, env: EnvId) {
        let wanted = env.clone();
        // One of its own: a check that ends late must not miss that it was stopped.
        self.stop_check = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&self.stop_check);
        let failed = |why: Text| Input::Verified { env, outcome: Err(VerifyFailure::Host(why)) };
        self.aside(failed, move |shared| {
            let outcome = shared.launcher.verify(&wanted, &stop).map_err(|trouble| match trouble {
                // Somebody has removed it by hand: no box can be made around it, and none ever will.
                VerifyFailure::Host(reason) if !shared.env_path(&wanted).is_dir() => VerifyFailure::Environment(reason),
                other => other,
            });
            Input::Verified { env: wanted, outcome }
        });
    }

    fn build_native(&mut self, key: NativeKey) {
        let wanted = key.clone();
        let failed = |why: Text| Input::NativeBuilt { key, outcome: Err(why) };
        self.aside(failed, move |shared| {
            let outcome = shared.builder.build(&wanted, &shared.disk);
            Input::NativeBuilt { key: wanted, outcome }
        });
    }

    /// Does something that takes its time on a thread; its outcome comes back by `done`. Without a thread it has `failed`: the
    /// machine waits for an outcome in any case.
    fn aside(&mut self, failed: impl FnOnce(Text) -> Input, work: impl FnOnce(&Shared) -> Input + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        if let Some(outcome) = aside(STACK, &self.done.0, failed, move || work(&shared)) {
            self.handle(outcome);
        }
    }

    fn connect(&mut self) {
        match self.finder.find(self.found.0.clone()) {
            Ok(Some(target)) => self.dial(target),
            Ok(None) => {}
            Err(e) => {
                error!("cannot start a thread: {e}");
                self.handle(Input::SchedulerNotFound);
            }
        }
    }

    fn dial(&mut self, target: Target) {
        let deadline = Deadline::after(Step::Connect, CONNECT);
        match self.hub.dial(target, Version::TO_SCHEDULER, deadline, no_handlers()) {
            Ok(peer) => self.link = Some(peer),
            Err(e) => {
                error!("cannot start a thread: {e}");
                self.handle(Input::SchedulerNotFound);
            }
        }
    }
}

/// Starts `work`, whose outcome goes to `done`; what has failed if there is no thread for it.
fn aside(
    stack: usize,
    done: &Sender<Input>,
    failed: impl FnOnce(Text) -> Input,
    work: impl FnOnce() -> Input + Send + 'static,
) -> Option<Input> {
    let done = done.clone();
    let thread = thread::Builder::new().name("aside".into()).stack_size(stack);
    let started = thread.spawn(move || {
        // Without a loop there is nobody to tell.
        let _ = done.send(work());
    });
    started.err().map(|e| {
        error!("cannot start a thread: {e}");
        failed(format!("cannot start a thread: {e}").into())
    })
}

/// Sleeps until the launcher has died, and tells.
fn watch(launcher: Launcher) -> io::Result<Receiver<()>> {
    let (tell, told) = bounded(1);
    thread::Builder::new().name("watch".into()).stack_size(64 << 10).spawn(move || {
        while !launcher.wait_gone(WATCH) {}
        // Without a loop there is nobody to tell.
        let _ = tell.send(());
    })?;
    Ok(told)
}

fn label(info: &PeerInfo) -> String {
    if info.local { "local unix domain socket".to_owned() } else { info.address.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gets_no_thread_has_failed() {
        let (done, outcomes) = bounded(1);
        let failed = |why: Text| {
            assert!(why.to_string().starts_with("cannot start a thread"), "{why}");
            Input::Terminate
        };
        // No address space has room for such a stack.
        let outcome = aside(usize::MAX / 4, &done, failed, || Input::SchedulerLost);
        assert!(matches!(outcome, Some(Input::Terminate)));
        let outcome = aside(STACK, &done, |_| Input::Terminate, || Input::SchedulerLost);
        assert!(outcome.is_none());
        assert!(matches!(outcomes.recv_timeout(Duration::from_secs(60)), Ok(Input::SchedulerLost)));
    }
}
