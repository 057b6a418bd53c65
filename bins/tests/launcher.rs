//! The launcher with a real compiler: unpack, install, verify, run, kill, remove; as root and as an ordinary user.
//!
//! Has no harness: the launcher may only be forked while there is one thread. Run alone it tests the present user;
//! as root it then runs itself again as an ordinary user. What the host lacks is skipped with the reason.

mod planted;

use ice_bins::iceccd::ended;
use ice_bins::iceccd::launcher::{
    Contents, Ended, How, JobLimits, LaunchError, Launcher, LauncherConfig, RunRequest, RunningJob, UnpackRequest,
    Unpacking,
};
use ice_core::daemon::VerifyTrouble;
use ice_core::env::{EnvId, EnvName};
use ice_core::server::{Collected, Layout, Program, judge};
use ice_sandbox::apply::SingleThread;
use ice_sandbox::channel;
use ice_toolchain::archive::{self, UnpackLimits};
use std::error::Error;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

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

/// Puts an environment of the host's own gcc where the daemon would have it.
fn plant(base: &Path) -> Try {
    let env = base.join("target=x86_64/planted");
    for dir in planted::FOLDERS {
        fs::create_dir_all(env.join(dir))?;
    }
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

/// A toy archive: first `toy !`, then a line per file, "path text"; or a real one, by `toolchain`.
fn unpack_any(mut input: File, _: &EnvName, into: &Path, bytes_max: u64) -> Result<Contents, String> {
    let mut magic = [0; 4];
    if input.read_at(&mut magic, 0).is_ok_and(|_| &magic != b"toy ") {
        let limits = UnpackLimits { expanded: bytes_max, ..UnpackLimits::default() };
        let done = archive::unpack(input, into, &limits).map_err(|e| e.to_string())?;
        return Ok(Contents { digest: done.digest, bytes: done.bytes, files: done.files, renamed: false });
    }
    let mut text = String::new();
    input.read_to_string(&mut text).map_err(|e| e.to_string())?;
    for (path, content) in text.lines().filter_map(|l| l.split_once(' ')) {
        let path = into.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|e| e.to_string())?;
        fs::write(&path, content).map_err(|e| e.to_string())?;
    }
    if text.contains("host") && File::open("/etc/hostname").is_ok() {
        return Err("the host is in sight".to_owned());
    }
    if text.contains("host") && Vec::<u8>::new().try_reserve_exact(2 << 30).is_ok() {
        return Err("memory without bound".to_owned());
    }
    let files = u32::try_from(text.lines().count()).map_err(|e| e.to_string())?;
    Ok(Contents { digest: [7; 32], bytes: text.len() as u64, files, renamed: false })
}

