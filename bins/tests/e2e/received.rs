//! What a daemon makes of environments that come: whole ones in odd forms, broken ones, many, and recorded ones
//! (scenarios E…); run by `scripts/prove.sh toolchain.8`.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use ice_core::message::Message;
use ice_core::version::Version;
use ice_lab::Config;
use ice_net::compress::Unpacker;
use ice_net::deadline::{Deadline, Step};
use ice_net::wire::frame::Frames;
use ice_net::wire::{self, Reading};
use ice_toolchain::digest::of_content;

use crate::cluster::{Cluster, Whose, completed};
use crate::visitor::{begin, connect, in_network_of, target};

/// A tree of gcc without C++, to be small; `pack` makes it an archive after it was changed.
const TREE: &str = "set -e; icecc-create-env gcc --no-check --compression none >said && mkdir tree && tar -C tree -xf *.tar && rm *.tar
    rm -r tree/usr/bin/g++ tree/usr/bin/cc1plus tree/usr/share";

/// An environment with something wrong, or odd.
struct Form {
    number: &'static str,
    what: &'static str,
    /// Shell commands in the tree, a copy of hard links.
    change: &'static str,
    /// What makes an archive of it.
    pack: &'static str,
    name: &'static str,
    /// Words of h2's log, with NAME for the name of the content; for a refused one the client's trouble too.
    log: &'static str,
    trouble: &'static str,
}

const TAR: &str = "tar -cf";
const FORM: Form = Form { number: "", what: "", change: ":", pack: TAR, name: "", log: "", trouble: "" };

const FORMS: [Form; 7] = [
    Form {
        number: "E33",
        what: "no bin/true",
        change: "rm bin/true",
        name: "no-true",
        log: "installed x86_64/NAME",
        ..FORM
    },
    Form {
        number: "E34",
        what: "no cc1",
        change: "rm usr/bin/cc1",
        name: "no-cc1",
        log: "cannot execute 'cc1'",
        trouble: "Error 24",
        ..FORM
    },
    Form {
        number: "E34",
        what: "no library of cc1",
        change: "rm lib/x86_64-linux-gnu/libmpfr.so.6",
        name: "no-mpfr",
        log: "libmpfr.so.6",
        trouble: "Error 24",
        ..FORM
    },
    Form {
        number: "E34",
        what: "cc1 of mode 0000",
        change: "cp usr/bin/cc1 new; mv new usr/bin/cc1; chmod 0 usr/bin/cc1",
        name: "shut-cc1",
        log: "/usr/bin/gcc in NAME",
        trouble: "Error 24",
        ..FORM
    },
    Form {
        number: "E35",
        what: "programs of another machine",
        change: "for f in bin/true usr/bin/gcc usr/bin/cc1 usr/bin/as; do cp $f new; chmod 755 new; printf '\\267\\0' | dd of=new bs=1 seek=18 conv=notrunc 2>/dev/null; mv new $f; done",
        name: "foreign",
        log: "Verify environment done, failure, environment NAME",
        trouble: "Error 24",
        ..FORM
    },
    Form {
        number: "E30",
        what: "cut in the middle",
        pack: "cut() { tar -cf whole \"$2\" && head -c 20000000 whole >\"$1\" && rm whole; }; cut",
        name: "cut",
        log: "cannot install environment NAME",
        trouble: "(x86_64) is not installed: truncated archive",
        ..FORM
    },
    Form {
        number: "E32",
        what: "no usr/bin/as",
        change: "rm usr/bin/as",
        name: "no-as",
        log: "cannot install environment NAME",
        trouble: "is not installed: no environment: ",
        ..FORM
    },
];

