//! `PROTOCOL.md` says what the code does: every message and field stands in it, and its hexdumps are recorded bytes.

#![allow(clippy::unwrap_used, reason = "a test")]

#[allow(dead_code, reason = "other tests use more of it")]
mod recorded;

use ice_net::wire::frame::Frames;
use ice_net::wire::{self, fields, number};
use std::collections::BTreeMap;

const PAGE: &str = include_str!("../PROTOCOL.md");
const HANDSHAKE_LEN: usize = 8;

/// The text below each `### NUMBER NAME`.
fn sections() -> BTreeMap<&'static str, &'static str> {
    let sections = PAGE.split("\n### ").skip(1).map(|section| {
        let (head, text) = section.split_once('\n').unwrap();
        (head, text.split("\n## ").next().unwrap())
    });
    sections.collect()
}

#[test]
fn every_message_has_a_row_and_a_section() {
    for (number, name) in (0..200).filter_map(|n| Some((n, number::name(n)?))) {
        assert!(PAGE.contains(&format!("\n| {number} | {name} |")), "no row for {number} {name}");
        assert!(sections().contains_key(format!("{number} {name}").as_str()), "no section {number} {name}");
    }
}

#[test]
fn every_field_that_was_recorded_stands_with_its_message() {
    let (sections, mut seen) = (sections(), 0);
    for stream in recorded::vectors().iter().flat_map(recorded::Vector::streams) {
        let mut frames = Frames::new();
        frames.feed(&stream.bytes[HANDSHAKE_LEN..]);
        while let Ok(Some(body)) = frames.take() {
            let Ok(message) = wire::decode(body, stream.version, stream.reading) else { continue };
            let number = number::of(&message);
            // The whole request that a monitor below 29 gets is described with GET_CS.
            if number::name(number) == Some("MON_GET_CS") && !stream.version.has_short_mon_get_cs() {
                continue;
            }
            let section = sections[format!("{number} {}", number::name(number).unwrap()).as_str()];
            for (field, _) in fields::of(&message, stream.version) {
                assert!(section.contains(&format!("`{field}`")), "{number}: nothing of {field}");
                seen += 1;
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}

/// A block begins with "```hex FOLDER SIDE OFFSET MESSAGE"; at offset 0 the handshake stands before the message.
#[test]
fn the_hexdumps_are_recorded_bytes() {
    let vectors = recorded::vectors();
    let mut count = 0;
    for block in PAGE.split("\n```hex ").skip(1) {
        let (head, dump) = block.split_once('\n').unwrap();
        let [folder, side, offset, name] = head.split(' ').collect::<Vec<_>>()[..] else { panic!("{head}") };
        // The offset is six characters wide, the bytes are 47 wide.
        let lines = dump.split("\n```").next().unwrap().lines();
        let words = lines.flat_map(|line| line[6..line.len().min(53)].split_ascii_whitespace());
        let bytes: Vec<u8> = words.map(|word| u8::from_str_radix(word, 16).unwrap()).collect();
        let vector = vectors.iter().find(|v| v.name == folder).unwrap_or_else(|| panic!("no vector {folder}"));
        let stream = vector.streams().into_iter().find(|s| s.side == side).unwrap();
        let offset: usize = offset.parse().unwrap();
        assert_eq!(bytes, stream.bytes[offset..offset + bytes.len()], "{head}");
        let frame = &bytes[if offset == 0 { HANDSHAKE_LEN } else { 0 }..];
        let message = wire::decode_strictly(&frame[4..], stream.version, stream.reading).unwrap();
        assert_eq!(number::name(number::of(&message)), Some(name), "{head}");
        assert_eq!(u32::from_be_bytes(*frame.first_chunk().unwrap()) as usize, frame.len() - 4, "{head}");
        count += 1;
    }
    assert!(count >= 2, "{count} hexdumps");
}
