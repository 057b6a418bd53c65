//! S28 to S42: requests, the queue, ends, cancels, environments on their way.

use std::time::Duration;

use ice_core::ids::{ClientId, JobId};
use ice_core::message::{GetCs, JobDone, Message, done_flags};

use crate::fake::{Answer, Daemon, LIMIT, Monitor, Scheduler, Setup, ask, env, until};
use crate::{both, both_kinds, ours};

/// Long enough for an answer that must not come.
const SHORT: Duration = Duration::from_millis(700);

fn next_done(monitor: &mut Monitor) -> JobDone {
    monitor.until("MON_JOB_DONE", |m| match m {
        Message::MonJobDone(done) => Some(*done),
        _ => None,
    })
}

/// A job that nobody but a host of that name may do.
fn only(host: &str, file: &str, environment: &str) -> GetCs {
    GetCs { preferred_host: host.into(), ..ask(file, environment) }
}

#[test]
fn s28_one_job() {
    both(|scheduler| {
        let mut monitor = scheduler.monitor();
        let mut host = scheduler.host(Setup::new("h").env("E"));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        monitor.until_line("Name:s");
        let client = submitter.request(GetCs { language: 1, ..ask("/very/long/path/to/x.cpp", "E") });
        let answer = submitter.answer();
        let server = answer.server();
        assert_eq!((server.client, server.env_present, server.host.clone()), (ClientId(client), 1, "127.0.0.1".into()));
        assert_eq!(server.host_platform, "x86_64");
        host.begin(answer.job());
        host.done(answer.job(), 120, 10_000);
        next_done(&mut monitor);
        let of_job = |m: &&Message| !matches!(m, Message::MonStats(_));
        let told: Vec<&Message> = monitor.told.iter().filter(of_job).collect();
        assert!(
            matches!(
                told[..],
                [Message::MonGetCs(asked), Message::MonJobBegin(begun), Message::MonJobDone(done)]
                    if asked.file == "path/to/x.cpp" && asked.language == 1 && asked.host.0 == 2
                        && begun.host.0 == 1 && begun.start_time == 1_700_000_000 && done.stats.user_ms == 120
            ),
            "{told:#?}"
        );
        let n = answer.job();
        for line in [
            // The name is cut to three components before it is sent.
            format!("NEW {n} client=s versions=[E(x86_64)"),
            "path/to/x.cpp C++ 0".into(),
            format!("put {n} in joblist of h"),
            format!("BEGIN: {n} client=s(x86_64) server=h(x86_64)"),
            format!("END {n} status=0 in=4000(25%) out=10000(50%) real=120 user=120 sys=1 pfaults=7 server=h"),
        ] {
            scheduler.until_log(&line);
        }
    });
}

