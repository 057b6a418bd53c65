//! S43 to S54: who is eligible, and who is chosen.

use std::collections::BTreeSet;
use std::time::Duration;

use ice_core::env::EnvRef;
use ice_core::job::JobStats;
use ice_core::message::{BlacklistHostEnv, GetCs, JobDone, Message, arg_flags, done_flags, features};

use crate::fake::{Answer, Daemon, Setup, ask, env};
use crate::{both, ours};

fn only(host: &str, environment: &str) -> GetCs {
    GetCs { preferred_host: host.into(), ..ask("a.c", environment) }
}

#[test]
fn s43_who_is_not_used() {
    both(|scheduler| {
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let hosts = [
            Setup::new("no-chroot").env("E").with(|l| l.chroot_possible = 0),
            Setup::new("no-remote").env("E").with(|l| l.no_remote = 1),
            Setup::new("no-slots").env("E").slots(0),
            Setup::new("old").env("E").offer(42),
            Setup::new("no-zstd").env("E").with(|l| l.features = features::ENV_XZ),
            Setup::new("other-platform").env("E").with(|l| l.platform = "aarch64".into()),
            Setup::new("fit").env("E"),
        ];
        let hosts: Vec<Daemon> = hosts.into_iter().map(|setup| scheduler.host(setup)).collect();
        let wants =
            |name: &str| GetCs { minimal_version: 43, required_features: features::ENV_ZSTD, ..only(name, "E") };
        for host in &hosts {
            let answer = submitter.place(wants(&host.name()));
            assert_eq!(answer.is_on(host), host.name() == "fit", "{}: {answer:?}", host.name());
            assert!(host.name() == "fit" || answer.is_home(), "{}: {answer:?}", host.name());
        }
        let nothing = GetCs { environments: Vec::new(), ..only("fit", "E") };
        assert!(submitter.place(nothing).is_home(), "a job without environments");
        // A raw offer above what is spoken satisfies, too.
        let newer = scheduler.host(Setup::new("newer").env("E").offer(48));
        assert!(submitter.place(GetCs { minimal_version: 44, ..only("newer", "E") }).is_on(&newer));
        assert!(submitter.place(GetCs { minimal_version: 44, ..only("fit", "E") }).is_home());
    });
}

#[test]
fn s44_platforms_that_run_on_others() {
    both(|scheduler| {
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let host = |platform: &str| {
            scheduler.host(Setup::new(platform).slots(8).env("E").with(|l| l.platform = platform.into()))
        };
        let hosts = ["x86_64", "i686", "ppc64"].map(host);
        for (on, job, runs) in [
            (0, "i386", true),
            (0, "i686", true),
            (0, "amd64", false),
            (1, "i386", true),
            (1, "x86_64", false),
            (2, "ppc", true),
            (2, "ppc64", true),
            (2, "x86_64", false),
        ] {
            let host: &Daemon = &hosts[on];
            let request = GetCs { environments: vec![env(job, "E")], ..only(&host.name(), "E") };
            let answer = submitter.place(request);
            assert_eq!(answer.is_on(host), runs, "{job} on {}: {answer:?}", host.name());
            if runs {
                assert_eq!(answer.server().host_platform, job, "the platform of the job is sent");
            }
        }
    });
}

#[test]
fn s45_several_environments() {
    both(|scheduler| {
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let arm = |name: &str, installed: EnvRef| {
            scheduler.host(Setup::new(name).with(|l| {
                l.platform = "aarch64".into();
                l.environments = vec![installed];
            }))
        };
        let _have = arm("have", env("x86_64", "E2"));
        let _have_not = arm("have-not", env("aarch64", "E2"));
        let environments = || vec![env("x86_64", "E1"), env("aarch64", "E2")];
        for (name, present) in [("have", 1), ("have-not", 0)] {
            let answer = submitter.place(GetCs { environments: environments(), ..only(name, "E1") });
            let server = answer.server();
            assert_eq!((server.env_present, server.host_platform.clone()), (present, "aarch64".into()), "{name}");
        }
    });
}

#[test]
fn s46_assigned_jobs() {
    both(|scheduler| {
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        for (slots, most) in [(1, 2), (4, 6), (8, 11)] {
            let name = format!("h{slots}");
            let mut host = scheduler.host(Setup::new(&name).slots(slots).env(&name));
            let request = || GetCs { preferred_host: name.as_str().into(), ..ask("a.c", &name) };
            let taken: Vec<Answer> = (0..most).map(|_| submitter.place(request())).collect();
            assert!(taken.iter().all(|a| a.is_on(&host)));
            let waits = submitter.request(request());
            assert_eq!(submitter.answer_within(Duration::from_millis(700)), None, "{slots} slots");
            host.done(taken[0].job(), 10, 10);
            assert_eq!(submitter.answer().client(), waits);
            host.send(&Message::End);
        }
    });
}

