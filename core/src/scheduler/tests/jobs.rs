//! Jobs from request to end, and the order of the queue.

use super::*;

#[test]
fn s28_a_job_from_request_to_end() {
    let mut s = Scenario::new();
    let submitter = s.host("s", 0, &[]);
    let h = s.host("h", 2, &["e"]);
    let monitor = s.monitor();
    assert_eq!(s.ask(submitter, request("e", "/x/a/b/c.c", 5)), Some((1, "10.0.0.2".into())));
    s.begin(h, 1);
    s.finish(h, 1, 0, 0, 100);
    assert!(s.noted("NEW 1 client=s versions=[e(x86_64)] /x/a/b/c.c C 0"));
    assert!(s.noted("BEGIN: 1 client=s(x86_64) server=h(x86_64)"));
    assert!(s.noted("END 1 status=0 in=0(0%) out=10000(0%) real=100 user=100 sys=0 pfaults=0 server=h"));
    let sent = s.sent_to(monitor);
    assert!(
        matches!(sent.as_slice(), [Message::MonGetCs(_), Message::MonJobBegin(_), Message::MonJobDone(_)]),
        "{sent:?}"
    );
    assert!(matches!(&sent[0], Message::MonGetCs(m) if m.file == "a/b/c.c"));
}

#[test]
fn s29_three_at_once_and_too_many() {
    let mut s = Scenario::new();
    let submitter = s.host("s", 0, &[]);
    s.host("h", 4, &["e"]);
    s.sent_to(submitter.peer);
    s.say(submitter.peer, Message::GetCs(GetCs { count: 3, ..request("e", "f", 5) }));
    assert_eq!(s.answers(submitter).iter().map(|a| a.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(s.ask(submitter, GetCs { count: 0, ..request("e", "f", 6) }), None);
    assert_eq!(s.ask(submitter, GetCs { count: 65, ..request("e", "f", 7) }), None);
    assert_eq!(s.scheduler.ledger.last_number(), 3);
}

#[test]
fn s30_s31_reports_of_strangers_and_twice() {
    let mut s = Scenario::new();
    let submitter = s.host("s", 0, &[]);
    let h = s.host("h", 2, &["e"]);
    let other = s.host("o", 0, &[]);
    s.begin(h, 77);
    assert!(s.noted("handle_job_begin: no valid job id 77"));
    let (job, _) = s.ask(submitter, request("e", "f", 5)).unwrap();
    s.begin(other, job);
    assert!(s.noted("that job isn't handled by 10.0.0.3"));
    s.finish(other, job, 0, 0, 1);
    assert!(s.noted("the server isn't the same for job 1"));
    s.finish(other, job, 1, 0, 1);
    assert!(s.noted("the submitter isn't the same for job 1"));
    assert!(s.scheduler.ledger.jobs().contains_key(&JobId(job)) && s.scheduler.ledger.host(other.host).is_some());
    s.finish(h, job, 0, 0, 1);
    s.finish(h, job, 0, 0, 1);
    assert!(s.noted("job ID not present 1"));
    assert_eq!(s.closed, []);
}

#[test]
fn s32_s33_cancels_of_queued_jobs() {
    for code in [0, 118] {
        let mut s = Scenario::new();
        let submitter = s.host("s", 0, &[]);
        let h = s.host("h", 1, &["e"]);
        let monitor = s.monitor();
        for client in [1, 2] {
            s.ask(submitter, request("e", "f", client));
        }
        s.say(submitter.peer, Message::GetCs(GetCs { count: 3, ..request("e", "f", 3) }));
        assert_eq!(s.scheduler.ledger.queue().len(), 3);
        for flags in [0, 1, 2] {
            s.finish(submitter, 4, flags, code, 0);
        }
        assert_eq!(s.scheduler.ledger.queue().len(), 3);
        s.sent_to(monitor);
        s.finish(submitter, 3, 3, code, 0);
        assert_eq!(s.scheduler.ledger.queue().len(), 0);
        let ended: Vec<(u32, u32)> = s
            .sent_to(monitor)
            .into_iter()
            .filter_map(|m| if let Message::MonJobDone(d) = m { Some((d.job, d.flags)) } else { None })
            .collect();
        assert_eq!(ended, [(3, 1), (4, 1), (5, 1)]);
        s.finish(h, 1, 0, 0, 10);
        assert!(s.closed.is_empty());
    }
}

#[test]
fn s34_submitters_take_turns_by_niceness() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let b = s.host("b", 0, &[]);
    let h = s.host("h", 1, &["e"]);
    // Both places, slot and preload, are taken first.
    s.ask(a, request("e", "f", 90));
    s.ask(a, request("e", "f", 91));
    for client in 1..=4 {
        s.ask(a, request("e", "f", client));
    }
    let nice = |client, niceness| GetCs { niceness, ..request("e", "f", client) };
    s.ask(a, nice(5, 5));
    s.ask(b, nice(6, 3));
    s.ask(b, nice(7, 99));
    s.ask(a, nice(8, u32::MAX - 15));
    for client in 11..=14 {
        s.ask(b, request("e", "f", client));
    }
    assert_eq!(s.scheduler.ledger.jobs().get(&JobId(9)).unwrap().level(), 20);
    s.sent.clear();
    let mut order = Vec::new();
    for _ in 0..16 {
        let Some(job) = s.scheduler.ledger.host(h.host).unwrap().work().jobs().front().copied() else { break };
        s.finish(h, job.0, 0, 1, 0);
        for (_, message) in s.sent.drain(..) {
            if let Message::UseCs(use_cs) = message {
                order.push(use_cs.client.0);
            }
        }
    }
    assert_eq!(order, [1, 11, 2, 12, 3, 13, 4, 14, 8, 6, 5, 7]);
}

#[test]
fn nice_jobs_age() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 1, &["e"]);
    for client in 1..=2 {
        s.ask(a, request("e", "f", client));
    }
    s.begin(h, 1);
    s.ask(a, GetCs { niceness: 2, ..request("e", "f", 3) });
    s.wait(61);
    assert_eq!(s.scheduler.ledger.jobs().get(&JobId(3)).unwrap().level(), 1);
    s.wait(100);
    assert_eq!(s.scheduler.ledger.jobs().get(&JobId(3)).unwrap().level(), 0);
    s.ask(a, request("e", "f", 4));
    s.finish(h, 1, 0, 1, 0);
    assert_eq!(s.answers(a).pop().unwrap().0, 3, "it waited longer");
}

