//! Clients of this host: local jobs, requests, and every end of a connection.

use super::*;

fn began(messages: &[Message]) -> bool {
    matches!(messages, [Message::JobLocalBegin(_)])
}

#[test]
fn d25_local_jobs_start_in_order_never_more_than_the_slots() {
    let mut s = Scenario::alone(config(2));
    let jobs: Vec<PeerId> = (0..10).map(|_| s.local_job()).collect();
    let mut started: Vec<PeerId> = Vec::new();
    for ended in 0..=10 {
        started.extend(jobs.iter().filter(|p| began(&s.sent_to(**p))));
        assert_eq!(started, jobs[..(ended + 2).min(10)], "after {ended} ends");
        if let Some(peer) = jobs.get(ended) {
            s.hang_up(*peer);
        }
    }
    assert_eq!(s.daemon.slots_used(), 0);
}

#[test]
fn d26_without_slots_one_local_job_runs_at_a_time() {
    let mut s = Scenario::alone(config(0));
    s.log_in();
    let login = s.sent_to_scheduler().into_iter().find_map(|m| if let Message::Login(l) = m { Some(l) } else { None });
    assert_eq!(login.unwrap().slots, 0);
    let (first, second) = (s.local_job(), s.local_job());
    assert!(began(&s.sent_to(first)));
    assert!(s.sent_to(second).is_empty());
    let asking = s.asking();
    assert!(s.sent_to_scheduler().iter().any(|m| matches!(m, Message::GetCs(_))));
    s.hang_up(first);
    assert!(began(&s.sent_to(second)));
    assert!(s.sent_to(asking).is_empty());
}

#[test]
fn d27_without_a_scheduler_the_job_is_built_here_when_a_slot_is_free() {
    let mut s = Scenario::alone(config(1));
    let first = s.asking();
    let second = s.asking();
    let heard = s.sent_to(first);
    let [Message::UseCs(answer)] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((answer.host.to_string(), answer.port, answer.job), ("127.0.0.1".to_owned(), 10245, JobId(1)));
    assert_eq!((answer.host_platform.to_string(), answer.env_present), ("x86_64".to_owned(), 1));
    assert!(s.sent_to(second).is_empty());
    s.say(first, compile_file(1, "__client"));
    s.say(first, job_done(1, 0, FROM_SUBMITTER, 0));
    assert_eq!(s.sent_to(second).len(), 1);
    s.say(first, Message::End);
    assert_eq!(s.closed.get(&first), Some(&CloseReason::End));
    assert_eq!(s.closed.len(), 1);
}

#[test]
fn d28_own_host_chosen_waits_for_a_slot_and_is_reported() {
    let mut s = Scenario::new(config(1));
    let local = s.local_job();
    let own = s.own_job(9);
    assert!(s.sent_to(own).is_empty());
    s.hang_up(local);
    let heard = s.sent_to(own);
    let [Message::UseCs(answer)] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((answer.host.to_string(), answer.port, answer.job), ("127.0.0.1".to_owned(), 10245, JobId(9)));
    assert_eq!((answer.client, answer.env_present), (ClientId(1), 1));
    s.sent_to_scheduler();
    s.say(own, compile_file(9, "__client"));
    assert!(
        matches!(s.sent_to_scheduler().as_slice(), [Message::JobBegin(b)] if b.job == JobId(9) && b.client_count == 1 && b.start_time > 1_000_000)
    );
    s.say(own, job_done(9, 0, 0, 0));
    assert_eq!(s.sent_to_scheduler(), [job_done(9, 0, 0, 1)]);
    s.say(own, Message::End);
    assert!(s.sent_to_scheduler().is_empty());
}

#[test]
fn d29_another_host_chosen_is_passed_on_at_once() {
    let mut s = Scenario::new(config(1));
    s.local_job();
    let peer = s.asking();
    let answer = use_cs(3, "10.0.0.2", ClientId(2));
    s.scheduler(answer.clone());
    assert_eq!(s.sent_to(peer), [answer]);
    // Same address, other port: another daemon on this host.
    let peer = s.asking();
    let Message::UseCs(mut answer) = use_cs(4, OWN_ADDRESS, ClientId(3)) else { unreachable!() };
    answer.port = 10246;
    s.scheduler(Message::UseCs(answer.clone()));
    assert_eq!(s.sent_to(peer), [Message::UseCs(answer)]);
}

