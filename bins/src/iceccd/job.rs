//! One remote job, from COMPILE_FILE to the object's last byte, on its client's own thread: the shell of [`Serving`].
//!
//! Until the loop grants a slot the client's input is only kept ([`spool`](super::spool)). Then the source is unpacked into the compiler's
//! standard input while it arrives, and the result goes back.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use ice_core::daemon::{Grant, Work};
use ice_core::limits::SEND;
use ice_core::message::{CompileFile, CompileResult, Message};
use ice_core::server::{self, Command, Failure, Input, Output, Serving};
use ice_core::time::Instant as CoreInstant;
use ice_launcher::{RunRequest, RunningJob};
use ice_net::deadline::{Deadline, Step};
use ice_net::hub::Verdict;
use ice_toolchain::find::is_executable_file;
use log::debug;
use nix::poll::PollFlags;

use super::dialogue::{self, Clock, Delivery, failure_of, log_failure, log_result};
use super::ended;
use super::orders::{Mail, Mailbox, Order};
use super::pump::{self, Feed, Pump};
use super::shared::{Client, Shared, Told};
use super::spool::Spool;

/// Leads the whole dialogue; the connection ends with it.
pub fn serve(shared: &Shared, file: CompileFile, client: &mut Client) -> Verdict {
    let spool = Spool::new(&shared.scratch(), &shared.spooled, &client.info().address);
    let feed = Feed::new(spool, file.text_bytes());
    let mailbox = match shared.orders.register(client.peer()) {
        Ok(mailbox) => mailbox,
        Err(e) => return Verdict::Close(format!("cannot wait for a slot: {e}")),
    };
    if let Err(e) = client.forward(Message::CompileFile(file)) {
        return Verdict::Close(e.to_string());
    }
    let serving = Serving::new(client.version());
    let clock = Clock::start();
    let job = Job { shared, client, mailbox, feed, serving, clock, was_read: true, running: None, files: Vec::new() };
    Verdict::Close(job.run())
}

/// What the machine's outputs are carried out on.
struct Job<'a> {
    shared: &'a Shared,
    client: &'a mut Client,
    mailbox: Mailbox,
    feed: Feed,
    serving: Serving,
    clock: Clock,
    /// The client was read the last time round.
    was_read: bool,
    /// From the slot on.
    running: Option<Running>,
    /// Object and `.dwo`, once the compiler has made them.
    files: Vec<File>,
}

/// The compiler.
struct Running {
    pump: Pump,
    /// Until it has ended.
    job: Option<RunningJob>,
}

