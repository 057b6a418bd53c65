//! KEEP_GET and KEEP_PUT: what clients of this host that know the extension have kept for their users.
//!
//! A record is kept as the frames in which it came, and given back in them: nothing is packed or unpacked here.

use std::time::Duration;

use ice_core::files::Digest;
use ice_core::limits;
use ice_core::message::{Keep, Message, keep};
use ice_core::version::Version;
use ice_net::compress::Packer;
use ice_net::deadline::{Deadline, Step};
use ice_net::hub::Verdict;
use ice_net::wire::frame::Frames;
use ice_net::wire::{self, Reading};
use ice_toolchain::kept;
use log::debug;

use super::shared::{Client, Shared};

/// How long the client may take for each piece.
const CHUNK: Duration = Duration::from_secs(60);
/// Longest stream that is read to its end, though it is not kept.
const STREAM_MAX: usize = 16 * kept::RECORD_MAX;
/// The version in which frames are kept.
const KEPT_AS: Version = Version::TO_CLIENT;

/// KEEP_GET: answers with what is kept.
pub fn get(shared: &Shared, uid: u32, wanted: &Keep, client: &mut Client) -> Verdict {
    if wanted.kind == keep::STATISTICS && wanted.key.is_empty() {
        return give(client, stream(shared, &shared.noted.shown(uid, &shared.disk)));
    }
    let found = match key(wanted) {
        Some(None) => token(shared, uid),
        Some(Some(key)) => record(shared, uid, &key),
        None => return Verdict::Close("it asked for what cannot be kept".to_owned()),
    };
    give(client, found)
}

/// Answers with these chunks, and the end of the stream.
fn give(client: &mut Client, found: Option<Vec<Message>>) -> Verdict {
    let mut answer = found.unwrap_or_default();
    answer.push(Message::End);
    match client.send_all(&answer, Deadline::after(Step::Send, limits::SEND)) {
        Ok(()) => Verdict::Handled,
        Err(e) => Verdict::Close(e.to_string()),
    }
}

/// KEEP_PUT: reads the stream, and has it kept.
pub fn put(shared: &Shared, uid: u32, wanted: &Keep, client: &mut Client) -> Verdict {
    let Some(Some(key)) = key(wanted) else {
        return Verdict::Close("it brought what cannot be kept".to_owned());
    };
    let (mut frames, mut read) = (Vec::new(), 0);
    loop {
        match client.recv(Deadline::after(Step::Message, CHUNK)) {
            Ok(Message::FileChunk(chunk)) => {
                read += chunk.data.len();
                if read <= kept::RECORD_MAX && wire::encode(&Message::FileChunk(chunk), KEPT_AS, &mut frames).is_err() {
                    return Verdict::Close("a chunk cannot be kept".to_owned());
                }
            }
            Ok(Message::End) => break,
            Ok(_) => return Verdict::Close("a record breaks off".to_owned()),
            Err(e) => return Verdict::Close(e.to_string()),
        }
        if read > STREAM_MAX {
            return Verdict::Close("a record has no end".to_owned());
        }
    }
    if read <= kept::RECORD_MAX {
        shared.disk.keep_record(uid, key, frames);
    }
    Verdict::Handled
}

/// The key of a record, or none for the token; nothing if the message has no meaning.
fn key(wanted: &Keep) -> Option<Option<Digest>> {
    match wanted.kind {
        keep::TOKEN if wanted.key.is_empty() => Some(None),
        keep::RECORD => Digest::from_hex(wanted.key.as_bytes()).map(Some),
        _ => None,
    }
}

/// The user's token, as chunks.
fn token(shared: &Shared, uid: u32) -> Option<Vec<Message>> {
    let token = kept::token(&shared.base, uid).or_else(|| shared.disk.token(uid))?;
    stream(shared, &token.0)
}

/// Bytes, as chunks.
fn stream(shared: &Shared, bytes: &[u8]) -> Option<Vec<Message>> {
    let mut packer = Packer::new(shared.level);
    bytes.chunks(limits::CHUNK_PLAIN).map(|piece| packer.pack(piece, KEPT_AS).ok().map(Message::FileChunk)).collect()
}

/// A record, as chunks.
fn record(shared: &Shared, uid: u32, key: &Digest) -> Option<Vec<Message>> {
    let bytes = kept::record(&shared.base, uid, key)?;
    shared.disk.uses_record(uid, *key);
    let chunks = chunks(&bytes);
    if chunks.is_none() {
        debug!("the record {key} of uid {uid} is broken");
    }
    chunks
}

/// The chunks of frames.
fn chunks(bytes: &[u8]) -> Option<Vec<Message>> {
    let (mut frames, mut chunks) = (Frames::new(), Vec::new());
    frames.feed(bytes);
    while let Some(body) = frames.take().ok()? {
        match wire::decode(body, KEPT_AS, Reading::Peer).ok()? {
            chunk @ Message::FileChunk(_) => chunks.push(chunk),
            _ => return None,
        }
    }
    (frames.pending() == 0).then_some(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_frames_of_chunks_are_given_back() {
        let mut packer = Packer::new(1);
        let all: Vec<Message> =
            [&b"abc"[..], b"", b"d"].map(|plain| Message::FileChunk(packer.pack(plain, KEPT_AS).unwrap())).into();
        let mut bytes = Vec::new();
        all.iter().for_each(|chunk| wire::encode(chunk, KEPT_AS, &mut bytes).unwrap());
        assert_eq!(chunks(&bytes), Some(all));
        assert_eq!(chunks(b""), Some(Vec::new()));
        assert_eq!(chunks(&bytes[..bytes.len() - 1]), None);
        assert_eq!(chunks(&[&bytes[..], &[0; 3]].concat()), None);
        wire::encode(&Message::Ping, KEPT_AS, &mut bytes).unwrap();
        assert_eq!(chunks(&bytes), None);
    }

    #[test]
    fn keys_are_checked() {
        let digest = Digest([0x5e; 32]);
        for (kind, name, means) in [
            (keep::TOKEN, String::new(), Some(None)),
            (keep::TOKEN, digest.to_string(), None),
            (keep::RECORD, digest.to_string(), Some(Some(digest))),
            (keep::RECORD, String::new(), None),
            (keep::RECORD, format!("../{}", &digest.to_string()[3..]), None),
            (2, digest.to_string(), None),
        ] {
            assert_eq!(key(&Keep { kind, key: name.as_str().into() }), means, "{kind} {name}");
        }
    }
}
