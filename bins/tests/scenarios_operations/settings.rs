//! O6 to O10 and O15: what `/etc/icecc/icecc.conf` and `/etc/default/icecc` say holds, or is refused.

use std::fs;
use std::process::Command;

use crate::cluster::SOON;
use crate::installed::Site;

#[test]
fn ids_are_lent_behind_those_of_others_and_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("subuid");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/service/job-ids");
    let run = || Command::new(script).arg(&file).status().is_ok_and(|status| status.success());
    assert!(run() && !file.exists(), "a host without subordinate ids");
    for (before, added) in [
        ("", "icecc:100000:4096\n"),
        ("bob:165536:65536\nalice:100000:65536\n", "icecc:231072:4096\n"),
        ("bob:100000:65536", "\nicecc:165536:4096\n"),
        ("icecc:7:8\nbob:100000:65536\n", ""),
        ("bob:4294900000:65536\n", ""),
    ] {
        fs::write(&file, before).expect("the lines of others");
        for _ in 0..2 {
            assert!(run());
            assert_eq!(fs::read_to_string(&file).expect("all lines"), format!("{before}{added}"));
        }
    }
}

#[test]
fn o6_no_jobs_means_one_slot_and_none_of_others() {
    let Some(site) = Site::up(1) else { return };
    site.set("h1", "ICECC_MAX_JOBS=\"0\"");
    site.start_all();
    let hosts = site.cluster.check(site.cluster.lab.console("listcs"));
    assert!(hosts.contains("jobs=0/1"), "{hosts}");
    // No port for them: 10245 is 0x2805, 0A a listening socket.
    let open = "awk '$4 == \"0A\" && $2 ~ /:2805$/' /proc/net/tcp /proc/net/tcp6";
    assert_eq!(site.cluster.ok("h1", &[], open).text(), "");
    site.set("h1", "ICECC_MAX_JOBS=\"1\"");
    site.ok("h1", "iceccd", "restart");
    assert_ne!(site.cluster.ok("h1", &[], open).text(), "");
}

#[test]
fn o7_the_netname_of_etc_default_wins_for_both() {
    let Some(site) = Site::up(1) else { return };
    site.set("h1", "ICECC_NETNAME=\"first\"");
    site.cluster.ok("h1", &[], "echo 'ICECC_NETNAME=second' >/etc/default/icecc");
    site.start_all();
    for name in ["iceccd", "icecc-scheduler"] {
        assert!(site.started_with("h1", name, &["-n", "second"]), "{:?}", site.words("h1", name));
    }
}

#[test]
fn o8_a_netname_with_a_blank_arrives_whole() {
    let Some(site) = Site::up(1) else { return };
    site.set("h1", "ICECC_NETNAME=\"n 1\"");
    site.start_all();
    for name in ["iceccd", "icecc-scheduler"] {
        assert!(site.started_with("h1", name, &["-n", "n 1"]), "{:?}", site.words("h1", name));
    }
}

#[test]
fn o9_junk_is_refused_by_file_line_and_key() {
    let Some(site) = Site::up(1) else { return };
    let refused = |action: &str, wanted: &str| {
        let output = site.service("h1", "iceccd", action);
        let said = output.error_text();
        assert_eq!(output.status.code(), Some(6), "{action}: {said}");
        assert!(said.starts_with(wanted), "{action}: {said}, wanted {wanted}");
    };
    let lines = site.cluster.ok("h1", &[], "wc -l </etc/icecc/icecc.conf").text();
    let next = lines.trim().parse::<u32>().unwrap() + 1;
    for line in [
        "ICECC_MAX_JOBS=\"many\"",
        "ICECC_NICE_LEVEL=5x",
        "ICECC_NICE_LEVEL=20",
        "ICECC_NICE_LEVEL=-5",
        "ICECC_ALLOW_REMOTE=\"No\"",
        "ICECC_CACHE_LIMIT='1 GB'",
        "ICECC_BASEDIR=cache",
        "ICECC_LOG_FILE=\"log\"",
        "  export ICECC_SCHEDULER_HOST='a host'",
    ] {
        site.cluster.ok("h1", &[], "cp /etc/icecc/icecc.conf saved");
        site.set("h1", line);
        let key = line.trim_start_matches("  export ").split('=').next().unwrap();
        refused("start", &format!("/etc/icecc/icecc.conf:{next}: {key}: "));
        assert!(site.words("h1", "iceccd").is_empty(), "{line}: it runs");
        site.cluster.ok("h1", &[], "cat saved >/etc/icecc/icecc.conf");
    }
    // One that runs is not ended for settings with which none can begin.
    site.ok("h1", "iceccd", "start");
    let before = site.cluster.called("h1", "iceccd");
    site.cluster.ok("h1", &[], "printf '\\n\\nICECC_MAX_JOBS=-3\\n' >/etc/default/icecc");
    refused("restart", "/etc/default/icecc:3: ICECC_MAX_JOBS: ");
    assert_eq!(site.cluster.called("h1", "iceccd"), before);
}

