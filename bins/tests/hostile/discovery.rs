//! Datagrams of a scheduler that nobody wants.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use ice_core::text::Text;
use ice_lab::Config;
use ice_net::wire::udp::{Announce, Datagram, Reply};

use crate::bystander::can_attack;
use crate::cluster::{Cluster, SOON, Whose};
use crate::visitor::in_network_of;

/// How long the false scheduler announces itself.
const ATTACK: Duration = Duration::from_secs(8);
/// A version and a start time that every election is won by.
const BEST: (u8, u64) = (44, 1);
/// What the scheduler says when it gives way.
const GIVES_WAY: &str = "disconnecting all connections";

/// A lab of three hosts, of which h3 is the attacker's.
fn lab(scheduler_options: &str, daemon_options: &[&str]) -> Option<Cluster> {
    if !can_attack() {
        return None;
    }
    let mut config = Config::new("", &Whose::Ours.programs(), &[2, 2, 2]);
    for host in &mut config.hosts {
        host.daemon_options = daemon_options.iter().map(|option| (*option).to_owned()).collect();
    }
    let cluster = Cluster::with(&config)?;
    if !scheduler_options.is_empty() {
        cluster.check(cluster.lab.stop("h1", "icecc-scheduler", nix::sys::signal::Signal::SIGTERM));
        let program = Whose::Ours.programs().scheduler().expect("our scheduler");
        let log = "-vvv -l /var/log/icecc/scheduler.log";
        cluster.start_and_leave("h1", &format!("exec {} {log} {scheduler_options}", program.display()));
    }
    Some(cluster)
}

/// Announces a scheduler on h3 each second, and answers whoever asks, for the time of the attack. Returns the number of
/// questions.
fn claim(cluster: &Cluster) -> usize {
    in_network_of(cluster, "h3", |_| {
        let socket = UdpSocket::bind("0.0.0.0:8765").expect("h3's port");
        socket.set_broadcast(true).expect("broadcasts");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        let (version, start_time) = BEST;
        let netname: Text = "ICECREAM".into();
        let announce = Datagram::Announce(Announce { version, start_time, netname: netname.clone() }).to_bytes();
        let (begun, mut next, mut asked) = (Instant::now(), Instant::now(), 0);
        let mut buffer = [0; 300];
        while begun.elapsed() < ATTACK {
            if Instant::now() >= next {
                socket.send_to(&announce, "10.77.255.255:8765").expect("an announcement");
                next += Duration::from_secs(1);
            }
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            if let Some(Datagram::Query { version: theirs }) = Datagram::parse(&buffer[..length]) {
                let reply = Reply::to(theirs, u32::from(version), start_time, netname.clone()).expect("a reply");
                socket.send_to(&Datagram::Reply(reply).to_bytes(), from).expect("a reply");
                asked += 1;
            }
        }
        asked
    })
}

/// How often h1's scheduler gave way.
fn gave_way(cluster: &Cluster) -> usize {
    cluster.count_in_log("h1", "scheduler.log", GIVES_WAY)
}

#[test]
fn a_host_that_is_not_allowed_claims_nothing() {
    let Some(cluster) = lab("--allow 10.77.0.1,10.77.0.2", &[]) else { return };
    let logins = || cluster.count_in_log("h1", "scheduler.log", "login h");
    // The first scheduler had them all; h3's daemon may not log in at the second one.
    cluster.until("both daemons at the scheduler", SOON, || logins() >= 5);
    assert_eq!((claim(&cluster), gave_way(&cluster)), (0, 0));
}

#[test]
fn a_scheduler_that_serves_nobody_ends_the_work_once() {
    let Some(cluster) = lab("", &[]) else { return };
    claim(&cluster);
    assert_eq!(gave_way(&cluster), 1);
    assert!(cluster.count_in_log("h1", "scheduler.log", "does not serve the hosts that were sent there") == 1);
    cluster.check(cluster.lab.wait_for_hosts(3));
}

#[test]
fn daemons_ask_allowed_hosts_alone() {
    if !can_attack() {
        return;
    }
    let mut config = Config::new("", &Whose::Ours.programs(), &[2, 2, 2]);
    config.broadcast = true;
    config.bare = true;
    for host in &mut config.hosts {
        host.daemon_options = ["--allow", "10.77.0.1,10.77.0.2"].map(String::from).to_vec();
    }
    let Some(cluster) = Cluster::with(&config) else { return };
    thread::scope(|scope| {
        let attack = scope.spawn(|| claim(&cluster));
        // The false scheduler is there first, and would be the better one.
        cluster.check(cluster.lab.start_daemon("h2", None));
        cluster.check(cluster.lab.start_scheduler("h1", None));
        cluster.wait_for_log("h1", "scheduler.log", "login h2");
        attack.join().expect("the attack");
    });
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "scheduler is on 10.77.0.3"), 0);
}
