//! The hub on loopback: many peers, slow ones, silent ones, borrowed threads, and nothing left behind.
//!
//! One test function runs all cases in turn: they count the descriptors and threads of the whole process.
//! Long because only one process can do that.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use ice_core::ids::PeerId;
use ice_core::message::{Chunk, Codec, Message};
use ice_core::version::Version;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial::{self, Target};
use ice_net::error::ConnError;
use ice_net::hub::{
    CloseReason, Handlers, Hub, HubConfig, HubEvent, PeerConn, PeerHandler, PeerInfo, Verdict, no_handlers,
};
use ice_net::listen::Listener;

const LONG: Duration = Duration::from_secs(60);
const OFFER: Version = Version::TO_SCHEDULER;

fn long(step: Step) -> Deadline {
    Deadline::after(step, LONG)
}

fn text(n: usize) -> Message {
    Message::StatusText { text: format!("{n}").into() }
}

fn chunk(len: usize) -> Message {
    Message::FileChunk(Chunk { plain_len: 5, codec: Codec::Zstd, data: vec![7; len] })
}

/// A hub that listens on loopback, and its events.
struct Bench<N: Send + 'static = ()> {
    hub: Hub<N>,
    events: Receiver<HubEvent<N>>,
    port: u16,
}

impl<N: Send + 'static> Bench<N> {
    fn new(config: HubConfig, handlers: Handlers<N>) -> Self {
        let (hub, events) = Hub::new(config).unwrap();
        let listener = Listener::tcp(0).unwrap();
        let port = listener.port();
        hub.listen(listener, OFFER, handlers).unwrap();
        Self { hub, events, port }
    }

    fn dial(&self) -> Conn {
        dial::tcp("127.0.0.1", self.port, OFFER, long(Step::Connect)).unwrap()
    }

    /// A connection whose reads and writes have a bound, and nothing else.
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream
    }

    fn event(&self) -> HubEvent<N> {
        self.events.recv_timeout(LONG).expect("an event")
    }

    fn opened(&self) -> (PeerId, PeerInfo) {
        match self.event() {
            HubEvent::Opened { peer, info } => (peer, info),
            _ => panic!("something else than Opened"),
        }
    }

    fn said(&self) -> (PeerId, Message) {
        match self.event() {
            HubEvent::Said { peer, message, .. } => (peer, message),
            _ => panic!("something else than Said"),
        }
    }

    fn closed(&self) -> (PeerId, CloseReason) {
        match self.event() {
            HubEvent::Closed { peer, reason } => (peer, reason),
            _ => panic!("something else than Closed"),
        }
    }
}

