//! One remote job, from COMPILE_FILE to the object's last byte, on its client's own thread.
//!
//! Until the loop grants a slot the client's input is only kept ([`spool`](super::spool)). Then the source is unpacked into the compiler's
//! standard input while it arrives, and the result goes back.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use ice_core::daemon::{Grant, JobReport};
use ice_core::job::JobStats;
use ice_core::limits::{CHUNK_PLAIN, SEND};
use ice_core::message::{CompileFile, CompileResult, Message};
use ice_net::compress::Packer;
use ice_net::deadline::{Deadline, Step};
use ice_net::hub::Verdict;
use log::{debug, info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::args::{self, Command};
use super::launcher::{Ended, JobLimits, LaunchError, RunRequest, RunningJob};
use super::orders::{Mail, Mailbox, Order};
use super::outcome::{Collected, Outcome, code, judge};
use super::pump::{Feed, Pump};
use super::spool::Spool;
use super::worker::{Client, Shared, Told, is_executable};

/// How long a client may take to read its result in all, as long as ours waits for one: a piece in less than [`SEND`] each, but
/// thousands of them, would keep a thread and the object for days.
const DELIVERY: Duration = Duration::from_secs(1800);

/// 128 + TERM, as 1.4 logs it when the client goes away.
const ABORTED: i32 = 143;

/// Leads the whole dialogue; the connection ends with it.
pub fn serve(shared: &Arc<Shared>, file: CompileFile, client: &mut Client) -> Verdict {
    let spool = Spool::new(&shared.scratch(), &shared.spooled, &client.info().address);
    let mut feed = Feed::new(spool, file.text_bytes());
    match parked(shared, file, client, &mut feed) {
        Ok((grant, mailbox)) => {
            let end = run(shared, *grant, client, feed, &mailbox);
            Verdict::Close(end)
        }
        Err(reason) => Verdict::Close(reason),
    }
}

/// Waits for a slot, keeping what the client sends. An error is the reason to close.
fn parked(
    shared: &Shared,
    file: CompileFile,
    client: &mut Client,
    feed: &mut Feed,
) -> Result<(Box<Grant>, Mailbox), String> {
    let mailbox = shared.orders.register(client.peer()).map_err(|e| format!("cannot wait for a slot: {e}"))?;
    client.forward(Message::CompileFile(file)).map_err(|e| e.to_string())?;
    let mut was_full = false;
    loop {
        match mailbox.look() {
            Mail::Order(Order::Run(grant)) => return Ok((grant, mailbox)),
            Mail::Order(_) | Mail::Gone => return Err("not to be run".to_owned()),
            Mail::Nothing => {}
        }
        if std::mem::replace(&mut was_full, feed.is_full()) && !was_full {
            client.resume();
        }
        let more = feed.receive_waiting(client).map_err(|a| a.to_string())?;
        client.keeps(feed.kept());
        if more {
            continue;
        }
        let mut fds = vec![PollFd::new(mailbox.as_fd(), PollFlags::POLLIN)];
        if !feed.is_full() {
            fds.push(PollFd::new(client.as_fd(), PollFlags::POLLIN));
        }
        // The queue may be long; a client that is gone is noticed by its socket, keepalive included.
        match nix::poll::poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(format!("cannot wait for a slot: {e}")),
        }
    }
}

/// Runs the job and sends its result; returns why the connection ends.
fn run(shared: &Shared, grant: Grant, client: &mut Client, mut feed: Feed, mailbox: &Mailbox) -> String {
    let started = start(shared, &grant, client);
    let (job, pump) = match started {
        Ok(started) => started,
        Err(failure) => return failure.report(client, &feed),
    };
    let end = pump.run(job, client, &mut feed, mailbox);
    match end {
        Ok((Ok(ended), stdout, stderr)) => deliver(shared, client, &feed, ended, (stdout, stderr)),
        Ok((Err(error), ..)) => Failure::from(error).report(client, &feed),
        Err(abort) => {
            warn!("{abort}");
            warn!("Remote compilation aborted with exit code {ABORTED}");
            report(client, &feed, abort.code(), None, false);
            abort.to_string()
        }
    }
}

