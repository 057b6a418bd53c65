//! The catalogue of hostile archives by their numbers. Each is refused by a specific error with nothing outside the
//! directory touched, or accepted harmlessly.
//!
//! Tested elsewhere: 46 (a sender that stops ends by the caller's deadline; the reader's error is tested here), 47
//! (`digest`), 48 (`store`).

use super::build::{Head, Place, Tar, bzip2, gzip, xz, zstd};
use ice_toolchain::archive::UnpackLimits;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// Unpacks and expects an error whose text contains `text`. With HOSTILE_ARCHIVES set, the archive is kept in that
/// directory to be sent to a running daemon (`scripts/prove.sh toolchain.6`).
fn refused(number: u32, archive: &[u8], text: &str) {
    if let Some(dir) = std::env::var_os("HOSTILE_ARCHIVES") {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{number:02}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        fs::write(Path::new(&dir).join(&name), archive).unwrap();
        fs::write(Path::new(&dir).join(name + ".words"), text).unwrap();
    }
    let error = Place::new().unpack(archive).expect_err(&format!("no. {number} was accepted")).to_string();
    assert!(error.contains(text), "no. {number}: {error:?} does not contain {text:?}");
}

fn accepted(number: u32, archive: &[u8]) -> Place {
    let place = Place::new();
    if let Err(e) = place.unpack(archive) {
        panic!("no. {number} was refused: {e}");
    }
    place
}

fn env() -> Tar {
    Tar::environment()
}

#[test]
fn n01_to_n05_names_and_links_that_lead_out() {
    refused(1, &env().file("../x", 0o644, b"x").end(), "has a .. in it");
    refused(2, &env().file("/abs", 0o644, b"x").end(), "is absolute");
    refused(3, &env().file("a/../../x", 0o644, b"x").end(), "has a .. in it");
    refused(4, &env().link("l", "/").file("l/x", 0o644, b"x").end(), "written through \"l\"");
    refused(5, &env().link("a", ".").link("b/c", "../a/../../outside").end(), "leads out");
    refused(5, &env().link("out", "../outside").end(), "leads out");
    refused(5, &env().link("out", "../outside").file("out/file", 0o644, b"x").end(), "written through");
}

#[test]
fn n06_an_absolute_link_inside_is_accepted() {
    let place = accepted(6, &env().link("usr/bin/g++", "/usr/bin/gcc").end());
    assert_eq!(fs::read_link(place.inside().join("usr/bin/g++")).unwrap().to_str(), Some("/usr/bin/gcc"));
}

#[test]
fn n07_to_n09_hard_links_only_to_earlier_files() {
    refused(7, &env().hard_link("h", "/etc/passwd").end(), "no earlier file");
    refused(7, &env().hard_link("h", "../outside/file").end(), "no earlier file");
    refused(8, &env().link("l", "usr/bin/gcc").hard_link("h", "l").end(), "no earlier file");
    refused(9, &env().hard_link("h", "later").file("later", 0o644, b"x").end(), "no earlier file");
}

#[test]
fn n10_to_n12_no_devices() {
    for (number, kind) in [(10, b'3'), (11, b'4'), (12, b'6')] {
        refused(number, &env().named("dev/x", kind, 0o666, b"").end(), "is a device or pipe");
    }
}

#[test]
fn n13_to_n17_bits_and_owners_are_ignored() {
    let patch = |block: &mut [u8]| {
        block[108..116].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff"); // 2^32 - 1 in base 256
        block[265..269].copy_from_slice(b"root");
    };
    let owned = Head { name: b"owned".to_vec(), patch, ..Head::default() };
    let archive = env().file("suid", 0o4755, b"x").dir("sgid", 0o2755).dir("sticky", 0o1777).head(owned).end();
    let place = accepted(13, &archive);
    for (name, mode) in [("suid", 0o755), ("sgid", 0o755), ("sticky", 0o755), ("owned", 0o644)] {
        let meta = fs::metadata(place.inside().join(name)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, mode, "{name}");
        assert_eq!(meta.uid(), rustix::process::getuid().as_raw(), "{name}");
    }
}

