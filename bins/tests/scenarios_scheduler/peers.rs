//! S12 to S27: peers, logins, leaving, silence, reachability.

use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use ice_core::job::JobStats;
use ice_core::message::{
    BlacklistHostEnv, Chunk, CompileFile, CompileResult, CsConf, EnvTarget, GetCs, GetNativeEnv, JobBegin, JobDone,
    JobLocalBegin, Login, Message, MonGetCs, MonJobBegin, MonLocalJobBegin, MonStats, Stats, UseCs,
};
use ice_core::version::Version;

use crate::fake::{
    Answer, LIMIT, Scheduler, Setup, ask, connect_from, dial, env, fields, raw, silent_port, until, unused_port, within,
};
use crate::{both, both_kinds, ours};

#[test]
fn s12_first_messages() {
    both(|scheduler| {
        let mut bystander = scheduler.host(Setup::new("bystander"));
        for first in [
            Message::Ping,
            Message::End,
            Message::GetNativeEnv(GetNativeEnv::default()),
            Message::NativeEnv { path: "x".into() },
            Message::GetCs(GetCs::default()),
            Message::UseCs(UseCs::default()),
            Message::NoCs { job: Default::default(), client: Default::default() },
            Message::CompileFile(CompileFile::default()),
            Message::FileChunk(Chunk::default()),
            Message::CompileResult(CompileResult::default()),
            Message::JobBegin(JobBegin::default()),
            Message::JobDone(JobDone::default()),
            Message::JobLocalBegin(JobLocalBegin::default()),
            Message::JobLocalDone { id: 1 },
            Message::Stats(Stats::default()),
            Message::MonGetCs(MonGetCs::default()),
            Message::MonJobBegin(MonJobBegin::default()),
            Message::MonJobDone(JobDone::default()),
            Message::MonLocalJobBegin(MonLocalJobBegin::default()),
            Message::MonStats(MonStats::default()),
            Message::TransferEnv(EnvTarget::default()),
            Message::StatusText { text: "x".into() },
            Message::GetInternals,
            Message::CsConf(CsConf::default()),
            Message::VerifyEnv(EnvTarget::default()),
            Message::VerifyEnvResult { ok: 1 },
            Message::BlacklistHostEnv(BlacklistHostEnv::default()),
        ] {
            // One at a time: 1.4 takes a connection a second.
            if !scheduler.is_ours() && !matches!(first, Message::GetCs(_) | Message::End | Message::Stats(_)) {
                continue;
            }
            let mut conn = dial(Ipv4Addr::LOCALHOST, scheduler.port, 43);
            conn.send(&first, within(LIMIT)).unwrap();
            let answer = conn.recv(within(LIMIT));
            assert!(
                !matches!(answer, Ok(_) | Err(ice_net::error::ConnError::TimedOut { .. })),
                "{first:?}: {answer:?}"
            );
        }
        assert!(scheduler.log().contains("Invalid first message"));
        for body in [&[0u8, 0, 0, 66, 1] as &[u8], &[0, 0, 3, 232], &[0, 0, 0, 65], &[0, 0, 0, 68], &[0, 66]] {
            let mut frame = (body.len() as u32).to_be_bytes().to_vec();
            frame.extend_from_slice(body);
            let mut stream = raw(scheduler.port, 43);
            stream.write_all(&frame).unwrap();
            let mut rest = Vec::new();
            let closed = stream.read_to_end(&mut rest);
            let silent = closed.is_ok_and(|_| rest.is_empty()) || rest.is_empty();
            assert!(silent, "{body:?}: {rest:?}");
        }
        bystander.fence();
    });
}