#[test]
fn d30_nobody_suitable_is_built_here_with_an_empty_platform() {
    let mut s = Scenario::new(config(1));
    let peer = s.asking();
    s.scheduler(Message::NoCs { job: JobId(12), client: ClientId(1) });
    let heard = s.sent_to(peer);
    assert!(matches!(heard.as_slice(), [Message::UseCs(u)] if u.host == "127.0.0.1" && u.host_platform.is_empty()));
}

#[test]
fn d30_that_no_host_could_take_it_is_passed_on_when_a_slot_is_free() {
    let mut s = Scenario::new(config(1));
    let local = s.local_job();
    let peer = s.asking();
    let no_host = UseCs { job: JobId(12), host: LOCALHOST.into(), client: ClientId(2), ..UseCs::default() };
    s.scheduler(Message::UseCs(no_host));
    assert!(s.sent_to(peer).is_empty());
    s.hang_up(local);
    let heard = s.sent_to(peer);
    let [Message::UseCs(answer)] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((answer.host.to_string(), answer.job, answer.env_present), (LOCALHOST.to_owned(), JobId(12), 0));
    assert!(answer.host_platform.is_empty());
    s.say(peer, compile_file(12, "__client"));
    assert!(
        s.sent_to_scheduler().iter().any(|told| matches!(told, Message::JobBegin(begin) if begin.job == JobId(12)))
    );
}

#[test]
fn d31_a_client_that_dies_before_the_answer() {
    let mut s = Scenario::new(config(1));
    let peer = s.asking();
    let told = s.sent_to_scheduler();
    assert!(matches!(told.as_slice(), [Message::GetCs(g)] if g.client == ClientId(1) && g.client_count == 1));
    s.hang_up(peer);
    assert_eq!(s.sent_to_scheduler(), [job_done(1, 118, 3, 0)]);
    s.use_other(peer, 5);
    assert_eq!(s.sent_to_scheduler(), [job_done(5, 107, FROM_SUBMITTER, 0)]);
}

/// An end of a connection: how to reach its state, and what is reported when the client closes or sends END.
type Row = (&'static str, fn(&mut Scenario) -> PeerId, Vec<Message>, Vec<Message>);

#[test]
fn d32_every_state_that_closes() {
    let rows: Vec<Row> = vec![
        ("unknown", |s| s.client(), vec![], vec![]),
        (
            "waitcreateenv",
            |s| {
                let p = s.client();
                s.say(p, Message::GetNativeEnv(GetNativeEnv::default()));
                p
            },
            vec![],
            vec![],
        ),
        (
            "linkjob",
            |s| {
                s.local_job();
                s.local_job();
                s.local_job()
            },
            vec![],
            vec![],
        ),
        (
            "jobdone",
            |s| {
                let p = s.own_job(9);
                s.say(p, job_done(9, 0, 1, 0));
                p
            },
            vec![],
            vec![],
        ),
        ("waitforcs", |s| s.asking(), vec![job_done(1, 118, 3, 0)], vec![job_done(1, 119, 3, 0)]),
        (
            "pending_use_cs",
            |s| {
                s.local_job();
                s.local_job();
                s.own_job(9)
            },
            vec![job_done(9, 118, 1, 2)],
            vec![job_done(9, 119, 1, 2)],
        ),
        ("waitcompile", |s| s.remote_job(9), vec![job_done(9, 118, 1, 0)], vec![]),
        ("clientwork", |s| s.own_job(9), vec![job_done(9, 118, 1, 0)], vec![job_done(9, 119, 1, 0)]),
        ("clientwork", |s| s.local_job(), vec![Message::JobLocalDone { id: 1 }], vec![Message::JobLocalDone { id: 1 }]),
    ];
    for (state, get_there, closed, ended) in rows {
        for (end, expected) in [(false, closed), (true, ended)] {
            let mut s = Scenario::new(config(2));
            let peer = get_there(&mut s);
            assert_eq!(s.daemon.peers.get(peer).unwrap().state(), state);
            s.sent_to_scheduler();
            if end {
                s.say(peer, Message::End);
            } else {
                s.hang_up(peer);
            }
            s.hang_up(peer);
            let heard: Vec<Message> =
                s.sent_to_scheduler().into_iter().filter(|m| !matches!(m, Message::JobLocalBegin(_))).collect();
            assert_eq!(heard, expected, "{state}, END: {end}");
        }
    }
}

#[test]
fn d32_a_foreign_job_that_waits_is_reported_from_the_server() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    s.foreign_job(1, "e");
    let waits = s.foreign_job(2, "e");
    s.sent_to_scheduler();
    s.hang_up(waits);
    assert_eq!(s.sent_to_scheduler(), [job_done(2, 118, 0, 1)]);
}

