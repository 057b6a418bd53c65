//! Jobs as a table, and the page of all of them.

use std::borrow::Cow;

use ice_core::cluster_view::Place;
use ice_core::ids::HostId;
use ratatui::style::Style;
use ratatui::text::Line;

use super::Scene;
use super::rows::{Rows, span};
use crate::app::{Grid, position};
use crate::order::{self, JobRow};
use crate::words;

/// Longest name of a host in a table.
const NAME_MAX: usize = 16;

/// Lines of the page's list.
pub fn list_height(page: u16) -> u16 {
    page.saturating_sub(2)
}

/// Draws the page.
pub fn draw(rows: &mut Rows<'_>, scene: &Scene<'_>) {
    rows.gap();
    list(rows, scene, &order::jobs(scene.view(), scene.app.job_sort));
}

/// A table of which the part is shown that has the chosen job.
pub fn list(rows: &mut Rows<'_>, scene: &Scene<'_>, all: &[JobRow<'_>]) {
    let ids: Vec<_> = all.iter().map(|row| row.id).collect();
    let grid = Grid::column(rows.left().saturating_sub(1));
    let first = grid.first(position(&ids, scene.app.job));
    let part = format!("{}-{} of {}", first + 1, all.len().min(first + grid.capacity()), all.len());
    table(rows, scene, all.get(first..).unwrap_or_default(), (all.len() > grid.capacity()).then_some(&part));
}

/// Draws jobs with their heading.
pub fn table(rows: &mut Rows<'_>, scene: &Scene<'_>, all: &[JobRow<'_>], right: Option<&str>) {
    let names = scene.view().hosts().values().map(|host| host.name.to_string().chars().count());
    let width = names.max().unwrap_or(0).clamp(4, NAME_MAX);
    let style = scene.palette.heading();
    let heading = format!("{:>8}  {:<9} {:>5}  {:<width$}  {:<width$}  file", "job", "state", "time", "from", "on");
    rows.both(span(heading, style), span(right.unwrap_or_default(), style));
    for row in all.iter().take(usize::from(rows.left())) {
        rows.line(line(scene, row, width, usize::from(rows.width())));
    }
    if all.is_empty() {
        rows.styled("no job yet", scene.palette.faint());
    }
}

/// What a job does, or how it ended.
pub fn state(scene: &Scene<'_>, row: &JobRow<'_>) -> (Cow<'static, str>, Style) {
    let palette = scene.palette;
    match (row.ended.map(|ended| ended.status), row.job.place) {
        (Some(None | Some(0)), _) => ("done".into(), palette.faint()),
        (Some(Some(status)), _) => (format!("failed {status}").into(), palette.trouble()),
        (None, Place::Waiting) => ("waiting".into(), palette.waiting()),
        (None, Place::On(_)) => ("running".into(), palette.running()),
        (None, Place::Local) => ("local".into(), Style::new()),
    }
}

/// The name of who asked for a job.
pub fn submitter(scene: &Scene<'_>, row: &JobRow<'_>) -> String {
    if row.job.submitter == HostId(0) { "unknown".to_owned() } else { scene.view().name(row.job.submitter) }
}

fn line(scene: &Scene<'_>, row: &JobRow<'_>, names: usize, width: usize) -> Line<'static> {
    let palette = scene.palette;
    let (state, style) = state(scene, row);
    let time = words::time(row.ended.map_or(scene.now.since(row.job.since), |ended| ended.took()));
    let on = row.host().map_or("-".to_owned(), |host| scene.view().name(host));
    let from = words::name(&submitter(scene, row), names);
    let on = words::name(&on, names);
    let is_chosen = scene.app.job == Some(row.id) && !matches!(scene.app.page(), crate::app::Page::Cluster);
    let number = if is_chosen { palette.chosen() } else { Style::new() };
    let left = width.saturating_sub(8 + 2 + 9 + 1 + 5 + 2 + 2 * (names + 2));
    Line::from(vec![
        span(format!("{:>8}", row.id), number),
        span(format!("  {state:<9} "), style),
        span(format!("{time:>5}  "), Style::new()),
        span(format!("{from:<names$}  "), palette.submitter(row.job.submitter)),
        span(format!("{on:<names$}  "), Style::new()),
        span(words::path(&row.job.file.to_string(), left), Style::new()),
    ])
}
