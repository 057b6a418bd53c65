//! Random damage to the recorded traffic: no panic, no endless loop, no allocation beyond the documented limit.
//!
//! Each run has the same 10,000 variations; `MANGLE_SEED` and `MANGLE_CASES` select others and more. A failure prints
//! its seed and case.

#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(unsafe_code, reason = "only an allocator can see how much is allocated")]

mod damage;
mod recorded;

use damage::{Rng, damage};
use ice_core::limits::{CHUNK_PLAIN_MAX, FRAME_MAX};
use ice_core::message::Message;
use ice_core::version::Version;
use ice_net::compress::Unpacker;
use ice_net::wire::frame::Frames;
use ice_net::wire::udp::Datagram;
use ice_net::wire::{self, Reading, fields, print};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Default number of variations.
const CASES: u64 = 10_000;
/// Default seed.
const SEED: u64 = 0x1ce_c4ea;
/// Bytes of a stream used at once: enough for several frames, few enough for thousands of rounds.
const PIECE: usize = 16 << 10;
/// Decoding a body takes at most this many times its length (and a few hundred bytes). The factor is that large because
/// an empty string of a list takes only four bytes on the wire.
const DECODE_GROWTH: usize = 16;
/// Bytes that small objects may take in addition.
const SLACK: usize = 4 << 10;

/// Counts the bytes allocated by the thread, and their maximum. Memory of zstd's own contexts is allocated in C and not
/// counted.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // At the end of a thread nothing needs to be counted.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: every call is passed to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is the same as ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise is the same as ours.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the result of `work`, and its maximum of allocated bytes.
fn most_held<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    MOST.set(before);
    let result = work();
    (result, usize::try_from(MOST.get() - before).unwrap())
}

/// Statistics of a run, which are equal for equal seeds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    frames: u64,
    messages: u64,
    errors: u64,
    unpacked: u64,
    damaged_chunks: u64,
    sum: u64,
}

/// A part of what one side wrote, beginning and ending at frames.
struct Piece {
    name: String,
    version: Version,
    reading: Reading,
    bytes: Vec<u8>,
}

#[test]
fn damaged_traffic_is_refused_in_good_order() {
    let number = |key: &str, default: u64| {
        let given = std::env::var(key).ok();
        given.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{key} is no number: {text}")))
    };
    let (seed, cases) = (number("MANGLE_SEED", SEED), number("MANGLE_CASES", CASES));
    let tally = run(seed, cases);
    println!("seed {seed}, {cases} cases: {tally:?}");
    if cases >= CASES {
        // Otherwise the test would show nothing.
        assert!(tally.messages > cases && tally.errors > cases / 4 && tally.unpacked > 0 && tally.damaged_chunks > 0);
    }
}

#[test]
fn equal_seeds_do_equal_damage() {
    assert_eq!(run(7, 200), run(7, 200));
    assert_ne!(run(7, 200), run(8, 200));
}

#[test]
fn damaged_datagrams_are_refused_in_good_order() {
    let all: Vec<Vec<u8>> =
        recorded::vectors().iter().flat_map(|v| v.datagrams().into_iter().map(|(bytes, _)| bytes)).collect();
    let mut rng = Rng::new(SEED, 0);
    for case in 0..CASES {
        let mut bytes = all[rng.below(all.len())].clone();
        damage(&mut bytes, &all[rng.below(all.len())], &mut rng);
        if let Some(datagram) = Datagram::parse(&bytes) {
            let again = Datagram::parse(&datagram.to_bytes());
            assert!(again.is_some(), "case {case}: {datagram:?}");
        }
    }
}

fn run(seed: u64, cases: u64) -> Tally {
    let pieces = pieces();
    let (mut tally, mut unpacker) = (Tally::default(), Unpacker::new());
    for case in 0..cases {
        // Each case has random numbers of its own, so that it can be run alone.
        let mut rng = Rng::new(seed, case);
        let piece = &pieces[rng.below(pieces.len())];
        let mut bytes = piece.bytes.clone();
        for _ in 0..1 + rng.below(3) {
            damage(&mut bytes, &pieces[rng.below(pieces.len())].bytes, &mut rng);
        }
        let version = if rng.below(8) == 0 { Version::new(21 + rng.below(24) as u32) } else { piece.version };
        let place = format!("seed {seed} case {case}, {}", piece.name);
        listen(&bytes, version, piece.reading, &mut rng, &mut tally, &mut unpacker, &place);
    }
    tally
}