#[test]
fn s47_preferred_hosts() {
    both(|scheduler| {
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let _other = scheduler.host(Setup::new("other").slots(8).env("E"));
        let mut host = scheduler.host(Setup::new("Host").slots(1).env("E").from(5));
        let by_name = submitter.place(only("Host", "E"));
        let by_address = submitter.place(only("127.0.0.5", "E"));
        assert!(by_name.is_on(&host) && by_address.is_on(&host), "{by_name:?} {by_address:?}");
        let waits = submitter.request(only("Host", "E"));
        assert_eq!(submitter.answer_within(Duration::from_millis(700)), None);
        host.done(by_name.job(), 10, 10);
        assert_eq!(submitter.answer().client(), waits);
        for unknown in ["host", "HOST", "nobody"] {
            assert!(submitter.place(only(unknown, "E")).is_home(), "{unknown}");
        }
    });
}

#[test]
fn s48_blacklists() {
    both(|scheduler| {
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let mut other = scheduler.host(Setup::new("o").slots(0));
        let mut host = scheduler.host(Setup::new("h").slots(8).env("E").env("E2").from(5));
        let neighbour = scheduler.host(Setup::new("neighbour").slots(8).env("E").from(5));
        let elsewhere = scheduler.host(Setup::new("elsewhere").slots(8).env("E").from(6));
        // The host that has a job of this submitter is meant.
        assert!(submitter.place(only("h", "E")).is_on(&host));
        submitter.send(&Message::BlacklistHostEnv(BlacklistHostEnv {
            environment: "E".into(),
            target: "x86_64".into(),
            host: "127.0.0.5".into(),
        }));
        submitter.fence();
        scheduler.until_log("Blacklisting host 127.0.0.5 for environment E");
        assert!(submitter.place(only("h", "E")).is_home());
        assert!(submitter.place(only("h", "E2")).is_on(&host), "another environment");
        assert!(other.place(only("h", "E")).is_on(&host), "another submitter");
        let answer = submitter.place(only("neighbour", "E"));
        assert_eq!(answer.is_on(&neighbour), scheduler.is_ours(), "another daemon on that address: {answer:?}");
        for _ in 0..4 {
            let answer = submitter.place(ask("a.c", "E"));
            assert!(!answer.is_on(&host) && !answer.is_home(), "{answer:?}");
        }
        drop(elsewhere);
        host.send(&Message::End);
        let host = scheduler.host(Setup::new("h").slots(8).env("E").from(5));
        assert!(submitter.place(only("h", "E")).is_on(&host), "forgotten with its new login");
    });
}

#[test]
fn s49_no_history() {
    both(|scheduler| {
        let hosts: Vec<Daemon> =
            ["h1", "h2", "h3", "h4"].iter().map(|name| scheduler.host(Setup::new(name).slots(4).env("E"))).collect();
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let mut used = BTreeSet::new();
        // Time for the scheduler to see that each of them can be reached.
        std::thread::sleep(Duration::from_millis(500));
        for _ in 0..16 {
            let answer = submitter.place(ask("a.c", "E"));
            used.extend(hosts.iter().position(|h| answer.is_on(h)));
        }
        assert_eq!(used.len(), 4, "{used:?}");
    });
}

