//! Questions at the scheduler's text port that cost much to answer, and commands that a stranger may not give.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ice_core::env::EnvRef;
use ice_core::message::{Login, Message};
use ice_core::version::Version;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};

use crate::bystander::{compile, lab};
use crate::cluster::{COMPILE, Cluster, Whose, completed};
use crate::visitor::in_network_of;

/// A login with many long names of environments.
fn log_in(number: u32) -> Conn {
    let deadline = || Deadline::after(Step::Message, COMPILE);
    let mut conn = ice_net::dial::tcp("10.77.0.1", 8765, Version::new(43), deadline()).expect("the scheduler");
    let name = |n: u32| format!("{number}-{n}-{}", "e".repeat(200));
    let environment = |n: u32| EnvRef { platform: "x86_64".into(), name: name(n).as_str().into() };
    let login = Login {
        port: 20_000 + number,
        environments: (0..800).map(environment).collect(),
        node_name: format!("loud{number}").as_str().into(),
        platform: "x86_64".into(),
        chroot_possible: 1,
        ..Login::default()
    };
    conn.send(&Message::Login(login), deadline()).expect("LOGIN");
    conn
}

/// Asks for everything, again and again, and reads what comes. Returns the bytes.
fn ask(over: &AtomicBool) -> usize {
    let mut stream = TcpStream::connect("10.77.0.1:8766").expect("the text port");
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
    let (mut buffer, mut read) = (vec![0; 1 << 16], 0);
    let _ = stream.write_all("listcs --json environments\n".repeat(60).as_bytes());
    while !over.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(_) => {}
        }
    }
    read
}

#[test]
fn long_answers_keep_nobody_else_waiting() {
    let Some(cluster) = lab(&[1, 2, 1]) else { return };
    let compile = || compile(&cluster, &[]).as_millis();
    let stats = || {
        let begun = Instant::now();
        cluster.check(cluster.lab.console("stats"));
        begun.elapsed().as_millis()
    };
    compile();
    let quiet = [compile(), stats()];
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let logins = in_network_of(&cluster, "h3", |_| (0..60).map(log_in).collect::<Vec<_>>());
        let begun = Instant::now();
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| in_network_of(&cluster, "h3", |_| ask(&over)))).collect();
        thread::sleep(Duration::from_secs(2));
        let loud: Vec<[u128; 2]> = (0..5).map(|_| [compile(), stats()]).collect();
        let time = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        let read: usize = asking.into_iter().map(|thread| thread.join().expect("a reader")).sum();
        println!("a compile and an answer: {quiet:?} ms, beside {read} bytes of answers in {time:?}: {loud:?} ms");
        assert!(read > 1 << 20, "{read}: nobody was answered");
        drop(logins);
    });
    assert_eq!(completed(&cluster, "h2"), 7, "jobs went elsewhere");
}

#[test]
fn a_stranger_removes_nobody() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 1]) else { return };
    // By the switch, which is no host of the network's own.
    let answer = cluster.check(cluster.lab.console("removecs h2"));
    assert!(answer.contains("401 Only for the scheduler's own host"), "{answer}");
    cluster.check(cluster.lab.wait_for_hosts(2));
    cluster.wait_for_log("h1", "scheduler.log", "no network of --text-admin has that address: removecs h2");
}
