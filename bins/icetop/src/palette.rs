//! Colours, or what stands for them where there are none.

use ice_core::ids::HostId;
use ratatui::style::{Color, Modifier, Style};

/// Colours of submitters: those that every terminal has and that are legible on dark and light. Red means trouble.
const SUBMITTERS: [Color; 10] = [
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
];

/// Mark of a free slot.
pub const FREE: &str = "·";

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    has_colour: bool,
}

impl Palette {
    /// With or without colours.
    pub fn new(has_colour: bool) -> Self {
        Self { has_colour }
    }

    /// Whether there are.
    pub fn has_colour(self) -> bool {
        self.has_colour
    }

    fn coloured(self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new() }
    }

    /// Headings.
    pub fn heading(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What matters less.
    pub fn faint(self) -> Style {
        self.coloured(Color::DarkGray)
    }

    /// Trouble.
    pub fn trouble(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What is chosen.
    pub fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What runs.
    pub fn running(self) -> Style {
        self.coloured(Color::Green)
    }

    /// What waits.
    pub fn waiting(self) -> Style {
        self.coloured(Color::Yellow)
    }

    /// The colour of a submitter; none for jobs of nobody knows whom.
    pub fn submitter(self, host: HostId) -> Style {
        match host {
            HostId(0) => self.faint(),
            HostId(number) => self.coloured(pick(&SUBMITTERS, number)),
        }
    }

    /// The mark of a slot that is taken by a job of this submitter: a block, or a letter where there are no colours.
    pub fn mark(self, submitter: HostId, is_local: bool) -> String {
        match (self.has_colour, is_local, submitter) {
            (true, false, _) => "█".to_owned(),
            (true, true, _) => "▄".to_owned(),
            (false, _, HostId(0)) => "?".to_owned(),
            (false, true, HostId(number)) => char::from(pick(LETTERS, number)).to_ascii_lowercase().to_string(),
            (false, false, HostId(number)) => char::from(pick(LETTERS, number)).to_string(),
        }
    }
}

const LETTERS: &[u8; 26] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// One for each number from 1 on, by turns.
fn pick<T: Copy, const N: usize>(all: &[T; N], number: u32) -> T {
    all[(number as usize).wrapping_sub(1) % N]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submitters_differ_with_and_without_colours() {
        let (colour, plain) = (Palette::new(true), Palette::new(false));
        assert_ne!(colour.submitter(HostId(1)), colour.submitter(HostId(2)));
        assert_eq!(plain.submitter(HostId(1)), Style::new());
        assert_eq!(colour.mark(HostId(3), false), colour.mark(HostId(4), false));
        assert_eq!([1, 2, 27].map(|id| plain.mark(HostId(id), false)), ["A", "B", "A"]);
        assert_eq!((plain.mark(HostId(2), true), plain.mark(HostId(0), false)), ("b".into(), "?".into()));
        assert!([plain.faint(), plain.trouble(), plain.running()].iter().all(|style| style.fg.is_none()));
    }
}
