//! One job of files mode, from FILES_JOB to its last output, on its client's own thread: the shell of [`ByFiles`].

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use ice_core::daemon::Grant;
use ice_core::limits::SEND;
use ice_core::message::{FilesNeed, FilesResult, Message, need};
use ice_core::server::by_files::{ByFiles, Input, Output, Placing};
use ice_core::server::{self, Failure};
use ice_core::text::Text;
use ice_launcher::{FilesRequest, Questions, RunningJob};
use ice_net::deadline::{Deadline, Step};
use ice_net::error::ConnError;
use ice_net::hub::Verdict;
use ice_toolchain::file_tree::{self, TreeUse, Trees};
use log::debug;
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::command::Command;
use super::incoming::{Incoming, Owed, failed};
use super::result::Written;
use crate::iceccd::dialogue::{self, Clock, Delivery, failure_of, log_failure, log_result};
use crate::iceccd::ended;
use crate::iceccd::orders::{Mail, Mailbox, Order};
use crate::iceccd::pump::Pump;
use crate::iceccd::shared::{Client, Shared, Told};

/// Messages that are dealt with before orders and the job's end are looked at again.
const ROUND: usize = 64;

/// Leads the whole dialogue; the connection ends with it.
pub fn serve(shared: &Shared, job: ice_core::message::FilesJob, client: &mut Client) -> Verdict {
    let begun = match (&shared.trees, Command::of(job)) {
        (None, _) => Err("no jobs on files of submitters here".to_owned()),
        (_, Err(why)) => Err(why.to_owned()),
        (Some(trees), Ok(command)) => begin(shared, trees, command, client),
    };
    match begun {
        Ok(reason) => Verdict::Close(reason),
        Err(why) => {
            // The client may be gone: the connection ends anyway.
            let text = Message::StatusText { text: why.as_str().into() };
            let _ = client.send(&text, Deadline::after(Step::Send, SEND));
            Verdict::Close(why)
        }
    }
}

/// Leads the dialogue of a job that can be one. `Err`: why it cannot begin.
fn begin(shared: &Shared, trees: &Arc<Trees>, command: Command, client: &mut Client) -> Result<String, String> {
    let tree = trees.enter(command.token).map_err(|e| crate::exit::chain(&e))?;
    let mailbox = shared.orders.register(client.peer()).map_err(|e| format!("cannot wait for a slot: {e}"))?;
    client.forward(Message::FilesJob(Box::new(command.announcement()))).map_err(|e| e.to_string())?;
    let clock = Clock::start();
    let machine = ByFiles::new(clock.now(), client.version());
    let incoming = Incoming::new();
    let written = Written::default();
    let job = Job {
        shared,
        client,
        mailbox,
        command,
        tree,
        incoming,
        machine,
        clock,
        was_read: true,
        grant: None,
        running: None,
        written,
    };
    Ok(job.run())
}

/// What the machine's outputs are carried out on.
struct Job<'a> {
    shared: &'a Shared,
    client: &'a mut Client,
    mailbox: Mailbox,
    command: Command,
    tree: TreeUse,
    incoming: Incoming,
    machine: ByFiles,
    clock: Clock,
    /// The client was read the last time round.
    was_read: bool,
    grant: Option<Box<Grant>>,
    running: Option<Running>,
    /// When it has ended.
    written: Written,
}

/// The command.
struct Running {
    pump: Pump,
    /// Until it asks nothing more.
    questions: Option<Questions>,
    /// Until it has ended.
    job: Option<RunningJob>,
}

