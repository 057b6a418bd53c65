//! Tests of broadcasts, the choice between answers, and the election.

use super::*;
use crossbeam::channel::{Receiver, bounded};
use nix::sys::socket::SockaddrStorage;

fn identity(version: u32, start_time: u64, netname: &str) -> Identity {
    Identity { version: Version::new(version), start_time, netname: netname.into() }
}

fn responder(own: Identity) -> (Responder, u16, Receiver<DiscoveryEvent>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let (sender, events) = bounded(16);
    (Responder::start(socket, own, Allow::default(), sender).unwrap(), port, events)
}

#[test]
fn one_device_has_its_own_broadcasts_alone() {
    let reach = |device: &str| Reach { device: Some(device.to_owned()), ..Reach::default() };
    let all = targets(1, &Reach::default());
    let by_device: Vec<SocketAddr> = getifaddrs()
        .unwrap()
        .map(|entry| entry.interface_name)
        .collect::<std::collections::BTreeSet<_>>()
        .iter()
        .flat_map(|device| targets(1, &reach(device)))
        .collect();
    assert!(all.iter().all(|target| by_device.contains(target)));
    assert_eq!(targets(1, &reach("no-such-device")), []);
    assert_eq!(targets(1, &reach("lo")), []);
}

fn query(netname: &str, port: u16, twin: u16) -> Query {
    let reach = Reach { loopback_only: true, twin_ports: Some((port, twin)), ..Reach::default() };
    Query { netname: netname.into(), port, version: Version::TO_SCHEDULER, reach }
}

/// The rules of the election (`net/PROTOCOL.md`, Discovery and election), row by row.
#[test]
fn election() {
    const T: u64 = 1_795_446_593;
    let own = identity(43, T, "NETA");
    for (other, lost) in [
        (identity(42, 1, "NETA"), false),
        (identity(43, T + 10, "NETA"), false),
        (identity(43, T, "NETA"), false),
        (identity(43, 1, "NETB"), false),
        (identity(43, 1, "neta"), false),
        (identity(43, 1, "NETA"), true),
        (identity(44, T + 10, "NETA"), true),
        (identity(200, T + 10, "NETA"), true),
    ] {
        assert_eq!(defeats(&other, &own), lost, "{other:?}");
    }
    assert!(!defeats(&identity(35, 1, "NETA"), &identity(35, 2, "NETA")));
    assert!(defeats(&identity(36, 1, "NETA"), &identity(36, 2, "NETA")), "the first version that elects");
}

#[test]
fn the_best_answer_is_chosen_and_the_others_are_reported() {
    let query = query("neta", 8765, 0);
    let from = |n: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, n));
    let mut found = Found::default();
    let mut answer = |port, version, start, netname: &str| {
        let reply = Reply::to(43, version, start, netname.into()).unwrap();
        found.take(&query, 43, from(port), &Datagram::Reply(reply).to_bytes());
    };
    answer(1, 43, 10, "NETB");
    answer(2, 42, 1, "NETA");
    answer(3, 43, 20, "NETA");
    answer(4, 43, 10, "NetA");
    answer(5, 43, 30, "NETA");
    answer(6, 0, 1, "NETA");
    answer(7, 200, 1, "NETA");
    answer(9, 43, 1, "x\n[1] forged");
    found.take(&query, 43, from(8), b"xyz");
    assert_eq!(found.best.map(|best| best.from.port()), Some(4));
    assert_eq!(found.answers.iter().map(|a| a.from.port()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 9]);
    // The peer chose these bytes: as text they must stay on one line.
    assert_eq!(found.answers.last().map(|a| a.netname.to_string()), Some("x [1] forged".into()));
    let why: Vec<_> = found.ignored.into_iter().map(|i| i.why).collect();
    assert_eq!(
        why,
        [
            WhyIgnored::Netname("NETB".into()),
            WhyIgnored::BogusVersion(0),
            WhyIgnored::BogusVersion(200),
            WhyIgnored::Netname("x\n[1] forged".into()),
            WhyIgnored::Unreadable { length: 3, first: Some(b'x') },
        ]
    );
}

#[test]
fn short_answers_of_old_schedulers_count() {
    let mut found = Found::default();
    let mut bytes = vec![44];
    bytes.extend_from_slice(b"ICECREAM");
    bytes.resize(16, 0);
    found.take(&query("ICECREAM", 1, 0), 43, (Ipv4Addr::LOCALHOST, 1).into(), &bytes);
    assert_eq!(found.best.map(|best| best.version), Some(32));
}

#[test]
fn asked_and_answered() {
    let (one, port, events) = responder(identity(43, 7, "NETA"));
    let (two, twin, _) = responder(identity(43, 9, "NETB"));
    let found = find(&query("neta", port, twin), Duration::from_secs(20)).unwrap();
    let best = found.best.unwrap();
    assert_eq!((best.from.port(), best.version, best.start_time), (port, 43, 7));
    assert!(matches!(events.recv().unwrap(), DiscoveryEvent::Query { version: 43, .. }));
    let own = identity(43, 1, "NETA");
    announce(&own, port, &Reach { loopback_only: true, ..Reach::default() }).unwrap();
    match events.recv().unwrap() {
        DiscoveryEvent::Announcement { identity, defeats_us, .. } => assert_eq!((identity, defeats_us), (own, true)),
        other => panic!("{other:?}"),
    }
    one.stop();
    assert!(UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok(), "nobody has it any more");
    two.stop();
    // After the stop nobody answers.
    let found = survey(&query("NETA", port, twin), Duration::from_millis(50)).unwrap();
    assert_eq!(found, Found::default());
}