/// Old and new protocols: logins at each, and a job from and to each.
#[test]
fn s13_versions() {
    both(|scheduler| {
        let mut monitor = scheduler.monitor();
        for offer in [21, 24, 26, 27, 32, 38, 42, 43, 44, 1000] {
            let name = format!("v{offer}");
            let setup = Setup::new(&name).offer(offer).env("E");
            // The login of the fake waits for CS_CONF from 24 on.
            let mut server = scheduler.host(setup);
            assert_eq!(server.conn().version(), Version::new(offer.min(43)));
            let seen = fields(&monitor.until_line(&format!("Name:{name}")));
            assert_eq!(seen["Version"], offer.to_string());
            assert_eq!(seen["Features"], if offer < 42 { "--" } else { "env_xz env_zstd" });
            let mut submitter = scheduler.host(Setup::new(&format!("s{offer}")).offer(offer).slots(0));
            let answer = submitter.place(ask("dir/x.c", "E"));
            assert!(answer.is_on(&server), "{offer}: {answer:?}");
            server.begin(answer.job());
            server.done(answer.job(), 100, 10_000);
            let done = monitor.until("MON_JOB_DONE", |m| match m {
                Message::MonJobDone(done) => Some(*done),
                _ => None,
            });
            assert_eq!((done.job, done.stats.out_uncompressed), (answer.job().0, 10_000));
            let client = submitter.request(GetCs { environments: Vec::new(), ..ask("dir/y.c", "E") });
            let home = submitter.answer();
            assert_eq!(home.client(), client);
            // "Build it yourself" has a message of its own from 37 on.
            assert_eq!(home.is_home(), offer >= 37, "{offer}: {home:?}");
            if offer < 24 {
                assert!(server.aside.is_empty() && submitter.aside.is_empty(), "CS_CONF at {offer}");
            }
            for mut left in [server, submitter] {
                left.send(&Message::End);
                assert!(left.is_closed_within(LIMIT));
            }
        }
    });
}

#[test]
fn s14_without_stats() {
    both(|scheduler| {
        let mut monitor = scheduler.monitor();
        let mut host = scheduler.host(Setup::new("h").env("E").load(None));
        assert_eq!(fields(&monitor.until_line("Name:h"))["Load"], "1000");
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        submitter.request(ask("x.c", "E"));
        assert_eq!(submitter.answer_within(Duration::from_millis(500)), None);
        host.stats(999);
        assert!(submitter.answer().is_on(&host));
    });
}

#[test]
fn s15_a_second_login() {
    both(|scheduler| {
        let mut monitor = scheduler.monitor();
        let mut host = scheduler.host(Setup::new("h").env("E").slots(3));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let port = host.port();
        host.send(&Message::Login(Login {
            port: 1,
            slots: 77,
            environments: vec![env("x86_64", "E2")],
            node_name: "other".into(),
            platform: "sparc".into(),
            chroot_possible: 0,
            no_remote: 1,
            features: 0,
        }));
        host.expect("CS_CONF", |m| matches!(m, Message::CsConf(_)).then_some(()));
        let line = scheduler.text().command("listcs");
        assert!(line.contains(&format!(" h (127.0.0.1:{port}) [x86_64] speed=0.00 jobs=0/3 load=0\n")), "{line}");
        let answer = submitter.place(ask("x.c", "E2"));
        assert_eq!((answer.is_on(&host), answer.server().env_present), (true, 1));
        let answer = submitter.place(ask("x.c", "E"));
        assert_eq!((answer.is_on(&host), answer.server().env_present), (true, 0));
        host.stats(1);
        monitor.until_line("Load:1");
        let logins =
            monitor.told.iter().filter(|m| matches!(m, Message::MonStats(s) if s.text.lossy().contains("Name:h\n")));
        assert_eq!(logins.count(), 3, "one for the login, two for STATS");
    });
}

#[test]
fn s16_the_same_name() {
    both(|scheduler| {
        let mut older = scheduler.host(Setup::new("twin"));
        let mut newer = scheduler.host(Setup::new("twin"));
        assert!(older.is_closed_within(LIMIT));
        let mut elsewhere = scheduler.host(Setup::new("twin").from(7));
        let mut neighbour = scheduler.host(Setup::new("neighbour"));
        newer.fence();
        elsewhere.fence();
        neighbour.fence();
        assert!(scheduler.text().greeting.contains(" 3 hosts,"));
    });
}

#[test]
fn s17_messages_a_host_may_not_send() {
    both(|scheduler| {
        for wrong in [Message::End, Message::MonLogin] {
            let mut host = scheduler.host(Setup::new("h"));
            host.send(&wrong);
            assert!(host.is_closed_within(LIMIT), "{wrong:?}");
        }
        let mut host = scheduler.host(Setup::new("h"));
        host.send(&Message::StatusText { text: "nobody asked".into() });
        if scheduler.is_ours() {
            host.fence();
        } else {
            assert!(host.is_closed_within(LIMIT));
        }
    });
}

