//! The text port: commands and their answers (`net/PROTOCOL.md`, Text console).
//!
//! `internals` asks all hosts at once and answers when all have answered, or after 2 s. Lines that arrive meanwhile
//! wait, so that answers keep the order of the commands.

use super::host::{FULL_LOAD, Host};
use super::job::State;
use super::policy;
use super::probing::Accepting;
use super::{CloseReason, Scheduler, Timer};
use crate::ids::{HostId, JobId, PeerId};
use crate::limits::{STATUS_TEXT_MAX, TEXT_IDLE, TEXT_LINE_MAX};
use crate::message::Message;
use crate::text::Text;
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

/// How long `internals` waits for the hosts' answers.
const INTERNALS_MAX: Duration = Duration::from_secs(2);
/// Maximum number of `internals` commands under way at a time: each holds the answers of all hosts.
const INTERNALS_AT_ONCE_MAX: usize = 16;
/// Maximum size of an answer to `internals`, in bytes.
const INTERNALS_TEXT_MAX: usize = 2 << 20;
/// Maximum number of lines that wait behind an `internals`.
const LINES_MAX: usize = 64;
/// Maximum number of entries of the block list.
const BLOCKED_MAX: usize = 4096;

/// A peer of the text port.
#[derive(Debug)]
pub(super) struct Console {
    /// When it is closed for being idle.
    idle_at: Instant,
    internals: Option<Internals>,
    lines: VecDeque<Text>,
    /// It has shut down its writing side.
    ends: bool,
}

/// An `internals` command under way.
#[derive(Debug)]
struct Internals {
    until: Instant,
    /// The hosts asked, in the order of the answer.
    hosts: Vec<(HostId, Text)>,
    waiting: BTreeSet<HostId>,
    answers: BTreeMap<HostId, Text>,
}

impl Scheduler {
    /// A text peer connected: sends the greeting.
    pub(super) fn text_opened(&mut self, peer: PeerId) {
        let idle_at = self.now + TEXT_IDLE;
        self.set_timer(idle_at, Timer::TextIdle(peer));
        self.consoles.insert(peer, Console { idle_at, internals: None, lines: VecDeque::new(), ends: false });
        let greeting = format!(
            "200-ICECC {}: {}s uptime, {} hosts, {} jobs in queue ({} total).\n200 Use 'help' for help and 'quit' to quit.\n",
            self.config.version,
            self.uptime().as_secs(),
            self.ledger.cluster().len(),
            self.ledger.jobs().len(),
            self.ledger.last_number()
        );
        self.send_text(peer, greeting);
    }

    /// A text peer has been idle for too long: closes it.
    pub(super) fn text_idle(&mut self, peer: PeerId) {
        self.good_bye(peer);
    }

    /// A line of a text peer: runs the command, or queues it behind an `internals`.
    pub(super) fn line(&mut self, peer: PeerId, line: Text) {
        let idle_at = self.now + TEXT_IDLE;
        let Some(console) = self.consoles.get_mut(&peer) else { return };
        let old = std::mem::replace(&mut console.idle_at, idle_at);
        let too_much = line.len() > TEXT_LINE_MAX || console.lines.len() >= LINES_MAX;
        let waits = console.internals.is_some();
        if waits && !too_much {
            console.lines.push_back(line.clone());
        }
        self.cancel_timer(old, Timer::TextIdle(peer));
        self.set_timer(idle_at, Timer::TextIdle(peer));
        if too_much {
            self.good_bye(peer);
        } else if !waits {
            self.command(peer, &line);
        }
    }

    /// A text peer has shut down its writing side: it is closed after its last answer.
    pub(super) fn text_half_closed(&mut self, peer: PeerId) {
        let Some(console) = self.consoles.get_mut(&peer) else { return };
        console.ends = true;
        if console.internals.is_none() {
            self.good_bye(peer);
        }
    }

