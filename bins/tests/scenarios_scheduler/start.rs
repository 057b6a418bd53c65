//! S1 to S11: start, signals, discovery, election.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ice_core::message::Message;
use nix::sys::signal::Signal;
use nix::unistd::Uid;

use crate::fake::{
    Claim, Daemon, Kind, LIMIT, Options, Scheduler, Setup, announcement, answering, free_ports, holds_within,
    processes_with, query, run_to_end, scratch, until,
};
use crate::{OURS, both, both_kinds, ours};

fn with_args(args: &[&str]) -> Options {
    Options { args: args.iter().map(|a| (*a).to_owned()).collect(), ..Options::default() }
}

#[test]
fn s01_options() {
    both_kinds(|kind| {
        for (args, reason) in [
            (&["-n", ""] as &[&str], "-n"),
            (&["-l", ""], "-l"),
            (&["-i", ""], "-i"),
            (&["-p", ""], "-p"),
            (&["-p", "0"], "-p"),
            (&["--port=x"], "--port"),
            (&["-u", ""], "-u"),
            (&["-u", "no such user"], "-u"),
            (&["--user-uid", "root"], "--user-uid"),
            (&["--unknown"], "--unknown"),
            (&["-n"], "-n"),
        ] {
            let ended = run_to_end(kind, args, LIMIT);
            assert_eq!(ended.stdout, "", "{args:?}");
            if !kind.is_ours() {
                // Its reason, and all of its help.
                assert_eq!(ended.code, Some(1), "{args:?}");
                assert!(ended.stderr.contains("ICECREAM scheduler 1.4.0"), "{args:?}: {}", ended.stderr);
                continue;
            }
            assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{args:?}: {}", ended.stderr);
            assert!(ended.stderr.contains(reason), "{args:?}: {}", ended.stderr);
        }
        for option in ["-h", "--help"] {
            let ended = run_to_end(kind, &[option], LIMIT);
            // 1.4 takes it for a mistake.
            let (code, text) = if kind.is_ours() { (Some(0), &ended.stdout) } else { (Some(1), &ended.stderr) };
            assert_eq!(ended.code, code, "{option}");
            assert!(text.contains("--persistent-client-connection"), "{option}: {text}");
            assert!(!kind.is_ours() || ended.stderr.is_empty(), "{option}: {}", ended.stderr);
        }
        for form in [["-nSHORT", "-p"], ["--netname=LONG", "--port"], ["--netn=PREFIX", "--po"]] {
            let port = free_ports().to_string();
            let args = [form[0], form[1], port.as_str()];
            let started = Scheduler::start_with(kind, &with_args(&args));
            let answer = query(port.parse().unwrap(), 43).unwrap_or_else(|| panic!("{args:?}: no answer"));
            let netname =
                form[0].trim_start_matches("--netname=").trim_start_matches("--netn=").trim_start_matches("-n");
            assert!(answer.windows(netname.len()).any(|w| w == netname.as_bytes()), "{args:?}");
            drop(started);
        }
        for form in [&["-l"] as &[&str], &["--log-file"]] {
            let folder = open_folder();
            let log = folder.join("s.log");
            let quiet = Options { quiet: true, ..with_args(&[form, &[log.to_str().unwrap(), "-vvv"]].concat()) };
            let _started = Scheduler::start_with(kind, &quiet);
            until("a log file", || fs::read_to_string(&log).is_ok_and(|text| text.contains("scheduler ready")));
            let _ = fs::remove_dir_all(folder);
        }
        for level in ["-v", "-vv", "-vvv"] {
            let started = Scheduler::start_with(kind, &Options { quiet: true, ..with_args(&[level]) });
            let host = started.host(Setup::new("h"));
            let (info, debug) = (level.len() > 2, level.len() > 3);
            assert_eq!(started.log().contains("scheduler ready"), info, "{level}");
            assert_eq!(started.log().contains("login h protocol"), debug, "{level}");
            drop(host);
        }
        detached(kind);
        let _on_loopback = Scheduler::start_with(kind, &with_args(&["--interface=lo"]));
        let ended = run_to_end(kind, &["-i", "no-such-device"], LIMIT);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("No IP address found for interface \"no-such-device\""), "{}", ended.stderr);
    });
}

