//! Who is let in, how peers are counted, and whose account is the largest.

use super::*;
use crate::hub::budget::Excess;
use nix::ifaddrs::getifaddrs;
use std::cell::Cell;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

#[test]
fn strangers_are_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let from = |peer: &str| Stream::Tcp { socket: connect(), peer: Some(peer.parse().unwrap()) };
    let config = HubConfig { allow: "192.0.2.0/24".parse().unwrap(), ..HubConfig::default() };
    let roll = Roll::default();
    let admitted = |stream: Stream| roll.accepted(Arc::new(stream), &config).is_ok();
    assert!(admitted(from("192.0.2.7:1000")) && admitted(from("[::ffff:192.0.2.7]:1000")));
    assert!(admitted(connect().into()) && admitted(UnixStream::pair().unwrap().0.into()));
    assert!(!admitted(from("198.51.100.1:1000")));
    assert!(!admitted(Stream::Tcp { socket: connect(), peer: None }));
    assert_eq!(roll.len(), 4);
    // This host by its own address in a network, where it has one.
    let addresses = getifaddrs().unwrap().filter_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip()));
    for address in addresses.filter(|address| !address.is_loopback()) {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(admitted(listener.accept().unwrap().0.into()), "{address}");
    }
}

/// Connections that say they come from somewhere.
struct Network(TcpListener);

impl Network {
    fn new() -> Self {
        Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    fn from(&self, peer: &str) -> Arc<Stream> {
        let socket = TcpStream::connect(self.0.local_addr().unwrap()).unwrap();
        Arc::new(Stream::Tcp { socket, peer: Some(format!("{peer}:1000").parse().unwrap()) })
    }
}

fn local() -> Arc<Stream> {
    Arc::new(UnixStream::pair().unwrap().0.into())
}

#[test]
fn strangers_and_the_hosts_own_are_counted_by_themselves() {
    let network = Network::new();
    let config = HubConfig { peers_max: 3, peers_per_address_max: 2, ..HubConfig::default() };
    let roll = Roll::default();
    let enter = |stream| roll.accepted(stream, &config);
    let one = enter(network.from("192.0.2.1")).unwrap();
    let two = enter(network.from("192.0.2.1")).unwrap();
    assert!(matches!(enter(network.from("192.0.2.1")), Err(Refusal::FullForAddress(2))));
    let three = enter(network.from("192.0.2.2")).unwrap();
    assert!(matches!(enter(network.from("192.0.2.3")), Err(Refusal::Full(3))));
    assert_eq!((one.address.as_str(), three.address.as_str()), ("192.0.2.1", "192.0.2.2"));
    let locals: Vec<_> = (0..3).map(|_| enter(local()).unwrap()).collect();
    assert!(matches!(enter(local()), Err(Refusal::Full(3))));
    assert_eq!((locals[0].address.as_str(), roll.len(), roll.all().len()), ("", 6, 6));
    // Each has a number of its own, and is found by it.
    let ids = [&one, &two, &three, &locals[0], &locals[1], &locals[2]].map(|peer| peer.id);
    assert_eq!(ids, [1, 2, 3, 4, 5, 6].map(PeerId));
    assert!(Arc::ptr_eq(&roll.find(PeerId(3)).unwrap(), &three));
    assert!(roll.find(PeerId(7)).is_none());
    // A place is free again when its peer has gone, once.
    roll.strike(&one);
    roll.strike(&one);
    assert!(roll.find(one.id).is_none());
    let four = enter(network.from("192.0.2.1")).unwrap();
    assert!(matches!(enter(network.from("192.0.2.1")), Err(Refusal::Full(3))));
    roll.strike(&three);
    assert!(matches!(enter(network.from("192.0.2.1")), Err(Refusal::FullForAddress(2))));
    roll.strike(&locals[1]);
    enter(local()).unwrap();
    assert!(enter(local()).is_err());
    // One that is dialled is nobody's guest, and is never refused.
    let dialled = roll.dialled(&config);
    assert_eq!((dialled.id, dialled.address.as_str()), (PeerId(9), ""));
    roll.strike(&dialled);
    // Nothing is remembered of addresses from which nobody is there.
    for peer in [&two, &four] {
        roll.strike(peer);
    }
    assert!(roll.inner.lock().by_address.is_empty());
    assert_eq!(roll.len(), 3);
}

#[test]
fn the_heaviest_is_of_the_heaviest_address() {
    let network = Network::new();
    let config = HubConfig { held_max: 100, held_per_address_max: 60, ..HubConfig::default() };
    let roll = Roll::default();
    let enter = |stream, holds| {
        let peer = roll.accepted(stream, &config).unwrap();
        peer.keep(holds);
        peer
    };
    let heaviest = |address| roll.heaviest(address).map(|(peer, held)| (peer.id, held));
    assert_eq!(heaviest(None), None);
    let (a, b) = (enter(network.from("192.0.2.1"), 0), enter(network.from("192.0.2.1"), 0));
    assert_eq!(heaviest(None), None, "nobody holds anything");
    a.keep(30);
    b.keep(20);
    let c = enter(network.from("192.0.2.2"), 40);
    assert_eq!(heaviest(None), Some((a.id, 30)), "of two that hold more together than the one who holds most");
    let d = enter(local(), 51);
    assert_eq!(heaviest(None), Some((d.id, 51)));
    // By what each passes its limit: all hold too much, and those of one address do.
    let (excess, _) = c.excess(&config).unwrap();
    assert_eq!(excess, Excess::Total);
    b.keep(31);
    let (excess, address) = a.excess(&config).unwrap();
    assert_eq!(excess, Excess::Address);
    assert_eq!(heaviest(Some(&address)), Some((b.id, 31)));
    roll.strike(&b);
    assert_eq!(heaviest(Some(&address)), Some((a.id, 30)));
    d.keep(1);
    let e = enter(local(), 2);
    a.keep(0);
    c.keep(0);
    drop(b);
    assert_eq!(heaviest(None), Some((e.id, 2)));
    d.keep(0);
    e.keep(0);
    assert_eq!(heaviest(None), None, "local peers that hold nothing, after all others");
}

#[test]
fn the_end_is_when_nobody_is_left_or_time_is_over() {
    let hour = Duration::from_secs(3600);
    let config = HubConfig::default();
    let roll = Roll::default();
    let meanwhile = Cell::new(0);
    let count = || meanwhile.set(meanwhile.get() + 1);
    roll.wait_until_empty(Instant::now() + hour, count);
    assert_eq!(meanwhile.take(), 1);
    let (one, two) = (roll.dialled(&config), roll.dialled(&config));
    roll.wait_until_empty(Instant::now(), count);
    assert_eq!(meanwhile.take(), 1);
    let until = Instant::now() + Duration::from_millis(50);
    roll.wait_until_empty(until, count);
    assert!(Instant::now() >= until && meanwhile.take() > 0);
    roll.strike(&one);
    // What is done meanwhile may be what the last one waits for.
    roll.wait_until_empty(Instant::now() + hour, || {
        count();
        if meanwhile.get() == 3 {
            roll.strike(&two);
        }
    });
    assert_eq!(meanwhile.take(), 3);
}
