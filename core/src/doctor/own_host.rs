//! What this host has: room, memory, a clock, environments, and what it promises to jobs of others.

use super::{Facts, Findings};

/// Less is not enough for an environment.
const DISK_BAD: u64 = 100 << 20;
/// Less is not enough for some.
const DISK_LOW: u64 = 1 << 30;
/// Memory that a compiler may want.
const MEMORY_OF_A_JOB: u64 = 256 << 20;
/// Seconds by which a file's time may differ from the clock.
const CLOCK_FAR: u64 = 2;

pub(super) fn disk(facts: &Facts, findings: &mut Findings<'_>) {
    for disk in &facts.disks {
        let free = format!("{} MiB are free for {} in {}", disk.free >> 20, disk.what, disk.path);
        if !disk.is_writable {
            let remedy = format!("make {} writable, or set TMPDIR", disk.path);
            findings.bad(format!("{} cannot be written: {}", disk.path, disk.what), remedy);
        } else if disk.free < DISK_BAD {
            findings.bad(free, format!("make room in {}", disk.path));
        } else if disk.free < DISK_LOW {
            findings.warn(free, format!("make room in {}", disk.path));
        } else {
            findings.ok(free);
        }
    }
}

pub(super) fn memory(facts: &Facts, findings: &mut Findings<'_>) {
    let Some((available, slots)) = facts.memory else { return };
    let text = format!("{} MiB are available for {slots} jobs at a time", available >> 20);
    if available < MEMORY_OF_A_JOB.saturating_mul(u64::from(slots.max(1))) {
        findings.warn(text, "give the daemon fewer slots by -m, or end what fills the memory");
    } else {
        findings.ok(text);
    }
}

pub(super) fn clock(facts: &Facts, findings: &mut Findings<'_>) {
    let Some(ahead) = facts.clock_ahead else { return };
    if ahead.unsigned_abs() > CLOCK_FAR {
        findings.warn(
            format!(
                "new files here are {} s {} this host's clock",
                ahead.abs(),
                if ahead > 0 { "ahead of" } else { "behind" }
            ),
            "let this host and the file server ask the same time server: make builds too much or too little",
        );
    } else {
        findings.ok("new files have the time of this host's clock");
    }
}

pub(super) fn environment(facts: &Facts, findings: &mut Findings<'_>) {
    for environment in &facts.environments {
        match &environment.made {
            Ok(name) => findings.ok(format!("of {}: {name}", environment.compiler)),
            Err(why) => findings.bad(
                format!("none of {}: {why}", environment.compiler),
                format!("icecc-create-env {} tells more", environment.compiler),
            ),
        }
    }
}

/// What a promise needs that does not hold.
fn needs(word: &str) -> &'static str {
    match word {
        "own-id" => "start iceccd as root, and lend ids: a line for icecc in /etc/subuid",
        "memory" => "control groups version 2, and Delegate=memory pids in the unit of the daemon",
        "calls" => "a kernel with seccomp filters",
        _ => "start iceccd as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)",
    }
}

pub(super) fn promises(facts: &Facts, findings: &mut Findings<'_>) {
    let Some(promises) = &facts.promises else { return };
    for promise in promises {
        if let Some(why) = &promise.missing {
            findings.warn(format!("jobs of others lack {} here: {why}", promise.word), needs(&promise.word));
        }
    }
    if findings.is_fine() {
        let words: Vec<&str> = promises.iter().map(|promise| promise.word.as_str()).collect();
        findings.ok(format!("all hold for jobs of others: {}", words.join(", ")));
    }
}