/// `-d`: the caller sees 0, the program goes on.
fn detached(kind: Kind) {
    let (port, folder) = (free_ports(), open_folder());
    let (netname, log) = (format!("detached{port}"), folder.join("d.log"));
    let port_text = port.to_string();
    let args = ["-d", "-p", &port_text, "-n", &netname, "-l", log.to_str().unwrap(), "-vvv"];
    assert_eq!(run_to_end(kind, &args, LIMIT).code, Some(0));
    until("an answer of a detached scheduler", || query(port, 43).is_some());
    let pid = processes_with(&netname);
    assert_eq!(pid.len(), 1, "{pid:?}");
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", pid[0])).unwrap(), PathBuf::from("/"));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid[0]), Signal::SIGTERM).unwrap();
    until("the end of a detached scheduler", || processes_with(&netname).is_empty());
    let _ = fs::remove_dir_all(folder);
}

/// A folder in which everybody may write.
fn open_folder() -> PathBuf {
    let folder = scratch(&format!("folder-{}", free_ports()));
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

#[test]
fn s02_root_gives_up_its_rights() {
    if !Uid::effective().is_root() {
        println!("skipped: needs root");
        return;
    }
    both_kinds(|kind| {
        for (args, user) in [(&[] as &[&str], "icecc"), (&["-u", "nobody"], "nobody")] {
            let Ok(Some(wanted)) = nix::unistd::User::from_name(user) else {
                println!("skipped: no user {user}");
                continue;
            };
            let started = Scheduler::start_with(kind, &with_args(args));
            let status = fs::read_to_string(format!("/proc/{}/status", started.pid())).unwrap();
            let line = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).unwrap().trim().to_owned();
            let four = |id: u32| [id; 4].map(|id| id.to_string()).join("\t");
            assert_eq!(line("Uid:"), four(wanted.uid.as_raw()));
            assert_eq!(line("Gid:"), four(wanted.gid.as_raw()));
            assert_eq!(line("Groups:"), "");
            assert_eq!(line("CapPrm:"), "0000000000000000");
            assert_eq!(line("CapEff:"), "0000000000000000");
        }
    });
}

#[test]
fn s03_a_taken_port_ends_it() {
    both_kinds(|kind| {
        for which in 0..3 {
            let port = free_ports();
            let any = Ipv4Addr::UNSPECIFIED;
            let tcp = (which < 2).then(|| TcpListener::bind((any, port + which)).unwrap());
            let udp = (which == 2).then(|| UdpSocket::bind((any, port)).unwrap());
            let ended = run_to_end(kind, &["-p", &port.to_string(), "-vvv"], LIMIT);
            assert_eq!(ended.code, Some(1), "{which}: {}", ended.stderr);
            assert!(ended.stderr.contains("Address already in use"), "{which}: {}", ended.stderr);
            if kind.is_ours() {
                let taken = port + which % 2;
                let who = format!("(ss -lntup 'sport = :{taken}' tells root who has port {taken})\n");
                assert!(ended.stderr.ends_with(&who), "{which}: {}", ended.stderr);
                assert_eq!(ended.stderr.matches("already in use").count(), 1, "{which}: {}", ended.stderr);
            }
            drop((tcp, udp));
        }
    });
}

