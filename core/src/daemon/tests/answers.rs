//! Answers and reports in cases that involve two sessions, two clients or two hosts.

use super::*;
use crate::job::JobStats;
use crate::level::Level;

/// A second answer to a request is ignored, whatever the first one was.
#[test]
fn a_request_is_answered_once() {
    let mut s = Scenario::new(config(2));
    let own = s.own_job(5);
    assert_eq!(s.sent_to(own).len(), 1);
    let client = ClientId(u32::try_from(own.0).unwrap());
    s.sent_to_scheduler();
    s.scheduler(use_cs(6, OWN_ADDRESS, client));
    s.scheduler(Message::NoCs { job: JobId(7), client });
    assert!(s.sent_to(own).is_empty());
    assert_eq!(s.sent_to_scheduler(), [6, 7].map(|job| job_done(job, 107, FROM_SUBMITTER, 1)));
}

/// The next scheduler has its own numbers: jobs of an earlier session are not reported to it.
#[test]
fn jobs_of_a_former_session_are_not_told() {
    let mut s = Scenario::new(config(2));
    let own = s.own_job(5);
    let waits = s.asking();
    s.use_other(waits, 6);
    s.handle(Input::SchedulerLost);
    s.log_in();
    s.sent_to_scheduler();
    s.say(own, compile_file(5, "__client"));
    s.say(own, job_done(5, 0, FROM_SUBMITTER, 0));
    s.say(own, Message::End);
    s.hang_up(waits);
    assert!(s.sent_to_scheduler().is_empty());
}

/// Both addresses mean this host only together with the other fields.
#[test]
fn what_is_for_another_daemon_of_this_machine_is_passed_on() {
    let no_host = UseCs { job: JobId(4), host: LOCALHOST.into(), ..UseCs::default() };
    for (answer, passed_on) in [
        (no_host.clone(), false),
        (UseCs { host_platform: "x86_64".into(), ..no_host.clone() }, true),
        (UseCs { env_present: 1, ..no_host.clone() }, true),
        (UseCs { host: "10.0.0.9".into(), ..no_host.clone() }, true),
        (UseCs { host: OWN_ADDRESS.into(), port: 10245, ..no_host.clone() }, false),
        (UseCs { host: OWN_ADDRESS.into(), port: 10246, ..no_host }, true),
    ] {
        let mut s = Scenario::new(config(2));
        let peer = s.asking();
        let client = ClientId(u32::try_from(peer.0).unwrap());
        let answer = Message::UseCs(UseCs { client, ..answer });
        s.scheduler(answer.clone());
        let heard = s.sent_to(peer);
        let [Message::UseCs(told)] = heard.as_slice() else { panic!("{heard:?}") };
        assert_eq!(Message::UseCs(told.clone()) == answer, passed_on, "{answer:?}");
        assert_eq!(told.host == LOCALHOST && told.port == 10245, !passed_on, "{answer:?}");
    }
}

#[test]
fn who_begins_anew_ends_what_it_had() {
    let mut s = Scenario::new(config(2));
    let own = s.own_job(5);
    s.sent_to_scheduler();
    s.say(own, get_cs());
    let told = s.sent_to_scheduler();
    assert!(matches!(&told[..], [done, Message::GetCs(_)] if *done == job_done(5, 119, FROM_SUBMITTER, 1)), "{told:?}");
    assert_eq!(s.daemon.slots_used(), 0);

    let local = s.local_job();
    s.sent_to_scheduler();
    s.say(local, Message::TransferEnv(target("e")));
    assert!(s.sent_to_scheduler().contains(&Message::JobLocalDone { id: u32::try_from(local.0).unwrap() }));
}

/// Other clients are not affected meanwhile.
#[test]
fn a_request_is_built_here_whoever_else_is_connected() {
    let mut s = Scenario::new(config(2));
    s.client();
    let asks = s.asking();
    let idle = s.client();
    s.handle(Input::SchedulerLost);
    s.pass(Duration::from_secs(5));
    assert_eq!(s.sent_to(asks).len(), 1);
    assert!(s.sent_to(idle).is_empty());
    let late = s.asking();
    assert_eq!(s.sent_to(late).len(), 1, "nobody is expected back any more");
    assert_eq!(s.notes.iter().filter(|note| note.contains("request built here")).count(), 1);
}

#[test]
fn jobs_of_others_start_in_the_order_of_their_coming() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    let jobs: Vec<PeerId> = (1..=4).map(|job| s.foreign_job(job, "e")).collect();
    for job in jobs {
        assert_eq!(s.grants().iter().map(|grant| grant.peer).collect::<Vec<_>>(), [job]);
        s.handle(Input::JobEnded { peer: job, report: JobReport::default() });
        s.hang_up(job);
    }
}

