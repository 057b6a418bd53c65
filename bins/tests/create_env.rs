//! icecc-create-env and icecc-test-env as programs, on this machine's compilers and on broken copies of them
//! (scenarios E…). What needs a compiler that is not installed says so and is skipped.

#![allow(clippy::unwrap_used)] // tests are made of them

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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

#[test]
fn e14_known_words_and_codes() {
    let place = Place::new();
    for (args, words) in [
        (&["gcc", "--compression", "zst"][..], "Unknown compression type 'zst'."),
        (&["gcc", "--frob"], "Unknown argument '--frob'"),
        (&["/none/gcc"], "/none/gcc is not a compiler."),
        (&["/bin/ls"], "/bin/ls is not a compiler."),
        (&["no-such-compiler"], "no-such-compiler is not a compiler."),
        (&[], "Usage: icecc-create-env COMPILER"),
    ] {
        let out = place.command(args).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        assert!(said.lines().any(|l| l.starts_with(words)), "{args:?}: {said}");
    }
    for (option, words) in [("--help", "Usage: "), ("--version", "icecc-create-env ")] {
        let out = place.command(&[option]).output().unwrap();
        assert!(out.status.success() && String::from_utf8(out.stdout).unwrap().contains(words));
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

/// Ended at any moment: nothing new is left, and an older archive of the name is as it was.
#[test]
fn e15_sigterm_leaves_nothing() {
    if lacks("g++") {
        return;
    }
    let place = Place::new();
    let archive = place.made(&["gcc"]);
    fs::write(place.path().join(&archive), "older").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let before = place.names();
    // While it tries the compilers, and while it packs.
    for (options, moment) in [(&["--compression", "none"][..], "adding file"), (&["--no-check"], "creating ")] {
        let mut command = place.command(&["gcc"]);
        command.args(options).env("TMPDIR", scratch.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.find(|line| line.as_ref().unwrap().starts_with(moment)).unwrap().unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert!(!child.wait().unwrap().success(), "{moment}: too late");
        assert_eq!(place.names(), before, "{moment}");
        assert_eq!(fs::read(place.path().join(&archive)).unwrap(), b"older", "{moment}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{moment}");
    }
}

#[test]
fn e15_a_full_disk_leaves_nothing() {
    if lacks("g++") {
        return;
    }
    let place = Place::new();
    let archive = place.made(&["gcc"]);
    let user = if nix::unistd::geteuid().is_root() { "" } else { "--map-root-user" };
    let script = format!(
        "mount -t tmpfs -o size=4m none . && cd \"$PWD\" && echo older >{archive} || exit 77
        {CREATE} gcc --no-check --compression none; echo $?; ls -A; cat {archive}"
    );
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec unshare {user} --mount sh -c '{script}'")]).current_dir(place.path());
    let out = command.output().unwrap();
    if !out.status.success() {
        eprintln!("skipped: no small file system: {}", String::from_utf8_lossy(&out.stderr));
        return;
    }
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.ends_with(&format!("\n3\n{archive}\nolder\n")), "{said}");
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(words.contains("Couldn't create archive") && words.contains("No space left on device"), "{words}");
}

/// Broken toolchains are named where they are packed, never on a server.
#[test]
fn broken_toolchains_are_named() {
    if lacks("g++") {
        return;
    }
    let broken = |damage: &dyn Fn(&Path, &Place), words: &str| {
        let place = Place::new();
        let top = place.toolchain();
        damage(&top, &place);
        let said = place.refused(&[top.join("bin/gcc").to_str().unwrap()]);
        assert!(said.contains(words), "{words}: {said}");
    };
    let find = |top: &Path, name: &str| {
        let out = Command::new("find").arg(top).args(["-name", name]).output().unwrap();
        PathBuf::from(String::from_utf8(out.stdout).unwrap().trim_end())
    };
    let replace = |path: &Path, bytes: &[u8]| {
        // Not written through: it may be a hard link to the machine's own compiler.
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let patched = |path: &Path, from: &[u8], to: &[u8]| {
        let mut bytes = fs::read(path).unwrap();
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(from.len()).position(|w| w == from) {
            bytes[at + found..at + found + to.len()].copy_from_slice(to);
            at += found + to.len();
        }
        replace(path, &bytes);
    };
    broken(
        &|top, _| patched(&find(top, "cc1plus"), b"/lib64/ld-linux-x86-64.so.2", b"/lib64/ld-missing-64.so.2\0"),
        "ld-missing-64.so.2",
    );
    broken(
        &|top, _| patched(&find(top, "cc1plus"), b"libmpfr.so.6", b"libnone.so.6"),
        "needs libnone.so.6, which is not found",
    );
    broken(
        &|top, _| patched(&find(top, "liblto_plugin.so"), b"libc.so.6", b"libq.so.6"),
        "needs libq.so.6, which is not found",
    );
    broken(&|top, _| replace(&find(top, "cc1plus"), b"\x7fELF damaged"), "cc1plus is a damaged program");
    broken(&|top, _| replace(&find(top, "cc1plus"), &fs::read("/bin/false").unwrap()), "the environment does not work");
    broken(
        &|top, _| {
            let cc1plus = find(top, "cc1plus");
            let mut bytes = fs::read(&cc1plus).unwrap();
            bytes[18] = 183; // EM_AARCH64
            replace(&cc1plus, &bytes);
        },
        "cc1plus is for aarch64, the compiler for x86_64",
    );
}

#[test]
fn a_cross_compiler_without_its_assembler_or_cc1_is_refused() {
    if lacks("g++") {
        return;
    }
    let place = Place::new();
    // A gcc that says it is for another machine; everything else is this machine's.
    let gcc = fs::canonicalize("/usr/bin/gcc").unwrap();
    let script = |extra: &str| {
        format!("#!/bin/sh\nfor a in \"$@\"; do case $a in\n{extra}\nesac; done\nexec {} \"$@\"\n", gcc.display())
    };
    let text = script("-v) echo COLLECT_GCC=/bin/sh >&2; exit;;");
    let odd = place.file("odd-gcc", 0o755, text.as_bytes());
    let said = place.refused(&[odd.to_str().unwrap()]);
    assert!(!said.is_empty());
    let nothing = place.file("not-gcc", 0o755, b"#!/bin/sh\necho neither; exit 0\n");
    assert!(place.refused(&[nothing.to_str().unwrap()]).contains("is not a known compiler."));
    let silent = place.file("silent-gcc", 0o755, script("-v) exit;;").as_bytes());
    assert!(place.refused(&[silent.to_str().unwrap()]).contains("Failed to find gcc location."));
}

/// E18: `as` must be the target's. A gcc that is made to say another triple of the same length stands for a cross compiler.
#[test]
fn e18_a_cross_compiler_needs_its_own_assembler() {
    const NATIVE: &[u8] = b"x86_64-linux-gnu";
    const OTHER: &str = "mips64-linux-gnu";
    let is_ours = |text: &[u8]| text.trim_ascii() == NATIVE;
    if lacks("g++") || !is_ours(&Command::new("gcc").arg("-dumpmachine").output().unwrap().stdout) {
        eprintln!("skipped: not x86_64-linux-gnu");
        return;
    }
    let place = Place::new();
    let top = place.toolchain();
    for driver in ["gcc", "g++"] {
        let path = top.join("bin").join(driver);
        let mut bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() - NATIVE.len() {
            if bytes[at..].starts_with(NATIVE) {
                bytes[at..at + NATIVE.len()].copy_from_slice(OTHER.as_bytes());
            }
        }
        fs::remove_file(&path).unwrap();
        place.file(&format!("opt/tc/bin/{OTHER}-{driver}"), 0o755, &bytes);
    }
    let lib = top.join("lib/gcc");
    fs::rename(lib.join("x86_64-linux-gnu"), lib.join(OTHER)).unwrap();
    let gcc = top.join("bin").join(format!("{OTHER}-gcc"));
    let said = place.refused(&[gcc.to_str().unwrap()]);
    assert!(said.contains("has no assembler for mips64-linux-gnu (as)"), "{said}");
    fs::copy("/usr/bin/as", top.join("bin").join(format!("{OTHER}-as"))).unwrap();
    let archive = place.made(&[gcc.to_str().unwrap()]);
    let mut tar = tar::Archive::new(fs::File::open(place.path().join(&archive)).unwrap());
    let mut info = String::new();
    let entry = tar.entries().unwrap().map(Result::unwrap).find(|e| &*e.path_bytes() == b"usr/share/icecream/env");
    std::io::Read::read_to_string(&mut entry.unwrap(), &mut info).unwrap();
    assert!(info.contains("target mips64-linux-gnu\nplatform x86_64\n"), "{info}");
}

/// A daemon's request: the program that is asked for its parts sees nothing of the daemon's folders, cannot end its processes, and
/// leaves none behind. The archive comes out all the same, also where the current folder is one of the daemon's.
#[test]
fn what_a_daemon_has_asked_is_apart_from_that_daemon() {
    if !as_a_user(&["unshare", "-Urm", "true"]).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: users may not make namespaces here");
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let at = |name: &str| place.path().join(name);
    for folder in ["cache", "cache/native", "cache/native/.new", "logs"] {
        fs::create_dir(at(folder)).unwrap();
        fs::set_permissions(at(folder), fs::Permissions::from_mode(0o777)).unwrap();
    }
    place.file("cache/secret", 0o666, b"secret");
    let mut daemon = as_a_user(&["sleep", "600"]).spawn().unwrap();
    let spy = format!(
        "#!/bin/sh\ncd {}\n[ -e spied ] || {{ mkdir spied; (sleep 700 >spied/begun 2>&1 <spied/begun &); kill -9 {}; \
         {{ ls -A cache cache/native logs; cat cache/secret cache/native/.new/../../secret; echo x >logs/new; echo x >cache/secret; \
         }} >spied/said 2>&1; }}\nexec gcc \"$@\"\n",
        place.path().display(),
        daemon.id(),
    );
    place.file("gcc-spy", 0o755, spy.as_bytes());
    let tool = at("create-env");
    fs::copy(CREATE, &tool).unwrap();
    let mut command = as_a_user(&[tool.to_str().unwrap(), at("gcc-spy").to_str().unwrap(), "--compression", "none"]);
    let hides = format!("{}:/nonexistent:{}", at("cache").display(), at("logs").display());
    let out = command.current_dir(at("cache/native/.new")).env("ICECC_CREATE_ENV_HIDES", hides).output().unwrap();
    let lives = daemon.try_wait().unwrap().is_none();
    let _ = daemon.kill();
    let _ = daemon.wait();
    let words = String::from_utf8_lossy(&out.stderr);
    if words.contains("is not a compiler") {
        eprintln!("skipped: no gcc to be asked");
        return;
    }
    assert!(at("spied/begun").exists(), "the spy did not run: {words}");
    assert!(lives, "it reached a process of its user");
    let said = fs::read_to_string(at("spied/said")).unwrap();
    assert!(!said.lines().any(|line| line.starts_with("secret")), "{said}");
    assert_eq!(fs::read(at("cache/secret")).unwrap(), b"secret");
    assert!(!at("logs/new").exists());
    assert!(out.status.success(), "{words}");
    let made = String::from_utf8(out.stdout).unwrap();
    let name = made.lines().last().unwrap().strip_prefix("creating ").unwrap();
    assert!(at("cache/native/.new").join(name).is_file());
    let sleeps = |entry: &fs::DirEntry| fs::read(entry.path().join("cmdline")).is_ok_and(|c| c == b"sleep\x00700\x00");
    assert!(!fs::read_dir("/proc").unwrap().flatten().any(|entry| sleeps(&entry)), "it left a process behind");
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
