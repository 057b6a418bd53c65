//! Monitors, local jobs and the text port.

use super::*;

#[test]
fn s55_a_monitor_learns_hosts_and_running_jobs_at_login() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 4, &["e"]);
    let (job, _) = s.ask(a, request("e", "f", 1)).unwrap();
    s.begin(h, job);
    s.sent.clear();
    let peer = s.peer("10.9.9.9", 43);
    s.say(peer, Message::MonLogin);
    let sent = s.sent_to(peer);
    assert!(
        matches!(sent.as_slice(), [Message::MonStats(_), Message::MonStats(_), Message::MonJobBegin(_)]),
        "{sent:?}"
    );
    let Message::MonStats(stats) = &sent[1] else { panic!() };
    assert_eq!(
        stats.text.lossy(),
        "Name:h\nIP:10.0.0.2\nMaxJobs:4\nNoRemote:false\nPlatform:x86_64\nVersion:43\nFeatures:env_xz env_zstd\nSpeed:0.000000\nLoad:0\n"
    );
}

#[test]
fn s58_local_jobs_take_a_slot_and_always_end() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 1, &["e"]);
    let monitor = s.monitor();
    s.say(
        h.peer,
        Message::JobLocalBegin(JobLocalBegin { start_time: 5, output_file: "/a/b/c/d".into(), id: 11, full: 0 }),
    );
    assert!(
        matches!(s.sent_to(monitor).as_slice(), [Message::MonLocalJobBegin(m)] if m.file == "b/c/d" && m.job == JobId(1))
    );
    assert_eq!(s.ask(a, request("e", "f", 1)), None, "the only slot is taken");
    s.say(h.peer, Message::JobLocalDone { id: 11 });
    assert_eq!(s.answers(a).len(), 1);
    s.say(h.peer, Message::JobLocalDone { id: 12 });
    s.say(h.peer, Message::JobLocalBegin(JobLocalBegin { id: 13, ..JobLocalBegin::default() }));
    s.sent_to(monitor);
    s.input(Input::Closed { peer: h.peer });
    assert_eq!(s.sent_to(monitor).last(), Some(&Message::JobLocalDone { id: 3 }));
}

#[test]
fn s59_the_text_port_speaks_as_1_4() {
    let mut s = Scenario::new();
    let h = s.host("alpha", 2, &[]);
    s.load(h, 918);
    assert_eq!(s.text(&["LISTCS"]), " alpha (10.0.0.1:10245) [x86_64] speed=0.00 jobs=0/2 load=918\n200 done\n");
    assert_eq!(s.text(&["listjobs"]), "200 done\n");
    assert_eq!(s.text(&["  nonsense  x"]), "Invalid command '  nonsense  x'\n200 done\n");
    assert_eq!(s.text(&[""]), "Invalid command ''\n200 done\n");
    assert_eq!(s.text(&["removecs"]), "401 Sure. But which hosts?\n200 done\n");
    assert_eq!(s.text(&["unblockcs"]), "401 Sure. But which host?\n200 done\n");
    assert_eq!(s.text(&["quit"]), "200 Good Bye!\n");
    let help = s.text(&["help"]);
    let words: Vec<&str> = help.lines().filter_map(|line| line.split(' ').next()).collect();
    let all = "listcs listblocks listjobs removecs blockcs unblockcs internals stats next help quit exit 200";
    assert_eq!(words.join(" "), all);
    assert!(
        help.contains("\nremovecs HOST... [--json]           ends their connections; they may come again\n"),
        "{help}"
    );
}

#[test]
fn s59_job_lines_name_submitter_and_server() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 1, &["e"]);
    for client in 1..=3 {
        s.ask(a, request("e", "x/f.c", client));
    }
    s.begin(h, 1);
    assert_eq!(
        s.text(&["listjobs"]),
        " 1 COMP sub:a on:h x/f.c\n 2 WAIT sub:a on:h x/f.c\n 3 PEND sub:a on:<unknown> x/f.c\n200 done\n"
    );
    assert!(s.text(&["listcs"]).contains("jobs=2/1 load=0\n   1 COMP sub:a on:h x/f.c\n   2 WAIT sub:a on:h x/f.c\n"));
}

