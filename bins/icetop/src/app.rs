//! What the keys do: which page is shown, what is chosen on it, how lists are sorted.

use ice_bins::monitor::Monitor;
use ice_core::ids::{HostId, JobId};

use crate::order::{self, HostSort, JobSort};

/// A key, whatever the terminal calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// One line up.
    Up,
    /// One line down.
    Down,
    /// One column to the left.
    Left,
    /// One column to the right.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first.
    Home,
    /// To the last.
    End,
    /// Opens what is chosen.
    Enter,
    /// Back to the page before.
    Back,
    /// Ctrl-C.
    Interrupt,
    /// A letter.
    Char(char),
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// All hosts.
    Cluster,
    /// All jobs.
    Jobs,
    /// A host.
    Host(HostId),
    /// A job.
    Job(JobId),
    /// What all this means.
    Help,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Yes.
    Go,
    /// No.
    Quit,
}

/// How a list lies on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Entries below each other.
    pub rows: usize,
    /// Columns of them beside each other.
    pub columns: usize,
}

impl Grid {
    /// A list in one column.
    pub fn column(rows: u16) -> Self {
        Self { rows: usize::from(rows).max(1), columns: 1 }
    }

    /// How many entries fit.
    pub fn capacity(self) -> usize {
        self.rows * self.columns
    }

    /// The first entry that is shown where this one is: lists go page by page.
    pub fn first(self, at: usize) -> usize {
        at - at % self.capacity()
    }
}

/// What the user has chosen.
#[derive(Clone, Debug)]
pub struct App {
    /// The pages that lead here; the last one is shown.
    pages: Vec<Page>,
    /// The chosen host.
    pub host: Option<HostId>,
    /// The chosen job.
    pub job: Option<JobId>,
    /// How hosts are sorted.
    pub host_sort: HostSort,
    /// How jobs are sorted.
    pub job_sort: JobSort,
    /// Whether the picture stands still.
    pub is_held: bool,
}

impl App {
    /// As it begins.
    pub fn new() -> Self {
        Self {
            pages: vec![Page::Cluster],
            host: None,
            job: None,
            host_sort: HostSort::Name,
            job_sort: JobSort::Longest,
            is_held: false,
        }
    }

    /// One that shows this page.
    #[cfg(test)]
    pub fn on(page: Page) -> Self {
        Self { pages: vec![page], ..Self::new() }
    }

    /// What is shown.
    pub fn page(&self) -> Page {
        self.pages.last().copied().unwrap_or(Page::Cluster)
    }

    /// A key was pressed; `grid` is how the list of the page lies on the screen.
    pub fn press(&mut self, key: Key, monitor: &Monitor, grid: Grid) -> Next {
        match key {
            Key::Char('q') | Key::Interrupt => return Next::Quit,
            Key::Char('?' | 'h') if self.page() == Page::Help => self.back(),
            Key::Char('?' | 'h') => self.pages.push(Page::Help),
            Key::Char('j') if self.page() != Page::Jobs => self.pages.push(Page::Jobs),
            Key::Char('s') => self.sort(),
            Key::Char(' ') => self.is_held = !self.is_held,
            Key::Char(_) => {}
            Key::Back => self.back(),
            Key::Enter => self.open(monitor),
            _ => self.choose(key, monitor, grid),
        }
        Next::Go
    }

    fn back(&mut self) {
        if self.pages.len() > 1 {
            self.pages.pop();
        }
    }

    fn sort(&mut self) {
        match self.page() {
            Page::Cluster => self.host_sort = self.host_sort.next(),
            Page::Jobs => self.job_sort = self.job_sort.next(),
            Page::Host(_) | Page::Job(_) | Page::Help => {}
        }
    }

    fn open(&mut self, monitor: &Monitor) {
        let view = &monitor.view;
        let page = match self.page() {
            Page::Cluster => {
                let all = order::hosts(view, self.host_sort);
                all.get(position(&all, self.host)).copied().map(Page::Host)
            }
            Page::Jobs | Page::Host(_) => {
                let all = self.jobs(monitor);
                all.get(position(&all, self.job)).copied().map(Page::Job)
            }
            Page::Job(_) | Page::Help => None,
        };
        self.pages.extend(page);
    }

    /// The jobs of the page's list.
    fn jobs(&self, monitor: &Monitor) -> Vec<JobId> {
        let rows = match self.page() {
            Page::Jobs => order::jobs(&monitor.view, self.job_sort),
            Page::Host(host) => order::jobs_of(&monitor.view, host),
            Page::Cluster | Page::Job(_) | Page::Help => Vec::new(),
        };
        rows.iter().map(|row| row.id).collect()
    }

