//! Inputs and outputs of the scheduler's state machine, and its configuration.

use super::{Note, Row};
use crate::ids::{HostId, PeerId};
use crate::level::Level;
use crate::message::Message;
use crate::text::Text;
use crate::time::Duration;
use crate::version::Version;
use std::fmt;

/// Configuration, a plain value; it does not change while the scheduler runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Version text after `200-ICECC ` in the text port's greeting, such as `1.4.0 (icecream-rs 0.1.0)`.
    pub version: String,
    /// Added to the uptime that is shown (`ICECC_FAKE_STARTTIME`).
    pub uptime_before: Duration,
    /// Seed of the random order of equal hosts: schedulers with the same seed and inputs decide alike.
    pub seed: u64,
    /// Least important level of notes that is wanted; less important ones are not created.
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
    /// A connection has completed its handshake.
    Opened {
        /// Its number, never used before.
        peer: PeerId,
        /// Its address as text, without port.
        address: Text,
        /// Version that the peer offered, unclamped: shown to monitors and compared with the minimum that jobs require.
        offer: Version,
        /// Version agreed on.
        version: Version,
    },
    /// A connection to the text port was accepted.
    TextOpened {
        /// Its number, never used before.
        peer: PeerId,
        /// Its address.
        address: Text,
        /// Whether its commands may change something.
        may_change: bool,
    },
    /// A binary peer sent a message.
    Message {
        /// Who.
        peer: PeerId,
        /// The number of the message on the wire as a character: 1.4 logs it so if the message is not allowed.
        kind: char,
        /// What.
        message: Message,
    },
    /// A text peer sent a line.
    Line {
        /// Who.
        peer: PeerId,
        /// The line, without its terminator.
        text: Text,
    },
    /// A text peer has shut down its writing side but still reads: it gets its remaining answers and the farewell.
    HalfClosed {
        /// Who.
        peer: PeerId,
    },
    /// A connection was closed by either side. Optional, but harmless, after [`Output::Close`].
    Closed {
        /// Which.
        peer: PeerId,
    },
    /// Result of [`Output::Probe`].
    Probed {
        /// The host.
        host: HostId,
        /// Whether it accepted a connection and offered a version in time.
        reachable: bool,
    },
    /// A scheduler with precedence has announced itself in this network and answers.
    ElectionLost {
        /// Its address as text.
        address: Text,
        /// Its port.
        port: u16,
        /// Its protocol version.
        version: Version,
    },
    /// The program is about to exit: all logged-in peers and text peers are closed.
    Shutdown,
}

/// An action for the shell.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a message to a binary peer.
    Send {
        /// To whom.
        peer: PeerId,
        /// What.
        message: Message,
    },
    /// Send text to a peer of the text port.
    SendText {
        /// To whom.
        peer: PeerId,
        /// Complete lines.
        text: String,
    },
    /// Send data to a peer of the text port: a part of a JSON array with a row a line.
    SendRows {
        /// To whom.
        peer: PeerId,
        /// What.
        rows: Vec<Row>,
        /// The array begins with them.
        is_first: bool,
        /// The array ends with them.
        is_last: bool,
    },
    /// Close a connection after everything sent to it has been written. The state machine has forgotten the peer
    /// already.
    Close {
        /// Which.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// Connect and read the 4 bytes of a version offer. [`Input::Probed`] must always follow.
    Probe {
        /// The host.
        host: HostId,
        /// Its address as text.
        address: Text,
        /// The port on which it accepts jobs.
        port: u16,
        /// How long both together may take.
        patience: Duration,
    },
    /// Write a line to the log.
    Note(Note),
}

/// Why the scheduler closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The first message was neither LOGIN nor MON_LOGIN.
    InvalidFirstMessage,
    /// A message that a daemon may not send to a scheduler.
    InvalidMessage,
    /// No LOGIN or MON_LOGIN in time ([`crate::limits::LOGIN`]).
    NoLogin,
    /// A LOGIN with values out of bounds or from a blocked host, or too many monitors.
    LoginRefused,
    /// The same host (name and address) has logged in on a new connection.
    Replaced,
    /// The host sent END.
    End,
    /// A host below protocol 27 did not answer PING in time.
    Silent,
    /// Removed by `removecs` or `blockcs`.
    Removed,
    /// Another scheduler has precedence.
    ElectionLost,
    /// The scheduler exits.
    Shutdown,
    /// A text peer sent `quit`, shut down its side, or was idle for 36 s.
    GoodBye,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidFirstMessage => "first message was no login",
            Self::InvalidMessage => "message that a daemon may not send",
            Self::NoLogin => "no login in time",
            Self::LoginRefused => "login refused",
            Self::Replaced => "same host logged in again",
            Self::End => "host left",
            Self::Silent => "no answer to ping",
            Self::Removed => "removed by command",
            Self::ElectionLost => "another scheduler has precedence",
            Self::Shutdown => "scheduler exits",
            Self::GoodBye => "good bye",
        })
    }
}
