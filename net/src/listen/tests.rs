//! Tests of listening sockets and of existing socket files.

use super::*;
use std::net::TcpStream;

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ice-net-{}-{name}", std::process::id()))
}

#[test]
fn one_socket_for_both_families() {
    let listener = Listener::tcp(0).unwrap();
    let _v4 = TcpStream::connect((Ipv4Addr::LOCALHOST, listener.port())).unwrap();
    assert_eq!(listener.accept().unwrap().peer_address(), "127.0.0.1");
}

#[test]
fn devices() {
    let listeners = Listener::tcp_on("lo", 0).unwrap();
    assert_eq!(listeners.len(), 1);
    let error = Listener::tcp_on("no-such-device", 0).unwrap_err();
    assert_eq!(error.to_string(), "No IP address found for interface \"no-such-device\"");
}

#[test]
fn a_living_owner_keeps_its_socket_a_dead_one_does_not() {
    let path = scratch("owner");
    let first = Listener::unix(&path, 0o777).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o777);
    assert!(matches!(Listener::unix(&path, 0o777), Err(ListenError::InUse(_))));
    first.shutdown();
    // A connection that already waits is still delivered.
    while first.accept().is_ok() {}
    let second = Listener::unix(&path, 0o700).unwrap();
    // The first listener's file has been replaced: the second one's stays.
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}

#[test]
fn files_and_long_paths_are_refused() {
    let path = scratch("file");
    fs::write(&path, "precious").unwrap();
    assert!(matches!(Listener::unix(&path, 0o777), Err(ListenError::NotASocket(_))));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
    // The longest path that the system accepts, and one byte more.
    let mut long = scratch("").into_os_string();
    long.push("x".repeat(107 - long.len()));
    assert!(Path::new(&long).parent().is_some_and(Path::is_dir));
    drop(Listener::unix(Path::new(&long), 0o777).unwrap());
    long.push("x");
    assert!(matches!(Listener::unix(Path::new(&long), 0o777), Err(ListenError::PathTooLong(_))));
}

/// Only a refused connection shows that nobody listens: a socket of another type may have an owner.
#[test]
fn another_kind_of_socket_is_left_alone() {
    let path = scratch("datagrams");
    let _owner = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    assert!(matches!(Listener::unix(&path, 0o777), Err(ListenError::InUse(_))));
    assert!(path.exists());
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_missing_ipv6_is_distinguished_from_a_port_in_use() {
    use nix::errno::Errno::*;
    for (errno, lacks) in [
        (EAFNOSUPPORT, true),
        (EADDRNOTAVAIL, true),
        (EPROTONOSUPPORT, true),
        (EINVAL, true),
        (ENOPROTOOPT, true),
        (EADDRINUSE, false),
        (EACCES, false),
    ] {
        assert_eq!(lacks_ipv6(&io::Error::from(errno)), lacks, "{errno}");
    }
    assert!(!lacks_ipv6(&io::ErrorKind::Other.into()));
    let taken = Listener::tcp(0).unwrap();
    match Listener::tcp(taken.port()) {
        Err(ListenError::Bind { address, source }) => {
            assert_eq!((address.ip().is_ipv6(), source.kind()), (true, io::ErrorKind::AddrInUse));
        }
        other => panic!("{other:?}"),
    }
}
