//! The exact log lines and messages to monitors and text peers.

use super::*;

/// Takes the notes since the last call that begin with this text.
fn noted(s: &mut Scenario, start: &str) -> Vec<String> {
    let notes = std::mem::take(&mut s.notes);
    notes.into_iter().filter(|note| note.starts_with(start)).collect()
}

#[test]
fn the_end_of_a_job_is_told_in_figures() {
    let mut s = Scenario::new();
    let (a, h) = (s.host("a", 0, &[]), s.host("h", 4, &["e"]));
    let mut end = |stats: JobStats, exit_code: i32| {
        let (job, _) = s.ask(a, request("e", "f", 1)).unwrap();
        s.say(h.peer, Message::JobDone(JobDone { job, exit_code, stats, ..JobDone::default() }));
        noted(&mut s, "END").pop().unwrap()
    };
    let stats = JobStats {
        in_compressed: 50,
        in_uncompressed: 200,
        out_compressed: 333,
        out_uncompressed: 1000,
        real_ms: 1,
        user_ms: 2,
        sys_ms: 3,
        page_faults: 4,
    };
    assert_eq!(end(stats, 0), "END 1 status=0 in=200(25%) out=1000(33%) real=1 user=2 sys=3 pfaults=4 server=h");
    assert_eq!(end(stats, 5), "END 2 status=5");
    let large = JobStats { in_compressed: u32::MAX, in_uncompressed: 1, ..JobStats::default() };
    assert_eq!(end(large, 0), "END 3 status=0 in=1(429496729500%) out=0(0%) real=0 user=0 sys=0 pfaults=0 server=h");
}

#[test]
fn a_language_has_a_name() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    for (language, name) in [(0, "C"), (1, "C++"), (2, "ObjC"), (3, "ObjC++"), (4, "<custom>"), (5, "???")] {
        s.ask(a, GetCs { language, ..request("e", "f.x", 1) });
        let new = noted(&mut s, "NEW").pop().unwrap();
        assert!(new.ends_with(&format!(" f.x {name} 0")), "{language}: {new}");
    }
}

#[test]
fn features_of_a_host_have_names() {
    for (bits, names) in
        [(0, "--"), (1, "env_xz"), (2, "env_zstd"), (3, "env_xz env_zstd"), (4, "--"), (5, "env_xz"), (6, "env_zstd")]
    {
        assert_eq!(monitor::feature_names(bits), names, "{bits}");
    }
}

/// Monitors below protocol 29 get a whole GET_CS, of which few fields are set.
#[test]
fn a_monitor_of_old_is_told_of_a_request_in_a_request() {
    for (version, old) in [(28, true), (29, false), (43, false)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let peer = s.peer("10.9.9.9", version);
        s.say(peer, Message::MonLogin);
        s.sent_to(peer);
        s.say(a.peer, Message::GetCs(GetCs { language: 1, arg_flags: 9, ..request("e", "/x/a/b/c.c", 5) }));
        let sent = s.sent_to(peer);
        let [Message::MonGetCs(sent)] = sent.as_slice() else { panic!("{sent:?}") };
        let (file, target) = (Text::from("a/b/c.c"), "x86_64".into());
        assert_eq!((&sent.file, sent.language, sent.job, sent.host), (&file, 1, JobId(1), a.host));
        let inside = GetCs { file, language: 1, count: 1, target, ..GetCs::default() };
        assert_eq!(sent.request, old.then(|| Box::new(inside)), "{version}");
    }
}

#[test]
fn uptime_counts_what_was_before() {
    let config = Config { uptime_before: Duration::from_secs(100), version: "1.2".into(), ..Config::default() };
    let mut s = Scenario { scheduler: Scheduler::new(config, Instant::ZERO), ..Scenario::new() };
    s.wait(5);
    let peer = PeerId(77);
    s.input(Input::TextOpened { peer, address: "127.0.0.1".into(), may_change: true });
    let greeting = "200-ICECC 1.2: 105s uptime, 0 hosts, 0 jobs in queue (0 total).\n200 Use 'help' for help and 'quit' to quit.\n";
    assert_eq!(s.texts.pop(), Some((peer, greeting.into())));
    s.input(Input::Line { peer, text: "stats".into() });
    assert!(s.texts.pop().unwrap().1.starts_with(" uptime_s=105\n"));
}