#[test]
fn s18_a_host_leaves_with_jobs() {
    both(|scheduler| {
        let mut host = scheduler.host(Setup::new("h").slots(1).env("E"));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        // Two of others run on it, two of its own wait for it.
        let first = submitter.place(ask("a.c", "E")).job();
        // What is preferred waits for no slot that is about to be free.
        let second = submitter.place(GetCs { preferred_host: "h".into(), ..ask("b.c", "E") }).job();
        host.begin(first);
        let mut monitor = scheduler.monitor();
        monitor.until_line("Name:s");
        for file in ["c.c", "d.c"] {
            host.request(GetCs { preferred_host: "h".into(), ..ask(file, "E") });
        }
        host.fence();
        host.send(&Message::End);
        monitor.until_line("State:Offline");
        let mut lost = Vec::new();
        for _ in 0..4 {
            lost.push(monitor.until("MON_JOB_DONE", |m| match m {
                Message::MonJobDone(done) => Some(*done),
                _ => None,
            }));
        }
        let queued = [second.0 + 1, second.0 + 2];
        assert_eq!(lost.iter().map(|d| d.job).collect::<Vec<_>>(), [queued[0], queued[1], first.0, second.0]);
        for done in lost {
            assert_eq!(
                done,
                JobDone { job: done.job, exit_code: 255, stats: JobStats::default(), ..JobDone::default() }
            );
        }
        assert_eq!(submitter.fence(), [], "the submitter is told nothing");
    });
}

#[test]
fn s19_an_install_ends_with_its_submitter() {
    both(|scheduler| {
        let host = scheduler.host(Setup::new("h").slots(4));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        assert_eq!(submitter.place(ask("a.c", "E")).server().env_present, 0);
        let mut text = scheduler.text();
        assert!(text.command("listcs").contains(" busy installing since "));
        submitter.send(&Message::End);
        assert!(submitter.is_closed_within(LIMIT));
        assert!(!text.command("listcs").contains("busy installing"));
        let mut next = scheduler.host(Setup::new("s").slots(0));
        assert!(next.place(ask("a.c", "E")).is_on(&host));
    });
}

#[test]
fn s20_nobody_is_left() {
    both(|scheduler| {
        let mut host = scheduler.host(Setup::new("h").slots(1).env("E"));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        for file in ["a.c", "b.c"] {
            let preferred = GetCs { preferred_host: "h".into(), ..ask(file, "E") };
            assert!(submitter.place(preferred).is_on(&host));
        }
        let waiting: Vec<u32> = ["c.c", "d.c", "e.c"].map(|file| submitter.request(ask(file, "E"))).into();
        assert_eq!(submitter.fence(), []);
        host.send(&Message::End);
        for client in waiting {
            let answer = submitter.answer();
            assert!(answer.is_home() && answer.client() == client, "{answer:?}");
        }
    });
}

#[test]
#[ignore = "a minute and a half: scripts/prove.sh dropin.4-S"]
fn s21_silence_of_old_versions() {
    both(|scheduler| {
        let mut silent =
            [24, 26].map(|offer| scheduler.host(Setup::new(&format!("silent{offer}")).offer(offer).slots(4)));
        let mut answering = scheduler.host(Setup::new("answering").offer(26).slots(4));
        let mut modern = scheduler.host(Setup::new("modern").offer(27).slots(4));
        let long = Duration::from_secs(60);
        let is_ping = |m: &Message| matches!(m, Message::Ping).then_some(());
        for host in &mut silent {
            host.find_within(long, is_ping).expect("no PING");
        }
        answering.find_within(long, is_ping).expect("no PING");
        let listed = scheduler.text().command("listcs");
        assert!(listed.contains("jobs=0/-4"), "{listed}");
        answering.send(&Message::Ping);
        for host in &mut silent {
            assert!(host.is_closed_within(Duration::from_secs(20)));
        }
        answering.fence();
        modern.fence();
        assert!(!modern.aside.contains(&Message::Ping));
        let listed = scheduler.text().command("listcs");
        assert!(listed.contains("answering (") && listed.contains("modern ("), "{listed}");
        assert!(!listed.contains("silent") && !listed.contains("/-4"), "{listed}");
        scheduler.until_log("send ping silent24");
        scheduler.until_log("removing silent26");
    });
}

