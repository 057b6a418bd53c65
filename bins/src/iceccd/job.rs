//! One remote job, from COMPILE_FILE to the object's last byte, on its client's own thread: the shell of [`Serving`].
//!
//! Until the loop grants a slot the client's input is only kept ([`spool`](super::spool)). Then the source is unpacked into the compiler's
//! standard input while it arrives, and the result goes back.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ice_core::daemon::Grant;
use ice_core::limits::{CHUNK_PLAIN, SEND};
use ice_core::message::{CompileFile, CompileResult, Message};
use ice_core::server::{self, Command, Failure, Input, Output, Serving, code};
use ice_core::time::Instant as CoreInstant;
use ice_launcher::{JobLimits, LaunchError, RunRequest, RunningJob};
use ice_net::compress::Packer;
use ice_net::deadline::{Deadline, Step};
use ice_net::hub::Verdict;
use ice_toolchain::find::is_executable_file;
use log::{debug, info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::ended;
use super::orders::{Mail, Mailbox, Order};
use super::pump::{self, Feed, Pump};
use super::shared::{Client, Shared, Told};
use super::spool::Spool;

/// 128 + TERM, as 1.4 logs it when the client goes away.
const ABORTED: i32 = 143;
/// Messages of a result that leave in one write: those of a small object. A write costs more than to pack one.
const TOGETHER: usize = 4;

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
    let clock = Instant::now();
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
    clock: Instant,
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
        CoreInstant::from_micros(u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX))
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
        // Of a client that is not read only its hang-up is of interest.
        let of_client = if is_read { PollFlags::POLLIN } else { PollFlags::from_bits_retain(libc::POLLRDHUP) };
        let mut fds =
            vec![PollFd::new(self.client.as_fd(), of_client), PollFd::new(self.mailbox.as_fd(), PollFlags::POLLIN)];
        if let Some(running) = &self.running {
            fds.extend(running.job.as_ref().map(|job| PollFd::new(job.as_fd(), PollFlags::POLLIN)));
            fds.extend(running.pump.wanted(&self.feed).map(|(fd, flags)| PollFd::new(fd, flags)));
        }
        let timeout = match self.serving.poll_timeout().map(|at| at.since(self.now())) {
            // Rounded up: a millisecond too early would be a useless round.
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        match nix::poll::poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        if !is_read && fds.first().and_then(PollFd::any).unwrap_or(false) {
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
                log_result(&result);
                let sent = self.deliver(*result);
                self.handle(Input::Delivered(sent));
            }
            Output::Close(reason) => return Some(reason),
        }
        None
    }

    fn deliver(&mut self, result: CompileResult) -> Result<(), String> {
        let files = if result.status == 0 { std::mem::take(&mut self.files) } else { Vec::new() };
        let version = self.client.version();
        let mut packer = Packer::new(self.shared.level);
        let mut messages = vec![Message::CompileResult(result)];
        for file in files {
            let pack = |plain: &[u8]| packer.pack(plain, version).map(Message::FileChunk).map_err(|e| e.to_string());
            send_file(file, pack, |message| {
                messages.push(message);
                if messages.len() < TOGETHER { Ok(()) } else { self.send(&std::mem::take(&mut messages)) }
            })?;
        }
        if messages.is_empty() { Ok(()) } else { self.send(&messages) }
    }

    fn send(&mut self, messages: &[Message]) -> Result<(), String> {
        self.serving.handle_timeout(self.now());
        if self.serving.is_over() {
            return Err("it was not read in time".to_owned());
        }
        let sent = self.client.send_all(messages, Deadline::after(Step::Send, SEND));
        sent.map_err(|e| format!("cannot send the result: {e}"))
    }
}

fn failure_of(error: LaunchError) -> Failure {
    let text = crate::exit::chain(&error);
    match error {
        LaunchError::NotStarted { .. } => Failure::Environment(format!("compiler did not start: {text}")),
        _ => Failure::Launcher(text),
    }
}