#[test]
fn n18_to_n20_nothing_twice() {
    refused(18, &env().dir("a", 0o755).file("a", 0o644, b"x").end(), "in the archive twice");
    refused(18, &env().file("usr", 0o644, b"x").end(), "in the archive twice");
    refused(19, &env().link("a", "usr").dir("a", 0o755).end(), "in the archive twice");
    refused(20, &env().file("usr/bin/gcc", 0o755, b"other").end(), "in the archive twice");
    refused(20, &env().file("a", 0o644, b"x").file("./a", 0o644, b"y").end(), "in the archive twice");
    refused(20, &env().file("usr/bin/gcc/x", 0o755, b"x").end(), "written through \"usr/bin/gcc\"");
}

#[test]
fn n21_to_n26_names() {
    refused(21, &env().pax(b'x', &[("path", "a\0b")]).file("x", 0o644, b"").end(), "control character");
    refused(22, &env().file("a\nb", 0o644, b"").end(), "control character");
    refused(22, &env().file("a\x1b[2J", 0o644, b"").end(), "control character");
    refused(23, &env().file("", 0o644, b"").end(), "is empty");
    accepted(24, &Tar::default().dir(".", 0o700).0.into_iter().chain(env().end()).collect::<Vec<_>>());
    refused(24, &env().file(".", 0o644, b"x").end(), "own folder");
    refused(25, &env().gnu_long(b'L', &"a/".repeat(2049)[..4097]).file("x", 0o644, b"").end(), "too long");
    refused(26, &env().gnu_long(b'L', &["a"; 65].join("/")).file("x", 0o644, b"").end(), "too deep");
    accepted(26, &env().gnu_long(b'L', &["a"; 64].join("/")).file("x", 0o644, b"").end());
}

#[test]
fn n27_to_n29_extension_headers() {
    let huge = Head { name: b"././@LongLink".to_vec(), kind: b'L', size: 1 << 30, ..Head::default() };
    refused(27, &env().head(huge.clone()).end(), "extension header of 1073741824 bytes");
    refused(27, &env().head(Head { kind: b'x', ..huge }).end(), "extension header of 1073741824 bytes");
    refused(28, &env().pax(b'x', &[("path", "../evil")]).file("good", 0o644, b"").end(), "has a .. in it");
    refused(28, &env().pax(b'x', &[("linkpath", "../../evil")]).link("good", "x").end(), "leads out");
    refused(28, &env().pax(b'g', &[("path", "../evil")]).file("good", 0o644, b"").end(), "global header");
    // 29: the pax header's size counts: with it the next header is found, and the content is not taken for a header.
    let header_says = Head { name: b"a".to_vec(), size: 0, ..Head::default() };
    let place = accepted(29, &env().pax(b'x', &[("size", "600")]).head(header_says.clone()).data(&[7; 600]).end());
    assert_eq!(fs::read(place.inside().join("a")).unwrap(), [7; 600]);
    refused(29, &env().pax(b'x', &[("size", "2000000000")]).head(header_says).end(), "at most 1073741824");
}