/// Processes received bytes as a peer does.
fn listen(
    bytes: &[u8],
    v: Version,
    reading: Reading,
    rng: &mut Rng,
    tally: &mut Tally,
    unpacker: &mut Unpacker,
    place: &str,
) {
    let step = [1, 7, 1000, bytes.len().max(1)][rng.below(4)];
    let (mut frames, mut arrived) = (Frames::new(), 0);
    for part in bytes.chunks(step) {
        let (_, held) = most_held(|| frames.feed(part));
        arrived += part.len();
        assert!(held <= 4 * arrived + (132 << 10), "{place}: frames take {held} bytes for {arrived}");
        loop {
            let body = match frames.take() {
                Ok(Some(body)) => body,
                Ok(None) => break,
                Err(error) => {
                    tally.errors += 1;
                    tally.sum = tally.sum.wrapping_mul(31) + u64::from(error.length);
                    return;
                }
            };
            assert!(body.len() <= FRAME_MAX, "{place}");
            tally.frames += 1;
            let (decoded, held) = most_held(|| wire::decode(body, v, reading));
            let cap = DECODE_GROWTH * body.len() + SLACK;
            assert!(held <= cap, "{place}: {held} bytes to decode {} ({decoded:?})", body.len());
            match decoded {
                Ok(message) => process(&message, v, tally, unpacker, place),
                Err(error) => {
                    tally.errors += 1;
                    tally.sum = tally.sum.wrapping_mul(31) + error.at as u64;
                    // The connection would be closed here.
                    assert!(error.to_string().len() < 300, "{place}: {error}");
                    return;
                }
            }
        }
    }
    assert!(tally.frames <= tally.messages + tally.errors, "{place}");
}

/// Processes a message as a peer does: prints it, decompresses it, encodes it again.
fn process(message: &Message, v: Version, tally: &mut Tally, unpacker: &mut Unpacker, place: &str) {
    tally.messages += 1;
    let line = print::line(message);
    assert!(line.bytes().all(|b| (b' '..0x7f).contains(&b)), "{place}: {line:?}");
    tally.sum = tally.sum.wrapping_mul(31) + fields::of(message, v).len() as u64;

    let mut frame = Vec::new();
    wire::encode(message, v, &mut frame).unwrap_or_else(|e| panic!("{place}: {message:?} cannot be written: {e}"));
    let again = wire::decode_strictly(&frame[4..], v, Reading::Peer);
    assert_eq!(again.as_ref(), Ok(message), "{place}: not the same after writing");

    if let Message::FileChunk(chunk) = message {
        let mut plain = Vec::new();
        let (result, held) = most_held(|| unpacker.unpack(chunk, &mut plain));
        assert!(held <= chunk.plain_len as usize + SLACK && plain.len() <= CHUNK_PLAIN_MAX, "{place}: {held} bytes");
        match result {
            Ok(()) => {
                assert_eq!(plain.len(), chunk.plain_len as usize, "{place}");
                tally.unpacked += 1;
            }
            Err(_) => {
                assert!(plain.is_empty(), "{place}");
                tally.damaged_chunks += 1;
            }
        }
    }
}

fn pieces() -> Vec<Piece> {
    let mut pieces = Vec::new();
    for stream in recorded::vectors().iter().flat_map(recorded::Vector::streams) {
        let mut bytes = Vec::new();
        let mut rest = &stream.bytes[8..];
        while let Some(word) = rest.first_chunk::<4>() {
            let (frame, later) = rest.split_at((4 + u32::from_be_bytes(*word) as usize).min(rest.len()));
            bytes.extend_from_slice(frame);
            rest = later;
            if bytes.len() >= PIECE || rest.is_empty() {
                let name = format!("{} {}", stream.vector, stream.side);
                let bytes = std::mem::take(&mut bytes);
                pieces.push(Piece { name, version: stream.version, reading: stream.reading, bytes });
            }
        }
    }
    pieces
}
