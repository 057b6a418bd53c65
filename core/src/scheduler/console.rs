//! The peers of the text port: their lines one after the other, and their end. What each command does stands in
//! `text_commands.rs`, `internals` in `internals.rs`.

use super::internals::Internals;
use super::listing::Listing;
use super::{CloseReason, Note, Scheduler, Timer};
use crate::ids::PeerId;
use crate::level::Level;
use crate::limits::{TEXT_IDLE, TEXT_LINE_MAX};
use crate::text::Text;
use crate::time::Instant;
use std::collections::VecDeque;

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
    pub(super) internals: Option<Internals>,
    /// The rest of a list.
    pub(super) listing: Option<Listing>,
    /// It is not answered until then.
    pub(super) paused_until: Option<Instant>,
    lines: VecDeque<Text>,
    /// It has shut down its writing side.
    ends: bool,
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
        self.forget_internals(peer);
        let Some(console) = self.consoles.remove(&peer) else { return };
        self.cancel_timer(console.idle_at, Timer::TextIdle(peer));
        self.cancel_timer(console.paused_until, Timer::Text(peer));
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

    /// Goes on with the lines of a text peer.
    pub(super) fn next_lines(&mut self, peer: PeerId) {
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
