//! A compile server that lies: whatever it sends, the build ends with the object of the own compiler.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use ice_core::codec::Codec;
use ice_core::message::{Chunk, CompileResult, Message};
use ice_core::version::Version;
use ice_net::compress::Packer;
use ice_net::conn::Conn;

use super::{Bench, log_has, patience, result, text};

/// What a server does that has got its job: by messages, or by bytes that are none.
type Lie = fn(&mut Conn, &mut TcpStream);

const LIES: &[(&str, Lie)] = &[
    ("exit code 0 and no object", |conn, _| say(conn, &[])),
    ("an end without an object", |conn, _| say(conn, &[Message::End])),
    ("half an object", |conn, _| {
        let half = [good(conn, &object())];
        say(conn, &half);
    }),
    ("an end in the middle of an object", |conn, _| {
        let piece = good(conn, &object()[..500]);
        say(conn, &[piece, Message::End]);
    }),
    ("an object of another compiler", |conn, _| {
        let piece = good(conn, &object());
        say(conn, &[piece, Message::End]);
    }),
    ("more bytes than the piece announces", |conn, _| {
        let piece = resized(conn, |len| len - 1);
        say(conn, &[piece, Message::End]);
    }),
    ("fewer bytes than the piece announces", |conn, _| {
        let piece = resized(conn, |len| len + 1);
        say(conn, &[piece, Message::End]);
    }),
    ("a piece that announces gigabytes", |conn, _| {
        let piece = resized(conn, |_| u32::MAX);
        say(conn, &[piece, Message::End]);
    }),
    ("a piece that is not compressed at all", |conn, _| {
        let piece = Message::FileChunk(Chunk { plain_len: 500, codec: Codec::Zstd, data: vec![7; 500] });
        say(conn, &[piece, Message::End]);
    }),
    ("two results", |conn, _| say(conn, &[result(0, ""), Message::End])),
    ("a message of another dialogue in the object", |conn, _| {
        let piece = good(conn, &object());
        say(conn, &[piece, Message::Ping, Message::End]);
    }),
    ("a .dwo that nobody asked for", |conn, _| {
        let (object, dwo) = (good(conn, &object()), good(conn, b"dwo"));
        let both = Message::CompileResult(CompileResult { has_dwo: 1, ..CompileResult::default() });
        let _ = conn.send_all(&[both, object, Message::End, dwo, Message::End], patience());
    }),
    ("an object before the result", |conn, _| {
        let piece = good(conn, &object());
        let _ = conn.send_all(&[piece, Message::End, result(0, "")], patience());
    }),
    ("results without end", |conn, _| {
        let endless = CompileResult { stdout: "x".repeat(1 << 19).into(), ..CompileResult::default() };
        while conn.send(&Message::CompileResult(endless.clone()), patience()).is_ok() {}
    }),
    ("a frame of four gigabytes", |_, raw| write(raw, &[0xff; 64])),
    ("a frame of no bytes", |_, raw| write(raw, &[0; 64])),
    ("a frame of an unknown number", |_, raw| write(raw, &[0, 0, 0, 4, 0, 0, 0x7f, 0x7f])),
    ("a result whose texts are longer than itself", |_, raw| {
        write(raw, &[0, 0, 0, 12, 0, 0, 0, 75, 0, 0xff, 0xff, 0xff, b'x', b'x', b'x', 0]);
    }),
    ("half a result", |_, raw| write(raw, &[0, 0, 0, 40, 0, 0, 0, 75, 0, 0])),
    ("garbage behind a result", |conn, raw| {
        say(conn, &[]);
        write(raw, &(0..=255).cycle().take(100_000).collect::<Vec<u8>>());
    }),
];

/// A beginning that is that of our compiler's objects, which are text.
const TEXT: &[u8] = b"object:remote";

/// An ELF file of 1,000 bytes and a table of sections behind them.
fn object() -> Vec<u8> {
    let mut object = vec![0; 1000 + 2 * 64];
    object[..6].copy_from_slice(b"\x7fELF\x02\x01");
    object[0x28..0x30].copy_from_slice(&1000u64.to_le_bytes());
    object[0x3a..0x3e].copy_from_slice(&[64, 0, 2, 0]);
    object
}

/// A result that says that all went well, and then this. The client may have had enough of it before the end.
fn say(conn: &mut Conn, rest: &[Message]) {
    let all: Vec<Message> = [result(0, "")].into_iter().chain(rest.iter().cloned()).collect();
    let _ = conn.send_all(&all, patience());
}

fn write(raw: &mut TcpStream, bytes: &[u8]) {
    let _ = raw.write_all(bytes);
}

fn good(conn: &Conn, plain: &[u8]) -> Message {
    Message::FileChunk(Packer::new(1).pack(plain, conn.version()).unwrap())
}

/// A whole object whose piece announces another length.
fn resized(conn: &Conn, length: fn(u32) -> u32) -> Message {
    let chunk = Packer::new(1).pack(&object(), conn.version()).unwrap();
    Message::FileChunk(Chunk { plain_len: length(chunk.plain_len), ..chunk })
}

#[test]
fn a_server_that_lies_is_replaced_by_the_own_compiler() {
    for (what, lie) in LIES {
        let bench = Bench::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut raw = stream.try_clone().unwrap();
            let mut conn = Conn::establish(stream, Version::TO_CLIENT, patience()).unwrap();
            while conn.recv(patience()).expect("the job") != Message::End {}
            lie(&mut conn, &mut raw);
        });
        let daemon = bench.daemon(port, 2);
        let output = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success() && output.stdout.is_empty(), "{what}: {said}");
        assert_eq!(bench.read("x.o"), "object:int x;\n", "{what}: {said}");
        assert!(
            log_has(&output, "Have to use host 127.0.0.1") && log_has(&output, "<building_local>"),
            "{what}: {said}"
        );
        server.join().unwrap();
        let heard = daemon.join().unwrap();
        assert!(matches!(heard.last(), Some(Message::JobLocalBegin(_))), "{what}: {heard:?}");
        let left = std::fs::read_dir(bench.folder.path()).unwrap();
        let odd = |name: &str| name.ends_with(".tmp") || name.ends_with(".dwo");
        assert!(left.flatten().all(|entry| !odd(&entry.file_name().to_string_lossy())), "{what}");
    }
}

/// The same server that does not lie: so it is the lies that are refused.
#[test]
fn a_server_that_does_not_lie_is_believed() {
    let bench = Bench::new();
    let (port, server) = super::server(|conn, _| {
        let piece = good(conn, TEXT);
        say(conn, &[piece, Message::End]);
    });
    let daemon = bench.daemon(port, 1);
    let output = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(bench.path("x.o")).unwrap(), TEXT);
    server.join().unwrap();
    daemon.join().unwrap();
}
