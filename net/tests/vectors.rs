//! Every recorded message decodes to what its `vector.json` states, and encodes to the same bytes again.

#![allow(clippy::unwrap_used, reason = "a test")]

mod recorded;

use ice_core::files::{Difference, Facts, ResultBody};
use ice_core::message::Message;
use ice_core::version::Version;
use ice_net::compress::{Packer, Unpacker};
use ice_net::wire::fields::{self, Field};
use ice_net::wire::frame::Frames;
use ice_net::wire::udp::{Datagram, Reply};
use ice_net::wire::{self, Reading};
use recorded::Vector;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const HANDSHAKE_LEN: usize = 8;

#[test]
fn recorded_messages_decode_and_encode_the_same() {
    let (mut seen, mut numbers, mut versions) = (0, BTreeSet::new(), BTreeSet::new());
    let mut unpacker = Unpacker::new();
    for vector in recorded::vectors() {
        for stream in vector.streams() {
            let mut frames = Frames::new();
            frames.feed(&stream.bytes[HANDSHAKE_LEN..]);
            let mut offset = HANDSHAKE_LEN;
            for wanted in vector.messages(stream.side) {
                let place = format!("{} {} at {offset}", stream.vector, stream.side);
                assert_eq!(wanted["offset"], offset, "{place}");
                let body = frames.take().unwrap().expect(&place).to_vec();
                let decoded = wire::decode_strictly(&body, stream.version, stream.reading);
                if wanted["type"].is_null() {
                    assert!(decoded.is_err(), "{place}: malformed, and yet {decoded:?}");
                    // It extends to the end of the stream.
                    offset = stream.bytes.len();
                    continue;
                }
                let message = decoded.unwrap_or_else(|e| panic!("{place}: {e}"));
                let number = u32::from_be_bytes(*body.first_chunk().unwrap());
                assert_eq!(wanted["type"], number, "{place}");
                assert_eq!(wanted["length"], body.len() + 4, "{place}");
                assert_eq!(object(&message, stream.version, &mut unpacker), without_sums(&wanted["fields"]), "{place}");
                assert_eq!(encoded(&message, number, stream.version), body, "{place}");
                offset += body.len() + 4;
                seen += 1;
                numbers.insert(number);
                versions.insert(stream.version);
            }
            assert_eq!(offset, stream.bytes.len(), "{}: bytes left over on side {}", vector.name, stream.side);
        }
    }
    println!("{seen} messages of {} kinds in {} versions", numbers.len(), versions.len());
    assert!(seen > 1000 && numbers.len() > 25 && versions.len() > 15);
}

#[test]
fn recorded_datagrams_decode_and_encode_the_same() {
    let mut kinds = BTreeSet::new();
    for vector in recorded::vectors() {
        let mut asker = None;
        for (bytes, wanted) in vector.datagrams() {
            let kind = wanted["kind"].as_str().unwrap();
            let parsed = Datagram::parse(&bytes);
            kinds.insert(kind.to_owned());
            let Some(datagram) = parsed else {
                assert_eq!(kind, "other", "{}: {bytes:?}", vector.name);
                continue;
            };
            match &datagram {
                Datagram::Query { version } => {
                    assert_eq!((kind, &wanted["version"]), ("query", &json!(version)));
                    asker = Some(*version);
                }
                Datagram::Reply(reply) => {
                    assert!(kind.starts_with("reply-"), "{kind}");
                    assert_eq!((&wanted["mark"], &wanted["name"]), (&json!(reply.mark), &text(&reply.netname)));
                    if kind != "reply-16" {
                        assert_eq!(wanted["version"], reply.version);
                        assert_eq!(wanted["start_time"], reply.start_time);
                    }
                    // One datagram made by hand is not an answer to any query.
                    if reply.version < 128 {
                        assert_eq!(Reply::parse(asker.unwrap(), &bytes).as_ref(), Some(reply));
                    }
                }
                Datagram::Announce(a) | Datagram::AnnounceLegacy { announce: a, .. } => {
                    assert!(kind.starts_with("announce"), "{kind}");
                    assert_eq!((&wanted["version"], &wanted["name"]), (&json!(a.version), &text(&a.netname)));
                    assert_eq!(wanted["start_time"], a.start_time);
                }
            }
            // The one made by hand has no NUL, for which we always leave room.
            if bytes.last() == Some(&0) || bytes.len() < 268 {
                assert_eq!(datagram.to_bytes(), bytes, "{}: {datagram:?}", vector.name);
            }
        }
    }
    assert_eq!(kinds.len(), 8, "{kinds:?}");
}