/// The compiler's stdout and stderr.
type Texts = (Collected, Collected);

/// Why a job did not run.
struct Failure {
    /// For JOB_DONE.
    code: i32,
    /// The environment is to be removed.
    broken: bool,
    /// For log and client.
    text: String,
    /// Whether the client is told: 1.4's takes a text before the close for a reason to avoid this host.
    tell: bool,
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        let text = crate::exit::chain(&error);
        match error {
            LaunchError::NotStarted { .. } => {
                Self { code: code::MISSING, broken: true, text: format!("compiler did not start: {text}"), tell: true }
            }
            _ => Self { code: code::GENERAL, broken: false, text, tell: false },
        }
    }
}

impl Failure {
    fn report(self, client: &mut Client, feed: &Feed) -> String {
        warn!("{}", self.text);
        report(client, feed, self.code, None, self.broken);
        if self.tell && client.version().has_status_text() {
            let text = Message::StatusText { text: self.text.as_str().into() };
            // The client may be gone: the connection ends anyway.
            let _ = client.send(&text, Deadline::after(Step::Send, SEND));
        }
        self.text
    }
}

fn start(shared: &Shared, grant: &Grant, client: &Client) -> Result<(RunningJob, Pump), Failure> {
    let general = |text: String| Failure { code: code::GENERAL, broken: false, text, tell: true };
    let assembler = shared.env_path(&grant.env).join("usr/bin/as");
    if !is_executable(&assembler) {
        let text = format!("{} is not executable, installed environment removed?", assembler.display());
        return Err(Failure { code: code::MISSING, broken: true, text, tell: true });
    }
    let arguments = grant.job.arguments.iter().map(|(_, text)| text.as_bytes());
    debug!("remote compile arguments:{}", args::for_log(arguments));
    let Command { program, args, layout } =
        args::command(&grant.job, client.version()).map_err(|e| general(e.to_string()))?;
    debug!("final arguments:{}", args::for_log(args.iter().map(Vec::as_slice)));
    let (pump, [stdin, stdout, stderr]) = Pump::new().map_err(|e| general(format!("cannot make pipes: {e}")))?;
    let memory = u64::from(grant.memory_mib) << 20;
    // Where no control group counts, its files are memory that nobody counts.
    let limits = JobLimits { memory, tmp: JobLimits::default().tmp.min(memory), ..JobLimits::default() };
    let request =
        RunRequest { slot: grant.slot, env: grant.env.clone(), program, args, layout, stdin, stdout, stderr, limits };
    Ok((shared.launcher.run(request)?, pump))
}

/// Tells the loop: from here on the slot is free.
fn report(client: &mut Client, feed: &Feed, exit_code: i32, ended: Option<&Ended>, broken: bool) {
    let short = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let ms = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
    let mut stats = JobStats {
        in_compressed: short(feed.compressed()),
        in_uncompressed: short(feed.uncompressed()),
        ..JobStats::default()
    };
    let mut held = 0;
    if let Some(ended) = ended {
        let (size, taken) = sizes([&ended.object, &ended.dwo]);
        let output = short(size);
        held = taken;
        stats.real_ms = ms(ended.usage.real);
        stats.user_ms = ms(ended.usage.user);
        stats.sys_ms = ms(ended.usage.system);
        stats.page_faults = short(ended.usage.page_faults);
        stats.out_compressed = output;
        stats.out_uncompressed = output;
    }
    client.note(Told::JobEnded(JobReport { exit_code, stats, held, broken }));
}

/// Bytes of the files, and what they take: one with holes costs less than its size.
fn sizes(files: [&Option<OwnedFd>; 2]) -> (u64, u64) {
    let stats = files.into_iter().flatten().filter_map(|fd| nix::sys::stat::fstat(fd).ok());
    let sizes = stats.map(|s| (u64::try_from(s.st_size).unwrap_or(0), u64::try_from(s.st_blocks).unwrap_or(0) * 512));
    sizes.fold((0, 0), |(size, taken), (s, t)| (size.saturating_add(s), taken.saturating_add(t)))
}

