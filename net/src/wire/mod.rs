//! Encoding and decoding of `Message`s, without any I/O (`net/PROTOCOL.md`).
//!
//! `messages` declares every message, `decode` decodes one body, `encode` encodes one frame, `frame` splits a byte
//! stream into bodies, `print` formats a message for people, `udp` handles the datagrams of discovery. This module does
//! not interpret messages: values are kept unchanged, and only violations of the layout are refused. Decoding never
//! allocates more than 16 times the size of its input.

mod declare;
/// The fields of a message by name.
pub mod fields;
/// Splitting a byte stream into frames.
pub mod frame;
mod irregular;
mod layouts;
/// The numbers and names of messages.
pub mod number;
/// Messages as text.
pub mod print;
mod reader;
mod types;
/// The datagrams of discovery.
pub mod udp;
mod writer;

use ice_core::limits::FRAME_MAX;
use ice_core::message::Message;
use ice_core::text::Text;
use ice_core::version::Version;
use thiserror::Error;

use number::Named;
use reader::Reader;
use writer::Writer;

/// Who decodes: two message numbers have another meaning for a monitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Any peer but a monitor.
    #[default]
    Peer,
    /// A monitor reading from its scheduler: 71 is MON_GET_CS and 77 is MON_JOB_DONE, as the scheduler of 44 sends
    /// them.
    Monitor,
}

/// Why a body is not a valid message. The connection must be closed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{} at byte {at}: {what}", Named(*.number))]
pub struct DecodeError {
    /// The message's number; 0 if it is missing.
    pub number: u32,
    /// Offset of the wrong field in the body.
    pub at: usize,
    /// What is wrong with the field.
    pub what: Malformed,
}

/// What is wrong with a body.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// A field extends beyond the end of the body.
    #[error("{needed} bytes needed, {left} are left")]
    Missing {
        /// Number of bytes that the field needs.
        needed: usize,
        /// Number of bytes left.
        left: usize,
    },
    /// Bytes are left after the last field.
    #[error("{0} bytes left over")]
    LeftOver(usize),
    /// The number is unknown or never sent.
    #[error("unknown message number")]
    UnknownNumber,
    /// A string does not end with NUL.
    #[error("string does not end with NUL")]
    NoNul,
    /// A string has a NUL before its end.
    #[error("string with a NUL inside")]
    InnerNul,
    /// A string has length 0, an error only for [`decode_strictly`].
    #[error("string of length 0, not even a NUL")]
    NoBytes,
    /// A list cannot fit into the rest of the body.
    #[error("a list of {count} needs at least {needed} bytes, {left} are left")]
    Count {
        /// The announced number of elements.
        count: u32,
        /// The minimum number of bytes for them.
        needed: u64,
        /// Number of bytes left.
        left: usize,
    },
    /// A chunk announces more plain data than allowed.
    #[error("chunk of {0} plain bytes")]
    ChunkTooLong(u32),
    /// A chunk announces data and has none.
    #[error("chunk of {0} plain bytes without data")]
    ChunkWithoutData(u32),
    /// The compression is unknown.
    #[error("unknown compression {0}")]
    UnknownCodec(u32),
}

/// Why a message cannot be encoded. Nothing was appended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EncodeError {
    /// The body would be longer than a frame may be.
    #[error("{} of over {FRAME_MAX} bytes", Named(*.number))]
    TooLong {
        /// The message's number.
        number: u32,
    },
    /// A string contains NUL.
    #[error("{} with a NUL inside the string {text:?}", Named(*.number))]
    Nul {
        /// The message's number.
        number: u32,
        /// The string.
        text: Text,
    },
    /// A chunk is compressed with zstd, but the peer's version is below 40.
    #[error("zstd data for a peer of protocol {0}")]
    NoZstd(Version),
}

/// Appends the complete frame of `message`, with its length, to `out`. On error `out` is unchanged.
///
/// # Errors
/// If the message does not fit into a frame or cannot be expressed in version `v`.
pub fn encode(message: &Message, v: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let number = number::of(message);
    let mut w = Writer::begin(out, number);
    layouts::emit(message, &mut w, v);
    w.finish()
}

/// Decodes the body of one frame, without its length. A string of length 0 counts as empty (decision: empty-strings).
///
/// # Errors
/// If the bytes are not exactly one message of version `v`.
pub fn decode(body: &[u8], v: Version, reading: Reading) -> Result<Message, DecodeError> {
    decode_with(Reader::new(body, false), v, reading)
}

/// As [`decode`], but a string of length 0 is an error, so that an accepted message can be encoded to the same bytes
/// again.
///
/// # Errors
/// If the bytes are not exactly one message of version `v`.
pub fn decode_strictly(body: &[u8], v: Version, reading: Reading) -> Result<Message, DecodeError> {
    decode_with(Reader::new(body, true), v, reading)
}

