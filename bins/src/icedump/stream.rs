//! Parses the bytes that one side of a connection sent into handshake and messages. Prints nothing.

use std::fmt;
use std::io::{self, Read};

use ice_core::message::Message;
use ice_core::version::Version;
use ice_net::wire::frame::Frames;
use ice_net::wire::{self, EncodeError, Reading};
use thiserror::Error;

/// Offset of the first message: after offer and confirmation.
const HANDSHAKE_LEN: usize = 8;

/// The side that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The connecting side.
    A,
    /// The accepting side.
    B,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

/// The versions at the start of a connection; `None` if missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    /// Version that side A offered.
    pub(super) a_offer: Option<u32>,
    /// Version that side B offered.
    pub(super) b_offer: Option<u32>,
    /// Version that side A confirmed.
    pub(super) a_confirm: Option<u32>,
    /// Version that side B confirmed.
    pub(super) b_confirm: Option<u32>,
    /// The version that both sides confirmed, if it follows from their offers.
    pub(super) protocol: Option<Version>,
}

impl Handshake {
    /// Parses the handshake from all bytes of both sides.
    pub(super) fn read(a: &[u8], b: &[u8]) -> Self {
        let word = |bytes: &[u8], at: usize| bytes.get(at..)?.first_chunk().map(|w| u32::from_le_bytes(*w));
        let (a_offer, b_offer) = (word(a, 0), word(b, 0));
        let (a_confirm, b_confirm) = (word(a, 4), word(b, 4));
        let protocol = a_offer.zip(b_offer).and_then(|(a, b)| {
            let (a, b) = (Version::new(a), Version::new(b));
            Version::agree(a, b).filter(|v| Version::agree(b, a) == Some(*v))
        });
        let confirmed = |v: &Version| a_confirm == Some(v.number()) && b_confirm == Some(v.number());
        Self { a_offer, b_offer, a_confirm, b_confirm, protocol: protocol.filter(confirmed) }
    }

    /// The handshake bytes of one side, as it sent them.
    pub(super) fn words(&self, side: Side) -> impl Iterator<Item = u8> + use<> {
        let words = match side {
            Side::A => [self.a_offer, self.a_confirm],
            Side::B => [self.b_offer, self.b_confirm],
        };
        words.into_iter().flatten().flat_map(u32::to_le_bytes)
    }
}

/// A recorded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The side that sent it.
    pub(super) side: Side,
    /// Offset of the frame in the bytes of its side.
    pub(super) offset: u64,
    /// Length of the frame in bytes, including the length field.
    pub(super) length: usize,
    /// The message number in the frame, which may differ from that of `message`.
    pub(super) number: u32,
    /// The message.
    pub(super) message: Message,
}

impl Record {
    /// Appends its frame, encoded from the values.
    pub(super) fn encode(&self, v: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        wire::encode(&self.message, v, out)?;
        if let Some(number) = out.get_mut(start + 4..start + 8) {
            number.copy_from_slice(&self.number.to_be_bytes());
        }
        Ok(())
    }
}

/// Why a side cannot be read any further.
#[derive(Debug, Error)]
pub(super) enum StreamError {
    /// The bytes do not follow the protocol.
    #[error("{what}")]
    Broken {
        /// Offset of the invalid frame or field.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The input cannot be read.
    #[error("cannot read the stream: {0}")]
    Io(#[from] io::Error),
}

/// Iterator over the messages of one side, in order; ends after the first error.
pub(super) struct Records<R> {
    input: R,
    side: Side,
    version: Version,
    reading: Reading,
    frames: Frames,
    offset: u64,
    done: bool,
}

impl<R: Read> Records<R> {
    /// Messages from the first byte of `input` on.
    pub(super) fn new(input: R, side: Side, version: Version, reading: Reading) -> Self {
        Self { input, side, version, reading, frames: Frames::new(), offset: 0, done: false }
    }

    fn next_record(&mut self) -> Result<Option<Record>, StreamError> {
        let broken = |offset: u64, what: String| StreamError::Broken { offset, what };
        loop {
            let offset = self.offset;
            if let Some(body) = self.frames.take().map_err(|e| broken(offset, e.to_string()))? {
                let message = wire::decode_strictly(body, self.version, self.reading)
                    .map_err(|e| broken(offset, e.to_string()))?;
                let number = body.first_chunk().map_or(0, |word| u32::from_be_bytes(*word));
                let length = body.len() + 4;
                self.offset += length as u64;
                return Ok(Some(Record { side: self.side, offset, length, number, message }));
            }
            let n = self.input.read(self.frames.space())?;
            self.frames.filled(n);
            match (n, self.frames.pending()) {
                (0, 0) => return Ok(None),
                (0, left) => {
                    return Err(broken(offset, format!("ends within a frame, of which {left} bytes are there")));
                }
                _ => {}
            }
        }
    }
}

impl<R: Read> Iterator for Records<R> {
    type Item = Result<Record, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_record().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// The messages after the handshake, from all bytes of one side.
pub(super) fn behind_handshake(
    bytes: &[u8],
    side: Side,
    protocol: Option<Version>,
    reading: Reading,
) -> Result<Records<&[u8]>, StreamError> {
    let broken = |offset: usize, what: String| StreamError::Broken { offset: offset as u64, what };
    if bytes.len() < HANDSHAKE_LEN && bytes.len() % 4 != 0 {
        return Err(broken(bytes.len() / 4 * 4, "ends within a word of the handshake".into()));
    }
    let messages = bytes.get(HANDSHAKE_LEN..).unwrap_or_default();
    let version = match protocol {
        Some(v) if is_known(v) => v,
        _ if messages.is_empty() => Version::LOWEST,
        Some(v) => return Err(broken(HANDSHAKE_LEN, format!("protocol {v} is not known"))),
        None => return Err(broken(HANDSHAKE_LEN, "no protocol was agreed on".into())),
    };
    Ok(Records { offset: HANDSHAKE_LEN as u64, ..Records::new(messages, side, version, reading) })
}

/// Whether we know the encoding of version `v`.
pub(super) fn is_known(v: Version) -> bool {
    (Version::LOWEST..=Version::TO_CLIENT).contains(&v)
}