/// Usable ones are used; a broken one costs a compile here, and is not brought to that host again.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e33_e34_e35_broken_environments_are_brought_once() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4]) else {
        return;
    };
    cluster.write("a.c", "int a(int x) { return x * 3 + 1; }\n");
    cluster.ok("h1", &[], &format!("gcc -O2 -c a.c -o plain.o; {TREE}"));
    for form in &FORMS {
        let Form { number, what, change, pack, name, log, trouble } = form;
        let make = format!(
            "set -e; cp -al tree {name}; cd {name}; {change}; cd ..; {pack} {name}.tar -C {name} .; rm -rf {name}"
        );
        // `tar -C` for the plain one; the cut one takes the folder's name.
        let make = if *pack == TAR { make } else { make.replace(&format!("-C {name} ."), name) };
        cluster.ok("h1", &[], &make);
        let archive = cluster.folder().join(format!("{name}.tar")).display().to_string();
        let known = of_content(File::open(&archive).expect("the archive")).expect("its digest");
        let log = log.replace("NAME", &known);
        let variables =
            [("ICECC_VERSION", archive.as_str()), ("ICECC_PREFERRED_HOST", "h2"), ("ICECC_DEBUG", "warnings")];
        let (before, mut said) = (completed(&cluster, "h2"), String::new());
        for _ in 0..2 {
            said += &cluster.ok("h1", &variables, "rm -f out.o; icecc gcc -O2 -c a.c -o out.o").error_text();
            assert!(cluster.read("out.o") == cluster.read("plain.o"), "{number} {what}: another object");
        }
        let (ran, brought) = (
            completed(&cluster, "h2") - before,
            cluster.count_in_log("h2", "iceccd.log", &format!("receiving environment {known}")),
        );
        assert!(cluster.count_in_log("h2", "iceccd.log", &log) > 0, "{number} {what}: h2's log has no {log}");
        assert_eq!(brought, 1, "{number} {what}: not brought once");
        let banned = cluster.count_in_log(
            "h1",
            "scheduler.log",
            &format!("Blacklisting host 10.77.0.2 for environment {known}"),
        );
        if trouble.is_empty() {
            assert_eq!((ran, banned, said.as_str()), (2, 0, ""), "{number} {what}");
            println!("{number} {what:<32} 2 of 2 jobs on h2");
        } else {
            assert_eq!((ran, banned), (0, 1), "{number} {what}: {said}");
            assert_eq!(said.matches(trouble).count(), 1, "{number} {what}: {said}");
            println!("{number} {what:<32} brought once, 2 jobs here: {}", said.lines().next().unwrap_or_default());
        }
        cluster.ok("h1", &[], &format!("rm {name}.tar"));
    }
}

/// The transfers that were recorded between 1.4's client and daemon, byte for byte to a daemon of ours.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e26_recorded_transfers_are_answered_as_recorded() {
    const VECTORS: [&str; 8] = [
        "client-remote-env-transfer",
        "client-remote-env-transfer-tar",
        "client-remote-env-transfer-zst",
        "client-remote-env-transfer-lzo-v32-old-daemon",
        "client-remote-v21-env-transfer",
        "client-remote-v30-env-transfer",
        "client-remote-v31-env-transfer",
        "client-remote-v39-env-transfer",
    ];
    if !may_enter() {
        return;
    }
    let mut played = 0;
    for name in VECTORS {
        // Each to a daemon that does not have the environment.
        let Some(cluster) = Cluster::up(Whose::Ours, &[1, 2]) else {
            return;
        };
        let file = |side: &str| {
            let path = format!("{}/../testdata/wire/{name}/{side}.bin", env!("CARGO_MANIFEST_DIR"));
            std::fs::read(path).expect("a recorded side")
        };
        let (mut sent, recorded) = (file("a"), file("b"));
        let version = u32::from_le_bytes(*recorded[4..].first_chunk().expect("a handshake"));
        // Both sides agree on the lower offer: here the other daemon was the older one.
        sent[..4].copy_from_slice(&version.to_le_bytes());
        let answer = in_network_of(&cluster, "h1", move |address| play(&address, &sent));
        let (ours, theirs) = (read(&answer, version), read(&recorded, version));
        assert_eq!(ours, theirs, "{name}: {}", cluster.lab.log("h2", "iceccd.log").unwrap_or_default());
        assert!(cluster.count_in_log("h2", "iceccd.log", "installed x86_64/") > 0, "{name}");
        println!("{name:<46} {}", ours.join(", "));
        played += 1;
    }
    assert_eq!(played, VECTORS.len());
}

