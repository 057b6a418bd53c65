//! Mutated messages and archives against running programs: nothing panics, hangs or grows.
//!
//! Each session begins as a recorded one of `testdata/wire` does, with its handshake and first messages, and goes on with
//! recorded messages that were changed. All of it follows from the seed and the session's number.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ice_core::message::Message;
use ice_net::deadline::{Deadline, Step};

use crate::bystander::{compile, lab};
use crate::cluster::Cluster;
use crate::damage::{Rng, damage};
use crate::visitor::{ANSWER, begin, connect, in_network_of, target};

/// Changed messages of a session, at most.
const CHANGED_MAX: usize = 6;
/// Sessions after which the programs are looked at.
const BATCH: u64 = 500;
/// Sessions or uploads at a time.
const AT_ONCE: u64 = 4;
/// KiB by which a program may grow after the first batch.
const GROWTH: u64 = 64 << 10;
/// How long a session may take: the other side closes at its end, or at the first message that is none.
const SESSION: Duration = Duration::from_secs(30);
/// The numbers of LOGIN and MON_LOGIN: what comes first at a scheduler.
const TO_SCHEDULER: [[u8; 4]; 2] = [[0, 0, 0, 80], [0, 0, 0, 82]];

/// What one side of a recorded connection sent: its handshake, and its messages without their lengths.
struct Recorded {
    handshake: Vec<u8>,
    messages: Vec<Vec<u8>>,
}

/// All sides that connected to a scheduler or a daemon.
fn recorded() -> Vec<Recorded> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wire");
    let mut files: Vec<PathBuf> =
        fs::read_dir(top).expect("the recordings").map(|entry| entry.expect("an entry").path().join("a.bin")).collect();
    files.sort();
    let all = files.iter().filter_map(|file| fs::read(file).ok()).map(|bytes| {
        let (handshake, mut rest) = bytes.split_at(bytes.len().min(8));
        let mut messages = Vec::new();
        while let Some((len, tail)) = rest.split_first_chunk::<4>() {
            let Some((message, tail)) = tail.split_at_checked(u32::from_be_bytes(*len) as usize) else { break };
            messages.push(message.to_vec());
            rest = tail;
        }
        Recorded { handshake: handshake.to_vec(), messages }
    });
    all.filter(|side| !side.messages.is_empty()).collect()
}

/// The bytes of a session, whether it is for the scheduler, and how many messages in it are changed.
fn session(all: &[Recorded], seed: u64, number: u64) -> (Vec<u8>, bool, u64) {
    let mut rng = Rng::new(seed, number);
    let side = &all[rng.below(all.len())];
    let first = &side.messages[0];
    let to_scheduler = TO_SCHEDULER.iter().any(|number| first.starts_with(number));
    let mut bytes = side.handshake.clone();
    let mut put = |message: &[u8]| {
        bytes.extend((message.len() as u32).to_be_bytes());
        bytes.extend(message);
    };
    // The login stays whole.
    let kept = 1 + rng.below(side.messages.len());
    side.messages.iter().take(kept).for_each(|message| put(message));
    let changed = 1 + rng.below(CHANGED_MAX);
    for _ in 0..changed {
        // Mostly messages of the same session, which are expected there.
        let other = &all[rng.below(all.len())];
        let from = if rng.below(4) == 0 { other } else { side };
        let mut message = from.messages[rng.below(from.messages.len())].clone();
        damage(&mut message, &other.messages[0], &mut rng);
        put(&message);
    }
    (bytes, to_scheduler, changed as u64)
}

/// Sends a session and reads until the other side closes. Whether it did in time.
fn send(host: &str, port: u16, bytes: &[u8]) -> bool {
    let Ok(mut stream) = TcpStream::connect((host, port)) else { return false };
    let _ = stream.set_write_timeout(Some(SESSION));
    let _ = stream.set_read_timeout(Some(SESSION));
    // The other side may have had enough of it.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) => return e.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// Does something for each of these numbers, on the attacker's host, several at a time; the sum of what it returns.
fn each(cluster: &Cluster, numbers: std::ops::Range<u64>, what: impl Fn(&str, u64) -> u64 + Sync) -> u64 {
    let (next, sum) = (AtomicU64::new(numbers.start), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                in_network_of(cluster, "h3", |address| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= numbers.end {
                            break;
                        }
                        sum.fetch_add(what(&address, number), Ordering::Relaxed);
                    }
                });
            });
        }
    });
    sum.into_inner()
}

/// The programs under attack (scheduler; daemon and its launcher, which are older than what they start): their processes
/// and the KiB that each has in memory.
fn programs(cluster: &Cluster) -> Vec<(String, u32, u64)> {
    let all = [("h1", "icecc-scheduler", 1), ("h2", "iceccd", 2)];
    let found = all.into_iter().flat_map(|(host, name, count)| {
        let processes = cluster.called(host, name).into_iter().take(count);
        processes.map(move |process| (format!("{host} {name}"), process.pid))
    });
    let memory = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
    };
    found.map(|(name, pid)| (name, pid, memory(pid))).collect()
}

/// Whether a program has said that it panicked.
fn panicked(cluster: &Cluster) -> bool {
    let logs = [("h1", "scheduler.log"), ("h2", "iceccd.log")];
    logs.iter().any(|(host, file)| cluster.count_in_log(host, file, "panicked at") > 0)
}

/// The results, of which those of an earlier run are not made again.
struct Results {
    file: Option<PathBuf>,
    known: String,
}

