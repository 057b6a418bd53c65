//! Bytes ↔ [`Message`], without any I/O (`spec/wire.md` 3 to 5).
//!
//! [`frame`] cuts a byte stream into bodies, [`decode`] reads one body, [`encode`] writes one whole frame, [`print`] shows a
//! message to people, [`udp`] does the datagrams of discovery. Nothing here knows what a message is for: values are kept as
//! they came, and only what breaks the layout is refused. A reader never allocates more than
//! [`DECODE_GROWTH`] times what has arrived.

mod env;
pub mod fields;
mod file;
pub mod frame;
mod job;
mod login;
mod monitor;
pub mod number;
pub mod print;
mod reader;
mod stats;
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

/// Decoding a body allocates at most this many times its length (and a few hundred bytes). It is that much because a list of
/// empty strings takes four bytes each on the wire.
pub const DECODE_GROWTH: usize = 16;

/// Who reads: two numbers mean something else to a monitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Any peer but a monitor.
    #[default]
    Peer,
    /// A monitor listening to its scheduler: 71 is MON_GET_CS and 77 is MON_JOB_DONE, as the scheduler of 44 sends them.
    Monitor,
}

/// Why a body is no message. The connection is to be dropped.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{} at byte {at}: {what}", Named(*.number))]
pub struct DecodeError {
    /// The message's number; 0 if not even that could be read.
    pub number: u32,
    /// Offset in the body of the field that is wrong.
    pub at: usize,
    /// What is wrong with it.
    pub what: Malformed,
}

/// What can be wrong with a body.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// A field goes beyond the end.
    #[error("{needed} bytes needed, {left} are left")]
    Missing {
        /// Bytes the field needs.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// The fields don't fill the body.
    #[error("{0} bytes left over")]
    LeftOver(usize),
    /// No message has that number, or it is never sent.
    #[error("unknown message number")]
    UnknownNumber,
    /// A string without the NUL that ends it.
    #[error("string does not end with NUL")]
    NoNul,
    /// A string with a NUL before its end.
    #[error("string with a NUL inside")]
    InnerNul,
    /// A string of length word 0, which only [`decode_strictly`] minds.
    #[error("string of length 0, not even a NUL")]
    NoBytes,
    /// A list that cannot fit into what is left.
    #[error("a list of {count} needs at least {needed} bytes, {left} are left")]
    Count {
        /// Announced number of elements.
        count: u32,
        /// The least they could take.
        needed: u64,
        /// Bytes that are there.
        left: usize,
    },
    /// A chunk that announces more plain data than a chunk may have.
    #[error("chunk of {0} plain bytes")]
    ChunkTooLong(u32),
    /// A chunk that announces data and has none.
    #[error("chunk of {0} plain bytes without data")]
    ChunkWithoutData(u32),
    /// A compression that doesn't exist.
    #[error("unknown compression {0}")]
    UnknownCodec(u32),
}

/// Why a message cannot be written. Nothing was appended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EncodeError {
    /// The body would be longer than a frame may be.
    #[error("{} of over {FRAME_MAX} bytes", Named(*.number))]
    TooLong {
        /// The message's number.
        number: u32,
    },
    /// NUL cannot stand in a string; see [`Text::without_nul`].
    #[error("{} with a NUL inside the string {text:?}", Named(*.number))]
    Nul {
        /// The message's number.
        number: u32,
        /// The string.
        text: Text,
    },
    /// A chunk packed with zstd for a peer below 40.
    #[error("zstd data for a peer of protocol {0}")]
    NoZstd(Version),
}

/// Appends the whole frame of `message` to `out`, length word included. On error `out` is as before.
///
/// # Errors
/// If the message does not fit into a frame or cannot be said at version `v`.
pub fn encode(message: &Message, v: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let number = number::of(message);
    let mut w = Writer::begin(out, number);
    emit(message, &mut w, v);
    w.finish()
}

/// Reads the body of one frame, without its length word. A string of length word 0 counts as empty (decisions.md 5).
///
/// # Errors
/// If the bytes are not exactly one message of version `v`.
pub fn decode(body: &[u8], v: Version, reading: Reading) -> Result<Message, DecodeError> {
    decode_with(Reader::new(body, false), v, reading)
}

/// As [`decode`], but minds strings of length word 0, so that what it accepts can be written again byte by byte.
///
/// # Errors
/// If the bytes are not exactly one message of version `v`.
pub fn decode_strictly(body: &[u8], v: Version, reading: Reading) -> Result<Message, DecodeError> {
    decode_with(Reader::new(body, true), v, reading)
}

fn decode_with(mut r: Reader<'_>, v: Version, reading: Reading) -> Result<Message, DecodeError> {
    let number = r.u32().map_err(|what| DecodeError { number: 0, at: 0, what })?;
    parse(number, &mut r, v, reading).and_then(|message| r.finish().map(|()| message)).map_err(|what| DecodeError {
        number,
        at: r.at(),
        what,
    })
}