fn count(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// Runs a case; afterwards there are as many descriptors and threads as before.
fn without_leak(name: &str, case: fn()) {
    let now = || (count("/proc/self/fd"), count("/proc/self/task"));
    let before = now();
    case();
    let until = Instant::now() + LONG;
    while now() != before {
        assert!(Instant::now() < until, "{name} left behind: {before:?} became {:?}", now());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn all_cases() {
    // The first use of time, resolver and the like may open things for good.
    talk();
    without_leak("talk", talk);
    without_leak("five_hundred_peers", five_hundred_peers);
    without_leak("a_flood_is_held_back", a_flood_is_held_back);
    without_leak("a_full_outbox_closes_only_that_peer", a_full_outbox_closes_only_that_peer);
    without_leak("who_holds_most_is_cut", who_holds_most_is_cut);
    without_leak("begun_frames_and_waiting_messages_count", begun_frames_and_waiting_messages_count);
    without_leak("a_frame_that_trickles", a_frame_that_trickles);
    without_leak("a_frame_whose_reader_was_busy", a_frame_whose_reader_was_busy);
    without_leak("last_words_arrive", last_words_arrive);
    without_leak("a_stalled_peer_is_given_no_longer_than_others", a_stalled_peer_is_given_no_longer_than_others);
    without_leak("bad_peers_are_not_opened", bad_peers_are_not_opened);
    without_leak("bad_input_closes", bad_input_closes);
    without_leak("caps", caps);
    without_leak("text_peers", text_peers);
    without_leak("borrowed_thread", borrowed_thread);
    without_leak("a_borrowed_thread_can_be_taken_back", a_borrowed_thread_can_be_taken_back);
    without_leak("handler_and_loop_send_in_order", handler_and_loop_send_in_order);
    without_leak("dialled_peers", dialled_peers);
    without_leak("unix_peers", unix_peers);
    without_leak("shutdown_while_everything_waits", shutdown_while_everything_waits);
    without_leak("a_hub_that_is_dropped_ends", a_hub_that_is_dropped_ends);
}

fn talk() {
    let bench = Bench::<()>::new(HubConfig::default(), no_handlers());
    let mut conn = bench.dial();
    let (peer, info) = bench.opened();
    assert_eq!((info.address.as_str(), info.own_address.as_str()), ("127.0.0.1", "127.0.0.1"));
    assert_eq!((info.version, info.offer, info.local, info.dialled), (OFFER, OFFER, false, false));
    conn.send(&text(1), long(Step::Send)).unwrap();
    assert_eq!(bench.said(), (peer, text(1)));
    bench.hub.send_all(peer, &[text(2), text(3)]);
    assert_eq!(conn.recv(long(Step::Message)).unwrap(), text(2));
    assert_eq!(conn.recv(long(Step::Message)).unwrap(), text(3));
    drop(conn);
    let (gone, reason) = bench.closed();
    assert_eq!(gone, peer);
    assert!(matches!(reason, CloseReason::Peer(ConnError::Closed)));
    // Late words to somebody who is gone are nothing.
    bench.hub.send(peer, &text(4));
    bench.hub.close(peer, "gone");
    bench.hub.shutdown(LONG);
}

fn five_hundred_peers() {
    let bench = Bench::<()>::new(HubConfig::default(), no_handlers());
    let mut conns: Vec<_> = (0..500).map(|_| bench.dial()).collect();
    for _ in 0..conns.len() {
        bench.opened();
    }
    assert_eq!(bench.hub.peer_count(), 500);
    for (i, conn) in conns.iter_mut().enumerate() {
        conn.send(&text(i), long(Step::Send)).unwrap();
    }
    for _ in 0..conns.len() {
        let (peer, message) = bench.said();
        bench.hub.send(peer, &message);
    }
    for (i, conn) in conns.iter_mut().enumerate() {
        assert_eq!(conn.recv(long(Step::Message)).unwrap(), text(i));
    }
    drop(conns);
    for _ in 0..500 {
        bench.closed();
    }
    bench.hub.shutdown(LONG);
}

/// A peer has no more messages under way than its credits, and they come back when events are dropped.
fn a_flood_is_held_back() {
    let config = HubConfig { credits: 4, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    let mut conn = bench.dial();
    bench.opened();
    let messages: Vec<_> = (0..100).map(text).collect();
    conn.send_all(&messages, long(Step::Send)).unwrap();
    let held: Vec<_> = (0..4).map(|_| bench.event()).collect();
    assert!(bench.events.recv_timeout(Duration::from_millis(100)).is_err());
    // Others are not held back by it.
    let mut other = bench.dial();
    let (other_peer, _) = bench.opened();
    other.send(&Message::Ping, long(Step::Send)).unwrap();
    assert_eq!(bench.said(), (other_peer, Message::Ping));
    drop(held);
    for message in messages.into_iter().skip(4) {
        assert_eq!(bench.said().1, message);
    }
    bench.hub.shutdown(LONG);
}

fn a_full_outbox_closes_only_that_peer() {
    let bench = Bench::<()>::new(HubConfig::default(), no_handlers());
    let (mut good, _bad) = (bench.dial(), bench.dial());
    let (a, _) = bench.opened();
    let (b, _) = bench.opened();
    bench.hub.limit_outbox(a, 64 << 20);
    bench.hub.limit_outbox(b, 64 << 20);
    good.send(&Message::Ping, long(Step::Send)).unwrap();
    let good_peer = bench.said().0;
    let bad_peer = if good_peer == a { b } else { a };
    bench.hub.limit_outbox(bad_peer, 1 << 20);
    let reader = thread::spawn(move || (0..40).all(|_| good.recv(long(Step::Chunk)).unwrap() == chunk(500_000)));
    for _ in 0..40 {
        bench.hub.send(good_peer, &chunk(500_000));
        bench.hub.send(bad_peer, &chunk(500_000));
    }
    let (peer, reason) = bench.closed();
    assert_eq!(peer, bad_peer);
    assert!(matches!(reason, CloseReason::OutboxFull { waiting } if waiting > 1 << 20), "{reason}");
    assert!(reader.join().unwrap());
    bench.hub.shutdown(LONG);
}

/// Many peers may each stay below their own bound: the sum has one too, and then only the one goes for whom most is held.
fn who_holds_most_is_cut() {
    let path = std::env::temp_dir().join(format!("ice-net-{}-hoard", std::process::id()));
    let limits = [(16 << 20, usize::MAX, false), (usize::MAX, 8 << 20, true)];
    for (held_max, held_per_address_max, of_address) in limits {
        let config = HubConfig { outbox_max: 1 << 30, held_max, held_per_address_max, ..HubConfig::default() };
        let bench = Bench::<()>::new(config, no_handlers());
        bench.hub.listen(Listener::unix(&path, 0o777).unwrap(), Version::TO_CLIENT, no_handlers()).unwrap();
        let _greedy = bench.dial();
        let greedy_peer = bench.opened().0;
        let mut modest = bench.dial();
        let modest_peer = bench.opened().0;
        // It holds much, but less than all may and is not of that address.
        let mut local = dial::unix(&path, Version::TO_CLIENT, long(Step::Connect)).unwrap();
        let local_peer = bench.opened().0;
        for _ in 0..5 {
            bench.hub.send(local_peer, &chunk(1_000_000));
        }
        let mut sent = 0;
        let until = Instant::now() + LONG;
        while bench.events.is_empty() {
            assert!(Instant::now() < until, "nobody was cut");
            thread::sleep(Duration::from_millis(1));
            (0..10).for_each(|_| bench.hub.send(greedy_peer, &chunk(500_000)));
            bench.hub.send(modest_peer, &text(sent));
            sent += 1;
        }
        let (peer, reason) = bench.closed();
        assert_eq!(peer, greedy_peer);
        assert!(matches!(reason, CloseReason::Hoarding { address, .. } if address == of_address), "{reason}");
        assert!((0..sent).all(|n| modest.recv(long(Step::Message)).unwrap() == text(n)));
        assert!((0..5).all(|_| local.recv(long(Step::Message)).unwrap() == chunk(1_000_000)));
        bench.hub.shutdown(LONG);
    }
}

/// A peer that has said its versions by hand, and so may go on as it likes.
fn raw_peer(bench: &Bench) -> (TcpStream, PeerId) {
    let mut raw = bench.connect();
    raw.write_all(&[43, 0, 0, 0, 43, 0, 0, 0]).unwrap();
    (raw, bench.opened().0)
}

fn begun_frames_and_waiting_messages_count() {
    let config = HubConfig { held_per_address_max: 4 << 20, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    let begun = [&(1u32 << 20).to_be_bytes()[..], &[7; 600_000]].concat();
    let mut raw: Vec<_> = (0..20).map(|_| raw_peer(&bench)).collect();
    let writers: Vec<_> = raw.iter_mut().map(|(raw, _)| raw.write_all(&begun)).collect();
    // 20 × 600,000 bytes are three times as much as may be held: most of these peers go, and no more than have to.
    let mut cut = 0;
    while cut < 13 || !bench.events.is_empty() {
        let reason = bench.closed().1;
        assert!(matches!(reason, CloseReason::Hoarding { address: true, .. }), "{reason}");
        cut += 1;
    }
    thread::sleep(Duration::from_millis(200));
    drop((writers, raw));
    let rest: Vec<_> = (cut..20).map(|_| bench.closed().1).collect();
    let kept = rest.iter().filter(|reason| !matches!(reason, CloseReason::Hoarding { .. })).count();
    assert!(kept >= 3, "{kept} of 20 kept, each holds 1.2 MB at most of 4 MiB");

    // Messages that the loop has not dealt with.
    let (mut hasty, mut other) = (bench.dial(), bench.dial());
    let peers = [bench.opened().0, bench.opened().0];
    other.send(&Message::Ping, long(Step::Send)).unwrap();
    let (other_peer, _) = bench.said();
    let _ = hasty.send_all(&vec![chunk(1_000_000); 10], long(Step::Send));
    let mut held = Vec::new();
    let reason = loop {
        match bench.event() {
            HubEvent::Closed { peer, reason } => {
                assert!(peer != other_peer && peers.contains(&peer));
                break reason;
            }
            said => held.push(said),
        }
    };
    assert!(matches!(reason, CloseReason::Hoarding { address: true, .. }), "{reason}");
    assert!(held.len() <= 5, "{}", held.len());
    drop(held);
    other.send(&Message::Ping, long(Step::Send)).unwrap();
    assert_eq!(bench.said().0, other_peer);
    bench.hub.shutdown(LONG);
}

/// A frame that has begun has a deadline, however steadily its bytes come; between frames there is none.
fn a_frame_that_trickles() {
    const FRAME: Duration = Duration::from_millis(300);
    let config = HubConfig { frame: FRAME, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    let mut idle = bench.dial();
    bench.opened();
    idle.send(&Message::Ping, long(Step::Send)).unwrap();
    let (idle_peer, _) = bench.said();
    let (mut raw, trickling) = raw_peer(&bench);
    raw.write_all(&1000u32.to_be_bytes()).unwrap();
    let until = Instant::now() + LONG;
    while bench.events.is_empty() {
        assert!(Instant::now() < until, "a frame may trickle for ever");
        let _ = raw.write_all(&[0]);
        thread::sleep(Duration::from_millis(20));
    }
    let (peer, reason) = bench.closed();
    assert_eq!(peer, trickling);
    assert!(matches!(&reason, CloseReason::Peer(ConnError::TimedOut { step: Step::Rest, .. })), "{reason}");
    idle.send(&Message::Ping, long(Step::Send)).unwrap();
    assert_eq!(bench.said(), (idle_peer, Message::Ping));
    bench.hub.shutdown(LONG);
}

/// Keeps its thread until it is told to go on.
struct Busy(Receiver<()>);

impl PeerHandler for Busy {
    fn said(&mut self, message: Message, _: &mut PeerConn) -> Verdict {
        self.0.recv_timeout(LONG).unwrap();
        Verdict::Forward(message)
    }
}

/// While a handler has the thread nobody reads: that is not held against the frame that has begun.
fn a_frame_whose_reader_was_busy() {
    const FRAME: Duration = Duration::from_secs(2);
    const PING: [u8; 8] = [0, 0, 0, 4, 0, 0, 0, 66];
    let (go_on, told) = crossbeam::channel::bounded(2);
    let config = HubConfig { frame: FRAME, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, Arc::new(move |_, _| Some(Box::new(Busy(told.clone())))));
    let (mut raw, peer) = raw_peer(&bench);
    raw.write_all(&[&PING[..], &PING[..6]].concat()).unwrap();
    thread::sleep(FRAME + Duration::from_millis(500));
    go_on.send(()).unwrap();
    assert_eq!(bench.said(), (peer, Message::Ping));
    raw.write_all(&PING[6..]).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(bench.said(), (peer, Message::Ping));
    bench.hub.shutdown(LONG);
}

/// What was sent before a close is read by the peer, even one that goes on talking.
fn last_words_arrive() {
    let config = HubConfig { linger: LONG, outbox_max: 64 << 20, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    for _ in 0..20 {
        bench.hub.send(peer, &chunk(500_000));
    }
    bench.hub.send(peer, &text(1));
    bench.hub.close(peer, "enough");
    bench.hub.send(peer, &text(2));
    let _ = conn.send(&text(3), long(Step::Send));
    for _ in 0..20 {
        assert_eq!(conn.recv(long(Step::Chunk)).unwrap(), chunk(500_000));
    }
    let _ = conn.send(&text(3), long(Step::Send));
    assert_eq!(conn.recv(long(Step::Message)).unwrap(), text(1));
    assert!(matches!(conn.recv(long(Step::Message)), Err(ConnError::Closed)));
    drop(conn);
    match bench.closed() {
        (p, CloseReason::Asked(reason)) => assert_eq!((p, reason.as_str()), (peer, "enough")),
        (_, other) => panic!("{other}"),
    }
    // One that never goes is cut when its time is over.
    let bench =
        Bench::<()>::new(HubConfig { linger: Duration::from_millis(50), ..HubConfig::default() }, no_handlers());
    let _conn = bench.dial();
    let (peer, _) = bench.opened();
    bench.hub.close(peer, "enough");
    assert_eq!(bench.closed().0, peer);
    bench.hub.shutdown(LONG);
}

/// A close is not put off until the peer, which reads nothing, would have been given up anyway.
fn a_stalled_peer_is_given_no_longer_than_others() {
    let config = HubConfig { linger: Duration::from_millis(50), send_stall: 10 * LONG, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    // TCP may find some more room later.
    let path = std::env::temp_dir().join(format!("ice-net-{}-stalled", std::process::id()));
    bench.hub.listen(Listener::unix(&path, 0o777).unwrap(), Version::TO_CLIENT, no_handlers()).unwrap();
    let _conn = dial::unix(&path, Version::TO_CLIENT, long(Step::Connect)).unwrap();
    let (peer, _) = bench.opened();
    for _ in 0..4 {
        bench.hub.send(peer, &chunk(500_000));
    }
    // Until the thread that writes has seen that there is no room, and sleeps.
    thread::sleep(Duration::from_millis(200));
    bench.hub.close(peer, "enough");
    assert_eq!(bench.closed().0, peer);
    bench.hub.shutdown(LONG);
}

/// What comes until the other side closes, which it must do.
fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        // What is closed with bytes unread is reset.
        Err(e) if e.kind() != ErrorKind::ConnectionReset => panic!("not closed: {e}"),
        _ => heard,
    }
}

fn bad_peers_are_not_opened() {
    let config = HubConfig { handshake: Duration::from_secs(1), ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    let mut old = bench.connect();
    old.write_all(&20u32.to_le_bytes()).unwrap();
    assert_eq!(until_closed(old), OFFER.number().to_le_bytes());
    assert_eq!(until_closed(bench.connect()), OFFER.number().to_le_bytes());
    drop(bench.connect());
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    conn.send(&Message::Ping, long(Step::Send)).unwrap();
    assert_eq!(bench.said(), (peer, Message::Ping));
    bench.hub.shutdown(LONG);
}

fn bad_input_closes() {
    let bench = Bench::<()>::new(HubConfig::default(), no_handlers());
    let mut raw = TcpStream::connect((Ipv4Addr::LOCALHOST, bench.port)).unwrap();
    raw.write_all(&[43, 0, 0, 0, 43, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 66, 0, 0x20, 0, 0]).unwrap();
    let (peer, _) = bench.opened();
    assert_eq!(bench.said(), (peer, Message::Ping));
    let (gone, reason) = bench.closed();
    assert_eq!(gone, peer);
    assert!(matches!(reason, CloseReason::Peer(ConnError::Frame(_))), "{reason}");
    bench.hub.shutdown(LONG);
}

fn caps() {
    let config = HubConfig { peers_per_address_max: 2, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    let (first, _second) = (bench.dial(), bench.dial());
    bench.opened();
    bench.opened();
    assert_eq!(until_closed(bench.connect()), [0; 0]);
    drop(first);
    bench.closed();
    // The place is free as soon as the thread of the first has ended.
    let until = Instant::now() + LONG;
    while bench.hub.peer_count() > 1 {
        assert!(Instant::now() < until);
        thread::sleep(Duration::from_millis(5));
    }
    let _fourth = bench.dial();
    bench.opened();
    bench.hub.shutdown(LONG);
}

fn text_peers() {
    let (hub, events) = Hub::<()>::new(HubConfig { line_max: 100, ..HubConfig::default() }).unwrap();
    let listener = Listener::tcp(0).unwrap();
    let port = listener.port();
    hub.listen_text(listener).unwrap();
    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let event = || events.recv_timeout(LONG).unwrap();
    let mut console = connect();
    let HubEvent::TextOpened { peer, address } = event() else { panic!("no greeting") };
    assert_eq!(address, "127.0.0.1");
    hub.send_text(peer, "200 hello\n");
    console.write_all(b"help\r\n listcs\n").unwrap();
    console.shutdown(Shutdown::Write).unwrap();
    for expected in ["help", "listcs"] {
        match event() {
            HubEvent::Line { text, .. } => assert_eq!(text, expected),
            other => panic!("{other:?}"),
        }
        hub.send_text(peer, "200 done\n");
    }
    assert!(matches!(event(), HubEvent::HalfClosed { .. }));
    hub.send_text(peer, "200 Good Bye!\n");
    hub.close(peer, "said good bye");
    let mut heard = String::new();
    console.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "200 hello\n200 done\n200 done\n200 Good Bye!\n");
    assert!(matches!(event(), HubEvent::Closed { reason: CloseReason::Asked(_), .. }));

    let mut endless = connect();
    assert!(matches!(event(), HubEvent::TextOpened { .. }));
    let _ = endless.write_all(&[b'x'; 1000]);
    assert!(matches!(event(), HubEvent::Closed { reason: CloseReason::LineTooLong { max: 100 }, .. }));
    hub.shutdown(LONG);
}

/// Keeps the thread from COMPILE-like begin to END, as a compile server does.
struct Dialogue;

impl PeerHandler<usize> for Dialogue {
    fn said(&mut self, message: Message, conn: &mut PeerConn<usize>) -> Verdict {
        if message != Message::Ping {
            return Verdict::Forward(message);
        }
        let mut bytes = 0;
        loop {
            match conn.recv(long(Step::Chunk)) {
                Ok(Message::FileChunk(chunk)) => bytes += chunk.data.len(),
                Ok(_) => break,
                Err(error) => {
                    conn.note(usize::MAX);
                    return Verdict::Close(error.to_string());
                }
            }
        }
        conn.note(bytes);
        conn.send_all(&[chunk(500_000), text(bytes)], long(Step::Send)).unwrap();
        Verdict::Close("done".into())
    }
}

fn dialogues() -> Handlers<usize> {
    Arc::new(|_, _| Some(Box::new(Dialogue)))
}

fn borrowed_thread() {
    let bench = Bench::new(HubConfig::default(), dialogues());
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    conn.send_all(&[text(1), Message::Ping, chunk(1000), chunk(70_000), Message::End], long(Step::Send)).unwrap();
    // What the handler does not want goes to the loop, and all stays in order.
    assert_eq!(bench.said(), (peer, text(1)));
    assert!(matches!(bench.event(), HubEvent::Noted { note: 71_000, .. }));
    assert_eq!(conn.recv(long(Step::Chunk)).unwrap(), chunk(500_000));
    assert_eq!(conn.recv(long(Step::Message)).unwrap(), text(71_000));
    assert!(matches!(conn.recv(long(Step::Message)), Err(ConnError::Closed)));
    drop(conn);
    match bench.closed() {
        (_, CloseReason::Asked(reason)) => assert_eq!(reason, "done"),
        (_, other) => panic!("{other}"),
    }
    bench.hub.shutdown(LONG);
}

fn a_borrowed_thread_can_be_taken_back() {
    let config = HubConfig { linger: LONG, ..HubConfig::default() };
    let bench = Bench::new(config, dialogues());
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    conn.send_all(&[Message::Ping, chunk(1000)], long(Step::Send)).unwrap();
    // Whether the handler waits already or not yet: it comes back either way.
    bench.hub.send(peer, &text(9));
    bench.hub.close(peer, "the job was cancelled");
    assert_eq!(conn.recv(long(Step::Message)).unwrap(), text(9));
    assert!(matches!(conn.recv(long(Step::Message)), Err(ConnError::Closed)));
    drop(conn);
    let reason = loop {
        match bench.event() {
            HubEvent::Closed { reason, .. } => break reason,
            HubEvent::Noted { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason.to_string(), "the job was cancelled");
    bench.hub.shutdown(LONG);
}

/// Sends as fast as it can, against a loop that does so too.
struct Talker;

impl PeerHandler for Talker {
    fn said(&mut self, _: Message, conn: &mut PeerConn) -> Verdict {
        for n in 0..200 {
            conn.send(&text(n), long(Step::Send)).unwrap();
            conn.send(&chunk(20_000), long(Step::Send)).unwrap();
        }
        assert!(conn.as_fd().try_clone_to_owned().is_ok());
        Verdict::Kept
    }
}

fn handler_and_loop_send_in_order() {
    let config = HubConfig { outbox_max: 64 << 20, ..HubConfig::default() };
    let bench = Bench::new(config, Arc::new(|_, _| Some(Box::new(Talker) as Box<dyn PeerHandler>)));
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    conn.send(&Message::Ping, long(Step::Send)).unwrap();
    let sender = thread::spawn({
        let hub = bench.hub.clone();
        move || {
            for n in 1000..1200 {
                hub.send(peer, &text(n));
                hub.send(peer, &chunk(20_000));
            }
        }
    });
    let (mut next_handler, mut next_loop) = (0, 1000);
    while (next_handler, next_loop) != (200, 1200) {
        match conn.recv(long(Step::Message)).unwrap() {
            Message::StatusText { text } => match text.as_str().unwrap().parse::<usize>().unwrap() {
                n if n < 1000 => {
                    assert_eq!(n, next_handler);
                    next_handler += 1;
                }
                n => {
                    assert_eq!(n, next_loop);
                    next_loop += 1;
                }
            },
            message => assert_eq!(message, chunk(20_000)),
        }
    }
    sender.join().unwrap();
    drop(conn);
    bench.closed();
    bench.hub.shutdown(LONG);
}

fn dialled_peers() {
    let server = Bench::<()>::new(HubConfig::default(), no_handlers());
    let (hub, events) = Hub::<()>::new(HubConfig::default()).unwrap();
    let event = || events.recv_timeout(LONG).unwrap();
    let target = Target::Tcp { host: "127.0.0.1".into(), port: server.port };
    let dial = || hub.dial(target.clone(), Version::TO_CLIENT, long(Step::Connect), no_handlers()).unwrap();
    let peer = dial();
    match event() {
        HubEvent::Opened { peer: opened, info } => {
            assert_eq!((opened, info.dialled, info.version), (peer, true, OFFER));
        }
        other => panic!("{other:?}"),
    }
    let (here, info) = server.opened();
    assert_eq!(info.offer, Version::TO_CLIENT);
    hub.send(peer, &Message::MonLogin);
    assert_eq!(server.said(), (here, Message::MonLogin));
    server.hub.cut(here, "thrown out");
    assert!(matches!(event(), HubEvent::Closed { .. }));
    assert_eq!(server.closed().1.to_string(), "thrown out");
    server.hub.shutdown(LONG);
    let peer = dial();
    match event() {
        HubEvent::DialFailed { peer: failed, error } => {
            assert_eq!(failed, peer);
            assert_eq!(error.to_string(), format!("cannot connect to 127.0.0.1:{}", server.port));
        }
        other => panic!("{other:?}"),
    }
    hub.shutdown(LONG);
}

fn unix_peers() {
    let path = std::env::temp_dir().join(format!("ice-net-{}-hub", std::process::id()));
    let config = HubConfig { peers_max: 3, peers_per_address_max: 1, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    bench.hub.listen(Listener::unix(&path, 0o777).unwrap(), Version::TO_CLIENT, no_handlers()).unwrap();
    // The caps are not for the host's own clients.
    let _stranger = bench.dial();
    bench.opened();
    let mut conns: Vec<_> =
        (0..3).map(|_| dial::unix(&path, Version::TO_CLIENT, long(Step::Connect)).unwrap()).collect();
    for conn in &mut conns {
        let (peer, info) = bench.opened();
        assert_eq!((info.local, info.address.as_str(), info.version), (true, "", Version::TO_CLIENT));
        bench.hub.send(peer, &text(1));
        assert!(conn.is_unix());
    }
    assert!(conns.iter_mut().all(|conn| conn.recv(long(Step::Message)).unwrap() == text(1)));
    assert!(dial::unix(&path, Version::TO_CLIENT, long(Step::Connect)).is_err(), "they have a bound of their own");
    bench.hub.stop_listening();
    assert!(!path.exists());
    // Those who are there already stay.
    conns[0].send(&Message::Ping, long(Step::Send)).unwrap();
    assert_eq!(bench.said().1, Message::Ping);
    bench.hub.shutdown(LONG);
}

/// Readers that wait for the loop, for credits, for the handshake; a peer that does not read: all go.
fn shutdown_while_everything_waits() {
    let config = HubConfig { events_max: 2, credits: 8, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    let mut conns: Vec<_> = (0..4).map(|_| bench.dial()).collect();
    let silent = TcpStream::connect((Ipv4Addr::LOCALHOST, bench.port)).unwrap();
    let peers: Vec<_> = (0..4).map(|_| bench.opened().0).collect();
    for conn in &mut conns {
        conn.send_all(&vec![Message::Ping; 100], long(Step::Send)).unwrap();
    }
    bench.hub.send(peers[0], &chunk(1_000_000));
    bench.hub.shutdown(Duration::from_millis(100));
    assert_eq!(bench.hub.peer_count(), 0);
    drop(silent);
}

fn a_hub_that_is_dropped_ends() {
    let bench = Bench::<()>::new(HubConfig::default(), no_handlers());
    let mut conn = bench.dial();
    bench.opened();
    drop(bench);
    assert!(conn.recv(long(Step::Message)).is_err());
}
