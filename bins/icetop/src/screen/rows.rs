//! Lines drawn from top to bottom; what does not fit is left out.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// A part of the screen that is filled line by line.
pub struct Rows<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    used: u16,
}

impl<'a> Rows<'a> {
    /// An empty part.
    pub fn new(buffer: &'a mut Buffer, area: Rect) -> Self {
        let area = area.intersection(buffer.area);
        Self { buffer, area, used: 0 }
    }

    /// Its width.
    pub fn width(&self) -> u16 {
        self.area.width
    }

    /// How many lines still fit.
    pub fn left(&self) -> u16 {
        self.area.height.saturating_sub(self.used)
    }

    /// The next line.
    pub fn line<'b>(&mut self, line: impl Into<Line<'b>>) {
        self.styled(line, Style::new());
    }

    /// The next line, all of it in a style.
    pub fn styled<'b>(&mut self, line: impl Into<Line<'b>>, style: Style) {
        if let Some(at) = self.take(1) {
            self.buffer.set_line(at.x, at.y, &line.into(), at.width);
            self.buffer.set_style(at, style);
        }
    }

    /// The next line, with something at its right end.
    pub fn both<'b>(&mut self, left: impl Into<Line<'b>>, right: impl Into<Line<'b>>) {
        let Some(at) = self.take(1) else { return };
        let right = right.into();
        let width = u16::try_from(right.width()).unwrap_or(u16::MAX).min(at.width);
        self.buffer.set_line(at.x, at.y, &left.into(), (at.width - width).saturating_sub(1));
        self.buffer.set_line(at.x + at.width - width, at.y, &right, width);
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.take(1);
    }

    /// The next lines as a part of their own; shorter, where fewer are left.
    pub fn part(&mut self, height: u16) -> Rows<'_> {
        let height = height.min(self.left());
        let area = Rect { y: self.area.y + self.used, height, ..self.area };
        self.used += height;
        Rows { buffer: &mut *self.buffer, area, used: 0 }
    }

    /// Some columns of it, from its first line on.
    pub fn columns(&mut self, from: u16, width: u16) -> Rows<'_> {
        let from = from.min(self.area.width);
        let area = Rect { x: self.area.x + from, width: width.min(self.area.width - from), ..self.area };
        Rows { buffer: &mut *self.buffer, area, used: 0 }
    }

    fn take(&mut self, height: u16) -> Option<Rect> {
        if self.left() < height {
            return None;
        }
        let at = Rect { y: self.area.y + self.used, height, ..self.area };
        self.used += height;
        Some(at)
    }
}

/// A piece of a line, owned.
pub fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 3));
        let mut rows = Rows::new(&mut buffer, Rect::new(0, 0, 8, 99));
        rows.both("a long line", "end");
        let mut part = rows.part(5);
        part.columns(5, 99).line("right too long");
        part.line("left");
        part.gap();
        part.line("nowhere");
        assert_eq!((part.left(), rows.left()), (0, 0));
        rows.line("nowhere");
        assert_eq!(buffer, Buffer::with_lines(["a lo end", "left rig", "        "]));
    }
}
