//! Archives that are kept, their index, and the tool that makes them.

use super::*;

/// A tool that packs nothing but shows what it was asked for.
const TOOL: &str = "#!/bin/sh\necho \"$@\" > a.tar.gz; env >> a.tar.gz; echo adding; echo creating a.tar.gz\n";

fn natives(folder: &Path, tool: &str) -> Natives {
    let native = folder.join("native");
    fs::create_dir_all(&native).unwrap();
    let path = folder.join("tool");
    fs::write(&path, tool).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    Natives::open(native, Tool::open(path)).unwrap()
}

fn compiler(folder: &Path, name: &str) -> GetNativeEnv {
    let path = folder.join(name);
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    GetNativeEnv { compiler: path.to_str().unwrap().into(), ..GetNativeEnv::default() }
}

#[test]
fn d42_an_archive_is_known_until_its_compiler_changes_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let natives = natives(folder.path(), TOOL);
    let request = compiler(folder.path(), "my-gcc-12");
    compiler(folder.path(), "my-g++-12");
    let look = |n: &Natives| n.examine(&request, Version::new(43)).unwrap();
    let (key, none) = look(&natives);
    assert_eq!((key.files.len(), none), (2, None));
    let archive = natives.build(&key).unwrap();
    assert_eq!(look(&natives).1, Some(archive.clone()));
    let text = fs::read_to_string(archive.path.as_str().unwrap()).unwrap();
    assert!(text.contains("my-gcc-12\n") && text.contains("LC_ALL=C") && !text.contains("HOME="), "{text}");
    // What the compiler must not reach.
    let hidden = format!("ICECC_CREATE_ENV_HIDES={}:/var/log/icecc:/var/run/icecc\n", folder.path().display());
    assert!(text.contains(&hidden), "{text}");

    let again = Natives::open(folder.path().join("native"), Tool::open(folder.path().join("tool"))).unwrap();
    assert_eq!(again.on_disk(), [NativeOnDisk { key: key.clone(), archive: archive.clone() }]);
    fs::write(folder.path().join("my-gcc-12"), "longer").unwrap();
    let (changed, none) = look(&again);
    assert!(changed != key && none.is_none());
    again.remove(&key, &archive.path);
    assert!(again.on_disk().is_empty() && !is_there(&archive));
}

#[test]
fn gzip_by_name_and_by_default_is_one_archive_and_zstd_another() {
    let folder = tempfile::tempdir().unwrap();
    let natives = natives(folder.path(), TOOL);
    let request = compiler(folder.path(), "gcc");
    let key = |compression: &str| {
        let request = GetNativeEnv { compression: compression.into(), ..request.clone() };
        natives.examine(&request, Version::new(44)).unwrap().0
    };
    assert_eq!(key(""), key("gzip"));
    assert_ne!(key(""), key("zstd"));
}

#[test]
fn d42_a_part_that_changes_makes_an_archive_old() {
    let folder = tempfile::tempdir().unwrap();
    let (part, now) = (folder.path().join("cc1"), folder.path().join("now"));
    fs::write(&part, "old").unwrap();
    let said =
        format!("[ ! -e {1} ] || echo new >{0}; echo adding file /usr/bin/cc1={0}", part.display(), now.display());
    let natives =
        natives(folder.path(), &format!("#!/bin/sh\n{said}; cp {0} $$.tar; echo creating $$.tar\n", part.display()));
    let request = compiler(folder.path(), "gcc");
    let look = || natives.examine(&request, Version::new(43)).unwrap();
    let a_while = || std::thread::sleep(TICK * 3);
    let (key, _) = look();
    a_while();
    let first = natives.build(&key).unwrap();
    assert_eq!(look().1, Some(first.clone()));
    fs::write(&part, "other").unwrap();
    assert_eq!(look(), (key.clone(), None));
    a_while();
    let second = natives.build(&key).unwrap();
    assert_eq!(look().1, Some(second.clone()));
    assert!(!path_of(&first.path).exists());
    // One that changes while it is packed: who knows which is in there.
    a_while();
    fs::write(&now, "").unwrap();
    assert!(natives.build(&key).unwrap_err().to_string().contains("cc1 changed while it was packed"));
    assert!(natives.on_disk().is_empty() && !path_of(&second.path).exists());
}

#[test]
fn a_tool_cannot_put_its_archive_in_the_place_of_anothers() {
    let folder = tempfile::tempdir().unwrap();
    let natives = natives(folder.path(), "#!/bin/sh\ncat \"$1\" >same.tar; echo creating same.tar\n");
    let key = |name: &str, content: &str| {
        let request = compiler(folder.path(), name);
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{content}")).unwrap();
        natives.examine(&request, Version::new(43)).unwrap().0
    };
    let (honest, twin, liar) = (key("gcc", "true"), key("clang", "true"), key("mygcc", "false"));
    let first = natives.build(&honest).unwrap();
    assert_eq!(natives.build(&twin).unwrap(), first, "the same content may have the same name");
    let error = natives.build(&liar).unwrap_err().to_string();
    assert!(error.contains("two archives are named"), "{error}");
    assert!(natives.on_disk().is_empty() && !path_of(&first.path).exists());
    assert_eq!(natives.build(&honest).unwrap(), first);
}

#[test]
fn d41_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let natives = natives(folder.path(), TOOL);
    let request = compiler(folder.path(), "gcc");
    let failed = |r: &GetNativeEnv| natives.examine(r, Version::new(43)).unwrap_err().to_string();
    let missing = GetNativeEnv { compiler: "/no/such/gcc".into(), ..request.clone() };
    assert_eq!(failed(&missing), "Compiler binary /no/such/gcc for environment not found.");
    let extra = GetNativeEnv { extra_files: vec!["/no/such/file".into()], ..request.clone() };
    assert!(failed(&extra).starts_with("cannot read /no/such/file"));
    let packed = GetNativeEnv { compression: "rar".into(), ..request };
    assert!(failed(&packed).contains("rar"));
}

#[test]
fn d44_a_tool_that_fails_tells_why() {
    let folder = tempfile::tempdir().unwrap();
    let natives = natives(folder.path(), "#!/bin/sh\necho no assembler >&2; exit 1\n");
    let (key, _) = natives.examine(&compiler(folder.path(), "gcc"), Version::new(43)).unwrap();
    assert!(natives.build(&key).unwrap_err().to_string().ends_with("no assembler"));
    assert!(!folder.path().join("native/.new").exists());
}

#[test]
fn old_clients_name_a_compiler_by_a_word() {
    let word = |compiler: &str| GetNativeEnv { compiler: compiler.into(), ..GetNativeEnv::default() };
    assert_eq!(c_compiler(&word(""), Version::new(31)), Path::new("/usr/bin/gcc"));
    assert_eq!(c_compiler(&word("clang"), Version::new(38)), Path::new("/usr/bin/clang"));
    assert_eq!(c_compiler(&word("/opt/a-g++-9"), Version::new(43)), Path::new("/opt/a-gcc-9"));
}