#[test]
fn one_large_object_is_delivered_whoever_else_is_connected() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    let large = s.foreign_job(1, "e");
    let (other, own) = (s.foreign_job(2, "e"), s.client());
    s.handle(Input::JobEnded { peer: large, report: JobReport { held: 2 << 30, ..JobReport::default() } });
    s.handle(Input::JobEnded { peer: other, report: JobReport::default() });
    for peer in [large, other, own] {
        assert_eq!(s.closed.get(&peer), None);
    }
}

/// It is removed when the last job in it has ended.
#[test]
fn a_broken_environment_is_no_good_to_anybody() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    let (breaks, runs) = (s.foreign_job(1, "e"), s.foreign_job(2, "e"));
    s.handle(Input::JobEnded { peer: breaks, report: JobReport { broken: true, ..JobReport::default() } });
    let peer = s.client();
    s.say(peer, Message::VerifyEnv(target("e")));
    assert_eq!(s.sent_to(peer), [Message::VerifyEnvResult { ok: 0 }]);
    assert!(!s.others.iter().any(|o| matches!(o, Output::Verify(_) | Output::Remove(_))));
    s.handle(Input::JobEnded { peer: runs, report: JobReport::default() });
    assert!(s.others.contains(&Output::Remove(env("e"))));
}

/// A client that reports more CPU time than elapsed time lies, or used threads.
#[test]
fn what_clients_build_here_is_no_load() {
    let load = |real_ms: u32, user_ms: u32, sys_ms: u32| {
        let mut s = Scenario::new(config(2));
        let own = s.own_job(5);
        s.pass(Duration::from_secs(3));
        s.sent_to_scheduler();
        let stats = JobStats { real_ms, user_ms, sys_ms, ..JobStats::default() };
        s.say(own, Message::JobDone(JobDone { job: 5, stats, flags: FROM_SUBMITTER, ..JobDone::default() }));
        s.measurement.cpu = CpuTicks { user: 1000, ..CpuTicks::default() };
        s.pass(Duration::from_secs(3));
        let told = s.sent_to_scheduler();
        told.iter().rev().find_map(|m| if let Message::Stats(stats) = m { Some(stats.load) } else { None })
    };
    assert_eq!(load(3000, 0, 0), Some(999));
    assert_eq!(load(3000, 1000, 500), Some(750), "1.5 s of 2 × 3");
    assert_eq!(load(3000, 2000, 1000), Some(500));
    assert_eq!(load(2999, 2000, 1000), Some(999));
}

/// CPU time on another host does not count here.
#[test]
fn what_another_host_built_for_a_client_stays_in_the_load() {
    let mut s = Scenario::new(config(2));
    let peer = s.remote_job(5);
    s.pass(Duration::from_secs(3));
    let stats = JobStats { real_ms: 3000, user_ms: 3000, ..JobStats::default() };
    s.say(peer, Message::JobDone(JobDone { job: 5, stats, flags: FROM_SUBMITTER, ..JobDone::default() }));
    s.sent_to_scheduler();
    s.measurement.cpu = CpuTicks { user: 1000, ..CpuTicks::default() };
    s.pass(Duration::from_secs(3));
    assert!(matches!(&s.sent_to_scheduler()[..], [Message::Stats(stats)] if stats.load == 999));
}

/// A change between accepting jobs and not is reported once, however small the step.
#[test]
fn a_full_host_is_told_when_it_becomes_full_and_when_it_is_no_more() {
    let mut s = Scenario::new(config(2));
    s.client();
    s.pass(Duration::from_secs(4));
    let mut loads = |change: &dyn Fn(&mut Measurement)| {
        change(&mut s.measurement);
        s.sent_to_scheduler();
        s.pass(Duration::from_secs(3));
        let told = s.sent_to_scheduler().into_iter();
        told.filter_map(|m| if let Message::Stats(stats) = m { Some(stats.load) } else { None }).collect::<Vec<_>>()
    };
    let memory = |kb: u64| Memory { total_kb: 1_000_000, available_kb: kb, headroom_kb: 1 << 20 };
    assert_eq!(loads(&|m| m.memory = memory(50_000)), [950]);
    assert_eq!(loads(&|m| m.disk_free = 0), [1000]);
    assert_eq!(loads(&|_| {}), []);
    assert_eq!(loads(&|m| m.disk_free = 1 << 40), [950]);
    assert_eq!(loads(&|_| {}), []);
}

#[test]
fn only_nice_jobs_are_shown_as_nice() {
    let mut s = Scenario::new(config(1));
    s.local_job();
    for (niceness, shown) in [(0, ""), (1, " Nice: 1")] {
        let peer = s.client();
        s.say(peer, Message::GetCs(GetCs { count: 1, niceness, ..GetCs::default() }));
        s.scheduler(use_cs(8, OWN_ADDRESS, ClientId(u32::try_from(peer.0).unwrap())));
        let shows = s.internals();
        let line =
            format!("  client {0}: pending_use_cs local unix domain socket ClientID: {0} Job ID: 8{shown}\n", peer.0);
        assert!(shows.contains(&line), "{shows}");
    }
}

