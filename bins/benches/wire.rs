//! How fast chunks are packed and unpacked, and messages written and read: `cargo bench -p ice-bins --bench wire`.
//!
//! The text is what preprocessed C++ looks like to a codec, made from the seed below; nothing is read from disk.

#![allow(clippy::unwrap_used, reason = "a measurement")]

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use ice_core::codec::Codec;
use ice_core::limits::CHUNK_PLAIN;
use ice_core::message::{GetCs, Message};
use ice_core::version::Version;
use ice_net::compress::{Packer, Unpacker};
use ice_net::wire::{self, Reading};

/// Enough different blocks not to learn one by heart.
const BLOCKS: usize = 16;

fn main() {
    divan::main();
}

#[divan::bench(args = [Codec::Lzo1x, Codec::Zstd])]
fn pack(bencher: Bencher<'_, '_>, codec: Codec) {
    let (blocks, mut packer) = (blocks(), Packer::default());
    bencher
        .counter(BytesCount::new(BLOCKS * CHUNK_PLAIN))
        .bench_local(|| blocks.iter().map(|block| packer.pack_as(codec, block).unwrap().data.len()).sum::<usize>());
}

#[divan::bench(args = [Codec::Lzo1x, Codec::Zstd])]
fn unpack(bencher: Bencher<'_, '_>, codec: Codec) {
    let mut packer = Packer::default();
    let chunks: Vec<_> = blocks().iter().map(|block| packer.pack_as(codec, block).unwrap()).collect();
    let (mut unpacker, mut plain) = (Unpacker::new(), Vec::new());
    bencher.counter(BytesCount::new(BLOCKS * CHUNK_PLAIN)).bench_local(|| {
        for chunk in &chunks {
            plain.clear();
            unpacker.unpack(chunk, &mut plain).unwrap();
        }
        plain.len()
    });
}

#[divan::bench]
fn write_get_cs(bencher: Bencher<'_, '_>) {
    let (message, mut frame) = (get_cs(), Vec::new());
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        frame.clear();
        wire::encode(&message, Version::TO_CLIENT, &mut frame).unwrap();
        frame.len()
    });
}

#[divan::bench]
fn read_get_cs(bencher: Bencher<'_, '_>) {
    let mut frame = Vec::new();
    wire::encode(&get_cs(), Version::TO_CLIENT, &mut frame).unwrap();
    bencher
        .counter(ItemsCount::new(1u32))
        .bench_local(|| wire::decode(&frame[4..], Version::TO_CLIENT, Reading::Peer).unwrap());
}

fn get_cs() -> Message {
    let environment =
        ice_core::env::EnvRef { platform: "x86_64".into(), name: "0f1e2d3c4b5a69788796a5b4c3d2e1f0".into() };
    Message::GetCs(GetCs {
        environments: vec![environment],
        file: "-O2/build/hello.c".into(),
        count: 1,
        target: "x86_64".into(),
        ..GetCs::default()
    })
}

/// Declarations with names that come again, near and far, and line markers.
fn blocks() -> Vec<Vec<u8>> {
    const WORDS: [&str; 16] = [
        "const",
        "template",
        "typename",
        "struct",
        "return",
        "inline",
        "operator",
        "noexcept",
        "std::",
        "::value",
        "unsigned",
        "__attribute__",
        "iterator",
        "allocator",
        "basic_string",
        "_Tp",
    ];
    let mut seed = 0x1ce_c4ea_u64;
    let mut random = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    let mut block = || {
        let mut text = String::new();
        while text.len() < CHUNK_PLAIN {
            match random(12) {
                0 => text += &format!("\n# {} \"/usr/include/c++/12/bits/stl_{}.h\" 3\n", random(4000), random(40)),
                1 => text += &format!("_M_{}_{:x}", WORDS[random(16) as usize], random(5000)),
                2 => text += ";\n      ",
                3 => text += "(const _Tp& __x) ",
                _ => text += WORDS[random(16) as usize],
            }
            text.push(' ');
        }
        text.truncate(CHUNK_PLAIN);
        text.into_bytes()
    };
    (0..BLOCKS).map(|_| block()).collect()
}
