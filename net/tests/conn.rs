//! Tests of connections on real sockets: the handshake of `net/PROTOCOL.md`; deadlines; faulty streams.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use ice_core::codec::Codec;
use ice_core::message::{Chunk, Message};
use ice_core::version::Version;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial::{self, DialError};
use ice_net::error::ConnError;
use ice_net::fault::{Plan, link};
use ice_net::handshake::HandshakeError;
use ice_net::stream::Stream;

/// Long enough for everything that succeeds.
const LONG: Duration = Duration::from_secs(60);

fn soon(step: Step) -> Deadline {
    Deadline::after(step, Duration::from_millis(300))
}

fn long(step: Step) -> Deadline {
    Deadline::after(step, LONG)
}

/// Two connected connections.
fn pair(own: Version) -> (Conn, Conn) {
    let (a, b) = UnixStream::pair().unwrap();
    shake(a.into(), b.into(), own)
}

fn shake(a: Stream, b: Stream, own: Version) -> (Conn, Conn) {
    let other = thread::spawn(move || Conn::establish(b, own, long(Step::Offer)).unwrap());
    let a = Conn::establish(a, own, long(Step::Offer)).unwrap();
    (a, other.join().unwrap())
}

fn chunk(len: usize) -> Message {
    Message::FileChunk(Chunk { plain_len: 5, codec: Codec::Zstd, data: (0..len).map(|i| i as u8).collect() })
}

/// A peer that sends `offer`, then `confirm`. Returns our answer and our result.
fn handshake(own: u32, offer: u32, confirm: Option<u32>) -> (Result<Conn, ConnError>, Vec<u8>) {
    let (a, mut b) = UnixStream::pair().unwrap();
    let peer = thread::spawn(move || {
        b.write_all(&offer.to_le_bytes()).unwrap();
        let mut received = vec![0; 4];
        b.read_exact(&mut received).unwrap();
        if let Some(confirm) = confirm {
            let _ = b.write_all(&confirm.to_le_bytes());
        }
        let _ = b.read_to_end(&mut received);
        received
    });
    // Only a silent peer takes time.
    let limit = if confirm.is_some() { long(Step::Offer) } else { soon(Step::Offer) };
    let conn = Conn::establish(a, Version::new(own), limit).inspect(|conn| conn.closer().shutdown());
    (conn, peer.join().unwrap())
}

#[test]
fn handshake_table() {
    for (offer, agreed) in [(21, 21), (43, 43), (44, 43), (1000, 43), (1 << 20, 43)] {
        let (conn, received) = handshake(43, offer, Some(agreed));
        let conn = conn.unwrap();
        assert_eq!((conn.version(), conn.peer_offer()), (Version::new(agreed), Version::new(offer)));
        assert_eq!(received, [43u32.to_le_bytes(), agreed.to_le_bytes()].concat());
    }
    for offer in [20, (1 << 20) + 1] {
        let (conn, received) = handshake(43, offer, None);
        assert!(matches!(conn, Err(ConnError::Handshake(HandshakeError::Offer(_)))));
        assert_eq!(received, 43u32.to_le_bytes(), "no confirm");
    }
    let (conn, _) = handshake(43, 43, Some(42));
    assert!(matches!(conn, Err(ConnError::Handshake(HandshakeError::Confirm { .. }))));
    let (conn, _) = handshake(43, 43, None);
    assert!(matches!(conn, Err(ConnError::TimedOut { step: Step::Confirm, .. })));
}

#[test]
fn a_message_behind_the_confirm_is_read() {
    let (a, mut b) = UnixStream::pair().unwrap();
    b.write_all(&[&43u32.to_le_bytes()[..], &43u32.to_le_bytes(), &[0, 0, 0, 4, 0, 0, 0, 67]].concat()).unwrap();
    let mut conn = Conn::establish(a, Version::new(43), long(Step::Offer)).unwrap();
    assert_eq!(conn.recv(long(Step::Message)).unwrap(), Message::End);
}

#[test]
fn messages_of_all_sizes_arrive_in_order() {
    let (mut a, mut b) = pair(Version::TO_CLIENT);
    let sizes = [1, 4000, 4096, 100_000, 1_000_000, 7, 70_000];
    let sender = thread::spawn(move || {
        for size in sizes {
            a.send_all(&[chunk(size), Message::Ping], long(Step::Send)).unwrap();
        }
        a
    });
    for size in sizes {
        assert_eq!(b.recv(long(Step::Chunk)).unwrap(), chunk(size));
        assert_eq!(b.recv(long(Step::Message)).unwrap(), Message::Ping);
    }
    assert!(!b.has_buffered());
    assert!(b.try_recv().unwrap().is_none());
    drop(sender.join().unwrap());
    assert!(matches!(b.recv(long(Step::Message)), Err(ConnError::Closed)));
}