impl Results {
    fn open(file: Option<PathBuf>) -> Self {
        let known = file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        Self { file, known }
    }

    fn has(&self, batch: &str) -> bool {
        self.known.lines().any(|line| line.starts_with(batch))
    }

    fn add(&self, line: &str) {
        println!("{line}");
        if let Some(file) = &self.file {
            let file = OpenOptions::new().create(true).append(true).open(file);
            file.and_then(|mut file| writeln!(file, "{line}")).expect("the results");
        }
    }
}

/// Brings a changed archive to h2; whether that was answered in time.
fn bring(address: &str, name: &str, archive: &[u8]) -> bool {
    let mut conn = connect(address);
    begin(&mut conn, name, archive);
    let deadline = || Deadline::after(Step::Message, ANSWER);
    if conn.send_all(&[Message::End, Message::VerifyEnv(target(name))], deadline()).is_err() {
        return true;
    }
    loop {
        match conn.recv(deadline()) {
            Ok(Message::VerifyEnvResult { .. }) => return true,
            Ok(_) => {}
            Err(e) => return !matches!(e, ice_net::error::ConnError::TimedOut { .. }),
        }
    }
}

/// A small archive, whole.
fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    for folder in ["tmp", "dev", "usr", "usr/bin", "bin", "lib"] {
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        tar.append_data(&mut header, folder, std::io::empty()).expect("a folder");
    }
    for file in ["bin/true", "usr/bin/gcc", "usr/bin/g++", "usr/bin/as"] {
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(10);
        tar.append_data(&mut header, file, &b"#!/bin/sh\n"[..]).expect("a file");
    }
    for (link, to) in [("usr/bin/cc", "gcc"), ("lib/outside", "../../../etc"), ("lib/64", "/usr/bin")] {
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, link, to).expect("a link");
    }
    tar.into_inner().expect("a tar")
}

/// A changed archive of this number: changed as a tar, or when it is compressed.
fn changed_archive(whole: &[u8], seed: u64, number: u64) -> Vec<u8> {
    let mut rng = Rng::new(!seed, number);
    let pack = |tar: &[u8]| zstd::encode_all(tar, 1).expect("zstd");
    let before = rng.below(3) > 0;
    let mut bytes = if before { whole.to_vec() } else { pack(whole) };
    for _ in 0..1 + rng.below(4) {
        damage(&mut bytes, whole, &mut rng);
    }
    if before && rng.below(2) == 0 { pack(&bytes) } else { bytes }
}

/// So many changed messages and archives, from the batch where the results of an earlier run end.
fn attack(messages: u64, archives: u64, seed: u64, results: &Results) {
    let Some(cluster) = lab(&[1, 2, 1]) else { return };
    println!("seed {seed}");
    let (all, whole) = (recorded(), archive());
    compile(&cluster, &[]);
    let mut first = None;
    let (mut sent, mut number) = (0, 0);
    let look = |first: &mut Option<Vec<(String, u32, u64)>>, what: &str, count: u64| {
        let now = programs(&cluster);
        let then = first.get_or_insert_with(|| now.clone());
        results.add(&format!("{what} {count} {now:?}"));
        let pids =
            |all: &[(String, u32, u64)]| all.iter().map(|(name, pid, _)| (name.clone(), *pid)).collect::<Vec<_>>();
        assert_eq!(pids(&now), pids(then), "{what}: a program is gone");
        assert!(now.iter().zip(then).all(|(now, then)| now.2 <= then.2 + GROWTH), "{what}: a program has grown");
        assert!(!panicked(&cluster), "{what}: a program has panicked");
    };
    while sent < messages {
        let numbers = number..number + BATCH.min(messages - sent);
        number = numbers.end;
        let what = format!("messages {seed} {}", numbers.start);
        let count = || numbers.clone().map(|number| session(&all, seed, number).2).sum::<u64>();
        if results.has(&format!("{what} ")) {
            sent += count();
            continue;
        }
        sent += each(&cluster, numbers.clone(), |address, number| {
            let (bytes, to_scheduler, changed) = session(&all, seed, number);
            let (host, port) = if to_scheduler { ("10.77.0.1", 8765) } else { (address, 10_245) };
            assert!(send(host, port, &bytes), "session {number} of seed {seed} has no end");
            changed
        });
        look(&mut first, &what, sent);
    }
    for start in (0..archives).step_by(BATCH as usize) {
        let what = format!("archives {seed} {start}");
        if !results.has(&format!("{what} ")) {
            let numbers = start..archives.min(start + BATCH);
            let brought = each(&cluster, numbers, |address, number| {
                let name = format!("mutated{number}");
                assert!(
                    bring(address, &name, &changed_archive(&whole, seed, number)),
                    "archive {number} of seed {seed}"
                );
                1
            });
            look(&mut first, &what, start + brought);
        }
    }
    println!("{sent} changed messages in {number} sessions, {archives} archives");
    compile(&cluster, &[]);
}

#[test]
fn mutated_messages_and_archives_do_no_harm() {
    attack(400, 40, 1, &Results::open(None));
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
#[ignore = "long: scripts/prove.sh hold.3"]
fn hold_3_mutated_messages_and_archives() {
    let count = |variable, usual| number_of(variable).unwrap_or(usual);
    let results = Results::open(std::env::var_os("MUTATED_RESULTS").map(PathBuf::from));
    attack(count("MUTATED_MESSAGES", 200_000), count("MUTATED_ARCHIVES", 5000), count("MUTATED_SEED", 1), &results);
}
