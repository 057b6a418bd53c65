//! Many monitors, each of which is shown all hosts and jobs, and many who ask what all hosts are doing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ice_core::message::{Login, Message};
use ice_core::version::Version;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};

use crate::bystander::{compile, lab};
use crate::cluster::COMPILE;
use crate::visitor::in_network_of;

/// Hosts that a monitor is shown.
const CROWD: u32 = 300;
/// Attackers of each kind.
const THREADS: usize = 4;
/// How long one waits for anything.
const A_WHILE: Duration = Duration::from_millis(100);

fn dial() -> Option<Conn> {
    ice_net::dial::tcp("10.77.0.1", 8765, Version::new(43), Deadline::after(Step::Connect, COMPILE)).ok()
}

fn say(conn: &mut Conn, message: &Message) -> bool {
    conn.send(message, Deadline::after(Step::Message, COMPILE)).is_ok()
}

/// A host without slots.
fn log_in(number: u32) -> Option<Conn> {
    let login = Login {
        port: 20_000 + number,
        node_name: format!("crowd{number}").as_str().into(),
        platform: "x86_64".into(),
        ..Login::default()
    };
    let mut conn = dial()?;
    say(&mut conn, &Message::Login(login)).then_some(conn)
}

/// Logs in as a monitor again and again, and reads a little each time; the messages that came.
fn watch(over: &AtomicBool) -> usize {
    let mut heard = 0;
    let begun = Instant::now();
    while !over.load(Ordering::Relaxed) && begun.elapsed() < COMPILE {
        let Some(mut conn) = dial() else { continue };
        if say(&mut conn, &Message::MonLogin) {
            heard += (0..50).take_while(|_| conn.recv(Deadline::after(Step::Message, A_WHILE)).is_ok()).count();
        }
    }
    heard
}

/// Asks what all hosts are doing, again and again, and reads what comes. Returns the bytes.
fn ask(over: &AtomicBool) -> usize {
    let mut read = 0;
    let begun = Instant::now();
    let mut buffer = vec![0; 1 << 16];
    while !over.load(Ordering::Relaxed) && begun.elapsed() < COMPILE {
        let Ok(mut stream) = TcpStream::connect("10.77.0.1:8766") else { continue };
        let _ = stream.set_read_timeout(Some(A_WHILE));
        let _ = stream.write_all("internals\n".repeat(60).as_bytes());
        while !over.load(Ordering::Relaxed) {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted) => {}
                Err(_) => break,
            }
        }
    }
    read
}

#[test]
fn monitors_and_questions_to_all_hosts_keep_nobody_waiting() {
    let Some(cluster) = lab(&[1, 2, 1]) else { return };
    compile(&cluster, &[]);
    let quiet = compile(&cluster, &[]).as_millis();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let crowd = in_network_of(&cluster, "h3", |_| (0..CROWD).filter_map(log_in).collect::<Vec<_>>());
        let start = |what: fn(&AtomicBool) -> usize| {
            let (cluster, over) = (&cluster, &over);
            let attack = move || in_network_of(cluster, "h3", |_| what(over));
            (0..THREADS).map(|_| scope.spawn(attack)).collect::<Vec<_>>()
        };
        let [watching, asking] = [start(watch), start(ask)];
        thread::sleep(Duration::from_secs(2));
        let loud: Vec<u128> = (0..5).map(|_| compile(&cluster, &[]).as_millis()).collect();
        over.store(true, Ordering::Relaxed);
        let sum = |threads: Vec<thread::ScopedJoinHandle<'_, usize>>| -> usize {
            threads.into_iter().map(|thread| thread.join().expect("an attacker")).sum()
        };
        let (heard, read) = (sum(watching), sum(asking));
        println!(
            "a compile: {quiet} ms, beside {heard} messages to monitors and {read} bytes of answers of {} hosts: {loud:?} ms",
            crowd.len()
        );
        assert!(heard > 0 && read > 0, "nobody was answered");
    });
}