#[test]
fn n30_to_n35_numbers_checksums_ends() {
    let sized = |patch| Head { name: b"a".to_vec(), patch, ..Head::default() };
    refused(30, &env().head(sized(|b| b[124..136].fill(0xff))).end(), "bad size");
    refused(30, &env().head(sized(|b| b[124..136].copy_from_slice(b"-0000000001\0"))).end(), "bad size");
    refused(31, &env().head(sized(|b| b[124..136].copy_from_slice(b"\x80\x01\0\0\0\0\0\0\0\0\0\0"))).end(), "bad size");
    refused(
        31,
        &env().head(sized(|b| b[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"))).end(),
        "at most",
    );
    let sparse = Head { name: b"s".to_vec(), kind: b'S', size: 1 << 32, ..Head::default() };
    refused(32, &env().head(sparse).end(), "sparse");
    refused(32, &env().pax(b'x', &[("GNU.sparse.major", "1")]).file("s", 0o644, b"").end(), "sparse");
    let mut bad_sum = env().file("a", 0o644, b"x");
    let at = env().0.len();
    bad_sum.0[at] ^= 1;
    refused(33, &bad_sum.end(), "bad checksum");
    let whole = env().file("a", 0o644, &[1; 5000]).end();
    for cut in [at + 100, at + 600, at + 4000] {
        refused(34, &whole[..cut], "truncated");
    }
    let packed = gzip(&whole);
    refused(34, &packed[..packed.len() - 20], "truncated");
    let packed = zstd(&whole);
    refused(34, &packed[..packed.len() - 5], "truncated");
    let packed = xz(&whole);
    refused(34, &packed[..packed.len() / 2], "truncated");
    let packed = bzip2(&whole);
    refused(34, &packed[..packed.len() / 2], "truncated");
    refused(35, &[whole.clone(), b"more".to_vec()].concat(), "data after the end");
    accepted(35, &[whole, vec![0; 5000]].concat());
}

#[test]
fn n36_to_n40_bombs() {
    refused(36, &gzip(&env().file("big", 0o644, &vec![0; 64 << 20]).end()), "expands more than 200 times");
    let small = UnpackLimits { expanded: 1 << 20, ..UnpackLimits::default() };
    let archive = env().file("big", 0o644, &vec![1; 2 << 20]).end();
    let error = Place::new().unpack_with(&archive, &small).unwrap_err().to_string();
    assert!(error.contains("expands to over 1048576"), "{error}");
    let small = UnpackLimits { compressed: 1 << 20, ..UnpackLimits::default() };
    let error = Place::new().unpack_with(&archive, &small).unwrap_err().to_string();
    assert!(error.contains("compressed archive over 1048576"), "{error}");

    refused(37, &window(&env().end(), 28), "more than the 134217728 bytes");
    accepted(37, &window(&env().end(), 27));
    let small = UnpackLimits { zstd_window_log: 23, ..UnpackLimits::default() };
    assert!(Place::new().unpack_with(&window(&env().end(), 24), &small).is_err());
    refused(38, &giant_dictionary(xz(&env().end())), "more than the 167772160 bytes");

    // 39: a tar in two gzip members, each below a limit that both together exceed.
    let plain = env().file("a", 0o644, &vec![1; 600_000]).end();
    let members = [gzip(&plain[..300_000]), gzip(&plain[300_000..])].concat();
    let small = UnpackLimits { expanded: 500_000, ..UnpackLimits::default() };
    assert!(Place::new().unpack_with(&members, &small).unwrap_err().to_string().contains("expands to over"));
    accepted(39, &members);

    let mut many = Tar::default().dir(".", 0o755).0.repeat(100_001 - 3);
    many.extend(env().end());
    refused(40, &many, "over 100000 members");
}

#[test]
fn what_is_made_beside_the_members_is_bounded() {
    let limits = UnpackLimits { entries: 20, names: 1000, ..UnpackLimits::default() };
    let text = |archive: &[u8], limits: &UnpackLimits| {
        Place::new().unpack_with(archive, limits).map_or_else(|e| e.to_string(), |_| "accepted".to_owned())
    };
    // The environment has six entries, each of these nine: directories count although they are no members.
    let deep = |top: &str, depth: usize| format!("{top}/{}", "d/".repeat(depth)) + "file";
    let one = env().file(&deep("a", 7), 0o644, b"");
    assert_eq!(text(&one.clone().end(), &limits), "accepted");
    let two = one.file(&deep("b", 7), 0o644, b"").end();
    assert_eq!(text(&two, &limits), "over 20 members and folders above them");
    assert_eq!(text(&two, &UnpackLimits::default()), "accepted");
    // Targets of links are kept in memory too.
    let links = env().link("a", &"x".repeat(90)).link("b", &"y".repeat(90));
    assert_eq!(text(&links.clone().end(), &limits), "accepted");
    let tight = UnpackLimits { names: 200, ..limits.clone() };
    assert_eq!(text(&links.end(), &tight), "names of over 200 bytes");
    let full = UnpackLimits { disk_kept: u64::MAX, ..limits };
    let message = format!("less than {} bytes of the disk are free", u64::MAX);
    assert_eq!(text(&env().end(), &full), message);
}

#[test]
fn nothing_on_the_disk_is_for_free() {
    let sizes = |archive: &[u8]| Place::new().unpack(archive).map(|u| (u.bytes, u.disk)).unwrap();
    let (bytes, disk) = sizes(&env().end());
    let many = (0..100).fold(env(), |tar, n| tar.file(&format!("{n}"), 0o644, b"").link(&format!("to{n}"), "tmp"));
    assert_eq!(sizes(&many.end()), (bytes, disk + 200 * 4096));
    assert_eq!(sizes(&env().file("x", 0o644, &[1; 5000]).end()), (bytes + 5000, disk + 5000 + 4096));
}

/// A zstd frame of one raw block that announces a window of 2^`log` bytes.
fn window(plain: &[u8], log: u8) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
    frame.extend(&(((plain.len() as u32) << 3) | 1).to_le_bytes()[..3]);
    frame.extend(plain);
    frame
}

/// The same xz stream, but its first block claims a dictionary of 4 GiB.
fn giant_dictionary(mut stream: Vec<u8>) -> Vec<u8> {
    let at = 12; // behind the stream header
    let len = (usize::from(stream[at]) + 1) * 4;
    let filter = (at..at + len).find(|i| stream[*i..].starts_with(&[0x21, 1])).unwrap();
    stream[filter + 2] = 40;
    let mut crc = flate2::Crc::new();
    crc.update(&stream[at..at + len - 4]);
    stream[at + len - 4..at + len].copy_from_slice(&crc.sum().to_le_bytes());
    stream
}

#[test]
fn n41_to_n45_contents() {
    let no_compiler = Tar::default().file("usr/bin/as", 0o755, b"as").end();
    refused(41, &no_compiler, "neither usr/bin/gcc nor usr/bin/clang");
    refused(41, &Tar::default().end(), "neither usr/bin/gcc nor usr/bin/clang");
    refused(41, &Tar::default().file("usr/bin/gcc", 0o755, b"gcc").end(), "usr/bin/as is missing"); // E32
    refused(41, &Tar::default().file("usr/bin/as", 0o755, b"").link("usr/bin/gcc", "nothing").end(), "neither");
    refused(41, &env().file("tmp", 0o644, b"x").end(), "tmp is no folder"); // E38
    refused(41, &env().link("dev", "usr").end(), "dev is no folder");
    let script = Tar::default().file("usr/bin/gcc", 0o755, b"#!/bin/sh\n").file("usr/bin/as", 0o755, b"as").end();
    accepted(42, &script);
    // 43: 0755 and not 0700, as jobs have other users than the daemon.
    let place = accepted(43, &env().dir("shut", 0).file("shut/x", 0, b"x").end());
    for (name, mode) in [("shut", 0o755), ("shut/x", 0o644)] {
        assert_eq!(fs::metadata(place.inside().join(name)).unwrap().permissions().mode() & 0o7777, mode);
    }
    refused(44, &env().named("v", b'V', 0o644, b"").end(), "unknown type 'V'");
    refused(44, &env().named("z", b'z', 0o644, b"").end(), "unknown type 'z'");
    let pax = [("SCHILY.xattr.security.capability", "\u{1}"), ("LIBARCHIVE.xattr.user.x", "y"), ("mtime", "1.5")];
    accepted(45, &env().pax(b'x', &pax).file("a", 0o644, b"").end());
}

#[test]
fn n46_a_failing_sender_is_the_inputs_error() {
    struct Breaks<'a>(&'a [u8]);
    impl Read for Breaks<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buf)? {
                0 => Err(io::ErrorKind::TimedOut.into()),
                n => Ok(n),
            }
        }
    }
    let place = Place::new();
    let plain = env().end();
    let error = ice_toolchain::archive::unpack(Breaks(&plain[..1000]), &place.inside(), &UnpackLimits::default());
    assert_eq!(error.unwrap_err().to_string(), "cannot read the archive");
}