#[test]
fn device_without_address() {
    assert!(matches!(bind(Some("no-such-device"), 0), Err(ListenError::NoAddress(_))));
    bind(None, 0).unwrap();
}

#[test]
fn what_1_4_listens_at_and_names_itself() {
    assert_eq!((DEFAULT_PORT, DEFAULT_NETNAME), (8765, "ICECREAM"));
}

#[test]
fn devices_that_broadcast_are_up_and_no_lines_to_one_host() {
    use InterfaceFlags as Flags;
    let ip = |text: &str| Some(SockaddrStorage::from(text.parse::<std::net::SocketAddrV4>().unwrap()));
    let v6 = Some(SockaddrStorage::from("[fe80::1]:0".parse::<std::net::SocketAddrV6>().unwrap()));
    let entry = |name: &str, flags: Flags, address, broadcast| InterfaceAddress {
        interface_name: name.into(),
        flags,
        address,
        netmask: ip("255.255.255.0:0"),
        broadcast,
        destination: None,
    };
    let good = Flags::IFF_UP | Flags::IFF_BROADCAST;
    let here = ip("192.0.2.2:0");
    let entries = [
        entry("eth1", good | Flags::IFF_MULTICAST, here, ip("192.0.2.255:0")),
        entry("eth0", good, here, ip("198.51.100.255:0")),
        entry("eth0:1", good, here, ip("192.0.2.255:0")),
        entry("eth0", good, v6, ip("203.0.113.1:0")),
        entry("eth0", good, None, ip("203.0.113.2:0")),
        entry("eth0", good, here, v6),
        entry("eth0", good, here, None),
        entry("eth0", Flags::IFF_UP, here, ip("203.0.113.3:0")),
        entry("eth0", Flags::IFF_BROADCAST, here, ip("203.0.113.4:0")),
        entry("lo", good | Flags::IFF_LOOPBACK, here, ip("203.0.113.5:0")),
        entry("ppp0", good | Flags::IFF_POINTOPOINT, here, ip("203.0.113.6:0")),
    ];
    for (device, expected) in [
        (None, &["192.0.2.255", "198.51.100.255"][..]),
        (Some("eth0"), &["192.0.2.255", "198.51.100.255"]),
        (Some("eth1"), &["192.0.2.255"]),
        (Some("eth"), &[]),
        (Some("eth0:1"), &[]),
        (Some("lo"), &[]),
    ] {
        let reach = Reach { device: device.map(str::to_owned), ..Reach::default() };
        let addresses = broadcast_addresses(entries.iter().cloned(), &reach);
        let expected: Vec<Ipv4Addr> = expected.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(addresses, expected, "{device:?}");
    }
}

#[test]
fn twin_ports_are_both_asked() {
    for (port, twins, expected) in
        [(1, None, &[1][..]), (1, Some((1, 2)), &[1, 2]), (2, Some((1, 2)), &[2, 1]), (3, Some((1, 2)), &[3])]
    {
        let reach = Reach { loopback_only: true, twin_ports: twins, ..Reach::default() };
        let expected: Vec<_> = expected.iter().map(|port| (Ipv4Addr::LOCALHOST, *port).into()).collect();
        assert_eq!(targets(port, &reach), expected, "{port} {twins:?}");
    }
}

#[test]
fn of_two_that_are_as_good_the_first_one_is_kept() {
    let answer = |version, start_time| Answer {
        from: (Ipv4Addr::LOCALHOST, 1).into(),
        version,
        start_time,
        netname: "NETA".into(),
    };
    let (one, same, newer, later) = (answer(43, 5), answer(43, 5), answer(44, 9), answer(43, 6));
    assert!(std::ptr::eq(better(&one, &same), &one) && std::ptr::eq(better(&same, &one), &same));
    assert!(std::ptr::eq(better(&one, &newer), &newer) && std::ptr::eq(better(&newer, &one), &newer));
    assert!(std::ptr::eq(better(&one, &later), &one) && std::ptr::eq(better(&later, &one), &one));
}

/// A flood of answers costs neither unbounded memory nor more time.
#[test]
fn a_flood_of_answers_is_not_heard_to_its_end() {
    let flood = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = flood.local_addr().unwrap().port();
    let (enough, over) = bounded::<()>(0);
    let sender = thread::spawn(move || {
        let (_, asker) = flood.recv_from(&mut [0; 10]).unwrap();
        let good = Datagram::Reply(Reply::to(43, 43, 1, "NETA".into()).unwrap()).to_bytes();
        while matches!(over.try_recv(), Err(crossbeam::channel::TryRecvError::Empty)) {
            let _ = flood.send_to(&good, asker);
            let _ = flood.send_to(b"bad", asker);
        }
    });
    let found = survey(&query("NETA", port, 0), Duration::from_secs(3600)).unwrap();
    drop(enough);
    sender.join().unwrap();
    assert_eq!(found.answers.len() + found.ignored.len(), 256);
    assert!(found.answers.len() > 1 && found.ignored.len() > 1);
}

/// A better answer has a chance after the first one.
#[test]
fn a_better_answer_may_come_a_moment_later() {
    let (only, port, _heard) = responder(identity(43, 7, "NETA"));
    let begun = Instant::now();
    let found = find(&query("NETA", port, 0), Duration::from_secs(3600)).unwrap();
    assert!(found.best.is_some() && begun.elapsed() >= Duration::from_millis(100));
    only.stop();
}
