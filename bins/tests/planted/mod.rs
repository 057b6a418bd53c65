//! An environment of this host's own programs, put together without the project's packer: by a test that needs one,
//! quickly.

#![allow(dead_code, reason = "each test program uses another part")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that an environment has though nothing need be in them.
pub const FOLDERS: [&str; 4] = ["tmp", "dev", "usr/bin", "bin"];

/// The text of a program that is a compiler, or with `-O3` starts processes without end.
const BOMB: &str = include_str!("bomb.c");
/// The text of a program that is a compiler, or on demand takes memory of some kind.
const HOG: &str = include_str!("hog.c");
/// The text of a program that is a compiler, and writes what it may do where another user runs it.
const SPY: &str = include_str!("spy.c");

/// The text of a program that tries calls which no job may make, and is a compiler then.
const CURIOUS: &str = include_str!("curious.c");

/// What compiles C.
pub const C: [&str; 4] = ["gcc", "cc1", "as", "true"];

/// Where in the environment each file has its place, and where on this host it is: these programs, and the libraries of
/// all. A program of gcc's own is asked for at gcc.
pub fn files(programs: &[&str]) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let mut files = BTreeMap::new();
    for name in programs {
        let from = program(name)?.canonicalize()?;
        let ldd = String::from_utf8(Command::new("ldd").arg(&from).output()?.stdout)?;
        for library in ldd.split_whitespace().filter(|word| word.starts_with('/')) {
            files.insert(library.trim_start_matches('/').to_owned(), PathBuf::from(library));
        }
        let folder = if *name == "true" { "bin" } else { "usr/bin" };
        files.insert(format!("{folder}/{name}"), from);
    }
    Ok(files)
}

/// The same as an archive, with these files of text, which can be run, besides.
pub fn archive(programs: &[&str], scripts: &[(&str, &str)]) -> Result<Vec<u8>, Box<dyn Error>> {
    packed(&files(programs)?, scripts)
}

/// An archive whose compiler is [`BOMB`], made in this folder.
pub fn bomb(folder: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    hostile(folder, BOMB)
}

/// An archive whose compiler is [`HOG`], made in this folder.
pub fn hog(folder: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    hostile(folder, HOG)
}

/// An archive whose compiler is [`CURIOUS`], made in this folder.
pub fn curious(folder: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    hostile(folder, CURIOUS)
}

/// An archive whose compiler is a program of this text, which finds the true one beside it.
fn hostile(folder: &Path, text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let program = folder.join("hostile");
    make(&program, text)?;
    let mut files = files(&C)?;
    if let Some(compiler) = files.insert("usr/bin/gcc".to_owned(), program) {
        files.insert("usr/bin/compiler".to_owned(), compiler);
    }
    packed(&files, &[])
}

/// Makes the program of [`BOMB`].
pub fn make_bomb(program: &Path) -> Result<(), Box<dyn Error>> {
    make(program, BOMB)
}

/// Makes the program of [`CURIOUS`].
pub fn make_curious(program: &Path) -> Result<(), Box<dyn Error>> {
    make(program, CURIOUS)
}

/// Whether a sandbox of this host hears of such calls: perhaps not if there are filters above us.
pub fn hears_of_unknown_calls() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.split_whitespace().eq(["Seccomp_filters:", "0"]))
}

/// Makes the program of [`SPY`].
pub fn make_spy(program: &Path) -> Result<(), Box<dyn Error>> {
    make(program, SPY)
}

fn make(program: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let source = program.with_extension("c");
    std::fs::write(&source, text)?;
    let made = Command::new("gcc").arg("-static").arg(source).arg("-o").arg(program).status()?;
    if made.success() { Ok(()) } else { Err("gcc makes no static program".into()) }
}

fn packed(files: &BTreeMap<String, PathBuf>, scripts: &[(&str, &str)]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1)?);
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    for folder in FOLDERS {
        header.set_entry_type(tar::EntryType::Directory);
        tar.append_data(&mut header, folder, std::io::empty())?;
    }
    for (path, from) in files {
        tar.append_path_with_name(from, path)?;
    }
    for (path, text) in scripts {
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, path, text.as_bytes())?;
    }
    Ok(tar.into_inner()?.finish()?)
}

fn program(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let out = Command::new("gcc").arg(format!("-print-prog-name={name}")).output()?;
    let path = PathBuf::from(String::from_utf8(out.stdout)?.trim());
    if path.is_absolute() { Ok(path) } else { which(&path) }
}

fn which(name: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("no {} on this host", name.display()).into())
}
