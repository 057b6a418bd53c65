//! S55 to S63: monitors and the text port.

use std::time::Duration;

use ice_core::message::{Message, MonLocalJobBegin};
use ice_core::version::Version;

use crate::fake::{LIMIT, Monitor, Scheduler, Setup, TextPeer, ask, dial, fields, until, within};
use crate::{both, ours};

#[test]
fn s55_a_monitor_logs_in() {
    both(|scheduler| {
        let _hosts: Vec<_> = ["c", "a", "b"].iter().map(|name| scheduler.host(Setup::new(name).slots(3))).collect();
        let mut monitor = scheduler.monitor();
        for name in ["c", "a", "b"] {
            let Message::MonStats(stats) = monitor.next() else { panic!("not MON_STATS: {:?}", monitor.told) };
            let fields = fields(&stats);
            assert_eq!(fields["Name"], name);
            let keys: Vec<&str> =
                stats.text.lossy().lines().map(|l| l.split(':').next().unwrap().to_owned().leak() as &str).collect();
            let wanted = ["Name", "IP", "MaxJobs", "NoRemote", "Platform", "Version", "Features", "Speed", "Load"];
            assert_eq!(keys, wanted, "no averages yet");
        }
        let mut late = scheduler.host(Setup::new("late").load(None));
        monitor.until_line("Name:late");
        late.stats(7);
        let told = fields(&monitor.until_line("Load:7"));
        let averages = ["LoadAvg1", "LoadAvg5", "LoadAvg10", "FreeMem"].map(|key| told[key].as_str());
        assert_eq!(averages, ["11", "22", "33", "444"]);
    });
}

/// Monitors of all ages beside each other.
#[test]
fn s56_monitors_of_other_versions() {
    both(|scheduler| {
        let mut monitors = [21, 28, 29, 42, 43, 44].map(|offer| Monitor::login(scheduler, offer));
        let mut host = scheduler.host(Setup::new("h").env("E"));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let job = submitter.place(ask("/long/path/to/dir/x.c", "E")).job();
        host.begin(job);
        host.done(job, 100, 10_000);
        host.local_begin(4, "/a/b/c/d.o");
        host.send(&Message::JobLocalDone { id: 4 });
        for monitor in &mut monitors {
            let version = monitor.conn().version();
            let asked = monitor.until("MON_GET_CS", |m| match m {
                Message::MonGetCs(asked) => Some(asked.clone()),
                _ => None,
            });
            assert_eq!((asked.job, asked.file.clone()), (job, "to/dir/x.c".into()), "{version}");
            let request = asked.request;
            assert_eq!(request.is_some(), version < Version::new(29), "{version}");
            if let Some(request) = request {
                assert_eq!((request.count, request.environments.len(), request.client.0), (1, 0, 0));
            }
            let done = monitor.until("MON_JOB_DONE", |m| match m {
                Message::MonJobDone(done) => Some(*done),
                _ => None,
            });
            assert_eq!((done.job, done.stats.user_ms), (job.0, 100), "{version}");
            let local = monitor.until("MON_LOCAL_JOB_BEGIN", |m| match m {
                Message::MonLocalJobBegin(begin) => Some(begin.clone()),
                _ => None,
            });
            assert_eq!(local.file, "b/c/d.o", "{version}");
            monitor
                .until("the end of a local job", |m| (*m == Message::JobLocalDone { id: local.job.0 }).then_some(()));
        }
    });
}

#[test]
fn s57_a_monitor_that_does_not_read_and_one_that_leaves() {
    let scheduler = ours();
    let mut host = scheduler.host(Setup::new("h"));
    let mut reading = scheduler.monitor();
    reading.until_line("Name:h");
    let leaving = scheduler.monitor();
    let open = scheduler.descriptors();
    drop(leaving);
    until("the end of a monitor", || scheduler.descriptors() < open);
    let mut stuck = scheduler.monitor();
    stuck.next();
    let open = scheduler.descriptors();
    // More than any socket takes in and any outbox keeps.
    let mut n = 0;
    while scheduler.descriptors() >= open && n < 200_000 {
        n += 1;
        host.stats(n % 1000);
        if n % 1000 == 0 {
            host.fence();
            reading.until_line("Load:999");
            reading.told.clear();
        }
    }
    assert!(scheduler.descriptors() < open, "it was not dropped after {n} events");
    println!("dropped after {n} events");
    host.fence();
}