#[test]
fn an_unknown_key_is_a_warning_and_a_wrong_option_is_refused() {
    let Some(site) = Site::up(1) else { return };
    let lines = site.cluster.ok("h1", &[], "wc -l </etc/icecc/icecc.conf").text();
    let next = lines.trim().parse::<u32>().unwrap() + 1;
    site.set(
        "h1",
        "ICECC_NETNAM=\"x\"\nexport ICECC_MAX_JOB=3\nexport LC_ALL=C USE_SCHEDULER=h\nSOMETHING=1\nICECC_NETNAM=y",
    );
    let started = site.service("h1", "iceccd", "start");
    assert!(started.status.success(), "{}", started.error_text());
    let file = "/etc/icecc/icecc.conf";
    let wanted = [
        format!("{file}:{next}: warning: unknown key ICECC_NETNAM (did you mean ICECC_NETNAME?)"),
        format!("{file}:{}: warning: unknown key ICECC_MAX_JOB (did you mean ICECC_MAX_JOBS?)", next + 1),
        format!("{file}:{}: warning: unknown key SOMETHING", next + 3),
    ];
    assert_eq!(started.error_text().lines().collect::<Vec<_>>(), wanted);
    site.ok("h1", "iceccd", "stop");

    for (name, key) in [("iceccd", "ICECC_OPTIONS"), ("icecc-scheduler", "ICECC_SCHEDULER_OPTIONS")] {
        site.cluster.ok("h1", &[], &format!("echo '{key}=\"--allow all\"' >/etc/default/icecc"));
        let refused = site.service("h1", name, "start");
        let said = format!("{name}: --allow wants networks (10.0.0.0/8,fd00::/8), not \"all\"");
        assert_eq!((refused.status.code(), refused.error_text().lines().last()), (Some(2), Some(said.as_str())));
    }
    let refused = site.cluster.sh("h1", &[], "/etc/init.d/iceccd start now");
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn o10_an_unwritable_cache_is_an_error() {
    let Some(site) = Site::up(1) else { return };
    site.cluster.ok("h1", &[], "mkdir -m 755 /var/cache/roots");
    for folder in ["/var/cache/roots", "/proc/cache"] {
        site.set("h1", &format!("ICECC_BASEDIR=\"{folder}\""));
        let output = site.service("h1", "iceccd", "start");
        assert_eq!(output.status.code(), Some(1), "{folder}");
        assert!(output.error_text().contains(folder), "{}", output.error_text());
        assert!(site.words("h1", "iceccd").is_empty(), "{folder}: it runs");
    }
}

#[test]
fn o15_a_variable_names_the_scheduler_that_no_broadcast_finds() {
    let Some(site) = Site::up(2) else { return };
    // Nobody answers on the port that broadcasts go to.
    site.set("h1", "ICECC_SCHEDULER_OPTIONS=\"-p 9000\"");
    site.ok("h1", "icecc-scheduler", "start");
    site.set("h2", "export USE_SCHEDULER=10.77.0.1:9000");
    site.ok("h2", "iceccd", "start");
    let list = "exec timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/9001; printf \"listcs\\nquit\\n\" >&3; cat <&3'";
    site.cluster.until("log-in of h2", SOON, || site.cluster.sh("h1", &[], list).text().contains(" h2 "));
}
