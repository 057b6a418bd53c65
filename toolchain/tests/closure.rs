//! Tests of `closure`: libraries are found by reading ELF files, in root directories of tiny ones for foreign machines,
//! with RPATH, RUNPATH and musl (scenario E19).

#![allow(clippy::unwrap_used)] // a failed test panics

use ice_toolchain::closure::{ClosureError, Root, closure};
use ice_toolchain::program::Program;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const AARCH64: u16 = 183;
const ARM: u16 = 40;
const X86_64: u16 = 62;

/// A tiny ELF file: one segment with everything, an interpreter, a dynamic table and its strings.
#[derive(Clone)]
struct Elf {
    machine: u16,
    is_64: bool,
    is_big: bool,
    interpreter: Option<&'static str>,
    needed: &'static [&'static str],
    rpath: Option<&'static str>,
    runpath: Option<&'static str>,
}

const LIB: Elf =
    Elf { machine: AARCH64, is_64: true, is_big: false, interpreter: None, needed: &[], rpath: None, runpath: None };

impl Elf {
    fn number(&self, out: &mut Vec<u8>, value: u64, size: usize) {
        let bytes = value.to_be_bytes();
        let bytes = &bytes[8 - size..];
        if self.is_big { out.extend(bytes) } else { out.extend(bytes.iter().rev()) }
    }

    fn bytes(&self) -> Vec<u8> {
        let word = if self.is_64 { 8 } else { 4 };
        let (header, segment) = if self.is_64 { (64, 56) } else { (52, 32) };
        let mut strings = vec![0];
        let mut dynamic: Vec<(u64, u64)> = Vec::new();
        let mut string = |tag, text: &str, dynamic: &mut Vec<(u64, u64)>| {
            dynamic.push((tag, strings.len() as u64));
            strings.extend(text.as_bytes());
            strings.push(0);
        };
        for library in self.needed {
            string(1, library, &mut dynamic);
        }
        if let Some(path) = self.rpath {
            string(15, path, &mut dynamic);
        }
        if let Some(path) = self.runpath {
            string(29, path, &mut dynamic);
        }
        let interpreter = self.interpreter.map(|i| format!("{i}\0")).unwrap_or_default();
        let interpreter_at = header + 3 * segment;
        let strings_at = interpreter_at + interpreter.len();
        let dynamic_at = (strings_at + strings.len()).next_multiple_of(8);
        dynamic.extend([(5, strings_at as u64), (10, strings.len() as u64), (0, 0)]);
        let total = dynamic_at + dynamic.len() * 2 * word;

        let mut out = b"\x7fELF".to_vec();
        out.extend([1 + u8::from(self.is_64), 1 + u8::from(self.is_big), 1, 0]);
        out.extend([0; 8]);
        self.number(&mut out, 3, 2);
        self.number(&mut out, self.machine.into(), 2);
        self.number(&mut out, 1, 4);
        self.number(&mut out, 0, word); // entry
        self.number(&mut out, header as u64, word);
        self.number(&mut out, 0, word); // no sections
        self.number(&mut out, 0, 4);
        for value in [header, segment, 3, 0, 0, 0] {
            self.number(&mut out, value as u64, 2);
        }
        let parts = [
            (1, 0, total),
            (if self.interpreter.is_some() { 3 } else { 0x6fff_0000 }, interpreter_at, interpreter.len()),
            (2, dynamic_at, dynamic.len() * 2 * word),
        ];
        for (kind, at, size) in parts {
            self.number(&mut out, kind, 4);
            if self.is_64 {
                self.number(&mut out, 4, 4);
            }
            for value in [at, at, at, size, size] {
                self.number(&mut out, value as u64, word);
            }
            if !self.is_64 {
                self.number(&mut out, 4, 4);
            }
            self.number(&mut out, 1, word);
        }
        out.extend(interpreter.as_bytes());
        out.extend(&strings);
        out.resize(dynamic_at, 0);
        for (tag, value) in dynamic {
            self.number(&mut out, tag, word);
            self.number(&mut out, value, word);
        }
        out
    }
}

/// A root directory with files.
struct Place(tempfile::TempDir);

impl Place {
    fn new(files: &[(&str, Elf)]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for (name, elf) in files {
            place.put(name, &elf.bytes());
        }
        place
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn link(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(text, path).unwrap();
    }

    fn closure(&self, program: &str) -> Result<Vec<String>, ClosureError> {
        let found = closure(&Root::new(self.0.path()), program.as_bytes(), None)?;
        let mut paths: Vec<String> = found.into_iter().map(|f| String::from_utf8(f.path).unwrap()).collect();
        paths.sort();
        Ok(paths)
    }
}

const LOADER: &str = "/lib/ld-linux-aarch64.so.1";

fn program(needed: &'static [&'static str]) -> Elf {
    Elf { interpreter: Some(LOADER), needed, ..LIB }
}