#[test]
fn d33_waitcompile_and_end_tell_nothing() {
    let mut s = Scenario::new(config(2));
    let peer = s.remote_job(4);
    s.sent_to_scheduler();
    s.say(peer, Message::End);
    assert!(s.sent_to_scheduler().is_empty());
}

#[test]
fn d34_local_then_own_then_foreign() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    let first = s.local_job();
    let foreign = s.foreign_job(1, "e");
    let own = s.own_job(2);
    let link = s.local_job();
    s.hang_up(first);
    assert!(began(&s.sent_to(link)));
    assert!(s.sent_to(own).is_empty() && s.grants().is_empty());
    s.hang_up(link);
    assert_eq!(s.sent_to(own).len(), 1);
    assert!(s.grants().is_empty());
    s.hang_up(own);
    assert_eq!(s.grants().first().map(|g| g.peer), Some(foreign));
}

#[test]
fn d35_a_local_job_starts_before_waiting_foreign_ones() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    let runs = s.foreign_job(1, "e");
    s.foreign_job(2, "e");
    let link = s.local_job();
    assert!(s.sent_to(link).is_empty());
    s.handle(Input::JobEnded { peer: runs, report: JobReport::default() });
    assert!(began(&s.sent_to(link)));
    assert_eq!(s.grants().len(), 1);
}

#[test]
fn d36_blacklisting_is_passed_on_or_dropped() {
    let entry = Message::BlacklistHostEnv(crate::message::BlacklistHostEnv {
        environment: "e".into(),
        target: "x86_64".into(),
        host: "10.0.0.2".into(),
    });
    let mut s = Scenario::new(config(1));
    let peer = s.client();
    s.say(peer, entry.clone());
    assert_eq!(s.sent_to_scheduler(), std::slice::from_ref(&entry));
    let mut s = Scenario::alone(config(1));
    let peer = s.client();
    s.say(peer, entry);
    assert!(s.sent_to_scheduler().is_empty() && s.closed.is_empty());
}

