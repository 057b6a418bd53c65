//! From what is known and chosen to the cells of the screen: no other input, no other effect.

mod cluster;
mod help;
mod history;
mod host;
mod job;
mod jobs;
mod rows;
mod slots;

use ice_bins::monitor::{Link, Monitor};
use ice_core::cluster_view::ClusterView;
use ice_core::time::{Duration, Instant};
use ratatui::buffer::Buffer;
use ratatui::text::Line;

use crate::app::{App, Grid, Page};
use crate::palette::Palette;
use rows::{Rows, span};

/// The smallest screen that shows anything, in columns and lines.
const LEAST: (u16, u16) = (40, 10);
/// Lines above and below a page.
const FRAME: u16 = 3;
/// Time over which the rate of jobs is taken.
const RATE_OVER: Duration = Duration::from_secs(60);

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// What is known.
    pub monitor: &'a Monitor,
    /// When.
    pub now: Instant,
    /// What is chosen.
    pub app: &'a App,
    /// Its colours.
    pub palette: Palette,
}

impl Scene<'_> {
    fn view(&self) -> &ClusterView {
        &self.monitor.view
    }
}

/// Draws a scene.
pub fn draw(buffer: &mut Buffer, scene: &Scene<'_>) {
    let area = buffer.area;
    let mut rows = Rows::new(buffer, area);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        rows.line(format!("{}x{} wanted", LEAST.0, LEAST.1));
        return;
    }
    head(&mut rows, scene);
    let mut page = rows.part(area.height - FRAME);
    match scene.app.page() {
        Page::Cluster => cluster::draw(&mut page, scene),
        Page::Jobs => jobs::draw(&mut page, scene),
        Page::Host(host) => host::draw(&mut page, scene, host),
        Page::Job(job) => job::draw(&mut page, scene, job),
        Page::Help => help::draw(&mut page, scene),
    }
    rows.styled(keys(scene), scene.palette.faint());
}

/// How the list of the page lies on a screen of this size, for the keys that move in it.
pub fn grid(scene: &Scene<'_>, width: u16, height: u16) -> Grid {
    let height = height.saturating_sub(FRAME);
    match scene.app.page() {
        Page::Cluster => cluster::grid(scene.view(), width, height),
        Page::Host(host) => Grid::column(host::list_height(scene, host, height)),
        Page::Jobs | Page::Job(_) | Page::Help => Grid::column(jobs::list_height(height)),
    }
}

/// The scheduler, and what is so in all.
fn head(rows: &mut Rows<'_>, scene: &Scene<'_>) {
    let palette = scene.palette;
    let (link, style) = match &scene.monitor.link {
        Link::Connected { scheduler, .. } => (format!("scheduler {scheduler}"), palette.heading()),
        Link::Looking(target) => (format!("looking for {target} …"), palette.waiting()),
        Link::Lost(why) => (format!("no scheduler: {why}"), palette.trouble()),
        Link::Over(scheduler) => (format!("scheduler {scheduler}: end of the recording"), palette.heading()),
    };
    let held = if scene.app.is_held { span("HELD ", palette.chosen()) } else { span("", palette.faint()) };
    rows.both(Line::from(vec![span("icetop  ", palette.faint()), span(link, style)]), Line::from(vec![held]));
    rows.line(totals(scene));
}

fn totals(scene: &Scene<'_>) -> Line<'static> {
    let (palette, view) = (scene.palette, scene.view());
    let (now, totals) = (view.sample(), view.totals());
    let rate = view.history().rate(scene.now, RATE_OVER);
    let plain = palette.heading();
    let failed = if totals.failed > 0 { palette.trouble() } else { plain };
    let counts = [
        (view.hosts().len().to_string(), "hosts", plain),
        (now.slots.to_string(), "slots", plain),
        (now.running.to_string(), "run", palette.running()),
        (now.waiting.to_string(), "wait", palette.waiting()),
        (now.local.to_string(), "local", plain),
        (format!("{rate:.1}"), "jobs/s", plain),
        (totals.done.to_string(), "done", plain),
        (totals.failed.to_string(), "failed", failed),
    ];
    let pieces = counts
        .into_iter()
        .flat_map(|(number, word, style)| [span(number, style), span(format!(" {word}  "), palette.faint())]);
    Line::from_iter(pieces)
}

fn keys(scene: &Scene<'_>) -> String {
    let app = scene.app;
    match app.page() {
        Page::Cluster => {
            let sort = app.host_sort.word();
            format!("? help  q quit  j jobs  ↑↓ choose  Enter host  s sort: {sort}  space hold")
        }
        Page::Jobs => {
            let sort = app.job_sort.word();
            format!("? help  q quit  Esc back  ↑↓ choose  Enter job  s sort: {sort}  space hold")
        }
        Page::Host(_) => "? help  q quit  Esc back  ↑↓ choose  Enter job  j jobs  space hold".to_owned(),
        Page::Job(_) => "? help  q quit  Esc back  j jobs  space hold".to_owned(),
        Page::Help => "q quit  Esc back".to_owned(),
    }
}

#[cfg(test)]
mod tests;
