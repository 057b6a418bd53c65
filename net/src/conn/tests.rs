//! Tests of both halves of a connection: incomplete and late messages, receiving without waiting.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const PING: [u8; 8] = [0, 0, 0, 4, 0, 0, 0, 66];

fn long() -> Deadline {
    Deadline::after(Step::Send, HOUR)
}

fn receiver() -> (Receiver, Stream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut receiver = Receiver::new(Arc::new(ours.into()));
    receiver.version = Version::TO_CLIENT;
    (receiver, theirs.into())
}

/// Moves the start of the incomplete frame back by this time.
fn age(receiver: &mut Receiver, time: Duration) {
    receiver.begun = Instant::now() - time;
}

#[test]
fn half_a_frame_is_waited_for_only_so_long_also_by_who_does_not_wait() {
    let (mut receiver, peer) = receiver();
    receiver.limit_rest(HOUR);
    age(&mut receiver, 2 * HOUR);
    assert!(matches!(receiver.try_recv(), Ok(None)), "nothing has begun");
    // A frame begins with its first bytes, however long the peer was silent before, with or without a message before
    // it.
    for bytes in [&PING[..5], &[&PING[5..], &PING, &PING[..5]].concat()] {
        age(&mut receiver, 2 * HOUR);
        peer.write_all(bytes, &long()).unwrap();
        while receiver.try_recv().unwrap().is_some() {}
        assert!(!receiver.is_late());
    }
    // Later bytes of the frame do not restart its time.
    age(&mut receiver, HOUR);
    peer.write_all(&PING[5..6], &long()).unwrap();
    match receiver.try_recv() {
        Err(ConnError::TimedOut { step: Step::Rest, limit }) => assert_eq!(limit, HOUR),
        other => panic!("{other:?}"),
    }
    assert!(receiver.is_late());
    receiver.resume();
    assert!(matches!(receiver.try_recv(), Ok(None)), "we did not read");
    assert!(!receiver.is_late());
    peer.write_all(&PING[6..], &long()).unwrap();
    assert!(matches!(receiver.try_recv(), Ok(Some(Message::Ping))));
    age(&mut receiver, 2 * HOUR);
    assert!(!receiver.is_late());
}

#[test]
fn who_waits_for_ever_waits_for_a_frame_that_has_begun_only_so_long() {
    let (mut receiver, peer) = receiver();
    receiver.limit_rest(Duration::ZERO);
    peer.write_all(&PING[..5], &long()).unwrap();
    match receiver.recv(Deadline::never(Step::Message)) {
        Err(ConnError::TimedOut { step: Step::Rest, limit: Duration::ZERO }) => {}
        other => panic!("{other:?}"),
    }
    receiver.limit_rest(HOUR);
    peer.write_all(&PING[5..], &long()).unwrap();
    assert!(matches!(receiver.recv(Deadline::never(Step::Message)), Ok(Message::Ping)));
}

#[test]
fn what_is_held_and_what_was_taken() {
    let (mut receiver, peer) = receiver();
    assert_eq!((receiver.held(), receiver.taken()), (0, 0));
    let text = Message::StatusText { text: "x".repeat(10_000).into() };
    let mut bytes = Vec::new();
    encode_all(&[text], receiver.version, &mut bytes).unwrap();
    peer.write_all(&bytes[..9000], &long()).unwrap();
    assert!(matches!(receiver.try_recv(), Ok(None)));
    assert!((9000..100_000).contains(&receiver.held()), "{}", receiver.held());
    receiver.release();
    assert!(receiver.held() >= 9000, "it is not empty");
    peer.write_all(&bytes[9000..], &long()).unwrap();
    assert!(matches!(receiver.try_recv(), Ok(Some(_))));
    assert_eq!(receiver.taken(), bytes.len() - 4);
    receiver.release();
    assert_eq!(receiver.held(), 0);
}

fn pair() -> (Conn, Stream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = Stream::from(theirs);
    theirs.write_all(&[43, 0, 0, 0, 43, 0, 0, 0], &long()).unwrap();
    let conn = Conn::establish(ours, Version::new(43), long()).unwrap();
    assert_eq!([read_word(&theirs, &long()).unwrap(), read_word(&theirs, &long()).unwrap()], [[43, 0, 0, 0]; 2]);
    (conn, theirs)
}

