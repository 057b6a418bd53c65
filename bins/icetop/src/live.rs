//! The live screen: keys, feed and time in, pictures out. The terminal is as it was after every end.

use std::io::{self, IsTerminal};
use std::time::Duration;

use ice_bins::exit::Failure;
use ice_bins::monitor::feed::Feed;
use ice_bins::monitor::recording::Recorder;
use ice_bins::monitor::{Clock, Event, Monitor};
use ice_bins::signals::{self, Signal};
use ice_core::time::Instant;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::app::{App, Key, Next};
use crate::palette::Palette;
use crate::screen::{self, Scene};

/// How long keys are waited for before the next picture.
const PICTURE: Duration = Duration::from_millis(200);
/// Events that are taken in between two looks at the keys.
const EVENTS_AT_ONCE: usize = 5000;
/// Exit status after SIGTERM, as a shell tells it.
const TERMINATED: u8 = 128 + 15;

/// Refuses what cannot show a screen.
///
/// # Errors
/// What is missing, and what to use instead.
pub fn check_terminal() -> Result<(), Failure> {
    let refused = |what: &str| Err(Failure::new(what).hint("icetop --once prints the state"));
    match std::env::var("TERM") {
        _ if !io::stdout().is_terminal() || !io::stdin().is_terminal() => refused("no terminal here"),
        Ok(term) if term == "dumb" => refused("the terminal is dumb"),
        Ok(term) if !term.is_empty() => Ok(()),
        _ => refused("TERM is not set"),
    }
}

/// The terminal, which is restored when this goes; a panic restores it too.
struct Screen(DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows a feed until the user has seen enough.
///
/// # Errors
/// If the terminal or the file of the recording fails.
pub fn run(feed: &Feed, clock: Clock, recorder: Option<Recorder>) -> Result<u8, Failure> {
    let signals = signals::start(&[Signal::Term]).map_err(|e| Failure::new(format!("cannot watch signals: {e}")))?;
    let mut screen = Screen(ratatui::try_init().map_err(terminal)?);
    let has_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut live = Live::new(clock, recorder, Palette::new(has_colour));
    loop {
        live.hear(feed)?;
        screen.0.draw(|frame| screen::draw(frame.buffer_mut(), &live.scene())).map_err(terminal)?;
        if signals.try_recv().is_ok() {
            return Ok(TERMINATED);
        }
        let size = screen.0.size().map_err(terminal)?;
        // All keys that are there already, then one picture.
        let mut wait = if live.behind.is_some() { Duration::ZERO } else { PICTURE };
        while event::poll(wait).map_err(terminal)? {
            wait = Duration::ZERO;
            let key = match event::read().map_err(terminal)? {
                event::Event::Key(key) => read(key),
                _ => None,
            };
            if key.is_some_and(|key| live.press(key, size.width, size.height) == Next::Quit) {
                return Ok(0);
            }
        }
    }
}

/// What is known and chosen.
struct Live {
    clock: Clock,
    recorder: Option<Recorder>,
    palette: Palette,
    app: App,
    monitor: Monitor,
    /// When a recording was over.
    over: Option<Instant>,
    /// The time of the last event, while more of them wait: a fast replay may be behind its clock.
    behind: Option<Instant>,
    /// What is shown while the picture stands still.
    held: Option<(Monitor, Instant)>,
}

impl Live {
    fn new(clock: Clock, recorder: Option<Recorder>, palette: Palette) -> Self {
        let (app, monitor) = (App::new(), Monitor::new());
        Self { clock, recorder, palette, app, monitor, over: None, behind: None, held: None }
    }

    /// Takes in what the feed has.
    fn hear(&mut self, feed: &Feed) -> Result<(), Failure> {
        let mut heard = 0;
        let mut last = None;
        for (at, event) in feed.try_iter().take(EVENTS_AT_ONCE) {
            heard += 1;
            last = Some(at);
            self.monitor.hear(at, &event);
            self.monitor.pass(at);
            if event == Event::Over {
                self.over = Some(at);
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.write(at, &event)?;
            }
        }
        self.behind = last.filter(|_| heard == EVENTS_AT_ONCE);
        if let Some(recorder) = &mut self.recorder {
            recorder.flush()?;
        }
        let now = self.now();
        self.monitor.pass(now);
        Ok(())
    }

    /// Time stands still at the end of a recording.
    fn now(&self) -> Instant {
        self.over.or(self.behind).unwrap_or_else(|| self.clock.now())
    }

    fn scene(&self) -> Scene<'_> {
        let (monitor, now) = match &self.held {
            Some((monitor, now)) => (monitor, *now),
            None => (&self.monitor, self.now()),
        };
        Scene { monitor, now, app: &self.app, palette: self.palette }
    }

    fn press(&mut self, key: Key, width: u16, height: u16) -> Next {
        let grid = screen::grid(&self.scene(), width, height);
        let monitor = self.held.as_ref().map_or(&self.monitor, |(monitor, _)| monitor);
        let next = self.app.press(key, monitor, grid);
        if self.app.is_held != self.held.is_some() {
            self.held = self.app.is_held.then(|| (self.monitor.clone(), self.now()));
        }
        next
    }
}

/// A key of the terminal; those without a meaning are none.
fn read(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c') if is_control => Key::Interrupt,
        KeyCode::Char(_) if is_control => return None,
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::F(1) => Key::Char('?'),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc | KeyCode::Backspace => Key::Back,
        _ => return None,
    })
}

fn terminal(error: io::Error) -> Failure {
    Failure::new(format!("the terminal failed: {error}")).hint("icetop --once needs none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::at;
    use ice_bins::monitor::Link;

    #[test]
    fn keys_of_the_terminal_are_read() {
        let key = |code, modifiers| read(KeyEvent::new(code, modifiers));
        for (code, wanted) in [
            (KeyCode::Char('s'), Some(Key::Char('s'))),
            (KeyCode::F(1), Some(Key::Char('?'))),
            (KeyCode::Esc, Some(Key::Back)),
            (KeyCode::Enter, Some(Key::Enter)),
            (KeyCode::F(2), None),
        ] {
            assert_eq!(key(code, KeyModifiers::NONE), wanted);
        }
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Interrupt));
        assert_eq!(key(KeyCode::Char('x'), KeyModifiers::CONTROL), None);
    }

    #[test]
    fn a_held_picture_and_the_end_of_a_recording_stand_still() {
        let (events, feed) = crossbeam::channel::bounded(4);
        let mut live = Live::new(Clock::start(1.0), None, Palette::new(false));
        assert_eq!(live.press(Key::Char(' '), 80, 24), Next::Go);
        let connected = Event::Connected { scheduler: "h".into(), protocol: 43 };
        events.send((at(0), connected)).unwrap();
        events.send((at(99), Event::Over)).unwrap();
        live.hear(&feed).unwrap();
        assert!(matches!(live.scene().monitor.link, Link::Looking(_)));
        live.press(Key::Char(' '), 80, 24);
        assert!(matches!(live.scene().monitor.link, Link::Over(_)));
        assert_eq!(live.scene().now, at(99));
    }
}