fn config(base: &Path, root: bool) -> LauncherConfig {
    LauncherConfig {
        base: base.to_path_buf(),
        slots: 2,
        owner: root.then_some((USER, USER)),
        job_uid_base: root.then_some(42_000),
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
    let steps: [(&str, Test); 10] = [
        ("verify", verify),
        ("compile", compile),
        ("tree", tree),
        ("kill", kill),
        ("one per slot", one_per_slot),
        ("shortage", shortage),
        ("refusals", refusals),
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

/// A job that waits for input; all its processes hold the other end of what is returned.
fn waiting(launcher: &Launcher, env: &EnvId) -> Result<(RunningJob, OwnedFd), Box<dyn Error>> {
    let (from, to) = channel::pair()?;
    let mut job = request(env, &C, "", "")?;
    job.stdin = from;
    let running = launcher.run(job)?;
    if running.wait(Duration::from_millis(200))?.is_some() {
        return Err("ended by itself".into());
    }
    Ok((running, to))
}

fn launcher_dies(launcher: &Launcher, env: &EnvId) -> Try {
    let (running, to) = waiting(launcher, env)?;
    nix::sys::signal::kill(launcher.pid(), nix::sys::signal::Signal::SIGKILL)?;
    if !launcher.wait_gone(LONG) || !channel::hung_up(&to, LONG) {
        return Err("something lives on".into());
    }
    match (running.wait(LONG), launcher.run(request(env, &C, "", "")?), launcher.verify(env)) {
        (Err(LaunchError::Gone), Err(LaunchError::Gone), Err(VerifyTrouble::Host(_))) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

fn daemon_dies(config: LauncherConfig, env: &EnvId) -> Try {
    let (ours, theirs) = channel::pair()?;
    let single = SingleThread::check()?;
    let daemon = single.fork(|| {
        let held = Launcher::start(config).map_err(Into::into).and_then(|l| waiting(&l, env).map(|(r, to)| (l, r, to)));
        match held {
            Ok((_launcher, _running, to)) => {
                let _ = channel::send(theirs.as_fd(), b"x", &[to.as_fd()]);
                drop(to);
                std::thread::sleep(LONG);
            }
            Err(e) => eprintln!("daemon to die: {e}"),
        }
        1
    })?;
    drop(theirs);
    let to = channel::receive(ours.as_fd(), 10)?.fds.pop().ok_or("it did not start")?;
    nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGKILL)?;
    nix::sys::wait::waitpid(daemon, None)?;
    if channel::hung_up(&to, LONG) { Ok(()) } else { Err("something lives on".into()) }
}

fn verify(launcher: &Launcher, env: &EnvId, base: &Path) -> Try {
    launcher.verify(env).map_err(|trouble| format!("{trouble:?}"))?;
    let cc1 = base.join("target=x86_64/planted/usr/bin/cc1");
    let away = cc1.with_extension("away");
    fs::rename(&cc1, &away)?;
    let broken = launcher.verify(env);
    fs::rename(&away, &cc1)?;
    match broken {
        Err(VerifyTrouble::Environment(reason)) if reason.lossy().contains("cc1") => Ok(()),
        other => Err(format!("without cc1: {other:?}").into()),
    }
}

fn request(env: &EnvId, args: &[&str], source: &str, object: &str) -> Result<RunRequest, Box<dyn Error>> {
    Ok(RunRequest {
        slot: 0,
        env: env.clone(),
        program: Program::Gcc,
        args: args.iter().map(|a| a.as_bytes().to_vec()).collect(),
        layout: Layout { object: object.into(), ..Layout::default() },
        stdin: channel::sealed(source.as_bytes())?,
        stdout: channel::memory()?.into(),
        stderr: channel::memory()?.into(),
        limits: JobLimits::default(),
    })
}

fn end(job: &RunningJob) -> Result<Ended, Box<dyn Error>> {
    Ok(job.wait(LONG)?.ok_or("no end within a minute")?)
}

fn read(fd: Option<OwnedFd>) -> Result<Vec<u8>, Box<dyn Error>> {
    let file = File::from(fd.ok_or("no file")?);
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len())?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

const C: [&str; 7] = ["-x", "c", "-fpreprocessed", "-c", "-", "-o", "hello.o"];

fn compile(launcher: &Launcher, env: &EnvId, base: &Path) -> Try {
    let source = "int printf(const char *, ...);\nint main(void) { return printf(\"hello\\n\") < 0; }\n";
    let ended = end(&launcher.run(request(env, &C, source, "hello.o")?)?)?;
    if ended.how != How::Exited(0) {
        return Err(format!("{ended:?}").into());
    }
    let object = read(ended.object)?;
    let folder = base.parent().ok_or("no parent")?;
    let local = folder.join("local.o");
    let mut cc = Command::new("gcc");
    cc.args(&C[..5]).arg("-o").arg(&local).current_dir(folder).stdin(std::process::Stdio::piped());
    let mut cc = cc.spawn()?;
    cc.stdin.take().ok_or("no stdin")?.write_all(source.as_bytes())?;
    cc.wait()?;
    if object != fs::read(&local)? {
        return Err("the object differs from a local one".into());
    }
    fs::remove_file(&local)?;
    let stderr = channel::memory()?;
    let mut bad = request(env, &C, "int main(void) { return x; }\n", "hello.o")?;
    bad.stderr = stderr.try_clone()?.into();
    let ended = end(&launcher.run(bad)?)?;
    let text = read(Some(stderr.into()))?;
    let named = String::from_utf8_lossy(&text).contains("undeclared");
    if ended.how == How::Exited(1) && ended.object.is_none() && named && ended.usage.page_faults > 0 {
        Ok(())
    } else {
        Err(format!("a wrong program: {ended:?}").into())
    }
}

fn tree(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
    let mut job = request(
        env,
        &["-x", "c", "-fpreprocessed", "-c", "-", "-g", "-o", "../obj/x.o"],
        "int x;\n",
        "r/home/u/obj/x.o",
    )?;
    job.layout.dirs = vec![b"r/home/u/obj".to_vec()];
    job.layout.cwd = b"r/home/u/src".to_vec();
    job.layout.dwo = b"r/home/u/obj/x.dwo".to_vec();
    let stderr = channel::memory()?;
    job.stderr = stderr.try_clone()?.into();
    let ended = end(&launcher.run(job)?)?;
    if ended.object.is_none() {
        return Err(format!("{ended:?} {}", String::from_utf8_lossy(&read(Some(stderr.into()))?)).into());
    }
    let object = read(ended.object)?;
    let cwd = b"/tmp/r/home/u/src";
    if object.windows(cwd.len()).any(|w| w == cwd) && ended.dwo.is_none() { Ok(()) } else { Err("no cwd in it".into()) }
}

fn kill(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
    // Waits for input that never comes.
    let (from, to) = channel::pair()?;
    let mut job = request(env, &C, "", "")?;
    job.stdin = from;
    job.limits.wall = Duration::from_millis(300);
    let running = launcher.run(job)?;
    let ended = end(&running)?;
    if !ended.timed_out {
        return Err(format!("no timeout: {ended:?}").into());
    }
    drop((running, to));
    let (running, to) = waiting(launcher, env)?;
    running.kill();
    // All its processes held the other end.
    if channel::hung_up(&to, LONG) { Ok(()) } else { Err("it lives on".into()) }
}

/// Two jobs of one slot have the same user id, so they must never live at the same time.
fn one_per_slot(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
    let (first, to) = waiting(launcher, env)?;
    let mut next = request(env, &[], "", "")?;
    next.program = Program::True;
    let second = launcher.run(next)?;
    if second.wait(Duration::from_millis(300))?.is_some() {
        return Err("two jobs in one slot".into());
    }
    let mut other = request(env, &[], "", "")?;
    (other.program, other.slot) = (Program::True, 1);
    end(&launcher.run(other)?)?;
    first.kill();
    end(&second)?;
    if channel::hung_up(&to, Duration::ZERO) { Ok(()) } else { Err("the first outlived the second".into()) }
}

/// D53, D54: what a compiler says or how it dies when memory or disk run out is taken for that, not for a wrong program.
fn shortage(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
    // The compiler keeps some ten words of each element.
    let grows = format!("int a[] = {{ {} }};\n", "1,".repeat(8 << 20));
    let large = "char a[8 << 20] = { 1 };\n";
    for (what, source, memory, tmp) in [("memory", grows.as_str(), 96, 64), ("disk", large, 1024, 2)] {
        let mut job = request(env, &C, source, "hello.o")?;
        job.limits = JobLimits { memory: memory << 20, tmp: tmp << 20, wall: LONG, ..job.limits };
        let stderr = channel::memory()?;
        job.stderr = stderr.try_clone()?.into();
        let ended = end(&launcher.run(job)?)?;
        let mut said = Collected::default();
        let text = read(Some(stderr.into()))?;
        said.add(&text);
        let shown = format!("{what}: {ended:?} {}", String::from_utf8_lossy(&text));
        match judge(&ended::told(&ended), Collected::default(), said) {
            Ok(result) if result.out_of_memory == 1 => {}
            _ => return Err(shown.into()),
        }
    }
    Ok(())
}

fn refusals(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
    let mut wrong_slot = request(env, &C, "", "")?;
    wrong_slot.slot = 2;
    let mut missing = request(env, &C, "", "")?;
    missing.program = Program::Clang;
    let absent = request(&EnvId::new(b"x86_64", b"absent")?, &C, "", "")?;
    let answer = |job: RunRequest| launcher.run(job).and_then(|j| j.wait(LONG).map(drop));
    match (answer(wrong_slot), answer(missing), answer(absent)) {
        (
            Err(LaunchError::Refused(slot)),
            Err(LaunchError::NotStarted { missing: true, .. }),
            Err(LaunchError::Refused(no_env)),
        ) if slot.contains("slot 2") && no_env.contains("absent") => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

fn unpack(launcher: &Launcher, _: &EnvId, base: &Path) -> Try {
    let env = EnvId::new(b"x86_64", b"toy")?;
    let send = |text: &str| -> Result<_, Box<dyn Error>> {
        let input = channel::sealed(text.as_bytes())?;
        let request = UnpackRequest { env: env.clone(), input, bytes_max: 1 << 20, wall: LONG };
        match launcher.unpack(request)?.wait(LONG) {
            Ok(result) => Ok(result),
            Err(_) => Err("no end of unpacking".into()),
        }
    };
    let unpacked = send("toy !\nusr/bin/as host\nx y\n")??;
    if unpacked.contents != (Contents { digest: [7; 32], bytes: 26, files: 3, renamed: false }) {
        return Err(format!("{:?}", unpacked.contents).into());
    }
    launcher.install(unpacked)?;
    let place = base.join("target=x86_64/toy");
    let mode = |name: &str| fs::metadata(place.join(name)).map(|m| m.mode() & 0o7777);
    if (mode("tmp")?, mode("")?) != (0o1775, 0o755) || fs::metadata(&place)?.uid() != fs::metadata(base)?.uid() {
        return Err("wrong modes or owner".into());
    }
    // One whose `tmp` is a file is refused, and removed.
    if send("toy !\ntmp file\n")?.is_ok() {
        return Err("installed what it should not".into());
    }
    // What an earlier removal has left is no obstacle.
    launcher.install(send("toy !\nx z\n")??)?;
    if place.join("usr").exists() || fs::read(place.join("x"))? != b"z" {
        return Err("an orphan is in the way".into());
    }
    // Archives that do not end have a bound, which is none for what frees the disk.
    let unfinished = unfinished(launcher)?;
    launcher.remove(&env)?;
    drop(unfinished);
    let start = Instant::now();
    let left =
        || fs::read_dir(base.join("target=x86_64")).map(|d| d.flatten().map(|e| e.file_name()).collect::<Vec<_>>());
    while left()? != ["planted"] {
        if start.elapsed() > LONG {
            return Err(format!("left behind: {:?}", left()?).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// As many archives without an end as are unpacked at a time; one more is refused.
fn unfinished(launcher: &Launcher) -> Result<Vec<(Unpacking, OwnedFd)>, Box<dyn Error>> {
    let mut all = Vec::new();
    for n in 0..33 {
        let env = EnvId::new(b"x86_64", format!("unfinished-{n}").as_bytes())?;
        let (input, end) = nix::unistd::pipe()?;
        let unpacking = launcher.unpack(UnpackRequest { env, input, bytes_max: 1 << 20, wall: LONG })?;
        all.push((unpacking, end));
    }
    let (last, _end) = all.pop().ok_or("none")?;
    match last.wait(LONG) {
        Ok(Err(LaunchError::Refused(_))) => Ok(all),
        other => Err(format!("no bound: {other:?}").into()),
    }
}

/// An archive as 1.4's own program makes it.
fn real_archive(launcher: &Launcher, _: &EnvId, base: &Path) -> Try {
    let folder = base.parent().ok_or("no parent")?.join("archive");
    let found = fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).next();
    let Some(file) = found else {
        println!("skipped: launcher: archive of 1.4: no icecc-create-env that works here");
        return Ok(());
    };
    let name = file.file_stem().ok_or("no name")?;
    let env = EnvId::new(b"x86_64", name.as_encoded_bytes())?;
    let start = Instant::now();
    let request = UnpackRequest { env: env.clone(), input: File::open(&file)?.into(), bytes_max: 1 << 30, wall: LONG };
    let unpacked = launcher.unpack(request)?.wait(LONG).map_err(|_| "no end of unpacking")??;
    println!("archive of 1.4: {:?} in {:?}", unpacked.contents, start.elapsed());
    launcher.install(unpacked)?;
    let start = Instant::now();
    launcher.verify(&env).map_err(|trouble| format!("{trouble:?}"))?;
    println!("archive of 1.4: verified in {:?}", start.elapsed());
    compile(launcher, &env, base)?;
    Ok(launcher.remove(&env)?)
}

/// Many jobs one after the other: each ends well, and none leaves a descriptor open. Prints what a box costs.
fn many(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
    let open = || fs::read_dir("/proc/self/fd").map(Iterator::count);
    let before = open()?;
    let mut times = Vec::new();
    for _ in 0..100 {
        let mut job = request(env, &[], "", "")?;
        job.program = Program::True;
        let start = Instant::now();
        let ended = end(&launcher.run(job)?)?;
        times.push((start.elapsed(), start.elapsed().saturating_sub(ended.usage.real)));
        if ended.how != How::Exited(0) {
            return Err(format!("{ended:?}").into());
        }
    }
    if open()? != before {
        return Err(format!("{} descriptors, {before} before", open()?).into());
    }
    times.sort_unstable();
    let (whole, box_only) = times[50];
    println!("cost: request to end of /bin/true, median of 100: {whole:?}, of that the box {box_only:?}");
    Ok(())
}
