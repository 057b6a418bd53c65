//! Tests of hosts and ports as text, and of dialling peers that do not answer.

use super::*;
use std::time::Instant;

#[test]
fn hosts_and_ports() {
    for (text, host, port) in [
        ("host", "host", None),
        ("host:8765", "host", Some("8765")),
        (":8767", "", Some("8767")),
        ("10.0.0.1:1", "10.0.0.1", Some("1")),
        ("[fe80::1]:2", "fe80::1", Some("2")),
        ("[::1]", "::1", None),
        ("fe80::1", "fe80::1", None),
        ("a:b:3", "a:b", Some("3")),
        ("host:", "host", Some("")),
    ] {
        assert_eq!(split_host_port(text), (host, port), "{text}");
    }
    assert_eq!(host_port_text("::1", 5), "[::1]:5");
}

#[test]
fn targets_as_people_read_them() {
    let tcp = |host: &str| Target::Tcp { host: host.into(), port: 10245 };
    assert_eq!(tcp("build1").to_string(), "build1:10245");
    assert_eq!(tcp("fe80::1").to_string(), "[fe80::1]:10245");
    assert_eq!(Target::Unix("/run/icecc/iceccd.socket".into()).to_string(), "/run/icecc/iceccd.socket");
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ice-net-{}-{name}", std::process::id()))
}

/// The result of connecting again and again within `limit` to a listener that does not accept, once its queue is full.
fn when_the_queue_is_full(target: &Target, limit: Duration) -> DialError {
    let mut waiting = Vec::new();
    loop {
        let begun = Instant::now();
        match target.connect(Deadline::after(Step::Send, limit)) {
            Ok(stream) => waiting.push(stream),
            Err(error) => {
                // The kernel counts in ticks, the last of which may be short.
                assert!(begun.elapsed() >= limit / 2);
                return error;
            }
        }
    }
}

fn assert_timed_out(error: DialError, target: &Target, limit: Duration) {
    match error {
        DialError::TimedOut { target: of, step: Step::Connect, limit: l } => {
            assert_eq!((of, l), (target.to_string(), limit));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_does_not_take_connections_has_so_much_time() {
    let limit = Duration::from_millis(50);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(1).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let tcp = Target::Tcp { host: "127.0.0.1".into(), port };
    assert_timed_out(when_the_queue_is_full(&tcp, limit), &tcp, limit);

    // The last of several addresses may use all of the time left.
    let limit = Duration::from_millis(120);
    let full = SocketAddr::from(([127, 0, 0, 1], port));
    let (mut waiting, mut begun) = (Vec::new(), Instant::now());
    let dial = || connect_any(&[full; 3], Deadline::after(Step::Connect, limit), || tcp.to_string());
    let error = loop {
        match dial() {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
        begun = Instant::now();
    };
    assert!(begun.elapsed() >= limit);
    assert_timed_out(error, &tcp, limit);
    // A refused address takes no time, and the next one is tried.
    let refused = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let there = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let both = [refused, there.local_addr().unwrap()];
    let stream = connect_any(&both, Deadline::never(Step::Connect), || panic!("it is there")).unwrap();
    assert_eq!(stream.peer_port(), both[1].port());

    let limit = Duration::from_millis(200);
    let path = scratch("full");
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(1).unwrap();
    let unix = Target::Unix(path.clone());
    assert_timed_out(when_the_queue_is_full(&unix, limit), &unix, limit);
    std::fs::remove_file(path).unwrap();

    // With no time left.
    let over = Deadline::after(Step::Connect, Duration::ZERO);
    assert_timed_out(tcp.connect(over).unwrap_err(), &tcp, Duration::ZERO);
}

#[test]
fn paths_may_be_as_long_as_the_system_takes() {
    let path = |bytes: usize| PathBuf::from(format!("/{}", "x".repeat(bytes - 1)));
    let connect = |path| Target::Unix(path).connect(Deadline::never(Step::Connect));
    assert!(matches!(connect(path(107)), Err(DialError::Connect { .. })));
    match connect(path(108)) {
        Err(DialError::PathTooLong(long)) => assert_eq!(long, path(108)),
        other => panic!("{other:?}"),
    }
}
