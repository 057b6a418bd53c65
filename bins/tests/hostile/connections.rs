//! Connections that are opened and left alone, and a job that starts processes without end: others compile on.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use ice_bins::background::{Account, raise_descriptors};
use ice_core::version::Version;
use ice_lab::Config;
use ice_net::deadline::{Deadline, Step};
use nix::unistd::Uid;

use crate::bystander::{compile, lab};
use crate::cluster::{Cluster, SOON, Whose, bare_root, skip};
use crate::planted;
use crate::visitor::in_network_of;

/// Connections of one host with which jobs once had no processes left.
const MANY: usize = 700;
/// Addresses that the attacker has, one after the other.
const ADDRESSES: [u8; 5] = [102, 103, 104, 105, 106];
/// For one connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Connections that have shaken hands, until one is refused; at most so many.
fn idle(address: &str, most: usize) -> Vec<ice_net::conn::Conn> {
    let dial = |_| ice_net::dial::tcp(address, 10_245, Version::new(44), Deadline::after(Step::Connect, CONNECT)).ok();
    (0..most).map_while(dial).collect()
}

#[test]
fn connections_take_no_jobs_processes() {
    let Some(cluster) = lab(&[2, 2, 2]) else { return };
    raise_descriptors();
    // The first brings the environment.
    compile(&cluster, &[]);
    println!("quiet: {:?}", compile(&cluster, &[]));
    in_network_of(&cluster, "h3", |address| {
        let held = idle(&address, MANY);
        println!("{} idle connections of one address: {:?}", held.len(), compile(&cluster, &[]));
        // Of another address: this one has all that it may have.
        become_address("10.77.0.101", &address);
        let silent: Vec<TcpStream> =
            (0..MANY).map_while(|_| TcpStream::connect((address.as_str(), 10_245)).ok()).collect();
        println!("and {} that never speak: {:?}", silent.len(), compile(&cluster, &[]));
        let mut all = vec![held];
        for own in ADDRESSES {
            become_address(&format!("10.77.0.{own}"), &address);
            all.push(idle(&address, MANY));
            let count: usize = all.iter().map(Vec::len).sum();
            println!("{count} idle connections of {} addresses: {:?}", all.len(), compile(&cluster, &[]));
        }
        assert!(all.iter().skip(1).all(|held| !held.is_empty() && held.len() < MANY), "no limit of an address");
    });
}

/// Gives this host another address, from which it reaches `to` from now on.
fn become_address(own: &str, to: &str) {
    let script = "device=$(ip -o route get $1 | sed 's/.* dev \\([^ ]*\\).*/\\1/')
        ip address add $0/16 dev $device && ip route replace $1/32 dev $device src $0";
    let status = Command::new("sh").args(["-ec", script, own, to]).status().expect("sh");
    assert!(status.success(), "no address {own}");
}

/// How the jobs of h2's daemon get their user ids.
enum Ids {
    /// Unused ones.
    Found,
    /// From this one on, by `/etc/subuid`.
    Lent(u32),
    /// There are none: all have the daemon's.
    Shared,
}

/// A lab whose h2 is such a host.
fn lab_with(ids: &Ids) -> Option<(Cluster, tempfile::TempDir)> {
    if !Uid::effective().is_root() {
        return skip("ids are root's to give");
    }
    let daemon = Account::default_for_service().uid;
    let root = tempfile::tempdir().expect("a folder for the bare root");
    bare_root(root.path());
    let lent = match ids {
        Ids::Found => String::new(),
        Ids::Lent(first) => format!("{daemon}:{first}:3\n"),
        Ids::Shared => "nobodyelse:60000:6000\n".to_owned(),
    };
    fs::write(root.path().join("etc/subuid"), lent).expect("etc/subuid");
    let mut config = Config::new("", &Whose::Ours.programs(), &[2, 2]);
    config.hosts[1].root = Some(root.path().to_path_buf());
    Some((Cluster::with(&config)?, root))
}

/// Makes the environment whose compiler is a bomb; its path.
fn bomb(cluster: &Cluster) -> String {
    let archive = cluster.folder().join("bomb.tar.zst");
    fs::write(&archive, planted::bomb(cluster.folder()).expect("a hostile environment")).expect("its archive");
    archive.display().to_string()
}

/// Runs a bomb in one slot of h2 and compiles in the other; the user id of the bomb's processes.
fn bomb_and_neighbour(ids: &Ids) -> Option<u32> {
    let (cluster, _root) = lab_with(ids)?;
    let archive = bomb(&cluster);
    let with_it = [("ICECC_VERSION", archive.as_str())];
    cluster.write("a.c", "int a(int x) { return x + 1; }\n");
    compile(&cluster, &with_it);
    println!("quiet: {:?}", compile(&cluster, &with_it));
    let on_h2 = [with_it[0], ("ICECC_PREFERRED_HOST", "h2")];
    let _bomb = cluster.start("h1", &on_h2, "icecc gcc -O3 -c a.c -o bomb.o");
    cluster.until("a slot full of processes", SOON, || cluster.called("h2", "gcc").len() >= 100);
    let took: Vec<Duration> = (0..3).map(|_| compile(&cluster, &with_it)).collect();
    let processes = cluster.called("h2", "gcc");
    println!("beside {} processes of another slot: {took:?}", processes.len());
    assert!(processes.len() < 200, "no limit of a slot");
    if matches!(ids, Ids::Shared) {
        cluster.wait_for_log("h2", "iceccd.log", "jobs have no user ids of their own (no range of unused ids");
    }
    let status = processes.iter().find_map(|p| fs::read_to_string(format!("/proc/{}/status", p.pid)).ok());
    let ids = status.as_deref().and_then(|s| s.lines().find_map(|line| line.strip_prefix("Uid:")));
    ids.and_then(|ids| ids.split_whitespace().next()?.parse().ok())
}

#[test]
fn a_bomb_leaves_other_slots_their_processes() {
    let Some(id) = bomb_and_neighbour(&Ids::Found) else { return };
    assert!((61_184..=65_519).contains(&id), "{id}");
}

#[test]
fn a_bomb_has_one_of_the_lent_ids() {
    let Some(id) = bomb_and_neighbour(&Ids::Lent(700_000)) else { return };
    assert!((700_000..700_002).contains(&id), "{id}");
}

#[test]
fn a_bomb_with_everybodys_id_leaves_other_slots_their_processes() {
    let Some(id) = bomb_and_neighbour(&Ids::Shared) else { return };
    assert_eq!(id, Account::default_for_service().uid);
}