/// For an hour, whatever the scheduler says; another host is asked for once.
#[test]
fn a_host_with_a_false_result_is_not_used() {
    let report = crate::message::BlacklistHostEnv { host: OTHER_ADDRESS.into(), ..Default::default() };
    let mut s = Scenario::new(config(1));
    let peer = s.client();
    s.say(peer, Message::BlacklistHostEnv(report));
    assert!(
        s.sent_to_scheduler().is_empty() && s.notes.iter().any(|note| note.contains("no job of this host goes there"))
    );
    s.hang_up(peer);
    let peer = s.client();
    let environments = vec![crate::env::EnvRef { platform: "i686".into(), name: "e".into() }];
    let ask = GetCs { count: 1, target: "x86_64".into(), environments, ..GetCs::default() };
    s.say(peer, Message::GetCs(ask));
    s.sent_to_scheduler();
    s.use_other(peer, 4);
    let told = s.sent_to_scheduler();
    let [freed, Message::BlacklistHostEnv(ban), Message::GetCs(again)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((freed, ban.environment == "e", again.target == "x86_64"), (&job_done(4, 107, 1, 1), true, true));
    assert!(s.sent_to(peer).is_empty());
    s.use_other(peer, 5);
    assert_eq!(s.sent_to_scheduler(), [job_done(5, 107, 1, 1)]);
    let here = s.sent_to(peer);
    assert!(matches!(&here[..], [Message::UseCs(here)] if here.host == LOCALHOST && here.env_present == 0), "{here:?}");
    s.hang_up(peer);
    s.pass(Duration::from_secs(3600));
    let peer = s.asking();
    s.use_other(peer, 6);
    assert!(matches!(&s.sent_to(peer)[..], [Message::UseCs(there)] if there.host == OTHER_ADDRESS));
}

#[test]
fn d37_an_unexpected_message_ends_that_connection_only() {
    let mut s = Scenario::new(config(1));
    let other = s.client();
    let peer = s.client();
    s.say(peer, Message::MonLogin);
    assert_eq!(s.sent_to(peer), [Message::End]);
    assert_eq!(s.closed.get(&peer).map(|r| r.code()), Some(120));
    assert!(!s.closed.contains_key(&other));
}

#[test]
fn d38_a_foreign_job_id_ends_the_connection() {
    let mut s = Scenario::new(config(1));
    let peer = s.remote_job(4);
    s.sent_to_scheduler();
    s.say(peer, job_done(5, 0, 0, 0));
    assert_eq!(s.closed.get(&peer), Some(&CloseReason::ForeignJob));
    assert_eq!(
        s.sent_to_scheduler(),
        [job_done(4, 120, 1, 0)],
        "its own job is given up, the foreign one not mentioned"
    );
}

#[test]
fn d39_two_hundred_clients_at_once() {
    let mut s = Scenario::new(config(4));
    let peers: Vec<PeerId> = (0..200).map(|_| s.asking()).collect();
    for (job, peer) in peers.iter().enumerate() {
        s.use_other(*peer, u32::try_from(job).unwrap() + 1);
    }
    for peer in peers {
        assert_eq!(s.sent_to(peer).len(), 1);
    }
}

#[test]
fn nicer_jobs_wait_longer_equal_ones_keep_their_order() {
    let mut s = Scenario::new(config(1));
    let runs = s.local_job();
    let mut nice = |niceness: u32| {
        let peer = s.client();
        s.say(peer, Message::GetCs(GetCs { count: 1, niceness, ..GetCs::default() }));
        let client = ClientId(u32::try_from(peer.0).unwrap());
        s.scheduler(use_cs(client.0, OWN_ADDRESS, client));
        peer
    };
    let order = [nice(5), nice(0), nice(0), nice(u32::MAX - 15), nice(20)];
    let mut running = runs;
    for next in [1, 2, 3, 0, 4].map(|i: usize| order[i]) {
        s.hang_up(running);
        assert_eq!(s.sent_to(next).len(), 1);
        running = next;
    }
}

#[test]
fn a_full_job_keeps_others_from_starting() {
    let mut s = Scenario::alone(config(3));
    let small = s.local_job();
    let full = s.client_as(44);
    s.say(full, Message::JobLocalBegin(JobLocalBegin { full: 1, ..JobLocalBegin::default() }));
    assert!(began(&s.sent_to(full)), "it starts as soon as one slot is free");
    let next = s.local_job();
    s.hang_up(small);
    assert!(s.sent_to(next).is_empty());
    s.hang_up(full);
    assert!(began(&s.sent_to(next)));
}

#[test]
fn three_copies_of_one_job() {
    let mut s = Scenario::new(config(1));
    let peer = s.client();
    s.say(peer, Message::GetCs(GetCs { count: 3, ..GetCs::default() }));
    for job in 1..=3 {
        s.use_other(peer, job);
    }
    assert_eq!(s.sent_to(peer).len(), 3);
    s.sent_to_scheduler();
    s.say(peer, job_done(2, 0, 1, 0));
    s.hang_up(peer);
    assert_eq!(s.sent_to_scheduler(), [job_done(2, 0, 1, 1), job_done(1, 118, 1, 0), job_done(3, 118, 1, 0)]);
    s.use_other(peer, 4);
    assert_eq!(s.sent_to_scheduler(), [job_done(4, 107, 1, 0)]);
}

#[test]
fn fallbacks_of_own_clients_are_counted_and_shown() {
    let mut s = Scenario::new(config(1));
    let shown = |s: &mut Scenario| {
        s.internals().lines().find_map(|l| l.strip_prefix("  Fallbacks to local builds: ").map(str::to_owned))
    };
    let at_another_host = |s: &mut Scenario, job| {
        let peer = s.asking();
        let client = s.daemon.peers.get(peer).unwrap().client();
        s.scheduler(use_cs(job, "10.0.0.9", client));
        peer
    };
    // A regular end, and an unrelated local job.
    let fine = at_another_host(&mut s, 1);
    s.say(fine, Message::End);
    s.local_job();
    assert_eq!(shown(&mut s), None);

    let failed = at_another_host(&mut s, 2);
    s.hang_up(failed);
    s.local_job();
    s.local_job();
    assert_eq!(shown(&mut s), Some("1".to_owned()), "once for each failure");

    let killed = at_another_host(&mut s, 3);
    s.hang_up(killed);
    s.pass(Duration::from_secs(5));
    s.local_job();
    assert_eq!(shown(&mut s), Some("1".to_owned()), "that one came too late to be the same compile");
}
