//! Tests of handlers that use their peer's thread.

use super::*;

/// Uses the thread from a message that begins a job to END, as a compile server does.
struct Dialogue;

impl PeerHandler<usize> for Dialogue {
    fn message(&mut self, message: Message, conn: &mut PeerConn<usize>) -> Verdict {
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

#[test]
fn borrowed_thread() {
    let _alone = alone();
    let bench = Bench::new(HubConfig::default(), dialogues());
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    conn.send_all(&[text(1), Message::Ping, chunk(1000), chunk(70_000), Message::End], long(Step::Send)).unwrap();
    // Messages that the handler does not want go to the loop, and all stay in order.
    assert_eq!(bench.message(), (peer, text(1)));
    assert!(matches!(bench.event(), HubEvent::Note { note: 71_000, .. }));
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

#[test]
fn a_borrowed_thread_can_be_taken_back() {
    let _alone = alone();
    let config = HubConfig { linger: LONG, ..HubConfig::default() };
    let bench = Bench::new(config, dialogues());
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    conn.send_all(&[Message::Ping, chunk(1000)], long(Step::Send)).unwrap();
    // It returns whether the handler waits already or not yet.
    bench.hub.send(peer, &text(9));
    bench.hub.close(peer, "the job was cancelled");
    assert_eq!(conn.recv(long(Step::Message)).unwrap(), text(9));
    assert!(matches!(conn.recv(long(Step::Message)), Err(ConnError::Closed)));
    drop(conn);
    let reason = loop {
        match bench.event() {
            HubEvent::Closed { reason, .. } => break reason,
            HubEvent::Note { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason.to_string(), "the job was cancelled");
    bench.hub.shutdown(LONG);
}

/// Sends as fast as it can while the loop does so too.
struct Talker;

impl PeerHandler for Talker {
    fn message(&mut self, _: Message, conn: &mut PeerConn) -> Verdict {
        for n in 0..200 {
            conn.send(&text(n), long(Step::Send)).unwrap();
            conn.send(&chunk(20_000), long(Step::Send)).unwrap();
        }
        assert!(conn.as_fd().try_clone_to_owned().is_ok());
        Verdict::Handled
    }
}

#[test]
fn handler_and_loop_send_in_order() {
    let _alone = alone();
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

/// Holds more and more of what its peer sends.
struct Keeper;

impl PeerHandler<(PeerId, Vec<bool>)> for Keeper {
    fn message(&mut self, message: Message, conn: &mut PeerConn<(PeerId, Vec<bool>)>) -> Verdict {
        assert_eq!(message, Message::Ping);
        assert_eq!((conn.version(), conn.info().address.as_str()), (OFFER, "127.0.0.1"));
        let closing = [20_000, 900_000, 1000, 1 << 20].map(|bytes| {
            conn.set_held(bytes);
            conn.is_closing()
        });
        conn.note((conn.peer(), closing.into()));
        assert!(matches!(conn.try_recv(), Err(ConnError::Closed)));
        assert!(matches!(conn.recv(long(Step::Message)), Err(ConnError::Closed)));
        assert!(matches!(conn.send(&Message::Ping, long(Step::Send)), Err(ConnError::Closed)));
        Verdict::Handled
    }
}

/// Bytes that a handler holds count for its peer, in addition to those of the connection itself.
#[test]
fn what_a_handler_keeps_counts() {
    let _alone = alone();
    let config = HubConfig { held_per_address_max: 1 << 20, ..HubConfig::default() };
    let bench = Bench::new(config, Arc::new(|_, _| Some(Box::new(Keeper))));
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    conn.send(&Message::Ping, long(Step::Send)).unwrap();
    match bench.event() {
        HubEvent::Note { peer: noted, note } => {
            assert_eq!((noted, note), (peer, (peer, vec![false, false, false, true])));
        }
        other => panic!("{other:?}"),
    }
    let (gone, reason) = bench.closed();
    assert_eq!(gone, peer);
    assert!(matches!(reason, CloseReason::HoldsTooMuch { address: true, held } if held >= 1 << 20), "{reason}");
    bench.hub.shutdown(LONG);
}

/// Takes two messages without waiting.
struct Hasty;

impl PeerHandler<Vec<Message>> for Hasty {
    fn message(&mut self, _: Message, conn: &mut PeerConn<Vec<Message>>) -> Verdict {
        // What was sent in one write was read at once.
        assert!(conn.has_buffered());
        let mut messages = Vec::new();
        while messages.len() < 2 {
            match conn.try_recv() {
                Ok(message) => messages.extend(message),
                Err(error) => return Verdict::Close(error.to_string()),
            }
            thread::yield_now();
        }
        assert!(!conn.has_buffered());
        assert!(matches!(conn.try_recv(), Ok(None)));
        conn.note(messages);
        Verdict::Handled
    }
}

#[test]
fn a_handler_need_not_wait() {
    let _alone = alone();
    let bench = Bench::new(HubConfig::default(), Arc::new(|_, _| Some(Box::new(Hasty))));
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    conn.send_all(&[Message::Ping, text(1), text(2)], long(Step::Send)).unwrap();
    match bench.event() {
        HubEvent::Note { peer: noted, note } => assert_eq!((noted, note), (peer, vec![text(1), text(2)])),
        other => panic!("{other:?}"),
    }
    bench.hub.shutdown(LONG);
}

/// Closes the connection when told to.
struct Closes(Receiver<()>);

impl PeerHandler for Closes {
    fn message(&mut self, _: Message, _: &mut PeerConn) -> Verdict {
        self.0.recv_timeout(LONG).unwrap();
        Verdict::Close("done".into())
    }
}

/// A peer gets what the loop has sent although its handler closes the connection.
#[test]
fn a_peer_closed_by_its_handler_gets_what_the_loop_sent() {
    let _alone = alone();
    let (go_on, told) = crossbeam::channel::bounded(1);
    let config = HubConfig { linger: LONG, outbox_max: 64 << 20, ..HubConfig::default() };
    let bench = Bench::new(config, Arc::new(move |_, _| Some(Box::new(Closes(told.clone())))));
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    conn.send(&Message::Ping, long(Step::Send)).unwrap();
    for _ in 0..20 {
        bench.hub.send(peer, &chunk(500_000));
    }
    go_on.send(()).unwrap();
    for _ in 0..20 {
        assert_eq!(conn.recv(long(Step::Chunk)).unwrap(), chunk(500_000));
    }
    assert!(matches!(conn.recv(long(Step::Message)), Err(ConnError::Closed)));
    drop(conn);
    assert_eq!(bench.closed().1.to_string(), "done");
    bench.hub.shutdown(LONG);
}

/// A peer that does not close after its handler has closed the connection is not waited for without end.
#[test]
fn a_peer_closed_by_its_handler_may_stay() {
    let _alone = alone();
    let (go_on, told) = crossbeam::channel::bounded(1);
    let config = HubConfig { linger: Duration::from_millis(10), ..HubConfig::default() };
    let bench = Bench::new(config, Arc::new(move |_, _| Some(Box::new(Closes(told.clone())))));
    let mut conn = bench.dial();
    bench.opened();
    conn.send(&Message::Ping, long(Step::Send)).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(bench.closed().1.to_string(), "done");
    assert!(matches!(conn.recv(long(Step::Message)), Err(ConnError::Closed)));
    bench.hub.shutdown(LONG);
}

/// Knows its peer's last message.
struct Brief;

impl PeerHandler for Brief {
    fn message(&mut self, message: Message, _: &mut PeerConn) -> Verdict {
        if message == Message::End { Verdict::Last(message) } else { Verdict::Forward(message) }
    }
}

fn brief() -> Handlers<()> {
    Arc::new(|_, _| Some(Box::new(Brief)))
}

#[test]
fn a_connection_closes_when_the_loop_has_seen_the_last_message() {
    let _alone = alone();
    let bench = Bench::new(HubConfig::default(), brief());
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    conn.send_all(&[text(1), Message::End], long(Step::Send)).unwrap();
    assert_eq!(bench.message(), (peer, text(1)));
    let last = bench.event();
    assert!(matches!(last, HubEvent::Message { message: Message::End, .. }));
    // Its thread waits neither for the loop nor for the peer.
    assert_eq!(bench.closed().0, peer);
    assert!(conn.try_recv().unwrap().is_none());
    drop(last);
    assert!(matches!(conn.recv(long(Step::Message)), Err(ConnError::Closed)));
    bench.hub.shutdown(LONG);
}

#[test]
fn a_peer_gets_what_was_sent_before_its_last_message() {
    let _alone = alone();
    let bench = Bench::new(HubConfig { outbox_max: 64 << 20, linger: LONG, ..HubConfig::default() }, brief());
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    for _ in 0..20 {
        bench.hub.send(peer, &chunk(500_000));
    }
    conn.send(&Message::End, long(Step::Send)).unwrap();
    assert_eq!(bench.message(), (peer, Message::End));
    for _ in 0..20 {
        assert_eq!(conn.recv(long(Step::Chunk)).unwrap(), chunk(500_000));
    }
    assert!(matches!(conn.recv(long(Step::Message)), Err(ConnError::Closed)));
    bench.closed();
    bench.hub.shutdown(LONG);
}

/// Tells that it was called, and what it can read when told to.
struct ReadsLate {
    called: Sender<()>,
    go_on: Receiver<()>,
    found: Sender<[Option<ConnError>; 2]>,
}

impl PeerHandler for ReadsLate {
    fn message(&mut self, _: Message, conn: &mut PeerConn) -> Verdict {
        self.called.send(()).unwrap();
        self.go_on.recv_timeout(LONG).unwrap();
        self.found.send([conn.try_recv().err(), conn.recv(long(Step::Message)).err()]).unwrap();
        Verdict::Handled
    }
}

/// A handler reads no more of a connection that the loop closes, not even what has arrived.
#[test]
fn a_handler_reads_nothing_of_a_closed_connection() {
    let _alone = alone();
    let (called, was_called) = crossbeam::channel::bounded(1);
    let (go_on, told) = crossbeam::channel::bounded(1);
    let (found, said) = crossbeam::channel::bounded(1);
    let handlers: Handlers<()> = Arc::new(move |_, _| {
        Some(Box::new(ReadsLate { called: called.clone(), go_on: told.clone(), found: found.clone() }))
    });
    let config = HubConfig { linger: LONG, ..HubConfig::default() };
    let bench = Bench::new(config, handlers);
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    conn.send_all(&[Message::Ping, text(1), text(2)], long(Step::Send)).unwrap();
    was_called.recv_timeout(LONG).unwrap();
    bench.hub.close(peer, "the job was cancelled");
    go_on.send(()).unwrap();
    let found = said.recv_timeout(LONG).unwrap();
    assert!(matches!(found, [Some(ConnError::Closed), Some(ConnError::Closed)]), "{found:?}");
    drop(conn);
    assert_eq!(bench.closed().1.to_string(), "the job was cancelled");
    bench.hub.shutdown(LONG);
}
