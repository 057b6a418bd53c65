//! What a run leaves behind: nothing when it is ended or the disk is full, and nothing of what a daemon's compiler
//! tries.

use super::{CREATE, Place, as_a_user, lacks};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

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

/// A daemon's request: the program that is asked for its parts sees nothing of the daemon's folders, cannot end its
/// processes, and leaves none behind. The archive comes out all the same, also where the current folder is one of the
/// daemon's.
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
