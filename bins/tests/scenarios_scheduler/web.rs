//! The page, its data and the metrics of `--web`, over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::OURS;
use crate::fake::{LIMIT, Options, Scheduler, Setup, ask, until};

/// A scheduler with a page, and its port.
fn with_page() -> (Scheduler, u16) {
    let scheduler = Scheduler::start_with(OURS, &Options { args: vec!["--web=:0".into()], ..Options::default() });
    let log = scheduler.log();
    let port = log.split("page and metrics at http://127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next());
    let port = port.and_then(|port| port.parse().ok()).expect("the port in the log");
    (scheduler, port)
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// What is answered to these bytes, until the end of the connection.
fn say(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port);
    stream.write_all(bytes).unwrap();
    rest(&mut stream)
}

fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    String::from_utf8(all).unwrap()
}

fn get(port: u16, path: &str) -> String {
    let answer = say(port, format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {answer:?}"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
    body.to_owned()
}

fn json(port: u16, path: &str) -> Value {
    serde_json::from_str(&get(port, path)).unwrap()
}

/// A metric without labels, or with these.
fn metric(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn figures_are_those_of_the_jobs_that_ran() {
    let (scheduler, port) = with_page();
    let mut host = scheduler.host(Setup::new("h\"\\<b>").slots(4).env("E"));
    let mut submitter = scheduler.host(Setup::new("s").slots(0));
    for (n, exit_code) in [0, 0, 0, 1].into_iter().enumerate() {
        let job = submitter.place(ask(&format!("dir/f{n}.c"), "E")).job();
        host.begin(job);
        if exit_code == 0 { host.done(job, 100, 10_000) } else { host.failed(job, exit_code) }
    }
    let running = submitter.place(ask("dir/running.c", "E")).job();
    host.begin(running);
    submitter.local_begin(7, "/a/b/c/local.o");
    host.fence();
    submitter.fence();

    // The feed has its own thread: what the loop has handled, it has a moment later.
    until("all jobs in the data", || json(port, "/api/jobs")["running"].as_array().map(Vec::len) == Some(2));
    let jobs = json(port, "/api/jobs");
    let files = |key: &str| -> Vec<String> {
        jobs[key].as_array().unwrap().iter().map(|job| job["file"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(files("running"), ["dir/running.c", "b/c/local.o"]);
    assert_eq!(files("ended"), ["dir/f0.c", "dir/f1.c", "dir/f2.c", "dir/f3.c"]);
    let statuses: Vec<_> = jobs["ended"].as_array().unwrap().iter().map(|job| job["status"].as_i64()).collect();
    assert_eq!(statuses, [Some(0), Some(0), Some(0), Some(1)]);

    // A page asks for what it does not have yet.
    let seq = jobs["seq"].as_u64().unwrap();
    host.done(running, 100, 10_000);
    host.fence();
    let since = || json(port, &format!("/api/jobs?since={seq}"));
    until("the end of a job", || since()["ended"].as_array().map(Vec::len) == Some(1));
    let changes = since();
    assert_eq!((&changes["full"], changes["running"].as_array().map(Vec::len)), (&false.into(), Some(0)));
    assert_eq!(changes["ended"][0]["file"], "dir/running.c");
    assert_eq!(changes["seq"].as_u64(), Some(seq + 1));

    check_metrics(port);
    let status = json(port, "/api/status");
    assert_eq!(status["counts"]["succeeded"], 4);
    assert_eq!(status["hosts"][0]["name"], "h\"\\<b>");
    assert_eq!((&status["hosts"][0]["state"], &status["hosts"][1]["state"]), (&"ready".into(), &"no-slots".into()));
    assert_eq!(get(port, "/healthz"), "ok\n");
}

/// The metrics after the jobs of the test above.
fn check_metrics(port: u16) {
    // Rows are a second old at most.
    let done = || metric(&get(port, "/metrics"), "icecc_jobs_total{result=\"succeeded\"}") == Some(4.0);
    until("the last job in the metrics", done);
    let metrics = get(port, "/metrics");
    for (name, value) in [
        ("icecc_jobs_total{result=\"failed\"}", 1.0),
        ("icecc_jobs_total{result=\"lost\"}", 0.0),
        ("icecc_jobs_placed_total", 5.0),
        ("icecc_local_jobs_total", 0.0),
        ("icecc_local_jobs_running", 1.0),
        ("icecc_job_source_bytes_total", 4000.0),
        ("icecc_job_object_bytes_total", 20_000.0),
        ("icecc_job_seconds_total", 0.4),
        ("icecc_hosts{state=\"ready\"}", 1.0),
        ("icecc_hosts{state=\"no-slots\"}", 1.0),
        ("icecc_host_jobs_done_total{host=\"h\\\"\\\\<b>\",address=\"127.0.0.1\"}", 5.0),
        ("icecc_host_jobs_failed_total{host=\"h\\\"\\\\<b>\",address=\"127.0.0.1\"}", 1.0),
        ("icecc_host_load_ratio{host=\"s\",address=\"127.0.0.1\"}", 0.0),
    ] {
        assert_eq!(metric(&metrics, name), Some(value), "{name} in\n{metrics}");
    }
    assert!(!metrics.contains("host_pace_ratio{host=\"s\""), "what is not known is absent:\n{metrics}");
    // For promtool (`scripts/prove.sh see.6`).
    if let Some(path) = std::env::var_os("PROVE_METRICS") {
        std::fs::write(path, &metrics).unwrap();
    }
    let types = metrics.lines().filter(|line| line.starts_with("# TYPE")).count();
    assert_eq!(types, metrics.lines().filter(|line| line.starts_with("# HELP")).count());
}

#[test]
fn requests_get_the_status_that_they_earn() {
    let (scheduler, port) = with_page();
    let status = |text: &str| say(port, text.as_bytes()).split(' ').nth(1).map(str::to_owned).unwrap_or_default();
    for (text, wanted) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "200"),
        ("GET /page.js HTTP/1.1\r\nHost: 127.0.0.1:8767\r\n\r\n", "200"),
        ("GET /page.css HTTP/1.1\r\nHost: [::1]\r\n\r\n", "200"),
        ("HEAD /metrics HTTP/1.0\r\n\r\n", "200"),
        ("GET /api HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        ("GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", "405"),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("nonsense\r\n\r\n", "400"),
        (&format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(9000)), "431"),
    ] {
        assert_eq!(status(text), wanted, "{text:?}");
    }
    let page = say(port, b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(page.contains("\r\nContent-Security-Policy: default-src 'none';") && page.ends_with("\r\n\r\n"), "{page}");
    // One that comes drop by drop, and half of one.
    let mut slow = connect(port);
    for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" {
        slow.write_all(&[*byte]).unwrap();
    }
    assert!(rest(&mut slow).ends_with("\r\n\r\nok\n"));
    let mut half = connect(port);
    half.write_all(b"GET / HTT").unwrap();
    assert!(rest(&mut half).starts_with("HTTP/1.1 408 "), "it is given up");
    drop(scheduler);
}

/// Those who say nothing take all the seats for two seconds; then others have them again. The scheduler does not notice.
#[test]
fn few_connections_are_served_at_a_time_and_the_others_are_told() {
    let (scheduler, port) = with_page();
    let mut silent: Vec<TcpStream> = (0..8).map(|_| connect(port)).collect();
    let asked = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut refused = String::new();
    until("a refusal", || {
        refused = say(port, asked);
        !refused.contains("ok")
    });
    assert!(
        refused.is_empty() || refused.starts_with("HTTP/1.1 503 ") && refused.contains("Retry-After: 1"),
        "{refused}"
    );
    // The loop is free.
    scheduler.host(Setup::new("h").env("E")).place(ask("f.c", "E"));
    until("a seat", || say(port, asked).ends_with("ok\n"));
    for stream in &mut silent {
        assert!(rest(stream).starts_with("HTTP/1.1 408 "));
    }
}

/// The answers of a scheduler with many hosts to one who does not read them.
#[test]
fn who_does_not_read_is_left_behind() {
    let (scheduler, port) = with_page();
    let _hosts: Vec<_> = (0..40).map(|n| scheduler.host(Setup::new(&format!("h{n}-{}", "x".repeat(200))))).collect();
    let open = scheduler.descriptors();
    let mut deaf = connect(port);
    nix::sys::socket::setsockopt(&deaf, nix::sys::socket::sockopt::RcvBuf, &1024).unwrap();
    deaf.write_all(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    until("the end of the connection", || scheduler.descriptors() <= open);
    assert_eq!(get(port, "/healthz"), "ok\n");
}

/// Decisions for one submitter while a thousand clients of the page hold what they get and come again each second, and
/// without them, by turns.
#[test]
#[ignore = "long: scripts/prove.sh see.5"]
fn slow_clients_of_the_page_do_not_delay_decisions() {
    const ROUNDS: usize = 6;
    const DECISIONS: usize = 500;
    const CLIENTS: usize = 1000;
    let (scheduler, port) = with_page();
    let mut host = scheduler.host(Setup::new("h").slots(8).env("E"));
    let mut submitter = scheduler.host(Setup::new("s").slots(0));
    let mut decide = || {
        let begin = std::time::Instant::now();
        let job = submitter.place(ask("f.c", "E")).job();
        let took = begin.elapsed();
        host.begin(job);
        host.done(job, 1, 100);
        took
    };
    // Warm.
    (0..DECISIONS).for_each(|_| {
        decide();
    });
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        times[0].extend((0..DECISIONS).map(|_| decide()));
        let ends = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut clients = Vec::new();
                while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                    clients.clear();
                    for _ in 0..CLIENTS {
                        let mut stream = connect(port);
                        let _ = stream.write_all(b"GET /api/status HTTP/1.1\r\nHost: loc");
                        clients.push(stream);
                    }
                    std::thread::sleep(Duration::from_secs(1));
                }
            });
            std::thread::sleep(Duration::from_millis(500));
            times[1].extend((0..DECISIONS).map(|_| decide()));
            ends.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        // Those who hold a seat are given up.
        until("a seat", || say(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").ends_with("ok\n"));
    }
    let [without, with] = times.map(|mut times: Vec<Duration>| {
        times.sort();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    });
    let ratio = with.1.as_secs_f64() / without.1.as_secs_f64();
    println!(
        "decisions, median and p99: {without:?} without, {with:?} with {CLIENTS} slow clients; p99 ratio {ratio:.2}"
    );
    assert!(ratio < 2.0, "{ratio:.2}");
}
