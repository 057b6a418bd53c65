//! Jobs of files mode with real compilers in the sandbox, in a tree that the test makes of this host's files: as root
//! and as an ordinary user.
//!
//! Has no harness: the launcher may only be forked while there is one thread. As root it then runs itself again as an
//! ordinary user. What the host lacks is skipped with the reason.

mod compile;
mod host;
mod hostile;
mod writes;

use host::{Host, Try};
use ice_launcher::{JobLimits, Launcher, LauncherConfig};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

const AS_USER: &str = "FILES_JOBS_TEST_BASE";

const USER: u32 = 41_000;

type Test = fn(&Launcher, &mut Host, &Path) -> Try;

fn main() -> ExitCode {
    let asked = |option: &str| std::env::args().any(|argument| argument == option);
    if asked("--list") {
        if !asked("--ignored") {
            println!("files_jobs: test");
        }
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => {
            println!("test result: ok. 1 passed;");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("files_jobs: FAILED: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Try {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    if let Some(folder) = std::env::var_os(AS_USER) {
        return all(Path::new(&folder), "ordinary user");
    }
    let folder = tempfile::Builder::new().prefix("files_jobs").tempdir()?;
    let me = fs::metadata(folder.path())?.uid();
    for name in ["store", "project"] {
        fs::create_dir(folder.path().join(name))?;
        if me == 0 {
            chown(folder.path().join(name), Some(USER), Some(USER))?;
        }
    }
    if me != 0 {
        return all(folder.path(), "ordinary user");
    }
    chown(folder.path(), Some(USER), Some(USER))?;
    all(folder.path(), "root")?;
    for name in ["store", "project"] {
        fs::remove_dir_all(folder.path().join(name))?;
        fs::create_dir(folder.path().join(name))?;
        chown(folder.path().join(name), Some(USER), Some(USER))?;
    }
    // The program itself may lie where that user cannot go.
    let own = folder.path().join("files-jobs-test");
    fs::copy(std::env::current_exe()?, &own)?;
    let status = Command::new(own).env(AS_USER, folder.path()).uid(USER).gid(USER).status()?;
    if status.success() { Ok(()) } else { Err(format!("as an ordinary user: {status}").into()) }
}

fn config(base: &Path, root: bool) -> LauncherConfig {
    LauncherConfig {
        base: base.to_path_buf(),
        slots: 2,
        owner: root.then_some((USER, USER)),
        job_uid_base: root.then_some(44_000),
        own_tasks: 0,
        nice: 0,
        limits: JobLimits::default(),
        unpack: |_, _, _, _| Err("not tested here".to_owned()),
        detached: false,
    }
}

fn all(folder: &Path, who: &str) -> Try {
    let (store, project) = (folder.join("store"), folder.join("project").canonicalize()?);
    let launcher = Launcher::start(config(&store, who == "root"))?;
    if let Err(reason) = launcher.files() {
        println!("skipped: files_jobs as {who}: {reason}");
        return Ok(());
    }
    let mut host = Host::new(&store)?;
    let steps: [(&str, Test); 14] = [
        ("C", compile::c),
        ("C++", compile::cxx),
        ("absent", compile::absent),
        ("edited", compile::edited),
        ("side file", compile::side_file),
        ("wrapper", compile::wrapper),
        ("broken", compile::broken),
        ("writes", writes::rows),
        ("inputs", writes::inputs),
        ("probes", hostile::probes),
        ("refusals", hostile::refusals),
        ("bomb", hostile::bomb),
        ("deaths", hostile::deaths),
        ("cost", hostile::cost),
    ];
    for (name, step) in steps {
        step(&launcher, &mut host, &project).map_err(|e| format!("{name} as {who}: {e}"))?;
        println!("row: files_jobs as {who}: {name}: ok");
    }
    Ok(())
}