    fn good_bye(&mut self, peer: PeerId) {
        self.send_text(peer, "200 Good Bye!\n".into());
        self.forget_text(peer);
        self.close(peer, CloseReason::GoodBye);
    }

    /// Removes a text peer and its timers.
    pub(super) fn forget_text(&mut self, peer: PeerId) {
        let Some(console) = self.consoles.remove(&peer) else { return };
        self.cancel_timer(console.idle_at, Timer::TextIdle(peer));
        self.cancel_timer(console.internals.map(|internals| internals.until), Timer::Internals(peer));
    }

    fn command(&mut self, peer: PeerId, line: &Text) {
        let whole = line.lossy().into_owned();
        let mut words = whole.split(' ').filter(|word| !word.is_empty());
        let command = words.next().unwrap_or_default().to_ascii_lowercase();
        let arguments: Vec<&str> = words.collect();
        let json = arguments.contains(&"--json");
        let mut out = String::new();
        match command.as_str() {
            "help" => {
                out.push_str("listcs\nlistblocks\nlistjobs\nremovecs\nblockcs\nunblockcs\ninternals\nhelp\nquit\n")
            }
            "listcs" if json => self.list_hosts_json(&mut out),
            "listcs" => self.list_hosts(&mut out),
            "listjobs" if json => self.list_jobs_json(&mut out),
            "listjobs" => {
                for id in self.ledger.jobs().keys() {
                    self.job_line(&mut out, " ", *id);
                }
            }
            "listblocks" => {
                for entry in &self.blocked {
                    let _ = writeln!(out, "   {entry}");
                }
            }
            "stats" => self.statistics(&mut out),
            "removecs" | "blockcs" if arguments.is_empty() => out.push_str("401 Sure. But which hosts?\n"),
            "unblockcs" if arguments.is_empty() => out.push_str("401 Sure. But which host?\n"),
            "removecs" => self.remove_hosts(&mut out, &arguments),
            "blockcs" => {
                for name in &arguments {
                    if self.blocked.len() < BLOCKED_MAX {
                        self.blocked.push(Text::from(*name));
                    }
                }
                self.remove_hosts(&mut out, &arguments);
            }
            "unblockcs" => {
                for name in arguments {
                    if let Some(at) = self.blocked.iter().position(|entry| *entry == name) {
                        self.blocked.remove(at);
                    }
                }
            }
            "internals" if self.internals_running() >= INTERNALS_AT_ONCE_MAX => {
                out.push_str("401 Too many ask that just now.\n");
            }
            "internals" => {
                self.ask_internals(peer, &arguments);
                return;
            }
            "quit" | "exit" => {
                self.good_bye(peer);
                return;
            }
            _ => {
                let _ = writeln!(out, "Invalid command '{whole}'");
            }
        }
        out.push_str("200 done\n");
        self.send_text(peer, out);
    }

    fn remove_hosts(&mut self, out: &mut String, names: &[&str]) {
        for name in names {
            let host = self.ledger.cluster().named(&Text::from(*name)).next().map(Host::id);
            if let Some(id) = host {
                let _ = writeln!(out, "removing host {name}");
                self.host_left(id, Some(CloseReason::Removed));
            }
        }
    }

    fn list_hosts(&self, out: &mut String) {
        for host in self.ledger.cluster().hosts() {
            let silent = if host.probing().is_pinged() { "-" } else { "" };
            let _ = write!(
                out,
                " {} ({}:{}) [{}] speed={:.2} jobs={}/{silent}{} load={}",
                host.said().name,
                host.said().address,
                host.said().port,
                host.said().platform,
                host.shown().value(),
                host.work().jobs().len(),
                host.work().slots(),
                host.load()
            );
            if let Some(since) = host.work().installs().map(|i| i.since).min() {
                let _ = write!(out, " busy installing since {} s", self.now.since(since).as_secs());
            }
            out.push('\n');
            for job in host.work().jobs() {
                self.job_line(out, "   ", *job);
            }
        }
    }