#[test]
fn s60_blocked_hosts_stay_out_until_unblocked_as_often() {
    let mut s = Scenario::new();
    let h = s.host("h", 1, &[]);
    assert_eq!(s.text(&["blockcs h h"]), "removing host h\n200 done\n");
    assert_eq!(s.closed, [(h.peer, CloseReason::Removed)]);
    assert_eq!(s.text(&["listblocks"]), "   h\n   h\n200 done\n");
    assert_eq!(s.text(&["unblockcs h"]), "unblocked host h\n200 done\n");
    s.host("h", 1, &[]);
    assert_eq!(s.scheduler.ledger.cluster().len(), 0);
    s.text(&["unblockcs h"]);
    s.host("h", 1, &[]);
    assert_eq!(s.scheduler.ledger.cluster().len(), 1);
    assert_eq!(s.text(&["unblockcs h"]), "401 Host h is not blocked.\n200 done\n");
    assert_eq!(s.text(&["removecs x"]), "401 No host x.\n200 done\n");
    assert_eq!(s.text(&["blockcs x"]), "blocked host x, which is not here\n200 done\n");
}

#[test]
fn who_would_get_a_job_now_is_told_in_that_order() {
    let mut s = Scenario::new();
    s.host("submitter", 0, &[]);
    let loaded = s.host("loaded", 2, &[]);
    let busy = s.host("busy", 2, &["e"]);
    s.host("idle", 2, &[]);
    let full = s.host("full", 2, &[]);
    s.load(loaded, 900);
    s.load(full, 1000);
    let preferred = GetCs { preferred_host: "busy".into(), ..request("e", "f", 1) };
    s.ask(busy, preferred).unwrap();
    let hosts = |text: &str| {
        let names = text.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned));
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(hosts(&s.text(&["next"])), "idle busy loaded 200");
    s.text(&["next --json"]);
    let rows: Vec<String> = s.rows.drain(..).map(|row| fields(&row)).collect();
    assert!(
        rows[0].starts_with("host=idle address=") && rows[0].ends_with("platform=x86_64 jobs=0 slots=2"),
        "{rows:?}"
    );
    for number in 0..20 {
        s.host(&format!("more{number}"), 2, &[]);
    }
    assert_eq!(s.text(&["next"]).lines().count(), 8 + 1, "eight at most");
}

#[test]
fn every_command_answers_programs_too() {
    let mut s = Scenario::new();
    s.host("h", 1, &[]);
    for (line, wanted) in [
        ("blockcs x --json", "host=x done=blocked"),
        ("listblocks --json", "host=x"),
        ("unblockcs x --json", "host=x done=unblocked"),
        ("unblockcs --json x", "error=401 Host x is not blocked."),
        ("removecs x --json", "host=x error=no such host"),
        ("internals x --json", "host=x error=no such host"),
        ("removecs --json", "error=401 Sure. But which hosts?"),
        ("nonsense --json", "error=Invalid command 'nonsense --json'"),
        ("stats --json", "name=uptime_s value=0"),
        ("help --json", "command=listcs arguments=[--json [environments]] what=the hosts, with their jobs"),
        ("removecs h --json", "host=h done=removed"),
    ] {
        assert_eq!(s.text(&[line]), "200 done\n", "{line}");
        assert_eq!(fields(&s.rows.drain(..).next().expect("a row")), wanted, "{line}");
    }
}

#[test]
fn internals_answer_programs_too() {
    let mut s = Scenario::new();
    let (one, _) = (s.host("one", 1, &[]), s.host("two", 1, &[]));
    s.text(&["internals --json"]);
    s.say(one.peer, Message::StatusText { text: "Node Name: one\n".into() });
    s.wait(2);
    let rows: Vec<String> = s.rows.drain(..).map(|row| fields(&row)).collect();
    assert_eq!(rows, ["host=one text=Node Name: one ", "host=two text=?"]);
}

fn fields(row: &Row) -> String {
    let Row::Fields(fields) = row else { panic!("{row:?}") };
    let shown = |field: &Field| match field {
        Field::Text(text) => text.to_string(),
        Field::Number(number) => number.to_string(),
        Field::Unknown => "?".into(),
    };
    fields.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(" ")
}

#[test]
fn s62_a_silent_text_peer_is_said_good_bye() {
    let mut s = Scenario::new();
    s.text(&["help"]);
    s.wait(37);
    assert_eq!(s.texts.pop().unwrap().1, "200 Good Bye!\n");
    assert_eq!(s.closed.pop().unwrap().1, CloseReason::GoodBye);
    assert_eq!(s.scheduler.poll_timeout(), None);
}