#[test]
fn s29_counts() {
    both(|scheduler| {
        let _host = scheduler.host(Setup::new("h").slots(4).env("E"));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let client = submitter.request(GetCs { count: 3, ..ask("a.c", "E") });
        let three: Vec<Answer> = (0..3).map(|_| submitter.answer()).collect();
        assert_eq!(three.iter().map(|a| a.job().0).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(three.iter().all(|a| a.client() == client));
        submitter.request(GetCs { count: 0, ..ask("a.c", "E") });
        assert_eq!(submitter.fence(), []);
        if scheduler.is_ours() {
            submitter.request(GetCs { count: 65, ..ask("a.c", "E") });
            submitter.fence();
            assert!(scheduler.text().greeting.contains(" 3 jobs in queue (3 total)"), "refused as a whole");
        }
    });
}

#[test]
fn s30_reports_that_are_wrong() {
    both(|scheduler| {
        let mut host = scheduler.host(Setup::new("h").env("E"));
        let mut other = scheduler.host(Setup::new("other"));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let job = submitter.place(only("h", "a.c", "E")).job();
        host.begin(JobId(99));
        other.begin(job);
        host.done(JobId(99), 1, 1);
        host.fence();
        other.fence();
        scheduler.until_log("handle_job_begin: no valid job id 99");
        scheduler.until_log("that job isn't handled by 127.0.0.1");
        scheduler.until_log("job ID not present 99");
        assert!(scheduler.text().command("listjobs").contains(&format!(" {job} WAIT sub:s on:h a.c\n")));
        // 1.4 throws the sender out. Ours does not: a host repeats what its clients tell it, and they may be anybody.
        let judged = |sender: &mut Daemon| match scheduler.is_ours() {
            true => assert_eq!(sender.fence(), []),
            false => assert!(sender.is_closed_within(LIMIT)),
        };
        other.done(job, 1, 1);
        judged(&mut other);
        scheduler.until_log(&format!("the server isn't the same for job {job}"));
        let mut stranger = scheduler.host(Setup::new("stranger"));
        stranger.done_at_home(job, 1);
        judged(&mut stranger);
        scheduler.until_log(&format!("the submitter isn't the same for job {job}"));
        assert!(scheduler.text().command("listjobs").contains(&format!(" {job} WAIT sub:s on:h a.c\n")));
    });
}

#[test]
fn s31_done_without_begin() {
    both(|scheduler| {
        let mut host = scheduler.host(Setup::new("h").env("E"));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let job = submitter.place(ask("a.c", "E")).job();
        host.done(job, 100, 10_000);
        host.done(job, 100, 10_000);
        host.fence();
        scheduler.until_log(&format!("END {job} status=0"));
        scheduler.until_log(&format!("job ID not present {job}"));
        assert_eq!(scheduler.text().command("listjobs"), "200 done\n");
    });
}

#[test]
fn s32_done_for_a_pending_job() {
    both_kinds(|kind| {
        for (flags, code) in [(0, 1), (1, 1), (2, 1), (3, 0)] {
            if !kind.is_ours() && flags == 1 {
                // With 1.4 this one crashes or loops only later.
                continue;
            }
            let mut scheduler = Scheduler::start(kind);
            let _busy = scheduler.host(Setup::new("busy").env("E").load(Some(1000)));
            let mut submitter = scheduler.host(Setup::new("s").slots(0));
            let client = submitter.request(ask("a.c", "E"));
            submitter.fence();
            let job = if flags & done_flags::UNKNOWN_JOB != 0 { client } else { 1 };
            submitter.send(&Message::JobDone(JobDone { job, exit_code: code, flags, ..JobDone::default() }));
            if kind.is_ours() {
                submitter.fence();
                let pending = scheduler.text().command("listjobs").contains(" 1 PEND ");
                assert_eq!(pending, flags != 3, "flags {flags}");
            } else {
                // Not always: it is the heap that decides.
                let status = scheduler.ended_within(Duration::from_secs(5));
                assert_eq!(status.and_then(|status| status.code()), None, "flags {flags}: it is killed by a signal");
            }
        }
    });
}

#[test]
fn s33_cancels() {
    both(|scheduler| {
        let mut monitor = scheduler.monitor();
        let _busy = scheduler.host(Setup::new("busy").env("E").load(Some(1000)));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let client = submitter.request(ask("a.c", "E"));
        submitter.fence();
        submitter.cancel(client);
        let done = next_done(&mut monitor);
        assert_eq!((done.job, done.exit_code, done.flags), (1, 107, done_flags::FROM_SUBMITTER));
        assert_eq!(scheduler.text().command("listjobs"), "200 done\n");
        // Before 39 a cancel is an exit code.
        let mut old = scheduler.host(Setup::new("old").slots(0).offer(38));
        let client = old.request(ask("b.c", "E"));
        old.fence();
        let flags = done_flags::FROM_SUBMITTER | done_flags::UNKNOWN_JOB;
        old.send(&Message::JobDone(JobDone { job: client, exit_code: 200, flags, ..JobDone::default() }));
        assert_eq!(next_done(&mut monitor).job, 2);
        assert_eq!(scheduler.text().command("listjobs"), "200 done\n");
        let client = submitter.request(GetCs { count: 3, ..ask("c.c", "E") });
        submitter.fence();
        submitter.cancel(client);
        submitter.fence();
        let left = scheduler.text().command("listjobs").matches(" PEND ").count();
        assert_eq!(left, if scheduler.is_ours() { 0 } else { 2 });
    });
}

/// Jobs in the order they were handed out, by file, from the log.
fn handed_out(scheduler: &Scheduler) -> Vec<String> {
    let log = scheduler.log();
    let word = |line: &str, at: usize| line.split_whitespace().nth(at).unwrap_or_default().to_owned();
    let mut files = std::collections::BTreeMap::new();
    let mut order = Vec::new();
    for line in log.lines().filter_map(|l| l.split_once(": ").map(|(_, text)| text)) {
        if line.starts_with("NEW ") {
            let file = line.rsplit(' ').nth(2).unwrap_or_default().to_owned();
            files.insert(word(line, 1), file);
        } else if line.starts_with("put ") {
            order.extend(files.get(&word(line, 1)).cloned());
        }
    }
    order
}

#[test]
fn s34_order_of_the_queue() {
    both(|scheduler| {
        let mut host = scheduler.host(Setup::new("h").slots(1).env("E").load(Some(1000)));
        let mut a = scheduler.host(Setup::new("A").slots(0));
        let mut b = scheduler.host(Setup::new("B").slots(0));
        let nice = |file: &str, niceness: u32| GetCs { niceness, ..ask(file, "E") };
        for (file, niceness) in [("a1", 0), ("a2", 0), ("a3", 0), ("a4", 0), ("a-nice5", 5), ("a-nice99", 99)] {
            a.request(nice(file, niceness));
        }
        a.fence();
        for (file, niceness) in [("b-nice3", 3), ("b1", 0), ("b2", 0), ("b3", 0), ("b4", u32::MAX - 15)] {
            b.request(nice(file, niceness));
        }
        b.fence();
        host.stats(0);
        let mut order = Vec::new();
        let mut ended = Vec::new();
        while order.len() < 11 {
            let n = order.len();
            until("the next job", || {
                order = handed_out(scheduler);
                order.len() > n
            });
            // Its id is the place of its NEW line; end all that were handed out, oldest first.
            let log = scheduler.log();
            for line in log.lines().filter_map(|l| l.split_once(": put ").map(|(_, rest)| rest)) {
                let job: u32 = line.split(' ').next().and_then(|n| n.parse().ok()).unwrap();
                if !ended.contains(&job) {
                    ended.push(job);
                    host.done(JobId(job), 0, 0);
                    break;
                }
            }
        }
        let wanted = ["a1", "b1", "a2", "b2", "a3", "b3", "a4", "b4", "b-nice3", "a-nice5", "a-nice99"];
        assert_eq!(order, wanted);
        let log = scheduler.log();
        assert!(log.contains(" b4 C 0") && log.contains(" a-nice99 C 20"), "niceness is clamped");
    });
}

#[test]
fn s35_a_head_that_must_wait() {
    both(|scheduler| {
        let mut wanted = scheduler.host(Setup::new("wanted").slots(1).env("E").load(Some(1000)));
        let free = scheduler.host(Setup::new("free").slots(4).env("E"));
        let mut a = scheduler.host(Setup::new("A").slots(0));
        let mut b = scheduler.host(Setup::new("B").slots(0));
        a.request(only("wanted", "a.c", "E"));
        a.fence();
        b.request(ask("b.c", "E"));
        if scheduler.is_ours() {
            assert!(b.answer().is_on(&free));
        } else {
            assert_eq!(b.answer_within(SHORT), None);
        }
        wanted.stats(0);
        assert!(a.answer().is_on(&wanted));
        if !scheduler.is_ours() {
            b.answer();
        }
    });
}

#[test]
fn s36_never_and_later() {
    both(|scheduler| {
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        for _ in 0..6 {
            assert!(submitter.place(ask("a.c", "E")).is_home());
        }
        scheduler.until_log("No suitable host found, assigning submitter");
        let mut later = scheduler.host(Setup::new("later").env("E").load(Some(1000)));
        submitter.request(ask("b.c", "E"));
        assert_eq!(submitter.answer_within(Duration::from_secs(1)), None);
        scheduler.until_log("No suitable host found, delaying");
        later.stats(0);
        assert!(submitter.answer().is_on(&later));
    });
}

#[test]
fn s37_a_loaded_submitter_alone() {
    both(|scheduler| {
        let mut submitter = scheduler.host(Setup::new("s").slots(2).load(Some(1000)));
        assert!(submitter.place(ask("a.c", "E")).is_home());
    });
}

#[test]
fn s38_the_submitter_at_36() {
    both(|scheduler| {
        let mut submitter = scheduler.host(Setup::new("s").offer(36).from(9));
        let answer = submitter.place(ask("a.c", "E"));
        let server = answer.server();
        assert_eq!((server.host.clone(), server.env_present), ("127.0.0.9".into(), 1));
        assert!(answer.is_on(&submitter));
    });
}

#[test]
fn s39_an_environment_on_its_way() {
    both(|scheduler| {
        let mut host = scheduler.host(Setup::new("h").slots(4).env("Other"));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let answer = submitter.place(only("h", "a.c", "E"));
        assert_eq!(answer.server().env_present, 0);
        scheduler.until_log("(will install now)");
        let elsewhere = scheduler.host(Setup::new("elsewhere").slots(4).env("E"));
        assert!(submitter.place(ask("b.c", "E")).is_on(&elsewhere));
        // The same environment must wait for it, another one only with 1.4.
        submitter.request(only("h", "c.c", "Other"));
        if scheduler.is_ours() {
            assert!(submitter.answer().is_on(&host), "another environment goes on");
            submitter.request(only("h", "d.c", "E"));
        }
        assert_eq!(submitter.answer_within(SHORT), None);
        host.relogin(&[env("x86_64", "Other"), env("x86_64", "E")]);
        let answer = submitter.answer();
        assert_eq!((answer.is_on(&host), answer.server().env_present), (true, 1));
    });
}

#[test]
#[ignore = "two minutes: scripts/prove.sh dropin.4-S"]
fn s40_an_environment_that_never_arrives() {
    both(|scheduler| {
        let mut host = scheduler.host(Setup::new("h").slots(4).env("Other"));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        submitter.place(only("h", "a.c", "E"));
        if !scheduler.is_ours() {
            // It looks only when it looks for a server.
            std::thread::sleep(Duration::from_secs(122));
            submitter.request(ask("b.c", "E"));
            assert!(host.is_closed_within(LIMIT));
            return;
        }
        submitter.request(only("h", "b.c", "E"));
        assert_eq!(submitter.answer_within(Duration::from_secs(115)), None);
        host.fence();
    });
}

#[test]
fn s41_an_install_that_fails() {
    both(|scheduler| {
        let mut host = scheduler.host(Setup::new("h").slots(4));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let job = submitter.place(ask("a.c", "E")).job();
        host.failed(job, 118);
        scheduler.until_log(&format!("END {job} status=118"));
        submitter.request(ask("b.c", "E"));
        if scheduler.is_ours() {
            assert!(submitter.answer().is_on(&host));
        } else {
            assert_eq!(submitter.answer_within(SHORT), None);
        }
    });
}

#[test]
fn s42_one_request_one_platform() {
    both(|scheduler| {
        let mut x86 = scheduler.host(Setup::new("x86").slots(2).env("E1"));
        let mut arm = scheduler.host(Setup::new("arm").slots(8).with(|l| {
            l.platform = "aarch64".into();
            l.environments = vec![env("x86_64", "E2")];
        }));
        // So that the first goes to the first.
        arm.stats(1000);
        arm.fence();
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let environments = vec![env("x86_64", "E1"), env("aarch64", "E2")];
        submitter.request(GetCs { environments, count: 6, ..ask("a.c", "E1") });
        let mut running: Vec<Answer> = (0..3).map(|_| submitter.answer()).collect();
        arm.stats(0);
        assert_eq!(submitter.answer_within(SHORT), None, "the other platform is none of theirs any more");
        let mut all = running.clone();
        while all.len() < 6 {
            x86.done(running.remove(0).job(), 10, 10);
            let answer = submitter.answer();
            running.push(answer.clone());
            all.push(answer);
        }
        assert!(all.iter().all(|a| a.is_on(&x86)), "{all:?}");
    });
}

/// Cancels that came too late, and jobs of peers that left, leave nothing behind. (Not numbered: what S33 and S18 are
/// for.)
#[test]
fn nothing_is_left_of_jobs_that_ended() {
    let scheduler = ours();
    let mut host: Daemon = scheduler.host(Setup::new("h").slots(2).env("E"));
    let mut submitter = scheduler.host(Setup::new("s").slots(0));
    let client = submitter.request(ask("a.c", "E"));
    let answer = submitter.answer();
    submitter.cancel(client);
    submitter.fence();
    assert_eq!(scheduler.text().command("listjobs"), "200 done\n");
    // Its server reports the end of what it never began, or began too late.
    host.begin(answer.job());
    host.failed(answer.job(), 107);
    host.fence();
    assert!(scheduler.text().command("listcs").contains("jobs=0/2"));
}