#[test]
fn a_text_peer_that_is_gone_is_forgotten() {
    let mut s = Scenario::new();
    let peer = PeerId(50);
    s.input(Input::TextOpened { peer, address: "127.0.0.1".into(), may_change: true });
    s.input(Input::Closed { peer });
    assert_eq!(s.scheduler.poll_timeout(), None);
    s.texts.clear();
    s.input(Input::Line { peer, text: "help".into() });
    assert_eq!(s.texts, []);
    // During an `internals`.
    s.host("mute", 1, &[]);
    let before = s.scheduler.poll_timeout();
    s.input(Input::TextOpened { peer, address: "127.0.0.1".into(), may_change: true });
    s.input(Input::Line { peer, text: "internals".into() });
    s.input(Input::Closed { peer });
    assert_eq!(s.scheduler.poll_timeout(), before);
    // On its own request.
    s.input(Input::TextOpened { peer, address: "127.0.0.1".into(), may_change: true });
    s.input(Input::Line { peer, text: "quit".into() });
    assert_eq!(s.closed, [(peer, CloseReason::GoodBye)]);
    s.texts.clear();
    s.input(Input::Line { peer, text: "help".into() });
    assert_eq!((s.texts.len(), s.scheduler.poll_timeout()), (0, before));
    // At shutdown.
    s.input(Input::TextOpened { peer, address: "127.0.0.1".into(), may_change: true });
    s.input(Input::Shutdown);
    assert_eq!((s.closed.last(), s.scheduler.poll_timeout()), (Some(&(peer, CloseReason::Shutdown)), None));
}

/// It gets its answers before the farewell.
#[test]
fn a_text_peer_that_says_no_more_is_answered() {
    let mut s = Scenario::new();
    let peer = PeerId(50);
    s.input(Input::TextOpened { peer, address: "127.0.0.1".into(), may_change: true });
    s.texts.clear();
    s.input(Input::HalfClosed { peer });
    assert_eq!(s.texts.pop(), Some((peer, "200 Good Bye!\n".into())));
    assert_eq!(s.closed.pop(), Some((peer, CloseReason::GoodBye)));
    let mute = s.host("mute", 1, &[]);
    s.input(Input::TextOpened { peer, address: "127.0.0.1".into(), may_change: true });
    s.input(Input::Line { peer, text: "internals".into() });
    s.input(Input::Line { peer, text: "listblocks".into() });
    s.texts.clear();
    s.input(Input::HalfClosed { peer });
    assert!(s.texts.is_empty() && s.closed.is_empty());
    s.say(mute.peer, Message::StatusText { text: "hm\n\n".into() });
    let sent: String = s.texts.drain(..).map(|(_, text)| text).collect();
    assert_eq!(sent, "hm\n200 done\n200 done\n200 Good Bye!\n");
    assert_eq!(s.closed.pop(), Some((peer, CloseReason::GoodBye)));
}

#[test]
fn internals_of_some_hosts_and_of_one_that_leaves() {
    let mut s = Scenario::new();
    let hosts = ["one", "two", "three"].map(|name| s.host(name, 1, &[]));
    s.sent.clear();
    assert_eq!(s.text(&["internals one 10.0.0.3 nobody"]), "");
    let asked = hosts.map(|host| s.sent_to(host.peer).contains(&Message::GetInternals));
    assert_eq!(asked, [true, false, true]);
    s.say(hosts[2].peer, Message::StatusText { text: "third".into() });
    assert_eq!(s.texts, []);
    s.input(Input::Closed { peer: hosts[0].peer });
    assert_eq!(s.texts.pop().unwrap().1, "401 No host nobody.\none not reporting\nthird\n200 done\n");
    assert_eq!(s.text(&["internals nobody"]), "401 No host nobody.\n200 done\n");
}

#[test]
fn a_host_that_is_out_of_reach_is_told_of_once() {
    let mut s = Scenario::new();
    s.reachable = None;
    let h = s.host("h", 1, &[]);
    let sent = |s: &mut Scenario, reachable| {
        s.notes.clear();
        s.input(Input::Probed { host: h.host, reachable });
        s.notes.clone()
    };
    let failed = |again_s| {
        format!("h failed to accept an incoming connection on 10.0.0.1:10245 attempting again in {again_s} seconds")
    };
    let mute = "Client (h 10.0.0.1:10245) connected but is not able to accept incoming connections.";
    let back = "Client (h 10.0.0.1:10245) is accepting incoming connections.";
    assert_eq!(sent(&mut s, false), [mute.to_owned(), failed(2)]);
    assert_eq!(sent(&mut s, false), [failed(4)]);
    assert_eq!(sent(&mut s, true), [back]);
    assert!(sent(&mut s, true).is_empty());
    assert_eq!(sent(&mut s, false), [mute.to_owned(), failed(2)]);
}

