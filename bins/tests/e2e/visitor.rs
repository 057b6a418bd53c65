//! A peer that keeps to the protocol and to nothing else, on the network of a host.

use std::fs;
use std::time::Duration;

use ice_core::message::{EnvTarget, Message};
use ice_core::version::Version;
use ice_net::compress::Packer;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};

use crate::cluster::Cluster;

/// For one answer: the daemon unpacks to the end first.
pub const ANSWER: Duration = Duration::from_secs(60);
/// As the client sends them.
const PIECE: usize = 100_000;

/// Sends an archive as an environment of this name, but not its end.
pub fn begin(conn: &mut Conn, name: &str, archive: &[u8]) {
    let deadline = || Deadline::after(Step::Message, ANSWER);
    conn.send(&Message::TransferEnv(target(name)), deadline()).expect("TRANSFER_ENV");
    let mut packer = Packer::new(1);
    for piece in archive.chunks(PIECE) {
        let chunk = packer.pack(piece, conn.version()).expect("a piece");
        if conn.send(&Message::FileChunk(chunk), deadline()).is_err() {
            return;
        }
    }
}

/// An environment of this name.
pub fn target(name: &str) -> EnvTarget {
    EnvTarget { name: name.into(), target: "x86_64".into() }
}

/// A connection to the daemon of a host.
pub fn connect(address: &str) -> Conn {
    ice_net::dial::tcp(address, 10_245, Version::new(44), Deadline::after(Step::Connect, ANSWER)).expect("h2's daemon")
}

/// Runs something in a thread that is on a host's network; it is told h2's address.
pub fn in_network_of<T: Send>(cluster: &Cluster, host: &str, what: impl FnOnce(String) -> T + Send) -> T {
    let network = format!("/proc/{}/ns/net", cluster.lab.host(host).expect("a host").first.pid);
    let address = cluster.lab.host("h2").expect("h2").address.to_string();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let file = fs::File::open(network).expect("the host's network");
            nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).expect("to enter the host's network");
            what(address)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
