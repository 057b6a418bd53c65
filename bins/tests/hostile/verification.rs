//! Environments whose programs take long to check: those of others are checked meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ice_core::message::Message;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::error::ConnError;

use crate::bystander::lab;
use crate::cluster::COMPILE;
use crate::planted;
use crate::visitor::{ANSWER, begin, connect, in_network_of, target};

/// Connections of the attacker.
const SLOW: usize = 4;
/// A program that is nearly late.
const SLEEPS: &str = "#!/usr/bin/sh\nexec /usr/bin/sleep 9\n";
/// How often the attacker looks whether it is over.
const LOOK: Duration = Duration::from_millis(200);

/// Sends an environment and asks whether it works.
fn bring(conn: &mut Conn, name: &str, archive: &[u8]) -> Result<(), ConnError> {
    begin(conn, name, archive);
    let deadline = Deadline::after(Step::Message, ANSWER);
    conn.send_all(&[Message::End, Message::VerifyEnv(target(name))], deadline)
}

/// Brings slow environments, one after the other, until it is over; how many.
fn bring_slow(address: &str, who: usize, archive: &[u8], over: &AtomicBool) -> usize {
    let begun = Instant::now();
    let is_over = || over.load(Ordering::Relaxed) || begun.elapsed() > COMPILE;
    let mut brought = 0;
    while !is_over() {
        let mut conn = connect(address);
        let sent = bring(&mut conn, &format!("slow{who}-{brought}"), archive);
        brought += 1;
        while sent.is_ok() && !is_over() {
            match conn.recv(Deadline::after(Step::Message, LOOK)) {
                Ok(Message::StatusText { .. }) | Err(ConnError::TimedOut { .. }) => {}
                _ => break,
            }
        }
    }
    brought
}

/// Brings a new environment to h2 for h1; the answer, and the time from its end to that.
fn check(address: &str, name: &str, archive: &[u8]) -> (Result<Message, ConnError>, u128) {
    let mut conn = connect(address);
    let sent = bring(&mut conn, name, archive);
    let begun = Instant::now();
    let answer = sent.and_then(|()| conn.recv(Deadline::after(Step::Message, ANSWER)));
    (answer, begun.elapsed().as_millis())
}

#[test]
fn slow_environments_keep_no_others_out() {
    let Some(cluster) = lab(&[1, 2, 1]) else { return };
    let good = planted::archive(&planted::C, &[]).expect("an environment");
    let scripts = ["bin/true", "usr/bin/gcc", "usr/bin/g++"].map(|path| (path, SLEEPS));
    let slow = planted::archive(&["as", "sh", "sleep"], &scripts).expect("a slow environment");
    let check = |name: &str| in_network_of(&cluster, "h1", |address| check(&address, name, &good));
    let quiet = check("quiet");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let bring = |who: usize| in_network_of(&cluster, "h3", |address| bring_slow(&address, who, &slow, &over));
        let slow: Vec<_> = (0..SLOW).map(|who| scope.spawn(move || bring(who))).collect();
        cluster.wait_for_log("h2", "iceccd.log", "installed x86_64/slow");
        let loud = ["first", "second", "third"].map(check);
        over.store(true, Ordering::Relaxed);
        let brought: usize = slow.into_iter().map(|thread| thread.join().expect("a slow one")).sum();
        println!("a check: {quiet:?} ms, beside {brought} slow environments: {loud:?} ms");
        for (answer, _) in loud.iter().chain([&quiet]) {
            assert!(matches!(answer, Ok(Message::VerifyEnvResult { ok: 1 })), "{answer:?}");
        }
    });
}