#[test]
fn things_that_are_no_archive() {
    refused(0, b"", "truncated");
    refused(0, &[b'x'; 2000], "not a tar archive");
    refused(0, &[b'x'; 100], "truncated");
    refused(0, &[&b"PK\x03\x04"[..], &[9; 2000]].concat(), "not a tar archive");
    refused(0, &gzip(&[7; 2000]), "not a tar archive");
    refused(0, &[0x1f, 0x8b, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9], "corrupt gzip");
    refused(0, &[&gzip(&env().end())[..], b"garbage behind a member"].concat(), "corrupt gzip");
}

#[test]
fn damaged_bytes_never_panic_and_never_leave() {
    let plain = env().file("lib/a", 0o644, &[3; 700]).link("lib/b", "a").hard_link("c", "lib/a").end();
    let mut seed = 12345u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize
    };
    for pack in [|p: &[u8]| p.to_vec(), gzip, bzip2, xz, zstd, super::build::lz4] {
        let good = pack(&plain);
        for _ in 0..150 {
            let mut bad = good.clone();
            for _ in 0..=random() % 4 {
                let at = random() % bad.len();
                bad[at] = random() as u8;
            }
            // Both results are fine; `unpack` checks that nothing outside was touched.
            let _ = Place::new().unpack(&bad);
        }
    }
}