#[test]
fn s35_a_job_that_must_wait_keeps_nobody_else_waiting() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let b = s.host("b", 0, &[]);
    let one = s.host("one", 1, &["e"]);
    s.host("two", 4, &["e"]);
    let prefer = |client| GetCs { preferred_host: "one".into(), ..request("e", "f", client) };
    s.ask(a, prefer(1));
    s.ask(a, prefer(2));
    assert_eq!(s.ask(a, prefer(3)), None);
    assert_eq!(s.ask(b, request("e", "f", 1)).unwrap().1, "10.0.0.4");
    s.finish(one, 1, 0, 0, 1);
    assert_eq!(s.answers(a), [(3, "10.0.0.3".into())]);
}

#[test]
fn s36_s37_nobody_ever_means_home_at_once() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    for client in 1..=6 {
        assert_eq!(s.ask(a, request("e", "f", client)).unwrap().1, "");
    }
    assert!(s.noted("No suitable host found, assigning submitter"));
    let b = s.host("b", 2, &[]);
    s.load(b, 1000);
    assert_eq!(s.ask(b, request("e", "f", 1)).unwrap().1, "");
}

#[test]
fn jobs_that_never_begin_do_not_hold_their_slots() {
    let mut s = Scenario::new();
    let (rude, polite) = (s.host("rude", 0, &[]), s.host("polite", 0, &[]));
    let h = s.host("h", 2, &["e"]);
    while s.ask(rude, request("e", "f", 5)).is_some() {}
    let given: Vec<JobId> = s.scheduler.ledger.host(h.host).unwrap().work().jobs().iter().copied().collect();
    assert_eq!(s.ask(polite, request("e", "f", 6)), None);
    s.wait(5);
    assert!(s.noted("jobs given to a host do not begin, others get their slots") && !s.answers(polite).is_empty());
    // They are still recorded: they may begin late, and end.
    for job in given {
        s.begin(h, job.0);
        s.finish(h, job.0, 0, 0, 1000);
        assert!(s.noted(&format!("END {job} status=0")), "{job}");
    }
    assert_eq!(s.scheduler.ledger.host(h.host).unwrap().work().dormant(), 0);
}