/// Decodes the body that `r` reads.
fn decode_with(mut r: Reader<'_>, v: Version, reading: Reading) -> Result<Message, DecodeError> {
    let number = r.u32().map_err(|what| DecodeError { number: 0, at: 0, what })?;
    let meant = match (reading, number) {
        (Reading::Monitor, layouts::GET_CS) => layouts::MON_GET_CS,
        (Reading::Monitor, layouts::JOB_DONE) => layouts::MON_JOB_DONE,
        _ => number,
    };
    let message = layouts::parse(meant, &mut r, v).and_then(|message| r.finish().map(|()| message));
    message.map_err(|what| DecodeError { number, at: r.at(), what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ice_core::codec::Codec;
    use ice_core::ids::{HostId, JobId};
    use ice_core::message::{ArgSide, Chunk, CompileFile, GetCs, JobDone, Login, MonGetCs, done_flags};

    const NEW: Version = Version::TO_CLIENT;

    fn body(message: &Message, v: Version) -> Vec<u8> {
        let mut frame = Vec::new();
        encode(message, v, &mut frame).unwrap();
        frame.drain(..4);
        frame
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    }

    fn what(body: &[u8]) -> Malformed {
        decode(body, NEW, Reading::Peer).unwrap_err().what
    }

    fn all_versions() -> impl Iterator<Item = Version> {
        (21..=44).map(Version::new)
    }

    #[test]
    fn every_message_comes_back_at_every_version() {
        for number in (0..120).chain(1000..1010) {
            for v in all_versions() {
                // Zeros are valid numbers, empty lists and empty strings, except for chunks with codec 0.
                for len in (4..200).step_by(4) {
                    let bytes = words(&[&[number][..], &vec![0; len / 4 - 1]].concat());
                    let Ok(message) = decode(&bytes, v, Reading::Peer) else { continue };
                    assert_eq!(decode_strictly(&body(&message, v), v, Reading::Peer), Ok(message), "{v}");
                }
            }
        }
    }

    #[test]
    fn a_version_says_which_fields_there_are() {
        let login = Message::Login(Login { no_remote: 1, features: 3, ..Login::default() });
        let at = |n: u32| match decode(&body(&login, Version::new(n)), Version::new(n), Reading::Peer) {
            Ok(Message::Login(login)) => (login.no_remote, login.features),
            other => panic!("{other:?}"),
        };
        assert_eq!([at(21), at(25), at(26), at(41), at(42), at(44)], [(0, 0), (0, 0), (1, 0), (1, 0), (1, 3), (1, 3)]);
        assert!(decode(&body(&login, Version::new(41)), Version::new(42), Reading::Peer).is_err());
        assert!(decode(&body(&login, Version::new(42)), Version::new(41), Reading::Peer).is_err());
    }

    #[test]
    fn arguments_are_split_below_41_and_keep_their_order_from_then_on() {
        let arguments =
            [(ArgSide::Rest, "-g"), (ArgSide::Remote, "-c"), (ArgSide::Rest, "-O2"), (ArgSide::Remote, "-v")];
        let arguments: Vec<_> = arguments.map(|(side, text)| (side, Text::from(text))).into();
        let message = Message::CompileFile(CompileFile { arguments, ..CompileFile::default() });
        let read = |n: u32| match decode(&body(&message, Version::new(n)), Version::new(n), Reading::Peer) {
            Ok(Message::CompileFile(m)) => {
                m.arguments.iter().map(|(side, t)| format!("{side:?} {t}")).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(read(40), ["Remote -c", "Remote -v", "Rest -g", "Rest -O2"]);
        assert_eq!(read(41), ["Rest -g", "Rest -c", "Rest -O2", "Rest -v"]);
    }

    #[test]
    fn below_39_an_unknown_job_is_an_exit_code() {
        let done = JobDone { job: 7, exit_code: 118, flags: 3, ..JobDone::default() };
        for v in all_versions() {
            let bytes = body(&Message::JobDone(done), v);
            let Ok(Message::JobDone(read)) = decode(&bytes, v, Reading::Peer) else { panic!("{v}") };
            assert_eq!(read.exit_code, if v.number() < 39 { 200 } else { 118 }, "{v}");
            assert_ne!(read.flags & done_flags::UNKNOWN_JOB, 0);
            // The flag exists since 39; below, the same bytes without the exit code do not mean it.
            let known = JobDone { exit_code: 0, flags: 1, ..done };
            let Ok(Message::JobDone(read)) = decode(&body(&Message::JobDone(known), v), v, Reading::Peer) else {
                panic!("{v}")
            };
            assert_eq!(read, known);
        }
    }

    #[test]
    fn a_monitor_below_29_gets_a_whole_request() {
        let short = MonGetCs { file: "a.c".into(), language: 1, job: JobId(3), host: HostId(4), request: None };
        let bytes = body(&Message::MonGetCs(short.clone()), Version::new(28));
        let Ok(Message::MonGetCs(long)) = decode(&bytes, Version::new(28), Reading::Monitor) else { panic!() };
        let request = GetCs { file: "a.c".into(), language: 1, count: 1, ..GetCs::default() };
        assert_eq!(long, MonGetCs { request: Some(Box::new(request)), ..short.clone() });
        // What was decoded in an old version can be encoded for a newer monitor.
        assert_eq!(body(&Message::MonGetCs(long), NEW), body(&Message::MonGetCs(short), NEW));
    }

    #[test]
    fn a_monitor_reads_the_numbers_of_44_as_its_own() {
        let get_cs = [words(&[71, 4]), b"a.c\0".to_vec(), words(&[0, 1, 2])].concat();
        assert!(matches!(decode(&get_cs, NEW, Reading::Monitor), Ok(Message::MonGetCs(_))));
        assert!(decode(&get_cs, NEW, Reading::Peer).is_err());
        let done = words(&[77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(decode(&done, NEW, Reading::Monitor), Ok(Message::MonJobDone(_))));
        assert!(matches!(decode(&done, NEW, Reading::Peer), Ok(Message::JobDone(_))));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(what(&[]), Malformed::Missing { needed: 4, left: 0 });
        assert_eq!(what(&words(&[66, 0])), Malformed::LeftOver(4));
        for unsent in [0, 64, 65, 68, 89, 97, 999] {
            assert_eq!(what(&words(&[unsent])), Malformed::UnknownNumber, "{unsent}");
        }
        assert_eq!(what(&words(&[94])), Malformed::Missing { needed: 4, left: 0 });
        assert_eq!(what(&words(&[70, 5, 0])), Malformed::Missing { needed: 5, left: 4 });
        assert_eq!(what(&[&words(&[70, 2])[..], b"ab"].concat()), Malformed::NoNul);
        assert_eq!(what(&[&words(&[70, 3])[..], b"a\0\0"].concat()), Malformed::InnerNul);
        assert_eq!(what(&words(&[70, u32::MAX])), Malformed::Missing { needed: u32::MAX as usize, left: 0 });
        let count = Malformed::Count { count: u32::MAX, needed: 8 * u64::from(u32::MAX), left: 0 };
        assert_eq!(what(&words(&[71, u32::MAX])), count);
        assert_eq!(what(&words(&[74, (1 << 20) + 1, 1, 1])), Malformed::ChunkTooLong((1 << 20) + 1));
        assert_eq!(what(&words(&[74, 1, 0, 1])), Malformed::ChunkWithoutData(1));
        assert_eq!(what(&words(&[74, 0, 0, 2])), Malformed::UnknownCodec(2));
        assert!(decode(&words(&[74, 0, 0, 1]), NEW, Reading::Peer).is_ok());
    }

    #[test]
    fn the_log_has_the_letters_of_1_4() {
        for (message, letter) in [(Message::Ping, 'B'), (Message::MonLogin, 'R'), (Message::GetInternals, '[')] {
            assert_eq!(number::letter(&message), letter);
        }
    }

    #[test]
    fn an_error_says_where() {
        let error = decode(&words(&[75, 0, 0, 1]), NEW, Reading::Peer).unwrap_err();
        assert_eq!(error.to_string(), "COMPILE_RESULT at byte 16: 4 bytes needed, 0 are left");
        let error = decode(&words(&[75, 0, 9]), NEW, Reading::Peer).unwrap_err();
        assert_eq!(error.to_string(), "COMPILE_RESULT at byte 8: 9 bytes needed, 0 are left");
        assert_eq!(
            decode(&words(&[4711]), NEW, Reading::Peer).unwrap_err().to_string(),
            "message 4711 at byte 4: unknown message number"
        );
    }

    #[test]
    fn only_the_strict_mind_a_string_of_no_bytes() {
        let bytes = words(&[70, 0]);
        assert_eq!(decode(&bytes, NEW, Reading::Peer), Ok(Message::NativeEnv { path: Text::new() }));
        let error = decode_strictly(&bytes, NEW, Reading::Peer).unwrap_err();
        assert_eq!(error, DecodeError { number: 70, at: 4, what: Malformed::NoBytes });
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let mut out = b"before".to_vec();
        let chunk = Chunk { plain_len: 1, codec: Codec::Zstd, data: vec![1] };
        for (message, v) in [
            (Message::StatusText { text: "a\0b".into() }, NEW),
            (Message::StatusText { text: vec![b'x'; FRAME_MAX].into() }, NEW),
            (Message::FileChunk(Chunk { data: vec![1; FRAME_MAX], ..chunk.clone() }), NEW),
            (Message::FileChunk(chunk.clone()), Version::new(39)),
        ] {
            assert!(encode(&message, v, &mut out).is_err());
            assert_eq!(out, b"before");
        }
        encode(&Message::FileChunk(chunk), Version::new(40), &mut out).unwrap();
        encode(&Message::StatusText { text: vec![b'x'; FRAME_MAX - 9].into() }, NEW, &mut out).unwrap();
    }
}
