//! Clocks, CPU time and the machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ice_bins::lab::{Error, Lab, Process};
use nix::sys::resource::{UsageWho, getrusage};

/// How long one measured command may take.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Runs a shell command on h1 in a folder; wall and CPU seconds of it and all below it.
pub fn timed(lab: &Lab, folder: &Path, command: &str) -> Result<(f64, f64), Error> {
    let text = format!("cd '{}' && {command}", folder.display());
    let (cpu, start) = (children_cpu_s(), Instant::now());
    let output = lab.exec("h1", &["sh", "-ec", &text], LIMIT)?;
    let result = (start.elapsed().as_secs_f64(), children_cpu_s() - cpu);
    if output.status.success() {
        return Ok(result);
    }
    Err(Error::Failed { program: command.to_string(), status: output.status.to_string(), stderr: output.error_text() })
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

/// Resident kilobytes of processes.
pub fn resident_kb(processes: &[Process]) -> f64 {
    let of = |p: &Process| {
        let text = fs::read_to_string(format!("/proc/{}/status", p.pid)).ok()?;
        text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok())
    };
    processes.iter().filter_map(of).sum()
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
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_string();
    format!("{} x {}, Linux {}, load before {load}", models.len(), models.first().unwrap_or(&"?"), kernel.trim())
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