impl Job<'_> {
    /// Returns why the connection ends.
    fn run(mut self) -> String {
        loop {
            let has_moved = self.carry();
            while let Some(output) = self.machine.poll_output() {
                if let Some(reason) = self.perform(output) {
                    return reason;
                }
            }
            if !has_moved {
                if let Err(error) = self.wait() {
                    self.fail(Failure::System(error.to_string()));
                }
            }
            self.machine.handle_timeout(self.clock.now());
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.machine.handle(self.clock.now(), input);
    }

    fn fail(&mut self, failure: Failure) {
        self.handle(Input::Failed(failure));
    }

    /// Takes what has come. `true`: there may be more without waiting.
    fn carry(&mut self) -> bool {
        match self.mailbox.look() {
            Mail::Order(Order::Run(grant)) if self.grant.is_none() => {
                self.grant = Some(grant);
                self.handle(Input::Granted);
            }
            Mail::Order(_) | Mail::Gone => self.handle(Input::Stop),
            Mail::Nothing => {}
        }
        self.read_texts();
        self.hear_question();
        let has_ended = self.look_at_job();
        let has_heard = self.hear_client();
        has_ended || has_heard
    }

    fn read_texts(&mut self) {
        let now = self.clock.now();
        let Some(running) = &mut self.running else { return };
        let machine = &mut self.machine;
        let read = running.pump.read_texts(|stream, text| {
            machine.handle(now, text.map_or(Input::TextEnd(stream), |text| Input::Text(stream, text)));
        });
        if let Err(error) = read {
            self.fail(Failure::System(error.to_string()));
        }
    }

    fn hear_question(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Some(questions) = running.questions.as_ref().filter(|questions| is_readable(questions)) else { return };
        match questions.next() {
            Ok(Some(path)) => self.handle(Input::Question(&path)),
            // It asks nothing more; its end tells why.
            Ok(None) => running.questions = None,
            Err(error) => self.fail(Failure::Launcher(error.to_string())),
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
        let end = end.and_then(|mut ended| {
            if !ended.unknown.is_empty() {
                self.client.note(Told::UnknownCalls(ended::unknown_calls(&ended)));
            }
            let files = ended.files.take().unwrap_or_default();
            if let Some(reason) = files.refused {
                return Err(Failure::Files(reason));
            }
            if let Some(path) = &files.stray {
                let path = String::from_utf8_lossy(path);
                return Err(Failure::Files(format!("it wrote {path}, which its command does not say")));
            }
            self.written = Written::of(*files);
            // The client knows what its command has to write.
            Ok(server::Ended { has_object: true, held: self.written.len(), ..ended::told(&ended) })
        });
        self.handle(Input::Ended(end));
        true
    }

    /// Takes what the client has said and owes. `true`: something came.
    fn hear_client(&mut self) -> bool {
        let is_read = self.machine.reads_client();
        if !std::mem::replace(&mut self.was_read, is_read) && is_read {
            self.client.resume();
        }
        let mut came = 0;
        // What is asked for next is known only when a stream has been looked at.
        while came < ROUND && self.machine.reads_client() {
            let message = match self.client.try_recv() {
                Ok(None) => break,
                Ok(Some(message)) => message,
                Err(error) => {
                    let gone = matches!(error, ConnError::Closed);
                    self.fail(if gone { Failure::ClientGone } else { Failure::ClientLost(error.to_string()) });
                    return true;
                }
            };
            came += 1;
            let is_end = matches!(message, Message::End);
            self.take(message);
            if is_end {
                break;
            }
        }
        came > 0
    }

    fn take(&mut self, message: Message) {
        let taken = match message {
            Message::FileChunk(chunk) => {
                let (compressed, plain) = (chunk.data.len() as u64, u64::from(chunk.plain_len));
                self.incoming.take(&chunk).map(|()| Input::Chunk { compressed, plain })
            }
            Message::End => self.incoming.end(&self.command, &self.tree).map(|is_whole| Input::Stream { is_whole }),
            _ => Ok(Input::Other),
        };
        self.handle(taken.unwrap_or_else(Input::Failed));
    }

    /// Waits for something to happen.
    fn wait(&mut self) -> io::Result<()> {
        self.client.set_held(self.command.job.text_bytes() + self.incoming.held());
        let is_read = self.machine.reads_client();
        let mut others = Vec::new();
        if let Some(running) = &self.running {
            others.extend(running.job.as_ref().map(|job| (job.as_fd(), PollFlags::POLLIN)));
            others.extend(running.questions.as_ref().map(|questions| (questions.as_fd(), PollFlags::POLLIN)));
            others.extend(running.pump.wanted(false));
        }
        let until = (self.clock, self.machine.poll_timeout());
        if dialogue::wait(self.client, &self.mailbox, is_read, others, until)? {
            self.fail(Failure::ClientGone);
        }
        Ok(())
    }

    /// Returns why the connection ends, if it does.
    fn perform(&mut self, output: Output) -> Option<String> {
        match output {
            Output::Place => {
                let placing = self.tree.place(&self.incoming.facts);
                self.placed(placing);
            }
            Output::Grow => {
                let placing = self.tree.grow(&self.incoming.more);
                self.placed(placing);
            }
            Output::Need(wanted) => self.need(wanted),
            Output::Start => match self.start() {
                Ok(running) => self.running = Some(running),
                Err(failure) => self.fail(failure),
            },
            Output::Answer => self.answer(),
            Output::Restart => self.running = None,
            Output::Deliver(result) => {
                log_result(result.status, result.out_of_memory);
                let sent = self.deliver(*result);
                self.handle(Input::Delivered(sent));
            }
            Output::Plain(server::Output::Complete) => self.client.note(Told::Complete),
            Output::Plain(server::Output::GiveUp(failure)) => {
                self.running = None;
                log_failure(&failure);
            }
            // From here on the slot is free.
            Output::Plain(server::Output::Report(report)) => self.client.note(Told::JobEnded(report)),
            Output::Plain(server::Output::Say(message)) => {
                // The client may be gone: the connection ends anyway.
                let _ = self.client.send(&message, Deadline::after(Step::Send, SEND));
            }
            Output::Plain(server::Output::Close(reason)) => return Some(reason),
            // Of jobs of text.
            Output::Plain(server::Output::CloseInput | server::Output::Deliver(_)) => {}
        }
        None
    }

    fn placed(&mut self, placing: Result<file_tree::Placing, file_tree::TreeError>) {
        let placing = match placing {
            Ok(file_tree::Placing::Placed) => Placing::Placed,
            Ok(file_tree::Placing::Unknown(paths)) => Placing::Unknown(paths),
            Ok(file_tree::Placing::Changed(path)) => Placing::Changed(path),
            Ok(file_tree::Placing::Lacking(paths, arriving)) => {
                self.incoming.ask(Owed::Contents(arriving));
                Placing::Lacking(paths)
            }
            Err(error) => return self.fail(failed(error)),
        };
        self.handle(Input::Tree(placing));
    }

    fn need(&mut self, wanted: FilesNeed) {
        match wanted.kind {
            need::ALL => self.incoming.ask(Owed::All),
            need::FACTS => self.incoming.ask(Owed::More),
            // Asked for when the tree said so.
            _ => {}
        }
        if let Err(error) = self.client.send(&Message::FilesNeed(wanted), Deadline::after(Step::Send, SEND)) {
            self.fail(Failure::ClientLost(error.to_string()));
        }
    }

    fn start(&self) -> Result<Running, Failure> {
        let grant = self.grant.as_ref().ok_or(Failure::Stopped)?;
        let system = |e: io::Error| Failure::Command(format!("cannot make pipes: {e}"));
        let (mut pump, [stdin, stdout, stderr]) = Pump::new().map_err(system)?;
        pump.close_input();
        let (questions, asks) = Questions::pair().map_err(system)?;
        let bytes = |list: &[Text]| list.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
        let job = &self.command.job;
        debug!("arguments on files:{}", server::for_log(job.arguments.iter().map(Text::as_bytes)));
        let (generation, layers) = self.tree.layers();
        let request = FilesRequest {
            slot: grant.slot,
            token: self.command.token,
            generation,
            layers,
            program: job.compiler.as_bytes().to_vec(),
            argv: bytes(&job.arguments),
            env: bytes(&job.environment),
            cwd: job.working_directory.as_bytes().to_vec(),
            umask: job.umask,
            outputs: bytes(&job.outputs),
            facts: self.incoming.facts.encode(),
            asks,
            stdin,
            stdout,
            stderr,
            limits: self.shared.limits(grant.memory_mib),
        };
        let job = self.shared.launcher.run_files(request).map_err(failure_of)?;
        Ok(Running { pump, questions: Some(questions), job: Some(job) })
    }

    fn answer(&mut self) {
        let questions = self.running.as_ref().and_then(|running| running.questions.as_ref());
        let answered = questions.map_or(Ok(()), |questions| questions.answer(Some(&self.incoming.more)));
        // If it has ended meanwhile, its end tells why.
        if let Err(error) = answered {
            debug!("cannot answer a job: {error}");
        }
    }

    fn deliver(&mut self, result: FilesResult) -> Result<(), String> {
        let (body, files) = std::mem::take(&mut self.written).into_streams();
        let until = (self.clock, self.machine.poll_timeout());
        let message = Message::FilesResult(result);
        let mut delivery = Delivery::begin(self.client, self.shared.level, message, until);
        delivery.stream(body.as_slice())?;
        files.into_iter().try_for_each(|file| delivery.stream(file))?;
        delivery.end()
    }
}

fn is_readable(questions: &Questions) -> bool {
    let mut fds = [PollFd::new(questions.as_fd(), PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}