/// Several logins of one machine, as an attacker would have.
#[test]
fn an_address_whose_jobs_never_begin_gets_servers_seldom() {
    let mut s = Scenario::new();
    let rude: Vec<TestHost> = (1..=5).map(|n| s.log_in("10.0.0.66", 43, login(&format!("rude{n}"), 0, &[]))).collect();
    let polite = s.host("polite", 0, &[]);
    let h = s.host("h", 2, &["e"]);
    for client in 1..=40 {
        for from in &rude {
            s.ask(*from, request("e", "f", client));
        }
    }
    let mut longest = 0;
    for client in 1..=100 {
        let mut waited = 0;
        let mut answer = s.ask(polite, request("e", "f", client));
        while answer.is_none() {
            s.wait(1);
            waited += 1;
            answer = s.answers(polite).pop();
        }
        longest = longest.max(waited);
        let (job, _) = answer.unwrap();
        s.begin(h, job);
        s.wait(2);
        s.finish(h, job, 0, 0, 1000);
    }
    assert!(longest <= 5, "{longest} s");
    // A job that begins at last shows that the address means it.
    let late = s.scheduler.ledger.jobs().iter().find(|(_, job)| job.was_dormant()).map(|(id, _)| id.0).unwrap();
    s.ask(polite, request("e", "f", 1));
    s.begin(h, late);
    s.scheduler.ledger.check_held().unwrap();
    assert!(rude.iter().all(|host| !s.scheduler.ledger.queue().is_held(host.host)));
}

#[test]
fn jobs_that_wait_for_busy_slots_keep_their_place() {
    let mut s = Scenario::new();
    let (first, second) = (s.host("first", 0, &[]), s.host("second", 0, &[]));
    let h = s.host("h", 2, &["e"]);
    while s.ask(first, request("e", "f", 5)).is_some() {}
    let given: Vec<JobId> = s.scheduler.ledger.host(h.host).unwrap().work().jobs().iter().copied().collect();
    assert!(given.len() > 2);
    given.iter().take(2).for_each(|job| s.begin(h, job.0));
    assert_eq!(s.ask(second, request("e", "f", 6)), None);
    s.wait(600);
    assert!(s.answers(second).is_empty() && s.scheduler.ledger.host(h.host).unwrap().work().dormant() == 0);
}

/// Before the submitter knows of it, so that the job does not come first.
#[test]
fn a_server_that_understands_it_is_told_its_jobs() {
    let mut s = Scenario::new();
    let ours = features::EXTENSION | features::TAKES_JOB_GIVEN;
    let a = s.host("a", 0, &[]);
    let told = s.log_in("10.0.0.8", 43, Login { features: ours, ..login("told", 2, &["e"]) });
    s.load(told, 0);
    let greeting = |s: &Scenario, to: TestHost| {
        s.sent.iter().find_map(|(peer, message)| match message {
            Message::CsConf(conf) if *peer == to.peer => Some(conf.extra.to_string()),
            _ => None,
        })
    };
    assert_eq!(greeting(&s, told).as_deref(), Some("icers 1 job-given"));
    assert_eq!(greeting(&s, a).as_deref(), Some(""));
    s.sent.clear();
    s.say(a.peer, Message::GetCs(request("e", "f", 1)));
    let [(first, given), (second, answer)] = s.sent.as_slice() else { panic!("{:?}", s.sent) };
    assert_eq!((*first, given), (told.peer, &Message::JobGiven { job: JobId(1) }));
    assert!(*second == a.peer && matches!(answer, Message::UseCs(u) if u.job == JobId(1)));
}

/// On the submitter's connection, so that it knows it when USE_CS comes.
#[test]
fn a_submitter_that_understands_it_is_told_what_the_server_can() {
    let (takes, runs) = (features::EXTENSION | features::TAKES_HOST_CAN, features::EXTENSION | features::TAKES_FILES);
    for (submitter, server, is_told) in [(takes, runs, true), (0, runs, false), (takes, 0, false), (runs, takes, false)]
    {
        let mut s = Scenario::new();
        let a = s.log_in("10.0.0.7", 43, Login { features: submitter, ..login("a", 0, &[]) });
        let server = s.log_in("10.0.0.8", 43, Login { features: server, ..login("b", 2, &["e"]) });
        s.load(server, 0);
        s.sent.clear();
        s.say(a.peer, Message::GetCs(request("e", "f", 1)));
        let told = Message::HostCan(HostCan { job: JobId(1), client: ClientId(1), abilities: abilities::FILES });
        let messages: Vec<&Message> = s.sent.iter().filter(|(peer, _)| *peer == a.peer).map(|(_, m)| m).collect();
        match messages.as_slice() {
            [can, Message::UseCs(_)] => assert!(is_told && **can == told, "{can:?}"),
            [Message::UseCs(_)] => assert!(!is_told),
            other => panic!("{other:?}"),
        }
        assert!(s.sent.iter().all(|(peer, m)| *peer == a.peer || !matches!(m, Message::HostCan(_))));
    }
}

#[test]
fn a_server_of_1_4_is_told_nothing_new() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let old = s.host("old", 2, &["e"]);
    s.sent.clear();
    assert!(s.ask(a, request("e", "f", 1)).is_some());
    assert!(s.sent.iter().all(|(peer, _)| *peer != old.peer), "{:?}", s.sent);
}