#[test]
fn s63_internals_asks_all_and_answers_in_time() {
    let mut s = Scenario::new();
    let one = s.host("one", 1, &[]);
    let two = s.host("two", 1, &[]);
    assert_eq!(s.text(&["internals", "help"]), "");
    assert_eq!(s.sent_to(one.peer).last(), Some(&Message::GetInternals));
    s.say(one.peer, Message::StatusText { text: "Node Name: one\n".into() });
    s.load(two, 5);
    s.wait(2);
    let text: String = s.texts.drain(..).map(|(_, t)| t).collect();
    assert!(text.starts_with("Node Name: one\ntwo not reporting\n200 done\nlistcs "), "{text}");
    s.say(two.peer, Message::StatusText { text: "late".into() });
    assert!(s.closed.is_empty());
}

#[test]
fn only_who_may_change_something_does() {
    let mut s = Scenario::new();
    s.host("h", 1, &[]);
    s.next_peer += 1;
    let peer = PeerId(s.next_peer);
    s.input(Input::TextOpened { peer, address: "10.0.0.7".into(), may_change: false });
    for (line, answer) in [
        ("removecs h", Some("401 Only for the scheduler's own host")),
        ("blockcs h", Some("401 Only for the scheduler's own host")),
        ("unblockcs h", Some("401 Only for the scheduler's own host")),
        ("removecs", Some("401 Sure. But which hosts?")),
        ("listblocks", None),
        ("stats", None),
    ] {
        s.texts.clear();
        s.input(Input::Line { peer, text: line.into() });
        let text: String = s.texts.iter().map(|(_, text)| text.as_str()).collect();
        assert!(text.ends_with("200 done\n") && answer.is_none_or(|answer| text.starts_with(answer)), "{line}: {text}");
    }
    assert!(s.noted("command of 10.0.0.7 refused, no network of --text-admin has that address: removecs h"));
    assert_eq!(s.closed, []);
    s.text(&["blockcs h"]);
    assert!(s.noted("command of 127.0.0.1: blockcs h"));
}

/// What one turn of the loop makes is counted, whatever is asked.
#[test]
fn long_lists_come_in_pieces_and_an_address_gets_so_much_a_second() {
    let mut s = Scenario::new();
    let names: Vec<String> = (0..10).map(|n| format!("{n}{}", "e".repeat(200))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for n in 0..1000 {
        s.host(&format!("h{n}"), 1, if n % 2 == 0 { &names } else { &[] });
    }
    let peers: Vec<PeerId> = (0..4).map(|_| s.console(&[])).collect();
    for peer in &peers {
        for command in ["listcs --json environments", "listcs", "listjobs --json", "listcs --json"] {
            for _ in 0..8 {
                s.scheduler.handle(s.now, Input::Line { peer: *peer, text: command.into() });
            }
        }
    }
    let begun = s.now;
    let (mut rows_max, mut lines_max, mut bytes, mut done) = (0, 0, 0, 0);
    while s.now.since(begun) < Duration::from_secs(10) {
        let (mut rows_now, mut lines_now) = (0, 0);
        while let Some(output) = s.scheduler.poll_output() {
            match output {
                Output::SendRows { rows, .. } => {
                    rows_now += rows.len();
                    let names = |row: &Row| match row {
                        Row::Host(host) => host.environments.iter().map(|env| env.name.len()).sum(),
                        Row::Job(_) | Row::Fields(_) => 0,
                    };
                    bytes += rows.iter().map(|row| 300 + names(row)).sum::<usize>();
                }
                Output::SendText { text, .. } => {
                    lines_now += text.lines().count();
                    bytes += text.len();
                    done += usize::from(text == "200 done\n");
                }
                _ => {}
            }
        }
        rows_max = rows_max.max(rows_now);
        lines_max = lines_max.max(lines_now);
        s.now = s.scheduler.poll_timeout().map_or(begun + Duration::from_secs(10), |at| at.max(s.now));
        s.scheduler.handle_timeout(s.now);
    }
    assert!(rows_max <= 4 * 256 && lines_max <= 4 * 257, "{rows_max} rows and {lines_max} lines in one turn");
    assert!((8 << 20..13 << 20).contains(&bytes), "{bytes} bytes in ten seconds");
    assert!((4..128).contains(&done), "{done} answers");
    // Somebody else is answered at once.
    s.next_peer += 1;
    let peer = PeerId(s.next_peer);
    s.input(Input::TextOpened { peer, address: "10.0.0.9".into(), may_change: false });
    s.texts.clear();
    s.input(Input::Line { peer, text: "stats".into() });
    assert!(s.texts.iter().any(|(to, text)| *to == peer && text.contains(" hosts=1000")));
}