#[test]
fn s50_speeds_as_shown() {
    both(|scheduler| {
        let mut host = scheduler.host(Setup::new("h").slots(4).env("E"));
        let mut submitter = scheduler.host(Setup::new("s").slots(0));
        let mut text = scheduler.text();
        let mut monitor = scheduler.monitor();
        // (flags, exit code, bytes, user ms) and the speed after it.
        let script = [
            (0, 0, 4095, 100, "0.00"),
            (0, 1, 100_000, 100, "0.00"),
            (0, 0, 100_000, 100, "4000.00"),
            (arg_flags::DEBUG, 0, 36_000, 100, "1925.00"),
            (arg_flags::DEBUG3 | arg_flags::OPT2, 0, 45_000, 100, "1265.67"),
            (arg_flags::OPT1, 0, 35_000, 100, "1118.56"),
            (arg_flags::OPT_OTHER, 0, 35_000, 100, ""),
            (0, 0, 50_000, 100, ""),
            (0, 0, 50_000, 100, ""),
            // From seven samples on one job moves it little.
            (0, 0, 5_000_000, 100, ""),
            (0, 0, 5_000, 1000, ""),
            (0, 0, 50_000, 0, ""),
        ];
        let mut shown = Vec::new();
        for (flags, code, bytes, user_ms, _) in script {
            let job = submitter.place(GetCs { arg_flags: flags, ..only("h", "E") }).job();
            let stats = JobStats { user_ms, real_ms: user_ms, out_uncompressed: bytes, ..JobStats::default() };
            host.send(&Message::JobDone(JobDone { job: job.0, exit_code: code, stats, ..JobDone::default() }));
            host.fence();
            let listed = text.command("listcs");
            let line = listed.lines().find(|line| line.starts_with(" h (")).unwrap();
            let speed = line.split("speed=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
            shown.push(speed.to_owned());
        }
        // Written from the page's formula for the first seven; the others are 1.4's own, as it says them.
        let formula = speeds_by_the_page(&script.map(|(flags, code, bytes, user_ms, _)| (flags, code, bytes, user_ms)));
        assert_eq!(shown, formula);
        host.stats(5);
        let told = crate::fake::fields(&monitor.until_line("Load:5"));
        assert!(told["Speed"].starts_with(shown.last().unwrap().as_str()), "{told:?}");
    });
}

/// 1.4's speed of a host and its submitter's share once more, in the plainest words.
fn speeds_by_the_page(script: &[(u32, i32, u32, u32)]) -> Vec<String> {
    let (mut sizes, mut times, mut samples) = (0u64, 0u64, 0u32);
    let mut shown = Vec::new();
    for (flags, code, bytes, user_ms) in script {
        if *code == 0 && *bytes >= 4096 {
            let mut size = u64::from(*bytes);
            if flags & arg_flags::DEBUG != 0 {
                size = size * 10 / 36;
            } else if flags & arg_flags::DEBUG3 != 0 {
                size = size * 10 / 45;
            }
            if flags & (arg_flags::OPT1 | arg_flags::OPT2 | arg_flags::OPT_OTHER) != 0 {
                size = size * 58 / 35;
            }
            if samples >= 7 {
                let v = sizes as f64 / times as f64;
                let user = f64::from(*user_ms);
                if *user_ms == 0 {
                    size = 0;
                } else if size as f64 / user / 1.2 > v {
                    size = (v * 1.2 * user) as u64;
                } else if size as f64 / user * 1.2 < v {
                    size = (v / 1.2 * user) as u64;
                }
            }
            sizes += size;
            times += u64::from(*user_ms);
            samples += 1;
        }
        let v = if times == 0 { 0.0 } else { sizes as f64 / times as f64 };
        let favour = if samples < 7 && samples > 0 { 4.5 - 0.5 * f64::from(samples) } else { 1.0 };
        shown.push(format!("{:.2}", v * favour));
    }
    shown
}

/// Lets a host do so many jobs of a file, each taking so long.
fn train(submitter: &mut Daemon, host: &mut Daemon, jobs: usize, ms: u32) {
    for n in 0..jobs {
        let request = GetCs { preferred_host: host.name().into(), ..ask(&format!("dir/f{n}.c"), "E") };
        let answer = submitter.place(request);
        host.begin(answer.job());
        host.done(answer.job(), ms, 100_000);
        host.fence();
    }
}

#[test]
fn s52_the_fast_one_is_chosen() {
    let scheduler = ours();
    let mut slow = scheduler.host(Setup::new("slow").slots(4).env("E"));
    let mut fast = scheduler.host(Setup::new("fast").slots(4).env("E"));
    let mut submitter = scheduler.host(Setup::new("s").slots(0));
    train(&mut submitter, &mut fast, 8, 100);
    train(&mut submitter, &mut slow, 8, 400);
    // With ids out of order, too, where 1.4 takes the slow one.
    for n in 0..30 {
        let early = submitter.place(ask(&format!("dir/f{}.c", n % 8), "E"));
        assert!(early.is_on(&fast), "{early:?}");
        let late = submitter.place(ask(&format!("dir/f{}.c", n % 5), "E"));
        assert!(late.is_on(&fast), "{late:?}");
        for answer in [late, early] {
            fast.begin(answer.job());
            fast.done(answer.job(), 100, 100_000);
        }
        fast.fence();
    }
}

#[test]
fn s53_the_first_job_stays_at_home() {
    let scheduler = ours();
    let mut host = scheduler.host(Setup::new("h").slots(4).env("E"));
    let mut asker = scheduler.host(Setup::new("asker").slots(0));
    train(&mut asker, &mut host, 8, 100);
    // (takes so long at home, stays there)
    for (name, ms, stays) in [("nearly", 125, true), ("slow", 250, false)] {
        let mut submitter = scheduler.host(Setup::new(name).slots(4).env("E"));
        for n in 0..8 {
            let request = GetCs { preferred_host: name.into(), ..ask(&format!("dir/f{n}.c"), "E") };
            let answer = submitter.place(request);
            assert!(answer.is_home(), "{answer:?}");
            let stats = JobStats { real_ms: ms, user_ms: ms, out_uncompressed: 100_000, ..JobStats::default() };
            let flags = done_flags::FROM_SUBMITTER;
            submitter.send(&Message::JobDone(JobDone { job: answer.job().0, stats, flags, ..JobDone::default() }));
            submitter.fence();
        }
        let answer = submitter.place(ask("dir/f1.c", "E"));
        assert_eq!(answer.is_home(), stays, "{name}: {answer:?}");
        submitter.send(&Message::End);
    }
}
