//! `icecc --stats`: what came of this user's jobs, as this host's daemon has counted them.

use super::by_files::keep::ask_statistics;
use super::daemon;
use super::variables::Variables;
use crate::exit::{Failure, print};
use ice_core::reason::Reason;
use ice_core::statistics::{Counters, Note, Part, Period, Place, Statistics};
use serde::Serialize;
use std::cmp::Reverse;
use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many of the slowest jobs are shown.
const SLOWEST: usize = 5;

/// What is told.
#[derive(Serialize)]
struct Told<'a> {
    period: &'static str,
    /// Times are in microseconds.
    #[serde(flatten)]
    counters: Counters,
    jobs: u64,
    saved: i64,
    /// Of the last build, if that is asked for.
    slowest: Vec<&'a Note>,
}

/// Prints the statistics of a period.
pub(super) fn run(period: Period, as_json: bool, variables: &Variables) -> Result<u8, Failure> {
    let statistics = ask(variables)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let counters = statistics.counters(period, u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
    let slowest = if period == Period::Last { statistics.slowest(SLOWEST) } else { Vec::new() };
    let told = Told { period: period.word(), jobs: counters.jobs(), saved: counters.saved(), counters, slowest };
    let text = match as_json {
        true => serde_json::to_string_pretty(&told).map_err(|err| Failure::from_error(&err))? + "\n",
        false => told.to_string(),
    };
    print(&text)?;
    Ok(0)
}

/// Asks the daemon for what it has of this user.
pub(super) fn ask(variables: &Variables) -> Result<Statistics, Failure> {
    let failed = |what: &str, hint: &str| Failure::new(format!("no statistics: {what}")).hint(hint);
    let (mut daemon, is_of_ours) = daemon::connect_ext(variables.test_socket.as_deref())
        .map_err(|_| failed("no daemon answers on this host", "start iceccd"))?;
    let replace = "it is one of icecream 1.4, or runs as another user: use the iceccd of this version";
    if !is_of_ours {
        return Err(failed("the daemon of this host keeps none", replace));
    }
    let text = ask_statistics(&mut daemon).map_err(|err| failed(&crate::exit::chain(&err), replace))?;
    serde_json::from_slice(&text).map_err(|err| failed(&format!("the daemon's answer is wrong: {err}"), replace))
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counters, .. } = self;
        let name = if self.period == Period::Last.word() { "last build" } else { self.period };
        if self.jobs == 0 {
            return writeln!(f, "{name}: no jobs");
        }
        let took = seconds(counters.ended.saturating_sub(counters.begun));
        writeln!(f, "{name}: {} jobs, {took} from the first to the last", self.jobs)?;
        writeln!(f, "{:>8}  elsewhere", counters.elsewhere)?;
        for (host, count) in &counters.hosts {
            let host = if host.is_empty() { "others" } else { host };
            writeln!(f, "{:>18}  by {host}, which had them for {}", count.jobs, seconds(count.bought))?;
        }
        writeln!(f, "{:>8}  here", counters.here)?;
        writeln!(f, "{:>8}  twice: here after another host had done it", counters.twice)?;
        reasons(f, counters)?;
        writeln!(f, "{:>8}  failed over: another host took the job, or this one, as one failed", counters.failed_over)?;
        writeln!(f, "{:>8}  ended with an error", counters.failed)?;
        let (sign, saved) = (if self.saved < 0 { "-" } else { "" }, seconds(self.saved.unsigned_abs()));
        let (bought, overhead) = (seconds(counters.bought), seconds(counters.overhead));
        writeln!(f, "saved:   {sign}{saved} = {bought} that other hosts had jobs for (queue and compile)")?;
        writeln!(f, "         less {overhead} for preparing, waiting, sending and receiving them")?;
        writeln!(f, "bytes:   {} sent, {} received", bytes(counters.sent), bytes(counters.received))?;
        slow(f, &self.slowest)
    }
}

/// Why jobs were done here, the most frequent first, with what to do.
fn reasons(f: &mut fmt::Formatter<'_>, counters: &Counters) -> fmt::Result {
    let mut reasons: Vec<(&String, u64)> = counters.reasons.iter().map(|(word, count)| (word, *count)).collect();
    reasons.sort_by_key(|(word, count)| (Reverse(*count), *word));
    for (word, count) in reasons {
        match Reason::ALL.iter().find(|reason| reason.word() == word) {
            Some(reason) => writeln!(f, "{count:>18}  {word}: {reason}\n{:>20}{}", "", reason.remedy())?,
            None => writeln!(f, "{count:>18}  {word}")?,
        }
    }
    Ok(())
}

fn slow(f: &mut fmt::Formatter<'_>, slowest: &[&Note]) -> fmt::Result {
    for (at, note) in slowest.iter().enumerate() {
        let place = match note.place {
            Place::Elsewhere => format!("on {}", note.host),
            Place::Here => "here".to_owned(),
            Place::Twice => "twice".to_owned(),
        };
        let compile = note.spans.of(Part::Compile) + note.spans.of(Part::Here);
        let title = if at == 0 { "slowest:" } else { "" };
        let (total, compile) = (seconds(note.spans.total()), seconds(compile));
        writeln!(f, "{title:<8} {total:>8}  {} ({compile} of it {place})", shown(&note.file))?;
    }
    Ok(())
}

/// A name without what a terminal would obey.
pub(super) fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A time of so many microseconds.
pub(super) fn seconds(us: u64) -> String {
    let (ms, s) = (us / 1000, us / 1_000_000);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = match s {
        0..10 => write!(text, "{s}.{:03} s", ms % 1000),
        10..60 => write!(text, "{s}.{} s", ms % 1000 / 100),
        60..3600 => write!(text, "{} min {} s", s / 60, s % 60),
        _ => write!(text, "{} h {} min", s / 3600, s / 60 % 60),
    };
    text
}

/// A number of bytes.
fn bytes(n: u64) -> String {
    match n {
        0..1000 => format!("{n} bytes"),
        1000..1_000_000 => format!("{}.{} kB", n / 1000, n % 1000 / 100),
        1_000_000..1_000_000_000 => format!("{}.{} MB", n / 1_000_000, n / 100_000 % 10),
        _ => format!("{}.{} GB", n / 1_000_000_000, n / 100_000_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_units() {
        let times = [0, 1_999, 9_999_999, 12_345_678, 61_000_000, 3_725_000_000];
        assert_eq!(times.map(seconds), ["0.000 s", "0.001 s", "9.999 s", "12.3 s", "1 min 1 s", "1 h 2 min"]);
        let all = [999, 1_050, 2_345_678, 9_870_000_000].map(bytes);
        assert_eq!(all, ["999 bytes", "1.0 kB", "2.3 MB", "9.8 GB"]);
        assert_eq!(shown("a\u{1b}[2J.c"), "a?[2J.c");
    }

    #[test]
    fn each_kind_of_job_has_its_line() {
        let mut counters =
            Counters { elsewhere: 2, here: 1, overhead: 3_000_000, bought: 1_000_000, ..Counters::default() };
        counters.reasons.insert("messages".into(), 1);
        counters.reasons.insert("unheard-of".into(), 1);
        let (jobs, saved) = (counters.jobs(), counters.saved());
        let slow = Note { file: "a.c".into(), ..Note::default() };
        let text = Told { period: "last", counters, jobs, saved, slowest: vec![&slow, &slow] }.to_string();
        for line in
            ["last build: 3 jobs, ", "       2  elsewhere", "  messages: ", "1  unheard-of\n", "saved:   -2.000 s = "]
        {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(text.matches("a.c (0.000 s of it here)").count(), 2);
    }
}
