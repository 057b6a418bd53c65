//! Environments under a name that others use, and more of them than a cache holds: nobody's jobs run in what another
//! brought, and nobody's environments make room for it. The clients are as old as 1.4's: ours name theirs by the
//! content.

use ice_core::message::Message;
use ice_lab::Config;
use ice_net::compress::{Packer, Unpacker};
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};

use crate::bystander::{can_attack, job};
use crate::cluster::{Cluster, Whose};
use crate::visitor::{ANSWER, begin, connect, in_network_of, target};

/// A compiler whose object is a word.
const COMPILER: &str = r#"#include <stdio.h>
#include <string.h>
int main(int n, char **words) {
    while (getchar() != EOF) {}
    for (int i = 1; i + 1 < n; i++) {
        if (strcmp(words[i], "-o") == 0) {
            FILE *object = fopen(words[i + 1], "w");
            fputs(WORD, object);
            fclose(object);
        }
    }
    return 0;
}
"#;

/// A lab whose h2 compiles, with these options.
fn lab(options: &[&str]) -> Option<Cluster> {
    if !can_attack() {
        return None;
    }
    let mut config = Config::new("", &Whose::Ours.programs(), &[1, 2, 1]);
    config.hosts[1].daemon_options = options.iter().map(|option| (*option).to_owned()).collect();
    let cluster = Cluster::with(&config)?;
    cluster.write("compiler.c", COMPILER);
    Some(cluster)
}

/// An archive whose compiler makes this word, with so many MB beside it.
fn archive(cluster: &Cluster, word: &str, megabytes: u32) -> Vec<u8> {
    let make = format!(
        "set -e; gcc -static -DWORD='\"{word}\"' compiler.c -o x; rm -rf tree; mkdir -p tree/bin tree/usr/bin
        for f in bin/true usr/bin/as usr/bin/gcc; do cp x tree/$f; done
        head -c {megabytes}000000 /dev/urandom >tree/usr/rest; tar -cf {word}.tar -C tree ."
    );
    cluster.ok("h1", &[], &make);
    cluster.read(&format!("{word}.tar"))
}

fn soon() -> Deadline {
    Deadline::after(Step::Message, ANSWER)
}

/// Brings an archive to h2 and asks whether it works; the text that came with the refusal.
fn bring(conn: &mut Conn, name: &str, archive: &[u8]) -> Result<(), String> {
    begin(conn, name, archive);
    conn.send_all(&[Message::End, Message::VerifyEnv(target(name))], soon()).expect("the end of it");
    let mut said = String::new();
    loop {
        match conn.recv(soon()) {
            Ok(Message::StatusText { text }) => said = text.to_string(),
            Ok(Message::VerifyEnvResult { ok: 1 }) => return Ok(()),
            Ok(Message::VerifyEnvResult { .. }) | Err(_) => return Err(said),
            Ok(other) => panic!("{name}: {other:?}"),
        }
    }
}

/// A host brings an archive.
fn brings(cluster: &Cluster, host: &str, name: &str, archive: &[u8]) -> Result<(), String> {
    in_network_of(cluster, host, |address| bring(&mut connect(&address), name, archive))
}

/// The object of a job of a host, as one of 1.4 whose scheduler says that the environment is there.
fn compiles(cluster: &Cluster, host: &str, name: &str) -> String {
    in_network_of(cluster, host, |address| compile(&mut connect(&address), name))
}

fn compile(conn: &mut Conn, name: &str) -> String {
    let job = job(1, name);
    let source = Packer::new(1).pack(b"int x;\n", conn.version()).expect("a piece");
    // A job that is refused at once takes no source.
    let _ = conn.send_all(&[Message::CompileFile(job), Message::FileChunk(source), Message::End], soon());
    let (mut object, mut unpacker) = (Vec::new(), Unpacker::new());
    loop {
        match conn.recv(soon()) {
            Ok(Message::CompileResult(result)) => assert_eq!(result.status, 0, "{name}"),
            Ok(Message::FileChunk(chunk)) => unpacker.unpack(&chunk, &mut object).expect("a piece"),
            Ok(Message::StatusText { .. }) => {}
            Ok(Message::End) => return String::from_utf8_lossy(&object).into_owned(),
            Ok(other) => panic!("{name}: {other:?}"),
            Err(_) => return "here".to_owned(),
        }
    }
}

