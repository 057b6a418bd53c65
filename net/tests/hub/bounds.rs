//! Tests of the memory held for a peer, and of time limits for frames.

use super::*;

/// A peer has at most as many messages in flight as credits, which return when events are dropped.
#[test]
fn a_flood_is_held_back() {
    let _alone = alone();
    let config = HubConfig { credits: 4, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    let mut conn = bench.dial();
    bench.opened();
    let messages: Vec<_> = (0..100).map(text).collect();
    conn.send_all(&messages, long(Step::Send)).unwrap();
    let held: Vec<_> = (0..4).map(|_| bench.event()).collect();
    assert!(bench.events.recv_timeout(Duration::from_millis(100)).is_err());
    // It does not delay other peers.
    let mut other = bench.dial();
    let (other_peer, _) = bench.opened();
    other.send(&Message::Ping, long(Step::Send)).unwrap();
    assert_eq!(bench.message(), (other_peer, Message::Ping));
    drop(held);
    for message in messages.into_iter().skip(4) {
        assert_eq!(bench.message().1, message);
    }
    bench.hub.shutdown(LONG);
}

#[test]
fn a_full_outbox_closes_only_that_peer() {
    let _alone = alone();
    let bench = Bench::<()>::new(HubConfig::default(), no_handlers());
    let (mut good, _bad) = (bench.dial(), bench.dial());
    let (a, _) = bench.opened();
    let (b, _) = bench.opened();
    bench.hub.limit_outbox(a, 64 << 20);
    bench.hub.limit_outbox(b, 64 << 20);
    good.send(&Message::Ping, long(Step::Send)).unwrap();
    let good_peer = bench.message().0;
    let bad_peer = if good_peer == a { b } else { a };
    bench.hub.limit_outbox(bad_peer, 1 << 20);
    let reader = thread::spawn(move || (0..40).all(|_| good.recv(long(Step::Chunk)).unwrap() == chunk(500_000)));
    for _ in 0..40 {
        bench.hub.send(good_peer, &chunk(500_000));
        bench.hub.send(bad_peer, &chunk(500_000));
    }
    let (peer, reason) = bench.closed();
    assert_eq!(peer, bad_peer);
    let just_over = (1 << 20) + 1..(1 << 20) + 600_000;
    assert!(matches!(reason, CloseReason::OutboxFull { waiting } if just_over.contains(&waiting)), "{reason}");
    assert!(reader.join().unwrap());
    bench.hub.shutdown(LONG);
}

/// Many peers may each stay below their own limit: the sum has a limit too, and then only the peer is closed for which
/// most is held.
#[test]
fn who_holds_most_is_cut() {
    let _alone = alone();
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
        // It holds much, but less than the total limit, and is not of that address.
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
        assert!(matches!(reason, CloseReason::HoldsTooMuch { address, .. } if address == of_address), "{reason}");
        assert!((0..sent).all(|n| modest.recv(long(Step::Message)).unwrap() == text(n)));
        assert!((0..5).all(|_| local.recv(long(Step::Message)).unwrap() == chunk(1_000_000)));
        bench.hub.shutdown(LONG);
    }
}

#[test]
fn begun_frames_and_waiting_messages_count() {
    let _alone = alone();
    let config = HubConfig { held_per_address_max: 4 << 20, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    let begun = [&(1u32 << 20).to_be_bytes()[..], &[7; 600_000]].concat();
    let mut raw: Vec<_> = (0..20).map(|_| raw_peer(&bench)).collect();
    let writers: Vec<_> = raw.iter_mut().map(|(raw, _)| raw.write_all(&begun)).collect();
    // 20 × 600,000 bytes are three times the limit: most of these peers are closed, but no more than necessary.
    let mut cut = 0;
    while cut < 13 || !bench.events.is_empty() {
        let reason = bench.closed().1;
        assert!(matches!(reason, CloseReason::HoldsTooMuch { address: true, .. }), "{reason}");
        cut += 1;
    }
    thread::sleep(Duration::from_millis(200));
    drop((writers, raw));
    let rest: Vec<_> = (cut..20).map(|_| bench.closed().1).collect();
    let kept = rest.iter().filter(|reason| !matches!(reason, CloseReason::HoldsTooMuch { .. })).count();
    assert!(kept >= 3, "{kept} of 20 kept, each holds 1.2 MB at most of 4 MiB");

    // Messages that the loop has not processed.
    let (mut hasty, mut other) = (bench.dial(), bench.dial());
    let peers = [bench.opened().0, bench.opened().0];
    other.send(&Message::Ping, long(Step::Send)).unwrap();
    let (other_peer, _) = bench.message();
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
    assert!(matches!(reason, CloseReason::HoldsTooMuch { address: true, .. }), "{reason}");
    assert!(held.len() <= 5, "{}", held.len());
    drop(held);
    other.send(&Message::Ping, long(Step::Send)).unwrap();
    assert_eq!(bench.message().0, other_peer);
    bench.hub.shutdown(LONG);
}

/// A frame that has begun has a deadline, however steadily its bytes arrive; between frames there is none.
#[test]
fn a_frame_that_arrives_slowly_times_out() {
    let _alone = alone();
    const FRAME: Duration = Duration::from_millis(300);
    let config = HubConfig { frame: FRAME, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, no_handlers());
    let mut idle = bench.dial();
    bench.opened();
    idle.send(&Message::Ping, long(Step::Send)).unwrap();
    let (idle_peer, _) = bench.message();
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
    assert_eq!(bench.message(), (idle_peer, Message::Ping));
    bench.hub.shutdown(LONG);
}

/// Uses its thread until it is told to continue.
struct Busy(Receiver<()>);

impl PeerHandler for Busy {
    fn message(&mut self, message: Message, _: &mut PeerConn) -> Verdict {
        self.0.recv_timeout(LONG).unwrap();
        Verdict::Forward(message)
    }
}

/// While a handler uses the thread nobody reads, which does not count against the time of a frame that has begun.
#[test]
fn a_frame_whose_reader_was_busy() {
    let _alone = alone();
    const FRAME: Duration = Duration::from_secs(2);
    const PING: [u8; 8] = [0, 0, 0, 4, 0, 0, 0, 66];
    let (go_on, told) = crossbeam::channel::bounded(2);
    let config = HubConfig { frame: FRAME, ..HubConfig::default() };
    let bench = Bench::<()>::new(config, Arc::new(move |_, _| Some(Box::new(Busy(told.clone())))));
    let (mut raw, peer) = raw_peer(&bench);
    raw.write_all(&[&PING[..], &PING[..6]].concat()).unwrap();
    thread::sleep(FRAME + Duration::from_millis(500));
    go_on.send(()).unwrap();
    assert_eq!(bench.message(), (peer, Message::Ping));
    raw.write_all(&PING[6..]).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(bench.message(), (peer, Message::Ping));
    bench.hub.shutdown(LONG);
}
