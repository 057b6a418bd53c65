//! Archives that are kept, their index, and the files they are of.

use super::*;
use std::time::SystemTime;
use tempfile::TempDir;

/// A store, a directory of compilers, and one where archives are made.
struct Host {
    base: TempDir,
    store: NativeStore,
}

impl Host {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        for dir in ["native", "bin", "made"] {
            fs::create_dir(base.path().join(dir)).unwrap();
        }
        let store = NativeStore::open(base.path().join("native")).unwrap();
        Self { base, store }
    }

    /// Writes a file, executable, as updates do: another one in its place.
    fn write(&self, name: &str, content: &str) -> PathBuf {
        let (path, new) = (self.base.path().join(name), self.base.path().join("new"));
        fs::write(&new, content).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o755)).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    fn key(&self, compiler: &str) -> NativeKey {
        examine(&self.base.path().join(compiler), &[], &Text::new()).unwrap()
    }

    fn keep(&mut self, key: &NativeKey, content: &str, parts: Vec<FileFacts>) -> Result<Archive, KeepError> {
        let file = self.write("made/a.tar.gz", content);
        let made = Made::new(&self.base.path().join("native"), file, parts)?;
        let kept = self.store.keep(key, made);
        self.store.save().unwrap();
        kept
    }

    /// The archive of `key` that is as new as its files.
    fn current(&self, key: &NativeKey) -> Option<Archive> {
        self.store.index.get(key).filter(|packed| packed.is_current()).map(|packed| packed.archive.clone())
    }
}

/// A time after every change so far.
#[test]
fn d42_an_archive_is_known_until_its_compiler_changes_also_after_a_restart() {
    let mut host = Host::new();
    host.write("bin/my-gcc-12", "x");
    host.write("bin/my-g++-12", "x");
    let key = host.key("bin/my-gcc-12");
    assert_eq!((key.files.len(), host.current(&key)), (2, None));
    let archive = host.keep(&key, "archive", Vec::new()).unwrap();
    assert_eq!(host.current(&key), Some(archive.clone()));

    fs::write(host.base.path().join("native/half"), "made").unwrap();
    host.store = NativeStore::open(host.base.path().join("native")).unwrap();
    assert!(!host.base.path().join("native/half").exists());
    let known = NativeOnDisk { key: key.clone(), archive: archive.clone() };
    assert_eq!(host.store.on_disk().collect::<Vec<_>>(), [known]);
    host.write("bin/my-gcc-12", "longer");
    let changed = host.key("bin/my-gcc-12");
    assert!(changed != key && host.current(&changed).is_none());
    host.store.remove(&key, &archive.path);
    assert!(host.store.on_disk().next().is_none() && !path_of(&archive.path).exists());
}

#[test]
fn gzip_by_name_and_by_default_is_one_archive_and_zstd_another() {
    let host = Host::new();
    let compiler = host.write("bin/gcc", "x");
    let key = |compression: &str| examine(&compiler, &[], &compression.into()).unwrap();
    assert_eq!(key(""), key("gzip"));
    assert_ne!(key(""), key("zstd"));
}

#[test]
fn d42_a_part_that_changes_makes_an_archive_old() {
    let mut host = Host::new();
    host.write("bin/gcc", "x");
    let part = host.write("cc1", "old");
    let parts = || packed([&*part].into_iter(), Begun::now()).unwrap();
    let key = host.key("bin/gcc");
    let first = host.keep(&key, "archive", parts()).unwrap();
    assert_eq!(host.current(&key), Some(first));
    host.write("cc1", "other");
    assert_eq!(host.current(&key), None);
    let second = host.keep(&key, "another", parts()).unwrap();
    assert_eq!(host.current(&key), Some(second.clone()));
    host.store.forget(&key);
    assert!(!host.store.index.contains_key(&key) && !path_of(&second.path).exists());
}

#[test]
fn a_part_that_was_just_written_has_not_changed() {
    let host = Host::new();
    for text in ["x", "y", "z"] {
        let part = host.write("cc1", text);
        let begun = Begun::now();
        assert_eq!(packed([&*part].into_iter(), begun).unwrap().len(), 1);
    }
}

/// Who knows which of the two is in the archive?
#[test]
fn a_part_that_changes_while_it_is_packed_is_noticed() {
    let host = Host::new();
    let (part, linked) = (host.write("cc1", "x"), host.base.path().join("linked"));
    let begun = Begun::now();
    host.write("cc1", "y");
    let changed = packed([&*part].into_iter(), begun).unwrap_err();
    assert!(changed.to_string().ends_with("cc1 changed while it was packed"));
    // A link changes the time of the file's status, but not the file.
    fs::hard_link(&part, &linked).unwrap();
    File::open(&part).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let files = [&*part, Path::new("/no/such/file"), Path::new("relative")];
    assert_eq!(packed(files.into_iter(), begun).unwrap().len(), 1);
}

#[test]
fn no_archive_takes_the_place_of_anothers() {
    let mut host = Host::new();
    for (name, content) in [("bin/gcc", "x"), ("bin/clang", "x"), ("bin/mygcc", "yy")] {
        host.write(name, content);
    }
    let (honest, twin, liar) = (host.key("bin/gcc"), host.key("bin/clang"), host.key("bin/mygcc"));
    let first = host.keep(&honest, "same", Vec::new()).unwrap();
    assert_eq!(host.keep(&twin, "same", Vec::new()).unwrap(), first, "the same content may have the same name");
    let error = host.keep(&liar, "other", Vec::new()).unwrap_err().to_string();
    assert!(error.contains("two archives are named"), "{error}");
    assert!(host.store.on_disk().next().is_none() && !path_of(&first.path).exists());
    assert_eq!(host.keep(&honest, "same", Vec::new()).unwrap(), first);
    let again = host.keep(&honest, "new", Vec::new()).unwrap();
    assert_eq!(fs::read(path_of(&again.path)).unwrap(), b"new", "its own it may replace");
}

#[test]
fn what_several_keys_have_stays_until_the_last_goes() {
    let mut host = Host::new();
    host.write("bin/gcc", "x");
    host.write("bin/clang", "x");
    let keys = [host.key("bin/gcc"), host.key("bin/clang")];
    let kept = keys.each_ref().map(|key| host.keep(key, "same", Vec::new()).unwrap());
    for (key, archive) in keys.iter().zip(&kept) {
        assert!(path_of(&archive.path).exists());
        host.store.remove(key, &archive.path);
    }
    assert!(!path_of(&kept[0].path).exists());
}

#[test]
fn what_is_no_file_is_not_kept() {
    let host = Host::new();
    let made = Made::new(&host.base.path().join("native"), host.base.path().join("bin"), Vec::new());
    assert!(matches!(made, Err(KeepError::NoFile(_))));
}

#[test]
fn d41_what_is_not_there() {
    let host = Host::new();
    let compiler = host.write("bin/gcc", "x");
    let none = Text::new();
    let failed = |compiler: &Path, extra: &[Text], compression: &Text| {
        examine(compiler, extra, compression).unwrap_err().to_string()
    };
    let missing = failed(Path::new("/no/such/gcc"), &[], &none);
    assert_eq!(missing, "Compiler binary /no/such/gcc for environment not found.");
    assert!(failed(&compiler, &["/no/such/file".into()], &none).starts_with("cannot read /no/such/file"));
    assert!(failed(&compiler, &["relative".into()], &none).ends_with("not an absolute path"));
    assert!(failed(&compiler, &[], &"rar".into()).contains("rar"));
}
