//! The figures of a host that a daemon shows and reports, and when they change.

use super::*;
use crate::job::JobStats;

/// The loads that are reported for these measurements.
fn reported(change: impl Fn(&mut Measurement)) -> Vec<u32> {
    let mut s = Scenario::new(config(2));
    s.client();
    s.pass(Duration::from_secs(4));
    s.sent_to_scheduler();
    change(&mut s.measurement);
    s.pass(Duration::from_secs(3));
    let loads = s
        .sent_to_scheduler()
        .into_iter()
        .filter_map(|m| if let Message::Stats(stats) = m { Some(stats.load) } else { None });
    loads.collect()
}

#[test]
fn a_call_that_no_job_may_make_is_logged_once_and_counted() {
    let mut s = Scenario::new(config(3));
    assert!(!s.internals().contains("System calls"));
    let call = |name: &str, count| (Text::from(name), count);
    s.handle(Input::UnknownCalls(vec![call("memfd_create", 2), call("number 999", 1)]));
    s.handle(Input::UnknownCalls(vec![call("memfd_create", 39)]));
    let told = |note: &&String| note.starts_with("a job tried the system call memfd_create, ");
    assert_eq!(s.notes.iter().filter(told).count(), 1);
    assert!(s.internals().contains("  System calls of jobs answered as unknown: memfd_create 41, number 999 1\n"));
    // One who tries all numbers does not fill the memory.
    s.handle(Input::UnknownCalls((0..1000).map(|n| call(&format!("number {n}"), 1)).collect()));
    assert!(s.internals().len() < 3000);
}

#[test]
fn internals_show_clients_and_jobs() {
    let mut s = Scenario::new(config(3));
    s.install("e", 7);
    let remote = s.remote_job(5);
    s.own_job(6);
    let asks = GetCs { count: 1, niceness: 3, ..GetCs::default() };
    let full = s.client();
    s.say(
        full,
        Message::JobLocalBegin(JobLocalBegin { output_file: "/b/x".into(), full: 1, ..JobLocalBegin::default() }),
    );
    let nice = s.client();
    s.say(nice, Message::GetCs(asks));
    s.scheduler(use_cs(8, OWN_ADDRESS, ClientId(u32::try_from(nice.0).unwrap())));
    s.foreign_job(9, "e");
    s.pass(Duration::from_millis(1500));
    let shown = s.internals();
    let clients: Vec<&str> = shown.lines().filter(|line| line.starts_with("  client ")).collect();
    let n = remote.0;
    let expected = [
        format!("  client {n}: waitcompile local unix domain socket ClientID: {n} Job ID: 5 CompileServer: 10.0.0.2"),
        format!("  client {0}: clientwork local unix domain socket ClientID: {0} Job ID: 6", n + 1),
        format!("  client {0}: clientwork local unix domain socket ClientID: {0} /b/x (full)", n + 2),
        format!("  client {0}: pending_use_cs local unix domain socket ClientID: {0} Job ID: 8 Nice: 3", n + 3),
        format!("  client {0}: tocompile 10.0.0.2 ClientID: {0}", n + 4),
    ];
    assert_eq!(clients, expected);
    assert!(shown.contains("  Cache Size: 7\n") && shown.contains("  Current kids: 0 (max: 3)\n"), "{shown}");

    let mut s = Scenario::new(config(3));
    s.install("e", 7);
    let job = s.foreign_job(9, "e");
    s.pass(Duration::from_millis(1500));
    let sends = s.client();
    s.say(sends, Message::TransferEnv(target("f")));
    let shown = s.internals();
    let line = format!("  client {0}: waitforchild 10.0.0.2 ClientID: {0} Job ID: 9 Slot: 0 Since: 1500 ms\n", job.0);
    assert!(shown.contains(&line) && shown.contains("  Current kids: 2 (max: 3)\n"), "{shown}");
}

#[test]
fn a_load_is_reported_when_it_changes_by_a_tenth() {
    let memory = |kb: u64| {
        move |m: &mut Measurement| m.memory = Memory { total_kb: 1_000_000, available_kb: kb, headroom_kb: 1 << 20 }
    };
    assert_eq!(reported(memory(901_000)), []);
    assert_eq!(reported(memory(900_000)), [100]);
}

#[test]
fn ten_ticks_say_nothing() {
    assert_eq!(reported(|m| m.cpu.user = 10), []);
    assert_eq!(reported(|m| m.cpu.user = 11), [999]);
    assert_eq!(reported(|m| m.cpu = CpuTicks { user: 10, nice: 10, system: 10, idle: 60, iowait: 10 }), [400]);
}

#[test]
fn a_host_takes_no_jobs_with_little_disk_or_memory() {
    // 25 MiB for each free slot and one more.
    assert_eq!(reported(|m| m.disk_free = 75 << 20), []);
    assert_eq!(reported(|m| m.disk_free = (75 << 20) - 1), [1000]);
    assert_eq!(reported(|m| m.memory.headroom_kb = 64 << 10), []);
    assert_eq!(reported(|m| m.memory.headroom_kb = (64 << 10) - 1), [1000]);
    assert_eq!(reported(|m| m.memory = Memory::default()), [], "not known");
}

#[test]
fn memory_is_shared_by_four_jobs_at_most_and_no_job_gets_less_than_256_mib() {
    let granted_where = |memory_is_shared: bool, slots: u32, headroom_mib: u64| {
        let mut s = Scenario::alone(Config { memory_is_shared, ..config(slots) });
        s.measurement.memory.headroom_kb = headroom_mib << 10;
        s.log_in();
        s.pass(Duration::from_secs(4));
        s.install("e", 1);
        s.foreign_job(1, "e");
        s.grants()[0].memory_mib
    };
    let granted = |slots, mib| granted_where(true, slots, mib);
    assert_eq!([1, 2, 4, 5].map(|slots| granted(slots, 4000)), [4000, 2000, 1000, 1000]);
    assert_eq!([255, 256, 257].map(|mib| granted(1, mib)), [256, 256, 257]);
    // Where nothing limits all of them together, the sum of their limits has to.
    assert_eq!([1, 4, 8].map(|slots| granted_where(false, slots, 4000)), [4000, 1000, 500]);
}

