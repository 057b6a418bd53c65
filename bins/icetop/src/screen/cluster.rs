//! The page of all hosts. A few are shown with each slot on a line of its own, many with a mark for each slot.

use std::collections::BTreeMap;

use ice_core::cluster_view::{ClusterView, HostView, Place};
use ice_core::ids::{HostId, JobId};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::rows::{Rows, span};
use super::{Scene, history, jobs, slots};
use crate::app::{Grid, position};
use crate::{order, words};

/// Longest name of a host that is shown.
const NAME_MAX: usize = 16;
/// Most columns of marks, where hosts stand beside each other.
const MARKS_MAX: usize = 64;
/// Columns of number and load.
const NUMBERS: usize = 15;
/// Columns between hosts.
const BETWEEN: usize = 2;
/// The legend of submitters, and the heading of the hosts.
const HEADINGS: u16 = 2;

/// How the page is divided.
struct Plan {
    /// Lines of the hosts.
    hosts: u16,
    /// Lines of the jobs below.
    jobs: u16,
    /// Whether each slot has a line.
    has_slot_lines: bool,
}

impl Plan {
    fn new(view: &ClusterView, height: u16) -> Self {
        let height = height.saturating_sub(history::height(height) + HEADINGS);
        let lines = |slots: fn(&HostView) -> usize| {
            let lines: usize = view.hosts().values().map(|host| 1 + slots(host)).sum();
            u16::try_from(lines).unwrap_or(u16::MAX)
        };
        match lines(slots::own) {
            own if own <= height => {
                let hosts = lines(slots::count).min(height);
                Self { hosts, jobs: height - hosts, has_slot_lines: true }
            }
            _ => {
                let jobs = if height >= 12 { (height / 3).min(14) } else { 0 };
                let hosts = (height - jobs).min(u16::try_from(view.hosts().len()).unwrap_or(u16::MAX));
                Self { hosts, jobs: height - hosts, has_slot_lines: false }
            }
        }
    }
}

/// Sizes of the hosts' columns.
struct Sizes {
    name: usize,
    marks: usize,
    grid: Grid,
}

impl Sizes {
    fn new(view: &ClusterView, width: u16, plan: &Plan) -> Self {
        let width = usize::from(width);
        let names = view.hosts().values().map(|host| host.name.to_string().chars().count());
        let name = names.max().unwrap_or(0).clamp(4, NAME_MAX);
        let slots = view.hosts().values().map(slots::own).max().unwrap_or(0);
        let around = name + NUMBERS + 1;
        let marks = slots.clamp(8, MARKS_MAX);
        let columns = ((width + BETWEEN) / (around + marks + BETWEEN)).max(1);
        let columns = if plan.has_slot_lines { 1 } else { columns };
        let marks = if columns == 1 { width.saturating_sub(around) } else { marks };
        Self { name, marks, grid: Grid { rows: usize::from(plan.hosts).max(1), columns } }
    }
}

/// How the hosts lie on a page of this size.
pub fn grid(view: &ClusterView, width: u16, height: u16) -> Grid {
    Sizes::new(view, width, &Plan::new(view, height)).grid
}

/// Draws the page.
pub fn draw(rows: &mut Rows<'_>, scene: &Scene<'_>) {
    let view = scene.view();
    let height = rows.left();
    history::draw(&mut rows.part(history::height(height)), scene, height);
    let plan = Plan::new(view, height);
    let sizes = Sizes::new(view, rows.width(), &plan);
    rows.line(legend(scene));
    let all = order::hosts(view, scene.app.host_sort);
    if plan.has_slot_lines {
        heading(rows, scene, &sizes, "");
        let mut hosts = rows.part(plan.hosts);
        all.iter().for_each(|id| with_slot_lines(&mut hosts, scene, &sizes, *id));
    } else {
        let first = sizes.grid.first(position(&all, scene.app.host));
        let shown = all.get(first..).unwrap_or_default();
        let part = format!("{}-{} of {}", first + 1, all.len().min(first + sizes.grid.capacity()), all.len());
        heading(rows, scene, &sizes, if all.len() > sizes.grid.capacity() { &part } else { "" });
        let mut hosts = rows.part(plan.hosts);
        for (column, ids) in shown.chunks(sizes.grid.rows).take(sizes.grid.columns).enumerate() {
            let width = sizes.name + NUMBERS + 1 + sizes.marks;
            let cells = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
            let mut part = hosts.columns(cells(column * (width + BETWEEN)), cells(width));
            ids.iter().for_each(|id| with_marks(&mut part, scene, &sizes, *id));
        }
    }
    waiting_and_running(&mut rows.part(plan.jobs), scene);
}

