//! A job that goes to a compile server, in whatever version is spoken, and comes back as its object or is built here.

use super::{Bench, COMPILER, log_has, patience, result, server, server_of, text};
use ice_core::message::Message;
use ice_core::version::Version;
use ice_net::compress::{Packer, Unpacker};
use ice_net::conn::Conn;
use std::net::TcpListener;

#[test]
fn a_remote_object_is_put_in_place() {
    let bench = Bench::new();
    let (port, server) = server(|conn, source| {
        let object = Packer::new(1).pack(format!("remote:{source}").as_bytes(), conn.version()).unwrap();
        conn.send_all(&[result(0, ""), Message::FileChunk(object), Message::End], patience()).unwrap();
    });
    let daemon = bench.daemon(port, 1);
    std::fs::create_dir(bench.path("out")).unwrap();
    let output = bench.icecc_with_daemon(&["gcc", "-MMD", "-c", "a.c", "-o", "out/x.o"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(server.join().unwrap().0, "int x;\n");
    assert_eq!(bench.read("out/x.o"), "remote:int x;\n");
    assert!(log_has(&output, &format!("Have to use host 127.0.0.1:{port}")));
    // Object and dependency file, no temporary.
    assert_eq!(std::fs::read_dir(bench.path("out")).unwrap().count(), 2);
    assert_eq!(daemon.join().unwrap().last(), Some(&Message::End));
}

/// As its commands are clang's, the server must be told so.
#[test]
fn a_clang_of_any_name_is_known_by_its_answer() {
    let bench = Bench::new();
    let clang = COMPILER.replace("clang __clang__ gcc 12", "clang 1 gcc 4");
    bench.script("bin/cc", &clang.replace("COLLECT_GCC_OPTIONS=$words", " '$0' '-cc1' $words"));
    let (port, server) = server(|conn, _| {
        let object = Packer::new(1).pack(b"remote", conn.version()).unwrap();
        conn.send_all(&[result(0, ""), Message::FileChunk(object), Message::End], patience()).unwrap();
    });
    let daemon = bench.daemon(port, 1);
    let output = bench.icecc_with_daemon(&["cc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
    assert!(output.status.success() && bench.read("x.o") == "remote", "{}", text(&output.stderr));
    let arguments = server.join().unwrap().1;
    assert!(arguments.contains(&"-target".to_owned()), "{arguments:?}");
    daemon.join().unwrap();
}

#[test]
fn e24_each_server_gets_the_environment_in_a_form_that_it_can_read() {
    for (version, expected, connections) in [(44, "zst", 1), (43, "zst", 1), (41, "gz", 2)] {
        let bench = Bench::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut conn = Conn::establish(stream, Version::new(version), patience()).unwrap();
            let Ok(Message::TransferEnv(target)) = conn.recv(patience()) else { panic!("no environment") };
            let mut archive = Vec::new();
            while let Ok(Message::FileChunk(chunk)) = conn.recv(patience()) {
                Unpacker::new().unpack(&chunk, &mut archive).unwrap();
            }
            assert!(matches!(conn.recv(patience()), Ok(Message::VerifyEnv(_))));
            conn.send(&Message::VerifyEnvResult { ok: 1 }, patience()).unwrap();
            while !matches!(conn.recv(patience()), Ok(Message::End)) {}
            let object = Packer::new(1).pack(b"remote", conn.version()).unwrap();
            conn.send_all(&[result(0, ""), Message::FileChunk(object), Message::End], patience()).unwrap();
            (target.name.to_string(), String::from_utf8(archive).unwrap())
        });
        let daemon = bench.daemon_of(port, 0, connections);
        let output = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
        assert!(output.status.success() && bench.read("x.o") == "remote", "{}", text(&output.stderr));
        assert_eq!(server.join().unwrap(), ("0123456789abcdef".to_owned(), expected.to_owned()), "version {version}");
        daemon.join().unwrap();
    }
}

#[test]
fn a_server_that_goes_is_replaced_by_the_own_compiler() {
    for cut in ["before the result", "in the object"] {
        let bench = Bench::new();
        let (port, server) = server(move |conn, _| {
            if cut == "in the object" {
                let piece = Packer::new(1).pack(b"half an obj", conn.version()).unwrap();
                conn.send_all(&[result(0, ""), Message::FileChunk(piece)], patience()).unwrap();
            }
        });
        let daemon = bench.daemon(port, 2);
        let output = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
        assert!(output.status.success(), "{cut}: {}", text(&output.stderr));
        assert_eq!(bench.read("x.o"), "object:int x;\n", "{cut}");
        assert!(log_has(&output, "got exception Error ") && log_has(&output, "<building_local>"));
        let _ = server.join();
        let heard = daemon.join().unwrap();
        assert!(matches!(heard.last(), Some(Message::JobLocalBegin(_))), "{heard:?}");
        let left = std::fs::read_dir(bench.folder.path()).unwrap();
        assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().ends_with(".tmp")));
    }
}

#[test]
fn messages_of_a_remote_gcc_lead_to_one_local_run() {
    let bench = Bench::new();
    let (port, server) = server(|conn, _| conn.send(&result(1, "a.c:1:1: error: x\n"), patience()).unwrap());
    let daemon = bench.daemon(port, 2);
    let output = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
    assert!(output.status.success());
    let line = "local build forced by remote exception: Error 102 - command needs stdout/stderr workaround, recompiling locally";
    assert!(log_has(&output, line), "{}", text(&output.stderr));
    server.join().unwrap();
    daemon.join().unwrap();
}

/// Versions at which the wire changed, from the oldest on, and two newer ones that forks announce.
const VERSIONS: [u32; 20] = [21, 22, 24, 27, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 48, 50];

#[test]
fn older_daemons_and_servers_are_spoken_to_in_their_version() {
    for number in VERSIONS {
        let version = Version::new(number);
        let bench = Bench { version, ..Bench::new() };
        let (port, server) = server_of(version, |conn, source| {
            let object = Packer::new(1).pack(format!("remote:{source}").as_bytes(), conn.version()).unwrap();
            conn.send_all(&[result(0, ""), Message::FileChunk(object), Message::End], patience()).unwrap();
        });
        let daemon = bench.daemon(port, 1);
        let output = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
        assert!(output.status.success(), "{number}: {}", text(&output.stderr));
        assert_eq!(bench.read("x.o"), "remote:int x;\n", "{number}: {}", text(&output.stderr));
        assert_eq!(server.join().unwrap().0, "int x;\n");
        let heard = daemon.join().unwrap();
        let native = heard.iter().find_map(|m| if let Message::GetNativeEnv(ask) = m { Some(ask) } else { None });
        // Daemons before 41 know compilers by two words only, those before 32 just their own one.
        let wanted = match number {
            ..=31 => String::new(),
            32..=40 => "gcc".to_string(),
            _ => bench.path("bin/gcc").display().to_string(),
        };
        assert_eq!(native.unwrap().compiler.lossy(), wanted, "{number}");
    }
}