/// Sends all of it and reads until the other side is silent or gone.
fn play(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect((address, 10_245)).expect("h2's daemon");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    stream.write_all(bytes).expect("a reader");
    let mut answer = Vec::new();
    // A client closes when it has the object; ours is done when nothing comes any more.
    let mut piece = [0; 4096];
    while let Ok(n) = stream.read(&mut piece) {
        answer.extend(&piece[..n]);
        if n == 0 || answer.ends_with(&[0, 0, 0, 4, 0, 0, 0, 67]) {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
    answer
}

/// The messages of a side, in words: what a client sees of them. The object's own bytes, however they are packed.
fn read(side: &[u8], version: u32) -> Vec<String> {
    let version = Version::new(version);
    let mut frames = Frames::new();
    frames.feed(&side[8..]);
    let (mut words, mut object, mut unpacker) = (Vec::new(), Vec::new(), Unpacker::new());
    while let Some(body) = frames.take().expect("a frame") {
        match wire::decode_strictly(body, version, Reading::Peer).expect("a message") {
            Message::FileChunk(chunk) => unpacker.unpack(&chunk, &mut object).expect("packed bytes"),
            Message::CompileResult(result) => {
                let (said, status) = (result.stdout.to_string() + &result.stderr.to_string(), result.status);
                words.push(format!("result {status}{said}"));
            }
            Message::VerifyEnvResult { ok } => words.push(format!("verified {ok}")),
            Message::End => {
                let mut hasher = DefaultHasher::new();
                object.hash(&mut hasher);
                words.push(format!("object of {} bytes, {:x}", object.len(), hasher.finish()));
            }
            other => words.push(format!("{other:?}")),
        }
    }
    words
}

/// The daemon answers others while it removes 200 environments.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e40_removing_200_environments_delays_nobody() {
    const COUNT: usize = 200;
    if !may_enter() {
        return;
    }
    let mut config = Config::new("", &Whose::Ours.programs(), &[1, 2]);
    config.hosts[1].daemon_options = vec!["--cache-limit=140".to_string()];
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    // A compiler of 1 KB (from a recorded transfer), and much beside it: a megabyte in 50 files, then 312 MB.
    cluster.ok("h1", &[], "mkdir small && cp /bin/true small/x && cd small && mkdir -p bin usr/bin && cp x bin/true && cp x usr/bin/as && cp x usr/bin/gcc && rm x");
    cluster.ok("h1", &[], "cd small && for n in $(seq 50); do head -c 20000 /dev/urandom >usr/f$n; done; tar -cf ../small.tar . && head -c 312000000 /dev/zero | tr '\\0' x >usr/big && tar -cf ../large.tar .");
    let (small, large) = (cluster.read("small.tar"), cluster.read("large.tar"));
    for n in 0..COUNT {
        bring_only(&cluster, &format!("small-{n}"), &small);
    }
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "installed x86_64/small-"), COUNT);
    let longest = std::thread::scope(|scope| {
        let bringing = scope.spawn(|| bring_only(&cluster, "large", &large));
        let mut longest = Duration::ZERO;
        let mut rounds = 0;
        while rounds < 20 || !bringing.is_finished() {
            longest = longest.max(asked(&cluster));
            rounds += 1;
            assert!(rounds < 5000);
        }
        // And while the folders themselves go, in the background.
        for _ in 0..50 {
            longest = longest.max(asked(&cluster));
        }
        longest
    });
    let removed = cluster.count_in_log("h2", "iceccd.log", "cache limit");
    assert!(removed >= COUNT - 10, "only {removed} removed");
    println!("{removed} environments removed for one of 312 MB; the longest wait for an answer meanwhile: {longest:?}");
    assert!(longest < Duration::from_secs(10));
}

