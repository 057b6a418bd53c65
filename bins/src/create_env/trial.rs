//! Trial of an environment before it is published: runs each of its compilers on a small source.
//!
//! The program starts itself again, and that copy changes to a file tree of its own. For a planned environment it is a
//! mount namespace in which each file is mounted over an empty one, so that nothing is copied; for an unpacked one it
//! is its directory. This finds broken environments and does not contain hostile ones: `iceccd` runs foreign compilers
//! in a sandbox.

use crate::exit::Failure;
use ice_toolchain::plan::{Content, Plan};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The first argument of the copy.
pub(crate) const INSIDE: &str = "--inside";
/// Exit code of the copy if it could not make its tree.
const CANNOT: u8 = 3;
/// A compiler and the source of one line that it is tried with.
const TIME_MAX: Duration = Duration::from_secs(60);
const UNIT: &[u8] = b"int f(int x) { return x + 1; }\n";

/// Result of a trial.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// Everything ran; one line for each program.
    Passed(String),
    /// A program failed: the lines up to it, and its output.
    Failed(String),
    /// The environment cannot be tried on this machine, and why.
    Impossible(String),
}

/// A program to run.
struct Check {
    program: &'static str,
    args: &'static [&'static str],
    /// It may be missing, such as the C++ part of a C compiler.
    optional: bool,
}

const fn check(program: &'static str, args: &'static [&'static str], optional: bool) -> Check {
    Check { program, args, optional }
}

const TRUE: Check = check("/bin/true", &[], false);
const AS: Check = check("/usr/bin/as", &["-o", "/tmp/test.o", "/dev/null"], false);
const GCC: [Check; 4] = [
    check("/usr/bin/gcc", &["-fpreprocessed", "-xc", "-c", "-o", "/tmp/test.o", "-"], false),
    check("/usr/bin/cc1", &["-fpreprocessed", "-o", "/tmp/test.s", "-quiet", "-"], true),
    check("/usr/bin/cc1plus", &["-fpreprocessed", "-o", "/tmp/test.s", "-quiet", "-"], true),
    check("/usr/bin/g++", &["-fpreprocessed", "-xc++", "-c", "-o", "/tmp/test.o", "-"], false),
];
const CLANG: [Check; 2] = [
    check("/usr/bin/clang", &["-xc", "-c", "-o", "/tmp/test.o", "-"], false),
    check("/usr/bin/clang", &["-xc++", "-c", "-o", "/tmp/test.o", "-"], false),
];

/// Where the copy mounts its tree: a directory that every machine has and that contains no file of a compiler. A
/// directory made for this would remain if we are killed.
const TREE: &str = "/proc";

/// Tries a planned environment that has not been packed yet.
pub(crate) fn try_plan(plan: &Plan) -> io::Result<Trial> {
    let mut manifest = Vec::new();
    for (name, content) in &plan.entries {
        let (kind, value) = match content {
            Content::File { source, .. } => (b'f', source.as_os_str().as_bytes()),
            Content::Bytes(bytes) => (b'b', bytes.as_slice()),
            Content::Link(text) => (b'l', text.as_slice()),
        };
        manifest.push(kind);
        for field in [name.as_slice(), value] {
            manifest.extend_from_slice(field);
            manifest.push(0);
        }
    }
    start("plan", Path::new(TREE), &manifest)
}

/// Tries an environment that was unpacked into `folder`.
pub(crate) fn try_directory(folder: &Path) -> io::Result<Trial> {
    start("folder", folder, b"")
}

fn start(form: &str, root: &Path, manifest: &[u8]) -> io::Result<Trial> {
    // Not by its path, which this user may not be able to access.
    let mut child = Command::new("/proc/self/exe")
        .args([OsStr::new(INSIDE), OsStr::new(form), root.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // If the copy cannot read it, its exit code shows it.
        let _ = stdin.write_all(manifest);
    }
    let out = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    Ok(match out.status.code() {
        Some(0) => Trial::Passed(text),
        Some(code) if code == i32::from(CANNOT) => Trial::Impossible(text.trim_end().to_string()),
        _ => Trial::Failed(text),
    })
}

/// Runs the copy. `args` are the arguments after [`INSIDE`].
pub(crate) fn inside(args: &[OsString]) -> ExitCode {
    let [form, root] = args else { return ExitCode::from(CANNOT) };
    let entered = enter(form == "plan", Path::new(root));
    if let Err(e) = entered {
        println!("{e}");
        return ExitCode::from(CANNOT);
    }
    match run_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{failure}");
            ExitCode::from(1)
        }
    }
}

