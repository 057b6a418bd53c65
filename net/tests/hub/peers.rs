//! Tests of accepting and refusing peers, and of the events about them.

use super::*;

#[test]
fn talk() {
    let _alone = alone();
    let bench = Bench::<()>::new(HubConfig::default(), no_handlers());
    let mut conn = bench.dial();
    let (peer, info) = bench.opened();
    assert_eq!((info.address.as_str(), info.own_address.as_str()), ("127.0.0.1", "127.0.0.1"));
    assert_eq!((info.version, info.offer, info.local, info.dialled), (OFFER, OFFER, false, false));
    conn.send(&text(1), long(Step::Send)).unwrap();
    assert_eq!(bench.message(), (peer, text(1)));
    bench.hub.send_all(peer, &[text(2), text(3)]);
    assert_eq!(conn.recv(long(Step::Message)).unwrap(), text(2));
    assert_eq!(conn.recv(long(Step::Message)).unwrap(), text(3));
    drop(conn);
    let (gone, reason) = bench.closed();
    assert_eq!(gone, peer);
    assert!(matches!(reason, CloseReason::Peer(ConnError::Closed)));
    // Sending to a peer that is gone has no effect.
    bench.hub.send(peer, &text(4));
    bench.hub.close(peer, "gone");
    bench.hub.shutdown(LONG);
}

#[test]
fn five_hundred_peers() {
    let _alone = alone();
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
        let (peer, message) = bench.message();
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

#[test]
fn dialled_peers() {
    let _alone = alone();
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
    assert_eq!(server.message(), (here, Message::MonLogin));
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

#[test]
fn unix_peers() {
    let _alone = alone();
    let path = std::env::temp_dir().join(format!("ice-net-{}-hub", std::process::id()));
    let config = HubConfig { connections: ConnectionBounds { all: 3, of_address: 1 }, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    bench.hub.listen(Listener::unix(&path, 0o777).unwrap(), Version::TO_CLIENT, no_handlers()).unwrap();
    // The limits do not apply to local clients.
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
    // Connections that exist already stay.
    conns[0].send(&Message::Ping, long(Step::Send)).unwrap();
    assert_eq!(bench.message().1, Message::Ping);
    bench.hub.shutdown(LONG);
}

#[test]
fn text_peers() {
    let _alone = alone();
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
    let mut received = String::new();
    console.read_to_string(&mut received).unwrap();
    assert_eq!(received, "200 hello\n200 done\n200 done\n200 Good Bye!\n");
    assert!(matches!(event(), HubEvent::Closed { reason: CloseReason::Asked(_), .. }));

    let mut endless = connect();
    assert!(matches!(event(), HubEvent::TextOpened { .. }));
    let _ = endless.write_all(&[b'x'; 1000]);
    assert!(matches!(event(), HubEvent::Closed { reason: CloseReason::LineTooLong { max: 100 }, .. }));
    hub.shutdown(LONG);
}

/// Reads until the other side closes, which it must do.
fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        // A connection closed with unread bytes is reset.
        Err(e) if e.kind() != ErrorKind::ConnectionReset => panic!("not closed: {e}"),
        _ => received,
    }
}

#[test]
fn caps() {
    let _alone = alone();
    let config = HubConfig {
        connections: ConnectionBounds { of_address: 2, ..ConnectionBounds::default() },
        ..HubConfig::default()
    };
    let bench = Bench::<()>::new(config, no_handlers());
    let (first, _second) = (bench.dial(), bench.dial());
    bench.opened();
    bench.opened();
    assert_eq!(until_closed(bench.connect()), [0; 0]);
    drop(first);
    bench.closed();
    // The place is free as soon as the thread of the first peer has ended.
    let until = Instant::now() + LONG;
    while bench.hub.peer_count() > 1 {
        assert!(Instant::now() < until);
        thread::sleep(Duration::from_millis(5));
    }
    let _fourth = bench.dial();
    bench.opened();
    bench.hub.shutdown(LONG);
}

#[test]
fn bad_peers_are_not_opened() {
    let _alone = alone();
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
    assert_eq!(bench.message(), (peer, Message::Ping));
    bench.hub.shutdown(LONG);
}

#[test]
fn bad_input_closes() {
    let _alone = alone();
    let bench = Bench::<()>::new(HubConfig::default(), no_handlers());
    let mut raw = TcpStream::connect((Ipv4Addr::LOCALHOST, bench.port)).unwrap();
    raw.write_all(&[43, 0, 0, 0, 43, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 66, 0, 0x20, 0, 0]).unwrap();
    let (peer, _) = bench.opened();
    assert_eq!(bench.message(), (peer, Message::Ping));
    let (gone, reason) = bench.closed();
    assert_eq!(gone, peer);
    assert!(matches!(reason, CloseReason::Peer(ConnError::Frame(_))), "{reason}");
    bench.hub.shutdown(LONG);
}
