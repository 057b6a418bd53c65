//! `icecc --trace FILE`: the last build as a picture for Perfetto or Chrome, and a summary of it.

use super::statistics::{ask, seconds, shown};
use super::variables::Variables;
use crate::exit::{Failure, print};
use ice_core::statistics::trace::{Trace, critical_path};
use ice_core::statistics::{Note, Part, Period, Place, Statistics};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// How many of the slowest jobs are told.
const SLOWEST: usize = 5;
/// How many jobs of the critical path are told: its last ones.
const PATH: usize = 10;

/// Writes the trace, and prints the summary.
pub(super) fn run(path: &Path, variables: &Variables) -> Result<u8, Failure> {
    let statistics = ask(variables)?;
    let notes: Vec<&Note> = statistics.records().collect();
    if notes.is_empty() {
        return Err(Failure::new("no trace: no job has ended yet").hint("build something by icecc first"));
    }
    let text = serde_json::to_vec(&Trace::of(&notes)).map_err(|err| Failure::from_error(&err))?;
    fs::write(path, text).map_err(|err| {
        Failure::new(format!("cannot write {}: {err}", path.display())).hint("name a file that can be written")
    })?;
    print(&summary(&statistics, &notes, path))?;
    Ok(0)
}

fn summary(statistics: &Statistics, notes: &[&Note], path: &Path) -> String {
    let build = statistics.counters(Period::Last, 0);
    let (all, kept) = (build.jobs(), notes.len() as u64);
    let mut text = String::new();
    let jobs = if kept < all { format!("the last {kept} of {all} jobs") } else { format!("{kept} jobs") };
    let took = seconds(build.ended.saturating_sub(build.begun));
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}: {jobs} in {took}, to be opened in https://ui.perfetto.dev", path.display());
    let chain = critical_path(notes);
    let busy = seconds(chain.iter().map(|note| note.spans.total()).sum());
    let _ = writeln!(text, "critical path: {} jobs one after another, {busy}", chain.len());
    for note in chain.iter().skip(chain.len().saturating_sub(PATH)) {
        line(&mut text, note);
    }
    let _ = writeln!(text, "slowest:");
    for note in statistics.slowest(SLOWEST) {
        line(&mut text, note);
    }
    text
}

/// A job with its longest part.
fn line(text: &mut String, note: &Note) {
    let longest = Part::ALL.into_iter().max_by_key(|part| note.spans.of(*part)).unwrap_or(Part::Here);
    let place = if note.place == Place::Elsewhere { format!("on {}", note.host) } else { "here".to_owned() };
    let (total, part) = (seconds(note.spans.total()), seconds(note.spans.of(longest)));
    let _ = writeln!(text, "{total:>10}  {} {place}, {part} of it {}", shown(&note.file), longest.word());
}
