//! Jobs that do what no compiler does: what they find, and how they end.

use super::host::{Command, Done, Host, Job, Try};
use ice_core::files::Fact;
use ice_launcher::{How, LaunchError, Launcher, QUESTIONS_MAX};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the probe tries, with a path that is there or with one that the tree holds for others alone.
const ROWS: &[(&str, bool)] = &[
    ("page-end", true),
    ("two-pages", true),
    ("vfork", true),
    ("no-path", true),
    ("empty", true),
    ("absent-at", false),
    ("absent-from", false),
    ("absent-here", false),
    ("openat2", true),
    ("io_uring", true),
    ("handle", true),
    ("mounts", true),
    ("identity", true),
    ("read-first", true),
    ("oom", true),
    ("kernel", true),
    #[cfg(target_arch = "x86_64")]
    ("narrow-absent", false),
    #[cfg(target_arch = "x86_64")]
    ("narrow-there", true),
];

fn probe(what: &str, path: &Path, project: &Path) -> Command {
    let program = project.join("probe").display().to_string().leak();
    Command::new(program, &format!("{what} {}", path.display()), project)
}

pub fn probes(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    let source = project.join("probe.c");
    fs::write(&source, include_str!("probe.c"))?;
    let mut gcc = std::process::Command::new("gcc");
    let made = gcc.args(["-O1", "-static", "-o"]).arg(project.join("probe")).arg(&source).status()?;
    if !made.success() {
        return Err("gcc makes no static program".into());
    }
    let (there, hidden) = (project.join("there"), project.join("hidden"));
    fs::write(&there, "there")?;
    fs::write(&hidden, "of others")?;
    host.tell(hidden.as_os_str().as_encoded_bytes())?;
    host.facts.insert(hidden.as_os_str().as_encoded_bytes().to_vec(), Fact::Absent);
    for (what, is_there) in ROWS {
        let path = if *is_there { &there } else { &hidden };
        let done = host.settle(launcher, &probe(what, path, project)).map_err(|e| format!("{what}: {e}"))?;
        if done.ended.how != How::Exited(0) || done.files.refused.is_some() || done.files.stray.is_some() {
            return Err(format!("{what}: {:?} {:?}", done.ended, done.files).into());
        }
    }
    let counted = host.settle(launcher, &probe("openat2", &there, project))?.ended.unknown;
    if counted.iter().any(|call| call.name() == "openat2") { Ok(()) } else { Err(format!("{counted:?}").into()) }
}

/// What ends a job at once.
pub fn refusals(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    let refused = |done: &Done| done.files.refused.clone().unwrap_or_default();
    let through = host.run(launcher, &probe("root", &project.join("there"), project))?;
    if !refused(&through).contains("/proc/self/root/etc/passwd") {
        return Err(format!("through /proc: {:?}", through.files).into());
    }
    if cfg!(target_arch = "x86_64") {
        let x32 = host.run(launcher, &probe("x32", project, project))?;
        if x32.ended.how != How::Signalled(libc::SIGSYS) {
            return Err(format!("x32: {:?}", x32.ended).into());
        }
    }
    let many: String = (0..=QUESTIONS_MAX).map(|n| format!("test -e /nothing-{n};")).collect();
    host.settle(launcher, &Command::sh("true", project))?;
    let asks = host.run(launcher, &Command::sh(&format!("{many} echo end"), project))?;
    let asked_too_often = asks.asked == QUESTIONS_MAX as usize && refused(&asks).contains("64 questions");
    if !asked_too_often || !asks.stdout.is_empty() {
        return Err(format!("asks: {} {:?} {}", asks.asked, asks.files, asks.stdout).into());
    }
    for (is_answered, expected) in [(true, "the submitter does not tell"), (false, "nobody answers")] {
        let Job { running, questions, .. } = host.start(launcher, &Command::sh("test -e /untold", project))?;
        if is_answered && questions.next()?.as_deref() == Some(b"/untold") {
            questions.answer(None)?;
        }
        drop(questions);
        let ended = running.wait(Duration::from_secs(60))?.ok_or("no end")?;
        let text = ended.files.and_then(|files| files.refused).unwrap_or_default();
        if !text.contains(expected) || !text.contains("/untold") {
            return Err(format!("{expected}: {text}").into());
        }
    }
    Ok(())
}

/// A job that starts processes without end, all of which look for files, is ended, and its neighbour not harmed.
pub fn bomb(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    let done = host.settle(launcher, &probe("bomb", project, project))?;
    if done.ended.how != How::Exited(0) {
        return Err(format!("{:?} {:?}", done.ended, done.files).into());
    }
    host.run(launcher, &probe("identity", project, project)).map(drop)
}

/// When the supervisor dies, so does its job; when the owner hangs up in the middle of a question, too.
pub fn deaths(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    let command = Command::sh("test -e /untold-too; while :; do :; done", project);
    let Job { running, questions, .. } = host.start(launcher, &command)?;
    if questions.next()?.as_deref() != Some(b"/untold-too") {
        return Err("another question".into());
    }
    running.kill();
    if questions.next()?.is_some() {
        return Err("a question after the end".into());
    }
    let Job { running, questions, .. } = host.start(launcher, &command)?;
    questions.next()?;
    let pid = launcher.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let first: i32 = children.split_whitespace().last().ok_or("no sandbox")?.parse()?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL)?;
    match running.wait(Duration::from_secs(60)) {
        Err(LaunchError::Refused(text)) if text.contains("ended early") => {}
        other => return Err(format!("without a supervisor: {other:?}").into()),
    }
    if questions.next()?.is_some() { Err("something asks on".into()) } else { Ok(()) }
}

/// What it costs: a sandbox, and a call at which a job is watched. Printed, not judged. The CPU is that of the launcher,
/// supervisors and jobs together.
pub fn cost(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    let (truly, there) = (Command::new("/bin/true", "", project), project.join("there"));
    let used = host.settle(launcher, &truly)?.files.used;
    let all = host.facts.clone();
    let few = used.iter().filter_map(|path| Some((path.clone(), all.get(path)?.clone()))).collect();
    for facts in [few, all] {
        host.facts = facts;
        let (mut times, cpu) = (Vec::new(), cpu(launcher)?);
        for _ in 0..100 {
            let start = Instant::now();
            host.run(launcher, &truly)?;
            times.push(start.elapsed());
        }
        times.sort();
        let (facts, cpu) = (host.facts.len(), (self::cpu(launcher)? - cpu) / 100);
        println!("cost: /bin/true with {facts} facts: {cpu:?} of CPU, {:?} to its end (median)", times[50]);
    }
    for path in [there.as_path(), Path::new("/no/such/file"), Path::new("there")] {
        let command =
            Command::new(probe("", path, project).program, &format!("loop {} 20000", path.display()), project);
        host.settle(launcher, &command)?;
        let cpu = cpu(launcher)?;
        let done = host.run(launcher, &command)?;
        let cpu = (self::cpu(launcher)? - cpu) / 20000;
        println!("cost: a call for {}: {cpu:?} of CPU, {} us", path.display(), done.stdout);
    }
    Ok(())
}

/// The CPU time of the launcher and of all sandboxes that have ended.
fn cpu(launcher: &Launcher) -> Try<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", launcher.pid()))?;
    let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = numbers.skip(11).take(4).filter_map(|n| n.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}
