//! What is packed, under which name, and that it is the same bytes whatever the surroundings.

use super::{CREATE, Place, TEST, as_a_user, lacks};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

#[test]
fn e1_e16_gcc_is_packed_and_its_name_told_on_descriptor_5() {
    if lacks("g++") {
        return;
    }
    let place = Place::new();
    let script = format!("{CREATE} gcc --compression none 5>name");
    let out = Command::new("bash").args(["-c", &script]).current_dir(place.path()).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let archive = text.lines().last().unwrap().strip_prefix("creating ").unwrap();
    assert_eq!(fs::read_to_string(place.path().join("name")).unwrap(), format!("{archive}\n"));
    assert_eq!(archive.len(), 64 + ".tar".len());
    assert!(text.contains("adding file /usr/bin/gcc=/"), "{text}");
    let members = place.members(archive);
    for name in ["bin/true", "usr/bin/gcc", "usr/bin/g++", "usr/bin/cc1", "usr/bin/cc1plus", "usr/bin/as"] {
        assert!(members.contains(name), "{name}");
    }
    assert!(members.contains("usr/share/icecream/env") && !members.iter().any(|m| m.starts_with("etc/")));
    let tested = Command::new(TEST).arg(place.path().join(archive)).output().unwrap();
    let said = String::from_utf8(tested.stdout).unwrap();
    match tested.status.code() {
        Some(0) => assert!(said.contains("Checking /usr/bin/cc1plus...") && said.ends_with("OK\n"), "{said}"),
        Some(1) => eprintln!("not tried: {}", String::from_utf8_lossy(&tested.stderr)),
        _ => panic!("{said}{}", String::from_utf8_lossy(&tested.stderr)),
    }
}

#[test]
fn e2_clang_is_one_environment_whatever_its_name() {
    if lacks("clang") {
        return;
    }
    let place = Place::new();
    let real = fs::canonicalize("/usr/bin/clang").unwrap();
    let names: BTreeSet<String> =
        ["clang", "clang++", real.to_str().unwrap()].iter().map(|c| place.made(&[c])).collect();
    assert_eq!(names.len(), 1);
    let members = place.members(names.first().unwrap());
    assert!(members.contains("usr/bin/clang") && members.contains("usr/bin/as") && !members.contains("usr/bin/gcc"));
}

#[test]
fn e3_e5_e12_the_same_bytes_whatever_the_name_and_surroundings() {
    if lacks("g++") {
        return;
    }
    let place = Place::new();
    let plain = place.made(&["gcc"]);
    let bytes = fs::read(place.path().join(&plain)).unwrap();
    let script = place.file("wrapper", 0o755, b"#!/bin/sh\nexec /usr/bin/gcc \"$@\"\n");
    let link = place.path().join("mygcc");
    symlink("/usr/bin/gcc", &link).unwrap();
    for name in ["cc", "g++", "c++", script.to_str().unwrap(), link.to_str().unwrap()] {
        assert_eq!(place.made(&[name]), plain, "{name}");
    }
    let other = Place::new();
    other.file("specs", 0o644, b"*link:\n\n");
    let run = format!("umask 077; {CREATE} gcc --compression none");
    let mut command = Command::new("bash");
    command
        .args(["-c", &run])
        .current_dir(other.path())
        .env("LC_ALL", "en_US.UTF-8")
        .env("TAR_OPTIONS", "--format=pax");
    command.env("LD_LIBRARY_PATH", "/nowhere").env("TZ", "Asia/Tokyo");
    assert!(command.output().unwrap().status.success());
    assert_eq!(fs::read(other.path().join(&plain)).unwrap(), bytes);
}

#[test]
fn e4_a_toolchain_in_its_own_folder_gives_the_same_bytes() {
    if lacks("g++") {
        return;
    }
    let place = Place::new();
    let top = place.toolchain();
    assert_eq!(place.made(&[top.join("bin/gcc").to_str().unwrap()]), place.made(&["gcc"]));
}

#[test]
fn e7_e8_e11_extra_files() {
    if lacks("g++") {
        return;
    }
    let place = Place::new();
    let none = place.path().join("none");
    let said = place.refused(&["gcc", "--addfile", none.to_str().unwrap()]);
    assert!(said.contains(none.to_str().unwrap()), "{said}");
    let folder = place.file("data/sub/a b=*\u{e4}", 0o644, b"x").parent().unwrap().parent().unwrap().to_path_buf();
    let newline = place.file("data/new\nline", 0o644, b"y");
    let file = place.file("one", 0o644, b"z");
    let link = place.path().join("two");
    symlink("one", &link).unwrap();
    let archive = place.made(&["gcc", "--addfile", folder.to_str().unwrap(), "--addfile=two", "--addfile", "one"]);
    let members = place.members(&archive);
    for path in [folder.join("sub/a b=*\u{e4}"), newline, file, link] {
        assert!(members.contains(path.to_str().unwrap().strip_prefix('/').unwrap()), "{}", path.display());
    }
    // Root reads everything, so it is tried as a user, who may not enter the directory of the build either.
    let shut = place.file("shut", 0o000, b"x");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let tool = place.path().join("create-env");
    fs::copy(CREATE, &tool).unwrap();
    let mut command = as_a_user(&[tool.to_str().unwrap(), "gcc", "--addfile", shut.to_str().unwrap()]);
    let out = command.current_dir(place.path()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && said.contains("shut"), "{said}");
}

#[test]
fn e8_both_names_of_one_program() {
    if lacks("g++") || fs::canonicalize("/bin").unwrap() != Path::new("/usr/bin") {
        return;
    }
    let place = Place::new();
    let members = place.members(&place.made(&["gcc", "--addfile", "/bin/ls", "--addfile", "/usr/bin/ls"]));
    assert!(members.contains("bin/ls") && members.contains("usr/bin/ls"));
    assert!(members.iter().any(|m| m.contains("libselinux") || m.contains("libc.so")), "no libraries of ls");
}

/// A plugin 0644 with a library of its own: both are packed, although neither is executable.
#[test]
fn e9_the_library_of_a_plugin_is_packed_whatever_its_mode() {
    if lacks("g++") {
        return;
    }
    let place = Place::new();
    let script = "set -e; mkdir own
        echo 'int own(void) { return 1; }' | gcc -shared -fPIC -x c - -o own/libown.so
        echo 'int own(void); int plugin(void) { return own(); }' | gcc -shared -fPIC -x c - -o plugin.so -Lown -lown -Wl,-rpath,$PWD/own
        chmod 644 plugin.so own/libown.so";
    let built = Command::new("sh").args(["-c", script]).current_dir(place.path()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let members = place.members(&place.made(&["gcc", "--addfile", "plugin.so"]));
    for name in ["plugin.so", "own/libown.so"] {
        let path = place.path().join(name);
        assert!(members.contains(path.to_str().unwrap().strip_prefix('/').unwrap()), "{name}: {members:?}");
    }
}

#[test]
fn e14_every_type_has_its_suffix_and_content() {
    if lacks("g++") {
        return;
    }
    let place = Place::new();
    for (word, suffix, magic) in [("gz", ".tar.gz", &b"\x1f\x8b"[..]), ("zstd", ".tar.zst", b"\x28\xb5\x2f\xfd")] {
        let out = place.command(&["gcc", "--no-check", "--compression", word]).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let name = text.lines().last().unwrap().strip_prefix("creating ").unwrap();
        assert!(name.ends_with(suffix), "{name}");
        assert!(fs::read(place.path().join(name)).unwrap().starts_with(magic), "{word}");
    }
}