#[test]
fn s58_local_jobs() {
    both(|scheduler| {
        let mut monitor = scheduler.monitor();
        let mut host = scheduler.host(Setup::new("h"));
        host.local_begin(17, "/very/long/path/x.o");
        let begin: MonLocalJobBegin = monitor.until("MON_LOCAL_JOB_BEGIN", |m| match m {
            Message::MonLocalJobBegin(begin) => Some(begin.clone()),
            _ => None,
        });
        assert_eq!((begin.job.0, begin.host.0, begin.file.clone()), (1, 1, "long/path/x.o".into()));
        assert_eq!(begin.start_time, 1_700_000_000);
        host.send(&Message::JobLocalDone { id: 17 });
        monitor.until("its end", |m| (*m == Message::JobLocalDone { id: 1 }).then_some(()));
        host.send(&Message::JobLocalDone { id: 99 });
        monitor.until("an end of nothing", |m| (*m == Message::JobLocalDone { id: 0 }).then_some(()));
        host.local_begin(18, "y.o");
        host.send(&Message::End);
        monitor.until_line("State:Offline");
        if scheduler.is_ours() {
            monitor
                .until("the end of a job whose host died", |m| (*m == Message::JobLocalDone { id: 2 }).then_some(()));
        }
        scheduler.until_log("handle_local_job /very/long/path/x.o 17".trim_start_matches("handle_local_job /very/"));
        scheduler.until_log("handle_local_job_done 17");
    });
}

#[test]
fn s59_text_commands() {
    both(|scheduler| {
        let h1 = scheduler.host(Setup::new("h1").slots(4).env("E").from(5));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let mut text = scheduler.text();
        let greeting: Vec<&str> = text.greeting.lines().collect();
        assert!(greeting[0].starts_with("200-ICECC 1.4.0"), "{greeting:?}");
        assert!(greeting[0].ends_with("s uptime, 2 hosts, 0 jobs in queue (0 total)."), "{greeting:?}");
        assert_eq!(greeting[1], "200 Use 'help' for help and 'quit' to quit.");
        assert!(submitter.place(ask("dir/a.c", "E")).is_on(&h1));
        let h1_line = format!(" h1 (127.0.0.5:{}) [x86_64] speed=0.00 jobs=1/4 load=0\n", h1.port());
        let s_line = format!(" s (127.0.0.1:{}) [x86_64] speed=0.00 jobs=0/0 load=0\n", submitter.port());
        let job = "1 WAIT sub:s on:h1 dir/a.c\n";
        for (command, answer) in [
            ("listcs", format!("{h1_line}   {job}{s_line}")),
            ("LISTCS with arguments", format!("{h1_line}   {job}{s_line}")),
            ("listjobs", format!(" {job}")),
            ("listblocks", String::new()),
            ("removecs", "401 Sure. But which hosts?\n".into()),
            ("blockcs", "401 Sure. But which hosts?\n".into()),
            ("unblockcs", "401 Sure. But which host?\n".into()),
            ("nonsense and more", "Invalid command 'nonsense and more'\n".into()),
            ("", "Invalid command ''\n".into()),
        ] {
            assert_eq!(text.command(command), format!("{answer}200 done\n"), "{command}");
        }
        // What is unknown is an error; 1.4 says nothing.
        let unknown = text.command("removecs nobody");
        assert_eq!(unknown, if scheduler.kind().is_ours() { "401 No host nobody.\n200 done\n" } else { "200 done\n" });
        let help = text.command("help");
        let mut words = help.lines();
        for word in
            ["listcs", "listblocks", "listjobs", "removecs", "blockcs", "unblockcs", "internals", "help", "quit"]
        {
            assert!(words.any(|line| line.trim() == word || line.starts_with(&format!("{word} "))), "{word} in {help}");
        }
        assert_eq!(text.command("removecs 127.0.0.5"), "removing host 127.0.0.5\n200 done\n");
        text.send("quit\n");
        assert_eq!(text.read_to_end_within(LIMIT).as_deref(), Some("200 Good Bye!\n"));
    });
}

