//! The launcher with a real compiler: unpack, install, verify, run, kill, remove; as root and as an ordinary user.
//!
//! Has no harness: the launcher may only be forked while there is one thread. Run alone it tests the present user;
//! as root it then runs itself again as an ordinary user. What the host lacks is skipped with the reason.

mod archives;
mod calls;
mod deaths;
mod jobs;
#[path = "../planted/mod.rs"]
mod planted;

use archives::{real_archive, unpack, unpack_any};
use deaths::{daemon_dies, launcher_dies};
use ice_core::env::EnvId;
use ice_launcher::{JobLimits, Launcher, LauncherConfig};
use jobs::{bomb, compile, kill, many, one_per_slot, refusals, shortage, tree, verify};
use std::error::Error;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

type Try = Result<(), Box<dyn Error>>;

type Test = fn(&Launcher, &EnvId, &Path) -> Try;

const AS_USER: &str = "LAUNCHER_TEST_BASE";

const USER: u32 = 41_000;

const LONG: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let asked = |option: &str| std::env::args().any(|argument| argument == option);
    if asked("--list") {
        if !asked("--ignored") {
            println!("launcher: test");
        }
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => {
            println!("test result: ok. 1 passed;");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("launcher: FAILED: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Try {
    if let Some(base) = std::env::var_os(AS_USER) {
        return all(Path::new(&base), "ordinary user");
    }
    let folder = tempfile::Builder::new().prefix("launcher").tempdir()?;
    let base = folder.path().join("envs");
    fs::create_dir(&base)?;
    let me = fs::metadata(&base)?.uid();
    if let Err(reason) = plant(&base) {
        println!("skipped: launcher: {reason}");
        return Ok(());
    }
    // Uncompressed, for speed.
    let archive = folder.path().join("archive");
    fs::create_dir(&archive)?;
    let mut make = Command::new("icecc-create-env");
    let _ = make.args(["/usr/bin/gcc", "--compression", "none"]).current_dir(&archive).output();
    // The second is a root who may do little: that of a user namespace.
    if me != 0 || give(folder.path(), USER).is_err() {
        return all(&base, "ordinary user");
    }
    all(&base, "root")?;
    // The program itself may lie where that user cannot go.
    let own = folder.path().join("launcher-test");
    fs::copy(std::env::current_exe()?, &own)?;
    let status = Command::new(own).env(AS_USER, &base).uid(USER).gid(USER).status()?;
    if status.success() { Ok(()) } else { Err(format!("as an ordinary user: {status}").into()) }
}

/// Puts an environment of the host's own gcc where the daemon would have it, and one of a hostile compiler.
fn plant(base: &Path) -> Try {
    let (env, hostile) = (base.join("target=x86_64/planted"), base.join("target=x86_64/bomb"));
    for dir in planted::FOLDERS {
        fs::create_dir_all(env.join(dir))?;
        fs::create_dir_all(hostile.join(dir))?;
    }
    planted::make_bomb(&hostile.join("usr/bin/gcc"))?;
    let programs = [&planted::C[..], &["g++", "cc1plus", "sh"]].concat();
    for (path, from) in planted::files(&programs)? {
        let to = env.join(path);
        fs::create_dir_all(to.parent().ok_or("no parent")?)?;
        fs::copy(from, to)?;
    }
    Ok(())
}

fn give(path: &Path, uid: u32) -> Try {
    chown(path, Some(uid), Some(uid))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid)?;
        }
    }
    Ok(())
}

fn config(base: &Path, root: bool) -> LauncherConfig {
    LauncherConfig {
        base: base.to_path_buf(),
        slots: 2,
        owner: root.then_some((USER, USER)),
        job_uid_base: root.then_some(42_000),
        own_tasks: 0,
        nice: 0,
        limits: JobLimits::default(),
        unpack: unpack_any,
        detached: false,
    }
}

fn all(base: &Path, who: &str) -> Try {
    let root = who == "root";
    let launcher = Launcher::start(config(base, root))?;
    println!("launcher as {who}:\n{}", launcher.guarantees());
    if let Err(reason) = launcher.guarantees().accepts_jobs() {
        println!("skipped: launcher as {who}: {reason}");
        return Ok(());
    }
    let env = EnvId::new(b"x86_64", b"planted")?;
    let steps: [(&str, Test); 13] = [
        ("verify", verify),
        ("compile", compile),
        ("tree", tree),
        ("kill", kill),
        ("one per slot", one_per_slot),
        ("bomb", bomb),
        ("shortage", shortage),
        ("refusals", refusals),
        ("known calls", calls::known),
        ("unknown calls", calls::unknown),
        ("unpack", unpack),
        ("archive of 1.4", real_archive),
        ("many", many),
    ];
    for (name, step) in steps {
        step(&launcher, &env, base).map_err(|e| format!("{name} as {who}: {e}"))?;
        println!("row: launcher as {who}: {name}: ok");
    }
    if launcher.wait_gone(Duration::ZERO) {
        return Err("the launcher died".into());
    }
    launcher_dies(&launcher, &env).map_err(|e| format!("death of the launcher as {who}: {e}"))?;
    println!("row: launcher as {who}: its death ends its jobs: ok");
    drop(launcher);
    daemon_dies(config(base, root), &env).map_err(|e| format!("death of the daemon as {who}: {e}"))?;
    println!("row: launcher as {who}: the daemon's death ends its jobs: ok");
    Ok(())
}