#[test]
fn e19_a_foreign_machine_is_read_not_run() {
    let place = Place::new(&[
        ("usr/bin/gcc", program(&["liba.so.1", "libc.so.6"])),
        ("lib/ld-linux-aarch64.so.1", LIB),
        ("usr/lib/aarch64-linux-gnu/liba.so.1.2", Elf { needed: &["libb.so", "libc.so.6"], ..LIB }),
        ("lib/aarch64-linux-gnu/libc.so.6", Elf { needed: &["ld-linux-aarch64.so.1"], ..LIB }),
        ("opt/conf/libb.so", LIB),
        // Files of the same names for other machines come first in the search, and are skipped.
        ("lib/aarch64-linux-gnu/liba.so.1", Elf { machine: X86_64, ..LIB }),
        ("lib/aarch64-linux-gnu/libb.so", Elf { machine: ARM, is_64: false, ..LIB }),
    ]);
    place.link("usr/lib/aarch64-linux-gnu/liba.so.1", "/usr/lib/aarch64-linux-gnu/liba.so.1.2");
    place.put("etc/ld.so.conf", b"# comment\ninclude /etc/ld.so.conf.d/*.conf\n");
    place.put("etc/ld.so.conf.d/x.conf", b"/opt/conf\n");
    place.put("etc/ld.so.conf.d/y.other", b"/opt/never\n");
    assert_eq!(
        place.closure("/usr/bin/gcc").unwrap(),
        [
            "/lib/aarch64-linux-gnu/libc.so.6",
            "/lib/ld-linux-aarch64.so.1",
            "/opt/conf/libb.so",
            "/usr/lib/aarch64-linux-gnu/liba.so.1",
        ]
    );
    let read = Program::read(&place.0.path().join("usr/bin/gcc")).unwrap().unwrap();
    assert_eq!(read.machine.platform(), Some("aarch64"));
}

#[test]
fn what_is_missing_is_named_with_who_wants_it() {
    let place = Place::new(&[("p", program(&["liba.so"])), ("lib/liba.so", Elf { needed: &["libgone.so.9"], ..LIB })]);
    let text = |place: &Place| place.closure("/p").unwrap_err().to_string();
    assert_eq!(text(&place), "/p needs /lib/ld-linux-aarch64.so.1, which is not found");
    place.put("lib/ld-linux-aarch64.so.1", &LIB.bytes());
    assert_eq!(text(&place), "/lib/liba.so needs libgone.so.9, which is not found");
    assert_eq!(place.closure("/none").unwrap_err().to_string(), "no program /none");
}

#[test]
fn runpath_is_for_the_file_and_rpath_for_all_it_loads() {
    let files = |rpath, runpath| {
        Place::new(&[
            ("opt/tc/bin/p", Elf { rpath, runpath, ..program(&["libone.so"]) }),
            ("opt/tc/lib/libone.so", Elf { needed: &["libtwo.so"], ..LIB }),
            ("opt/tc/lib/libtwo.so", LIB),
            ("lib/ld-linux-aarch64.so.1", LIB),
        ])
    };
    let all = ["/lib/ld-linux-aarch64.so.1", "/opt/tc/lib/libone.so", "/opt/tc/lib/libtwo.so"];
    assert_eq!(files(Some("$ORIGIN/../lib"), None).closure("/opt/tc/bin/p").unwrap(), all);
    assert_eq!(files(Some("/none:${ORIGIN}/../$LIB"), None).closure("/opt/tc/bin/p").unwrap(), all);
    let error = files(None, Some("$ORIGIN/../lib")).closure("/opt/tc/bin/p").unwrap_err().to_string();
    assert_eq!(error, "/opt/tc/lib/libone.so needs libtwo.so, which is not found");
    // A file with a RUNPATH has its RPATH ignored.
    assert!(files(Some("$ORIGIN/../lib"), Some("/none")).closure("/opt/tc/bin/p").is_err());
}

#[test]
fn origin_is_the_directory_of_the_file_itself() {
    let place = Place::new(&[
        ("opt/tc/bin/p", Elf { runpath: Some("$ORIGIN/../lib"), ..program(&["liba.so"]) }),
        ("opt/tc/lib/liba.so", LIB),
        ("lib/ld-linux-aarch64.so.1", LIB),
    ]);
    place.link("usr/bin/p", "../../opt/tc/bin/p");
    assert_eq!(place.closure("/usr/bin/p").unwrap(), ["/lib/ld-linux-aarch64.so.1", "/opt/tc/lib/liba.so"]);
}

#[test]
fn musl_and_32_bit_big_endian() {
    let big = Elf { machine: 20, is_64: false, is_big: true, ..LIB };
    let place = Place::new(&[
        ("bin/p", Elf { interpreter: Some("/lib/ld-musl-ppc.so.1"), needed: &["libx.so", "libc.so"], ..big.clone() }),
        ("lib/ld-musl-ppc.so.1", big.clone()),
        ("usr/local/lib/libx.so", big.clone()),
        ("special/libc.so", big),
    ]);
    place.put("etc/ld-musl-ppc.path", b"/special\n");
    // musl searches its configured directories first, then its default ones.
    let found = place.closure("/bin/p").unwrap();
    assert_eq!(found, ["/lib/ld-musl-ppc.so.1", "/special/libc.so", "/usr/local/lib/libx.so"]);
}

#[test]
fn static_programs_and_no_programs() {
    let place = Place::new(&[("static", LIB)]);
    place.put("script", b"#!/bin/sh\n");
    assert_eq!(place.closure("/static").unwrap(), [""; 0]);
    assert!(matches!(place.closure("/script"), Err(ClosureError::NoProgram(_))));
    place.put("damaged", b"\x7fELF and then nothing");
    assert!(matches!(place.closure("/damaged"), Err(ClosureError::Program(_))));
    let mut cut = program(&["liba.so"]).bytes();
    cut.truncate(cut.len() - 40);
    place.put("cut", &cut);
    assert!(place.closure("/cut").is_err());
    assert!(Program::read(Path::new("/")).is_err());
}

#[test]
fn damaged_programs_never_panic() {
    let good = Elf { rpath: Some("$ORIGIN"), ..program(&["liba.so", "libb.so"]) }.bytes();
    let place = Place::new(&[]);
    let mut seed = 99u64;
    for _ in 0..3000 {
        let mut bad = good.clone();
        for _ in 0..3 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = (seed >> 33) as usize % bad.len();
            bad[at] = (seed >> 24) as u8;
        }
        place.put("p", &bad);
        let _ = Program::read(&place.0.path().join("p"));
    }
}
