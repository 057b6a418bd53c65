//! Where `--web` listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// The port if none is given.
const PORT: u16 = 8767;

/// An address with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(SocketAddr);

/// A text that is no place, with what is.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an address with or without a port (0.0.0.0, 10.0.0.1:8767, [::1]:8767)")]
pub struct NoPlace;

impl Place {
    /// Its address.
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let here = IpAddr::from(Ipv4Addr::LOCALHOST);
        let text = text.strip_prefix("localhost").unwrap_or(text);
        if text.is_empty() {
            return Ok(Self((here, PORT).into()));
        }
        if let Some(port) = text.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit())) {
            return port.parse().map(|port: u16| Self((here, port).into())).map_err(|_| NoPlace);
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let alone = bare.parse().map(|ip: IpAddr| SocketAddr::from((ip, PORT)));
        alone.or_else(|_| text.parse()).map(Self).map_err(|_| NoPlace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_port_both_or_neither() {
        for (text, address) in [
            ("", "127.0.0.1:8767"),
            (":9000", "127.0.0.1:9000"),
            ("localhost", "127.0.0.1:8767"),
            ("localhost:0", "127.0.0.1:0"),
            ("0.0.0.0", "0.0.0.0:8767"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("::1", "[::1]:8767"),
            ("[::1]", "[::1]:8767"),
            ("[::]:81", "[::]:81"),
        ] {
            assert_eq!(text.parse::<Place>().map(|place| place.address().to_string()), Ok(address.into()), "{text}");
        }
        for text in ["x", ":", ":+1", ":70000", "10.0.0.1:", "10.0.0", "localhosts", "[::1", "eth0", "10.0.0.1:1:1"] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
    }
}
