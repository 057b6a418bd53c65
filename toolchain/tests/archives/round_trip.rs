//! An archive unpacks to what was packed, and equal plans give equal bytes.

use super::build::Place;
use ice_toolchain::archive::{Compression, Sealed};
use ice_toolchain::digest::content_name;
use ice_toolchain::plan::Plan;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const ALL: [Compression; 6] =
    [Compression::None, Compression::Gzip, Compression::Bzip2, Compression::Xz, Compression::Zstd, Compression::Lz4];

fn source(dir: &Path, name: &str, mode: u32, data: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, data).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn plan(dir: &Path) -> Plan {
    let text: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    let mut plan = Plan::default();
    let long = format!("opt/{}/{}", "f".repeat(130), "n".repeat(120));
    for (name, mode, data) in [
        ("bin/true", 0o700, &text[..1000]),
        ("usr/bin/gcc", 0o755, &text[..]),
        ("usr/bin/as", 0o711, &text[..1000]),
        ("usr/bin/g++", 0o755, &text[..]),
        ("lib/small", 0o600, b"same"),
        ("lib/small2", 0o644, b"same"),
        ("lib/empty", 0o444, b""),
        ("lib/odd \u{e4}=*", 0o444, &text[..511]),
        (&long, 0o644, b"x"),
    ] {
        let file = source(dir, &name.replace('/', "_").chars().take(60).collect::<String>(), mode, data);
        assert!(plan.add_file(name.as_bytes(), &file).unwrap());
    }
    plan.add_bytes(b"usr/share/icecream/env", b"text\n".to_vec());
    plan.add_link(b"usr/lib/link", b"lib/small");
    plan
}

#[test]
fn e14_every_compression_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path());
    let sealed = Sealed::new(&plan).unwrap();
    for compression in ALL {
        let mut told = 0;
        let packed = sealed.write(compression, 0, dir.path(), &mut |n| told = n).unwrap();
        assert_eq!(packed.path.file_name().unwrap().to_str().unwrap(), sealed.file_name(compression));
        assert!(told >= sealed.tar_bytes(), "{told}");
        let archive = fs::read(&packed.path).unwrap();
        assert_eq!(archive.len() as u64, packed.bytes);
        let place = Place::new();
        let unpacked = place.unpack(&archive).unwrap();
        assert_eq!((unpacked.compression, &unpacked.digest), (compression, sealed.digest()));
        assert_eq!((content_name(&unpacked.digest), unpacked.tar_bytes), (sealed.name(), sealed.tar_bytes()));
        let mode = |name: &str| fs::metadata(place.inside().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("bin/true"), mode("usr/bin/as"), mode("lib/small")), (0o755, 0o755, 0o644));
        // The second of two equal files is a link to the first, but never bin/true, usr/bin/as or a small one.
        assert_eq!(fs::read_link(place.inside().join("usr/bin/gcc")).unwrap(), Path::new("g++"));
        for file in ["bin/true", "usr/bin/as", "lib/small2"] {
            assert!(fs::symlink_metadata(place.inside().join(file)).unwrap().is_file(), "{file}");
        }
        assert_eq!(fs::read(place.inside().join("usr/lib/link")).unwrap(), b"same");
        assert_eq!(fs::read(place.inside().join("usr/bin/gcc")).unwrap().len(), 1_200_000);
    }
}

#[test]
fn e3_e4_the_same_contents_give_the_same_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = plan(one.path());
    for (entry, mode) in [("bin_true", 0o755), ("lib_small", 0o644)] {
        fs::set_permissions(one.path().join(entry), fs::Permissions::from_mode(mode)).unwrap();
    }
    let second = plan(two.path());
    let (a, b) = (Sealed::new(&first).unwrap(), Sealed::new(&second).unwrap());
    assert_eq!(a.name(), b.name());
    for compression in ALL {
        let a = a.write(compression, 0, one.path(), &mut |_| {}).unwrap();
        let b = b.write(compression, 0, two.path(), &mut |_| {}).unwrap();
        assert_eq!(fs::read(a.path).unwrap(), fs::read(b.path).unwrap(), "{compression}");
    }
}

