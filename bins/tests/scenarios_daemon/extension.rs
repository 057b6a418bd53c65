//! What programs of ours tell each other beyond 1.4, with the daemon between them (`net/PROTOCOL.md`, Extension).

use std::path::PathBuf;

use ice_core::files::Digest;
use ice_core::ids::{ClientId, JobId};
use ice_core::message::{GetCs, HostCan, Keep, LOCALHOST, Message, UseCs, abilities, features, keep};
use nix::sys::signal::Signal;

use crate::fake::{Client, LIMIT, SchedulerDouble, env};
use crate::place::{Place, at, mode};

/// The socket for clients that know the extension.
fn beside(place: &Place) -> PathBuf {
    place.path(".iceccd-ext.socket")
}

fn get(kind: u32, key: &str) -> Message {
    Message::KeepGet(Keep { kind, key: key.into() })
}

fn put(kind: u32, key: &str) -> Message {
    Message::KeepPut(Keep { kind, key: key.into() })
}

/// What the daemon has kept.
#[track_caller]
fn kept(client: &mut Client, kind: u32, key: &str) -> Vec<u8> {
    client.send(&get(kind, key));
    client.read_file()
}

#[test]
fn a_client_by_the_second_socket_is_told_what_its_server_can() {
    let place = Place::new();
    let scheduler = SchedulerDouble::open(43);
    let _daemon = place.start_with(&at(&scheduler));
    let mut link = scheduler.accept();
    let takes = features::EXTENSION | features::TAKES_HOST_CAN;
    assert_eq!(link.login.features & takes, takes);
    for (socket, is_told) in [(place.socket(), false), (beside(&place), true)] {
        let mut client = Client::unix(&socket, 44);
        let environments = vec![env("x86_64", "an-environment")];
        client.send(&Message::GetCs(GetCs { environments, count: 1, target: "x86_64".into(), ..GetCs::default() }));
        let Message::GetCs(asked) = link.next() else { panic!("GET_CS was expected") };
        let can = HostCan { job: JobId(7), client: asked.client, abilities: abilities::FILES };
        // What is for nobody is nothing to anybody.
        link.send(&Message::HostCan(HostCan { client: ClientId(999), ..can }));
        link.send(&Message::HostCan(can));
        link.send(&Message::UseCs(UseCs {
            job: JobId(7),
            port: 9,
            host: "10.1.2.3".into(),
            client: asked.client,
            ..UseCs::default()
        }));
        if is_told {
            assert_eq!(client.next(), Message::HostCan(can));
        }
        assert!(matches!(client.next(), Message::UseCs(server) if server.host != LOCALHOST));
        client.send(&Message::End);
        assert_eq!(client.until_closed(), []);
    }
}

#[test]
fn a_user_has_a_token_and_records_that_stay() {
    let place = Place::new();
    let key = Digest([0x5e; 32]).to_string();
    let record = b"a record".repeat(20_000);
    let daemon = place.start(place.daemon());
    let mut client = Client::unix(&beside(&place), 44);
    let token = kept(&mut client, keep::TOKEN, "");
    assert_eq!((token.len(), kept(&mut client, keep::RECORD, &key)), (32, Vec::new()));
    client.send(&put(keep::RECORD, &key));
    client.send_file(&record);
    // It is kept aside: the next question may come first.
    crate::fake::until("the record", || kept(&mut client, keep::RECORD, &key) == record);
    client.send(&Message::End);
    client.until_closed();
    drop(daemon);
    let _again = place.start(place.daemon());
    let mut client = Client::unix(&beside(&place), 44);
    assert_eq!(kept(&mut client, keep::TOKEN, ""), token);
    assert_eq!(kept(&mut client, keep::RECORD, &key), record);
    let own = std::fs::read_dir(place.base().join(".ours/files")).unwrap().flatten().next().unwrap();
    assert_eq!(mode(&own.path()), 0o700);
}

#[test]
fn what_cannot_be_kept_ends_the_connection() {
    let place = Place::new();
    let _daemon = place.start(place.daemon());
    let (key, long) = (Digest([1; 32]).to_string(), "../".repeat(30));
    for message in [get(keep::TOKEN, &key), get(keep::RECORD, ""), get(keep::RECORD, &long), get(7, &key), put(0, "")] {
        let mut client = Client::unix(&beside(&place), 44);
        client.send(&message);
        assert_eq!(client.until_closed(), [], "{message:?}");
    }
    // By any other way nothing is kept at all.
    for mut client in [Client::unix(&place.socket(), 44), Client::tcp(place.port, 44)] {
        client.send(&get(keep::TOKEN, ""));
        assert_eq!(client.until_closed(), [Message::End]);
    }
}

#[test]
fn the_second_socket_comes_and_goes_with_the_first() {
    let place = Place::new();
    let mut daemon = place.start(place.daemon());
    assert_eq!(mode(&beside(&place)), mode(&place.socket()));
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.ended_within(LIMIT).is_some());
    assert!(!beside(&place).exists() && !place.socket().exists());
    // Without it the daemon does its work.
    std::fs::write(beside(&place), "in the way").unwrap();
    let daemon = place.start(place.daemon());
    assert!(daemon.log().contains("no files mode for clients of this host"), "{}", daemon.log());
    crate::place::serves(&place.socket());
}
