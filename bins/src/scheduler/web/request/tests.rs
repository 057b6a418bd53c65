//! Requests that are fine, wrong, and hostile.

use super::*;

/// A whole request.
fn read(text: &str) -> Result<Option<Request>, Refusal> {
    Request::read(text.as_bytes())
}

#[test]
fn what_browsers_and_scrapers_send() {
    let request =
        read("GET /api/jobs?since=12&x=y HTTP/1.1\r\nHost: localhost:8767\r\nAccept: */*\r\n\r\n").unwrap().unwrap();
    assert_eq!((request.path.as_str(), request.head_only, request.number("since")), ("/api/jobs", false, Some(12)));
    assert_eq!((request.number("x"), request.number("y"), request.number("")), (None, None, None));
    assert!(read("HEAD / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap().unwrap().head_only);
    assert_eq!(read("GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().path, "/", "1.0 has no Host");
    assert_eq!(read("GET /metrics HTTP/1.1\nHost: a\n\n").unwrap().unwrap().path, "/metrics", "line feeds alone");
}

#[test]
fn what_is_not_there_yet_is_waited_for() {
    let whole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for length in 0..whole.len() {
        assert_eq!(read(&whole[..length]), Ok(None), "{:?}", &whole[..length]);
    }
    assert!(read(whole).unwrap().is_some());
}

#[test]
fn hostile_requests_are_refused_by_name() {
    let with = |header: &str| format!("GET / HTTP/1.1\r\n{header}\r\n\r\n");
    let many: String = (0..HEADERS_MAX + 1).map(|n| format!("x{n}: y\r\n")).collect();
    for (text, refusal) in [
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n".into(), Refusal::Method),
        ("DELETE /api/jobs HTTP/1.1\r\nHost: a\r\n\r\n".into(), Refusal::Method),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".into(), Refusal::Method),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".into(), Refusal::Method),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n".into(), Refusal::Method),
        ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), Refusal::Nonsense),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n".into(), Refusal::Nonsense),
        ("GET / HTTP/1.1\r\n\r\n".into(), Refusal::Nonsense),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), Refusal::Nonsense),
        ("GET /\r\n\r\n".into(), Refusal::Nonsense),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), Refusal::Nonsense),
        ("\x16\x03\x01\x02\0\x01\0".into(), Refusal::Nonsense),
        (with("Host: a\r\nHost: b"), Refusal::Nonsense),
        (with("Host : a"), Refusal::Nonsense),
        (with("Host: a\r\n b"), Refusal::Nonsense),
        (with("Host: a\0b"), Refusal::Nonsense),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(REQUEST_MAX)), Refusal::TooLong),
        (with(&format!("Host: a\r\nCookie: {}", "x".repeat(REQUEST_MAX))), Refusal::TooLong),
        (with(&format!("Host: a\r\n{many}")), Refusal::TooLong),
        ("G".repeat(REQUEST_MAX), Refusal::TooLong),
    ] {
        let shown: String = text.chars().take(80).collect();
        assert_eq!(read(&text), Err(refusal), "{shown:?}");
    }
    assert_eq!(Request::read(b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n"), Err(Refusal::Nonsense));
}

#[test]
fn names_that_can_be_given_to_this_host_from_outside_are_not_its_own() {
    for (host, is_own) in [
        ("localhost", true),
        ("LocalHost:8767", true),
        ("127.0.0.1:8767", true),
        ("127.0.0.1", true),
        ("[::1]:8767", true),
        ("[::ffff:127.0.0.1]", true),
        ("evil.example", false),
        ("evil.example:8767", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("10.0.0.1:8767", false),
        ("localhost@evil.example", false),
        ("localhost:x", false),
        ("", false),
    ] {
        let request = read(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).unwrap().unwrap();
        assert_eq!(request.is_for_loopback(), is_own, "{host:?}");
    }
}

/// Small changes of good requests, from a seed: each is read to its end, and what is taken for a request is one.
#[test]
fn a_hundred_thousand_changed_requests_are_read_to_their_end() {
    let seeds = [
        "GET / HTTP/1.1\r\nHost: localhost:8767\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\n\r\n",
        "HEAD /metrics HTTP/1.0\r\n\r\n",
        "GET /api/jobs?since=18446744073709551615 HTTP/1.1\r\nHost: [::1]:8767\r\nCookie: a=b; c=d\r\n\r\n",
        "POST /api/jobs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut counts = [0; 3];
    for round in 0..100_000 {
        let mut bytes = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(5) {
                _ if bytes.is_empty() => bytes.push(b'G'),
                0 => bytes[at] = next(256) as u8,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"\r\n :?&=%\0\xff"[next(10)]),
                3 => bytes.truncate(at.max(1)),
                _ => bytes.extend_from_within(at..),
            }
        }
        match Request::read(&bytes) {
            Ok(Some(request)) => {
                counts[0] += 1;
                assert!(request.path.starts_with('/') && !request.path.contains(['?', ' ', '\r', '\n']), "{request:?}");
                request.is_for_loopback();
                request.number("since");
            }
            Ok(None) => counts[1] += 1,
            Err(_) => counts[2] += 1,
        }
    }
    assert!(counts.iter().all(|count| *count > 1000), "all ways are tried: {counts:?}");
}
