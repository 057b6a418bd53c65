//! Checks that `PROTOCOL.md` matches the code: it has each message with its fields and their types in every version,
//! and its hexdumps are recorded bytes.

#![allow(clippy::unwrap_used, reason = "a test")]

#[allow(dead_code, reason = "other tests use more of it")]
mod recorded;

use ice_core::version::Version;
use ice_net::wire::fields::{self, Field};
use ice_net::wire::{self, Reading, number};
use std::collections::BTreeMap;
use std::ops::Range;

const PAGE: &str = include_str!("../PROTOCOL.md");
const HANDSHAKE_LEN: usize = 8;

/// Those of icecream, and those of the extension.
fn numbers() -> impl Iterator<Item = u32> {
    (0..200).chain(1000..1100)
}

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
    for (number, name) in numbers().filter_map(|n| Some((n, number::name(n)?))) {
        assert!(PAGE.contains(&format!("\n| {number} | {name} |")), "no row for {number} {name}");
        assert!(sections().contains_key(format!("{number} {name}").as_str()), "no section {number} {name}");
    }
}

/// The rows of a section's table: field, type, and the versions that have it.
fn rows(section: &str) -> Vec<(&str, &str, Range<u32>)> {
    let table = section.split("| field | type | since | meaning |\n|---|---|---|---|\n").nth(1).unwrap_or("");
    let lines = table.lines().take_while(|line| line.starts_with('|'));
    let mut rows = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim_matches([' ', '`'])).collect();
        let versions = match (cells[3], cells[3].strip_prefix("below ")) {
            ("", _) => 0..u32::MAX,
            (_, Some(end)) => 0..end.parse().unwrap(),
            (since, None) => since.parse().unwrap()..u32::MAX,
        };
        rows.push((cells[1], cells[2], versions));
    }
    rows
}

#[test]
fn the_tables_have_all_fields_of_each_version_in_order() {
    let (sections, mut seen) = (sections(), 0);
    for version in (21..=44).map(Version::new) {
        // Zeros are valid numbers, empty lists and empty strings, so this gives each message in its shortest form.
        for number in numbers().filter(|n| number::name(*n).is_some()) {
            let body = |words: usize| [number.to_be_bytes().to_vec(), vec![0; 4 * words]].concat();
            let message = (0..50).find_map(|words| wire::decode(&body(words), version, Reading::Peer).ok()).unwrap();
            let name = number::name(number).unwrap();
            // An old request, and the fields of another message, are described there.
            if name == "MON_JOB_DONE" || name == "MON_GET_CS" && !version.has_short_mon_get_cs() {
                continue;
            }
            let rows = rows(sections[format!("{number} {name}").as_str()]);
            let rows = rows.iter().filter(|(.., versions)| versions.contains(&version.number()));
            let said: Vec<_> = rows.map(|(field, kind, _)| (*field, *kind)).collect();
            let fields = fields::of(&message, version);
            assert_eq!(
                said,
                fields.iter().map(|(field, value)| (*field, kind(value))).collect::<Vec<_>>(),
                "{name} {version}"
            );
            seen += 1;
        }
    }
    assert!(seen > 600, "{seen}");
}

fn kind(field: &Field<'_>) -> &'static str {
    match field {
        Field::Number(_) => "u32",
        Field::Signed(_) => "i32",
        Field::Text(_) => "string",
        Field::Texts(_) => "list",
        Field::Environments(_) => "environments",
    }
}

/// A block begins with "```hex DIRECTORY SIDE OFFSET MESSAGE"; at offset 0 the handshake stands before the message.
#[test]
fn the_hexdumps_are_recorded_bytes() {
    let vectors = recorded::vectors();
    let mut count = 0;
    for block in PAGE.split("\n```hex ").skip(1) {
        let (head, dump) = block.split_once('\n').unwrap();
        let [dir, side, offset, name] = head.split(' ').collect::<Vec<_>>()[..] else { panic!("{head}") };
        // The offset takes six characters, the bytes take 47.
        let lines = dump.split("\n```").next().unwrap().lines();
        let words = lines.flat_map(|line| line[6..line.len().min(53)].split_ascii_whitespace());
        let bytes: Vec<u8> = words.map(|word| u8::from_str_radix(word, 16).unwrap()).collect();
        let vector = vectors.iter().find(|v| v.name == dir).unwrap_or_else(|| panic!("no vector {dir}"));
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