    fn choose(&mut self, key: Key, monitor: &Monitor, grid: Grid) {
        match self.page() {
            Page::Cluster => self.host = moved(&order::hosts(&monitor.view, self.host_sort), self.host, key, grid),
            Page::Jobs | Page::Host(_) => self.job = moved(&self.jobs(monitor), self.job, key, grid),
            Page::Job(_) | Page::Help => {}
        }
    }
}

/// Where an entry is in its list: in the first place, if it is not there.
pub fn position<T: PartialEq>(all: &[T], chosen: Option<T>) -> usize {
    chosen.and_then(|chosen| all.iter().position(|one| *one == chosen)).unwrap_or(0)
}

/// What is chosen after a key.
fn moved<T: Copy + PartialEq>(all: &[T], chosen: Option<T>, key: Key, grid: Grid) -> Option<T> {
    let last = all.len().checked_sub(1)?;
    let at = position(all, chosen);
    let step = if grid.columns > 1 { grid.rows } else { 0 };
    let to = match key {
        // The first press shows what is chosen.
        Key::Up | Key::Down if chosen.is_none() => at,
        Key::Up => at.saturating_sub(1),
        Key::Down => at + 1,
        Key::Left => at.saturating_sub(step),
        Key::Right => at + step,
        Key::PageUp => at.saturating_sub(grid.capacity()),
        Key::PageDown => at + grid.capacity(),
        Key::Home => 0,
        Key::End => last,
        Key::Enter | Key::Back | Key::Interrupt | Key::Char(_) => at,
    };
    all.get(to.min(last)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::monitor;

    const GRID: Grid = Grid { rows: 2, columns: 2 };

    fn pressed(keys: &[Key]) -> App {
        let monitor = monitor();
        let mut app = App::new();
        for key in keys {
            assert_eq!(app.press(*key, &monitor, GRID), Next::Go);
        }
        app
    }

    #[test]
    fn q_and_ctrl_c_end_it_on_every_page() {
        for page in ["", "j", "?"] {
            for key in [Key::Char('q'), Key::Interrupt] {
                let mut app = pressed(&page.chars().map(Key::Char).collect::<Vec<_>>());
                assert_eq!(app.press(key, &monitor(), GRID), Next::Quit);
            }
        }
    }

    #[test]
    fn pages_open_and_lead_back() {
        for (keys, wanted) in [
            (&[Key::Enter][..], Page::Host(HostId(2))),
            (&[Key::Down, Key::Down, Key::Enter], Page::Host(HostId(1))),
            (&[Key::Enter, Key::Enter], Page::Job(JobId(7))),
            (&[Key::Enter, Key::Enter, Key::Back], Page::Host(HostId(2))),
            (&[Key::Char('j'), Key::Enter], Page::Job(JobId(7))),
            (&[Key::Char('j'), Key::Char('?'), Key::Char('?')], Page::Jobs),
            (&[Key::Char('?'), Key::Back, Key::Back], Page::Cluster),
        ] {
            assert_eq!(pressed(keys).page(), wanted, "{keys:?}");
        }
    }

    #[test]
    fn what_is_chosen_moves_and_stays_in_the_list() {
        let hosts = [2, 1, 3].map(HostId);
        for (keys, wanted) in [
            (&[Key::Down][..], 0),
            (&[Key::Down, Key::Down], 1),
            (&[Key::End, Key::Down], 2),
            (&[Key::End, Key::Up], 1),
            (&[Key::Right, Key::Left], 0),
            (&[Key::Right], 2),
            (&[Key::PageDown], 2),
            (&[Key::End, Key::PageUp], 0),
            (&[Key::End, Key::Home, Key::Up], 0),
        ] {
            assert_eq!(pressed(keys).host, Some(hosts[wanted]), "{keys:?}");
        }
        assert_eq!(moved::<u8>(&[], None, Key::Down, GRID), None);
        assert_eq!((GRID.first(3), GRID.first(4), Grid::column(0).first(5)), (0, 4, 5));
    }

    #[test]
    fn lists_are_sorted_and_the_picture_is_held_by_a_key() {
        let app = pressed(&[Key::Char('s'), Key::Char('j'), Key::Char('s'), Key::Char(' '), Key::Char('x')]);
        assert_eq!((app.host_sort, app.job_sort, app.is_held), (HostSort::Busy, JobSort::Newest, true));
        assert!(!pressed(&[Key::Char(' '), Key::Char(' ')]).is_held);
    }
}