/// With each codec our chunks are as valid as the recorded ones.
#[test]
fn recorded_chunks_can_be_packed_again() {
    let (mut unpacker, mut packer) = (Unpacker::new(), Packer::default());
    for vector in recorded::vectors() {
        for stream in vector.streams() {
            let mut frames = Frames::new();
            frames.feed(&stream.bytes[HANDSHAKE_LEN..]);
            while let Some(body) = frames.take().unwrap() {
                let Ok(Message::FileChunk(chunk)) = wire::decode(body, stream.version, stream.reading) else {
                    continue;
                };
                let (mut plain, mut again) = (Vec::new(), Vec::new());
                unpacker.unpack(&chunk, &mut plain).unwrap_or_else(|e| panic!("{}: {e}", vector.name));
                let packed = packer.pack(&plain, stream.version).unwrap();
                unpacker.unpack(&packed, &mut again).unwrap();
                assert_eq!(plain, again, "{}", vector.name);
            }
        }
    }
}

/// A peer reads a string of length 0 as empty; the recorded 1.4 continued too.
#[test]
fn a_zero_length_string_is_empty_to_a_peer() {
    let all = recorded::vectors();
    let vector: &Vector = all.iter().find(|v| v.name == "scheduler-login-zero-length-string").unwrap();
    let bytes = &vector.streams()[0].bytes;
    let login = wire::decode(&bytes[HANDSHAKE_LEN + 4..], Version::new(43), Reading::Peer).unwrap();
    assert!(matches!(login, Message::Login(login) if login.node_name.is_empty()));
}

/// The body of `message`, with the number that it had.
fn encoded(message: &Message, number: u32, v: Version) -> Vec<u8> {
    let mut frame = Vec::new();
    wire::encode(message, v, &mut frame).unwrap();
    let (length, body) = frame.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, body.len());
    [&number.to_be_bytes(), &body[4..]].concat()
}

/// The fields in the form of `vector.json`.
fn object(message: &Message, v: Version, unpacker: &mut Unpacker) -> Value {
    let mut fields: Map<String, Value> =
        fields::of(message, v).into_iter().map(|(name, field)| (name.to_owned(), value(&field))).collect();
    if let Message::FileChunk(chunk) = message {
        let mut plain = Vec::new();
        unpacker.unpack(chunk, &mut plain).unwrap();
        let head: String = plain.iter().take(32).map(|b| format!("{b:02x}")).collect();
        fields.insert("plain_head_hex".into(), head.into());
    }
    Value::Object(fields)
}

/// Removes checksums and names of algorithms, which only `icedump` prints and checks.
fn without_sums(fields: &Value) -> Value {
    let mut fields = fields.clone();
    if let Value::Object(map) = &mut fields {
        map.remove("plain_sha256");
        map.remove("algorithm");
    }
    fields
}

fn value(field: &Field<'_>) -> Value {
    match field {
        Field::Number(n) => json!(n),
        Field::Signed(n) => json!(n),
        Field::Text(t) => text(t),
        Field::Texts(texts) => texts.iter().map(|t| text(t)).collect(),
        Field::Environments(pairs) => {
            pairs.iter().map(|pair| json!([text(&pair.platform), text(&pair.name)])).collect()
        }
    }
}

fn text(text: &ice_core::text::Text) -> Value {
    // All strings in the vectors are UTF-8.
    text.as_str().unwrap().into()
}

/// What the streams of files mode hold is what `core` reads and writes.
#[test]
fn facts_are_written_as_they_were_read() {
    let vectors = recorded::vectors();
    let vector = vectors.iter().find(|v| v.name == "extension-files-job").unwrap();
    let [a, b] = vector.streams().try_into().unwrap();
    let [difference, _, more] = &contents(&a)[..] else { panic!("three streams of the client") };
    assert_eq!(Difference::decode(difference).unwrap().encode(), *difference);
    assert_eq!(Facts::decode(more).unwrap().encode(), *more);
    let [result, object] = &contents(&b)[..] else { panic!("two streams of the server") };
    let body = ResultBody::decode(result).unwrap();
    assert_eq!((body.encode(), body.outputs[0].len), (result.clone(), object.len() as u64));
}

/// The plain contents of the streams that end with END.
fn contents(stream: &recorded::Stream) -> Vec<Vec<u8>> {
    let (mut unpacker, mut all, mut plain) = (Unpacker::new(), Vec::new(), Vec::new());
    let mut rest = &stream.bytes[HANDSHAKE_LEN..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (body, next) = after.split_at(u32::from_be_bytes(*length) as usize);
        match wire::decode_strictly(body, stream.version, stream.reading).unwrap() {
            Message::FileChunk(chunk) => unpacker.unpack(&chunk, &mut plain).unwrap(),
            Message::End if !plain.is_empty() => all.push(std::mem::take(&mut plain)),
            _ => (),
        }
        rest = next;
    }
    all
}
