//! Whole screens.

use super::*;
use crate::app::Key;
use crate::order::tests::{asked, at, begun, done, host, monitor, told};
use ice_core::ids::{HostId, JobId};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Rect;

/// The screen after these keys, line by line.
fn screen(monitor: &Monitor, width: u16, height: u16, keys: &[Key]) -> Vec<String> {
    let mut app = App::new();
    for key in keys {
        let grid = grid(&scene(monitor, &app), width, height);
        app.press(*key, monitor, grid);
    }
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), &scene(monitor, &app))).unwrap();
    let text = terminal.backend().to_string();
    text.lines().map(|line| line.trim_matches('"').trim_end().to_owned()).collect()
}

fn scene<'a>(monitor: &'a Monitor, app: &'a App) -> Scene<'a> {
    Scene { monitor, now: at(20), app, palette: Palette::new(false) }
}

/// So many hosts with so many slots, all busy but the last of each.
fn many(hosts: u32, slots: u32) -> Monitor {
    let mut messages: Vec<_> = (1..=hosts).map(|id| host(id, &format!("node{id}"), slots, id % 1001)).collect();
    for id in 1..=hosts {
        for slot in 1..slots {
            let job = id * 100 + slot;
            messages.extend([asked(job, 1 + job % hosts, &format!("src/dir/unit{job}.cc")), begun(job, id)]);
        }
    }
    messages.push(asked(99_999, 1, "src/waits.cc"));
    let mut monitor = told(&messages);
    (0..20).for_each(|second| monitor.view.pass(at(second)));
    monitor
}

#[test]
fn few_hosts_have_a_line_for_each_slot() {
    let lines = screen(&monitor(), 80, 24, &[]);
    for wanted in [
        "icetop  scheduler 10.0.0.1:8765",
        "3 hosts  6 slots  1 run  1 wait  1 local  0.0 jobs/s  1 done  1 failed",
        "jobs of  A n10 1  B n2 1",
        "host    busy    load slots",
        "n2      2/4    10%  Ab··",
        "   1 A   15s of n10         src/a.cc",
        "   2 b   14s local          prog",
        "   3 ·",
        "n10     0/0   100%",
        "      10  waiting     13s  zoo   -     src/b.cc",
        "       6  failed 1   1.0s  n10   zoo   src/bad.cc",
        "? help  q quit  j jobs  ↑↓ choose  Enter host  s sort: name  space hold",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted:?} is not in:\n{}", lines.join("\n"));
    }
}

#[test]
fn many_hosts_have_a_mark_for_each_slot() {
    for (width, height, columns) in [(80, 24, 1), (120, 40, 2), (200, 60, 3)] {
        let monitor = many(200, 32);
        let lines = screen(&monitor, width, height, &[]);
        let text = lines.join("\n");
        let row = lines.iter().find(|line| line.starts_with("node1 ")).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(row.matches("31/32").count(), columns, "{text}");
        assert!(row.contains('B') && row.contains('·'), "{text}");
        assert!(lines.iter().any(|line| line.ends_with(" of 200")) && text.contains("src/waits.cc"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= usize::from(width)));
        // The last host is on the last page.
        let last = screen(&monitor, width, height, &[Key::End]).join("\n");
        assert!(last.contains("node200 "), "{last}");
    }
}

#[test]
fn a_host_and_a_job_have_pages() {
    let monitor = monitor();
    let lines = screen(&monitor, 80, 24, &[Key::Enter]);
    assert!(lines.contains(&"host n2  10.0.0.2  x86_64  protocol 43".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"       7  running     15s  n10   n2    src/a.cc".to_owned()), "{lines:#?}");
    let lines = screen(&monitor, 80, 24, &[Key::Char('j'), Key::End, Key::Enter]);
    for wanted in ["job 6  failed 1", "asked for by  n10", "on            zoo, slot 1", "exit status   1"] {
        assert!(lines.contains(&wanted.to_owned()), "{wanted}: {lines:#?}");
    }
}

#[test]
fn what_has_gone_is_said() {
    let monitor = monitor();
    for (page, wanted) in [(Page::Host(HostId(9)), "host 9 has left"), (Page::Job(JobId(99)), "job 99 ended long ago")]
    {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 24));
        let app = App::on(page);
        draw(&mut buffer, &Scene { monitor: &monitor, now: at(20), app: &app, palette: Palette::new(true) });
        let text: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn help_explains_all_words_and_fits() {
    let lines = screen(&monitor(), 80, 24, &[Key::Char('?')]);
    for word in ["run ", "wait ", "local ", "jobs/s ", "done, failed ", "q, Ctrl-C "] {
        assert!(lines.iter().any(|line| line.starts_with(word)), "{word}: {lines:#?}");
    }
    assert!(lines.iter().all(|line| line.chars().count() < 80), "{lines:#?}");
}

#[test]
fn any_size_and_anything_a_scheduler_says_can_be_drawn() {
    let odd = told(&[
        host(1, "\u{1b}[31mred\u{7}", u32::MAX, u32::MAX),
        host(2, &"wide名".repeat(40), 1, 0),
        asked(1, 9, &"\u{202e}long/".repeat(100)),
        begun(1, 2),
        begun(2, 7),
        done(3, -1),
    ]);
    let empty = Monitor::new();
    for monitor in [&odd, &empty, &many(3, 4)] {
        for (width, height) in [(1, 1), (39, 9), (40, 10), (41, 11), (80, 24), (300, 100)] {
            for keys in [&[][..], &[Key::Char('j')], &[Key::Enter], &[Key::Char('j'), Key::Enter], &[Key::Char('?')]] {
                let lines = screen(monitor, width, height, keys);
                assert!(!lines.iter().any(|line| line.contains('\u{1b}')));
            }
        }
    }
}
