//! Clocks, CPU time and the machine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ice_lab::{Error, Lab, Process};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// How long one measured command may take.
const LIMIT: Duration = Duration::from_secs(300);

/// What a command spent.
pub struct Spent {
    pub wall_s: f64,
    /// Of it and all below it.
    pub cpu_s: f64,
}

/// Runs a shell command on h1 in a folder. The shell itself takes the time, so that entering the host does not count.
pub fn timed(lab: &Lab, folder: &Path, command: &str) -> Result<Spent, Error> {
    let text = format!(
        "cd '{}'; begin=$EPOCHREALTIME; {command}; end=$EPOCHREALTIME; echo \"took $begin $end\"",
        folder.display()
    );
    let cpu = children_cpu_s();
    let output = lab.exec("h1", &["bash", "-ec", &text], LIMIT)?;
    let cpu_s = children_cpu_s() - cpu;
    let said = output.text();
    let mut times = said.rsplit("took ").next().unwrap_or("").split_whitespace().map(str::parse::<f64>);
    match (output.status.success(), times.next(), times.next()) {
        (true, Some(Ok(begin)), Some(Ok(end))) => Ok(Spent { wall_s: end - begin, cpu_s }),
        _ => Err(Error::Failed {
            program: command.to_string(),
            status: output.status.to_string(),
            stderr: output.error_text(),
        }),
    }
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// CPU seconds of processes and of the children they have collected.
pub fn cpu_s(processes: &[Process]) -> f64 {
    // The kernel counts in hundredths here, whatever its clock.
    processes.iter().filter_map(|p| fields(p.pid)).map(|f| f[11..15].iter().sum::<u64>() as f64 / 100.0).sum()
}

/// CPU seconds of processes themselves, to the nanosecond; of threads that have ended too.
pub fn own_cpu_s(processes: &[Process]) -> f64 {
    let own = |p: &Process| {
        let clock = clock_getcpuclockid(Pid::from_raw(p.pid as i32)).ok()?;
        Some(Duration::from(clock_gettime(clock).ok()?).as_secs_f64())
    };
    processes.iter().filter_map(own).sum()
}

/// Resident kilobytes of processes: all, and what is no file's.
pub fn resident_kb(processes: &[Process]) -> [f64; 2] {
    let of = |p: &Process, field: &str| {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", p.pid)).ok()?;
        text.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse::<f64>().ok())
    };
    ["Rss:", "Anonymous:"].map(|field| processes.iter().filter_map(|p| of(p, field)).sum())
}

/// Bytes that passed the network interface of a host, both directions.
pub fn wire_bytes(lab: &Lab, host: &str) -> Result<f64, Error> {
    let text = lab.exec(host, &["cat", "/proc/net/dev"], LIMIT)?.text();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("eth0:")).unwrap_or("");
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    Ok(numbers.first().unwrap_or(&0.0) + numbers.get(8).unwrap_or(&0.0))
}

/// The machine in a line.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> =
        cpu.lines().filter_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).collect();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kb: u64 = memory.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} x {}, {} MB, Linux {}, load before {}",
        models.len(),
        models.first().unwrap_or(&"?"),
        kb / 1024,
        kernel.trim(),
        load()
    )
}

/// How many processes wanted to run in the last minute.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("?").to_string()
}

fn children_cpu_s() -> f64 {
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(f64::NAN, |usage| seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn fields(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<u64> = text.rsplit_once(')')?.1.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
    (fields.len() > 15).then_some(fields)
}
