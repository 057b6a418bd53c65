//! What clients are told that know the extension, and others are not.

use super::*;
use crate::message::{FilesNeed, FilesResult, HostCan, Keep, abilities};

fn can(client: u32) -> Message {
    Message::HostCan(HostCan { job: JobId(4), client: ClientId(client), abilities: abilities::FILES })
}

#[test]
fn a_client_is_told_what_its_server_can_before_it_is_told_the_server() {
    let mut s = Scenario::new(config(1));
    let peer = s.open_as(43, PEER_ADDRESS, Origin::Extension);
    s.say(peer, get_cs());
    s.scheduler(can(1));
    s.scheduler(use_cs(4, OTHER_ADDRESS, ClientId(1)));
    let heard = s.sent_to(peer);
    assert!(matches!(heard.as_slice(), [first, Message::UseCs(_)] if *first == can(1)), "{heard:?}");
}

#[test]
fn others_are_told_the_server_alone() {
    let mut s = Scenario::new(config(1));
    let plain = s.asking();
    s.scheduler(can(1));
    s.scheduler(use_cs(4, OTHER_ADDRESS, ClientId(1)));
    assert!(matches!(s.sent_to(plain).as_slice(), [Message::UseCs(_)]));
}

#[test]
fn who_has_not_asked_is_told_nothing() {
    let mut s = Scenario::new(config(1));
    let peer = s.open_as(43, PEER_ADDRESS, Origin::Extension);
    s.scheduler(can(1));
    s.scheduler(can(7));
    assert!(s.sent_to(peer).is_empty() && s.closed.is_empty());
}

/// What is kept for users is a matter of the connection's own thread: here it is as unexpected as from anybody.
#[test]
fn messages_of_files_mode_end_other_connections() {
    let keep = Keep::default();
    for message in [
        Message::KeepGet(keep.clone()),
        Message::KeepPut(keep),
        Message::JobNote { text: "{}".into() },
        can(1),
        Message::FilesNeed(FilesNeed::default()),
        Message::FilesResult(FilesResult::default()),
    ] {
        let mut s = Scenario::new(config(1));
        let peer = s.client();
        s.say(peer, message);
        assert_eq!((s.sent_to(peer), s.closed.get(&peer)), (vec![Message::End], Some(&CloseReason::Unexpected)));
    }
}
