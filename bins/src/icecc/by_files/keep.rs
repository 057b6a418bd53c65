//! What this user's daemon keeps for its clients: the name of the user's trees, and records.

use super::super::task::Task;
use super::record::Record;
use super::stamp::Stamp;
use ice_core::cmdline::{RemoteJob, paths};
use ice_core::files::Token;
use ice_core::limits;
use ice_core::message::{Keep, Message, keep};
use ice_core::text::Text;
use ice_net::compress::{Packer, Unpacker};
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::error::ConnError;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// How long the daemon may take for what it keeps: it reads a small file.
const ANSWER: Duration = Duration::from_secs(5);
/// Bytes of a record.
const RECORD_MAX: usize = 32 << 20;

/// The names of a job's records.
#[derive(Debug)]
pub(super) struct Keys {
    /// The same command.
    pub(super) unit: String,
    /// The same but for input and output.
    pub(super) near: String,
    /// The same compiler and language.
    pub(super) compiler: String,
}

impl Keys {
    /// `None`: the compiler cannot be looked at.
    pub(super) fn of(task: &Task, job: &RemoteJob, environment: &[Vec<u8>], umask: u32) -> Option<Self> {
        let mut compiler = vec![b"compiler".to_vec(), task.program.as_os_str().as_bytes().to_vec()];
        let mut stamp = Vec::new();
        Stamp::of(&fs::metadata(&task.program).ok()?).encode(&mut stamp);
        compiler.extend([stamp, job.language.option().as_bytes().to_vec()]);
        let words = || task.words.iter().map(|word| word.as_bytes().to_vec());
        let circumstances = || {
            let folder = task.folder.as_os_str().as_bytes().to_vec();
            environment.iter().cloned().chain([folder, umask.to_le_bytes().to_vec()])
        };
        let output = paths::without_suffix(&job.output);
        let names: Vec<&[u8]> = job.dependency_files.iter().map(Vec::as_slice).chain([&*job.input, output]).collect();
        let names_file = |word: &Vec<u8>| names.iter().any(|name| !name.is_empty() && contains(word, name));
        let unit = compiler.iter().cloned().chain([b"unit".to_vec()]).chain(words()).chain(circumstances());
        let near = words().filter(|word| !names_file(word));
        let near = compiler.iter().cloned().chain([b"near".to_vec()]).chain(near).chain(circumstances());
        Some(Self { unit: key(unit), near: key(near), compiler: key(compiler.iter().cloned()) })
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A name of all these words.
fn key(words: impl Iterator<Item = Vec<u8>>) -> String {
    let mut all = Vec::new();
    for word in words {
        all.extend_from_slice(&(word.len() as u64).to_le_bytes());
        all.extend_from_slice(&word);
    }
    // Reading from memory cannot fail.
    ice_toolchain::digest::of_content(all.as_slice()).unwrap_or_default()
}

/// What a daemon had for a job.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) token: Token,
    pub(super) unit: Option<Record>,
    pub(super) near: Option<Record>,
    pub(super) compiler: Option<Record>,
}

/// Asks the daemon for all of it. `None`: it keeps nothing for us.
pub(super) fn get(daemon: &mut Conn, keys: &Keys) -> Result<Option<Kept>, ConnError> {
    let [token, unit] = ask(daemon, [(keep::TOKEN, ""), (keep::RECORD, &keys.unit)])?;
    let Ok(token) = <[u8; 32]>::try_from(token.as_slice()).map(Token) else { return Ok(None) };
    let mut kept = Kept { token, unit: Record::decode(&unit), near: None, compiler: None };
    if kept.unit.is_none() {
        let [near, compiler] = ask(daemon, [(keep::RECORD, &keys.near), (keep::RECORD, &keys.compiler)])?;
        (kept.near, kept.compiler) = (Record::decode(&near), Record::decode(&compiler));
    }
    Ok(Some(kept))
}

/// The user's statistics, as text.
pub(in super::super) fn ask_statistics(daemon: &mut Conn) -> Result<Vec<u8>, ConnError> {
    let question = Message::KeepGet(Keep { kind: keep::STATISTICS, key: Text::new() });
    daemon.send(&question, Deadline::after(Step::Send, limits::SEND))?;
    receive(daemon)
}

/// What is kept by these kinds and names; empty if nothing is.
fn ask(daemon: &mut Conn, wanted: [(u32, &str); 2]) -> Result<[Vec<u8>; 2], ConnError> {
    let questions = wanted.map(|(kind, key)| Message::KeepGet(Keep { kind, key: key.into() }));
    daemon.send_all(&questions, Deadline::after(Step::Send, limits::SEND))?;
    Ok([receive(daemon)?, receive(daemon)?])
}

/// Reads one stream.
fn receive(daemon: &mut Conn) -> Result<Vec<u8>, ConnError> {
    let deadline = Deadline::after(Step::Chunk, ANSWER);
    let (mut unpacker, mut plain) = (Unpacker::new(), Vec::new());
    loop {
        match daemon.recv(deadline)? {
            // What cannot be read is as good as nothing.
            Message::FileChunk(chunk) if plain.len() < RECORD_MAX && unpacker.unpack(&chunk, &mut plain).is_ok() => {}
            Message::End => return Ok(plain),
            _ => plain.clear(),
        }
    }
}

/// Hands a record over; the daemon does not answer.
pub(super) fn put(daemon: &mut Conn, key: &str, record: &Record) {
    let bytes = record.encode();
    if bytes.len() > RECORD_MAX {
        return;
    }
    let mut packer = Packer::new(ice_net::compress::LEVEL_DEFAULT);
    let mut messages = vec![Message::KeepPut(Keep { kind: keep::RECORD, key: key.into() })];
    for piece in bytes.chunks(limits::CHUNK_PLAIN) {
        match packer.pack(piece, daemon.version()) {
            Ok(chunk) => messages.push(Message::FileChunk(chunk)),
            Err(err) => return log::warn!("cannot pack a record: {}", crate::exit::chain(&err)),
        }
    }
    messages.push(Message::End);
    if let Err(err) = daemon.send_all(&messages, Deadline::after(Step::Send, limits::SEND)) {
        log::debug!("the daemon does not take a record: {}", crate::exit::chain(&err));
    }
}