    fn job_line(&self, out: &mut String, indent: &str, id: JobId) {
        let Some(job) = self.ledger.job(id) else { return };
        let name = |id: HostId| self.ledger.host(id).map_or("<unknown>".into(), |h| h.said().name.lossy());
        let server = job.server().map_or("<unknown>".into(), name);
        let _ = writeln!(
            out,
            "{indent}{id} {} sub:{} on:{server} {}",
            state_word(job.state()),
            name(job.submitter()),
            job.file()
        );
    }

    fn list_hosts_json(&self, out: &mut String) {
        out.push('[');
        for (i, host) in self.ledger.cluster().hosts().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(
                out,
                "{comma}\n{{\"id\":{},\"name\":{},\"address\":{},\"port\":{},\"platform\":{},\"version\":{},\"speed\":{:.2},\"pace\":{:.4},\
                 \"jobs\":{},\"running\":{},\"local\":{},\"slots\":{},\"load\":{},\"no_remote\":{},\"state\":\"{}\",\"environments\":[",
                host.id(),
                json_string(&host.said().name),
                json_string(&host.said().address),
                host.said().port,
                json_string(&host.said().platform),
                host.said().offer,
                host.shown().value(),
                host.pace().value().unwrap_or(0.0),
                host.work().jobs().len(),
                host.work().running(),
                host.work().local().len(),
                host.work().slots(),
                host.load(),
                host.said().no_remote,
                state_of(host),
            );
            for (i, env) in host.standing().environments().iter().enumerate() {
                let comma = if i == 0 { "" } else { "," };
                let _ = write!(
                    out,
                    "{comma}{{\"target\":{},\"name\":{}}}",
                    json_string(&env.platform),
                    json_string(&env.name)
                );
            }
            out.push_str("]}");
        }
        out.push_str("\n]\n");
    }

    fn list_jobs_json(&self, out: &mut String) {
        let name = |id: HostId| self.ledger.host(id).map_or("null".into(), |h| json_string(&h.said().name));
        out.push('[');
        for (i, (id, job)) in self.ledger.jobs().iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(
                out,
                "{comma}\n{{\"id\":{id},\"state\":\"{}\",\"submitter\":{},\"server\":{},\"niceness\":{},\"file\":{}}}",
                state_word(job.state()),
                name(job.submitter()),
                job.server().map_or("null".into(), name),
                job.level(),
                json_string(job.file())
            );
        }
        out.push_str("\n]\n");
    }

    fn statistics(&self, out: &mut String) {
        let count = |test: fn(&State) -> bool| self.ledger.jobs().values().filter(|j| test(&j.state())).count();
        let slots: u64 = self.ledger.cluster().hosts().map(|h| u64::from(h.work().slots())).sum();
        let c = &self.counts;
        for (what, n) in [
            ("uptime_s", self.uptime().as_secs()),
            ("hosts", self.ledger.cluster().len() as u64),
            ("monitors", self.monitors.len() as u64),
            ("slots", slots),
            ("jobs_queued", self.ledger.queue().len() as u64),
            ("jobs_waiting", count(|s| matches!(s, State::Waiting { .. })) as u64),
            ("jobs_compiling", count(|s| matches!(s, State::Compiling { .. })) as u64),
            ("jobs_total", u64::from(self.ledger.last_number())),
            ("jobs_placed", c.placed),
            ("jobs_succeeded", c.succeeded),
            ("jobs_failed", c.failed),
            ("jobs_cancelled", c.cancelled),
            ("jobs_lost", c.lost),
        ] {
            let _ = writeln!(out, " {what}={n}");
        }
    }

    fn internals_running(&self) -> usize {
        self.consoles.values().filter(|console| console.internals.is_some()).count()
    }

    fn ask_internals(&mut self, peer: PeerId, names: &[&str]) {
        let names: Vec<Text> = names.iter().map(|name| Text::from(*name)).collect();
        let wanted = |host: &&Host| names.is_empty() || names.iter().any(|name| host.said().is_named(name));
        let asked: Vec<(HostId, Text, PeerId)> = self
            .ledger
            .cluster()
            .hosts()
            .filter(wanted)
            .map(|h| (h.id(), h.said().name.clone(), h.said().peer))
            .collect();
        let until = self.now + INTERNALS_MAX;
        let internals = Internals {
            until,
            waiting: asked.iter().map(|(id, ..)| *id).collect(),
            hosts: asked.iter().map(|(id, name, _)| (*id, name.clone())).collect(),
            answers: BTreeMap::new(),
        };
        if let Some(console) = self.consoles.get_mut(&peer) {
            console.internals = Some(internals);
        }
        self.set_timer(until, Timer::Internals(peer));
        for (_, _, host) in &asked {
            self.send(*host, Message::GetInternals);
        }
        if asked.is_empty() {
            self.internals_over(peer);
        }
    }

    /// STATUS_TEXT of a host: its answer for every `internals` that waits for it.
    pub(super) fn status_text(&mut self, host: HostId, text: &Text) {
        self.answer_internals(host, Some(text));
    }

    /// A host left: no `internals` waits for it any longer.
    pub(super) fn host_without_internals(&mut self, host: HostId) {
        self.answer_internals(host, None);
    }

    fn answer_internals(&mut self, host: HostId, text: Option<&Text>) {
        let mut over = Vec::new();
        for (peer, console) in &mut self.consoles {
            let Some(internals) = &mut console.internals else { continue };
            if internals.waiting.remove(&host) {
                let kept: usize = internals.answers.values().map(Text::len).sum();
                internals.answers.extend(text.map(|text| {
                    let mut text = text.clone();
                    text.keep_start(STATUS_TEXT_MAX.min(INTERNALS_TEXT_MAX.saturating_sub(kept)));
                    (host, text)
                }));
                if internals.waiting.is_empty() {
                    over.push(*peer);
                }
            }
        }
        for peer in over {
            self.internals_over(peer);
        }
    }

    /// Answers an `internals` when all hosts have answered or its time is over.
    pub(super) fn internals_over(&mut self, peer: PeerId) {
        let Some(console) = self.consoles.get_mut(&peer) else { return };
        let Some(internals) = console.internals.take() else { return };
        self.cancel_timer(internals.until, Timer::Internals(peer));
        let mut out = String::new();
        for (id, name) in &internals.hosts {
            match internals.answers.get(id) {
                Some(text) => {
                    out.push_str(text.lossy().trim_end_matches('\n'));
                    out.push('\n');
                }
                None => {
                    let _ = writeln!(out, "{name} not reporting");
                }
            }
        }
        out.push_str("200 done\n");
        self.send_text(peer, out);
        while let Some(console) = self.consoles.get_mut(&peer) {
            if console.internals.is_some() {
                break;
            }
            let ends = console.ends;
            match console.lines.pop_front() {
                Some(line) => self.command(peer, &line),
                None if ends => self.good_bye(peer),
                None => break,
            }
        }
    }
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Pending => "PEND",
        State::Waiting { .. } => "WAIT",
        State::Compiling { .. } => "COMP",
    }
}

/// Whether a host takes jobs, or why not, as one word.
fn state_of(host: &Host) -> &'static str {
    match host.probing().accepting() {
        _ if host.probing().is_silent() => "silent",
        Accepting::No => "unreachable",
        Accepting::Unknown => "unknown",
        Accepting::Yes if host.load() >= FULL_LOAD => "loaded",
        Accepting::Yes if host.work().busy() >= policy::capacity(host) => "full",
        Accepting::Yes => "ready",
    }
}

fn json_string(text: &Text) -> String {
    let mut out = String::from("\"");
    for c in text.lossy().chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