fn heading(rows: &mut Rows<'_>, scene: &Scene<'_>, sizes: &Sizes, right: &str) {
    let text = format!("{:<width$}    busy    load slots", "host", width = sizes.name);
    let style = scene.palette.heading();
    rows.both(span(text, style), span(right, style));
}

/// Who has jobs on hosts, the most first.
fn legend(scene: &Scene<'_>) -> Line<'static> {
    let (view, palette) = (scene.view(), scene.palette);
    let mut counts: BTreeMap<HostId, usize> = BTreeMap::new();
    for job in view.jobs().values().filter(|job| job.place != Place::Waiting) {
        *counts.entry(job.submitter).or_default() += 1;
    }
    let mut counts: Vec<(HostId, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
    let mut line = vec![span(if counts.is_empty() { "nothing runs" } else { "jobs of  " }, palette.faint())];
    for (id, count) in counts {
        let name = if id == HostId(0) { "unknown".to_owned() } else { view.name(id) };
        line.push(span(palette.mark(id, false), palette.submitter(id)));
        line.push(span(format!(" {} {count}  ", words::name(&name, NAME_MAX)), Style::new()));
    }
    Line::from(line)
}

/// Name, number of jobs and load.
fn beginning(scene: &Scene<'_>, sizes: &Sizes, id: HostId, host: &HostView) -> Vec<Span<'static>> {
    let palette = scene.palette;
    let name = words::name(&host.name.to_string(), sizes.name);
    let style = if scene.app.host == Some(id) { palette.chosen() } else { Style::new() };
    let is_full = host.load.is_some_and(|load| load >= 1000);
    let load = if is_full { palette.trouble() } else { palette.faint() };
    vec![
        span(format!("{name:<width$}", width = sizes.name), style),
        span(format!(" {:>4}/{:<4}", host.busy(), host.slots), Style::new()),
        span(format!("{:>4} ", words::load(host.load)), load),
    ]
}

fn with_marks(rows: &mut Rows<'_>, scene: &Scene<'_>, sizes: &Sizes, id: HostId) {
    let Some(host) = scene.view().hosts().get(&id) else { return };
    let mut line = beginning(scene, sizes, id, host);
    line.push(span(" ", Style::new()));
    line.extend(slots::marks(scene.view(), host, sizes.marks, scene.palette));
    rows.line(line);
}

fn with_slot_lines(rows: &mut Rows<'_>, scene: &Scene<'_>, sizes: &Sizes, id: HostId) {
    let Some(host) = scene.view().hosts().get(&id) else { return };
    with_marks(rows, scene, sizes, id);
    for slot in 0..slots::count(host) {
        let job = host.seats.get(slot).copied().flatten();
        rows.line(slot_line(scene, slot, job, usize::from(rows.width())));
    }
}

/// A slot and what is in it.
pub fn slot_line(scene: &Scene<'_>, slot: usize, id: Option<JobId>, width: usize) -> Line<'static> {
    let (view, palette) = (scene.view(), scene.palette);
    let number = span(format!("{:>4} ", slot + 1), palette.faint());
    let Some((id, job)) = id.and_then(|id| Some((id, view.jobs().get(&id)?))) else {
        return Line::from(vec![number, span(crate::palette::FREE, palette.faint())]);
    };
    let time = words::time(scene.now.since(job.since));
    let from = match job.place {
        Place::Local => "local".to_owned(),
        _ if job.submitter == HostId(0) => "of unknown".to_owned(),
        _ => format!("of {}", words::name(&view.name(job.submitter), NAME_MAX)),
    };
    let text = format!(" {time:>5} {from:<14} ");
    let left = width.saturating_sub(6 + text.chars().count());
    Line::from(vec![
        number,
        slots::taken(view, id, palette),
        span(text, Style::new()),
        span(words::path(&job.file.to_string(), left), palette.submitter(job.submitter)),
    ])
}

/// The jobs below the hosts: those that wait, and what has run longest.
fn waiting_and_running(rows: &mut Rows<'_>, scene: &Scene<'_>) {
    // A gap, the heading and a job.
    if rows.left() < 3 {
        return;
    }
    rows.gap();
    let all = order::jobs(scene.view(), order::JobSort::Longest);
    let (waiting, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|row| row.ended.is_none() && row.job.place == Place::Waiting);
    // Each has half of the room, and what the other leaves.
    let room = usize::from(rows.left()).saturating_sub(1);
    let of_waiting = waiting.len().min(room - others.len().min(room / 2));
    let shown = waiting.iter().take(of_waiting).chain(&others);
    jobs::table(rows, scene, &shown.copied().collect::<Vec<_>>(), None);
}
