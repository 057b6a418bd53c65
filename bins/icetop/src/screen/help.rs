//! What the screen means.

use ratatui::text::Line;

use super::Scene;
use super::rows::{Rows, span};

/// Each word of the screen with its meaning.
const MEANINGS: &[(&str, &str)] = &[
    ("slots", "jobs that hosts take at once, without --no-remote hosts"),
    ("run", "jobs that a host does as the scheduler chose"),
    ("wait", "jobs that were asked for and have no host yet"),
    ("local", "work that a host keeps for itself, such as links"),
    ("jobs/s", "jobs that ended in the last minute, in a second"),
    ("done, failed", "since icetop began; failed: the compiler's status was not 0"),
    ("busy", "jobs on a host, local ones too, of its slots"),
    ("load", "as the host reports it; at 100% (red) it gets no jobs"),
    ("speed", "the scheduler's figure; it has no unit"),
    ("time", "how long a job has been in its state, or took"),
    ("failed 255", "no compiler said so: the job was given up"),
    ("unknown", "the job was asked for before icetop began"),
];

const KEYS: &[(&str, &str)] = &[
    ("↑ ↓ ← →", "choose; also page up and down, home, end"),
    ("Enter", "the page of the chosen host or job"),
    ("Esc", "back"),
    ("j", "all jobs: those that run and wait, then the last that ended"),
    ("s", "sort the list in the next way, which the last line names"),
    ("space", "hold the picture; it goes on with the next press"),
    ("q, Ctrl-C", "quit"),
];

/// Columns of the first column.
const WORD: usize = 14;

/// Draws the page.
pub fn draw(rows: &mut Rows<'_>, scene: &Scene<'_>) {
    let palette = scene.palette;
    let pair = |(word, meaning): &(&str, &str)| {
        Line::from(vec![
            span(format!("{word:<WORD$}"), palette.heading()),
            span(*meaning, ratatui::style::Style::new()),
        ])
    };
    let marks = if palette.has_colour() {
        "Slots: a mark each in the colour of who asked: █ for others, ▄ local, · free."
    } else {
        "Slots: a letter each of who asked, small for local work; · free."
    };
    rows.line(marks);
    MEANINGS.iter().chain(KEYS).for_each(|row| rows.line(pair(row)));
}