#[test]
fn a_healthy_start_and_a_long_wait_are_a_line_each() {
    let scheduler = Scheduler::start_with(OURS, &with_args(&["--text-interface", "lo"]));
    scheduler.until_log(&format!("waiting for daemons of netname {}: none has logged in\n", scheduler.netname));
    let port = scheduler.port;
    let told = format!(
        "ready: netname {}, hears everybody on TCP and UDP port {port} of all addresses; text port {} of lo\n",
        scheduler.netname,
        port + 1
    );
    assert_eq!(scheduler.log().matches(&told).count(), 1, "{}", scheduler.log());
    let _host = scheduler.host(Setup::new("h"));
    scheduler.until_log("the first daemon logs in\n");
}

#[test]
fn s04_signals() {
    both_kinds(|kind| {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGALRM] {
            let mut scheduler = Scheduler::start(kind);
            let mut monitor = scheduler.monitor();
            let _hosts = [scheduler.host(Setup::new("h1")), scheduler.host(Setup::new("h2"))];
            monitor.until_line("Name:h2");
            scheduler.signal(signal);
            let status = scheduler.ended_within(LIMIT).expect("it does not end");
            assert_eq!(status.code(), Some(0), "{signal}");
            assert!(monitor.is_closed_within(LIMIT));
            let left = |m: &&Message| matches!(m, Message::MonStats(s) if s.text == "State:Offline\n");
            assert_eq!(monitor.told.iter().filter(left).count(), 2, "{signal}");
        }
    });
    let mut scheduler = ours();
    scheduler.signal(Signal::SIGUSR1);
    assert_eq!(scheduler.ended_within(Duration::from_millis(300)), None);
    let _still_there = scheduler.host(Setup::new("h"));
}

#[test]
fn s05_hang_up() {
    both_kinds(|kind| {
        let folder = open_folder();
        let (log, old, mark) = (folder.join("s.log"), folder.join("s.log.1"), folder.join("mark"));
        fs::write(&mark, "the mark\n").unwrap();
        let env = vec![("ICECC_TEST_FLUSH_LOG_MARK".to_owned(), mark.to_str().unwrap().to_owned())];
        let args = with_args(&["-l", log.to_str().unwrap(), "-vvv"]).args;
        let scheduler = Scheduler::start_with(kind, &Options { args, env, quiet: true, netname: None });
        let mut host = scheduler.host(Setup::new("h"));
        fs::rename(&log, &old).unwrap();
        scheduler.signal(Signal::SIGHUP);
        until("the mark in a new log", || {
            fs::read_to_string(&log).is_ok_and(|text| text.contains("flush log mark: the mark"))
        });
        assert!(fs::read_to_string(&old).unwrap().contains("login h protocol"));
        host.fence();
        until("later lines in the new log", || fs::read_to_string(&log).is_ok_and(|text| text.contains("RELOGIN h")));
        let _ = fs::remove_dir_all(folder);
    });
}

#[test]
fn s06_a_log_that_cannot_be_opened() {
    both_kinds(|kind| {
        if kind.is_ours() {
            let port = free_ports().to_string();
            let ended = run_to_end(kind, &["-p", &port, "-l", "/no/such/folder/log"], LIMIT);
            assert_eq!(ended.code, Some(1));
            assert!(ended.stderr.contains("/no/such/folder/log"), "{}", ended.stderr);
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        } else {
            let options = Options { quiet: true, ..with_args(&["-l", "/no/such/folder/log"]) };
            let started = Scheduler::start_with(kind, &options);
            let _host = started.host(Setup::new("h"));
        }
    });
}