#[test]
fn e15_a_changed_or_vanished_source_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    let plan = plan(dir.path());
    let sealed = Sealed::new(&plan).unwrap();
    let older = out.path().join(sealed.file_name(Compression::Gzip));
    fs::write(&older, "older").unwrap();
    let gcc = dir.path().join("usr_bin_gcc");
    let good = fs::read(&gcc).unwrap();
    for (damage, words) in [
        (&good[1..], "was changed while it was packed"),
        (&[&good[1..], b"x"].concat()[..], "was changed while it was packed"),
    ] {
        fs::write(&gcc, damage).unwrap();
        fs::write(dir.path().join("usr_bin_g++"), damage).unwrap();
        let error = sealed.write(Compression::Gzip, 0, out.path(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    fs::remove_file(dir.path().join("usr_bin_g++")).unwrap();
    assert!(
        sealed.write(Compression::Gzip, 0, out.path(), &mut |_| {}).unwrap_err().to_string().contains("cannot read")
    );
    let names: Vec<_> = fs::read_dir(out.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names, std::slice::from_ref(&older));
    assert_eq!(fs::read(older).unwrap(), b"older");
    assert!(sealed.write(Compression::None, 0, &out.path().join("none"), &mut |_| {}).is_err());
}

#[test]
fn the_header_is_ustar_with_nothing_of_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let sealed = Sealed::new(&plan(dir.path())).unwrap();
    let tar = fs::read(sealed.write(Compression::None, 0, dir.path(), &mut |_| {}).unwrap().path).unwrap();
    assert_eq!(tar.len() % 10_240, 0);
    assert_eq!(&tar[..9], b"bin/true\0");
    assert_eq!(&tar[100..124], b"0000755\x000000000\x000000000\0");
    assert_eq!(&tar[136..148], b"00000000000\0");
    assert_eq!(&tar[257..265], b"ustar\x0000");
    assert!(tar[265..329].iter().all(|b| *b == 0));
    assert!(tar[tar.len() - 1024..].iter().all(|b| *b == 0));
    // Names come in the order of their bytes.
    let mut names: Vec<Vec<u8>> = Vec::new();
    for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
        names.push(entry.unwrap().path_bytes().into_owned());
    }
    assert_eq!(names.len(), 11);
    assert!(names.windows(2).all(|w| w[0] < w[1]), "{names:?}");
}

#[test]
fn gzip_and_zstd_headers_tell_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sealed = Sealed::new(&plan(dir.path())).unwrap();
    let gzip = fs::read(sealed.write(Compression::Gzip, 0, dir.path(), &mut |_| {}).unwrap().path).unwrap();
    assert_eq!(gzip[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    let zstd = fs::read(sealed.write(Compression::Zstd, 0, dir.path(), &mut |_| {}).unwrap().path).unwrap();
    assert_eq!(zstd[4] & 0b100, 0b100, "no checksum");
    assert_ne!(zstd[4] >> 6, 0, "no size");
}

/// Exercises the parallel compressors with whole blocks, a rest, and incompressible data.
#[test]
fn blocks_that_do_and_do_not_shrink() {
    let dir = tempfile::tempdir().unwrap();
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 56) as u8
    };
    let mixed: Vec<u8> =
        (0..4_500_000).map(|n| if (n / 700_000) % 2 == 0 { random() } else { (n / 999) as u8 }).collect();
    let mut plan = Plan::default();
    for (name, data) in [("usr/bin/gcc", &mixed[..]), ("usr/bin/as", b"as"), ("bin/true", b"true")] {
        let file = source(dir.path(), &name.replace('/', "_"), 0o755, data);
        plan.add_file(name.as_bytes(), &file).unwrap();
    }
    let sealed = Sealed::new(&plan).unwrap();
    for compression in ALL {
        let packed = sealed.write(compression, 0, dir.path(), &mut |_| {}).unwrap();
        let unpacked = Place::new().unpack(&fs::read(packed.path).unwrap()).unwrap();
        assert_eq!(&unpacked.digest, sealed.digest(), "{compression}");
    }
}
