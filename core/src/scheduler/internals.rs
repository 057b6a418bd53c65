//! `internals`: the hosts are asked, and what they say is answered when all have said it, or after 2 s.
//!
//! Asking and answering go in pieces, as all others wait while one is made. Lines that arrive meanwhile wait, so that
//! answers keep the order of the commands.

use super::answer::Answer;
use super::host::Host;
use super::listing::{PAUSE, ROWS_MAX, is_full};
use super::rows::Field;
use super::{Scheduler, Timer};
use crate::ids::{HostId, PeerId};
use crate::limits::STATUS_TEXT_MAX;
use crate::message::Message;
use crate::text::Text;
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// How long the hosts' answers are waited for.
const INTERNALS_MAX: Duration = Duration::from_secs(2);
/// Maximum number of `internals` commands under way at a time: each holds the answers of all hosts.
const INTERNALS_AT_ONCE_MAX: usize = 16;
/// Maximum size of an answer, in bytes.
const INTERNALS_TEXT_MAX: usize = 2 << 20;
/// Bytes that asking one host counts for, whatever it answers.
const ASKED: usize = 256;

/// An `internals` command under way.
#[derive(Debug)]
pub(super) struct Internals {
    /// Names or addresses of the hosts to be asked; none: all.
    names: BTreeSet<Text>,
    /// The rest of the names: no host has them.
    unknown: BTreeSet<Text>,
    /// As JSON.
    json: bool,
    /// Whether a piece was answered before.
    is_begun: bool,
    stage: Stage,
    /// When it goes on.
    due: Instant,
    /// The hosts asked, in the order of the answer.
    hosts: Vec<(HostId, Text)>,
    waiting: BTreeSet<HostId>,
    answers: BTreeMap<HostId, Text>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Hosts up to this one were asked.
    Asking(HostId),
    /// All were asked.
    Waiting,
    /// So many hosts are answered for.
    Answering(usize),
}

impl Internals {
    fn is_wanted(&self, host: &Host) -> bool {
        self.names.is_empty() || self.names.contains(&host.said().name) || self.names.contains(&host.said().address)
    }

    /// A host has answered, or has left. Returns whether all have.
    fn heard(&mut self, host: HostId, text: Option<&Text>) -> bool {
        if !self.waiting.remove(&host) {
            return false;
        }
        let kept: usize = self.answers.values().map(Text::len).sum();
        self.answers.extend(text.map(|text| {
            let mut text = text.clone();
            text.keep_start(STATUS_TEXT_MAX.min(INTERNALS_TEXT_MAX.saturating_sub(kept)));
            (host, text)
        }));
        self.stage == Stage::Waiting && self.waiting.is_empty()
    }

    /// A host is asked: its name and its address are those of a host.
    fn asked(&mut self, host: &Host) {
        self.unknown.remove(&host.said().name);
        self.unknown.remove(&host.said().address);
        self.hosts.push((host.id(), host.said().name.clone()));
        self.waiting.insert(host.id());
    }

    /// The next piece of the answer; whether it is the last one.
    fn piece(&mut self) -> (Answer, bool) {
        let mut answer = Answer::default();
        let Stage::Answering(mut next) = self.stage else { return (answer, false) };
        std::mem::take(&mut self.unknown).iter().for_each(|name| answer.add_unknown(name));
        let (begin, mut bytes) = (next, 0);
        while let Some((id, name)) = self.hosts.get(next) {
            if is_full(next - begin, bytes) {
                break;
            }
            next += 1;
            let said = self.answers.remove(id);
            let line = match &said {
                Some(text) => text.lossy().trim_end_matches('\n').to_owned(),
                None => format!("{} not reporting", name.lossy()),
            };
            bytes += line.len();
            let text = said.map_or(Field::Unknown, Field::Text);
            answer.add(&line, vec![("host", Field::Text(name.clone())), ("text", text)]);
        }
        self.stage = Stage::Answering(next);
        (answer, next >= self.hosts.len())
    }
}

impl Scheduler {
    fn internals_running(&self) -> usize {
        self.consoles.values().filter(|console| console.internals.is_some()).count()
    }

