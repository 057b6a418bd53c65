//! Handlers that keep their peer's thread.

use super::*;

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

#[test]
fn borrowed_thread() {
    let _alone = alone();
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

#[test]
fn a_borrowed_thread_can_be_taken_back() {
    let _alone = alone();
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
