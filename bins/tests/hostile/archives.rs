//! Hostile archives against a running daemon: a line of the *toolchain* list, run by `scripts/prove.sh toolchain.6`.

use std::fs;
use std::path::PathBuf;

use ice_core::message::Message;
use ice_lab::Config;
use ice_net::deadline::{Deadline, Step};

use crate::bystander::can_attack;
use crate::cluster::{Cluster, Whose, bare_root, completed};
use crate::visitor::{ANSWER, begin, connect, in_network_of, target};

/// One archive of the catalogue, and what its refusal says.
struct Hostile {
    name: String,
    archive: Vec<u8>,
    words: String,
}

/// Each archive that `toolchain/tests/archives/hostile.rs` refuses, and three more tricks, brought by a client that
/// plays none of a client's rules but the protocol's.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.6"]
fn toolchain_6_hostile_archives() {
    if !can_attack() {
        return;
    }
    let all = catalogue();
    let root = tempfile::tempdir().expect("a folder for the bare root");
    bare_root(root.path());
    let mut config = Config::new("", &Whose::Ours.programs(), &[1, 2]);
    config.hosts[1].root = Some(root.path().to_path_buf());
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    let before = state(&cluster);
    let mut refused = 0;
    for hostile in &all {
        let said = bring(&cluster, &format!("hostile-{}", hostile.name), &hostile.archive);
        let log = cluster.lab.log("h2", "iceccd.log").unwrap_or_default();
        let line = log
            .lines()
            .rev()
            .find(|line| line.contains(&format!("hostile-{}", hostile.name)) && line.contains("cannot"));
        let line = line.unwrap_or_else(|| cluster.fail(&format!("{}: the log does not name it", hostile.name)));
        assert!(line.contains(&hostile.words), "{}: {line} does not say {}", hostile.name, hostile.words);
        wait_until(&cluster, &before, &hostile.name);
        refused += 1;
        let (_, reason) = line.split_once("): ").unwrap_or(("", line));
        println!("{:<8}{reason}{}", hostile.name, if said.is_empty() { "" } else { " (and told to the client)" });
    }
    println!("{refused} archives refused by name; files of the host and bytes of its cache as before");
    assert!(refused >= 40);

    // 47: whole, but not what a name made of its content promises.
    let whole = made(&cluster);
    let said = bring(&cluster, &"0".repeat(64), &whole);
    wait_until(&cluster, &before, "47");
    println!("47      {said}");
    // 46: a sender that goes away half way.
    let half = whole[..whole.len() / 2].to_vec();
    in_network_of(&cluster, "h1", move |address| {
        let mut conn = connect(&address);
        begin(&mut conn, "hostile-46", &half);
    });
    wait_until(&cluster, &before, "46");
    println!("46      a sender that goes away half way: nothing stays");

    cluster.write("a.c", "int a(int x) { return x + 1; }\n");
    cluster.ok("h1", &[], "gcc -O2 -c a.c -o plain.o");
    cluster.ok("h1", &[("ICECC_PREFERRED_HOST", "h2")], "icecc gcc -O2 -c a.c -o remote.o");
    assert_eq!(completed(&cluster, "h2"), 1, "the daemon does not go on");
    assert!(cluster.read("remote.o") == cluster.read("plain.o"));
    println!("the same daemon, process not renewed, then compiles as before");
}

fn catalogue() -> Vec<Hostile> {
    let folder = PathBuf::from(std::env::var_os("HOSTILE_ARCHIVES").expect("scripts/prove.sh makes and names them"));
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("the archives")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with(".words"))
        .collect();
    names.sort();
    let read = |name: String| {
        let archive = fs::read(folder.join(&name)).expect("an archive");
        let words = fs::read_to_string(folder.join(format!("{name}.words"))).expect("its words");
        Hostile { name, archive, words }
    };
    names.into_iter().map(read).collect()
}

/// A good environment.
fn made(cluster: &Cluster) -> Vec<u8> {
    let made = cluster.ok("h1", &[], "ICECC_ENV_COMPRESSION=zstd icecc --build-native gcc | sed -n 's/^creating //p'");
    cluster.read(made.text().trim())
}

/// Every file that h2 has written, but its logs and the empty folder of a platform, and the processes of its daemon.
fn state(cluster: &Cluster) -> String {
    let folder = &cluster.lab.host("h2").expect("h2").folder;
    let list =
        "cd \"$0\" && find upper cache tmp -printf '%p %y %m %s %l\\n' | grep -v '^cache/icecc/target=x86_64 d' | sort";
    let out = std::process::Command::new("sh").args(["-c", list]).arg(folder).output().expect("sh");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let processes = cluster.lab.processes("h2", "iceccd").expect("h2's processes");
    let pids: Vec<String> = processes.iter().map(|p| p.pid.to_string()).collect();
    String::from_utf8_lossy(&out.stdout).into_owned() + &pids.join(" ")
}

/// What was unpacked is removed in the background, after the answer.
fn wait_until(cluster: &Cluster, before: &str, what: &str) {
    if ice_lab::process::until("removal", ANSWER, || state(cluster) == before).is_err() {
        assert_eq!(state(cluster), before, "{what}: something stayed");
    }
}

/// Brings an archive and asks for it; the text that came with the refusal.
fn bring(cluster: &Cluster, name: &str, archive: &[u8]) -> String {
    let (name, archive) = (name.to_owned(), archive.to_vec());
    in_network_of(cluster, "h1", move |address| {
        let mut conn = connect(&address);
        begin(&mut conn, &name, &archive);
        let deadline = || Deadline::after(Step::Message, ANSWER);
        // The daemon may have had enough of it already.
        let asked = conn
            .send(&Message::End, deadline())
            .and_then(|()| conn.send(&Message::VerifyEnv(target(&name)), deadline()));
        let mut said = String::new();
        if asked.is_err() {
            return said;
        }
        loop {
            match conn.recv(deadline()) {
                Ok(Message::StatusText { text }) => said = text.to_string(),
                Ok(Message::VerifyEnvResult { ok }) => {
                    assert_eq!(ok, 0, "{name} was installed");
                    return said;
                }
                Ok(other) => panic!("{name}: {other:?}"),
                Err(_) => return said,
            }
        }
    })
}
