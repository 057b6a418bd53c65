//! Version agreement, as a state machine over numbers (`net/PROTOCOL.md`, Handshake).
//!
//! ```text
//!  send offer -> Handshake -- other's offer, send confirm -> Confirming -- the same number -> Agreed
//!                    `- out of bounds: refused                 `- another number: refused
//! ```
//!
//! It uses no socket and no clock: [`crate::conn`] transports the numbers and watches the time.

use ice_core::version::Version;
use thiserror::Error;

/// Bytes of one number of the handshake: little-endian, unlike everything after it.
pub const WORD: usize = 4;

/// The result of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The agreed version.
    pub version: Version,
    /// The highest version that the peer offered; monitors are shown it, and a "minimal version" is compared with it.
    pub peer_offer: Version,
}

/// Why the handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// The offer is below 21 or above 2^20.
    #[error("the peer offers version {}, which is out of bounds", .0)]
    Offer(Version),
    /// The peer did not confirm the lower one of both offers.
    #[error("the peer confirms version {found} instead of {expected}")]
    Confirm {
        /// The lower one of both offers.
        expected: Version,
        /// The version that the peer confirmed.
        found: Version,
    },
}

/// One side of the handshake that waits for the peer's offer.
#[derive(Clone, Copy, Debug)]
pub struct Handshake {
    own: Version,
}

/// One side of the handshake that waits for the peer's confirmation.
#[derive(Clone, Copy, Debug)]
pub struct Confirming {
    agreed: Agreed,
}

impl Handshake {
    /// Starts a handshake that offers `own`.
    pub fn new(own: Version) -> Self {
        Self { own }
    }

    /// Our offer, to be sent at once without waiting.
    pub fn offer(self) -> [u8; WORD] {
        self.own.number().to_le_bytes()
    }

    /// Handles the peer's offer.
    pub fn offered(self, word: [u8; WORD]) -> Result<Confirming, HandshakeError> {
        let peer_offer = Version::new(u32::from_le_bytes(word));
        let version = Version::agree(self.own, peer_offer).ok_or(HandshakeError::Offer(peer_offer))?;
        Ok(Confirming { agreed: Agreed { version, peer_offer } })
    }
}

impl Confirming {
    /// Our confirmation, to be sent now; messages may follow it in the same write.
    pub fn confirm(self) -> [u8; WORD] {
        self.agreed.version.number().to_le_bytes()
    }

    /// Handles the peer's confirmation.
    pub fn confirmed(self, word: [u8; WORD]) -> Result<Agreed, HandshakeError> {
        let found = Version::new(u32::from_le_bytes(word));
        if found == self.agreed.version {
            Ok(self.agreed)
        } else {
            Err(HandshakeError::Confirm { expected: self.agreed.version, found })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(n: u32) -> [u8; WORD] {
        n.to_le_bytes()
    }

    /// The table of `net/PROTOCOL.md`, Handshake, for a side that offers 43 as 1.4 does.
    #[test]
    fn table() {
        for (offer, confirm) in [(21, 21), (43, 43), (44, 43), (1000, 43), (1 << 20, 43)] {
            let hs = Handshake::new(Version::new(43));
            assert_eq!(hs.offer(), word(43));
            let confirming = hs.offered(word(offer)).unwrap();
            assert_eq!(confirming.confirm(), word(confirm), "offer {offer}");
            let agreed = Agreed { version: Version::new(confirm), peer_offer: Version::new(offer) };
            assert_eq!(confirming.confirmed(word(confirm)), Ok(agreed));
        }
        for offer in [0, 20, (1 << 20) + 1, u32::MAX] {
            let error = Handshake::new(Version::new(43)).offered(word(offer)).unwrap_err();
            assert_eq!(error, HandshakeError::Offer(Version::new(offer)));
        }
    }

    #[test]
    fn confirm_must_be_the_minimum() {
        let confirming = Handshake::new(Version::new(44)).offered(word(43)).unwrap();
        let error = HandshakeError::Confirm { expected: Version::new(43), found: Version::new(42) };
        assert_eq!(confirming.confirmed(word(42)), Err(error));
    }

    #[test]
    fn a_fork_that_offers_more_than_we_do_speaks_ours() {
        let confirming = Handshake::new(Version::TO_CLIENT).offered(word(50)).unwrap();
        assert_eq!(confirming.confirm(), word(44));
    }
}
