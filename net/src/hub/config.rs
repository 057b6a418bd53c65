//! What a hub is told at its start: its limits.

use std::time::Duration;

use ice_core::limits;

use super::ConnectionBounds;
use crate::allow::Allow;

/// Limits of a hub.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Maximum number of events that wait for the loop; further readers wait. The memory is allocated at the start,
    /// even in an idle process.
    pub events_max: usize,
    /// Maximum number of messages of one peer in flight to the loop (decision: credits).
    pub credits: u32,
    /// Maximum number of bytes waiting to be written to a peer; more closes it. See
    /// [`Hub::limit_outbox`](super::Hub::limit_outbox).
    pub outbox_max: usize,
    /// The networks whose hosts may connect.
    pub allow: Allow,
    /// How many connections are accepted.
    pub connections: ConnectionBounds,
    /// Maximum number of bytes held for all accepted peers together; more cuts the peer that holds most.
    pub held_max: usize,
    /// The same for the peers of one address; local peers count as one address.
    pub held_per_address_max: usize,
    /// Time limit for a frame, from its first byte to its last.
    pub frame: Duration,
    /// Time limit for the whole handshake of an accepted connection.
    pub handshake: Duration,
    /// Time within which a peer must read some of the bytes waiting for it.
    pub send_stall: Duration,
    /// Time limit after [`Hub::close`](super::Hub::close) to write what is left, and for the peer to close.
    pub linger: Duration,
    /// Maximum length of a text peer's line in bytes.
    pub line_max: usize,
    /// Stack size of a reader thread in bytes. Handlers run on it.
    pub stack: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            events_max: 128,
            credits: 16,
            outbox_max: 4 << 20,
            allow: Allow::default(),
            connections: ConnectionBounds::default(),
            held_max: limits::HELD_MAX,
            held_per_address_max: limits::HELD_PER_ADDRESS_MAX,
            frame: limits::FRAME,
            handshake: limits::HANDSHAKE,
            send_stall: limits::SEND,
            linger: Duration::from_secs(2),
            line_max: 4096,
            stack: 64 * 1024,
        }
    }
}