#[test]
fn features_are_shown_by_name() {
    for (bits, names) in
        [(0, "--"), (1, "env_xz"), (2, "env_zstd"), (3, "env_xz env_zstd"), (4, "--"), (1 << 24 | 2, "env_zstd")]
    {
        assert_eq!(feature_names(bits), names, "{bits}");
    }
}

/// After SIGTERM no scheduler is searched, and nothing is due before the grace period is over.
#[test]
fn a_daemon_that_stops_looks_for_no_scheduler() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    let runs = s.foreign_job(1, "e");
    s.handle(Input::Terminate);
    s.handle(Input::SchedulerLost);
    s.others.clear();
    let end = s.now + Duration::from_secs(10);
    s.pass(Duration::from_secs(9));
    assert!(s.others.is_empty(), "{:?}", s.others);
    assert_eq!(s.daemon.poll_timeout(), Some(end));
    s.pass(Duration::from_secs(1));
    assert_eq!(s.others, [Output::Kill(runs), Output::Exit]);
}

#[test]
fn a_note_is_as_important_as_what_it_tells() {
    let text = || Text::from("x");
    let notes = [
        (Note::NotInstalled(env("e"), text()), Level::Error, "cannot install environment e(x86_64): x"),
        (Note::NativeFailed(text()), Level::Error, "cannot make native environment: x"),
        (Note::BadName(text()), Level::Error, "bad environment refused: x"),
        (Note::NoEnvironment(env("e"), 7), Level::Error, "I don't have environment e(x86_64) 7"),
        (Note::SchedulerGone, Level::Warning, "scheduler closed connection"),
        (Note::TakesNoJobs("why"), Level::Warning, "taking no jobs of others: why"),
        (
            Note::UnknownCall(text()),
            Level::Warning,
            "a job tried the system call x, which the call filter does not know",
        ),
        (Note::UnknownSchedulerMessage, Level::Warning, "unknown scheduler type, connection closed"),
        (Note::AnsweredLocally(7), Level::Warning, "no scheduler, request built here client=7"),
        (
            Note::Verified(env("e"), Err(text())),
            Level::Warning,
            "Verify environment done, failure, environment e(x86_64): x",
        ),
        (Note::NotVerified(env("e"), text()), Level::Warning, "cannot verify environment e(x86_64) now: x"),
        (Note::Connected(text()), Level::Info, "Connected to scheduler (I am known as x)"),
        (Note::TakesJobs, Level::Info, "taking jobs of others again"),
        (Note::Installed(env("e"), 1, 2), Level::Info, "installed x86_64/e size: 1 all: 2"),
        (Note::Removed(env("e"), "broken"), Level::Info, "removed environment e(x86_64): broken"),
        (Note::NativeBuilding(text()), Level::Info, "make native environment compiler=x"),
        (Note::NativeStale(text()), Level::Info, "native_env needs rebuild compiler=x"),
        (Note::Verified(env("e"), Ok(())), Level::Debug, "Verify environment done, success, environment e(x86_64)"),
        (Note::Accepted(7, text()), Level::Debug, "accepted x as 7"),
        (Note::RequestForJob(7), Level::Debug, "request for job 7"),
        (Note::RemoteCompile(text()), Level::Debug, "remote compile for file x"),
        (Note::MemoryLimit(7), Level::Debug, "Compile job memory limit set to 7 megabytes"),
        (Note::LocalBegins, Level::Debug, "send JobLocalBeginMsg to client"),
        (Note::Ends(7, text(), CloseReason::Idle), Level::Debug, "handle_end 7 x: idle for too long (118)"),
    ];
    for (note, level, words) in notes {
        assert_eq!((note.level(), note.to_string().as_str()), (level, words));
    }
}

/// A job that is served or built here is not reported by a second connection, but a client may have its own job served.
#[test]
fn whose_job_is_reported() {
    let mut s = Scenario::new(config(4));
    s.install("e", 1);
    s.own_job(5);
    s.sent_to_scheduler();
    let begins = |s: &mut Scenario, peer: PeerId, job: u32| {
        s.say(peer, compile_file(job, "e"));
        assert_eq!(s.grants().len(), 1);
        !s.sent_to_scheduler().is_empty()
    };
    let stranger = s.stranger(OTHER_ADDRESS);
    assert!(begins(&mut s, stranger, 6), "another number");
    let own = s.client();
    assert!(begins(&mut s, own, 5));
    let stranger = s.stranger(OTHER_ADDRESS);
    assert!(!begins(&mut s, stranger, 5));
}

