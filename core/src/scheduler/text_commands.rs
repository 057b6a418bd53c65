//! The commands of the text port and their answers (`net/PROTOCOL.md`, Text console).
//!
//! A new one is a variant of [`Command`], a row of [`COMMANDS`], and an arm of `command()`.

use super::host::Host;
use super::job::State;
use super::listing::Listing;
use super::{CloseReason, Scheduler};
use crate::ids::PeerId;
use crate::text::Text;
use std::fmt::Write as _;

/// Maximum number of entries of the block list.
const BLOCKED_MAX: usize = 4096;

/// The answer to a command that changes something, of somebody who may not give it.
const REFUSED: &str = "401 Only for the scheduler's own host, and for networks of icecc-scheduler --text-admin.";

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
    Help,
    Quit,
}

/// What a command is made of its arguments, or what is wrong with them.
type Read = fn(Vec<Text>) -> Result<Command, &'static str>;

/// All commands, in the order of `help`: the word, whether `help` lists it as 1.4's does, and how it is read.
const COMMANDS: [(&str, bool, Read); 11] = [
    ("listcs", true, |arguments| {
        let json = has(&arguments, "--json");
        Ok(Command::List(Listing::hosts(json, json && has(&arguments, "environments"))))
    }),
    ("listblocks", true, |_| Ok(Command::ListBlocks)),
    ("listjobs", true, |arguments| Ok(Command::List(Listing::jobs(has(&arguments, "--json"))))),
    ("removecs", true, |hosts| some(hosts, "401 Sure. But which hosts?").map(Command::RemoveHosts)),
    ("blockcs", true, |hosts| some(hosts, "401 Sure. But which hosts?").map(Command::BlockHosts)),
    ("unblockcs", true, |hosts| some(hosts, "401 Sure. But which host?").map(Command::UnblockHosts)),
    ("internals", true, |hosts| Ok(Command::Internals(hosts))),
    ("help", true, |_| Ok(Command::Help)),
    ("quit", true, |_| Ok(Command::Quit)),
    ("exit", false, |_| Ok(Command::Quit)),
    ("stats", false, |_| Ok(Command::Statistics)),
];

impl Command {
    /// Whether it changes something.
    fn changes(&self) -> bool {
        matches!(self, Self::RemoveHosts(_) | Self::BlockHosts(_) | Self::UnblockHosts(_))
    }

    /// Reads a line. The error is its answer.
    fn read(line: &Text) -> Result<Self, String> {
        let whole = line.lossy();
        let mut words = whole.split(' ').filter(|word| !word.is_empty());
        let name = words.next().unwrap_or_default();
        let known = COMMANDS.iter().find(|(word, ..)| word.eq_ignore_ascii_case(name));
        let (.., read) = known.ok_or_else(|| format!("Invalid command '{whole}'"))?;
        read(words.map(Text::from).collect()).map_err(str::to_owned)
    }
}

fn has(arguments: &[Text], word: &str) -> bool {
    arguments.iter().any(|argument| *argument == word)
}

fn some(hosts: Vec<Text>, question: &'static str) -> Result<Vec<Text>, &'static str> {
    if hosts.is_empty() { Err(question) } else { Ok(hosts) }
}

impl Scheduler {
    /// Carries out a line of a text peer, and answers it.
    pub(super) fn command(&mut self, peer: PeerId, line: &Text) {
        let mut out = String::new();
        let command = Command::read(line).and_then(|command| {
            let may = !command.changes() || self.may_change(peer, line);
            if may { Ok(command) } else { Err(REFUSED.to_owned()) }
        });
        match command {
            Ok(Command::List(listing)) => return self.list(peer, listing),
            Ok(Command::ListBlocks) => {
                for entry in &self.blocked {
                    let _ = writeln!(out, "   {entry}");
                }
            }
            Ok(Command::RemoveHosts(hosts)) => self.remove_hosts(&mut out, &hosts),
            Ok(Command::BlockHosts(hosts)) => {
                let room = BLOCKED_MAX.saturating_sub(self.blocked.len());
                self.blocked.extend(hosts.iter().take(room).cloned());
                self.remove_hosts(&mut out, &hosts);
            }
            Ok(Command::UnblockHosts(hosts)) => {
                for host in hosts {
                    if let Some(at) = self.blocked.iter().position(|entry| *entry == host) {
                        self.blocked.remove(at);
                    }
                }
            }
            Ok(Command::Internals(hosts)) => return self.ask_internals(peer, hosts),
            Ok(Command::Statistics) => self.statistics(&mut out),
            Ok(Command::Help) => {
                for (word, ..) in COMMANDS.iter().filter(|(_, is_listed, _)| *is_listed) {
                    let _ = writeln!(out, "{word}");
                }
            }
            Ok(Command::Quit) => return self.good_bye(peer),
            Err(answer) => {
                let _ = writeln!(out, "{answer}");
            }
        }
        out.push_str("200 done\n");
        self.answer(peer, out);
    }

    fn remove_hosts(&mut self, out: &mut String, names: &[Text]) {
        for name in names {
            let host = self.ledger.cluster().named(name).next().map(Host::id);
            if let Some(id) = host {
                let _ = writeln!(out, "removing host {}", name.lossy());
                self.host_left(id, Some(CloseReason::Removed));
            }
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_commands() {
        let read = |line: &str| Command::read(&line.into());
        let hosts = || vec![Text::from("a"), Text::from("--json")];
        for (line, command) in [
            ("listcs", Command::List(Listing::hosts(false, false))),
            ("  LISTCS x  --json ", Command::List(Listing::hosts(true, false))),
            ("listcs --json environments", Command::List(Listing::hosts(true, true))),
            ("listjobs --json", Command::List(Listing::jobs(true))),
            ("removecs a --json", Command::RemoveHosts(hosts())),
            ("blockcs  a  --json", Command::BlockHosts(hosts())),
            ("unblockcs a --json", Command::UnblockHosts(hosts())),
            ("internals", Command::Internals(Vec::new())),
            ("exit now", Command::Quit),
        ] {
            assert_eq!(read(line), Ok(command), "{line}");
        }
        for line in ["", " nonsense x", "list", "listcsx"] {
            assert_eq!(read(line), Err(format!("Invalid command '{line}'")));
        }
        assert_eq!(read("blockcs "), Err("401 Sure. But which hosts?".to_owned()));
    }
}