#[test]
fn s22_peers_that_do_not_log_in() {
    both(|scheduler| {
        let mut mute = connect_from(Ipv4Addr::LOCALHOST, scheduler.port);
        let mut idle = raw(scheduler.port, 43);
        let limit = if scheduler.is_ours() { LIMIT } else { Duration::from_secs(16) };
        let mut closed = Vec::new();
        for stream in [&mut mute, &mut idle] {
            stream.set_read_timeout(Some(limit)).unwrap();
            let mut rest = Vec::new();
            closed.push(stream.read_to_end(&mut rest).is_ok());
        }
        assert_eq!(closed, [scheduler.is_ours(); 2]);
    });
}

#[test]
fn s23_a_length_beyond_all_bounds() {
    both(|scheduler| {
        let mut host = scheduler.host(Setup::new("h"));
        let mut stream = raw(scheduler.port, 43);
        stream.write_all(&2_000_000u32.to_be_bytes()).unwrap();
        host.fence();
        // What is closed with bytes unread is reset.
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let end = stream.read_to_end(&mut Vec::new());
        assert!(end.as_ref().map_or_else(|e| e.kind() == ErrorKind::ConnectionReset, |_| true), "not closed: {end:?}");
    });
}

#[test]
fn s24_a_port_that_does_not_answer() {
    both(|scheduler| {
        let silent = silent_port();
        let mut host = scheduler.host(Setup::new("h").env("E").port(silent.port));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        scheduler.until_log("connected but is not able to accept incoming connections.");
        scheduler.until_log("attempting again in 2 seconds");
        assert!(submitter.place(ask("a.c", "E")).is_home());
        scheduler.until_log("attempting again in 4 seconds");
        silent.open(1);
        scheduler.until_log("is accepting incoming connections.");
        host.fence();
        assert!(submitter.place(ask("a.c", "E")).is_on(&host));
    });
}

#[test]
fn s25_a_port_that_refuses() {
    both(|scheduler| {
        let mut host = scheduler.host(Setup::new("h").env("E").port(unused_port()));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        if scheduler.is_ours() {
            scheduler.until_log("connected but is not able to accept incoming connections.");
            assert!(submitter.place(ask("a.c", "E")).is_home());
        } else {
            host.fence();
            assert!(submitter.place(ask("a.c", "E")).is_on(&host));
        }
    });
}

#[test]
fn s26_a_long_node_name() {
    both_kinds(|kind| {
        let mut scheduler = Scheduler::start(kind);
        let _monitor = scheduler.monitor();
        let mut bystander = scheduler.host(Setup::new("bystander"));
        let mut conn = dial(Ipv4Addr::LOCALHOST, scheduler.port, 43);
        let login = Setup::new(&"x".repeat(3000)).login;
        conn.send(&Message::Login(login), within(LIMIT)).unwrap();
        let answer = conn.recv(within(LIMIT));
        assert!(answer.is_err(), "{answer:?}");
        if kind.is_ours() {
            bystander.fence();
        } else {
            // Not always: it is the heap that decides.
            let status = scheduler.ended_within(Duration::from_secs(5));
            assert_eq!(status.and_then(|status| status.code()), None, "it is killed by a signal");
        }
    });
}

#[test]
fn s27_three_messages_in_one_write() {
    let scheduler = ours();
    let mut host = scheduler.host(Setup::new("h").env("E"));
    let again = Login { port: 0, slots: 0, platform: "".into(), ..host.setup().login.clone() };
    let request = GetCs { environments: Vec::new(), client: ice_core::ids::ClientId(9), ..ask("a.c", "E") };
    let three = [Message::Login(again.clone()), Message::Login(again), Message::GetCs(request)];
    host.conn().send_all(&three, within(LIMIT)).unwrap();
    let answer: Answer = host.answer();
    assert!(answer.is_home() && answer.client() == 9);
    let confs = host.aside.iter().filter(|m| matches!(m, Message::CsConf(_))).count();
    assert_eq!(confs, 2);
    until("both logins in the log", || scheduler.log().matches("RELOGIN h(x86_64)").count() == 2);
}
