//! The commands of the text port and their answers (`net/PROTOCOL.md`, Text console).
//!
//! A new one is a variant of [`Command`], a row of [`COMMANDS`], and an arm of `command()`.

use super::answer::Answer;
use super::host::Host;
use super::job::State;
use super::listing::Listing;
use super::policy;
use super::rows::Field;
use super::{CloseReason, Scheduler};
use crate::ids::PeerId;
use crate::text::Text;
use std::collections::BTreeSet;

/// Maximum number of entries of the block list.
const BLOCKED_MAX: usize = 4096;

/// The answer to a command that changes something, of somebody who may not give it.
const REFUSED: &str = "401 Only for the scheduler's own host, and for networks of icecc-scheduler --text-admin.";

/// The word that asks for JSON, of every command.
const JSON: &str = "--json";

/// A command with its arguments.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    List(Listing),
    ListBlocks,
    RemoveHosts(Vec<Text>),
    BlockHosts(Vec<Text>),
    UnblockHosts(Vec<Text>),
    Internals(Vec<Text>),
    Statistics,
    NextHosts,
    Help,
    Quit,
}

/// What a command is made of: its arguments without the word for JSON, and whether that was there. An error is what is
/// wrong with them.
type Read = fn(Vec<Text>, bool) -> Result<Command, &'static str>;

/// All commands, in the order of `help`: the word, its arguments, what it does, and how it is read.
const COMMANDS: [(&str, &str, &str, Read); 12] = [
    ("listcs", "[--json [environments]]", "the hosts, with their jobs", |arguments, json| {
        let environments = json && arguments.iter().any(|argument| *argument == "environments");
        Ok(Command::List(Listing::hosts(json, environments)))
    }),
    ("listblocks", "[--json]", "the hosts that may not log in", |_, _| Ok(Command::ListBlocks)),
    ("listjobs", "[--json]", "the jobs", |_, json| Ok(Command::List(Listing::jobs(json)))),
    ("removecs", "HOST... [--json]", "ends their connections; they may come again", |hosts, _| {
        some(hosts, "401 Sure. But which hosts?").map(Command::RemoveHosts)
    }),
    ("blockcs", "HOST... [--json]", "the same, and they may not", |hosts, _| {
        some(hosts, "401 Sure. But which hosts?").map(Command::BlockHosts)
    }),
    ("unblockcs", "HOST... [--json]", "lets them log in again", |hosts, _| {
        some(hosts, "401 Sure. But which host?").map(Command::UnblockHosts)
    }),
    ("internals", "[HOST...] [--json]", "what daemons know about themselves", |hosts, _| Ok(Command::Internals(hosts))),
    ("stats", "[--json]", "counts of this scheduler", |_, _| Ok(Command::Statistics)),
    ("next", "[--json]", "the hosts that would get a job now, the first one first", |_, _| Ok(Command::NextHosts)),
    ("help", "[--json]", "this list", |_, _| Ok(Command::Help)),
    ("quit", "", "the end", |_, _| Ok(Command::Quit)),
    ("exit", "", "the end", |_, _| Ok(Command::Quit)),
];

impl Command {
    /// Whether it changes something.
    fn changes(&self) -> bool {
        matches!(self, Self::RemoveHosts(_) | Self::BlockHosts(_) | Self::UnblockHosts(_))
    }

    /// Reads a line; whether JSON is asked for, and the command. The error is its answer.
    fn read(line: &Text) -> (bool, Result<Self, String>) {
        let whole = line.lossy();
        let mut words = whole.split(' ').filter(|word| !word.is_empty());
        let name = words.next().unwrap_or_default();
        let (json, arguments): (Vec<&str>, Vec<&str>) = words.partition(|word| *word == JSON);
        let known = COMMANDS.iter().find(|(word, ..)| word.eq_ignore_ascii_case(name));
        let command = match known {
            None => Err(format!("Invalid command '{whole}'")),
            Some((.., read)) => {
                let arguments = arguments.into_iter().map(Text::from).collect();
                read(arguments, !json.is_empty()).map_err(str::to_owned)
            }
        };
        (!json.is_empty(), command)
    }
}

