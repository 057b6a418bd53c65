//! The page of a job.

use ice_core::cluster_view::Finished;
use ice_core::ids::JobId;
use ratatui::text::Line;

use super::rows::{Rows, span};
use super::{Scene, jobs};
use crate::order;
use crate::words;

/// Columns of the names of what is told.
const LABEL: usize = 14;

/// Draws the page.
pub fn draw(rows: &mut Rows<'_>, scene: &Scene<'_>, id: JobId) {
    let palette = scene.palette;
    rows.gap();
    let Some(row) = order::job(scene.view(), id) else {
        rows.styled(format!("job {id} ended long ago, or its host has left"), palette.trouble());
        return;
    };
    let (state, style) = jobs::state(scene, &row);
    rows.line(Line::from(vec![span(format!("job {id}  "), palette.heading()), span(state, style)]));
    rows.gap();
    let job = row.job;
    let language = job.language.map_or("not told".to_owned(), |language| language.to_string());
    let on = row.host().map_or("no host yet".to_owned(), |host| scene.view().name(host));
    let on = job.seat.map_or(on.clone(), |seat| format!("{on}, slot {}", seat + 1));
    let until = row.ended.map_or(scene.now, |ended| ended.ended);
    let waited = if row.host().is_some() { job.since } else { until };
    let mut tell = |name: &str, what: String| {
        rows.line(Line::from(vec![span(format!("{name:<LABEL$}"), palette.faint()), what.into()]));
    };
    tell("file", job.file.to_string());
    tell("language", language);
    tell("asked for by", jobs::submitter(scene, &row));
    tell("on", on);
    tell("waited", words::time(waited.since(job.asked)));
    if row.host().is_some() {
        tell("there", words::time(until.since(job.since)));
    }
    if let Some(ended) = row.ended {
        end(ended, &mut tell);
    }
}

/// What is known of its end.
fn end(ended: &Finished, tell: &mut impl FnMut(&str, String)) {
    if let Some(status) = ended.status {
        tell("exit status", status.to_string());
    }
    let Some(stats) = ended.stats else { return };
    let seconds = |ms: u32| format!("{:.2} s", f64::from(ms) / 1000.0);
    tell(
        "compiler",
        format!(
            "{}, of which {} user, {} system",
            seconds(stats.real_ms),
            seconds(stats.user_ms),
            seconds(stats.sys_ms)
        ),
    );
    let sizes =
        |sent: u32, plain: u32| format!("{} sent, {} plain", words::bytes(sent.into()), words::bytes(plain.into()));
    tell("source", sizes(stats.in_compressed, stats.in_uncompressed));
    tell("object", sizes(stats.out_compressed, stats.out_uncompressed));
}
