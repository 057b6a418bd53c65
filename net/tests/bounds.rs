//! Limits of the wire format, each tested at the limit and beyond it, and rare content. The numbers are literal,
//! because they are part of the protocol.

#![allow(clippy::unwrap_used, reason = "a test")]

use ice_core::codec::Codec;
use ice_core::message::{Chunk, CompileFile, GetCs, Message, MonGetCs};
use ice_core::version::Version;
use ice_net::compress::{Packer, Unpacker};
use ice_net::deadline::{Deadline, Step};
use ice_net::lzo;
use ice_net::wire::{self, Malformed, Reading, fields, print};
use std::time::Duration;

/// A run of 4,000 literals, compressed and plain.
fn run() -> (Vec<u8>, Vec<u8>) {
    let plain: Vec<u8> = (0..4000_u32).map(|n| (n * 7 % 251) as u8).collect();
    // 3 + 15 + 15 × 255 + 157.
    let packed = [&[0; 16][..], &[157], &plain].concat();
    (packed, plain)
}

fn unpacked(packed: &[u8], len: usize) -> Vec<u8> {
    let mut plain = vec![0xaa; len];
    lzo::decompress(packed, &mut plain).unwrap();
    plain
}

#[test]
fn a_match_right_behind_a_run_is_of_three_bytes_from_afar() {
    for (op, byte, distance) in
        [(0, 0, 2049), (4, 0, 2050), (12, 1, 2056), (0, 255, 3069), (15, 100, 2452), (13, 255, 3072)]
    {
        let (mut packed, mut plain) = run();
        packed.extend([op, byte]);
        plain.extend_from_within(4000 - distance..4003 - distance);
        let literals = vec![b'x'; usize::from(op & 3)];
        packed.extend(&literals);
        plain.extend(&literals);
        packed.extend([17, 0, 0]);
        assert_eq!(unpacked(&packed, plain.len()), plain, "{op} {byte}");
    }
}

#[test]
fn a_match_behind_a_few_literals_is_of_two_bytes() {
    for (op, byte, distance) in [(0, 0, 1), (8, 3, 15), (12, 255, 1024)] {
        let (mut packed, mut plain) = run();
        // Three bytes from 101 bytes back, and a literal after them.
        packed.extend([33, (100 << 2 | 1) as u8, (100 << 2 >> 8) as u8, b'y']);
        plain.extend_from_within(3899..3902);
        plain.push(b'y');
        packed.extend([op, byte, 17, 0, 0]);
        let from = plain.len() - distance;
        plain.push(plain[from]);
        plain.push(plain[from + 1]);
        assert_eq!(unpacked(&packed, plain.len()), plain, "{op} {byte}");
    }
}

#[test]
fn a_chunk_is_of_a_mebibyte() {
    let plain = vec![7; (1 << 20) + 1];
    for codec in [Codec::Lzo1x, Codec::Zstd] {
        let chunk = Packer::new(1).pack_as(codec, &plain[1..]).unwrap();
        let mut out = Vec::new();
        Unpacker::new().unpack(&chunk, &mut out).unwrap();
        assert_eq!(out, plain[1..]);
        assert!(Packer::new(1).pack_as(codec, &plain).is_err());
        let chunk = Chunk { plain_len: (1 << 20) + 1, ..chunk };
        assert!(Unpacker::new().unpack(&chunk, &mut Vec::new()).unwrap_err().to_string().contains("1048577 bytes"));
    }
}

#[test]
fn a_chunk_that_announces_more_is_not_read() {
    let read = |plain_len: u32| {
        let words = [74, plain_len, 1, 1].map(u32::to_be_bytes).concat();
        wire::decode(&[&words[..], &[7]].concat(), Version::new(43), Reading::Peer)
    };
    match read(1 << 20) {
        Ok(Message::FileChunk(chunk)) => assert_eq!((chunk.plain_len, chunk.data), (1 << 20, vec![7])),
        other => panic!("{other:?}"),
    }
    assert_eq!(read((1 << 20) + 1).unwrap_err().what, Malformed::ChunkTooLong((1 << 20) + 1));
}

#[test]
fn a_monitor_is_shown_the_whole_request_below_29_alone() {
    let request = GetCs { count: 3, ..GetCs::default() };
    let event = Message::MonGetCs(MonGetCs { request: Some(Box::new(request)), ..MonGetCs::default() });
    let names = |v: u32| fields::of(&event, Version::new(v)).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(29), ["filename", "language", "job_id", "host_id"]);
    assert!(names(28).len() > 8 && names(28).contains(&"count") && names(28).ends_with(&["job_id", "host_id"]));
}

#[test]
fn a_line_of_the_trace_shows_sixty_bytes_of_a_text() {
    let shown = |bytes: usize| {
        let environment = "x".repeat(bytes).into();
        print::line(&Message::CompileFile(CompileFile { environment, ..CompileFile::default() }))
    };
    assert!(shown(60).contains(&format!("\"{}\" ", "x".repeat(60))), "{}", shown(60));
    assert!(shown(61).contains(&format!("\"{}\"+1 ", "x".repeat(60))), "{}", shown(61));
}

#[test]
fn a_line_of_the_trace_shows_eight_elements_of_a_list() {
    let shown = |count: usize| {
        let arguments = (0..count).map(|n| (ice_core::message::ArgSide::Rest, n.to_string().into())).collect();
        print::line(&Message::CompileFile(CompileFile { arguments, ..CompileFile::default() }))
    };
    assert!(shown(8).contains(r#"["0" "1" "2" "3" "4" "5" "6" "7"]"#), "{}", shown(8));
    assert!(shown(10).contains(r#"["0" "1" "2" "3" "4" "5" "6" "7" +2]"#), "{}", shown(10));
}

#[test]
fn a_deadline_is_shared_by_tries() {
    let secs = Duration::from_secs;
    let all = Deadline::after(Step::Discovery, secs(1000));
    assert_eq!(all.limit(), Some(secs(1000)));
    assert!(!all.is_never() && !all.is_over() && all.left() > Some(secs(900)));
    assert!(all.share(4).limit() <= Some(secs(250)) && all.share(4).limit() > Some(secs(225)));
    assert!(all.share(0).limit() > Some(secs(900)));
    let never = Deadline::never(Step::End);
    assert!(never.is_never() && never.limit().is_none() && !never.is_over() && never.share(3).is_never());
    assert!(Deadline::after(Step::End, Duration::ZERO).is_over());
}