fn some(hosts: Vec<Text>, question: &'static str) -> Result<Vec<Text>, &'static str> {
    if hosts.is_empty() { Err(question) } else { Ok(hosts) }
}

/// What became of a host.
fn done(host: &Text, done: &'static str) -> Vec<(&'static str, Field)> {
    vec![("host", Field::Text(host.clone())), ("done", Field::Text(done.into()))]
}

impl Scheduler {
    /// Carries out a line of a text peer, and answers it.
    pub(super) fn command(&mut self, peer: PeerId, line: &Text) {
        let (json, command) = Command::read(line);
        let command = command.and_then(|command| {
            let may = !command.changes() || self.may_change(peer, line);
            if may { Ok(command) } else { Err(REFUSED.to_owned()) }
        });
        let mut answer = Answer::default();
        match command {
            Ok(Command::List(listing)) => return self.list(peer, listing),
            Ok(Command::Internals(hosts)) => return self.ask_internals(peer, json, hosts),
            Ok(Command::Quit) => return self.good_bye(peer),
            Ok(Command::ListBlocks) => {
                for entry in &self.blocked {
                    answer.add(&format!("   {entry}"), vec![("host", Field::Text(entry.clone()))]);
                }
            }
            Ok(Command::RemoveHosts(hosts)) => self.remove_hosts(&mut answer, &hosts, false),
            Ok(Command::BlockHosts(hosts)) => {
                let room = BLOCKED_MAX.saturating_sub(self.blocked.len());
                self.blocked.extend(hosts.iter().take(room).cloned());
                self.remove_hosts(&mut answer, &hosts, true);
            }
            Ok(Command::UnblockHosts(hosts)) => self.unblock_hosts(&mut answer, &hosts),
            Ok(Command::Statistics) => self.statistics(&mut answer),
            Ok(Command::NextHosts) => self.next_hosts(&mut answer),
            Ok(Command::Help) => help(&mut answer),
            Err(error) => answer.add_error(&error),
        }
        self.answer(peer, json, answer);
    }

    fn remove_hosts(&mut self, answer: &mut Answer, names: &[Text], are_blocked: bool) {
        let mut seen = BTreeSet::new();
        for name in names.iter().filter(|name| seen.insert(*name)) {
            let host = self.ledger.cluster().named(name).next().map(Host::id);
            match host {
                Some(id) => {
                    answer.add(&format!("removing host {}", name.lossy()), done(name, "removed"));
                    self.host_left(id, Some(CloseReason::Removed));
                }
                None if are_blocked => {
                    answer.add(&format!("blocked host {}, which is not here", name.lossy()), done(name, "blocked"));
                }
                None => answer.add_unknown(name),
            }
        }
    }

    fn unblock_hosts(&mut self, answer: &mut Answer, names: &[Text]) {
        for name in names {
            match self.blocked.iter().position(|entry| entry == name) {
                Some(at) => {
                    self.blocked.remove(at);
                    answer.add(&format!("unblocked host {}", name.lossy()), done(name, "unblocked"));
                }
                None => answer.add_error(&format!("401 Host {} is not blocked.", name.lossy())),
            }
        }
    }

    fn next_hosts(&self, answer: &mut Answer) {
        for host in policy::next(self.ledger.cluster()) {
            let (said, work) = (host.said(), host.work());
            let line = format!(
                " {} ({}) [{}] jobs={}/{}",
                said.name.lossy(),
                said.address.lossy(),
                said.platform.lossy(),
                work.busy(),
                work.slots()
            );
            answer.add(
                &line,
                vec![
                    ("host", Field::Text(said.name.clone())),
                    ("address", Field::Text(said.address.clone())),
                    ("platform", Field::Text(said.platform.clone())),
                    ("jobs", Field::Number(work.busy().into())),
                    ("slots", Field::Number(work.slots().into())),
                ],
            );
        }
    }

    fn statistics(&self, answer: &mut Answer) {
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
            answer.add(&format!(" {what}={n}"), vec![("name", Field::Text(what.into())), ("value", Field::Number(n))]);
        }
    }
}

fn help(answer: &mut Answer) {
    for (word, arguments, what, _) in COMMANDS {
        let fields = [("command", word), ("arguments", arguments), ("what", what)];
        let fields = fields.into_iter().map(|(name, text)| (name, Field::Text(text.into()))).collect();
        answer.add(&format!("{:<35} {what}", format!("{word} {arguments}")), fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_commands() {
        let read = |line: &str| Command::read(&line.into());
        let hosts = |names: [&str; 2]| names.map(Text::from).to_vec();
        for (line, json, command) in [
            ("listcs", false, Command::List(Listing::hosts(false, false))),
            ("  LISTCS x  --json ", true, Command::List(Listing::hosts(true, false))),
            ("listcs --json environments", true, Command::List(Listing::hosts(true, true))),
            ("listcs environments", false, Command::List(Listing::hosts(false, false))),
            ("listjobs --json", true, Command::List(Listing::jobs(true))),
            ("removecs a --json b", true, Command::RemoveHosts(hosts(["a", "b"]))),
            ("blockcs  a  b", false, Command::BlockHosts(hosts(["a", "b"]))),
            ("unblockcs a b", false, Command::UnblockHosts(hosts(["a", "b"]))),
            ("internals --json", true, Command::Internals(Vec::new())),
            ("exit now", false, Command::Quit),
        ] {
            assert_eq!(read(line), (json, Ok(command)), "{line}");
        }
        for line in ["", " nonsense x", "list", "listcsx"] {
            assert_eq!(read(line), (false, Err(format!("Invalid command '{line}'"))));
        }
        assert_eq!(read("blockcs --json"), (true, Err("401 Sure. But which hosts?".to_owned())));
    }
}
