//! A host on which all is well, and what is said first of each fault.

use super::*;

fn healthy() -> Facts {
    let link = Place { path: "/usr/lib/icecc/bin/gcc".into(), kind: PlaceKind::Icecc };
    let real = Place { path: "/usr/bin/gcc".into(), kind: PlaceKind::Compiler };
    let host = |name: &str, last: u8| HostFacts {
        name: name.into(),
        address: format!("10.0.0.{last}"),
        port: 10245,
        platform: "x86_64".into(),
        version: Some(44),
        slots: 4,
        no_remote: false,
        state: Some("ready".into()),
        is_own: last == 1,
    };
    let answer = Answer { at: "10.0.0.9:8765".into(), netname: "ICECREAM".into(), version: 44 };
    Facts {
        usage: Usage::Cluster,
        problems: Vec::new(),
        preferred: None,
        compilers: vec![Compiler { name: "gcc".into(), places: vec![link, real], leads_back: None }],
        links: Some("/usr/lib/icecc/bin".into()),
        ccache: Ccache::default(),
        daemon: DaemonFacts::Answers { protocol: 44, newest: 44, options: None },
        disks: vec![Disk { what: "what compilers write", path: "/tmp".into(), free: 5 << 30, is_writable: true }],
        memory: Some((8 << 30, 4)),
        clock_ahead: Some(0),
        scheduler: Some(SchedulerFacts { netname: "ICECREAM".into(), named: None, answers: vec![answer] }),
        hosts: Some(Ok(vec![host("h1", 1), host("h2", 2), host("h3", 3)])),
        is_blocked: false,
        platform: "x86_64".into(),
        ports: [2, 3].map(|n| Port { host: format!("h{n}"), at: format!("10.0.0.{n}:10245"), error: None }).into(),
        environments: vec![Environment { compiler: "gcc".into(), made: Ok("abc".into()) }],
        promises: Some(vec![Promise { word: "root".into(), missing: None }]),
        trials: [2, 3].map(|n| Trial { host: format!("h{n}"), outcome: Outcome::There, milliseconds: 70 }).into(),
    }
}

fn others(facts: &mut Facts) -> &mut [HostFacts] {
    match &mut facts.hosts {
        Some(Ok(hosts)) => &mut hosts[1..],
        _ => panic!("no hosts"),
    }
}

fn scheduler(facts: &mut Facts) -> &mut SchedulerFacts {
    facts.scheduler.as_mut().expect("a scheduler")
}

/// What follows from a daemon or scheduler that is not there.
fn nothing_behind(facts: &mut Facts) {
    facts.hosts = None;
    facts.ports.clear();
    facts.trials.clear();
}

fn no_daemon(facts: &mut Facts, why: WhyNoSocket) {
    let path = "/var/run/icecc/iceccd.socket".into();
    facts.daemon = DaemonFacts::None(vec![SocketTrouble { path, why }]);
    facts.scheduler = None;
    facts.environments.clear();
    nothing_behind(facts);
}

fn came_to(facts: &mut Facts, outcome: &Outcome) {
    facts.trials.iter_mut().for_each(|trial| trial.outcome = outcome.clone());
}

