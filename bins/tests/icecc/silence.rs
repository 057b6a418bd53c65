//! A compile server of 1.4 that falls silent with a job: it is asked once whether it is still there, then the job is
//! built here.

use ice_core::message::Message;
use ice_core::version::Version;
use ice_net::conn::Conn;
use std::net::TcpListener;

use super::{Bench, patience, text};

/// What the client's log says of a server that takes the whole job and then says nothing; it refuses further
/// connections, or they get no answer.
fn silent_server(refuses: bool) -> String {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let open = (!refuses).then_some(listener);
        let mut conn = Conn::establish(stream, Version::TO_SCHEDULER, patience()).unwrap();
        while !matches!(conn.recv(patience()).unwrap(), Message::End) {}
        assert!(conn.recv(patience()).is_err(), "the client leaves");
        drop(open);
    });
    let daemon = bench.daemon(port, 2);
    let output = bench.icecc_with_daemon(&["gcc", "-c", "a.c"]).output().unwrap();
    let log = text(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert_eq!(bench.read("a.o"), "object:int x;\n");
    server.join().unwrap();
    daemon.join().unwrap();
    log
}

#[test]
fn a_silent_server_of_1_4_that_refuses_connections_is_given_up_at_once() {
    let log = silent_server(true);
    assert_eq!(log.matches("compile server does not answer").count(), 1, "{log}");
    assert!(log.contains("got exception Error 14"), "{log}");
}

#[test]
#[ignore = "long: scripts/prove.sh right.1"]
fn a_silent_server_of_1_4_that_takes_connections_is_asked_once() {
    let log = silent_server(false);
    assert_eq!(log.matches("compile server shows no life").count(), 1, "{log}");
    assert!(log.contains("got exception Error 14"), "{log}");
}
