//! Scripts that people call: each tells what it is for, refuses what it does not know in one line, shows by `--dry-run`
//! what it would change and changes nothing then; and what was installed can be removed again.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ice_lab::Output;
use ice_lab::process::run;

/// How long a script may take that does no work.
const LIMIT: Duration = Duration::from_secs(60);

/// The programs that are installed.
const PROGRAMS: [&str; 8] =
    ["icecc", "icerun", "icecc-create-env", "icecc-test-env", "icedump", "icetop", "iceccd", "icecc-scheduler"];

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts").canonicalize().unwrap()
}

/// Those that can be run, in the folder of scripts and in some below it.
fn all() -> Vec<PathBuf> {
    let folders = ["", "prove.d", "bench.d", "service"].map(|name| scripts().join(name));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let can_run = |path: &PathBuf| path.is_file() && path.metadata().unwrap().permissions().mode() & 0o111 != 0;
    files.filter(can_run).collect()
}

/// A script with these words, in an empty folder as home.
fn call(script: &Path, words: &[&str], home: &Path) -> Output {
    let mut command = Command::new(script);
    run(command.args(words).current_dir(home).env("HOME", home), LIMIT).unwrap()
}

fn succeed(script: &str, words: &[&str], home: &Path) -> String {
    let output = call(&scripts().join(script), words, home);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{script} {words:?}: {said}");
    said + &String::from_utf8(output.stdout).unwrap()
}

/// All below a folder: what a link leads to, or how long a file is.
fn listing(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(place) = left.pop() {
        for entry in fs::read_dir(&place).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let text = if kind.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if kind.is_dir() {
                left.push(path.clone());
                "folder".into()
            } else {
                entry.metadata().unwrap().len().to_string()
            };
            found.insert(path, text);
        }
    }
    found
}