fn bring_only(cluster: &Cluster, name: &str, archive: &[u8]) {
    in_network_of(cluster, "h1", |address| {
        let mut conn = connect(&address);
        begin(&mut conn, name, archive);
        conn.send(&Message::End, Deadline::after(Step::Message, Duration::from_secs(60))).expect("END");
        cluster.wait_for_log("h2", "iceccd.log", &format!("installed x86_64/{name} "));
    });
}

/// How long a question of another client takes: one for an environment that is not there.
fn asked(cluster: &Cluster) -> Duration {
    in_network_of(cluster, "h1", |address| {
        let deadline = || Deadline::after(Step::Message, Duration::from_secs(30));
        let start = Instant::now();
        let mut conn = connect(&address);
        conn.send(&Message::VerifyEnv(target("none")), deadline()).expect("a question");
        loop {
            match conn.recv(deadline()).expect("an answer") {
                Message::VerifyEnvResult { ok } => {
                    assert_eq!(ok, 0);
                    return start.elapsed();
                }
                Message::StatusText { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    })
}

/// Two clients that ask their daemons for different compressions: one name, which the server installs once.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e45_one_environment_by_two_compressions_is_installed_once() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4, 1]) else {
        return;
    };
    cluster.write("a.c", "int a(int x) { return x * 3 + 1; }\n");
    cluster.ok("h1", &[], "gcc -O2 -c a.c -o plain.o");
    for (host, compression) in [("h1", "zstd"), ("h3", "xz")] {
        let variables = [("ICECC_ENV_COMPRESSION", compression), ("ICECC_PREFERRED_HOST", "h2"), ("ICECC_TESTS", "1")];
        for n in 0..2 {
            cluster.ok(host, &variables, &format!("icecc gcc -O2 -c a.c -o {host}-{n}.o"));
            assert!(cluster.read(&format!("{host}-{n}.o")) == cluster.read("plain.o"));
        }
    }
    let installed = cluster.count_in_log("h2", "iceccd.log", "installed x86_64/");
    assert_eq!((installed, completed(&cluster, "h2")), (1, 4));
    println!("4 jobs of two hosts, one with zstd, one with xz, in one environment that was installed once");
}

/// Only root enters a host's network by a thread.
fn may_enter() -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    if !root {
        eprintln!("skipped: only root enters a host's network by a thread");
    }
    root
}

/// The first job of a fresh server over a line of 10 MB/s: it waits for the archive and little else, and others do not
/// wait for it.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e55_the_first_job_over_a_slow_line() {
    if !may_enter() {
        return;
    }
    let mut config = Config::new("", &Whose::Ours.programs(), &[1, 4]);
    config.link.rate = Some("80mbit".to_string());
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    cluster.write("a.c", "int a(int x) { return x * 3 + 1; }\n");
    cluster.ok("h1", &[], "gcc -O2 -c a.c -o plain.o");
    let start = Instant::now();
    cluster.ok("h1", &[], "icecc-create-env gcc --compression zstd >said && stat -c %s *.tar.zst && rm *.tar.zst");
    let creation = start.elapsed();
    let start = Instant::now();
    let variables = [("ICECC_PREFERRED_HOST", "h2"), ("ICECC_ENV_COMPRESSION", "zstd")];
    let (whole, longest) = std::thread::scope(|scope| {
        let job = scope.spawn(|| {
            cluster.ok("h1", &variables, "icecc gcc -O2 -c a.c -o out.o");
            start.elapsed()
        });
        let mut longest = Duration::ZERO;
        while !job.is_finished() {
            longest = longest.max(asked(&cluster));
        }
        (job.join().expect("the first job"), longest)
    });
    assert!(cluster.read("out.o") == cluster.read("plain.o"));
    assert_eq!(completed(&cluster, "h2"), 1, "not run on h2");
    let rest = whole.saturating_sub(creation);
    println!(
        "archive made in {creation:.1?}; the first job took {whole:.1?}, {rest:.1?} more; others waited {longest:.1?} at most"
    );
    // A question of others passes the same line, behind what stands in its queue.
    assert!(longest < Duration::from_secs(10) && whole < Duration::from_secs(60));
}