/// A byte now and then does not extend the deadline, which is the message's.
#[test]
fn a_slow_peer_hits_the_deadline() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (enough, go_on) = channel();
    let peer = thread::spawn(move || {
        theirs.write_all(&[44, 0, 0, 0, 44, 0, 0, 0]).unwrap();
        let frame = [&2004u32.to_be_bytes()[..], &90u32.to_be_bytes(), &1996u32.to_be_bytes(), &[b'x'; 1995], &[0]];
        let frame = frame.concat();
        // The last byte arrives only after the deadline.
        let mut sent = 0;
        while go_on.try_recv().is_err() {
            if sent < frame.len() - 1 {
                theirs.write_all(&frame[sent..=sent]).unwrap();
                sent += 1;
            }
            thread::sleep(Duration::from_millis(5));
        }
        theirs.write_all(&frame[sent..]).unwrap();
        theirs
    });
    let mut conn = Conn::establish(ours, Version::TO_CLIENT, long(Step::Offer)).unwrap();
    let error = conn.recv(soon(Step::Chunk)).unwrap_err();
    assert!(matches!(error, ConnError::TimedOut { step: Step::Chunk, .. }), "{error}");
    assert_eq!(error.to_string(), "a piece of the file did not come within 0.3 s");
    // Nothing is lost by a call that timed out.
    enough.send(()).unwrap();
    assert_eq!(conn.recv(long(Step::Message)).unwrap(), Message::StatusText { text: "x".repeat(1995).into() });
    peer.join().unwrap();
}

#[test]
fn a_peer_that_does_not_read_hits_the_deadline() {
    let (mut a, _b) = pair(Version::TO_CLIENT);
    let error = loop {
        if let Err(error) = a.send(&chunk(1_000_000), soon(Step::Send)) {
            break error;
        }
    };
    assert!(matches!(error, ConnError::TimedOut { step: Step::Send, .. }), "{error}");
}

#[test]
fn closer_wakes_a_receiver_without_deadline() {
    let (a, _b) = pair(Version::TO_CLIENT);
    let closer = a.closer();
    let (_sender, mut receiver) = a.split();
    let waiting = thread::spawn(move || receiver.recv(Deadline::never(Step::Message)));
    closer.shutdown();
    assert!(matches!(waiting.join().unwrap(), Err(ConnError::Closed)));
    closer.shutdown();
}

#[test]
fn cut_and_garbled_messages() {
    let cut = Plan { cut_after: Some(8 + 20), ..Plan::default() };
    let (a, b) = link(cut, Plan::default()).unwrap();
    let (mut a, mut b) = shake(a, b, Version::TO_CLIENT);
    let _ = a.send(&chunk(100), long(Step::Send));
    assert!(matches!(b.recv(long(Step::Chunk)), Err(ConnError::Cut)));

    let length = Plan { garble_at: Some(8), ..Plan::default() };
    let (a, b) = link(length, Plan::default()).unwrap();
    let (mut a, mut b) = shake(a, b, Version::TO_CLIENT);
    let _ = a.send(&chunk(100), long(Step::Send));
    assert!(matches!(b.recv(long(Step::Chunk)), Err(ConnError::Frame(_))));

    let number = Plan { garble_at: Some(8 + 7), ..Plan::default() };
    let (a, b) = link(number, Plan::default()).unwrap();
    let (mut a, mut b) = shake(a, b, Version::TO_CLIENT);
    let _ = a.send(&Message::Ping, long(Step::Send));
    assert!(matches!(b.recv(long(Step::Message)), Err(ConnError::Decode(_))));
}

#[test]
fn dialling() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let accept = || listener.accept().unwrap().0;
        let conn = Conn::establish(accept(), Version::new(43), long(Step::Offer)).unwrap();
        let named = Conn::establish(accept(), Version::new(43), long(Step::Offer)).unwrap();
        accept().write_all(&43u32.to_le_bytes()).unwrap();
        let silent = accept();
        let second = accept();
        drop((conn, named, silent, second));
    });
    let connect = || long(Step::Connect);
    let conn = dial::tcp("127.0.0.1", port, Version::TO_CLIENT, connect()).unwrap();
    assert_eq!((conn.version(), conn.peer_offer()), (Version::new(43), Version::new(43)));
    assert_eq!((conn.peer_address().as_str(), conn.own_address().as_str()), ("127.0.0.1", "127.0.0.1"));
    dial::tcp("localhost", port, Version::TO_CLIENT, connect()).unwrap();
    assert_eq!(dial::probe("127.0.0.1", port, connect()).unwrap(), Version::new(43));
    // The kernel accepts, but no program answers.
    match dial::probe("127.0.0.1", port, soon(Step::Connect)) {
        Err(DialError::Handshake { source: ConnError::TimedOut { step: Step::Offer, .. }, .. }) => {}
        other => panic!("{other:?}"),
    }
    drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
    server.join().unwrap();
    // A refused connection fails at once.
    assert!(matches!(dial::probe("127.0.0.1", port, connect()), Err(DialError::Connect { .. })));
    let path = std::env::temp_dir().join("ice-net-no-such-socket");
    assert!(matches!(dial::unix(&path, Version::TO_CLIENT, connect()), Err(DialError::Connect { .. })));
}