/// A folder with files that stand for the programs.
fn programs(place: &Path) -> String {
    let folder = place.join("programs");
    fs::create_dir(&folder).unwrap();
    for name in PROGRAMS {
        fs::write(folder.join(name), "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

#[test]
fn each_script_tells_what_it_is_for() {
    let home = tempfile::tempdir().unwrap();
    let scripts = all();
    assert!(scripts.len() > 40, "{scripts:?}");
    for script in scripts {
        let output = call(&script, &["--help"], home.path());
        let text = fs::read_to_string(&script).unwrap();
        let heading = text.lines().nth(1).unwrap().trim_start_matches("# ");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}: {:?}", script.display(), output.status);
        assert_eq!(said.lines().next(), Some(heading), "{}", script.display());
    }
    assert!(listing(home.path()).is_empty());
}

#[test]
fn each_script_refuses_what_it_does_not_know() {
    let home = tempfile::tempdir().unwrap();
    // This one passes words to icelab, whose own test is another.
    let of_ours = |path: &PathBuf| path.extension().is_some_and(|name| name == "sh") && !path.ends_with("lab.sh");
    for script in all().into_iter().filter(of_ours) {
        let name = script.file_name().unwrap().to_str().unwrap();
        let output = call(&script, &["--no-such-option"], home.path());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(output.stdout.is_empty() && said.lines().count() == 1, "{name}: {said}");
        assert!(said.starts_with(&format!("{name}: ")) && said.contains("--no-such-option"), "{said}");
    }
    for (script, option) in [("install.sh", "--prefix"), ("setup-host.sh", "--jobs"), ("uninstall.sh", "--destdir")] {
        let output = call(&scripts().join(script), &[option], home.path());
        assert_eq!(output.status.code(), Some(2), "{script} {option}");
        assert!(String::from_utf8(output.stderr).unwrap().starts_with(&format!("{script}: {option} wants ")));
    }
    let output = call(&scripts().join("setup-host.sh"), &["--netname", "a\"; b"], home.path());
    assert_eq!(output.status.code(), Some(2), "what means something to a shell is no setting");
}

#[test]
fn a_dry_run_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path();
    let programs = programs(home);
    let prefix = home.join("prefix");
    let prefix = prefix.to_str().unwrap();
    let files = ["/etc/passwd", "/etc/group", "/etc/subuid", "/etc/icecc/icecc.conf", "/etc/logrotate.d/icecc"];
    let system = || files.map(|path| fs::read(path).ok());
    let (before, system_before) = (listing(home), system());
    let said = succeed("install.sh", &["--prefix", prefix, "--programs", &programs, "--dry-run"], home);
    assert!(said.contains(&format!("+ write {prefix}/bin/icecc\n")), "{said}");
    let words = ["--prefix", prefix, "--scheduler", "--netname", "n1", "--allow", "10.0.0.0/8", "--jobs", "3"];
    let said = succeed("setup-host.sh", &[&words[..], &["--dry-run"]].concat(), home);
    for line in ["ICECC_NETNAME=\"n1\"", "ICECC_ALLOW_NETS=\"10.0.0.0/8\"", "ICECC_MAX_JOBS=\"3\""] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let said = succeed("package.sh", &["--architecture", "arm64", "--version", "7", "--dry-run"], home);
    assert!(said.contains("icecream-rs_7_arm64.deb"), "{said}");
    succeed("package.sh", &["--static", "--dry-run"], home);
    assert_eq!((listing(home), system()), (before, system_before));

    succeed("install.sh", &["--prefix", prefix, "--programs", &programs], home);
    let before = listing(home);
    let said = succeed("uninstall.sh", &["--prefix", prefix, "--dry-run"], home);
    assert!(said.contains(&format!("+ rm -f {prefix}/bin/icecc\n")), "{said}");
    assert_eq!(listing(home), before);
}

#[test]
fn users_set_up_by_a_dry_run_get_nothing() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path();
    let programs = programs(home);
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    for (name, text) in [("ccache", ""), ("none-such-gcc", "")] {
        fs::write(home.join("programs").join(name), format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(home.join("programs").join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let before = listing(home);
    for (script, words) in [("setup-ccache.sh", &["--dry-run"][..]), ("setup-cross.sh", &["none-such", "--dry-run"])] {
        let mut command = Command::new(scripts().join(script));
        let output = run(command.args(words).env("HOME", home).env("PATH", &path), LIMIT).unwrap();
        assert!(output.status.success(), "{script}: {}", output.error_text());
        assert!(output.text().contains("export PATH="), "{script}: {}", output.text());
    }
    assert_eq!(listing(home), before);
}

#[test]
fn what_was_installed_is_removed_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path();
    let programs = programs(home);
    let prefix = home.join("prefix");
    let own = prefix.to_str().unwrap();
    // A file of the user in a folder that others use too, and one in a folder of ours.
    fs::create_dir_all(prefix.join("share/man/man1")).unwrap();
    fs::create_dir(prefix.join("bin")).unwrap();
    fs::write(prefix.join("bin/mine"), "mine").unwrap();
    symlink("mine", prefix.join("bin/also-mine")).unwrap();
    let before = listing(&prefix);
    for _ in 0..2 {
        succeed("install.sh", &["--prefix", own, "--programs", &programs], home);
    }
    // A compiler that came later has a link.
    symlink("../libexec/icecc/icecc", prefix.join("bin/gcc-99")).unwrap();
    symlink("../icecc", prefix.join("libexec/icecc/bin/gcc-99")).unwrap();
    let said = succeed("uninstall.sh", &["--prefix", own], home);
    assert_eq!(listing(&prefix), before, "{said}");
    let output = call(&scripts().join("uninstall.sh"), &["--prefix", own], home);
    assert_eq!(output.status.code(), Some(1), "there is nothing any more");

    // In a root of its own, by Debian's paths: settings stay, unless all is to go.
    let root = home.join("root");
    let words = ["--prefix", "/usr", "--destdir", root.to_str().unwrap()];
    succeed("install.sh", &[&words[..], &["--debian", "--programs", &programs]].concat(), home);
    for (more, left) in [(&[][..], true), (&["--purge"], false)] {
        succeed("uninstall.sh", &[&words[..], more].concat(), home);
        let files = listing(&root);
        let is_left = files.keys().any(|path| path.ends_with("icecc.conf"));
        assert_eq!((is_left, files.values().any(|text| text != "folder")), (left, left), "{files:?}");
    }
}
