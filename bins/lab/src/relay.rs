//! A link with delay, for kernels without netem: forwards raw frames from one interface to another after a delay.
//!
//! It works on frames and never ends a TCP connection, so round trips, windows and retransmissions stay real.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket, sockopt,
};

use super::error::Error;

/// Maximum number of frames under way on a link; further ones are dropped, as on a real link.
const UNDER_WAY_MAX: usize = 20_000;
/// Longest frame: an Ethernet frame, or one that the kernel has not cut yet.
const FRAME_MAX: usize = 70_000;

/// Carries frames between the two interfaces of each pair, those from the first to the second after `delay`, until
/// killed.
pub fn run(delay: Duration, pairs: &[(String, String)]) -> Result<(), Error> {
    let mut threads = Vec::new();
    for (host, bridge) in pairs {
        let (host, bridge) = (Arc::new(open(host)?), Arc::new(open(bridge)?));
        threads.extend(wire(Arc::clone(&host), Arc::clone(&bridge), delay));
        threads.extend(wire(bridge, host, Duration::ZERO));
    }
    println!("ready {}", std::process::id());
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

type Frame = (Instant, Vec<u8>);

fn wire(from: Arc<OwnedFd>, to: Arc<OwnedFd>, delay: Duration) -> [thread::JoinHandle<()>; 2] {
    let (sender, receiver) = bounded(UNDER_WAY_MAX);
    [thread::spawn(move || take_in(&from, delay, &sender)), thread::spawn(move || put_out(&to, &receiver))]
}

fn take_in(from: &OwnedFd, delay: Duration, into: &Sender<Frame>) {
    let mut buffer = vec![0; FRAME_MAX];
    loop {
        // An interface that went down comes up again or takes the lab with it.
        let Ok(length) = recv(from.as_raw_fd(), &mut buffer, MsgFlags::empty()) else {
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let mut frame = buffer[..length].to_vec();
        checksum::complete(&mut frame);
        let _ = into.try_send((Instant::now() + delay, frame));
    }
}

fn put_out(to: &OwnedFd, from: &Receiver<Frame>) {
    for (due, frame) in from {
        let now = Instant::now();
        if due > now {
            thread::sleep(due - now);
        }
        let _ = send(to.as_raw_fd(), &frame, MsgFlags::empty());
    }
}

/// A raw socket that receives the frames arriving on an interface. It is also used to send, since the kernel does not
/// return a socket its own frames.
fn open(interface: &str) -> Result<OwnedFd, Error> {
    let fail = |e: nix::Error| Error::file(interface)(e.into());
    let raw =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll).map_err(fail)?;
    let address = getifaddrs()
        .map_err(fail)?
        .filter(|a| a.interface_name == interface)
        .find_map(|a| a.address?.as_link_addr().copied())
        .ok_or_else(|| fail(nix::Error::ENODEV))?;
    bind(raw.as_raw_fd(), &address).map_err(fail)?;
    setsockopt(&raw, sockopt::RcvBuf, &(8 << 20)).map_err(fail)?;
    Ok(raw)
}

/// Checksums that the sending kernel left to a network card that does not exist.
mod checksum {
    /// Fills in the TCP or UDP checksum of an IPv4 or IPv6 frame; leaves all else alone.
    pub(super) fn complete(frame: &mut [u8]) {
        if let Some((pseudo, start, end, at)) = place(frame) {
            frame[at..at + 2].fill(0);
            let sum = match fold(pseudo + add(&frame[start..end])) {
                0 => 0xffff,
                sum => sum,
            };
            frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
    }

    /// Sum of the pseudo header, where the segment begins and ends, and where its checksum is.
    fn place(frame: &[u8]) -> Option<(u32, usize, usize, usize)> {
        let (protocol, addresses, start, end) = match frame.get(12..14)? {
            [0x08, 0x00] => {
                let header = usize::from(frame.get(14)? & 15) * 4;
                let total = usize::from(u16::from_be_bytes([*frame.get(16)?, *frame.get(17)?]));
                // The checksum of a fragment covers bytes that are not here.
                let fragment = u16::from_be_bytes([*frame.get(20)?, *frame.get(21)?]) & 0x3fff;
                (fragment == 0).then_some(())?;
                (*frame.get(23)?, frame.get(26..34)?, 14 + header, 14 + total)
            }
            [0x86, 0xdd] => {
                let length = usize::from(u16::from_be_bytes([*frame.get(18)?, *frame.get(19)?]));
                (*frame.get(20)?, frame.get(22..54)?, 54, 54 + length)
            }
            _ => return None,
        };
        let offset = match protocol {
            6 => 16,
            17 => 6,
            _ => return None,
        };
        let segment = frame.get(start..end)?;
        segment.get(offset..offset + 2)?;
        let length = u32::try_from(segment.len()).ok()?;
        Some((add(addresses) + u32::from(protocol) + length, start, end, start + offset))
    }

    fn add(bytes: &[u8]) -> u32 {
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum()
    }

    fn fold(mut sum: u32) -> u16 {
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn a_known_datagram() {
            // UDP 10.0.0.1:1 -> 10.0.0.2:2 "ab", its checksum computed by hand: fold(!(pseudo + header + data)).
            let mut frame = vec![0; 14 + 20 + 10];
            frame[12] = 8;
            frame[14] = 0x45;
            frame[17] = 30;
            frame[23] = 17;
            frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
            frame[34..44].copy_from_slice(&[0, 1, 0, 2, 0, 10, 9, 9, b'a', b'b']);
            super::complete(&mut frame);
            let sum: u32 = 0x0a00 + 1 + 0x0a00 + 2 + 17 + 10 + 1 + 2 + 10 + 0x6162;
            assert_eq!(frame[40..42], (!(sum as u16)).to_be_bytes());
            let before = frame.clone();
            super::complete(&mut frame);
            assert_eq!(frame, before);
            for cut in 0..frame.len() {
                super::complete(&mut frame[..cut].to_vec());
            }
        }
    }
}
