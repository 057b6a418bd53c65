//! Tests of how connections end: with all data written, in time, or with the hub.

use super::*;

/// The peer reads what was sent before a close, even if it continues to send.
#[test]
fn data_sent_before_a_close_arrives() {
    let _alone = alone();
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
    // One that never closes is cut when its time has passed.
    let bench =
        Bench::<()>::new(HubConfig { linger: Duration::from_millis(50), ..HubConfig::default() }, no_handlers());
    let _conn = bench.dial();
    let (peer, _) = bench.opened();
    bench.hub.close(peer, "enough");
    assert_eq!(bench.closed().0, peer);
    bench.hub.shutdown(LONG);
}

/// A peer that has ended its direction, and is not closed for it yet, still gets what is left for it.
#[test]
fn who_says_no_more_may_still_read() {
    let _alone = alone();
    let config = HubConfig { linger: LONG, outbox_max: 64 << 20, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    let (mut raw, peer) = raw_peer(&bench);
    for _ in 0..20 {
        bench.hub.send(peer, &chunk(500_000));
    }
    raw.shutdown(Shutdown::Write).unwrap();
    // Most likely its thread has noticed that by now.
    thread::sleep(Duration::from_millis(50));
    let mut received = Vec::new();
    raw.read_to_end(&mut received).unwrap();
    assert!(received.len() > 20 * 500_000, "{}", received.len());
    let (gone, reason) = bench.closed();
    assert!(gone == peer && matches!(reason, CloseReason::Peer(ConnError::Closed)), "{reason}");
    bench.hub.shutdown(LONG);
}

/// A close is not delayed until the time at which the peer, which reads nothing, would have been closed for that.
#[test]
fn a_stalled_peer_is_given_no_longer_than_others() {
    let _alone = alone();
    let config = HubConfig { linger: Duration::from_millis(50), send_stall: 10 * LONG, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    // TCP may find more room later.
    let path = std::env::temp_dir().join(format!("ice-net-{}-stalled", std::process::id()));
    bench.hub.listen(Listener::unix(&path, 0o777).unwrap(), Version::TO_CLIENT, no_handlers()).unwrap();
    let _conn = dial::unix(&path, Version::TO_CLIENT, long(Step::Connect)).unwrap();
    let (peer, _) = bench.opened();
    for _ in 0..4 {
        bench.hub.send(peer, &chunk(500_000));
    }
    // Wait until the outbox thread has noticed that there is no room, and sleeps.
    thread::sleep(Duration::from_millis(200));
    bench.hub.close(peer, "enough");
    assert_eq!(bench.closed().0, peer);
    bench.hub.shutdown(LONG);
}

/// A hub that shuts down gives its peers time to read.
#[test]
fn data_sent_before_a_shutdown_arrives() {
    let _alone = alone();
    let bench = Bench::<()>::new(HubConfig { outbox_max: 64 << 20, ..HubConfig::default() }, no_handlers());
    let mut conn = bench.dial();
    let (peer, _) = bench.opened();
    for _ in 0..20 {
        bench.hub.send(peer, &chunk(500_000));
    }
    let reader = thread::spawn(move || {
        // Most likely the hub is waiting by now.
        thread::sleep(Duration::from_millis(50));
        (0..20).all(|_| conn.recv(long(Step::Chunk)).is_ok_and(|message| message == chunk(500_000)))
    });
    bench.hub.shutdown(LONG);
    assert!(reader.join().unwrap());
}

/// Readers that wait for the loop, for credits or for the handshake, and a peer that does not read: all of them end.
#[test]
fn shutdown_while_everything_waits() {
    let _alone = alone();
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

#[test]
fn a_hub_that_is_dropped_ends() {
    let _alone = alone();
    let bench = Bench::<()>::new(HubConfig::default(), no_handlers());
    let mut conn = bench.dial();
    bench.opened();
    drop(bench);
    assert!(conn.recv(long(Step::Message)).is_err());
}
