//! icecc-create-env and icecc-test-env as programs, on this machine's compilers and on broken copies of them
//! (scenarios E…). What needs a compiler that is not installed says so and is skipped.

#![allow(clippy::unwrap_used)] // tests are made of them

mod packed;
mod refused;
mod traces;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CREATE: &str = env!("CARGO_BIN_EXE_icecc-create-env");

const TEST: &str = env!("CARGO_BIN_EXE_icecc-test-env");

/// A folder to make archives in.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str, mode: u32, text: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(CREATE);
        command.args(args).current_dir(self.path());
        command
    }

    /// Runs icecc-create-env; uncompressed, as that is fastest.
    fn make(&self, args: &[&str]) -> Output {
        self.command(args).args(["--compression", "none"]).output().unwrap()
    }

    /// The file name that a successful run told.
    fn made(&self, args: &[&str]) -> String {
        let out = self.make(args);
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        text.lines().last().unwrap().strip_prefix("creating ").unwrap().to_string()
    }

    /// What a refused run said; nothing may be left.
    fn refused(&self, args: &[&str]) -> String {
        let before = self.names();
        let out = self.make(args);
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        assert_eq!(self.names(), before, "{args:?}");
        assert!(!String::from_utf8_lossy(&out.stdout).contains("creating"));
        String::from_utf8(out.stderr).unwrap()
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Names and link texts in an archive.
    fn members(&self, archive: &str) -> BTreeSet<String> {
        let file = fs::File::open(self.path().join(archive)).unwrap();
        let mut tar = tar::Archive::new(file);
        let entries = tar.entries().unwrap();
        entries.map(|e| String::from_utf8(e.unwrap().path_bytes().into_owned()).unwrap()).collect()
    }

    /// A copy of this machine's gcc in a folder of its own, hard-linked where that works.
    fn toolchain(&self) -> PathBuf {
        let ask = |driver: &str, question: &str| {
            let out = Command::new(driver).arg(question).output().unwrap();
            PathBuf::from(String::from_utf8(out.stdout).unwrap().trim_end())
        };
        let cc1 = ask("gcc", "-print-prog-name=cc1");
        // `…/lib/gcc/T/V`, or libexec: the same below our folder.
        let place = cc1.parent().unwrap().strip_prefix("/usr").unwrap().to_path_buf();
        let top = self.path().join("opt/tc");
        for folder in [top.join("bin"), top.join(&place)] {
            fs::create_dir_all(folder).unwrap();
        }
        let copy = |from: &Path, to: PathBuf| {
            let from = fs::canonicalize(from).unwrap();
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
        };
        copy(Path::new("/usr/bin/gcc"), top.join("bin/gcc"));
        copy(Path::new("/usr/bin/g++"), top.join("bin/g++"));
        copy(&cc1, top.join(&place).join("cc1"));
        copy(&ask("g++", "-print-prog-name=cc1plus"), top.join(&place).join("cc1plus"));
        copy(&ask("gcc", "-print-file-name=liblto_plugin.so"), top.join(&place).join("liblto_plugin.so"));
        top
    }
}

fn lacks(program: &str) -> bool {
    let is_missing = !Path::new("/usr/bin").join(program).exists();
    if is_missing {
        eprintln!("skipped: no /usr/bin/{program}");
    }
    is_missing
}

/// A command run by an ordinary user, whoever runs the tests.
fn as_a_user(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    if nix::unistd::Uid::effective().is_root() {
        use std::os::unix::process::CommandExt;
        command.uid(65534).gid(65534);
    }
    command
}