#[test]
fn s60_blocks() {
    both(|scheduler| {
        let mut text = scheduler.text();
        let mut host = scheduler.host(Setup::new("h"));
        assert_eq!(text.command("blockcs h"), "removing host h\n200 done\n");
        assert!(host.is_closed_within(LIMIT));
        text.command("blockcs h");
        assert_eq!(text.command("listblocks"), "   h\n   h\n200 done\n");
        let refused = || {
            let mut conn = dial(std::net::Ipv4Addr::LOCALHOST, scheduler.port, 43);
            conn.send(&Message::Login(Setup::new("h").login), within(LIMIT)).unwrap();
            conn.recv(within(LIMIT)).is_err()
        };
        assert!(refused());
        text.command("unblockcs h");
        assert!(refused(), "it was blocked twice");
        let unblocked = text.command("unblockcs h");
        assert!(unblocked == "200 done\n" || scheduler.kind().is_ours() && unblocked == "unblocked host h\n200 done\n");
        let mut host = scheduler.host(Setup::new("h"));
        host.fence();
    });
}

#[test]
fn s61_line_ends() {
    both(|scheduler| {
        let mut text = scheduler.text();
        for (sent, answers) in [
            ("listblocks\r\n", 1),
            ("listblocks\nlistblocks\n", 2),
            ("LISTblocks\n", 1),
            ("   listblocks\n", 1),
            ("listblocks\r\n\r\n\r\n", 1),
        ] {
            text.send(sent);
            for _ in 0..answers {
                assert_eq!(text.answer(), "200 done\n", "{sent:?}");
            }
        }
        text.send("\tlistblocks\n");
        if !scheduler.is_ours() {
            assert_eq!(text.answer(), "Invalid command ''\n200 done\n");
            assert_eq!(text.answer(), "200 done\n");
        } else {
            // Ours may do without the first answer.
            let first = text.answer();
            if first != "200 done\n" {
                assert_eq!((first.as_str(), text.answer().as_str()), ("Invalid command ''\n200 done\n", "200 done\n"));
            }
        }
        text.send("listblocks\nlistbl");
        text.answer();
        text.half_close();
        assert_eq!(text.read_to_end_within(LIMIT).as_deref(), Some("200 Good Bye!\n"));
    });
}

#[test]
fn s62_a_command_without_its_end_waits() {
    both(|scheduler| {
        let mut text = scheduler.text();
        text.send("quit");
        assert_eq!(text.read_to_end_within(Duration::from_millis(700)), None);
        text.send("\n");
        assert_eq!(text.read_to_end_within(LIMIT).as_deref(), Some("200 Good Bye!\n"));
    });
}

#[test]
#[ignore = "40 s: scripts/prove.sh dropin.4-S"]
fn s62_idle_text_peers() {
    both(|scheduler| {
        let mut text = scheduler.text();
        assert_eq!(text.read_to_end_within(Duration::from_secs(80)).as_deref(), Some("200 Good Bye!\n"));
    });
}

#[test]
fn s63_internals() {
    let scheduler = ours();
    let mut silent = scheduler.host(Setup::new("silent"));
    let mut host = scheduler.host(Setup::new("h").slots(4).env("E"));
    let mut submitter = scheduler.host(Setup::new("s").slots(0));
    let running = submitter.place(ask("a.c", "E")).job();
    host.begin(running);
    let mut text: TextPeer = scheduler.text();
    text.send("internals silent h\n");
    let is_asked = |m: &Message| (*m == Message::GetInternals).then_some(());
    host.expect("GET_INTERNALS", is_asked);
    host.send(&Message::StatusText { text: "all about h\n".into() });
    silent.expect("GET_INTERNALS", is_asked);
    // What comes meanwhile keeps its meaning, and others are served.
    host.done(running, 100, 10_000);
    scheduler.until_log(&format!("END {running} status=0"));
    assert!(submitter.place(ask("b.c", "E")).is_on(&host));
    let answer = text.answer();
    assert!(answer.contains("all about h") && answer.contains("silent not reporting"), "{answer}");
    // Late is no crime.
    silent.send(&Message::StatusText { text: "too late".into() });
    silent.fence();
    assert_eq!(hosts(&scheduler), 3);
}

fn hosts(scheduler: &Scheduler) -> usize {
    let greeting = scheduler.text().greeting;
    let before = greeting.split(" hosts,").next().unwrap();
    before.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap()
}
