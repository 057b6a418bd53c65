//! E27: the formats that people and tools produce and that must be accepted (`testdata/scenarios/environments.md`
//! explains the number).

use super::build::{Head, Place, Tar, bzip2, gzip, lz4, xz, zstd};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn accepted(what: &str, archive: &[u8]) -> Place {
    let place = Place::new();
    if let Err(e) = place.unpack(archive) {
        panic!("{what} was refused: {e}");
    }
    assert_eq!(fs::read(place.inside().join("usr/bin/gcc")).unwrap(), b"gcc", "{what}");
    for dir in ["tmp", "dev", "proc"] {
        assert!(place.inside().join(dir).is_dir(), "{what}: no {dir}");
    }
    place
}

fn env() -> Tar {
    Tar::environment()
}

#[test]
fn names_with_dots_and_directory_entries_of_any_mode() {
    let tar = Tar::default().dir("./", 0o755).dir("./usr", 0o555).dir("./usr/bin/", 0o700);
    let tar = tar.file("./usr/bin/gcc", 0o755, b"gcc").file("./usr/./bin//as", 0o755, b"as").dir("usr", 0o755);
    let place = accepted("dots", &tar.dir("tmp", 0o1777).end());
    assert_eq!(fs::metadata(place.inside().join("usr")).unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn every_compression_in_one_member_and_in_several() {
    let plain = env().file("a", 0o644, &[5; 20_000]).end();
    let digest = Place::new().unpack(&plain).unwrap().digest;
    let (front, back) = plain.split_at(7000);
    for (name, pack) in
        [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("bzip2", bzip2), ("xz", xz), ("zstd", zstd), ("none", <[u8]>::to_vec)]
    {
        accepted(name, &pack(&plain));
        let unpacked = Place::new().unpack(&[pack(front), pack(back)].concat()).unwrap();
        assert_eq!((unpacked.digest, unpacked.compression.to_string().as_str()), (digest, name));
    }
    accepted("lz4", &lz4(&plain));
}

#[test]
fn zstd_with_skippable_frames() {
    let skip = [&[0x53, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"abcd"].concat();
    let frame = zstd(&env().end());
    accepted("before", &[skip.clone(), frame.clone()].concat());
    accepted("after", &[frame, skip].concat());
}

#[test]
fn links_before_and_after_their_targets() {
    let tar =
        Tar::default().link("usr/bin/g++", "gcc").file("usr/bin/gcc", 0o755, b"gcc").file("usr/bin/x-as", 0o755, b"as");
    let place = accepted("links", &tar.link("usr/bin/as", "x-as").link("lib", "usr/lib").link("bin", "/usr/bin").end());
    assert_eq!(fs::read(place.inside().join("usr/bin/g++")).unwrap(), b"gcc");
}

#[test]
fn e28_hard_links_to_earlier_members() {
    let place =
        accepted("hard links", &env().hard_link("usr/bin/g++", "./usr/bin/gcc").hard_link("c", "usr/bin/g++").end());
    let inode = |name: &str| fs::metadata(place.inside().join(name)).unwrap().ino();
    assert_eq!(inode("usr/bin/g++"), inode("usr/bin/gcc"));
    assert_eq!(inode("c"), inode("usr/bin/gcc"));
}

#[test]
fn headers_of_every_format() {
    let long = format!("{}/{}", "f".repeat(90), "n".repeat(90));
    let ustar =
        Head { name: "n".repeat(90).into_bytes(), patch: |block| block[345..435].fill(b'f'), ..Head::default() };
    let place = accepted("ustar prefix", &env().head(ustar).end());
    assert!(place.inside().join(&long).exists());
    let gnu = |block: &mut [u8]| block[257..265].copy_from_slice(b"ustar  \0");
    let place = accepted("gnu", &env().gnu_long(b'L', &long).head(Head { patch: gnu, ..Head::default() }).end());
    assert!(place.inside().join(&long).exists());
    let place = accepted(
        "pax",
        &env().pax(b'g', &[("comment", "x")]).pax(b'x', &[("path", &long)]).file("s", 0o644, b"").end(),
    );
    assert!(place.inside().join(&long).exists());
    let v7 = |block: &mut [u8]| block[257..265].fill(0);
    let head = |name: &str| Head { name: name.into(), kind: 0, patch: v7, ..Head::default() };
    let place = accepted("v7", &env().head(head("old/")).head(Head { size: 3, ..head("old/file") }).data(b"abc").end());
    assert_eq!(fs::read(place.inside().join("old/file")).unwrap(), b"abc");
    let place = accepted("blanks and UTF-8", &env().file("a b/\u{e4}=*", 0o644, b"").end());
    assert!(place.inside().join("a b/\u{e4}=*").exists());
}

#[test]
fn ends_of_every_kind() {
    let bare = env().0;
    accepted("no end blocks", &bare);
    accepted("one end block", &[bare.clone(), vec![0; 512]].concat());
    accepted("two", &[bare.clone(), vec![0; 1024]].concat());
    accepted("a whole record", &[bare, vec![0; 10240]].concat());
}

#[test]
fn e39_odd_dates() {
    let dated = |name: &str, patch| Head { name: name.into(), patch, ..Head::default() };
    let before = dated("y1969", |b| b[136..148].copy_from_slice(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0"));
    let far = dated("y2099", |b| b[136..148].copy_from_slice(b"36234254000\0"));
    let place = accepted("dates", &env().head(before).head(far).end());
    assert_eq!(fs::metadata(place.inside().join("y1969")).unwrap().mtime(), 0);
    assert_eq!(fs::metadata(place.inside().join("y2099")).unwrap().mtime(), 0o36234254000);
}

#[test]
fn e17_the_name_of_1_4_is_recomputed_while_unpacking() {
    let limits = ice_toolchain::archive::UnpackLimits { md5_name: true, ..Default::default() };
    // The documented example with a compiler, so that it is an environment. The expected value is the MD5 of these
    // lines.
    let unpacked = Place::new().unpack_with(&env().end(), &limits).unwrap();
    let mut name = ice_toolchain::digest::Md5Name::new();
    for (file, text) in [("bin/true", "true"), ("usr/bin/gcc", "gcc"), ("usr/bin/as", "as")] {
        name.file(file.as_bytes(), md5::compute(text).0);
    }
    assert_eq!(unpacked.md5_name, Some(name.finish()));
}

#[test]
fn what_an_archive_shows_without_being_unpacked() {
    use ice_toolchain::archive::{holds, summarize};
    let summary = |archive: &[u8]| summarize(archive).unwrap();
    assert_eq!(summary(&env().end()).info, None);
    let text = b"icecream environment 1\ncompiler gcc\nversion v\ntarget t\nplatform x86_64\n";
    let mut elf = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0";
    let archive = env()
        .file("./usr/bin/cc1", 0o755, &elf)
        .file("usr/share/icecream/env", 0o644, text)
        .file("usr/lib/gcc-cross/arm-linux-gnueabihf/12/liblto_plugin.so", 0o644, b"x")
        .end();
    let packed = gzip(&archive);
    let found = summary(&packed);
    let info = found.info.unwrap();
    assert_eq!((info.compilers[0].target.as_str(), info.platform.as_str()), ("t", "x86_64"));
    assert_eq!(found.platform.as_deref(), Some("aarch64"));
    assert_eq!(found.targets.into_iter().collect::<Vec<_>>(), ["arm-linux-gnueabihf"]);
    assert_eq!(found.name, blake3::hash(&archive).to_hex().to_string(), "whatever it is packed with");
    assert_eq!(summary(&archive).name, found.name);
    elf[5] = 2;
    elf[18..].copy_from_slice(&[0, 22]);
    assert_eq!(summary(&env().file("usr/bin/as2", 0o755, &elf).end()).platform.as_deref(), Some("s390x"));
    assert!(holds(&packed[..], b"/usr//bin/cc1").unwrap() && !holds(&packed[..], b"/usr/bin").unwrap());
}