    /// Asks the hosts of these names, or all; the answer follows when they have answered.
    pub(super) fn ask_internals(&mut self, peer: PeerId, json: bool, names: Vec<Text>) {
        if self.internals_running() >= INTERNALS_AT_ONCE_MAX {
            let mut answer = Answer::default();
            answer.add_error("401 Too many ask that just now.");
            return self.answer(peer, json, answer);
        }
        let Some(console) = self.consoles.get_mut(&peer) else { return };
        let names: BTreeSet<Text> = names.into_iter().collect();
        console.internals = Some(Internals {
            unknown: names.clone(),
            names,
            json,
            is_begun: false,
            stage: Stage::Asking(HostId(0)),
            due: self.now,
            hosts: Vec::new(),
            waiting: BTreeSet::new(),
            answers: BTreeMap::new(),
        });
        self.internals_go_on(peer);
    }

    /// Does what is next for an `internals`: asks more hosts, or answers.
    pub(super) fn internals_go_on(&mut self, peer: PeerId) {
        let stage = self.consoles.get(&peer).and_then(|console| Some(console.internals.as_ref()?.stage));
        match stage {
            Some(Stage::Asking(after)) => self.ask_more(peer, after),
            Some(Stage::Waiting) => self.begin_answer(peer),
            Some(Stage::Answering(_)) => self.answer_more(peer),
            None => {}
        }
    }

    fn ask_more(&mut self, peer: PeerId, mut last: HostId) {
        let Some(internals) = self.consoles.get_mut(&peer).and_then(|console| console.internals.as_mut()) else {
            return;
        };
        let cluster = self.ledger.cluster();
        let mut asked = Vec::new();
        for host in cluster.hosts_after(last).take(ROWS_MAX) {
            last = host.id();
            if internals.is_wanted(host) {
                internals.asked(host);
                asked.push(host.said().peer);
            }
        }
        let has_more = cluster.hosts_after(last).next().is_some();
        internals.stage = if has_more { Stage::Asking(last) } else { Stage::Waiting };
        let is_over = !has_more && internals.waiting.is_empty();
        let later = self.spend(peer, asked.len() * ASKED).unwrap_or(self.now + PAUSE);
        for host in asked {
            self.send(host, Message::GetInternals);
        }
        if is_over {
            self.begin_answer(peer);
        } else {
            self.internals_due(peer, if has_more { later } else { self.now + INTERNALS_MAX });
        }
    }

    fn internals_due(&mut self, peer: PeerId, at: Instant) {
        let internals = self.consoles.get_mut(&peer).and_then(|console| console.internals.as_mut());
        let Some(old) = internals.map(|internals| std::mem::replace(&mut internals.due, at)) else { return };
        self.cancel_timer(old, Timer::Internals(peer));
        self.set_timer(at, Timer::Internals(peer));
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
        let waiting = self.consoles.iter_mut().filter_map(|(peer, console)| Some((*peer, console.internals.as_mut()?)));
        let over: Vec<PeerId> = waiting.filter_map(|(peer, i)| i.heard(host, text).then_some(peer)).collect();
        for peer in over {
            self.begin_answer(peer);
        }
    }

    /// All hosts have answered, or the time for it is over.
    fn begin_answer(&mut self, peer: PeerId) {
        let internals = self.consoles.get_mut(&peer).and_then(|console| console.internals.as_mut());
        if let Some(internals) = internals {
            internals.stage = Stage::Answering(0);
            internals.waiting.clear();
        }
        self.answer_more(peer);
    }

    fn answer_more(&mut self, peer: PeerId) {
        let Some(console) = self.consoles.get_mut(&peer) else { return };
        let Some(internals) = &mut console.internals else { return };
        let (json, is_first) = (internals.json, !std::mem::replace(&mut internals.is_begun, true));
        let (answer, is_last) = internals.piece();
        let next = self.send_piece(peer, json, answer, is_first, is_last).unwrap_or(self.now + PAUSE);
        if is_last {
            self.forget_internals(peer);
            return self.next_lines(peer);
        }
        self.internals_due(peer, next);
    }

    /// Ends an `internals` and its timer.
    pub(super) fn forget_internals(&mut self, peer: PeerId) {
        let internals = self.consoles.get_mut(&peer).and_then(|console| console.internals.take());
        self.cancel_timer(internals.map(|internals| internals.due), Timer::Internals(peer));
    }
}
