//! Tests of which peers are add_accepted, how they are counted, and whose account is the largest.

use super::*;
use crate::hub::ConnectionBounds;
use crate::hub::budget::Excess;
use nix::ifaddrs::getifaddrs;
use std::cell::Cell;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

#[test]
fn hosts_of_other_networks_are_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let from = |peer: &str| Stream::Tcp { socket: connect(), peer: Some(peer.parse().unwrap()) };
    let config = HubConfig { allow: "192.0.2.0/24".parse().unwrap(), ..HubConfig::default() };
    let registry = Registry::default();
    let admitted = |stream: Stream| registry.add_accepted(Arc::new(stream), &config).is_ok();
    assert!(admitted(from("192.0.2.7:1000")) && admitted(from("[::ffff:192.0.2.7]:1000")));
    assert!(admitted(connect().into()) && admitted(UnixStream::pair().unwrap().0.into()));
    assert!(!admitted(from("198.51.100.1:1000")));
    assert!(!admitted(Stream::Tcp { socket: connect(), peer: None }));
    assert_eq!(registry.len(), 4);
    // This host by its own address in a network, if it has one.
    let addresses = getifaddrs().unwrap().filter_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip()));
    for address in addresses.filter(|address| !address.is_loopback()) {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(admitted(listener.accept().unwrap().0.into()), "{address}");
    }
}

/// Connections from a given address.
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
fn remote_and_local_peers_are_counted_separately() {
    let network = Network::new();
    let config = HubConfig { connections: ConnectionBounds { all: 3, of_address: 2 }, ..HubConfig::default() };
    let registry = Registry::default();
    let insert = |stream| registry.add_accepted(stream, &config);
    let one = insert(network.from("192.0.2.1")).unwrap();
    let two = insert(network.from("192.0.2.1")).unwrap();
    assert!(matches!(insert(network.from("192.0.2.1")), Err(Refusal::FullForAddress(2))));
    let three = insert(network.from("192.0.2.2")).unwrap();
    assert!(matches!(insert(network.from("192.0.2.3")), Err(Refusal::Full(3))));
    assert_eq!((one.address.as_str(), three.address.as_str()), ("192.0.2.1", "192.0.2.2"));
    let locals: Vec<_> = (0..3).map(|_| insert(local()).unwrap()).collect();
    assert!(matches!(insert(local()), Err(Refusal::Full(3))));
    assert_eq!((locals[0].address.as_str(), registry.len(), registry.all().len()), ("", 6, 6));
    // Each has a number of its own, by which it is found.
    let ids = [&one, &two, &three, &locals[0], &locals[1], &locals[2]].map(|peer| peer.id);
    assert_eq!(ids, [1, 2, 3, 4, 5, 6].map(PeerId));
    assert!(Arc::ptr_eq(&registry.find(PeerId(3)).unwrap(), &three));
    assert!(registry.find(PeerId(7)).is_none());
    // A place is free again when its peer has gone, and only once.
    registry.remove(&one);
    registry.remove(&one);
    assert!(registry.find(one.id).is_none());
    let four = insert(network.from("192.0.2.1")).unwrap();
    assert!(matches!(insert(network.from("192.0.2.1")), Err(Refusal::Full(3))));
    registry.remove(&three);
    assert!(matches!(insert(network.from("192.0.2.1")), Err(Refusal::FullForAddress(2))));
    registry.remove(&locals[1]);
    insert(local()).unwrap();
    assert!(insert(local()).is_err());
    // A add_dialled peer is counted for no address and never refused.
    let add_dialled = registry.add_dialled(&config);
    assert_eq!((add_dialled.id, add_dialled.address.as_str()), (PeerId(9), ""));
    registry.remove(&add_dialled);
    // Nothing is stored about addresses without a peer.
    for peer in [&two, &four] {
        registry.remove(peer);
    }
    assert!(registry.inner.lock().by_address.is_empty());
    assert_eq!(registry.len(), 3);
}

#[test]
fn the_heaviest_is_of_the_heaviest_address() {
    let network = Network::new();
    let config = HubConfig { held_max: 100, held_per_address_max: 60, ..HubConfig::default() };
    let registry = Registry::default();
    let insert = |stream, bytes| {
        let peer = registry.add_accepted(stream, &config).unwrap();
        peer.set_held(bytes);
        peer
    };
    let heaviest = |address| registry.heaviest(address).map(|(peer, held)| (peer.id, held));
    assert_eq!(heaviest(None), None);
    let (a, b) = (insert(network.from("192.0.2.1"), 0), insert(network.from("192.0.2.1"), 0));
    assert_eq!(heaviest(None), None, "nobody bytes anything");
    a.set_held(30);
    b.set_held(20);
    let c = insert(network.from("192.0.2.2"), 40);
    assert_eq!(heaviest(None), Some((a.id, 30)), "of two that hold more together than the one who bytes most");
    let d = insert(local(), 51);
    assert_eq!(heaviest(None), Some((d.id, 51)));
    // Which limit each exceeds: the total limit, and that of one address.
    let (excess, _) = c.excess(&config).unwrap();
    assert_eq!(excess, Excess::Total);
    b.set_held(31);
    let (excess, address) = a.excess(&config).unwrap();
    assert_eq!(excess, Excess::Address);
    assert_eq!(heaviest(Some(&address)), Some((b.id, 31)));
    registry.remove(&b);
    assert_eq!(heaviest(Some(&address)), Some((a.id, 30)));
    d.set_held(1);
    let e = insert(local(), 2);
    a.set_held(0);
    c.set_held(0);
    drop(b);
    assert_eq!(heaviest(None), Some((e.id, 2)));
    d.set_held(0);
    e.set_held(0);
    assert_eq!(heaviest(None), None, "local peers that hold nothing, after all others");
}

#[test]
fn the_end_is_when_nobody_is_left_or_time_is_over() {
    let hour = Duration::from_secs(3600);
    let config = HubConfig::default();
    let registry = Registry::default();
    let meanwhile = Cell::new(0);
    let count = || meanwhile.set(meanwhile.get() + 1);
    registry.wait_until_empty(Instant::now() + hour, count);
    assert_eq!(meanwhile.take(), 1);
    let (one, two) = (registry.add_dialled(&config), registry.add_dialled(&config));
    registry.wait_until_empty(Instant::now(), count);
    assert_eq!(meanwhile.take(), 1);
    let until = Instant::now() + Duration::from_millis(50);
    registry.wait_until_empty(until, count);
    assert!(Instant::now() >= until && meanwhile.take() > 0);
    registry.remove(&one);
    // The work done meanwhile may be what the last peer waits for.
    registry.wait_until_empty(Instant::now() + hour, || {
        count();
        if meanwhile.get() == 3 {
            registry.remove(&two);
        }
    });
    assert_eq!(meanwhile.take(), 3);
}
