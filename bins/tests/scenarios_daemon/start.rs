//! D2 to D12: start, who it is, where it listens, where it logs.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ice_core::version::Version;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, getsid};

use crate::fake::{LIMIT, SchedulerDouble, free_ports, processes_with, run, until};
use crate::place::{Place, at, device, give, has_own_mounts, is_root, mode, own_mounts, serves, skip};

/// A daemon as somebody else than who may: 41001 is neither the tests' user nor the service's.
const STRANGER: u32 = 41_001;

#[test]
fn d02_root_gives_up_its_rights() {
    for account in ["icecc", "nobody"] {
        let place = Place::new();
        let Some((mut command, folder)) = place.daemon_by_root(account) else { continue };
        let socket = folder.join("socket");
        command.env("ICECC_TEST_SOCKET", &socket);
        let daemon = place.start(command);
        let wanted = User::from_name(account).unwrap().unwrap();
        for task in fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap() {
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let line = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).unwrap().trim().to_owned();
            let four = |id: u32| [id; 4].map(|id| id.to_string()).join("\t");
            assert_eq!(line("Uid:"), four(wanted.uid.as_raw()));
            assert_eq!(line("Gid:"), four(wanted.gid.as_raw()));
            assert_eq!(line("Groups:"), "");
            // 1.4 keeps the right to chroot; ours has left that to its launcher.
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
                assert_eq!(line(set), "0000000000000000", "{set}");
            }
        }
        serves(&socket);
    }
    let place = Place::new();
    let mut command = place.daemon();
    command.args(["-u", "root"]);
    let ended = run(command, LIMIT);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.starts_with("iceccd: -u wants a user who is neither root"), "{}", ended.stderr);
}

#[test]
fn d03_an_ordinary_user() {
    let place = Place::new();
    let scheduler = SchedulerDouble::open(43);
    let daemon = place.start_with(&at(&scheduler));
    let login = scheduler.accept().login;
    if daemon.log().contains("Cannot use chroot, no remote jobs accepted.") {
        skip::<()>("no boxes for an ordinary user here")
    } else {
        assert_eq!((login.port, login.no_remote, login.chroot_possible), (place.port.into(), 0, 1));
        assert!(reaches(Ipv4Addr::LOCALHOST, place.port));
        Some(())
    };
    assert_eq!(mode(&place.socket()), 0o755);
    serves(&place.socket());
    drop(daemon);

    // Who has been given another root may make no user namespaces.
    if !has_own_mounts() {
        skip::<()>("needs root to take away the right to boxes");
        return;
    }
    // Nothing that is mounted there outlives this one's own mounts, nor is the folder ever removed.
    let script = "mount --rbind / /mnt && exec chroot --userspec=41000:41000 --groups= /mnt \"$0\" \"$@\"";
    let mut command = own_mounts();
    command.args(["sh", "-c", script]).arg(place.path("iceccd"));
    command.args(place.arguments()).args(at(&scheduler)).env("HOME", place.path(""));
    let daemon = place.start(command);
    let login = scheduler.accept().login;
    daemon.until_log("Cannot use chroot, no remote jobs accepted.");
    assert_eq!((login.port, login.no_remote, login.chroot_possible), (0, 1, 0));
    assert!(!reaches(Ipv4Addr::LOCALHOST, place.port));
    assert_eq!(mode(&place.socket()), 0o755);
    serves(&place.socket());
}

#[test]
fn d04_a_base_dir_of_somebody_else() {
    let place = Place::new();
    let refused = |command: Command, base: &Path| {
        let ended = run(command, LIMIT);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("{} belongs to uid", base.display())), "{}", ended.stderr);
    };
    let strange = place.path("strange");
    fs::create_dir(&strange).unwrap();
    give(&strange, STRANGER);
    let owned = if is_root() { strange.as_path() } else { Path::new("/usr") };
    let mut command = place.daemon();
    command.arg("-b").arg(owned);
    refused(command, owned);
    // A link where a daemon of root's might write.
    let victim = place.path("victim");
    fs::write(&victim, "of root").unwrap();
    symlink(&victim, strange.join(".owner")).unwrap();
    for owner in [0, STRANGER] {
        let Some((mut command, _)) = place.daemon_by_root("icecc") else { return };
        give(&strange, owner);
        command.arg("-b").arg(&strange);
        refused(command, &strange);
        assert_eq!(mode(&strange), 0o755, "changed all the same");
        assert_eq!((fs::read(&victim).unwrap(), fs::metadata(&victim).unwrap().uid()), (b"of root".to_vec(), 0));
    }
}