fn enter(is_plan: bool, root: &Path) -> Result<(), Failure> {
    let cannot = |what: &str, e: &dyn std::fmt::Display| Failure::new(format!("cannot {what}: {e}"));
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let mut flags = CloneFlags::empty();
    if is_plan {
        flags |= CloneFlags::CLONE_NEWNS;
    }
    if !uid.is_root() {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    if !flags.is_empty() {
        unshare(flags).map_err(|e| cannot("make a namespace", &e))?;
    }
    if !uid.is_root() {
        let map =
            [("setgroups", "deny".to_string()), ("uid_map", format!("0 {uid} 1")), ("gid_map", format!("0 {gid} 1"))];
        for (file, text) in map {
            fs::write(Path::new("/proc/self").join(file), text).map_err(|e| cannot("map ids", &e))?;
        }
    }
    if is_plan {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(|e| cannot("make mounts private", &e))?;
        mount(Some("tmpfs"), root, Some("tmpfs"), MsFlags::empty(), None::<&str>).map_err(|e| cannot("mount", &e))?;
        fill(root).map_err(|e| cannot("make the environment's tree", &e))?;
    }
    for folder in ["tmp", "dev"] {
        fs::create_dir_all(root.join(folder)).map_err(|e| cannot("make a folder", &e))?;
    }
    // `as` reads an empty file; a device cannot be made without privileges, and is not needed.
    if !root.join("dev/null").exists() {
        File::create(root.join("dev/null")).map_err(|e| cannot("make dev/null", &e))?;
    }
    nix::unistd::chroot(root).map_err(|e| cannot("change the root folder", &e))?;
    std::env::set_current_dir("/tmp").map_err(|e| cannot("enter /tmp", &e))
}

/// Makes the tree that the manifest on standard input describes.
fn fill(root: &Path) -> io::Result<()> {
    let mut manifest = Vec::new();
    io::stdin().read_to_end(&mut manifest)?;
    let mut rest = &manifest[..];
    while let Some((kind, fields)) = rest.split_first() {
        let mut parts = fields.splitn(3, |b| *b == 0);
        let (Some(name), Some(value), Some(after)) = (parts.next(), parts.next(), parts.next()) else { break };
        rest = after;
        let path = root.join(PathBuf::from(OsString::from_vec(name.to_vec())));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match kind {
            b'f' => {
                File::create(&path)?;
                mount(Some(OsStr::from_bytes(value)), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            }
            b'b' => fs::write(&path, value)?,
            _ => symlink(OsStr::from_bytes(value), &path)?,
        }
    }
    Ok(())
}

/// Runs all programs inside the environment and prints a line for each.
fn run_all() -> Result<(), Failure> {
    run(&TRUE)?;
    let has = |program: &str| Path::new(program).exists();
    let has_clang = has("/usr/bin/clang");
    println!("Compiler is {}", if has_clang { "clang" } else { "gcc" });
    if has_clang {
        CLANG.iter().try_for_each(run)?;
    }
    // In an environment for clang alone, gcc is a small program that calls clang.
    if !has_clang || has("/usr/bin/cc1") {
        let has_cxx = has("/usr/bin/cc1plus");
        GCC.iter().filter(|c| has_cxx || !c.program.ends_with("++")).try_for_each(run)?;
    }
    run(&AS)
}

fn run(check: &Check) -> Result<(), Failure> {
    let (name, program) = (check.program, Path::new(check.program));
    if !program.is_file() {
        if check.optional {
            return Ok(());
        }
        return Err(Failure::new(format!("{name} is missing or not executable")));
    }
    println!("Checking {name}...");
    let failed = |why: String| Failure::new(format!("{name} failed to execute: {why}"));
    let mut unit = File::create("/tmp/unit").map_err(|e| failed(e.to_string()))?;
    unit.write_all(UNIT).map_err(|e| failed(e.to_string()))?;
    let input = File::open("/tmp/unit").map_err(|e| failed(e.to_string()))?;
    let words = File::options().read(true).write(true).create(true).truncate(true).open("/tmp/words");
    let mut words = words.map_err(|e| failed(e.to_string()))?;
    let errors = words.try_clone().map_err(|e| failed(e.to_string()))?;
    let output = words.try_clone().map_err(|e| failed(e.to_string()))?;
    let mut child = Command::new(program)
        .args(check.args)
        .env_clear()
        .envs([("PATH", "/usr/bin"), ("LC_ALL", "C"), ("TMPDIR", "/tmp")])
        .stdin(input)
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|e| failed(e.to_string()))? {
            Some(status) => break status,
            None if begun.elapsed() > TIME_MAX => {
                // It is our child and does not end; the result of the wait does not matter.
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("not ended after {} s", TIME_MAX.as_secs())));
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    if status.success() {
        return Ok(());
    }
    let mut said = String::new();
    let _ = words.rewind().and_then(|()| Read::take(words, 4096).read_to_string(&mut said));
    Err(failed(format!("{status}: {}", said.trim_end())))
}