fn start(shared: &Shared, grant: &Grant, client: &Client) -> Result<Running, Failure> {
    let assembler = shared.env_path(&grant.env).join("usr/bin/as");
    if !is_executable_file(&assembler) {
        let text = format!("{} is not executable, installed environment removed?", assembler.display());
        return Err(Failure::Environment(text));
    }
    let arguments = grant.job.arguments.iter().map(|(_, text)| text.as_bytes());
    debug!("remote compile arguments:{}", server::for_log(arguments));
    let Command { program, args, layout } =
        server::command(&grant.job, client.version()).map_err(|e| Failure::Command(e.to_string()))?;
    debug!("final arguments:{}", server::for_log(args.iter().map(Vec::as_slice)));
    let (pump, [stdin, stdout, stderr]) =
        Pump::new().map_err(|e| Failure::Command(format!("cannot make pipes: {e}")))?;
    let memory = u64::from(grant.memory_mib) << 20;
    // Where no control group counts, its files are memory that nobody counts.
    let tmp = JobLimits::default().tmp.min(memory);
    let limits = JobLimits { memory, wall: shared.job_time, tmp, ..JobLimits::default() };
    let request =
        RunRequest { slot: grant.slot, env: grant.env.clone(), program, args, layout, stdin, stdout, stderr, limits };
    let job = shared.launcher.run(request).map_err(failure_of)?;
    Ok(Running { pump, job: Some(job) })
}

fn log_failure(failure: &Failure) {
    match failure {
        Failure::Environment(_) | Failure::Command(_) | Failure::Launcher(_) => warn!("{failure}"),
        Failure::NoResult { exit, reason } => {
            warn!("Remote compilation aborted with exit code {}: {reason}", exit.status());
        }
        _ => {
            warn!("{failure}");
            warn!("Remote compilation aborted with exit code {ABORTED}");
        }
    }
}

fn log_result(result: &CompileResult) {
    match (result.status, result.out_of_memory) {
        (0, _) => info!("Remote compilation completed with exit code 0"),
        (status, 0) => warn!("Remote compilation exited with exit code {status}"),
        (status @ code::OUT_OF_MEMORY, _) => {
            warn!("Remote compilation failed, presumably because of running out of memory or disk (exit code {status})")
        }
        (status, _) => warn!("Remote compilation aborted with exit code {status}: it was killed"),
    }
}

/// Sends what is in a file, in pieces, and its end.
fn send_file(
    mut file: File,
    mut pack: impl FnMut(&[u8]) -> Result<Message, String>,
    mut send: impl FnMut(Message) -> Result<(), String>,
) -> Result<(), String> {
    let mut plain = vec![0; CHUNK_PLAIN];
    loop {
        let mut filled = 0;
        while let Some(room) = plain.get_mut(filled..).filter(|r| !r.is_empty()) {
            match file.read(room).map_err(|e| format!("cannot read the object: {e}"))? {
                0 => break,
                n => filled += n,
            }
        }
        if filled == 0 {
            return send(Message::End);
        }
        send(pack(plain.get(..filled).unwrap_or_default())?)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_sent_until_somebody_has_enough_of_it() {
        let file = |len| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(len).unwrap();
            file
        };
        let pack = |plain: &[u8]| Ok(Message::StatusText { text: plain.len().to_string().as_str().into() });
        let mut sent = Vec::new();
        send_file(file(CHUNK_PLAIN as u64 + 1), pack, |message| {
            sent.push(message);
            Ok(())
        })
        .unwrap();
        let pieces = ["100000", "1"].map(|text| Message::StatusText { text: text.into() });
        assert_eq!(sent, [&pieces[..], &[Message::End]].concat());
        let mut pieces = 0;
        let end = send_file(file(1 << 40), pack, |_| {
            pieces += 1;
            if pieces > 10 { Err("enough".to_owned()) } else { Ok(()) }
        });
        assert_eq!((end, pieces), (Err("enough".to_owned()), 11));
    }
}
