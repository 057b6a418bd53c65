//! What a scheduler is told, and what it wants done.

use super::Note;
use crate::ids::{HostId, PeerId};
use crate::level::Level;
use crate::message::Message;
use crate::text::Text;
use crate::time::Duration;
use crate::version::Version;

/// What a scheduler is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// What stands after `200-ICECC ` in the greeting, as `1.4.0 (icecream-rs 0.1.0)`.
    pub version: String,
    /// Time the scheduler counts as running before its first input (`ICECC_FAKE_STARTTIME`).
    pub uptime_before: Duration,
    /// Where chance starts: two schedulers with the same seed and inputs decide the same.
    pub seed: u64,
    /// The least important notes wanted: what is less important is not even made.
    pub notes: Level,
}

impl Default for Config {
    fn default() -> Self {
        Self { version: "1.4.0".into(), uptime_before: Duration::ZERO, seed: 1, notes: Level::Debug }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection whose handshake is over.
    Opened {
        /// Its number, never used before.
        peer: PeerId,
        /// Its address as text, without port.
        address: Text,
        /// What it offered, as it came: shown to monitors and compared with what jobs ask for.
        offer: Version,
        /// What is spoken.
        version: Version,
    },
    /// A connection to the text port.
    TextOpened {
        /// Its number, never used before.
        peer: PeerId,
    },
    /// A message of a binary peer.
    Said {
        /// Who.
        peer: PeerId,
        /// What.
        message: Message,
    },
    /// A line of a text peer, without its end.
    Line {
        /// Who.
        peer: PeerId,
        /// The line as sent.
        text: Text,
    },
    /// A text peer says no more but still reads: it gets its answers and a farewell.
    HalfClosed {
        /// Who.
        peer: PeerId,
    },
    /// A connection is gone, from whichever side. Not necessary after [`Output::Close`], but harmless.
    Closed {
        /// Which.
        peer: PeerId,
    },
    /// The answer to [`Output::Probe`].
    Probed {
        /// The host.
        host: HostId,
        /// Whether it took a connection and offered a version within 5 s.
        reachable: bool,
    },
    /// A better scheduler of this network has announced itself and answers.
    ElectionLost {
        /// Its address as text.
        address: Text,
        /// Its port.
        port: u16,
        /// Its version.
        version: Version,
    },
    /// The program is about to end: everybody is said good-bye.
    Shutdown,
}

/// What shall be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a message to a binary peer.
    Send {
        /// To whom.
        peer: PeerId,
        /// What.
        message: Message,
    },
    /// Send text to a text peer.
    SendText {
        /// To whom.
        peer: PeerId,
        /// Whole lines.
        text: String,
    },
    /// Close a connection once what was sent is written. The machine has forgotten the peer already.
    Close {
        /// Which.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// Try to connect and to read the 4 bytes of an offer within 5 s; answer with [`Input::Probed`], always.
    Probe {
        /// The host.
        host: HostId,
        /// Its address as text.
        address: Text,
        /// The port it takes jobs on.
        port: u16,
    },
    /// For the log.
    Note(Note),
}

/// Why the scheduler closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The first message opens no conversation.
    InvalidFirstMessage,
    /// A message this peer may not send.
    InvalidMessage,
    /// No login in time.
    NoLogin,
    /// A LOGIN with values that are out of bounds, or of a blocked host; a monitor too many.
    LoginRefused,
    /// The same host has logged in anew.
    Replaced,
    /// END.
    SaidEnd,
    /// No sign of life.
    Silent,
    /// `removecs` or `blockcs`.
    Removed,
    /// A better scheduler is there.
    ElectionLost,
    /// The scheduler ends.
    Shutdown,
    /// `quit`, or 36 s without a line.
    GoodBye,
}
