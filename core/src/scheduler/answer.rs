//! Answers of the text port that are made at once: each line as text, and as a row for programs.

use super::rows::{Field, Row};
use super::{Output, Scheduler};
use crate::ids::PeerId;
use crate::text::Text;
use crate::time::Instant;

/// Bytes that a row counts for beyond its text: the names of its fields.
const ROW: usize = 48;

/// An answer being made.
#[derive(Default)]
pub(super) struct Answer {
    text: String,
    rows: Vec<Row>,
}

impl Answer {
    /// Adds a line of text, which the same fields are for programs.
    pub(super) fn add(&mut self, line: &str, fields: Vec<(&'static str, Field)>) {
        self.text.push_str(line);
        self.text.push('\n');
        self.rows.push(Row::Fields(fields));
    }

    /// Adds a line that is all that programs are told too.
    pub(super) fn add_error(&mut self, line: &str) {
        self.add(line, vec![("error", Field::Text(line.into()))]);
    }

    /// Adds that there is no such host.
    pub(super) fn add_unknown(&mut self, host: &Text) {
        let fields = vec![("host", Field::Text(host.clone())), ("error", Field::Text("no such host".into()))];
        self.add(&format!("401 No host {}.", host.lossy()), fields);
    }
}

impl Scheduler {
    /// Sends an answer, as text or as rows.
    pub(super) fn answer(&mut self, peer: PeerId, json: bool, answer: Answer) {
        self.send_piece(peer, json, answer, true, true);
    }

    /// Sends a piece of an answer. If its address gets too much, the next one waits: until when is returned.
    pub(super) fn send_piece(
        &mut self,
        peer: PeerId,
        json: bool,
        answer: Answer,
        is_first: bool,
        is_last: bool,
    ) -> Option<Instant> {
        let Answer { text, rows } = answer;
        let until = self.spend(peer, text.len() + if json { rows.len() * ROW } else { 0 });
        let end = if is_last { "200 done\n" } else { "" };
        if json {
            self.output(Output::SendRows { peer, rows, is_first, is_last });
            self.send_text(peer, end.into());
        } else {
            self.send_text(peer, text + end);
        }
        if let Some(until) = until.filter(|_| is_last) {
            self.pause(peer, until);
        }
        until
    }
}
