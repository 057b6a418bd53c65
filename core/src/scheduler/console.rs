//! The peers of the text port: their lines one after the other, `internals`, and their end. What each command does
//! stands in `text_commands.rs`.
//!
//! `internals` asks all hosts at once and answers when all have answered, or after 2 s. Lines that arrive meanwhile
//! wait, so that answers keep the order of the commands.

use super::host::Host;
use super::listing::Listing;
use super::{CloseReason, Note, Scheduler, Timer};
use crate::ids::{HostId, PeerId};
use crate::level::Level;
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

/// A peer of the text port.
#[derive(Debug)]
pub(super) struct Console {
    address: Text,
    /// Whether its commands may change something.
    may_change: bool,
    /// When it is closed for being idle.
    idle_at: Instant,
    internals: Option<Internals>,
    /// The rest of a list.
    pub(super) listing: Option<Listing>,
    /// It is not answered until then.
    pub(super) paused_until: Option<Instant>,
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

impl Console {
    /// Whether its further lines wait.
    fn is_busy(&self) -> bool {
        self.internals.is_some() || self.listing.is_some() || self.paused_until.is_some()
    }
}

impl Scheduler {
    /// A text peer connected: sends the greeting.
    pub(super) fn text_opened(&mut self, peer: PeerId, address: Text, may_change: bool) {
        let idle_at = self.now + TEXT_IDLE;
        self.set_timer(idle_at, Timer::TextIdle(peer));
        let console = Console {
            address,
            may_change,
            idle_at,
            internals: None,
            listing: None,
            paused_until: None,
            lines: VecDeque::new(),
            ends: false,
        };
        self.consoles.insert(peer, console);
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
        let waits = console.is_busy();
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

    /// Whether a text peer may give this command, which changes something. Either is logged with its address.
    pub(super) fn may_change(&mut self, peer: PeerId, line: &Text) -> bool {
        let Some(console) = self.consoles.get(&peer) else { return false };
        let (address, line, may_change) = (console.address.clone(), line.clone(), console.may_change);
        self.note(Level::Warning, || match may_change {
            true => Note::Command { address, line },
            false => Note::CommandRefused { address, line },
        });
        may_change
    }

    /// A text peer has shut down its writing side: it is closed after its last answer.
    pub(super) fn text_half_closed(&mut self, peer: PeerId) {
        let Some(console) = self.consoles.get_mut(&peer) else { return };
        console.ends = true;
        if !console.is_busy() {
            self.good_bye(peer);
        }
    }

    /// Takes leave of a text peer.
    pub(super) fn good_bye(&mut self, peer: PeerId) {
        self.send_text(peer, "200 Good Bye!\n".into());
        self.forget_text(peer);
        self.close(peer, CloseReason::GoodBye);
    }

    /// Removes a text peer and its timers.
    pub(super) fn forget_text(&mut self, peer: PeerId) {
        let Some(console) = self.consoles.remove(&peer) else { return };
        self.cancel_timer(console.idle_at, Timer::TextIdle(peer));
        self.cancel_timer(console.paused_until, Timer::Text(peer));
        self.cancel_timer(console.internals.map(|internals| internals.until), Timer::Internals(peer));
    }

    fn internals_running(&self) -> usize {
        self.consoles.values().filter(|console| console.internals.is_some()).count()
    }

    /// Asks the hosts of these names, or all; the answer follows when they have answered.
    pub(super) fn ask_internals(&mut self, peer: PeerId, names: &[Text]) {
        if self.internals_running() >= INTERNALS_AT_ONCE_MAX {
            return self.send_text(peer, "401 Too many ask that just now.\n200 done\n".into());
        }
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
        self.answer(peer, out);
        self.next_lines(peer);
    }

    /// Sends an answer. If its address gets too much, the next one waits.
    pub(super) fn answer(&mut self, peer: PeerId, text: String) {
        let until = self.spend(peer, text.len());
        self.send_text(peer, text);
        if let Some(until) = until {
            self.pause(peer, until);
        }
    }

    /// Counts what is answered to a text peer. Returns when its address may be answered again, if that is not now.
    pub(super) fn spend(&mut self, peer: PeerId, bytes: usize) -> Option<Instant> {
        let console = self.consoles.get(&peer)?;
        self.allowances.spend(self.now, &console.address, bytes)
    }

    /// A text peer may be answered again: goes on with its list, then with its lines.
    pub(super) fn text_goes_on(&mut self, peer: PeerId) {
        let Some(console) = self.consoles.get_mut(&peer) else { return };
        console.paused_until = None;
        if let Some(listing) = console.listing.take() {
            self.list(peer, listing);
        }
        self.next_lines(peer);
    }

    fn next_lines(&mut self, peer: PeerId) {
        while let Some(console) = self.consoles.get_mut(&peer) {
            if console.is_busy() {
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
