//! The networks whose hosts are heard (`--allow`), by TCP and by UDP.

use ipnet::{IpNet, Ipv4Net};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use thiserror::Error;

/// The networks whose hosts are heard. An empty list admits everybody. Loopback addresses are always admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow(Vec<IpNet>);

/// The text is not a network.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no network: 10.0.0.0/8, 192.168.1.7 and fd00::/8 are some")]
pub struct NotANetwork(String);

impl FromStr for Allow {
    type Err = NotANetwork;

    /// Parses `NET[,NET…]`, each an address with an optional `/BITS`.
    fn from_str(list: &str) -> Result<Self, NotANetwork> {
        let read = |text: &str| network(text).ok_or_else(|| NotANetwork(text.to_owned()));
        list.split(',').map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("everybody");
        }
        let networks: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&networks.join(","))
    }
}

impl Allow {
    /// Whether a peer with this address is heard.
    pub fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.is_empty() || peer.is_loopback() || self.0.iter().any(|network| network.contains(&peer))
    }

    /// Whether a host of the network of one of our addresses may be admitted.
    pub fn meets(&self, address: Ipv4Addr, mask: Ipv4Addr) -> bool {
        let Ok(ours) = Ipv4Net::with_netmask(address, mask).map(IpNet::V4) else { return true };
        let meet = |network: &IpNet| network.contains(&ours.network()) || ours.contains(&network.network());
        self.0.is_empty() || self.0.iter().any(meet)
    }
}

/// Parses a network, or an address as the network of that host alone.
fn network(text: &str) -> Option<IpNet> {
    text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_hosts() {
        for (list, peer, admitted) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/24", "10.1.2.200", true),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.8", false),
            ("192.168.1.7", "::ffff:192.168.1.7", true),
            ("192.168.1.7", "127.0.0.1", true),
            ("192.168.1.7", "::1", true),
            ("192.168.1.7,fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("fd00::/8", "10.0.0.1", false),
            ("fd00::1", "fd00::1", true),
            ("fd00::1", "fd00::2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "8.8.8.8", false),
        ] {
            let allow: Allow = list.parse().unwrap();
            assert_eq!(allow.admits(peer.parse().unwrap()), admitted, "{peer} in {list}");
        }
        assert!(Allow::default().admits("8.8.8.8".parse().unwrap()));
    }

    #[test]
    fn a_network_is_asked_that_has_admitted_hosts() {
        for (list, address, mask, asked) in [
            ("10.0.0.0/8", "10.1.2.3", "255.255.255.0", true),
            ("10.1.2.7", "10.1.2.3", "255.255.255.0", true),
            ("10.1.3.7", "10.1.2.3", "255.255.255.0", false),
            ("10.1.3.7,fd00::/8", "10.1.2.3", "255.255.0.0", true),
            ("fd00::/8", "10.1.2.3", "255.255.0.0", false),
        ] {
            let allow: Allow = list.parse().unwrap();
            assert_eq!(allow.meets(address.parse().unwrap(), mask.parse().unwrap()), asked, "{address} in {list}");
        }
        assert!(Allow::default().meets(Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for list in ["", "10.0.0.0/33", "fd00::/129", "10.0.0.0/8,", "host", "10.0.0.0/x", "10.0.0/8"] {
            assert!(list.parse::<Allow>().is_err(), "{list}");
        }
        let error = "10.0.0.1,hosts".parse::<Allow>().unwrap_err();
        assert!(error.to_string().starts_with("\"hosts\" is no network"), "{error}");
    }
}
