//! What goes over UDP: queries, announcements, and a scheduler that only answers.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Asks the scheduler on this port as a peer of that version does; its answer, if there is one.
pub fn query(port: u16, version: u8) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut answer = [0; 512];
    // A datagram may be lost, and an answer that is not to come costs a second each time.
    for _ in 0..2 {
        socket.send_to(&[version], (Ipv4Addr::LOCALHOST, port)).unwrap();
        if let Ok((n, _)) = socket.recv_from(&mut answer) {
            return answer.get(..n).map(<[u8]>::to_vec);
        }
    }
    None
}

/// An announcement (`net/PROTOCOL.md`, Discovery and election).
pub fn announcement(version: u8, start: u64, netname: &str) -> Vec<u8> {
    let mut bytes = b"ICF".to_vec();
    bytes.push(version);
    bytes.extend_from_slice(&((start >> 32) as u32).to_be_bytes());
    bytes.extend_from_slice(&(start as u32).to_be_bytes());
    bytes.extend_from_slice(netname.as_bytes());
    bytes.resize(268, 0);
    bytes
}

/// What a scheduler says of itself when it is asked.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The port it is asked on and answers from.
    pub port: u16,
    /// Its version.
    pub version: u8,
    /// When it started.
    pub start: u64,
    /// The net it serves.
    pub netname: String,
}

/// Answers queries as these schedulers until it is dropped. All answers leave, in this order, when the last port is
/// asked, so that they arrive together however busy the machine is: who asks several ports at once has that one asked
/// last.
#[track_caller]
pub fn answering(claims: &[Claim]) -> Answering {
    let bind = |claim: &Claim| (UdpSocket::bind((Ipv4Addr::UNSPECIFIED, claim.port)).unwrap(), claim.clone());
    let sockets: Vec<_> = claims.iter().map(bind).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let Some((last, _)) = sockets.last() else { return };
        let _ = last.set_read_timeout(Some(Duration::from_millis(50)));
        let mut asked = [0; 512];
        while !stopped.load(Ordering::Relaxed) {
            if let Ok((1, from)) = last.recv_from(&mut asked) {
                sockets.iter().for_each(|(socket, claim)| answer(socket, from, asked[0], claim));
            }
        }
    });
    Answering { stop, thread: Some(thread) }
}

fn answer(socket: &UdpSocket, to: SocketAddr, asker: u8, claim: &Claim) {
    let mut bytes = vec![asker.wrapping_add(3)];
    bytes.extend_from_slice(&u32::from(claim.version).to_be_bytes());
    bytes.extend_from_slice(&((claim.start >> 32) as u32).to_be_bytes());
    bytes.extend_from_slice(&(claim.start as u32).to_be_bytes());
    bytes.extend_from_slice(claim.netname.as_bytes());
    bytes.resize(268, 0);
    let _ = socket.send_to(&bytes, to);
}

/// See [`answering`].
#[derive(Debug)]
pub struct Answering {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