#[test]
fn a_healthy_host_is_ready() {
    let report = judge(&healthy());
    assert!(report.ready && report.first.is_empty(), "{report:?}");
    assert!(report.findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{report:?}");
    for check in &CHECKS {
        assert!(report.findings.iter().any(|finding| finding.check == check.word), "{} says nothing", check.word);
    }
}

type Fault = (&'static str, &'static str, &'static str, fn(&mut Facts));

/// Each keeps jobs on this host: the check that finds it, and words of what was found and of what to do first.
const BAD: &[Fault] = &[
    ("variables", "ICECC=no", "unset ICECC", |f| f.usage = Usage::LocalSlots),
    ("variables", "ICECC=disable", "unset ICECC", |f| f.usage = Usage::NoDaemon),
    ("path", "PATH has no compiler", "install", |f| f.compilers.clear()),
    ("path", "gcc is /usr/bin/gcc", "export PATH=/usr/lib/icecc/bin:$PATH", |f| f.compilers[0].places.reverse()),
    ("loop", "gcc leads back", "whole path", |f| f.compilers[0].leads_back = Some("/opt/gcc runs icecc".into())),
    ("ccache", "CCACHE_PREFIX=iceccc", "CCACHE_PREFIX", |f| f.ccache.prefix = Some("iceccc".into())),
    ("ccache", "gcc is ccache", "export CCACHE_PREFIX=icecc", |f| {
        f.ccache.is_there = true;
        f.compilers[0].places[0] = Place { path: "/usr/lib/ccache/gcc".into(), kind: PlaceKind::Ccache };
    }),
    ("daemon", "no daemon runs", "start the daemon", |f| no_daemon(f, WhyNoSocket::Absent)),
    ("daemon", "left by one that has ended", "start the daemon", |f| no_daemon(f, WhyNoSocket::Stale)),
    ("daemon", "you may not connect", "let everybody in", |f| no_daemon(f, WhyNoSocket::Forbidden)),
    ("daemon", "no daemon of this host", "end it", |f| no_daemon(f, WhyNoSocket::NotADaemon)),
    ("disk", "0 MiB are free", "make room in /tmp", |f| f.disks[0].free = 1000),
    ("disk", "/tmp cannot be written", "set TMPDIR", |f| f.disks[0].is_writable = false),
    ("scheduler", "no scheduler answers broadcasts", "start icecc-scheduler", |f| {
        scheduler(f).answers.clear();
        nothing_behind(f);
    }),
    ("scheduler", "no scheduler has netname ICECREAM; there are 10.0.0.9:8765 of OTHER", "-n OTHER", |f| {
        scheduler(f).answers[0].netname = "OTHER".into();
        nothing_behind(f);
    }),
    ("scheduler", "build1:8765, cannot be reached: refused", "correct the daemon's -s", |f| {
        scheduler(f).named = Some(("build1:8765".into(), Some("refused".into())));
        nothing_behind(f);
    }),
    ("login", "has blocked this host", "unblockcs", |f| f.is_blocked = true),
    ("login", "does not list this host", "the daemon's log", |f| {
        let Some(Ok(hosts)) = &mut f.hosts else { return };
        hosts.remove(0);
    }),
    ("hosts", "no other host is there", "start iceccd on other hosts", |f| {
        let Some(Ok(hosts)) = &mut f.hosts else { return };
        hosts.truncate(1);
        f.ports.clear();
        f.trials.clear();
    }),
    ("hosts", "none of the 2 other hosts takes jobs", "--no-remote", |f| {
        others(f).iter_mut().for_each(|host| host.no_remote = true);
        f.ports.clear();
        f.trials.clear();
    }),
    ("platform", "no other host runs programs of x86_64", "cross compilers", |f| {
        others(f).iter_mut().for_each(|host| host.platform = "aarch64".into());
        f.trials.clear();
    }),
    ("ports", "h2 cannot be reached from here at 10.0.0.2:10245", "firewall of h2", |f| {
        f.ports.iter_mut().for_each(|port| port.error = Some("timed out".into()));
    }),
    ("environment", "none of gcc: no assembler", "icecc-create-env gcc", |f| {
        f.environments[0].made = Err("no assembler".into());
        f.trials.clear();
    }),
    ("compile", "compiled here: the scheduler chose this host", "more hosts would take more jobs", |f| {
        came_to(f, &Outcome::Here("the scheduler chose this host".into()));
    }),
    ("compile", "compiled here: it is not known why", "daemon's log on h2", |f| {
        came_to(f, &Outcome::Here("it is not known why".into()));
    }),
    ("compile", "was not compiled: cc1: killed", "compiler work", |f| {
        came_to(f, &Outcome::Failed("cc1: killed".into()))
    }),
    ("compile", "the file for h2 was not compiled within 90 s", "log on h2", |f| came_to(f, &Outcome::Late(90))),
    ("compile", "no file was compiled on another host", "said above", |f| f.trials.clear()),
];

#[test]
fn what_keeps_jobs_here_is_named_first() {
    assert!(BAD.len() >= 25, "{} faults", BAD.len());
    for (check, found, remedy, inject) in BAD {
        let mut facts = healthy();
        inject(&mut facts);
        let report = judge(&facts);
        let first = report.findings.iter().find(|finding| finding.verdict != Verdict::Ok).expect("a fault");
        assert_eq!((first.check, first.verdict), (*check, Verdict::Bad), "{report:?}");
        assert!(first.found.contains(found) && first.remedy.contains(remedy), "{first:?}");
        assert!(!report.ready && report.first == first.remedy, "{report:?}");
    }
}

/// Jobs run elsewhere all the same.
const WARN: &[Fault] = &[
    ("variables", "ICECC_FALLBACK=x", "correct", |f| {
        f.problems.push("ICECC_FALLBACK=x is none of warn: ignored".into())
    }),
    ("variables", "ICECC_PREFERRED_HOST=h2", "unset", |f| f.preferred = Some("h2".into())),
    ("path", "PATH has no links", "export PATH=/usr/lib/icecc/bin:$PATH", |f| {
        f.compilers[0].places.remove(0);
    }),
    ("path", "no link to icecc for cross-gcc", "--update-links", |f| {
        let places = vec![Place { path: "/usr/bin/cross-gcc".into(), kind: PlaceKind::Compiler }];
        f.compilers.push(Compiler { name: "cross-gcc".into(), places, leads_back: None });
    }),
    ("ccache", "CCACHE_PREFIX=distcc", "CCACHE_PREFIX=icecc", |f| {
        f.ccache =
            Ccache { is_there: true, prefix: Some("distcc".into()), prefix_is_there: true, prefix_is_icecc: false };
    }),
    ("daemon", "older than this icecc", "install", |f| {
        f.daemon = DaemonFacts::Answers { protocol: 43, newest: 44, options: None };
    }),
    ("daemon", "no slots (-m 0)", "-m 0", |f| {
        let options = DaemonOptions { netname: "x".into(), scheduler: None, no_remote: false, slots: Some(0) };
        f.daemon = DaemonFacts::Answers { protocol: 44, newest: 44, options: Some(options) };
    }),
    ("disk", "500 MiB are free", "make room", |f| f.disks[0].free = 500 << 20),
    ("memory", "256 MiB are available for 4 jobs", "fewer slots", |f| f.memory = Some((256 << 20, 4))),
    ("clock", "3 s ahead of", "time server", |f| f.clock_ahead = Some(3)),
    ("clock", "9 s behind", "time server", |f| f.clock_ahead = Some(-9)),
    ("scheduler", "several have netname ICECREAM", "stop all but one", |f| {
        let second = Answer { at: "10.0.0.8:8765".into(), ..scheduler(f).answers[0].clone() };
        scheduler(f).answers.push(second);
    }),
    ("login", "text port does not answer", "port + 1", |f| f.hosts = Some(Err("refused".into()))),
    ("hosts", "h2 cannot be reached by the scheduler", "TCP port 10245", |f| {
        others(f)[0].state = Some("unreachable".into())
    }),
    ("hosts", "h3 has fallen silent", "hangs", |f| others(f)[1].state = Some("silent".into())),
    ("versions", "those below 31", "bring h2 up to date", |f| others(f)[0].version = Some(29)),
    ("ports", "h3 cannot be reached from here", "firewall of h3", |f| f.ports[1].error = Some("refused".into())),
    ("promises", "lack memory here: no groups", "Delegate=memory", |f| {
        f.promises = Some(vec![Promise { word: "memory".into(), missing: Some("no groups".into()) }]);
    }),
    ("compile", "the file for h3 was compiled on h2", "daemon's log on h3", |f| {
        f.trials[1].outcome = Outcome::Elsewhere("h2".into());
    }),
];

#[test]
fn what_could_be_better_is_a_warning() {
    for (check, found, remedy, inject) in WARN {
        let mut facts = healthy();
        inject(&mut facts);
        let report = judge(&facts);
        let first = report.findings.iter().find(|finding| finding.verdict != Verdict::Ok).expect("a warning");
        assert_eq!((first.check, first.verdict), (*check, Verdict::Warn), "{report:?}");
        assert!(first.found.contains(found) && first.remedy.contains(remedy), "{first:?}");
        assert!(report.ready && report.first.is_empty(), "{report:?}");
    }
}

#[test]
fn many_names_are_counted() {
    let mut facts = healthy();
    facts.compilers = (0..9).map(|n| Compiler { name: format!("gcc-{n}"), ..facts.compilers[0].clone() }).collect();
    let report = judge(&facts);
    let path = report.findings.iter().find(|finding| finding.check == "path").expect("it");
    assert_eq!(path.found, "gcc-0, gcc-1, gcc-2, gcc-3, gcc-4, gcc-5 and 3 more lead to icecc");
}

#[test]
fn the_remedy_of_a_job_that_stays_is_its_reasons() {
    let reason = crate::reason::Reason::NoScheduler;
    let mut facts = healthy();
    came_to(&mut facts, &Outcome::Here(format!("{reason} (x)")));
    assert_eq!(judge(&facts).first, reason.remedy());
}

/// The check, the words of what was found, and what is so.
type Fine = (&'static str, &'static str, fn(&mut Facts));

/// At its bound or beside it nothing has to be done.
const FINE: &[Fine] = &[
    ("path", "gcc lead to icecc", |_| ()),
    ("path", "g0, g1, g2, g3, g4, g5 lead to icecc", |f| {
        f.compilers = (0..6).map(|n| Compiler { name: format!("g{n}"), ..f.compilers[0].clone() }).collect();
    }),
    ("path", "g0, g1, g2, g3, g4, g5 and 1 more lead to icecc", |f| {
        f.compilers = (0..7).map(|n| Compiler { name: format!("g{n}"), ..f.compilers[0].clone() }).collect();
    }),
    ("ccache", "it is not installed", |_| ()),
    ("ccache", "it is installed, and does not stand before icecc", |f| f.ccache.is_there = true),
    ("ccache", "its misses go to icecc by CCACHE_PREFIX", |f| {
        f.ccache =
            Ccache { is_there: true, prefix: Some("icecc".into()), prefix_is_there: true, prefix_is_icecc: true };
    }),
    ("daemon", "answers, protocol 45", |f| {
        f.daemon = DaemonFacts::Answers { protocol: 45, newest: 44, options: None };
    }),
    ("daemon", "answers, protocol 44", |f| {
        let options = DaemonOptions { netname: "x".into(), scheduler: None, no_remote: false, slots: Some(1) };
        f.daemon = DaemonFacts::Answers { protocol: 44, newest: 44, options: Some(options) };
    }),
    ("disk", "1024 MiB are free for what compilers write in /tmp", |f| f.disks[0].free = 1 << 30),
    ("memory", "1024 MiB are available for 4 jobs at a time", |f| f.memory = Some((1 << 30, 4))),
    ("memory", "256 MiB are available for 0 jobs at a time", |f| f.memory = Some((256 << 20, 0))),
    ("clock", "new files have the time of this host's clock", |f| f.clock_ahead = Some(2)),
    ("clock", "new files have the time of this host's clock", |f| f.clock_ahead = Some(-2)),
    ("scheduler", "10.0.0.9:8765 answers, netname iceCream, protocol 44", |f| {
        scheduler(f).netname = "iceCream".into();
    }),
    ("scheduler", "10.0.0.9:8765 answers, netname ICECREAM, protocol 44", |f| {
        let other = Answer { netname: "OTHER".into(), ..scheduler(f).answers[0].clone() };
        scheduler(f).answers.push(other);
    }),
    ("scheduler", "build1:8765 answers, as the daemon was told by -s", |f| {
        scheduler(f).named = Some(("build1:8765".into(), None));
    }),
    ("login", "the scheduler lists this host as h1", |_| ()),
    ("hosts", "2 of 2 others take jobs, 8 at a time", |_| ()),
    ("hosts", "1 of 2 others take jobs, 4 at a time", |f| others(f)[0].no_remote = true),
    ("hosts", "1 of 2 others take jobs, 4 at a time", |f| others(f)[1].port = 0),
    ("platform", "others run programs of x86_64", |f| others(f)[0].platform = "aarch64".into()),
    ("versions", "protocol 31: h3; protocol 44: h1, h2", |f| others(f)[1].version = Some(31)),
    ("ports", "2 hosts can be reached", |_| ()),
    ("environment", "of gcc: abc", |_| ()),
    ("promises", "all hold for jobs of others: root, calls", |f| {
        f.promises = Some(["root", "calls"].map(|word| Promise { word: word.into(), missing: None }).into());
    }),
];

#[test]
fn what_just_suffices_is_fine_and_told() {
    for (check, found, alter) in FINE {
        let mut facts = healthy();
        alter(&mut facts);
        let report = judge(&facts);
        assert!(report.findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{found}: {report:?}");
        let said: Vec<_> = report.findings.iter().filter(|f| f.check == *check).map(|f| f.found.as_str()).collect();
        assert_eq!(said, [*found], "{report:?}");
    }
}

#[test]
fn what_just_does_not_suffice_is_said() {
    let verdict = |check: &str, alter: &dyn Fn(&mut Facts)| {
        let mut facts = healthy();
        alter(&mut facts);
        judge(&facts).findings.iter().find(|finding| finding.check == check).map(|finding| finding.verdict)
    };
    for (free, expected) in
        [((1 << 30) - 1, Verdict::Warn), (100 << 20, Verdict::Warn), ((100 << 20) - 1, Verdict::Bad)]
    {
        assert_eq!(verdict("disk", &|f| f.disks[0].free = free), Some(expected), "{free}");
    }
    assert_eq!(verdict("memory", &|f| f.memory = Some(((1 << 30) - 1, 4))), Some(Verdict::Warn));
    assert_eq!(verdict("versions", &|f| others(f)[0].version = Some(30)), Some(Verdict::Warn));
    assert_eq!(verdict("promises", &|f| f.promises = None), None);
}

#[test]
fn each_promise_has_its_own_remedy() {
    let remedies = [
        ("own-id", "/etc/subuid"),
        ("memory", "Delegate=memory"),
        ("calls", "seccomp"),
        ("root", "unprivileged_userns_clone"),
    ];
    for (word, remedy) in remedies {
        let mut facts = healthy();
        facts.promises = Some(vec![Promise { word: word.into(), missing: Some("it is not so".into()) }]);
        let report = judge(&facts);
        let said: Vec<_> = report.findings.iter().filter(|finding| finding.check == "promises").collect();
        assert!(said.len() == 1 && said[0].remedy.contains(remedy), "{said:?}");
    }
}