#[test]
fn what_is_there_is_had_without_waiting() {
    let (mut conn, peer) = pair();
    assert!(matches!(conn.try_recv(), Ok(None)));
    assert!(!conn.has_buffered());
    peer.write_all(&[PING, PING].concat(), &long()).unwrap();
    assert!(!conn.has_buffered(), "it was not read yet");
    assert!(matches!(conn.try_recv(), Ok(Some(Message::Ping))));
    assert!(conn.has_buffered());
    assert!(matches!(conn.recv(long()), Ok(Message::Ping)));
    assert!(!conn.has_buffered());
    peer.write_all(&PING[..6], &long()).unwrap();
    assert!(matches!(conn.try_recv(), Ok(None)));
    assert!(!conn.has_buffered() && !conn.is_late());
    age(&mut conn.receiver, limits::FRAME);
    assert!(conn.is_late());
    conn.resume();
    assert!(!conn.is_late());
    conn.send_all(&[Message::Ping, Message::End], long()).unwrap();
    let mut received = [0; 20];
    assert_eq!(peer.read_now(&mut received).unwrap(), Some(16));
    assert_eq!(received[..16], [PING, [0, 0, 0, 4, 0, 0, 0, 67]].concat());
    peer.shutdown();
    assert!(matches!(conn.recv(long()), Err(ConnError::Cut)));
}

#[test]
fn connections_know_their_ends() {
    let (local, _peer) = pair();
    assert!(local.is_unix());
    assert_eq!((local.peer_address(), local.peer_port(), local.own_address()), (String::new(), 0, String::new()));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let other = thread::spawn(move || {
        Conn::establish(listener.accept().unwrap().0, Version::new(43), long()).unwrap().peer_port()
    });
    let stream = TcpStream::connect(address).unwrap();
    let own_port = stream.local_addr().unwrap().port();
    let conn = Conn::establish(stream, Version::new(43), long()).unwrap();
    assert!(!conn.is_unix());
    assert_eq!((conn.peer_address().as_str(), conn.peer_port()), ("127.0.0.1", address.port()));
    assert_eq!(other.join().unwrap(), own_port);
    assert_eq!(conn.own_address(), "127.0.0.1");
}

#[test]
fn a_monitor_reads_two_numbers_its_own_way() {
    let (mut conn, peer) = pair();
    let event = Message::MonGetCs(ice_core::message::MonGetCs { file: "a.c".into(), ..Default::default() });
    let mut bytes = Vec::new();
    encode_all(std::slice::from_ref(&event), Version::new(43), &mut bytes).unwrap();
    // For a monitor MON_GET_CS has the number of GET_CS.
    assert_eq!(bytes[7], 83);
    bytes[7] = 71;
    conn.read_as(Reading::Monitor);
    peer.write_all(&bytes, &long()).unwrap();
    assert_eq!(conn.recv(long()).unwrap(), event);
    conn.read_as(Reading::Peer);
    peer.write_all(&bytes, &long()).unwrap();
    assert!(matches!(conn.recv(long()), Err(ConnError::Decode(_))));
}

#[test]
fn a_probe_is_distinguished_from_a_broken_handshake() {
    for (bytes, looks) in [(0, true), (1, false), (3, false), (4, true), (5, false), (7, false)] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let theirs = Stream::from(theirs);
        theirs.write_all(&[43, 0, 0, 0, 43, 0, 0, 0][..bytes], &long()).unwrap();
        theirs.shutdown_write();
        match Conn::establish(ours, Version::new(43), long()) {
            Err(ConnError::Closed) => assert!(looks, "{bytes}"),
            Err(ConnError::Cut) => assert!(!looks, "{bytes}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_a_peer_does_not_take_waits_and_keeps_its_order() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut sender = Sender::new(Arc::new(ours.into()), Version::TO_CLIENT);
    let mut receiver = Receiver::new(Arc::new(theirs.into()));
    receiver.version = Version::TO_CLIENT;
    let text = |n: usize| Message::StatusText { text: n.to_string().repeat(10_000).as_str().into() };
    assert!(sender.write_now().unwrap() && !sender.is_blocked(), "there is nothing");
    let mut posted = 0;
    while !sender.is_blocked() {
        sender.post(&[text(posted), text(posted + 1)]).unwrap();
        posted += 2;
        assert!(sender.is_blocked(), "nothing leaves by itself");
        sender.write_now().unwrap();
    }
    assert!(!sender.write_now().unwrap(), "nobody reads");
    let mut taken = 0;
    while sender.is_blocked() {
        while let Some(message) = receiver.try_recv().unwrap() {
            assert_eq!(message, text(taken));
            taken += 1;
        }
        sender.write_now().unwrap();
    }
    // What is sent at once leaves behind what waits.
    sender.post(&[Message::Ping]).unwrap();
    sender.send(&Message::End, long()).unwrap();
    assert!(!sender.is_blocked());
    while let Some(message) = receiver.try_recv().unwrap().filter(|_| taken < posted) {
        assert_eq!(message, text(taken));
        taken += 1;
    }
    assert_eq!(taken, posted);
}