/// Ended by its number.
struct Detached(i32);

impl Drop for Detached {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0), Signal::SIGKILL);
    }
}

#[test]
fn d05_detached() {
    let place = Place::new();
    let args = place.arguments();
    // From a terminal, which it is to let go. The path of the log is relative to where it was started.
    let line = format!("./iceccd {} -d -l daemon.log", args.join(" "));
    let mut command = if Path::new("/usr/bin/script").exists() {
        let mut command = place.as_user("script");
        command.args(["-qec", &line, "/dev/null"]);
        command
    } else {
        skip::<()>("no program to make a terminal (script)");
        let mut command = place.as_user("sh");
        command.args(["-c", &line]);
        command
    };
    command.env("SHELL", "/bin/sh");
    let ended = run(command, LIMIT);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let base = place.base().display().to_string();
    let leader =
        processes_with(&base).into_iter().find(|pid| getsid(Some(Pid::from_raw(*pid))) == Ok(Pid::from_raw(*pid)));
    let daemon = Detached(leader.expect("nobody leads a session of its own"));
    let all = processes_with(&base);
    assert!(all.len() > 1, "a launcher besides");
    for pid in &all {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let terminal = stat.rsplit(')').next().unwrap().split_whitespace().nth(4);
        assert_eq!(terminal, Some("0"), "{pid} has a terminal");
        // It says that it is ready before it lets go of the stream it says it by.
        until("a daemon without its starter's streams", || {
            (0..3).all(|fd| {
                fs::read_link(format!("/proc/{pid}/fd/{fd}")).is_ok_and(|file| file == Path::new("/dev/null"))
            })
        });
    }
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", daemon.0)).unwrap(), Path::new("/"));
    let log = fs::read_to_string(place.path("daemon.log")).unwrap();
    assert!(log.contains(&format!("[{}] ", daemon.0)) && log.contains("starting up (nice level 5)"), "{log}");
    serves(&place.socket());
    kill(Pid::from_raw(daemon.0), Signal::SIGTERM).unwrap();
    until("the end of a detached daemon", || processes_with(&base).is_empty());
}

#[test]
fn d06_a_stale_socket_is_replaced_a_live_one_is_not() {
    let place = Place::new();
    let socket = place.path("test.socket");
    let command = || {
        let mut command = place.daemon();
        command.env("ICECC_TEST_SOCKET", &socket);
        command
    };
    let killed = place.start(command());
    drop(killed);
    assert!(socket.exists(), "a killed daemon has left its socket");
    let owner = place.start(command());
    assert_eq!(mode(&socket), 0o777);
    serves(&socket);
    let other = Place::new();
    let mut command = other.daemon();
    command.env("ICECC_TEST_SOCKET", &socket);
    let ended = run(command, LIMIT);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let reason = format!("another process listens on {}", socket.display());
    assert!(ended.stderr.contains(&reason), "{}", ended.stderr);
    serves(&socket);
    drop(owner);

    // The system's path, which only root's daemon has.
    let Some((command, _)) = place.daemon_by_root("icecc") else { return };
    let daemon = place.start(command);
    let socket = PathBuf::from(format!("/proc/{}/root/run/icecc/iceccd.socket", daemon.pid()));
    assert_eq!(mode(&socket), 0o777);
    assert_eq!(mode(socket.parent().unwrap()), 0o755);
    serves(&socket);
}

/// Where a process's descriptors lead.
fn descriptors(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|e| fs::read_link(e.path()).ok()).collect()
}

