//! The last minutes as lines of bars, the newest at the right.

use ice_core::cluster_view::{History, Sample};
use ice_core::time::{Duration, Instant};
use ratatui::style::Style;
use ratatui::text::Line;

use super::Scene;
use super::rows::{Rows, span};

/// Columns of a bar's name and number.
const LABEL: usize = 20;
/// Bars of one cell, in eighths of its height.
const BARS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Lines that it takes on a page of this height.
pub fn height(page: u16) -> u16 {
    2 * bar_height(page)
}

fn bar_height(page: u16) -> u16 {
    match page {
        0..30 => 1,
        30..50 => 2,
        _ => 3,
    }
}

/// Draws both lines on a page of this height.
pub fn draw(rows: &mut Rows<'_>, scene: &Scene<'_>, page: u16) {
    let (view, palette) = (scene.view(), scene.palette);
    let now = view.sample();
    let width = usize::from(rows.width()).saturating_sub(LABEL);
    let height = bar_height(page);
    let running = columns(view.history(), scene.now, width, |sample| sample.running + sample.local);
    let waiting = columns(view.history(), scene.now, width, |sample| sample.waiting);
    let most = |numbers: &[Option<usize>]| numbers.iter().flatten().copied().max().unwrap_or(0).max(1);
    let all = now.slots.max(most(&running));
    let label = |word: &str, number: usize, most: usize| [word.to_owned(), format!("{number} of {most}")];
    let run = label("run+local", now.running + now.local, all);
    bars(&mut rows.part(height), &run, &running, all, palette.running());
    let wait = ["wait".to_owned(), format!("{}, most {}", now.waiting, most(&waiting).max(now.waiting))];
    bars(&mut rows.part(height), &wait, &waiting, most(&waiting), palette.waiting());
}

/// One number for each column: the most that was so in its time. The width shows the last ten minutes, or as many
/// seconds as there are columns, if there are more.
fn columns(history: &History, now: Instant, width: usize, number: fn(&Sample) -> usize) -> Vec<Option<usize>> {
    let seconds = ice_core::cluster_view::HISTORY.as_secs().div_ceil(width.max(1) as u64).max(1);
    let step = Duration::from_secs(seconds).as_micros() as u64;
    // Columns begin at fixed times, so that a bar does not change while it moves.
    let last = now.as_micros() / step;
    let mut columns = vec![None; width];
    for (at, sample) in history.samples() {
        let back = last.saturating_sub(at.as_micros() / step);
        let column = usize::try_from(back).ok().and_then(|back| width.checked_sub(back + 1));
        if let Some(column) = column.and_then(|column| columns.get_mut(column)) {
            *column = (*column).max(Some(number(sample)));
        }
    }
    columns
}

/// One line of bars, several lines of the screen high.
fn bars(rows: &mut Rows<'_>, label: &[String; 2], numbers: &[Option<usize>], most: usize, style: Style) {
    let height = usize::from(rows.left());
    for line in 0..height {
        // With one line only, name and number share it.
        let text = match (height, line) {
            (1, _) => short(label),
            (_, 0) => label[0].clone(),
            (_, 1) => label[1].clone(),
            _ => String::new(),
        };
        let below = (height - 1 - line) * 8;
        let bar = |number: &Option<usize>| match number {
            None => BARS[0],
            Some(number) => BARS[eighths(*number, most, height * 8).saturating_sub(below).min(8)],
        };
        let bars: String = numbers.iter().map(bar).collect();
        rows.line(Line::from(vec![span(format!("{text:<LABEL$}"), Style::new()), span(bars, style)]));
    }
}

fn short(label: &[String; 2]) -> String {
    let word = label[0].split('+').next().unwrap_or_default();
    let text = format!("{word} {}", label[1]);
    if text.len() < LABEL { text } else { label[1].clone() }
}

/// What is not nothing is seen.
fn eighths(number: usize, most: usize, all: usize) -> usize {
    if number == 0 { 0 } else { (number * all / most.max(1)).clamp(1, all) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::{asked, at, told};

    #[test]
    fn the_newest_is_at_the_right_and_columns_hold_the_most_of_their_time() {
        let mut monitor = told(&[]);
        for second in 0..20 {
            if second == 10 {
                (1..4).for_each(|job| monitor.view.hear(at(second), &asked(job, 1, "a")));
            }
            monitor.view.pass(at(second));
        }
        let waiting = |width| columns(monitor.view.history(), at(19), width, |sample| sample.waiting);
        assert_eq!(waiting(3), [None, None, Some(3)]);
        let wide = waiting(700);
        assert_eq!(
            (wide.len(), wide[699], wide[690], wide[689], wide[680], wide[679]),
            (700, Some(3), Some(3), Some(0), Some(0), None)
        );
        assert!(waiting(0).is_empty());
    }

    #[test]
    fn a_little_is_seen() {
        assert_eq!([0, 1, 50, 100, 200].map(|number| eighths(number, 100, 16)), [0, 1, 8, 16, 16]);
    }
}