fn parse(number: u32, r: &mut Reader<'_>, v: Version, reading: Reading) -> Result<Message, Malformed> {
    Ok(match (number, reading) {
        (number::PING, _) => Message::Ping,
        (number::END, _) => Message::End,
        (number::GET_NATIVE_ENV, _) => Message::GetNativeEnv(env::parse_get_native(r, v)?),
        (number::NATIVE_ENV, _) => Message::NativeEnv { path: r.text()? },
        (number::GET_CS, Reading::Peer) => Message::GetCs(job::parse_get_cs(r, v)?),
        (number::USE_CS, _) => Message::UseCs(job::parse_use_cs(r, v)?),
        (number::COMPILE_FILE, _) => Message::CompileFile(job::parse_compile_file(r, v)?),
        (number::FILE_CHUNK, _) => Message::FileChunk(file::parse_chunk(r, v)?),
        (number::COMPILE_RESULT, _) => Message::CompileResult(job::parse_compile_result(r, v)?),
        (number::JOB_BEGIN, _) => Message::JobBegin(job::parse_begin(r, v)?),
        (number::JOB_DONE, Reading::Peer) => Message::JobDone(job::parse_done(r, v)?),
        (number::JOB_LOCAL_BEGIN, _) => Message::JobLocalBegin(job::parse_local_begin(r, v)?),
        (number::JOB_LOCAL_DONE, _) => Message::JobLocalDone { id: r.u32()? },
        (number::LOGIN, _) => Message::Login(login::parse_login(r, v)?),
        (number::STATS, _) => Message::Stats(stats::parse_stats(r)?),
        (number::MON_LOGIN, _) => Message::MonLogin,
        (number::MON_GET_CS, _) | (number::GET_CS, Reading::Monitor) => Message::MonGetCs(monitor::parse_get_cs(r, v)?),
        (number::MON_JOB_BEGIN, _) => Message::MonJobBegin(monitor::parse_begin(r)?),
        (number::MON_JOB_DONE, _) | (number::JOB_DONE, Reading::Monitor) => {
            Message::MonJobDone(job::parse_done_fields(r, v)?)
        }
        (number::MON_LOCAL_JOB_BEGIN, _) => Message::MonLocalJobBegin(monitor::parse_local_begin(r)?),
        (number::MON_STATS, _) => Message::MonStats(monitor::parse_stats(r)?),
        (number::TRANSFER_ENV, _) => Message::TransferEnv(env::parse_target(r)?),
        (number::STATUS_TEXT, _) => Message::StatusText { text: r.text()? },
        (number::GET_INTERNALS, _) => Message::GetInternals,
        (number::CS_CONF, _) => Message::CsConf(login::parse_conf(r)?),
        (number::VERIFY_ENV, _) => Message::VerifyEnv(env::parse_target(r)?),
        (number::VERIFY_ENV_RESULT, _) => Message::VerifyEnvResult { ok: r.u32()? },
        (number::BLACKLIST_HOST_ENV, _) => Message::BlacklistHostEnv(env::parse_blacklist(r)?),
        (number::NO_CS, _) => job::parse_no_cs(r)?,
        _ => return Err(Malformed::UnknownNumber),
    })
}

fn emit(message: &Message, w: &mut Writer<'_>, v: Version) {
    match message {
        Message::Ping | Message::End | Message::MonLogin | Message::GetInternals => {}
        Message::GetNativeEnv(m) => env::emit_get_native(m, w, v),
        Message::NativeEnv { path } => w.text(path),
        Message::GetCs(m) => job::emit_get_cs(m, w, v),
        Message::UseCs(m) => job::emit_use_cs(m, w, v),
        Message::NoCs { job, client } => {
            w.u32(job.0);
            w.u32(client.0);
        }
        Message::CompileFile(m) => job::emit_compile_file(m, w, v),
        Message::FileChunk(m) => file::emit_chunk(m, w, v),
        Message::CompileResult(m) => job::emit_compile_result(m, w, v),
        Message::JobBegin(m) => job::emit_begin(m, w, v),
        Message::JobDone(m) => job::emit_done(m, w, v),
        Message::MonJobDone(m) => job::emit_done_fields(m, w, v),
        Message::JobLocalBegin(m) => job::emit_local_begin(m, w, v),
        Message::JobLocalDone { id } => w.u32(*id),
        Message::Login(m) => login::emit_login(m, w, v),
        Message::Stats(m) => stats::emit_stats(m, w),
        Message::MonGetCs(m) => monitor::emit_get_cs(m, w, v),
        Message::MonJobBegin(m) => monitor::emit_begin(m, w),
        Message::MonLocalJobBegin(m) => monitor::emit_local_begin(m, w),
        Message::MonStats(m) => monitor::emit_stats(m, w),
        Message::TransferEnv(m) | Message::VerifyEnv(m) => env::emit_target(m, w),
        Message::StatusText { text } => w.text(text),
        Message::CsConf(m) => login::emit_conf(m, w),
        Message::VerifyEnvResult { ok } => w.u32(*ok),
        Message::BlacklistHostEnv(m) => env::emit_blacklist(m, w),
    }
}