#[test]
fn nothing_inherited_stays_open_in_daemon_and_launcher() {
    let place = Place::new();
    let marker = place.path("marker");
    fs::write(&marker, "").unwrap();
    let mut command = place.as_user("sh");
    command.args(["-c", "exec 7<marker 9<marker; exec ./iceccd \"$@\"", "sh"]).args(place.arguments());
    let daemon = place.start(command);
    let launchers = daemon.children();
    assert!(!launchers.is_empty(), "no launcher");
    for process in launchers.into_iter().chain([daemon.pid()]) {
        let open = descriptors(process);
        // As an ordinary user one may not look into a launcher that has privilege.
        assert!(!open.contains(&marker), "{process}: {open:?}");
        assert!(process != daemon.pid() || !open.is_empty());
    }
}

const TAKEN: &str = "is in use: trying again";

#[test]
fn d07_a_taken_port() {
    let place = Place::new();
    let start = Instant::now();
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, place.port)).unwrap();
    let ended = run(place.daemon(), LIMIT);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches(TAKEN).count(), 4, "{}", ended.stderr);
    assert!(start.elapsed() >= Duration::from_secs(8), "five tries, two seconds apart");
    let wait = format!("waiting for TCP port {}, which another process has\n", place.port);
    assert_eq!(ended.stderr.matches(&wait).count(), 1, "{}", ended.stderr);
    let who = format!("(ss -lntup 'sport = :{0}' tells root who has port {0})\n", place.port);
    assert!(ended.stderr.ends_with(&who) && ended.stderr.matches("ss -lntup").count() == 1, "{}", ended.stderr);
    // It becomes free meanwhile.
    let daemon = place.launch(place.daemon());
    daemon.until_log(TAKEN);
    drop(taken);
    daemon.until_log("Netnames:");
    assert!(reaches(Ipv4Addr::LOCALHOST, place.port));
}

#[test]
fn a_healthy_start_and_a_long_wait_are_a_line_each() {
    let place = Place::new();
    // Without -vvv: what follows is told at any level.
    let mut command = place.as_user(place.path("iceccd"));
    command.args(place.arguments().split_off(1)).args(["-n", "nobody-serves-it", "-N", "me"]);
    let daemon = place.launch(command);
    daemon.until_log("waiting for the scheduler at 127.0.0.1:1: jobs run on this host until then\n");
    let log = daemon.log();
    let lines: Vec<&str> = log.lines().filter_map(|line| line.split_once(": ")).map(|(_, text)| text).collect();
    let told = lines.iter().find(|line| line.starts_with("iceccd 1.4.0 (icecream-rs ")).expect("the first line");
    for part in ["ready: host me, netname nobody-serves-it", "looks for the scheduler at 127.0.0.1:1;"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(told.contains(&format!("clients come to {}; takes ", place.socket().display())), "{told}");
    drop(daemon);

    let mut command = place.daemon();
    command.args(["-l", "/no/such/folder/log"]);
    let ended = run(command, LIMIT);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!((ended.code, lines.len()), (Some(1), 1), "{}", ended.stderr);
    assert!(lines[0].starts_with("iceccd: cannot open log /no/such/folder/log: "), "{}", ended.stderr);
}

/// Whether a daemon of ours answers on that address.
fn reaches(address: Ipv4Addr, port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&SocketAddr::from((address, port)), LIMIT) else { return false };
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut offer = [0; 4];
    stream.read_exact(&mut offer).unwrap();
    assert_eq!(offer, Version::TO_CLIENT.number().to_le_bytes());
    true
}

#[test]
fn d08_devices() {
    // Only who listens on all addresses is reached here.
    const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    let place = Place::new();
    let own = device();
    let reached = |args: &[&str]| {
        let _daemon = place.start_with(args);
        let reached = |address| reaches(address, place.port);
        (reached(Ipv4Addr::LOCALHOST), reached(OTHER), own.as_ref().map(|(_, address)| reached(*address)))
    };
    assert_eq!(reached(&[]), (true, true, own.as_ref().map(|_| true)));
    assert_eq!(reached(&["-i", "lo"]), (true, false, own.as_ref().map(|_| false)));
    if let Some((device, _)) = &own {
        assert_eq!(reached(&["-i", device]), (true, false, Some(true)));
    }
    let mut command = place.daemon();
    command.args(["-i", "nosuch0"]);
    let ended = run(command, LIMIT);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("No IP address found for interface \"nosuch0\""), "{}", ended.stderr);
}

