//! The wires of a lab: a bridge in the switch's network namespace, one link to each host, and their delay and rate.

use std::net::Ipv4Addr;
use std::time::Duration;

/// The switch's own address, from where the lab looks at its scheduler.
pub const SWITCH: Ipv4Addr = Ipv4Addr::new(10, 77, 255, 254);
/// The bridge.
const BRIDGE: &str = "br0";

/// Delay and rate of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Link {
    /// One way from host to host.
    pub delay: Duration,
    /// Rate of each direction of a host's link, in `tc`'s syntax: `100mbit`.
    pub rate: Option<String>,
}

/// What delays the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Delayer {
    /// Nothing: no delay was requested.
    Nobody,
    /// The kernel, by netem.
    Kernel,
    /// Our packet relay, because this kernel has no netem.
    Relay,
}

/// The address of host number `n` (from 1). Each lab has a network of its own, so all use the same addresses.
pub fn address(n: usize) -> Ipv4Addr {
    let n = u16::try_from(n).unwrap_or(u16::MAX);
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(10, 77, high, low)
}

/// Commands for the switch: its bridge.
pub fn make_switch() -> String {
    format!(
        "ip link set lo up
         ip link add {BRIDGE} type bridge
         ip link set {BRIDGE} up
         ip addr add {SWITCH}/16 brd + dev {BRIDGE}"
    )
}

/// A command that succeeds if the kernel can delay.
pub const TRY_NETEM: &str = "tc qdisc add dev lo root netem delay 1ms && tc qdisc del dev lo root";

/// Commands for the switch: the link to host `n`, whose first process is `pid`.
pub fn link_host(n: usize, pid: u32, link: &Link, delayer: Delayer) -> String {
    let mut commands = match delayer {
        Delayer::Nobody | Delayer::Kernel => format!("ip link add p{n} type veth peer name eth0 netns {pid}\n"),
        // eth0 == a, relay, b == p on the bridge. The relay carries single frames, so nothing may arrive uncut.
        Delayer::Relay => format!(
            "ip link add a{n} type veth peer name eth0 netns {pid}
             ip link add b{n} type veth peer name p{n}
             ip link set a{n} addrgenmode none gso_max_segs 1 up
             ip link set b{n} addrgenmode none gso_max_segs 1 up
             ip link set p{n} gso_max_segs 1
             ip link set {BRIDGE} gso_max_segs 1\n"
        ),
    };
    commands.push_str(&format!("ip link set p{n} addrgenmode none master {BRIDGE} up\n"));
    if let Some(rate) = &link.rate {
        commands.push_str(&format!("tc qdisc add dev p{n} root {}\n", shaper(rate)));
    }
    commands
}

/// Commands for host `n` itself.
pub fn set_up_host(n: usize, link: &Link, delayer: Delayer) -> String {
    let address = address(n);
    let mut commands = format!("ip link set lo up\nip addr add {address}/16 brd + dev eth0\nip link set eth0 up\n");
    if delayer == Delayer::Relay {
        commands.push_str("ip link set eth0 gso_max_segs 1\n");
    }
    let mut parent = "root".to_string();
    if delayer == Delayer::Kernel {
        let delay_us = link.delay.as_micros();
        commands.push_str(&format!("tc qdisc add dev eth0 root handle 1: netem delay {delay_us}us limit 20000\n"));
        parent = "parent 1:".to_string();
    }
    if let Some(rate) = &link.rate {
        commands.push_str(&format!("tc qdisc add dev eth0 {parent} handle 2: {}\n", shaper(rate)));
    }
    commands
}

/// The relay's interfaces for host `n`: towards the host, towards the bridge.
pub fn relay_pair(n: usize) -> (String, String) {
    (format!("a{n}"), format!("b{n}"))
}

fn shaper(rate: &str) -> String {
    format!("tbf rate {rate} burst 64kb latency 100ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_all_different_and_never_the_switch() {
        let all: std::collections::BTreeSet<_> = (1..=2000).map(address).collect();
        assert_eq!(all.len(), 2000);
        assert_eq!(address(1).to_string(), "10.77.0.1");
        assert!(!all.contains(&SWITCH));
    }
}