#[test]
fn e36_nobody_compiles_with_what_another_brought_by_the_same_name() {
    let Some(cluster) = lab(&[]) else { return };
    let (evil, good) = (archive(&cluster, "evil", 0), archive(&cluster, "good", 0));
    for name in ["0123456789abcdef0123456789abcdef", "team-gcc", "team-gcc+deadbeef"] {
        for evil_is_first in [true, false] {
            let name = format!("{name}{}", if evil_is_first { "" } else { "0" });
            let both = [("h3", &evil), ("h1", &good)];
            for n in if evil_is_first { [0, 1] } else { [1, 0] } {
                let (host, archive) = both[n];
                assert_eq!(brings(&cluster, host, &name, archive), Ok(()));
            }
            assert_eq!(compiles(&cluster, "h1", &name), "good", "{name}");
            assert_eq!(compiles(&cluster, "h3", &name), "evil", "{name}");
        }
    }
    // One by the name of its content.
    let said = brings(&cluster, "h3", &"0".repeat(64), &evil).expect_err("taken under a false name");
    assert!(said.contains("content does not match its name"), "{said}");
    // After a restart too: nobody is given what he did not bring where that is not known any more.
    cluster.stop_daemon("h2");
    cluster.start_daemon("h2");
    assert_eq!(compiles(&cluster, "h1", "team-gcc"), "here");
    assert_eq!(brings(&cluster, "h1", "team-gcc", &good), Ok(()));
    assert_eq!(compiles(&cluster, "h1", "team-gcc"), "good");
}

#[test]
fn twenty_addresses_share_one_renamed_archive() {
    let Some(cluster) = lab(&[]) else { return };
    let renamed = archive(&cluster, "renamed", 1);
    for n in 101..=120 {
        // The next connection comes from this address.
        let come_from = format!(
            "set -e; link=$(ip -o route get 10.77.0.2 | sed 's/.* dev \\([^ ]*\\).*/\\1/')
            ip address add 10.77.0.{n}/24 dev $link; ip route replace 10.77.0.2/32 dev $link src 10.77.0.{n}"
        );
        cluster.ok("h3", &[], &come_from);
        assert_eq!(brings(&cluster, "h3", "team", &renamed), Ok(()), "{n}");
        assert_eq!(compiles(&cluster, "h3", "team"), "renamed", "{n}");
        assert!(cluster.count_in_log("h2", "iceccd.log", &format!("from 10.77.0.{n}")) > 0, "{n}");
    }
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "installed x86_64/"), 1);
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "other content"), 0);
}

#[test]
fn what_others_use_does_not_make_room() {
    let Some(cluster) = lab(&["--cache-limit=64"]) else { return };
    assert_eq!(brings(&cluster, "h1", "victims", &archive(&cluster, "good", 20)), Ok(()));
    assert_eq!(compiles(&cluster, "h1", "victims"), "good");
    let small = archive(&cluster, "evil", 20);
    for n in 0..8 {
        // What is still in use by its own connection may stay in the way.
        let _ = brings(&cluster, "h3", &format!("many-{n}"), &small);
    }
    let huge = archive(&cluster, "huge", 120);
    let said = brings(&cluster, "h3", "huge", &huge).expect_err("taken in place of what others use");
    assert!(said.contains("no room"), "{said}");
    assert_eq!(compiles(&cluster, "h1", "victims"), "good");
    assert!(cluster.count_in_log("h2", "iceccd.log", "removed environment many-") >= 3, "its own make room");
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "removed environment victims"), 0);
}

#[test]
fn names_that_say_nothing_are_refused_where_their_owner_wants_that() {
    let Some(cluster) = lab(&["--refuse-plain-names"]) else { return };
    let good = archive(&cluster, "good", 0);
    for name in ["team-gcc", "0123456789abcdef0123456789abcdef"] {
        let said = brings(&cluster, "h1", name, &good).expect_err("taken");
        assert!(said.contains("--refuse-plain-names"), "{said}");
        assert_eq!(compiles(&cluster, "h1", name), "here");
    }
    let name = ice_toolchain::digest::of_content(&good[..]).expect("its digest");
    assert_eq!(brings(&cluster, "h1", &name, &good), Ok(()));
    assert_eq!(compiles(&cluster, "h1", &name), "good");
}