#[test]
fn d09_a_relative_log_path() {
    let place = Place::new();
    let (log, old) = (place.path("d.log"), place.path("d.log.1"));
    let mut command = place.daemon();
    command.args(["-l", "d.log"]);
    let daemon = place.start_logging_to(&log, command);
    fs::rename(&log, &old).unwrap();
    daemon.signal(Signal::SIGHUP);
    until("the same path again", || log.exists());
    serves(&place.socket());
    until("lines in it", || fs::read_to_string(&log).is_ok_and(|text| text.contains("local unix domain socket")));
    assert_eq!(daemon.log(), "", "nothing on standard error");
}

/// Both programs, each with the log that is its own.
#[test]
fn g52_programs_open_their_logs_anew_and_end_with_0() {
    let place = Place::new();
    let mark = place.path("mark");
    fs::write(&mark, "the mark\n").unwrap();
    let built = env!("CARGO_BIN_EXE_icecc-scheduler");
    assert!(Command::new("cp").args([Path::new(built), &place.path("icecc-scheduler")]).status().unwrap().success());
    let mut scheduler = place.as_user(place.path("icecc-scheduler"));
    scheduler.args(["-vvv", "-p", &free_ports().to_string(), "-n", "g52"]);
    for (mut command, ready) in [(place.daemon(), "Netnames:"), (scheduler, "scheduler ready")] {
        let (log, old) = (place.path("program.log"), place.path("program.log.1"));
        command.arg("-l").arg(&log).env("ICECC_TEST_FLUSH_LOG_MARK", &mark);
        let mut program = place.launch(command);
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        until(ready, || read(&log).contains(ready));
        fs::rename(&log, &old).unwrap();
        program.signal(Signal::SIGHUP);
        until("the mark in a new log", || read(&log).contains("flush log mark: the mark\n"));
        program.signal(Signal::SIGTERM);
        assert_eq!(program.ended_within(LIMIT).and_then(|status| status.code()), Some(0), "{ready}");
        assert!(!read(&old).contains("the mark"));
        fs::remove_file(&log).unwrap();
    }
}

#[test]
fn d12_hang_up() {
    let place = Place::new();
    let marks = [place.path("mark"), place.path("header")];
    fs::write(&marks[0], "=1=\n").unwrap();
    fs::write(&marks[1], "====\n= a header\n=\na fourth line\n").unwrap();
    let by_user = Some((place.daemon(), place.path("")));
    for (mut command, folder) in [by_user, place.daemon_by_root("icecc")].into_iter().flatten() {
        let (log, old, socket) = (folder.join("d.log"), folder.join("d.log.1"), folder.join("test.socket"));
        command.arg("-l").arg(&log).env("ICECC_TEST_SOCKET", &socket);
        command.env("ICECC_TEST_FLUSH_LOG_MARK", &marks[0]).env("ICECC_TEST_LOG_HEADER", &marks[1]);
        let mut daemon = place.start_logging_to(&log, command);
        fs::rename(&log, &old).unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        for n in 1..=2 {
            daemon.signal(Signal::SIGHUP);
            until("marks in a new log", || read(&log).matches("\n====\n= a header\n=\n").count() == n);
        }
        assert_eq!(read(&log).matches("flush log mark: =1=\n").count(), 2, "{}", read(&log));
        assert!(!read(&log).contains("a fourth line") && !read(&old).contains("=1="));
        assert!(read(&old).contains("starting up"));
        serves(&socket);
        until("later lines in the new log", || read(&log).contains("local unix domain socket"));
        assert_eq!(daemon.ended(), None);
    }
}
