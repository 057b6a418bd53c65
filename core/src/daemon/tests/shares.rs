//! What one address may take of the cache: room that others use stays theirs.

use super::*;

const EVIL: &str = "10.0.0.66";
const VICTIM: &str = "10.0.0.2";

/// A victim's environment that it used so many seconds ago.
fn used_before(seconds: u64) -> Scenario {
    let mut s = Scenario::new(config(4));
    let peer = s.bring(VICTIM, "victims", arrived("victims", 400));
    s.hang_up(peer);
    assert_eq!(s.runs_in(VICTIM, "victims"), Some(env("victims")));
    s.pass(Duration::from_secs(seconds));
    s
}

/// Whether it was installed.
fn brings(s: &mut Scenario, name: &str, size: u64) -> bool {
    let peer = s.bring(EVIL, name, arrived(name, size));
    s.hang_up(peer);
    s.others.iter().any(|o| matches!(o, Output::Install(installs, _) if *installs == peer))
}

fn is_removed(s: &Scenario, name: &str) -> bool {
    s.others.contains(&Output::Remove(env(name)))
}

#[test]
fn what_others_use_stays_whatever_one_brings() {
    let mut s = used_before(600);
    for n in 0..50 {
        brings(&mut s, &format!("e{n}"), 100 + n * 17 % 800);
        s.pass(Duration::from_secs(60));
        assert_eq!(s.runs_in(VICTIM, "victims"), Some(env("victims")), "{n}");
    }
    assert!(!brings(&mut s, "huge", 1900), "it would push them out");
    assert!(!is_removed(&s, "victims"));
    assert!(s.notes.iter().any(|note| note.contains("no room: what is here is used by others")));
}

#[test]
fn many_tiny_ones_push_nothing_out() {
    let mut s = used_before(300);
    for n in 0..600 {
        brings(&mut s, &format!("e{n}"), 0);
    }
    s.pass(Duration::from_secs(300));
    assert!(!is_removed(&s, "victims") && is_removed(&s, "e0"));
}

#[test]
fn own_ones_make_room_first() {
    let mut s = used_before(300);
    for name in ["a", "b"] {
        assert!(brings(&mut s, name, 250));
        s.pass(Duration::from_secs(201));
    }
    assert!(brings(&mut s, "c", 200), "450 of an own share of 500");
    assert!(is_removed(&s, "a") && !is_removed(&s, "victims") && !is_removed(&s, "b"));
}

#[test]
fn within_the_share_what_is_idle_makes_room_and_beyond_it_only_what_nobody_used_for_long() {
    for (idle, size, is_gone) in [(300, 450, false), (300, 501, false), (3700, 700, true)] {
        let mut s = used_before(idle);
        let peer = s.bring("10.0.0.3", "others", arrived("others", 400));
        s.hang_up(peer);
        assert!(brings(&mut s, "new", size), "{idle} {size}: up to twice the limit");
        assert_eq!(is_removed(&s, "victims"), is_gone || size <= 500, "{idle} {size}");
    }
}

#[test]
fn what_goes_with_time_is_of_those_who_brought_most() {
    let mut s = used_before(10);
    s.bring(EVIL, "one", arrived("one", 300));
    s.pass(Duration::from_secs(10));
    let peer = s.bring(EVIL, "two", arrived("two", 600));
    s.hang_up(peer);
    s.pass(Duration::from_secs(250));
    assert!(!is_removed(&s, "victims"), "although it is the oldest");
    assert!(is_removed(&s, "two"), "the other one is held by its connection");
}