#[test]
fn each_scheduler_is_told_the_load() {
    let mut s = Scenario::new(config(2));
    s.handle(Input::SchedulerLost);
    s.log_in();
    s.pass(Duration::ZERO);
    assert!(matches!(&s.sent_to_scheduler()[..], [Message::Login(_), Message::Stats(stats)] if stats.load == 0));
}

#[test]
fn who_is_gone_gets_no_answer() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    let (gone, waits) = (s.client(), s.client());
    for peer in [gone, waits] {
        s.say(peer, Message::VerifyEnv(target("e")));
    }
    s.hang_up(gone);
    s.handle(Input::Verified { env: env("e"), outcome: Ok(()) });
    assert!(s.sent_to(gone).is_empty());
    assert_eq!(s.sent_to(waits), [Message::VerifyEnvResult { ok: 1 }]);
}

#[test]
fn a_job_without_a_platform_is_of_this_hosts() {
    for (platform, starts) in [("", true), ("x86_64", true), ("i686", false)] {
        let mut s = Scenario::new(config(2));
        s.install("e", 1);
        let peer = s.stranger(OTHER_ADDRESS);
        let Message::CompileFile(job) = compile_file(1, "e") else { unreachable!() };
        s.say(peer, Message::CompileFile(CompileFile { target: platform.into(), ..job }));
        assert_eq!(s.grants().len(), usize::from(starts), "{platform}");
    }
}

#[test]
fn a_scheduler_that_was_left_is_expected_back_for_five_seconds() {
    let mut s = Scenario::new(config(2));
    s.scheduler(Message::MonLogin);
    s.handle(Input::SchedulerLost);
    let peer = s.asking();
    s.pass(Duration::from_millis(4999));
    assert!(s.sent_to(peer).is_empty());
    s.pass(Duration::from_millis(1));
    assert_eq!(s.sent_to(peer).len(), 1);
}

/// The load is measured more often than a scheduler is searched.
#[test]
fn a_scheduler_is_looked_for_whatever_else_is_due() {
    let mut s = Scenario::alone(config(2));
    s.client();
    for _ in 0..6 {
        s.others.clear();
        s.handle(Input::SchedulerNotFound);
        s.pass(Duration::from_secs(20));
        assert_eq!(s.others, [Output::Connect]);
    }
}

#[test]
fn the_load_is_looked_at_when_somebody_wants_to_know_and_once_at_a_time() {
    let mut daemon = Daemon::new(Instant::ZERO, config(2));
    let outputs = |daemon: &mut Daemon| std::iter::from_fn(|| daemon.poll_output()).collect::<Vec<_>>();
    daemon.handle_timeout(Instant::ZERO);
    assert_eq!(outputs(&mut daemon), [Output::Connect]);
    assert_eq!(daemon.poll_timeout(), None, "nobody is there");
    let opened = Input::Opened {
        peer: PeerId(1),
        version: Version::TO_CLIENT,
        address: PEER_ADDRESS.into(),
        origin: Origin::ThisHost,
    };
    daemon.handle(Instant::ZERO, opened);
    assert_eq!(daemon.poll_timeout(), Some(Instant::ZERO));
    daemon.handle_timeout(Instant::ZERO);
    assert!(outputs(&mut daemon).contains(&Output::Measure));
    assert_eq!(daemon.poll_timeout(), None, "the answer is still to come");
    daemon.handle(Instant::ZERO, Input::Measured(Measurement::default()));
    assert_eq!(daemon.poll_timeout(), Some(Instant::ZERO + Duration::from_secs(3)));
}

#[test]
fn the_load_is_looked_at_when_an_environment_has_come() {
    let mut s = Scenario::new(config(2));
    let peer = s.client();
    s.pass(Duration::from_millis(500));
    s.say(peer, Message::TransferEnv(target("e")));
    s.sent_to_scheduler();
    s.measurement.disk_free = 0;
    s.unpacked(peer, "e", 1);
    s.conf();
    assert!(s.sent_to_scheduler().iter().any(|m| matches!(m, Message::Stats(stats) if stats.load == 1000)));
}

#[test]
fn a_client_is_told_why_it_is_refused_if_there_is_a_reason_and_it_understands() {
    for (version, told) in [(22, false), (23, true)] {
        let mut s = Scenario::new(config(2));
        let peer = s.client_as(version);
        s.say(peer, Message::GetCs(GetCs { file: "x".repeat(1 << 20).into(), ..GetCs::default() }));
        let expected = told.then(|| Message::StatusText { text: "request too long".into() });
        assert_eq!(s.sent_to(peer), Vec::from_iter(expected), "{version}");
        let peer = s.client_as(version);
        s.say(peer, job_done(5, 0, FROM_SUBMITTER, 0));
        assert!(s.sent_to(peer).is_empty(), "{version}");
        assert_eq!(s.closed.get(&peer), Some(&CloseReason::ForeignJob));
    }
}