/// Free memory is reported in MiB.
#[test]
fn a_report_has_the_averages_and_the_free_memory() {
    let mut s = Scenario::alone(config(2));
    s.measurement.load_avg = [1, 2, 3];
    s.measurement.memory = Memory { total_kb: 4 << 20, available_kb: 2 << 20, headroom_kb: 1 << 20 };
    s.log_in();
    s.pass(Duration::from_secs(4));
    let told = s.sent_to_scheduler();
    let Some(Message::Stats(stats)) = told.last() else { panic!("{told:?}") };
    assert_eq!((stats.load, stats.free_mem), (500, 2048));
    assert_eq!((stats.load_avg_1, stats.load_avg_5, stats.load_avg_10), (1, 2, 3));
}

/// Our own compiles are no load.
#[test]
fn the_time_of_own_jobs_is_taken_off_the_load() {
    let load = |user_ms: u32, sys_ms: u32| {
        let mut s = Scenario::new(config(2));
        s.install("e", 1);
        let job = s.foreign_job(1, "e");
        s.pass(Duration::from_secs(3));
        s.sent_to_scheduler();
        let stats = JobStats { user_ms, sys_ms, ..JobStats::default() };
        s.handle(Input::JobEnded { peer: job, report: JobReport { stats, ..JobReport::default() } });
        s.measurement.cpu = CpuTicks { user: 1000, ..CpuTicks::default() };
        s.pass(Duration::from_secs(3));
        let told = s.sent_to_scheduler();
        told.iter().rev().find_map(|m| if let Message::Stats(stats) = m { Some(stats.load) } else { None })
    };
    assert_eq!(load(0, 0), Some(999));
    assert_eq!(load(2000, 1000), Some(500), "3 s of 2 × 3");
}

#[test]
fn the_load_is_looked_at_every_three_seconds_and_less_while_idle() {
    let waits = |s: &mut Scenario, count: usize| {
        let mut waits = Vec::new();
        while waits.len() < count {
            let at = s.daemon.poll_timeout().unwrap();
            waits.push(at.since(s.now).as_secs());
            s.now = at;
            s.daemon.handle_timeout(at);
            s.collect();
        }
        waits
    };
    let mut s = Scenario::new(config(2));
    s.pass(Duration::ZERO);
    assert_eq!(waits(&mut s, 5), [3, 6, 12, 15, 15]);
    s.client();
    assert_eq!(waits(&mut s, 3), [3, 3, 3]);
    let mut s = Scenario::alone(config(2));
    s.client();
    assert_eq!(waits(&mut s, 2), [3, 3]);
}

#[test]
fn an_answer_nobody_waits_for_frees_its_server() {
    let mut s = Scenario::new(config(2));
    let peer = s.remote_job(5);
    s.sent_to_scheduler();
    s.use_other(peer, 6);
    assert_eq!(s.sent_to_scheduler(), [job_done(6, 107, FROM_SUBMITTER, 1)]);
    assert_eq!(s.sent_to(peer).len(), 1);
}

#[test]
fn why_an_environment_was_refused_is_told_of_that_one() {
    for (name, told) in [("e", true), ("other", false)] {
        let mut s = Scenario::new(config(2));
        let peer = s.client();
        s.say(peer, Message::TransferEnv(target("e")));
        s.handle(Input::Received { peer, outcome: Err("no archive".into()) });
        s.say(peer, Message::VerifyEnv(target(name)));
        let heard = s.sent_to(peer);
        let Some(Message::StatusText { text }) = heard.first() else { panic!("{heard:?}") };
        assert_eq!(text.lossy().contains("no archive"), told);
    }
}

/// A failed attempt is not repeated for twice its duration.
#[test]
fn a_failed_build_counts_for_twice_its_time() {
    let key = || NativeKey {
        compression: Text::new(),
        compiler: "/gcc".into(),
        extra_files: Vec::new(),
        files: vec![FileFacts { path: "/gcc".into(), size: 1, mtime_ns: 1, inode: 1 }],
    };
    let asks = |s: &mut Scenario| {
        let peer = s.client();
        s.say(peer, Message::GetNativeEnv(GetNativeEnv::default()));
        s.handle(Input::Examined { peer, outcome: Ok((key(), false)) });
        std::mem::take(&mut s.others).contains(&Output::BuildNative(key()))
    };
    let mut s = Scenario::new(config(2));
    assert!(asks(&mut s));
    s.pass(Duration::from_secs(30));
    s.handle(Input::NativeBuilt { key: key(), outcome: Err("no".into()) });
    s.pass(Duration::from_millis(59_999));
    assert!(!asks(&mut s));
    s.pass(Duration::from_millis(1));
    assert!(asks(&mut s));
}

/// The connection's own thread handles its messages then.
#[test]
fn a_client_whose_job_waits_or_runs_says_no_more() {
    for slots in [1, 2] {
        let mut s = Scenario::new(config(2));
        s.install("e", 1);
        if slots == 1 {
            s.local_job();
            s.local_job();
        }
        let peer = s.foreign_job(1, "e");
        s.say(peer, Message::VerifyEnv(target("e")));
        assert_eq!(s.closed.get(&peer), Some(&CloseReason::Unexpected));
    }
}