impl Job<'_> {
    /// Returns why the connection ends.
    fn run(mut self) -> String {
        loop {
            let has_moved = self.carry();
            while let Some(output) = self.serving.poll_output() {
                if let Some(reason) = self.perform(output) {
                    return reason;
                }
            }
            if !has_moved {
                if let Err(error) = self.wait() {
                    self.handle(Input::Failed(Failure::System(error.to_string())));
                }
            }
            self.serving.handle_timeout(self.now());
        }
    }

    fn now(&self) -> CoreInstant {
        self.clock.now()
    }

    fn handle(&mut self, input: Input<'_>) {
        self.serving.handle(self.now(), input);
    }

    /// Copies what can be copied now. `true`: there may be more without waiting.
    fn carry(&mut self) -> bool {
        match self.mailbox.look() {
            Mail::Order(Order::Run(grant)) if self.running.is_none() => {
                self.handle(Input::Granted);
                match start(self.shared, &grant, self.client) {
                    Ok(running) => self.running = Some(running),
                    Err(failure) => self.handle(Input::Failed(failure)),
                }
                self.was_read = false;
            }
            Mail::Order(_) | Mail::Gone => self.handle(Input::Stop),
            Mail::Nothing => {}
        }
        self.feed_compiler();
        self.read_texts();
        let has_ended = self.look_at_job();
        let has_heard = self.hear_client();
        has_ended || has_heard
    }

    fn feed_compiler(&mut self) {
        let Some(running) = &mut self.running else { return };
        let input = match running.pump.feed_compiler(&mut self.feed) {
            Ok(()) => Input::CompilerTook { is_left: self.feed.has_pending() },
            Err(failure) => Input::Failed(failure),
        };
        self.handle(input);
    }

    fn read_texts(&mut self) {
        let now = self.now();
        let Some(running) = &mut self.running else { return };
        let serving = &mut self.serving;
        let read = running.pump.read_texts(|stream, text| {
            serving.handle(now, text.map_or(Input::TextEnd(stream), |text| Input::Text(stream, text)));
        });
        if let Err(error) = read {
            self.handle(Input::Failed(Failure::System(error.to_string())));
        }
    }

    /// `true`: it has just ended.
    fn look_at_job(&mut self) -> bool {
        let Some(running) = &mut self.running else { return false };
        let end = match running.job.as_ref().map(|job| job.wait(Duration::ZERO)) {
            None | Some(Ok(None)) => return false,
            Some(Ok(Some(ended))) => Ok(ended),
            Some(Err(error)) => Err(failure_of(error)),
        };
        running.job = None;
        running.pump.close_input();
        let end = end.map(|ended| {
            if !ended.unknown.is_empty() {
                self.client.note(Told::UnknownCalls(ended::unknown_calls(&ended)));
            }
            let told = ended::told(&ended);
            self.files = [ended.object, ended.dwo].into_iter().flatten().map(File::from).collect();
            told
        });
        self.handle(Input::CompilerEnded(end));
        true
    }

    /// `true`: something came.
    fn hear_client(&mut self) -> bool {
        let is_read = self.serving.reads_client();
        if !std::mem::replace(&mut self.was_read, is_read) && is_read {
            self.client.resume();
        }
        let now = self.now();
        pump::hear(self.client, &mut self.feed, &mut self.serving, now)
    }

    /// Waits for something to happen.
    fn wait(&mut self) -> io::Result<()> {
        self.client.set_held(self.feed.kept());
        let is_read = self.serving.reads_client();
        let mut others = Vec::new();
        if let Some(running) = &self.running {
            others.extend(running.job.as_ref().map(|job| (job.as_fd(), PollFlags::POLLIN)));
            others.extend(running.pump.wanted(self.feed.has_pending()));
        }
        let until = (self.clock, self.serving.poll_timeout());
        if dialogue::wait(self.client, &self.mailbox, is_read, others, until)? {
            self.handle(Input::Failed(Failure::ClientGone));
        }
        Ok(())
    }

    /// Returns why the connection ends, if it does.
    fn perform(&mut self, output: Output) -> Option<String> {
        match output {
            Output::Complete => self.client.note(Told::Complete),
            Output::CloseInput => self.running.iter_mut().for_each(|running| running.pump.close_input()),
            Output::GiveUp(failure) => {
                self.running = None;
                log_failure(&failure);
            }
            // From here on the slot is free.
            Output::Report(report) => self.client.note(Told::JobEnded(report)),
            Output::Say(message) => {
                // The client may be gone: the connection ends anyway.
                let _ = self.client.send(&message, Deadline::after(Step::Send, SEND));
            }
            Output::Deliver(result) => {
                log_result(result.status, result.out_of_memory);
                let sent = self.deliver(*result);
                self.handle(Input::Delivered(sent));
            }
            Output::Close(reason) => return Some(reason),
        }
        None
    }

    fn deliver(&mut self, result: CompileResult) -> Result<(), String> {
        let files = if result.status == 0 { std::mem::take(&mut self.files) } else { Vec::new() };
        let until = (self.clock, self.serving.poll_timeout());
        let message = Message::CompileResult(result);
        let mut delivery = Delivery::begin(self.client, self.shared.level, message, until);
        files.into_iter().try_for_each(|file| delivery.stream(file))?;
        delivery.end()
    }
}

fn start(shared: &Shared, grant: &Grant, client: &Client) -> Result<Running, Failure> {
    let Work::Text { env, file } = &grant.work else {
        return Err(Failure::Command("a slot for another kind of job".to_owned()));
    };
    let assembler = shared.env_path(env).join("usr/bin/as");
    if !is_executable_file(&assembler) {
        let text = format!("{} is not executable, installed environment removed?", assembler.display());
        return Err(Failure::Environment(text));
    }
    let arguments = file.arguments.iter().map(|(_, text)| text.as_bytes());
    debug!("remote compile arguments:{}", server::for_log(arguments));
    let Command { program, args, layout } =
        server::command(file, client.version()).map_err(|e| Failure::Command(e.to_string()))?;
    debug!("final arguments:{}", server::for_log(args.iter().map(Vec::as_slice)));
    let (pump, [stdin, stdout, stderr]) =
        Pump::new().map_err(|e| Failure::Command(format!("cannot make pipes: {e}")))?;
    let limits = shared.limits(grant.memory_mib);
    let request =
        RunRequest { slot: grant.slot, env: env.clone(), program, args, layout, stdin, stdout, stderr, limits };
    let job = shared.launcher.run(request).map_err(failure_of)?;
    Ok(Running { pump, job: Some(job) })
}
