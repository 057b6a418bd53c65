//! The page of a host.

use ice_core::cluster_view::HostView;
use ice_core::ids::HostId;
use ratatui::text::Line;

use super::rows::{Rows, span};
use super::{Scene, cluster, jobs, slots};
use crate::{order, words};

/// Lines above the slots.
const ABOVE: u16 = 6;
/// At most so much of the page is for slots: a part of two.
const SLOTS_PART: u16 = 2;

/// Lines of the slots on a page of this height.
fn slots_height(host: &HostView, page: u16) -> u16 {
    u16::try_from(slots::count(host)).unwrap_or(u16::MAX).min(page.saturating_sub(ABOVE) / SLOTS_PART)
}

/// Lines of the list of jobs.
pub fn list_height(scene: &Scene<'_>, id: HostId, page: u16) -> u16 {
    let slots = scene.view().hosts().get(&id).map_or(0, |host| slots_height(host, page));
    page.saturating_sub(ABOVE + slots + 2)
}

/// Draws the page.
pub fn draw(rows: &mut Rows<'_>, scene: &Scene<'_>, id: HostId) {
    let palette = scene.palette;
    let Some(host) = scene.view().hosts().get(&id) else {
        rows.gap();
        rows.styled(format!("{} has left the cluster", scene.view().name(id)), palette.trouble());
        return;
    };
    let page = rows.left();
    rows.gap();
    let known = |number: Option<String>| number.unwrap_or_else(|| "not told".to_owned());
    let protocol = known(host.version.map(|version| version.to_string()));
    let about = format!("  {}  {}  protocol {protocol}", host.address, host.platform);
    rows.line(Line::from(vec![span(format!("host {}", host.name), palette.heading()), span(about, palette.faint())]));
    let takes = match (host.no_remote, host.load) {
        (true, _) => "no jobs of others (--no-remote)",
        (false, Some(1000..)) => "none now: its load is 100%",
        (false, _) if host.slots == 0 => "none: it has no slots",
        (false, _) => "yes",
    };
    let memory = known(host.free_mem.map(|mib| format!("{mib} MiB")));
    let speed = known(host.speed.map(|speed| format!("{speed:.1}")));
    rows.line(format!("takes jobs: {takes}   load {}   free memory {memory}   speed {speed}", words::load(host.load)));
    rows.line(format!(
        "since icetop began: asked for {}, did {} ({} failed), kept {} for itself",
        host.submitted, host.done, host.failed, host.local
    ));
    let mut line = vec![span(format!("slots {}/{} ", host.busy(), host.slots), palette.heading())];
    line.extend(slots::marks(scene.view(), host, usize::from(rows.width()).saturating_sub(16), palette));
    rows.gap();
    rows.line(line);
    for slot in 0..usize::from(slots_height(host, page)) {
        let job = host.seats.get(slot).copied().flatten();
        rows.line(cluster::slot_line(scene, slot, job, usize::from(rows.width())));
    }
    rows.gap();
    jobs::list(rows, scene, &order::jobs_of(scene.view(), id));
}
