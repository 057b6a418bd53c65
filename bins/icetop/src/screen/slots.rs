//! The slots of a host as marks, one for each; each has the colour of who asked for its job.

use ice_core::cluster_view::{ClusterView, HostView, Place};
use ice_core::ids::JobId;
use ratatui::text::Span;

use super::rows::span;
use crate::palette::{FREE, Palette};

/// More slots than any host has are not drawn.
const COUNT_MAX: usize = 4096;

/// How many slots of a host are drawn: more than it says, where it has more jobs.
pub fn count(host: &HostView) -> usize {
    own(host).max(host.seats.len())
}

/// How many slots a host says that it has. What is laid out by this does not jump.
pub fn own(host: &HostView) -> usize {
    usize::try_from(host.slots).unwrap_or(COUNT_MAX).min(COUNT_MAX)
}

/// The marks of a host in at most `width` columns. Where it has more slots, a mark stands for several, and is free only
/// if all of them are.
pub fn marks(view: &ClusterView, host: &HostView, width: usize, palette: Palette) -> Vec<Span<'static>> {
    let slots = count(host);
    let shown = slots.min(width);
    let mark = |at: usize| {
        let (from, to) = (at * slots / shown, (at + 1) * slots / shown);
        let job = host.seats.get(from..to.min(host.seats.len())).and_then(|seats| seats.iter().flatten().next());
        job.map_or_else(|| span(FREE, palette.faint()), |job| taken(view, *job, palette))
    };
    (0..shown).map(mark).collect()
}

/// The mark of a slot with this job.
pub fn taken(view: &ClusterView, id: JobId, palette: Palette) -> Span<'static> {
    match view.jobs().get(&id) {
        Some(job) => span(palette.mark(job.submitter, job.place == Place::Local), palette.submitter(job.submitter)),
        None => span(FREE, palette.faint()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::{begun, host, told};
    use ice_core::ids::HostId;

    #[test]
    fn a_mark_stands_for_several_slots_where_there_is_no_room() {
        let monitor = told(&[host(1, "a", 8, 0), begun(1, 1), begun(2, 1), begun(3, 1)]);
        let marks = |width| {
            let host = &monitor.view.hosts()[&HostId(1)];
            marks(&monitor.view, host, width, Palette::new(false))
                .iter()
                .map(|s| s.content.to_string())
                .collect::<String>()
        };
        assert_eq!(
            (marks(99), marks(8), marks(4), marks(0)),
            ("???·····".into(), "???·····".into(), "??··".into(), String::new())
        );
        let more = told(&[host(1, "a", 1, 0), begun(1, 1), begun(2, 1)]);
        assert_eq!(own(&more.view.hosts()[&HostId(1)]), 1);
        assert_eq!(super::marks(&more.view, &more.view.hosts()[&HostId(1)], 9, Palette::new(true)).len(), 2);
    }
}