/// Daemons below protocol 39 mark a client's number by an exit code, later ones by a flag.
#[test]
fn a_cancel_names_its_client_by_a_code_or_a_flag() {
    for (version, exit_code, flags, cancels) in [
        (38, 200, 1, true),
        (38, 201, 1, false),
        (38, 200, 0, false),
        (38, 0, 3, true),
        (39, 200, 1, false),
        (39, 0, 3, true),
        (39, 0, 2, false),
    ] {
        let mut s = Scenario::new();
        let a = s.log_in("10.0.0.1", version, login("a", 0, &[]));
        s.host("h", 4, &["e"]);
        let (job, _) = s.ask(a, request("e", "f", 77)).unwrap();
        s.notes.clear();
        s.say(a.peer, Message::JobDone(JobDone { job: 77, exit_code, flags, ..JobDone::default() }));
        assert_eq!(!s.scheduler.ledger.jobs().contains_key(&JobId(job)), cancels, "{version} {exit_code} {flags}");
        let unknown = s.noted("job ID not present 77");
        assert_eq!((s.noted("STOP (WAITFORCS) FOR 1"), unknown), (cancels, !cancels), "{version} {exit_code} {flags}");
    }
}

/// Client counts are sent from protocol 39 on.
#[test]
fn the_number_of_clients_is_told_by_request_begin_and_end() {
    for (version, sent) in [(38, false), (39, true)] {
        let mut s = Scenario::new();
        let a = s.log_in("10.0.0.1", version, login("a", 4, &[]));
        let clients = |s: &Scenario| s.scheduler.ledger.host(a.host).unwrap().client_count();
        let (job, _) = s.ask(a, GetCs { client_count: 3, ..request("e", "f", 1) }).unwrap();
        assert_eq!(clients(&s), if sent { 3 } else { 0 });
        s.say(a.peer, Message::JobBegin(JobBegin { job: JobId(job), start_time: 1, client_count: 4 }));
        assert_eq!(clients(&s), if sent { 4 } else { 0 });
        s.say(a.peer, Message::JobDone(JobDone { job, client_count: 5, ..JobDone::default() }));
        assert_eq!(clients(&s), if sent { 5 } else { 0 });
        s.say(a.peer, Message::JobDone(JobDone { job: 99, flags: 3, client_count: 6, ..JobDone::default() }));
        assert_eq!(clients(&s), if sent { 6 } else { 0 });
    }
}

#[test]
fn environments_of_a_host_are_in_the_order_of_its_login() {
    let mut s = Scenario::new();
    let h = s.host("h", 1, &["z", "a", "m"]);
    let names = |s: &Scenario| {
        let environments = s.scheduler.environments_of(h.host)?;
        Some(environments.iter().map(|e| e.name.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(names(&s).unwrap(), ["z", "a", "m"]);
    s.say(h.peer, Message::Login(login("", 0, &[])));
    assert_eq!(names(&s).unwrap().len(), 0);
    s.input(Input::Closed { peer: h.peer });
    assert_eq!(names(&s), None);
}

#[test]
fn why_a_host_was_chosen_is_a_word() {
    let mut s = Scenario::new();
    let (a, h) = (s.host("a", 1, &[]), s.host("h", 4, &["e"]));
    let goes = |s: &mut Scenario, request: GetCs| {
        s.notes.clear();
        let job = s.ask(a, request).unwrap().0;
        let put = noted(s, "put").pop().unwrap();
        (job, put.split(" joblist of ").nth(1).unwrap().to_owned())
    };
    let prefer = |host: &str| GetCs { preferred_host: host.into(), ..request("e", "f", 1) };
    for host in ["a", "h"] {
        let (job, put) = goes(&mut s, prefer(host));
        assert_eq!(put, format!("{host} why=preferred"));
        s.finish(if host == "a" { a } else { h }, job, 0, 0, 100);
    }
    assert_eq!(goes(&mut s, request("e", "f", 1)).1, "a why=first-at-home");
    assert_eq!(goes(&mut s, request("new", "f", 1)).1, "h (will install now) why=soonest");
    assert_eq!(goes(&mut s, prefer("nobody")).1, "a why=nobody-else");
    s.load(h, 1000);
    s.finish(a, 3, 0, 0, 100);
    s.finish(a, 5, 0, 0, 100);
    s.load(a, 1000);
    assert_eq!(goes(&mut s, request("e", "f", 1)).1, "a why=last-resort");
}