#[test]
fn s07_queries() {
    both(|scheduler| {
        for (asker, answer) in [
            (0u8, None),
            (20, None),
            (21, Some((16, 22))),
            (32, Some((16, 33))),
            (33, Some((32, 35))),
            (36, Some((268, 38))),
            (38, Some((268, 41))),
            (44, Some((268, 47))),
            (127, Some((268, 130))),
            (128, None),
        ] {
            let got = query(scheduler.port, asker);
            let shape = got.as_ref().map(|bytes| (bytes.len(), bytes[0]));
            assert_eq!(shape, answer, "asked by {asker}");
            let Some(bytes) = got else { continue };
            let name = scheduler.netname.as_bytes();
            assert!(bytes.windows(name.len()).any(|w| w == name), "asked by {asker}");
            if asker >= 38 {
                assert_eq!(bytes[1..5], [0, 0, 0, 43], "always our version");
            }
        }
        let known = "broadcast from 127.0.0.1:";
        assert!(scheduler.log().contains(known));
    });
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Whether a scheduler gives way. It asks a winner once, for a third of a second, whether it is there, and a busy
/// machine misses that: the winner speaks `again`.
fn closes(host: &mut Daemon, again: impl Fn()) -> bool {
    (0..LIMIT.as_secs() / 4).any(|_| {
        let closed = host.is_closed_within(Duration::from_secs(4));
        if !closed {
            again();
        }
        closed
    })
}

#[test]
fn s08_announcements() {
    const CLAIMS: [(u8, bool); 3] = [(43, true), (44, false), (127, true)];
    both_kinds(|kind| {
        // A winner whose hosts come back at once, as here, is not believed again by ours.
        let rounds = if kind.is_ours() { CLAIMS.chunks(1) } else { CLAIMS.chunks(CLAIMS.len()) };
        for (persistent, claims) in rounds.map(|claims| (false, claims)).chain([(true, &CLAIMS[..])]) {
            // Ours asks whether the winner answers: it does so on the twin port.
            let twin = free_ports();
            let port = free_ports();
            let env = vec![("ICECC_TEST_SCHEDULER_PORTS".to_owned(), format!("{port}:{twin}"))];
            let args = if persistent { vec!["-r".to_owned()] } else { Vec::new() };
            let options = Options { args, env, netname: Some("NETA".into()), quiet: false };
            let scheduler = Scheduler::try_start(kind, &options, port).expect("it ended at once");
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let said = |version: u8, start: u64, netname: &str| {
                socket.send_to(&announcement(version, start, netname), (Ipv4Addr::LOCALHOST, port)).unwrap();
            };
            let mut host = scheduler.host(Setup::new("h"));
            let mut monitor = scheduler.monitor();
            monitor.until_line("Name:h");
            for (version, start, netname) in
                [(42, 1, "NETA"), (43, now() + 10, "NETA"), (43, 1, "NETB"), (43, 1, "neta"), (35, 1, "NETA")]
            {
                said(version, start, netname);
                let line = format!("(version {version}, netname {netname})");
                scheduler.until_log(&line);
                host.fence();
            }
            if kind.is_ours() {
                // Anybody can forge one; who is not there wins nothing.
                said(43, 1, "NETA");
                scheduler.until_log("(version 43, netname NETA)");
                if !persistent {
                    scheduler.until_log("does not answer");
                }
                host.fence();
            }
            for (version, is_old) in claims {
                let (version, start) = (*version, if *is_old { 1 } else { now() + 100 });
                let _winner = answering(&[Claim { port: twin, version, start, netname: "NETA".into() }]);
                said(version, start, "NETA");
                if persistent {
                    scheduler.until_log(&format!("(version {version}, netname NETA)"));
                    std::thread::sleep(Duration::from_millis(600));
                    host.fence();
                    continue;
                }
                assert!(closes(&mut host, || said(version, start, "NETA")), "{version} {start}");
                assert!(monitor.is_closed_within(LIMIT), "{version} {start}");
                scheduler.until_log("has announced itself as a preferred scheduler, disconnecting all connections");
                // Logins are taken again at once.
                host = scheduler.host(Setup::new("h"));
                monitor = scheduler.monitor();
                monitor.until_line("Name:h");
            }
            let lost = scheduler.log().contains("has announced itself as a preferred scheduler");
            assert_eq!(lost, !persistent);
        }
    });
}

#[test]
fn s09_two_schedulers() {
    for (first, second) in [(OURS, OURS), (OURS, Kind::Debian), (Kind::Debian, OURS)] {
        if !first.is_here() || !second.is_here() {
            continue;
        }
        let (a, b) = (free_ports(), free_ports());
        let twins = ("ICECC_TEST_SCHEDULER_PORTS".to_owned(), format!("{a}:{b}"));
        let options = |netname: &str| Options {
            env: vec![twins.clone()],
            netname: Some(netname.to_owned()),
            ..Options::default()
        };
        let younger = Scheduler::try_start(first, &options("ONE"), a).expect("it ended at once");
        let mut host = younger.host(Setup::new("h"));
        // Another net is none of its business.
        let other = Scheduler::try_start(second, &options("OTHER"), b).expect("it ended at once");
        younger.until_log("netname OTHER)");
        host.fence();
        drop(other);
        let mut older_options = options("ONE");
        older_options.env.push(("ICECC_FAKE_STARTTIME".to_owned(), "1".to_owned()));
        let older = Scheduler::try_start(second, &older_options, b).expect("it ended at once");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let again = || {
            socket.send_to(&announcement(43, 1, "ONE"), (Ipv4Addr::LOCALHOST, a)).unwrap();
        };
        assert!(closes(&mut host, again), "{first:?} {second:?}");
        younger.until_log("has announced itself as a preferred scheduler, disconnecting all connections");
        let _moved = older.host(Setup::new("h"));
        assert!(!older.log().contains("has announced itself as a preferred scheduler"));
    }
}

#[test]
#[ignore = "two minutes: scripts/prove.sh dropin.4-S"]
fn s10_announcements_come_again() {
    both_kinds(|kind| {
        let (port, twin) = (free_ports(), free_ports());
        let ear = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, twin)).unwrap();
        ear.set_read_timeout(Some(Duration::from_secs(150))).unwrap();
        let env = vec![("ICECC_TEST_SCHEDULER_PORTS".to_owned(), format!("{port}:{twin}"))];
        let options = Options { env, netname: Some("AGAIN".into()), ..Options::default() };
        let _scheduler = Scheduler::try_start(kind, &options, port).expect("it ended at once");
        let mut heard = Vec::new();
        for _ in 0..4 {
            let mut datagram = [0; 512];
            let (n, _) = ear.recv_from(&mut datagram).expect("no announcement");
            heard.push((n, datagram[..3].to_vec()));
        }
        let pair = [(heard[0].0, heard[0].1.clone()), (heard[1].0, heard[1].1.clone())];
        let marks: Vec<_> = pair.iter().map(|(_, mark)| mark.as_slice()).collect();
        assert!(marks.contains(&b"ICE".as_slice()) && marks.contains(&b"ICF".as_slice()), "{heard:?}");
        assert_eq!(heard[2..], pair);
    });
}

#[test]
fn the_text_port_can_be_this_hosts_alone() {
    let args = with_args(&["--text-interface", "lo", "--allow", "192.0.2.0/24,fd00::/8"]);
    let scheduler = Scheduler::start_with(OURS, &args);
    let connects = |last: u8, port| TcpStream::connect((Ipv4Addr::new(127, 0, 0, last), port)).is_ok();
    assert!(connects(1, scheduler.port + 1) && !connects(2, scheduler.port + 1));
    assert!(connects(1, scheduler.port) && connects(2, scheduler.port));
    let _host = scheduler.host(Setup::new("h"));
    assert!(scheduler.text().command("listcs").contains(" h ("));
}

#[test]
fn s11_a_second_host_is_taken_at_once() {
    // 1.4 lets it wait for up to 36 s, which is why these tests nudge it.
    let scheduler = ours();
    let _first = scheduler.host(Setup::new("h1"));
    std::thread::sleep(Duration::from_millis(300));
    let second = std::time::Instant::now();
    let _second = scheduler.host(Setup::new("h2"));
    println!("logged in after {:?}", second.elapsed());
    assert!(holds_within(LIMIT, || scheduler.log().contains("login h2 protocol")));
}