/// Reports the end, then sends result and files.
fn deliver(shared: &Shared, client: &mut Client, feed: &Feed, ended: Ended, (stdout, stderr): Texts) -> String {
    match judge(&ended, stdout, stderr) {
        Outcome::None(code, reason) => {
            let status = match ended.how {
                super::launcher::How::Signalled(signal) => 128 + signal,
                super::launcher::How::Exited(status) => status,
            };
            warn!("Remote compilation aborted with exit code {status}: {reason}");
            report(client, feed, code, Some(&ended), false);
            reason.to_owned()
        }
        Outcome::Result(result) => {
            log_result(&result);
            report(client, feed, result.status, Some(&ended), false);
            let with_files = result.status == 0;
            match send_result(shared, client, *result, with_files, ended) {
                Ok(()) => "job done".to_owned(),
                Err(reason) => reason,
            }
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

fn send_result(
    shared: &Shared,
    client: &mut Client,
    result: CompileResult,
    with_files: bool,
    ended: Ended,
) -> Result<(), String> {
    let whole = Deadline::after(Step::Send, DELIVERY);
    send(client, &Message::CompileResult(result), &whole)?;
    if !with_files {
        return Ok(());
    }
    let mut packer = Packer::new(shared.level);
    for file in [ended.object, ended.dwo].into_iter().flatten() {
        send_file(client, &mut packer, File::from(file), &whole)?;
    }
    Ok(())
}

fn send_file(client: &mut Client, packer: &mut Packer, mut file: File, whole: &Deadline) -> Result<(), String> {
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
            return send(client, &Message::End, whole);
        }
        let chunk =
            packer.pack(plain.get(..filled).unwrap_or_default(), client.version()).map_err(|e| e.to_string())?;
        send(client, &Message::FileChunk(chunk), whole)?;
    }
}

fn send(client: &mut Client, message: &Message, whole: &Deadline) -> Result<(), String> {
    if whole.is_over() {
        return Err("cannot send the result: it was not read in time".to_owned());
    }
    client.send(message, Deadline::after(Step::Send, SEND)).map_err(|e| format!("cannot send the result: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ice_core::version::Version;
    use ice_net::dial;
    use ice_net::hub::{Hub, HubConfig, HubEvent, PeerHandler};
    use ice_net::listen::Listener;

    /// Sends a file that compresses so well that each piece of it fits into the socket, whatever the client reads.
    struct Generous;

    impl PeerHandler<Told> for Generous {
        fn said(&mut self, _: Message, client: &mut Client) -> Verdict {
            let file = tempfile::tempfile().unwrap();
            file.set_len(1 << 40).unwrap();
            let whole = Deadline::after(Step::Send, Duration::from_millis(300));
            Verdict::Close(send_file(client, &mut Packer::new(1), file, &whole).unwrap_err())
        }
    }

    #[test]
    fn a_file_with_holes_takes_what_is_in_it() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 30).unwrap();
        let (size, taken) = sizes([&Some(file.into()), &None]);
        assert_eq!(size, 1 << 30);
        assert!(taken < 1 << 20);
    }

    #[test]
    fn a_result_is_not_sent_for_ever() {
        let long = |step| Deadline::after(step, Duration::from_secs(60));
        let (hub, events) = Hub::<Told>::new(HubConfig::default()).unwrap();
        let listener = Listener::tcp(0).unwrap();
        let port = listener.port();
        hub.listen(listener, Version::TO_CLIENT, Arc::new(|_, _| Some(Box::new(Generous)))).unwrap();
        let mut client = dial::tcp("127.0.0.1", port, Version::TO_CLIENT, long(Step::Connect)).unwrap();
        client.send(&Message::Ping, long(Step::Send)).unwrap();
        let reason = loop {
            if let HubEvent::Closed { reason, .. } = events.recv_timeout(Duration::from_secs(60)).unwrap() {
                break reason;
            }
        };
        assert_eq!(reason.to_string(), "cannot send the result: it was not read in time");
        hub.shutdown(Duration::from_secs(60));
    }
}
