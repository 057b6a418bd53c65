//! What a client asks for, and the tool that makes archives.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use ice_toolchain::native_store::NativeStore;
use tempfile::TempDir;

use super::*;

/// A directory with a tool that does what the script says.
struct Bench {
    base: TempDir,
    builder: Builder,
}

impl Bench {
    fn new(script: &str) -> Self {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("native");
        fs::create_dir(&dir).unwrap();
        let tool = program(base.path(), "tool", &format!("#!/bin/sh\n{script}\n"));
        Self { builder: Builder::new(dir, Tool::open(tool)), base }
    }

    /// Builds for a compiler of no content; `look` sees the archive before it is gone.
    fn build(&self, look: impl FnOnce(&str)) -> Result<(), BuildError> {
        let compiler = program(self.base.path(), "my-gcc-12", "x");
        let request = GetNativeEnv { compiler: compiler.to_str().unwrap().into(), ..GetNativeEnv::default() };
        let key = key(&request, Version::new(43)).unwrap();
        let mut natives = NativeStore::open(self.base.path().join("native")).unwrap();
        self.builder.make(&key, |made| {
            let archive = natives.keep(&key, made)?;
            look(&fs::read_to_string(archive.path.as_str().unwrap()).unwrap());
            Ok(())
        })
    }
}

fn program(dir: &Path, name: &str, content: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

/// The tool packs nothing but shows what it was asked for, and what the compiler must not reach.
#[test]
fn the_tool_is_told_of_compiler_and_hidden_directories_and_nothing_else() {
    let bench = Bench::new("echo \"$@\" > a.tar.gz; env >> a.tar.gz; echo adding; echo creating a.tar.gz");
    let base = bench.base.path().display();
    let hidden = format!("ICECC_CREATE_ENV_HIDES={base}:/var/log/icecc:/var/run/icecc\n");
    let look = |text: &str| {
        assert!(text.contains("my-gcc-12\n") && text.contains("LC_ALL=C") && !text.contains("HOME="), "{text}");
        assert!(text.contains(&hidden), "{text}");
    };
    bench.build(look).unwrap();
    assert!(!bench.base.path().join("native/.new").exists());
}

#[test]
fn what_the_tool_packed_is_read_of_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let part = program(dir.path(), "cc1", "x");
    let said =
        format!("found {0}\nadding file /usr/bin/cc1={0}\nadding file {0}\nadding file /no/such\n", part.display());
    let parts = parts(&said, Begun::now()).unwrap();
    assert_eq!(parts.iter().map(|p| p.path.as_str().unwrap()).collect::<Vec<_>>(), [part.to_str().unwrap(); 2]);
}

#[test]
fn d44_a_tool_that_fails_tells_why() {
    for (script, why) in [
        ("echo no assembler >&2; exit 1", "no assembler"),
        ("echo all is well", "named no archive: empty name"),
        ("echo creating a.tar.gz", "No such file or directory (os error 2)"),
        ("mkdir a.tar.gz; echo creating a.tar.gz", "is no file"),
    ] {
        let bench = Bench::new(script);
        let error = chain(&bench.build(|_| {}).unwrap_err());
        assert!(error.ends_with(why), "{error}");
        assert!(!bench.base.path().join("native/.new").exists());
    }
}

#[test]
fn old_clients_name_a_compiler_by_a_word() {
    let word = |compiler: &str| GetNativeEnv { compiler: compiler.into(), ..GetNativeEnv::default() };
    assert_eq!(c_compiler(&word(""), Version::new(31)), Path::new("/usr/bin/gcc"));
    assert_eq!(c_compiler(&word("clang"), Version::new(38)), Path::new("/usr/bin/clang"));
    assert_eq!(c_compiler(&word("/opt/a-g++-9"), Version::new(43)), Path::new("/opt/a-gcc-9"));
}
