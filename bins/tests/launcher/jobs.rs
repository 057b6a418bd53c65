//! What runs in a box: how it compiles, ends, is killed, runs short and is refused.

use super::{LONG, Try};
use ice_bins::iceccd::ended;
use ice_core::daemon::VerifyFailure;
use ice_core::env::EnvId;
use ice_core::server::{Collected, judge};
use ice_launcher::{Ended, How, JobLimits, LaunchError, Launcher, Layout, Program, RunRequest, RunningJob};
use ice_sandbox::channel;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

pub const C: [&str; 7] = ["-x", "c", "-fpreprocessed", "-c", "-", "-o", "hello.o"];

/// A job that waits for input; all its processes hold the other end of what is returned.
pub fn waiting(launcher: &Launcher, env: &EnvId) -> Result<(RunningJob, OwnedFd), Box<dyn Error>> {
    let (from, to) = channel::pair()?;
    let mut job = request(env, &C, "", "")?;
    job.stdin = from;
    let running = launcher.run(job)?;
    if running.wait(Duration::from_millis(200))?.is_some() {
        return Err("ended by itself".into());
    }
    Ok((running, to))
}

pub fn request(env: &EnvId, args: &[&str], source: &str, object: &str) -> Result<RunRequest, Box<dyn Error>> {
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

pub fn end(job: &RunningJob) -> Result<Ended, Box<dyn Error>> {
    Ok(job.wait(LONG)?.ok_or("no end within a minute")?)
}

pub fn read(fd: Option<OwnedFd>) -> Result<Vec<u8>, Box<dyn Error>> {
    let file = File::from(fd.ok_or("no file")?);
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len())?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

pub fn verify(launcher: &Launcher, env: &EnvId, base: &Path) -> Try {
    launcher.verify(env, &AtomicBool::new(false)).map_err(|trouble| format!("{trouble:?}"))?;
    let cc1 = base.join("target=x86_64/planted/usr/bin/cc1");
    let away = cc1.with_extension("away");
    fs::rename(&cc1, &away)?;
    let broken = launcher.verify(env, &AtomicBool::new(false));
    fs::rename(&away, &cc1)?;
    match broken {
        Err(VerifyFailure::Environment(reason)) if reason.lossy().contains("cc1") => {}
        other => return Err(format!("without cc1: {other:?}").into()),
    }
    match launcher.verify(env, &AtomicBool::new(true)) {
        Err(VerifyFailure::Stopped) => Ok(()),
        other => Err(format!("stopped: {other:?}").into()),
    }
}

pub fn compile(launcher: &Launcher, env: &EnvId, base: &Path) -> Try {
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

pub fn tree(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
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

pub fn kill(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
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
pub fn one_per_slot(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
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

/// A job that starts processes without end leaves the other slot enough for a compile.
pub fn bomb(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
    let mut hostile = request(&EnvId::new(b"x86_64", b"bomb")?, &["-O3"], "", "")?;
    let (full, stdout) = channel::pair()?;
    hostile.stdout = stdout;
    let running = launcher.run(hostile)?;
    if !channel::readable(&full, LONG)? {
        return Err("no end of processes".into());
    }
    let mut other = request(env, &C, "int x;\n", "hello.o")?;
    other.slot = 1;
    let ended = end(&launcher.run(other)?)?;
    if running.wait(Duration::ZERO)?.is_some() {
        return Err("the bomb ended by itself".into());
    }
    running.kill();
    if ended.how == How::Exited(0) && ended.object.is_some() { Ok(()) } else { Err(format!("{ended:?}").into()) }
}

/// D53, D54: what a compiler says or how it dies when memory or disk run out is taken for that, not for a wrong
/// program.
pub fn shortage(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
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

pub fn refusals(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
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

/// Many jobs one after the other: each ends well, and none leaves a descriptor open. Prints what a box costs.
pub fn many(launcher: &Launcher, env: &EnvId, _: &Path) -> Try {
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
